"""Conjugate gradient on the cell voltages, for circuits whose every line reaches a terminal.

The law of the loops, (I + R D) d = e with D = diag(G), is symmetric and positive definite in the
inner product x·D y, with no eigenvalue below 1: any conductances and resistances ≥ 0 will do, zero
included, and only the operator R knows the topology. One iteration is four cumulative sums.

Reference: Hestenes & Stiefel, J. Res. NBS 49, 409 (1952).
"""

import numpy as np

from zerohm._arrays import Array
from zerohm._jit import kernel

from ..circuit import CellVoltages, Circuit
from ..potentials import bit_line_potentials, power, word_line_potentials
from .protocol import SolverError
from .vectors import add, turn


class DeviceGradient:
    """Prepared for one circuit; there is nothing to compute beforehand."""

    def __init__(self, circuit: Circuit) -> None:
        if circuit.has_floating_lines:
            raise SolverError(
                "solver='device_gradient' needs a terminal on every line, and this array has "
                "floating lines: use 'direct', or 'line_gradient' with wire resistances > 0"
            )
        self.circuit = circuit

    def attempt(self, applied: Array, tolerance: float) -> CellVoltages:
        """See :class:`.protocol.Solver`."""
        circuit, word, bit = self.circuit, self.circuit.word, self.circuit.bit
        rows, cols = circuit.shape
        voltages = np.zeros_like(applied)
        iterations = conjugate_gradient(
            circuit.conductance,
            word.segment,
            word.first,
            word.last,
            bit.segment,
            bit.first,
            bit.last,
            applied,
            tolerance,
            200 + 4 * (rows + cols),
            np.empty((5, rows, cols)),
            voltages,
        )
        return circuit.solved(voltages, applied, iterations, np.zeros(rows), np.zeros(cols))


@kernel
def conjugate_gradient(
    conductance: Array,
    word_segment: float,
    word_first: Array,
    word_last: Array,
    bit_segment: float,
    bit_first: Array,
    bit_last: Array,
    applied: Array,
    tolerance: float,
    limit: int,
    state: Array,
    voltages: Array,
) -> int:
    """Improve cell voltages (V, zero at the start) until the residual is small; iterations made.

    conductance (S), segments, firsts and lasts (Ω) as in :mod:`zerohm.crossbar.potentials`,
    applied (V), all cell arrays (rows, cols); state (5, rows, cols): scratch.
    """
    rows, cols = conductance.shape
    residual, direction, currents, word, bit = state[0], state[1], state[2], state[3], state[4]
    residual[:], direction[:] = applied, applied
    grounded_rows, grounded_cols = np.zeros(rows), np.zeros(cols)
    sums = np.empty(cols)
    left = power(conductance, residual)
    for iteration in range(limit):
        if left <= tolerance * tolerance * power(conductance, voltages):
            return iteration
        for i in range(rows):
            multiply(conductance[i], direction[i], currents[i])
        word_line_potentials(currents, word_segment, word_first, word_last, grounded_rows, word)
        bit_line_potentials(currents, bit_segment, bit_first, bit_last, grounded_cols, bit)
        sums[:] = 0.0
        for i in range(rows):
            image(direction[i], word[i], bit[i], currents[i], sums)
        step = left / sums.sum()
        sums[:] = 0.0
        for i in range(rows):
            add(step, direction[i], voltages[i])
            add(-step, bit[i], residual[i])
            accumulate_power(conductance[i], residual[i], sums)
        before, left = left, sums.sum()
        for i in range(rows):
            turn(residual[i], left / before, direction[i])
    return limit


@kernel
def multiply(a: Array, b: Array, product: Array) -> None:
    """product = a b."""
    for j in range(a.size):
        product[j] = a[j] * b[j]


@kernel
def image(direction: Array, word: Array, bit: Array, currents: Array, sums: Array) -> None:
    """(I + R D) direction, left in ``bit``; its product with currents is added to ``sums``."""
    for j in range(direction.size):
        bit[j] = direction[j] - word[j] + bit[j]
        sums[j] += currents[j] * bit[j]


@kernel
def accumulate_power(conductance: Array, x: Array, sums: Array) -> None:
    """sums += G x²."""
    for j in range(x.size):
        sums[j] += conductance[j] * x[j] * x[j]
