"""Cells whose current is not proportional to their voltage, solved by Newton's method.

The law of the loops (see :mod:`zerohm.crossbar.circuit`) becomes F(d) = e − d − R f(d) = 0 with the
cell currents f(d). A Newton step solves (I + R f′) δ = F, which is the linear network with the
slopes f′(d) for conductances, by the same solvers. f grows with d, so a step that is halved until
it lowers the power norm of F always leads to the one solution.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from zerohm._arrays import Array
from zerohm._errors import InputError

from ..devices.iv import Law
from ..devices.iv import OddPolynomial as OddPolynomial
from ..devices.iv import Sinh as Sinh
from ..devices.iv import StanfordPKU as StanfordPKU
from .circuit import Circuit
from .network import Network
from .potentials import power
from .solvers import SOLVERS, SolverError, iterative_for, refine
from .spice import netlist

STEPS = 50
HALVINGS = 30


@dataclass(frozen=True)
class NonlinearSolution:
    """Currents (cols,) A, cell voltages and cell currents (rows, cols) in V and A, the relative
    residual in the power norm, and how many Newton steps and linear iterations it took."""

    currents: Array
    cell_voltages: Array
    cell_currents: Array
    residual: float
    steps: int
    iterations: int


def solve(
    network: Network, law: Law, voltages: ArrayLike, *, tolerance: float = 1e-10
) -> NonlinearSolution:
    """Solve a network of nonlinear cells for one vector of word-line voltages.

    Parameters
    ----------
    network : its conductances are handed to the law.
    law : of all cells, from :mod:`zerohm.devices.iv`.
    voltages : (rows,) V; sense nodes at 0 V.
    tolerance : largest residual relative to the cell voltages, in the power norm of the slopes.

    Raises
    ------
    InputError : a wrong shape, NaN, floating lines; conductances, word-line voltages or cell
        voltages of the solution outside of the law's range.
    SolverError : the tolerance was not reached.

    Examples
    --------
    >>> network = Network([[1e-4, 5e-5]], wire_resistance=10.0)
    >>> found = solve(network, Sinh(a=0.2, b=5.0, max_voltage=0.5), [0.3])
    >>> (found.currents * 1e6).round(3)
    array([42.337, 21.169])
    """
    circuit, applied = network.circuit, _applied(network, law, voltages)
    cells = applied.copy()
    error, left = _mismatch(circuit, law, applied, cells)
    iterations, residual = 0, np.inf
    for step in range(STEPS):
        currents, slopes = law.evaluate(circuit.conductance, cells)
        residual = _relative(slopes, cells, error)
        if residual <= tolerance:
            law.check(circuit.conductance, cells)
            return NonlinearSolution(
                currents.sum(axis=0), cells, currents, residual, step, iterations
            )
        tangent = Circuit(slopes, circuit.word, circuit.bit)
        solver = SOLVERS[iterative_for(tangent)](tangent)
        move = refine(solver, error, max(min(1e-3, 0.1 * tolerance / residual), 1e-11))
        iterations += move.iterations
        scale = 1.0
        for _ in range(HALVINGS):
            trial = cells + scale * move.voltages
            trial_error, trial_left = _mismatch(circuit, law, applied, trial)
            if trial_left < left:
                break
            scale *= 0.5
        else:
            break
        cells, error, left = trial, trial_error, trial_left
    rows, cols = circuit.shape
    raise SolverError(
        f"Newton's method left a residual of {residual:.1e} in the "
        f"{rows}x{cols} array, tolerance={tolerance:g} was asked for: raise the tolerance"
    )


def to_spice(network: Network, law: Law, voltages: ArrayLike) -> str:
    """Netlist of a network of nonlinear cells; arguments and errors as for :func:`solve`."""
    word = _applied(network, law, voltages)[:, 0]

    def cell(name: str, plus: str, minus: str, conductance: float) -> str:
        return f"B{name} {plus} {minus} I={law.expression(conductance, f'v({plus},{minus})')}"

    return netlist(network.circuit, word, np.zeros(network.shape[1]), cell)


def _applied(network: Network, law: Law, voltages: ArrayLike) -> Array:
    rows, cols = network.shape
    given = np.asarray(voltages, dtype=np.float64)
    if given.shape != (rows,):
        raise InputError(f"voltages has shape {given.shape}, it must be ({rows},)")
    law.check(network.circuit.conductance, given[:, None])
    if network.circuit.has_floating_lines:
        raise InputError("nonlinear cells need a terminal on every line, some lines are floating")
    return np.repeat(given[:, None], cols, axis=1)


def _mismatch(circuit: Circuit, law: Law, applied: Array, cells: Array) -> tuple[Array, float]:
    """F (rows, cols) in V, and its power with the conductances for weights."""
    currents, _ = law.evaluate(circuit.conductance, cells)
    rows, cols = circuit.shape
    word, bit = circuit.potentials(currents, np.zeros(rows), np.zeros(cols))
    error = applied - cells + word - bit
    return error, power(circuit.conductance, error)


def _relative(slopes: Array, cells: Array, error: Array) -> float:
    wrong, scale = power(slopes, error), power(slopes, cells)
    return float(np.sqrt(wrong / scale)) if scale else 0.0
