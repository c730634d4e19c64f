"""Maximum of the likelihood of pulse readings: search, errors, upper limits of absent noises."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from scipy.optimize import brentq
from scipy.stats import chi2

from zerohm._arrays import Array

from .pulse_likelihood import (
    CYCLE_TO_CYCLE,
    EXPONENTS,
    MEMORY,
    OF_NOISE,
    PARAMETERS,
    SLOPES,
    SLOW,
    STEPS,
    WHITE,
    Law,
    Likelihood,
    Noise,
    Series,
)

CANDIDATES: tuple[tuple[Noise, ...], ...] = (
    ("white",),
    ("cycle-to-cycle",),
    ("cycle-to-cycle", "white"),
    ("white", "slow"),
    ("cycle-to-cycle", "white", "slow"),
)
"""Sets of noises that can be fitted, smaller ones first."""

RESOLUTION = 1e-3
"""White noise that a model without white noise keeps, in units of the range of the readings."""

LIMIT_MEMORY = 10.0
"""Pulses: the memory for which upper limits of slow noise are given."""

ONE_SIDED = 0.5 * float(chi2.ppf(0.90, 1))
"""Fall of ln likelihood at the end of a one-sided 95 % interval."""

_RATES = (0.0, 0.003, 0.03, 0.3)  # slopes from which a search may start
_MEMORIES = (2.0, 10.0, 50.0)  # pulses, likewise
_PARTS = (0.3, 0.03, 0.003)  # of the readings' jitter that a step may have, likewise
_SHIFT = 1e-3  # of a logarithm, for derivatives of the information
_LEAST_FREEDOM = 2.0
_FLAT = 1e6  # variance of a logarithm that is no maximum any more


@dataclass(frozen=True, kw_only=True)
class Maximum:
    """Where the likelihood of one cell is largest, for one set of noises.

    ``coordinates`` are those of ``likelihood``, ``value`` is ln likelihood there.
    """

    likelihood: Likelihood
    noises: tuple[Noise, ...]
    coordinates: Array
    value: float

    @property
    def parameters(self) -> Array:
        """(10,), as in ``PARAMETERS``."""
        return self.likelihood.parameters(self.coordinates)

    @property
    def bayes_information(self) -> float:
        """Schwarz' criterion k ln n − 2 ln L; of two models, the smaller one is preferred."""
        points = self.likelihood.series.points
        return self.coordinates.size * math.log(points) - 2.0 * self.value


def noise_parameters(noises: Sequence[Noise]) -> list[int]:
    """Indices into ``PARAMETERS``."""
    return [index for noise in noises for index in OF_NOISE[noise]]


def maxima(
    series: Series, law: Law, candidates: Sequence[tuple[Noise, ...]]
) -> dict[tuple[Noise, ...], Maximum]:
    """Fit the step law with each of these sets of noises, which are in ``CANDIDATES``.

    Searches start from the maxima of all sets that lack one noise only, with a guess of that
    noise, and the best end counts: from a guess of everything, all noises at once often end at a
    lower maximum. The sets on that way are fitted even if they are not asked for.
    """
    guess = _first_guess(series, law)
    found: dict[tuple[Noise, ...], Maximum] = {}
    for noises in CANDIDATES:
        if not any(set(noises) <= set(one) for one in candidates):
            continue
        free = np.array(sorted(_of_steps(series) + noise_parameters(noises)))
        likelihood = Likelihood(series=series, law=law, free=free, fixed=_noiseless())
        begins = [
            one.parameters
            for one in found.values()
            if set(one.noises) < set(noises) and len(one.noises) + 1 == len(noises)
        ]
        ends = []
        for begin in begins or [guess]:
            starts = [likelihood.coordinates(one) for one in _with_noises(begin, noises, series)]
            ends.append(likelihood.climb(max(starts, key=likelihood.value)))
        coordinates, value = max(ends, key=lambda end: end[1])
        found[noises] = Maximum(
            likelihood=likelihood, noises=noises, coordinates=coordinates, value=value
        )
    return {noises: found[noises] for noises in candidates}


def with_exponents(maximum: Maximum, directions: Sequence[int]) -> Maximum:
    """The same noises with the exponents of these directions (0 up, 1 down) searched too."""
    free = np.array(sorted([*maximum.likelihood.free, *(EXPONENTS.start + d for d in directions)]))
    likelihood = replace(maximum.likelihood, free=free)
    coordinates, value = likelihood.climb(likelihood.coordinates(maximum.parameters))
    return replace(maximum, likelihood=likelihood, coordinates=coordinates, value=value)


@dataclass(frozen=True, kw_only=True)
class Corrected:
    """Estimates and errors of a :class:`Maximum`, corrected for the length of the data.

    coordinates : (free,). covariance : (free, free). freedom : (free,), degrees of freedom of
    Student's t that makes the intervals of each coordinate.
    """

    coordinates: Array
    covariance: Array
    freedom: Array


def corrected(maximum: Maximum) -> Corrected:
    """Undo the optimism of a maximum of the likelihood, to first order in 1/n.

    Fitting steps and slopes uses up some of the noise: the likelihood is adjusted by
    −½ ln |I_steps| (Cox & Reid, J. R. Stat. Soc. B 49, 1 (1987), which for constant variances is
    the restricted likelihood), in one Newton step. The covariance V is the inverse of the
    information I there. That the noise in V is itself estimated widens the intervals: Student's t
    with 2 V_jj² / Var V_jj degrees of freedom (Satterthwaite; Kenward & Roger, Biometrics 53, 983
    (1997)).

    Raises
    ------
    numpy.linalg.LinAlgError : the likelihood is flat in some direction.
    """
    likelihood, at = maximum.likelihood, maximum.coordinates
    noise = likelihood.free >= CYCLE_TO_CYCLE
    steps = np.ix_(~noise, ~noise)
    shifts = np.diag(np.full(at.size, _SHIFT))[noise]
    slopes = np.array(
        [likelihood.score(at + s)[1] - likelihood.score(at - s)[1] for s in shifts]
    ) / (2.0 * _SHIFT)
    _, information = likelihood.score(at)
    adjustment = np.zeros(at.size)
    of_steps = np.linalg.inv(information[steps])
    adjustment[noise] = [-0.5 * np.sum(of_steps * slope[steps]) for slope in slopes]
    step = np.linalg.solve(information, adjustment)
    at = at + step / max(1.0, np.abs(step).max())
    covariance = np.linalg.inv(likelihood.score(at)[1])
    variances = np.diag(covariance)
    if not np.all((variances > 0.0) & (variances < _FLAT)):
        raise np.linalg.LinAlgError("the likelihood is flat")
    changes = np.array([np.diag(covariance @ slope @ covariance) for slope in slopes])
    of_variances = np.sum(changes * (covariance[np.ix_(noise, noise)] @ changes), axis=0)
    freedom = np.maximum(2.0 * variances**2 / of_variances, _LEAST_FREEDOM)
    return Corrected(coordinates=at, covariance=covariance, freedom=freedom)


def upper_limit(maximum: Maximum, noise: Noise) -> float:
    """95 % upper limit of a noise that the model at its maximum does without.

    The amplitude at which the likelihood, maximised over everything else, has fallen by 1.353:
    half the 90 % quantile of χ² with one degree of freedom, a one-sided 95 % interval. For slow
    noise the limit holds for a memory of ``LIMIT_MEMORY`` pulses.
    """
    index = OF_NOISE[noise][0]
    series = maximum.likelihood.series
    fixed = _with_noises(maximum.parameters, (*maximum.noises, noise), series)[0]
    if noise == "slow":
        fixed[MEMORY] = LIMIT_MEMORY

    def fallen(variance: float) -> float:
        if variance == 0.0:
            return -ONE_SIDED
        fixed[index] = math.sqrt(variance)
        _, value = replace(maximum.likelihood, fixed=fixed).climb(maximum.coordinates)
        return maximum.value - value - ONE_SIDED

    high = (0.3 * fixed[index]) ** 2
    while fallen(high) < 0.0:
        high *= 4.0
    # In the variance the likelihood falls almost linearly, which makes the search short.
    return math.sqrt(brentq(fallen, 0.0, high, xtol=1e-12, rtol=0.02))


def _of_steps(series: Series) -> list[int]:
    """Indices of the steps and slopes of the directions that there are pulses of."""
    present = [d for d, sign in enumerate((1.0, -1.0)) if sign in series.directions]
    return [start + d for d in present for start in (STEPS.start, SLOPES.start)]


def _noiseless() -> Array:
    """(10,), as in ``PARAMETERS``: no steps, and as little noise as a model can have."""
    parameters = np.zeros(len(PARAMETERS))
    parameters[EXPONENTS] = parameters[MEMORY] = 1.0
    parameters[WHITE] = RESOLUTION
    return parameters


def _jitter(series: Series) -> float:
    """Standard deviation of one reading, if all of it were white noise."""
    changes = np.diff(series.readings)[series.predicted[1:]]
    return max(float(np.std(changes)) / math.sqrt(2.0), RESOLUTION)


def _first_guess(series: Series, law: Law) -> Array:
    """Steps and slopes from a grid of response curves, with white noise only."""
    changes = np.diff(series.readings, prepend=0.0) * series.predicted
    noise = _noiseless()
    noise[WHITE] = _jitter(series)
    grid = []
    for rates in product(_RATES, _RATES):
        guess = noise.copy()
        guess[SLOPES] = rates
        for d, sign in enumerate((1.0, -1.0)):
            chosen = series.directions == sign
            mean = sign * changes[chosen].sum() / max(series.pulses[chosen].sum(), 1)
            guess[d] = max(mean, 0.5 * rates[d], 1e-4)  # positive as far as the readings go
        grid.append(guess)
    likelihood = Likelihood(series=series, law=law, free=np.arange(4), fixed=noise)
    values = likelihood.values(np.array([likelihood.coordinates(guess) for guess in grid]).T)
    return grid[int(np.argmax(values))]


def _with_noises(parameters: Array, noises: tuple[Noise, ...], series: Series) -> list[Array]:
    """These parameters with first guesses of every noise that they lack."""
    filled = parameters.copy()
    jitter = _jitter(series)
    if "white" in noises and filled[WHITE] == RESOLUTION:
        filled[WHITE] = jitter
    guesses = [filled]
    if "cycle-to-cycle" in noises and filled[CYCLE_TO_CYCLE] == 0.0:
        largest = jitter / filled[STEPS].mean()
        guesses = [_changed(one, CYCLE_TO_CYCLE, largest * p) for one in guesses for p in _PARTS]
    if "slow" in noises and filled[SLOW] == 0.0:
        guesses = [_changed(one, SLOW, jitter) for one in guesses]
        guesses = [_changed(one, MEMORY, pulses) for one in guesses for pulses in _MEMORIES]
    return guesses


def _changed(parameters: Array, index: int, value: float) -> Array:
    changed = parameters.copy()
    changed[index] = value
    return changed
