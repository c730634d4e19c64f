"""Layouts of meshes: where the interferometers lie, in which order, and what is refused."""

import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zerohm import InputError, photonics
from zerohm.photonics import LAYOUTS, Layout, butterfly, clements, diamond, named_layout, reck

NEIGHBOURS = ("clements", "reck", "diamond")
SIZES = (1, 2, 3, 4, 5, 8, 17, 64, 512)


def pairs(layout):
    """Pairs of lines by column."""
    ends = np.searchsorted(layout.column, np.arange(layout.columns + 1))
    return [
        list(zip(layout.upper[a:b].tolist(), layout.lower[a:b].tolist(), strict=True))
        for a, b in pairwise(ends)
    ]


def test_small_layouts_are_the_drawn_ones():
    """The four layouts of the module's drawing, column by column."""
    assert pairs(clements(4)) == [[(0, 1), (2, 3)], [(1, 2)], [(0, 1), (2, 3)], [(1, 2)]]
    assert pairs(reck(4)) == [[(2, 3)], [(1, 2)], [(0, 1), (2, 3)], [(1, 2)], [(2, 3)]]
    assert pairs(diamond(3)) == [[(1, 2)], [(0, 1), (2, 3)], [(1, 2)]]
    assert pairs(butterfly(4)) == [[(0, 1), (2, 3)], [(0, 2), (1, 3)]]


@pytest.mark.parametrize("ports", SIZES)
def test_counts(ports):
    """Depth, number of MZIs and of lines of every layout, N = 1 to 512."""
    half = ports * (ports - 1) // 2
    rectangle, triangle, rhombus = clements(ports), reck(ports), diamond(ports)
    assert (rectangle.mzis, rectangle.columns) == (half, ports if ports > 2 else ports - 1)
    assert (triangle.mzis, triangle.columns) == (half, max(2 * ports - 3, 0))
    assert (rhombus.mzis, rhombus.columns) == ((ports - 1) ** 2, max(2 * ports - 3, 0))
    assert rhombus.lines == max(2 * (ports - 1), 1)
    assert {x.ports for x in (rectangle, triangle, rhombus)} == {ports}
    assert all(layout.universal for layout in (rectangle, triangle, rhombus))
    if ports & (ports - 1) == 0:
        stages = ports.bit_length() - 1
        fourier = butterfly(ports)
        assert (fourier.mzis, fourier.columns) == (stages * ports // 2, stages)
        assert fourier.universal == (ports <= 2)


@given(name=st.sampled_from(sorted(LAYOUTS)), exponent=st.integers(0, 6), extra=st.integers(0, 20))
def test_every_layout_is_a_mesh(name, exponent, extra):
    """MZIs of a column touch different lines, the order is by column, then by upper line."""
    ports = 2**exponent if name == "butterfly" else 2**exponent + extra
    layout = named_layout(name, ports)
    for column in pairs(layout):
        lines = [line for pair in column for line in pair]
        assert len(set(lines)) == len(lines)
        assert column == sorted(column)
    assert layout.columns == 0 or set(layout.column.tolist()) == set(range(layout.columns))
    assert np.all((layout.upper >= 0) & (layout.lower < layout.lines))
    if name in NEIGHBOURS:
        assert np.array_equal(layout.lower, layout.upper + 1)
    else:
        assert np.array_equal(layout.lower - layout.upper, 2**layout.column)
    starts = layout.column_starts
    assert starts[0] == 0
    assert starts[-1] == layout.mzis
    assert all(np.all(layout.column[starts[c] : starts[c + 1]] == c) for c in range(layout.columns))
    places = set(zip(layout.column.tolist(), layout.row.tolist(), strict=True))
    assert len(places) == layout.mzis
    assert np.all(layout.row < max(layout.lines - 1, 1))


@pytest.mark.parametrize("name", sorted(LAYOUTS))
@pytest.mark.parametrize("ports", [1, 2, 8])
def test_every_line_passes_every_column(name, ports):
    """A line passes each column in an MZI or in a waveguide: both together make the depth."""
    layout = named_layout(name, ports)
    passed = layout.passed_at_end.copy()
    for m in range(layout.mzis):
        assert np.all(layout.passed[m] >= 0)
        passed[[layout.upper[m], layout.lower[m]]] += layout.passed[m] + 1
    assert np.all(passed == layout.columns)


def test_waveguides_before_an_mzi_are_counted():
    """The edge lines of a rectangle skip every second column, those of a triangle wait longer."""
    assert clements(4).passed.tolist() == [[0, 0], [0, 0], [0, 0], [1, 0], [0, 1], [0, 0]]
    assert clements(4).passed_at_end.tolist() == [1, 0, 0, 1]
    assert reck(4).passed.tolist() == [[0, 0], [1, 0], [2, 0], [0, 1], [0, 0], [0, 1]]


def test_diamond_contains_the_triangle():
    """The MZIs between the ports of a diamond are those of the Reck layout, in its order."""
    outer, inner = diamond(6), reck(6)
    between_ports = outer.lower < 6
    for name in ("column", "upper", "lower"):
        assert np.array_equal(getattr(outer, name)[between_ports], getattr(inner, name))


def test_layouts_are_values():
    """Two layouts of the same kind and size are equal, also after pickling, and cannot change."""
    one, other = clements(5), pickle.loads(pickle.dumps(clements(5)))
    assert one == other
    assert hash(one) == hash(other)
    assert one != reck(5)
    assert one != clements(4)
    with pytest.raises(ValueError, match="read-only"):
        one.upper[0] = 3


@pytest.mark.parametrize("ports", [0, -1, 2.0, "4", True, None])
@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_unusable_numbers_of_ports(name, ports):
    """A number of ports is an integer of at least 1."""
    with pytest.raises(InputError, match="integer of at least 1"):
        named_layout(name, ports)


def test_butterfly_says_which_sizes_it_supports():
    """Sizes that are no power of two are refused by name."""
    with pytest.raises(InputError, match=r"'butterfly' needs a power of two.*take 4 or 8"):
        butterfly(6)


def test_unknown_layout():
    """The nearest name is offered."""
    with pytest.raises(InputError, match="did you mean 'clements'"):
        named_layout("clement", 4)


def test_meshes_beyond_memory():
    """A mesh whose arrays would not fit is refused before anything is allocated."""
    with pytest.raises(InputError, match="GB of memory"):
        clements(10**7)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ports": 5}, "ports=5 must lie"),
        ({"upper": [0, 1]}, "shapes"),
        ({"lower": [1, 4, 2]}, "upper < lower"),
        ({"upper": [0, 3, 1]}, "upper < lower"),
        ({"column": [0, 0, 2]}, "column must lie"),
        ({"column": [1, 0, 1]}, "sorted"),
        ({"lower": [2, 3, 2]}, "share a line"),
    ],
)
def test_arrays_that_are_no_mesh(change, said):
    """Own layouts are checked: ranges, order, lines used twice."""
    arrays = {"column": [0, 0, 1], "upper": [0, 2, 1], "lower": [1, 3, 2]}
    good = {"name": "own", "ports": 4, "lines": 4, "columns": 2, "universal": False, **arrays}
    assert Layout(**good).mzis == 3
    with pytest.raises(InputError, match=said):
        Layout(**{**good, **change})


def test_exported():
    """The constructors are where the documentation says."""
    assert photonics.LAYOUTS["reck"] is photonics.reck
