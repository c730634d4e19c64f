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
    """Signal (any unit, shape and layout) on the converter's grid; values beyond it counted."""
    converted = np.empty(signal.shape, signal.dtype)
    flat, out = signal.ravel(), converted.ravel()
    inverse = flat.dtype.type(1.0 / step)
    lsb, top = flat.dtype.type(step), flat.dtype.type(largest_code)
    half = flat.dtype.type(0.5)
    saturated = 0
    for i in range(flat.size):
        code = flat[i] * inverse
        if abs(code) > top + half:
            saturated += 1
        out[i] = min(max(np.rint(code), -top), top) * lsb
    return converted, saturated


@kernel
def add_noise(current: Array, variance: Array, normal: Array) -> None:
    """current (A) += √variance (A²) · standard normal deviates, in place; contiguous arrays."""
    i_flat, v_flat, n_flat = current.ravel(), variance.ravel(), normal.ravel()
    for i in range(i_flat.size):
        i_flat[i] += np.sqrt(v_flat[i]) * n_flat[i]
