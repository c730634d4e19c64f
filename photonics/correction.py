"""Phases for a mesh whose coupler errors are known.

Every MZI with coupler errors a, b is set to carry out the matrix of the ideal one, up to phases at
its outputs that later phase shifters take over (Bandyopadhyay, Hamerly & Englund, Optica 8, 1247
(2021))::

    sin²(θ'/2) = (sin²(θ/2) − sin²(a + b)) / (cos²(a − b) − sin²(a + b))

An MZI reaches 2|a + b| ≤ θ ≤ π − 2|a − b|; beyond, it is set to the nearest splitting ratio
and reported. For random unitary matrices and couplers with a standard deviation of σ rad, a
rectangle or triangle that is not corrected has the error E = ‖ΔU‖/√N = √(2N) σ (while E < 0.5).
In a corrected one a fraction of ⅔ N σ² of the MZIs is out of reach, most of them near the cross
state, and leaves E = √(2/3) N σ² in the mean square (while N σ² < 0.05), 0.79 N σ² in the mean.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from zerohm._arrays import Array
from zerohm._errors import InputError

from .decomposition import Phases, in_one_turn
from .decomposition_kernels import Flags, carry_phases, match_mzis
from .imperfections import checked_phases, common_copies
from .layout import Layout


class Corrected(NamedTuple):
    """Phases of an imperfect mesh, and where they cannot do what the ideal mesh does."""

    phases: Phases
    unreachable: Flags
    """(M,) or (K, M) MZIs whose splitting ratio is beyond what their couplers allow."""


def correct(
    phases: Phases, layout: Layout, *, first_error: ArrayLike, second_error: ArrayLike
) -> Corrected:
    """Phases with which an imperfect mesh carries out the matrix of an ideal one.

    Parameters
    ----------
    phases : of the ideal mesh, rad, any real numbers; alone or with a leading axis of K meshes.
    layout : of both meshes.
    first_error, second_error : one number, (M,) or (K, M): errors a, b (rad) of the couplers that
        light passes first and second in every MZI (π/4 + a instead of π/4).

    Returns
    -------
    Corrected : the phases, all in [0, 2π), and the MZIs that could not be corrected: without any,
        the matrix is the ideal one, to rounding. The MZIs that a diamond has beyond its triangle
        are bar and so among them, unless their couplers are equal.

    Raises
    ------
    InputError : shapes that do not fit the layout or each other, values that are not finite, or
        an error of π/4 or more.

    Examples
    --------
    >>> import numpy as np
    >>> from zerohm.photonics import Phases, clements
    >>> from zerohm.photonics.correction import correct
    >>> ideal = Phases(np.array([1.0]), np.zeros(1), np.zeros(2))
    >>> phases, unreachable = correct(ideal, clements(2), first_error=0.1, second_error=0.05)
    >>> float(phases.theta[0].round(6)), bool(unreachable[0])
    (0.958927, False)
    """
    found = checked_phases(layout, *phases)._asdict()
    for name, given in (("first_error", first_error), ("second_error", second_error)):
        found[name] = _checked_error(name, given, layout)
    copies = common_copies(**found)
    lead = (1 if copies is None else copies,)
    theta, phi, gamma, a, b = (
        np.array(np.broadcast_to(array, lead + array.shape[-1:])) for array in found.values()
    )
    unreachable = np.empty(theta.shape, np.bool_)
    for k in range(len(theta)):
        after, line = np.zeros((layout.mzis, 2)), np.zeros(layout.lines)
        unreachable[k] = match_mzis(theta[k], phi[k], after, a[k], b[k])
        carry_phases(layout.upper, layout.lower, theta[k], phi[k], after, line, False)
        gamma[k] = in_one_turn(gamma[k] + line[: layout.ports])
    if copies is None:
        return Corrected(Phases(theta[0], phi[0], gamma[0]), unreachable[0])
    return Corrected(Phases(theta, phi, gamma), unreachable)


def _checked_error(name: str, given: ArrayLike, layout: Layout) -> Array:
    """Coupler errors as (M,) or (K, M)."""
    error = np.asarray(given, dtype=np.float64)
    error = np.full(layout.mzis, error) if error.ndim == 0 else error
    if error.ndim > 2 or error.shape[-1] != layout.mzis:
        raise InputError(
            f"{name} has shape {error.shape}: {layout!r} needs one number, ({layout.mzis},) or "
            f"(copies, {layout.mzis})"
        )
    if not np.all(np.abs(error) < np.pi / 4):
        raise InputError(
            f"{name} must be finite and below π/4 in modulus: a coupler that is further off sends "
            "all light one way"
        )
    return error
