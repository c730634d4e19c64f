"""Figures as files: the picture, what it was made by, and the numbers beside it."""

import json
from pathlib import Path

import xarray as xr
from matplotlib.figure import Figure

import zerohm
from zerohm._errors import InputError

from .drawing import paper
from .results import PathLike, check_writable, whole
from .statistics import summary

SUFFIXES = (".pdf", ".png", ".svg")
PROVENANCE = ("experiment", "method", "hardware", "device", "task", "fixed", "grid", "config")


def save_figure(figure: Figure, path: PathLike, *, data: xr.Dataset | None = None) -> None:
    """Save a figure whole or not at all, with what it was made by in the file's metadata.

    Parameters
    ----------
    path : file name that ends with ``.pdf``, ``.png`` or ``.svg``; existing files are replaced.
    data : the dataset that the figure shows: its parameters and versions go into the metadata,
        and a CSV file of the same name gets ``deployed_accuracy`` as median, quartiles and number
        of seeds at each point (for a single run: at each step).

    Raises
    ------
    InputError : the path cannot be written or has another suffix.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: a figure is saved as one of {', '.join(SUFFIXES)}")
    check_writable(path)
    if data is not None:
        check_writable(path.with_suffix(".csv"))
    with paper(), whole(path) as temporary:
        figure.savefig(temporary, metadata=_metadata(path.suffix.lower(), data))
    if data is not None:
        with whole(path.with_suffix(".csv")) as temporary:
            _table(data).to_dataframe().to_csv(temporary)


def _table(data: xr.Dataset) -> xr.Dataset:
    table = summary(data["deployed_accuracy"])
    if "step" in table.dims and "forward_passes" in data:
        table = table.assign(forward_passes=data["forward_passes"])
    return table.reset_coords(drop=True)


def _metadata(suffix: str, data: xr.Dataset | None) -> dict[str, str | None]:
    """The same facts under the names that each format has; no date, so that files compare."""
    attributes = {} if data is None else data.attrs
    names = [n for n in attributes if n in PROVENANCE or n.endswith("_version")]
    facts = json.dumps({name: str(attributes[name]) for name in names})
    creator = f"zerohm {zerohm.__version__}"
    if suffix == ".pdf":
        return {"Creator": creator, "Subject": facts, "CreationDate": None}
    if suffix == ".svg":
        return {"Creator": creator, "Description": facts, "Date": None}
    return {"Software": creator, "Description": facts}
