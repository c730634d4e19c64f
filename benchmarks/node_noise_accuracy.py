"""Accuracy of node perturbation by the hardware's own noise: the table of the documentation.

2 % write noise and read noise per device, 8-bit converters, Wan2022 window, no generator in any
perturbation; 5 seeds, median and quartiles, deployed on freshly programmed arrays, beside the
master copy, backpropagation, a linear classifier and chance. MNIST needs its files (see
zerohm.datasets) and most of the time. With a store an interrupted run resumes.

    python benchmarks/node_noise_accuracy.py [--tasks mnist,digits] [--store node_noise.zarr]
"""

import argparse
import time
from pathlib import Path

import numpy as np

from zerohm import sweeps, training

WRITE_NOISE = 0.02
READ_NOISE = 0.01
BUDGET = {
    "mnist": 19_000,
    "fashion-mnist": 19_000,
    "digits": 12_000,
    "vowel:official": 4_000,
    "vowel:random": 12_000,
}


def quartiles(values: np.ndarray) -> str:
    """Median (lower to upper quartile) in percent."""
    low, median, high = 100 * np.percentile(values, [25, 50, 75])
    return f"{median:5.1f} ({low:.1f} to {high:.1f})"


def row(name: str, options: argparse.Namespace) -> str:
    """One line: deployed, master copy, backpropagation, linear, chance, budget, time of a run."""
    task, _, split = name.partition(":")
    fixed = {"task": task, "evaluations": 1} | ({"split": split} if split else {})
    grid = {"seed": range(options.seeds)}

    def runs(method: str, **settings: object):
        store = options.store and str(
            Path(options.store).with_suffix("") / f"{task}-{split or 'usual'}-{method}.zarr"
        )
        return sweeps.run(
            training.experiment,
            grid,
            fixed=fixed | {"method": method} | settings,
            workers=options.workers,
            store=store,
        )

    start = time.perf_counter()
    noise = {"write_noise": WRITE_NOISE, "read_noise": options.read_noise or READ_NOISE}
    trained = runs("node-noise", arrays=options.arrays, passes=BUDGET[name], **noise)
    seconds = (time.perf_counter() - start) * min(options.workers, options.seeds) / options.seeds
    backprop = runs("backprop", hardware="digital", passes=8_000)
    linear = runs("linear", hardware="digital", passes=8_000)
    samples = float(np.median(trained.sample_forwards.values))
    return (
        f"{name:16} {quartiles(trained.deployed_accuracy.values):22} "
        f"{quartiles(trained.master_accuracy.values):22} "
        f"{quartiles(backprop.deployed_accuracy.values):22} "
        f"{quartiles(linear.deployed_accuracy.values):22} {100 * trained.chance:5.1f} "
        f"{BUDGET[name]:8d} {samples:8.2g} {seconds:7.0f}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", default="digits,vowel:official,vowel:random,mnist")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--arrays", type=int, default=1, choices=(1, 2))
    parser.add_argument("--read-noise", type=float, help="in place of each task's own")
    parser.add_argument("--store", help="folder for finished runs, from which a run resumes")
    options = parser.parse_args()
    print(
        f"{'task':16} {'node noise deployed':22} {'master copy (%)':22} "
        f"{'backpropagation (%)':22} {'linear (%)':22} {'chance':5} {'passes':>8} "
        f"{'samples':>8} {'s/run':>6}"
    )
    for name in options.tasks.split(","):
        print(row(name, options), flush=True)


if __name__ == "__main__":
    main()
