"""What a training method is: frozen settings that start a trainer with a state."""

from collections.abc import Callable
from typing import Protocol

from numpy.random import Generator

from zerohm._arrays import Array

from ..crossbar import Ledger
from .losses import Labels
from .network import Network

Batches = Callable[[], tuple[Array, Labels]]
"""Draws the next mini-batch: inputs (batch, features) and labels (batch,)."""


class Trainer(Protocol):
    """A training run in progress.

    ``arrays`` is the number of physical states of the network that training rewrites,
    ``network`` the network as the method builds it (its write–verify bands, for example),
    ``parameters`` the digital master copy, ``forward_passes`` the number of forward passes of
    one mini-batch so far, and ``ledger`` what the hardware has done.
    """

    arrays: int
    network: Network
    parameters: Array
    forward_passes: int
    ledger: Ledger

    def step(self, batches: Batches, progress: float) -> float:
        """One update; ``progress`` in [0, 1) is the used part of the budget. Returns the loss."""


class Method(Protocol):
    """Settings of a training method."""

    @property
    def name(self) -> str:
        """Name in options and results."""

    @property
    def citations(self) -> tuple[str, ...]:
        """Keys of what to cite."""

    def start(self, network: Network, parameters: Array, *, rng: Generator) -> Trainer:
        """Begin training; ``rng`` is the source of all noise and perturbations."""
