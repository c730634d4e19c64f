"""What errors of phases do to the weights of a photonic layer, to first order.

A phase shifter changes the matrix of the circuit by the outer product of the light that arrives at
it and the light that reaches the outputs from it.
"""

from typing import Any

import numpy as np

from zerohm._arrays import Array
from zerohm._jit import kernel

from ..photonics import Mesh
from ..photonics.kernels import Complex, Indices


def light_paths(before: Mesh, attenuators: Mesh, behind: Mesh) -> list[tuple[Complex, Complex]]:
    """Light to and from the phase shifters of each chip: (P, outputs) away, (P, inputs) to them.

    Per rad of a phase, the matrix of the circuit changes by the outer product of both.
    """
    first, last = before.matrix(), behind.matrix()
    open_, slope = (m[0, :, 0, 0] for m in (attenuators.matrices(), attenuators.matrix_slopes()))
    rank, (outputs, inputs) = open_.size, (len(last), len(first))
    arriving, leaving = np.zeros((2, outputs, inputs), np.complex128)
    arriving[:rank] = open_[:, None] * first[:rank]
    leaving[:, :rank] = last[:, :rank] * open_
    by_phase = np.concatenate((slope, 1j * open_))
    between = by_phase[:, None] * np.tile(last.T[:rank], (2, 1)), np.tile(first[:rank], (2, 1))
    return [
        _paths_in_mesh(before, np.eye(inputs) + 0j, leaving),
        between,
        _paths_in_mesh(behind, arriving, np.eye(outputs) + 0j),
    ]


def _paths_in_mesh(mesh: Mesh, arriving: Complex, leaving: Complex) -> tuple[Complex, Complex]:
    """The same for one mesh, whose phase shifters are in the order theta, phi, gamma.

    arriving : (ports, inputs), field at every port before the mesh, of every input.
    leaving : (outputs, ports), field at every output, of every port behind the mesh.
    """
    layout, ports = mesh.layout, mesh.layout.ports
    mzis, shifters = layout.mzis, 2 * layout.mzis + ports
    forwards = np.zeros((layout.lines, arriving.shape[1]), np.complex128)
    backwards = np.zeros((layout.lines, leaving.shape[0]), np.complex128)
    forwards[:ports] = arriving
    backwards[:ports] = leaving.T * mesh.output_factors()[0, :ports, None]
    to = np.empty((shifters, forwards.shape[1]), np.complex128)
    away = np.empty((shifters, backwards.shape[1]), np.complex128)
    away[2 * mzis :] = 1j * backwards[:ports]
    cells = mesh.matrices()[0], mesh.matrix_slopes()[0], layout.upper, layout.lower
    follow(*cells, forwards, to)
    retrace(*cells, backwards, away)
    to[2 * mzis :] = forwards[:ports]
    return away, to


def weight_variance(away: Complex, to: Complex, crosstalk: Any) -> Array:
    """Σ_k (Re Σ_l X_lk a_l b_l)² of the ways a to and b from phase shifters, per rad²."""
    if crosstalk is None:
        a, b, c, d = away.real, away.imag, to.real, to.imag
        # (ac − bd)², summed as one matrix product
        left = np.concatenate((a * a, b * b, -2.0 * a * b))
        found: Array = left.T @ np.concatenate((c * c, d * d, c * d))
        return np.maximum(found, 0.0)
    variance = np.empty((away.shape[1], to.shape[1]))
    for i, way in enumerate(away.T):
        slopes = (way[:, None] * to).real
        variance[i] = np.square(crosstalk.T @ slopes).sum(axis=0)
    return variance


@kernel
def follow(
    matrices: Complex,
    slopes: Complex,
    upper: Indices,
    lower: Indices,
    light: Complex,
    seen: Complex,
) -> None:
    """Light (lines, vectors) forwards through all MZIs, in place; what arrives at their shifters.

    matrices, slopes : (M, 2, 2) T and dT/dθ, the latter of rank one. seen : (2M + …, vectors),
    written: what the internal and then what the external phase shifters see, the former in the
    unit of the first row of the slope.
    """
    mzis = upper.size
    for m in range(mzis):
        u, v, t, s = upper[m], lower[m], matrices[m], slopes[m]
        for j in range(light.shape[1]):
            x, y = light[u, j], light[v, j]
            seen[m, j], seen[mzis + m, j] = s[0, 0] * x + s[0, 1] * y, x
            light[u, j], light[v, j] = t[0, 0] * x + t[0, 1] * y, t[1, 0] * x + t[1, 1] * y


@kernel
def retrace(
    matrices: Complex,
    slopes: Complex,
    upper: Indices,
    lower: Indices,
    light: Complex,
    seen: Complex,
) -> None:
    """Light (lines, vectors) backwards, in place; what leaves the shifters for it.

    The counterpart of :func:`follow`: the product of what both write is the change of light.
    """
    mzis = upper.size
    for m in range(mzis - 1, -1, -1):
        u, v, t = upper[m], lower[m], matrices[m]
        ratio = slopes[m, 1, 0] / slopes[m, 0, 0]
        for j in range(light.shape[1]):
            x, y = light[u, j], light[v, j]
            back = t[0, 0] * x + t[1, 0] * y
            seen[m, j], seen[mzis + m, j] = x + ratio * y, 1j * back
            light[u, j], light[v, j] = back, t[0, 1] * x + t[1, 1] * y
