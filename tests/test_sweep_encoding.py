"""Results of points as bytes, and the dataset that they make: no bit lost, nothing executed."""

import json
import math
from contextlib import suppress

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from zerohm import InputError, sweeps
from zerohm.sweeps.encoding import decode, encode

DTYPES = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(endianness="="),
    hnp.floating_dtypes(endianness="=", sizes=(16, 32, 64)),
    hnp.complex_number_dtypes(endianness="=", sizes=(64, 128)),
    hnp.unicode_string_dtypes(endianness="=", max_len=5),
    hnp.datetime64_dtypes(max_period="s", min_period="ns", endianness="="),
)
ARRAYS = DTYPES.flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0))
)


def same_bits(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@given(ARRAYS)
def test_every_array_comes_back_with_the_same_bits(values):
    """NaN payloads, negative zeros, empty arrays and text included."""
    dims = tuple(f"d{axis}" for axis in range(values.ndim))
    point = decode(encode(xr.Dataset({"v": (dims, values, {"units": "S"})})))
    back = point.variables["v"]
    assert same_bits(back.values, values)
    assert (back.dims, back.attributes, back.coordinate) == (dims, {"units": "S"}, False)


@given(st.dictionaries(st.text(), st.one_of(st.integers(), st.floats(allow_nan=False), st.text())))
def test_attributes_come_back_as_they_were(attributes):
    """Floating-point numbers to the last bit, any text as a name."""
    assert decode(encode(xr.Dataset(attrs=attributes))).attributes == attributes


def test_big_endian_and_object_text_are_told_by_their_values():
    """Another byte order and strings as objects are the same numbers and text."""
    dataset = xr.Dataset(
        {"v": ("x", np.array([1.5, -2], ">f8")), "t": ("x", np.array(["a", "bc"], object))}
    )
    variables = decode(encode(dataset)).variables
    assert same_bits(variables["v"].values, np.array([1.5, -2]))
    assert same_bits(variables["t"].values, np.array(["a", "bc"]))


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (xr.Dataset({"v": ("x", np.array([object()], object))}), "type object"),
        (xr.Dataset({"v": ("x", np.zeros(1, "V4"))}), "type |V4"),
        (xr.Dataset({"v": ("x", np.zeros(1, np.longdouble))}), "float128"),
        (xr.Dataset(attrs={"f": open}), "attribute"),
    ],
)
def test_what_has_no_plain_bytes_is_refused(dataset, message):
    """Objects would need pickle, extended precision differs between machines."""
    with pytest.raises(InputError) as refused:
        encode(dataset)
    assert message in str(refused.value)


GOOD = encode(xr.Dataset({"v": ("x", np.arange(3.0)), "t": ("y", ["a", "bc"])}, attrs={"a": 1}))


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_damaged_bytes_are_refused_or_another_result_but_never_a_crash(at, byte):
    """One changed byte: numbers may change, but only InputError can come."""
    damaged = GOOD[:at] + bytes([byte]) + GOOD[at + 1 :]
    with suppress(InputError):
        decode(damaged)


@given(st.binary(max_size=60))
def test_foreign_bytes_are_refused(text):
    """Nothing but our own format is read."""
    with pytest.raises(InputError, match="damaged"):
        decode(text)


@pytest.mark.parametrize("dtype", ["|O", "|V8", "<f16", "O", "object", "<f8,<f8", "|S-1", 3])
def test_types_outside_the_format_are_refused(dtype):
    """A header cannot ask for objects, whatever it says."""
    header = {"attributes": {}, "variables": [["v", ["x"], dtype, [1], {}, False]]}
    text = json.dumps(header).encode()
    with pytest.raises(InputError, match="damaged"):
        decode(len(text).to_bytes(8, "little") + text + bytes(16))


def test_results_with_different_labels_meet_on_their_union():
    """Each value stands at its own label, whatever the order in its point; the rest is NaN."""

    def experiment(x):
        part = ["adc", "array"] if x == 0 else ["dac", "adc"]
        return xr.Dataset({"energy": ("part", [x + 1.0, x + 2.0])}, coords={"part": part})

    energy = sweeps.run(experiment, {"x": [0, 10]}).energy
    assert energy.part.values.tolist() == ["adc", "array", "dac"]
    np.testing.assert_array_equal(energy, [[1, 2, np.nan], [12, np.nan, 11]])


def test_the_same_labels_in_another_order_are_put_in_order():
    """Equal shapes do not mean equal labels."""

    def experiment(x):
        return xr.Dataset({"v": ("part", [1, 2])}, coords={"part": ["a", "b"] if x else ["b", "a"]})

    result = sweeps.run(experiment, {"x": [0, 1]})
    assert result.part.values.tolist() == ["a", "b"]
    assert result.v.values.tolist() == [[2, 1], [1, 2]]


def test_a_variable_that_some_points_lack_is_missing_there():
    """As accuracy and R² in a sweep over tasks."""

    def experiment(task):
        return xr.Dataset({"r2": 0.5} if task == "f1" else {"accuracy": 7})

    result = sweeps.run(experiment, {"task": ["f1", "digits"]})
    np.testing.assert_array_equal(result.r2, [0.5, np.nan])
    np.testing.assert_array_equal(result.accuracy, [np.nan, 7])


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ({"v": ("a", [1])}, {"v": 1}, "dimensions"),
        ({"v": ("a", [1])}, {"v": ("a", [1, 2])}, "values along a"),
        ({"v": 1}, {"v": "text"}, "types"),
        ({}, {"v": ("step", [])}, "without any step"),
    ],
)
def test_results_that_do_not_fit_together_are_named(first, second, message):
    """The message says which variable and why."""
    with pytest.raises(InputError, match=message):
        sweeps.run(lambda x: xr.Dataset([first, second][x]), {"x": [0, 1]})


def test_missing_values_by_kind():
    """Numbers become NaN, text empty, times NaT; complete integers stay integers."""

    def experiment(x):
        if x == 1:
            raise ValueError("broken")
        return xr.Dataset(
            {"n": x, "flag": True, "z": 1j, "word": "w", "time": np.timedelta64(5, "ns")}
        )

    with pytest.warns(sweeps.SweepWarning):
        result = sweeps.run(experiment, {"x": [0, 1]})
    assert math.isnan(result.n[1])
    assert math.isnan(result.flag[1])
    assert result.flag[0] == 1
    assert np.isnan(result.z[1])
    assert result.word.values.tolist() == ["w", ""]
    assert np.isnat(result.time.values[1])
    assert sweeps.run(experiment, {"x": [0]}).n.dtype == np.int64
