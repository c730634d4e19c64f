"""Figure of a variable over two swept parameters."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.patches import Patch

from zerohm._errors import InputError
from zerohm._figures import AnyAxes, drawing, figure_of

from ..labels import axis_label
from ..statistics import Band, counted, summary
from .data import ACCURACY, names, no_further_dimension, remember, select, value_label
from .drawing import Array

NUMBERS = 9
"""Up to so many columns (twice as many in a figure of two columns) have their number in them."""
TICKS = 12
"""Up to so many columns or rows are all labelled."""


def heat_map(
    ds: xr.Dataset,
    x: str,
    y: str,
    *,
    variable: str = ACCURACY,
    ax: AnyAxes | None = None,
    columns: int = 1,
) -> AnyAxes:
    """A variable, by default the accuracy on freshly written hardware, over two parameters.

    Every point of the sweep is a cell of the same size with its values at the axes, whatever the
    distances between these are. Its colour is the median over ``seed``; where there is room, the
    number stands in it. Points without a result are hatched.

    Parameters
    ----------
    ds : a sweep's dataset.
    x, y : the swept parameters along the axes, numbers or text.
    variable : accuracies are in percent, others are labelled by ``long_name`` and ``units``.
    ax, columns : as in :func:`noise_accuracy`; the colour bar takes its room from the axes.

    Raises
    ------
    InputError : a dimension or variable is missing, or more dimensions than these are swept.

    Examples
    --------
    >>> ds = xr.Dataset(
    ...     {"deployed_accuracy": (("write_noise", "adc_bits"), [[0.7, 0.96], [0.5, 0.9]])},
    ...     coords={"write_noise": [0.0, 0.1], "adc_bits": [4, 8]},
    ... )
    >>> heat_map(ds, x="write_noise", y="adc_bits").get_ylabel()
    'ADC resolution (bit)'
    """
    if x == y:
        raise InputError(f"a heat map needs two different parameters, not {x!r} twice")
    if "seed" in (x, y):
        raise InputError("seed is no axis of a heat map, which shows the median over the seeds")
    values = select(ds, variable, x, y)
    no_further_dimension(values, x, y)
    label, scale = value_label(values)
    if "seed" in values.dims:
        label += f",\nmedian of {counted(values)} seeds"
    table = summary(values, Band("quartiles"))
    middle = table[variable if "seed" not in values.dims else f"{variable}_median"]
    with drawing(ax, columns) as axes:
        cells = np.ma.masked_invalid(scale * middle.transpose(y, x).values)
        mesh = axes.pcolormesh(cells, edgecolors="face", linewidth=0.2)
        _label(axes, values[x], values[y])
        if cells.shape[1] <= NUMBERS * columns:
            _write_numbers(axes, mesh, cells)
        if cells.mask.any():
            _hatch(axes)
        bar = figure_of(axes).colorbar(mesh, ax=axes, label=label)
        bar.outline.set_visible(False)
    settings = {"x": x, "y": y, "variable": variable}
    remember(axes, ds, values.to_dataset(), table, "heat_map", **settings)
    return axes


def _label(ax: Axes, x: xr.DataArray, y: xr.DataArray) -> None:
    ax.set_xlabel(axis_label(x)[0])
    ax.set_ylabel(axis_label(y)[0])
    for axis, coordinate in ((ax.xaxis, x), (ax.yaxis, y)):
        step = -(-coordinate.size // TICKS)
        places = np.arange(coordinate.size)[::step]
        axis.set_ticks(places + 0.5, [names(coordinate)[place] for place in places])
        axis.set_tick_params(length=0)
    ax.spines[:].set_visible(False)


def _write_numbers(ax: Axes, mesh: QuadMesh, cells: np.ma.MaskedArray) -> None:
    """Every number in black or white, whichever stands out more from its cell."""
    written = _format(float(abs(cells).max()))
    colours = mesh.to_rgba(cells)
    for row, column in zip(*np.nonzero(~np.ma.getmaskarray(cells)), strict=True):
        colour = "white" if luminance(colours[row, column, :3]) < 0.18 else "black"
        ax.text(
            column + 0.5,
            row + 0.5,
            written.format(cells[row, column]),
            ha="center",
            va="center",
            color=colour,
            fontsize="small",
        )


def _format(largest: float) -> str:
    """Three digits for the largest number, and as many decimals for all others."""
    if not 0.01 <= largest < 10_000:
        return "{:.2g}"
    return f"{{:.{max(0, 2 - int(np.floor(np.log10(largest))))}f}}"


def luminance(colour: Array) -> float:
    """Relative luminance of an sRGB colour (IEC 61966-2-1): 0 black, 1 white.

    White and black stand out alike from 0.18 (the geometric mean of 1.05 and 0.05, less 0.05).
    """
    linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def _hatch(ax: Axes) -> None:
    """Show the ground of the axes, where there is no result."""
    style: dict[str, Any] = {"facecolor": "0.93", "edgecolor": "0.6", "hatch": "////"}
    ax.patch.set(linewidth=0, **style)
    sample = Patch(linewidth=0, label="No result", **style)
    ax.legend(handles=[sample], loc="lower left", bbox_to_anchor=(0, 1.0))
