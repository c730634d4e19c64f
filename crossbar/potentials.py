"""Kernels: how far the currents of the cells lift or lower the potentials along their lines.

A line has a resistance ``segment`` between neighbouring cells, ``first`` and ``last`` between its
end cells and its terminals (Ω, infinite where the end is open). Arrays are (rows, cols): word lines
run along rows, bit lines along columns. Currents along a line are sums from the end that is usually
open, the last of a word line and the first of a bit line, since differences would lose the small
currents there. Word lines are taken four at a time, because one alone is a chain of dependent
additions; past the last row that row is repeated, hence all four are read before any is written.
"""

import numpy as np

from zerohm._arrays import Array
from zerohm._jit import kernel

INTERLEAVED = 4
"""Word lines that kernels take together."""


@kernel
def entering_current(total: float, moment: float, near: float, far: float, inner: float) -> float:
    """Current (A) that enters a line at one terminal, near; the rest enters at the far one.

    total (A): what the cells draw; moment (V): Σ over segments of their resistance times the
    current drawn between the near end and them; near, far, inner (Ω): to the two terminals, and
    between the end cells.
    """
    if np.isinf(near):
        return 0.0
    if np.isinf(far):
        return total
    around = near + inner + far
    if around == 0.0:  # both ends hold the line; how they share its current is immaterial
        return total
    return (moment + far * total) / around


@kernel
def _word_start(
    total: float, moment: float, first: float, last: float, inner: float, floating: float
) -> tuple[float, float]:
    """Current (A) entering at the last terminal, and potential (V) of the first cell.

    The arguments are those of :func:`entering_current` for the last terminal as the near one;
    floating (V): the potential if both ends are open.
    """
    entering = entering_current(total, moment, last, first, inner)
    if not np.isinf(first):
        return entering, -first * (total - entering)
    if not np.isinf(last):
        return entering, moment - (last + inner) * total
    return entering, floating


@kernel
def word_line_potentials(
    drawn: Array, segment: float, first: Array, last: Array, floating: Array, potential: Array
) -> None:
    """Potentials (V, out) of word lines over their terminals.

    drawn (rows, cols) (A): currents from the line into its cells; segment, first, last (Ω);
    floating (rows,) (V): of the first cell where both ends are open.
    """
    rows, cols = drawn.shape
    inner = segment * (cols - 1)
    for a in range(0, rows, INTERLEAVED):
        b, c, d = min(a + 1, rows - 1), min(a + 2, rows - 1), min(a + 3, rows - 1)
        flow_a = flow_b = flow_c = flow_d = 0.0
        moment_a = moment_b = moment_c = moment_d = 0.0
        for j in range(cols - 1, 0, -1):
            flow_a += drawn[a, j]
            flow_b += drawn[b, j]
            flow_c += drawn[c, j]
            flow_d += drawn[d, j]
            potential[a, j], potential[b, j] = flow_a, flow_b
            potential[c, j], potential[d, j] = flow_c, flow_d
            moment_a += segment * flow_a
            moment_b += segment * flow_b
            moment_c += segment * flow_c
            moment_d += segment * flow_d
        flow_a += drawn[a, 0]
        flow_b += drawn[b, 0]
        flow_c += drawn[c, 0]
        flow_d += drawn[d, 0]
        back_a, here_a = _word_start(flow_a, moment_a, first[a], last[a], inner, floating[a])
        back_b, here_b = _word_start(flow_b, moment_b, first[b], last[b], inner, floating[b])
        back_c, here_c = _word_start(flow_c, moment_c, first[c], last[c], inner, floating[c])
        back_d, here_d = _word_start(flow_d, moment_d, first[d], last[d], inner, floating[d])
        potential[a, 0], potential[b, 0] = here_a, here_b
        potential[c, 0], potential[d, 0] = here_c, here_d
        for j in range(1, cols):
            flow_a, flow_b = potential[a, j], potential[b, j]
            flow_c, flow_d = potential[c, j], potential[d, j]
            here_a -= segment * (flow_a - back_a)
            here_b -= segment * (flow_b - back_b)
            here_c -= segment * (flow_c - back_c)
            here_d -= segment * (flow_d - back_d)
            potential[a, j], potential[b, j] = here_a, here_b
            potential[c, j], potential[d, j] = here_c, here_d


@kernel
def bit_line_potentials(
    fed: Array, segment: float, first: Array, last: Array, floating: Array, potential: Array
) -> None:
    """Potentials (V, out) of bit lines over their terminals.

    fed (rows, cols) (A): currents from the cells into their line; the rest as for word lines.
    """
    rows, cols = fed.shape
    inner = segment * (rows - 1)
    flow, moment = np.zeros(cols), np.zeros(cols)
    for i in range(rows - 1):
        _collect(fed[i], segment, flow, moment)
    for j in range(cols):
        total = -flow[j] - fed[rows - 1, j]
        flow[j] = entering_current(total, -moment[j], first[j], last[j], inner)
        if not np.isinf(first[j]):
            potential[0, j] = -first[j] * flow[j]
        elif not np.isinf(last[j]):
            potential[0, j] = moment[j] - last[j] * total
        else:
            potential[0, j] = floating[j]
    for i in range(rows - 1):
        _advance(fed[i], segment, flow, potential[i], potential[i + 1])


@kernel
def _collect(fed: Array, segment: float, flow: Array, moment: Array) -> None:
    """One row: flow (A) along open-ended bit lines and their voltage drop (V) so far."""
    for j in range(fed.size):
        flow[j] += fed[j]
        moment[j] += segment * flow[j]


@kernel
def _advance(fed: Array, segment: float, flow: Array, here: Array, after: Array) -> None:
    """From one row to the next: flow (A) along the bit lines and potentials (V)."""
    for j in range(fed.size):
        flow[j] += fed[j]
        after[j] = here[j] - segment * flow[j]


@kernel
def power(conductance: Array, voltages: Array) -> float:
    """Σ G v², in W for S and V."""
    rows, cols = conductance.shape
    sums = np.zeros(cols)
    for i in range(rows):
        for j in range(cols):
            sums[j] += conductance[i, j] * voltages[i, j] * voltages[i, j]
    return float(sums.sum())
