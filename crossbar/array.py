"""An array of cells that is programmed, read through converters, and remembers its state."""

import math
from collections.abc import Callable
from functools import cached_property
from typing import Literal, TypeVar, get_args

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from zerohm._arrays import Array
from zerohm._errors import InputError, checked, choose
from zerohm._random import as_generator

from ..devices import Cell, Cells, FabricatedCells
from ..devices.temperature import REFERENCE_TEMPERATURE, check_temperature
from ..devices.time_part import check_seconds
from .bit_serial import BitSerial
from .converters import ADC, DAC, FabricatedADC, FabricatedDAC
from .kernels import quantize
from .ledger import Ledger
from .linearised import Reference
from .metering import Meter
from .readout import Readout, WireNoiseMode, prepare
from .sensing import DifferentialSensing
from .wires import Wires
from .write_verify import compensated_targets

A = TypeVar("A", Array, NDArray[np.bool_])


def read_back_full_scale(cell: Cell, *, differential: bool) -> float:
    """Full scale of the converter when cells (or pairs) are read one by one, S.

    1.25 times the largest conductance (difference) of the window, since write noise carries
    cells beyond it.
    """
    return 1.25 * (cell.window if differential else cell.conductance_max)


class Crossbar:
    """Cells at the crossings of word lines (rows, inputs) and bit lines (columns, outputs).

    Parameters
    ----------
    cell : model of every cell.
    shape : (rows, cols) of the array.
    wire_resistance : Ω per segment of word lines and bit lines.
    source_resistance, sink_resistance : Ω, of a word line's driver and a bit line's sense
        amplifier.
    dac : converter of the word-line voltages, or :class:`BitSerial` drivers; ``None`` drives
        exact voltages.
    adc : converter of the bit-line currents; ``None`` returns exact currents. Converters with
        errors of their own are fabricated once, at the first programming.
    differential : bit lines 2j and 2j+1 are subtracted, so that ``read`` returns cols/2
        currents: before the converter, or as :class:`DifferentialSensing` says.
    wire_noise : how read noise passes resistive wires: "moments" (one deviate per current),
        "first order" or "exact" (a deviate per cell and read, the latter with a new solution).
    read_voltage : V, full scale of the inputs.
    read_duration : s, time that the voltages are applied in one read (100 ns, the read cycle of
        Shafiee 2016).
    dtype : float64, or float32 for training.
    seed : integer or Generator behind every draw that gets no generator of its own; without it
        such a draw is refused.
    reference : a solved state of the same array; the circuit of every state is then taken to
        first order about it (see :mod:`zerohm.crossbar.linearised`). ``None`` solves exactly.
    fabricated : gives the cells of a shape as fabrication and wear have left them; unset, they are
        new ones, which ``seed`` makes.

    The ADC's full scale, unless it has its own, is the largest current that the array can carry,
    rows · read_voltage · conductance_max (differential: the window instead of the maximum).

    Raises
    ------
    InputError : a shape, voltage or duration that is not positive, a read voltage that would
        disturb the cell, an odd number of columns in a differential array.

    Examples
    --------
    >>> from zerohm import crossbar, devices
    >>> array = crossbar.Crossbar(devices.preset("Wan2022"), shape=(4, 2), seed=1)
    >>> array.program(np.full((4, 2), 20e-6))
    >>> array.read(np.full(4, 0.2)).shape
    (2,)
    """

    def __init__(
        self,
        cell: Cell,
        *,
        shape: tuple[int, int],
        wire_resistance: float = 0.0,
        source_resistance: float = 0.0,
        sink_resistance: float = 0.0,
        dac: DAC | BitSerial | None = None,
        adc: ADC | None = None,
        differential: bool | DifferentialSensing = False,
        wire_noise: WireNoiseMode = "moments",
        read_voltage: float = 0.2,
        read_duration: float = 100e-9,
        dtype: type[np.floating] = np.float64,
        seed: int | Generator | None = None,
        reference: Reference | None = None,
        fabricated: Callable[[tuple[int, ...]], FabricatedCells] | None = None,
    ) -> None:
        rows, cols = shape
        sensing = DifferentialSensing() if differential is True else (differential or None)
        if rows < 1 or cols < 1 or (sensing is not None and cols % 2):
            raise InputError(
                f"shape={shape!r}: rows and cols must be positive"
                + (", cols even in a differential array" if sensing is not None else "")
            )
        choose("wire_noise", wire_noise, get_args(WireNoiseMode))
        if reference is not None and (
            wire_noise != "moments" or reference.conductance.shape != (rows, cols)
        ):
            raise InputError(
                f"a reference of shape {reference.conductance.shape} serves an array of that shape "
                f"with wire_noise='moments', not shape={shape!r} with wire_noise={wire_noise!r}"
            )
        largest = read_voltage if dac is None or dac.full_scale is None else dac.full_scale
        if not (read_voltage > 0 and largest <= cell.max_read_voltage):
            raise InputError(
                f"inputs of up to {largest!r} V (read_voltage, or the DAC's full scale): must be "
                f"positive and at most {cell.max_read_voltage:g} V, beyond which cell "
                f"{cell.name!r} would be disturbed"
            )
        if not 0 < read_duration < math.inf:
            raise InputError(f"read_duration={read_duration!r} s must be positive and finite")
        if dtype not in (np.float32, np.float64):
            raise InputError(f"dtype={dtype!r} must be float32 or float64")
        self.cell = cell
        self.shape = (rows, cols)
        self.dac = dac
        self.adc = adc
        self.sensing = sensing
        self.differential = sensing is not None and sensing.subtract == "before"
        self.wire_noise = wire_noise
        self.read_voltage = read_voltage
        self.read_duration = read_duration
        self.dtype = dtype
        self.ledger = Ledger()
        self._meter = Meter(cell, self.shape, dac, adc, read_voltage, read_duration, self.ledger)
        self.age_s = 0.0  # since all cells were programmed
        self.wires = checked(
            Wires,
            "wires",
            word_line_resistance=wire_resistance,
            bit_line_resistance=wire_resistance,
            source_resistance=source_resistance,
            sink_resistance=sink_resistance,
        )
        self._instances: dict[str, FabricatedDAC | FabricatedADC] = {}
        self._seed = seed
        self._reference = reference
        self._fabricated = fabricated
        self._cells: Cells | None = None
        self._prepared: Readout | None = None

    @property
    def conductance(self) -> Array:
        """True conductances at present in S, (rows, cols) or (copies, rows, cols)."""
        return self._programmed_cells.conductance

    @property
    def _programmed_cells(self) -> Cells:
        if self._cells is None:
            raise InputError("the array has not been programmed yet: call program(targets) first")
        return self._cells

    @cached_property
    def _generator(self) -> Generator:
        """The array's own generator, made only when some draw needs it."""
        if self._seed is None:
            raise InputError("the array has no seed: give it one, or pass a generator (rng)")
        return as_generator(self._seed)

    @property
    def full_scale_current(self) -> float:
        """Full scale of the ADC, A."""
        if self.adc is not None and self.adc.full_scale is not None:
            return self.adc.full_scale
        span = self.cell.window if self.differential else self.cell.conductance_max
        return self.shape[0] * self.read_voltage * span

    def program(
        self,
        targets: ArrayLike,
        rng: Generator | None = None,
        *,
        copies: int = 1,
        verify: Literal["cell", "array"] = "cell",
        bands: Array | None = None,
    ) -> None:
        """Write every cell once, with its own write noise.

        Parameters
        ----------
        targets : (rows, cols), S.
        rng : source of the write noise; ``None`` for the array's own.
        copies : number of independent arrays written with the same targets; the state then has
            a leading axis unless it is 1. Another number than before is other arrays, new ones.
        verify : what the verify reads see: each cell alone, or what the array shows of it through
            its wires (:func:`zerohm.crossbar.compensated_targets`), so that ``read`` answers as
            if there were no wires.
        bands : (rows, cols), widths of the verify bands relative to the cell's own,
            0 < band <= 1: the write noise shrinks in proportion, and a cell takes 1/band times as
            many pulses. A word line takes as long as its slowest cell.

        Raises
        ------
        InputError : wrong shape, NaN, a target outside the cell's window, or one that cannot be
            shown through the wires, or a band that is not narrower than the own one.
        """
        choose("verify", verify, ("cell", "array"))
        goal = self._checked("targets", np.asarray(targets, dtype=self.dtype), self.shape)
        if verify == "array" and not self.wires.ideal:
            goal = compensated_targets(goal, self.wires, self.cell).astype(self.dtype)
        cells = self._cells_of(copies)
        written = cells.program(goal, rng or self._generator, bands=bands)
        self._cells, self._prepared = cells, None
        self.age_s = 0.0
        self.ledger.clipped_cells += cells.clipped
        self._meter.programming(written, bands)

    def rewrite(
        self,
        targets: ArrayLike,
        where: NDArray[np.bool_],
        rng: Generator | None = None,
        *,
        bands: Array | None = None,
    ) -> None:
        """Write only the cells selected by ``where`` (rows, cols); the rest keep their state.

        Parameters and errors are those of :meth:`program`; targets outside ``where`` are ignored.
        """
        goal = self._checked("targets", np.asarray(targets, dtype=self.dtype), self.shape)
        chosen = self._checked("where", np.asarray(where), self.shape)
        if chosen.dtype != np.bool_ or not chosen.any():
            raise InputError(
                "where must be an array of booleans and select at least one cell: "
                f"got {chosen.dtype}, which selects no cell or is not boolean"
            )
        written = self._programmed_cells.program(
            goal, rng or self._generator, where=chosen, bands=bands
        )
        self._prepared = None
        self.ledger.clipped_cells += self._programmed_cells.clipped
        self._meter.programming(written, bands, chosen)

    def read(
        self, voltages: ArrayLike, rng: Generator | None = None, *, reads: int | None = None
    ) -> Array:
        """Currents of one read per input vector, each with its own read noise.

        Cells conduct in proportion to their voltage, whatever their ``iv``; nonlinear arrays are
        solved by :func:`zerohm.crossbar.nonlinear.solve`.

        Independent Gaussian noise of the cells makes the current of a bit line exactly Gaussian
        with variance Σᵢ Vᵢ² σᵢⱼ², so one deviate per current is drawn, not one per cell. Through
        resistive wires the map is the exact transfer matrix, and the variance that of
        :class:`zerohm.crossbar.InputVariance`.

        Parameters
        ----------
        voltages : (rows,), (batch, rows), or (copies, batch, rows) for an array with copies, V.
        rng : source of the read noise; ``None`` for the array's own.
        reads : how often the same inputs are read one after the other, each time with noise of
            its own; unset, once.

        Returns
        -------
        Currents in A, with ``rows`` replaced by ``cols`` (differential: cols/2) and ``copies``
        in front if the array has them; with ``reads``, these in front of all.

        Raises
        ------
        InputError : wrong shape, NaN, voltages that would disturb the cells, or an array that
            has not been programmed.
        """
        given: Array = np.asarray(voltages, dtype=self.dtype)
        self._check_voltages(given)
        batch: Array = np.atleast_2d(given)
        if isinstance(self.dac, BitSerial):
            current, saturated = self.dac.read(
                batch, self._full_scale_voltage, lambda drive: self._cycle(drive, rng, reads)
            )
            copies = self.conductance.shape[:-2]
            self.ledger.dac_saturations += saturated * self._drivers(batch, copies) * (reads or 1)
        else:
            current = self._cycle(self._apply_dac(batch, rng, reads or 1), rng, reads)
        self._meter.vectors(current.size // current.shape[-1])
        if self.sensing is not None:
            current = self.sensing.after(current)
        return current[..., 0, :] if np.ndim(voltages) == 1 else current

    def _cycle(self, drive: Array, rng: Generator | None, reads: int | None) -> Array:
        """Converted currents of word-line voltages (..., batch, rows), applied once per read."""

        def source() -> Generator:
            return rng or self._generator

        current, floored = self._readout.read(drive, source, reads)
        self.ledger.floored_reads += floored
        if self.adc is not None:
            current, saturated = self._convert(
                "adc", self.adc, current, self.full_scale_current, rng
            )
            self.ledger.adc_saturations += saturated
        self._meter.cycle(current, drive, self._readout.row_conductance, reads or 1)
        return current

    def read_cells(self, rng: Generator | None = None) -> Array:
        """Conductance of every cell (differential: of every pair), read one word line at a time.

        Through resistive wires a read shows the cell as the sense amplifier sees it: the entry
        of the transfer matrix, not the cell alone.

        Each read is one at ``read_voltage``. It carries the cell's read-back noise and the
        electronic noise of its bit line, to which cells at zero volts contribute too, and passes
        the ADC, whose gain is set for :func:`read_back_full_scale`.

        Returns
        -------
        Conductances in S, (..., rows, cols), or differences (..., rows, cols/2).
        """
        conductance = self.conductance
        variance: Array = np.square(self.cell.read_back_std(conductance))
        noise = self.cell.electronic_noise
        if noise is not None:
            seen = np.abs(self._readout.column_transfer)
            column = seen.sum(axis=-2, keepdims=True)
            variance = variance + noise.read_variance(column, seen, self.read_voltage)
        value: Array = self._readout.transfer.copy()
        if self.differential:
            variance = (
                2.0 * variance if variance.ndim == 0 else variance[..., 0::2] + variance[..., 1::2]
            )
        if np.any(variance > 0):
            std = np.sqrt(variance)
            normal = (rng or self._generator).standard_normal(value.shape, dtype=self.dtype)
            value += std.astype(self.dtype) * normal
        if self.adc is not None:
            full_scale = read_back_full_scale(self.cell, differential=self.differential)
            volts = self.read_voltage
            current, saturated = self._convert(
                "adc", self.adc, value * self.dtype(volts), full_scale * volts, rng
            )
            value = current / self.dtype(volts)
            self.ledger.adc_saturations += saturated
        self._meter.read_back(value.size, conductance)
        return value if self.sensing is None else self.sensing.after(value)

    def advance(
        self,
        seconds: float,
        rng: Generator | None = None,
        *,
        temperature: float = REFERENCE_TEMPERATURE,
    ) -> None:
        """Let time pass: relaxation, drift, 1/f and telegraph noise of every cell move on.

        Reads do not let time pass by themselves: the vectors of one batch, and batches between
        which ``advance`` is not called, see the same state of the cells.

        Parameters
        ----------
        seconds : how long, s.
        rng : source of the fluctuations; ``None`` for the array's own.
        temperature : K, at which the cells are in the meantime.

        Raises
        ------
        InputError : a negative or infinite time, a temperature that is not positive, or an array
            that has not been programmed.
        """
        check_seconds(seconds)
        check_temperature(temperature)
        cells = self._programmed_cells
        if self.cell.evolves and seconds > 0:
            cells.advance(seconds, rng or self._generator, temperature=temperature)
            self.ledger.floored_reads += cells.floored
            self._prepared = None
        self.age_s += seconds

    @staticmethod
    def _checked(name: str, values: A, shape: tuple[int, ...]) -> A:
        if values.shape != shape:
            raise InputError(f"{name} have shape {values.shape}, the array needs {shape}")
        return values

    def _convert(
        self,
        role: str,
        design: DAC | ADC,
        signal: Array,
        full_scale: float,
        rng: Generator | None,
    ) -> tuple[Array, int]:
        """One conversion by the array's own converters, which keep their errors for life."""
        if design.ideal:
            return quantize(signal, design.step(full_scale), float(design.largest_code))
        if role not in self._instances:
            copies = math.prod(self.conductance.shape[:-2])
            self._instances[role] = design.fabricate(
                signal.shape[-1], self._generator, copies=copies
            )
        return self._instances[role].convert(signal, full_scale, rng or self._generator)

    @property
    def _full_scale_voltage(self) -> float:
        """Full scale of the word lines' converters, V."""
        own = None if self.dac is None else self.dac.full_scale
        return self.read_voltage if own is None else own

    @staticmethod
    def _drivers(batch: Array, copies: tuple[int, ...]) -> int:
        """How many copies of the array convert this batch: each has its own drivers."""
        return math.prod(copies) if batch.ndim < 3 else 1

    def _check_voltages(self, voltages: Array) -> None:
        if voltages.ndim == 0 or voltages.shape[-1] != self.shape[0]:
            raise InputError(
                f"voltages have shape {voltages.shape}, the last axis must be the "
                f"{self.shape[0]} word lines"
            )
        copies = self.conductance.shape[:-2]
        if voltages.ndim > 2 and voltages.shape[:-2] != copies:
            raise InputError(f"voltages have shape {voltages.shape}, the array has copies {copies}")
        if self.dac is None:
            _require_finite(voltages)
            self._require_undisturbed(voltages)

    def _apply_dac(self, voltages: Array, rng: Generator | None, reads: int) -> Array:
        """What the word lines get for voltages (..., batch, rows)."""
        if self.dac is None or isinstance(self.dac, BitSerial):
            return voltages
        copies = self.conductance.shape[:-2]
        drivers = self._drivers(voltages, copies)
        if not self.dac.ideal and drivers > 1:
            voltages, drivers = np.broadcast_to(voltages, (*copies, *voltages.shape)), 1
        applied, saturated = self._convert("dac", self.dac, voltages, self._full_scale_voltage, rng)
        if saturated:  # as infinite voltages and NaN do
            _require_finite(voltages)
        self.ledger.dac_saturations += saturated * drivers * reads
        if not self.dac.ideal:
            self._require_undisturbed(applied)
        return applied

    def _require_undisturbed(self, voltages: Array) -> None:
        largest = float(np.abs(voltages).max(initial=0.0))
        if largest > self.cell.max_read_voltage:
            raise InputError(
                f"voltages reach {largest:g} V, beyond ±{self.cell.max_read_voltage:g} V "
                f"cell {self.cell.name!r} would be disturbed"
            )

    def _cells_of(self, copies: int) -> Cells:
        """The array's cells, fabricated when it is first programmed with so many copies."""
        shape = self.shape if copies == 1 else (copies, *self.shape)
        if self._cells is not None and self._cells.shape == shape:
            return self._cells
        if self._fabricated is not None:
            return Cells(self.cell, shape, fabricated=self._fabricated(shape))
        return Cells(self.cell, shape, self._generator if self.cell.fabricated else None)

    @property
    def _readout(self) -> Readout:
        """Everything that stays the same until the cells change."""
        if self._prepared is None:
            self._prepared = prepare(
                self.conductance,
                self.cell,
                self.wires,
                differential=self.differential,
                reference=self._reference,
                wire_noise=self.wire_noise,
            )
        return self._prepared


def _require_finite(voltages: Array) -> None:
    if not np.isfinite(voltages).all():
        raise InputError("voltages must be finite")
