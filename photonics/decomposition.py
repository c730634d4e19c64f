"""Phases that make an ideal mesh carry out a given unitary matrix.

A matrix is stripped of one Mach–Zehnder interferometer (MZI) after the other: each nulls one
element, until a diagonal matrix is left, whose phases travel with the light to the external phase
shifters of later MZIs and to the outputs. A rectangle is stripped from both sides in turn
(Clements 2016), a triangle from the outputs (Reck 1994), a butterfly from the outputs too, one
column at a time. The phases are unique: θ lies in [0, π], φ and γ in [0, 2π), and φ = 0 in an MZI
that is exactly bar (θ = π) or cross (θ = 0), where it would do the same as a later phase.

Phases may be sensitive where the matrix is not: in the Fourier transform of 64 ports, rounding in
the matrix moves some by 0.1 rad, and what the mesh carries out by 1e-15.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from zerohm._arrays import Array
from zerohm._errors import InputError

from .decomposition_kernels import (
    Flags,
    carry_phases,
    clements_sequence,
    null,
    null_butterfly,
    places,
    reck_sequence,
)
from .kernels import Complex, Indices
from .layout import Layout

UNITARITY = 1e-9
"""Largest element of U†U − 1 that decompose accepts: such a matrix is reproduced as closely."""


class Phases(NamedTuple):
    """Phase settings of a mesh, in rad, in the order of :class:`~zerohm.photonics.Layout`."""

    theta: Array
    """(M,) internal phases."""
    phi: Array
    """(M,) external phases."""
    gamma: Array
    """(ports,) output phases."""


class Nullings(NamedTuple):
    """The sequence of nullings that strips the MZIs of a universal mesh off a unitary matrix."""

    right: Flags
    """(N(N−1)/2,) whether columns are combined (input side) or rows (output side)."""
    row: Indices
    """Row of the nulled element; a left nulling combines it with the row before."""
    column: Indices
    """Column of the nulled element; a right nulling combines it with the column after."""
    mzi: Indices
    """Number of the MZI in the layout."""


def decompose(unitary: ArrayLike, layout: Layout) -> Phases:
    """Phases of an ideal mesh whose matrix is ``unitary``, to rounding.

    Parameters
    ----------
    unitary : (ports, ports), real or complex; U[i, j] is output i for input j.
    layout : of the mesh. A butterfly has fewer phases than a unitary matrix: it takes the
        matrices of its own family only. In a diamond the MZIs outside the triangle are bar.

    Raises
    ------
    InputError : not a square matrix of the layout's size, not finite, not unitary within
        ``UNITARITY``, no butterfly, or a layout without a method.

    Examples
    --------
    >>> import numpy as np
    >>> from zerohm.photonics import clements, decompose
    >>> theta, phi, gamma = decompose(np.eye(3), clements(3))
    >>> np.round(theta / np.pi, 12)
    array([1., 1., 1.])
    """
    target = checked_unitary(unitary, layout)
    # Rows a power of two apart share few places of the cache: eight unused columns part them.
    re, im = np.zeros((2, layout.ports, layout.ports + 8))
    re[:, :-8], im[:, :-8] = target.real, target.imag
    upper, lower = layout.upper, layout.lower
    # An MZI that is not stripped is bar, T(π, 0) = diag(−1, 1), its sign undone behind it.
    theta, phi = np.full(layout.mzis, np.pi), np.zeros(layout.mzis)
    after, line = np.tile([np.pi, 0.0], (layout.mzis, 1)), np.zeros(layout.lines)
    if layout.name == "butterfly":
        null_butterfly(re, im, upper, lower, theta, after, line)
        _require_butterfly(re[:, :-8] + 1j * im[:, :-8])
    else:
        null(re, im, *nullings(layout), upper, theta, phi, after, line)
    carry_phases(upper, lower, theta, phi, after, line, True)
    return Phases(theta, phi, line[: layout.ports])


def nullings(layout: Layout) -> Nullings:
    """The sequence of nullings that strips all MZIs between the ports of a universal mesh.

    Raises
    ------
    InputError : a layout for which none is known.

    Examples
    --------
    >>> from zerohm.photonics import clements
    >>> from zerohm.photonics.decomposition import nullings
    >>> steps = nullings(clements(3))
    >>> steps.row, steps.column, steps.mzi
    (array([2, 1, 2]), array([0, 0, 1]), array([0, 2, 1]))
    """
    if layout.name not in _SEQUENCES:
        raise InputError(
            f"no sequence of nullings is known for layout {layout.name!r}; it is for: "
            f"{', '.join(sorted(_SEQUENCES))}"
        )
    between_ports = np.flatnonzero(layout.lower < layout.ports)
    right, row, column = _SEQUENCES[layout.name](layout.ports)
    place = places(layout.upper[between_ports], right, row, column)
    return Nullings(right, row, column, between_ports[place])


def checked_unitary(unitary: ArrayLike, layout: Layout) -> Complex:
    """The matrix as (ports, ports) complex128.

    Raises
    ------
    InputError : not a square matrix of the layout's size, not finite, not unitary within
        ``UNITARITY``.
    """
    try:
        matrix: Complex = np.asarray(unitary, dtype=np.complex128)
    except (TypeError, ValueError) as error:
        raise InputError(f"a unitary matrix is an array of complex numbers: {error}") from None
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise InputError(f"a unitary matrix is square; this one has the shape {matrix.shape}")
    if len(matrix) != layout.ports:
        raise InputError(
            f"matrix of {len(matrix)} × {len(matrix)} for a mesh of {layout.ports} ports: take "
            f"named_layout({layout.name!r}, {len(matrix)})"
        )
    if not np.all(np.isfinite(matrix)):
        raise InputError(f"{np.sum(~np.isfinite(matrix))} elements of the matrix are not finite")
    with np.errstate(over="ignore", invalid="ignore"):  # of huge elements; NaN is refused below
        defect = matrix.conj().T @ matrix - np.eye(len(matrix))
    if not (largest := float(np.abs(defect).max())) <= UNITARITY:
        raise InputError(
            f"the matrix U is not unitary: U†U − 1 has elements up to {largest:.2g} (allowed "
            f"{UNITARITY:g}) and the norm {np.linalg.norm(defect):.2g}. With its singular value "
            "decomposition U = W S V†, W V† is the nearest unitary matrix, and two meshes W, V† "
            "with attenuators S between them carry out U itself"
        )
    return matrix


def in_one_turn(phase: Array) -> Array:
    """Phases in [0, 2π)."""
    turned = np.mod(phase, 2 * np.pi)
    return np.where(turned < 2 * np.pi, turned, 0.0)


def _require_butterfly(remaining: Complex) -> None:
    """Raise InputError unless the nullings of a butterfly have left a diagonal matrix."""
    distance = float(np.linalg.norm(remaining - np.diag(np.diag(remaining))))
    if distance > UNITARITY * len(remaining):
        raise InputError(
            f"the matrix is no butterfly: its nullings leave {distance:.2g} (Frobenius norm) off "
            "the diagonal. A butterfly has fewer phases than a unitary matrix; layout 'clements' "
            "takes every one"
        )


_SEQUENCES: dict[str, Callable[[int], tuple[Flags, Indices, Indices]]] = {
    "clements": clements_sequence,
    "reck": reck_sequence,
    "diamond": reck_sequence,
}
