"""Reading tables of measurements, and refusing those that cannot be meant as they stand."""

import hashlib
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from zerohm._arrays import Array
from zerohm._errors import InputError, choose

from .source import TEXT, name_of, open_source
from .source import Source as Source


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Columns of one kind of measurement.

    Parameters
    ----------
    required, optional : standard names.
    either : optional ones of which one must be there.
    rising : the column that must ascend strictly within a cell, if order matters.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...] = ("cell",)
    either: tuple[str, ...] = ()
    rising: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """All standard names, the required ones first."""
        return self.required + self.optional


LAYOUTS = {
    "relaxation": Layout(
        required=("cell", "time_s", "conductance_S"), optional=(), rising="time_s"
    ),
    "read-noise": Layout(required=("time_s", "conductance_S"), rising="time_s"),
    "programming": Layout(required=("target_S", "conductance_S")),
    "pulses": Layout(required=("pulse", "direction", "conductance_S")),
    "iv": Layout(required=("voltage_V", "current_A"), optional=("cell", "conductance_S")),
    "phase-shifter": Layout(
        required=("output_power_W",),
        optional=("heater_power_W", "heater_voltage_V", "shifter", "heater", "bias_power_W"),
        either=("heater_power_W", "heater_voltage_V"),
    ),
}
"""The columns that each kind of measurement reads; ``cell`` is optional except in relaxation."""

DIRECTIONS = {"up": 1, "down": -1}


@dataclass(frozen=True)
class _Plausible:
    """What the median magnitude of a column in SI units does not exceed.

    ``largest`` refuses; ``typical`` only picks the prefix that the message suggests.
    """

    largest: float
    typical: float
    unit: str
    bearer: str = "memory cell"


# Wide on purpose: 100 Ω cells, 10 V, 10 mA and 30 years are more than any memory cell shows.
PLAUSIBLE = {
    "conductance_S": _Plausible(1e-2, 3e-4, "S"),
    "target_S": _Plausible(1e-2, 3e-4, "S"),
    "voltage_V": _Plausible(10.0, 5.0, "V"),
    "current_A": _Plausible(1e-2, 1e-3, "A"),
    "time_s": _Plausible(1e9, 1e7, "s"),
    "heater_power_W": _Plausible(1.0, 0.1, "W", "heater"),
    "bias_power_W": _Plausible(1.0, 0.1, "W", "heater"),
    "heater_voltage_V": _Plausible(100.0, 10.0, "V", "heater"),
    "output_power_W": _Plausible(1.0, 0.01, "W", "chip"),
}
"""Medians of magnitudes above ``largest`` are refused as being in another unit."""
PREFIXES = (("m", 1e-3), ("µ", 1e-6), ("n", 1e-9), ("p", 1e-12))


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where data came from; the same data give the same provenance.

    Parameters
    ----------
    file : its name without folders; "" for data in memory.
    sha256 : of the uncompressed content of the file, or of the used columns in memory.
    rows : used; rows_dropped : because a value was missing, on request.
    columns : standard name -> name in the source.
    """

    file: str
    sha256: str
    rows: int
    rows_dropped: int
    columns: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Table:
    """A checked table: finite numbers in SI units under their standard names.

    ``data`` has the columns of the kind that the source has. ``cell`` holds labels as text
    ("" everywhere if the source has no such column), ``direction`` +1 (up) or −1 (down),
    every other column is float64. Rows are in the order of the source.
    """

    kind: str
    data: pd.DataFrame
    provenance: Provenance

    def __getitem__(self, column: str) -> Array:
        """One column of numbers as a float64 array."""
        return np.asarray(self.data[column].to_numpy(dtype=np.float64))

    def __contains__(self, column: str) -> bool:
        return column in self.data.columns

    def __len__(self) -> int:
        return len(self.data)

    @property
    def cell_numbers(self) -> NDArray[np.intp]:
        """(rows,), cells numbered from 0 in the order in which they first appear."""
        return np.asarray(pd.factorize(self.data["cell"])[0], dtype=np.intp)

    def cells(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """Label and rows of one cell after the other, in the order in which they first appear."""
        for label, rows in self.data.groupby("cell", sort=False):
            yield str(label), rows

    def range(self, column: str) -> tuple[float, float]:
        """Smallest and largest value."""
        return float(self.data[column].min()), float(self.data[column].max())


def read_table(
    source: Source,
    kind: str,
    *,
    columns: Mapping[str, str] | None = None,
    drop_missing: bool = False,
    sampling_rate: float | None = None,
) -> Table:
    """Read and check the table of one kind of measurement (columns: see :data:`LAYOUTS`).

    Parameters
    ----------
    source : see :data:`Source`. The separator of a file is the tab, semicolon or comma in its
        first line. A first line of numbers only is data: the file has no header, and its columns
        are called "1", "2", … (as awk and cut count them).
    kind : relaxation, read-noise, programming, pulses, iv or phase-shifter.
    columns : standard name -> name in the source, where they differ.
    drop_missing : leave out rows with a missing value and count them, instead of refusing them.
    sampling_rate : Hz, for read noise without a column ``time_s``.

    Raises
    ------
    InputError : the source cannot be read, lacks columns, holds values that are missing, not
        numbers, infinite or not in SI units, or whose time does not ascend within a cell.

    Examples
    --------
    >>> table = read_table({"G": [1e-6, 2e-6], "target_S": [1e-6, 2e-6]}, "programming",
    ...                    columns={"conductance_S": "G"})
    >>> len(table), table.range("conductance_S")
    (2, (1e-06, 2e-06))
    """
    choose("kind of measurement", kind, LAYOUTS)
    layout, where = LAYOUTS[kind], name_of(source)
    raw = open_source(source, where)
    names = _match(layout, raw.header, columns or {}, where, without_time=sampling_rate is not None)
    given = raw.columns(names)
    if not len(given):
        raise InputError(f"{where} has a header but no rows")
    digest = raw.sha256 or _digest(given)
    numbers = _numbers(given, names, where)
    rows = _complete(numbers, where, drop_missing=drop_missing)
    if "cell" not in numbers:
        numbers = numbers.assign(cell="")
    if sampling_rate is not None:  # before rows are left out: a lost sample leaves a gap
        numbers = numbers.assign(time_s=_sampled(numbers, kind, sampling_rate))
    data = numbers.loc[rows]
    for column in data.columns.intersection(list(PLAUSIBLE)):
        _check_values(data[column], where)
    if layout.rising is not None:
        _check_order(data, layout.rising, where)
    return Table(
        kind=kind,
        data=data.reset_index(drop=True),
        provenance=Provenance(
            file=where if raw.sha256 else "",
            sha256=digest,
            rows=len(data),
            rows_dropped=len(numbers) - len(data),
            columns=names,
        ),
    )


def _match(
    layout: Layout,
    header: list[str],
    columns: Mapping[str, str],
    where: str,
    *,
    without_time: bool,
) -> dict[str, str]:
    """Standard name -> name in the source, of every column that will be read."""
    for standard in columns:
        choose("column", standard, layout.columns)
    wanted = {name: str(columns.get(name, name)) for name in layout.columns}
    if without_time and wanted.get("time_s") in header:
        raise InputError(f"{where} has the column time_s: leave out the sampling rate")
    needed = {*layout.required, *columns} - ({"time_s"} if without_time else set())
    if missing := [name for name in layout.columns if name in needed if wanted[name] not in header]:
        lacks = f"lacks the column{'s'[: len(missing) > 1]}"
        raise InputError(f"{where} {lacks} {_lacking(missing, wanted, header)}")
    if layout.either and not any(wanted[name] in header for name in layout.either):
        one_of = _lacking(list(layout.either), wanted, header)
        raise InputError(f"{where} needs one of the columns {one_of}")
    used = {name: column for name, column in wanted.items() if column in header}
    for standard, column in used.items():
        if header.count(column) > 1:
            raise InputError(f"{where} has {header.count(column)} columns {column!r}: which one?")
        if list(used.values()).count(column) > 1:
            raise InputError(f"{standard} and another quantity are both read from {column!r}")
    return used


def _lacking(missing: list[str], wanted: dict[str, str], header: list[str]) -> str:
    """The columns that are missing, those that are there, and how another name is given."""
    said = []
    for name in missing:
        lowered = {column.lower(): column for column in header}
        close = get_close_matches(wanted[name].lower(), list(lowered), n=1, cutoff=0.5)
        said.append(repr(wanted[name]) + (f" (nearest: {lowered[close[0]]!r})" if close else ""))
    numbered = header == [str(number + 1) for number in range(len(header))]
    no_header = " (no header: its first line holds numbers only)" if numbered else ""
    return (
        f"{', '.join(said)}; it has {', '.join(map(repr, header))}{no_header}. "
        f"Another name is given as {missing[0]}=NAME (columns=, --columns)"
    )


def _digest(frame: pd.DataFrame) -> str:
    """Hash of columns in memory: names, then float64 numbers or lines of text."""
    digest = hashlib.sha256()
    for name in sorted(frame.columns):
        column = frame[name]
        digest.update(f"{name}\n".encode())
        if name in TEXT or column.dtype.kind not in "fiu":
            digest.update("\n".join(column.astype(str)).encode())
        else:
            digest.update(column.to_numpy(dtype="<f8").tobytes())
    return digest.hexdigest()


def _numbers(frame: pd.DataFrame, names: Mapping[str, str], where: str) -> pd.DataFrame:
    """Labels as text, directions as ±1, everything else as float64; missing values stay NaN."""
    found: dict[Hashable, pd.Series] = {}
    for name in frame.columns:
        column = frame[name]
        if name == "cell":
            found[name] = column.astype(str).where(column.notna())
            continue
        if name == "direction":
            numbers = column.astype(str).str.strip().str.lower().map(DIRECTIONS)
            allowed = "up or down"
        else:
            numbers = pd.to_numeric(column, errors="coerce")
            allowed = "a number (with a point, not a comma, for decimals)"
        if len(wrong := np.flatnonzero(numbers.isna() & column.notna())):
            raise InputError(
                f"{where}, column {names[name]!r}, {_row(wrong[0])}: {column.iloc[wrong[0]]!r} is "
                f"not {allowed}; {len(wrong)} such value{'s'[: len(wrong) > 1]} in all"
            )
        found[name] = numbers.astype(np.float64)
    return pd.DataFrame(found)


def _complete(frame: pd.DataFrame, where: str, *, drop_missing: bool) -> pd.Series:
    """Which rows have all their values."""
    missing = frame.isna()
    rows = missing.any(axis=1)
    if rows.any() and not drop_missing:
        counts = missing.sum()
        said = ", ".join(f"{count} in {name}" for name, count in counts.items() if count)
        raise InputError(
            f"{where} has {int(rows.sum())} of {len(frame)} rows with missing values ({said}; "
            f"first: {_row(int(rows.argmax()))}); drop_missing (--drop-missing) leaves them out"
        )
    if rows.all():
        raise InputError(f"{where}: every row lacks a value, nothing is left")
    return ~rows


def _sampled(data: pd.DataFrame, kind: str, sampling_rate: float) -> pd.Series:
    """Times since the first sample of each cell, s."""
    if kind != "read-noise":
        raise InputError(f"a sampling rate has no meaning for {kind}: give the times")
    if not 0 < sampling_rate < np.inf:
        raise InputError(f"sampling_rate={sampling_rate!r} Hz must be positive and finite")
    return data.groupby("cell", sort=False).cumcount() / sampling_rate


def _check_values(column: pd.Series, where: str) -> None:
    """Refuse infinite and impossible values, and medians that only another unit explains."""
    name, values = str(column.name), column.to_numpy(dtype=np.float64)
    if not np.isfinite(values).all():
        first = column.index[~np.isfinite(values)][0]
        raise InputError(f"{where}, column {name}, {_row(first)}: the value is infinite")
    if name == "time_s" and values.min() < 0:
        first = column.index[values < 0][0]
        raise InputError(
            f"{where}, column time_s, {_row(first)}: {values.min():g} s is negative; "
            "times count from the programming of the cell"
        )
    if PLAUSIBLE[name].unit == "S" and np.median(values) < 0:
        raise InputError(
            f"{where}, column {name}: most conductances are negative; conductance is the current "
            "over the voltage, both with their signs"
        )
    _check_unit(name, values, where)


def _check_unit(name: str, values: Array, where: str) -> None:
    limits, magnitudes = PLAUSIBLE[name], np.abs(values[values != 0])
    median = float(np.median(magnitudes)) if magnitudes.size else 0.0
    if median <= limits.largest:
        return
    prefix, factor = next(
        (pair for pair in PREFIXES if median * pair[1] <= limits.typical), PREFIXES[-1]
    )
    raise InputError(
        f"{where}, column {name}: half of the values are above {median:g} {limits.unit}, which no "
        f"{limits.bearer} has (largest plausible median: {limits.largest:g} {limits.unit}); if "
        f"they are in {prefix}{limits.unit}, multiply them by {factor:g}"
    )


def _check_order(data: pd.DataFrame, rising: str, where: str) -> None:
    steps = data.groupby("cell", sort=False)[rising].diff()
    if (steps <= 0).any():
        row = steps.index[steps <= 0][0]
        cell = f"cell {data['cell'][row]!r}, " if data["cell"][row] else ""
        raise InputError(
            f"{where}, {cell}{_row(row)}: {rising}={data[rising][row]:g} does not come after the "
            f"value before it; {rising} must ascend within a cell"
        )


def _row(position: int) -> str:
    """Rows are counted from 1 below the header."""
    return f"row {position + 1}"
