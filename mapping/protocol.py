"""The one seam between training methods and what they run on.

A :class:`Hardware` says how a layer's weight matrix can be realised; ``program`` realises it and
returns a :class:`Programmed`, one physical state that can be used and read. Weights are
(out, in), batches (batch, in). Inputs lie in [−1, 1], the full scale of the converters; what
lies beyond saturates there and is counted.
"""

from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from zerohm._arrays import Array
from zerohm._errors import InputError

from ..crossbar import Ledger
from ..devices.noise import Density


@dataclass(frozen=True)
class WriteNoise:
    """What is known of the deviation of stored weights from programmed ones, in weight units.

    ``std`` σ(w) and ``std_slope`` dσ/dw broadcast against the weights; ``density`` is the shape
    of one cell's distribution (a pair of uniform ones is not uniform). Rounding to discrete
    states and clipping at the device's own limits are not part of it.
    """

    std: Array
    std_slope: Array
    density: Density


def check_matrix(weights: Array) -> None:
    """Refuse weights that are not a matrix (out, in)."""
    if weights.ndim != 2 or 0 in weights.shape:
        raise InputError(f"weights have shape {weights.shape}, must be a matrix (out, in)")


def check_shape(name: str, values: NDArray[Any], shape: tuple[int, ...]) -> None:
    """Refuse an array that has not the shape of the layer."""
    if np.shape(values) != shape:
        raise InputError(f"{name} have shape {np.shape(values)}, the layer has {shape}")


def check_batch(x: Array, inputs: int, copies: int) -> None:
    """Refuse a batch that is not (batch, in), or (copies, batch, in) for a layer with copies."""
    if x.ndim not in (2, 3) or x.shape[-1] != inputs or (x.ndim == 3 and x.shape[0] != copies):
        raise InputError(
            f"inputs have shape {x.shape}; the layer takes (batch, {inputs}), or "
            f"(copies, batch, {inputs}) for each of its copies; it has copies={copies}"
        )


class Programmed(Protocol):
    """One physical state of a layer: what one programming event left behind."""

    @property
    def ledger(self) -> Ledger:
        """What this state has done so far."""

    def apply(self, x: Array, *, rng: Generator, reads: int | None = None) -> Array:
        """W·x for a batch, as the converters' codes say; read noise is drawn here.

        (batch, in) or (copies, batch, in) to (batch, out), or (copies, batch, out) for a layer
        programmed with copies. With ``reads``, so many results of the same inputs in front, each
        with its own read noise and counted as a read of its own.
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

    def at(self, place: int) -> Self:
        """The same hardware at another place of its chip, with devices of its own."""

    def tightened(self, factor: float | Array) -> Self:
        """The same hardware verified to bands ``factor`` times as wide, 0 < factor <= 1.

        One factor for all weights, or where weights have cells of their own an array of factors
        that broadcasts against the weights (out, in): (1, in) is one band per word line. Arrays
        of factors do not multiply: the last one counts.
        """

    def prepared_near(self, weights: Array) -> Self:
        """The same hardware with what pays to know before programming weights near these.

        It programs faster and to a stated approximation; where there is nothing to gain, it is
        the hardware itself.
        """

    def program(self, weights: Array, *, rng: Generator, copies: int = 1) -> Programmed:
        """Store weights (out, in): one programming event with its own write noise.

        ``copies`` asks for that many independently written states of the same weights, along
        a leading axis of everything that the layer returns unless it is 1.
        """
