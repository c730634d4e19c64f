"""What of a dataset a figure shows: the one variable, over the dimensions that can be drawn."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from zerohm._errors import InputError
from zerohm._figures import keep

from ..labels import axis_label

ACCURACY = "deployed_accuracy"
ACCURACY_LABEL = "Test accuracy on\nfreshly written arrays (%)"


def select(ds: xr.Dataset, name: str, *dimensions: str) -> xr.DataArray:
    """A variable over at least these dimensions, in memory; one of a single value is no more one.

    Raises
    ------
    InputError : the variable or a dimension is missing, it is not numeric, or has only NaN.
    """
    if name not in ds:
        raise InputError(f"no variable {name!r}: the dataset has {sorted(map(str, ds.data_vars))}")
    found = ds[name]
    for dimension in dimensions:
        if dimension not in found.dims:
            raise InputError(f"{name} has no dimension {dimension!r}: it has {list(found.dims)}")
    if found.dtype.kind not in "biuf":
        raise InputError(f"variable {name!r} holds text, which can't be drawn")
    if not found.notnull().any():
        raise InputError(f"{name} has no finished point to draw")
    single = [d for d in found.dims if d not in dimensions and found.sizes[d] == 1]
    return found.squeeze(single).astype(float).compute()


def further_dimension(values: xr.DataArray, *shown: str) -> str | None:
    """The one dimension, if any, besides ``seed`` and those that are shown already.

    Raises
    ------
    InputError : there are several.
    """
    return next(iter(_further(values, shown, most=1)), None)


def no_further_dimension(values: xr.DataArray, *shown: str) -> None:
    """Raise :class:`InputError` if there is a dimension besides ``seed`` and the shown ones."""
    _further(values, shown, most=0)


def _further(values: xr.DataArray, shown: tuple[str, ...], most: int) -> list[str]:
    further = [str(d) for d in values.dims if d not in (*shown, "seed")]
    if len(further) > most:
        chosen = {name: values[name].values[0].item() for name in further[most:]}
        raise InputError(
            f"besides {' and '.join(shown)} and seed, {further} are swept and "
            f"{'only one of them' if most else 'none of them'} can be shown: "
            f"select values of the others, for example ds.sel({chosen})"
        )
    return further


def lines(values: xr.DataArray, dimension: str) -> list[tuple[str, xr.DataArray]]:
    """One line per value of a dimension, with the value as its name."""
    return [(n, values.isel({dimension: i})) for i, n in enumerate(names(values[dimension]))]


def names(coordinate: xr.DataArray) -> list[str]:
    """The values of a coordinate as text, in the unit of its label."""
    scale = axis_label(coordinate)[1]
    values = coordinate.values.tolist()
    return [value if isinstance(value, str) else f"{value * scale:g}" for value in values]


def numeric(coordinate: xr.DataArray) -> np.ndarray:
    """The values of a coordinate that is an axis, in the unit of its label.

    Raises
    ------
    InputError : they are text.
    """
    if not np.issubdtype(coordinate.dtype, np.number):
        raise InputError(f"x={coordinate.name!r} holds text: the axis needs a numeric parameter")
    scaled: np.ndarray = coordinate.values * axis_label(coordinate)[1]
    return scaled


def value_label(values: xr.DataArray) -> tuple[str, float]:
    """Text of the axis of a variable and the factor to its unit; accuracies are in percent."""
    if values.name == ACCURACY:
        return ACCURACY_LABEL, 100.0
    text, scale = axis_label(values)
    return (f"{text} (%)", 100.0) if str(values.name).endswith("accuracy") else (text, scale)


def references(ds: xr.Dataset, given: Mapping[str, float] | None) -> dict[str, float]:
    """Reference accuracies, given or from the dataset's attribute ``references``.

    Raises
    ------
    InputError : they are no mapping of names to fractions.
    """
    try:
        found = json.loads(ds.attrs.get("references", "{}")) if given is None else given
        accuracies = {str(name): float(value) for name, value in found.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(f"references must map names to accuracies: {error}") from error
    for name, value in accuracies.items():
        if not 0 <= value <= 1:
            raise InputError(f"reference {name!r} is {value}: an accuracy is a fraction in [0, 1]")
    return accuracies


def together(runs: Mapping[str, xr.Dataset]) -> xr.Dataset:
    """Labelled runs as one dataset over ``run``; attributes that differ are in the one ``runs``.

    Raises
    ------
    InputError : there is no run, or they have different dimensions.
    """
    if not runs:
        raise InputError("the figure needs at least one run")
    dimensions = {label: sorted(map(str, run.dims)) for label, run in runs.items()}
    if len({tuple(found) for found in dimensions.values()}) > 1:
        raise InputError(f"runs in one figure need the same dimensions: they have {dimensions}")
    joined = xr.concat(
        list(runs.values()),
        dim=xr.DataArray(list(runs), dims="run", name="run"),
        join="outer",
        combine_attrs="drop_conflicts",
    )
    differing = {
        label: {name: value for name, value in run.attrs.items() if name not in joined.attrs}
        for label, run in runs.items()
    }
    first = next(iter(runs.values())).attrs
    if "references" in first:
        joined.attrs["references"] = first["references"]
    return joined.assign_attrs(runs=json.dumps(differing, default=str))


def remember(
    ax: Axes, ds: xr.Dataset, data: xr.Dataset, table: xr.Dataset, kind: str, **settings: Any
) -> None:
    """Keep what axes show, with the attributes of the dataset and how they show it."""
    shown = ", ".join(f"{name}={value!r}" for name, value in settings.items())
    attributes = {**ds.attrs, "figure": f"{kind}({shown})"}
    keep(ax, data.assign_attrs(attributes), table.assign_attrs(attributes))
