"""Exact transfer matrix of a crossbar by merging blocks of cells: O(n³), mostly matrix products.

**Ports.** A block is a rectangle of cells, each with the word-line segment on its driver's side and
the bit-line segment on its sense side, so that blocks tile the array without a remainder. On every
wire that leaves the block either the voltage or the current is given, and the other one answers:

====== ==================== ======================================
edge   given                answer
====== ==================== ======================================
left   voltage              current out of the block
bottom voltage              current out of the block
top    current into it      voltage
right  current into it      voltage
====== ==================== ======================================

In these variables (hybrid parameters) every answer is finite for all resistances ≥ 0 and all
conductances ≥ 0, since each inner node is tied through the wires to a given voltage. By
reciprocity (Tellegen's theorem) the matrix S from given to answers is symmetric. Its part among
current-driven ports is a resistance matrix Z, that among voltage-driven ones minus a conductance
matrix, −Y; Z and Y are positive semidefinite because the block is passive.

**Leaf.** The S of a block without elements joins left with right and top with bottom by ones.
Elements are added cell by cell from the open end of the bit lines. A word-line segment r adds r to
S[right, right]. A cell of conductance G takes the current G/(1 + G z) y·u, where u is what is
given, y = S[right] − e_bottom and z = S[right, right] ≥ 0: it adds −G/(1 + G z) y yᵀ. A bit-line
segment r adds r/(1 − r s) y yᵀ, where y = S[bottom] and s = S[bottom, bottom] ≤ 0. No divisor is
below 1, so 0 Ω and 0 S are exact.

**Merge.** Current-driven ports of the near block (A, joint c, outer ports o) meet voltage-driven
ports of the far block (B, joint v): voltages x = a + Z j and currents j = b − Y x, where
Z = A[c, c], Y = −B[v, v], and a, b come from the outer ports. Hence x = K (a + Z b) with
K = (I + Z Y)⁻¹, and the merged S, Redheffer's star product, is

    [A[o, o] − A[o, c] Y K A[c, o]                 symmetric              ]
    [         B[o, v] K A[c, o]           B[o, o] + B[o, v] K Z B[v, o]   ]

The solve is well conditioned. Z Y is similar to the positive semidefinite Z^½ Y Z^½, so all
eigenvalues of I + Z Y are real and at least 1; and since Y K = Y^½ (I + Y^½ Z Y^½)⁻¹ Y^½ ≤ Y, both
I + Z Y and its inverse K = I − Z Y K have a norm of at most 1 + R g. R is the largest resistance
of a line from the joint through A to where its voltage is given (cells only lower it), g the
largest conductance that a line of B offers to the joint: at most that of its first segment, and at
most that of its cells together.

**Edges of the array.** At the open ends of the lines no current is given and no voltage is asked
for, so these ports are dropped, never eliminated. Of the whole array's S the part from left
(drivers) to bottom (sense nodes at 0 V) is the transfer matrix.

References: R. Redheffer, J. Math. Phys. 41, 1 (1962), the star product; P. G. Martinsson,
J. Comput. Phys. 242, 460 (2013), merging of solution operators in the hierarchical
Poincaré–Steklov scheme.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zerohm._arrays import Array
from zerohm._errors import InputError
from zerohm._jit import kernel

LEAF = 16
"""Most rows or columns of a leaf: 8 and 32 are slower at every size from 64 to 512."""

EDGES = ("bottom", "left", "top", "right")


def transfer_matrix(
    conductance: Array,
    word_line_resistance: float,
    bit_line_resistance: float,
    source_resistance: Array | float = 0.0,
    sink_resistance: Array | float = 0.0,
) -> Array:
    """Exact map from word-line driver voltages to bit-line sense currents.

    Parameters
    ----------
    conductance : cells (rows, cols) in S; zero is an open cell.
    word_line_resistance, bit_line_resistance : one wire segment in Ω; zero is an ideal wire.
    source_resistance : between driver and word line in Ω, scalar or (rows,).
    sink_resistance : between bit line and sense node in Ω, scalar or (cols,).

    Returns
    -------
    T (cols, rows) in S, float64: the sense currents in A are ``T @ voltages``.

    Raises
    ------
    InputError : a wrong shape, or a value that is negative or not finite.

    Examples
    --------
    Two cells of 1 S on one word line, 0.5 Ω before them: half of the voltage is left.

    >>> transfer_matrix(np.array([[1.0, 1.0]]), 0.0, 0.0, source_resistance=0.5)
    array([[0.5],
           [0.5]])
    """
    cells = _checked("conductance", conductance)
    if cells.ndim != 2 or cells.size == 0:
        raise InputError(f"conductance has shape {cells.shape}; allowed: (rows, cols), not empty")
    rows, cols = cells.shape
    circuit = _Circuit(
        cells[::-1],
        float(_per_line("word_line_resistance", word_line_resistance)),
        float(_per_line("bit_line_resistance", bit_line_resistance)),
        _per_line("source_resistance", source_resistance, rows)[::-1],
        _per_line("sink_resistance", sink_resistance, cols),
    )
    whole = _block(circuit, range(rows), range(cols))
    transfer = whole.matrix[np.ix_(whole.edges["bottom"], whole.edges["left"])]
    return np.ascontiguousarray(transfer[:, ::-1])


def _checked(name: str, values: Array | float) -> Array:
    """Values in float64, finite and not negative."""
    checked = np.asarray(values, dtype=np.float64)
    if not np.all(np.isfinite(checked) & (checked >= 0)):
        raise InputError(f"{name} has a negative or non-finite value; allowed: 0 or more")
    return checked


def _per_line(name: str, values: Array | float, *lines: int) -> Array:
    """A checked scalar, or one value for each of so many lines."""
    checked = _checked(name, values)
    if checked.shape not in ((), lines):
        allowed = f"a scalar or {lines}" if lines else "a scalar"
        raise InputError(f"{name} has shape {checked.shape}; allowed: {allowed}")
    return np.broadcast_to(checked, lines)


@dataclass(frozen=True)
class _Circuit:
    """A checked crossbar in S and Ω, both kinds of lines counted from the end that is held.

    Column 0 is next to the drivers, and row 0 next to the sense nodes (the reverse of the public
    order): so the near block of every merge is the one with the lower lines.
    """

    conductance: Array
    word_line: float
    bit_line: float
    source: Array
    sink: Array


@dataclass(frozen=True)
class _Block:
    """S of a block, and the ports of every edge in the order of the lines."""

    matrix: Array
    edges: dict[str, NDArray[np.intp]]


def _block(circuit: _Circuit, rows: range, cols: range) -> _Block:
    """The block of these rows and columns."""
    if max(len(rows), len(cols)) <= LEAF:
        return _leaf(circuit, rows, cols)
    if len(cols) >= len(rows):
        near, far = (_block(circuit, rows, half) for half in _halves(cols))
        return _merged(near, "right", far, "left")
    near, far = (_block(circuit, half, cols) for half in _halves(rows))
    return _merged(near, "top", far, "bottom")


def _halves(lines: range) -> tuple[range, range]:
    middle = len(lines) // 2
    return lines[:middle], lines[middle:]


def _leaf(circuit: _Circuit, rows: range, cols: range) -> _Block:
    """The block of these rows and columns, element by element."""
    first = np.full(len(rows), circuit.word_line)
    last = np.full(len(cols), circuit.bit_line)
    if cols.start == 0:
        first += circuit.source[rows.start : rows.stop]
    if rows.start == 0:
        last += circuit.sink[cols.start : cols.stop]
    cells = circuit.conductance[rows.start : rows.stop, cols.start : cols.stop]
    matrix = _leaf_matrix(
        np.ascontiguousarray(cells), first, last, circuit.word_line, circuit.bit_line
    )
    # The kernel's order of ports; it reaches row 0 last.
    bottom, top = np.arange(2 * len(cols)).reshape(2, -1)
    left, right = np.arange(2 * len(cols), len(matrix)).reshape(-1, 2)[::-1].T
    if rows.stop == len(circuit.source):
        top = top[:0]
    if cols.stop == len(circuit.sink):
        right = right[:0]
    return _Block(matrix, dict(zip(EDGES, (bottom, left, top, right), strict=True)))


def _merged(near: _Block, joint_near: str, far: _Block, joint_far: str) -> _Block:
    """Two blocks as one: current-driven ports of the near one at voltage-driven of the far one."""
    a, b = near.matrix, far.matrix
    c, v = near.edges[joint_near], far.edges[joint_far]
    outer_a = np.concatenate([near.edges[edge] for edge in EDGES if edge != joint_near])
    outer_b = np.concatenate([far.edges[edge] for edge in EDGES if edge != joint_far])
    from_a, from_b = _part(a, c, outer_a), _part(b, v, outer_b)
    z, minus_y = _part(a, c, c), _part(b, v, v)
    solved = np.linalg.solve(np.eye(len(c)) - z @ minus_y, np.hstack((z, from_a)))
    k_z, k_a = solved[:, : len(c)], solved[:, len(c) :]

    size = len(outer_a)
    matrix = np.empty((size + len(outer_b), size + len(outer_b)))
    matrix[:size, :size] = _part(a, outer_a, outer_a)
    matrix[:size, :size] += from_a.T @ (minus_y @ k_a)
    matrix[size:, size:] = _part(b, outer_b, outer_b)
    matrix[size:, size:] += from_b.T @ (k_z @ from_b)
    matrix[size:, :size] = from_b.T @ k_a
    matrix[:size, size:] = matrix[size:, :size].T

    place_a = np.empty(len(a), dtype=np.intp)
    place_a[outer_a] = np.arange(size)
    place_b = np.empty(len(b), dtype=np.intp)
    place_b[outer_b] = np.arange(size, len(matrix))
    edges = {
        edge: np.concatenate((place_a[near.edges[edge]], place_b[far.edges[edge]]))
        for edge in EDGES
    }
    edges[joint_near] = place_b[far.edges[joint_near]]
    edges[joint_far] = place_a[near.edges[joint_far]]
    return _Block(matrix, edges)


def _part(matrix: Array, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> Array:
    """``matrix[np.ix_(rows, cols)]``, three times as fast."""
    return matrix.take(rows, axis=0).take(cols, axis=1)


@kernel
def _leaf_matrix(
    conductance: Array, first: Array, last: Array, word_line: float, bit_line: float
) -> Array:
    """S of a leaf; ports: bottom, top, then left and right of the last row, of the one before, ...

    conductance (rows, cols) in S; the first word-line segments (rows,), the last bit-line segments
    (cols,) and all other segments in Ω. The two updates of a cell are made in one pass over the
    lower triangle of the ports that rows have reached so far.
    """
    rows, cols = conductance.shape
    ports = 2 * (rows + cols)
    s = np.zeros((ports, ports))
    cell, wire = np.empty(ports), np.empty(ports)
    for j in range(cols):
        s[cols + j, j] = 1.0
    for i in range(rows - 1, -1, -1):
        right = 2 * (cols + rows - i) - 1
        s[right, right - 1] = 1.0
        for j in range(cols):
            s[right, right] += first[i] if j == 0 else word_line
            for p in range(right + 1):
                cell[p] = s[right, p]
                wire[p] = s[p, j] if p > j else s[j, p]
            cell[j] -= 1.0
            g = conductance[i, j]
            added = -g / (1.0 + g * s[right, right])
            for p in range(right + 1):
                wire[p] += added * cell[j] * cell[p]
            r = last[j] if i == 0 else bit_line
            lost = r / (1.0 - r * wire[j])
            for p in range(right + 1):
                at_cell, at_wire = added * cell[p], lost * wire[p]
                for q in range(p + 1):
                    s[p, q] += at_cell * cell[q] + at_wire * wire[q]
    for p in range(ports):
        for q in range(p):
            s[q, p] = s[p, q]
    return s
