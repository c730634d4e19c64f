"""Convolutions on hardware, their goodness and their training by local losses."""

import copy
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from zerohm import InputError, datasets, devices, training
from zerohm._random import stream
from zerohm.mapping import digital, photonic, rram
from zerohm.mapping.convolution import convolve, layer_cost, output_side, patches
from zerohm.mapping.rram_arrays import ProgrammedRRAM
from zerohm.training.convolutional.graph import Convolution, Dense, Graph, Pool
from zerohm.training.ffzero.convolutional_ffzero import ConvolutionalFFZero
from zerohm.training.ffzero.convolutional_judges import PooledJudge, channel_judges, pooled_judges
from zerohm.training.ffzero.convolutional_network import convolutional, normalised, published
from zerohm.training.ffzero.convolutional_perturbation import (
    ConvolutionalNodePerturbation,
    exchanged_patches,
    patch_slope,
    prototype_gradient,
)
from zerohm.training.ffzero.directions import ResolutionWarning, draw
from zerohm.training.ffzero.goodness import HingeLoss, SoftmaxLoss, goodness, total
from zerohm.training.ffzero.prototypes import simplex

ALARM = 1e-4  # false alarms per check
DIGITS = Graph(
    input_shape=(1, 8, 8),
    layers=(
        Convolution(name="first", channels=12, kernel=3),
        Pool(name="maxima", kind="max", size=2),
        Convolution(name="second", channels=16, kernel=3),
        Dense(name="classes", outputs=10),
    ),
)


def naive_convolution(maps, kernels, stride, padding):
    """Sums (out, h, w, batch), one place after another."""
    _, height, width, batch = maps.shape
    out, _, size, _ = kernels.shape
    border = (padding, padding)
    padded = np.pad(maps, [(0, 0), border, border, (0, 0)])
    tall = len(range(0, height + 2 * padding - size + 1, stride))
    wide = len(range(0, width + 2 * padding - size + 1, stride))
    sums = np.zeros((out, tall, wide, batch))
    for o in range(out):
        for y in range(tall):
            for x in range(wide):
                top, left = y * stride, x * stride
                seen = padded[:, top : top + size, left : left + size]
                sums[o, y, x] = np.einsum("cijb,cij->b", seen, kernels[o])
    return sums


def deviation(samples, expected):
    """Largest deviation of the mean of samples (n, ...) in standard errors, and its bound."""
    error = samples.std(axis=0, ddof=1) / np.sqrt(len(samples)) + 1e-6 * np.abs(expected).max()
    worst = np.abs((samples.mean(axis=0) - expected) / error).max()
    return worst, stats.norm.isf(ALARM / expected.size / 2)


# Lowering.


@given(
    st.integers(1, 3),
    st.integers(1, 4),
    st.integers(1, 6),
    st.integers(1, 3),
    st.integers(0, 2),
    st.tuples(st.integers(6, 9), st.integers(6, 9)),
    st.integers(0, 99),
)
def test_lowering_is_the_convolution(channels, out, kernel, stride, padding, sides, seed):
    """Patches times matrix on exact hardware are the convolution, for even kernels too."""
    rng = stream(seed)
    maps = rng.uniform(-1, 1, (channels, *sides, 2))
    kernels = rng.normal(0, 1, (out, channels, kernel, kernel))
    state = digital().program(kernels.reshape(out, -1), rng=rng)
    sums = convolve(state, maps, kernel=kernel, stride=stride, padding=padding, rng=rng)
    np.testing.assert_allclose(sums, naive_convolution(maps, kernels, stride, padding), atol=1e-12)


def test_lowering_onto_tiles_of_cells():
    """Cells without noise and exact converters give the convolution, cut into small arrays."""
    rng = stream(0)
    cell = devices.preset("Wan2022").with_noise(write=0.0, read=0.0, read_back=0.0)
    hardware = rram(cell, tile=(10, 4), dac=None, adc=None, precision="float64")
    maps = rng.uniform(-1, 1, (2, 7, 6, 3))
    kernels = rng.uniform(-1, 1, (5, 2, 4, 4)) * hardware.weight_limit(32)
    state = hardware.program(kernels.reshape(5, -1), rng=rng)
    sums = convolve(state, maps, kernel=4, stride=2, padding=1, rng=rng)
    np.testing.assert_allclose(sums, naive_convolution(maps, kernels, 2, 1), atol=1e-9)


def test_copies_are_lowered_side_by_side():
    """A state with copies convolves shared maps, and then maps of its own for each copy."""
    rng = stream(0)
    maps = rng.uniform(-1, 1, (1, 5, 5, 2))
    kernels = rng.normal(0, 1, (3, 1, 2, 2))
    state = digital().program(kernels.reshape(3, -1), rng=rng, copies=4)
    once = convolve(state, maps, kernel=2, rng=rng)
    assert once.shape == (4, 3, 4, 4, 2)
    np.testing.assert_allclose(once[3], naive_convolution(maps, kernels, 1, 0))
    own = convolve(state, np.stack([maps * k for k in range(4)]), kernel=2, rng=rng)
    np.testing.assert_allclose(own[3], 3 * once[3])


@pytest.mark.parametrize(("tile", "rows", "columns"), [((128, 128), 1, 1), ((20, 8), 4, 2)])
def test_cost_of_a_lowered_layer(tile, rows, columns):
    """Products are places; every patch is converted for each tile it meets, and takes 100 ns."""
    rng = stream(0)
    hardware = rram(devices.preset("Wan2022"), tile=tile)
    maps = rng.uniform(0, 1, (3, 9, 9, 2)).astype(np.float32)
    weights = np.zeros((6, 75), np.float32)
    seen = patches(maps, kernel=5, stride=2, padding=2)
    cost = layer_cost(hardware, weights, seen, images=2, rng=rng)
    assert (cost.cells, cost.products) == (900, 25)
    assert cost.dac_conversions == 25 * 75 * columns
    assert cost.adc_conversions == 25 * 6 * rows
    assert cost.time_s == pytest.approx(25 * 100e-9)
    converters = cost.dac_conversions * hardware.dac.energy
    converters += cost.adc_conversions * hardware.adc.energy
    assert cost.energy_J > converters
    dimmer = layer_cost(hardware, weights, 0.5 * seen, images=2, rng=rng)
    assert cost.energy_J - converters == pytest.approx(4 * (dimmer.energy_J - converters), rel=0.05)


def test_digital_cost_is_arithmetic_alone():
    """A digital layer costs its multiply–accumulates and converts nothing."""
    seen = patches(np.ones((2, 6, 6, 1), np.float32), kernel=3)
    hardware = digital(bits=8)
    cost = layer_cost(hardware, np.zeros((4, 18)), seen, images=1, rng=stream(0))
    assert cost.energy_J == pytest.approx(16 * 4 * 18 * hardware.energy_per_operation)
    assert (cost.dac_conversions, cost.adc_conversions, cost.time_s) == (0, 0, 0)


# Network and goodness.


def digits_network(hardware=None, graph=DIGITS):
    """A small network for images of 8 × 8."""
    return convolutional(graph, hardware=hardware or digital())


def naive_scores(network, parameters, x):
    """Last sums (batch, classes) of a plain network of DIGITS' kind, layer by layer."""
    maps = x.T.reshape(*network.graph.input_shape, -1).astype(float)
    for layer in network.graph.layers:
        if isinstance(layer, Pool):
            channels, height, width, batch = maps.shape
            split = maps.reshape(channels, height // 2, 2, width // 2, 2, batch)
            maps = split.max(axis=(2, 4))
        else:
            if maps.shape[0] > 1:
                rms = np.sqrt(np.mean(np.square(maps), axis=(0, 1, 2)))
                maps = maps / 2.0 ** (np.floor(np.log2(rms)) + 1)
            weights, biases = network.graph.matrices(parameters)[layer.name]
            if isinstance(layer, Dense):
                return (weights @ maps.reshape(-1, maps.shape[-1]) + biases[:, None]).T
            kernels = weights.reshape(len(weights), len(maps), layer.kernel, layer.kernel)
            maps = naive_convolution(maps, kernels, layer.stride, layer.pad)
            maps = np.maximum(maps + biases[:, None, None, None], 0)


def test_forward_pass_against_a_naive_one():
    """Ideal and programmed forward passes are the layers one after another."""
    rng = stream(3)
    network = digits_network()
    parameters = network.initial_parameters(rng)
    parameters += rng.normal(0, 0.05, parameters.shape).astype(np.float32)
    x = rng.uniform(0, 1, (5, 64)).astype(np.float32)
    expected = naive_scores(network, parameters, x)
    np.testing.assert_allclose(network.ideal_logits(parameters, x), expected, atol=1e-4)
    state = network.program(parameters, rng=rng, copies=2)
    np.testing.assert_allclose(state.forward(x, rng=rng)[1], expected, atol=1e-4)


def test_normalised_maps_keep_to_themselves():
    """Every map has mean zero and a deviation in [½, 1), by a power of two, on its own."""
    maps = stream(0).normal(3.0, 7.0, (4, 5, 5, 6))
    result = normalised(maps)
    flat = result.reshape(4, 25, 6)
    np.testing.assert_allclose(flat.mean(axis=1), 0.0, atol=1e-12)
    assert np.all((flat.std(axis=1) >= 0.5) & (flat.std(axis=1) < 1.0))
    ratio = np.log2(maps.reshape(4, 25, 6).std(axis=1) / flat.std(axis=1))
    np.testing.assert_allclose(ratio, np.rint(ratio), atol=1e-9)
    alone = normalised(maps[1:2, ..., 2:3])
    np.testing.assert_allclose(alone, result[1:2, ..., 2:3], atol=1e-12)
    assert not normalised(np.full((1, 2, 2, 1), 5.0)).any()


def test_published_network():
    """37 parameters per channel of the first convolution, 145 of the second, 144 into the last."""
    graph = published((1, 28, 28), 10)
    assert graph.weight_shape("convolution 1") == (4, 36)
    assert graph.weight_shape("convolution 2") == (4, 144)
    assert graph.weight_shape("classes") == (10, 144)


def test_goodness_of_every_channel():
    """Each channel's map passes its own random linear map and meets its own prototypes."""
    rng = stream(1)
    graph = published((1, 8, 8), 10)
    convolution, *_, dense = channel_judges(graph, 12, rng)
    sums = rng.normal(0, 1, (4, 7, 7, 3)).astype(np.float32)
    result = convolution.goodness(sums)
    for channel in range(4):
        gram = convolution.prototypes[channel] @ convolution.prototypes[channel].T
        np.testing.assert_allclose(gram, np.eye(10) * 10 / 9 - 1 / 9, atol=1e-5)
        for sample in range(3):
            f = convolution.maps[channel] @ sums[channel, :, :, sample].reshape(-1)
            expected = convolution.prototypes[channel] @ f / np.linalg.norm(f)
            np.testing.assert_allclose(result[channel, sample], expected, atol=1e-5)
    assert np.abs(convolution.prototypes[0] - convolution.prototypes[1]).max() > 0.1
    np.testing.assert_allclose(convolution.scores(sums), result.mean(axis=0))
    outputs = rng.normal(0, 1, (10, 1, 1, 5)).astype(np.float32)
    expected = goodness(outputs[:, 0, 0].T, dense.prototypes[0])
    np.testing.assert_allclose(dense.scores(outputs), expected, atol=1e-6)


# The published method.


def channels_case(batch=24, count=1, step=0.05, hardware=None):
    """A trainer of the published method and a mini-batch of digits."""
    rng = stream(5, "case")
    network = digits_network(hardware, published((1, 8, 8), 10))
    method = ConvolutionalFFZero(learning_rate=1e-3, step=step, count=count)
    task = datasets.load("digits")
    trainer = method.start(network, network.initial_parameters(rng), rng=rng)
    return trainer, task.train_inputs[:batch], task.train_labels[:batch]


def channel_loss(trainer, parameters, channel, x, labels):
    """Loss of one channel of the first layer with these parameters (channels, n), by hand."""
    layer = trainer.network.layers[0]
    judge = trainer.network.judges[0]
    maps = x.T.reshape(1, 8, 8, -1).astype(float)
    kernel = parameters[channel, :-1].reshape(1, 1, 6, 6)
    sums = normalised(naive_convolution(maps, kernel, 1, layer.pad)) + parameters[channel, -1]
    features = (judge.maps[channel] @ sums.reshape(49, -1)).T
    return total(HingeLoss(), goodness(features, judge.prototypes[channel]), labels).item()


def first_layer(trainer, parameters):
    """Kernel and shift of every channel of the first layer, (channels, 37)."""
    return np.column_stack(trainer.network.graph.matrices(parameters)["convolution 1"])


def test_channels_side_by_side_are_channels_one_by_one():
    """The update equals that of one channel after another, each with its loss, in fewer passes."""
    trainer, x, labels = channels_case()
    start = first_layer(trainer, trainer.parameters).astype(float)
    directions = draw("sphere", 4, 37, copy.deepcopy(trainer._rng))
    trainer.step(lambda: (x, labels), 0.0)
    assert trainer.forward_passes == 2
    expected = start.copy()
    for channel, u in enumerate(directions):
        losses = []
        for sign in (1, -1):
            moved = expected.copy()
            moved[channel] += sign * 0.05 * u
            losses.append(channel_loss(trainer, moved, channel, x, labels))
        expected[channel] -= 1e-3 * 37 * (losses[0] - losses[1]) / 0.1 * u
    change = first_layer(trainer, trainer.parameters) - start
    np.testing.assert_allclose(change, expected - start, atol=2e-3 * np.abs(change).max())


def test_estimate_of_grouped_channels_is_unbiased():
    """The mean update is the gradient of every channel's loss; n of the layer would be wrong."""
    trainer, x, labels = channels_case(batch=4, count=10, step=1e-2)
    initial = trainer.parameters.copy()
    start = first_layer(trainer, initial).astype(float)
    exact = np.empty_like(start)
    for channel, place in np.ndindex(start.shape):
        step = np.zeros_like(start)
        step[channel, place] = 1e-5
        above, below = (
            channel_loss(trainer, start + sign * step, channel, x, labels) for sign in (1, -1)
        )
        exact[channel, place] = (above - below) / 2e-5
    updates = []
    for _ in range(200):
        trainer.parameters[:] = initial
        trainer.step(lambda: (x, labels), 0.0)
        updates.append((start - first_layer(trainer, trainer.parameters)) / 1e-3)
    worst, bound = deviation(np.array(updates), exact)
    assert worst < bound
    worst, bound = deviation(4 * np.array(updates), exact)
    assert worst > bound


def test_layers_are_trained_in_order():
    """Each layer has its share of the budget and leaves the others alone."""
    trainer, x, labels = channels_case()
    bounds = trainer.network.bounds
    for layer, progress in enumerate((0.0, 0.4, 0.9)):
        before = trainer.parameters.copy()
        trainer.step(lambda: (x, labels), progress)
        moved = np.flatnonzero(trainer.parameters != before)
        assert bounds[layer] <= moved.min() <= moved.max() < bounds[layer + 1]
        assert trainer.network.depth == layer + 1
    assert trainer.forward_passes == 2 + (1 + 2) + (2 + 2)


# Node perturbation.


def patch_case(channels=6, sides=(5, 4), batch=3, grid=2, size=1e-3, rng=None):
    """Two reads (2, out, h, w, batch) of a layer and its judge."""
    rng = rng or stream(2, "patches")
    graph = Graph(
        input_shape=(1, *sides),
        layers=(Convolution(name="c", channels=channels), Dense(name="d", outputs=4)),
    )
    judge = pooled_judges(graph, grid, stream(2, "prototypes"))[0]
    judge = replace(judge, prototypes=judge.prototypes.astype(float))
    centre = stream(2, "sums").normal(0, 1, (channels, *sides, batch))
    centre += 0.05 * np.sign(centre)
    signs = rng.choice([-1.0, 1.0], centre.shape)
    return judge, centre, np.stack([centre + size * signs, centre - size * signs])


LABELS = np.array([2, 0, 3])


def test_exchanged_patches_against_maps_put_together():
    """The loss with one patch exchanged is that of maps put together patch by patch."""
    judge, _, sums = patch_case(size=0.3)
    active = np.maximum(sums, 0.0)
    losses = exchanged_patches(judge, active, LABELS, loss=SoftmaxLoss())
    for read in range(2):
        for place, (y, x) in enumerate(np.ndindex(5, 4)):
            maps = active.mean(axis=0)
            maps[:, y, x] = active[read, :, y, x]
            s = goodness(judge.features(maps), judge.prototypes)
            np.testing.assert_allclose(
                losses[read, place], SoftmaxLoss().of_samples(s, LABELS), rtol=1e-6
            )


def exact_slope(judge, centre, loss):
    """Derivative of every sample's loss by the sums, by central differences."""
    exact = np.zeros_like(centre)
    for index in np.ndindex(centre.shape[:3]):
        step = np.zeros_like(centre)
        step[index] = 1e-6
        above, below = (
            loss.of_samples(
                goodness(judge.features(np.maximum(centre + s * step, 0)), judge.prototypes), LABELS
            )
            for s in (1, -1)
        )
        exact[index] = (above - below) / 2e-6
    return exact


def test_patch_slope_is_unbiased():
    """The mean over signs is the derivative; counting all nodes of a map would be wrong."""
    loss, rng = SoftmaxLoss(), stream(4, "signs")
    results = []
    for _ in range(1000):
        judge, centre, sums = patch_case(size=1e-4, rng=rng)
        active = np.maximum(sums, 0.0)
        losses = exchanged_patches(judge, active, LABELS, loss=loss)
        results.append(patch_slope(losses, sums, active).reshape(centre.shape))
    results, exact = np.array(results), exact_slope(judge, centre, loss)
    worst, bound = deviation(results, exact)
    assert worst < bound
    worst, bound = deviation(20 * results, exact)
    assert worst > bound


def test_silent_nodes_have_no_slope():
    """Where the ReLU holds a node at zero in both reads, its slope is zero."""
    judge, centre, sums = patch_case()
    active = np.maximum(sums, 0.0)
    losses = exchanged_patches(judge, active, LABELS, loss=SoftmaxLoss())
    slope = patch_slope(losses, sums, active).reshape(centre.shape)
    assert not slope[centre < 0].any()
    assert slope[centre > 0].all()


def test_gradient_by_prototypes():
    """It is the derivative along the sphere, by central differences."""
    rng, loss = stream(6), SoftmaxLoss(sharpness=5.0)
    prototypes = simplex(4, 7, rng)
    features = rng.normal(0, 1, (3, 7))
    gradient = prototype_gradient(features, prototypes, LABELS, loss=loss)
    for index in np.ndindex(prototypes.shape):
        losses = []
        for sign in (1, -1):
            moved = prototypes.copy()
            moved[index] += sign * 1e-6
            moved /= np.linalg.norm(moved, axis=1, keepdims=True)
            losses.append(total(loss, goodness(features, moved), LABELS).item())
        assert gradient[index] == pytest.approx((losses[0] - losses[1]) / 2e-6, abs=1e-6)


# Training.


def crossbars(**options):
    """Cells with 2 % write and 1 % read noise, 8-bit converters."""
    cell = devices.preset("Wan2022").with_noise(write=0.02, read=0.01, read_back=0.01)
    return rram(cell, **options)


def fitted(hardware, *, passes=900, method=None, graph=DIGITS, batch=64, seed=0):
    """Record at the end of a short run on digits."""
    return training.fit(
        digits_network(hardware, graph),
        datasets.load("digits"),
        method=method or ConvolutionalNodePerturbation(grid=4),
        seed=seed,
        passes=passes,
        batch=batch,
        evaluations=1,
        deployments=1,
    )


@pytest.mark.parametrize("hardware", [digital(), digital(bits=8), crossbars()])
def test_digits_are_learned(hardware):
    """Node perturbation learns digits in 150 updates, digital or on crossbars."""
    assert fitted(hardware).deployed_accuracy[-1] > 0.93


def test_read_noise_is_displacement_enough(monkeypatch):
    """Without a displacement crossbars learn from their own noise; nobody looks at the truth."""

    def refuse(self):
        raise AssertionError("the true weights were read")

    monkeypatch.setattr(ProgrammedRRAM, "truth", property(refuse))
    method = ConvolutionalNodePerturbation(grid=4, displacement=0.0, steps_per_programming=5)
    assert fitted(crossbars(), method=method).deployed_accuracy[-1] > 0.85


def test_published_method_learns():
    """Central differences on a normalised convolution and a dense layer are far above chance."""
    graph = Graph(
        input_shape=(1, 8, 8),
        layers=(
            Convolution(name="c", channels=8, kernel=4, padding=2, normalized=True),
            Pool(name="m", kind="max", size=2),
            Dense(name="d", outputs=10),
        ),
    )
    run = fitted(digital(), graph=graph, method=ConvolutionalFFZero(), passes=4000)
    assert run.deployed_accuracy[-1] > 0.5


@pytest.mark.parametrize(
    ("hardware", "passes", "least"),
    [(crossbars(wire_resistance=1.0), 200, 0.25), (photonic(), 8, 0.0)],
)
def test_elaborate_hardware_will_do(hardware, passes, least):
    """Resistive wires, solved for weights of a few updates ago, and meshes of interferometers."""
    graph = Graph(
        input_shape=(1, 8, 8),
        layers=(Convolution(name="c", channels=6, kernel=4, stride=2), Dense(name="d", outputs=10)),
    )
    method = ConvolutionalNodePerturbation(learning_rate=0.02, steps_per_programming=10)
    run = fitted(hardware, graph=graph, method=method, passes=passes, batch=32)
    assert run.deployed_accuracy[-1] > least


def test_passes_are_the_reads_of_layers_and_seeds_repeat():
    """An update reads three layers twice; the same seed gives the same bits."""
    one, two = (fitted(crossbars(), passes=30, seed=3) for _ in range(2))
    assert one.sizes["step"] == 1
    assert one.forward_passes[-1] == 30
    assert one.step[-1] == 5
    assert one.equals(two)


def test_plain_network_can_be_trained_by_other_methods():
    """Without prototypes the network answers with its last sums, for any model-wise method."""
    run = fitted(digital(), method=training.MeZO(), passes=20)
    assert np.isfinite(run.train_loss).all()


def test_mnist_in_few_passes():
    """100 updates of three layers on MNIST."""
    if not (Path(os.environ.get("ZEROHM_DATA", "/nowhere")) / "mnist").exists():
        pytest.skip("needs the folder mnist in the folder that ZEROHM_DATA names")
    graph = Graph(
        input_shape=(1, 28, 28),
        layers=(
            Convolution(name="first", channels=16, kernel=5, stride=2),
            Convolution(name="second", channels=32, kernel=3, stride=2),
            Dense(name="classes", outputs=10),
        ),
    )
    task = datasets.load("mnist")
    task = replace(task, test_inputs=task.test_inputs[:1000], test_labels=task.test_labels[:1000])
    run = training.fit(
        convolutional(graph, hardware=digital()),
        task,
        method=ConvolutionalNodePerturbation(),
        seed=0,
        passes=600,
        batch=64,
        evaluations=1,
        deployments=1,
    )
    assert run.deployed_accuracy[-1] > 0.88


# Bad input.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel": 0}, "at least 1"),
        ({"kernel": 3, "stride": 0}, "at least 1"),
        ({"kernel": 3, "padding": -1}, "at least 0"),
        ({"kernel": 8, "padding": 1}, "larger than a side of 5"),
    ],
)
def test_impossible_windows_are_refused(options, message):
    """Kernels that do not fit, and counts below their least."""
    with pytest.raises(InputError, match=message):
        output_side(5, **options)
    with pytest.raises(InputError, match=message):
        patches(np.zeros((1, 5, 5, 1)), **options)


def test_unusable_input_is_refused():
    """Wrong shapes, graphs, networks and batches are refused with what is needed."""
    rng = stream(0)
    with pytest.raises(InputError, match="channels, height, width, batch"):
        patches(np.zeros((5, 5, 1)), kernel=2)
    with pytest.raises(InputError, match="images=0"):
        layer_cost(digital(), np.zeros((2, 4)), np.zeros((4, 6)), images=0, rng=rng)
    with pytest.raises(InputError, match="images=4"):
        layer_cost(digital(), np.zeros((2, 4)), np.zeros((4, 6)), images=4, rng=rng)
    depthwise = Convolution(name="deep", channels=1, depthwise=True)
    dense = Dense(name="d", outputs=10)
    for layers, message in [
        ((depthwise, dense), "depthwise"),
        ((Pool(name="p", size=2), dense), "must have weights"),
        ((dense, Pool(name="p")), "must have weights"),
    ]:
        with pytest.raises(InputError, match=message):
            digits_network(graph=Graph(input_shape=(1, 8, 8), layers=layers))
    with pytest.raises(InputError, match="positive and finite"):
        convolutional(DIGITS, hardware=digital(), hidden_limit=0.0)
    mlp = training.mlp([64, 10], hardware=digital())
    for method in (ConvolutionalFFZero(), ConvolutionalNodePerturbation()):
        with pytest.raises(InputError, match="convolutional"):
            method.start(mlp, np.zeros(mlp.parameters), rng=rng)
    normal = digits_network(graph=published((1, 8, 8), 10))
    with pytest.raises(InputError, match="without_normalization"):
        ConvolutionalNodePerturbation().start(normal, normal.initial_parameters(rng), rng=rng)
    with pytest.raises(InputError, match="width of at least 10"):
        ConvolutionalFFZero(width=9).start(normal, normal.initial_parameters(rng), rng=rng)
    narrow = Graph(input_shape=(1, 8, 8), layers=(Convolution(name="c", channels=4), dense))
    narrow_network = digits_network(graph=narrow)
    with pytest.raises(InputError, match="width of at least 10"):
        ConvolutionalNodePerturbation(grid=1).start(
            narrow_network, narrow_network.initial_parameters(rng), rng=rng
        )


def test_bad_batches_and_silent_hardware_are_refused():
    """Empty batches, labels without prototypes, and reads that do not differ."""
    rng, network = stream(0), digits_network()
    parameters = network.initial_parameters(rng)
    for method in (ConvolutionalFFZero(), ConvolutionalNodePerturbation()):
        trainer = method.start(network, parameters, rng=rng)
        with pytest.raises(InputError, match="at least 1"):
            trainer.step(lambda: (np.zeros((0, 64), np.float32), np.zeros(0, int)), 0.0)
        with pytest.raises(InputError, match="0 to 9"):
            trainer.step(lambda: (np.zeros((1, 64), np.float32), np.array([10])), 0.0)
    silent = ConvolutionalNodePerturbation(displacement=0.0).start(network, parameters, rng=rng)
    with pytest.raises(InputError, match="displacement > 0"):
        silent.step(lambda: (np.ones((2, 64), np.float32), np.array([0, 1])), 0.0)


def test_step_below_the_resolution_is_named():
    """A perturbation that the hardware cannot store is warned of, with both numbers."""
    network = digits_network(digital(bits=8), published((1, 8, 8), 10))
    parameters = network.initial_parameters(stream(0))
    with pytest.warns(ResolutionWarning, match=r"moves the weights .* steps of"):
        ConvolutionalFFZero(step=1e-3).start(network, parameters, rng=stream(0))


def test_judge_without_activation_sees_negative_sums():
    """The last layer is judged by its sums, not by what a ReLU would leave."""
    judges = pooled_judges(DIGITS, 2, stream(0))
    assert [judge.rectified for judge in judges] == [True, True, False]
    assert isinstance(judges[0], PooledJudge)
    sums = stream(1).normal(0, 1, (10, 1, 1, 4)).astype(np.float32)
    expected = goodness(sums[:, 0, 0].T, judges[-1].prototypes)
    np.testing.assert_allclose(judges[-1].scores(sums), expected)
