"""What is known of a solved network: currents at once, node voltages and powers on request."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from zerohm._arrays import Array

from .circuit import CellVoltages, Circuit


class Power(NamedTuple):
    """Power of every element in W, each with a leading axis (batch,) if the voltages had it.

    cells (rows, cols); word_lines (rows, cols + 1): driver and first segment, the segments between
    cells, the far end; bit_lines (rows + 1, cols): far end, segments, last segment and sink.
    """

    cells: Array
    word_lines: Array
    bit_lines: Array

    @property
    def total(self) -> Array:
        """Sum over all elements: what the terminals deliver."""
        sums = [part.sum(axis=(-2, -1)) for part in self]
        return np.asarray(sums[0] + sums[1] + sums[2])


@dataclass(frozen=True)
class Solution:
    """What :meth:`zerohm.crossbar.Network.solve` returns.

    Parameters
    ----------
    currents : (cols,) or (batch, cols) A, out of the bit lines into the sense nodes, the ends of a
        line together.
    residual : by which Kirchhoff's laws are missed, relative, the largest of all vectors. It bounds
        the relative error of the cell voltages in the power norm (see
        :mod:`zerohm.crossbar.circuit`). For the transfer matrix it is instead the relative error
        of the currents of one probe vector.
    solver : name of the solver that was used.
    iterations : of the solver, all vectors together; 0 where it has none.
    """

    currents: Array
    residual: float
    solver: str
    iterations: int
    _circuit: Circuit = field(repr=False)
    _word_voltages: Array = field(repr=False)
    _bit_voltages: Array = field(repr=False)
    _solve_cells: Callable[[], tuple[CellVoltages, ...]] = field(repr=False)

    @property
    def word_line_voltages(self) -> Array:
        """(rows, cols) or (batch, rows, cols) V, of the word-line node of every cell."""
        return self._shaped(self._potentials[0])

    @property
    def bit_line_voltages(self) -> Array:
        """(rows, cols) or (batch, rows, cols) V, of the bit-line node of every cell."""
        return self._shaped(self._potentials[1])

    @property
    def cell_currents(self) -> Array:
        """(rows, cols) or (batch, rows, cols) A, from word line to bit line."""
        return self._shaped(self._cell_currents)

    @cached_property
    def power(self) -> Power:
        """Power of every element."""
        word, bit = self._potentials
        currents, lines = self._cell_currents, self._circuit
        return Power(
            self._shaped(currents * (word - bit)),
            self._shaped(np.stack([lines.word.dissipation(each) for each in currents])),
            self._shaped(np.stack([lines.bit.dissipation(-each.T).T for each in currents])),
        )

    @cached_property
    def _cells(self) -> tuple[CellVoltages, ...]:
        return self._solve_cells()

    @cached_property
    def _cell_currents(self) -> Array:
        return np.stack([self._circuit.conductance * cells.voltages for cells in self._cells])

    @cached_property
    def _potentials(self) -> tuple[Array, Array]:
        pairs = [
            self._circuit.potentials(currents, cells.word_starts, cells.bit_starts)
            for currents, cells in zip(self._cell_currents, self._cells, strict=True)
        ]
        word = np.stack([pair[0] for pair in pairs]) + self._word_voltages[:, :, None]
        bit = np.stack([pair[1] for pair in pairs]) + self._bit_voltages[:, None, :]
        return word, bit

    def _shaped(self, batch: Array) -> Array:
        return batch if self.currents.ndim == 2 else batch[0]
