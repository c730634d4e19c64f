"""Light through a mesh of Mach–Zehnder interferometers (MZIs), on plain arrays.

Everything about a mesh is in the 2 × 2 matrices of its MZIs, losses included, and in one factor
per output: the kernels know no phases. A batch passes the columns in blocks of ``BLOCK`` vectors
whose real and imaginary parts lie line by line in a scratch (lines, 2, BLOCK) that stays in the
cache, so that the inner loop over the vectors is plain arithmetic on contiguous memory. A vector's
arithmetic does not depend on its neighbours: any split of a batch gives the same bits.

Arrays have a leading axis of K copies (chips, perturbed phases). Indices: ``upper``, ``lower``
(M,) lines of every MZI in the order of light.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerohm._arrays import Array
from zerohm._jit import kernel

Complex = NDArray[np.complexfloating[Any, Any]]
Indices = NDArray[np.int64]

BLOCK = 64  # vectors; 256 lines of them are 256 kB in double precision
_TILE = 16  # vectors that are copied line by line between fields and scratch


@kernel
def two_couplers(
    internal: complex, bar: float, external: complex, c1: float, s1: float, c2: float, s2: float
) -> tuple[complex, complex, complex, complex]:
    """T00, T01, T10, T11 of B₂ diag(internal, bar) B₁ diag(external, 1).

    Bₙ = [[cₙ, i sₙ], [i sₙ, cₙ]] are the couplers, B₁ the one that light passes first. With
    internal = exp(iθ), bar = 1 that is T; with i exp(iθ), 0 it is dT/dθ.
    """
    return (
        external * (c1 * c2 * internal - s1 * s2 * bar),
        1j * (s1 * c2 * internal + c1 * s2 * bar),
        1j * external * (c1 * s2 * internal + s1 * c2 * bar),
        c1 * c2 * bar - s1 * s2 * internal,
    )


@kernel
def mzi(
    theta: float, phi: float, first_error: float, second_error: float
) -> tuple[complex, complex, complex, complex]:
    """T00, T01, T10, T11 of T = B(π/4 + b) P(θ) B(π/4 + a) P(φ), without loss.

    theta, phi (rad): internal and external phase; first_error a, second_error b (rad): of the
    couplers that light passes first and second. B(x) = [[cos x, i sin x], [i sin x, cos x]],
    P(p) = diag(exp(ip), 1).
    """
    first, second = np.pi / 4 + first_error, np.pi / 4 + second_error
    return two_couplers(
        complex(np.cos(theta), np.sin(theta)),
        1.0,
        complex(np.cos(phi), np.sin(phi)),
        np.cos(first),
        np.sin(first),
        np.cos(second),
        np.sin(second),
    )


@kernel
def mzi_matrices(
    internal: Complex, bar: float, external: Complex, couplers: Array, transmission: Array
) -> Complex:
    """(K, M, 2, 2) matrices of all MZIs, or their derivatives: see :func:`two_couplers`.

    internal, external : (K, M) phase factors; couplers : (K, M, 4) c₁, s₁, c₂, s₂; transmission :
    (K, M, 2) amplitude of the way into and through an MZI, by its input line.
    """
    copies, count = internal.shape
    matrices = np.empty((copies, count, 2, 2), np.complex128)
    for k in range(copies):
        for m in range(count):
            c1, s1, c2, s2 = couplers[k, m]
            t00, t01, t10, t11 = two_couplers(internal[k, m], bar, external[k, m], c1, s1, c2, s2)
            from_upper, from_lower = transmission[k, m]
            matrices[k, m, 0, 0], matrices[k, m, 0, 1] = from_upper * t00, from_lower * t01
            matrices[k, m, 1, 0], matrices[k, m, 1, 1] = from_upper * t10, from_lower * t11
    return matrices


@kernel
def load(fields: Complex, scratch: Array) -> None:
    """Fields (vectors, ports) into the scratch; lines beyond the ports are dark."""
    count, ports = fields.shape
    scratch[ports:] = 0.0
    for tile in range(0, count, _TILE):
        for i in range(ports):
            for j in range(tile, min(tile + _TILE, count)):
                scratch[i, 0, j], scratch[i, 1, j] = fields[j, i].real, fields[j, i].imag


@kernel
def store(scratch: Array, fields: Complex) -> None:
    """The first lines of the scratch into fields (vectors, ports)."""
    count, ports = fields.shape
    for tile in range(0, count, _TILE):
        for i in range(ports):
            for j in range(tile, min(tile + _TILE, count)):
                fields[j, i] = complex(scratch[i, 0, j], scratch[i, 1, j])


@kernel
def scale(factors: Complex, scratch: Array) -> None:
    """Every line of the scratch times its factor (lines,), in place."""
    for i in range(factors.size):
        a, b, re, im = factors[i].real, factors[i].imag, scratch[i, 0], scratch[i, 1]
        for j in range(scratch.shape[2]):
            xr, xi = re[j], im[j]
            re[j], im[j] = a * xr - b * xi, a * xi + b * xr


@kernel
def sweep(
    matrices: Complex, upper: Indices, lower: Indices, scratch: Array, first: int, last: int
) -> None:
    """A block of vectors through all columns, in place.

    matrices : (M, 2, 2). Only lines ``first`` to ``last`` carry light in: MZIs that it has not
    reached yet are left out.
    """
    for m in range(upper.size):
        u, v = upper[m], lower[m]
        if v < first or u > last:
            continue
        first, last = min(first, u), max(last, v)
        ur, ui, lr, li = scratch[u, 0], scratch[u, 1], scratch[v, 0], scratch[v, 1]
        a, b = matrices[m, 0, 0].real, matrices[m, 0, 0].imag
        c, d = matrices[m, 0, 1].real, matrices[m, 0, 1].imag
        e, f = matrices[m, 1, 0].real, matrices[m, 1, 0].imag
        g, h = matrices[m, 1, 1].real, matrices[m, 1, 1].imag
        for j in range(scratch.shape[2]):
            xr, xi, yr, yi = ur[j], ui[j], lr[j], li[j]
            ur[j] = (a * xr - b * xi) + (c * yr - d * yi)
            ui[j] = (a * xi + b * xr) + (c * yi + d * yr)
            lr[j] = (e * xr - f * xi) + (g * yr - h * yi)
            li[j] = (e * xi + f * xr) + (g * yi + h * yr)


@kernel
def propagate(
    matrices: Complex,
    upper: Indices,
    lower: Indices,
    output: Complex,
    fields: Complex,
    out: Complex,
    first: int,
    end: int,
) -> None:
    """Vectors ``first`` to ``end`` − 1 of a batch through all columns; ``out`` is written.

    matrices : (K, M, 2, 2) in the dtype of the fields; output : (K, lines) factors after the last
    column; fields : (K, batch, ports) √W, or (1, batch, ports) for all copies; out : (K, batch,
    ports). Lines beyond the ports carry no light in and are not looked at.
    """
    scratch = np.zeros((output.shape[1], 2, BLOCK), output.real.dtype)
    for k in range(out.shape[0]):
        for start in range(first, end, BLOCK):
            block = slice(start, min(start + BLOCK, end))
            load(fields[k % fields.shape[0], block], scratch)
            sweep(matrices[k], upper, lower, scratch, 0, scratch.shape[0] - 1)
            scale(output[k], scratch)
            store(scratch, out[k, block])


@kernel
def transfer(
    matrices: Complex, upper: Indices, lower: Indices, output: Complex, out: Complex
) -> None:
    """The transfer matrices, transposed: ``out[k, j, i]`` (K, ports, ports) is output i for
    input j.

    The other arguments are those of :func:`propagate`, with which this agrees bit by bit.
    """
    copies, ports = out.shape[:2]
    scratch = np.empty((output.shape[1], 2, BLOCK), output.real.dtype)
    for k in range(copies):
        for start in range(0, ports, BLOCK):
            end = min(start + BLOCK, ports)
            scratch[:] = 0.0
            for j in range(start, end):
                scratch[j, 0, j - start] = 1.0
            sweep(matrices[k], upper, lower, scratch, start, end - 1)
            scale(output[k], scratch)
            store(scratch, out[k, start:end])
