"""The presets Levy2024 against the measurements that they were fitted to."""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import welch

from zerohm._random import stream
from zerohm.devices.cells import Cells
from zerohm.devices.presets import Levy2024

A, B = Levy2024.CELLS
SCRIPT = Path(__file__).parents[1] / "benchmarks" / "fit_levy2024.py"

# Earlier fits of C log₁₀(t/t₀) to the variances of these data: G (µS), standard deviation at 1 s
# (µS).
REFERENCE = ((24, 5.0), (40, 7.6), (56, 7.5), (72, 4.2), (88, 1.4))


@pytest.fixture(scope="module")
def script():
    """The script that fits the presets."""
    if "ZEROHM_DATA" not in os.environ:
        pytest.skip("ZEROHM_DATA does not say where the measured data are")
    spec = importlib.util.spec_from_file_location("fit_levy2024", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def reads(script):
    """All reads of technology B."""
    return script.reads_b()


def test_preset_is_the_fit(script, reads):
    """Tables, onset and 1/f noise of the preset are what the script fits, as printed."""
    amplitude = script.flicker_amplitude(script.deviations(script.before_disturbance(reads)))
    assert amplitude == pytest.approx(0.0195e-12, rel=5e-3)
    fit = script.fit_b(reads, amplitude)
    law, preset = fit.cell.relaxation, B.relaxation
    assert preset.onset_s == pytest.approx(law.onset_s)
    for name in ("variance_per_decade", "mean_per_decade", "asymmetry", "tail_decades"):
        fitted, printed = getattr(law, name), getattr(preset, name)
        np.testing.assert_allclose(printed.conductance, fitted.conductance, rtol=1e-3)
        np.testing.assert_allclose(printed.values, fitted.values, rtol=0.02, atol=1e-11)
    knots = np.array(B.flicker_noise.amplitude.conductance)
    expected = script.flicker(amplitude).amplitude(knots)
    np.testing.assert_allclose(B.flicker_noise.amplitude(knots), expected, rtol=0.01)


def test_held_out_cells_are_met(script, reads):
    """Pooled over states: sd of cells that were not fitted within 10 % at every delay, 1 % and
    99 % quantiles within 20 %, or two standard errors of the 99 % quantile beyond."""
    found = script.validate(reads, 0.0195e-12)
    pooled = found[(found.low_uS < 2) & (found.high_uS > 127)]
    assert list(pooled.delay_s) == list(script.DELAYS)
    np.testing.assert_allclose(pooled["sd"], 1.0, atol=0.10)
    for quantile in ("1 %", "99 %"):
        assert np.all(np.abs(pooled[quantile] - 1.0) < 0.20 + 0.5 * pooled[f"{quantile} ±"])


def test_last_read_follows_another_programming(reads, script):
    """Between 10³ and 10⁴ s cells come back that had left, and cells above the window leave it."""
    moved = script.deviations(reads)
    middle = moved[(moved["first"] >= 32e-6) & (moved["first"] < 64e-6)]
    for now, later, low, high in ((100.0, 1e3, 0.75, 0.95), (1e3, 1e4, 0.0, 0.25)):
        far = middle[middle[now].abs() > 6e-6][[now, later]].dropna()
        assert low < far.corr().iloc[0, 1] < high
    gone = middle[middle[1000.0] < -15e-6][10000.0].dropna()
    assert (gone.abs() < 6e-6).mean() > 0.3


def test_agrees_with_earlier_fits():
    """Standard deviations at 1 s are within 20 % of those of earlier fits of these data."""
    for conductance, spread in REFERENCE:
        state = conductance * 1e-6
        now, later = B.flicker_noise.autocovariance(np.array([0.0, 1.0]), state)
        variance = B.relaxation.variance(1.0, state) + 2 * (now - later)
        variance += 2 * B.read_noise.sigma**2
        assert float(np.sqrt(variance)) * 1e6 == pytest.approx(spread, rel=0.20)


def test_noise_spectra_of_a(script):
    """From 0.1 to 50 Hz the spectrum is within a factor of 5 of every measured cell's."""
    for trace in script.traces_a():
        frequency, measured = welch(trace, script.RATE_A, nperseg=8192)
        mean = float(trace.mean())
        for low, high in ((0.1, 0.5), (0.5, 2.0), (2.0, 10.0), (10.0, 50.0)):
            band = (frequency > low) & (frequency < high)
            model = A.flicker_noise.spectrum(frequency[band], mean)
            model += A.telegraph_noise.spectrum(frequency[band], mean)
            model += 2 * A.read_noise.sigma**2 / script.RATE_A
            assert 0.2 < np.exp(np.median(np.log(model / measured[band]))) < 5.0


@pytest.mark.parametrize("cell", [A, B], ids=lambda cell: cell.name)
def test_cells_live(cell):
    """Programmed cells move from read to read, and reach no negative conductance."""
    rng = stream(1, "cells")
    targets = np.linspace(cell.conductance_min, cell.conductance_max, 20_000)
    cells = Cells(cell, targets.shape, rng)
    cells.program(targets, rng)
    before = cells.conductance
    spreads = []
    for _ in range(3):
        cells.advance(100.0, rng)
        spreads.append((cells.conductance - before).std())
    assert spreads[0] > 0.5e-6
    assert np.all(cells.conductance >= 0)


def test_only_b_relaxes():
    """Technology A has read noise of every colour but no relaxation; B the other way round."""
    assert A.relaxation is None
    assert A.telegraph_noise is not None
    assert B.telegraph_noise is None
    assert {part.citations for part in (A, B)} == {("Levy2024",)}
