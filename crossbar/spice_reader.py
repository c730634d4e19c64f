"""Netlists of crossbars, read back: what :meth:`zerohm.crossbar.Network.to_spice` wrote.

Only that circuit is understood: resistors and voltage sources with the names and nodes that the
writer gives them. Whatever else stands in the file is refused with its line, so that no part of
a circuit is ever lost on the way.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from zerohm._arrays import Array
from zerohm._errors import InputError
from zerohm._memory import require_memory

from .network import Network

_ELEMENT = re.compile(
    r"v(?P<source>drive|sense)(?P<line>[0-9]{1,7})"
    r"|rcell(?P<row>[0-9]{1,7})_(?P<col>[0-9]{1,7})"
    r"|r(?P<wire>drive|sense)(?P<number>[0-9]{1,7})_(?P<part>first|last|[0-9]{1,7})"
)
_IGNORED = (".options", ".end")


@dataclass(frozen=True)
class Netlist:
    """A circuit as a netlist holds it: arguments of :meth:`zerohm.crossbar.Network.solve`.

    ``voltages`` (rows,) and ``bit_line_voltages`` (cols,) are in V.
    """

    network: Network
    voltages: Array
    bit_line_voltages: Array


def read_spice(text: str) -> Netlist:
    """Read a netlist that :meth:`zerohm.crossbar.Network.to_spice` wrote.

    Voltages and segment resistances come back exactly. A cell is written as a resistance and a
    terminal together with its segment, so that conductances and terminal resistances come back
    within two roundings of a double (4.5e-16 relative; a terminal relative to it and its
    segment). A resistance that cannot carry current (of a terminal beside a line that is held
    there without any, of segments in lines of a single cell) is not in the netlist.

    Raises
    ------
    InputError : an element, a control line or a node that the writer does not write, a value
        that is not a plain number of V or Ω, an element twice or missing, or a network that
        cannot be.

    Examples
    --------
    >>> network = Network([[100e-6, 50e-6], [20e-6, 80e-6]], wire_resistance=1.0)
    >>> found = read_spice(network.to_spice([0.2, 0.1]))
    >>> (found.network.solve(found.voltages).currents * 1e6).round(3)
    array([21.992, 17.994])
    """
    elements = _elements(text)
    voltages = _sources("drive", "word line", elements)
    bit_line_voltages = _sources("sense", "bit line", elements)
    rows, cols = len(voltages), len(bit_line_voltages)
    require_memory(8.0 * rows * cols, f"an array of {rows}x{cols} cells", "read a smaller netlist")
    word, bit = _wires("drive", rows, elements), _wires("sense", cols, elements)
    network = Network(
        _cells(rows, cols, elements),
        word_line_resistance=word.segment,
        bit_line_resistance=bit.segment,
        source_resistance=word.first,
        far_source_resistance=word.last,
        sink_resistance=bit.last,
        far_sink_resistance=bit.first,
    )
    written = network.to_spice(voltages, bit_line_voltages=bit_line_voltages)
    _check_nodes(elements, _elements(written))
    return Netlist(network, voltages, bit_line_voltages)


@dataclass(frozen=True)
class _Element:
    """One element: where it stands in the file, its two nodes, and its value in Ω or V."""

    place: str
    nodes: tuple[str, str]
    value: float


Elements = dict[str, _Element]
"""All elements by their names in small letters."""


def _elements(text: str) -> Elements:
    found: Elements = {}
    for place, line in _statements(text):
        name, *rest = line.lower().split()
        if not _ELEMENT.fullmatch(name):
            raise InputError(
                f"{place}: element {name!r} is unknown; a netlist may hold the resistors and "
                "voltage sources that Network.to_spice writes (Vdrive0, Vsense0, Rcell0_0, "
                "Rdrive0_1, Rdrive0_first, Rsense0_last, ...) and nothing else"
            )
        if name in found:
            raise InputError(f"{place}: {name!r} is there already, on {found[name].place}")
        if len(rest) != 3:
            raise InputError(f"{place}: {name!r} needs two nodes and a value, got {rest}")
        found[name] = _Element(place, (rest[0], rest[1]), _number(rest[2], name, place))
    return found


def _statements(text: str) -> Iterator[tuple[str, str]]:
    """Place and text of every line that is part of the circuit; the first line is a title."""
    control = False
    for number, line in enumerate(text.splitlines()[1:], start=2):
        place, line = f"netlist line {number}", line.strip()
        word = line.split()[0].lower() if line else ""
        if word in (".control", ".endc"):
            control = word == ".control"
        elif control or not line or line.startswith("*") or word in _IGNORED:
            continue
        elif word.startswith((".", "+")):
            raise InputError(
                f"{place}: {word!r} is not understood; only .options, .control, .endc and .end "
                "are, and an element stands on one line"
            )
        else:
            yield place, line


def _number(text: str, name: str, place: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or (name.startswith("r") and value <= 0.0):
        allowed = "a positive number of Ω" if name.startswith("r") else "a number of V"
        raise InputError(f"{place}: {name!r} has the value {text!r}, it must be {allowed}")
    return value


def _sources(kind: str, line: str, elements: Elements) -> Array:
    """Voltages of the sources of a kind, which must be numbered from 0 up."""
    count = sum(name.startswith(f"v{kind}") for name in elements)
    missing = [index for index in range(max(count, 1)) if f"v{kind}{index}" not in elements]
    if missing:
        raise InputError(
            f"the netlist has no source v{kind}{missing[0]}; every {line} has one, numbered from 0"
        )
    return np.array([elements[f"v{kind}{index}"].value for index in range(count)])


@dataclass(frozen=True)
class _Wires:
    """Ω of a segment, and (lines,) Ω of the terminals at the ends of lines."""

    segment: float
    first: Array
    last: Array


def _wires(kind: str, count: int, elements: Elements) -> _Wires:
    """The wires of the word lines ("drive") or of the bit lines ("sense")."""
    segments: dict[str, float] = {}
    ends = {part: np.full(count, np.inf) for part in ("first", "last")}
    for name, element in elements.items():
        found = _ELEMENT.fullmatch(name)
        if found is None or found["wire"] != kind:
            continue
        line, part = int(found["number"]), found["part"]
        if line >= count:
            raise InputError(f"{element.place}: {name!r} has no source v{kind}{line}")
        if part in ends:
            ends[part][line] = element.value
        else:
            segments[name] = element.value
    segment = next(iter(segments.values()), 0.0)
    for name, value in segments.items():
        if value != segment:
            raise InputError(
                f"{elements[name].place}: {name!r} has {value:.17g} Ω, another segment "
                f"{segment:.17g} Ω; all segments of one direction must be equal"
            )
    for part, together in ends.items():
        short = np.flatnonzero(together < segment)
        if short.size:
            name = f"r{kind}{short[0]}_{part}"
            raise InputError(
                f"{elements[name].place}: {name!r} must be at least the {segment:.17g} Ω of the "
                "segment that it includes"
            )
    first, last = ends["first"] - segment, ends["last"] - segment
    # The source of a line without any resistance is its own first node.
    held = [elements[f"v{kind}{line}"].nodes[0] != f"{kind}{line}" for line in range(count)]
    (first if kind == "drive" else last)[held] = 0.0
    return _Wires(segment, first, last)


def _cells(rows: int, cols: int, elements: Elements) -> Array:
    """Conductances (rows, cols) in S; a cell that is not in the netlist is open."""
    conductance = np.zeros((rows, cols))
    for name, element in elements.items():
        found = _ELEMENT.fullmatch(name)
        if found is None or found["row"] is None:
            continue
        row, col = int(found["row"]), int(found["col"])
        if row >= rows or col >= cols:
            raise InputError(
                f"{element.place}: {name!r} is outside the {rows}x{cols} array that the sources "
                "vdrive (rows) and vsense (columns) make"
            )
        conductance[row, col] = 1.0 / element.value
    return conductance


def _check_nodes(elements: Elements, expected: Elements) -> None:
    """Refuse elements that are not where the circuit of the network has them."""
    for name, element in elements.items():
        nodes = expected[name].nodes if name in expected else None
        if element.nodes != nodes:
            where = (
                "does not exist there" if nodes is None else f"lies between {' and '.join(nodes)}"
            )
            raise InputError(
                f"{element.place}: {name!r} lies between {' and '.join(element.nodes)}; in a "
                f"crossbar it {where}"
            )
    if missing := expected.keys() - elements.keys():
        raise InputError(f"the netlist has no {min(missing)!r}, which its crossbar needs")
