"""Thermal activation: how much faster a process runs at another temperature."""

import math

from scipy.constants import Boltzmann, elementary_charge

from zerohm._errors import InputError

REFERENCE_TEMPERATURE = 300.0
"""K, at which the time constants of a part hold unless it says otherwise."""


def check_temperature(temperature: float, name: str = "temperature") -> None:
    """Refuse a temperature (K) that is not positive and finite.

    Raises
    ------
    InputError : such a temperature.
    """
    if not 0 < temperature < math.inf:
        raise InputError(f"{name}={temperature!r} K must be positive and finite")


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
    check_temperature(temperature)
    check_temperature(reference, "reference temperature")
    per_kelvin = activation_energy_eV * elementary_charge / Boltzmann
    return math.exp(per_kelvin * (1.0 / reference - 1.0 / temperature))
