"""1/f noise: its law, and that simulated cells have exactly the spectrum and memory it states.

Statistical checks have a false-alarm rate of at most 1e-4 each (``naive.ALARM``, fixed seeds),
and each has a companion that feeds the same check a wrong sampler.
"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from scipy import integrate, stats

from zerohm import InputError
from zerohm._random import stream
from zerohm.devices import flicker, fluctuation_kernels
from zerohm.devices.state_dependence import StateTable
from zerohm.devices.temperature import acceleration

CELL = 50e-6  # S
BAND = {"frequency_min": 1.0, "frequency_max": 1e3}  # Hz

exponents = pytest.mark.parametrize("exponent", [0.5, 0.8, 1.0, 1.3, 1.5])
seconds = st.floats(1e-7, 1e2)


def noise(**changes):
    return flicker.FlickerNoise(**{"amplitude": 1e-5, **BAND, **changes})


def started(law, shape, seed=0, dtype=np.float64):
    """Conductances, state and generator of cells that all have the same conductance."""
    cells, rng = np.full(shape, CELL, dtype), stream(seed, "flicker noise")
    return cells, law.start(cells, rng), rng


# The law


@exponents
def test_density_is_the_power_law_in_the_middle_of_the_band(exponent):
    """S_G = G² a / f^α: within 1 % over the middle decades of 24."""
    law = noise(exponent=exponent, frequency_min=1e-12, frequency_max=1e12)
    frequency = np.geomspace(1e-2, 1e2, 201)
    expected = CELL**2 * 1e-5 / frequency**exponent
    np.testing.assert_allclose(law.spectrum(frequency, CELL), expected, rtol=0.01)


def test_density_at_the_edges_is_as_stated():
    """α = 1: half of the law at the ends of the band, 5 % low a decade inside; flat, then 1/f²."""
    law = noise(frequency_min=1e-3, frequency_max=1e6)
    ratio = law.spectrum(np.array([1e-3, 1e-2, 1e5, 1e6]), 1.0)
    ratio = ratio * np.array([1e-3, 1e-2, 1e5, 1e6]) / 1e-5
    np.testing.assert_allclose(ratio, [0.5, 0.95, 0.95, 0.5], atol=0.005)
    below, above = (
        law.spectrum(np.array([0.0, 1e-6]), 1.0),
        law.spectrum(1e9 * np.arange(1, 3), 1.0),
    )
    assert below[0] == pytest.approx(below[1], rel=1e-3)
    assert above[0] == pytest.approx(4 * above[1], rel=1e-3)


@exponents
def test_variance_is_the_integral_of_the_density(exponent):
    """Wiener and Khinchin: quadrature over all frequencies gives the variance and covariances."""
    law = noise(exponent=exponent, amplitude_spread=0.7)
    area = integrate.quad(
        lambda log: math.exp(log) * float(law.spectrum(math.exp(log), CELL)), -25, 25, limit=500
    )[0]
    assert area == pytest.approx(float(law.std(CELL)) ** 2, rel=1e-6)
    lag = 1e-2
    transform = integrate.quad(
        lambda f: float(law.spectrum(f, CELL)), 0, math.inf, weight="cos", wvar=2 * math.pi * lag
    )[0]
    assert transform == pytest.approx(float(law.autocovariance(lag, CELL)), rel=1e-6)


def test_variance_of_one_over_f_is_logarithmic():
    """α = 1: σ² = G² a ln(f_max / f_min) whatever the number of components."""
    for top in (2.0, 30.0, 1e3, 1e9):
        expected = CELL**2 * 1e-5 * math.log(top)
        assert float(noise(frequency_max=top).std(CELL)) ** 2 == pytest.approx(expected, rel=1e-12)


@given(
    exponent=st.floats(0.5, 1.5),
    times=st.lists(st.floats(0, 10), min_size=2, max_size=8, unique=True),
)
def test_covariance_is_one_of_a_stationary_process(exponent, times):
    """Positive semidefinite for any read times, largest and equal to σ² at lag zero, even."""
    law, times = noise(exponent=exponent), np.array(times)
    matrix = law.autocovariance(times[:, np.newaxis] - times, CELL) / law.std(CELL) ** 2
    assert np.linalg.eigvalsh(matrix).min() > -1e-12
    assert matrix.max() == pytest.approx(1.0, rel=1e-12)
    np.testing.assert_array_equal(matrix, matrix.T)


# Simulated cells


SPECTRUM = {"frequency_min": 1e-1, "frequency_max": 1e4}
SAMPLES, STEP = 2048, 1e-4  # s


def check_spectrum(naive, law, sampled):
    """Periodograms of 200 cells that ``sampled`` moves against the density of ``law``."""
    conductance, state, rng = started(sampled, 200)
    deviations = np.empty((SAMPLES, 200))
    for sample in deviations:
        sample[:] = sampled.deviation(state, conductance)
        sampled.advance(state, STEP, rng)
    covariance = law.autocovariance(np.arange(SAMPLES) * STEP, CELL)
    return naive.check_spectrum(deviations, STEP, covariance)


@exponents
def test_simulated_cells_have_the_spectrum(naive, exponent):
    """Welch periodograms have the level and the slope of the law."""
    law = noise(exponent=exponent, **SPECTRUM)
    frequency, density = check_spectrum(naive, law, law)
    middle = (frequency > 20) & (frequency < 500)
    slope = np.polyfit(np.log(frequency[middle]), np.log(density[middle].mean(axis=1)), 1)[0]
    # Ripple, aliasing and the edges change it by up to 0.02; chance has a deviation of 0.015.
    assert slope == pytest.approx(-exponent, abs=0.08)


@pytest.mark.parametrize(
    "wrong",
    [np.linspace(1.2, 0.8, 8) ** 2, np.array([1, 1, 1, 0, 1, 1, 1, 1])],
    ids=["tilted", "one missing"],
)
def test_spectrum_check_detects_wrong_components(naive, wrong):
    """The check fails for variances tilted by ±40 % and for one component of eight left out."""

    class Spoilt(flicker.FlickerNoise):
        @property
        def _variances(self):
            return super()._variances * wrong

    with pytest.raises(AssertionError, match="Hz"):
        check_spectrum(naive, noise(**SPECTRUM), Spoilt(amplitude=1e-5, **SPECTRUM))


def check_covariance(naive, law, lag):
    """Variances and covariance of two reads of 10⁵ cells, for all sequences of steps between."""
    for steps in naive.sequences(lag).values():
        conductance, state, rng = started(law, 100_000, seed=11)
        before = law.deviation(state, conductance)
        for step in steps:
            law.advance(state, step, rng)
        reads = np.stack([before, law.deviation(state, conductance)], axis=1)
        naive.check_covariances(reads, law.autocovariance([[0.0, lag], [lag, 0.0]], CELL))


@pytest.mark.parametrize("lag", [1e-4, 1e-2, 1.0])
def test_covariance_of_two_reads_depends_on_their_distance_alone(naive, lag):
    """Whatever the sequence of steps between two reads, their covariance is the law's."""
    check_covariance(naive, noise(exponent=1.2), lag)


right = flicker.innovations_step


def euler(covariance, variances, memories):
    """First order in the step: right for short steps only."""
    return right(covariance, variances, -np.log1p(-np.minimum(memories, 0.999)))


def nothing_open(covariance, variances, memories):
    """The components are taken to be known once their sum is."""
    decay, gain, updated = right(covariance, variances, memories)
    return decay, gain, np.zeros_like(updated)


def wrong_gain(covariance, variances, memories):
    """The new sum is shared out as if nothing had been open before."""
    decay, gain, updated = right(covariance, variances, memories)
    fresh = -np.expm1(-2 * memories) * variances
    return decay, gain.sum() * fresh / fresh.sum(), updated


@pytest.mark.parametrize("wrong", [euler, nothing_open, wrong_gain])
def test_covariance_check_detects_a_wrong_step(naive, monkeypatch, wrong):
    """The check fails for an approximate decay, a covariance that is forgotten, a wrong gain."""
    monkeypatch.setattr(flicker, "innovations_step", wrong)
    with pytest.raises(AssertionError, match="standard errors"):
        check_covariance(naive, noise(), 1e-2)


def responses(law, steps):
    """What every draw of a cell adds to its reads at the start and after every step, (n, n).

    Reads are linear in the draws: as many cells with known draws give all coefficients.
    """
    count = len(steps) + 1
    ones, rng = np.ones(4 * count), stream(1, "responses")
    state = law.start(ones, rng)
    reads = [law.deviation(state, ones)]
    for step in steps:
        law.advance(state, step, rng)
        reads.append(law.deviation(state, ones))
    draws = stream(1, "responses").standard_normal((count, ones.size))
    found = np.linalg.lstsq(draws.T, np.stack(reads, axis=1), rcond=None)[0].T
    np.testing.assert_allclose(found @ draws, reads, atol=1e-12 * float(law.std(1.0)))
    return found


any_steps = st.lists(st.floats(-12, 9).map(lambda log: 10.0**log), min_size=1, max_size=10)


@given(exponent=st.floats(0.5, 1.5), steps=any_steps)
def test_reads_have_the_covariance_of_the_law(exponent, steps):
    """Exactly, for steps from 1 ps to 30 years: no sampling is involved.

    One draw of a cell per step is all that its reads depend on. To 1e-10 of the variance, and
    what a step changes to 1e-9 of its own size.
    """
    law = noise(amplitude=1.0, exponent=exponent, frequency_min=1e-3)
    found = responses(law, steps)
    reads = range(len(found))
    lags = [[math.fsum(steps[min(i, j) : max(i, j)]) for j in reads] for i in reads]
    expected = law.autocovariance(lags, 1.0)
    np.testing.assert_allclose(found @ found.T, expected, atol=1e-10 * expected[0, 0], rtol=0)
    forgotten = -np.expm1(-2 * math.pi * np.outer(steps, law.corner_frequencies))
    np.testing.assert_allclose(
        np.sum(np.diff(found, axis=0) ** 2, axis=1), 2 * forgotten @ law._variances, rtol=1e-9
    )


@given(exponent=st.floats(0.5, 1.5), steps=any_steps)
def test_what_sums_leave_open_is_a_covariance_without_the_sum(exponent, steps):
    """After any steps: symmetric, rows that sum to zero, between zero and what the start left."""
    law = noise(exponent=exponent, frequency_min=1e-3)
    _, state, rng = started(law, 1)
    first, tolerance = state["covariance"], 1e-13 * law._variances.sum()
    for step in steps:
        law.advance(state, step, rng)
        covariance = state["covariance"]
        np.testing.assert_array_equal(covariance, covariance.T)
        np.testing.assert_allclose(covariance.sum(axis=0), 0.0, atol=tolerance)
        assert np.linalg.eigvalsh(covariance).min() > -tolerance
        assert np.linalg.eigvalsh(first - covariance).min() > -tolerance


STEPS = [0.0, 1e-9, 1e-4, 3.0, 1e-6, 1e-2] * 10


@exponents
def test_deviations_stay_gaussian_with_the_stated_variance(naive, exponent):
    """Mean, variance and kurtosis at the start, and after 60 steps from 1 ns to 3 s."""
    law = noise(exponent=exponent)
    conductance, state, rng = started(law, 50_000)
    naive.check_moments(law.deviation(state, conductance)[:, np.newaxis], 0.0, law.std(CELL))
    for step in STEPS:
        law.advance(state, step, rng)
    naive.check_moments(law.deviation(state, conductance)[:, np.newaxis], 0.0, law.std(CELL))


def test_moments_check_detects_a_start_from_zero(naive):
    """The check fails for noise that begins at rest, when all but the longest memory is over."""
    law = noise()
    conductance, state, rng = started(law, 50_000)
    state["components"][:] = 0.0
    state["covariance"][:] = 0.0
    law.advance(state, 0.03, rng)
    with pytest.raises(AssertionError, match="variance"):
        naive.check_moments(law.deviation(state, conductance)[:, np.newaxis], 0.0, law.std(CELL))


def test_cells_are_independent(naive):
    """No correlation between neighbouring cells; a shared 25th of their variance is found."""
    law = noise()
    conductance, state, rng = started(law, (50_000, 4))
    law.advance(state, 1e-3, rng)
    deviation = law.deviation(state, conductance)
    naive.check_independent(deviation)
    deviation *= math.sqrt(0.96)
    deviation += 0.2 * float(law.std(CELL)) * rng.standard_normal((50_000, 1))
    with pytest.raises(AssertionError, match="correlate"):
        naive.check_independent(deviation)


def test_amplitude_spreads_log_normally_over_cells(naive):
    """ln of a cell's density is Gaussian with the stated spread, whatever time passes."""
    law = noise(amplitude_spread=1.5)
    _, state, rng = started(law, 50_000)
    factor = state["factor"].copy()
    law.advance(state, 1.0, rng)
    np.testing.assert_array_equal(state["factor"], factor)
    naive.check_moments(2 * np.log(factor)[:, np.newaxis], 0.0, 1.5)


def check_population_variance(law, wrong, alarm):
    """Mean square over cells of log-normal density: its own variance is (3e^{2s²} − e^{s²}) σ⁴."""
    conductance, state, _ = started(law, 200_000)
    square = wrong * law.deviation(state, conductance) ** 2
    median = float(noise().std(CELL)) ** 2
    grown = math.exp(law.amplitude_spread**2)
    error = median * math.sqrt((3 * grown**2 - grown) / square.size)
    assert abs(square.mean() - float(law.std(CELL)) ** 2) < stats.norm.isf(alarm / 2) * error


def test_variance_over_the_population_is_the_stated_one(naive):
    """The mean square over cells with spread amplitudes is σ², and a 2 % error would be seen."""
    law = noise(amplitude_spread=0.5)
    check_population_variance(law, 1.0, naive.ALARM)
    with pytest.raises(AssertionError):
        check_population_variance(law, 1.02, naive.ALARM)


def test_amplitude_follows_the_conductance_of_the_moment():
    """A table scales the deviation by √a(G)·G at the conductance that is passed in."""
    table = StateTable(
        conductance=(10e-6, 100e-6), values=(1e-4, 1e-6), interpolation="logarithmic"
    )
    law, unit = noise(amplitude=table), noise(amplitude=1.0)
    _, state, _ = started(law, 3)
    cells = np.array([10e-6, 55e-6, 200e-6])
    expected = unit.deviation(state, np.ones(3)) * cells * np.sqrt([1e-4, 1e-5, 1e-6])
    np.testing.assert_allclose(law.deviation(state, cells), expected, rtol=1e-12)
    np.testing.assert_allclose(law.std(cells), unit.std(1.0) * cells * np.sqrt(table(cells)))


# Steps


def memory(law, steps, **options):
    """What is left of a unit deviation of every component: two runs with the same draws."""
    _, one, _ = started(law, 1)
    other = {name: values.copy() for name, values in one.items()}
    other["components"] += 1.0
    for state in (one, other):
        rng = stream(3, "steps")
        for step in steps:
            law.advance(state, step, rng, **options)
    return (other["components"] - one["components"])[:, 0]


@given(first=seconds, second=seconds)
def test_memories_of_successive_steps_multiply(first, second):
    """Two steps forget as much as one of their total length, e^{−2π f_k t} exactly."""
    law = noise()
    expected = np.exp(-2 * math.pi * law.corner_frequencies * (first + second))
    np.testing.assert_allclose(memory(law, [first, second]), expected, atol=1e-14)
    np.testing.assert_allclose(memory(law, [first + second]), expected, atol=1e-14)


def test_temperature_scales_time():
    """A step at 350 K is one that is longer by Arrhenius' factor; without energy, the same."""
    law = noise(activation_energy_eV=0.3)
    factor = acceleration(0.3, 350.0)
    assert factor > 5
    hot = memory(law, [1e-3], temperature=350.0)
    np.testing.assert_allclose(hot, memory(law, [1e-3 * factor]), rtol=1e-9)
    np.testing.assert_array_equal(
        memory(noise(), [1e-3], temperature=350.0), memory(noise(), [1e-3])
    )


def test_no_time_changes_nothing():
    """A step of zero leaves the state and the generator as they are."""
    law = noise(amplitude_spread=1.0)
    _, state, rng = started(law, (2, 3))
    before = {name: values.copy() for name, values in state.items()}
    law.advance(state, 0.0, rng)
    for name, values in state.items():
        np.testing.assert_array_equal(values, before[name])
    expected = stream(0, "flicker noise")
    law.start(np.full((2, 3), CELL), expected)
    assert rng.random() == expected.random()


def test_cells_can_be_programmed_one_by_one():
    """A part of the cells takes the deviation of a new start; the others keep theirs."""
    law = noise(amplitude_spread=1.0)
    conductance, state, rng = started(law, (3, 4, 5))
    expected = law.deviation(state, conductance)
    where = np.zeros((4, 5), dtype=bool)
    where[1:3, 2] = True
    fresh = law.start(conductance[:, where], rng)
    expected[:, where] = law.deviation(fresh, conductance[:, where])
    law.merge(state, fresh, where, rng)
    np.testing.assert_array_equal(law.deviation(state, conductance), expected)
    np.testing.assert_allclose(state["components"].sum(axis=0), state["total"], atol=1e-12)
    law.advance(state, 1.0, rng)


class Simulated:
    """Cells of the law with the methods of ``naive.OrnsteinUhlenbeck``."""

    def __init__(self, law, cells):
        self.law = law
        self.ones, self.rng = np.ones(cells), stream(4, "rewritten")
        self.state = law.start(self.ones, self.rng)

    @property
    def sums(self):
        return self.law.deviation(self.state, self.ones)

    def advance(self, seconds):
        self.law.advance(self.state, seconds, self.rng)

    def restart(self, where):
        fresh = self.law.start(self.ones[where], self.rng)
        self.law.merge(self.state, fresh, where, self.rng)


def check_rewritten(naive, law, cells):
    """Covariances of reads over 1 s, while two parts of 10⁵ cells are programmed anew.

    Reads of a cell have the covariance of the law as long as it keeps its filament, and none
    across its programming.
    """
    index = np.arange(100_000)
    steps = [0.0, *[1e-4] * 20, 1e-3, 1e-4, 1e-3, 1e-2, 3e-4, 0.1, 1.0]
    rewrites = {21: index % 2 == 0, 24: index % 4 == 1}  # before the step of this number
    reads = np.empty((index.size, len(steps)))
    for number, step in enumerate(steps):
        if number in rewrites:
            cells.restart(rewrites[number])
        cells.advance(step)
        reads[:, number] = cells.sums
    times, numbers = np.cumsum(steps), np.arange(len(steps))
    covariance = law.autocovariance(times[:, np.newaxis] - times, 1.0)
    kept = numbers >= 17
    for part, first in ((index % 2 == 0, 21), (index % 4 == 1, 24), (index % 4 == 3, 0)):
        apart = (numbers < first) ^ (numbers < first)[:, np.newaxis]
        expected = np.where(apart, 0.0, covariance)
        naive.check_covariances(reads[part][:, kept], expected[kept][:, kept])


def test_rewritten_and_old_cells_keep_the_law(naive):
    """Whatever the histories of the cells, they move like cells with every component drawn."""
    law = noise(amplitude=1.0, exponent=1.2)
    check_rewritten(naive, law, Simulated(law, 100_000))
    rates, rng = 2 * math.pi * law.corner_frequencies, stream(5, "every component")
    every_component = naive.OrnsteinUhlenbeck(law._variances, rates, 100_000, rng)
    check_rewritten(naive, law, every_component)


def undrawn(law, state, fresh, where, rng):
    """The new cells are taken to have shown as much of themselves as the old ones."""
    for name in ("components", "total"):
        state[name][..., where] = fresh[name]


def all_like_new(law, state, fresh, where, rng):
    """Nothing is drawn, and the old cells are taken to leave as much open as the new ones."""
    undrawn(law, state, fresh, where, rng)
    state["covariance"] = fresh["covariance"]


@pytest.mark.parametrize("wrong", [undrawn, all_like_new])
def test_rewriting_check_detects_a_merge_without_draws(naive, monkeypatch, wrong):
    """The check fails if what the deviations leave open is the same by declaration only."""
    monkeypatch.setattr(flicker.FlickerNoise, "merge", wrong)
    law = noise(amplitude=1.0, exponent=1.2)
    with pytest.raises(AssertionError, match="standard errors"):
        check_rewritten(naive, law, Simulated(law, 100_000))


def test_single_precision_is_the_same_noise():
    """float32 state and deviations with the draws of float64, apart by rounding alone."""
    law = noise(amplitude_spread=1.0)
    results = []
    for dtype in (np.float32, np.float64):
        conductance, state, rng = started(law, 1000, dtype=dtype)
        for step in STEPS:
            law.advance(state, step, rng)
        results.append(law.deviation(state, conductance))
        assert state.pop("covariance").dtype == np.float64
        assert {values.dtype for values in (*state.values(), results[-1])} == {np.dtype(dtype)}
    np.testing.assert_allclose(*results, rtol=1e-5, atol=1e-5 * float(law.std(CELL)))


def lost_over_tiny_steps():
    """What 1000 cells lose of a difference of 2 in 1000 steps of 1e-8 memories, in float32.

    Two runs with the same draws: rounding moves the mean difference by about 2e-8.
    """
    law = noise(frequency_max=2.0)
    step = 1e-8 / (2 * math.pi * law.corner_frequencies[0])
    means = []
    for first in (1.0, -1.0):
        _, state, _ = started(law, 1000, dtype=np.float32)
        state["components"][:] = first
        rng = stream(0, "tiny")
        for _ in range(1000):
            law.advance(state, step, rng)
        means.append(state["total"].mean(dtype=np.float64))
    return 2 - (means[0] - means[1])


def test_single_precision_forgets_over_tiny_steps(monkeypatch):
    """1000 steps, each below what float32 resolves, forget 1e-5; a rounded decay would nothing."""
    assert lost_over_tiny_steps() == pytest.approx(2e-5, abs=2e-6)

    def rounded(*arguments):
        decay, gain, covariance = right(*arguments)
        return decay.astype(np.float32).astype(np.float64), gain, covariance

    monkeypatch.setattr(flicker, "innovations_step", rounded)
    assert lost_over_tiny_steps() == pytest.approx(0.0, abs=2e-6)


@pytest.mark.parametrize("step", [1e-15, 1e-12, 1e-9])
def test_single_precision_moves_over_tiny_steps(step):
    """1000 steps that change a cell by 1e-6 to 1e-3 of its deviation each add up as stated.

    The mean square of 20 000 cells has a relative error of 1 %, rounding adds a random walk.
    """
    law = noise(amplitude=1.0)
    ones, rng = np.ones(20_000, np.float32), stream(6, "tiny")
    state = law.start(ones, rng)
    before = law.deviation(state, ones).astype(np.float64)
    for _ in range(1000):
        law.advance(state, step, rng)
    moved = np.mean((law.deviation(state, ones) - before) ** 2)
    lost = -np.expm1(-2 * math.pi * 1000 * step * law.corner_frequencies)
    assert moved == pytest.approx(2 * lost @ law._variances, rel=0.04)


def test_compiler_does_not_change_results():
    """The same draws give the same components and sums in Python and compiled, to the last bit."""
    step = fluctuation_kernels.step_components
    decay, gain = np.array([0.0, 0.5, 1 - 1e-12]), np.array([1.0, 0.8, 1e-6])
    outcomes = []
    for function in (step, getattr(step, "py_func", step)):
        components, total, rng = np.ones((3, 1500)), np.empty(1500), stream(0, "kernels")
        function(components, total, decay, gain, rng)
        outcomes.append(np.vstack([components, total]))
    np.testing.assert_array_equal(*outcomes)
    draws = stream(0, "kernels").standard_normal(1500)
    expected = decay[:, np.newaxis] + gain[:, np.newaxis] * draws
    np.testing.assert_allclose(outcomes[0][:3], expected, rtol=1e-12)
    np.testing.assert_allclose(outcomes[0][3], expected.sum(axis=0), atol=1e-12)


# Input


def test_card_holds_every_number():
    """A law written as JSON and read again is the same law."""
    adapter = TypeAdapter(flicker.FlickerNoise)
    table = StateTable(conductance=(1e-6, 2e-6), values=(1e-4, 1e-5))
    law = noise(amplitude=table, amplitude_spread=0.5, activation_energy_eV=0.1)
    assert adapter.validate_json(adapter.dump_json(law)) == law


@pytest.mark.parametrize(
    "changes",
    [
        {"amplitude": -1e-5},
        {"amplitude": StateTable(conductance=(1e-6, 2e-6), values=(1.0, -1.0))},
        {"exponent": 0.4},
        {"exponent": 1.6},
        {"frequency_min": 0.0},
        {"frequency_max": math.inf},
        {"frequency_min": 1e3},
        {"amplitude_spread": -1.0},
        {"activation_energy_eV": -0.1},
        {"frequency": 1.0},
    ],
)
def test_impossible_parameters_are_refused(changes):
    """The message names the parameter: a value out of range, an empty band, an unknown name."""
    with pytest.raises(ValidationError, match=next(iter(changes))):
        noise(**changes)


@pytest.mark.parametrize("step", [-1.0, math.inf, math.nan])
def test_impossible_steps_are_refused(step):
    """Time goes on by a finite amount, and the state is untouched by the refusal."""
    law = noise()
    _, state, rng = started(law, 3)
    before = state["components"].copy()
    with pytest.raises(InputError, match="seconds"):
        law.advance(state, step, rng)
    with pytest.raises(InputError, match="temperature"):
        law.advance(state, 1.0, rng, temperature=0.0)
    np.testing.assert_array_equal(state["components"], before)
