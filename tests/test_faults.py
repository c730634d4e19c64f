"""Stuck cells and wear: frequencies, lifetimes and published laws.

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
from zerohm.devices.faults import (
    Endurance,
    Faults,
    StuckState,
    WindowClosing,
    cycles_until_degradation,
    stuck_after,
)

ALARM = 1e-4
SHAPE = (300, 400)

FAULTS = Faults(
    low=StuckState(probability=0.0175, conductance=1e-6),
    high=StuckState(probability=0.0904, conductance=100e-6, spread=0.3),
    unformed=StuckState(probability=0.005, conductance=1e-9),
)

ENDURANCE = Endurance(
    characteristic_cycles=1e5,
    weibull_shape=1.7,
    temperature_coefficient=-0.02,
    outcome=Faults(
        low=StuckState(probability=0.25, conductance=1e-6),
        high=StuckState(probability=0.75, conductance=100e-6),
    ),
)


def check_frequency(found, count, probability):
    """So many of a count of cells are no surprise for the binomial law."""
    chance = stats.binomtest(int(found), count, probability).pvalue
    assert chance > ALARM, f"{found} of {count} cells, expected {probability:g}, p = {chance:.1e}"


def test_frequencies_of_faults():
    """Each kind of fault is as frequent as stated; a tenth more or less is told apart."""
    stuck = FAULTS.fabricate(SHAPE, stream(0, "faults"))
    assert stuck.shape == SHAPE
    kinds = {
        "low": (stuck == 1e-6, 0.0175),
        "high": (stuck > 10e-6, 0.0904),
        "unformed": (stuck == 1e-9, 0.005),
        "healthy": (np.isnan(stuck), 1 - 0.0175 - 0.0904 - 0.005),
    }
    assert sum(np.count_nonzero(cells) for cells, _ in kinds.values()) == stuck.size
    for cells, probability in kinds.values():
        check_frequency(np.count_nonzero(cells), stuck.size, probability)
    with pytest.raises(AssertionError):
        check_frequency(np.count_nonzero(kinds["high"][0]), stuck.size, 1.1 * 0.0904)
    with pytest.raises(AssertionError):
        check_frequency(np.count_nonzero(kinds["high"][0]), stuck.size, 0.9 * 0.0904)


def test_stuck_conductances_are_log_normal(naive):
    """Median and spread of what stuck cells are stuck at; another spread is told apart."""
    stuck = FAULTS.fabricate((1000, 1000), stream(1, "spread"))
    logarithm = np.log(stuck[stuck > 10e-6] / 100e-6)
    naive.check_moments(logarithm[:, None], 0.0, 0.3)
    with pytest.raises(AssertionError):
        naive.check_moments(1.05 * logarithm[:, None], 0.0, 0.3)


def test_faults_are_independent(naive):
    """Neighbours and columns fail independently; doubled cells are told apart."""
    stuck = np.isnan(FAULTS.fabricate((20_000, 4), stream(2, "independent"))).astype(float)
    naive.check_independent(stuck)
    with pytest.raises(AssertionError):
        naive.check_independent(np.repeat(stuck[:, :1], 2, axis=1))


def test_no_faults_and_nothing_but_faults():
    """An array without faults works everywhere, one of certain failure nowhere."""
    assert np.all(np.isnan(Faults().fabricate((3, 4), stream(3, "none"))))
    hopeless = Faults(low=StuckState(probability=1.0, conductance=0.0))
    assert np.all(hopeless.fabricate((3, 4), stream(3, "all")) == 0)


def test_lifetimes_follow_weibull():
    """63 % fail by the characteristic number of cycles, the rest by the shape."""
    lifetimes = ENDURANCE.lifetimes(SHAPE, stream(4, "lifetimes"))
    assert lifetimes.shape == SHAPE
    law = stats.weibull_min(1.7, scale=1e5)
    assert stats.kstest(lifetimes.ravel(), law.cdf).pvalue > ALARM
    assert stats.kstest(1.03 * lifetimes.ravel(), law.cdf).pvalue < ALARM
    exponential = ENDURANCE.characteristic_cycles * stream(4, "wrong").exponential(size=SHAPE)
    assert stats.kstest(exponential.ravel(), law.cdf).pvalue < ALARM
    check_frequency(np.count_nonzero(lifetimes <= 1e5), lifetimes.size, 1 - np.exp(-1))


def test_cells_fail_for_good():
    """Stuck from the lifetime on at one of the outcomes, working before, in the stated shares."""
    lifetimes = ENDURANCE.lifetimes(SHAPE, stream(5, "lifetimes"))
    failed = ENDURANCE.outcome.fabricate(SHAPE, stream(5, "outcome"))
    assert not np.any(np.isnan(failed))
    previous = np.zeros(SHAPE, bool)
    for wear in (0.0, 1e4, 1e5, 1e6):
        stuck = stuck_after(np.full(SHAPE, wear), lifetimes, failed)
        now = ~np.isnan(stuck)
        assert np.all(now[previous])
        assert np.array_equal(now, lifetimes <= wear)
        assert np.array_equal(stuck[now], failed[now])
        previous = now
    assert stuck_after(lifetimes, lifetimes, failed)[0, 0] == failed[0, 0]
    check_frequency(np.count_nonzero(failed == 100e-6), failed.size, 0.75)


def test_heat_wears_faster():
    """An event at T wears as the law of the source says; at 300 K it counts as one."""
    assert ENDURANCE.wear_per_event() == 1.0
    assert ENDURANCE.wear_per_event(350.0) == pytest.approx(np.e)
    p0, p2 = 1e9, -0.02
    law = {"prefactor": p0, "size_coefficient": -1e7, "size": 50e-9, "temperature_coefficient": p2}
    cool, hot = (cycles_until_degradation(**law, temperature=T) for T in (300.0, 350.0))
    assert cool == pytest.approx(p0 * np.exp(-0.5 - 6.0))
    assert cool / hot == pytest.approx(ENDURANCE.wear_per_event(350.0))
    for temperature in (0.0, -10.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="temperature"):
            ENDURANCE.wear_per_event(temperature)


@given(st.floats(0, 2), st.floats(0, 2), st.floats(0, 12))
def test_window_closes_by_power_laws(low_exponent, high_exponent, decades):
    """Constant up to the onset, power laws after it, and never an upper edge below a lower."""
    closing = WindowClosing(
        onset_cycles=1e4, low_exponent=low_exponent, high_exponent=high_exponent
    )
    wear = np.array([0.0, 1e4, 10**decades])
    low, high = closing.window_after(wear, 1e-6, 50e-6)
    assert low[:2] == pytest.approx([1e-6, 1e-6])
    assert high[:2] == pytest.approx([50e-6, 50e-6])
    n = max(10**decades / 1e4, 1.0)
    free_low, free_high = 1e-6 * n**low_exponent, 50e-6 * n**-high_exponent
    if free_low <= free_high:
        assert (low[2], high[2]) == pytest.approx((free_low, free_high))
    else:
        assert low[2] == pytest.approx(high[2])
        assert 1e-6 * (1 - 1e-9) <= low[2] <= 50e-6 * (1 + 1e-9)


def test_a_window_that_cannot_close():
    """Power laws need edges above zero, in order."""
    closing = WindowClosing(onset_cycles=10.0, low_exponent=0.1)
    for low, high in ((0.0, 1e-6), (2e-6, 1e-6)):
        with pytest.raises(InputError, match="0 < conductance_min < conductance_max"):
            closing.window_after(np.ones(2), low, high)


def test_models_survive_a_card():
    """Written as JSON and read back, faults and endurance are the same."""
    endurance = replace(ENDURANCE, closing=WindowClosing(onset_cycles=1e3, high_exponent=0.1))
    for model in (FAULTS, endurance):
        adapter = TypeAdapter(type(model))
        text = json.dumps(adapter.dump_python(model, mode="json"))
        assert adapter.validate_json(text) == model


def test_parameters_outside_their_range():
    """Every refusal says what was wrong."""
    half = StuckState(probability=0.6, conductance=1e-6)
    with pytest.raises(ValidationError, match=r"add up to 1.2 > 1"):
        Faults(low=half, high=half)
    with pytest.raises(ValidationError, match="must add up to 1"):
        replace(ENDURANCE, outcome=Faults(low=half))
    for values in ({"probability": 1.1}, {"conductance": -1e-6}, {"spread": -0.1}):
        with pytest.raises(ValidationError, match=next(iter(values))):
            StuckState(**({"probability": 0.1, "conductance": 1e-6} | values))
    for name in ("characteristic_cycles", "weibull_shape"):
        with pytest.raises(ValidationError, match=name):
            replace(ENDURANCE, **{name: 0.0})
    with pytest.raises(ValidationError, match="onset_cycles"):
        WindowClosing(onset_cycles=0.0)
