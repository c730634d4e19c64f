"""Maximum likelihood, residual diagnosis, and the calibration that every kind gives back."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose

import zerohm as zo
from zerohm import InputError, devices
from zerohm._random import stream
from zerohm.devices import cards
from zerohm.devices.calibrate import programming
from zerohm.devices.calibrate.diagnosis import diagnose
from zerohm.devices.calibrate.estimate import (
    Estimates,
    EstimationError,
    Parameter,
    join,
    maximise,
    transform,
)
from zerohm.devices.calibrate.quantities import quantity, rounded
from zerohm.devices.calibrate.result import cell_from


def gaussian(sample):
    """Contributions of independent normal numbers, over mean and standard deviation."""
    return lambda values: -np.log(values[1]) - 0.5 * ((sample - values[0]) / values[1]) ** 2


def mean_and_deviation(scale=1.0):
    return [
        Parameter(name="mean", unit="S", start=0.0, size=scale),
        Parameter(name="deviation", unit="S", start=10 * scale, scale="logarithmic"),
    ]


@pytest.fixture(scope="module")
def events():
    rng = stream(0, "calibration result")
    targets = np.tile(np.linspace(5e-6, 50e-6, 10), 30)
    return {"target_S": targets, "conductance_S": targets + rng.normal(0.0, 1e-6, 300)}


# --- maximum likelihood


@pytest.mark.parametrize("unit", [1.0, 1e-6, 1e9])
def test_estimates_are_those_of_the_formula_in_any_unit(unit):
    """Mean, deviation and their errors of a normal sample, to a ten-thousandth of an error."""
    sample = unit * stream(1, "sample").normal(3.0, 0.5, 400)
    found = maximise(gaussian(sample), mean_and_deviation(unit), points=400)
    errors = sample.std() / np.sqrt([400, 800])
    assert_allclose(found.values, [sample.mean(), sample.std()], atol=1e-4 * errors.min())
    assert_allclose(found.standard_errors, errors, rtol=1e-4)
    assert abs(found.covariance[0, 1]) < 1e-3 * errors.prod()
    assert found.flags == {}
    log_likelihood = -400 * np.log(sample.std()) - 200
    assert_allclose(found.log_likelihood, log_likelihood, atol=1e-7)
    assert_allclose(found.bayes_information, 2 * np.log(400) - 2 * log_likelihood, atol=1e-6)


def test_collinear_parameters_have_the_covariance_of_least_squares():
    """Coefficients of a quartic, correlated to 0.9999, against (XᵀX)⁻¹."""
    design = np.vander(np.linspace(0.5, 1.0, 60), 5, increasing=True)
    sample = design @ np.ones(5) + stream(2, "noise").normal(0.0, 0.1, 60)
    parameters = [Parameter(name=f"c{k}", unit="1", start=0.0, size=1.0) for k in range(5)]
    found = maximise(
        lambda values: -0.5 * ((sample - design @ values) / 0.1) ** 2, parameters, points=60
    )
    expected = 0.01 * np.linalg.inv(design.T @ design)
    assert_allclose(found.standard_errors, np.sqrt(np.diag(expected)), rtol=1e-3)
    assert_allclose(found.covariance, expected, rtol=3e-3)
    exact = np.linalg.lstsq(design, sample)[0]
    assert np.all(np.abs(found.values - exact) < 1e-3 * found.standard_errors)


def test_strong_correlations_do_not_spoil_the_errors():
    """A standard deviation c₀ + c₁x at x from 0.98 to 1.02, against the same around x = 1.

    The coefficients are correlated to 0.9999 and the likelihood is not quadratic: differences
    along the coefficients themselves would miss the errors by a percent.
    """
    x = np.linspace(0.98, 1.02, 300)
    sample = (1.0 + 10.0 * (x - 1.0)) * stream(9, "linear spread").standard_normal(300)

    def fit(origin, start):
        def contributions(values):
            sigma = values[0] + values[1] * (x - origin)
            return -np.log(sigma) - 0.5 * (sample / sigma) ** 2

        names = [Parameter(name=name, unit="1", start=start[name], size=1.0) for name in start]
        return maximise(contributions, names, points=300)

    far, near = fit(0.0, {"c0": 1.0, "c1": 0.0}), fit(1.0, {"level": 1.0, "slope": 0.0})
    expected = transform(near, np.array([[1.0, -1.0], [0.0, 1.0]]), ["c0", "c1"], ["1", "1"])
    assert_allclose(far.standard_errors, expected.standard_errors, rtol=1e-4)
    assert_allclose(far.values, expected.values, atol=1e-4 * expected.standard_errors.min())
    assert far.covariance[0, 1] < -0.999 * far.standard_errors.prod()


def test_sandwich_sees_that_copies_are_no_new_information():
    """Every number four times: clusters give the errors of the numbers, rows half of them."""
    sample = np.repeat(stream(3, "sample").normal(3.0, 0.5, 400), 4)
    copies = np.repeat(np.arange(400), 4)
    naive = maximise(gaussian(sample), mean_and_deviation(), points=1600).standard_errors
    rows = maximise(
        gaussian(sample), mean_and_deviation(), points=1600, clusters=np.arange(1600)
    ).standard_errors
    clustered = maximise(
        gaussian(sample), mean_and_deviation(), points=1600, clusters=copies
    ).standard_errors
    assert_allclose(clustered[0], 2 * naive[0], rtol=0.01)
    assert_allclose(clustered[1], 2 * naive[1], rtol=0.15)  # the kurtosis of 400 numbers
    assert_allclose(rows, clustered / 2, rtol=0.01)


def test_intervals_stay_where_the_parameter_may_be():
    """95 % of a rate from three numbers is positive, that of a share between its bounds."""
    rate = Parameter(name="rate", unit="1/s", start=1.0, scale="logarithmic")
    found = maximise(lambda v: 3 * np.log(v[0]) - 7.0 * v[0], [rate], points=3)
    half = np.exp(1.959964 / np.sqrt(3))
    assert_allclose([found.lower[0], found.upper[0]], [3 / 7 / half, 3 / 7 * half], rtol=1e-4)
    share = Parameter(name="share", unit="1", start=1.5, scale="bounded", lower=1.0, upper=2.0)
    found = maximise(lambda v: 9 * np.log(v[0] - 1) + np.log(2 - v[0]), [share], points=10)
    assert_allclose(found.values, [1.9], atol=1e-5)
    assert 1.5 < found.lower[0] < 1.9 < found.upper[0] < 2.0


def test_what_the_data_do_not_determine_is_named_and_the_rest_is_fitted():
    """A sum of two means, a parameter without effect and a spread of zero have no error bar."""
    sample = stream(4, "sample").normal(3.0, 0.5, 400)
    parameters = [
        Parameter(name="one", unit="S", start=0.0, size=1.0),
        Parameter(name="other", unit="S", start=1.0),
        Parameter(name="deviation", unit="S", start=5.0, scale="logarithmic"),
        Parameter(name="idle", unit="1", start=0.3, scale="bounded"),
    ]
    found = maximise(
        lambda v: gaussian(sample)(np.array([v[0] + v[1], v[2]])) + 0 * v[3], parameters, points=400
    )
    assert set(found.flags) == {"one", "other", "idle"}
    assert "combination with other" in found.flags["one"]
    assert "flat around 0.3" in found.flags["idle"]
    assert_allclose(found["one"] + found["other"], sample.mean(), atol=1e-4)
    assert_allclose(found.standard_errors[2], sample.std() / np.sqrt(800), rtol=1e-3)
    assert np.isnan(found.standard_errors[[0, 1, 3]]).all()
    extra = Parameter(name="extra", unit="S", start=0.5, scale="logarithmic")
    found = maximise(
        lambda v: gaussian(sample)(np.array([3.0, np.hypot(0.7, v[0])])), [extra], points=400
    )
    assert "on its way to 0" in found.flags["extra"]


def test_a_likelihood_without_a_maximum_is_an_error():
    """One that rises for ever, and one that is not defined at the start."""
    rising = [Parameter(name="x", unit="1", start=0.0)]
    with pytest.raises(EstimationError):
        maximise(lambda v: v[0], rising, points=1)
    with pytest.raises(EstimationError, match="not defined where the search starts"):
        maximise(lambda v: np.log(-1.0 - v[0] ** 2), rising, points=1)


def test_joined_and_transformed_estimates_keep_their_covariances():
    """Blocks stay apart; a linear combination has J C Jᵀ and a symmetric interval."""
    sample = stream(5, "sample").normal(3.0, 0.5, 100)
    one = maximise(gaussian(sample), mean_and_deviation(), points=100)
    both = join(one, one)
    assert both.covariance.shape == (4, 4)
    assert not both.covariance[:2, 2:].any()
    assert both.log_likelihood == 2 * one.log_likelihood
    combined = transform(one, np.array([[2.0, 3.0]]), ["sum"], ["S"])
    variance = 4 * one.covariance[0, 0] + 9 * one.covariance[1, 1] + 12 * one.covariance[0, 1]
    assert_allclose(combined.covariance, [[variance]])
    assert_allclose(combined.upper + combined.lower, 2 * combined.values)
    assert isinstance(combined, Estimates)


# --- diagnosis


def findings(make, repetitions, seed):
    """How often each of the two checks finds something."""
    rng = stream(seed, "diagnosis")
    said = [" ".join(diagnose(make(rng)).findings) for _ in range(repetitions)]
    return [sum(word in text for text in said) for word in ("neighbouring", "tails")]


def test_diagnosis_of_good_residuals_is_rarely_wrong():
    """Each check finds at most 1 % of 600 right models: 15 is exceeded with probability 4e-4."""
    assert max(findings(lambda rng: rng.standard_normal(200), 600, 0)) <= 15


@pytest.mark.parametrize(
    ("make", "check"),
    [
        (lambda rng: np.convolve(rng.standard_normal(202), [0.8, 0.5, 0.33], "valid"), 0),
        (lambda rng: rng.standard_t(3, 200) / np.sqrt(3), 1),
        (lambda rng: np.sqrt(12) * (rng.random(200) - 0.5), 1),
    ],
    ids=["correlated", "heavy", "light"],
)
def test_diagnosis_finds_what_is_wrong(make, check):
    """Correlated, heavy- and light-tailed residuals are found in more than 80 % of 50 series."""
    assert findings(make, 50, 1)[check] > 40


def test_only_neighbours_of_one_cell_are_compared():
    """Interleaved cells with slow noise look white row by row and correlated cell by cell."""
    walks = np.cumsum(stream(6, "walks").standard_normal((20, 50)), axis=1)
    walks = (walks - walks.mean(1, keepdims=True)) / walks.std(1, keepdims=True)
    rows, cells = walks.T.ravel(), np.tile(np.arange(20), 50)
    assert diagnose(rows, cells).lag1_autocorrelation > 0.8
    assert abs(diagnose(rows).lag1_autocorrelation) < 0.2


def test_fitted_means_do_not_count_as_correlation():
    """Residuals around 100 fitted means of 5 each are negatively correlated by their fit alone."""
    residuals = stream(7, "residuals").standard_normal((100, 5))
    residuals = (residuals - residuals.mean(1, keepdims=True)) / np.sqrt(0.8)
    cells = np.repeat(np.arange(100), 5)
    naive = diagnose(residuals.ravel(), cells)
    corrected = diagnose(residuals.ravel(), cells, fitted=100)
    assert naive.lag1_autocorrelation < -naive.lag1_band
    assert abs(corrected.lag1_autocorrelation) < corrected.lag1_band


def test_too_few_residuals_say_nothing():
    """No check is made on five numbers or on one per cell."""
    found = diagnose(np.arange(5.0), np.arange(5))
    assert np.isnan([found.lag1_autocorrelation, found.excess_kurtosis, found.tail_ratio]).all()
    assert found.findings == ()


# --- calibration and card


def test_parameters_and_covariance_are_labelled(events):
    """value, error and interval with units; the covariance agrees with the errors."""
    fit = programming(events, law="constant")
    table = fit.parameters.sel(parameter="sigma")
    assert table.unit.item() == "S"
    assert table.lower < table.value < table.upper
    variances = [fit.covariance.sel(parameter=n, other_parameter=n) for n in ("bias", "sigma")]
    errors = fit.parameters.standard_error.sel(parameter=["bias", "sigma"])
    assert_allclose(np.sqrt(variances), errors)
    assert_allclose(fit.covariance, fit.covariance.T)


def test_card_round_trip(events, tmp_path):
    """A saved calibration loads as its cell, by every way in which commands name devices."""
    fit = programming(events, name="mine")
    path = tmp_path / "card.json"
    fit.save(path)
    assert zo.devices.load(path) == fit.cell == devices.find(str(path))
    record = cards.calibration(path)
    assert record["kind"] == "programming"
    assert record["provenance"]["sha256"] == fit.provenance.sha256
    assert record["provenance"]["rows"] == 300
    assert record["zerohm_version"] == zo.__version__
    assert_allclose(record["covariance"], fit.covariance)
    for row, name in zip(record["parameters"], fit.estimates.names, strict=True):
        assert (row["name"], row["value"]) == (name, fit.estimates[name])
    assert record["validity"]["target_S"] == [5e-6, 50e-6]
    assert record["diagnosis"]["points"] == 300


def test_card_is_reproducible(events, tmp_path):
    """The same data give the same bytes: there is no date and no path in a card."""
    for name in ("one.json", "other.json"):
        programming(events).save(tmp_path / name)
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "other.json").read_bytes()
    assert str(tmp_path) not in (tmp_path / "one.json").read_text(encoding="utf-8")


def test_refused_parameters_are_null_in_the_card(tmp_path):
    """What has no number is null, so that every JSON reader reads the card."""
    errors = stream(8, "errors").normal(0.0, 1e-6, 50)
    fit = programming({"target_S": np.full(50, 2e-5), "conductance_S": 2e-5 + errors})
    fit.save(tmp_path / "card.json")
    text = (tmp_path / "card.json").read_text(encoding="utf-8")
    assert "NaN" not in text
    assert json.loads(text)["calibration"]["diagnosis"]["findings"] is not None
    assert (
        cards.calibration(tmp_path / "card.json")["refused"]["bias_slope"]
        == fit.refused["bias_slope"]
    )


def test_cards_of_the_first_version_stay_loadable(tmp_path):
    """A card without a calibration gives its cell, and says that it was not calibrated."""
    cell = devices.preset("Wan2022")
    path = tmp_path / "card.json"
    devices.save(cell, path)
    card = json.loads(path.read_text(encoding="utf-8"))
    assert "calibration" not in card
    path.write_text(json.dumps(card | {"version": 1}), encoding="utf-8")
    assert devices.load(path) == cell
    with pytest.raises(InputError, match="holds no calibration"):
        cards.calibration(path)
    path.write_text(json.dumps(card | {"version": 3}), encoding="utf-8")
    with pytest.raises(InputError, match="version 3"):
        cards.calibration(path)


def test_base_cell_has_the_window_of_the_data():
    """Range of the data, from 0 for a single level; a given cell is kept; nothing is invented."""
    bare = cell_from(np.array([2e-6, 5e-6]), cell=None, name="bare")
    assert (bare.conductance_min, bare.conductance_max) == (2e-6, 5e-6)
    assert cell_from(np.array([-1e-9, 5e-6]), cell=None, name="bare").conductance_min == 0.0
    assert cell_from(np.array([5e-6, 5e-6]), cell=None, name="bare").conductance_min == 0.0
    assert cell_from(np.array([5e-6]), cell=bare, name="other") is bare
    with pytest.raises(InputError, match="no conductance is positive"):
        cell_from(np.array([-1e-6, 0.0]), cell=None, name="bare")


@pytest.mark.parametrize(
    ("value", "error", "unit", "text"),
    [
        (1.2345e-6, 0.123e-6, "S", "1.23 ± 0.12 µS"),
        (123.4e-6, 12.3e-6, "S", "123 ± 12 µS"),
        (2.5e-5, 1e-7, "S", "25.00 ± 0.10 µS"),
        (0.8712, 0.0123, "1/V", "0.871 ± 0.012 1/V"),
        (3.0, 1e-9, "1", "3 ± 1e-09"),
        (7.616e-13, 1.1e-13, "S^2", "0.76 ± 0.11 µS²"),
        (1.094e-13, 5.4e-15, "S^2", "0.1094 ± 0.0054 µS²"),
        (2.5e-9, 1e-10, "S^2", "0.00250 ± 0.00010 mS²"),
        (2.954e-5, 2.5e-6, "1/Hz", "(2.95 ± 0.25)e-05 1/Hz"),
        (-1.5e-12, 2.0e-9, "1", "(-0.0 ± 2.0)e-09"),
        (1e-12, np.nan, "A", "1e-12 ± nan A"),
    ],
)
def test_quantities_are_written_to_the_second_digit_of_their_error(value, error, unit, text):
    """With an SI prefix where the unit takes one."""
    assert quantity(value, error, unit) == text


def test_numbers_without_an_error_have_prefixes():
    """Any unit and zero; what no prefix reaches stays as it is."""
    assert [rounded(value, "S") for value in (1.6e-7, -3.58e-5, 0.0)] == [
        "160 nS",
        "-35.8 µS",
        "0 S",
    ]
    assert (rounded(5.21e-13, "A"), rounded(1e-30, "A")) == ("521 fA", "1e-30 A")
    assert rounded(5.91e-7, "1") == "5.91e-07"


def test_figure_shows_data_fit_residuals_and_numbers(events, tmp_path):
    """Every axis is labelled with its unit, the numbers stand on the page, a file is drawn."""
    fit = programming(events, law="constant", name="mine")
    figure = fit.plot()
    *panels, ground = figure.axes
    assert len(panels) == 4
    labels = [label for ax in panels for label in (ax.get_xlabel(), ax.get_ylabel())]
    assert all(labels)
    assert {"Target conductance (µS)", "Programming error (µS)"} < set(labels)
    errors = 1e6 * (events["conductance_S"] - events["target_S"])
    assert_allclose(panels[0].lines[0].get_ydata(), errors)
    names = panels[0].get_legend_handles_labels()[1]
    assert names == ["Measured", "95 %", "Mean"]
    text = "\n".join(part.get_text() for part in ground.texts)
    assert all(line in text for line in fit.estimates_in_words())
    assert "mine" in figure.get_suptitle()
    figure.savefig(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 10_000


def test_another_file_in_place_of_a_card_is_named(tmp_path):
    """The message says which format the file has."""
    path = tmp_path / "shifters.json"
    path.write_text('{"format": "zerohm phase shifters"}', encoding="utf-8")
    with pytest.raises(InputError, match="its format is 'zerohm phase shifters', not 'zerohm dev"):
        cards.load(path)
