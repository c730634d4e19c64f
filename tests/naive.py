"""Slow, obvious versions of what the package computes, and the statistical checks of the tests.

Nothing here uses the package. A check raises AssertionError when samples disagree with what they
should be; its false-alarm rate is at most ``ALARM`` per call, shared among all comparisons that
the call makes (Bonferroni), in the Gaussian approximation of each estimator's error.
"""

import math
from fractions import Fraction

import numpy as np
from scipy import signal, stats

ALARM = 1e-4

# Moments μ₄, μ₆, μ₈ of the standardised density.
MOMENTS = {"gaussian": (3.0, 15.0, 105.0), "uniform": (9 / 5, 27 / 7, 9.0)}


def check_moments(samples, mean, std, density="gaussian"):
    """Mean, variance and kurtosis of independent samples (n, ...) at every position of (...)."""
    count = len(samples)
    fourth, sixth, eighth = MOMENTS[density]
    deviation = samples.astype(np.float64) - samples.mean(axis=0, dtype=np.float64)
    variance = (deviation**2).mean(axis=0)
    kurtosis = (deviation**4).mean(axis=0) / variance**2
    kurtosis_variance = eighth - 4 * fourth * sixth + 4 * fourth**3 - fourth**2
    scores = {
        "mean": (samples.mean(axis=0, dtype=np.float64) - mean) / std,
        "variance": (variance / np.square(std) - 1) / math.sqrt(fourth - 1),
        "kurtosis": (kurtosis - fourth) / math.sqrt(kurtosis_variance),
    }
    comparisons = 3 * deviation[0].size
    bound = stats.norm.isf(ALARM / comparisons / 2)
    for name, score in scores.items():
        worst = float(np.abs(score).max()) * math.sqrt(count)
        assert worst < bound, f"{name} is {worst:.1f} standard errors off, bound {bound:.1f}"


def check_independent(samples):
    """No correlation between the columns of samples (n, k), nor between their squares."""
    count, columns = samples.shape
    pairs = np.triu_indices(columns, 1)
    bound = stats.norm.isf(ALARM / (2 * len(pairs[0])) / 2)
    centred = samples - samples.mean(axis=0)
    for name, values in (("values", centred), ("squares", centred**2)):
        correlation = np.corrcoef(values, rowvar=False)[pairs]
        worst = float(np.abs(correlation).max()) * math.sqrt(count)
        assert worst < bound, f"{name} correlate: {worst:.1f} standard errors, bound {bound:.1f}"


def check_same_distribution(one, other):
    """Two-sample Kolmogorov–Smirnov test of every column of samples (n, k)."""
    columns = one.shape[1]
    for j in range(columns):
        chance = stats.ks_2samp(one[:, j], other[:, j]).pvalue
        assert chance > ALARM / columns, f"column {j} differs in distribution, p = {chance:.1e}"


def check_covariances(samples, expected):
    """Second moments of Gaussian samples (n, k) of mean zero are the matrix (k, k).

    The product of two of them with variances a, b and covariance c has the variance a b + c².
    """
    count, columns = samples.shape
    power = np.diag(expected)
    error = np.sqrt((np.outer(power, power) + expected**2) / count)
    worst = float(np.abs((samples.T @ samples / count - expected) / error).max())
    bound = stats.norm.isf(ALARM / (columns * (columns + 1) / 2) / 2)
    assert worst < bound, f"covariance is {worst:.1f} standard errors off, bound {bound:.1f}"


def check_spectrum(samples, step, covariance):
    """Periodograms of independent stationary columns, in octaves: frequency and densities.

    samples (n, columns) at equal steps in s have these covariances (n,) at lags of 0, 1, ...
    steps. The expectation of a windowed periodogram is the transform of covariance × correlation
    of the window: no leakage or aliasing is left to be tolerated. The scatter between columns
    gives the error of their mean.
    """
    count, columns = samples.shape
    window = signal.get_window("hann", count)
    frequency, density = signal.welch(
        samples, 1 / step, window=window, nperseg=count, detrend=False, axis=0
    )
    overlap = signal.correlate(window, window)[count - 1 :] / np.sum(window**2)
    seen = covariance * overlap
    expected = 2 * step * (2 * np.fft.rfft(seen).real[: len(frequency)] - seen[0])
    # The first four values are left out: a window mixes them with their mirror images.
    octaves = np.split(np.arange(4, count // 2), 2 ** np.arange(3, int(np.log2(count)) - 1) - 4)
    bound = stats.norm.isf(ALARM / len(octaves) / 2)
    for octave in octaves:
        of_columns = np.mean(density[octave] / expected[octave, np.newaxis], axis=0)
        score = (of_columns.mean() - 1) / (of_columns.std() / math.sqrt(columns))
        assert abs(score) < bound, f"{frequency[octave[0]]:.0f} Hz: {score:.1f}, bound {bound:.1f}"
    return frequency, density


def sequences(total):
    """Ways to let the same time pass: lists of steps."""
    cuts = np.sort(np.random.default_rng(7).random(9)) * total
    return {
        "one step": [total],
        "equal steps": [total / 32] * 32,
        "uneven steps": np.diff(np.concatenate([[0.0], cuts, [total]])),
        "long after short": [total * 1e-6, total * 1e-3, total * (1 - 1e-3 - 1e-6)],
    }


class OrnsteinUhlenbeck:
    """Cells with a sum of independent processes, every one of them drawn in every step."""

    def __init__(self, variances, rates, cells, rng):
        self.std, self.rates, self.rng = np.sqrt(variances), rates, rng
        self.components = self._draw(cells)

    def _draw(self, cells):
        return self.std[:, np.newaxis] * self.rng.standard_normal((len(self.std), cells))

    @property
    def sums(self):
        return self.components.sum(axis=0)

    def advance(self, seconds):
        decay = np.exp(-self.rates * seconds)[:, np.newaxis]
        new = self._draw(self.components.shape[1])
        self.components = decay * self.components + np.sqrt(1 - decay**2) * new

    def restart(self, where):
        self.components[:, where] = self._draw(np.count_nonzero(where))


def product(voltages, conductance):
    """Currents of (batch, rows) voltages on (rows, cols) conductances, one term at a time."""
    batch, rows = voltages.shape
    cols = conductance.shape[1]
    currents = np.zeros((batch, cols))
    for b in range(batch):
        for j in range(cols):
            for i in range(rows):
                currents[b, j] += float(voltages[b, i]) * float(conductance[i, j])
    return currents


def integer_product(inputs, weights):
    """inputs (batch, in) times the transpose of weights (out, in) in Python's integers."""
    return [
        [sum(int(a) * int(b) for a, b in zip(x, w, strict=True)) for w in weights] for x in inputs
    ]


def noisy_reads(voltages, conductance, std, count, rng):
    """Currents (count, cols) of one vector, where every cell deviates by itself in every read."""
    reads = np.empty((count, conductance.shape[1]))
    for n in range(count):
        seen = conductance + std * rng.standard_normal(conductance.shape)
        reads[n] = voltages @ seen
    return reads


def code(signal, full_scale, bits):
    """Code of a signed mid-tread converter and whether it saturated, in exact arithmetic."""
    largest = 2 ** (bits - 1) - 1
    steps = Fraction(float(signal)) * largest / Fraction(float(full_scale))
    return max(-largest, min(largest, round(steps))), abs(steps) > largest + Fraction(1, 2)


def distance_to_tie(signal, full_scale, bits):
    """How far a signal lies from the nearest threshold between two codes, in steps."""
    steps = abs(float(signal)) / float(full_scale) * (2 ** (bits - 1) - 1)
    return abs(steps - math.floor(steps) - 0.5)


def convert(signals, full_scale, bits):
    """Signals on a converter's grid and the number of saturated ones."""
    step = float(full_scale) / (2 ** (bits - 1) - 1)
    codes = [code(signal, full_scale, bits) for signal in np.ravel(signals)]
    values = np.array([step * value for value, _ in codes]).reshape(np.shape(signals))
    return values, sum(saturated for _, saturated in codes)


def cut(size, largest):
    """Lengths of the fewest parts of at most ``largest``, longer ones first."""
    count = math.ceil(size / largest)
    return [len(part) for part in np.array_split(np.arange(size), count)]
