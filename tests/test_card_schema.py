"""The JSON Schema of device cards: cards satisfy it, damaged ones do not; units; unknown keys."""

import copy
import json

import pytest

from zerohm import InputError, devices
from zerohm.devices import cards
from zerohm.devices.card_schema import card_schema, refuse_unknown_keys

jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")

PRESETS = devices.presets()


def saved(cell, tmp_path, **options):
    path = tmp_path / "card.json"
    devices.save(cell, path, **options)
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def validator():
    schema = card_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_as_a_card_satisfies_the_schema(name, validator, tmp_path):
    """What save writes is valid, with and without a calibration."""
    validator.validate(saved(devices.preset(name), tmp_path))
    record = {"kind": "relaxation", "goodness": {"p": 0.5}, "refused": {}}
    validator.validate(saved(devices.preset(name), tmp_path, calibration=record))


def objects(value, place=()):
    """Every object of a card with its place, but not the free ones of a calibration."""
    if isinstance(value, dict):
        yield place, value
        parts = value.items()
    else:
        parts = enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from objects(part, (*place, key))


def at(card, place):
    for key in place:
        card = card[key]
    return card


@pytest.mark.parametrize("name", PRESETS)
def test_any_unknown_key_is_refused_by_the_schema_and_on_loading(name, validator, tmp_path):
    """A key too many in any object of the card; the message gives its place."""
    card = saved(devices.preset(name), tmp_path)
    for place, _ in objects(card):
        damaged = copy.deepcopy(card)
        at(damaged, place)["surplus"] = 1.0
        assert not validator.is_valid(damaged)
        path = tmp_path / "damaged.json"
        path.write_text(json.dumps(damaged), encoding="utf-8")
        with pytest.raises(InputError, match=r"damaged\.json: unknown key .*surplus; allowed: "):
            devices.load(path)


@pytest.mark.parametrize("name", PRESETS)
def test_wrong_types_and_missing_numbers_are_refused_by_the_schema(name, validator, tmp_path):
    """Every number of the card, replaced by a text or a list or (where required) taken away."""
    card = saved(devices.preset(name), tmp_path)
    for place, found in objects(card):
        for key, value in found.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue
            for wrong in ("1e-6 S", [value], {"value": value}, True):
                damaged = copy.deepcopy(card)
                at(damaged, place)[key] = wrong
                assert not validator.is_valid(damaged), (*place, key)
    for key in ("format", "version", "cell"):
        assert not validator.is_valid({name: card[name] for name in card if name != key})


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("format",), "zerohm run"),
        (("version",), 3),
        (("cell", "conductance_min"), -1e-6),
        (("cell", "conductance_max"), 0.0),
        (("cell", "levels"), 1),
        (("cell", "levels"), 2.5),
        (("cell", "write_noise", "kind"), "pink"),
        (("cell", "write_noise"), None),
        (("cell", "write_noise"), {"sigma": 1e-6}),
        (("cell", "programming", "pulses_per_write"), 0.5),
        (("cell", "citations"), "Wan2022"),
        (("calibration",), [1]),
    ],
)
def test_a_damaged_card_is_refused_by_the_schema_and_on_loading(place, value, validator, tmp_path):
    """Numbers out of range, unknown kinds, a law without its kind: both say no."""
    card = saved(devices.preset("Wan2022"), tmp_path)
    at(card, place[:-1])[place[-1]] = value
    assert not validator.is_valid(card)
    path = tmp_path / "card.json"
    path.write_text(json.dumps(card), encoding="utf-8")
    with pytest.raises(InputError, match=r"card\.json"):
        devices.load(path)


@pytest.mark.parametrize(
    ("card", "message"),
    [
        (
            {"cel": {}},
            r"^unknown key cel \(did you mean 'cell'\?\); allowed: calibration, cell, fo",
        ),
        ({"cell": {"conductance_mx": 1.0}}, r"cell\.conductance_mx \(did you mean 'conductance_m"),
        (
            {"cell": {"write_noise": {"kind": "constant", "sigm": 1.0}}},
            r"cell\.write_noise\.sigm \(did you mean 'sigma'\?\); allowed: kind, sigma$",
        ),
        (
            {"cell": {"flicker_noise": {"amplitude": {"value": [1.0]}}}},
            r"cell\.flicker_noise\.amplitude\.value \(did you mean 'values'\?\)",
        ),
        (
            {"cell": {"pulses": {"kind": "soft bounds", "drives": [{}, {"scal": 1}]}}},
            r"cell\.pulses\.drives\[1\]\.scal \(did you mean 'scale'\?\)",
        ),
        ({"xyz": 1}, "unknown key xyz; allowed"),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest(card, message):
    """The place of the key, what was probably meant, and what is allowed there."""
    with pytest.raises(InputError, match=message):
        refuse_unknown_keys(card)


def test_a_calibration_is_free_and_unknown_kinds_are_left_to_the_check_of_values():
    """Neither raises here."""
    refuse_unknown_keys({"calibration": {"anything": {"goes": 1}}})
    refuse_unknown_keys({"cell": {"write_noise": {"kind": "pink", "color": 1}}})


def properties():
    for owner, definition in card_schema()["$defs"].items():
        for name, schema in definition["properties"].items():
            yield f"{owner}.{name}", schema


def holds_numbers(schema):
    """Whether a field is a number, or lists of numbers, or one of several that is."""
    parts = [*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("prefixItems", ())]
    parts += [schema["items"]] if "items" in schema else []
    return schema.get("type") in ("number", "integer") or any(map(holds_numbers, parts))


def test_every_number_has_a_unit_and_every_field_a_description():
    """A new field without its unit fails here; what is no number has none."""
    found = dict(properties())
    assert len(found) > 100
    assert {name for name, schema in found.items() if "unit" in schema} == {
        name for name, schema in found.items() if holds_numbers(schema)
    }
    assert [name for name, schema in found.items() if not schema.get("description")] == []


def test_units_agree_with_the_names_and_the_descriptions():
    """Fields whose name ends with a unit have it, and descriptions that begin with one too."""
    ending = {"_per_s": "1/s", "_s": "s", "_eV": "eV"}
    checked = 0
    for name, schema in properties():
        for suffix, unit in ending.items():
            if name.endswith(suffix):
                assert schema["unit"] == unit, name
                checked += 1
                break
        begins = schema["description"].split(",")[0].rstrip(".")
        if begins in ("S", "V", "K", "Hz", "1/V"):
            assert schema["unit"] == begins, name
            checked += 1
    assert checked > 30


def test_units_name_fields_that_exist():
    """The table has no entry for a field that was renamed or removed."""
    from zerohm.devices.card_schema import UNITS

    named = [field for fields in UNITS.values() for field in fields.split()]
    assert len(named) == len(set(named))
    known = {name for name, _ in properties()}
    steps = {name.split(".")[1] for name in known if name.startswith("SoftBounds.")}
    assert {name for name in named if not name.startswith("_Steps.")} <= known
    assert {name.split(".")[1] for name in named if name.startswith("_Steps.")} <= steps


def test_the_schema_is_json_of_its_own():
    """It can be written as JSON, says its version, and a caller cannot damage it for others."""
    schema = card_schema()
    text = json.dumps(schema, allow_nan=False)
    assert schema["$id"] == f"urn:zerohm:device-card:{cards.VERSION}"
    schema["$defs"].clear()
    assert json.dumps(card_schema(), allow_nan=False) == text
