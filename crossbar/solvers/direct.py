"""Sparse LU factorization of the nodal matrix: the reference that needs no assumptions.

Nodes without resistance between them are one node, and nodes without resistance to their terminal
have its potential, so zero resistances are exact. The matrix is symmetric and diagonally dominant;
SuperLU therefore orders A + Aᵀ and keeps the diagonal pivots.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.linalg import splu

from zerohm._arrays import Array

from ..circuit import CellVoltages, Circuit, Lines

Nodes = NDArray[np.intp]


class Direct:
    """Prepared for one circuit: the factors of its nodal matrix."""

    def __init__(self, circuit: Circuit) -> None:
        self.circuit = circuit
        word, bit, count = nodes(circuit)
        self._word, self._bit, self._count = word, bit, count
        entries = [
            _between(word.ravel(), bit.ravel(), circuit.conductance.ravel()),
            *_line_entries(circuit.word, word),
            *_line_entries(circuit.bit, bit.T),
        ]
        row, col, value = (np.concatenate(parts) for parts in zip(*entries, strict=True))
        free = (row >= 0) & (col >= 0)
        matrix = coo_array((value[free], (row[free], col[free])), shape=(count, count))
        self._factors = (
            splu(
                matrix.tocsc(),
                permc_spec="MMD_AT_PLUS_A",
                diag_pivot_thresh=0.0,
                options={"SymmetricMode": True},
            )
            if count
            else None
        )

    def attempt(self, applied: Array, tolerance: float) -> CellVoltages:
        """See :class:`.protocol.Solver`; the accuracy is that of the factors."""
        driven = (self.circuit.conductance * applied).ravel()
        injected = np.zeros(self._count + 1)  # the last entry collects what held nodes take
        np.add.at(injected, self._word.ravel(), -driven)
        np.add.at(injected, self._bit.ravel(), driven)
        potential = np.zeros(self._count + 1)
        if self._factors is not None:
            potential[:-1] = self._factors.solve(injected[:-1])
        word, bit = potential[self._word], potential[self._bit]
        return self.circuit.solved(
            applied + word - bit, applied, 0, word[:, 0].copy(), bit[0].copy()
        )


def nodes(circuit: Circuit) -> tuple[Nodes, Nodes, int]:
    """Number of the node of every crossing on its word and on its bit line, and their count.

    Held nodes, whose potential is that of their terminal, have the number −1.
    """
    rows, cols = circuit.shape
    word = _numbered(circuit.word, rows, cols, 0)
    used = int(word.max(initial=-1)) + 1
    bit = _numbered(circuit.bit, cols, rows, used).T
    return word, bit, max(used, int(bit.max(initial=-1)) + 1)


def _numbered(lines: Lines, count: int, length: int, start: int) -> Nodes:
    """Node numbers (lines, length): one per cell, or one per line where segments are zero."""
    if lines.segment > 0:
        return start + np.arange(count * length).reshape(count, length)
    number = np.full(count, -1)
    number[~lines.held] = start + np.arange(np.count_nonzero(~lines.held))
    return np.repeat(number[:, None], length, axis=1)


def _line_entries(lines: Lines, node: Nodes) -> list[tuple[Nodes, Nodes, Array]]:
    """Matrix entries of segments and terminals; ``node`` (lines, length)."""
    entries = []
    if lines.segment > 0 and node.shape[1] > 1:
        before, after = node[:, :-1].ravel(), node[:, 1:].ravel()
        entries.append(_between(before, after, np.full(before.size, 1.0 / lines.segment)))
    for resistance, end in ((lines.first, node[:, 0]), (lines.last, node[:, -1])):
        free = end >= 0
        entries.append((end[free], end[free], 1.0 / resistance[free]))
    return entries


def _between(a: Nodes, b: Nodes, conductance: Array) -> tuple[Nodes, Nodes, Array]:
    """Matrix entries of conductances between nodes a and b."""
    return (
        np.concatenate([a, b, a, b]),
        np.concatenate([a, b, b, a]),
        np.concatenate([conductance, conductance, -conductance, -conductance]),
    )
