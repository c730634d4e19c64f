"""Layers on digital arithmetic: exact floating point, or integers of a given width."""

import math
from typing import Annotated, Self

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from zerohm._arrays import Array
from zerohm._config import STRICT
from zerohm._errors import InputError, checked

from ..crossbar import Ledger
from ..crossbar.kernels import quantize
from ..crossbar.readout import repeated
from .protocol import WriteNoise, check_batch, check_matrix, check_shape

# J per multiply–accumulate in 45 nm (Horowitz 2014, figure 1.1.9): FP32 3.7 + 0.9 pJ,
# INT8 0.2 + 0.03 pJ; an integer multiplier grows with the square of its width.
_FLOAT_ENERGY = 4.6e-12
_INT8_ENERGY = 0.23e-12


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DigitalHardware:
    """A digital multiply–accumulate unit behind the hardware protocol.

    Parameters
    ----------
    bits : width of weights and inputs, sign included; ``None`` for floating point. Integers are
        symmetric, |code| ≤ 2ᵇ⁻¹ − 1; products are summed exactly.
    weight_range : for integers, largest |weight| times √inputs.

    Programming is exact and free of noise, apart from the rounding of integers.
    """

    bits: Annotated[int, Field(ge=2, le=16)] | None = None
    weight_range: Annotated[float, Field(gt=0)] = 6.0

    @property
    def name(self) -> str:
        return "digital" if self.bits is None else f"int{self.bits}"

    @property
    def citations(self) -> tuple[str, ...]:
        return ("Horowitz2014",)

    @property
    def cells_per_weight(self) -> int:
        return 1

    @property
    def largest_code(self) -> int:
        """Largest integer code."""
        assert self.bits is not None
        return (1 << (self.bits - 1)) - 1

    @property
    def energy_per_operation(self) -> float:
        """Energy of one multiply–accumulate, J."""
        return _FLOAT_ENERGY if self.bits is None else _INT8_ENERGY * (self.bits / 8) ** 2

    def weight_limit(self, inputs: int) -> float:
        """Largest |weight|: infinite in floating point."""
        return math.inf if self.bits is None else self.weight_range / math.sqrt(inputs)

    def write_noise(self, weights: Array) -> WriteNoise:
        """None: digital memory keeps what it is given."""
        zero = np.zeros((), dtype=weights.dtype)
        return WriteNoise(std=zero, std_slope=zero, density="gaussian")

    def read_back_std(self, weights: Array) -> Array:
        """Zero: digital memory is read exactly."""
        return np.zeros((), dtype=weights.dtype)

    def at(self, place: int) -> Self:
        """Itself: digital memory is the same everywhere."""
        return self

    def tightened(self, factor: float | Array) -> Self:
        """Itself: there is no write noise to tighten."""
        return self

    def prepared_near(self, weights: Array) -> Self:
        """Itself: there is no circuit to solve."""
        return self

    def program(self, weights: Array, *, rng: Generator, copies: int = 1) -> "ProgrammedDigital":
        """Store the weights (out, in).

        Raises
        ------
        InputError : weights that are NaN, infinite or beyond ``weight_limit``.
        """
        return ProgrammedDigital(self, weights, copies=copies)


class ProgrammedDigital:
    """A stored matrix; see :class:`zerohm.mapping.Programmed`."""

    def __init__(self, hardware: DigitalHardware, weights: Array, *, copies: int) -> None:
        check_matrix(weights)
        if copies < 1:
            raise InputError(f"copies={copies!r} must be at least 1")
        self._hardware = hardware
        self._copies = copies
        self._limit = hardware.weight_limit(weights.shape[1])
        self.ledger = Ledger()
        stored = self._stored(weights)
        lead = () if copies == 1 else (copies,)
        self._weights = np.broadcast_to(stored, lead + stored.shape).copy()

    def _stored(self, weights: Array) -> Array:
        weights = np.asarray(weights, dtype=np.result_type(weights, np.float32))
        largest = float(np.abs(weights).max())
        if not math.isfinite(largest):
            raise InputError("weights must be finite")
        if largest > self._limit * (1 + 1e-5):
            raise InputError(
                f"weights reach {largest:g}, but {weights.shape[1]} inputs can store at most "
                f"±{self._limit:g}: clip or rescale them, or raise weight_range"
            )
        if self._hardware.bits is None:
            return weights
        top = self._hardware.largest_code
        return quantize(weights, self._limit / top, float(top))[0]

    def apply(self, x: Array, *, rng: Generator, reads: int | None = None) -> Array:
        """W·x for a batch; integers: of inputs rounded to their codes, summed exactly."""
        x = np.asarray(x, dtype=np.result_type(x, np.float32))
        check_batch(x, self._weights.shape[-1], self._copies)
        if not np.isfinite(x).all():
            raise InputError("inputs must be finite")
        inputs, weights = x, self._weights
        if self._hardware.bits is not None:
            # In double precision sums of integer products stay exact up to 2^53.
            top = self._hardware.largest_code
            step = self._limit / top
            codes, saturated = quantize(x, 1.0 / top, float(top))
            self.ledger.dac_saturations += saturated * (reads or 1)
            inputs = np.rint(codes.astype(np.float64) * top)
            weights = np.rint(weights.astype(np.float64) / step)
            y: Array = (inputs @ np.swapaxes(weights, -1, -2)) * (step / top)
        else:
            y = inputs @ np.swapaxes(weights, -1, -2)
        y = repeated(y, reads)
        vectors = y.size // y.shape[-1]
        operations = vectors * self._weights.shape[-1] * self._weights.shape[-2]
        self.ledger.vectors += vectors
        self.ledger.energy_J["digital"] += operations * self._hardware.energy_per_operation
        return y.astype(x.dtype, copy=False)

    def read_back(self, *, rng: Generator) -> Array:
        """The stored weights, exactly."""
        return self._weights.copy()

    def rewrite(self, weights: Array, where: NDArray[np.bool_], *, rng: Generator) -> None:
        """Store the selected weights anew.

        Raises
        ------
        InputError : shapes other than the layer's, or weights beyond the limit.
        """
        check_shape("weights", weights, self._weights.shape[-2:])
        check_shape("where", where, self._weights.shape[-2:])
        self._weights[..., where] = self._stored(weights)[where]

    def advance(self, seconds: float, *, rng: Generator) -> None:
        """Nothing changes: digital memory does not drift."""

    @property
    def truth(self) -> Array:
        """The stored weights."""
        return self._weights.copy()


def digital(bits: int | None = None, **options: float) -> DigitalHardware:
    """Digital arithmetic: floating point, or integers of ``bits`` bits.

    Raises
    ------
    InputError : an unknown option or a value outside its range.

    Examples
    --------
    >>> digital(bits=8).name
    'int8'
    """
    return checked(DigitalHardware, "digital", bits=bits, **options)
