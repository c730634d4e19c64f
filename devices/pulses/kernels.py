"""Loops over pulses and cells, on plain arrays.

Conductances, bounds and steps are in S, energies in J. All arrays of cells are one-dimensional;
``chosen`` (n,) holds the indices of the cells that are pulsed, ``direction`` (n,) is +1 or −1,
``factor`` (n,) scales the step for the pulse's voltage and width. Each pulse of a cell deposits
``fixed_energy`` plus ``heating`` (n,) times the conductance before the pulse.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerohm._arrays import Array
from zerohm._jit import kernel

Integers = NDArray[np.integer[Any]]

SOFT_BOUNDS, POWER, EXPONENTIAL = 0, 1, 2


@kernel
def mean_step(
    law: int,
    shape: Array,
    conductance: float,
    up: bool,
    lower: float,
    upper: float,
    reference: float,
    step: float,
) -> Any:
    """Size of the mean step of one cell in S, at least 0; ``step`` is its scale.

    ``shape`` holds: power, exponents up and down; exponential, A and γ up and down, a, b.
    """
    if law == SOFT_BOUNDS:
        if up:
            return step * (upper - conductance) / (upper - reference)
        return step * (conductance - lower) / (reference - lower)
    if law == POWER:
        if up:
            return step * ((upper - conductance) / (upper - lower)) ** shape[0]
        return step * ((conductance - lower) / (upper - lower)) ** shape[1]
    z = 2.0 * shape[4] * (conductance - reference) / (upper - lower) + shape[5]
    if up:
        return step * max(1.0 - shape[0] * np.exp(shape[2] * z), 0.0)
    return step * max(1.0 - shape[1] * np.exp(-shape[3] * z), 0.0)


@kernel
def mean_steps(
    law: int,
    shape: Array,
    conductance: Array,
    up: bool,
    lower: float,
    upper: float,
    reference: float,
    step: float,
    steps: Array,
) -> None:
    """:func:`mean_step` of one device at conductances (n,), into ``steps`` (n,)."""
    for k in range(conductance.size):
        steps[k] = mean_step(law, shape, conductance[k], up, lower, upper, reference, step)


@kernel
def pulse_steps(
    law: int,
    shape: Array,
    conductance: Array,
    chosen: Integers,
    direction: Integers,
    factor: Array,
    lower: Array,
    upper: Array,
    reference: float,
    step_up: Array,
    step_down: Array,
    relative_noise: float,
    additive_noise: float,
    normals: Array,
    limited: Integers,
    energy: Array,
    fixed_energy: float,
    heating: Array,
) -> None:
    """Pulses of cells with a step law, in place; ``normals`` (pulses, n) are standard normal.

    A step is factor · (m + √((relative_noise m)² + (additive_noise s)²) ξ) with m the mean step
    and s its scale; it ends at the device's bounds, which ``limited`` counts.
    """
    for p in range(normals.shape[0]):
        for k in range(chosen.size):
            i = chosen[k]
            up = direction[k] > 0
            scale = step_up[i] if up else step_down[i]
            before = conductance[i]
            mean = mean_step(law, shape, before, up, lower[i], upper[i], reference, scale)
            noise = np.sqrt((relative_noise * mean) ** 2 + (additive_noise * scale) ** 2)
            after = before + direction[k] * factor[k] * (mean + noise * normals[p, k])
            energy[i] += fixed_energy + heating[k] * before
            conductance[i] = min(max(after, lower[i]), upper[i])
            limited[i] += after < lower[i] or after > upper[i]


@kernel
def interval(knots: Array, value: float) -> Any:
    """Index i of the interval of ascending ``knots`` that holds value, and where in it (0 to 1).

    A value outside the knots is at their nearest end.
    """
    i = min(max(int(np.searchsorted(knots, value)) - 1, 0), knots.size - 2)
    where = (value - knots[i]) / (knots[i + 1] - knots[i])
    return i, min(max(where, 0.0), 1.0)


@kernel
def pulse_tables(
    knots: Array,
    probabilities: Array,
    increase: Array,
    decrease: Array,
    table: Integers,
    conductance: Array,
    chosen: Integers,
    direction: Integers,
    uniforms: Array,
    limited: Integers,
    energy: Array,
    fixed_energy: float,
) -> None:
    """Pulses of cells with tables of quantiles, in place; ``uniforms`` (pulses, n) in [0, 1).

    ``knots`` (tables, k) in S, ``probabilities`` (q,), ``increase`` and ``decrease``
    (tables, q, k) in S, ``table`` the table of every cell. Bilinear between the entries; a cell
    ends at the ends of its table, which ``limited`` counts.
    """
    for p in range(uniforms.shape[0]):
        for k in range(chosen.size):
            i = chosen[k]
            t = table[i]
            before = conductance[i]
            row, v = interval(probabilities, uniforms[p, k])
            col, w = interval(knots[t], before)
            quantiles = increase[t] if direction[k] > 0 else decrease[t]
            low = (1.0 - w) * quantiles[row, col] + w * quantiles[row, col + 1]
            high = (1.0 - w) * quantiles[row + 1, col] + w * quantiles[row + 1, col + 1]
            after = before + (1.0 - v) * low + v * high
            energy[i] += fixed_energy
            first, last = knots[t, 0], knots[t, -1]
            conductance[i] = min(max(after, first), last)
            limited[i] += after < first or after > last
