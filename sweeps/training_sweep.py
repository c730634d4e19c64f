"""Sweeps of training runs, with the accuracies that they are to be compared with."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from .. import training
from .engine import check_workers, run
from .plan import Plan
from .results import PathLike, check_writable
from .stopping import EnoughSeeds, check_rule
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
    client: Any = None,
    stop: EnoughSeeds | None = None,
    references: Sequence[str] = ("backprop",),
    progress: bool = True,
) -> xr.Dataset:
    """Run :func:`zerohm.training.experiment` on a grid of its settings.

    Parameters
    ----------
    grid, fixed : swept and constant settings of the experiment.
    store, workers, client, stop, progress : as in :func:`zerohm.sweeps.run`.
    references : methods whose accuracy in exact digital arithmetic (median over the seeds) is
        kept in the attribute ``references`` beside chance, for figures. Their own sweeps lie in
        the folder ``<store>.references``.

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
    _check_points(values, constant, stop)
    where = {"workers": workers, "client": client, "stop": stop, "progress": progress}
    folder = None if store is None else Store(store).references
    baselines = _references(values, constant, references, folder, where)
    return run(
        training.experiment,
        values,
        fixed=constant,
        store=store,
        attributes={"references": json.dumps(baselines)},
        **where,
    )


def _check_points(
    grid: Mapping[str, list[Any]], fixed: Mapping[str, Any], stop: EnoughSeeds | None
) -> None:
    """Refuse the whole sweep if it, or one of its points, is unusable.

    What is said of one seed holds for all: each seed is looked at once, and each combination of
    the other settings.
    """
    plan = Plan.of(training.experiment, grid, fixed)
    check_rule(plan, stop)
    points = plan.points()
    first = points[0]
    for point in points:
        others_are_first = {**point, "seed": None} == {**first, "seed": None}
        if others_are_first or point.get("seed") == first.get("seed"):
            training.prepare(**{**fixed, **point})


def _references(
    grid: Mapping[str, list[Any]],
    fixed: Mapping[str, Any],
    methods: Sequence[str],
    folder: Path | None,
    where: Mapping[str, Any],
) -> dict[str, float]:
    """Chance, and the accuracy of each method; none where the sweep itself varies the task."""
    if {"task", "split", "hidden"} & set(grid):
        return {}
    shared = {name: fixed[name] for name in _SHARED if name in fixed}
    settings = {}
    for method in methods:
        settings[method] = {**shared, "method": method, "hardware": "digital", "passes": _PASSES}
        if method == "linear":
            settings[method].pop("hidden", None)
        training.prepare(**settings[method])
    if folder is not None and methods and not folder.is_dir():
        check_writable(folder)
        folder.mkdir()
    found = {}
    for method in methods:
        result = run(
            training.experiment,
            {"seed": grid.get("seed", [fixed.get("seed", 0)])},
            fixed=settings[method],
            store=None if folder is None else folder / f"{method}.zarr",
            **where,
        )
        accuracy = result.deployed_accuracy.values
        if (known := accuracy[np.isfinite(accuracy)]).size:
            found[_NAMES.get(method, method)] = float(np.median(known))
    task = training.prepare(**{**shared, "method": "backprop", "hardware": "digital"}).task
    return {**found, "chance": task.chance}
