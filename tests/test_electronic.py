"""Thermal and shot noise of read currents against textbook numbers and limits."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from zerohm.devices import electronic

positive = st.floats(1e-9, 1e3)


def noise(**changes):
    return electronic.ElectronicNoise(**{"bandwidth": 1.0, **changes})


def test_thermal_noise_of_a_kiloohm():
    """4.07 pA/√Hz at 300 K: the 4.07 nV/√Hz of 1 kΩ that every text on Johnson noise quotes."""
    assert float(noise().std(1e-3, 0.0)) == pytest.approx(4.07e-12, rel=1e-3)


def test_shot_noise_of_a_milliampere():
    """17.9 pA/√Hz, √(2e·1 mA), where thermal noise is frozen out."""
    assert float(noise(temperature=1e-6).std(1e-3, 1.0)) == pytest.approx(17.9e-12, rel=1e-3)


def test_read_of_one_cell():
    """50 µS at 0.2 V in 100 MHz: 9.10 nA thermal and 17.90 nA shot, by hand; together 20.08 nA."""
    read = noise(bandwidth=100e6)
    assert float(read.std(50e-6, 0.0)) == pytest.approx(9.10e-9, rel=1e-3)
    assert float(read.std(50e-6, 0.2)) == pytest.approx(20.08e-9, rel=1e-3)


def test_bound_by_a_tunnel_junction():
    """Between the density of a tunnel junction and 1.53 times of it, equal in both limits."""
    thermal_voltage = 300.0 * 1.380649e-23 / 1.602176634e-19
    voltage = thermal_voltage * np.geomspace(1e-4, 1e4, 1001)
    x = voltage / (2.0 * thermal_voltage)
    junction = 2.0 * 1.602176634e-19 * 50e-6 * voltage / np.tanh(x)
    ratio = noise().std(50e-6, voltage) ** 2 / junction
    assert ratio.min() > 1.0
    assert 1.52 < ratio.max() < 1.53
    np.testing.assert_allclose(ratio[[0, -1]], 1.0, atol=1e-3)


@given(conductance=positive, voltage=positive, bandwidth=positive)
def test_cells_of_a_column_add_their_variances(conductance, voltage, bandwidth):
    """The variance of a current from many cells is the sum of those of its parts, sign or not."""
    law = noise(bandwidth=bandwidth)
    cells = conductance * np.array([1.0, 2.0, 0.5])
    volts = voltage * np.array([1.0, -1.0, 0.0])
    together = law.current_variance(cells.sum(), np.abs(cells * volts).sum())
    np.testing.assert_allclose(together, (law.std(cells, volts) ** 2).sum(), rtol=1e-12)
    np.testing.assert_allclose(
        noise(bandwidth=4 * bandwidth).std(cells, volts), 2 * law.std(cells, -volts), rtol=1e-12
    )


def test_variances_keep_the_precision_of_the_currents():
    """float32 in, float32 out: a crossbar in single precision stays there."""
    ones = np.ones(3, dtype=np.float32)
    assert noise().current_variance(ones, ones).dtype == np.float32
    assert noise().std(ones, ones).dtype == np.float32


def test_card_holds_every_number():
    """A law written as JSON and read again is the same law."""
    adapter = TypeAdapter(electronic.ElectronicNoise)
    law = noise(temperature=350.0)
    assert adapter.validate_json(adapter.dump_json(law)) == law


@pytest.mark.parametrize(
    "changes",
    [{"bandwidth": 0.0}, {"bandwidth": math.inf}, {"temperature": 0.0}, {"fano_factor": 1.0}],
)
def test_impossible_parameters_are_refused(changes):
    """No bandwidth, an infinite one, no temperature, or an unknown name."""
    with pytest.raises(ValidationError, match=next(iter(changes))):
        noise(**changes)
