"""Conjugate gradient on the bit lines, with the word lines eliminated exactly.

With both segment resistances positive, the node potentials w (word lines) and b (bit lines), each
times the conductance of its wire, obey

    A w = r_w G (b − e),        B b = r_b G (w + e)

where A and B are tridiagonal, one system per line, and e is the applied voltage of every cell (see
:mod:`zerohm.crossbar.circuit`). Eliminating w leaves (B − K) b = r_b G (e − A⁻¹ r_w G e), with
K = r_b G A⁻¹ r_w G. It is symmetric and positive definite, and solved by conjugate gradients with
the preconditioner B: few iterations where the wires matter little, more as they matter more.

The pivots of A and B are sums of positive numbers, the conductance that a node sees towards the
beginning of its line, so that nothing cancels however small the wire resistance is. B p follows
from the residuals by the recurrence of p itself, for the same reason.

References: Concus, Golub & O'Leary in Sparse Matrix Computations (1976) for conjugate gradients
preconditioned by a solvable part; Hestenes & Stiefel, J. Res. NBS 49, 409 (1952).
"""

import numpy as np

from zerohm._arrays import Array
from zerohm._jit import kernel

from ..circuit import CellVoltages, Circuit
from ..potentials import INTERLEAVED
from .protocol import SolverError
from .vectors import accumulate, add, turn


class LineGradient:
    """Prepared for one circuit: the reciprocal pivots of all lines."""

    def __init__(self, circuit: Circuit) -> None:
        word, bit = circuit.word, circuit.bit
        if not (word.segment > 0 and bit.segment > 0):
            raise SolverError(
                "solver='line_gradient' needs wire resistances > 0 on word and bit lines, not "
                f"{word.segment:g} and {bit.segment:g} Ω: use 'device_gradient' or 'direct'"
            )
        self.circuit = circuit
        self._word_pivots = np.empty_like(circuit.conductance)
        self._bit_pivots = np.empty_like(circuit.conductance)
        word_pivots(circuit.conductance, word.segment, word.first, word.last, self._word_pivots)
        bit_pivots(circuit.conductance, bit.segment, bit.first, bit.last, self._bit_pivots)

    def attempt(self, applied: Array, tolerance: float) -> CellVoltages:
        """See :class:`.protocol.Solver`."""
        circuit, cells = self.circuit, self.circuit.conductance
        pivots = (self._word_pivots, self._bit_pivots)
        segments = (circuit.word.segment, circuit.bit.segment)
        word, bit = np.empty(circuit.shape), np.zeros(circuit.shape)
        state = np.empty((5, *circuit.shape))
        left, scale = start(cells, *segments, *pivots, applied, state)
        allowed, factor, done, limit = tolerance**2 * scale, 0.0, 0, 200 + 4 * sum(circuit.shape)
        before = np.inf
        while True:
            steps, left, factor = descend(
                cells, *segments, *pivots, state, left, factor, allowed, limit - done, bit
            )
            done += steps
            solve_all_word_lines(cells, segments[0], pivots[0], bit, applied, word)
            found = circuit.solved(
                word - bit + applied, applied, done, word[:, 0].copy(), bit[0].copy()
            )
            if found.residual <= tolerance or done == limit or found.residual >= before:
                return found
            allowed = left * min(0.3, 0.3 * tolerance / found.residual) ** 2
            before = found.residual


@kernel
def word_pivots(
    conductance: Array, segment: float, first: Array, last: Array, reciprocal: Array
) -> None:
    """Reciprocal pivots (rows, cols) of A: conductance (S), segment, first and last (rows,) (Ω)."""
    rows, cols = conductance.shape
    for a in range(0, rows, INTERLEAVED):
        b, c, d = min(a + 1, rows - 1), min(a + 2, rows - 1), min(a + 3, rows - 1)
        seen_a, seen_b = segment / first[a], segment / first[b]
        seen_c, seen_d = segment / first[c], segment / first[d]
        for j in range(cols - 1):
            seen_a += segment * conductance[a, j]
            seen_b += segment * conductance[b, j]
            seen_c += segment * conductance[c, j]
            seen_d += segment * conductance[d, j]
            reciprocal[a, j] = 1.0 / (1.0 + seen_a)
            reciprocal[b, j] = 1.0 / (1.0 + seen_b)
            reciprocal[c, j] = 1.0 / (1.0 + seen_c)
            reciprocal[d, j] = 1.0 / (1.0 + seen_d)
            seen_a *= reciprocal[a, j]
            seen_b *= reciprocal[b, j]
            seen_c *= reciprocal[c, j]
            seen_d *= reciprocal[d, j]
        end = cols - 1
        reciprocal[a, end] = 1.0 / (seen_a + segment * (conductance[a, end] + 1.0 / last[a]))
        reciprocal[b, end] = 1.0 / (seen_b + segment * (conductance[b, end] + 1.0 / last[b]))
        reciprocal[c, end] = 1.0 / (seen_c + segment * (conductance[c, end] + 1.0 / last[c]))
        reciprocal[d, end] = 1.0 / (seen_d + segment * (conductance[d, end] + 1.0 / last[d]))


@kernel
def bit_pivots(
    conductance: Array, segment: float, first: Array, last: Array, reciprocal: Array
) -> None:
    """Reciprocal pivots (rows, cols) of B; the units are those of :func:`word_pivots`."""
    rows = conductance.shape[0]
    seen = segment / first
    for i in range(rows - 1):
        next_pivots(conductance[i], segment, seen, reciprocal[i])
    reciprocal[rows - 1] = 1.0 / (seen + segment * (conductance[rows - 1] + 1.0 / last))


@kernel
def next_pivots(conductance: Array, segment: float, seen: Array, reciprocal: Array) -> None:
    """One row of :func:`bit_pivots`; ``seen`` (in units of 1/segment) moves on by one row."""
    for j in range(seen.size):
        seen[j] += segment * conductance[j]
        reciprocal[j] = 1.0 / (1.0 + seen[j])
        seen[j] *= reciprocal[j]


@kernel
def solve_word_lines(
    reciprocal: Array, conductance: Array, segment: float, voltages: Array, start: int, word: Array
) -> None:
    """word (4, cols) = A⁻¹ r_w G v for the word lines from ``start``; past the end, the last one.

    reciprocal, conductance (S), voltages (V): (rows, cols); segment (Ω).
    """
    rows, cols = conductance.shape
    a, b, c, d = start, min(start + 1, rows - 1), min(start + 2, rows - 1), min(start + 3, rows - 1)
    sum_a = sum_b = sum_c = sum_d = 0.0
    for j in range(cols):
        sum_a += segment * conductance[a, j] * voltages[a, j]
        sum_b += segment * conductance[b, j] * voltages[b, j]
        sum_c += segment * conductance[c, j] * voltages[c, j]
        sum_d += segment * conductance[d, j] * voltages[d, j]
        word[0, j], word[1, j], word[2, j], word[3, j] = sum_a, sum_b, sum_c, sum_d
        sum_a *= reciprocal[a, j]
        sum_b *= reciprocal[b, j]
        sum_c *= reciprocal[c, j]
        sum_d *= reciprocal[d, j]
    sum_a = sum_b = sum_c = sum_d = 0.0
    for j in range(cols - 1, -1, -1):
        sum_a = reciprocal[a, j] * (word[0, j] + sum_a)
        sum_b = reciprocal[b, j] * (word[1, j] + sum_b)
        sum_c = reciprocal[c, j] * (word[2, j] + sum_c)
        sum_d = reciprocal[d, j] * (word[3, j] + sum_d)
        word[0, j], word[1, j], word[2, j], word[3, j] = sum_a, sum_b, sum_c, sum_d


@kernel
def sweep_down(row: int, residual: Array, reciprocal: Array, solution: Array) -> None:
    """One row of the forward elimination of B in arrays (rows, cols)."""
    if row == 0:
        solution[0] = residual[0]
    else:
        eliminate(residual[row], reciprocal[row - 1], solution[row - 1], solution[row])


@kernel
def eliminate(residual: Array, reciprocal: Array, before: Array, sums: Array) -> None:
    """sums = residual + reciprocal before."""
    for j in range(residual.size):
        sums[j] = residual[j] + reciprocal[j] * before[j]


@kernel
def substitute(reciprocal: Array, after: Array, sums: Array) -> None:
    """sums = reciprocal (sums + after)."""
    for j in range(sums.size):
        sums[j] = reciprocal[j] * (sums[j] + after[j])


@kernel
def back_substitution(reciprocal: Array, residual: Array, solution: Array) -> float:
    """Finish solution = B⁻¹ residual; residual · solution."""
    rows, cols = reciprocal.shape
    products = np.zeros(cols)
    substitute(reciprocal[rows - 1], products, solution[rows - 1])
    accumulate(residual[rows - 1], solution[rows - 1], products)
    for i in range(rows - 2, -1, -1):
        substitute(reciprocal[i], solution[i + 1], solution[i])
        accumulate(residual[i], solution[i], products)
    return float(products.sum())


@kernel
def couple(image: Array, conductance: Array, segment: float, word: Array, out: Array) -> None:
    """out = image − r_b G w."""
    for j in range(out.size):
        out[j] = image[j] - segment * conductance[j] * word[j]


@kernel
def start(
    conductance: Array,
    word_segment: float,
    bit_segment: float,
    word_reciprocal: Array,
    bit_reciprocal: Array,
    applied: Array,
    state: Array,
) -> tuple[float, float]:
    """Right-hand side; its squared preconditioned norm, and r_b times the cells' power with b = 0.

    conductance (S), segments (Ω), reciprocal pivots, applied (V): cell arrays are (rows, cols).
    state (5, rows, cols), out: residual, B⁻¹ residual, direction p, B p, (B − K) p.
    """
    rows, cols = conductance.shape
    residual, solution, direction, image = state[0], state[1], state[2], state[3]
    lines, products = np.empty((INTERLEAVED, cols)), np.zeros(cols)
    for i in range(0, rows, INTERLEAVED):
        solve_word_lines(word_reciprocal, conductance, word_segment, applied, i, lines)
        for k in range(i, min(i + INTERLEAVED, rows)):
            for j in range(cols):
                voltage = applied[k, j] - lines[k - i, j]
                residual[k, j] = bit_segment * conductance[k, j] * voltage
                products[j] += residual[k, j] * voltage
    for i in range(rows):
        sweep_down(i, residual, bit_reciprocal, solution)
    direction[:], image[:] = 0.0, 0.0
    return back_substitution(bit_reciprocal, residual, solution), float(products.sum())


@kernel
def descend(
    conductance: Array,
    word_segment: float,
    bit_segment: float,
    word_reciprocal: Array,
    bit_reciprocal: Array,
    state: Array,
    left: float,
    factor: float,
    allowed: float,
    limit: int,
    bit: Array,
) -> tuple[int, float, float]:
    """Conjugate gradient steps until the squared norm ``left`` of the residual is ``allowed``.

    Improves the potentials of the bit lines ``bit`` (V). Returns the number of steps, and left and
    factor (0 in the first call) to go on with. The other arguments are those of :func:`start`.
    """
    rows, cols = conductance.shape
    residual, solution, direction, image, moved = state[0], state[1], state[2], state[3], state[4]
    lines, products = np.empty((INTERLEAVED, cols)), np.empty(cols)
    steps = 0
    while left > allowed and steps < limit:
        products[:] = 0.0
        for i in range(0, rows, INTERLEAVED):
            for k in range(i, min(i + INTERLEAVED, rows)):
                turn(solution[k], factor, direction[k])
                turn(residual[k], factor, image[k])
            solve_word_lines(word_reciprocal, conductance, word_segment, direction, i, lines)
            for k in range(i, min(i + INTERLEAVED, rows)):
                couple(image[k], conductance[k], bit_segment, lines[k - i], moved[k])
                accumulate(direction[k], moved[k], products)
        length = left / products.sum()
        for i in range(rows):
            add(length, direction[i], bit[i])
            add(-length, moved[i], residual[i])
            sweep_down(i, residual, bit_reciprocal, solution)
        before, left = left, back_substitution(bit_reciprocal, residual, solution)
        factor = left / before
        steps += 1
    return steps, left, factor


@kernel
def solve_all_word_lines(
    conductance: Array, segment: float, reciprocal: Array, bit: Array, applied: Array, word: Array
) -> None:
    """word (V, out) = A⁻¹ r_w G (b − e); arguments and units as in :func:`start`."""
    rows, cols = conductance.shape
    lines = np.empty((INTERLEAVED, cols))
    for i in range(0, rows, INTERLEAVED):
        for k in range(i, min(i + INTERLEAVED, rows)):
            for j in range(cols):
                word[k, j] = bit[k, j] - applied[k, j]
        solve_word_lines(reciprocal, conductance, segment, word, i, lines)
        for k in range(i, min(i + INTERLEAVED, rows)):
            word[k] = lines[k - i]
