"""Local losses trained by node perturbation: what a layer's own outputs tell, forward only.

As in FFzero every layer has fixed prototypes of the classes and a loss of its own, no label enters
the input and no error is sent back. What differs is what is perturbed. A local loss is a function
of the layer's outputs alone, so it is enough to perturb those: as many numbers as the layer is
wide, for every sample anew, instead of all its weights once for a whole mini-batch.

Every mini-batch is read twice at every layer. The outputs z₁ and z₂ of the two reads differ by a
displacement, added behind the converter, and by whatever noise the hardware has. All of it is in
the codes that go on, so the direction is known exactly whatever its cause. With h = activation(z)
(in the last layer h = z) and the local loss L of a sample,

    ĝ_z = n·(L(h₁) − L(h₂))·(z₁ − z₂) / |z₁ − z₂|²,     ĝ_W = mean over samples of ĝ_z·xᵀ:

the directional derivative along one random direction in n nodes. Where a node's h is the same in
both reads, since a ReLU holds it at zero, its slope is known to be zero, and so is ĝ_z there: what
the other nodes do to L would be nothing but noise.

A local loss also lets the columns of an array be perturbed side by side. With blocks of w < n
columns, the loss change of a block is that with this block alone displaced and the others at the
mean of both reads; it is computed from the same two reads, and each number now speaks of w unknowns
in place of n. At w = 1 this is the exact difference quotient of a loss that is known digitally:
still forward only, but no longer blind.

A number is predicted in the same way, with one prototype per layer and the squared error of its
cosine as the loss; the last layer, judged by z, answers. A hidden ReLU layer gives no prototype a
cosine of ±1, since h is not negative: the layers behind it reach what it cannot.

Layers are trained all at the same time: the mean of both reads goes on to the next one, and nothing
is stored but the mini-batch.
"""

from typing import Annotated, Literal

import numpy as np
from numpy.random import Generator
from pydantic import Field
from pydantic.dataclasses import dataclass

from zerohm._arrays import Array
from zerohm._config import STRICT
from zerohm._errors import InputError

from ...crossbar import Ledger
from ...mapping import Programmed
from ..descent import Adam, schedule
from ..losses import Labels
from ..network import Layer, Network, require_perceptron, with_constant
from ..periodic_programming import PeriodicProgramming
from ..protocol import Batches
from ..zeroth_order import rademacher
from .activated_network import ActivatedNetwork, activated
from .goodness import LocalLoss, SoftmaxLoss, SquaredLoss, Variety
from .network import layer_outputs


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LocalNodePerturbation:
    """Settings of local node perturbation, described in the module.

    Each of the two reads of a layer on a mini-batch counts as one forward pass, so an update takes
    2·layers of them; digital hardware, where the displaced outputs need no second product, is
    counted and computed in the same way.

    Parameters
    ----------
    learning_rate : of Adam on the digital master copy, in units of weights; constant for two
        thirds of the budget, then linearly to 0.
    loss : "softmax" to tell classes apart, :class:`SoftmaxLoss`; "squared" to predict a number,
        :class:`~zerohm.training.ffzero.goodness.SquaredLoss`.
    sharpness : of the softmax.
    displacement : added to the outputs of one read and taken from those of the other, with random
        signs; as a share of the root mean square of the layer's outputs. 0 leaves the noise of the
        hardware as the only perturbation.
    block_width : columns whose loss change is one number; unset, all columns of a layer.
    steps_per_programming : updates of the master copy between programming events.
    steps_per_solution : updates between exact solutions of resistive wires, at the next programming
        event; in between, the circuit is taken to first order about the last one. 0 solves it at
        every programming event.

    Raises
    ------
    ValueError : a value outside its range.

    Examples
    --------
    >>> import zerohm as zo
    >>> model = zo.training.mlp([64, 32, 32, 10], hardware=zo.mapping.digital())
    >>> run = zo.training.fit(model, zo.datasets.load("digits"), method=LocalNodePerturbation(),
    ...                       seed=0, passes=1200, evaluations=1)
    >>> bool(run.deployed_accuracy[-1] > 0.8)
    True
    """

    learning_rate: Annotated[float, Field(gt=0)] = 4e-3
    loss: Literal["softmax", "squared"] = "softmax"
    sharpness: Annotated[float, Field(gt=0)] = 12.0
    displacement: Annotated[float, Field(ge=0, lt=1)] = 0.05
    block_width: Annotated[int, Field(ge=1)] | None = None
    steps_per_programming: Annotated[int, Field(ge=1)] = 1
    steps_per_solution: Annotated[int, Field(ge=0)] = 20

    @property
    def name(self) -> str:
        return "local-node-perturbation"

    @property
    def citations(self) -> tuple[str, ...]:
        return ("Guo2026FFzero", "Dalm2023", "Kingma2015")

    def start(
        self, network: Network, parameters: Array, *, rng: Generator
    ) -> "LocalNodePerturbationTrainer":
        """Begin training; prototypes are drawn here.

        Raises
        ------
        InputError : not a multilayer perceptron of real weights, more classes than a layer is
            wide, fewer than two, or a layer that blocks do not divide evenly. Training raises it
            if the first 1000 samples are all alike.
        """
        plain = require_perceptron(self.name, network)
        judged = activated(plain, regression=self.loss == "squared", rng=rng)
        for number, layer in enumerate(judged.layers, start=1):
            if layer.outputs % self.width_in(layer):
                raise InputError(
                    f"block_width={self.block_width} does not divide the {layer.outputs} columns "
                    f"of layer {number}"
                )
        return LocalNodePerturbationTrainer(self, judged, parameters, rng)

    def width_in(self, layer: Layer) -> int:
        """Columns of a block: those of a narrow layer are one block."""
        return min(self.block_width or layer.outputs, layer.outputs)


class LocalNodePerturbationTrainer:
    """A run of local node perturbation in progress."""

    def __init__(
        self,
        settings: LocalNodePerturbation,
        network: ActivatedNetwork,
        parameters: Array,
        rng: Generator,
    ) -> None:
        self.network = network
        self.parameters = parameters.copy()
        self.arrays = 1
        self.forward_passes = 0
        self._settings = settings
        self._loss: LocalLoss = (
            SquaredLoss()
            if settings.loss == "squared"
            else SoftmaxLoss(sharpness=settings.sharpness)
        )
        self._variety = Variety()
        self._rng = rng
        self._adam = Adam(settings.learning_rate, network.limits)
        self._hardware = PeriodicProgramming(
            network,
            steps_per_programming=settings.steps_per_programming,
            steps_per_solution=settings.steps_per_solution,
            rng=rng,
        )

    @property
    def ledger(self) -> Ledger:
        """What the hardware has done."""
        return self._hardware.ledger

    def step(self, batches: Batches, progress: float) -> float:
        """Two reads of every layer, one update; returns the mean loss of the layers."""
        signal, labels = batches()
        self._loss.check(labels, self.network.classes)
        self._variety.require(labels)
        if self._hardware.due:
            self._hardware.program(self.parameters)
        gradients, losses = [], []
        for number, (layer, state) in enumerate(
            zip(self.network.layers, self._hardware.states, strict=True)
        ):
            outputs = self._two_reads(layer, state, signal)
            slope, loss = self._slope(number, outputs, labels)
            gradients.append(slope.T @ with_constant(signal, 1.0))
            losses.append(loss)
            signal = self.network.between(outputs.mean(axis=0))
        self._adam.update(self.parameters, self.network.flatten(gradients), schedule(progress))
        self._hardware.steps += 1
        return float(np.mean(losses))

    def _two_reads(self, layer: Layer, state: Programmed, signal: Array) -> Array:
        """Outputs (2, batch, out) of two reads of the same inputs, displaced."""
        both = layer_outputs(layer, state, np.concatenate([signal, signal]), self._rng)
        outputs = both.reshape(2, len(signal), layer.outputs)
        self.forward_passes += 2
        share = self._settings.displacement
        if share:
            size = np.float32(share) * np.sqrt(np.mean(np.square(outputs)))
            displacement = size * rademacher(outputs.shape[1:], self._rng)
            outputs[0] += displacement
            outputs[1] -= displacement
        elif np.array_equal(outputs[0], outputs[1]):
            raise InputError(
                f"two reads of a layer on hardware {layer.hardware.name!r} agree in every code: "
                "it has no noise to perturb with, use displacement > 0"
            )
        return outputs

    def _slope(self, number: int, outputs: Array, labels: Labels) -> tuple[Array, float]:
        """Estimated derivative (batch, out) of a layer's loss by its outputs, and the loss."""
        network = self.network
        width = self._settings.width_in(network.layers[number])
        active = network.judged(number, outputs)
        losses = exchanged_losses(
            active, network.prototypes[number], labels, loss=self._loss, block_width=width
        )
        slope = node_slope(losses, outputs, active) * np.float32(self._loss.weight(len(labels)))
        return slope, float(losses.mean())


def exchanged_losses(
    active: Array, prototypes: Array, labels: Labels, *, loss: LocalLoss, block_width: int
) -> Array:
    """Losses (2, blocks, batch) with one block at its first or second read, the others at the mean.

    active (2, batch, n): activated outputs of two reads; prototypes (classes, n). Goodness is
    linear in the outputs up to their length, so a block takes part with w products per class.
    """
    _, batch, width = active.shape
    blocks = width // block_width
    mean = active.mean(axis=0)
    half = (active[0] - mean).reshape(batch, blocks, block_width).transpose(1, 0, 2)
    signs = np.array([1.0, -1.0], dtype=active.dtype)[:, np.newaxis, np.newaxis]
    own = mean.reshape(batch, blocks, block_width).transpose(1, 0, 2)
    rows = prototypes.reshape(-1, blocks, block_width).transpose(1, 2, 0)
    squares = np.sum(mean * mean, axis=-1) + np.sum(half * half, axis=-1)
    lengths = np.sqrt(np.maximum(squares + 2.0 * signs * np.sum(own * half, axis=-1), 0.0))
    products = mean @ prototypes.T + signs[..., np.newaxis] * (half @ rows)
    cosines = np.divide(
        products,
        lengths[..., np.newaxis],
        out=np.zeros_like(products),
        where=lengths[..., np.newaxis] > 0,
    )
    return loss.of_samples(cosines, labels)


def node_slope(losses: Array, outputs: Array, active: Array) -> Array:
    """Slope (batch, n) of every sample's loss by its outputs: w·ΔL·Δz/|Δz|², block by block.

    losses (2, blocks, batch) of :func:`exchanged_losses`, outputs and active (2, batch, n). Nodes
    whose activation has not moved get 0.
    """
    blocks, batch = losses.shape[1:]
    moved = (outputs[0] - outputs[1]).reshape(batch, blocks, -1)
    power = np.sum(moved * moved, axis=-1)
    change = moved.shape[-1] * (losses[0] - losses[1]).T
    factor = np.divide(change, power, out=np.zeros_like(power), where=power > 0)
    slope: Array = (factor[..., np.newaxis] * moved).reshape(batch, -1)
    slope[active[0] == active[1]] = 0.0
    return slope
