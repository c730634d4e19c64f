"""Evaluating points, in this process or in several."""

import inspect
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import cloudpickle
import joblib
import xarray as xr
from threadpoolctl import threadpool_limits

from zerohm._errors import InputError

from .plan import Experiment

Outcome = tuple[int, xr.Dataset | None, str]
"""Index of a point, its result, its error message (empty if there is a result)."""


def evaluate_all(
    experiment: Experiment, tasks: Mapping[int, dict[str, Any]], workers: int
) -> Iterator[Outcome]:
    """Outcomes as they finish; one worker is this very process."""
    parallel = joblib.Parallel(n_jobs=workers, return_as="generator_unordered")
    with _portable(experiment):
        yield from parallel(joblib.delayed(_evaluate)(experiment, i, p) for i, p in tasks.items())


def _evaluate(experiment: Experiment, index: int, parameters: dict[str, Any]) -> Outcome:
    # One BLAS thread: the order of a sum, and so its last bits, depends on their number.
    with threadpool_limits(limits=1):
        try:
            result = experiment(**parameters)
        except InputError:
            raise
        except Exception as error:
            return index, None, f"{type(error).__name__}: {error}"
    if not isinstance(result, xr.Dataset):
        raise InputError(f"experiment must return an xarray.Dataset, not {type(result).__name__}")
    return index, result.load(), ""


@contextmanager
def _portable(experiment: Experiment) -> Iterator[None]:
    """Send the experiment's code along if processes could not import its module by name.

    That is so for modules that were loaded from a file, as test runners do.
    """
    module = inspect.getmodule(experiment)
    if module is None or _importable(module.__name__):
        yield
        return
    cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def _importable(module: str) -> bool:
    path = None
    parts = module.split(".")
    for depth in range(len(parts)):
        name = ".".join(parts[: depth + 1])
        found = (finder.find_spec(name, path) for finder in sys.meta_path)
        spec = next((spec for spec in found if spec is not None), None)
        if spec is None:
            return False
        path = spec.submodule_search_locations
    return True
