"""What a report says of a dataset, as rows of text."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.ticker import EngFormatter

from ..figures.data import value_label
from ..labels import attributes
from .printed import MISSING, PrintedColumn, parameter_column, printed_summary
from .tables import SCORES, frame, recorded, row_dimensions

LONGEST = 200
"""Rows of a table in a report; what is left out is said, and where it can be had."""
COUNTERS = (
    "forward_passes",
    "sample_forwards",
    "cell_writes",
    "cells_read_back",
    "dac_conversions",
    "adc_conversions",
    "dac_saturations",
    "adc_saturations",
    "clipped_cells",
    "hardware_time",
)
"""What the hardware did, in the order of the ledger."""
_LONG = 6
"""Numbers of a list that are shown one by one."""
_MANY = 20
"""Swept values that are shown one by one."""
_SHOWN_ELSEWHERE = {"config", "fixed", "grid", "citations", "curves"}


@dataclass(frozen=True)
class Table:
    """Rows of text under headings; the first cell of a row is its own heading."""

    caption: str
    headings: list[str]
    rows: list[list[str]]
    numeric: bool = field(default=False, kw_only=True)
    left_out: int = field(default=0, kw_only=True)


def is_sweep(ds: xr.Dataset) -> bool:
    """Whether the dataset has a point for each combination of parameters."""
    return "grid" in ds.attrs


def headline(ds: xr.Dataset) -> list[tuple[str, str]]:
    """The few numbers to know first, with their names."""
    final = _final(ds)
    facts = [] if not is_sweep(ds) else _points(ds)
    for name in (*SCORES, "master_accuracy", "master_r2", "forward_passes", "cell_writes"):
        if name in final:
            facts.append((_label(final[name]), _range(final[name])))
    if "energy_J" in final and "part" in final["energy_J"].dims:
        energy = final["energy_J"].sum("part", min_count=1).assign_attrs(units="J")
        facts.append(("Energy used in training", _range(energy)))
    return facts


def results(ds: xr.Dataset, band: str, confidence: float) -> Table | None:
    """The scores: of a sweep over its seeds, of a run along its steps; None if it has none."""
    scores = [name for name in (*SCORES, "master_accuracy", "master_r2") if name in ds]
    if not is_sweep(ds):
        shown = [name for name in ("forward_passes", *scores, "train_loss") if name in ds]
        return _table("Scores along the run", printed_summary(ds, band=band, variables=shown))
    scores = scores or _numbers(ds)
    if not scores:
        return None
    columns = printed_summary(ds, band=band, variables=scores, confidence=confidence)
    return _table("Results of each combination of parameters", columns)


def ledger(ds: xr.Dataset) -> Table | None:
    """What the hardware did: in a run, or in the points of a sweep."""
    final = _final(ds)
    counted = [final[name] for name in COUNTERS if name in final]
    return _quantities("What the hardware did", counted) if counted else None


def energy(ds: xr.Dataset) -> Table | None:
    """Energy by part of the hardware, and its sum."""
    final = _final(ds)
    if "energy_J" not in final or "part" not in final["energy_J"].dims:
        return None
    parts = final["energy_J"]
    each = [
        parts.sel(part=name).assign_attrs(long_name=_part(str(name)))
        for name in parts["part"].values
    ]
    total = parts.sum("part", min_count=1).assign_attrs(parts.attrs, long_name="All parts")
    return _quantities("Energy by part of the hardware", [*each, total])


def failures(ds: xr.Dataset) -> Table | None:
    """Points without a result, with the reason; None if there are none."""
    if "error" not in ds or not is_sweep(ds):
        return None
    rows = row_dimensions(ds)
    table = frame(ds[["error"]], rows)
    table = table[table["error"] != ""]
    if table.empty:
        return None
    columns = [parameter_column(ds[name], table[name].tolist()) for name in rows]
    columns.append(PrintedColumn("Reason", "", table["error"].tolist()))
    return _table("Reasons", columns, numeric=False)


def parameters(ds: xr.Dataset) -> list[Table]:
    """Swept parameters, constant ones, and the whole configuration, one table of each."""
    swept = [parameter_column(ds[name]) for name in row_dimensions(ds)] if is_sweep(ds) else []
    rows = [[column.heading, _listed(column.cells)] for column in swept]
    tables = [Table("Swept", ["Parameter", "Values"], rows)]
    for caption, name in (("Constant", "fixed"), ("Configuration", "config")):
        rows = [list(pair) for pair in flat(recorded(ds, name))]
        tables.append(Table(caption, ["Parameter", "Value"], rows))
    return [table for table in tables if table.rows]


def flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as dotted names and text; long lists by their length and range.

    Examples
    --------
    >>> list(flat({"cell": {"name": "A", "drift": None, "bins": list(range(40))}}))
    [('cell.name', 'A'), ('cell.drift', 'none'), ('cell.bins', '40 numbers from 0 to 39')]
    """
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _said(value)


def _listed(cells: list[str]) -> str:
    few = len(cells) <= _MANY
    return ", ".join(cells) if few else f"{len(cells)} values, {cells[0]} to {cells[-1]}"


def _said(value: Any) -> str:
    if isinstance(value, list) and len(value) > _LONG and all(map(_is_number, value)):
        return f"{len(value)} numbers from {min(value)} to {max(value)}"
    if isinstance(value, list):
        return ", ".join(map(_said, value)) or "none"
    return "none" if value is None else str(value)


def provenance(ds: xr.Dataset) -> Table:
    """Everything else that is known of where the numbers come from."""
    rest = {n: v for n, v in ds.attrs.items() if n not in _SHOWN_ELSEWHERE}
    versions = sorted(n for n in rest if str(n).endswith("_version"))
    order = [*(n for n in rest if n not in versions), *versions]
    rows = [[_name(str(n)), str(rest[n])] for n in order]
    return Table("Attributes of the dataset", ["Attribute", "Value"], rows)


def raw_settings(ds: xr.Dataset) -> str:
    """The settings as they were recorded, for programs."""
    found = {n: recorded(ds, n) for n in ("grid", "fixed", "config") if n in ds.attrs}
    return json.dumps(found, indent=1, ensure_ascii=False)


def _numbers(ds: xr.Dataset) -> list[str]:
    """Variables with one number per point."""
    rows = set(row_dimensions(ds))
    return [str(n) for n, v in ds.data_vars.items() if v.dtype.kind in "iuf" and {*v.dims} == rows]


def _final(ds: xr.Dataset) -> xr.Dataset:
    """The last record of a run; a sweep holds the last ones only."""
    return ds if is_sweep(ds) else ds.isel(step=-1)


def _points(ds: xr.Dataset) -> list[tuple[str, str]]:
    total = int(np.prod([ds.sizes[name] for name in row_dimensions(ds)]))
    facts = [("Points", f"{total:,}")]
    if "error" in ds and (missing := int((ds["error"] != "").sum())):
        facts.append(("Points without a result", f"{missing:,}"))
    if "seeds_used" in ds:
        unneeded = total - int(ds["seeds_used"].sum())
        facts.append(("Points that the stop rule did not need", f"{unneeded:,}"))
    return facts


def _part(name: str) -> str:
    return name.upper() if name in ("dac", "adc") else name.replace("_", " ").capitalize()


def _label(variable: xr.DataArray) -> str:
    return str(variable.attrs.get("long_name", _name(str(variable.name))))


def _range(values: xr.DataArray) -> str:
    """One value, or the range of those that there are."""
    finite = np.atleast_1d(values.values).astype(float).ravel()
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        return MISSING
    low, high = (quantity(float(edge), values) for edge in (finite.min(), finite.max()))
    return low if low == high else f"{low} to {high}"


def quantity(value: float, variable: xr.DataArray) -> str:
    """A number with its unit: percent, an SI prefix, or separated thousands."""
    if value_label(variable)[1] == 100:
        return f"{100 * value:.1f} %"
    units = variable.attrs.get("units", "1")
    if units in ("s", "J") and value != 0:
        return str(EngFormatter(unit=units, places=2)(value))
    number = f"{value:,.0f}" if value.is_integer() or abs(value) >= 1e4 else f"{value:.4g}"
    return number if units == "1" else f"{number} {units}"


def _quantities(caption: str, variables: list[xr.DataArray]) -> Table:
    """One row per quantity: its value, or over several points their median and range."""
    names = [_label(variable) for variable in variables]
    if all(variable.size == 1 for variable in variables):
        rows = [[n, quantity(float(v), v)] for n, v in zip(names, variables, strict=True)]
        return Table(caption, ["Quantity", "Amount"], rows, numeric=True)
    rows = []
    for name, variable in zip(names, variables, strict=True):
        finite = variable.values[np.isfinite(variable.values)]
        numbers = [np.median(finite), finite.min(), finite.max()] if finite.size else []
        cells = [quantity(float(n), variable) for n in numbers] or [MISSING] * 3
        rows.append([name, *cells])
    headings = ["Quantity, per point", "Median", "Least", "Most"]
    return Table(caption, headings, rows, numeric=True)


def _table(caption: str, columns: list[PrintedColumn], *, numeric: bool = True) -> Table:
    headings = [", ".join(filter(None, (c.heading, c.statistic))) for c in columns]
    rows = [list(row) for row in zip(*(column.cells for column in columns), strict=True)]
    return Table(caption, headings, rows[:LONGEST], numeric=numeric, left_out=len(rows[LONGEST:]))


def _name(name: str) -> str:
    return attributes(name)["long_name"]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
