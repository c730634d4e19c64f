"""Exact gradients through a mesh: one backward pass gives the derivative by every phase.

For a real loss L of the output fields let δ = ∂L/∂E* at each place of the mesh. Behind the mesh
the user gives it; it passes backwards through every MZI as δ_in = T† δ_out. A change dT of an MZI
with the input fields x changes the loss by 2 Re Σ conj(δ_out)ᵢ dTᵢⱼ xⱼ; for a phase shifter with
the field x, dL/dφ = 2 Re(conj(δ) i x), what in-situ backpropagation measures on a chip.

References: Hughes et al., Optica 5, 864 (2018); Pai et al., Science 380, 398 (2023).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from zerohm._arrays import Array
from zerohm._errors import InputError
from zerohm._jit import kernel
from zerohm._memory import require_memory

from .kernels import Complex, Indices, load, scale, store, sweep
from .mesh import Mesh

_VECTORS = 32  # per block: the fields of a block before every MZI are kept


class Gradient(NamedTuple):
    """Derivatives of a loss: by phases in 1/rad, summed over the batch; times its unit."""

    theta: Array
    """(M,) or (K, M)."""
    phi: Array
    """(M,) or (K, M)."""
    gamma: Array
    """(ports,) or (K, ports)."""
    fields: Complex
    """∂L/∂E* of the input fields, for each vector, in the shape of the output fields; 1/√W."""


def gradient(mesh: Mesh, fields: ArrayLike, output_gradient: ArrayLike) -> Gradient:
    """Gradient of a real loss of the output fields by all phases and by the input fields.

    Parameters
    ----------
    mesh : with any losses and splitter errors.
    fields : input fields, as for :meth:`Mesh.propagate`, √W.
    output_gradient : ∂L/∂E* of the output fields, in their shape, 1/√W: for L = Σ w |E|² it is
        w E; with E = a + ib in general (∂L/∂a + i ∂L/∂b) / 2.

    Raises
    ------
    InputError : wrong shapes, values that are not finite.

    Examples
    --------
    Power of one output of a single MZI, sin²(θ/2), with the slope sin(θ)/2:

    >>> from zerohm.photonics import clements
    >>> mesh = Mesh(clements(2), theta=[np.pi / 2], phi=[0.3], gamma=[0.0, 0.0])
    >>> light = [[1.0, 0.0]]
    >>> derivative = gradient(mesh, light, mesh.propagate(light) * [1.0, 0.0])
    >>> derivative.theta.round(9), derivative.phi.round(9)
    (array([0.5]), array([0.]))
    """
    given = mesh.checked_fields(fields).astype(np.complex128)
    out = mesh.propagate(given)
    weights = np.require(output_gradient, np.complex128, ("C", "W"))
    if weights.shape != out.shape:
        raise InputError(f"output_gradient has shape {weights.shape}, the output {out.shape}")
    if not np.isfinite(weights).all():
        raise InputError("output_gradient must be finite")
    layout, matrices = mesh.layout, mesh.matrices()
    batches = given.reshape((1,) * (3 - given.ndim) + given.shape)
    require_memory(
        16.0 * _VECTORS * layout.columns * layout.lines,
        f"a gradient of {layout}",
        "take fewer ports",
    )
    by_matrix = np.zeros_like(matrices)
    back = np.empty((len(matrices), *batches.shape[1:]), np.complex128)
    backward(
        matrices,
        np.conj(np.swapaxes(matrices, -1, -2)).copy(),
        layout.column_starts,
        layout.upper,
        layout.lower,
        mesh.output_factors(),
        batches,
        weights.reshape(back.shape),
        by_matrix,
        back,
    )
    theta = 2.0 * (by_matrix * mesh.matrix_slopes()).sum(axis=(-2, -1)).real
    phi = -2.0 * (by_matrix * matrices)[..., 0].sum(axis=-1).imag
    # The output phases are the last thing that the light passes.
    behind = (np.conj(weights) * out).reshape(back.shape)
    gamma = -2.0 * behind.sum(axis=1).imag
    theta, phi, gamma = (p[0] if mesh.copies is None else p for p in (theta, phi, gamma))
    return Gradient(theta, phi, gamma, back.reshape(out.shape))


@kernel
def backward(
    matrices: Complex,
    adjoints: Complex,
    column_starts: Indices,
    upper: Indices,
    lower: Indices,
    output: Complex,
    fields: Complex,
    weights: Complex,
    by_matrix: Complex,
    back: Complex,
) -> None:
    """δ from the outputs to the inputs, and its correlation with the light that passes forwards.

    matrices, adjoints : (K, M, 2, 2) T and T†; column_starts : (columns + 1,); output : (K,
    lines); fields : (K or 1, batch, ports) √W; weights : (K, batch, ports) δ behind the mesh.
    Written: by_matrix (K, M, 2, 2), Σ conj(δ_out)ᵢ xⱼ over the batch, added to what is there;
    back (K, batch, ports) δ at the inputs.
    """
    columns, lines = column_starts.size - 1, output.shape[1]
    batch = back.shape[1]
    kept = np.empty((columns, lines, 2, _VECTORS))  # the light before every column
    light, delta = np.zeros((lines, 2, _VECTORS)), np.zeros((lines, 2, _VECTORS))
    for k in range(matrices.shape[0]):
        for start in range(0, batch, _VECTORS):
            block = slice(start, min(start + _VECTORS, batch))
            # Vectors beyond a last, shorter block must not count.
            light[:], delta[:] = 0.0, 0.0
            load(fields[k % fields.shape[0], block], light)
            load(weights[k, block], delta)
            for c in range(columns):
                kept[c] = light
                here = slice(column_starts[c], column_starts[c + 1])
                sweep(matrices[k, here], upper[here], lower[here], light, 0, lines - 1)
            scale(np.conj(output[k]), delta)
            for c in range(columns - 1, -1, -1):
                here = slice(column_starts[c], column_starts[c + 1])
                for m in range(here.start, here.stop):
                    correlate(delta, kept[c], upper[m], lower[m], by_matrix[k, m])
                sweep(adjoints[k, here], upper[here], lower[here], delta, 0, lines - 1)
            store(delta, back[k, block])


@kernel
def correlate(delta: Array, light: Array, u: int, v: int, total: Complex) -> None:
    """total (2, 2) += Σ conj(δ)ᵢ xⱼ over the vectors of lines u and v; (lines, 2, vectors)."""
    a, b, c, d = delta[u, 0], delta[u, 1], delta[v, 0], delta[v, 1]
    e, f, g, h = light[u, 0], light[u, 1], light[v, 0], light[v, 1]
    # Eight sums side by side: each addition waits for the one before in its own sum only.
    uu, ui, uv, uj, vu, vi, vv, vj = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for n in range(a.size):
        uu += a[n] * e[n] + b[n] * f[n]
        ui += a[n] * f[n] - b[n] * e[n]
        uv += a[n] * g[n] + b[n] * h[n]
        uj += a[n] * h[n] - b[n] * g[n]
        vu += c[n] * e[n] + d[n] * f[n]
        vi += c[n] * f[n] - d[n] * e[n]
        vv += c[n] * g[n] + d[n] * h[n]
        vj += c[n] * h[n] - d[n] * g[n]
    total[0, 0] += complex(uu, ui)
    total[0, 1] += complex(uv, uj)
    total[1, 0] += complex(vu, vi)
    total[1, 1] += complex(vv, vj)
