"""Laws of pulsed cells: mean steps, closed forms, variation among cycles and devices.

Statistical tests use the checks of ``naive.py`` (false-alarm rate at most 1e-4 per check, fixed
seeds), and each is shown to fail on a wrong sampler.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from scipy import stats

from zerohm import InputError, devices
from zerohm._random import stream
from zerohm.devices.presets import Gong2018, GongRasch2022
from zerohm.devices.pulses import (
    Drive,
    ExponentialStep,
    PowerStep,
    PulsedCells,
    PulseModel,
    SoftBounds,
    trajectories,
)

CELL = devices.Cell(name="test", conductance_min=10e-6, conductance_max=50e-6)
WINDOW = CELL.window
ALARM = 1e-4

SOFT = SoftBounds(step_up=0.03, step_down=0.02, reference=0.4)
POWER = PowerStep(step_up=0.04, step_down=0.03, exponent_up=1.7, exponent_down=0.6)
EXPONENTIAL = ExponentialStep(
    step_up=0.01,
    step_down=0.02,
    amplitude_up=0.3,
    amplitude_down=-0.2,
    rate_up=1.5,
    rate_down=2.0,
    slope=0.4,
    offset=0.1,
)
LAWS = [SOFT, POWER, EXPONENTIAL]
laws = pytest.mark.parametrize("law", LAWS, ids=lambda law: law.kind)
directions = pytest.mark.parametrize("direction", [+1, -1])


def slow_step(law, x, direction):
    """Change of position by one pulse, from the formulas of the sources, one number at a time."""
    up = direction > 0
    if law.kind == "soft bounds":
        # In a weight w that is zero at the reference: dw = a (1 - w / b), b the bound ahead.
        w = x - law.reference
        bound = 1 - law.reference if up else -law.reference
        step = law.step_up if up else law.step_down
        return direction * step * (1 - w / bound)
    if law.kind == "power step":
        omega = 1 - x
        if up:
            return law.step_up * omega**law.exponent_up
        return -law.step_down * (1 - omega) ** law.exponent_down
    z = 2 * law.slope * (x - law.reference) + law.offset
    if up:
        return law.step_up * max(1 - law.amplitude_up * math.exp(law.rate_up * z), 0)
    return -law.step_down * max(1 - law.amplitude_down * math.exp(-law.rate_down * z), 0)


def slow_walk(law, x, direction, pulses):
    """Position after that many pulses, one after the other, ending at 0 and 1."""
    for _ in range(pulses):
        x = min(max(x + slow_step(law, x, direction), 0.0), 1.0)
    return x


def position(cells):
    return (cells.conductance - CELL.conductance_min) / WINDOW


def one_pulse(law, start, direction, count, rng):
    """Changes of position by one pulse of many cells that start alike."""
    cells = PulsedCells(
        replace(CELL, pulses=law), (count,), rng, start=CELL.conductance_min + start * WINDOW
    )
    cells.pulse(direction, rng)
    return position(cells) - start


# Means and closed forms


@laws
@directions
def test_mean_change_follows_the_published_formula(law, direction):
    """The vectorised mean step is the formula of the source over the whole window."""
    x = np.linspace(0, 1, 11).reshape(1, 11)
    expected = [[slow_step(law, value, direction) for value in x[0]]]
    np.testing.assert_allclose(law.mean_change(x, direction), expected, rtol=1e-12, atol=1e-15)


@laws
@directions
def test_noiseless_population_walks_as_the_loop_does(law, direction):
    """37 pulses of a population without variation are 37 steps of the slow loop."""
    starts = np.array([0.05, 0.4, 0.97])
    rng = np.random.default_rng(0)
    cells = PulsedCells(
        replace(CELL, pulses=law), (3,), rng, start=CELL.conductance_min + starts * WINDOW
    )
    cells.pulse(direction, rng, count=37)
    expected = [slow_walk(law, x, direction, 37) for x in starts]
    np.testing.assert_allclose(position(cells), expected, rtol=1e-12, atol=1e-14)


@given(
    step=st.floats(1e-4, 2.0),
    reference=st.floats(0.05, 0.95),
    start=st.floats(0.0, 1.0),
    direction=st.sampled_from([+1, -1]),
    pulses=st.integers(0, 60),
)
def test_soft_bounds_trajectory_is_exact(step, reference, start, direction, pulses):
    """The closed form equals the loop for every step, also one that is longer than the way."""
    law = SoftBounds(step_up=step, step_down=step, reference=reference)
    got = law.trajectory(np.array([pulses]), start, direction)[0]
    assert got == pytest.approx(slow_walk(law, start, direction, pulses), abs=1e-10)


def test_soft_bounds_trajectory_is_the_saturating_exponential():
    """B(1 − exp(−αp)) + r_min with B = (r_max − r_min)/(1 − exp(−α p_max)) ends at r_max."""
    low, high, alpha, last = 12e-6, 40e-6, 0.013, 250
    total = (high - low) / (1 - math.exp(-alpha * last))
    p = np.arange(last + 1)
    expected = total * (1 - np.exp(-alpha * p)) + low
    bound, reference = low + total, 20e-6
    step = (1 - math.exp(-alpha)) * (bound - reference)
    got = trajectories.soft_bounds(p, low, step, bound, reference)
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    assert got[-1] == pytest.approx(high, rel=1e-12, abs=0)


@pytest.mark.parametrize(
    "law", [POWER, replace(POWER, exponent_up=1.0, exponent_down=2.5), EXPONENTIAL]
)
@directions
def test_small_step_trajectories_converge_to_the_loop(law, direction):
    """Steps ten times smaller and ten times more of them: the error falls ten times."""
    errors = []
    for refinement in (10, 100):
        fine = replace(law, step_up=law.step_up / refinement, step_down=law.step_down / refinement)
        pulses = 20 * refinement
        exact = slow_walk(fine, 0.3, direction, pulses)
        errors.append(abs(fine.trajectory(np.array([pulses]), 0.3, direction)[0] - exact))
    assert errors[0] < 2e-3
    assert errors[1] == pytest.approx(errors[0] / 10, rel=0.1)


def test_trajectories_hold_at_their_ends():
    """At a bound, beyond it and where the step vanishes the closed forms stay."""
    p = np.array([0.0, 1e3, 1e6])
    constant = PowerStep(step_up=0.01, step_down=0.01, exponent_up=0.0, exponent_down=0.0)
    np.testing.assert_allclose(constant.trajectory(p, 0.5, +1), [0.5, 1.0, 1.0])
    np.testing.assert_array_equal(POWER.trajectory(p, 1.0, +1), [1.0, 1.0, 1.0])
    np.testing.assert_allclose(Gong2018.EXPONENTIAL.trajectory(p, 1.0, -1)[[0, 2]], [1.0, 0.0])
    stuck = replace(EXPONENTIAL, amplitude_up=5.0)
    np.testing.assert_array_equal(stuck.trajectory(p, 0.9, +1), [0.9, 0.9, 0.9])
    flat = replace(EXPONENTIAL, slope=0.0)
    assert flat.trajectory(np.array([3.0]), 0.2, +1)[0] == pytest.approx(
        slow_walk(flat, 0.2, +1, 3)
    )
    runaway = replace(EXPONENTIAL, amplitude_up=-2.0)  # steps that grow on the way up
    np.testing.assert_allclose(runaway.trajectory(p, 0.1, +1), [0.1, 1.0, 1.0])


def test_symmetry_point_is_the_published_one():
    """w* = (a₊ − a₋)/(a₊/b_max − a₋/b_min) in the weight that is zero at the reference."""
    b_max, b_min = 1 - SOFT.reference, -SOFT.reference
    a_up, a_down = SOFT.step_up, SOFT.step_down
    w = (a_up - a_down) / (a_up / b_max - a_down / b_min)
    assert SOFT.symmetry_point == pytest.approx(SOFT.reference + w, rel=1e-12)
    there = np.array([SOFT.symmetry_point])
    assert SOFT.mean_change(there, +1) == pytest.approx(-SOFT.mean_change(there, -1), rel=1e-12)


def test_alternating_pulses_lead_to_the_symmetry_point():
    """A device that gets as many up as down pulses ends where its steps cancel."""
    law = SoftBounds(step_up=0.003, step_down=0.002, reference=0.3)
    rng = np.random.default_rng(0)
    cells = PulsedCells(replace(CELL, pulses=law), (1,), rng, start=45e-6)
    for _ in range(2000):
        cells.pulse(+1, rng)
        cells.pulse(-1, rng)
    assert position(cells)[0] == pytest.approx(law.symmetry_point, abs=0.003)


# Presets: the published numbers once more, in the weight w of their source


@pytest.mark.parametrize("direction", [+1, -1])
def test_gong2018_is_the_published_step(direction):
    """z = 2a w/(b_max − b_min) + b, y = 1 − A exp(d γ z), Δw = d y Δw_d with w from −1 to 1."""
    w = np.linspace(-1, 1, 9)
    z = 2 * -0.5 * w / 2 - 0.5
    factor, scale = (-1.18445, 0.00135) if direction > 0 else (-0.081404, 0.00135 * (1 - 0.259359))
    expected = direction * scale * (1 - factor * np.exp(direction * 5.0 * z))
    got = 2 * Gong2018.EXPONENTIAL.mean_change((w + 1) / 2, direction)
    np.testing.assert_allclose(got, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("law", "step", "low", "high", "write_noise"),
    [
        (Gong2018.SOFT_BOUNDS, 0.002, -0.75, 1.25, 56),
        (GongRasch2022.OPTIMIZED_MATERIAL, 0.0949, -1.0, 1.0, 1.4113),
        (GongRasch2022.BASELINE_HFO2, 0.4622, -1.0, 1.0, 0.5841),
    ],
)
def test_soft_bounds_presets_are_the_published_steps(law, step, low, high, write_noise):
    """Δw₊ = a(1 − w/b_max), Δw₋ = −a(1 − w/b_min); write noise in steps."""
    w = np.linspace(low, high, 9)
    x = (w - low) / (high - low)
    np.testing.assert_allclose(
        (high - low) * law.mean_change(x, +1), step * (1 - w / high), atol=1e-15
    )
    np.testing.assert_allclose(
        (high - low) * law.mean_change(x, -1), -step * (1 - w / low), atol=1e-15
    )
    assert law.write_noise * (high - low) == pytest.approx(write_noise * step, rel=1e-12)


# Cycle-to-cycle and device-to-device variation


@pytest.mark.parametrize("direction", [+1, -1])
def test_cycle_to_cycle_variation_has_its_moments(naive, direction):
    """σ² = (relative · mean)² + (additive · nominal step)², Gaussian; other mixtures fail."""
    law = replace(SOFT, cycle_to_cycle=0.25, cycle_to_cycle_additive=0.6)
    changes = one_pulse(law, 0.6, direction, 200_000, stream(1, "cycles", direction))
    mean = slow_step(law, 0.6, direction)
    nominal = law.step_up if direction > 0 else law.step_down
    std = math.hypot(0.25 * mean, 0.6 * nominal)
    naive.check_moments(changes[:, None], mean, std)
    for wrong in (0.25 * abs(mean) + 0.6 * nominal, 0.6 * mean, math.hypot(0.25, 0.6) * mean):
        with pytest.raises(AssertionError):
            naive.check_moments(changes[:, None], mean, abs(wrong))


def test_many_pulses_have_the_law_of_their_sum(naive):
    """Additive noise through soft bounds is autoregressive, Var = σ²(1 − q²ⁿ)/(1 − q²), not nσ²."""
    law = SoftBounds(step_up=0.02, step_down=0.02, cycle_to_cycle_additive=0.5)
    count, n, start = 100_000, 30, 0.3
    rng = stream(2, "many pulses")
    cells = PulsedCells(
        replace(CELL, pulses=law), (count,), rng, start=CELL.conductance_min + start * WINDOW
    )
    cells.pulse(+1, rng, count=n)
    q, sigma = 1 - 0.02 / 0.5, 0.5 * 0.02
    std = sigma * math.sqrt((1 - q ** (2 * n)) / (1 - q**2))
    mean = law.trajectory(np.array([n]), start, +1)[0]
    naive.check_moments(position(cells)[:, None], mean, std)
    with pytest.raises(AssertionError):
        naive.check_moments(position(cells)[:, None], mean, math.sqrt(n) * sigma)


def test_pulses_and_cells_vary_independently(naive):
    """Changes by successive pulses, and of neighbouring cells, do not correlate; shared ones do."""
    law = PowerStep(
        step_up=0.01, step_down=0.01, exponent_up=0, exponent_down=0, cycle_to_cycle=0.3
    )
    rng = stream(3, "independence")
    cells = PulsedCells(
        replace(CELL, pulses=law), (20_000, 3), rng, start=CELL.conductance_min + 0.4 * WINDOW
    )
    seen = [position(cells)]
    for _ in range(3):
        cells.pulse(+1, rng)
        seen.append(position(cells))
    changes = np.diff(seen, axis=0)  # (pulse, cell, column)
    naive.check_independent(np.moveaxis(changes, 0, 1).reshape(20_000, -1))
    shared = changes[0] + 0.1 * changes[0][:, :1]
    with pytest.raises(AssertionError):
        naive.check_independent(shared)


def test_one_call_and_many_have_the_same_distribution(naive):
    """count = 8 is eight calls, also where pulses end at a bound."""
    law = replace(SOFT, cycle_to_cycle_additive=3.0)
    runs = []
    for name, calls, count in (("one", 1, 8), ("many", 8, 1), ("wrong", 7, 1)):
        rng = stream(4, name)
        cells = PulsedCells(replace(CELL, pulses=law), (20_000,), rng)
        for _ in range(calls):
            cells.pulse(+1, rng, count=count)
        assert cells.limited.sum() > 0
        runs.append(cells.conductance[:, None])
    naive.check_same_distribution(runs[0], runs[1])
    with pytest.raises(AssertionError):
        naive.check_same_distribution(runs[0], runs[2])


def test_devices_differ_by_the_stated_laws(naive):
    """Logarithms of steps, asymmetry and bounds have their moments; normal steps fail."""
    law = replace(
        SOFT,
        step_spread=0.7,
        asymmetry_spread=0.2,
        lower_bound_spread=0.1,
        upper_bound_spread=0.35,
    )
    count = 100_000
    made = law.fabricate(CELL, count, stream(5, "devices"))
    up, down = np.log(made.step_up / WINDOW), np.log(made.step_down / WINDOW)
    reference = CELL.conductance_min + 0.4 * WINDOW
    below, above = reference - made.lower, made.upper - reference
    logs = {
        "gain": ((up + down) / 2, math.log(0.03 * 0.02) / 2, 0.7),
        "asymmetry": ((up - down) / 2, math.log(0.03 / 0.02) / 2, 0.2),
    }
    for name, distance, mean, spread in (
        ("upper", above, 0.6 * WINDOW, 0.35),
        ("lower", below, 0.4 * WINDOW, 0.1),
    ):
        variance = math.log1p(spread**2)
        logs[name] = (np.log(distance), math.log(mean) - variance / 2, math.sqrt(variance))
        error = spread * mean / math.sqrt(count)
        assert abs(distance.mean() - mean) < stats.norm.isf(ALARM / 2) * error
    for samples, mean, std in logs.values():
        naive.check_moments(samples[:, None], mean, std)
    naive.check_independent(np.stack([samples for samples, _, _ in logs.values()], axis=1))
    normal = np.abs(1 + 0.7 * stream(6, "normal").standard_normal(count))
    with pytest.raises(AssertionError):
        naive.check_moments(np.log(normal)[:, None], 0.0, 0.7)


def test_bounds_end_at_floor_and_ceiling():
    """No device conducts less than the floor or more than the ceiling of its cell."""
    cell = replace(CELL, conductance_floor=2e-6, conductance_ceiling=60e-6)
    law = replace(SOFT, lower_bound_spread=2.0, upper_bound_spread=2.0)
    made = law.fabricate(cell, 1000, np.random.default_rng(0))
    assert made.lower.min() == 2e-6
    assert made.upper.max() == 60e-6
    assert np.all(made.lower < made.upper)


# Cards and refusals


@pytest.mark.parametrize(
    "law",
    [
        *LAWS,
        replace(SOFT, drives=(Drive(amplitude=1.2, threshold=0.8, scale=0.1, width=1e-7),) * 2),
    ],
)
def test_laws_survive_json(law):
    """A law is told apart by its kind and comes back equal."""
    adapter = TypeAdapter(PulseModel)
    assert adapter.validate_json(adapter.dump_json(law)) == law


def test_bad_laws_are_refused():
    """Numbers outside their range, unknown directions, positions that are conductances."""
    bad = {
        "step_up": lambda: replace(SOFT, step_up=0.0),
        "reference": lambda: replace(SOFT, reference=1.0),
        "write_noise": lambda: replace(SOFT, write_noise=math.nan),
        "exponent_up": lambda: replace(POWER, exponent_up=-1.0),
        "threshold": lambda: Drive(amplitude=0.8, threshold=0.8, scale=0.1, width=1e-7),
    }
    for words, build in bad.items():
        with pytest.raises(ValidationError, match=words):
            build()
    with pytest.raises(InputError, match="direction=2"):
        SOFT.mean_change(np.array([0.5]), 2)
    with pytest.raises(InputError, match="fraction of the conductance window"):
        SOFT.trajectory(np.array([1]), 20e-6 * 1e6, +1)
