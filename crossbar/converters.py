"""Digital-to-analog and analog-to-digital converters with energy per conversion."""

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from zerohm._arrays import Array
from zerohm._config import STRICT

from .kernels import quantize


@dataclass(frozen=True, kw_only=True, config=STRICT)
class _Converter:
    """Signed mid-tread converter: codes −(2ᵇ⁻¹−1) … 2ᵇ⁻¹−1, full scale at the last code."""

    bits: Annotated[int, Field(ge=2, le=24)] = 8
    full_scale: Annotated[float, Field(gt=0)] | None = None

    @property
    def largest_code(self) -> int:
        return (1 << (self.bits - 1)) - 1

    def step(self, full_scale: float) -> float:
        """One least significant bit for a given full scale, in its unit."""
        return full_scale / self.largest_code

    def convert(self, signal: Array, full_scale: float) -> tuple[Array, int]:
        """Signal on the converter's grid, and how many values lay beyond its last codes."""
        return quantize(signal, self.step(full_scale), float(self.largest_code))


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DAC(_Converter):
    """Digital-to-analog converter of a word line.

    Parameters
    ----------
    bits : resolution, 2 to 24, sign included.
    full_scale : V at the largest code; ``None`` for the array's read voltage.
    energy_per_bit : J. Default: the 1-bit drivers of ISAAC take 4 mW for 8 × 128 of them over a
        100 ns read cycle (Shafiee 2016, table of components), 0.39 pJ, once per input bit.

    Raises
    ------
    ValueError : bits outside 2 to 24, or a full scale that is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> volts, saturated = DAC(bits=3).convert(np.array([0.0, 0.1, 0.5]), 0.3)
    >>> volts, saturated
    (array([0. , 0.1, 0.3]), 1)
    """

    energy_per_bit: Annotated[float, Field(ge=0)] = 0.39e-12

    @property
    def energy(self) -> float:
        """Energy of one conversion, J."""
        return self.bits * self.energy_per_bit


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ADC(_Converter):
    """Analog-to-digital converter of a bit line (or of a differential pair of bit lines).

    Parameters
    ----------
    bits : resolution, 2 to 24, sign included.
    full_scale : A at the largest code; ``None`` for the rule of the array that it serves.
    energy_at_8_bits : J per conversion. Default: 2 mW at 1.28 GS/s (Shafiee 2016), 1.56 pJ;
        other resolutions scale with 2^bits, constant energy per conversion step.

    Raises
    ------
    ValueError : bits outside 2 to 24, or a full scale that is not positive.
    """

    energy_at_8_bits: Annotated[float, Field(ge=0)] = 1.56e-12

    @property
    def energy(self) -> float:
        """Energy of one conversion, J."""
        return self.energy_at_8_bits * 2.0 ** (self.bits - 8)
