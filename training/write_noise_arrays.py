"""Whose losses are compared: two arrays, one and its past, or one before and after a rewrite.

* :class:`FreshArrays` with two copies: programmed at the same time, run the same mini-batches.
* :class:`FreshArrays` with one copy: its loss is compared with the running mean of earlier ones, at
  one forward pass instead of two; even orders of the loss and the mini-batch do not cancel.
* :class:`RewrittenArray`: one array runs the same mini-batches before and after a block of it is
  written again. All else is shared and cancels: the variance of an estimate falls from d
  parameters to those of the block, and so do the writes. With the whole array as the block, it has
  the statistics of two arrays at half their writes and half their area, but takes them in turn.
"""

from typing import Literal, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from zerohm._arrays import Array

from ..crossbar import Ledger
from .credit import Reading
from .losses import Labels
from .network import Network, ProgrammedNetwork
from .protocol import Batches

Block = Literal["network", "layer", "lines", "cells"]
Mask = NDArray[np.bool_]
Samples = list[tuple[Array, Labels]]


class Measurement(NamedTuple):
    """What one comparison of losses has shown.

    ``readings`` are those of every mini-batch; ``read_back`` (arrays, d) is what was read of arrays
    that hold the present parameters; ``earlier`` the same from before the passes, if it was read;
    ``block`` the weights that were perturbed, ``None`` for all; ``state`` is there to be read
    again, ``samples`` are what with.
    """

    readings: list[Reading]
    read_back: Array
    earlier: Array | None
    block: Mask | None
    state: ProgrammedNetwork
    samples: Samples


class FreshArrays:
    """One or two arrays that are programmed anew for every comparison."""

    def __init__(self, arrays: int, *, bracketed: bool, rng: Generator) -> None:
        self.arrays = arrays
        self._bracketed = bracketed
        self._rng = rng
        self._total = Ledger()
        self._state: ProgrammedNetwork | None = None

    @property
    def ledger(self) -> Ledger:
        """What the arrays have done."""
        total = Ledger()
        total.add(self._total)
        if self._state is not None:
            total.add(self._state.ledger)
        return total

    def measure(
        self, network: Network, parameters: Array, batches: Batches, count: int
    ) -> Measurement:
        """Program, run this many mini-batches, read back (``bracketed``: also before them)."""
        self._total = self.ledger
        state = network.program(parameters, rng=self._rng, copies=self.arrays)
        self._state = state
        earlier = self._read_back(state) if self._bracketed else None
        samples = [batches() for _ in range(count)]
        readings = [self._reading(state, x, labels) for x, labels in samples]
        return Measurement(readings, self._read_back(state), earlier, None, state, samples)

    def _reading(self, state: ProgrammedNetwork, x: Array, labels: Labels) -> Reading:
        values = state.layer_values(x, rng=self._rng)
        return Reading(values if self.arrays > 1 else _stacked([values]), labels)

    def _read_back(self, state: ProgrammedNetwork) -> Array:
        read = state.read_back(rng=self._rng)
        return read if self.arrays > 1 else read[None]


class RewrittenArray:
    """One array, of which one block after the other is written again.

    Blocks follow each other in a fixed order, so that no generator takes part: the whole network,
    its layers, or ``blocks`` interleaved sets of word lines or of weights.
    """

    arrays = 1

    def __init__(
        self, network: Network, parameters: Array, block: Block, blocks: int, *, rng: Generator
    ) -> None:
        self._rng = rng
        self._blocks = _masks(network, block, blocks)
        self._written = parameters.copy()
        self._state = network.program(parameters, rng=rng)
        self._next = 0

    @property
    def ledger(self) -> Ledger:
        """What the array has done."""
        return self._state.ledger

    @property
    def blocks(self) -> int:
        """How many comparisons it takes until every weight has been perturbed."""
        return len(self._blocks)

    def measure(
        self, network: Network, parameters: Array, batches: Batches, count: int
    ) -> Measurement:
        """Run the mini-batches, write the next block with the parameters, and run them again."""
        wheres = self._blocks[self._next]
        self._next = (self._next + 1) % len(self._blocks)
        samples = [batches() for _ in range(count)]
        before = [self._state.layer_values(x, rng=self._rng) for x, _ in samples]
        deviations = [self._deviations(network, wheres)]
        block = np.concatenate([where.ravel() for where in wheres])
        self._rewrite(network, parameters, block, wheres)
        after = [self._state.layer_values(x, rng=self._rng) for x, _ in samples]
        deviations.append(self._deviations(network, wheres))
        readings = [
            Reading(_stacked([one, other]), labels)
            for one, other, (_, labels) in zip(before, after, samples, strict=True)
        ]
        read_back = parameters + np.stack(deviations)
        return Measurement(readings, read_back, None, block, self._state, samples)

    def _rewrite(
        self, network: Network, parameters: Array, block: Mask, wheres: list[Mask]
    ) -> None:
        self._written[block] = parameters[block]
        matrices = network.matrices(self._written)
        for state, weights, where in zip(self._state.states, matrices, wheres, strict=True):
            if where.any():
                state.rewrite(weights, where, rng=self._rng)

    def _deviations(self, network: Network, wheres: list[Mask]) -> Array:
        """What is read of the layers that the block touches minus what they were told, else 0."""
        deviations = np.zeros_like(self._written)
        for state, weights, where, part in zip(
            self._state.states,
            network.matrices(self._written),
            wheres,
            network.matrices(deviations),
            strict=True,
        ):
            if where.any():
                part[...] = state.read_back(rng=self._rng) - weights
        return deviations


def _masks(network: Network, block: Block, blocks: int) -> list[list[Mask]]:
    """The weights of every block, a matrix (out, in + 1) per layer, in the order of writing."""
    shapes = [layer.shape for layer in network.layers]
    if block == "network":
        return [[np.ones(shape, dtype=np.bool_) for shape in shapes]]
    if block == "layer":
        owners, blocks = [np.full(shape, index) for index, shape in enumerate(shapes)], len(shapes)
    elif block == "lines":
        owners = [np.broadcast_to(np.arange(shape[1]) % blocks, shape) for shape in shapes]
    else:
        owners = [np.arange(shape[0] * shape[1]).reshape(shape) % blocks for shape in shapes]
    return [[owner == index for owner in owners] for index in range(blocks)]


def _stacked(runs: list[list[tuple[Array, Array]]]) -> list[tuple[Array, Array]]:
    """Layer values of several states with one axis of arrays in front."""
    return [
        (np.stack([run[layer][0] for run in runs]), np.stack([run[layer][1] for run in runs]))
        for layer in range(len(runs[0]))
    ]
