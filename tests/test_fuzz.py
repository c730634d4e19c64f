"""Whatever is read, it is read or refused in words: no traceback, no warning, no hang, no rest.

``fuzz_targets.py`` holds the places that read, the promise and the damage; ``benchmarks/fuzz.py``
tries the same with as many inputs as wanted.
"""

import gzip
import importlib.util
import io
import os
import sys
import time
import warnings
from pathlib import Path

import h5py
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from zerohm import InputError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of memory as Linux has")

KINDS = ("relaxation", "read-noise", "programming", "pulses", "iv", "phase-shifter")
NAMES = (
    *("sweep file", "device card", "phase shifters", "netlist", "idx file", "array file"),
    *(f"table of {kind}" for kind in KINDS),
    *(f"fit of {kind}" for kind in KINDS),
    *("run", "store", "points", ".onnx file", ".pt file", "command line"),
)
EXAMPLES = 40
"""Inputs of each place; derandomized, see conftest.py."""

numbers = st.integers(0, 2**31 - 1)
damages = st.lists(st.tuples(numbers, numbers, numbers), min_size=1, max_size=3)
repeatable = settings(
    max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def fuzz():
    """``fuzz_targets.py``, as a module."""
    path = Path(__file__).with_name("fuzz_targets.py")
    spec = importlib.util.spec_from_file_location("fuzz_targets", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look their annotations up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def place(fuzz):
    """A place by its name, with its kernels compiled."""
    prepared = {}

    def find(name):
        if name not in fuzz.targets():
            pytest.skip(f"what reads {name} is not installed")
        if name not in prepared:
            prepared[name] = fuzz.targets()[name]
            assert fuzz.refused_seeds(prepared[name]) == []
        return prepared[name]

    return find


def test_every_place_is_known(fuzz):
    """The names here are those of the places, apart from packages that are not installed."""
    assert set(fuzz.targets()) - set(NAMES) == set()
    assert set(NAMES) - set(fuzz.targets()) <= {".onnx file", ".pt file"}


@pytest.mark.parametrize("name", NAMES)
@repeatable
@given(data=st.data())
def test_damaged_documents_are_read_or_refused(fuzz, place, name, data):
    """Valid documents with up to three damages keep the promise."""
    target = place(name)
    content = fuzz.damaged(
        data.draw(st.sampled_from(target.seeds)), data.draw(damages), target.words
    )
    fuzz.check(name, target, content)


@pytest.mark.parametrize("name", NAMES)
@settings(repeatable, max_examples=10)
@given(content=st.binary(max_size=100))
def test_random_bytes_are_read_or_refused(fuzz, place, name, content):
    """Bytes that nobody wrote keep the promise."""
    fuzz.check(name, place(name), content)


def array_file(shape, dtype="<f8"):
    content = io.BytesIO()
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(content, header)
    return content.getvalue() + bytes(8)


def network_file(path):
    with h5py.File(path, "w") as file:
        file.attrs["zerohm_version"] = "0.1.0"
        file.create_dataset("x", shape=(10**12,), dtype="f8", chunks=(10**6,))
    return path.read_bytes()


BOMBS = {
    "a large shape in .npy": ("array file", array_file((10**10, 10))),
    "a shape beyond 64 bits in .npy": ("array file", array_file((2**62, 2**62))),
    "objects in .npy": ("array file", array_file((1,), "|O")),
    "a large idx file": ("idx file", b"\0\0\x0e\x03" + b"\xff" * 12 + bytes(8)),
    "idx dimensions whose product overflows": ("idx file", b"\0\0\x0e\x20" + b"\xff" * 128),
    "tables in tables in TOML": ("sweep file", b"[experiment]\na = " + b"{b = " * 10_000),
    "lists in lists in TOML": ("sweep file", b"[sweep]\na = " + b"[" * 100_000),
    "dots in a name in TOML": ("sweep file", b"[sweep." + b"a." * 20_000 + b"a]\n"),
    "a long range": ("sweep file", b"[sweep]\nx = {start = 0, stop = 1, num = 99999999999}"),
    "many seeds": ("sweep file", b"[sweep]\nseed = {count = 99999999999}"),
    "a number with many digits": ("sweep file", b"[sweep]\nx = [" + b"9" * 10_000 + b"]"),
    "lists in lists in JSON": ("device card", b"[" * 100_000),
    "a cell in a netlist far away": ("netlist", b"\nVdrive0 a 0 1\nVsense0 b 0 0\nRcell9999999_0"),
    "a file of zeros": ("points", bytes(4096)),
    "a gzip file cut off": ("table of iv", gzip.compress(b"voltage_V,current_A\n1,1\n")[:-9]),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_are_refused(fuzz, place, bomb):
    """Small files that ask for much are refused within the limits of time and memory."""
    name, content = BOMBS[bomb]
    assert not fuzz.check(name, place(name), content)


def test_a_small_run_with_a_large_array_is_refused(fuzz, place, tmp_path):
    """An HDF5 file of a few kB that stands for 8 TB."""
    content = network_file(tmp_path / "large.nc")
    assert len(content) < 20_000
    assert not fuzz.check("run", place("run"), content)


REFUSED = (
    ["solve", "--conductance", "/dev/null", "--voltages", "v.npy"],
    ["solve", "--conductance", "folder", "--voltages", "v.npy"],
    ["solve", "--conductance", "g.npy", "--voltages", "v.npy", "--wire-resistance", "nan"],
    ["solve", "--conductance", "g.npy", "--voltages", "v.npy", "--wire-resistance", "1e999"],
    ["solve", "--conductance", "g.npy", "--voltages", "v.npy", "--wire-resistance=-1"],
    ["solve", "--conductance", "g.npy", "--voltages", "v.npy", "--out", "/dev/full"],
    ["calibrate", "folder", "--kind", "iv"],
    ["calibrate", "data.csv", "--kind", "programming", "--out", "folder/no/card.json"],
    ["calibrate", "data.csv", "--kind", "programming", "--figure", "figure.xyz"],
    ["train", "--set", "passes=" + "9" * 5000],
    ["train", "--set", "passes=1e999", "write_noise=NaN"],
    ["train", "--set", "hidden=-1"],
    ["train", "--set", "hidden=" + "8," * 3000],
    ["train", "--device", "\udcff.json"],
    ["train", "--out", "folder"],
    ["train", "--seed", "-0.5"],
    ["sweep", "run.nc", "--store", "s.zarr"],
    ["sweep", "sweep.toml", "--store", "s.zarr", "--workers", "0"],
    ["sweep", "/dev/null", "--store", "s.zarr"],
    ["figure", "sweep.zarr", "--kind", "heat-map", "--x", "x", "--y", "seed", "--out", "m.svg"],
    ["figure", "run.nc", "--out", "\udcff.gif"],
    ["export", "sweep.toml", "--out", "table.csv"],
    ["merge", "sweep.zarr", "sweep.zarr", "--into", "sweep.zarr"],
    ["demo", "--workers", "0"],
    ["demo", "--seed", "-1"],
    ["x" * 100_000],
    ["\0"],
    ["presets", "--json", "--schema"],
)


@pytest.mark.parametrize("arguments", REFUSED, ids=lambda words: " ".join(words)[:60])
def test_unusable_commands_are_refused(fuzz, place, arguments):
    """Odd arguments give one message and exit code 2, and leave nothing behind."""
    content = b"\n".join(os.fsencode(argument) for argument in arguments)
    assert not fuzz.check("command line", place("command line"), content)


def leak(path):
    raise ValueError("not an InputError")


def say_nothing(path):
    raise InputError("")


def warn(path):
    warnings.warn("damaged", stacklevel=1)


def leave(path):
    path.with_name("rest").touch()
    raise InputError("refused")


def change(path):
    path.write_bytes(b"changed")
    raise InputError("refused")


def hang(path):
    while True:
        time.process_time()


def hang_in_vain(path):
    """As a reader that takes every exception for a damaged file."""
    try:
        hang(path)
    except Exception as error:
        raise InputError("refused") from error


def ask(path):
    bytearray(4 << 30)


def end(path):
    raise SystemExit(1)


class Dying:
    def __del__(self):
        raise AttributeError("said on stderr by Python")


def die(path):
    Dying()


WRONG = (leak, say_nothing, warn, leave, change, hang, hang_in_vain, ask, end, die)


@pytest.mark.parametrize("read", WRONG, ids=lambda read: read.__name__)
def test_the_check_can_fail(fuzz, monkeypatch, read):
    """A reader that breaks the promise in any one way is caught."""
    monkeypatch.setattr(fuzz, "SECONDS", 0.2)
    with pytest.raises(fuzz.EscapeError):
        fuzz.check("wrong", fuzz.Target(read, (b"",)), b"content")


def test_random_damage_finds_a_leak(fuzz):
    """The generator is not too tame: it gets past a reader that trusts numbers."""

    def trust(path):
        text = path.read_bytes()
        if not text.startswith(b"value = "):
            raise InputError("no value")
        float(text.removeprefix(b"value = "))

    target = fuzz.Target(trust, (b"value = 1.5\n",))
    rng = np.random.default_rng(0)
    escaped = 0
    for damage in rng.integers(2**31, size=(100, 1, 3)).tolist():
        content = fuzz.damaged(target.seeds[0], damage, ())
        try:
            fuzz.check("trusting", target, content)
        except fuzz.EscapeError:
            escaped += 1
    assert escaped > 10
