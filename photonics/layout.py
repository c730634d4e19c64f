"""Where the Mach–Zehnder interferometers (MZIs) of a mesh lie: four layouts, as arrays.

Light runs from left to right on lines 0 … lines−1 (0 on top) through columns of MZIs; the MZIs of
one column touch different lines, and a line without one passes the column in a waveguide::

    clements(4)     reck(4)           diamond(3)     butterfly(4)
    0 ─┬───┬───     0 ─────┬─────     0 ───┬───      0 ─┬─┬───
    1 ─┴─┬─┴─┬─     1 ───┬─┴─┬───     1 ─┬─┴─┬─      1 ─┴─│─┬─
    2 ─┬─┴─┬─┴─     2 ─┬─┴─┬─┴─┬─     2 ─┴─┬─┴─      2 ─┬─┴─│─
    3 ─┴───┴───     3 ─┴───┴───┴─     3 ───┴───      3 ─┴───┴─
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from zerohm._errors import InputError, choose
from zerohm._memory import require_memory

Indices = NDArray[np.int64]

_ARRAYS = ("column", "upper", "lower")
_BYTES_PER_MZI = 128  # of the arrays of a layout while it is made


@dataclass(frozen=True, kw_only=True, eq=False)
class Layout:
    """The MZIs of a mesh in the order in which light passes them.

    Parameters
    ----------
    name : of the family.
    ports : N; fields enter and leave on lines 0 … N−1.
    lines : number of waveguides; more than ``ports`` only in the diamond.
    columns : depth, the largest number of MZIs on a path.
    column, upper, lower : (M,) column of every MZI and its two lines, upper < lower; sorted by
        column, then by upper.
    universal : whether every N × N unitary can be programmed.

    Raises
    ------
    InputError : arrays that are no such mesh.

    Examples
    --------
    >>> mesh = clements(4)
    >>> mesh
    Layout('clements', ports=4, columns=4, mzis=6)
    >>> mesh.upper
    array([0, 2, 1, 0, 2, 1])
    """

    name: str
    ports: int
    lines: int
    columns: int
    column: Indices = field(repr=False)
    upper: Indices = field(repr=False)
    lower: Indices = field(repr=False)
    universal: bool

    def __post_init__(self) -> None:
        for name in _ARRAYS:
            given = np.array(getattr(self, name), dtype=np.int64)
            given.setflags(write=False)
            object.__setattr__(self, name, given)
        problem = self._problem()
        if problem:
            raise InputError(f"layout {self.name!r}: {problem}")

    def _problem(self) -> str:
        column, upper, lower = self.column, self.upper, self.lower
        if not 1 <= self.ports <= self.lines:
            return f"ports={self.ports} must lie between 1 and lines={self.lines}"
        if column.ndim != 1 or not column.shape == upper.shape == lower.shape:
            return f"column, upper, lower have shapes {column.shape}, {upper.shape}, {lower.shape}"
        if not column.size:
            return ""
        if upper.min() < 0 or lower.max() >= self.lines or np.any(upper >= lower):
            return f"every MZI needs 0 <= upper < lower < lines={self.lines}"
        if column.min() < 0 or column.max() >= self.columns:
            return f"column must lie between 0 and columns-1={self.columns - 1}"
        if np.any(np.diff(column * self.lines + upper) <= 0):
            return "MZIs must be sorted by column, then by upper line"
        used = np.concatenate((column * self.lines + upper, column * self.lines + lower))
        if np.bincount(used).max() > 1:
            return "two MZIs of one column share a line"
        return ""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Layout):
            return NotImplemented
        if self is other:
            return True
        mine, its = ((x.name, x.ports, x.lines, x.columns) for x in (self, other))
        return mine == its and all(
            np.array_equal(getattr(self, name), getattr(other, name)) for name in _ARRAYS
        )

    def __hash__(self) -> int:
        return hash((self.name, self.ports, self.lines, self.columns))

    def __repr__(self) -> str:
        return (
            f"Layout({self.name!r}, ports={self.ports}, columns={self.columns}, mzis={self.mzis})"
        )

    @property
    def mzis(self) -> int:
        """M, the number of MZIs."""
        return int(self.column.size)

    @cached_property
    def column_starts(self) -> Indices:
        """(columns + 1,): the MZIs of column c are numbers ``starts[c]`` to ``starts[c+1]−1``."""
        return np.searchsorted(self.column, np.arange(self.columns + 1))

    @cached_property
    def row(self) -> Indices:
        """(M,) line beside which an MZI lies on the chip: crossings bring its two lines there."""
        if np.all(self.lower == self.upper + 1):
            return self.upper
        return 2 * (np.arange(self.mzis) - self.column_starts[self.column])

    @cached_property
    def _passed(self) -> tuple[Indices, Indices]:
        passed, last = np.empty((self.mzis, 2), np.int64), np.full(self.lines, -1)
        for start, end in zip(self.column_starts[:-1], self.column_starts[1:], strict=True):
            pair = np.stack((self.upper[start:end], self.lower[start:end]), axis=1)
            here = self.column[start:end, None]
            passed[start:end] = here - 1 - last[pair]
            last[pair] = here
        return passed, self.columns - 1 - last

    @property
    def passed(self) -> Indices:
        """(M, 2) columns that the upper and the lower line passed straight since their last MZI."""
        return self._passed[0]

    @property
    def passed_at_end(self) -> Indices:
        """(lines,) columns that each line passed straight since its last MZI."""
        return self._passed[1]


def named_layout(name: str, ports: int) -> Layout:
    """The layout of a name in :data:`LAYOUTS` for N ports.

    Raises
    ------
    InputError : an unknown name, or a number of ports that the layout does not support.

    Examples
    --------
    >>> named_layout("butterfly", 8).mzis
    12
    """
    choose("layout", name, LAYOUTS)
    return LAYOUTS[name](ports)


def clements(ports: int) -> Layout:
    """Rectangle of N columns and N(N−1)/2 MZIs: universal, the shortest there is (Clements 2016).

    Raises
    ------
    InputError : ports below 1, or a mesh that does not fit into memory.

    Examples
    --------
    >>> clements(5).columns, clements(5).mzis
    (5, 10)
    """
    count = _checked("clements", ports)
    columns = count if count > 2 else count - 1
    rows = [np.arange(c % 2, count - 1, 2) for c in range(columns)]
    return _of_neighbours("clements", count, count, rows)


def reck(ports: int) -> Layout:
    """Triangle of 2N−3 columns and N(N−1)/2 MZIs: universal (Reck 1994).

    Lines p and p+1 meet p+1 times: the last two lines in every second column from the first to
    the last one, the first two only once.

    Raises
    ------
    InputError : ports below 1, or a mesh that does not fit into memory.

    Examples
    --------
    >>> reck(5).columns, reck(5).mzis
    (7, 10)
    """
    count = _checked("reck", ports)
    columns = max(2 * count - 3, 0)
    rows = [np.arange(count - 2 - min(c, columns - 1 - c), count - 1, 2) for c in range(columns)]
    return _of_neighbours("reck", count, count, rows)


def diamond(ports: int) -> Layout:
    """:func:`reck` and its mirror image below: 2(N−1) lines, (N−1)² MZIs, universal.

    The N ports are the upper lines, those of the triangle. The N−2 lines below them see the light
    that the added MZIs let through, and hold monitors or, in the bar state, nothing (Shokraneh
    2020). Programmed ideal, the added MZIs are in the bar state.

    Raises
    ------
    InputError : ports below 1, or a mesh that does not fit into memory.

    Examples
    --------
    >>> diamond(5).lines, diamond(5).columns, diamond(5).mzis
    (8, 7, 16)
    """
    count = _checked("diamond", ports)
    columns = max(2 * count - 3, 0)
    reach = [min(c, columns - 1 - c) for c in range(columns)]
    rows = [np.arange(count - 2 - r, count - 1 + r, 2) for r in reach]
    return _of_neighbours("diamond", count, max(2 * (count - 1), 1), rows)


def butterfly(ports: int) -> Layout:
    """The graph of the fast Fourier transform: log₂N columns of N/2 MZIs; not universal.

    Column c joins lines at a distance of 2^c. The crossings of waveguides that bring two such
    lines together are taken as ideal.

    Raises
    ------
    InputError : ports that are no power of two, or a mesh that does not fit into memory.

    Examples
    --------
    >>> butterfly(8).columns, butterfly(8).mzis
    (3, 12)
    """
    count = _checked("butterfly", ports)
    columns = count.bit_length() - 1
    if count != 1 << columns:
        lower = 1 << columns
        raise InputError(
            f"layout 'butterfly' needs a power of two as number of ports, not {count}: take "
            f"{lower} or {2 * lower}, or another layout"
        )
    lines = np.arange(count)
    uppers = [lines[(lines >> c) % 2 == 0] for c in range(columns)]
    return Layout(
        name="butterfly",
        ports=count,
        lines=count,
        columns=columns,
        column=np.repeat(np.arange(columns), count // 2),
        upper=np.concatenate([*uppers, np.empty(0, np.int64)]),
        lower=np.concatenate([*(u + (1 << c) for c, u in enumerate(uppers)), lines[:0]]),
        universal=count <= 2,
    )


LAYOUTS: dict[str, Callable[[int], Layout]] = {
    "clements": clements,
    "reck": reck,
    "diamond": diamond,
    "butterfly": butterfly,
}
"""Constructor of every layout by its name."""


def _checked(name: str, ports: int) -> int:
    """The number of ports, if it is one and the arrays of the layout fit into memory."""
    if isinstance(ports, bool) or not isinstance(ports, int | np.integer) or ports < 1:
        raise InputError(f"layout {name!r}: ports={ports!r} must be an integer of at least 1")
    require_memory(
        _BYTES_PER_MZI * float(ports) ** 2, f"a {name} mesh of {ports} ports", "take fewer ports"
    )
    return int(ports)


def _of_neighbours(name: str, ports: int, lines: int, rows: list[Indices]) -> Layout:
    """A universal layout of MZIs between neighbouring lines, from the upper lines per column."""
    upper = np.concatenate([*rows, np.empty(0, np.int64)])
    column = np.repeat(np.arange(len(rows)), [len(r) for r in rows])
    return Layout(
        name=name,
        ports=ports,
        lines=lines,
        columns=len(rows),
        column=column,
        upper=upper,
        lower=upper + 1,
        universal=True,
    )
