"""Damaged inputs to everything that reads: how many, and how many were neither read nor refused.

    python benchmarks/fuzz.py --inputs 1000              # of each reader and of the command line
    python benchmarks/fuzz.py --inputs 1000 --guided     # searches for new code (needs atheris)
    python benchmarks/fuzz.py --only "device card" run --inputs 5000 --seed 7

What is promised of every input, and how inputs are made, is in tests/fuzz_targets.py. Exit code 1
if an input escaped; --keep FOLDER writes those down.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from inspect import getmembers, isclass, isfunction
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from fuzz_targets import EscapeError, Target, check, damaged, refused_seeds, targets

MOST_DAMAGES = 4
RAW = 0.02
"""Share of inputs that are no damaged document but random bytes."""
LONGEST = 1 << 16
"""Bytes of an input of the guided search."""


class Tally:
    """Counts of one target; escapes by where they came from, with the first input of each."""

    def __init__(self, name: str, target: Target) -> None:
        self.name, self.target = name, target
        self.inputs = self.accepted = self.escaped = 0
        self.escapes: dict[str, bytes] = {}
        self.start = time.process_time()

    def take(self, content: bytes) -> None:
        self.inputs += 1
        try:
            self.accepted += check(self.name, self.target, content)
        except EscapeError as error:
            self.escaped += 1
            self.escapes.setdefault(f"{error}\n    {_place(error)}", content)

    def counts(self) -> dict[str, float]:
        seconds = time.process_time() - self.start
        names = ("inputs", "accepted", "escaped")
        return {**{name: getattr(self, name) for name in names}, "seconds": seconds}


def _place(error: EscapeError) -> str:
    """Where the cause of an escape was raised."""
    if error.__cause__ is None:
        return "no exception"
    last = traceback.extract_tb(error.__cause__.__traceback__)[-1]
    return f"{last.filename}:{last.lineno}"


def draw(target: Target, rng: np.random.Generator) -> bytes:
    """One input."""
    if rng.random() < RAW:
        return rng.bytes(rng.integers(200))
    seed = target.seeds[rng.integers(len(target.seeds))]
    return damage(seed, target, rng)


def damage(content: bytes, target: Target, rng: np.random.Generator) -> bytes:
    numbers = rng.integers(2**31, size=(rng.integers(1, MOST_DAMAGES), 3)).tolist()
    return damaged(content, [tuple(row) for row in numbers], target.words)


def at_random(tally: Tally, inputs: int, seed: int) -> None:
    name = int.from_bytes(sha256(tally.name.encode()).digest()[:4])
    rng = np.random.default_rng([seed, name])
    for _ in range(inputs):
        tally.take(draw(tally.target, rng))


def guided(tally: Tally, inputs: int, seed: int, done: Callable[[], None]) -> None:
    """Keeps inputs that reach new code and damages them further; does not return."""
    import atheris

    for name in tally.target.modules:
        module = sys.modules[name]
        holders = [module, *(each for _, each in getmembers(module, isclass))]
        for holder in holders:
            for _, function in getmembers(holder, isfunction):
                if function.__module__ == name:
                    atheris.instrument_func(function)

    def one(content: bytes) -> None:
        tally.take(content)
        if tally.inputs >= inputs:
            done()
            os._exit(0)

    def mutate(content: bytes, longest: int, number: int) -> bytes:
        rng = np.random.default_rng([seed, number])
        if rng.random() < 0.3:
            return bytes(atheris.Mutate(content, longest))
        return damage(content, tally.target, rng)[:longest]

    with TemporaryDirectory(prefix="corpus-") as corpus:
        for number, content in enumerate(tally.target.seeds):
            (Path(corpus) / str(number)).write_bytes(content)
        options = [f"-seed={seed + 1}", f"-max_len={LONGEST}", "-rss_limit_mb=0"]
        atheris.Setup([sys.argv[0], *options, corpus], one, custom_mutator=mutate)
        atheris.Fuzz()


def report(tally: Tally, keep: Path | None) -> None:
    counts = tally.counts()
    print(
        f"{tally.name:24}{tally.inputs:9}{tally.accepted:10}{tally.escaped:9}"
        f"{counts['seconds']:9.1f}",
        flush=True,
    )
    for said, content in tally.escapes.items():
        shown = repr(content) if len(content) < 300 else f"{len(content)} bytes"
        print(f"  {said}\n    input {shown}", flush=True)
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            (keep / sha256(content).hexdigest()[:16]).write_bytes(content)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=1000, help="of each target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", help="names of targets, or how they begin")
    parser.add_argument("--guided", action="store_true", help="search for new code (atheris)")
    parser.add_argument("--keep", type=Path, help="folder for inputs that escaped")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.guided and importlib.util.find_spec("atheris") is None:
        print("skipped: --guided needs atheris, which is not installed")
        return 0
    names = [n for n in targets() if not given.only or n.startswith(tuple(given.only))]
    print(f"{'target':24}{'inputs':>9}{'accepted':>10}{'escaped':>9}{'CPU s':>9}", flush=True)
    total = escaped = 0
    for name in names:
        if given.guided and given.child is None:
            counts = _in_a_child(name, given)
        else:
            target = targets()[name]
            assert not refused_seeds(target)
            tally = Tally(name, target)
            if given.child is not None:
                guided(tally, given.inputs, given.seed, partial(_hand_back, tally, given))
            at_random(tally, given.inputs, given.seed)
            report(tally, given.keep)
            counts = tally.counts()
        total, escaped = total + int(counts["inputs"]), escaped + int(counts["escaped"])
    print(f"{total} inputs, {escaped} escaped")
    return int(escaped > 0)


def _hand_back(tally: Tally, given: argparse.Namespace) -> None:
    report(tally, given.keep)
    given.child.write_text(json.dumps(tally.counts()))


def _in_a_child(name: str, given: argparse.Namespace) -> dict[str, float]:
    """A guided search never comes back, so that each has a process of its own."""
    with TemporaryDirectory(prefix="fuzz-counts-") as folder:
        counts = Path(folder) / "counts.json"
        options = ["--inputs", str(given.inputs), "--seed", str(given.seed), "--guided"]
        options += ["--keep", str(given.keep)] if given.keep else []
        command = [sys.executable, __file__, *options, "--child", str(counts), "--only", name]
        ran = subprocess.run(command, capture_output=True, text=True)
        if not counts.exists():
            raise RuntimeError(f"{name}: the search ended early:\n{ran.stderr[-2000:]}")
        print("\n".join(ran.stdout.splitlines()[1:]), flush=True)
        return dict(json.loads(counts.read_text()))


if __name__ == "__main__":
    sys.exit(main())
