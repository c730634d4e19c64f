"""Write noise from programming events: coverage, choice of the law, limits that are said."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import binom

from zerohm import InputError, devices
from zerohm._random import stream
from zerohm.devices import AcceptanceBand, ConstantNoise, PolynomialNoise
from zerohm.devices.calibrate import programming, read_table
from zerohm.devices.calibrate.programming import _band, _normal

TARGETS = np.tile(np.linspace(5e-6, 50e-6, 20), 15)
RELATIVE = TARGETS / TARGETS.max()


def table(errors, targets=TARGETS, **columns):
    return {"target_S": targets, "conductance_S": targets + errors, **columns}


def with_errors(base, errors):
    """A checked table with other errors, without reading it again."""
    return replace(base, data=base.data.assign(conductance_S=base["target_S"] + errors))


def covered(estimates, truth, *, narrowed=1.0):
    """Whether each interval, narrowed by a factor, holds its true value."""
    at = [estimates.names.index(name) for name in truth]
    values, wanted = estimates.values[at], np.array(list(truth.values()))
    below = wanted >= values - narrowed * (values - estimates.lower[at])
    return below & (wanted <= values + narrowed * (estimates.upper[at] - values))


@pytest.mark.parametrize(
    ("sigma", "spreads", "truth"),
    [
        (lambda x: 1e-6, [1e-6], {"sigma": 1e-6}),
        (
            lambda x: (0.5 + 1.5 * x) * 1e-6,
            [1e-6, 0.0],
            {"coefficient_0": 0.5e-6, "coefficient_1": 1.5e-6},
        ),
    ],
    ids=["constant", "polynomial"],
)
def test_intervals_of_the_normal_laws_cover_the_truth(sigma, spreads, truth):
    """93 to 97 % of 500 intervals of every parameter; exact ones fail with probability 4 %.

    Intervals of half the width cover 67 %, which the same count refuses.
    """
    truth = truth | {"bias": 2e-7, "bias_slope": 0.01}
    rng = stream(1, "coverage of programming", *truth)
    targets = np.tile(TARGETS, 2)
    base = read_table(table(0.0, targets), "programming")
    spread = sigma(targets / targets.max())
    hits, narrow = np.zeros(len(truth)), np.zeros(len(truth))
    for _ in range(500):
        errors = 2e-7 + 0.01 * (targets - targets.mean()) + spread * rng.standard_normal(600)
        found = _normal(with_errors(base, errors), spreads).estimates
        hits += covered(found, truth)
        narrow += covered(found, truth, narrowed=0.5)
    assert np.all((hits >= 465) & (hits <= 485)), dict(zip(truth, hits, strict=True))
    assert np.all(narrow < 465)
    assert binom.cdf(464, 500, 0.95) + binom.sf(485, 500, 0.95) < 0.04


def test_interval_of_the_band_is_exact():
    """30 events: the truth lies above and below 2.5 % of 2000 intervals each.

    Within 4 standard deviations of a binomial (false-alarm rate 1e-4); an interval with 5 % on one
    side, which is 7 of them away, is refused.
    """
    rng = stream(2, "coverage of the band")
    targets = TARGETS[:30]
    base = read_table(table(0.0, targets), "programming")
    ends = []
    for _ in range(2000):
        errors = 0.03 * targets * rng.uniform(-1.0, 1.0, 30)
        found = _band(with_errors(base, errors))[0].estimates
        ends.append((found.lower[0], found.values[0], found.upper[0]))
    lower, value, upper = np.transpose(ends)
    allowed = 4 * np.sqrt(2000 * 0.025 * 0.975)
    assert abs(np.sum(lower > 0.03) - 50) < allowed
    assert abs(np.sum(upper < 0.03) - 50) < allowed
    largest = value * 30 / 31
    assert abs(np.sum(largest * 0.05 ** (-1 / 30) < 0.03) - 50) > allowed
    assert abs(value.mean() - 0.03) < 4 * value.std() / np.sqrt(2000)


@pytest.mark.parametrize(
    ("sample", "kind"),
    [
        (lambda rng: 1e-6 * rng.standard_normal(300), "constant"),
        (lambda rng: (0.3 + 2 * RELATIVE) * 1e-6 * rng.standard_normal(300), "polynomial"),
        (lambda rng: 0.02 * TARGETS * rng.uniform(-1, 1, 300), "acceptance band"),
        (lambda rng: 1e-6 * rng.standard_t(3, 300), "constant"),
    ],
    ids=["constant", "polynomial", "band", "heavy tails"],
)
def test_the_law_of_the_data_is_chosen(sample, kind):
    """In at least 9 of 10 data sets, and heavy tails are not taken for a dependence on target."""
    fits = [programming(table(sample(stream(seed, "law")))) for seed in range(10)]
    assert sum(fit.cell.write_noise.kind == kind for fit in fits) >= 9


def test_a_preset_is_recovered_from_its_own_samples():
    """The quartic of Wan et al. is found in 20 000 events, within 5 % in the whole window."""
    cell = devices.preset("Wan2022")
    rng = stream(3, "preset")
    targets = rng.uniform(cell.conductance_min, cell.conductance_max, 20_000)
    errors = cell.write_noise.std(targets) * rng.standard_normal(20_000)
    fit = programming(table(errors, targets), law="polynomial", cell=cell)
    states = np.linspace(cell.conductance_min, cell.conductance_max, 41)
    assert_allclose(fit.cell.write_noise.std(states), cell.write_noise.std(states), rtol=0.05)
    assert fit.goodness["normality_p_value"] > 1e-3
    assert fit.goodness["spread_vs_target_p_value"] > 1e-3
    constant = programming(table(errors, targets), law="constant", cell=cell)
    assert constant.goodness["spread_vs_target_p_value"] < 1e-6
    assert fit.cell.name == "Wan2022"


def test_the_cell_writes_like_the_data():
    """Each law that was asked for arrives in the cell with its estimate."""
    rng = stream(4, "laws")
    normal = table(1e-6 * rng.standard_normal(300))
    fit = programming(normal, law="constant")
    assert fit.cell.write_noise == ConstantNoise(sigma=fit.estimates["sigma"])
    assert (fit.cell.conductance_min, fit.cell.conductance_max) == (5e-6, 50e-6)
    fit = programming(normal, degree=2)
    assert isinstance(fit.cell.write_noise, PolynomialNoise)
    assert fit.cell.write_noise.coefficients == tuple(
        fit.estimates[f"coefficient_{k}"] for k in range(3)
    )
    fit = programming(table(0.02 * TARGETS * rng.uniform(-1, 1, 300)))
    assert fit.cell.write_noise == AcceptanceBand(relative=fit.estimates["relative_band"])
    assert fit.goodness["uniformity_p_value"] > 1e-3
    triangular = 0.01 * TARGETS * (rng.uniform(-1, 1, 300) + rng.uniform(-1, 1, 300))
    fit = programming(table(triangular), law="acceptance band")
    assert fit.goodness["uniformity_p_value"] < 1e-6


def test_heavy_tails_are_diagnosed_with_their_alternative():
    """Student t errors with 3 degrees of freedom are named as such; normal ones are not."""
    rng = stream(5, "tails")
    fit = programming(table(1e-6 * rng.standard_t(3, 300)))
    said = " ".join(fit.diagnosis.findings)
    assert "heavier tails" in said
    freedom = float(said.split("Student t distribution with ")[1].split()[0])
    assert 2.0 < freedom < 5.0
    assert not programming(table(1e-6 * rng.standard_normal(300))).diagnosis.findings


def test_bias_is_reported_because_no_law_has_one():
    """A mean error is estimated, found and left out of the cell, for normal and uniform errors."""
    rng = stream(6, "bias")
    fit = programming(table(5e-7 + 1e-6 * rng.standard_normal(300)))
    assert abs(fit.estimates["bias"] - 5e-7) < 4 * fit.estimates.standard_errors[0]
    assert any(text.startswith("bias =") for text in fit.diagnosis.findings)
    shifted = 0.02 * TARGETS * (rng.uniform(-1, 1, 300) + 0.3)
    fit = programming(table(shifted), law="acceptance band")
    assert any(text.startswith("relative_bias =") for text in fit.diagnosis.findings)


def test_common_errors_of_a_cell_widen_the_error_bars():
    """60 cells, each off by as much as an event: the error of the bias is that of 60 numbers."""
    rng = stream(7, "cells")
    cells = np.repeat(np.arange(60), 20)
    targets = np.tile(np.linspace(5e-6, 50e-6, 20), 60)
    errors = 1e-6 * (rng.standard_normal(60)[cells] + rng.standard_normal(1200))
    known = programming(table(errors, targets, cell=cells), law="constant")
    unknown = programming(table(errors, targets), law="constant")
    assert_allclose(known.estimates.standard_errors[0], 1e-6 * np.sqrt(1.05 / 60), rtol=0.25)
    assert unknown.estimates.standard_errors[0] < 0.5 * known.estimates.standard_errors[0]
    assert any("correlated" in text for text in known.diagnosis.findings)


def test_one_target_is_enough_for_all_but_the_slope():
    """The slope of the bias is refused by name, the rest is fitted; the window begins at 0."""
    errors = 1e-6 * stream(8, "one target").standard_normal(100)
    fit = programming(table(errors, np.full(100, 2e-5)))
    assert fit.refused == {"bias_slope": "there is one target only"}
    assert_allclose(fit.estimates["sigma"], errors.std(), rtol=1e-3)
    assert fit.cell.conductance_min == 0.0
    assert any("extrapolation" in text for text in fit.diagnosis.findings)


def test_extrapolation_beyond_the_targets_is_said():
    """A cell whose window is wider than the data, not one inside of them."""
    data = table(1e-6 * stream(9, "window").standard_normal(300))
    wide = devices.Cell(name="wide", conductance_min=1e-6, conductance_max=60e-6)
    fit = programming(data, law="constant", cell=wide)
    assert any("from 5e-06 to 5e-05 S only" in text for text in fit.diagnosis.findings)
    narrow = devices.Cell(name="narrow", conductance_min=10e-6, conductance_max=40e-6)
    assert not programming(data, law="constant", cell=narrow).diagnosis.findings


def test_a_law_that_is_negative_between_the_targets_is_not_taken():
    """Three levels with small noise in the middle: the parabola through them would be."""
    targets = np.repeat([10e-6, 15e-6, 50e-6], 100)
    noise = np.repeat([1e-6, 1e-8, 2e-6], 100) * stream(11, "dip").standard_normal(300)
    fit = programming(table(noise, targets))
    assert fit.goodness["law"] != "polynomial 2"
    with pytest.raises(InputError, match="positive in the whole window"):
        programming(table(noise, targets), degree=2)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({}, {"law": "gaussian"}, "unknown law of write noise 'gaussian'"),
        ({}, {"degree": 5}, "degree=5"),
        ({}, {"law": "constant", "degree": 1}, "degree=1"),
        ({"target_S": TARGETS - 5e-6}, {"law": "acceptance band"}, "needs positive targets"),
        ({"target_S": np.full(300, 1e-5)}, {"law": "polynomial"}, "different ones"),
        ({"target_S": [1e-6] * 9, "conductance_S": [2e-6] * 9}, {}, "9 programming events"),
        ({"conductance_S": TARGETS + 1e-6 * 0}, {}, "every error is the same"),
    ],
)
def test_what_cannot_be_fitted_is_refused(change, options, message):
    """Each message says what is missing."""
    data = table(1e-6 * stream(10, "refused").standard_normal(300))
    with pytest.raises(InputError, match=message):
        programming(data | change, **options)
