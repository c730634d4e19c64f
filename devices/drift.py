"""Drift: how conductances move along a smooth curve in time, each cell at its own pace."""

from typing import Annotated, Literal, Self

import numpy as np
from numpy.random import Generator
from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from zerohm._arrays import Array
from zerohm._config import STRICT
from zerohm._errors import InputError

from .state_dependence import StateDependence, StateTable, evaluate, extremes
from .temperature import REFERENCE_TEMPERATURE
from .time_part import CellwiseState, State, check_seconds


class _Predetermined(CellwiseState):
    """A law whose cells have drawn all that is random when they were programmed."""

    def advance(
        self,
        state: State,
        seconds: float,
        rng: Generator,
        *,
        temperature: float = REFERENCE_TEMPERATURE,
    ) -> None:
        """Let time pass, in place; neither ``rng`` nor ``temperature`` matters.

        Raises
        ------
        InputError : a step that is negative or not finite.
        """
        state["age"] += check_seconds(seconds)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PowerLawDrift(_Predetermined):
    """Structural relaxation of phase-change memory, G(t) = G(0) (1 + t / ``onset_s``)^−ν.

    Every cell draws its exponent ν when it is programmed, normal with a mean and a standard
    deviation that belong to its programmed conductance; a few are negative where the deviation
    is not small against the mean. From then on nothing is random.

    Nandakumar 2019 counts time from programming and refers conductances to a read at
    ``onset_s`` = 20 s: t here counts from that read, so that t = 0 is legal. Temperature, which
    accelerates drift, is not part of the law.

    Parameters
    ----------
    exponent_mean, exponent_std : of ν.
    onset_s : s between programming and the read that conductances refer to.

    Raises
    ------
    ValueError : a standard deviation that is negative at some conductance.

    Examples
    --------
    >>> law = PowerLawDrift(exponent_mean=0.05, onset_s=20.0)
    >>> rng = np.random.default_rng(0)
    >>> programmed = np.array([10e-6])
    >>> state = law.start(programmed, rng)
    >>> law.advance(state, 86400.0, rng)
    >>> law.deviation(state, programmed).round(8)
    array([-3.42e-06])
    """

    exponent_mean: StateDependence
    exponent_std: StateDependence = 0.0
    onset_s: Annotated[float, Field(gt=0)]
    kind: Literal["power law"] = "power law"

    @model_validator(mode="after")
    def _in_range(self) -> Self:
        lowest = extremes(self.exponent_std)[0]
        if lowest < 0:
            raise ValueError(f"exponent_std={lowest:g}: must be at least 0 at every conductance")
        return self

    def start(self, conductance: Array, rng: Generator) -> State:
        """State of cells that were programmed to ``conductance`` (S, any shape) just now."""
        exponent = rng.standard_normal(conductance.shape, dtype=conductance.dtype.type)
        exponent *= evaluate(self.exponent_std, conductance)
        exponent += evaluate(self.exponent_mean, conductance)
        return {"exponent": exponent, "age": np.zeros(conductance.shape)}

    def deviation(self, state: State, conductance: Array) -> Array:
        """How far the cells have moved from the conductance they were programmed to, S."""
        e_folds = np.log1p(state["age"] / self.onset_s).astype(conductance.dtype, copy=False)
        return np.asarray(conductance * np.expm1(-state["exponent"] * e_folds))


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LogarithmicDrift(_Predetermined):
    """The same shift of every state, in proportion to the logarithm of time.

    A cell with the standard normal z, its own until it is programmed again, has moved by::

        ΔG(t) = a ln(t / t_a) + z b ln(t / t_b),

    where each term is zero before its onset, t = 0 included. Over many cells the deviation is
    normal with mean a ln(t / t_a) and standard deviation b ln(t / t_b).

    Falcone 2025 fits mean a ln(t / 1 s) and standard deviation c + b ln(t / 1 s) for t ≥ 1 s
    (CMO/HfOx, any state): this law with t_a = 1 s and t_b = exp(−c / b) s, 55 µs. Its source
    gives distributions, not trajectories: that cells keep their order is an assumption.

    Parameters
    ----------
    mean_slope : a, S per e-fold of time.
    mean_onset_s : t_a.
    spread_slope : b, S per e-fold of time.
    spread_onset_s : t_b.

    Examples
    --------
    >>> law = LogarithmicDrift(mean_slope=-0.089e-6, mean_onset_s=1.0,
    ...                        spread_slope=0.04201e-6, spread_onset_s=55.3e-6)
    >>> rng = np.random.default_rng(0)
    >>> programmed = np.full(10_000, 50e-6)
    >>> state = law.start(programmed, rng)
    >>> law.advance(state, 3600.0, rng)
    >>> deviation = law.deviation(state, programmed)
    >>> float(deviation.mean().round(7)), float(deviation.std().round(7))
    (-7e-07, 8e-07)
    """

    mean_slope: float
    mean_onset_s: Annotated[float, Field(gt=0)]
    spread_slope: Annotated[float, Field(ge=0)]
    spread_onset_s: Annotated[float, Field(gt=0)]
    kind: Literal["logarithmic"] = "logarithmic"

    def start(self, conductance: Array, rng: Generator) -> State:
        """State of cells that were programmed to ``conductance`` (S, any shape) just now."""
        pace = rng.standard_normal(conductance.shape, dtype=conductance.dtype.type)
        return {"pace": pace, "age": np.zeros(conductance.shape)}

    def deviation(self, state: State, conductance: Array) -> Array:
        """How far the cells have moved from the conductance they were programmed to, S."""
        mean = self.mean_slope * _e_folds_since(self.mean_onset_s, state["age"])
        spread = self.spread_slope * _e_folds_since(self.spread_onset_s, state["age"])
        return np.asarray(mean + state["pace"] * spread, dtype=conductance.dtype)


DriftLaw = Annotated[PowerLawDrift | LogarithmicDrift, Field(discriminator="kind")]
"""Every drift law, told apart by its ``kind`` in a device card."""


def clipped_logarithm(
    *, slope: float, offset: float, low: float, high: float, reference: float
) -> StateTable:
    """The table of slope · ln(G / ``reference``) + offset, held between ``low`` and ``high``.

    So are the exponents of phase-change cells published. The 33 knots are evenly spaced in ln G
    between the two ends; between knots the table lies at most (high − low)² / (8192 slope) off,
    which is 4e-4 of the range for those exponents.

    Raises
    ------
    InputError : no slope, or an empty range.

    Examples
    --------
    >>> mean = clipped_logarithm(  # Nandakumar 2019, for a largest conductance of 25 µS
    ...     slope=-0.0155, offset=0.0244, low=0.049, high=0.1, reference=25e-6
    ... )
    >>> mean(np.array([0.1e-6, 1e-6, 20e-6])).round(4)
    array([0.1   , 0.0743, 0.049 ])
    """
    if slope == 0 or not low < high:
        raise InputError(f"slope={slope:g} must not be 0 and low={low:g} below high={high:g}")
    ends = (high, low) if slope < 0 else (low, high)
    values = np.linspace(*ends, 33)
    conductance = reference * np.exp((values - offset) / slope)
    return StateTable(conductance=tuple(conductance.tolist()), values=tuple(values.tolist()))


def _e_folds_since(onset: float, age: Array) -> Array:
    """ln(age / onset), zero before the onset."""
    return np.log(np.maximum(age, onset) / onset)
