"""How the settings in training/recipes.py were chosen: a grid on a validation part.

The accuracy is that on a held-out part of the training data (for vowel's official split, on
held-out speakers); test data take no part.

    python benchmarks/choose_hyperparameters.py digits learning_rate=0.01,0.02 batch=128,512
"""

import argparse
import itertools
import json

import numpy as np

from zerohm import sweeps, training

NOISE = {"write_noise": 0.02, "readback_noise": 0.01}


def main() -> None:
    """Print validation accuracies, best first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", help="digits, vowel:official, vowel:random, mnist, ...")
    parser.add_argument("settings", nargs="+", help="name=value,value,...")
    parser.add_argument("--passes", type=int, default=30_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    task, _, split = options.task.partition(":")
    fixed = {"task": task, "passes": options.passes, "evaluations": 1, "validation": True}
    fixed |= NOISE | ({"split": split} if split else {})
    pairs = (setting.partition("=") for setting in options.settings)
    grid = {name: [_value(text) for text in values.split(",")] for name, _, values in pairs}
    result = sweeps.run(
        training.experiment,
        {**grid, "seed": range(options.seeds)},
        fixed=fixed,
        workers=options.workers,
    )
    rows = []
    for point in itertools.product(*grid.values()):
        chosen = dict(zip(grid, point, strict=True))
        accuracies = result.deployed_accuracy.sel(chosen).values
        rows.append((float(np.mean(accuracies)), float(np.std(accuracies)), chosen))
    for mean, spread, chosen in sorted(rows, key=lambda row: -row[0]):
        print(f"{100 * mean:5.1f} ± {100 * spread:.1f} %  {chosen}")


def _value(text: str) -> float | str:
    try:
        value: float = json.loads(text)
    except json.JSONDecodeError:
        return text
    return value


if __name__ == "__main__":
    main()
