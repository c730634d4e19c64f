"""Drift: published curves at published points, exponents by statistics.

Statistical checks have a false-alarm rate of 1e-4 each.
"""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from scipy import stats

from zerohm import InputError
from zerohm._random import stream
from zerohm.devices.drift import DriftLaw, LogarithmicDrift, PowerLawDrift, clipped_logarithm
from zerohm.devices.state_dependence import StateTable

LARGEST = 25e-6  # S, of the phase-change cells

# Nandakumar et al. 2019: exponents by x = G / 25 µS, as an array of a million cells shows them.
PHASE_CHANGE = PowerLawDrift(
    exponent_mean=clipped_logarithm(
        slope=-0.0155, offset=0.0244, low=0.049, high=0.1, reference=LARGEST
    ),
    exponent_std=clipped_logarithm(
        slope=-0.0125, offset=-0.0059, low=0.008, high=0.045, reference=LARGEST
    ),
    onset_s=20.0,
)

# Falcone et al. 2025: mean −0.089 ln t, standard deviation 0.41183 + 0.04201 ln t, µS, t ≥ 1 s.
OXIDE = LogarithmicDrift(
    mean_slope=-0.089e-6,
    mean_onset_s=1.0,
    spread_slope=0.04201e-6,
    spread_onset_s=float(np.exp(-0.41183 / 0.04201)),
)


def drifted(law, conductance, seconds, seed=0):
    """State and deviation after one step."""
    rng = stream(seed, "drift")
    state = law.start(conductance, rng)
    law.advance(state, seconds, rng)
    return state, law.deviation(state, conductance)


@pytest.mark.parametrize("x", [0.001, 0.01, 0.05, 0.2, 0.5, 1.0])
def test_phase_change_exponents(naive, x):
    """Mean and spread of ν by the published fit, from state to state; others are told apart."""
    mean = np.clip(-0.0155 * np.log(x) + 0.0244, 0.049, 0.1)
    std = np.clip(-0.0125 * np.log(x) - 0.0059, 0.008, 0.045)
    state, _ = drifted(PHASE_CHANGE, np.full(40_000, x * LARGEST), 0.0)
    naive.check_moments(state["exponent"][:, None], mean, std)
    with pytest.raises(AssertionError):
        naive.check_moments(state["exponent"][:, None], mean + 0.03 * std, std)
    with pytest.raises(AssertionError):
        naive.check_moments(1.03 * (state["exponent"][:, None] - mean), 0.0, std)


@pytest.mark.parametrize("seconds", [0.0, 1.0, 20.0, 3600.0, 1e8])
def test_power_law_in_time(seconds):
    """G(t) = G(0) ((t + t₀) / t₀)^−ν with the cell's own ν, from t = 0 on."""
    programmed = np.linspace(1e-6, LARGEST, 50).reshape(5, 10)
    state, deviation = drifted(PHASE_CHANGE, programmed, seconds)
    expected = programmed * ((seconds + 20.0) / 20.0) ** -state["exponent"]
    np.testing.assert_allclose(programmed + deviation, expected, rtol=1e-13)


def test_table_of_a_clipped_logarithm():
    """The table lies within 4e-4 of its range of the formula, and on it beyond its ends."""
    x = np.geomspace(1e-4, 1.0, 2000)
    for slope, offset, low, high in ((-0.0155, 0.0244, 0.049, 0.1), (0.2, 1.0, 0.4, 0.9)):
        table = clipped_logarithm(slope=slope, offset=offset, low=low, high=high, reference=LARGEST)
        expected = np.clip(slope * np.log(x) + offset, low, high)
        bound = (high - low) ** 2 / (8192 * abs(slope))
        assert np.max(np.abs(table(x * LARGEST) - expected)) <= 1.001 * bound
    for slope, low, high in ((0.0, 0.1, 0.2), (1.0, 0.2, 0.2)):
        with pytest.raises(InputError, match="slope"):
            clipped_logarithm(slope=slope, offset=0.0, low=low, high=high, reference=LARGEST)


@pytest.mark.parametrize("seconds", [1.0, 10.0, 3600.0, 1e5])
def test_published_oxide_drift(naive, seconds):
    """Mean and spread of the published fit at any state; a tenth of it more is told apart."""
    programmed = np.tile([10e-6, 80e-6], (40_000, 1))
    _, deviation = drifted(OXIDE, programmed, seconds)
    mean = -0.089e-6 * np.log(seconds)
    std = (0.41183 + 0.04201 * np.log(seconds)) * 1e-6
    naive.check_moments(deviation, mean, std)
    with pytest.raises(AssertionError):
        naive.check_moments(1.1 * (deviation - mean), 0.0, std)
    with pytest.raises(AssertionError):
        naive.check_moments(deviation, mean + 0.1 * std, std)


def test_oxide_drift_before_its_fit():
    """Nothing at t = 0 nor before an onset; between onsets a spread without a mean."""
    programmed = np.full(10_000, 50e-6)
    for seconds in (0.0, 1e-6, 5e-5):
        assert np.all(drifted(OXIDE, programmed, seconds)[1] == 0)
    early = drifted(OXIDE, programmed, 1e-3)[1]
    assert abs(early.mean()) * 100 / early.std() < stats.norm.isf(1e-4 / 2)
    assert early.std() == pytest.approx(0.04201e-6 * np.log(1e-3) + 0.41183e-6, rel=0.05)


def test_cells_keep_their_order():
    """One number per cell carries the oxide's spread through time."""
    programmed = np.full(100, 50e-6)
    rng = stream(1, "order")
    state = OXIDE.start(programmed, rng)
    OXIDE.advance(state, 1.0, rng)
    early = np.argsort(OXIDE.deviation(state, programmed))
    OXIDE.advance(state, 1e6, rng)
    assert np.array_equal(early, np.argsort(OXIDE.deviation(state, programmed)))


LAWS = pytest.mark.parametrize("law", [PHASE_CHANGE, OXIDE])


@LAWS
@given(steps=st.lists(st.floats(0, 1e6), min_size=1, max_size=6))
def test_any_sequence_of_steps(law, steps):
    """Many steps end where one does, and no step draws a random number."""
    programmed = np.linspace(1e-6, LARGEST, 7)
    _, at_once = drifted(law, programmed, sum(steps))
    rng = stream(0, "drift")
    state = law.start(programmed, rng)
    counter = rng.bit_generator.state["state"]["counter"].copy()
    for step in steps:
        law.advance(state, step, rng, temperature=350.0)
    assert np.array_equal(counter, rng.bit_generator.state["state"]["counter"])
    np.testing.assert_allclose(law.deviation(state, programmed), at_once, rtol=1e-9, atol=1e-20)


@LAWS
def test_cells_that_are_written_again_start_anew(law):
    """Part of a state is replaced in place: those cells are back where they were programmed."""
    rng = stream(2, "rewrite")
    programmed = np.full((2, 6), 10e-6)
    state, before = drifted(law, programmed, 1e4)
    where = np.array([True, False, False, True, False, False])
    for name, values in law.start(programmed[:, where], rng).items():
        state[name][..., where] = values
    after = law.deviation(state, programmed)
    assert np.all(after[:, where] == 0)
    assert np.array_equal(after[:, ~where], before[:, ~where])


@LAWS
def test_single_precision(law):
    """float32 cells drift in float32, within its rounding of float64; ages stay float64."""
    programmed = np.linspace(1e-6, LARGEST, 100, dtype=np.float32)
    state, deviation = drifted(law, programmed, 3600.0)
    assert deviation.dtype == np.float32
    assert state["age"].dtype == np.float64
    wide = {name: values.astype(np.float64) for name, values in state.items()}
    expected = law.deviation(wide, programmed.astype(np.float64))
    np.testing.assert_allclose(deviation, expected, rtol=1e-5, atol=1e-12)


@LAWS
def test_a_law_survives_a_card(law):
    """Written as JSON and read back by its kind, a law is the same."""
    adapter = TypeAdapter(DriftLaw)
    text = json.dumps(adapter.dump_python(law, mode="json"))
    assert adapter.validate_json(text) == law


@LAWS
def test_time_runs_forwards(law):
    """A step that is negative, infinite or no number is refused and changes nothing."""
    state = law.start(np.full(3, 10e-6), stream(3, "bad"))
    for seconds in (-1.0, float("inf"), float("nan")):
        with pytest.raises(InputError, match="seconds"):
            law.advance(state, seconds, stream(3, "bad"))
    assert np.all(state["age"] == 0)


def test_parameters_outside_their_range():
    """Every refusal names the parameter."""
    negative = StateTable(conductance=(1e-6, 2e-6), values=(0.1, -0.1))
    with pytest.raises(ValidationError, match=r"exponent_std=-0.1: must be at least 0"):
        replace(PHASE_CHANGE, exponent_std=negative)
    with pytest.raises(ValidationError, match="onset_s"):
        replace(PHASE_CHANGE, onset_s=0.0)
    for name, value in (("mean_onset_s", 0.0), ("spread_onset_s", -1.0), ("spread_slope", -1e-9)):
        with pytest.raises(ValidationError, match=name):
            replace(OXIDE, **{name: value})
