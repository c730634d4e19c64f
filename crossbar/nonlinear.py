"""Cells whose current is not proportional to their voltage, solved by Newton's method.

The law of the loops (see :mod:`zerohm.crossbar.circuit`) becomes F(d) = e − d − R f(d) = 0 with the
cell currents f(d). A Newton step solves (I + R f′) δ = F, which is the linear network with the
slopes f′(d) for conductances, by the same solvers. f grows with d, so a step that is halved until
it lowers the power norm of F always leads to the one solution.
"""

from dataclasses import dataclass as plain_dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field
from pydantic.dataclasses import dataclass

from zerohm._arrays import Array
from zerohm._config import STRICT
from zerohm._errors import InputError

from .circuit import Circuit
from .network import Network
from .potentials import power
from .solvers import SOLVERS, SolverError, iterative_for, refine
from .spice import netlist

STEPS = 50
HALVINGS = 30


class Law(Protocol):
    """Current of a cell; conductance is its slope at 0 V unless the law says otherwise."""

    max_voltage: float

    def current(self, conductance: Array, voltage: Array) -> Array:
        """A, for S and V of the same shape."""

    def slope(self, conductance: Array, voltage: Array) -> Array:
        """∂I/∂V in S, positive wherever the conductance is."""

    def expression(self, conductance: float, voltage: str) -> str:
        """The current as a SPICE expression of the expression ``voltage``."""


@dataclass(frozen=True, config=STRICT)
class Sinh:
    """I = a G sinh(b V): hopping and trap-assisted conduction.

    Parameters
    ----------
    a : V.
    b : 1/V; with a = 1/b the conductance is the slope at 0 V.
    max_voltage : V, up to which the law is valid.

    Examples
    --------
    >>> round(float(Sinh(a=0.5, b=2.0, max_voltage=1.0).current(1e-4, 0.5)) * 1e6, 3)
    58.76
    """

    a: float = Field(gt=0)
    b: float = Field(gt=0)
    max_voltage: float = Field(gt=0)

    def current(self, conductance: Array, voltage: Array) -> Array:
        """See :class:`Law`."""
        return np.asarray(self.a * conductance * np.sinh(self.b * voltage))

    def slope(self, conductance: Array, voltage: Array) -> Array:
        """See :class:`Law`."""
        return np.asarray(self.a * self.b * conductance * np.cosh(self.b * voltage))

    def expression(self, conductance: float, voltage: str) -> str:
        """See :class:`Law`."""
        return f"{self.a * conductance:.17g}*sinh({self.b:.17g}*{voltage})"


@dataclass(frozen=True, config=STRICT)
class StanfordPKU:
    """I = I₀ exp(−g/g₀) sinh(V/V₀) for a tunnelling gap g, held constant while a cell is read.

    Parameters
    ----------
    current_scale : I₀, A.
    gap_scale : g₀, m.
    voltage_scale : V₀, V.
    max_voltage : V, up to which reading leaves the gap alone.

    Sources: Chen & Yu, IEEE Trans. Electron Devices 62, 4022 (2015); Jiang et al., ibid. 63, 1884
    (2016).

    Examples
    --------
    >>> model = StanfordPKU(current_scale=1e-3, gap_scale=0.25e-9, voltage_scale=0.25,
    ...                     max_voltage=0.4)
    >>> float(model.conductance(0.5e-9).round(9)), model.law().b
    (0.000541341, 4.0)
    """

    current_scale: float = Field(gt=0)
    gap_scale: float = Field(gt=0)
    voltage_scale: float = Field(gt=0)
    max_voltage: float = Field(gt=0)

    def conductance(self, gap: ArrayLike) -> Array:
        """Slope at 0 V in S of cells with gaps in m, for the network's conductance."""
        decay = np.exp(-np.asarray(gap, dtype=np.float64) / self.gap_scale)
        return np.asarray(self.current_scale / self.voltage_scale * decay)

    def law(self) -> Sinh:
        """The law of cells whose conductance is :meth:`conductance`."""
        return Sinh(a=self.voltage_scale, b=1.0 / self.voltage_scale, max_voltage=self.max_voltage)


@dataclass(frozen=True, config=STRICT)
class OddPolynomial:
    """I = G (V + c₃ V³ + c₅ V⁵ + …), a fit to a measured curve.

    Parameters
    ----------
    coefficients : c₃, c₅, … in 1/V², 1/V⁴, …; the current must grow with V up to max_voltage.
    max_voltage : V, the range of the fit.

    Raises
    ------
    pydantic.ValidationError : the current would not grow everywhere.
    """

    coefficients: tuple[float, ...]
    max_voltage: float = Field(gt=0)

    def __post_init__(self) -> None:
        grid = np.linspace(0.0, self.max_voltage, 1001)
        if not (self.slope(np.asarray(1.0), grid) > 0.0).all():
            raise ValueError(f"the current does not grow with V up to {self.max_voltage:g} V")

    def current(self, conductance: Array, voltage: Array) -> Array:
        """See :class:`Law`."""
        square = np.square(voltage)
        return np.asarray(
            conductance * voltage * np.polyval([*self.coefficients[::-1], 1.0], square)
        )

    def slope(self, conductance: Array, voltage: Array) -> Array:
        """See :class:`Law`."""
        orders = [(2 * k + 3) * c for k, c in enumerate(self.coefficients)]
        return np.asarray(conductance * np.polyval([*orders[::-1], 1.0], np.square(voltage)))

    def expression(self, conductance: float, voltage: str) -> str:
        """See :class:`Law`."""
        factor = "0"
        for coefficient in (*self.coefficients[::-1], 1.0):
            factor = f"({coefficient:.17g}+{voltage}*{voltage}*{factor})"
        return f"{conductance:.17g}*{voltage}*{factor}"


@plain_dataclass(frozen=True)
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
    law : of all cells.
    voltages : (rows,) V; sense nodes at 0 V.
    tolerance : largest residual relative to the cell voltages, in the power norm of the slopes.

    Raises
    ------
    InputError : a wrong shape, NaN, voltages outside of the law's range, floating lines.
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
    iterations = 0
    for step in range(STEPS):
        residual = _relative(circuit, law, cells, error)
        if residual <= tolerance:
            currents = law.current(circuit.conductance, cells)
            return NonlinearSolution(
                currents.sum(axis=0), cells, currents, residual, step, iterations
            )
        tangent = Circuit(law.slope(circuit.conductance, cells), circuit.word, circuit.bit)
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
        f"Newton's method left a residual of {_relative(circuit, law, cells, error):.1e} in the "
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
    if not np.abs(given).max() <= law.max_voltage:
        raise InputError(
            f"voltages must be finite and within ±{law.max_voltage:g} V, where the law is valid"
        )
    if network.circuit.has_floating_lines:
        raise InputError("nonlinear cells need a terminal on every line, some lines are floating")
    return np.repeat(given[:, None], cols, axis=1)


def _mismatch(circuit: Circuit, law: Law, applied: Array, cells: Array) -> tuple[Array, float]:
    """F (rows, cols) in V, and its power with the conductances for weights."""
    currents = law.current(circuit.conductance, cells)
    rows, cols = circuit.shape
    word, bit = circuit.potentials(currents, np.zeros(rows), np.zeros(cols))
    error = applied - cells + word - bit
    return error, power(circuit.conductance, error)


def _relative(circuit: Circuit, law: Law, cells: Array, error: Array) -> float:
    slopes = law.slope(circuit.conductance, cells)
    wrong, scale = power(slopes, error), power(slopes, cells)
    return float(np.sqrt(wrong / scale)) if scale else 0.0
