"""Relaxation from repeated reads after programming: a heavy-tailed law in logarithmic time.

What is fitted is the deviation of every read from the cell's first one. Cells are grouped into
states by their first read; every state has its own mean, variance, asymmetry and tails per decade
and its own white read noise, and all states share the onset. Estimates maximise the composite
likelihood of the marginal deviations, the sum of ln f(ΔG; t) over all reads (see
:mod:`~zerohm.devices.calibrate.relaxation_likelihood`). Reads of one cell depend on each other, so
that the error bars come from the Godambe information H⁻¹ (Σ s sᵀ) H⁻¹ with the scores s summed
over the reads of one cell (Varin, Reid & Firth, Statistica Sinica 21, 5 (2011)).

Marginal deviations do not tell a cell's lasting volatility from jumps. Increments between two
disjoint pairs of reads do: under independent increments the ranks of their magnitudes are
uncorrelated, and their correlation is reported as ``persistence``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import norm, rankdata

from zerohm._arrays import Array
from zerohm._errors import InputError, checked, choose

from ..flicker import FlickerNoise
from ..relaxation import Relaxation
from ..rram import Cell
from ..state_dependence import StateDependence, StateTable
from .diagnosis import diagnose
from .estimate import Estimates, EstimationError, Parameter, Scale
from .panel import Panel
from .relaxation_likelihood import (
    CLOCKS,
    Clock,
    Delays,
    State,
    StateLikelihood,
    climb,
    estimates,
    exponent,
)
from .result import MICRO, Calibration, cell_from
from .table import Source, Table, read_table

FEWEST_CELLS = 50
"""Cells of a state without which its tails say nothing."""
FEWEST_DELAYS = 3
"""Different delays without which the onset cannot be told from the variance per decade."""
CELLS_PER_STATE, MOST_STATES = 300, 12
"""By default, states of equally many cells, so many at least, and so many states at most."""
WIDTH = 4.0
"""Least average width of these states, in standard deviations of the bulk of all deviations."""
SAME_DELAY = 0.2
"""Decades within which delays are taken for one, their geometric mean."""
SHOWN = 3
"""States in the panels of deviations and residuals."""
_LAW = ("mean_per_decade", "variance_per_decade", "asymmetry", "tail_decades")


def relaxation(
    table: Source,
    *,
    edges: Sequence[float] | None = None,
    onset_s: float | None = None,
    clock: Clock | None = None,
    cell: Cell | None = None,
    name: str = "relaxation",
    columns: Mapping[str, str] | None = None,
    drop_missing: bool = False,
) -> Calibration:
    """Fit the relaxation of cells after programming, and their white read noise.

    Parameters
    ----------
    table : columns ``cell``, ``time_s`` and ``conductance_S``; the first read of every cell is at
        time 0, right after programming.
    edges : S, of the states, ascending; cells outside are left out. By default up to 12 states
        with equally many cells, 300 or more, and much wider than a typical deviation.
    onset_s : of the relaxation, if it is known. It takes three different delays to fit it; with
        fewer it is refused, and a tenth of the first delay assumed.
    clock : law of the jumps, see :class:`~zerohm.devices.Relaxation`; by default the likelier one;
        error bars are those for a known clock.
    cell : what was measured; by default a bare cell called ``name`` whose window is the range of
        the first reads. The 1/f noise that it has counts as known.
    columns, drop_missing : see :func:`~zerohm.devices.calibrate.read_table`.

    Returns
    -------
    Calibration whose ``cell`` has the law as ``relaxation``, its parameters as tables over the
    conductance. The white read noise of every state is among the parameters and not in the cell.
    The spread of the volatility is left at zero.

    Raises
    ------
    InputError : an unusable table, no state with 50 cells, or a cell with telegraph noise, whose
        share is not known.

    Examples
    --------
    >>> law = Relaxation(variance_per_decade=4e-12, tail_decades=2.0, onset_s=1e-3)
    >>> rng, first = np.random.default_rng(0), np.full(400, 50e-6)
    >>> state, reads = law.start(first, rng), [first + rng.normal(0.0, 3e-7, 400)]
    >>> for seconds in (0.01, 0.99, 99.0):
    ...     law.advance(state, seconds, rng)
    ...     reads.append(first + law.deviation(state, first) + rng.normal(0.0, 3e-7, 400))
    >>> times = np.repeat([0.0, 0.01, 1.0, 100.0], 400)
    >>> cells = np.tile(np.arange(400), 4)
    >>> fit = relaxation({"cell": cells, "time_s": times, "conductance_S": np.ravel(reads)})
    >>> found = fit.parameters.sel(parameter="variance_per_decade")
    >>> bool(found.lower < 4e-12 < found.upper)
    True
    """
    if clock is None:
        options: dict[str, Any] = {
            "edges": edges, "onset_s": onset_s, "cell": cell, "name": name,
            "columns": columns, "drop_missing": drop_missing,
        }  # fmt: skip
        return _likelier(lambda each: relaxation(table, clock=each, **options))
    choose("clock", clock, CLOCKS)
    data = read_table(table, "relaxation", columns=columns, drop_missing=drop_missing)
    reads = _deviations(data)
    base = cell_from(reads["first"].to_numpy(), cell=cell, name=name)
    if base.telegraph_noise is not None:
        raise InputError(
            f"cell {base.name!r} has telegraph noise, whose share of the deviations is not known "
            "here: fit the relaxation first and add the telegraph noise to the result"
        )
    groups, refused = _groups(reads, _edges(reads, edges))
    seconds = np.unique(np.concatenate([rows["age"].unique() for rows in groups.values()]))
    start = 0.1 * float(seconds.min()) if onset_s is None else onset_s
    if onset_s is None and _delay_numbers(seconds).max() + 1 < FEWEST_DELAYS:
        onset_s = start
        refused["onset_s"] = (
            f"fewer than {FEWEST_DELAYS} different delays do not tell it from the variance per "
            f"decade; {start:.3g} s is assumed, a tenth of the first delay"
        )
    states = [_state(at, rows, start, clock, base.flicker_noise) for at, rows in groups.items()]
    top = climb(states, fixed=onset_s is not None)
    found = estimates(states, top, fixed=onset_s is not None)
    values = [state.likelihood.values(at) for state, at in zip(states, top, strict=True)]
    law = checked(lambda: _law(states, values, clock), "the fitted relaxation")
    scores = [ndtri(state.likelihood.uniforms(at)) for state, at in zip(states, top, strict=True)]
    persistence, chance = _persistence(groups)
    return Calibration(
        kind="relaxation",
        estimates=found,
        cell=checked(lambda: replace(base, relaxation=law), "the fitted cell"),
        goodness={
            "composite log-likelihood": found.log_likelihood,
            "points": found.points,
            "clock": clock,
            "persistence": persistence,
            "persistence_p_value": chance,
        },
        diagnosis=diagnose(_by_delay(states, scores)),
        validity={
            "first read, S": (float(reads["first"].min()), float(reads["first"].max())),
            "time_s": (float(seconds.min()), float(seconds.max())),
        },
        provenance=data.provenance,
        panels=_panels(states, values, found, scores),
        refused={**refused, **found.flags},
    )


def _deviations(data: Table) -> pd.DataFrame:
    """Every read but the first of its cell: cell number, first read (S), age (s), deviation (S)."""
    reads = pd.DataFrame(
        {
            "cell": data.cell_numbers,
            "age": data["time_s"],
            "conductance": data["conductance_S"],
        }
    )
    first = reads.groupby("cell").first()
    late = first["age"] != 0.0
    if late.any():
        raise InputError(
            f"the first read of {int(late.sum())} cells is not at time 0 s: times count from "
            "programming, and the first read says what was programmed; leave these cells out"
        )
    reads = reads.join(first["conductance"].rename("first"), on="cell")
    reads["deviation"] = reads["conductance"] - reads["first"]
    later = reads[reads["age"] > 0.0]
    if later.empty:
        raise InputError("every cell was read once only: there is nothing to relax from")
    return later


def _edges(reads: pd.DataFrame, edges: Sequence[float] | None) -> Array:
    first = reads.groupby("cell")["first"].first().to_numpy()
    if edges is None:
        # Narrow states would sort the cells by the noise of their first reads.
        distinct = np.subtract(*np.quantile(first, (0.99, 0.01))) / WIDTH
        distinct /= _bulk(reads["deviation"].to_numpy()) or np.inf
        count = int(np.clip(min(len(first) // CELLS_PER_STATE, distinct), 1, MOST_STATES))
        found = np.unique(np.quantile(first, np.linspace(0.0, 1.0, count + 1)))
        # Of cells that all begin at one value there is no range, but a state.
        return np.append(found[: max(found.size - 1, 1)], np.nextafter(found[-1], np.inf))
    given = np.asarray(edges, dtype=np.float64)
    if given.size < 2 or not np.all(np.diff(given) > 0):
        raise InputError("edges of states must be at least two conductances in S, ascending")
    return given


def _groups(reads: pd.DataFrame, edges: Array) -> tuple[dict[float, pd.DataFrame], dict[str, str]]:
    """Mean first read (S) of every state with enough cells -> its reads; and those without."""
    groups: dict[float, pd.DataFrame] = {}
    refused: dict[str, str] = {}
    for low, high in pairwise(edges):
        rows = reads[(reads["first"] >= low) & (reads["first"] < high)]
        count = rows["cell"].nunique()
        if count < FEWEST_CELLS:
            where = f"{low * MICRO:.4g} to {high * MICRO:.4g} µS"
            refused |= {
                f"{parameter} ({where})": f"{count} cells: it takes {FEWEST_CELLS}"
                for parameter in (*_LAW, "read_noise")
            }
        elif not np.ptp(rows["deviation"]) > 0:
            raise InputError(f"the cells between {low:g} and {high:g} S do not move at all")
        else:
            groups[float(rows.groupby("cell")["first"].first().mean())] = rows
    if not groups:
        raise InputError(f"no state has {FEWEST_CELLS} cells that were read again")
    return groups, refused


def _delay_numbers(seconds: Array) -> NDArray[np.intp]:
    """Ascending delays numbered so that those with one number lie within 0.2 decades."""
    numbers, first, number = np.zeros(len(seconds), dtype=np.intp), seconds[0], 0
    for at, delay in enumerate(seconds):
        if np.log10(delay / first) > SAME_DELAY:
            first, number = delay, number + 1
        numbers[at] = number
    return numbers


def _state(
    conductance: float,
    rows: pd.DataFrame,
    onset: float,
    clock: Clock,
    flicker: FlickerNoise | None,
) -> State:
    """Reads of one state in groups of equal delay, and where the search starts."""
    deviation, age = rows["deviation"].to_numpy(), rows["age"].to_numpy()
    ages, where = np.unique(age, return_inverse=True)
    numbers = _delay_numbers(ages)[where]
    delays = []
    for number in range(numbers.max() + 1):
        group = np.flatnonzero(numbers == number)
        seconds = float(np.exp(np.mean(np.log(age[group]))))
        delays.append(
            Delays(seconds=seconds, rows=group, flicker=_pinned(flicker, seconds, conductance))
        )
    narrowest = _bulk(deviation[delays[0].rows]) or _bulk(deviation) or float(deviation.std())
    last = deviation[delays[-1].rows]
    decades = np.log10(1.0 + delays[-1].seconds / onset)
    size = float(last.std()) / np.sqrt(decades)
    logarithmic: Scale = "logarithmic"
    parameters = (
        Parameter(name="mean_per_decade", unit="S", start=0.0, size=size),
        Parameter(name="variance_per_decade", unit="S^2", start=size**2, scale=logarithmic),
        Parameter(name="asymmetry", unit="1", start=0.0, scale="bounded", lower=-1.0, upper=1.0),
        Parameter(name="tail_decades", unit="1", start=5.0, scale=logarithmic),
        Parameter(name="read_noise", unit="S", start=0.6 * narrowest, scale=logarithmic),
        Parameter(name="onset_s", unit="s", start=onset, scale=logarithmic),
    )
    spread = 0.0 if flicker is None else flicker.amplitude_spread
    return State(
        conductance=conductance,
        cells=rows["cell"].to_numpy(),
        likelihood=StateLikelihood(
            deviation, tuple(delays), parameters, clock, spread, 0.7 * narrowest
        ),
    )


def _bulk(deviation: Array) -> float:
    """Standard deviation of a Gaussian with the same central 40 %."""
    low, high = np.quantile(deviation, (0.3, 0.7))
    return float((high - low) / (norm.ppf(0.7) - norm.ppf(0.3)))


def _pinned(flicker: FlickerNoise | None, seconds: float, conductance: float) -> float:
    """Variance (S²) of the difference of two reads by 1/f noise, averaged over cells."""
    if flicker is None:
        return 0.0
    now, later = flicker.autocovariance(np.array([0.0, seconds]), conductance)
    return float(2.0 * (now - later))


def _law(states: list[State], values: list[Array], clock: Clock) -> Relaxation:
    """The fitted law; tables over the conductance if there are several states."""

    def table(at: int) -> StateDependence:
        if len(states) == 1:
            return float(values[0][at])
        return StateTable(
            conductance=tuple(state.conductance for state in states),
            values=tuple(float(found[at]) for found in values),
        )

    parts: dict[str, Any] = {name: table(at) for at, name in enumerate(_LAW)}
    return Relaxation(clock=clock, onset_s=float(values[0][5]), **parts)


def _likelier(fit: Callable[[Clock], Calibration]) -> Calibration:
    """The fit with the likelier clock among those that have a maximum."""
    found, failure = [], None
    for clock in CLOCKS:
        try:
            found.append(fit(clock))
        except EstimationError as error:
            failure = error
    if failure is not None and not found:
        raise failure
    return max(found, key=lambda each: each.estimates.log_likelihood)


def _persistence(groups: Mapping[float, pd.DataFrame]) -> tuple[float, float]:
    """Correlation of the ranks of two increments' magnitudes in one cell, and its p-value.

    The increments are those from the first to the second read and between two later reads, which
    share neither time nor reads. NaN without four reads of a cell.
    """
    products = []
    for rows in groups.values():
        deviation = rows["deviation"].to_numpy()[np.lexsort((rows["age"], rows["cell"]))]
        _, begin, count = np.unique(np.sort(rows["cell"]), return_index=True, return_counts=True)
        begin = begin[count >= 3]
        if begin.size < 2:
            continue
        one = rankdata(np.abs(deviation[begin]))
        other = rankdata(np.abs(deviation[begin + 2] - deviation[begin + 1]))
        products.append((one - one.mean()) * (other - other.mean()) / (one.std() * other.std()))
    if not products:
        return float("nan"), float("nan")
    pooled = np.concatenate(products)
    return float(pooled.mean()), float(2.0 * norm.sf(abs(pooled.mean()) * np.sqrt(pooled.size)))


def _by_delay(states: list[State], scores: list[Array]) -> Array:
    """Normal scores in an order in which neighbours are of different cells."""
    return np.concatenate(
        [
            of_state[delay.rows]
            for state, of_state in zip(states, scores, strict=True)
            for delay in state.likelihood.delays
        ]
    )


def _panels(
    states: list[State], values: list[Array], found: Estimates, scores: list[Array]
) -> tuple[Panel, ...]:
    panels = (_spreads(states, values), _quantiles(np.concatenate(scores)))
    calibrated = _residuals(states, scores)
    return (*panels, calibrated) if len(states) == 1 else (*panels, calibrated, _table(found))


def _spreads(states: list[State], values: list[Array]) -> Panel:
    """Standard deviation against time, with the 95 % band of its sampling error."""
    points, lines, bands = {}, {}, {}
    for at in np.unique(np.linspace(0, len(states) - 1, SHOWN).round().astype(int)):
        state, found, label = states[at], values[at], f"{states[at].conductance * MICRO:.0f} µS"
        seconds = np.array([delay.seconds for delay in state.likelihood.delays])
        measured = [state.likelihood.deviations[d.rows].std() for d in state.likelihood.delays]
        moments = np.array([_moments(state, found, d) for d in state.likelihood.delays])
        counts = np.array([len(d.rows) for d in state.likelihood.delays])
        fitted = np.sqrt(moments[:, 0])
        error = 1.96 * fitted * np.sqrt((moments[:, 1] + 2.0) / (4.0 * counts))
        points[label] = (seconds, np.array(measured) * MICRO)
        lines[label] = (seconds, fitted * MICRO)
        low = np.maximum(fitted - error, 0.05 * fitted)
        bands[f"{label}, 95 %"] = (seconds, low * MICRO, (fitted + error) * MICRO)
    return Panel(
        x_label="time after programming (s)",
        y_label="standard deviation (µS)",
        points=points,
        lines=lines,
        bands=bands,
        x_scale="log",
        y_scale="log",
    )


def _moments(state: State, values: Array, delay: Delays) -> tuple[float, float]:
    """Variance (S²) and excess kurtosis of the fitted law, from its density."""
    likelihood = state.likelihood
    psi, _ = exponent(likelihood.frequency, values[:4], likelihood.clock)
    density = likelihood.density(delay, values, psi)
    weights = density / density.sum()
    off = likelihood.points - weights @ likelihood.points
    variance = float(weights @ off**2)
    return variance, float(weights @ off**4) / variance**2 - 3.0


def _quantiles(scores: Array) -> Panel:
    """Normal scores of the fitted law against a Gaussian, with the band of order statistics."""
    ordered, count = np.sort(scores), scores.size
    chance = (np.arange(count) + 0.5) / count
    expected = ndtri(chance)
    error = 1.96 * np.sqrt(chance * (1.0 - chance) / count) / norm.pdf(expected)
    some = np.unique(np.geomspace(1, count, 200).astype(int) - 1)
    some = np.unique(np.concatenate([some, count - 1 - some]))
    ends = np.array([expected[0], expected[-1]])
    return Panel(
        x_label="Gaussian quantile",
        y_label="normal score of a deviation",
        points={"all states and delays": (expected[some], ordered[some])},
        lines={"perfect law": (ends, ends)},
        bands={
            "95 %, independent": (
                expected[some],
                (expected - error)[some],
                (expected + error)[some],
            )
        },
    )


def _residuals(states: list[State], scores: list[Array]) -> Panel:
    """Mean square of the normal scores by delay; 1 for a perfect law."""
    points = {}
    for at in np.unique(np.linspace(0, len(states) - 1, SHOWN).round().astype(int)):
        delays = states[at].likelihood.delays
        squares = np.array([np.mean(scores[at][d.rows] ** 2) for d in delays])
        seconds = np.array([d.seconds for d in delays])
        points[f"{states[at].conductance * MICRO:.0f} µS"] = (seconds, squares)
    ends = np.array(
        [states[0].likelihood.delays[0].seconds, states[0].likelihood.delays[-1].seconds]
    )
    return Panel(
        x_label="time after programming (s)",
        y_label="mean square of the normal scores",
        points=points,
        lines={"perfect law": (ends, np.ones(2))},
        x_scale="log",
    )


def _table(found: Estimates) -> Panel:
    """Variance per decade against the conductance, with its 95 % interval."""
    mine = [at for at, name in enumerate(found.names) if name.startswith("variance_per_decade")]
    mine = [at for at in mine if found.names[at] not in found.flags]
    where = np.array([float(found.names[at].split("(")[1].split()[0]) for at in mine])
    scale = MICRO**2
    return Panel(
        x_label="conductance (µS)",
        y_label="variance per decade (µS²)",
        points={"fit": (where, found.values[mine] * scale)},
        bands={"95 %": (where, found.lower[mine] * scale, found.upper[mine] * scale)},
        y_scale="log",
    )
