"""Energy, time and wear of training on dual RRAM arrays and on digital CMOS: tables and a figure.

Prints the bill of runs on digits at equal accuracy, the factor that the abstract of NoiseZO claims
under different assumptions, and draws the sensitivity of that factor. Runs are kept in a folder and
are not repeated.

    python benchmarks/energy_comparison.py [--store energy_runs] [--figure docs/energy_ratio.png]
"""

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from zerohm import sweeps, training
from zerohm._errors import InputError
from zerohm._figures import PaperFigure, paper
from zerohm.training import energy
from zerohm.training.adjustments import adjusted
from zerohm.training.energy import CLAIMED_RATIO, Assumptions, CMOSDesign, RandomGenerator

SEEDS = 3
ACCURACIES = (0.85, 0.90, 0.93)
ZEROTH_ORDER = {"passes": 12_000, "batch": 512, "learning_rate": 0.016, "evaluations": 80}
NOISE = {"hardware": "rram", "write_noise": 0.02, "readback_noise": 0.01}
RUNS: dict[str, tuple[dict[str, Any], CMOSDesign]] = {
    "NoiseZO, dual arrays": ({"method": "noisezo", **NOISE, **ZEROTH_ORDER}, CMOSDesign()),
    "MeZO, CMOS int8": ({"method": "mezo", "hardware": "int8", **ZEROTH_ORDER}, CMOSDesign()),
    "MeZO, CMOS float32": (
        {"method": "mezo", "hardware": "digital", **ZEROTH_ORDER},
        CMOSDesign(arithmetic="float32"),
    ),
    "backpropagation, CMOS float16": (
        {"method": "backprop", "hardware": "digital", "passes": 1000, "evaluations": 250},
        CMOSDesign(arithmetic="float16"),
    ),
}

NETWORKS = {
    "vowel 10-32-11": Assumptions(sizes=(10, 32, 11), batch=512),
    "digits 64-32-10": Assumptions(sizes=(64, 32, 10), batch=512),
    "MNIST 784-64-10": Assumptions(sizes=(784, 64, 10), batch=1024),
}
GENERATORS = {
    "signs": RandomGenerator(law="signs"),
    "four bytes, leaping registers": RandomGenerator(),
    "four bytes, shifting registers of 32 bits": RandomGenerator(flip_flops_per_bit=32.0),
    "twelve words, shifting registers of 32 bits": RandomGenerator(
        terms=12, bits=16, flip_flops_per_bit=32.0
    ),
    "Box–Muller, leaping registers": RandomGenerator(law="box-muller"),
}
SCENARIOS: dict[str, dict[str, Any]] = {
    "as simulated, reference int8": {},
    "batch 1": {"batch": 1},
    "batch 64": {"batch": 64},
    "reference float16": {"digital.arithmetic": "float16"},
    "reference float32": {"digital.arithmetic": "float32"},
    "float32, weights fetched for every sample": {
        "digital.arithmetic": "float32",
        "digital.units": (1, 16),
    },
    "float32, no reuse of weights or signals": {
        "digital.arithmetic": "float32",
        "digital.units": (1, 1),
    },
    "int8, every SRAM of weights 1 MiB": {"digital.macro_bytes": 2**20},
    "int8, weights off the chip": {"digital.memory": "dram"},
    "int8, weights off the chip, no reuse": {"digital.memory": "dram", "digital.units": (1, 1)},
    "reference a processor": {"digital.processor": True},
    "Gaussians by Box–Muller": {"digital.generator.law": "box-muller"},
    "pulses of 1 pJ": {"programming.pulse_energy": 1e-12},
    "one pulse, no verify": {"programming.pulses_per_write": 1.0, "verify_reads": 0.0},
    "a tenth of the cells rewritten": {"fraction_rewritten": 0.1},
    "16 mini-batches per programming": {"batches_per_programming": 16},
    "16 mini-batches, float32": {
        "batches_per_programming": 16,
        "digital.arithmetic": "float32",
    },
    "all logic and memory at 7 nm": {"digital.technology.node_nm": 7},
    "all logic and memory at 130 nm": {"digital.technology.node_nm": 130},
}
RANGES: dict[str, tuple[str, tuple[Any, Any]]] = {
    "programming.pulse_energy": ("pulse energy 1 – 100 pJ", (1e-12, 100e-12)),
    "programming.pulses_per_write": ("pulses per write 1 – 20", (1.0, 20.0)),
    "verify_reads": ("verify reads per pulse 0 – 4", (0.0, 4.0)),
    "fraction_rewritten": ("cells rewritten 10 – 100 %", (0.1, 1.0)),
    "batches_per_programming": ("mini-batches per programming 1 – 16", (1, 16)),
    "batch": ("batch 32 – 4096", (32, 4096)),
    "digital.arithmetic": ("arithmetic int8 – float32", ("int8", "float32")),
    "digital.units": ("unit array 1×1 – 64×64", ((1, 1), (64, 64))),
    "digital.technology.node_nm": ("node 130 – 7 nm", (130, 7)),
    "digital.macro_bytes": ("SRAM of weights as needed – 1 MiB", (0, 2**20)),
    "digital.memory": ("weights in SRAM – DRAM", ("sram", "dram")),
    "digital.generator.terms": ("random bits per Gaussian 16 – 256", (2, 32)),
    "digital.generator.flip_flops_per_bit": ("flip-flops per random bit 1 – 32", (1.0, 32.0)),
    "adc.energy_at_8_bits": ("8-bit conversion 0.5 – 5 pJ", (0.5e-12, 5e-12)),
    "dac.energy_per_bit": ("DAC 0.1 – 1 pJ per bit", (0.1e-12, 1e-12)),
    "cell_read": ("cell read at full scale 3 – 300 fJ", (3e-15, 300e-15)),
    "reference_updates": ("reference updates per update 0.5 – 2", (0.5, 2.0)),
}


def changed(base: Assumptions, changes: Mapping[str, Any]) -> Assumptions:
    """The assumptions with several fields replaced."""
    for path, value in changes.items():
        base = adjusted(base, path, value)
    return base


def run_of(settings: dict[str, Any], seed: int, folder: Path) -> xr.Dataset:
    """One training run on digits, from the folder if it is there."""
    path = folder / f"{settings['method']}_{settings['hardware']}_{seed}.nc"
    if not path.exists():
        run = training.experiment(task="digits", seed=seed, **settings)
        sweeps.save(run, path)
    return sweeps.load(path)


def print_runs(folder: Path) -> None:
    """What runs on digits spent until they reached an accuracy, median over seeds."""
    runs = {
        name: [run_of(settings, seed, folder) for seed in range(SEEDS)]
        for name, (settings, _) in RUNS.items()
    }
    for accuracy in ACCURACIES:
        print(f"\ndigits, {accuracy:.0%} deployed, median of {SEEDS} seeds")
        print("| design | passes | energy (µJ) | time (ms) | writes per cell | largest parts |")
        print("| --- | --- | --- | --- | --- | --- |")
        for name, seeds in runs.items():
            print(f"| {name} | {row(name, seeds, accuracy)} |")


def row(name: str, runs: list[xr.Dataset], accuracy: float) -> str:
    """One row of the table of runs."""
    try:
        spent = [energy.energy_to_reach(run, accuracy, RUNS[name][1]) for run in runs]
    except InputError:
        return "not reached by all seeds | | | | "
    middle = xr.concat(spent, "seed", combine_attrs="override").median("seed")
    share = (middle.energy_J / middle.energy_J.sum()).to_series().nlargest(4)
    parts = ", ".join(f"{part} {100 * value:.0f} %" for part, value in share.items())
    return (
        f"{middle.forward_passes:.0f} | {1e6 * middle.total_energy:.0f} | "
        f"{1e3 * middle.time_s:.2f} | {middle.writes_per_cell:.0f} | {parts}"
    )


def rounded(ratio: float) -> str:
    """Two digits, or all before the point."""
    return f"{ratio:.2g}" if ratio < 10 else f"{ratio:.0f}"


def print_claim() -> None:
    """The ratio of one update under different assumptions, for three networks."""
    print(f"\nenergy of CMOS over energy of dual arrays (claimed: {CLAIMED_RATIO:g})")
    print(f"| assumption | {' | '.join(NETWORKS)} |")
    print("| --- " * (1 + len(NETWORKS)) + "|")
    for name, changes in SCENARIOS.items():
        ratios = [changed(network, changes).ratio for network in NETWORKS.values()]
        print(f"| {name} | {' | '.join(map(rounded, ratios))} |")


def print_shares() -> None:
    """Where one update's energy goes on either side."""
    print("\nshares of one update (%), reference int8 and float32")
    print(f"| network | side | total (µJ) | {' | '.join(energy.ENERGY_PARTS)} |")
    print("| --- " * (3 + len(energy.ENERGY_PARTS)) + "|")
    for name, base in NETWORKS.items():
        wide = replace(base, digital=CMOSDesign(arithmetic="float32"))
        sides = {"arrays": base.arrays, "int8": base.reference, "float32": wide.reference}
        for side, parts in sides.items():
            total = sum(parts.values())
            shares = " | ".join(f"{100 * parts[part] / total:.0f}" for part in energy.ENERGY_PARTS)
            print(f"| {name} | {side} | {1e6 * total:.3g} | {shares} |")


def print_random_share() -> None:
    """Share of random numbers in one update of the reference."""
    print("\nshare of random numbers in MeZO on CMOS int8 (%)")
    print("| generator | per number (pJ) | digits, batch 1 | digits, batch 512 |")
    print("| --- | --- | --- | --- |")
    for name, generator in GENERATORS.items():
        design = CMOSDesign(generator=generator)
        base = replace(NETWORKS["digits 64-32-10"], digital=design)
        sides = [replace(base, batch=batch).reference for batch in (1, 512)]
        shares = [f"{100 * parts['random'] / sum(parts.values()):.1f}" for parts in sides]
        each = 1e12 * generator.energy(design.technology)
        print(f"| {name} | {each:.3g} | {' | '.join(shares)} |")


def draw(base: Assumptions, path: Path) -> None:
    """Tornado: the ratio with one assumption changed at a time, the most important one on top."""
    found = energy.sensitivity(base, {name: ends for name, (_, ends) in RANGES.items()})
    low, high = (found.ratio.sel(end=end).values for end in ("low", "high"))
    order = np.argsort(np.abs(np.log(high / low)))
    with paper():
        figure = PaperFigure(figsize=(5.0, 4.0), layout="constrained")
        axes = figure.subplots()
        for place, index in enumerate(order):
            for ends, colour, text in ((low, "C0", "first value"), (high, "C1", "second value")):
                axes.barh(
                    place,
                    ends[index] - base.ratio,
                    left=base.ratio,
                    color=colour,
                    label=None if place else text,
                )
        axes.axvline(base.ratio, color="0.2", label=f"all as simulated: {base.ratio:.1f}")
        claimed = f"claimed by Wang et al. 2025: {CLAIMED_RATIO:g}"
        axes.axvline(CLAIMED_RATIO, color="0.2", linestyle="--", label=claimed)
        axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)
        axes.margins(y=0.01)
        axes.set_yticks(range(len(order)), [list(RANGES.values())[index][0] for index in order])
        axes.set(
            xscale="log",
            xlim=(0.2, 30),
            xlabel="energy of CMOS / energy of dual arrays, one update",
        )
        figure.savefig(path)


def main() -> None:
    """Print the tables and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, default=Path("energy_runs"))
    parser.add_argument("--figure", type=Path, default=Path("docs/energy_ratio.png"))
    options = parser.parse_args()
    print_claim()
    print_shares()
    print_random_share()
    draw(NETWORKS["MNIST 784-64-10"], options.figure)
    options.store.mkdir(parents=True, exist_ok=True)
    print_runs(options.store)


if __name__ == "__main__":
    main()
