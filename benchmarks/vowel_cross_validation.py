"""How the vowel settings in training/recipes.py were chosen: on held-out training speakers.

Each of the four pairs of the eight training speakers is held out in turn; the test speakers take
no part. NoiseZO on Wan2022 cells, 10-32-11, 2 % write noise, 1 % read-back noise, 30 000 passes.

    python benchmarks/vowel_cross_validation.py
"""

import itertools
from dataclasses import replace

import numpy as np
import xarray as xr

import zerohm as zo

GRID = {
    "activation": ["tanh", "relu"],
    "learning_rate": [0.008, 0.015, 0.03],
    "held_pair": range(4),
    "seed": range(2),
}


def fold(activation: str, learning_rate: float, held_pair: int, seed: int) -> xr.Dataset:
    """Train on six speakers, test on the other two."""
    task = zo.datasets.load("vowel", split="official")
    held = np.isin(task.train_speakers, [2 * held_pair, 2 * held_pair + 1])
    task = replace(
        task,
        split="two training speakers held out",
        train_inputs=task.train_inputs[~held],
        train_labels=task.train_labels[~held],
        test_inputs=task.train_inputs[held],
        test_labels=task.train_labels[held],
        train_speakers=None,
    )
    cell = zo.devices.preset("Wan2022").with_noise(write=0.02, read_back=0.01)
    network = zo.training.mlp(
        [10, 32, 11],
        hardware=zo.mapping.rram(cell),
        activation=activation,
        input_limit=task.input_limit,
    )
    method = zo.training.NoiseZO(learning_rate=learning_rate)
    return zo.training.fit(network, task, method=method, seed=seed, batch=512, evaluations=1)


def main() -> None:
    """Print the mean accuracy over folds and seeds, per setting."""
    accuracy = zo.sweeps.run(fold, GRID, workers=2).deployed_accuracy.mean(["held_pair", "seed"])
    for activation, rate in itertools.product(GRID["activation"], GRID["learning_rate"]):
        chosen = accuracy.sel(activation=activation, learning_rate=rate)
        print(f"{activation}, learning rate {rate}: {100 * float(chosen):.1f} %")


if __name__ == "__main__":
    main()
