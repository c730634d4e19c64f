"""Device cards: a cell model as a JSON file that every command accepts as a device."""

import json
import os
from pathlib import Path

from pydantic import TypeAdapter

from zerohm._errors import InputError, checked
from zerohm._files import whole

from .presets import preset
from .rram import Cell

_FORMAT = "zerohm device card"
_VERSION = 1
_CELL = TypeAdapter(Cell)


def save(cell: Cell, path: str | os.PathLike[str]) -> None:
    """Write a device card; the file is whole or absent.

    Raises
    ------
    InputError : the file cannot be written.
    """
    card = {"format": _FORMAT, "version": _VERSION, "cell": _CELL.dump_python(cell, mode="json")}
    with whole(Path(path)) as temporary:
        temporary.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def load(path: str | os.PathLike[str]) -> Cell:
    """Read a device card.

    Raises
    ------
    InputError : the file cannot be read, is not a device card, has another version, or holds
        values outside their range.

    Examples
    --------
    >>> import tempfile
    >>> from zerohm import devices
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     devices.save(devices.preset("Wan2022"), folder + "/card.json")
    ...     devices.load(folder + "/card.json") == devices.preset("Wan2022")
    True
    """
    try:
        card = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"cannot read device card {path}: {error}") from None
    if not isinstance(card, dict) or card.get("format") != _FORMAT:
        raise InputError(f"{path} is not a device card: its format is not {_FORMAT!r}")
    if card.get("version") != _VERSION:
        raise InputError(f"{path} has version {card.get('version')!r}, this reads {_VERSION}")
    return checked(lambda: _CELL.validate_json(json.dumps(card.get("cell"))), f"device card {path}")


def find(name: str) -> Cell:
    """A preset by name, or a device card by the path of a ``.json`` file."""
    return load(name) if name.endswith(".json") else preset(name)
