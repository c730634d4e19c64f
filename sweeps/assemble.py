"""From the results of single points to one dataset with a dimension per swept parameter."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from zerohm._errors import InputError

from .encoding import Point, Values, Variable
from .labels import attributes
from .plan import Plan

_OWN = ("error", "seeds_used")


def final_values(point: Point, plan: Plan, curves: bool) -> Point:
    """One point's result without ``step``: the last value of everything that has that dimension.

    With ``curves``, what has that dimension is also kept whole as ``<name>_curve``. Of the
    coordinates only those of dimensions stay coordinates.

    Raises
    ------
    InputError : the result uses a name of the sweep's own for something else, or has no step.
    """
    variables = {
        name: variable._replace(coordinate=variable.coordinate and variable.dims == (name,))
        for name, variable in point.variables.items()
        if not (variable.coordinate and not variable.dims and name in plan.grid)
    }
    dims = {
        dim: size
        for variable in variables.values()
        for dim, size in zip(variable.dims, variable.values.shape, strict=True)
    }
    if clash := {*plan.grid, *_OWN} & {*variables, *dims}:
        raise InputError(
            f"{plan.experiment} returns {sorted(clash)}: "
            "these names belong to the sweep's own dimensions and variables"
        )
    if "step" not in dims:
        return Point(variables, point.attributes)
    if not dims["step"]:
        raise InputError(f"{plan.experiment} returns the dimension step without any step")
    steps = variables.pop("step", Variable(("step",), np.arange(dims["step"]), {}, True))
    final = {name: _last(v) if "step" in v.dims else v for name, v in variables.items()}
    if curves:
        whole = {f"{name}_curve": v for name, v in variables.items() if "step" in v.dims}
        final |= {"step": steps, **whole}
    return Point(final, point.attributes)


def _last(variable: Variable) -> Variable:
    axis = variable.dims.index("step")
    dims = variable.dims[:axis] + variable.dims[axis + 1 :]
    # A copy, so that the rest of the curve can be forgotten.
    return variable._replace(dims=dims, values=variable.values.take(-1, axis=axis))


def assemble(plan: Plan, results: Sequence[Point | None], errors: Sequence[str]) -> xr.Dataset:
    """All points on the plan's grid; a point without a result is NaN, its text variables empty.

    Attributes of the dataset and of its variables are kept where all points agree.

    Raises
    ------
    InputError : results do not fit together: a variable has other dimensions, another kind of
        values, or another size without a coordinate to tell the values apart.
    """
    finished = [result for result in results if result is not None]
    columns = {
        name: [None if result is None else result.variables.get(name) for result in results]
        for name in dict.fromkeys(name for result in finished for name in result.variables)
    }
    labels = {
        name: _Labels(plan, name, column)
        for name, column in columns.items()
        if any(variable is not None and variable.coordinate for variable in column)
    }
    variables = {
        name: _on_grid(plan, name, column, labels)
        for name, column in columns.items()
        if name not in labels
    }
    text = np.array(errors, dtype=np.str_).reshape(plan.shape)
    described = {"long_name": "Error message of a failed point", "units": "1"}
    coordinates = {
        name: (name, np.asarray(values), attributes(name)) for name, values in plan.grid.items()
    }
    return xr.Dataset(
        {**variables, "error": (tuple(plan.grid), text, described)},
        {**coordinates, **{name: axis.variable for name, axis in labels.items()}},
        agreed(result.attributes for result in finished),
    )


class _Labels:
    """Labels along a dimension of the results: the first point's or, sorted, those of all.

    ``places`` says for each point where its labels are among them, None for all in order.
    """

    def __init__(self, plan: Plan, name: str, column: Sequence[Variable | None]) -> None:
        found = [variable for variable in column if variable is not None]
        if any(variable.dims != (name,) or not variable.coordinate for variable in found):
            raise _unfitting(plan, name, "is a coordinate at some points only")
        first = found[0].values
        different = [v for v in found if not np.array_equal(v.values, first)]
        index = pd.Index(first)
        for variable in different:
            index = index.union(pd.Index(variable.values))
        if different and not index.is_unique:
            raise _unfitting(plan, name, "has a label twice")
        labels = np.asarray(index).astype(np.str_) if found[0].is_text else np.asarray(index)
        self.variable = xr.Variable(name, labels, agreed(v.attributes for v in found))
        self.places = [
            None if v is None or not different else index.get_indexer(pd.Index(v.values))
            for v in column
        ]


def _on_grid(
    plan: Plan, name: str, column: Sequence[Variable | None], labels: dict[str, _Labels]
) -> xr.Variable:
    """One variable of all points."""
    found = [variable for variable in column if variable is not None]
    dims = found[0].dims
    if any(variable.dims != dims for variable in found):
        raise _unfitting(plan, name, f"has dimensions {dims} at some points, others elsewhere")
    sizes = [{v.values.shape[axis] for v in found} for axis in range(len(dims))]
    for dim, size in zip(dims, sizes, strict=True):
        if dim not in labels and len(size) > 1:
            raise _unfitting(plan, name, f"has {sorted(size)} values along {dim}, without labels")
    shape = tuple(
        labels[dim].variable.size if dim in labels else size.pop()
        for dim, size in zip(dims, sizes, strict=True)
    )
    holes = len(found) < len(column) or any(v.values.shape != shape for v in found)
    values = _empty(plan, name, found, (len(column), *shape), holes)
    moved = [
        dim for dim in dims if dim in labels and any(p is not None for p in labels[dim].places)
    ]
    for i, variable in enumerate(column):
        if variable is None:
            continue
        if moved:
            values[i][_places(i, dims, shape, labels)] = variable.values
        else:
            values[i] = variable.values
    return xr.Variable(
        (*plan.grid, *dims),
        values.reshape(plan.shape + shape),
        agreed(variable.attributes for variable in found),
    )


def _places(
    point: int, dims: tuple[str, ...], shape: tuple[int, ...], labels: dict[str, _Labels]
) -> tuple[Any, ...]:
    places = [labels[dim].places[point] if dim in labels else None for dim in dims]
    return np.ix_(
        *(np.arange(size) if at is None else at for at, size in zip(places, shape, strict=True))
    )


def _empty(
    plan: Plan, name: str, found: Sequence[Variable], shape: tuple[int, ...], holes: bool
) -> Values:
    """Room for the values, filled with what stands for a missing one: NaN, NaT or no text."""
    dtypes = {variable.values.dtype for variable in found}
    kinds = {"number" if dtype.kind in "biufc" else dtype.kind for dtype in dtypes}
    if len(kinds) > 1:
        raise _unfitting(plan, name, f"has values of types {sorted(map(str, dtypes))}")
    dtype = np.result_type(*dtypes)
    if holes and dtype.kind in "biu":
        dtype = np.dtype(np.float64)
    if dtype.kind in "fc":
        return np.full(shape, np.nan, dtype)
    if dtype.kind in "mM":
        return np.full(shape, "NaT", dtype)
    return np.zeros(shape, dtype)


def agreed(given: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Attributes that are the same wherever they are given, and what any of them cites."""
    first: dict[str, Any] = {}
    conflicts, cited = set(), []
    for one in given:
        cited += [str(one["citations"])] if "citations" in one else []
        for name, value in one.items():
            if first.setdefault(name, value) != value:
                conflicts.add(name)
    if "citations" in conflicts:
        first["citations"] = ", ".join(dict.fromkeys(", ".join(cited).split(", ")))
        conflicts.remove("citations")
    return {name: value for name, value in first.items() if name not in conflicts}


def _unfitting(plan: Plan, name: str, problem: str) -> InputError:
    return InputError(f"the results of {plan.experiment} do not fit together: {name} {problem}")
