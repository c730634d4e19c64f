"""Modulator: real numbers onto the amplitude of light, sign included."""

import math
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field
from pydantic.dataclasses import dataclass

from zerohm._arrays import Array
from zerohm._config import STRICT
from zerohm._errors import InputError

from .optical_readout import Complex
from .phase_shifter import as_floats
from .waveguide import amplitude_factor


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Modulator:
    """Push–pull Mach–Zehnder modulator behind a digital-to-analog converter::

                  ┌── +πV/2V_π ──┐
        E ──< Y >─┤              ├─< Y >── 10^(−IL/20) (sin u − i ε cos u) E,   u = π V / 2 V_π
                  └── −πV/2V_π ──┘

    biased at its null, so that V of both signs gives amplitudes of both signs (phase 0 or π). A
    number x in [−1, 1] is sent as V = (2 V_π / π) arcsin x, rounded to the converter's grid of
    2^``bits`` − 1 voltages from −V_π to V_π, which has a zero in its middle. Arms that carry
    (1 ± ε)/2 of the amplitude leave the light ε at the null: the extinction ratio is 1/ε².

    Valid for drives that are slow against the modulator's bandwidth; a voltage-dependent loss of
    its arms (carrier depletion) is not part of the law.

    Parameters
    ----------
    half_wave_voltage : V_π, V. Default: this project's assumption.
    bits : of the converter, 2 to 24; ``None`` for a continuous one.
    insertion_loss_dB : IL of power, at full transmission. Default: this project's assumption.
    extinction_ratio_dB : largest over smallest power; ``None`` for a perfect null. Default:
        this project's assumption.
    capacitance : C, F. Default: this project's assumption; 100 fJ at 2 V, where a travelling-wave
        modulator took 200 fJ/bit (Baehr-Jones 2012).

    Raises
    ------
    ValueError : a parameter outside its range.

    Examples
    --------
    >>> modulator = Modulator(bits=4, insertion_loss_dB=0.0, extinction_ratio_dB=None)
    >>> modulator.encode([-1.0, 0.0, 0.5], 1e-3).real.round(4)
    array([-0.0316,  0.    ,  0.0137])
    """

    half_wave_voltage: Annotated[float, Field(gt=0)] = 2.0
    bits: Annotated[int, Field(ge=2, le=24)] | None = None
    insertion_loss_dB: Annotated[float, Field(ge=0)] = 3.0
    extinction_ratio_dB: Annotated[float, Field(gt=0)] | None = 30.0
    capacitance: Annotated[float, Field(gt=0)] = 50e-15

    @property
    def citations(self) -> tuple[str, ...]:
        """Source of the energy that the default capacitance is compared with."""
        return ("BaehrJones2012",)

    def voltage(self, values: ArrayLike) -> Array:
        """V that numbers in [−1, 1] are sent as, any shape.

        Raises
        ------
        InputError : a number outside [−1, 1].
        """
        asked = as_floats(values)
        wrong = ~(np.abs(asked) <= 1)
        if np.any(wrong):
            raise InputError(
                f"{np.count_nonzero(wrong)} of {asked.size} inputs, {asked[wrong].flat[0]:g} "
                "first, do not lie between -1 and 1: a modulator attenuates, scale the inputs"
            )
        share = 2.0 / math.pi * np.arcsin(asked)  # of V_π
        if self.bits is not None:
            largest = 2 ** (self.bits - 1) - 1
            share = np.rint(largest * share) / largest
        return np.asarray(self.half_wave_voltage * share)

    def transmission(self, voltage: ArrayLike) -> Complex:
        """Factor of the amplitude at voltages, any shape; |·| ≤ 1 at every voltage."""
        u = math.pi / (2.0 * self.half_wave_voltage) * as_floats(voltage)
        leakage = (
            0.0 if self.extinction_ratio_dB is None else 10.0 ** (-self.extinction_ratio_dB / 20)
        )
        found = np.sin(u) - 1j * leakage * np.cos(u)
        return np.asarray(amplitude_factor(self.insertion_loss_dB) * found)

    def encode(self, values: ArrayLike, power: ArrayLike) -> Complex:
        """Complex amplitudes in √W of numbers in [−1, 1], any shape, from light of a power in W.

        ``power`` broadcasts against ``values``; float32 numbers give complex64.

        Raises
        ------
        InputError : a number outside [−1, 1], or a power that is negative or not finite.
        """
        light = np.asarray(power)
        if not np.all((light >= 0) & (light < math.inf)):
            raise InputError(f"power={power!r} W must be finite and at least 0")
        factor = self.transmission(self.voltage(values))
        return np.asarray(np.sqrt(light).astype(factor.real.dtype) * factor)

    def symbol_energy(self, values: ArrayLike) -> Array:
        """½ C V² in J for every number: its capacitor is charged from zero and emptied again."""
        return np.asarray(0.5 * self.capacitance * np.square(self.voltage(values)))
