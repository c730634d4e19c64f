"""A summary as text to print: rounded to what the seeds can tell, with what it is and its unit."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import xarray as xr

from ..figures.data import value_label
from ..labels import axis_label
from .tables import frame, row_dimensions, summarised, summary_table

MISSING = "–"
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class PrintedColumn:
    """One column: its heading with the unit, what its cells say of the seeds, its cells."""

    heading: str
    statistic: str
    cells: list[str]
    numeric: bool = True


def printed_summary(
    ds: xr.Dataset,
    *,
    band: str,
    variables: Sequence[str] | None = None,
    confidence: float = 0.95,
) -> list[PrintedColumn]:
    """The columns of :func:`~.tables.summary_table` as text, fractions in percent.

    The spread has two significant digits and the value the same decimals (JCGM 100:2008, 7.2.6);
    a value without a spread has four significant digits.

    Examples
    --------
    >>> values = ("seed", [0.951, 0.963, 0.958])
    >>> ds = xr.Dataset({"loss": values}, {"seed": [0, 1, 2]}, {"grid": '{"seed": [0, 1, 2]}'})
    >>> printed_summary(ds, band="confidence", variables=["loss"])[0].cells
    ['0.957 ± 0.015']
    """
    rows = [name for name in row_dimensions(ds) if name != "seed"]
    chosen = summarised(ds, variables)
    summary = summary_table(ds, band=band, variables=variables, confidence=confidence)
    table = frame(summary, rows)
    columns = [parameter_column(ds[name], table[name].tolist()) for name in rows]
    counts: dict[tuple[str, ...], list[str]] = {}
    for name, variable in chosen.data_vars.items():
        if "seed" not in variable.dims:
            columns.append(_value_column(variable, "", [(v,) for v in table[name]]))
            continue
        parts: tuple[str, ...] = ("median", "lower_quartile", "upper_quartile")
        said = "median (quartiles)"
        if band == "confidence":
            parts, said = (
                ("mean", "half_width"),
                f"mean, {100 * confidence:g} % confidence interval",
            )
        cells = list(zip(*(table[f"{name}_{part}"] for part in parts), strict=True))
        columns.append(_value_column(variable, said, cells))
        seeds = tuple(f"{count:.0f}" for count in table[f"{name}_seeds"])
        counts.setdefault(seeds, []).append(columns[-1].heading)
    for seeds, headings in counts.items():  # one column for all variables, if they agree
        heading = "Seeds" if len(counts) == 1 else f"Seeds of {', '.join(headings)}"
        columns.append(PrintedColumn(heading, "", list(seeds)))
    return columns


def parameter_column(
    coordinate: xr.DataArray, values: Sequence[Any] | None = None
) -> PrintedColumn:
    """Values of a swept parameter, by default all; at most twelve digits, so that 0.07 is 7 %."""
    heading, scale = axis_label(coordinate)
    shown = coordinate.values.tolist() if values is None else values
    if coordinate.dtype.kind not in "iuf":
        return PrintedColumn(heading, "", [str(value) for value in shown], numeric=False)
    cells = [_minus(f"{value * scale:.12g}") for value in shown]
    return PrintedColumn(heading, "", cells)


def _value_column(
    variable: xr.DataArray, said: str, cells: list[tuple[float, ...]]
) -> PrintedColumn:
    """Cells are a value, or a value and its half width, or a value and two quartiles."""
    heading, scale = value_label(variable)
    heading = " ".join(heading.split())  # axes break it into lines
    if variable.dtype.kind in "biu" and not said:
        return PrintedColumn(heading, said, [str(value) for (value,) in cells])
    largest = max((abs(scale * cell[0]) for cell in cells if math.isfinite(cell[0])), default=0.0)
    exponent = _common_exponent(largest)
    if exponent:
        power = f"10{str(exponent).translate(_SUPERSCRIPTS)}"
        bare, _, unit = heading.rpartition(" (")
        heading = f"{bare} ({power} {unit}" if bare else f"{heading} ({power})"
    factor = scale / 10.0**exponent
    texts = [_cell(*(factor * part for part in cell)) for cell in cells]
    return PrintedColumn(heading, said, texts)


def _common_exponent(largest: float) -> int:
    """A multiple of three for what would need many zeros, otherwise 0."""
    if largest == 0 or 1e-3 <= largest < 1e5:
        return 0
    return 3 * math.floor(math.log10(largest) / 3)


def _cell(value: float, *spread: float) -> str:
    """``value``, ``value ± half width`` or ``value (lower to upper)``, as far as they are known."""
    if math.isnan(value):
        return MISSING
    spread = tuple(part for part in spread if not math.isnan(part))
    width = (spread[1] - spread[0]) / 2 if len(spread) == 2 else sum(spread)
    decimals = _decimals(width, 2) if width > 0 else _decimals(abs(value), 4)
    texts = [_minus(f"{part:.{decimals}f}") for part in (value, *spread)]
    if len(texts) == 1:
        return texts[0]
    return f"{texts[0]} ± {texts[1]}" if len(texts) == 2 else "{} ({} to {})".format(*texts)


def _decimals(number: float, digits: int) -> int:
    """Decimals that leave so many significant digits; none of a large number is dropped."""
    return max(0, digits - 1 - math.floor(math.log10(number))) if number > 0 else 0


def _minus(number: str) -> str:
    return number.replace("-", "−")
