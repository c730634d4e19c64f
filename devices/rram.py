"""The RRAM cell: conductance window, states, write noise and read noise."""

from dataclasses import replace
from typing import Annotated, Self

import numpy as np
from numpy.random import Generator
from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from zerohm._arrays import Array
from zerohm._config import STRICT
from zerohm._errors import InputError

from .cycling import Cycling
from .drift import DriftLaw
from .electronic import ElectronicNoise
from .fabrication import FabricatedCells, WindowSpread
from .faults import Endurance, Faults
from .flicker import FlickerNoise
from .iv import IVLaw
from .noise import ConstantNoise, NoiseLaw, sample
from .pulses import PulseModel
from .relaxation import Relaxation
from .telegraph import TelegraphLaw

_ROUNDING = 1e-5  # of the window: what a float32 target may lie outside


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ProgrammingCost:
    """What one programming event of one cell costs.

    The defaults are an order-of-magnitude estimate by this project, not a measurement of any
    preset's device: 5 pulses of 10 pJ and 100 ns, each followed by one verify read.
    """

    pulse_energy: Annotated[float, Field(ge=0)] = 10e-12  # J
    pulse_duration: Annotated[float, Field(gt=0)] = 100e-9  # s
    pulses_per_write: Annotated[float, Field(ge=1)] = 5.0


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Cell:
    """One RRAM cell, as frozen numbers: what the simulator and a trainer may know of it.

    Parameters
    ----------
    name, description : which model this is, and which of its published variants.
    conductance_min, conductance_max : S, the window that targets must lie in.
    write_noise : law of the deviation from the target after one programming event, evaluated
        at the target.
    read_noise : law of the deviation of one read from the cell's conductance, white in time,
        evaluated at the cell's conductance; outside the window, where no fit holds, at the
        nearest edge of it.
    read_back_noise : the same for reading one cell alone; ``None`` means ``read_noise``.
    relaxation, drift : how the conductance moves away from what was programmed.
    flicker_noise, telegraph_noise : fluctuations with a memory; a read sees their present value,
        which moves on with time (see :class:`zerohm.devices.Cells`).
    electronic_noise : thermal and shot noise of every read current.
    faults, endurance : cells that are stuck from the start, and after how many programming
        events the others fail.
    window_spread : how the windows of devices differ; ``None`` for one window of all.
    pulses : what single pulses do to the conductance (see :class:`zerohm.devices.PulsedCells`).
    cycling : how switching varies from cycle to cycle (see :class:`zerohm.devices.CycledCells`).
    iv : current against voltage, where it is not a straight line.
    levels : number of equally spaced states in the window; ``None`` for a continuous cell.
    conductance_floor, conductance_ceiling : S, where the device itself clips: no conductance
        is negative, and none clips above unless its source says so.
    max_read_voltage : V, largest voltage that still only reads; the default of 0.5 V is this
        project's assumption for every preset.
    programming : cost of a programming event.
    citations : keys of what to cite.

    Raises
    ------
    ValueError : a number outside its range, an unknown name, or a noise law that is negative
        or undefined somewhere in the window.

    Examples
    --------
    >>> cell = Cell(name="mine", conductance_min=1e-6, conductance_max=41e-6,
    ...             write_noise=ConstantNoise(sigma=0.8e-6))
    >>> cell.program(np.full((2, 3), 20e-6), np.random.default_rng(0)).shape
    (2, 3)
    """

    name: str
    description: str = ""
    conductance_min: Annotated[float, Field(ge=0)]
    conductance_max: Annotated[float, Field(gt=0)]
    write_noise: NoiseLaw = ConstantNoise(sigma=0.0)
    read_noise: NoiseLaw = ConstantNoise(sigma=0.0)
    read_back_noise: NoiseLaw | None = None
    relaxation: Relaxation | None = None
    drift: DriftLaw | None = None
    flicker_noise: FlickerNoise | None = None
    telegraph_noise: TelegraphLaw | None = None
    electronic_noise: ElectronicNoise | None = None
    faults: Faults | None = None
    endurance: Endurance | None = None
    window_spread: WindowSpread | None = None
    pulses: PulseModel | None = None
    cycling: Cycling | None = None
    iv: IVLaw | None = None
    levels: Annotated[int, Field(ge=2)] | None = None
    conductance_floor: Annotated[float, Field(ge=0)] = 0.0
    conductance_ceiling: Annotated[float, Field(gt=0)] | None = None
    max_read_voltage: Annotated[float, Field(gt=0)] = 0.5
    programming: ProgrammingCost = ProgrammingCost()
    citations: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.conductance_floor <= self.conductance_min < self.conductance_max:
            raise ValueError(
                f"conductance window of {self.name!r} must have "
                f"floor <= min < max, got {self.conductance_floor:g}, "
                f"{self.conductance_min:g}, {self.conductance_max:g} S"
            )
        if self.conductance_ceiling is not None and self.conductance_ceiling < self.conductance_max:
            raise ValueError(f"conductance_ceiling of {self.name!r} lies below conductance_max")
        closing = None if self.endurance is None else self.endurance.closing
        if closing is not None:
            closing.window_after(np.zeros(()), self.conductance_min, self.conductance_max)
        states = np.linspace(self.conductance_min, self.conductance_max, 1001)
        for role in ("write_noise", "read_noise", "read_back_noise"):
            law = getattr(self, role)
            with np.errstate(all="ignore"):
                valid = law is None or np.all(law.std(states) >= 0)  # false for NaN too
            if not valid:
                raise ValueError(
                    f"{role} of {self.name!r} is negative or undefined inside the window "
                    f"{self.conductance_min:g} to {self.conductance_max:g} S"
                )
        return self

    @property
    def window(self) -> float:
        """Width of the conductance window, S."""
        return self.conductance_max - self.conductance_min

    @property
    def evolves(self) -> bool:
        """Whether the conductance changes with time."""
        parts = (self.relaxation, self.drift, self.flicker_noise, self.telegraph_noise)
        return any(part is not None for part in parts)

    @property
    def fabricated(self) -> bool:
        """Whether cells differ from each other from the start: stuck ones, lifetimes, windows."""
        parts = (self.faults, self.endurance, self.window_spread)
        return any(part is not None for part in parts)

    def fabricate(self, shape: tuple[int, ...], rng: Generator) -> FabricatedCells:
        """New cells: what their fabrication leaves to chance."""
        return FabricatedCells(
            shape,
            rng,
            faults=self.faults,
            endurance=self.endurance,
            window_spread=self.window_spread,
        )

    def nearest_state(self, targets: Array) -> Array:
        """Targets moved to the cell's discrete states; unchanged for a continuous cell."""
        if self.levels is None:
            return targets
        step = self.window / (self.levels - 1)
        steps: Array = np.rint((targets - self.conductance_min) / step)
        return self.conductance_min + step * steps

    def check_targets(self, targets: Array) -> None:
        """Raise :class:`zerohm.InputError` for targets that are NaN or outside the window."""
        if targets.size == 0:
            raise InputError("no target conductances: the array has no cells")
        slack = _ROUNDING * self.window
        low, high = float(np.min(targets)), float(np.max(targets))
        inside = self.conductance_min - slack <= low and high <= self.conductance_max + slack
        if not inside:  # NaN compares false and arrives here too
            raise InputError(
                f"target conductances from {low:g} to {high:g} S, but cell {self.name!r} can be "
                f"programmed from {self.conductance_min:g} to {self.conductance_max:g} S; "
                "targets in µS must be multiplied by 1e-6"
            )

    def program(self, targets: Array, rng: Generator, *, copies: int = 1) -> Array:
        """One programming event of every cell: target plus write noise, clipped by the device.

        Parameters
        ----------
        targets : float array of any shape, S.
        rng : source of the write noise.
        copies : number of independently written arrays of cells.

        Returns
        -------
        Conductances in S: the shape of ``targets``, with an axis of copies in front unless 1.

        Raises
        ------
        InputError : a target is NaN or outside the window, or fewer than one copy.
        """
        self.check_targets(targets)
        if copies < 1:
            raise InputError(f"copies={copies!r} must be at least 1")
        shape = targets.shape if copies == 1 else (copies, *targets.shape)
        return self.write(self.nearest_state(targets), rng, shape)

    def write(
        self,
        states: Array,
        rng: Generator,
        shape: tuple[int, ...],
        bands: Array | None = None,
    ) -> Array:
        """States of the cell (S) plus write noise, clipped by the device.

        ``shape`` of the result ends with that of ``states``, which :meth:`program` checks and
        finds for any targets. ``bands`` are widths of the verify bands relative to the cell's
        own, one per state: the factors of :meth:`tightened`, cell by cell.
        """
        conductance = sample(self.write_noise, states, shape, rng)
        if bands is not None:
            conductance *= bands
        conductance += states
        return np.clip(
            conductance, self.conductance_floor, self.conductance_ceiling, out=conductance
        )

    def read_std(self, conductance: Array) -> Array:
        """Standard deviation of one read in S; see ``read_noise`` for states outside the window."""
        return self.read_noise.std(self._inside(conductance))

    def read_back_std(self, conductance: Array) -> Array:
        """Standard deviation of reading one cell alone, S."""
        return (self.read_back_noise or self.read_noise).std(self._inside(conductance))

    def _inside(self, conductance: Array) -> Array:
        return np.clip(conductance, self.conductance_min, self.conductance_max)

    def with_noise(
        self,
        *,
        write: float | None = None,
        read: float | None = None,
        read_back: float | None = None,
    ) -> Self:
        """The same cell with Gaussian, state-independent noise in place of its own laws.

        What moves with time (relaxation, drift, 1/f and telegraph noise) and the electronic noise
        stay as they are.

        Parameters
        ----------
        write, read, read_back : standard deviations as fractions of the conductance window;
            ``None`` keeps the cell's own law.

        Raises
        ------
        InputError : a noise level that is negative or not below 1.

        Examples
        --------
        >>> from zerohm import devices
        >>> cell = devices.preset("Wan2022").with_noise(write=0.02)
        >>> round(cell.write_noise.sigma / cell.window, 9)
        0.02
        """
        return replace(
            self,
            write_noise=self._constant("write_noise", write) or self.write_noise,
            read_noise=self._constant("read_noise", read) or self.read_noise,
            read_back_noise=self._constant("read_back_noise", read_back) or self.read_back_noise,
        )

    def _constant(self, role: str, level: float | None) -> ConstantNoise | None:
        if level is None:
            return None
        if not 0 <= level < 1:
            raise InputError(
                f"{role}={level!r}: a noise level is a fraction of the conductance window, "
                "from 0 to below 1 (2 % is 0.02)"
            )
        return ConstantNoise(sigma=level * self.window)

    def tightened(self, factor: float) -> Self:
        """The same cell verified to a band ``factor`` times as wide, 0 < factor <= 1.

        The write noise shrinks in proportion and the number of pulses grows as its inverse. What
        happens after programming, relaxation above all, no verify read can tighten: it stays.

        Raises
        ------
        InputError : the factor is outside (0, 1]: write–verify can tighten a band only.
        """
        check_bands(np.asarray(factor))
        cost = replace(
            self.programming, pulses_per_write=self.programming.pulses_per_write / factor
        )
        return replace(self, write_noise=self.write_noise.scaled(factor), programming=cost)


def check_bands(factors: Array) -> None:
    """Raise :class:`zerohm.InputError` for verify bands that are not narrower than the own one."""
    if not np.all((factors > 0) & (factors <= 1)):  # NaN compares false
        raise InputError(
            f"factor={_extremes(factors)}: write–verify can only tighten, 0 < factor <= 1"
        )


def _extremes(values: Array) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
