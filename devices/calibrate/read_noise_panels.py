"""Figures of read noise: spectra with their parts, jumps, and what the model left over."""

import math

import numpy as np
from scipy.stats import gamma

from zerohm._arrays import Array

from .estimate import INTERVAL
from .panel import Panel
from .result import MICRO
from .spectrum import Spectrum, lorentzians, relative_variance, spectrum
from .traces import Trace

SHOWN = 5
"""Traces in a figure."""


def panels(traces: list[Trace]) -> tuple[Panel, ...]:
    """Spectra, an excerpt with its levels, and how the residuals correlate."""
    shown = traces[:SHOWN]
    telling = max(
        shown, key=lambda trace: sum(map(trace.parts.jumps, range(len(trace.parts.traps))))
    )
    comparison = [_comparison_panel(shown)] if len(shown) > 1 else []
    return (
        _spectrum_panel(telling),
        _excerpt_panel(telling),
        *comparison,
        _residual_panel(shown),
    )


def _thinned(measured: Spectrum) -> tuple[Array, Array, Array]:
    """Frequencies, powers and numbers of frequencies in eight bands per decade."""
    decade = np.floor(8.0 * np.log10(measured.frequency / measured.frequency[0]))
    starts = np.flatnonzero(np.diff(decade, prepend=-1.0))
    count = np.add.reduceat(measured.count, starts)

    def mean(values: Array) -> Array:
        total: Array = np.add.reduceat(values * measured.count, starts)
        return total / count

    return np.exp(mean(np.log(measured.frequency))), mean(measured.power), count


def _spectrum_panel(trace: Trace) -> Panel:
    """Spectrum as measured, traps included, with its parts and the band of 95 %."""
    whole = spectrum(trace.conductance, trace.sampling_rate)
    frequency, power, count = _thinned(whole)
    samples = len(trace.conductance)
    noise = trace.noise.density(frequency, trace.sampling_rate, samples)
    lines = {}
    total = noise.copy()
    for number, trap in enumerate(trace.parts.traps, 1):
        variance = trap.amplitude**2 * trap.high * (1.0 - trap.high)
        corner = np.array([trap.rate / (2.0 * np.pi)])
        part = variance * lorentzians(frequency, corner, trace.sampling_rate)[:, 0]
        lines[f"Trap {number}"] = (frequency, part * MICRO**2)
        total += part
    if trace.noise.amplitude > 0:
        lines["1/f noise"] = (frequency, (noise - trace.noise.white) * MICRO**2)
    if trace.noise.white > 0:
        lines["White noise"] = (frequency, np.full(len(frequency), trace.noise.white) * MICRO**2)
    lines["Sum"] = (frequency, total * MICRO**2)
    shape = 1.0 / np.array([relative_variance(int(number)) for number in count])
    low, high = (total * gamma.ppf(at, shape, scale=1.0 / shape) for at in (0.025, 0.975))
    return Panel(
        x_label="Frequency (Hz)",
        y_label="Spectral density (µS²/Hz)",
        points={_named("Measured", trace): (frequency, power * MICRO**2)},
        lines=lines,
        bands={"95 % of averages": (frequency, low * MICRO**2, high * MICRO**2)},
        x_scale="log",
        y_scale="log",
    )


def _named(what: str, trace: Trace) -> str:
    return f"{what}, cell {trace.label}" if trace.label else what


def _excerpt_panel(trace: Trace) -> Panel:
    """The stretch of 1000 samples with the most jumps, and its levels on top of the 1/f noise."""
    length = min(1000, len(trace.conductance))
    jumps = np.cumsum(np.append(0, np.diff(trace.parts.states) != 0))
    first = int(np.argmax(jumps[length - 1 :] - jumps[: len(jumps) - length + 1]))
    kept = slice(first, first + length)
    time = np.arange(first, first + length) / trace.sampling_rate
    base = _smooth(trace.conductance - trace.parts.path, trace)[kept]
    return Panel(
        x_label="Time (s)",
        y_label="Conductance (µS)",
        points={_named("Measured", trace): (time, trace.conductance[kept] * MICRO)},
        lines={"Level and 1/f noise": (time, (trace.parts.path[kept] + base) * MICRO)},
    )


def _smooth(rest: Array, trace: Trace) -> Array:
    """Best estimate of the 1/f noise from past and future: Wiener's filter (1/f over all)."""
    frequency = np.fft.rfftfreq(len(rest), 1.0 / trace.sampling_rate)
    frequency[0] = frequency[1]
    total = trace.noise.density(frequency, trace.sampling_rate, len(rest))
    share = 1.0 - trace.noise.white / total
    return np.asarray(np.fft.irfft(np.fft.rfft(rest) * share, len(rest)))


def _comparison_panel(traces: list[Trace]) -> Panel:
    """Relative spectra of several cells without their traps."""
    points, fits = {}, []
    for trace in traces:
        frequency, power, _ = _thinned(trace.measured)
        density = trace.noise.density(frequency, trace.sampling_rate, len(trace.conductance))
        points[_named(f"{trace.mean * MICRO:.3g} µS", trace)] = (frequency, power / trace.mean**2)
        fits.append(np.append([frequency, density / trace.mean**2], [[np.nan], [np.nan]], axis=1))
    one = np.concatenate(fits, axis=1)  # NaN between the curves: one line in the legend
    return Panel(
        x_label="Frequency (Hz)",
        y_label="Relative density without traps (1/Hz)",
        points=points,
        lines={"Fits": (one[0], one[1])},
        x_scale="log",
        y_scale="log",
    )


def _residual_panel(traces: list[Trace]) -> Panel:
    """Autocorrelation of the residuals."""
    points = {}
    for trace in traces:
        residuals = trace.residuals
        last = min(1000, len(residuals) // 4)
        lags = np.unique(np.rint(np.geomspace(1, last, 25)).astype(np.intp))
        power = float(residuals @ residuals)
        found = np.array([residuals[lag:] @ residuals[:-lag] / power for lag in lags])
        points[_named("Measured", trace)] = (lags / trace.sampling_rate, found)
    times = np.sort(np.concatenate([time for time, _ in points.values()]))
    shortest = min(len(trace.conductance) for trace in traces)
    band = np.full(len(times), INTERVAL / math.sqrt(shortest))
    return Panel(
        x_label="Lag (s)",
        y_label="Autocorrelation of residuals",
        points=points,
        bands={"95 % of white residuals": (times, -band, band)},
        x_scale="log",
    )
