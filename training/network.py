"""Multilayer perceptrons whose layers run on hardware.

The trainable parameters of a network are one flat vector: layer by layer, each layer's weight
matrix (out, in + 1) in row order, its last column the bias. The bias is a word line like any
other, driven by a constant input.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.random import Generator

from zerohm._arrays import Array
from zerohm._errors import InputError

from ..crossbar import Ledger
from ..mapping import Hardware, Programmed, WriteNoise
from .losses import Labels, cross_entropy, cross_entropy_gradient

Activation = Literal["relu", "tanh"]


def activate(z: Array, activation: Activation) -> Array:
    """The nonlinearity between layers, computed digitally."""
    result: Array = np.maximum(z, 0.0) if activation == "relu" else np.tanh(z)
    return result


def activation_slope(hidden: Array, activation: Activation) -> Array:
    """Derivative of :func:`activate`, given the values that it returned."""
    if activation == "relu":
        return (hidden > 0).astype(hidden.dtype)
    return 1.0 - hidden * hidden


@dataclass(frozen=True)
class Layer:
    """One fully connected layer on hardware.

    ``input_limit`` is the largest |input| that the converters represent; ``inputs`` does not
    count the bias.
    """

    outputs: int
    inputs: int
    hardware: Hardware
    input_limit: float

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the weight matrix, bias included."""
        return self.outputs, self.inputs + 1


@dataclass(frozen=True)
class Network:
    """Layers with one activation function between them; see :func:`mlp`."""

    layers: tuple[Layer, ...]
    activation: Activation

    @cached_property
    def bounds(self) -> tuple[int, ...]:
        """Where each layer begins and ends in the parameter vector."""
        sizes = [layer.outputs * (layer.inputs + 1) for layer in self.layers]
        return tuple(np.cumsum([0, *sizes]).tolist())

    @property
    def parameters(self) -> int:
        """Number of trainable parameters, biases included."""
        return self.bounds[-1]

    @property
    def fan_in(self) -> int:
        """Most products that an output sums, its bias included."""
        return max(layer.shape[1] for layer in self.layers)

    @cached_property
    def limits(self) -> Array:
        """Largest |weight| that the hardware stores, one per parameter."""
        values = [layer.hardware.weight_limit(layer.shape[1]) for layer in self.layers]
        return np.repeat(values, np.diff(self.bounds)).astype(np.float32)

    @property
    def integer(self) -> bool:
        """Parameters are real weights; what the hardware stores of them is its own business."""
        return False

    @property
    def features(self) -> int:
        """Numbers in one input."""
        return self.layers[0].inputs

    @property
    def classes(self) -> int:
        """Numbers in one output."""
        return self.layers[-1].outputs

    @property
    def cells(self) -> int:
        """Memory cells that hold the parameters."""
        sizes = np.diff(self.bounds)
        return sum(
            layer.hardware.cells_per_weight * int(size)
            for layer, size in zip(self.layers, sizes, strict=True)
        )

    @property
    def hardware_name(self) -> str:
        """What the layers run on."""
        return self.layers[0].hardware.name

    @property
    def device_name(self) -> str:
        """The cell of the layers, or "none"."""
        cell = getattr(self.layers[0].hardware, "cell", None)
        return "none" if cell is None else str(cell.name)

    @property
    def citations(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(k for layer in self.layers for k in layer.hardware.citations))

    def description(self) -> dict[str, Any]:
        """What a record keeps of it: widths, activation, and the first layer's hardware."""
        return {
            "hardware": asdict(self.layers[0].hardware),  # type: ignore[call-overload]
            "sizes": [self.features, *(layer.outputs for layer in self.layers)],
            "activation": self.activation,
        }

    def matrices(self, parameters: Array) -> list[Array]:
        """The layers' matrices (..., out, in + 1) as views of parameter vectors (..., d)."""
        return [
            parameters[..., a:b].reshape(*parameters.shape[:-1], *layer.shape)
            for layer, (a, b) in zip(self.layers, pairwise(self.bounds), strict=True)
        ]

    def flatten(self, matrices: Sequence[Array]) -> Array:
        """Parameter vectors (..., d) of the layers' matrices (..., out, in + 1)."""
        lead = matrices[0].shape[:-2]
        return np.concatenate([m.reshape(*lead, -1) for m in matrices], axis=-1)

    def initial_parameters(self, rng: Generator) -> Array:
        """Uniform weights of variance 2/inputs (ReLU) or 1/inputs (tanh), zero biases; float32."""
        gain = 6.0 if self.activation == "relu" else 3.0
        matrices = []
        for layer in self.layers:
            bound = np.sqrt(gain / layer.inputs)
            weights = rng.uniform(-bound, bound, layer.shape)
            weights[:, -1] = 0.0
            matrices.append(weights.astype(np.float32))
        return self.flatten(matrices)

    def program(self, parameters: Array, *, rng: Generator, copies: int = 1) -> "ProgrammedNetwork":
        """Store a parameter vector (d,): every layer is written once, with its write noise."""
        states = [
            layer.hardware.program(matrix, rng=rng, copies=copies)
            for layer, matrix in zip(self.layers, self.matrices(parameters), strict=True)
        ]
        return ProgrammedNetwork(self, states)

    def write_noise(self, parameters: Array) -> WriteNoise:
        """Statistics of the write noise, vectors (d,) in weight units."""
        noises = [
            layer.hardware.write_noise(matrix)
            for layer, matrix in zip(self.layers, self.matrices(parameters), strict=True)
        ]
        densities = {noise.density for noise in noises}
        if len(densities) > 1:
            raise InputError("layers with different write-noise distributions cannot be trained")
        return WriteNoise(
            std=self._spread([noise.std for noise in noises]),
            std_slope=self._spread([noise.std_slope for noise in noises]),
            density=densities.pop(),
        )

    def read_back_std(self, parameters: Array) -> Array:
        """Standard deviation of reading each parameter back, vector (d,)."""
        return self._spread(
            [
                layer.hardware.read_back_std(matrix)
                for layer, matrix in zip(self.layers, self.matrices(parameters), strict=True)
            ]
        )

    def tightened(self, factors: Sequence[float | Array]) -> "Network":
        """The same network with each layer verified to narrower bands, one or one per weight."""
        layers = [
            replace(layer, hardware=layer.hardware.tightened(factor))
            for layer, factor in zip(self.layers, factors, strict=True)
        ]
        return replace(self, layers=tuple(layers))

    def prepared_near(self, parameters: Array) -> "Network":
        """The same network on hardware that is prepared for parameters near these."""
        layers = [
            replace(layer, hardware=layer.hardware.prepared_near(matrix))
            for layer, matrix in zip(self.layers, self.matrices(parameters), strict=True)
        ]
        return replace(self, layers=tuple(layers))

    def ideal_forward(self, parameters: Array, x: Array) -> list[Array]:
        """Exact digital computation: every layer's input with its bias column, then the logits."""
        signals = []
        signal = x
        for index, matrix in enumerate(self.matrices(parameters)):
            if index:
                signal = activate(signal, self.activation)
            signal = with_constant(signal, 1.0)
            signals.append(signal)
            signal = signal @ matrix.T
        return [*signals, signal]

    def ideal_logits(self, parameters: Array, x: Array) -> Array:
        """Logits (batch, classes) in exact digital arithmetic."""
        return self.ideal_forward(parameters, x)[-1]

    def gradient(self, parameters: Array, x: Array, labels: Labels) -> tuple[float, Array]:
        """Loss and its exact gradient (d,) of the ideal digital network on one mini-batch."""
        *signals, logits = self.ideal_forward(parameters, x)
        matrices = self.matrices(parameters)
        upstream = cross_entropy_gradient(logits, labels)
        gradients: list[Array] = []
        for index in reversed(range(len(matrices))):
            signal = signals[index]
            gradients.insert(0, upstream.T @ signal)
            if index:
                slope = activation_slope(signal[:, :-1], self.activation)
                upstream = (upstream @ matrices[index][:, :-1]) * slope
        return float(cross_entropy(logits, labels)), self.flatten(gradients)

    def _spread(self, values: Sequence[Array]) -> Array:
        """One vector (d,) of per-layer values that broadcast against the layers' matrices."""
        full = [
            np.broadcast_to(value, layer.shape)
            for layer, value in zip(self.layers, values, strict=True)
        ]
        return self.flatten(full)


class ProgrammedNetwork:
    """One physical state of a network: what one programming event left behind."""

    def __init__(self, network: Network, states: Sequence[Programmed]) -> None:
        self.network = network
        self.states = states

    def forward(self, x: Array, *, rng: Generator) -> Array:
        """Logits (batch, classes), or (copies, batch, classes), of inputs (batch, features)."""
        return self.layer_values(x, rng=rng)[-1][1]

    def layer_values(
        self, x: Array, *, rng: Generator, displacements: Sequence[Array] | None = None
    ) -> list[tuple[Array, Array]]:
        """Every layer's input (..., batch, in + 1), constant included, and nodes (..., batch, out).

        Nodes are sums before the nonlinearity, as the converters say. ``displacements``, one
        array (batch, out) per layer, are added to them digitally, before they go on.
        """
        values = []
        nodes = x
        for index, (layer, state) in enumerate(zip(self.network.layers, self.states, strict=True)):
            signal = activate(nodes, self.network.activation) if index else x
            signal = with_constant(signal, 1.0)
            limit = np.float32(layer.input_limit)
            nodes = state.apply(signal / limit, rng=rng) * limit
            if displacements is not None:
                nodes = nodes + displacements[index]
            values.append((signal, nodes))
        return values

    def read_back(self, *, rng: Generator) -> Array:
        """What can be known of the stored parameters: (d,) or (copies, d)."""
        return self.network.flatten([state.read_back(rng=rng) for state in self.states])

    @property
    def truth(self) -> Array:
        """The true stored parameters, for tests and baselines only."""
        return self.network.flatten([state.truth for state in self.states])

    @property
    def ledger(self) -> Ledger:
        """Totals over the layers."""
        total = Ledger()
        for state in self.states:
            total.add(state.ledger)
        return total


def with_constant(signal: Array, value: float) -> Array:
    """The signal (..., n) with one more column that holds a constant: the bias input."""
    extended = np.empty((*signal.shape[:-1], signal.shape[-1] + 1), dtype=signal.dtype)
    extended[..., :-1] = signal
    extended[..., -1] = value
    return extended


def mlp(
    sizes: Sequence[int],
    *,
    hardware: Hardware,
    activation: Activation = "relu",
    input_limit: float = 1.0,
    hidden_limit: float | None = None,
) -> Network:
    """A multilayer perceptron on hardware.

    Parameters
    ----------
    sizes : widths of input, hidden and output layers, at least two.
    hardware : what every layer is built on, each at its own place of the chip.
    activation : "relu" or "tanh".
    input_limit : largest |input| of the data.
    hidden_limit : largest hidden activation that the converters represent; default 1 for tanh,
        4 for relu, beyond which the next layer's converter saturates (and counts it).

    Raises
    ------
    InputError : fewer than two sizes, a size below 1, an unknown activation, or a limit that is
        not positive.

    Examples
    --------
    >>> from zerohm import mapping
    >>> mlp([64, 32, 10], hardware=mapping.digital()).parameters
    2410
    """
    widths = [width for width in sizes if isinstance(width, int | np.integer) and width >= 1]
    if len(sizes) < 2 or len(widths) < len(sizes):
        raise InputError(
            f"sizes={list(sizes)!r}: need at least input and output widths, integers >= 1"
        )
    if activation not in ("relu", "tanh"):
        raise InputError(f"unknown activation {activation!r}; allowed: relu, tanh")
    usual = 1.0 if activation == "tanh" else 4.0
    hidden = usual if hidden_limit is None else hidden_limit
    if not (0 < input_limit < np.inf and 0 < hidden < np.inf):
        raise InputError(
            f"input_limit={input_limit!r} and hidden_limit={hidden!r} must be positive and finite"
        )
    layers = tuple(
        Layer(outputs, inputs, hardware.at(index), hidden if index else input_limit)
        for index, (inputs, outputs) in enumerate(pairwise(sizes))
    )
    return Network(layers, activation)


def require_perceptron(method: str, network: object) -> Network:
    """The network, if it is one of :func:`mlp`.

    Raises
    ------
    InputError : another kind of network.
    """
    if not isinstance(network, Network):
        raise InputError(
            f"{method} trains multilayer perceptrons (mlp) of real weights, not "
            f"{type(network).__name__}: it needs the values or derivatives of every layer"
        )
    return network
