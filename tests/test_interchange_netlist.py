"""Netlists read back: the same circuit, the same currents as ngspice, and what is refused."""

import re
import shutil
import subprocess

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from zerohm import InputError
from zerohm.crossbar import Network, nonlinear
from zerohm.crossbar.spice_reader import read_spice

ROUNDINGS = 4.5e-16  # two of a double

resistance = st.one_of(st.just(0.0), st.floats(1e-3, 1e6))
terminal = st.one_of(resistance, st.just(np.inf))


@st.composite
def networks(draw):
    """Any network: open cells, one-cell lines, held, open and floating ends on all sides."""
    rows, cols = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    cells = st.one_of(st.just(0.0), st.floats(1e-9, 1e-1))
    conductance = draw(st.lists(cells, min_size=rows * cols, max_size=rows * cols))
    ends = {}
    for name, count in (("source", rows), ("sink", cols)):
        for side in (name, f"far_{name}"):
            values = draw(st.lists(terminal, min_size=count, max_size=count))
            ends[f"{side}_resistance"] = values
    try:
        network = Network(
            np.reshape(conductance, (rows, cols)),
            word_line_resistance=draw(resistance),
            bit_line_resistance=draw(resistance),
            **ends,
        )
    except InputError:  # a node without any path to a terminal
        network = Network(np.reshape(conductance, (rows, cols)))
    voltages = st.floats(-2.0, 2.0)
    word = draw(st.lists(voltages, min_size=rows, max_size=rows))
    return network, word, draw(st.lists(voltages, min_size=cols, max_size=cols))


def same_lines(found, expected, cells):
    """Whether wires are equal to two roundings, where they can carry current."""
    segment = expected.segment if cells > 1 else 0.0
    assert found.segment == segment
    for line, held in enumerate(expected.held):
        ends = [(found.first, expected.first), (found.last, expected.last)]
        if held:
            assert min(found.first[line], found.last[line]) == 0.0
            continue
        for theirs, ours in ends:
            np.testing.assert_allclose(theirs[line], ours[line], rtol=ROUNDINGS)


@settings(max_examples=120)
@given(given=networks())
def test_a_netlist_comes_back(given):
    """Voltages and segments exactly, conductances and terminals to two roundings."""
    network, word, bit = given
    found = read_spice(network.to_spice(word, bit_line_voltages=bit))
    assert found.voltages.tolist() == word
    assert found.bit_line_voltages.tolist() == bit
    ours, theirs = network.circuit, found.network.circuit
    np.testing.assert_allclose(theirs.conductance, ours.conductance, rtol=ROUNDINGS)
    assert np.array_equal(theirs.conductance == 0.0, ours.conductance == 0.0)
    same_lines(theirs.word, ours.word, ours.shape[1])
    same_lines(theirs.bit, ours.bit, ours.shape[0])


def array(rows=4, cols=3, **options):
    rng = np.random.default_rng(rows)
    conductance = 10.0 ** rng.uniform(-6, -4, (rows, cols))
    return Network(conductance, **options), rng.uniform(0.0, 0.2, rows)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"wire_resistance": 2.0, "source_resistance": 100.0},
        {"word_line_resistance": 3.0, "sink_resistance": 50.0},
        {"bit_line_resistance": 3.0, "far_source_resistance": 7.0},
        {"wire_resistance": 1.0, "source_resistance": [0.0, np.inf, 2.0, np.inf]},
    ],
)
def test_the_network_that_is_read_has_the_same_currents(options):
    """Solved before and after, to the accuracy of the solver; other wires are seen."""
    network, voltages = array(**options)
    found = read_spice(network.to_spice(voltages))
    expected = network.solve(voltages).currents
    np.testing.assert_allclose(found.network.solve(found.voltages).currents, expected, rtol=1e-9)
    other = Network(network.circuit.conductance, wire_resistance=500.0)
    assert not np.allclose(other.solve(voltages).currents, expected, rtol=1e-9)


@pytest.mark.skipif(shutil.which("ngspice") is None, reason="ngspice is not installed")
def test_ngspice_agrees_with_the_network_that_is_read(tmp_path):
    """What ngspice makes of the file is what we read in it."""
    network, voltages = array(
        6, 5, wire_resistance=4.0, source_resistance=30.0, far_sink_resistance=9.0
    )
    path = tmp_path / "circuit.cir"
    path.write_text(network.to_spice(voltages), encoding="utf-8")
    done = subprocess.run(
        ["ngspice", "-b", str(path)], capture_output=True, text=True, check=False, timeout=120
    )
    printed = dict(re.findall(r"i\(vsense(\d+)\) = (\S+)", done.stdout))
    found = read_spice(path.read_text(encoding="utf-8"))
    currents = found.network.solve(found.voltages).currents
    expected = [float(printed[str(line)]) for line in range(5)]
    np.testing.assert_allclose(currents, expected, rtol=1e-9)


def test_case_spaces_and_comments_do_not_matter():
    """SPICE does not tell capital letters from small ones."""
    network, voltages = array(wire_resistance=2.0)
    text = network.to_spice(voltages)
    lines = text.splitlines()
    changed = "\r\n".join(
        [lines[0], "* a comment", "", *(f"  {line.upper()} " for line in lines[1:])]
    )
    expected, found = read_spice(text), read_spice(changed)
    assert np.array_equal(found.network.circuit.conductance, expected.network.circuit.conductance)
    assert np.array_equal(found.voltages, voltages)


def changed(old, new, **options):
    """A netlist in which one line (its first match) is another."""
    network, voltages = array(**options)
    text = network.to_spice(voltages, bit_line_voltages=0.0)
    result, count = re.subn(old, new, text, count=1, flags=re.MULTILINE)
    assert count == 1
    return result


WIRED = {"wire_resistance": 2.0, "source_resistance": 100.0}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (r"^Rcell0_0 .*", "Ccell0_0 w0_0 b0_0 1e-12", r"line \d+: element 'ccell0_0' is unknown"),
        (r"^Rcell0_0 .*", "Rload w0_0 b0_0 50", "element 'rload' is unknown; a netlist may hold"),
        (r"^Rcell0_0 .*", "D1 w0_0 b0_0 dmod", "element 'd1' is unknown"),
        (r"^Rcell0_0 .*", ".subckt cell a b", r"'\.subckt' is not understood"),
        (r"^Rcell0_0 .*", "+ 3", r"'\+' is not understood"),
        (r"^Rcell0_0 .*", "Rcell0_0 w0_0 b0_0 1k", "value '1k', it must be a positive number of Ω"),
        (r"^Rcell0_0 .*", "Rcell0_0 w0_0 b0_0 0", "value '0', it must be a positive number"),
        (r"^Rcell0_0 .*", "Rcell0_0 w0_0 b0_0 -5", "value '-5', it must be a positive number"),
        (r"^Rcell0_0 .*", "Rcell0_0 w0_0 b0_0 nan", "value 'nan', it must be a positive number"),
        (r"^Rcell0_0 .*", "Rcell0_0 w0_0 b0_0 1e-320", r"conductance\[0, 0\]=.*inf"),
        (r"^Rcell0_0 .*", "Rcell0_0 w0_0 b0_0", "'rcell0_0' needs two nodes and a value"),
        (r"^Rcell0_0 .*", "Rcell0_0 w0_1 b0_0 9", "lies between w0_1 and b0_0; .* w0_0 and b0_0"),
        (r"^Rcell0_0 .*", "Rcell9_0 w9_0 b9_0 9", "'rcell9_0' is outside the 4x3 array"),
        (r"^Rcell0_1 .*", "Rcell0_0 w0_0 b0_0 9", r"'rcell0_0' is there already, on netlist line"),
        (r"^Vdrive0 .*", "Vdrive0 drive0 0 inf", "value 'inf', it must be a number of V"),
        (r"^Vdrive0 .*", "Vdrive0 drive0 w0_0 1", "'vdrive0' lies between drive0 and w0_0"),
        (r"^Vdrive1 .*\n", "", "no source vdrive1; every word line has one, numbered from 0"),
        (r"^Vsense2 .*\n", "", "'rsense2_1' has no source vsense2"),
        (r"^Rdrive0_1 .*", "Rdrive0_1 w0_0 w0_1 3", "all segments of one direction"),
        (r"^Rdrive0_1 .*\n", "", "the netlist has no 'rdrive0_1', which its crossbar needs"),
        (r"^Rdrive0_first .*", "Rdrive0_first drive0 w0_0 1", "at least the 2 Ω of the segment"),
        (r"^Rdrive0_first .*", "Rdrive7_first drive7 w7_0 102", "'rdrive7_first' has no source"),
        (r"^Rdrive0_1 .*", "Rdrive0_9 w0_8 w0_9 2", "'rdrive0_9' lies .* it does not exist there"),
    ],
)
def test_what_we_do_not_write_is_refused(old, new, message):
    """The message gives the line and the element."""
    with pytest.raises(InputError, match=message):
        read_spice(changed(old, new, **WIRED))


@pytest.mark.parametrize("text", ["", "title", "title\n.end\n", "title\n.control\nop\n"])
def test_a_file_without_a_circuit_is_refused(text):
    """Nothing becomes an empty array."""
    with pytest.raises(InputError, match="no source vdrive0"):
        read_spice(text)


def test_nonlinear_cells_are_refused():
    """Their law is not read from its expression."""
    network, voltages = array(wire_resistance=2.0)
    law = nonlinear.Sinh(a=0.2, b=5.0, max_voltage=0.5)
    with pytest.raises(InputError, match="element 'bcell0_0' is unknown"):
        read_spice(nonlinear.to_spice(network, law, voltages))


@settings(max_examples=120)
@given(data=st.data())
def test_a_damaged_netlist_is_read_or_refused(data):
    """Characters put in, replaced or taken away give a network or an InputError."""
    network, voltages = array(3, 2, wire_resistance=2.0)
    text = network.to_spice(voltages)
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = start + data.draw(st.integers(0, 3))
        middle = data.draw(st.text("RVrcel0123_. e-+*\n\x00²", max_size=3))
        text = text[:start] + middle + text[end:]
    try:
        found = read_spice(text)
    except InputError:
        return
    assert found.network.shape == (len(found.voltages), len(found.bit_line_voltages))
