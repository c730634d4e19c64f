"""A network as a netlist for ngspice (or any SPICE with its interactive language)."""

from collections.abc import Callable, Iterator

import numpy as np

from zerohm._arrays import Array

from .circuit import Circuit, Lines

Cell = Callable[[str, str, str, float], str]
"""Element lines of a cell from its name, its two nodes and its conductance (S)."""


def resistor(name: str, word: str, bit: str, conductance: float) -> str:
    """An ohmic cell; a SPICE resistor given by its conductance's reciprocal."""
    return f"R{name} {word} {bit} {1.0 / conductance:.17g}"


def netlist(
    circuit: Circuit, word_voltages: Array, bit_voltages: Array, cell: Cell = resistor
) -> str:
    """Netlist with an operating-point analysis that prints the sense currents.

    Nodes are ``w<row>_<col>`` and ``b<row>_<col>``; where a segment has no resistance all nodes of
    its line are that of its first cell. ``i(vsense<col>)`` is the current of a bit line in A and
    ``vdrive<row>`` the source of a word line. The circuit is the one that the package solves:
    there is no resistor of 0 Ω and no artificial one.

    Parameters
    ----------
    circuit : the network.
    word_voltages, bit_voltages : (rows,), (cols,) V.
    cell : writes the elements of one cell; resistors if not given.
    """
    rows, cols = circuit.shape
    word = [[f"w{i}_{j * _apart(circuit.word)}" for j in range(cols)] for i in range(rows)]
    bit = [[f"b{i * _apart(circuit.bit)}_{j}" for j in range(cols)] for i in range(rows)]
    lines = [f"* {rows} word lines x {cols} bit lines"]
    for i in range(rows):
        lines += _line("drive", i, word[i], circuit.word, f"{word_voltages[i]:.17g}")
    for j in range(cols):
        column = [bit[i][j] for i in range(rows)]
        lines += _line("sense", j, column, circuit.bit, f"{bit_voltages[j]:.17g}")
    for i, j in np.argwhere(circuit.conductance > 0.0):
        name = f"cell{i}_{j}"
        lines.append(cell(name, word[i][j], bit[i][j], float(circuit.conductance[i, j])))
    lines += [
        ".options reltol=1e-12 abstol=1e-18 vntol=1e-15",
        ".control",
        "set numdgt=16",
        "op",
        *(f"print i(vsense{j})" for j in range(cols)),
        "quit",
        ".endc",
        ".end",
    ]
    return "\n".join(lines) + "\n"


def _apart(lines: Lines) -> int:
    """1 if the cells of a line have nodes of their own, 0 if they share one."""
    return int(lines.segment > 0.0)


def _line(kind: str, number: int, node: list[str], lines: Lines, voltage: str) -> Iterator[str]:
    """The source of one line, the resistances to it, and the segments."""
    first, last = lines.first[number], lines.last[number]
    held = bool(lines.held[number])
    terminal = node[0] if held else f"{kind}{number}"
    yield f"V{kind}{number} {terminal} 0 {voltage}"
    if lines.segment > 0.0:
        for k in range(len(node) - 1):
            yield f"R{kind}{number}_{k + 1} {node[k]} {node[k + 1]} {lines.segment:.17g}"
    if not held:
        for name, resistance, end in (("first", first, node[0]), ("last", last, node[-1])):
            if np.isfinite(resistance):
                yield f"R{kind}{number}_{name} {terminal} {end} {resistance:.17g}"
