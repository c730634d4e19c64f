"""What is said about several seeds."""

import warnings
from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy.special import stdtrit

from zerohm._errors import InputError, choose

BANDS = ("quartiles", "confidence")


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


def confidence_interval(
    values: xr.DataArray, confidence: float
) -> tuple[xr.DataArray, xr.DataArray]:
    """Mean over ``seed`` and the half width of its Student-t confidence interval.

    The half width is t s / √n with n seeds that have a value, their sample standard deviation s
    and the quantile t of Student's distribution with n − 1 degrees of freedom; NaN for n = 1. It
    holds for seeds that are independent and normally distributed; of accuracies close to 0 or 1
    that is no more than an approximation.

    Examples
    --------
    >>> mean, half_width = confidence_interval(xr.DataArray([0.8, 0.9, 1.0], dims="seed"), 0.95)
    >>> round(float(half_width), 4)  # 4.303 · 0.1 / √3
    0.2484
    """
    seeds = values.count("seed")
    several = seeds.where(seeds > 1)
    mean = values.mean("seed")
    deviation = np.sqrt(((values - mean) ** 2).sum("seed") / (several - 1))
    quantile = stdtrit(several - 1, (1 + confidence) / 2)
    return mean, quantile * deviation / np.sqrt(several)


@dataclass(frozen=True)
class Band:
    """The band of a figure around a line of several seeds, and what the line is.

    Parameters
    ----------
    kind : "quartiles", the interquartile range around the median, or "confidence", the Student-t
        confidence interval around the mean.
    confidence : of that interval.

    Raises
    ------
    InputError : an unknown band, or a confidence outside 0 to 1.
    """

    kind: str = "quartiles"
    confidence: float = 0.95

    def __post_init__(self) -> None:
        choose("band", self.kind, BANDS)
        if not 0 < self.confidence < 1:
            raise InputError(
                f"confidence={self.confidence!r} must lie between 0 and 1, for example 0.95"
            )

    def around(self, values: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
        """Lower end, line and upper end over ``seed``; without seeds, the values themselves.

        Raises
        ------
        InputError : there is no second seed anywhere that a confidence interval needs.
        """
        if "seed" not in values.dims:
            return values, values, values
        if self.kind == "quartiles":
            low, median, high = quartiles(values).drop_vars("quantile")
            return low, median, high
        mean, half_width = confidence_interval(values, self.confidence)
        if not half_width.notnull().any():
            raise InputError(
                f"no point of {values.name} has the second seed that a confidence interval needs: "
                "choose band='quartiles' or run more seeds"
            )
        return mean - half_width, mean, mean + half_width

    def said(self, values: xr.DataArray) -> str:
        """What the line and the band show; failed points do not count as seeds."""
        if "seed" not in values.dims:
            return "Single seed"
        seeds = f"{counted(values)} seeds"
        if self.kind == "quartiles":
            return f"Median and interquartile range of {seeds}"
        return f"Mean and {100 * self.confidence:g} % confidence interval of {seeds}"


def counted(values: xr.DataArray) -> str:
    """How many seeds the points have, of those that have any: "5" or "4–5"."""
    counts = values.count("seed").values
    least, most = int(counts[counts > 0].min()), int(counts.max())
    return f"{most}" if least == most else f"{least}–{most}"


def summary(values: xr.DataArray, band: Band | None = None) -> xr.Dataset:
    """Line, band and number of seeds of a variable, or the variable if it has no seeds."""
    if "seed" not in values.dims:
        return values.to_dataset()
    band = band or Band()
    low, middle, high = band.around(values)
    if band.kind == "quartiles":
        found = {"median": middle, "lower_quartile": low, "upper_quartile": high}
    else:
        found = {"mean": middle, "half_width": high - middle}
    found["seeds"] = values.count("seed")
    return xr.Dataset({f"{values.name}_{name}": part for name, part in found.items()})
