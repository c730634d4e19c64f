"""What a device card may hold, as data: the card itself, its JSON Schema, and its unknown keys.

The schema is made from the classes that check the numbers, so it cannot say anything else than
they do; descriptions are those of their docstrings. What depends on several fields at once (a
window whose edges are in order, a noise law that is positive in it) is checked on loading only.
"""

import inspect
import math
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from difflib import get_close_matches
from functools import cache
from typing import Any, Literal

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from zerohm._config import STRICT
from zerohm._errors import InputError

from .rram import Cell

FORMAT = "zerohm device card"
VERSION = 2

UNITS = {
    "1": """
        AcceptanceBand.relative Cycling.quantile_maps Cycling.reset_exponent Cycling.weights
        Drive.width_exponent Endurance.characteristic_cycles Endurance.weibull_shape
        ExponentialStep.amplitude_down ExponentialStep.amplitude_up ExponentialStep.offset
        ExponentialStep.rate_down ExponentialStep.rate_up ExponentialStep.slope
        FlickerNoise.amplitude_spread FlickerNoise.exponent PolynomialNoise.coefficients
        PowerLawDrift.exponent_mean PowerLawDrift.exponent_std PowerStep.exponent_down
        PowerStep.exponent_up ProgrammingCost.pulses_per_write Relaxation.asymmetry
        Relaxation.tail_decades Relaxation.volatility_spread StuckState.probability
        StuckState.spread TablePulses.probabilities TelegraphLevels.amplitude
        TelegraphLevels.amplitude_spread TelegraphLevels.levels TelegraphLevels.probability
        TelegraphNoise.amplitude TelegraphNoise.amplitude_spread TelegraphNoise.dwell_time_spread
        TelegraphNoise.sites TelegraphNoise.trap_probability VectorAutoregression.coefficients
        VectorAutoregression.innovation WindowClosing.high_exponent WindowClosing.low_exponent
        WindowClosing.onset_cycles WindowSpread.high WindowSpread.low Cell.levels
        _Steps.asymmetry_spread _Steps.cycle_to_cycle
        _Steps.cycle_to_cycle_additive _Steps.lower_bound_spread _Steps.reference
        _Steps.step_down _Steps.step_spread _Steps.step_up _Steps.upper_bound_spread
        _Steps.write_noise
    """,
    "S": """
        Cell.conductance_ceiling Cell.conductance_floor Cell.conductance_max Cell.conductance_min
        ConstantNoise.sigma LogarithmicDrift.mean_slope LogarithmicDrift.spread_slope
        LogarithmicNoise.amplitude LogarithmicNoise.reference Milo2021.conductance_max
        Milo2021.conductance_min Nili2020.conductance_max Nili2020.conductance_min
        PolynomialNoise.reference PolynomialNoise.scale Relaxation.mean_per_decade
        StateMixing.conductance_max StateMixing.conductance_min StateTable.conductance
        StuckState.conductance TablePulses.conductance TablePulses.decrease TablePulses.increase
    """,
    "S²": "Relaxation.variance_per_decade",
    "s": """
        Drive.width LogarithmicDrift.mean_onset_s LogarithmicDrift.spread_onset_s
        LogarithmicNoise.reading_time_s LogarithmicNoise.time_s PowerLawDrift.onset_s
        ProgrammingCost.pulse_duration Relaxation.onset_s TelegraphNoise.capture_time_s
        TelegraphNoise.emission_time_s
    """,
    "1/s": "TelegraphLevels.rates_per_s",
    "V": """
        Cell.max_read_voltage Cycling.reset_voltage_max Drive.amplitude Drive.scale
        Drive.threshold Milo2021.max_voltage Nili2020.max_voltage OddPolynomial.max_voltage Sinh.a
        Sinh.max_voltage StanfordPKU.max_voltage StanfordPKU.voltage_scale StateMixing.max_voltage
        StateMixing.read_voltage
    """,
    "1/V": "Sinh.b",
    "1/V², 1/V⁴, …": "OddPolynomial.coefficients",
    "A": "StanfordPKU.current_scale",
    "A/V, A/V², …": "StateMixing.low_resistance StateMixing.high_resistance",
    "A/V²": "Milo2021.second_order",
    "A/V³": "Milo2021.third_order",
    "m": "StanfordPKU.gap_scale",
    "J": "ProgrammingCost.pulse_energy",
    "K": "ElectronicNoise.temperature Nili2020.temperature",
    "1/K": "Endurance.temperature_coefficient",
    "Hz": "ElectronicNoise.bandwidth FlickerNoise.frequency_max FlickerNoise.frequency_min",
    "Hz^(α−1)": "FlickerNoise.amplitude",
    "eV": """
        FlickerNoise.activation_energy_eV Relaxation.activation_energy_eV
        TelegraphLevels.activation_energy_eV TelegraphNoise.activation_energy_eV
    """,
    "log₁₀ Ω, V, Ω, V": "Cycling.means Cycling.factors",
    "that of the parameter": "StateTable.values",
}
"""Unit of every number in a card, by the class that brings the field."""

_UNIT_OF = {field: unit for unit, fields in UNITS.items() for field in fields.split()}


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Card:
    """A cell model as a file. All numbers are in the units that are given, SI but for eV.

    Parameters
    ----------
    format : that this is a device card.
    version : 2; a card of version 1 has no calibration.
    cell : the model.
    calibration : where the numbers come from: measurement, fit, validity, provenance.
    """

    format: Literal["zerohm device card"]
    version: Literal[1, 2]
    cell: Cell
    calibration: dict[str, Any] | None = None


def card_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of device cards, for editors and other programs.

    Numbers carry their ``unit``, an annotation that validators pass over. Cards that
    :func:`zerohm.devices.save` writes satisfy it. Loading understands a little more (a number
    written as a string) and checks more: what several numbers must satisfy together.

    Examples
    --------
    >>> schema = card_schema()
    >>> schema["$id"], schema["$defs"]["Cell"]["properties"]["conductance_max"]["unit"]
    ('urn:zerohm:device-card:2', 'S')
    """
    return deepcopy(_schema())


def refuse_unknown_keys(card: Mapping[str, Any]) -> None:
    """Refuse what no card of this version holds, with the key that was probably meant.

    Raises
    ------
    InputError : names the first unknown key by its place, and the keys that are allowed there.

    Examples
    --------
    >>> refuse_unknown_keys({"cell": {"level": 3}})
    Traceback (most recent call last):
        ...
    zerohm._errors.InputError: unknown key cell.level (did you mean 'levels'?); allowed: ...
    """
    _check_keys(card, [_schema()], "")


class _Described(GenerateJsonSchema):
    """Adds units and the sentences of docstrings; a law of several kinds must say its kind."""

    def dataclass_schema(self, schema: Any) -> JsonSchemaValue:
        found = super().dataclass_schema(schema)
        cls = schema["cls"]
        summary, sentences = _documentation(cls)
        found["description"] = summary
        for name, field in found["properties"].items():
            field["description"] = sentences.get(name, summary)
            if (unit := _unit(cls, name)) is not None:
                field["unit"] = unit
            if isinstance(default := field.get("default"), float) and not math.isfinite(default):
                del field["default"]  # not a number of JSON
        if "kind" in found["properties"]:
            found["properties"]["kind"]["description"] = "Which law this is."
            found["required"] = [*found.get("required", []), "kind"]
        return found


@cache
def _schema() -> dict[str, Any]:
    generated = TypeAdapter(Card).json_schema(schema_generator=_Described)
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        "$id": f"urn:zerohm:device-card:{VERSION}",
        **generated,
        "title": FORMAT,
    }


def _unit(cls: type, field: str) -> str | None:
    """The unit of a field, where it is a number."""
    for owner in cls.__mro__:
        if (unit := _UNIT_OF.get(f"{owner.__name__}.{field}")) is not None:
            return unit
    return None


def _documentation(cls: type) -> tuple[str, dict[str, str]]:
    """What the docstring says before its first section, and of every parameter.

    Parameters of the classes that it is derived from count too.
    """
    sentences: dict[str, str] = {}
    for owner in reversed(cls.__mro__):
        sentences |= _parameters(_section(owner, "Parameters"))
    return _section(cls, ""), sentences


def _section(cls: type, title: str) -> str:
    """A section of a class's own docstring (numpydoc), "" for what comes before all of them."""
    text = inspect.cleandoc(cls.__dict__.get("__doc__") or "")
    before, *rest = re.split(r"^(\w+)\n-+$", text, flags=re.MULTILINE)
    sections = {"": before, **dict(zip(rest[::2], rest[1::2], strict=True))}
    return sections.get(title, "").strip()


def _parameters(section: str) -> dict[str, str]:
    """Sentence of every parameter; several that are described together share theirs."""
    entries = re.findall(r"^(\w[\w, ]*) : (.*(?:\n +.*)*)", section, flags=re.MULTILINE)
    return {name: " ".join(text.split()) for names, text in entries for name in names.split(", ")}


def _check_keys(value: Any, schemas: list[Any], place: str) -> None:
    """Refuse unknown keys of a value that one of these schemas describes, and of its parts."""
    known = [each for schema in schemas for each in _alternatives(schema)]
    if isinstance(value, list):
        for index, part in enumerate(value):
            _check_keys(part, list(_items(known, index)), f"{place}[{index}]")
    if not isinstance(value, dict):
        return
    kinds = [schema for schema in known if "properties" in schema and _is_kind(schema, value)]
    allowed = {name: part for schema in kinds for name, part in schema["properties"].items()}
    if not allowed:  # free, or of no known kind, which is said on loading
        return
    for key, part in value.items():
        where = f"{place}.{key}" if place else key
        if key not in allowed:
            close = get_close_matches(key, allowed, n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise InputError(f"unknown key {where}{hint}; allowed: {', '.join(sorted(allowed))}")
        _check_keys(part, [allowed[key]], where)


def _alternatives(schema: Any) -> Iterator[dict[str, Any]]:
    """The schemas that one stands for: behind its reference, or any of its choices."""
    if "$ref" in schema:
        yield from _alternatives(_schema()["$defs"][schema["$ref"].removeprefix("#/$defs/")])
    elif choices := schema.get("anyOf", schema.get("oneOf")):
        for choice in choices:
            yield from _alternatives(choice)
    else:
        yield schema


def _items(schemas: list[dict[str, Any]], index: int) -> Iterator[Any]:
    """What is known of one entry of a list."""
    for schema in schemas:
        if "items" in schema:
            yield schema["items"]
        yield from schema.get("prefixItems", [])[index : index + 1]


def _is_kind(schema: dict[str, Any], value: dict[str, Any]) -> bool:
    """Whether a value can be of the kind that a schema describes."""
    kind = schema["properties"].get("kind")
    return kind is None or kind["const"] == value.get("kind")
