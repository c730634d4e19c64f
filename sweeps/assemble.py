"""From the results of single points to one dataset with a dimension per swept parameter."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from zerohm._errors import InputError

from .labels import attributes
from .plan import Plan

_POINT = "sweep point"  # no parameter can have this name, it contains a space


def final_values(result: xr.Dataset, plan: Plan, curves: bool) -> xr.Dataset:
    """One point's result without ``step``: the last value of everything that has that dimension.

    With ``curves``, what has that dimension is also kept whole as ``<name>_curve``.

    Raises
    ------
    InputError : the result uses the name of a swept parameter or ``error`` for something else.
    """
    own = [name for name in plan.grid if name in result.coords and result[name].ndim == 0]
    result = result.drop_vars(own).reset_coords()
    if clash := {*plan.grid, "error"} & {*result.variables, *result.dims}:
        raise InputError(
            f"{plan.experiment} returns {sorted(map(str, clash))}: "
            "these names belong to the sweep's own dimensions and variables"
        )
    if "step" not in result.dims:
        return result
    final = result.isel(step=-1).drop_vars("step", errors="ignore")
    if not curves:
        return final
    if "step" not in result.coords:
        result = result.assign_coords(step=np.arange(result.sizes["step"]))
    kept = {f"{name}_curve": v for name, v in result.data_vars.items() if "step" in v.dims}
    return final.assign(kept)


def assemble(plan: Plan, results: Sequence[xr.Dataset | None], errors: Sequence[str]) -> xr.Dataset:
    """All points on the plan's grid; a point without a result is NaN, its text variables empty.

    Attributes of the dataset and of its variables are kept where all points agree.
    """
    dataset = _on_grid(plan, _stack(plan, results)).assign(
        error=(tuple(plan.grid), np.array(errors, dtype=np.str_).reshape(plan.shape))
    )
    dataset["error"].attrs = {"long_name": "Error message of a failed point", "units": "1"}
    dataset.attrs.pop("point", None)
    return dataset


def _stack(plan: Plan, results: Sequence[xr.Dataset | None]) -> xr.Dataset:
    finished = [result for result in results if result is not None]
    if not finished:
        return xr.Dataset()
    missing = finished[0].where(False)
    try:
        return xr.concat(
            [missing if result is None else result for result in results],
            dim=_POINT,
            data_vars="all",
            coords="minimal",
            compat="override",
            join="outer",
            combine_attrs="drop_conflicts",
        )
    except ValueError as error:
        raise InputError(
            f"the results of {plan.experiment} do not fit together: {error}"
        ) from error


def _on_grid(plan: Plan, stacked: xr.Dataset) -> xr.Dataset:
    coordinates = {
        name: (name, np.asarray(values), attributes(name)) for name, values in plan.grid.items()
    }
    variables = {
        name: _unstack(plan, variable.transpose(_POINT, ...).variable)
        for name, variable in stacked.data_vars.items()
    }
    return xr.Dataset(variables, {**coordinates, **stacked.coords}, stacked.attrs)


def _unstack(plan: Plan, variable: xr.Variable) -> xr.Variable:
    values = variable.values
    if values.dtype == object:
        values = np.where(variable.isnull(), "", values).astype(np.str_)
    return xr.Variable(
        (*plan.grid, *variable.dims[1:]),
        values.reshape(plan.shape + values.shape[1:]),
        variable.attrs,
    )
