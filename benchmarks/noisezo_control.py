"""What each control of the perturbation brings to training by write noise: a table.

Every row is NoiseZO with one setting changed, 2 % write noise and 1 % read-back noise per device,
8-bit converters, Wan2022 window; deployed accuracy, median and quartiles over the seeds, with
programming pulses per cell and the energy of writing. Settings were chosen on a validation part
(``--validation`` shows that part's accuracies). Finished runs are kept in the store, so that a
stopped benchmark goes on where it was.

    python benchmarks/noisezo_control.py mnist --passes 32000 --store control.zarr
"""

import argparse

import numpy as np
import xarray as xr

from zerohm import sweeps, training

NOISE = {"write_noise": 0.02, "readback_noise": 0.01}
ADAM = {"optimizer": "adam", "learning_rate": 0.004}
CONTROLS: dict[str, dict[str, object]] = {
    "recipe": {},
    "own bands": {"equalize": False},
    "bands per cell": {"bands": "cell"},
    "bands by sensitivity": {"bands": "sensitivity"},
    "adam": {"optimizer": "adam", "learning_rate": 0.001},
    "running means": {"running_means": 1000},
    "cross-covariance": {"cross_covariance": True},
    "adaptive": {"adaptive": True},
    "single array": {"arrays": "single", "running_means": 100, "learning_rate": 0.003},
    "rewritten array": {"arrays": "rewritten"},
    "rewritten layer": {"arrays": "rewritten", "block": "layer"},
    "credit of lines": {"credit": "lines"},
    "credit of cells": {"credit": "cells", "learning_rate": 0.01},
    "credit of cells, adam": {"credit": "cells", **ADAM},
    "credit of cells, adam, rewritten": {"credit": "cells", "arrays": "rewritten", **ADAM},
    "exact last layer": {"exact_last_layer": True},
    "credit of cells, adam, exact last layer": {
        "credit": "cells",
        "exact_last_layer": True,
        **ADAM,
    },
}
"""Settings of every row that differ from the task's recipe."""


def controlled(control: str, **settings: object) -> xr.Dataset:
    """One training run with the settings of a control, by its name."""
    return training.experiment(method="noisezo", **{**settings, **CONTROLS[control]})


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", nargs="?", default="digits", help="digits, vowel, mnist, ...")
    parser.add_argument("--controls", help="names of rows, separated by semicolons; default all")
    parser.add_argument("--passes", type=int, default=30_000)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--store", help="folder for finished runs")
    parser.add_argument("--validation", action="store_true", help="leave the test data out")
    options = parser.parse_args()
    names = options.controls.split(";") if options.controls else list(CONTROLS)
    result = sweeps.run(
        controlled,
        {"control": names, "seed": range(options.seeds)},
        fixed={
            "task": options.task,
            "passes": options.passes,
            "batch": options.batch,
            "evaluations": 1,
            "validation": options.validation,
            **NOISE,
        },
        store=options.store,
        workers=options.workers,
    )
    print(f"{'control':40} {'deployed (%)':>22} {'master':>7} {'writes':>8} {'write mJ':>9}")
    for name in names:
        row = result.sel(control=name)
        low, median, high = 100 * np.nanpercentile(row.deployed_accuracy.values, [25, 50, 75])
        master = 100 * float(row.master_accuracy.median())
        energy = 1e3 * float(row.energy_J.sel(part=["write", "verify"]).sum("part").median())
        print(
            f"{name:40} {median:7.1f} ({low:.1f} to {high:.1f}) {master:7.1f} "
            f"{float(row.cell_writes.median()):8.0f} {energy:9.2f}"
        )


if __name__ == "__main__":
    main()
