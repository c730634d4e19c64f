"""The page that shows a calibration: panels of data, fit, band and residuals, and the numbers."""

import textwrap
from collections.abc import Sequence

import matplotlib
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from zerohm._figures import PaperFigure, keep, legend_columns, paper
from zerohm._version import __version__

from .panel import Panel

PANEL_HEIGHT, LINE_HEIGHT = 2.5, 0.14  # inch
COLUMN = 44  # characters that one of the two columns of numbers holds
MARGIN = 0.35  # inch, title and room around the text
FEW, MANY = 30, 2000
"""Up to so many points are drawn large; more than so many as pixels, which keeps files small."""

ROW = 58
"""Letters that fit beside each other over a panel."""


def page(
    panels: Sequence[Panel], *, title: str, numbers: Sequence[str], remarks: Sequence[str]
) -> Figure:
    """Panels two by two; below them the numbers in two columns, and the remarks."""
    wrapped = [part for line in remarks for part in textwrap.wrap(line, 120)]
    depth = (len(numbers) + 1) // 2
    rows = (len(panels) + 1) // 2
    text_height = LINE_HEIGHT * (depth + len(wrapped)) + MARGIN
    heights = [PANEL_HEIGHT] * rows + [text_height]
    with paper(columns=2):
        width = matplotlib.rcParams["figure.figsize"][0]
        figure = PaperFigure(figsize=(width, sum(heights) + MARGIN))
        figure.suptitle(title, fontsize="large")
        grid = figure.add_gridspec(rows + 1, 2, height_ratios=heights)
        for number, panel in enumerate(panels):
            whole_row = number == len(panels) - 1 and number % 2 == 0
            place = grid[number // 2, :] if whole_row else grid[number // 2, number % 2]
            draw(panel, figure.add_subplot(place))
        ground = figure.add_subplot(grid[rows, :])
        ground.axis("off")
        shrink = min(1.0, COLUMN / max(map(len, numbers), default=1))
        _write(ground, 0.0, [*numbers[:depth], "", *wrapped], shrink)
        _write(ground, 0.5, numbers[depth:], shrink)
    data = _drawn(panels).assign_attrs(
        title=title,
        parameters="\n".join(numbers),
        remarks="\n".join(remarks),
        zerohm_version=__version__,
    )
    keep(ground, data, data)
    return figure


def _drawn(panels: Sequence[Panel]) -> xr.Dataset:
    """All points, lines and bands, one below the other; what a row does not have is NaN."""
    rows = []
    for panel in panels:
        axes = {"x_axis": panel.x_label, "y_axis": panel.y_label}
        for name, (x, y) in panel.points.items():
            rows.append(pd.DataFrame({**axes, "kind": "points", "name": name, "x": x, "y": y}))
        for name, (x, y) in panel.lines.items():
            rows.append(pd.DataFrame({**axes, "kind": "line", "name": name, "x": x, "y": y}))
        for name, (x, low, high) in panel.bands.items():
            band = {"kind": "band", "name": name, "x": x, "low": low, "high": high}
            rows.append(pd.DataFrame({**axes, **band}))
    return xr.Dataset.from_dataframe(pd.concat(rows, ignore_index=True).rename_axis("row"))


def _write(ax: Axes, x: float, lines: Sequence[str], shrink: float) -> None:
    """Lines of text downwards from the top of the axes, without a claim to room."""
    text = ax.text(
        x,
        1.0,
        "\n".join(lines),
        va="top",
        transform=ax.transAxes,
        fontsize=shrink * matplotlib.rcParams["font.size"],
        linespacing=1.2 / shrink,
    )
    text.set_in_layout(False)


def draw(panel: Panel, ax: Axes) -> None:
    """One panel into one pair of axes; a line named like points is theirs and has their colour."""
    colours = {}
    for name, (x, y) in panel.points.items():
        few = len(x) <= FEW
        [drawn] = ax.plot(
            x,
            y,
            "o" if few else ".",
            label=name,
            alpha=1.0 if few else 0.5,
            markeredgewidth=0,
            rasterized=len(x) > MANY,
            zorder=1,
        )
        colours[name] = drawn.get_color()
    for name, (x, low, high) in panel.bands.items():
        ax.fill_between(x, low, high, label=name, color="0.5", alpha=0.25, linewidth=0, zorder=0)
    for name, (x, y) in panel.lines.items():
        if name in colours:
            ax.plot(x, y, label=f"{name}, fit", color=colours[name], zorder=2)
        else:
            ax.plot(x, y, label=name, zorder=2)
    ax.set_xscale(panel.x_scale)
    ax.set_yscale(panel.y_scale)
    ax.set_xlabel(panel.x_label)
    ax.set_ylabel(panel.y_label)
    labels = ax.get_legend_handles_labels()[1]
    if labels:
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=legend_columns(labels, ROW))
