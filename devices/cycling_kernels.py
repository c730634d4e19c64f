"""Kernels of switching cells: one row per cell, voltages in V, conductances in S, currents in A."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerohm._arrays import Array
from zerohm._jit import kernel

Integers = NDArray[np.signedinteger[Any]]

HIGH, LOW, BETWEEN = np.int8(0), np.int8(1), np.int8(2)
"""Phases of a cell: fully reset, set, partially reset."""

LN10 = math.log(10.0)


@kernel
def advance_ring(ring: Array, newest: int, table: Array, factor: Array, normals: Array) -> None:
    """Next vector of one autoregression of four components, over the oldest one of its ring.

    ring (p 4,); newest: slot of the newest vector; table (p 4, 4): the coefficients for this
    slot; factor (4, 4), lower triangular; normals (4,), standard normal.
    """
    a = factor[0, 0] * normals[0]
    b = factor[1, 0] * normals[0] + factor[1, 1] * normals[1]
    c = factor[2, 0] * normals[0] + factor[2, 1] * normals[1] + factor[2, 2] * normals[2]
    d = factor[3, 0] * normals[0] + factor[3, 1] * normals[1] + factor[3, 2] * normals[2]
    d += factor[3, 3] * normals[3]
    for j in range(ring.size):  # four sums side by side: one vector instruction
        value = ring[j]
        a += table[j, 0] * value
        b += table[j, 1] * value
        c += table[j, 2] * value
        d += table[j, 3] * value
    oldest = 4 * newest + 4
    if oldest == ring.size:
        oldest = 0
    ring[oldest] = a
    ring[oldest + 1] = b
    ring[oldest + 2] = c
    ring[oldest + 3] = d


@kernel
def map_features(vector: Array, device: Array, maps: Array, features: Array) -> None:
    """Features (4,) of a cycle from standard normal numbers (4,) and the cell's own (8,)."""
    for i in range(4):
        mapped = 0.0
        for k in range(maps.shape[1] - 1, -1, -1):
            mapped = mapped * vector[i] + maps[i, k]
        features[i] = device[i] + device[4 + i] * mapped
    features[0] = math.exp(LN10 * features[0])


@kernel
def first_features(rings: Array, devices: Array, maps: Array) -> Array:
    """Features (cells, 4) of the vectors in slot 0."""
    features = np.empty((rings.shape[0], 4))
    for cell in range(rings.shape[0]):
        map_features(rings[cell, :4], devices[cell], maps, features[cell])
    return features


@kernel
def count_resets(voltage: Array, phase: Integers, threshold: Array) -> int:
    """Number of cells whose RESET from the low resistance begins at these voltages."""
    count = 0
    for cell in range(voltage.size):
        if phase[cell] == LOW and voltage[cell] > threshold[cell]:
            count += 1
    return count


@kernel
def count_switches(voltage: Array, phase: Integers, threshold: Array, features: Array) -> int:
    """Number of cells that these voltages would change."""
    count = 0
    for cell in range(voltage.size):
        sets = phase[cell] != LOW and voltage[cell] <= features[cell, 1]
        if sets or (phase[cell] != HIGH and voltage[cell] > threshold[cell]):
            count += 1
    return count


@kernel
def polynomial_current(coefficients: Array, voltage: float) -> float:
    """Σₖ coefficients[k] Vᵏ⁺¹."""
    total = 0.0
    for k in range(coefficients.size - 1, -1, -1):
        total = (total + coefficients[k]) * voltage
    return total


@kernel
def mixed_current(
    conductance: float, voltage: float, curves: Array, low: float, high: float
) -> float:
    """Current of a state between the limiting curves, whose conductances are low and high."""
    first = polynomial_current(curves[0], voltage)
    second = polynomial_current(curves[1], voltage)
    return first + (low - conductance) / (low - high) * (second - first)


@kernel
def mixed_currents(
    conductance: Array, voltage: Array, curves: Array, low: float, high: float
) -> Array:
    """:func:`mixed_current` of every cell."""
    currents = np.empty_like(conductance)
    for cell in range(conductance.size):
        currents[cell] = mixed_current(conductance[cell], voltage[cell], curves, low, high)
    return currents


@kernel
def apply_pulses(
    voltage: Array,
    normals: Array,
    phase: Integers,
    conductance: Array,
    threshold: Array,
    transition: Array,
    features: Array,
    devices: Array,
    rings: Array,
    cycles: Integers,
    coefficients: Array,
    factor: Array,
    maps: Array,
    curves: Array,
    low: float,
    high: float,
    voltage_max: float,
    exponent: float,
) -> None:
    """One pulse on every cell, in place; the arguments are the attributes of ``CycledCells``.

    normals (n, 4): standard normal, a row for each RESET that begins. threshold: the voltage
    above which a RESET begins or goes on. transition (cells, 2): a (A/V^exponent) and c (A).
    """
    begun = 0
    order = rings.shape[1] // 4
    for cell in range(voltage.size):
        pulse = voltage[cell]
        if phase[cell] != LOW and pulse <= features[cell, 1]:
            phase[cell] = LOW
            conductance[cell] = 1.0 / features[cell, 2]
            threshold[cell] = features[cell, 3]
        elif phase[cell] != HIGH and pulse > threshold[cell]:
            if phase[cell] == LOW:
                slot = cycles[cell] % order
                advance_ring(rings[cell], slot, coefficients[slot], factor, normals[begun])
                begun += 1
                cycles[cell] += 1
                slot = 4 * (cycles[cell] % order)
                map_features(rings[cell, slot : slot + 4], devices[cell], maps, features[cell])
                if pulse < voltage_max:
                    start = mixed_current(conductance[cell], threshold[cell], curves, low, high)
                    end = mixed_current(1.0 / features[cell, 0], voltage_max, curves, low, high)
                    span = voltage_max - threshold[cell]
                    transition[cell, 0] = (start - end) / span**exponent
                    transition[cell, 1] = end
            if pulse < voltage_max:
                rest = transition[cell, 0] * (voltage_max - pulse) ** exponent
                current = rest + transition[cell, 1]
                first = polynomial_current(curves[0], pulse)
                second = polynomial_current(curves[1], pulse)
                mixing = (current - first) / (second - first)
                conductance[cell] = low - mixing * (low - high)
                phase[cell] = BETWEEN
                threshold[cell] = pulse
            else:
                conductance[cell] = 1.0 / features[cell, 0]
                phase[cell] = HIGH
                threshold[cell] = np.inf
