"""Time of sending a batch through a mesh against plain complex matrix products.

Clements meshes with random phases, 1000 random vectors, everything in turn in one process and on
one thread; medians of the CPU times relative to the product of the batch with a matrix that is
there already, in the same precision:

* columns: through the columns of MZIs, one vector at a time,
* propagate: what ``Mesh.propagate`` does after a change of the phases (for this batch it computes
  the coefficients, builds the matrix and multiplies),
* again: ``Mesh.propagate`` once more with the same phases,

and in ms the matrices of the MZIs, the transfer matrix from them, and the gradient by all phases.
The break-even is the batch per port above which building the matrix pays. Peers are measured
where they are installed.

    OPENBLAS_NUM_THREADS=1 python benchmarks/photonic_propagation.py
"""

import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from scipy.stats import unitary_group
from threadpoolctl import threadpool_limits

from zerohm.photonics import Mesh, clements, gradient, kernels

PORTS = (16, 64, 128, 256)
PEER_PORTS = (16, 64)  # preparing a mesh of 256 ports takes them minutes
BATCH, REPEATS = 1000, 21


def main() -> None:
    """Print a line for every size and precision, then the peers."""
    print(
        "ports  dtype       product ms  columns/product  propagate/product  again/product  "
        "MZIs ms  matrix ms  gradient ms  break-even B/N"
    )
    for ports in PORTS:
        for dtype in (np.complex128, np.complex64):
            compare(ports, dtype)
    for peer, forward in PEERS.items():
        report(peer, forward)


def compare(ports: int, dtype: type) -> None:
    """One line of the table."""
    rng = np.random.default_rng(0)
    mesh = random_mesh(ports, rng)
    fields = random_fields(ports, rng).astype(dtype)
    plain = np.ascontiguousarray(mesh.matrix().T, dtype)
    matrices = mesh.matrices()
    output = mesh.output_factors()
    lines = (mesh.layout.upper, mesh.layout.lower)
    single = (matrices.astype(dtype), *lines, output.astype(dtype))
    out, transfer = np.empty((1, BATCH, ports), dtype), np.empty((1, ports, ports), complex)
    seconds = interleaved(
        {
            "product": lambda: fields @ plain,
            "columns": lambda: kernels.propagate(*single, fields[None], out, 0, BATCH),
            "propagate": lambda: mesh.with_phases().propagate(fields),
            "again": lambda: mesh.propagate(fields),
            "MZIs": mesh.matrices,
            "matrix": lambda: kernels.transfer(matrices, *lines, output, transfer),
            "gradient": lambda: gradient(mesh, fields, fields),
        }
    )
    product = seconds["product"]
    ratio = {name: value / product for name, value in seconds.items()}
    even = seconds["matrix"] / (seconds["columns"] - product) * BATCH / ports
    print(
        f"{ports:5d}  {np.dtype(dtype).name:10s}  {1e3 * product:10.3f}  {ratio['columns']:15.2f}  "
        f"{ratio['propagate']:17.2f}  {ratio['again']:13.2f}  {1e3 * seconds['MZIs']:7.2f}  "
        f"{1e3 * seconds['matrix']:9.2f}  {1e3 * seconds['gradient']:11.1f}  {even:14.1f}"
    )


def report(peer: str, forward: Callable[[int, np.ndarray], Callable[[], object]]) -> None:
    """Times of a peer relative to ``Mesh.propagate`` after a change of the phases."""
    try:
        import_module(peer)
    except ImportError as error:
        print(f"{peer}: not measured ({error})")
        return
    rng = np.random.default_rng(0)
    for ports in PEER_PORTS:
        fields, mesh = random_fields(ports, rng), random_mesh(ports, rng)
        ours = {"ours": lambda m=mesh, f=fields: m.with_phases().propagate(f)}
        seconds = interleaved({**ours, "peer": forward(ports, fields)}, repeats=5)
        print(f"{peer} at {ports} ports: {seconds['peer'] / seconds['ours']:.0f} times our time")


def neurophox(ports: int, fields: np.ndarray) -> Callable[[], object]:
    """Its numpy path, phases and coefficients prepared beforehand."""
    mesh: Any = import_module("neurophox.numpy").RMNumpy(ports)
    return lambda: mesh.transform(fields)


def simphox(ports: int, fields: np.ndarray) -> Callable[[], object]:
    """Its numpy path, the mesh decomposed beforehand."""
    unitary = unitary_group.rvs(ports, random_state=0)
    mesh: Any = import_module("simphox.circuit").rectangular(unitary)
    return lambda: mesh.matrix_fn(inputs=fields.T)(mesh.params)


PEERS = {"neurophox": neurophox, "simphox": simphox}


def random_mesh(ports: int, rng: np.random.Generator) -> Mesh:
    """A Clements mesh with uniform phases."""
    layout = clements(ports)
    sizes = (layout.mzis, layout.mzis, ports)
    return Mesh(layout, *(rng.uniform(0.0, 2.0 * np.pi, size) for size in sizes))


def random_fields(ports: int, rng: np.random.Generator) -> np.ndarray:
    """(BATCH, ports) complex128."""
    return rng.standard_normal((BATCH, ports)) + 1j * rng.standard_normal((BATCH, ports))


def interleaved(
    functions: dict[str, Callable[[], object]], repeats: int = REPEATS
) -> dict[str, float]:
    """Median CPU seconds of functions called in turn, each time the second of two calls."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            function()  # whatever ran before has filled the caches
            start = time.process_time()
            function()
            seconds[name].append(time.process_time() - start)
    return {name: float(np.median(values)) for name, values in seconds.items()}


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
