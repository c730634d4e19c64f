"""Tables of measured changes: pulses drawn from them, and how they are made.

Statistical tests use a false-alarm rate of 1e-4 per check and fixed seeds, and each is shown to
fail on a wrong sampler.
"""

import gzip
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from scipy import stats

from zerohm import InputError, devices
from zerohm._random import stream
from zerohm.devices.pulses import PulsedCells, PulseModel, TablePulses, read_quantile_table

CELL = devices.Cell(name="test", conductance_min=10e-6, conductance_max=50e-6)
ALARM = 1e-4

directions = pytest.mark.parametrize("direction", [+1, -1])


def check_quantiles(samples, probabilities, quantiles):
    """As many samples lie at or below each quantile as its probability says (binomial, 1e-4)."""
    for probability, quantile in zip(probabilities, quantiles, strict=True):
        below = int(np.count_nonzero(samples <= quantile))
        chance = stats.binomtest(below, samples.size, probability).pvalue
        assert chance > ALARM / len(probabilities), f"{probability}: {below / samples.size}"


KNOTS = np.array([5e-6, 20e-6, 60e-6])
LEVELS = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
UP = 1e-6 * np.array([[10, 5, -2], [12, 6, -1], [15, 8, 0], [19, 9, 1], [30, 12, 3]], dtype=float)
DOWN = -UP[::-1, ::-1]


def small_table():
    return TablePulses.from_quantiles(
        conductance=KNOTS, probabilities=LEVELS, increase=UP, decrease=DOWN
    )


def changes_from(table, start, direction, count, rng):
    cells = PulsedCells(replace(CELL, pulses=table), (count,), rng, start=start)
    cells.pulse(direction, rng)
    return cells.conductance - start


@directions
@pytest.mark.parametrize("start", [20e-6, 30e-6])
def test_tables_reproduce_their_quantiles(direction, start):
    """Changes from a knot, and from between two, have the tabulated quantiles; a Gaussian fails."""
    table = small_table()
    rng = stream(7, "tables", direction, str(start))
    samples = changes_from(table, start, direction, 40_000, rng)
    columns = UP if direction > 0 else DOWN
    weight = np.interp(start, KNOTS, [0, 1, 2]) - 1
    quantiles = (1 - weight) * columns[:, 1] + weight * columns[:, 2]
    inner = slice(1, -1)  # at the outermost quantile the distribution ends with an atom
    check_quantiles(samples, LEVELS[inner], quantiles[inner])
    assert samples.min() >= quantiles[0] - 1e-18
    assert samples.max() <= quantiles[-1] + 1e-18
    halves = (quantiles[1:] + quantiles[:-1]) / 2  # linear between tabulated probabilities
    check_quantiles(samples, (LEVELS[1:] + LEVELS[:-1]) / 2, halves)
    gaussian = samples.mean() + samples.std() * rng.standard_normal(samples.size)
    with pytest.raises(AssertionError):
        check_quantiles(gaussian, LEVELS[inner], quantiles[inner])
    got = [float(table.quantile(p, np.array([start]), direction)[0]) for p in LEVELS]
    np.testing.assert_allclose(got, quantiles, rtol=1e-12, atol=1e-20)


def test_tables_end_where_nothing_was_measured():
    """A cell stays within its table, and the pulses that would have left it are counted."""
    rng = np.random.default_rng(0)
    cells = PulsedCells(replace(CELL, pulses=small_table()), (100,), rng, start=58e-6)
    cells.pulse(+1, rng, count=20)
    assert cells.conductance.max() == 60e-6
    assert cells.limited.sum() > 0
    assert np.all((cells.lower == 5e-6) & (cells.upper == 60e-6))


def test_tables_of_a_population_are_drawn_equally():
    """Every cell has one of the devices' tables, all equally often (χ², 1e-4)."""
    shifts = np.arange(4)[:, None, None] * 1e-6
    table = TablePulses.from_quantiles(
        conductance=np.stack([KNOTS + 1e-6 * k for k in range(4)]),
        probabilities=LEVELS,
        increase=UP + shifts,
        decrease=DOWN - shifts,
    )
    cells = PulsedCells(replace(CELL, pulses=table), (8000,), np.random.default_rng(1))
    values, counts = np.unique(cells.lower, return_counts=True)
    np.testing.assert_allclose(values, 5e-6 + 1e-6 * np.arange(4))
    assert stats.chisquare(counts).pvalue > ALARM
    start = 25e-6
    rng = stream(8, "population")
    cells = PulsedCells(replace(CELL, pulses=table), (8000,), rng, start=start)
    cells.pulse(+1, rng)
    for device in range(4):
        chosen = np.isclose(cells.lower, 5e-6 + 1e-6 * device)
        median = table.quantile(0.5, np.array([start]), +1, device)
        check_quantiles((cells.conductance - start)[chosen], [0.5], median)


def test_tables_from_measurements_have_the_measured_quantiles():
    """Bins of equal counts, quantiles of the changes in each, held to the ends of the data."""
    rng = np.random.default_rng(2)
    before = rng.uniform(10e-6, 50e-6, 8000)
    sign = rng.choice([-1, 1], before.size)
    change = sign * rng.gamma(2.0, 1e-6, before.size) * before / 30e-6
    table = TablePulses.from_measurements(
        conductance=before, change=change, direction=sign, bins=8, probabilities=LEVELS
    )
    assert table.conductance[0][0] == before.min()
    assert table.conductance[0][-1] == before.max()
    order = np.argsort(before)
    for index, chosen in enumerate(np.array_split(order, 8)):
        assert table.conductance[0][index + 1] == pytest.approx(before[chosen].mean(), rel=1e-12)
        for direction, held in ((1, table.increase), (-1, table.decrease)):
            steps = change[chosen][sign[chosen] == direction]
            got = np.array(held[0])[:, index + 1]
            np.testing.assert_allclose(got, np.quantile(steps, LEVELS), rtol=1e-12)
    for held in (np.array(table.increase[0]), np.array(table.decrease[0])):
        np.testing.assert_array_equal(held[:, [0, -1]], held[:, [1, -2]])


def test_quantile_file_is_read(tmp_path):
    """The text format of CrossSim's tables, also compressed; anything else is refused."""
    lines = [
        "1st Row = Gbins",
        "",
        "1e-6, 2e-6,3e-6",
        "0.5, 0.9",
        "1e-7,2e-7,3e-7",
        "2e-7,3e-7,4e-7",
    ]
    text = "\n".join(lines)
    (tmp_path / "table.txt").write_text(text)
    (tmp_path / "table.txt.gz").write_bytes(gzip.compress(text.encode()))
    for name in ("table.txt", "table.txt.gz"):
        conductance, probabilities, changes = read_quantile_table(tmp_path / name)
        np.testing.assert_array_equal(conductance, [1e-6, 2e-6, 3e-6])
        np.testing.assert_array_equal(probabilities, [0.5, 0.9])
        np.testing.assert_array_equal(changes, [[1e-7, 2e-7, 3e-7], [2e-7, 3e-7, 4e-7]])
    (tmp_path / "short.txt").write_text("\n".join(lines[:-1]))
    for name in ("short.txt", "absent.txt"):
        with pytest.raises(InputError, match="cannot read quantile table"):
            read_quantile_table(tmp_path / name)


@pytest.fixture(scope="module")
def measured():
    folder = os.environ.get("ZEROHM_DATA")
    if folder is None:
        pytest.skip("ZEROHM_DATA is not set: no measured tables")
    return Path(folder) / "devices" / "crosssim-taox-enode-lut"


def test_measured_taox_devices_are_reproduced(measured):
    """41 devices from mid-range: SET is abrupt, +65 ± 25 µS, RESET gradual, −22 ± 14 µS.

    Medians of the devices and their spread; from cycle to cycle 13 to 14 µS. Drawn changes have
    these medians, up to where the table ends.
    """
    medians, halves = {+1: [], -1: []}, []
    with np.load(measured / "taox_41devices_dG_quantiles.npz") as file:
        for name in (f"dev{n:02d}" for n in range(1, 42)):
            up, down = (file[f"{name}_{kind}_dG_q"] for kind in ("increasing", "decreasing"))
            table = TablePulses.from_quantiles(
                conductance=file[f"{name}_increasing_G"],
                probabilities=file["q"],
                increase=np.sort(up, axis=0),
                decrease=np.sort(down, axis=0),
            )
            first, last = table.conductance[0][0], table.conductance[0][-1]
            start = np.array([(first + last) / 2])
            for direction in (+1, -1):
                low, median, high = (
                    float(table.quantile(p, start, direction)[0]) for p in (0.16, 0.5, 0.84)
                )
                medians[direction].append(median)
                halves.append((high - low) / 2)
                drawn = changes_from(table, start, direction, 1000, stream(9, name, direction))
                if first < start + median < last:
                    check_quantiles(drawn, [0.5], [median])
                else:
                    assert np.median(drawn) == pytest.approx(last - start[0], rel=1e-9, abs=0)
    assert np.mean(medians[+1]) == pytest.approx(65e-6, abs=1e-6)
    assert np.std(medians[+1]) == pytest.approx(25e-6, abs=1e-6)
    assert np.mean(medians[-1]) == pytest.approx(-22e-6, abs=1e-6)
    assert np.std(medians[-1]) == pytest.approx(14e-6, abs=1e-6)
    assert np.mean(halves) == pytest.approx(13.5e-6, abs=0.5e-6)


def test_measured_enode_tables_are_read(measured):
    """The organic transistor moves by less than 1 µS per pulse, up and down alike."""
    read = [
        read_quantile_table(measured / f"enode_dG_{kind}.txt.gz")
        for kind in ("increasing", "decreasing")
    ]
    (conductance, probabilities, up), (_, _, down) = read
    table = TablePulses.from_quantiles(
        conductance=conductance, probabilities=probabilities, increase=up, decrease=down
    )
    middle = np.array([np.median(conductance)])
    assert 0 < table.quantile(0.5, middle, +1)[0] < 20e-6
    assert -20e-6 < table.quantile(0.5, middle, -1)[0] < 0


# Refusals


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"direction": np.ones(5)}, "same length"),
        ({"direction": np.zeros(600)}, "direction"),
        ({"change": np.full(600, np.nan)}, "finite"),
        ({"bins": 0}, "bins"),
        ({"bins": 50}, "fewer than 50 bins"),
    ],
)
def test_bad_measurements_are_refused(change, words):
    """Lists that do not fit and bins with too few pulses."""
    good = {
        "conductance": np.linspace(1e-6, 2e-6, 600),
        "change": np.full(600, 1e-8),
        "direction": np.resize([1, -1], 600),
        "bins": 5,
    }
    TablePulses.from_measurements(**good)
    with pytest.raises(InputError, match=words):
        TablePulses.from_measurements(**{**good, **change})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"increase": (tuple(map(tuple, UP[::-1])),)}, "fall with probability"),
        ({"decrease": (tuple(map(tuple, DOWN[:, :2])),)}, "shape"),
        ({"conductance": ((5e-6, 5e-6, 6e-6),)}, "ascending conductances"),
        ({"conductance": ((1e-6,), (1e-6, 2e-6))}, "same, full shape"),
        ({"probabilities": (0.1, 0.2, 0.3, 0.4, 1.1)}, "probabilities"),
    ],
)
def test_bad_tables_are_refused(change, words):
    """Shapes that do not fit, and values that do not ascend."""
    with pytest.raises(ValidationError, match=words):
        replace(small_table(), **change)


def test_bad_arrays_are_refused():
    """Ragged arrays and those of another shape, as the user's own fault."""
    good = {"conductance": KNOTS, "probabilities": LEVELS, "increase": UP, "decrease": DOWN}
    for name, values in (("increase", [[1.0], [1.0, 2.0]]), ("decrease", DOWN[:, :2])):
        with pytest.raises(InputError, match="tables of pulses"):
            TablePulses.from_quantiles(**{**good, name: values})
    with pytest.raises(InputError, match="direction=0"):
        small_table().quantile(0.5, KNOTS, 0)


def test_tables_survive_json():
    """A table is told apart by its kind and comes back equal."""
    adapter = TypeAdapter(PulseModel)
    assert adapter.validate_json(adapter.dump_json(small_table())) == small_table()
