"""A population of cells that pulses move."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from zerohm._arrays import Array
from zerohm._errors import InputError

from .kernels import Integers
from .pulse_train import PulseTrain

if TYPE_CHECKING:
    from ..rram import Cell


class PulsedCells:
    """Cells with parameters of their own from fabrication, moved pulse by pulse.

    Each pulse is drawn by itself, so n pulses in one call have exactly the law of n calls. What
    reads see is ``conductance``: the hidden state that pulses act on plus the write noise of the
    last write, not below the cell's ``conductance_floor``.

    Cells that are stuck (the cell's ``faults``) take pulses and do not move.

    A pulse of amplitude V and width t costs V² t G with G the hidden conductance before it
    (ohmic, no change during the pulse) where the law knows the voltage of its pulses, otherwise
    the ``pulse_energy`` of the cell's programming cost.

    Parameters
    ----------
    cell : says how pulses move it (its ``pulses``), between which conductances, and what a pulse
        costs.
    shape : of the population.
    rng : source of the device-to-device variation and of the first write noise.
    start : hidden conductances to begin with, S, broadcast to ``shape``; by default every cell is
        at its lower bound, fully reset. Stuck cells have their own.

    Raises
    ------
    InputError : a cell that knows no pulses, or a start outside the bounds of its device.

    Examples
    --------
    >>> from zerohm import devices
    >>> from zerohm.devices.pulses import SoftBounds
    >>> cell = devices.Cell(name="mine", conductance_min=10e-6, conductance_max=50e-6,
    ...                     pulses=SoftBounds(step_up=0.05, step_down=0.05))
    >>> rng = np.random.default_rng(0)
    >>> cells = PulsedCells(cell, (2,), rng)
    >>> cells.pulse(+1, rng, count=10, where=np.array([True, False]))
    >>> cells.conductance.round(7), cells.pulses
    (array([3.61e-05, 1.00e-05]), array([10,  0]))
    """

    def __init__(
        self,
        cell: "Cell",
        shape: tuple[int, ...],
        rng: Generator,
        *,
        start: ArrayLike | None = None,
    ) -> None:
        if cell.pulses is None:
            raise InputError(
                f"cell {cell.name!r} says nothing of single pulses: its pulses is None"
            )
        count = int(np.prod(shape))
        if count == 0:
            raise InputError(f"shape={shape!r} has no cells")
        self.cell = cell
        self.shape = shape
        self._law = cell.pulses
        self._devices = self._law.fabricate(cell, count, rng)
        self._lower, self._upper = self._devices.lower.copy(), self._devices.upper.copy()
        self._stuck = np.zeros(count, dtype=bool)
        if cell.faults is not None:
            value = cell.faults.fabricate((count,), rng)
            self._stuck = ~np.isnan(value)
            self._lower[self._stuck] = self._upper[self._stuck] = value[self._stuck]
        self._hidden = self._lower.copy() if start is None else self._start(start)
        self._noise = self._law.write_noise * cell.window
        self._seen = self._hidden.copy()
        self._write_noise(np.flatnonzero(~self._stuck), rng)
        self._pulses: NDArray[np.int64] = np.zeros(count, dtype=np.int64)
        self._limited: NDArray[np.int64] = np.zeros(count, dtype=np.int64)
        self._energy = np.zeros(count)
        self._time = np.zeros(count)

    def _start(self, start: ArrayLike) -> Array:
        """Hidden conductances to begin with, each within the bounds of its device."""
        wanted = np.asarray(self._broadcast(start, "start"), dtype=float)
        hidden: Array = np.where(self._stuck, self._lower, wanted)
        outside = ~((self._lower <= hidden) & (hidden <= self._upper))  # true for NaN
        if outside.any():
            lower, upper = self._lower[~self._stuck].max(), self._upper[~self._stuck].min()
            raise InputError(
                f"start: {outside.sum()} of {hidden.size} cells would begin outside the bounds of "
                f"their device; every device can be between {lower:g} and {upper:g} S"
            )
        return hidden

    @property
    def conductance(self) -> Array:
        """What reads see now, S."""
        return self._seen.reshape(self.shape).copy()

    @property
    def lower(self) -> Array:
        """Lowest hidden conductance that each device can take, S; what it is if it is stuck."""
        return self._lower.reshape(self.shape).copy()

    @property
    def upper(self) -> Array:
        """Highest hidden conductance that each device can take, S; as ``lower`` if stuck."""
        return self._upper.reshape(self.shape).copy()

    @property
    def pulses(self) -> Integers:
        """Pulses that each cell has had."""
        return self._pulses.reshape(self.shape).copy()

    @property
    def limited(self) -> Integers:
        """Pulses of each cell that would have gone beyond a bound and ended at it."""
        return self._limited.reshape(self.shape).copy()

    @property
    def energy(self) -> Array:
        """Energy that each cell's pulses have taken, J."""
        return self._energy.reshape(self.shape).copy()

    @property
    def time(self) -> Array:
        """Time that each cell's pulses have taken, s; cells in one array may share it."""
        return self._time.reshape(self.shape).copy()

    def pulse(
        self,
        direction: ArrayLike,
        rng: Generator,
        *,
        count: int = 1,
        amplitude: ArrayLike | None = None,
        width: float | None = None,
        where: ArrayLike | None = None,
    ) -> None:
        """Apply pulses and leave the write noise of the last one.

        Parameters
        ----------
        direction : +1 (up, SET), −1 (down, RESET) or 0 (none), broadcast to the population.
        rng : source of the cycle-to-cycle variation and of the write noise.
        count : pulses of every cell.
        amplitude, width : V, positive in both directions and broadcast to the population, and s;
            by default those that the law's steps were measured with.
        where : booleans, broadcast to the population; other cells get no pulse.

        Raises
        ------
        InputError : a direction that is not one, fewer than 0 pulses, an amplitude or width that
            is not positive or that the law knows nothing of.
        """
        if count < 0:
            raise InputError(f"count={count!r} must be 0 or more pulses")
        signs = self._broadcast(direction, "direction")
        if not np.all(np.isin(signs, (-1, 0, 1))):
            raise InputError("direction must be +1 (up), -1 (down) or 0 (no pulse) for every cell")
        selected = signs != 0
        if where is not None:
            selected = selected & self._broadcast(where, "where").astype(bool)
        if count == 0 or not selected.any():
            return
        for stuck in (False, True):
            chosen = np.flatnonzero(selected & (self._stuck == stuck))
            train, duration = self._train(chosen, signs[chosen], count, amplitude, width)
            if stuck:
                heat = train.fixed_energy + train.heating * self._hidden[chosen]
                self._energy[chosen] += count * heat
            else:
                self._devices.pulse(self._hidden, train, self._limited, self._energy, rng)
                self._write_noise(chosen, rng)
            self._pulses[chosen] += count
            self._time[chosen] += count * duration

    def _train(
        self,
        chosen: NDArray[np.intp],
        direction: NDArray[Any],
        count: int,
        amplitude: ArrayLike | None,
        width: float | None,
    ) -> tuple[PulseTrain, Array | float]:
        """Pulses of the chosen cells and the duration of one, s."""
        direction = direction.astype(np.int64)
        duration: Array | float
        if self._law.drives is None:
            if amplitude is not None or width is not None:
                raise InputError(
                    "these cells were measured with identical pulses, which says nothing of other "
                    "amplitudes or widths: leave them out or give the pulse law its drives"
                )
            cost = self.cell.programming
            fixed, duration = cost.pulse_energy, cost.pulse_duration
            factor: Array = np.ones(chosen.size)
            heating: Array = np.zeros(chosen.size)
        else:
            fixed = 0.0
            factor, heating, duration = self._driven(chosen, direction > 0, amplitude, width)
        train = PulseTrain(
            chosen=chosen,
            direction=direction,
            factor=factor,
            count=count,
            fixed_energy=fixed,
            heating=heating,
        )
        return train, duration

    def _driven(
        self,
        chosen: NDArray[np.intp],
        rising: NDArray[np.bool_],
        amplitude: ArrayLike | None,
        width: float | None,
    ) -> tuple[Array, Array, Array]:
        """Factor of the step, V² t in V² s, and t in s, of one pulse of each chosen cell."""
        assert self._law.drives is not None
        up, down = self._law.drives
        nominal = np.where(rising, up.width, down.width)
        duration = nominal if width is None else np.full(chosen.size, float(width))
        if amplitude is None:
            volts = np.where(rising, up.amplitude, down.amplitude)
        else:
            volts = self._broadcast(amplitude, "amplitude")[chosen]
        if not (np.all(volts > 0) and np.all(duration > 0)):
            raise InputError("amplitude and width of a pulse must be positive in both directions")
        factor = np.where(rising, up.factor(volts, duration), down.factor(volts, duration))
        return factor, volts**2 * duration, duration

    def _broadcast(self, values: ArrayLike, name: str) -> NDArray[Any]:
        """One value per cell, in a flat axis."""
        try:
            return np.broadcast_to(np.asarray(values), self.shape).ravel()
        except ValueError:
            raise InputError(
                f"{name} has shape {np.shape(values)}, the population has {self.shape}"
            ) from None

    def _write_noise(self, chosen: NDArray[np.intp], rng: Generator) -> None:
        """What reads see of the chosen cells from now on."""
        seen = self._hidden[chosen]
        if self._noise > 0:
            seen += self._noise * rng.standard_normal(chosen.size)
        self._seen[chosen] = np.maximum(seen, self.cell.conductance_floor)
