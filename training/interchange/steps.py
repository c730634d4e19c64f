"""What networks and the formats of other programs have in common: a list of operations.

Weights are float32 on both sides and are never rounded, rescaled or clipped on the way: what does
not fit is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from itertools import pairwise, zip_longest
from math import ceil
from types import ModuleType

import numpy as np

from zerohm._arrays import Array
from zerohm._errors import InputError

from ..convolutional import Convolution, Dense, FloatNetwork, Graph
from ..network import Network

Exchangeable = Network | FloatNetwork
"""Networks whose weights other programs know: those of ``mlp``, and convolutional ones."""


@dataclass(frozen=True)
class Step:
    """One operation of a network on the result of the step before it.

    Parameters
    ----------
    operation : "dense", "convolution", "relu", "tanh", "add", "average pool" or "max pool".
    name : of the layer that it belongs to.
    settings : of a convolution its stride, padding and groups; of a pool the size of its windows,
        0 for the whole map; of "add" the step whose result is added, counted from 1.
    weights : (out, in), or (out, in/groups, kernel, kernel) of a convolution.
    biases : (out,).
    """

    operation: str
    name: str = ""
    settings: dict[str, int] = field(default_factory=dict)
    weights: Array | None = None
    biases: Array | None = None

    def __str__(self) -> str:
        shape = "" if self.weights is None else " " + "x".join(map(str, self.weights.shape))
        settings = ", ".join(f"{name} {value}" for name, value in self.settings.items())
        return f"{self.operation}{shape}" + (f" ({settings})" if settings else "")


def steps(network: Exchangeable, parameters: Array | None = None) -> list[Step]:
    """The operations of a network in order, with the weights of parameters (d,), or with zeros.

    Raises
    ------
    InputError : another kind of network; parameters of another number, or that are not finite
        numbers of single precision.
    """
    if not isinstance(network, Network | FloatNetwork):
        raise InputError(
            f"weights of {type(network).__name__} cannot be exchanged; those of multilayer "
            "perceptrons (mlp) and of convolutional networks in floating point (FloatNetwork) can"
        )
    if parameters is None:
        parameters = np.zeros(network.parameters, np.float32)
    if np.shape(parameters) != (network.parameters,):
        raise InputError(
            f"parameters have shape {np.shape(parameters)}, the network has ({network.parameters},)"
        )
    values = single_precision(parameters, "parameters")
    if isinstance(network, Network):
        return _perceptron(network, values)
    return _convolutional(network.graph, values)


def weight_shapes(network: Exchangeable) -> dict[str, tuple[int, ...]]:
    """Shape of the weights of every layer that has them, by its name."""
    return {step.name: step.weights.shape for step in steps(network) if step.weights is not None}


def parameters_of(network: Exchangeable, weights: Sequence[tuple[Array, Array]]) -> Array:
    """Parameters (d,) of a network, float32, from weights and biases of its layers in order.

    Raises
    ------
    InputError : a weight beyond what the hardware stores.
    """
    if isinstance(network, Network):
        parameters = network.flatten([np.column_stack(pair) for pair in weights])
    else:
        parameters = np.concatenate([part.ravel() for pair in weights for part in pair])
    places = zip(weight_shapes(network), pairwise(network.bounds), strict=True)
    for name, (start, end) in places:
        _check_limit(network, name, parameters[start:end], float(network.limits[start]))
    return parameters


def match(expected: Sequence[Step], found: Sequence[Step]) -> None:
    """Refuse steps that are not those of a network.

    Raises
    ------
    InputError : names the first step that differs, and what a network of these steps would be.
    """
    for index, (ours, theirs) in enumerate(zip_longest(expected, found)):
        if str(ours) != str(theirs):
            of_layer = f" (layer {ours.name!r})" if ours else ""
            raise InputError(
                f"step {index + 1} of the model is {theirs or 'missing'}, the network has "
                f"{ours or 'no such step'}{of_layer}{_remedy(found)}"
            )


def single_precision(values: Array, what: str) -> Array:
    """The same numbers as float32.

    Raises
    ------
    InputError : a number that is not finite or that float32 does not hold exactly.
    """
    given = np.asarray(values)
    if not np.isfinite(given).all():
        raise InputError(f"{what} must be finite numbers; there is NaN or an infinite one")
    with np.errstate(over="ignore", under="ignore"):  # what does not fit is refused below
        result: Array = given.astype(np.float32)
    if not np.array_equal(result, given):
        raise InputError(
            f"{what} have more digits than single precision holds; round them first, by "
            "numpy's .astype(numpy.float32) or PyTorch's .float()"
        )
    return result


def optional(module: str, extra: str) -> ModuleType:
    """A module that only some users need.

    Raises
    ------
    InputError : it is not installed, with the extra that brings it.
    """
    try:
        return import_module(module)
    except ImportError:
        raise InputError(
            f"this needs the package {module!r}, which is not installed: "
            f"pip install 'zerohm[{extra}]'"
        ) from None


def _perceptron(network: Network, parameters: Array) -> list[Step]:
    """Names are the places in ``torch.nn.Sequential``."""
    found: list[Step] = []
    for index, matrix in enumerate(network.matrices(parameters)):
        if index:
            found.append(Step(network.activation, str(len(found))))
        found.append(Step("dense", str(len(found)), weights=matrix[:, :-1], biases=matrix[:, -1]))
    return found


def _convolutional(graph: Graph, parameters: Array) -> list[Step]:
    matrices = graph.matrices(parameters)
    found: list[Step] = []
    ends: dict[str, int] = {}
    for layer in graph.layers:
        if isinstance(layer, Convolution):
            weights, biases = matrices[layer.name]
            found.append(_convolution(layer, weights, biases, graph.input_shape_of(layer.name)[0]))
        elif isinstance(layer, Dense):
            weights, biases = matrices[layer.name]
            found.append(Step("dense", layer.name, weights=weights, biases=biases))
        else:
            found.append(Step(f"{layer.kind} pool", layer.name, {"size": layer.size or 0}))
        if getattr(layer, "activation", "none") == "relu":
            found.append(Step("relu", layer.name))
        if added := getattr(layer, "add", None):
            found.append(Step("add", layer.name, {"step": ends[added] + 1}))
        ends[layer.name] = len(found) - 1
    return found


def _convolution(layer: Convolution, weights: Array, biases: Array, channels: int) -> Step:
    settings = {
        "stride": layer.stride,
        "padding": layer.pad,
        "groups": channels if layer.depthwise else 1,
    }
    kernels = weights.reshape(layer.channels, -1, layer.kernel, layer.kernel)
    return Step("convolution", layer.name, settings, kernels, biases)


def _check_limit(network: Exchangeable, name: str, values: Array, limit: float) -> None:
    largest = float(np.abs(values).max())
    if largest > limit:
        factor = ceil(1e3 * largest / limit) / 1e3
        raise InputError(
            f"layer {name!r} has a weight of {largest:.6g}, the hardware "
            f"({network.hardware_name}) stores up to {limit:.6g} there: give it a weight_range "
            f"{factor:g} times as large, or train with that limit; nothing is rescaled"
        )


def _remedy(found: Sequence[Step]) -> str:
    """How to build the network that a model is, where it is one of ``mlp``."""
    dense = [step.weights for step in found if step.weights is not None]
    between = {step.operation for step in found if step.weights is None}
    chain = [step.operation for step in found[::2]] == ["dense"] * len(dense)
    if not dense or len(between) > 1 or not between <= {"relu", "tanh"} or not chain:
        return ""
    sizes = [dense[0].shape[1], *(len(weights) for weights in dense)]
    activation = f", activation={between.pop()!r}" if between else ""
    return f"; the model is mlp({sizes}{activation}, ...)"
