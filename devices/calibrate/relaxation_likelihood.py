"""Likelihood of deviations after programming, by inversion of their characteristic function.

A read at age t minus the first one is X + E, where X is the relaxation after
u = log₁₀(1 + t / t₀) decades and E the noise of the two reads. Their laws have simple
characteristic functions, and the density of the sum is one fast Fourier transform:

    E exp(i k X) = exp(u ψ(k)),   ψ(k) = i k (m − ρ √(C/ℓ)) + c(i k ρ √(C/ℓ) − k² C (1 − ρ²) / 2),

with c(a) the cumulant function per decade of the clock S of
:class:`~zerohm.devices.Relaxation`: (1 − √(1 − 2ℓa)) / ℓ if it is inverse Gaussian,
−ln(1 − ℓa) / ℓ if it is a gamma process. The white noise of two reads is Gaussian with variance
2σ². 1/f noise is as the cell has it, pinned at the first read: Gaussian with variance
2 [R(0) − R(t)] for the autocovariance R, times a log-normal factor from cell to cell.

Parameters, in this order: m (S), C (S²), ρ, ℓ (decades), σ (S), t₀ (s).
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from zerohm._arrays import Array

from .estimate import FLAT, INTERVAL, SINGULAR, Estimates, EstimationError, Parameter
from .result import MICRO

Clock = Literal["inverse Gaussian", "gamma"]
NEGLIGIBLE = 0.01
"""How far below its maximum, as extrapolated, a log-likelihood may stop."""
CLOCKS: tuple[Clock, ...] = get_args(Clock)
Transform = NDArray[np.complex128]

_LN10 = np.log(10.0)
_SPACING = 0.35
"""Distance of the points of a density in standard deviations of the narrowest noise expected."""
_POINTS = 2**20
"""Most points of a density: a few thousand are usual."""
_ROOM = 2.0
"""Half the length of the grid over the largest deviation: what lies beyond three of these folds
back onto the data."""
_LEAST = 1e-13
"""Smallest density that is told from zero, relative to the largest one: rounding errors."""
_SPREAD_NODES = 9
_REACH = 12.0
"""How far the search may go from where it starts, in logarithms."""
_HESSIAN_STEP = 1e-5


def cumulant(argument: Transform, tail: float, clock: Clock) -> tuple[Transform, Transform]:
    """c(a) = ln E exp(a S) per decade, for complex a (1/decades), and dc/da; ``tail`` is ℓ."""
    if clock == "gamma":
        left = 1.0 - tail * argument
        return np.asarray(-np.log(left) / tail), np.asarray(1.0 / left)
    root = np.sqrt(1.0 - 2.0 * tail * argument)
    return np.asarray(2.0 * argument / (1.0 + root)), np.asarray(1.0 / root)


def exponent(frequency: Array, law: Array, clock: Clock) -> tuple[Transform, Transform]:
    """ψ(k), per decade, at k in 1/S, and (4, frequencies) its derivatives by the law's m, C, ρ, ℓ.

    ℓ scales a clock: ℓ c(a) is a function of ℓ a only, so that dc/dℓ = (a dc/da − c) / ℓ.
    """
    mean, variance, asymmetry, tail = law
    wave, square = 1j * frequency, -0.5 * frequency**2
    rest = 1.0 - asymmetry**2
    lean = asymmetry * np.sqrt(variance / tail)
    jumps = lean * wave + variance * rest * square
    clocked, slope = cumulant(jumps, tail, clock)
    tilt = wave * (slope - 1.0)  # dψ/dlean
    derivatives = (
        wave,
        tilt * lean / (2.0 * variance) + slope * rest * square,
        tilt * np.sqrt(variance / tail) - 2.0 * slope * variance * asymmetry * square,
        -tilt * lean / (2.0 * tail) + (jumps * slope - clocked) / tail,
    )
    return np.asarray(wave * (mean - lean) + clocked), np.stack(derivatives)


@dataclass(frozen=True, kw_only=True)
class Delays:
    """Reads of all cells of one state at nearly the same age.

    ``rows`` are the reads' positions among those of the state, ``flicker`` is the mean variance
    (S²) of the 1/f noise of two reads so far apart.
    """

    seconds: float
    rows: NDArray[np.intp]
    flicker: float


class StateLikelihood:
    """Log-likelihood of every read of one state, with its derivatives.

    Parameters
    ----------
    deviations : (reads,), S.
    delays : groups of these reads.
    parameters : m, C, ρ, ℓ, σ, t₀ with the scales on which they are searched.
    clock : law of the clock.
    flicker_spread : standard deviation of the logarithm of the 1/f noise's variance over cells.
    narrowest : S, smallest standard deviation of the noise of two reads that has to be resolved.
    """

    def __init__(
        self,
        deviations: Array,
        delays: tuple[Delays, ...],
        parameters: tuple[Parameter, ...],
        clock: Clock,
        flicker_spread: float,
        narrowest: float,
    ) -> None:
        self.deviations, self.delays = deviations, delays
        self.parameters, self.clock = parameters, clock
        spacing = _SPACING * narrowest
        largest = float(np.abs(deviations).max())
        length = 2.0 * _ROOM * largest + 20.0 * narrowest
        if length > _POINTS * spacing:
            raise EstimationError(
                f"a deviation of {largest:.3g} S is too far outside the noise of {narrowest:.3g} S "
                "for a common law: leave such cells out"
            )
        count = 2 ** int(np.ceil(np.log2(length / spacing)))
        self.points = (np.arange(count) - count // 2) * spacing
        self.frequency = 2.0 * np.pi * np.fft.rfftfreq(count, spacing)
        self._places, self._weights = _cubic(deviations, self.points)
        nodes, weights = np.polynomial.hermite_e.hermegauss(_SPREAD_NODES)
        self._factors = np.exp(flicker_spread * (nodes - flicker_spread / 2.0))
        self._factor_weights = weights / weights.sum()

    def values(self, coordinates: Array) -> Array:
        """Parameters in their units."""
        pairs = zip(self.parameters, coordinates, strict=True)
        return np.array([float(given.value(at)) for given, at in pairs])

    def __call__(self, coordinates: Array) -> tuple[Array, Array]:
        """(reads,) log-likelihoods and (reads, parameters) derivatives by the coordinates."""
        values = self.values(coordinates)
        law, read_noise, onset = values[:4], values[4], values[5]
        psi, derivatives = exponent(self.frequency, law, self.clock)
        pairs = zip(self.parameters, coordinates, derivatives, strict=False)
        slopes = [given.slope(float(at)) * slope for given, at, slope in pairs]
        noise = read_noise**2 * self.frequency**2
        logs = np.empty(len(self.deviations))
        scores = np.zeros((len(self.deviations), len(values)))
        for delay in self.delays:
            decades = np.log1p(delay.seconds / onset) / _LN10
            later = -delay.seconds / (onset + delay.seconds) / _LN10  # d decades / d ln onset
            transform = np.exp(decades * psi - noise) * self._flicker(delay.flicker)
            spectra = [transform, *(decades * slope * transform for slope in slopes)]
            spectra += [-2.0 * noise * transform, later * psi * transform]
            found = self._at(np.array(spectra), delay.rows)
            density = np.maximum(found[0], _LEAST * found[0].max())
            logs[delay.rows] = np.log(density)
            scores[delay.rows] = (found[1:] / density).T
        return logs, scores

    def uniforms(self, coordinates: Array) -> Array:
        """(reads,), probability of a deviation below each one under the law."""
        values = self.values(coordinates)
        psi, _ = exponent(self.frequency, values[:4], self.clock)
        found = np.empty(len(self.deviations))
        for delay in self.delays:
            mass = self.density(delay, values, psi) * (self.points[1] - self.points[0])
            total = np.cumsum(mass) - 0.5 * mass
            found[delay.rows] = np.interp(self.deviations[delay.rows], self.points, total)
        return np.clip(found, 1e-9, 1.0 - 1e-9)

    def density(self, delay: Delays, values: Array, psi: Transform) -> Array:
        """Density (1/S) at ``points``."""
        decades = np.log1p(delay.seconds / values[5]) / _LN10
        noise = values[4] ** 2 * self.frequency**2
        return self._invert(np.exp(decades * psi - noise) * self._flicker(delay.flicker))

    def _flicker(self, variance: float) -> Array:
        """Characteristic function of the 1/f noise of two reads."""
        if variance == 0.0:
            return np.ones(1)
        exponents = -0.5 * variance * np.outer(self._factors, self.frequency**2)
        return np.asarray(self._factor_weights @ np.exp(exponents))

    def _invert(self, transform: Transform) -> Array:
        spacing = self.points[1] - self.points[0]
        density = np.fft.irfft(np.conj(transform), len(self.points), axis=-1) / spacing
        return np.asarray(np.fft.fftshift(density, axes=-1))

    def _at(self, transforms: Transform, rows: NDArray[np.intp]) -> Array:
        """Inverse transforms (functions, reads) at the deviations of these reads."""
        near = self._invert(transforms)[:, self._places[rows]]
        return np.asarray(np.einsum("fnk,nk->fn", near, self._weights[rows]))


def _cubic(where: Array, points: Array) -> tuple[NDArray[np.intp], Array]:
    """Places (n, 4) and weights (n, 4) of cubic Lagrange interpolation on an even grid."""
    position = (where - points[0]) / (points[1] - points[0])
    before = np.clip(np.floor(position).astype(np.intp), 1, len(points) - 3)
    x = position - before
    weights = (
        -x * (x - 1) * (x - 2) / 6,
        (x + 1) * (x - 1) * (x - 2) / 2,
        -(x + 1) * x * (x - 2) / 2,
        (x + 1) * x * (x - 1) / 6,
    )
    return before[:, None] + np.arange(-1, 3), np.stack(weights, axis=1)


@dataclass(frozen=True, kw_only=True)
class State:
    """Reads of the cells with similar first reads, and their likelihood."""

    conductance: float
    cells: NDArray[np.intp]
    likelihood: StateLikelihood


def _split(point: Array, states: int) -> list[Array]:
    """Coordinates of every state: its own five, and the shared onset."""
    return [np.append(own, point[-1]) for own in point[:-1].reshape(states, -1)]


def climb(states: list[State], *, fixed: bool) -> list[Array]:
    """Coordinates of every state where the composite likelihood has its maximum."""
    begin = np.concatenate(
        [[float(p.search(p.start)) for p in state.likelihood.parameters[:-1]] for state in states]
        + [[float(states[0].likelihood.parameters[-1].search(_onset(states)))]]
    )

    def inside(point: Array) -> Array:
        return np.clip(point, begin - _REACH, begin + _REACH)

    def minus(point: Array) -> tuple[float, Array]:
        total, slope = 0.0, np.zeros_like(point)
        for at, (state, own) in enumerate(
            zip(states, _split(inside(point), len(states)), strict=True)
        ):
            with np.errstate(all="ignore"):
                logs, scores = state.likelihood(own)
            total -= float(logs.sum())
            slope[5 * at : 5 * at + 5] -= scores[:, :5].sum(axis=0)
            slope[-1] -= 0.0 if fixed else scores[:, 5].sum()
        if not np.isfinite(total):
            return 1e300, np.zeros_like(point)
        return total, np.where(point == inside(point), slope, 0.0)

    curvature = np.full(begin.size, 1.0)
    for at, (state, own) in enumerate(zip(states, _split(begin, len(states)), strict=True)):
        squares = (state.likelihood(own)[1] ** 2).sum(axis=0)
        curvature[5 * at : 5 * at + 5] = squares[:5]
        curvature[-1] += squares[5]
    found = minimize(
        minus,
        begin,
        jac=True,
        method="BFGS",
        options={"hess_inv0": np.diag(1.0 / curvature), "gtol": 1e-3, "maxiter": 500},
    )
    missing = 0.5 * float(found.jac @ found.hess_inv @ found.jac)
    if not found.success and missing > NEGLIGIBLE:
        raise EstimationError(f"no maximum of the composite likelihood: {found.message}")
    return _split(inside(found.x), len(states))


def _onset(states: list[State]) -> float:
    return states[0].likelihood.parameters[-1].start


def _information(state: State, at: Array) -> tuple[Array, Array]:
    """Minus the Hessian of one state, and its scores summed over the reads of each cell."""
    here = state.likelihood(at)[1]
    moves = _HESSIAN_STEP * np.eye(len(at))
    hessian = np.array([(state.likelihood(at + move)[1] - here).sum(axis=0) for move in moves])
    hessian /= _HESSIAN_STEP
    _, number = np.unique(state.cells, return_inverse=True)
    columns = here.T
    scores = np.stack([np.bincount(number, weights=column) for column in columns], axis=1)
    return np.asarray(-0.5 * (hessian + hessian.T)), np.asarray(scores, dtype=np.float64)


def estimates(states: list[State], top: list[Array], *, fixed: bool) -> Estimates:
    """All parameters with the Godambe covariance; the onset last, unless it was given."""
    size = 5 * len(states) + 1
    information, variability = np.zeros((size, size)), np.zeros((size, size))
    for at, (state, own) in enumerate(zip(states, top, strict=True)):
        places = np.append(np.arange(5 * at, 5 * at + 5), size - 1)
        hessian, scores = _information(state, own)
        groups = len(scores)
        information[np.ix_(places, places)] += hessian
        variability[np.ix_(places, places)] += scores.T @ scores * groups / max(groups - 1, 1)
    kept = size - 1 if fixed else size
    given = [p for state in states for p in state.likelihood.parameters[:-1]]
    given = [*given, states[0].likelihood.parameters[-1]][:kept]
    names = [_name(p, states, at) for at, p in enumerate(given)]
    point = np.concatenate([own[:-1] for own in top] + [top[0][-1:]])[:kept]
    flags = _flags(information[:kept, :kept], given, names, point)
    sure = [at for at, name in enumerate(names) if name not in flags]
    covariance = np.full((kept, kept), np.nan)
    inverse = np.linalg.inv(information[np.ix_(sure, sure)])
    covariance[np.ix_(sure, sure)] = inverse @ variability[np.ix_(sure, sure)] @ inverse
    reach = INTERVAL * np.sqrt(np.diag(covariance))
    slopes = np.array([p.slope(float(x)) for p, x in zip(given, point, strict=True)])

    def values(coordinates: Array) -> Array:
        return np.array([float(p.value(x)) for p, x in zip(given, coordinates, strict=True)])

    total = sum(state.likelihood(own)[0].sum() for state, own in zip(states, top, strict=True))
    return Estimates(
        names=tuple(names),
        units=tuple(p.unit for p in given),
        values=values(point),
        lower=values(point - reach),
        upper=values(point + reach),
        covariance=covariance * np.outer(slopes, slopes),
        log_likelihood=float(total),
        points=sum(len(state.cells) for state in states),
        flags=flags,
    )


def _name(parameter: Parameter, states: list[State], at: int) -> str:
    """Name of a parameter; with several states, with the conductance of its own."""
    if len(states) == 1 or parameter.name == "onset_s":
        return parameter.name
    return f"{parameter.name} ({states[at // 5].conductance * MICRO:.4g} µS)"


def _flags(
    information: Array, given: list[Parameter], names: list[str], point: Array
) -> dict[str, str]:
    """Parameters along which the composite likelihood is flat."""
    flags = {}
    for at, parameter in enumerate(given):
        least = 0.0 if parameter.scale == "linear" else FLAT**-2.0
        if not information[at, at] > least:
            flags[names[at]] = (
                "the data do not determine it: the likelihood is flat around "
                f"{float(parameter.value(point[at])):.3g} {parameter.unit}"
            )
    kept = [at for at, name in enumerate(names) if name not in flags]
    scale = 1.0 / np.sqrt(np.diag(information)[kept])
    values, vectors = np.linalg.eigh(information[np.ix_(kept, kept)] * np.outer(scale, scale))
    for vector in vectors.T[values < SINGULAR]:
        for place in np.flatnonzero(np.abs(vector) > 0.3):
            flags[names[kept[place]]] = "the data determine it only in a combination with others"
    return flags
