"""Sweep files: what they can say, and how what they cannot is refused."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zerohm import InputError
from zerohm.sweeps import EnoughSeeds
from zerohm.sweeps.config import read

FILE = """
references = ["linear"]
[experiment]
method = "noisezo"
hidden = [64, 32]
"hardware.cell.conductance_max" = 40e-6
[sweep]
write_noise = [0.01, 0.02]
adc_bits = {start = 4, stop = 8, num = 5}
wire_resistance = {start = 0.1, stop = 10, num = 3, scale = "log"}
settling_time = {start = 0, stop = 1, num = 3}
seed = {count = 3}
[stop]
half_width = 0.01
least = 5
"""


@pytest.fixture
def written(tmp_path):
    """Reads a sweep file with this text."""

    def load(text):
        path = tmp_path / "sweep.toml"
        path.write_text(text, encoding="utf-8")
        return read(path)

    return load


def test_a_file_says_what_is_constant_swept_compared_and_enough(written):
    """Ranges of whole numbers stay whole, logarithmic ones hit their decades exactly."""
    found = written(FILE)
    assert found.fixed == {
        "method": "noisezo",
        "hidden": [64, 32],
        "hardware.cell.conductance_max": 40e-6,
    }
    assert found.grid == {
        "write_noise": [0.01, 0.02],
        "adc_bits": [4, 5, 6, 7, 8],
        "wire_resistance": [0.1, 1.0, 10.0],
        "settling_time": [0.0, 0.5, 1.0],
        "seed": [0, 1, 2],
    }
    assert all(type(bits) is int for bits in found.grid["adc_bits"])
    assert found.references == ("linear",)
    assert found.stop == EnoughSeeds(half_width=0.01, least=5)


def test_what_is_left_out_has_defaults(written):
    """All seeds, and backpropagation to compare with."""
    found = written("[sweep]\nseed = [1]")
    assert (found.fixed, found.references, found.stop) == ({}, ("backprop",), None)
    assert written("[sweep]\nseed = [1]\n[stop]").stop == EnoughSeeds()


def test_tables_in_tables_are_names_with_dots(written):
    """Fields of the device can be written either way."""
    found = written(
        "[experiment.hardware.cell]\nlevels = 8\n[sweep]\nhardware.cell.conductance_max = [1e-6,"
        " 2e-6]\nhardware.cell.conductance_min = {start = 1e-7, stop = 2e-7, num = 2}"
    )
    assert found.fixed == {"hardware.cell.levels": 8}
    assert found.grid == {
        "hardware.cell.conductance_max": [1e-6, 2e-6],
        "hardware.cell.conductance_min": [1e-7, 2e-7],
    }


@given(st.floats(1e-9, 1e9), st.floats(1e-9, 1e9), st.integers(2, 30))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_ranges_are_numpys_to_twelve_digits(written, start, stop, num):
    """From start to stop, whatever their order."""
    if start == stop:
        return
    for scale, spaced in (("linear", np.linspace), ("log", np.geomspace)):
        text = f"[sweep]\nx = {{start = {start}, stop = {stop}, num = {num}, scale = '{scale}'}}"
        values = written(text).grid["x"]
        np.testing.assert_allclose(values, spaced(start, stop, num), rtol=1e-11)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[swep]\nx = [1]", "did you mean 'sweep'"),
        ("sweep = 3", r"must be a table, \[sweep\]"),
        ("references = 'backprop'", "must be a list of methods"),
        ("references = [1]", "must be a list of methods"),
        ("[sweep]\nx = []", "must be a list with values"),
        ("[sweep]\nx = 0.1", "must be a list with values"),
        ("[sweep]\nx = {}", "lacks start, stop, num"),
        ("[sweep]\nx = {strat = 1, stop = 2, num = 3}", "did you mean 'start'"),
        ("[sweep]\nx = {start = 1, stop = 2}", "lacks num"),
        ("[sweep]\nx = {start = 1, stop = 1, num = 3}", "is empty"),
        ("[sweep]\nx = {start = 1, stop = 2, num = 0}", "num = 0 must be a whole number"),
        ("[sweep]\nx = {start = 1, stop = 2, num = 2.5}", "num = 2.5 must be a whole number"),
        ("[sweep]\nx = {start = 1, stop = 2, num = 99999999}", "whole number from 2 to"),
        ("[sweep]\nx = {start = 0, stop = 2, num = 2, scale = 'log'}", "above 0"),
        ("[sweep]\nx = {start = 1, stop = 2, num = 2, scale = 'lin'}", "did you mean 'linear'"),
        ("[sweep]\nx = {start = nan, stop = 2, num = 2}", "plain number"),
        ("[sweep]\nx = {start = '1', stop = 2, num = 2}", "plain number"),
        ("[sweep]\nx = {start = true, stop = 2, num = 2}", "plain number"),
        ("[sweep]\nx = {count = 3}", "for seed or chip only"),
        ("[sweep]\nseed = {count = 0}", "count = 0"),
        ("[sweep]\nseed = {count = 3, num = 2}", "stands alone"),
        ("[sweep]\nwire_resistance = ['1 ohm']", "a plain number in Ω is expected"),
        (
            "[sweep]\nwire_resistance = {start = '1 ohm', stop = 2, num = 2}",
            "a plain number in Ω is expected",
        ),
        ("[experiment]\nsettling_time = '3 s'", "a plain number in s is expected"),
        ("[experiment]\nhardware.cell.conductance_max = '40 uS'", "a plain number in S"),
        ("[sweep]\nx = [inf]", "must be finite"),
        ("[sweep]\nx = [2020-01-01]", "allowed are numbers"),
        ("[stop]\nhalf_with = 0.1", "did you mean 'half_width'"),
        ("[stop]\nhalf_width = 0", r"\[stop\].*half_width=0"),
        ("[sweep]\nx = [1]\nx = [2]", "cannot read sweep file"),
        ("[sweep]\nx = \x00", "cannot read sweep file"),
    ],
)
def test_unusable_files_are_refused_by_name(text, message, written):
    """The message says where, what and what is allowed."""
    with pytest.raises(InputError, match=message) as refused:
        written(text)
    assert "sweep.toml" in str(refused.value)


def test_a_missing_file_is_named(tmp_path):
    """And a folder is no file."""
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(InputError, match="cannot read sweep file"):
            read(path)


PLAIN = st.one_of(
    st.booleans(), st.integers(-5, 5), st.floats(), st.text(max_size=3), st.just("1 ohm")
)
KEYS = st.sampled_from(["start", "stop", "num", "scale", "count", "seed", "x", "log"])
TREES = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4)
)


def as_toml(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {as_toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(c):08x}" for c in value) + '"'
    return repr(value)


@given(
    st.dictionaries(
        st.sampled_from(["experiment", "sweep", "stop", "references", "swep"]), TREES, max_size=3
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_tree_is_read_or_refused(written, tree):
    """Nothing but InputError comes out, and a grid has values of plain types."""
    text = "\n".join(f"{name} = {as_toml(value)}" for name, value in tree.items())
    try:
        found = written(text)
    except InputError:
        return
    for values in found.grid.values():
        assert values
