"""Time of a noisy, digitised crossbar read against the plain float32 matrix product.

A 784 × 256 array, 1024 input vectors, state-dependent read noise (Falcone2025) and 8-bit
converters; both are measured in turn in one process, and the median of the ratios is printed.

    python benchmarks/crossbar_read.py
"""

import time

import numpy as np

import zerohm as zo

ROWS, COLUMNS, BATCH, REPEATS = 784, 256, 1024, 50


def main() -> None:
    """Print the ratio."""
    rng = np.random.default_rng(0)
    cell = zo.devices.preset("Falcone2025")
    array = zo.crossbar.Crossbar(
        cell,
        shape=(ROWS, COLUMNS),
        dac=zo.crossbar.DAC(bits=8),
        adc=zo.crossbar.ADC(bits=8),
        dtype=np.float32,
        seed=1,
    )
    array.program(rng.uniform(cell.conductance_min, cell.conductance_max, (ROWS, COLUMNS)))
    voltages = rng.uniform(0, 0.2, (BATCH, ROWS)).astype(np.float32)
    matrix = array.conductance
    array.read(voltages)  # compiles the kernels
    products, reads = [], []
    for _ in range(REPEATS):
        start = time.perf_counter()
        voltages @ matrix
        middle = time.perf_counter()
        array.read(voltages)
        products.append(middle - start)
        reads.append(time.perf_counter() - middle)
    ratios = np.array(reads) / np.array(products)
    low, median, high = np.percentile(ratios, [25, 50, 75])
    product, read = 1e3 * np.median(products), 1e3 * np.median(reads)
    print(f"matrix product {product:.2f} ms, read {read:.2f} ms")
    print(f"ratio {median:.2f} (quartiles {low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
