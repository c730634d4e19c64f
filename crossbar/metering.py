"""What the operations of an array cost: events, energy and time, added to its ledger."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zerohm._arrays import Array

from ..devices import Cell
from .bit_serial import BitSerial
from .converters import ADC, DAC
from .ledger import Ledger


@dataclass(frozen=True)
class Meter:
    """Prices of one array of this shape (rows, cols): its cell, converters and reads.

    ``read_voltage`` in V and ``read_duration`` in s are those of reading single cells.
    """

    cell: Cell
    shape: tuple[int, int]
    dac: DAC | BitSerial | None
    adc: ADC | None
    read_voltage: float
    read_duration: float
    ledger: Ledger

    def programming(
        self, written: Array, bands: Array | None, where: NDArray[np.bool_] | None = None
    ) -> None:
        """One programming event of all cells, or of those ``where``; narrow bands cost more.

        ``written`` are the conductances in S that it has left, ``bands`` (rows, cols) the widths
        of the acceptance bands in units of the cell's own.
        """
        cost, ledger = self.cell.programming, self.ledger
        ledger.cell_writes += written.size
        events: float = written.size
        lines: float = self.shape[0] if where is None else int(np.count_nonzero(where.any(axis=1)))
        if bands is not None:
            effort = np.divide(
                1.0, bands, out=np.zeros(self.shape), where=True if where is None else where
            )
            lines = float(effort.max(axis=1).sum())
            per_cell = effort if where is None else effort[where]
            events = float(np.broadcast_to(per_cell, written.shape).sum())
            written = written * per_cell
        pulses = cost.pulses_per_write * events
        ledger.pulses += pulses
        ledger.verify_reads += pulses
        ledger.energy_J["write"] += pulses * cost.pulse_energy
        ledger.energy_J["verify"] += cost.pulses_per_write * self._read_energy(written)
        if self.adc is not None:
            ledger.energy_J["verify"] += pulses * self.adc.energy
        ledger.time_s += lines * cost.pulses_per_write * (cost.pulse_duration + self.read_duration)

    def vectors(self, count: int) -> None:
        """Inputs: one conversion per word line and vector, however many cycles it takes."""
        self.ledger.vectors += count
        if self.dac is not None:
            self.ledger.dac_conversions += count * self.shape[0]
            self.ledger.energy_J["dac"] += count * self.shape[0] * self.dac.energy

    def cycle(self, current: Array, drive: Array, row_conductance: Array, reads: int) -> None:
        """Products of word-line voltages (..., batch, rows) in V, taken so many times.

        ``current`` (..., batch, cols) is what was converted, ``row_conductance`` (..., rows) in S
        what a word line sees. Copies work in parallel, reads one after the other.
        """
        ledger = self.ledger
        power = np.square(drive) @ row_conductance[..., np.newaxis]  # W per vector
        ledger.energy_J["array"] += reads * float(power.sum()) * self.read_duration
        ledger.time_s += reads * current.shape[-2] * self.read_duration
        if self.adc is not None:
            ledger.adc_conversions += current.size
            ledger.energy_J["adc"] += current.size * self.adc.energy

    def read_back(self, conversions: int, conductance: Array) -> None:
        """Cells of these conductances in S read one word line at a time."""
        ledger = self.ledger
        ledger.cells_read_back += conductance.size
        ledger.energy_J["read_back"] += self._read_energy(conductance)
        ledger.time_s += self.shape[0] * self.read_duration
        if self.adc is not None:
            ledger.adc_conversions += conversions
            ledger.energy_J["read_back"] += conversions * self.adc.energy

    def _read_energy(self, conductance: Array) -> float:
        """Energy of reading each of these cells once, alone, J."""
        return float(conductance.sum()) * self.read_voltage**2 * self.read_duration
