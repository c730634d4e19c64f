"""Relaxation: a Lévy process in logarithmic time, by statistics and against scipy's laws.

Statistical checks have a false-alarm rate of 1e-4 each unless they say otherwise.
"""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from scipy import integrate, stats

from zerohm import InputError
from zerohm._errors import checked
from zerohm._random import stream
from zerohm.devices import relaxation
from zerohm.devices.relaxation import Relaxation
from zerohm.devices.state_dependence import StateTable
from zerohm.devices.temperature import acceleration

ALARM = 1e-4
MID = 50e-6  # S

# About what arrays show at mid-range, leaning downwards and with heavy tails.
LAW = Relaxation(
    variance_per_decade=16e-12,
    mean_per_decade=-0.6e-6,
    asymmetry=-0.35,
    tail_decades=1.5,
    volatility_spread=0.6,
    onset_s=1e-3,
)


def relaxed(law, times, count=40_000, seed=0, conductance=MID, dtype=np.float64):
    """Deviations (times, cells) of one population at several ages."""
    rng = stream(seed, "relaxation")
    programmed = np.full(count, conductance, dtype)
    state = law.start(programmed, rng)
    seen, age = [], 0.0
    for time in times:
        law.advance(state, time - age, rng)
        age = time
        seen.append(law.deviation(state, programmed))
    return np.array(seen)


def check_mean_and_variance(samples, mean, variance):
    """Both of them within their errors, estimated from the samples themselves."""
    bound = stats.norm.isf(ALARM / 4)
    off = np.asarray(samples, dtype=np.float64) - mean
    for name, terms, expected in (("mean", off, 0.0), ("variance", off**2, variance)):
        score = (terms.mean() - expected) / (terms.std() / np.sqrt(terms.size))
        assert abs(score) < bound, f"{name} is {score:.1f} standard errors off"


def cumulative(law, seconds, noise_variance=0.0):
    """The distribution function of the deviation, integrated from its density."""
    scale = float(np.sqrt(law.variance(seconds, MID) + noise_variance))
    x = scale * np.sinh(np.linspace(-6, 6, 4001)) / 2
    density = np.exp(law.log_density(x, seconds, MID, noise_variance))
    total = integrate.cumulative_simpson(density, x=x, initial=0.0)
    assert total[-1] == pytest.approx(1.0, abs=1e-5)
    return lambda values: np.interp(values, x, total)


def check_distribution(samples, distribution):
    """Kolmogorov–Smirnov test of deviations against the law's distribution function."""
    chance = stats.kstest(samples, distribution).pvalue
    assert chance > ALARM, f"deviations do not follow the density, p = {chance:.1e}"


def test_mean_and_variance_grow_with_the_logarithm_of_time():
    """m u and C u at five ages.

    Late, where tails are short enough to see it, a V without the mean 1 is told apart.
    """
    times = (1e-4, 1e-2, 1.0, 1e2, 1e4)
    samples = relaxed(LAW, times)
    for seconds, seen in zip(times, samples, strict=True):
        decades = np.log10(1 + seconds / LAW.onset_s)
        check_mean_and_variance(seen, -0.6e-6 * decades, 16e-12 * decades)
    unscaled = samples[-1] * np.exp(LAW.volatility_spread**2 / 4)
    with pytest.raises(AssertionError):
        check_mean_and_variance(unscaled, -0.6e-6 * decades, 16e-12 * decades)


def test_gaussian_by_default(naive):
    """Variance and onset alone make a Gaussian process."""
    law = Relaxation(variance_per_decade=4e-12, onset_s=0.1)
    samples = relaxed(law, (0.9,))[0]
    naive.check_moments(samples[:, None], 0.0, 2e-6)
    with pytest.raises(AssertionError):
        naive.check_moments(relaxed(LAW, (0.009,))[0][:, None], 0.0, 4e-6)


@pytest.mark.parametrize("ratio", [1e-9, 0.1, 1.0, 30.0, 1e3, 1e6, 1e10])
def test_inverse_gaussian(ratio):
    """The draw of S against scipy's law from nearly Gaussian to extremely heavy tails.

    With asymmetry 1 the process is the inverse Gaussian clock alone. A normal variable with the
    same two moments, and a clock that always takes the larger root, are told apart from it.
    """
    count, decades, onset = 1 << 13, 0.25, 1e-3
    tail = np.full(count, ratio * decades)
    rng = stream(1, "clock")
    arrays = [np.zeros(count), np.zeros(count), np.ones(count), np.zeros(count), np.ones(count)]
    seconds = onset * (10**decades - 1)
    normal, uniform = rng.standard_normal((2, count)), rng.random(count)

    def clock(uniform):
        deviation, age, *rest = (values.copy() for values in arrays)
        relaxation._relax(deviation, age, *rest, np.sqrt(tail), normal, uniform, seconds, onset)
        return (decades + deviation * np.sqrt(tail)) / decades

    law = stats.invgauss(mu=ratio, scale=1 / ratio)
    if ratio < 1e-6:  # scipy's own distribution function loses its digits here
        law = stats.norm(1.0, np.sqrt(ratio))
    assert stats.kstest(clock(uniform), law.cdf).pvalue > ALARM
    assert np.all(clock(uniform) >= 0)
    assert stats.kstest(clock(np.zeros(count)), law.cdf).pvalue < ALARM
    if ratio >= 0.1:
        gaussian = 1 + np.sqrt(ratio) * normal[1]
        assert stats.kstest(gaussian, law.cdf).pvalue < ALARM


@pytest.mark.parametrize("seconds", [1e-5, 1e-2, 1e4])
def test_samples_follow_the_density(seconds):
    """The whole distribution, tails and skew included; wrong samplers are told apart from it."""
    seen = relaxed(LAW, (seconds,))[0]
    distribution = cumulative(LAW, seconds)
    check_distribution(seen, distribution)
    mean, std = LAW.mean(seconds, MID), np.sqrt(LAW.variance(seconds, MID))
    gaussian = mean + std * stream(2, "wrong").standard_normal(seen.size)
    for wrong in (gaussian, 2 * mean - seen, 1.2 * seen):
        with pytest.raises(AssertionError):
            check_distribution(wrong, distribution)


def test_density_with_measurement_noise():
    """Noise of the measurement widens the density as adding it to the samples does."""
    noise = 2e-6
    seen = relaxed(LAW, (1e-2,))[0] + noise * stream(3, "noise").standard_normal(40_000)
    check_distribution(seen, cumulative(LAW, 1e-2, noise**2))
    with pytest.raises(AssertionError):
        check_distribution(seen, cumulative(LAW, 1e-2))


@pytest.mark.parametrize("asymmetry", [-0.5, 0.0, 0.3])
@pytest.mark.parametrize("tail", [1e-3, 0.5, 5.0, 100.0])
def test_density_is_normal_inverse_gaussian(asymmetry, tail):
    """Without volatility, the closed form of scipy within six standard deviations to 1e-5."""
    law = replace(LAW, asymmetry=asymmetry, tail_decades=tail, volatility_spread=0.0)
    for seconds in (1e-4, 1.0, 1e4):
        decades = float(law.decades(seconds))
        drift = asymmetry * np.sqrt(16e-12 / tail)  # S per unit of S − Δu
        power = 16e-12 * (1 - asymmetry**2)
        scale = decades * np.sqrt(power / tail)
        b = drift / power * scale
        a = np.hypot(b, scale / np.sqrt(power * tail))
        known = stats.norminvgauss(a, b, loc=-0.6e-6 * decades - drift * decades, scale=scale)
        x = known.mean() + known.std() * np.linspace(-6, 6, 25)
        found = law.log_density(x, seconds, MID)
        np.testing.assert_allclose(found, known.logpdf(x), atol=1e-5)


def test_density_averages_over_the_volatility():
    """With volatility, the closed form averaged over V by adaptive quadrature, to 1e-4."""
    decades = float(LAW.decades(1.0))
    for spread in (0.3, 1.0, 1.5):
        law = replace(LAW, volatility_spread=spread)
        calm = replace(LAW, volatility_spread=0.0, mean_per_decade=0.0)
        for x in np.array([-20e-6, -3e-6, 0.0, 8e-6]):

            def given_volatility(z, x=x, spread=spread, calm=calm):
                factor = np.exp(spread * z / 2 - spread**2 / 4)  # √V
                density = np.exp(calm.log_density(np.array(x / factor), 1.0, MID))
                return float(density) / factor * stats.norm.pdf(z)

            expected = integrate.quad(given_volatility, -8, 8, epsrel=1e-7, limit=200)[0]
            found = law.log_density(np.array(x - 0.6e-6 * decades), 1.0, MID)
            assert float(found) == pytest.approx(np.log(expected), abs=1e-4)


def test_moments_of_the_density():
    """Mean, variance, skewness and excess kurtosis by their formulas, from integrals."""
    law = replace(LAW, volatility_spread=0.4)
    for seconds in (1e-3, 1.0, 1e4):
        std = float(np.sqrt(law.variance(seconds, MID)))
        mean = float(law.mean(seconds, MID))
        x = std * np.sinh(np.linspace(-9, 9, 3001)) / 10
        density = np.exp(law.log_density(x + mean, seconds, MID))
        moment = [integrate.simpson(density * (x / std) ** k, x=x) for k in range(5)]
        assert moment[:3] == pytest.approx([1, 0, 1], abs=1e-5)
        assert moment[3] == pytest.approx(float(law.skewness(seconds, MID)), rel=1e-4)
        excess = float(law.excess_kurtosis(seconds, MID))
        assert moment[4] - 3 == pytest.approx(excess, rel=1e-3)


@given(st.floats(1e-3, 1e3), st.floats(1e-6, 1e6))
def test_tails_thin_out(factor, seconds):
    """Excess kurtosis falls as ℓ/u and skewness as √(ℓ/u) without volatility."""
    law = replace(LAW, volatility_spread=0.0)
    u = float(law.decades(seconds) / law.decades(seconds * factor))
    early, late = (law.excess_kurtosis(t, MID) for t in (seconds, seconds * factor))
    assert float(late) == pytest.approx(float(early) * u, rel=1e-9)
    early, late = (law.skewness(t, MID) for t in (seconds, seconds * factor))
    assert float(late) == pytest.approx(float(early) * np.sqrt(u), rel=1e-9)


def test_any_sequence_of_steps_has_the_same_law(naive):
    """One step, many equal ones and uneven ones agree in the deviation and in its last decade.

    A sampler that forgets the age of its cells at every step is told apart.
    """
    ends = (1.0, 100.0)
    sequences = {
        "one": ends,
        "many": (*np.linspace(0, 1, 41)[1:], *np.linspace(1, 100, 41)[1:]),
        "uneven": (1e-9, 1e-4, 2e-4, 0.5, 1.0, 1.0 + 1e-9, 99.0, 100.0),
    }
    seen = {}
    for number, (name, times) in enumerate(sequences.items()):
        samples = relaxed(LAW, times, seed=number)
        at = [samples[times.index(end)] for end in ends]
        seen[name] = np.stack([at[0], at[1], at[1] - at[0]], axis=1)
    naive.check_same_distribution(seen["one"], seen["many"])
    naive.check_same_distribution(seen["one"], seen["uneven"])

    rng = stream(9, "wrong")
    programmed = np.full(40_000, MID)
    state = LAW.start(programmed, rng)
    for _ in range(10):
        LAW.advance(state, 10.0, rng)
        state["age"][...] = 0.0
    with pytest.raises(AssertionError):
        naive.check_same_distribution(seen["one"][:, 1:2], state["deviation"][:, None])


def test_volatility_stays_with_the_cell():
    """ln|ΔG| of disjoint steps has the covariance s²/4, while the steps are uncorrelated.

    ΔG = √V Y with independent Y makes both exact. Shuffling the cells between the steps, which
    is a volatility drawn anew, is told apart.
    """
    law = replace(LAW, mean_per_decade=0.0, volatility_spread=1.0)
    first, second = relaxed(law, (0.1, 1e3))
    second = second - first
    bound = stats.norm.isf(ALARM / 2)

    def score(one, other, covariance):
        terms = (one - one.mean()) * (other - other.mean())
        return abs(terms.mean() - covariance) / (terms.std() / np.sqrt(terms.size))

    sizes = np.log(np.abs(first)), np.log(np.abs(second))
    assert score(*sizes, 1 / 4) < bound
    assert score(first, second, 0.0) < bound
    shuffled = stream(4, "shuffle").permutation(sizes[1])
    assert score(sizes[0], shuffled, 1 / 4) > bound


def test_cells_are_independent(naive):
    """No cell shares its random numbers with a neighbour or with the next block of draws."""
    block = relaxation._BLOCK
    rng = stream(5, "independent")
    programmed = np.full(8 * block + 7, MID)
    state = LAW.start(programmed, rng)
    LAW.advance(state, 1.0, rng)
    deviation = state["deviation"]
    assert np.unique(deviation).size == deviation.size
    bounded = np.tanh(deviation[: 8 * block] / 4e-6)
    naive.check_independent(bounded.reshape(-1, 4))
    naive.check_independent(bounded.reshape(8, -1).T)
    with pytest.raises(AssertionError):
        naive.check_independent(np.repeat(bounded[:, None], 2, axis=1))


def test_any_memory_layout():
    """Cells of an array in Fortran's order move as those of the same array in C's."""
    programmed = np.linspace(10e-6, 60e-6, 12).reshape(3, 4)
    table = StateTable(conductance=(10e-6, 60e-6), values=(1e-12, 25e-12))
    law = replace(LAW, variance_per_decade=table)
    seen = []
    for layout in (programmed, np.asfortranarray(programmed)):
        rng = stream(14, "layout")
        state = law.start(layout, rng)
        law.advance(state, 1.0, rng)
        seen.append(law.deviation(state, layout))
    assert np.all(seen[0] != 0)
    assert np.array_equal(*seen)


def test_compiled_and_interpreted_kernels_agree(outputs_with_and_without_compiler):
    """To 12 digits: the two take their exponentials from different libraries."""
    script = """
import numpy as np
from zerohm.devices.relaxation import Relaxation
law = Relaxation(variance_per_decade=1e-12, asymmetry=0.4, tail_decades=2.0, onset_s=1e-3)
rng = np.random.default_rng(0)
programmed = np.full(5, 50e-6)
state = law.start(programmed, rng)
law.advance(state, 1.0, rng)
for values in (state["deviation"], law.log_density(state["deviation"], 1.0, programmed)):
    print([f"{value:.11e}" for value in values])
"""
    assert len(outputs_with_and_without_compiler(script)) == 1


def test_parameters_follow_the_programmed_conductance():
    """Cells of two states in one array relax by the parameters of their own state."""
    table = StateTable(conductance=(10e-6, 60e-6), values=(1e-12, 25e-12))
    lean = StateTable(conductance=(10e-6, 60e-6), values=(0.2e-6, -1e-6))
    law = replace(LAW, variance_per_decade=table, mean_per_decade=lean)
    rng = stream(6, "states")
    programmed = np.tile([10e-6, 35e-6, 60e-6], (30_000, 1))
    state = law.start(programmed, rng)
    law.advance(state, 10.0, rng)
    deviation = law.deviation(state, programmed)
    decades = np.log10(1 + 10.0 / 1e-3)
    for column, (mean, variance) in enumerate(
        ((0.2e-6, 1e-12), (-0.4e-6, 13e-12), (-1e-6, 25e-12))
    ):
        check_mean_and_variance(deviation[:, column], mean * decades, variance * decades)
    with pytest.raises(AssertionError):
        check_mean_and_variance(deviation[:, 0], -0.4e-6 * decades, 13e-12 * decades)


def test_cells_that_are_written_again_start_anew():
    """Part of a state is replaced in place and has its own age from then on."""
    rng = stream(7, "rewrite")
    programmed = np.full((2, 20_000), MID)
    state = LAW.start(programmed, rng)
    LAW.advance(state, 1e3, rng)
    where = np.arange(20_000) % 2 == 0
    for name, values in LAW.start(programmed[:, where], rng).items():
        state[name][..., where] = values
    LAW.advance(state, 1.0, rng)
    young, old = state["deviation"][:, where], state["deviation"][:, ~where]
    for seen, seconds in ((young, 1.0), (old, 1001.0)):
        check_mean_and_variance(seen, LAW.mean(seconds, MID), LAW.variance(seconds, MID))


def test_no_time_no_change():
    """A fresh cell has not moved, and a step of zero seconds draws and changes nothing."""
    rng = stream(8, "still")
    programmed = np.full((3, 5), MID)
    state = LAW.start(programmed, rng)
    assert np.all(LAW.deviation(state, programmed) == 0)
    LAW.advance(state, 1.0, rng)
    before = {name: values.copy() for name, values in state.items()}
    place = rng.bit_generator.state["state"]["counter"].copy()
    LAW.advance(state, 0.0, rng)
    assert all(np.array_equal(before[name], state[name]) for name in before)
    assert np.array_equal(place, rng.bit_generator.state["state"]["counter"])


def test_smallest_steps_stay_finite():
    """A nanosecond and 10⁻²⁰ s into a law with heavy tails give finite, small deviations."""
    law = replace(LAW, tail_decades=1e3)
    for seconds in (1e-9, 1e-20):
        seen = relaxed(law, (seconds,), count=5000)[0]
        assert np.all(np.isfinite(seen))
        assert np.median(np.abs(seen)) < 1e-9


@pytest.mark.parametrize("clock", ["inverse Gaussian", "gamma"])
def test_a_step_too_short_for_its_decades_moves_nothing(clock):
    """Deep cold can leave 1e-320 s of a step: of a cell's day that is no number of decades."""
    law = replace(LAW, clock=clock)
    state = law.start(np.full(100, MID), stream(9, "cold"))
    law.advance(state, 86400.0, stream(10, "cold"))
    before = state["deviation"].copy()
    law.advance(state, 1e-320, stream(11, "cold"))
    assert np.array_equal(state["deviation"], before)


def test_heat_ages_faster():
    """A second at 400 K is as many seconds at 300 K as Arrhenius says, to the last bit."""
    law = replace(LAW, activation_energy_eV=0.5)
    programmed = np.full(100, MID)
    hot, cold = (law.start(programmed, stream(10, "heat")) for _ in range(2))
    law.advance(hot, 2.0, stream(11, "heat"), temperature=400.0)
    law.advance(cold, 2.0 * acceleration(0.5, 400.0), stream(11, "heat"))
    assert np.array_equal(hot["deviation"], cold["deviation"])
    assert hot["age"][0] == pytest.approx(2.0 * 125.8, rel=1e-2)
    insensitive = LAW.start(programmed, stream(10, "heat"))
    LAW.advance(insensitive, 2.0, stream(11, "heat"), temperature=400.0)
    assert insensitive["age"][0] == 2.0


def test_single_precision():
    """float32 conductances keep a float32 state, but for the age, and the same law."""
    programmed = np.full(10, MID, np.float32)
    state = LAW.start(programmed, stream(12, "single"))
    assert {name: values.dtype for name, values in state.items() if name != "age"} == {
        name: np.float32 for name in state if name != "age"
    }
    assert state["age"].dtype == np.float64
    seen = relaxed(LAW, (0.1, 10.0), dtype=np.float32)[-1]
    assert seen.dtype == np.float32
    check_distribution(seen, cumulative(LAW, 10.0))


def test_same_seed_same_trajectory():
    """Two runs from one seed agree to the last bit; another seed differs."""
    assert np.array_equal(relaxed(LAW, (1.0, 2.0), 100), relaxed(LAW, (1.0, 2.0), 100))
    assert not np.array_equal(relaxed(LAW, (1.0,), 100), relaxed(LAW, (1.0,), 100, seed=1))


def test_a_law_survives_a_card():
    """Written as JSON and read back, a law is the same."""
    law = replace(LAW, tail_decades=StateTable(conductance=(1e-6, 5e-6), values=(1.0, 2.0)))
    adapter = TypeAdapter(Relaxation)
    text = json.dumps(adapter.dump_python(law, mode="json"))
    assert adapter.validate_json(text) == law


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"variance_per_decade": -1e-12}, "variance_per_decade=-1e-12: must be at least 0"),
        ({"tail_decades": -0.1}, "tail_decades=-0.1"),
        ({"volatility_spread": -1.0}, "volatility_spread=-1"),
        ({"asymmetry": 1.0}, "between -1 and 1"),
        ({"asymmetry": StateTable(conductance=(1e-6, 2e-6), values=(0.0, -1.5))}, "from -1.5 to 0"),
        ({"onset_s": 0.0}, "onset_s"),
        ({"mean_per_decade": float("nan")}, "mean_per_decade"),
    ],
)
def test_parameters_outside_their_range(changes, message):
    """Every refusal names the parameter and what is allowed."""
    values = {"variance_per_decade": 1e-12, "onset_s": 1e-3} | changes
    with pytest.raises(ValidationError, match=message):
        Relaxation(**values)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("much", r"variance_per_decade.number='much': Input should be a valid number"),
        ({"conductance": [2, 1], "values": [1, 2]}, r"the conductances of a table must ascend"),
    ],
)
def test_a_bad_parameter_is_told_once(value, said):
    """A number is not told that it could have been a table, nor a table that it is no number."""
    with pytest.raises(InputError, match=said) as refused:
        checked(Relaxation, "relaxation", variance_per_decade=value, onset_s=1.0)
    assert str(refused.value).count("variance_per_decade") == 1


def test_unusable_times_and_densities():
    """Time runs forwards, and a density needs some width."""
    state = LAW.start(np.full(3, MID), stream(13, "bad"))
    for seconds in (-1.0, float("inf"), float("nan")):
        with pytest.raises(InputError, match="seconds"):
            LAW.advance(state, seconds, stream(13, "bad"))
    with pytest.raises(InputError, match="temperature"):
        LAW.advance(state, 1.0, stream(13, "bad"), temperature=-3.0)
    with pytest.raises(InputError, match="noise_variance > 0"):
        LAW.log_density(np.zeros(2), 0.0, MID)
    for seconds, noise in ((-1.0, 1e-12), (1.0, -1e-12), (np.nan, 1e-12), (1.0, np.nan)):
        with pytest.raises(InputError, match="a number of at least 0"):
            LAW.log_density(np.zeros(2), seconds, MID, noise)
    assert float(LAW.log_density(np.array(0.0), 0.0, MID, 1e-12)) == pytest.approx(
        stats.norm.logpdf(0.0, scale=1e-6)
    )


@pytest.mark.parametrize("asymmetry", [0.0, -0.6])
def test_gamma_clock(asymmetry):
    """Moments of the gamma clock by their formulas, in one step and in ten (alarm 1e-4 each)."""
    law = Relaxation(
        variance_per_decade=4e-12,
        mean_per_decade=1e-6,
        asymmetry=asymmetry,
        tail_decades=2.0,
        clock="gamma",
        onset_s=1e-3,
    )
    for steps in (1, 10):
        rng = stream(3, "gamma clock", steps)
        first = np.full(400_000, MID)
        state = law.start(first, rng)
        for _ in range(steps):
            law.advance(state, 10.0 / steps, rng)
        x = law.deviation(state, first)
        batches = x.reshape(400, -1)
        for measured, expected in (
            (batches.mean(axis=1), law.mean(10.0, MID)),
            (((batches - law.mean(10.0, MID)) ** 2).mean(axis=1), law.variance(10.0, MID)),
            (
                ((batches - law.mean(10.0, MID)) ** 3).mean(axis=1),
                law.skewness(10.0, MID) * law.variance(10.0, MID) ** 1.5,
            ),
            (
                ((batches - law.mean(10.0, MID)) ** 4).mean(axis=1),
                (law.excess_kurtosis(10.0, MID) + 3) * law.variance(10.0, MID) ** 2,
            ),
        ):
            error = measured.std() / 20.0
            assert abs(measured.mean() - float(expected)) < 4.5 * error
