"""The transfer matrix after one cell was reprogrammed: a rank-one update instead of a new one.

A change δ of a cell's conductance acts as a current source across the cell that carries
g = δ V′ from word line to bit line, where V′ is the cell's voltage after the change. Without the
source the cell sees d·v at driver voltages v; the source lowers that by z g. So
g = δ/(1 + δ z) d·v, and the sense currents grow by f g (Sherman–Morrison formula).
"""

import numpy as np

from zerohm._arrays import Array
from zerohm._errors import InputError


def reprogrammed(
    transfer: Array, change: float, cell_voltages: Array, sense_currents: Array, resistance: float
) -> Array:
    """Transfer matrix after one cell was reprogrammed; exact for a change of any size.

    It needs two solutions of the network *before* the change, ``cell_voltages`` from one and
    ``sense_currents`` and ``resistance`` from the other. In the second one all drivers are at 0 V
    and a source across the cell takes 1 A from its word-line node to its bit-line node; by
    reciprocity the currents that the drivers deliver there are the cell voltages of the first
    (in V/V), so that this one solution is enough.

    Parameters
    ----------
    transfer : T (cols, rows) in S before the change.
    change : new minus old conductance of the cell in S.
    cell_voltages : d (rows,) in V/V, word-line minus bit-line voltage at the cell for 1 V at each
        driver alone.
    sense_currents : f (cols,) in A/A, for 1 A through the source.
    resistance : z in Ω, bit-line minus word-line voltage at the cell for 1 A through the source.

    Returns
    -------
    T (cols, rows) in S after the change, a new array.

    Raises
    ------
    InputError : shapes that do not fit; a change that takes more conductance than the cell has.

    Examples
    --------
    A cell of 1 S behind 1 Ω is raised to 2 S: the current at 1 V grows from 1/2 A to 2/3 A.

    >>> half = np.array([0.5])
    >>> reprogrammed(np.array([[0.5]]), 1.0, half, half, 0.5)
    array([[0.66666667]])
    """
    cols, rows = np.shape(transfer)
    shapes = {"cell_voltages": (cell_voltages, rows), "sense_currents": (sense_currents, cols)}
    for name, (values, size) in shapes.items():
        if np.shape(values) != (size,):
            raise InputError(f"{name} has shape {np.shape(values)}; allowed: ({size},)")
    # The cell's own conductance G is part of the network, hence z G < 1.
    if not 1.0 + change * resistance > 0.0:
        raise InputError(
            f"change={change!r} S at resistance={resistance!r} Ω; allowed: more than "
            f"-1/resistance, all that the cell has"
        )
    return transfer + np.outer(change / (1.0 + change * resistance) * sense_currents, cell_voltages)
