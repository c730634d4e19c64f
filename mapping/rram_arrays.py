"""Layers on RRAM crossbars: differential pairs, tiled, with digitised partial sums."""

import math
from dataclasses import dataclass as record
from dataclasses import replace
from functools import partial
from typing import Annotated, Literal, Self

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from zerohm._arrays import Array
from zerohm._config import STRICT
from zerohm._errors import InputError, checked
from zerohm._random import stream

from ..crossbar import (
    ADC,
    DAC,
    Crossbar,
    Ledger,
    Reference,
    Wires,
    in_parallel,
    read_back_full_scale,
)
from ..devices import Cell, FabricatedCells
from ..devices.rram import check_bands
from . import differential, tiling
from .chip import Chip
from .protocol import WriteNoise, check_batch, check_matrix, check_shape


@record(frozen=True, eq=False)
class Bands:
    """Widths of verify bands relative to the cell's own; broadcast against weights (out, in)."""

    factors: Array

    def of_cells(self, shape: tuple[int, int]) -> Array:
        """One band per cell, (in, 2·out), of weights of this shape (out, in).

        Raises
        ------
        InputError : factors that do not broadcast to this shape.
        """
        try:
            full = np.broadcast_to(self.factors, shape)
        except ValueError:
            raise InputError(
                f"bands have shape {self.factors.shape}, which does not fit weights of {shape}"
            ) from None
        return np.repeat(full.T, 2, axis=1)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class RRAMHardware:
    """RRAM crossbars with differential pairs behind the hardware protocol.

    Parameters
    ----------
    cell : model of every cell.
    tile : (word lines, bit lines) of the largest array; a layer is cut into as few tiles as
        possible and the partial sums of its row blocks are digitised one by one and added.
    dac, adc : converters; ``None`` for exact ones.
    wire_resistance : Ω per wire segment; unless 0, every programming event solves the circuit
        of every tile exactly, which takes much longer than programming itself.
    weight_range : largest |weight| times √inputs, so that a layer with n inputs (bias included)
        stores weights in ±weight_range/√n over the whole conductance window.
    current_range : full scale of the ADC in units of read voltage · window · √rows.
    read_voltage : V, full scale of the inputs.
    settling_time : s between programming and first use, in which the cells relax; a rewrite has
        none of its own.
    running_clock : matrix–vector products, read-backs and rewrites take their time, at the end of
        which the cells have moved on; otherwise time passes only when ``advance`` says so.
    chip, place : which chip, and where on it: the seed of what fabrication leaves to chance
        (stuck cells, lifetimes). Programming again finds the same devices, as they were when new.
    devices : the chip's devices, which keep their wear from one programming to the next.
    precision : floating-point type of the simulation.
    references : solved states of one layer's tiles, from :meth:`prepared_near`.
    bands : verify bands of single weights, from :meth:`tightened`.

    Raises
    ------
    ValueError : a value outside its range, a tile smaller than 1 × 2, or converters with errors
        of their own.
    """

    cell: Cell
    tile: tuple[int, int] = (128, 128)
    dac: DAC | None = DAC(bits=8)
    adc: ADC | None = ADC(bits=8)
    wire_resistance: Annotated[float, Field(ge=0)] = 0.0
    weight_range: Annotated[float, Field(gt=0)] = 6.0
    current_range: Annotated[float, Field(gt=0)] = 1.0
    read_voltage: Annotated[float, Field(gt=0)] = 0.2
    settling_time: Annotated[float, Field(ge=0)] = 0.0
    running_clock: bool = False
    chip: Annotated[int, Field(ge=0)] = 0
    place: Annotated[int, Field(ge=0)] = 0
    precision: Literal["float32", "float64"] = "float32"
    references: tuple[Reference, ...] = ()
    bands: Bands | None = None
    devices: Chip | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        rows, columns = self.tile
        if rows < 1 or columns < 2:
            raise ValueError(f"tile={self.tile!r} must be at least 1 word line × 2 bit lines")
        for converter in (self.dac, self.adc):
            if converter is not None and not converter.ideal:
                raise ValueError(
                    "layers take converters without errors of their own in this version: use "
                    "them with a Crossbar, or leave gain, offset, nonlinearity and noise at 0"
                )
        if self.read_voltage > self.cell.max_read_voltage:
            raise ValueError(
                f"read_voltage={self.read_voltage!r} V must be at most "
                f"{self.cell.max_read_voltage:g} V, where cell {self.cell.name!r} is disturbed"
            )
        return self

    @property
    def name(self) -> str:
        return "rram"

    @property
    def citations(self) -> tuple[str, ...]:
        return (*self.cell.citations, "Shafiee2016")

    @property
    def cells_per_weight(self) -> int:
        return 2

    def weight_limit(self, inputs: int) -> float:
        """Largest |weight| of a layer with this many inputs."""
        return self.weight_range / math.sqrt(inputs)

    def write_noise(self, weights: Array) -> WriteNoise:
        """Statistics of the write noise of these weights (out, in), both devices of the pair.

        Of the programming event alone: neither stuck cells nor what the cells do afterwards, in
        ``settling_time`` or later, is part of it.
        """
        limit = self.weight_limit(weights.shape[1])
        std, slope = differential.noise_of_weights(weights, limit, self.cell)
        if self.bands is not None:
            std, slope = std * self.bands.factors, slope * self.bands.factors
        return WriteNoise(std=std, std_slope=slope, density=self.cell.write_noise.density)

    def read_back_std(self, weights: Array) -> Array:
        """Standard deviation of reading a pair back: noise of its devices and their bit lines, and
        the ADC's rounding. Wires are taken as ideal."""
        limit = self.weight_limit(weights.shape[1])
        carrying = self.cell.conductance_min + np.abs(weights) * (self.cell.window / limit)
        resting = np.asarray(self.cell.conductance_min, dtype=weights.dtype)
        variance = self.cell.read_back_std(carrying) ** 2 + self.cell.read_back_std(resting) ** 2
        if self.cell.electronic_noise is not None:
            pairs = carrying + resting
            columns = np.empty_like(pairs)
            for tile in self.tiles(*weights.shape):
                columns[tile] = pairs[tile].sum(axis=1, keepdims=True)
            variance = variance + self.cell.electronic_noise.read_variance(
                columns, pairs, self.read_voltage
            )
        if self.adc is not None:
            step = self.adc.step(read_back_full_scale(self.cell, differential=True))
            variance = variance + step**2 / 12.0
        std: Array = np.sqrt(variance) * (limit / self.cell.window)
        return std

    def at(self, place: int) -> Self:
        """The same arrays at another place of the chip."""
        return replace(self, place=place)

    def tightened(self, factor: float | Array) -> Self:
        """The same arrays verified to bands ``factor`` times as wide.

        An array of factors broadcasts against the weights (out, in), both devices of a pair having
        the same band, and takes the place of an earlier one.

        Raises
        ------
        InputError : a factor outside (0, 1].
        """
        if np.ndim(factor) == 0:
            return replace(self, cell=self.cell.tightened(float(factor)))
        factors = np.asarray(factor, dtype=self.precision)
        check_bands(factors)
        return replace(self, bands=Bands(factors))

    def prepared_near(self, weights: Array) -> Self:
        """The same arrays with their circuits solved for these weights (out, in).

        Layers that are programmed with it take the circuit to first order about that solution
        (:mod:`zerohm.crossbar.linearised`); with ideal wires it is the hardware itself.
        """
        if self.wire_resistance == 0.0:
            return self
        wires = Wires(
            word_line_resistance=self.wire_resistance, bit_line_resistance=self.wire_resistance
        )
        targets = self.targets(weights).astype(np.float64)
        solved = [
            Reference.of(wires.network(targets[into, 2 * out.start : 2 * out.stop]))
            for out, into in self.tiles(*weights.shape)
        ]
        return replace(self, references=tuple(solved))

    def tiles(self, outputs: int, inputs: int) -> list[tuple[slice, slice]]:
        """Outputs and inputs of every tile of a layer, in the order of their arrays."""
        rows, columns = self.tile
        return [
            (out, into)
            for out in tiling.blocks(outputs, columns // 2)
            for into in tiling.blocks(inputs, rows)
        ]

    def targets(self, weights: Array) -> Array:
        """Target conductances (in, 2·out) in S of weights (out, in).

        Raises
        ------
        InputError : weights that are NaN or beyond ``weight_limit``.
        """
        limit, dtype = self.weight_limit(weights.shape[1]), np.dtype(self.precision)
        largest = float(np.abs(weights).max())
        if not largest <= limit * (1 + 1e-5):  # NaN compares false
            raise InputError(
                f"weights reach {largest:g}, but {weights.shape[1]} inputs can store at most "
                f"±{limit:g}: clip or rescale them, or raise weight_range"
            )
        bounded = np.clip(weights.astype(dtype), -limit, limit)
        return differential.to_conductances(bounded, limit, self.cell)

    def program(self, weights: Array, *, rng: Generator, copies: int = 1) -> "ProgrammedRRAM":
        """Write the weights (out, in) onto fresh arrays.

        Raises
        ------
        InputError : weights that are NaN or beyond ``weight_limit``.
        """
        return ProgrammedRRAM(self, weights, rng=rng, copies=copies)


class ProgrammedRRAM:
    """Crossbars that hold one layer; see :class:`zerohm.mapping.Programmed`."""

    def __init__(
        self, hardware: RRAMHardware, weights: Array, *, rng: Generator, copies: int
    ) -> None:
        check_matrix(weights)
        self._hardware = hardware
        self._shape = outputs, inputs = weights.shape
        self._copies = copies
        self._limit = hardware.weight_limit(inputs)
        self._dtype = np.dtype(hardware.precision).type
        tiles = hardware.tiles(outputs, inputs)
        references = hardware.references or (None,) * len(tiles)
        self._tiles = [
            (out, into, self._array(tile, into.stop - into.start, out.stop - out.start, reference))
            for tile, ((out, into), reference) in enumerate(zip(tiles, references, strict=True))
        ]
        targets = hardware.targets(weights)
        self._bands = None if hardware.bands is None else hardware.bands.of_cells(self._shape)
        for out, into, array in self._tiles:
            tile = into, slice(2 * out.start, 2 * out.stop)
            bands = None if self._bands is None else self._bands[tile]
            array.program(targets[tile], rng, copies=copies, bands=bands)
        self.advance(hardware.settling_time, rng=rng)
        self._clock = self.ledger.time_s if hardware.running_clock else 0.0

    def _array(self, tile: int, rows: int, outputs: int, reference: Reference | None) -> Crossbar:
        hardware, cell = self._hardware, self._hardware.cell
        adc = hardware.adc
        if adc is not None and adc.full_scale is None:
            unit = hardware.read_voltage * cell.window * math.sqrt(rows)
            adc = replace(adc, full_scale=hardware.current_range * unit)
        return Crossbar(
            cell,
            shape=(rows, 2 * outputs),
            wire_resistance=hardware.wire_resistance,
            dac=hardware.dac,
            adc=adc,
            differential=True,
            read_voltage=hardware.read_voltage,
            dtype=self._dtype,
            seed=self._fabrication(tile),
            reference=reference,
            fabricated=None if hardware.devices is None else partial(self._cells, tile),
        )

    @property
    def ledger(self) -> Ledger:
        """Totals over the tiles, which work in parallel."""
        return in_parallel(array.ledger for _, _, array in self._tiles)

    def apply(self, x: Array, *, rng: Generator, reads: int | None = None) -> Array:
        """W·x for a batch through DAC, array, read noise and ADC, tile by tile."""
        check_batch(x, self._shape[1], self._copies)
        hardware = self._hardware
        signal, volts = np.asarray(x, dtype=self._dtype), self._dtype(hardware.read_voltage)
        total: Array | None = None
        for out, into, array in self._tiles:
            current = array.read(signal[..., into] * volts, rng, reads=reads)
            if total is None:
                total = np.zeros((*current.shape[:-1], self._shape[0]), dtype=self._dtype)
            total[..., out] += current
        assert total is not None  # a layer has at least one tile
        total *= self._limit / (hardware.read_voltage * hardware.cell.window)
        self._take_time(rng)
        return total

    def read_back(self, *, rng: Generator) -> Array:
        """Stored weights as the converter reports them, pair by pair, with read-back noise."""
        weights = self._gather([array.read_cells(rng) for _, _, array in self._tiles])
        self._take_time(rng)
        return weights

    def rewrite(self, weights: Array, where: NDArray[np.bool_], *, rng: Generator) -> None:
        """Program the selected weights anew; the rest keep their state.

        Raises
        ------
        InputError : shapes other than the layer's, or weights beyond the limit.
        """
        check_shape("weights", weights, self._shape)
        check_shape("where", where, self._shape)
        targets = self._hardware.targets(weights)
        cells = np.repeat(where.T, 2, axis=1)
        for out, into, array in self._tiles:
            tile = into, slice(2 * out.start, 2 * out.stop)
            if cells[tile].any():
                bands = None if self._bands is None else self._bands[tile]
                array.rewrite(targets[tile], cells[tile], rng, bands=bands)
        self._take_time(rng)

    def advance(self, seconds: float, *, rng: Generator) -> None:
        """Let time pass in every array."""
        for _, _, array in self._tiles:
            array.advance(seconds, rng)

    def _take_time(self, rng: Generator) -> None:
        """With a running clock, the cells move on by the time that the last operation took."""
        if self._hardware.running_clock:
            now = self.ledger.time_s
            self.advance(now - self._clock, rng=rng)
            self._clock = now

    def _fabrication(self, tile: int) -> Generator | None:
        """Source of what fabrication left to chance in one tile."""
        hardware = self._hardware
        if not hardware.cell.fabricated:
            return None
        return stream(hardware.chip, "fabrication", hardware.place, tile)

    def _cells(self, tile: int, shape: tuple[int, ...]) -> FabricatedCells:
        """The cells of one tile as earlier programming events have left them."""
        hardware = self._hardware
        assert hardware.devices is not None  # else nobody asks

        def fabricate() -> FabricatedCells:
            source = stream(hardware.chip, "fabrication", hardware.place, tile)
            return hardware.cell.fabricate(shape, source)

        return hardware.devices.cells((hardware.place, tile, shape), fabricate)

    @property
    def truth(self) -> Array:
        """The true stored weights, which no converter can report."""
        pairs = [array.conductance for _, _, array in self._tiles]
        return self._gather([g[..., 0::2] - g[..., 1::2] for g in pairs])

    def _gather(self, differences: list[Array]) -> Array:
        """Weights (..., out, in) from the tiles' conductance differences (..., in, out)."""
        outputs, inputs = self._shape
        full = np.empty((*differences[0].shape[:-2], inputs, outputs), dtype=self._dtype)
        for (out, into, _), difference in zip(self._tiles, differences, strict=True):
            full[..., into, out] = difference
        return differential.to_weights(full, self._limit, self._hardware.cell)


def rram(cell: Cell, **options: object) -> RRAMHardware:
    """RRAM crossbars of this cell; ``options`` are the fields of :class:`RRAMHardware`.

    Raises
    ------
    InputError : an unknown option or a value outside its range.

    Examples
    --------
    >>> from zerohm import devices
    >>> hardware = rram(devices.preset("Wan2022"), tile=(64, 64))
    >>> state = hardware.program(np.zeros((3, 5)), rng=np.random.default_rng(0))
    >>> state.apply(np.ones((2, 5)), rng=np.random.default_rng(1)).shape
    (2, 3)
    """
    return checked(RRAMHardware, "rram", cell=cell, **options)
