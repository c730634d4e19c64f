"""Figures as files: the picture, what it was made by, and the numbers beside it."""

import json
from pathlib import Path

import xarray as xr
from matplotlib.figure import Figure

from zerohm._errors import InputError
from zerohm._figures import paper
from zerohm._files import whole
from zerohm._version import __version__

from .results import PathLike, check_writable
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
        _save_table(data, path.with_suffix(".csv"))
    with paper(), whole(path) as temporary:
        figure.savefig(temporary, metadata=_metadata(path.suffix.lower(), data))


def _save_table(data: xr.Dataset, path: Path) -> None:
    if "deployed_accuracy" not in data:
        raise InputError("data has no variable 'deployed_accuracy' to save beside the figure")
    table = summary(data["deployed_accuracy"])
    if "step" in table.dims and "forward_passes" in data:
        table = table.assign(forward_passes=data["forward_passes"])
    check_writable(path)
    with whole(path) as temporary:
        table.reset_coords(drop=True).to_dataframe().to_csv(temporary)


def _metadata(suffix: str, data: xr.Dataset | None) -> dict[str, str | None]:
    """The same facts under the names that each format has; no date, so that files compare."""
    attributes = {} if data is None else data.attrs
    names = [n for n in attributes if n in PROVENANCE or n.endswith("_version")]
    facts = json.dumps({name: str(attributes[name]) for name in names})
    creator = f"zerohm {__version__}"
    if suffix == ".pdf":
        return {"Creator": creator, "Subject": facts, "CreationDate": None}
    if suffix == ".svg":
        return {"Creator": creator, "Description": facts, "Date": None}
    return {"Software": creator, "Description": facts}
