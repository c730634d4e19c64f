"""What it costs to let cells live in time.

First one step of 10⁶ cells with relaxation, drift, 1/f and telegraph noise against one Gaussian
number for each of them. Then the read of ``crossbar_read.py`` (784 × 256 cells, 1024 vectors,
white read noise and 8-bit converters) for cells that also have 1/f and telegraph noise, against
the same read for cells that have white noise alone: without and with a step of time before every
batch. All are measured in turn in one process; ratios are medians.

    python benchmarks/cells_in_time.py
"""

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

import zerohm as zo

CELLS, STEPS = 1_000_000, 7
ROWS, COLUMNS, BATCH, READS = 784, 256, 1024, 30
NOISE = {
    # Nine decades in frequency, from hours to the bandwidth of a read of 1 µs.
    "flicker_noise": zo.devices.FlickerNoise(
        amplitude=1e-5, frequency_min=1e-4, frequency_max=1e5, amplitude_spread=0.5
    ),
    "telegraph_noise": zo.devices.TelegraphNoise(
        amplitude=0.02, capture_time_s=0.3, emission_time_s=0.1, sites=2, trap_probability=0.3
    ),
}
SLOW = {
    "relaxation": zo.devices.Relaxation(
        variance_per_decade=1e-12, onset_s=1e-3, tail_decades=1.0, volatility_spread=0.5
    ),
    "drift": zo.devices.LogarithmicDrift(
        mean_slope=-0.089e-6, mean_onset_s=1.0, spread_slope=0.042e-6, spread_onset_s=55e-6
    ),
}


def in_turn(repeats: int, *actions: Callable[[], object]) -> list[float]:
    """Median time of each action in ms; all run once before, which compiles their kernels."""
    for action in actions:
        action()
    times = np.empty((repeats, len(actions)))
    for row in times:
        for column, action in enumerate(actions):
            start = time.perf_counter()
            action()
            row[column] = time.perf_counter() - start
    return list(1e3 * np.median(times, axis=0))


def step(dtype: type[np.floating]) -> None:
    """Print what a step of all parts costs."""
    rng = np.random.Generator(np.random.Philox(0))
    cell = replace(zo.devices.preset("Falcone2025"), **SLOW, **NOISE)
    cells = zo.devices.Cells(cell, (CELLS,))
    low, high = cell.conductance_min, cell.conductance_max
    cells.program(rng.uniform(low, high, CELLS).astype(dtype), rng)
    stepped, drawn = in_turn(
        STEPS, lambda: cells.advance(1.0, rng), lambda: rng.standard_normal(CELLS)
    )
    print(
        f"step of 10⁶ cells, {dtype.__name__}: {stepped:.0f} ms, Gaussian draw {drawn:.1f} ms, "
        f"ratio {stepped / drawn:.1f}"
    )


def read() -> None:
    """Print what reading fluctuating cells costs."""
    rng = np.random.Generator(np.random.Philox(0))
    white = zo.devices.preset("Falcone2025")
    targets = rng.uniform(white.conductance_min, white.conductance_max, (ROWS, COLUMNS))
    voltages = rng.uniform(0, 0.2, (BATCH, ROWS)).astype(np.float32)
    arrays = []
    for cell in (white, replace(white, **NOISE)):
        array = zo.crossbar.Crossbar(
            cell,
            shape=(ROWS, COLUMNS),
            dac=zo.crossbar.DAC(bits=8),
            adc=zo.crossbar.ADC(bits=8),
            dtype=np.float32,
            seed=1,
        )
        array.program(targets)
        arrays.append(array)
    plain, fluctuating = arrays

    def moved() -> None:
        fluctuating.advance(BATCH * fluctuating.read_duration)
        fluctuating.read(voltages)

    times = in_turn(READS, lambda: plain.read(voltages), lambda: fluctuating.read(voltages), moved)
    print(
        f"read with white noise {times[0]:.1f} ms; of fluctuating cells {times[1]:.1f} ms, ratio "
        f"{times[1] / times[0]:.2f}; with a step of time before it {times[2]:.1f} ms, ratio "
        f"{times[2] / times[0]:.2f}"
    )


def main() -> None:
    """Print all ratios."""
    step(np.float64)
    step(np.float32)
    read()


if __name__ == "__main__":
    main()
