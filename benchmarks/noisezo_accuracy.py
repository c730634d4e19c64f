"""Accuracy of NoiseZO on freshly programmed arrays: the table of the documentation.

2 % write noise and 1 % read-back noise per device, 8-bit converters, Wan2022 window; 5 seeds,
median and quartiles, beside backpropagation, a linear classifier and chance. MNIST needs its
files (see zerohm.datasets) and most of the time.

    python benchmarks/noisezo_accuracy.py [--tasks digits,vowel:official,vowel:random,mnist]
"""

import argparse
import time

import numpy as np

from zerohm import sweeps, training

NOISE = {"write_noise": 0.02, "readback_noise": 0.01}
BUDGET = {"digits": 30_000, "vowel": 30_000, "mnist": 32_000, "fashion-mnist": 32_000}


def quartiles(values: np.ndarray) -> str:
    """Median (lower to upper quartile) in percent."""
    low, median, high = 100 * np.percentile(values, [25, 50, 75])
    return f"{median:5.1f} ({low:.1f} to {high:.1f})"


def row(name: str, seeds: range, workers: int) -> str:
    """One line of the table: NoiseZO deployed and master, backpropagation, linear, chance."""
    task, _, split = name.partition(":")
    fixed = {"task": task, "evaluations": 1} | ({"split": split} if split else {})
    grid = {"seed": seeds}
    start = time.perf_counter()
    noisezo = sweeps.run(
        training.experiment, grid, workers=workers, fixed=fixed | NOISE | {"passes": BUDGET[task]}
    )
    seconds = (time.perf_counter() - start) * min(workers, len(seeds)) / len(seeds)
    digital = fixed | {"hardware": "digital", "passes": 8_000}
    backprop, linear = (
        sweeps.run(training.experiment, grid, workers=workers, fixed=digital | {"method": method})
        for method in ("backprop", "linear")
    )
    return (
        f"{name:16} {quartiles(noisezo.deployed_accuracy.values):22} "
        f"{quartiles(noisezo.master_accuracy.values):22} "
        f"{quartiles(backprop.deployed_accuracy.values):22} "
        f"{quartiles(linear.deployed_accuracy.values):22} {100 * noisezo.chance:5.1f} "
        f"{BUDGET[task]:8d} {seconds:7.0f}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", default="digits,vowel:official,vowel:random,mnist")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    print(
        f"{'task':16} {'NoiseZO deployed (%)':22} {'master copy (%)':22} "
        f"{'backpropagation (%)':22} {'linear (%)':22} {'chance':5} {'passes':>8} {'s/run':>6}"
    )
    for name in options.tasks.split(","):
        print(row(name, range(options.seeds), options.workers), flush=True)


if __name__ == "__main__":
    main()
