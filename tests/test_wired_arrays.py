"""Arrays and layers behind resistive wires: the exact circuit in every use of them."""

import numpy as np
import pytest

import zerohm as zo
from zerohm.crossbar import ADC, DAC, Crossbar, ExactNoise, Network
from zerohm.devices import Cell, ConstantNoise
from zerohm.mapping import differential, rram

WIRES = {"wire_resistance": 20.0, "source_resistance": 100.0, "sink_resistance": 50.0}
CELL = Cell(name="cell", conductance_min=5e-6, conductance_max=100e-6)
NOISY = CELL.with_noise(read=0.02)


def targets(rows, cols, seed=0):
    return np.random.default_rng(seed).uniform(5e-6, 100e-6, (rows, cols))


def volts(batch, rows, seed=1):
    return np.random.default_rng(seed).uniform(-0.2, 0.2, (batch, rows))


def network(conductance):
    return Network(conductance, **WIRES)


def test_a_read_is_the_solution_of_the_circuit():
    """Without noise and converters: the currents of Network, one by one, far from V·G."""
    array = Crossbar(CELL, shape=(12, 7), seed=0, **WIRES)
    array.program(targets(12, 7))
    voltages = volts(5, 12)
    exact = network(array.conductance).solve(voltages, solver="direct").currents
    np.testing.assert_allclose(array.read(voltages), exact, rtol=1e-9, atol=1e-18)
    ideal = voltages @ array.conductance
    assert np.abs(exact - ideal).max() > 0.1 * np.abs(ideal).max()


def test_zero_resistance_is_the_ideal_array():
    """Wires of 0 Ω give the same bits as no wires."""
    reads = []
    for options in ({}, {"wire_resistance": 0.0, "source_resistance": 0.0}):
        array = Crossbar(NOISY, shape=(6, 4), seed=3, **options)
        array.program(targets(6, 4))
        reads.append(array.read(volts(3, 6)))
    np.testing.assert_array_equal(*reads)


def test_every_copy_and_every_pair_is_solved():
    """Copies have circuits of their own; differential currents subtract after the wires."""
    array = Crossbar(CELL.with_noise(write=0.05), shape=(8, 6), differential=True, seed=0, **WIRES)
    array.program(targets(8, 6), copies=2)
    voltages = volts(4, 8)
    for copy, read in zip(array.conductance, array.read(voltages), strict=True):
        single = network(copy).solve(voltages).currents
        np.testing.assert_allclose(read, single[:, 0::2] - single[:, 1::2], rtol=1e-8, atol=1e-15)


@pytest.mark.parametrize("paired", [False, True])
def test_read_noise_is_that_of_the_exact_circuit(paired):
    """Standard deviation per current within 6 % of 1500 exact solutions with new cells each.

    The Monte-Carlo error of a standard deviation is 1.8 %; ideal-wire noise misses by more.
    """
    array = Crossbar(NOISY, shape=(10, 6), differential=paired, seed=0, **WIRES)
    array.program(targets(10, 6))
    voltages = np.tile(volts(1, 10), (1500, 1))
    exact = ExactNoise(network(array.conductance), 0.02 * CELL.window).read(
        voltages, np.random.default_rng(5)
    )
    currents = exact.currents
    if paired:
        currents = currents[:, 0::2] - currents[:, 1::2]
    ratio = array.read(voltages, np.random.default_rng(6)).std(axis=0) / currents.std(axis=0)
    assert np.all(np.abs(ratio - 1) < 0.09)
    assert abs(ratio.mean() - 1) < 0.06
    pairs = 2 if paired else 1
    ideal = 0.02 * CELL.window * np.sqrt(pairs * np.square(voltages[0]).sum())
    assert np.mean(ideal / currents.std(axis=0)) > 1.08


def test_reading_cells_shows_what_the_sense_amplifier_sees():
    """One driven word line: the entry of the transfer matrix."""
    array = Crossbar(CELL, shape=(5, 4), seed=0, **WIRES)
    array.program(targets(5, 4))
    np.testing.assert_allclose(
        array.read_cells(), network(array.conductance).transfer().T, rtol=1e-9
    )


def test_rewriting_solves_the_circuit_anew():
    """The transfer matrix follows the cells."""
    array = Crossbar(CELL, shape=(5, 4), seed=0, **WIRES)
    array.program(targets(5, 4))
    where = np.zeros((5, 4), dtype=bool)
    where[2, 1] = True
    array.rewrite(np.full((5, 4), 50e-6), where)
    exact = network(array.conductance).solve(volts(3, 5)).currents
    np.testing.assert_allclose(array.read(volts(3, 5)), exact, rtol=1e-9, atol=1e-18)


def test_energy_is_what_the_drivers_deliver():
    """Exact for equal voltages: the total power of the solved circuit times the read time."""
    array = Crossbar(CELL, shape=(6, 5), seed=0, **WIRES)
    array.program(targets(6, 5))
    array.read(np.full(6, 0.2))
    power = network(array.conductance).solve(np.full(6, 0.2)).power.total
    assert array.ledger.energy_J["array"] == pytest.approx(power * 100e-9, rel=1e-9, abs=0)


def test_a_layer_adds_the_partial_sums_of_its_wired_tiles():
    """Two row blocks, each a circuit of its own."""
    hardware = rram(
        CELL, tile=(4, 6), dac=None, adc=None, wire_resistance=50.0, precision="float64"
    )
    weights = np.random.default_rng(0).uniform(-1, 1, (3, 8))
    state = hardware.program(weights, rng=np.random.default_rng(1))
    x = volts(5, 8) / 0.2
    limit = hardware.weight_limit(8)
    cells = differential.to_conductances(weights, limit, CELL)
    expected = np.zeros((5, 3))
    for block in (slice(0, 4), slice(4, 8)):
        current = Network(cells[block], wire_resistance=50.0).solve(0.2 * x[:, block]).currents
        expected += (current[:, 0::2] - current[:, 1::2]) * limit / (0.2 * CELL.window)
    np.testing.assert_allclose(state.apply(x, rng=np.random.default_rng(2)), expected, rtol=1e-8)
    assert np.abs(expected - x @ weights.T).max() > 0.02


def test_training_runs_through_wires_and_single_precision_follows_double():
    """A short NoiseZO run with IR drop; float32 reads agree with float64 to its rounding."""
    run = zo.training.experiment(
        passes=8, batch=8, evaluations=1, hidden=4, write_noise=0.02, wire_resistance=2.5
    )
    assert np.isfinite(run.train_loss).all()
    reads = []
    for dtype in (np.float32, np.float64):
        array = Crossbar(
            CELL, shape=(8, 6), dac=DAC(bits=8), adc=ADC(bits=20), dtype=dtype, seed=0, **WIRES
        )
        array.program(targets(8, 6))
        reads.append(array.read(volts(4, 8)))
    np.testing.assert_allclose(*reads, rtol=1e-4, atol=1e-4 * np.abs(reads[1]).max())


def test_noise_laws_of_state_reach_the_wires():
    """State-dependent read noise passes through the same circuit."""
    cell = zo.devices.preset("Falcone2025")
    array = Crossbar(cell, shape=(6, 4), seed=0, wire_resistance=20.0)
    array.program(np.full((6, 4), 50e-6))
    spread = array.read(np.tile(volts(1, 6), (2000, 1))).std(axis=0)
    quiet = Crossbar(
        Cell(
            name="quiet",
            conductance_min=9e-6,
            conductance_max=88.2e-6,
            read_noise=ConstantNoise(sigma=0.0),
        ),
        shape=(6, 4),
        seed=0,
        wire_resistance=20.0,
    )
    quiet.program(np.full((6, 4), 50e-6))
    assert np.all(spread > 0)
    assert np.all(quiet.read(np.tile(volts(1, 6), (20, 1))).std(axis=0) < 1e-15)


@pytest.mark.parametrize("mode", ["first order", "exact"])
@pytest.mark.parametrize("paired", [False, True])
def test_noise_drawn_cell_by_cell_has_the_moments_of_one_draw_per_current(mode, paired):
    """Mean within 4 standard errors, standard deviation within 10 % (its error is 2 %)."""
    currents = []
    for each in ("moments", mode):
        array = Crossbar(
            NOISY, shape=(10, 6), differential=paired, wire_noise=each, seed=0, **WIRES
        )
        array.program(targets(10, 6), copies=2)
        currents.append(array.read(np.tile(volts(1, 10), (1200, 1)), np.random.default_rng(1)))
        assert array.ledger.floored_reads < 100  # of 144 000
    assert currents[0].shape == currents[1].shape == (2, 1200, 3 if paired else 6)
    means, stds = (np.array([c.mean(axis=1), c.std(axis=1)]) for c in currents)
    assert np.all(np.abs(means[0] - stds[0]) < 4 * means[1] * np.sqrt(2 / 1200))
    assert np.all(np.abs(stds[1] / means[1] - 1) < 0.1)


def test_cells_that_noise_would_make_negative_are_counted():
    """No conductance is negative, and none is raised silently."""
    array = Crossbar(CELL.with_noise(read=0.2), shape=(10, 6), wire_noise="exact", seed=0, **WIRES)
    array.program(np.full((10, 6), 5e-6))
    array.read(volts(20, 10))
    assert 200 < array.ledger.floored_reads < 1200


def test_an_unknown_way_of_noise_is_refused():
    """The message names the three there are."""
    with pytest.raises(zo.InputError, match="exact, first order, moments"):
        Crossbar(CELL, shape=(2, 2), wire_noise="exakt")


def test_verifying_through_the_wires_hides_them():
    """The transfer matrix equals the targets; verified cell by cell it misses by over 10 %."""
    goal = np.random.default_rng(0).uniform(5e-6, 50e-6, (12, 7))
    voltages = volts(4, 12)
    errors = {}
    for verify in ("cell", "array"):
        array = Crossbar(CELL, shape=(12, 7), seed=0, **WIRES)
        array.program(goal, verify=verify)
        errors[verify] = np.abs(array.read_cells() / goal - 1).max()
        currents = array.read(voltages)
    assert errors["array"] < 1e-8
    assert errors["cell"] > 0.1
    np.testing.assert_allclose(currents, voltages @ goal, rtol=1e-7, atol=1e-14)


def test_without_wires_both_ways_to_verify_are_the_same():
    """The same bits."""
    states = []
    for verify in ("cell", "array"):
        array = Crossbar(CELL.with_noise(write=0.02), shape=(5, 4), seed=0)
        array.program(targets(5, 4), verify=verify)
        states.append(array.conductance)
    np.testing.assert_array_equal(*states)


def test_targets_that_the_wires_hide_are_refused():
    """Near the top of the window a cell has no room left to make up for the wires."""
    array = Crossbar(CELL, shape=(12, 7), seed=0, **WIRES)
    with pytest.raises(zo.InputError, match=r"of 84 cells would have to lie between .* reaches"):
        array.program(np.full((12, 7), 95e-6), verify="array")
    with pytest.raises(zo.InputError, match="allowed: array, cell"):
        array.program(targets(12, 7), verify="cells")
