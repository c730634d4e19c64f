"""The pieces of every figure: lines with bands, references, a broken axis."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import NDArray

from zerohm._figures import figure_of, legend_columns

from ..statistics import Band

Array = NDArray[Any]

MARKERS = "os^Dv<>"
DASHES = ((4, 2), (1, 1.5), (6, 1.5, 1, 1.5))
FEW_SEEDS = 10
"""Up to this many seeds are also drawn one by one."""
LETTERS = 19
"""Letters of a legend that fit over an inch of the axes."""
LOWER, UPPER = 0.12, 0.17
"""Where a broken axis is broken, as fractions of its height."""


@dataclass
class Legend:
    """Entries of a legend, collected while drawing."""

    title: str | None
    handles: list[Any] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def add(self, handle: Any, name: str) -> None:
        """One more entry."""
        self.handles.append(handle)
        self.names.append(name)

    def draw(self, ax: Axes) -> None:
        """Put the legend above the axes, where it can't hide data."""
        width = ax.get_position().width * figure_of(ax).get_figwidth()
        ax.legend(
            self.handles,
            self.names,
            title=self.title,
            alignment="left",
            loc="lower left",
            bbox_to_anchor=(0, 1.02),
            ncols=legend_columns(self.names, LETTERS * width),
        )


def draw_line(
    ax: Axes, x: Array, values: xr.DataArray, name: str, legend: Legend, band: Band
) -> None:
    """Draw values over ``x``; of several seeds line and band and, if few, each seed.

    Parameters
    ----------
    x : (n,).
    values : (n,) or (n, seed), in the unit of the axis.
    """
    marker = MARKERS[len(legend.names) % len(MARKERS)]
    low, middle, high = (part.values for part in band.around(values))
    (line,) = ax.plot(x, middle, marker=marker, label=name)
    if "seed" not in values.dims:
        legend.add(line, name)
        return
    colour = line.get_color()
    legend.add((ax.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0), line), name)
    if values.sizes["seed"] <= FEW_SEEDS:
        points: dict[str, Any] = {
            "marker": ".",
            "markeredgewidth": 0,
            "markersize": 4,
            "linestyle": "none",
        }
        ax.plot(x, values.values, color=colour, alpha=0.4, gid="seeds", **points)


def draw_references(
    ax: Axes, references: Mapping[str, float], low: float, high: float, legend: Legend
) -> None:
    """Dashed lines at reference accuracies (percent), all of them visible.

    Where nothing but references lies in the lower half of the axis, the axis is broken.

    Parameters
    ----------
    low, high : range of what is drawn already, percent.
    """
    for number, (name, value) in enumerate(references.items()):
        dashes = (0, DASHES[number % len(DASHES)])
        line = ax.axhline(value, label=name, color="0.3", linewidth=0.8, linestyle=dashes, zorder=1)
        legend.add(line, f"{name[:1].upper()}{name[1:]} ({value:.3g} %)")
    levels = sorted({low, *(value for value in references.values() if value < low)})
    top = max([high, *references.values()])
    gaps = np.diff(levels)
    if len(gaps) and gaps.max() > (top - levels[0]) / 2:
        cut = int(gaps.argmax()) + 1
        margin = max(0.08 * (top - levels[cut]), 0.5)
        _break_axis(ax, levels[:cut], levels[cut] - margin, top + margin)


def set_x_scale(ax: Axes, x: Array) -> None:
    """Logarithmic if all values are positive and span more than a decade, otherwise linear."""
    if not spans_decade(x.min(), x.max()):
        return
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    if len(x) <= 8:
        ax.xaxis.set_major_locator(FixedLocator(x.tolist()))
        ax.xaxis.set_minor_locator(NullLocator())


def set_y_scale(ax: Axes) -> None:
    """Logarithmic if all that is drawn is positive and spans more than a decade."""
    if spans_decade(*ax.dataLim.intervaly):
        ax.set_yscale("log")


def spans_decade(least: float, most: float) -> bool:
    """Whether a range is positive and wider than a factor of ten."""
    return bool(least > 0 and most > 10 * least)


def _break_axis(ax: Axes, below: list[float], bottom: float, top: float) -> None:
    """Leave out the empty part of the y axis between ``max(below)`` and ``bottom``.

    It stays one axis with a piecewise linear scale, marked by two strokes where it breaks.
    """
    room = 0.07 * (top - bottom)
    values = [below[0] - room, below[-1] + room, bottom, top]
    heights = [0.0, LOWER, UPPER, 1.0]
    scale = (_piecewise(values, heights), _piecewise(heights, values))
    ax.set_yscale("function", functions=scale)
    ax.set_ylim(values[0], top)
    ticks = MaxNLocator(nbins=6, steps=[1, 2, 5, 10]).tick_values(bottom, top)
    visible = [float(tick) for tick in ticks if bottom <= tick <= min(top, 100)]
    ax.yaxis.set_major_locator(FixedLocator([*below, *visible]))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    _mark_break(ax)


def _piecewise(start: list[float], end: list[float]) -> Callable[[Array], Array]:
    return lambda values: np.interp(values, start, end)


def _mark_break(ax: Axes) -> None:
    x, y = [0, 0], [LOWER, UPPER]
    paper_colour = ax.get_facecolor()
    shared: dict[str, Any] = {"transform": ax.transAxes, "clip_on": False, "zorder": 4}
    stroke: dict[str, Any] = {"marker": [(-1, -0.5), (1, 0.5)], "markersize": 6}
    ax.add_artist(Line2D(x, y, color=paper_colour, linewidth=2, solid_capstyle="butt", **shared))
    ax.add_artist(Line2D(x, y, color="black", linestyle="none", mew=0.6, **stroke, **shared))
