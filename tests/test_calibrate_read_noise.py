"""Read noise from traces: spectra, coverage, what is refused, and measured cells.

Seeds are fixed; the false-alarm rate of a statistical check is that of another seed. Coverage of
95 % intervals over 500 repetitions must lie within 93 to 97 %, which a correct interval misses
with probability 0.04 per parameter.
"""

import gzip
import math
import os
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import lfilter

from zerohm import InputError
from zerohm.devices import calibrate
from zerohm.devices.calibrate import spectrum as sp
from zerohm.devices.calibrate.read_noise import read_noise
from zerohm.devices.calibrate.traces import kinds_of_noise

RATE = 400.0  # Hz
WHITE = 2e-16  # S²/Hz: 0.2 µS per sample


def draw(amplitude, exponent, white, samples, rng):
    """White noise plus exponentially correlated components, which add up to A/f^α."""
    trace = math.sqrt(white * RATE / 2.0) * rng.standard_normal(samples)
    if amplitude > 0:
        spacing = math.log(10.0) / 4.0
        corners = RATE / 2.0 * np.exp(-spacing * np.arange(0.5, 40.0))
        variances = spacing * math.sin(math.pi * exponent / 2.0) * amplitude
        for corner, variance in zip(corners, variances * corners ** (1.0 - exponent), strict=True):
            decay = math.exp(-2.0 * math.pi * corner / RATE)
            unit = rng.standard_normal(samples)
            unit[1:] *= math.sqrt(1.0 - decay**2)
            trace += math.sqrt(variance) * lfilter([1.0], [1.0, -decay], unit)
    return trace


def test_sampled_spectrum_is_the_transform_of_the_autocovariance() -> None:
    """Aliasing included: Σ φ^|k| cos(2πkf/f_s), one term at a time."""
    corners, frequency = np.array([0.3, 20.0, 150.0]), np.array([0.1, 10.0, 199.0])
    lags = np.arange(-40_000, 40_001)
    memory = np.exp(-2.0 * np.pi * corners * np.abs(lags[:, np.newaxis]) / RATE)
    exact = 2.0 / RATE * np.cos(2.0 * np.pi * np.outer(frequency, lags) / RATE) @ memory
    assert sp.lorentzians(frequency, corners, RATE) == pytest.approx(exact, rel=1e-6)


def test_spectrum_of_white_noise_is_its_variance() -> None:
    """One-sided density times bandwidth; five standard errors of the mean over 65 536 samples."""
    trace = np.random.default_rng(0).standard_normal(65_536)
    found = sp.spectrum(trace, RATE)
    mean = np.average(found.power, weights=found.count)
    assert mean * RATE / 2.0 == pytest.approx(1.0, abs=5.0 * math.sqrt(1.125 / 32_768))


def test_scatter_of_averages_is_as_predicted() -> None:
    """Variance of averages over 1, 3 and 30 frequencies of 2000 white spectra, to 20 %.

    The standard error of such a variance is 4 to 5 %, tapering one-sidedly aside.
    """
    rng = np.random.default_rng(1)
    spectra = [sp.spectrum(rng.standard_normal(1024), 1.0) for _ in range(2000)]
    powers = np.array([found.power for found in spectra]) / 2.0
    for count in (1, 3, 30):
        band = int(np.argmin(np.abs(spectra[0].count - count)))
        expected = sp.relative_variance(int(spectra[0].count[band]))
        assert powers[:, band].var() == pytest.approx(expected, rel=0.2)


def coverage(exponent, repetitions, claimed=0.0):
    """Share of 95 % intervals of ln A, α and ln W that hold the truth, α off by ``claimed``."""
    rng, amplitude = np.random.default_rng(2), WHITE * 20.0**exponent
    truth = np.array([math.log(amplitude), exponent + claimed, math.log(WHITE)])
    inside = np.zeros(3)
    for _ in range(repetitions):
        measured = sp.spectrum(draw(amplitude, exponent, WHITE, 4096, rng), RATE)
        fit = sp.fit_spectrum(measured)
        found = np.array([math.log(fit.amplitude), fit.exponent, math.log(fit.white)])
        inside += np.abs(found - truth) < 1.96 * np.sqrt(np.diag(sp.covariance(measured, fit)))
    return inside / repetitions


def test_intervals_cover() -> None:
    """500 traces of white and 1/f noise: intervals of A, α and W hold the truth."""
    shares = coverage(1.0, 500)
    assert np.all((shares > 0.93) & (shares < 0.97)), shares


@pytest.mark.parametrize("exponent", [0.8, 1.3])
def test_intervals_cover_other_exponents(exponent) -> None:
    """100 traces: fewer than 88 % with probability 0.003 per parameter."""
    assert np.all(coverage(exponent, 100) >= 0.88)


def test_coverage_notices_another_exponent() -> None:
    """The same check fails if the exponent is not what is claimed."""
    assert coverage(1.0, 100, claimed=0.3)[1] < 0.5


def test_white_noise_has_no_flicker() -> None:
    """Of 300 white traces, more than 3 show 1/f noise with probability below 1e-3."""
    rng = np.random.default_rng(3)
    found = 0
    for _ in range(300):
        measured = sp.spectrum(rng.standard_normal(1024), RATE)
        found += kinds_of_noise(measured)[0].amplitude > 0
    assert found <= 3


def test_calibration_of_one_trace() -> None:
    """Truth within four standard errors; the cell has the noise that was drawn."""
    amplitude = WHITE * 20.0**1.1
    trace = 50e-6 + draw(amplitude, 1.1, WHITE, 16_384, np.random.default_rng(4))
    fit = read_noise(trace, sampling_rate=RATE, name="drawn")
    truth = {
        "flicker_amplitude": amplitude / np.mean(trace) ** 2,
        "flicker_exponent": 1.1,
        "white_std": 0.2e-6,
    }
    for name, value in truth.items():
        found = fit.parameters.sel(parameter=name)
        assert abs(float(found.value) - value) < 4.0 * float(found.standard_error)
    assert list(fit.refused) == ["telegraph_noise"]
    assert fit.cell.telegraph_noise is None
    density = fit.cell.flicker_noise.spectrum(np.array([1.0, 10.0]), float(np.mean(trace)))
    assert density == pytest.approx(amplitude / np.array([1.0, 10.0**1.1]), rel=0.25)
    assert fit.diagnosis.findings == ()
    assert abs(fit.diagnosis.lag1_autocorrelation) < fit.diagnosis.lag1_band


def test_jumps_end_up_in_the_traps_and_nowhere_else() -> None:
    """A trap of 3 % is found; the 1/f noise below it keeps its amplitude within 4 errors."""
    rng = np.random.default_rng(5)
    amplitude, samples = WHITE * 5.0, 16_384
    flips = rng.random(samples) < 1.0 / (0.1 * RATE)
    high = np.cumsum(flips) % 2
    trace = 50e-6 + draw(amplitude, 1.0, WHITE, samples, rng) + 1.5e-6 * high
    fit = read_noise(trace, sampling_rate=RATE)
    found = fit.parameters.sel(parameter="trap_1_amplitude")
    assert abs(float(found.value) - 1.5e-6 / trace.mean()) < 4.0 * float(found.standard_error)
    for time in ("trap_1_capture_time", "trap_1_emission_time"):
        found = fit.parameters.sel(parameter=time)
        assert pytest.approx(float(found.value), abs=4.0 * float(found.standard_error)) == 0.1
    flicker = fit.parameters.sel(parameter="flicker_amplitude")
    error = 4.0 * float(flicker.standard_error)
    assert abs(float(flicker.value) - amplitude / trace.mean() ** 2) < error
    law = fit.cell.telegraph_noise
    assert law.sites == 1
    assert law.amplitude == pytest.approx(0.03, rel=0.05)
    assert "telegraph_noise" not in fit.refused


def test_population_of_cells() -> None:
    """Eight cells in two states: amplitudes as a table, their spread with its interval."""
    rng = np.random.default_rng(6)
    traces, spread = [], 0.6
    for mean, relative in ((20e-6, 4e-5), (80e-6, 2e-6)):
        for _ in range(4):
            amplitude = relative * math.exp(spread * rng.standard_normal()) * mean**2
            traces.append(mean + draw(amplitude, 1.0, WHITE / 4.0, 2048, rng))
    fit = read_noise(np.array(traces), sampling_rate=RATE)
    law = fit.cell.flicker_noise
    assert law.amplitude.conductance == pytest.approx((20e-6, 80e-6), rel=0.05)
    # Geometric means of four: a standard error of 0.6/√4 in the logarithm, three of them.
    logs = np.log(np.array(law.amplitude.values) / np.array([4e-5, 2e-6]))
    assert np.all(np.abs(logs) < 0.9)
    found = fit.parameters.sel(parameter="flicker_amplitude_spread")
    assert float(found.lower) < spread < float(found.upper)
    assert law.amplitude_spread == float(found.value)
    assert "flicker_amplitude [7]" in fit.parameters.parameter


def test_exponent_needs_decades() -> None:
    """1/f noise that white noise covers beyond 2 Hz has an amplitude but no exponent."""
    rng = np.random.default_rng(7)
    trace = 50e-6 + draw(WHITE * 2.0, 1.0, WHITE, 8192, rng)
    fit = read_noise(trace, sampling_rate=RATE)
    assert "decades" in fit.refused["flicker_exponent"]
    assert "flicker_amplitude" in fit.parameters.parameter
    assert "flicker_exponent" not in fit.parameters.parameter


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t, g: (np.delete(t, 500), np.delete(g, 500)), "not evenly sampled"),
        (lambda t, g: (t[:40], g[:40]), "40 samples; at least 64"),
        (lambda t, g: (t, np.full_like(g, 5e-5)), "does not fluctuate"),
    ],
)
def test_unusable_traces_are_refused(change, said) -> None:
    """The message says what is wrong."""
    time = np.arange(1000) / RATE
    noise = 50e-6 + draw(0.0, 1.0, WHITE, 1000, np.random.default_rng(8))
    time, noise = change(time, noise)
    with pytest.raises(InputError, match=said):
        read_noise({"time_s": time, "conductance_S": noise})


def test_arrays_need_a_rate() -> None:
    """An array says nothing of time."""
    with pytest.raises(InputError, match="sampling_rate"):
        read_noise(np.ones(100))


def test_figure_and_card(tmp_path) -> None:
    """The figure is drawn; the card loads as the same cell."""
    from zerohm import devices

    trace = 50e-6 + draw(WHITE, 1.0, WHITE, 1024, np.random.default_rng(9))
    fit = read_noise(trace, sampling_rate=RATE)
    assert len(fit.plot().axes) >= 3
    fit.save(tmp_path / "card.json")
    assert devices.load(tmp_path / "card.json") == fit.cell
    assert isinstance(fit, calibrate.Calibration)


def measured_traces(rows, samples):
    """Traces of the measured cells, from 5 s after the start, where they no longer relax."""
    if "ZEROHM_DATA" not in os.environ:
        pytest.skip("ZEROHM_DATA does not name the folder of the measured data")
    folder = Path(os.environ["ZEROHM_DATA"]) / "devices/rram-relaxation-2tech"
    with gzip.open(folder / "techA_tsdata.min.tsv.gz", "rt") as lines:
        table = [line.split("\t") for line in lines]
    return np.array([table[row][2002 : 2002 + samples] for row in rows], dtype=np.float64)


def test_measured_cell_without_traps() -> None:
    """Cell at 253 µS: A/G² = 1.7e-7 and α in 0.8 to 1.3 by an earlier fit, no jumps."""
    fit = read_noise(measured_traces([4], 40_000)[0], sampling_rate=RATE)
    values = dict(zip(fit.parameters.parameter.values, fit.parameters.value.values, strict=True))
    assert values["flicker_amplitude"] == pytest.approx(1.7e-7, rel=0.3)
    assert 0.8 < values["flicker_exponent"] < 1.3
    assert 0.2e-6 < values["white_std"] < 0.3e-6
    assert fit.refused["telegraph_noise"].startswith("none found")
    assert fit.goodness["detectable amplitude"] < 0.002


def test_measured_cell_with_traps() -> None:
    """Cell at 185 µS: jumps of 1 % by an earlier fit, which left them in the 1/f noise."""
    trace = measured_traces([3], 20_000)[0]
    fit = read_noise(trace, sampling_rate=RATE)
    values = dict(zip(fit.parameters.parameter.values, fit.parameters.value.values, strict=True))
    assert values["trap_1_amplitude"] == pytest.approx(0.01, rel=0.3)
    assert 0.8 < values["flicker_exponent"] < 1.3
    together = sp.fit_spectrum(sp.spectrum(trace, RATE)).amplitude / trace.mean() ** 2
    assert together > 3.0 * values["flicker_amplitude"]


@pytest.mark.parametrize("samples", [64, 70, 100, 120])
def test_short_traces_have_error_bars(samples):
    """White noise within 4 standard errors, which are those of independent samples to 30 %."""
    trace = 5e-5 + 1e-7 * np.random.default_rng(samples).standard_normal(samples)
    found = calibrate.read_noise(trace, sampling_rate=RATE).parameters.sel(parameter="white_std")
    assert abs(found.value - 1e-7) < 4 * found.standard_error
    assert found.standard_error / found.value == pytest.approx(1 / math.sqrt(2 * samples), rel=0.3)
