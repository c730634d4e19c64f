"""Harvests of noise against noise with a memory: two tables and a figure.

Every cell has write noise, and a fluctuation of the same variance: white, with a correlation time
around the time of a pass, 1/f, relaxation, or drift; and cells of technology B (Levy2024-B) are
compared with cells of the same variance whose noise is white.

``estimates``: length of the mean estimate along the exact gradient, its variance, and the share of
the fluctuation that a harvest sees. ``accuracy``: digits, 64-32-10, deployed accuracy. Finished
runs are kept in the store.

    python benchmarks/noise_in_time.py estimates
    python benchmarks/noise_in_time.py accuracy --store noise_in_time --seeds 3
    python benchmarks/noise_in_time.py figure --store noise_in_time
"""

import argparse
import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from numpy.random import Generator

from zerohm import InputError, datasets, devices, sweeps, training
from zerohm._arrays import Array
from zerohm._figures import PaperFigure, paper
from zerohm._random import stream
from zerohm.devices import (
    Cell,
    ConstantNoise,
    FlickerNoise,
    PolynomialNoise,
    PowerLawDrift,
    Relaxation,
    StateTable,
    TelegraphNoise,
)
from zerohm.mapping import RRAMHardware, photonic, rram
from zerohm.training import Network, NoiseZO, mlp
from zerohm.training.estimators import Observation, covariance
from zerohm.training.losses import Labels, cross_entropy
from zerohm.training.node_noise import NodeNoise
from zerohm.training.write_noise_statistics import CrossCovariance

LOW, HIGH = 50e-6, 100e-6  # S: far from the floor, where nothing clips
READ = 100e-9  # s, one input vector: the read cycle of a crossbar
DRIFT_GAIN = 0.8

# --------------------------------------------------------------------------------------------
# Noise processes of one variance


@dataclass(frozen=True)
class Process:
    """Cells, and how long they settle before their first use."""

    cell: Cell
    settling_time: float = 0.0


def plain(sigma: float) -> Cell:
    """Write noise of a standard deviation (S), the same in all states."""
    return Cell(
        name="plain",
        conductance_min=LOW,
        conductance_max=HIGH,
        write_noise=ConstantNoise(sigma=sigma),
    )


def relative(value: float, power: int = 1) -> StateTable:
    """A relative amplitude, such that value = amplitude · G^power in every state."""
    states = np.geomspace(LOW / 2, 2 * HIGH, 65)
    return StateTable(
        conductance=tuple(states.tolist()),
        values=tuple((value / states**power).tolist()),
        interpolation="logarithmic",
    )


def telegraph(sigma: float, correlation_time: float) -> TelegraphNoise:
    """One symmetric trap: its two levels are 2σ apart."""
    dwell = 2 * correlation_time
    return TelegraphNoise(
        amplitude=relative(2 * sigma), capture_time_s=dwell, emission_time_s=dwell
    )


def flicker(sigma: float, pass_time: float) -> FlickerNoise:
    """1/f noise over three decades on either side of a pass."""
    middle = 1 / (2 * math.pi * pass_time)
    return FlickerNoise(
        amplitude=relative(sigma**2 / math.log(1e6), power=2),
        frequency_min=1e-3 * middle,
        frequency_max=1e3 * middle,
    )


def processes(sigma: float, pass_time: float) -> dict[str, Process]:
    """Write noise and a fluctuation, both of standard deviation ``sigma`` (S), by name."""
    cell, settled = plain(sigma), 1e4 * pass_time
    decade = Relaxation(variance_per_decade=sigma**2, onset_s=pass_time / 9)
    found = {
        "none": Process(cell),
        "white": Process(replace(cell, read_noise=ConstantNoise(sigma=sigma))),
    }
    for ratio in (0.1, 1.0, 10.0, 100.0):
        noise = telegraph(sigma, ratio * pass_time)
        found[f"telegraph {ratio:g}"] = Process(replace(cell, telegraph_noise=noise), settled)
    found |= {
        "telegraph 100, not settled": Process(found["telegraph 100"].cell),
        "1/f": Process(replace(cell, flicker_noise=flicker(sigma, pass_time)), settled),
        "relaxation before": Process(
            replace(cell, relaxation=replace(decade, onset_s=settled / 9)), settled
        ),
        "relaxation after": Process(replace(cell, relaxation=decade)),
        "drift": Process(
            replace(
                cell,
                drift=PowerLawDrift(exponent_mean=-math.log10(DRIFT_GAIN), onset_s=pass_time / 9),
            )
        ),
    }
    return found


TECHNOLOGY_B = "Levy2024-B"


def technology_b(settling_time: float) -> Process:
    """The preset: write noise, relaxation, 1/f and white read noise."""
    return Process(devices.preset(TECHNOLOGY_B), settling_time)


def white_b(settling_time: float) -> Process:
    """Cells of technology B whose write noise has the variance of all that moves until then.

    Its standard deviation is a polynomial of degree 12 in the conductance, within 9 % of it.
    """
    cell = devices.preset(TECHNOLOGY_B)
    assert cell.relaxation is not None
    assert cell.flicker_noise is not None
    states = np.linspace(cell.conductance_min, cell.conductance_max, 500)
    decades = math.log10(1 + settling_time / cell.relaxation.onset_s)
    table = cell.relaxation.variance_per_decade
    assert isinstance(table, StateTable)
    variance = cell.write_noise.std(states) ** 2 + decades * table(states)
    noise = cell.flicker_noise
    variance += 2 * (noise.autocovariance(0, states) - noise.autocovariance(settling_time, states))
    fit = np.polynomial.Polynomial.fit(states / 1e-6, np.sqrt(variance) / 1e-6, 12)
    law = PolynomialNoise(
        coefficients=tuple(fit.convert().coef.tolist()), scale=1e-6, reference=1e-6
    )
    return Process(
        replace(cell, write_noise=law, relaxation=None, flicker_noise=None), settling_time
    )


# --------------------------------------------------------------------------------------------
# Harvests


_CELLS: dict[str, Any] = {"credit": "cells", "learning_rate": 0.04}
HARVESTS: dict[str, Any] = {
    "dual": NoiseZO(**_CELLS),
    "dual, cross-covariance": NoiseZO(**_CELLS, cross_covariance=True),
    "dual, running means": NoiseZO(**_CELLS, running_means=100),
    "single": NoiseZO(arrays="single", running_means=100, credit="cells", learning_rate=0.01),
    "nodes, two arrays": NodeNoise(arrays=2),
    "nodes, one array in turn": NodeNoise(arrays=1),
}


def hardware(process: Process, **options: object) -> RRAMHardware:
    """Arrays whose operations take their time."""
    return rram(process.cell, settling_time=process.settling_time, running_clock=True, **options)


# --------------------------------------------------------------------------------------------
# Estimates: the mean against the exact gradient


@dataclass(frozen=True)
class Problem:
    """A small network after some training, its data, and its exact gradient (d,)."""

    network: Network
    weights: Array
    x: Array
    labels: Labels
    gradient: Array


SAMPLES = 32


def problem(process: Process) -> Problem:
    """6-8-4, tanh, with exact converters."""
    network = mlp(
        [6, 8, 4],
        hardware=hardware(process, dac=None, adc=None, precision="float64"),
        activation="tanh",
        input_limit=4.0,
    )
    rng = stream(1, "data")
    labels = np.arange(SAMPLES) % 4
    centres = rng.standard_normal((4, 6))
    x = np.clip(0.5 * (centres[labels] + 0.5 * rng.standard_normal((SAMPLES, 6))), -4, 4)
    weights = network.initial_parameters(rng).astype(float)
    for _ in range(30):
        weights -= 0.3 * network.gradient(weights, x, labels)[1]
    return Problem(network, weights, x, labels, network.gradient(weights, x, labels)[1])


def write_noise_estimates(
    case: Problem, pairs: int, *, bracketed: bool, seed: int, chunk: int = 2000
) -> Array:
    """Estimates (pairs, d) from pairs of arrays; ``bracketed`` measures the covariance."""
    blocks = range(math.ceil(pairs / chunk))
    return np.concatenate(
        [_of_pairs(case, chunk, bracketed, stream(seed, block)) for block in blocks]
    )


def _of_pairs(case: Problem, pairs: int, bracketed: bool, rng: Generator) -> Array:
    state = case.network.program(case.weights, rng=rng, copies=2 * pairs)

    def read_back() -> Array:
        return state.read_back(rng=rng).reshape(2, pairs, -1)

    earlier = read_back() if bracketed else None
    losses = cross_entropy(state.forward(case.x, rng=rng), case.labels).reshape(2, pairs)
    read = read_back()
    noise = case.network.write_noise(case.weights)
    if earlier is not None:
        measured = CrossCovariance(memory=pairs)
        for one, other in zip(earlier[0] - earlier[1], read[0] - read[1], strict=True):
            gains = measured.gains(case.network, one, other, 2 * np.square(noise.std))
        noise, read = replace(noise, std=noise.std * np.sqrt(gains)), (earlier + read) / 2
    return covariance(
        Observation(
            loss_difference=losses[0] - losses[1],
            written=case.weights,
            read_back=read,
            write_noise=noise,
            read_back_std=np.zeros(()),
        )
    )


def node_noise_estimates(
    case: Problem, method: NodeNoise, draws: int, *, seed: int, repeats: int = 1
) -> Array:
    """Estimates (draws, d), each after a programming event of its own.

    Events after which no cell moves between the passes are refused and left out.
    """
    trainer = replace(method, foresight_rate=0.0).start(
        case.network, case.weights, rng=stream(seed)
    )
    x, labels = np.tile(case.x, (repeats, 1)), np.tile(case.labels, repeats)
    estimates = []
    for _ in range(draws):
        trainer.program()
        with suppress(InputError):
            estimates.append(trainer.estimate(x, labels)[0])
    return np.array(estimates)


def node_difference(case: Problem, arrays: int, draws: int, *, seed: int) -> float:
    """Mean square difference of the first layer's nodes: of two arrays, or one read in turn."""
    rng, total = stream(seed), 0.0
    for _ in range(draws):
        state = case.network.program(case.weights, rng=rng, copies=arrays)
        passes = [state.layer_values(case.x, rng=rng)[0][1] for _ in range(3 - arrays)]
        first, second = passes if arrays == 1 else passes[0]
        total += float(np.mean(np.square(first - second)))
    return total / draws


def slope(estimates: Array, gradient: Array) -> tuple[float, float]:
    """Mean of ĝ·g/|g|² and its standard error."""
    slopes = estimates @ gradient / (gradient @ gradient)
    return float(slopes.mean()), float(slopes.std(ddof=1) / math.sqrt(len(slopes)))


def misdirection(estimates: Array, gradient: Array) -> tuple[float, float]:
    """cos of the mean to the gradient, and tan² of that angle over what the variance leaves."""
    mean, power = estimates.mean(axis=0), gradient @ gradient
    cosine = float(mean @ gradient / math.sqrt(power * (mean @ mean)))
    along = float(mean @ gradient / power)
    variance = float(np.square(estimates - mean).sum()) / (len(estimates) - 1)
    floor = variance / (len(estimates) * power * along**2)
    return cosine, float((1 / cosine**2 - 1) / floor)


NODES = ("nodes, two arrays", "nodes, one array in turn")


def print_estimates(pairs: int, draws: int) -> None:
    """One line per process and harvest."""
    print(
        f"{'process':28} {'harvest':26} {'slope':>14} {'cosine':>7} {'over floor':>10} "
        f"{'variance':>8} noise / white"
    )
    white: dict[str, float] = {}
    for name, process in processes(0.005 * (HIGH - LOW), SAMPLES * READ).items():
        case = problem(process)
        for bracketed, harvest in ((False, "dual"), (True, "dual, cross-covariance")):
            estimates = write_noise_estimates(case, pairs, bracketed=bracketed, seed=1)
            print_estimate(name, harvest, estimates, case.gradient)
        for harvest in NODES:
            method = HARVESTS[harvest]
            estimates = node_noise_estimates(case, method, draws, seed=2)
            if len(estimates) == 0:
                print(f"{name:28} {harvest:26} both passes are the same", flush=True)
                continue
            power = node_difference(case, method.arrays, draws, seed=2)
            if name == "white":
                white[harvest] = power
            share = f"{power / white.get(harvest, math.nan):.3f}"
            print_estimate(name, harvest, estimates, case.gradient, share)


def print_estimate(
    process: str, harvest: str, estimates: Array, gradient: Array, share: str = ""
) -> None:
    """Length, direction and E|ĝ|²/(d·|g|²) of some estimates."""
    length, error = slope(estimates, gradient)
    cosine, excess = misdirection(estimates, gradient)
    size = np.square(estimates).sum(axis=1).mean() / (len(gradient) * (gradient @ gradient))
    print(
        f"{process:28} {harvest:26} {length:6.3f} ± {error:.3f} {cosine:7.3f} {excess:10.2f} "
        f"{size:8.2f} {share}",
        flush=True,
    )


# --------------------------------------------------------------------------------------------
# Accuracy


BATCH = 256
SETTLED_B = 1.0  # s, of technology B


def process_of(name: str) -> Process:
    """A process of the accuracy table: 1.5 % of the window each, or technology B."""
    if name.startswith(TECHNOLOGY_B):
        return (white_b if "white" in name else technology_b)(SETTLED_B)
    return processes(0.015 * (HIGH - LOW), BATCH * READ)[name]


def trained(harvest: str, process: str, seed: int, passes: int) -> xr.Dataset:
    """One training run on digits."""
    return training.fit(
        mlp([64, 32, 10], hardware=hardware(process_of(process))),
        datasets.load("digits"),
        method=HARVESTS[harvest],
        seed=seed,
        passes=passes,
        batch=BATCH,
        evaluations=1,
        progress=False,
    )


ROWS = (
    "none",
    "white",
    "telegraph 0.1",
    "telegraph 1",
    "telegraph 10",
    "telegraph 100",
    "1/f",
    "relaxation before",
    "relaxation after",
    "drift",
    TECHNOLOGY_B,
    f"{TECHNOLOGY_B}, white",
)


def swept(
    run: Callable[..., xr.Dataset],
    store: Path,
    harvests: Iterable[str],
    grid: Mapping[str, Iterable[Any]],
    passes: int,
) -> dict[str, xr.Dataset]:
    """The runs of every harvest, those that are missing in the store first."""
    store.mkdir(parents=True, exist_ok=True)
    return {
        harvest: sweeps.run(
            run,
            grid,
            fixed={"harvest": harvest, "passes": passes},
            store=store / f"{run.__name__}-{passes}-{harvest.replace(', ', '-')}.zarr",
        )
        for harvest in harvests
    }


def quartiles(runs: xr.Dataset) -> str:
    """Median (least to greatest) of the deployed accuracy in percent, or what was refused."""
    values = 100 * runs.deployed_accuracy.values
    if np.isnan(values).any():
        return "refused"
    return f"{np.median(values):.1f} ({values.min():.1f} to {values.max():.1f})"


def print_accuracy(runs: dict[str, xr.Dataset], over: str) -> None:
    """A line per process, a column per harvest."""
    first = next(iter(runs.values()))
    print(f"{over:26}", *(f"{harvest:>26}" for harvest in runs))
    for row in first[over].values.tolist():
        cells = (quartiles(found.sel({over: row})) for found in runs.values())
        print(f"{row:26}", *(f"{cell:>26}" for cell in cells), flush=True)


# --------------------------------------------------------------------------------------------
# Photonic meshes: phase noise and detector noise


PHOTONIC: dict[str, Any] = {
    "phase noise, weights": NoiseZO(learning_rate=0.005),
    "phase noise, nodes": NodeNoise(arrays=2),
    "detector noise, nodes": NodeNoise(arrays=1),
}


def trained_mesh(harvest: str, split: str, seed: int, passes: int) -> xr.Dataset:
    """One training run on vowel, 10-16-11."""
    task = datasets.load("vowel", split=split)
    return training.fit(
        mlp([10, 16, 11], hardware=photonic(), input_limit=task.input_limit),
        task,
        method=PHOTONIC[harvest],
        seed=seed,
        passes=passes,
        batch=BATCH,
        evaluations=1,
        progress=False,
    )


def print_mesh_estimates(draws: int) -> None:
    """Mean estimates of the small network on meshes with exact converters."""
    case = problem(Process(plain(0.0)))
    case = replace(
        case,
        network=replace(
            case.network,
            layers=tuple(
                replace(layer, hardware=photonic(adc=None, place=place))
                for place, layer in enumerate(case.network.layers)
            ),
        ),
        weights=case.weights.astype(np.float32),
        x=case.x.astype(np.float32),
    )
    for harvest, repeats in (("phase noise, nodes", 1), ("detector noise, nodes", 3)):
        found = node_noise_estimates(case, PHOTONIC[harvest], draws, seed=1, repeats=repeats)
        first = case.network.layers[0].shape
        size = first[0] * first[1]
        print_estimate("mesh, first layer", harvest, found[:, :size], case.gradient[:size])


# --------------------------------------------------------------------------------------------
# Figure


def measured_share(name: str, draws: int = 300) -> float:
    """Mean square difference of passes taken in turn, over that with white noise."""
    found = processes(0.005 * (HIGH - LOW), SAMPLES * READ)
    powers = [node_difference(problem(found[each]), 1, draws, seed=2) for each in (name, "white")]
    return powers[0] / powers[1]


def draw_shares(axes: Axes) -> None:
    """1 − ρ of telegraph and 1/f noise against the time between two passes, and what they see."""
    sigma, state = 1e-6, 75e-6
    lags = np.geomspace(1e-3, 1e3, 61)
    for noise, style, marker, label, measured in (
        (telegraph(sigma, 1.0), "-", "o", "telegraph", (0.1, 1.0, 10.0, 100.0)),
        (flicker(sigma, 1.0), "--", "s", "1/f", (1.0,)),
    ):
        correlation = noise.autocovariance(lags, state) / noise.autocovariance(0.0, state)
        axes.plot(lags, 1 - correlation, style, color="0.2")
        names = [label if label == "1/f" else f"{label} {ratio:g}" for ratio in measured]
        shares = [measured_share(name) for name in names]
        axes.plot(1 / np.array(measured), shares, marker, color="0.2", label=f"{label}, measured")
    axes.set(
        xscale="log",
        xlabel="Time between the passes / correlation time",
        ylabel="Variance that two reads of one array see,\nshare of that of white noise",
    )
    axes.legend(loc="lower right")


def draw(runs: dict[str, xr.Dataset], path: Path) -> None:
    """What two passes see of a fluctuation, and the accuracy that each harvest reaches with it."""
    with paper(columns=2):
        figure = PaperFigure(figsize=(7.0, 3.0), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.7))
        draw_shares(left)
        names = next(iter(runs.values())).process.values.tolist()
        for number, (harvest, found) in enumerate(runs.items()):
            accuracy = 100 * found.deployed_accuracy
            middle = accuracy.median("seed", skipna=False)
            right.errorbar(
                np.arange(len(names)) + 0.12 * (number - 0.5 * (len(runs) - 1)),
                middle,
                yerr=(middle - accuracy.min("seed"), accuracy.max("seed") - middle),
                fmt="osD^v<>"[number],
                color=f"C{number}",
                elinewidth=0.8,
                label=harvest,
            )
        right.set_xticks(range(len(names)), names, rotation=35, ha="right")
        right.set(ylabel="Test accuracy, deployed (%)")
        handles, labels = right.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=3)
        figure.savefig(path)


def main() -> None:
    """Print one of the tables, or draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("estimates", "accuracy", "photonic", "figure"))
    parser.add_argument("--pairs", type=int, default=20_000, help="of arrays per estimate")
    parser.add_argument("--draws", type=int, default=1500, help="programming events of node noise")
    parser.add_argument("--store", type=Path, default=Path("noise_in_time"))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--passes", type=int, default=2000)
    parser.add_argument("--harvests", default=";".join(HARVESTS), help="separated by semicolons")
    parser.add_argument("--rows", default=";".join(ROWS), help="processes, by semicolons")
    parser.add_argument("--figure", type=Path, default=Path("docs/noise_in_time.png"))
    options = parser.parse_args()
    seeds = range(options.seeds)
    if options.what == "estimates":
        print_estimates(options.pairs, options.draws)
    elif options.what == "photonic":
        print_mesh_estimates(options.draws)
        grid = {"split": ("official", "random"), "seed": seeds}
        runs = swept(trained_mesh, options.store, PHOTONIC, grid, options.passes)
        print_accuracy(runs, "split")
    else:
        grid = {"process": options.rows.split(";"), "seed": seeds}
        harvests = options.harvests.split(";")
        runs = swept(trained, options.store, harvests, grid, options.passes)
        print_accuracy(runs, "process")
        if options.what == "figure":
            draw(runs, options.figure)


if __name__ == "__main__":
    main()
