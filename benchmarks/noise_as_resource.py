"""Noise as a resource: what every harvest of device noise reaches, and at which price.

Digits, 64-32-10, Wan2022 window, 8-bit converters; unless varied 2 % write noise, 1 % read noise
and 1 % read-back noise per device. Accuracy is that of freshly programmed arrays with the noise of
training. Three parts, each with its tables and figures: learning curves of all harvests beside
software methods, with the energy at equal accuracy; accuracy against read noise; accuracy, and
what deployment loses, against write noise. Finished runs are kept in the store, from which a
stopped benchmark goes on.

    python benchmarks/noise_as_resource.py [curves] [read] [write] [--store DIR] [--out docs]
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from scipy.stats import t

from zerohm import sweeps, training
from zerohm._errors import InputError
from zerohm._figures import PaperFigure, paper
from zerohm.training import energy
from zerohm.training.energy import CMOSDesign

RECORDS = 60
WEIGHTS = {"method": "noisezo", "write_noise": 0.02, "readback_noise": 0.01, "batch": 512}
NODES = {"method": "node-noise", "write_noise": 0.02, "read_noise": 0.01}
HARVESTS: dict[str, dict[str, Any]] = {  # rates are recipes, or the best on a validation part
    "Weights, write noise": {**WEIGHTS, "passes": 8_000},
    "Weights, credited": {
        **WEIGHTS,
        "credit": "cells",
        "learning_rate": 0.04,
        "passes": 8_000,
    },
    "Weights, one array": {
        **WEIGHTS,
        "arrays": "single",
        "running_means": 100,
        "learning_rate": 0.003,
        "passes": 6_000,
    },
    "Nodes, read noise": {**NODES, "passes": 4_000},
    "Nodes, write noise": {**NODES, "arrays": 2, "read_noise": 0.0, "passes": 4_000},
    "Nodes, both noises": {**NODES, "arrays": 2, "passes": 4_000},
}
SOFTWARE: dict[str, dict[str, Any]] = {
    "MeZO": {
        "method": "mezo",
        "hardware": "int8",
        "batch": 512,
        "learning_rate": 0.016,
        "passes": 8_000,
    },
    "Node perturbation": {
        "method": "node-perturbation",
        "hardware": "int8",
        "batch": 256,
        "passes": 4_000,
    },
    "Backpropagation": {"method": "backprop", "hardware": "digital", "passes": 1_000},
}
DESIGNS = {"Backpropagation": CMOSDesign(arithmetic="float16")}
"""Digital technology of runs that int8 is too narrow for."""

PANELS = (
    ("Weights, write noise", "Weights, credited", "Weights, one array", "MeZO"),
    ("Nodes, read noise", "Nodes, write noise", "Nodes, both noises", "Node perturbation"),
)
BEST = "Backpropagation"
ACCURACIES = (0.90, 0.95)
SHARED_ACCURACY = 0.90

KINDS = {
    **dict.fromkeys(("write", "verify", "read_back"), "programming"),
    **dict.fromkeys(("array", "dac", "adc"), "arrays and converters"),
    "digital": "digital arithmetic",
    "update": "update",
    "buffers": "memory",
    "random": "random numbers",
}

READ_LEVELS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08)
WRITE_LEVELS = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16)
SHORT: dict[str, dict[str, Any]] = {
    "Nodes, read noise": {**NODES, "passes": 1_000},
    "Nodes, write noise": {**NODES, "arrays": 2, "read_noise": 0.0, "passes": 1_000},
    "Nodes, both noises": {**NODES, "arrays": 2, "passes": 1_000},
    "Weights, credited": {
        **WEIGHTS,
        "credit": "cells",
        "learning_rate": 0.04,
        "passes": 2_000,
    },
    "Backpropagation": {"method": "backprop", "passes": 1_000},
}
"""Settings of the runs with varied noise; these of backpropagation never see it in training."""


def trained(harvest: str, **settings: Any) -> xr.Dataset:
    """One short run of a harvest by its name."""
    return training.experiment(task="digits", evaluations=1, **{**SHORT[harvest], **settings})


def curves(store: Path, seeds: int) -> dict[str, xr.Dataset]:
    """Runs of every harvest and software method over ``seed``, with their records."""
    return {
        name: sweeps.run(
            training.experiment,
            {"seed": range(seeds)},
            fixed={"task": "digits", "evaluations": RECORDS, **settings},
            store=store / f"{name}.zarr",
            curves=True,
        ).load()
        for name, settings in (HARVESTS | SOFTWARE).items()
    }


def runs_of(swept: xr.Dataset) -> list[xr.Dataset]:
    """Every seed's training run with its records, as the energy bill wants it."""
    whole = swept[[name for name in swept if str(name).endswith("_curve")]]
    whole = whole.rename({name: str(name).removesuffix("_curve") for name in whole})
    return [whole.sel(seed=seed) for seed in swept.seed.values]


def spent(name: str, swept: xr.Dataset, accuracy: float) -> xr.Dataset | None:
    """What every seed had spent at an accuracy, over ``seed``; None if one never reached it."""
    try:
        rows = [
            energy.energy_to_reach(run, accuracy, DESIGNS.get(name)).drop_vars("seed")
            for run in runs_of(swept)
        ]
    except InputError:
        return None
    return xr.concat(rows, swept.seed, combine_attrs="override")


def print_reached(found: Mapping[str, xr.Dataset]) -> None:
    """Final accuracies, and what was spent until each of some accuracies."""
    print(f"digits, median (least to most) of {next(iter(found.values())).sizes['seed']} seeds")
    print("| harvest | deployed (%) | master (%) | passes (batch) | sample-forwards | writes |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, swept in found.items():
        last = swept.median("seed")
        passes = int(last.forward_passes)
        print(
            f"| {name} | {percent(swept.deployed_accuracy)} | {percent(swept.master_accuracy)} | "
            f"{passes} ({round(float(last.sample_forwards) / passes)}) | "
            f"{float(last.sample_forwards):.2g} | {float(last.cell_writes):.0f} |"
        )
    for accuracy in ACCURACIES:
        print(f"\n{accuracy:.0%} deployed, median")
        print("| harvest | passes | sample-forwards | energy (µJ) | time (ms) | writes | parts |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        for name, swept in found.items():
            row = spent(name, swept, accuracy)
            if row is None:
                print(f"| {name} | not reached by all seeds | | | | | |")
                continue
            last = row.median("seed")
            shares = (last.energy_J / last.energy_J.sum()).to_series().nlargest(3)
            batch = round(float((swept.sample_forwards / swept.forward_passes).median()))
            print(
                f"| {name} | {float(last.forward_passes):.0f} | "
                f"{float(last.forward_passes) * batch:.2g} | {1e6 * float(last.total_energy):.0f} "
                f"| {1e3 * float(last.time_s):.2f} | {float(last.writes_per_cell):.0f} | "
                f"{', '.join(f'{part} {100 * value:.0f} %' for part, value in shares.items())} |"
            )


def percent(accuracy: xr.DataArray) -> str:
    """Median (least to most) in percent."""
    low, middle, high = 100 * np.quantile(accuracy.values, [0, 0.5, 1])
    return f"{middle:.1f} ({low:.1f} to {high:.1f})"


def thinned(swept: xr.Dataset, points: int = 12) -> xr.Dataset:
    """Some of the records, equally spaced on a logarithmic axis."""
    last = swept.sizes["step"]
    return swept.isel(step=np.unique(np.geomspace(1, last, points).round().astype(int)) - 1)


def draw_curves(found: Mapping[str, xr.Dataset], path: Path) -> None:
    """Accuracy against sample-forwards: harvests by weights, and by nodes."""
    with paper(2):
        figure = PaperFigure(figsize=(7.16, 3.1), layout="constrained")
        panels = figure.subplots(1, 2, sharex=True, sharey=True)
        for axes, names in zip(panels, PANELS, strict=True):
            shown = {name: thinned(found[name]) for name in (*names, BEST)}
            sweeps.learning_curves(shown, x="sample_forwards", band="quartiles", ax=axes)
            axes.set(xscale="log", ylim=(0, 100))
        panels[1].set_ylabel("")
        figure.savefig(path)


def draw_energy(found: Mapping[str, xr.Dataset], path: Path) -> None:
    """The bill at equal accuracy of those who reached it, by few kinds of parts."""
    bills = {name: spent(name, swept, SHARED_ACCURACY) for name, swept in found.items()}
    shown = {name: of_kinds(bill) for name, bill in bills.items() if bill is not None}
    by_weights, by_nodes = PANELS
    with paper(2):
        figure = PaperFigure(figsize=(7.16, 3.0), layout="constrained")
        panels = figure.subplots(1, 2)
        for axes, names in zip(panels, (by_weights, (*by_nodes, BEST)), strict=True):
            sweeps.energy_breakdown({n: shown[n] for n in names if n in shown}, ax=axes)
            axes.tick_params(axis="x", labelrotation=30)
            for label in axes.get_xticklabels():
                label.set(ha="right", rotation_mode="anchor")
        figure.savefig(path)


def of_kinds(bill: xr.Dataset) -> xr.Dataset:
    """A bill whose parts are summed to the kinds of :data:`KINDS`."""
    kinds = [KINDS[str(part)] for part in bill.part.values]
    summed = bill.energy_J.assign_coords(part=kinds).groupby("part").sum()
    order = list(dict.fromkeys(KINDS.values()))
    return summed.sel(part=order).assign_attrs(bill.energy_J.attrs).to_dataset()


def swept_noise(
    variable: str, levels: Sequence[float], names: Sequence[str], store: Path, seeds: int
) -> xr.Dataset:
    """Short runs of some harvests over one kind of noise, and what deployment loses."""
    result = sweeps.run(
        trained,
        {"harvest": list(names), variable: levels, "seed": range(seeds)},
        store=store / f"{variable}.zarr",
    )
    lost = 100 * (result.master_accuracy - result.deployed_accuracy)
    lost.attrs = {"units": "percentage points", "long_name": "Lost in deployment"}
    return result.assign(lost=lost)


def print_levels(result: xr.Dataset, variable: str) -> None:
    """Accuracies at every level, and the best level with all that it can't be told from."""
    levels = result[variable].values
    print(f"\n{variable}, deployed / master (%), mean of {result.sizes['seed']} seeds")
    print(
        f"| harvest | {' | '.join(f'{100 * level:g} %' for level in levels)} | best deployed | "
        "best master |"
    )
    print("| --- " * (3 + len(levels)) + "|")
    for name in result.harvest.values:
        row = result.sel(harvest=name)
        deployed, master = 100 * row.deployed_accuracy, 100 * row.master_accuracy
        cells = [
            "refused"
            if "too small" in str(row.error.sel({variable: level}).values.ravel()[0])
            else f"{float(deployed.sel({variable: level}).mean()):.1f} / "
            f"{float(master.sel({variable: level}).mean()):.1f}"
            for level in levels
        ]
        found = " | ".join(optimum(values, variable) for values in (deployed, master))
        print(f"| {name} | {' | '.join(cells)} | {found} |")


def optimum(accuracy: xr.DataArray, variable: str) -> str:
    """The best level, its mean ± standard error, and all levels that can't be told from it.

    The test is Student's of the difference of two levels, seed by seed, at 5 % (two-sided).
    """
    complete = accuracy.dropna(variable)
    levels, seeds = complete[variable].values, accuracy.sizes["seed"]
    best = complete.isel({variable: int(np.argmax(complete.mean("seed").values))})
    behind = best - complete
    error = behind.std("seed", ddof=1) / np.sqrt(seeds)
    alike = levels[(behind.mean("seed") <= t.ppf(0.975, seeds - 1) * error).values]
    own = float(best.std("seed", ddof=1)) / np.sqrt(seeds)
    return (
        f"{100 * float(best[variable]):g} %: {float(best.mean()):.1f} ± {own:.1f} "
        f"(alike {100 * alike.min():g} to {100 * alike.max():g} %)"
    )


def main() -> None:
    """Print the tables and draw the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", help="curves, read, write; default all")
    parser.add_argument("--store", type=Path, default=Path("noise_as_resource"))
    parser.add_argument("--out", type=Path, default=Path("docs"))
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    parts = options.parts or ["curves", "read", "write"]
    options.store.mkdir(parents=True, exist_ok=True)
    if "curves" in parts:
        found = curves(options.store, options.seeds)
        print_reached(found)
        draw_curves(found, options.out / "noise_as_resource_accuracy.png")
        draw_energy(found, options.out / "noise_as_resource_energy.png")
    if "read" in parts:
        names = ["Nodes, read noise", "Nodes, both noises"]
        result = swept_noise("read_noise", READ_LEVELS, names, options.store, options.seeds)
        print_levels(result, "read_noise")
        sweeps.noise_accuracy(result, "read_noise").savefig(
            options.out / "noise_as_resource_read.png"
        )
    if "write" in parts:
        names = ["Nodes, read noise", "Nodes, write noise", "Weights, credited", "Backpropagation"]
        result = swept_noise("write_noise", WRITE_LEVELS, names, options.store, options.seeds)
        print_levels(result, "write_noise")
        sweeps.noise_accuracy(result, "write_noise").savefig(
            options.out / "noise_as_resource_write.png"
        )
        sweeps.error_versus_size(result, "lost", "write_noise").savefig(
            options.out / "noise_as_resource_deployed.png"
        )


if __name__ == "__main__":
    main()
