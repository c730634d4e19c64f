"""Pulses that go to some cells of a population."""

from collections.abc import Iterator
from dataclasses import dataclass

from zerohm._arrays import Array
from zerohm._errors import InputError

from .kernels import Integers

_DRAWS = 1 << 17  # random numbers that are held at once


@dataclass(frozen=True, kw_only=True)
class PulseTrain:
    """As many pulses for each of n cells; arrays (n,) unless said otherwise.

    ``chosen`` indices of the cells; ``direction`` +1 or −1; ``factor`` step relative to that of
    the nominal pulse; ``count`` pulses for each cell; a pulse costs ``fixed_energy`` (J, one
    number) plus ``heating`` (V² s) times the cell's conductance.
    """

    chosen: Integers
    direction: Integers
    factor: Array
    count: int
    fixed_energy: float
    heating: Array

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Shapes (pulses, cells) in which to draw, pulse after pulse, in a bounded memory."""
        block = max(_DRAWS // max(self.chosen.size, 1), 1)
        for first in range(0, self.count, block):
            yield min(block, self.count - first), self.chosen.size


def is_up(direction: int) -> bool:
    """Whether pulses of this direction raise the conductance; +1 or −1, else InputError."""
    if direction not in (1, -1):
        raise InputError(f"direction={direction!r} must be +1 (up, SET) or -1 (down, RESET)")
    return direction > 0
