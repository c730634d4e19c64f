"""Devices: published numbers, the statistics of programming, device cards, refusals.

Statistical tests use the checks of ``naive.py`` (false-alarm rate at most 1e-4 per check, fixed
seeds), and each has a companion that feeds the same check a wrong sampler.
"""

import contextlib
import json
import math
import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import zerohm as zo
from zerohm import InputError, devices
from zerohm.devices.noise import sample

WRITES = 20_000

# Published deviations in µS at conductances in µS. Wan2022 and Wan2022-cubic: the values at 0,
# 10 and 39 µS that tell the two fits apart; Falcone2025: at 50 µS for its two bands. Milo2021:
# 4.7823 − 0.009107·G by hand.
GOLDEN = {
    "Wan2022": {0.0: 0.35, 10.0: 2.26, 39.0: 1.17},
    "Wan2022-cubic": {0.0: 1.05, 10.0: 2.41, 39.0: 1.67},
    "Milo2021": {50.0: 4.327, 100.0: 3.872, 225.0: 2.733},
    "Falcone2025": {50.0: 0.576},
    "Falcone2025-0.2pct": {50.0: 0.054},
    "Joshi2020": {12.5: 0.955, 25.0: 1.066},
    "Nandakumar2019": {0.0: 0.263, 12.5: 0.953, 25.0: 1.055},
}

# The published fits once more, in µS, as functions of G in µS.
FORMULAS = {
    "Wan2022": lambda g: (
        0.348
        + 16.030 * (g / 40)
        - 43.853 * (g / 40) ** 2
        + 45.393 * (g / 40) ** 3
        - 16.815 * (g / 40) ** 4
    ),
    "Wan2022-cubic": lambda g: 1.536e-4 * g**3 - 1.167e-2 * g**2 + 0.2374 * g + 1.053,
    "Milo2021": lambda g: max(-0.009107 * g + 4.7823, 0),
    "Falcone2025": lambda g: 0.01129027 * g + 0.01121854,
    "Falcone2025-0.2pct": lambda g: 0.00106879 * g + 0.00081107,
    "Joshi2020": lambda g: 0.28638599 + 0.07585724 * g - 0.00178767 * g**2,
    "Nandakumar2019": lambda g: 0.26348 + 1.965 * (g / 25) - 1.1731 * (g / 25) ** 2,
}

# Conductance windows in µS.
WINDOWS = {
    "Wan2022": (1.0, 40.0),
    "Wan2022-cubic": (1.0, 39.26),
    "Milo2021": (50.0, 225.0),
    "Falcone2025": (9.0, 88.2),
    "Falcone2025-0.2pct": (9.0, 88.2),
    "Joshi2020": (0.25, 25.0),
    "Nandakumar2019": (0.0, 25.0),
}

# Presets whose source publishes no law for what write–verify leaves.
WITHOUT_FORMULA = {
    "Gong2018",
    "Gong2018-soft",
    "GongRasch2022",
    "GongRasch2022-HfO2",
    "Hennen2022",
    "Levy2024-A",
    "Levy2024-B",
    "Nili2020",
}

LAWS = [
    devices.ConstantNoise(sigma=0.5e-6),
    devices.PolynomialNoise(coefficients=(0.3, 0.1, -0.001), scale=1e-6, reference=1e-6),
    devices.PolynomialNoise(coefficients=(0.7,), scale=1e-6, reference=1e-6),
    devices.AcceptanceBand(relative=0.02),
    devices.LogarithmicNoise(amplitude=0.03e-6, reference=1e-6, time_s=10.0, reading_time_s=1e-6),
]

presets = pytest.mark.parametrize("name", GOLDEN)
laws = pytest.mark.parametrize("law", LAWS, ids=lambda law: law.kind)


def about(value, rel=1e-9):
    """Relative comparison: pytest's own absolute tolerance of 1e-12 exceeds energies in J."""
    return pytest.approx(value, rel=rel, abs=0.0)


def continuous(law, **options):
    return devices.Cell(
        name="test", conductance_min=5e-6, conductance_max=45e-6, write_noise=law, **options
    )


# Published numbers


def test_every_preset_has_its_published_numbers_here():
    """A preset cannot be added without numbers in these tables."""
    assert set(GOLDEN) == set(FORMULAS) == set(WINDOWS)
    assert set(GOLDEN) | WITHOUT_FORMULA == set(devices.presets())


@presets
def test_deviation_has_the_published_values(name):
    """σ(G) in S equals the values quoted from the sources, to their last digit."""
    law = devices.preset(name).write_noise
    for conductance, expected in GOLDEN[name].items():
        got = float(law.std(np.array([conductance * 1e-6]))[0])
        tolerance = 0.0051e-6 if name.startswith("Wan") else 0.00051e-6
        assert got == pytest.approx(expected * 1e-6, abs=tolerance)


@presets
def test_deviation_follows_the_published_formula(name):
    """σ(G) in S equals the fit, written a second time in its own units, over the whole window."""
    cell = devices.preset(name)
    states = np.linspace(cell.conductance_min, cell.conductance_max, 101)
    expected = [1e-6 * FORMULAS[name](state * 1e6) for state in states]
    np.testing.assert_allclose(cell.write_noise.std(states), expected, rtol=1e-12)


@presets
def test_window_is_the_published_one(name):
    """Windows in S, floor at zero, no ceiling that no source gives."""
    cell = devices.preset(name)
    low, high = WINDOWS[name]
    assert (cell.conductance_min, cell.conductance_max) == about((low * 1e-6, high * 1e-6))
    assert cell.window == about((high - low) * 1e-6)
    assert cell.conductance_floor == 0.0
    assert cell.conductance_ceiling is None


@pytest.mark.parametrize("name", ["Falcone2025", "Falcone2025-0.2pct"])
def test_read_noise_of_falcone_grows_with_the_logarithm_of_time(name):
    """σ = 0.02773 µS · log₁₀(G/µS) · √ln((t + t_r)/2t_r), t_r = 1 µs: 0.1707 µS at 50 µS, 1 s."""
    law = devices.preset(name).read_noise
    by_hand = 0.02773e-6 * math.log10(50) * math.sqrt(math.log((1 + 1e-6) / 2e-6))
    assert by_hand == pytest.approx(0.1707e-6, abs=0.0001e-6)
    assert law.std(np.array([50e-6]))[0] == about(by_hand, rel=1e-12)
    later = replace(law, time_s=86400.0).std(np.array([50e-6]))[0]
    day, second = ((t + 1e-6) / 2e-6 for t in (86400.0, 1.0))
    assert later / by_hand == about(math.sqrt(math.log(day) / math.log(second)))


def test_presets_without_published_read_noise_read_without_noise():
    """No read noise is invented where the source gives none."""
    for name in ("Wan2022", "Wan2022-cubic", "Milo2021"):
        assert np.all(devices.preset(name).read_std(np.array([60e-6])) == 0)


@presets
def test_citations_resolve(name):
    """Every preset names its source, and the source is in the bibliography."""
    cell = devices.preset(name)
    assert cell.citations
    text = zo.cite(cell)
    assert all(f"{{{key}," in text for key in cell.citations)
    assert all(word in text for word in ("title", "author", "year"))


def test_cite_refuses_what_has_no_source():
    """Neither an object without citations nor a cell of the user's own has anything to cite."""
    with pytest.raises(InputError, match="no source"):
        zo.cite(3.0)
    with pytest.raises(InputError, match="no source"):
        zo.cite(continuous(LAWS[0]))


# Noise laws


@laws
def test_slope_is_the_derivative_of_the_deviation(law):
    """std_slope equals the central difference of std."""
    states = np.linspace(6e-6, 44e-6, 9)
    step = 1e-9
    difference = (law.std(states + step) - law.std(states - step)) / (2 * step)
    np.testing.assert_allclose(
        np.broadcast_to(law.std_slope(states), states.shape),
        np.broadcast_to(difference, states.shape),
        rtol=1e-6,
        atol=1e-9,
    )


@laws
def test_scaled_multiplies_the_deviation_only(law):
    """scaled(0.3) has 0.3 times the deviation at every state and the same density."""
    states = np.linspace(6e-6, 44e-6, 9)
    assert law.scaled(0.3).density == law.density
    np.testing.assert_allclose(law.scaled(0.3).std(states), 0.3 * law.std(states), rtol=1e-14)


@laws
def test_laws_keep_single_precision(law):
    """float32 conductances give float32 deviations, slopes and samples, equal to float64 ones."""
    states = np.linspace(6e-6, 44e-6, 9)
    single = states.astype(np.float32)
    for of in (law.std, law.std_slope):
        assert np.asarray(of(single)).dtype == np.float32
        np.testing.assert_allclose(of(single), of(states), rtol=1e-5)
    drawn = sample(law, single, (4, 9), np.random.default_rng(0))
    assert (drawn.dtype, drawn.shape) == (np.float32, (4, 9))


@laws
def test_law_rejects_negative_parameters(law):
    """A negative noise level cannot be written down."""
    field = {
        "constant": "sigma",
        "polynomial": "scale",
        "acceptance band": "relative",
        "logarithmic": "amplitude",
    }[law.kind]
    with pytest.raises(ValidationError, match=field):
        replace(law, **{field: -1e-9})


# Statistics of programming


@presets
def test_programmed_conductances_have_the_moments_of_the_law(name, naive):
    """Mean, variance and kurtosis per cell, at targets that the floor cannot reach."""
    cell = devices.preset(name)
    targets = np.linspace(max(cell.conductance_min, 12e-6), cell.conductance_max, 4)
    written = cell.program(targets, np.random.default_rng(1), copies=WRITES)
    expected = np.array([1e-6 * FORMULAS[name](g * 1e6) for g in targets])
    naive.check_moments(written, targets, expected)
    with pytest.raises(AssertionError, match="variance"):
        naive.check_moments(written, targets, 1.05 * expected)
    with pytest.raises(AssertionError, match="mean"):
        naive.check_moments(written, targets + 0.05 * expected, expected)
    uniform = targets + expected * np.random.default_rng(1).uniform(
        -math.sqrt(3), math.sqrt(3), (WRITES, targets.size)
    )
    with pytest.raises(AssertionError, match="kurtosis"):
        naive.check_moments(uniform, targets, expected)


def test_acceptance_band_is_uniform_and_bounded(naive):
    """±a·G: standard deviation a·G/√3, kurtosis 1.8, nothing outside the band; not a Gaussian."""
    cell = continuous(devices.AcceptanceBand(relative=0.02))
    targets = np.array([5e-6, 20e-6, 45e-6])
    written = cell.program(targets, np.random.default_rng(2), copies=WRITES)
    std = 0.02 * targets / math.sqrt(3)
    naive.check_moments(written, targets, std, density="uniform")
    reach = np.abs(written / targets - 1).max(axis=0)
    assert np.all(reach <= 0.02 * (1 + 1e-12))
    assert np.all(reach > 0.0199)
    gaussian = targets + std * np.random.default_rng(2).standard_normal((WRITES, 3))
    with pytest.raises(AssertionError, match="kurtosis"):
        naive.check_moments(gaussian, targets, std, density="uniform")


@pytest.mark.parametrize("law", [LAWS[0], LAWS[3]], ids=["gaussian", "uniform"])
def test_cells_and_copies_are_independent(law, naive):
    """Neither two cells of one writing nor one cell of two copies share their noise."""
    cell = continuous(law)
    written = cell.program(np.full(3, 25e-6), np.random.default_rng(3), copies=2 * WRITES)
    neighbours = written.reshape(WRITES, 6)
    naive.check_independent(neighbours)
    shared = neighbours.copy()
    shared[:, 3:] += 0.1 * shared[:, :3]
    with pytest.raises(AssertionError, match="correlate"):
        naive.check_independent(shared)
    flipped = neighbours.copy()
    flipped[:, 3] = 25e-6 + np.abs(neighbours[:, 0] - 25e-6) * np.sign(neighbours[:, 3] - 25e-6)
    with pytest.raises(AssertionError, match="squares"):
        naive.check_independent(flipped)


def test_programming_clips_at_the_floor_only():
    """Values are the target plus noise, except those that would be negative, which are zero."""
    cell = continuous(devices.ConstantNoise(sigma=10e-6))
    targets = np.linspace(5e-6, 45e-6, 1000)
    written = cell.program(targets, np.random.default_rng(4))
    raw = targets + 10e-6 * np.random.default_rng(4).standard_normal(1000)
    assert (raw < 0).sum() > 10
    assert (raw > cell.conductance_max).sum() > 10
    np.testing.assert_allclose(written, np.maximum(raw, 0.0), rtol=1e-12)


def test_programming_clips_at_floor_and_ceiling_of_the_device():
    """A device's own floor and ceiling hold, the window does not clip."""
    cell = continuous(
        devices.ConstantNoise(sigma=10e-6), conductance_floor=3e-6, conductance_ceiling=50e-6
    )
    targets = np.linspace(5e-6, 45e-6, 1000)
    written = cell.program(targets, np.random.default_rng(4))
    raw = targets + 10e-6 * np.random.default_rng(4).standard_normal(1000)
    np.testing.assert_allclose(written, np.clip(raw, 3e-6, 50e-6), rtol=1e-12)
    assert (written == 3e-6).any()
    assert (written == 50e-6).any()
    assert ((written > cell.conductance_max) & (written < 50e-6)).any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_programming_keeps_shape_and_type(dtype):
    """One copy has the shape of the targets, several have an axis in front; the type stays."""
    cell = devices.preset("Wan2022")
    targets = np.full((3, 2), 20e-6, dtype=dtype)
    for copies, shape in ((1, (3, 2)), (5, (5, 3, 2))):
        written = cell.program(targets, np.random.default_rng(5), copies=copies)
        assert (written.dtype, written.shape) == (dtype, shape)


def test_targets_are_left_untouched():
    """Programming does not write into the caller's array."""
    targets = np.full(4, 20e-6)
    devices.preset("Wan2022").program(targets, np.random.default_rng(0))
    assert np.all(targets == 20e-6)


@given(
    low=st.floats(0, 50e-6),
    width=st.floats(1e-6, 200e-6),
    levels=st.integers(2, 1024),
    position=st.lists(st.floats(0, 1), min_size=1, max_size=8),
)
def test_nearest_state_is_a_projection(low, width, levels, position):
    """States are reached by one step, lie on the grid, and are at most half a step away."""
    cell = devices.Cell(
        name="test", conductance_min=low, conductance_max=low + width, levels=levels
    )
    targets = low + cell.window * np.array(position)
    states = cell.nearest_state(targets)
    step = cell.window / (levels - 1)
    assert np.array_equal(cell.nearest_state(states), states)
    assert np.all(np.abs(states - targets) <= step / 2 * (1 + 1e-9) + 1e-18)
    index = (states - low) / step
    np.testing.assert_allclose(index, np.rint(index), atol=1e-6)
    assert index.min() > -0.5
    assert index.max() < levels - 0.5


def test_a_cell_with_levels_stores_levels_only():
    """Without noise a 5-level cell stores one of 5 values; a continuous cell what it is given."""
    cell = continuous(devices.ConstantNoise(sigma=0.0), levels=5)
    targets = np.linspace(5e-6, 45e-6, 101)
    stored = cell.program(targets, np.random.default_rng(0))
    np.testing.assert_allclose(np.unique(stored), [5e-6, 15e-6, 25e-6, 35e-6, 45e-6])
    free = replace(cell, levels=None).program(targets, np.random.default_rng(0))
    assert np.array_equal(free, targets)


# Defects of other simulators that must not appear here


def test_noise_at_a_conductance_does_not_depend_on_the_window():
    """Another full scale leaves the deviation in S as it is: 5.75 %, not 9.19 % of 25 µS."""
    cell = devices.preset("Wan2022")
    narrow = replace(cell, conductance_max=25e-6)
    targets = np.linspace(1e-6, 25e-6, 50)
    assert np.array_equal(narrow.write_noise.std(targets), cell.write_noise.std(targets))
    assert np.array_equal(
        narrow.program(targets, np.random.default_rng(0)),
        cell.program(targets, np.random.default_rng(0)),
    )
    rescaled = replace(cell.write_noise, reference=25e-6)  # the defect itself
    assert not np.allclose(rescaled.std(targets), cell.write_noise.std(targets), rtol=0.1)


@pytest.mark.parametrize(
    ("name", "band", "relative"),
    [("Falcone2025", "2 %", 0.02), ("Falcone2025-0.2pct", "0.2 %", 0.002)],
)
def test_acceptance_band_of_a_preset_is_stated_and_is_the_one_used(name, band, relative):
    """The band is written in the preset and its noise is that band's, σ ≈ a·G/√3 within 8 %."""
    cell = devices.preset(name)
    assert f"band {band};" in cell.description
    expected = relative * 50e-6 / math.sqrt(3)
    assert cell.write_noise.std(np.array([50e-6]))[0] == about(expected, rel=0.08)


@pytest.mark.parametrize("name", ["Falcone2025-0.02", "Falcone2025-2e-2", "falcone"])
def test_an_unknown_band_is_refused(name):
    """No band is chosen silently."""
    with pytest.raises(InputError, match=r"Falcone2025-0\.2pct"):
        devices.preset(name)


def test_noise_at_time_zero_is_zero():
    """t = 0 is legal and noiseless, and so is everything up to t_r; the law is continuous there."""
    states = np.array([9e-6, 50e-6])
    law = devices.preset("Falcone2025").read_noise
    for time_s in (0.0, 0.5e-6, 1e-6):
        assert np.all(replace(law, time_s=time_s).std(states) == 0)
    just_after = replace(law, time_s=1e-6 * (1 + 1e-9)).std(states)
    assert np.all((just_after > 0) & (just_after < 1e-11))
    with pytest.raises(ValidationError, match="time_s"):
        replace(law, time_s=-1.0)


def test_logarithm_below_its_reference_is_refused():
    """A cell whose window reaches states where log₁₀(G/1 µS) < 0 cannot be built."""
    law = devices.preset("Falcone2025").read_noise
    for role in ("read_noise", "read_back_noise", "write_noise"):
        with pytest.raises(ValidationError, match=f"{role} of 'x' is negative or undefined"):
            devices.Cell(name="x", conductance_min=0.4e-6, conductance_max=10e-6, **{role: law})
    devices.Cell(name="x", conductance_min=1e-6, conductance_max=10e-6, read_noise=law)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_reads_outside_the_window_use_its_edges(dtype):
    """Cells that write noise pushed to zero or beyond the window read with the edge's noise."""
    cell = devices.preset("Falcone2025")
    low, high = cell.conductance_min, cell.conductance_max
    outside = np.array([0.0, 0.4e-6, low, high, 150e-6], dtype=dtype)
    edges = np.array([low, low, low, high, high], dtype=dtype)
    for std in (cell.read_std, cell.read_back_std):
        assert np.all(np.isfinite(std(outside)))
        assert np.array_equal(std(outside), std(edges))
    assert np.all(cell.read_std(edges) > 0)


# Variants of a cell


@given(write=st.floats(0, 0.5), read=st.floats(0, 0.5), read_back=st.floats(0, 0.5))
def test_with_noise_takes_fractions_of_the_window(write, read, read_back):
    """Each role gets fraction · window in S; the cell it came from keeps its own."""
    own = devices.preset("Falcone2025")
    cell = own.with_noise(write=write, read=read, read_back=read_back)
    states = np.array([30e-6])
    assert cell.write_noise.std(states) == write * own.window
    assert cell.read_std(states) == read * own.window
    assert cell.read_back_std(states) == read_back * own.window
    assert own == devices.preset("Falcone2025")


def test_with_noise_keeps_what_is_not_given():
    """None keeps the cell's law; zero means none at all; read-back follows read until set."""
    own = devices.preset("Falcone2025")
    states = np.array([30e-6])
    assert own.with_noise() == own
    assert own.with_noise(read=0.01).write_noise == own.write_noise
    assert own.with_noise(write=0.0).write_noise.std(states) == 0
    assert own.with_noise(read=0.01).read_back_std(states) == 0.01 * own.window
    assert own.with_noise(read_back=0.01).read_noise == own.read_noise


@pytest.mark.parametrize("level", [-0.01, 1.0, 2.0, math.nan, math.inf])
@pytest.mark.parametrize("role", ["write", "read", "read_back"])
def test_with_noise_refuses_what_is_no_fraction(role, level):
    """A percentage given as a fraction, NaN, or a negative level."""
    with pytest.raises(InputError, match=f"{role}_noise=.*fraction of the conductance window"):
        devices.preset("Wan2022").with_noise(**{role: level})


def test_tightened_trades_pulses_for_precision():
    """Half the band: half the deviation, twice the pulses, everything else the same."""
    own = devices.preset("Wan2022")
    tight = own.tightened(0.5)
    states = np.linspace(1e-6, 40e-6, 9)
    np.testing.assert_allclose(tight.write_noise.std(states), own.write_noise.std(states) / 2)
    assert tight.programming.pulses_per_write == 2 * own.programming.pulses_per_write
    assert replace(tight, write_noise=own.write_noise, programming=own.programming) == own
    assert own.tightened(1.0) == own


@pytest.mark.parametrize("factor", [0.0, -0.5, 1.01, math.nan])
def test_tightened_refuses_to_widen(factor):
    """Write–verify cannot be loosened or undone."""
    with pytest.raises(InputError, match="0 < factor <= 1"):
        devices.preset("Wan2022").tightened(factor)


# Refusals


@pytest.mark.parametrize(
    "targets",
    [[math.nan, 20e-6], [-1e-6], [0.5e-6], [41e-6], [20.0], [math.inf]],
    ids=["NaN", "negative", "below", "above", "in µS", "infinite"],
)
def test_targets_outside_the_window_are_refused(targets):
    """The message names what was given, the range in S, and the likely unit mistake."""
    with pytest.raises(InputError, match=r"1e-06 to 4e-05 S.*µS must be multiplied by 1e-6"):
        devices.preset("Wan2022").program(np.array(targets), np.random.default_rng(0))


def test_no_targets_are_refused():
    """An empty array is a mistake, not an empty result."""
    with pytest.raises(InputError, match="no cells"):
        devices.preset("Wan2022").program(np.zeros((0, 3)), np.random.default_rng(0))


def test_a_window_edge_in_single_precision_is_inside():
    """Rounding to float32 does not turn the edges of a window into errors."""
    for name in devices.presets():
        cell = devices.preset(name)
        edges = np.array([cell.conductance_min, cell.conductance_max], dtype=np.float32)
        cell.check_targets(edges)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"conductance_min": 50e-6}, "floor <= min < max"),
        ({"conductance_min": 3e-6, "conductance_floor": 4e-6}, "floor <= min < max"),
        ({"conductance_ceiling": 40e-6}, "lies below conductance_max"),
        ({"conductance_max": math.nan}, "finite"),
        ({"conductance_max": math.inf}, "finite"),
        ({"conductance_min": -1e-6}, "conductance_min"),
        ({"levels": 1}, "levels"),
        ({"max_read_voltage": 0.0}, "max_read_voltage"),
        ({"programing": None}, "programing"),
        (
            {
                "write_noise": devices.PolynomialNoise(
                    coefficients=(1.0, -0.03), scale=1e-6, reference=1e-6
                )
            },
            "write_noise of 'test' is negative or undefined",
        ),
    ],
)
def test_an_inconsistent_cell_cannot_be_built(change, message):
    """Numbers outside their range, contradictions and misspelt names are refused by name."""
    given = {"name": "test", "conductance_min": 5e-6, "conductance_max": 45e-6} | change
    with pytest.raises(ValueError, match=message):
        devices.Cell(**given)


def test_a_cell_is_frozen():
    """A preset cannot be changed for everyone else."""
    with pytest.raises(AttributeError):
        devices.preset("Wan2022").conductance_max = 1.0
    assert devices.preset("Wan2022") is devices.preset("Wan2022")


def test_an_unknown_preset_names_the_nearest_and_all():
    """A typing mistake is answered with what was probably meant."""
    with pytest.raises(InputError, match=r"'wan2022' \(did you mean 'Wan2022'\?\).*Milo2021"):
        devices.preset("wan2022")


# Device cards

FULL_CELL = devices.Cell(
    name="mine",
    description="α-phase, 2 µS",
    conductance_min=1 / 3 * 1e-5,
    conductance_max=100e-6,
    write_noise=LAWS[1],
    read_noise=LAWS[4],
    read_back_noise=LAWS[3],
    levels=17,
    conductance_floor=1e-6,
    conductance_ceiling=120e-6,
    max_read_voltage=0.3,
    programming=devices.ProgrammingCost(pulse_energy=1e-12, pulses_per_write=2.5),
    citations=("Wan2022",),
)
CARD_CELLS = [*(devices.preset(name) for name in devices.presets()), FULL_CELL]


@pytest.mark.parametrize("cell", CARD_CELLS, ids=lambda cell: cell.name)
def test_a_card_holds_the_whole_cell(cell, tmp_path):
    """What is loaded equals what was saved, bit for bit, and programs the same conductances."""
    path = tmp_path / "card.json"
    devices.save(cell, path)
    loaded = devices.load(path)
    assert loaded == cell
    targets = np.linspace(cell.conductance_min, cell.conductance_max, 20)
    assert np.array_equal(
        loaded.program(targets, np.random.default_rng(0)),
        cell.program(targets, np.random.default_rng(0)),
    )
    assert [file.name for file in tmp_path.iterdir()] == ["card.json"]


def test_find_takes_a_preset_or_a_card(tmp_path):
    """A name is a preset, a path that ends in .json is a card."""
    path = tmp_path / "card.json"
    devices.save(FULL_CELL, path)
    assert devices.find(str(path)) == FULL_CELL
    assert devices.find("Milo2021") == devices.preset("Milo2021")
    with pytest.raises(InputError, match="no-such"):
        devices.find(str(tmp_path / "no-such.json"))


@pytest.fixture
def card(tmp_path):
    """A card on disk and its content; ``edit`` writes a changed content back."""
    path = tmp_path / "card.json"
    devices.save(FULL_CELL, path)
    content = json.loads(path.read_text())

    def edit(**changes):
        path.write_text(json.dumps({**content, "cell": {**content["cell"], **changes}}))
        return path

    return edit


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conductance_min": math.nan}, "conductance_min=nan: .*finite"),
        ({"conductance_min": 1.0}, "floor <= min < max"),
        ({"sigma": 1.0}, "sigma"),
        ({"levels": 1}, "levels"),
        ({"write_noise": {"kind": "pink"}}, "write_noise=.*'pink'"),
        ({"write_noise": {"kind": "constant", "sigma": -1.0}}, "sigma"),
        ({"programming": {"pulses": 3}}, "programming.pulses"),
    ],
)
def test_a_card_with_bad_numbers_is_refused(card, changes, message):
    """The message names the file, the field and what is wrong with it."""
    path = card(**changes)
    with pytest.raises(InputError, match=message) as refusal:
        devices.load(path)
    assert str(path) in str(refusal.value)
    assert ": :" not in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot read"),
        (b"\xff\xfe", "cannot read"),
        (b"[1, 2]", "not a device card"),
        (b"{}", "not a device card"),
        (b'{"format": "zerohm run", "version": 1}', "not a device card"),
        (b'{"format": "zerohm device card", "version": 3, "cell": {}}', "version 3"),
        (b'{"format": "zerohm device card", "version": 1}', "card.json"),
        (b"[" * 100_000, "cannot read"),
        (b"1" * 5000, "cannot read"),
    ],
    ids=[
        "empty",
        "binary",
        "list",
        "object",
        "foreign",
        "version",
        "no cell",
        "nested",
        "digits",
    ],
)
def test_what_is_no_card_is_refused(tmp_path, content, message):
    """Foreign, damaged and newer files give one InputError, whatever they hold."""
    path = tmp_path / "card.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        devices.load(path)


@settings(max_examples=60)
@given(data=st.data())
def test_a_damaged_card_is_refused_or_still_valid(tmp_path_factory, data):
    """A cut card never loads; a changed byte gives a checked cell or an InputError, no crash."""
    path = tmp_path_factory.mktemp("cards") / "card.json"
    devices.save(FULL_CELL, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 2), label="length")])
    with pytest.raises(InputError):
        devices.load(path)
    damaged = bytearray(whole)
    where = data.draw(st.integers(0, len(whole) - 1), label="position")
    damaged[where] = data.draw(st.integers(0, 255), label="byte")
    path.write_bytes(damaged)
    with contextlib.suppress(InputError):
        assert isinstance(devices.load(path), devices.Cell)


def test_a_failed_save_leaves_the_old_card(tmp_path, monkeypatch):
    """If the last step fails, the old card is whole and no unfinished file stays behind."""
    path = tmp_path / "card.json"
    devices.save(FULL_CELL, path)

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(InputError, match="No space left"):
        devices.save(devices.preset("Wan2022"), path)
    assert devices.load(path) == FULL_CELL
    assert [file.name for file in tmp_path.iterdir()] == ["card.json"]


@pytest.mark.parametrize(
    "name",
    ["missing/card.json", "file/card.json", "folder", "x" * 300 + ".json"],
    ids=["no folder", "file as folder", "folder as file", "long name"],
)
def test_a_card_that_cannot_be_written_is_an_input_error(tmp_path, name):
    """Every unusable path gives one InputError and leaves nothing behind."""
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="cannot write"):
        devices.save(FULL_CELL, tmp_path / name)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "folder"]
