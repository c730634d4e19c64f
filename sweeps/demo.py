"""The main job: a device model, training by its write noise, a noise sweep, a figure."""

from pathlib import Path

import xarray as xr

from zerohm._errors import InputError
from zerohm._random import stream

from .engine import check_workers
from .figures import noise_accuracy, save_figure
from .statistics import summary
from .training_sweep import sweep_training

WRITE_NOISE = (0.01, 0.02, 0.04, 0.07, 0.1)
"""Standard deviations of the write noise, fractions of the conductance window."""

_STATISTICS = ("median", "lower_quartile", "upper_quartile")


def run_demo(folder: Path, *, workers: int = 2, seed: int = 0) -> str:
    """Train a 64-32-10 network on Wan2022 cells by NoiseZO at five write-noise levels.

    Parameters
    ----------
    folder : where the results go; points that are already there are not run again.
    workers : number of processes.
    seed : first of three seeds.

    Returns
    -------
    A table of the accuracies and the paths of the results.

    Raises
    ------
    InputError : the folder cannot be made or written.
    """
    check_workers(workers)
    stream(seed)  # refuses what is no seed, before there is a folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {folder}: {error.strerror}") from None
    store, figure = folder / "noise_sweep.zarr", folder / "noise_accuracy.pdf"
    result = sweep_training(
        {"write_noise": WRITE_NOISE, "seed": [seed, seed + 1, seed + 2]},
        fixed={
            "task": "digits",
            "method": "noisezo",
            "hardware": "rram",
            "device": "Wan2022",
            "readback_noise": 0.01,
            "passes": 12_000,
        },
        store=store,
        workers=workers,
        references=("backprop",),
    )
    picture = noise_accuracy(result)
    for path in (figure, figure.with_suffix(".png")):
        save_figure(picture, path)
    return f"{_table(result)}\n\nresult: {store}\nfigure: {figure}, {figure.with_suffix('.png')}"


def _table(result: xr.Dataset) -> str:
    rows = ["write noise   accuracy on freshly written arrays (median, quartiles)"]
    statistics = summary(result.deployed_accuracy)
    for level in result.write_noise.values:
        row = statistics.sel(write_noise=level)
        median, low, high = (100 * float(row[f"deployed_accuracy_{name}"]) for name in _STATISTICS)
        rows.append(f"{100 * level:9.1f} %   {median:6.1f} % ({low:.1f} to {high:.1f} %)")
    return "\n".join(rows)
