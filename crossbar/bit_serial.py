"""Bit-serial input: a code reaches the word lines bit by bit, the results are shifted and added."""

from collections.abc import Callable
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from zerohm._arrays import Array
from zerohm._config import STRICT
from zerohm._errors import InputError

from .kernels import quantize


@dataclass(frozen=True, kw_only=True, config=STRICT)
class BitSerial:
    """1-bit drivers in place of a DAC, one cycle per input bit.

    An input is rounded to a code n of b bits, as by a DAC, and n in two's complement,
    −2^(b−1) d_(b−1) + Σ_{k<b−1} 2^k d_k, is applied one bit per cycle: a driver gives 0 or the
    full-scale voltage, without errors. The columns' currents I_k are converted in every cycle
    and added digitally, the sign bit subtracted (Shafiee 2016):
    (Σ_{k<b−1} 2^k I_k − 2^(b−1) I_(b−1)) / (2^(b−1) − 1) is the current that the DAC's voltages
    would have given. Independent errors of variance v in every conversion leave
    v · (4^b − 1)/3 / (2^(b−1) − 1)², about 4v/3, in the sum; an ADC that rounds has
    v = LSB²/12.

    Parameters
    ----------
    bits : resolution, 2 to 24, sign included; also the cycles, and conversions per column, of a
        read.
    full_scale : V of a driver that is on, and at the largest code; ``None`` for the array's read
        voltage.
    energy_per_bit : J per driver and cycle, as of :class:`~.converters.DAC`.

    Raises
    ------
    ValueError : bits outside 2 to 24, a full scale that is not positive.

    Examples
    --------
    >>> conductance = np.array([[1e-6], [2e-6]])
    >>> serial = BitSerial(bits=4)
    >>> current, saturated = serial.read(np.array([0.7, -0.3]), 0.7, lambda v: v @ conductance)
    >>> current.round(9), saturated
    (array([1.e-07]), 0)
    """

    bits: Annotated[int, Field(ge=2, le=24)] = 8
    full_scale: Annotated[float, Field(gt=0)] | None = None
    energy_per_bit: Annotated[float, Field(ge=0)] = 0.39e-12

    @property
    def cycles(self) -> int:
        """Cycles of a read: each applies one plane of bits and ends in one conversion."""
        return self.bits

    @property
    def energy(self) -> float:
        """Energy of the driver of one word line for one input, J."""
        return self.bits * self.energy_per_bit

    def read(
        self, volts: Array, full_scale: float, cycle: Callable[[Array], Array]
    ) -> tuple[Array, int]:
        """One read of inputs, bit by bit.

        Parameters
        ----------
        volts : (…, rows) inputs, V.
        full_scale : V of a driver that is on.
        cycle : what the array does in one cycle: driver voltages (…, rows) in, converted currents
            (…, columns) out, A. Called ``cycles`` times, least significant bit first.

        Returns
        -------
        Currents (…, columns) in A, and the number of inputs beyond the last codes.

        Raises
        ------
        InputError : inputs that are not finite, a full scale that is not positive and finite.
        """
        codes, saturated = self.encode(volts, full_scale)
        on = volts.dtype.type(full_scale)
        total: Array | None = None
        for bit, weight in enumerate(self.weights):
            plane = ((codes >> bit) & 1).astype(volts.dtype)
            current = cycle(on * plane)
            part = current.dtype.type(weight) * current
            total = part if total is None else total + part
        assert total is not None  # there are at least two bits
        return total, saturated

    def encode(self, volts: Array, full_scale: float) -> tuple[NDArray[np.int64], int]:
        """Codes of inputs, whose bits in two's complement are applied, and how many saturated.

        Raises
        ------
        InputError : inputs that are not finite, a full scale that is not positive and finite.
        """
        if not (0 < full_scale < np.inf and np.isfinite(volts).all()):
            raise InputError(
                f"full_scale={full_scale!r} V must be positive, and it and the inputs finite"
            )
        top = 2 ** (self.bits - 1) - 1
        # The signal is scaled as by a DAC, so that both round to the same code.
        steps = volts * volts.dtype.type(1.0 / (full_scale / top))
        codes, saturated = quantize(steps, 1.0, float(top))
        return codes.astype(np.int64), saturated

    @property
    def weights(self) -> Array:
        """What the current of each cycle counts in the sum, least significant bit first."""
        weights: Array = 2.0 ** np.arange(self.bits) / (2 ** (self.bits - 1) - 1)
        weights[-1] *= -1.0
        return weights
