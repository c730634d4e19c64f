"""From cell conductances to the linear map between word-line voltages and bit-line currents.

A wire model has one method, ``transfer``: conductances (..., rows, cols) in S to transfer
conductances of the same shape, so that the bit-line currents are ``voltages @ transfer``. It is
called once per programming event; every read after that is a matrix product.
"""

from typing import Protocol

from zerohm._arrays import Array
from zerohm._errors import InputError


class WireModel(Protocol):
    """What a crossbar needs of its wires."""

    def transfer(self, conductance: Array) -> Array:
        """Transfer conductances (..., rows, cols) in S of cells (..., rows, cols) in S."""


class IdealWires:
    """Wires without resistance: I = V·G, Ohm's and Kirchhoff's laws alone."""

    def transfer(self, conductance: Array) -> Array:
        return conductance


def wire_model(wire_resistance: float) -> WireModel:
    """The wire model for a segment resistance in Ω.

    Raises
    ------
    InputError : a resistance other than zero; this version solves ideal wires only.
    """
    if wire_resistance != 0.0:
        raise InputError(
            f"wire_resistance={wire_resistance!r} Ω: this version solves ideal wires only, use 0.0"
        )
    return IdealWires()
