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


def whole_covariance(noise, samples):
    """Covariance of a trace: white noise and the components that the filter keeps."""
    corners = tg.corner_frequencies(RATE, samples)
    variances = noise.variances(corners)[corners > 0.3 * RATE / samples]
    corners = corners[corners > 0.3 * RATE / samples]
    lags = np.abs(np.subtract.outer(np.arange(samples), np.arange(samples))) / RATE
    memory = np.exp(-2.0 * np.pi * lags[..., np.newaxis] * corners) @ variances
    return memory + noise.white * RATE / 2.0 * np.eye(samples)


def test_gaussian_likelihood_is_exact() -> None:
    """Without traps the filter gives the density of the multivariate normal law."""
    noise, rng = noise_of(50.0), np.random.default_rng(0)
    trace = 5e-5 + draw_noise(noise, 60, rng)
    ground = tg.prepare(noise, 60, RATE)
    exact = multivariate_normal(np.full(60, 5e-5), whole_covariance(noise, 60)).logpdf(trace)
    assert tg.log_likelihood(trace, RATE, ground, 5e-5, ()) == pytest.approx(exact, abs=1e-6)


@pytest.mark.parametrize(("knee", "tolerance"), [(1e-9, 1e-6), (30.0, 0.05)])
def test_likelihood_of_a_trap_is_the_sum_over_all_paths(knee, tolerance) -> None:
    """Exact in white noise; in 1/f noise, merged pasts cost less than 0.05 nats here."""
    samples, noise, rng = 10, noise_of(knee), np.random.default_rng(1)
    trap = tg.Trap(amplitude=1e-6, time_high=0.02, time_low=0.01)
    trace = draw_noise(noise, samples, rng) + draw_trap(trap, samples, rng)
    stay_high = trap.high + (1.0 - trap.high) * math.exp(-trap.rate / RATE)
    stay_low = 1.0 - trap.high + trap.high * math.exp(-trap.rate / RATE)
    law = multivariate_normal(np.zeros(samples), whole_covariance(noise, samples))
    total = 0.0
    for path in itertools.product((0, 1), repeat=samples):
        chance = trap.high if path[0] else 1.0 - trap.high
        for before, after in itertools.pairwise(path):
            stay = stay_high if before else stay_low
            chance *= stay if before == after else 1.0 - stay
        total += chance * law.pdf(trace - trap.amplitude * np.array(path))
    found = tg.log_likelihood(trace, RATE, tg.prepare(noise, samples, RATE), 0.0, (trap,))
    assert found == pytest.approx(math.log(total), abs=tolerance)


def coverage(traps, knee, samples, repetitions, claimed=1.0):
    """Share of 95 % intervals of each parameter of the only trap that hold ``claimed`` × truth."""
    noise, rng = noise_of(knee), np.random.default_rng(2)
    ground = tg.prepare(noise, samples, RATE)
    truth = claimed * np.array([traps[0].amplitude, traps[0].time_high, traps[0].time_low])
    inside = np.zeros(3)
    for _ in range(repetitions):
        trace = 5e-5 + draw_noise(noise, samples, rng) + draw_trap(traps[0], samples, rng)
        start = tg.Decoded(
            low=float(trace.mean()) - traps[0].high * traps[0].amplitude,
            traps=traps,
            noise=noise,
            ground=ground,
            log_likelihood=0.0,
            states=np.zeros(samples, np.intp),
        )
        found = tg.estimate(trace, RATE, start)
        inside += (found.lower[1:] < truth) & (truth < found.upper[1:])
    return inside / repetitions


def test_intervals_cover() -> None:
    """500 traces with 1/f noise: 95 % intervals of amplitude and dwell times hold the truth."""
    trap = tg.Trap(amplitude=0.8e-6, time_high=0.05, time_low=0.03)
    shares = coverage((trap,), 2.0, 1000, 500)
    assert np.all((shares > 0.93) & (shares < 0.97)), shares


def test_intervals_do_not_cover_anything_else() -> None:
    """The same check fails for parameters that are off by 30 %."""
    trap = tg.Trap(amplitude=0.8e-6, time_high=0.05, time_low=0.03)
    assert np.all(coverage((trap,), 2.0, 1000, 60, claimed=1.3) < 0.85)


def test_dwells_shorter_than_the_sampling_interval_are_counted() -> None:
    """Mean dwells of 1.5 samples come out right, where counting runs gives over 1.25 times that.

    Intervals over 60 traces: fewer than 85 % cover with probability 0.002 per parameter.
    """
    trap = tg.Trap(amplitude=1.5e-6, time_high=1.5 / RATE, time_low=4.0 / RATE)
    assert np.all(coverage((trap,), 1e-9, 1000, 60) >= 0.85)
    high = draw_trap(trap, 100_000, np.random.default_rng(3)) > 0
    counted = 2.0 * high.sum() / np.count_nonzero(np.diff(high.astype(int))) / RATE
    assert counted > 1.25 * trap.time_high


@pytest.mark.parametrize("exponent", [0.8, 1.0, 1.3])
def test_noise_without_traps_has_none(exponent) -> None:
    """1/f noise never passes for a trap: in 36 traces of all kinds, none was found.

    Up to 1 % of traces may give a false alarm; one of these 4 then does with probability 0.04.
    """
    rng = np.random.default_rng(4)
    for knee in (1e-6, 1.0, 5.0, 20.0):
        found = tg.decode(5e-5 + draw_noise(noise_of(knee, exponent), 2048, rng), RATE)
        assert found.traps == ()


def hits(factor, repetitions):
    """How many traces with a trap at ``factor`` × the detection limit show one."""
    noise, rng, hits = noise_of(5.0), np.random.default_rng(5), 0
    limit = tg.detectable_amplitude(noise, RATE, 2048, np.array([0.05]))[0]
    trap = tg.Trap(amplitude=factor * float(limit), time_high=0.05, time_low=0.05)
    for _ in range(repetitions):
        trace = draw_noise(noise, 2048, rng) + draw_trap(trap, 2048, rng)
        hits += len(tg.decode(5e-5 + trace, RATE).traps) > 0
    return hits


def test_traps_at_the_detection_limit_are_found() -> None:
    """Of 20 traces at the limit, fewer than 16 show the trap with probability 0.003 at 95 %."""
    assert hits(1.0, 20) >= 16


def test_detection_limit_is_no_further_than_it_has_to_be() -> None:
    """Half of the limit is mostly not enough."""
    assert hits(0.5, 8) <= 4


def test_two_traps_are_told_apart() -> None:
    """Four levels: both amplitudes within 5 %, dwell times within 4 standard errors."""
    noise, rng = noise_of(2.0), np.random.default_rng(6)
    traps = (
        tg.Trap(amplitude=2e-6, time_high=0.5, time_low=0.3),
        tg.Trap(amplitude=1e-6, time_high=0.02, time_low=0.04),
    )
    trace = 5e-5 + draw_noise(noise, 8192, rng)
    for trap in traps:
        trace += draw_trap(trap, 8192, rng)
    found = sorted(tg.decode(trace, RATE).traps, key=lambda trap: -trap.amplitude)
    assert [trap.amplitude for trap in found] == pytest.approx([2e-6, 1e-6], rel=0.05)
    for one, true in zip(found, traps, strict=True):
        error = 4.0 / math.sqrt(8192 / RATE / (true.time_high + true.time_low))
        assert abs(math.log(one.time_high / true.time_high)) < error
        assert abs(math.log(one.time_low / true.time_low)) < error


def test_likelihood_and_path_of_a_long_trace_are_fast() -> None:
    """100 000 samples take less than 0.5 s of processor time each."""
    noise, rng = noise_of(5.0), np.random.default_rng(7)
    trap = tg.Trap(amplitude=1e-6, time_high=0.05, time_low=0.05)
    trace = draw_noise(noise, 100_000, rng) + draw_trap(trap, 100_000, rng)
    ground = tg.prepare(noise, 100_000, RATE)
    levels, transition, start = np.array([0.0, 1e-6]), np.full((2, 2), 0.05), np.full(2, 0.5)
    np.fill_diagonal(transition, 0.95)
    filtered = (ground.decay, ground.gains, ground.spread)
    for work in (
        lambda: tg.log_likelihood(trace, RATE, ground, 0.0, (trap,)),
        lambda: tg.kernels.most_likely(trace, levels, transition, start, *filtered),
    ):
        work()
        began = time.process_time()
        work()
        assert time.process_time() - began < 0.5
