"""Populations of pulsed cells: who is pulsed, what it costs, what reads see.

Statistical tests use the checks of ``naive.py`` (false-alarm rate at most 1e-4 per check, fixed
seeds), and each is shown to fail on a wrong sampler.
"""

import math
from dataclasses import replace

import numpy as np
import pytest

from zerohm import InputError, devices
from zerohm._random import stream
from zerohm.devices.pulses import Drive, PulsedCells, SoftBounds

CELL = devices.Cell(name="test", conductance_min=10e-6, conductance_max=50e-6)
WINDOW = CELL.window
PLAIN = SoftBounds(step_up=0.03, step_down=0.02)
UP = Drive(amplitude=1.2, threshold=0.8, scale=0.1, width=100e-9, width_exponent=0.94)
DOWN = Drive(amplitude=1.4, threshold=0.9, scale=0.08, width=200e-9)
DRIVEN = replace(PLAIN, drives=(UP, DOWN), cycle_to_cycle=0.3)


def population(law, shape, seed=0, **options):
    return PulsedCells(replace(CELL, pulses=law), shape, np.random.default_rng(seed), **options)


def about(value, rel=1e-12):
    return pytest.approx(value, rel=rel, abs=0.0)


def test_only_selected_cells_are_pulsed():
    """Neither the mask nor direction 0 moves, counts or charges a cell."""
    cells = population(PLAIN, (2, 3), start=30e-6)
    direction = np.array([[1, -1, 0], [1, -1, 0]])
    cells.pulse(direction, np.random.default_rng(1), count=2, where=[[True], [False]])
    moved = np.sign(cells.conductance - 30e-6)
    np.testing.assert_array_equal(moved, [[1, -1, 0], [0, 0, 0]])
    np.testing.assert_array_equal(cells.pulses, [[2, 2, 0], [0, 0, 0]])
    np.testing.assert_array_equal(cells.energy > 0, cells.pulses > 0)
    np.testing.assert_array_equal(cells.time > 0, cells.pulses > 0)


def test_cost_without_voltages_is_that_of_the_cell():
    """Energy and time are pulses times the cell's assumed pulse, to the last bit of the sum."""
    cost = devices.ProgrammingCost(pulse_energy=3e-12, pulse_duration=50e-9)
    cell = replace(CELL, programming=cost, pulses=PLAIN)
    rng = np.random.default_rng(0)
    cells = PulsedCells(cell, (4,), rng)
    cells.pulse(+1, rng, count=7)
    cells.pulse(-1, rng, where=[True, False, False, True])
    np.testing.assert_array_equal(cells.pulses, [8, 7, 7, 8])
    np.testing.assert_allclose(cells.energy, 3e-12 * cells.pulses, rtol=1e-12)
    np.testing.assert_allclose(cells.time, 50e-9 * cells.pulses, rtol=1e-12)


def test_voltage_and_width_scale_the_step_and_its_cost():
    """Step f(V, t) times the nominal one; V² t G before each pulse, one pulse after the other."""
    law = replace(PLAIN, drives=(UP, DOWN))
    cells = population(law, (2,), start=30e-6)
    direction, volts, width = np.array([1, -1]), np.array([1.25, 1.3]), 150e-9
    cells.pulse(direction, np.random.default_rng(0), count=5, amplitude=volts, width=width)
    for k, (drive, bound, step) in enumerate(((UP, 50e-6, 0.03), (DOWN, 10e-6, 0.02))):
        factor = (math.exp((volts[k] - drive.threshold) / drive.scale) - 1) / (
            math.exp((drive.amplitude - drive.threshold) / drive.scale) - 1
        )
        factor *= (width / drive.width) ** drive.width_exponent
        conductance, energy = 30e-6, 0.0
        for _ in range(5):
            energy += volts[k] ** 2 * width * conductance
            conductance += factor * step * (bound - conductance) / 0.5
        assert cells.conductance[k] == about(conductance)
        assert cells.energy[k] == about(energy)
        assert cells.time[k] == about(5 * width)


def test_nominal_and_small_pulses():
    """The nominal amplitude is the default; below the threshold nothing moves but energy flows."""
    law = replace(PLAIN, drives=(UP, DOWN))
    runs = []
    for options in ({}, {"amplitude": [1.2, 1.4]}, {"amplitude": [0.8, 0.9]}):
        cells = population(law, (2,), start=30e-6)
        cells.pulse(np.array([1, -1]), np.random.default_rng(0), **options)
        runs.append(cells)
    np.testing.assert_array_equal(runs[0].conductance, runs[1].conductance)
    np.testing.assert_array_equal(runs[2].conductance, [30e-6, 30e-6])
    assert np.all(runs[2].energy > 0)
    np.testing.assert_allclose(runs[0].time, [100e-9, 200e-9])


def test_write_noise_is_written_and_stays(naive):
    """Gaussian around the hidden state, the same in all reads, new with every write."""
    law = replace(PLAIN, write_noise=0.02)
    rng = stream(1, "write noise")
    cells = PulsedCells(replace(CELL, pulses=law), (100_000,), rng, start=30e-6)
    first = cells.conductance
    np.testing.assert_array_equal(first, cells.conductance)
    cells.pulse(+1, rng)
    after = cells.conductance
    hidden = 30e-6 + 0.03 * WINDOW
    std = 0.02 * WINDOW
    naive.check_moments(np.stack([first - 30e-6, after - hidden], axis=1), 0.0, std)
    naive.check_independent(np.stack([first, after], axis=1))
    with pytest.raises(AssertionError):  # noise that pulses carry along
        naive.check_independent(np.stack([first, after + 0.1 * first], axis=1))
    with pytest.raises(AssertionError):  # noise that adds up
        naive.check_moments((first + after)[:, None] - hidden - 30e-6, 0.0, std)


def test_noise_shows_no_negative_conductance():
    """What is seen ends at the floor of the cell."""
    cell = replace(CELL, conductance_min=1e-6, pulses=replace(PLAIN, write_noise=0.2))
    cells = PulsedCells(cell, (1000,), np.random.default_rng(0))
    assert cells.conductance.min() == 0.0


def test_stuck_cells_take_pulses_and_stay():
    """Stuck cells keep their conductance, without write noise; their pulses cost as all others."""
    faults = devices.Faults(low=devices.StuckState(probability=0.3, conductance=20e-6))
    law = replace(PLAIN, drives=(UP, DOWN), write_noise=0.05)
    cell = replace(CELL, pulses=law, faults=faults)
    rng = np.random.default_rng(0)
    cells = PulsedCells(cell, (1000,), rng, start=30e-6)
    cells.pulse(+1, rng, count=3)
    stuck = cells.lower == cells.upper
    assert 0.2 < stuck.mean() < 0.4
    np.testing.assert_array_equal(cells.conductance[stuck], 20e-6)
    assert np.all(cells.conductance[~stuck] != 20e-6)
    np.testing.assert_array_equal(cells.pulses, 3)
    np.testing.assert_allclose(cells.energy[stuck], 3 * 1.2**2 * 100e-9 * 20e-6, rtol=1e-12)
    assert np.all(cells.energy[~stuck] > cells.energy[stuck][0])
    np.testing.assert_allclose(cells.time, 300e-9, rtol=1e-12)


def test_results_do_not_depend_on_how_draws_are_blocked():
    """A large population in one call equals the same generator used pulse by pulse."""
    law = replace(PLAIN, cycle_to_cycle=0.5)
    whole, single = population(law, (50_000,)), population(law, (50_000,))
    one, other = np.random.default_rng(3), np.random.default_rng(3)
    whole.pulse(+1, one, count=5)
    for _ in range(5):
        single.pulse(+1, other)
    np.testing.assert_array_equal(whole.conductance, single.conductance)


def test_interpreted_and_compiled_kernels_agree(outputs_with_and_without_compiler):
    """Soft bounds and tables give the same bits with numba's compiler on and off."""
    script = """
import numpy as np
from zerohm import devices
from zerohm.devices.pulses import PulsedCells, SoftBounds, TablePulses
soft = SoftBounds(step_up=0.03, step_down=0.02, cycle_to_cycle=0.3, step_spread=0.5)
table = TablePulses.from_quantiles(conductance=[0, 3e-5, 6e-5], probabilities=[0.1, 0.4, 0.9],
    increase=[[1e-6] * 3, [2e-6] * 3, [4e-6] * 3], decrease=[[-4e-6] * 3, [-2e-6] * 3, [0.0] * 3])
for law in (soft, table):
    cell = devices.Cell(name="test", conductance_min=1e-5, conductance_max=5e-5, pulses=law)
    rng = np.random.default_rng(0)
    cells = PulsedCells(cell, (50,), rng)
    cells.pulse(+1, rng, count=20)
    cells.pulse(-1, rng, count=5)
    print(cells.conductance.tobytes().hex(), cells.energy.tobytes().hex(), cells.limited.sum())
"""
    assert len(outputs_with_and_without_compiler(script)) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"direction": 2}, "direction must be"),
        ({"direction": np.ones(3)}, "direction has shape"),
        ({"direction": 1, "count": -1}, "count=-1"),
        ({"direction": 1, "amplitude": 1.0}, "identical pulses"),
        ({"direction": 1, "where": [True] * 3}, "where has shape"),
    ],
)
def test_bad_pulses_are_refused(options, words):
    """Directions that are none, shapes that do not fit, voltages the law knows nothing of."""
    with pytest.raises(InputError, match=words):
        population(PLAIN, (2,)).pulse(rng=np.random.default_rng(0), **options)


def test_bad_populations_are_refused():
    """No pulses, no cells, starts outside the bounds, amplitudes and widths without a value."""
    with pytest.raises(InputError, match="says nothing of single pulses"):
        population(None, (2,))
    with pytest.raises(InputError, match="no cells"):
        population(PLAIN, (0, 3))
    for start in (9e-6, math.nan):
        with pytest.raises(InputError, match="2 of 2 cells would begin outside"):
            population(PLAIN, (2,), start=start)
    for options in ({"amplitude": 0.0}, {"amplitude": -1.0}, {"width": 0.0}):
        with pytest.raises(InputError, match="must be positive"):
            population(DRIVEN, (2,)).pulse(+1, np.random.default_rng(0), **options)
