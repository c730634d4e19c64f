"""A layer on Mach–Zehnder meshes: the protocol's contracts, noise, crosstalk, drift, ledger.

Statistical tests use the checks of ``naive.py`` (false-alarm rate at most 1e-4 per check, fixed
seeds), and each has a companion that feeds the same check a wrong expectation.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zerohm as zo
from zerohm import InputError
from zerohm.crossbar import ADC
from zerohm.devices.photonic.energy import PhotonicEnergy
from zerohm.devices.photonic.laser import Laser
from zerohm.devices.photonic.modulator import Modulator
from zerohm.devices.photonic.optical_readout import HomodyneReadout
from zerohm.devices.photonic.phase_shifter import PhaseShifter
from zerohm.devices.photonic.photodetector import Photodetector
from zerohm.devices.photonic.thermal_crosstalk import ThermalCrosstalk
from zerohm.mapping import photonic
from zerohm.photonics import Imperfections

OUT, IN, BATCH = 5, 7, 3
LIMIT = 6.0 / math.sqrt(IN)
# A bandwidth in which no noise is left, exact converters, double precision.
EXACT = {
    "imperfections": Imperfections(),
    "modulator": Modulator(extinction_ratio_dB=None),
    "laser": Laser(rin_dB_per_Hz=-300.0),
    "readout": HomodyneReadout(detector=Photodetector(bandwidth=1e-12)),
    "adc": None,
    "precision": "float64",
}
SMALL = 1e-4  # rad of phase noise: second order is far below every statistical error here
PITCHES = {"column_pitch": 200e-6, "line_pitch": 100e-6}
# An eighth of a heater's effect on the phase shifters next to it.
STRONG = ThermalCrosstalk(coefficient=0.9, reference_distance=0.0, decay_length=50e-6)
WRITES = 8000


def exact(**options):
    """Hardware without noise and rounding, apart from what is asked for."""
    return photonic(**{**EXACT, **options})


def process(**parameters):
    """Imperfections as the one option they are."""
    return {"imperfections": Imperfections(**parameters)}


def weights_for(outputs=OUT, inputs=IN, seed=0):
    """Weights over the whole range that this many inputs can store."""
    limit = 6.0 / math.sqrt(inputs)
    return np.random.default_rng(seed).uniform(-limit, limit, (outputs, inputs))


def inputs_for(*shape, seed=1):
    """Inputs over the converters' range."""
    return np.random.default_rng(seed).uniform(-1, 1, shape)


def rng(seed=2):
    """A fresh generator."""
    return np.random.default_rng(seed)


# The protocol


def test_identity():
    """Name, cells per weight, and citations that resolve, correction included."""
    hardware = photonic(corrected=True)
    assert (hardware.name, hardware.cells_per_weight) == ("photonic", 1)
    assert zo.cite(hardware).count("@") == len(set(hardware.citations)) > 4


@given(
    outputs=st.integers(1, 6),
    inputs=st.integers(1, 6),
    layout=st.sampled_from(["clements", "reck", "diamond"]),
    loss=st.sampled_from([0.0, 0.3]),
    headroom=st.floats(0.3, 1.0),
    seed=st.integers(0, 1000),
)
def test_noiseless_light_is_the_matrix_product(outputs, inputs, layout, loss, headroom, seed):
    """Stored weights, products and read-back, to rounding; equal losses are only a gain."""
    hardware = exact(
        layout=layout, headroom=headroom, **process(loss_dB=loss, waveguide_loss_dB=loss)
    )
    weights, x = weights_for(outputs, inputs, seed), inputs_for(BATCH, inputs, seed=seed)
    state = hardware.program(weights, rng=rng())
    np.testing.assert_allclose(state.truth, weights, rtol=0, atol=1e-11)
    np.testing.assert_allclose(state.apply(x, rng=rng()), x @ weights.T, rtol=0, atol=1e-10)
    np.testing.assert_allclose(state.read_back(rng=rng()), weights, rtol=0, atol=1e-10)


def test_a_matrix_of_zeros_is_dark():
    """No singular value to scale by, and nothing comes through; the noise is finite."""
    hardware = exact(**process(phase_std=0.01))
    state = exact().program(np.zeros((OUT, IN)), rng=rng())
    np.testing.assert_allclose(state.truth, 0.0, atol=1e-15)
    np.testing.assert_allclose(state.apply(inputs_for(2, IN), rng=rng()), 0.0, atol=1e-12)
    assert np.all(np.isfinite(hardware.write_noise(np.zeros((OUT, IN))).std))
    assert np.all(np.isfinite(photonic().read_back_std(np.zeros((OUT, IN)))))


@pytest.mark.parametrize("copies", [1, 4])
def test_shapes_with_and_without_copies(copies):
    """A leading axis of copies in everything, absent for one; inputs shared or per copy."""
    state = photonic().program(weights_for(), rng=rng(), copies=copies)
    lead = () if copies == 1 else (copies,)
    assert state.truth.shape == (*lead, OUT, IN)
    assert state.read_back(rng=rng()).shape == (*lead, OUT, IN)
    for batch in (0, 1, BATCH, 100):  # few vectors pass the columns, many meet the matrix
        assert state.apply(inputs_for(batch, IN), rng=rng()).shape == (*lead, batch, OUT)
        y = state.apply(inputs_for(*lead, batch, IN), rng=rng())
        assert y.shape == (*lead, batch, OUT)


@pytest.mark.parametrize("batch", [BATCH, 100])
def test_inputs_per_copy_meet_their_own_copy(batch):
    """Copy c multiplies batch c, however light is sent through; other copies give other results."""
    state = exact(**process(phase_std=0.05)).program(weights_for(), rng=rng(), copies=4)
    x = inputs_for(4, batch, IN)
    together = state.apply(x, rng=rng())
    for c in range(4):
        np.testing.assert_allclose(together[c], x[c] @ state.truth[c].T, rtol=0, atol=1e-10)
    assert np.abs(together[0] - x[0] @ state.truth[1].T).max() > 0.01


def test_layout_and_type_of_numbers_do_not_matter():
    """Fortran order, strides and whole numbers are the caller's business."""
    state, x = exact().program(weights_for(), rng=rng()), inputs_for(BATCH, IN)
    for other in (np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2]):
        np.testing.assert_allclose(
            state.apply(other, rng=rng()), state.apply(x, rng=rng()), rtol=0, atol=1e-11
        )
    whole = np.array([[1, -1, 0, 1, 0, 1, -1]])
    truth = exact().program(whole, rng=rng()).truth
    np.testing.assert_allclose(truth, whole, rtol=0, atol=1e-12)
    np.testing.assert_allclose(
        state.apply(whole, rng=rng()), state.apply(whole.astype(float), rng=rng())
    )


def test_converters_round_and_count():
    """Codes of 8 bits are voltages of a sin² drive and currents; both are off by half a step."""
    weights, x = weights_for(), inputs_for(BATCH, IN)
    hardware = exact(modulator=Modulator(bits=8, extinction_ratio_dB=None), adc=ADC(bits=8))
    state = hardware.program(weights, rng=rng())
    gain = hardware.settings(weights).gain
    half_step = 0.5 / 127
    bound = 0.5 * math.pi * half_step * np.abs(weights).sum(axis=1)
    bound += half_step * gain * hardware.output_range
    error = np.abs(state.apply(x, rng=rng()) - x @ weights.T)
    assert np.all(error <= bound)
    assert error.max() > 0.1 * bound.min()
    ledger = state.ledger
    assert (ledger.dac_conversions, ledger.adc_conversions) == (BATCH * IN, BATCH * OUT)
    read = np.abs(state.read_back(rng=rng()) - weights)
    assert read.max() <= half_step * 1.25 * np.abs(weights).max() * (1 + 1e-9)


def test_inputs_beyond_full_scale_saturate_and_are_counted():
    """Light cannot be brighter than the laser; results beyond the ADC's range neither."""
    state = exact(adc=ADC(bits=8), output_range=0.1).program(weights_for(), rng=rng())
    wide = np.full((1, IN), 3.0)
    np.testing.assert_allclose(state.apply(wide, rng=rng()), state.apply(wide / 3, rng=rng()))
    assert state.ledger.dac_saturations == IN
    assert state.ledger.adc_saturations > 0


def test_single_precision_agrees_with_double():
    """The same layer in float32 and float64, to 1e-5 of the largest output."""
    weights, x = weights_for(30, 50), inputs_for(200, 50)
    double = exact().program(weights, rng=rng()).apply(x, rng=rng())
    single = exact(precision="float32").program(weights, rng=rng())
    y = single.apply(x, rng=rng())
    assert y.dtype == single.truth.dtype == single.read_back(rng=rng()).dtype == np.float32
    assert np.abs(y - double).max() < 1e-5 * np.abs(double).max()


# Chips


def test_the_same_chip_at_every_programming():
    """Splitter errors belong to (chip, place): programming again, or more precisely, meets them."""
    hardware = exact(**process(splitter_std=0.02))
    weights = weights_for()
    truth = hardware.program(weights, rng=rng(0)).truth
    assert np.abs(truth - weights).max() > 0.01
    np.testing.assert_array_equal(hardware.program(weights, rng=rng(1)).truth, truth)
    np.testing.assert_array_equal(hardware.tightened(0.5).program(weights, rng=rng()).truth, truth)
    for other in (hardware.at(1), replace(hardware, chip=1)):
        assert np.abs(other.program(weights, rng=rng(0)).truth - truth).max() > 0.01


def test_couplers_change_real_weights_in_second_order_only():
    """Half the coupler errors leave a quarter of what is read, and half of the fields' error."""
    weights = weights_for(20, 24)
    errors = {}
    for std in (0.01, 0.02):
        found = []
        for place in range(8):
            state = exact(place=place, **process(splitter_std=std)).program(weights, rng=rng())
            light = state._meshes[0].matrix()
            found.append(
                [
                    np.linalg.norm(state.truth - weights),
                    np.linalg.norm(light - np.linalg.svd(weights)[2]),
                ]
            )
        errors[std] = np.mean(found, axis=0)
    read, light = errors[0.02] / errors[0.01]
    assert 3.8 < read < 4.2
    assert 1.9 < light < 2.1


def test_correction_of_known_splitters():
    """Phases computed for the chip's own splitters bring most of the matrix back."""
    weights = weights_for(12, 16)
    errors = []
    for corrected in (False, True):
        hardware = exact(corrected=corrected, **process(splitter_std=0.01))
        off = [hardware.at(place).program(weights, rng=rng()).truth - weights for place in range(5)]
        errors.append(np.sqrt(np.mean(np.square(off))))
    assert errors[1] < 0.15 * errors[0]


def test_static_crosstalk_is_compensated():
    """Heaters are asked for what their neighbours do not give; without that, weights are lost."""
    weights = weights_for(12, 16)
    law = ThermalCrosstalk(coefficient=0.05)
    hardware = exact(**process(crosstalk=law, **PITCHES))
    off = np.abs(hardware.program(weights, rng=rng()).truth - weights)
    before, asked = hardware.circuit(12, 16).before, hardware.settings(weights).phases[0]
    assert min(part.min() for part in asked) >= 0
    assert max(part.max() for part in asked) <= 2 * math.pi
    wanted = np.concatenate(exact().settings(weights).phases[0])
    in_light = np.concatenate(before.program(*asked)) - wanted
    assert np.abs(np.sin(0.5 * in_light)).max() < 0.03
    uncompensated = np.concatenate(before.program(*exact().settings(weights).phases[0])) - wanted
    assert np.abs(np.sin(0.5 * uncompensated)).mean() > 0.1
    assert off.max() < 0.02 * LIMIT


def test_crosstalk_that_no_heater_can_make_up_for_is_refused():
    """Where neighbours alone warm a waveguide by more than a turn."""
    hot = Imperfections(
        crosstalk=ThermalCrosstalk(coefficient=0.3), column_pitch=50e-6, line_pitch=25e-6
    )
    with pytest.raises(InputError, match="crosstalk"):
        exact(imperfections=hot).program(weights_for(12, 16), rng=rng())


# Noise of reading


def test_noise_of_the_light(naive):
    """Shot and thermal noise of every output, and laser noise that all of a vector share."""
    hardware = exact(
        laser=Laser(rin_dB_per_Hz=-143.0),
        readout=HomodyneReadout(detector=Photodetector(bandwidth=1e9)),
    )
    weights = weights_for(2, IN)
    state, x = hardware.program(weights, rng=rng()), inputs_for(1, IN)
    y = weights @ x[0]
    noise = state.apply(np.repeat(x, 40_000, axis=0), rng=rng()) - y
    readout = hardware.readout
    unit = hardware.unit_field(hardware.circuit(2, IN))
    gain = hardware.settings(weights).gain
    fields = y * unit / gain + 0j
    scale = gain / float(readout.expected(np.array(unit + 0j)))
    detected = np.diag(scale**2 * readout.variance(fields))
    shared = (0.5 * hardware.laser.relative_std(1e9)) ** 2 * np.outer(y, y)
    naive.check_covariances(noise, detected + shared)
    for wrong in (detected, 1.2 * detected + shared, detected + np.diag(np.diag(shared))):
        with pytest.raises(AssertionError, match="covariance"):
            naive.check_covariances(noise, wrong)


def test_noise_of_the_light_grows_with_the_gain():
    """In units of y it is proportional to the largest singular value, as the module says."""
    weights, x = weights_for(), np.zeros((4000, IN))
    hardware = photonic(imperfections=Imperfections(), adc=None, precision="float64")
    stds = [hardware.program(f * weights, rng=rng()).apply(x, rng=rng()).std() for f in (1, 0.1)]
    assert stds[0] / stds[1] == pytest.approx(10, rel=0.03)


def test_known_read_back_noise_is_that_of_read_back(naive):
    """read_back_std against many readings, with and without the rounding of the ADC."""
    weights = weights_for(3, 4)
    hardware = photonic(imperfections=Imperfections(), adc=None, precision="float64")
    read = hardware.program(weights, rng=rng(), copies=WRITES).read_back(rng=rng())
    std = hardware.read_back_std(weights)
    naive.check_moments(read, weights, std)
    with pytest.raises(AssertionError, match="variance"):
        naive.check_moments(read, weights, 4 * std)  # of one symbol instead of 16

    hardware, weights = replace(hardware, adc=ADC(bits=8)), weights_for(40, 50)
    error = hardware.program(weights, rng=rng()).read_back(rng=rng()) - weights
    rms = np.sqrt(np.mean(np.square(hardware.read_back_std(weights))))
    assert error.std() == pytest.approx(rms, rel=0.05)


# Noise of writing


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"layout": "reck"},
        {"layout": "diamond"},
        {"headroom": 1.0},
        {**process(phase_std=SMALL, splitter_std=0.05, loss_dB=0.2)},
        {**process(phase_std=SMALL, crosstalk=STRONG, **PITCHES)},
    ],
    ids=["clements", "reck", "diamond", "no headroom", "splitters and loss", "crosstalk"],
)
@pytest.mark.parametrize("shape", [(3, 5), (5, 3)])
def test_known_write_noise_is_that_of_programmed_weights(options, shape, naive):
    """σ(w) to first order against many programmings; half or twice the noise is not it."""
    hardware = exact(**{**process(phase_std=SMALL), **options})
    weights = weights_for(*shape)
    stored = hardware.program(weights, rng=rng(), copies=WRITES).truth
    quiet = replace(hardware, imperfections=replace(hardware.imperfections, phase_std=0.0))
    expected = quiet.program(weights, rng=rng()).truth
    noise = hardware.write_noise(weights)
    assert noise.density == "gaussian"
    assert noise.std_slope == 0.0
    naive.check_moments(stored, expected, noise.std)
    with pytest.raises(AssertionError, match="variance"):
        naive.check_moments(stored, expected, 1.1 * noise.std)


def test_crosstalk_makes_errors_correlate(naive):
    """Covariance of all weights is s² J X Xᵀ Jᵀ with the measured slopes J; J Jᵀ is not it."""
    weights = weights_for(2, 3, seed=1)  # seed 0 is one that so warm a chip cannot be set to
    hardware = exact(**process(phase_std=SMALL, crosstalk=STRONG, **PITCHES))
    state = hardware.program(weights, rng=rng(), copies=WRITES)
    quiet = replace(hardware, imperfections=replace(hardware.imperfections, phase_std=0.0))
    expected = quiet.program(weights, rng=rng()).truth
    covariances = {True: 0.0, False: 0.0}
    for slopes, chip in slopes_by_differences(quiet, weights):
        spread = np.eye(len(slopes))
        for with_crosstalk in covariances:
            if with_crosstalk and chip.process.crosstalk is not None:
                spread = chip.crosstalk.toarray()
            moved = spread.T @ slopes
            covariances[with_crosstalk] += SMALL**2 * moved.T @ moved
            spread = np.eye(len(slopes))
    deviations = (state.truth - expected).reshape(WRITES, -1)
    naive.check_covariances(deviations, covariances[True])
    with pytest.raises(AssertionError, match="covariance"):
        naive.check_covariances(deviations, covariances[False])
    np.testing.assert_allclose(
        np.square(hardware.write_noise(weights).std).ravel(),
        np.diag(covariances[True]),
        rtol=1e-5,
    )


def slopes_by_differences(hardware, weights, step=1e-6):
    """∂w/∂phase (phases, weights) for each chip, one phase shifter after the other."""
    state = hardware.program(weights, rng=rng())
    for number, shifters in enumerate(state._shifters):
        mesh = shifters.mesh()
        sizes = {name: getattr(mesh, name).size for name in ("theta", "phi", "gamma")}
        slopes = []
        for name, size in sizes.items():
            for k in range(size):
                moved = []
                for sign in (1, -1):
                    phase = getattr(mesh, name).copy()
                    phase[k] += sign * step
                    state._meshes[number] = mesh.with_phases(**{name: phase})
                    moved.append(state.truth.ravel())
                slopes.append((moved[0] - moved[1]) / (2 * step))
        state._meshes[number] = mesh
        yield np.array(slopes), mesh.chip


def test_average_write_noise_has_a_closed_form():
    """‖σ‖² = s²/4 [(outputs + inputs − 2) ‖W‖² + Σ (g² − s_k²)], a quarter of that of fields."""
    hardware = exact(**process(phase_std=0.01))
    weights = np.random.default_rng(3).normal(0, 0.2, (24, 30))
    values = np.linalg.svd(weights, compute_uv=False)
    gain = values[0] / hardware.headroom
    predicted = 52 * np.sum(weights**2) + np.sum(gain**2 - values**2)
    total = np.sum(np.square(hardware.write_noise(weights).std, dtype=float))
    assert total == pytest.approx(0.25 * 0.01**2 * predicted, rel=0.03)


def test_phase_noise_blurs_the_mean():
    """Second order: the mean over programmings is exp(−(inputs + outputs) s²/2) of the weights."""
    weights = np.random.default_rng(3).normal(0, 0.2, (12, 20))
    stored = exact(**process(phase_std=0.05)).program(weights, rng=rng(), copies=1000).truth
    kept = np.sum(stored.mean(axis=0) * weights) / np.sum(weights**2)
    assert kept == pytest.approx(math.exp(-32 * 0.05**2 / 2), abs=0.004)


def test_tightened_divides_the_noise_and_costs_calibrations():
    """Half the noise by averaging four calibrations, exactly; energy and time grow fourfold."""
    hardware = photonic()
    weights = weights_for()
    half = hardware.tightened(0.5)
    np.testing.assert_allclose(
        half.write_noise(weights).std, 0.5 * hardware.write_noise(weights).std, rtol=1e-12
    )
    once, often = (h.program(weights, rng=rng()).ledger for h in (hardware, half))
    assert often.pulses == 4 * once.pulses
    assert often.verify_reads == 3 * once.pulses
    assert often.time_s == pytest.approx(4 * once.time_s, rel=1e-12)
    assert sum(often.energy_J.values()) == pytest.approx(4 * sum(once.energy_J.values()))


# Rewriting and time


def test_rewriting_leaves_phases_alone_that_do_not_change():
    """The same codes keep their errors bit by bit; another matrix brings new errors and a gain."""
    hardware = exact(**process(phase_std=0.01))
    weights, everything = weights_for(), np.ones((OUT, IN), dtype=bool)
    state = hardware.program(weights, rng=rng(), copies=2)
    before, pulses = state.truth.copy(), state.ledger.pulses
    state.rewrite(weights, everything, rng=rng(7))
    np.testing.assert_array_equal(state.truth, before)
    state.rewrite(weights_for(seed=9), ~everything, rng=rng(7))
    np.testing.assert_array_equal(state.truth, before)
    assert state.ledger.pulses == pulses
    other = 0.5 * weights_for(seed=9)
    state.rewrite(other, everything, rng=rng(7))
    std = hardware.write_noise(other).std
    assert np.all(np.abs(state.truth - other) < 6 * std)
    assert np.all(state.truth[0] != state.truth[1])


def test_rewriting_a_block_disturbs_the_rest_a_little():
    """The selected weights are the new ones, the others what they were, all within the noise."""
    hardware = exact(**process(phase_std=0.001))
    weights = weights_for()
    state = hardware.program(weights, rng=rng())
    where = np.zeros((OUT, IN), dtype=bool)
    where[0, 6] = where[2, 3] = True
    state.rewrite(np.full((OUT, IN), 0.123), where, rng=rng(5))
    target = np.where(where, 0.123, weights)
    assert np.all(np.abs(state.truth - target) < 6 * hardware.write_noise(target).std)


def test_records_do_not_change_afterwards():
    """What was returned or given is not a window on the state."""
    weights = weights_for()
    state = photonic().program(weights, rng=rng())
    truth, read = state.truth, state.read_back(rng=rng())
    kept = truth.copy(), read.copy()
    weights[:] = 0.0
    np.testing.assert_array_equal(state.truth, kept[0])
    state.rewrite(np.zeros((OUT, IN)), np.ones((OUT, IN), dtype=bool), rng=rng())
    np.testing.assert_array_equal(truth, kept[0])
    np.testing.assert_array_equal(read, kept[1])


def test_phases_drift(naive):
    """After t, drift adds noise like that of writing, of variance σ² (1 − exp(−2t/τ))."""
    shifter = PhaseShifter(drift_std=SMALL, drift_time_constant_s=100.0)
    hardware = exact(shifter=shifter)
    weights = weights_for(3, 4)
    state = hardware.program(weights, rng=rng(), copies=WRITES)
    state.advance(0.0, rng=rng())
    np.testing.assert_allclose(state.truth, np.broadcast_to(weights, (WRITES, 3, 4)), atol=1e-12)
    for _ in range(3):
        state.advance(10.0, rng=rng(3))
    per_rad = exact(**process(phase_std=1.0)).write_noise(weights).std
    std = SMALL * math.sqrt(1 - math.exp(-0.6)) * per_rad
    with pytest.raises(AssertionError, match="variance"):
        naive.check_moments(state.truth, weights, SMALL * per_rad)
    # The same generator in every step would be no test of independent steps.
    state = hardware.program(weights, rng=rng(), copies=WRITES)
    generator = rng(4)
    for _ in range(3):
        state.advance(10.0, rng=generator)
    naive.check_moments(state.truth, weights, std)


def test_without_drift_time_changes_nothing():
    """The default shifters stay, to the bit."""
    state = photonic().program(weights_for(), rng=rng())
    before = state.truth.copy()
    state.advance(3600.0, rng=rng())
    np.testing.assert_array_equal(state.truth, before)


# Ledger


@pytest.mark.parametrize("copies", [1, 3])
def test_what_is_counted(copies):
    """Phase shifters, vectors, conversions, and energies by the parts' own formulas."""
    energy = PhotonicEnergy()
    hardware = photonic(energy=energy, **process(phase_std=0.01, phase_bits=8))
    weights = weights_for()
    state = hardware.program(weights, rng=rng(), copies=copies)
    ledger, asked = state.ledger, hardware.settings(weights).phases
    assert ledger.cell_writes == copies * OUT * IN
    assert ledger.pulses == copies * (OUT**2 + IN**2 + 2 * OUT)
    wall = (hardware.laser.power + OUT * 1e-3) / hardware.laser.efficiency
    heat = sum(hardware.shifter.power(np.concatenate(part)).sum() for part in asked)
    settling = hardware.shifter.settling_time(tolerance=1e-3)
    codes = ledger.pulses * 8 * energy.dac_energy_per_bit
    assert ledger.energy_J["write"] == pytest.approx(copies * (wall + heat) * settling + codes)
    assert ledger.time_s == settling

    x = inputs_for(BATCH, IN)
    state.apply(x, rng=rng())
    vectors = copies * BATCH
    assert (ledger.vectors, ledger.dac_conversions) == (vectors, vectors * IN)
    assert ledger.adc_conversions == vectors * OUT
    assert ledger.energy_J["array"] == pytest.approx(vectors * 1e-9 * (wall + heat))
    sent = copies * hardware.modulator.symbol_energy(x.astype(np.float32)).sum()
    codes = vectors * IN * 8 * energy.dac_energy_per_bit
    assert ledger.energy_J["dac"] == pytest.approx(codes + sent, rel=1e-6)
    per_output = energy.receiver_energy + energy.adc_energy_at_8_bits
    assert ledger.energy_J["adc"] == pytest.approx(vectors * OUT * per_output)
    assert ledger.time_s == pytest.approx(settling + BATCH * 1e-9)
    once = dict(ledger.energy_J)
    state.apply(x, rng=rng())
    assert ledger.energy_J["array"] == pytest.approx(2 * once["array"])

    state.read_back(rng=rng())
    assert ledger.cells_read_back == copies * OUT * IN
    assert ledger.vectors == 2 * vectors
    burnt = copies * IN * 16e-9 * (wall + heat)
    assert burnt < ledger.energy_J["read_back"] < burnt * 1.1


def test_exact_converters_cost_nothing():
    """No codes, no conversions, no energy of converters."""
    state = exact().program(weights_for(), rng=rng())
    state.apply(inputs_for(BATCH, IN), rng=rng())
    assert state.ledger.dac_conversions == state.ledger.adc_conversions == 0
    receivers = BATCH * OUT * PhotonicEnergy().receiver_energy
    assert state.ledger.energy_J["adc"] == pytest.approx(receivers)


# Bad input


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_weights_that_are_no_numbers_are_refused(bad):
    """At programming and at rewriting; the state stays."""
    weights = weights_for()
    weights[1, 2] = bad
    with pytest.raises(InputError, match="weights"):
        photonic().program(weights, rng=rng())
    state = photonic().program(weights_for(), rng=rng())
    before = state.truth.copy()
    with pytest.raises(InputError, match="weights"):
        state.rewrite(weights, np.ones((OUT, IN), dtype=bool), rng=rng())
    np.testing.assert_array_equal(state.truth, before)


def test_weights_beyond_the_limit_are_refused():
    """The limit is 6/√inputs by default and itself legal, in single precision too."""
    hardware = photonic()
    weights = np.full((OUT, IN), -hardware.weight_limit(IN))
    hardware.program(weights, rng=rng())
    hardware.program(weights.astype(np.float32), rng=rng())
    weights[2, 2] *= 1.01
    with pytest.raises(InputError, match=r"weights reach 2\.29.*7 inputs.*±2\.26.*weight_range"):
        hardware.program(weights, rng=rng())


@pytest.mark.parametrize("copies", [1, 4])
def test_other_shapes_are_refused(copies):
    """Weights that are no matrix, inputs of another width or for other copies, other blocks."""
    hardware = photonic()
    state = hardware.program(weights_for(), rng=rng(), copies=copies)
    for shape in ((3,), (0, 3), (3, 0), (2, 3, 4)):
        with pytest.raises(InputError, match="weights"):
            hardware.program(np.zeros(shape), rng=rng())
    for shape in ((BATCH, IN + 1), (BATCH, 1), (IN, BATCH), (2, BATCH, IN)):
        with pytest.raises(InputError, match="inputs have shape"):
            state.apply(np.zeros(shape), rng=rng())
    layer = np.zeros((OUT, IN))
    for other in (np.zeros((OUT - 1, IN)), np.zeros((OUT, IN + 1))):
        for weights, where in ((other, layer == 0), (layer, other == 0)):
            with pytest.raises(InputError, match="shape"):
                state.rewrite(weights, where, rng=rng())


def test_inputs_that_are_no_numbers_are_refused():
    """NaN has no amplitude."""
    state = photonic().program(weights_for(), rng=rng())
    with pytest.raises(InputError, match="nan"):
        state.apply(np.full((1, IN), math.nan), rng=rng())


def test_light_beyond_saturation_is_refused():
    """The detectors' range limits the laser; nothing clips in silence."""
    state = photonic(laser=Laser(power=1.0)).program(weights_for(), rng=rng())
    with pytest.raises(InputError, match="saturation_power"):
        state.apply(np.ones((1, IN)), rng=rng())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layout": "butterfly"}, "layout"),
        ({"headroom": 0.0}, "headroom"),
        ({"headroom": 1.1}, "headroom"),
        ({"weight_range": 0.0}, "weight_range"),
        ({"output_range": math.nan}, "output_range"),
        ({"read_back_symbols": 0}, "read_back_symbols"),
        ({"calibrations": 0.5}, "calibrations"),
        ({"shifter": PhaseShifter(bits=8)}, "phase_bits"),
        ({"shifter": PhaseShifter(programming_noise=0.1)}, "phase_std"),
        ({"adc": ADC(bits=8, noise=1e-6)}, "ADC"),
        ({"adc": ADC(bits=8, full_scale=1e-3)}, "output_range"),
        ({"precision": "float16"}, "precision"),
        ({"phase_bits": 8}, "phase_bits"),
    ],
)
def test_impossible_hardware_is_refused(options, message):
    """By the name of what is wrong."""
    with pytest.raises(InputError, match=message):
        photonic(**options)


@pytest.mark.parametrize("copies", [0, -1])
def test_a_number_of_copies_that_is_none_is_refused(copies):
    """At least one state is programmed."""
    with pytest.raises(InputError, match="copies"):
        photonic().program(weights_for(), rng=rng(), copies=copies)
