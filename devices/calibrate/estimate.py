"""Maximum likelihood: from a log-likelihood to estimates with honest error bars.

A parameter is searched, and its 95 % interval computed, on the scale on which its estimate is
closest to normal: logarithmic for one that is positive, logistic for one between two bounds.
Covariances come from the observed information (the curvature of the log-likelihood at its
maximum), or from the sandwich H⁻¹ (Σ s sᵀ) H⁻¹ with the scores s of independent clusters, which
holds where the observations of one cluster depend on each other (White, Econometrica 50, 1
(1982); Liang & Zeger, Biometrika 73, 13 (1986)).

The maximum is found by Newton's method with derivatives by central differences. These are taken
along the principal axes of the last Hessian in steps of a hundredth of a standard error, so that
neither units, nor the number of observations, nor correlations matter. The search ends when the
next step would raise the log-likelihood by less than 1e-8 (1e-4 standard errors).

A direction in which the log-likelihood is flat has no error bar: its parameters are named in
:attr:`Estimates.flags`, and their rows of the covariance are NaN. Nothing is pseudo-inverted.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag
from scipy.special import expit, logit
from scipy.stats import norm

from zerohm._arrays import Array

from .quantities import rounded

INTERVAL = float(norm.ppf(0.975))
"""Standard errors on either side of an estimate that make a 95 % interval."""

Scale = Literal["linear", "logarithmic", "bounded"]

CURVATURE = 1e-4
"""Change of the log-likelihood, there and back, that a step of the differences aims at."""
CONVERGED, ROUNDING = 1e-8, 1e-3
"""Rise of the log-likelihood that ends the search; what may remain where rounding hides it."""
ITERATIONS, HALVINGS = 100, 40
LONGEST = 2.0
"""Longest Newton step of a logarithmic or logistic coordinate: a factor of 7."""
FLAT, FLAT_LINEAR = 10.0, 1e5
"""Standard error of a coordinate, logarithmic or logistic and linear, that determines nothing."""
SINGULAR = 1e-8
"""Eigenvalue of the correlations of the information below which it is singular."""


class EstimationError(RuntimeError):
    """The maximum of a likelihood was not found."""


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One parameter of a likelihood.

    Parameters
    ----------
    name, unit : as they are reported; ``unit`` is "1" for a pure number.
    start : where the search begins, in ``unit``.
    scale : "linear"; "logarithmic" for a positive parameter; "bounded" for one between
        ``lower`` and ``upper``.
    size : for a linear parameter that starts at 0: the size of a change that matters.
    """

    name: str
    unit: str
    start: float
    scale: Scale = "linear"
    size: float = 0.0
    lower: float = 0.0
    upper: float = 1.0

    def search(self, value: Array | float) -> Array:
        """The coordinate in which the search runs; its natural step is of order 1."""
        if self.scale == "logarithmic":
            return np.asarray(np.log(value))
        if self.scale == "bounded":
            return np.asarray(logit((np.asarray(value) - self.lower) / (self.upper - self.lower)))
        return np.asarray(value) / self._size

    def value(self, coordinate: Array | float) -> Array:
        """Inverse of :meth:`search`."""
        if self.scale == "logarithmic":
            return np.asarray(np.exp(coordinate))
        if self.scale == "bounded":
            return np.asarray(self.lower + (self.upper - self.lower) * expit(coordinate))
        return np.asarray(coordinate) * self._size

    def slope(self, coordinate: float) -> float:
        """Change of the value per change of the coordinate."""
        if self.scale == "logarithmic":
            return float(np.exp(coordinate))
        if self.scale == "bounded":
            share = float(expit(coordinate))
            return (self.upper - self.lower) * share * (1.0 - share)
        return self._size

    def end(self, coordinate: float) -> str:
        """Which end of its range the search ran to, in words; "" for none."""
        ran = coordinate - float(self.search(self.start))
        if self.scale == "linear" or abs(ran) < 2.0 * LONGEST:
            return ""
        upper = np.inf if self.scale == "logarithmic" else self.upper
        return f", on its way to {upper if ran > 0 else self.lower:g}"

    @property
    def _size(self) -> float:
        return self.size or abs(self.start) or 1.0


@dataclass(frozen=True, kw_only=True)
class Estimates:
    """Estimated parameters with their covariance and 95 % intervals.

    Parameters
    ----------
    names, units : of the parameters.
    values, lower, upper : (parameters,), estimates and the ends of their 95 % intervals.
    covariance : (parameters, parameters), in products of the units; NaN where flagged.
    log_likelihood : natural logarithm, at the maximum.
    points : number of observations in it.
    flags : parameter -> why it has no error bar.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    values: Array
    lower: Array
    upper: Array
    covariance: Array
    log_likelihood: float
    points: int
    flags: Mapping[str, str] = field(default_factory=dict)

    @property
    def standard_errors(self) -> Array:
        """(parameters,)."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def bayes_information(self) -> float:
        """Schwarz' criterion k ln n − 2 ln L; of two models, the smaller one is preferred."""
        return float(len(self.names) * np.log(self.points) - 2.0 * self.log_likelihood)

    def __getitem__(self, name: str) -> float:
        """The estimate of one parameter."""
        return float(self.values[self.names.index(name)])


def maximise(
    log_likelihood: Callable[[Array], Array | float],
    parameters: Sequence[Parameter],
    *,
    points: int,
    clusters: NDArray[Any] | None = None,
) -> Estimates:
    """Maximum-likelihood estimates.

    Parameters
    ----------
    log_likelihood : of the values (parameters,); the sum, or with ``clusters`` the contribution
        of every observation (observations,). Minus infinity or NaN where it is not defined.
    parameters : what is estimated, and from where the search starts.
    points : number of observations.
    clusters : (observations,), labels of the groups that are independent of each other: gives the
        sandwich covariance, which takes many more clusters than parameters. By default the
        observed information is inverted.

    Raises
    ------
    EstimationError : the search did not reach a maximum, or there are too few clusters.

    Examples
    --------
    >>> sample = np.array([1.0, 2.0, 4.0])
    >>> def exponential(values):
    ...     return float(np.sum(np.log(values[0]) - values[0] * sample))
    >>> rate = Parameter(name="rate", unit="1/s", start=1.0, scale="logarithmic")
    >>> found = maximise(exponential, [rate], points=3)
    >>> print(f"{found['rate']:.3f} ± {found.standard_errors[0]:.3f}")
    0.429 ± 0.247
    """
    surface = _Surface(log_likelihood, tuple(parameters))
    top, information = _climb(surface)
    flags = _flags(surface, top, information)
    determined = [at for at, given in enumerate(parameters) if given.name not in flags]
    block = np.ix_(determined, determined)
    covariance = np.full(information.shape, np.nan)
    inverse = np.linalg.inv(information[block])
    if clusters is not None:
        scores = _cluster_scores(surface, top, clusters)[:, determined]
        groups = len(scores)
        if groups <= len(determined):
            raise EstimationError(f"{groups} clusters give no errors of {len(determined)} values")
        inverse = inverse @ (scores.T @ scores) @ inverse * groups / (groups - 1)
    covariance[block] = inverse
    return _estimates(surface, top, covariance, points, flags)


def join(*blocks: Estimates) -> Estimates:
    """Independent estimates as one: the covariance is block-diagonal, log-likelihoods add.

    ``points`` is that of all observations if every block has its own.
    """
    return Estimates(
        names=tuple(name for block in blocks for name in block.names),
        units=tuple(unit for block in blocks for unit in block.units),
        values=np.concatenate([block.values for block in blocks]),
        lower=np.concatenate([block.lower for block in blocks]),
        upper=np.concatenate([block.upper for block in blocks]),
        covariance=block_diag(*(block.covariance for block in blocks)),
        log_likelihood=sum(block.log_likelihood for block in blocks),
        points=sum(block.points for block in blocks),
        flags={name: why for block in blocks for name, why in block.flags.items()},
    )


def transform(
    estimates: Estimates, matrix: Array, names: Sequence[str], units: Sequence[str]
) -> Estimates:
    """Linear combinations ``matrix`` @ values of parameters; flagged where one of them is.

    Examples
    --------
    >>> means = Estimates(names=("a", "b"), units=("S", "S"), values=np.array([1.0, 3.0]),
    ...     lower=np.zeros(2), upper=np.zeros(2), covariance=np.eye(2), log_likelihood=0.0,
    ...     points=10)
    >>> transform(means, np.array([[-1.0, 1.0]]), ["difference"], ["S"]).standard_errors.round(3)
    array([1.414])
    """
    values = matrix @ estimates.values
    covariance = matrix @ np.nan_to_num(estimates.covariance) @ matrix.T
    flags = {}
    for flagged, why in estimates.flags.items():
        for row, share in enumerate(matrix[:, estimates.names.index(flagged)]):
            if share:
                covariance[row] = covariance[:, row] = np.nan
                flags[names[row]] = why
    reach = INTERVAL * np.sqrt(np.diag(covariance))
    return replace(
        estimates,
        names=tuple(names),
        units=tuple(units),
        values=values,
        lower=values - reach,
        upper=values + reach,
        covariance=covariance,
        flags=flags,
    )


class _Surface:
    """Minus the log-likelihood over the search coordinates, with directions for differences.

    ``directions`` (columns) are differentiated along in ``steps``: first the coordinates
    themselves, then the principal axes of the last Hessian, one standard error long.
    """

    def __init__(
        self, log_likelihood: Callable[[Array], Array | float], parameters: tuple[Parameter, ...]
    ) -> None:
        self.log_likelihood = log_likelihood
        self.parameters = parameters
        self.linear = np.array([given.scale == "linear" for given in parameters])
        self.directions = np.eye(len(parameters))
        self.steps = np.full(len(parameters), np.sqrt(CURVATURE))

    def values(self, at: Array) -> Array:
        """Parameters in their units."""
        pairs = zip(self.parameters, at, strict=True)
        return np.array([float(given.value(coordinate)) for given, coordinate in pairs])

    def contributions(self, at: Array) -> Array:
        """Log-likelihood of every observation, or their sum."""
        with np.errstate(all="ignore"):
            return np.asarray(self.log_likelihood(self.values(at)), dtype=np.float64)

    def __call__(self, at: Array) -> float:
        total = -float(np.sum(self.contributions(at)))
        return total if np.isfinite(total) else np.inf

    def derivatives(self, at: Array, here: float) -> tuple[Array, Array]:
        """Gradient and Hessian in the coordinates; turns the directions to the Hessian's axes."""
        sides = np.array([self._both_sides(at, here, axis) for axis in range(len(at))])
        ahead, behind = sides.T
        gradient = (ahead - behind) / (2.0 * self.steps)
        hessian = np.diag((ahead + behind - 2.0 * here) / self.steps**2)
        moves = self.directions * self.steps
        for one in range(len(at)):
            for other in range(one):
                move = moves[:, one] + moves[:, other]
                mixed = self(at + move) + self(at - move) + 2.0 * here
                mixed -= sides[one].sum() + sides[other].sum()
                hessian[one, other] = mixed / (2.0 * self.steps[one] * self.steps[other])
                hessian[other, one] = hessian[one, other]
        back = np.linalg.inv(self.directions)
        gradient, hessian = back.T @ gradient, back.T @ hessian @ back
        scale, values, vectors = _principal(hessian)
        lengths = np.sqrt(np.maximum(np.abs(values), SINGULAR))
        self.directions = scale[:, None] * vectors / lengths
        self.steps = np.minimum(np.sqrt(CURVATURE), self._longest())
        return gradient, hessian

    def scores(self, at: Array) -> Array:
        """(observations, parameters), gradient of every contribution, in the coordinates."""
        moves = (self.directions * self.steps).T
        slopes = [self.contributions(at + move) - self.contributions(at - move) for move in moves]
        along = np.stack(slopes, axis=1) / (2.0 * self.steps)
        return np.asarray(along @ np.linalg.inv(self.directions))

    def _longest(self) -> Array:
        """Longest step along each direction: a unit of a coordinate that has a natural one."""
        reach = np.where(self.linear, 1e-6, 1.0)
        return np.asarray(1.0 / np.max(np.abs(self.directions) * reach[:, None], axis=0))

    def _both_sides(self, at: Array, here: float, axis: int) -> tuple[float, float]:
        """Values one step ahead and behind, once the step gives the curvature to many digits."""
        longest = self._longest()[axis]
        for _ in range(12):
            move = self.steps[axis] * self.directions[:, axis]
            ahead, behind = self(at + move), self(at - move)
            bend = abs(ahead + behind - 2.0 * here)
            right = CURVATURE / 10.0 < bend < CURVATURE * 10.0
            if right or (bend < CURVATURE and self.steps[axis] >= longest):
                break
            factor = np.sqrt(CURVATURE / max(bend, 1e-300)) if np.isfinite(bend) else 0.1
            self.steps[axis] = min(self.steps[axis] * np.clip(factor, 1e-3, 1e2), longest)
        return ahead, behind


def _principal(hessian: Array) -> tuple[Array, Array, Array]:
    """Scales that make the diagonal of a Hessian 1, and what is then its eigensystem."""
    scale = 1.0 / np.sqrt(np.maximum(np.abs(np.diag(hessian)), 1e-6))
    values, vectors = np.linalg.eigh(hessian * np.outer(scale, scale))
    return scale, values, vectors


def _climb(surface: _Surface) -> tuple[Array, Array]:
    """Coordinates of the maximum and the observed information there."""
    at = np.array([float(given.search(given.start)) for given in surface.parameters])
    here = surface(at)
    if not np.isfinite(here):
        raise EstimationError("the likelihood is not defined where the search starts")
    for iteration in range(ITERATIONS):
        gradient, hessian = surface.derivatives(at, here)
        step, rise = _newton(surface, gradient, hessian)
        if rise < CONVERGED and iteration:  # the first Hessian is not yet along its own axes
            return at, hessian
        for _ in range(HALVINGS):
            trial = surface(at + step)
            if trial < here:
                break
            step = 0.5 * step
        else:
            if rise >= ROUNDING:
                raise EstimationError(f"Newton's method stopped short of a maximum by {rise:.1e}")
            if iteration:
                return at, hessian
            continue
        at, here = at + step, trial
    raise EstimationError(f"no maximum of the likelihood was found in {ITERATIONS} Newton steps")


def _newton(surface: _Surface, gradient: Array, hessian: Array) -> tuple[Array, float]:
    """Descent step, and how far it should raise the log-likelihood."""
    scale, values, vectors = _principal(hessian)
    along = vectors.T @ (scale * gradient)
    flat = np.abs(values) < SINGULAR  # nothing but rounding: no long step along it
    curvature = np.where(flat, 1.0, np.abs(values))
    step = -scale * (vectors @ (along / curvature))
    limited = ~surface.linear
    longest = np.max(np.abs(step[limited]), initial=0.0)
    if longest > LONGEST:
        step *= LONGEST / longest
    return step, float(-0.5 * gradient @ step)


def _flags(surface: _Surface, at: Array, information: Array) -> dict[str, str]:
    """Parameters along which the log-likelihood is flat, and what that means."""
    flags = {}
    curved = np.diag(information).copy()
    least = np.where(surface.linear, FLAT_LINEAR, FLAT) ** -2.0
    for axis in np.flatnonzero(~(curved > least)):
        given = surface.parameters[axis]
        value = rounded(float(given.value(at[axis])), given.unit)
        flags[given.name] = (
            f"the data do not determine it: the likelihood is flat around {value}"
            + given.end(float(at[axis]))
        )
    kept = [axis for axis, given in enumerate(surface.parameters) if given.name not in flags]
    scale = 1.0 / np.sqrt(curved[kept])
    values, vectors = np.linalg.eigh(information[np.ix_(kept, kept)] * np.outer(scale, scale))
    for vector in vectors.T[values < SINGULAR]:
        names = [surface.parameters[kept[at]].name for at in np.flatnonzero(np.abs(vector) > 0.1)]
        for name in names:
            others = ", ".join(other for other in names if other != name)
            flags[name] = f"the data determine it only in a combination with {others}"
    return flags


def _cluster_scores(surface: _Surface, at: Array, clusters: NDArray[Any]) -> Array:
    """(clusters, parameters), gradient of the log-likelihood of every cluster."""
    _, number = np.unique(clusters, return_inverse=True)
    columns = surface.scores(at).T
    return np.stack([np.bincount(number, weights=column) for column in columns], axis=1)


def _estimates(
    surface: _Surface, at: Array, covariance: Array, points: int, flags: Mapping[str, str]
) -> Estimates:
    """From search coordinates to the parameters' own units."""
    reach = INTERVAL * np.sqrt(np.diag(covariance))
    slopes = np.array(
        [given.slope(float(x)) for given, x in zip(surface.parameters, at, strict=True)]
    )
    return Estimates(
        names=tuple(given.name for given in surface.parameters),
        units=tuple(given.unit for given in surface.parameters),
        values=surface.values(at),
        lower=surface.values(at - reach),
        upper=surface.values(at + reach),
        covariance=covariance * np.outer(slopes, slopes),
        log_likelihood=-surface(at),
        points=points,
        flags=flags,
    )
