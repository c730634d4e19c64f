"""What a solver is, and how its answer is brought to the tolerance asked for."""

from typing import Protocol

import numpy as np

from zerohm._arrays import Array

from ..circuit import CellVoltages, Circuit

# The C library takes large blocks from the system and returns them when they are freed, and the
# page faults of a solver's arrays would cost more than the solution. glibc stops doing so for
# blocks up to the largest that was freed (at most 32 MiB): so one is freed here, untouched.
np.empty(31 * 2**20, dtype=np.uint8)

REFINEMENTS = 8
SAFETY = 1e-3
"""Refinements aim below the tolerance: where wires dominate, the residual that a solver stops by
can be much smaller than the one of :mod:`zerohm.crossbar.circuit`."""


class SolverError(RuntimeError):
    """A circuit could not be solved: the message names the array, what went wrong and a remedy."""


class Solver(Protocol):
    """Prepared once for a circuit; every call solves it for other voltages.

    A class that follows the protocol is built from a circuit and raises :class:`SolverError` if
    the circuit is not of the kind that it can solve.
    """

    circuit: Circuit

    def attempt(self, applied: Array, tolerance: float) -> CellVoltages:
        """Cell voltages for applied voltages (rows, cols) in V, near a relative tolerance."""


def refine(solver: Solver, applied: Array, tolerance: float) -> CellVoltages:
    """Solve, then solve for what is left over, until the residual is within the tolerance.

    Parameters
    ----------
    solver : prepared for the circuit.
    applied : (rows, cols) V, terminal voltage of the word line minus that of the bit line (e in
        :mod:`zerohm.crossbar.circuit`).
    tolerance : largest allowed residual.

    Raises
    ------
    SolverError : the tolerance was not reached.
    """
    circuit = solver.circuit
    found = solver.attempt(applied, tolerance)
    for _ in range(REFINEMENTS):
        if found.residual <= tolerance:
            break
        left = circuit.loop_residual(found.voltages, applied, found.word_starts, found.bit_starts)
        more = solver.attempt(left, SAFETY * tolerance / found.residual)
        better = circuit.solved(
            found.voltages + more.voltages,
            applied,
            found.iterations + more.iterations,
            found.word_starts + more.word_starts,
            found.bit_starts + more.bit_starts,
        )
        if not better.residual < found.residual:
            break
        found = better
    if found.residual <= tolerance:
        return found
    rows, cols = circuit.shape
    raise SolverError(
        f"{type(solver).__name__} left a residual of {found.residual:.1e} in the {rows}x{cols} "
        f"array, tolerance={tolerance:g} was asked for: raise the tolerance, or use "
        "solver='direct' if the array is small enough"
    )
