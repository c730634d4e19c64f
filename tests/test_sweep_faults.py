"""Sweeps survive what kills them: whatever died, nothing is lost and the bits are the same.

The experiment notes every call in a log, so that it is known what ran, and how often.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress

import numpy as np
import pytest

import zerohm as zo

EXPERIMENT = '''
import os, signal, sys, time
from pathlib import Path

import numpy as np
import xarray as xr

from zerohm import sweeps


def noted(x, seed, log, pause=0.004):
    """A value that any slip in the order of draws would change, and one line in the log."""
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{x} {seed} {os.getpid()}\\n".encode())
    os.close(file)
    time.sleep(pause)
    draws = np.random.default_rng([int(1000 * x), seed]).standard_normal((7, 3))
    return xr.Dataset(
        {"loss": float(np.linalg.norm(draws)), "draws": (("row", "column"), draws)},
        attrs={"kind": "noted"},
    )


GRID = {"x": [i / 8 for i in range(12)], "seed": range(10)}


def whole(store, log, pause=0.004, **options):
    # A shell that starts the tests in its background has them ignore the signal.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    fixed = {"log": str(log), "pause": pause}
    return sweeps.run(noted, GRID, fixed=fixed, store=store, progress=False, **options)
'''

KILLS = '''
"""Runs the sweep in child processes and kills each of them at a random moment."""
import os, random, signal, sys, time
from pathlib import Path

from zerohm import sweeps
from noted import noted, whole

store, log, workers, kills, seed = Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:])
chance = random.Random(seed)


def calls():
    return log.read_bytes().count(b"\\n") if log.exists() else 0


for kill in range(kills):
    child = os.fork()
    if child == 0:
        whole(store, log, workers=workers)
        os._exit(0)
    wanted = calls() + chance.randint(1, 15)
    while calls() < wanted:
        if os.waitpid(child, os.WNOHANG) != (0, 0):
            sys.exit(f"the sweep ended before kill {kill}")
        time.sleep(0.001)
    time.sleep(chance.uniform(0.0, 0.008))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
'''


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "noted.py").write_text(EXPERIMENT)
    (tmp_path / "kills.py").write_text(KILLS)
    return tmp_path


def python(folder, *arguments, **options):
    """A fresh process that can import the experiment."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def finish(process, timeout=120):
    """Output of a process that must succeed."""
    out, err = process.communicate(timeout=timeout)
    assert process.returncode == 0, err
    return out


def sweep(folder, store, log, options=""):
    """The sweep in a fresh process."""
    code = f"from noted import whole; whole({str(store)!r}, {str(log)!r}{options})"
    return python(folder, "-c", code)


def lines(log):
    """Number of calls so far."""
    return log.read_text().count("\n") if log.exists() else 0


def calls(log):
    """Number of calls at every point."""
    counts = {}
    for line in log.read_text().splitlines():
        x, seed, _ = line.split()
        counts[x, seed] = counts.get((x, seed), 0) + 1
    return counts


def same_bits(one, other):
    """Whether two sweeps hold the same numbers bit for bit."""
    return all(
        one[name].values.tobytes() == other[name].values.tobytes() for name in ("loss", "draws")
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The sweep that nothing has happened to."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "noted.py").write_text(EXPERIMENT)
    finish(sweep(folder, folder / "sweep.zarr", folder / "log"))
    return zo.sweeps.load(folder / "sweep.zarr")


@pytest.mark.parametrize(("workers", "in_flight"), [(1, 1), (2, 4)])
def test_twenty_kills_of_the_main_process_lose_nothing(folder, undisturbed, workers, in_flight):
    """Ten with one process and ten with two: each costs at most the points in flight."""
    store, log, kills = folder / "sweep.zarr", folder / "log", 10
    finish(python(folder, "kills.py", store, log, workers, kills, 7))
    so_far = zo.sweeps.load(store)
    assert bool(np.isnan(so_far.loss).any())  # it was killed before its end
    assert set(np.unique(so_far.error)) <= {"", "not run yet"}
    finish(sweep(folder, store, log, f", workers={workers}"))
    assert same_bits(zo.sweeps.load(store), undisturbed)
    counts = calls(log)
    assert len(counts) == 120
    assert sum(counts.values()) - 120 <= kills * in_flight


def test_a_complete_sweep_runs_nothing_again(folder):
    """Neither does one whose labelled whole was lost, since its points are kept."""
    store, log = folder / "sweep.zarr", folder / "log"
    finish(sweep(folder, store, log))
    finish(sweep(folder, store, log))
    before = zo.sweeps.load(store)
    for path in sorted(store.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    store.rmdir()
    finish(sweep(folder, store, log))
    assert same_bits(zo.sweeps.load(store), before)
    assert set(calls(log).values()) == {1}


def test_a_killed_worker_process_costs_only_what_it_was_doing(folder, undisturbed):
    """The pool is built anew, and every point gets its result."""
    store, log = folder / "sweep.zarr", folder / "log"
    process = sweep(folder, store, log, ", workers=2")
    kill_a_worker(log, process)
    finish(process)
    assert same_bits(zo.sweeps.load(store), undisturbed)
    assert sum(calls(log).values()) - 120 <= 4


def kill_a_worker(log, main):
    """SIGKILL to the process that noted the last call, once there are some."""
    wait_for(lambda: lines(log) >= 20, main)
    worker = int(log.read_text().splitlines()[-1].split()[2])
    assert worker != main.pid
    with suppress(ProcessLookupError):
        os.kill(worker, signal.SIGKILL)


def test_a_point_that_kills_its_worker_is_recorded(folder):
    """As when memory runs out: the others have results, the sweep says which point it was."""
    (folder / "deadly.py").write_text(
        "import os, signal, xarray as xr\n"
        "def deadly(x):\n"
        "    if x == 3: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return xr.Dataset({'y': 2.0 * x})\n"
    )
    code = (
        "import warnings; warnings.simplefilter('ignore')\n"
        "from zerohm import sweeps; from deadly import deadly\n"
        "ds = sweeps.run(deadly, {'x': range(8)}, workers=2, store='deadly.zarr')\n"
        "print([i for i in range(8) if ds.error.values[i]], str(ds.error.values[3]))"
    )
    out = finish(python(folder, "-c", code))
    assert out.startswith("[3]")
    assert "out of memory" in out


def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(folder, undisturbed):
    """The points so far are labelled and readable; the same command finishes the rest."""
    store, log = folder / "sweep.zarr", folder / "log"
    process = sweep(folder, store, log, ", workers=2")
    wait_for(lambda: lines(log) >= 20, process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "points are kept in" in err
    partial = zo.sweeps.load(store)
    assert 0 < int((partial.error == "").sum()) < 120
    finish(sweep(folder, store, log))
    assert same_bits(zo.sweeps.load(store), undisturbed)


def test_two_runs_at_once_do_not_mix(folder, undisturbed):
    """The second one is refused by name, the first one is not disturbed."""
    store, log = folder / "sweep.zarr", folder / "log"
    first = sweep(folder, store, log, ", pause=0.1")
    wait_for(log.exists, first)
    second = sweep(folder, store, log, ", pause=0.1")
    _, err = second.communicate(timeout=60)
    assert second.returncode != 0
    assert "another run is using store" in err
    finish(first)
    assert same_bits(zo.sweeps.load(store), undisturbed)
    assert set(calls(log).values()) == {1}


@contextmanager
def small_disk(path, kilobytes):
    """A file system that is full soon; skips where one cannot be mounted."""
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(path)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system needs the rights of an administrator")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def test_a_full_disk_is_said_and_nothing_is_lost(folder, undisturbed):
    """The message names the file; once there is space, the same call finishes the sweep."""
    with small_disk(folder / "disk", 160) as disk:
        store, log = disk / "sweep.zarr", folder / "log"
        process = sweep(folder, store, log)
        _, err = process.communicate(timeout=60)
        assert process.returncode != 0
        assert "InputError" in err
        assert str(store) in err
        before = len(calls(log))
        assert before > 0
        subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
        finish(sweep(folder, store, log))
        assert same_bits(zo.sweeps.load(store), undisturbed)
        assert sum(calls(log).values()) <= 120 + 1


# --- on a cluster -------------------------------------------------------------------------


@contextmanager
def cluster(folder, workers=2):
    """A real scheduler and workers in processes of their own, on loopback only."""
    pytest.importorskip("distributed", reason="needs the extra zerohm[cluster]")
    address = folder / "scheduler.json"
    common = ["--no-dashboard", "--interface", "lo"]
    scheduler = python(
        folder,
        "-m",
        "distributed.cli.dask_scheduler",
        "--port",
        "0",
        "--no-show",
        "--scheduler-file",
        address,
        *common,
    )
    processes = [scheduler]
    try:
        wait_for(lambda: address.exists() and address.read_text().strip().endswith("}"), scheduler)
        url = json.loads(address.read_text())["address"]
        for _ in range(workers):
            processes.append(
                python(
                    folder,
                    "-m",
                    "distributed.cli.dask_worker",
                    url,
                    "--nthreads",
                    "1",
                    "--no-nanny",
                    "--local-directory",
                    folder,
                    *common,
                )
            )
        yield url, scheduler, processes[1:]
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                process.kill()
            process.communicate()


def wait_for(condition, process, timeout=60.0):
    """Until something is so, while a process lives."""
    end = time.monotonic() + timeout
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)


def test_a_cluster_that_loses_a_worker_and_its_scheduler(folder, undisturbed):
    """A killed worker is made up for; a killed scheduler ends the run with its address named.

    What was finished is kept, and the rest runs on another cluster to the same bits.
    """
    store, log = folder / "sweep.zarr", folder / "log"
    with cluster(folder) as (url, scheduler, workers):
        process = sweep(folder, store, log, f", client={url!r}")
        wait_for(lambda: lines(log) >= 15, process)
        pid = int(log.read_text().splitlines()[-1].split()[2])
        assert pid in [worker.pid for worker in workers]
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: lines(log) >= 40, process)
        scheduler.kill()
        _, err = process.communicate(timeout=90)
        assert process.returncode != 0
        assert url in err
        assert "points are kept" in err
    done = int((zo.sweeps.load(store).error == "").sum())
    assert 0 < done < 120
    (folder / "scheduler.json").unlink()
    with cluster(folder) as (url, _, _):
        finish(sweep(folder, store, log, f", client={url!r}"))
    assert same_bits(zo.sweeps.load(store), undisturbed)
    assert len(calls(log)) == 120


def test_the_main_process_of_a_cluster_can_be_killed(folder, undisturbed):
    """What it had kept is not run again; the values are those of every other engine."""
    store, log = folder / "sweep.zarr", folder / "log"
    with cluster(folder) as (url, _, _):
        chance = random.Random(3)
        for _ in range(2):
            enough = lines(log) + 25
            process = sweep(folder, store, log, f", client={url!r}")
            wait_for(lambda enough=enough: lines(log) >= enough, process)
            time.sleep(chance.uniform(0.0, 0.1))
            process.kill()
            process.communicate()
        kept = zo.sweeps.load(store)
        finish(sweep(folder, store, log, f", client={url!r}"))
    result = zo.sweeps.load(store)
    assert same_bits(result, undisturbed)
    finished = (kept.error == "").values
    assert (kept.loss.values[finished] == result.loss.values[finished]).all()
