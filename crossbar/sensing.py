"""What lies between bit lines and converters: differential pairs and the converters' full scale."""

from typing import Literal, overload

import numpy as np
from numpy.typing import ArrayLike
from pydantic.dataclasses import dataclass

from zerohm._arrays import Array
from zerohm._config import STRICT
from zerohm._errors import InputError


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DifferentialSensing:
    """Where bit lines 2j and 2j + 1 are subtracted.

    Parameters
    ----------
    subtract : ``"before"`` the converter, as currents at one sense amplifier per pair, or
        ``"after"`` it, as codes: two conversions per pair, each with its own errors, and a full
        scale that must hold a whole bit line's current.

    Examples
    --------
    >>> from zerohm.crossbar import ADC
    >>> sensing = DifferentialSensing(subtract="after")
    >>> converted, saturated = ADC(bits=4).convert(sensing.before(np.array([2.2, 0.9])), 7.0)
    >>> sensing.after(converted), sensing.converters(2)
    (array([1.]), 2)
    """

    subtract: Literal["before", "after"] = "before"

    def before(self, currents: Array) -> Array:
        """What the converters get of bit-line currents (…, cols)."""
        return self._pairs(currents) if self.subtract == "before" else currents

    def after(self, converted: Array) -> Array:
        """Differences (…, cols/2) from what the converters gave."""
        return self._pairs(converted) if self.subtract == "after" else converted

    def converters(self, columns: int) -> int:
        """Number of converters, and of conversions per read, of an array with so many columns."""
        return columns // 2 if self.subtract == "before" else columns

    @staticmethod
    def _pairs(values: Array) -> Array:
        if values.shape[-1] % 2:
            raise InputError(f"{values.shape[-1]} columns cannot be subtracted in pairs")
        return values[..., 0::2] - values[..., 1::2]


@overload
def calibrate_full_scale(
    currents: ArrayLike, percentile: float = ..., per_column: Literal[False] = ...
) -> float: ...
@overload
def calibrate_full_scale(
    currents: ArrayLike, percentile: float = ..., *, per_column: Literal[True]
) -> Array: ...
def calibrate_full_scale(
    currents: ArrayLike, percentile: float = 99.9, per_column: bool = False
) -> float | Array:
    """Full scale of a converter from sample signals: a percentile of their absolute values.

    Parameters
    ----------
    currents : (…, columns) samples of what the converter will see, A.
    percentile : of |current|, above 0 and up to 100 (the largest sample); the rest saturates.
    per_column : one full scale for every column instead of one for all.

    Returns
    -------
    Full scale in the unit of the samples, one number or (columns,), for ``convert``.

    Raises
    ------
    InputError : no samples or not finite ones, a percentile out of range, or samples so small
        (a column without current) that no range follows from them.

    Examples
    --------
    >>> calibrate_full_scale([[1e-6, -4e-6], [-3e-6, 2e-6]], percentile=100)
    4e-06
    >>> calibrate_full_scale([[1e-6, -4e-6], [-3e-6, 2e-6]], percentile=100, per_column=True)
    array([3.e-06, 4.e-06])
    """
    samples = np.abs(np.asarray(currents, dtype=np.float64))
    if samples.ndim == 0 or samples.size == 0 or not np.isfinite(samples).all():
        raise InputError("currents must be finite samples (..., columns), at least one")
    if not 0 < percentile <= 100:
        raise InputError(f"percentile={percentile!r} must lie above 0 and be at most 100")
    columns = samples.reshape(-1, samples.shape[-1])
    if not per_column:
        columns = columns.reshape(-1, 1)
    scale: Array = np.percentile(columns, percentile, axis=0)
    if not np.all(scale > 0):
        where = f" in column {int(np.argmin(scale))}" if per_column else ""
        raise InputError(
            f"the {percentile:g}th percentile of |current|{where} is 0: take samples that carry "
            "current, or a fixed full scale"
        )
    return scale if per_column else float(scale[0])
