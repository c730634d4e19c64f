"""Energy of a photonic circuit, per inference and per update, from the parts that take it."""

import math
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from zerohm._config import STRICT
from zerohm._errors import InputError

NonNegative = Annotated[float, Field(ge=0)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PhotonicEnergy:
    """Conversions at the rim of a circuit, and the time during which laser and heaters burn::

        E_vector = (P_laser / η + Σ p) / f + N_in (E_DAC + E_mod) + N_out (E_TIA + E_ADC)
        E_update = (P_laser / η + Σ p) t_settle + M E_DAC

    with the symbol rate f, heater powers p, and M heaters written at the same time. An
    inference is what its vectors take. Control logic, memory and temperature control of the chip
    are not in it.

    Parameters
    ----------
    symbol_rate : f, Hz. Default: this project's assumption.
    dac_energy_per_bit : J. Default: 0.39 pJ, a driver of ISAAC (Shafiee 2016: 4 mW for 8 × 128
        one-bit drivers in a cycle of 100 ns).
    receiver_energy : E_TIA, J per sample. Default: 0.55 pJ, a differential amplifier behind
        balanced detectors, per bit at 54 Gb/s (Li 2020).
    adc_energy_at_8_bits : J. Default: 1.56 pJ, 2 mW at 1.28 GS/s (Shafiee 2016); other
        resolutions scale with 2^bits.

    Examples
    --------
    >>> from zerohm.devices.photonic.laser import Laser
    >>> spent = PhotonicEnergy().inference(
    ...     vectors=1, laser_power=Laser(power=10e-3).electrical_power, heater_power=1.6,
    ...     inputs=8, outputs=8, dac_bits=8, adc_bits=8, modulation_energy=8 * 100e-15)
    >>> {part: f"{energy * 1e12:.1f} pJ" for part, energy in spent.items()}
    ... # doctest: +NORMALIZE_WHITESPACE
    {'laser': '50.0 pJ', 'heaters': '1600.0 pJ', 'dac': '25.0 pJ', 'modulators': '0.8 pJ',
     'receivers': '4.4 pJ', 'adc': '12.5 pJ'}
    """

    symbol_rate: Annotated[float, Field(gt=0)] = 1e9
    dac_energy_per_bit: NonNegative = 0.39e-12
    receiver_energy: NonNegative = 0.55e-12
    adc_energy_at_8_bits: NonNegative = 1.56e-12

    @property
    def citations(self) -> tuple[str, ...]:
        """Sources of the defaults."""
        return ("Shafiee2016", "Li2020")

    def inference(
        self,
        *,
        vectors: int,
        laser_power: float,
        heater_power: float,
        inputs: int,
        outputs: int,
        dac_bits: int,
        adc_bits: int,
        modulation_energy: float,
    ) -> dict[str, float]:
        """J by part for ``vectors`` input vectors, one per symbol.

        Parameters
        ----------
        laser_power : W from the wall.
        heater_power : W, of all heaters.
        inputs, outputs : converters on either side.
        modulation_energy : J of all modulators for all vectors, :meth:`Modulator.symbol_energy`.

        Raises
        ------
        InputError : a number that is negative or not finite.
        """
        seconds = vectors / self.symbol_rate
        adc = self.adc_energy_at_8_bits * 2.0 ** (adc_bits - 8)
        return _checked(
            laser=laser_power * seconds,
            heaters=heater_power * seconds,
            dac=vectors * inputs * dac_bits * self.dac_energy_per_bit,
            modulators=modulation_energy,
            receivers=vectors * outputs * self.receiver_energy,
            adc=vectors * outputs * adc,
        )

    def update(
        self,
        *,
        heaters: int,
        laser_power: float,
        heater_power: float,
        bits: int,
        settling_time: float,
    ) -> dict[str, float]:
        """J by part for new codes of ``bits`` for some heaters, and waiting until all settle (s).

        Parameters
        ----------
        heaters : that get a new code.
        laser_power : W from the wall.
        heater_power : W, of all heaters of the circuit once they have settled.
        settling_time : s, :meth:`PhaseShifter.settling_time`.

        Raises
        ------
        InputError : a number that is negative or not finite.
        """
        return _checked(
            laser=laser_power * settling_time,
            heaters=heater_power * settling_time,
            dac=heaters * bits * self.dac_energy_per_bit,
        )


def _checked(**parts: float) -> dict[str, float]:
    """The energies, once all of them are possible."""
    for part, energy in parts.items():
        if not 0 <= energy < math.inf:
            raise InputError(
                f"the energy of {part} would be {energy:g} J: powers, times and counts must be "
                "finite and at least 0"
            )
    return parts
