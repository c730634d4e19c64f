"""What residuals say about the model that left them."""

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kurtosis, kurtosistest, norm

from zerohm._arrays import Array

BAND = float(norm.ppf(0.995))
"""Standard errors on either side of 0 that hold 99 % of right models' statistics."""
FEWEST = 20
"""Residuals without which nothing is said about tails."""
GAUSSIAN_TAILS = float(norm.ppf(0.995) / norm.ppf(0.75))


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """Checks of residuals, which a right model leaves independent and standard normal.

    Parameters
    ----------
    points : number of residuals.
    lag1_autocorrelation, lag1_band : of neighbours within a cell, and the half-width of the band
        that holds 99 % of the autocorrelations of independent residuals.
    excess_kurtosis, kurtosis_p_value : 0 for a Gaussian, and the p-value of that (Anscombe &
        Glynn, Biometrika 70, 227 (1983)).
    tail_ratio : width of the central 99 % over that of the central 50 %, relative to a Gaussian.
    findings : what is wrong, one sentence each; empty if nothing is. Each check raises a false
        alarm with 1 % of right models.

    What can't be computed from so few residuals is NaN.
    """

    points: int
    lag1_autocorrelation: float
    lag1_band: float
    excess_kurtosis: float
    kurtosis_p_value: float
    tail_ratio: float
    findings: tuple[str, ...]

    def with_findings(self, *sentences: str) -> Self:
        """The same, with what else was found."""
        return replace(self, findings=(*self.findings, *sentences))


def diagnose(residuals: Array, cells: NDArray[Any] | None = None, *, fitted: int = 0) -> Diagnosis:
    """Diagnose standardised residuals.

    Parameters
    ----------
    residuals : (points,), (observed − expected) / standard deviation, or normal scores of a law
        that is not Gaussian; in the order of measurement.
    cells : (points,), labels; neighbours of different cells are not compared.
    fitted : number of parameters of the expected values: each makes the autocorrelation more
        negative by 1 / points, which is corrected for.

    Examples
    --------
    >>> walk = np.cumsum(np.random.default_rng(0).standard_normal(1000))
    >>> diagnose((walk - walk.mean()) / walk.std()).lag1_autocorrelation > 0.9
    True
    """
    residuals = np.asarray(residuals, dtype=np.float64)
    lag1, lag1_band = _autocorrelation(residuals, cells)
    lag1 += fitted / residuals.size
    enough = residuals.size >= FEWEST and bool(np.ptp(residuals) > 0)
    excess = float(kurtosis(residuals)) if enough else np.nan
    p_value = float(kurtosistest(residuals).pvalue) if enough else np.nan
    tails = _tail_ratio(residuals) if enough else np.nan
    findings = []
    if abs(lag1) > lag1_band:
        meaning = "slow noise or drift" if lag1 > 0 else "an alternation"
        findings.append(
            f"neighbouring residuals are correlated ({lag1:+.2f}, 99 % band ±{lag1_band:.2f}): "
            f"there is {meaning} that the model lacks, and its standard errors are wrong"
        )
    if p_value < 0.01:
        weight, often = ("heavier", "more") if excess > 0 else ("lighter", "less")
        findings.append(
            f"the residuals have {weight} tails than the model (excess kurtosis {excess:+.2g}, "
            f"central 99 % {tails:.2g} times a Gaussian's): large deviations are {often} frequent "
            "than the cell will show"
        )
    return Diagnosis(
        points=residuals.size,
        lag1_autocorrelation=lag1,
        lag1_band=lag1_band,
        excess_kurtosis=excess,
        kurtosis_p_value=p_value,
        tail_ratio=tails,
        findings=tuple(findings),
    )


def _autocorrelation(residuals: Array, cells: NDArray[Any] | None) -> tuple[float, float]:
    """Mean product of neighbours over the mean square, and the half-width of its 99 % band."""
    if cells is None:
        products = residuals[1:] * residuals[:-1]
    else:
        order = np.argsort(cells, kind="stable")
        labels, sorted_residuals = np.asarray(cells)[order], residuals[order]
        neighbours = labels[1:] == labels[:-1]
        products = (sorted_residuals[1:] * sorted_residuals[:-1])[neighbours]
    power = float(np.mean(np.square(residuals)))
    if not products.size or not power:
        return np.nan, np.nan
    return float(np.mean(products)) / power, BAND / float(np.sqrt(products.size))


def _tail_ratio(residuals: Array) -> float:
    far, near, above, beyond = np.quantile(residuals, [0.005, 0.25, 0.75, 0.995])
    return float((beyond - far) / (above - near) / GAUSSIAN_TAILS) if above > near else np.nan
