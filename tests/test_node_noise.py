"""Node perturbation by the hardware's noise: the mean and the variance of its gradients.

Networks are small perceptrons of tanh units with weights after some training, data are synthetic.
Noise is small (0.3 % of the conductance window per device), so that what theory expects of the
mean estimate is the exact gradient of the noiseless network. The estimate may differ from it by
3 % in length, or 4 standard errors where those are larger, and in direction by what its own
variance leaves: tan² of the angle over that floor is near 1, scattered like χ² of d degrees of
freedom, of which six standard deviations are allowed (as in test_estimators.py; false alarms below
1e-4).
"""

import math
import warnings
from typing import NamedTuple

import numpy as np
import pytest

import zerohm as zo
from zerohm import InputError
from zerohm._random import stream
from zerohm.crossbar import ADC
from zerohm.devices.photonic.modulator import Modulator
from zerohm.photonics import Imperfections
from zerohm.training import mlp, node_noise, node_noise_estimator
from zerohm.training.node_noise import NodeNoise, NonlinearNoiseWarning

SAMPLES = 32


def hardware(*, write=0.0, read=0.0, adc=None):
    cell = zo.devices.preset("Wan2022").with_noise(write=write, read=read)
    return zo.mapping.rram(cell, dac=None, adc=adc, precision="float32")


class Problem(NamedTuple):
    trainer: node_noise.NodeNoiseTrainer
    inputs: np.ndarray
    labels: np.ndarray
    gradient: np.ndarray  # exact, of the noiseless network


def problem(widths, arrays, *, foresight_rate=0.0, on=None, **noise):
    """A trainer that has learned a little of four classes of inputs of very different lengths."""
    network = mlp(
        [6, *widths, 4], hardware=on or hardware(**noise), activation="tanh", input_limit=8.0
    )
    rng = stream(1, "data")
    labels = np.arange(SAMPLES) % 4
    centres = rng.standard_normal((4, 6))
    lengths = rng.uniform(0.2, 2.0, (SAMPLES, 1))
    inputs = lengths * (centres[labels] + 0.5 * rng.standard_normal((SAMPLES, 6)))
    inputs = inputs.astype("f4")
    weights = network.initial_parameters(rng)
    for _ in range(30):
        weights -= np.float32(0.5) * network.gradient(weights, inputs, labels)[1]
    method = NodeNoise(arrays=arrays, foresight_rate=foresight_rate)
    trainer = method.start(network, weights, rng=stream(2, *map(str, widths)))
    exact = network.gradient(weights.astype(float), inputs.astype(float), labels)[1]
    return Problem(trainer, inputs, labels, exact)


def mesh_problem(arrays, phase_std):
    """The same on meshes with exact converters, whose detectors are noisy."""
    mesh = zo.mapping.photonic(
        imperfections=Imperfections(phase_std=phase_std), modulator=Modulator(bits=None), adc=None
    )
    return problem([8], arrays, on=mesh)


def estimates(case, draws, *, repeats, programmings):
    """Gradients (draws, d), each the mean over ``repeats`` of the data."""
    x, labels = np.tile(case.inputs, (repeats, 1)), np.tile(case.labels, repeats)
    gradients = []
    for draw in range(draws):
        if draw * programmings % draws < programmings:
            case.trainer.program()
        gradients.append(case.trainer.estimate(x, labels)[0])
    return np.array(gradients, dtype=float)


def deviates(gradients, expected):
    """By how much the mean misses its length and its direction, as shares of what is allowed."""
    mean, size = gradients.mean(axis=0), expected @ expected
    slopes = gradients @ expected / size
    error = slopes.std(ddof=1) / math.sqrt(len(slopes))
    variance = np.square(gradients - mean).sum() / (len(gradients) - 1)
    cosine = mean @ expected / math.sqrt(size * (mean @ mean))
    excess = (1 / cosine**2 - 1) / (variance / (len(gradients) * size))
    allowed = 6 * math.sqrt(2 / len(expected))
    return abs(slopes.mean() - 1) / max(0.03, 4 * error), (excess - 1) / allowed


CASES = {
    "read noise": dict(widths=[8], arrays=1, read=0.003),
    "write noise": dict(widths=[8], arrays=2, write=0.003),
    "both": dict(widths=[8], arrays=2, write=0.002, read=0.003),
    "read noise, foresight": dict(widths=[8], arrays=1, read=0.003, foresight_rate=0.1),
    "read noise, deep": dict(widths=[8, 8], arrays=1, read=0.003),
    "both, deeper": dict(widths=[8, 8, 6], arrays=2, write=0.002, read=0.003),
}
PLAN = {
    1: dict(draws=300, repeats=32, programmings=1),
    2: dict(draws=1500, repeats=4, programmings=1500),
}


def measured(name):
    case = problem(**CASES[name])
    return deviates(estimates(case, **PLAN[case.trainer.arrays]), case.gradient)


@pytest.mark.parametrize("name", CASES)
def test_mean_estimate_is_the_gradient(name):
    """Slope 1 and no direction of its own, for every harvest and depth."""
    length, direction = measured(name)
    assert length < 1
    assert direction < 1


@pytest.mark.parametrize(("arrays", "phase_std"), [(1, 0.0), (2, 0.001)])
def test_detector_noise_measures_the_gradient(arrays, phase_std):
    """Light: noise of the detectors is independent from node to node, as the method needs."""
    case = mesh_problem(arrays, phase_std)
    gradients = estimates(case, draws=200, repeats=16, programmings={1: 1, 2: 200}[arrays])
    length, direction = deviates(gradients, case.gradient)
    assert length < 1
    assert direction < 1


def test_phase_noise_is_correlated_over_the_nodes_and_biases():
    """A phase has a part in every node: the mean estimate leaves the gradient, and yet descends."""
    case = mesh_problem(2, 0.01)
    gradients = estimates(case, draws=200, repeats=4, programmings=200)
    assert deviates(gradients, case.gradient)[1] > 1
    mean = gradients.mean(axis=0)
    assert mean @ case.gradient > 0.8 * np.linalg.norm(mean) * np.linalg.norm(case.gradient)


def test_one_variance_for_all_samples_is_noticed(monkeypatch):
    """Read noise goes with the inputs: one variance for the whole batch favours long ones."""

    def pooled(noise):
        power = np.full((len(noise), 1), 1 / np.mean(np.square(noise)), dtype="f4")
        return power, np.ones(noise.shape[1], dtype="f4")

    monkeypatch.setattr(node_noise, "relative_power", pooled)
    assert max(measured("read noise")) > 1


def test_a_wrong_factor_is_noticed(monkeypatch):
    """The sum over nodes in place of their mean power, n times too small."""
    true = node_noise.relative_power

    def summed(noise):
        scale, gain = true(noise)
        return scale / noise.shape[1], gain

    monkeypatch.setattr(node_noise, "relative_power", summed)
    assert measured("read noise")[0] > 1


def test_total_activity_differences_are_biased_in_deep_networks(monkeypatch):
    """Δz in place of ε: correlated from node to node by the layer before, and noticed."""

    def total(inputs, nodes, weights):
        return [z[0] - z[1] for z in nodes]

    monkeypatch.setattr(node_noise, "own_noise", total)
    monkeypatch.setattr(node_noise, "without_known", lambda difference, slope, noise: difference)
    assert max(measured("read noise, deep")) > 1


def test_variance_is_that_of_theory(monkeypatch):
    """E|ĝ|² − |g|² = Σ (n − 1)·|x|²·|∂L/∂z|²/N² over the samples: about nodes/N of |g|².

    It is more by far if the last layer's own noise is left in the loss difference.
    """
    case = problem([8], 1, read=0.003)
    case.trainer.program()
    network, weights = case.trainer.network, case.trainer.parameters.astype(float)
    first, second = network.matrices(weights)
    x, hidden, logits = network.ideal_forward(weights, case.inputs.astype(float))
    upstream = np.exp(logits - logits.max(axis=1, keepdims=True))
    upstream /= upstream.sum(axis=1, keepdims=True)
    upstream[np.arange(SAMPLES), case.labels] -= 1
    by_nodes = upstream @ second[:, :-1] * (1 - hidden[:, :-1] ** 2)
    lengths = np.square(x).sum(axis=1) * np.square(by_nodes).sum(axis=1)
    expected = (len(first) - 1) * lengths.sum() / SAMPLES**2

    def variance():
        gradients = estimates(case, draws=1000, repeats=1, programmings=1)[:, : first.size]
        return np.square(gradients - case.gradient[: first.size]).sum(axis=1).mean()

    assert variance() == pytest.approx(expected, rel=0.1)
    monkeypatch.setattr(node_noise, "without_known", lambda difference, slope, noise: difference)
    assert variance() > 2 * expected


def test_foresight_lowers_the_variance_and_is_no_bias_when_wrong():
    """Learned, it leaves little to measure; random, it costs variance and leaves the mean."""

    def spread(case):
        gradients = estimates(case, draws=300, repeats=32, programmings=1)
        return gradients, np.square(gradients - gradients.mean(axis=0)).sum()

    _, without = spread(problem([8], 1, read=0.003))
    learning = problem([8], 1, read=0.003, foresight_rate=0.1)
    spread(learning)
    assert spread(learning)[1] < 0.5 * without
    wrong = problem([8], 1, read=0.003)
    matrix = wrong.trainer._foresight[0]
    matrix += 0.5 * stream(10).standard_normal(matrix.shape)
    gradients, more = spread(wrong)
    assert more > without
    length, direction = deviates(gradients, wrong.gradient)
    assert length < 1
    assert direction < 1


def test_nodes_that_did_not_move_have_no_slope():
    """A ReLU at zero in both passes."""
    noise = stream(3).standard_normal((5, 4)).astype("f4")
    moved = np.eye(5, 4, dtype=bool)
    scale, gain = node_noise_estimator.relative_power(noise)
    slope = node_noise_estimator.node_slope(np.ones(5, "f4"), noise, scale, gain, moved)
    assert np.array_equal(slope != 0, moved)
    np.testing.assert_allclose(scale[:, 0], 4 / np.square(noise).sum(axis=1), rtol=1e-5)
    assert gain.sum() == pytest.approx(4, rel=1e-5)


def test_nodes_with_more_noise_are_not_favoured():
    """γ: the running share of every node makes up for unequal noise."""
    rng = stream(4)
    spread = np.linspace(0.5, 2.0, 8).astype("f4")
    noise = spread * rng.standard_normal((200_000, 8), dtype="f4")
    slope = np.arange(1, 9, dtype="f4")
    scale, gain = node_noise_estimator.relative_power(noise)
    moved = np.ones(noise.shape, dtype=bool)
    for used, biased in ((gain, False), (np.ones(8, "f4"), True)):
        mean = node_noise_estimator.node_slope(noise @ slope, noise, scale, used, moved).mean(
            axis=0
        )
        assert (np.abs(mean / slope - 1).max() > 0.2) == biased


def test_converter_codes_are_the_perturbation():
    """8-bit codes and noise of about one step: rounding is part of the noise that is measured."""
    case = problem([8], 1, read=0.02, adc=ADC(bits=8))
    gradients = estimates(case, draws=300, repeats=32, programmings=1)
    slope = gradients.mean(axis=0) @ case.gradient / (case.gradient @ case.gradient)
    assert slope == pytest.approx(1, abs=0.1)  # smoothing by 2 % noise included


@pytest.mark.parametrize("copies", [1, 2])
@pytest.mark.parametrize(
    "hardware",
    [
        zo.mapping.rram(zo.devices.preset("Wan2022").with_noise(write=0.02, read=0.05)),
        zo.mapping.photonic(adc=None),
        zo.mapping.digital(bits=8),
    ],
    ids=lambda hardware: hardware.name,
)
def test_several_reads_are_counted_as_so_many_and_differ_by_noise(hardware, copies):
    """One call and two: the same ledger, mean and spread; without noise, the same numbers."""
    x = stream(11).uniform(-1.1, 1.1, (400, 5)).astype("f4")
    weights = stream(12).uniform(-1, 1, (3, 5))
    together, single = (hardware.program(weights, rng=stream(13), copies=copies) for _ in range(2))
    both = together.apply(x, rng=stream(14), reads=2)
    rng = stream(15)
    alone = np.stack([single.apply(x, rng=rng) for _ in range(2)])
    assert both.shape == alone.shape
    assert together.ledger.dac_saturations > 0
    for name in ("vectors", "dac_conversions", "adc_conversions", "dac_saturations", "time_s"):
        counts = (getattr(state.ledger, name) for state in (together, single))
        assert next(counts) == pytest.approx(next(counts), rel=1e-6)
    assert together.ledger.energy_J == pytest.approx(single.ledger.energy_J, rel=1e-5)
    spread = [np.square(reads[0] - reads[1]).mean() for reads in (both, alone)]
    if hardware.name == "int8":
        assert np.array_equal(both, alone)
        assert spread == [0, 0]
        return
    assert min(spread) > 0
    error = math.sqrt(spread[1] / 2)
    assert np.sqrt(np.square(both.mean(axis=0) - alone.mean(axis=0)).mean()) < 1.2 * error
    # Mean squares of so many differences: six standard deviations.
    assert abs(spread[0] / spread[1] - 1) < 6 * math.sqrt(4 / both[0].size)


def test_nothing_but_the_hardware_draws():
    """The generator ends where programming and two passes alone leave it."""
    case = problem([8], 2, write=0.01, read=0.01)
    own, same = stream(5), stream(5)
    trainer = NodeNoise(arrays=2).start(case.trainer.network, case.trainer.parameters, rng=own)
    trainer.step(lambda: (case.inputs, case.labels), 0.0)
    state = case.trainer.network.program(case.trainer.parameters, rng=same, copies=2)
    state.forward(case.inputs, rng=same)
    assert own.random() == same.random()


@pytest.mark.parametrize("arrays", [1, 2])
@pytest.mark.parametrize("bits", [None, 8])
def test_hardware_without_noise_draws_nothing_and_is_refused(arrays, bits):
    """Two passes agree: there is nothing to learn from, and no software noise in its place."""
    network = mlp([6, 8, 4], hardware=zo.mapping.digital(bits))
    rng = stream(6)
    trainer = NodeNoise(arrays=arrays).start(
        network, network.initial_parameters(stream(7)), rng=rng
    )
    with pytest.raises(InputError, match=r"noise is too small.* hardware with more noise"):
        trainer.step(lambda: (np.ones((4, 6), "f4"), np.zeros(4, int)), 0.0)
    assert rng.random() == stream(6).random()


def test_invisible_noise_is_refused_with_what_would_be_seen():
    """The least read noise of the message suffices; a tenth of it does not."""

    def first_step(read, **settings):
        case = problem([8], 1, write=0.01, read=read, adc=ADC(bits=6))
        trainer = NodeNoise(**settings).start(
            case.trainer.network, case.trainer.parameters, rng=stream(8)
        )
        trainer.step(lambda: (np.tile(case.inputs, (16, 1)), np.tile(case.labels, 16)), 0.0)

    with pytest.raises(InputError, match=r"read_noise of at least .* arrays=2") as refused:
        first_step(0.0)
    text = str(refused.value)
    least = float(text.split("at least ")[2].split()[0])
    first_step(least)
    first_step(0.0, arrays=2)
    with pytest.raises(InputError, match="adc_bits of at least"):
        first_step(least / 100)


def test_noise_beyond_the_linear_regime_is_named():
    """The warning states the measured bias, beyond the limit as shipped; small noise gives none.

    A sample that the network is sure of: its loss falls exponentially over the noise.
    """

    def first_step(read):
        case = problem([8], 1, read=read)
        logits = case.trainer.network.ideal_logits(case.trainer.parameters, case.inputs)
        margin = np.diff(np.sort(logits, axis=1)[:, -2:], axis=1)
        sure = int(margin.argmax())
        batch = np.tile(case.inputs[sure], (512, 1)), np.full(512, logits[sure].argmax())
        case.trainer.step(lambda: batch, 0.0)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first_step(0.003)
    with pytest.warns(NonlinearNoiseWarning, match=r"relative bias of [+-]\d+%") as noticed:
        first_step(0.1)
    text = str(noticed[0].message)
    stated = float(text.split("bias of ")[1].split("%")[0]) / 100
    assert abs(stated) > node_noise.LARGEST_BIAS == 0.2
    assert "±20%" in text


def test_measured_bias_is_that_of_a_smoothed_slope():
    """One logit with Gaussian noise: the bias of ΔL·Δ against the slope in the middle."""
    rng = stream(9)
    std, count = 0.5, 400_000
    logits = np.zeros((2, count, 2))
    logits[..., 0] = 1.5 + std * rng.standard_normal((2, count))
    labels = np.ones(count, int)
    losses, slopes = node_noise_estimator.losses_and_slopes(logits, labels)
    bias = node_noise_estimator.nonlinearity(losses[0] - losses[1], logits, slopes, labels)
    p = 1 / (1 + math.exp(-1.5))
    smoothed = 0.5 * std**2 * (1 - p) * (1 - 2 * p)  # σ²f‴/2f′
    assert bias == pytest.approx(smoothed, rel=0.15)


def test_it_trains_digits():
    """Both harvests, in seconds, deployed beside the master copy."""
    for arrays, least in ((1, 0.93), (2, 0.8)):
        run = zo.training.fit(
            mlp(
                [64, 32, 10],
                hardware=zo.mapping.rram(
                    zo.devices.preset("Wan2022").with_noise(write=0.02, read=0.01)
                ),
            ),
            zo.datasets.load("digits"),
            method=NodeNoise(arrays=arrays, learning_rate=5e-3),
            seed=0,
            passes=1500,
            batch=256,
            evaluations=1,
            progress=False,
        )
        assert run.deployed_accuracy[-1] > least
        assert abs(run.deployed_accuracy[-1] - run.master_accuracy[-1]) < 0.03
        assert run.forward_passes[-1] == 1500
        assert run.cell_writes[-1] == 150
