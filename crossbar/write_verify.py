"""Write–verify through resistive wires: what a cell must be so that the array shows its target.

A verify read drives one word line and senses all bit lines, so that it shows the entry T[i, j] of
the transfer matrix and not the cell alone. A loop that stops when its reads show the targets has
therefore solved T(G) = targets for the cells G. Newton steps with the derivative by the own cell,
∂T[i, j]/∂G[i, j] = u·q (see :mod:`zerohm.crossbar.linearised`), do the same.
"""

import numpy as np

from zerohm._arrays import Array
from zerohm._errors import InputError

from ..devices import Cell
from .linearised import Reference
from .solvers import SolverError
from .wires import Wires

_STEPS = 30
_TOLERANCE = 1e-9  # of the largest target


def compensated_targets(targets: Array, wires: Wires, cell: Cell) -> Array:
    """Conductances (rows, cols) in S that show the targets (rows, cols) in S through the wires.

    Raises
    ------
    InputError : a cell would have to leave the window, with the number of such cells.
    SolverError : the steps did not converge.

    Examples
    --------
    A cell of 12.5 µS behind 20 kΩ shows 10 µS:

    >>> from zerohm import devices
    >>> found = compensated_targets(
    ...     np.array([[10e-6]]), Wires(source_resistance=20e3), devices.preset("Wan2022")
    ... )
    >>> found.round(9)
    array([[1.25e-05]])
    """
    cell.check_targets(targets)
    goal = targets.astype(np.float64)
    cells = goal.copy()
    for _ in range(_STEPS):
        reference = Reference.of(wires.network(cells))
        missing = goal - reference.transfer
        if np.abs(missing).max() <= _TOLERANCE * goal.max():
            return _inside(cells, cell)
        # Far beyond the window a cell hardly changes what is seen: stop there and say so below.
        cells = np.clip(cells + missing / reference.own, 0.0, 4.0 * cell.conductance_max)
    _inside(cells, cell)
    rows, cols = goal.shape
    raise SolverError(
        f"write–verify through the wires of the {rows}x{cols} array did not converge: targets are "
        f"missed by up to {np.abs(missing).max():.1e} S; use lower targets or a smaller array"
    )


def _inside(cells: Array, cell: Cell) -> Array:
    beyond = np.count_nonzero((cells > cell.conductance_max) | (cells < cell.conductance_min))
    if beyond:
        raise InputError(
            f"{beyond} of {cells.size} cells would have to lie between {cells.min():g} and "
            f"{cells.max():g} S to show their targets through the wires, cell {cell.name!r} "
            f"reaches {cell.conductance_min:g} to {cell.conductance_max:g} S: use lower targets, "
            "a smaller array or less resistance"
        )
    return cells
