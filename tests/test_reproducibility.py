"""The same seed gives the same bits: in a fresh process, with one thread and with several.

This file is also the script that those processes run: it prints a hash of every outcome.
"""

import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import zerohm as zo
from zerohm._random import stream
from zerohm.photonics import SingularValueMesh

SLEEP_SOON = {"OPENBLAS_THREAD_TIMEOUT": "4", "OMP_WAIT_POLICY": "passive"}
"""Threads without work sleep, which costs nobody time and changes no bit."""
LIBRARIES = ("OPENBLAS", "OMP", "MKL", "VECLIB_MAXIMUM", "NUMBA", "BLIS")
RUNS = (
    ("rram", "noisezo", {"write_noise": 0.02, "read_noise": 0.01, "wire_resistance": 1.0}),
    ("rram", "mezo", {"device": "Levy2024-B", "settling_time": 1.0}),
    ("rram", "backprop", {}),
    ("photonic", "noisezo", {"splitter_std": 0.01}),
    ("photonic", "ffzero", {}),
    ("digital", "backprop", {}),
    ("digital", "node-perturbation", {}),
    ("int8", "mezo", {}),
)
"""Hardware, method and settings of short training runs."""


def _hashed(*arrays):
    digest = hashlib.sha256()
    for array in map(np.ascontiguousarray, arrays):
        digest.update(f"{array.dtype.str} {array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


def _dataset(run):
    """Every number of a run, which knows nothing of the time that it took."""
    names = sorted(name for name, each in run.data_vars.items() if each.dtype.kind in "biuf")
    return _hashed(*(run[name].values for name in names))


def _trained(hardware, method, settings, seed=3):
    short = {"passes": 40, "batch": 64, "evaluations": 1, "hidden": 32}
    run = zo.training.experiment(
        hardware=hardware, method=method, seed=seed, keep_parameters=True, **short, **settings
    )
    return _dataset(run)


def _solved():
    rng = stream(0, "reproducible crossbar")
    network = zo.crossbar.Network(rng.uniform(1e-6, 1e-4, (160, 96)), wire_resistance=2.0)
    return _hashed(network.solve(rng.uniform(0.0, 0.2, (5, 160))).currents)


def _aged():
    rng = stream(0, "reproducible cells")
    cells = zo.devices.Cells(zo.devices.preset("Levy2024-A"), (40, 30))
    cells.program(np.full((40, 30), 2e-5), rng)
    found = []
    for seconds in (1.0, 60.0, 3600.0):
        cells.advance(seconds, rng)
        found.append(cells.conductance.copy())
    return _hashed(*found)


def _mesh():
    rng = stream(0, "reproducible mesh")
    network = SingularValueMesh.from_matrix(rng.standard_normal((48, 40)), splitter_std=0.01, rng=1)
    return _hashed(network.propagate(rng.standard_normal((64, 40))))


def _calibrated():
    rng = stream(0, "reproducible fit")
    targets = np.linspace(10e-6, 50e-6, 500)
    reached = targets + rng.normal(0.0, 1e-6, 500)
    fit = zo.devices.calibrate.programming({"target_S": targets, "conductance_S": reached})
    return _hashed(fit.parameters.value.values)


OUTCOMES = {
    **{f"{method} on {hardware}": (_trained, hardware, method, s) for hardware, method, s in RUNS},
    "crossbar solve": (_solved,),
    "cells in time": (_aged,),
    "photonic mesh": (_mesh,),
    "calibration": (_calibrated,),
}


def outcomes():
    """Hash of every outcome; also of a sum whose order is up to the library of linear algebra."""
    numbers = stream(0, "control").standard_normal(1_000_000)
    return {
        **{name: function(*given) for name, (function, *given) in OUTCOMES.items()},
        "control": _hashed(np.dot(numbers, numbers)),
    }


@pytest.fixture(scope="module")
def hashes():
    """Outcomes with one thread and with two, with different seeds of Python's own hashes."""

    def start(threads):
        environment = {f"{library}_NUM_THREADS": str(threads) for library in LIBRARIES}
        ran = subprocess.run(
            [sys.executable, __file__],
            env={**os.environ, **SLEEP_SOON, **environment, "PYTHONHASHSEED": str(threads)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    with ThreadPoolExecutor() as pool:
        return list(pool.map(start, (1, 2)))


@pytest.mark.parametrize("name", OUTCOMES)
def test_same_bits_with_one_thread_and_two(hashes, name):
    """Two fresh processes with other numbers of threads agree in every bit."""
    one, two = hashes
    assert one[name] == two[name]


def test_this_process_gives_the_same_bits(hashes):
    """So does a process that has done other things before."""
    hardware, method, settings = RUNS[0]
    assert hashes[0][f"{method} on {hardware}"] == _trained(hardware, method, settings)


def test_the_comparison_can_fail(hashes):
    """Another seed, and another last bit, give another hash."""
    hardware, method, settings = RUNS[0]
    assert hashes[0][f"{method} on {hardware}"] != _trained(hardware, method, settings, seed=4)
    assert _hashed(np.array([1.0])) != _hashed(np.nextafter([1.0], 2.0))


def test_threads_do_change_bits_here(hashes):
    """A long dot product alone differs, so the numbers of threads did arrive."""
    one, two = hashes
    if os.cpu_count() == 1:
        pytest.skip("needs two processors")
    assert one["control"] != two["control"]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(outcomes()))
