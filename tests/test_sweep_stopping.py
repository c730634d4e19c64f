"""Enough seeds: which are run, what the result says, and how often the interval holds."""

import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from zerohm import InputError, sweeps
from zerohm.sweeps import EnoughSeeds


def noisy(spread, seed):
    """Normal values with mean 1; the seed alone says which."""
    return xr.Dataset({"y": 1 + spread * np.random.default_rng(seed).standard_normal()})


@given(
    st.lists(st.floats(-10, 10), min_size=3, max_size=20),
    st.floats(0.01, 10),
    st.floats(0.5, 0.99),
)
def test_enough_is_what_the_interval_of_scipy_says(values, half_width, confidence):
    """Against scipy's own interval of the mean; ties within rounding are left out."""
    rule = EnoughSeeds(half_width=half_width, confidence=confidence)
    error = stats.sem(values)
    if error == 0:
        assert rule.enough(values)
        return
    low, high = stats.t.interval(confidence, len(values) - 1, np.mean(values), error)
    if not math.isclose((high - low) / 2, half_width, rel_tol=1e-9):
        assert rule.enough(values) == ((high - low) / 2 < half_width)


def test_failed_seeds_do_not_count():
    """NaN and infinity are no values; fewer than the least are never enough."""
    rule = EnoughSeeds(half_width=1, least=3)
    assert not rule.enough([1, 1])
    assert not rule.enough([1, 1, math.nan, math.inf])
    assert rule.enough([1, 1, math.nan, 1])


def by_hand(spread, rule, seeds):
    """Number of seeds that a plain loop would run."""
    values = []
    for seed in seeds:
        if len(values) >= rule.least and rule.enough(values):
            break
        values.append(float(noisy(spread, seed).y))
    return len(values)


@pytest.mark.parametrize("workers", [1, 2])
def test_each_combination_gets_the_seeds_that_it_needs(workers, tmp_path):
    """As many as a plain loop over the seeds takes, whatever the other combinations do."""
    rule = EnoughSeeds(variable="y", half_width=0.05)
    spreads, seeds = [0.0, 0.02, 0.1, 5.0], range(30)
    result = sweeps.run(
        noisy, {"seed": seeds, "spread": spreads}, stop=rule, workers=workers,
        store=tmp_path / "r.zarr",
    )  # fmt: skip
    used = [by_hand(spread, rule, seeds) for spread in spreads]
    assert used[0] == 3
    assert used[-1] == 30
    assert result.seeds_used.dims == ("spread",)
    assert result.seeds_used.values.tolist() == used
    for i, count in enumerate(used):
        row = result.y.isel(spread=i).values
        np.testing.assert_array_equal(np.isfinite(row), np.arange(30) < count)
    assert (result.error == "").all()
    xr.testing.assert_identical(sweeps.load(tmp_path / "r.zarr"), result)


def test_points_of_earlier_runs_are_used_and_do_not_change_the_result(tmp_path, monkeypatch):
    """All seeds first, then a rule, then a stricter one: as if each had come first."""
    grid = {"spread": [0.1, 1.0], "seed": range(12)}
    rule = EnoughSeeds(variable="y", half_width=0.2)
    stricter = EnoughSeeds(variable="y", half_width=0.1)
    store = tmp_path / "r.zarr"
    sweeps.run(noisy, grid, store=store)
    for one in (rule, stricter):
        kept = sweeps.run(noisy, grid, store=store, stop=one)
        xr.testing.assert_identical(kept, sweeps.run(noisy, grid, stop=one))


def test_failing_seeds_are_replaced_by_further_ones():
    """A diverged seed is no reason to stop, nor to go on for ever."""

    def sometimes(seed):
        if seed in (0, 2):
            raise ArithmeticError("diverged")
        return xr.Dataset({"y": 1.0})

    rule = EnoughSeeds(variable="y", half_width=0.1)
    with pytest.warns(sweeps.SweepWarning, match="2 of 10 points failed"):
        result = sweeps.run(sometimes, {"seed": range(10)}, stop=rule)
    assert int(result.seeds_used) == 5


def test_an_interrupted_sweep_tells_what_is_not_run_from_what_is_not_needed(tmp_path):
    """Only of rows that are satisfied the rest is not needed."""

    def stopped(spread, seed):
        if spread == 1.0 and seed == 4:
            raise KeyboardInterrupt
        return noisy(spread, seed)

    grid = {"spread": [0.0, 1.0], "seed": range(6)}
    with pytest.raises(KeyboardInterrupt):
        sweeps.run(
            stopped, grid, stop=EnoughSeeds(variable="y", half_width=0.1), store=tmp_path / "r.zarr"
        )
    errors = sweeps.load(tmp_path / "r.zarr").error.values
    assert errors[0].tolist() == [""] * 6
    assert errors[1].tolist() == [""] * 4 + ["not run yet"] * 2


@pytest.mark.parametrize(
    ("grid", "stop", "message"),
    [
        ({"spread": [1.0]}, EnoughSeeds(variable="y"), "sweep seed"),
        ({"seed": [0]}, EnoughSeeds(variable="z"), "no single number 'z'; there are y"),
        ({"seed": [0]}, {"variable": "y"}, "must be an EnoughSeeds"),
    ],
)
def test_unusable_rules_are_refused(grid, stop, message):
    """A rule needs seeds and a number."""
    fixed = {name: 1 for name in ("spread", "seed") if name not in grid}
    with pytest.raises(InputError, match=message):
        sweeps.run(noisy, grid, fixed=fixed, stop=stop)


def coverage(enough, half_width, rng, runs=3000):
    """How often mean ± half width at the stop holds the true mean, of standard normal values."""
    held = 0
    for _ in range(runs):
        values = rng.standard_normal(200)
        count = next((n for n in range(1, 200) if enough(values[:n])), 200)
        held += abs(values[:count].mean()) <= half_width
    return held / runs


def test_the_interval_at_the_stop_covers_as_often_as_stated():
    """92.4 % for a half width of half a standard deviation, by a long simulation of its own.

    3000 sequences have a standard error of 0.5 %: the bound of 2.2 % raises a false alarm in one
    of 10⁵ generators. A rule with the normal quantile for Student's, which stops too early, is
    found out by it.
    """
    rule = EnoughSeeds(half_width=0.5)

    def hasty(values):
        return len(values) >= 3 and 1.96 * np.std(values, ddof=1) <= 0.5 * math.sqrt(len(values))

    right = coverage(rule.enough, 0.5, np.random.default_rng(1))
    assert abs(right - 0.924) < 0.022
    assert abs(coverage(hasty, 0.5, np.random.default_rng(1)) - 0.924) > 0.022
