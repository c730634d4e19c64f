"""1/f noise: how the conductance of a cell fluctuates from read to read, with memory."""

import math
from typing import Annotated, Self

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from zerohm._arrays import Array
from zerohm._config import STRICT

from .fluctuation_kernels import step_components
from .state_dependence import StateDependence, evaluate, extremes
from .temperature import REFERENCE_TEMPERATURE, acceleration
from .time_part import CellwiseState, State, check_seconds

_LARGEST_RATIO = 5.0  # of neighbouring corner frequencies: a ripple of 0.9 %


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FlickerNoise(CellwiseState):
    """Gaussian 1/f^α noise of the conductance, a sum of independent Lorentzians.

    One-sided power spectral density, S²/Hz::

        S_G(f) = G² a(G) / f^α        for frequency_min ≪ f ≪ frequency_max

    The conductance fluctuates as G √a Σₖ xₖ, where every xₖ is an Ornstein–Uhlenbeck process of
    variance σₖ² that forgets at the rate 2π fₖ. Each adds a Lorentzian with its corner at fₖ, and
    corners spaced evenly in ln f with variances σₖ² = sin(πα/2) fₖ^(1−α) Δ(ln f) add up to f^−α
    (Bernamont 1937, van der Ziel 1950).

    Only the sum is ever seen, and it takes one random number ξ ~ Normal(0, 1) per cell and step:
    the innovations form of the process (Kalman 1960, Anderson and Moore 1979). Given all sums so
    far, the components are normal with mean m and covariance P. A step of length t decays them by
    A = diag(exp(−2π fₖ t)), renews them by Q = diag(σₖ² (1 − Aₖ²)) (Gillespie 1996) and then
    shows their sum::

        M = A P A + Q,     s = 1ᵀ M 1,     g = M 1 / s
        m ← A m + g √s ξ,     P ← (1 − g 1ᵀ) M (1 − g 1ᵀ)ᵀ

    The new sum, Σ mₖ, has mean 1ᵀ A m and variance s: the law that it has given all earlier ones.
    So the joint law of all sums is that of the components drawn one by one, for steps of any
    lengths, and the correlation of two reads depends on nothing but the time between them. P is
    the same for all cells, since all make the same steps. It is largest right after the start:
    for cells that are programmed later than others, :meth:`merge` draws the difference.

    Corners are at most a factor r = 5 apart; the density then ripples around the power law by
    2 / cosh(π² / ln r) = 0.9 % at most. Below ``frequency_min`` it is flat, above
    ``frequency_max`` it falls as 1/f². For α = 1 the density is half of the law at both of these
    frequencies and 5 % low a decade inside of them; a steeper one feels the lower edge, a flatter
    one the upper edge, over more decades (α = 1.5: 16 % low at 30 times ``frequency_min``).
    :meth:`spectrum` is what the model really has. The variance for α = 1 is
    G² a ln(frequency_max / frequency_min).

    Parameters
    ----------
    amplitude : a, the relative density S_G/G² at 1 Hz, Hz^(α−1): the median over cells.
    exponent : α; 0.8 to 1.4 in single cells of a measured multi-level array. Outside of 0.5 to
        1.5 hardly any band is left in which the spectrum is free of its edges.
    frequency_min, frequency_max : Hz, lowest and highest corner frequency: the reciprocal of
        the longest time that matters, over 2π, and the bandwidth of a read, each with a decade
        to spare. Every decade costs 1.4 numbers that are remembered and moved for every cell.
    amplitude_spread : standard deviation of ln a from cell to cell (log-normal). The factor
        belongs to the filament: programming a cell anew draws it anew.
    activation_energy_eV : all corner frequencies follow Arrhenius' law, so that at a temperature
        with the acceleration r the density is S_G(f / r) / r.

    Raises
    ------
    ValueError : a parameter outside its range, or an empty band.

    Examples
    --------
    >>> noise = FlickerNoise(amplitude=1e-5, frequency_min=1e-3, frequency_max=1e3)
    >>> rng = np.random.default_rng(0)
    >>> cells = np.full((64, 64), 50e-6)
    >>> state = noise.start(cells, rng)
    >>> first = noise.deviation(state, cells)
    >>> noise.advance(state, 0.1, rng)
    >>> covariance = np.mean(first * noise.deviation(state, cells))
    >>> bool(abs(covariance / noise.autocovariance(0.1, 50e-6) - 1) < 0.1)
    True
    """

    amplitude: StateDependence
    exponent: Annotated[float, Field(ge=0.5, le=1.5)] = 1.0
    frequency_min: Annotated[float, Field(gt=0)]
    frequency_max: Annotated[float, Field(gt=0)]
    amplitude_spread: Annotated[float, Field(ge=0)] = 0.0
    activation_energy_eV: Annotated[float, Field(ge=0)] = 0.0

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        lowest = extremes(self.amplitude)[0]
        if lowest < 0:
            raise ValueError(f"amplitude={lowest:g}: must be at least 0 at every conductance")
        if not self.frequency_min < self.frequency_max:
            raise ValueError(
                f"frequency_min={self.frequency_min:g} Hz must lie below "
                f"frequency_max={self.frequency_max:g} Hz"
            )
        return self

    @property
    def corner_frequencies(self) -> Array:
        """fₖ, Hz: centres of equal intervals of ln f between the ends of the band."""
        edges = np.geomspace(self.frequency_min, self.frequency_max, self._count + 1)
        centres: Array = np.sqrt(edges[:-1] * edges[1:])
        return centres

    @property
    def _count(self) -> int:
        return math.ceil(self._span / math.log(_LARGEST_RATIO))

    @property
    def _span(self) -> float:
        return math.log(self.frequency_max / self.frequency_min)

    @property
    def _variances(self) -> Array:
        """σₖ², of the relative conductance for a = 1."""
        return component_variances(self.corner_frequencies, self.exponent, self._span / self._count)

    def start(self, conductance: Array, rng: Generator) -> State:
        """State of cells that were programmed to ``conductance`` (S, any shape) just now."""
        shape, dtype, count = conductance.shape, conductance.dtype, self._count
        state = {
            "components": np.zeros((count, *shape), dtype),
            "total": np.zeros(shape, dtype),
            "covariance": np.zeros((count, count)),
        }
        self._step(state, np.full(count, math.inf), rng)
        if self.amplitude_spread > 0:
            unit = rng.standard_normal(shape)
            state["factor"] = np.exp(0.5 * self.amplitude_spread * unit).astype(dtype)
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
        memories = 2.0 * math.pi * elapsed * self.corner_frequencies
        if memories[-1] > 0:
            self._step(state, memories, rng)

    def _step(self, state: State, memories: Array, rng: Generator) -> None:
        """Step over as many of each component's memories."""
        decay, gain, state["covariance"] = innovations_step(
            state["covariance"], self._variances, memories
        )
        flat = state["components"].reshape(self._count, -1)
        step_components(flat, state["total"].reshape(-1), decay, gain, rng)

    def merge(self, state: State, fresh: State, where: NDArray[np.bool_], rng: Generator) -> None:
        """Put cells that were programmed just now in the place of the selected ones.

        The first sum leaves more open than the whole past of the other cells does, and the
        difference of the two P is a covariance. A draw from it leaves as much open in the new
        cells as in the old ones, and changes no deviation.

        Parameters
        ----------
        state : of all cells, changed in place.
        fresh : state of the selected cells alone, as :meth:`start` has made it; used up.
        where : booleans of the shape of the cells, or of their last axes.
        rng : source of the draws, as many for every new cell as there are components.
        """
        excess = fresh["covariance"] - state["covariance"]
        eigenvalues, eigenvectors = np.linalg.eigh(excess)
        root = eigenvectors * np.sqrt(np.maximum(eigenvalues, 0.0))
        root -= root.mean(axis=0)  # of every draw, the sum is zero but for rounding
        components = fresh["components"]
        components += np.tensordot(root, rng.standard_normal(components.shape), 1)
        cellwise = {name: values for name, values in state.items() if name != "covariance"}
        super().merge(cellwise, fresh, where, rng)

    def deviation(self, state: State, conductance: Array) -> Array:
        """Deviation in S of cells whose conductance is ``conductance`` (S) without this noise."""
        relative: Array = state["total"] * np.sqrt(evaluate(self.amplitude, conductance))
        if "factor" in state:
            relative *= state["factor"]
        relative *= conductance
        return relative

    def spectrum(self, frequency: Array | float, conductance: Array | float) -> Array:
        """One-sided power spectral density, S²/Hz, averaged over cells.

        Frequencies (Hz) and conductances (S) broadcast; at ``REFERENCE_TEMPERATURE``.
        """
        corner = self.corner_frequencies
        ratio = np.asarray(frequency, dtype=np.float64)[..., np.newaxis] / corner
        densities = 2.0 / (math.pi * corner) / (1.0 + ratio**2)
        return self._mean_square(conductance) * (densities @ self._variances)

    def autocovariance(self, lag: Array | float, conductance: Array | float) -> Array:
        """Covariance of two deviations that are ``lag`` seconds apart, S², averaged over cells.

        Lags and conductances (S) broadcast; at ``REFERENCE_TEMPERATURE``.
        """
        times = np.abs(np.asarray(lag, dtype=np.float64))[..., np.newaxis]
        correlation = np.exp(-2.0 * math.pi * times * self.corner_frequencies)
        return self._mean_square(conductance) * (correlation @ self._variances)

    def std(self, conductance: Array | float) -> Array:
        """Root mean square of the deviation over time and cells, S."""
        root: Array = np.sqrt(self.autocovariance(0.0, conductance))
        return root

    def _mean_square(self, conductance: Array | float) -> Array:
        """G² times the mean of a over cells, S² Hz^(α−1)."""
        values = np.asarray(conductance, dtype=np.float64)
        mean = math.exp(self.amplitude_spread**2 / 2.0)
        square: Array = mean * evaluate(self.amplitude, values) * values**2
        return square


def component_variances(corners: Array, exponent: float, spacing: float) -> Array:
    """σₖ² of components with corners (Hz) evenly spaced in ln f whose spectra add up to 1/f^α.

    sin(πα/2) fₖ^(1−α) Δ(ln f), see :class:`FlickerNoise`.
    """
    variances: Array = math.sin(math.pi * exponent / 2.0) * spacing * corners ** (1.0 - exponent)
    return variances


def innovations_step(
    covariance: Array, variances: Array, memories: Array
) -> tuple[Array, Array, Array]:
    """Decay and gain of every component over one step, and the covariance after it.

    The Kalman filter of components of which nothing but the sum is observed, without any error.
    That the sum is known, so that the rows of its covariance sum to zero, is used to write the
    variance of a step without differences: steps of any length keep their precision.

    Parameters
    ----------
    covariance : (K, K), of the components given all sums so far.
    variances : (K,), of the components for themselves.
    memories : (K,), length of the step over the time constant of each component.
    """
    decay, forgotten = np.exp(-memories), -np.expm1(-memories)
    renewed = -np.expm1(-2.0 * memories) * variances
    lost = covariance @ forgotten
    variance = renewed.sum() + forgotten @ lost  # of the new sum, given the past
    shares = renewed - decay * lost  # covariances with the new sum
    shares /= shares.sum()
    predicted = decay[:, np.newaxis] * covariance * decay + np.diag(renewed)
    left = np.eye(len(shares)) - shares[:, np.newaxis]
    updated = left @ predicted @ left.T
    return decay, math.sqrt(variance) * shares, (updated + updated.T) / 2.0
