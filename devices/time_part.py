"""What the parts of a cell model that change with time have in common."""

import math
from typing import Protocol

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from zerohm._arrays import Array
from zerohm._errors import InputError

from .temperature import REFERENCE_TEMPERATURE

State = dict[str, Array]
"""What a part remembers of its cells.

The trailing axes of an array are those of the cells, unless all cells share what is in it.
"""


class TimePart(Protocol):
    """Relaxation, drift or noise: a frozen law that moves a state in time."""

    def start(self, conductance: Array, rng: Generator) -> State:
        """State right after programming to these conductances, S of any shape."""

    def advance(
        self,
        state: State,
        seconds: float,
        rng: Generator,
        *,
        temperature: float = REFERENCE_TEMPERATURE,
    ) -> None:
        """Let time pass, in place and exactly for any step and any sequence of steps."""

    def deviation(self, state: State, conductance: Array) -> Array:
        """S, at this conductance: the programmed one, for noise the one that it rides on."""

    def merge(self, state: State, fresh: State, where: NDArray[np.bool_], rng: Generator) -> None:
        """Put cells that were programmed just now in the place of the selected ones.

        ``fresh`` is a state of the selected cells alone, which is used up; no deviation changes.
        """


class CellwiseState:
    """A part in whose state cells share nothing."""

    def merge(self, state: State, fresh: State, where: NDArray[np.bool_], rng: Generator) -> None:
        """Put cells that were programmed just now in the place of the selected ones.

        Parameters
        ----------
        state : of all cells, changed in place.
        fresh : state of the selected cells alone, these in one axis.
        where : booleans of the shape of the cells, or of their last axes.
        rng : of no effect.
        """
        for name, values in state.items():
            values[..., where] = fresh[name]


def check_seconds(seconds: float) -> float:
    """The step itself, if time can advance by it.

    Raises
    ------
    InputError : a step that is negative, infinite or NaN.
    """
    if not 0 <= seconds < math.inf:
        raise InputError(f"seconds={seconds!r}: time can only advance by a finite amount >= 0")
    return seconds
