"""Sweeps of training runs, with the accuracies that they are to be compared with."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from .. import training
from .engine import check_workers, run
from .plan import Plan
from .results import PathLike
from .store import Store

_SHARED = ("task", "split", "hidden", "validation")  # what a reference has in common with a run
_PASSES = 8_000  # budget of a reference
_NAMES = {"backprop": "backpropagation", "linear": "linear classifier"}


def sweep_training(
    grid: Mapping[str, Iterable[Any]],
    *,
    fixed: Mapping[str, Any] | None = None,
    store: PathLike | None = None,
    workers: int = 1,
    references: Sequence[str] = ("backprop",),
    progress: bool = True,
) -> xr.Dataset:
    """Run :func:`zerohm.training.experiment` on a grid of its settings.

    Parameters
    ----------
    grid, fixed : swept and constant settings of the experiment.
    store, workers, progress : as in :func:`zerohm.sweeps.run`.
    references : methods whose accuracy in exact digital arithmetic (median over the seeds) is
        kept in the attribute ``references`` beside chance, for figures.

    Raises
    ------
    InputError : a setting of any point is unusable, before any work starts.

    Examples
    --------
    >>> fixed = {"passes": 100, "evaluations": 1, "method": "backprop", "hardware": "digital"}
    >>> result = sweep_training({"seed": [0, 1]}, fixed=fixed, references=())
    >>> result.deployed_accuracy.dims
    ('seed',)
    """
    check_workers(workers)
    values = {name: list(points) for name, points in grid.items()}
    constant = dict(fixed or {})
    _check_points(values, constant)
    baselines = _references(values, constant, references, store, workers, progress)
    return run(
        training.experiment,
        values,
        fixed=constant,
        store=store,
        workers=workers,
        progress=progress,
        attributes={"references": json.dumps(baselines)},
    )


def _check_points(grid: Mapping[str, list[Any]], fixed: Mapping[str, Any]) -> None:
    """Refuse the whole sweep if it, or one of its points, is unusable."""
    for point in Plan.of(training.experiment, grid, fixed).points():
        training.prepare(**{**fixed, **point})


def _references(
    grid: Mapping[str, list[Any]],
    fixed: Mapping[str, Any],
    methods: Sequence[str],
    store: PathLike | None,
    workers: int,
    progress: bool,
) -> dict[str, float]:
    """Chance, and the accuracy of each method; none where the sweep itself varies the task."""
    if {"task", "split", "hidden"} & set(grid):
        return {}
    shared = {name: fixed[name] for name in _SHARED if name in fixed}
    found = {}
    for method in methods:
        settings = {**shared, "method": method, "hardware": "digital", "passes": _PASSES}
        if method == "linear":
            settings.pop("hidden", None)
        result = run(
            training.experiment,
            {"seed": grid.get("seed", [fixed.get("seed", 0)])},
            fixed=settings,
            store=None if store is None else Store.at(store).extra(f"{method}.zarr"),
            workers=workers,
            progress=progress,
        )
        found[_NAMES.get(method, method)] = float(np.median(result.deployed_accuracy))
    task = training.prepare(**{**shared, "method": "backprop", "hardware": "digital"}).task
    return {**found, "chance": task.chance}
