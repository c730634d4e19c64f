"""Phases for a mesh whose coupler errors are known.

Every MZI with coupler errors a, b is set to carry out the matrix of the ideal one, up to phases at
its outputs that later phase shifters take over (Bandyopadhyay, Hamerly & Englund, Optica 8, 1247
(2021))::

    sin²(θ'/2) = (sin²(θ/2) − sin²(a + b)) / (cos²(a − b) − sin²(a + b))

An MZI reaches 2\\|a + b\\| ≤ θ ≤ π − 2\\|a − b\\|; beyond, it is set to the nearest splitting ratio
and counted. For random unitary matrices and couplers of a standard deviation of σ rad the error
E = ‖ΔU‖/√N falls from √(2N) σ to about 0.77 N σ² in a rectangle or triangle (while E < 0.3), and
the unreachable fraction is about 0.6 N σ².
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from zerohm._arrays import Array
from zerohm._errors import InputError

from .decomposition import Phases, checked_phases, in_one_turn
from .decomposition_kernels import Flags, carry_phases, match_mzis
from .layout import Layout


class Corrected(NamedTuple):
    """Phases of an imperfect mesh, and where they cannot do what the ideal mesh does."""

    phases: Phases
    unreachable: Flags
    """(M,) MZIs whose splitting ratio lies beyond what their couplers allow."""


def correct(
    phases: Phases, layout: Layout, *, first_error: ArrayLike, second_error: ArrayLike
) -> Corrected:
    """Phases with which an imperfect mesh carries out the matrix of an ideal one.

    Parameters
    ----------
    phases : of the ideal mesh, rad; any real numbers.
    layout : of both meshes.
    first_error, second_error : (M,) or one number for all, errors a, b in rad of the couplers that
        light passes first and second in every MZI (π/4 + a instead of π/4), below π/4 in modulus.

    Returns
    -------
    Corrected : the phases, all in [0, 2π), and the MZIs that could not be corrected. The matrix is
        the ideal one, to rounding, if there are none of them.

    Raises
    ------
    InputError : shapes that do not fit the layout, values that are not finite, or a coupler that
        is wrong by π/4 or more.

    Examples
    --------
    >>> import numpy as np
    >>> from zerohm import photonics
    >>> layout = photonics.clements(2)
    >>> ideal = photonics.Phases(np.array([1.0]), np.zeros(1), np.zeros(2))
    >>> phases, unreachable = photonics.correct(
    ...     ideal, layout, first_error=0.1, second_error=0.05
    ... )
    >>> float(phases.theta[0].round(6)), bool(unreachable[0])
    (0.983093, False)
    """
    theta, phi, gamma = checked_phases(phases, layout)
    a = _checked_error("first_error", first_error, layout.mzis)
    b = _checked_error("second_error", second_error, layout.mzis)
    after, line = np.zeros((layout.mzis, 2)), np.zeros(layout.lines)
    unreachable = match_mzis(theta, phi, after, a, b)
    carry_phases(layout.upper, layout.lower, theta, phi, after, line, False)
    gamma = in_one_turn(gamma + line[: layout.ports])
    return Corrected(Phases(theta, phi, gamma), unreachable)


def _checked_error(name: str, given: ArrayLike, mzis: int) -> Array:
    """One coupler error per MZI."""
    error = np.asarray(given, dtype=np.float64)
    if error.shape not in ((), (mzis,)):
        raise InputError(f"{name} has the shape {error.shape}; one number or {(mzis,)} is needed")
    if not np.all(np.abs(error) < np.pi / 4):
        raise InputError(
            f"{name} must be finite and below π/4 in modulus: a coupler that is further off sends "
            "all light one way"
        )
    return np.broadcast_to(error, (mzis,)).copy()
