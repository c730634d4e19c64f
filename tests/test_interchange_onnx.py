"""ONNX models: onnxruntime computes what we compute, every bit there and back, refusals."""

import sys
import warnings
from contextlib import suppress

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from zerohm import InputError, mapping, training
from zerohm.training.convolutional import (
    Convolution,
    Dense,
    FloatNetwork,
    Graph,
    Pool,
    small_mcunet,
)
from zerohm.training.interchange import load_onnx, save_onnx

onnx = pytest.importorskip("onnx", reason="ONNX is not installed (zerohm[onnx])")
helper = onnx.helper

SINGLE = {"rtol": 1e-5, "atol": 2e-6}  # some sums of float32, in another order


def perceptron(sizes, activation="relu", **hardware):
    return training.mlp(sizes, hardware=mapping.digital(**hardware), activation=activation)


def random_parameters(network, seed=0):
    """Normal numbers that also fill the biases, which start at zero."""
    rng = np.random.default_rng(seed)
    return (0.2 * rng.standard_normal(network.parameters)).astype(np.float32)


def convolutional(*layers, input_shape=(2, 9, 7)):
    return FloatNetwork(Graph(input_shape=input_shape, layers=layers))


def run(path, x):
    """What onnxruntime computes."""
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(["scores"], {"input": x})[0]


NETWORKS = {
    "relu": perceptron([11, 8, 6, 4]),
    "tanh": perceptron([5, 7, 3], "tanh"),
    "one layer": perceptron([3, 2]),
    "residuals": FloatNetwork(small_mcunet((3, 16, 16), 10).without_normalization()),
    "pools": convolutional(
        Convolution(name="stem", channels=4, kernel=4, stride=2, padding=2),
        Pool(name="max", kind="max", size=2),
        Dense(name="hidden", outputs=6, activation="relu"),
        Dense(name="classes", outputs=3),
    ),
    "average windows": convolutional(
        Pool(name="average", size=3), Dense(name="classes", outputs=3)
    ),
    "scores are maps": convolutional(
        Convolution(name="a", channels=2, kernel=2, padding=0),
        Convolution(name="a relu", channels=2, kernel=1, activation="none"),
        Pool(name="whole", kind="max"),
    ),
}


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_onnxruntime_computes_the_same(network, tmp_path):
    """A batch through our network and through the model, which ONNX's checker finds valid."""
    path = tmp_path / "model.onnx"
    parameters = random_parameters(network)
    save_onnx(network, parameters, path)
    onnx.checker.check_model(str(path), full_check=True)
    x = np.random.default_rng(1).standard_normal((6, network.features)).astype(np.float32)
    expected = network.ideal_logits(parameters, x)
    shape = (-1, *network.graph.input_shape) if isinstance(network, FloatNetwork) else x.shape
    np.testing.assert_allclose(run(path, x.reshape(shape)), expected, **SINGLE)
    assert np.abs(expected).max() > 0.01
    assert [each.name for each in tmp_path.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_a_written_model_comes_back(network, tmp_path):
    """Every kind of layer is read as it was written."""
    parameters = random_parameters(network)
    save_onnx(network, parameters, tmp_path / "model.onnx")
    assert np.array_equal(load_onnx(network, tmp_path / "model.onnx"), parameters)


@settings(max_examples=40)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=2, max_size=5),
    activation=st.sampled_from(["relu", "tanh"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_bit_comes_back(tmp_path_factory, sizes, activation, seed):
    """Any finite float32 (subnormal and negative zero too) survives both ways."""
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    network = perceptron(sizes, activation)
    bits = np.random.default_rng(seed).integers(0, 2**32, network.parameters, dtype=np.uint32)
    parameters = bits.view(np.float32)
    parameters[~np.isfinite(parameters)] = -0.0
    save_onnx(network, parameters, path)
    back = load_onnx(network, path)
    assert back.dtype == np.float32
    assert back.tobytes() == parameters.tobytes()


def test_a_model_that_pytorch_wrote_is_read(tmp_path):
    """The exporter's own choice of operators, with and without biases, gives the weights."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    path = tmp_path / "model.onnx"
    module = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3, padding=1, stride=2),
        torch.nn.BatchNorm2d(4),  # the exporter folds it into the convolution
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(4, 5, bias=False),
        torch.nn.ReLU(),
        torch.nn.Linear(5, 3),
    ).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter
        torch.onnx.export(module, (torch.zeros(1, 1, 8, 8),), path, dynamo=False)
    network = convolutional(
        Convolution(name="stem", channels=4, kernel=3, stride=2),
        Pool(name="average"),
        Dense(name="hidden", outputs=5, activation="relu"),
        Dense(name="classes", outputs=3),
        input_shape=(1, 8, 8),
    )
    parameters = load_onnx(network, path)
    x = np.random.default_rng(1).standard_normal((4, 1, 8, 8)).astype(np.float32)
    expected = module(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(
        network.ideal_logits(parameters, x.reshape(4, -1)), expected, **SINGLE
    )


# Models by hand

W = np.arange(12, dtype=np.float32).reshape(3, 4) / 8
B = np.array([1.0, -2.0, 0.5], np.float32)
LAYER = perceptron([4, 3])


def write(path, nodes, *, constants=None, inputs=("input",), shape=("batch", 4), **settings):
    """A model of these nodes, unchecked."""
    constants = {"W": W, "WT": W.T.copy(), "B": B} if constants is None else constants
    kind = settings.pop("kind", onnx.TensorProto.FLOAT)
    graph = helper.make_graph(
        nodes,
        "by hand",
        [helper.make_tensor_value_info(name, kind, shape) for name in inputs],
        [helper.make_tensor_value_info("scores", kind, [f"d{n}" for n in range(len(shape))])],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opset = settings.pop("opset", 17)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8, **settings
    )
    path.write_bytes(model.SerializeToString())
    return path


def node(operator, *inputs, to="scores", **attributes):
    return helper.make_node(operator, inputs, [to], f"n {to}", **attributes)


@pytest.mark.parametrize(
    "nodes",
    [
        [node("Gemm", "input", "W", "B", transB=1)],
        [node("Gemm", "input", "WT", "B")],
        [node("Gemm", "input", "WT", "row")],
        [node("MatMul", "input", "WT", to="a"), node("Add", "a", "B")],
        [node("MatMul", "input", "WT", to="a"), node("Add", "B", "a")],
        [node("Gemm", "input", "WT", to="a"), node("Add", "a", "row")],
        [
            node("Identity", "input", to="a"),
            node("Identity", "B", to="same"),
            node("Flatten", "a", to="b"),
            node("Gemm", "b", "WT", "same", alpha=1.0, beta=1.0),
        ],
        [
            node("Constant", to="C", value=onnx.numpy_helper.from_array(B)),
            node("Gemm", "input", "WT", "C"),
        ],
    ],
    ids=["transposed", "plain", "row", "MatMul", "turned", "Gemm and Add", "Identity", "Constant"],
)
def test_all_ways_to_write_a_layer_are_read(nodes, tmp_path):
    """Gemm, MatMul with Add, and constants behind other names hold the same weights."""
    constants = {"W": W, "WT": W.T.copy(), "B": B, "row": B[None]}
    path = write(tmp_path / "m.onnx", nodes, constants=constants)
    (matrix,) = LAYER.matrices(load_onnx(LAYER, path))
    assert np.array_equal(matrix, np.column_stack([W, B]))
    x = np.random.default_rng(0).standard_normal((2, 4)).astype(np.float32)
    np.testing.assert_allclose(run(path, x), x @ W.T + B, **SINGLE)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([node("Softmax", "input")], "Softmax 'n scores' is an operator .*allowed: Add, AverageP"),
        ([node("Gemm", "input", "W", transB=1, alpha=2.0)], "alpha=2.0; it must be 1.0"),
        ([node("Gemm", "input", "input", transB=1)], "'input' for weights, which is not constant"),
        (
            [node("Gemm", "input", "WT", to="a"), node("Add", "a", "one")],
            r"biases of shape \(1,\), they must be \(3,\)",
        ),
        ([node("Relu", "input")], "step 1 of the model is relu, the network has dense 3x4"),
        (
            [node("Gemm", "input", "WT", to="a"), node("Relu", "a")],
            "step 2 of the model is relu, the network has no such step",
        ),
        (
            [node("Gemm", "input", "WT", to="a"), node("Gemm", "a", "V")],
            r"step 2 of the model is dense 2x3, the network has no such step",
        ),
        ([node("Gemm", "input", "V")], r"is dense 2x4, .* \(layer '0'\); the model is mlp\(\[4, 2"),
        (
            [node("Gemm", "input", "WT", to="a"), node("Gemm", "input", "WT")],
            "works on 'input', which is not the result of the operator before it",
        ),
        (
            [node("Gemm", "input", "WT", to="a"), node("Add", "a", "a")],
            "step 2 of the model is add",
        ),
        ([node("Add", "input", "input")], "step 1 of the model is add"),
        ([node("Add", "W", "W")], "works on 'W'"),
        ([node("Add", "input", "four")], "adds a constant that is no bias of a MatMul"),
        (
            [node("Gemm", "input", "WT", "B", to="a"), node("Add", "a", "B")],
            "adds a constant that is no bias",
        ),
        ([node("Flatten", "input", axis=0, to="a"), node("Relu", "a")], "axis=0; it must be 1"),
        (
            [node("Flatten", "B", to="a"), node("Gemm", "input", "WT", "a")],
            "Flatten 'n a' works on 'B'",
        ),
        ([node("Constant", to="a", value_float=1.0), node("Relu", "input")], "must hold a tensor"),
        (
            [node("Gemm", "input", "WT"), node("Relu", "scores", to="unused")],
            "its output is not the result of its last operator",
        ),
        ([node("Gemm", "input", "nan")], "weights 'nan' must be finite"),
        ([node("Nonsense", "input")], "cannot be read"),
        ([node("Gemm", "input", "absent")], "cannot be read"),
        ([node("Gemm", "input", "W")], "cannot be read"),
    ],
)
def test_what_is_no_layer_is_refused(nodes, message, tmp_path):
    """The message names the operator and what is allowed."""
    v = np.ones((4, 2) if len(nodes) == 1 else (3, 2), np.float32)
    constants = {"W": W, "WT": W.T.copy(), "B": B, "V": v, "nan": np.full_like(W.T, np.nan)}
    constants |= {"one": np.ones(1, np.float32), "four": np.ones(4, np.float32)}
    path = write(tmp_path / "m.onnx", nodes, constants=constants)
    with pytest.raises(InputError, match=message) as refusal:
        load_onnx(LAYER, path)
    assert str(path) in str(refusal.value)


@pytest.mark.parametrize(
    ("operator", "attributes", "message"),
    [
        ("Conv", {"strides": [1, 2]}, r"strides=\[1, 2\]; all must be equal"),
        ("Conv", {"pads": [0, 1, 0, 1]}, "all must be equal"),
        ("Conv", {"dilations": [2, 2]}, r"dilations=\[2, 2\]; it must be \[1, 1\]"),
        ("Conv", {"auto_pad": "SAME_UPPER"}, "auto_pad=b'SAME_UPPER'; it must be"),
        ("MaxPool", {"kernel_shape": [2, 2]}, "windows that are not side by side"),
        ("MaxPool", {"kernel_shape": [2, 3], "strides": [2, 3]}, "all must be equal"),
        ("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}, "ceil_mode=1"),
        (
            "AveragePool",
            {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [1, 1, 1, 1]},
            r"pads=\[1, 1, 1, 1\]; it must be \[0, 0, 0, 0\]",
        ),
    ],
)
def test_forms_that_no_layer_here_has_are_refused(operator, attributes, message, tmp_path):
    """An attribute with another meaning is never passed over."""
    operands = ["input", "K"] if operator == "Conv" else ["input"]
    path = write(
        tmp_path / "m.onnx",
        [node(operator, *operands, **attributes)],
        constants={"K": np.ones((3, 2, 3, 3), np.float32)},
        shape=("batch", 2, 9, 7),
    )
    with pytest.raises(InputError, match=message):
        load_onnx(NETWORKS["pools"], path)


def test_another_residual_sum_is_refused(tmp_path):
    """A model that adds another layer's result is not the network."""
    layers = [
        Convolution(name="a", channels=2),
        Convolution(name="b", channels=2),
        Convolution(name="c", channels=2, add="a"),
    ]
    network = convolutional(*layers)
    save_onnx(network, random_parameters(network), tmp_path / "m.onnx")
    layers[-1] = Convolution(name="c", channels=2, add="b")
    with pytest.raises(InputError, match=r"is add \(step 2\), the network has add \(step 4\)"):
        load_onnx(convolutional(*layers), tmp_path / "m.onnx")


def test_files_that_are_no_models_are_refused(tmp_path):
    """Absent, empty and cut files; other types, old opsets, weights that lie elsewhere."""
    path = tmp_path / "m.onnx"
    with pytest.raises(InputError, match=r"ONNX model .*m\.onnx: cannot be read"):
        load_onnx(LAYER, path)
    layer = [node("Gemm", "input", "W", "B", transB=1)]
    whole = write(path, layer).read_bytes()
    for content in (b"", b"not a model", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(InputError, match="cannot be read"):
            load_onnx(LAYER, path)
    double = {"W": W.astype(float), "B": B.astype(float)}
    write(path, layer, constants=double, kind=onnx.TensorProto.DOUBLE)
    with pytest.raises(InputError, match="weights 'W' are DOUBLE; they must be FLOAT"):
        load_onnx(LAYER, path)
    write(path, layer, inputs=("input", "second"))
    with pytest.raises(InputError, match="2 inputs and 1 outputs"):
        load_onnx(LAYER, path)
    old = helper.make_node("Gemm", ["input", "W", "B"], ["scores"], transB=1, broadcast=1)
    write(path, [old], opset=6)
    with pytest.raises(InputError, match=r"opset \[6\]; opset 7 and later"):
        load_onnx(LAYER, path)
    model = onnx.load_model_from_string(whole)
    onnx.external_data_helper.convert_model_to_external_data(model, size_threshold=0)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="weights 'W' lie in another file"):
        load_onnx(LAYER, path)
    elsewhere = onnx.numpy_helper.from_array(B, "elsewhere")
    onnx.external_data_helper.set_external_data(elsewhere, "other.bin")
    elsewhere.ClearField("raw_data")
    elsewhere.data_location = onnx.TensorProto.EXTERNAL
    write(path, [node("Constant", to="C", value=elsewhere), node("Gemm", "input", "WT", "C")])
    with pytest.raises(InputError, match="weights 'elsewhere' lie in another file"):
        load_onnx(LAYER, path)


@settings(max_examples=150)
@given(data=st.data())
def test_damaged_bytes_give_one_message(tmp_path_factory, data):
    """Changed bytes are read as other weights or refused with an InputError, never otherwise."""
    folder = tmp_path_factory.getbasetemp() / "damaged"
    folder.mkdir(exist_ok=True)
    path = folder / "m.onnx"
    save_onnx(LAYER, random_parameters(LAYER), path)
    content = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=3)):
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with suppress(InputError):
        assert np.isfinite(load_onnx(LAYER, path)).all()


def test_weights_beyond_the_hardware_are_refused(tmp_path):
    """The message says which layer and how much range it takes."""
    path = write(tmp_path / "m.onnx", [node("Gemm", "input", "W", "B", transB=1)])
    small = perceptron([4, 3], bits=8, weight_range=1.0)
    with pytest.raises(
        InputError, match=r"layer '0' has a weight of 2, .* weight_range 4.473 times"
    ):
        load_onnx(small, path)


def test_a_map_behind_a_dense_layer_is_refused(tmp_path):
    """ONNX has no map there; nothing is written."""
    network = convolutional(
        Dense(name="first", outputs=4), Convolution(name="second", channels=3, kernel=1)
    )
    with pytest.raises(InputError, match="layer 'second' needs a map but follows a dense layer"):
        save_onnx(network, random_parameters(network), tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_without_onnx_the_extra_is_named(monkeypatch, tmp_path):
    """A missing package is said with the command that installs it."""
    monkeypatch.setitem(sys.modules, "onnx", None)
    for call in (
        lambda: save_onnx(LAYER, np.zeros(15), tmp_path / "m.onnx"),
        lambda: load_onnx(LAYER, tmp_path / "m.onnx"),
    ):
        with pytest.raises(InputError, match=r"'onnx'.*pip install 'zerohm\[onnx\]'"):
            call()
