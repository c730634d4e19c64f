"""Figure of training runs: what they reach against what they spend."""

from collections.abc import Iterator, Mapping

import numpy as np
import xarray as xr

from zerohm._errors import InputError
from zerohm._figures import AnyAxes, drawing

from ..labels import axis_label
from ..statistics import Band, quartiles, summary
from .data import (
    ACCURACY,
    further_dimension,
    names,
    references,
    remember,
    select,
    together,
    value_label,
)
from .drawing import Array, Legend, draw_line, draw_references, set_y_scale


def learning_curves(
    runs: xr.Dataset | Mapping[str, xr.Dataset],
    *,
    variable: str = ACCURACY,
    x: str = "forward_passes",
    band: str = "quartiles",
    confidence: float = 0.95,
    reference: Mapping[str, float] | None = None,
    ax: AnyAxes | None = None,
    columns: int = 1,
) -> AnyAxes:
    """What training runs reach, by default accuracy, against the forward passes spent.

    Parameters
    ----------
    runs : a training run; or a sweep that was run with ``curves=True``, over ``seed`` and one
        further parameter at most; or label -> run or sweep over ``seed``, for several to compare.
    variable : of a run; accuracies are in percent, others have a logarithmic axis if they are
        positive and span over a decade.
    x : variable of a run on the horizontal axis. Where seeds differ in it, their median counts.
    band, confidence : of several seeds, as in :func:`noise_accuracy`.
    reference, ax, columns : as in :func:`noise_accuracy`; of several runs the attribute
        ``references`` of the first counts. There are none for other variables than accuracies.

    Raises
    ------
    InputError : there is no run, one has no such variables or more dimensions, or a setting is
        out of range.

    Examples
    --------
    >>> run = xr.Dataset({
    ...     "deployed_accuracy": ("step", [0.1, 0.6, 0.9]),
    ...     "forward_passes": ("step", [0, 100, 200]),
    ... })
    >>> ax = learning_curves({"NoiseZO": run}, reference={"chance": 0.1})
    >>> ax.lines[0].get_ydata()
    array([10., 60., 90.])
    """
    chosen = Band(band, confidence)
    curves = _curves_together(runs, variable, x).compute()
    kept = [name for name in ("step", "run") if name in curves.dims]  # even of a single value
    values = select(curves, f"{variable}_curve", *kept).rename(variable)
    spent = _middle(select(curves, f"{x}_curve", *kept).rename(x))
    further = further_dimension(values, "step")
    is_accuracy = variable.endswith("accuracy")
    if reference is not None and not is_accuracy:
        raise InputError(f"references are accuracies: there are none for {variable!r}")
    dashed = references(curves, reference) if is_accuracy else {}
    label, scale = value_label(values)
    with drawing(ax, columns) as axes:
        legend = Legend(title=_title(values, further, chosen))
        alone = chosen.said(values) if "seed" in values.dims else "Training run"
        for name, line, passes in _lines(values, spent, further, alone):
            draw_line(axes, passes, scale * line, name, legend, chosen)
        if is_accuracy:
            low, high = scale * float(values.min()), scale * float(values.max())
            percent = {name: scale * value for name, value in dashed.items()}
            draw_references(axes, percent, low, high, legend)
        else:
            set_y_scale(axes)
        axes.set_xlabel(axis_label(spent)[0])
        axes.set_ylabel(label)
        legend.draw(axes)
    settings = {"variable": variable, "x": x, "band": band, "confidence": confidence}
    table = summary(values, chosen).assign({x: spent})
    remember(axes, curves, curves, table, "learning_curves", **settings)
    return axes


def _curves_together(
    runs: xr.Dataset | Mapping[str, xr.Dataset], variable: str, x: str
) -> xr.Dataset:
    """The variables as ``<name>_curve`` over ``step``, of labelled runs also over ``run``."""
    if isinstance(runs, xr.Dataset):
        return _curves(runs, variable, x)
    return together({n: _curves(run, variable, x, f"{n}: ") for n, run in runs.items()})


def _curves(ds: xr.Dataset, variable: str, x: str, where: str = "") -> xr.Dataset:
    """Both variables over ``step``, of a run or of a sweep that kept its curves."""
    found = {}
    for name in (variable, x):
        curve = f"{name}_curve" if f"{name}_curve" in ds else name
        if curve not in ds or "step" not in ds[curve].dims:
            raise InputError(
                f"{where}no variable {name!r} over step: a training run has it, or a sweep that "
                f"was run with curves=True, but here are {sorted(map(str, ds.data_vars))}"
            )
        found[f"{name}_curve"] = ds[curve].reset_coords(drop=True)
    if "step" not in ds.coords:
        found = {
            name: v.assign_coords(step=np.arange(v.sizes["step"])) for name, v in found.items()
        }
    return xr.Dataset(found, attrs=ds.attrs)


def _lines(
    values: xr.DataArray, spent: xr.DataArray, further: str | None, alone: str
) -> Iterator[tuple[str, xr.DataArray, Array]]:
    """Name, values and positions of every line, without the steps that others recorded."""
    places = (
        [(alone, {})]
        if further is None
        else [(name, {further: i}) for i, name in enumerate(names(values[further]))]
    )
    for name, place in places:
        line = values.isel(place).transpose("step", ...)
        positions = spent.isel(place, missing_dims="ignore")
        recorded = positions.notnull() & _middle(line).notnull()
        yield name, line[recorded.values], positions[recorded.values].values


def _title(values: xr.DataArray, further: str | None, band: Band) -> str | None:
    """What distinguishes the lines, where their names don't say it, and what the bands are."""
    if further is None:
        return None
    said = [] if further == "run" else [axis_label(values[further])[0]]
    return "\n".join([*said, *([band.said(values)] if "seed" in values.dims else [])]) or None


def _middle(values: xr.DataArray) -> xr.DataArray:
    """The median over ``seed``, where there are seeds."""
    if "seed" not in values.dims:
        return values
    return quartiles(values).sel(quantile=0.5, drop=True).assign_attrs(values.attrs)
