"""Power spectra of evenly sampled traces, and the white and 1/f noise that explain them.

Spectra are one-sided, in S²/Hz: their integral from 0 to half the sampling rate is a variance.
A trace is a sample of a process in continuous time, so every model spectrum here is that of the
sampled process, aliasing included. 1/f noise is the sum of exponentially correlated components
of :class:`~zerohm.devices.FlickerNoise`, with corner frequencies up to half the sampling rate:
noise with a higher one has lost its memory at the next sample and is counted as white.

The fit maximises Whittle's likelihood −Σₖ [ln S(fₖ) + Ŝ(fₖ)/S(fₖ)] (Whittle, Ark. Mat. 2, 423
(1953)) of a spectrum Ŝ averaged over sine tapers (Riedel & Sidorenko, IEEE Trans. Signal
Process. 43, 188 (1995)), whose leakage falls as the fourth power of the distance in frequency,
faster than any 1/f^α here. Tapering correlates neighbouring frequencies: the covariance of the
parameters is H⁻¹JH⁻¹, with the expected Hessian H and with that correlation in the covariance J
of the score.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from zerohm._arrays import Array

from ..flicker import FlickerNoise, component_variances

EXPONENTS = (0.3, 1.9)
"""Exponents α that a fit may find: from 2 on, the leakage of the lowest frequencies matters."""

_TAPERS = 4  # raise the variance of a smooth average by 1/(2·4) over its smallest value
_LOWEST = 5  # periods per trace of the lowest fitted frequency: below, the trend is taken out
_PER_DECADE = 30  # averaged frequencies: 1/f² changes by 17 % within one of them
_BELOW = 1e-2  # lowest corner frequency, periods per trace
_REACH = 24  # frequencies apart at which tapered spectra no longer correlate: below 1e-5


@dataclass(frozen=True, kw_only=True)
class Spectrum:
    """A spectrum averaged over bands of neighbouring frequencies.

    Parameters
    ----------
    frequency : (bands,), Hz, geometric mean of each band.
    power : (bands,), S²/Hz.
    count : (bands,), number of frequencies in each band.
    sampling_rate : Hz.
    samples : length of the trace.
    """

    frequency: Array
    power: Array
    count: NDArray[np.intp]
    sampling_rate: float
    samples: int

    @property
    def corner_frequencies(self) -> Array:
        """(components,), Hz, of the 1/f noise in this trace, ascending."""
        return corner_frequencies(self.sampling_rate, self.samples)


@dataclass(frozen=True, kw_only=True)
class SpectralFit:
    """White and 1/f noise with the largest likelihood of a spectrum.

    Parameters
    ----------
    amplitude : A in S²/Hz, the 1/f spectrum at 1 Hz; 0 if it was left out.
    exponent : α.
    white : W in S²/Hz; 0 if it was left out.
    lorentzian : variance in S² of an additional component; 0 if it was left out.
    fitted : names of the fitted parameters.
    log_likelihood : with all frequencies taken as independent.
    """

    amplitude: float
    exponent: float
    white: float
    lorentzian: float
    fitted: tuple[str, ...]
    log_likelihood: float

    def density(self, frequency: Array, sampling_rate: float, samples: int) -> Array:
        """Spectrum of the sampled 1/f and white noise in S²/Hz at frequencies in Hz."""
        corners = corner_frequencies(sampling_rate, samples)
        shapes = lorentzians(frequency, corners, sampling_rate)
        total: Array = shapes @ self.variances(corners) + self.white
        return total

    def variances(self, corners: Array) -> Array:
        """Variances in S² of the components of the 1/f noise."""
        return self.amplitude * component_variances(corners, self.exponent, _spacing(corners))


def corner_frequencies(sampling_rate: float, samples: int) -> Array:
    """Corner frequencies in Hz of the components of 1/f noise in a trace, ascending."""
    ladder = FlickerNoise(
        amplitude=1.0,
        frequency_min=_BELOW * sampling_rate / samples,
        frequency_max=sampling_rate / 2.0,
    )
    return ladder.corner_frequencies


def _spacing(corners: Array) -> float:
    """Of neighbouring corner frequencies in ln f."""
    return math.log(corners[1] / corners[0])


def lorentzians(frequency: Array, corners: Array, sampling_rate: float) -> Array:
    """Spectra (frequencies, corners), 1/Hz, of sampled exponential correlations of variance 1.

    (2/f_s)(1 − φ²)/|1 − φ exp(2πi f/f_s)|² with φ = exp(−2πf_c/f_s): the Lorentzian with its
    corner at f_c and everything that sampling folds onto it.
    """
    decay = 2.0 * np.pi * corners / sampling_rate
    turn = np.sin(np.pi * frequency / sampling_rate)[:, np.newaxis] ** 2
    peak = -2.0 / sampling_rate * np.expm1(-2.0 * decay)
    density: Array = peak / (np.expm1(-decay) ** 2 + 4.0 * np.exp(-decay) * turn)
    return density


def spectrum(trace: Array, sampling_rate: float) -> Spectrum:
    """Multitaper spectrum of a trace, its straight trend taken out.

    Parameters
    ----------
    trace : (samples,), conductances in S at equal intervals.
    sampling_rate : Hz.
    """
    samples = len(trace)
    position = np.arange(1, samples + 1) / (samples + 1)
    centred = position - 0.5
    level = trace - trace.mean()
    level -= centred * (centred @ level) / (centred @ centred)
    full = np.zeros(samples // 2 + 1)
    for order in range(1, _TAPERS + 1):
        full += np.abs(np.fft.rfft(np.sin(np.pi * order * position) * level)) ** 2
    full *= 2.0 / (_TAPERS * sampling_rate) * 2.0 / (samples + 1)
    first, end = _bands(samples)
    count = np.diff(first, append=end)
    logs = np.log(np.arange(first[0], end))
    kept, starts = full[first[0] : end], first - first[0]
    return Spectrum(
        frequency=np.exp(np.add.reduceat(logs, starts) / count) * sampling_rate / samples,
        power=np.add.reduceat(kept, starts) / count,
        count=count,
        sampling_rate=sampling_rate,
        samples=samples,
    )


def _bands(samples: int) -> tuple[NDArray[np.intp], int]:
    """First frequency of every band, and the one after the last, in periods per trace."""
    end = (samples + 1) // 2
    number = max(math.ceil(_PER_DECADE * math.log10(end / _LOWEST)), 1)
    edges = np.geomspace(_LOWEST, end, number, endpoint=False)
    return np.unique(np.rint(edges).astype(np.intp)), end


def fit_spectrum(
    measured: Spectrum,
    *,
    flicker: bool = True,
    exponent: float | None = None,
    white: bool = True,
    lorentzian: Array | None = None,
) -> SpectralFit:
    """White and 1/f noise with the largest Whittle likelihood.

    Parameters
    ----------
    measured : what is fitted.
    flicker, white : whether there is such noise.
    exponent : α, if it is known.
    lorentzian : (bands,), 1/Hz, the shape of an additional component of unknown variance.
    """
    model = _Model(measured, lorentzian, exponent)
    high = float(np.average(measured.power, weights=measured.count))
    low = float(measured.power.min())
    middle = math.sqrt(measured.frequency[0] * measured.frequency[-1])  # Hz
    start = {
        "amplitude": math.log(float(np.median(measured.power)) * middle),
        "exponent": 1.0,
        "white": math.log(low),
        "lorentzian": 0.0,
    }
    limits = {
        "amplitude": (start["amplitude"] - 30.0, start["amplitude"] + 30.0),
        "exponent": EXPONENTS,
        "white": (math.log(low) - 10.0, math.log(high) + 3.0),
        "lorentzian": (-60.0, 60.0),
    }
    if lorentzian is not None:
        start["lorentzian"] = math.log(float(np.median(measured.power / lorentzian)))
        limits["lorentzian"] = (start["lorentzian"] - 30.0, start["lorentzian"] + 30.0)
    fitted = tuple(
        name
        for name, wanted in (
            ("amplitude", flicker),
            ("exponent", flicker and exponent is None),
            ("white", white),
            ("lorentzian", lorentzian is not None),
        )
        if wanted
    )
    found = minimize(
        lambda x: model.loss(dict(zip(fitted, x, strict=True))),
        [start[name] for name in fitted],
        jac=True,
        method="L-BFGS-B",
        bounds=[limits[name] for name in fitted],
        options={"maxiter": 500, "ftol": 1e-13, "gtol": 1e-7},
    )
    best = dict(zip(fitted, map(float, found.x), strict=True))
    return SpectralFit(
        amplitude=math.exp(best["amplitude"]) if flicker else 0.0,
        exponent=best.get("exponent", exponent or 1.0),
        white=math.exp(best["white"]) if white else 0.0,
        lorentzian=math.exp(best["lorentzian"]) if lorentzian is not None else 0.0,
        fitted=fitted,
        log_likelihood=-float(found.fun) * float(measured.count.sum()),
    )


def covariance(measured: Spectrum, fit: SpectralFit) -> Array:
    """Covariance of what was fitted: ln amplitude, exponent and ln white, as far as they were."""
    values = {
        "amplitude": math.log(fit.amplitude) if "amplitude" in fit.fitted else 0.0,
        "exponent": fit.exponent,
        "white": math.log(fit.white) if "white" in fit.fitted else 0.0,
    }
    model = _Model(measured, None, fit.exponent)
    return model.covariance({name: values[name] for name in fit.fitted})


def relative_variance(count: int) -> float:
    """Variance of a measured spectrum averaged over ``count`` frequencies, over its square."""
    lags = np.arange(-_REACH, _REACH + 1)
    pairs = np.maximum(count - np.abs(lags), 0)
    return float(pairs @ _overlap()) / count**2


class _Model:
    """Whittle's likelihood of one spectrum as a function of named parameters."""

    def __init__(
        self, measured: Spectrum, lorentzian: Array | None, exponent: float | None
    ) -> None:
        self._measured = measured
        self._corners = measured.corner_frequencies
        self._shapes = lorentzians(measured.frequency, self._corners, measured.sampling_rate)
        self._lorentzian = lorentzian
        self._exponent = exponent or 1.0

    def _parts(self, at: dict[str, float]) -> tuple[Array, Array]:
        """Spectrum (bands,) and its slopes (parameters, bands)."""
        parts: dict[str, Array] = {}
        if "amplitude" in at:
            exponent = at.get("exponent", self._exponent)
            spacing = _spacing(self._corners)
            unit = component_variances(self._corners, exponent, spacing)
            variances = math.exp(at["amplitude"]) * unit
            parts["amplitude"] = self._shapes @ variances
            cotangent = 0.5 * math.pi / math.tan(0.5 * math.pi * exponent)
            parts["exponent"] = self._shapes @ (variances * (cotangent - np.log(self._corners)))
        if "white" in at:
            parts["white"] = np.full(len(self._measured.power), math.exp(at["white"]))
        if self._lorentzian is not None:
            parts["lorentzian"] = math.exp(at["lorentzian"]) * self._lorentzian
        total = sum(part for name, part in parts.items() if name != "exponent")
        return np.asarray(total), np.array([parts[name] for name in at])

    def loss(self, at: dict[str, float]) -> tuple[float, Array]:
        """Negative log-likelihood per frequency and its gradient."""
        total, slopes = self._parts(at)
        ratio = self._measured.power / total
        weight = self._measured.count / self._measured.count.sum()
        return float(weight @ (np.log(total) + ratio)), slopes @ (weight * (1.0 - ratio) / total)

    def covariance(self, at: dict[str, float]) -> Array:
        """H⁻¹JH⁻¹ of the parameters, in the order of ``at``."""
        total, slopes = self._parts(at)
        score = slopes / total
        hessian = (score * self._measured.count) @ score.T
        full = np.repeat(score, self._measured.count, axis=1)
        reach = _overlap()
        within = slice(_REACH, _REACH + full.shape[1])  # "same" is the longer of the two
        smooth = np.array([np.convolve(row, reach)[within] for row in full])
        inverse = np.linalg.inv(hessian)
        return np.asarray(inverse @ (full @ smooth.T) @ inverse)


@cache
def _overlap() -> Array:
    """Covariance of tapered spectra −_REACH to _REACH frequencies apart, over the square.

    Mean over pairs of tapers of |Σₜ h_a h_b exp(2πi d t/N)|² at distance d, for many samples N.
    """
    points = 4096
    time = (np.arange(points) + 0.5) / points
    tapers = math.sqrt(2.0) * np.sin(np.pi * np.outer(np.arange(1, _TAPERS + 1), time))
    found = np.zeros(_REACH + 1)
    for one in tapers:
        for other in tapers:
            found += np.abs(np.fft.fft(one * other)[: _REACH + 1] / points) ** 2
    found /= _TAPERS**2
    return np.concatenate([found[:0:-1], found])
