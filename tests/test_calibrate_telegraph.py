"""Random telegraph noise in traces: exact small cases, coverage, false alarms, detection limit.

Seeds are fixed; the false-alarm rate of a statistical check is that of another seed. Coverage of
95 % intervals over 500 repetitions must lie within 93 to 97 %, which a correct interval misses
with probability 0.04 per parameter.
"""

import itertools
import math
import time

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import multivariate_normal

from zerohm.devices.calibrate import telegraph as tg
from zerohm.devices.calibrate.spectrum import SpectralFit

RATE = 400.0  # Hz
WHITE = 2.0 * (0.2e-6) ** 2 / RATE  # S²/Hz, of 0.2 µS per sample


def noise_of(knee, exponent=1.0):
    """White noise of 0.2 µS per sample, and 1/f noise that equals it at ``knee`` Hz."""
    return SpectralFit(
        amplitude=WHITE * knee**exponent,
        exponent=exponent,
        white=WHITE,
        lorentzian=0.0,
        fitted=(),
        log_likelihood=0.0,
    )


def draw_noise(noise, samples, rng):
    """White noise plus exponentially correlated components, which add up to A/f^α."""
    trace = math.sqrt(noise.white * RATE / 2.0) * rng.standard_normal(samples)
    if noise.amplitude > 0:
        spacing = math.log(10.0) / 4.0
        corners = RATE / 2.0 * np.exp(-spacing * np.arange(0.5, 40.0))
        variances = spacing * math.sin(math.pi * noise.exponent / 2.0) * noise.amplitude
        for corner, variance in zip(
            corners, variances * corners ** (1.0 - noise.exponent), strict=True
        ):
            decay = math.exp(-2.0 * math.pi * corner / RATE)
            unit = rng.standard_normal(samples)
            unit[1:] *= math.sqrt(1.0 - decay**2)
            trace += math.sqrt(variance) * lfilter([1.0], [1.0, -decay], unit)
    return trace


def draw_trap(trap, samples, rng):
    """Conductance of a trap above its low level: exponential dwells in continuous time."""
    high = rng.random() < trap.high
    grid, trace = np.arange(samples) / RATE, np.zeros(samples)
    now = 0.0
    while now < grid[-1]:
        end = now + rng.exponential(trap.time_high if high else trap.time_low)
        if high:
            trace[(grid >= now) & (grid < end)] = trap.amplitude
        now, high = end, not high
    return trace
