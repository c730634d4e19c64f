"""Exact transfer matrices: against a direct solution of the circuit, limits, laws, updates."""

import numpy as np
import pytest
import scipy.sparse as sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.linalg import splu

from zerohm import InputError
from zerohm._random import stream
from zerohm.crossbar.solvers.hierarchical import LEAF, transfer_matrix
from zerohm.crossbar.solvers.rank_one import reprogrammed

WIRES = [(1.0, 1.0), (2.5, 2.5), (1.0, 0.0), (0.0, 2.5), (0.3, 4.0)]
DISTRIBUTIONS = ["log-uniform", "uniform"]

resistances = st.one_of(st.just(0.0), st.floats(-3, 3).map(lambda power: 10.0**power))
sizes = st.integers(1, LEAF + 8)


class Circuit:
    """The whole circuit as one sparse system: node voltages, and the current of every wire.

    Kirchhoff's current law at all nodes and Ohm's law v − v′ = r i along all segments (modified
    nodal analysis), so that 0 Ω needs no special case. Nodes: word line, then bit line, row by
    row. Segments: (from, to, Ω), in the direction in which current is counted; −1 is a node of
    given voltage.
    """

    def __init__(self, conductance, word_line, bit_line, source=0.0, sink=0.0):
        self.rows, self.cols = rows, cols = conductance.shape
        self.nodes = nodes = 2 * rows * cols
        self.word, self.bit = np.arange(nodes).reshape(2, rows, cols)
        segments = []
        for i in range(rows):
            ohms = word_line + np.broadcast_to(source, rows)[i]
            segments.append((-1, self.word[i, 0], ohms))
        for j in range(cols):
            ohms = bit_line + np.broadcast_to(sink, cols)[j]
            segments.append((self.bit[-1, j], -1, ohms))
        for i in range(rows):
            for j in range(cols - 1):
                segments.append((self.word[i, j], self.word[i, j + 1], word_line))
        for i in range(rows - 1):
            for j in range(cols):
                segments.append((self.bit[i, j], self.bit[i + 1, j], bit_line))
        start, end, ohms = (np.array(values) for values in zip(*segments, strict=True))
        self.size = nodes + len(segments)
        law = sparse.lil_matrix((self.size, self.size))
        for k in range(len(segments)):
            current = nodes + k
            law[current, current] = -ohms[k]
            if start[k] >= 0:
                law[start[k], current] = law[current, start[k]] = 1.0
            if end[k] >= 0:
                law[end[k], current] = law[current, end[k]] = -1.0
        for i in range(rows):
            for j in range(cols):
                w, b, g = self.word[i, j], self.bit[i, j], conductance[i, j]
                law[w, w] += g
                law[b, b] += g
                law[w, b] -= g
                law[b, w] -= g
        self.solved = splu(law.tocsc())
        self.drivers = nodes + np.arange(rows)
        self.sense = nodes + rows + np.arange(cols)

    def transfer(self):
        """Sense currents (cols, rows) for 1 V at one driver at a time."""
        given = np.zeros((self.size, self.rows))
        given[self.drivers, np.arange(self.rows)] = -1.0
        return self.solved.solve(given)[self.sense]

    def cell_voltages(self, i, j):
        """Word-line minus bit-line voltage at a cell for 1 V at one driver at a time."""
        given = np.zeros((self.size, self.rows))
        given[self.drivers, np.arange(self.rows)] = -1.0
        solution = self.solved.solve(given)
        return solution[self.word[i, j]] - solution[self.bit[i, j]]

    def injected(self, i, j):
        """Driver currents, sense currents and voltage for 1 A carried from word to bit line."""
        given = np.zeros(self.size)
        given[self.word[i, j]], given[self.bit[i, j]] = -1.0, 1.0
        solution = self.solved.solve(given)
        return (
            solution[self.drivers],
            solution[self.sense],
            float(solution[self.bit[i, j]] - solution[self.word[i, j]]),
        )


def cells(shape, distribution, rng, open_fraction=0.0):
    """Conductances in 1e-6 to 1e-4 S, some of them open."""
    if distribution == "uniform":
        conductance = rng.uniform(1e-6, 1e-4, shape)
    else:
        conductance = 10.0 ** rng.uniform(-6, -4, shape)
    return conductance * (rng.random(shape) >= open_fraction)


def terminals(count, rng):
    """Terminal resistances up to 200 Ω, half of them zero."""
    return rng.uniform(0, 200, count) * (rng.random(count) < 0.5)


def check_close(found, expected, relative):
    """Every element within a share of the largest."""
    assert np.abs(found - expected).max() <= relative * np.abs(expected).max()


@settings(max_examples=60)
@given(sizes, sizes, resistances, resistances, st.integers(0, 2**32 - 1))
def test_any_size_and_resistance_agrees_with_the_direct_solution(rows, cols, word, bit, seed):
    rng = stream(seed)
    conductance = cells((rows, cols), "log-uniform", rng, open_fraction=0.2)
    circuit = (conductance, word, bit, terminals(rows, rng), terminals(cols, rng))
    check_close(transfer_matrix(*circuit), Circuit(*circuit).transfer(), 1e-11)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("wires", WIRES, ids=str)
def test_every_element_at_64_by_64_agrees_with_the_direct_solution(distribution, wires):
    circuit = (cells((64, 64), distribution, stream(1)), *wires)
    np.testing.assert_allclose(transfer_matrix(*circuit), Circuit(*circuit).transfer(), rtol=1e-11)


@pytest.mark.parametrize("shape", [(128, 96), (1, 150), (150, 1), (70, 3), (3, 70)], ids=str)
def test_rectangles_with_terminals_and_open_cells_agree_with_the_direct_solution(shape):
    rng = stream(2, *shape)
    conductance = cells(shape, "uniform", rng, open_fraction=0.1)
    circuit = (conductance, 1.0, 2.5, terminals(shape[0], rng), terminals(shape[1], rng))
    np.testing.assert_allclose(
        transfer_matrix(*circuit), Circuit(*circuit).transfer(), rtol=1e-11, atol=1e-300
    )


@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1e3])
def test_wires_that_dwarf_or_vanish_beside_the_cells_stay_exact(scale):
    rng = stream(3)
    conductance = cells((37, 41), "log-uniform", rng)
    circuit = (conductance, scale, scale, 1e3 * rng.random(37), 1e3 * rng.random(41))
    check_close(transfer_matrix(*circuit), Circuit(*circuit).transfer(), 1e-11)


@pytest.mark.parametrize("shape", [(1, 1), (16, 16), (17, 40), (100, 33)], ids=str)
def test_ideal_wires_give_the_conductances_themselves(shape):
    conductance = cells(shape, "log-uniform", stream(4), open_fraction=0.1)
    np.testing.assert_allclose(transfer_matrix(conductance, 0, 0), conductance.T, rtol=1e-14)


def test_one_cell_is_a_series_connection():
    found = transfer_matrix(np.array([[0.25]]), 1.0, 2.0, 3.0, 5.0)
    np.testing.assert_allclose(found, [[1 / (4 + 1 + 2 + 3 + 5)]], rtol=1e-15)


@pytest.mark.parametrize("count", [1, 7, 50])
def test_one_line_with_ideal_wires_is_a_voltage_divider(count):
    conductance = cells((1, count), "uniform", stream(5))
    divided = conductance / (1 + 300.0 * conductance.sum())
    along_word_line = transfer_matrix(conductance, 0, 0, source_resistance=300.0)
    np.testing.assert_allclose(along_word_line, divided.T, rtol=1e-13)
    along_bit_line = transfer_matrix(conductance.T, 0, 0, sink_resistance=300.0)
    np.testing.assert_allclose(along_bit_line, divided, rtol=1e-13)


def test_an_endless_word_line_has_its_characteristic_conductance():
    # Driving-point resistance of a ladder: x = r + x ∥ 1/g; bit lines at 0 V collect all current.
    r, g = 2.0, 0.05
    resistance = r / 2 + np.sqrt(r**2 / 4 + r / g)
    currents = transfer_matrix(np.full((1, 300), g), r, 0.0)[:, 0]
    assert currents.sum() == pytest.approx(1 / resistance, rel=1e-12)
    ratio = currents[1:100] / currents[:99]
    np.testing.assert_allclose(ratio, 1 - r / resistance, rtol=1e-11)


def test_open_lines_carry_exactly_nothing_and_change_nothing_else():
    conductance = cells((40, 35), "uniform", stream(6))
    conductance[19], conductance[:, 34] = 0.0, 0.0
    found = transfer_matrix(conductance, 1.0, 2.5, 10.0, 20.0)
    assert not found[34].any()
    assert not found[:, 19].any()
    alone = transfer_matrix(conductance[:, :34], 1.0, 2.5, 10.0, 20.0)
    np.testing.assert_allclose(found[:34], alone, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("wires", WIRES, ids=str)
def test_wires_only_take_current_away(distribution, wires):
    rng = stream(7)
    conductance = cells((48, 80), distribution, rng)
    source, sink = terminals(48, rng), terminals(80, rng)
    found = transfer_matrix(conductance, *wires, source, sink)
    assert (found > 0).all()
    assert (found.sum(axis=0) < conductance.sum(axis=1)).all()
    assert (found.sum(axis=1) < conductance.sum(axis=0)).all()
    if min(wires) > 0:
        assert (found.sum(axis=0) < 1 / (wires[0] + source)).all()
        assert (found.sum(axis=1) < 1 / (wires[1] + sink)).all()
    more = transfer_matrix(conductance, *wires, source + 10.0, sink)
    assert (more.sum(axis=1) < found.sum(axis=1)).all()


@settings(max_examples=30)
@given(sizes, sizes, resistances, resistances, st.integers(0, 2**32 - 1))
def test_drivers_and_sense_nodes_are_reciprocal(rows, cols, word, bit, seed):
    # Driven from the sense nodes and sensed at the drivers, the same circuit is another crossbar.
    rng = stream(seed)
    conductance = cells((rows, cols), "uniform", rng)
    source, sink = terminals(rows, rng), terminals(cols, rng)
    forward = transfer_matrix(conductance, word, bit, source, sink)
    backward = transfer_matrix(conductance.T[::-1, ::-1], bit, word, sink[::-1], source[::-1])
    check_close(backward.T[::-1, ::-1], forward, 1e-12)


def test_only_products_of_resistance_and_conductance_matter():
    conductance = cells((30, 50), "uniform", stream(8))
    scaled = transfer_matrix(conductance * 2.0**20, 2.0**-20, 2.0**-20, 2.0**-17, 2.0**-18)
    np.testing.assert_array_equal(
        scaled, 2.0**20 * transfer_matrix(conductance, 1.0, 1.0, 8.0, 4.0)
    )


def test_arguments_stay_untouched_whatever_their_layout():
    conductance = np.asfortranarray(cells((20, 30), "uniform", stream(9)))
    before = conductance.copy()
    conductance.flags.writeable = False
    found = transfer_matrix(conductance, 1.0, 1.0)
    np.testing.assert_array_equal(conductance, before)
    np.testing.assert_array_equal(found, transfer_matrix(before.copy(order="C"), 1.0, 1.0))
    assert found.shape == (30, 20)
    assert found.flags.c_contiguous


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"conductance": np.ones(3)}, r"conductance has shape \(3,\)"),
        ({"conductance": np.ones((0, 2))}, "not empty"),
        ({"conductance": np.array([[1.0, np.nan]])}, "conductance has a negative or non-finite"),
        ({"conductance": np.array([[1.0, -1e-9]])}, "conductance has a negative or non-finite"),
        ({"word_line_resistance": -1.0}, "word_line_resistance has a negative"),
        ({"bit_line_resistance": np.inf}, "bit_line_resistance has a negative or non-finite"),
        (
            {"bit_line_resistance": np.ones(2)},
            r"bit_line_resistance has shape \(2,\); allowed: a scalar$",
        ),
        ({"source_resistance": np.ones(2)}, r"source_resistance has shape \(2,\).*\(3,\)"),
        ({"sink_resistance": np.ones((2, 1))}, r"sink_resistance has shape \(2, 1\).*\(2,\)"),
    ],
)
def test_unusable_circuits_are_refused(changed, message):
    circuit = {
        "conductance": np.ones((3, 2)),
        "word_line_resistance": 1.0,
        "bit_line_resistance": 1.0,
        "source_resistance": 0.0,
        "sink_resistance": 0.0,
    }
    with pytest.raises(InputError, match=message):
        transfer_matrix(**{**circuit, **changed})


@settings(max_examples=40)
@given(sizes, sizes, resistances, resistances, st.integers(0, 2**32 - 1), st.data())
def test_an_update_equals_a_new_transfer_matrix(rows, cols, word, bit, seed, data):
    i, j = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, cols - 1))
    new = data.draw(st.sampled_from([0.0, 1e-6, 1e-4, 1e-2]))
    rng = stream(seed)
    conductance = cells((rows, cols), "log-uniform", rng, open_fraction=0.2)
    rest = (word, bit, terminals(rows, rng), terminals(cols, rng))
    before = Circuit(conductance, *rest)
    _, sense_currents, resistance = before.injected(i, j)
    updated = reprogrammed(
        transfer_matrix(conductance, *rest),
        new - conductance[i, j],
        before.cell_voltages(i, j),
        sense_currents,
        resistance,
    )
    conductance[i, j] = new
    rebuilt = transfer_matrix(conductance, *rest)
    # A single cell that is opened leaves nothing: compare with what there was, too.
    scale = max(np.abs(rebuilt).max(), np.abs(before.transfer()).max())
    assert np.abs(updated - rebuilt).max() <= 1e-12 * scale


def test_driver_currents_of_the_one_solution_are_the_cell_voltages_of_the_other():
    circuit = Circuit(cells((9, 7), "uniform", stream(10)), 1.0, 2.5, 10.0, 20.0)
    driver_currents, _, _ = circuit.injected(4, 2)
    np.testing.assert_allclose(driver_currents, circuit.cell_voltages(4, 2), rtol=1e-10)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"cell_voltages": np.ones(3)}, r"cell_voltages has shape \(3,\); allowed: \(2,\)"),
        ({"sense_currents": np.ones(2)}, r"sense_currents has shape \(2,\); allowed: \(3,\)"),
        ({"change": -0.5}, "change=-0.5 S at resistance=2.0"),
        ({"change": np.nan}, "change=nan"),
    ],
)
def test_unusable_updates_are_refused(changed, message):
    update = {
        "transfer": np.ones((3, 2)),
        "change": 1.0,
        "cell_voltages": np.ones(2),
        "sense_currents": np.ones(3),
        "resistance": 2.0,
    }
    with pytest.raises(InputError, match=message):
        reprogrammed(**{**update, **changed})
