"""Random telegraph noise in a trace: a hidden Markov model on top of 1/f and white noise.

The conductance is a level, plus one of two values per trap, plus Gaussian noise. Traps are
two-state Markov processes seen at the samples: transition probabilities follow from the dwell
times exactly, so dwells that began and ended between two samples are accounted for (the missed
events of dwell-time histograms), as are the unfinished ones at the ends of the trace. A sample is
the conductance of an instant; one that averages over much of a dwell shows values in between.

The Gaussian noise has the memory of 1/f noise. A Kalman filter predicts it, given the past of the
traps; of the pasts that lead to one state, only a single Gaussian with their mean is carried on
(generalised pseudo-Bayes of second order: Ackerson & Fu, IEEE Trans. Autom. Control 15, 10
(1970)). Without traps the likelihood is exact.

Traps are accepted one by one, if the likelihood rises by more than Schwarz' criterion asks of
their three parameters, both over the noise as it was found without the trap and over Gaussian
noise with the trap's own Lorentzian in its spectrum: what decides is that the conductance jumps,
not how its spectrum looks. And a trap must jump to and fro, at least :data:`FEWEST` times.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from zerohm._arrays import Array

from . import telegraph_kernels as kernels
from .estimate import Estimates, Parameter, maximise
from .spectrum import (
    SpectralFit,
    Spectrum,
    corner_frequencies,
    fit_spectrum,
    lorentzians,
    spectrum,
)

MOST_TRAPS = 2
"""Traps that are looked for in one trace."""
FEWEST = 10
"""Jumps that make a trap; fewer are shifts of the level."""

_MOVING = 0.3  # periods per trace: slower components are part of the level
_ROUNDS = 12  # of decoding and re-estimating; most searches stand still after five


@dataclass(frozen=True, kw_only=True)
class Trap:
    """A conductance that jumps between two levels.

    Parameters
    ----------
    amplitude : S, difference of the levels.
    time_high, time_low : s, mean dwell times in the levels of high and of low conductance.
    """

    amplitude: float
    time_high: float
    time_low: float

    @property
    def rate(self) -> float:
        """1/s, at which the trap forgets its state."""
        return 1.0 / self.time_high + 1.0 / self.time_low

    @property
    def high(self) -> float:
        """Fraction of the time spent in the high level."""
        return self.time_high / (self.time_high + self.time_low)


@dataclass(frozen=True, kw_only=True)
class Background:
    """Gaussian noise without traps, prepared for filtering.

    Parameters
    ----------
    decay : (components,), correlation of every component from sample to sample.
    gains : (samples, components), what every component takes of an innovation.
    spread : (samples,), S², variance of the innovations.
    """

    decay: Array
    gains: Array
    spread: Array


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A trace taken apart.

    Parameters
    ----------
    low : S, level with all traps in their low state.
    traps : from the first accepted to the last.
    noise : white and 1/f noise of the rest.
    ground : the same, prepared for filtering.
    log_likelihood : of the trace.
    states : (samples,), most likely states; the last trap is the lowest binary digit.
    """

    low: float
    traps: tuple[Trap, ...]
    noise: SpectralFit
    ground: Background
    log_likelihood: float
    states: NDArray[np.intp]

    @property
    def path(self) -> Array:
        """(samples,), S, most likely level."""
        levels, _, _ = _chain(self.traps, 1.0)
        found: Array = self.low + levels[self.states]
        return found

    def is_high(self, trap: int) -> NDArray[np.intp]:
        """(samples,), 1 where a trap is in its high state."""
        found: NDArray[np.intp] = (self.states >> (len(self.traps) - 1 - trap)) & 1
        return found

    def jumps(self, trap: int) -> int:
        """Number of transitions of one trap."""
        return int(np.count_nonzero(np.diff(self.is_high(trap))))


def prepare(
    noise: SpectralFit,
    samples: int,
    sampling_rate: float,
    *,
    extra: tuple[float, float] | None = None,
) -> Background:
    """Filter for Gaussian noise with this spectrum.

    Parameters
    ----------
    noise : white and 1/f noise.
    samples : length of the trace.
    sampling_rate : Hz.
    extra : rate in 1/s and variance in S² of one more component.
    """
    corners = corner_frequencies(sampling_rate, samples)
    moving = corners > _MOVING * sampling_rate / samples
    rates, variances = 2.0 * np.pi * corners[moving], noise.variances(corners)[moving]
    if extra is not None:
        rates, variances = np.append(rates, extra[0]), np.append(variances, extra[1])
    decay = np.exp(-rates / sampling_rate)
    gains, spread = kernels.gains(decay, variances, noise.white * sampling_rate / 2.0, samples)
    return Background(decay=decay, gains=gains, spread=spread)


def whitened(series: Array, ground: Background) -> Array:
    """(samples,), what a background does not predict of a series, in standard deviations."""
    return np.asarray(kernels.innovations(series, ground.decay, ground.gains, ground.spread))


def log_likelihood(
    trace: Array, sampling_rate: float, ground: Background, low: float, traps: tuple[Trap, ...]
) -> float:
    """ln p of a trace with these traps above the level ``low`` (S)."""
    levels, transition, start = _chain(traps, sampling_rate)
    filtered = (ground.decay, ground.gains, ground.spread)
    return float(kernels.log_likelihood(trace, levels + low, transition, start, *filtered))


def decode(trace: Array, sampling_rate: float) -> Decoded:
    """Find the traps in a trace.

    Parameters
    ----------
    trace : (samples,), S, at equal intervals.
    sampling_rate : Hz.
    """
    # Searches of a few parameters lose most of their time to the threads of a matrix library.
    with threadpool_limits(limits=1, user_api="blas"):
        found = _without_traps(trace, sampling_rate)
        for _ in range(MOST_TRAPS):
            more = _with_one_more(trace, sampling_rate, found)
            if more is None:
                break
            found = more
    return found


def penalty(samples: int) -> float:
    """Rise of the log-likelihood that Schwarz' criterion asks of a trap, ½·3·ln n."""
    return 1.5 * math.log(samples)


def detectable_amplitude(
    noise: SpectralFit, sampling_rate: float, samples: int, dwell_times: Array
) -> Array:
    """Smallest amplitude in S of a trap that is found in 95 % of traces.

    A dwell of length τ stands out of the noise by the signal-to-noise ratio ρ of its matched
    filter, ρ² = 4 a² ∫ |P(f)|²/S(f) df with its sampled shape P. Each dwell raises the
    log-likelihood by g(ρ) over that of Gaussian noise with the same spectrum; its total scatters
    by 1.2 √(n g) over n dwells. g was determined in white noise by simulation for dwells of 2 to
    100 samples; in 1/f noise it is larger. The noise is estimated from the same trace, which costs
    a margin of 1.2 in the amplitude (by simulation as well).

    Parameters
    ----------
    noise : white and 1/f noise of the trace.
    sampling_rate : Hz.
    samples : length of the trace.
    dwell_times : s, mean of both levels; infinite amplitudes where fewer than
        1.7 :data:`FEWEST` dwells fit into the trace or they are shorter than five samples.
    """
    steps = np.asarray(dwell_times) * sampling_rate
    frequency = np.geomspace(0.1 / samples, 0.5, 4000)
    density = noise.density(frequency * sampling_rate, sampling_rate, samples) * sampling_rate
    shape = np.sin(np.pi * np.outer(steps, frequency)) / np.sin(np.pi * frequency)
    energy = 4.0 * np.trapezoid(shape**2 / density, frequency, axis=1)
    number = samples / steps
    # 1.2·1.645 standard deviations above the penalty: a quadratic equation for √(n g).
    needed = (1.0 + math.sqrt(1.0 + penalty(samples))) ** 2 / number
    ratio = np.exp(np.interp(np.log(needed), np.log(_GAIN), np.log(_RATIO)))
    possible = (number >= 1.7 * FEWEST) & (steps >= 5.0)
    return np.where(possible, _MARGIN * ratio / np.sqrt(energy), math.inf)


# Of the detectable amplitude, since the noise is not known beforehand: chosen after simulations, in
# which 6 to 11 of 12 traps at the limit without it were found.
_MARGIN = 1.2
# Rise of the log-likelihood per dwell (nats) at signal-to-noise ratios of a dwell, in white noise,
# from 6 simulations each.
_RATIO = np.array([3.0, 5.0, 8.0, 12.0, 20.0])
_GAIN = np.array([0.018, 0.16, 0.65, 1.6, 2.5])


def estimate(trace: Array, sampling_rate: float, found: Decoded) -> Estimates:
    """Maximum-likelihood estimates of the level and of the traps, from where decoding ended.

    Parameters are ``level`` and, trap by trap, ``trap_1_amplitude``, ``trap_1_time_high`` and
    ``trap_1_time_low`` in S and s.
    """
    scale = found.traps[0].amplitude
    parameters = [Parameter(name="level", unit="S", start=found.low, size=scale)]
    for number, trap in enumerate(found.traps, 1):
        for name, unit, start in (
            ("amplitude", "S", trap.amplitude),
            ("time_high", "s", trap.time_high),
            ("time_low", "s", trap.time_low),
        ):
            parameters.append(
                Parameter(name=f"trap_{number}_{name}", unit=unit, start=start, scale="logarithmic")
            )

    def likelihood(values: Array) -> float:
        traps = tuple(
            Trap(amplitude=amplitude, time_high=high, time_low=low)
            for amplitude, high, low in values[1:].reshape(-1, 3)
        )
        return log_likelihood(trace, sampling_rate, found.ground, float(values[0]), traps)

    return maximise(likelihood, parameters, points=len(trace))


def _chain(traps: tuple[Trap, ...], sampling_rate: float) -> tuple[Array, Array, Array]:
    """Levels above the lowest (S), transition probabilities from sample to sample, and start."""
    levels, transition, start = np.zeros(1), np.ones((1, 1)), np.ones(1)
    for trap in traps:
        lost = -math.expm1(-trap.rate / sampling_rate)
        up, down = trap.high * lost, (1.0 - trap.high) * lost
        levels = np.add.outer(levels, np.array([0.0, trap.amplitude])).ravel()
        transition = np.kron(transition, np.array([[1.0 - up, up], [down, 1.0 - down]]))
        start = np.kron(start, np.array([1.0 - trap.high, trap.high]))
    return levels, transition, start


def _without_traps(trace: Array, sampling_rate: float) -> Decoded:
    noise = fit_spectrum(spectrum(trace, sampling_rate))
    ground = prepare(noise, len(trace), sampling_rate)
    states = np.zeros(len(trace), np.intp)
    return _level_and_amplitudes(trace, sampling_rate, (), noise, ground, states)


def _with_one_more(trace: Array, sampling_rate: float, before: Decoded) -> Decoded | None:
    """The trace with one more trap, if it has one."""
    measured = spectrum(trace - before.path, sampling_rate)
    noise, trap = _first_guess(trace - before.path, sampling_rate, measured)
    traps = (*before.traps, trap)
    low = before.low - trap.high * trap.amplitude
    found = _settle(trace, sampling_rate, noise, low, traps)
    if found is not None and _is_better(trace, sampling_rate, measured, before, found):
        return found
    # Jumps that are not seen one by one: search with all paths instead of the most likely one.
    first = _climb(trace, sampling_rate, noise, low, traps)
    noise = fit_spectrum(measured, lorentzian=_shape(measured, first.traps[-1].rate))
    second = _climb(trace, sampling_rate, noise, first.low, first.traps)
    return second if _is_better(trace, sampling_rate, measured, before, second) else None


def _is_better(
    trace: Array, sampling_rate: float, measured: Spectrum, before: Decoded, found: Decoded
) -> bool:
    """Whether all traps jump often enough, and the last one is worth its parameters.

    ``measured`` is the spectrum of the trace without the traps of ``before``.
    """
    duration = len(trace) / sampling_rate
    if any(2.0 * duration < FEWEST * (trap.time_high + trap.time_low) for trap in found.traps):
        return False
    rate = found.traps[-1].rate
    same = fit_spectrum(measured, lorentzian=_shape(measured, rate))
    ground = prepare(same, len(trace), sampling_rate, extra=(rate, same.lorentzian))
    gaussian = log_likelihood(trace, sampling_rate, ground, before.low, before.traps)
    rise = found.log_likelihood - max(before.log_likelihood, gaussian)
    return rise > penalty(len(trace))


def _climb(
    trace: Array, sampling_rate: float, noise: SpectralFit, low: float, traps: tuple[Trap, ...]
) -> Decoded:
    """Level and traps with the largest likelihood for known noise."""
    ground = prepare(noise, len(trace), sampling_rate)
    scale = traps[-1].amplitude
    logs = np.log([(trap.amplitude, trap.time_high, trap.time_low) for trap in traps]).ravel()

    def unpacked(x: Array) -> tuple[float, tuple[Trap, ...]]:
        values = np.exp(x[1:]).reshape(-1, 3)
        found = (Trap(amplitude=a, time_high=high, time_low=end) for a, high, end in values)
        return float(low + scale * x[0]), tuple(found)

    start = np.append(0.0, logs)
    best = minimize(
        lambda x: -log_likelihood(trace, sampling_rate, ground, *unpacked(x)),
        start,
        method="L-BFGS-B",
        bounds=[(at - 3.0, at + 3.0) for at in start],
        options={"eps": 1e-5, "ftol": 1e-8, "maxiter": 25},
    )
    level, found = unpacked(best.x)
    levels, transition, begin = _chain(found, sampling_rate)
    filtered = (ground.decay, ground.gains, ground.spread)
    return Decoded(
        low=level,
        traps=found,
        noise=noise,
        ground=ground,
        log_likelihood=-float(best.fun),
        states=kernels.most_likely(trace, levels + level, transition, begin, *filtered),
    )


def _shape(measured: Spectrum, rate: float) -> Array:
    """Spectrum of a trap with this rate (1/s) and a variance of 1."""
    corner = np.array([rate / (2.0 * np.pi)])
    found: Array = lorentzians(measured.frequency, corner, measured.sampling_rate)[:, 0]
    return found


def _first_guess(
    trace: Array, sampling_rate: float, measured: Spectrum
) -> tuple[SpectralFit, Trap]:
    """The most likely of the traps that could make a Lorentzian in the spectrum."""
    best, chosen = -math.inf, None
    slowest = 2.0 * FEWEST * sampling_rate / len(trace)
    for rate in np.geomspace(slowest, sampling_rate, 9):
        shape = _shape(measured, rate)
        noise = fit_spectrum(measured, lorentzian=shape)
        density = noise.density(measured.frequency, sampling_rate, len(trace))
        # A trap that hardly stands out of the spectrum may still be seen to jump.
        variance = max(noise.lorentzian, 0.1 * float(np.min(density / shape)))
        ground = prepare(noise, len(trace), sampling_rate)
        for high in (0.02, 0.15, 0.5, 0.85, 0.98):
            amplitude = math.sqrt(variance / (high * (1.0 - high)))
            times = {"time_high": 1.0 / (rate * (1.0 - high)), "time_low": 1.0 / (rate * high)}
            trap = Trap(amplitude=amplitude, **times)
            low = float(np.mean(trace)) - high * amplitude
            value = log_likelihood(trace, sampling_rate, ground, low, (trap,))
            if value > best:
                best, chosen = value, (noise, trap)
    assert chosen is not None
    return chosen


def _settle(
    trace: Array, sampling_rate: float, noise: SpectralFit, low: float, traps: tuple[Trap, ...]
) -> Decoded | None:
    """Decode and re-estimate in turn until the likelihood stands still."""
    best = None
    for _ in range(_ROUNDS):
        ground = prepare(noise, len(trace), sampling_rate)
        levels, transition, start = _chain(traps, sampling_rate)
        filtered = (ground.decay, ground.gains, ground.spread)
        states = kernels.most_likely(trace, levels + low, transition, start, *filtered)
        found = _level_and_amplitudes(trace, sampling_rate, traps, noise, ground, states)
        if min(found.jumps(k) for k in range(len(traps))) < 2:
            return best
        if best is not None and found.log_likelihood < best.log_likelihood + 0.1:
            return best
        best, low, traps = found, found.low, found.traps
        noise = fit_spectrum(spectrum(trace - found.path, sampling_rate))
    return best


def _level_and_amplitudes(
    trace: Array,
    sampling_rate: float,
    traps: tuple[Trap, ...],
    noise: SpectralFit,
    ground: Background,
    states: NDArray[np.intp],
) -> Decoded:
    """Levels by generalised least squares, dwell times by counting, for known states."""
    draft = Decoded(
        low=0.0, traps=traps, noise=noise, ground=ground, log_likelihood=0.0, states=states
    )
    high = [draft.is_high(k).astype(np.float64) for k in range(len(traps))]
    columns = [whitened(column, ground) for column in (np.ones(len(trace)), *high)]
    values = np.linalg.lstsq(np.stack(columns, axis=1), whitened(trace, ground))[0]
    low = float(values[0])
    updated = []
    for k, amplitude in enumerate(values[1:]):
        visits = max(draft.jumps(k) / 2.0, 0.5) * sampling_rate
        updated.append(
            Trap(
                amplitude=abs(float(amplitude)),
                time_high=max(float(high[k].sum()), 1.0) / visits,
                time_low=max(float((1.0 - high[k]).sum()), 1.0) / visits,
            )
        )
    found = replace(draft, low=low, traps=tuple(updated))
    value = log_likelihood(trace, sampling_rate, ground, low, found.traps)
    return replace(found, log_likelihood=value)
