"""Pulse response from readings between identical pulses: steps, bounds, and four kinds of noise.

One reading after each pulse (or after every few) mixes noise of the step with noise of the
reading. A step's noise stays in the cell and adds up, white read noise is gone at the next
reading, slow read noise (1/f-like, or of a few traps) after some readings. The likelihood of a
state-space model tells them apart (:mod:`.pulse_likelihood`): hidden conductance, slow noise with
an exponential memory, white noise. Which noises there are is decided by the smallest Bayes
information criterion; a noise that is not seen is refused by name, with its upper limit.

Steps follow :class:`~zerohm.devices.pulses.SoftBounds` or
:class:`~zerohm.devices.pulses.PowerStep`; the steps that are reported are those at the reference,
the middle of the measured range (``reference_S`` in the goodness of fit). A direction whose steps
do not shrink measurably has no bound in the data: the bound is refused, and the cell ends at the
nearest one that the data allow (95 %).

With several cells every parameter is the mean of normally distributed effects of the cells, and
device-to-device spreads are their standard deviations, by restricted maximum likelihood with the
error of every cell's fit known (Viechtbauer, J. Educ. Behav. Stat. 30, 261 (2005)).
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from math import log
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import chi2, norm, t

from zerohm._arrays import Array
from zerohm._errors import InputError, checked, choose

from ..noise import ConstantNoise
from ..pulses import PowerStep, SoftBounds
from ..rram import Cell
from .diagnosis import diagnose
from .estimate import Estimates
from .pulse_likelihood import (
    CANDIDATES,
    EXPONENTS,
    LIMIT_MEMORY,
    OF_NOISE,
    PARAMETERS,
    POSITIVE,
    SLOPES,
    STEPS,
    Corrected,
    Law,
    Maximum,
    Noise,
    Series,
    corrected,
    maxima,
    response_of,
    upper_limit,
    with_exponents,
)
from .result import MICRO, Calibration, Panel, cell_from
from .table import Source, read_table

LAWS = ("soft bounds", "power")
DIRECTIONS = ("up", "down")
FEWEST = 10
"""Predicted readings without which a direction has no step."""
READINGS_PER_PARAMETER = 3
FEWEST_CELLS = 5
"""Cells without which nothing is said about device-to-device spread."""
RESOLVED = 3.0
"""Standard errors by which steps must shrink for their bound to be in the data."""
UNMOVED = 1.0
"""Standard error of the logarithm of a step or an exponent from which on there is none."""
WIDEST_ERROR = 2.0
"""Standard error of the logarithm of a noise from which on the data do not determine it."""
STEEPEST = 20.0
"""Exponent from which on a power law is an exponential one within any data."""
MOST_PULSES = 10_000_000
WHITE_LAGS = 20
"""Autocorrelations in the Ljung–Box test."""
BINS = 8
"""Groups of similar conductance in the figure of steps."""


def pulses(
    table: Source,
    *,
    law: Law = "soft bounds",
    noises: Sequence[Noise] | None = None,
    cell: Cell | None = None,
    name: str = "pulses",
    columns: Mapping[str, str] | None = None,
    drop_missing: bool = False,
) -> Calibration:
    """Fit how pulses move a cell, and its noises.

    Normalised data must be given in S: the caller knows which conductance stands for 0 and how
    much for 1 (``20e-6 + 10e-6 * w``). Numbers that can't be conductances are refused.

    Parameters
    ----------
    table : columns ``pulse``, ``direction`` (up or down), ``conductance_S`` and, optionally,
        ``cell``. A row is a reading after its pulse. If the pulses of a cell have numbers of their
        own throughout, they are one sequence; if numbers come again, each direction is a series
        by itself that starts anew wherever its numbers do. Numbers that are left out are pulses
        of the row's direction without a reading.
    law : soft bounds, or power with an exponent for each direction.
    noises : of cycle-to-cycle, white and slow; by default the set with the smallest Bayes
        information criterion.
    cell : what was measured; its window becomes that between the bounds. By default a bare cell
        called ``name`` with the white noise as its read noise: one reading per pulse does not
        tell it from write noise.
    columns, drop_missing : see :func:`~zerohm.devices.calibrate.read_table`.

    Returns
    -------
    Calibration whose ``cell`` has ``pulses``. Slow noise is reported and not part of the cell:
    its memory is in pulses, and noises of a cell live in seconds. Errors are corrected for the
    length of the data, but asymptotic in a response that hardly shows the noise they rest on.

    Raises
    ------
    InputError : an unusable table, fewer than 10 predicted readings in both directions, or steps
        that do not move the cell.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> hidden = 20e-6 + 20e-6 * (1 - np.exp(-np.arange(200) / 80))
    >>> up_down = np.concatenate([hidden, hidden[::-1]]) + rng.normal(0, 0.5e-6, 400)
    >>> fit = pulses({"pulse": np.arange(400), "direction": ["up"] * 200 + ["down"] * 200,
    ...               "conductance_S": up_down}, noises=("white",))
    >>> f"{fit.estimates['white_noise']:.1e}"
    '5.0e-07'
    """
    choose("law of pulses", law, LAWS)
    asked = _asked(noises)
    data = read_table(table, "pulses", columns=columns, drop_missing=drop_missing)
    series, origin, span, refused = _series(data.data)
    candidates = _candidates(series, asked)
    fits = [maxima(one, law, candidates) for one in series]
    points = sum(one.points for one in series)
    information = {
        noises: sum(fit[noises].bayes_information for fit in fits) + 2.0 * points * log(span)
        for noises in candidates
    }
    chosen, responses = _best(fits, information)
    estimates, reasons = _combined(responses, origin, span)
    refused |= reasons | _absent_noises([one.maximum for one in responses], span)
    base = cell_from(data["conductance_S"], cell=cell, name=name)
    if cell is None and "white" in chosen:
        base = replace(base, read_noise=ConstantNoise(sigma=estimates["white_noise"]))
    distance = span * np.median([one.distance for one in responses], axis=0)
    fitted, reasons = _with_pulses(base, estimates, law, origin, distance)
    residuals, groups = _residuals(responses)
    p_value = _ljung_box(residuals, groups, len(_of_noises(chosen)))
    diagnosis = diagnose(residuals, groups)
    if p_value < 0.01:
        diagnosis = diagnosis.with_findings(
            f"the innovations are not white (Ljung–Box p = {p_value:.1g}): the noise has a memory "
            f"that {' and '.join(chosen)} noise does not describe, and the errors are wrong"
        )
    return Calibration(
        kind="pulses",
        estimates=estimates,
        cell=fitted,
        goodness={
            "noises": " + ".join(chosen),
            **{f"bic {' + '.join(noises)}": value for noises, value in information.items()},
            "ljung_box_p_value": p_value,
            "reference_S": origin,
            "rms_residual_S": span * _rms_residual(responses),
            "log_likelihood": estimates.log_likelihood,
            "points": float(points),
        },
        diagnosis=diagnosis,
        validity={column: data.range(column) for column in ("pulse", "conductance_S")},
        provenance=data.provenance,
        panels=_panels(responses[0], origin, span),
        refused=refused | reasons,
    )


def _asked(noises: Sequence[Noise] | None) -> tuple[tuple[Noise, ...], ...]:
    if noises is None:
        return CANDIDATES
    for noise in noises:
        choose("noise of pulses", noise, OF_NOISE)
    found = tuple(noise for noise in OF_NOISE if noise in noises)
    if found not in CANDIDATES:
        raise InputError(
            f"noises={tuple(noises)!r}: the sets that can be fitted are "
            + "; ".join(" + ".join(one) for one in CANDIDATES)
        )
    return (found,)


def _of_noises(noises: Sequence[Noise]) -> list[int]:
    return [i for noise in noises for i in OF_NOISE[noise]]


def _candidates(
    series: Sequence[Series], asked: tuple[tuple[Noise, ...], ...]
) -> tuple[tuple[Noise, ...], ...]:
    """The sets of noises that every cell has enough readings for."""
    points = min(one.points for one in series)
    steps = max(2 * len(set(one.directions)) for one in series)
    found = tuple(
        noises
        for noises in asked
        if READINGS_PER_PARAMETER * (steps + len(_of_noises(noises))) <= points
    )
    if not found:
        raise InputError(
            f"{points} predicted readings of a cell are too few for {' + '.join(asked[0])} noise: "
            f"it takes {READINGS_PER_PARAMETER} per parameter"
        )
    return found


def _series(rows: pd.DataFrame) -> tuple[list[Series], float, float, dict[str, str]]:
    """Series of every cell, seen from the middle of the range and divided by it; who is refused."""
    values = rows["conductance_S"].to_numpy()
    origin, span = 0.5 * float(values.min() + values.max()), float(np.ptp(values))
    if span == 0.0:
        raise InputError(f"all conductances are {values[0]:g} S: the pulses move nothing")
    numbers = rows["pulse"].to_numpy()
    if not np.array_equal(numbers, np.round(numbers)):
        raise InputError("the column pulse counts pulses: it must hold whole numbers")
    cells = [_ordered(cell) for _, cell in rows.groupby("cell", sort=False)]
    refused: dict[str, str] = {}
    for direction, sign in zip(DIRECTIONS, (1.0, -1.0), strict=True):
        fewest = min(int(np.sum(one.predicted & (one.directions == sign))) for one in cells)
        if fewest < FEWEST:
            why = f"{fewest} predicted readings after {direction} pulses; it takes {FEWEST}"
            refused |= {f"step_{direction}": why, f"bound_{direction}": why}
            cells = [_without(one, sign) for one in cells]
    if len(refused) == 4:
        raise InputError("; ".join(f"{key}: {why}" for key, why in refused.items()))
    scaled = [one._replace(readings=(one.readings - origin) / span) for one in cells]
    return scaled, origin, span, refused


def _ordered(rows: pd.DataFrame) -> Series:
    """Readings of one cell in order, with the number of pulses between them."""
    if rows["pulse"].is_unique:
        rows = rows.sort_values("pulse")
        gaps = np.diff(rows["pulse"], prepend=rows["pulse"].iloc[0])
    else:
        rows = rows.sort_values("direction", kind="stable")
        gaps = np.diff(rows["pulse"], prepend=rows["pulse"].iloc[0])
        again = (gaps == 0) & (np.diff(rows["direction"], prepend=0.0) == 0)
        if again[1:].any():
            number = rows["pulse"].to_numpy()[1:][again[1:]][0]
            raise InputError(f"two readings in a row after pulse {number:g}: give their mean")
        gaps[(gaps < 0) | (np.diff(rows["direction"], prepend=0.0) != 0)] = 0
    if gaps.sum() > MOST_PULSES:
        raise InputError(f"{gaps.sum():g} pulses of a cell: it takes at most {MOST_PULSES}")
    return Series(
        np.ascontiguousarray(rows["conductance_S"].to_numpy(dtype=np.float64)),
        gaps.astype(np.int64),
        np.ascontiguousarray(rows["direction"].to_numpy(dtype=np.float64)),
    )


def _without(series: Series, sign: float) -> Series:
    """The readings of the other direction; what follows a gap starts anew."""
    kept = series.directions != sign
    after_gap = np.concatenate([[True], ~kept[:-1]])
    pulses = np.where(after_gap, 0, series.pulses)
    return Series(series.readings[kept], pulses[kept], series.directions[kept])


@dataclass(frozen=True, kw_only=True)
class _Response:
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


def _best(
    fits: Sequence[Mapping[tuple[Noise, ...], Maximum]],
    information: Mapping[tuple[Noise, ...], float],
) -> tuple[tuple[Noise, ...], list[_Response]]:
    """The candidate with the smallest criterion whose noises the data determine."""
    failures = []
    for noises in sorted(information, key=lambda one: information[one]):
        try:
            return noises, [_response(fit[noises]) for fit in fits]
        except InputError as failure:
            failures.append(failure)
    raise failures[0]


def _response(maximum: Maximum) -> _Response:
    """Fit the exponents of a power law; from steps and slopes to steps and bounds."""
    refused: dict[str, str] = {}
    if maximum.likelihood.law == "power":
        maximum, refused = _power(maximum)
    found = _corrected(maximum)
    free = list(maximum.likelihood.free)
    parameters = maximum.likelihood.parameters(found.coordinates)
    basis = np.eye(len(free))
    rows = {
        PARAMETERS[index]: (found.coordinates[at], basis[at], found.freedom[at])
        for at, index in enumerate(free)
        if POSITIVE[index]
    }
    distance = np.full(2, np.nan)
    for d in (index for index in (0, 1) if index in free):
        at = free.index(SLOPES.start + d)
        slope, direction = parameters[SLOPES][d], DIRECTIONS[d]
        reach = parameters[STEPS][d] * parameters[EXPONENTS][d]
        if found.covariance[free.index(d), free.index(d)] > UNMOVED**2:
            del rows[f"step_{direction}"]
            refused[f"step_{direction}"] = f"{direction} pulses do not move the cell measurably"
            refused[f"bound_{direction}"] = f"step_{direction} is refused"
            continue
        row = basis[free.index(d)] - basis[at] / slope
        if EXPONENTS.start + d in free:
            row = row + basis[free.index(EXPONENTS.start + d)]
        if slope > 0.0 and row @ found.covariance @ row < RESOLVED**-2:
            rows[f"bound_{direction}"] = (np.log(reach / slope), row, found.freedom[at])
            distance[d] = reach / slope
            continue
        error = float(np.sqrt(found.covariance[at, at]))
        steepest = slope + float(norm.ppf(0.95)) * error
        distance[d] = reach / steepest if steepest > 0.0 else np.nan
        refused[f"bound_{direction}"] = (
            f"the steps do not shrink measurably (by {slope:.2g} ± {error:.1g} of the way per "
            "pulse): the bound lies outside of the data"
        )
    if not any(key.startswith("step") for key in rows):
        raise InputError("the pulses do not move the cell measurably: there is nothing to fit")
    jacobian = np.array([row for _, row, _ in rows.values()])
    return _Response(
        maximum=replace(maximum, coordinates=found.coordinates),
        logarithms={key: float(value) for key, (value, _, _) in rows.items()},
        covariance=jacobian @ found.covariance @ jacobian.T,
        freedom=np.array([freedom for _, _, freedom in rows.values()]),
        distance=distance,
        refused=refused,
    )


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


class _Effects(NamedTuple):
    """Normally distributed effects of cells: their mean and spread, with errors.

    ``spread`` is 0 where none is seen; ``limit`` is its 95 % upper limit.
    """

    mean: float
    error: float
    weights: Array
    spread: float
    spread_error: float
    limit: float


def _effects(values: Array, variances: Array) -> _Effects:
    """Restricted maximum likelihood from the fits of cells (cells,) with known variances."""

    def weights(spread: float) -> Array:
        return np.asarray(1.0 / (variances + spread**2))

    def fallen(spread: float) -> float:
        w = weights(spread)
        mean = np.sum(w * values) / np.sum(w)
        quadratic = np.sum(w * (values - mean) ** 2)
        return 0.5 * float(np.log(np.sum(w)) - np.sum(np.log(w)) + quadratic)

    widest = 10.0 * float(np.std(values)) + float(np.sqrt(variances.max()))
    half = 0.5 * float(chi2.ppf(0.90, 1))  # one-sided 95 %
    best = float(minimize_scalar(fallen, bounds=(0.0, widest), method="bounded").x)
    spread = best if fallen(0.0) - fallen(best) > half else 0.0
    w = weights(spread)
    projector = np.diag(w) - np.outer(w, w) / np.sum(w)
    of_variance = np.sqrt(2.0 / np.sum(projector**2))
    return _Effects(
        mean=float(np.sum(w * values) / np.sum(w)),
        error=float(1.0 / np.sqrt(np.sum(w))),
        weights=w / np.sum(w),
        spread=spread,
        spread_error=float(of_variance / (2.0 * spread)) if spread else np.nan,
        limit=float(brentq(lambda s: fallen(s) - fallen(best) - half, best, 100.0 * widest)),
    )


def _combined(
    responses: Sequence[_Response], origin: float, span: float
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
    spreads: dict[str, _Effects] = {}
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


def _spreads(
    names: list[str], logarithms: Array, blocks: Array
) -> tuple[dict[str, _Effects], dict[str, str]]:
    """Device-to-device spreads in the sense of :class:`~zerohm.devices.pulses.SoftBounds`."""
    contrasts = {
        "step_spread": {"step_up": 0.5, "step_down": 0.5},
        "asymmetry_spread": {"step_up": 0.5, "step_down": -0.5},
        "upper_bound_spread": {"bound_up": 1.0},
        "lower_bound_spread": {"bound_down": 1.0},
    }
    found: dict[str, _Effects] = {}
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
    spreads: Mapping[str, _Effects],
    responses: Sequence[_Response],
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
        wider = np.exp(float(norm.ppf(0.975)) * errors / widths)
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


def _absent_noises(maxima_found: Sequence[Maximum], span: float) -> dict[str, str]:
    """Upper limits of the noises that the chosen model does without."""
    refused = {}
    for noise, indices in OF_NOISE.items():
        if noise in maxima_found[0].noises:
            continue
        limit = max(upper_limit(one, noise) for one in maxima_found)
        said = f"{limit:.2g}" if noise == "cycle-to-cycle" else f"{limit * span:.2g} S"
        memory = f", for a memory of {LIMIT_MEMORY:g} pulses" if noise == "slow" else ""
        refused[PARAMETERS[indices[0]]] = (
            f"the model that was chosen does without it; it is below {said} (95 %{memory})"
        )
    return refused


def _with_pulses(
    base: Cell, estimates: Estimates, law: Law, origin: float, distance: Array
) -> tuple[Cell, dict[str, str]]:
    """The cell with its pulses, its window between the bounds; what it takes instead, and why.

    ``distance`` (2,), S, from the origin to the bounds up and down where those are refused.
    """
    values = dict(zip(estimates.names, estimates.values.tolist(), strict=True))
    lower = values.get("bound_down", origin - distance[1])
    upper = values.get("bound_up", origin + distance[0])
    if "step_up" not in values or "step_down" not in values or not np.isfinite(upper - lower):
        return base, {"pulses": "the cell has none: they take steps and bounds of both directions"}
    taken = [
        f"{name} is {end:.3g} S in the cell, the nearest that the data allow (95 %)"
        for name, end in (("bound_up", upper), ("bound_down", lower))
        if name not in values
    ]
    floor = base.conductance_floor
    if lower < floor:
        if "bound_down" in values and estimates.upper[estimates.names.index("bound_down")] < floor:
            return base, {"pulses": f"the cell has none: bound_down lies below {floor:g} S"}
        lower = floor
        taken.append(f"bound_down is {floor:g} S in the cell, where the device ends")
    window = upper - lower
    up, down = (upper - origin) / window, (origin - lower) / window
    exponents = [values.get(f"exponent_{direction}", 1.0) for direction in DIRECTIONS]
    steps = [values["step_up"] / window, values["step_down"] / window]
    common: dict[str, Any] = {"cycle_to_cycle": values.get("cycle_to_cycle", 0.0)}
    common |= {key: value for key, value in values.items() if key.endswith("_spread")}
    model: PowerStep | SoftBounds
    if law == "power":  # whose steps have their nominal size at the opposite bound
        steps = [steps[0] / up ** exponents[0], steps[1] / down ** exponents[1]]
        common |= {"exponent_up": exponents[0], "exponent_down": exponents[1]}
    common |= {"step_up": steps[0], "step_down": steps[1], "reference": down}
    if law == "power":
        model = checked(PowerStep, "the fitted pulses", **common)
    else:
        model = checked(SoftBounds, "the fitted pulses", **common)
    fitted = checked(
        lambda: replace(base, conductance_min=lower, conductance_max=upper, pulses=model),
        "the fitted cell",
    )
    return fitted, {"pulses": "; ".join(taken)} if taken else {}


def _residuals(responses: Sequence[_Response]) -> tuple[Array, NDArray[np.int64]]:
    """Standardised innovations of all series, and the series that each belongs to."""
    found, groups, before = [], [], 0
    for one in responses:
        likelihood = one.maximum.likelihood
        innovations, variances = likelihood.innovations(one.maximum.coordinates[:, None])
        predicted = likelihood.series.predicted
        found.append((innovations / np.sqrt(variances))[predicted, 0])
        group = before + np.cumsum(~predicted)
        groups.append(group[predicted])
        before = int(group[-1])
    return np.concatenate(found), np.concatenate(groups)


def _autocorrelations(residuals: Array, groups: NDArray[np.int64], lags: int) -> Array:
    """At lags 1 to ``lags``, products of different series left out."""
    power = np.sum(residuals**2)
    products = [
        np.sum((residuals[lag:] * residuals[:-lag])[groups[lag:] == groups[:-lag]])
        for lag in range(1, lags + 1)
    ]
    return np.array(products) / power


def _ljung_box(residuals: Array, groups: NDArray[np.int64], noises: int) -> float:
    """p-value of white innovations; all parameters of the noise but one shape correlations."""
    lags = min(WHITE_LAGS, residuals.size // 3)
    found = _autocorrelations(residuals, groups, lags)
    count = residuals.size
    weighted = np.sum(found**2 / (count - np.arange(1, lags + 1)))
    return float(chi2.sf(count * (count + 2.0) * weighted, lags - noises + 1))


def _curve(response: _Response) -> tuple[Array, Array]:
    """Mean response and its standard deviation, each series from its best start."""
    likelihood = response.maximum.likelihood
    series, parameters = likelihood.series, response.maximum.parameters
    means, above, variances = np.empty((3, series.readings.size))
    group = np.cumsum(series.pulses == 0) - 1
    starts = series.readings[series.pulses == 0][group]
    for _ in range(3):  # of Gauss and Newton; soft bounds take one
        law = (series.pulses, series.directions, parameters, likelihood.law == "soft bounds")
        response_of(starts + 1e-6, *law, above, variances)
        response_of(starts, *law, means, variances)
        slope = (above - means) / 1e-6
        moved = np.bincount(group, slope * (series.readings - means))
        starts = starts + (moved / np.bincount(group, slope**2))[group]
    return means, np.sqrt(variances)


def _rms_residual(responses: Sequence[_Response]) -> float:
    """Of readings around the mean response, in units of the range."""
    squares = [(one.maximum.likelihood.series.readings - _curve(one)[0]) ** 2 for one in responses]
    return float(np.sqrt(np.mean(np.concatenate(squares))))


def _panels(response: _Response, origin: float, span: float) -> tuple[Panel, ...]:
    """Response, steps, innovations and their autocorrelations, of the first cell."""
    series = response.maximum.likelihood.series
    up = series.directions > 0
    elapsed = np.cumsum(series.pulses)
    group = np.cumsum(series.pulses == 0) - 1
    elapsed = elapsed - elapsed[series.pulses == 0][group]
    means, deviations = _curve(response)
    residuals, groups = _residuals([response])
    lags = np.arange(1.0, min(WHITE_LAGS, residuals.size // 3) + 1)
    half = float(norm.ppf(0.975)) / np.sqrt(residuals.size)
    count = np.arange(1.0, residuals.size + 1)

    def siemens(position: Array) -> Array:
        return MICRO * (origin + span * position)

    def broken(values: Array) -> Array:
        """A gap before each series, so that lines do not join them."""
        return np.insert(values, np.flatnonzero(series.pulses == 0), np.nan)

    x = broken(elapsed.astype(np.float64))
    wide = float(norm.ppf(0.975)) * deviations
    return (
        Panel(
            x_label="Pulses",
            y_label="Conductance (µS)",
            points={
                name: (elapsed[of], siemens(series.readings[of]))
                for name, of in (("Up", up), ("Down", ~up))
                if of.any()
            },
            lines={"Fit": (x, broken(siemens(means)))},
            bands={"95 %": (x, broken(siemens(means - wide)), broken(siemens(means + wide)))},
        ),
        _steps_panel(response, means, siemens, MICRO * span),
        Panel(
            x_label="Predicted reading",
            y_label="Innovation (standard deviations)",
            points={"Measured": (count, residuals)},
            bands={"95 %": (count[[0, -1]], -np.full(2, 1.96), np.full(2, 1.96))},
        ),
        Panel(
            x_label="Lag (readings)",
            y_label="Autocorrelation of innovations",
            points={"Measured": (lags, _autocorrelations(residuals, groups, lags.size))},
            bands={"95 % of white noise": (lags[[0, -1]], -np.full(2, half), np.full(2, half))},
        ),
    )


def _steps_panel(
    response: _Response, means: Array, siemens: Callable[[Array], Array], scale: float
) -> Panel:
    """Measured and fitted change per pulse against the conductance of the mean response."""
    series = response.maximum.likelihood.series
    points, lines = {}, {}
    for name, sign in (("Up", 1.0), ("Down", -1.0)):
        after = np.flatnonzero(series.predicted & (series.directions == sign))
        if not after.size:
            continue
        before = means[after - 1]
        changes = (series.readings[after] - series.readings[after - 1]) / series.pulses[after]
        fitted = (means[after] - before) / series.pulses[after]
        bins = np.array_split(np.argsort(before), min(BINS, after.size))
        at, measured, line = (
            np.array([np.mean(values[one]) for one in bins]) for values in (before, changes, fitted)
        )
        points[name] = (siemens(at), scale * measured)
        lines[f"{name}, fit"] = (siemens(at), scale * line)
    return Panel(
        x_label="Conductance (µS)",
        y_label="Mean change per pulse (µS)",
        points=points,
        lines=lines,
    )
