"""The circuit to first order about a solved state: exact there, near it to a stated error."""

import numpy as np
import pytest

import zerohm as zo
from zerohm.crossbar import Crossbar, Network, Reference
from zerohm.devices import Cell
from zerohm.mapping import digital, rram
from zerohm.training import NoiseZO, mlp

WIRES = {"wire_resistance": 2.5}
CELL = Cell(name="cell", conductance_min=5e-6, conductance_max=100e-6)


def cells(rows=24, cols=18, seed=0):
    return np.random.default_rng(seed).uniform(5e-6, 100e-6, (rows, cols))


def network(conductance):
    return Network(conductance, **WIRES)


def test_a_reference_is_exact_where_it_was_solved():
    """No change, no error."""
    reference = Reference.of(network(cells()))
    np.testing.assert_array_equal(reference.near(cells()), network(cells()).transfer().T)


@pytest.mark.parametrize("change", [0.01, 0.05])
def test_a_change_is_found_to_two_percent_of_itself(change):
    """Random changes in every cell; ideal wires would be wrong by far more."""
    reference = Reference.of(network(cells()))
    step = change * CELL.window * np.random.default_rng(1).standard_normal((24, 18))
    moved = np.maximum(cells() + step, 0.0)
    exact = network(moved).transfer().T - reference.transfer

    def error(estimate):
        return np.linalg.norm(estimate - exact) / np.linalg.norm(exact)

    assert error(reference.near(moved) - reference.transfer) < 0.02
    assert error(moved - cells()) > 0.05


def test_a_single_cell_moves_its_own_entry_as_a_finite_difference_does():
    """The derivative by one cell, against two exact solutions."""
    reference, step = Reference.of(network(cells())), 1e-9
    moved = cells()
    moved[7, 5] += step
    exact = (network(moved).transfer().T - reference.transfer)[7, 5] / step
    found = (reference.near(moved) - reference.transfer)[7, 5] / step
    assert found == pytest.approx(exact, rel=0.01)
    assert 0.5 < exact < 0.99


def test_copies_are_taken_one_by_one():
    """A stack of states gives what each gives alone."""
    reference = Reference.of(network(cells()))
    stack = np.stack([cells(), cells(seed=1)])
    for single, both in zip(stack, reference.near(stack), strict=True):
        np.testing.assert_array_equal(reference.near(single), both)


@pytest.mark.parametrize("paired", [False, True])
def test_an_array_reads_near_its_reference(paired):
    """Currents of freshly written copies: within 1e-3 of the exact circuit's, noise alike."""
    noisy = CELL.with_noise(write=0.02, read=0.01)
    targets = cells()
    options = {"shape": (24, 18), "differential": paired, "seed": 3, **WIRES}
    exact = Crossbar(noisy, **options)
    near = Crossbar(noisy, reference=Reference.of(network(targets)), **options)
    voltages = np.random.default_rng(2).uniform(0, 0.2, (400, 24))
    currents = []
    for array in (exact, near):
        array.program(targets, copies=2)
        currents.append(array.read(voltages))
    np.testing.assert_array_equal(exact.conductance, near.conductance)
    scale = np.abs(currents[0]).max()
    assert np.abs(currents[1] - currents[0]).max() < 2e-3 * scale
    assert near.ledger.energy_J["array"] == pytest.approx(
        exact.ledger.energy_J["array"], rel=0.02, abs=0
    )


def test_hardware_without_wires_has_nothing_to_prepare():
    """Ideal wires and digital arithmetic return themselves."""
    weights = np.zeros((3, 5))
    for hardware in (rram(CELL), digital(), digital(bits=8)):
        assert hardware.prepared_near(weights) is hardware


def test_a_prepared_layer_follows_the_exact_one():
    """Three tiles, weights moved a little after the preparation."""
    rng = np.random.default_rng(0)
    weights = rng.uniform(-1, 1, (6, 20))
    hardware = rram(CELL, tile=(8, 12), dac=None, adc=None, precision="float64", **WIRES)
    moved = np.clip(weights + 0.01 * rng.standard_normal(weights.shape), -1.3, 1.3)
    x = rng.uniform(0, 1, (50, 20))
    results = [
        each.program(moved, rng=np.random.default_rng(1)).apply(x, rng=rng)
        for each in (hardware, hardware.prepared_near(weights))
    ]
    assert np.abs(results[1] - results[0]).max() < 2e-3 * np.abs(results[0]).max()
    unprepared = rram(CELL, dac=None, adc=None, precision="float64").program(
        moved, rng=np.random.default_rng(1)
    )
    assert np.abs(unprepared.apply(x, rng=rng) - results[0]).max() > 0.02


def test_training_near_a_solution_follows_exact_training():
    """The same seed, 40 steps: master copies agree although one run solved the wires twice."""
    cell = CELL.with_noise(write=0.02)
    task = zo.datasets.load("digits")
    ends = []
    for steps in (0, 20):
        hardware = rram(cell, wire_resistance=10.0, dac=None, adc=None)
        run = zo.training.fit(
            mlp([64, 8, 10], hardware=hardware),
            task,
            method=NoiseZO(steps_per_solution=steps),
            seed=0,
            passes=80,
            batch=64,
            evaluations=1,
        )
        ends.append(float(run.train_loss[-1]))
    assert ends[1] == pytest.approx(ends[0], rel=2e-3)
    assert ends[1] != ends[0]


@pytest.mark.parametrize("value", [0.0, 30e-6, 5e-3])
@pytest.mark.parametrize("resistance", [0.0, 2.5, 200.0])
def test_writing_one_cell_updates_the_transfer_matrix_exactly(value, resistance):
    """The updated matrix equals a rebuilt one, twice in a row; the old network keeps its own."""
    options = {"wire_resistance": resistance, "source_resistance": 50.0}
    before = Network(cells(), **options)
    kept = before.transfer()
    changed = before.reprogrammed(3, 11, value).reprogrammed(20, 0, 1e-6)
    moved = cells()
    moved[3, 11], moved[20, 0] = value, 1e-6
    rebuilt = Network(moved, **options).transfer()
    np.testing.assert_allclose(changed.transfer(), rebuilt, rtol=0, atol=1e-10 * rebuilt.max())
    np.testing.assert_array_equal(before.transfer(), kept)
    voltages = np.random.default_rng(0).uniform(0, 0.2, (3, 24))
    exact = Network(moved, **options).solve(voltages, solver="direct").currents
    np.testing.assert_allclose(changed.solve(voltages).currents, exact, rtol=1e-9)


@pytest.mark.parametrize("bad", [(24, 0, 1e-6), (0, -1, 1e-6), (0, 0, -1e-6), (0, 0, np.nan)])
def test_a_cell_that_cannot_be_written_is_refused(bad):
    """Outside the array, or no conductance."""
    with pytest.raises(zo.InputError, match=r"outside the 24x18 array|conductance="):
        network(cells()).reprogrammed(*bad)


def test_a_reference_that_does_not_fit_is_refused():
    """Another shape, or a way of noise that it cannot serve."""
    reference = Reference.of(network(cells()))
    for options in ({"shape": (3, 2)}, {"shape": (24, 18), "wire_noise": "exact"}):
        with pytest.raises(zo.InputError, match=r"a reference of shape \(24, 18\)"):
            Crossbar(CELL, reference=reference, **WIRES, **options)
