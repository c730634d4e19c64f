"""The chips of a photonic layer, and what their phase shifters make of the phases asked for."""

import math
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from zerohm._arrays import Array
from zerohm._errors import InputError
from zerohm._random import stream

from ..devices.photonic.phase_shifter import PhaseShifter
from ..photonics import Chip, Imperfections, Layout, Mesh, Phases, named_layout
from ..photonics.decomposition import in_one_turn

_ATTENUATORS = "attenuators"
_SWEEPS = 20
"""Iterations against crosstalk; each leaves the share of the error that neighbours contribute."""
_TOLERATED = 0.1
"""rad."""


class Circuit(NamedTuple):
    """The chips of one layer, in the order of light."""

    before: Chip
    """V†, as many ports as the layer has inputs."""
    attenuators: Chip
    """MZIs side by side, light in and out on the upper line."""
    behind: Chip
    """U, as many ports as the layer has outputs."""


@lru_cache(maxsize=128)
def fabricated(
    process: Imperfections, layout: str, chip: int, place: int, outputs: int, inputs: int
) -> Circuit:
    """The chips at one place, always the same ones."""
    rank = min(outputs, inputs)
    upper = 2 * np.arange(rank)
    attenuators = Layout(
        name=_ATTENUATORS,
        ports=2 * rank,
        lines=2 * rank,
        columns=1,
        column=np.zeros(rank, np.int64),
        upper=upper,
        lower=upper + 1,
        universal=False,
    )
    apart = replace(process, crosstalk=None)
    parts = (
        ("before", process, named_layout(layout, inputs)),
        (_ATTENUATORS, apart, attenuators),
        ("behind", process, named_layout(layout, outputs)),
    )
    return Circuit(
        *(
            law.fabricate(where, stream(chip, "fabrication", place, name))
            for name, law, where in parts
        )
    )


def transmission(chips: Circuit) -> float:
    """Geometric mean of the amplitudes that losses leave, attenuators fully open."""
    logarithm = sum(
        float(np.log(chip.transmission).sum() + np.log(chip.output_transmission).sum())
        / chip.layout.lines
        for chip in chips
    )
    return math.exp(logarithm)


def for_heaters(phases: Phases, chip: Chip) -> Phases:
    """Phases to ask for, in [0, 2π], so that the light has the given ones in spite of crosstalk.

    A heater that had to cool gets another 2π. At the ends of its range that can be what warms its
    neighbours enough for it to be too much; then its phase stays a little off.

    Raises
    ------
    InputError : crosstalk so strong that phases are more than ``_TOLERATED`` off.
    """
    if chip.process.crosstalk is None:
        return phases
    target = asked = np.concatenate(phases)
    for _ in range(_SWEEPS):
        asked = in_one_turn(target + asked - chip.crosstalk @ asked)
    turns = 2 * math.pi * np.rint((chip.crosstalk @ asked - target) / (2 * math.pi))
    for _ in range(_SWEEPS):
        asked = np.clip(target + turns + asked - chip.crosstalk @ asked, 0.0, 2 * math.pi)
    off = float(np.abs(chip.crosstalk @ asked - target - turns).max())
    if off > _TOLERATED:
        raise InputError(
            f"crosstalk leaves a phase {off:.3g} rad off, whatever is asked of the heaters: reduce "
            "its coefficient, or enlarge column_pitch and line_pitch"
        )
    mzis = chip.layout.mzis
    return Phases(*np.split(asked, [mzis, 2 * mzis]))


class Shifters:
    """Phase shifters of one chip: what is asked of them, and how far off they are."""

    def __init__(
        self, chip: Chip, law: PhaseShifter, asked: Phases, copies: int, rng: Generator
    ) -> None:
        self.asked = asked
        self._chip, self._law = chip, law
        self._lead = () if copies == 1 else (copies,)
        self._state = law.start(np.zeros((*self._lead, self._codes(asked).size)), rng)

    @property
    def count(self) -> int:
        """Number of phase shifters; behind attenuators there are none."""
        layout = self._chip.layout
        return 2 * layout.mzis + (0 if layout.name == _ATTENUATORS else layout.ports)

    def rewrite(self, asked: Phases, rng: Generator) -> int:
        """Ask for other phases; the number of shifters that got another code."""
        changed = self._codes(asked) != self._codes(self.asked)
        number = int(np.count_nonzero(changed))
        fresh = self._law.start(np.zeros((*self._lead, number)), rng)
        self._law.merge(self._state, fresh, changed, rng)
        self.asked = asked
        return number

    def advance(self, seconds: float, rng: Generator) -> None:
        """Let the phases drift."""
        self._law.advance(self._state, seconds, rng)

    def mesh(self) -> Mesh:
        """The chip with the phases that are in the light."""
        chip, layout = self._chip, self._chip.layout
        off = self._law.deviation(self._state, self._codes(self.asked))
        if chip.process.crosstalk is not None:
            off = (chip.crosstalk @ np.atleast_2d(off).T).T.reshape(off.shape)
        parts = np.split(off, [layout.mzis, 2 * layout.mzis], axis=-1)
        phases = Phases(*(a + b for a, b in zip(chip.program(*self.asked), parts, strict=True)))
        return Mesh(layout, *phases, chip)

    def _codes(self, phases: Phases) -> Array:
        """Phases of all shifters on the drivers' grid."""
        flat = np.concatenate(phases)
        bits = self._chip.process.phase_bits
        return flat if bits is None else PhaseShifter(bits=bits).quantise(flat)
