"""Reading tables of measurements: what is accepted, and how unusable input is refused."""

import gzip
import hashlib

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from zerohm import InputError
from zerohm.devices.calibrate import read_table

RELAXATION = "cell,time_s,conductance_S\na,0,1e-5\na,1,2e-5\nb,0,3e-5\nb,1,4e-5\n"


@pytest.fixture
def write(tmp_path):
    def write(text, name="data.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def programming(target="1e-5", conductance="1.1e-5", *, extra=""):
    """A programming table of 20 good rows and one given row (row 21)."""
    rows = "".join(f"{k + 1}e-6,{k + 1}.1e-6\n" for k in range(20))
    return f"target_S,conductance_S\n{rows}{target},{conductance}\n{extra}"


@pytest.mark.parametrize("separator", [",", "\t", ";", ", "])
@pytest.mark.parametrize("packed", [False, True])
def test_files_of_every_separator_read_alike(write, separator, packed):
    """CSV, TSV and semicolons, packed or not, give the same numbers."""
    content = RELAXATION.replace(",", separator).encode()
    path = write(gzip.compress(content) if packed else content, "data.csv.gz" if packed else "d")
    table = read_table(path, "relaxation")
    assert table["conductance_S"].tolist() == [1e-5, 2e-5, 3e-5, 4e-5]
    assert [label for label, _ in table.cells()] == ["a", "b"]
    assert table.cell_numbers.tolist() == [0, 0, 1, 1]
    assert table.range("time_s") == (0.0, 1.0)
    assert len(table) == 4
    assert "time_s" in table
    assert "voltage_V" not in table


def test_sources_in_memory_read_alike(write):
    """A data frame, a mapping and a dataset equal the file; a byte order mark is not a name."""
    expected = read_table(write(b"\xef\xbb\xbf" + RELAXATION.encode()), "relaxation").data
    frame = pd.DataFrame(
        {"cell": list("aabb"), "time_s": [0, 1, 0, 1], "conductance_S": [1e-5, 2e-5, 3e-5, 4e-5]}
    )
    dataset = xr.Dataset(
        {"conductance_S": (("cell", "time_s"), [[1e-5, 2e-5], [3e-5, 4e-5]])},
        coords={"cell": ["a", "b"], "time_s": [0.0, 1.0]},
    )
    for source in (frame, frame.to_dict("list"), dataset):
        data = read_table(source, "relaxation").data
        assert data["cell"].tolist() == expected["cell"].tolist()
        assert np.array_equal(data[["time_s", "conductance_S"]], expected.iloc[:, 1:])


def test_file_without_header_has_numbered_columns(write):
    """A first line of numbers is data; its columns are counted from 1."""
    path = write("7,0.0,1e-5,9\n7,1.0,2e-5,9\n")
    names = {"cell": "1", "time_s": "2", "conductance_S": "3"}
    table = read_table(path, "relaxation", columns=names)
    assert table["conductance_S"].tolist() == [1e-5, 2e-5]
    assert table.data["cell"].tolist() == ["7", "7"]
    with pytest.raises(InputError, match=r"it has '1', '2', '3', '4' \(no header"):
        read_table(path, "relaxation")


def test_other_names_and_unused_columns(write):
    """Named columns are used, the others may hold anything."""
    text = "device,t,G,note\nx,0,1e-5,first\nx,1,2e-5,\n"
    names = {"cell": "device", "time_s": "t", "conductance_S": "G"}
    table = read_table(write(text), "relaxation", columns=names)
    assert table.provenance.columns == names
    assert list(table.data) == ["cell", "time_s", "conductance_S"]


def test_hash_is_that_of_the_uncompressed_content(write):
    """A packed file has the hash of what sha256sum says of the plain one; other data another."""
    plain = read_table(write(RELAXATION), "relaxation").provenance
    packed = read_table(write(gzip.compress(RELAXATION.encode()), "d.gz"), "relaxation").provenance
    assert plain.sha256 == packed.sha256 == hashlib.sha256(RELAXATION.encode()).hexdigest()
    assert (plain.file, packed.file) == ("data.csv", "d.gz")
    other = read_table(write(RELAXATION.replace("4e-5", "5e-5")), "relaxation").provenance
    assert other.sha256 != plain.sha256


def test_hash_in_memory_follows_the_data_alone():
    """The order of columns and unused ones do not matter, every number and label does."""
    data = {"target_S": [1e-5, 2e-5], "conductance_S": [1e-5, 3e-5], "cell": ["a", "b"]}
    hashes = [
        read_table(source, "programming").provenance.sha256
        for source in (
            data,
            dict(reversed(data.items())) | {"note": [1, 2]},
            data | {"conductance_S": [1e-5, 4e-5]},
            data | {"cell": ["a", "c"]},
        )
    ]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("target_S,conductance_S\n", "has a header but no rows"),
        ("target,Conductance_S\n1,2\n", r"lacks the columns 'target_S' \(nearest: 'target'\)"),
        ("target_S,G\n1,2\n", r"lacks the column 'conductance_S'; it has 'target_S', 'G'"),
        ("target_S,conductance_S,target_S\n1e-6,1e-6,1e-6\n", "has 2 columns 'target_S'"),
        (programming(conductance="high"), r"row 21: 'high' is not a number"),
        (programming(conductance="1.1.1"), r"row 21: '1.1.1' is not a number"),
        (programming(conductance=""), r"1 of 21 rows with missing values \(1 in cond.*row 21"),
        (programming(conductance="nan"), "1 of 21 rows with missing"),
        (programming(conductance="inf"), "conductance_S, row 21: the value is infinite"),
        (programming(extra="1e-6,2e-6,3e-6\n"), "cannot read data.csv as a table"),
        (b"\xff\xfe\x00target", "UTF-8"),
        (b"\x1f\x8bbroken", "cannot read"),
        (gzip.compress(b"target_S", mtime=0)[:10] + b"broken", "cannot read"),
        (gzip.compress(b"target_S", mtime=0)[:-9], "cannot read"),
    ],
)
def test_unusable_files_are_refused(write, text, message):
    """Each message says what is wrong, and where."""
    with pytest.raises(InputError, match=message):
        read_table(write(text), "programming")


@pytest.mark.parametrize(
    ("kind", "column", "values", "factor"),
    [
        ("programming", "conductance_S", [50.0, 60.0, 70.0], "in µS, multiply them by 1e-06"),
        ("programming", "conductance_S", [0.05, 0.06, 0.07], "in mS, multiply them by 0.001"),
        ("programming", "target_S", [5e4, 6e4, 7e4], "in nS, multiply them by 1e-09"),
        ("iv", "voltage_V", [-300.0, 100.0, 300.0], "in mV, multiply them by 0.001"),
        ("iv", "current_A", [-10.0, 5.0, 10.0], "in µA, multiply them by 1e-06"),
        ("relaxation", "time_s", [1.7e9, 1.8e9, 1.9e9], "column time_s: half of the values"),
    ],
)
def test_implausible_units_are_refused_with_the_factor(kind, column, values, factor):
    """A median that no memory cell has names the prefix that would explain it."""
    good = {
        "programming": {"target_S": [1e-6, 2e-6, 3e-6], "conductance_S": [1e-6, 2e-6, 3e-6]},
        "iv": {"voltage_V": [-0.1, 0.1, 0.2], "current_A": [-1e-6, 1e-6, 2e-6]},
        "relaxation": {"cell": [1, 1, 1], "time_s": [0, 1, 2], "conductance_S": [1e-6] * 3},
    }[kind]
    read_table(good, kind)
    with pytest.raises(InputError, match=factor):
        read_table(good | {column: values}, kind)


def test_one_outlier_is_not_a_wrong_unit():
    """A shorted cell among good ones is data."""
    data = {"target_S": [1e-6, 2e-6, 3e-6], "conductance_S": [1e-6, 2e-6, 0.1]}
    assert len(read_table(data, "programming")) == 3


def test_negative_conductances_and_times_are_refused():
    """Noise around zero may be negative, most of the data or a time may not."""
    targets = [1e-9, 1e-9, 1e-9]
    read_table({"target_S": targets, "conductance_S": [1e-9, -1e-9, 2e-9]}, "programming")
    with pytest.raises(InputError, match="most conductances are negative"):
        read_table({"target_S": targets, "conductance_S": [-1e-9, -1e-9, 2e-9]}, "programming")
    with pytest.raises(InputError, match="row 1: -1 s is negative"):
        read_table({"cell": [1, 1], "time_s": [-1, 0], "conductance_S": [1e-6, 1e-6]}, "relaxation")


@pytest.mark.parametrize("again", [1.0, 0.5])
def test_time_must_ascend_within_each_cell(again):
    """Interleaved cells are fine; a step back or a repetition names cell and row."""
    data = {"cell": list("abab"), "time_s": [0.0, 1.0, 1.0, 2.0], "conductance_S": [1e-6] * 4}
    assert len(read_table(data, "relaxation")) == 4
    with pytest.raises(InputError, match=r"cell 'b', row 4: time_s=.* does not come after"):
        read_table(data | {"time_s": [0.0, 1.0, 1.0, again]}, "relaxation")


def test_missing_values_are_dropped_only_on_request_and_counted(write):
    """The provenance keeps how many rows were left out; messages keep the rows of the file."""
    text = programming(conductance="", extra=",1e-6\n1e-6,2e-6\n")
    table = read_table(write(text), "programming", drop_missing=True)
    assert (table.provenance.rows, table.provenance.rows_dropped) == (21, 2)
    with pytest.raises(InputError, match="row 24: the value is infinite"):
        read_table(write(text + "1e-6,inf\n"), "programming", drop_missing=True)
    with pytest.raises(InputError, match="every row lacks a value"):
        read_table(write("target_S,conductance_S\n1,\n"), "programming", drop_missing=True)


def test_directions_are_up_or_down():
    """Any case is read; anything else is refused with its row."""
    data = {"pulse": [1, 2], "direction": ["Up", "down "], "conductance_S": [1e-6, 2e-6]}
    assert read_table(data, "pulses")["direction"].tolist() == [1.0, -1.0]
    with pytest.raises(InputError, match="row 2: 'left' is not up or down"):
        read_table(data | {"direction": ["up", "left"]}, "pulses")


def test_sampling_rate_stands_for_the_times():
    """Each cell starts at 0; a rate beside times, of no kind or not positive is refused."""
    data = {"conductance_S": [1e-6] * 4, "cell": list("aabb")}
    table = read_table(data, "read-noise", sampling_rate=10.0)
    assert table["time_s"].tolist() == [0.0, 0.1, 0.0, 0.1]
    with pytest.raises(InputError, match="lacks the column 'time_s'"):
        read_table(data, "read-noise")
    with pytest.raises(InputError, match="has the column time_s"):
        read_table(data | {"time_s": [0, 1, 0, 1]}, "read-noise", sampling_rate=10.0)
    with pytest.raises(InputError, match="sampling_rate=0"):
        read_table(data, "read-noise", sampling_rate=0)
    with pytest.raises(InputError, match="no meaning for programming"):
        read_table(data | {"target_S": [1e-6] * 4}, "programming", sampling_rate=1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "programing"}, "did you mean 'programming'"),
        ({"columns": {"target": "G"}}, "unknown column 'target'"),
        ({"columns": {"target_S": "H"}}, "lacks the column 'H'"),
        ({"columns": {"cell": "chip"}}, "lacks the column 'chip'"),
        ({"columns": {"target_S": "conductance_S"}}, "both read from 'conductance_S'|another"),
        ({"source": 3}, "not int"),
        ({"source": "no/such/file.csv"}, "cannot read no/such/file.csv"),
        ({"source": {"target_S": [1e-6], "conductance_S": [1e-6, 2e-6]}}, "do not make a table"),
    ],
)
def test_unusable_arguments_are_refused(options, message):
    """Kinds, names and sources that do not exist."""
    arguments = {
        "source": {"target_S": [1e-6, 2e-6], "conductance_S": [1e-6, 2e-6]},
        "kind": "programming",
    }
    with pytest.raises(InputError, match=message):
        read_table(**(arguments | options))


def test_a_lost_sample_leaves_a_gap_in_the_times():
    """With a sampling rate, rows that are left out do not move the samples after them."""
    data = {"conductance_S": [1e-6, np.nan, 3e-6, 4e-6]}
    table = read_table(data, "read-noise", sampling_rate=10.0, drop_missing=True)
    assert table["time_s"].tolist() == [0.0, 0.2, 0.3]


def test_one_of_two_columns_is_asked_for():
    """A table with neither is refused with what it has; one of them suffices."""
    with pytest.raises(InputError, match=r"one of the columns 'heater_power_W'.*it has 'P', 'outp"):
        read_table({"P": [0.1], "output_power_W": [1e-3]}, "phase-shifter")
    data = {"P": [0.1], "output_power_W": [1e-3]}
    assert "heater_power_W" in read_table(data, "phase-shifter", columns={"heater_power_W": "P"})


def test_rows_with_more_fields_than_columns_are_refused(write):
    """The message speaks of the file, not of the reader."""
    with pytest.raises(InputError, match="more fields than the 2 columns"):
        read_table(write("target_S,conductance_S\n1e-6,1e-6,3\n1e-6,1e-6\n"), "programming")
