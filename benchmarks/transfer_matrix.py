"""Time of an exact transfer matrix against a sparse direct solution, and of using it.

Cells log-uniform in 1e-6 to 1e-4 S, wire segments of 1 Ω; everything in turn in one process and
on one thread, and the medians of the ratios are printed:

* building T by hierarchical merging, against factoring the nodal matrix with scipy's splu (with
  the ordering for symmetric matrices, its fastest here) and solving for every driver or every
  sense node, whichever are fewer (by reciprocity both give T),
* a batch of 1024 inputs through T, against the plain matrix product with the conductances.

    OPENBLAS_NUM_THREADS=1 python benchmarks/transfer_matrix.py
"""

import time
from collections.abc import Callable

import numpy as np
import scipy.sparse as sparse
from scipy.sparse.linalg import splu
from threadpoolctl import threadpool_limits

from zerohm.crossbar.solvers.hierarchical import transfer_matrix

SHAPES = ((64, 64), (128, 128), (128, 32), (256, 256))
BATCH, REPEATS, SEGMENT = 1024, 5, 1.0


def main() -> None:
    """Print one line for every shape."""
    rng = np.random.default_rng(0)
    transfer_matrix(np.ones((1, 1)), SEGMENT, SEGMENT)  # compiles the kernel
    print("shape      splu s  transfer s  splu/transfer  error    product ms  T product/product")
    for shape in SHAPES:
        conductance = 10.0 ** rng.uniform(-6, -4, shape)
        voltages = rng.uniform(0, 0.2, (BATCH, shape[0]))
        by_splu, by_merging = direct_transfer(conductance), transfer_matrix(conductance, 1.0, 1.0)
        error = np.abs(by_merging - by_splu).max() / by_splu.max()
        splu_s, transfer_s = interleaved(
            lambda g=conductance: direct_transfer(g),
            lambda g=conductance: transfer_matrix(g, SEGMENT, SEGMENT),
        )
        product_s, exact_s = interleaved(
            lambda v=voltages, g=conductance: v @ g,
            lambda v=voltages, t=by_merging: v @ t.T,
            repeats=20 * REPEATS,
        )
        print(
            f"{shape[0]:4d}×{shape[1]:<4d}  {np.median(splu_s):6.3f}  {np.median(transfer_s):10.4f}"
            f"  {np.median(splu_s / transfer_s):13.1f}  {error:.1e}"
            f"  {1e3 * np.median(product_s):10.2f}  {np.median(exact_s / product_s):17.2f}"
        )


def interleaved(
    one: Callable[[], object], other: Callable[[], object], repeats: int = REPEATS
) -> tuple[np.ndarray, np.ndarray]:
    """CPU seconds of two functions called in turn."""
    seconds = np.empty((repeats, 2))
    for run in seconds:
        for k, function in enumerate((one, other)):
            start = time.process_time()
            function()
            run[k] = time.process_time() - start
    return seconds[:, 0], seconds[:, 1]


def direct_transfer(conductance: np.ndarray) -> np.ndarray:
    """T (cols, rows) from the sparse nodal matrix of all nodes, segments of ``SEGMENT`` Ω."""
    rows, cols = conductance.shape
    word, bit = np.arange(2 * rows * cols).reshape(2, rows, cols)
    wire = 1 / SEGMENT
    pairs = [
        (word, bit, conductance),
        (word[:, :-1], word[:, 1:], np.full((rows, cols - 1), wire)),
        (bit[:-1], bit[1:], np.full((rows - 1, cols), wire)),
    ]
    start, end, between = (np.concatenate([np.ravel(p[k]) for p in pairs]) for k in range(3))
    drivers, sense = word[:, 0], bit[-1]
    held = np.concatenate((drivers, sense))
    at = np.concatenate((start, end, start, end, held))
    to = np.concatenate((start, end, end, start, held))
    value = np.concatenate((between, between, -between, -between, np.full(len(held), wire)))
    nodal = sparse.csc_matrix((value, (at, to)))
    solver = splu(
        nodal,
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )
    few, many = (drivers, sense) if rows <= cols else (sense, drivers)
    given = np.zeros((word.size + bit.size, len(few)))
    given[few, np.arange(len(few))] = wire
    currents = wire * solver.solve(given)[many]
    return currents if rows <= cols else currents.T


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
