"""Exact steps of the random processes of fluctuating cells, on plain arrays, in place.

States are (components or traps, cells), C-contiguous. Arithmetic is in double precision whatever
the state is stored in, and the random numbers are drawn one by one in the order of the cells (and
traps): results do not depend on threads, and differ between float32 and float64 states by
rounding alone. Drawing inside the kernel yields the same numbers as numpy in about half of the
time.
"""

import numpy as np
from numpy.random import Generator

from zerohm._arrays import Array
from zerohm._jit import kernel

_BLOCK = 1 << 10  # cells whose random numbers and sums stay in the cache


@kernel
def step_components(
    components: Array, total: Array, decay: Array, gain: Array, rng: Generator
) -> None:
    """Every component x ← decay · x + gain · N(0, 1) with one draw per cell; total: their sum.

    components : (components, cells); total : (cells,); decay, gain : (components,).
    """
    innovation, summed = np.empty(_BLOCK), np.empty(_BLOCK)
    for first in range(0, total.size, _BLOCK):
        block = total[first : first + _BLOCK]
        for i in range(block.size):
            innovation[i] = rng.standard_normal()
        summed[:] = 0.0
        for k in range(components.shape[0]):
            component = components[k, first : first + _BLOCK]
            for i in range(component.size):
                value = decay[k] * component[i] + gain[k] * innovation[i]
                component[i] = value
                summed[i] += value
        block[:] = summed[: block.size]


@kernel
def step_traps(
    occupied: Array, strength: Array, occupancy: float, forgotten: Array, rng: Generator
) -> None:
    """Capture and emission of traps over one step.

    occupied : (traps, cells), 0 or 1; strength : (traps, cells), 0 where there is no trap;
    occupancy : probability of being occupied in the long run; forgotten : (traps, cells),
    1 − exp(−step · (capture rate + emission rate)).
    """
    for k in range(occupied.shape[0]):
        for i in range(occupied.shape[1]):
            if strength[k, i] > 0:
                elsewhere = 1.0 - occupancy if occupied[k, i] > 0 else occupancy
                if rng.random() < elsewhere * forgotten[k, i]:
                    occupied[k, i] = 1.0 - occupied[k, i]


@kernel
def step_levels(level: Array, strength: Array, cumulative: Array, rng: Generator) -> None:
    """Transitions between the levels of Markov chains over one step.

    level : (cells,), index of each cell's level; strength : (cells,), 0 where there is no chain;
    cumulative : (levels, levels), probability of going from the first index to at most the
    second.
    """
    last = cumulative.shape[1] - 1
    for i in range(level.size):
        if strength[i] > 0:
            chances, chance, to = cumulative[int(level[i])], rng.random(), 0
            while to < last and chances[to] <= chance:
                to += 1
            level[i] = to
