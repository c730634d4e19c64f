"""Slow, obvious references for circuits: nodal analysis node by node, with a dense matrix."""

import numpy as np


def potentials(resistors, known):
    """Potential of every node of a network of resistors.

    ``resistors`` holds (node, node, Ω); a resistance of zero makes two nodes one (by relabelling),
    an infinite one does nothing. ``known`` maps nodes to given potentials; all others follow from
    Kirchhoff's current law, in extended precision, since wires conduct far better than cells.
    """
    label = {}
    for a, b, _ in resistors:
        label.setdefault(a, len(label))
        label.setdefault(b, len(label))
    for a, b, resistance in resistors:
        if resistance == 0.0:
            old, new = label[a], label[b]
            label = {node: new if at == old else at for node, at in label.items()}
    index = {at: k for k, at in enumerate(sorted(set(label.values())))}
    at = {node: index[number] for node, number in label.items()}
    matrix = np.zeros((len(index), len(index)), dtype=np.longdouble)
    for a, b, resistance in resistors:
        p, q = at[a], at[b]
        if p != q:
            matrix[p, p] += 1.0 / resistance
            matrix[q, q] += 1.0 / resistance
            matrix[p, q] -= 1.0 / resistance
            matrix[q, p] -= 1.0 / resistance
    potential = np.zeros(len(index), dtype=np.longdouble)
    fixed = [at[node] for node in known]
    potential[fixed] = list(known.values())
    free = [k for k in range(len(index)) if k not in set(fixed)]
    inner, right = matrix[np.ix_(free, free)], -matrix[np.ix_(free, fixed)] @ potential[fixed]
    for _ in range(4):
        left = right - inner @ potential[free]
        potential[free] += np.linalg.solve(inner.astype(float), left.astype(float))
    return {node: potential[k] for node, k in at.items()}


def nodal(
    conductance,
    voltages,
    *,
    word=0.0,
    bit=0.0,
    source=0.0,
    sink=0.0,
    far_source=np.inf,
    far_sink=np.inf,
    bit_voltages=None,
):
    """Currents into the sense nodes, and potentials of word-line and bit-line nodes.

    Arguments as of ``Network``; terminal resistances are in series with a segment.
    """
    rows, cols = conductance.shape
    bit_voltages = np.zeros(cols) if bit_voltages is None else bit_voltages
    resistors = []
    for i in range(rows):
        near, far = np.broadcast_to(source, rows)[i], np.broadcast_to(far_source, rows)[i]
        resistors.append((("drive", i), ("w", i, 0), word + near))
        resistors.append((("drive", i), ("w", i, cols - 1), word + far))
        resistors += [(("w", i, j), ("w", i, j + 1), word) for j in range(cols - 1)]
    for j in range(cols):
        near, far = np.broadcast_to(sink, cols)[j], np.broadcast_to(far_sink, cols)[j]
        resistors.append((("sense", j), ("b", 0, j), bit + far))
        resistors.append((("sense", j), ("b", rows - 1, j), bit + near))
        resistors += [(("b", i, j), ("b", i + 1, j), bit) for i in range(rows - 1)]
    for (i, j), value in np.ndenumerate(conductance):
        resistors.append((("w", i, j), ("b", i, j), 1.0 / value if value else np.inf))
    known = {("drive", i): voltages[i] for i in range(rows)}
    known |= {("sense", j): bit_voltages[j] for j in range(cols)}
    at = potentials(resistors, known)
    word_nodes = np.array([[at["w", i, j] for j in range(cols)] for i in range(rows)])
    bit_nodes = np.array([[at["b", i, j] for j in range(cols)] for i in range(rows)])
    currents = (conductance * (word_nodes - bit_nodes)).sum(axis=0)
    return tuple(found.astype(float) for found in (currents, word_nodes, bit_nodes))


def two_rails(column, selected, *, source_line, bit_line, source, sink, driven_at):
    """Current of one column of cells between a source line at 1 V and a bit line, A."""
    rows = len(column)
    top = 0 if driven_at == "first" else rows - 1
    resistors = [
        ("drive", ("s", top), source_line + source),
        ("sense", ("b", rows - 1), bit_line + sink),
    ]
    for i in range(rows):
        resistors.append((("s", i), ("b", i), 1.0 / column[i] if selected[i] else np.inf))
        if i < rows - 1:
            resistors.append((("s", i), ("s", i + 1), source_line))
            resistors.append((("b", i), ("b", i + 1), bit_line))
    # Without any path each rail keeps the potential of its own terminal.
    at = potentials(resistors, {"drive": 1.0, "sense": 0.0})
    return float(sum(column[i] * (at["s", i] - at["b", i]) for i in range(rows) if selected[i]))
