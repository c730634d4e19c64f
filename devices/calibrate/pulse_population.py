"""Parameters of pulses from the fits of several cells: means, and device-to-device spreads.

The logarithm of every parameter is a normally distributed effect of the cell; its mean and spread
come from restricted maximum likelihood with the error of every cell's fit known (Viechtbauer,
J. Educ. Behav. Stat. 30, 261 (2005)).
"""

from collections.abc import Mapping, Sequence
from math import log
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import t

from zerohm._arrays import Array

from .estimate import INTERVAL, Estimates
from .pulse_estimates import ONE_SIDED
from .pulse_response import Response

FEWEST_CELLS = 5
"""Cells without which nothing is said about device-to-device spread."""


def population(
    responses: Sequence[Response], origin: float, span: float
) -> tuple[Estimates, dict[str, str]]:
    """Parameters of one cell, or means and spreads of several; who is refused and why."""
    refused: dict[str, str] = {}
    for one in responses:
        for key, why in one.refused.items():
            cells = sum(key in other.refused for other in responses)
            refused[key] = why if len(responses) == 1 else f"in {cells} of the cells {why}"
    names = [key for key in responses[0].logarithms if key not in refused]
    places = [[list(one.logarithms).index(key) for key in names] for one in responses]
    logarithms = np.array([[one.logarithms[key] for key in names] for one in responses])
    blocks = np.array(
        [one.covariance[np.ix_(at, at)] for one, at in zip(responses, places, strict=True)]
    )
    spreads: dict[str, Effects] = {}
    if len(responses) == 1:
        means, covariance = logarithms[0], blocks[0]
        freedom = responses[0].freedom[places[0]]
    else:
        found = [_effects(logarithms[:, j], blocks[:, j, j]) for j in range(len(names))]
        means = np.array([one.mean for one in found])
        pulls = np.array([one.weights for one in found]).T * (logarithms - means)
        lengths = np.sqrt(np.sum(pulls**2, axis=0))
        errors = np.array([one.error for one in found]) / np.maximum(lengths, 1e-300)
        covariance = (pulls.T @ pulls) * np.outer(errors, errors)
        freedom = np.full(len(names), len(responses) - 1.0)
        spreads, reasons = _spreads(names, logarithms, blocks)
        refused |= reasons
    return _estimates(names, means, covariance, freedom, spreads, responses, origin, span), refused


class Effects(NamedTuple):
    """Normally distributed effects of cells: their mean and spread, with errors.

    ``spread`` is 0 where none is seen; ``limit`` is its 95 % upper limit.
    """

    mean: float
    error: float
    weights: Array
    spread: float
    spread_error: float
    limit: float


def _effects(values: Array, variances: Array) -> Effects:
    """Restricted maximum likelihood from the fits of cells (cells,) with known variances."""

    def weights(spread: float) -> Array:
        return np.asarray(1.0 / (variances + spread**2))

    def fallen(spread: float) -> float:
        w = weights(spread)
        mean = np.sum(w * values) / np.sum(w)
        quadratic = np.sum(w * (values - mean) ** 2)
        return 0.5 * float(np.log(np.sum(w)) - np.sum(np.log(w)) + quadratic)

    widest = 10.0 * float(np.std(values)) + float(np.sqrt(variances.max()))
    best = float(minimize_scalar(fallen, bounds=(0.0, widest), method="bounded").x)
    spread = best if fallen(0.0) - fallen(best) > ONE_SIDED else 0.0
    w = weights(spread)
    projector = np.diag(w) - np.outer(w, w) / np.sum(w)
    of_variance = np.sqrt(2.0 / np.sum(projector**2))
    return Effects(
        mean=float(np.sum(w * values) / np.sum(w)),
        error=float(1.0 / np.sqrt(np.sum(w))),
        weights=w / np.sum(w),
        spread=spread,
        spread_error=float(of_variance / (2.0 * spread)) if spread else np.nan,
        limit=float(brentq(lambda s: fallen(s) - fallen(best) - ONE_SIDED, best, 100.0 * widest)),
    )


def _spreads(
    names: list[str], logarithms: Array, blocks: Array
) -> tuple[dict[str, Effects], dict[str, str]]:
    """Device-to-device spreads in the sense of :class:`~zerohm.devices.pulses.SoftBounds`."""
    contrasts = {
        "step_spread": {"step_up": 0.5, "step_down": 0.5},
        "asymmetry_spread": {"step_up": 0.5, "step_down": -0.5},
        "upper_bound_spread": {"bound_up": 1.0},
        "lower_bound_spread": {"bound_down": 1.0},
    }
    found: dict[str, Effects] = {}
    refused: dict[str, str] = {}
    for spread, parts in contrasts.items():
        missing = [part for part in parts if part not in names]
        if missing:
            refused[spread] = f"{' and '.join(missing)} is refused"
        elif len(logarithms) < FEWEST_CELLS:
            refused[spread] = f"there are {len(logarithms)} cells; it takes {FEWEST_CELLS}"
        else:
            contrast = np.array([parts.get(name, 0.0) for name in names])
            effects = _effects(logarithms @ contrast, contrast @ blocks @ contrast)
            if effects.spread:
                found[spread] = effects
            else:
                refused[spread] = f"the cells do not differ: it is below {effects.limit:.2g} (95 %)"
    return found, refused


def _estimates(
    names: list[str],
    means: Array,
    covariance: Array,
    freedom: Array,
    spreads: Mapping[str, Effects],
    responses: Sequence[Response],
    origin: float,
    span: float,
) -> Estimates:
    """From logarithms in units of the range to S."""
    offsets = np.array([origin if name.startswith("bound") else 0.0 for name in names])
    pure = [name.startswith(("cycle", "exponent", "slow_memory")) for name in names]
    scales = np.where(pure, 1.0, span) * np.where(np.array(names) == "bound_down", -1.0, 1.0)
    distances = scales * np.exp(means)
    factors = np.exp(t.ppf(0.975, freedom) * np.sqrt(np.diag(covariance)))
    ends = np.sort([offsets + distances / factors, offsets + distances * factors], axis=0)
    widths = np.array([one.spread for one in spreads.values()])
    errors = np.array([one.spread_error for one in spreads.values()])
    with np.errstate(divide="ignore", invalid="ignore"):
        wider = np.exp(INTERVAL * errors / widths)
    size = len(names) + len(spreads)
    everything = np.zeros((size, size))
    everything[: len(names), : len(names)] = covariance * np.outer(distances, distances)
    everything[range(len(names), size), range(len(names), size)] = errors**2
    units = ["1" if is_pure else "S" for is_pure in pure]
    units = ["pulses" if name == "slow_memory" else u for name, u in zip(names, units, strict=True)]
    points = sum(one.maximum.likelihood.series.points for one in responses)
    return Estimates(
        names=(*names, *spreads),
        units=(*units, *("1" for _ in spreads)),
        values=np.concatenate([offsets + distances, widths]),
        lower=np.concatenate([ends[0], widths / wider]),
        upper=np.concatenate([ends[1], widths * wider]),
        covariance=everything,
        log_likelihood=sum(one.maximum.value for one in responses) - points * log(span),
        points=points,
    )
