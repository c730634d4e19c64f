"""Results as tables: every point for a spreadsheet, a summary over seeds for a paper."""

import json
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import pandas as pd
import xarray as xr

from zerohm._errors import InputError, choose

from ..labels import attributes
from ..statistics import Band, summary

SCORES = ("deployed_accuracy", "deployed_r2")
"""What a summary is about if nothing else is asked for."""


def points_table(ds: xr.Dataset, *, curves: bool = False) -> pd.DataFrame:
    """Every number of a sweep or a run, one row per point of the sweep or per step of the run.

    Parameters
    ----------
    ds : a sweep's dataset, or a run's.
    curves : one row per point and step instead, of a sweep that kept its curves.

    Returns
    -------
    Columns named ``name [unit]``, or ``name`` where there is no unit or the name ends in it; a
    variable with a further dimension has one column per value of that (``energy_J_dac``).

    Raises
    ------
    InputError : the dataset is neither a sweep nor a run, or has no curves.

    Examples
    --------
    >>> time = ("step", [0.1, 0.2], {"units": "s"})
    >>> run = xr.Dataset({"hardware_time": time}, coords={"step": [10, 20]})
    >>> list(points_table(run).columns)
    ['step', 'hardware_time [s]']
    """
    rows = row_dimensions(ds)
    if curves:
        if "step" in rows or not any("step" in v.dims for v in ds.data_vars.values()):
            raise InputError("there are no curves: only a sweep that is run with curves=True has")
        rows.append("step")
    chosen = [n for n, v in ds.data_vars.items() if ("step" in v.dims) == ("step" in rows)]
    flat = flattened(ds[chosen], rows)
    table = frame(flat, rows)
    return table.rename(columns={name: _with_unit(flat[name]) for name in table.columns})


def summary_table(
    ds: xr.Dataset,
    *,
    band: str,
    variables: Sequence[str] | None = None,
    confidence: float = 0.95,
) -> xr.Dataset:
    """What the seeds of a sweep say together, for each combination of its other parameters.

    Parameters
    ----------
    ds : a sweep's dataset, or a run's (which has nothing to summarise).
    band : "quartiles" gives ``<name>_median``, ``<name>_lower_quartile`` and
        ``<name>_upper_quartile``; "confidence" gives ``<name>_mean`` and ``<name>_half_width`` of
        its Student-t confidence interval, NaN for a single seed. Both give ``<name>_seeds``, the
        number of seeds that have a value. Without ``seed``, values stay as they are.
    variables : names; by default the score on freshly programmed hardware.
    confidence : of the interval, between 0 and 1.

    Raises
    ------
    InputError : a variable is missing or holds text, or a setting is out of range.

    Examples
    --------
    >>> ds = xr.Dataset({"deployed_accuracy": ("seed", [0.8, 0.9, 1.0])},
    ...                 coords={"seed": [0, 1, 2]}, attrs={"grid": '{"seed": [0, 1, 2]}'})
    >>> round(float(summary_table(ds, band="quartiles").deployed_accuracy_upper_quartile), 4)
    0.95
    """
    chosen = Band(band, confidence)
    found = []
    for values in summarised(ds, variables).data_vars.values():
        of_seeds = summary(values, chosen)
        for name, part in of_seeds.data_vars.items():
            part.attrs = {} if str(name).endswith("_seeds") else dict(values.attrs)
        found.append(of_seeds)
    return xr.merge(found, join="exact", compat="no_conflicts").assign_attrs(ds.attrs)


def row_dimensions(ds: xr.Dataset) -> list[str]:
    """What tells rows of a table apart: the swept parameters, or the steps of a run.

    Raises
    ------
    InputError : the dataset is neither a sweep nor a run.
    """
    if "grid" in ds.attrs:
        return [name for name in recorded(ds, "grid") if name in ds.dims]
    if "step" in ds.dims:
        return ["step"]
    raise InputError("the dataset is neither a sweep's nor a run's: it has no grid and no step")


def recorded(ds: xr.Dataset, name: str) -> dict[str, Any]:
    """The settings in an attribute (grid, fixed or config) of a dataset; none if it lacks it.

    Raises
    ------
    InputError : the attribute is something else.
    """
    try:
        settings = json.loads(ds.attrs.get(name, "{}"))
    except (TypeError, ValueError) as error:
        raise InputError(f"attribute {name!r} of the dataset is not JSON: {error}") from None
    if not isinstance(settings, dict):
        raise InputError(f"attribute {name!r} of the dataset holds no settings: {settings!r}")
    return settings


def flattened(ds: xr.Dataset, rows: Sequence[str]) -> xr.Dataset:
    """The dataset with no dimension but these: one variable per value of any other."""
    found: dict[str, xr.DataArray] = {}
    for variable in ds.data_vars.values():
        for part in _parts(variable, [str(d) for d in variable.dims if d not in rows]):
            if part.name in found:
                raise InputError(f"two variables would be called {part.name!r} in a table")
            found[str(part.name)] = part
    return xr.Dataset(found).assign_attrs(ds.attrs)


def frame(flat: xr.Dataset, rows: Sequence[str]) -> pd.DataFrame:
    """A dataset without further dimensions as a table; one row if it has no dimension at all."""
    if rows:
        return flat.to_dataframe(dim_order=list(rows)).reset_index()
    return pd.DataFrame({name: [flat[name].item()] for name in flat.variables})


def summarised(ds: xr.Dataset, variables: Sequence[str] | None) -> xr.Dataset:
    """The numeric variables that a summary is about, flattened."""
    names = [name for name in SCORES if name in ds] if variables is None else list(variables)
    if not names:
        raise InputError(f"which variables? The dataset has {sorted(map(str, ds.data_vars))}")
    for name in names:
        choose("variable", name, [str(known) for known in ds.data_vars])
        if ds[name].dtype.kind not in "biuf":
            raise InputError(f"variable {name!r} holds text, of which there is no summary")
    return flattened(ds[names], row_dimensions(ds))


def _parts(variable: xr.DataArray, further: list[str]) -> Iterator[xr.DataArray]:
    """A variable for each combination of values of its further dimensions, named by them."""
    for values in product(*(range(variable.sizes[name]) for name in further)):
        part = variable.isel(dict(zip(further, values, strict=True)))
        labels = [
            str(part[d].item()) if d in part.coords else str(i)
            for d, i in zip(further, values, strict=True)
        ]
        part = part.drop_vars(further, errors="ignore")
        if labels:
            long_name = variable.attrs.get("long_name", variable.name)
            said = ", ".join(labels).replace("_", " ")
            part.attrs = {**variable.attrs, "long_name": f"{long_name}: {said}"}
        yield part.rename("_".join([str(variable.name), *labels]))


def _with_unit(variable: xr.DataArray) -> str:
    name = str(variable.name)
    units = str(variable.attrs.get("units", attributes(name).get("units", "1")))
    return name if units in ("", "1") or name.endswith(f"_{units}") else f"{name} [{units}]"
