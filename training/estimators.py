"""Gradients from the write noise of two arrays (dual-array zeroth-order estimation).

Both arrays are programmed with the same weights w; array X ∈ {A, B} then holds w + S·e_X with
S = diag(σ(w)) and independent e. Their losses on one mini-batch differ by ΔL = L_A − L_B, and
reading both back gives δ = Ŵ_A − Ŵ_B with read-back noise of variance σ_r² per array. The two
arrays are an antithetic pair: even orders of the loss cancel in ΔL. By Stein's identity
E[ΔL·δ] = 2 σ² ∇L_S(w), L_S being the expected loss of a freshly programmed array.

A single array with a baseline b of its loss has E[(L_A − b)·(Ŵ_A − w)] = σ² ∇L_S for any b that
does not depend on its noise. An offset μ of the written weights adds μ·E[L_A − b] to that, and must
be subtracted from the read-back.

Every estimator takes an :class:`Observation` and returns a gradient of the same shape as the
weights; leading axes are independent observations.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from zerohm._arrays import Array
from zerohm._errors import InputError

from ..mapping import WriteNoise


@dataclass(frozen=True)
class Observation:
    """What one step of training by write noise has measured.

    loss_difference : L_A − L_B, or L_A − b of a single array with a baseline b, (...).
    written : w, the weights that the arrays were programmed with, (d,).
    read_back : Ŵ_A and Ŵ_B, (2, ..., d), or Ŵ_A alone, (1, ..., d).
    write_noise : calibrated statistics of the write noise at w.
    read_back_std : σ_r of one array's read-back, broadcasts against (d,).
    """

    loss_difference: Array
    written: Array
    read_back: Array
    write_noise: WriteNoise
    read_back_std: Array

    @property
    def difference(self) -> Array:
        """δ = Ŵ_A − Ŵ_B, or Ŵ_A − w of a single array."""
        reference = self.read_back[1] if self.arrays == 2 else self.written
        difference: Array = self.read_back[0] - reference
        return difference

    @property
    def arrays(self) -> int:
        """How many arrays vary: the variance of δ is that of so many."""
        return len(self.read_back)


def _scaled(loss_difference: Array, direction: Array) -> Array:
    gradient: Array = np.asarray(loss_difference, dtype=direction.dtype)[..., None] * direction
    return gradient


def _inverse(spread: Array) -> Array:
    """1/spread, and zero where there is no noise: a cell that does not vary shows nothing."""
    result: Array = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)
    return result


def naive(seen: Observation) -> Array:
    """ΔL·δ / 2σ̄² with one mean variance σ̄² for all weights; expects (σ²/σ̄²)·∇L_S.

    Unbiased for equal noise in all cells; otherwise still a descent direction in which quiet
    cells learn little.
    """
    mean_variance = np.mean(np.square(seen.write_noise.std))
    return _scaled(seen.loss_difference, seen.difference) * (1.0 / (seen.arrays * mean_variance))


def covariance(seen: Observation) -> Array:
    """ΔL·δ / 2σ(w)², cell by cell; expects ∇L_S. Read-back noise only adds variance."""
    inverse = _inverse(seen.arrays * np.square(seen.write_noise.std))
    return _scaled(seen.loss_difference, seen.difference * inverse)


def wiener(seen: Observation) -> Array:
    """ΔL·δ / (2σ² + 2σ_r²): biased towards zero where read-back noise rivals write noise.

    Of all estimators of the form ΔL·δ·c with one factor per cell, c ∝ 1/(σ² + σ_r²) has the
    least mean-square error in the perturbation itself.
    """
    variance = np.square(seen.write_noise.std) + np.square(seen.read_back_std)
    return _scaled(seen.loss_difference, seen.difference * _inverse(seen.arrays * variance))


def score(seen: Observation) -> Array:
    """½·ΔL·[s(Ŵ_A) − s(Ŵ_B)] with the score s of Gaussian write noise of state-dependent width.

    For a single array ΔL·s(Ŵ_A).

    Raises
    ------
    InputError : the write noise is not Gaussian; use :func:`from_scores` with its own score.
    """
    require_gaussian(seen.write_noise)
    scores = gaussian_score(
        seen.read_back - seen.written,
        seen.write_noise.std,
        seen.write_noise.std_slope,
        seen.read_back_std,
    )
    if seen.arrays == 1:
        return _scaled(seen.loss_difference, scores[0])
    return from_scores(seen.loss_difference, scores)


def require_gaussian(write_noise: WriteNoise) -> None:
    """Raise :class:`zerohm.InputError` for write noise that :func:`score` cannot use."""
    if write_noise.density != "gaussian":
        raise InputError(
            "estimator 'score' needs Gaussian write noise (an acceptance band has no score): "
            "use 'covariance' or 'wiener'"
        )


def gaussian_score(deviation: Array, std: Array, std_slope: Array, read_back_std: Array) -> Array:
    """d/dw log p of a deviation from w under N(0, σ(w)²), corrected for read-back noise.

    s = ê/σ + (σ′/σ)(ê² − 1 − σ_r²/σ²) with ê = deviation/σ.
    """
    inverse = _inverse(std)
    standard = deviation * inverse
    excess = np.square(standard) - 1.0 - np.square(read_back_std * inverse)
    result: Array = standard * inverse + std_slope * inverse * excess
    return result


def from_scores(loss_difference: Array, scores: Array) -> Array:
    """½·ΔL·(s_A − s_B) for the scores (2, ..., d) of any write-noise density; expects ∇L_S."""
    return _scaled(loss_difference, 0.5 * (scores[0] - scores[1]))


ESTIMATORS: dict[str, Callable[[Observation], Array]] = {
    "naive": naive,
    "covariance": covariance,
    "wiener": wiener,
    "score": score,
}
"""Every estimator by the name that options and results use."""
