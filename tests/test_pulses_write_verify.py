"""Write–verify: whom it accepts, what it leaves and what it costs.

Statistical tests use the checks of ``naive.py`` (false-alarm rate at most 1e-4 per check, fixed
seeds), and each is shown to fail on a wrong sampler.
"""

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import stats

from zerohm import InputError, devices
from zerohm._random import stream
from zerohm.devices.presets import Gong2018, GongRasch2022
from zerohm.devices.pulses import (
    AmplitudeRamp,
    Drive,
    NotConverged,
    PulsedCells,
    SoftBounds,
    TablePulses,
    WriteVerifyReport,
    write_verify,
)

CELL = devices.Cell(name="test", conductance_min=10e-6, conductance_max=50e-6)
WINDOW = CELL.window
PLAIN = SoftBounds(step_up=0.03, step_down=0.02)
UP = Drive(amplitude=1.2, threshold=0.8, scale=0.1, width=100e-9, width_exponent=0.94)
DOWN = Drive(amplitude=1.4, threshold=0.9, scale=0.08, width=200e-9)
DRIVEN = replace(PLAIN, drives=(UP, DOWN), cycle_to_cycle=0.3)


def population(law, shape, seed=0, **options):
    return PulsedCells(replace(CELL, pulses=law), shape, np.random.default_rng(seed), **options)


def about(value, rel=1e-12):
    return pytest.approx(value, rel=rel, abs=0.0)


def test_converged_cells_are_in_their_band_as_measured():
    """The last read of a converged cell is in the band; without read noise the cell is, too."""
    targets = np.random.default_rng(0).uniform(10e-6, 50e-6, (30, 20))
    for noise in (0.0, 0.3e-6):
        cells = population(replace(PLAIN, cycle_to_cycle=0.5), (30, 20))
        rng = np.random.default_rng(1)
        report = write_verify(cells, targets, 0.02 * targets, 300, rng, read_noise_std=noise)
        inside = np.abs(report.measured - targets) <= 0.02 * targets
        np.testing.assert_array_equal(report.converged, inside)
        assert report.converged.mean() > 0.9
        np.testing.assert_array_equal(report.conductance, cells.conductance)
        if noise == 0:
            np.testing.assert_array_equal(report.measured, report.conductance)
        else:
            error = (report.measured - report.conductance) / noise
            assert 0.8 < error.std() < 1.2


def test_pulses_reads_energy_and_time_are_accounted_for():
    """One read per pulse and one to accept; the report is what this event added to the cells."""
    cells = population(DRIVEN, (500,))
    rng = np.random.default_rng(0)
    ramp = AmplitudeRamp(start_up=1.0, start_down=1.1, increment=0.05, maximum=1.6)
    first = write_verify(cells, 35e-6, 0.5e-6, 200, rng, ramp=ramp)
    second = write_verify(cells, 20e-6, 0.5e-6, 200, rng, ramp=ramp)
    for report in (first, second):
        np.testing.assert_array_equal(report.reads, report.pulses + 1)
        assert report.converged.all()
        assert report.pulses.min() >= 1
    np.testing.assert_array_equal(first.pulses + second.pulses, cells.pulses)
    np.testing.assert_allclose(first.energy + second.energy, cells.energy, rtol=1e-9)
    np.testing.assert_allclose(first.time + second.time, cells.time, rtol=1e-9)
    again = write_verify(cells, 20e-6, 0.5e-6, 200, rng, ramp=ramp)
    assert again.pulses.max() == 0
    assert again.reads.min() == again.reads.max() == 1


def test_one_cell_is_programmed_as_by_hand():
    """Directions, amplitudes, energy and time of a noiseless cell, pulse by pulse."""
    law = replace(PLAIN, drives=(UP, DOWN))
    cells = population(law, (1,))
    ramp = AmplitudeRamp(start_up=1.0, start_down=1.0, increment=0.1, maximum=1.3)
    target, band = 24e-6, 0.4e-6
    report = write_verify(cells, target, band, 50, np.random.default_rng(0), ramp=ramp)
    conductance, last, row, energy, time, pulses = 10e-6, 0, 0, 0.0, 0.0, 0
    while abs(conductance - target) > band:
        direction = 1 if conductance < target else -1
        row = row + 1 if direction == last else 0
        volts = min(1.0 + 0.1 * row, 1.3)
        drive, bound, step = (UP, 50e-6, 0.03) if direction > 0 else (DOWN, 10e-6, 0.02)
        energy += volts**2 * drive.width * conductance
        time += drive.width
        factor = float(drive.factor(np.array(volts), drive.width))
        conductance += factor * step * (bound - conductance) / 0.5
        pulses, last = pulses + 1, direction
    assert pulses > 5
    assert report.pulses[0] == pulses
    assert report.conductance[0] == about(conductance)
    assert report.energy[0] == about(energy)
    assert report.time[0] == about(time)


@pytest.mark.parametrize("law", [replace(PLAIN, cycle_to_cycle=1.0), GongRasch2022.BASELINE_HFO2])
def test_wider_bands_need_fewer_pulses(law):
    """Mean pulses fall with the tolerance, and no cell gets more than allowed."""
    means = []
    for tolerance in (0.25e-6, 0.5e-6, 1e-6, 2e-6, 4e-6):
        rng = stream(2, "bands")
        cells = PulsedCells(replace(CELL, pulses=law), (3000,), rng)
        report = write_verify(cells, rng.uniform(10e-6, 50e-6, 3000), tolerance, 100, rng)
        means.append(report.pulses.mean())
        assert report.pulses.max() <= 100
    assert np.all(np.diff(means) < 0)


@given(seed=st.integers(0, 1000), tolerance=st.floats(0.2e-6, 5e-6), pulses=st.integers(1, 40))
def test_every_cell_is_either_converged_or_out_of_pulses(seed, tolerance, pulses):
    """No cell is accepted outside its band, none gives up early."""
    rng = np.random.default_rng(seed)
    law = replace(PLAIN, cycle_to_cycle=1.0, upper_bound_spread=0.3)
    cells = PulsedCells(replace(CELL, pulses=law), (50,), rng)
    report = write_verify(cells, rng.uniform(10e-6, 50e-6, 50), tolerance, pulses, rng)
    inside = np.abs(report.error) <= tolerance
    np.testing.assert_array_equal(report.converged, inside)
    assert np.all(report.pulses[~inside] == pulses)


def test_a_ramp_saves_pulses_of_slow_devices():
    """Growing amplitudes reach a far target in fewer pulses than the first amplitude repeated."""
    law = replace(DRIVEN, step_up=0.004, step_down=0.004)
    counts = []
    for increment in (0.0, 0.05):
        ramp = AmplitudeRamp(start_up=1.2, start_down=1.4, increment=increment, maximum=1.8)
        cells = population(law, (500,))
        rng = np.random.default_rng(5)
        report = write_verify(cells, 40e-6, 1e-6, 1000, rng, ramp=ramp)
        assert report.converged.all()
        counts.append(report.pulses.mean())
    assert counts[1] < counts[0] / 3


def test_targets_beyond_a_device_are_reported():
    """Devices whose own bound lies below the target are named, and counted as not converged."""
    law = replace(PLAIN, upper_bound_spread=0.3)
    cells = population(law, (2000,))
    report = write_verify(cells, 48e-6, 0.5e-6, 200, np.random.default_rng(0))
    np.testing.assert_array_equal(report.unreachable, cells.upper < 47.5e-6)
    assert 0.3 < report.unreachable.mean() < 0.8
    assert not np.any(report.converged & report.unreachable)
    with pytest.warns(NotConverged, match=f"{(~report.converged).sum()} of 2000 cells"):
        report.constant_noise()


def test_residual_noise_is_that_of_the_band(naive):
    """Small steps leave errors inside ±tolerance; σ with its standard error, both as they are."""
    law = replace(PLAIN, write_noise=0.1)
    sigmas, errors = [], []
    for seed in range(60):
        rng = stream(seed, "residual")
        cells = PulsedCells(replace(CELL, pulses=law), (1000,), rng, start=30e-6)
        report = write_verify(cells, 30e-6, 1e-6, 500, rng)
        measured = report.constant_noise()
        assert measured.law.sigma == about(math.sqrt(np.mean(report.error**2)))
        sigmas.append(measured.law.sigma)
        errors.append(measured.standard_error)
    # A write noise much wider than the band leaves a nearly uniform distribution in it.
    assert np.mean(sigmas) == pytest.approx(1e-6 / math.sqrt(3), rel=0.02)
    ratio = np.var(sigmas, ddof=1) / np.mean(np.square(errors))
    low, high = stats.chi2.ppf([5e-5, 1 - 5e-5], 59) / 59
    assert low < ratio < high
    assert not low < 4 * ratio < high  # standard errors half as large would be noticed


def test_relative_band_is_recovered():
    """With a tolerance of 3 % of the target the law is a band of about 3 %."""
    rng = stream(3, "relative")
    law = replace(PLAIN, write_noise=0.2)
    cells = PulsedCells(replace(CELL, pulses=law), (5000,), rng)
    targets = rng.uniform(15e-6, 45e-6, 5000)
    report = write_verify(cells, targets, 0.03 * targets, 2000, rng)
    measured = report.acceptance_band()
    assert measured.law.relative == pytest.approx(0.03, abs=5 * measured.standard_error + 0.0005)
    assert 0 < measured.standard_error < 0.001


def hand_made(pulses, energy):
    """A report of three converged cells with these counts."""
    ones = np.ones(3)
    return WriteVerifyReport(
        targets=30e-6 * ones,
        tolerance=1e-6 * ones,
        conductance=30e-6 * ones,
        measured=30e-6 * ones,
        converged=ones > 0,
        unreachable=ones < 0,
        pulses=np.array(pulses),
        reads=np.array(pulses) + 1,
        energy=np.array(energy),
        time=1e-7 * np.array(pulses),
    )


def test_programming_cost_is_the_mean_of_the_report():
    """Pulses per write, energy per pulse, and their standard errors, by hand."""
    report = hand_made([2, 4, 6], [2e-12, 5e-12, 5e-12])
    measured = report.programming_cost(devices.ProgrammingCost(pulse_duration=70e-9))
    assert measured.cost.pulses_per_write == 4.0
    assert measured.cost.pulse_energy == about(1e-12)
    assert measured.cost.pulse_duration == 70e-9
    assert measured.pulses_per_write_error == about(math.sqrt(8 / 3) / math.sqrt(3))
    residual = np.array([0.0, 1e-12, -1e-12])
    assert measured.pulse_energy_error == about(residual.std() / math.sqrt(3) / 4)
    assert hand_made([1, 1, 1], [0, 0, 0]).constant_noise().law.sigma == 0.0
    with pytest.raises(InputError, match="less than one"):
        hand_made([0, 1, 1], [0, 0, 0]).programming_cost(devices.ProgrammingCost())


def test_tables_can_be_verified_too():
    """Abrupt up, gradual down: cells converge from above, after more down than up pulses."""
    table = TablePulses.from_quantiles(
        conductance=[10e-6, 50e-6],
        probabilities=[0.0, 1.0],
        increase=[[20e-6, 0.0], [40e-6, 2e-6]],
        decrease=[[-3e-6, -3e-6], [0.0, -0.5e-6]],
    )
    cells = population(table, (2000,))
    report = write_verify(cells, 30e-6, 1e-6, 100, np.random.default_rng(0))
    assert report.converged.mean() > 0.99
    assert report.pulses.mean() > 5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"targets": 60e-6}, "can be programmed from"),
        ({"targets": math.nan}, "can be programmed from"),
        ({"targets": np.full(3, 30e-6)}, "must fit the population"),
        ({"tolerance": 0.0}, "tolerance must be positive"),
        ({"max_pulses": 0}, "max_pulses=0"),
        ({"read_noise_std": -1e-6}, "read_noise_std"),
        (
            {"ramp": AmplitudeRamp(start_up=1, start_down=1, increment=0.1, maximum=2)},
            "identical pulses",
        ),
    ],
)
def test_bad_programming_is_refused(options, words):
    """Targets outside the window by name; bands, counts and ramps that cannot be."""
    good = {"targets": 30e-6, "tolerance": 1e-6, "max_pulses": 10}
    with pytest.raises(InputError, match=words):
        write_verify(population(PLAIN, (2,)), rng=np.random.default_rng(0), **{**good, **options})


def test_bad_reports_and_ramps_are_refused():
    """Nothing can be derived when nothing converged; a ramp needs positive voltages that rise."""
    cells = population(PLAIN, (3,))
    report = write_verify(cells, 49e-6, 0.1e-6, 1, np.random.default_rng(0))
    with pytest.raises(InputError, match="no cell converged"):
        report.constant_noise()
    for first, words in ((0.0, "start_up"), (2.1, "maximum=2 V lies below")):
        with pytest.raises(ValidationError, match=words):
            AmplitudeRamp(start_up=first, start_down=1, increment=0.1, maximum=2)


def test_stuck_cells_are_reported():
    """A stuck cell is unreachable unless it is stuck in the band; it uses up its pulses."""
    faults = devices.Faults(
        low=devices.StuckState(probability=0.2, conductance=12e-6),
        high=devices.StuckState(probability=0.2, conductance=30e-6),
    )
    cells = PulsedCells(
        replace(CELL, pulses=PLAIN, faults=faults), (1000,), np.random.default_rng(0)
    )
    report = write_verify(cells, 30e-6, 1e-6, 50, np.random.default_rng(1))
    low, high = cells.upper == 12e-6, cells.lower == 30e-6
    np.testing.assert_array_equal(report.unreachable, low)
    np.testing.assert_array_equal(report.converged, ~low)
    assert np.all(report.pulses[low] == 50)
    assert np.all(report.pulses[high] == 0)


@pytest.mark.parametrize(
    "preset", [*Gong2018.CELLS, *GongRasch2022.CELLS], ids=lambda preset: preset.name
)
def test_presets_hold_what_write_verify_leaves(preset):
    """Write noise and pulses per write of each preset, measured again, within 5 standard errors."""
    rng = stream(4, preset.name)
    cells = PulsedCells(preset, (1000,), rng)
    for _ in range(2):
        targets = rng.uniform(preset.conductance_min, preset.conductance_max, 1000)
        report = write_verify(cells, targets, 0.02 * preset.window, 1000, rng)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotConverged)
        noise = report.constant_noise()
    cost = report.programming_cost(preset.programming)
    stated = preset.programming.pulses_per_write
    assert noise.law.sigma == pytest.approx(
        preset.write_noise.sigma, rel=0, abs=5 * noise.standard_error
    )
    assert cost.cost.pulses_per_write == pytest.approx(
        stated, rel=0, abs=5 * cost.pulses_per_write_error
    )
