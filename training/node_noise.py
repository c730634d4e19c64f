"""Node perturbation by the noise of the hardware itself: two noisy passes, no generator.

A mini-batch passes the network twice. The sums of a layer (its nodes) go on as codes of the
converters, so that the difference of two codes is known exactly, whatever has made it: the read
noise of the cells, the write noise of two arrays, the rounding of the converter. The difference of
the losses, sample by sample, times that of the codes over its variance is the derivative by the
nodes; :mod:`zerohm.training.node_noise_estimator` has the formulas.

1. What a layer adds to the difference is ε_l = Δz_l − W_l·Δx_l, with the digital master copy W_l as
   it was programmed: the activity difference alone also holds what earlier noise has become, which
   biases deep networks (as in Dalm 2023, and Koenders 2025, where both passes are noisy too).
2. The variance is measured: |ε_l|² of every sample over the nodes of the layer, and a running mean
   of what every node has of it. Rounding, and noise below one code that rounding turns into rare
   steps, are in it.
3. A node with the same activation in both passes has slope 0.
4. The slope by the last layer's nodes is known, softmax − target. So is what that layer's own noise
   does to the loss, which is taken out of the difference: it would drown the hidden layers.
5. What can be foretold of a slope need not be measured again. Each hidden layer keeps a matrix B
   that maps the slope by the last layer's nodes to its own; what it foretells of ΔL is taken out,
   only the rest is estimated from the noise, and B learns from that rest. As a control variate it
   changes the variance of an estimate, not its mean, however wrong it is: B knows only earlier
   mini-batches. It starts at 0, and no weight is transported to it.

Inputs of a layer, for the weights' gradient, are the mean of both passes.

Noise of a layer's nodes has to be independent from node to node, as that of cells and detectors is.
The write noise of a mesh is not: every phase has a part in all weights, so that two arrays whose
phases differ by more than what the detectors add (0.01 rad against usual detectors) leave a bias.
"""

import math
import warnings
from typing import Annotated, Literal

import numpy as np
from numpy.random import Generator
from pydantic import Field
from pydantic.dataclasses import dataclass

from zerohm._arrays import Array
from zerohm._config import STRICT
from zerohm._errors import InputError

from ..crossbar import Ledger
from ..mapping import Programmed, RRAMHardware
from .descent import Adam, schedule
from .losses import Labels
from .network import (
    Layer,
    Network,
    activate,
    require_perceptron,
    with_constant,
)
from .node_noise_estimator import (
    losses_and_slopes,
    node_slope,
    nonlinearity,
    own_noise,
    relative_power,
    without_known,
)
from .periodic_programming import PeriodicProgramming
from .protocol import Batches

MOVED_CODES = 0.01
"""Least share of codes of a hidden layer that must differ between two passes."""

MOVING_NOISE = 0.1
"""Noise in steps of a converter that moves about one code in ten: 2σ/√π of a uniform phase."""

LARGEST_BIAS = 0.2
"""Relative bias of the loss difference beyond which :class:`NonlinearNoiseWarning` is given."""

_GAIN_RATE = np.float32(0.01)
_STEPS_PER_CHECK = 100


class NonlinearNoiseWarning(UserWarning):
    """The noise is so large that losses are no longer linear in it."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class NodeNoise:
    """Settings of node perturbation by the hardware's own noise, described in the module.

    Parameters
    ----------
    learning_rate : of Adam on the digital master copy, in units of weights; constant for two
        thirds of the budget, then linearly to 0.
    weight_decay : share of every weight that a step takes away, over the learning rate (decoupled,
        Loshchilov 2019).
    arrays : 1 reads one array twice, so that its read noise is the perturbation; 2 reads two
        arrays once each, whose codes differ by their write noise as well.
    foresight_rate : of the matrices B, normalised least mean squares; 0 does without them.
    batches_per_programming : mini-batches, with an update of the master copy each, between
        programming events.
    steps_per_solution : updates between exact solutions of resistive wires, at the next programming
        event; in between, the circuit is taken to first order about the last one. 0 solves it at
        every programming event.

    Raises
    ------
    ValueError : a value outside its range.

    Examples
    --------
    >>> import zerohm as zo
    >>> cell = zo.devices.preset("Wan2022").with_noise(write=0.02, read=0.01)
    >>> model = zo.training.mlp([64, 16, 10], hardware=zo.mapping.rram(cell))
    >>> run = zo.training.fit(model, zo.datasets.load("digits"), method=NodeNoise(), seed=0,
    ...                       passes=600, evaluations=1)
    >>> bool(run.deployed_accuracy[-1] > 0.7)
    True
    """

    learning_rate: Annotated[float, Field(gt=0)] = 2e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    arrays: Literal[1, 2] = 1
    foresight_rate: Annotated[float, Field(ge=0, lt=1)] = 0.1
    batches_per_programming: Annotated[int, Field(ge=1)] = 5
    steps_per_solution: Annotated[int, Field(ge=0)] = 20

    @property
    def name(self) -> str:
        return "node-noise"

    @property
    def citations(self) -> tuple[str, ...]:
        return ("Koenders2025", "Dalm2023", "Kingma2015", "Loshchilov2019")

    def start(self, network: Network, parameters: Array, *, rng: Generator) -> "NodeNoiseTrainer":
        """Begin training; ``rng`` is the source of the hardware's noise and of nothing else.

        Raises
        ------
        InputError : the network is not a multilayer perceptron of real weights. Training raises it
            if the noise is too small to be seen through the converters.
        """
        return NodeNoiseTrainer(self, require_perceptron(self.name, network), parameters, rng)


class NodeNoiseTrainer:
    """A run of node perturbation by the hardware's noise in progress."""

    def __init__(
        self, settings: NodeNoise, network: Network, parameters: Array, rng: Generator
    ) -> None:
        self.network = network
        self.parameters = parameters.copy()
        self.arrays = settings.arrays
        self.forward_passes = 0
        self._settings = settings
        self._rng = rng
        self._adam = Adam(settings.learning_rate, network.limits)
        self._gains = [np.ones(layer.outputs, dtype=np.float32) for layer in network.layers[:-1]]
        self._foresight = [
            np.zeros((layer.outputs, network.classes), dtype=np.float32)
            for layer in network.layers[:-1]
        ]
        self._in_turn = any(
            getattr(layer.hardware, "running_clock", False) for layer in network.layers
        )
        self._hardware = PeriodicProgramming(
            network,
            steps_per_programming=settings.batches_per_programming,
            steps_per_solution=settings.steps_per_solution,
            copies=settings.arrays,
            rng=rng,
        )
        self._warned = False

    @property
    def ledger(self) -> Ledger:
        """What the hardware has done."""
        return self._hardware.ledger

    def step(self, batches: Batches, progress: float) -> float:
        """Two noisy passes of a mini-batch, one update; returns the mean loss of both."""
        x, labels = batches()
        if self._hardware.due:
            self.program()
        gradient, loss = self.estimate(x, labels)
        scale = schedule(progress)
        decay = self._settings.learning_rate * self._settings.weight_decay * scale
        self.parameters *= np.float32(1.0 - decay)
        self._adam.update(self.parameters, gradient, scale)
        self._hardware.steps += 1
        return loss

    def estimate(self, x: Array, labels: Labels) -> tuple[Array, float]:
        """Gradient (d,) of the mean loss and that loss, from two passes of the arrays as they are.

        Raises
        ------
        InputError : the passes agree in too many codes of a hidden layer.
        """
        inputs, nodes = self._two_passes(x)
        self.forward_passes += 2
        self._require_moved(inputs, nodes)
        losses, slopes = losses_and_slopes(nodes[-1], labels)
        difference = losses[0] - losses[1]
        self._check_linear(difference, nodes[-1], slopes, labels)
        return self._gradient(inputs, nodes, difference, slopes.mean(axis=0)), float(losses.mean())

    def program(self) -> None:
        """Write the master copy onto the arrays."""
        self._written = [matrix.copy() for matrix in self.network.matrices(self.parameters)]
        self._hardware.program(self.parameters)

    def _two_passes(self, x: Array) -> tuple[list[Array], list[Array]]:
        """Every layer's inputs (2, batch, in + 1) and nodes (2, batch, out) of two passes."""
        inputs: list[Array] = []
        nodes: list[Array] = []
        signal = with_constant(x, 1.0)
        for number, (layer, state) in enumerate(
            zip(self.network.layers, self._hardware.states, strict=True)
        ):
            if number:
                signal = with_constant(activate(nodes[-1], self.network.activation), 1.0)
            limit = np.float32(layer.input_limit)
            scaled = signal if limit == 1 else signal / limit
            codes = self._read_twice(state, scaled)
            inputs.append(np.broadcast_to(signal, (2, *signal.shape[-2:])))
            nodes.append(codes * limit)
        return inputs, nodes

    def _read_twice(self, state: Programmed, signal: Array) -> Array:
        """Products (2, batch, out) with inputs (batch, in) of both passes or (2, batch, in).

        On hardware with a running clock one pass comes after the other: cells move on in between.
        """
        if self.arrays == 2:
            return state.apply(signal, rng=self._rng)
        if self._in_turn:
            both = signal if signal.ndim == 3 else (signal, signal)
            return np.stack([state.apply(one, rng=self._rng) for one in both])
        if signal.ndim == 2:
            return state.apply(signal, rng=self._rng, reads=2)
        _, batch, width = signal.shape
        return state.apply(signal.reshape(2 * batch, width), rng=self._rng).reshape(2, batch, -1)

    def _gradient(
        self, inputs: list[Array], nodes: list[Array], difference: Array, slope: Array
    ) -> Array:
        """Mean over the batch of the slopes by the nodes times the layers' inputs.

        difference (batch,) of the losses, slope (batch, classes) by the last layer's nodes.
        """
        noise = own_noise(inputs, nodes, self._written)
        difference = without_known(difference, slope, noise[-1])
        share = np.float32(1.0 / len(slope))
        rate = np.float32(self._settings.foresight_rate / max(np.sum(np.square(slope)), 1e-30))
        gradients = []
        for number, (gain, matrix) in enumerate(zip(self._gains, self._foresight, strict=True)):
            scale, power = relative_power(noise[number])
            active = inputs[number + 1][..., :-1]
            moved = active[0] != active[1]
            foretold = (slope @ matrix.T) * moved
            rest = without_known(difference, foretold, noise[number])
            measured = node_slope(rest, noise[number], scale, gain, moved)
            gradients.append((share * (foretold + measured)).T @ _mean(inputs, number))
            matrix += rate * (measured.T @ slope)
            gain += _GAIN_RATE * (power - gain)
        gradients.append((share * slope).T @ _mean(inputs, len(self._gains)))
        return self.network.flatten(gradients)

    def _require_moved(self, inputs: list[Array], nodes: list[Array]) -> None:
        """Refuse noise that the converters of a hidden layer do not show."""
        for number, codes in enumerate(nodes[:-1]):
            share = np.count_nonzero(codes[0] != codes[1]) / codes[0].size
            if share < MOVED_CODES:
                layer = self.network.layers[number]
                raise InputError(
                    f"two passes of {codes.shape[1]} samples differ in {share:.2%} of the codes of "
                    f"layer {number + 1} on hardware {layer.hardware.name!r}, at least "
                    f"{MOVED_CODES:.0%} are needed: its noise is too small to be seen through "
                    f"converters. {remedy(layer, inputs[number][0], self.arrays)}"
                )

    def _check_linear(
        self, difference: Array, logits: Array, slopes: Array, labels: Labels
    ) -> None:
        """Warn once, every now and then looking, of noise beyond the linear regime."""
        if self._warned or self._hardware.steps % _STEPS_PER_CHECK:
            return
        bias = nonlinearity(difference, logits, slopes, labels)
        if abs(bias) > LARGEST_BIAS:
            self._warned = True
            warnings.warn(
                f"the noise of hardware {self.network.hardware_name!r} is too large for the linear "
                f"regime: the loss difference of two passes has a relative bias of {bias:+.0%} "
                f"as a measure of its slope (allowed: ±{LARGEST_BIAS:.0%}); training goes on, with "
                "the gradient of a smoothed loss. Less noise or smaller weights avoid it",
                NonlinearNoiseWarning,
                stacklevel=2,
            )


def _mean(inputs: list[Array], number: int) -> Array:
    """Mean over both passes of a layer's inputs, which in the first layer are the same."""
    mean: Array = inputs[number].mean(axis=0) if number else inputs[number][0]
    return mean


def remedy(layer: Layer, inputs: Array, arrays: int) -> str:
    """What makes the noise of a layer visible, for inputs (batch, in + 1) of that layer."""
    hardware = layer.hardware
    if not isinstance(hardware, RRAMHardware) or hardware.adc is None:
        return "Use hardware with more noise, or a method with software perturbations"
    least = least_read_noise(layer, inputs, hardware)
    window = hardware.cell.conductance_min, hardware.cell.conductance_max
    own = float(np.mean(hardware.cell.read_std(np.array(window)))) / hardware.cell.window
    text = f"Use read_noise of at least {least:.2g} of the conductance window"
    if own > 0:
        bits = hardware.adc.bits + math.ceil(math.log2(least / own))
        text += f", with the present {own:.2g} adc_bits of at least {bits}"
    return text + (", or arrays=2 for the write noise" if arrays == 1 else "")


def least_read_noise(layer: Layer, inputs: Array, hardware: RRAMHardware) -> float:
    """Read noise per device, over the window, that moves codes: :data:`MOVING_NOISE` steps.

    A pair of cells per weight and independent noise make √2·r·|x| of a tile's sum, in units of read
    voltage · window, with its share of the layer's inputs (batch, in + 1).
    """
    adc = hardware.adc
    assert adc is not None  # the caller has seen to it
    tiles = hardware.tiles(*layer.shape)
    rows = max(into.stop - into.start for _, into in tiles)
    count = len({into.start for _, into in tiles})
    full_scale = hardware.current_range * math.sqrt(rows)
    if adc.full_scale is not None:
        full_scale = adc.full_scale / (hardware.read_voltage * hardware.cell.window)
    power = float(np.mean(np.square(inputs / layer.input_limit).sum(axis=-1))) / count
    return MOVING_NOISE * adc.step(full_scale) / math.sqrt(2.0 * power)
