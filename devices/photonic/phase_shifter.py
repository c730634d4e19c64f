"""Thermo-optic phase shifter: a heater beside a waveguide, its driver, its noise and drift."""

import math
from typing import Annotated, Literal, Self

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from zerohm._arrays import Array
from zerohm._config import STRICT
from zerohm._errors import InputError

from ..time_part import State, check_seconds

TURN = 2.0 * math.pi
NonNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PhaseShifter:
    """A waveguide whose phase grows with the power of its heater::

                R
          V ──/\\/\\/\\── ground       P = V² / R
        E ══════════════ exp(i φ) E    φ = φ₀ + π P / P_π

    The law holds while the refractive index is linear in the temperature: the third π of a
    measured heater took 5 % less power than its first (Jacques 2019). Only φ modulo 2π matters
    to the light, and a phase is reached by the smallest power that gives it. Heaters that warm
    each other make a :class:`~zerohm.devices.PhaseShifterArray`.

    The driver has 2^``bits`` codes, at the lower ends of equal parts of its full scale:

    - ``uniform_in="phase"``: [0, 2π), so that the code after the last one would be the first;
    - ``uniform_in="power"``: [0, ``max_power``);
    - ``uniform_in="voltage"``: [0, √(``max_power`` R)). φ − φ₀ grows as V²: its steps are
      finest at small powers.

    Every programming leaves an error of its own, normal with ``programming_noise``. The phase
    also drifts as an Ornstein–Uhlenbeck process that is 0 at calibration: after t seconds its
    variance is ``drift_std``² (1 − exp(−2 t / ``drift_time_constant_s``)).

    Parameters
    ----------
    half_wave_power : P_π, W. Default: 24.77 mW, a doped silicon heater (Harris 2014).
    offset : φ₀, rad.
    resistance : R, Ω. Default: this project's assumption, 7 V at 2π.
    max_power : W, that driver and heater bear. Default: this project's assumption, 3.2 P_π.
    bits : of the driver, 1 to 24; ``None`` for a continuous one.
    uniform_in : what the codes divide into equal parts.
    programming_noise : rad rms, white, anew in every programming.
    drift_std : rad rms, long after calibration.
    drift_time_constant_s : default: this project's assumption, an hour.
    time_constant_s : thermal. Default: 1.22 µs, from the bandwidth of 130 kHz in Harris 2014.

    Raises
    ------
    ValueError : a parameter outside its range, or ``max_power`` below 2 P_π, with which some
        phases could not be reached.

    Examples
    --------
    >>> shifter = PhaseShifter(half_wave_power=20e-3, bits=2)
    >>> shifter.power([0.0, np.pi, 3.3 * np.pi]).round(4)
    array([0.   , 0.02 , 0.026])
    >>> shifter.quantise([0.1, 3.0, 6.2]).round(4)
    array([0.    , 3.1416, 0.    ])
    """

    half_wave_power: Positive = 24.77e-3
    offset: float = 0.0
    resistance: Positive = 1e3
    max_power: Positive = 80e-3
    bits: Annotated[int, Field(ge=1, le=24)] | None = None
    uniform_in: Literal["phase", "power", "voltage"] = "phase"
    programming_noise: NonNegative = 0.0
    drift_std: NonNegative = 0.0
    drift_time_constant_s: Positive = 3600.0
    time_constant_s: Positive = 1.22e-6

    @model_validator(mode="after")
    def _reaches_every_phase(self) -> Self:
        if self.max_power < 2.0 * self.half_wave_power:
            raise ValueError(
                f"max_power={self.max_power:g} W is below 2 half_wave_power = "
                f"{2.0 * self.half_wave_power:g} W: phases near 2π could not be reached"
            )
        return self

    @property
    def citations(self) -> tuple[str, ...]:
        """Sources of the law and its defaults."""
        return ("Harris2014", "Jacques2019")

    @property
    def full_scale(self) -> float:
        """W, where the driver's codes end; ``max_power`` without codes."""
        if self.bits is not None and self.uniform_in == "phase":
            return 2.0 * self.half_wave_power
        return self.max_power

    def phase(self, power: ArrayLike) -> Array:
        """φ at heater powers (W, any shape), rad, not reduced modulo 2π.

        Raises
        ------
        InputError : a power that is negative, above ``max_power`` or not a number.
        """
        return self.offset + math.pi / self.half_wave_power * self._checked(power, self.max_power)

    def power(self, phase: ArrayLike) -> Array:
        """Smallest heater power in W, in [0, 2 P_π), that gives a phase (rad, any shape).

        Raises
        ------
        InputError : a phase that is not finite.
        """
        excess = _finite_phase(phase) - self.offset
        return self.half_wave_power / math.pi * wrapped(excess)

    def voltage(self, power: ArrayLike) -> Array:
        """Of the heater at these powers (W), V.

        Raises
        ------
        InputError : a power that is negative, above ``max_power`` or not a number.
        """
        return np.asarray(np.sqrt(self.resistance * self._checked(power, self.max_power)))

    def nearest_power(self, power: ArrayLike) -> Array:
        """Power in W of the code next to the one asked for, in what the codes are uniform in.

        With codes uniform in phase, powers within half a step of 2 P_π become 0, the same phase.

        Raises
        ------
        InputError : a power that is negative, above the full scale or not a number.
        """
        asked = self._checked(power, self.full_scale)
        if self.bits is None:
            return asked
        share = asked / self.full_scale
        if self.uniform_in == "voltage":
            share = np.sqrt(share)
        count = 2**self.bits
        code = np.rint(share * count)
        # The last of the other codes is the nearest one up to the end of the full scale.
        code = code % count if self.uniform_in == "phase" else np.minimum(code, count - 1)
        share = code / count
        if self.uniform_in == "voltage":
            share = share**2
        return np.asarray(self.full_scale * share)

    def quantise(self, phase: ArrayLike) -> Array:
        """Phase in [0, 2π), rad, that the driver's code for a phase gives.

        Raises
        ------
        InputError : a phase that is not finite.
        """
        return wrapped(self.phase(self.nearest_power(self.power(phase))))

    def settling_time(self, *, step: float = math.pi, tolerance: float) -> float:
        """Seconds until a step of the phase is complete up to a tolerance (both rad).

        The heater is a first-order low pass: τ ln(step / tolerance).

        Examples
        --------
        >>> round(PhaseShifter().settling_time(tolerance=0.01) * 1e6, 1)  # µs
        7.0
        """
        if not (0 < tolerance < math.inf and 0 <= step < math.inf):
            raise InputError(f"step={step!r} must be at least 0 and tolerance={tolerance!r} > 0")
        return self.time_constant_s * max(math.log(step / tolerance), 0.0) if step else 0.0

    def start(self, phase: Array, rng: Generator) -> State:
        """State of shifters that were calibrated and programmed to ``phase`` (rad) just now."""
        error = rng.standard_normal(phase.shape, dtype=phase.dtype.type)
        error *= self.programming_noise
        return {"programming": error, "drift": np.zeros_like(phase)}

    def advance(self, state: State, seconds: float, rng: Generator) -> None:
        """Let the drift go on, in place and exactly for any step.

        Raises
        ------
        InputError : a step that is negative or not finite.
        """
        e_folds = check_seconds(seconds) / self.drift_time_constant_s
        drift = state["drift"]
        drift *= math.exp(-e_folds)
        spread = self.drift_std * math.sqrt(-math.expm1(-2.0 * e_folds))
        drift += spread * rng.standard_normal(drift.shape, dtype=drift.dtype.type)

    def deviation(self, state: State, phase: Array) -> Array:
        """How far the shifters lie from the phases they were programmed to, rad."""
        return np.asarray(state["programming"] + state["drift"], dtype=phase.dtype)

    def merge(self, state: State, fresh: State, where: NDArray[np.bool_], rng: Generator) -> None:
        """Program the selected shifters again, in place: new errors, while their drift goes on.

        Parameters
        ----------
        state : of all shifters.
        fresh : of the selected ones alone, from :meth:`start`.
        where : booleans of the shape of the shifters, or of their last axes.
        rng : of no effect.
        """
        state["programming"][..., where] = fresh["programming"]

    def _checked(self, power: ArrayLike, largest: float) -> Array:
        """Powers as an array, once they can be driven; rounding above the largest is forgiven."""
        asked = as_floats(power)
        wrong = ~((asked >= 0) & (asked <= largest * (1 + 1e-6)))
        if np.any(wrong):
            raise InputError(
                f"heater power {asked[wrong].flat[0]:g} W must lie between 0 and {largest:g} W"
                + (" (2 P_π, for codes uniform in phase)" if largest < self.max_power else "")
            )
        return np.minimum(asked, largest)


def wrapped(phase: Array) -> Array:
    """Phases modulo 2π, rad, in [0, 2π) also where rounding would give 2π itself."""
    reduced = np.mod(phase, TURN)
    return np.asarray(np.where(reduced >= reduced.dtype.type(TURN), 0, reduced), reduced.dtype)


def as_floats(values: ArrayLike) -> Array:
    """An array of float32 or float64, whichever it is already, else of float64."""
    found = np.asarray(values)
    return found if found.dtype in (np.float32, np.float64) else found.astype(np.float64)


def _finite_phase(phase: ArrayLike) -> Array:
    asked = as_floats(phase)
    if not np.isfinite(asked).all():
        raise InputError("a phase must be a finite number in rad")
    return asked
