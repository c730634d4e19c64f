"""How far a conductance deviates from its nominal value, as a function of that value.

Every class is one law for the standard deviation σ(G) with its distribution. Conductances and
standard deviations are in S. ``std`` and ``std_slope`` may return a scalar where the law does
not depend on G; whatever they return broadcasts against ``conductance``.
"""

import math
from dataclasses import replace
from typing import Annotated, Literal, Protocol, Self

import numpy as np
from numpy.random import Generator
from pydantic import Field
from pydantic.dataclasses import dataclass

from zerohm._arrays import Array
from zerohm._config import STRICT

Density = Literal["gaussian", "uniform"]


class Noise(Protocol):
    """What a device model needs of a noise law."""

    @property
    def density(self) -> Density:
        """Shape of the distribution."""

    def std(self, conductance: Array) -> Array:
        """Standard deviation σ(G), S."""

    def std_slope(self, conductance: Array) -> Array:
        """dσ/dG, dimensionless."""

    def scaled(self, factor: float) -> Self:
        """The same law with ``factor`` times the standard deviation."""


def sample(noise: Noise, conductance: Array, shape: tuple[int, ...], rng: Generator) -> Array:
    """Independent deviations in S, one per entry of ``shape``, in the dtype of ``conductance``.

    ``shape`` ends with the shape of ``conductance``: several cells may share a nominal value.
    """
    if noise.density == "uniform":
        unit = rng.random(shape, dtype=conductance.dtype.type)
        unit -= 0.5
        unit *= math.sqrt(12.0)
    else:
        unit = rng.standard_normal(shape, dtype=conductance.dtype.type)
    unit *= noise.std(conductance)
    return unit


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ConstantNoise:
    """Gaussian, the same in every state: σ(G) = ``sigma``.

    Examples
    --------
    >>> float(ConstantNoise(sigma=1e-6).std(np.array([20e-6])))
    1e-06
    """

    sigma: Annotated[float, Field(ge=0)]  # S
    kind: Literal["constant"] = "constant"

    @property
    def density(self) -> Density:
        return "gaussian"

    def std(self, conductance: Array) -> Array:
        return np.asarray(self.sigma, dtype=conductance.dtype)

    def std_slope(self, conductance: Array) -> Array:
        return np.zeros((), dtype=conductance.dtype)

    def scaled(self, factor: float) -> Self:
        return replace(self, sigma=factor * self.sigma)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PolynomialNoise:
    """Gaussian, σ(G) = ``scale`` · Σₖ ``coefficients[k]`` · (G / ``reference``)ᵏ.

    Published fits keep their own coefficients: a fit in µS has ``scale = reference = 1e-6``;
    a fit in x = G/40 µS with σ in µS has ``scale = 1e-6``, ``reference = 40e-6``.

    Examples
    --------
    >>> fit = PolynomialNoise(coefficients=(1.0, 0.5), scale=1e-6, reference=1e-6)
    >>> fit.std(np.array([10e-6]))
    array([6.e-06])
    """

    coefficients: Annotated[tuple[float, ...], Field(min_length=1)]  # from the constant term up
    scale: Annotated[float, Field(gt=0)]  # S
    reference: Annotated[float, Field(gt=0)]  # S
    kind: Literal["polynomial"] = "polynomial"

    @property
    def density(self) -> Density:
        return "gaussian"

    def std(self, conductance: Array) -> Array:
        return self.scale * _horner(self.coefficients, conductance / self.reference)

    def std_slope(self, conductance: Array) -> Array:
        derivative = tuple(k * c for k, c in enumerate(self.coefficients))[1:] or (0.0,)
        return self.scale / self.reference * _horner(derivative, conductance / self.reference)

    def scaled(self, factor: float) -> Self:
        return replace(self, scale=factor * self.scale)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AcceptanceBand:
    """Uniform in ±``relative``·G, what write–verify leaves when it stops inside its band.

    σ(G) = a·G/√3. Falcone 2025 measures 0.107 % for a = 0.2 % and 1.129 % for a = 2 %, where
    this law says 0.115 % and 1.155 %.

    Examples
    --------
    >>> AcceptanceBand(relative=0.02).std(np.array([50e-6])).round(9)
    array([5.77e-07])
    """

    relative: Annotated[float, Field(ge=0, lt=1)]
    kind: Literal["acceptance band"] = "acceptance band"

    @property
    def density(self) -> Density:
        return "uniform"

    def std(self, conductance: Array) -> Array:
        return self.relative / math.sqrt(3.0) * conductance

    def std_slope(self, conductance: Array) -> Array:
        return np.asarray(self.relative / math.sqrt(3.0), dtype=conductance.dtype)

    def scaled(self, factor: float) -> Self:
        return replace(self, relative=factor * self.relative)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LogarithmicNoise:
    """Gaussian read noise of Falcone 2025, accumulated over an observation time t.

    σ(G, t) = ``amplitude`` · log₁₀(G / ``reference``) · √ln((t + t_r) / 2t_r), and zero for
    t ≤ t_r, t = 0 included, where nothing has accumulated yet. The law holds for
    G ≥ ``reference`` only; :class:`~zerohm.devices.Cell` refuses a window below it.

    Examples
    --------
    >>> law = LogarithmicNoise(
    ...     amplitude=0.02773e-6, reference=1e-6, time_s=0.0, reading_time_s=1e-6
    ... )
    >>> law.std(np.array([50e-6]))
    array([0.])
    """

    amplitude: Annotated[float, Field(ge=0)]  # S
    reference: Annotated[float, Field(gt=0)]  # S
    time_s: Annotated[float, Field(ge=0)]
    reading_time_s: Annotated[float, Field(gt=0)]
    kind: Literal["logarithmic"] = "logarithmic"

    @property
    def density(self) -> Density:
        return "gaussian"

    @property
    def _amplitude_at_time(self) -> float:
        ratio = (self.time_s + self.reading_time_s) / (2.0 * self.reading_time_s)
        return self.amplitude * math.sqrt(max(math.log(ratio), 0.0))

    def std(self, conductance: Array) -> Array:
        decades: Array = np.log10(conductance / self.reference)
        return self._amplitude_at_time * decades

    def std_slope(self, conductance: Array) -> Array:
        return self._amplitude_at_time / math.log(10.0) / conductance

    def scaled(self, factor: float) -> Self:
        return replace(self, amplitude=factor * self.amplitude)


NoiseLaw = Annotated[
    ConstantNoise | PolynomialNoise | AcceptanceBand | LogarithmicNoise,
    Field(discriminator="kind"),
]
"""Every noise law, told apart by its ``kind`` in a device card."""


def _horner(coefficients: tuple[float, ...], x: Array) -> Array:
    """Σₖ coefficients[k]·xᵏ in the dtype of x."""
    value = np.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        value *= x
        value += coefficient
    return value
