"""The phases of a mesh in the conventions of other works.

============  ==========================================  ==============================
Convention    Matrix of an MZI                            Diagonal phases
============  ==========================================  ==============================
zerohm        i e^{iθ/2} [[e^{iφ} sin(θ/2), cos(θ/2)],    at the outputs
              [e^{iφ} cos(θ/2), −sin(θ/2)]]
clements2016  [[e^{iφ} cos t, −sin t],                    at the outputs
              [e^{iφ} sin t, cos t]], t in [0, π/2]
neurophox     i [[e^{iφ} sin(θ/2), e^{iφ} cos(θ/2)],      at the inputs; and a factor −i
              [cos(θ/2), −sin(θ/2)]]                      on lines 0 and N−1 in every odd
                                                          column, if N is even
============  ==========================================  ==============================

Column vectors are meant, out = U in, and t = (π − θ)/2. neurophox multiplies row vectors,
out = in U: the matrix that it prints is the transpose of that of the same mesh here. It keeps θ
and φ in grids of (N, N//2), columns by MZIs; for even N, the last place in odd columns stands for
no MZI and holds π.
"""

import numpy as np
from numpy.typing import ArrayLike

from zerohm._arrays import Array
from zerohm._errors import InputError, choose

from .decomposition import Phases, in_one_turn
from .decomposition_kernels import Flags, carry_phases
from .imperfections import checked_phases
from .layout import Layout

CONVENTIONS = ("clements2016", "neurophox")
"""What phases can be converted to and from."""


def to_convention(name: str, phases: Phases, layout: Layout) -> tuple[Array, Array, Array]:
    """The phases with which a mesh of another convention does the same.

    Parameters
    ----------
    name : "clements2016" (Clements et al., Optica 3, 1460 (2016)) or "neurophox" (its class
        RectangularMeshModel with the basis "bloch").
    phases : of the mesh here, rad.
    layout : any for "clements2016", "clements" for "neurophox".

    Returns
    -------
    clements2016 : t (M,) in [0, π/2], φ (M,) and the phases at the outputs (N,).
    neurophox : θ, φ (N, N//2) and γ (N,) at the inputs. All phases but t are in [0, 2π).

    Raises
    ------
    InputError : an unknown name, phases that do not fit the layout, another layout for neurophox.

    Examples
    --------
    >>> import numpy as np
    >>> from zerohm.photonics import clements, decompose
    >>> from zerohm.photonics.conventions import to_convention
    >>> layout = clements(2)
    >>> t, phi, diagonal = to_convention("clements2016", decompose(np.eye(2), layout), layout)
    >>> float(t[0])
    0.0
    """
    choose("convention", name, CONVENTIONS)
    mesh = _of_one_mesh(phases, layout)
    return _to_clements(mesh, layout) if name == "clements2016" else _to_neurophox(mesh, layout)


def from_convention(
    name: str, phases: tuple[ArrayLike, ArrayLike, ArrayLike], layout: Layout
) -> Phases:
    """Phases with which a mesh here does the same as one of another convention.

    Parameters
    ----------
    name, layout : as for :func:`to_convention`.
    phases : in the form that :func:`to_convention` returns; any real numbers.

    Raises
    ------
    InputError : as of :func:`to_convention`.

    Examples
    --------
    >>> import numpy as np
    >>> from zerohm.photonics import clements, decompose
    >>> from zerohm.photonics.conventions import from_convention, to_convention
    >>> phases = decompose(np.eye(3)[[2, 0, 1]], clements(3))
    >>> there = to_convention("neurophox", phases, clements(3))
    >>> np.allclose(from_convention("neurophox", there, clements(3)).theta, phases.theta)
    True
    """
    choose("convention", name, CONVENTIONS)
    theta, phi, diagonal = (np.asarray(part, dtype=np.float64) for part in phases)
    if name == "clements2016":
        return _from_clements(_of_one_mesh(Phases(theta, phi, diagonal), layout), layout)
    return _from_neurophox(theta, phi, diagonal, layout)


def _of_one_mesh(phases: Phases, layout: Layout) -> Phases:
    """Copies of the phases of a single mesh, checked."""
    found = checked_phases(layout, *phases)
    if any(array.ndim != 1 for array in found):
        raise InputError("phases are converted for one mesh at a time, without an axis of copies")
    return Phases(*(array.copy() for array in found))


def _to_clements(phases: Phases, layout: Layout) -> tuple[Array, Array, Array]:
    """T(θ, φ) = exp(i(θ − π)/2) C(t, φ − π); C(−t, φ) = diag(−1, 1) C(t, φ + π)."""
    theta, phi, gamma = phases
    theta = in_one_turn(theta)
    t, common = (np.pi - theta) / 2, (theta - np.pi) / 2
    after = np.stack((np.where(t < 0, common + np.pi, common), common), axis=1)
    phi = np.where(t < 0, phi, phi - np.pi)
    line = np.zeros(layout.lines)
    carry_phases(layout.upper, layout.lower, theta, phi, after, line, False)
    return np.abs(t), phi, in_one_turn(gamma + line[: layout.ports])


def _from_clements(phases: Phases, layout: Layout) -> Phases:
    """C(t, φ) = exp(it) T(π − 2t, φ + π)."""
    t, phi, gamma = phases
    theta, phi, line = in_one_turn(np.pi - 2 * t), phi + np.pi, np.zeros(layout.lines)
    carry_phases(layout.upper, layout.lower, theta, phi, np.stack((t, t), axis=1), line, False)
    return Phases(theta, phi, in_one_turn(gamma + line[: layout.ports]))


def _to_neurophox(phases: Phases, layout: Layout) -> tuple[Array, Array, Array]:
    """T(θ, φ) = exp(iθ/2) N(θ, 0) diag(exp(iφ), 1): phases are carried towards the inputs."""
    there = _grid(layout)
    theta, edge = in_one_turn(phases.theta), _edge_phases(layout)
    before = theta / 2 - edge[:, 1]
    after = np.stack((before + phases.phi, before), axis=1)
    phi, line = edge[:, 1] - edge[:, 0], phases.gamma.copy()
    # Seen from the outputs, N is T: its phase shifter comes first.
    upper, lower = layout.upper[::-1], layout.lower[::-1]
    carry_phases(upper, lower, theta[::-1], phi[::-1], after[::-1], line, False)
    grids = np.full((2, *there.shape), np.pi)
    grids[:, there] = theta, phi
    return grids[0], grids[1], line


def _from_neurophox(theta: Array, phi: Array, gamma: Array, layout: Layout) -> Phases:
    """N(θ, φ) = exp(−iθ/2) diag(exp(iφ), 1) T(θ, 0)."""
    there = _grid(layout)
    for name, grid in (("theta", theta), ("phi", phi)):
        if grid.shape != there.shape:
            raise InputError(
                f"{name} has the shape {grid.shape}; neurophox keeps it as {there.shape}"
            )
    theta, phi, line = _of_one_mesh(Phases(theta[there], phi[there], gamma), layout)
    after = np.stack((phi - theta / 2, -theta / 2), axis=1) + _edge_phases(layout)
    theta, phi = in_one_turn(theta), np.zeros(layout.mzis)
    carry_phases(layout.upper, layout.lower, theta, phi, after, line, False)
    return Phases(theta, phi, line)


def _grid(layout: Layout) -> Flags:
    """(N, N//2) where neurophox has an MZI, row by row in the order of the layout."""
    if layout.name != "clements":
        raise InputError(
            f"conversion to and from 'neurophox' is for layout 'clements', not {layout.name!r}"
        )
    there = np.ones((layout.ports, layout.ports // 2), np.bool_)
    if layout.ports % 2 == 0:
        there[1::2, -1] = False
    return there


def _edge_phases(layout: Layout) -> Array:
    """(M, 2) phase of the edge lines in the column that follows an MZI, on its two outputs."""
    edge = np.zeros((layout.mzis, 2))
    if layout.ports % 2 == 0:
        edge[layout.upper == 0, 0] = edge[layout.lower == layout.ports - 1, 1] = -np.pi / 2
    return edge
