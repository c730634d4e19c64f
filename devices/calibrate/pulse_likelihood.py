"""Likelihood of readings taken between programming pulses, by a Kalman filter.

Model, with d = +1 for up and −1 for down pulses and a step law f for each direction:

    hidden conductance   g ← g + d f(x) (1 + c ξ),   x = d (g − origin)
    soft bounds          f(x) = a − b x
    power                f(x) = a (1 − b x / (γ a))^γ,  0 beyond its bound
    slow noise           s ← s e^(−1/τ) + σ_s √(1 − e^(−2/τ)) ξ',   τ in pulses
    reading              y = g + s + σ_w ξ''

ξ, ξ', ξ'' are independent standard normal numbers. a is the step at the origin and b its loss per
conductance there, both per pulse; steps vanish at x = γ a / b, with γ = 1 for soft bounds. In a
and b a bound that lies far beyond the data is simply b = 0.

Soft bounds are affine in g: its mean and variance are then exact, with the variance
c² (f(E g)² + f'² Var g) that a pulse adds. Power steps are linearised at E g (extended filter). In
both cases a reading is taken as Gaussian given the earlier ones. The start of every series is
unknown: its first reading has no prediction and no part in the likelihood (diffuse start: Durbin
& Koopman, Time Series Analysis by State Space Methods, 2nd ed., chapter 5).

Conductances here are seen from an origin inside the data and scaled: their range is about 1.
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zerohm._arrays import Array
from zerohm._jit import kernel

Law = Literal["soft bounds", "power"]
Noise = Literal["cycle-to-cycle", "white", "slow"]

PARAMETERS = (
    "step_up",
    "step_down",
    "slope_up",
    "slope_down",
    "exponent_up",
    "exponent_down",
    "cycle_to_cycle",
    "white_noise",
    "slow_noise",
    "slow_memory",
)
"""The vector that every function here takes. A noise that is absent is 0."""

STEPS, SLOPES, EXPONENTS = slice(0, 2), slice(2, 4), slice(4, 6)
CYCLE_TO_CYCLE, WHITE, SLOW, MEMORY = range(6, 10)
OF_NOISE: dict[Noise, tuple[int, ...]] = {
    "cycle-to-cycle": (CYCLE_TO_CYCLE,),
    "white": (WHITE,),
    "slow": (SLOW, MEMORY),
}
"""Indices into ``PARAMETERS``."""

POSITIVE = np.array([not name.startswith("slope") for name in PARAMETERS])
"""Which parameters are positive: the search runs in their logarithms."""

_CLOSE = 1e-5  # expected gain of log-likelihood at which a search ends
_MOST_STEPS = 60
_RIDGE = 1e-10  # keeps a system solvable whose likelihood is flat in one coordinate
_LEAST_DAMPING = 1e-12  # likewise, flat in a combination of coordinates
_LOG_2PI = math.log(2.0 * math.pi)


class Series(NamedTuple):
    """Readings of one cell in their order.

    readings : (n,). pulses : (n,), number of pulses since the reading before; 0 starts a series
    of its own. directions : (n,), +1.0 up or −1.0 down, of these pulses.
    """

    readings: Array
    pulses: NDArray[np.int64]
    directions: Array

    @property
    def predicted(self) -> NDArray[np.bool_]:
        """(n,), the readings that have one before them."""
        return self.pulses > 0

    @property
    def points(self) -> int:
        """Number of readings in the likelihood."""
        return int(np.count_nonzero(self.pulses))


@kernel
def _steps(
    mean: Array,
    sign: float,
    steps: Array,
    slopes: Array,
    exponents: Array,
    affine: bool,
    sizes: Array,
    losses: Array,
) -> None:
    """Size of a pulse at ``mean`` and its loss per conductance; all (vectors,)."""
    if affine:
        for j in range(mean.size):
            sizes[j] = steps[j] - slopes[j] * sign * mean[j]
            losses[j] = slopes[j]
        return
    for j in range(mean.size):
        left = 1.0 - slopes[j] * sign * mean[j] / (exponents[j] * steps[j])
        power = max(left, 0.0)
        if exponents[j] != 1.0:  # pow is most of the time of a search, which begins at 1
            power = power ** exponents[j]
        sizes[j] = steps[j] * power
        losses[j] = slopes[j] * power / left if left > 0.0 else 0.0


@kernel
def innovations_of(
    readings: Array,
    pulses: NDArray[np.int64],
    directions: Array,
    parameters: Array,
    affine: bool,
    innovations: Array,
    variances: Array,
) -> None:
    """Kalman filter: every reading minus its prediction from the earlier ones, and its variance.

    Runs for many parameter vectors at once, innermost, which hides the latency of the recursion.
    The first reading of a series has innovation 0 and variance 1, which add nothing to
    Σ (ln variance + innovation² / variance).

    Parameters
    ----------
    readings, pulses, directions : as in :class:`Series`.
    parameters : (10, vectors), as in ``PARAMETERS``.
    affine : soft bounds; otherwise the power law.
    innovations, variances : (n, vectors), written.
    """
    vectors = parameters.shape[1]
    spread, white, slow = parameters[6] ** 2, parameters[7] ** 2, parameters[8] ** 2
    kept = np.exp(-1.0 / parameters[9])
    renewed = slow * (1.0 - kept * kept)
    mean, noise, var_mean, cov, var_noise, sizes, losses = np.zeros((7, vectors))
    for k in range(readings.size):
        if pulses[k] == 0:
            innovations[k] = 0.0
            variances[k] = 1.0
            mean[:] = readings[k]
            noise[:] = 0.0
            var_mean[:] = slow + white
            cov[:] = -slow
            var_noise[:] = slow
            continue
        sign = directions[k]
        d = 0 if sign > 0.0 else 1
        for _ in range(pulses[k]):
            _steps(
                mean,
                sign,
                parameters[d],
                parameters[2 + d],
                parameters[4 + d],
                affine,
                sizes,
                losses,
            )
            for j in range(vectors):
                stays = 1.0 - losses[j]
                mean[j] += sign * sizes[j]
                noise[j] *= kept[j]
                var_mean[j] *= stays * stays + spread[j] * losses[j] * losses[j]
                var_mean[j] += spread[j] * sizes[j] * sizes[j]
                cov[j] *= stays * kept[j]
                var_noise[j] = kept[j] * kept[j] * var_noise[j] + renewed[j]
        for j in range(vectors):
            with_mean, with_noise = var_mean[j] + cov[j], cov[j] + var_noise[j]
            variance = with_mean + with_noise + white[j]
            innovation = readings[k] - mean[j] - noise[j]
            gain_mean, gain_noise = with_mean / variance, with_noise / variance
            mean[j] += gain_mean * innovation
            noise[j] += gain_noise * innovation
            var_mean[j] -= gain_mean * with_mean
            cov[j] -= gain_mean * with_noise
            var_noise[j] -= gain_noise * with_noise
            innovations[k, j] = innovation
            variances[k, j] = variance


@kernel
def response_of(
    starts: Array,
    pulses: NDArray[np.int64],
    directions: Array,
    parameters: Array,
    affine: bool,
    means: Array,
    variances: Array,
) -> None:
    """Mean and variance of the readings from known starts, none of them being looked at.

    Parameters
    ----------
    starts : (n,), hidden conductance at the first reading of each series; the rest is unused.
    pulses, directions : as in :class:`Series`.
    parameters : (10,), as in ``PARAMETERS``.
    affine : soft bounds; otherwise the power law.
    means, variances : (n,), written.
    """
    spread, white, slow = parameters[6] ** 2, parameters[7] ** 2, parameters[8] ** 2
    mean, var_mean, size, loss = np.zeros((4, 1))
    columns = parameters.reshape((-1, 1))
    for k in range(starts.size):
        if pulses[k] == 0:
            mean[0], var_mean[0] = starts[k], 0.0
        sign = directions[k]
        d = 0 if sign > 0.0 else 1
        for _ in range(pulses[k]):
            _steps(mean, sign, columns[d], columns[2 + d], columns[4 + d], affine, size, loss)
            mean += sign * size
            var_mean *= (1.0 - loss) ** 2 + spread * loss**2
            var_mean += spread * size**2
        means[k] = mean[0]
        variances[k] = var_mean[0] + slow + white


@dataclass(frozen=True, kw_only=True)
class Likelihood:
    """Log-likelihood of one cell as a function of the parameters that are searched.

    Parameters
    ----------
    series, law : the readings and the law of a step.
    free : indices into ``PARAMETERS`` of what is searched.
    fixed : (10,), the others; entries of ``free`` are not looked at.
    """

    series: Series
    law: Law
    free: NDArray[np.intp]
    fixed: Array

    def parameters(self, coordinates: Array) -> Array:
        """(10, ...) from the coordinates (free, ...) of the search."""
        found = np.empty((self.fixed.size, *coordinates.shape[1:]))
        found.T[:] = self.fixed
        positive = POSITIVE[self.free]
        found[self.free[positive]] = np.exp(coordinates[positive])
        found[self.free[~positive]] = coordinates[~positive]
        return found

    def coordinates(self, parameters: Array) -> Array:
        """Inverse of :meth:`parameters`, (free,)."""
        found = parameters[self.free]
        positive = POSITIVE[self.free]
        found[positive] = np.log(found[positive])
        return found

    def innovations(self, coordinates: Array) -> tuple[Array, Array]:
        """Innovations and their variances, (n, vectors) each, at coordinates (free, vectors)."""
        shape = (self.series.readings.size, coordinates.shape[1])
        innovations, variances = np.empty(shape), np.empty(shape)
        parameters = self.parameters(coordinates)
        affine = self.law == "soft bounds"
        innovations_of(*self.series, parameters, affine, innovations, variances)
        return innovations, variances

    def values(self, coordinates: Array) -> Array:
        """ln likelihood at coordinates (free, vectors); minus infinity where undefined."""
        with np.errstate(all="ignore"):
            innovations, variances = self.innovations(coordinates)
            total = np.sum(np.log(variances) + innovations**2 / variances, axis=0)
        total = np.where(np.isfinite(total), total, np.inf)
        return -0.5 * (total + self.series.points * _LOG_2PI)

    def value(self, coordinates: Array) -> float:
        """ln likelihood at one set of coordinates (free,)."""
        return float(self.values(coordinates[:, None])[0])

    def score(self, coordinates: Array) -> tuple[Array, Array]:
        """Gradient, and the expected information Σ (∂v ∂vᵀ / F + ½ ∂F ∂Fᵀ / F²), (free, free).

        The derivatives of the innovations v and their variances F are central differences, with
        a relative error of about 1e-9. NaN where a variance is lost to rounding or overflows.
        """
        count, sizes = self.free.size, self._differences
        shifts = np.concatenate([np.diag(sizes), -np.diag(sizes), np.zeros((count, 1))], axis=1)
        with np.errstate(all="ignore"):
            innovations, variances = self.innovations(coordinates[:, None] + shifts)
            innovation, variance = innovations[:, -1], variances[:, -1]
            of_innovation = (innovations[:, :count] - innovations[:, count:-1]) / (2.0 * sizes)
            of_variance = (variances[:, :count] - variances[:, count:-1]) / (2.0 * sizes)
            of_variance /= variance[:, None]
            gradient = -0.5 * (1.0 - innovation**2 / variance) @ of_variance
            gradient -= (innovation / variance) @ of_innovation
            of_innovation /= np.sqrt(variance)[:, None]
            information = of_innovation.T @ of_innovation + 0.5 * of_variance.T @ of_variance
        if not (variances.min() > 0.0 and np.isfinite(information).all()):
            return np.full(count, np.nan), np.full((count, count), np.nan)  # far from any maximum
        return gradient, information

    @property
    def _differences(self) -> Array:
        # A slope acts through the number of pulses: what matters is smaller.
        return np.where(POSITIVE[self.free], 1e-5, 1e-7)

    def climb(self, coordinates: Array) -> tuple[Array, float]:
        """The maximum near these coordinates and its value: Fisher scoring, damped.

        Steps solve (I + λ diag I) δ = gradient (Levenberg–Marquardt); a logarithm moves by at
        most 2 at a time. A parameter that runs to a boundary stops when nothing is gained there.
        """
        value, damping = self.value(coordinates), 1e-2
        for _ in range(_MOST_STEPS):
            gradient, information = self.score(coordinates)
            while True:
                diagonal = np.diag(damping * np.diag(information) + _RIDGE)
                step = np.linalg.solve(information + diagonal, gradient)
                step *= min(1.0, 2.0 / np.abs(step[POSITIVE[self.free]]).max(initial=1e-9))
                tried = self.value(coordinates + step)
                if tried >= value - 1e-9 or damping > 1e12:
                    break
                damping = max(10.0 * damping, 1e-4)
            if damping > 1e12:
                break
            coordinates, value = coordinates + step, tried
            damping = max(damping / 10.0, _LEAST_DAMPING)
            if step @ gradient < _CLOSE:
                break
        return coordinates, value
