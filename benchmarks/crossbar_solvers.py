"""Time of exact crossbar solutions against other tools, and of the ways to solve a batch.

Square arrays, cells log-uniform or uniform in 1e-6 to 1e-4 S, wire segments of 1 and 2.5 Ω, inputs
uniform in 0 to 0.2 V. All functions of a case are called in turn in one process and on one thread;
the tables hold medians of CPU seconds over the turns, and ratios of these medians. What is faster
than 20 ms is called repeatedly in its turn. Errors are the largest of all currents relative to the
largest current, against the direct solver of this package (above 512 × 512, where its factors take
several GB, against conjugate gradients on the cell voltages with a residual of 1e-12).

* One vector through new cells: ``Network(...).solve(v)``, construction included; scipy's splu of
  the assembled nodal matrix, factor and solve, with its default ordering (COLAMD) and with the one
  for symmetric matrices (MMD); badcrossbar; the product v @ G as the limit. The time is fitted by
  a power of the number of cells.
* ngspice, its start and the reading of the netlist included, up to 32 × 32.
* Batches at fixed cells: vector by vector (the mean of 16); by the transfer matrix, its building
  included; badcrossbar up to about 1 GB of memory. Break-even is the number of vectors that pay for
  building; a known transfer matrix is compared with the conductances in a product of 1024 vectors.

badcrossbar and ngspice take part where they are installed. Arrays of 512 and 1024 lines, with
``--large``, are solved by this package alone.

    OPENBLAS_NUM_THREADS=1 python benchmarks/crossbar_solvers.py --sizes 64 128 256 --large
"""

import argparse
import importlib.util
import logging
import re
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import numpy as np
import scipy.sparse as sparse
from scipy.sparse.linalg import splu
from threadpoolctl import threadpool_limits

from zerohm.crossbar import Network

SIZES, LARGE, SPICE_SIZES = (64, 128, 256), (512, 1024), (16, 32)
SEGMENTS, BATCHES = (1.0, 2.5), (1, 64, 1024)
TURNS, SHORTEST = 5, 0.02
LARGEST_DIRECT = 512
PEER_LIMIT = 64 * 64 * 1024  # cells × vectors

PEER = importlib.util.find_spec("badcrossbar") is not None
SYMMETRIC = {
    "permc_spec": "MMD_AT_PLUS_A",
    "diag_pivot_thresh": 0.0,
    "options": {"SymmetricMode": True},
}

Function = Callable[[], np.ndarray]


@dataclass
class Case:
    """An array, its inputs and the currents that the first of them causes."""

    size: int
    cells: str
    segment: float
    conductance: np.ndarray = field(init=False)
    voltages: np.ndarray = field(init=False)
    reference: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.size)
        exponents = rng.uniform(-6, -4, (self.size, self.size))
        uniform = rng.uniform(1e-6, 1e-4, (self.size, self.size))
        self.conductance = 10.0**exponents if self.cells == "log" else uniform
        self.voltages = rng.uniform(0, 0.2, (max(BATCHES), self.size))
        solver = "direct" if self.size <= LARGEST_DIRECT else "device_gradient"
        self.reference = self.solve(solver, tolerance=1e-12)

    def network(self) -> Network:
        """With nothing prepared."""
        return Network(self.conductance, wire_resistance=self.segment)

    def solve(self, solver: str, **options: float) -> np.ndarray:
        """Currents of the first vector."""
        return self.network().solve(self.voltages[0], solver=solver, **options).currents

    def peer(self, vectors: int) -> np.ndarray:
        """Currents of so many vectors by badcrossbar."""
        import badcrossbar

        inputs, resistances = self.voltages[:vectors].T, 1 / self.conductance
        return badcrossbar.compute(inputs, resistances, self.segment).currents.output

    def error(self, currents: np.ndarray) -> float:
        """Of the first vector."""
        wrong = np.abs(np.atleast_2d(currents)[0] - self.reference).max()
        return float(wrong / self.reference.max())

    @property
    def label(self) -> str:
        """First columns of every table."""
        return f"| {self.size} | {self.cells} | {self.segment:g} "


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description="Times of exact crossbar solutions.")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="word = bit lines")
    parser.add_argument("--large", action="store_true", help="also 512 and 1024 lines")
    options = parser.parse_args()
    logging.disable(logging.INFO)  # badcrossbar reports its steps
    for solver in ("line_gradient", "device_gradient", "transfer"):  # compiles the kernels
        Network(np.ones((2, 2)), wire_resistance=1.0).solve([1.0, 1.0], solver=solver)
    sizes = [*options.sizes, *(LARGE if options.large else ())]
    single_vectors(sizes)
    spice()
    batches(sizes)


def cases(sizes: Sequence[int]) -> Iterator[Case]:
    """All kinds of cells and wires, made one after the other."""
    for parameters in product(sizes, ("log", "uniform"), SEGMENTS):
        yield Case(*parameters)


def single_vectors(sizes: Sequence[int]) -> None:
    """One vector through new cells, and how its time grows."""
    title("One vector, new cells: CPU time in ms (× that of line_gradient)")
    print(
        "| lines | cells | Ω | line_gradient | error | device_gradient | error | direct "
        "| splu, default | splu, MMD | badcrossbar | error | v @ G |"
    )
    print("| --- " * 13 + "|")
    points: dict[str, list[tuple[float, float]]] = {}
    for case in cases(sizes):
        functions = single_vector_functions(case)
        errors = {name: f"{case.error(function()):.0e}" for name, function in functions.items()}
        seconds = interleaved(functions)
        ours = seconds["line_gradient"]
        points.setdefault(f"{case.cells}, {case.segment:g} Ω", []).append((case.size**2, ours))
        peers = ("direct", "splu, default", "splu, MMD", "badcrossbar")
        columns = [
            f"{short(1e3 * ours)}",
            errors["line_gradient"],
            compared(seconds, "device_gradient", ours),
            errors["device_gradient"],
            *(compared(seconds, name, ours) for name in peers),
            errors.get("badcrossbar", "–"),
            f"{1e3 * seconds['v @ G']:.2g} (1/{ours / seconds['v @ G']:.0f})",
        ]
        print(f"{case.label}| {' | '.join(columns)} |", flush=True)
    if not PEER:
        print("\nbadcrossbar is not installed.")
    if len(sizes) > 1:
        title("Time of line_gradient as a power of the number of cells")
        print("| cells, Ω | exponent, all sizes | two largest |\n" + "| --- " * 3 + "|")
        for name, times in points.items():
            cells, taken = np.log(np.transpose(times))
            fits = [np.polyfit(cells[first:], taken[first:], 1)[0] for first in (0, -2)]
            print(f"| {name} | {fits[0]:.2f} | {fits[1]:.2f} |")


def single_vector_functions(case: Case) -> dict[str, Function]:
    """What is timed for one vector."""
    v, g = case.voltages[0], case.conductance
    functions: dict[str, Function] = {
        "line_gradient": lambda: case.solve("line_gradient"),
        "device_gradient": lambda: case.solve("device_gradient"),
        "v @ G": lambda: v @ g,
    }
    if case.size <= max(SIZES):
        nodal, given, sense = nodal_system(g, case.segment, v)
        wire = 1 / case.segment
        functions["direct"] = lambda: case.solve("direct")
        functions["splu, default"] = lambda: wire * splu(nodal).solve(given)[sense]
        functions["splu, MMD"] = lambda: wire * splu(nodal, **SYMMETRIC).solve(given)[sense]
        if PEER:
            functions["badcrossbar"] = lambda: case.peer(1)
    return functions


def nodal_system(
    conductance: np.ndarray, segment: float, voltages: np.ndarray
) -> tuple[sparse.csc_matrix, np.ndarray, np.ndarray]:
    """Nodal matrix, injected currents and the nodes next to the sense amplifiers."""
    word, bit = np.arange(2 * conductance.size).reshape(2, *conductance.shape)
    wire = np.full(conductance.shape, 1 / segment)
    pairs = [
        (word, bit, conductance),
        (word[:, :-1], word[:, 1:], wire[:, 1:]),
        (bit[:-1], bit[1:], wire[1:]),
    ]
    start, end, between = (np.concatenate([np.ravel(pair[k]) for pair in pairs]) for k in range(3))
    held = np.concatenate((word[:, 0], bit[-1]))
    at = np.concatenate((start, end, start, end, held))
    to = np.concatenate((start, end, end, start, held))
    value = np.concatenate((between, between, -between, -between, wire.flat[: held.size]))
    given = np.zeros(2 * conductance.size)
    given[word[:, 0]] = voltages / segment
    return sparse.csc_matrix((value, (at, to))), given, bit[-1]


def spice() -> None:
    """The package's netlists."""
    if shutil.which("ngspice") is None:
        print("\nngspice is not installed.")
        return
    title("One vector by ngspice: CPU time in ms (× that of line_gradient)")
    print("| lines | cells | Ω | line_gradient | ngspice | error |\n" + "| --- " * 6 + "|")
    for case in cases(SPICE_SIZES):
        functions: dict[str, Function] = {
            "ngspice": lambda case=case: spice_currents(case),
            "line_gradient": lambda case=case: case.solve("line_gradient"),
        }
        error, seconds = case.error(functions["ngspice"]()), interleaved(functions)
        ours = seconds["line_gradient"]
        peer = compared(seconds, "ngspice", ours)
        print(f"{case.label}| {short(1e3 * ours)} | {peer} | {error:.0e} |", flush=True)


def spice_currents(case: Case) -> np.ndarray:
    """What ngspice prints for the sense nodes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "crossbar.cir"
        path.write_text(case.network().to_spice(case.voltages[0]), encoding="utf-8")
        done = subprocess.run(
            ["ngspice", "-b", str(path)], capture_output=True, text=True, check=True
        )
    found = re.findall(r"i\(vsense(\d+)\) = (\S+)", done.stdout)
    currents = np.empty(case.size)
    for line, value in found:
        currents[int(line)] = float(value)
    return currents


def batches(sizes: Sequence[int]) -> None:
    """Many vectors through the same cells."""
    title("Transfer matrix T: CPU time in ms, and vectors from which it pays")
    print("| lines | cells | Ω | build T | error | break-even | V @ T.T / V @ G |")
    print("| --- " * 7 + "|")
    totals = []
    for case in cases(sizes):
        transfer = case.network().transfer()
        seconds = interleaved(batch_functions(case, transfer), turns=3)
        build, known = seconds["build"], seconds[f"known {max(BATCHES)}"]
        vector = seconds["sixteen"] / 16
        columns = [
            f"{short(1e3 * build)}",
            f"{case.error(case.voltages[:1] @ transfer.T):.0e}",
            f"{build / (vector - known / max(BATCHES)):.0f}",
            f"{known / seconds['V @ G']:.2f}",
        ]
        print(f"{case.label}| {' | '.join(columns)} |", flush=True)
        ways = [
            (n * vector, build + seconds[f"known {n}"], seconds.get(f"peer {n}")) for n in BATCHES
        ]
        cells = [f"{short(1e3 * t)}" if t else "–" for way in zip(*ways, strict=True) for t in way]
        totals.append(f"{case.label}| {' | '.join(cells)} |")
    title(f"Batches of {', '.join(map(str, BATCHES))} vectors at fixed cells: CPU time in ms")
    names = (f"{name}, {n}" for name in ("one by one", "with T", "badcrossbar") for n in BATCHES)
    print(
        f"| lines | cells | Ω | {' | '.join(names)} |\n" + "| --- " * (3 + 3 * len(BATCHES)) + "|"
    )
    print("\n".join(totals))


def batch_functions(case: Case, transfer: np.ndarray) -> dict[str, Function]:
    """What is timed for batches; "sixteen" vectors stand for any number one by one."""
    v, g, network = case.voltages, case.conductance, case.network()
    functions: dict[str, Function] = {
        "build": lambda: case.network().transfer(),
        "sixteen": lambda: network.solve(v[:16], solver="line_gradient").currents,
        "V @ G": lambda: v @ g,
    }
    for n in BATCHES:
        functions[f"known {n}"] = lambda n=n: v[:n] @ transfer.T
        if PEER and case.size <= max(SIZES) and n * g.size <= PEER_LIMIT:
            functions[f"peer {n}"] = lambda n=n: case.peer(n)
    return functions


def interleaved(functions: dict[str, Function], turns: int = TURNS) -> dict[str, float]:
    """Median CPU seconds of one call of each function, called in turn."""
    calls = dict.fromkeys(functions, 1)
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for turn in range(turns + 1):
        for name, function in functions.items():
            start = cpu_seconds()
            for _ in range(calls[name]):
                function()
            each = (cpu_seconds() - start) / calls[name]
            if turn:
                seconds[name].append(each)
            else:  # the first turn only tells how often to call
                calls[name] = max(1, round(SHORTEST / max(each, 1e-6)))
    return {name: float(np.median(values)) for name, values in seconds.items()}


def cpu_seconds() -> float:
    """Of this process and of the finished processes that it started."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def compared(seconds: dict[str, float], name: str, ours: float) -> str:
    """Time and ratio, or a dash where it was not run."""
    if name not in seconds:
        return "–"
    return f"{short(1e3 * seconds[name])} (×{short(seconds[name] / ours)})"


def short(value: float) -> str:
    """Three digits, never with an exponent."""
    return f"{float(f'{value:.3g}'):f}".rstrip("0").rstrip(".")


def title(text: str) -> None:
    print(f"\n**{text}**\n")


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
