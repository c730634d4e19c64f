"""The one seam between training methods and what they run on.

A :class:`Hardware` says how a layer's weight matrix can be realised; ``program`` realises it and
returns a :class:`Programmed`, one physical state that can be used and read. Weights are
(out, in), batches (batch, in). Inputs lie in [−1, 1], the full scale of the converters; what
lies beyond saturates there and is counted.
"""

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from zerohm._arrays import Array

from ..crossbar import Ledger
from ..devices.noise import Density


@dataclass(frozen=True)
class WriteNoise:
    """What is known of the deviation of stored weights from programmed ones, in weight units.

    ``std`` σ(w) and ``std_slope`` dσ/dw broadcast against the weights; ``density`` is the shape
    of the distribution.
    """

    std: Array
    std_slope: Array
    density: Density


class Programmed(Protocol):
    """One physical state of a layer: what one programming event left behind."""

    ledger: Ledger

    def apply(self, x: Array, *, rng: Generator) -> Array:
        """W·x for a batch, as the converters' codes say; read noise is drawn here.

        (batch, in) or (copies, batch, in) to (batch, out), or (copies, batch, out) for a layer
        programmed with copies.
        """

    def read_back(self, *, rng: Generator) -> Array:
        """What can be known of the stored weights: (out, in) or (copies, out, in)."""

    def rewrite(self, weights: Array, where: NDArray[np.bool_], *, rng: Generator) -> None:
        """Program the weights selected by ``where`` (out, in) anew; the rest keep their state."""

    def advance(self, seconds: float, *, rng: Generator) -> None:
        """Let time pass."""

    @property
    def truth(self) -> Array:
        """The true stored weights, for tests and baselines only: no hardware can report them."""


class Hardware(Protocol):
    """What a layer can be built on."""

    @property
    def name(self) -> str:
        """Short name, kept with every result."""

    @property
    def citations(self) -> tuple[str, ...]:
        """Keys of what to cite."""

    @property
    def cells_per_weight(self) -> int:
        """Number of physical cells that store one weight."""

    def weight_limit(self, inputs: int) -> float:
        """Largest |weight| that a layer with this many inputs can store; may be infinite."""

    def write_noise(self, weights: Array) -> WriteNoise:
        """Statistics of the write noise of these weights (out, in)."""

    def read_back_std(self, weights: Array) -> Array:
        """Standard deviation that reading back adds to each weight, converter included."""

    def tightened(self, factor: float) -> Self:
        """The same hardware verified to a band ``factor`` times as wide, 0 < factor <= 1."""

    def program(self, weights: Array, *, rng: Generator, copies: int = 1) -> Programmed:
        """Store weights (out, in): one programming event with its own write noise.

        ``copies`` asks for that many independently written states of the same weights, along
        a leading axis of everything that the layer returns unless it is 1.
        """
