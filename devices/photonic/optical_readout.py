"""Reading fields at the outputs of a circuit: their intensity, or one of their quadratures."""

import math
from typing import Annotated, Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from zerohm._arrays import Array
from zerohm._config import STRICT

from .photodetector import Photodetector

Complex = NDArray[np.complexfloating[Any, Any]]


def intensity(fields: Complex) -> Array:
    """|E|² in W, of complex amplitudes E in √W, without a square root on the way."""
    return np.asarray(np.square(fields.real) + np.square(fields.imag))


@dataclass(frozen=True, kw_only=True, config=STRICT)
class IntensityReadout:
    """One photodetector per port, which sees the intensity and no phase::

        E ──→ ─▷|─ ──→ i = R |E|² + noise

    Parameters
    ----------
    detector : of every port.

    Examples
    --------
    >>> fields = np.array([[3e-2 + 4e-2j, 0.0]])
    >>> currents = IntensityReadout().read(fields, np.random.default_rng(0))
    >>> currents.round(5)
    array([[ 0.0025, -0.    ]])
    """

    detector: Photodetector = Field(default_factory=Photodetector)

    def expected(self, fields: Complex) -> Array:
        """Mean currents in A at complex amplitudes in √W of any shape.

        Raises
        ------
        InputError : light that the detector refuses.
        """
        return self.detector.responsivity * self.detector.checked(intensity(fields))

    def read(self, fields: Complex, rng: Generator) -> Array:
        """Currents in A, less the mean dark current, at complex amplitudes in √W of any shape.

        complex64 gives float32. Raises as :meth:`expected`.
        """
        return self.detector.detect(intensity(fields), rng)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class HomodyneReadout:
    """Balanced detection against a local oscillator, which gives a quadrature with its sign::

        E ─────╲  ╱── ─▷|─ ─┐
                ══          (−)──→ i = 2 R √P_LO |E| cos(arg E − φ_LO) + noise
        E_LO ──╱  ╲── ─▷|─ ─┘

        variance 2 q [R (P_LO + |E|²) + 2 I_d] B + 4 k T B / R_L

    The 50:50 coupler gives each detector half of both powers and one of two opposite
    interference terms; their shot noise adds, and one load carries the difference. Coupler and
    detectors are equal, so that intensity noise of the local oscillator cancels. Where shot
    noise of the local oscillator dominates, more of it no longer helps: the signal-to-noise
    ratio tends to 4 photons of the signal per sample time 1/2B, times the quantum efficiency.

    Parameters
    ----------
    detector : both of every port.
    local_oscillator_power : P_LO, W, at every port.
    local_oscillator_phase : φ_LO, rad: which quadrature is read.

    Examples
    --------
    >>> readout = HomodyneReadout(local_oscillator_power=1e-3)
    >>> readout.expected(np.array([1e-2, -1e-2, 1e-2j])).round(6)
    array([ 0.000632, -0.000632,  0.      ])
    """

    detector: Photodetector = Field(default_factory=Photodetector)
    local_oscillator_power: Annotated[float, Field(gt=0)] = 1e-3
    local_oscillator_phase: float = 0.0

    def expected(self, fields: Complex) -> Array:
        """Mean currents in A at complex amplitudes in √W of any shape.

        Raises
        ------
        InputError : light that the detectors refuse: each takes at most (√P_LO + |E|)² / 2.
        """
        self.detector.checked(self._brightest(fields))
        gain = 2.0 * self.detector.responsivity * math.sqrt(self.local_oscillator_power)
        c, s = math.cos(self.local_oscillator_phase), math.sin(self.local_oscillator_phase)
        return np.asarray(gain * (c * fields.real + s * fields.imag))

    def variance(self, fields: Complex) -> Array:
        """Of the currents, A²."""
        detector = self.detector
        light = self.local_oscillator_power + intensity(fields)
        shot = detector.shot_variance(detector.responsivity * light + 2.0 * detector.dark_current)
        return np.asarray(shot + detector.thermal_variance)

    def read(self, fields: Complex, rng: Generator) -> Array:
        """Currents in A at complex amplitudes in √W of any shape; complex64 gives float32.

        Raises as :meth:`expected`.
        """
        mean = self.expected(fields)
        noise = rng.standard_normal(mean.shape, dtype=mean.dtype.type)
        noise *= np.sqrt(self.variance(fields))
        return np.asarray(mean + noise)

    def _brightest(self, fields: Complex) -> Array:
        """The most that one of the two detectors can get, W."""
        amplitude = np.sqrt(intensity(fields)) + math.sqrt(self.local_oscillator_power)
        return np.asarray(0.5 * np.square(amplitude))
