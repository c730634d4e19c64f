"""I–V laws: published values, slopes, validity ranges, SPICE expressions, circuits and cards."""

import math
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from zerohm import InputError
from zerohm.crossbar import nonlinear
from zerohm.crossbar.network import Network
from zerohm.devices import iv

# Two limiting curves made for these tests: 250 µS and -30 µS at 0.2 V.
MIXING = iv.StateMixing(
    low_resistance=(2.6e-4, -5e-5),
    high_resistance=(-3.2e-5, 1e-5),
    read_voltage=0.2,
    conductance_min=5e-6,
    conductance_max=2.4e-4,
    max_voltage=0.8,
)

# Laws with the range of conductances (S) in which the tests use them.
LAWS = {
    "sinh": (iv.Sinh(a=0.3205, b=2.717, max_voltage=0.5), 1e-6, 1e-4),
    "Stanford-PKU": (iv.StanfordPKU(max_voltage=0.5), 1e-6, 1e-3),
    "odd polynomial": (iv.OddPolynomial(coefficients=(3.0, -0.5), max_voltage=0.5), 1e-6, 1e-4),
    "Milo2021": (iv.Milo2021(), 62.5e-6, 110e-6),
    "Nili2020": (iv.Nili2020(temperature=330.0), 3.16e-6, 316e-6),
    "state mixing": (MIXING, 5e-6, 2.4e-4),
}

laws = pytest.mark.parametrize(("law", "low", "high"), LAWS.values(), ids=LAWS)
fraction = st.floats(0.0, 1.0)


def test_every_law_is_in_these_tests():
    """A law cannot be added to the union without being tested here."""
    kinds = TypeAdapter(iv.IVLaw).json_schema()["discriminator"]["mapping"]
    assert set(kinds) == set(LAWS)


# Published values


def test_sinh_law_deviates_from_ohm_by_the_published_amount():
    """I = 0.3205 G sinh(2.717 V): slope 0.871 G at 0 V; I/V rises by 3.7 % from 0.1 to 0.2 V."""
    law = LAWS["sinh"][0]
    ones = np.ones(2)
    assert law.slope(ones, np.zeros(2))[0] == pytest.approx(0.3205 * 2.717)
    chord = law.current(ones, np.array([0.1, 0.2])) / np.array([0.1, 0.2])
    assert chord[1] / chord[0] - 1 == pytest.approx(0.037, abs=0.0005)
    assert law.current(ones, np.full(2, 0.34))[0] == pytest.approx(0.34, rel=1e-3)


def test_stanford_law_is_the_published_formula_of_the_gap():
    """I = 1 mA exp(-g / 0.25 nm) sinh(V / 0.25 V), at gaps and voltages written out by hand."""
    law = iv.StanfordPKU(max_voltage=0.5)
    gap, voltage = np.array([0.2e-9, 0.7e-9, 1.7e-9]), np.array([0.1, -0.2, 0.5])
    expected = 1e-3 * np.exp(-gap / 0.25e-9) * np.sinh(voltage / 0.25)
    np.testing.assert_allclose(law.current(law.conductance(gap), voltage), expected, rtol=1e-12)
    np.testing.assert_allclose(law.gap(law.conductance(gap)), gap, rtol=1e-12)
    np.testing.assert_allclose(law.law().current(gap, voltage), law.current(gap, voltage))


def test_milo_law_is_the_published_polynomial():
    """NL2 and NL3 as polynomials in log10 G, highest power first; asymmetric in the voltage."""
    conductance, voltage = np.array([62.5e-6, 80e-6, 110e-6]), 0.5
    decades = np.log10(conductance)
    second = np.polyval([1.388e-4, 1.541e-3, 5.711e-3, 7.063e-3], decades)
    third = np.polyval([8.8710e-05, 6.7919e-04, 1.2968e-03], decades)
    expected = conductance * voltage + second * voltage**2 + third * voltage**3
    law = iv.Milo2021()
    forward = law.current(conductance, np.full(3, voltage))
    np.testing.assert_allclose(forward, expected, rtol=1e-12)
    assert np.all(forward < -law.current(conductance, np.full(3, -voltage)))


def test_nili_law_is_the_published_fit_in_degrees_celsius():
    """A1 and A3 at 10 and 100 µS and 27 °C by hand; the fit read in kelvins is another device."""
    law = iv.Nili2020(temperature=300.15)
    conductance = np.array([10e-6, 100e-6])
    linear = [-2.58e-6 + 0.977 * g + 1.166e-7 * 27.0 for g in conductance]
    cubic = [1.18 * g + 6596 * g**2 + 1.605e-3 * 27.0**-1.33 for g in conductance]
    np.testing.assert_allclose(law.slope(conductance, np.zeros(2)), linear, rtol=1e-12)
    found = law.current(conductance, np.full(2, 0.4))
    expected = 0.4 * np.array(linear) + 0.064 * np.array(cubic)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert linear[0] == pytest.approx(10.3382e-6)
    in_kelvins = -2.58e-6 + 0.977 * 10e-6 + 1.166e-7 * 300.15
    assert in_kelvins > 4 * linear[0]


def test_nili_devices_differ_by_the_published_deviations():
    """σ1 and σ3 at 27 °C by hand, positive over the whole window."""
    law = iv.Nili2020(temperature=300.15)
    linear, cubic = law.device_to_device(np.array([20e-6]))
    assert linear[0] == pytest.approx(-1.07e-6 + 0.25 * 20e-6 + 2.2e-8 * 27 - 1300 * 4e-10)
    expected = 1.17e-5 + 1.30 * 20e-6 - 1e-7 * 27 - 6500 * 4e-10 - 2.5e-3 * 20e-6 * 27
    assert cubic[0] == pytest.approx(expected)
    with pytest.raises(InputError, match=r"from 3.16e-06 to 0.000316 S"):
        law.device_to_device(np.array([1e-6]))


def test_nili_law_conducts_more_when_hot():
    """The linear part grows by 1.166e-7 S per kelvin."""
    cold, hot = (
        iv.Nili2020(temperature=t).slope(np.array([50e-6]), np.zeros(1)) for t in (300, 350)
    )
    assert (hot - cold)[0] == pytest.approx(50 * 1.166e-7)


def test_mixing_passes_through_its_limits_and_its_read_voltage():
    """The limiting states follow their own curves, every state has I = G U at the read voltage."""
    low, high = MIXING.limits
    assert low == pytest.approx(2.6e-4 - 0.2 * 5e-5)
    voltage = np.linspace(-0.8, 0.8, 9)
    for conductance, curve in ((low, MIXING.low_resistance), (high, MIXING.high_resistance)):
        current, _ = MIXING.evaluate(np.full(9, abs(conductance)), voltage)
        if conductance > 0:
            np.testing.assert_allclose(current, np.polyval([*curve[::-1], 0.0], voltage))
    states = np.array([5e-6, 1e-4, 2.4e-4])
    np.testing.assert_allclose(MIXING.current(states, np.full(3, 0.2)), 0.2 * states, rtol=1e-12)


# Properties of every law


@laws
@given(where=fraction, bias=fraction)
def test_slope_is_the_derivative_and_positive(law, low, high, where, bias):
    """slope equals the central difference of current, and the current grows with the voltage."""
    step = 1e-5
    conductance = np.array([low * (high / low) ** where])
    voltage = np.array([(2 * bias - 1) * (law.max_voltage - 2 * step)])
    above, below = (
        law.current(conductance, voltage + step),
        law.current(conductance, voltage - step),
    )
    slope = law.slope(conductance, voltage)
    np.testing.assert_allclose(slope, (above - below) / (2 * step), rtol=1e-6)
    assert slope[0] > 0


@laws
def test_no_current_without_voltage_and_none_through_open_cells(law, low, high):
    """I(G, 0) = 0 and I(0, V) = 0, also for the slope."""
    states, voltage = np.geomspace(low, high, 7), np.linspace(-0.4, 0.4, 7)
    assert np.all(law.current(states, np.zeros(7)) == 0)
    assert np.all(law.current(np.zeros(7), voltage) == 0)
    assert np.all(law.slope(np.zeros(7), voltage) == 0)


@laws
def test_arrays_broadcast(law, low, high):
    """A matrix of cells under a column of voltages gives a matrix of currents."""
    states, voltage = np.geomspace(low, high, 6).reshape(2, 3), np.array([[0.1], [0.3]])
    found = law.current(states, voltage)
    assert found.shape == (2, 3)
    assert found[1, 2] == law.current(states[1, 2], voltage[1, 0])


@laws
def test_what_lies_outside_the_range_is_refused_by_name(law, low, high):
    """Voltages beyond ±max_voltage, conductances beyond the fit, and NaN raise InputError."""
    name = type(law).__name__
    state, beyond = np.array([math.sqrt(low * high)]), np.array([1.001 * law.max_voltage])
    for wrong in (beyond, -beyond, np.array([np.nan])):
        for of in (law.current, law.slope):
            with pytest.raises(InputError, match=f"within ±{law.max_voltage:g} V.*{name}"):
                of(state, wrong)
    if law.conductance_min > 0:
        for wrong in (0.999 * low, 1.001 * high, np.nan):
            with pytest.raises(InputError, match=f"{low:g} to {high:g} S.*{name}"):
                law.current(np.array([wrong]), np.zeros(1))
    for edge in (low, high):
        law.current(np.array([edge]), np.array([law.max_voltage, -law.max_voltage]))


@laws
def test_spice_expression_is_the_current(law, low, high):
    """The expression, evaluated as text, equals current(); an open cell is 0."""
    for conductance in np.geomspace(low, high, 5):
        for voltage in np.linspace(-law.max_voltage, law.max_voltage, 5):
            text = law.expression(float(conductance), f"({float(voltage)!r})")
            value = eval(text, {"sinh": math.sinh})
            expected = float(law.current(np.array(conductance), np.array(voltage)))
            assert value == pytest.approx(expected, rel=1e-12, abs=1e-25)
    assert eval(law.expression(0.0, "(0.1)"), {"sinh": math.sinh}) == 0


@laws
def test_a_law_is_the_same_after_a_card(law, low, high):
    """JSON and back through the union gives an equal law of the same class."""
    adapter = TypeAdapter(iv.IVLaw)
    again = adapter.validate_json(adapter.dump_json(law))
    assert again == law
    assert type(again) is type(law)


def test_laws_that_cannot_be_are_refused():
    """A falling current, curves of different lengths, a temperature outside the fit."""
    with pytest.raises(ValidationError, match="does not grow"):
        iv.OddPolynomial(coefficients=(-2.0,), max_voltage=1.0)
    with pytest.raises(ValidationError, match="does not grow with V up to 3 V at 5e-06 S"):
        replace(MIXING, max_voltage=3.0)
    with pytest.raises(ValidationError, match="same number"):
        iv.StateMixing(
            low_resistance=(1e-4, 1e-5),
            high_resistance=(1e-6,),
            read_voltage=0.2,
            conductance_min=1e-6,
            conductance_max=1e-4,
            max_voltage=0.5,
        )
    with pytest.raises(ValidationError, match="temperature"):
        iv.Nili2020(temperature=27.0)


# Circuits


def network(low, high, **options):
    rng = np.random.default_rng(0)
    states = low * (high / low) ** rng.random((6, 5))
    states[2, 3] = 0.0
    return Network(states, wire_resistance=20.0, source_resistance=100.0, **options)


@laws
def test_circuits_of_every_law_obey_it(law, low, high):
    """The cell currents follow the law, and as chord conductances they solve the linear network."""
    net = network(low, high)
    voltages = 0.4 * np.random.default_rng(1).uniform(-1.0, 1.0, 6)
    found = nonlinear.solve(net, law, voltages)
    expected = law.current(net.circuit.conductance, found.cell_voltages)
    np.testing.assert_allclose(found.cell_currents, expected, rtol=1e-12)
    chords = found.cell_currents / found.cell_voltages
    linear = Network(chords, wire_resistance=20.0, source_resistance=100.0).solve(voltages)
    np.testing.assert_allclose(found.currents, linear.currents, rtol=1e-7, atol=1e-15)


@laws
@pytest.mark.skipif(shutil.which("ngspice") is None, reason="ngspice is not installed")
def test_ngspice_agrees_on_every_law(law, low, high, tmp_path):
    """ngspice, given the expressions, finds the currents of the solver."""
    net = network(low, high)
    voltages = 0.4 * np.random.default_rng(2).uniform(-1.0, 1.0, 6)
    path = tmp_path / "circuit.cir"
    path.write_text(nonlinear.to_spice(net, law, voltages), encoding="utf-8")
    done = subprocess.run(
        ["ngspice", "-b", str(path)], capture_output=True, text=True, check=False, timeout=60
    )
    printed = dict(re.findall(r"i\(vsense(\d+)\) = (\S+)", done.stdout))
    found = np.array([float(printed[str(j)]) for j in range(5)])
    np.testing.assert_allclose(found, nonlinear.solve(net, law, voltages).currents, rtol=1e-9)


def test_circuits_outside_the_range_are_refused():
    """Conductances beyond a fit, word-line voltages, and cell voltages that only wires make."""
    law = iv.Milo2021()
    with pytest.raises(InputError, match=r"from 6.25e-05 to 0.00011 S.*Milo2021"):
        nonlinear.solve(Network([[1e-6]]), law, [0.1])
    with pytest.raises(InputError, match=r"within ±0.5 V.*Milo2021"):
        nonlinear.solve(Network([[1e-4]]), law, [0.6])
    # A poor sink lifts the bit line to nearly +0.5 V, and the last row is driven to -0.5 V.
    lifted = Network(np.full((9, 1), 1e-4), sink_resistance=1e6)
    with pytest.raises(InputError, match=r"within ±0.5 V.*Milo2021"):
        nonlinear.solve(lifted, law, [0.5] * 8 + [-0.5])
