"""Control of write noise: bands of single cells, blocks, credit, and what a run measures.

Where a mean of N estimates is compared with a gradient, its error may be 5 standard errors in the
slope and 6 standard deviations of χ² in the direction (false alarms below 1e-6 each); each such
check is shown to refuse a wrong estimate.
"""

import numpy as np
import pytest

import zerohm as zo
from zerohm import InputError
from zerohm._random import stream
from zerohm.crossbar import ADC
from zerohm.datasets import Task
from zerohm.devices import Cell, ConstantNoise, PolynomialNoise
from zerohm.training import NoiseZO, fit, mlp
from zerohm.training.credit import Reading, credited
from zerohm.training.losses import cross_entropy
from zerohm.training.write_noise_control import (
    NoiseWarning,
    layer_noise,
    matched,
    narrowed,
    require_visible,
)
from zerohm.training.write_noise_statistics import (
    CrossCovariance,
    LossSignal,
    RunningMeans,
    Sensitivity,
)


def cell(noise=0.02, **options):
    """2 % write noise far above the device's floor: nothing clips."""
    settings = {"write_noise": ConstantNoise(sigma=noise * 50e-6), **options}
    return Cell(name="test", conductance_min=50e-6, conductance_max=100e-6, **settings)


def hardware(device=None, **options):
    return zo.mapping.rram(device or cell(), precision="float64", **options)


def small(device=None, activation="relu", **options):
    """4-5-3: weight matrices of 5 × 5 and 3 × 6, 43 parameters."""
    return mlp([4, 5, 3], hardware=hardware(device, **options), activation=activation)


def point(network, seed=1):
    """Weights, inputs of which a third are zero, and labels."""
    rng = stream(seed)
    x = rng.uniform(-1, 1, (24, 4))
    x[rng.random(x.shape) < 1 / 3] = 0.0
    return network.initial_parameters(rng).astype(float), x, rng.integers(0, 3, 24)


def check_mean(estimates, expected):
    """The mean of independent estimates (n, d) is the expected vector."""
    n, power = len(estimates), expected @ expected
    slopes = estimates @ expected / power
    assert abs(slopes.mean() - 1) < 5 * slopes.std() / np.sqrt(n)
    error = np.square(estimates.mean(axis=0) - expected)
    floor = estimates.var(axis=0) / n
    seen = floor > 0
    excess = np.sum(error[seen] / floor[seen]) / seen.sum()
    assert abs(excess - 1) < 6 * np.sqrt(2 / seen.sum())
    assert not error[~seen].any()


# Bands of single cells.


def test_a_cell_has_the_noise_of_its_band():
    """4000 copies: σ of every weight is the law's times its factor; clipped nowhere."""
    weights, factors = np.full((3, 4), 0.5), np.linspace(0.1, 1.0, 12).reshape(3, 4)
    own = hardware()
    narrow = own.tightened(factors)
    expected = own.write_noise(weights).std * factors
    np.testing.assert_allclose(narrow.write_noise(weights).std, expected)
    stored = narrow.program(weights, rng=stream(1), copies=4000).truth
    ratio = stored.std(axis=0) / expected
    tolerance = 5 / np.sqrt(2 * 4000)
    assert np.abs(ratio - 1).max() < tolerance
    own_ratio = own.program(weights, rng=stream(1), copies=4000).truth.std(axis=0) / expected
    assert np.abs(own_ratio - 1).max() > tolerance  # the check can fail


@pytest.mark.parametrize("copies", [1, 2])
def test_narrow_bands_cost_pulses_where_they_are_narrow(copies):
    """Pulses add up by cell; a word line takes as long as its slowest cell."""
    weights, factors = np.zeros((2, 3)), np.array([[1.0, 0.5, 0.25], [1.0, 1.0, 0.1]])
    wide = hardware().program(weights, rng=stream(1), copies=copies).ledger
    narrow = hardware().tightened(factors).program(weights, rng=stream(1), copies=copies).ledger
    assert narrow.cell_writes == wide.cell_writes == 12 * copies
    assert wide.pulses == 5 * 12 * copies
    assert narrow.pulses == pytest.approx(5 * 2 * np.sum(1 / factors) * copies)
    assert narrow.energy_J["write"] == pytest.approx(narrow.pulses * 10e-12)
    assert wide.time_s == pytest.approx(3 * 5 * 200e-9)
    assert narrow.time_s == pytest.approx((1 + 2 + 10) * 5 * 200e-9)


def test_one_factor_for_all_costs_what_equal_factors_cost():
    weights = np.linspace(-1, 1, 12).reshape(3, 4)
    one = hardware().tightened(0.5).program(weights, rng=stream(1))
    each = hardware().tightened(np.full((1, 4), 0.5)).program(weights, rng=stream(1))
    np.testing.assert_allclose(one.truth, each.truth, rtol=1e-12)
    assert one.ledger.pulses == each.ledger.pulses
    for part, energy in one.ledger.energy_J.items():
        assert energy == pytest.approx(each.ledger.energy_J[part])


def test_a_rewrite_keeps_the_bands():
    """Cells with a narrow band are rewritten within it, and pay for it."""
    weights, factors = np.full((2, 50), 0.1), np.ones((2, 50))
    factors[0] = 0.01
    state = hardware().tightened(factors).program(weights, rng=stream(1))
    before, pulses = state.truth, state.ledger.pulses
    where = np.zeros((2, 50), dtype=bool)
    where[:, :25] = True
    state.rewrite(weights, where, rng=stream(2))
    change = np.abs(state.truth - before)
    assert not change[~where].any()
    assert 20 * change[0, :25].mean() < change[1, :25].mean()
    assert state.ledger.pulses - pulses == pytest.approx(5 * 2 * 25 * (100 + 1))


@pytest.mark.parametrize("factor", [0.0, 1.5, np.nan])
def test_bands_only_narrow(factor):
    with pytest.raises(InputError, match="can only tighten"):
        hardware().tightened(np.array([[0.5, factor]]))


def test_bands_that_do_not_fit_the_layer():
    with pytest.raises(
        InputError, match=r"bands have shape \(1, 3\), which does not fit .*\(2, 4\)"
    ):
        hardware().tightened(np.ones((1, 3))).program(np.zeros((2, 4)), rng=stream(1))


GROWING = PolynomialNoise(coefficients=(0.2, 0.02), scale=1e-6, reference=1e-6)


@pytest.mark.parametrize("bands", ["line", "cell"])
def test_no_line_and_no_cell_is_louder_than_the_target(bands):
    """What is louder ends at the target, what is quieter keeps its own band."""
    network = small(cell(write_noise=GROWING))
    weights = point(network)[0]
    target = float(np.median(network.write_noise(weights).std))
    after = narrowed(network, weights, target, bands)
    pairs = zip(
        network.matrices(network.write_noise(weights).std),
        after.matrices(after.write_noise(weights).std),
        strict=True,
    )
    narrower = 0
    for own, new in pairs:
        if bands == "line":
            own, new = (np.sqrt(np.mean(std**2, axis=0)) for std in (own, new))
        np.testing.assert_allclose(new, np.minimum(own, target), rtol=1e-9)
        narrower += np.count_nonzero(own > target)
    assert narrower > 0


def test_bands_of_single_weights_need_cells():
    network = mlp([4, 5, 3], hardware=zo.mapping.photonic())
    weights = network.initial_parameters(stream(1))
    with pytest.raises(InputError, match="'photonic' has none, use rram, or bands='layer'"):
        NoiseZO(bands="cell").start(network, weights, rng=stream(1))


def test_sensitive_layers_get_narrow_bands():
    assert matched([4.0, 1.0, 2.0], narrowest=0.1) == [0.25, 1.0, 0.5]


# One array before and after a block is written again.


@pytest.mark.parametrize(
    ("block", "sizes"),
    [("network", [43]), ("layer", [25, 18]), ("lines", [24, 19]), ("cells", [22, 21])],
)
def test_only_the_block_is_written(block, sizes):
    """Blocks take turns, cover every weight once, and pay for their own cells only."""
    network = small()
    weights, x, labels = point(network)
    method = NoiseZO(arrays="rewritten", block=block, block_count=2, learning_rate=1e-9)
    trainer = method.start(network, weights, rng=stream(2))
    covered, state = np.zeros(43, dtype=int), trainer._source._state
    for size in sizes:
        before, writes = state.truth, trainer.ledger.cell_writes
        trainer.step(lambda: (x, labels), 0.0)
        changed = state.truth != before
        assert changed.sum() == size
        assert trainer.ledger.cell_writes - writes == 2 * size
        covered += changed
    assert (covered == 1).all()
    assert trainer.forward_passes == 2 * len(sizes)


@pytest.mark.parametrize("settings", [{"block": "network"}, {"block": "layer"}, {"block": "lines"}])
def test_a_rewritten_array_estimates_the_gradient(settings):
    """Mean of the steps from one point, summed over a cycle of the blocks, is the gradient."""
    network = small(cell(noise=0.005), activation="tanh", dac=None, adc=None)
    weights, x, labels = point(network)
    method = NoiseZO(
        arrays="rewritten", estimator="covariance", momentum=0.0, learning_rate=1e-6, **settings
    )
    trainer = method.start(network, weights, rng=stream(3))
    blocks = trainer._source.blocks
    estimates = np.empty((600, 43))
    for estimate in estimates:
        trainer.parameters = weights.copy()
        for _ in range(blocks):
            trainer.step(lambda: (x, labels), 0.0)
        estimate[:] = (weights - trainer.parameters) / 1e-6 / blocks
    gradient = network.gradient(weights, x, labels)[1]
    # Successive estimates share a state; every third one has nothing in common with the last.
    independent = estimates[::3]
    check_mean(independent, gradient)
    with pytest.raises(AssertionError):
        check_mean(-independent, gradient)


# Whose samples count.


def pairs_of_arrays(network, weights, x, labels, count):
    """Readings of many pairs of arrays, and their perturbations."""
    rng = stream(4)
    arrays = network.program(weights, rng=rng, copies=2 * count)
    values, truth = arrays.layer_values(x, rng=rng), arrays.truth
    for n in range(count):
        pair = slice(2 * n, 2 * n + 2)
        chosen = [(s if s.ndim == 2 else s[pair], z[pair]) for s, z in values]
        yield Reading(chosen, labels), truth[2 * n] - truth[2 * n + 1]


def test_credit_leaves_out_noise_alone():
    """All three kinds have the same mean; fewer samples, less variance. Wrong ones are refused."""
    network = small(cell(noise=0.05), dac=None, adc=None)
    weights, x, labels = point(network)
    variance = 2 * np.square(network.write_noise(weights).std)
    names = ("batch", "lines", "cells")
    estimates = {name: [] for name in (*names, "undriven")}
    for reading, difference in pairs_of_arrays(network, weights, x, labels, 6000):
        samples = reading.sample_losses
        differences = samples[0] - samples[1]
        direction = difference / variance
        counted = {
            "batch": np.full(43, differences.mean()),
            "lines": credited(network, reading, differences, "lines"),
            "cells": credited(network, reading, differences, "cells"),
        }
        counted["undriven"] = counted["batch"] - counted["cells"]
        for name, loss in counted.items():
            estimates[name].append(loss * direction)
    estimates = {name: np.array(rows) for name, rows in estimates.items()}

    def excess(name):
        """Mean square of what the estimate lacks of the batch's, over its variance."""
        lacks = estimates["batch"] - estimates[name]
        variance = lacks.var(axis=0) / len(lacks)
        seen = variance > 0
        return np.mean(np.square(lacks.mean(axis=0)[seen]) / variance[seen])

    limit = 1 + 6 * np.sqrt(2 / 30)  # 30 weights of the 43 can lack something
    assert excess("lines") < limit
    assert excess("cells") < limit
    assert excess("undriven") > 2 * limit  # the check can fail
    powers = [np.square(estimates[name]).sum() for name in names]
    assert powers[0] > 1.2 * powers[1] > 1.44 * powers[2]


def test_the_last_layer_is_known_exactly():
    """Mean of the arrays' (softmax − onehot)·xᵀ; on arrays without noise, that of the network."""
    network = small(cell(noise=0.0), dac=None, adc=None)
    weights, x, labels = point(network)
    state = network.program(weights, rng=stream(1), copies=2)
    reading = Reading(state.layer_values(x, rng=stream(1)), labels)
    gradient = network.matrices(network.gradient(weights, x, labels)[1])[-1]
    np.testing.assert_allclose(reading.last_layer_gradient(), gradient, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(reading.sample_losses.mean(axis=1), reading.losses, rtol=1e-12)
    assert reading.losses[0] == pytest.approx(cross_entropy(reading.values[-1][1][0], labels))


# What a run measures.


def test_running_means_remove_offsets():
    """Linear loss, mean errors of 1 σ in one of two arrays: biased without, unbiased with."""
    rng, slope, n = stream(5), np.array([1.0, -2.0, 0.5, 0.0, 3.0]), 40_000
    offset = np.array([1.0, 1.0, -1.0, 1.0, 1.0])
    means, plain, centred = RunningMeans(200), np.empty((n, 5)), np.empty((n, 5))
    for index in range(n):
        errors = rng.standard_normal((2, 5))
        errors[0] += offset
        difference = errors @ slope
        loss = difference[0] - difference[1]
        plain[index] = loss * (errors[0] - errors[1]) / 2
        loss, errors = means.removed(loss, errors)
        centred[index] = loss * (errors[0] - errors[1]) / 2
    # A mean of 200 earlier values adds 1/399 of its own variance to the mean product.
    check_mean(centred[2000:] / (1 + 1 / 399), slope)
    np.testing.assert_allclose(plain.mean(axis=0), slope + offset * (slope @ offset) / 2, atol=0.3)
    with pytest.raises(AssertionError):
        check_mean(plain, slope)


def test_exchanging_the_arrays_changes_nothing():
    """Why there is no chopping: ΔL and δ change their signs together."""
    network = small()
    weights, x, labels = point(network)
    (reading, difference), *_ = pairs_of_arrays(network, weights, x, labels, 1)
    one = reading.losses[0] - reading.losses[1]
    other = reading.losses[1] - reading.losses[0]
    np.testing.assert_array_equal(one * difference, other * -difference)


def test_cross_covariance_finds_a_decay_behind_read_noise():
    """κ of each layer within 5 standard errors; the square of either read-back is not κ."""
    network, rng = small(), stream(6)
    decay = np.repeat([0.9, 0.5], np.diff(network.bounds))
    gain, covariance, squares = np.ones(43), CrossCovariance(10_000), []
    for _ in range(2000):
        written = rng.standard_normal(43) * np.sqrt(2)
        before, after = np.array([written, decay * written]) + rng.standard_normal((2, 43))
        gain = covariance.gains(network, before, after, np.full(43, 2.0))
        squares.append(after @ after / 86)
    np.testing.assert_allclose(gain, decay, atol=5 * np.sqrt(3 / 18 / 2000))
    assert np.mean(squares) > 1.0


def test_cells_that_forget_are_refused():
    network, rng = small(), stream(7)
    covariance = CrossCovariance(100)
    before, variance = rng.standard_normal(43), np.full(43, 2.0)
    for _ in range(9):  # so many steps the calibrated noise is believed
        assert (covariance.gains(network, before, -before, variance) == 1).all()
    with pytest.raises(InputError, match="nothing in common in layer"):
        covariance.gains(network, before, -before, variance)


def test_sensitivity_sees_through_the_variance_of_the_estimates():
    """Two layers of |g| = 1 and 0.2 under noise of |ĝ| = 7: the square of a mean shows neither."""
    network, rng = small(), stream(8)
    sensitivity = Sensitivity(memory=1500)
    gradient = np.repeat([1 / 5, 0.2 / np.sqrt(18)], np.diff(network.bounds))
    mean = np.zeros(43)
    for _ in range(3000):
        estimate = gradient + rng.standard_normal(43)
        mean += estimate / 3000
        sensitivity.add(estimate)
    assert sensitivity.known
    first, second = sensitivity.of_layers(network)
    assert first == pytest.approx(1.0, abs=0.1)
    assert second < 0.4


def test_the_signal_says_band_and_step():
    """Noise as loud as the signal: the step halves and the band widens up to the cells' own."""
    signal = LossSignal(wanted=3.0, memory=20)
    for _ in range(20):
        signal.add(difference=np.sqrt(2.0), repeated=1.0)
    assert signal.known
    assert signal.ratio == pytest.approx(1.0)
    assert signal.step_factor == pytest.approx(0.5)
    assert signal.band_factor(0.5) == pytest.approx(0.5 / 0.9)
    assert signal.band_factor(0.99) == 1.0


# Whole runs.


@pytest.fixture
def task():
    """Three classes around three centres in four dimensions."""
    rng = stream(1)
    labels = np.arange(90) % 3
    inputs = np.clip(rng.uniform(-0.7, 0.7, (3, 4))[labels] + rng.normal(0, 0.1, (90, 4)), -1, 1)
    inputs = inputs.astype(np.float32)
    return Task(
        name="three",
        split="fixed",
        train_inputs=inputs[:60],
        train_labels=labels[:60],
        test_inputs=inputs[60:],
        test_labels=labels[60:],
        classes=3,
        input_limit=1.0,
        citations=("Alpaydin1998",),
    )


OPTIONS = [
    {},
    {"credit": "lines"},
    {"credit": "cells"},
    {"credit": "cells", "exact_last_layer": True},
    {"optimizer": "adam", "learning_rate": 0.01},
    {"arrays": "rewritten"},
    {"arrays": "rewritten", "block": "layer", "credit": "cells"},
    {"arrays": "rewritten", "block": "cells"},
    {"arrays": "single", "running_means": 50, "learning_rate": 0.01},
    {"running_means": 50},
    {"cross_covariance": True},
    {"adaptive": True},
    {"adaptive": True, "bands": "cell"},
    {"bands": "line"},
    {"bands": "cell"},
    {"bands": "sensitivity"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_control_learns_and_repeats_its_bits(task, options):
    network = mlp([4, 5, 3], hardware=zo.mapping.rram(cell()), activation="relu")
    method = NoiseZO(**{"learning_rate": 0.05, **options})
    settings = {"method": method, "seed": 3, "batch": 32, "evaluations": 3, "passes": 1200}
    run = fit(network, task, **settings)
    assert run.train_loss[-1] < 0.8 * run.train_loss[0]
    short = {**settings, "passes": 120}
    assert fit(network, task, **short).identical(fit(network, task, **short))


def test_repeated_readings_are_counted(task):
    """Every tenth of 40 steps reads its mini-batch again on both arrays."""
    network = mlp([4, 5, 3], hardware=zo.mapping.rram(cell()))
    method = NoiseZO(adaptive=True)
    run = fit(network, task, method=method, seed=0, passes=44, batch=16, evaluations=1)
    assert run.step[-1] == 20
    assert run.forward_passes[-1] == 2 * 20 + 2 * 2
    assert run.dac_conversions[-1] == 44 * 16 * (5 + 6)


# Bad input.


def test_noise_that_the_converter_cannot_show():
    """The message says how much noise or how many bits would do, and both do."""
    network = small(cell(noise=1e-3), adc=ADC(bits=6))
    weights = point(network)[0]
    with pytest.raises(InputError, match=r"use write_noise >= 0\.007.*converter of 9 bits or more"):
        NoiseZO().start(network, weights, rng=stream(1))
    require_visible(small(cell(noise=0.0072), adc=ADC(bits=6)), weights)
    require_visible(small(cell(noise=1e-3), adc=ADC(bits=9)), weights)
    noisy_read = cell(noise=1e-3, read_back_noise=ConstantNoise(sigma=0.01 * 50e-6))
    require_visible(small(noisy_read, adc=ADC(bits=6)), weights)  # dither


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"arrays": "single"}, "needs a baseline: set running_means"),
        ({"block": "layer"}, "needs arrays='rewritten'"),
        ({"arrays": "rewritten", "adaptive": True}, "keeps its bands"),
        ({"arrays": "rewritten", "bands": "cell"}, "keeps its bands"),
        ({"arrays": "rewritten", "cross_covariance": True}, "compares two arrays twice"),
        ({"arrays": "rewritten", "block": "cells", "running_means": 9}, "use block='network'"),
        ({"bands": "cell", "equalize": False}, "equalize must be true"),
        ({"arrays": "single", "running_means": 9, "adaptive": True}, "use arrays='dual'"),
        ({"credit": "node"}, "'batch', 'lines' or 'cells'"),
    ],
    ids=str,
)
def test_settings_that_exclude_each_other(settings, message):
    with pytest.raises(ValueError, match=message):
        NoiseZO(**settings)


@pytest.mark.parametrize(
    ("hardware", "said"),
    [({"settling_time": 1.0}, "relax for 1 s"), ({"running_clock": True}, "relax for")],
    ids=["settling", "running clock"],
)
def test_relaxation_before_the_read_back_is_named(hardware, said):
    """Whether a setting lets time pass or the work itself; not where it is measured."""
    device = zo.devices.preset("Levy2024-B").with_noise(write=0.002)
    network = small(device, **hardware)
    weights, x, labels = point(network)

    def step(**settings):
        trainer = NoiseZO(**settings).start(network, weights, rng=stream(1))
        trainer.step(lambda: (x, labels), 0.0)

    with pytest.warns(NoiseWarning, match=rf"{said} .*cross_covariance=True"):
        step()
    step(cross_covariance=True)


def test_layers_have_the_noise_of_the_quietest():
    network = small(cell(write_noise=GROWING))
    weights = point(network)[0]
    trainer = NoiseZO(bands="cell").start(network, weights, rng=stream(1))
    assert max(layer_noise(trainer.network, weights)) <= min(layer_noise(network, weights)) * 1.001
