"""What stays the same between programming events: how an array answers to its word lines.

A readout holds the linear map from word-line voltages to what the sense amplifiers see, the
read noise on it, and what the drivers deliver. It is prepared once for a state of the cells (with
a leading axis for copies of the array) and used for every read.
"""

from collections.abc import Callable
from typing import Literal, Protocol, TypeVar, cast

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from zerohm._arrays import Array

from ..devices import Cell, ElectronicNoise
from .kernels import add_noise, add_vector_noise
from .linearised import Reference
from .noise_through_wires import ExactNoise, FirstOrderNoise
from .noise_transfer import InputVariance
from .normal_deviates import normal_deviates
from .wires import Wires

Values = TypeVar("Values", bound=NDArray[np.inexact])
WireNoiseMode = Literal["moments", "first order", "exact"]


class Readout(Protocol):
    """A prepared state of an array.

    ``column_transfer`` (..., rows, cols) S: currents of the bit lines are ``voltages @`` it.
    ``transfer`` (..., rows, outputs) S: the same for what is sensed, pairs combined.
    ``row_conductance`` (..., rows) S: current of a driver per volt, all drivers at 1 V.
    """

    column_transfer: Array
    transfer: Array
    row_conductance: Array

    def read(
        self, voltages: Array, source: Callable[[], Generator], reads: int | None
    ) -> tuple[Array, int]:
        """Sensed currents (..., batch, outputs) in A for voltages (..., batch, rows).

        ``source`` gives the generator of the read noise and is called only if there is any. With
        ``reads``, so many results of the same voltages in front, each with its own noise. The
        number says how many cell values the noise would have made negative.
        """


def prepare(
    conductance: Array,
    cell: Cell,
    wires: Wires,
    *,
    differential: bool,
    reference: Reference | None = None,
    wire_noise: WireNoiseMode = "moments",
) -> Readout:
    """The readout of cells (..., rows, cols) in S behind these wires.

    With a ``reference`` the circuit is not solved but taken to first order about it.
    ``wire_noise`` says how read noise passes resistive wires that are solved: by its moments, to
    first order in every cell, or with a new solution for every read.
    """
    readout: Readout
    if wires.ideal:
        readout = IdealReadout(conductance, cell, differential)
    elif reference is not None:
        readout = LinearisedReadout(conductance, cell, reference, differential)
    elif wire_noise == "moments":
        readout = WiredReadout(conductance, cell, wires, differential)
    else:
        mode = FirstOrderNoise if wire_noise == "first order" else ExactNoise
        readout = CellwiseReadout(conductance, cell, wires, differential, mode)
    if cell.electronic_noise is not None:
        return ElectronicReadout(readout, cell.electronic_noise, differential)
    return readout


class IdealReadout:
    """Wires without resistance: I = V·G, and the variance is Σ V²σ², exactly."""

    def __init__(self, conductance: Array, cell: Cell, differential: bool) -> None:
        self.column_transfer = conductance
        self.transfer = _sensed(conductance, -1, differential)
        self.row_conductance = conductance.sum(axis=-1)
        variance = cell.read_std(conductance) ** 2
        if variance.ndim:
            variance = _sensed(variance, +1, differential)
        elif differential:
            variance = 2.0 * variance
        self._variance = variance

    def read(
        self, voltages: Array, source: Callable[[], Generator], reads: int | None
    ) -> tuple[Array, int]:
        """See :class:`Readout`."""
        current: Array = voltages @ self.transfer
        if self._variance.ndim:
            return _noisy(current, np.square(voltages) @ self._variance, source(), reads), 0
        current = repeated(current, reads)
        if self._variance > 0:
            # One variance for all cells: that of a current is the same in every column.
            std = np.sqrt(self._variance * np.vecdot(voltages, voltages))
            add_vector_noise(current, std, normal_deviates(source(), current.shape, current.dtype))
        return current, 0


class _SolvedReadout:
    """The exact transfer matrix through resistive wires, and the circuits that it is of.

    Energy per read is exact for equal voltages on all word lines.
    """

    def __init__(self, conductance: Array, cell: Cell, wires: Wires, differential: bool) -> None:
        rows, cols = conductance.shape[-2:]
        dtype = conductance.dtype
        self._differential = differential
        self._lead = lead = conductance.shape[:-2]
        self._networks = [
            wires.network(cells) for cells in conductance.reshape(-1, rows, cols).astype(np.float64)
        ]
        stds = np.broadcast_to(cell.read_std(conductance), conductance.shape)
        self._stds = stds.reshape(-1, rows, cols)
        self._noisy = bool(np.any(stds > 0))
        transfer = np.stack([network.transfer().T for network in self._networks])
        self.column_transfer = transfer.reshape(*lead, rows, cols).astype(dtype)
        self.transfer = _sensed(self.column_transfer, -1, differential)
        drivers = np.stack([network.driver_currents(np.ones(rows)) for network in self._networks])
        self.row_conductance = drivers.reshape(*lead, rows).astype(dtype)

    def _copies(self, values: list[Array]) -> Array:
        """Values (batch, cols) of every copy as (..., batch, cols)."""
        return np.stack(values).reshape(*self._lead, *values[0].shape)


class WiredReadout(_SolvedReadout):
    """Resistive wires with one deviate per current.

    The variance is that of :class:`~zerohm.crossbar.noise_transfer.InputVariance`, which states
    its error; correlations between the bit lines of a pair are neglected.
    """

    def __init__(self, conductance: Array, cell: Cell, wires: Wires, differential: bool) -> None:
        super().__init__(conductance, cell, wires, differential)
        pairs = zip(self._networks, self._stds, strict=True)
        self._variances = [InputVariance(network, std) for network, std in pairs if self._noisy]

    def read(
        self, voltages: Array, source: Callable[[], Generator], reads: int | None
    ) -> tuple[Array, int]:
        """See :class:`Readout`."""
        current: Array = voltages @ self.transfer
        if self._noisy:
            batches = _batches(voltages, self._lead)
            values = [of(batch) for of, batch in zip(self._variances, batches, strict=True)]
            variance = _sensed(self._copies(values), +1, self._differential)
            return _noisy(current, variance, source(), reads), 0
        return repeated(current, reads), 0


class CellwiseReadout(_SolvedReadout):
    """Resistive wires with noise drawn for every cell of every read: exact, or first order."""

    def __init__(
        self,
        conductance: Array,
        cell: Cell,
        wires: Wires,
        differential: bool,
        mode: type[ExactNoise] | type[FirstOrderNoise],
    ) -> None:
        super().__init__(conductance, cell, wires, differential)
        pairs = zip(self._networks, self._stds, strict=True)
        self._modes = [mode(network, std) for network, std in pairs if self._noisy]

    def read(
        self, voltages: Array, source: Callable[[], Generator], reads: int | None
    ) -> tuple[Array, int]:
        """See :class:`Readout`."""
        if not self._noisy:
            return repeated(voltages @ self.transfer, reads), 0
        rng, batches = source(), _batches(voltages, self._lead)
        if reads is None:
            return self._read_once(batches, rng)
        single = [self._read_once(batches, rng) for _ in range(reads)]
        return np.stack([current for current, _ in single]), sum(floored for _, floored in single)

    def _read_once(self, batches: Array, rng: Generator) -> tuple[Array, int]:
        found = [mode.read(batch, rng) for mode, batch in zip(self._modes, batches, strict=True)]
        current = _sensed(self._copies([each.currents for each in found]), -1, self._differential)
        floored = sum(each.floored for each in found)
        return np.ascontiguousarray(current, dtype=self.transfer.dtype), floored


class LinearisedReadout:
    """The transfer matrix to first order about a reference; read noise as at the reference."""

    def __init__(
        self, conductance: Array, cell: Cell, reference: Reference, differential: bool
    ) -> None:
        self._differential = differential
        self.column_transfer = reference.near(conductance).astype(conductance.dtype)
        self.transfer = _sensed(self.column_transfer, -1, differential)
        per_row = reference.row_conductance.astype(conductance.dtype)
        self.row_conductance = np.broadcast_to(per_row, conductance.shape[:-1])
        std = cell.read_std(reference.conductance)
        self._variance = InputVariance(reference.network, std) if np.any(std > 0) else None

    def read(
        self, voltages: Array, source: Callable[[], Generator], reads: int | None
    ) -> tuple[Array, int]:
        """See :class:`Readout`."""
        current: Array = voltages @ self.transfer
        if self._variance is not None:
            variance = _sensed(self._variance(voltages.astype(np.float64)), +1, self._differential)
            return _noisy(current, variance, source(), reads), 0
        return repeated(current, reads), 0


class ElectronicReadout:
    """Another readout with the thermal and shot noise of the read currents on top.

    Both bit lines of a pair contribute with their own current; the noise of the wires'
    resistance is not part of it.
    """

    def __init__(self, inner: Readout, noise: ElectronicNoise, differential: bool) -> None:
        self._inner, self._noise = inner, noise
        self.column_transfer, self.transfer = inner.column_transfer, inner.transfer
        self.row_conductance = inner.row_conductance
        self._magnitude = _sensed(np.abs(inner.column_transfer), +1, differential)
        self._total = self._magnitude.sum(axis=-2, keepdims=True)

    def read(
        self, voltages: Array, source: Callable[[], Generator], reads: int | None
    ) -> tuple[Array, int]:
        """See :class:`Readout`."""
        current, floored = self._inner.read(voltages, source, reads)
        flowing = np.abs(voltages) @ self._magnitude
        variance = self._noise.current_variance(self._total, flowing)
        return _noisy(current, variance, source(), None), floored


def repeated(values: Values, reads: int | None) -> Values:
    """The same values for so many reads, in front; unset, for one without an axis of its own."""
    if reads is None:
        return values
    return cast(Values, np.repeat(values[np.newaxis], reads, axis=0))


def _noisy(current: Array, variance: Array, rng: Generator, reads: int | None) -> Array:
    """Currents (A) with noise of a variance (A²) that broadcasts against them, for every read."""
    result = repeated(current, reads)
    full = np.ascontiguousarray(np.broadcast_to(variance, result.shape), dtype=result.dtype)
    add_noise(result, full, normal_deviates(rng, result.shape, result.dtype))
    return result


def _batches(voltages: Array, lead: tuple[int, ...]) -> Array:
    """Voltages (copies, batch, rows) in float64, for arrays with or without an axis of copies."""
    shape = (*lead, *voltages.shape[-2:])
    return np.broadcast_to(voltages, shape).reshape(-1, *shape[-2:]).astype(np.float64)


def _sensed(per_column: Array, sign: int, differential: bool) -> Array:
    """Values per column as the sense amplifiers see them: each, or combined in pairs."""
    if not differential:
        return per_column
    combined: Array = per_column[..., 0::2] + sign * per_column[..., 1::2]
    return combined
