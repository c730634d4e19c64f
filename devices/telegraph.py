"""Random telegraph noise: a conductance that jumps between levels as traps fill and empty."""

import math
from typing import Annotated, Literal, Self

import numpy as np
from numpy.random import Generator
from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass
from scipy.linalg import expm
from scipy.sparse.csgraph import connected_components

from zerohm._arrays import Array
from zerohm._config import STRICT

from .fluctuation_kernels import step_levels, step_traps
from .state_dependence import StateDependence, evaluate, extremes
from .temperature import REFERENCE_TEMPERATURE, acceleration
from .time_part import CellwiseState, State, check_seconds


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TelegraphNoise(CellwiseState):
    """Independent traps beside the conducting path, each a two-level Markov process.

    A trap captures a carrier after an exponentially distributed time of mean τ_c and emits it
    after one of mean τ_e. While occupied it depletes the path around it and takes the fraction
    ``amplitude`` of the conductance away (Kirton and Uren 1989; for filaments Ambrogio 2014).
    Every cell has ``sites`` places for traps, and each holds one with probability
    ``trap_probability``: many sites with a small probability make a Poisson number of traps, two
    traps in one cell make four levels.

    The deviation is counted from the mean over time, G a (p − occupied) with the occupancy
    p = τ_e / (τ_c + τ_e), so that it averages to zero. Over a step t a trap forgets where
    it was with probability 1 − exp(−t (1/τ_c + 1/τ_e)) (Machlup 1954): exact for every step, and
    consistent between any sequences of steps.

    Parameters
    ----------
    amplitude : |ΔG|/G of one trap at the conductance that the cell has now, 0 to 1: the median
        over traps. It falls with G: one trap blocks a part of a wide filament only.
    capture_time_s, emission_time_s : τ_c, τ_e, mean dwell times in the empty and in the occupied
        state: the medians over traps.
    sites : traps that a cell can have at most.
    trap_probability : of a site to hold a trap, at the conductance that the cell was programmed
        to: programming makes a new filament with new traps.
    amplitude_spread : standard deviation of ln |ΔG|/G from trap to trap (log-normal). The sum of
        the traps of a cell can exceed its conductance if amplitude and spread are large.
    dwell_time_spread : standard deviation of the logarithm of a factor that both dwell times of
        a trap share (log-normal): its barrier differs from trap to trap, its level does not.
    activation_energy_eV : both rates follow Arrhenius' law.

    Raises
    ------
    ValueError : a parameter outside its range at some conductance.

    Examples
    --------
    >>> noise = TelegraphNoise(amplitude=0.03, capture_time_s=0.3, emission_time_s=0.1)
    >>> rng = np.random.default_rng(0)
    >>> cells = np.full(10_000, 85e-6)
    >>> state = noise.start(cells, rng)
    >>> noise.advance(state, 1.0, rng)
    >>> np.unique(noise.deviation(state, cells).round(10))
    array([-1.9125e-06,  6.3750e-07])
    """

    amplitude: StateDependence
    capture_time_s: Annotated[float, Field(gt=0)]
    emission_time_s: Annotated[float, Field(gt=0)]
    sites: Annotated[int, Field(ge=1)] = 1
    trap_probability: StateDependence = 1.0
    amplitude_spread: Annotated[float, Field(ge=0)] = 0.0
    dwell_time_spread: Annotated[float, Field(ge=0, le=10)] = 0.0
    activation_energy_eV: Annotated[float, Field(ge=0)] = 0.0
    kind: Literal["traps"] = "traps"

    @model_validator(mode="after")
    def _in_range(self) -> Self:
        _check_fraction("amplitude", self.amplitude)
        _check_fraction("trap_probability", self.trap_probability)
        return self

    @property
    def occupancy(self) -> float:
        """Fraction of the time that a trap is occupied."""
        return self.emission_time_s / (self.capture_time_s + self.emission_time_s)

    @property
    def correlation_time_s(self) -> float:
        """1 / (1/τ_c + 1/τ_e), the median over traps."""
        return self.capture_time_s * self.occupancy

    def start(self, conductance: Array, rng: Generator) -> State:
        """State of cells that were programmed to ``conductance`` (S, any shape) just now."""
        shape, dtype = (self.sites, *conductance.shape), conductance.dtype
        chance = evaluate(self.trap_probability, conductance)
        strength = _strengths(chance, self.amplitude_spread, shape, rng).astype(dtype)
        state = {"occupied": np.zeros(shape, dtype), "strength": strength}
        if self.dwell_time_spread > 0:
            factor = np.exp(self.dwell_time_spread * rng.standard_normal(shape))
            state["dwell_factor"] = factor.astype(dtype)
        self._step(state, math.inf, rng)
        return state

    def advance(
        self,
        state: State,
        seconds: float,
        rng: Generator,
        *,
        temperature: float = REFERENCE_TEMPERATURE,
    ) -> None:
        """Let time pass, in place; exact for any step and any sequence of steps.

        Raises
        ------
        InputError : a step that is negative or not finite, or an impossible temperature.
        """
        elapsed = check_seconds(seconds) * acceleration(self.activation_energy_eV, temperature)
        if elapsed > 0:
            self._step(state, elapsed / self.correlation_time_s, rng)

    def _step(self, state: State, correlation_times: float, rng: Generator) -> None:
        """Step over as many correlation times of the median trap."""
        occupied, strength = state["occupied"], state["strength"]
        dwell = state.get("dwell_factor", np.ones(1, strength.dtype))
        forgotten = np.broadcast_to(-np.expm1(-correlation_times / dwell), occupied.shape)
        flat = [values.reshape(self.sites, -1) for values in (occupied, strength, forgotten)]
        step_traps(flat[0], flat[1], self.occupancy, flat[2], rng)

    def deviation(self, state: State, conductance: Array) -> Array:
        """Deviation in S of cells whose conductance is ``conductance`` (S) without this noise."""
        above_mean = self.occupancy - state["occupied"]
        relative: Array = np.einsum("k...,k...->...", above_mean, state["strength"])
        relative *= evaluate(self.amplitude, conductance)
        relative *= conductance
        return relative

    def autocovariance(self, lag: Array | float, conductance: Array | float) -> Array:
        """Covariance of two deviations that are ``lag`` seconds apart, S², averaged over cells.

        Lags and conductances (S) broadcast; at ``REFERENCE_TEMPERATURE``.
        """
        times, weights = self._correlation_times()
        distance = np.abs(np.asarray(lag, dtype=np.float64))[..., np.newaxis]
        return self._variance(conductance) * (np.exp(-distance / times) @ weights)

    def spectrum(self, frequency: Array | float, conductance: Array | float) -> Array:
        """One-sided power spectral density, S²/Hz, averaged over cells.

        Frequencies (Hz) and conductances (S) broadcast; at ``REFERENCE_TEMPERATURE``.
        """
        times, weights = self._correlation_times()
        cycles = np.asarray(frequency, dtype=np.float64)[..., np.newaxis] * times
        lorentzians = 4.0 * times / (1.0 + (2.0 * math.pi * cycles) ** 2)
        return self._variance(conductance) * (lorentzians @ weights)

    def std(self, conductance: Array | float) -> Array:
        """Root mean square of the deviation over time and cells, S."""
        root: Array = np.sqrt(self._variance(conductance))
        return root

    def _variance(self, conductance: Array | float) -> Array:
        """S², over time and cells."""
        chance = self.sites * _evaluated(self.trap_probability, conductance)
        square = _mean_square(self.amplitude, self.amplitude_spread, conductance)
        variance: Array = self.occupancy * (1.0 - self.occupancy) * chance * square
        return variance

    def _correlation_times(self) -> tuple[Array, Array]:
        """Quadrature over the traps: correlation times in s and weights that sum to 1."""
        if self.dwell_time_spread == 0:
            return np.array([self.correlation_time_s]), np.ones(1)
        # The trapezoidal rule converges exponentially: the error is below 1e-8 for every spread.
        end = 8.0 + self.dwell_time_spread
        unit = np.arange(-end, end, 0.05)
        weights = np.exp(-(unit**2) / 2.0)
        times = self.correlation_time_s * np.exp(self.dwell_time_spread * unit)
        return times, weights / weights.sum()


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TelegraphLevels(CellwiseState):
    """One Markov chain per cell between any number of levels with given transition rates.

    For traps that influence each other, or a trap with a metastable state, where the levels of
    independent traps (:class:`TelegraphNoise`) do not fit. With the generator Q (rates off the
    diagonal, rows that sum to zero) the transition probabilities over a step t are exp(Q t):
    exact for every step, and consistent between any sequences of steps. The deviation is
    G a (level − mean level), so that it averages to zero over time.

    Parameters
    ----------
    amplitude : a, what one unit of ``levels`` is of the conductance that the cell has now, 0 to
        1: the median over cells.
    levels : height of every level, in units of ``amplitude``.
    rates_per_s : ``rates_per_s[i][j]`` from level i to level j, 1/s; zero on the diagonal. Every
        level must be reached from every other, through others if need be.
    probability : of a cell to have this noise at all, at the conductance that it was programmed
        to.
    amplitude_spread : standard deviation of ln a from cell to cell (log-normal).
    activation_energy_eV : all rates follow Arrhenius' law.

    Raises
    ------
    ValueError : a parameter outside its range, rates of another shape than (levels, levels), or
        levels that cannot be reached.

    Examples
    --------
    >>> noise = TelegraphLevels(amplitude=0.01, levels=(0, -1, -3),
    ...                         rates_per_s=((0, 2, 0), (5, 0, 1), (0, 4, 0)))
    >>> noise.occupancies.round(4)
    array([0.6667, 0.2667, 0.0667])
    """

    amplitude: StateDependence
    levels: Annotated[tuple[float, ...], Field(min_length=2)]
    rates_per_s: tuple[tuple[Annotated[float, Field(ge=0)], ...], ...]
    probability: StateDependence = 1.0
    amplitude_spread: Annotated[float, Field(ge=0)] = 0.0
    activation_energy_eV: Annotated[float, Field(ge=0)] = 0.0
    kind: Literal["levels"] = "levels"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _check_fraction("amplitude", self.amplitude)
        _check_fraction("probability", self.probability)
        count = len(self.levels)
        if [len(row) for row in self.rates_per_s] != [count] * count:
            raise ValueError(
                f"rates_per_s must be {count} rows of {count} rates, as many as levels"
            )
        rates = np.array(self.rates_per_s)
        if np.any(np.diag(rates) != 0):
            raise ValueError("rates_per_s[i][i] must be 0: no level goes to itself")
        if connected_components(rates > 0, connection="strong", return_labels=False) > 1:
            raise ValueError("rates_per_s: some level cannot be reached from some other")
        return self

    @property
    def occupancies(self) -> Array:
        """Fraction of the time that is spent in every level."""
        generator = self._generator / np.max(self.rates_per_s)
        # Adding 1 = Σ occupancies to every equation of balance makes them a regular system.
        stationary: Array = np.linalg.solve((generator + 1.0).T, np.ones(len(self.levels)))
        return stationary

    @property
    def _generator(self) -> Array:
        rates = np.array(self.rates_per_s)
        generator: Array = rates - np.diag(rates.sum(axis=1))
        return generator

    @property
    def _heights(self) -> Array:
        """Levels, counted from their mean over time."""
        heights: Array = np.array(self.levels) - self.occupancies @ np.array(self.levels)
        return heights

    def start(self, conductance: Array, rng: Generator) -> State:
        """State of cells that were programmed to ``conductance`` (S, any shape) just now."""
        shape, dtype = conductance.shape, conductance.dtype
        chance = evaluate(self.probability, conductance)
        strength = _strengths(chance, self.amplitude_spread, shape, rng).astype(dtype)
        state = {"level": np.zeros(shape, dtype), "strength": strength}
        everywhere = np.tile(self.occupancies, (len(self.levels), 1))
        self._step(state, everywhere, rng)
        return state

    def advance(
        self,
        state: State,
        seconds: float,
        rng: Generator,
        *,
        temperature: float = REFERENCE_TEMPERATURE,
    ) -> None:
        """Let time pass, in place; exact for any step and any sequence of steps.

        Raises
        ------
        InputError : a step that is negative or not finite, or an impossible temperature.
        """
        elapsed = check_seconds(seconds) * acceleration(self.activation_energy_eV, temperature)
        if elapsed > 0:
            self._step(state, self._transitions(np.array(elapsed)), rng)

    def _step(self, state: State, transitions: Array, rng: Generator) -> None:
        cumulative = np.cumsum(transitions, axis=1)
        step_levels(state["level"].reshape(-1), state["strength"].reshape(-1), cumulative, rng)

    def _transitions(self, seconds: Array) -> Array:
        """Probabilities (..., from, to) after ``seconds`` (...)."""
        generator = self._generator
        slowest = -np.sort(np.linalg.eigvals(generator).real)[-2]
        # All is forgotten after 100 of the longest memory; the exponential overflows far later.
        times = np.minimum(seconds, 100.0 / slowest)
        chances = expm(generator * times[..., np.newaxis, np.newaxis])
        # The exponential squares a matrix: rounding scales all of it, but its rows sum to 1.
        probabilities: Array = chances / chances.sum(axis=-1, keepdims=True)
        return probabilities

    def deviation(self, state: State, conductance: Array) -> Array:
        """Deviation in S of cells whose conductance is ``conductance`` (S) without this noise."""
        heights = self._heights.astype(conductance.dtype)
        relative: Array = heights[state["level"].astype(np.intp)]
        relative *= state["strength"]
        relative *= evaluate(self.amplitude, conductance)
        relative *= conductance
        return relative

    def autocovariance(self, lag: Array | float, conductance: Array | float) -> Array:
        """Covariance of two deviations that are ``lag`` seconds apart, S², averaged over cells.

        Lags and conductances (S) broadcast; at ``REFERENCE_TEMPERATURE``.
        """
        later = self._transitions(np.abs(np.asarray(lag, dtype=np.float64))) @ self._heights
        return self._mean_square(conductance) * (later @ (self.occupancies * self._heights))

    def spectrum(self, frequency: Array | float, conductance: Array | float) -> Array:
        """One-sided power spectral density, S²/Hz, averaged over cells.

        Frequencies (Hz) and conductances (S) broadcast; at ``REFERENCE_TEMPERATURE``.
        """
        heights, size = self._heights, len(self.levels)
        angular = 2.0 * math.pi * np.asarray(frequency, dtype=np.float64)
        # Heights have no mean, so adding the same rate to every transition changes nothing but
        # that the system has a solution at zero frequency too.
        static = np.max(self.rates_per_s) * self.occupancies - self._generator
        systems = 1j * angular[..., np.newaxis, np.newaxis] * np.eye(size) + static
        response = np.linalg.solve(systems, heights[:, np.newaxis])[..., 0].real
        return 4.0 * self._mean_square(conductance) * (response @ (self.occupancies * heights))

    def std(self, conductance: Array | float) -> Array:
        """Root mean square of the deviation over time and cells, S."""
        variance = self.occupancies @ self._heights**2
        root: Array = np.sqrt(variance * self._mean_square(conductance))
        return root

    def _mean_square(self, conductance: Array | float) -> Array:
        """Mean of (G a)² over cells, S²; of cells without this noise it is zero."""
        chance = _evaluated(self.probability, conductance)
        square: Array = chance * _mean_square(self.amplitude, self.amplitude_spread, conductance)
        return square


TelegraphLaw = Annotated[TelegraphNoise | TelegraphLevels, Field(discriminator="kind")]
"""Every law of telegraph noise, told apart by its ``kind`` in a device card."""


def _check_fraction(name: str, parameter: StateDependence) -> None:
    low, high = extremes(parameter)
    if not 0 <= low <= high <= 1:
        raise ValueError(f"{name} from {low:g} to {high:g}: must lie between 0 and 1")


def _strengths(chance: Array, spread: float, shape: tuple[int, ...], rng: Generator) -> Array:
    """Amplitudes over their median, log-normal; zero with probability 1 − ``chance``."""
    strength = (rng.random(shape) < chance).astype(np.float64)
    if spread > 0:
        strength *= np.exp(spread * rng.standard_normal(shape))
    return strength


def _evaluated(parameter: StateDependence, conductance: Array | float) -> Array:
    return evaluate(parameter, np.asarray(conductance, dtype=np.float64))


def _mean_square(amplitude: StateDependence, spread: float, conductance: Array | float) -> Array:
    """Mean of (G |ΔG|/G)² over a log-normal distribution, S²."""
    values = np.asarray(conductance, dtype=np.float64)
    square: Array = math.exp(2.0 * spread**2) * (evaluate(amplitude, values) * values) ** 2
    return square
