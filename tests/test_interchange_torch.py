"""PyTorch state dicts: the same function on both sides, every bit there and back, refusals."""

import os
import subprocess
import sys
from itertools import pairwise

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from zerohm import InputError, mapping, training
from zerohm.training import interchange
from zerohm.training.convolutional import Convolution, Dense, FloatNetwork, Graph, Pool

torch = pytest.importorskip("torch", reason="PyTorch is not installed (zerohm[torch])")

SINGLE = {"rtol": 1e-5, "atol": 2e-6}  # some sums of float32, in another order


def perceptron(sizes, activation="relu", **hardware):
    return training.mlp(sizes, hardware=mapping.digital(**hardware), activation=activation)


def random_parameters(network, seed=0):
    """Normal numbers that also fill the biases, which start at zero."""
    rng = np.random.default_rng(seed)
    return (0.3 * rng.standard_normal(network.parameters)).astype(np.float32)


def sequential(sizes, activation):
    """The module that an mlp is said to be."""
    layers = []
    for inputs, outputs in pairwise(sizes):
        layers += [torch.nn.Linear(inputs, outputs), activation()]
    return torch.nn.Sequential(*layers[:-1])


CONVOLUTIONAL = FloatNetwork(
    Graph(
        input_shape=(2, 9, 7),
        layers=(
            Convolution(name="stem", channels=6, kernel=3, stride=2),
            Convolution(name="depthwise", channels=6, kernel=3, depthwise=True, activation="none"),
            Convolution(name="point", channels=6, kernel=1, add="stem"),
            Pool(name="pool", kind="max", size=2),
            Dense(name="hidden", outputs=5, activation="relu"),
            Dense(name="classes", outputs=3),
        ),
    )
)


class Convolutional(torch.nn.Module):
    """The same graph, written for PyTorch."""

    def __init__(self):
        super().__init__()
        self.stem = torch.nn.Conv2d(2, 6, 3, stride=2, padding=1)
        self.depthwise = torch.nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.point = torch.nn.Conv2d(6, 6, 1)
        self.hidden = torch.nn.Linear(6 * 2 * 2, 5)
        self.classes = torch.nn.Linear(5, 3)

    def forward(self, x):
        stem = torch.relu(self.stem(x))
        x = torch.relu(self.point(self.depthwise(stem))) + stem
        x = torch.nn.functional.max_pool2d(x, 2).flatten(1)
        return self.classes(torch.relu(self.hidden(x)))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_module_with_our_weights_computes_the_same(activation):
    """torch.nn.Sequential loads the state dict under its own names and gives our logits."""
    sizes = [11, 8, 6, 4]
    network = perceptron(sizes, activation)
    parameters = random_parameters(network)
    module = sequential(sizes, {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}[activation])
    module.load_state_dict(interchange.to_state_dict(network, parameters), strict=True)
    x = np.random.default_rng(1).standard_normal((30, 11)).astype(np.float32)
    expected = module(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(network.ideal_logits(parameters, x), expected, **SINGLE)
    wrong = perceptron(sizes, "tanh" if activation == "relu" else "relu")
    assert not np.allclose(wrong.ideal_logits(parameters, x), expected, atol=1e-2)


@pytest.mark.parametrize("direction", ["there", "back"])
def test_a_convolutional_module_computes_the_same(direction):
    """Strides, depthwise convolutions, residual sums and the flattening before dense layers."""
    torch.manual_seed(0)
    module = Convolutional()
    if direction == "there":
        parameters = random_parameters(CONVOLUTIONAL)
        module.load_state_dict(interchange.to_state_dict(CONVOLUTIONAL, parameters), strict=True)
    else:
        parameters = interchange.from_state_dict(CONVOLUTIONAL, module.state_dict())
    x = np.random.default_rng(1).standard_normal((5, 2, 9, 7)).astype(np.float32)
    expected = module(torch.from_numpy(x)).detach().numpy()
    found = CONVOLUTIONAL.ideal_logits(parameters, x.reshape(5, -1))
    np.testing.assert_allclose(found, expected, **SINGLE)


SIZES = st.lists(st.integers(1, 9), min_size=2, max_size=5)


@settings(max_examples=50)
@given(sizes=SIZES, seed=st.integers(0, 2**32 - 1))
def test_every_bit_comes_back(sizes, seed):
    """Any finite float32 (subnormal and negative zero too) survives both ways."""
    network = perceptron(sizes)
    bits = np.random.default_rng(seed).integers(0, 2**32, network.parameters, dtype=np.uint32)
    parameters = bits.view(np.float32)
    parameters[~np.isfinite(parameters)] = -0.0
    back = interchange.from_state_dict(network, interchange.to_state_dict(network, parameters))
    assert back.dtype == np.float32
    assert back.tobytes() == parameters.tobytes()


def test_a_file_of_torch_save_holds_every_bit(tmp_path):
    """torch.load reads what we write, and we read it; nothing else lies beside it."""
    path = tmp_path / "weights.pt"
    parameters = random_parameters(CONVOLUTIONAL)
    interchange.save_state_dict(CONVOLUTIONAL, parameters, path)
    assert "depthwise.weight" in torch.load(path, weights_only=True)
    found = interchange.load_state_dict(CONVOLUTIONAL, path)
    assert found.tobytes() == parameters.tobytes()
    assert [each.name for each in tmp_path.iterdir()] == ["weights.pt"]


def test_the_state_dict_shares_no_memory_with_the_parameters():
    """Training the module on leaves our vector alone."""
    network = perceptron([3, 2])
    parameters = random_parameters(network)
    before = parameters.copy()
    interchange.to_state_dict(network, parameters)["0.weight"].zero_()
    assert np.array_equal(parameters, before)


def test_other_names_are_taken_in_order_or_as_given():
    """A module with names of its own: by order, or by names, which may cross the order."""
    network = perceptron([4, 4, 4])
    parameters = random_parameters(network)
    state = interchange.to_state_dict(network, parameters)
    renamed = {
        key.replace("0.", "encoder.fc.").replace("2.", "head."): tensor
        for key, tensor in state.items()
    }
    assert np.array_equal(interchange.from_state_dict(network, renamed), parameters)
    turned = {key: renamed[key] for key in reversed(renamed)}
    assert not np.array_equal(interchange.from_state_dict(network, turned), parameters)
    names = {"0": "encoder.fc", "2": "head"}
    assert np.array_equal(interchange.from_state_dict(network, turned, names=names), parameters)


def test_layers_without_biases_and_half_precision_are_exact():
    """No bias is a bias of zero; float16 and bfloat16 are float32 numbers."""
    network = perceptron([4, 3])
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        weights = torch.arange(12).reshape(3, 4).to(dtype) / 8
        (matrix,) = network.matrices(interchange.from_state_dict(network, {"0.weight": weights}))
        assert np.array_equal(matrix[:, :-1], np.arange(12).reshape(3, 4) / 8)
        assert not matrix[:, -1].any()


def linear(**changes):
    """State dict of mlp([4, 3]) with changed entries; None takes one away."""
    state = {"0.weight": torch.ones(3, 4), "0.bias": torch.zeros(3)} | changes
    return {key: value for key, value in state.items() if value is not None}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ([1.0], "tensors by name, this is list: use module.state_dict"),
        ({"model": linear()}, "'model' holds a dict, not a tensor"),
        (linear(**{"0.weight": np.ones((3, 4))}), "'0.weight' is float64, it must be a tensor"),
        (linear(**{"0.weight": torch.ones(3, 4, dtype=torch.int8)}), "'0.weight' is torch.int8"),
        (linear(**{"0.weight": torch.ones(3, 4).to_sparse()}), "'0.weight' must be a dense tensor"),
        (linear(**{"0.weight": torch.ones(3, 4, device="meta")}), "must be a dense tensor with"),
        (linear(**{"0.weight": torch.ones(4, 3)}), r"shape \(4, 3\) .* layer '0' has \(3, 4\)"),
        (linear(**{"0.bias": torch.ones(1)}), r"biases of shape \(1,\)"),
        (linear(**{"0.weight": None}), r"'0' has weights of shape \(0,\)"),
        (linear(**{"0.weight": torch.full((3, 4), torch.nan)}), "'0.weight' must be finite"),
        (linear(**{"0.bias": torch.tensor([0.0, torch.inf, 0.0])}), "'0.bias' must be finite"),
        (linear(**{"0.bias": torch.full((3,), 1 / 3, dtype=torch.float64)}), "single precision"),
        (linear(**{"0.bias": torch.full((3,), 1e300, dtype=torch.float64)}), "single precision"),
        (linear(**{"1.running_mean": torch.zeros(3)}), "neither a weight nor a bias; batch norm"),
        (linear(**{"2.weight": torch.ones(3, 4)}), "'2', which is none of the 1 layers"),
        ({}, "no '0', one of 1 layers with weights; it has nothing"),
        (
            {"a.weight": torch.ones(3, 4), "b.weight": torch.ones(3, 4)},
            "no '0', .*'a', 'b'.*names=",
        ),
    ],
)
def test_what_is_no_state_dict_of_the_network_is_refused(state, message):
    """The message names the entry and what is wrong with it."""
    with pytest.raises(InputError, match=message):
        interchange.from_state_dict(perceptron([4, 3]), state)


def test_unknown_names_are_refused():
    """Both sides of names= are checked, with the nearest name."""
    network = perceptron([4, 3])
    with pytest.raises(InputError, match="unknown layer of the network 'one'"):
        interchange.from_state_dict(network, linear(), names={"one": "0"})
    with pytest.raises(InputError, match=r"module for layer '0' 'fc' .*'fc1'"):
        interchange.from_state_dict(network, {"fc1.weight": torch.ones(3, 4)}, names={"0": "fc"})


def test_weights_beyond_the_hardware_are_refused_with_what_would_hold_them():
    """With the weight_range that the message asks for, they are taken as they are."""
    state = linear(**{"0.weight": torch.full((3, 4), 1.5)})
    small = perceptron([4, 3], bits=8, weight_range=1.0)
    with pytest.raises(InputError, match=r"layer '0' has a weight of 1.5, .*\(int8\).*3.355 times"):
        interchange.from_state_dict(small, state)
    large = perceptron([4, 3], bits=8, weight_range=3.355)
    assert interchange.from_state_dict(large, state).max() == 1.5


def test_bad_parameters_and_other_networks_are_refused():
    """Nothing is written of a vector that is not the network's, or not exact in float32."""
    network = perceptron([4, 3])
    for parameters, message in (
        (np.zeros(3), r"shape \(3,\), the network has \(15,\)"),
        (np.full(15, np.nan), "parameters must be finite"),
        (np.full(15, 0.1), "more digits than single precision holds"),
    ):
        with pytest.raises(InputError, match=message):
            interchange.to_state_dict(network, parameters)
    with pytest.raises(InputError, match="weights of Graph cannot be exchanged"):
        interchange.to_state_dict(CONVOLUTIONAL.graph, np.zeros(3))


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_no_code_of_a_file_is_run(tmp_path):
    """A pickle that would make a folder is refused and makes none; torch itself would run it."""
    file, folder = tmp_path / "weights.pt", tmp_path / "made"
    torch.save({"0.weight": Malicious(folder)}, file)
    with pytest.raises(InputError, match=r"cannot read weights from .*weights\.pt"):
        interchange.load_state_dict(perceptron([4, 3]), file)
    assert not folder.exists()
    torch.load(file, weights_only=False)
    assert folder.exists()


def test_files_that_are_no_weights_are_refused(tmp_path):
    """Absent, empty, cut or foreign files, and checkpoints of more than the weights."""
    network, path = perceptron([4, 3]), tmp_path / "weights.pt"
    with pytest.raises(InputError, match="cannot read weights"):
        interchange.load_state_dict(network, path)
    torch.save(linear(), path)
    whole = path.read_bytes()
    for content in (b"", b"not a model", whole[: len(whole) // 2], whole[:-1]):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"cannot read weights from .*weights\.pt"):
            interchange.load_state_dict(network, path)
    torch.save({"state_dict": linear(), "epoch": 3}, path)
    with pytest.raises(InputError, match=r"weights\.pt: the entry 'state_dict' holds a dict"):
        interchange.load_state_dict(network, path)


def test_without_torch_the_extra_is_named(monkeypatch):
    """A missing package is said with the command that installs it."""
    monkeypatch.setitem(sys.modules, "torch", None)
    network = perceptron([4, 3])
    with pytest.raises(InputError, match=r"'torch'.*pip install 'zerohm\[torch\]'"):
        interchange.to_state_dict(network, np.zeros(15))


def test_neither_torch_nor_onnx_is_imported_before_it_is_used():
    """Importing the module costs nothing of them."""
    code = (
        "import sys, zerohm.training.interchange; "
        "sys.exit(bool({'torch', 'onnx'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
