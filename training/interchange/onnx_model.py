"""ONNX models: the weights of a network together with its structure.

Inputs are (batch, features) of an ``mlp`` and (batch, channels, height, width) of a convolutional
network, scores (batch, classes), all of single precision. The package ``onnx`` is imported on
first use.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from zerohm._arrays import Array
from zerohm._errors import InputError
from zerohm._files import whole
from zerohm._version import __version__

from ..network import Network
from .steps import Exchangeable, Step, match, optional, parameters_of, single_precision, steps

_OPSET = 17
_IR_VERSION = 8  # that of opset 17, for older runtimes
_OLDEST_OPSET = 7  # before, Gemm and Add broadcast by other rules

Message = Any
"""A message of ONNX's protocol buffers, whose classes are made when ``onnx`` is imported."""


def save_onnx(network: Exchangeable, parameters: Array, path: str | os.PathLike[str]) -> None:
    """Write a network as an ONNX model (opset 17); the file is whole or absent.

    Parameters
    ----------
    network : of ``mlp``, or a convolutional ``FloatNetwork``.
    parameters : (d,), of this network.

    Raises
    ------
    InputError : ``onnx`` is not installed; another kind of network, or one with maps behind a
        dense layer; parameters that are not (d,) finite numbers of single precision; the file
        cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import zerohm as zo
    >>> network = zo.training.mlp([4, 3, 2], hardware=zo.mapping.digital())
    >>> parameters = np.arange(network.parameters)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_onnx(network, parameters, folder + "/model.onnx")
    ...     bool(np.all(load_onnx(network, folder + "/model.onnx") == parameters))
    True
    """
    onnx = optional("onnx", "onnx")
    model = _model(onnx, network, steps(network, parameters))
    onnx.checker.check_model(model, full_check=True)
    with whole(Path(path)) as temporary:
        temporary.write_bytes(model.SerializeToString())


def load_onnx(network: Exchangeable, path: str | os.PathLike[str]) -> Array:
    """Parameters (d,) of a network, float32, from an ONNX model with the same structure.

    The operators Gemm, MatMul and Add of a bias, Relu, Tanh, Conv, Add of an earlier result,
    AveragePool, MaxPool, GlobalAveragePool, GlobalMaxPool and Flatten are understood where each
    works on the result of the one before, in the forms that a network here can have.

    Raises
    ------
    InputError : ``onnx`` is not installed; a file that cannot be read or is no valid model with
        its weights inside; an operator or a form of one that is not understood; another
        structure than the network's; NaN; a weight beyond what the hardware stores.
    """
    onnx = optional("onnx", "onnx")
    try:
        found = _Reader(onnx, _checked(onnx, path)).steps()
        match(steps(network), found)
        return parameters_of(network, _weights(found))
    except InputError as error:
        raise InputError(f"ONNX model {path}: {error}") from None


# Writing


def _model(onnx: Any, network: Exchangeable, found: list[Step]) -> Message:
    helper, single = onnx.helper, onnx.TensorProto.FLOAT
    shape = (network.features,) if isinstance(network, Network) else network.graph.input_shape
    arrays = [
        (f"{step.name}.{part}", values)
        for step in found
        for part, values in (("weight", step.weights), ("bias", step.biases))
        if values is not None
    ]
    graph = helper.make_graph(
        _nodes(helper, found, maps=len(shape) == 3),
        "network",
        [helper.make_tensor_value_info("input", single, ["batch", *shape])],
        [helper.make_tensor_value_info("scores", single, ["batch", network.classes])],
        [onnx.numpy_helper.from_array(np.ascontiguousarray(each), name) for name, each in arrays],
    )
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
        producer_name="zerohm",
        producer_version=__version__,
    )


def _nodes(helper: Any, found: list[Step], *, maps: bool) -> list[Message]:
    """One node per step, and those that turn maps into vectors; ``maps`` says what the input is."""
    nodes: list[Message] = []
    results = ["input"]
    for number, step in enumerate(found, start=1):
        if step.operation == "dense" and maps:
            nodes.append(helper.make_node("Flatten", results[-1:], [f"{number}: flat"], axis=1))
            results[-1], maps = f"{number}: flat", False
        elif step.operation in ("convolution", "average pool", "max pool") and not maps:
            raise InputError(
                f"layer {step.name!r} needs a map but follows a dense layer, which has none in "
                "ONNX: put a convolution over the whole map in the place of the dense layer"
            )
        operands = [results[-1]]
        if step.weights is not None:
            operands += [f"{step.name}.weight", f"{step.name}.bias"]
        if step.operation == "add":
            operands.append(results[step.settings["step"]])
        operator, attributes = _operator(step)
        results.append(f"{number}: {step.operation} of {step.name}")
        nodes.append(helper.make_node(operator, operands, results[-1:], results[-1], **attributes))
    if maps:
        nodes.append(helper.make_node("Flatten", results[-1:], ["scores"], axis=1))
    else:
        nodes[-1].output[0] = "scores"
    return nodes


def _operator(step: Step) -> tuple[str, dict[str, Any]]:
    """ONNX operator of a step and its attributes."""
    settings = step.settings
    if step.operation == "dense":
        return "Gemm", {"transB": 1}
    if step.operation == "convolution":
        return "Conv", {
            "strides": [settings["stride"]] * 2,
            "pads": [settings["padding"]] * 4,
            "group": settings["groups"],
        }
    if step.operation in ("average pool", "max pool"):
        operator = "AveragePool" if step.operation == "average pool" else "MaxPool"
        if not settings["size"]:
            return f"Global{operator}", {}
        return operator, {"kernel_shape": [settings["size"]] * 2, "strides": [settings["size"]] * 2}
    return step.operation.capitalize(), {}


# Reading


def _checked(onnx: Any, path: str | os.PathLike[str]) -> Message:
    """The graph of a model that ONNX finds valid."""
    try:
        model = onnx.load_model_from_string(Path(path).read_bytes())
        held = [each.t for node in model.graph.node for each in node.attribute]
        for tensor in [*model.graph.initializer, *held]:
            if onnx.external_data_helper.uses_external_data(tensor):
                raise InputError(
                    f"weights {tensor.name!r} lie in another file: save the model as one file"
                )
        onnx.checker.check_model(model, full_check=True)
    except InputError:
        raise
    except Exception as error:  # decoder, checker and shape inference each raise their own
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(f"cannot be read: {reason}") from None
    versions = [each.version for each in model.opset_import if each.domain in ("", "ai.onnx")]
    if not versions or min(versions) < _OLDEST_OPSET:
        raise InputError(f"has opset {versions}; opset {_OLDEST_OPSET} and later are understood")
    return model.graph


def _weights(found: list[Step]) -> list[tuple[Array, Array]]:
    """Weights and biases of the steps that have them; biases that are not there are zero."""
    return [
        (
            step.weights,
            np.zeros(len(step.weights), np.float32) if step.biases is None else step.biases,
        )
        for step in found
        if step.weights is not None
    ]


class _Reader:
    """Follows a graph from its input to its scores.

    ``numbers`` are those of the steps whose results the values are, 0 for the input.
    """

    def __init__(self, onnx: Any, graph: Message) -> None:
        self._onnx = onnx
        self._graph = graph
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self._steps: list[Step] = []
        inputs = [each.name for each in graph.input if each.name not in self._constants]
        if len(inputs) != 1 or len(graph.output) != 1:
            raise InputError(
                f"has {len(inputs)} inputs and {len(graph.output)} outputs, it must have one each"
            )
        self._numbers = {inputs[0]: 0}

    def steps(self) -> list[Step]:
        """The model as steps."""
        for node in self._graph.node:
            if node.domain not in ("", "ai.onnx") or node.op_type not in _READERS:
                raise InputError(
                    f"{_title(node)} is an operator that has no place in a network here; allowed: "
                    f"{', '.join(sorted(_READERS))}"
                )
            attributes = {
                each.name: self._onnx.helper.get_attribute_value(each) for each in node.attribute
            }
            _READERS[node.op_type](self, node, attributes)
        if self._numbers.get(self._graph.output[0].name) != len(self._steps):
            raise InputError("its output is not the result of its last operator")
        return self._steps

    def constant(self, node: Message, attributes: dict[str, Any]) -> None:
        if "value" not in attributes:
            raise InputError(f"{_title(node)} must hold a tensor (attribute value)")
        self._constants[node.output[0]] = attributes["value"]

    def same(self, node: Message, attributes: dict[str, Any]) -> None:
        """Identity of a value or of weights, or the flattening of a map."""
        _require(node, attributes, {"axis": 1})
        if node.op_type == "Identity" and node.input[0] in self._constants:
            self._constants[node.output[0]] = self._constants[node.input[0]]
        else:
            self._check_chain(node)
            self._numbers[node.output[0]] = len(self._steps)

    def matrix(self, node: Message, attributes: dict[str, Any]) -> None:
        """Gemm or MatMul."""
        transposed = attributes.pop("transB", 0)
        _require(node, attributes, {"alpha": 1.0, "beta": 1.0, "transA": 0})
        weights = self._array(node, 1)
        if weights.ndim != 2:
            raise InputError(f"{_title(node)} has weights of shape {weights.shape}, not a matrix")
        weights = weights if transposed else weights.T
        biases = self._biases(node, 2, len(weights)) if len(_operands(node)) > 2 else None
        self._append(node, Step("dense", weights=weights, biases=biases))

    def convolution(self, node: Message, attributes: dict[str, Any]) -> None:
        weights = self._array(node, 1)
        kernel = list(weights.shape[2:])
        groups = attributes.pop("group", 1)
        stride = _equal(node, "strides", attributes.pop("strides", [1, 1]))
        padding = _equal(node, "pads", attributes.pop("pads", [0] * 4))
        usual = {"kernel_shape": kernel, "dilations": [1, 1], "auto_pad": b"NOTSET"}
        _require(node, attributes, usual)
        biases = self._biases(node, 2, len(weights)) if len(_operands(node)) > 2 else None
        settings = {"stride": stride, "padding": padding, "groups": groups}
        self._append(node, Step("convolution", "", settings, weights, biases))

    def pool(self, node: Message, attributes: dict[str, Any]) -> None:
        size = 0
        if not node.op_type.startswith("Global"):
            size = _equal(node, "kernel_shape", attributes.pop("kernel_shape"))
            if attributes.pop("strides", [1, 1]) != [size, size]:
                raise InputError(f"{_title(node)} has windows that are not side by side")
        attributes.pop("count_include_pad", 0)  # there is no padding
        attributes.pop("storage_order", 0)  # of indices, which nothing reads
        usual = {"pads": [0] * 4, "ceil_mode": 0, "dilations": [1, 1], "auto_pad": b"NOTSET"}
        _require(node, attributes, usual)
        kind = "average pool" if "Average" in node.op_type else "max pool"
        self._append(node, Step(kind, "", {"size": size}))

    def activation(self, node: Message, attributes: dict[str, Any]) -> None:
        self._append(node, Step(node.op_type.lower()))

    def add(self, node: Message, attributes: dict[str, Any]) -> None:
        """The biases of a MatMul, or the sum with an earlier result."""
        constant = [index for index, name in enumerate(node.input) if name in self._constants]
        if constant:
            last = self._steps[-1] if self._steps else Step("input")
            self._check_chain(node, 1 - constant[0])
            if last.operation != "dense" or last.weights is None or last.biases is not None:
                raise InputError(f"{_title(node)} adds a constant that is no bias of a MatMul")
            biases = self._biases(node, constant[0], len(last.weights))
            self._steps[-1] = replace(last, biases=biases)
            self._numbers[node.output[0]] = len(self._steps)
            return
        numbers = [self._numbers.get(name, -1) for name in node.input]
        self._check_chain(node, numbers.index(max(numbers)))
        if min(numbers) < 0:
            raise InputError(f"{_title(node)} adds something that is no result of an operator")
        self._append_result(node, Step("add", "", {"step": min(numbers)}))

    def _append(self, node: Message, step: Step) -> None:
        self._check_chain(node)
        self._append_result(node, step)

    def _append_result(self, node: Message, step: Step) -> None:
        self._steps.append(step)
        self._numbers[node.output[0]] = len(self._steps)

    def _check_chain(self, node: Message, operand: int = 0) -> None:
        """Refuse a node that works on something else than the last result."""
        name = node.input[operand]
        if self._numbers.get(name) != len(self._steps):
            raise InputError(
                f"{_title(node)} works on {name!r}, which is not the result of the operator before "
                "it: a network here is a chain, in which only Add takes an earlier result"
            )

    def _array(self, node: Message, operand: int) -> Array:
        """Weights of a node; they must be constants of single precision."""
        name = node.input[operand]
        if name not in self._constants:
            raise InputError(f"{_title(node)} has {name!r} for weights, which is not constant")
        tensor = self._constants[name]
        if tensor.data_type != self._onnx.TensorProto.FLOAT:
            kind = self._onnx.TensorProto.DataType.Name(tensor.data_type)
            raise InputError(f"weights {name!r} are {kind}; they must be FLOAT")
        return single_precision(self._onnx.numpy_helper.to_array(tensor), f"weights {name!r}")

    def _biases(self, node: Message, operand: int, outputs: int) -> Array:
        """(outputs,), from that shape or from (1, outputs)."""
        found = self._array(node, operand)
        if found.shape not in ((outputs,), (1, outputs)):
            raise InputError(
                f"{_title(node)} has biases of shape {found.shape}, they must be ({outputs},)"
            )
        return found.reshape(outputs)


def _title(node: Message) -> str:
    return f"{node.op_type} {node.name!r}" if node.name else node.op_type


def _operands(node: Message) -> list[str]:
    """Names of the operands that are given."""
    return [name for name in node.input if name]


def _require(node: Message, attributes: dict[str, Any], usual: dict[str, Any]) -> None:
    """Refuse attributes that have another value than the only one that is understood."""
    for name, value in attributes.items():
        if name not in usual or value != usual[name]:
            allowed = f"it must be {usual[name]}" if name in usual else "it is not understood"
            raise InputError(f"{_title(node)} has {name}={value}; {allowed}")


def _equal(node: Message, name: str, values: list[int]) -> int:
    """The one value of an attribute that has the same in all directions."""
    if len(set(values)) != 1:
        raise InputError(f"{_title(node)} has {name}={values}; all must be equal")
    return values[0]


_READERS: dict[str, Callable[[_Reader, Message, dict[str, Any]], None]] = {
    "Add": _Reader.add,
    "AveragePool": _Reader.pool,
    "Constant": _Reader.constant,
    "Conv": _Reader.convolution,
    "Flatten": _Reader.same,
    "Gemm": _Reader.matrix,
    "GlobalAveragePool": _Reader.pool,
    "GlobalMaxPool": _Reader.pool,
    "Identity": _Reader.same,
    "MatMul": _Reader.matrix,
    "MaxPool": _Reader.pool,
    "Relu": _Reader.activation,
    "Tanh": _Reader.activation,
}
