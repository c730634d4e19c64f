"""Kernels on single rows, short enough for the compiler to vectorise; no unit is implied."""

from zerohm._arrays import Array
from zerohm._jit import kernel


@kernel
def add(factor: float, x: Array, y: Array) -> None:
    """y += factor x."""
    for j in range(x.size):
        y[j] += factor * x[j]


@kernel
def turn(x: Array, factor: float, y: Array) -> None:
    """y = x + factor y."""
    for j in range(x.size):
        y[j] = x[j] + factor * y[j]


@kernel
def accumulate(x: Array, y: Array, sums: Array) -> None:
    """sums += x y: one sum per column, since a single one would be a chain of additions."""
    for j in range(x.size):
        sums[j] += x[j] * y[j]
