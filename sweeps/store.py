"""A sweep on disk: a file with every point, and the labelled whole once the run has ended.

Beside ``results.zarr`` lies ``results.zarr.points`` (see :mod:`.points`). It stays after the
sweep, so that an extended grid runs only what is new; whoever removes it loses nothing of
``results.zarr``. While a sweep runs, it holds a lock on ``results.zarr.lock``, which ends with
its process; the empty file stays.
"""

import os
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import xarray as xr
from filelock import FileLock, Timeout

from zerohm._errors import InputError

from .collection import collect, description
from .plan import Plan
from .points import Points
from .results import PathLike, check_writable, read, with_strings

FORMAT = 2
"""Version of what a whole says about its sweep."""


class Store:
    """The paths of a sweep on disk."""

    def __init__(self, path: PathLike) -> None:
        """Take a path for a sweep; InputError if something else is there."""
        self.path = Path(path)
        if self.path.is_file() or not self.path.name:
            raise InputError(
                f"store {self.path} must be the name of a folder for the sweep's result"
            )
        self.points, self.lock, self.references = (
            self.path.with_name(f"{self.path.name}.{part}")
            for part in ("points", "lock", "references")
        )

    def finished(self, plan: Plan, attributes: Mapping[str, Any]) -> xr.Dataset | None:
        """The whole, if it has exactly these attributes and no point of it failed or is missing.

        Raises
        ------
        InputError : the store holds something else, or points that this sweep would drop.
        """
        if not self.path.exists():
            return None
        result = read(self.path)
        if "grid" not in result.attrs or "error" not in result:
            raise InputError(f"store {self.path} holds no sweep: choose another path")
        if result.attrs.get("sweep_format") != FORMAT:
            raise InputError(
                f"store {self.path} was written by another version (zerohm "
                f"{result.attrs['zerohm_version']}): it can be loaded, but not gone on with; "
                "choose another store"
            )
        stored, _, _ = description(result.attrs, f"store {self.path}")
        if stored.attributes() != plan.attributes() and not set(stored.keys()) <= set(plan.keys()):
            raise InputError(_other_sweep(self.path, stored, plan))
        same = attributes.items() <= result.attrs.items()
        return result if same and not bool((result["error"] != "").any()) else None

    @contextmanager
    def opened(self) -> Iterator[Points]:
        """The points, for this process alone to write to.

        Raises
        ------
        InputError : another run uses the store, it cannot be written, or is not ours.
        """
        for path in (self.points, self.lock):
            if not path.exists():
                check_writable(path)
        lock = FileLock(self.lock)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise InputError(
                f"another run is using store {self.path} (it holds {self.lock}): wait for its end, "
                "or choose another store and merge them"
            ) from None
        except OSError as error:
            raise InputError(f"cannot lock {self.lock}: {error.strerror or error}") from error
        try:
            with Points.write_to(self.points) as points:
                yield points
        finally:
            lock.release()

    def write(self, result: xr.Dataset) -> xr.Dataset:
        """Put the whole into place and return it as it reads back."""
        partial, replaced = (
            self.path.with_name(f".{self.path.name}.{part}") for part in ("partial", "replaced")
        )
        for leftover in (partial, replaced):
            shutil.rmtree(leftover, ignore_errors=True)
        try:
            _write_zarr(result, partial)
            if self.path.exists():
                os.replace(self.path, replaced)
            os.replace(partial, self.path)
        except OSError as error:
            raise InputError(
                f"cannot write store {self.path}: {error.strerror or error}; its points are safe "
                f"in {self.points}, the same call goes on"
            ) from error
        finally:
            if replaced.exists() and not self.path.exists():
                os.replace(replaced, self.path)
            for leftover in (partial, replaced):
                shutil.rmtree(leftover, ignore_errors=True)
        return read(self.path)


def load(path: PathLike) -> xr.Dataset:
    """Read a sweep's store or a run's NetCDF file into memory.

    A sweep that was killed, or that is running, is put together from the points that it has:
    the others are NaN, and ``error`` says "not run yet".

    Parameters
    ----------
    path : a store that ``run`` wrote (a zarr directory), or a NetCDF file that ``save`` or
        ``zerohm train`` wrote.

    Raises
    ------
    InputError : nothing lies there, it cannot be read, or it was not written by zerohm.

    Examples
    --------
    >>> from zerohm.sweeps import run
    >>> def experiment(x):
    ...     return xr.Dataset({"y": 2.0 * x})
    >>> path = getfixture("tmp_path") / "results.zarr"
    >>> _ = run(experiment, {"x": [1, 2]}, store=path)
    >>> load(path).y.values
    array([2., 4.])
    """
    if not Path(path).is_file() and Path(path).name:
        points = Store(path).points
        if points.is_file():
            with Points.read_from(points) as kept:
                if kept.unfinished():
                    return collect(kept).dataset(kept.attributes())
    return read(path)


def _other_sweep(path: Path, stored: Plan, plan: Plan) -> str:
    """Why the points of a store are not those of this sweep."""
    described = stored.attributes()
    differing = [name for name, value in plan.attributes().items() if described[name] != value]
    facts = [
        "another text of the experiment" if name == "source" else f"{name} {described[name]}"
        for name in differing
    ]
    return (
        f"store {path} holds points that are not in this sweep ({', '.join(facts)}): "
        "choose another store or extend that grid"
    )


def _write_zarr(result: xr.Dataset, path: Path) -> None:
    with warnings.catch_warnings():
        # Without consolidated metadata, xarray warns each reader who opens the store.
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not")
        with_strings(result, object).to_zarr(path, zarr_format=3, consolidated=True)
