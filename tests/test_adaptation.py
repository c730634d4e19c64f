"""A pre-trained network that is adapted to corrupted images, from flat settings."""

import json

import numpy as np
import pytest

from zerohm import InputError
from zerohm.training import METHODS, adaptation, experiment, prepare

ADAPT = {
    "task": "digits-c",
    "corruption": "fog",
    "network": "cnn",
    "evaluations": 1,
    "batch": 50,
}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ZEROHM_CACHE", str(tmp_path))
    return tmp_path


def test_a_network_is_trained_once_and_then_read(cache, monkeypatch):
    """The second call does not train, and has the same bits."""
    first = adaptation.pretrained("digits", seed=3, progress=False)
    monkeypatch.setattr(adaptation, "pretrain", None)
    second = adaptation.pretrained("digits", seed=3, progress=False)
    assert np.array_equal(first.parameters, second.parameters)
    assert (first.graph, first.accuracy) == (second.graph, second.accuracy)
    with pytest.raises(TypeError):  # another seed would have to be trained
        adaptation.pretrained("digits", seed=4, progress=False)


def test_a_damaged_file_in_the_cache_is_replaced(cache):
    """Training starts over instead of failing or using what is left of it."""
    first = adaptation.pretrained("digits", seed=0, progress=False)
    (path,) = cache.rglob("*.npz")
    path.write_bytes(path.read_bytes()[:1000])
    again = adaptation.pretrained("digits", seed=0, progress=False)
    assert np.array_equal(first.parameters, again.parameters)


@pytest.mark.parametrize(
    ("hardware", "method", "settings"),
    [
        ("digital", "backprop", {"learning_rate": 0.01, "passes": 100}),
        ("int8", "quantized-backprop", {"passes": 60}),
        ("int8", "quantized-zo", {"passes": 400, "blocks": "block 1"}),
    ],
)
def test_adaptation_improves_on_fog(hardware, method, settings):
    """Test accuracy rises by more than 4 points above that of the network as it comes."""
    task = prepare(**ADAPT, hardware="int8", method="mezo").task
    network = adaptation.integer_network("digits", seed=0)
    rng = np.random.default_rng(0)
    logits = network.ideal_logits(network.initial_parameters(rng), task.test_inputs)
    before = np.mean(logits.argmax(axis=-1) == task.test_labels)
    run = experiment(**ADAPT, hardware=hardware, method=method, **settings)
    assert float(run.deployed_accuracy[-1]) > before + 0.04
    assert run.attrs["hardware"] == hardware


def test_the_selected_block_and_all_gains_are_recorded():
    """Four blocks were tried, and the one that gained most was trained."""
    run = experiment(**ADAPT, hardware="int8", method="quantized-zo", blocks="selected", passes=20)
    gains = json.loads(run.attrs["block_gains"])
    assert set(gains) == {f"block {n}" for n in (1, 2, 3, 4)}
    assert gains[run.attrs["block"]] == max(gains.values())
    trained = json.loads(run.attrs["config"])["trained"]
    assert f"residual {run.attrs['block'][-1]} project" in trained


def test_an_integer_network_on_crossbars_is_deployed_with_their_noise():
    """It still classifies far above chance, and the ledger has written cells."""
    run = experiment(
        **{**ADAPT, "corruption": "brightness"},
        severity=1,
        hardware="rram",
        dac_bits=9,
        adc_bits=12,
        write_noise=0.005,
        read_noise=0.0,
        method="quantized-zo",
        blocks="classes",
        passes=5,
    )
    assert run.deployed_accuracy[-1] > 0.5
    assert run.cell_writes[-1] > 0


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"task": "digits", "corruption": "fog"}, "no corruption: only digits-c and mnist-c"),
        ({"task": "digits", "network": "cnn", "blocks": "first"}, "of a cnn that is adapted"),
        ({"task": "f1", "network": "cnn"}, "task 'f1' must be one of digits, mnist"),
        ({**ADAPT, "hidden": 32, "hardware": "int8"}, "hidden layers are of network='mlp'"),
        ({"task": "digits-c", "blocks": "block 1"}, "an mlp has none"),
        ({**ADAPT, "hardware": "digital", "blocks": "block 1"}, "hardware='digital' trains all"),
        ({**ADAPT, "hardware": "int8", "blocks": "block 9"}, "did you mean"),
        ({**ADAPT, "hardware": "int8", "method": "noisezo"}, "multilayer perceptron"),
        ({**ADAPT, "hardware": "int8", "method": "backprop"}, "has no derivative"),
        ({**ADAPT, "hardware": "int8", "method": "ffzero"}, "multilayer perceptron"),
        ({"task": "digits", "method": "quantized-backprop"}, "quantize"),
        ({"task": "digits-c", "corruption": "foq"}, "did you mean 'fog'"),
        ({"task": "digits-c", "severity": 6}, "severity"),
        ({"task": "f1", "method": "mezo"}, "numbers to predict"),
    ],
)
def test_settings_that_do_not_fit_are_refused_before_training(settings, said):
    """Each names what is wrong and what is allowed."""
    with pytest.raises(InputError, match=said):
        experiment(**settings)


RUNS = [
    (method, hardware)
    for method in sorted(set(METHODS) - {"quantized-backprop"})  # needs a network of integers
    for hardware in ("digital", "int8", "rram")
    if not (method in ("noisezo", "node-noise") and hardware != "rram")  # need its noise
    if not (method == "quantized-zo" and hardware == "digital")  # needs integers or levels
]


@pytest.mark.parametrize(("method", "hardware"), RUNS)
def test_every_method_runs_on_every_hardware(method, hardware):
    """A short run ends with finite numbers and counts its passes."""
    network = "cnn" if method.startswith("convolutional") else "mlp"
    noise = {"read_noise": 0.01} if method == "node-noise" else {}
    run = experiment(
        method=method,
        hardware=hardware,
        network=network,
        passes=24,
        batch=16,
        evaluations=1,
        **noise,
    )
    assert np.isfinite(run.train_loss).all()
    assert run.forward_passes[-1] >= 24
    assert run.attrs["method"] == method


def test_a_cnn_starts_from_nothing_on_clean_images():
    """The noise of the cells is the only perturbation, and the network learns."""
    run = experiment(
        task="digits",
        network="cnn",
        method="convolutional-node-perturbation",
        displacement=0.0,
        write_noise=0.02,
        read_noise=0.01,
        passes=300,
        batch=64,
        evaluations=1,
    )
    assert run.deployed_accuracy[-1] > 0.7
    assert run.attrs["hardware"] == "rram"
