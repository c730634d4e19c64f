"""Published device models, one module per source, named AuthorYear, with a tuple ``CELLS``.

Other distributions add their own under the entry-point group ``zerohm.presets``. The name of an
entry point is free; what it refers to is an object with an attribute ``CELLS``, a tuple of
:class:`~zerohm.devices.Cell`, such as a module like those of this folder::

    [project.entry-points."zerohm.presets"]
    Smith2026 = "smith_devices.Smith2026"

An entry point that cannot be used is left out with a :class:`PresetWarning` that names it; a
preset never takes the name of another one.
"""

import warnings
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from zerohm._errors import InputError, choose

from ..rram import Cell

GROUP = "zerohm.presets"

_MODULES = (
    "Falcone2025",
    "Gong2018",
    "GongRasch2022",
    "Hennen2022",
    "Joshi2020",
    "Levy2024",
    "Milo2021",
    "Nandakumar2019",
    "Nili2020",
    "Wan2022",
)


class PresetWarning(UserWarning):
    """Presets of another distribution cannot be used."""


def presets() -> tuple[str, ...]:
    """Names of all presets; a source with several fits has one name per fit.

    Warns
    -----
    PresetWarning : an entry point of another distribution cannot be used.

    Examples
    --------
    >>> "Wan2022" in presets()
    True
    """
    added, problems = _others()
    for problem in problems:
        warnings.warn(problem, PresetWarning, stacklevel=2)
    return tuple(sorted([*_own(), *added]))


def preset(name: str) -> Cell:
    """A published cell model by name.

    Raises
    ------
    InputError : no such preset; the message lists those that exist, and the entry points of
        other distributions that cannot be used.

    Examples
    --------
    >>> preset("Milo2021").conductance_max
    0.000225
    """
    if isinstance(name, str) and name in _own():
        return _own()[name]
    added, problems = _others()
    cells = _own() | added
    try:
        choose("device preset", name, cells)
    except InputError as error:
        raise InputError("; ".join([str(error), *problems])) from None
    return cells[name]


@cache
def _own() -> dict[str, Cell]:
    """The presets of this folder."""
    modules = [import_module(f".{module}", __name__) for module in _MODULES]
    return {cell.name: cell for module in modules for cell in module.CELLS}


@cache
def _others() -> tuple[dict[str, Cell], tuple[str, ...]]:
    """The presets of other distributions, and what is wrong with those that cannot be used."""
    cells: dict[str, Cell] = {}
    problems = []
    for entry in sorted(entry_points(group=GROUP), key=_origin):
        try:
            cells |= _load(entry, taken=_own() | cells)
        except Exception as error:  # whatever code of others raises must not stop the rest
            problems.append(f"presets of {_origin(entry)} cannot be used: {error!r}")
    return cells, tuple(problems)


def _load(entry: EntryPoint, taken: dict[str, Cell]) -> dict[str, Cell]:
    """The cells of one entry point by name; all of them or none."""
    found = entry.load().CELLS
    if not isinstance(found, tuple) or not all(isinstance(cell, Cell) for cell in found):
        raise InputError("its CELLS must be a tuple of zerohm.devices.Cell")
    cells: dict[str, Cell] = {}
    for cell in found:
        if cell.name in taken or cell.name in cells:
            raise InputError(f"there is already a preset named {cell.name!r}")
        cells[cell.name] = cell
    return cells


def _origin(entry: EntryPoint) -> str:
    """Name and value of an entry point, and who brings it."""
    owner = entry.dist.name if entry.dist else "an unknown distribution"
    return f"entry point {entry.name!r} = {entry.value!r} of {owner}"
