"""Phase shifters side by side: every heater also warms the waveguides of its neighbours."""

import math
from typing import Annotated, Self

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass
from scipy.sparse import csr_array, eye_array, sparray
from scipy.sparse.linalg import gmres
from scipy.spatial import KDTree

from zerohm._arrays import Array
from zerohm._config import STRICT
from zerohm._errors import InputError

from .phase_shifter import PhaseShifter, as_floats, wrapped

ROUNDING = 1e-9
"""Share of the full scale by which a power may miss the driver's range and is set to its end."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ThermalCrosstalk:
    """How much of a heater's effect reaches a waveguide at a distance d::

        C(d) = c exp(−(d − d_ref) / ℓ),      C = 1 for its own waveguide

    Far from a line heater on a substrate of thickness H with a perfect heat sink below, the
    temperature falls as exp(−π d / 2H); ℓ = 2H/π is that law. Closer than H the fall is faster
    at first, and trenches or an undercut change it: where it matters, measure the matrix
    (``zerohm.devices.calibrate.phase_shifter``).

    Parameters
    ----------
    coefficient : c, the share at the reference distance. Default: 0.005, which L2ight takes for
        neighbours in a mesh; silicon heaters 5 µm and 15 µm apart have at least 0.10 and 0.035
        without a trench (Jacques 2019: what trenches remove).
    reference_distance : d_ref, m. Default: this project's assumption.
    decay_length : ℓ, m. Default: this project's assumption, a sink 160 µm below.
    smallest : coefficients below this are left out of a matrix, which keeps it sparse.

    Raises
    ------
    ValueError : a parameter outside its range, or C(0) of 1 or more.
    """

    coefficient: Annotated[float, Field(ge=0)] = 0.005
    reference_distance: Annotated[float, Field(ge=0)] = 100e-6
    decay_length: Annotated[float, Field(gt=0)] = 100e-6
    smallest: Annotated[float, Field(gt=0)] = 1e-6

    @model_validator(mode="after")
    def _weaker_than_its_own(self) -> Self:
        if (nearest := float(self.at(0.0))) >= 1:
            raise ValueError(
                f"the coefficient would be {nearest:.3g} at distance 0: a heater must warm its "
                "own waveguide most (smaller coefficient or longer decay_length)"
            )
        return self

    @property
    def citations(self) -> tuple[str, ...]:
        """Source of the measured coefficients."""
        return ("Jacques2019",)

    @property
    def reach(self) -> float:
        """Distance in m beyond which coefficients are left out."""
        if self.coefficient <= 0:
            return 0.0
        farther = self.decay_length * math.log(self.coefficient / self.smallest)
        return max(self.reference_distance + farther, 0.0)

    def at(self, distance: ArrayLike) -> Array:
        """C at distances in m."""
        beyond = (np.asarray(distance) - self.reference_distance) / self.decay_length
        return np.asarray(self.coefficient * np.exp(-beyond))


def crosstalk_matrix(positions: ArrayLike, law: ThermalCrosstalk) -> csr_array:
    """C[i, j], share of the effect of heater j on waveguide i, (M, M) sparse with diagonal 1.

    Parameters
    ----------
    positions : (M, 2) or (M, 3), m, of the phase shifters.
    law : decay with distance.

    Raises
    ------
    InputError : positions of another shape, not finite, or the same for two shifters.

    Examples
    --------
    >>> law = ThermalCrosstalk(coefficient=0.01, reference_distance=50e-6, decay_length=50e-6)
    >>> crosstalk_matrix([[0.0, 0.0], [50e-6, 0.0], [100e-6, 0.0]], law).toarray().round(4)
    array([[1.    , 0.01  , 0.0037],
           [0.01  , 1.    , 0.01  ],
           [0.0037, 0.01  , 1.    ]])
    """
    places = np.asarray(positions, dtype=np.float64)
    if places.ndim != 2 or places.shape[1] not in (2, 3) or not np.isfinite(places).all():
        raise InputError(
            f"positions of shape {places.shape} must be finite numbers in m of shape (shifters, 2) "
            "or (shifters, 3)"
        )
    count = len(places)
    if len(np.unique(places, axis=0)) < count:
        raise InputError("two phase shifters have the same position")
    one, other = KDTree(places).query_pairs(law.reach, output_type="ndarray").T
    share = law.at(np.linalg.norm(places[one] - places[other], axis=1))
    half = csr_array((share, (one, other)), shape=(count, count))
    return csr_array(half + half.T + eye_array(count))


class PhaseShifterArray:
    """Phase shifters on one chip, each with its own efficiency and offset::

        φ_i = φ₀_i + (π / P_π_i) Σ_j C_ij p_j

    linear in the heater powers p, so that a phase of 2π + x warms its neighbours more than one
    of x, though it is the same to the light. Where a phase is that between two arms of an
    interferometer, a heater closer to the other arm has a negative C.

    Parameters
    ----------
    design : driver and limits of every shifter. Its ``nearest_power`` rounds powers to codes, for
        shifters that differ in codes uniform in power or voltage.
    crosstalk : C, (M, M) with diagonal 1, dense or sparse; kept as ``crosstalk``, sparse.
    half_wave_power : (M,), W; by default that of the design.
    offset : (M,), rad; by default that of the design.

    Raises
    ------
    InputError : shapes that do not agree, numbers that are not finite, a diagonal other than 1,
        or a half-wave power that is not positive.

    Examples
    --------
    >>> chip = PhaseShifterArray(design=PhaseShifter(half_wave_power=20e-3),
    ...                          crosstalk=np.array([[1.0, 0.1], [0.1, 1.0]]))
    >>> powers = chip.powers([0.5 * np.pi, 0.0])
    >>> powers.round(5)
    array([0.00606, 0.03939])
    >>> (chip.phases(powers) / np.pi).round(9)
    array([0.5, 2. ])
    """

    def __init__(
        self,
        *,
        design: PhaseShifter,
        crosstalk: ArrayLike | sparray,
        half_wave_power: ArrayLike | None = None,
        offset: ArrayLike | None = None,
    ) -> None:
        self.design = design
        self.crosstalk = _checked_matrix(crosstalk)
        self.half_wave_power = self._each("half_wave_power", half_wave_power)
        self.offset = self._each("offset", offset)
        if np.any(self.half_wave_power <= 0):
            raise InputError("every half_wave_power in W must be positive")

    def __len__(self) -> int:
        return int(self.crosstalk.shape[0])

    def phases(self, powers: ArrayLike) -> Array:
        """Phases in rad, not reduced modulo 2π, at heater powers (…, M) in W.

        Raises
        ------
        InputError : another shape, or a power that the design refuses.
        """
        driven = self._lanes(powers)
        self.design.phase(driven)
        warmed = (self.crosstalk @ driven.reshape(-1, driven.shape[-1]).T).T
        return np.asarray(
            self.offset + math.pi / self.half_wave_power * warmed.reshape(driven.shape)
        )

    def isolated_powers(self, phases: ArrayLike) -> Array:
        """Heater powers (…, M) in W that would give phases (…, M) in rad without crosstalk."""
        return np.asarray(
            self.half_wave_power / math.pi * wrapped(self._lanes(phases) - self.offset)
        )

    def powers(self, phases: ArrayLike) -> Array:
        """Heater powers (…, M) in W that give phases (…, M) in rad modulo 2π, crosstalk included.

        Solves C p = P_π (φ − φ₀) / π. A heater that had to cool gets another 2π.

        Raises
        ------
        InputError : another shape, phases that are not finite, a heater that would need more
            than the driver's full scale, or crosstalk that can't be inverted.
        """
        asked = self._lanes(phases)
        if not np.isfinite(asked).all():
            raise InputError("a phase must be a finite number in rad")
        warmth = self.isolated_powers(asked).reshape(-1, len(self))
        largest = self.design.full_scale
        most = largest * float(abs(self.crosstalk).sum(axis=1).max())  # what all heaters can give
        found = self._solve(warmth)
        while (cold := found < -ROUNDING * largest).any() and warmth.max() <= most:
            warmth = warmth + 2.0 * self.half_wave_power * cold
            found = self._solve(warmth)
        wrong = cold | (found > largest * (1 + ROUNDING))
        if wrong.any():
            chip, heater = np.argwhere(wrong)[0]
            raise InputError(
                f"heater {heater} would need {found[chip, heater]:.4g} W to reach its phase beside "
                f"its neighbours, and the driver goes from 0 to {largest:.4g} W: raise max_power "
                "(with codes uniform in power or voltage) or reduce crosstalk"
            )
        return np.clip(found, 0.0, largest).reshape(asked.shape)

    def _solve(self, warmth: Array) -> Array:
        """p of C p = warmth, (chips, M), by GMRES: C is close to the identity."""
        found = np.empty_like(warmth)
        for chip, wanted in enumerate(warmth):
            found[chip], failed = gmres(self.crosstalk, wanted, x0=wanted, rtol=1e-12, maxiter=100)
            if failed:
                raise InputError("crosstalk is too strong: its matrix can't be inverted")
        return found

    def _each(self, name: str, given: ArrayLike | None) -> Array:
        """One number per shifter."""
        found = getattr(self.design, name) if given is None else given
        found = np.asarray(found, dtype=np.float64)
        if found.shape not in ((), (len(self),)) or not np.isfinite(found).all():
            raise InputError(
                f"{name} of shape {found.shape} must be {len(self)} finite numbers, one per shifter"
            )
        return np.broadcast_to(found, len(self)).copy()

    def _lanes(self, values: ArrayLike) -> Array:
        found = as_floats(values)
        if found.shape[-1:] != (len(self),):
            raise InputError(
                f"values of shape {found.shape} must be (..., {len(self)}), one per shifter"
            )
        return found


def _checked_matrix(crosstalk: ArrayLike | sparray) -> csr_array:
    matrix = csr_array(crosstalk, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise InputError(f"crosstalk of shape {matrix.shape} must be a square matrix")
    if not np.isfinite(matrix.data).all():
        raise InputError("coefficients of crosstalk must be finite")
    if not np.allclose(matrix.diagonal(), 1.0, rtol=0, atol=1e-12):
        raise InputError("the diagonal of crosstalk must be 1: half_wave_power scales it")
    return matrix
