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
    """∂L/∂E* by the input fields, in the shape of the output fields, 1/√W."""


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
    expected = mesh.propagate(given).shape
    weights = np.require(output_gradient, np.complex128, ("C", "W"))
    if weights.shape != expected:
        raise InputError(f"output_gradient has shape {weights.shape}, the output {expected}")
    if not np.isfinite(weights).all():
        raise InputError("output_gradient must be finite")
    layout, matrices, output = mesh.layout, mesh.matrices(), mesh.output_factors()
    lead, lines, batch = len(matrices), layout.lines, given.shape[-2] if given.ndim > 1 else 1
    require_memory(
        16.0 * _VECTORS * layout.columns * lines, f"a gradient of {layout}", "take fewer ports"
    )
    by_matrix = np.zeros_like(matrices)
    by_output = np.zeros((lead, layout.ports), np.complex128)
    back = np.empty((lead, batch, layout.ports), np.complex128)
    backward(
        matrices,
        np.conj(np.swapaxes(matrices, -1, -2)).copy(),
        layout.column_starts,
        layout.upper,
        layout.lower,
        output,
        given.reshape(-1, batch, layout.ports),
        weights.reshape(back.shape),
        by_matrix,
        by_output,
        back,
    )
    by_phi = 1j * (by_matrix * matrices)[..., 0].sum(axis=-1)
    parts = ((by_matrix * mesh.matrix_slopes()).sum(axis=(-2, -1)), by_phi, 1j * by_output)
    theta, phi, gamma = (2.0 * (p[0] if mesh.copies is None else p).real for p in parts)
    return Gradient(theta, phi, gamma, back.reshape(expected))


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
    by_output: Complex,
    back: Complex,
) -> None:
    """δ from the outputs to the inputs, and its correlation with the light that passes forwards.

    matrices, adjoints : (K, M, 2, 2) T and T†; column_starts : (columns + 1,); output : (K,
    lines); fields : (K or 1, batch, ports) √W; weights : (K, batch, ports) δ behind the mesh.
    Written: by_matrix (K, M, 2, 2) Σ conj(δ_out)ᵢ xⱼ and by_output (K, ports) Σ conj(δ) x behind
    the mesh, both summed over the batch and added to what is there; back (K, batch, ports) δ at
    the inputs.
    """
    columns, lines = column_starts.size - 1, output.shape[1]
    batch, ports = back.shape[1:]
    lanes = np.empty((2, 8))
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
            scale(output[k], light)
            for i in range(ports):
                by_output[k, i] += correlation(delta[i], light[i], lanes)
            scale(np.conj(output[k]), delta)
            for c in range(columns - 1, -1, -1):
                here = slice(column_starts[c], column_starts[c + 1])
                for m in range(here.start, here.stop):
                    for i, out_line in enumerate((upper[m], lower[m])):
                        for j, in_line in enumerate((upper[m], lower[m])):
                            by_matrix[k, m, i, j] += correlation(delta[out_line], kept[c, in_line], lanes)
                sweep(adjoints[k, here], upper[here], lower[here], delta, 0, lines - 1)
            store(delta, back[k, block])


@kernel
def correlation(delta: Array, light: Array, lanes: Array) -> complex:
    """Σ conj(δ) x over the vectors of one line; both (2, vectors), real and imaginary parts.

    lanes : (2, 8) scratch: eight partial sums at once, in a fixed order.
    """
    lanes[:] = 0.0
    re, im = lanes[0], lanes[1]
    dr, di, xr, xi = delta[0], delta[1], light[0], light[1]
    for start in range(0, xr.size, 8):
        for n in range(8):
            j = start + n
            re[n] += dr[j] * xr[j] + di[j] * xi[j]
            im[n] += dr[j] * xi[j] - di[j] * xr[j]
    return complex(re.sum(), im.sum())
