"""Running a sweep: every point once, in parallel, resumable, to the same bits."""

import platform
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from importlib.metadata import version
from typing import Any

import xarray as xr

from zerohm._errors import InputError

from .cluster import cluster_engine
from .collection import Collection
from .evaluation import Engine, Task
from .plan import Experiment, Plan, canonical, check_recognisable
from .points import Points
from .progress import Progress
from .results import PathLike
from .stopping import EnoughSeeds, check_rule
from .store import FORMAT, Store
from .workers import local_engine


class SweepWarning(UserWarning):
    """Some points of a sweep failed: their values are NaN, ``error`` says why."""


def run(
    experiment: Experiment,
    grid: Mapping[str, Iterable[Any]],
    *,
    store: PathLike | None = None,
    workers: int = 1,
    client: Any = None,
    fixed: Mapping[str, Any] | None = None,
    stop: EnoughSeeds | None = None,
    curves: bool = False,
    attributes: Mapping[str, str] | None = None,
    progress: bool = True,
) -> xr.Dataset:
    """Call an experiment at every point of a grid and label what it returns.

    The answer has the same bits in this process, in several, and on a cluster: each point runs
    with one BLAS thread, and nothing depends on where or in which order points finish.

    Parameters
    ----------
    experiment : ``experiment(**parameters) -> xr.Dataset``. Of variables with the dimension
        ``step`` the last value is kept. Whatever it raises is kept in ``error``.
    grid : parameter name -> its values, finite numbers or strings. ``seed`` is one of them.
    store : path of the result (zarr format 3, ``xr.open_zarr`` reads it). Each point is kept in
        the file ``<store>.points`` as it finishes, so a killed sweep goes on where it stopped, a
        complete one runs nothing, and an extended grid runs only its new points. A point is known
        by all that its answer depends on as far as can be seen: the experiment's module, name
        and own text, its parameters (a device card by its content) and zerohm's version. After a
        change to what the experiment calls or reads, choose another store.
    workers : number of processes.
    client : instead of processes, a ``dask.distributed.Client`` or a scheduler's address
        (``"tcp://..."``); its workers need zerohm and the same versions of its dependencies.
    fixed : constant parameters.
    stop : with it, not all seeds are run, but at every combination of the other parameters as
        many as it wants, in the grid's order. The variable ``seeds_used`` has their number; the
        seeds behind them are NaN, with an empty ``error``.
    curves : also keep the variables with ``step`` whole, as ``<name>_curve``; shorter ones end
        in NaN.
    attributes : further attributes of the result; no point depends on them.
    progress : show a progress bar on a terminal for work over two seconds, elsewhere log to
        ``logging.getLogger("zerohm.sweeps")`` at level INFO.

    Returns
    -------
    One dimension per swept parameter, in the grid's order; the experiment's variables and those
    of its attributes that all points share; the variable ``error``, empty where all is well.
    Where a value is missing, integers and booleans become floating-point numbers.

    Raises
    ------
    InputError : the request is unusable (before any work starts), the store cannot be written or
        is in use, or the experiment returns what is no result.
    ConnectionError : the scheduler was lost; what was finished is kept.
    KeyboardInterrupt : stopped from the keyboard; the message says how much is kept.

    Warns
    -----
    SweepWarning : points failed. They are NaN and run again next time.

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
    if client is not None and workers != 1:
        raise InputError("workers are processes of this machine, client has its own: give one")
    if stop is not None and not isinstance(stop, EnoughSeeds):
        raise InputError(f"stop must be an EnoughSeeds or None, not {stop!r}")
    plan = Plan.of(experiment, grid, fixed or {})
    check_rule(plan, stop)
    canonical(attributes or {}, "attributes")
    own = {**(attributes or {}), **plan.attributes(), **_kind(curves, stop)}
    if store is None:
        collection = Collection(plan, curves=curves, stop=stop, stored={}, errors={})
        with _engine(experiment, workers, client) as engine:
            _run_points(collection, None, engine, progress)
        dataset = collection.dataset({**own, **_versions()})
    else:
        check_recognisable(experiment)
        archive = Store(store)
        if (finished := archive.finished(plan, own)) is not None:
            return finished
        with _engine(experiment, workers, client) as engine, archive.opened() as points:
            points.begin({**own, **_versions()})
            collection = Collection(
                plan, curves=curves, stop=stop, stored=points.finished(plan.keys()), errors={}
            )
            try:
                _run_points(collection, points, engine, progress)
            except (KeyboardInterrupt, ConnectionError) as stopped:
                archive.write(collection.dataset(points.attributes()))
                raise type(stopped)(_kept(stopped, collection, archive)) from stopped
            dataset = archive.write(collection.dataset(points.attributes()))
            points.end()
    _warn_of_failures(collection)
    return dataset


def check_workers(workers: int) -> None:
    """Refuse a number of processes that is none."""
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise InputError(f"workers must be an integer of at least 1, not {workers!r}")


@contextmanager
def _engine(experiment: Experiment, workers: int, client: Any) -> Iterator[Engine]:
    if client is None:
        yield local_engine(experiment, workers)
    else:
        with cluster_engine(experiment, client) as engine:
            yield engine


def _run_points(
    collection: Collection, points: Points | None, engine: Engine, progress: bool
) -> None:
    """Run what is missing; every outcome is kept before the next one is looked at."""
    plan = collection.plan
    parameters = plan.points()
    identities, keys = ([], []) if points is None else (plan.identities(), plan.keys())

    def tasks(indexes: list[int]) -> list[Task]:
        return [(index, {**plan.fixed, **parameters[index]}) for index in indexes]

    waiting = deque(tasks(collection.begin()))
    if not waiting:
        return
    with (
        Progress(collection.size, done=collection.kept, shown=progress) as report,
        closing(engine(waiting)) as outcomes,  # type: ignore[type-var]
    ):
        for index, outcome in outcomes:
            if points is not None:
                points.put(keys[index], identities[index], outcome)
            waiting += tasks(collection.add(index, outcome.result, outcome.error))
            report.advance()


def _kind(curves: bool, stop: EnoughSeeds | None) -> dict[str, Any]:
    """What tells apart the wholes that the same points make."""
    return {
        "curves": int(curves),
        "stop": "" if stop is None else stop.as_json(),
        "sweep_format": FORMAT,
    }


def _versions() -> dict[str, str]:
    packages = {f"{name}_version": version(name) for name in ("numpy", "scipy", "numba")}
    return {**packages, "python_version": platform.python_version()}


def _kept(stopped: BaseException, collection: Collection, archive: Store) -> str:
    """What is left after a stop."""
    reason = str(stopped) or "stopped"
    return (
        f"{reason}; {collection.kept} of {collection.size} points are kept in {archive.path}; "
        "the same call goes on"
    )


def _warn_of_failures(collection: Collection) -> None:
    if failed := collection.failures:
        warnings.warn(
            f"{len(failed)} of {collection.size} points failed and are NaN; the variable 'error' "
            f"has their messages, the first is: {failed[0]}",
            SweepWarning,
            stacklevel=3,
        )
