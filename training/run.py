"""The training loop: any method, any network, one labelled record of what happened."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.random import Generator
from tqdm import tqdm

from zerohm._arrays import Array
from zerohm._errors import InputError
from zerohm._random import stream
from zerohm._version import __version__

from ..crossbar import PARTS
from ..datasets import Task
from .losses import Labels, accuracy
from .protocol import Batches, Method, Trainable, Trainer
from .wear import Disturbance, Use, check_plan

if TYPE_CHECKING:
    import xarray as xr

_ACCURACIES = {
    "deployed_accuracy": ("1", "Test accuracy on freshly programmed hardware"),
    "master_accuracy": ("1", "Test accuracy of the digital master copy"),
}
_COEFFICIENTS = {
    "deployed_r2": ("1", "Coefficient of determination R² on freshly programmed hardware"),
    "master_r2": ("1", "Coefficient of determination R² of the digital master copy"),
}
_COUNTERS = {
    "train_loss": ("1", "Training loss (mean since the last record)"),
    "forward_passes": ("1", "Forward passes of one mini-batch"),
    "sample_forwards": ("1", "Forward passes of one sample"),
    "cell_writes": ("1", "Programming events per cell (mean)"),
    "cells_read_back": ("1", "Cells read back"),
    "dac_conversions": ("1", "Digital-to-analog conversions"),
    "adc_conversions": ("1", "Analog-to-digital conversions"),
    "dac_saturations": ("1", "Digital-to-analog conversions beyond full scale"),
    "adc_saturations": ("1", "Analog-to-digital conversions beyond full scale"),
    "clipped_cells": ("1", "Programming events that ended at the device's own limit"),
    "failed_cells": ("1", "Cells that cannot be programmed: made so, worn out or damaged"),
    "hardware_time": ("s", "Time that the hardware was busy"),
}


class TrainingDiverged(ArithmeticError):
    """The loss or a weight is not finite any more; the message names the remedy."""


def fit(
    network: Trainable,
    task: Task,
    *,
    method: Method,
    seed: int,
    passes: int = 30_000,
    batch: int = 128,
    evaluations: int = 20,
    deployments: int = 5,
    disturbances: Sequence[Disturbance] = (),
    config: dict[str, Any] | None = None,
    keep_parameters: bool = False,
    progress: bool = True,
) -> "xr.Dataset":
    """Train a network and record it.

    Parameters
    ----------
    network, task, method : what to train, on what, how.
    seed : of every random draw; the same seed gives the same bits.
    passes : budget of forward passes of one mini-batch.
    batch : samples in a mini-batch, drawn with replacement.
    evaluations : number of records along the run, the last one at its end.
    deployments : fresh programmings of the final hardware that each record averages over; of the
        run's own chip, as worn as it is by then, where cells differ by fabrication or fail.
    disturbances : cells that fail during the run.
    config : further settings to keep with the result.
    keep_parameters : also record the trained parameters, ``final_parameters`` over ``parameter``.
    progress : show a progress bar on a terminal.

    Returns
    -------
    Dataset with dimension ``step`` (number of updates) and one variable per quantity, with
    units; ``energy_J`` has the extra dimension ``part``. Attributes name method, hardware,
    device, task, seed, versions and the full configuration. Of a regression task,
    :func:`r_squared` takes the place of the accuracy.

    Raises
    ------
    InputError : a budget, batch or number of records below 1, a network or a method that does
        not fit the task, a method that cannot use the hardware or that may not write it so often,
        or disturbances of hardware without cells.
    TrainingDiverged : the loss or a weight is not finite any more.

    Examples
    --------
    >>> import zerohm as zo
    >>> model = zo.training.mlp([64, 16, 10], hardware=zo.mapping.digital())
    >>> run = zo.training.fit(model, zo.datasets.load("digits"),
    ...                       method=zo.training.Backprop(), seed=0, passes=200, evaluations=2)
    >>> bool(run.deployed_accuracy[-1] > 0.5)
    True
    """
    _check(
        network, task, passes=passes, batch=batch, evaluations=evaluations, deployments=deployments
    )
    _check_prediction(method, task)
    check_plan(network, method, task, passes=passes)
    use = Use(network, disturbances, seed)
    initial = network.initial_parameters(stream(seed, "initial parameters"))
    trainer = method.start(use.network, initial, rng=stream(seed, "training"))
    batches = _mini_batches(task, batch, stream(seed, "mini-batches"))
    records: list[dict[str, Any]] = []
    losses: list[float] = []
    steps = 0
    title = f"{method.name} on {task.name}, seed {seed}"
    with tqdm(total=passes, desc=title, unit="pass", delay=2, disable=_hidden(progress)) as bar:
        while trainer.forward_passes < passes:
            before = trainer.forward_passes
            use.disturb(before / passes)
            with np.errstate(over="ignore", invalid="ignore"):  # what diverges is said below
                losses.append(trainer.step(batches, before / passes))
            _require_finite(losses[-1], trainer, method)
            steps += 1
            bar.update(trainer.forward_passes - before)
            if trainer.forward_passes >= passes * (len(records) + 1) / evaluations:
                mean_loss = float(np.mean(losses))
                rng = stream(seed, "evaluation", steps)
                record = {"step": steps, "train_loss": mean_loss, **_totals(trainer, batch)}
                record |= _test(trainer, task, use, deployments, rng)
                records.append({**record, "failed_cells": use.failed_cells})
                losses = []
    attributes = {
        "method": method.name,
        "hardware": network.hardware_name,
        "device": network.device_name,
        "task": task.name,
        "split": task.split,
        "chance": task.chance,
        "seed": seed,
        "citations": ", ".join((*method.citations, *network.citations, *task.citations)),
        "config": json.dumps(
            {
                "method": asdict(method),  # type: ignore[call-overload]
                **network.description(),
                "passes": passes,
                "batch": batch,
                "evaluations": evaluations,
                "deployments": deployments,
                **({"disturbances": [asdict(d) for d in disturbances]} if disturbances else {}),
                **(config or {}),
            }
        ),
    }
    scores = _COEFFICIENTS if task.regression else _ACCURACIES
    result = _dataset(records, scores | _COUNTERS, attributes)
    if keep_parameters:
        described = {"units": "1", "long_name": "Parameters of the trained network"}
        result["final_parameters"] = ("parameter", trainer.parameters.copy(), described)
    return result


def r_squared(predictions: Array, targets: Array) -> Array:
    """Coefficient of determination, 1 − Σ(y − ŷ)² / Σ(y − mean of y)².

    predictions (..., samples, 1), targets (samples,), result (...), float64: 1 for exact
    predictions, 0 for the mean of the targets.

    Examples
    --------
    >>> r_squared(np.array([[1.0], [2.0], [2.0]]), np.array([1.0, 2.0, 3.0])).item()
    0.5
    """
    missed = np.square(predictions[..., 0] - targets).sum(axis=-1, dtype=np.float64)
    spread = np.square(targets - targets.mean()).sum(dtype=np.float64)
    result: Array = 1.0 - missed / spread
    return result


def _check(network: Trainable, task: Task, **counts: int) -> None:
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InputError(f"{name}={value!r} must be an integer of at least 1")
    if task.regression:
        if network.features != task.features:
            raise InputError(
                f"the network has {network.features} inputs, task {task.name!r} needs "
                f"{task.features}"
            )
    elif (network.features, network.classes) != (task.features, task.classes):
        raise InputError(
            f"the network has {network.features} inputs and {network.classes} outputs, task "
            f"{task.name!r} needs {task.features} and {task.classes}"
        )


def _check_prediction(method: Method, task: Task) -> None:
    """Refuse a method of classes where numbers are to be predicted, and the reverse."""
    if (getattr(method, "loss", None) == "squared") != task.regression:
        wanted, remedy = (
            ("numbers to predict", "loss='squared' of FFZero or LocalNodePerturbation")
            if task.regression
            else ("classes", "a loss other than 'squared'")
        )
        raise InputError(
            f"task {task.name!r} has {wanted}, which {method.name} with these settings cannot "
            f"learn: use {remedy}"
        )


def _require_finite(loss: float, trainer: Trainer, method: Method) -> None:
    if not (math.isfinite(loss) and np.isfinite(trainer.parameters).all()):
        raise TrainingDiverged(
            f"{method.name} diverged after {trainer.forward_passes} passes: loss {loss:g}, "
            f"largest weight {np.abs(trainer.parameters).max():g}; lower its learning_rate"
        )


def _hidden(progress: bool) -> bool | None:
    """Tell tqdm to hide the bar, or (None) to show it on terminals only."""
    return None if progress else True


def _mini_batches(task: Task, batch: int, rng: Generator) -> Batches:
    inputs, labels = task.train_inputs, task.train_labels

    def draw() -> tuple[Array, Labels]:
        chosen = rng.integers(0, len(labels), batch)
        return inputs[chosen], labels[chosen]

    return draw


def _totals(trainer: Trainer, batch: int) -> dict[str, Any]:
    """The counters of a run so far."""
    ledger = trainer.ledger
    cells = trainer.arrays * trainer.network.cells
    return {
        "forward_passes": trainer.forward_passes,
        "sample_forwards": trainer.forward_passes * batch,
        "cell_writes": ledger.cell_writes / cells,
        "cells_read_back": ledger.cells_read_back,
        "dac_conversions": ledger.dac_conversions,
        "adc_conversions": ledger.adc_conversions,
        "dac_saturations": ledger.dac_saturations,
        "adc_saturations": ledger.adc_saturations,
        "clipped_cells": ledger.clipped_cells,
        "hardware_time": ledger.time_s,
        "energy_J": [ledger.energy_J[part] for part in PARTS],
    }


def _test(
    trainer: Trainer, task: Task, use: Use, deployments: int, rng: Generator
) -> dict[str, float]:
    """Test accuracy or R² of the master copy, and on hardware programmed with it afresh."""
    network, parameters = trainer.network, trainer.parameters
    logits = use.answers(trainer, task.test_inputs, deployments=deployments, rng=rng)
    ideal = network.ideal_logits(parameters, task.test_inputs)
    names, score = (_COEFFICIENTS, r_squared) if task.regression else (_ACCURACIES, accuracy)
    scores = [np.mean(score(answers, task.test_labels)) for answers in (logits, ideal)]
    return {name: float(value) for name, value in zip(names, scores, strict=True)}


def _dataset(
    records: list[dict[str, Any]],
    described: dict[str, tuple[str, str]],
    attributes: dict[str, Any],
) -> "xr.Dataset":
    import xarray as xr  # slow to import

    variables: dict[str, Any] = {
        name: (
            "step",
            np.array([record[name] for record in records]),
            {"units": unit, "long_name": text},
        )
        for name, (unit, text) in described.items()
    }
    variables["energy_J"] = (
        ("step", "part"),
        np.array([record["energy_J"] for record in records]),
        {"units": "J", "long_name": "Energy used in training"},
    )
    steps = ("step", [record["step"] for record in records], {"long_name": "Updates"})
    return xr.Dataset(
        variables,
        coords={"step": steps, "part": list(PARTS)},
        attrs={**attributes, "zerohm_version": __version__},
    )
