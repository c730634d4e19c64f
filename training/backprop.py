"""Backpropagation on the digital master copy: the reference that forward-only training aims at."""

from typing import Annotated

from numpy.random import Generator
from pydantic import Field
from pydantic.dataclasses import dataclass

from zerohm._arrays import Array
from zerohm._config import STRICT

from ..crossbar import Ledger
from .descent import Descent
from .losses import Labels, cross_entropy, cross_entropy_gradient
from .network import Network
from .protocol import Batches


def gradient(network: Network, parameters: Array, x: Array, labels: Labels) -> tuple[float, Array]:
    """Loss and its exact gradient (d,) of the ideal digital network on one mini-batch."""
    *signals, logits = network.ideal_forward(parameters, x)
    matrices = network.matrices(parameters)
    upstream = cross_entropy_gradient(logits, labels)
    gradients: list[Array] = []
    for index in reversed(range(len(matrices))):
        signal = signals[index]
        gradients.insert(0, upstream.T @ signal)
        if index:
            hidden = signal[:, :-1]
            slope = hidden > 0 if network.activation == "relu" else 1.0 - hidden * hidden
            upstream = (upstream @ matrices[index][:, :-1]) * slope
    return float(cross_entropy(logits, labels)), network.flatten(gradients)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Backprop:
    """Settings of backpropagation.

    The gradient is computed in exact digital arithmetic; the hardware is used only when the
    trained network is deployed. One step counts as one forward pass (its backward pass is not
    counted).
    """

    learning_rate: Annotated[float, Field(gt=0)] = 1.0
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9

    @property
    def name(self) -> str:
        return "backprop"

    @property
    def citations(self) -> tuple[str, ...]:
        return ("Rumelhart1986",)

    def start(self, network: Network, parameters: Array, *, rng: Generator) -> "BackpropTrainer":
        """Begin training."""
        return BackpropTrainer(self, network, parameters)


class BackpropTrainer:
    """A backpropagation run in progress."""

    def __init__(self, settings: Backprop, network: Network, parameters: Array) -> None:
        self.network = network
        self.parameters = parameters.copy()
        self.arrays = 1
        self.forward_passes = 0
        self.ledger = Ledger()
        self._descent = Descent(settings.learning_rate, settings.momentum, network.limits)

    def step(self, batches: Batches, progress: float) -> float:
        """One mini-batch: exact gradient, one update."""
        loss, slope = gradient(self.network, self.parameters, *batches())
        self._descent.update(self.parameters, slope, progress)
        self.forward_passes += 1
        return loss
