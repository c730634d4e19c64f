"""Figures of sweeps over one parameter, drawn to go into a paper as they are."""

from collections.abc import Mapping

import xarray as xr
from matplotlib.axes import Axes

from zerohm._figures import AnyAxes, drawing

from ..labels import axis_label
from ..statistics import Band, summary
from .data import (
    ACCURACY,
    ACCURACY_LABEL,
    further_dimension,
    lines,
    numeric,
    references,
    remember,
    select,
    value_label,
)
from .drawing import Legend, draw_line, draw_references, set_x_scale, set_y_scale


def noise_accuracy(
    ds: xr.Dataset,
    x: str = "write_noise",
    *,
    band: str = "quartiles",
    confidence: float = 0.95,
    reference: Mapping[str, float] | None = None,
    ax: AnyAxes | None = None,
    columns: int = 1,
) -> AnyAxes:
    """Accuracy on freshly written hardware against the amount of noise.

    Over ``seed`` the line has a band, and up to ten seeds are also shown one by one. One more
    swept dimension gives one line for each of its values. If references such as chance lie far
    below everything else, the axis is broken in between.

    Parameters
    ----------
    ds : a sweep's dataset with the variable ``deployed_accuracy``, a fraction.
    x : the swept parameter on the horizontal axis; fractions are shown in percent.
    band : "quartiles", the interquartile range around the median, or "confidence", the Student-t
        confidence interval around the mean; the legend says which.
    confidence : of that interval.
    reference : name -> accuracy (a fraction), drawn as dashed lines; by default those in the
        JSON attribute ``references`` of the dataset, if it has one.
    ax : axes to draw into; by default those of a new figure.
    columns : width of a new figure: 1 or 2 columns of a paper (3.5 or 7.16 inch).

    Returns
    -------
    The axes drawn into. Those of a new figure have ``savefig``.

    Raises
    ------
    InputError : a dimension or variable is missing, too many dimensions are left, or a setting
        is out of range.

    Examples
    --------
    >>> ds = xr.Dataset(
    ...     {"deployed_accuracy": (("write_noise", "seed"), [[0.95, 0.96], [0.8, 0.9]])},
    ...     coords={"write_noise": [0.0, 0.1], "seed": [0, 1]},
    ... )
    >>> ax = noise_accuracy(ds, band="confidence", reference={"chance": 0.1})
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['Mean and 95 % confidence interval of 2 seeds', 'Chance (10 %)']
    >>> ax.savefig(getfixture("tmp_path") / "figure.pdf")
    """
    chosen = Band(band, confidence)
    accuracy = select(ds, ACCURACY, x)
    dashed = {name: 100 * value for name, value in references(ds, reference).items()}
    with drawing(ax, columns) as axes:
        legend = _draw_lines(axes, accuracy, x, 100.0, chosen)
        low, high = 100 * float(accuracy.min()), 100 * float(accuracy.max())
        draw_references(axes, dashed, low, high, legend)
        axes.set_ylabel(ACCURACY_LABEL)
        legend.draw(axes)
    settings = {"x": x, "band": band, "confidence": confidence}
    table = summary(accuracy, chosen)
    remember(axes, ds, accuracy.to_dataset(), table, "noise_accuracy", **settings)
    return axes


def error_versus_size(
    ds: xr.Dataset,
    variable: str,
    x: str = "size",
    *,
    band: str = "quartiles",
    confidence: float = 0.95,
    ax: AnyAxes | None = None,
    columns: int = 1,
) -> AnyAxes:
    """Any variable, for example the error that wires cause, against the size of the array.

    Seeds and one more swept dimension are shown as in :func:`noise_accuracy`. An axis is
    logarithmic if all that it shows, the band included, is positive and spans over a decade.

    Parameters
    ----------
    ds : a sweep's dataset.
    variable : its name; the axis is labelled by its attributes ``long_name`` and ``units``.
    x : the swept parameter on the horizontal axis.
    band, confidence, ax, columns : as in :func:`noise_accuracy`.

    Raises
    ------
    InputError : as in :func:`noise_accuracy`.

    Examples
    --------
    >>> ds = xr.Dataset(
    ...     {"relative_error": (("size", "seed"), [[0.001, 0.002], [0.01, 0.03]])},
    ...     coords={"size": [32, 128], "seed": [0, 1]},
    ... )
    >>> error_versus_size(ds, "relative_error").get_ylabel()
    'Relative error'
    """
    chosen = Band(band, confidence)
    values = select(ds, variable, x)
    label, scale = value_label(values)
    with drawing(ax, columns) as axes:
        legend = _draw_lines(axes, values, x, scale, chosen)
        set_y_scale(axes)
        axes.set_ylabel(label)
        legend.draw(axes)
    settings = {"variable": variable, "x": x, "band": band, "confidence": confidence}
    table = summary(values, chosen)
    remember(axes, ds, values.to_dataset(), table, "error_versus_size", **settings)
    return axes


def _draw_lines(ax: Axes, values: xr.DataArray, x: str, scale: float, band: Band) -> Legend:
    """A line for each value of the further dimension, if there is one, over ``x``."""
    positions = numeric(values[x])
    further = further_dimension(values, x)
    scaled = (scale * values).rename(values.name).transpose(x, ...)
    legend = Legend(title=None)
    if further is None:
        draw_line(ax, positions, scaled, band.said(values), legend, band)
    else:
        for name, line in lines(scaled, further):
            draw_line(ax, positions, line, name, legend, band)
        legend.title = f"{axis_label(values[further])[0]}\n{band.said(values)}"
    set_x_scale(ax, positions)
    ax.set_xlabel(axis_label(values[x])[0])
    return legend
