"""Crossbars: exact products, read noise, converters, counting, refusals.

Statistical tests use the checks of ``naive.py`` (false-alarm rate at most 1e-4 per check, fixed
seeds), and each has a companion that feeds the same check a wrong sampler.
"""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from zerohm import InputError, devices
from zerohm.crossbar import (
    ADC,
    DAC,
    PARTS,
    BitSerial,
    Crossbar,
    DifferentialSensing,
    Ledger,
    read_back_full_scale,
)
from zerohm.crossbar.kernels import add_noise, quantize

READS = 20_000
NOISELESS = devices.preset("Wan2022").with_noise(write=0.0)
LOW, HIGH = NOISELESS.conductance_min, NOISELESS.conductance_max
NOISY = {
    "constant": NOISELESS.with_noise(read=0.03),
    "state-dependent": devices.preset("Falcone2025").with_noise(write=0.0),
}
noisy = pytest.mark.parametrize("noise", NOISY)
wiring = pytest.mark.parametrize("differential", [False, True], ids=["single", "differential"])
precision = pytest.mark.parametrize("dtype", [np.float32, np.float64])
finite = st.floats(-0.2, 0.2)


def about(value, rel=1e-9):
    """Relative comparison: pytest's own absolute tolerance of 1e-12 exceeds energies in J."""
    return pytest.approx(value, rel=rel, abs=0.0)


def targets_for(cell, rows, cols, seed=0):
    """Targets over the whole window, edges included."""
    targets = np.random.default_rng(seed).uniform(
        cell.conductance_min, cell.conductance_max, (rows, cols)
    )
    targets.flat[0], targets.flat[-1] = cell.conductance_min, cell.conductance_max
    return targets


def programmed(cell=NOISELESS, rows=5, cols=4, *, copies=1, seed=1, **options):
    """An array with known targets; without write noise they are its conductances."""
    array = Crossbar(cell, shape=(rows, cols), seed=seed, **options)
    array.program(targets_for(cell, rows, cols), copies=copies)
    return array


def pairs(matrix, sign=-1):
    """What a differential amplifier makes of columns."""
    return matrix[..., 0::2] + sign * matrix[..., 1::2]


# Exact products


@given(rows=st.integers(1, 9), cols=st.integers(1, 9), batch=st.integers(1, 5), seed=st.integers(0))
def test_ideal_read_is_the_product(naive, rows, cols, batch, seed):
    """Currents are Σᵢ Vᵢ·Gᵢⱼ with rows as inputs, for any shape."""
    array = programmed(rows=rows, cols=cols)
    voltages = np.random.default_rng(seed).uniform(-0.5, 0.5, (batch, rows))
    expected = naive.product(voltages, targets_for(NOISELESS, rows, cols))
    np.testing.assert_allclose(array.read(voltages), expected, rtol=1e-12, atol=1e-18)


@given(rows=st.integers(1, 9), half=st.integers(1, 5), seed=st.integers(0))
def test_ideal_differential_read_is_the_product_of_differences(naive, rows, half, seed):
    """Bit line 2j minus bit line 2j + 1."""
    array = programmed(rows=rows, cols=2 * half, differential=True)
    voltages = np.random.default_rng(seed).uniform(-0.5, 0.5, (3, rows))
    expected = naive.product(voltages, pairs(targets_for(NOISELESS, rows, 2 * half)))
    np.testing.assert_allclose(array.read(voltages), expected, rtol=1e-12, atol=1e-18)


@given(
    scale=st.floats(-2, 2),
    first=st.lists(finite, min_size=5, max_size=5),
    second=st.lists(finite, min_size=5, max_size=5),
)
def test_ideal_read_is_linear(scale, first, second):
    """read(a·u + v) = a·read(u) + read(v) while nothing saturates or is digitised."""
    array = programmed(devices.preset("Milo2021").with_noise(write=0.0))
    u, v = 0.4 * np.array(first), 0.4 * np.array(second)
    np.testing.assert_allclose(
        array.read(scale * u + v), scale * array.read(u) + array.read(v), rtol=1e-9, atol=1e-17
    )


def test_one_word_line_reads_one_row():
    """Row and column convention: 0.1 V on word line i gives 0.1·G[i, :]."""
    array = programmed()
    for i, row in enumerate(targets_for(NOISELESS, 5, 4)):
        np.testing.assert_allclose(array.read(0.1 * np.eye(5)[i]), 0.1 * row, rtol=1e-14)


@wiring
def test_single_precision_agrees_with_double(differential):
    """float32 arrays return float32 currents within 1e-6 of the largest current."""
    voltages = np.random.default_rng(3).uniform(-0.2, 0.2, (10, 64))
    options = {"rows": 64, "cols": 8, "differential": differential}
    double = programmed(**options).read(voltages)
    single = programmed(**options, dtype=np.float32).read(voltages)
    assert single.dtype == np.float32
    assert np.abs(single - double).max() < 1e-6 * np.abs(double).max()


@wiring
def test_every_copy_is_an_array_of_its_own(differential):
    """Copies differ by their write noise and each multiplies by its own conductances."""
    array = programmed(devices.preset("Wan2022"), copies=3, differential=differential)
    conductance = array.conductance
    assert conductance.shape == (3, 5, 4)
    assert len(np.unique(conductance)) == conductance.size
    seen = pairs(conductance) if differential else conductance
    shared = np.random.default_rng(0).uniform(-0.2, 0.2, (2, 5))
    own = np.random.default_rng(0).uniform(-0.2, 0.2, (3, 2, 5))
    for voltages in (shared, own):
        expected = np.einsum(
            "...bi,cij->cbj" if voltages.ndim == 2 else "cbi,cij->cbj", voltages, seen
        )
        np.testing.assert_allclose(array.read(voltages), expected, rtol=1e-12)
    np.testing.assert_allclose(
        array.read(shared[0]), np.einsum("i,cij->cj", shared[0], seen), rtol=1e-12
    )


def test_an_empty_batch_gives_no_currents():
    """Zero vectors in, zero vectors out, nothing counted."""
    array = programmed(dac=DAC(), adc=ADC())
    assert array.read(np.zeros((0, 5))).shape == (0, 4)
    assert array.ledger.vectors == array.ledger.adc_conversions == 0


@pytest.mark.parametrize("converters", [{}, {"dac": DAC(), "adc": ADC()}], ids=["exact", "8 bits"])
@pytest.mark.parametrize(
    "layout",
    [
        np.asfortranarray,
        lambda v: np.ascontiguousarray(v.T).T,
        lambda v: np.repeat(v, 2, axis=1)[:, ::2],
        lambda v: v[::-1].copy()[::-1],
    ],
    ids=["Fortran", "transposed", "strided", "reversed"],
)
def test_currents_do_not_depend_on_memory_layout(converters, layout):
    """The same voltages in another order in memory give the same currents."""
    voltages = np.random.default_rng(0).uniform(-0.2, 0.2, (6, 5))
    expected = programmed(**converters).read(voltages)
    np.testing.assert_allclose(
        programmed(**converters).read(layout(voltages)), expected, rtol=1e-12
    )


# Read noise


@noisy
@wiring
@precision
def test_read_noise_is_that_of_noisy_cells(noise, differential, dtype, naive):
    """One deviate per current has the distribution of noise in every cell, read by read."""
    cell = NOISY[noise]
    targets = targets_for(cell, 6, 4)
    voltages = np.array([0.2, -0.1, 0.05, 0.0, 0.15, -0.2])
    array = programmed(cell, rows=6, cols=4, differential=differential, dtype=dtype)
    reads = array.read(np.tile(voltages, (READS, 1)))
    by_cell = naive.noisy_reads(
        voltages, targets, cell.read_std(targets), READS, np.random.default_rng(9)
    )
    std = np.sqrt(voltages**2 @ np.broadcast_to(cell.read_std(targets) ** 2, targets.shape))
    mean = voltages @ targets
    if differential:
        by_cell, mean, std = pairs(by_cell), pairs(mean), np.sqrt(pairs(std**2, +1))
    naive.check_moments(by_cell, mean, std)
    naive.check_moments(reads, mean, std)
    naive.check_same_distribution(reads, by_cell)
    naive.check_independent(reads)
    naive.check_independent(reads.reshape(READS // 2, -1))  # two reads side by side


@noisy
def test_wrong_read_noise_is_noticed(noise, naive):
    """The checks above fail for |V| in place of V², for one σ in all states, for shared noise."""
    cell = NOISY[noise]
    targets = targets_for(cell, 6, 4)
    voltages = np.array([0.2, -0.1, 0.05, 0.0, 0.15, -0.2])
    sigma = np.broadcast_to(cell.read_std(targets), targets.shape)
    mean, variance = voltages @ targets, voltages**2 @ sigma**2
    by_cell = naive.noisy_reads(voltages, targets, sigma, READS, np.random.default_rng(9))
    normal = np.random.default_rng(1).standard_normal((READS, 4))
    unsquared = mean + np.sqrt(np.abs(voltages) @ sigma**2) * normal
    with pytest.raises(AssertionError, match="variance"):
        naive.check_moments(unsquared, mean, np.sqrt(variance))
    with pytest.raises(AssertionError, match="distribution"):
        naive.check_same_distribution(unsquared, by_cell)
    with pytest.raises(AssertionError, match="correlate"):
        naive.check_independent(mean + np.sqrt(variance) * normal[:, :1] + 1e-9 * normal)
    if noise == "state-dependent":
        averaged = mean + np.sqrt((voltages**2).sum() * np.mean(sigma**2)) * normal
        with pytest.raises(AssertionError, match="variance"):
            naive.check_moments(averaged, mean, np.sqrt(variance))


def test_noise_is_drawn_anew_for_every_vector_and_copy(naive):
    """Equal inputs, other vectors and other copies: independent noise."""
    array = programmed(NOISY["constant"], cols=2, copies=2)
    reads = array.read(np.tile(np.full(5, 0.2), (READS, 1)))
    naive.check_independent(np.moveaxis(reads, 1, 0).reshape(READS, -1))


@noisy
@wiring
def test_read_back_has_the_noise_of_single_cells(noise, differential, naive):
    """read_cells returns conductances, or differences with both cells' noise; no voltage enters."""
    cell = NOISY[noise]
    array = programmed(cell, rows=2, cols=4, copies=READS, differential=differential)
    targets = targets_for(cell, 2, 4)
    std = np.broadcast_to(cell.read_std(targets), targets.shape)
    if differential:
        targets, std = pairs(targets), np.sqrt(pairs(std**2, +1))
    read = array.read_cells().reshape(READS, -1)
    naive.check_moments(read, targets.ravel(), std.ravel())
    naive.check_independent(read)
    with pytest.raises(AssertionError, match="variance"):
        naive.check_moments(read, targets.ravel(), 1.1 * std.ravel())


def test_read_back_can_have_its_own_noise():
    """read_back_noise is used by read_cells alone, and does not move the stored state."""
    array = programmed(NOISELESS.with_noise(read_back=0.1))
    before = array.conductance.copy()
    assert array.read_cells().std() != before.std()
    assert np.array_equal(array.conductance, before)
    np.testing.assert_allclose(array.read(np.full(5, 0.1)), 0.1 * before.sum(axis=0), rtol=1e-12)


def test_a_seed_fixes_every_draw():
    """The same seed gives the same bits, another seed or an explicit generator others."""

    def run(seed, rng=None):
        array = Crossbar(NOISY["constant"].with_noise(write=0.02), shape=(3, 2), seed=seed)
        array.program(np.full((3, 2), 20e-6), rng)
        return np.concatenate([array.read(np.full(3, 0.1), rng), array.read_cells(rng).ravel()])

    generator = np.random.default_rng
    assert np.array_equal(run(7), run(7))
    assert not np.any(run(7) == run(8))
    assert np.array_equal(run(generator(1)), run(generator(1)))
    assert np.array_equal(run(7, generator(1)), run(8, generator(1)))


# Converters


@given(
    signal=st.lists(st.floats(-3, 3), min_size=1, max_size=20),
    bits=st.integers(2, 12),
    full_scale=st.floats(0.1, 2),
    kind=st.sampled_from([DAC, ADC]),
)
def test_converter_rounds_to_the_nearest_code(naive, signal, bits, full_scale, kind):
    """Codes and saturations equal exact rational arithmetic; signals on a threshold left out."""
    assume(all(naive.distance_to_tie(s, full_scale, bits) > 1e-9 for s in signal))
    expected, beyond = naive.convert(signal, full_scale, bits)
    converted, saturated = kind(bits=bits).convert(np.array(signal), full_scale)
    np.testing.assert_allclose(converted, expected, rtol=1e-12, atol=0)
    assert saturated == beyond


@precision
def test_converter_at_thresholds_and_ends(dtype):
    """3 bits, step 1: ties go to even, ±3 is the end, only |signal| > 3.5 has saturated."""
    signal = np.array([0, 0.5, 1.5, 2.5, -0.5, -1.5, 3, 3.4, 3.6, -3.6, 1e6], dtype=dtype)
    converted, saturated = ADC(bits=3).convert(signal, 3.0)
    assert converted.dtype == dtype
    assert converted.tolist() == [0, 0, 2, 2, 0, -2, 3, 3, 3, -3, 3]
    assert saturated == 3


@given(
    signal=st.lists(st.floats(-2, 2), min_size=2, max_size=20),
    bits=st.integers(2, 16),
    full_scale=st.floats(0.1, 1),
)
def test_converter_is_odd_monotone_and_keeps_zero(signal, bits, full_scale):
    """f(−x) = −f(x), x ≤ y gives f(x) ≤ f(y), f(0) = 0, |f| ≤ full scale, f(f(x)) = f(x)."""
    converter = DAC(bits=bits)
    rising = np.sort(np.array([*signal, 0.0]))
    converted, _ = converter.convert(rising, full_scale)
    assert np.array_equal(converter.convert(-rising, full_scale)[0], -converted)
    assert np.all(np.diff(converted) >= 0)
    assert converter.convert(np.zeros(3), full_scale)[0].tolist() == [0, 0, 0]
    assert np.abs(converted).max() <= full_scale * (1 + 1e-12)
    again, saturated = converter.convert(converted, full_scale)
    assert np.array_equal(again, converted)
    assert saturated == 0


def test_quantization_error_is_uniform(naive):
    """Error of an 8-bit ADC: mean 0, variance step²/12, kurtosis 1.8; not so when truncating."""
    signal = np.random.default_rng(0).uniform(-1, 1, (READS, 1))
    step = ADC(bits=8).step(1.0)
    assert step == 1 / 127
    error = ADC(bits=8).convert(signal, 1.0)[0] - signal
    naive.check_moments(error, 0.0, step / math.sqrt(12), density="uniform")
    assert np.abs(error).max() <= step / 2 * (1 + 1e-9)
    truncated = np.trunc(signal / step) * step - signal
    with pytest.raises(AssertionError, match="variance"):
        naive.check_moments(truncated, 0.0, step / math.sqrt(12), density="uniform")
    floored = np.floor(signal / step) * step - signal
    with pytest.raises(AssertionError, match="mean"):
        naive.check_moments(floored, 0.0, step / math.sqrt(12), density="uniform")


@pytest.mark.parametrize("bits", [1, 0, -3, 25, 7.5])
@pytest.mark.parametrize("kind", [DAC, ADC])
def test_impossible_resolutions_are_refused(kind, bits):
    """From 2 bits (sign included) to 24, whole numbers only."""
    with pytest.raises(ValueError, match="bits"):
        kind(bits=bits)


@wiring
def test_read_passes_both_converters(differential, naive):
    """Voltages on the DAC's grid, currents on the ADC's, saturations of both counted exactly."""
    array = programmed(
        rows=3, cols=4, differential=differential, dac=DAC(bits=4), adc=ADC(bits=6, full_scale=4e-6)
    )
    voltages = np.random.default_rng(0).uniform(-0.25, 0.25, (50, 3))
    applied, dac_saturated = naive.convert(voltages, 0.2, 4)
    seen = targets_for(NOISELESS, 3, 4)
    currents = naive.product(applied, pairs(seen) if differential else seen)
    expected, adc_saturated = naive.convert(currents, 4e-6, 6)
    np.testing.assert_allclose(array.read(voltages), expected, rtol=1e-12, atol=0)
    assert dac_saturated > 0
    assert adc_saturated > 0
    assert array.ledger.dac_saturations == dac_saturated
    assert array.ledger.adc_saturations == adc_saturated


@wiring
def test_default_full_scale_is_the_largest_possible_current(differential):
    """rows · read_voltage · G_max (differential: the window) is the last code, and no more."""
    array = Crossbar(NOISELESS, shape=(5, 2), adc=ADC(bits=8), differential=differential, seed=0)
    largest = np.full((5, 2), HIGH)
    largest[:, 1] = LOW
    array.program(largest)
    span = HIGH - LOW if differential else HIGH
    assert array.full_scale_current == about(5 * 0.2 * span)
    assert array.read(np.full(5, 0.2))[0] == about(5 * 0.2 * span)
    assert array.ledger.adc_saturations == 0


@wiring
def test_read_back_passes_the_converter(differential, naive):
    """Cells come back on a grid of 1.25 × the largest conductance (difference) over 127."""
    array = programmed(differential=differential, adc=ADC(bits=8))
    full_scale = 1.25 * (HIGH - LOW if differential else HIGH)
    assert read_back_full_scale(NOISELESS, differential=differential) == about(full_scale)
    targets = targets_for(NOISELESS, 5, 4)
    expected, _ = naive.convert(pairs(targets) if differential else targets, full_scale, 8)
    np.testing.assert_allclose(array.read_cells(), expected, rtol=1e-12, atol=0)


def test_read_back_saturations_are_counted():
    """A cell that write noise carried beyond the converter's range is counted, not hidden."""
    array = Crossbar(
        devices.preset("Wan2022").with_noise(write=0.4), shape=(40, 40), adc=ADC(bits=8), seed=0
    )
    array.program(np.full((40, 40), HIGH))
    step = 1.25 * HIGH / 127
    beyond = np.count_nonzero(array.conductance > 1.25 * HIGH + step / 2)
    read = array.read_cells()
    assert beyond > 10
    assert array.ledger.adc_saturations == beyond
    assert read.max() == about(1.25 * HIGH)


@precision
def test_kernels_equal_their_naive_versions(dtype, naive):
    """Both kernels against plain numpy or rational arithmetic."""
    rng = np.random.default_rng(0)
    current, normal = rng.standard_normal((2, 7, 3)).astype(dtype)
    variance = rng.uniform(0, 1, (7, 3)).astype(dtype)
    expected = current + np.sqrt(variance) * normal
    add_noise(current, variance, normal)
    np.testing.assert_allclose(current, expected, rtol=1e-6 if dtype == np.float32 else 1e-15)
    signal = rng.uniform(-1.2, 1.2, (7, 3)).astype(dtype)
    expected, beyond = naive.convert(signal, 1.0, 5)
    converted, saturated = quantize(signal, 1 / 15, 15.0)
    np.testing.assert_allclose(converted, expected, rtol=1e-6 if dtype == np.float32 else 1e-15)
    assert saturated == beyond


def test_compiled_and_interpreted_kernels_give_the_same_bits(outputs_with_and_without_compiler):
    """The kernels do the arithmetic they are written in: no fast-math, no other rounding."""
    script = (
        "import numpy as np, hashlib\n"
        "from zerohm.crossbar.kernels import quantize, add_noise\n"
        "rng, digest = np.random.default_rng(0), hashlib.sha256()\n"
        "for dtype in (np.float32, np.float64):\n"
        "    a, v, n = rng.uniform(0, 1, (3, 40, 5)).astype(dtype)\n"
        "    add_noise(a, v, n)\n"
        "    b, count = quantize(a, 0.01, 127.0)\n"
        "    digest.update(a.tobytes() + b.tobytes() + bytes([count % 256]))\n"
        "print(digest.hexdigest())\n"
    )
    assert len(outputs_with_and_without_compiler(script)) == 1


# Rewriting and time


@pytest.mark.parametrize("copies", [1, 3])
@wiring
def test_rewrite_changes_the_selected_cells_only(copies, differential):
    """Other cells keep their bits, targets outside the selection do not matter, reads follow."""
    array = programmed(devices.preset("Wan2022"), copies=copies, differential=differential)
    before = array.conductance.copy()
    where = np.zeros((5, 4), dtype=bool)
    where[1, 2] = where[4, 0] = True
    goal = np.where(where, 30e-6, math.nan)
    array.rewrite(goal, where)
    changed = array.conductance != before
    assert np.array_equal(changed, np.broadcast_to(where, before.shape))
    assert np.abs(array.conductance[..., where] - 30e-6).max() < 10e-6
    seen = pairs(array.conductance) if differential else array.conductance
    np.testing.assert_allclose(
        array.read(np.full(5, 0.1)), 0.1 * seen.sum(axis=-2), rtol=1e-12, atol=1e-18
    )


def test_what_was_handed_out_does_not_change_later():
    """An array of conductances taken before a rewrite still shows the state before it."""
    array = programmed()
    before = array.conductance
    kept = before.copy()
    array.rewrite(np.full((5, 4), 30e-6), np.ones((5, 4), dtype=bool))
    assert np.array_equal(before, kept)


def test_read_noise_follows_a_rewrite(naive):
    """State-dependent noise is that of the new states."""
    cell = NOISY["state-dependent"]
    array = programmed(cell, rows=1, cols=2)
    array.rewrite(np.full((1, 2), 80e-6), np.ones((1, 2), dtype=bool))
    reads = array.read(np.full((READS, 1), 0.2))
    naive.check_moments(reads, 0.2 * 80e-6, 0.2 * cell.read_std(np.array(80e-6)))


def test_cells_below_the_window_read_finite():
    """Write noise may leave cells at zero conductance, where log₁₀ G is −∞: no NaN comes out."""
    cell = devices.preset("Falcone2025").with_noise(write=0.9)
    array = programmed(cell, rows=40, cols=40)
    assert (array.conductance == 0).any()
    assert np.all(np.isfinite(array.read(np.full((3, 40), 0.2))))
    assert np.all(np.isfinite(array.read_cells()))


def test_time_advances_and_leaves_these_models_alone():
    """advance(0) is legal, times add up, programming starts anew, conductances stay."""
    array = programmed(devices.preset("Wan2022-cubic"))
    before = array.conductance.copy()
    array.advance(0.0)
    array.advance(1.5)
    array.advance(2.0)
    assert array.age_s == 3.5
    assert np.array_equal(array.conductance, before)
    array.program(targets_for(array.cell, 5, 4))
    assert array.age_s == 0.0


@pytest.mark.parametrize("seconds", [-1e-9, math.nan, math.inf])
def test_time_cannot_run_backwards(seconds):
    """Negative, undefined and endless times are refused."""
    with pytest.raises(InputError, match="seconds="):
        programmed().advance(seconds)


# Counting


@pytest.mark.parametrize("copies", [1, 3])
def test_programming_is_counted(copies):
    """5 × 4 cells, 2.5 pulses of 4 pJ and 50 ns each, a verify read of G·V²·t after each."""
    cost = devices.ProgrammingCost(pulse_energy=4e-12, pulse_duration=50e-9, pulses_per_write=2.5)
    cell = devices.Cell(name="test", conductance_min=LOW, conductance_max=HIGH, programming=cost)
    array = programmed(cell, copies=copies, read_voltage=0.1, read_duration=20e-9)
    ledger = array.ledger
    cells = 20 * copies
    assert ledger.cell_writes == cells
    assert ledger.pulses == ledger.verify_reads == 2.5 * cells
    assert ledger.energy_J["write"] == about(2.5 * cells * 4e-12)
    verify = 2.5 * copies * targets_for(cell, 5, 4).sum() * 0.1**2 * 20e-9
    assert ledger.energy_J["verify"] == about(verify)
    assert ledger.time_s == about(5 * 2.5 * (50e-9 + 20e-9))
    assert ledger.clipped_cells == 0
    assert ledger.vectors == 0


def test_verify_reads_pay_for_their_conversions():
    """With an ADC every verify read costs one conversion more."""
    exact, converted = programmed(), programmed(adc=ADC(bits=8))
    extra = converted.ledger.energy_J["verify"] - exact.ledger.energy_J["verify"]
    assert extra == about(20 * 5 * 1.56e-12)


@pytest.mark.parametrize("copies", [1, 3])
@wiring
def test_reading_is_counted(copies, differential):
    """E_array = t·Σ V²·G over all cells, conversions per word line and per output."""
    array = programmed(copies=copies, differential=differential, dac=DAC(bits=8), adc=ADC(bits=6))
    busy = array.ledger.time_s
    steps = np.array([[1, -2, 3, 0, 127], [0, 0, 0, 0, 0], [5, 5, 5, 5, 5]])
    voltages = 0.2 / 127 * steps
    array.read(voltages)
    ledger = array.ledger
    power = sum(
        v**2 * g
        for vector in voltages
        for v, row in zip(vector, targets_for(NOISELESS, 5, 4), strict=True)
        for g in row
    )
    outputs = 2 if differential else 4
    assert ledger.vectors == 3 * copies
    assert ledger.dac_conversions == 3 * 5 * copies
    assert ledger.adc_conversions == 3 * outputs * copies
    assert ledger.energy_J["array"] == about(copies * 100e-9 * power)
    assert ledger.energy_J["dac"] == about(3 * 5 * copies * 8 * 0.39e-12)
    assert ledger.energy_J["adc"] == about(3 * outputs * copies * 1.56e-12 / 4)
    assert ledger.time_s - busy == about(3 * 100e-9)


def test_energy_of_the_array_uses_the_voltages_that_are_applied():
    """The DAC's output dissipates, not what was asked of it: 0.25 V saturates at 0.2 V."""
    array = programmed(dac=DAC(bits=8))
    array.read(np.full(5, 0.25))
    expected = 100e-9 * 0.2**2 * targets_for(NOISELESS, 5, 4).sum()
    assert array.ledger.energy_J["array"] == about(expected)


def test_reading_back_is_counted():
    """Each cell is read once at the read voltage, word line by word line."""
    array = programmed(differential=True, adc=ADC(bits=8))
    busy, conversions = array.ledger.time_s, array.ledger.adc_conversions
    array.read_cells()
    ledger = array.ledger
    dissipated = 100e-9 * 0.2**2 * targets_for(NOISELESS, 5, 4).sum()
    assert ledger.cells_read_back == 20
    assert ledger.adc_conversions - conversions == 10
    assert ledger.energy_J["read_back"] == about(dissipated + 10 * 1.56e-12)
    assert ledger.time_s - busy == about(5 * 100e-9)
    assert ledger.vectors == 0


def test_rewriting_counts_what_was_rewritten():
    """Two cells on one word line: two writes, and the time of one word line."""
    array = programmed()
    busy = array.ledger.time_s
    where = np.zeros((5, 4), dtype=bool)
    where[1, :2] = True
    array.rewrite(np.full((5, 4), 30e-6), where)
    assert array.ledger.cell_writes == 20 + 2
    assert array.ledger.pulses == 5 * 22
    assert array.ledger.energy_J["write"] == about(5 * 22 * 10e-12)
    assert array.ledger.time_s - busy == about(5 * (100e-9 + 100e-9))


def test_saturations_are_counted_in_the_same_way_as_conversions():
    """Three copies have three sets of drivers: every conversion saturates, and all are counted."""
    array = programmed(copies=3, dac=DAC(bits=8))
    array.read(np.full((2, 5), 0.3))
    assert array.ledger.dac_saturations == array.ledger.dac_conversions == 2 * 5 * 3


def test_clipped_cells_are_counted():
    """As many as stand at the floor after programming."""
    array = Crossbar(devices.preset("Wan2022").with_noise(write=0.3), shape=(30, 30), seed=0)
    array.program(np.full((30, 30), 5e-6))
    at_floor = np.count_nonzero(array.conductance == 0)
    assert at_floor > 100
    assert array.ledger.clipped_cells == at_floor


def test_ledgers_add_up():
    """Every counter and every part of the energy is merged, and parts do not share state."""
    one, other = programmed(dac=DAC(), adc=ADC()), programmed(dac=DAC(), adc=ADC())
    for array in (one, other):
        array.read(np.full((4, 5), 0.3))
        array.read_cells()
    total = Ledger()
    total.add(one.ledger)
    total.add(other.ledger)
    for name, value in vars(total).items():
        if name != "energy_J":
            assert value == 2 * getattr(one.ledger, name), name
    assert set(total.energy_J) == set(PARTS)
    assert total.energy_J == {part: 2 * e for part, e in one.ledger.energy_J.items()}
    assert sum(Ledger().energy_J.values()) == 0


# Refusals


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": (0, 2)}, "rows and cols must be positive"),
        ({"shape": (2, -1)}, "rows and cols must be positive"),
        ({"shape": (2, 3), "differential": True}, "cols even"),
        ({"wire_resistance": -1.0}, r"word_line_resistance=-1\.0: .*greater than or equal to 0"),
        ({"sink_resistance": math.nan}, "sink_resistance=nan"),
        ({"read_voltage": 0.6}, r"at most 0\.5 V"),
        ({"read_voltage": 0.0}, "must be positive"),
        ({"read_voltage": math.nan}, "must be positive"),
        ({"read_duration": 0.0}, "must be positive"),
        ({"read_duration": math.inf}, "read_duration"),
        ({"dac": DAC(full_scale=0.6)}, r"0\.5 V"),
    ],
)
def test_an_impossible_array_cannot_be_built(options, message):
    """Shapes, voltages, times and wires that cannot be simulated are refused by name."""
    with pytest.raises(InputError, match=message):
        Crossbar(NOISELESS, **{"shape": (2, 2), **options})


@pytest.mark.parametrize(
    ("voltages", "message"),
    [
        (np.zeros(4), r"shape \(4,\).*5 word lines"),
        (np.zeros((3, 4)), r"shape \(3, 4\).*5 word lines"),
        (np.zeros((5, 3)), "5 word lines"),
        (0.1, r"shape \(\)"),
        (np.zeros((2, 3, 5)), r"copies \(\)"),
        (np.full(5, math.nan), "finite"),
        (np.full(5, math.inf), "finite"),
    ],
)
@pytest.mark.parametrize("dac", [None, DAC(bits=8)], ids=["exact", "DAC"])
def test_unusable_voltages_are_refused(voltages, message, dac):
    """Wrong shapes and numbers that are none, with and without a DAC in the way."""
    with pytest.raises(InputError, match=message):
        programmed(dac=dac).read(voltages)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_voltages_that_would_disturb_cells_are_refused(dtype):
    """Without a DAC that limits them voltages stay within the cell's ±0.5 V, the limit included."""
    array = programmed(dtype=dtype)
    array.read(np.full(5, 0.5))
    for voltages in (np.full(5, 0.51), np.array([0, 0, 0, 0, -0.51])):
        with pytest.raises(InputError, match=r"±0\.5 V"):
            array.read(voltages)
    assert array.ledger.vectors == 1


def test_wrong_copies_are_refused():
    """A batch for 2 copies cannot be read by 3."""
    with pytest.raises(InputError, match="copies"):
        programmed(copies=3).read(np.zeros((2, 4, 5)))


@pytest.mark.parametrize("copies", [0, -1])
def test_a_number_of_copies_that_is_none_is_refused(copies):
    """At least one array is programmed."""
    with pytest.raises(InputError, match="copies"):
        programmed(copies=copies)


def test_an_unprogrammed_array_says_so():
    """Nothing can be read or rewritten before the first programming."""
    array = Crossbar(NOISELESS, shape=(2, 2), seed=0)
    where = np.ones((2, 2), dtype=bool)
    for use in (
        lambda: array.read(np.zeros(2)),
        lambda: array.read_cells(),
        lambda: array.rewrite(np.full((2, 2), 20e-6), where),
        lambda: array.conductance,
    ):
        with pytest.raises(InputError, match=r"not been programmed.*program\(targets\)"):
            use()


def test_targets_of_another_shape_are_refused():
    """Targets and selections have the shape of the array, no broadcasting."""
    array = programmed()
    every = np.ones((5, 4), dtype=bool)
    with pytest.raises(InputError, match=r"targets have shape \(4, 5\).*\(5, 4\)"):
        array.program(np.full((4, 5), 20e-6))
    with pytest.raises(InputError, match="targets"):
        array.rewrite(np.full(4, 20e-6), every)
    with pytest.raises(InputError, match="where"):
        array.rewrite(np.full((5, 4), 20e-6), every[:1])
    with pytest.raises(InputError, match="no cell"):
        array.rewrite(np.full((5, 4), 20e-6), ~every)
    with pytest.raises(InputError, match="where"):
        array.rewrite(np.full((5, 4), 20e-6), every.astype(int))


def test_refused_targets_leave_the_array_as_it_was():
    """An error changes neither conductances nor counters."""
    array = programmed()
    before, writes = array.conductance.copy(), array.ledger.cell_writes
    with pytest.raises(InputError, match="µS"):
        array.program(np.full((5, 4), 20.0))
    with pytest.raises(InputError, match="programmed from"):
        array.rewrite(np.full((5, 4), math.nan), np.ones((5, 4), dtype=bool))
    assert np.array_equal(array.conductance, before)
    assert array.ledger.cell_writes == writes


def test_converters_with_errors_belong_to_the_array():
    """Their errors are drawn once, stay through reads and reprogramming, and differ by array."""
    options = {"dac": DAC(gain_std=0.02, bits=12), "adc": ADC(gain_std=0.05, bits=16)}
    ideal = Crossbar(NOISELESS, shape=(5, 4), seed=0)
    arrays = [Crossbar(NOISELESS, shape=(5, 4), seed=seed, **options) for seed in (1, 1, 2)]
    voltages = np.random.default_rng(0).uniform(-0.2, 0.2, (6, 5))
    reads = []
    for array in (ideal, *arrays):
        for _ in range(2):
            array.program(np.full((5, 4), HIGH))
            reads.append(array.read(voltages))
    exact, _, first, again, same, _, other, _ = reads
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).max() > 0.01 * np.abs(exact).max()
    assert 0.01 < np.abs(first / exact - 1).mean() < 0.2


def test_copies_have_converters_of_their_own():
    """A shared batch reaches every copy through its own DAC and ADC."""
    array = Crossbar(
        NOISELESS, shape=(5, 4), dac=DAC(gain_std=0.02), adc=ADC(gain_std=0.05), seed=1
    )
    array.program(np.full((5, 4), HIGH), copies=3)
    currents = array.read(np.full(5, 0.1))
    assert currents.shape == (3, 4)
    assert len(np.unique(currents)) > 6
    assert array.read_cells().shape == (3, 5, 4)


def test_a_converter_that_would_disturb_cells_is_refused():
    """Gain errors of the DAC can exceed the voltage that only reads."""
    array = Crossbar(NOISELESS, shape=(50, 2), dac=DAC(gain_std=0.1), read_voltage=0.5, seed=1)
    array.program(np.full((50, 2), HIGH))
    with pytest.raises(InputError, match="disturbed"):
        array.read(np.full(50, 0.5))


def test_bit_serial_drivers_give_the_currents_of_a_converter():
    """Without an ADC the shifted and added cycles are the DAC's currents; costs count per bit."""
    voltages = np.random.default_rng(0).uniform(-0.2, 0.2, (6, 5))
    reads, ledgers = [], []
    for dac in (DAC(bits=6), BitSerial(bits=6)):
        array = Crossbar(NOISELESS, shape=(5, 4), dac=dac, seed=0)
        array.program(np.full((5, 4), HIGH))
        before = array.ledger.time_s
        reads.append(array.read(voltages))
        ledgers.append((array.ledger.vectors, array.ledger.dac_conversions))
        cycles = (array.ledger.time_s - before) / (6 * array.read_duration)
        assert cycles == pytest.approx(6 if isinstance(dac, BitSerial) else 1)
    np.testing.assert_allclose(*reads, rtol=1e-12, atol=1e-18)
    assert ledgers[0] == ledgers[1] == (6, 30)


def test_bit_serial_reads_are_converted_in_every_cycle():
    """Six conversions per column; the result stays within the sum of their rounding errors."""
    array = Crossbar(NOISELESS, shape=(5, 4), dac=BitSerial(bits=6), adc=ADC(bits=10), seed=0)
    array.program(np.full((5, 4), HIGH), copies=2)
    voltages = np.random.default_rng(0).uniform(-0.2, 0.2, (3, 5))
    currents = array.read(voltages)
    assert array.ledger.adc_conversions == 2 * 3 * 4 * 6
    exact = Crossbar(NOISELESS, shape=(5, 4), dac=DAC(bits=6), seed=0)
    exact.program(np.full((5, 4), HIGH))
    step = array.full_scale_current / 511
    worst = 0.5 * step * np.abs(BitSerial(bits=6).weights).sum()
    assert np.abs(currents - exact.read(voltages)).max() <= worst * (1 + 1e-9)
    assert array.read(voltages[0]).shape == (2, 4)


def test_pairs_can_be_subtracted_before_or_after_the_converter():
    """The same without an ADC; after it takes two conversions and the whole current's range."""
    after = DifferentialSensing(subtract="after")
    voltages = np.random.default_rng(0).uniform(0, 0.2, (6, 5))
    targets = np.random.default_rng(1).uniform(LOW, HIGH, (5, 4))
    results = {}
    for name, sensing in (("before", True), ("after", after)):
        for adc in (None, ADC(bits=8)):
            array = Crossbar(NOISELESS, shape=(5, 4), differential=sensing, adc=adc, seed=0)
            array.program(targets)
            results[name, adc is None] = array.read(voltages)
            assert array.read_cells().shape == (5, 2)
        pairs = 2 if name == "before" else 4
        assert array.ledger.adc_conversions == (6 + 5) * pairs
    np.testing.assert_allclose(results["before", True], results["after", True], rtol=1e-9)
    wrong = {
        name: np.abs(results[name, False] - results[name, True]).max()
        for name in ("before", "after")
    }
    assert wrong["before"] < wrong["after"]
