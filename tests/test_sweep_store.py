"""The sweep on disk: keys, locking, foreign and older files, full disks, interrupted runs."""

import json
import os
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from zerohm import InputError, devices, sweeps
from zerohm.sweeps.evaluation import Outcome
from zerohm.sweeps.plan import Plan
from zerohm.sweeps.points import Points


def square(x, offset=0):
    return xr.Dataset({"square": (x + offset) ** 2})


def keys(experiment, grid, **fixed):
    return Plan.of(experiment, grid, fixed).keys()


def defined(text):
    """The functions of a small module in a file of its own, as a user's script has them."""

    def load(folder):
        path = folder / "mine.py"
        path.write_text(text)
        namespace = {"__name__": "mine"}
        exec(compile(text, str(path), "exec"), namespace)
        return namespace["experiment"]

    return load


def test_a_point_is_known_by_what_its_answer_depends_on():
    """Not by the order of the grid, nor by whether a parameter is swept or fixed."""
    a = keys(square, {"x": [1, 2], "offset": [3]})
    assert a == keys(square, {"x": [1, 2]}, offset=3)
    assert set(a) == set(keys(square, {"offset": [3], "x": [2, 1]}))
    assert a != keys(square, {"x": [1, 2]}, offset=4)
    assert len({*a, *keys(square, {"x": [1.5]}, offset=3)}) == 3


def test_a_point_is_known_by_the_text_of_its_experiment(tmp_path):
    """A changed experiment of the same name has other points; indentation changes nothing."""
    plain = "import xarray as xr\ndef experiment(x):\n    return xr.Dataset({'y': x})\n"
    indented = "if True:\n    def experiment(x):\n        return xr.Dataset({'y': x})\n"
    found = []
    for i, text in enumerate((plain, plain.replace("'y': x", "'y': 2 * x"), indented, plain)):
        folder = tmp_path / str(i)
        folder.mkdir()
        found.append(keys(defined(text)(folder), {"x": [1]}))
    assert found[0] == found[2] == found[3]
    assert found[0] != found[1]


def test_a_device_card_counts_by_its_content(tmp_path, monkeypatch):
    """Another path is the same point, another cell under the same path is another point."""
    monkeypatch.chdir(tmp_path)
    for name, preset in (("a", "Wan2022"), ("b", "Wan2022"), ("c", "Falcone2025")):
        devices.save(devices.preset(preset), f"{name}.json")

    def experiment(device, seed):
        return xr.Dataset({"y": seed})

    of_a, of_b, of_c = (
        keys(experiment, {"seed": [0]}, device=f"{name}.json") for name in ("a", "b", "c")
    )
    assert of_a == of_b != of_c
    assert keys(experiment, {"device": ["a.json", "c.json"], "seed": [0]}) == of_a + of_c
    sweeps.run(experiment, {"seed": [0]}, fixed={"device": "a.json"}, store="r.zarr")
    devices.save(devices.preset("Falcone2025"), "a.json")
    with pytest.raises(InputError, match="contents"):
        sweeps.run(experiment, {"seed": [0]}, fixed={"device": "a.json"}, store="r.zarr")


def test_names_with_dots_reach_the_experiment_and_the_coordinates(tmp_path):
    """So that fields of a device can be swept."""

    def experiment(**settings):
        return xr.Dataset({"y": 2 * settings["hardware.cell.conductance_max"]})

    grid = {"hardware.cell.conductance_max": [1e-6, 2e-6]}
    result = sweeps.run(experiment, grid, store=tmp_path / "r.zarr")
    assert result["hardware.cell.conductance_max"].attrs["units"] == "S"
    assert float(result.y.sel({"hardware.cell.conductance_max": 2e-6})) == 4e-6


@pytest.fixture
def in_use(tmp_path):
    """A store whose run, in another process, is at its third point and stays there."""
    script = textwrap.dedent("""
        import time
        from pathlib import Path
        import xarray as xr
        from zerohm import sweeps

        def square(x):
            if x == 2:
                Path("reached").touch()
                time.sleep(120)
            return xr.Dataset({"square": x**2})

        sweeps.run(square, {"x": range(4)}, store="r.zarr")
        """)
    (tmp_path / "held.py").write_text(script)
    process = subprocess.Popen([sys.executable, "held.py"], cwd=tmp_path)
    while not (tmp_path / "reached").exists():
        assert process.poll() is None
        time.sleep(0.02)
    yield process, tmp_path / "r.zarr"
    process.kill()
    process.wait()


def test_a_store_in_use_can_be_looked_at_but_not_run(in_use):
    """The message names the lock; a killed run leaves it free, and nothing is lost."""
    process, store = in_use
    partial = sweeps.load(store)
    np.testing.assert_array_equal(partial.square, [0, 1, np.nan, np.nan])
    assert partial.error.values.tolist() == ["", "", "not run yet", "not run yet"]
    with pytest.raises(InputError, match=r"another run is using .*r\.zarr\.lock"):
        sweeps.run(square, {"x": range(4)}, store=store)
    process.kill()
    process.wait()
    np.testing.assert_array_equal(sweeps.load(store).square, [0, 1, np.nan, np.nan])


def test_a_complete_store_needs_no_lock(tmp_path):
    """Whoever only wants the result gets it while something else holds the store."""
    store = tmp_path / "r.zarr"
    first = sweeps.run(square, {"x": [1, 2]}, store=store)
    with sweeps.engine.Store(store).opened():
        xr.testing.assert_identical(sweeps.run(square, {"x": [1, 2]}, store=store), first)


def test_the_points_are_one_plain_file_after_a_run(tmp_path):
    """Its table tells what every point is about, and how long it took."""
    sweeps.run(square, {"x": [3]}, fixed={"offset": 1}, store=tmp_path / "r.zarr")
    assert {p.name for p in tmp_path.iterdir()} == {"r.zarr", "r.zarr.lock", "r.zarr.points"}
    connection = sqlite3.connect(tmp_path / "r.zarr.points")
    key, identity, result, error, seconds = connection.execute("SELECT * FROM points").fetchone()
    connection.close()
    assert json.loads(identity)["parameters"] == {"offset": 1, "x": 3}
    assert (len(key), error) == (64, "")
    assert isinstance(result, bytes)
    assert 0 < seconds < 1


def test_an_extended_sweep_that_was_killed_is_loaded_with_what_it_has(tmp_path):
    """The new grid counts, although the whole of the old one is still there."""
    store = tmp_path / "r.zarr"
    sweeps.run(square, {"x": [1]}, store=store)
    with sweeps.engine.Store(store).opened() as points:
        plan = Plan.of(square, {"x": [1, 2]}, {})
        points.begin({**plan.attributes(), "curves": 0, "stop": "", "sweep_format": 2})
    np.testing.assert_array_equal(sweeps.load(store).square, [1, np.nan])
    with xr.open_zarr(store) as old:
        assert old.square.values.tolist() == [1]
    assert sweeps.run(square, {"x": [1, 2]}, store=store).square.values.tolist() == [1, 4]


@pytest.mark.parametrize("content", [b"not a database", b"x" * 5000])
def test_a_foreign_file_in_the_place_of_the_points_is_left_alone(tmp_path, content):
    """It is not ours; nothing is written."""
    points = tmp_path / "r.zarr.points"
    points.write_bytes(content)
    with pytest.raises(InputError, match="not a file of points by zerohm"):
        sweeps.run(square, {"x": [1]}, store=tmp_path / "r.zarr")
    with pytest.raises(InputError, match="not a file of points by zerohm"):
        sweeps.load(tmp_path / "r.zarr")
    assert points.read_bytes() == content


def test_a_foreign_database_is_left_alone(tmp_path):
    """Also one that SQLite can read."""
    path = tmp_path / "r.zarr.points"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE mine (a)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(InputError, match="not a file of points by zerohm"):
        sweeps.run(square, {"x": [1]}, store=tmp_path / "r.zarr")
    assert path.read_bytes() == before


def test_other_formats_are_refused_with_what_to_do(tmp_path):
    """The folder of points of older versions, a later format, and an older whole."""
    folder = tmp_path / "old.zarr.points"
    folder.mkdir()
    with pytest.raises(InputError, match=r"is a folder: .* choose another store"):
        sweeps.run(square, {"x": [1]}, store=tmp_path / "old.zarr")
    store = tmp_path / "r.zarr"
    sweeps.run(square, {"x": [1]}, store=store)
    connection = sqlite3.connect(tmp_path / "r.zarr.points")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(InputError, match="format 99"):
        sweeps.run(square, {"x": [1, 2]}, store=store)
    with pytest.raises(InputError, match="format 99"):
        sweeps.load(store)
    (tmp_path / "r.zarr.points").unlink()
    metadata = tmp_path / "r.zarr" / "zarr.json"
    metadata.write_text(metadata.read_text().replace('"sweep_format": 2', '"sweep_format": 1'))
    with pytest.raises(InputError, match="can be loaded, but not gone on with"):
        sweeps.run(square, {"x": [1, 2]}, store=store)
    assert float(sweeps.load(store).square[0]) == 1


def test_writing_points_is_all_or_nothing_when_there_is_no_space(tmp_path):
    """A full disk is told by name; the points before it are kept, and room lets it go on."""
    path = tmp_path / "points"
    with Points.write_to(path) as points:
        points.put("a", "{}", Outcome(b"1", "", 0.0))
        pages = points._connection.execute("PRAGMA page_count").fetchone()[0]
        points._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(InputError, match=r"full; the points kept in it are safe"):
            points.put("b", "{}", Outcome(bytes(100_000), "", 0.0))
    with Points.write_to(path) as points:
        assert points.finished(["a", "b"]) == {"a": b"1"}
        points.put("b", "{}", Outcome(bytes(100_000), "", 0.0))
        assert set(points.finished(["a", "b"])) == {"a", "b"}


def test_ctrl_c_stops_workers_at_once_and_keeps_what_is_finished(tmp_path):
    """SIGINT from outside: exit within seconds, a partial whole, nothing left running."""
    script = textwrap.dedent("""
        import os, signal, time
        from pathlib import Path
        import xarray as xr
        from zerohm import sweeps

        def experiment(x):
            if x >= 2:
                Path(f"{os.getpid()}.pid").touch()
                time.sleep(100)
            return xr.Dataset({"square": x**2})

        if __name__ == "__main__":
            # A shell that starts the tests in its background has them ignore the signal.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            try:
                sweeps.run(experiment, {"x": range(6)}, store="r.zarr", workers=2)
            except KeyboardInterrupt as stopped:
                print(stopped)
        """)
    (tmp_path / "script.py").write_text(script)
    process = subprocess.Popen(
        [sys.executable, "script.py"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    while len(workers := list(tmp_path.glob("*.pid"))) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(2)
    said, _ = process.communicate(timeout=20)
    assert "2 of 6 points are kept in r.zarr; the same call goes on" in said
    with xr.open_zarr(tmp_path / "r.zarr") as partial:
        assert (partial.error == "not run yet").values.tolist() == [False] * 2 + [True] * 4
    assert not [path for path in workers if alive(int(path.stem))]


def test_workers_end_with_their_killed_parent(tmp_path):
    """Nobody goes on with points that the next run will start again."""
    script = textwrap.dedent("""
        import os, time
        from pathlib import Path
        import xarray as xr
        from zerohm import sweeps

        def experiment(x):
            Path(f"{os.getpid()}.pid").touch()
            time.sleep(100)

        sweeps.run(experiment, {"x": range(6)}, workers=2)
        """)
    (tmp_path / "script.py").write_text(script)
    process = subprocess.Popen([sys.executable, "script.py"], cwd=tmp_path)
    while len(workers := list(tmp_path.glob("*.pid"))) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    while any(alive(int(path.stem)) for path in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def alive(pid):
    """Whether a process runs; one that has ended and waits to be told of does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def deadly(x, folder):
    """An experiment that takes its worker process with it at x = 3."""
    if x == 3:
        os._exit(1)
    with Path(folder, str(x)).open("a") as calls:
        calls.write("x")
    return xr.Dataset({"square": x**2})


def test_a_point_that_kills_its_worker_is_named_and_the_others_are_not_blamed(tmp_path):
    """As the operating system does when memory is out."""
    with pytest.warns(sweeps.SweepWarning, match="1 of 8 points failed.*out of memory"):
        result = sweeps.run(deadly, {"x": range(8)}, fixed={"folder": str(tmp_path)}, workers=2)
    np.testing.assert_array_equal(result.square, [0, 1, 4, np.nan, 16, 25, 36, 49])
    assert "out of memory" in str(result.error[3].values)
    assert max(path.stat().st_size for path in tmp_path.iterdir()) <= 2


def dies_once(x, folder):
    """An experiment whose worker is killed from outside at the first try of x = 1."""
    if x == 1 and not Path(folder, "died").exists():
        Path(folder, "died").touch()
        os._exit(1)
    return xr.Dataset({"square": x**2})


def test_a_worker_that_is_killed_from_outside_costs_nothing(tmp_path):
    """Its point runs again in another."""
    result = sweeps.run(dies_once, {"x": range(5)}, fixed={"folder": str(tmp_path)}, workers=2)
    np.testing.assert_array_equal(result.square, [0, 1, 4, 9, 16])
