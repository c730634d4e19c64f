"""What is said about several seeds."""

import warnings

import xarray as xr


def quartiles(values: xr.DataArray) -> xr.DataArray:
    """Lower quartile, median and upper quartile over ``seed`` along the new axis ``quantile``.

    Failed points (NaN) do not count; where every seed failed, the quartiles are NaN.

    Examples
    --------
    >>> quartiles(xr.DataArray([1.0, 2.0, 3.0, 4.0, 5.0], dims="seed")).values
    array([2., 3., 4.])
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="All-NaN slice encountered")
        return values.quantile([0.25, 0.5, 0.75], dim="seed", skipna=True)


def summary(accuracy: xr.DataArray) -> xr.Dataset:
    """Median, quartiles and number of seeds of a variable, or the variable if it has no seeds."""
    if "seed" not in accuracy.dims:
        return accuracy.to_dataset()
    low, median, high = quartiles(accuracy).drop_vars("quantile")
    return xr.Dataset(
        {
            f"{accuracy.name}_median": median,
            f"{accuracy.name}_lower_quartile": low,
            f"{accuracy.name}_upper_quartile": high,
            "seeds": accuracy.count("seed"),
        }
    )
