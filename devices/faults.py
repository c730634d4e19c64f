"""Cells that cannot be programmed: faults from fabrication, and wear by programming."""

import math
from typing import Annotated, Self

import numpy as np
from numpy.random import Generator
from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from zerohm._arrays import Array
from zerohm._config import STRICT
from zerohm._errors import InputError

from .temperature import REFERENCE_TEMPERATURE, check_temperature


@dataclass(frozen=True, kw_only=True, config=STRICT)
class StuckState:
    """A conductance that no pulse changes any more, log-normal from cell to cell.

    Parameters
    ----------
    probability : that a cell is stuck in this state.
    conductance : S, the median.
    spread : standard deviation of ln G.
    """

    probability: Annotated[float, Field(ge=0, le=1)]
    conductance: Annotated[float, Field(ge=0)]
    spread: Annotated[float, Field(ge=0)] = 0.0

    def draw(self, count: int, rng: Generator) -> Array:
        """Conductances of ``count`` cells that are stuck in this state, S."""
        return self.conductance * np.exp(self.spread * rng.standard_normal(count))


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Faults:
    """Cells that are stuck, independently of each other.

    States are named by their conductance because papers disagree on which of SA0 and SA1 is
    which: for some, a logic 1 is the low-resistance state, for others the high one.

    Parameters
    ----------
    low : stuck in the high-resistance state, often called stuck-off.
    high : stuck in the low-resistance state, often called stuck-on; over-forming ends there.
    unformed : forming has failed, the cell is still as insulating as when it was made.

    Raises
    ------
    ValueError : probabilities that add up to more than 1.

    Examples
    --------
    >>> faults = Faults(low=StuckState(probability=0.02, conductance=1e-6),
    ...                 high=StuckState(probability=0.09, conductance=100e-6))
    >>> stuck = faults.fabricate((1000, 1000), np.random.default_rng(0))
    >>> round(float(np.mean(stuck == 100e-6)), 2), round(float(np.mean(np.isnan(stuck))), 2)
    (0.09, 0.89)
    """

    low: StuckState | None = None
    high: StuckState | None = None
    unformed: StuckState | None = None

    @model_validator(mode="after")
    def _in_range(self) -> Self:
        if self.probability > 1 + 1e-12:
            raise ValueError(f"the probabilities of all faults add up to {self.probability:g} > 1")
        return self

    @property
    def _states(self) -> list[StuckState]:
        return [state for state in (self.low, self.high, self.unformed) if state is not None]

    @property
    def probability(self) -> float:
        """That a cell is stuck in any state."""
        return sum(state.probability for state in self._states)

    def fabricate(self, shape: tuple[int, ...], rng: Generator) -> Array:
        """Conductances in S of the stuck cells of a new array; NaN where a cell works."""
        stuck = np.full(shape, np.nan)
        chance = rng.random(shape)
        below = 0.0
        for state in self._states:
            chosen = (below <= chance) & (chance < below + state.probability)
            stuck[chosen] = state.draw(int(np.count_nonzero(chosen)), rng)
            below += state.probability
        return stuck


@dataclass(frozen=True, kw_only=True, config=STRICT)
class WindowClosing:
    """How the conductance window narrows with wear (Lammie 2021).

    Both edges stay where they are for ``onset_cycles`` n₀ and then follow power laws of the wear
    n: the lower edge rises as (n / n₀)^``low_exponent``, the upper one falls as
    (n / n₀)^−``high_exponent``, until they meet and nothing is left of the window.

    Examples
    --------
    >>> closing = WindowClosing(onset_cycles=1e6, low_exponent=0.5, high_exponent=0.1)
    >>> low, high = closing.window_after(np.array([1e5, 1e8]), 1e-6, 100e-6)
    >>> low.round(7), high.round(7)
    (array([1.e-06, 1.e-05]), array([1.00e-04, 6.31e-05]))
    """

    onset_cycles: Annotated[float, Field(gt=0)]
    low_exponent: Annotated[float, Field(ge=0)] = 0.0
    high_exponent: Annotated[float, Field(ge=0)] = 0.0

    def window_after(
        self, wear: Array, conductance_min: float, conductance_max: float
    ) -> tuple[Array, Array]:
        """Lower and upper edge, S, of cells whose window was once from min to max.

        Raises
        ------
        InputError : no window to begin with, or one without the logarithms of a power law.
        """
        if not 0 < conductance_min < conductance_max:
            raise InputError(
                f"a window from {conductance_min:g} to {conductance_max:g} S cannot close by "
                "power laws: it needs 0 < conductance_min < conductance_max"
            )
        e_folds = np.log(np.maximum(wear, self.onset_cycles) / self.onset_cycles)
        rate = self.low_exponent + self.high_exponent
        if rate > 0:
            e_folds = np.minimum(e_folds, np.log(conductance_max / conductance_min) / rate)
        low = conductance_min * np.exp(self.low_exponent * e_folds)
        high = conductance_max * np.exp(-self.high_exponent * e_folds)
        return low, high


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Endurance:
    """How many programming events a cell survives, and what becomes of it.

    Lifetimes are Weibull distributed, the law of the weakest link: for endurance an assumption,
    taken over from dielectric breakdown and from switching, whose measured statistics often leave
    it at their upper percentiles (Raghavan 2017), where the last survivors are. A cell that fails
    is stuck for good, since its filament is either broken through or dissolved (Grossi 2019).

    Wear is counted in programming events at 300 K. One at another temperature T counts as
    exp(−k (T − 300 K)) of them, so that lifetimes follow the exponential law that Lammie 2021
    fits to oxide RRAM (see :func:`cycles_until_degradation`).

    Parameters
    ----------
    characteristic_cycles : programming events at 300 K after which 1 − 1/e = 63 % have failed.
    weibull_shape : 1 for failures at a constant rate, larger for lifetimes that differ less.
    temperature_coefficient : k, 1/K; negative where heat shortens lives.
    outcome : conductance of cells that have failed; its probabilities add up to 1.
    closing : the window before failure; ``None`` for one that stays as it is.

    Raises
    ------
    ValueError : a number outside its range, or an outcome that is not certain.

    Examples
    --------
    >>> endurance = Endurance(
    ...     characteristic_cycles=1e6, weibull_shape=1.5,
    ...     outcome=Faults(low=StuckState(probability=0.2, conductance=1e-6),
    ...                    high=StuckState(probability=0.8, conductance=100e-6)))
    >>> rng = np.random.default_rng(0)
    >>> lifetimes = endurance.lifetimes((1000, 1000), rng)
    >>> failed = endurance.outcome.fabricate((1000, 1000), rng)
    >>> stuck = stuck_after(np.full((1000, 1000), 1e6), lifetimes, failed)
    >>> round(float(np.mean(np.isnan(stuck))), 2)
    0.37
    """

    characteristic_cycles: Annotated[float, Field(gt=0)]
    weibull_shape: Annotated[float, Field(gt=0)]
    temperature_coefficient: float = 0.0
    outcome: Faults
    closing: WindowClosing | None = None

    @model_validator(mode="after")
    def _in_range(self) -> Self:
        if not math.isclose(self.outcome.probability, 1.0):
            raise ValueError(
                f"the probabilities of an outcome add up to {self.outcome.probability:g}, "
                "but a cell that fails must end somewhere: they must add up to 1"
            )
        return self

    def lifetimes(self, shape: tuple[int, ...], rng: Generator) -> Array:
        """Wear at which each cell of a new array will fail."""
        return self.characteristic_cycles * rng.weibull(self.weibull_shape, shape)

    def wear_per_event(self, temperature: float = REFERENCE_TEMPERATURE) -> float:
        """What one programming event at this temperature (K) adds to the wear.

        Raises
        ------
        InputError : a temperature that is not positive and finite.
        """
        check_temperature(temperature)
        return math.exp(-self.temperature_coefficient * (temperature - REFERENCE_TEMPERATURE))


def stuck_after(wear: Array, lifetimes: Array, failed: Array) -> Array:
    """Conductances (S) of the cells that have failed by now, NaN where a cell still works.

    Parameters
    ----------
    wear : of each cell so far, in programming events at 300 K.
    lifetimes : wear at which each cell fails.
    failed : S, conductance of each cell once it has failed.
    """
    return np.where(wear >= lifetimes, failed, np.nan)


def cycles_until_degradation(
    *,
    prefactor: float,
    size_coefficient: float,
    size: float,
    temperature_coefficient: float,
    temperature: float,
) -> float:
    """Cycles that a metal-oxide cell endures before its resistances move, Lammie 2021.

    p₀ exp(p₁ · size + p₂ · T), fitted to devices of several sizes (m) at several temperatures
    (K): at 300 K the ``onset_cycles`` of :class:`WindowClosing`, with p₂ the
    ``temperature_coefficient`` of :class:`Endurance`.

    Examples
    --------
    >>> cycles = cycles_until_degradation(prefactor=1e9, size_coefficient=0.0, size=50e-9,
    ...                                   temperature_coefficient=-0.02, temperature=300.0)
    >>> round(cycles)
    2478752
    """
    return prefactor * math.exp(size_coefficient * size + temperature_coefficient * temperature)
