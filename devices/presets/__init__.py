"""Published device models, one module per source, named AuthorYear."""

from zerohm._errors import choose

from ..rram import Cell
from . import Falcone2025, Milo2021, Wan2022

_CELLS: dict[str, Cell] = {
    cell.name: cell for module in (Falcone2025, Milo2021, Wan2022) for cell in module.CELLS
}


def presets() -> tuple[str, ...]:
    """Names of all presets; a source with several fits has one name per fit.

    Examples
    --------
    >>> "Wan2022" in presets()
    True
    """
    return tuple(sorted(_CELLS))


def preset(name: str) -> Cell:
    """A published cell model by name.

    Raises
    ------
    InputError : no such preset; the message lists those that exist.

    Examples
    --------
    >>> preset("Milo2021").conductance_max
    0.000225
    """
    choose("device preset", name, _CELLS)
    return _CELLS[name]
