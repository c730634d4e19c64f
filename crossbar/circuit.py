"""The circuit of an array as data: cells, the lines that join them, and Kirchhoff's laws on it.

Every line ends in a terminal on each side. A terminal is a series resistance (infinite: the end is
open) to the voltage of its line, so a driver on one or both ends, a sense amplifier, a biased
half-selected line and a floating line are the same circuit with other numbers::

    V[i] --first[i]--o--segment--o--segment--o--last[i]-- V[i]        word line i
                     |           |           |
                  G[i,0]      G[i,1]      G[i,2]

All solvers find the cell voltages d (word line minus bit line, V) from the law of the loops

    d + R (G∘d) = e

where e[i, j] is the voltage of word line i minus that of bit line j at the terminals, and R turns
currents of the cells into voltage drops along the lines. Currents obey Kirchhoff's current law by
construction, R is positive semidefinite, and G·R is symmetric: hence for any approximate d with
residual ρ = e − d − R (G∘d), the power norm |x|² = Σ G x² of the error of d is at most that of ρ.
The residual which every solution reports is |ρ|/|d|.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from zerohm._arrays import Array
from zerohm._errors import InputError

from .potentials import bit_line_potentials, entering_current, power, word_line_potentials

FLOOR = 1e-4
"""Least |d|/|e| for the residual; below, round-off of e is all there is (|d| may be exactly 0)."""


@dataclass(frozen=True)
class Lines:
    """The word lines or the bit lines of an array.

    Parameters
    ----------
    segment : Ω, between neighbouring cells of a line.
    first, last : (lines,) Ω, from the end cells to the terminals; ``inf`` for an open end.
    """

    segment: float
    first: Array
    last: Array

    @cached_property
    def floating(self) -> NDArray[np.bool_]:
        """(lines,) which lines are open at both ends."""
        return np.asarray(np.isinf(self.first) & np.isinf(self.last))

    @cached_property
    def held(self) -> NDArray[np.bool_]:
        """(lines,) which lines have no resistance at all to a terminal anywhere."""
        return np.asarray((np.minimum(self.first, self.last) == 0.0) & (self.segment == 0.0))

    def flows(self, drawn: Array) -> Array:
        """Currents along lines whose cells draw currents.

        Parameters
        ----------
        drawn : (lines, cells) A.

        Returns
        -------
        (lines, cells + 1) A, in the direction from the first terminal to the last.
        """
        lines, length = drawn.shape
        after = np.concatenate([np.zeros((lines, 1)), np.cumsum(drawn, axis=1)], axis=1)
        moments = self.segment * after[:, 1:-1].sum(axis=1)
        inner = self.segment * (length - 1)
        ends = zip(after[:, -1], moments, self.first, self.last, strict=True)
        entering = np.array([entering_current(*end, inner) for end in ends])
        return np.asarray(entering[:, None] - after)

    def dissipation(self, drawn: Array) -> Array:
        """Power (lines, cells + 1) in W of the terminals and segments; ``drawn`` as in flows."""
        lines, length = drawn.shape
        resistance = np.full((lines, length + 1), self.segment)
        resistance[:, 0], resistance[:, -1] = self.first, self.last
        resistance[np.isinf(resistance)] = 0.0  # open ends carry nothing
        power_lost: Array = resistance * self.flows(drawn) ** 2
        return power_lost


@dataclass(frozen=True)
class CellVoltages:
    """What a solver returns.

    Parameters
    ----------
    voltages : (rows, cols) V, word line minus bit line.
    word_starts, bit_starts : (rows,), (cols,) V, potentials of the first cell of every line
        relative to its terminals; they matter for floating lines only.
    iterations : of the iterative solvers, 0 otherwise.
    residual : relative, see the module.
    """

    voltages: Array
    word_starts: Array
    bit_starts: Array
    iterations: int
    residual: float


@dataclass(frozen=True)
class Circuit:
    """Cells (rows, cols) in S, their word lines and their bit lines."""

    conductance: Array
    word: Lines
    bit: Lines

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols)."""
        rows, cols = self.conductance.shape
        return rows, cols

    @cached_property
    def has_floating_lines(self) -> bool:
        """Whether some line is open at both ends."""
        return bool(self.word.floating.any() or self.bit.floating.any())

    @cached_property
    def is_ideal(self) -> bool:
        """Whether no current meets any resistance but that of the cells."""
        return bool(self.word.held.all() and self.bit.held.all())

    def potentials(
        self, currents: Array, word_starts: Array, bit_starts: Array
    ) -> tuple[Array, Array]:
        """Potentials of word and bit lines over their terminals, for currents of the cells (A).

        Parameters
        ----------
        currents : (rows, cols) A, from word line to bit line.
        word_starts, bit_starts : as in :class:`CellVoltages`.

        Returns
        -------
        Two arrays (rows, cols), V.
        """
        word, bit = np.empty_like(currents), np.empty_like(currents)
        word_line_potentials(
            currents, self.word.segment, self.word.first, self.word.last, word_starts, word
        )
        bit_line_potentials(
            currents, self.bit.segment, self.bit.first, self.bit.last, bit_starts, bit
        )
        return word, bit

    def solved(
        self,
        voltages: Array,
        applied: Array,
        iterations: int,
        word_starts: Array,
        bit_starts: Array,
    ) -> CellVoltages:
        """Cell voltages (rows, cols) together with the residual that they leave.

        Parameters
        ----------
        voltages : (rows, cols) V, an approximate solution; changed in place where lines are
            floating, so that they carry no net current.
        applied : (rows, cols) V, e of the module.
        iterations, word_starts, bit_starts : as in :class:`CellVoltages`.
        """
        if self.has_floating_lines:
            self._balance(voltages)
        loops = self.loop_residual(voltages, applied, word_starts, bit_starts)
        wrong = power(self.conductance, loops)
        scale = power(self.conductance, voltages)
        if scale < FLOOR**2 * (outer := power(self.conductance, applied)):
            scale = FLOOR**2 * outer
        residual = float(np.sqrt(wrong / scale)) if wrong else 0.0
        if self.has_floating_lines:
            residual = max(residual, self._imbalance(voltages, applied))
        return CellVoltages(voltages, word_starts, bit_starts, iterations, residual)

    def loop_residual(
        self, voltages: Array, applied: Array, word_starts: Array, bit_starts: Array
    ) -> Array:
        """(rows, cols) V by which the loop through each cell fails to close: ρ of the module."""
        word, bit = self.potentials(self.conductance * voltages, word_starts, bit_starts)
        word -= bit
        word += applied
        word -= voltages
        return word

    def _balance(self, voltages: Array) -> None:
        """Shift the cells of every floating line by what cancels its net current.

        A shift that is wrong for the loops shows in their residual and is refined away there,
        whereas a net current would not.
        """
        for axis, floating in ((1, self.word.floating), (0, self.bit.floating)):
            lost = (self.conductance * voltages).sum(axis=axis)
            shift = np.zeros_like(lost)
            np.divide(lost, self.conductance.sum(axis=axis), out=shift, where=floating)
            voltages -= np.expand_dims(shift, axis)

    def _imbalance(self, voltages: Array, applied: Array) -> float:
        """Current that a floating line would have to lose, relative to that of all cells."""
        currents = self.conductance * voltages
        carried = max(np.abs(currents).sum(), FLOOR * (self.conductance * np.abs(applied)).sum())
        lost = (currents.sum(axis=1)[self.word.floating], currents.sum(axis=0)[self.bit.floating])
        worst = float(np.abs(np.concatenate(lost)).max())
        return worst / float(carried) if worst else 0.0

    def check_connected(self) -> None:
        """Refuse nodes without any path to a terminal: their potential is undefined.

        Raises
        ------
        InputError : names the first such node by its row and column.
        """
        if not self.has_floating_lines:
            return
        from scipy.sparse import csr_array
        from scipy.sparse.csgraph import connected_components

        rows, _ = self.shape
        first, second = np.nonzero(self.conductance)
        total = sum(self.shape)
        joined = csr_array((np.ones(first.size), (first, second + rows)), shape=(total, total))
        _, group = connected_components(joined, directed=False)
        floating = np.concatenate([self.word.floating, self.bit.floating])
        lost = np.flatnonzero(~np.isin(group, group[~floating]))
        if lost.size:
            line = int(lost[0])
            where = (
                f"of word line {line} (row {line}, column 0)"
                if line < rows
                else f"of bit line {line - rows} (row 0, column {line - rows})"
            )
            raise InputError(
                f"the node {where} has no path to any terminal, its potential is undefined: give "
                "the line a finite source or sink resistance or one of its cells a conductance"
            )
