"""Arithmetic of decomposing a unitary matrix into Mach–Zehnder interferometers (MZIs).

Two operations make up every method: nulling, which strips one MZI from the input side (``right``)
or the output side (left) of a matrix, and carrying phases, which moves the phases that no MZI
can hold towards the outputs. Phases are in rad.
"""

import numpy as np
from numpy.typing import NDArray

from zerohm._arrays import Array
from zerohm._jit import kernel

from .kernels import Indices, mzi

Flags = NDArray[np.bool_]

NEGLIGIBLE = 1e-14
"""Amplitude below which an element of a unitary matrix counts as zero: rounding, not light."""


@kernel
def wrapped(phase: float) -> float:
    """The phase in [0, 2π)."""
    turned = phase - 2 * np.pi * np.floor(phase / (2 * np.pi))
    return turned if 0.0 <= turned < 2 * np.pi else 0.0


@kernel
def carry_phases(
    upper: Indices,
    lower: Indices,
    theta: Array,
    phi: Array,
    after: Array,
    line: Array,
    canonical: bool,
) -> None:
    """Move phases with the light until external and output phases hold them all, in place.

    Any MZI T(φ) = T(0) diag(exp(iφ), 1) behind lines with phases p, q obeys
    T(φ) diag(exp(ip), exp(iq)) = exp(iq) T(φ + p − q), whatever T(0) is.

    upper, lower, theta, phi : (M,) in the order of light; after : (M, 2) phases that stand behind
    the upper and the lower output of an MZI, taken up; line : (lines,) phases at the inputs, on
    return the output phases. canonical : where θ is exactly 0 or π, φ also only moves through
    and becomes 0 (for ideal couplers only).
    """
    for m in range(upper.size):
        u, v = upper[m], lower[m]
        external, common = phi[m] + line[u] - line[v], line[v]
        behind_u, behind_v = common + after[m, 0], common + after[m, 1]
        if canonical and theta[m] == np.pi:
            behind_u, external = behind_u + external, 0.0
        elif canonical and theta[m] == 0.0:
            behind_v, external = behind_v + external, 0.0
        phi[m], line[u], line[v] = wrapped(external), wrapped(behind_u), wrapped(behind_v)
    for j in range(line.size):
        line[j] = wrapped(line[j])


@kernel
def clements_sequence(ports: int) -> tuple[Flags, Indices, Indices]:
    """Side (M,), row and column of the elements to be nulled: anti-diagonals, sides in turn."""
    count = ports * (ports - 1) // 2
    right = np.empty(count, np.bool_)
    row, column = np.empty(count, np.int64), np.empty(count, np.int64)
    k = 0
    for diagonal in range(1, ports):
        for j in range(diagonal):
            place = diagonal - 1 - j if diagonal % 2 else j
            right[k], column[k], row[k] = diagonal % 2 == 1, place, ports - diagonal + place
            k += 1
    return right, row, column


@kernel
def reck_sequence(ports: int) -> tuple[Flags, Indices, Indices]:
    """The same for a triangle with most MZIs on the last two lines: column by column, upwards."""
    count = ports * (ports - 1) // 2
    right = np.zeros(count, np.bool_)
    row, column = np.empty(count, np.int64), np.empty(count, np.int64)
    k = 0
    for c in range(ports - 1):
        for r in range(ports - 1, c, -1):
            row[k], column[k] = r, c
            k += 1
    return right, row, column


@kernel
def places(upper: Indices, right: Flags, row: Indices, column: Indices) -> Indices:
    """(M,) number of the MZI that each nulling strips, in a mesh of neighbouring lines.

    upper : (M,) of the mesh in the order of light. Nullings from the right take the MZIs of a pair
    of lines from the input side on, nullings from the left from the output side.
    """
    pairs = upper.max() + 1 if upper.size else 0
    start = np.zeros(pairs + 1, np.int64)
    for m in range(upper.size):
        start[upper[m] + 1] += 1
    start = np.cumsum(start)
    by_pair, filled = np.empty(upper.size, np.int64), start.copy()
    for m in range(upper.size):
        by_pair[filled[upper[m]]] = m
        filled[upper[m]] += 1
    first, last = start[:-1].copy(), start[1:] - 1
    place = np.empty(upper.size, np.int64)
    for k in range(upper.size):
        pair = column[k] if right[k] else row[k] - 1
        if right[k]:
            place[k] = by_pair[first[pair]]
            first[pair] += 1
        else:
            place[k] = by_pair[last[pair]]
            last[pair] -= 1
    return place


@kernel
def nulling_cell(nulled: complex, partner: complex) -> tuple[float, float, complex]:
    """sin(θ/2), cos(θ/2) and exp(iφ) of the MZI that sends ``nulled`` to its partner's line.

    tan(θ/2) = |partner|/|nulled| and φ = arg nulled − arg partner; 0 where φ has no effect.
    """
    # Not abs: it guards against overflow, which elements of a unitary matrix do not need.
    size = np.sqrt(nulled.real**2 + nulled.imag**2)
    other = np.sqrt(partner.real**2 + partner.imag**2)
    if size <= NEGLIGIBLE:
        return 1.0, 0.0, 1.0 + 0.0j
    if other <= NEGLIGIBLE:
        return 0.0, 1.0, 1.0 + 0.0j
    total = np.sqrt(size**2 + other**2)
    return other / total, size / total, nulled * partner.conjugate() / (size * other)


@kernel
def rotate_rows(
    re: Array,
    im: Array,
    upper: int,
    lower: int,
    start: int,
    stop: int,
    s: float,
    c: float,
    external: complex,
) -> None:
    """Two rows of a matrix become T(θ, φ) times them, from column ``start`` to before ``stop``."""
    common = complex(-s, c)  # i exp(iθ/2)
    a, b, d = common * external * s, common * c, common * external * c
    e = -common * s
    ur, ui, vr, vi = re[upper], im[upper], re[lower], im[lower]
    for j in range(start, stop):
        xr, xi, yr, yi = ur[j], ui[j], vr[j], vi[j]
        ur[j] = a.real * xr - a.imag * xi + b.real * yr - b.imag * yi
        ui[j] = a.real * xi + a.imag * xr + b.real * yi + b.imag * yr
        vr[j] = d.real * xr - d.imag * xi + e.real * yr - e.imag * yi
        vi[j] = d.real * xi + d.imag * xr + e.real * yi + e.imag * yr


@kernel
def rotate_columns(
    re: Array, im: Array, upper: int, stop: int, s: float, c: float, external: complex
) -> None:
    """Columns upper, upper+1 of a matrix become the columns times T(θ, φ)†, in rows < stop."""
    common = complex(-s, -c)  # conjugate of i exp(iθ/2)
    a, b = common * external.conjugate() * s, common * external.conjugate() * c
    d, e = common * c, -common * s
    for i in range(stop):
        xr, xi, yr, yi = re[i, upper], im[i, upper], re[i, upper + 1], im[i, upper + 1]
        re[i, upper] = a.real * xr - a.imag * xi + d.real * yr - d.imag * yi
        im[i, upper] = a.real * xi + a.imag * xr + d.real * yi + d.imag * yr
        re[i, upper + 1] = b.real * xr - b.imag * xi + e.real * yr - e.imag * yi
        im[i, upper + 1] = b.real * xi + b.imag * xr + e.real * yi + e.imag * yr


@kernel
def null(
    re: Array,
    im: Array,
    right: Flags,
    row: Indices,
    column: Indices,
    mzi: Indices,
    upper: Indices,
    theta: Array,
    phi: Array,
    after: Array,
    line: Array,
) -> None:
    """Strip the MZIs off a matrix; what carry_phases takes is written for every stripped MZI.

    re, im : (N, N or more) unitary matrix in the first N columns, destroyed. right, row, column,
    mzi : sequence of nullings. upper, theta, phi : (M,), after : (M, 2), line : (lines,) of the
    mesh. A left MZI stands in the product as T† = −exp(−iθ) diag(exp(−iφ), 1) T(θ, 0); the
    diagonal matrix that remains stands behind the last right MZI of every line.
    """
    ports = re.shape[0]
    last = np.full(ports, -1)
    for k in range(row.size):
        r, q, m = row[k], column[k], mzi[k]
        nulled = complex(re[r, q], im[r, q])
        if right[k]:
            s, c, external = nulling_cell(nulled, -complex(re[r, q + 1], im[r, q + 1]))
            rotate_columns(re, im, q, r + 1, s, c, external)
            theta[m], phi[m] = 2 * np.arctan2(s, c), np.arctan2(external.imag, external.real)
            after[m] = 0.0
            last[q], last[q + 1] = m, m
        else:
            s, c, external = nulling_cell(nulled, complex(re[r - 1, q], im[r - 1, q]))
            rotate_rows(re, im, r - 1, r, q, ports, s, c, external)
            theta[m], phi[m] = 2 * np.arctan2(s, c), 0.0
            after[m, 1] = np.pi - theta[m]
            after[m, 0] = after[m, 1] - np.arctan2(external.imag, external.real)
    for j in range(ports):
        remaining = np.arctan2(im[j, j], re[j, j])
        if last[j] < 0:
            line[j] += remaining
        else:
            after[last[j], 0 if upper[last[j]] == j else 1] += remaining


@kernel
def null_butterfly(
    re: Array,
    im: Array,
    upper: Indices,
    lower: Indices,
    theta: Array,
    after: Array,
    line: Array,
) -> None:
    """The same for a butterfly: columns from the outputs on, whole blocks of elements at a time.

    re, im : as there, on return diagonal if it was a butterfly. In front of its MZI a line
    carries light of a block of inputs only: φ and θ are those that bring the light of either
    block together on one line.
    """
    for m in range(upper.size - 1, -1, -1):
        u, v = upper[m], lower[m]
        size = v - u
        begin = u - u % size
        bar, cross, overlap = 0.0, 0.0, 0.0j
        for j in range(begin, begin + size):
            to_u, to_v = complex(re[u, j], im[u, j]), complex(re[v, j], im[v, j])
            bar, cross = bar + abs(to_u) ** 2, cross + abs(to_v) ** 2
            overlap += to_v * to_u.conjugate()
        for j in range(begin + size, begin + 2 * size):
            to_u, to_v = complex(re[u, j], im[u, j]), complex(re[v, j], im[v, j])
            bar, cross = bar + abs(to_v) ** 2, cross + abs(to_u) ** 2
            overlap -= to_v * to_u.conjugate()
        turn = overlap / abs(overlap) if abs(overlap) > 0.0 else 1.0 + 0.0j
        s, c, external = nulling_cell(turn * np.sqrt(cross), complex(np.sqrt(bar), 0.0))
        rotate_rows(re, im, u, v, begin, begin + 2 * size, s, c, external)
        theta[m] = 2 * np.arctan2(s, c)
        after[m, 1] = np.pi - theta[m]
        after[m, 0] = after[m, 1] - np.arctan2(external.imag, external.real)
    for j in range(line.size):
        line[j] = np.arctan2(im[j, j], re[j, j])


@kernel
def match_mzis(
    theta: Array, phi: Array, after: Array, first_error: Array, second_error: Array
) -> Flags:
    """Turn phases of ideal MZIs into those of MZIs with coupler errors, in place.

    theta, phi : (M,); after : (M, 2), phases behind the outputs, added to; first_error a,
    second_error b : (M,) rad. Returns (M,) where the splitting ratio cannot be reached.
    """
    unreachable = np.zeros(theta.size, np.bool_)
    for m in range(theta.size):
        a, b, half = first_error[m], second_error[m], wrapped(theta[m]) / 2
        # Numerators of sin²(θ'/2) and cos²(θ'/2); their sum is cos 2a cos 2b > 0.
        bar = np.sin(half + a + b) * np.sin(half - a - b)
        cross = np.cos(half + a - b) * np.cos(half - a + b)
        unreachable[m] = min(bar, cross) < -1e-15
        theta[m] = 2 * np.arctan2(np.sqrt(max(bar, 0.0)), np.sqrt(max(cross, 0.0)))
        t00, t01, t10, t11 = mzi(theta[m], 0.0, a, b)
        straight = np.pi / 2 + half  # argument of T00 of the ideal MZI at φ = 0
        crossing = straight if half <= np.pi / 2 else straight + np.pi
        # The four equations agree, but an element of modulus 0 has no argument.
        if abs(t00) <= NEGLIGIBLE:
            turn, behind_upper = 0.0, crossing - np.angle(t01)
        elif abs(t01) <= NEGLIGIBLE:
            turn, behind_upper = 0.0, straight - np.angle(t00)
        else:
            behind_upper = crossing - np.angle(t01)
            turn = straight - np.angle(t00) - behind_upper
        if abs(t10) >= abs(t11):
            behind_lower = crossing - np.angle(t10) - turn
        else:
            behind_lower = straight + np.pi - np.angle(t11)
        phi[m] += turn
        after[m, 0] += behind_upper
        after[m, 1] += behind_lower
    return unreachable
