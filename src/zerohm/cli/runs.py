"""Commands that train: the demonstration, one run, a sweep of runs."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from zerohm._errors import InputError

from .application import Whole, app

if TYPE_CHECKING:
    from zerohm.training.interchange import Exchangeable

Settings = Annotated[list[str], Parameter(consume_multiple=True, negative=())]


@app.command
def demo(*, out: Path = Path("demo"), workers: Whole = 2, seed: Whole = 0) -> None:
    """Train a network by its own write noise, sweep the noise, draw the figure (about a minute).

    Parameters
    ----------
    out
        Folder for the results; an interrupted demo goes on where it stopped.
    workers
        Number of processes.
    seed
        First of three seeds.
    """
    from zerohm.sweeps.demo import run_demo

    print(run_demo(out, workers=workers, seed=seed))


@app.command
def train(
    *,
    task: str = "digits",
    method: str = "noisezo",
    hardware: str = "rram",
    device: str | None = None,
    set_: Annotated[Settings, Parameter(name="--set")] = [],  # noqa: B006 (never changed)
    seed: Whole = 0,
    out: Path = Path("run.nc"),
    weights: Path | None = None,
) -> None:
    """Train one network and record accuracy, forward passes, writes and energy.

    Parameters
    ----------
    task
        digits, vowel, mnist, fashion-mnist; digits-c or mnist-c (corrupted); f1, f2 or
        mnist-regression (numbers).
    method
        noisezo, quantized-zo, ffzero, mezo, backprop, linear and others: an unknown one lists all.
    hardware
        rram, photonic, digital or int8.
    device
        Preset name or device card (.json); rram only, Wan2022 if not given.
    set_
        Further settings as key=value, for example write_noise=0.02 passes=30000 hidden=64, or
        corruption=fog network=cnn blocks=selected.
    seed
        Of every random draw.
    out
        NetCDF file (.nc) for the record.
    weights
        Also write the trained network: .onnx, or .pt with a state dict of PyTorch.
    """
    from zerohm import sweeps, training

    settings: dict[str, Any] = {"task": task, "method": method, "hardware": hardware, "seed": seed}
    if device is not None:
        settings["device"] = device
    settings |= _parse_settings(set_, taken=settings)
    sweeps.check_writable(out)
    network = None if weights is None else _exchangeable(weights, settings)
    run = training.experiment(progress=True, keep_parameters=weights is not None, **settings)
    sweeps.save(run, out)
    if weights is not None and network is not None:
        training.interchange.WRITERS[weights.suffix](network, run.final_parameters.values, weights)
    last = run.isel(step=-1)
    deployed, master = _scores(last)
    print(
        f"{method} on {task}: {deployed} on freshly programmed {hardware}, master copy {master}, "
        f"after {int(last.forward_passes)} forward passes and {float(last.cell_writes):g} writes "
        f"per cell\nrecord: {out}" + ("" if weights is None else f"\nweights: {weights}")
    )


def _exchangeable(path: Path, settings: dict[str, Any]) -> "Exchangeable":
    """The network whose weights this file shall hold, refused before its training."""
    from zerohm import sweeps, training
    from zerohm.training.interchange import WRITERS, Exchangeable

    if path.suffix not in WRITERS:
        raise InputError(f"--weights {path}: give a name that ends with .onnx or .pt")
    sweeps.check_writable(path)
    network = training.prepare(**settings).network
    if not isinstance(network, Exchangeable):
        raise InputError(
            f"--weights {path}: other programs know perceptrons and floating-point convolutional "
            f"networks, not {type(network).__name__}"
        )
    return network


def _scores(record: Any) -> tuple[str, str]:
    """Scores of deployed network and master copy: accuracy, or R² where a number is predicted."""
    if "deployed_r2" in record:
        return f"R² {float(record.deployed_r2):.3f}", f"R² {float(record.master_r2):.3f}"
    deployed, master = float(record.deployed_accuracy), float(record.master_accuracy)
    return f"{100 * deployed:.1f} %", f"{100 * master:.1f} %"


@app.command
def sweep(
    config: Path,
    /,
    *,
    store: Path,
    workers: Whole = 1,
    scheduler: str | None = None,
    seed: Whole | None = None,
) -> None:
    """Run a grid of training experiments; a sweep that was stopped goes on where it stopped.

    Parameters
    ----------
    config
        TOML file: table [experiment] with constant settings, table [sweep] with a list of values
        per swept setting or a range {start=, stop=, num=, scale="linear" or "log"}, seeds also as
        {count=}; optionally references = ["backprop", "linear"] at the top, and a table [stop]
        with half_width= of the confidence interval at which there are seeds enough.
    store
        Result, a zarr directory.
    workers
        Number of processes.
    scheduler
        Address of a dask scheduler (tcp://...) whose workers run the points instead.
    seed
        Of every run, where the file does not set or sweep it.
    """
    from zerohm.sweeps import config as sweep_files
    from zerohm.sweeps.training_sweep import sweep_training

    asked = sweep_files.read(config)
    fixed = asked.fixed
    if seed is not None and "seed" not in fixed and "seed" not in asked.grid:
        fixed = {**fixed, "seed": seed}
    result = sweep_training(
        asked.grid,
        fixed=fixed,
        store=store,
        workers=workers,
        client=scheduler,
        stop=asked.stop,
        references=asked.references,
    )
    sizes = ", ".join(f"{n}: {size}" for n, size in result.sizes.items() if n in asked.grid)
    print(f"swept {sizes}\nresult: {store}")


def _parse_settings(pairs: list[str], taken: dict[str, Any]) -> dict[str, Any]:
    """key=value pairs; a value is a number, true/false, or text."""
    settings: dict[str, Any] = {}
    for pair in pairs:
        name, separator, text = pair.partition("=")
        if not separator or not name:
            raise InputError(f"--set {pair!r}: settings are given as key=value")
        if name in taken or name in settings:
            raise InputError(f"--set {pair!r}: {name} is given twice")
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):  # no JSON, too many digits, too deep
            value = text
        settings[name] = value if isinstance(value, int | float | bool) else text
    return settings
