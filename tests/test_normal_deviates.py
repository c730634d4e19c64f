"""Normal deviates of single precision: distribution, independence, what they draw."""

import math

import numpy as np
import pytest
from scipy import stats

from zerohm._random import stream
from zerohm.crossbar.normal_deviates import normal_deviates, threefry

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


def tails_are_normal(x):
    """Counts beyond 2, 3, 4 and 5 standard deviations, each sign: false alarms below 1e-5."""
    for limit in (2, 3, 4, 5):
        expected = x.size * stats.norm.sf(limit)
        for count in (np.count_nonzero(x > limit), np.count_nonzero(x < -limit)):
            low, high = stats.poisson.cdf(count, expected), stats.poisson.sf(count - 1, expected)
            if min(low, high) < 6e-7:
                return False
    return True


def test_tails():
    """Out to 5 standard deviations; Student's t of 50 degrees of freedom is noticed."""
    assert tails_are_normal(normal_deviates(stream(7), (10 * COUNT,), np.float32))
    assert not tails_are_normal(stream(8).standard_t(50, COUNT))


def test_arrays_and_neighbours_are_independent():
    """Many small arrays of one generator: across arrays, at each lag, and between blocks of one."""
    rng = stream(9)
    x = np.stack([normal_deviates(rng, (6000,), np.float32) for _ in range(200)]).astype(float)
    assert looks_normal(x.ravel())
    for a, b in (
        (x[:-1], x[1:]),
        (x[:, :-1], x[:, 1:]),
        (x[:, :-2], x[:, 2:]),
        (x[:, :2048], x[:, 2048:4096]),
        (x[:, 1024:2048], x[:, 2048:3072]),
    ):
        for first, second in ((a, b), (a**2, b**2)):
            bound = 5 / math.sqrt(a.size)
            assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < bound
    # Means of arrays are as scattered as those of independent deviates (6 standard deviations).
    spread = x.mean(axis=1).var(ddof=1) * x.shape[1]
    assert abs(spread - 1) < 6 * math.sqrt(2 / len(x))


@pytest.mark.parametrize(
    ("seed", "start", "expected"),
    [
        ((0, 0, 0), 0, (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF,) * 3, 0xFFFFFFFF, (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344, 0x85A308D3), 0x243F6A88, (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_words_are_those_of_the_published_generator(seed, start, expected):
    """Known answers of Threefry2x32-20, and words that do not depend on where counting starts."""
    words = np.empty(2, np.uint32)
    threefry(np.array(seed, np.uint32), start, words)
    assert tuple(words) == expected
    key, both, later = np.array(seed, np.uint32), np.empty(8, np.uint32), np.empty(4, np.uint32)
    threefry(key, 5, both)
    threefry(key, 7, later)
    assert np.array_equal(both.reshape(2, 4)[:, 2:], later.reshape(2, 2))


def test_shape_type_and_repetition():
    """Odd sizes too; any generator serves; float64 is numpy's own."""
    for rng in (stream(4), np.random.Generator(np.random.MT19937(1))):
        x = normal_deviates(rng, (3, 7), np.float32)
        assert x.shape == (3, 7)
        assert x.dtype == np.float32
        assert np.abs(x).max() < 6.8
    same = [normal_deviates(stream(5), (9,), np.float32) for _ in range(2)]
    assert np.array_equal(*same)
    double = normal_deviates(stream(6), (5,), np.float64)
    assert np.array_equal(double, stream(6).standard_normal(5))
