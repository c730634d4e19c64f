"""Digital-to-analog and analog-to-digital converters: range, errors, energy per conversion.

A converter is described by frozen parameters (:class:`DAC`, :class:`ADC`). Without errors it
converts as it is. With errors it is fabricated first: ``fabricate`` draws what differs from one
converter to the next and stays as it is. Static errors are in steps (least significant bits), as
data sheets give them, gain errors are fractions, and thermal noise is in the signal's unit.
"""

from typing import Annotated, Self

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike
from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from zerohm._arrays import Array
from zerohm._config import STRICT
from zerohm._errors import InputError
from zerohm._random import as_generator

from .converter_circuits import (
    SAR,
    Quantizer,
    Ramp,
    Rounding,
    TransitionTable,
    ideal_transitions,
    require_generator,
    static_deviation,
)
from .kernels import quantize

NonNegative = Annotated[float, Field(ge=0)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class _Converter:
    """Signed mid-tread converter: codes −(2ᵇ⁻¹−1) … 2ᵇ⁻¹−1, full scale at the last code."""

    bits: Annotated[int, Field(ge=2, le=24)] = 8
    full_scale: Annotated[float, Field(gt=0)] | None = None
    gain_std: Annotated[float, Field(ge=0, le=0.1)] = 0.0
    offset_std: NonNegative = 0.0
    inl: NonNegative = 0.0
    dnl: NonNegative = 0.0
    noise: NonNegative = 0.0

    @property
    def largest_code(self) -> int:
        return (1 << (self.bits - 1)) - 1

    @property
    def ideal(self) -> bool:
        """Whether quantization and saturation are the only errors."""
        return not (self.gain_std or self.offset_std or self.inl or self.dnl or self.noise)

    def step(self, full_scale: float) -> float:
        """One least significant bit for a given full scale, in its unit."""
        return full_scale / self.largest_code

    def lsb(self, full_scale: ArrayLike, columns: tuple[int, ...]) -> Array:
        """Least significant bits of one full scale, (), or of one per column, (columns,)."""
        scale: Array = np.asarray(full_scale, dtype=np.float64)
        if scale.shape not in ((), columns):
            raise InputError(
                f"full_scale has shape {scale.shape}: must be one number or one per column, "
                f"shape {columns}"
            )
        if not np.all((scale > 0) & (scale < np.inf)):
            raise InputError(f"full_scale={full_scale!r} must be positive and finite")
        return np.asarray(scale / self.largest_code)

    def convert(self, signal: Array, full_scale: ArrayLike) -> tuple[Array, int]:
        """Signal on the grid of an ideal converter, and how many values lay beyond its last codes.

        Parameters
        ----------
        signal : any shape; (…, columns) if every column has its own full scale.
        full_scale : value at the largest code, or (columns,) of them, in the signal's unit.

        Raises
        ------
        InputError : a full scale that is not positive and finite or has another shape, or a
            converter with errors, which has to be fabricated first.
        """
        if not self.ideal:
            raise InputError(
                f"{self!r} has errors of its own: draw them with fabricate(columns, rng) and "
                "convert with the result"
            )
        lsb = self.lsb(full_scale, signal.shape[-1:])
        top = float(self.largest_code)
        if lsb.ndim == 0:
            return quantize(signal, float(lsb), top)
        codes, saturated = quantize(signal * (1.0 / lsb).astype(signal.dtype), 1.0, top)
        converted: Array = codes * lsb.astype(signal.dtype)
        return converted, saturated


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DAC(_Converter):
    """Digital-to-analog converter of a word line.

    Code n gives the voltage ((1 + g)·(n + INL_n) + o)·LSB + thermal noise.

    Parameters
    ----------
    bits : resolution, 2 to 24, sign included.
    full_scale : V at the largest code; ``None`` for the array's read voltage.
    gain_std : standard deviation of g over word lines, a fraction, at most 0.1.
    offset_std : standard deviation of o over word lines, in steps.
    inl, dnl : nonlinearity in steps: a smooth bow with this standard deviation at mid-scale, and
        independent steps between levels with this standard deviation (end-point fit; formula and
        source at :func:`~.converter_circuits.static_deviation`).
    noise : thermal noise at the output, V rms, drawn anew for every conversion.
    energy_per_bit : J. Default: the 1-bit drivers of ISAAC take 4 mW for 8 × 128 of them over a
        100 ns read cycle (Shafiee 2016, table of components), 0.39 pJ, once per input bit.

    Raises
    ------
    ValueError : bits outside 2 to 24, a full scale that is not positive, a negative error, or
        gain_std over 0.1.

    Examples
    --------
    >>> import numpy as np
    >>> volts, saturated = DAC(bits=3).convert(np.array([0.0, 0.1, 0.5]), 0.3)
    >>> volts, saturated
    (array([0. , 0.1, 0.3]), 1)
    """

    energy_per_bit: NonNegative = 0.39e-12

    @property
    def energy(self) -> float:
        """Energy of one conversion, J."""
        return self.bits * self.energy_per_bit

    def fabricate(self, rows: int, rng: int | Generator, *, copies: int = 1) -> "FabricatedDAC":
        """DACs of the word lines of an array (of ``copies`` arrays), each with its own errors.

        Raises
        ------
        InputError : rows or copies below 1, or levels that would not fit into memory.

        Examples
        --------
        >>> dac = DAC(bits=8, gain_std=0.01, dnl=0.1).fabricate(3, rng=1)
        >>> volts, saturated = dac.convert(np.full((2, 3), 0.1), full_scale=0.2)
        >>> len(np.unique(volts)), bool(np.all(volts[0] == volts[1]))
        (3, True)
        """
        return FabricatedDAC(self, rows, rng, copies)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ADC(_Converter):
    """Analog-to-digital converter of a bit line (or of a differential pair of bit lines).

    A current I becomes the code of (1 + g)·(I + thermal noise)/LSB + o; an ideal converter rounds
    that to the nearest code, with an error of LSB²/12 (Bennett, Bell Syst. Tech. J. 27, 446
    (1948)).

    Parameters
    ----------
    bits : resolution, 2 to 24, sign included.
    full_scale : A at the largest code; ``None`` for the rule of the array that it serves.
    gain_std : standard deviation of g over columns, a fraction, at most 0.1.
    offset_std : standard deviation of o over columns, in steps.
    inl, dnl : nonlinearity of the transition levels in steps: a smooth bow with this standard
        deviation at mid-scale, and independent steps between levels with this standard deviation
        (end-point fit; formula and source at :func:`~.converter_circuits.static_deviation`).
    noise : thermal noise referred to the input, A rms, drawn anew for every conversion.
    circuit : :class:`SAR` or :class:`Ramp` behind the amplifier, whose parts make the
        nonlinearity in place of ``inl`` and ``dnl``.
    energy_at_8_bits : J per conversion. Default: 2 mW at 1.28 GS/s (Shafiee 2016), 1.56 pJ;
        other resolutions scale with 2^bits, constant energy per conversion step.

    Raises
    ------
    ValueError : bits outside 2 to 24, a full scale that is not positive, a negative error,
        gain_std over 0.1, or a circuit beside inl or dnl.
    """

    circuit: SAR | Ramp | None = None
    energy_at_8_bits: NonNegative = 1.56e-12

    @model_validator(mode="after")
    def _one_source_of_nonlinearity(self) -> Self:
        if self.circuit is not None and (self.inl or self.dnl):
            raise InputError(
                f"inl={self.inl!r} and dnl={self.dnl!r} must be 0 beside a circuit, whose own "
                "mismatch makes its nonlinearity"
            )
        return self

    @property
    def ideal(self) -> bool:
        """Whether quantization and saturation are the only errors."""
        return super().ideal and self.circuit is None

    @property
    def energy(self) -> float:
        """Energy of one conversion, J."""
        return self.energy_at_8_bits * 2.0 ** (self.bits - 8)

    def fabricate(self, columns: int, rng: int | Generator, *, copies: int = 1) -> "FabricatedADC":
        """ADCs of the columns of an array (of ``copies`` arrays), each with its own errors.

        Raises
        ------
        InputError : columns or copies below 1, or levels that would not fit into memory.

        Examples
        --------
        >>> adc = ADC(bits=4, offset_std=2.0).fabricate(3, rng=1)
        >>> currents, saturated = adc.convert(np.zeros((2, 3)), full_scale=7e-6)
        >>> bool(np.any(currents != 0)), bool(np.all(currents[0] == currents[1]))
        (True, True)
        """
        return FabricatedADC(self, columns, rng, copies)


class _Fabricated:
    """Converters side by side, one per column, and what distinguishes each from its design.

    ``gain`` and ``offset`` (steps) have the shape (copies, 1, columns).
    """

    def __init__(self, design: _Converter, columns: int, rng: int | Generator, copies: int) -> None:
        if columns < 1 or copies < 1:
            raise InputError(f"columns={columns!r} and copies={copies!r} must be at least 1")
        self.design = design
        self._shape = shape = (copies, 1, columns)
        self.gain, self.offset = np.ones(shape), np.zeros(shape)
        if not design.ideal:
            self._draw(as_generator(rng))

    def _draw(self, rng: Generator) -> None:
        """Draw gain and offset, whether they vary or not, so that no draw depends on another."""
        self.gain += self.design.gain_std * rng.standard_normal(self._shape)
        self.offset += self.design.offset_std * rng.standard_normal(self._shape)

    def _deviation(self, points: int, rng: Generator) -> Array:
        """Integral nonlinearity of every converter, (copies, columns, points) in steps."""
        copies, _, columns = self._shape
        design = self.design
        drawn = static_deviation(points, copies * columns, inl=design.inl, dnl=design.dnl, rng=rng)
        return drawn.reshape(copies, columns, points)

    def _lanes(self, signal: Array) -> Array:
        """The signal as (copies, batch, columns), checked."""
        copies, _, columns = self._shape
        if signal.shape[-1:] != (columns,) or (copies > 1 and signal.shape[:-2] != (copies,)):
            needed = f"({copies}, batch, {columns})" if copies > 1 else f"(..., {columns})"
            raise InputError(f"the signal has shape {signal.shape}, these converters take {needed}")
        if not np.isfinite(signal).all():
            raise InputError("the signal of a converter must be finite")
        return signal.reshape(copies, -1, columns)

    def _with_noise(self, signal: Array, rng: Generator | None) -> Array:
        """Signal plus thermal noise, drawn anew for every conversion."""
        if self.design.noise == 0:
            return signal
        normal = require_generator(rng).standard_normal(signal.shape, dtype=signal.dtype.type)
        noisy: Array = signal + signal.dtype.type(self.design.noise) * normal
        return noisy


class FabricatedDAC(_Fabricated):
    """DACs of one array's word lines with their own errors; made by :meth:`DAC.fabricate`."""

    _levels: Array | None = None

    def _draw(self, rng: Generator) -> None:
        super()._draw(rng)
        design = self.design
        if design.inl > 0 or design.dnl > 0:
            codes = np.arange(-design.largest_code, design.largest_code + 1)
            self._levels = codes + self._deviation(codes.size, rng)

    def convert(
        self, signal: Array, full_scale: ArrayLike, rng: Generator | None = None
    ) -> tuple[Array, int]:
        """Voltages that the word lines get, and how many inputs lay beyond the last codes.

        Parameters
        ----------
        signal : V asked for, (…, rows); (copies, batch, rows) for several copies.
        full_scale : V at the largest code of an error-free DAC, or (rows,) of them.
        rng : source of the thermal noise; needed only if there is any.

        Raises
        ------
        InputError : another shape, a signal or full scale that is none, no generator for noise.
        """
        if self.design.ideal:
            return self.design.convert(signal, full_scale)
        lanes, dtype = self._lanes(signal), signal.dtype
        lsb = self.design.lsb(full_scale, signal.shape[-1:])
        top = self.design.largest_code
        levels, saturated = quantize(lanes * (1.0 / lsb).astype(dtype), 1.0, float(top))
        if self._levels is not None:
            index = (levels.astype(np.intp) + top).swapaxes(1, 2)
            levels = np.take_along_axis(self._levels, index, axis=-1).swapaxes(1, 2)
        volts = ((self.gain * levels + self.offset) * lsb).astype(dtype)
        return self._with_noise(volts, rng).reshape(signal.shape), saturated

    @property
    def levels(self) -> Array:
        """Output levels in steps, before gain and offset, (rows, codes) or (copies, rows, codes).

        Lowest code first.
        """
        copies, _, rows = self._shape
        top = self.design.largest_code
        ideal = np.broadcast_to(np.arange(-top, top + 1.0), (copies, rows, 2 * top + 1))
        levels = ideal if self._levels is None else self._levels
        return levels[0] if copies == 1 else levels


class FabricatedADC(_Fabricated):
    """ADCs of one array's columns with their own errors; made by :meth:`ADC.fabricate`."""

    def __init__(self, design: "ADC", columns: int, rng: int | Generator, copies: int) -> None:
        self._circuit = design.circuit
        self.quantizer: Quantizer = Rounding(design.largest_code)
        super().__init__(design, columns, rng, copies)

    def _draw(self, rng: Generator) -> None:
        super()._draw(rng)
        design = self.design
        copies, _, columns = self._shape
        if self._circuit is not None:
            self.quantizer = self._circuit.fabricate(design.bits, copies, columns, rng)
        elif design.inl > 0 or design.dnl > 0:
            levels = ideal_transitions(design.largest_code)
            # Counting the levels below a signal is the same in any order: sorted, a step that
            # would be negative becomes a missing code.
            table = np.sort(levels + self._deviation(levels.size, rng), axis=-1)
            self.quantizer = TransitionTable(
                table,
                offset=np.zeros((1, 1, 1)),
                lowest=np.full((1, 1, 1), -design.largest_code - 0.5),
                highest=np.full((1, 1, 1), design.largest_code + 0.5),
            )

    def convert(
        self, signal: Array, full_scale: ArrayLike, rng: Generator | None = None
    ) -> tuple[Array, int]:
        """What the codes say of the currents, and how many conversions had saturated.

        Parameters
        ----------
        signal : A, (…, columns); (copies, batch, columns) for several copies.
        full_scale : A at the largest code of an error-free ADC, or (columns,) of them.
        rng : source of thermal and comparator noise; needed only if there is any.

        Returns
        -------
        Codes times the nominal step, A, in the shape of ``signal``, and the number of signals
        (noise included) beyond ±½ step of the last codes.

        Raises
        ------
        InputError : another shape, a signal or full scale that is none, no generator for noise.
        """
        if self.design.ideal:
            return self.design.convert(signal, full_scale)
        lanes, dtype = self._lanes(signal), signal.dtype
        lsb = self.design.lsb(full_scale, signal.shape[-1:])
        scale, offset = (self.gain / lsb).astype(dtype), self.offset.astype(dtype)
        steps = self._with_noise(lanes, rng) * scale + offset
        codes, saturated = self.quantizer.codes(steps, rng)
        return (codes * lsb.astype(dtype)).reshape(signal.shape), saturated

    @property
    def transitions(self) -> Array:
        """Transition levels in steps, before gain and offsets, (columns, 2M), lowest first.

        A ramp that all columns share gives (1, 2M); several copies have an axis in front.
        """
        levels = self.quantizer.transitions
        return levels[0] if self._shape[0] == 1 else levels
