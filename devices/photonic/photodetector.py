"""Photodetector: light into current, with the noise of both."""

from typing import Annotated, Self

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike
from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass
from scipy.constants import Boltzmann, elementary_charge

from zerohm._arrays import Array
from zerohm._config import STRICT
from zerohm._errors import InputError

from ..temperature import REFERENCE_TEMPERATURE
from .laser import photon_energy
from .phase_shifter import as_floats


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Photodetector:
    """Photodiode into a load resistance::

        light, P ──→ ─▷|─ ──→ i ──┬──→ amplifier
                                 R_L
                                  ┴

        i = R P + I_d + noise,   variance 2 q (R P + I_d) B + 4 k T B / R_L

    Shot noise of photocurrent and dark current, and Johnson–Nyquist noise of the load, all white
    within the bandwidth B (equivalent noise bandwidth) and normal, which holds where there are
    many electrons in 1/2B or the noise of the load is the larger one. The mean dark current is
    constant and known, and subtracted from what is read. The response is linear up to
    ``saturation_power``; beyond it there is no model.

    The noise of the load is that of a resistor: R_L = 166 Ω in 20 GHz is 1.41 µA rms, as of an
    amplifier with 10 pA/√Hz.

    Parameters
    ----------
    responsivity : R, A/W. One electron per photon, R = qλ/hc, is the most: 1.25 A/W at 1550 nm.
    dark_current : I_d, A.
    bandwidth : B, Hz.
    load_resistance : R_L, Ω; defaults of these four are those of photontorch's detector.
    temperature : T, K.
    wavelength : λ, m.
    saturation_power : W. Default: this project's assumption.

    Raises
    ------
    ValueError : a parameter outside its range, or more than one electron per photon.

    Examples
    --------
    >>> detector = Photodetector()
    >>> detector.std([0.0, 1e-3]).round(9)  # A
    array([1.413e-06, 2.899e-06])
    >>> float(detector.signal_to_noise(1e-3).round(1))
    344.9
    """

    responsivity: Annotated[float, Field(gt=0)] = 1.0
    dark_current: Annotated[float, Field(ge=0)] = 0.1e-9
    bandwidth: Annotated[float, Field(gt=0)] = 20e9
    load_resistance: Annotated[float, Field(gt=0)] = 166.0
    temperature: Annotated[float, Field(gt=0)] = REFERENCE_TEMPERATURE
    wavelength: Annotated[float, Field(gt=100e-9, lt=100e-6)] = 1550e-9
    saturation_power: Annotated[float, Field(gt=0)] = 10e-3

    @model_validator(mode="after")
    def _at_most_one_electron_per_photon(self) -> Self:
        if self.quantum_efficiency > 1:
            raise ValueError(
                f"responsivity={self.responsivity:g} A/W is {self.quantum_efficiency:.3g} "
                f"electrons per photon of {self.wavelength:g} m; at most "
                f"{self.responsivity / self.quantum_efficiency:.4g} A/W"
            )
        return self

    @property
    def quantum_efficiency(self) -> float:
        """Electrons per photon, R h c / (λ q)."""
        return self.responsivity * photon_energy(self.wavelength) / float(elementary_charge)

    @property
    def thermal_variance(self) -> float:
        """Of the load, A²."""
        kt = float(Boltzmann) * self.temperature
        return 4.0 * kt * self.bandwidth / self.load_resistance

    def shot_variance(self, current: ArrayLike) -> Array:
        """2 q I B of mean currents in A, A²."""
        return np.asarray(2.0 * elementary_charge * self.bandwidth * np.asarray(current))

    def variance(self, power: ArrayLike) -> Array:
        """Of the current at powers in W, A²."""
        photocurrent = self.responsivity * self.checked(power)
        return self.shot_variance(photocurrent + self.dark_current) + self.thermal_variance

    def std(self, power: ArrayLike) -> Array:
        """Of the current at powers in W, A."""
        return np.asarray(np.sqrt(self.variance(power)))

    def signal_to_noise(self, power: ArrayLike) -> Array:
        """Mean photocurrent over its standard deviation, at powers in W."""
        return self.responsivity * self.checked(power) / self.std(power)

    def noise_equivalent_power(self) -> float:
        """W, of the light whose signal equals the noise in the dark."""
        return float(self.std(0.0)) / self.responsivity

    def detect(self, power: ArrayLike, rng: Generator) -> Array:
        """Current less the mean dark current, A, for powers in W of any shape; keeps float32.

        Raises
        ------
        InputError : a power that is negative, not a number or above saturation.
        """
        light = self.checked(power)
        current: Array = rng.standard_normal(light.shape, dtype=light.dtype.type)
        current *= self.std(light)
        current += self.responsivity * light
        return current

    def checked(self, power: ArrayLike) -> Array:
        """Powers as an array, once this model holds for them.

        Raises
        ------
        InputError : a power that is negative, not a number or above saturation.
        """
        light = as_floats(power)
        wrong = ~((light >= 0) & (light <= self.saturation_power))
        if np.any(wrong):
            raise InputError(
                f"{np.count_nonzero(wrong)} of {light.size} optical powers, "
                f"{light[wrong].flat[0]:g} W first, do not lie between 0 and "
                f"saturation_power={self.saturation_power:g} W, where the detector is linear: "
                "attenuate the light"
            )
        return light


def photons_per_sample(power: float, *, bandwidth: float, wavelength: float = 1550e-9) -> float:
    """Photons of a power in W within 1 / 2B, the time of one independent sample.

    A detector with one electron per photon and no other noise has this signal-to-noise ratio,
    squared.

    Examples
    --------
    >>> f"{photons_per_sample(1e-3, bandwidth=20e9):.3g}"
    '1.95e+05'
    """
    return power / (2.0 * bandwidth) / photon_energy(wavelength)
