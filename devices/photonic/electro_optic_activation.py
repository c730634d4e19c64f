"""Electro-optic activation: light that modulates itself through a photodetector."""

import math
from typing import Annotated, Self

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from zerohm._arrays import Array
from zerohm._config import STRICT
from zerohm._errors import InputError

from .optical_readout import Complex, intensity


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ElectroOpticActivation:
    """A nonlinearity from optical to optical field (Williamson 2020)::

                ┌── α ──→ ─▷|─ ── amplifier ── + bias ──┐
        E ──< tap >── 1−α ── delay ── [Mach–Zehnder] ────────→ f(E)

        f(E) = i √(1−α) exp(−iψ) cos(ψ) E,     ψ = g |E|² / 2 + φ_b / 2

    The detector's current changes the phase of one arm by g |E|². The response is instantaneous
    (the delay matches that of the electronics) and noiseless; it holds while the drive is within
    the modulator's and the amplifier's range. With φ_b = π weak light is blocked, f ∝ |E|² E;
    with φ_b = 0 it passes. FFzero's equation is this one without the leading i, a constant phase.

    Parameters
    ----------
    tap : α, share of the power that the detector gets.
    phase_gain : g, rad/W, of the power before the tap. Default: this project's assumption,
        0.05 π per mW, the g of FFzero for a unit of power of 1 mW.
    bias_phase : φ_b, rad.
    amplifier_power : W, of detector amplifier and driver. Default: 30 mW, 0.55 pJ/bit at 54 Gb/s
        (Li 2020).

    Examples
    --------
    >>> activation = ElectroOpticActivation(bias_phase=0.0)
    >>> np.abs(activation(np.array([0.1 + 0j])) / 0.1).round(3)  # psi = 0.25 π
    array([0.671])
    """

    tap: Annotated[float, Field(gt=0, lt=1)] = 0.1
    phase_gain: Annotated[float, Field(ge=0)] = 0.05 * math.pi / 1e-3
    bias_phase: float = math.pi
    amplifier_power: Annotated[float, Field(ge=0)] = 30e-3

    @property
    def citations(self) -> tuple[str, ...]:
        """Sources of the equation and of the amplifier's power."""
        return ("Williamson2020", "Li2020")

    def energy(self, symbol_rate: float) -> float:
        """J that one activation takes per symbol, at symbols per s.

        Raises
        ------
        InputError : a rate that is not positive and finite.
        """
        if not 0 < symbol_rate < math.inf:
            raise InputError(f"symbol_rate={symbol_rate!r} Hz must be positive and finite")
        return self.amplifier_power / symbol_rate

    @classmethod
    def from_circuit(
        cls,
        *,
        tap: float = 0.1,
        responsivity: float = 1.0,
        transimpedance: float = 5e3,
        half_wave_voltage: float = 10.0,
        bias_voltage: float = 10.0,
    ) -> Self:
        """From the electronics: g = π α R_t R / V_π and φ_b = π V_b / V_π.

        responsivity in A/W, transimpedance R_t in Ω, voltages in V.

        Raises
        ------
        InputError : a half-wave voltage that is not positive.

        Examples
        --------
        >>> circuit = ElectroOpticActivation.from_circuit()
        >>> bool(np.isclose(circuit.phase_gain, ElectroOpticActivation().phase_gain))
        True
        """
        if not 0 < half_wave_voltage < math.inf:
            raise InputError(f"half_wave_voltage={half_wave_voltage!r} V must be positive")
        per_volt = math.pi / half_wave_voltage
        return cls(
            tap=tap,
            phase_gain=per_volt * tap * responsivity * transimpedance,
            bias_phase=per_volt * bias_voltage,
        )

    def __call__(self, fields: Complex) -> Complex:
        """f at complex amplitudes in √W of any shape; keeps complex64."""
        return np.asarray(self._transmission(intensity(fields)) * fields)

    def pull_back(self, fields: Complex, gradient: Complex) -> Complex:
        """∂L/∂E* at E = ``fields`` (√W), for a real L with ∂L/∂f* = ``gradient``.

        f depends on E and E*: with h(|E|²) = f/E and h' its derivative,

            ∂L/∂E* = conj(h + h' |E|²) ∂L/∂f* + h' E² conj(∂L/∂f*).
        """
        power = intensity(fields)
        slope = self._slope(power)
        own = np.conj(self._transmission(power) + slope * power)
        return np.asarray(own * gradient + slope * np.square(fields) * np.conj(gradient))

    def _half_phase(self, power: Array) -> Array:
        return np.asarray(0.5 * self.phase_gain * power + 0.5 * self.bias_phase)

    def _transmission(self, power: Array) -> Complex:
        """h = i √(1−α) e^{−iψ} cos ψ."""
        half = self._half_phase(power)
        sine, cosine = np.sin(half), np.cos(half)
        return np.asarray(math.sqrt(1.0 - self.tap) * cosine * (sine + 1j * cosine))

    def _slope(self, power: Array) -> Complex:
        """h' = √(1−α) (g/2) e^{−2iψ}, 1/W."""
        turned = 2.0 * self._half_phase(power)
        size = 0.5 * self.phase_gain * math.sqrt(1.0 - self.tap)
        return np.asarray(size * (np.cos(turned) - 1j * np.sin(turned)))
