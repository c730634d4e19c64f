"""What a fabricated mesh has that an ideal one has not: splitter errors, losses, imprecise phases.

:class:`Imperfections` are the statistics of a process, :class:`Chip` is one outcome of it (or K of
them): arrays of numbers that stay as they are. Distances on the chip follow from the pitches:
MZI m lies at (column · ``column_pitch``, row · ``line_pitch``), its external phase shifter there,
the internal one half a column further, the output phase shifters behind the last column.
"""

import math
from dataclasses import dataclass as plain_dataclass
from dataclasses import field
from functools import cached_property
from typing import Annotated, Any, Self

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike
from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from zerohm._arrays import Array
from zerohm._config import STRICT
from zerohm._errors import InputError
from zerohm._memory import require_memory
from zerohm._random import as_generator

from ..devices.photonic.phase_shifter import TURN, PhaseShifter
from ..devices.photonic.thermal_crosstalk import ThermalCrosstalk, crosstalk_matrix
from ..devices.photonic.waveguide import amplitude_factor
from .decomposition import Phases
from .layout import Layout

NonNegative = Annotated[float, Field(ge=0)]

_LITTLE = 1e8  # bytes


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Imperfections:
    """Statistics of a fabrication process and of its phase drivers; the default is ideal.

    Parameters
    ----------
    loss_dB : of every way through an MZI. Losses are positive and attenuate: the amplitude
        falls by 10^(−dB/20).
    waveguide_loss_dB : of the waveguide in which a line passes a column without an MZI.
    splitter_std : rad, standard deviation of the error x of a coupler B(π/4 + x), Gaussian: the
        share sin²(π/4 + x) of the power crosses, 1/2 + x to first order.
    splitter_correlation : between the two couplers of an MZI, −1 to 1.
    correlation_length : m, of the splitter errors over the chip: those of two MZIs at a distance
        d correlate with exp(−d²/2ℓ²); 0 for independent ones.
    phase_offset_std : rad, of the fixed error of every phase, Gaussian.
    phase_std : rad, of the error of every phase in each programming event, Gaussian, at the
        driver: it spreads by crosstalk.
    phase_bits : of the drivers, whose codes lie 2π/2^bits apart; ``None`` for continuous ones.
    phase_max : rad, largest phase that may be asked for, at most 2π.
    crosstalk : how heaters warm their neighbours.
    column_pitch, line_pitch : m, distances of neighbouring columns and lines; needed by
        ``correlation_length`` and ``crosstalk``.

    Raises
    ------
    ValueError : a negative loss or spread, or a length without the pitches.

    Examples
    --------
    >>> from zerohm.photonics import clements
    >>> process = Imperfections(splitter_std=0.02, loss_dB=0.1)
    >>> process.fabricate(clements(4), 0).first_error.shape
    (6,)
    """

    loss_dB: NonNegative = 0.0
    waveguide_loss_dB: NonNegative = 0.0
    splitter_std: NonNegative = 0.0
    splitter_correlation: Annotated[float, Field(ge=-1, le=1)] = 0.0
    correlation_length: NonNegative = 0.0
    phase_offset_std: NonNegative = 0.0
    phase_std: NonNegative = 0.0
    phase_bits: Annotated[int, Field(ge=1, le=24)] | None = None
    phase_max: Annotated[float, Field(gt=0, le=TURN)] = TURN
    crosstalk: ThermalCrosstalk | None = None
    column_pitch: Annotated[float, Field(gt=0)] | None = None
    line_pitch: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        has_distances = self.correlation_length > 0 or self.crosstalk is not None
        if has_distances and None in (self.column_pitch, self.line_pitch):
            raise ValueError(
                "correlation_length and crosstalk need column_pitch and line_pitch, in m"
            )
        return self

    @property
    def _pitch(self) -> Array:
        """(2,) m, of columns and lines."""
        return np.array([self.column_pitch, self.line_pitch], dtype=np.float64)

    def fabricate(
        self, layout: Layout, rng: int | Generator, *, copies: int | None = None
    ) -> "Chip":
        """One chip, or ``copies`` of them whose arrays have a leading axis.

        Raises
        ------
        InputError : copies below 1, or more than fit into memory.
        """
        if copies is not None and (not isinstance(copies, int | np.integer) or copies < 1):
            raise InputError(f"copies={copies!r} must be an integer of at least 1")
        generator = as_generator(rng)
        require_copies(layout, copies or 1, 64.0 * layout.mzis)
        lead = () if copies is None else (copies,)
        first, other = (self._splitter_errors(layout, lead, generator) for _ in range(2))
        rho = self.splitter_correlation
        offset_shape = (*lead, 2 * layout.mzis + layout.ports)
        return Chip(
            layout=layout,
            first_error=first,
            second_error=rho * first + math.sqrt(1.0 - rho**2) * other,
            mzi_transmission=np.array(amplitude_factor(self.loss_dB)),
            waveguide_transmission=amplitude_factor(self.waveguide_loss_dB),
            phase_offset=self.phase_offset_std * generator.standard_normal(offset_shape),
            process=self,
        )

    def _splitter_errors(self, layout: Layout, lead: tuple[int, ...], rng: Generator) -> Array:
        """Gaussian errors (…, M), rad, of one coupler of every MZI, correlated over the chip.

        Their covariance is a product of one over columns and one over rows, so on the grid of
        both they are L_columns · white noise · L_rowsᵀ.
        """
        if not self.correlation_length:
            return self.splitter_std * rng.standard_normal((*lead, layout.mzis))
        spacing = self._pitch / self.correlation_length
        along, across = (
            _gaussian_root(count, step)
            for count, step in zip((layout.columns, layout.lines), spacing, strict=True)
        )
        white = rng.standard_normal((*lead, layout.columns, layout.lines))
        grid: Array = self.splitter_std * (along @ white @ across.T)
        return grid[..., layout.column, layout.row]

    def crosstalk_between(self, layout: Layout) -> Any:
        """X, sparse (2M + N, 2M + N): phases in the light are X times those set by the heaters.

        Heaters in the order theta, phi, gamma. They act linearly, not modulo 2π.

        Raises
        ------
        InputError : no law of crosstalk.
        """
        if self.crosstalk is None:
            raise InputError("these imperfections have no crosstalk: give a ThermalCrosstalk")
        external = np.stack((layout.column, layout.row), axis=1)
        output = np.stack((np.full(layout.ports, layout.columns), np.arange(layout.ports)), axis=1)
        places = np.concatenate((external + np.array([0.5, 0.0]), external, output))
        return crosstalk_matrix(places * self._pitch, self.crosstalk)


@plain_dataclass(frozen=True, kw_only=True, eq=False)
class Chip:
    """One fabricated mesh, or K of them (arrays with a leading axis): what is fixed in it.

    Parameters
    ----------
    layout : where the MZIs lie.
    first_error, second_error : (M,) or (K, M) rad, of the couplers of every MZI that light
        passes first and second.
    mzi_transmission : amplitude, a number or (M,) or (K, M), of every way through an MZI.
    waveguide_transmission : amplitude, of a column passed without an MZI.
    phase_offset : (2M + N,) or (K, 2M + N) rad, fixed errors of theta, phi and gamma.
    process : :class:`Imperfections`, of which the part about drivers is used.

    Raises
    ------
    InputError : wrong shapes, not finite, coupler errors beyond ±π/4, or a transmission outside
        of 0 to 1.

    Examples
    --------
    >>> from zerohm.photonics import clements
    >>> chip = Chip(layout=clements(2), first_error=[0.1])
    >>> chip.first_error, chip.second_error
    (array([0.1]), array([0.]))
    """

    layout: Layout
    first_error: Array = field(default_factory=lambda: np.zeros(()))
    second_error: Array = field(default_factory=lambda: np.zeros(()))
    mzi_transmission: Array = field(default_factory=lambda: np.ones(()))
    waveguide_transmission: float = 1.0
    phase_offset: Array = field(default_factory=lambda: np.zeros(()))
    process: Imperfections = field(default_factory=Imperfections)

    def __post_init__(self) -> None:
        quarter, mzis = math.pi / 4, self.layout.mzis
        self._check("first_error", mzis, -quarter, quarter)
        self._check("second_error", mzis, -quarter, quarter)
        self._check("mzi_transmission", mzis, 0.0, 1.0)
        self._check("phase_offset", 2 * mzis + self.layout.ports, -math.inf, math.inf)
        if not 0.0 <= self.waveguide_transmission <= 1.0:
            raise InputError(
                f"waveguide_transmission={self.waveguide_transmission!r} must lie between 0 and 1"
            )
        self.copies  # noqa: B018  (raises if the arrays disagree)

    def _check(self, name: str, size: int, low: float, high: float) -> None:
        found = np.array(getattr(self, name), dtype=np.float64)
        if found.ndim == 0:
            found = np.full(size, found)
        if found.ndim > 2 or found.shape[-1] != size:
            raise InputError(
                f"{name} has shape {found.shape}: give a number, ({size},) or (copies, {size})"
            )
        if not np.all(np.isfinite(found) & (found >= low) & (found <= high)):
            raise InputError(f"{name} must be finite and lie between {low:.4g} and {high:.4g}")
        found.setflags(write=False)
        object.__setattr__(self, name, found)

    @cached_property
    def copies(self) -> int | None:
        """K, or ``None`` for a single chip without a leading axis."""
        return common_copies(
            first_error=self.first_error,
            second_error=self.second_error,
            mzi_transmission=self.mzi_transmission,
            phase_offset=self.phase_offset,
        )

    @cached_property
    def couplers(self) -> Array:
        """(…, M, 4) cosine and sine of the angle of the first coupler, then of the second."""
        both = np.broadcast_arrays(self.first_error, self.second_error)
        angles = math.pi / 4 + np.stack(both, axis=-1)
        return np.stack((np.cos(angles), np.sin(angles)), axis=-1).reshape(*both[0].shape, 4)

    @cached_property
    def transmission(self) -> Array:
        """(…, M, 2) amplitude of an MZI and of the waveguides before it, by its input line."""
        before = self.waveguide_transmission**self.layout.passed
        return np.asarray(self.mzi_transmission[..., None] * before)

    @cached_property
    def output_transmission(self) -> Array:
        """(lines,) amplitude of the waveguides behind the last MZI of every line."""
        return np.asarray(self.waveguide_transmission**self.layout.passed_at_end)

    @cached_property
    def crosstalk(self) -> Any:
        """:meth:`Imperfections.crosstalk_between` the heaters of this chip."""
        return self.process.crosstalk_between(self.layout)

    def program(
        self,
        theta: ArrayLike,
        phi: ArrayLike,
        gamma: ArrayLike,
        rng: int | Generator | None = None,
    ) -> Phases:
        """Phases in the light after one programming event that asks for the given ones.

        The drivers round to their codes and err, the heaters warm each other, and the fixed
        errors of the chip come on top.

        Parameters
        ----------
        theta, phi, gamma : (M,), (M,), (ports,) rad, or with a leading axis of copies: in
            [0, ``phase_max``].
        rng : of the errors of the drivers; needed if ``phase_std`` is not 0.

        Raises
        ------
        InputError : wrong shapes, phases outside the range of the drivers, or no ``rng``.

        Examples
        --------
        >>> from zerohm.photonics import clements
        >>> chip = Imperfections(phase_bits=2).fabricate(clements(2), 0)
        >>> chip.program([1.0], [3.0], [6.2, 0.1]).theta.round(4)
        array([1.5708])
        """
        process = self.process
        asked = checked_phases(self.layout, theta, phi, gamma)
        largest = max(float(part.max(initial=0.0)) for part in asked)
        smallest = min(float(part.min(initial=0.0)) for part in asked)
        if smallest < 0 or largest > process.phase_max:
            raise InputError(
                f"phases between {smallest:.6g} and {largest:.6g} rad: the drivers reach 0 to "
                f"{process.phase_max:.6g} rad (only phases modulo 2π matter: numpy.mod)"
            )
        copies = common_copies(chip=self.phase_offset, theta=asked[0], phi=asked[1], gamma=asked[2])
        lead = () if copies is None else (copies,)
        parts = [np.broadcast_to(part, (*lead, part.shape[-1])) for part in asked]
        heaters = np.concatenate(parts, axis=-1)
        if process.phase_bits is not None:
            heaters = PhaseShifter(bits=process.phase_bits).quantise(heaters)
        if process.phase_std:
            if rng is None:
                raise InputError(
                    f"phase_std={process.phase_std:g}: every programming errs, so it needs an rng"
                )
            draws = as_generator(rng).standard_normal(heaters.shape)
            heaters = heaters + process.phase_std * draws
        if process.crosstalk is not None:
            heaters = (self.crosstalk @ np.atleast_2d(heaters).T).T.reshape(heaters.shape)
        in_light = heaters + self.phase_offset
        mzis = self.layout.mzis
        return Phases(*np.split(in_light, [mzis, 2 * mzis], axis=-1))


def require_copies(layout: Layout, copies: int, bytes_per_copy: float) -> None:
    """Refuse more copies of a mesh than fit into memory.

    Raises
    ------
    InputError : so much memory is not available.
    """
    # Asking the system takes longer than allocating little memory.
    if (needed := copies * bytes_per_copy) > _LITTLE:
        require_memory(needed, f"{copies} copies of {layout}", "take fewer copies or ports")


def checked_phases(layout: Layout, theta: ArrayLike, phi: ArrayLike, gamma: ArrayLike) -> Phases:
    """The phases as float64 arrays of the shapes of a layout, all of them finite.

    Raises
    ------
    InputError : other shapes, NaN, or leading axes that disagree.
    """
    sizes = {"theta": layout.mzis, "phi": layout.mzis, "gamma": layout.ports}
    found: dict[str, Array] = {}
    for (name, size), given in zip(sizes.items(), (theta, phi, gamma), strict=True):
        array = np.asarray(given, dtype=np.float64)
        if array.ndim not in (1, 2) or array.shape[-1] != size:
            raise InputError(
                f"{name} has shape {array.shape}: {layout!r} needs ({size},) or (copies, {size})"
            )
        if not np.isfinite(array).all():
            raise InputError(f"{name} must be finite, in rad")
        found[name] = array
    common_copies(**found)
    return Phases(**found)


def common_copies(**arrays: Array) -> int | None:
    """K of arrays of shape (K, size); ``None`` if none of them has a leading axis.

    Raises
    ------
    InputError : numbers of copies that differ.
    """
    counts = {name: len(array) for name, array in arrays.items() if array.ndim == 2}
    if len(set(counts.values())) > 1 or 0 in counts.values():
        raise InputError(f"numbers of copies must agree and be at least 1: {counts}")
    return next(iter(counts.values()), None)


def _gaussian_root(count: int, spacing: float) -> Array:
    """L with L Lᵀ = exp(−(i−j)² spacing²/2), (count, count)."""
    index = np.arange(count)
    covariance = np.exp(-0.5 * (spacing * (index[:, None] - index)) ** 2)
    values, vectors = np.linalg.eigh(covariance)
    # Gaussian covariances are singular to rounding: their smallest eigenvalues come out negative.
    root: Array = vectors * np.sqrt(np.maximum(values, 0.0))
    return root
