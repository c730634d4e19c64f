"""What stays the same between programming events: how an array answers to its word lines.

A readout holds the linear map from word-line voltages to what the sense amplifiers see, the
variance that read noise adds, and what the drivers deliver. It is prepared once for a state of
the cells (with a leading axis for copies of the array) and used for every read.
"""

from typing import Protocol

import numpy as np

from zerohm._arrays import Array

from ..devices import Cell
from .linearised import Reference
from .noise_transfer import InputVariance
from .wires import Wires


class Readout(Protocol):
    """A prepared state of an array.

    ``transfer`` (..., rows, outputs) S: sensed currents are ``voltages @ transfer``.
    ``row_conductance`` (..., rows) S: current of a driver per volt, all drivers at 1 V.
    """

    transfer: Array
    row_conductance: Array

    def variance(self, voltages: Array, squared: Array) -> Array | None:
        """Variance (..., batch, outputs) in A² for voltages (..., batch, rows) and their squares.

        ``None`` without read noise.
        """


def prepare(
    conductance: Array,
    cell: Cell,
    wires: Wires,
    *,
    differential: bool,
    reference: Reference | None = None,
) -> Readout:
    """The readout of cells (..., rows, cols) in S behind these wires.

    With a ``reference`` the circuit is not solved but taken to first order about it.
    """
    if wires.ideal:
        return IdealReadout(conductance, cell, differential)
    if reference is not None:
        return LinearisedReadout(conductance, cell, reference, differential)
    return WiredReadout(conductance, cell, wires, differential)


class IdealReadout:
    """Wires without resistance: I = V·G, and the variance is Σ V²σ², exactly."""

    def __init__(self, conductance: Array, cell: Cell, differential: bool) -> None:
        self.transfer = _sensed(conductance, -1, differential)
        self.row_conductance = conductance.sum(axis=-1)
        variance = cell.read_std(conductance) ** 2
        if variance.ndim:
            variance = _sensed(variance, +1, differential)
        elif differential:
            variance = 2.0 * variance
        self._variance = variance

    def variance(self, voltages: Array, squared: Array) -> Array | None:
        """See :class:`Readout`."""
        if self._variance.ndim:
            result: Array = squared @ self._variance
            return result
        if self._variance == 0:
            return None
        per_vector = self._variance * squared.sum(axis=-1, keepdims=True)
        lead = np.broadcast_shapes(voltages.shape[:-2], self.transfer.shape[:-2])
        shape = (*lead, voltages.shape[-2], self.transfer.shape[-1])
        return np.ascontiguousarray(np.broadcast_to(per_vector, shape))


class WiredReadout:
    """The exact transfer matrix through resistive wires.

    The variance is that of :class:`~zerohm.crossbar.noise_transfer.InputVariance`, which states
    its error; correlations between the bit lines of a pair are neglected. Energy per read is
    exact for equal voltages on all word lines.
    """

    def __init__(self, conductance: Array, cell: Cell, wires: Wires, differential: bool) -> None:
        self._differential = differential
        stack = conductance.reshape(-1, *conductance.shape[-2:]).astype(np.float64)
        networks = [wires.network(cells) for cells in stack]
        dtype, lead = conductance.dtype, conductance.shape[:-2]
        transfer = np.stack([network.transfer().T for network in networks])
        rows, cols = stack.shape[1:]
        self.transfer = _sensed(transfer.reshape(*lead, rows, cols).astype(dtype), -1, differential)
        drivers = np.stack([network.driver_currents(np.ones(rows)) for network in networks])
        self.row_conductance = drivers.reshape(*lead, rows).astype(dtype)
        stds = np.broadcast_to(cell.read_std(conductance), conductance.shape).reshape(stack.shape)
        self._variances = [
            InputVariance(network, std) for network, std in zip(networks, stds, strict=True)
        ]
        self._noisy = bool(np.any(stds > 0))
        self._lead = lead

    def variance(self, voltages: Array, squared: Array) -> Array | None:
        """See :class:`Readout`."""
        if not self._noisy:
            return None
        batches = np.broadcast_to(voltages, (*self._lead, *voltages.shape[-2:]))
        batches = batches.reshape(-1, *voltages.shape[-2:]).astype(np.float64)
        values = [of(batch) for of, batch in zip(self._variances, batches, strict=True)]
        stacked = np.stack(values).reshape(*self._lead, *values[0].shape)
        return np.ascontiguousarray(
            _sensed(stacked, +1, self._differential), dtype=self.transfer.dtype
        )


class LinearisedReadout:
    """The transfer matrix to first order about a reference; read noise as at the reference."""

    def __init__(
        self, conductance: Array, cell: Cell, reference: Reference, differential: bool
    ) -> None:
        self._differential = differential
        transfer = reference.near(conductance).astype(conductance.dtype)
        self.transfer = _sensed(transfer, -1, differential)
        per_row = reference.row_conductance.astype(conductance.dtype)
        self.row_conductance = np.broadcast_to(per_row, conductance.shape[:-1])
        std = cell.read_std(reference.conductance)
        self._variance = InputVariance(reference.network, std) if np.any(std > 0) else None

    def variance(self, voltages: Array, squared: Array) -> Array | None:
        """See :class:`Readout`."""
        if self._variance is None:
            return None
        lead = self.transfer.shape[:-2]
        batches = np.broadcast_to(voltages, (*lead, *voltages.shape[-2:]))
        values = _sensed(self._variance(batches.astype(np.float64)), +1, self._differential)
        return np.ascontiguousarray(values, dtype=self.transfer.dtype)


def _sensed(per_column: Array, sign: int, differential: bool) -> Array:
    """Values per column as the sense amplifiers see them: each, or combined in pairs."""
    if not differential:
        return per_column
    combined: Array = per_column[..., 0::2] + sign * per_column[..., 1::2]
    return combined
