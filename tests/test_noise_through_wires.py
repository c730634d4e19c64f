"""Noise of cells read through wires: exact, first order and moment-matched against each other."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from zerohm import InputError
from zerohm import _memory as memory
from zerohm.crossbar.network import Network
from zerohm.crossbar.noise_through_wires import (
    CHUNK,
    ExactNoise,
    FirstOrderNoise,
    MomentMatchedNoise,
)
from zerohm.crossbar.noise_transfer import InputVariance, noise_transfer, own_column_adjoint

spec = importlib.util.spec_from_file_location(
    "naive_circuit", Path(__file__).with_name("naive_circuit.py")
)
naive_circuit = importlib.util.module_from_spec(spec)
spec.loader.exec_module(naive_circuit)

MODES = (ExactNoise, FirstOrderNoise, MomentMatchedNoise)
DRAWING = (ExactNoise, FirstOrderNoise)
READS = 2500
every_mode = pytest.mark.parametrize("mode", MODES)


def cells(rows, cols, kind="log-uniform"):
    """Conductances from 1 to 100 µS."""
    rng = np.random.default_rng(0)
    if kind == "log-uniform":
        return 10.0 ** rng.uniform(-6, -4, (rows, cols))
    return rng.uniform(1e-6, 1e-4, (rows, cols))


def inputs(rows, batch=None):
    """Voltages from 0 to 0.2 V."""
    return np.random.default_rng(1).uniform(0.0, 0.2, rows if batch is None else (batch, rows))


def adjoint(network):
    """(cols, rows, cols) V/V across all cells, bit line to word line, per sense node at 1 V."""
    rows, cols = network.shape
    zeros = np.zeros(rows)
    return np.stack([-network.solve_cells(zeros, unit).voltages for unit in np.eye(cols)])


def first_order_std(network, std, vector):
    """Exact std (cols,) of the linearised currents, from all adjoint and nominal cell voltages."""
    drops = network.solve_cells(vector, np.zeros(network.shape[1])).voltages
    return np.sqrt(((adjoint(network) * std * drops) ** 2).sum(axis=(1, 2)))


def check_std_ratio(predicted, samples, lowest, highest):
    """Predicted over true std of every column, with the sampling error of samples (reads, cols)."""
    reads, cols = samples.shape
    margin = stats.norm.isf(1e-4 / cols / 2) / np.sqrt(2 * reads)
    ratio = predicted / samples.std(axis=0)
    assert ratio.min() >= lowest * (1 - margin), f"std too small: {ratio.min():.3f}"
    assert ratio.max() <= highest * (1 + margin), f"std too large: {ratio.max():.3f}"


# What the modes agree on, by Monte Carlo


@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("wire_resistance", [1.0, 2.5])
@pytest.mark.parametrize("kind", ["log-uniform", "uniform"])
def test_modes_agree_with_exact_reads_within_their_bounds(size, wire_resistance, kind):
    conductance = cells(size, size, kind)
    network, std = Network(conductance, wire_resistance=wire_resistance), 0.05 * conductance
    vector = inputs(size)
    batch = np.tile(vector, (READS, 1))
    exact = ExactNoise(network, std).read(batch, np.random.default_rng(2)).currents
    first = FirstOrderNoise(network, std).read(batch, np.random.default_rng(2)).currents
    nominal = network.transfer() @ vector

    # First order: same draws, hence compared read by read, without any sampling error.
    noise = np.sqrt(((exact - nominal) ** 2).mean(axis=0))
    assert (np.sqrt(((first - exact) ** 2).mean(axis=0)) < 0.005 * noise).all()
    np.testing.assert_allclose(first.std(axis=0), exact.std(axis=0), rtol=1e-3)
    # Exact reads against theory.
    deviation = first_order_std(network, std, vector)
    check_std_ratio(deviation, exact, 0.999, 1.001)
    score = stats.norm.isf(1e-4 / size**2)
    bias = (exact.mean(axis=0) - nominal) / deviation
    assert np.abs(bias).max() < 0.005 + score / np.sqrt(READS)
    correlation = np.corrcoef(exact, rowvar=False) - np.eye(size)
    assert np.abs(correlation).max() < 0.012 + score / np.sqrt(READS)
    # Moments: against theory, which has no sampling error, and against exact reads.
    matched = np.sqrt(InputVariance(network, std)(vector[None]))[0]
    assert (matched / deviation).min() > 0.985
    assert (matched / deviation).max() < 1.015
    check_std_ratio(matched, exact, 0.985, 1.015)


@pytest.mark.parametrize("wrong", ["ideal wires", "ideal response", "ideal input"])
def test_noise_as_if_wires_were_ideal_is_seen(wrong):
    """Leaving out either factor of S, or both, fails the check that S passes."""
    conductance = cells(64, 64, "uniform")
    network, std = Network(conductance, wire_resistance=2.5), 0.05 * conductance
    vector = inputs(64)
    batch = np.tile(vector, (READS, 1))
    exact = ExactNoise(network, std).read(batch, np.random.default_rng(2)).currents
    drops = network.solve_cells(np.ones(64), np.zeros(64)).voltages
    kept = {
        "ideal wires": 1.0,
        "ideal response": drops,
        "ideal input": own_column_adjoint(network),
    }[wrong]
    check_std_ratio(np.sqrt(vector**2 @ noise_transfer(network, std)), exact, 0.95, 1.0005)
    with pytest.raises(AssertionError, match="too large"):
        check_std_ratio(np.sqrt(vector**2 @ (std * kept) ** 2), exact, 0.95, 1.0005)


def test_error_of_first_order_is_quadratic_in_the_noise():
    conductance = cells(32, 32)
    network = Network(conductance, wire_resistance=2.5)
    batch, errors = np.tile(inputs(32), (100, 1)), []
    for relative in (0.1, 0.05, 0.025):
        first, exact = (
            mode(network, relative * conductance, tolerance=1e-11).read(
                batch, np.random.default_rng(3)
            )
            for mode in DRAWING
        )
        errors.append(np.sqrt(((first.currents - exact.currents) ** 2).mean()))
    np.testing.assert_allclose(np.divide(errors[:-1], errors[1:]), 4.0, rtol=0.03)


def test_moment_matched_currents_are_gaussian_with_the_stated_moments(naive):
    network, std = Network(cells(32, 8), wire_resistance=2.5), 5e-6
    batch = np.tile(inputs(32), (20_000, 1))
    noise = MomentMatchedNoise(network, std)
    currents = noise.read(batch, np.random.default_rng(4)).currents
    deviation = np.sqrt(InputVariance(network, std)(inputs(32)[None]))[0]
    naive.check_moments(currents, network.transfer() @ inputs(32), deviation)
    naive.check_independent(currents)


@pytest.mark.parametrize("shape", [(64, 64), (256, 32)])
@pytest.mark.parametrize("driven", ["all", "random", "sparse", "one row", "alternating"])
def test_input_variance_holds_for_inputs_of_every_shape(shape, driven):
    rows, cols = shape
    conductance, rng = cells(rows, cols, "uniform"), np.random.default_rng(1)
    vector = {
        "all": np.full(rows, 0.2),
        "random": inputs(rows),
        "sparse": inputs(rows) * (rng.random(rows) < 0.2),
        "one row": 0.2 * np.eye(rows)[rows // 2],
        "alternating": 0.2 * (-1.0) ** np.arange(rows),
    }[driven]
    network = Network(conductance, wire_resistance=2.5, source_resistance=20.0, sink_resistance=5.0)
    std, allowed = 0.05 * conductance, 0.15 if driven == "one row" else 0.02
    found = np.sqrt(InputVariance(network, std)(vector[None]))[0]
    np.testing.assert_allclose(found / first_order_std(network, std, vector), 1.0, atol=allowed)


# Limits


@pytest.mark.parametrize("mode", DRAWING)
def test_ideal_wires_leave_ohms_and_kirchhoffs_laws(mode):
    conductance, batch = cells(20, 12), inputs(20, batch=5)
    seen = conductance + 1e-7 * np.random.default_rng(5).standard_normal((5, 20, 12))
    reads = mode(Network(conductance), 1e-7).read(batch, np.random.default_rng(5))
    np.testing.assert_allclose(reads.currents, np.einsum("bi,bij->bj", batch, seen), rtol=1e-13)


def test_ideal_wires_leave_the_ideal_moments():
    conductance = cells(20, 12)
    std = 0.05 * conductance
    np.testing.assert_array_equal(noise_transfer(Network(conductance), std), std**2)
    reads = MomentMatchedNoise(Network(conductance), std).read(inputs(20), np.random.default_rng(6))
    normal = np.random.default_rng(6).standard_normal(12)
    expected = inputs(20) @ conductance + np.sqrt(inputs(20) ** 2 @ std**2) * normal
    np.testing.assert_allclose(reads.currents, expected, rtol=1e-13)


@every_mode
def test_without_noise_the_solution_remains(mode):
    network = Network(cells(30, 20), wire_resistance=2.5, source_resistance=100.0)
    batch = inputs(30, batch=4)
    reads = mode(network, 0.0).read(batch, np.random.default_rng(7))
    solution = network.solve(batch, tolerance=1e-5, solver="line_gradient")
    if mode is MomentMatchedNoise:
        solution = network.solve(batch, solver="transfer")
    np.testing.assert_array_equal(reads.currents, solution.currents)
    assert reads.floored == 0


@pytest.mark.parametrize("mode", DRAWING)
def test_other_topologies_are_read_too(mode):
    """Drivers and sense nodes on both ends; without noise the only thing left is the circuit."""
    network = Network(
        cells(9, 7),
        word_line_resistance=0.0,
        bit_line_resistance=5.0,
        far_source_resistance=50.0,
        far_sink_resistance=20.0,
    )
    reads = mode(network, 0.0, tolerance=1e-10).read(inputs(9), np.random.default_rng(8))
    np.testing.assert_allclose(reads.currents, network.solve(inputs(9)).currents, rtol=1e-8)


# The factors of S


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        # A single column has no others that could rise ...
        ((17, 1), {"wire_resistance": 50.0, "source_resistance": 80.0, "sink_resistance": 30.0}),
        ((17, 1), {"wire_resistance": 0.0, "sink_resistance": 300.0}),
        ((1, 1), {"source_resistance": 1e4, "sink_resistance": 1e4}),
        # ... and bit lines without resistance cannot.
        ((11, 13), {"word_line_resistance": 50.0, "source_resistance": np.linspace(0, 500, 11)}),
        ((11, 13), {"word_line_resistance": 50.0, "far_source_resistance": 40.0}),
        ((11, 13), {"source_resistance": 500.0, "far_source_resistance": 700.0}),
    ],
)
def test_own_column_adjoint_is_exact_where_other_bit_lines_stay_at_zero(shape, options):
    conductance = cells(*shape)
    conductance[3::5] = 0.0
    network = Network(conductance, **options)
    columns = range(shape[1])
    expected = np.stack([adjoint(network)[j, :, j] for j in columns], axis=1)
    np.testing.assert_allclose(own_column_adjoint(network), expected, rtol=1e-9)


@pytest.mark.parametrize("kind", ["log-uniform", "uniform"])
def test_own_column_adjoint_is_slightly_too_large_elsewhere(kind):
    network = Network(cells(64, 64, kind), wire_resistance=2.5)
    found = own_column_adjoint(network)
    excess = found / np.einsum("jij->ij", adjoint(network)) - 1.0
    assert excess.min() > -1e-9
    assert excess.max() < 3e-4


def test_noise_transfer_is_the_square_of_the_derivative_by_each_cell():
    """Against differences of a dense nodal analysis, on a rectangle with unequal lines."""
    conductance, std = cells(6, 5), 1e-7 * np.arange(1, 31).reshape(6, 5)
    options = {"word": 3.0, "bit": 8.0, "source": np.linspace(0, 50, 6), "sink": 20.0}
    derivative = np.empty((6, 5))
    for i, j in np.ndindex(6, 5):
        step = np.zeros((6, 5))
        step[i, j] = 1e-3 * conductance[i, j]
        above, below = (
            naive_circuit.nodal(conductance + sign * step, np.ones(6), **options)[0][j]
            for sign in (+1, -1)
        )
        derivative[i, j] = (above - below) / (2 * step[i, j])
    network = Network(
        conductance,
        word_line_resistance=3.0,
        bit_line_resistance=8.0,
        source_resistance=options["source"],
        sink_resistance=20.0,
    )
    np.testing.assert_allclose(noise_transfer(network, std), (std * derivative) ** 2, rtol=1e-4)


# Draws


@every_mode
def test_reads_are_those_of_the_seed_one_by_one_or_together(mode):
    conductance = cells(12, 9)
    batch = inputs(12, batch=2 * CHUNK + 3)
    batch[5:9] = batch[5]
    noise = mode(Network(conductance, wire_resistance=2.5), 0.05 * conductance)
    rng = np.random.default_rng(9)
    together = noise.read(batch, rng).currents
    singly = np.random.default_rng(9)
    currents = np.stack([noise.read(vector, singly).currents for vector in batch])
    np.testing.assert_allclose(currents, together, rtol=1e-13)
    assert singly.random() == rng.random()
    np.testing.assert_array_equal(noise.read(batch, np.random.default_rng(9)).currents, together)
    assert (noise.read(batch, np.random.default_rng(10)).currents != together).all()


def test_negative_conductances_are_floored_and_counted():
    conductance, std = cells(12, 9), 3e-5
    network = Network(conductance, wire_resistance=2.5)
    drawn = conductance + std * np.random.default_rng(11).standard_normal((12, 9))
    reads = ExactNoise(network, std).read(inputs(12), np.random.default_rng(11))
    assert reads.floored == np.count_nonzero(drawn < 0) > 10
    floored = Network(np.maximum(drawn, 0.0), wire_resistance=2.5)
    np.testing.assert_allclose(reads.currents, floored.solve(inputs(12)).currents, rtol=2e-5)
    ideal = FirstOrderNoise(Network(conductance), std).read(inputs(12), np.random.default_rng(11))
    assert ideal.floored == reads.floored
    np.testing.assert_allclose(ideal.currents, inputs(12) @ np.maximum(drawn, 0.0), rtol=1e-13)


def test_a_cell_without_noise_is_not_moved():
    """Only the noisy column's current changes, up to what the wires carry over."""
    conductance, std = cells(12, 9), np.zeros((12, 9))
    std[:, 4] = 1e-6
    network = Network(conductance, wire_resistance=1e-6)
    for mode in MODES:
        reads = mode(network, std).read(inputs(12), np.random.default_rng(12))
        moved = np.abs(reads.currents / network.solve(inputs(12)).currents - 1.0)
        assert moved[4] > 1e-4
        assert np.delete(moved, 4).max() < 1e-8


# Refusals


@every_mode
@pytest.mark.parametrize(
    ("std", "message"),
    [
        (np.ones((4, 3)), r"std has shape \(4, 3\), it must be one value or \(3, 4\)"),
        (np.ones(4), "std has shape"),
        (-1e-6, "std must be finite and not negative"),
        (np.nan, "std must be finite"),
        (np.inf, "std must be finite"),
    ],
)
def test_unusable_noise_is_refused(mode, std, message):
    with pytest.raises(InputError, match=message):
        mode(Network(cells(3, 4), wire_resistance=1.0), std)


@every_mode
@pytest.mark.parametrize(
    ("voltages", "message"),
    [
        (np.ones(4), r"voltages has shape \(4,\), it must be \(3,\) or \(batch, 3\)"),
        (np.ones((2, 2, 3)), "voltages has shape"),
        (0.1, "voltages has shape"),
        ([0.1, np.nan, 0.1], "voltages must be finite"),
    ],
)
def test_unusable_voltages_are_refused(mode, voltages, message):
    noise = mode(Network(cells(3, 4), wire_resistance=1.0), 1e-6)
    with pytest.raises(InputError, match=message):
        noise.read(voltages, np.random.default_rng(0))


def test_first_order_refuses_what_would_not_fit_into_memory(monkeypatch):
    network = Network(cells(100, 50), wire_resistance=1.0)
    monkeypatch.setattr(memory, "available_memory", lambda: 8.0 * 100 * 50**2)
    with pytest.raises(InputError, match=r"first-order noise of a 100x50 array .* ExactNoise"):
        FirstOrderNoise(network, 1e-6)


@pytest.mark.parametrize(
    "options", [{"far_sink_resistance": 1.0}, {"sink_resistance": [np.inf, 0.0, 0.0, 0.0]}]
)
def test_moments_refuse_topologies_that_they_do_not_know(options):
    network = Network(cells(3, 4), wire_resistance=1.0, **options)
    with pytest.raises(InputError, match="sense nodes below the last row only"):
        noise_transfer(network, 1e-6)


def test_noise_that_isolates_a_node_is_refused():
    """A floating bit line with one cell, which loses its conductance in some of these reads."""
    network = Network([[1e-4, 1e-4]], wire_resistance=1.0, sink_resistance=[0.0, np.inf])
    with pytest.raises(InputError, match="bit line 1"):
        ExactNoise(network, 1e-3).read(np.ones((50, 1)), np.random.default_rng(0))
