"""Arithmetic of reading a crossbar, on plain arrays; every kernel works in one pass over memory.

A converter is given by its step (least significant bit, in the unit of the signal) and its
largest code; it rounds to the nearest step (mid-tread: zero is a code) and saturates at
±largest code. Rounding is to even at ties, as IEEE arithmetic does.
"""

import numpy as np

from zerohm._arrays import Array
from zerohm._jit import kernel


@kernel
def quantize(signal: Array, step: float, largest_code: float) -> tuple[Array, int]:
    """Signal (any unit, shape and layout) on the converter's grid; values beyond it counted.

    NaN counts as beyond.
    """
    converted = np.empty(signal.shape, signal.dtype)
    flat, out = signal.ravel(), converted.ravel()
    inverse = flat.dtype.type(1.0 / step)
    lsb, top = flat.dtype.type(step), flat.dtype.type(largest_code)
    half = flat.dtype.type(0.5)
    saturated = 0
    for i in range(flat.size):
        code = flat[i] * inverse
        if not abs(code) <= top + half:
            saturated += 1
        out[i] = min(max(np.rint(code), -top), top) * lsb
    return converted, saturated


@kernel
def add_noise(current: Array, variance: Array, normal: Array) -> None:
    """current (A) += √variance (A²) · standard normal deviates, in place; contiguous arrays."""
    i_flat, v_flat, n_flat = current.ravel(), variance.ravel(), normal.ravel()
    for i in range(i_flat.size):
        i_flat[i] += np.sqrt(v_flat[i]) * n_flat[i]


@kernel
def add_vector_noise(current: Array, std: Array, normal: Array) -> None:
    """current (..., batch, cols) (A) += std (..., batch) (A) of its vector · normal, in place.

    Contiguous arrays; ``std`` may lack leading axes of ``current``, which then share it.
    """
    cols = current.shape[-1]
    i_rows, n_rows, spread = current.reshape(-1, cols), normal.reshape(-1, cols), std.ravel()
    for row in range(len(i_rows)):
        given, deviates, s = i_rows[row], n_rows[row], spread[row % spread.size]
        for j in range(cols):
            given[j] += s * deviates[j]


@kernel
def count_transitions(steps: Array, transitions: Array, largest_code: float) -> Array:
    """Codes of signals by transition levels, all in steps (least significant bits).

    steps : (copies, batch, columns); transitions : (copies, columns or 1 for all of them,
    2 · largest_code), ascending. A code is the number of levels below the signal, minus
    ``largest_code``; a signal on a level takes the even one of its two codes.
    """
    copies, batch, columns = steps.shape
    tables, levels = transitions.shape[1:]
    codes = np.empty(steps.shape, steps.dtype)
    for c in range(copies):
        for b in range(batch):
            for j in range(columns):
                table, signal = transitions[c, j % tables], steps[c, b, j]
                # The levels lie near the ideal ones: search from where an ideal converter ends.
                low = int(min(max(np.rint(signal) + largest_code, 0.0), float(levels)))
                while low < levels and table[low] < signal:
                    low += 1
                while low > 0 and table[low - 1] >= signal:
                    low -= 1
                code = low - largest_code
                if low < levels and table[low] == signal and code % 2 != 0:
                    code += 1
                codes[c, b, j] = code
    return codes


@kernel
def decide_bit(seen: Array, weight: Array, bit: int, level: Array, codes: Array) -> None:
    """One decision of a successive-approximation register, for every conversion, in place.

    seen : what the comparator sees at this decision, in steps, (copies, batch, columns);
    weight : (copies, columns), steps that the bit's capacitor adds; level : what the capacitors
    switched so far make, in steps; codes : the code that goes with it. A signal on the level of
    the trial takes the even one of its two codes: the upper one for all but the last bit.
    """
    copies, batch, columns = seen.shape
    value = 2.0**bit
    for c in range(copies):
        for b in range(batch):
            for j in range(columns):
                trial = level[c, b, j] + weight[c, j]
                signal = seen[c, b, j]
                kept = (signal > trial) | ((signal == trial) & (bit > 0))
                # Selected, not branched to: half of all decisions would be predicted wrongly.
                level[c, b, j] = trial if kept else level[c, b, j]
                codes[c, b, j] += value if kept else 0.0
