"""What tells the cells of an array apart for life: faults, own windows, lifetimes and wear."""

import copy
from dataclasses import replace
from functools import partial
from types import EllipsisType
from typing import TYPE_CHECKING, Annotated, Self

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from zerohm._arrays import Array
from zerohm._config import STRICT
from zerohm._errors import checked

from .faults import Endurance, Faults, StuckState, stuck_after

if TYPE_CHECKING:
    from .rram import Cell

Chosen = EllipsisType | tuple[EllipsisType, NDArray[np.bool_]]
"""All cells, or those of a mask behind any axis of copies."""

STUCK_HIGH = 9.04 / (9.04 + 1.75)
"""Share of stuck cells that are stuck in the low-resistance state: over-formed ones of a 4-Mb HfO2
array (Chen 2015)."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class WindowSpread:
    """Every device has a window of its own, log-normal from device to device.

    Write–verify hides how differently devices switch, but not where they end: a device whose
    largest conductance is G_max·exp(s ξ), ξ standard normal and fixed in fabrication, is left there
    by any larger target. Half of all devices do not reach the median; one that could go further is
    not asked to, since targets lie in the window of the :class:`Cell`. In the published one-shot
    array of Gong 2022 the edges differ by 35 % and 57 %.

    Parameters
    ----------
    low, high : standard deviation of ln G of the lower and the upper edge, whose medians are the
        cell's ``conductance_min`` and ``conductance_max``. Where a device's edges cross, the upper
        one counts.

    Examples
    --------
    >>> low, high = WindowSpread(high=0.3).fabricate((1000, 1000), np.random.default_rng(0))
    >>> bool(np.all(low == 1.0)), round(float(np.log(high).std()), 3)
    (True, 0.3)
    """

    low: Annotated[float, Field(ge=0)] = 0.0
    high: Annotated[float, Field(ge=0)] = 0.0

    def fabricate(self, shape: tuple[int, ...], rng: Generator) -> tuple[Array, Array]:
        """Factors by which the lower and the upper edge of each new device differ from theirs."""
        low, high = (np.exp(s * rng.standard_normal(shape)) for s in (self.low, self.high))
        return low, high


class FabricatedCells:
    """The cells of one array as fabrication has made them, and what has become of them since.

    A programming event finds the same devices as the one before, one event older: whoever programs
    an array again and again keeps this and hands it to :class:`zerohm.devices.Cells`.

    Parameters
    ----------
    shape : of the population.
    rng : source of what fabrication leaves to chance.
    faults, endurance, window_spread : parts of a :class:`zerohm.devices.Cell`.

    Attributes
    ----------
    wear : of each cell so far, in programming events at 300 K; counted for limited endurance only.

    Examples
    --------
    >>> faults = Faults(low=StuckState(probability=0.1, conductance=1e-6))
    >>> cells = FabricatedCells((100, 100), np.random.default_rng(0), faults=faults)
    >>> before = cells.failed_cells
    >>> cells.damage(faults, np.random.default_rng(1))
    >>> 900 < before < 1100, 1700 < cells.failed_cells < 2000
    (True, True)
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        rng: Generator,
        *,
        faults: Faults | None = None,
        endurance: Endurance | None = None,
        window_spread: WindowSpread | None = None,
    ) -> None:
        self.shape = shape
        self.wear = np.zeros(shape)
        self._endurance = endurance
        self._stuck = None if faults is None else faults.fabricate(shape, rng)
        if endurance is not None:
            self._lifetimes = endurance.lifetimes(shape, rng)
            self._failed = endurance.outcome.fabricate(shape, rng)
        self._edges = None if window_spread is None else window_spread.fabricate(shape, rng)

    def copy(self) -> Self:
        """The same cells, whose wear from now on does not touch these."""
        twin = copy.copy(self)
        twin.wear = self.wear.copy()
        return twin

    def wear_out(self, chosen: Chosen) -> None:
        """One programming event of these cells."""
        if self._endurance is not None:
            self.wear[chosen] += self._endurance.wear_per_event()

    def damage(self, faults: Faults, rng: Generator) -> None:
        """Let working cells fail now, with these probabilities."""
        fresh, before = faults.fabricate(self.shape, rng), self.stuck
        self._stuck = fresh if before is None else _first(before, fresh)

    def within_reach(self, states: Array, chosen: Chosen, edges: tuple[float, float]) -> Array:
        """States (S) of these cells moved into the windows that fabrication and wear left them.

        ``edges`` are those of the new median device, S.
        """
        closing = None if self._endurance is None else self._endurance.closing
        if closing is None and self._edges is None:
            return states
        low, high = np.asarray(edges[0]), np.asarray(edges[1])
        if closing is not None:
            low, high = closing.window_after(self.wear[chosen], *edges)
        if self._edges is not None:
            low, high = low * self._edges[0][chosen], high * self._edges[1][chosen]
        within: Array = np.clip(states, low, high).astype(states.dtype, copy=False)
        return within

    @property
    def stuck(self) -> Array | None:
        """Conductances in S of the cells that no pulse changes any more, NaN where one works;
        ``None`` where all always will."""
        if self._endurance is None:
            return self._stuck
        worn_out = stuck_after(self.wear, self._lifetimes, self._failed)
        return worn_out if self._stuck is None else _first(self._stuck, worn_out)

    @property
    def failed_cells(self) -> int:
        """How many cells no pulse changes any more."""
        return 0 if self.stuck is None else int(np.count_nonzero(~np.isnan(self.stuck)))


def _first(stuck: Array, later: Array) -> Array:
    """Where both say that a cell is stuck, the first has come first."""
    return np.where(np.isnan(stuck), later, stuck)


def flawed(
    cell: "Cell",
    *,
    stuck_fraction: float | None = None,
    window_spread: float | None = None,
    characteristic_cycles: float | None = None,
) -> "Cell":
    """The same cell with flaws of usual kinds in place of its own ones.

    Parameters
    ----------
    stuck_fraction : probability that a cell is stuck at an edge of the window: 84 % of these at
        the upper one, as Chen 2015 found among 4 million cells.
    window_spread : standard deviation of ln G of every device's own largest conductance.
    characteristic_cycles : programming events after which 63 % of the cells have failed, in equal
        shares at either edge, with a Weibull shape of 1.5: shape and shares are assumptions of
        this project.

    Raises
    ------
    InputError : a value outside its range.

    Examples
    --------
    >>> from zerohm import devices
    >>> cell = flawed(devices.preset("Wan2022"), stuck_fraction=0.1)
    >>> round(cell.faults.high.probability, 4)
    0.0838
    """
    changes: dict[str, object] = {}
    if stuck_fraction is not None:
        changes["faults"] = stuck_at_edges(cell, stuck_fraction, high_share=STUCK_HIGH)
    if window_spread is not None:
        changes["window_spread"] = checked(WindowSpread, "settings", high=window_spread)
    if characteristic_cycles is not None:
        changes["endurance"] = checked(
            Endurance,
            "settings",
            characteristic_cycles=characteristic_cycles,
            weibull_shape=1.5,
            outcome=stuck_at_edges(cell, 1.0, high_share=0.5),
        )
    return replace(cell, **changes)  # type: ignore[arg-type]


def stuck_at_edges(cell: "Cell", fraction: float, *, high_share: float) -> Faults:
    """This fraction of cells is stuck at the edges of the window, that share of it at the upper.

    Raises
    ------
    InputError : a value outside its range.
    """
    state = partial(checked, StuckState, "stuck cells")
    return checked(
        Faults,
        "stuck cells",
        low=state(probability=(1 - high_share) * fraction, conductance=cell.conductance_min),
        high=state(probability=high_share * fraction, conductance=cell.conductance_max),
    )
