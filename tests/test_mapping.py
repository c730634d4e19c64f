"""Mapping: one protocol on every substrate, tiles, differential pairs, integer arithmetic.

Statistical tests use the checks of ``naive.py`` (false-alarm rate at most 1e-4 per check, fixed
seeds), and each has a companion that feeds the same check a wrong sampler.
"""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zerohm as zo
from zerohm import InputError, devices
from zerohm.crossbar import ADC, DAC
from zerohm.mapping import Hardware, digital, rram
from zerohm.mapping.differential import noise_of_weights, to_conductances, to_weights
from zerohm.mapping.tiling import blocks

WRITES = 20_000
PRESET = devices.preset("Wan2022")
NOISELESS = PRESET.with_noise(write=0.0)
EXACT = {"dac": None, "adc": None, "precision": "float64"}


@dataclass(frozen=True)
class Entry:
    """A substrate, its noisy variant where it has one, and what its arithmetic may be off by."""

    hardware: Hardware
    noisy: Hardware | None
    stored: float  # of the weight limit, largest error of a stored weight
    input_bits: int | None = None  # of the converters of inputs and partial sums
    cells: int = 2


# A new substrate is one line here and inherits every test of the protocol.
HARDWARE = {
    "rram": Entry(
        hardware=rram(NOISELESS, dac=None, adc=None, tile=(4, 6)),
        noisy=rram(PRESET, dac=None, adc=None, tile=(4, 6)),
        stored=1e-6,
    ),
    "rram, 8 bits": Entry(
        hardware=rram(NOISELESS, tile=(4, 6)),
        noisy=rram(PRESET, tile=(4, 6)),
        stored=1e-6,
        input_bits=8,
    ),
    "digital": Entry(hardware=digital(), noisy=None, stored=0.0, cells=1),
    "int8": Entry(
        hardware=digital(bits=8), noisy=None, stored=0.5 / 127 + 1e-6, input_bits=8, cells=1
    ),
}
OUT, IN, BATCH = 5, 7, 3
LIMIT = 6.0 / math.sqrt(IN)  # of the weights of such a layer
entries = pytest.mark.parametrize("entry", HARDWARE.values(), ids=HARDWARE)
copied = pytest.mark.parametrize("copies", [1, 4])


def about(value, rel=1e-9):
    """Relative comparison: pytest's own absolute tolerance of 1e-12 exceeds energies in J."""
    return pytest.approx(value, rel=rel, abs=0.0)


def weights_for(outputs=OUT, inputs=IN, seed=0):
    """Weights over the whole range that this many inputs can store."""
    limit = 6.0 / math.sqrt(inputs)
    return np.random.default_rng(seed).uniform(-limit, limit, (outputs, inputs))


def inputs_for(*shape, seed=1):
    """Inputs over most of the converters' range: partial sums stay within theirs."""
    return np.random.default_rng(seed).uniform(-0.3, 0.3, shape)


def rng(seed=2):
    """A fresh generator; the same seed gives the same write noise."""
    return np.random.default_rng(seed)


# The protocol, on every substrate


@entries
def test_identity_of_a_substrate(entry):
    """Name, cells per weight and citations that resolve."""
    hardware = entry.hardware
    assert hardware.name
    assert hardware.cells_per_weight == entry.cells
    assert zo.cite(hardware).count("@") == len(set(hardware.citations)) > 0


@entries
def test_programming_stores_the_weights(entry):
    """Without write noise the true weights are those given, to the substrate's resolution."""
    weights = weights_for()
    state = entry.hardware.program(weights, rng=rng())
    assert state.truth.shape == weights.shape
    assert np.abs(state.truth - weights).max() <= entry.stored * LIMIT


@entries
def test_apply_multiplies_by_the_stored_weights(entry):
    """y = W·x, off by no more than the rounding of inputs and of every partial sum."""
    state = entry.hardware.program(weights_for(), rng=rng())
    x = inputs_for(BATCH, IN)
    y = state.apply(x, rng=rng())
    assert y.shape == (BATCH, OUT)
    bound = 1e-5
    if entry.input_bits is not None:
        half_step = 0.5 / (2 ** (entry.input_bits - 1) - 1)
        bound += half_step * np.abs(state.truth).sum(axis=1)
    if getattr(entry.hardware, "adc", None) is not None:
        bound += half_step * LIMIT * (math.sqrt(4) + math.sqrt(3))  # tiles of 4 and 3
    assert np.all(np.abs(y - x @ state.truth.T) <= bound)


@entries
@copied
def test_shapes_with_and_without_copies(entry, copies):
    """A leading axis of copies in everything, absent for one; inputs shared or per copy."""
    state = entry.hardware.program(weights_for(), rng=rng(), copies=copies)
    lead = () if copies == 1 else (copies,)
    assert state.truth.shape == (*lead, OUT, IN)
    assert state.read_back(rng=rng()).shape == (*lead, OUT, IN)
    assert state.apply(inputs_for(BATCH, IN), rng=rng()).shape == (*lead, BATCH, OUT)
    assert state.apply(inputs_for(*lead, BATCH, IN), rng=rng()).shape == (*lead, BATCH, OUT)
    assert state.apply(inputs_for(0, IN), rng=rng()).shape == (*lead, 0, OUT)


@entries
def test_inputs_per_copy_meet_their_own_copy(entry):
    """Copy c multiplies batch c."""
    state = entry.hardware.program(weights_for(), rng=rng(), copies=4)
    x = inputs_for(4, BATCH, IN)
    together = state.apply(x, rng=rng())
    for c in range(4):
        np.testing.assert_allclose(
            together[c], state.apply(x[c], rng=rng())[c], rtol=1e-5, atol=1e-6
        )


@entries
def test_apply_does_not_depend_on_memory_layout(entry):
    """Fortran order and strides are the caller's business."""
    state = entry.hardware.program(weights_for(), rng=rng())
    x = inputs_for(BATCH, IN)
    expected = state.apply(x, rng=rng())
    for other in (np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2]):
        np.testing.assert_allclose(state.apply(other, rng=rng()), expected, rtol=1e-5, atol=1e-6)


@entries
def test_whole_numbers_are_numbers(entry):
    """Weights or inputs given as integers mean the same as given as floats."""
    whole = np.array([[1, -1, 0, 1, 0, 1, -1]])
    from_floats = entry.hardware.program(whole.astype(float), rng=rng()).truth
    from_integers = entry.hardware.program(whole, rng=rng()).truth
    np.testing.assert_allclose(from_integers, from_floats, rtol=1e-6, atol=1e-6)
    state = entry.hardware.program(weights_for(), rng=rng())
    expected = state.apply(whole.astype(float), rng=rng())
    np.testing.assert_allclose(state.apply(whole, rng=rng()), expected, rtol=1e-5, atol=1e-6)


@entries
def test_read_back_reports_the_stored_weights(entry):
    """Without read noise read-back is off by the converter's rounding alone."""
    state = entry.hardware.program(weights_for(), rng=rng())
    step = 0.0
    if getattr(entry.hardware, "adc", None) is not None:
        step = 1.25 * LIMIT / 127
    error = np.abs(state.read_back(rng=rng()) - state.truth)
    assert error.max() <= step / 2 + 1e-6
    assert error.max() >= 0.3 * step


@entries
@copied
def test_rewrite_changes_the_selected_weights_only(entry, copies):
    """Selected weights are new in every copy, the rest keep their bits, across tiles."""
    hardware = entry.noisy or entry.hardware
    state = hardware.program(weights_for(), rng=rng(), copies=copies)
    before = state.truth.copy()
    where = np.zeros((OUT, IN), dtype=bool)
    where[0, 6] = where[4, 0] = where[2, 3] = True
    state.rewrite(np.full((OUT, IN), 0.123), where, rng=rng(5))
    changed = state.truth != before
    assert np.array_equal(changed, np.broadcast_to(where, before.shape))
    spread = 6 * hardware.write_noise(np.full((1, IN), 0.123)).std.max()
    assert np.abs(state.truth[..., where] - 0.123).max() <= spread + 0.5 / 127 * LIMIT


@entries
def test_rewriting_nothing_changes_nothing(entry):
    """An empty selection is legal for a layer: a method may have nothing to repair."""
    state = entry.hardware.program(weights_for(), rng=rng())
    before = state.truth.copy()
    state.rewrite(weights_for(seed=9), np.zeros((OUT, IN), dtype=bool), rng=rng())
    assert np.array_equal(state.truth, before)


@entries
def test_truth_is_a_record_not_a_window(entry):
    """What truth and read_back returned before a rewrite still shows the state before it."""
    state = entry.hardware.program(weights_for(), rng=rng())
    truth, read = state.truth, state.read_back(rng=rng())
    kept_truth, kept_read = truth.copy(), read.copy()
    state.rewrite(np.zeros((OUT, IN)), np.ones((OUT, IN), dtype=bool), rng=rng())
    assert np.array_equal(truth, kept_truth)
    assert np.array_equal(read, kept_read)


@entries
def test_programming_keeps_nothing_of_the_caller(entry):
    """Changing the array that was programmed, afterwards, changes no stored weight."""
    weights = weights_for()
    state = entry.hardware.program(weights, rng=rng())
    before = state.truth.copy()
    weights[:] = 0.0
    assert np.array_equal(state.truth, before)


@entries
def test_time_may_pass(entry):
    """advance takes zero and positive times; digital memory keeps, RRAM relaxes."""
    state = (entry.noisy or entry.hardware).program(weights_for(), rng=rng())
    before = state.truth.copy()
    state.advance(0.0, rng=rng())
    assert np.array_equal(state.truth, before)
    state.advance(3600.0, rng=rng())
    assert np.array_equal(state.truth, before) == (entry.hardware.name != "rram")


@entries
def test_two_programmings_differ_by_their_write_noise(entry):
    """Two programmings and two copies differ in every weight if there is write noise, else not."""
    hardware = entry.noisy or entry.hardware
    generator = rng()
    first = hardware.program(weights_for(), rng=generator).truth
    second = hardware.program(weights_for(), rng=generator).truth
    copies = hardware.program(weights_for(), rng=generator, copies=2).truth
    noisy = entry.noisy is not None
    assert np.all((first != second) == noisy)
    assert np.all((copies[0] != copies[1]) == noisy)
    again = hardware.program(weights_for(), rng=rng()).truth
    assert np.array_equal(first, again)


@entries
def test_write_noise_and_read_back_noise_broadcast(entry):
    """What a trainer may know has shapes that broadcast against the weights, and no NaN."""
    weights = weights_for()
    weights[0, 0] = 0.0
    noise = entry.hardware.write_noise(weights)
    for known in (noise.std, noise.std_slope, entry.hardware.read_back_std(weights)):
        assert np.broadcast_shapes(known.shape, weights.shape) == weights.shape
        assert np.all(np.isfinite(known))
    assert np.all(noise.std == 0)
    assert noise.density in ("gaussian", "uniform")


@entries
def test_tightened_divides_the_write_noise(entry):
    """factor 0.5 halves σ(w); a substrate without write noise stays itself."""
    hardware = entry.noisy or entry.hardware
    weights = weights_for()
    np.testing.assert_allclose(
        hardware.tightened(0.5).write_noise(weights).std,
        0.5 * np.asarray(hardware.write_noise(weights).std),
        rtol=1e-12,
    )


@entries
@copied
def test_work_is_counted(entry, copies):
    """Vectors, conversions and energy grow in proportion to what was asked."""
    state = entry.hardware.program(weights_for(), rng=rng(), copies=copies)
    assert state.ledger.cell_writes == (entry.cells == 2) * 2 * OUT * IN * copies
    state.apply(inputs_for(BATCH, IN), rng=rng())
    once = dict(state.ledger.energy_J)
    vectors = state.ledger.vectors
    assert vectors > 0
    assert sum(once.values()) > 0
    state.apply(inputs_for(BATCH, IN), rng=rng())
    state.apply(inputs_for(BATCH, IN), rng=rng())
    assert state.ledger.vectors == 3 * vectors
    for part in ("array", "adc", "dac", "digital"):
        assert state.ledger.energy_J[part] == about(3 * once[part])


@entries
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_weights_that_are_no_numbers_are_refused(entry, bad):
    """NaN and infinite weights, at programming and at rewriting."""
    weights = weights_for()
    weights[1, 2] = bad
    with pytest.raises(InputError, match="weights"):
        entry.hardware.program(weights, rng=rng())
    state = entry.hardware.program(weights_for(), rng=rng())
    before = state.truth.copy()
    with pytest.raises(InputError, match="weights"):
        state.rewrite(weights, np.ones((OUT, IN), dtype=bool), rng=rng())
    assert np.array_equal(state.truth, before)


@pytest.mark.parametrize("name", [name for name in HARDWARE if name != "digital"])
def test_weights_beyond_the_limit_are_refused(name):
    """The message has the largest weight, the limit, and what to do; the limit itself is legal."""
    hardware = HARDWARE[name].hardware
    limit = hardware.weight_limit(IN)
    assert limit == about(6 / math.sqrt(IN))
    weights = np.full((OUT, IN), -limit)
    hardware.program(weights, rng=rng())
    hardware.program(weights.astype(np.float32), rng=rng())
    weights[2, 2] = 1.01 * limit
    with pytest.raises(InputError, match=r"weights reach 2\.29.*7 inputs.*±2\.26.*weight_range"):
        hardware.program(weights, rng=rng())


@entries
def test_weights_that_are_no_matrix_are_refused(entry):
    """Weights are (out, in) with at least one of each."""
    for shape in ((3,), (0, 3), (3, 0), (2, 3, 4)):
        with pytest.raises(InputError, match="weights"):
            entry.hardware.program(np.zeros(shape), rng=rng())


@entries
@copied
def test_inputs_of_another_width_are_refused(entry, copies):
    """The last axis of a batch is the layer's inputs, no broadcasting."""
    state = entry.hardware.program(weights_for(), rng=rng(), copies=copies)
    for shape in ((BATCH, IN + 1), (BATCH, 1), (IN, BATCH)):
        with pytest.raises(
            InputError, match=rf"inputs have shape .*; the layer takes \(batch, {IN}\)"
        ):
            state.apply(np.zeros(shape), rng=rng())


@entries
@copied
def test_batches_for_other_copies_are_refused(entry, copies):
    """Two batches fit neither one layer nor four copies of it."""
    state = entry.hardware.program(weights_for(), rng=rng(), copies=copies)
    for shape in ((2, BATCH, IN), (2, 4, BATCH, IN)):
        with pytest.raises(InputError, match="copies"):
            state.apply(np.zeros(shape), rng=rng())


@entries
def test_rewriting_with_another_shape_is_refused(entry):
    """Weights and selection have the shape of the layer; nothing is cut off silently."""
    state = entry.hardware.program(weights_for(), rng=rng())
    before = state.truth.copy()
    layer = np.zeros((OUT, IN))
    for shape in ((OUT - 1, IN), (OUT, IN + 1), (OUT + 3, IN + 4)):
        other = np.zeros(shape)
        for weights, where in ((other, other == 0), (layer, other == 0), (other, layer == 0)):
            with pytest.raises(InputError, match="shape"):
                state.rewrite(weights, where, rng=rng())
    assert np.array_equal(state.truth, before)


@entries
def test_a_number_of_copies_that_is_none_is_refused(entry):
    """At least one state is programmed."""
    for copies in (0, -1):
        with pytest.raises(InputError, match="copies"):
            entry.hardware.program(weights_for(), rng=rng(), copies=copies)


# RRAM: tiles, converters, pairs


@given(
    outputs=st.integers(1, 9),
    inputs=st.integers(1, 9),
    batch=st.integers(1, 3),
    tile=st.tuples(st.integers(1, 10), st.integers(2, 12)),
    seed=st.integers(0),
)
def test_exact_tiles_give_the_product(naive, outputs, inputs, batch, tile, seed):
    """Noiseless and without converters: W·x to rounding, for any shape and any tile."""
    weights = weights_for(outputs, inputs, seed)
    state = rram(NOISELESS, tile=tile, **EXACT).program(weights, rng=rng())
    x = inputs_for(batch, inputs, seed=seed)
    scale = 6.0 / math.sqrt(inputs)
    np.testing.assert_allclose(state.truth, weights, rtol=0, atol=1e-13 * scale)
    np.testing.assert_allclose(
        state.apply(x, rng=rng()), naive.product(x, weights.T), rtol=0, atol=1e-12 * scale
    )
    np.testing.assert_allclose(state.read_back(rng=rng()), weights, rtol=0, atol=1e-13 * scale)


@given(size=st.integers(1, 300), largest=st.integers(1, 130))
def test_blocks_cover_exactly_with_equal_parts(naive, size, largest):
    """The fewest parts, none too large, lengths equal within one, every index once."""
    parts = blocks(size, largest)
    assert [i for part in parts for i in range(size)[part]] == list(range(size))
    lengths = [part.stop - part.start for part in parts]
    assert lengths == naive.cut(size, largest)
    assert max(lengths) <= largest
    assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize("tile", [(4, 6), (7, 10), (3, 3), (1, 2)])
def test_partial_sums_are_digitised_tile_by_tile(naive, tile):
    """Currents of every tile pass their own converter before they are added: naive reference."""
    hardware = rram(
        NOISELESS,
        tile=tile,
        dac=DAC(bits=6),
        adc=ADC(bits=5),
        current_range=0.3,
        precision="float64",
    )
    weights, x = weights_for(), inputs_for(20, IN) * 4
    state = hardware.program(weights, rng=rng())
    limit = hardware.weight_limit(IN)
    inputs, input_saturations = naive.convert(x, 1.0, 6)
    expected, saturations, conversions = np.zeros((20, OUT)), 0, 0
    start = 0
    for rows in naive.cut(IN, tile[0]):
        part = slice(start, start + rows)
        start += rows
        partial = naive.product(inputs[:, part], weights[:, part].T)
        digital_sum, beyond = naive.convert(partial, 0.3 * limit * math.sqrt(rows), 5)
        expected += digital_sum
        saturations += beyond
        conversions += partial.size
    columns = len(naive.cut(OUT, tile[1] // 2))
    np.testing.assert_allclose(state.apply(x, rng=rng()), expected, rtol=1e-9, atol=1e-12)
    assert input_saturations > 0
    assert state.ledger.adc_saturations == saturations > 0
    assert state.ledger.adc_conversions == conversions
    assert state.ledger.dac_conversions == 20 * IN * columns
    assert state.ledger.dac_saturations == input_saturations * columns


def test_tiles_work_in_parallel():
    """Four tiles take the time of the largest one, for programming, products and read-back."""
    state = rram(NOISELESS, tile=(4, 6)).program(weights_for(), rng=rng())
    one_word_line = 5 * (100e-9 + 100e-9)
    assert state.ledger.time_s == about(4 * one_word_line)
    before = state.ledger.time_s
    state.apply(inputs_for(BATCH, IN), rng=rng())
    assert state.ledger.time_s - before == about(BATCH * 100e-9)
    before = state.ledger.time_s
    state.read_back(rng=rng())
    assert state.ledger.time_s - before == about(4 * 100e-9)


def test_a_vector_through_a_layer_counts_once():
    """However many tiles it passes: vectors are those of the layer, on every substrate."""
    for entry in HARDWARE.values():
        state = entry.hardware.program(weights_for(), rng=rng())
        state.apply(inputs_for(BATCH, IN), rng=rng())
        assert state.ledger.vectors == BATCH


def test_inputs_beyond_full_scale_saturate_and_are_counted():
    """|x| > 1 acts as ±1 with converters; all such inputs are counted, none below."""
    for hardware in (rram(NOISELESS), digital(bits=8)):
        state = hardware.program(weights_for(), rng=rng())
        x = inputs_for(BATCH, IN)
        x[0, 0], x[2, 5] = 1.7, -5.0
        y = state.apply(x, rng=rng())
        assert state.ledger.dac_saturations == 2
        np.testing.assert_array_equal(y, state.apply(np.clip(x, -1, 1), rng=rng()))
        assert state.ledger.dac_saturations == 2


def test_without_a_converter_inputs_that_would_disturb_cells_are_refused():
    """0.2 V per unit and cells that stand 0.5 V: |x| up to 2.5."""
    state = rram(NOISELESS, **EXACT).program(weights_for(), rng=rng())
    state.apply(np.full((1, IN), 2.49), rng=rng())
    with pytest.raises(InputError, match=r"0\.5 V"):
        state.apply(np.full((1, IN), 2.51), rng=rng())


@given(
    outputs=st.integers(1, 6),
    inputs=st.integers(1, 6),
    limit=st.floats(0.01, 100),
    seed=st.integers(0),
)
def test_pairs_are_one_sided_and_invert(outputs, inputs, limit, seed):
    """Conductances are in the window, one of each pair rests at its bottom, and w comes back."""
    weights = np.random.default_rng(seed).uniform(-limit, limit, (outputs, inputs))
    g = to_conductances(weights, limit, PRESET)
    assert g.shape == (inputs, 2 * outputs)
    PRESET.check_targets(g)
    positive, negative = g[:, 0::2], g[:, 1::2]
    assert np.all(np.minimum(positive, negative) == PRESET.conductance_min)
    assert np.array_equal(positive > negative, weights.T > 0)
    back = to_weights(positive - negative, limit, PRESET)
    np.testing.assert_allclose(back, weights, rtol=0, atol=1e-13 * limit)


def test_pairs_by_hand():
    """w = limit/2 is half the window on the even column; −limit is all of it on the odd one."""
    g = to_conductances(np.array([[0.5, -1.0], [0.0, 1.0]]), 1.0, PRESET) * 1e6
    np.testing.assert_allclose(g, [[20.5, 1, 1, 1], [1, 40, 40, 1]], rtol=1e-12)


@pytest.mark.parametrize("name", ["Milo2021", "Falcone2025", "Falcone2025-0.2pct"])
def test_known_write_noise_is_that_of_programmed_weights(name, naive):
    """σ(w) against the weights of many programmings, for cells far from their floor."""
    hardware = rram(devices.preset(name), tile=(2, 4), **EXACT)
    weights = np.array([[0.0, 1.0, -1.0], [3.0, -3.4, 0.01]])
    stored = hardware.program(weights, rng=rng(), copies=WRITES).truth
    noise = hardware.write_noise(weights)
    assert noise.density == "gaussian"
    naive.check_moments(stored, weights, noise.std)
    naive.check_independent(stored.reshape(WRITES, -1))
    limit, cell = hardware.weight_limit(3), hardware.cell
    carrying = cell.conductance_min + np.abs(weights) * cell.window / limit
    one_device_only = cell.write_noise.std(carrying) * limit / cell.window
    with pytest.raises(AssertionError, match="variance"):
        naive.check_moments(stored, weights, one_device_only)


@pytest.mark.parametrize("name", devices.presets())
def test_slope_of_the_write_noise_is_its_derivative(name):
    """dσ/dw against central differences, on both sides of zero; at zero the right-hand slope."""
    cell, limit, step = devices.preset(name), 1.5, 1e-6
    weights = np.array([[-1.4, -0.7, -0.01, 0.01, 0.3, 1.4]])
    _, slope = noise_of_weights(weights, limit, cell)
    above, below = (noise_of_weights(weights + d, limit, cell)[0] for d in (step, -step))
    np.testing.assert_allclose(slope, (above - below) / (2 * step), rtol=1e-5, atol=1e-8)
    zero = np.zeros((1, 1))
    right = noise_of_weights(zero + step, limit, cell)[0] - noise_of_weights(zero, limit, cell)[0]
    np.testing.assert_allclose(noise_of_weights(zero, limit, cell)[1], right / step, rtol=1e-3)


def test_known_read_back_noise_is_that_of_read_back(naive):
    """read_back_std against many readings, without a converter and with its rounding."""
    cell = devices.preset("Falcone2025").with_noise(write=0.0, read_back=0.02)
    weights = np.array([[0.0, 1.0, -1.0], [3.0, -3.4, 0.01]])
    for adc in (None, ADC(bits=6)):
        hardware = rram(cell, dac=None, adc=adc, precision="float64")
        state = hardware.program(weights, rng=rng(), copies=WRITES)
        read = state.read_back(rng=rng(3))
        std = hardware.read_back_std(weights)
        if adc is None:
            naive.check_moments(read, weights, std)
        else:
            np.testing.assert_allclose(read.std(axis=0), np.broadcast_to(std, (2, 3)), rtol=0.03)
            np.testing.assert_allclose(read.mean(axis=0), weights, atol=0.03)
        with pytest.raises(AssertionError, match="variance"):
            naive.check_moments(read, weights, std / math.sqrt(2))


def test_single_precision_agrees_with_double():
    """The same draw-free layer in float32 and float64, to 1e-6 of the largest output."""
    weights, x = weights_for(30, 50), inputs_for(20, 50)
    options = {"dac": None, "adc": None, "tile": (16, 16)}
    single = rram(NOISELESS, **options).program(weights, rng=rng()).apply(x, rng=rng())
    double = rram(NOISELESS, **options, precision="float64").program(weights, rng=rng())
    expected = double.apply(x, rng=rng())
    assert single.dtype == np.float32
    assert expected.dtype == np.float64
    assert np.abs(single - expected).max() < 2e-6 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tile": (0, 4)}, "tile"),
        ({"tile": (4, 1)}, "tile"),
        ({"wire_resistance": -1.0}, r"wire_resistance=-1\.0"),
        ({"read_voltage": 0.7}, r"at most 0\.5 V"),
        ({"weight_range": 0.0}, "weight_range"),
        ({"current_range": math.nan}, "current_range"),
        ({"precision": "float16"}, "precision"),
        ({"adcbits": 8}, "adcbits"),
    ],
)
def test_impossible_hardware_is_refused(options, message):
    """At the latest when a layer is programmed, by the name of what is wrong."""
    with pytest.raises(InputError, match=message):
        rram(NOISELESS, **options).program(weights_for(), rng=rng())


# Digital


@given(
    bits=st.integers(2, 16),
    outputs=st.integers(1, 6),
    inputs=st.integers(1, 9),
    seed=st.integers(0),
)
def test_integer_arithmetic_is_exact(naive, bits, outputs, inputs, seed):
    """Codes of inputs and weights are multiplied and summed as Python's integers are."""
    top = 2 ** (bits - 1) - 1
    draw = np.random.default_rng(seed)
    weight_codes = draw.integers(-top, top, (outputs, inputs), endpoint=True)
    input_codes = draw.integers(-top, top, (4, inputs), endpoint=True)
    hardware = digital(bits=bits)
    step = hardware.weight_limit(inputs) / top
    state = hardware.program(weight_codes * step, rng=rng())
    y = state.apply(input_codes / top, rng=rng())
    sums = np.round(y * top / step)
    assert sums.astype(object).astype(int).tolist() == naive.integer_product(
        input_codes, weight_codes
    )


def test_integers_round_to_their_codes(naive):
    """Weights and inputs between codes go to the nearest one."""
    hardware, weights, x = digital(bits=8), weights_for(), inputs_for(BATCH, IN)
    state = hardware.program(weights, rng=rng())
    stored, _ = naive.convert(weights, hardware.weight_limit(IN), 8)
    seen, _ = naive.convert(x, 1.0, 8)
    np.testing.assert_allclose(state.truth, stored, rtol=1e-12)
    np.testing.assert_allclose(
        state.apply(x, rng=rng()), naive.product(seen, stored.T), rtol=1e-11, atol=1e-13
    )


def test_floating_point_is_plain_arithmetic():
    """digital() is x @ W.T in the type of the inputs, for weights of any size."""
    weights = 1e6 * weights_for()
    for dtype in (np.float32, np.float64):
        x = inputs_for(BATCH, IN).astype(dtype)
        y = digital().program(weights.astype(dtype), rng=rng()).apply(x, rng=rng())
        assert y.dtype == dtype
        np.testing.assert_array_equal(y, x @ weights.astype(dtype).T)
    assert digital().weight_limit(7) == math.inf


def test_digital_energy_counts_every_operation():
    """Horowitz 2014: 4.6 pJ per FP32, 0.23 pJ per INT8, quadratic in the width."""
    for hardware, energy in ((digital(), 4.6e-12), (digital(bits=8), 0.23e-12)):
        state = hardware.program(weights_for(), rng=rng(), copies=2)
        state.apply(inputs_for(BATCH, IN), rng=rng())
        expected = 2 * BATCH * OUT * IN * energy
        assert state.ledger.energy_J["digital"] == about(expected)
    assert digital(bits=4).energy_per_operation == about(0.23e-12 / 4)


@pytest.mark.parametrize("bits", [1, 0, 17, 7.5])
def test_impossible_widths_are_refused(bits):
    """Whole numbers from 2 to 16 bits."""
    with pytest.raises(InputError, match="bits"):
        digital(bits=bits)
