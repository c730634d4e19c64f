"""Arrays whose cells are fed by a source line of their own per column: exact in two sweeps.

In a 1T1R array the word line is the gate of the cell's transistor and carries no current. The
current of column j comes from its source line at the read voltage and leaves by its bit line, so
that every column is a ladder with two rails, the cells being the rungs::

    V --source--o--r_s--o--r_s--o               V ==source==o--r_s--o--r_s--o==
                |       |       |                           |       |       |
                G       G       G                           G       G       G
                |       |       |                           |       |       |
                o--r_b--o--r_b--o--sink-- 0 V               o--r_b--o--r_b--o--sink-- 0 V
            driven at row 0 ("first")                   driven at the last row ("last")

Let x be the current of the source line between two rungs, d the voltage across the upper of them
and I the current of the column. What lies below obeys x = (Y d + (Y r_b + 1 − K) I)/(1 + ρ Y) with
ρ = r_s + r_b, and the next rung upwards has Y' = G + Y/(1 + ρ Y), K' = (K + r_s Y)/(1 + ρ Y),
starting from Y = G, K = 1: sums of positive numbers, whatever is zero. At the top the current is
I = Y d + (1 − K) I, and the loop through the terminals gives I for the read voltage.
"""

import numpy as np
from numpy.typing import ArrayLike

from zerohm._arrays import Array
from zerohm._errors import InputError, choose
from zerohm._jit import kernel


def source_line_currents(
    conductance: ArrayLike,
    selected: ArrayLike,
    *,
    read_voltage: float,
    source_line_resistance: float,
    bit_line_resistance: float,
    source_resistance: float = 0.0,
    sink_resistance: float = 0.0,
    driven_at: str = "first",
) -> Array:
    """Bit-line currents of an array with a source line per column.

    Parameters
    ----------
    conductance : (rows, cols) S, of cells with their transistors on.
    selected : (rows,) or (batch, rows) of bool, which gates are on.
    read_voltage : V, of the source lines.
    source_line_resistance, bit_line_resistance : Ω per segment; a segment lies between a terminal
        and the nearest cell, and between neighbouring cells.
    source_resistance, sink_resistance : Ω, of drivers and sense nodes.
    driven_at : ``"first"`` row, opposite to the sense nodes, or ``"last"`` row, beside them.

    Returns
    -------
    (cols,) or (batch, cols) A.

    Raises
    ------
    InputError : wrong shapes, values that are negative or not finite.

    Examples
    --------
    >>> currents = source_line_currents(
    ...     [[1e-3], [1e-3]], [True, False], read_voltage=0.2,
    ...     source_line_resistance=10.0, bit_line_resistance=20.0, driven_at="last",
    ... )
    >>> float((0.2 / currents[0]).round(9))
    1060.0
    """
    cells = np.asarray(conductance, dtype=np.float64)
    if cells.ndim != 2 or cells.size == 0:
        raise InputError(f"conductance has shape {cells.shape}, it must be (rows, cols)")
    gates = np.asarray(selected)
    if gates.dtype != np.bool_ or gates.ndim not in (1, 2) or gates.shape[-1] != len(cells):
        raise InputError(
            f"selected has shape {gates.shape} of {gates.dtype}, it must be (rows,) or "
            f"(batch, rows) of bool with {len(cells)} rows"
        )
    values: dict[str, ArrayLike] = {
        "conductance": cells,
        "source_line_resistance": source_line_resistance,
        "bit_line_resistance": bit_line_resistance,
        "source_resistance": source_resistance,
        "sink_resistance": sink_resistance,
    }
    for name, value in values.items():
        if not (np.min(value) >= 0.0 and np.max(value) < np.inf):
            raise InputError(f"{name} must be finite and not negative")
    if not np.isfinite(read_voltage):
        raise InputError(f"read_voltage={read_voltage!r} V must be finite")
    choose("end", driven_at, ("first", "last"))
    outer = source_line_resistance + source_resistance + bit_line_resistance + sink_resistance
    columns = np.ascontiguousarray(cells.T)
    batch = np.atleast_2d(gates)
    unit = np.empty((len(batch), len(columns)))
    for on, currents in zip(batch, unit, strict=True):
        if driven_at == "first":
            opposite_ends(columns, on, source_line_resistance, bit_line_resistance, outer, currents)
        else:
            same_end(columns, on, source_line_resistance + bit_line_resistance, outer, currents)
    found: Array = read_voltage * unit
    return found if gates.ndim == 2 else found[0]


@kernel
def same_end(columns: Array, on: Array, around: float, outer: float, currents: Array) -> None:
    """Current (A, out) of every column at 1 V, both rails reached at the last row.

    columns (cols, rows) (S), on (rows,), around (Ω): of both rails between rungs, outer (Ω).
    """
    for j in range(columns.shape[0]):
        seen = 0.0
        for i in range(on.size):
            seen /= 1.0 + around * seen
            if on[i]:
                seen += columns[j, i]
        currents[j] = seen / (1.0 + outer * seen)


@kernel
def opposite_ends(
    columns: Array, on: Array, source: float, bit: float, outer: float, currents: Array
) -> None:
    """Current (A, out) of every column at 1 V, driven at the first row and sensed at the last.

    columns (cols, rows) (S), on (rows,), source and bit (Ω): rails between rungs, outer (Ω).
    """
    rows = on.size
    seen, share = np.empty(rows), np.empty(rows)
    for j in range(columns.shape[0]):
        y, k = 0.0, 1.0
        for i in range(rows - 1, -1, -1):
            k = (k + source * y) / (1.0 + (source + bit) * y)
            y /= 1.0 + (source + bit) * y
            if on[i]:
                y += columns[j, i]
            seen[i], share[i] = y, k
        if y == 0.0:
            currents[j] = 0.0
            continue
        across = k / y  # Ω: all voltages of this sweep are for a column current of 1 A
        resistance = outer + across
        for i in range(rows - 1):
            y, k = seen[i + 1], share[i + 1]
            damping = 1.0 / (1.0 + (source + bit) * y)
            flow = (y * (across + bit) + 1.0 - k) * damping
            resistance += bit * (1.0 - flow)
            across = (across + bit - (source + bit) * (1.0 - k)) * damping
        currents[j] = 1.0 / resistance
