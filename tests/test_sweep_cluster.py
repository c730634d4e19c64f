"""Sweeps on a real dask scheduler with two worker processes: same bits, and what dies."""

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from zerohm import InputError, sweeps

distributed = pytest.importorskip("distributed", reason="the cluster engine is optional")

GRID = {"scale": [0.3, 0.7], "seed": range(3)}


def product(scale, seed):
    """A matrix product whose last bits depend on the number of BLAS threads."""
    matrix = np.random.default_rng(seed).standard_normal((200, 200))
    return xr.Dataset({"total": scale * (matrix @ matrix.T).sum(), "word": f"{seed}"})


class Cluster:
    """A scheduler and two workers as processes of their own, on loopback."""

    def __init__(self, folder, allowed_failures):
        self.folder, self.processes = folder, []
        file = folder / "scheduler.json"
        common = ["--host", "127.0.0.1"]
        self.scheduler = self.start(
            "dask_scheduler", *common, "--port", "0", "--no-dashboard", "--no-show",
            "--scheduler-file", str(file), allowed_failures=allowed_failures,
        )  # fmt: skip
        while not file.exists() or not file.read_text().endswith("}"):
            assert self.scheduler.poll() is None
            time.sleep(0.02)
        self.address = json.loads(file.read_text())["address"]
        self.workers = [
            self.start("dask_worker", self.address, *common, "--nthreads", "1", "--no-nanny",
                       "--no-dashboard", "--local-directory", str(folder))
            for _ in range(2)
        ]  # fmt: skip

    def start(self, module, *arguments, allowed_failures="0"):
        """A process of dask's command line; dask gives a task up when one worker died of it."""
        variable = "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES"
        with (self.folder / "log.txt").open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{module}", *arguments],
                env={**os.environ, variable: allowed_failures},
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)
        return process

    def stop(self):
        for process in self.processes:
            process.kill()
            process.wait()


@contextmanager
def cluster_in(folder, *, allowed_failures="3"):
    cluster = Cluster(folder, allowed_failures)
    try:
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with cluster_in(tmp_path_factory.mktemp("cluster")) as running:
        yield running


def test_every_engine_gives_the_same_bits(cluster, tmp_path):
    """In this process, in two, on a cluster by its address and by a client."""
    here = sweeps.run(product, GRID, store=tmp_path / "r.zarr")
    xr.testing.assert_identical(here, sweeps.run(product, GRID, workers=2))
    xr.testing.assert_identical(here, sweeps.run(product, GRID, client=cluster.address))
    with distributed.Client(cluster.address, set_as_default=False) as client:
        there = sweeps.run(product, GRID, client=client, store=tmp_path / "there.zarr")
        assert client.status == "running"
    xr.testing.assert_identical(here, there)
    assert stored(tmp_path / "r.zarr") == stored(tmp_path / "there.zarr")


def stored(store):
    """Key -> encoded result of every point."""
    with sweeps.points.Points.read_from(store.with_name(f"{store.name}.points")) as points:
        return {row.key: row.result for row in points.rows()}


def test_failures_are_kept_and_no_result_is_refused(cluster):
    """As in the process itself."""

    def broken(x):
        if x == 1:
            raise RuntimeError("broken cell")
        return xr.Dataset({"y": x}) if x < 5 else x

    with pytest.warns(sweeps.SweepWarning, match="broken cell"):
        result = sweeps.run(broken, {"x": range(3)}, client=cluster.address)
    np.testing.assert_array_equal(result.y, [0, np.nan, 2])
    with pytest.raises(InputError, match="must return an xarray"):
        sweeps.run(broken, {"x": [5]}, client=cluster.address)


def test_seeds_are_enough_on_a_cluster_too(cluster):
    """The stop rule sees the same seeds wherever they run."""

    def noisy(spread, seed):
        return xr.Dataset({"y": spread * np.random.default_rng(seed).standard_normal()})

    grid = {"spread": [0.01, 0.1, 1.0], "seed": range(20)}
    rule = sweeps.EnoughSeeds(variable="y", half_width=0.1)
    there = sweeps.run(noisy, grid, stop=rule, client=cluster.address)
    xr.testing.assert_identical(there, sweeps.run(noisy, grid, stop=rule))


def slow(x, folder):
    with Path(folder, str(x)).open("a") as calls:
        calls.write(".")
    time.sleep(0.1)
    return xr.Dataset({"square": x**2})


def called(folder):
    """Point -> how often it was called."""
    return {int(path.name): path.stat().st_size for path in folder.iterdir()}


def when_called(folder, count, do):
    """In a thread: wait until so many points were called, then do something."""

    def watch():
        while len(list(folder.iterdir())) < count:
            time.sleep(0.01)
        do()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


@pytest.fixture
def calls(tmp_path):
    folder = tmp_path / "calls"
    folder.mkdir()
    return folder


def test_a_killed_worker_and_a_killed_scheduler_lose_nothing(tmp_path, calls):
    """The worker's point runs in the other one; after the scheduler's end, elsewhere."""
    store, fixed = tmp_path / "r.zarr", {"folder": str(calls)}
    with cluster_in(tmp_path) as cluster:
        killer = when_called(calls, 4, cluster.workers[0].kill)
        first = sweeps.run(slow, {"x": range(10)}, fixed=fixed, client=cluster.address, store=store)
        killer.join()
        np.testing.assert_array_equal(first.square, np.arange(10) ** 2)
        assert sum(called(calls).values()) <= 14  # again: what only the killed worker knew

        killer = when_called(calls, 14, cluster.scheduler.kill)
        with pytest.raises(ConnectionError, match=rf"{cluster.address} is lost; \d+ of 30 points"):
            sweeps.run(slow, {"x": range(30)}, fixed=fixed, client=cluster.address, store=store)
        killer.join()
    partial = sweeps.load(store)
    kept = int(partial.square.notnull().sum())
    assert 10 <= kept < 30
    before = called(calls)
    whole = sweeps.run(slow, {"x": range(30)}, fixed=fixed, store=store)
    np.testing.assert_array_equal(whole.square, np.arange(30) ** 2)
    again = [x for x, times in called(calls).items() if times > before.get(x, 0)]
    assert sorted(again) == np.flatnonzero(partial.square.isnull()).tolist()


def test_a_point_that_kills_workers_is_named(tmp_path):
    """It and no other: dask would blame each point that waited for the same worker."""

    def deadly(x):
        if x == 3:
            os._exit(1)
        return xr.Dataset({"square": x**2})

    with cluster_in(tmp_path, allowed_failures="0") as cluster:
        cluster.start("dask_worker", cluster.address, "--nthreads", "1", "--no-nanny")
        with pytest.warns(sweeps.SweepWarning, match="1 of 6 points failed.*KilledWorker"):
            result = sweeps.run(deadly, {"x": range(6)}, client=cluster.address)
    np.testing.assert_array_equal(result.square, [0, 1, 4, np.nan, 16, 25])


def test_an_unreachable_scheduler_is_named_within_ten_seconds(tmp_path):
    """Nobody listens there; and what is no address at all. No file is made."""
    begin = time.monotonic()
    with pytest.raises(InputError, match=r"no dask scheduler answers at tcp://127\.0\.0\.1:9 "):
        sweeps.run(product, GRID, client="tcp://127.0.0.1:9", store=tmp_path / "r.zarr")
    assert not list(tmp_path.iterdir())
    assert time.monotonic() - begin < 12
    for client, message in (
        ("nonsense", "no address"),
        ("foo://127.0.0.1:9", "no address"),
        (3, "must be a dask"),
    ):
        with pytest.raises(InputError, match=message):
            sweeps.run(product, GRID, client=client)
    with pytest.raises(InputError, match="give one"):
        sweeps.run(product, GRID, client="tcp://127.0.0.1:9", workers=2)


def test_without_the_package_the_message_says_what_to_install(monkeypatch):
    """It is an optional extra."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"pip install 'zerohm\[cluster\]'"):
        sweeps.run(product, GRID, client="tcp://127.0.0.1:9")
