"""Laser: power, its noise, its photons, and what it takes from the wall."""

import math
from typing import Annotated

import numpy as np
from numpy.random import Generator
from pydantic import Field
from pydantic.dataclasses import dataclass
from scipy.constants import c, h

from zerohm._arrays import Array
from zerohm._config import STRICT
from zerohm._errors import InputError

LARGEST_RELATIVE_STD = 0.1
"""Relative noise of a power above which a normal law would reach negative powers too often."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Laser:
    """Continuous-wave laser whose power fluctuates around its mean::

        wall ──[ η ]── P (1 + ε) ──→ light,     ε ~ Normal(0, RIN · B)

    Relative intensity noise (RIN) is taken as white within the bandwidth B of what detects it,
    which holds away from the relaxation oscillation (GHz) and above technical noise (MHz). All
    ports that share a laser see the same fluctuation.

    Parameters
    ----------
    power : P, W.
    rin_dB_per_Hz : 10 log₁₀ of the relative variance of the power per Hz. Default:
        this project's assumption for a distributed-feedback laser.
    efficiency : η, light over electrical power. Default: this project's assumption.
    wavelength : m.

    Raises
    ------
    ValueError : a parameter outside its range.

    Examples
    --------
    >>> laser = Laser(power=1e-3)
    >>> laser.electrical_power
    0.005
    >>> f"{laser.photons(1e-9):.2e}"
    '7.80e+06'
    >>> round(laser.relative_std(20e9), 5)
    0.00447
    """

    power: Annotated[float, Field(gt=0)] = 10e-3
    rin_dB_per_Hz: Annotated[float, Field(le=-60)] = -150.0
    efficiency: Annotated[float, Field(gt=0, le=1)] = 0.2
    wavelength: Annotated[float, Field(gt=100e-9, lt=100e-6)] = 1550e-9

    @property
    def electrical_power(self) -> float:
        """P / η, W."""
        return self.power / self.efficiency

    @property
    def photon_energy(self) -> float:
        """h c / λ, J."""
        return photon_energy(self.wavelength)

    def photons(self, seconds: float) -> float:
        """Mean number of photons within a time, at the laser's output.

        Light that is coherent has a Poisson number of them: the shot-noise limit of the
        signal-to-noise ratio (power over variance) is this number.
        """
        return self.power * seconds / self.photon_energy

    def relative_std(self, bandwidth: float) -> float:
        """Standard deviation of ε within a bandwidth in Hz, √(RIN · B).

        Raises
        ------
        InputError : a bandwidth that is negative, or in which the noise is beyond this model.
        """
        if not 0 <= bandwidth < math.inf:
            raise InputError(f"bandwidth={bandwidth!r} Hz must be finite and at least 0")
        std = math.sqrt(10.0 ** (self.rin_dB_per_Hz / 10.0) * bandwidth)
        if std > LARGEST_RELATIVE_STD:
            raise InputError(
                f"RIN of {self.rin_dB_per_Hz:g} dB/Hz in {bandwidth:g} Hz is a relative noise of "
                f"{std:.2g}, above {LARGEST_RELATIVE_STD:g}, where a normal law would give "
                "negative powers: reduce rin_dB_per_Hz or the bandwidth"
            )
        return std

    def powers(
        self,
        shape: tuple[int, ...],
        rng: Generator,
        *,
        bandwidth: float,
        dtype: type[np.float32] | type[np.float64] = np.float64,
    ) -> Array:
        """Independent samples of the power, W, one per entry of ``shape``.

        Raises
        ------
        InputError : as for :meth:`relative_std`.
        """
        relative = rng.standard_normal(shape, dtype=dtype)
        return np.asarray(self.power * (1.0 + self.relative_std(bandwidth) * relative))


def photon_energy(wavelength: float) -> float:
    """h c / λ in J, λ in m.

    Examples
    --------
    >>> f"{photon_energy(1550e-9):.4g}"
    '1.282e-19'
    """
    return float(h * c / wavelength)
