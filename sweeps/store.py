"""A sweep on disk: one file per finished point, and the labelled whole once all are there.

Beside ``results.zarr`` lies the folder ``results.zarr.points`` with one NetCDF file per finished
point, named by the sha256 of all that the point depends on. It stays after the sweep, so that an
extended grid runs only what is new; whoever removes it loses nothing of ``results.zarr``.
"""

import os
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from zerohm._errors import InputError

from .plan import Plan
from .results import PathLike, check_writable, load, save, with_strings


@dataclass(frozen=True)
class Store:
    """Where a sweep keeps its points and its result."""

    path: Path
    points: Path

    @classmethod
    def at(cls, path: PathLike) -> "Store":
        """The store of this path, checked to be writable; InputError if it is not."""
        path = Path(path)
        points = path.with_name(f"{path.name}.points")
        if path.is_file() or not path.name:
            raise InputError(f"store {path} must be the name of a folder for the sweep's result")
        if points.exists() and not points.is_dir():
            raise InputError(f"{points} is in the way: the sweep keeps its points in that folder")
        check_writable(points / "point.nc" if points.is_dir() else points)
        return cls(path, points)

    def finished(self, plan: Plan, attributes: Mapping[str, Any]) -> xr.Dataset | None:
        """The result with exactly these attributes if the store holds it without a failed point.

        Raises
        ------
        InputError : the store holds something else, or points that this sweep would drop.
        """
        if not self.path.exists():
            return None
        result = load(self.path)
        if "grid" not in result.attrs:
            raise InputError(f"store {self.path} holds no sweep: choose another path")
        stored = Plan.from_attributes(result.attrs)
        if not set(stored.keys()) <= set(plan.keys()):
            raise InputError(
                f"store {self.path} holds points that are not in this sweep (experiment "
                f"{stored.experiment}, zerohm {stored.zerohm_version}, "
                f"fixed {result.attrs['fixed']}, grid {result.attrs['grid']}): "
                "choose another store or extend that grid"
            )
        same = attributes.items() <= result.attrs.items()
        failed = bool((result["error"] != "").any())
        return result if same and not failed else None

    def extra(self, name: str) -> Path:
        """Path for a sweep that belongs to this one, kept with its points."""
        self.points.mkdir(exist_ok=True)
        return self.points / name

    def read_point(self, key: str) -> xr.Dataset | None:
        """A finished point, or None."""
        path = self.points / f"{key}.nc"
        return load(path) if path.exists() else None

    def write_point(self, key: str, identity: str, version: str, result: xr.Dataset) -> None:
        """Keep a finished point."""
        self.points.mkdir(exist_ok=True)
        save(result.assign_attrs(point=identity, zerohm_version=version), self.points / f"{key}.nc")

    def write(self, result: xr.Dataset) -> xr.Dataset:
        """Put the whole result into place and return it as it reads back."""
        self.points.mkdir(exist_ok=True)
        partial, replaced = self.points / "partial.zarr", self.points / "replaced.zarr"
        for leftover in (partial, replaced):
            shutil.rmtree(leftover, ignore_errors=True)
        try:
            _write_zarr(result, partial)
            if self.path.exists():
                os.replace(self.path, replaced)
            os.replace(partial, self.path)
        except OSError as error:
            raise InputError(f"cannot write store {self.path}: {error}") from error
        shutil.rmtree(replaced, ignore_errors=True)
        return load(self.path)


def _write_zarr(result: xr.Dataset, path: Path) -> None:
    with warnings.catch_warnings():
        # Without consolidated metadata, xarray warns each reader who opens the store.
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not")
        with_strings(result, object).to_zarr(path, zarr_format=3, consolidated=True)
