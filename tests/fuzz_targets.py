"""Every place where zerohm reads what somebody else wrote, and the promise that all of them keep.

The promise: whatever the input, it is read, or refused by an ``InputError`` with a message (the
command line: exit code 2 and one message on stderr); no other exception, no warning, no file left
behind, within seconds and without asking for gigabytes. :func:`check` holds one input to it.
Inputs are valid documents, damaged: :func:`damaged` with numbers that hypothesis or a random
generator draws. ``tests/test_fuzz.py`` tries a few, ``benchmarks/fuzz.py`` as many as wanted.
"""

import gzip
import io
import json
import logging
import os
import re
import resource
import shutil
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import (
    AbstractContextManager,
    ExitStack,
    chdir,
    contextmanager,
    redirect_stderr,
    redirect_stdout,
)
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import numpy as np
import xarray as xr

import zerohm as zo
from zerohm import InputError
from zerohm.cli import main
from zerohm.datasets import idx
from zerohm.datasets.files import DataFile
from zerohm.devices import cards
from zerohm.devices.calibrate.table import LAYOUTS, read_table
from zerohm.devices.photonic.phase_shifter import PhaseShifter
from zerohm.devices.photonic.phase_shifter_card import load_shifters, save_shifters
from zerohm.devices.photonic.thermal_crosstalk import PhaseShifterArray
from zerohm.sweeps import config, training_sweep
from zerohm.sweeps.points import Points
from zerohm.training import interchange

SECONDS = 5.0
"""Processor time that one input may take."""
MEMORY = 1 << 30
"""Bytes of address space that one input may ask for."""

Damage = tuple[int, int, int]
"""Kind of damage, its place and what is put there: any numbers of at least 0."""


class EscapeError(AssertionError):
    """An input for which the promise was not kept."""


class TooLongError(BaseException):
    """Time is up; not an Exception, so that no reader takes it for a damaged file."""


class ReachedError(Exception):
    """A command has checked its input and would start the training that is not tried here."""


@dataclass(frozen=True)
class Target:
    """A place that reads.

    Parameters
    ----------
    read : takes the path that ``place`` returned.
    seeds : valid inputs.
    words : what damage may put in, beside :data:`NASTY`.
    place : puts an input into an empty folder and says where.
    writes : whether it may leave files if it accepts the input.
    modules : whose code a coverage-guided search looks at.
    """

    read: Callable[[Path], object]
    seeds: tuple[bytes, ...]
    words: tuple[bytes, ...] = ()
    place: Callable[[bytes, Path], Path] | None = None
    writes: bool = False
    modules: tuple[str, ...] = ()


# The promise


def refused_seeds(target: Target) -> list[bytes]:
    """The seeds that are not accepted; kernels are compiled on the way, with all time it takes."""
    refused = []
    for seed in target.seeds:
        with _placed(target, seed) as path:
            if not _accepted(target, path):
                refused.append(seed)
    return refused


def check(name: str, target: Target, content: bytes) -> bool:
    """Whether an input is accepted.

    Raises
    ------
    EscapeError : it is neither accepted nor refused as promised.
    """
    with _placed(target, content) as path:
        folder = path.parent
        before = _listing(folder)
        try:
            with _bounded():
                accepted = _accepted(target, path)
        except (Exception, SystemExit, TooLongError) as error:
            raise EscapeError(f"{name}: {type(error).__name__}: {str(error)[:500]}") from error
        if not (accepted and target.writes) and (left := _listing(folder) ^ before):
            raise EscapeError(f"{name}: files left behind or changed: {sorted(left)[:5]}")
    return accepted


@contextmanager
def _placed(target: Target, content: bytes) -> Iterator[Path]:
    """The path of an input in a folder of its own."""
    with TemporaryDirectory(prefix="fuzz-") as folder:
        if target.place is not None:
            yield target.place(content, Path(folder))
        else:
            path = Path(folder) / "input"
            path.write_bytes(content)
            yield path


def _accepted(target: Target, path: Path) -> bool:
    try:
        target.read(path)
    except InputError as error:
        if not str(error).strip():
            raise AssertionError("refused without a word") from error
        return False
    return True


@contextmanager
def _bounded() -> Iterator[None]:
    """Warnings are errors; processor time and memory have an end."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = signal.signal(signal.SIGPROF, _stop)
    start = time.process_time()
    ignored: list[str] = []
    hook, sys.unraisablehook = sys.unraisablehook, lambda said: ignored.append(repr(said.exc_value))
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, hard))
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        sys.unraisablehook = hook
    if time.process_time() - start > SECONDS:  # in compiled code no signal is heard
        raise TooLongError(f"more than {SECONDS:g} s")
    if said := [*(str(each.message) for each in caught), *ignored]:
        raise AssertionError(f"not an error, but said: {said}")


def _stop(*_: object) -> None:
    raise TooLongError(f"more than {SECONDS:g} s")


def _listing(folder: Path) -> set[tuple[str, int, int]]:
    """Name, size and time of change of everything in a folder."""
    return {
        (os.path.relpath(os.path.join(root, name), folder), found.st_size, found.st_mtime_ns)
        for root, folders, files in os.walk(folder)
        for name in files
        for found in [os.stat(os.path.join(root, name))]
    } | {
        (os.path.relpath(os.path.join(root, name), folder), 0, 0)
        for root, folders, _ in os.walk(folder)
        for name in folders
    }


# Damage

_NASTY_TEXTS = (
    *("nan", "inf", "-inf", "1e999", "-1e999", "-0", "0", "-1", "1", "2", "1e-320", "0x10"),
    *("1_000", "1,5", "9" * 400, "9" * 5000, "18446744073709551616", "-9223372036854775809"),
    *("4294967295", "2147483648", "true", "false", "null", "None", "1979-05-27T07:32:00Z"),
    *(",", ";", "\t", "\n", "\r", "\r\n", "=", ":", ".", "#", "'", '"', '"""', "'''", "\\"),
    *("[", "]", "{", "}", "[" * 3000, '{"a":' * 3000, "[[", "{}", "[]", '""', "(", "*", "%n"),
    *("\0", "\ufeff", "Ω", "10 kΩ", "µ", "\u202e", "\\ud800", "\\u0000", "é", "💡", "x" * 9999),
    *("__class__", "$(id)", "../..", "/dev/null", "/dev/full", "/", "~", "kind", " ", ""),
)
NASTY = (*(text.encode() for text in _NASTY_TEXTS), b"\xff", b"\xed\xa0\x80", b"\x1f\x8b")
"""Words that readers stumble over."""

_EXTREMES = (0, 1, -1, 2**7, 2**8 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63)
_WORD = re.compile(rb"[A-Za-z_]+|[0-9.eE+-]+|\s+|.", re.DOTALL)


def damaged(content: bytes, damages: Sequence[Damage], words: Sequence[bytes]) -> bytes:
    """A document after some damages, one after the other."""
    for kind, where, what in damages:
        content = _KINDS[kind % len(_KINDS)](content, where, what, (*words, *words, *NASTY))
    return content


def _words(content: bytes, where: int, what: int, words: Sequence[bytes]) -> bytes:
    """One word changed: replaced, removed, doubled, put before another, or swapped with one."""
    found = _WORD.findall(content) or [b""]
    at, other = where % len(found), (where // 7 + what) % len(found)
    new = words[what // 5 % len(words)]
    changes: tuple[Callable[[], list[bytes]], ...] = (
        lambda: [new],
        lambda: [],
        lambda: [found[at]] * 2,
        lambda: [new, found[at]],
        lambda: [found[other]],
    )
    found[at : at + 1] = changes[what % 5]()
    return b"".join(found)


def _lines(content: bytes, where: int, what: int, words: Sequence[bytes]) -> bytes:
    """One line removed, doubled, made of a word, or put somewhere else."""
    lines = content.split(b"\n")
    line = lines.pop(where % len(lines))
    at = what // 4 % (len(lines) + 1)
    new = words[what // 4 % len(words)]
    lines[at:at] = ([], [line, line], [new], [line])[what % 4]
    return b"\n".join(lines)


def _bytes(content: bytes, where: int, what: int, words: Sequence[bytes]) -> bytes:
    """One byte changed, or the rest cut off, or a part removed or repeated."""
    at, length = where % (len(content) + 1), 1 + what // 4 % 16
    part = content[at : at + length]
    middle = (bytes([what // 4 % 256]), b"", part * 2, part * 50)[what % 4]
    if what % 64 == 1:
        return content[:at]
    return content[:at] + middle + content[at + len(part) :]


def _integer(content: bytes, where: int, what: int, words: Sequence[bytes]) -> bytes:
    """An extreme integer of 1, 2, 4 or 8 bytes written over what was there."""
    size = 2 ** (what % 4)
    value = (_EXTREMES[what // 8 % len(_EXTREMES)] + what // 128 % 3 - 1) % 2 ** (8 * size)
    at = where % (len(content) + 1)
    order = "little" if what // 4 % 2 else "big"
    return content[:at] + value.to_bytes(size, order) + content[at + size :]  # type: ignore[arg-type]


def _value(content: bytes, where: int, what: int, words: Sequence[bytes]) -> bytes:
    """One value of a JSON document replaced; another document loses a line."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return _lines(content, where, what, words)
    places: list[tuple[dict | list, str | int]] = []  # type: ignore[type-arg]
    waiting = [document]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict | list):
            keys = list(node) if isinstance(node, dict) else range(len(node))
            places += [(node, key) for key in keys]
            waiting += [node[key] for key in keys]
    if not places:
        return content
    node, key = places[where % len(places)]
    donor, of = places[(where // 3 + what) % len(places)]
    values = (None, 0, -1, 1e-320, 1e308, 2**70, "", "kind", [], {}, [[]], True, [0], donor[of])
    chosen = values[what % len(values)]
    if what // 16 % 4 == 0:
        del node[key]
    elif what // 16 % 4 == 1 and isinstance(node, dict):
        node[str(of)] = node.pop(key)
    else:
        node[key] = json.loads(json.dumps(chosen))
    return json.dumps(document).encode()


_KINDS = (_words, _words, _words, _lines, _bytes, _integer, _value)


# The places


@cache
def targets() -> dict[str, Target]:
    """Every place by its name."""
    with TemporaryDirectory(prefix="fuzz-seeds-") as folder:
        return {
            **_documents(Path(folder)),
            **_tables(),
            **_arrays(Path(folder)),
            **_results(Path(folder)),
            **_networks(Path(folder)),
            **_commands(),
        }


_SWEEPS = (
    b'[experiment]\nmethod = "noisezo"\n"device.conductance_max" = 40e-6\n[sweep]\n'
    b'write_noise = [0.01, 0.02]\nwire_resistance = {start = 0.1, stop = 10, num = 5, scale = "log"'
    b"}\nseed = {count = 20}\n[stop]\nhalf_width = 0.005\nconfidence = 0.9\n",
    b'references = ["backprop", "linear"]\n[experiment]\ntask = "digits"\n[sweep]\nseed = [0, 1]\n',
    b"[sweep]\nadc_bits = {start = 4, stop = 8, num = 3}\ndevice.levels = [2, 4]\n",
)


def _documents(folder: Path) -> dict[str, Target]:
    """Text that people write: sweep files, device cards, netlists."""
    made = {name: folder / f"{name}.json" for name in ("Wan2022", "Levy2024-B", "Milo2021")}
    for name, path in made.items():
        cards.save(zo.devices.preset(name), path, calibration={"kind": "iv", "parameters": []})
    chip = PhaseShifterArray(design=PhaseShifter(), crosstalk=[[1.0, 0.02], [0.01, 1.0]])
    save_shifters(chip, folder / "chip.json")
    network = zo.crossbar.Network([[1e-4, 5e-5], [2e-5, 8e-5]], wire_resistance=1.0)
    return {
        "sweep file": Target(
            config.read,
            _SWEEPS,
            (b"start", b"stop", b"num", b"count", b"scale", b"seed", b"chip", b"1000001"),
            modules=("zerohm.sweeps.config", "tomllib._parser"),
        ),
        "device card": Target(
            _card,
            tuple(path.read_bytes() for path in made.values()),
            (b"cell", b"levels", b'"kind"', b"1e-6"),
            modules=("zerohm.devices.cards", "zerohm.devices.card_schema", "zerohm._errors"),
        ),
        "phase shifters": Target(
            load_shifters,
            ((folder / "chip.json").read_bytes(),),
            (b"shifter", b"1e9", b"100000"),
            modules=("zerohm.devices.photonic.phase_shifter_card",),
        ),
        "netlist": Target(
            lambda path: zo.crossbar.read_spice(path.read_bytes().decode("utf-8", "replace")),
            (network.to_spice([0.2, 0.1]).encode(),),
            (b"Rcell9999999_9999999", b"Vdrive1", b"Vsense1", b"Rdrive0_1", b".control", b"+"),
            modules=("zerohm.crossbar.spice_reader",),
        ),
    }


def _card(path: Path) -> None:
    cards.load(path)
    cards.calibration(path)


def _rows(*columns: Sequence[float | str]) -> str:
    return "\n".join(",".join(map(str, row)) for row in zip(*columns, strict=True)) + "\n"


def _measurements() -> dict[str, str]:
    """A small table of each kind of measurement, good enough to be fitted."""
    rng = np.random.default_rng(1)
    noise = rng.standard_normal(60)
    cells, times = np.repeat(range(60), 3), np.tile([0.0, 1.0, 10.0], 60)
    targets_S = np.tile(np.linspace(5e-6, 50e-6, 10), 6)
    volts, power = np.linspace(-0.5, 0.5, 60), np.linspace(0.0, 0.05, 60)
    rising = 1e-5 + 5e-7 * np.arange(30)
    return {
        "relaxation": "cell,time_s,conductance_S\n"
        + _rows(cells, times, 5e-5 - 1e-6 * np.log10(1 + times) + 1e-6 * rng.standard_normal(180)),
        "read-noise": "time_s,conductance_S\n"
        + _rows(np.arange(128) / 100, 5e-5 + 1e-7 * rng.standard_normal(128)),
        "programming": "target_S,conductance_S\n" + _rows(targets_S, targets_S + 1e-6 * noise),
        "pulses": "pulse,direction,conductance_S\n"
        + _rows(
            range(60), ["up"] * 30 + ["down"] * 30, np.append(rising, rising[::-1]) + 1e-8 * noise
        ),
        "iv": "voltage_V,current_A\n"
        + _rows(volts, 2e-5 * np.sinh(3 * volts) * (1 + 0.01 * noise)),
        "phase-shifter": "heater_power_W,output_power_W\n"
        + _rows(power, 1e-3 * (1 + 0.9 * np.cos(np.pi * power / 0.02)) + 1e-6 * noise),
    }


def _tables() -> dict[str, Target]:
    found = {}
    for kind, text in _measurements().items():
        content = text.encode()
        variants = (content, content.replace(b",", b"\t"), gzip.compress(content, mtime=0))
        words = tuple(column.encode() for column in LAYOUTS[kind].columns)
        modules = ("zerohm.devices.calibrate.table", "zerohm.devices.calibrate.source")
        reading = partial(_read_table, kind)
        found[f"table of {kind}"] = Target(reading, variants, words, modules=modules)
        options = ["calibrate", "input", "--kind", kind, "--out", "card.json"]
        calibrating = partial(_calibrate, options)
        found[f"fit of {kind}"] = Target(calibrating, (content,), words, writes=True)
    return found


def _read_table(kind: str, path: Path) -> None:
    read_table(path, kind, drop_missing=True)


def _calibrate(options: list[str], path: Path) -> None:
    _run(options, path.parent)


def _arrays(folder: Path) -> dict[str, Target]:
    """Arrays of numbers: idx, the text of vowel, .npy."""
    pixels = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2, *range(8)])
    floats = bytes([0, 0, 13, 1, 0, 0, 0, 1, 0, 0, 0, 0])
    arrays = []
    for values in ([[1e-4, 5e-5], [2e-5, 8e-5]], np.ones((2, 2), ">i2"), np.ones((1, 1), "f2")):
        content = io.BytesIO()
        np.save(content, values)
        arrays.append(content.getvalue())
    return {
        "idx file": Target(
            _idx,
            (pixels, gzip.compress(pixels, mtime=0), floats),
            modules=("zerohm.datasets.idx", "zerohm.datasets.files"),
        ),
        "array file": Target(
            _solve,
            tuple(arrays),
            (
                b"PK\x03\x04",
                b"'descr'",
                b"'|O'",
                b"fortran_order",
                b"(99999999999,)",
                b"<f8",
                b"<c16",
                b"(2, 2)",
            ),
            writes=True,
            modules=("zerohm.cli.circuits", "numpy.lib._format_impl"),
        ),
    }


def _idx(path: Path) -> None:
    file = DataFile(folder="", name=path.name, addresses=())
    with mock.patch.dict(os.environ, {"ZEROHM_DATA": str(path.parent)}):
        found, content = file.obtain()
    idx.decode(content, found)


def _solve(path: Path) -> None:
    given = ["--conductance", path.name, "--voltages", path.name, "--out", "currents.npy"]
    _run(["solve", *given], path.parent)


def _experiment(x: float, seed: int, chip: int = 0) -> xr.Dataset:
    curve = xr.DataArray([0.1 * seed, x], dims="step", coords={"step": [0, 10]})
    return xr.Dataset({"deployed_accuracy": curve, "kind": "ideal"}, attrs={"task": "digits"})


def _results(folder: Path) -> dict[str, Target]:
    """What runs and sweeps leave: NetCDF, zarr, the points of a sweep."""
    run = zo.training.experiment(
        task="digits", method="backprop", hardware="digital", passes=100, evaluations=2, seed=1
    )
    zo.sweeps.save(run, folder / "run.nc")
    store = folder / "sweep.zarr"
    zo.sweeps.run(_experiment, {"x": [0.5, 0.7], "seed": [0, 1]}, store=store, progress=False)
    with Points.read_from(folder / "sweep.zarr.points") as kept:
        rows, attributes = list(kept.rows()), kept.attributes()
    killed = folder / "killed.points"
    with Points.write_to(killed) as points:
        points.begin(attributes)
        points.put_all(rows[:3])
    parts = {
        str(path.relative_to(store)): path.read_bytes()
        for path in sorted(store.rglob("*"))
        if path.is_file()
    }
    numbered = tuple(bytes([number]) + part for number, part in enumerate(parts.values()))
    reading = ("zerohm.sweeps.results", "zerohm.sweeps.store")
    return {
        "run": Target(zo.sweeps.load, ((folder / "run.nc").read_bytes(),), modules=reading),
        "store": Target(
            zo.sweeps.load,
            numbered,
            (
                b"shape",
                b"chunk_shape",
                b"fill_value",
                b"codecs",
                b"99999999999",
                b"string",
                b"vlen",
            ),
            place=partial(_place_store, parts),
            modules=reading,
        ),
        "points": Target(
            lambda path: zo.sweeps.load(path.with_name("sweep.zarr")),
            (killed.read_bytes(),),
            (b"experiment", b"fixed", b"grid", b"stop", b"curves", b"attributes", b"variables"),
            place=_place_points,
            modules=(*reading, "zerohm.sweeps.points", "zerohm.sweeps.encoding"),
        ),
    }


def _place_store(parts: dict[str, bytes], content: bytes, folder: Path) -> Path:
    """A whole store, one file of which is the input; its first byte says which."""
    chosen = content[0] % len(parts) if content else 0
    for number, (name, part) in enumerate(parts.items()):
        path = folder / "sweep.zarr" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content[1:] if number == chosen else part)
    return folder / "sweep.zarr"


def _place_points(content: bytes, folder: Path) -> Path:
    path = folder / "sweep.zarr.points"
    path.write_bytes(content)
    return path


def _networks(folder: Path) -> dict[str, Target]:
    """Weights of other programs, where those are installed."""
    network = zo.training.mlp([4, 3, 2], hardware=zo.mapping.digital())
    parameters = np.arange(network.parameters) / 8
    found = {}
    for package, suffix, load in (
        ("onnx", ".onnx", interchange.load_onnx),
        ("torch", ".pt", interchange.load_state_dict),
    ):
        if find_spec(package) is None:
            continue
        path = folder / f"network{suffix}"
        interchange.WRITERS[suffix](network, parameters, path)
        module = load.__module__
        reading = partial(load, network)
        found[f"{suffix} file"] = Target(reading, (path.read_bytes(),), modules=(module,))
    return found


# The command line

_COMMANDS = (
    "presets --json",
    "presets --schema",
    "solve --conductance g.npy --voltages v.npy --wire-resistance 1 --out i.npy --spice net.cir",
    "solve --conductance=g.npy --voltages=v.npy --source-resistance=5 --sink-resistance 1e3",
    "calibrate data.csv --kind programming --out new.json --columns target_S=target_S",
    "calibrate data.csv --kind programming --drop-missing --device card.json --name n",
    "figure run.nc --kind learning-curves --out curve.svg --columns 2 --band confidence",
    "figure sweep.zarr --kind heat-map --x x --y chip --variable deployed_accuracy --out map.png",
    "export run.nc --out run.csv",
    "export sweep.zarr --out table.tex --band quartiles --variables deployed_accuracy",
    "export sweep.zarr --out table.csv --confidence 0.9 --curves",
    "report run.nc --out page.html --band confidence --confidence 0.95",
    "merge sweep.zarr other.zarr --into both.zarr",
    "train --task digits --method noisezo --hardware rram --device card.json --seed 3 --out new.nc "
    "--weights w.onnx --set passes=40 hidden=8 write_noise=0.02 batch=16",
    "train --hardware photonic --method mezo --set phase_noise=0.01 loss_dB=0.1",
    "train --task f1 --method ffzero --hardware digital --set split=fixed hidden=8,8",
    "train --set hardware.cell.conductance_min=2e-6 hardware.adc.bits=6",
    "sweep sweep.toml --store new.zarr --workers 1 --seed 2",
    "sweep sweep.toml --store new.zarr --scheduler tcp://127.0.0.1:1",
    "demo --out demo --workers 1 --seed 0",
    "--help",
    "train --help",
    "--version",
)
_ODD = ("--set", "a=b=c", "=", "--", "-", "folder", "missing/run.nc", "nothing", "--no-json")
_ARGUMENTS = tuple(
    dict.fromkeys(word.encode() for words in (*_COMMANDS, *_ODD) for word in words.split())
)


def _commands() -> dict[str, Target]:
    seeds = tuple(command.replace(" ", "\n").encode() for command in _COMMANDS)
    return {
        "command line": Target(
            _command, seeds, _ARGUMENTS, place=_place_command, writes=True, modules=("zerohm.cli",)
        )
    }


@cache
def _workspace() -> TemporaryDirectory[str]:
    """A folder with a file of each kind that commands take; it ends with the process."""
    found = TemporaryDirectory(prefix="fuzz-workspace-")
    folder, others = Path(found.name), targets()
    np.save(folder / "g.npy", np.array([[1e-4, 5e-5], [2e-5, 8e-5]]))
    np.save(folder / "v.npy", np.array([0.2, 0.1]))
    (folder / "data.csv").write_text(_measurements()["programming"])
    (folder / "card.json").write_bytes(others["device card"].seeds[0])
    (folder / "sweep.toml").write_bytes(_SWEEPS[1])
    (folder / "run.nc").write_bytes(others["run"].seeds[0])
    (folder / "folder").mkdir()
    for name, seeds in (("sweep.zarr", [0, 1]), ("other.zarr", [2])):
        grid = {"x": [0.5, 0.7], "chip": [0, 1], "seed": seeds}
        zo.sweeps.run(_experiment, grid, store=folder / name, curves=True, progress=False)
    return found


def _place_command(content: bytes, folder: Path) -> Path:
    shutil.copytree(_workspace().name, folder, dirs_exist_ok=True)
    path = folder / ".arguments"
    path.write_bytes(content)
    return path


def _command(path: Path) -> None:
    """Run a command whose arguments are the lines of a file."""
    arguments = [os.fsdecode(line) for line in path.read_bytes().split(b"\n")]
    _run(arguments, path.parent)


def _run(arguments: list[str], folder: Path) -> None:
    """The command line in a folder, its refusal as the error that its readers raise."""
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="utf-8")
    err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace")
    handlers = logging.root.handlers[:]
    with ExitStack() as stack:
        for manager in (chdir(folder), redirect_stdout(out), redirect_stderr(err), *_untrained()):
            stack.enter_context(manager)
        stack.callback(setattr, logging.root, "handlers", handlers)
        try:
            code = main(arguments)
        except ReachedError:
            return
    out.flush()
    err.seek(0)
    said = err.read()
    if code:
        if not said.startswith("zerohm: ") or "\nzerohm: " in said or "Traceback" in said:
            raise AssertionError(f"exit code {code} without one message on stderr: {said[:500]!r}")
        raise InputError(said)
    if said:
        raise AssertionError(f"success, yet on stderr: {said[:500]!r}")


def _untrained() -> Iterator[AbstractContextManager[object]]:
    """Commands that train stop after they have checked their settings; nothing is downloaded."""

    def stop(*_: object, **__: object) -> None:
        raise ReachedError

    def prepare(**settings: object) -> None:
        own = ("keep_parameters", "progress")
        zo.training.prepare(**{name: settings[name] for name in settings if name not in own})
        stop()

    def refuse(file: DataFile) -> None:
        raise InputError(f"no file {file.name}: downloads are not tried")

    yield mock.patch.object(zo.training, "experiment", prepare)
    yield mock.patch.object(training_sweep, "run", stop)
    yield mock.patch.object(DataFile, "_download", refuse)
