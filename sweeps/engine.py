"""Running a sweep: every point once, in parallel, resumable, to the same bits."""

import platform
import warnings
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

import xarray as xr
from tqdm import tqdm

from zerohm._errors import InputError

from .assemble import assemble, final_values
from .plan import Experiment, Plan, check_recognisable
from .results import PathLike
from .store import Store
from .workers import evaluate_all


class SweepWarning(UserWarning):
    """Some points of a sweep failed: their values are NaN, ``error`` says why."""


def run(
    experiment: Experiment,
    grid: Mapping[str, Iterable[Any]],
    *,
    store: PathLike | None = None,
    workers: int = 1,
    fixed: Mapping[str, Any] | None = None,
    curves: bool = False,
    attributes: Mapping[str, str] | None = None,
    progress: bool = True,
) -> xr.Dataset:
    """Call an experiment at every point of a grid and label what it returns.

    The answer has the same bits for any number of workers: each point runs with one BLAS thread,
    and nothing depends on the order in which points finish.

    Parameters
    ----------
    experiment : ``experiment(**parameters) -> xr.Dataset``. Of variables with the dimension
        ``step`` the last value is kept.
    grid : parameter name -> its values, finite numbers or strings. ``seed`` is one of them.
    store : path of the result (zarr format 3, ``xr.open_zarr`` reads it). Each point is kept in
        ``<store>.points`` as it finishes, so a killed sweep goes on where it stopped, a complete
        one runs nothing, and an extended grid runs only its new points. A point is known by the
        experiment's module and name, its parameters and zerohm's version: after a change to the
        experiment itself, choose another store.
    workers : number of processes.
    fixed : constant parameters.
    curves : also keep the variables with ``step`` whole, as ``<name>_curve``; shorter ones end
        in NaN.
    attributes : further attributes of the result; no point depends on them.
    progress : show a progress bar on a terminal for work over two seconds.

    Returns
    -------
    One dimension per swept parameter, in the grid's order; the experiment's variables and those
    of its attributes that all points share; the variable ``error``, empty where all is well.

    Raises
    ------
    InputError : the request is unusable (before any work starts), or the experiment raised it.

    Warns
    -----
    SweepWarning : points failed. They are NaN, are not stored and run again next time.

    Examples
    --------
    >>> def experiment(write_noise, seed):
    ...     return xr.Dataset({"deployed_accuracy": 0.95 - write_noise + 0.01 * seed})
    >>> result = run(experiment, {"write_noise": [0.0, 0.1], "seed": range(3)})
    >>> dict(result.sizes)
    {'write_noise': 2, 'seed': 3}
    >>> float(result.deployed_accuracy.sel(write_noise=0.1, seed=2).round(2))
    0.87
    """
    check_workers(workers)
    fixed = dict(fixed or {})
    plan = Plan.of(experiment, grid, fixed)
    own = {**(attributes or {}), **plan.attributes(), "curves": int(curves)}
    archive = None
    if store is not None:
        check_recognisable(experiment)
        archive = Store.at(store)
        if (finished := archive.finished(plan, own)) is not None:
            return finished
    results, errors = _all_points(experiment, plan, archive, workers, curves, progress)
    dataset = assemble(plan, results, errors)
    dataset.attrs |= {**own, **_versions()}
    if archive is not None:
        dataset = archive.write(dataset)
    _warn_of_failures(errors)
    return dataset


def check_workers(workers: int) -> None:
    """Refuse a number of processes that is none."""
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise InputError(f"workers must be an integer of at least 1, not {workers!r}")


def _all_points(
    experiment: Experiment,
    plan: Plan,
    archive: Store | None,
    workers: int,
    curves: bool,
    progress: bool,
) -> tuple[list[xr.Dataset | None], list[str]]:
    points, keys, identities = plan.points(), plan.keys(), plan.identities()
    results: list[xr.Dataset | None] = [None] * len(points)
    errors = [""] * len(points)
    for i, key in enumerate(keys):
        if archive is not None and (stored := archive.read_point(key)) is not None:
            results[i] = final_values(stored, plan, curves)
    tasks = {i: {**plan.fixed, **points[i]} for i, r in enumerate(results) if r is None}
    with tqdm(
        total=len(points),
        initial=len(points) - len(tasks),
        unit="point",
        delay=2,
        disable=None if progress else True,
    ) as bar:
        for i, result, errors[i] in evaluate_all(experiment, tasks, workers):
            if result is not None:
                results[i] = final_values(result, plan, curves)
                if archive is not None:
                    archive.write_point(keys[i], identities[i], plan.zerohm_version, result)
            bar.update()
    return results, errors


def _versions() -> dict[str, str]:
    packages = {f"{name}_version": version(name) for name in ("numpy", "scipy", "numba")}
    return {**packages, "python_version": platform.python_version()}


def _warn_of_failures(errors: list[str]) -> None:
    if failed := [error for error in errors if error]:
        warnings.warn(
            f"{len(failed)} of {len(errors)} points failed and are NaN; the variable 'error' has "
            f"their messages, the first is: {failed[0]}",
            SweepWarning,
            stacklevel=3,
        )
