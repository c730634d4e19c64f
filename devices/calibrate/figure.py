"""The page that shows a calibration: panels of data, fit, band and residuals, and the numbers."""

import textwrap
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from zerohm._figures import PaperFigure, paper

from .result import Panel

WIDTH, PANEL_HEIGHT, LINE_HEIGHT = 7.0, 2.5, 0.14  # inch
MARGIN = 0.35  # inch, title and room around the text
FEW, MANY = 30, 2000
"""Up to so many points are drawn large; more than so many as pixels, which keeps files small."""

ROW = 30
"""Letters of labels with which four entries of a legend fit beside each other."""


def page(
    panels: Sequence[Panel], *, title: str, numbers: Sequence[str], remarks: Sequence[str]
) -> Figure:
    """Panels two by two; below them the numbers in two columns, and the remarks."""
    wrapped = [part for line in remarks for part in textwrap.wrap(line, 120)]
    depth = (len(numbers) + 1) // 2
    rows = (len(panels) + 1) // 2
    text_height = LINE_HEIGHT * (depth + len(wrapped)) + MARGIN
    heights = [PANEL_HEIGHT] * rows + [text_height]
    with paper():
        figure = PaperFigure(figsize=(WIDTH, sum(heights) + MARGIN))
        figure.suptitle(title, fontsize="large")
        grid = figure.add_gridspec(rows + 1, 2, height_ratios=heights)
        for number, panel in enumerate(panels):
            whole_row = number == len(panels) - 1 and number % 2 == 0
            place = grid[number // 2, :] if whole_row else grid[number // 2, number % 2]
            draw(panel, figure.add_subplot(place))
        ground = figure.add_subplot(grid[rows, :])
        ground.axis("off")
        _write(ground, 0.0, [*numbers[:depth], "", *wrapped])
        _write(ground, 0.5, numbers[depth:])
    return figure


def _write(ax: Axes, x: float, lines: Sequence[str]) -> None:
    """Lines of text downwards from the top of the axes, without a claim to room."""
    text = ax.text(x, 1.0, "\n".join(lines), va="top", transform=ax.transAxes)
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
        columns = 4 if len("".join(labels)) < ROW else 3
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=columns)
