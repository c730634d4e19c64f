"""What every engine does at a point: call the experiment on one thread, encode its result."""

import inspect
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import Any, NamedTuple

import cloudpickle
import xarray as xr
from threadpoolctl import threadpool_limits

from zerohm._errors import InputError

from .encoding import encode
from .plan import Experiment

LONGEST_ERROR = 1000
"""Characters of an error message that are kept."""

ONE_THREAD = {
    f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "OMP", "MKL", "VECLIB_MAXIMUM")
}
"""Environment in which libraries that are loaded later start with one thread."""


class Outcome(NamedTuple):
    """Encoded result of a point, or its error message, and the seconds that it took."""

    result: bytes | None
    error: str
    seconds: float


Task = tuple[int, dict[str, Any]]
"""Index of a point and the parameters of the experiment there."""

Engine = Callable[[deque[Task]], Iterator[tuple[int, Outcome]]]
"""Takes tasks from the left of the queue, which may grow meanwhile, until none is left; yields
outcomes as they come."""


def evaluate(experiment: Experiment, parameters: dict[str, Any]) -> Outcome:
    """Call the experiment; whatever it raises is the outcome.

    Raises
    ------
    InputError : it returns something that is no result, which it would do at every point.
    """
    begin = time.perf_counter()
    try:
        result = experiment(**parameters)
        if isinstance(result, xr.Dataset):
            result.load()
    except (Exception, SystemExit) as error:
        return Outcome(None, said(error), time.perf_counter() - begin)
    if not isinstance(result, xr.Dataset):
        raise InputError(f"experiment must return an xarray.Dataset, not {type(result).__name__}")
    encoded = encode(result)
    return Outcome(encoded, "", time.perf_counter() - begin)


def evaluate_packed(packed: bytes, parameters: dict[str, Any]) -> Outcome:
    """The same in a worker process, which keeps one BLAS thread and the unpacked experiment."""
    _keep_one_thread()
    return evaluate(_unpacked(packed), parameters)


def said(error: BaseException) -> str:
    """Type and message of an error as text that every file format can hold."""
    text = f"{type(error).__name__}: {error}".encode(errors="replace").decode().replace("\0", "")
    return text if len(text) <= LONGEST_ERROR else f"{text[:LONGEST_ERROR]} ..."


def pack(experiment: Experiment) -> bytes:
    """The experiment as bytes that worker processes can unpack.

    Its code is sent along if processes could not import its module by name: that is so for
    modules that were loaded from a file, as test runners do, and for notebooks.

    Raises
    ------
    InputError : it holds something that cannot be sent, such as an open file.
    """
    module = inspect.getmodule(experiment)
    by_value = module is not None and not _importable(module.__name__)
    if by_value:
        cloudpickle.register_pickle_by_value(module)
    try:
        return bytes(cloudpickle.dumps(experiment))
    except Exception as error:  # any __reduce__ can raise anything
        raise InputError(
            f"the experiment cannot be sent to other processes: {error}; let it open files and "
            "build models itself, or use workers=1"
        ) from error
    finally:
        if by_value:
            cloudpickle.unregister_pickle_by_value(module)


@contextmanager
def one_thread() -> Iterator[None]:
    """One BLAS thread for a while: the order of a sum, and so its last bits, depends on it."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)
    try:
        with threadpool_limits(limits=1):
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@cache
def _keep_one_thread() -> None:
    """For the rest of the process, since a cluster's worker may run points in several threads."""
    os.environ.update(ONE_THREAD)
    threadpool_limits(limits=1)


@lru_cache(maxsize=4)
def _unpacked(packed: bytes) -> Experiment:
    try:
        experiment: Experiment = cloudpickle.loads(packed)
    except Exception as error:
        raise InputError(f"a worker process cannot load the experiment: {error}") from error
    return experiment


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
