"""Exact solutions of a crossbar's circuit, each way in a file of its own behind one protocol."""

import math
from collections.abc import Callable

from ..circuit import Circuit
from .device_gradient import DeviceGradient as DeviceGradient
from .direct import Direct as Direct
from .ladder import source_line_currents as source_line_currents
from .line_gradient import LineGradient as LineGradient
from .protocol import Solver as Solver
from .protocol import SolverError as SolverError
from .protocol import refine as refine

SOLVERS: dict[str, Callable[[Circuit], Solver]] = {
    "direct": Direct,
    "line_gradient": LineGradient,
    "device_gradient": DeviceGradient,
}
"""Solver classes by name; each is built from a circuit and raises SolverError if it cannot be."""


def iterative_for(circuit: Circuit) -> str:
    """Name of the fastest solver for a few voltage vectors.

    Eliminating whole lines saves half of the iterations or more, but needs resistance on both
    kinds of lines; lines without any terminal are left to the solvers on nodes.
    """
    if circuit.word.segment > 0 and circuit.bit.segment > 0:
        return "line_gradient"
    return "direct" if circuit.has_floating_lines else "device_gradient"


def predicted_memory(solver: str, rows: int, cols: int) -> float:
    """Bytes that a solver (or ``"transfer"``) needs for an array, as measured up to 512 x 512."""
    cells = rows * cols
    per_cell = {"direct": 400.0 + 10.0 * math.log2(cells) ** 2, "transfer": 500.0}
    return per_cell.get(solver, 100.0) * cells
