"""Crossbars and layers whose cells live in time, and the electronic noise of their currents.

Statistical tests use the checks of ``naive.py`` (false-alarm rate at most 1e-4 per check, fixed
seeds).
"""

from dataclasses import replace

import numpy as np
import pytest
from scipy.constants import Boltzmann, elementary_charge

from zerohm import InputError, devices, mapping
from zerohm.crossbar import Crossbar

QUIET = devices.Cell(name="quiet", conductance_min=1e-6, conductance_max=100e-6)
FLICKER = devices.FlickerNoise(amplitude=1e-3, frequency_min=1e-2, frequency_max=1e5)
FLUCTUATING = replace(QUIET, flicker_noise=FLICKER)
RELAXING = replace(QUIET, relaxation=devices.Relaxation(variance_per_decade=4e-12, onset_s=1e-3))
READS = 20_000


def rng(seed=0):
    return np.random.Generator(np.random.Philox(seed))


def array(cell, rows=6, cols=4, *, copies=1, **options):
    made = Crossbar(cell, shape=(rows, cols), seed=1, **options)
    made.program(np.linspace(10e-6, 90e-6, rows * cols).reshape(rows, cols), copies=copies)
    return made


# --------------------------------------------------------------------------------------------
# Time


def test_reads_do_not_let_time_pass():
    """Without white noise two reads are the same until the array advances."""
    crossbar = array(FLUCTUATING)
    volts = np.full(6, 0.2)
    first = crossbar.read(volts)
    assert np.array_equal(crossbar.read(volts), first)
    crossbar.advance(1.0)
    assert not np.array_equal(crossbar.read(volts), first)
    assert crossbar.age_s == 1.0


@pytest.mark.parametrize("wire_resistance", [0.0, 50.0])
@pytest.mark.parametrize("differential", [False, True], ids=["single", "differential"])
def test_a_read_sees_the_cells_as_they_are_now(wire_resistance, differential):
    """After time has passed, currents are those of a fresh array with the present conductances."""
    options = {"wire_resistance": wire_resistance, "differential": differential}
    crossbar = array(FLUCTUATING, **options)
    crossbar.advance(10.0)
    wider = replace(QUIET, conductance_max=200e-6)
    fresh = Crossbar(wider, shape=(6, 4), seed=1, **options)
    fresh.program(crossbar.conductance)
    volts = np.linspace(0.01, 0.2, 18).reshape(3, 6)
    assert np.allclose(crossbar.read(volts), fresh.read(volts), rtol=1e-12, atol=0)
    assert np.allclose(crossbar.read_cells(), fresh.read_cells(), rtol=1e-12, atol=0)


def test_currents_of_successive_reads_correlate_as_the_cells_do():
    """Many arrays, one bit line: the correlation of two reads is that of the 1/f spectrum."""
    crossbar = Crossbar(FLUCTUATING, shape=(4, 1), seed=1)
    crossbar.program(np.full((4, 1), 50e-6), copies=40_000)
    volts, lag = np.full(4, 0.1), 0.02
    crossbar.advance(1.0)  # away from what verify pinned
    first = crossbar.read(volts)[:, 0]
    crossbar.advance(lag / 4)
    crossbar.advance(3 * lag / 4)
    change = (crossbar.read(volts)[:, 0] - first) ** 2
    covariances = [float(FLICKER.autocovariance(t, 50e-6)) for t in (0.0, lag)]
    expected = 2 * 4 * 0.1**2 * (covariances[0] - covariances[1])
    error = change.std() / np.sqrt(change.size)
    assert abs(change.mean() - expected) < 4 * error
    assert abs(change.mean() - 2 * 4 * 0.1**2 * covariances[0]) > 4 * error  # as white noise would


def test_rewritten_cells_start_anew_and_the_rest_go_on():
    """A rewrite of some cells of an array with copies leaves all others where they are."""
    crossbar = array(RELAXING, copies=2)
    crossbar.advance(100.0)
    before = crossbar.conductance
    where = np.zeros((6, 4), dtype=bool)
    where[2:4] = True
    crossbar.rewrite(np.full((6, 4), 50e-6), where)
    after = crossbar.conductance
    assert np.array_equal(after[:, ~where], before[:, ~where])
    assert np.array_equal(after[:, where], np.full((2, 8), 50e-6))


def test_conductances_below_the_floor_are_counted():
    """Relaxation that would take cells below zero shows in the ledger."""
    crossbar = Crossbar(RELAXING, shape=(50, 40), seed=1)
    crossbar.program(np.full((50, 40), 1e-6))
    crossbar.advance(1e4)
    assert crossbar.ledger.floored_reads == np.count_nonzero(crossbar.conductance == 0) > 0


def test_no_time_counts_nothing():
    """A step of 0 s finds no cell at the floor a second time."""
    crossbar = Crossbar(RELAXING, shape=(50, 40), seed=1)
    crossbar.program(np.full((50, 40), 1e-6))
    crossbar.advance(1e4)
    counted = crossbar.ledger.floored_reads
    crossbar.advance(0.0)
    assert crossbar.ledger.floored_reads == counted > 0


@pytest.mark.parametrize("cell", [QUIET, RELAXING], ids=["at rest", "relaxing"])
def test_impossible_temperatures_are_refused(cell):
    """Also by an array that nothing moves."""
    with pytest.raises(InputError, match="temperature=-5"):
        array(cell).advance(1.0, temperature=-5.0)


def test_an_array_must_be_programmed_before_time_passes():
    """There is nothing to age before."""
    with pytest.raises(InputError, match="not been programmed"):
        Crossbar(RELAXING, shape=(2, 2), seed=1).advance(1.0)


# --------------------------------------------------------------------------------------------
# Electronic noise


def electronic_variance(volts, conductance, bandwidth, temperature):
    """Σ over the cells of 4kTGB + 2e|VG|B, cell by cell."""
    thermal = 4 * Boltzmann * temperature * conductance * bandwidth
    shot = 2 * elementary_charge * np.abs(volts[:, None] * conductance) * bandwidth
    return (thermal + shot).sum(axis=0)


@pytest.mark.parametrize("differential", [False, True], ids=["single", "differential"])
@pytest.mark.parametrize("wire_resistance", [0.0, 1e-3], ids=["no wires", "wires"])
def test_electronic_noise_has_the_variance_of_its_formula(differential, wire_resistance, naive):
    """Both bit lines of a pair contribute, driven or not; wires of 1 mΩ change nothing."""
    cell = replace(QUIET, electronic_noise=devices.ElectronicNoise(bandwidth=1e9))
    crossbar = array(cell, differential=differential, wire_resistance=wire_resistance)
    volts = np.array([0.2, -0.1, 0.0, 0.05, 0.2, -0.2])
    variance = electronic_variance(volts, crossbar.conductance, 1e9, 300.0)
    current = volts @ crossbar.conductance
    if differential:
        variance, current = variance[0::2] + variance[1::2], current[0::2] - current[1::2]
    reads = crossbar.read(np.tile(volts, (READS, 1)))
    naive.check_moments(reads, current, np.sqrt(variance))
    with pytest.raises(AssertionError, match="variance"):
        naive.check_moments(reads, current, np.sqrt(1.1 * variance))


def test_electronic_noise_adds_to_read_noise(naive):
    """White read noise of the cells and noise of the current are independent."""
    cell = replace(
        QUIET.with_noise(read=0.01), electronic_noise=devices.ElectronicNoise(bandwidth=1e9)
    )
    crossbar, volts = array(cell), np.full(6, 0.1)
    variance = electronic_variance(volts, crossbar.conductance, 1e9, 300.0)
    variance = variance + (volts**2).sum() * (0.01 * cell.window) ** 2
    reads = crossbar.read(np.tile(volts, (READS, 1)))
    naive.check_moments(reads, volts @ crossbar.conductance, np.sqrt(variance))


@pytest.mark.parametrize("differential", [False, True], ids=["single", "differential"])
def test_cells_are_read_back_with_electronic_noise(differential, naive):
    """One word line is driven, all cells of a bit line add thermal noise: formula in S²."""
    cell = replace(QUIET, electronic_noise=devices.ElectronicNoise(bandwidth=1e9))
    crossbar = array(cell, differential=differential)
    volts = np.diag(np.full(6, crossbar.read_voltage))
    true = crossbar.conductance
    variance = np.stack([electronic_variance(v, true, 1e9, 300.0) for v in volts])
    if differential:
        variance, true = variance[:, 0::2] + variance[:, 1::2], true[:, 0::2] - true[:, 1::2]
    std = np.sqrt(variance) / crossbar.read_voltage
    reads = np.stack([crossbar.read_cells() for _ in range(4000)]).reshape(4000, -1)
    naive.check_moments(reads, true.ravel(), std.ravel())
    with pytest.raises(AssertionError, match="variance"):
        naive.check_moments(reads, true.ravel(), 1.2 * std.ravel())


# --------------------------------------------------------------------------------------------
# Layers


def layer(cell, weights=None, **options):
    hardware = mapping.rram(cell, dac=None, adc=None, tile=(8, 8), **options)
    given = np.full((5, 10), 0.3) if weights is None else weights
    return hardware.program(given, rng=rng(3), copies=2)


def test_a_layer_settles_before_it_is_used():
    """settling_time lets the cells relax between programming and the first read."""
    slightly = devices.Relaxation(variance_per_decade=0.01e-12, onset_s=1e-3)
    cell = replace(QUIET, relaxation=slightly)
    at_once, later = layer(cell), layer(cell, settling_time=3600.0)
    assert at_once.truth.std() < 1e-7
    variance = 2 * slightly.variance(3600.0, np.array(50e-6))  # of a pair
    per_weight = 6 / np.sqrt(10) / cell.window * np.sqrt(variance)
    assert later.truth.std() == pytest.approx(per_weight, rel=0.25)


def test_with_a_running_clock_operations_take_their_time():
    """Cells move on by what the ledger counts for every operation, and stand still without it."""
    x = np.ones((4, 10))
    for running in (False, True):
        state = layer(FLUCTUATING, running_clock=running)
        before, busy = state.truth, state.ledger.time_s
        state.apply(x, rng=rng(5))
        assert np.array_equal(state.truth, before) != running
        between = state.truth
        state.read_back(rng=rng(6))
        assert np.array_equal(state.truth, between) != running
        between, where = state.truth, np.eye(5, 10, dtype=bool)
        state.rewrite(np.full((5, 10), 0.3), where, rng=rng(7))
        assert np.array_equal(state.truth[:, ~where], between[:, ~where]) != running
        passed = state.ledger.time_s - busy if running else 0.0
        assert [tile.age_s for _, _, tile in state._tiles] == pytest.approx([passed] * 4)


def test_layers_know_the_electronic_noise_of_their_read_back(naive):
    """read_back_std holds the noise of the bit lines of every tile: many readings agree."""
    cell = replace(QUIET, electronic_noise=devices.ElectronicNoise(bandwidth=1e9))
    weights = np.linspace(-0.3, 0.3, 50).reshape(5, 10)
    hardware = mapping.rram(cell, dac=None, adc=None, tile=(8, 8), precision="float64")
    state, generator = hardware.program(weights, rng=rng(3)), rng(4)
    reads = np.stack([state.read_back(rng=generator) for _ in range(2000)]).reshape(2000, -1)
    std = hardware.read_back_std(weights)
    naive.check_moments(reads, weights.ravel(), std.ravel())
    with pytest.raises(AssertionError, match="variance"):
        naive.check_moments(reads, weights.ravel(), 1.2 * std.ravel())
