"""What makes a converter's codes: its circuit, or the linearity that a data sheet states.

Everything here is in steps (least significant bits) of a signed converter of b bits with largest
code M = 2^(b−1) − 1: code n covers n − ½ to n + ½, so an ideal converter changes its code at the
2M transition levels −M + ½ … M − ½, and has saturated beyond ±(M + ½).
"""

from dataclasses import dataclass as plain_dataclass
from typing import Annotated, Protocol

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike
from pydantic import Field
from pydantic.dataclasses import dataclass

from zerohm._arrays import Array
from zerohm._config import STRICT
from zerohm._errors import InputError
from zerohm._memory import require_memory

from .kernels import count_transitions, decide_bit, quantize

CapacitorSpread = Annotated[float, Field(ge=0, le=0.1)]
"""Relative standard deviation; up to 0.1 a Gaussian capacitance stays positive."""

Steps = Annotated[float, Field(ge=0)]


class Quantizer(Protocol):
    """The fabricated part of converters that turns signals into codes."""

    def codes(self, steps: Array, rng: Generator | None) -> tuple[Array, int]:
        """Codes of signals (copies, batch, columns) in steps, and how many had saturated."""
        ...

    @property
    def transitions(self) -> Array:
        """Transition levels in steps, (copies, columns or 1 shared by all, 2M)."""
        ...


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SAR:
    """Successive-approximation converter with a binary-weighted capacitor array.

    Bit k switches 2^k unit capacitors of an array of 2^b units (one never switched), so that
    the comparator sees the charge-redistribution levels 2^b · Σ_k d_k C_k / Σ C (McCreary & Gray,
    IEEE J. Solid-State Circuits 10, 371 (1975)). Units vary independently: C_k has the variance
    2^k σ². The step at mid-scale, where all capacitors change, then varies by σ·√(2^b − 1) steps,
    the largest of all (Saberi et al., IEEE Trans. Circuits Syst. I 58, 1736 (2011)).

    Parameters
    ----------
    capacitor_std : standard deviation σ of a unit capacitor relative to its mean, at most 0.1.
    comparator_offset_std : steps, of the comparators of an array.
    comparator_noise : steps rms, drawn anew at every bit decision.

    Raises
    ------
    ValueError : a negative spread, or capacitor_std over 0.1.

    Examples
    --------
    >>> from zerohm.crossbar.converters import ADC
    >>> adc = ADC(bits=8, circuit=SAR(capacitor_std=0.01)).fabricate(4, rng=1)
    >>> adc.transitions.shape
    (4, 254)
    """

    capacitor_std: CapacitorSpread = 0.0
    comparator_offset_std: Steps = 0.0
    comparator_noise: Steps = 0.0

    def fabricate(self, bits: int, copies: int, columns: int, rng: Generator) -> "CapacitorArrays":
        """Capacitors and comparators of (copies, columns) converters."""
        shape = (copies, columns)
        offset = self.comparator_offset_std * rng.standard_normal(shape)
        units = np.append(2.0 ** np.arange(bits), 1.0)
        deviation = rng.standard_normal((*shape, bits + 1))
        capacitors = units + self.capacitor_std * np.sqrt(units) * deviation
        weights = 2.0**bits * (capacitors[..., :-1] / capacitors.sum(axis=-1, keepdims=True))
        return CapacitorArrays(weights, offset[:, None, :], self.comparator_noise)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Ramp:
    """Ramp converter: one ramp for all columns, a counter and a comparator in each.

    The ramp switches 2^b equal capacitors one after another, so that it stands at
    2^b · Σ_{k≤n} C_k / Σ C after n clock periods; a column's code is the count at which the ramp
    passes its signal. It is monotonic whatever the mismatch, and its ends are fixed: level n
    varies by σ·√(n(1 − n/2^b)) steps (the bridge of a random walk), at most σ·√(2^b)/2. Column
    converters that share one ramp: Spear et al., IEEE J. Explor. Solid-State Comput. Devices
    Circuits 9, 176 (2023).

    Parameters
    ----------
    capacitor_std : standard deviation σ of a unit capacitor relative to its mean, at most 0.1.
    comparator_offset_std : steps, of the comparators of an array.

    Raises
    ------
    ValueError : a negative spread, or capacitor_std over 0.1.

    Examples
    --------
    >>> from zerohm.crossbar.converters import ADC
    >>> adc = ADC(bits=8, circuit=Ramp(capacitor_std=0.01)).fabricate(4, rng=1)
    >>> adc.transitions.shape
    (1, 254)
    """

    capacitor_std: CapacitorSpread = 0.0
    comparator_offset_std: Steps = 0.0

    def fabricate(self, bits: int, copies: int, columns: int, rng: Generator) -> "TransitionTable":
        """The ramp of every copy's array, and the comparators of its columns."""
        require_levels(bits, copies)
        offset = self.comparator_offset_std * rng.standard_normal((copies, columns))
        units = 1.0 + self.capacitor_std * rng.standard_normal((copies, 2**bits))
        passed = np.cumsum(units, axis=-1)
        levels = 2.0**bits * (passed[:, :-1] / passed[:, -1:]) - 2.0 ** (bits - 1) - 0.5
        levels = levels[:, None, :]
        return TransitionTable(
            levels[..., 1:],
            offset[:, None, :],
            lowest=levels[..., :1],
            highest=levels[..., -1:] + 1.0,
        )


@plain_dataclass(frozen=True, eq=False)
class Rounding:
    """Ideal codes: the nearest, ties to even."""

    largest_code: int

    def codes(self, steps: Array, rng: Generator | None) -> tuple[Array, int]:
        return quantize(steps, 1.0, float(self.largest_code))

    @property
    def transitions(self) -> Array:
        return ideal_transitions(self.largest_code)[None, None, :]


@plain_dataclass(frozen=True, eq=False)
class TransitionTable:
    """Converters given by their transition levels: a comparator counts those below the signal.

    ``table`` is (copies, columns or 1, 2M), ascending; ``offset`` (copies, 1, columns) is added
    to the signal; beyond ``lowest`` and ``highest`` (copies, 1, columns or 1) a converter has
    saturated.
    """

    table: Array
    offset: Array
    lowest: Array
    highest: Array

    def codes(self, steps: Array, rng: Generator | None) -> tuple[Array, int]:
        seen = steps + self.offset.astype(steps.dtype)
        saturated = int(np.count_nonzero((seen < self.lowest) | (seen > self.highest)))
        return count_transitions(seen, self.table, self.table.shape[-1] / 2), saturated

    @property
    def transitions(self) -> Array:
        return self.table


@plain_dataclass(frozen=True, eq=False)
class CapacitorArrays:
    """Binary-weighted arrays: ``weights`` (copies, columns, bits) in steps, lightest first."""

    weights: Array
    offset: Array
    comparator_noise: float

    @property
    def _floor(self) -> float:
        """Level of the empty register, half a step below code −2^(bits−1)."""
        return -float(1 << (self.weights.shape[-1] - 1)) - 0.5

    def codes(self, steps: Array, rng: Generator | None) -> tuple[Array, int]:
        held = steps + self.offset.astype(steps.dtype)
        level = np.full(held.shape, self._floor)
        codes = np.full(held.shape, self._floor + 0.5, dtype=steps.dtype)
        for bit in reversed(range(self.weights.shape[-1])):
            seen = held
            if self.comparator_noise > 0:
                normal = require_generator(rng).standard_normal(held.shape, dtype=held.dtype)
                seen = held + held.dtype.type(self.comparator_noise) * normal
            decide_bit(seen, np.ascontiguousarray(self.weights[..., bit]), bit, level, codes)
        # Of the 2^bits codes of the register the lowest has no positive counterpart.
        np.maximum(codes, self._floor + 1.5, out=codes)
        return codes, self._saturated(held)

    def _saturated(self, held: Array) -> int:
        lowest = self._floor + self.weights[:, None, :, 0]
        highest = self._floor + self.weights.sum(axis=-1)[:, None, :] + 1.0
        return int(np.count_nonzero((held < lowest) | (held > highest)))

    @property
    def transitions(self) -> Array:
        bits = self.weights.shape[-1]
        require_levels(bits, self.weights.size // bits)
        registers = np.arange(2, 2**bits)
        switched = (registers[:, None] >> np.arange(bits)) & 1
        levels: Array = self.weights @ switched.T + self._floor
        return levels


def ideal_transitions(largest_code: int) -> Array:
    """The 2M levels −M + ½ … M − ½ at which an ideal converter changes its code."""
    levels: Array = np.arange(2 * largest_code) + (0.5 - largest_code)
    return levels


def static_deviation(
    points: int, converters: int, *, inl: float, dnl: float, rng: Generator
) -> Array:
    """Integral nonlinearity of converters at equidistant levels, (converters, points) in steps.

    Measured from the line through the first and the last level (end-point fit of IEEE Std
    1241-2010), so both ends are zero. With x from −1 to 1, the sum of

    - a smooth bow inl · [ξ₂ (1 − x²) + ξ₃ (3√3/2) (x − x³)] of the two lowest orders that vanish
      at the ends, each with a peak of standard deviation ``inl``;
    - the bridge of a random walk of independent steps of standard deviation ``dnl``, which is
      what a string of equal elements makes: standard deviation dnl · √(n(N − n)/N) at step n
      of N.
    """
    require_levels(np.log2(points), converters)
    x = np.linspace(-1.0, 1.0, points)
    shapes = np.stack([1.0 - x**2, 1.5 * np.sqrt(3.0) * (x - x**3)])
    bow = rng.standard_normal((converters, 2)) @ shapes
    walk = np.zeros((converters, points))
    np.cumsum(rng.standard_normal((converters, points - 1)), axis=-1, out=walk[:, 1:])
    walk -= walk[:, -1:] * np.linspace(0.0, 1.0, points)
    deviation: Array = inl * bow + dnl * walk
    return deviation


def nonlinearity(levels: ArrayLike) -> tuple[Array, Array]:
    """Integral and differential nonlinearity of a converter's levels, in its own steps.

    Parameters
    ----------
    levels : (…, n) levels of a DAC or transition levels of an ADC, in any unit, n ≥ 2.

    Returns
    -------
    INL (…, n) from the line through the first and the last level, and DNL (…, n − 1), the excess
    of each step over the mean one (IEEE Std 1241-2010, end-point fit).

    Raises
    ------
    InputError : fewer than two levels, or a first and a last one that are equal.

    Examples
    --------
    >>> inl, dnl = nonlinearity([0.0, 1.5, 2.0])
    >>> inl, dnl
    (array([0. , 0.5, 0. ]), array([ 0.5, -0.5]))
    """
    given: Array = np.asarray(levels, dtype=np.float64)
    if given.ndim == 0 or given.shape[-1] < 2 or np.any(given[..., 0] == given[..., -1]):
        raise InputError("levels must be two or more, the first and the last one different")
    first, last = given[..., :1], given[..., -1:]
    steps = (given - first) * ((given.shape[-1] - 1) / (last - first))
    return steps - np.arange(given.shape[-1]), np.diff(steps, axis=-1) - 1.0


def require_levels(bits: float, converters: int) -> None:
    """Refuse tables of levels that would not fit into memory (with the arrays to make them)."""
    require_memory(
        3 * 8.0 * converters * 2.0**bits,
        f"a table of levels of {converters} converters of {round(bits)} bits",
        "use fewer bits or converters",
    )


def require_generator(rng: Generator | None) -> Generator:
    """The generator, or an error that says why one is needed."""
    if rng is None:
        raise InputError("this converter is noisy: convert needs a generator (rng)")
    return rng
