"""An array of cells between resistive word lines and bit lines, solved exactly."""

from copy import copy
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from zerohm._arrays import Array
from zerohm._errors import InputError, choose
from zerohm._memory import require_memory

from .circuit import CellVoltages, Circuit, Lines
from .solution import Solution
from .solvers import SOLVERS, Solver, SolverError, iterative_for, predicted_memory, refine
from .solvers.hierarchical import transfer_matrix
from .solvers.rank_one import reprogrammed
from .spice import netlist

TOLERANCE = 1e-11
"""Default largest residual; currents are then exact to 1e-10 of the largest one."""

BREAK_EVEN_VECTORS = 50
"""From so many vectors on it pays to build the transfer matrix first."""


class Network:
    """Cells at the crossings of word lines (rows) and bit lines (columns), and their wires.

    The driver of word line i sits at the column-0 end, the sense node of bit line j below the last
    row; a wire segment lies between each of them and the nearest cell, and between neighbouring
    cells. Interleaved differential columns are columns in that order, a half-selected line is one
    at another voltage, an unconnected line one whose terminal resistances are infinite.

    Parameters
    ----------
    conductance : (rows, cols) S, of the cells, at least 0.
    wire_resistance : Ω per segment of all lines, at least 0; zero is exact.
    word_line_resistance, bit_line_resistance : Ω per segment, where the lines differ.
    source_resistance : Ω, one value or (rows,), of the drivers; ``inf`` leaves the end open.
    sink_resistance : Ω, one value or (cols,), of the sense nodes; ``inf`` leaves the end open.
    far_source_resistance : Ω, of drivers with the same voltages at the word lines' other end,
        behind a segment as well; open unless given.
    far_sink_resistance : Ω, of sense nodes above row 0, whose currents are added; open unless
        given.

    Raises
    ------
    InputError : wrong shapes, a conductance or resistance that is negative or NaN, a node that has
        no path to any terminal.

    Examples
    --------
    >>> from zerohm.crossbar import Network
    >>> network = Network([[100e-6, 50e-6], [20e-6, 80e-6]], wire_resistance=1.0)
    >>> solution = network.solve([0.2, 0.1])
    >>> (solution.currents * 1e6).round(3)
    array([21.992, 17.994])
    >>> solution.solver
    'line_gradient'
    """

    def __init__(
        self,
        conductance: ArrayLike,
        *,
        wire_resistance: float = 0.0,
        word_line_resistance: float | None = None,
        bit_line_resistance: float | None = None,
        source_resistance: ArrayLike = 0.0,
        sink_resistance: ArrayLike = 0.0,
        far_source_resistance: ArrayLike = np.inf,
        far_sink_resistance: ArrayLike = np.inf,
    ) -> None:
        cells = np.ascontiguousarray(conductance, dtype=np.float64)
        if cells.ndim != 2 or cells.size == 0:
            raise InputError(f"conductance has shape {cells.shape}, it must be (rows, cols)")
        rows, cols = cells.shape
        if not (cells.min() >= 0.0 and cells.max() < np.inf):
            i, j = np.argwhere(~((cells >= 0.0) & (cells < np.inf)))[0]
            raise InputError(
                f"conductance[{i}, {j}]={cells[i, j]!r} S must be finite and not negative"
            )
        word = _segment("wire_resistance", wire_resistance)
        bit = word
        if word_line_resistance is not None:
            word = _segment("word_line_resistance", word_line_resistance)
        if bit_line_resistance is not None:
            bit = _segment("bit_line_resistance", bit_line_resistance)
        self._source = _terminals("source_resistance", source_resistance, rows)
        self._sink = _terminals("sink_resistance", sink_resistance, cols)
        far_source = _terminals("far_source_resistance", far_source_resistance, rows)
        far_sink = _terminals("far_sink_resistance", far_sink_resistance, cols)
        self.circuit = Circuit(
            cells,
            Lines(word, word + self._source, word + far_source),
            Lines(bit, bit + far_sink, bit + self._sink),
        )
        self.circuit.check_connected()
        self._prepared: dict[str, Solver] = {}
        self._transfer: Array | None = None
        self._transfer_error = 0.0

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols)."""
        return self.circuit.shape

    def solve(
        self,
        voltages: ArrayLike,
        *,
        bit_line_voltages: ArrayLike = 0.0,
        tolerance: float = TOLERANCE,
        solver: str = "auto",
    ) -> Solution:
        """Currents, and on request node voltages and powers.

        Parameters
        ----------
        voltages : (rows,) or (batch, rows) V, of the drivers; without effect on floating lines.
        bit_line_voltages : V of the sense nodes, one value, (cols,) or (batch, cols).
        tolerance : largest relative residual.
        solver : ``"direct"``, ``"line_gradient"``, ``"device_gradient"``, ``"transfer"`` or
            ``"auto"``: the transfer matrix if it is known already or if the batch pays for it,
            else an iterative solver. The solution says which it was.

        Raises
        ------
        InputError : wrong shapes, NaN, an unknown solver, not enough memory.
        SolverError : the solver cannot take this network or does not reach the tolerance.
        """
        choose("solver", solver, ("auto", "transfer", *SOLVERS))
        if not 0.0 < tolerance < 1.0:
            raise InputError(f"tolerance={tolerance!r} must lie between 0 and 1")
        rows, cols = self.shape
        driven = _voltages("voltages", voltages, rows)
        word = np.atleast_2d(driven)
        given = _voltages("bit_line_voltages", bit_line_voltages, cols)
        if given.ndim == 2 and given.shape[0] != word.shape[0]:
            raise InputError(
                f"bit_line_voltages has {given.shape[0]} vectors, voltages has {word.shape[0]}"
            )
        bit = given if given.ndim == 2 else np.tile(given, (len(word), 1))
        if solver == "auto":
            solver = self._choose(word.shape[0], grounded=not given.any())
        if solver == "transfer":
            currents, residual = self._multiply(word, bit, tolerance), self._transfer_error
            name, iterations = iterative_for(self.circuit), 0
        else:
            currents, residual, name, iterations = np.empty((len(word), cols)), 0.0, solver, 0
            for k, (v, u) in enumerate(zip(word, bit, strict=True)):
                cells = self.solve_cells(v, u, tolerance=tolerance, solver=name)
                currents[k] = np.einsum("ij,ij->j", self.circuit.conductance, cells.voltages)
                residual = max(residual, cells.residual)
                iterations += cells.iterations
        if solver != "transfer" and len(word) == 1:
            solve_cells = partial(tuple[CellVoltages, ...], (cells,))
        else:
            solve_cells = partial(self._solve_batch, word, bit, tolerance, name)
        return Solution(
            currents if driven.ndim == 2 else currents[0],
            residual,
            solver,
            iterations,
            self.circuit,
            word,
            bit,
            solve_cells,
        )

    def solve_cells(
        self,
        word_voltages: Array,
        bit_voltages: Array,
        *,
        tolerance: float = TOLERANCE,
        solver: str | None = None,
    ) -> CellVoltages:
        """Voltages of all cells for one vector of terminal voltages, unchecked.

        Parameters
        ----------
        word_voltages : (rows,) V.
        bit_voltages : (cols,) V.
        tolerance : largest relative residual.
        solver : a name in :data:`zerohm.crossbar.solvers.SOLVERS`; ``None`` for an iterative one.

        Raises
        ------
        SolverError : as for :meth:`solve`.
        """
        applied = np.subtract.outer(word_voltages, bit_voltages)
        return refine(self.prepare(solver or iterative_for(self.circuit)), applied, tolerance)

    def prepare(self, solver: str) -> Solver:
        """The solver of that name for this network, made at the first call and then kept.

        Raises
        ------
        InputError : it would not fit into the memory.
        SolverError : it cannot take this network.
        """
        if solver not in self._prepared:
            rows, cols = self.shape
            require_memory(
                predicted_memory(solver, rows, cols),
                f"solver={solver!r} for a {rows}x{cols} array",
                "use an iterative solver or a smaller array",
            )
            self._prepared[solver] = SOLVERS[solver](self.circuit)
        return self._prepared[solver]

    def transfer(self) -> Array:
        """Transfer matrix T (cols, rows) in S: currents are ``voltages @ T.T``, wires included.

        It is built once, and checked against the solution for one vector of voltages.

        Raises
        ------
        InputError : it would not fit into the memory.
        """
        if self._transfer is None:
            self._transfer = self._build_transfer()
            ones, zeros = np.ones(self.shape[0]), np.zeros(self.shape[1])
            probe = self.solve_cells(ones, zeros, tolerance=0.1 * TOLERANCE)
            exact = np.einsum("ij,ij->j", self.circuit.conductance, probe.voltages)
            wrong = np.abs(self._transfer @ ones - exact).max()
            self._transfer_error = float(wrong / np.abs(exact).max()) if exact.any() else 0.0
        return self._transfer.copy()

    def reprogrammed(self, row: int, col: int, conductance: float) -> "Network":
        """The network after one cell was written; a known transfer matrix is updated, not rebuilt.

        The update costs one solution and a rank-one product (see
        :mod:`zerohm.crossbar.solvers.rank_one`).

        Parameters
        ----------
        row, col : which cell.
        conductance : S, its new value.

        Raises
        ------
        InputError : no such cell, a conductance that is negative or not finite, a node that loses
            its last path to a terminal, or a network with lines that float.

        Examples
        --------
        >>> network = Network([[1.0]], source_resistance=1.0)
        >>> network.transfer(), network.reprogrammed(0, 0, 2.0).transfer().round(9)
        (array([[0.5]]), array([[0.66666667]]))
        """
        rows, cols = self.shape
        if not (0 <= row < rows and 0 <= col < cols):
            raise InputError(f"cell ({row}, {col}) is outside the {rows}x{cols} array")
        if not 0.0 <= conductance < np.inf:
            raise InputError(f"conductance={conductance!r} S must be finite and not negative")
        if self.circuit.has_floating_lines:
            raise InputError("a network with floating lines cannot be updated: make a new one")
        cells = self.circuit.conductance.copy()
        cells[row, col] = conductance
        changed = copy(self)
        changed.circuit = replace(self.circuit, conductance=cells)
        changed.circuit.check_connected()
        changed._prepared = {}
        if self._transfer is not None:
            change = conductance - self.circuit.conductance[row, col]
            delivered, sensed, resistance = self._response_to_source(row, col)
            changed._transfer = reprogrammed(self._transfer, change, delivered, sensed, resistance)
        return changed

    def _response_to_source(self, row: int, col: int) -> tuple[Array, Array, float]:
        """Driver and sense currents (A/A) and resistance (Ω) for 1 A from a word to a bit line.

        The source lies across cell (row, col), all terminals are at 0 V.
        """
        rows, cols = self.shape
        source = np.zeros(self.shape)
        source[row, col] = 1.0
        word, bit = self.circuit.potentials(source, np.zeros(rows), np.zeros(cols))
        solver = self.prepare(iterative_for(self.circuit))
        cells = refine(solver, word - bit, 0.1 * TOLERANCE).voltages
        currents = self.circuit.conductance * cells + source
        return currents.sum(axis=1), currents.sum(axis=0), -float(cells[row, col])

    def driver_currents(self, voltages: Array) -> Array:
        """Currents (rows,) in A that the drivers deliver, for voltages (rows,) in V."""
        cells = self.solve_cells(voltages, np.zeros(self.shape[1]))
        currents: Array = np.einsum("ij,ij->i", self.circuit.conductance, cells.voltages)
        return currents

    def to_spice(self, voltages: ArrayLike, *, bit_line_voltages: ArrayLike = 0.0) -> str:
        """Netlist of the circuit with a DC analysis that ngspice runs and prints currents of.

        Parameters
        ----------
        voltages : (rows,) V.
        bit_line_voltages : V, one value or (cols,).

        Raises
        ------
        InputError : wrong shapes or NaN.
        """
        rows, cols = self.shape
        word = _voltages("voltages", voltages, rows)
        bit = _voltages("bit_line_voltages", bit_line_voltages, cols)
        if word.ndim != 1 or bit.ndim != 1:
            raise InputError("a netlist holds one vector of voltages, not a batch")
        return netlist(self.circuit, word, bit)

    def _choose(self, vectors: int, *, grounded: bool) -> str:
        if grounded and not self.circuit.has_floating_lines:
            known = self._transfer is not None
            if known or self.circuit.is_ideal or vectors >= BREAK_EVEN_VECTORS:
                return "transfer"
        return iterative_for(self.circuit)

    def _multiply(self, word: Array, bit: Array, tolerance: float) -> Array:
        """Currents of a batch by the transfer matrix."""
        rows, cols = self.shape
        if bit.any():
            raise SolverError("solver='transfer' takes grounded bit lines only: use 'auto'")
        self.transfer()
        if self._transfer is None or self._transfer_error > tolerance:
            raise SolverError(
                f"the transfer matrix of the {rows}x{cols} array is exact to "
                f"{self._transfer_error:.1e} only, tolerance={tolerance:g} was asked for: raise "
                "the tolerance or use an iterative solver"
            )
        currents: Array = word @ self._transfer.T
        return currents

    def _build_transfer(self) -> Array:
        circuit, (rows, cols) = self.circuit, self.shape
        if circuit.is_ideal:
            return np.ascontiguousarray(circuit.conductance.T)
        one_sided = np.isinf(circuit.word.last).all() and np.isinf(circuit.bit.first).all()
        if one_sided and not circuit.has_floating_lines:
            require_memory(
                predicted_memory("transfer", rows, cols),
                f"the transfer matrix of a {rows}x{cols} array",
                "solve the vectors one by one with an iterative solver",
            )
            return transfer_matrix(
                circuit.conductance,
                circuit.word.segment,
                circuit.bit.segment,
                self._source,
                self._sink,
            )
        return self._transfer_by_columns()

    def _transfer_by_columns(self) -> Array:
        """One solution per bit line: what drivers take (reciprocity) with its sense node at 1 V."""
        rows, cols = self.shape
        transfer = np.empty((cols, rows))
        for j, unit in enumerate(np.eye(cols)):
            cells = self.solve_cells(np.zeros(rows), unit, tolerance=0.1 * TOLERANCE)
            transfer[j] = -np.einsum("ij,ij->i", self.circuit.conductance, cells.voltages)
        return transfer

    def _solve_batch(
        self, word: Array, bit: Array, tolerance: float, solver: str
    ) -> tuple[CellVoltages, ...]:
        rows, cols = self.shape
        require_memory(
            40.0 * len(word) * rows * cols,
            f"node voltages of {len(word)} vectors in a {rows}x{cols} array",
            "solve fewer vectors at a time",
        )
        return tuple(
            self.solve_cells(v, u, tolerance=tolerance, solver=solver)
            for v, u in zip(word, bit, strict=True)
        )


def _segment(name: str, value: float) -> float:
    if not 0.0 <= value < np.inf:
        raise InputError(f"{name}={value!r} Ω must be finite and not negative")
    return float(value)


def _terminals(name: str, value: ArrayLike, count: int) -> Array:
    """One resistance per line, ``inf`` allowed."""
    given = np.asarray(value, dtype=np.float64)
    if given.ndim and given.shape != (count,):
        raise InputError(f"{name} has shape {given.shape}, it must be one value or ({count},)")
    if not np.all(given >= 0.0):
        raise InputError(f"{name} must not be negative or NaN (Ω; inf is an open end)")
    return given.copy() if given.ndim else np.full(count, given)


def _voltages(name: str, value: ArrayLike, count: int) -> Array:
    """(count,) or (batch, count), finite; a single value stands for all bit lines."""
    given = np.asarray(value, dtype=np.float64)
    if given.ndim == 0 and name == "bit_line_voltages":
        given = np.full(count, given)
    if given.ndim not in (1, 2) or given.shape[-1] != count or given.size == 0:
        raise InputError(
            f"{name} has shape {given.shape}, it must be ({count},) or (batch, {count})"
        )
    if not np.isfinite(given).all():
        raise InputError(f"{name} must be finite (V)")
    return given
