"""Photodetector, intensity and homodyne readout: means, noise, limits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from pydantic import ValidationError
from scipy.constants import Boltzmann, c, elementary_charge, h

from zerohm import InputError
from zerohm._random import stream
from zerohm.devices.photonic.laser import Laser
from zerohm.devices.photonic.optical_readout import HomodyneReadout, IntensityReadout, intensity
from zerohm.devices.photonic.photodetector import Photodetector, photons_per_sample

QUANTUM = elementary_charge * 1550e-9 / (h * c)  # A/W at one electron per photon


def test_noise_of_a_detector_by_hand():
    """2q(RP + I_d)B + 4kTB/R_L from the constants, for the default detector at 1 mW."""
    detector = Photodetector()
    shot = 2 * 1.602176634e-19 * (1e-3 + 0.1e-9) * 20e9
    thermal = 4 * 1.380649e-23 * 300 * 20e9 / 166
    assert_allclose(detector.variance(1e-3), shot + thermal, rtol=1e-12)
    assert_allclose(detector.thermal_variance, 1.9961e-12, rtol=1e-4)
    assert_allclose(detector.noise_equivalent_power() * 1.0, detector.std(0.0))


@pytest.mark.parametrize("power", [0.0, 1e-6, 1e-3])
def test_currents_have_the_noise_that_is_stated(naive, power):
    """Mean R P, variance, kurtosis and independence of 40 000 readings; 5 % too little fails."""
    detector = Photodetector(responsivity=0.8)
    found = detector.detect(np.full((40_000, 3), power), stream(1, "detect", str(power)))
    naive.check_moments(found, 0.8 * power, detector.std(power))
    naive.check_independent(found)
    quieter = 0.8 * power + 0.95 * (found - 0.8 * power)
    with pytest.raises(AssertionError, match="variance"):
        naive.check_moments(quieter, 0.8 * power, detector.std(power))


def test_noise_belongs_to_the_power_of_its_port(naive):
    """Bright and dark ports have different variances; one variance for all ports fails."""
    detector = Photodetector(load_resistance=1e6)
    power = np.array([1e-6, 1e-4, 5e-3])
    rng = stream(2, "ports")
    found = detector.detect(np.broadcast_to(power, (20_000, 3)), rng)
    naive.check_moments(found, power, detector.std(power))
    common = power + detector.std(power.mean()) * rng.standard_normal((20_000, 3))
    with pytest.raises(AssertionError, match="standard errors off"):
        naive.check_moments(common, power, detector.std(power))


@given(power=st.floats(1e-9, 1e-2), bandwidth=st.floats(1e6, 1e11))
def test_an_ideal_detector_counts_photons(power, bandwidth):
    """Without dark and thermal noise SNR² is the number of photons per sample, 1/2B."""
    detector = Photodetector(
        responsivity=QUANTUM * (1 - 1e-12),
        dark_current=0.0,
        bandwidth=bandwidth,
        load_resistance=1e30,
    )
    photons = photons_per_sample(power, bandwidth=bandwidth)
    assert_allclose(detector.signal_to_noise(power) ** 2, photons, rtol=1e-6)
    assert_allclose(photons, Laser(power=power).photons(0.5 / bandwidth), rtol=1e-12)


def test_more_than_one_electron_per_photon_is_refused():
    """1.25 A/W is the most at 1550 nm, and a longer wavelength allows more."""
    assert_allclose(Photodetector(responsivity=0.5 * QUANTUM).quantum_efficiency, 0.5)
    with pytest.raises(ValidationError, match=r"at most 1\.25 A/W"):
        Photodetector(responsivity=1.3)
    assert Photodetector(responsivity=1.3, wavelength=1700e-9).quantum_efficiency < 1


def test_thermal_noise_is_that_of_the_load():
    """Variance ∝ T/R_L and ∝ B."""
    base, hot = Photodetector(), Photodetector(temperature=600.0, load_resistance=332.0)
    assert_allclose(hot.thermal_variance, base.thermal_variance)
    half = Photodetector(bandwidth=10e9)
    assert_allclose(half.variance(1e-3), base.variance(1e-3) / 2)
    assert_allclose(base.thermal_variance, 4 * Boltzmann * 300 * 20e9 / 166)


@pytest.mark.parametrize("power", [-1e-12, 11e-3, np.nan, np.inf])
def test_light_beyond_the_linear_range_is_refused(power):
    """Nothing is clipped: negative, saturating and undefined powers are named and counted."""
    with pytest.raises(InputError, match=r"1 of 3 optical powers, .* first, do not lie between"):
        Photodetector().detect(np.array([0.0, power, 1e-3]), stream(0))


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_precision_is_kept(dtype):
    """complex64 fields give float32 currents in both readouts."""
    fields = np.full((4, 2), 1e-2 + 1e-2j, dtype=dtype)
    for readout in (IntensityReadout(), HomodyneReadout()):
        assert readout.read(fields, stream(3)).dtype == fields.real.dtype
        assert readout.expected(fields).dtype == fields.real.dtype


def test_intensity_is_blind_to_the_phase():
    """|E|² of all ports, the same for any phase and never negative."""
    fields = 1e-2 * np.exp(1j * np.linspace(0, 6, 7))
    assert_allclose(intensity(fields), 1e-4)
    assert_allclose(IntensityReadout().expected(fields), 1e-4 * np.ones(7))


def test_intensity_readout_is_its_detector(naive):
    """The same distribution as the detector at |E|²."""
    fields = np.broadcast_to(np.array([1e-3, 3e-2j, 2e-2 - 2e-2j]), (20_000, 3))
    found = IntensityReadout().read(fields, stream(4, "intensity"))
    expected = intensity(fields[0])
    naive.check_moments(found, expected, Photodetector().std(expected))


@given(real=st.floats(-0.05, 0.05), imaginary=st.floats(-0.05, 0.05), phase=st.floats(-10, 10))
def test_a_quadrature_keeps_its_sign(real, imaginary, phase):
    """2 R √P_LO |E| cos(arg E − φ): linear, odd, and zero a quarter turn away."""
    field = np.array([real + 1j * imaginary])
    readout = HomodyneReadout(local_oscillator_phase=phase)
    expected = 2 * np.sqrt(1e-3) * np.abs(field) * np.cos(np.angle(field) - phase)
    assert_allclose(readout.expected(field), expected, atol=1e-15)
    assert_allclose(readout.expected(-field), -readout.expected(field))
    quarter = HomodyneReadout(local_oscillator_phase=phase + np.pi / 2)
    both = readout.expected(field) ** 2 + quarter.expected(field) ** 2
    assert_allclose(both, 4e-3 * intensity(field), atol=1e-18)


def test_homodyne_is_the_difference_of_two_detectors(naive):
    """Light through a 50:50 coupler onto two detectors with one load: same mean and variance.

    The noise without that of the local oscillator fails.
    """
    detector = Photodetector(dark_current=1e-6)
    readout = HomodyneReadout(detector=detector, local_oscillator_phase=0.4)
    field, oscillator = 2e-2 * np.exp(1.1j), np.sqrt(1e-3) * np.exp(0.4j)
    bright = np.abs(field + oscillator) ** 2 / 2
    dark = np.abs(field - oscillator) ** 2 / 2
    rng = stream(5, "homodyne")
    # Each detector brings the shot noise of its own light; the load is there only once.
    shot = [
        current + np.sqrt(detector.shot_variance(current + 1e-6)) * rng.standard_normal(40_000)
        for current in (bright, dark)
    ]
    load = np.sqrt(detector.thermal_variance) * rng.standard_normal(40_000)
    found = readout.read(np.full((40_000, 1), field), rng)
    std = np.sqrt(readout.variance(np.array([field])))
    naive.check_moments(found, bright - dark, std)
    naive.check_moments((shot[0] - shot[1] + load)[:, None], bright - dark, std)
    with pytest.raises(AssertionError, match="variance"):
        naive.check_moments(
            (bright - dark + detector.std(np.abs(field) ** 2) * rng.standard_normal(40_000))[
                :, None
            ],
            bright - dark,
            std,
        )


def test_a_strong_local_oscillator_reaches_the_shot_noise_limit():
    """SNR² tends to 4 η photons per sample as P_LO grows, and never exceeds it."""
    field = np.array([1e-4])
    detector = Photodetector(saturation_power=1e3)
    limit = 4 * detector.quantum_efficiency * photons_per_sample(1e-8, bandwidth=20e9)
    ratios = []
    for power in (1e-4, 1e-2, 1.0, 100.0):
        readout = HomodyneReadout(detector=detector, local_oscillator_power=power)
        ratios.append(float(readout.expected(field)[0] ** 2 / readout.variance(field)[0]))
    assert np.all(np.diff(ratios) > 0)
    assert ratios[0] < 0.3 * limit
    assert 0.999 * limit < ratios[-1] < limit


def test_a_homodyne_detector_saturates_on_the_local_oscillator():
    """Half of the local oscillator falls on each detector and counts."""
    with pytest.raises(InputError, match="saturation_power"):
        HomodyneReadout(local_oscillator_power=21e-3).read(np.zeros(1, complex), stream(0))
