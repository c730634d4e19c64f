"""Write noise from programming events: conductance reached against conductance asked for.

Three laws are fitted to the errors e = G − T of targets T:

- constant: e is normal with one standard deviation,
- polynomial: e is normal with σ(T) = Σₖ cₖ (T/T_max)ᵏ, of degree 1 to 4,
- acceptance band: e is uniform in ±a T, what write–verify leaves.

The normal laws have a mean error that is linear in T, the bias. Their error bars are those of the
observed information; of the sandwich over cells if the table names at least 30, and over rows if
the tails are heavier than normal (99 % band of the excess kurtosis, 2.58 √(24/n)). The degree is
that with the smallest BIC after division of the log-likelihood by the variance inflation
max(1, (excess kurtosis + 2) / 2), which is what the scores of a standard deviation have too much of
under heavy tails (a quasi-likelihood; Burnham & Anderson, Model Selection and Multimodel Inference,
Springer 2002, section 2.5). The band is taken if its BIC is smaller.

For the band the largest |e|/T of n events, m, is sufficient. m/a is Beta(n, 1)-distributed, hence
the unbiased estimate a = m (n + 1)/n and the exact interval from m·0.975^(−1/n) to m·0.025^(−1/n).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.polynomial import Legendre, Polynomial
from numpy.polynomial.legendre import legvander
from scipy.stats import kruskal, kstest, norm, normaltest, t

from zerohm._arrays import Array
from zerohm._errors import InputError, checked, choose

from ..noise import AcceptanceBand, ConstantNoise, NoiseLaw, PolynomialNoise
from ..rram import Cell
from .diagnosis import BAND, Diagnosis, diagnose
from .estimate import (
    INTERVAL,
    Estimates,
    EstimationError,
    Parameter,
    Scale,
    join,
    maximise,
    transform,
)
from .panel import Panel, quantile_panel
from .quantities import quantity
from .result import MICRO, Calibration, cell_from
from .table import Source, Table, read_table

Law = Literal["constant", "polynomial", "acceptance band"]
LAWS = ("constant", "polynomial", "acceptance band")
MAX_DEGREE = 4
FEWEST = 10
"""Programming events without which there is nothing to fit."""
FEWEST_CLUSTERS = 30
"""Cells from which on the sandwich covariance goes over cells instead of rows."""
NORMAL = 0.5 * float(np.log(2.0 * np.pi))
BINS = 10
"""Groups of similar targets for the tests of the fit against the target."""


@dataclass(frozen=True, kw_only=True)
class _Fit:
    """One law, fitted: the mean error at targets, the residuals as normal scores, and the Legendre
    coefficients of the standard deviation, if it has any."""

    name: str
    estimates: Estimates
    law: NoiseLaw
    bias: Callable[[Array], Array]
    scores: Array
    spreads: list[float] = field(default_factory=list)


def programming(
    table: Source,
    *,
    law: Law | None = None,
    degree: int | None = None,
    cell: Cell | None = None,
    name: str = "programming",
    columns: Mapping[str, str] | None = None,
    drop_missing: bool = False,
) -> Calibration:
    """Fit the write noise of a cell.

    Parameters
    ----------
    table : columns ``target_S``, ``conductance_S`` and, optionally, ``cell``.
    law : constant, polynomial or acceptance band; by default the one with the smallest BIC.
    degree : of the polynomial, 1 to 4; by default the one with the smallest BIC.
    cell : what was measured; by default a bare cell called ``name`` whose window is the range of
        the targets.
    columns, drop_missing : see :func:`~zerohm.devices.calibrate.read_table`.

    Returns
    -------
    Calibration whose ``cell`` has the law as ``write_noise``. A noise law has no mean: a bias is
    reported, and not part of the cell.

    Raises
    ------
    InputError : an unusable table, fewer than 10 events, or a law that does not fit the data.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> targets = np.linspace(10e-6, 50e-6, 500)
    >>> reached = targets + rng.normal(0.0, 1e-6, 500)
    >>> fit = programming({"target_S": targets, "conductance_S": reached})
    >>> fit.cell.write_noise.kind, f"{fit.parameters.value.sel(parameter='sigma'):.2g}"
    ('constant', '1e-06')
    """
    if law is not None:
        choose("law of write noise", law, LAWS)
    if degree is not None and (law == "constant" or not 1 <= degree <= MAX_DEGREE):
        raise InputError(f"degree={degree!r}: a polynomial has a degree from 1 to {MAX_DEGREE}")
    data = read_table(table, "programming", columns=columns, drop_missing=drop_missing)
    if len(data) < FEWEST:
        raise InputError(f"{len(data)} programming events: write noise takes at least {FEWEST}")
    if np.ptp(data["conductance_S"] - data["target_S"]) == 0:
        raise InputError("every error is the same: there is no write noise to fit")
    base = cell_from(data["target_S"], cell=cell, name=name)
    fits = _candidates(data, law, degree, base)
    best = _best(fits)
    refused = dict(best.estimates.flags)
    if best.name != "acceptance band" and "bias_slope" not in best.estimates.names:
        refused["bias_slope"] = "there is one target only"
    return Calibration(
        kind="programming",
        estimates=best.estimates,
        cell=checked(lambda: replace(base, write_noise=best.law), "the fitted cell"),
        goodness=_goodness(data, best, fits),
        diagnosis=_diagnosis(data, best, base),
        validity={column: data.range(column) for column in ("target_S", "conductance_S")},
        provenance=data.provenance,
        panels=_panels(data, best),
        refused=refused,
    )


def _candidates(data: Table, law: str | None, degree: int | None, cell: Cell) -> list[_Fit]:
    """Every law that was asked for and can be fitted."""
    fits = []
    if law in (None, "acceptance band") and degree is None:
        fits += _band(data)
    if law != "acceptance band":
        fits += _gaussian(data, law, degree, cell)
    if not fits:
        raise InputError(
            f"the law {law!r} can't be fitted: an acceptance band needs positive targets, a "
            "polynomial of degree d at least d + 1 different ones and a standard deviation that is "
            "positive in the whole window"
        )
    return fits


def _best(fits: list[_Fit]) -> _Fit:
    """The law to take; see the head of this module."""
    bands = [fit for fit in fits if fit.name == "acceptance band"]
    normal = [fit for fit in fits if fit.name != "acceptance band"]
    if normal:
        inflation = _inflation(normal[-1].scores)
        normal = [min(normal, key=lambda fit: _information(fit, inflation))]
    return min(bands + normal, key=lambda fit: fit.estimates.bayes_information)


def _information(fit: _Fit, inflation: float) -> float:
    found = fit.estimates
    penalty = len(found.names) * float(np.log(found.points))
    return penalty - 2.0 * found.log_likelihood / inflation


def _inflation(scores: Array) -> float:
    """By how much heavy tails make the scores of a standard deviation vary more."""
    return max(1.0, _excess_kurtosis(scores) / 2.0 + 1.0)


def _excess_kurtosis(scores: Array) -> float:
    centred = scores - scores.mean()
    return float(np.mean(centred**4) / np.mean(centred**2) ** 2) - 3.0


def _band(data: Table) -> list[_Fit]:
    """Uniform errors in proportion to the target."""
    targets, count = data["target_S"], len(data)
    if targets.min() <= 0:
        return []
    relative = data["conductance_S"] / targets - 1.0
    largest = float(np.abs(relative).max())
    if not 0 < largest < 1:
        return []
    width = largest * (count + 1) / count
    estimates = Estimates(
        names=("relative_band",),
        units=("1",),
        values=np.array([width]),
        lower=np.array([largest * 0.975 ** (-1 / count)]),
        upper=np.array([largest * 0.025 ** (-1 / count)]),
        covariance=np.array([[width**2 / (count * (count + 2))]]),
        log_likelihood=float(-count * np.log(2 * largest) - np.log(targets).sum()),
        points=count,
    )
    mean, error = float(relative.mean()), float(relative.std(ddof=1)) / np.sqrt(count)
    bias = Estimates(
        names=("relative_bias",),
        units=("1",),
        values=np.array([mean]),
        lower=np.array([mean - INTERVAL * error]),
        upper=np.array([mean + INTERVAL * error]),
        covariance=np.array([[error**2]]),
        log_likelihood=0.0,
        points=0,
    )
    return [
        _Fit(
            name="acceptance band",
            estimates=join(estimates, bias),
            law=AcceptanceBand(relative=width),
            bias=lambda at: mean * at,
            scores=np.asarray(norm.ppf(0.5 + 0.5 * relative / width)),
        )
    ]


def _gaussian(data: Table, law: str | None, degree: int | None, cell: Cell) -> list[_Fit]:
    """Normal errors, from the constant to the highest polynomial that is a law in the window."""
    window = np.linspace(cell.conductance_min, cell.conductance_max, 1001)
    levels = len(np.unique(data["target_S"]))
    highest = 0 if law == "constant" else min(degree or MAX_DEGREE, levels - 1)
    lowest = degree or (1 if law == "polynomial" else 0)
    fits = [_normal(data, [float(np.std(data["conductance_S"] - data["target_S"]))])]
    for _ in range(highest):
        try:
            fit = _normal(data, [*fits[-1].spreads, 0.0])
        except EstimationError:
            break  # the standard deviation would have to be negative somewhere
        if np.any(fit.law.std(window) < 0):
            break
        fits.append(fit)
    return fits[lowest:]


def _normal(data: Table, spreads: list[float]) -> _Fit:
    """Normal errors, their standard deviation a polynomial with as many terms as ``spreads``.

    ``spreads`` are where the search for its Legendre coefficients over the range of the targets
    begins: these are nearly uncorrelated, however narrow the range.
    """
    targets, order = data["target_S"], len(spreads) - 1
    errors = data["conductance_S"] - targets
    low, high = data.range("target_S")
    middle, top = float(targets.mean()), max(abs(low), abs(high))
    means = np.vander(targets - middle, 1 + (high > low), increasing=True)
    basis = legvander((2.0 * targets - low - high) / ((high - low) or 1.0), order)
    biases, spread = means.shape[1], spreads[0]

    def contributions(values: Array) -> Array:
        sigma = basis @ values[biases:]
        residuals = (errors - means @ values[:biases]) / sigma
        return np.asarray(-np.log(sigma) - 0.5 * np.square(residuals)) - NORMAL

    start = np.linalg.lstsq(means, errors)[0]
    parameters = [Parameter(name="bias", unit="S", start=float(start[0]), size=spread)]
    if biases > 1:
        size = spread / (high - low)
        parameters.append(Parameter(name="bias_slope", unit="1", start=float(start[1]), size=size))
    scale: Scale = "linear" if order else "logarithmic"
    parameters += [
        Parameter(name="sigma", unit="S", start=value, scale=scale, size=spread)
        for value in spreads
    ]
    cells = data.cell_numbers
    clusters = cells if cells.max() >= FEWEST_CLUSTERS - 1 else None
    found = maximise(contributions, parameters, points=len(data), clusters=clusters)
    scores = (errors - means @ found.values[:biases]) / (basis @ found.values[biases:])
    if clusters is None and _excess_kurtosis(scores) > BAND * np.sqrt(24.0 / len(data)):
        rows = np.arange(len(data))
        found = maximise(contributions, parameters, points=len(data), clusters=rows)
    values, spreads = found.values[:biases], [float(value) for value in found.values[biases:]]
    law: NoiseLaw
    if order == 0:
        law = ConstantNoise(sigma=spreads[0])
    else:
        found = _in_powers(found, order, low / top, high / top)
        coefficients = tuple(float(value) for value in found.values[biases:])
        law = PolynomialNoise(coefficients=coefficients, scale=1.0, reference=top)
    return _Fit(
        name=f"polynomial {order}" if order else "constant",
        estimates=found,
        law=law,
        bias=lambda at: np.vander(at - middle, biases, increasing=True) @ values,
        scores=scores,
        spreads=spreads,
    )


def _in_powers(found: Estimates, order: int, low: float, high: float) -> Estimates:
    """The last estimates, Legendre coefficients between ``low`` and ``high``, for powers."""
    first = len(found.names) - order - 1
    matrix = np.eye(len(found.names))
    for k in range(order + 1):
        legendre = Legendre.basis(k, domain=[low, high])
        powers = legendre.convert(kind=Polynomial, domain=[-1, 1]).coef
        matrix[first : first + k + 1, first + k] = powers
    names = [*found.names[:first], *(f"coefficient_{k}" for k in range(order + 1))]
    return transform(found, matrix, names, found.units)


def _groups(values: Array, targets: Array) -> list[Array]:
    """Values at similar targets, in at most ten groups of at least five."""
    edges = np.unique(np.quantile(targets, np.linspace(0, 1, BINS + 1)))
    number = np.digitize(targets, edges[1:-1])
    found = [values[number == at] for at in range(max(len(edges) - 1, 1))]
    return [group for group in found if len(group) >= 5]


def _goodness(data: Table, best: _Fit, fits: list[_Fit]) -> dict[str, float | str]:
    """The law and its rivals, and p-values against what the law says about its residuals."""
    targets = data["target_S"]
    found: dict[str, float | str] = {
        "law": best.name,
        "log_likelihood": best.estimates.log_likelihood,
        "points": best.estimates.points,
        **{f"bic {fit.name}": fit.estimates.bayes_information for fit in fits},
    }
    if best.name == "acceptance band":
        sizes = np.sort(np.abs(data["conductance_S"] / targets - 1.0))
        found["uniformity_p_value"] = float(kstest(sizes[:-1] / sizes[-1], "uniform").pvalue)
    else:
        found["normality_p_value"] = float(normaltest(best.scores).pvalue)
        found["variance_inflation"] = _inflation(best.scores)
    if len(groups := _groups(best.scores, targets)) > 1:
        found["mean_vs_target_p_value"] = float(kruskal(*groups).pvalue)
        found["spread_vs_target_p_value"] = float(kruskal(*map(np.abs, groups)).pvalue)
    return found


def _diagnosis(data: Table, best: _Fit, cell: Cell) -> Diagnosis:
    """Residuals, a bias, which no noise law has, heavy tails, and targets not measured."""
    found = diagnose(best.scores, data.cell_numbers, fitted=2)
    estimates = best.estimates
    for name, unit, value, error in zip(
        estimates.names, estimates.units, estimates.values, estimates.standard_errors, strict=True
    ):
        if name in ("bias", "bias_slope", "relative_bias") and abs(value) > 3.0 * error:
            found = found.with_findings(
                f"{name} = {quantity(value, error, unit)} is not zero, but a noise law has no "
                "mean: correct the targets by it"
            )
    if found.kurtosis_p_value < 0.01 and found.excess_kurtosis > 0:
        found = found.with_findings(_student(best.scores))
    low, high = data.range("target_S")
    slack = 1e-6 * cell.window
    if cell.conductance_min < low - slack or cell.conductance_max > high + slack:
        found = found.with_findings(
            f"targets were measured from {low:g} to {high:g} S only: in the rest of the window of "
            f"{cell.name!r} the law is an extrapolation"
        )
    return found


def _student(scores: Array) -> str:
    """The alternative with heavy tails, in words."""

    def contributions(values: Array) -> Array:
        return np.asarray(t.logpdf(scores, values[0], scale=values[1]))

    found = maximise(
        contributions,
        [
            Parameter(name="freedom", unit="1", start=4.0, scale="logarithmic"),
            Parameter(name="scale", unit="1", start=0.7, scale="logarithmic"),
        ],
        points=len(scores),
    )
    gain = 2.0 * (found.log_likelihood - float(norm.logpdf(scores).sum()))
    share = 2.0 * float(t.sf(3.0, found["freedom"], scale=found["scale"])) / (2.0 * norm.sf(3.0))
    return (
        f"a Student t distribution with {found['freedom']:.2g} degrees of freedom describes the "
        f"errors better (2 Δ ln L = {gain:.3g}); it has {share:.2g} times as many errors beyond "
        "3 standard deviations as the cell"
    )


def _panels(data: Table, best: _Fit) -> tuple[Panel, ...]:
    """Errors with the 95 % band, spread against target, normal scores, residuals in order."""
    targets, errors = data["target_S"], data["conductance_S"] - data["target_S"]
    grid = np.linspace(targets.min(), targets.max(), 201)
    mean, sigma = best.bias(grid), np.broadcast_to(best.law.std(grid), grid.shape)
    reach = 0.95 * np.sqrt(3.0) if best.law.density == "uniform" else INTERVAL
    centres = [group.mean() for group in _groups(targets, targets)]
    spreads = [group.std() for group in _groups(errors - best.bias(targets), targets)]
    label = "Target conductance (µS)"
    return (
        Panel(
            x_label=label,
            y_label="Programming error (µS)",
            points={"Measured": (targets * MICRO, errors * MICRO)},
            lines={"Mean": (grid * MICRO, mean * MICRO)},
            bands={
                "95 %": (
                    grid * MICRO,
                    (mean - reach * sigma) * MICRO,
                    (mean + reach * sigma) * MICRO,
                )
            },
        ),
        Panel(
            x_label=label,
            y_label="Standard deviation (µS)",
            points={"Measured": (np.array(centres) * MICRO, np.array(spreads) * MICRO)},
            lines={f"Fit ({best.name})": (grid * MICRO, sigma * MICRO)},
        ),
        quantile_panel(best.scores),
        Panel(
            x_label="Row",
            y_label="Residual (standard deviations)",
            points={"Measured": (np.arange(1.0, len(data) + 1), best.scores)},
        ),
    )
