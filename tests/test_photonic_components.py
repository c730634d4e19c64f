"""Couplers, waveguides, modulators, lasers, activations and their energies."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from pydantic import ValidationError

from zerohm import InputError
from zerohm._random import stream
from zerohm.devices.photonic.directional_coupler import DirectionalCoupler
from zerohm.devices.photonic.electro_optic_activation import ElectroOpticActivation
from zerohm.devices.photonic.energy import PhotonicEnergy
from zerohm.devices.photonic.laser import Laser
from zerohm.devices.photonic.modulator import Modulator
from zerohm.devices.photonic.optical_readout import intensity
from zerohm.devices.photonic.phase_shifter import PhaseShifter
from zerohm.devices.photonic.waveguide import Waveguide, amplitude_factor

ERRORS = st.floats(-np.pi / 4, np.pi / 4)


@given(error=ERRORS)
def test_a_lossless_coupler_is_unitary_and_reciprocal(error):
    """B B† = 1 and B = Bᵀ at every splitting error; its determinant is 1."""
    matrix = DirectionalCoupler(angle_error=error).matrix
    assert_allclose(matrix @ matrix.conj().T, np.eye(2), atol=1e-15)
    assert_allclose(matrix, matrix.T)
    assert_allclose(np.linalg.det(matrix), 1.0)


@given(error=ERRORS, loss=st.floats(0.0, 20.0))
def test_excess_loss_takes_the_same_share_from_all_light(error, loss):
    """Singular values are 10^(−IL/20): a power factor 10^(−IL/10), never a gain."""
    coupler = DirectionalCoupler(angle_error=error, excess_loss_dB=loss)
    values = np.linalg.svd(coupler.matrix, compute_uv=False)
    assert_allclose(values**2, 10 ** (-loss / 10))
    assert_allclose(abs(coupler.matrix[1, 0]) ** 2 / values[0] ** 2, coupler.splitting_ratio)


def test_two_couplers_around_a_shifter_are_the_mzi_of_the_conventions():
    """B P(θ) B P(φ) is i e^{iθ/2} [[e^{iφ} sin, cos], [e^{iφ} cos, −sin]](θ/2)."""
    theta, phi = 1.1, 0.4
    coupler = DirectionalCoupler().matrix
    inner, outer = np.diag([np.exp(1j * theta), 1]), np.diag([np.exp(1j * phi), 1])
    s, c = np.sin(theta / 2), np.cos(theta / 2)
    expected = (
        1j
        * np.exp(1j * theta / 2)
        * np.array([[np.exp(1j * phi) * s, c], [np.exp(1j * phi) * c, -s]])
    )
    assert_allclose(coupler @ inner @ coupler @ outer, expected, atol=1e-15)


@given(losses=st.lists(st.floats(0.0, 30.0), max_size=5))
def test_losses_in_a_row_add_in_dB(losses):
    """Amplitude factors multiply to that of the sum, and none exceeds 1."""
    factors = [amplitude_factor(loss) for loss in losses]
    assert all(0 < factor <= 1 for factor in factors)
    assert_allclose(np.prod(factors), amplitude_factor(sum(losses)))


def test_three_dB_are_half_of_the_power():
    """The factor is of the amplitude: its square is the power's, unlike 10^(−dB/10) would be."""
    assert_allclose(amplitude_factor(10 * np.log10(2)) ** 2, 0.5)
    waveguide = Waveguide(length=5e-3, loss_dB_per_m=200.0, lumped_loss_dB=2.0)
    assert_allclose(waveguide.transmission**2, 10**-0.3)


@pytest.mark.parametrize("loss", [-0.5, np.nan, np.inf])
def test_a_loss_that_amplifies_is_refused_by_name(loss):
    """The function names the parameter; the models refuse a negative one too."""
    with pytest.raises(InputError, match=r"mzi_loss_dB=.* negative one would amplify"):
        amplitude_factor(loss, name="mzi_loss_dB")
    for build in (
        lambda: Waveguide(lumped_loss_dB=loss),
        lambda: DirectionalCoupler(excess_loss_dB=loss),
        lambda: Modulator(insertion_loss_dB=loss),
    ):
        with pytest.raises(ValidationError):
            build()


IDEAL = Modulator(insertion_loss_dB=0.0, extinction_ratio_dB=None)


@given(x=st.floats(-1.0, 1.0), power=st.floats(0.0, 1.0))
def test_an_ideal_modulator_sends_the_number(x, power):
    """E = x √P: the arcsine undoes the sine, and the sign is a phase of π."""
    assert_allclose(IDEAL.encode(x, power), x * np.sqrt(power), atol=1e-14)


@given(voltage=st.floats(-10, 10), ratio=st.floats(1, 60), loss=st.floats(0, 10))
def test_a_modulator_is_passive(voltage, ratio, loss):
    """|t|² lies between the insertion loss and, at the null, that and the extinction ratio."""
    modulator = Modulator(extinction_ratio_dB=ratio, insertion_loss_dB=loss)
    power = float(np.abs(modulator.transmission(voltage)) ** 2)
    largest = 10 ** (-loss / 10)
    assert largest * 10 ** (-ratio / 10) * (1 - 1e-9) <= power <= largest * (1 + 1e-9)
    full, null = np.abs(modulator.transmission([modulator.half_wave_voltage, 0.0])) ** 2
    assert_allclose([full, null], [largest, largest * 10 ** (-ratio / 10)], rtol=1e-9)


def test_the_converter_has_a_zero_and_both_ends():
    """2^b − 1 voltages, symmetric about 0; errors of at most half a step of the voltage."""
    modulator = Modulator(bits=3, half_wave_voltage=2.0)
    values = np.linspace(-1, 1, 4001)
    voltage = modulator.voltage(values)
    assert_allclose(np.unique(voltage), 2.0 * np.arange(-3, 4) / 3, atol=1e-15)
    exact = Modulator(half_wave_voltage=2.0).voltage(values)
    assert np.abs(voltage - exact).max() <= 2.0 / 3 / 2 * (1 + 1e-9)


def test_symbols_cost_the_charge_of_their_voltage():
    """½ C V², at most ½ C V_π² per symbol and nothing for zero."""
    modulator = Modulator(half_wave_voltage=2.0, capacitance=50e-15)
    assert_allclose(modulator.symbol_energy([0.0, 1.0, -1.0]), [0.0, 1e-13, 1e-13])
    assert_allclose(modulator.symbol_energy(0.5), 1e-13 * (2 / np.pi * np.arcsin(0.5)) ** 2)


def test_single_precision_inputs_give_single_precision_fields():
    """float32 in, complex64 out."""
    assert Modulator(bits=8).encode(np.zeros(3, np.float32), 1e-3).dtype == np.complex64


@pytest.mark.parametrize(
    ("values", "power", "said"),
    [
        ([0.0, 1.1], 1e-3, "1 of 2 inputs, 1.1 first, do not lie between -1 and 1"),
        ([np.nan], 1e-3, "1 of 1 inputs"),
        ([0.0], -1e-3, "power=-0.001 W"),
    ],
)
def test_numbers_that_no_modulator_sends_are_refused(values, power, said):
    """It attenuates only; nothing is clipped."""
    with pytest.raises(InputError, match=said):
        Modulator().encode(values, power)


def test_relative_intensity_noise_has_its_variance(naive):
    """RIN · B of the relative power, normal and independent; a quarter of it fails."""
    laser = Laser(power=5e-3, rin_dB_per_Hz=-140.0)
    std = 5e-3 * np.sqrt(1e-14 * 20e9)
    found = laser.powers((40_000, 2), stream(1, "RIN"), bandwidth=20e9)
    naive.check_moments(found, 5e-3, std)
    naive.check_independent(found)
    assert laser.powers((2,), stream(1), bandwidth=1e9, dtype=np.float32).dtype == np.float32
    with pytest.raises(AssertionError, match="variance"):
        naive.check_moments(5e-3 + (found - 5e-3) / 2, 5e-3, std)


def test_laser_photons_and_wall_power():
    """1 mW at 1550 nm is 7.8e15 photons per second and takes P/η."""
    laser = Laser(power=1e-3, efficiency=0.25)
    assert_allclose(laser.photons(1.0), 7.803e15, rtol=1e-3)
    assert_allclose(laser.electrical_power, 4e-3)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: Laser(rin_dB_per_Hz=-100.0).relative_std(20e9), "negative powers"),
        (lambda: Laser().relative_std(-1.0), "bandwidth=-1.0 Hz"),
    ],
)
def test_noise_beyond_the_model_is_refused(call, said):
    """A normal law must not reach negative powers."""
    with pytest.raises(InputError, match=said):
        call()


def fields(seed, shape=(5,), size=0.2):
    rng = np.random.default_rng(seed)
    return size * (rng.standard_normal(shape) + 1j * rng.standard_normal(shape))


@given(seed=st.integers(0, 2**32 - 1), tap=st.floats(0.01, 0.9), bias=st.floats(-7, 7))
def test_activation_is_williamsons_equation(seed, tap, bias):
    """i √(1−α) e^(−i(gI/2 + φ_b/2)) cos(gI/2 + φ_b/2) E, and passive."""
    activation = ElectroOpticActivation(tap=tap, bias_phase=bias)
    light = fields(seed)
    half = activation.phase_gain * np.abs(light) ** 2 / 2 + bias / 2
    expected = 1j * np.sqrt(1 - tap) * np.exp(-1j * half) * np.cos(half) * light
    found = activation(light)
    assert_allclose(found, expected, rtol=1e-12, atol=1e-16)
    assert np.all(intensity(found) <= (1 - tap) * intensity(light) * (1 + 1e-12))


def test_ffzeros_activation_differs_by_a_quarter_turn():
    """FFzero's values for a unit of 1 mW: the same but for the leading i."""
    units = np.array([1.0 + 0j, 2.0 - 1.0j])  # amplitudes, |E|² in mW
    psi = 0.05 * np.pi * np.abs(units) ** 2 / 2 + np.pi / 2
    theirs = np.sqrt(0.9) * np.cos(psi) * np.exp(-1j * psi) * units
    ours = ElectroOpticActivation()(units * np.sqrt(1e-3)) / np.sqrt(1e-3)
    assert_allclose(ours, 1j * theirs, rtol=1e-12)


def test_weak_light_is_blocked_or_passed_by_the_bias():
    """φ_b = π: f ∝ |E|² E, √(1−α) g/2 of it; φ_b = 0: √(1−α) of the light."""
    light = np.array([1e-5 + 0j])
    blocked = np.abs(ElectroOpticActivation()(light))
    gain = ElectroOpticActivation().phase_gain
    assert_allclose(blocked, np.sqrt(0.9) * gain / 2 * 1e-15, rtol=1e-6)
    passed = np.abs(ElectroOpticActivation(bias_phase=0.0)(light))
    assert_allclose(passed, np.sqrt(0.9) * 1e-5, rtol=1e-6)


@given(seed=st.integers(0, 2**32 - 1))
def test_pulled_back_gradients_are_differences(seed):
    """∂L/∂E* of a real L against central differences in both parts; the holomorphic rule fails."""
    activation = ElectroOpticActivation(bias_phase=0.7)
    light, weight = fields(seed), fields(seed + 1, size=1.0)

    def loss(at):
        out = activation(at)
        return np.sum(np.abs(out - weight) ** 2)

    found = activation.pull_back(light, activation(light) - weight)  # dL/df* = f − w
    step, numeric = 1e-6, np.empty(5, complex)
    for j in range(5):
        move = step * (np.arange(5) == j)
        real = (loss(light + move) - loss(light - move)) / (2 * step)
        imaginary = (loss(light + 1j * move) - loss(light - 1j * move)) / (2 * step)
        numeric[j] = (real + 1j * imaginary) / 2
    assert_allclose(found, numeric, rtol=1e-5, atol=1e-7)
    holomorphic = np.conj(activation(light) / light) * (activation(light) - weight)
    assert np.abs(holomorphic - numeric).max() > 1e-3


def test_activation_from_its_electronics():
    """g = π α R_t R / V_π; 5 kΩ and 10 V are the default, which is FFzero's per mW."""
    found = ElectroOpticActivation.from_circuit(
        tap=0.2, responsivity=0.5, transimpedance=1e4, half_wave_voltage=5.0, bias_voltage=2.5
    )
    assert_allclose(found.phase_gain, np.pi * 0.2 * 0.5 * 1e4 / 5.0)
    assert_allclose(found.bias_phase, np.pi / 2)
    with pytest.raises(InputError, match="must be positive"):
        ElectroOpticActivation.from_circuit(half_wave_voltage=0.0)


def test_an_activation_burns_its_amplifier():
    """30 mW at 1 GHz are 30 pJ per symbol."""
    assert_allclose(ElectroOpticActivation().energy(1e9), 30e-12)
    with pytest.raises(InputError, match="symbol_rate"):
        ElectroOpticActivation().energy(0.0)


def inference(**changes):
    given = {
        "vectors": 10,
        "laser_power": 50e-3,
        "heater_power": 1.6,
        "inputs": 8,
        "outputs": 4,
        "dac_bits": 8,
        "adc_bits": 6,
        "modulation_energy": 3e-12,
    }
    return PhotonicEnergy(symbol_rate=1e9).inference(**(given | changes))


def test_energy_of_an_inference_part_by_part():
    """Static powers over vectors / f, conversions per port, by hand."""
    found = inference()
    expected = {
        "laser": 50e-3 * 10e-9,
        "heaters": 1.6 * 10e-9,
        "dac": 10 * 8 * 8 * 0.39e-12,
        "modulators": 3e-12,
        "receivers": 10 * 4 * 0.55e-12,
        "adc": 10 * 4 * 1.56e-12 / 4,
    }
    assert found.keys() == expected.keys()
    assert_allclose(list(found.values()), list(expected.values()))


def test_heaters_dominate_a_slow_mesh_and_converters_a_fast_one():
    """Energy per vector of heaters falls as 1/f, that of converters does not change."""
    slow = PhotonicEnergy(symbol_rate=1e6).update(
        heaters=64,
        laser_power=50e-3,
        heater_power=1.6,
        bits=8,
        settling_time=PhaseShifter().settling_time(tolerance=0.01),
    )
    assert_allclose(slow["heaters"], 1.6 * 1.22e-6 * np.log(np.pi / 0.01))
    assert_allclose(slow["dac"], 64 * 8 * 0.39e-12)
    assert slow["heaters"] > 100 * slow["dac"]


@pytest.mark.parametrize("changes", [{"laser_power": -1.0}, {"heater_power": np.nan}])
def test_impossible_energies_are_refused(changes):
    """A negative or undefined part is named."""
    with pytest.raises(InputError, match=r"the energy of (laser|heaters) would be"):
        inference(**changes)
