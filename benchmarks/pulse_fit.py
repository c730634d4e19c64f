"""Time to fit a pulse response of 2 × 1000 pulses, beside the closed form that ignores noise.

Reads measured pulses (Gong et al., Nat. Commun. 2018) from $ZEROHM_DATA if they are there,
otherwise makes a response of the same size. Both fits get the same readings in the same run, on
one thread, compiled before:

- the state-space fit of ``devices.calibrate.pulses``: five sets of noises compared, covariance,
  upper limits, tests of the innovations, figure data;
- the bare maximum of the likelihood for the noises that it chose, with covariance;
- scipy's ``curve_fit`` of x(p) = bound + (start − bound) exp(−rate p), each direction by itself:
  independent errors, no kinds of noise.

Run: OPENBLAS_NUM_THREADS=1 python benchmarks/pulse_fit.py
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import curve_fit

from zerohm.devices.calibrate.pulse_estimates import corrected, maxima
from zerohm.devices.calibrate.pulse_likelihood import Series
from zerohm.devices.calibrate.pulses import pulses

COUNT, REPEATS = 1000, 20
OFFSET, SCALE = 20e-6, 10e-6  # S, and S per unit of the normalised data: chosen, not measured


def measured() -> np.ndarray:
    """(2, pulses), normalised: up and down."""
    folder = Path(os.environ.get("ZEROHM_DATA", "")) / "devices" / "aihwkit-gong2018-reram"
    if folder.exists():
        print("data: measured, Gong 2018")
        return np.loadtxt(folder / "gong_et_al.csv", delimiter=",").T
    print("data: made for this run (no $ZEROHM_DATA)")
    elapsed = np.arange(COUNT)
    mean = np.array([-0.9 + 0.002 * elapsed, -1.1 + 1.9 * np.exp(-elapsed / 400)])
    return mean + np.random.default_rng(0).normal(0.0, 0.17, mean.shape)


def timed(function: Callable[[], Any]) -> tuple[Any, str]:
    """Last result; least and median wall-clock and least processor time after one warm-up."""
    function()
    wall, processor = [], []
    for _ in range(REPEATS):
        begin, begin_processor = time.perf_counter(), time.process_time()
        result = function()
        wall.append(time.perf_counter() - begin)
        processor.append(time.process_time() - begin_processor)
    return result, (
        f"{1e3 * min(wall):7.1f} {1e3 * np.median(wall):7.1f} {1e3 * min(processor):9.1f}"
    )


def closed_form(weights: np.ndarray) -> tuple[float, bool]:
    """Rms residual, and whether all standard errors are finite."""

    def curve(elapsed: np.ndarray, start: float, bound: float, rate: float) -> np.ndarray:
        return bound + (start - bound) * np.exp(-rate * elapsed)

    elapsed, residuals, finite = np.arange(COUNT), [], True
    for readings in weights:
        guess = (readings[:20].mean(), readings[-20:].mean(), 2.0 / COUNT)
        found, covariance = curve_fit(curve, elapsed, readings, p0=guess, maxfev=10_000)
        residuals.append(readings - curve(elapsed, *found))
        finite &= bool(np.isfinite(covariance).all())
    return float(np.sqrt(np.mean(np.square(residuals)))), finite


def main() -> None:
    """Print the comparison."""
    weights = measured()
    table = {
        "pulse": np.tile(np.arange(COUNT), 2),
        "direction": np.repeat(["up", "down"], COUNT),
        "conductance_S": OFFSET + SCALE * weights.ravel(),
    }
    gaps = np.ones(2 * COUNT, dtype=np.int64)
    gaps[[0, COUNT]] = 0
    low, high = weights.min(), weights.max()
    scaled = (weights.ravel() - 0.5 * (low + high)) / (high - low)
    series = Series(scaled, gaps, np.repeat([1.0, -1.0], COUNT))

    fit, full = timed(lambda: pulses(table))
    chosen = tuple(fit.goodness["noises"].split(" + "))
    _, bare = timed(lambda: corrected(maxima(series, "soft bounds", [chosen])[chosen]))
    (residual, finite), scipy_time = timed(lambda: closed_form(weights))

    print(f"{'time of':44s}  min/ms  med/ms  CPU min/ms   (of {REPEATS})")
    print(f"{'devices.calibrate.pulses, everything':44s} {full}")
    print(f"{'  maximum and covariance of one model':44s} {bare}")
    print(f"{'scipy curve_fit of the closed form':44s} {scipy_time}")
    print()
    print(
        f"rms residual, normalised: {fit.goodness['rms_residual_S'] / SCALE:.4f} here, "
        f"{residual:.4f} closed form (errors finite: {finite})"
    )
    print(
        f"noises: {fit.goodness['noises']}, "
        f"Ljung–Box p = {fit.goodness['ljung_box_p_value']:.2f}, "
        f"lag-1 autocorrelation of innovations {fit.diagnosis.lag1_autocorrelation:+.3f}"
    )
    print(fit.parameters.to_dataframe())
    for name, why in fit.refused.items():
        print(f"{name} refused: {why}")


if __name__ == "__main__":
    main()
