"""Several stores made into one: nothing lost, nothing invented, conflicts named."""

import sqlite3

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zerohm import InputError, devices, sweeps


def product(x, seed=0, method="a"):
    return xr.Dataset({"y": x * 10.0 + seed, "word": method})


@pytest.fixture
def swept(tmp_path):
    """Runs a sweep into a store of this name."""

    def run(name, grid, **fixed):
        sweeps.run(product, grid, fixed=fixed, store=tmp_path / name)
        return tmp_path / name

    return run


def test_seeds_run_apart_are_one_sweep_afterwards(swept, tmp_path):
    """The merged store is what one sweep of the whole grid would have left."""
    parts = [swept(f"{seed}.zarr", {"x": [1, 2]}, seed=seed) for seed in range(3)]
    merged = sweeps.merge(parts, tmp_path / "all.zarr")
    whole = sweeps.run(product, {"x": [1, 2], "seed": range(3)})
    xr.testing.assert_identical(merged, whole)
    xr.testing.assert_identical(sweeps.load(tmp_path / "all.zarr"), whole)


def test_holes_are_told_and_filled_by_the_next_run(swept, tmp_path):
    """Combinations that no store holds are not run yet, and only they run."""
    merged = sweeps.merge(
        [swept("a.zarr", {"x": [1, 3]}, seed=0), swept("b.zarr", {"x": [2, 3]}, seed=1)],
        tmp_path / "m.zarr",
    )
    np.testing.assert_array_equal(merged.y, [[10, np.nan], [np.nan, 21], [30, 31]])
    assert merged.error.values[0].tolist() == ["", "not run yet"]
    store = tmp_path / "m.zarr"
    whole = sweeps.run(product, {"x": [1, 2, 3], "seed": [0, 1]}, store=store)
    np.testing.assert_array_equal(whole.y, [[10, 11], [20, 21], [30, 31]])
    with sqlite3.connect(tmp_path / "m.zarr.points") as connection:
        assert connection.execute("SELECT count(*) FROM points").fetchone() == (6,)
    connection.close()


VALUES = st.lists(st.integers(0, 4), min_size=1, max_size=3, unique=True)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(grids=st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=3), random=st.randoms())
def test_a_merge_is_the_union_in_any_order(grids, random, tmp_path_factory):
    """Whichever stores overlap, and whichever comes first."""
    folder = tmp_path_factory.mktemp("union")
    stores = []
    for i, (x, seed) in enumerate(grids):
        sweeps.run(product, {"x": x, "seed": seed}, store=folder / f"{i}.zarr")
        stores.append(folder / f"{i}.zarr")
    one = sweeps.merge(stores, folder / "one.zarr")
    random.shuffle(stores)
    xr.testing.assert_identical(sweeps.merge(stores, folder / "other.zarr"), one)
    held = {(x, seed) for grid in grids for x in grid[0] for seed in grid[1]}
    for x in one.x.values:
        for seed in one.seed.values:
            value = float(one.y.sel(x=x, seed=seed))
            assert value == 10 * x + seed if (x, seed) in held else np.isnan(value)


def test_a_result_beats_a_failure(swept, tmp_path):
    """What failed in one store and succeeded in another has succeeded."""
    good = swept("good.zarr", {"x": [1]})
    bad = swept("bad.zarr", {"x": [1]})
    with sqlite3.connect(tmp_path / "bad.zarr.points") as connection:
        connection.execute("UPDATE points SET result = NULL, error = 'RuntimeError: broken'")
    connection.close()
    for i, order in enumerate([(good, bad), (bad, good)]):
        merged = sweeps.merge(order, tmp_path / f"{i}.zarr")
        assert (merged.y.item(), merged.error.item()) == (10, "")


def test_different_bits_of_one_point_are_named(swept, tmp_path):
    """Two answers to one question: neither is taken."""
    stores = [swept(f"{name}.zarr", {"x": [7]}) for name in "ab"]
    with sqlite3.connect(tmp_path / "b.zarr.points") as connection:
        result = bytearray(connection.execute("SELECT result FROM points").fetchone()[0])
        at = result.index(np.float64(70).tobytes())
        result[at] ^= 1
        connection.execute("UPDATE points SET result = ?", (bytes(result),))
    connection.close()
    with pytest.raises(InputError, match=r'different results of the same point .*"x":7'):
        sweeps.merge(stores, tmp_path / "m.zarr")
    assert not list(tmp_path.glob("m.zarr*"))


def other(x):
    return xr.Dataset({"y": x})


def test_what_does_not_belong_together_is_refused(swept, tmp_path, monkeypatch):
    """Experiments, parameters of unknown value, device cards, and what is no store."""
    a = swept("a.zarr", {"x": [1]})
    sweeps.run(other, {"x": [1]}, store=tmp_path / "other.zarr")
    with pytest.raises(InputError, match="differ in experiment"):
        sweeps.merge([a, tmp_path / "other.zarr"], tmp_path / "m.zarr")
    with pytest.raises(InputError, match="does not set method"):
        sweeps.merge([a, swept("b.zarr", {"x": [1]}, method="b")], tmp_path / "m.zarr")
    with pytest.raises(InputError, match="has no points to merge"):
        sweeps.merge([a, tmp_path / "none.zarr"], tmp_path / "m.zarr")
    with pytest.raises(InputError, match="exists"):
        sweeps.merge([a], a)
    with pytest.raises(InputError, match="list of stores"):
        sweeps.merge([], tmp_path / "m.zarr")
    with pytest.raises(InputError, match="more than once"):
        sweeps.merge([a, swept("c.zarr", {"x": [1.0]})], tmp_path / "m.zarr")
    monkeypatch.chdir(tmp_path)
    for name, preset in (("d", "Wan2022"), ("e", "Falcone2025")):
        devices.save(devices.preset(preset), "card.json")
        swept(f"{name}.zarr", {"x": [1]}, method="card.json")
    with pytest.raises(InputError, match=r"card card\.json has changed"):
        sweeps.merge([tmp_path / "d.zarr", tmp_path / "e.zarr"], tmp_path / "m.zarr")
    assert not list(tmp_path.glob("m.zarr*"))
