"""Read noise from time traces: white noise, 1/f noise and random telegraph noise.

Every trace is taken apart by itself. Traps are looked for first, in a hidden Markov model on top
of Gaussian noise with a 1/f spectrum (:mod:`~zerohm.devices.calibrate.telegraph`); their most
likely path is taken out, and the spectrum of the rest is split into white and 1/f noise
(:mod:`~zerohm.devices.calibrate.spectrum`). Neither can pass for the other: a trap has to beat
Gaussian noise with its own spectrum, and what jumps is no longer in the spectrum that is fitted.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from zerohm._arrays import Array
from zerohm._errors import InputError

from ..flicker import FlickerNoise
from ..noise import ConstantNoise
from ..rram import Cell
from ..state_dependence import StateDependence, StateTable
from ..telegraph import TelegraphNoise
from .diagnosis import Diagnosis, diagnose
from .estimate import Estimates, join
from .read_noise_panels import panels
from .result import Calibration, cell_from
from .spectrum import corner_frequencies, covariance
from .table import Source, read_table
from .traces import Trace, take_apart

FEWEST_SAMPLES = 64
"""Samples without which a trace has no spectrum."""
UNEVEN = 0.01
"""Of the sampling interval: how far times may lie from an even grid."""
SAME_STATE = 1.1
"""Ratio of the conductances of neighbouring cells up to which they are in the same state."""


def read_noise(
    table: Source | Array,
    *,
    sampling_rate: float | None = None,
    cell: Cell | None = None,
    name: str = "read noise",
    columns: Mapping[str, str] | None = None,
    drop_missing: bool = False,
) -> Calibration:
    """Split the read noise of cells at rest into white, 1/f and random telegraph noise.

    Parameters, for every cell (``… [label]`` if there are several):

    - ``white_std``, S: standard deviation of a sample that the next one does not share.
    - ``flicker_amplitude``, ``flicker_exponent``: a and α of S_G/G² = a/f^α, one-sided. Corner
      frequencies above half the sampling rate count as white.
    - ``trap_1_amplitude``: |ΔG|/G; ``trap_1_capture_time``, ``trap_1_emission_time``, s: mean
      dwell times in the level of high and of low conductance; up to two traps.

    Where no trap is found, the remarks say what would have been found with 95 % probability.
    ``goodness`` has it for every trace: the smallest ``detectable amplitude`` (|ΔG|/G, equal dwell
    times), ``at dwell time``, and the range of dwell times in which twice that amplitude suffices.

    Parameters
    ----------
    table : columns ``time_s`` (or give ``sampling_rate``) and ``conductance_S``, optionally
        ``cell``; or an array (samples,) or (cells, samples) of conductances in S.
    sampling_rate : Hz.
    cell : what was measured; by default a bare cell called ``name`` whose window is the range of
        the data.
    columns, drop_missing : see :func:`~zerohm.devices.calibrate.read_table`. Traces must be
        evenly sampled: one that lost samples is refused.

    Returns
    -------
    Calibration whose ``cell`` has ``read_noise`` (the root mean square of the white noise of all
    traces), ``flicker_noise`` and ``telegraph_noise``, with amplitudes as tables over the
    conductance if the cells differ in it by more than 10 %.

    Raises
    ------
    InputError : an unusable table, samples that are not evenly spaced, or a trace that has fewer
        than 64 of them or does not fluctuate.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> fit = read_noise(50e-6 + 1e-7 * rng.standard_normal(1000), sampling_rate=100.0)
    >>> list(fit.estimates.names), sorted(fit.refused)
    (['white_std'], ['flicker_amplitude', 'flicker_exponent', 'telegraph_noise'])
    >>> float(fit.parameters.value[0].round(8))
    1e-07
    """
    source = _as_columns(table, sampling_rate) if isinstance(table, np.ndarray) else table
    data = read_table(
        source,
        "read-noise",
        columns=columns,
        drop_missing=drop_missing,
        sampling_rate=sampling_rate,
    )
    several = len(set(data.data["cell"])) > 1
    traces = []
    for label, rows in data.cells():
        time, conductance = (
            rows[column].to_numpy(dtype=np.float64) for column in ("time_s", "conductance_S")
        )
        traces.append(take_apart(conductance, _rate(time, label), label if several else ""))
    refused = {key: why for trace in traces for key, why in trace.refused.items()}
    blocks = [trace.estimates for trace in traces if trace.estimates is not None]
    spread, why = _spread(traces)
    blocks += [spread] if spread is not None else []
    if several and why:
        refused["flicker_amplitude_spread"] = why
    base = cell_from(data["conductance_S"], cell=cell, name=name)
    fitted = _cell(base, traces, spread, refused)
    estimates = join(*blocks)
    return Calibration(
        kind="read-noise",
        estimates=estimates,
        cell=fitted,
        goodness=_goodness(traces),
        diagnosis=_diagnosis(traces),
        validity={
            "conductance_S": data.range("conductance_S"),
            "frequency_Hz": (
                min(float(trace.measured.frequency[0]) for trace in traces),
                max(trace.sampling_rate / 2.0 for trace in traces),
            ),
        },
        refused={**refused, **estimates.flags},
        provenance=data.provenance,
        panels=panels(traces),
    )


def _as_columns(traces: Array, sampling_rate: float | None) -> dict[str, NDArray[Any]]:
    """An array (samples,) or (cells, samples) as columns of a table."""
    if sampling_rate is None or traces.ndim not in (1, 2):
        raise InputError(
            f"an array of shape {traces.shape}: give (samples,) or (cells, samples) conductances "
            "in S, and their sampling_rate in Hz"
        )
    if traces.ndim == 1:
        return {"conductance_S": traces}
    labels = np.repeat(np.arange(len(traces)), traces.shape[1])
    return {"cell": labels, "conductance_S": traces.ravel()}


def _rate(time: Array, label: str) -> float:
    """Sampling rate in Hz of evenly spaced times."""
    where = f"cell {label!r}" if label else "the trace"
    if len(time) < FEWEST_SAMPLES:
        raise InputError(f"{where} has {len(time)} samples; at least {FEWEST_SAMPLES} are needed")
    interval = float(time[-1] - time[0]) / (len(time) - 1)
    off = np.abs(time - time[0] - interval * np.arange(len(time)))
    worst = int(off.argmax())
    if off[worst] > UNEVEN * interval:
        raise InputError(
            f"{where} is not evenly sampled: time_s={time[worst]:g} lies {off[worst]:.3g} s from "
            f"an even grid of {interval:.6g} s, more than {UNEVEN:.0%} of it; a gap or a jitter "
            "changes the spectrum, so calibrate the even stretches as separate cells"
        )
    return 1.0 / interval


def _states(traces: list[Trace]) -> list[list[Trace]]:
    """Traces of cells in the same state, by ascending conductance."""
    ordered = sorted(traces, key=lambda trace: trace.mean)
    groups = [ordered[:1]]
    for before, trace in pairwise(ordered):
        if trace.mean > SAME_STATE * before.mean:
            groups.append([])
        groups[-1].append(trace)
    return groups


def _by_state(values: list[tuple[float, float]]) -> StateDependence:
    """A number, or a table over the conductance (S) if there are several."""
    if len(values) == 1:
        return values[0][1]
    conductance, found = zip(*values, strict=True)
    return StateTable(conductance=conductance, values=found, interpolation="logarithmic")


def _geometric(values: list[float]) -> float:
    return math.exp(float(np.mean(np.log(values))))


def _spread(traces: list[Trace]) -> tuple[Estimates | None, str]:
    """Standard deviation of ln a from cell to cell of the same state."""
    noisy = [trace for trace in traces if trace.noise.amplitude > 0]
    groups = [np.log([trace.relative_amplitude for trace in group]) for group in _states(noisy)]
    freedom = sum(len(group) - 1 for group in groups if len(group))
    if freedom < 2:
        return None, "it takes three cells of the same state"
    total = sum(float(((group - group.mean()) ** 2).sum()) for group in groups if len(group))
    errors = [_amplitude_variance(trace) for trace in noisy]
    low, high = chi2.ppf([0.975, 0.025], freedom)
    mean_error = float(np.mean(errors))
    value, lower, upper = (
        math.sqrt(max(total / scale - mean_error, 0.0)) for scale in (freedom, low, high)
    )
    if value == 0:
        return None, "the cells differ by no more than their standard errors"
    # The standard deviation of s² is s²√(2/ν), and that of s is half of it over s.
    error = (value**2 + mean_error) / math.sqrt(2.0 * freedom) / value
    return (
        Estimates(
            names=("flicker_amplitude_spread",),
            units=("1",),
            values=np.array([value]),
            lower=np.array([lower]),
            upper=np.array([upper]),
            covariance=np.array([[error**2]]),
            log_likelihood=0.0,
            points=0,
        ),
        "",
    )


def _amplitude_variance(trace: Trace) -> float:
    """Of ln a, from the scatter of the spectrum."""
    at = trace.noise.fitted.index("amplitude")
    return float(covariance(trace.measured, trace.noise)[at, at])


def _cell(
    base: Cell, traces: list[Trace], spread: Estimates | None, refused: dict[str, str]
) -> Cell:
    """The cell with the noise in it; adds to ``refused`` what a cell cannot describe."""
    variances = [trace.noise.white * trace.sampling_rate / 2.0 for trace in traces]
    white = ConstantNoise(sigma=math.sqrt(float(np.mean(variances))))
    noise = _flicker(traces, 0.0 if spread is None else float(spread.values[0]), refused)
    return replace(base, read_noise=white, flicker_noise=noise, telegraph_noise=_telegraph(traces))


def _flicker(traces: list[Trace], spread: float, refused: dict[str, str]) -> FlickerNoise | None:
    noisy = [trace for trace in traces if trace.noise.amplitude > 0]
    if not noisy:
        return None
    exponent = float(np.median([trace.noise.exponent for trace in noisy]))
    if not 0.5 <= exponent <= 1.5:
        refused["flicker_noise"] = (
            f"the cell has none: its exponent is {exponent:.2f}, FlickerNoise describes 0.5 to 1.5"
        )
        return None
    amplitudes = [
        (
            float(np.mean([trace.mean for trace in group])),
            _geometric([trace.relative_amplitude for trace in group]),
        )
        for group in _states(noisy)
    ]
    corners = [corner_frequencies(trace.sampling_rate, len(trace.conductance)) for trace in noisy]
    return FlickerNoise(
        amplitude=_by_state(amplitudes),
        exponent=exponent,
        frequency_min=min(float(found[0]) for found in corners),
        frequency_max=max(trace.sampling_rate / 2.0 for trace in noisy),
        amplitude_spread=spread,
    )


def _telegraph(traces: list[Trace]) -> TelegraphNoise | None:
    """Traps with the geometric means of what was found, and as many of them."""
    sites = max(len(trace.parts.traps) for trace in traces)
    if sites == 0:
        return None
    chances, amplitudes, captures, emissions = [], [], [], []
    for group in _states(traces):
        conductance = float(np.mean([trace.mean for trace in group]))
        traps = [(trace.mean, trap) for trace in group for trap in trace.parts.traps]
        chances.append((conductance, len(traps) / (sites * len(group))))
        if traps:
            found = [trap.amplitude / mean for mean, trap in traps]
            amplitudes.append((conductance, _geometric(found)))
        captures += [trap.time_high for _, trap in traps]
        emissions += [trap.time_low for _, trap in traps]
    capture, emission = _geometric(captures), _geometric(emissions)
    probability: StateDependence = chances[0][1]
    if len(chances) > 1:
        conductance_of, values = zip(*chances, strict=True)
        probability = StateTable(conductance=conductance_of, values=values)
    # Both dwell times of a trap share a factor: half the logarithm of their product.
    factors = 0.5 * np.log(np.array(captures) * np.array(emissions))
    return TelegraphNoise(
        amplitude=_by_state(amplitudes),
        capture_time_s=capture,
        emission_time_s=emission,
        sites=sites,
        trap_probability=probability,
        dwell_time_spread=float(np.std(factors, ddof=1)) if len(factors) > 2 else 0.0,
    )


def _goodness(traces: list[Trace]) -> dict[str, float | str]:
    """What was found where, and what could have been."""
    found: dict[str, float | str] = {}
    for trace in traces:
        tag = f" [{trace.label}]" if trace.label else ""
        found[f"traps{tag}"] = float(len(trace.parts.traps))
        for number in range(len(trace.parts.traps)):
            found[f"jumps of trap {number + 1}{tag}"] = float(trace.parts.jumps(number))
        if trace.detection is not None:
            found[f"detectable amplitude{tag}"] = trace.detection.amplitude
            found[f"at dwell time{tag}"] = trace.detection.dwell_time
            found[f"twice that from dwell time{tag}"] = trace.detection.shortest
            found[f"twice that to dwell time{tag}"] = trace.detection.longest
    return found


def _diagnosis(traces: list[Trace]) -> Diagnosis:
    residuals = [trace.residuals for trace in traces]
    cells: NDArray[np.intp] = np.repeat(np.arange(len(traces)), [len(r) for r in residuals])
    return diagnose(np.concatenate(residuals), cells)
