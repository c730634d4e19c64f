"""Thermo-optic phase shifters: drive, codes, noise, drift, crosstalk and its compensation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from pydantic import ValidationError

from zerohm import InputError
from zerohm._random import stream
from zerohm.devices.photonic.phase_shifter import PhaseShifter, wrapped
from zerohm.devices.photonic.thermal_crosstalk import (
    PhaseShifterArray,
    ThermalCrosstalk,
    crosstalk_matrix,
)

TURN = 2 * np.pi
ANGLES = st.floats(-1e3, 1e3)


def angle_between(one, other):
    return np.abs(np.angle(np.exp(1j * (np.asarray(one) - np.asarray(other)))))


def grid_chip(side=5, pitch=100e-6, *, design=None, **law):
    x, y = np.meshgrid(np.arange(side) * pitch, np.arange(side) * pitch)
    positions = np.column_stack([x.ravel(), y.ravel()])
    law = ThermalCrosstalk(**({"coefficient": 0.02} | law))
    design = design or PhaseShifter(max_power=0.2, offset=0.7)
    return (
        positions,
        law,
        PhaseShifterArray(design=design, crosstalk=crosstalk_matrix(positions, law)),
    )


@given(phase=ANGLES, offset=st.floats(-10, 10), half_wave=st.floats(1e-3, 50e-3))
def test_the_power_of_a_phase_gives_that_phase(phase, offset, half_wave):
    """φ(P(φ)) = φ modulo 2π for every phase and offset, with 0 ≤ P < 2 P_π."""
    shifter = PhaseShifter(half_wave_power=half_wave, offset=offset, max_power=0.2)
    power = shifter.power(phase)
    assert 0 <= power < 2 * half_wave
    assert angle_between(shifter.phase(power), phase) < 1e-9


def test_half_wave_power_and_voltage():
    """P_π turns the phase by π; V² / R is the power."""
    shifter = PhaseShifter(half_wave_power=20e-3, offset=0.3, resistance=800.0)
    assert_allclose(shifter.phase([0.0, 20e-3]), [0.3, 0.3 + np.pi])
    assert_allclose(shifter.voltage(20e-3) ** 2 / 800.0, 20e-3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_phase_just_below_zero_is_not_a_whole_turn(dtype):
    """Rounding can make −ε modulo 2π equal to 2π itself; it is 0 here."""
    assert np.mod(dtype(-1e-20), dtype(TURN)) == dtype(TURN)
    found = wrapped(np.array([-1e-20, -1e-9], dtype=dtype))
    assert found.dtype == dtype
    assert np.all((found >= 0) & (found < dtype(TURN)))


@pytest.mark.parametrize("uniform_in", ["phase", "power", "voltage"])
def test_there_are_two_to_the_bits_codes(uniform_in):
    """As many powers as 2^bits, k/2^bits of the full scale; none is spent on 2π beside 0."""
    shifter = PhaseShifter(bits=4, uniform_in=uniform_in, max_power=80e-3)
    top = 2 * shifter.half_wave_power if uniform_in == "phase" else 80e-3
    found = np.unique(shifter.nearest_power(np.linspace(0.0, top, 20001)))
    codes = np.arange(16) / 16
    assert_allclose(found, top * (codes**2 if uniform_in == "voltage" else codes), atol=1e-12)


@given(phase=st.floats(0, TURN), bits=st.integers(1, 16))
def test_the_nearest_code_is_taken_across_zero(phase, bits):
    """Codes uniform in phase: never more than half a step off, around the circle."""
    shifter = PhaseShifter(bits=bits)
    found = shifter.quantise(phase)
    step = TURN / 2**bits
    assert 0 <= found < TURN
    assert angle_between(found, phase) <= step / 2 * (1 + 1e-9) + 1e-9
    assert_allclose(found / step, np.rint(found / step), atol=1e-6)


@given(phase=st.floats(0, 6.28), uniform_in=st.sampled_from(["power", "voltage"]))
def test_no_code_of_the_driver_is_nearer(phase, uniform_in):
    """In power and in voltage the chosen code is the nearest of all."""
    shifter = PhaseShifter(bits=5, uniform_in=uniform_in)
    asked = shifter.power(phase)
    codes = np.arange(32) / 32
    levels = shifter.max_power * (codes if uniform_in == "power" else codes**2)
    scale = (lambda p: p) if uniform_in == "power" else np.sqrt
    distance = np.abs(scale(levels) - scale(asked))
    chosen = np.abs(scale(shifter.nearest_power(asked)) - scale(asked))
    assert chosen <= distance.min() * (1 + 1e-9) + 1e-12


def test_rounding_errors_of_phase_codes_are_uniform(naive):
    """Mean, variance step²/12 and kurtosis of a uniform error; the peers' 2^b − 1 codes fail."""
    rng, bits = stream(1, "codes"), 6
    phase = rng.uniform(0.0, TURN, (200_000, 1))
    step = TURN / 2**bits

    def errors(found):
        return np.angle(np.exp(1j * (found - phase)))

    shifter = PhaseShifter(bits=bits)
    naive.check_moments(errors(shifter.quantise(phase)), 0.0, step / np.sqrt(12), "uniform")
    peer = TURN / (2**bits - 1)
    with pytest.raises(AssertionError, match="variance"):
        naive.check_moments(
            errors(np.rint(phase / peer) * peer), 0.0, step / np.sqrt(12), "uniform"
        )


def test_steps_of_voltage_codes_grow_with_the_phase():
    """dφ/dV ∝ V: the steps of the phase between codes grow linearly from zero."""
    shifter = PhaseShifter(bits=6, uniform_in="voltage")
    powers = shifter.max_power * (np.arange(40) / 64) ** 2
    steps = np.diff(shifter.phase(shifter.nearest_power(powers)))
    assert_allclose(np.diff(steps), np.diff(steps)[0], rtol=1e-6)
    assert steps[-1] > 20 * steps[0]


def test_programming_errors_are_white(naive):
    """Standard deviation and independence of new errors; a frozen error fails."""
    shifter = PhaseShifter(programming_noise=0.01)
    rng, phase = stream(2, "programming"), np.zeros(4)
    draws = np.array([shifter.deviation(shifter.start(phase, rng), phase) for _ in range(20_000)])
    naive.check_moments(draws, 0.0, 0.01)
    naive.check_independent(draws)
    with pytest.raises(AssertionError):
        naive.check_moments(np.broadcast_to(draws[0], draws.shape) * 1.05, 0.0, 0.01)


@pytest.mark.parametrize("name", ["one step", "equal steps", "uneven steps", "long after short"])
def test_drift_does_not_depend_on_the_steps(naive, name):
    """Variance σ²(1 − e^(−2t/τ)) and correlation e^(−t/τ) of the drift, for any sequence of steps.

    A random walk with the same first step fails.
    """
    shifter = PhaseShifter(drift_std=0.05, drift_time_constant_s=100.0)
    rng, phase = stream(3, "drift", name), np.zeros(40_000)
    state = shifter.start(phase, rng)
    at = []
    for total in (60.0, 90.0):
        for seconds in naive.sequences(total)[name]:
            shifter.advance(state, seconds, rng)
        at.append(shifter.deviation(state, phase))
    early, late = 0.05**2 * -np.expm1(-2 * np.array([60.0, 150.0]) / 100.0)
    expected = np.array([[early, early * np.exp(-0.9)], [early * np.exp(-0.9), late]])
    naive.check_covariances(np.column_stack(at), expected)
    walk = np.cumsum(rng.standard_normal((40_000, 2)) * np.sqrt([early, early * 1.5]), axis=1)
    with pytest.raises(AssertionError):
        naive.check_covariances(walk, expected)


def test_programming_again_leaves_the_drift_alone():
    """A new code brings a new error, but the chip has still drifted since its calibration."""
    shifter = PhaseShifter(programming_noise=1e-3, drift_std=0.1, drift_time_constant_s=1.0)
    rng, phase = stream(4, "merge"), np.zeros(1000)
    state = shifter.start(phase, rng)
    shifter.advance(state, 100.0, rng)
    before = shifter.deviation(state, phase)
    where = np.arange(1000) < 400
    shifter.merge(state, shifter.start(phase[where], rng), where, rng)
    change = shifter.deviation(state, phase) - before
    assert np.all(change[~where] == 0)
    assert np.all(change[where] != 0)
    assert change[where].std() < 2e-3 < 0.08 < before.std()


def test_single_precision_stays_single():
    """State, deviation and codes of float32 phases are float32."""
    shifter = PhaseShifter(programming_noise=0.01, drift_std=0.01, bits=8)
    rng, phase = stream(5, "single"), np.linspace(0, 6, 7, dtype=np.float32)
    state = shifter.start(phase, rng)
    shifter.advance(state, 10.0, rng)
    assert {values.dtype for values in state.values()} == {np.dtype(np.float32)}
    assert shifter.deviation(state, phase).dtype == np.float32
    assert shifter.quantise(phase).dtype == np.float32


def test_settling_is_that_of_a_low_pass():
    """After the settling time of a step, exp(−t/τ) of it is left."""
    shifter = PhaseShifter(time_constant_s=2e-6)
    seconds = shifter.settling_time(step=2.0, tolerance=0.01)
    assert_allclose(2.0 * np.exp(-seconds / 2e-6), 0.01)
    assert shifter.settling_time(step=0.005, tolerance=0.01) == 0
    with pytest.raises(InputError, match="tolerance"):
        shifter.settling_time(tolerance=0.0)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda s: s.phase(-1e-3), "must lie between 0 and 0.08 W"),
        (lambda s: s.phase(0.09), "0.09 W must lie between"),
        (lambda s: s.nearest_power(60e-3), "codes uniform in phase"),
        (lambda s: s.power(np.nan), "finite number in rad"),
        (lambda s: s.advance({"drift": np.zeros(1)}, -1.0, stream(0)), "time can only advance"),
    ],
)
def test_what_a_driver_cannot_do_is_refused(call, said):
    """Powers beyond the driver, phases that are none, time that runs back."""
    with pytest.raises(InputError, match=said):
        call(PhaseShifter(bits=8))


def test_a_driver_that_cannot_reach_every_phase_is_refused():
    """max_power of at least 2 P_π; unknown names are errors too."""
    with pytest.raises(ValidationError, match="phases near 2π could not be reached"):
        PhaseShifter(half_wave_power=50e-3)
    with pytest.raises(ValidationError, match="Unexpected"):
        PhaseShifter(half_wave=1.0)


def test_crosstalk_follows_its_law():
    """Every entry is the law at the distance; what lies below the cut-off is left out."""
    positions, law, _ = grid_chip(smallest=1e-4)
    found = crosstalk_matrix(positions, law).toarray()
    distance = np.linalg.norm(positions[:, None] - positions[None], axis=2)
    expected = np.where(distance > 0, law.at(distance), 1.0)
    expected[(expected < 1e-4) & (distance > 0)] = 0.0
    assert_allclose(found, expected, rtol=1e-12)
    assert (found == 0).any() or law.reach > distance.max()
    assert_allclose(law.at(law.reach), 1e-4)


def test_crosstalk_of_a_large_chip_is_sparse():
    """10 000 heaters: the matrix has the neighbours within reach only."""
    _, law, chip = grid_chip(100)
    density = chip.crosstalk.nnz / len(chip) ** 2
    assert density < 5 * np.pi * law.reach**2 / (100 * 100e-6) ** 2 < 0.5


def test_phases_are_linear_in_the_powers():
    """Two heaters together make the sum of what each makes, own offsets apart."""
    _, _, chip = grid_chip()
    one, other = stream(6, "linear").uniform(0, 50e-3, (2, 25))
    together = chip.phases(one + other) - 0.7
    assert_allclose(together, chip.phases(one) + chip.phases(other) - 1.4, rtol=1e-12)
    pairs = chip.phases(np.stack([one, other]))
    assert_allclose(pairs, [chip.phases(one), chip.phases(other)])


def test_a_turn_more_warms_the_neighbours_more():
    """Crosstalk belongs to the power: 2π more on one heater shifts its neighbour by C 2π."""
    chip = PhaseShifterArray(
        design=PhaseShifter(half_wave_power=20e-3), crosstalk=[[1.0, 0.1], [0.1, 1.0]]
    )
    low, high = chip.phases([[10e-3, 0.0], [50e-3, 0.0]])
    assert_allclose(high[0] - low[0], TURN)
    assert_allclose(high[1] - low[1], 0.1 * TURN)


@given(seed=st.integers(0, 2**32 - 1), coefficient=st.floats(0.0, 0.08))
def test_compensated_powers_give_the_phases(seed, coefficient):
    """φ = Cp + φ₀ is met modulo 2π by powers that the driver has, for random targets."""
    _, _, chip = grid_chip(4, coefficient=coefficient, decay_length=60e-6)
    phases = np.random.default_rng(seed).uniform(0, TURN, (3, 16))
    powers = chip.powers(phases)
    assert np.all((powers >= 0) & (powers <= 0.2))
    assert angle_between(chip.phases(powers), phases).max() < 1e-8
    if coefficient > 0.01:
        assert angle_between(chip.phases(chip.isolated_powers(phases)), phases).max() > 1e-3


def test_shifters_have_their_own_efficiency_and_offset():
    """Both enter the phases and their inverse."""
    chip = PhaseShifterArray(
        design=PhaseShifter(max_power=0.2),
        crosstalk=np.array([[1.0, 0.05], [-0.02, 1.0]]),
        half_wave_power=[20e-3, 30e-3],
        offset=[0.1, 5.0],
    )
    assert_allclose(
        chip.phases([10e-3, 20e-3]),
        [0.1 + np.pi / 20e-3 * (10e-3 + 1e-3), 5.0 + np.pi / 30e-3 * (20e-3 - 0.2e-3)],
    )
    assert_allclose(angle_between(chip.phases(chip.powers([3.0, 3.0])), 3.0), 0, atol=1e-9)


def test_a_heater_beyond_its_power_is_refused():
    """A neighbour that is warmed past its phase needs 2π more than the driver has."""
    design = PhaseShifter(half_wave_power=25e-3, max_power=50e-3)
    chip = PhaseShifterArray(design=design, crosstalk=[[1.0, 0.3], [0.3, 1.0]])
    with pytest.raises(InputError, match=r"heater 1 would need 0\.05\d+ W .* 0 to 0.05 W"):
        chip.powers([3.0, 0.8])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda c: c.powers(np.zeros(3)), r"must be \(..., 25\)"),
        (lambda c: c.powers(np.full(25, np.inf)), "finite number in rad"),
        (lambda c: c.phases(np.full(25, -1.0)), "must lie between 0"),
        (
            lambda c: PhaseShifterArray(design=c.design, crosstalk=np.full((2, 2), 0.5)),
            "diagonal of crosstalk must be 1",
        ),
        (lambda c: PhaseShifterArray(design=c.design, crosstalk=np.ones((2, 3))), "square"),
        (
            lambda c: PhaseShifterArray(design=c.design, crosstalk=np.eye(2), offset=[1.0] * 3),
            "2 finite numbers",
        ),
        (
            lambda c: PhaseShifterArray(
                design=c.design, crosstalk=np.eye(2), half_wave_power=[1.0, 0.0]
            ),
            "must be positive",
        ),
        (lambda c: crosstalk_matrix(np.zeros((2, 2)), ThermalCrosstalk()), "same position"),
        (lambda c: crosstalk_matrix(np.zeros(2), ThermalCrosstalk()), "must be finite numbers"),
    ],
)
def test_unusable_arrays_are_refused(call, said):
    """Shapes, diagonals, positions."""
    with pytest.raises(InputError, match=said):
        call(grid_chip()[2])


def test_crosstalk_that_cannot_be_inverted_is_refused():
    """Two waveguides that all heaters warm alike have no phases of their own."""
    chip = PhaseShifterArray(design=PhaseShifter(), crosstalk=np.ones((2, 2)))
    with pytest.raises(InputError, match="crosstalk is too strong"):
        chip.powers([1.0, 2.0])


def test_a_neighbour_warmed_like_itself_is_refused():
    """A law that reaches 1 at distance 0 is none."""
    with pytest.raises(ValidationError, match="must warm its own waveguide most"):
        ThermalCrosstalk(coefficient=0.2, reference_distance=100e-6, decay_length=20e-6)
