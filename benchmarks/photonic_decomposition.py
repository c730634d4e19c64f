"""Time of decomposing a unitary matrix into a rectangular mesh, against Python implementations.

The reference embeds every 2 × 2 rotation in an N × N matrix and multiplies, as the common Python
implementations do; it is written here. The package ``interferometer`` is measured if it can be
imported. Times are CPU times of one thread, medians of repeats in one process.

    OPENBLAS_NUM_THREADS=1 python benchmarks/photonic_decomposition.py
"""

import importlib
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from zerohm.photonics import Mesh, clements, decompose
from zerohm.photonics.correction import correct

SIZES = (16, 64, 256)
LARGEST_FOR_PYTHON = 64  # the reference needs O(N⁵) operations: hours at N = 256

Complex = NDArray[np.complex128]


def haar(ports: int) -> Complex:
    """A random unitary matrix."""
    normal = np.random.default_rng(ports).standard_normal((2, ports, ports))
    q, r = np.linalg.qr(normal[0] + 1j * normal[1])
    unitary: Complex = q * np.exp(1j * np.angle(np.diag(r)))
    return unitary


def embedded(ports: int, upper: int, theta: float, phi: float) -> Complex:
    """One MZI as an N × N matrix."""
    cell = np.eye(ports, dtype=complex)
    s, c, turn = np.sin(theta / 2), np.cos(theta / 2), np.exp(1j * phi)
    mzi = 1j * np.exp(0.5j * theta) * np.array([[turn * s, c], [turn * c, -s]])
    cell[upper : upper + 2, upper : upper + 2] = mzi
    return cell


def dense(unitary: Complex) -> float:
    """Nulling with embedded matrices; returns what is left off the diagonal."""
    matrix, ports = unitary.copy(), len(unitary)
    for diagonal in range(1, ports):
        for j in range(diagonal):
            if diagonal % 2:
                row, column = ports - 1 - j, diagonal - 1 - j
                u, v = matrix[row, column], matrix[row, column + 1]
                phi = np.angle(u) - np.angle(v) - np.pi
                cell = embedded(ports, column, 2 * np.arctan2(abs(v), abs(u)), phi)
                matrix = matrix @ cell.conj().T
            else:
                row, column = ports - diagonal + j, j
                x, y = matrix[row - 1, column], matrix[row, column]
                phi = np.angle(y) - np.angle(x)
                cell = embedded(ports, row - 1, 2 * np.arctan2(abs(x), abs(y)), phi)
                matrix = cell @ matrix
    return float(np.abs(matrix - np.diag(np.diag(matrix))).max())


def median(function: Callable[[], object], repeats: int) -> float:
    """Median CPU time in s."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return float(np.median(times))


def peer() -> Callable[[Complex], object] | None:
    """The decomposition of the package ``interferometer``, or None if it is not installed."""
    try:
        package = importlib.import_module("interferometer")
    except ImportError:
        return None
    decomposition: Callable[[Complex], object] = package.square_decomposition
    return decomposition


def main() -> None:
    """Print times, ratios and round-trip errors."""
    other = peer()
    for ports in SIZES:
        unitary, layout = haar(ports), clements(ports)
        phases = decompose(unitary, layout)
        made = Mesh(layout, *phases).matrix()
        ours = median(partial(decompose, unitary, layout), 7 if ports > 64 else 51)
        norm, largest = np.linalg.norm(made - unitary), np.abs(made - unitary).max()
        print(f"N = {ports}: {1e3 * ours:.3f} ms, round trip ‖ΔU‖ = {norm:.1e}, max {largest:.1e}")
        errors = 0.02 * np.random.default_rng(0).standard_normal((2, layout.mzis))
        correction = partial(correct, phases, layout, first_error=errors[0], second_error=errors[1])
        correction()  # compiles
        corrected = median(correction, 7)
        print(f"    error correction {1e3 * corrected:.3f} ms")
        if ports > LARGEST_FOR_PYTHON:
            continue
        assert dense(unitary) < 1e-12
        reference = median(partial(dense, unitary), 1)
        print(f"    embedded matrices {1e3 * reference:.0f} ms, ratio {reference / ours:.0f}")
        if other is None:
            print("    interferometer not measured (not installed)")
        else:
            theirs = median(partial(other, unitary), 1)
            print(f"    interferometer {1e3 * theirs:.0f} ms, ratio {theirs / ours:.0f}")


if __name__ == "__main__":
    main()
