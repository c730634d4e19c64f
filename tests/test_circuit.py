"""Networks: every solver against nodal analysis, circuit laws, limits, gradients, refusals."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zerohm import InputError
from zerohm._memory import require_memory
from zerohm.crossbar import nonlinear
from zerohm.crossbar.adjoint import gradient
from zerohm.crossbar.network import BREAK_EVEN_VECTORS, Network
from zerohm.crossbar.solvers import SOLVERS, SolverError, refine, source_line_currents

spec = importlib.util.spec_from_file_location(
    "naive_circuit", Path(__file__).with_name("naive_circuit.py")
)
naive = importlib.util.module_from_spec(spec)
spec.loader.exec_module(naive)

every_solver = pytest.mark.parametrize("solver", [*SOLVERS, "transfer"])
resistance = st.sampled_from([0.0, 0.0, 1e-3, 0.5, 1.0, 2.5, 40.0])
terminal = st.sampled_from([0.0, 10.0, 200.0, 1e4])
far_end = st.sampled_from([np.inf, np.inf, 0.0, 30.0])


def cells(rows, cols, seed=0, *, open_cells=False):
    """Conductances from 1 to 100 µS, log-uniform; a fifth of them 0 if asked for."""
    rng = np.random.default_rng(seed)
    conductance = 10.0 ** rng.uniform(-6, -4, (rows, cols))
    if open_cells:
        conductance[rng.random((rows, cols)) < 0.2] = 0.0
    return conductance


def inputs(rows, seed=1, batch=None):
    """Voltages from 0 to 0.2 V."""
    return np.random.default_rng(seed).uniform(0.0, 0.2, rows if batch is None else (batch, rows))


def assert_close(found, expected, tolerance=1e-10):
    """Errors relative to the largest expected value."""
    assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


@st.composite
def networks(draw):
    """Conductances and keyword arguments of a network without floating lines."""
    rows, cols = draw(st.integers(1, 20)), draw(st.integers(1, 20))
    conductance = cells(rows, cols, draw(st.integers(0, 99)), open_cells=draw(st.booleans()))
    return conductance, {
        "word_line_resistance": draw(resistance),
        "bit_line_resistance": draw(resistance),
        "source_resistance": draw(terminal),
        "sink_resistance": draw(terminal),
        "far_source_resistance": draw(far_end),
        "far_sink_resistance": draw(far_end),
    }


# Solvers


@every_solver
@settings(max_examples=60)
@given(network=networks(), seed=st.integers(0, 99))
def test_solvers_agree_with_dense_nodal_analysis(solver, network, seed):
    conductance, options = network
    net = Network(conductance, **options)
    voltages = inputs(len(conductance), seed)
    expected, word, bit = naive.nodal(
        conductance, voltages, **{name.split("_resistance")[0]: r for name, r in renamed(options)}
    )
    try:
        solution = net.solve(voltages, solver=solver, tolerance=1e-12)
    except SolverError:
        # The one excuse, and not one for the solvers that "auto" falls back to.
        assert solver == "line_gradient"
        assert 0.0 in (options["word_line_resistance"], options["bit_line_resistance"])
        return
    assert solution.solver == solver
    assert solution.residual <= 1e-12
    if not conductance.any():
        assert not solution.currents.any()
        return
    assert_close(solution.currents, expected)
    assert_close(solution.word_line_voltages, word)
    assert np.abs(solution.bit_line_voltages - bit).max() <= 1e-10 * voltages.max()


def renamed(options):
    """The naive reference calls the segments word and bit."""
    for name, value in options.items():
        yield name.replace("_line", ""), value


@pytest.mark.parametrize("wire_resistance", [1.0, 25.0])
@pytest.mark.parametrize("solver", SOLVERS)
def test_solvers_agree_with_each_other_on_a_larger_array(solver, wire_resistance):
    net = Network(cells(90, 70), wire_resistance=wire_resistance, source_resistance=50.0)
    expected = net.solve(inputs(90), solver="direct", tolerance=1e-12).currents
    assert_close(net.solve(inputs(90), solver=solver).currents, expected)


@pytest.mark.parametrize("solver", SOLVERS)
def test_residual_bounds_the_error_of_cell_voltages(solver):
    """In the power norm, for approximate solutions of any tolerance."""
    net = Network(cells(40, 30), wire_resistance=20.0)
    applied = np.subtract.outer(inputs(40), np.zeros(30))
    exact = refine(net.prepare("direct"), applied, 1e-13).voltages
    for tolerance in (1e-2, 1e-4, 1e-8):
        found = refine(net.prepare(solver), applied, tolerance)
        error = np.sqrt((net.circuit.conductance * (found.voltages - exact) ** 2).sum())
        scale = np.sqrt((net.circuit.conductance * found.voltages**2).sum())
        assert found.residual <= tolerance
        assert error <= found.residual * scale + 1e-13 * scale


def test_a_wrong_solution_is_not_accepted(monkeypatch):
    """A solver that returns something else makes solve raise, with the array and a remedy."""

    class Careless(SOLVERS["direct"]):
        def attempt(self, applied, tolerance):
            found = super().attempt(applied, tolerance)
            wrong = np.roll(found.voltages, 1)
            return self.circuit.solved(wrong, applied, 0, found.word_starts, found.bit_starts)

    monkeypatch.setitem(SOLVERS, "direct", Careless)
    net = Network(cells(12, 9), wire_resistance=1.0)
    with pytest.raises(SolverError, match=r"12x9 array, tolerance=1e-11 .* raise the tolerance"):
        net.solve(inputs(12), solver="direct")


@pytest.mark.parametrize("solver", [*SOLVERS, "transfer"])
@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_currents_scale_with_voltages_to_round_off(solver, scale):
    """A solver with an absolute stopping rule returns ideal-wire currents for small inputs."""
    net = Network(cells(40, 33), wire_resistance=2.5)
    full = net.solve(inputs(40), solver=solver).currents
    scaled = net.solve(scale * inputs(40), solver=solver).currents
    np.testing.assert_allclose(scaled, scale * full, rtol=1e-13)


def test_vectors_do_not_influence_each_other():
    net = Network(cells(20, 15), wire_resistance=2.0)
    voltages = inputs(20, batch=3) * np.array([[1.0], [1e-6], [1e6]])
    together = net.solve(voltages).currents
    for vector, currents in zip(voltages, together, strict=True):
        np.testing.assert_array_equal(net.solve(vector).currents, currents)


# Choice of the solver


def test_auto_chooses_by_circuit_and_batch_and_says_so():
    conductance = cells(6, 5)
    assert Network(conductance).solve(inputs(6)).solver == "transfer"
    wired = Network(conductance, wire_resistance=1.0)
    assert wired.solve(inputs(6)).solver == "line_gradient"
    assert Network(conductance, word_line_resistance=1.0).solve(inputs(6)).solver == (
        "device_gradient"
    )
    assert wired.solve(inputs(6, batch=BREAK_EVEN_VECTORS)).solver == "transfer"
    assert wired.solve(inputs(6)).solver == "transfer"  # known by now
    assert wired.solve(inputs(6), bit_line_voltages=0.1).solver == "line_gradient"
    floating = Network(conductance, source_resistance=[0, np.inf, 0, 0, 0, 0])
    assert floating.solve(inputs(6)).solver == "direct"


def test_batches_agree_with_single_vectors_whatever_solves_them():
    net = Network(cells(9, 7), wire_resistance=3.0, source_resistance=100.0)
    voltages = inputs(9, batch=BREAK_EVEN_VECTORS)
    batch = net.solve(voltages)
    single = net.solve(voltages[4], solver="line_gradient")
    assert_close(batch.currents[4], single.currents)
    assert_close(batch.word_line_voltages[4], single.word_line_voltages)
    assert_close(batch.power.total[4], single.power.total)


@pytest.mark.parametrize(
    "options",
    [
        {"wire_resistance": 2.0, "source_resistance": 100.0},
        {"wire_resistance": 2.0, "far_source_resistance": 0.0, "far_sink_resistance": 10.0},
        {"wire_resistance": 2.0, "sink_resistance": [0.0, np.inf, 5.0, 0.0]},
        {"bit_line_resistance": 2.0, "source_resistance": [0.0, np.inf, 5.0, 0.0, 1.0]},
        {},
    ],
)
def test_transfer_matrix_maps_voltages_to_currents(options):
    net = Network(cells(5, 4), **options)
    transfer = net.transfer()
    assert transfer.shape == (4, 5)
    voltages = inputs(5, batch=3)
    expected = net.solve(voltages, solver="direct").currents
    assert_close(voltages @ transfer.T, expected)


# Laws of circuits


@settings(max_examples=40)
@given(network=networks())
def test_power_of_all_elements_is_what_the_terminals_deliver(network):
    """Tellegen's theorem; every element is passive."""
    conductance, options = network
    rows, cols = conductance.shape
    net = Network(conductance, **options)
    word, bit = inputs(rows), inputs(cols, seed=2)
    solution = net.solve(word, bit_line_voltages=bit)
    flow = solution.cell_currents
    delivered = word @ flow.sum(axis=1) - bit @ flow.sum(axis=0)
    assert solution.power.total == pytest.approx(delivered, rel=1e-9, abs=1e-20)
    assert min(part.min() for part in solution.power) >= -1e-25


@settings(max_examples=40)
@given(network=networks())
def test_kirchhoffs_current_law_holds_at_every_node(network):
    """Currents through wires, from potentials alone, balance those of the cells."""
    conductance, options = network
    net = Network(conductance, **options)
    solution = net.solve(inputs(len(conductance)))
    for lines, nodes, drawn in (
        (net.circuit.word, solution.word_line_voltages, solution.cell_currents),
        (net.circuit.bit, solution.bit_line_voltages.T, -solution.cell_currents.T),
    ):
        if lines.segment >= 0.5:
            along = -np.diff(nodes, axis=1) / lines.segment
            balance = along[:, :-1] - along[:, 1:] - drawn[:, 1:-1]
            assert np.abs(balance).max(initial=0.0) <= 1e-14 / lines.segment


def test_superposition():
    net = Network(cells(14, 11), wire_resistance=5.0)
    one, two = inputs(14, 1), inputs(14, 2)
    assert_close(
        net.solve(3.0 * one - two).currents, 3.0 * net.solve(one).currents - net.solve(two).currents
    )


def test_reciprocity_of_transposed_array():
    """Driving bit lines and sensing word lines has the transposed transfer matrix."""
    conductance = cells(8, 5)
    net = Network(
        conductance,
        word_line_resistance=2.0,
        bit_line_resistance=7.0,
        source_resistance=30.0,
        sink_resistance=11.0,
    )
    mirrored = Network(
        conductance[::-1, ::-1].T,
        word_line_resistance=7.0,
        bit_line_resistance=2.0,
        source_resistance=11.0,
        sink_resistance=30.0,
    )
    assert_close(mirrored.transfer()[::-1, ::-1].T, net.transfer())


def test_currents_lie_between_zero_and_ideal():
    conductance, voltages = cells(32, 32), inputs(32)
    ideal = voltages @ conductance
    before = ideal
    for wire_resistance in (0.1, 1.0, 10.0, 100.0):
        currents = Network(conductance, wire_resistance=wire_resistance).solve(voltages).currents
        assert (currents > 0.0).all()
        assert (currents < before).all()
        before = currents


# Limits with known answers


def test_ideal_wires_give_the_matrix_product():
    conductance, voltages = cells(7, 5), inputs(7, batch=4)
    np.testing.assert_allclose(
        Network(conductance).solve(voltages).currents, voltages @ conductance, rtol=1e-15
    )


@every_solver
def test_zero_resistance_is_the_limit_of_small_ones(solver):
    conductance, voltages = cells(6, 6), inputs(6)
    if solver == "line_gradient":
        with pytest.raises(SolverError, match="wire resistances > 0"):
            Network(conductance).solve(voltages, solver=solver)
        return
    ideal = Network(conductance).solve(voltages, solver=solver).currents
    tiny = Network(conductance, wire_resistance=1e-9).solve(voltages, solver=solver).currents
    assert_close(tiny, ideal, 1e-11)
    assert_close(ideal, voltages @ conductance, 1e-14)


@every_solver
def test_divider_of_one_cell(solver):
    """Driver, source resistance, segment, cell, segment, sink resistance, sense node: in series."""
    net = Network(
        [[1e-3]],
        word_line_resistance=3.0,
        bit_line_resistance=5.0,
        source_resistance=200.0,
        sink_resistance=70.0,
    )
    expected = 0.5 / (200.0 + 3.0 + 1000.0 + 5.0 + 70.0)
    solution = net.solve([0.5], solver=solver)
    np.testing.assert_allclose(solution.currents, [expected], rtol=1e-13)
    np.testing.assert_allclose(solution.word_line_voltages, [[0.5 - 203.0 * expected]], rtol=1e-13)
    np.testing.assert_allclose(solution.bit_line_voltages, [[75.0 * expected]], rtol=1e-13)


@every_solver
def test_one_word_line_is_a_ladder(solver):
    """Input resistance by continued fraction: segment, then cell in parallel with what follows."""
    conductance = cells(1, 12)
    seen = np.inf
    for value in conductance[0, ::-1]:
        seen = 2.0 + 1.0 / (value + (0.0 if np.isinf(seen) else 1.0 / seen))
    net = Network(conductance, word_line_resistance=2.0)
    if solver == "line_gradient":
        with pytest.raises(SolverError, match="wire resistances > 0"):
            net.solve([0.3], solver=solver)
        return
    currents = net.solve([0.3], solver=solver).currents
    np.testing.assert_allclose(currents.sum(), 0.3 / seen, rtol=1e-12)


@every_solver
def test_source_resistance_stands_before_the_word_lines(solver):
    """Not before single cells or bit lines, where it would act quite differently."""
    conductance, voltages = cells(32, 32), inputs(32)
    options = {"word": 1.0, "bit": 1.0}
    expected, *_ = naive.nodal(conductance, voltages, source=200.0, **options)
    misplaced, *_ = naive.nodal(conductance, voltages, sink=200.0, **options)
    net = Network(conductance, wire_resistance=1.0, source_resistance=200.0)
    assert_close(net.solve(voltages, solver=solver).currents, expected)
    assert np.abs(misplaced - expected).max() > 0.03 * expected.max()


def test_drivers_at_both_ends_see_a_mirrored_array():
    conductance = cells(4, 6)
    symmetric = np.hstack([conductance, conductance[:, ::-1]])
    both = Network(
        symmetric, word_line_resistance=4.0, source_resistance=9.0, far_source_resistance=9.0
    )
    currents = both.solve(inputs(4)).currents
    assert_close(currents, currents[::-1])


def test_interleaved_differential_columns_are_columns_in_that_order():
    """The order of columns changes what wires do to them, and the network follows it."""
    positive, negative, voltages = cells(16, 8, 1), cells(16, 8, 2), inputs(16)
    interleaved = np.stack([positive, negative], axis=-1).reshape(16, 16)
    currents = Network(interleaved, wire_resistance=10.0).solve(voltages).currents
    expected, *_ = naive.nodal(interleaved, voltages, word=10.0, bit=10.0)
    apart = Network(np.hstack([positive, negative]), wire_resistance=10.0).solve(voltages).currents
    assert_close(currents[0::2] - currents[1::2], expected[0::2] - expected[1::2], 1e-9)
    assert np.abs((currents[0::2] - currents[1::2]) - (apart[:8] - apart[8:])).max() > 1e-8


# Floating and half-selected lines

FLOATING = {
    "word line": {"source_resistance": np.array([0.0, np.inf, 5.0, 0.0, np.inf])},
    "bit line": {"sink_resistance": np.array([0.0, np.inf, 5.0, 0.0])},
    "both": {
        "source_resistance": np.array([0.0, np.inf, 5.0, 0.0, 0.0]),
        "sink_resistance": np.array([np.inf, 0.0, 5.0, 0.0]),
    },
}


@pytest.mark.parametrize("wires", [(0.0, 0.0), (3.0, 0.0), (0.0, 3.0), (3.0, 2.0), (1e-2, 1e-3)])
@pytest.mark.parametrize("kind", FLOATING)
@pytest.mark.parametrize("solver", SOLVERS)
def test_floating_lines_carry_no_net_current(solver, kind, wires):
    options, (word, bit) = FLOATING[kind], wires
    conductance, voltages = cells(5, 4), inputs(5)
    net = Network(conductance, word_line_resistance=word, bit_line_resistance=bit, **options)
    if solver == "device_gradient" or (solver == "line_gradient" and not (word and bit)):
        with pytest.raises(SolverError, match=f"solver='{solver}' needs"):
            net.solve(voltages, solver=solver)
        return
    solution = net.solve(voltages, solver=solver, tolerance=1e-12)
    expected, word_nodes, bit_nodes = naive.nodal(
        conductance,
        voltages,
        word=word,
        bit=bit,
        **{name.split("_")[0]: value for name, value in options.items()},
    )
    assert_close(solution.currents, expected)
    assert_close(solution.word_line_voltages, word_nodes)
    assert_close(solution.bit_line_voltages, bit_nodes)
    flow = solution.cell_currents
    assert np.abs(flow.sum(axis=1)[net.circuit.word.floating]).max(initial=0.0) < 1e-16
    assert np.abs(flow.sum(axis=0)[net.circuit.bit.floating]).max(initial=0.0) < 1e-16


def test_half_select_scheme():
    """One line of each kind selected, all others at half of the voltage."""
    conductance = cells(6, 5)
    word, bit = np.full(6, 0.5), np.full(5, 0.5)
    word[2], bit[3] = 1.0, 0.0
    net = Network(conductance, wire_resistance=2.0)
    solution = net.solve(word, bit_line_voltages=bit)
    expected, *_ = naive.nodal(conductance, word, word=2.0, bit=2.0, bit_voltages=bit)
    assert_close(solution.currents, expected)
    across = solution.word_line_voltages - solution.bit_line_voltages
    assert np.unravel_index(across.argmax(), across.shape) == (2, 3)
    half = np.delete(np.delete(across, 2, 0), 3, 1)
    assert np.abs(half).max() < 0.01


# Source lines


@pytest.mark.parametrize("driven_at", ["first", "last"])
@settings(max_examples=60)
@given(
    rows=st.integers(1, 20),
    source_line=resistance,
    bit_line=resistance,
    ends=st.tuples(terminal, terminal),
    seed=st.integers(0, 99),
)
def test_source_lines_agree_with_nodal_analysis(driven_at, rows, source_line, bit_line, ends, seed):
    conductance = cells(rows, 2, seed)
    selected = np.random.default_rng(seed).random((3, rows)) < 0.6
    selected[2] = False
    found = source_line_currents(
        conductance,
        selected,
        read_voltage=0.2,
        source_line_resistance=source_line,
        bit_line_resistance=bit_line,
        source_resistance=ends[0],
        sink_resistance=ends[1],
        driven_at=driven_at,
    )
    for k, on in enumerate(selected[:2]):
        for j in range(2):
            expected = on.any() and naive.two_rails(
                conductance[:, j],
                on,
                source_line=source_line,
                bit_line=bit_line,
                source=ends[0],
                sink=ends[1],
                driven_at=driven_at,
            )
            assert found[k, j] == pytest.approx(0.2 * expected, rel=1e-11, abs=0.0)
    assert not found[2].any()


def test_source_line_refusals():
    resistances = {"source_line_resistance": 1.0, "bit_line_resistance": 1.0}
    for conductance, selected, options, message in (
        ([1.0], [True], {}, "conductance has shape"),
        ([[1.0], [1.0]], [1.0, 0.0], {}, "of float64, it must be"),
        ([[1.0], [1.0]], [True], {}, r"selected has shape \(1,\)"),
        ([[-1.0]], [True], {}, "conductance must be finite and not negative"),
        ([[1.0]], [True], {"sink_resistance": np.nan}, "sink_resistance must be finite"),
        ([[1.0]], [True], {"read_voltage": np.inf}, "read_voltage=inf V"),
        ([[1.0]], [True], {"driven_at": "lats"}, "did you mean 'last'"),
    ):
        with pytest.raises(InputError, match=message):
            source_line_currents(
                conductance, selected, **{"read_voltage": 0.2, **resistances, **options}
            )


# Gradients


@pytest.mark.parametrize(
    "options",
    [
        {"wire_resistance": 20.0, "source_resistance": 300.0, "sink_resistance": 100.0},
        {"bit_line_resistance": 20.0, "far_sink_resistance": 3.0},
        {"wire_resistance": 20.0, "sink_resistance": [0.0, 0.0, np.inf]},
    ],
)
def test_gradient_agrees_with_finite_differences(options):
    """Of Σ I²/2 over a batch, by every conductance and every voltage; central differences."""
    conductance, voltages = cells(4, 3), inputs(4, batch=2)

    def loss(conductance, voltages):
        solution = Network(conductance, **options).solve(voltages, solver="direct", tolerance=1e-12)
        return 0.5e12 * (solution.currents**2).sum()

    net = Network(conductance, **options)
    found = gradient(net, voltages, 1e12 * net.solve(voltages).currents)
    for target, derivative in ((conductance, found.conductance), (voltages, found.voltages)):
        for index in np.ndindex(target.shape):
            step = 1e-4 * target[index]
            sides = []
            for sign in (1, -1):
                moved = target.copy()
                moved[index] += sign * step
                pair = (moved, voltages) if target is conductance else (conductance, moved)
                sides.append(loss(*pair))
            difference = (sides[0] - sides[1]) / (2 * step)
            np.testing.assert_allclose(
                derivative[index], difference, rtol=2e-6, atol=1e-7 * np.abs(derivative).max()
            )


def test_gradient_refuses_shapes_that_do_not_match():
    net = Network(cells(3, 2), wire_resistance=1.0)
    with pytest.raises(InputError, match=r"current_gradient has shape \(3,\)"):
        gradient(net, np.ones(3), np.ones(3))
    with pytest.raises(InputError, match="one per vector"):
        gradient(net, np.ones((2, 3)), np.ones(2))
    with pytest.raises(InputError, match="voltages must be finite"):
        gradient(net, np.full(3, np.nan), np.ones(2))


# Nonlinear cells

LAWS = {
    "sinh": nonlinear.Sinh(a=0.2, b=5.0, max_voltage=0.5),
    "Stanford-PKU": nonlinear.StanfordPKU(
        current_scale=1e-3, gap_scale=0.25e-9, voltage_scale=0.25, max_voltage=0.5
    ).law(),
    "polynomial": nonlinear.OddPolynomial(coefficients=(3.0, -0.5), max_voltage=0.5),
}


@pytest.mark.parametrize("wires", [0.0, 30.0])
@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_nonlinear_cells_obey_their_law_in_the_circuit(law, wires):
    """The chord conductances I/V of the solution make a linear network with the same currents."""
    net = Network(cells(9, 8), wire_resistance=wires, source_resistance=500.0)
    voltages = inputs(9) * np.array([2.0, -2.0, 1.0] * 3)
    found = nonlinear.solve(net, law, voltages)
    assert found.residual <= 1e-10
    chords = found.cell_currents / found.cell_voltages
    linear = Network(chords, wire_resistance=wires, source_resistance=500.0).solve(voltages)
    assert_close(found.currents, linear.currents, 1e-9)
    np.testing.assert_allclose(
        found.cell_currents, law.current(net.circuit.conductance, found.cell_voltages)
    )
    assert np.abs(found.currents - net.solve(voltages).currents).max() > 0.01 * found.currents.max()


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_slope_is_the_derivative_and_the_conductance_at_zero(law):
    voltage, step = np.linspace(-0.5, 0.5, 41), 1e-6
    ones = np.ones_like(voltage)
    numeric = (law.current(ones, voltage + step) - law.current(ones, voltage - step)) / (2 * step)
    np.testing.assert_allclose(law.slope(ones, voltage), numeric, rtol=1e-8)
    assert law.slope(np.ones(1), np.zeros(1)) == pytest.approx(1.0)


def test_small_signals_meet_the_linear_network():
    net = Network(cells(9, 8), wire_resistance=30.0)
    small = 1e-7 * inputs(9)
    found = nonlinear.solve(net, LAWS["sinh"], small)
    assert_close(found.currents, net.solve(small).currents, 1e-9)


def test_nonlinear_refusals():
    net = Network(cells(2, 2), wire_resistance=1.0)
    with pytest.raises(InputError, match=r"within ±0.5 V"):
        nonlinear.solve(net, LAWS["sinh"], [0.1, 0.6])
    with pytest.raises(InputError, match="finite"):
        nonlinear.solve(net, LAWS["sinh"], [0.1, np.nan])
    with pytest.raises(InputError, match=r"shape \(3,\)"):
        nonlinear.solve(net, LAWS["sinh"], [0.1, 0.2, 0.3])
    open_line = Network(cells(2, 2), source_resistance=[0.0, np.inf])
    with pytest.raises(InputError, match="floating"):
        nonlinear.solve(open_line, LAWS["sinh"], [0.1, 0.2])
    with pytest.raises(ValueError, match="does not grow"):
        nonlinear.OddPolynomial(coefficients=(-2.0,), max_voltage=1.0)


# Refusals


@pytest.mark.parametrize(
    ("conductance", "options", "message"),
    [
        ([1.0], {}, r"conductance has shape \(1,\)"),
        (np.zeros((0, 3)), {}, r"conductance has shape \(0, 3\)"),
        ([[1.0, -1.0]], {}, r"conductance\[0, 1\]=.*-1.0.* S"),
        ([[1.0], [np.nan]], {}, r"conductance\[1, 0\]=.*nan.* S"),
        ([[1.0, np.inf]], {}, r"conductance\[0, 1\]=.*inf.* S"),
        ([[1.0]], {"wire_resistance": -1.0}, "wire_resistance=-1.0 Ω"),
        ([[1.0]], {"word_line_resistance": np.nan}, "word_line_resistance=nan Ω"),
        ([[1.0]], {"bit_line_resistance": np.inf}, "bit_line_resistance=inf Ω"),
        ([[1.0]], {"source_resistance": [1.0, 2.0]}, r"source_resistance has shape \(2,\)"),
        ([[1.0]], {"sink_resistance": -2.0}, "sink_resistance must not be negative"),
        (
            [[1.0, 1.0], [0.0, 0.0]],
            {"source_resistance": [0.0, np.inf]},
            r"word line 1 \(row 1, column 0\) has no path",
        ),
        (
            [[1.0, 0.0], [1.0, 0.0]],
            {"sink_resistance": [0.0, np.inf]},
            r"bit line 1 \(row 0, column 1\) has no path",
        ),
        (
            [[1.0, 0.0], [0.0, 1.0]],
            {"source_resistance": [0.0, np.inf], "sink_resistance": [0.0, np.inf]},
            r"word line 1 \(row 1, column 0\) has no path",
        ),
    ],
)
def test_unusable_networks_are_refused(conductance, options, message):
    with pytest.raises(InputError, match=message):
        Network(conductance, **options)


@pytest.mark.parametrize(
    ("voltages", "options", "message"),
    [
        ([1.0], {}, r"voltages has shape \(1,\), it must be \(2,\) or \(batch, 2\)"),
        (1.0, {}, r"voltages has shape \(\)"),
        (np.ones((0, 2)), {}, r"voltages has shape \(0, 2\)"),
        ([1.0, np.nan], {}, "voltages must be finite"),
        ([1.0, 1.0], {"bit_line_voltages": np.ones(2)}, r"bit_line_voltages has shape \(2,\)"),
        (
            np.ones((2, 2)),
            {"bit_line_voltages": np.ones((3, 3))},
            "bit_line_voltages has 3 vectors",
        ),
        ([1.0, 1.0], {"solver": "drect"}, "did you mean 'direct'"),
        ([1.0, 1.0], {"tolerance": 0.0}, "tolerance=0.0"),
    ],
)
def test_unusable_inputs_are_refused(voltages, options, message):
    with pytest.raises(InputError, match=message):
        Network(np.ones((2, 3)), wire_resistance=1.0).solve(voltages, **options)


def test_transfer_solver_refuses_biased_bit_lines():
    net = Network(cells(2, 2), wire_resistance=1.0)
    with pytest.raises(SolverError, match="grounded bit lines"):
        net.solve([0.1, 0.1], bit_line_voltages=0.1, solver="transfer")


def test_problems_beyond_the_memory_are_refused_with_the_number(monkeypatch):
    monkeypatch.setattr("zerohm._memory.available_memory", lambda: 5e5)
    with pytest.raises(InputError, match=r"needs about 3.0 GB .* 0.0 GB is available: do less"):
        require_memory(3e9, "this", "do less")
    net = Network(cells(60, 60), wire_resistance=1.0)
    with pytest.raises(InputError, match=r"solver='direct' for a 60x60 array needs about"):
        net.solve(inputs(60), solver="direct")
    with pytest.raises(InputError, match=r"transfer matrix of a 60x60 array needs about"):
        net.transfer()
    batch = net.solve(inputs(60, batch=50), solver="line_gradient")
    with pytest.raises(InputError, match="node voltages of 50 vectors"):
        _ = batch.word_line_voltages


def test_all_voltages_zero_is_solved_by_zero():
    for solver in SOLVERS:
        solution = Network(cells(3, 4), wire_resistance=1.0).solve(np.zeros(3), solver=solver)
        assert not solution.currents.any()
        assert solution.residual == 0.0
