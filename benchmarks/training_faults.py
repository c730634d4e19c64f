"""Training on chips with stuck cells, with devices of unequal windows, that wear out, that are hit.

Digits, 32 hidden nodes, Wan2022 window, 2 % write noise and 1 % read noise per device, 8-bit
converters; median and quartiles of the deployed accuracy over seeds, each with a chip of its own.

* faults: trained on the chip that is deployed, and the same master copy on another chip of the same
  kind. Backpropagation never sees a chip: trained elsewhere, then deployed.
* endurance: cells wear out while they train.
* disturbance: a tenth of the working cells fails when half of the budget is used.

    python benchmarks/training_faults.py --store faults --figure docs/training_faults.png
"""

import argparse
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from zerohm import devices, sweeps, training
from zerohm._figures import PaperFigure, paper
from zerohm._random import stream
from zerohm.training.losses import accuracy

WAYS: dict[str, dict[str, object]] = {
    "backprop": {"method": "backprop", "passes": 3000},
    "node noise": {"method": "node-noise", "passes": 3000},
    "local node perturbation": {"method": "local-node-perturbation", "passes": 3000},
    "NoiseZO, two arrays": {"method": "noisezo", "passes": 4000},
    "NoiseZO, one array": {"method": "noisezo", "passes": 4000, "arrays": "rewritten"},
}
FAST = ("backprop", "node noise", "local node perturbation")
SLOW = ("NoiseZO, two arrays", "NoiseZO, one array")
FRACTIONS = (0.0, 0.02, 0.05, 0.1, 0.2)
SPREADS = (0.3, 1.0)
CYCLES = (100.0, 300.0, 1000.0, 10000.0)
COMMON = {"task": "digits", "write_noise": 0.02, "read_noise": 0.01}


def on_two_chips(way: str, seed: int, **flaws: float) -> xr.Dataset:
    """Accuracies of one run: on its chip, of its master copy, and of that on another chip."""
    settings = COMMON | WAYS[way] | flaws | {"seed": seed}
    run = training.experiment(**settings, chip=seed, evaluations=1, keep_parameters=True)
    other = training.prepare(**settings, chip=1000 + seed)
    parameters = run.final_parameters.values
    # What the method adds to the network (prototypes, bands) is drawn as it was in the run.
    network = other.method.start(other.network, parameters, rng=stream(seed, "training")).network
    rng = stream(seed, "another chip")
    answers = network.program(parameters, rng=rng).forward(other.task.test_inputs, rng=rng)
    names = ["deployed_accuracy", "master_accuracy", "failed_cells"]
    found = run[names].isel(step=-1, drop=True)
    return found.assign(other_accuracy=float(accuracy(answers, other.task.test_labels)))


def wearing_out(way: str, seed: int, characteristic_cycles: float) -> xr.Dataset:
    """Learning curve of a chip whose cells survive so many programming events."""
    settings = COMMON | WAYS[way] | {"seed": seed, "evaluations": 20}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", training.EnduranceWarning)
        return training.experiment(
            **settings, chip=seed, characteristic_cycles=characteristic_cycles
        )


def disturbed(way: str, seed: int, fraction: float) -> xr.Dataset:
    """Learning curve of a chip of which this fraction of cells fails in the middle."""
    ready = training.prepare(**COMMON, **WAYS[way], seed=seed, chip=seed)
    cell = devices.flawed(devices.preset("Wan2022"), stuck_fraction=fraction)
    assert cell.faults is not None
    return training.fit(
        ready.network,
        ready.task,
        method=ready.method,
        seed=seed,
        passes=ready.settings.passes,
        batch=ready.settings.batch,
        evaluations=20,
        disturbances=[training.Disturbance(at=0.5, faults=cell.faults)],
        progress=False,
    )


def quartiles(values: ArrayLike) -> str:
    """Median (lower to upper quartile) in percent."""
    low, median, high = 100 * np.percentile(values, [25, 50, 75])
    return f"{median:5.1f} ({low:.1f} to {high:.1f})"


def fault_table(result: xr.Dataset, flaw: str) -> None:
    """One line per way and level of a flaw."""
    print(f"{'way':26} {flaw:15} {'its own chip (%)':22} {'another chip (%)':22} master copy (%)")
    for way in result.way.values:
        for level in result[flaw].values:
            point = result.sel(way=way).sel({flaw: level})
            names = ("deployed_accuracy", "other_accuracy", "master_accuracy")
            row = " ".join(f"{quartiles(point[name]):22}" for name in names)
            print(f"{way:26} {level:<15g} {row}")


def curve(result: xr.Dataset, way: str, level: str, value: float) -> np.ndarray:
    """Deployed accuracies (seed, record) of one way and level."""
    seen = result.deployed_accuracy_curve.sel(way=way).sel({level: value})
    return seen.dropna("step").transpose("seed", "step").values


def curve_table(result: xr.Dataset, level: str, cells: int) -> None:
    """Accuracy at half of the budget, at the next record, at the end; and what has failed."""
    print(f"{'way':26} {level:22} {'at half (%)':22} {'next record':22} {'end':22} failed (%)")
    for way in result.way.values:
        for value in result[level].values:
            seen = curve(result, way, level, value)
            failed = result.failed_cells.sel(way=way).sel({level: value}) / cells
            row = " ".join(f"{quartiles(seen[:, at]):22}" for at in (9, 10, 19))
            print(f"{way:26} {value:<22g} {row} {quartiles(failed)}")


def draw_levels(ax: Axes, result: xr.Dataset, flaw: str, label: str) -> None:
    """Own chip solid, another chip dotted."""
    for way in result.way.values:
        color = f"C{list(WAYS).index(str(way))}"
        point = result.sel(way=way)
        own = 100 * point.deployed_accuracy.median("seed")
        ax.plot(100 * result[flaw], own, "o-", color=color, label=str(way))
        if way != "backprop":
            other = 100 * point.other_accuracy.median("seed")
            ax.plot(100 * result[flaw], other, ":", color=color)
    ax.set_xlabel(label)


def draw_curves(ax: Axes, result: xr.Dataset, level: str, names: dict[float, str]) -> None:
    """Learning curves, one colour per way, one line style per level."""
    progress = 5 * np.arange(1, 21)
    styles = ("-", "--", ":", "-.")
    for way in result.way.values:
        for style, (value, name) in zip(styles, names.items(), strict=False):
            median = np.median(curve(result, way, level, value), axis=0)
            color = f"C{list(WAYS).index(str(way))}"
            ax.plot(progress, 100 * median, style, color=color, label=name or way)
    ax.set_xlabel("used part of the budget (%)")


def draw(faults: Iterable[xr.Dataset], worn: xr.Dataset, hit: xr.Dataset) -> PaperFigure:
    """Accuracy against stuck cells, with wear, and with damage at half of the budget."""
    with paper(2):
        figure = PaperFigure(layout="constrained")
        figure.set_size_inches(7.16, 2.7)
        axes = figure.subplots(1, 3, sharey=True)
        for result in faults:
            draw_levels(axes[0], result, "stuck_fraction", "stuck cells (%)")
        draw_curves(axes[1], worn, "characteristic_cycles", {c: f"{c:g}" for c in CYCLES})
        draw_curves(axes[2], hit, "fraction", {0.1: ""})
        axes[0].set_ylabel("test accuracy (%)")
        axes[1].legend(title="63 % fail within\nso many events")
        titles = (
            "own chip, dotted: another",
            "node noise, cells wear out",
            "a tenth fails at half",
        )
        for ax, title in zip(axes, titles, strict=True):
            ax.set_title(title)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def main() -> None:
    """Print the tables and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--store", help="folder for finished runs, from which a run resumes")
    parser.add_argument("--figure", help="path of a figure")
    options = parser.parse_args()
    folder = None if options.store is None else Path(options.store)

    def swept(name: str, experiment: Any, **grid: Iterable[Any]) -> xr.Dataset:
        return sweeps.run(
            experiment,
            {**grid, "seed": range(options.seeds)},
            store=None if folder is None else folder / f"{name}.zarr",
            workers=options.workers,
            curves=True,
        )

    hit = swept("disturbance", disturbed, way=FAST, fraction=(0.1,))
    worn = swept("endurance", wearing_out, way=["node noise"], characteristic_cycles=CYCLES)
    stuck = swept("stuck", on_two_chips, way=FAST, stuck_fraction=FRACTIONS)
    spread = swept("spread", on_two_chips, way=FAST, window_spread=SPREADS)
    noisezo = swept("noisezo", on_two_chips, way=SLOW, stuck_fraction=(0.0, 0.05))
    cells = training.prepare(**COMMON).network.cells
    fault_table(stuck, "stuck_fraction")
    fault_table(noisezo, "stuck_fraction")
    fault_table(spread, "window_spread")
    curve_table(worn, "characteristic_cycles", cells)
    curve_table(hit, "fraction", cells)
    if options.figure:
        draw((stuck, noisezo), worn, hit).savefig(options.figure)


if __name__ == "__main__":
    main()
