"""Figures of sweeps and runs, drawn to go into a paper as they are."""

import json
from collections.abc import Callable, Mapping

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from zerohm._errors import InputError
from zerohm._figures import PaperFigure, paper

from .drawing import Array, Legend, draw_line, draw_references, set_x_scale
from .labels import axis_label

ACCURACY = "deployed_accuracy"
ACCURACY_LABEL = "Test accuracy on\nfreshly written arrays (%)"


def noise_accuracy(
    ds: xr.Dataset,
    x: str = "write_noise",
    *,
    reference: Mapping[str, float] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Accuracy on freshly written hardware against the amount of noise.

    The line is the median over ``seed``, the band its interquartile range, faint points are
    single seeds. One more swept dimension gives one line for each of its values. If references
    such as chance lie far below everything else, the axis is broken in between.

    Parameters
    ----------
    ds : a sweep's dataset with the variable ``deployed_accuracy``, a fraction.
    x : the swept parameter on the horizontal axis; fractions are shown in percent.
    reference : name -> accuracy (a fraction), drawn as dashed lines; by default those in the
        JSON attribute ``references`` of the dataset, if it has one.
    ax : axes to draw into; by default those of a new figure of one column's width.

    Raises
    ------
    InputError : a dimension or variable is missing, or too many dimensions are left.

    Examples
    --------
    >>> ds = xr.Dataset(
    ...     {"deployed_accuracy": (("write_noise", "seed"), [[0.95, 0.96], [0.8, 0.9]])},
    ...     coords={"write_noise": [0.0, 0.1], "seed": [0, 1]},
    ... )
    >>> noise_accuracy(ds, reference={"chance": 0.1}).axes[0].get_xlabel()
    'Write noise (% of the conductance window)'
    """
    accuracy = _variable(ds, ACCURACY, x)
    if not np.issubdtype(accuracy[x].dtype, np.number):
        raise InputError(f"x={x!r} holds text: the horizontal axis needs a numeric parameter")
    further = _further_dimension(accuracy, x)
    references = _references(ds, reference)
    label, scale = axis_label(accuracy[x])
    positions = accuracy[x].values * scale
    with paper():
        ax = PaperFigure().add_subplot() if ax is None else ax
        legend = Legend(title=_meaning(accuracy))
        if further is None:
            draw_line(ax, positions, accuracy.transpose(x, ...), _meaning(accuracy), legend)
            legend.title = None
        else:
            for name, line in _lines(accuracy, further):
                draw_line(ax, positions, line.transpose(x, ...), name, legend)
            legend.title = f"{axis_label(accuracy[further])[0]}\n{legend.title}"
        set_x_scale(ax, positions)
        _finish(ax, accuracy.values, references, label, legend)
    return _figure_of(ax)


def learning_curves(
    runs: xr.Dataset | Mapping[str, xr.Dataset],
    *,
    reference: Mapping[str, float] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Accuracy on freshly written hardware against the forward passes spent.

    Parameters
    ----------
    runs : one training run, or label -> run for several to compare.
    reference, ax : as in ``noise_accuracy``; the attribute ``references`` of the first run counts.

    Raises
    ------
    InputError : there is no run, or one lacks ``deployed_accuracy`` or ``forward_passes`` over
        ``step`` alone.
    """
    labelled = {"Training run": runs} if isinstance(runs, xr.Dataset) else dict(runs)
    if not labelled:
        raise InputError("learning_curves needs at least one run")
    curves = {name: _variable(run, ACCURACY, "step") for name, run in labelled.items()}
    for name, curve in curves.items():
        if curve.ndim > 1:
            raise InputError(f"{name}: a run has the dimension step alone, not {curve.dims}")
    references = _references(next(iter(labelled.values())), reference)
    with paper():
        ax = PaperFigure().add_subplot() if ax is None else ax
        legend = Legend(title=None)
        for name, curve in curves.items():
            passes = _variable(labelled[name], "forward_passes", "step").values
            draw_line(ax, passes, curve, name, legend)
        every = np.concatenate([curve.values for curve in curves.values()])
        _finish(ax, every, references, "Forward passes (batches)", legend)
    return _figure_of(ax)


FIGURES: dict[str, Callable[..., Figure]] = {
    "noise-accuracy": noise_accuracy,
    "learning-curves": learning_curves,
}
"""Kinds of figures by the name that the command line knows them by."""


def _variable(ds: xr.Dataset, name: str, dimension: str) -> xr.DataArray:
    """A variable over at least this dimension, without others of a single value."""
    if name not in ds:
        raise InputError(f"no variable {name!r}: the dataset has {sorted(map(str, ds.data_vars))}")
    variable = ds[name]
    if dimension not in variable.dims:
        raise InputError(f"{name} has no dimension {dimension!r}: it has {list(variable.dims)}")
    if not variable.notnull().any():
        raise InputError(f"{name} has no finished point to draw")
    single = [d for d in variable.dims if d != dimension and variable.sizes[d] == 1]
    return variable.squeeze(single, drop=True)


def _further_dimension(accuracy: xr.DataArray, x: str) -> str | None:
    further = [str(d) for d in accuracy.dims if d not in (x, "seed")]
    if len(further) > 1:
        chosen = {name: accuracy[name].values[0].item() for name in further[1:]}
        raise InputError(
            f"besides {x} and seed, {further} are swept and only one of them can be shown: "
            f"select values of the others, for example ds.sel({chosen})"
        )
    return further[0] if further else None


def _lines(accuracy: xr.DataArray, dimension: str) -> list[tuple[str, xr.DataArray]]:
    """One line per value of a dimension, with the value as its name."""
    scale = axis_label(accuracy[dimension])[1]
    values = [value.item() for value in accuracy[dimension].values]
    names = [value if isinstance(value, str) else f"{value * scale:g}" for value in values]
    return [(name, accuracy.isel({dimension: i})) for i, name in enumerate(names)]


def _meaning(accuracy: xr.DataArray) -> str:
    """What a line and its band show; failed points do not count as seeds."""
    if "seed" not in accuracy.dims:
        return "Single seed"
    counts = accuracy.count("seed").values
    least, most = int(counts[counts > 0].min()), int(counts.max())
    seeds = f"{most}" if least == most else f"{least}–{most}"
    return f"Median and interquartile range of {seeds} seeds"


def _references(ds: xr.Dataset, given: Mapping[str, float] | None) -> dict[str, float]:
    try:
        found = json.loads(ds.attrs.get("references", "{}")) if given is None else given
        references = {str(name): float(value) for name, value in found.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(f"references must map names to accuracies: {error}") from error
    for name, value in references.items():
        if not 0 <= value <= 1:
            raise InputError(f"reference {name!r} is {value}: an accuracy is a fraction in [0, 1]")
    return references


def _finish(
    ax: Axes,
    accuracy: Array,
    references: Mapping[str, float],
    label: str,
    legend: Legend,
) -> None:
    low, high = 100 * float(np.nanmin(accuracy)), 100 * float(np.nanmax(accuracy))
    draw_references(ax, {n: 100 * value for n, value in references.items()}, low, high, legend)
    ax.set_xlabel(label)
    ax.set_ylabel(ACCURACY_LABEL)
    legend.draw(ax)


def _figure_of(ax: Axes) -> Figure:
    figure = ax.get_figure(root=True)
    if figure is None:
        raise InputError("ax belongs to no figure any more")
    return figure
