"""Device cards: a cell model as a JSON file that every command accepts as a device."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from zerohm._errors import InputError, checked
from zerohm._files import whole

from .card_schema import FORMAT, VERSION, Card, refuse_unknown_keys
from .presets import preset
from .rram import Cell

_READABLE = (1, 2)  # a card of version 1 has no calibration
_CARD = TypeAdapter(Card)
_CELL = TypeAdapter(Cell)


def save(
    cell: Cell, path: str | os.PathLike[str], *, calibration: Mapping[str, Any] | None = None
) -> None:
    """Write a device card; the file is whole or absent.

    Parameters
    ----------
    calibration : where the numbers come from, as JSON; see :func:`calibration`.

    Raises
    ------
    InputError : the file cannot be written.
    """
    card = {"format": FORMAT, "version": VERSION, "cell": _CELL.dump_python(cell, mode="json")}
    if calibration is not None:
        card["calibration"] = dict(calibration)
    text = json.dumps(card, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    with whole(Path(path)) as temporary:
        temporary.write_text(text, encoding="utf-8")


def load(path: str | os.PathLike[str]) -> Cell:
    """Read a device card.

    Raises
    ------
    InputError : the file cannot be read, is not a device card, has another version, or holds
        an unknown key or values outside their range.

    Examples
    --------
    >>> import tempfile
    >>> from zerohm import devices
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     devices.save(devices.preset("Wan2022"), folder + "/card.json")
    ...     devices.load(folder + "/card.json") == devices.preset("Wan2022")
    True
    """
    content, where = _read(path), f"device card {path}"
    try:
        refuse_unknown_keys(content)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    return checked(lambda: _CARD.validate_json(json.dumps(content)), where).cell


def calibration(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a card says about the measurement and the fit behind its cell.

    Returns
    -------
    kind, parameters (name, unit, value, standard_error, lower, upper of each), covariance,
    refused, goodness, diagnosis, validity, provenance, zerohm_version.

    Raises
    ------
    InputError : as for :func:`load`, or the card's cell was not calibrated.
    """
    found = _read(path).get("calibration")
    if not isinstance(found, dict):
        raise InputError(f"device card {path} holds no calibration")
    return found


def _read(path: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        card = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"cannot read device card {path}: {error}") from None
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        found = card.get("format") if isinstance(card, dict) else None
        raise InputError(f"{path} is not a device card: its format is {found!r}, not {FORMAT!r}")
    if card.get("version") not in _READABLE:
        raise InputError(
            f"{path} has version {card.get('version')!r}, this reads {_READABLE[0]} to "
            f"{_READABLE[-1]}"
        )
    return card


def find(name: str) -> Cell:
    """A preset by name, or a device card by the path of a ``.json`` file."""
    return load(name) if name.endswith(".json") else preset(name)
