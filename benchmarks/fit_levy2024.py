"""Fit the presets Levy2024 from the measured data, and say how well they describe them.

    ZEROHM_DATA=<folder> python benchmarks/fit_levy2024.py [task ...]

Tasks are programming, relaxation, validation, bake and noise (minutes); by default all.

The data are those of github.com/akashlevy/RRAM-Relaxation-Master-Model (MIT licence, commit
ca0cfff6), in ``$ZEROHM_DATA/devices/rram-relaxation-2tech``. Every number of
``devices/presets/Levy2024.py`` is printed by this script.

Technology B was read up to 10⁴ s after programming. The last read is left out: between 10³ s and
10⁴ s most cells were programmed again (:func:`reprogrammed` gives the evidence).
"""

import gzip
import os
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import kurtosis

from zerohm import devices
from zerohm._arrays import Array
from zerohm._random import stream
from zerohm.devices import calibrate
from zerohm.devices.calibrate.read_noise import read_noise
from zerohm.devices.calibrate.relaxation import relaxation
from zerohm.devices.calibrate.relaxation_likelihood import Clock
from zerohm.devices.cells import Cells

SEED = 2024
EDGES = np.array([1, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 112, 128]) * 1e-6  # S
TWO_READS = 0.15e-12  # S², white noise of two reads
LEVEL = 4e-6  # S, width of one of the 32 levels of technology B
WINDOW = (1e-6, 128e-6)  # S
DELAYS = (0.01, 0.1, 1.0, 100.0, 1000.0)  # s
RATE_A = 400.0  # Hz
REPLICAS = 20
BOOTSTRAP = 200
CLOCK: Clock = "gamma"
FLICKER_CORNER = 30.0  # Hz, above which a read averages over the noise
QUIET = (1, 8, 16, 96, 112, 128)  # µS, edges of states in which the bulk hardly relaxes


def folder() -> Path:
    """Where the data are."""
    return Path(os.environ["ZEROHM_DATA"]) / "devices" / "rram-relaxation-2tech"


def reads_b() -> pd.DataFrame:
    """All reads of technology B: cell, time_s, conductance_S, and the nominal delay in s."""
    table = pd.read_csv(
        folder() / "techB_relaxdata_10k.min.tsv.gz",
        sep="\t",
        header=None,
        names=["cell", "time_s", "ohm", "conductance_S", "first_S", "level", "delay"],
    )
    return table.sort_values(["cell", "time_s"], kind="stable")


def before_disturbance(reads: pd.DataFrame) -> pd.DataFrame:
    """Reads up to 10³ s."""
    return reads[reads["delay"] < 5e3]


def undisturbed(reads: pd.DataFrame) -> pd.DataFrame:
    """Reads up to 10³ s of cells in the window, with the columns of a relaxation table."""
    inside = (reads["first_S"] >= WINDOW[0]) & (reads["first_S"] < WINDOW[1])
    chosen = reads[inside & (reads["delay"] < 5e3)]
    return chosen[["cell", "time_s", "conductance_S"]]


def deviations(reads: pd.DataFrame) -> pd.DataFrame:
    """(cells, delays) deviations from the first read in S, and the first read as ``first``."""
    wide = reads.pivot_table(index="cell", columns="delay", values="conductance_S")
    moved = wide.sub(wide[0.0], axis=0).drop(columns=0.0)
    moved["first"] = wide[0.0]
    return moved


def width(x: Array) -> float:
    """Standard deviation of a Gaussian with the same median absolute deviation."""
    return float(1.4826 * np.median(np.abs(x - np.median(x))))


def flicker_amplitude(moved: pd.DataFrame) -> float:
    """A of S_G = A/f in S², from the read noise that two neighbouring increments share.

    The deviations at s and t ≫ s share half of the pinned noise at s, which does not stay:
    cov(D(s), D(t) − D(s)) = −[R(0) − R(s)] − σ², growing by A ln 10 per decade of s. Covariances
    are those of the bulk, ¼ [w²(x + y) − w²(x − y)] with the widths w from absolute deviations.
    """
    slopes = []
    for low, high in pairwise(QUIET):
        if (low, high) == (16, 96):
            continue
        rows = moved[(moved["first"] >= low * 1e-6) & (moved["first"] < high * 1e-6)]
        rows = rows[[0.01, 0.1, 1.0, 1000.0]].dropna().to_numpy()
        shared = []
        for at in range(3):
            x, y = rows[:, at], rows[:, at + 1] - rows[:, at]
            shared.append(-(width(x + y) ** 2 - width(x - y) ** 2) / 4.0)
        slope = (shared[2] - shared[0]) / 2.0
        slopes.append(slope)
        print(
            f"{low:4d} to {high:4d} µS: shared variance at 10 ms, 0.1 s, 1 s "
            f"{shared[0] * 1e12:.3f} {shared[1] * 1e12:.3f} {shared[2] * 1e12:.3f} µS², "
            f"A = {slope / np.log(10) * 1e12:.4f} µS²"
        )
    return float(np.mean(slopes) / np.log(10.0))


def flicker(amplitude: float) -> devices.FlickerNoise:
    """1/f noise of the same absolute density in every state, from 1 µHz to the corner of a read."""
    knots = np.array([1, 2, 4, 8, 16, 32, 64, 128]) * 1e-6
    return devices.FlickerNoise(
        amplitude=devices.StateTable(
            conductance=tuple(knots),
            values=tuple(float(f"{amplitude / g**2:.3g}") for g in knots),
            interpolation="logarithmic",
        ),
        frequency_min=1e-6,
        frequency_max=FLICKER_CORNER,
    )


def bare_b(amplitude: float) -> devices.Cell:
    """Technology B before its relaxation is known."""
    return devices.Cell(
        name="Levy2024-B",
        conductance_min=WINDOW[0],
        conductance_max=WINDOW[1],
        flicker_noise=flicker(amplitude),
    )


def fit_b(reads: pd.DataFrame, amplitude: float) -> calibrate.Calibration:
    """Relaxation and white read noise of technology B."""
    return relaxation(
        undisturbed(reads),
        edges=EDGES,
        clock=CLOCK,
        cell=bare_b(amplitude),
        onset_s=onset(deviations(before_disturbance(reads))),
    )


def onset(moved: pd.DataFrame) -> float:
    """Onset (s) with which the variances of all states come closest to C log₁₀(1 + t/t₀) + 2σ².

    Weighted least squares over C of every state, on a grid of t₀. The likelihood would rather
    describe the bulk of the cells and take 0.16 ms, at which the standard deviation at 10 ms is
    35 % too large.
    """
    seconds, measured = np.array(DELAYS), []
    for low, high in pairwise(EDGES):
        rows = moved[(moved["first"] >= low) & (moved["first"] < high)]
        reads = [rows[delay].dropna().to_numpy() for delay in DELAYS]
        variance = np.array([x.var() for x in reads])
        errors = [np.sqrt((kurtosis(x) + 2.0) / x.size) for x in reads]
        measured.append((variance - TWO_READS, variance * np.maximum(errors, 0.05)))
    grid = np.geomspace(1e-5, 0.1, 161)
    costs = []
    for candidate in grid:
        decades = np.log10(1.0 + seconds / candidate)
        cost = 0.0
        for variance, error in measured:
            slope = (variance * decades / error**2).sum() / (decades**2 / error**2).sum()
            cost += float((((variance - slope * decades) / error) ** 2).sum())
        costs.append(cost)
    return float(f"{grid[int(np.argmin(costs))]:.2g}")


def white_noise(fit: calibrate.Calibration, conductance: Array) -> Array:
    """Fitted standard deviation of one read, S."""
    names = [name for name in fit.estimates.names if name.startswith("read_noise")]
    knots = [float(name.split("(")[1].split()[0]) * 1e-6 for name in names]
    return np.interp(conductance, knots, [fit.estimates[name] for name in names])


def simulated(fit: calibrate.Calibration, first: Array, seed: int) -> Array:
    """(delays, cells) deviations of cells that were programmed to ``first``, from read to read."""
    rng = stream(seed, "validation")
    cells = Cells(fit.cell, first.shape, rng)
    cells.program(first, rng)
    sigma = white_noise(fit, first)
    start = cells.conductance + sigma * rng.standard_normal(first.shape)
    age, found = 0.0, []
    for delay in DELAYS:
        cells.advance(delay - age, rng)
        age = delay
        found.append(cells.conductance + sigma * rng.standard_normal(first.shape) - start)
    return np.array(found)


def validate(reads: pd.DataFrame, amplitude: float) -> pd.DataFrame:
    """Fit to a random half of the cells, simulate the other half and compare.

    Ratios simulated/measured of the standard deviation and of the 1 % and 99 % quantiles, pooled
    and per state, with the standard error of the measured one from the bootstrap over cells.
    """
    rng = stream(SEED, "halves")
    cells = reads["cell"].unique()
    half = rng.permutation(cells)[: len(cells) // 2]
    fit = fit_b(reads[reads["cell"].isin(half)], amplitude)
    held_out = deviations(reads[~reads["cell"].isin(half)])
    held_out = held_out[(held_out["first"] >= WINDOW[0]) & (held_out["first"] < WINDOW[1])]
    first = np.repeat(held_out["first"].to_numpy(), REPLICAS)
    model = simulated(fit, first, SEED)
    states = [(WINDOW[0], WINDOW[1]), *pairwise(EDGES)]
    rows = []
    for low, high in states:
        for at, delay in enumerate(DELAYS):
            inside = (held_out["first"] >= low) & (held_out["first"] < high)
            measured = held_out.loc[inside, delay].dropna().to_numpy()
            drawn = model[at, (first >= low) & (first < high)]
            draws = rng.integers(0, len(measured), (BOOTSTRAP, len(measured)))
            row = {"low_uS": low * 1e6, "high_uS": high * 1e6, "delay_s": delay}
            for name, statistic in STATISTICS.items():
                value = statistic(measured)
                error = np.std([statistic(measured[d]) for d in draws]) / abs(value)
                row |= {name: statistic(drawn) / value, f"{name} ±": error}
            rows.append(row)
    return pd.DataFrame(rows)


STATISTICS = {
    "sd": np.std,
    "1 %": lambda x: np.quantile(x, 0.01),
    "99 %": lambda x: np.quantile(x, 0.99),
}


def reversible(moved: pd.DataFrame) -> None:
    """Share of the variance at 1 s that does not stay, 2 [1 − cov(D(1 s), D(10³ s)) / var D(1 s)].

    Zero for independent increments, one for stationary noise that both deviations share at t = 0.
    """
    rng = stream(SEED, "reversible")
    for low, high in pairwise(np.array([1, 8, 16, 32, 48, 64, 80, 96, 112, 128]) * 1e-6):
        rows = moved[(moved["first"] >= low) & (moved["first"] < high)][[1.0, 1000.0]]
        pairs = rows.dropna().to_numpy()
        draws = rng.integers(0, len(pairs), (BOOTSTRAP, len(pairs)))
        error = np.std([_share(pairs[draw]) for draw in draws])
        print(
            f"{low * 1e6:4.0f} to {high * 1e6:4.0f} µS: reversible share of the variance "
            f"{_share(pairs):.2f} ± {error:.2f}"
        )


def _share(pairs: Array) -> float:
    covariance = np.cov(pairs.T)
    return float(2.0 * (1.0 - covariance[0, 1] / covariance[0, 0]))


def reprogrammed(reads: pd.DataFrame) -> None:
    """Evidence that cells were programmed again between 10³ and 10⁴ s."""
    moved = deviations(reads)
    first = moved["first"]
    middle = (first >= 32e-6) & (first < 64e-6)
    gone = moved[middle & (moved[1000.0] < -15e-6)]
    for now, later in ((100.0, 1000.0), (1000.0, 10000.0)):
        far = moved[middle & (moved[now].abs() > 6e-6)][[now, later]].dropna()
        print(
            f"cells of 32 to 64 µS more than 6 µS off at {now:g} s: correlation with {later:g} s "
            f"{far.corr().iloc[0, 1]:.2f} ({len(far)} cells)"
        )
    print(
        f"of {len(gone)} cells that had lost more than 15 µS at 10³ s, "
        f"{float((gone[10000.0].dropna().abs() < 6e-6).mean()):.0%} are back within 6 µS at 10⁴ s"
    )
    stuck = moved[first >= 128e-6]
    print(
        f"of {len(stuck)} cells left above the window, "
        f"{int((stuck[10000.0] < -20e-6).sum())} have lost more than 20 µS at 10⁴ s, "
        f"{int((stuck[1000.0] < -20e-6).sum())} at 10³ s"
    )


def programming_b(reads: pd.DataFrame) -> None:
    """First read against the centre of its level."""
    first = reads[reads["delay"] == 0.0]["conductance_S"].to_numpy()
    off = first - LEVEL * (np.floor(first / LEVEL) + 0.5)
    print(f"{(first >= WINDOW[1]).mean():.1%} of {len(first)} cells are left above the window")
    for low, high in pairwise(np.array([4, 16, 32, 64, 96, 128]) * 1e-6):
        inside = off[(first >= low) & (first < high)]
        print(
            f"{low * 1e6:4.0f} to {high * 1e6:4.0f} µS: mean {inside.mean() * 1e6:+.2f} µS, "
            f"sd {inside.std() * 1e6:.2f} µS (uniform in the level: {LEVEL / 12**0.5 * 1e6:.2f})"
        )


def bake(technology: str, edges: tuple[float, ...]) -> None:
    """Mean and standard deviation after a bake of about 1.5 h, by state and temperature."""
    table = pd.read_csv(
        folder() / f"tech{technology}_bake.tsv.gz",
        sep="\t",
        header=None,
        names=["cell", "time_s", "ohm", "conductance_S", "celsius"],
    )
    print(f"technology {technology}, mean ± sd in µS")
    for celsius, rows in table.groupby("celsius"):
        before = rows[rows["time_s"] == 0.0].set_index("cell")["conductance_S"] * 1e6
        after = rows[rows["time_s"] > 0.0].set_index("cell")["conductance_S"] * 1e6
        moved = (after - before).dropna()
        state = before.loc[moved.index]
        cells = [
            f"{x.mean():+6.1f} ± {x.std():4.1f}"
            for low, high in pairwise(edges)
            for x in [moved[(state >= low) & (state < high)]]
        ]
        print(f"{celsius} °C after {rows['time_s'].max():.0f} s: " + " | ".join(cells))


def traces_a() -> list[Array]:
    """Conductances (S) of one cell in each of five states of technology A, at 400 Hz."""
    with gzip.open(folder() / "techA_tsdata.min.tsv.gz", "rt") as file:
        return [np.array(line.split("\t")[2:], dtype=np.float64) for line in file]


def noise_a() -> None:
    """White, 1/f and telegraph noise of the five cells, and what the preset makes of the traps.

    The dwell times are the same in all states: the jump a of a state is the one with which the
    variance of the n traps found there, Σ aᵢ² pᵢ (1 − pᵢ), is the model's mean,
    n a² exp(2 s²) p (1 − p), for the spread s and the occupancy p.
    """
    states, times, scatter = [], [], []
    for trace in traces_a():
        fit = read_noise(trace, sampling_rate=RATE_A)
        found = dict(zip(fit.estimates.names, fit.estimates.values, strict=True))
        print(f"{trace.mean() * 1e6:5.1f} µS:", {n: float(f"{v:.3g}") for n, v in found.items()})
        columns = [
            np.array([found[n] for n in found if n.startswith("trap") and n.endswith(kind)])
            for kind in ("amplitude", "capture_time", "emission_time")
        ]
        states.append(columns)
        times += list(zip(columns[1], columns[2], strict=True))
        if columns[0].size > 1:
            scatter.append(np.log(columns[0]).std(ddof=1))
    spread = float(np.sqrt(np.mean(np.square(scatter))))
    capture, emission = np.exp(np.mean(np.log(times), axis=0))
    occupancy = emission / (capture + emission)
    print(
        f"capture {capture:.2f} s, emission {emission:.2f} s, spread of both "
        f"{np.log(times).mean(axis=1).std(ddof=1):.1f}, spread of the jumps {spread:.2f}"
    )
    for jump, empty, full in states:
        share = full / (empty + full)
        variance = np.sum(jump**2 * share * (1.0 - share))
        model = len(jump) * np.exp(2.0 * spread**2) * occupancy * (1.0 - occupancy)
        print(f"{len(jump)} traps, jump", f"{np.sqrt(variance / model):.3g}" if len(jump) else "")


def show(fit: calibrate.Calibration) -> None:
    """Parameters as they stand in the preset."""
    print(fit.parameters.to_dataframe().drop(columns="unit").to_string(float_format="%.4g"))
    print(fit.goodness, dict(fit.refused), fit.diagnosis, sep="\n")
    law = fit.cell.relaxation
    for name in ("variance_per_decade", "mean_per_decade", "asymmetry", "tail_decades"):
        print(name, tuple(float(f"{x:.3g}") for x in getattr(law, name).values))
    knots = np.array(law.variance_per_decade.conductance)
    print("conductance", tuple(float(f"{x:.4g}") for x in knots), "onset_s", f"{law.onset_s:.3g}")
    noise = white_noise(fit, knots)
    print(
        "read noise, µS", (noise * 1e6).round(3), "rms", f"{np.sqrt(np.mean(noise**2)) * 1e6:.3f}"
    )


def main(tasks: list[str]) -> None:
    reads = reads_b()
    if "programming" in tasks:
        programming_b(reads)
    if "bake" in tasks:
        bake("A", (1, 15, 30, 60, 90, 120, 150, 180, 210, 240))
        bake("B", (1, 8, 16, 32, 48, 64, 80, 96, 112, 128))
    if "noise" in tasks:
        noise_a()
    if "relaxation" in tasks or "validation" in tasks:
        amplitude = flicker_amplitude(deviations(before_disturbance(reads)))
        print(f"A = {amplitude:.3g} S²")
    if "relaxation" in tasks:
        reprogrammed(reads)
        reversible(deviations(before_disturbance(reads)))
        show(fit_b(reads, amplitude))
    if "validation" in tasks:
        print(validate(reads, amplitude).round(2).to_string(index=False))


if __name__ == "__main__":
    main(sys.argv[1:] or ["programming", "relaxation", "validation", "bake", "noise"])
