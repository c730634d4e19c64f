"""The transfer matrix near a state of the cells that has been solved, to first order.

A change δ of the conductance of cell (a, j) moves the current of its own bit line by u_aj δ d_aj,
where u is its own-column adjoint and d its voltage (see :mod:`zerohm.crossbar.noise_transfer`,
which also gives d_aj = q_aj (v_a − m) + f_aj m with the mean m of the inputs). Both are linear in
the inputs v, so that

    T[a, j] = T0[a, j] + u_aj q_aj δ_aj + (1/rows) Σ_b u_bj δ_bj (f_bj − q_bj).

What is left out is of second order in δ, the response of the other bit lines, and the part of d
that neither the own row nor the mean input explains. Against exact solutions, changes of 1 to 5 %
of the window in every cell are wrong by 0.1 to 1.4 % of themselves at 32x32 and by 1 to 5 % at
112x128 (1 and 2.5 Ω, cells uniform in 1 to 40 and 1 to 100 µS, dense and sparse inputs), the
currents by at most 9e-4 of themselves. One exact solution then serves many programming events
near it: the cost of one is a few passes over the cells.
"""

from dataclasses import dataclass

import numpy as np

from zerohm._arrays import Array

from .network import Network
from .noise_transfer import own_column_adjoint, own_row_input


@dataclass(frozen=True, eq=False)
class Reference:
    """A solved state of an array: arrays of shape (rows, cols) of what is needed near it.

    ``conductance`` S; ``transfer`` T0 in S, input by output; ``own`` u·q and ``common``
    u·(f − q), dimensionless; ``row_conductance`` (rows,) S, current of a driver per volt with all
    drivers at 1 V; ``network`` the circuit.
    """

    conductance: Array
    transfer: Array
    own: Array
    common: Array
    row_conductance: Array
    network: Network

    @classmethod
    def of(cls, network: Network) -> "Reference":
        """Solve a network with drivers at column 0 and sense nodes below the last row.

        Examples
        --------
        Half of the input and half of the response are left to a cell of 1 S behind 1 Ω:

        >>> reference = Reference.of(Network([[1.0]], source_resistance=1.0))
        >>> reference.near(np.array([[1.01]]))
        array([[0.5025]])
        """
        rows, cols = network.shape
        conductance = network.circuit.conductance
        across = network.solve_cells(np.ones(rows), np.zeros(cols)).voltages  # f
        adjoint, own_input = own_column_adjoint(network), own_row_input(network)
        return cls(
            conductance=conductance,
            transfer=np.ascontiguousarray(network.transfer().T),
            own=adjoint * own_input,
            common=adjoint * (across - own_input),
            row_conductance=(conductance * across).sum(axis=1),
            network=network,
        )

    def near(self, conductance: Array) -> Array:
        """Transfer conductances (..., rows, cols) in S of cells (..., rows, cols) in S."""
        change = conductance - self.conductance
        shared = np.einsum("...ij,ij->...j", change, self.common) / self.conductance.shape[0]
        transfer: Array = change * self.own
        transfer += self.transfer
        transfer += shared[..., None, :]
        return transfer
