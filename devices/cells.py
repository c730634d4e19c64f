"""Cells that live in time: programmed together, each with a state of its own."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from zerohm._arrays import Array
from zerohm._errors import InputError

from .fabrication import Chosen, FabricatedCells
from .rram import Cell, check_bands
from .temperature import REFERENCE_TEMPERATURE, check_temperature
from .time_part import State, TimePart, check_seconds


class Cells:
    """A population of cells from programming to the present.

    Right after programming a cell has its target plus the write noise: the last verify read has
    seen the fluctuations of that moment. From then on

        G(t) = G(0) + relaxation(t) + drift(t) + [noise(t) − noise(0)],

    where noise is 1/f and telegraph noise with the amplitude that belongs to the conductance
    below it. A conductance ends at the device's own floor and ceiling; what would lie beyond is
    not forgotten and comes back when the fluctuation does. Stuck cells keep their value, and
    each programming event brings a cell with limited endurance closer to its end.

    Parameters
    ----------
    cell : model of every cell.
    shape : of the population; an axis in front may be copies that share their targets.
    rng : source of what fabrication leaves to chance (stuck cells, lifetimes, windows); may be
        ``None`` for cells that are all the same.
    fabricated : what fabrication has made already, to which programming adds its wear; in place of
        ``rng``.

    Attributes
    ----------
    floored : how many cells fluctuate to below the device's floor at present.
    clipped : how many cells the last programming event left at the device's floor or ceiling, or
        had to aim at the edge of a window that wear has narrowed.

    Raises
    ------
    InputError : an axis without cells, or cells that differ by fabrication without ``rng``.

    Examples
    --------
    >>> from zerohm import devices
    >>> rng = np.random.default_rng(0)
    >>> cells = Cells(devices.preset("Levy2024-B"), (3,))
    >>> _ = cells.program(np.full(3, 50e-6), rng)
    >>> before = cells.conductance
    >>> cells.advance(3600.0, rng)
    >>> bool(np.any(cells.conductance != before))
    True
    """

    def __init__(
        self,
        cell: Cell,
        shape: tuple[int, ...],
        rng: Generator | None = None,
        *,
        fabricated: FabricatedCells | None = None,
    ) -> None:
        if min(shape, default=1) < 1:
            raise InputError(f"shape={shape!r}: every axis, copies too, must be at least 1")
        self.cell = cell
        self.shape = shape
        self.floored = 0
        self.clipped = 0
        self._slow = _present(relaxation=cell.relaxation, drift=cell.drift)
        self._noise = _present(flicker=cell.flicker_noise, telegraph=cell.telegraph_noise)
        self._states: dict[str, State] = {}
        self._programmed: Array | None = None
        self._offset: Array = np.zeros(())
        if fabricated is None and cell.fabricated:
            if rng is None:
                raise InputError(
                    f"cell {cell.name!r} has faults, limited endurance or windows of its own: its "
                    "fabrication needs rng"
                )
            fabricated = cell.fabricate(shape, rng)
        self._fabricated = fabricated

    @property
    def conductance(self) -> Array:
        """Present conductances, S."""
        if self._programmed is None:
            raise InputError("these cells have not been programmed yet: call program(targets)")
        return self._conductance

    def program(
        self,
        targets: Array,
        rng: Generator,
        where: NDArray[np.bool_] | None = None,
        bands: Array | None = None,
    ) -> Array:
        """One programming event of all cells, or of those selected; the rest keep their state.

        A target that wear has put out of reach becomes the nearest one within; write noise is
        around that.

        Parameters
        ----------
        targets : S, the shape of the population or of one of its copies.
        rng : source of the write noise.
        where : booleans of the shape of ``targets``.
        bands : widths of the verify bands relative to the cell's own, 0 < band <= 1, of the shape
            of ``targets``; ``None`` for the cell's own everywhere.

        Returns
        -------
        What was written, before stuck cells had their way: the shape of the population, or
        (copies and) the selected cells in one axis.

        Raises
        ------
        InputError : targets, ``where`` or ``bands`` of a wrong shape, a target that is NaN or
            outside the window, a band that is not narrower than the cell's own, or only some cells
            are selected before all have been programmed.
        """
        if targets.shape not in (self.shape, self.shape[1:]):
            raise InputError(
                f"targets have shape {targets.shape}, the population has {self.shape}"
                " (its first axis may be left out: copies that share their targets)"
            )
        if where is not None:
            if self._programmed is None:
                raise InputError("program all cells before some of them are written again")
            if where.dtype != np.bool_ or where.shape != targets.shape:
                raise InputError(
                    f"where has shape {where.shape} of {where.dtype}; it must be booleans of the "
                    f"shape {targets.shape} of the targets"
                )
        if bands is not None:
            if bands.shape != targets.shape:
                raise InputError(f"bands have shape {bands.shape}, the targets {targets.shape}")
            check_bands(bands)
        chosen = ... if where is None else where
        written = self._write(targets[chosen], rng, where, None if bands is None else bands[chosen])
        if self._programmed is None or where is None:
            self._programmed, self._states = written, {}
        else:
            self._programmed = self._programmed.copy()  # what was handed out stays as it was
            self._programmed[..., where] = written
            self._restart(where, written, rng)
        self._update()
        return written

    def advance(
        self, seconds: float, rng: Generator, *, temperature: float = REFERENCE_TEMPERATURE
    ) -> None:
        """Let time pass for every cell.

        ``rng`` also gives the state in which fluctuations start, which is not needed before.

        Raises
        ------
        InputError : a negative or infinite time, a temperature that is not positive, or cells
            that have not been programmed.
        """
        check_seconds(seconds)
        check_temperature(temperature)
        if self._programmed is None:
            raise InputError("these cells have not been programmed yet: call program(targets)")
        if seconds > 0:
            if not self._states:  # nothing has moved since all cells were programmed
                self._states, self._offset = self._start(self._programmed, rng)
            for name, part in (self._slow | self._noise).items():
                part.advance(self._states[name], seconds, rng, temperature=temperature)
            self._update()

    def _write(
        self,
        targets: Array,
        rng: Generator,
        where: NDArray[np.bool_] | None,
        bands: Array | None,
    ) -> Array:
        """One programming event of the cells with these targets, which wears them."""
        cell = self.cell
        cell.check_targets(targets)
        states = cell.nearest_state(targets)
        lead = self.shape[: len(self.shape) - (targets if where is None else where).ndim]
        beyond: NDArray[np.bool_] | bool = False
        if self._fabricated is not None:
            chosen: Chosen = ... if where is None else (..., where)
            self._fabricated.wear_out(chosen)
            edges = cell.conductance_min, cell.conductance_max
            within = self._fabricated.within_reach(states, chosen, edges)
            if within is not states:
                beyond, states = within != states, within
        written = cell.write(states, rng, (*lead, *targets.shape), bands)
        ceiling = np.inf if cell.conductance_ceiling is None else cell.conductance_ceiling
        stopped = (written <= cell.conductance_floor) | (written >= ceiling) | beyond
        self.clipped = int(np.count_nonzero(stopped))
        return written

    def _start(self, conductance: Array, rng: Generator) -> tuple[dict[str, State], Array]:
        """States of cells that were programmed just now, and the noise that verify has seen."""
        parts = self._slow | self._noise
        states = {name: part.start(conductance, rng) for name, part in parts.items()}
        return states, self._fluctuation(states, conductance)

    def _restart(self, where: NDArray[np.bool_], written: Array, rng: Generator) -> None:
        """Put the state of cells that were just written in the place of their old one."""
        if self._states:
            fresh, self._offset[..., where] = self._start(written, rng)
            for name, part in (self._slow | self._noise).items():
                part.merge(self._states[name], fresh[name], where, rng)

    def _fluctuation(self, states: dict[str, State], conductance: Array) -> Array:
        """Deviation by all noise that has a memory, S."""
        total = np.zeros_like(conductance)
        for name, part in self._noise.items():
            total += part.deviation(states[name], conductance)
        return total

    def _update(self) -> None:
        """The present conductances from the states of all parts."""
        programmed, cell = self._programmed, self.cell
        assert programmed is not None  # both callers have seen to it
        self.floored = 0
        stuck = None if self._fabricated is None else self._fabricated.stuck
        if not self._states and stuck is None:
            self._conductance = programmed
            return
        conductance = programmed.copy()
        if self._states:
            for name, part in self._slow.items():
                conductance += part.deviation(self._states[name], programmed)
            carrier = np.clip(conductance, cell.conductance_floor, cell.conductance_ceiling)
            conductance += self._fluctuation(self._states, carrier) - self._offset
        below = conductance < cell.conductance_floor
        np.clip(conductance, cell.conductance_floor, cell.conductance_ceiling, out=conductance)
        if stuck is not None:
            works = np.isnan(stuck)
            below &= works
            np.copyto(conductance, stuck, where=~works, casting="same_kind")
        self.floored = int(np.count_nonzero(below))
        self._conductance = conductance


def _present(**parts: TimePart | None) -> dict[str, TimePart]:
    return {name: part for name, part in parts.items() if part is not None}
