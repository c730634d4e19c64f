"""Innovations of fitted pulse responses: whether they are white, and the figure that shows it."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from zerohm._arrays import Array

from .estimate import INTERVAL
from .panel import Panel
from .pulse_likelihood import response_of
from .pulse_response import Response
from .result import MICRO

LAGS = 20
"""Autocorrelations in the Ljung–Box test."""
FARTHEST = 1e6
"""Ranges of the readings beyond which a response has no value any more."""
BINS = 8
"""Groups of similar conductance among the steps."""


def standardised_innovations(responses: Sequence[Response]) -> tuple[Array, NDArray[np.int64]]:
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


def autocorrelations(residuals: Array, groups: NDArray[np.int64], lags: int) -> Array:
    """At lags 1 to ``lags``, products of different series left out; NaN if all residuals are 0."""
    power = np.sum(residuals**2) or np.nan
    products = [
        np.sum((residuals[lag:] * residuals[:-lag])[groups[lag:] == groups[:-lag]])
        for lag in range(1, lags + 1)
    ]
    return np.array(products) / power


def ljung_box(residuals: Array, groups: NDArray[np.int64], noises: int) -> float:
    """p-value of white innovations; all parameters of the noise but one shape correlations."""
    lags = min(LAGS, residuals.size // 3)
    found = autocorrelations(residuals, groups, lags)
    count = residuals.size
    weighted = np.sum(found**2 / (count - np.arange(1, lags + 1)))
    return float(chi2.sf(count * (count + 2.0) * weighted, lags - noises + 1))


def mean_response(response: Response) -> tuple[Array, Array]:
    """Mean response and its standard deviation, each series from its best start.

    NaN where steps that were fitted to grow with every pulse have led out of all bounds.
    """
    likelihood = response.maximum.likelihood
    series, parameters = likelihood.series, response.maximum.parameters
    means, above, variances = np.empty((3, series.readings.size))
    group = np.cumsum(series.pulses == 0) - 1
    starts = series.readings[series.pulses == 0][group]
    law = (series.pulses, series.directions, parameters, likelihood.law == "soft bounds")
    with np.errstate(all="ignore"):
        for _ in range(3):  # of Gauss and Newton; soft bounds take one
            response_of(starts + 1e-6, *law, above, variances)
            response_of(starts, *law, means, variances)
            slope = (above - means) / 1e-6
            moved = np.bincount(group, slope * (series.readings - means))
            starts = starts + (moved / np.bincount(group, slope**2))[group]
        known = np.abs(means) + np.sqrt(variances) < FARTHEST
    return np.where(known, means, np.nan), np.sqrt(np.where(known, variances, np.nan))


def rms_residual(responses: Sequence[Response]) -> float:
    """Of readings around the mean response, in units of the range."""
    squares = [
        (one.maximum.likelihood.series.readings - mean_response(one)[0]) ** 2 for one in responses
    ]
    return float(np.sqrt(np.mean(np.concatenate(squares))))


def panels_of(response: Response, origin: float, span: float) -> tuple[Panel, ...]:
    """Response, steps, innovations and their autocorrelations, of the first cell."""
    series = response.maximum.likelihood.series
    up = series.directions > 0
    elapsed = np.cumsum(series.pulses)
    group = np.cumsum(series.pulses == 0) - 1
    elapsed = elapsed - elapsed[series.pulses == 0][group]
    means, deviations = mean_response(response)
    residuals, groups = standardised_innovations([response])
    lags = np.arange(1.0, min(LAGS, residuals.size // 3) + 1)
    half = INTERVAL / np.sqrt(residuals.size)
    count = np.arange(1.0, residuals.size + 1)

    def siemens(position: Array) -> Array:
        return MICRO * (origin + span * position)

    def broken(values: Array) -> Array:
        """A gap before each series, so that lines do not join them."""
        return np.insert(values, np.flatnonzero(series.pulses == 0), np.nan)

    x = broken(elapsed.astype(np.float64))
    wide = INTERVAL * deviations
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
            bands={"95 %": (count[[0, -1]], -np.full(2, INTERVAL), np.full(2, INTERVAL))},
        ),
        Panel(
            x_label="Lag (readings)",
            y_label="Autocorrelation of innovations",
            points={"Measured": (lags, autocorrelations(residuals, groups, lags.size))},
            bands={"95 % of white noise": (lags[[0, -1]], -np.full(2, half), np.full(2, half))},
        ),
    )


def _steps_panel(
    response: Response, means: Array, siemens: Callable[[Array], Array], scale: float
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
        lines[name] = (siemens(at), scale * line)
    return Panel(
        x_label="Conductance (µS)",
        y_label="Mean change per pulse (µS)",
        points=points,
        lines=lines,
    )
