"""Harvests of noise that has a memory: what theory says of the mean estimate is what comes out.

The network is a small perceptron of tanh units, noise is 0.5 % of the conductance window, and both
passes and the read-back take their time. A mean estimate may differ from what is expected by 4 %
in length, or 4 standard errors where those are larger, and in direction by what its own variance
leaves: tan² of the angle over that floor is near 1, scattered like χ² of d degrees of freedom, of
which six standard deviations are allowed (false alarms below 1e-4).
"""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest

import zerohm as zo
from zerohm import InputError
from zerohm._random import stream
from zerohm.devices.cells import Cells
from zerohm.training.write_noise_control import NoiseWarning

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "noise_in_time.py"
SIGMA = 0.25e-6  # S, 0.5 % of the window
ROWS = 7  # word lines of the first layer, its bias included
PAIRS = 10_000


@pytest.fixture(scope="module")
def script():
    """The benchmark, whose estimates and processes are tested here."""
    spec = importlib.util.spec_from_file_location("noise_in_time", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def processes(script):
    return script.processes(SIGMA, script.SAMPLES * script.READ)


def write_estimates(script, process, *, bracketed, pairs=PAIRS):
    case = script.problem(process)
    return script.write_noise_estimates(case, pairs, bracketed=bracketed, seed=3), case.gradient


def check_mean(script, estimates, gradient, length=1.0):
    """The mean of the estimates is so many times the gradient."""
    mean, error = script.slope(estimates, gradient)
    assert abs(mean / length - 1) < max(0.04, 4 * error / length)
    excess = script.misdirection(estimates, gradient)[1]
    assert excess < 1 + 6 * math.sqrt(2 / gradient.size)


def covariance(process, lag_since, lag_until):
    """Covariance of the deviations at two ages (s), over the variance of the write noise.

    1 + [c(t − s) − c(s) − c(t) + c(0)]/σ²: verify has seen the fluctuation of the end of
    programming, so that its negative stays in the cell.
    """
    cell = process.cell
    noise = cell.telegraph_noise or cell.flicker_noise
    first, second = process.settling_time + lag_since, process.settling_time + lag_until
    c = [float(noise.autocovariance(t, 75e-6)) for t in (second - first, first, second, 0.0)]
    return 1 + (c[0] - c[1] - c[2] + c[3]) / SIGMA**2


@pytest.mark.parametrize(
    "name", ["telegraph 0.1", "telegraph 1", "telegraph 100, not settled", "1/f"]
)
def test_write_noise_is_normalised_by_what_pass_and_read_back_share(script, processes, name):
    """ΔL·δ has the covariance of both moments, not the calibrated variance, as its factor."""
    process = processes[name]
    expected = covariance(process, 0.0, script.SAMPLES * script.READ)
    estimates, gradient = write_estimates(script, process, bracketed=False)
    check_mean(script, estimates, gradient, expected)


@pytest.mark.parametrize("name", ["relaxation before", "telegraph 100"])
def test_measured_covariance_takes_out_what_calibration_does_not_know(script, processes, name):
    """Reading back on both sides of the passes makes the length right, which it is not without."""
    estimates, gradient = write_estimates(script, processes[name], bracketed=True)
    check_mean(script, estimates, gradient)
    estimates, gradient = write_estimates(script, processes[name], bracketed=False)
    with pytest.raises(AssertionError):
        check_mean(script, estimates, gradient)


def test_drift_scales_the_estimate_and_shrinks_the_weights_it_is_taken_at(script, processes):
    """A gain k of the read-back is a factor k; measured, that of the shrunk weights is left.

    With read-backs on both sides the passes see weights k₁w, and the length is that of the mean of
    both read-backs over their covariance, (1 + k₂)k₁/2k₂.
    """
    process = processes["drift"]
    estimates, gradient = write_estimates(script, process, bracketed=False)
    check_mean(script, estimates, gradient, script.DRIFT_GAIN)
    case, before = script.problem(process), ROWS * script.READ
    onset, exponent = process.cell.drift.onset_s, process.cell.drift.exponent_mean
    ages = np.array([before, before + script.SAMPLES * script.READ])
    first, second = (1 + ages / onset) ** -exponent
    shrunk = case.network.gradient(first * case.weights, case.x, case.labels)[1]
    estimates, gradient = write_estimates(script, process, bracketed=True)
    check_mean(script, estimates, shrunk, (1 + second) * first / (2 * second))
    with pytest.raises(AssertionError):
        check_mean(script, estimates, gradient)


def test_what_comes_in_between_the_read_backs_is_half_seen(script, processes):
    """Mean of both read-backs over the covariance of one with the other: 13 % at τ = one pass."""
    process, before = processes["telegraph 1"], ROWS * script.READ
    after = before + script.SAMPLES * script.READ
    seen = 0.5 * (covariance(process, 0.0, before) + covariance(process, before, after))
    expected = seen / covariance(process, 0.0, after)
    assert expected == pytest.approx(1.13, abs=0.01)
    estimates, gradient = write_estimates(script, process, bracketed=True)
    check_mean(script, estimates, gradient, expected)


def test_relaxation_after_the_passes_adds_variance_alone(script, processes):
    """The length stays, the variance of an estimate grows as that of δ does: 1 + Cu/σ² = 2."""
    quiet, gradient = write_estimates(script, processes["none"], bracketed=False)
    late, _ = write_estimates(script, processes["relaxation after"], bracketed=False)
    check_mean(script, late, gradient)
    assert np.square(late).sum() / np.square(quiet).sum() == pytest.approx(2, rel=0.1)


def node_estimates(script, process, harvest, draws=300):
    case = script.problem(process)
    method = script.HARVESTS[harvest]
    return script.node_noise_estimates(case, method, draws, seed=4), case.gradient


@pytest.mark.parametrize("name", ["telegraph 1", "relaxation before", "drift"])
def test_codes_of_two_arrays_know_every_kind_of_noise(script, processes, name):
    """The perturbation is read off the codes of the passes themselves: nothing to calibrate."""
    estimates, gradient = node_estimates(script, processes[name], "nodes, two arrays")
    check_mean(script, estimates, gradient)


@pytest.mark.parametrize("name", ["telegraph 1", "telegraph 10"])
def test_one_array_shows_what_has_changed_between_its_passes(script, processes, name):
    """Mean square of the nodes' noise: 1 − ρ(time of a pass) of that of white noise."""
    process = processes[name]
    noise, lag = process.cell.telegraph_noise, script.SAMPLES * script.READ
    share = 1 - float(noise.autocovariance(lag, 75e-6) / noise.autocovariance(0.0, 75e-6))
    check_mean(script, *node_estimates(script, process, "nodes, one array in turn"))
    powers = [
        script.node_difference(script.problem(each), 1, 300, seed=4)
        for each in (process, processes["white"])
    ]
    # 300 draws of 8 nodes whose 32 samples share the cells of a draw: 2 % and less.
    assert powers[0] / powers[1] == pytest.approx(share, rel=0.1)


def test_drift_is_no_perturbation(script, processes):
    """What both passes of one array differ by goes with what is stored: the wrong direction."""
    estimates, gradient = node_estimates(script, processes["drift"], "nodes, one array in turn")
    with pytest.raises(AssertionError):
        check_mean(script, estimates, gradient)
    assert script.misdirection(estimates, gradient)[0] < 0.5


def test_reads_of_one_moment_show_no_memory(script, processes):
    """Where no time passes between the passes, slow noise is common to both and cancels."""
    still = zo.mapping.rram(processes["1/f"].cell, settling_time=processes["1/f"].settling_time)
    network = zo.training.mlp([64, 8, 10], hardware=still)
    with pytest.raises(InputError, match="too small to be seen"):
        zo.training.fit(
            network,
            zo.datasets.load("digits"),
            method=zo.training.NodeNoise(),
            seed=0,
            passes=10,
            progress=False,
        )


def test_white_cells_have_the_variance_of_technology_b(script):
    """After the time of settling, state by state; its polynomial is within 9 %."""
    settled = script.SETTLED_B
    evolving, white = script.technology_b(settled).cell, script.white_b(settled).cell
    for state in (30e-6, 55e-6, 80e-6, 90e-6):
        cells = Cells(evolving, (40_000,))
        cells.program(np.full(40_000, state), stream(5))
        cells.advance(settled, stream(6))
        expected = float(white.write_noise.std(np.array(state)))
        assert cells.conductance.std() == pytest.approx(expected, rel=0.12)
        assert expected > 1.15 * float(evolving.write_noise.std(np.array(state)))


def test_cells_that_relax_before_their_read_back_are_named():
    """Training by the write noise of cells that settle warns, unless the covariance is measured."""
    settings = dict(task="digits", method="noisezo", device="Levy2024-B", settling_time=1.0)
    run = dict(passes=4, batch=8, seed=0, evaluations=1, running_clock=True, **settings)
    with pytest.warns(NoiseWarning, match="cross_covariance=True to measure"):
        zo.training.experiment(**run)
    zo.training.experiment(cross_covariance=True, **run)
