"""Relaxation from repeated reads: likelihood, estimates with their error bars, and refusals."""

from dataclasses import replace

import numpy as np
import pytest

from zerohm import devices
from zerohm._errors import InputError
from zerohm._random import stream
from zerohm.devices.calibrate.estimate import Parameter
from zerohm.devices.calibrate.relaxation import relaxation
from zerohm.devices.calibrate.relaxation_likelihood import (
    Delays,
    StateLikelihood,
    cumulant,
    exponent,
)

TIMES = (1e-4, 0.01, 1.0, 100.0)  # s
READ = 0.25e-6  # S
TRUTH = devices.Relaxation(
    variance_per_decade=1e-12,
    mean_per_decade=-0.1e-6,
    asymmetry=-0.3,
    tail_decades=2.0,
    onset_s=1e-3,
)
PARAMETERS = (
    Parameter(name="mean_per_decade", unit="S", start=-0.1e-6),
    Parameter(name="variance_per_decade", unit="S^2", start=1e-12, scale="logarithmic"),
    Parameter(name="asymmetry", unit="1", start=-0.3, scale="bounded", lower=-1.0, upper=1.0),
    Parameter(name="tail_decades", unit="1", start=2.0, scale="logarithmic"),
    Parameter(name="read_noise", unit="S", start=READ, scale="logarithmic"),
    Parameter(name="onset_s", unit="s", start=1e-3, scale="logarithmic"),
)


def reads(law, first, rng, times=TIMES, flicker=None):
    """A table of reads with white noise, and with 1/f noise if there is any."""
    noise = None if flicker is None else flicker.start(first, rng)
    state, age, rows = law.start(first, rng), 0.0, []
    for time in (0.0, *times):
        law.advance(state, time - age, rng)
        read = first + law.deviation(state, first) + READ * rng.standard_normal(first.shape)
        if flicker is not None:
            flicker.advance(noise, time - age, rng)
            read += flicker.deviation(noise, first)
        age = time
        rows.append(read)
    return {
        "cell": np.tile(np.arange(first.size), len(rows)),
        "time_s": np.repeat((0.0, *times), first.size),
        "conductance_S": np.concatenate(rows),
    }


def likelihood(deviations, seconds, clock="inverse Gaussian"):
    """Likelihood of deviations that were all measured after the same time."""
    delay = Delays(seconds=seconds, rows=np.arange(deviations.size), flicker=0.0)
    return StateLikelihood(deviations, (delay,), PARAMETERS, clock, 0.0, READ)


def coordinates():
    return np.array([float(given.search(given.start)) for given in PARAMETERS])


@pytest.mark.parametrize("seconds", [0.01, 1e4])
def test_density_is_that_of_the_law(seconds):
    """Fourier inversion gives the density that the law integrates over its mixing variable."""
    x = np.linspace(-8e-6, 6e-6, 57)
    found, _ = likelihood(x, seconds)(coordinates())
    expected = TRUTH.log_density(x, seconds, 50e-6, 2 * READ**2)
    seen = expected > expected.max() - 20
    np.testing.assert_allclose(found[seen], expected[seen], atol=2e-3)
    wrong = replace(TRUTH, tail_decades=2.2).log_density(x, seconds, 50e-6, 2 * READ**2)
    assert np.abs(found - wrong)[seen].max() > 1e-2


@pytest.mark.parametrize(
    ("clock", "third", "fourth"),
    [
        ("inverse Gaussian", 3 * -0.3, 3 * (1 + 4 * 0.09)),
        ("gamma", -0.3 * (3 - 0.09), 3 * (1 + 2 * 0.09 - 0.09**2)),
    ],
)
def test_cumulants_of_both_clocks(clock, third, fourth):
    """Density moments are m u, C u + 2σ² and the clock's third and fourth cumulants."""
    seconds, law = 10.0, likelihood(np.array([-30e-6, 30e-6]), 10.0, clock)
    values = law.values(coordinates())
    psi, _ = exponent(law.frequency, values[:4], clock)
    weights = law.density(law.delays[0], values, psi)
    weights /= weights.sum()
    decades = float(TRUTH.decades(seconds))
    mean = weights @ law.points
    assert mean == pytest.approx(-0.1e-6 * decades, rel=1e-6)
    central = [weights @ (law.points - mean) ** n for n in (2, 3, 4)]
    assert central[0] == pytest.approx(1e-12 * decades + 2 * READ**2, rel=1e-6)
    assert central[1] == pytest.approx(1e-18 * decades * third * np.sqrt(2.0), rel=1e-5)
    excess = central[2] - 3 * central[0] ** 2
    assert excess == pytest.approx(1e-24 * decades * fourth * 2.0, rel=1e-5)


def test_clocks_have_mean_one_and_the_tail_as_variance():
    """First and second derivative of the cumulant at 0 are 1 and ℓ for both clocks."""
    for clock in ("inverse Gaussian", "gamma"):
        steps = 1e-3 * np.array([-1.0, 0.0, 1.0], dtype=complex)
        (below, middle, above), slope = (x.real for x in cumulant(steps, 3.0, clock))
        assert slope[1] == pytest.approx(1.0)
        assert (above - below) / 2e-3 == pytest.approx(1.0, rel=1e-4)
        assert (above + below - 2 * middle) / 1e-6 == pytest.approx(3.0, rel=1e-4)


@pytest.mark.parametrize("clock", ["inverse Gaussian", "gamma"])
def test_scores_are_derivatives(clock):
    """Scores of every read agree with differences of its log-likelihood."""
    x = stream(1, "reads").normal(0.0, 2e-6, 40)
    law, at = likelihood(x, 1.0, clock), coordinates()
    _, scores = law(at)
    for axis in range(len(at)):
        move = np.zeros(len(at))
        move[axis] = 1e-4
        slope = (law(at + move)[0] - law(at - move)[0]) / 2e-4
        np.testing.assert_allclose(scores[:, axis], slope, atol=1e-5, rtol=1e-5)


def test_intervals_cover_the_truth():
    """95 % intervals cover in 93 to 97 % of 500 repetitions.

    Six parameters whose count is binomial: true coverage of 95 % leaves the band in 4 % of the
    cases for each; the seed is fixed.
    """
    true = np.array([-0.1e-6, 1e-12, -0.3, 2.0, READ, 1e-3])
    inside = np.zeros(6)
    repetitions = 500
    for repetition in range(repetitions):
        rng = stream(repetition, "coverage")
        fit = relaxation(reads(TRUTH, np.full(300, 50e-6), rng), clock=TRUTH.clock)
        found = fit.estimates
        inside += (found.lower < true) & (true < found.upper)
    share = inside / repetitions
    assert np.all((share >= 0.93) & (share <= 0.97)), dict(zip(found.names, share, strict=True))


def test_intervals_without_clusters_are_too_short():
    """Reads of one cell are not independent: counting each alone makes error bars too small."""
    rng = stream(3, "clusters")
    data = reads(TRUTH, np.full(2000, 50e-6), rng)
    honest = relaxation(data).parameters.standard_error
    data["cell"] = np.arange(data["cell"].size)  # every read a cell of its own
    first = np.tile(data["conductance_S"][:2000], 5)
    later = data["time_s"] > 0
    alone = {
        "cell": np.concatenate([data["cell"][later]] * 2),
        "time_s": np.concatenate([0.0 * data["time_s"][later], data["time_s"][later]]),
        "conductance_S": np.concatenate([first[later], data["conductance_S"][later]]),
    }
    naive = relaxation(alone).parameters.standard_error
    ratio = (naive / honest).sel(parameter=["mean_per_decade", "variance_per_decade"])
    assert float(ratio.max()) < 0.9


def test_known_flicker_noise_is_not_relaxation():
    """With the cell's 1/f noise given, the variance per decade is right; without, too large."""
    law = replace(TRUTH, variance_per_decade=0.2e-12)
    flicker = devices.FlickerNoise(
        amplitude=2e-5, frequency_min=1e-5, frequency_max=1e3, amplitude_spread=0.5
    )
    data = reads(law, np.full(3000, 50e-6), stream(4, "flicker"), flicker=flicker)
    cell = devices.Cell(
        name="noisy", conductance_min=1e-6, conductance_max=1e-4, flicker_noise=flicker
    )
    known = relaxation(data, cell=cell, onset_s=1e-3).parameters
    variance = known.sel(parameter="variance_per_decade")
    assert float(variance.lower) < 0.2e-12 < float(variance.upper)
    ignored = relaxation(data, onset_s=1e-3).parameters.sel(parameter="variance_per_decade")
    assert float(ignored.lower) > 0.25e-12


def test_states_get_tables_and_small_ones_are_refused():
    """Every state has its parameters at its mean first read; one with few cells is named."""
    rng = stream(5, "states")
    low, high, few = np.full(900, 20e-6), np.full(900, 80e-6), np.full(20, 110e-6)
    law = replace(
        TRUTH,
        variance_per_decade=devices.StateTable(
            conductance=(20e-6, 80e-6), values=(0.5e-12, 4e-12), interpolation="linear"
        ),
    )
    fit = relaxation(
        reads(law, np.concatenate([low, high, few]), rng), edges=(0, 5e-5, 1e-4, 1.5e-4)
    )
    table = fit.cell.relaxation.variance_per_decade
    np.testing.assert_allclose(table.conductance, (20e-6, 80e-6), rtol=0.01)
    for label, true in (("20", 0.5e-12), ("80", 4e-12)):
        name = next(
            n
            for n in fit.estimates.names
            if n.startswith(f"variance_per_decade ({label}")
            or n.startswith(f"variance_per_decade ({int(label) - 1}.")
        )
        found = fit.parameters.sel(parameter=name)
        assert 0.8 < float(found.value) / true < 1.25
    assert "20 cells: it takes 50" in fit.refused["variance_per_decade (100 to 150 µS)"]
    assert fit.cell.relaxation.onset_s == pytest.approx(fit.estimates["onset_s"])


def test_undetermined_parameters_are_named():
    """Without heavy tails there is no asymmetry to find; the rest keeps its error bars."""
    law = devices.Relaxation(variance_per_decade=1e-12, onset_s=1e-3)
    fit = relaxation(reads(law, np.full(1000, 50e-6), stream(6, "Gaussian")))
    variance = fit.parameters.sel(parameter="variance_per_decade")
    assert float(variance.lower) < 1e-12 < float(variance.upper)
    tails = fit.parameters.sel(parameter="tail_decades")
    assert "tail_decades" in fit.refused or float(tails.lower) < 0.1


def test_persistence_tells_volatility_from_jumps():
    """A cell's lasting volatility correlates disjoint increments; jumps do not (alarm 1e-4)."""
    first = np.full(3000, 50e-6)
    jumps = relaxation(reads(TRUTH, first, stream(7, "jumps")))
    assert jumps.goodness["persistence_p_value"] > 1e-4
    lasting = replace(TRUTH, tail_decades=0.0, volatility_spread=1.0)
    held = relaxation(reads(lasting, first, stream(7, "volatility")))
    assert held.goodness["persistence"] > 0.05
    assert held.goodness["persistence_p_value"] < 1e-4


def test_scores_of_the_right_law_are_normal():
    """Normal scores of reads are Gaussian under the fitted law (alarm 1e-3), panels are finite."""
    fit = relaxation(reads(TRUTH, np.full(2000, 50e-6), stream(8, "scores")))
    assert fit.diagnosis.kurtosis_p_value > 1e-3
    for panel in fit.panels:
        for x, *ys in (*panel.points.values(), *panel.lines.values(), *panel.bands.values()):
            assert np.all(np.isfinite(x))
            assert all(np.all(np.isfinite(y)) for y in ys)
    spread, _, squares = fit.panels
    (seconds, measured), (_, fitted) = *spread.points.values(), *spread.lines.values()
    np.testing.assert_allclose(seconds, TIMES)
    assert spread.points.keys() == spread.lines.keys(), "a fit has the colour of its data"
    np.testing.assert_allclose(measured, fitted, rtol=0.1)
    ((_, square),) = squares.points.values()
    np.testing.assert_allclose(square, 1.0, atol=6 * np.sqrt(2 / 2000))


def test_likelihood_tells_the_clock():
    """Data of either clock are likelier under their own, whose tails and variance are found."""
    for clock, other in (("gamma", "inverse Gaussian"), ("inverse Gaussian", "gamma")):
        law = replace(TRUTH, clock=clock, tail_decades=4.0)
        data = reads(law, np.full(2000, 50e-6), stream(11, clock))
        own, wrong = relaxation(data, clock=clock), relaxation(data, clock=other)
        assert own.estimates.log_likelihood > wrong.estimates.log_likelihood + 10
        assert own.cell.relaxation.clock == clock
        for name, true in (("tail_decades", 4.0), ("variance_per_decade", 1e-12)):
            found = own.parameters.sel(parameter=name)
            assert abs(float(found.value) - true) < 4 * float(found.standard_error)


def test_units_scale():
    """Twice the conductances give twice the mean, four times the variance and the same tails."""
    data = reads(TRUTH, np.full(500, 20e-6), stream(9, "scale"))
    once = relaxation(data).estimates
    data["conductance_S"] = 2.0 * data["conductance_S"]
    twice = relaxation(data).estimates
    np.testing.assert_allclose(twice.values / once.values, (2, 4, 1, 1, 2, 1), rtol=2e-3)


def _with(**changes):
    data = reads(TRUTH, np.full(60, 50e-6), stream(10, "refusals"))
    return {**data, **changes}


def test_refusals():
    """Tables that cannot be meant are refused with what to do."""
    late = _with()["time_s"] + 1.0
    with pytest.raises(InputError, match="first read of 60 cells is not at time 0"):
        relaxation(_with(time_s=late))
    with pytest.raises(InputError, match="no state has 50 cells"):
        relaxation(reads(TRUTH, np.full(40, 50e-6), stream(10, "few")))
    with pytest.raises(InputError, match="read once only"):
        relaxation(reads(TRUTH, np.full(60, 50e-6), stream(10, "few"), times=()))
    with pytest.raises(InputError, match="do not move"):
        relaxation(_with(conductance_S=np.tile(np.linspace(4e-5, 5e-5, 60), 5)))
    with pytest.raises(InputError, match="ascending"):
        relaxation(_with(), edges=(1e-4, 1e-5))
    with pytest.raises(InputError, match="unknown clock"):
        relaxation(_with(), clock="Poisson")
    jumping = devices.Cell(
        name="jumping",
        conductance_min=1e-6,
        conductance_max=1e-4,
        telegraph_noise=devices.TelegraphNoise(
            amplitude=0.1, capture_time_s=1.0, emission_time_s=1.0
        ),
    )
    with pytest.raises(InputError, match="telegraph noise"):
        relaxation(_with(), cell=jumping)


def test_too_few_delays_refuse_the_onset_alone():
    """Two delays fit the rest, with a stated onset; with the true one they find the truth."""
    data = reads(TRUTH, np.full(600, 50e-6), stream(10, "few"), times=(0.01, 0.012, 1.0))
    fit = relaxation(data, clock=TRUTH.clock)
    assert "onset_s" not in fit.parameters.parameter
    assert fit.cell.relaxation.onset_s == pytest.approx(1e-3, rel=0.1)
    assert "tenth of the first delay" in fit.refused["onset_s"]
    known = relaxation(data, clock=TRUTH.clock, onset_s=TRUTH.onset_s)
    found = known.parameters.sel(parameter="variance_per_decade")
    assert abs(float(found.value) - TRUTH.variance_per_decade) < 4 * float(found.standard_error)
    assert "onset_s" not in known.refused


def test_cells_that_begin_at_one_value_are_a_state():
    """First reads in coarse steps are all the same: fitted; reads that never change: refused."""
    table = reads(TRUTH, np.full(600, 50e-6), stream(11, "one value"))
    table["conductance_S"] = np.where(table["time_s"] == 0, 50e-6, table["conductance_S"])
    row = relaxation(table).parameters.sel(parameter="variance_per_decade")
    assert abs(row.value - 1e-12) < 4 * row.standard_error
    with pytest.raises(InputError, match="do not move"):
        relaxation(table | {"conductance_S": np.full(table["cell"].size, 50e-6)})
