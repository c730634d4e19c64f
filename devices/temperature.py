"""Thermal activation: how much faster a process runs at another temperature."""

import math

from scipy.constants import Boltzmann, elementary_charge

from zerohm._errors import InputError

REFERENCE_TEMPERATURE = 300.0
"""K, at which the time constants of a part hold unless it says otherwise."""


def acceleration(
    activation_energy_eV: float, temperature: float, *, reference: float = REFERENCE_TEMPERATURE
) -> float:
    """Rate at a temperature over the rate at the reference, Arrhenius' law.

    exp[(E_a / k)(1/T_ref − 1/T)] with E_a in eV and temperatures in K.

    Raises
    ------
    InputError : a temperature that is not positive and finite.

    Examples
    --------
    >>> round(acceleration(0.6, 350.0), 1)
    27.5
    >>> acceleration(0.0, 400.0)
    1.0
    """
    for name, value in (("temperature", temperature), ("reference temperature", reference)):
        if not 0 < value < math.inf:
            raise InputError(f"{name}={value!r} K must be positive and finite")
    per_kelvin = activation_energy_eV * elementary_charge / Boltzmann
    return math.exp(per_kelvin * (1.0 / reference - 1.0 / temperature))
