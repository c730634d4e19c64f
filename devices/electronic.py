"""Noise that every current carries, whatever conducts it."""

from typing import Annotated

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass
from scipy.constants import Boltzmann, elementary_charge

from zerohm._arrays import Array
from zerohm._config import STRICT

from .temperature import REFERENCE_TEMPERATURE


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ElectronicNoise:
    """Thermal (Johnson–Nyquist) and shot (Schottky) noise of a read current.

    Variance of a current I through a conductance G within the bandwidth B, A²::

        σ² = 4 k T G B + 2 e |I| B

    It is Gaussian and white up to the bandwidth: independent from read to read, so it has no
    state. Both densities are flat up to frequencies of the order of kT/h (6 THz at 300 K).

    The second term is full shot noise (Fano factor 1), where carriers cross independently of
    each other, as through a tunnel barrier. A metallic filament suppresses it, down to nothing
    in a long wire. The sum of the terms is an upper bound for a cell without correlated
    carriers: the density of a tunnel junction, 2e|I| coth(eV / 2kT), has both limits, and the
    sum exceeds it by at most 53 % (near V = 2.3 kT/e, 59 mV at 300 K), by 26 % at 0.2 V
    (Blanter 2000).

    Parameters
    ----------
    bandwidth : Hz, equivalent noise bandwidth of the read circuit.
    temperature : K, of the cells.

    Examples
    --------
    >>> noise = ElectronicNoise(bandwidth=100e6)
    >>> float(noise.std(50e-6, 0.2).round(10))  # A, of a current of 10 µA
    2.01e-08
    """

    bandwidth: Annotated[float, Field(gt=0)]
    temperature: Annotated[float, Field(gt=0)] = REFERENCE_TEMPERATURE

    def current_variance(
        self, conductance_sum: Array | float, current_magnitude: Array | float
    ) -> Array:
        """Variance in A² of a current that many cells share.

        conductance_sum : S, of all cells that feed it, at zero volts ones included;
        current_magnitude : A, sum of the magnitudes of their currents, which do not cancel in
        the noise. The two broadcast.
        """
        thermal = 4.0 * Boltzmann * self.temperature * self.bandwidth
        shot = 2.0 * elementary_charge * self.bandwidth
        return np.asarray(thermal * conductance_sum + shot * current_magnitude)

    def read_variance(
        self, conductance_sum: Array | float, conductance: Array | float, voltage: float
    ) -> Array:
        """Variance in S² of the conductance of one cell that is read at a voltage (V, not 0).

        conductance_sum : S, of all cells on its bit line, of which the others are at zero volts;
        conductance : S, of the cell itself. The two broadcast.
        """
        volts = abs(voltage)
        return self.current_variance(conductance_sum, conductance * volts) / volts**2

    def std(self, conductance: Array | float, voltage: Array | float) -> Array:
        """Standard deviation in A of the current of one cell (S) at a voltage (V)."""
        root: Array = np.sqrt(self.current_variance(conductance, np.abs(conductance * voltage)))
        return root
