"""Normal deviates of single precision: distribution, independence, what they draw."""

import numpy as np
from scipy import stats

from zerohm._random import stream
from zerohm.crossbar.normal_deviates import normal_deviates

COUNT = 1_000_000


def looks_normal(x):
    """Kolmogorov–Smirnov and the first four moments, false alarms below 1e-5 in all."""
    moments = x.mean(), x.var() - 1, (x**3).mean(), (x**4).mean() - 3
    errors = np.sqrt(np.array([1, 2, 15, 96]) / x.size)
    return stats.kstest(x, "norm").pvalue > 1e-6 and np.all(np.abs(moments) < 5 * errors)


def test_distribution():
    """float32 deviates are standard normal; a sum of twelve uniform ones is noticed."""
    assert looks_normal(normal_deviates(stream(1), (COUNT,), np.float32).astype(float))
    assert not looks_normal(stream(2).random((COUNT, 12)).sum(axis=1) - 6)


def test_pairs_are_independent():
    """Two deviates of one transform share a radius, and yet neither they nor squares correlate."""
    x = normal_deviates(stream(3), (2, COUNT // 2), np.float32).astype(float)
    for a, b in ((x[0], x[1]), (x[0] ** 2, x[1] ** 2), (np.abs(x[0]), x[1])):
        assert abs(np.corrcoef(a, b)[0, 1]) < 5 / np.sqrt(COUNT / 2)


def test_shape_type_and_repetition():
    """Odd sizes too; other generators than Philox serve; float64 is numpy's own."""
    for rng in (stream(4), np.random.Generator(np.random.MT19937(1))):
        x = normal_deviates(rng, (3, 7), np.float32)
        assert x.shape == (3, 7)
        assert x.dtype == np.float32
        assert np.abs(x).max() < 6.8
    same = [normal_deviates(stream(5), (9,), np.float32) for _ in range(2)]
    assert np.array_equal(*same)
    double = normal_deviates(stream(6), (5,), np.float64)
    assert np.array_equal(double, stream(6).standard_normal(5))
