"""Program and verify: pulse, read, and pulse again until the read lies in its band."""

import math
import warnings
from dataclasses import dataclass as plain_dataclass
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, NamedTuple, Self

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from zerohm._arrays import Array
from zerohm._config import STRICT
from zerohm._errors import InputError

from ..noise import AcceptanceBand, ConstantNoise
from .kernels import Integers
from .population import PulsedCells

if TYPE_CHECKING:
    from ..rram import ProgrammingCost


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AmplitudeRamp:
    """Incremental-step pulses: each is higher than the last, as long as the direction stays.

    A cell's first pulse in a direction, and its first after every change of direction, starts at
    the bottom of the ramp; at ``maximum`` the amplitude stays.

    Parameters
    ----------
    start_up, start_down : V, amplitude of the first up (SET) and down (RESET) pulse.
    increment : V per pulse.
    maximum : V.

    Raises
    ------
    ValueError : a maximum below the first amplitude.

    Examples
    --------
    >>> ramp = AmplitudeRamp(start_up=0.8, start_down=0.9, increment=0.1, maximum=1.1)
    >>> ramp.amplitude(np.array([1, 1, -1]), np.array([0, 9, 1]))
    array([0.8, 1.1, 1. ])
    """

    start_up: Annotated[float, Field(gt=0)]
    start_down: Annotated[float, Field(gt=0)]
    increment: Annotated[float, Field(ge=0)]
    maximum: Annotated[float, Field(gt=0)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        first = max(self.start_up, self.start_down)
        if self.maximum < first:
            raise ValueError(f"maximum={self.maximum:g} V lies below the first pulse, {first:g} V")
        return self

    def amplitude(self, direction: Integers, earlier: Integers) -> Array:
        """V for cells with that many ``earlier`` pulses in the same direction in a row."""
        start = np.where(direction > 0, self.start_up, self.start_down)
        amplitude: Array = np.minimum(start + self.increment * earlier, self.maximum)
        return amplitude


class MeasuredNoise(NamedTuple):
    """A noise law and the standard error of its one parameter."""

    law: ConstantNoise | AcceptanceBand
    standard_error: float


class MeasuredCost(NamedTuple):
    """Programming cost of a cell and the standard errors of its two means."""

    cost: "ProgrammingCost"
    pulses_per_write_error: float
    pulse_energy_error: float


class NotConverged(UserWarning):
    """Some cells never came into their band; what is derived leaves them out."""


@plain_dataclass(frozen=True, kw_only=True)
class WriteVerifyReport:
    """What one programming event did to every cell; arrays of the shape of the population.

    Parameters
    ----------
    targets, tolerance : S; a cell is accepted when a read lies within the tolerance.
    conductance : S, where each cell is; the last verify read saw it with its read noise.
    measured : S, the last verify read.
    converged : whether that read was in the band.
    unreachable : the band lies beyond the bounds of this device, or it is stuck elsewhere.
    pulses, reads : how many of each.
    energy, time : J and s of the pulses; verify reads are counted and not priced here.
    """

    targets: Array
    tolerance: Array
    conductance: Array
    measured: Array
    converged: NDArray[np.bool_]
    unreachable: NDArray[np.bool_]
    pulses: Integers
    reads: Integers
    energy: Array
    time: Array

    @property
    def error(self) -> Array:
        """Conductance minus target, S."""
        return self.conductance - self.targets

    def constant_noise(self) -> MeasuredNoise:
        """What the converged cells deviate by, as a law with one σ for all states (S).

        Right for a tolerance that is the same for all targets. Gaussian in shape, which a band
        without read noise is not: its errors lie between ±tolerance.

        Raises
        ------
        InputError : no cell converged.

        Warns
        -----
        NotConverged : not all did.
        """
        sigma, deviation = self._spread(self.error[self._accepted()])
        return MeasuredNoise(ConstantNoise(sigma=sigma), deviation)

    def acceptance_band(self) -> MeasuredNoise:
        """What the converged cells deviate by, as a uniform law relative to the target.

        Right for a tolerance in proportion to the target. The half-width is √3 times the relative
        standard deviation, so it exceeds the tolerance where verify reads are noisy.

        Raises, Warns : as :meth:`constant_noise`.
        """
        chosen = self._accepted()
        sigma, deviation = self._spread(self.error[chosen] / self.targets[chosen])
        scale = math.sqrt(3.0)
        return MeasuredNoise(AcceptanceBand(relative=scale * sigma), scale * deviation)

    def programming_cost(self, assumed: "ProgrammingCost") -> MeasuredCost:
        """Pulses per write and energy per pulse of all cells, converged or not.

        Parameters
        ----------
        assumed : gives the duration of a pulse.

        Raises
        ------
        InputError : fewer than one pulse per cell: they began in their bands.
        """
        pulses, energy = self.pulses.ravel(), self.energy.ravel()
        mean = float(pulses.mean())
        if mean < 1:
            raise InputError(
                f"{mean:g} pulses per cell are less than one: begin further from the targets, "
                "as a cell does that is written to another value"
            )
        each = float(energy.sum() / pulses.sum())
        size = math.sqrt(pulses.size)
        cost = replace(assumed, pulses_per_write=mean, pulse_energy=each)
        spread = float(np.std(energy - each * pulses))  # of a ratio of means
        return MeasuredCost(cost, float(pulses.std()) / size, spread / size / mean)

    def _accepted(self) -> NDArray[np.bool_]:
        count = int(self.converged.sum())
        if count == 0:
            raise InputError("no cell converged, so there is no accepted deviation to describe")
        if count < self.converged.size:
            warnings.warn(
                f"{self.converged.size - count} of {self.converged.size} cells did not converge "
                f"({int(self.unreachable.sum())} targets lie beyond their device's bounds): the "
                "noise law describes the others",
                NotConverged,
                stacklevel=3,
            )
        return self.converged

    @staticmethod
    def _spread(values: Array) -> tuple[float, float]:
        """Root mean square and its standard error, for any distribution."""
        squares = values**2
        sigma = math.sqrt(squares.mean())
        if sigma == 0:
            return 0.0, 0.0
        return sigma, float(squares.std()) / math.sqrt(values.size) / (2 * sigma)


def write_verify(
    cells: PulsedCells,
    targets: ArrayLike,
    tolerance: ArrayLike,
    max_pulses: int,
    rng: Generator,
    *,
    read_noise_std: float = 0.0,
    ramp: AmplitudeRamp | None = None,
) -> WriteVerifyReport:
    """Read every cell, pulse those outside their band towards it, and repeat.

    A cell is left alone from the first read in its band on. The read sees the cell's conductance
    (write noise included) plus white read noise.

    Parameters
    ----------
    cells : moved in place.
    targets : S, broadcast to the population.
    tolerance : S, half-width of the band, broadcast; ``0.02 * targets`` for a relative one.
    max_pulses : of one cell.
    rng : source of pulses and read noise.
    read_noise_std : S.
    ramp : amplitudes of successive pulses; ``None`` for identical pulses.

    Raises
    ------
    InputError : targets outside the cell's window, a band without width, a negative number, or
        a ramp for a law that knows identical pulses only.

    Examples
    --------
    >>> from zerohm import devices
    >>> from zerohm.devices.pulses import SoftBounds
    >>> law = SoftBounds(step_up=0.02, step_down=0.02, cycle_to_cycle=0.3)
    >>> cell = devices.Cell(name="mine", conductance_min=10e-6, conductance_max=50e-6, pulses=law)
    >>> rng = np.random.default_rng(0)
    >>> cells = PulsedCells(cell, (1000,), rng)
    >>> report = write_verify(cells, 30e-6, 0.5e-6, 100, rng)
    >>> bool(report.converged.all()), bool(np.all(abs(report.error) <= 0.5e-6))
    (True, True)
    """
    wanted, band = _checked(cells, targets, tolerance, max_pulses, read_noise_std)
    before = (cells.pulses, cells.energy, cells.time)
    measured = np.empty(cells.shape)
    reads = np.zeros(cells.shape, dtype=np.int64)
    last = np.zeros(cells.shape, dtype=np.int64)  # direction of the last pulse
    row = np.zeros(cells.shape, dtype=np.int64)  # pulses in that direction in a row
    active = np.ones(cells.shape, dtype=bool)
    for number in range(max_pulses + 1):
        seen = cells.conductance[active]
        if read_noise_std > 0:
            seen += read_noise_std * rng.standard_normal(seen.size)
        measured[active] = seen
        reads[active] += 1
        active &= np.abs(measured - wanted) > band
        if number == max_pulses or not active.any():
            break
        direction = np.where(measured < wanted, 1, -1)
        row = np.where(direction == last, row + 1, 0)
        amplitude = None if ramp is None else ramp.amplitude(direction, row)
        cells.pulse(direction, rng, amplitude=amplitude, where=active)
        last = direction
    return WriteVerifyReport(
        targets=wanted,
        tolerance=band,
        conductance=cells.conductance,
        measured=measured,
        converged=~active,
        unreachable=(wanted + band < cells.lower) | (wanted - band > cells.upper),
        pulses=cells.pulses - before[0],
        reads=reads,
        energy=cells.energy - before[1],
        time=cells.time - before[2],
    )


def _checked(
    cells: PulsedCells,
    targets: ArrayLike,
    tolerance: ArrayLike,
    max_pulses: int,
    read_noise_std: float,
) -> tuple[Array, Array]:
    """Targets and bands of every cell."""
    try:
        wanted = np.array(np.broadcast_to(np.asarray(targets, dtype=float), cells.shape))
        band = np.array(np.broadcast_to(np.asarray(tolerance, dtype=float), cells.shape))
    except ValueError:
        raise InputError(
            f"targets {np.shape(targets)} and tolerance {np.shape(tolerance)} must fit the "
            f"population {cells.shape}"
        ) from None
    cells.cell.check_targets(wanted)
    if not np.all(band > 0):
        raise InputError("tolerance must be positive: a read never hits its target exactly")
    if max_pulses < 1:
        raise InputError(f"max_pulses={max_pulses!r} must be at least 1")
    if not 0 <= read_noise_std < math.inf:
        raise InputError(f"read_noise_std={read_noise_std!r} S must be 0 or more and finite")
    return wanted, band
