"""The netlists of networks, run by ngspice, against the solvers."""

import re
import shutil
import subprocess

import numpy as np
import pytest

from zerohm import InputError
from zerohm.crossbar import nonlinear
from zerohm.crossbar.network import Network

needs_ngspice = pytest.mark.skipif(
    shutil.which("ngspice") is None, reason="ngspice is not installed"
)


def run(text, tmp_path):
    """Sense currents that ngspice prints for a netlist, A."""
    path = tmp_path / "circuit.cir"
    path.write_text(text, encoding="utf-8")
    done = subprocess.run(
        ["ngspice", "-b", str(path)], capture_output=True, text=True, check=False, timeout=120
    )
    found = dict(re.findall(r"i\(vsense(\d+)\) = (\S+)", done.stdout))
    assert found, done.stdout + done.stderr
    return np.array([float(found[str(j)]) for j in range(len(found))])


def array(rows, cols):
    rng = np.random.default_rng(rows)
    return 10.0 ** rng.uniform(-6, -4, (rows, cols)), rng.uniform(0.0, 0.2, rows)


@needs_ngspice
@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((1, 1), {"wire_resistance": 2.0, "source_resistance": 100.0}),
        ((5, 7), {"word_line_resistance": 1.0, "bit_line_resistance": 4.0, "sink_resistance": 50}),
        ((6, 4), {"word_line_resistance": 3.0}),
        ((4, 6), {"bit_line_resistance": 3.0, "source_resistance": 10.0}),
        ((8, 5), {"wire_resistance": 3.0, "far_source_resistance": 0.0, "far_sink_resistance": 7}),
        ((5, 3), {"wire_resistance": 3.0, "source_resistance": [0, np.inf, 0, 2, 0]}),
        ((5, 4), {}),
        ((32, 32), {"wire_resistance": 2.5, "source_resistance": 200.0, "sink_resistance": 20.0}),
    ],
)
def test_ngspice_agrees(shape, options, tmp_path):
    conductance, voltages = array(*shape)
    net = Network(conductance, **options)
    found = run(net.to_spice(voltages), tmp_path)
    expected = net.solve(voltages).currents
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@needs_ngspice
def test_ngspice_agrees_on_open_cells_and_biased_bit_lines(tmp_path):
    conductance, voltages = array(6, 5)
    conductance[conductance < 5e-6] = 0.0
    bias = np.array([0.0, 0.1, 0.05, 0.0, -0.1])
    net = Network(conductance, wire_resistance=5.0)
    found = run(net.to_spice(voltages, bit_line_voltages=bias), tmp_path)
    expected = net.solve(voltages, bit_line_voltages=bias).currents
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@needs_ngspice
@pytest.mark.parametrize(
    "law",
    [
        nonlinear.Sinh(a=0.2, b=5.0, max_voltage=0.5),
        nonlinear.OddPolynomial(coefficients=(3.0, -0.5), max_voltage=0.5),
    ],
    ids=["sinh", "polynomial"],
)
def test_ngspice_agrees_on_nonlinear_cells(law, tmp_path):
    conductance, voltages = array(10, 8)
    net = Network(conductance, wire_resistance=20.0, source_resistance=100.0)
    found = run(nonlinear.to_spice(net, law, 2.0 * voltages), tmp_path)
    expected = nonlinear.solve(net, law, 2.0 * voltages).currents
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_a_netlist_has_no_resistor_of_zero_ohm_and_every_cell():
    conductance, voltages = array(4, 3)
    text = Network(conductance, bit_line_resistance=2.0).to_spice(voltages)
    resistances = [float(line.split()[3]) for line in text.splitlines() if line.startswith("R")]
    assert min(resistances) > 0.0
    assert len(re.findall(r"^Rcell", text, re.MULTILINE)) == 12
    assert len(re.findall(r"^Vdrive", text, re.MULTILINE)) == 4


def test_a_batch_is_not_a_netlist():
    with pytest.raises(InputError, match="one vector"):
        Network(np.ones((2, 2))).to_spice(np.ones((3, 2)))
