"""Current–voltage laws from curves: coverage, choice of the law, what can't be fitted."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from zerohm import InputError, devices
from zerohm._random import stream
from zerohm.devices.calibrate import iv, read_table
from zerohm.devices.calibrate.estimate import Parameter, maximise
from zerohm.devices.calibrate.iv import _curves
from zerohm.devices.calibrate.iv_likelihood import SHAPES, fit_shape
from zerohm.devices.iv import OddPolynomial, Sinh

CELLS = 4
VOLTAGE = np.tile(np.linspace(-0.5, 0.5, 20), CELLS)
LABEL = np.repeat([f"c{k}" for k in range(CELLS)], 20)
CONDUCTANCE = np.repeat(np.linspace(5e-6, 50e-6, CELLS), 20)
SHAPE_OF = {shape.name: shape for shape in SHAPES}
CURRENT = {
    "ohmic": CONDUCTANCE * VOLTAGE,
    "sinh": CONDUCTANCE * np.sinh(3.0 * VOLTAGE) / 3.0,
    "odd polynomial 3": CONDUCTANCE * (VOLTAGE + 0.8 * VOLTAGE**3),
    "odd polynomial 5": CONDUCTANCE * (VOLTAGE + 2.0 * VOLTAGE**3 - 3.0 * VOLTAGE**5),
}


def noisy(current, rng, *, relative=0.01, additive=5e-8):
    noise = relative * current * rng.standard_normal(current.size)
    return current + noise + additive * rng.standard_normal(current.size)


def table(current, **columns):
    return {"voltage_V": VOLTAGE, "current_A": current, "cell": LABEL, **columns}


@pytest.mark.parametrize(
    ("name", "truth"),
    [("sinh", {"b": 3.0}), ("odd polynomial 3", {"c3": 0.8})],
    ids=["sinh", "polynomial"],
)
def test_intervals_cover_the_truth(name, truth):
    """93 to 97 % of 500 intervals of shape and conductance; exact ones fail with probability 4 %.

    Intervals of half the width cover 67 %, which the same count refuses.
    """
    truth = truth | {"conductance of cell c0": 5e-6, "conductance of cell c3": 50e-6}
    rng = stream(1, "coverage of iv", name)
    base = _curves(read_table(table(CURRENT[name]), "iv"))[0]
    hits, narrow = np.zeros(len(truth)), np.zeros(len(truth))
    wanted = np.array(list(truth.values()))
    for _ in range(500):
        found = fit_shape(
            replace(base, current=noisy(CURRENT[name], rng)), SHAPE_OF[name]
        ).estimates
        at = [found.names.index(parameter) for parameter in truth]
        low, value, high = found.lower[at], found.values[at], found.upper[at]
        hits += (low <= wanted) & (wanted <= high)
        narrow += ((low + value) / 2 <= wanted) & (wanted <= (value + high) / 2)
    assert np.all((hits >= 465) & (hits <= 485)), dict(zip(truth, hits, strict=True))
    assert np.all(narrow < 465)


def test_many_conductances_do_not_bias_the_noise():
    """400 cells of 5 points: the noise is unbiased, where the plain likelihood is 11 % low."""
    voltage = np.tile([-0.4, -0.2, 0.1, 0.3, 0.5], 400)
    current = 2e-5 * np.sinh(3.0 * voltage) / 3.0
    noise = stream(2, "restricted").standard_normal(2000)
    data = {
        "voltage_V": voltage,
        "current_A": current * (1.0 + 0.02 * noise),
        "cell": np.repeat(np.arange(400), 5),
    }
    fit = iv(data, law="sinh")
    value, error = fit.estimates["relative_noise"], fit.estimates.standard_errors[1]
    assert error < 0.04 * 0.02
    assert abs(value - 0.02) < 3 * error
    assert abs(value - 0.02 * np.sqrt(4 / 5)) > 3 * error
    assert "conductance of cell 0" not in fit.estimates.names


def test_profile_agrees_with_the_likelihood_of_all_parameters():
    """Estimates and errors, conductances included, of an independent fit of all at once."""
    current = noisy(CURRENT["sinh"], stream(3, "profile"))
    cells = np.repeat(np.arange(CELLS), 20)

    def contributions(values):
        expected = values[3 + cells] * np.sinh(values[0] * VOLTAGE) / values[0]
        variance = values[2] ** 2 + (values[1] * expected) ** 2
        return -0.5 * (np.log(variance) + (current - expected) ** 2 / variance)

    starts = {"b": 2.0, "r": 0.02, "a": 1e-8} | {f"g{k}": 2e-5 for k in range(CELLS)}
    parameters = [
        Parameter(name=name, unit="1", start=start, scale="logarithmic")
        for name, start in starts.items()
    ]
    whole = maximise(contributions, parameters, points=current.size)
    fit = iv(table(current), law="sinh").estimates
    errors = whole.standard_errors
    assert np.all(
        np.abs(fit.values - whole.values)[[0, 3, 4, 5, 6]] < 0.2 * errors[[0, 3, 4, 5, 6]]
    )
    assert_allclose(fit.standard_errors, errors, rtol=0.1)
    correlation = fit.covariance / np.outer(fit.standard_errors, fit.standard_errors)
    expected = whole.covariance / np.outer(errors, errors)
    assert_allclose(correlation, expected, atol=0.1)
    assert correlation[0, 3] < -0.3


@pytest.mark.parametrize("name", CURRENT)
def test_the_law_of_the_data_is_chosen(name):
    """In at least 8 of 10 data sets; a fifth-order term of an ohmic cell is not invented."""
    rngs = [stream(seed, "iv law", name) for seed in range(10)]
    laws = [iv(table(noisy(CURRENT[name], rng, relative=3e-3))).goodness["law"] for rng in rngs]
    assert laws.count(name) >= 8, laws


def test_the_law_arrives_in_the_cell():
    """Sinh with a = 1/b, the polynomial with its coefficients, both valid up to the data."""
    rng = stream(4, "laws")
    fit = iv(table(noisy(CURRENT["sinh"], rng)), law="sinh", name="mine")
    b = fit.estimates["b"]
    assert fit.cell.iv == Sinh(a=1 / b, b=b, max_voltage=0.5)
    assert fit.cell.name == "mine"
    assert_allclose([fit.cell.conductance_min, fit.cell.conductance_max], [5e-6, 50e-6], rtol=0.02)
    assert_allclose(fit.validity["voltage_V"], [-0.5, 0.5])
    fit = iv(table(noisy(CURRENT["odd polynomial 5"], rng)), law="odd polynomial")
    coefficients = (fit.estimates["c3"], fit.estimates["c5"])
    assert fit.cell.iv == OddPolynomial(coefficients=coefficients, max_voltage=0.5)
    given = devices.preset("Wan2022")
    assert iv(table(noisy(CURRENT["sinh"], rng)), cell=given).cell.write_noise == given.write_noise


def test_an_ohmic_cell_has_no_law():
    """The nonlinearity is refused by name, and the cell keeps what it had."""
    fit = iv(table(noisy(CURRENT["ohmic"], stream(5, "ohmic"))))
    assert fit.cell.iv is None
    assert fit.refused["nonlinearity"] == "the data show none up to 0.5 V"
    assert_allclose(fit.estimates["conductance of cell c1"], 20e-6, rtol=0.01)


def test_exact_data_give_exact_parameters():
    """Without noise the shape is found to nine digits, and noise is refused instead of invented."""
    fit = iv(table(CURRENT["sinh"]))
    assert_allclose(fit.estimates["b"], 3.0, rtol=1e-7)
    assert {"relative_noise", "additive_noise"} <= set(fit.refused)
    assert "b" not in fit.refused


def test_nominal_conductances_give_the_factor():
    """With conductances measured at 0.3 V, the slope at 0 V is a known factor below them."""
    factor = 0.9 / np.sinh(0.9)
    nominal = CONDUCTANCE / factor
    data = table(noisy(CURRENT["sinh"], stream(6, "nominal")), conductance_S=nominal)
    fit = iv(data)
    value, error = fit.estimates["conductance_scale"], fit.estimates.standard_errors[-1]
    assert abs(value - factor) < 4 * error < 0.02
    assert_allclose(fit.cell.iv.evaluate(nominal, VOLTAGE)[0], CURRENT["sinh"], rtol=0.01)
    assert fit.validity["conductance_S"] == (nominal.min(), nominal.max())
    said = iv(data, law="odd polynomial").diagnosis.findings
    assert any("a factor that this law can't hold" in text for text in said)


def test_asymmetric_currents_are_found():
    """A V² term of 3 % is said, symmetric curves are not accused."""
    rng = stream(7, "asymmetry")
    even = 0.03 * CONDUCTANCE * VOLTAGE**2 / 0.5
    lean = iv(table(noisy(CURRENT["sinh"] + even, rng)), law="sinh").diagnosis.findings
    assert any("larger at positive voltages" in text for text in lean)
    assert not iv(table(noisy(CURRENT["sinh"], rng)), law="sinh").diagnosis.findings


def test_cells_with_too_few_points_are_refused_and_the_rest_is_fitted():
    """Three points of one cell do not keep the others from being fitted."""
    kept = np.arange(80) < 63
    data = {name: values[kept] for name, values in table(CURRENT["sinh"]).items()}
    fit = iv(data, law="sinh")
    assert "3 points" in fit.refused["conductance of cell c3"]
    assert "conductance of cell c2" in fit.estimates.names
    assert_allclose(fit.estimates["b"], 3.0, rtol=1e-6)


def test_one_curve_of_one_cell_is_enough():
    """Its window begins at 0, since one state says nothing of others."""
    data = {"voltage_V": VOLTAGE[:20], "current_A": CURRENT["sinh"][20:40]}
    fit = iv(data, law="sinh")
    assert_allclose([fit.estimates["b"], fit.estimates["conductance"]], [3.0, 20e-6], rtol=1e-6)
    assert fit.cell.conductance_min == 0.0


def test_a_single_voltage_does_not_determine_the_shape():
    """Reads at ±0.2 V give conductances, and a nonlinearity that is refused by name."""
    voltage = np.tile([-0.2, 0.2], 40)
    noise = stream(8, "single voltage").standard_normal(80)
    data = {"voltage_V": voltage, "current_A": 1e-5 * voltage * (1 + 0.01 * noise)}
    assert "b" in iv(data, law="sinh").refused
    assert iv(data).goodness["law"] == "ohmic"


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({}, {"law": "shin"}, "unknown current-voltage law 'shin'"),
        ({"current_A": -CURRENT["sinh"]}, {}, "flow against their voltage"),
        ({"current_A": 700 * CURRENT["sinh"]}, {}, r"current_A / voltage_V is .* S, above 0.01 S"),
        ({"voltage_V": 0 * VOLTAGE}, {}, "no cell has 5 points"),
        ({"voltage_V": 1e3 * VOLTAGE}, {}, "in mV, multiply them by 0.001"),
        (
            {"current_A": CONDUCTANCE * (VOLTAGE - 2.5 * VOLTAGE**3)},
            {"law": "odd polynomial"},
            "does not grow with V",
        ),
    ],
)
def test_what_cannot_be_fitted_is_refused(change, options, message):
    """Each message says what is wrong with the data."""
    with pytest.raises(InputError, match=message):
        iv(table(CURRENT["sinh"]) | change, **options)


def test_figure_shows_curves_and_nonlinearity():
    """Axes have units; the current is drawn in µA with one line through all cells."""
    current = noisy(CURRENT["sinh"], stream(9, "figure"))
    fit = iv(table(current), law="sinh")
    curves, ratio, *_ = fit.plot().axes
    assert (curves.get_xlabel(), curves.get_ylabel()) == ("Voltage (V)", "Current (µA)")
    assert_allclose(curves.lines[0].get_ydata(), 1e6 * current)
    drawn = curves.lines[1].get_xydata()
    peak = 1e6 * fit.estimates["conductance of cell c3"] * np.sinh(1.5) / 3.0
    assert_allclose(np.nanmax(drawn[:, 1]), peak * fit.estimates["b"] ** 0, rtol=0.03)
    assert "voltage" in ratio.get_ylabel()


def test_currents_of_zero_are_no_cell():
    """They do not flow against their voltage: the message says what is there."""
    with pytest.raises(InputError, match="every current is 0"):
        iv({"voltage_V": np.linspace(-0.5, 0.5, 11), "current_A": np.zeros(11)})
