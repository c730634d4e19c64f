"""Local losses of a convolutional network, trained by perturbing outputs: forward only.

As in :mod:`zerohm.training.ffzero.local_perturbation` it is the outputs of the layers that are
perturbed, not their weights. Each patch of each sample is read twice; its outputs z₁ and z₂, one
for every channel, differ by a displacement with random signs and by the noise of the hardware. The
loss of a layer is made of its activated channels' means over coarse windows. It is a digital
function of the outputs, so the loss change of *one patch* can be had: its outputs are exchanged,
those of all other patches stay at the mean of both reads. With C channels

    ĝ_z = C·(L(z₁) − L(z₂))·(z₁ − z₂) / |z₁ − z₂|²,     ĝ_W = mean over samples of Σ ĝ_z·patchᵀ,

the sum taken over patches: every loss difference speaks of C unknowns instead of the C·places of a
map, and a kernel's gradient averages over all of them.

A kernel serves all places alike, and random prototypes are no more like one place than another: a
convolution has too few weights to turn its maps towards them. Here the prototypes of all layers but
the last one therefore only start at random, and learn too, by the exact derivative of the local
loss by them, f̂ being the features at length 1:

    ∂L/∂r_c = Σ ∂L/∂s_c·(f̂ − s_c·r_c),   then |r_c| ← 1.

They are digital, their features are at hand, and nothing is sent back to another layer.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import numpy as np
from numpy.random import Generator
from pydantic import Field
from pydantic.dataclasses import dataclass

from zerohm._arrays import Array
from zerohm._config import STRICT
from zerohm._errors import InputError

from ...crossbar import Ledger
from ..convolutional.kernels import to_maps
from ..descent import Adam, schedule
from ..losses import Labels
from ..periodic_programming import PeriodicProgramming
from ..protocol import Batches
from ..zeroth_order import rademacher
from .convolutional_judges import PooledJudge, pooled_judges
from .convolutional_network import ConvolutionalNetwork, require_convolutional
from .goodness import LocalLoss, SoftmaxLoss, Variety
from .local_perturbation import node_slope

_FREE = np.float32(np.inf)
"""Prototypes are kept at length 1: Adam need not bound them."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ConvolutionalNodePerturbation:
    """Settings of local node perturbation for convolutional networks, described in the module.

    All layers are trained at the same time. Each of the two reads of a layer on a mini-batch counts
    as one forward pass, so an update takes 2·layers of them.

    Parameters
    ----------
    learning_rate : of Adam on the digital master copy, in units of weights; constant for two
        thirds of the budget, then linearly to 0.
    sharpness : of the local loss,
        :class:`SoftmaxLoss <zerohm.training.ffzero.goodness.SoftmaxLoss>`.
    displacement : added to the outputs of one read and taken from those of the other, with random
        signs; as a share of the root mean square of the layer's outputs. 0 leaves the noise of the
        hardware as the only perturbation.
    grid : windows along each side of a map, over which the channels are averaged for the loss.
    prototype_rate : learning rate of Adam for the prototypes of all layers but the last one; at 0
        they stay as they were drawn.
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
    >>> from zerohm.training.convolutional.graph import Convolution, Dense, Graph
    >>> from zerohm.training.ffzero.convolutional_network import convolutional
    >>> graph = Graph(input_shape=(1, 8, 8), layers=(
    ...     Convolution(name="first", channels=12),
    ...     Convolution(name="second", channels=12, stride=2),
    ...     Dense(name="classes", outputs=10)))
    >>> run = zo.training.fit(convolutional(graph, hardware=zo.mapping.digital()),
    ...                       zo.datasets.load("digits"), method=ConvolutionalNodePerturbation(),
    ...                       seed=0, passes=300, batch=64, evaluations=1)
    >>> bool(run.deployed_accuracy[-1] > 0.8)
    True
    """

    learning_rate: Annotated[float, Field(gt=0)] = 4e-3
    sharpness: Annotated[float, Field(gt=0)] = 24.0
    displacement: Annotated[float, Field(ge=0, lt=1)] = 0.05
    grid: Annotated[int, Field(ge=1)] = 7
    prototype_rate: Annotated[float, Field(ge=0)] = 4e-3
    steps_per_programming: Annotated[int, Field(ge=1)] = 1
    steps_per_solution: Annotated[int, Field(ge=0)] = 20

    @property
    def name(self) -> str:
        return "convolutional-node-perturbation"

    @property
    def citations(self) -> tuple[str, ...]:
        return ("Guo2026FFzero", "Dalm2023", "Kingma2015")

    def start(
        self, network: ConvolutionalNetwork, parameters: Array, *, rng: Generator
    ) -> "ConvolutionalNodePerturbationTrainer":
        """Begin training; prototypes are drawn here.

        Raises
        ------
        InputError : another kind of network than :func:`convolutional` builds, a normalised layer,
            fewer than two classes, or more classes than there are features of a layer.
        """
        plain = require_convolutional(self.name, network)
        for layer in plain.layers:
            if getattr(layer, "normalized", False):
                raise InputError(
                    f"layer {layer.name!r} is normalised over its map, so that its patches cannot "
                    "be exchanged one by one: use graph.without_normalization()"
                )
        judges = pooled_judges(plain.graph, self.grid, rng)
        return ConvolutionalNodePerturbationTrainer(self, plain, judges, parameters, rng)


class ConvolutionalNodePerturbationTrainer:
    """A run of local node perturbation in progress."""

    def __init__(
        self,
        settings: ConvolutionalNodePerturbation,
        network: ConvolutionalNetwork,
        judges: Sequence[PooledJudge],
        parameters: Array,
        rng: Generator,
    ) -> None:
        self.parameters = parameters.copy()
        self.arrays = 1
        self.forward_passes = 0
        self._settings = settings
        self._plain = network
        self._judges = list(judges)
        self._loss = SoftmaxLoss(sharpness=settings.sharpness)
        self._variety = Variety()
        self._rng = rng
        self._adam = Adam(settings.learning_rate, network.limits)
        self._prototype_adam = [
            Adam(settings.prototype_rate, np.full(judge.prototypes.shape, _FREE))
            for judge in judges[:-1]
        ]
        self._hardware = PeriodicProgramming(
            network,
            steps_per_programming=settings.steps_per_programming,
            steps_per_solution=settings.steps_per_solution,
            rng=rng,
        )

    @property
    def network(self) -> ConvolutionalNetwork:
        """The network with the prototypes of now."""
        return replace(self._plain, judges=tuple(self._judges), answer="sum of goodness")

    @property
    def ledger(self) -> Ledger:
        """What the hardware has done."""
        return self._hardware.ledger

    def step(self, batches: Batches, progress: float) -> float:
        """Two reads of every layer, one update; returns the mean loss of the layers."""
        x, labels = batches()
        self._loss.check(labels, self._plain.classes)
        self._variety.require(labels)
        if self._hardware.due:
            self._hardware.program(self.parameters)
        maps = to_maps(x, self._plain.graph.input_shape)
        gradient, losses = np.empty_like(self.parameters), []
        places = self._plain.graph.matrices(gradient).values()
        for number, (by_weights, by_biases) in enumerate(places):
            vectors = self._plain.vectors(number, maps)
            sums = self._two_reads(number, vectors)
            slope, loss = self._slope(number, sums, labels)
            by_weights[...] = slope @ vectors.T
            by_biases[...] = slope.sum(axis=1)
            losses.append(loss)
            if number < len(self._prototype_adam):
                self._teach(number, sums, labels, progress)
            maps = self._plain.between(number, sums.mean(axis=0))
        self._adam.update(self.parameters, gradient, schedule(progress))
        self._hardware.steps += 1
        return float(np.mean(losses))

    def _two_reads(self, number: int, vectors: Array) -> Array:
        """Sums (2, out, h, w, batch) of two reads of the same patches, displaced."""
        network, state, rng = self._plain, self._hardware.states[number], self._rng
        read = np.stack([network.products(number, state, vectors, rng=rng) for _ in range(2)])
        self.forward_passes += 2
        share = self._settings.displacement
        if share:
            size = np.float32(share) * np.sqrt(np.mean(np.square(read)))
            displacement = size * rademacher(read.shape[1:], rng)
            read[0] += displacement
            read[1] -= displacement
        elif np.array_equal(read[0], read[1]):
            raise InputError(
                f"two reads of a layer on hardware {network.hardware_name!r} agree in every code: "
                "it has no noise to perturb with, use displacement > 0"
            )
        _, biases = list(network.graph.matrices(self.parameters).values())[number]
        return network.sums(number, read, biases)

    def _slope(self, number: int, sums: Array, labels: Labels) -> tuple[Array, float]:
        """Estimated derivative (out, places·batch) of a layer's loss by its sums, and the loss."""
        active = self._plain.activated(number, sums)
        losses = exchanged_patches(self._judges[number], active, labels, loss=self._loss)
        slope = patch_slope(losses, sums, active) * np.float32(self._loss.weight(len(labels)))
        return slope, float(losses.mean())

    def _teach(self, number: int, sums: Array, labels: Labels, progress: float) -> None:
        """Move the prototypes of a layer along the derivative of its loss by them."""
        judge = self._judges[number]
        features = judge.features(self._plain.activated(number, sums).mean(axis=0))
        gradient = prototype_gradient(features, judge.prototypes, labels, loss=self._loss)
        moved = judge.prototypes.copy()
        self._prototype_adam[number].update(moved, gradient, schedule(progress))
        moved /= np.linalg.norm(moved, axis=1, keepdims=True)
        self._judges[number] = replace(judge, prototypes=moved)


def exchanged_patches(
    judge: PooledJudge, active: Array, labels: Labels, *, loss: LocalLoss
) -> Array:
    """Losses (2, places, batch) with one patch at its first or second read, the others at the mean.

    active (2, out, height, width, batch): activated sums of two reads.
    """
    _, channels, *_, batch = active.shape
    mean = active.mean(axis=0)
    half = (active[0] - mean).reshape(channels, -1, batch)  # at the first read; the second is −half
    weight = judge.windows.max(axis=0)  # of a place in its window
    window = judge.windows.argmax(axis=0)
    half = half * weight[:, np.newaxis]
    features = judge.features(mean)  # (batch, channels·windows)
    own = features.T.reshape(channels, -1, batch)[:, window]
    rows = judge.prototypes.reshape(len(judge.prototypes), channels, -1)[:, :, window]
    # Goodness of features f ± e: (R·f ± R·e) / √(|f|² ± 2 f·e + |e|²).
    change = np.matmul(half.transpose(1, 2, 0), rows.transpose(2, 1, 0))  # (places, batch, classes)
    signs = np.array([1.0, -1.0], active.dtype)[:, np.newaxis, np.newaxis]
    squares = np.sum(np.square(features), axis=1) + np.sum(half * half, axis=0)
    lengths = np.sqrt(np.maximum(squares + 2.0 * signs * np.sum(own * half, axis=0), 0.0))
    products = features @ judge.prototypes.T + signs[..., np.newaxis] * change
    lengths = lengths[..., np.newaxis]
    cosines = np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
    return loss.of_samples(cosines, labels)


def patch_slope(losses: Array, sums: Array, active: Array) -> Array:
    """Slope (out, places·batch) of every sample's loss by its sums, patch by patch.

    losses (2, places, batch) of :func:`exchanged_patches`; sums and active (2, out, h, w, batch).
    Sums whose activation has not moved get 0. To :func:`node_slope
    <zerohm.training.ffzero.local_perturbation.node_slope>` each patch is a sample of its own.
    """
    nodes, bent = (np.swapaxes(maps.reshape(2, len(maps[0]), -1), 1, 2) for maps in (sums, active))
    slope: Array = node_slope(losses.reshape(2, 1, -1), nodes, bent).T
    return slope


def prototype_gradient(
    features: Array, prototypes: Array, labels: Labels, *, loss: LocalLoss
) -> Array:
    """Derivative (classes, width) of a batch's loss by prototypes that are kept at length 1.

    features (batch, width). Features that are all zero have no direction and take no part.
    """
    length = np.linalg.norm(features, axis=1, keepdims=True)
    direction = np.divide(features, length, out=np.zeros_like(features), where=length > 0)
    upstream = loss.slope(direction @ prototypes.T, labels)
    gradient = upstream.T @ direction
    gradient -= np.sum(gradient * prototypes, axis=1, keepdims=True) * prototypes
    result: Array = gradient * features.dtype.type(loss.weight(len(labels)))
    return result
