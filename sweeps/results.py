"""Results on disk: read what a run or a sweep left, write a file whole or not at all."""

import os
import tempfile
from pathlib import Path

import h5py
import numpy as np
import xarray as xr

from zerohm._errors import InputError
from zerohm._files import whole

PathLike = str | os.PathLike[str]


def read(path: PathLike) -> xr.Dataset:
    """Read the whole of a sweep or a run's NetCDF file into memory.

    Raises
    ------
    InputError : nothing lies there, it cannot be read, or it was not written by zerohm.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist: give a sweep's store or a run's .nc file")
    try:
        dataset = _open(path)
    except Exception as error:  # a damaged file makes the libraries raise anything
        raise InputError(
            f"{path} is neither a sweep's zarr store nor a NetCDF file: {error}"
        ) from error
    if "zerohm_version" not in dataset.attrs:
        raise InputError(f"{path} was not written by zerohm: it has no attribute zerohm_version")
    return dataset


def save(dataset: xr.Dataset, path: PathLike) -> None:
    """Write a dataset as a NetCDF file, whole or not at all.

    Parameters
    ----------
    dataset : its attributes are strings, numbers and lists of these.
    path : file name that ends with ``.nc``; an existing file is replaced.

    Raises
    ------
    InputError : the file cannot be written, or has another suffix.

    Examples
    --------
    >>> from zerohm.sweeps import load
    >>> folder = getfixture("tmp_path")
    >>> save(xr.Dataset({"loss": 0.5}, attrs={"zerohm_version": "0.1.0"}), folder / "run.nc")
    >>> float(load(folder / "run.nc").loss)
    0.5
    """
    path = Path(path)
    if path.suffix != ".nc":
        raise InputError(f"{path} must end with .nc: results are saved as NetCDF")
    check_writable(path)
    with whole(path) as temporary:
        dataset.to_netcdf(temporary, engine="h5netcdf")


def check_writable(path: PathLike) -> None:
    """Refuse a file name that could not be written, before the work whose result it shall hold.

    Raises
    ------
    InputError : the folder is missing or not writable, or the path is a folder itself.

    Examples
    --------
    >>> check_writable("no/such/folder/run.nc")
    Traceback (most recent call last):
    zerohm._errors.InputError: cannot write no/such/folder/run.nc: no folder no/such/folder
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise InputError(f"cannot write {path}: it is a folder, give the name of a file")
        if not path.parent.is_dir():
            raise InputError(f"cannot write {path}: no folder {path.parent}")
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}."):
            pass
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error


def _open(path: Path) -> xr.Dataset:
    if path.is_dir():
        # Explicit, since xarray warns about foreign stores without consolidated metadata.
        with xr.open_zarr(path, consolidated=True) as opened:
            dataset = opened.load()
    else:
        with h5py.File(path, "r") as file:
            list(file.attrs)  # where this fails, h5netcdf would leave a traceback behind
        dataset = xr.load_dataset(path, engine="h5netcdf", phony_dims="access")
    return with_strings(dataset.drop_encoding(), np.str_)


def with_strings(dataset: xr.Dataset, dtype: type) -> xr.Dataset:
    """The dataset with every text variable as the given type, since each format has its own."""
    texts = {name: v for name, v in dataset.variables.items() if v.dtype.kind in "OTU"}
    return dataset.assign(
        {
            name: (v.dims, v.values.astype(object).astype(dtype), v.attrs)
            for name, v in texts.items()
        }
    )
