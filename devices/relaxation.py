"""Relaxation: how the conductance of a cell moves away from where programming left it."""

import math
from typing import Annotated, Literal, Self

import numpy as np
from numpy.random import Generator
from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from zerohm._arrays import Array
from zerohm._config import STRICT
from zerohm._errors import InputError
from zerohm._jit import kernel

from .state_dependence import StateDependence, evaluate, extremes
from .temperature import REFERENCE_TEMPERATURE, acceleration
from .time_part import CellwiseState, State, check_seconds

_LN10 = math.log(10.0)
_LEAST_TAIL = 1e-9  # decades: Gaussian, for the gamma clock
_BLOCK = 1 << 13  # cells whose random numbers are drawn at once: they stay in the cache

# The trapezoidal rule of the density: points in each of its two variables, and how many standard
# deviations they reach from the middle.
_POINTS = 40
_VOLATILITY_RANGE = 6.0
_CLOCK_RANGE = 9.0


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Relaxation(CellwiseState):
    """A Lévy process in logarithmic time, with a volatility of its own for every cell.

    A cell of age t since its last programming has gone u = log₁₀(1 + t / ``onset_s``) decades.
    Over the next Δu of them its conductance moves by::

        ΔG = m Δu + √(V C) [ρ (S − Δu) / √ℓ + √((1 − ρ²) S) N],     N ~ Normal(0, 1)

    - S, the decades that the cell itself feels, has mean Δu and variance ℓ Δu, anew in every step;
      ``clock`` is its law, inverse Gaussian or gamma. Such times add up, so that no step is too
      long or too short. A gamma clock stands still more often and jumps farther: most cells have
      hardly moved after u ≪ ℓ, and the tails are lighter.
    - V, the volatility, is log-normal with mean 1; ln V has the standard deviation
      ``volatility_spread``. A cell keeps its own until it is programmed again.

    Whatever the other parameters are, the deviation after u decades has mean m u and variance
    C u. Given V it is a normal-inverse Gaussian variable (Barndorff-Nielsen 1997), with the gamma
    clock a variance-gamma variable (Madan and Seneta 1990), and Gaussian for ℓ = 0. ℓ is how
    many decades the heavy tails last: :meth:`excess_kurtosis` falls as ℓ/u down to what the
    spread of V leaves. ρ leans the jumps towards higher (ρ > 0) or lower
    conductance; it shows in the :meth:`skewness` and only where ℓ > 0.

    Multi-level arrays show such means, variances, skews and kurtoses from 10 ms to 10³ s after
    programming (Levy 2024). The law follows these moments, not the whole distribution: more of
    the measured cells hardly move at all, and the largest deviations are smaller. It says nothing
    about days, nor about hours at temperatures where filaments dissolve; :meth:`advance` refuses
    neither, since a range of ages belongs to the source of the parameters.

    Parameters
    ----------
    variance_per_decade : C, S².
    mean_per_decade : m, S; negative where conductance is lost.
    asymmetry : ρ, between −1 and 1.
    tail_decades : ℓ, decades.
    volatility_spread : standard deviation of ln V.
    clock : law of S.
    onset_s : age at which relaxation sets in; below it, the variance grows as t. One number for
        all states: it makes the clock, which the cells share.
    activation_energy_eV : a cell ages by ``acceleration`` seconds per second (Arrhenius); zero
        for parameters that hold at every temperature.

    All but the last three depend on the programmed conductance if they are a ``StateTable``.

    Raises
    ------
    ValueError : a parameter outside its range at some conductance.

    Examples
    --------
    >>> law = Relaxation(variance_per_decade=16e-12, onset_s=1e-3)
    >>> programmed = np.full(10_000, 50e-6)
    >>> rng = np.random.default_rng(0)
    >>> state = law.start(programmed, rng)
    >>> law.advance(state, 1.0, rng)
    >>> law.advance(state, 9.0, rng)
    >>> float(law.deviation(state, programmed).std().round(7))
    8e-06
    """

    variance_per_decade: StateDependence
    mean_per_decade: StateDependence = 0.0
    asymmetry: StateDependence = 0.0
    tail_decades: StateDependence = 0.0
    volatility_spread: StateDependence = 0.0
    clock: Literal["inverse Gaussian", "gamma"] = "inverse Gaussian"
    onset_s: Annotated[float, Field(gt=0)]
    activation_energy_eV: Annotated[float, Field(ge=0)] = 0.0

    @model_validator(mode="after")
    def _in_range(self) -> Self:
        for name in ("variance_per_decade", "tail_decades", "volatility_spread"):
            lowest = extremes(getattr(self, name))[0]
            if lowest < 0:
                raise ValueError(f"{name}={lowest:g}: must be at least 0 at every conductance")
        low, high = extremes(self.asymmetry)
        if not -1 < low <= high < 1:
            raise ValueError(
                f"asymmetry from {low:g} to {high:g}: must lie between -1 and 1, both excluded"
            )
        return self

    def start(self, conductance: Array, rng: Generator) -> State:
        """State of cells that were programmed to ``conductance`` (S, any shape) just now."""
        spread = evaluate(self.volatility_spread, conductance)
        volatility = rng.standard_normal(conductance.shape, dtype=conductance.dtype.type)
        volatility *= spread
        volatility -= spread**2 / 2
        np.exp(volatility, out=volatility)
        parameters = {
            "amplitude": np.sqrt(volatility * evaluate(self.variance_per_decade, conductance)),
            "mean": evaluate(self.mean_per_decade, conductance),
            "asymmetry": evaluate(self.asymmetry, conductance),
            "root_tail": np.sqrt(evaluate(self.tail_decades, conductance)),
        }
        return {
            "deviation": np.zeros(conductance.shape, conductance.dtype),
            "age": np.zeros(conductance.shape),
            **{name: _filled(value, conductance.shape) for name, value in parameters.items()},
        }

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
        if elapsed == 0:
            return
        flat = {name: values.reshape(-1) for name, values in state.items()}
        if self.clock == "gamma":
            self._advance_gamma(flat, elapsed, rng)
            return
        normal, uniform = np.empty((2, _BLOCK)), np.empty(_BLOCK)
        for first in range(0, flat["age"].size, _BLOCK):
            block = slice(first, first + _BLOCK)
            rng.standard_normal(out=normal)
            rng.random(out=uniform)
            _relax(
                flat["deviation"][block],
                flat["age"][block],
                flat["amplitude"][block],
                flat["mean"][block],
                flat["asymmetry"][block],
                flat["root_tail"][block],
                normal,
                uniform,
                elapsed,
                self.onset_s,
            )

    def _advance_gamma(self, flat: State, elapsed: float, rng: Generator) -> None:
        """The same step with S = Δu + √ℓ √Δu γ, γ a standardised gamma variable."""
        for first in range(0, flat["age"].size, _BLOCK):
            block = slice(first, first + _BLOCK)
            mean, amplitude, lean = (flat[key][block] for key in ("mean", "amplitude", "asymmetry"))
            tail = np.maximum(flat["root_tail"][block].astype(np.float64) ** 2, _LEAST_TAIL)
            decades = np.log1p(elapsed / (self.onset_s + flat["age"][block])) / _LN10
            clock = tail * rng.standard_gamma(decades / tail)
            jump = lean * (clock - decades) / np.sqrt(tail)
            jump += np.sqrt((1.0 - lean**2) * clock) * rng.standard_normal(decades.size)
            flat["deviation"][block] += mean * decades + amplitude * jump
            flat["age"][block] += elapsed

    def deviation(self, state: State, conductance: Array) -> Array:
        """How far the cells have moved from the conductance they were programmed to, S."""
        return state["deviation"].copy()

    def decades(self, seconds: Array | float) -> Array:
        """u = log₁₀(1 + t / ``onset_s``) of an age at the reference temperature.

        Raises
        ------
        InputError : an age that is negative or NaN.
        """
        if not np.all(np.greater_equal(seconds, 0)):
            raise InputError("an age in seconds must be a number of at least 0")
        return np.asarray(np.log1p(np.asarray(seconds) / self.onset_s) / _LN10)

    def mean(self, seconds: Array | float, conductance: Array | float) -> Array:
        """Mean deviation in S after some seconds at the reference temperature."""
        return self._at("mean_per_decade", conductance) * self.decades(seconds)

    def variance(self, seconds: Array | float, conductance: Array | float) -> Array:
        """Variance of the deviation in S², all cells of this conductance together."""
        return self._at("variance_per_decade", conductance) * self.decades(seconds)

    def skewness(self, seconds: Array | float, conductance: Array | float) -> Array:
        """3 ρ √(ℓ/u) exp(3 s²/8) with s the spread of the volatility; seconds > 0.

        With the gamma clock ρ (3 − ρ²) in place of 3 ρ.
        """
        tail = self._at("tail_decades", conductance)
        spread = self._at("volatility_spread", conductance)
        lean = self._at("asymmetry", conductance)
        factor = lean * (3 - lean**2) if self.clock == "gamma" else 3 * lean
        return np.asarray(
            factor * np.exp(3 / 8 * spread**2) * np.sqrt(tail / self.decades(seconds))
        )

    def excess_kurtosis(self, seconds: Array | float, conductance: Array | float) -> Array:
        """3 exp(s²) (1 + (1 + 4 ρ²) ℓ/u) − 3 with s the spread of the volatility; seconds > 0.

        With the gamma clock 1 + 2 ρ² − ρ⁴ in place of 1 + 4 ρ².
        """
        tail = self._at("tail_decades", conductance)
        spread = self._at("volatility_spread", conductance)
        square = self._at("asymmetry", conductance) ** 2
        jumps = (1 + (2 - square) * square if self.clock == "gamma" else 1 + 4 * square) * tail
        return np.asarray(3 * np.exp(spread**2) * (1 + jumps / self.decades(seconds)) - 3)

    def log_density(
        self,
        deviation: Array,
        seconds: Array | float,
        conductance: Array | float,
        noise_variance: Array | float = 0.0,
    ) -> Array:
        """Logarithm of the probability density of a measured deviation, 1/S.

        Integrated numerically over V and S, to 1e-4 within six standard deviations as long as
        ``abs(asymmetry)`` is at most 0.5 and ``volatility_spread`` at most 1.5; a density close
        to ``asymmetry = ±1`` has an edge that the integration rounds.

        Parameters
        ----------
        deviation : S.
        seconds : age of the cells at the reference temperature.
        conductance : S, that they were programmed to.
        noise_variance : S², of Gaussian noise in the measurement.

        All four broadcast against each other.

        Raises
        ------
        InputError : a negative age or variance, a law without any width: no noise together
            with no time or no relaxation; or the gamma clock, whose density has a pole at 0.
        """
        if self.clock == "gamma":
            raise InputError(
                "log_density is for the inverse Gaussian clock; calibrate.relaxation fits both"
            )
        variance = self._at("variance_per_decade", conductance)
        decades = self.decades(seconds)
        if not np.all(np.greater_equal(noise_variance, 0)):
            raise InputError("noise_variance in S² must be a number of at least 0")
        if np.any(variance * decades + noise_variance <= 0):
            raise InputError(
                "a deviation without relaxation (seconds = 0 or variance_per_decade = 0) and "
                "without noise is exactly 0 and has no density: give noise_variance > 0"
            )
        arguments = np.broadcast_arrays(
            np.asarray(deviation) - self.mean(seconds, conductance),
            decades,
            variance,
            self._at("asymmetry", conductance),
            self._at("tail_decades", conductance),
            self._at("volatility_spread", conductance),
            np.asarray(noise_variance),
        )
        flat = np.stack(arguments, dtype=np.float64).reshape(len(arguments), -1)
        return _log_density(flat).reshape(arguments[0].shape)

    def _at(self, name: str, conductance: Array | float) -> Array:
        """One parameter at a conductance."""
        return evaluate(getattr(self, name), np.asarray(conductance, dtype=np.float64))


def _filled(value: Array, shape: tuple[int, ...]) -> Array:
    return np.broadcast_to(value, shape).copy()  # writable, for cells that are programmed again


@kernel
def _relax(
    deviation: Array,
    age: Array,
    amplitude: Array,
    mean: Array,
    asymmetry: Array,
    root_tail: Array,
    normal: Array,
    uniform: Array,
    seconds: float,
    onset: float,
) -> None:
    """One step of every cell in place: deviation and mean (S), age and onset (s), amplitude
    √(V C) (S), root_tail √ℓ; normal (2, at least as many as cells), uniform in [0, 1).

    S as Michael, Schucany & Haas (1976) draw it from a normal M and a uniform variable. With
    q = √(ℓ/Δu) |M| / 2 and e = q + √(q² + 1) their two roots are Δu e² and Δu / e², the larger
    one with probability 1 / (1 + e²). Then (S − Δu) / √ℓ is √Δu |M| e or −√Δu |M| / e, which
    is exact for any ℓ/Δu, zero included.
    """
    known, decades, per_root_decade = -1.0, 0.0, 0.0
    for i in range(deviation.size):
        if age[i] != known:  # neighbours mostly have the same age
            known = age[i]
            decades = np.log1p(seconds / (onset + known)) / _LN10
            per_root_decade = 1.0 / np.sqrt(decades) if decades > 0.0 else 0.0  # underflow
        push = abs(normal[0, i])
        q = 0.5 * root_tail[i] * per_root_decade * push
        root = q + np.sqrt(q * q + 1.0)  # of S/Δu
        if uniform[i] * (1.0 + root * root) >= 1.0:
            push, root = -push, 1.0 / root
        lean = asymmetry[i]
        jump = root * (lean * push + np.sqrt(1.0 - lean * lean) * normal[1, i])
        deviation[i] += decades * (mean[i] + amplitude[i] * per_root_decade * jump)
        age[i] = known + seconds


@kernel
def _log_density(arguments: Array) -> Array:
    """Log density (1/S) of a deviation for every column of ``arguments``: deviation less its
    mean (S), decades, variance (S²/decade), asymmetry, tail (decades), volatility spread and
    variance of noise (S²).

    ln V is normal. S = u w² with w = exp(z) and z = arcsinh(k M), k = √(ℓ/u) / 2, has the
    density exp(−M²/2 − z) in z. Both fall so fast on both sides that the trapezoidal rule
    converges exponentially.
    """
    centred, decades, variance, asymmetry = arguments[:4]
    tail, spread, noise = arguments[4:]
    found = np.empty(centred.size)
    push, root, log_clock = np.empty(_POINTS), np.empty(_POINTS), np.empty(_POINTS)
    grid = np.linspace(-1.0, 1.0, _POINTS)
    normal = _VOLATILITY_RANGE * grid
    log_normal = -0.5 * normal**2
    volatility_total = np.sum(np.exp(log_normal))
    for n in range(centred.size):
        k = 1e-8  # stands for zero: the law is Gaussian to 16 digits
        if decades[n] > 0.0:
            k = max(k, 0.5 * np.sqrt(tail[n] / decades[n]))
        end = np.arcsinh(k * _CLOCK_RANGE)
        total = 0.0
        for c in range(_POINTS):
            push[c] = np.sinh(end * grid[c]) / k
            root[c] = np.exp(end * grid[c])
            log_clock[c] = -0.5 * push[c] ** 2 - end * grid[c]
            total += np.exp(log_clock[c])
        total *= volatility_total
        lean = asymmetry[n]
        largest, others = -np.inf, 0.0
        for j in range(_POINTS):
            volatility = np.exp(spread[n] * (normal[j] - spread[n] / 2.0))
            power = volatility * variance[n] * decades[n]
            for c in range(_POINTS):
                width = power * (1.0 - lean * lean) * root[c] ** 2 + noise[n]
                off = centred[n] - np.sqrt(power) * lean * push[c] * root[c]
                term = log_normal[j] + log_clock[c] - 0.5 * (off * off / width + np.log(width))
                if term > largest:
                    others = others * np.exp(largest - term) + 1.0
                    largest = term
                else:
                    others += np.exp(term - largest)
        found[n] = largest + np.log(others / total) - 0.5 * np.log(2.0 * np.pi)
    return found
