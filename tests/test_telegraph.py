"""Telegraph noise: dwell times, occupancies, levels and memory of simulated traps.

Statistical checks have a false-alarm rate of at most 1e-4 each (``naive.ALARM``, fixed seeds),
and each has a companion that feeds the same check a wrong sampler.
"""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from scipy import integrate, stats

from zerohm import InputError
from zerohm._random import stream
from zerohm.devices import fluctuation_kernels, telegraph
from zerohm.devices.state_dependence import StateTable
from zerohm.devices.temperature import acceleration

CELL = 85e-6  # S
CAPTURE, EMISSION = 0.3, 0.1  # s
CARD = TypeAdapter(telegraph.TelegraphLaw)

# Three levels in a cycle: detailed balance does not hold, so forward and backward differ.
CYCLE = ((0.0, 4.0, 0.5), (0.2, 0.0, 8.0), (3.0, 0.0, 0.0))


def traps(**changes):
    default = {"amplitude": 0.03, "capture_time_s": CAPTURE, "emission_time_s": EMISSION}
    return telegraph.TelegraphNoise(**{**default, **changes})


def levels(**changes):
    default = {"amplitude": 0.01, "levels": (0.0, -1.0, -3.0), "rates_per_s": CYCLE}
    return telegraph.TelegraphLevels(**{**default, **changes})


POPULATION = traps(
    sites=3, trap_probability=0.4, amplitude_spread=0.3, dwell_time_spread=1.0, amplitude=0.02
)
LAWS = {
    "one trap": traps(),
    "population of traps": POPULATION,
    "levels": levels(),
    "population of levels": levels(probability=0.4, amplitude_spread=0.3),
}

laws = pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)


def started(law, shape, seed=0, dtype=np.float64):
    """Conductances, state and generator of cells that all have the same conductance."""
    cells, rng = np.full(shape, CELL, dtype), stream(seed, "telegraph noise")
    return cells, law.start(cells, rng), rng


# The laws


def test_numbers_of_one_trap():
    """By hand for 0.3 s empty and 0.1 s occupied: occupancy 1/4, memory 75 ms, σ = a G √(3/16)."""
    law = traps()
    assert law.occupancy == pytest.approx(0.25)
    assert law.correlation_time_s == pytest.approx(0.075)
    assert float(law.std(CELL)) == pytest.approx(0.03 * CELL * math.sqrt(3 / 16))
    # One-sided density at zero frequency: 4 σ² × memory.
    assert float(law.spectrum(0.0, CELL)) == pytest.approx(0.3 * float(law.std(CELL)) ** 2)
    assert float(law.autocovariance(0.075, CELL)) == pytest.approx(
        float(law.std(CELL)) ** 2 / math.e
    )


def test_occupancies_of_a_cycle():
    """Balance of every level, written out: what leaves it is what arrives."""
    shares, rates = levels().occupancies, np.array(CYCLE)
    assert shares.sum() == pytest.approx(1.0)
    for here in range(3):
        assert shares[here] * rates[here].sum() == pytest.approx(shares @ rates[:, here])


@given(capture=st.floats(1e-3, 1e3), emission=st.floats(1e-3, 1e3), distance=st.floats(1e-3, 1e3))
def test_two_levels_are_a_trap(capture, emission, distance):
    """Both laws say the same where they overlap: covariance, density, standard deviation."""
    one = traps(capture_time_s=capture, emission_time_s=emission, amplitude=0.01)
    other = levels(levels=(0, -1), rates_per_s=((0, 1 / capture), (1 / emission, 0)))
    lag = distance * one.correlation_time_s
    np.testing.assert_allclose(one.std(CELL), other.std(CELL), rtol=1e-6)
    np.testing.assert_allclose(
        one.autocovariance(lag, CELL) / one.std(CELL) ** 2,
        other.autocovariance(lag, CELL) / other.std(CELL) ** 2,
        atol=1e-9,
    )
    np.testing.assert_allclose(
        one.spectrum(1 / lag, CELL), other.spectrum(1 / lag, CELL), rtol=1e-6
    )


@laws
def test_variance_is_the_integral_of_the_density(law):
    """Wiener and Khinchin: quadrature over all frequencies gives the variance and covariances."""
    area = integrate.quad(
        lambda log: math.exp(log) * float(law.spectrum(math.exp(log), CELL)), -25, 25, limit=500
    )[0]
    assert area == pytest.approx(float(law.std(CELL)) ** 2, rel=1e-6)
    lag = 0.05
    transform = integrate.quad(
        lambda f: float(law.spectrum(f, CELL)), 0, math.inf, weight="cos", wvar=2 * math.pi * lag
    )[0]
    assert transform == pytest.approx(float(law.autocovariance(lag, CELL)), rel=1e-5)


rates = st.floats(1e-3, 1e3)


@given(numbers=st.tuples(*[rates] * 6), first=st.floats(0, 10), second=st.floats(0, 10))
def test_transitions_compose(numbers, first, second):
    """Chapman and Kolmogorov: probabilities over two steps multiply to those over their sum."""
    a, b, c, d, e, f = numbers
    law = levels(rates_per_s=((0, a, b), (c, 0, d), (e, f, 0)))
    apart = law._transitions(np.array([first, second, first + second]))
    assert apart.min() > -1e-12
    np.testing.assert_allclose(apart.sum(axis=-1), 1.0, rtol=1e-12)
    np.testing.assert_allclose(apart[0] @ apart[1], apart[2], atol=1e-9)
    np.testing.assert_allclose(law.occupancies @ apart[0], law.occupancies, atol=1e-9)


def test_long_steps_end_in_the_stationary_law():
    """A step of 10³⁰⁰ s overflows nothing and forgets everything."""
    law = levels()
    np.testing.assert_allclose(
        law._transitions(np.array(1e300)), np.tile(law.occupancies, (3, 1)), rtol=1e-12
    )
    for each in LAWS.values():
        _, state, rng = started(each, 3)
        each.advance(state, 1e300, rng)


# Dwell times, occupancies, levels


def dwell_times(law, seed=0):
    """Completed dwell times in s of 300 cells in the empty and in the occupied state.

    Only stays that begin in the first half of the record count: all of them end in it, so that
    long ones are not missed. Steps are 1/100 of the shorter time; where in its step a jump lies
    is drawn. Stays that begin and end within one step are missed, which lengthens the others by
    1 % and moves their distribution by a tenth of what the test can see.
    """
    step, samples = EMISSION / 100, 6000
    cells, state, rng = started(law, 300, seed)
    occupied = np.empty((samples, len(cells)), dtype=bool)
    for sample in occupied:
        sample[:] = law.deviation(state, cells) < 0
        law.advance(state, step, rng)
    times = {False: [], True: []}
    for cell in occupied.T:
        jumps = np.flatnonzero(np.diff(cell)) + 1
        for first, last in pairwise(jumps):
            if first < samples // 2:
                times[bool(cell[first])].append(step * (last - first - 0.5 + rng.random()))
    return np.array(times[False]), np.array(times[True])


def check_dwell_times(law, capture, emission, alarm):
    """Kolmogorov and Smirnov: dwell times are exponential with these means (s)."""
    for times, mean in zip(dwell_times(law), (capture, emission), strict=True):
        assert len(times) > 1000
        chance = stats.kstest(times, stats.expon(scale=mean).cdf).pvalue
        assert chance > alarm / 2, f"mean {times.mean():.3f} s, expected {mean} s, p = {chance:.0e}"


def test_dwell_times_are_exponential(naive):
    """Stays in the empty state last 0.3 s on average, in the occupied one 0.1 s."""
    check_dwell_times(traps(), CAPTURE, EMISSION, naive.ALARM)


def test_dwell_times_of_two_levels_are_exponential(naive):
    """The general chain has the same dwell times."""
    law = levels(levels=(0, -1), rates_per_s=((0, 1 / CAPTURE), (1 / EMISSION, 0)))
    check_dwell_times(law, CAPTURE, EMISSION, naive.ALARM)


WRONG_DWELL_TIMES = {
    "exchanged": traps(capture_time_s=EMISSION, emission_time_s=CAPTURE),
    "20 % longer": traps(emission_time_s=1.2 * EMISSION),
    # Two stages in succession: the mean is right, the distribution is not.
    "not exponential": levels(
        levels=(1, 1, 0),
        rates_per_s=((0, 2 / CAPTURE, 0), (0, 0, 2 / CAPTURE), (1 / EMISSION, 0, 0)),
    ),
}


@pytest.mark.parametrize("wrong", WRONG_DWELL_TIMES.values(), ids=WRONG_DWELL_TIMES)
def test_dwell_time_check_detects_wrong_times(naive, wrong):
    """The check fails for other means, and for a distribution with the right mean."""
    with pytest.raises(AssertionError, match="mean"):
        check_dwell_times(wrong, CAPTURE, EMISSION, naive.ALARM)


def check_counts(observed, chances, alarm):
    """χ² test of how many cells are in every state."""
    chance = stats.chisquare(observed, chances / np.sum(chances) * np.sum(observed)).pvalue
    assert chance > alarm, f"counts {observed} for {chances}, p = {chance:.0e}"


STEPS = [0.0, 1e-9, 1e-3, 3.0, 1e-2] * 5


def test_traps_of_a_cell_make_its_levels(naive):
    """Three sites: binomial numbers of traps and, before and after steps, of occupied ones."""
    law = traps(sites=3, trap_probability=0.4)
    cells, state, rng = started(law, 50_000)
    number = np.arange(4)
    present = np.bincount((state["strength"] > 0).sum(axis=0), minlength=4)
    check_counts(present, stats.binom.pmf(number, 3, 0.4), naive.ALARM)
    for steps in ([], STEPS):
        for step in steps:
            law.advance(state, step, rng)
        occupied = np.bincount(state["occupied"].sum(axis=0).astype(int), minlength=4)
        check_counts(occupied, stats.binom.pmf(number, 3, 0.4 * 0.25), naive.ALARM)
        assert len(np.unique(law.deviation(state, cells).round(12))) == 10  # pairs 0 ≤ k ≤ n ≤ 3
    with pytest.raises(AssertionError, match="counts"):
        check_counts(occupied, stats.binom.pmf(number, 3, 0.4 * 0.27), naive.ALARM)


def test_levels_are_visited_as_often_as_stated(naive):
    """Occupancies at the start and after many steps, transitions over one step."""
    law = levels()
    _, state, rng = started(law, 50_000)
    before = state["level"].astype(int)
    check_counts(np.bincount(before, minlength=3), law.occupancies, naive.ALARM)
    law.advance(state, 0.1, rng)
    after = state["level"].astype(int)
    # Written once more: one step of 0.1 s as many short ones of first order.
    generator = np.array(CYCLE) - np.diag(np.sum(CYCLE, axis=1))
    chances = np.linalg.matrix_power(np.eye(3) + 0.1 * generator / 2**20, 2**20)
    for here in range(3):
        arrivals = np.bincount(after[before == here], minlength=3)
        check_counts(arrivals, chances[here], naive.ALARM / 3)
        with pytest.raises(AssertionError, match="counts"):
            check_counts(arrivals, chances[:, here], naive.ALARM / 3)
    for step in STEPS:
        law.advance(state, step, rng)
    counts = np.bincount(state["level"].astype(int), minlength=3)
    check_counts(counts, law.occupancies, naive.ALARM)


# Memory


def check_covariance(law, lag, steps, alarm):
    """Means and covariance of two reads around the steps, over 10⁵ cells, against the law."""
    conductance, state, rng = started(law, 100_000, seed=11)
    before = law.deviation(state, conductance)
    for step in steps:
        law.advance(state, step, rng)
    after = law.deviation(state, conductance)
    checks = {
        "mean before": (before, 0.0),
        "mean after": (after, 0.0),
        "variance": (after**2, law.std(CELL) ** 2),
        "covariance": (before * after, law.autocovariance(lag, CELL)),
    }
    bound = stats.norm.isf(alarm / len(checks) / 2)
    for name, (values, expected) in checks.items():
        score = (values.mean() - expected) / (values.std() / math.sqrt(values.size))
        assert abs(score) < bound, f"{name} is {score:.1f} standard errors off"


@laws
@pytest.mark.parametrize("lag", [1e-2, 0.1])
def test_covariance_of_two_reads_depends_on_their_distance_alone(naive, law, lag):
    """Whatever the sequence of steps between two reads, means, variance, covariance are right."""
    for steps in naive.sequences(lag).values():
        check_covariance(law, lag, steps, naive.ALARM)


def test_covariance_check_detects_an_approximate_step(naive, monkeypatch):
    """The check fails for transition probabilities of first order, and for another lag."""
    with pytest.raises(AssertionError, match="covariance"):
        check_covariance(traps(), 0.03, [0.028], naive.ALARM)
    exact = telegraph.step_traps

    def first_order(occupied, strength, occupancy, forgotten, rng):
        times = -np.log(np.maximum(1.0 - forgotten, 1e-300))
        exact(occupied, strength, occupancy, np.minimum(times, 1.0), rng)

    monkeypatch.setattr(telegraph, "step_traps", first_order)
    with pytest.raises(AssertionError, match="covariance"):
        check_covariance(traps(), 0.03, [0.03], naive.ALARM)


def trace(law, samples, step):
    """Deviations (samples, cells) of 300 independent cells at equal steps in s."""
    cells, state, rng = started(law, 300, seed=5)
    deviations = np.empty((samples, len(cells)))
    for sample in deviations:
        sample[:] = law.deviation(state, cells)
        law.advance(state, step, rng)
    return deviations


def test_one_trap_has_a_lorentzian_spectrum(naive):
    """Simulated reads have the density of the law; traps that are a fifth faster are found."""
    samples, step = 2048, 2e-3
    covariance = traps().autocovariance(np.arange(samples) * step, CELL)
    naive.check_spectrum(trace(traps(), samples, step), step, covariance)
    faster = traps(capture_time_s=0.8 * CAPTURE, emission_time_s=0.8 * EMISSION)
    with pytest.raises(AssertionError, match="Hz"):
        naive.check_spectrum(trace(faster, samples, step), step, covariance)


def test_cells_are_independent(naive):
    """No correlation between neighbouring cells; a shared draw for a tenth of them is found."""
    law = traps(trap_probability=0.7, dwell_time_spread=1.0)
    conductance, state, rng = started(law, (50_000, 4))
    law.advance(state, 0.1, rng)
    deviation = law.deviation(state, conductance)
    naive.check_independent(deviation)
    deviation[:5000] = deviation[:5000, :1]
    with pytest.raises(AssertionError, match="correlate"):
        naive.check_independent(deviation)


# Populations


def test_traps_spread_log_normally(naive):
    """ln of amplitudes and of dwell times is Gaussian with the stated spreads, and stays."""
    law = traps(amplitude_spread=0.8, dwell_time_spread=1.5)
    _, state, rng = started(law, 50_000)
    kept = {name: state[name].copy() for name in ("strength", "dwell_factor")}
    before = state["occupied"].copy()
    law.advance(state, 0.01, rng)
    jumped, slow = before != state["occupied"], kept["dwell_factor"] > 1.0
    assert jumped[slow].mean() < 0.5 * jumped[~slow].mean()
    for (name, values), spread in zip(kept.items(), (0.8, 1.5), strict=True):
        np.testing.assert_array_equal(state[name], values)
        naive.check_moments(np.log(values[0])[:, np.newaxis], 0.0, spread)
    naive.check_independent(np.log([values[0] for values in kept.values()]).T)


def test_amplitude_and_traps_depend_on_the_conductance(naive):
    """Traps where the cell was programmed, their amplitude where it is now: measured, technology A.

    The amplitudes are those of single cells of a multi-level array at five conductances.
    """
    table = StateTable(
        conductance=(9.5e-6, 85e-6, 134e-6, 185e-6, 253e-6), values=(0.16, 0.03, 0.015, 0.01, 0.0)
    )
    chance = StateTable(conductance=(50e-6, 100e-6), values=(1.0, 0.0))
    law = traps(amplitude=table, trap_probability=chance)
    programmed = np.repeat([20e-6, 75e-6, 200e-6], 20_000)
    state = law.start(programmed, stream(0, "telegraph noise"))
    present = (state["strength"][0] > 0).reshape(3, -1).sum(axis=1)
    assert (present[0], present[2]) == (20_000, 0)
    assert stats.binomtest(int(present[1]), 20_000, 0.5).pvalue > naive.ALARM
    for now, amplitude in zip(table.conductance, table.values, strict=True):
        deviation = law.deviation(state, np.full(60_000, now))
        assert np.ptp(deviation) == pytest.approx(amplitude * now)
    assert float(law.std(200e-6)) == 0.0


# Steps


@laws
def test_no_time_changes_nothing(law):
    """A step of zero leaves the state and the generator as they are."""
    _, state, rng = started(law, (2, 3))
    before = {name: values.copy() for name, values in state.items()}
    law.advance(state, 0.0, rng)
    for name, values in state.items():
        np.testing.assert_array_equal(values, before[name])
    untouched = stream(0, "telegraph noise")
    law.start(np.full((2, 3), CELL), untouched)
    assert rng.random() == untouched.random()


@laws
def test_temperature_scales_time(law):
    """A step at 350 K is one that is longer by Arrhenius' factor, draw by draw."""
    warm = CARD.validate_python({**CARD.dump_python(law), "activation_energy_eV": 0.3})
    factor = acceleration(0.3, 350.0)
    assert factor > 5
    results = []
    for each, seconds in ((warm, 0.02), (law, 0.02 * factor), (law, 0.02)):
        conductance, state, rng = started(each, 1000)
        each.advance(state, seconds, rng, temperature=350.0)
        results.append(each.deviation(state, conductance))
    np.testing.assert_array_equal(results[0], results[1])
    assert np.any(results[0] != results[2])


@laws
def test_cells_can_be_programmed_one_by_one(law):
    """A part of the cells takes the state of a new start; the others keep theirs."""
    conductance, state, rng = started(law, (20, 25))
    before = law.deviation(state, conductance)
    where = np.zeros((20, 25), dtype=bool)
    where[1:11, 2:22] = True
    law.merge(state, law.start(conductance[where], rng), where, rng)
    changed = law.deviation(state, conductance) != before
    assert changed[where].any()
    assert not changed[~where].any()
    law.advance(state, 1.0, rng)


@laws
def test_single_precision_is_the_same_noise(law):
    """float32 state and deviations with the draws of float64, apart by rounding alone."""
    results = []
    for dtype in (np.float32, np.float64):
        conductance, state, rng = started(law, 1000, dtype=dtype)
        for step in STEPS:
            law.advance(state, step, rng)
        results.append(law.deviation(state, conductance))
        assert {values.dtype for values in (*state.values(), results[-1])} == {np.dtype(dtype)}
    np.testing.assert_allclose(*results, rtol=1e-5)


@pytest.mark.parametrize("step", [fluctuation_kernels.step_traps, fluctuation_kernels.step_levels])
def test_compiler_does_not_change_results(step):
    """The same draws give the same transitions in Python and compiled."""
    outcomes = []
    for function in (step, getattr(step, "py_func", step)):
        rng = stream(0, "kernels")
        strength = (rng.random((2, 50)) < 0.7).astype(np.float64)
        if step is fluctuation_kernels.step_traps:
            before = (rng.random((2, 50)) < 0.5).astype(np.float64)
            after = before.copy()
            function(after, strength, 0.3, np.full((2, 50), 0.8), rng)
        else:
            before = rng.integers(0, 3, 100).astype(np.float64)
            after = before.copy()
            cumulative = np.cumsum(levels()._transitions(np.array(0.2)), axis=1)
            function(after, strength.reshape(-1), cumulative, rng)
        assert np.all((after == before) | (strength.reshape(before.shape) > 0))
        assert np.any(after != before)
        outcomes.append(after)
    np.testing.assert_array_equal(*outcomes)


# Input


@laws
def test_card_holds_every_number(law):
    """A law written as JSON and read again is the same law, of the same kind."""
    assert CARD.validate_json(CARD.dump_json(law)) == law


@pytest.mark.parametrize(
    "changes",
    [
        {"amplitude": 1.5},
        {"amplitude": StateTable(conductance=(1e-6, 2e-6), values=(0.1, -0.1))},
        {"capture_time_s": 0.0},
        {"emission_time_s": math.inf},
        {"sites": 0},
        {"trap_probability": 1.1},
        {"amplitude_spread": -1.0},
        {"dwell_time_spread": 11.0},
        {"activation_energy_eV": -0.1},
        {"traps": 3},
    ],
)
def test_impossible_traps_are_refused(changes):
    """The message names the parameter: a value out of range or an unknown name."""
    with pytest.raises(ValidationError, match=next(iter(changes))):
        traps(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"levels": (0.0,)}, "levels"),
        ({"levels": (0.0, 1.0)}, "rates_per_s must be 2 rows of 2 rates"),
        ({"rates_per_s": ((0, 1, 1), (1, 0), (1, 1, 0))}, "rates_per_s must be 3 rows"),
        ({"rates_per_s": ((0, 1, 1), (1, 2, 1), (1, 1, 0))}, "must be 0"),
        ({"rates_per_s": ((0, 1, 1), (-1, 0, 1), (1, 1, 0))}, "rates_per_s"),
        ({"rates_per_s": ((0, 1, 0), (1, 0, 0), (1, 1, 0))}, "cannot be reached"),
        ({"amplitude": -0.1}, "amplitude"),
        ({"probability": 2.0}, "probability"),
    ],
)
def test_impossible_levels_are_refused(changes, message):
    """The message says which rule of a rate matrix is broken."""
    with pytest.raises(ValidationError, match=message):
        levels(**changes)


@laws
@pytest.mark.parametrize("step", [-1.0, math.inf, math.nan])
def test_impossible_steps_are_refused(law, step):
    """Time goes on by a finite amount, at a temperature above zero."""
    _, state, rng = started(law, 3)
    with pytest.raises(InputError, match="seconds"):
        law.advance(state, step, rng)
    with pytest.raises(InputError, match="temperature"):
        law.advance(state, 1.0, rng, temperature=0.0)
