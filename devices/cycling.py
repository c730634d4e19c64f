"""Switching of cells from cycle to cycle: correlated thresholds and resistances, and pulses.

    T. Hennen et al., "A high throughput generative vector autoregression model for stochastic
    synapses", Front. Neurosci. 16, 941753 (2022), doi:10.3389/fnins.2022.941753.
    T. Hennen et al., "Synaptogen: a cross-domain generative device model for large-scale
    neuromorphic circuit design", IEEE Trans. Electron Devices (2024),
    doi:10.1109/TED.2024.3427616.

A switching cycle has four features: the high resistance R_H, the voltage U_set at which the cell
sets, the low resistance R_L, and the voltage U_reset at which it begins to reset. A vector
autoregression makes standard normal numbers that are correlated among the features and over the
cycles; a polynomial per feature gives them their distribution, and every cell has its own offset
and scale of each feature, drawn once from a Gaussian mixture.
"""

from functools import cached_property
from typing import Annotated, Literal, NamedTuple, Self

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike
from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass
from scipy.linalg import solve_discrete_lyapunov

from zerohm._arrays import Array
from zerohm._config import STRICT
from zerohm._errors import InputError

from .cycling_kernels import (
    HIGH,
    Integers,
    apply_pulses,
    count_resets,
    count_switches,
    first_features,
    mixed_currents,
)
from .electronic import ElectronicNoise
from .iv import StateMixing

Vector = tuple[float, ...]
Matrix = tuple[Vector, ...]

_BLOCK = 1 << 14  # cells whose random numbers are drawn at once: they fit into the cache


@dataclass(frozen=True, kw_only=True, config=STRICT)
class VectorAutoregression:
    """Stationary Gaussian process xₙ = Σₗ Aₗ xₙ₋ₗ + B εₙ, l = 1…p, of vectors with k components.

    Parameters
    ----------
    coefficients : (p, k, k), A₁ to A_p.
    innovation : (k, k), B, lower triangular with a positive diagonal; ε is standard normal.

    Raises
    ------
    ValueError : wrong shapes, or coefficients under which the process grows without bound: the
        spectral radius of the companion matrix is not below 1.

    Examples
    --------
    >>> process = VectorAutoregression(coefficients=(((0.8,),),), innovation=((0.6,),))
    >>> process.autocovariance(2).ravel().round(12)
    array([1.  , 0.8 , 0.64])
    """

    coefficients: Annotated[tuple[Matrix, ...], Field(min_length=1)]
    innovation: Matrix

    @model_validator(mode="after")
    def _stationary(self) -> Self:
        factor = _array(self.innovation, "innovation", 2)
        shape = _array(self.coefficients, "coefficients", 3).shape
        if shape[1:] != factor.shape or factor.shape[0] != factor.shape[1]:
            raise ValueError(
                f"coefficients {shape} and innovation {factor.shape}: they must be (p, k, k) "
                "and (k, k)"
            )
        if np.any(np.triu(factor, 1)) or not np.all(np.diag(factor) > 0):
            raise ValueError("innovation must be lower triangular with a positive diagonal")
        if not self.spectral_radius < 1:
            raise ValueError(
                f"not stationary: the companion matrix has the spectral radius "
                f"{self.spectral_radius:.4g}, it must be below 1"
            )
        return self

    @property
    def order(self) -> int:
        """p, the number of past vectors that the next one depends on."""
        return len(self.coefficients)

    @property
    def dimension(self) -> int:
        """k, the number of components."""
        return len(self.innovation)

    @cached_property
    def companion(self) -> Array:
        """(p k, p k): the matrix that takes (xₙ₋₁, …, xₙ₋ₚ) to the mean of (xₙ, …, xₙ₋ₚ₊₁)."""
        order, size = self.order, self.dimension
        matrix = np.eye(order * size, k=-size)
        matrix[:size] = np.concatenate(np.asarray(self.coefficients), axis=1)
        return matrix

    @cached_property
    def spectral_radius(self) -> float:
        """Largest magnitude of an eigenvalue of the companion matrix."""
        return float(np.abs(np.linalg.eigvals(self.companion)).max())

    @cached_property
    def covariance(self) -> Array:
        """(p k, p k): stationary covariance of (xₙ, xₙ₋₁, …, xₙ₋ₚ₊₁)."""
        size = self.dimension
        factor = np.asarray(self.innovation)
        driven = np.zeros_like(self.companion)
        driven[:size, :size] = factor @ factor.T
        return np.asarray(solve_discrete_lyapunov(self.companion, driven))

    def autocovariance(self, lags: int) -> Array:
        """(lags + 1, k, k): E[xₙ xₙ₋ₕᵀ] for h = 0 … lags."""
        order, size = self.order, self.dimension
        found = list(self.covariance[:size].reshape(size, order, size).swapaxes(0, 1))
        past = np.asarray(self.coefficients)
        while len(found) <= lags:
            found.append(np.einsum("lij,ljk->ik", past, np.asarray(found[: -order - 1 : -1])))
        return np.asarray(found[: lags + 1])

    @cached_property
    def ring_coefficients(self) -> Array:
        """(p, p k, k): for each slot with the newest vector, what multiplies a ring of vectors."""
        order, size = self.order, self.dimension
        past = np.asarray(self.coefficients)
        newest, slot = np.ogrid[:order, :order]
        rings = past[(newest - slot) % order]  # (newest, slot, to, from)
        return np.ascontiguousarray(rings.swapaxes(2, 3).reshape(order, order * size, size))

    def start(self, cells: int, rng: Generator) -> Array:
        """(cells, p k): rings of the last p vectors of stationary processes, newest in slot 0."""
        order, size = self.order, self.dimension
        by_lag = np.linalg.cholesky(self.covariance).reshape(order, size, -1)
        factor = by_lag[-np.arange(order) % order].reshape(order * size, -1)
        rings = np.empty((cells, order * size))
        for first in range(0, cells, _BLOCK):
            block = rings[first : first + _BLOCK]
            block[:] = rng.standard_normal(block.shape) @ factor.T
        return rings

    def simulate(self, steps: int, cells: int, rng: Generator) -> Array:
        """(steps, cells, k): the process from its stationary law on, cells independent."""
        rings = self.start(cells, rng)
        factor = np.asarray(self.innovation)
        found = np.empty((steps, cells, self.dimension))
        for step in range(steps):
            newest, oldest = step % self.order, (step + 1) % self.order
            driven = rng.standard_normal((cells, self.dimension)) @ factor.T
            found[step] = rings @ self.ring_coefficients[newest] + driven
            rings[:, oldest * self.dimension : (oldest + 1) * self.dimension] = found[step]
        return found


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Cycling:
    """How the features of a cell vary from cycle to cycle and from device to device.

    With the vector x of the autoregression, the polynomial Γᵢ of feature i and the offset μᵢ and
    scale σᵢ of the cell, yᵢ = μᵢ + σᵢ Γᵢ(xᵢ) are log₁₀ R_H, U_set, R_L and U_reset.

    A cell in its low resistance that sees U > U_reset begins to reset. Up to U_max the current
    at the highest voltage so far follows I(U) = a |U_max − U|^η + c, with a and c such that it
    starts on the curve of R_L at U_reset and ends on that of the next R_H at U_max; beyond, the
    cell is in R_H. Any U ≤ U_set brings it to R_L.

    Parameters
    ----------
    iv : the I–V curves of all states.
    reset_voltage_max : U_max, V.
    reset_exponent : η.
    process : of the four standard normal features.
    quantile_maps : (4, n), coefficients of Γᵢ from the constant up.
    weights : (K,), of the components of the Gaussian mixture; their sum is 1.
    means : (K, 8), of μ and σ for log₁₀(R_H/Ω), U_set/V, R_L/Ω, U_reset/V.
    factors : (K, 8, 8), lower Cholesky factors of the covariances of the same.

    Raises
    ------
    ValueError : wrong shapes, or weights that are negative or do not add up to 1.
    """

    iv: StateMixing
    reset_voltage_max: Annotated[float, Field(gt=0)]
    reset_exponent: Annotated[float, Field(gt=0)]
    process: VectorAutoregression
    quantile_maps: Matrix
    weights: Annotated[Vector, Field(min_length=1)]
    means: Matrix
    factors: tuple[Matrix, ...]
    kind: Literal["vector autoregression"] = "vector autoregression"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        components = len(self.weights)
        if (
            self.process.dimension != 4
            or _array(self.quantile_maps, "quantile_maps", 2).shape[0] != 4
        ):
            raise ValueError("process and quantile_maps must be of four features")
        if _array(self.means, "means", 2).shape != (components, 8):
            raise ValueError(f"means must be ({components}, 8), one row per weight")
        if _array(self.factors, "factors", 3).shape != (components, 8, 8):
            raise ValueError(f"factors must be ({components}, 8, 8), one matrix per weight")
        if min(self.weights) < 0 or abs(sum(self.weights) - 1) > 1e-6:
            raise ValueError("weights must not be negative and add up to 1")
        return self

    def draw_devices(self, cells: int, rng: Generator) -> Array:
        """(cells, 8): offsets μ and scales σ of the features of so many devices."""
        share = np.asarray(self.weights) / sum(self.weights)
        component = rng.choice(len(share), size=cells, p=share)
        normals = rng.standard_normal((cells, 8))
        factors, means = np.asarray(self.factors), np.asarray(self.means)
        for number in range(len(share)):
            own = component == number
            normals[own] = means[number] + normals[own] @ factors[number].T
        return normals


class Features(NamedTuple):
    """What the cells do in their present cycle; arrays of the shape of the cells."""

    high_resistance: Array  # Ω at the read voltage, reached by the last full RESET
    set_voltage: Array  # V, negative
    low_resistance: Array  # Ω at the read voltage, after SET
    reset_voltage: Array  # V, where the RESET from the low resistance begins


class CycledCells:
    """A population of cells that switch: every one has its history and its own statistics.

    Cells start in the high resistance, their processes in the stationary law.

    Parameters
    ----------
    cycling : the statistics.
    shape : of the population.
    rng : draws the devices and their histories.

    Examples
    --------
    >>> from zerohm import devices
    >>> rng = np.random.default_rng(0)
    >>> cells = CycledCells(devices.preset("Hennen2022").cycling, (4, 8), rng)
    >>> before = cells.conductance.mean()
    >>> cells.apply(-2.0, rng)  # SET
    >>> bool(cells.conductance.mean() > 10 * before)
    True
    """

    def __init__(self, cycling: Cycling, shape: tuple[int, ...], rng: Generator) -> None:
        self.cycling = cycling
        self.shape = shape
        count = int(np.prod(shape))
        if count == 0:
            raise InputError(f"shape={shape} has no cells")
        self._curves = np.asarray([cycling.iv.low_resistance, cycling.iv.high_resistance])
        # One row per cell: what one cell needs lies together, since cells cycle one by one.
        self._devices = cycling.draw_devices(count, rng)
        self._rings = cycling.process.start(count, rng)
        self._cycles = np.zeros(count, dtype=np.int64)
        self._phase = np.full(count, HIGH)
        maps = np.asarray(cycling.quantile_maps)
        self._features = first_features(self._rings, self._devices, maps)
        self._conductance = 1.0 / self._features[:, 0]
        self._threshold = np.full(count, np.inf)  # V; nothing resets a cell in R_H
        self._transition = np.zeros((count, 2))  # a, c of the present RESET

    @property
    def conductance(self) -> Array:
        """Conductances in S at the read voltage of the I–V curves."""
        return self._conductance.reshape(self.shape).copy()

    @property
    def cycles(self) -> Integers:
        """How many cycles each cell has begun: a cycle begins where a RESET begins."""
        return self._cycles.reshape(self.shape).copy()

    @property
    def features(self) -> Features:
        """The present cycle of every cell."""
        return Features(*(column.reshape(self.shape).copy() for column in self._features.T))

    def apply(self, voltage: ArrayLike, rng: Generator) -> None:
        """One pulse on every cell: SET, RESET, partial RESET or nothing.

        Parameters
        ----------
        voltage : V, one for all cells or one per cell; 0 leaves a cell alone.
        rng : source of the features of the cycles that begin.

        Raises
        ------
        InputError : a voltage that is not finite, or a shape that does not fit.
        """
        self._pulse(self._voltages(voltage), rng)

    def cycle(self, rng: Generator) -> Features:
        """One full SET and one full RESET of every cell; the features of the cycle that begins."""
        for voltage in (-np.inf, np.inf):
            self._pulse(np.full(self._cycles.shape, voltage), rng)
        return self.features

    def current(self, voltage: ArrayLike) -> Array:
        """Currents in A at a voltage in V (one, or one per cell), without noise.

        Raises
        ------
        InputError : a voltage outside of the range of the I–V curves or one that would switch
            a cell: such a voltage is a pulse.
        """
        volts = self._voltages(voltage)
        self.cycling.iv.check(np.zeros(()), volts)
        switched = count_switches(volts, self._phase, self._threshold, self._features)
        if switched:
            raise InputError(
                f"reading with up to {np.abs(volts).max():g} V would switch {switched} cells: "
                "use apply for pulses"
            )
        # States beyond the range of the law occur in the tails; they follow its formula.
        currents = mixed_currents(self._conductance, volts, self._curves, *self.cycling.iv.limits)
        return np.asarray(currents.reshape(self.shape))

    def read(self, voltage: ArrayLike, noise: ElectronicNoise, rng: Generator) -> Array:
        """Currents in A with thermal and shot noise; voltages and errors as for current."""
        clean = self.current(voltage)
        volts = np.broadcast_to(np.asarray(voltage, dtype=np.float64), self.shape)
        at_zero = self.cycling.iv.powers(self._conductance)[0].reshape(self.shape)
        chord = np.divide(clean, volts, out=at_zero, where=volts != 0.0)
        return clean + noise.std(np.abs(chord), volts) * rng.standard_normal(self.shape)

    def _voltages(self, voltage: ArrayLike) -> Array:
        volts = np.asarray(voltage, dtype=np.float64)
        if volts.shape not in ((), self.shape):
            raise InputError(f"voltage has shape {volts.shape}, it must be () or {self.shape}")
        if not np.all(np.isfinite(volts)):
            raise InputError("voltage must be finite")
        return np.ascontiguousarray(np.broadcast_to(volts, self.shape)).ravel()

    def _pulse(self, voltage: Array, rng: Generator) -> None:
        cycling, process = self.cycling, self.cycling.process
        low, high = cycling.iv.limits
        innovation, maps = np.asarray(process.innovation), np.asarray(cycling.quantile_maps)
        for first in range(0, voltage.size, _BLOCK):
            block = slice(first, first + _BLOCK)
            resets = count_resets(voltage[block], self._phase[block], self._threshold[block])
            apply_pulses(
                voltage[block],
                rng.standard_normal((resets, 4)),
                self._phase[block],
                self._conductance[block],
                self._threshold[block],
                self._transition[block],
                self._features[block],
                self._devices[block],
                self._rings[block],
                self._cycles[block],
                process.ring_coefficients,
                innovation,
                maps,
                self._curves,
                low,
                high,
                cycling.reset_voltage_max,
                cycling.reset_exponent,
            )


def _array(values: tuple[object, ...], name: str, axes: int) -> Array:
    """Nested tuples as an array with so many axes."""
    try:
        found = np.asarray(values, dtype=np.float64)
    except ValueError:
        raise ValueError(f"{name} has rows of different lengths") from None
    if found.ndim != axes or found.size == 0:
        raise ValueError(f"{name} must have {axes} axes, none of them empty")
    return found
