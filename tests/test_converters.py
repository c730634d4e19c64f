"""Converters: ideal limits, fabricated errors, SAR and ramp circuits, ranges, bit-serial input.

Statistical tests use the checks of ``naive.py`` (false-alarm rate at most 1e-4 per check, fixed
seeds), and each is shown to fail on a wrong sampler.
"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from zerohm import InputError
from zerohm.crossbar.bit_serial import BitSerial
from zerohm.crossbar.converter_circuits import (
    SAR,
    Ramp,
    ideal_transitions,
    nonlinearity,
)
from zerohm.crossbar.converters import ADC, DAC
from zerohm.crossbar.kernels import count_transitions, decide_bit
from zerohm.crossbar.sensing import DifferentialSensing, calibrate_full_scale

MANY = 20_000
CIRCUITS = {"SAR": SAR, "ramp": Ramp}
circuit = pytest.mark.parametrize("kind", CIRCUITS)
precision = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def uniform(shape, limit=1.0, seed=0):
    return np.random.default_rng(seed).uniform(-limit, limit, shape)


def every_corner(bits):
    """Signals in steps: codes, exact ties, both sides of each, and far beyond the ends."""
    ties = np.arange(-(2 ** (bits - 1)) - 3, 2 ** (bits - 1) + 3) + 0.5
    codes = np.arange(-(2 ** (bits - 1)) - 3, 2 ** (bits - 1) + 3.0)
    return np.concatenate([ties, codes, ties - 1e-3, ties + 1e-3, [-1e6, 1e6, -0.0]])[:, None]


# Limits


@circuit
@precision
@pytest.mark.parametrize("bits", [2, 3, 5, 8, 11])
def test_circuits_without_mismatch_are_the_ideal_converter(kind, dtype, bits):
    """Every code, every exact tie and every saturation agree, bit for bit."""
    signal = every_corner(bits).astype(dtype)
    top = float(2 ** (bits - 1) - 1)
    expected, beyond = ADC(bits=bits).convert(signal, top)
    built = ADC(bits=bits, circuit=CIRCUITS[kind]()).fabricate(1, rng=0)
    converted, saturated = built.convert(signal, top)
    assert converted.dtype == dtype
    assert np.array_equal(converted, expected)
    assert saturated == beyond > 0
    assert np.array_equal(built.transitions, ideal_transitions(int(top))[None, :])


@given(
    seed=st.integers(0),
    bits=st.integers(2, 12),
    full_scale=st.floats(1e-7, 1e-3),
    odd=st.booleans(),
)
def test_circuits_without_mismatch_are_ideal_for_any_signal(seed, bits, full_scale, odd):
    """Random currents, ranges and resolutions; the signals of both circuits are the same."""
    signal = uniform((20, 3), 1.2 * full_scale, seed)
    if odd:
        signal[:10] = -signal[10:]
    expected, beyond = ADC(bits=bits).convert(signal, full_scale)
    for build in CIRCUITS.values():
        converted, saturated = (
            ADC(bits=bits, circuit=build()).fabricate(3, rng=seed).convert(signal, full_scale)
        )
        assert np.array_equal(converted, expected)
        assert saturated == beyond


@precision
@pytest.mark.parametrize("design", [ADC(bits=7), DAC(bits=7)], ids=["ADC", "DAC"])
def test_without_spread_fabrication_changes_nothing(design, dtype):
    """A fabricated ideal converter gives the same bits, and its fabrication draws nothing."""
    rng = np.random.default_rng(3)
    before = rng.bit_generator.state
    built = design.fabricate(4, rng)
    assert rng.bit_generator.state == before
    signal = uniform((50, 4), 1.3).astype(dtype)
    expected, beyond = design.convert(signal, 0.9)
    converted, saturated = built.convert(signal, 0.9)
    assert converted.dtype == dtype
    assert np.array_equal(converted, expected)
    assert saturated == beyond > 0


@pytest.mark.parametrize("kind", [ADC, DAC])
@precision
def test_vanishing_errors_approach_the_ideal_converter(kind, dtype):
    """The path of converters with errors gives ideal values when its errors are negligible."""
    tiny = {"gain_std": 1e-12, "offset_std": 1e-12, "inl": 1e-12, "dnl": 1e-12}
    signal = (uniform((200, 4), 1.3) + 1e-5).astype(dtype)
    expected, beyond = kind(bits=7).convert(signal, 0.9)
    converted, saturated = kind(bits=7, **tiny).fabricate(4, rng=1).convert(signal, 0.9)
    assert converted.dtype == dtype
    np.testing.assert_allclose(converted, expected, rtol=1e-6, atol=1e-9)
    assert saturated == beyond


# Kernels and whole conversions against naive versions


def naive_count(signal, levels):
    """Code of one signal by comparing it with every level; ties to even."""
    top = len(levels) // 2
    code = sum(level < signal for level in levels) - top
    return code + 1 if signal in levels and code % 2 else code


def naive_register(signal, weights, noise=None):
    """Code of one successive approximation, heaviest bit first."""
    bits = len(weights)
    code, level = -(2 ** (bits - 1)), -(2 ** (bits - 1)) - 0.5
    for step, bit in enumerate(reversed(range(bits))):
        seen = signal + (0.0 if noise is None else noise[step])
        trial = level + weights[bit]
        if seen > trial or (seen == trial and bit > 0):
            code, level = code + 2**bit, trial
    return max(code, -(2 ** (bits - 1)) + 1)


@precision
@pytest.mark.parametrize("shared", [False, True])
def test_counting_transitions_equals_its_naive_version(dtype, shared):
    """Every converter its own uneven levels, or one set for all columns; signals on levels too."""
    rng = np.random.default_rng(0)
    table = np.sort(rng.normal(0, 3, (2, 1 if shared else 5, 14)).round(2), axis=-1)
    steps = rng.normal(0, 4, (2, 30, 5)).astype(dtype)
    steps[:, :4] = np.broadcast_to(table[:, None, :, 3], (2, 4, 5)).astype(dtype)
    codes = count_transitions(steps, table, 7.0)
    for c, b, j in np.ndindex(steps.shape):
        expected = naive_count(float(steps[c, b, j]), table[c, 0 if shared else j].tolist())
        assert codes[c, b, j] == expected


@precision
@pytest.mark.parametrize("comparator_noise", [0.0, 0.7])
def test_successive_approximation_equals_its_naive_version(dtype, comparator_noise):
    """Mismatched arrays, offsets, and the same noise deviates decision by decision."""
    design = ADC(
        bits=5, circuit=SAR(capacitor_std=0.1, comparator_noise=comparator_noise), gain_std=0.05
    )
    built = design.fabricate(3, rng=2, copies=2)
    steps = np.random.default_rng(1).uniform(-18, 18, (2, 40, 3)).astype(dtype)
    codes, _ = built.quantizer.codes(steps, np.random.default_rng(5))
    draws = np.random.default_rng(5)
    noise = np.stack([draws.standard_normal(steps.shape, dtype=dtype) for _ in range(5)])
    for c, b, j in np.ndindex(steps.shape):
        seen = None if comparator_noise == 0 else dtype(comparator_noise) * noise[:, c, b, j]
        assert codes[c, b, j] == naive_register(
            steps[c, b, j], built.quantizer.weights[c, j].tolist(), seen
        )


def test_one_decision_keeps_what_lies_above_the_trial():
    """The kernel itself: above, on and below the trial level, for a heavy and the last bit."""
    for bit, on_the_level in ((2, True), (0, False)):
        seen = np.array([[[1.01, 1.0, 0.99]]])
        level, codes = np.full((1, 1, 3), -3.0), np.full((1, 1, 3), 0.0)
        decide_bit(seen, np.full((1, 3), 4.0), bit, level, codes)
        kept = np.array([True, on_the_level, False])
        assert np.array_equal(codes[0, 0], np.where(kept, 2**bit, 0))
        assert np.array_equal(level[0, 0], np.where(kept, 1.0, -3.0))


def test_adc_equals_its_formula():
    """Code of (1 + g)·I/LSB + o by each converter's own levels, for copies and column ranges."""
    design = ADC(bits=4, gain_std=0.05, offset_std=1.0, inl=0.5, dnl=0.3)
    built = design.fabricate(3, rng=4, copies=2)
    full_scale = np.array([1e-6, 2e-6, 3e-6])
    signal = uniform((2, 30, 3), 3e-6)
    converted, saturated = built.convert(signal, full_scale)
    beyond = 0
    for c, b, j in np.ndindex(signal.shape):
        lsb = full_scale[j] / 7
        gain, offset = built.gain[c, 0, j], built.offset[c, 0, j]
        seen = signal[c, b, j] * (gain / lsb) + offset
        expected = lsb * naive_count(seen, built.transitions[c, j].tolist())
        assert converted[c, b, j] == pytest.approx(expected, rel=1e-12, abs=0.0)
        beyond += abs(seen) > 7.5
    assert saturated == beyond > 0


def test_dac_equals_its_formula():
    """((1 + g)·level + o)·LSB of the nearest code, for copies and rows with their own ranges."""
    design = DAC(bits=4, gain_std=0.05, offset_std=1.0, inl=0.5, dnl=0.3)
    built = design.fabricate(3, rng=4, copies=2)
    full_scale = np.array([0.1, 0.2, 0.3])
    signal = uniform((2, 30, 3), 0.3)
    converted, saturated = built.convert(signal, full_scale)
    codes = np.rint(signal / (full_scale / 7))
    assert saturated == np.count_nonzero(np.abs(signal / (full_scale / 7)) > 7.5) > 0
    for c, b, j in np.ndindex(signal.shape):
        level = built.levels[c, j, int(np.clip(codes[c, b, j], -7, 7)) + 7]
        gain, offset = built.gain[c, 0, j], built.offset[c, 0, j]
        expected = (gain * level + offset) * full_scale[j] / 7
        assert converted[c, b, j] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "layout",
    [np.asfortranarray, lambda v: np.repeat(v, 2, axis=1)[:, ::2], lambda v: v[::-1].copy()[::-1]],
    ids=["Fortran", "strided", "reversed"],
)
@pytest.mark.parametrize(
    "built",
    [
        ADC(bits=6, dnl=0.1).fabricate(4, rng=0),
        ADC(bits=6, circuit=SAR(capacitor_std=0.05)).fabricate(4, rng=0),
        DAC(bits=6, inl=1.0, gain_std=0.1).fabricate(4, rng=0),
    ],
    ids=["table", "SAR", "DAC"],
)
def test_conversion_does_not_depend_on_memory_layout(layout, built):
    """The same signal in another order in memory gives the same values."""
    signal = uniform((30, 4), 1.1)
    expected, beyond = built.convert(signal, 1.0)
    converted, saturated = built.convert(layout(signal), 1.0)
    assert np.array_equal(converted, expected)
    assert saturated == beyond
    assert np.array_equal(built.convert(signal[3], 1.0)[0], expected[3])
    assert built.convert(signal[:0], 1.0)[0].shape == (0, 4)


def test_compiled_and_interpreted_kernels_give_the_same_bits(outputs_with_and_without_compiler):
    """The kernels do the arithmetic they are written in."""
    script = (
        "import numpy as np, hashlib\n"
        "from zerohm.crossbar.converters import ADC, SAR, Ramp\n"
        "digest = hashlib.sha256()\n"
        "for kind in (SAR, Ramp):\n"
        "    adc = ADC(bits=6, circuit=kind(capacitor_std=0.1)).fabricate(3, rng=0)\n"
        "    for dtype in (np.float32, np.float64):\n"
        "        x = np.random.default_rng(0).uniform(-1, 1, (50, 3)).astype(dtype)\n"
        "        digest.update(adc.convert(x, 0.9)[0].tobytes())\n"
        "print(digest.hexdigest())\n"
    )
    assert len(outputs_with_and_without_compiler(script)) == 1


# Linearity of fabricated converters


@pytest.fixture(scope="module")
def binary_levels():
    """Deviation of the levels of many 8-bit binary arrays with 1 % mismatch, in steps."""
    built = ADC(bits=8, circuit=SAR(capacitor_std=0.01)).fabricate(MANY, rng=1)
    return built.transitions - ideal_transitions(127)


SIGMA, UNITS = 0.01, 2.0**8
MIDDLE = 126  # transition at −½, register 100…0


def test_a_binary_array_varies_as_its_capacitors(binary_levels, naive):
    """At mid-scale the step varies by σ·√(2^b − 1), the level by σ·√(2^b)/2 (Saberi 2011)."""
    step = binary_levels[:, MIDDLE] - binary_levels[:, MIDDLE - 1]
    naive.check_moments(step, 0.0, SIGMA * math.sqrt(UNITS - 1))
    naive.check_moments(binary_levels[:, MIDDLE], 0.0, SIGMA * math.sqrt(UNITS) / 2)
    quarter = binary_levels[:, 62]  # register 010…0 is a quarter of the units
    naive.check_moments(quarter, 0.0, SIGMA * math.sqrt(UNITS * 3 / 16))
    naive.check_independent(step.reshape(-1, 2))


def test_wrong_capacitors_are_noticed(naive):
    """The check fails when a capacitor's spread grows with its size, not with its square root."""
    units = np.append(2.0 ** np.arange(8), 1.0)
    normal = np.random.default_rng(1).standard_normal((MANY, 9))
    capacitors = units * (1 + SIGMA * normal)
    weights = UNITS * capacitors[:, :-1] / capacitors.sum(axis=1, keepdims=True)
    with pytest.raises(AssertionError, match="variance"):
        naive.check_moments(
            weights[:, 7] - weights[:, :7].sum(axis=1) - 1, 0.0, SIGMA * math.sqrt(UNITS - 1)
        )


def test_a_ramp_is_a_random_walk_with_fixed_ends(naive):
    """Level n varies by σ·√(n(1 − n/2^b)), steps by σ; without fixed ends the check fails."""
    built = ADC(bits=8, circuit=Ramp(capacitor_std=SIGMA)).fabricate(1, rng=1, copies=MANY)
    deviation = built.transitions[:, 0] - ideal_transitions(127)
    count = np.array([32, 128, 250])
    std = SIGMA * np.sqrt(count * (1 - count / UNITS))
    naive.check_moments(deviation[:, count - 2], 0.0, std)
    step = np.diff(deviation, axis=1)[:, [0, 100, 252]]
    naive.check_moments(step, 0.0, SIGMA * math.sqrt(1 - 1 / UNITS))
    free = SIGMA * np.cumsum(np.random.default_rng(0).standard_normal((MANY, 255)), axis=1)
    with pytest.raises(AssertionError, match="variance"):
        naive.check_moments(free[:, count - 1], 0.0, std)


def test_a_ramp_is_monotonic_and_shared():
    """Even at 10 % mismatch; columns differ by their comparators only. A binary array is not."""
    spread = {"capacitor_std": 0.1, "comparator_offset_std": 0.5}
    rising = np.repeat(np.linspace(-1.1, 1.1, 2000)[:, None], 5, axis=1)
    ramp = ADC(bits=8, circuit=Ramp(**spread)).fabricate(5, rng=3)
    assert ramp.transitions.shape == (1, 254)
    assert np.all(np.diff(ramp.transitions) > 0)
    converted, _ = ramp.convert(rising, 1.0)
    assert np.all(np.diff(converted, axis=0) >= 0)
    assert len(np.unique(converted.sum(axis=0))) == 5
    binary = ADC(bits=8, circuit=SAR(**spread)).fabricate(5, rng=3)
    assert np.any(np.diff(binary.transitions) < 0)


def data_sheet_levels(kind, **errors):
    """Deviation of 8-bit converters' levels in steps, (converters, levels)."""
    built = kind(bits=8, **errors).fabricate(MANY // 4, rng=6)
    if kind is DAC:
        return built.levels - np.arange(-127, 128)
    return built.transitions - ideal_transitions(127)


@pytest.mark.parametrize("kind", [ADC, DAC])
def test_data_sheet_dnl_is_that_of_independent_steps(kind, naive):
    """Steps vary by dnl, levels as the bridge dnl·√(n(N − n)/N); ends are exact."""
    deviation = data_sheet_levels(kind, dnl=0.05)
    last = deviation.shape[1] - 1
    count = np.array([10, last // 2, last - 40])
    assert np.all(deviation[:, [0, -1]] == 0)
    naive.check_moments(deviation[:, count], 0.0, 0.05 * np.sqrt(count * (last - count) / last))
    step = np.diff(deviation, axis=1)[:, [3, 100, 200]]
    naive.check_moments(step, 0.0, 0.05 * math.sqrt(1 - 1 / last))
    naive.check_independent(np.diff(deviation, axis=1)[:, [0, 120, 121]])
    inl, dnl = nonlinearity(deviation + np.arange(last + 1))
    np.testing.assert_allclose(inl, deviation, atol=1e-9)
    np.testing.assert_allclose(dnl, np.diff(deviation), atol=1e-9)
    white = 0.05 * np.random.default_rng(0).standard_normal((MANY, 3))  # independent levels
    with pytest.raises(AssertionError, match="variance"):
        naive.check_moments(white, 0.0, 0.05 * np.sqrt(count * (last - count) / last))


@pytest.mark.parametrize("kind", [ADC, DAC])
def test_data_sheet_inl_is_a_smooth_bow(kind, naive):
    """Standard deviation inl·(1 − x²)·√(1 + 27x²/4), a cubic in each converter."""
    deviation = data_sheet_levels(kind, inl=0.8)
    x = np.linspace(-1, 1, deviation.shape[1])
    std = 0.8 * (1 - x**2) * np.sqrt(1 + 27 / 4 * x**2)
    at = [20, deviation.shape[1] // 2, 200]
    naive.check_moments(deviation[:, at], 0.0, std[at])
    with pytest.raises(AssertionError, match="variance"):
        naive.check_moments(deviation[:, at], 0.0, 0.8 * (1 - x[at] ** 2))
    np.testing.assert_allclose(np.diff(deviation, n=4, axis=1), 0.0, atol=1e-9)


def test_a_step_that_would_be_negative_is_a_missing_code():
    """With large steps some codes never appear, yet the codes of a rising signal never fall."""
    built = ADC(bits=6, dnl=1.0).fabricate(1, rng=0)
    assert np.all(np.diff(built.transitions) >= 0)
    converted, _ = built.convert(np.linspace(-1, 1, 20_000)[:, None], 1.0)
    codes = np.rint(converted[:, 0] * 31)
    assert np.all(np.diff(codes) >= 0)
    assert len(np.unique(codes)) < 63


# Gain, offset, noise


def gains_and_offsets(built, full_scale=1.0):
    """What two currents tell of fine converters: gain − 1, and offset in the signal's unit."""
    columns = built.gain.shape[-1]
    read = [built.convert(np.full((1, columns), v), full_scale)[0][0] for v in (0.5, -0.5)]
    return np.stack([read[0] - read[1] - 1.0, (read[0] + read[1]) / 2], axis=-1)


@pytest.mark.parametrize("kind", [ADC, DAC])
def test_gain_and_offset_vary_from_column_to_column(kind, naive):
    """Gaussian with the given spread, independent; a factor of 1.1 is noticed."""
    design = kind(bits=20, gain_std=0.02, offset_std=3000.0)
    found = gains_and_offsets(design.fabricate(MANY, rng=2))
    std = np.array([0.02, 3000.0 / design.largest_code])
    naive.check_moments(found, 0.0, std)
    naive.check_independent(found)
    naive.check_independent(found[:, 0].reshape(-1, 2))
    with pytest.raises(AssertionError, match="variance"):
        naive.check_moments(found, 0.0, 1.1 * std)


@circuit
def test_comparator_offsets_vary_from_column_to_column(kind, naive):
    """In steps; one offset for all columns would be noticed."""
    design = ADC(bits=18, circuit=CIRCUITS[kind](comparator_offset_std=900.0))
    offset = gains_and_offsets(design.fabricate(MANY, rng=2))[:, 1:]
    naive.check_moments(offset, 0.0, 900.0 / design.largest_code)
    with pytest.raises(AssertionError, match="mean"):
        naive.check_moments(1e-9 * offset + offset[0], 0.0, 900.0 / design.largest_code)


def test_errors_are_drawn_once_and_do_not_depend_on_each_other():
    """A fabricated converter repeats itself, a seed repeats the fabrication, copies differ."""
    signal = uniform((6, 4))
    design = ADC(bits=10, gain_std=0.02, offset_std=2.0, dnl=0.2)
    built = design.fabricate(4, rng=5)
    first, _ = built.convert(signal, 1.0)
    assert np.array_equal(built.convert(signal, 1.0)[0], first)
    assert np.array_equal(design.fabricate(4, rng=5).convert(signal, 1.0)[0], first)
    assert not np.array_equal(design.fabricate(4, rng=6).convert(signal, 1.0)[0], first)
    other = ADC(bits=10, offset_std=2.0).fabricate(4, rng=5)
    assert np.array_equal(other.offset, built.offset)
    copies = design.fabricate(4, rng=5, copies=3)
    converted, _ = copies.convert(np.stack([signal] * 3), 1.0)
    assert len({part.tobytes() for part in converted}) == 3


@pytest.mark.parametrize("kind", [ADC, DAC])
@precision
def test_thermal_noise_is_drawn_for_every_conversion(kind, dtype, naive):
    """Gaussian, in the unit of the signal, independent between columns and conversions."""
    noise, signal = 2e-8, np.full((MANY, 2), 3e-7, dtype=dtype)
    built = kind(bits=16, noise=noise).fabricate(2, rng=0)
    converted, _ = built.convert(signal, 1e-6, np.random.default_rng(1))
    assert converted.dtype == dtype
    naive.check_moments(converted, 3e-7, noise)
    naive.check_independent(converted)
    naive.check_independent(converted.reshape(-1, 4))
    with pytest.raises(AssertionError, match="variance"):
        naive.check_moments(converted, 3e-7, 1.1 * noise)
    again, _ = built.convert(signal, 1e-6, np.random.default_rng(1))
    assert np.array_equal(again, converted)


def test_thermal_noise_and_rounding_add_up(naive):
    """Noise of half a step: variance noise² + LSB²/12 about a signal between codes."""
    signal = uniform((MANY, 1), 0.9)
    lsb = 1 / 7
    converted, _ = (
        ADC(bits=4, noise=lsb).fabricate(1, 0).convert(signal, 1.0, np.random.default_rng(1))
    )
    error = (converted - signal)[np.abs(signal) < 0.5]
    variance = lsb**2 * (1 + 1 / 12)
    bound = stats.norm.isf(naive.ALARM / 2) * math.sqrt(2 / len(error))
    assert abs(error.var() / variance - 1) < bound
    assert abs(error.var() / lsb**2 - 1) > bound  # without the rounding it would be noticed


def test_comparator_noise_decides_by_chance(naive):
    """A signal d steps above mid-scale is found above it with probability Φ(d/σ)."""
    sigma, distance = 2.0, 1.3
    built = ADC(bits=6, circuit=SAR(comparator_noise=sigma)).fabricate(1, rng=0)
    signal = np.full((MANY, 1), (-0.5 + distance) / 31)
    converted, _ = built.convert(signal, 1.0, np.random.default_rng(0))
    above = np.count_nonzero(converted > -0.5 / 31)

    def unlikely(chance):
        return stats.binomtest(above, MANY, chance).pvalue < naive.ALARM

    assert not unlikely(stats.norm.cdf(distance / sigma))
    assert unlikely(stats.norm.cdf(distance / (1.2 * sigma)))


# Ranges


@pytest.mark.parametrize("kind", [ADC, DAC])
@pytest.mark.parametrize("errors", [{}, {"gain_std": 0.05, "dnl": 0.1}], ids=["ideal", "errors"])
def test_every_column_can_have_its_own_full_scale(kind, errors):
    """Columns convert as each alone with its own range, and saturations add up."""
    signal, full_scale = uniform((40, 3), 2.0), np.array([0.5, 1.0, 1.5])
    design = kind(bits=6, **errors)
    built = design.fabricate(3, rng=0)
    converted, saturated = built.convert(signal, full_scale)
    alone = [built.convert(signal, float(scale)) for scale in full_scale]
    for j in range(3):
        np.testing.assert_allclose(converted[:, j], alone[j][0][:, j], rtol=1e-15)
    if not errors:
        direct, beyond = design.convert(signal, full_scale)
        assert np.array_equal(direct, converted)
        assert beyond == saturated
    assert saturated > 0
    assert np.all(np.abs(converted) < 1.4 * full_scale)


def test_saturations_are_counted_behind_gain_and_offset():
    """The overload level moves with the converter: a full-scale signal saturates at gain 1.1."""
    built = ADC(bits=8, gain_std=0.1).fabricate(50, rng=0)
    _, saturated = built.convert(np.ones((3, 50)), 1.0)
    assert saturated == 3 * np.count_nonzero(built.gain * 127 > 127.5) > 0


@given(seed=st.integers(0), percentile=st.floats(1, 100), per_column=st.booleans())
def test_a_calibrated_range_holds_its_share_of_the_data(seed, percentile, per_column):
    """At most 100 − p percent of the samples lie beyond, and hardly fewer."""
    samples = np.random.default_rng(seed).normal(0, [1e-6, 5e-6], (4, 100, 2))
    scale = calibrate_full_scale(samples, percentile, per_column)
    beyond = np.abs(samples) > scale
    shares = beyond.reshape(-1, 2).mean(axis=0) if per_column else np.array([beyond.mean()])
    resolution = 1 / (400 if per_column else 800)
    np.testing.assert_allclose(shares, 1 - percentile / 100, atol=1.01 * resolution)
    assert np.shape(scale) == ((2,) if per_column else ())


def test_a_calibrated_range_is_what_convert_takes():
    """At the 100th percentile nothing saturates and every column's largest sample is exact."""
    samples = np.random.default_rng(0).normal(0, [1e-6, 5e-6, 2e-5], (500, 3))
    scale = calibrate_full_scale(samples, 100, per_column=True)
    converted, saturated = ADC(bits=8).convert(samples, scale)
    assert saturated == 0
    np.testing.assert_allclose(np.abs(converted).max(axis=0), scale, rtol=1e-12)
    lower, saturated = ADC(bits=8).convert(samples, calibrate_full_scale(samples, 90))
    assert saturated > 0
    assert np.abs(lower).max() < scale.max()


# Bit-serial input


def serial_setup(rows=32, columns=3, batch=200, dtype=np.float64):
    rng = np.random.default_rng(8)
    volts = rng.uniform(-0.35, 0.35, (batch, rows)).astype(dtype)
    return volts, rng.uniform(1e-6, 4e-5, (rows, columns)).astype(dtype)


@precision
@pytest.mark.parametrize("bits", [2, 5, 8, 12])
def test_bit_serial_equals_parallel_without_adc(bits, dtype):
    """Same current as the voltages of a DAC of as many bits, and the same saturations."""
    volts, conductance = serial_setup(dtype=dtype)
    seen = []

    def cycle(drive):
        seen.append(drive)
        return drive @ conductance

    current, saturated = BitSerial(bits=bits).read(volts, 0.2, cycle)
    parallel, beyond = DAC(bits=bits).convert(volts, 0.2)
    expected = parallel @ conductance
    assert current.dtype == dtype
    tolerance = (1e-12 if dtype == np.float64 else 1e-5) * np.abs(expected).max()
    np.testing.assert_allclose(current, expected, rtol=0, atol=tolerance)
    assert saturated == beyond > 0
    assert len(seen) == BitSerial(bits=bits).cycles == bits
    assert set(np.unique(seen)) == {0.0, float(dtype(0.2))}


def test_bits_are_those_of_twos_complement():
    """Every code of 4 bits, by Python's own integers."""
    codes = np.arange(-7, 8)
    encoded, _ = BitSerial(bits=4).encode(codes * 0.1, 0.7)
    assert encoded.tolist() == codes.tolist()
    planes = []
    BitSerial(bits=4).read(codes[None] * 0.1, 0.7, lambda v: planes.append(v[0]) or v)
    for at, code in enumerate(codes.tolist()):
        digits = [int(plane[at] > 0) for plane in reversed(planes)]
        assert "".join(map(str, digits)) == format(code % 16, "04b")


def test_rounding_errors_of_bit_serial_reads_add_up(naive):
    """Variance (LSB²/12)·(4^b − 1)/3/(2^(b−1) − 1)²; that of one conversion is noticed."""
    volts, conductance = serial_setup(rows=64, columns=1, batch=MANY)
    serial, adc = BitSerial(bits=6), ADC(bits=9)
    full_scale = 0.2 * float(conductance.sum())
    exact, _ = serial.read(volts, 0.2, lambda v: v @ conductance)
    rounded, _ = serial.read(volts, 0.2, lambda v: adc.convert(v @ conductance, full_scale)[0])
    error = rounded - exact
    once = adc.step(full_scale) ** 2 / 12
    expected = once * (4**6 - 1) / 3 / 31**2
    weights = serial.weights**2
    excess = -1.2 * (weights**2).sum() / weights.sum() ** 2
    bound = stats.norm.isf(naive.ALARM / 2) * math.sqrt((2 + excess) / MANY)
    assert abs(error.var() / expected - 1) < bound
    assert abs(error.var() / once - 1) > bound


def test_bit_serial_costs_one_driver_and_conversion_per_bit():
    """Drivers take what a DAC of as many bits takes, whose default is that of 1-bit drivers."""
    assert BitSerial(bits=6).energy == DAC(bits=6).energy == pytest.approx(6 * 0.39e-12, abs=0)
    assert BitSerial(bits=6).cycles == 6


# Differential sensing


def test_pairs_are_subtracted_before_or_after_the_converter(naive):
    """One rounding error per pair before, two after; twice the conversions after."""
    currents = uniform((MANY, 2))
    exact = currents[:, :1] - currents[:, 1:]
    adc = ADC(bits=8)
    for where, converters, roundings in (("before", 2, 1), ("after", 4, 2)):
        sensing = DifferentialSensing(subtract=where)
        converted, _ = adc.convert(sensing.before(currents), 2.0)
        error = sensing.after(converted) - exact
        assert error.shape == (MANY, 1)
        assert sensing.converters(4) == converters
        expected = roundings * adc.step(2.0) ** 2 / 12
        bound = stats.norm.isf(naive.ALARM / 2) * math.sqrt(2 / MANY)  # κ − 1 < 2
        assert abs(error.var() / expected - 1) < bound
        assert abs(error.var() * roundings / expected - (3 - roundings)) > bound


# Refusals


@pytest.mark.parametrize("kind", [ADC, DAC])
@pytest.mark.parametrize(
    "error",
    [
        {"gain_std": -0.1},
        {"gain_std": 0.2},
        {"offset_std": -1.0},
        {"inl": math.nan},
        {"dnl": -0.1},
        {"noise": math.inf},
        {"noise": -1e-9},
        {"full_scale": 0.0},
        {"offset": 1.0},
    ],
    ids=lambda error: next(iter(error)),
)
def test_impossible_errors_are_refused(kind, error):
    """Negative, not finite, too large, unknown."""
    with pytest.raises(ValueError, match=next(iter(error))):
        kind(**error)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SAR(capacitor_std=0.2), "capacitor_std"),
        (lambda: SAR(comparator_noise=-1.0), "comparator_noise"),
        (lambda: Ramp(capacitor_std=-0.1), "capacitor_std"),
        (lambda: Ramp(comparator_offset_std=math.inf), "comparator_offset_std"),
        (lambda: ADC(circuit=SAR(), dnl=0.1), "must be 0 beside a circuit"),
        (lambda: BitSerial(bits=1), "bits"),
        (lambda: BitSerial(full_scale=-1.0), "full_scale"),
        (lambda: DifferentialSensing(subtract="during"), "before"),
    ],
)
def test_impossible_parts_are_refused(build, message):
    """The message names the parameter."""
    with pytest.raises(ValueError, match=message):
        build()


NOISY = [
    ADC(noise=1e-9),
    ADC(circuit=SAR(comparator_noise=0.1)),
    DAC(noise=1e-3),
]


@pytest.mark.parametrize("design", NOISY)
def test_noise_without_a_generator_is_refused(design):
    """Nothing draws from a hidden source."""
    with pytest.raises(InputError, match="generator"):
        design.fabricate(2, rng=0).convert(np.zeros((3, 2)), 1.0)


@pytest.mark.parametrize("design", [*NOISY, ADC(circuit=Ramp()), ADC(inl=1.0), DAC(gain_std=0.1)])
def test_a_converter_with_errors_must_be_fabricated(design):
    """Its parameters alone cannot convert: nothing is silently ideal."""
    with pytest.raises(InputError, match="fabricate"):
        design.convert(np.zeros((3, 2)), 1.0)


@pytest.mark.parametrize("design", [ADC(), DAC(), ADC(dnl=0.1), DAC(dnl=0.1), ADC(circuit=SAR())])
@pytest.mark.parametrize(
    ("full_scale", "message"),
    [
        (0.0, "positive and finite"),
        (-1.0, "positive and finite"),
        (math.nan, "positive and finite"),
        (np.array([1.0, math.inf]), "positive and finite"),
        (np.ones(3), r"shape \(3,\)"),
        (np.ones((1, 2)), r"shape \(1, 2\)"),
    ],
)
def test_impossible_ranges_are_refused(design, full_scale, message):
    """By ideal converters and by those with errors."""
    with pytest.raises(InputError, match=message):
        design.fabricate(2, rng=0).convert(np.zeros((3, 2)), full_scale)


@pytest.mark.parametrize("design", [ADC(dnl=0.1), DAC(dnl=0.1), ADC(circuit=SAR())])
def test_impossible_signals_are_refused(design):
    """Another number of columns or copies, not finite."""
    built, copies = design.fabricate(2, rng=0), design.fabricate(2, rng=0, copies=3)
    for signal in (np.zeros((4, 3)), np.zeros(())):
        with pytest.raises(InputError, match=r"take \(\.\.\., 2\)"):
            built.convert(signal, 1.0)
    for signal in (np.zeros((4, 2)), np.zeros((2, 4, 2))):
        with pytest.raises(InputError, match=r"take \(3, batch, 2\)"):
            copies.convert(signal, 1.0)
    with pytest.raises(InputError, match="finite"):
        built.convert(np.array([[0.0, math.nan]]), 1.0)


@pytest.mark.parametrize(("columns", "copies"), [(0, 1), (2, 0), (-1, 1)])
def test_no_converters_are_refused(columns, copies):
    """At least one of one array."""
    for design in (ADC(), DAC(dnl=0.1)):
        with pytest.raises(InputError, match="at least 1"):
            design.fabricate(columns, rng=0, copies=copies)


@pytest.mark.parametrize(
    "design", [ADC(bits=24, dnl=0.1), DAC(bits=24, inl=0.1), ADC(bits=24, circuit=Ramp())]
)
def test_levels_that_do_not_fit_into_memory_are_refused(design):
    """Before they are allocated, with the number."""
    with pytest.raises(InputError, match="GB of memory"):
        design.fabricate(1, rng=0, copies=100_000)


@pytest.mark.parametrize(
    ("currents", "options", "message"),
    [
        ([], {}, "at least one"),
        (1.0, {}, "finite samples"),
        ([[1.0, math.nan]], {}, "finite samples"),
        ([[1.0, 2.0]], {"percentile": 0}, "percentile=0"),
        ([[1.0, 2.0]], {"percentile": 101}, "percentile=101"),
        ([[1.0, 2.0]], {"percentile": math.nan}, "percentile=nan"),
        ([[0.0, 0.0]], {}, "is 0"),
        ([[1.0, 0.0]], {"per_column": True}, "in column 1 is 0"),
    ],
)
def test_samples_that_give_no_range_are_refused(currents, options, message):
    """Nothing measured, nothing finite, no current."""
    with pytest.raises(InputError, match=message):
        calibrate_full_scale(currents, **options)


def test_other_impossible_uses_are_refused():
    """Odd columns in pairs, one level alone, inputs of drivers that are none."""
    with pytest.raises(InputError, match="3 columns"):
        DifferentialSensing().before(np.zeros((2, 3)))
    for levels in ([1.0], [1.0, 2.0, 1.0], 3.0):
        with pytest.raises(InputError, match="two or more"):
            nonlinearity(levels)
    for volts, full_scale in (([math.nan], 1.0), ([0.1], 0.0), ([0.1], math.inf)):
        with pytest.raises(InputError, match="finite"):
            BitSerial().encode(np.array(volts), full_scale)
