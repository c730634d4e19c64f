"""The look of every figure, and what is kept of the numbers that it shows."""

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from typing_extensions import TypeVar

from zerohm._errors import InputError
from zerohm._version import __version__

if TYPE_CHECKING:
    import xarray as xr

STYLES = {1: ["zerohm.paper"], 2: ["zerohm.paper", "zerohm.two_columns"]}
"""Style sheets of figures as wide as one column of a paper (3.5 inch) or both (7.16 inch)."""


def paper(columns: int = 1) -> AbstractContextManager[None]:
    """matplotlib settings of the style sheets for the length of a block.

    Raises
    ------
    InputError : ``columns`` is neither 1 nor 2.
    """
    if isinstance(columns, bool) or columns not in STYLES:
        raise InputError(f"a figure is 1 or 2 columns of a paper wide, not {columns!r}")
    return matplotlib.style.context(STYLES[columns])


class PaperFigure(Figure):
    """A figure that is saved in the style it was drawn in, with what it shows in the metadata."""

    def savefig(self, fname: Any, **kwargs: Any) -> None:
        """As ``Figure.savefig``; PDF, PNG and SVG files also say what the figure was made by."""
        suffix = Path(fname).suffix[1:] if isinstance(fname, str | os.PathLike) else ""
        chosen = kwargs.get("format") or suffix
        with paper():
            kind = str(chosen or matplotlib.rcParams["savefig.format"]).lower()
            own = metadata(self, kind) | dict(kwargs.pop("metadata", None) or {})
            super().savefig(fname, metadata=own or None, **kwargs)

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        image = BytesIO()
        self.savefig(image, format="png")
        return image.getvalue()


class PaperAxes(Axes):
    """The axes of a :class:`PaperFigure` of its own, which they save and show."""

    def savefig(self, fname: Any, **kwargs: Any) -> None:
        """Save the whole figure, as ``Figure.savefig``."""
        figure_of(self).savefig(fname, **kwargs)

    def _repr_png_(self) -> bytes:
        image = BytesIO()
        self.savefig(image, format="png")
        return image.getvalue()


AnyAxes = TypeVar("AnyAxes", bound=Axes, default=PaperAxes)
"""The type of the axes that a figure was drawn into: the caller's, or else ``PaperAxes``."""


@contextmanager
def drawing(ax: AnyAxes | None, columns: int = 1) -> Iterator[AnyAxes]:
    """The axes to draw into, in the style of a paper: the given ones, or those of a new figure.

    Raises
    ------
    InputError : ``columns`` is unknown, or given beside axes, which have their size already.
    """
    if ax is not None and columns != 1:
        raise InputError("columns is the width of a new figure: leave it out where ax is given")
    with paper(columns):
        yield PaperFigure().add_subplot(axes_class=PaperAxes) if ax is None else ax  # type: ignore[misc]


SYMBOL = 5
"""Letters that a legend's symbol takes as much room as."""


def legend_columns(names: Sequence[str], room: float) -> int:
    """How many columns of a legend, which are filled one after the other, fit beside each other.

    Parameters
    ----------
    room : width that there is, in letters.
    """
    for depth in range(1, len(names)):
        columns = math.ceil(len(names) / depth)
        widths = [max(map(len, part)) + SYMBOL for part in np.array_split(names, columns)]
        if sum(widths) <= room:
            return columns
    return 1


def figure_of(ax: Axes) -> Figure:
    """The outermost figure that axes belong to."""
    figure = ax.get_figure(root=True)
    if figure is None:
        raise InputError("ax belongs to no figure any more")
    return figure


@dataclass(frozen=True)
class Shown:
    """What axes show.

    Parameters
    ----------
    data : what was drawn; the same function draws the same picture from it.
    table : the numbers in the picture, for example medians and quartiles.
    """

    data: "xr.Dataset"
    table: "xr.Dataset"


_SHOWN: "WeakKeyDictionary[Axes, Shown]" = WeakKeyDictionary()


def keep(ax: Axes, data: "xr.Dataset", table: "xr.Dataset") -> None:
    """Remember what axes show, for as long as they live."""
    _SHOWN[ax] = Shown(data=data, table=table)


def shown(figure: Figure) -> list[Shown]:
    """What the axes of a figure show, in their order."""
    return [_SHOWN[ax] for ax in figure.axes if ax in _SHOWN]


def metadata(figure: Figure, kind: str) -> dict[str, str | None]:
    """What a figure was made by, under the names that a file format has for it.

    No format gets a date, so that the same figure is the same file.

    Parameters
    ----------
    kind : "pdf", "png" or "svg"; other formats have no metadata.
    """
    attributes = [_texts(each.data.attrs) for each in shown(figure)]
    facts = json.dumps(attributes[0] if len(attributes) == 1 else attributes)
    creator = f"zerohm {__version__}, matplotlib {matplotlib.__version__}"
    formats: dict[str, dict[str, str | None]] = {
        "pdf": {"Creator": creator, "Subject": facts, "CreationDate": None},
        "png": {"Software": creator, "Description": facts},
        "svg": {"Creator": creator, "Description": facts, "Date": None},
    }
    return formats.get(kind, {})


def _texts(attributes: Mapping[Any, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in attributes.items()}
