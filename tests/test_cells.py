"""Populations of cells in time: what programming fixes, what time moves, what a rewrite restarts.

The laws of the single parts have tests of their own; here they work together. Statistical tests
use the checks of ``naive.py`` (false-alarm rate at most 1e-4 per check, fixed seeds).
"""

from dataclasses import replace

import numpy as np
import pytest

from zerohm import InputError, devices

CELL = devices.Cell(
    name="parts",
    conductance_min=1e-6,
    conductance_max=100e-6,
    write_noise=devices.ConstantNoise(sigma=0.5e-6),
)
PARTS = {
    "relaxation": devices.Relaxation(
        variance_per_decade=4e-12, onset_s=1e-3, tail_decades=0.5, volatility_spread=0.4
    ),
    "drift": devices.PowerLawDrift(exponent_mean=0.05, exponent_std=0.01, onset_s=20.0),
    "flicker_noise": devices.FlickerNoise(
        amplitude=1e-4, frequency_min=1e-3, frequency_max=1e3, amplitude_spread=0.3
    ),
    "telegraph_noise": devices.TelegraphNoise(
        amplitude=0.05, capture_time_s=0.3, emission_time_s=0.1, sites=2, trap_probability=0.5
    ),
}
ALIVE = replace(CELL, **PARTS)
each_part = pytest.mark.parametrize("name", PARTS)
precision = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def rng(seed=0):
    return np.random.Generator(np.random.Philox(seed))


def written(cell, targets, seed=1, copies=1):
    shape = targets.shape if copies == 1 else (copies, *targets.shape)
    cells = devices.Cells(cell, shape)
    cells.program(targets, rng(seed))
    return cells


def trajectory(cell, targets, steps, seed=1):
    """Conductances (1 + steps, cells) at programming and after every step."""
    cells, generator = written(cell, targets, seed), rng(seed + 1000)
    seen = [cells.conductance]
    for seconds in steps:
        cells.advance(seconds, generator)
        seen.append(cells.conductance)
    return np.stack(seen)


# --------------------------------------------------------------------------------------------
# Programming


@precision
def test_right_after_programming_a_cell_has_what_was_written(dtype):
    """The fluctuations of that moment are part of what verify saw: they add nothing."""
    targets = np.linspace(5e-6, 95e-6, 600, dtype=dtype).reshape(20, 30)
    cells = devices.Cells(ALIVE, (20, 30))
    assert np.allclose(cells.program(targets, rng()), cells.conductance, rtol=1e-6, atol=0)
    assert cells.conductance.dtype == dtype


def test_cells_without_parts_are_what_the_cell_model_programs():
    """Without parts a population is one programming event, and time changes nothing."""
    targets = np.full((50, 40), 30e-6)
    cells = written(CELL, targets, seed=3)
    before = cells.conductance
    assert np.array_equal(before, CELL.program(targets, rng(3)))
    cells.advance(1e9, rng())
    assert np.array_equal(cells.conductance, before)


def test_copies_share_targets_only():
    """Copies of a population are written and fluctuate independently."""
    cells = written(ALIVE, np.full(4000, 50e-6), copies=2)
    cells.advance(1.0, rng(5))
    one, other = cells.conductance
    assert abs(np.corrcoef(one, other)[0, 1]) < 4 / np.sqrt(4000)


@each_part
def test_every_part_moves_the_cells(name):
    """A cell with one part changes with time, and not when no time passes."""
    cells = written(replace(CELL, **{name: PARTS[name]}), np.full(200, 50e-6))
    before = cells.conductance
    cells.advance(0.0, rng())
    assert np.array_equal(cells.conductance, before)
    cells.advance(100.0, rng())
    assert np.count_nonzero(cells.conductance != before) > 50


# --------------------------------------------------------------------------------------------
# Time


def structure_function(cell, lag, steps):
    """Mean and its error of [G(t0 + lag) − G(t0)]² with the lag cut into these steps."""
    seen = trajectory(cell, np.full(40_000, 50e-6), (0.7, *(lag * np.asarray(steps))), seed=7)
    square = (seen[-1] - seen[1]) ** 2
    return square.mean(), square.std() / np.sqrt(square.size)


@pytest.mark.parametrize("lag", [1e-3, 0.05, 1.0, 30.0])
@pytest.mark.parametrize("steps", [(1.0,), (0.1, 0.6, 0.3)], ids=["one step", "three steps"])
@pytest.mark.parametrize("name", ["flicker_noise", "telegraph_noise"])
def test_two_reads_correlate_as_the_spectrum_says(name, lag, steps):
    """E[(G(t + τ) − G(t))²] = 2 [R(0) − R(τ)] for any steps: 4.5 standard errors, 1e-5 each."""
    noise = PARTS[name]
    cell = replace(CELL, write_noise=devices.ConstantNoise(sigma=0.0), **{name: noise})
    expected = 2 * (noise.autocovariance(0.0, 50e-6) - noise.autocovariance(lag, 50e-6))
    found, error = structure_function(cell, lag, steps)
    assert abs(found - expected) < 4.5 * error
    # The check can fail: a wrong lag is seen wherever the spectrum has not run out.
    if expected > 0.01 * noise.autocovariance(0.0, 50e-6) and lag < 1.0:
        wrong = 2 * (noise.autocovariance(0.0, 50e-6) - noise.autocovariance(2 * lag, 50e-6))
        assert abs(found - wrong) > 4.5 * error


def test_parts_add_their_variances():
    """Independent parts: the variance of the deviation is the sum of what each part makes."""
    targets = np.full(60_000, 50e-6)
    quiet = replace(CELL, write_noise=devices.ConstantNoise(sigma=0.0))
    names = ("relaxation", "flicker_noise", "telegraph_noise")

    def variance(*chosen):
        cell = replace(quiet, **{name: PARTS[name] for name in chosen})
        deviation = trajectory(cell, targets, (10.0,), seed=len(chosen))[-1] - 50e-6
        return deviation.var(), ((deviation - deviation.mean()) ** 2).std() / np.sqrt(targets.size)

    together, error = variance(*names)
    parts = [variance(name) for name in names]
    errors = np.sqrt(error**2 + sum(e**2 for _, e in parts))
    assert abs(together - sum(v for v, _ in parts)) < 4.5 * errors
    assert together - parts[0][0] > 4.5 * errors  # one part alone would be noticed


def test_the_number_of_steps_does_not_matter(naive):
    """All parts together: two hours in one step or in many have the same distribution."""
    targets = np.full(20_000, 20e-6)
    once = trajectory(ALIVE, targets, (7200.0,), seed=11)[-1]
    often = trajectory(ALIVE, targets, (1e-3, 0.5, 60.0, 7139.499), seed=12)[-1]
    naive.check_same_distribution(once[:, None], often[:, None])
    later = trajectory(ALIVE, targets, (1e-3, 0.5, 60.0, 5e6), seed=12)[-1]
    with pytest.raises(AssertionError, match="differs in distribution"):
        naive.check_same_distribution(once[:, None], later[:, None])


def test_heat_makes_cells_age_faster():
    """An activated relaxation at 400 K does in a second what it does in an acceleration factor."""
    part = devices.Relaxation(variance_per_decade=4e-12, onset_s=1e-3, activation_energy_eV=0.5)
    cell = replace(CELL, write_noise=devices.ConstantNoise(sigma=0.0), relaxation=part)
    cells = written(cell, np.full(40_000, 50e-6))
    cells.advance(1.0, rng(2), temperature=400.0)
    expected = part.variance(devices.acceleration(0.5, 400.0), np.array(50e-6))
    assert cells.conductance.var() == pytest.approx(float(expected), rel=4.5 * np.sqrt(2 / 40_000))


def test_what_lies_below_the_floor_comes_back():
    """A cell at its floor is not stuck there: the fluctuation below goes on and is counted."""
    noise = devices.TelegraphNoise(amplitude=1.0, capture_time_s=1.0, emission_time_s=1.0)
    cell = replace(CELL, write_noise=devices.ConstantNoise(sigma=0.0), telegraph_noise=noise)
    cells, generator = written(cell, np.full(1000, 2e-6)), rng(4)
    at_floor = []
    for _ in range(6):
        cells.advance(1.0, generator)
        at_floor.append(cells.conductance <= 0.0)
        assert cells.conductance.min() >= 0.0
    left = np.count_nonzero(at_floor[0] & ~at_floor[-1])
    assert left > 50
    sinking = replace(cell, telegraph_noise=None, relaxation=PARTS["relaxation"])
    sunk = written(sinking, np.full(1000, 2e-6))
    sunk.advance(1e6, generator)
    assert sunk.floored == np.count_nonzero(sunk.conductance == 0.0) > 100


# --------------------------------------------------------------------------------------------
# Writing some cells again


@pytest.mark.parametrize("copies", [1, 3])
def test_a_rewrite_restarts_the_chosen_cells_only(copies):
    """Chosen cells are at their new target and as old as if just programmed, the rest go on."""
    targets = np.full((30, 40), 50e-6)
    cells, generator = written(ALIVE, targets, copies=copies), rng(6)
    cells.advance(1000.0, generator)
    before = cells.conductance
    where = np.zeros((30, 40), dtype=bool)
    where[::2, 5:20] = True
    new = cells.program(np.full((30, 40), 20e-6), generator, where=where)
    after = cells.conductance
    assert np.allclose(after[..., ~where], before[..., ~where], rtol=1e-12, atol=0)
    assert np.allclose(after[..., where], new, rtol=1e-12, atol=0)
    cells.advance(1e-9, generator)
    moved = np.abs(cells.conductance - after)
    assert moved.max() < 1e-7  # a nanosecond; after 1000 s it would be microsiemens


def test_rewritten_cells_fluctuate_like_fresh_ones(naive):
    """The deviation of rewritten cells has the distribution of cells programmed once."""
    targets, where = np.full(20_000, 50e-6), np.arange(20_000) % 2 == 0
    cells, generator = written(ALIVE, targets, seed=20), rng(21)
    cells.advance(1e5, generator)
    cells.program(targets, generator, where=where)
    cells.advance(3.0, generator)
    fresh = trajectory(ALIVE, targets, (3.0,), seed=22)[-1]
    naive.check_same_distribution(cells.conductance[where][:, None], fresh[:, None])
    with pytest.raises(AssertionError, match="differs in distribution"):
        naive.check_same_distribution(cells.conductance[~where][:, None], fresh[:, None])


def test_what_was_handed_out_does_not_change():
    """Conductances taken earlier stay as they were."""
    cells, generator = written(ALIVE, np.full(10, 50e-6)), rng()
    first, kept = cells.conductance, cells.conductance.copy()
    cells.advance(10.0, generator)
    cells.program(np.full(10, 20e-6), generator, where=np.arange(10) < 5)
    assert np.array_equal(first, kept)


# --------------------------------------------------------------------------------------------
# Refusals


@pytest.mark.parametrize("seconds", [-1.0, np.nan, np.inf])
def test_time_that_cannot_pass_is_refused(seconds):
    """Negative, infinite and undefined steps are named."""
    with pytest.raises(InputError, match="seconds="):
        written(ALIVE, np.full(3, 50e-6)).advance(seconds, rng())


@pytest.mark.parametrize("temperature", [-5.0, 0.0, np.nan])
def test_impossible_temperatures_are_refused(temperature):
    """By name, also where no part of the cell depends on temperature."""
    with pytest.raises(InputError, match="temperature="):
        written(CELL, np.full(3, 50e-6)).advance(1.0, rng(), temperature=temperature)


@pytest.mark.parametrize("shape", [(), (5,), (3, 2), (1, 2, 3)])
def test_targets_of_another_shape_are_refused(shape):
    """Targets are those of all cells or of one copy of them, nothing that happens to work."""
    with pytest.raises(InputError, match="targets have shape"):
        devices.Cells(CELL, (2, 3)).program(np.full(shape, 50e-6), rng())


@pytest.mark.parametrize("where", [np.ones(2, dtype=bool), np.ones((2, 3))])
def test_selections_that_do_not_fit_the_targets_are_refused(where):
    """Cells are selected by booleans, one per target."""
    cells = written(CELL, np.full((2, 3), 50e-6))
    with pytest.raises(InputError, match="where has shape"):
        cells.program(np.full((2, 3), 50e-6), rng(), where=where)


@pytest.mark.parametrize("shape", [(0, 3), (-1, 3), (3, 0)])
def test_a_population_has_cells(shape):
    """None along some axis is refused at once."""
    with pytest.raises(InputError, match="shape="):
        devices.Cells(CELL, shape)


def test_a_single_copy_keeps_its_axis():
    """Shared targets of one copy: what is programmed has the shape of the population."""
    cells = devices.Cells(ALIVE, (1, 3))
    assert cells.program(np.full(3, 50e-6), rng()).shape == cells.conductance.shape == (1, 3)
    cells.program(np.full(3, 20e-6), rng(), where=np.array([True, False, False]))
    cells.advance(1.0, rng())
    assert cells.conductance.shape == (1, 3)


def test_cells_must_be_programmed_first():
    """Neither time nor a rewrite nor a look before the first programming event."""
    cells = devices.Cells(ALIVE, (4,))
    with pytest.raises(InputError, match="not been programmed"):
        _ = cells.conductance
    with pytest.raises(InputError, match="not been programmed"):
        cells.advance(1.0, rng())
    with pytest.raises(InputError, match="program all cells"):
        cells.program(np.full(4, 50e-6), rng(), where=np.arange(4) < 2)


# --------------------------------------------------------------------------------------------
# Cells that cannot be programmed


FAULTY = replace(
    ALIVE,
    faults=devices.Faults(
        low=devices.StuckState(probability=0.1, conductance=0.5e-6),
        high=devices.StuckState(probability=0.2, conductance=120e-6),
    ),
)


def test_stuck_cells_keep_their_value():
    """Neither writing nor time moves them; their share is the stated one (5 standard errors)."""
    cells, generator = devices.Cells(FAULTY, (200, 200), rng(1)), rng(2)
    cells.program(np.full((200, 200), 50e-6), generator)
    low, high = cells.conductance == 0.5e-6, cells.conductance == 120e-6
    for share, stuck in ((0.1, low), (0.2, high)):
        assert abs(stuck.mean() - share) < 5 * np.sqrt(share * (1 - share) / stuck.size)
    cells.advance(1e5, generator)
    cells.program(np.full((200, 200), 20e-6), generator, where=np.ones((200, 200), dtype=bool))
    assert np.all(cells.conductance[low] == 0.5e-6)
    assert np.all(cells.conductance[high] == 120e-6)
    assert not np.any(cells.conductance[~(low | high)] == 50e-6)


def test_the_same_fabrication_has_the_same_stuck_cells():
    """Fabrication is a function of its generator; writing does not touch it."""
    stuck = []
    for seed in (1, 1, 2):
        cells = devices.Cells(FAULTY, (50, 50), rng(seed))
        cells.program(np.full((50, 50), 50e-6), rng(9))
        stuck.append(cells.conductance == 120e-6)
    assert np.array_equal(stuck[0], stuck[1])
    assert not np.array_equal(stuck[0], stuck[2])


def test_cells_fail_when_their_lifetime_is_over():
    """After n events a fraction 1 − exp(−(n/n₀)^k) is stuck, only among those written."""
    endurance = devices.Endurance(
        characteristic_cycles=20.0,
        weibull_shape=2.0,
        outcome=devices.Faults(high=devices.StuckState(probability=1.0, conductance=150e-6)),
    )
    cell = replace(CELL, endurance=endurance)
    cells, generator = devices.Cells(cell, (200, 100), rng(3)), rng(4)
    targets, where = np.full((200, 100), 50e-6), np.zeros((200, 100), dtype=bool)
    where[:100] = True
    cells.program(targets, generator)
    for _ in range(14):
        cells.program(targets, generator, where=where)
    for chosen, events in ((where, 15), (~where, 1)):
        failed = np.mean(cells.conductance[chosen] == 150e-6)
        expected = 1 - np.exp(-((events / 20.0) ** 2))
        assert abs(failed - expected) < 5 * np.sqrt(expected * (1 - expected) / 10_000)


WEARING = devices.Endurance(
    characteristic_cycles=1e9,
    weibull_shape=1.0,
    outcome=devices.Faults(low=devices.StuckState(probability=1.0, conductance=1e-6)),
    closing=devices.WindowClosing(onset_cycles=2.0, low_exponent=1.0),
)


def test_a_worn_window_narrows_what_can_be_written():
    """Targets outside what wear has left end at its edge, and are counted."""
    cell = replace(CELL, write_noise=devices.ConstantNoise(sigma=0.0), endurance=WEARING)
    cells, generator = devices.Cells(cell, (100,), rng(3)), rng(4)
    targets = np.where(np.arange(100) < 30, 1.5e-6, 50e-6)
    for _ in range(4):
        cells.program(targets, generator)
    assert np.allclose(cells.conductance, np.where(np.arange(100) < 30, 2e-6, 50e-6))
    assert cells.clipped == 30


def test_a_window_that_can_close_leaves_write_noise_alone(naive):
    """Wear moves the targets: around the edge, cells scatter as without it, new or worn."""
    cell = replace(CELL, write_noise=devices.ConstantNoise(sigma=0.2e-6), endurance=WEARING)
    cells, generator = devices.Cells(cell, (20_000,), rng(3)), rng(4)
    targets = np.full(20_000, 1e-6)
    new = cells.program(targets, generator)
    naive.check_moments(new[:, None], 1e-6, 0.2e-6)
    assert cells.clipped == 0
    for _ in range(3):
        worn = cells.program(targets, generator)
    naive.check_moments(worn[:, None], 2e-6, 0.2e-6)
    assert cells.clipped == targets.size
    with pytest.raises(AssertionError):
        naive.check_moments(np.maximum(worn, 2e-6)[:, None], 2e-6, 0.2e-6)


def test_a_window_from_zero_cannot_close():
    """Power laws need a lower edge above zero: the cell says so, not its first programming."""
    with pytest.raises(ValueError, match="cannot close"):
        replace(CELL, conductance_min=0.0, endurance=WEARING)


def test_stuck_cells_do_not_fluctuate_below_the_floor():
    """Only cells that move are counted there."""
    stuck = devices.Faults(high=devices.StuckState(probability=0.5, conductance=50e-6))
    relaxing = replace(CELL, relaxation=PARTS["relaxation"], faults=stuck)
    cells, generator = devices.Cells(relaxing, (1000,), rng(1)), rng(2)
    cells.program(np.full(1000, 1e-6), generator)
    cells.advance(1e6, generator)
    assert cells.floored == np.count_nonzero(cells.conductance == 0.0) > 100


def test_fabrication_needs_a_generator():
    """What is left to chance in fabrication has no hidden seed."""
    with pytest.raises(InputError, match="needs rng"):
        devices.Cells(FAULTY, (2, 2))
