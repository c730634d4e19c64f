"""Laws for the mean step of a pulse, with cycle-to-cycle and device-to-device variation.

Positions x are fractions of the cell's conductance window: x = (G − G_min)/(G_max − G_min).
Published models that use a normalised weight w in [w_min, w_max] become
x = (w − w_min)/(w_max − w_min): steps, bounds and noise in w divide by w_max − w_min, and w = 0
lies at ``reference`` = −w_min/(w_max − w_min). An up pulse (SET, potentiation) raises the
conductance, a down pulse (RESET, depression) lowers it.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass as plain_dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from numpy.random import Generator
from pydantic import Field
from pydantic.dataclasses import dataclass

from zerohm._arrays import Array
from zerohm._config import STRICT
from zerohm._errors import InputError

from . import trajectories
from .drive import Drive
from .kernels import EXPONENTIAL, POWER, SOFT_BOUNDS, Integers, mean_steps, pulse_steps
from .pulse_train import PulseTrain, is_up

if TYPE_CHECKING:
    from ..rram import Cell

NotNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class _Steps(ABC):
    """What all step laws share: sizes, bounds, variation; see :class:`SoftBounds`."""

    step_up: Positive
    step_down: Positive
    reference: Annotated[float, Field(gt=0, lt=1)] = 0.5
    cycle_to_cycle: NotNegative = 0.0
    cycle_to_cycle_additive: NotNegative = 0.0
    step_spread: NotNegative = 0.0
    asymmetry_spread: NotNegative = 0.0
    lower_bound_spread: NotNegative = 0.0
    upper_bound_spread: NotNegative = 0.0
    write_noise: NotNegative = 0.0
    drives: tuple[Drive, Drive] | None = None

    @property
    @abstractmethod
    def _law(self) -> int:
        """Which law the kernels take."""

    @property
    @abstractmethod
    def _shape(self) -> tuple[float, ...]:
        """Parameters of the law in the order of :func:`zerohm.devices.pulses.kernels.mean_step`."""

    def mean_change(self, position: Array, direction: int) -> Array:
        """Mean change of position by one pulse of a nominal device, negative for down pulses.

        Parameters
        ----------
        position : fractions of the window in [0, 1], any shape.
        direction : +1 or −1.
        """
        position, up = _positions(position), is_up(direction)
        steps = np.empty(position.size)
        step = self.step_up if up else self.step_down
        flat, shape = position.ravel(), np.array(self._shape)
        mean_steps(self._law, shape, flat, up, 0.0, 1.0, self.reference, step, steps)
        return direction * steps.reshape(position.shape)

    def fabricate(self, cell: "Cell", count: int, rng: Generator) -> "StepDevices":
        """``count`` devices in the window of a cell, each with its own steps and bounds."""
        window = cell.window
        reference = cell.conductance_min + self.reference * window
        gain = np.exp(self.step_spread * rng.standard_normal(count))
        asymmetry = np.exp(self.asymmetry_spread * rng.standard_normal(count))
        below = self.reference * window * _around_one(self.lower_bound_spread, count, rng)
        above = (1 - self.reference) * window * _around_one(self.upper_bound_spread, count, rng)
        ceiling = np.inf if cell.conductance_ceiling is None else cell.conductance_ceiling
        return StepDevices(
            model=self,
            reference=reference,
            lower=np.maximum(reference - below, cell.conductance_floor),
            upper=np.minimum(reference + above, ceiling),
            step_up=self.step_up * window * gain * asymmetry,
            step_down=self.step_down * window * gain / asymmetry,
        )


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SoftBounds(_Steps):
    """Steps that shrink in proportion to the distance from the bound.

    Mean steps at position x, with x_r the ``reference``::

        up:   Δx = +step_up   (1 − x)/(1 − x_r)
        down: Δx = −step_down  x / x_r

    so a step has its nominal size at the reference. In the units of a weight w that is zero at
    the reference this is Δw₊ = a₊(1 − w/b_max), Δw₋ = −a₋(1 − w/b_min).

    A pulse of a device changes x by f · (m + √((``cycle_to_cycle`` m)² +
    (``cycle_to_cycle_additive`` s)²) ξ): m the mean step, s the device's own ``step_up`` or
    ``step_down``, ξ standard normal and independent for every pulse, f the factor of its voltage
    and width (see :class:`Drive`; 1 for nominal pulses). Where the standard deviation exceeds the
    mean, many pulses go the wrong way. The device ends at its bounds.

    Parameters
    ----------
    step_up, step_down : fraction of the window per pulse.
    reference : x_r, strictly between 0 and 1.
    cycle_to_cycle : standard deviation of a step over its mean.
    cycle_to_cycle_additive : standard deviation of a step over the device's nominal step.
    step_spread : standard deviation of the logarithm of the step among devices, common to both
        directions; the given step is the median.
    asymmetry_spread : standard deviation of the logarithm of a factor that multiplies a device's
        up step and divides its down step.
    lower_bound_spread, upper_bound_spread : standard deviation over mean of the distance from
        the reference to the bound among devices, log-normal; the mean bound is the edge of the
        window. A bound drawn beyond the cell's ``conductance_floor`` or ``conductance_ceiling``
        is there.
    write_noise : standard deviation, a fraction of the window, of what one sees of a device
        around its hidden state. Drawn anew by every write, the same in all reads until the next;
        pulses act on the hidden state.
    drives : dependence on the pulse's voltage, (up, down); ``None`` if only identical pulses
        were measured.

    Examples
    --------
    >>> model = SoftBounds(step_up=0.02, step_down=0.01)
    >>> model.mean_change(np.array([0.0, 0.5, 1.0]), +1)
    array([0.04, 0.02, 0.  ])
    >>> round(model.symmetry_point, 4)
    0.6667
    """

    kind: Literal["soft bounds"] = "soft bounds"

    @property
    def _law(self) -> int:
        return SOFT_BOUNDS

    @property
    def _shape(self) -> tuple[float, ...]:
        return (0.0,)

    def trajectory(self, pulses: Array, start: float, direction: int) -> Array:
        """Mean position of a nominal device after ``pulses`` identical pulses, exact."""
        _positions(np.asarray(start))
        up = is_up(direction)
        step, bound = (self.step_up, 1.0) if up else (self.step_down, 0.0)
        return trajectories.soft_bounds(pulses, start, step, bound, self.reference)

    @property
    def symmetry_point(self) -> float:
        """Position where the mean up and down steps of a nominal device cancel."""
        up, down = self.step_up / (1 - self.reference), self.step_down / self.reference
        return up / (up + down)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PowerStep(_Steps):
    """Steps that go as a power of the distance from the bound (Fusi & Abbott 2007).

    Mean steps of a device with bounds 0 and 1: +``step_up`` (1 − x)^γ₊ and −``step_down`` x^γ₋,
    so a step has its nominal size at the opposite bound. γ = 0 is the constant step with hard
    bounds. All other parameters as in :class:`SoftBounds`; the reference only says where the spread
    of the bounds is counted from.

    Parameters
    ----------
    exponent_up, exponent_down : γ₊, γ₋.

    Examples
    --------
    >>> model = PowerStep(step_up=0.1, step_down=0.1, exponent_up=2.0, exponent_down=0.0)
    >>> model.mean_change(np.array([0.0, 0.5]), +1)
    array([0.1  , 0.025])
    """

    exponent_up: NotNegative
    exponent_down: NotNegative
    kind: Literal["power step"] = "power step"

    @property
    def _law(self) -> int:
        return POWER

    @property
    def _shape(self) -> tuple[float, ...]:
        return (self.exponent_up, self.exponent_down)

    def trajectory(self, pulses: Array, start: float, direction: int) -> Array:
        """Mean position of a nominal device after identical pulses, limit of small steps."""
        _positions(np.asarray(start))
        if is_up(direction):
            return trajectories.power(pulses, start, self.step_up, 1.0, 0.0, self.exponent_up)
        return trajectories.power(pulses, start, self.step_down, 0.0, 1.0, self.exponent_down)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ExponentialStep(_Steps):
    """Steps that are a constant less an exponential of the position.

    Mean steps, d = ±1 the direction and z = 2 a (x − x_r)/(upper − lower) + b::

        Δx = d · step_d · max(1 − A_d exp(d γ_d z), 0)

    All other parameters as in :class:`SoftBounds`.

    Parameters
    ----------
    amplitude_up, amplitude_down : A₊, A₋; negative where steps grow towards the bound behind.
    rate_up, rate_down : γ₊, γ₋.
    slope, offset : a, b.

    Examples
    --------
    >>> model = ExponentialStep(step_up=0.01, step_down=0.01, amplitude_up=0.5, rate_up=1.0,
    ...                         amplitude_down=0.5, rate_down=1.0, slope=1.0, offset=0.0)
    >>> model.mean_change(np.array([0.5]), -1)
    array([-0.005])
    """

    amplitude_up: float
    amplitude_down: float
    rate_up: Positive
    rate_down: Positive
    slope: float
    offset: float
    kind: Literal["exponential step"] = "exponential step"

    @property
    def _law(self) -> int:
        return EXPONENTIAL

    @property
    def _shape(self) -> tuple[float, ...]:
        amplitudes = (self.amplitude_up, self.amplitude_down)
        return (*amplitudes, self.rate_up, self.rate_down, self.slope, self.offset)

    def trajectory(self, pulses: Array, start: float, direction: int) -> Array:
        """Mean position of a nominal device after identical pulses, limit of small steps."""
        _positions(np.asarray(start))
        up = is_up(direction)
        return trajectories.exponential(
            pulses,
            start,
            self.step_up if up else self.step_down,
            direction,
            (0.0, 1.0),
            self.reference,
            self.amplitude_up if up else self.amplitude_down,
            self.rate_up if up else self.rate_down,
            self.slope,
            self.offset,
        )


@plain_dataclass(frozen=True, kw_only=True)
class StepDevices:
    """Fabricated devices of a step law: arrays (devices,) in S."""

    model: _Steps
    reference: float
    lower: Array
    upper: Array
    step_up: Array
    step_down: Array

    def pulse(
        self,
        conductance: Array,
        train: PulseTrain,
        limited: Integers,
        energy: Array,
        rng: Generator,
    ) -> None:
        """Move conductances (devices,) in S, in place; count hits of a bound; add up J."""
        model = self.model
        for shape in train.blocks():
            pulse_steps(
                model._law,
                np.array(model._shape),
                conductance,
                train.chosen,
                train.direction,
                train.factor,
                self.lower,
                self.upper,
                self.reference,
                self.step_up,
                self.step_down,
                model.cycle_to_cycle,
                model.cycle_to_cycle_additive,
                rng.standard_normal(shape),
                limited,
                energy,
                train.fixed_energy,
                train.heating,
            )


def _around_one(spread: float, count: int, rng: Generator) -> Array:
    """Log-normal numbers (count,) of mean 1 and standard deviation ``spread``."""
    variance = np.log1p(spread**2)
    return np.asarray(np.exp(np.sqrt(variance) * rng.standard_normal(count) - 0.5 * variance))


def _positions(position: Array) -> Array:
    """Positions as float64, none of them outside the window."""
    found = np.asarray(position, dtype=float)
    if not np.all((found >= 0) & (found <= 1)):  # false for NaN too
        raise InputError(
            "a position is a fraction of the conductance window, from 0 to 1; got "
            f"{np.min(found):g} to {np.max(found):g}"
        )
    return found
