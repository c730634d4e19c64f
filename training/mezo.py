"""MeZO: simultaneous perturbation by software, its random directions regenerated from a seed."""

import math
from typing import Annotated

import numpy as np
from numpy.random import Generator
from pydantic import Field
from pydantic.dataclasses import dataclass

from zerohm._arrays import Array
from zerohm._config import STRICT
from zerohm._random import as_generator

from ..crossbar import Ledger
from .descent import Descent
from .losses import Labels, cross_entropy
from .network import Network
from .protocol import Batches


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MeZO:
    """Settings of MeZO (SPSA with a Gaussian direction z).

    ĝ = (L(w + εz) − L(w − εz)) / 2ε · z (Malladi 2023, definition 1; Spall 1992). Both points
    are programmed onto the network's hardware, whose own noise then adds to the perturbation;
    where a point lies beyond the hardware's storage range, its edge is programmed instead.

    Parameters
    ----------
    learning_rate, momentum : of the digital master copy.
    perturbation : ε as a fraction of the smallest weight limit of all layers (of 6/√inputs
        where the hardware has none).
    """

    learning_rate: Annotated[float, Field(gt=0)] = 0.01
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    perturbation: Annotated[float, Field(gt=0, lt=1)] = 0.01

    @property
    def name(self) -> str:
        return "mezo"

    @property
    def citations(self) -> tuple[str, ...]:
        return ("Malladi2023", "Spall1992")

    def start(self, network: Network, parameters: Array, *, rng: Generator) -> "MeZOTrainer":
        """Begin training."""
        return MeZOTrainer(self, network, parameters, rng)


class MeZOTrainer:
    """A MeZO run in progress."""

    def __init__(self, settings: MeZO, network: Network, parameters: Array, rng: Generator) -> None:
        self.network = network
        self.parameters = parameters.copy()
        self.arrays = 1
        self.forward_passes = 0
        self.ledger = Ledger()
        self._rng = rng
        self._descent = Descent(settings.learning_rate, settings.momentum, network.limits)
        nominal = min(6.0 / math.sqrt(layer.shape[1]) for layer in network.layers)
        smallest = float(network.limits.min())
        limit = smallest if math.isfinite(smallest) else nominal
        self._epsilon = settings.perturbation * limit

    def step(self, batches: Batches, progress: float) -> float:
        """Two programmed points along one random direction, one update."""
        seed = int(self._rng.integers(2**63))
        x, labels = batches()
        losses = [self._loss(seed, sign, x, labels) for sign in (+1.0, -1.0)]
        slope = (losses[0] - losses[1]) / (2.0 * self._epsilon)
        self._descent.update(self.parameters, np.float32(slope) * self._direction(seed), progress)
        return 0.5 * (losses[0] + losses[1])

    def _direction(self, seed: int) -> Array:
        return as_generator(seed).standard_normal(self.parameters.size, dtype=np.float32)

    def _loss(self, seed: int, sign: float, x: Array, labels: Labels) -> float:
        point = self.parameters + np.float32(sign * self._epsilon) * self._direction(seed)
        limits = self.network.limits
        state = self.network.program(np.clip(point, -limits, limits), rng=self._rng)
        loss = cross_entropy(state.forward(x, rng=self._rng), labels)
        self.forward_passes += 1
        self.ledger.add(state.ledger)
        return float(loss)
