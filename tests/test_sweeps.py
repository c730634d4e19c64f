"""Sweeps: what is labelled, what survives a crash, what is refused before work starts."""

import json
import os
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
import xarray as xr

import zerohm
from zerohm import InputError, sweeps

BROKEN = RuntimeError("broken cell")
GRID = {"write_noise": [0.0, 0.1], "seed": range(3)}


def experiment(write_noise, seed, method="toy"):
    """A training run in miniature, with a matrix product whose last bits depend on BLAS."""
    matrix = np.random.default_rng(seed).standard_normal((200, 200))
    final = float((matrix @ matrix.T).sum()) * (1 - write_noise)
    steps = np.linspace(0, 1, 3 + seed) * final
    return xr.Dataset(
        {
            "deployed_accuracy": ("step", steps, {"units": "1", "long_name": "accuracy"}),
            "energy_J": (("step", "part"), np.outer(steps, [1, 2]), {"units": "J"}),
            "layers": 3,
        },
        coords={"part": ["adc", "array"]},
        attrs={"method": method, "seed": seed},
    )


def counting(folder, *, fail_at=None, error=BROKEN):
    """An experiment that leaves one file per call, and can fail at one point."""

    def counted(x, offset=0):
        call = f"{x}.{len(list(folder.iterdir()))}.{os.getpid()}.{threading.get_ident()}"
        (folder / call).touch()
        if x == fail_at:
            raise error
        return xr.Dataset({"square": (x + offset) ** 2, "text": "fine"})

    return counted


@pytest.fixture
def calls(tmp_path):
    folder = tmp_path / "calls"
    folder.mkdir()
    return folder


def called(folder):
    """Points called so far, then forgotten."""
    points = sorted(int(path.name.split(".")[0]) for path in folder.iterdir())
    for path in folder.iterdir():
        path.unlink()
    return points


def test_dimensions_follow_the_grid_and_the_last_step_is_kept():
    result = sweeps.run(experiment, GRID)
    assert list(result.sizes) == ["write_noise", "seed", "part"]
    one = experiment(0.1, 2)
    at = result.sel(write_noise=0.1, seed=2)
    assert float(at.deployed_accuracy) == float(one.deployed_accuracy[-1])
    np.testing.assert_array_equal(at.energy_J, one.energy_J[-1])
    assert result.energy_J.dims == ("write_noise", "seed", "part")
    assert result.layers.dtype == int
    assert result.energy_J.attrs["units"] == "J"
    assert result.write_noise.attrs["units"] == "fraction of the conductance window"
    assert (result.error == "").all()


def test_attributes_say_what_made_the_result():
    attributes = sweeps.run(experiment, GRID, fixed={"method": "other"}).attrs
    assert json.loads(attributes["grid"]) == {"write_noise": [0.0, 0.1], "seed": [0, 1, 2]}
    assert json.loads(attributes["fixed"]) == {"method": "other"}
    assert attributes["method"] == "other"  # all points share it
    assert "seed" not in attributes  # points differ in it
    assert attributes["experiment"].endswith("test_sweeps.experiment")
    assert attributes["zerohm_version"] == zerohm.__version__
    for name in ("numpy", "scipy", "numba", "python"):
        assert attributes[f"{name}_version"]


def test_curves_are_kept_on_request_and_shorter_ones_end_in_nan():
    result = sweeps.run(experiment, GRID, curves=True)
    curve = result.deployed_accuracy_curve
    assert curve.dims == ("write_noise", "seed", "step")
    assert curve.attrs["units"] == "1"
    assert curve.sizes["step"] == 5
    np.testing.assert_array_equal(curve.notnull().sum("step").isel(write_noise=0), [3, 4, 5])
    np.testing.assert_array_equal(curve.isel(seed=2, step=-1), result.deployed_accuracy[:, 2])


def test_the_same_bits_for_one_and_two_workers_with_and_without_a_store(tmp_path):
    alone = sweeps.run(experiment, GRID)
    together = sweeps.run(experiment, GRID, workers=2, store=tmp_path / "r.zarr")
    xr.testing.assert_identical(alone, together)


def test_the_store_is_plain_zarr_and_reads_back_identical(tmp_path):
    result = sweeps.run(experiment, GRID, store=tmp_path / "r.zarr")
    with xr.open_zarr(tmp_path / "r.zarr") as opened:
        np.testing.assert_array_equal(opened.deployed_accuracy, result.deployed_accuracy)
    assert json.loads((tmp_path / "r.zarr" / "zarr.json").read_text())["zarr_format"] == 3
    xr.testing.assert_identical(sweeps.load(tmp_path / "r.zarr"), result)


def test_a_complete_sweep_runs_nothing_even_without_its_points(tmp_path, calls):
    store, toy = tmp_path / "r.zarr", counting(calls)
    first = sweeps.run(toy, {"x": range(4)}, store=store)
    assert called(calls) == [0, 1, 2, 3]
    (tmp_path / "r.zarr.points").unlink()
    xr.testing.assert_identical(sweeps.run(toy, {"x": range(4)}, store=store), first)
    assert called(calls) == []


def test_an_extended_grid_runs_only_what_is_new(tmp_path, calls):
    store, toy = tmp_path / "r.zarr", counting(calls)
    sweeps.run(toy, {"x": range(2)}, store=store, fixed={"offset": 1})
    called(calls)
    more = sweeps.run(toy, {"offset": [1, 2], "x": [3, 1, 0]}, store=store)
    assert called(calls) == [0, 1, 3, 3]  # offset moved from fixed into the grid
    np.testing.assert_array_equal(more.square, [[16, 4, 1], [25, 9, 4]])


def test_an_interrupted_sweep_goes_on_where_it_stopped(tmp_path, calls):
    store = tmp_path / "r.zarr"
    interrupted = counting(calls, fail_at=2, error=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt, match=r"2 of 4 points are kept in .*r\.zarr"):
        sweeps.run(interrupted, {"x": range(4)}, store=store)
    assert called(calls) == [0, 1, 2]
    with xr.open_zarr(store) as partial:
        assert partial.error.values.tolist() == ["", "", "not run yet", "not run yet"]
        np.testing.assert_array_equal(partial.square, [0, 1, np.nan, np.nan])
    result = sweeps.run(counting(calls), {"x": range(4)}, store=store)
    assert called(calls) == [2, 3]
    np.testing.assert_array_equal(result.square, [0, 1, 4, 9])


def test_a_killed_process_costs_only_the_point_in_flight(tmp_path):
    script = tmp_path / "killed.py"
    script.write_text(
        textwrap.dedent("""
        import os, sys
        from pathlib import Path
        import xarray as xr
        from zerohm import sweeps

        def experiment(x):
            with Path("calls.txt").open("a") as calls:
                calls.write(f"{x} ")
            if x == 2 and sys.argv[1] == "die":
                os._exit(9)
            return xr.Dataset({"square": x**2})

        sweeps.run(experiment, {"x": range(4)}, store="r.zarr")
        """)
    )

    def start(argument):
        return subprocess.run([sys.executable, script, argument], cwd=tmp_path, check=False)

    assert start("die").returncode == 9
    assert not (tmp_path / "r.zarr").exists()
    partial = sweeps.load(tmp_path / "r.zarr")
    np.testing.assert_array_equal(partial.square, [0, 1, np.nan, np.nan])
    assert partial.error.values.tolist() == ["", "", "not run yet", "not run yet"]
    assert start("live").returncode == 0
    assert (tmp_path / "calls.txt").read_text().split() == ["0", "1", "2", "2", "3"]
    np.testing.assert_array_equal(sweeps.load(tmp_path / "r.zarr").square, [0, 1, 4, 9])


def test_no_temporary_file_stays_behind(tmp_path, calls):
    sweeps.run(counting(calls), {"x": range(2)}, store=tmp_path / "r.zarr")
    names = ["calls", "r.zarr", "r.zarr.lock", "r.zarr.points"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_a_failing_point_is_nan_told_and_tried_again(tmp_path, calls):
    store = tmp_path / "r.zarr"
    with pytest.warns(sweeps.SweepWarning, match="1 of 3 points failed"):
        result = sweeps.run(counting(calls, fail_at=1), {"x": range(3)}, store=store)
    np.testing.assert_array_equal(result.square, [0, np.nan, 4])
    assert result.error.values.tolist() == ["", "RuntimeError: broken cell", ""]
    assert result.text.values.tolist() == ["fine", "", "fine"]
    called(calls)
    repaired = sweeps.run(counting(calls), {"x": range(3)}, store=store)
    assert called(calls) == [1]
    np.testing.assert_array_equal(repaired.square, [0, 1, 4])


def test_a_sweep_of_failures_has_only_messages(calls):
    with pytest.warns(sweeps.SweepWarning, match="1 of 1"):
        result = sweeps.run(counting(calls, fail_at=1), {"x": [1]})
    assert list(result.data_vars) == ["error"]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_input_error_inside_a_point_is_kept_and_the_sweep_goes_on(workers, calls):
    toy = counting(calls, fail_at=0, error=InputError("x must be positive"))
    with pytest.warns(sweeps.SweepWarning, match="x must be positive"):
        result = sweeps.run(toy, {"x": range(5)}, workers=workers)
    assert called(calls) == [0, 1, 2, 3, 4]
    assert result.error.values.tolist() == ["InputError: x must be positive", *[""] * 4]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"grid": {}}, "grid is empty"),
        ({"grid": {"x": range(0)}}, "x has no values"),
        ({"grid": {"x": [1, 2, 1.0]}}, "more than once"),
        ({"grid": {"x": [1, "a"]}}, "mixes kinds"),
        ({"grid": {"x": [1, float("nan")]}}, "nan"),
        ({"grid": {"x": [None]}}, "None"),
        ({"grid": {"x": "abc"}}, "list of values"),
        ({"grid": {"x": 3}}, "list of values"),
        ({"grid": {"step": [1]}}, "step"),
        ({"grid": {"y": [1]}}, "cannot be called with"),
        ({"grid": {"x": [1]}, "fixed": {"x": 2}}, "both swept and fixed"),
        ({"grid": {"x": [1]}, "fixed": {"offset": object()}}, "fixed"),
        ({"grid": {"x": [1]}, "workers": 0}, "workers"),
        ({"grid": {"x": [1]}, "workers": 1.5}, "workers"),
        ({"grid": {"x": [1]}, "store": "missing/r.zarr"}, "no folder"),
    ],
)
def test_an_unusable_request_is_refused_before_work_starts(
    arguments, message, calls, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        sweeps.run(counting(calls), **arguments)
    assert called(calls) == []


def test_a_foreign_store_is_refused_and_left_alone(tmp_path, calls):
    file, folder, zarr = tmp_path / "file", tmp_path / "folder", tmp_path / "other.zarr"
    file.write_text("mine")
    folder.mkdir()
    (folder / "mine.txt").touch()
    xr.Dataset({"mine": 1}).drop_encoding().to_zarr(zarr, consolidated=False)
    for path in (file, folder, zarr):
        with pytest.raises(InputError):
            sweeps.run(counting(calls), {"x": [1]}, store=path)
    assert called(calls) == []
    assert file.read_text() == "mine"
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]
    assert not list(tmp_path.glob("*.points"))


@pytest.mark.parametrize(
    "other",
    [{"grid": {"x": [1]}}, {"grid": {"x": [0, 1]}, "fixed": {"offset": 1}}],
)
def test_a_store_never_loses_points_to_another_sweep(other, tmp_path, calls):
    store, toy = tmp_path / "r.zarr", counting(calls)
    before = sweeps.run(toy, {"x": [0, 1]}, store=store)
    called(calls)
    with pytest.raises(InputError, match="choose another store"):
        sweeps.run(toy, store=store, **other)
    assert called(calls) == []
    xr.testing.assert_identical(sweeps.load(store), before)


def test_a_store_needs_an_experiment_with_a_name(tmp_path):
    with pytest.raises(InputError, match="recognises an experiment by its name"):
        sweeps.run(lambda x: xr.Dataset({"y": x}), {"x": [1]}, store=tmp_path / "r.zarr")
    assert float(sweeps.run(lambda x: xr.Dataset({"y": x}), {"x": [1]}).y[0]) == 1


def test_an_experiment_must_return_a_dataset_without_the_sweeps_own_names():
    with pytest.raises(InputError, match=r"must return an xarray\.Dataset"):
        sweeps.run(lambda x: x, {"x": [1]})
    with pytest.raises(InputError, match=r"returns \['x'\]"):
        sweeps.run(lambda x: xr.Dataset({"x": ("y", [1])}), {"x": [1]})


def test_strings_and_numpy_values_can_be_swept(tmp_path):
    def named(method, x):
        return xr.Dataset({"y": len(method) * x})

    grid = {"method": ["noisezo", "mezo"], "x": np.array([0.5, 1.0])}
    result = sweeps.run(named, grid, store=tmp_path / "r.zarr")
    assert float(result.y.sel({"method": "mezo", "x": 0.5})) == 2.0


def test_save_and_load_keep_everything(tmp_path):
    run = experiment(0.1, 0).assign_attrs(zerohm_version=zerohm.__version__)
    sweeps.save(run, tmp_path / "run.nc")
    xr.testing.assert_identical(sweeps.load(tmp_path / "run.nc"), run)


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "run.nc"
    sweeps.save(xr.Dataset(attrs={"zerohm_version": "0"}), path)
    before = path.read_bytes()
    with pytest.raises(TypeError):
        sweeps.save(xr.Dataset({"a": 1}, attrs={"unstorable": object()}), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_load_refuses_what_is_not_a_result(tmp_path):
    (tmp_path / "text.nc").write_text("not NetCDF")
    xr.Dataset({"a": 1}).to_netcdf(tmp_path / "foreign.nc", engine="h5netcdf")
    for name, message in [
        ("missing.nc", "does not exist"),
        ("text.nc", "neither"),
        ("foreign.nc", "not written by zerohm"),
    ]:
        with pytest.raises(InputError, match=message):
            sweeps.load(tmp_path / name)


def test_unwritable_paths_are_found_before_the_work(tmp_path):
    (tmp_path / "file").touch()
    too_long = "x" * 300 + ".nc"
    for path in (tmp_path, tmp_path / "no" / "run.nc", tmp_path / "file" / "run.nc"):
        with pytest.raises(InputError, match="cannot write"):
            sweeps.check_writable(path)
    with pytest.raises(InputError, match="too long"):
        sweeps.check_writable(tmp_path / too_long)
    sweeps.check_writable(tmp_path / "run.nc")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("shown", [True, False])
def test_without_a_terminal_the_progress_is_logged(shown, caplog, monkeypatch):
    """Points done, time spent and time remaining; nothing at all if it is not wanted."""
    monkeypatch.setattr("zerohm.sweeps.progress._FIRST", 0)
    monkeypatch.setattr("zerohm.sweeps.progress._BETWEEN", 0)
    monkeypatch.setattr("zerohm.sweeps.progress._clock", lambda seconds: "some time")
    with caplog.at_level("INFO", logger="zerohm.sweeps"):
        sweeps.run(experiment, {"write_noise": [0.1], "seed": range(3)}, progress=shown)
    lines = [f"{n} of 3 points, some time elapsed, some time remaining" for n in (1, 2, 3, 3)]
    assert caplog.messages == (lines if shown else [])


def test_a_log_has_a_first_line_after_ten_seconds_and_two_a_minute(caplog, monkeypatch):
    """Whatever the number of points; and one at the end."""
    clock = iter(range(1000))
    monkeypatch.setattr("zerohm.sweeps.progress.time.monotonic", lambda: next(clock))
    with (
        caplog.at_level("INFO", logger="zerohm.sweeps"),
        sweeps.progress.Progress(100, done=0, shown=True) as progress,
    ):
        for _ in range(90):
            progress.advance()
    done = [int(message.split()[0]) for message in caplog.messages]
    assert done == [10, 40, 70, 90]
    assert caplog.messages[0] == "10 of 100 points, 0:00:10 elapsed, 0:01:30 remaining"


def test_a_point_can_end_in_any_way_and_its_message_is_kept(tmp_path):
    """Exits, messages that no file could hold, and ones that are longer than anybody reads."""
    errors = [SystemExit(3), ValueError("a\0b\udcff"), ValueError("x" * 10**6), ArithmeticError()]

    def failing(x):
        raise errors[x]

    with pytest.warns(sweeps.SweepWarning, match="4 of 4 points failed"):
        result = sweeps.run(failing, {"x": range(4)}, store=tmp_path / "r.zarr")
    said = sweeps.load(tmp_path / "r.zarr").error.values.tolist()
    assert said == result.error.values.tolist()
    assert said[:2] == ["SystemExit: 3", "ValueError: ab?"]
    assert said[2].startswith("ValueError: xxx")
    assert len(said[2]) < 1100
    assert said[3] == "ArithmeticError: "


def test_an_experiment_that_cannot_be_sent_is_refused(tmp_path):
    """Open files stay in their process."""
    with (tmp_path / "open").open("w") as file:

        def writes(x):
            file.write(str(x))
            return xr.Dataset({"y": x})

        with pytest.raises(InputError, match="cannot be sent to other processes"):
            sweeps.run(writes, {"x": [1]}, workers=2)
