"""Exact gradients through the circuit: one more solution gives the derivative by every cell.

Let φ be the potentials of the same network with its drivers at 0 V and sense node j at
λ[j] = ∂L/∂I[j]. By reciprocity a current from one node to another moves the loss by its size times
the difference of their φ. A change δG of a cell acts like the current δG·d, where d is the voltage
across the cell, hence ∂L/∂G = d·(φ_bit − φ_word); ∂L/∂V[i] is the current that driver i takes up.

Reference: Director & Rohrer, IEEE Trans. Circuit Theory 16, 318 (1969).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from zerohm._arrays import Array
from zerohm._errors import InputError

from .network import TOLERANCE, Network


class Gradient(NamedTuple):
    """Derivatives of the loss: by conductance (rows, cols) in 1/S, summed over the batch, and by
    voltage (rows,) or (batch, rows) in 1/V, both times the unit of the loss."""

    conductance: Array
    voltages: Array


def gradient(
    network: Network,
    voltages: ArrayLike,
    current_gradient: ArrayLike,
    *,
    tolerance: float = TOLERANCE,
) -> Gradient:
    """Gradient of a loss of the currents with respect to all conductances and voltages.

    Parameters
    ----------
    network : with sense nodes at 0 V.
    voltages : (rows,) or (batch, rows) V.
    current_gradient : (cols,) or (batch, cols), derivative of the loss by the currents, 1/A.
    tolerance : largest relative residual of both solutions.

    Raises
    ------
    InputError : wrong shapes, NaN.
    SolverError : the tolerance was not reached.

    Examples
    --------
    The output current of a divider of two equal resistors moves by a quarter of the change:

    >>> network = Network([[1e-3]], source_resistance=1e3)
    >>> derivative = gradient(network, [1.0], [1.0])
    >>> derivative.conductance.round(9), derivative.voltages.round(9)
    (array([[0.25]]), array([0.0005]))
    """
    rows, cols = network.shape
    word = np.asarray(voltages, dtype=np.float64)
    weights = np.asarray(current_gradient, dtype=np.float64)
    for name, given, count in (("voltages", word, rows), ("current_gradient", weights, cols)):
        if given.ndim not in (1, 2) or given.shape[-1] != count:
            raise InputError(f"{name} has shape {given.shape}, the last axis must be {count} long")
        if not np.isfinite(given).all():
            raise InputError(f"{name} must be finite")
    if word.shape[:-1] != weights.shape[:-1]:
        raise InputError(
            f"voltages have shape {word.shape}, current_gradient {weights.shape}: one per vector"
        )
    cells = network.circuit.conductance
    by_conductance, by_voltage = np.zeros((rows, cols)), []
    for v, weight in zip(np.atleast_2d(word), np.atleast_2d(weights), strict=True):
        forward = network.solve_cells(v, np.zeros(cols), tolerance=tolerance)
        adjoint = network.solve_cells(np.zeros(rows), weight, tolerance=tolerance)
        by_conductance -= forward.voltages * adjoint.voltages
        by_voltage.append(-np.einsum("ij,ij->i", cells, adjoint.voltages))
    return Gradient(by_conductance, np.reshape(by_voltage, word.shape))
