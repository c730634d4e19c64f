"""One trace of read noise, taken apart into traps, 1/f noise and white noise."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from zerohm._arrays import Array
from zerohm._errors import InputError

from .estimate import INTERVAL, Estimates, EstimationError, join
from .quantities import rounded
from .spectrum import (
    EXPONENTS,
    SpectralFit,
    Spectrum,
    covariance,
    fit_spectrum,
    relative_variance,
    spectrum,
)
from .telegraph import (
    FEWEST,
    Decoded,
    decode,
    detectable_amplitude,
    estimate,
    prepare,
    whitened,
)

DECADES = 1.5
"""Of frequency in which 1/f noise must exceed white noise for its exponent to be fitted."""
EVIDENCE = 10.8
"""Twice the rise of the log-likelihood that makes a kind of noise: 1 false alarm in 1000."""


@dataclass(frozen=True, kw_only=True)
class Detection:
    """Traps with equal dwell times that are found in 95 % of such traces.

    Parameters
    ----------
    amplitude : |ΔG|/G of the smallest of them.
    dwell_time : s, of that one.
    shortest, longest : s, dwell times between which twice that amplitude suffices.
    """

    amplitude: float
    dwell_time: float
    shortest: float
    longest: float

    def __str__(self) -> str:
        return (
            f"95 % of traps with |ΔG|/G of {100.0 * self.amplitude:.2g} % and dwell times of "
            f"{rounded(self.dwell_time, 's')} would be found, and of those with twice that and "
            f"{rounded(self.shortest, 's')} to {rounded(self.longest, 's')}"
        )


@dataclass(frozen=True, kw_only=True)
class Trace:
    """One cell's trace, taken apart.

    Parameters
    ----------
    label : of the cell; "" for the only one.
    conductance : (samples,), S.
    sampling_rate : Hz.
    parts : its level, traps and noise.
    measured : spectrum without the traps.
    noise : white and 1/f noise, as far as they are there.
    detection : which traps would be found; None if the trace is too short for any.
    estimates : of all of this trace's parameters.
    refused : parameter -> why.
    """

    label: str
    conductance: Array
    sampling_rate: float
    parts: Decoded
    measured: Spectrum
    noise: SpectralFit
    detection: Detection | None
    estimates: Estimates | None
    refused: Mapping[str, str]

    @property
    def mean(self) -> float:
        """S."""
        return float(self.conductance.mean())

    @property
    def residuals(self) -> Array:
        """(samples,), what the model did not predict, in standard deviations."""
        ground = prepare(self.noise, len(self.conductance), self.sampling_rate)
        found = whitened(self.conductance - self.parts.path, ground)
        return found

    @property
    def relative_amplitude(self) -> float:
        """S_G/G² of the 1/f noise at 1 Hz."""
        return self.noise.amplitude / self.mean**2


def take_apart(conductance: Array, sampling_rate: float, label: str) -> Trace:
    """Traps, 1/f noise and white noise of one trace."""
    if not np.ptp(conductance) > 0:
        raise InputError(
            f"{f'cell {label!r}' if label else 'the trace'} does not fluctuate: all of its "
            f"conductances are {conductance[0]:g} S"
        )
    parts = decode(conductance, sampling_rate)
    measured = spectrum(conductance - parts.path, sampling_rate)
    noise, refused = kinds_of_noise(measured)
    mean = float(conductance.mean())
    detection = detectable(noise, sampling_rate, len(conductance), mean)
    blocks = [_noise_estimates(measured, noise, mean)] if noise.fitted else []
    if parts.traps:
        try:
            found = estimate(conductance, sampling_rate, parts)
            blocks.append(_trap_estimates(found, mean))
        except EstimationError as error:
            refused["telegraph_noise"] = f"the traps that were found have no error bars: {error}"
    else:
        refused["telegraph_noise"] = (
            f"none found: no two levels between which the conductance jumps at least {FEWEST} "
            f"times; {detection or 'the trace is too short to find any'}"
        )
    tag = f" [{label}]" if label else ""
    estimates = join(*blocks) if blocks else None
    if estimates is not None:
        estimates = replace(
            estimates,
            names=tuple(found + tag for found in estimates.names),
            flags={found + tag: why for found, why in estimates.flags.items()},
        )
    return Trace(
        label=label,
        conductance=conductance,
        sampling_rate=sampling_rate,
        parts=parts,
        measured=measured,
        noise=noise,
        detection=detection,
        estimates=estimates,
        refused={key + tag: why for key, why in refused.items()},
    )


def detectable(
    noise: SpectralFit, sampling_rate: float, samples: int, mean: float
) -> Detection | None:
    """Which traps would be found in a trace with this noise (S²/Hz) and mean (S)."""
    dwell = np.geomspace(5.0, samples / (1.7 * FEWEST), 60) / sampling_rate
    limit = detectable_amplitude(noise, sampling_rate, samples, dwell) / mean
    if not np.isfinite(limit).any():
        return None
    best = int(limit.argmin())
    within = dwell[limit <= 2.0 * limit[best]]
    return Detection(
        amplitude=float(limit[best]),
        dwell_time=float(dwell[best]),
        shortest=float(within[0]),
        longest=float(within[-1]),
    )


def kinds_of_noise(measured: Spectrum) -> tuple[SpectralFit, dict[str, str]]:
    """White and 1/f noise, as far as the spectrum has them, and what it has not."""
    inflation = relative_variance(10**6) * 10**6
    both = fit_spectrum(measured, exponent=1.0)
    white = fit_spectrum(measured, flicker=False)
    if 2.0 * (both.log_likelihood - white.log_likelihood) < EVIDENCE * inflation:
        none = "no noise that is stronger at low frequencies"
        return white, {"flicker_amplitude": none, "flicker_exponent": none}
    free = fit_spectrum(measured)
    coloured = fit_spectrum(measured, white=False)
    refused = {}
    knee = float(measured.frequency[-1])
    if 2.0 * (free.log_likelihood - coloured.log_likelihood) < EVIDENCE * inflation:
        refused["white_std"] = "1/f noise exceeds it up to half the sampling rate"
        free = coloured
    else:
        knee = min((both.amplitude / both.white), knee)
    if not EXPONENTS[0] + 0.01 < free.exponent < EXPONENTS[1] - 0.01:
        refused["flicker_exponent"] = (
            f"it lies outside of {EXPONENTS[0]} to {EXPONENTS[1]}: the trace drifts, or jumps more "
            "than the traps that were found"
        )
    decades = math.log10(knee / float(measured.frequency[0]))
    if decades < DECADES:
        refused["flicker_exponent"] = (
            f"1/f noise exceeds white noise over {max(decades, 0.0):.1f} decades of frequency "
            f"only, {DECADES:g} are needed; 1 is taken"
        )
        return fit_spectrum(measured, exponent=1.0, white="white_std" not in refused), refused
    return free, refused


def _noise_estimates(measured: Spectrum, noise: SpectralFit, mean: float) -> Estimates:
    """Estimates of white and 1/f noise; intervals are those of logarithms and of the exponent."""
    names = {
        "amplitude": ("flicker_amplitude", "Hz^(α−1)", noise.amplitude / mean**2),
        "exponent": ("flicker_exponent", "1", noise.exponent),
        "white": ("white_std", "S", math.sqrt(noise.white * measured.sampling_rate / 2.0)),
    }
    # ln σ = ½ ln W
    scale = np.array([0.5 if found == "white" else 1.0 for found in noise.fitted])
    spread = covariance(measured, noise) * np.outer(scale, scale)
    values = np.array([names[found][2] for found in noise.fitted])
    logarithmic = np.array([found != "exponent" for found in noise.fitted])
    reach = INTERVAL * np.sqrt(np.diag(spread))
    slope = np.where(logarithmic, values, 1.0)
    return Estimates(
        names=tuple(names[found][0] for found in noise.fitted),
        units=tuple(names[found][1] for found in noise.fitted),
        values=values,
        lower=np.where(logarithmic, values * np.exp(-reach), values - reach),
        upper=np.where(logarithmic, values * np.exp(reach), values + reach),
        covariance=spread * np.outer(slope, slope),
        log_likelihood=noise.log_likelihood,
        points=measured.samples,
    )


def _trap_estimates(found: Estimates, mean: float) -> Estimates:
    """Relative amplitudes and dwell times under their physical names, without the level."""
    scale = np.array([1.0 / mean if "amplitude" in name else 1.0 for name in found.names])[1:]

    def renamed(name: str) -> str:
        return name.replace("time_high", "capture_time").replace("time_low", "emission_time")

    return Estimates(
        names=tuple(map(renamed, found.names[1:])),
        units=tuple("1" if unit == "S" else unit for unit in found.units[1:]),
        values=found.values[1:] * scale,
        lower=found.lower[1:] * scale,
        upper=found.upper[1:] * scale,
        covariance=found.covariance[1:, 1:] * np.outer(scale, scale),
        log_likelihood=found.log_likelihood,
        points=0,  # the same samples as those of the spectrum
        flags={renamed(name): why for name, why in found.flags.items() if name != "level"},
    )
