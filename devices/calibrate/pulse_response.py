"""The fitted response of one cell to pulses: what is reported of a maximum, what is refused."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import norm

from zerohm._arrays import Array
from zerohm._errors import InputError

from .pulse_estimates import Corrected, Maximum, corrected, with_exponents
from .pulse_likelihood import EXPONENTS, PARAMETERS, POSITIVE, SLOPES, STEPS, Noise

DIRECTIONS = ("up", "down")
RESOLVED = 3.0
"""Standard errors by which steps must shrink for their bound to be in the data."""
UNMOVED = 1.0
"""Standard error of the logarithm of a step or an exponent from which on there is none."""
WIDEST_ERROR = 2.0
"""Standard error of the logarithm of a noise from which on the data do not determine it."""
STEEPEST = 20.0
"""Exponent from which on a power law is an exponential one within any data."""


@dataclass(frozen=True, kw_only=True)
class Response:
    """One cell: logarithms of what is reported, in units of the range.

    ``maximum`` has the corrected coordinates, and the value of the maximum itself. ``distance``
    (2,): from the origin to the bounds up and down that a model of the cell takes, the fitted
    ones or the nearest that the data allow; NaN where there is neither.
    """

    maximum: Maximum
    logarithms: Mapping[str, float]
    covariance: Array
    freedom: Array
    distance: Array
    refused: Mapping[str, str]


def best_responses(
    fits: Sequence[Mapping[tuple[Noise, ...], Maximum]],
    information: Mapping[tuple[Noise, ...], float],
) -> tuple[tuple[Noise, ...], list[Response]]:
    """The candidate with the smallest criterion whose noises the data determine."""
    failures = []
    for noises in sorted(information, key=lambda one: information[one]):
        try:
            return noises, [_response(fit[noises]) for fit in fits]
        except InputError as failure:
            failures.append(failure)
    raise failures[0]


def _response(maximum: Maximum) -> Response:
    """Fit the exponents of a power law; from steps and slopes to steps and bounds."""
    refused: dict[str, str] = {}
    if maximum.likelihood.law == "power":
        maximum, refused = _power(maximum)
    found = _corrected(maximum)
    maximum = replace(maximum, coordinates=found.coordinates)
    free = list(maximum.likelihood.free)
    basis = np.eye(len(free))
    rows = {
        PARAMETERS[index]: (found.coordinates[at], basis[at], found.freedom[at])
        for at, index in enumerate(free)
        if POSITIVE[index]
    }
    distance = np.full(2, np.nan)
    for d in (index for index in (0, 1) if index in free):
        direction = DIRECTIONS[d]
        if found.covariance[free.index(d), free.index(d)] > UNMOVED**2:
            del rows[f"step_{direction}"]
            refused[f"step_{direction}"] = f"{direction} pulses do not move the cell measurably"
            refused[f"bound_{direction}"] = f"step_{direction} is refused"
            continue
        distance[d], row, why = _bound(maximum, found.covariance, d)
        if why:
            refused[f"bound_{direction}"] = why
        else:
            freedom = found.freedom[free.index(SLOPES.start + d)]
            rows[f"bound_{direction}"] = (np.log(distance[d]), row, freedom)
    if not any(key.startswith("step") for key in rows):
        raise InputError("the pulses do not move the cell measurably: there is nothing to fit")
    jacobian = np.array([row for _, row, _ in rows.values()])
    return Response(
        maximum=maximum,
        logarithms={key: float(value) for key, (value, _, _) in rows.items()},
        covariance=jacobian @ found.covariance @ jacobian.T,
        freedom=np.array([freedom for _, _, freedom in rows.values()]),
        distance=distance,
        refused=refused,
    )


def _bound(maximum: Maximum, covariance: Array, d: int) -> tuple[float, Array, str]:
    """Distance from the origin to a bound, gradient of its logarithm, why the bound is refused."""
    free, parameters = list(maximum.likelihood.free), maximum.parameters
    basis, at = np.eye(len(free)), free.index(SLOPES.start + d)
    slope = float(parameters[SLOPES][d])
    reach = float(parameters[STEPS][d] * parameters[EXPONENTS][d])
    gradient = basis[free.index(STEPS.start + d)] - basis[at] / slope
    if EXPONENTS.start + d in free:
        gradient = gradient + basis[free.index(EXPONENTS.start + d)]
    if slope > 0.0 and gradient @ covariance @ gradient < RESOLVED**-2:
        return reach / slope, gradient, ""
    error = float(np.sqrt(covariance[at, at]))
    steepest = slope + float(norm.ppf(0.95)) * error
    why = (
        f"the steps do not shrink measurably (by {slope:.2g} ± {error:.1g} of the way per pulse): "
        "the bound lies outside of the data"
    )
    return reach / steepest if steepest > 0.0 else np.nan, gradient, why


def _corrected(maximum: Maximum) -> Corrected:
    """Estimates whose noises have error bars."""
    noise = maximum.likelihood.free >= EXPONENTS.stop
    try:
        found = corrected(maximum)
        determined = np.diag(found.covariance)[noise].max() < WIDEST_ERROR**2
    except np.linalg.LinAlgError:
        determined = False
    if not determined:
        raise InputError(
            f"the readings do not determine {' + '.join(maximum.noises)} noise: they hold less "
            "noise (ask for it: noises=), or pulses that do not move the cell in their direction"
        )
    return found


def _power(maximum: Maximum) -> tuple[Maximum, dict[str, str]]:
    """Search the exponents of the directions whose steps shrink; the others keep 1."""
    errors = _standard_errors(maximum)[SLOPES]
    shrinking = [d for d in range(2) if maximum.parameters[SLOPES][d] > RESOLVED * errors[d]]
    refused = {
        f"exponent_{DIRECTIONS[d]}": "the steps do not shrink measurably"
        for d in range(2)
        if d not in shrinking
    }
    fitted = with_exponents(maximum, shrinking)
    errors = _standard_errors(fitted)[EXPONENTS]
    exponents = fitted.parameters[EXPONENTS]
    kept = [d for d in shrinking if exponents[d] < STEEPEST and errors[d] < UNMOVED]
    if kept == shrinking:
        return fitted, refused
    refused |= {
        f"exponent_{DIRECTIONS[d]}": f"the data do not limit it (the best is {exponents[d]:.2g}; "
        "large ones are steps that shrink exponentially); it is kept at 1, soft bounds"
        for d in shrinking
        if d not in kept
    }
    return with_exponents(maximum, kept), refused


def _standard_errors(maximum: Maximum) -> Array:
    """(10,), of the coordinates; infinite where nothing was searched or determined."""
    errors = np.full(len(PARAMETERS), np.inf)
    with suppress(np.linalg.LinAlgError):
        errors[maximum.likelihood.free] = np.sqrt(np.diag(corrected(maximum).covariance))
    return errors
