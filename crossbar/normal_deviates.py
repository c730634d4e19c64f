"""Standard normal deviates of single precision, many at a time.

Read noise takes one deviate per partial sum and read, which is most of what a simulated
matrix–vector product costs. Two parts make them, both without rejections, so that the compiler
computes many at a time:

- uniform words by the counter-based generator Threefry2x32-20 (Salmon et al., SC11, article 16
  (2011)): words are a function of their number and of 96 bits that the caller's generator gives
  for every array of deviates;
- Box and Muller's transform (Ann. Math. Stat. 29, 610 (1958)), √(−2 ln u)·(cos, sin)(2πv), with
  polynomials in place of library functions.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.polynomial import Chebyshev, Polynomial
from numpy.random import Generator
from numpy.typing import DTypeLike, NDArray

from zerohm._arrays import Array
from zerohm._jit import kernel

_F = np.float32
_BLOCK = 2048  # deviates, an even number


def normal_deviates(rng: Generator, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """Independent standard normal deviates, float32 or float64; those of float32 reach to ±6.7.

    Examples
    --------
    >>> normal_deviates(np.random.default_rng(0), (2, 3), np.float32).dtype
    dtype('float32')
    """
    if np.dtype(dtype) != np.float32:
        return rng.standard_normal(shape)
    size = math.prod(shape)
    deviates = np.empty(-(-size // 2) * 2, dtype=_F)
    fill(np.frombuffer(rng.bytes(12), dtype=np.uint32), deviates)
    return deviates[:size].reshape(shape)


def _polynomial(
    function: Callable[[Array], Array], start: float, end: float, degree: int
) -> tuple[np.float32, ...]:
    """Coefficients, lowest first, of the interpolation at Chebyshev's nodes."""
    found = Chebyshev.interpolate(function, degree, domain=[start, end])
    return tuple(found.convert(kind=Polynomial).coef.astype(_F))


# ln(1 + t)/t; sin(π√q/2)/√q and cos(π√q/2); errors of 1e-7 and below, as float32 itself.
_L0, _L1, _L2, _L3, _L4, _L5, _L6, _L7, _L8, _L9 = _polynomial(
    lambda t: np.log1p(t) / t, math.sqrt(0.5) - 1, math.sqrt(2.0) - 1, 9
)
_S0, _S1, _S2, _S3, _S4 = _polynomial(
    lambda q: np.sin(np.pi / 2 * np.sqrt(q)) / np.sqrt(q), 0, 1, 4
)
_C0, _C1, _C2, _C3, _C4, _C5 = _polynomial(lambda q: np.cos(np.pi / 2 * np.sqrt(q)), 0, 1, 5)
_ONE, _HALF, _TWO, _LN2 = _F(1), _F(0.5), _F(2), _F(math.log(2.0))
_ROOT_HALF = np.int32(np.array(math.sqrt(0.5), dtype=_F).view(np.int32))


_PARITY, _WIDTH = np.uint32(0x1BD11BDA), np.uint32(32)


@kernel
def _rotated(word: np.uint32, by: np.uint32) -> np.uint32:
    return np.uint32(np.uint32(word << by) | np.uint32(word >> np.uint32(_WIDTH - by)))


@kernel
def threefry(seed: NDArray[np.uint32], start: int, words: NDArray[np.uint32]) -> None:
    """Uniform words (2n,): the first results of Threefry2x32-20, then the second ones.

    seed (3,): the key and the upper half of the counter, whose lower half counts from ``start``.
    """
    n = words.size // 2
    for i in range(n):
        # Three keys and two groups of four rotations take turns.
        first, second = seed[0], seed[1]
        third = np.uint32(_PARITY ^ first ^ second)
        a, b, c, d = np.uint32(13), np.uint32(15), np.uint32(26), np.uint32(6)
        e, f, g, h = np.uint32(17), np.uint32(29), np.uint32(16), np.uint32(24)
        x, y = np.uint32(np.uint32(start + i) + first), np.uint32(seed[2] + second)
        for group in range(1, 6):
            x = np.uint32(x + y)
            y = _rotated(y, a) ^ x
            x = np.uint32(x + y)
            y = _rotated(y, b) ^ x
            x = np.uint32(x + y)
            y = _rotated(y, c) ^ x
            x = np.uint32(x + y)
            y = _rotated(y, d) ^ x
            x, y = np.uint32(x + second), np.uint32(y + third + np.uint32(group))
            a, b, c, d, e, f, g, h = e, f, g, h, a, b, c, d
            first, second, third = second, third, first
        words[i], words[n + i] = x, y


@kernel
def box_muller(words: NDArray[np.uint32], deviates: Array) -> None:
    """Deviates (2n,) float32 from uniform words (2n,): radii from the first half, angles from
    the second one, two bits of which are signs."""
    half = words.size // 2
    uniform, exponent = np.empty(half, np.float32), np.empty(half, np.float32)
    for i in range(half):
        uniform[i] = (_F(words[i]) + _HALF) * _F(2.0**-32)
    # u = 2^exponent · (1 + t) with 1 + t from √½ to √2: the bits of a float32 say both.
    bits = uniform.view(np.int32)
    for i in range(half):
        power = (bits[i] - _ROOT_HALF) >> np.int32(23)
        exponent[i] = _F(power)
        bits[i] -= np.int32(power << np.int32(23))
    for i in range(half):
        t = uniform[i] - _ONE
        p = _L5 + t * (_L6 + t * (_L7 + t * (_L8 + t * _L9)))
        p = _L0 + t * (_L1 + t * (_L2 + t * (_L3 + t * (_L4 + t * p))))
        radius = np.sqrt(max(-_TWO * (exponent[i] * _LN2 + t * p), _F(0)))
        word = words[half + i]
        a = (_F(np.int32(word & np.uint32(0x3FFFFFFF))) + _HALF) * _F(2.0**-30)
        q = a * a
        sine = a * (_S0 + q * (_S1 + q * (_S2 + q * (_S3 + q * _S4))))
        cosine = _C0 + q * (_C1 + q * (_C2 + q * (_C3 + q * (_C4 + q * _C5))))
        first = _ONE - _TWO * _F(np.int32(word >> np.uint32(31)))
        second = _ONE - _TWO * _F(np.int32((word >> np.uint32(30)) & np.uint32(1)))
        deviates[i] = first * radius * cosine
        deviates[half + i] = second * radius * sine


@kernel
def fill(seed: NDArray[np.uint32], deviates: Array) -> None:
    """Deviates (2n,) float32 of one seed (3,), in blocks that stay in the fastest cache."""
    words = np.empty(_BLOCK, dtype=np.uint32)
    for start in range(0, deviates.size, _BLOCK):
        block = deviates[start : start + _BLOCK]
        threefry(seed, start // 2, words[: block.size])
        box_muller(words[: block.size], block)
