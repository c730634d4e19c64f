"""Current–voltage laws from measured curves: one nonlinearity shared by all cells.

The current of cell j at voltage V is G_j h(V) with its own conductance G_j, the slope at 0 V, and
one of the shapes

- ohmic: h = V,
- sinh: h = sinh(b V) / b,
- odd polynomial: h = V + c₃ V³ (degree 3), or with + c₅ V⁵ (degree 5),

plus normal errors of variance σ_a² + (σ_r G_j h)². The shape with the smallest BIC is taken, or the
one asked for. Points at 0 V tell nothing of it and are left out.

With a column ``conductance_S``, the conductance by which each cell is known, the current is
s G h(V) with one factor s for all cells instead of a free G_j: the law then holds for
conductances as they were measured.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import numpy as np
from scipy.stats import normaltest

from zerohm._errors import InputError, checked, choose

from ..iv import Sinh
from ..rram import Cell
from .diagnosis import Diagnosis, diagnose
from .estimate import INTERVAL, EstimationError
from .iv_likelihood import SHAPES, Curves, Fit, fit_shape
from .panel import Panel, quantile_panel
from .quantities import quantity
from .result import MICRO, Calibration, cell_from
from .table import PLAUSIBLE, Source, Table, read_table

Law = Literal["ohmic", "sinh", "odd polynomial"]
FEWEST = 5
"""Points that a cell's curve needs at voltages other than 0."""
LEAN = 4.0
"""Standard errors beyond which a current is said not to be odd, or a factor not to be 1."""


def iv(
    table: Source,
    *,
    law: Law | None = None,
    cell: Cell | None = None,
    name: str = "iv",
    columns: Mapping[str, str] | None = None,
    drop_missing: bool = False,
) -> Calibration:
    """Fit the current–voltage law of a cell.

    Parameters
    ----------
    table : columns ``voltage_V``, ``current_A`` and, optionally, ``cell`` and ``conductance_S``.
    law : ohmic, sinh or odd polynomial; by default the one with the smallest BIC.
    cell : what was measured; by default a bare cell called ``name`` whose window is the range of
        the conductances.
    columns, drop_missing : see :func:`~zerohm.devices.calibrate.read_table`.

    Returns
    -------
    Calibration whose ``cell`` has the law as ``iv``, valid up to the largest voltage of the data;
    that of ``cell`` is left alone if no nonlinearity is seen.

    Raises
    ------
    InputError : an unusable table, fewer than 5 points of every cell, currents against the
        voltage, or a law that does not fit the data.

    Examples
    --------
    >>> voltage = np.linspace(-0.5, 0.5, 51)
    >>> noise = 1.0 + 0.01 * np.random.default_rng(0).standard_normal(51)
    >>> fit = iv({"voltage_V": voltage, "current_A": 20e-6 * np.sinh(4.0 * voltage) / 4.0 * noise})
    >>> fit.cell.iv.kind, f"{fit.parameters.value.sel(parameter='b'):.1f}"
    ('sinh', '4.0')
    """
    if law is not None:
        choose("current-voltage law", law, ("ohmic", "sinh", "odd polynomial"))
    data = read_table(table, "iv", columns=columns, drop_missing=drop_missing)
    curves, refused = _curves(data)
    shapes = [shape for shape in SHAPES if law is None or shape.name.startswith(law)]
    fits, failures = [], []
    for shape in shapes:
        try:
            fits.append(fit_shape(curves, shape))
        except (EstimationError, InputError) as error:
            failures.append(f"{shape.name}: {error}")
    if not fits:
        raise InputError(f"no law can be fitted to the data: {'; '.join(failures)}")
    best = min(fits, key=lambda fit: fit.information_criterion)
    refused |= best.estimates.flags
    if best.law is None:
        refused["nonlinearity"] = f"the data show none up to {curves.top:g} V"
    levels = curves.weight if curves.nominal else best.conductance
    base = cell_from(levels, cell=cell, name=name)
    return Calibration(
        kind="iv",
        estimates=best.estimates,
        cell=base if best.law is None else checked(lambda: replace(base, iv=best.law), "the cell"),
        goodness=_goodness(curves, best, fits),
        diagnosis=_diagnosis(curves, best),
        validity={
            "voltage_V": data.range("voltage_V"),
            "conductance_S": (float(levels.min()), float(levels.max())),
        },
        provenance=data.provenance,
        panels=_panels(curves, best),
        refused=refused,
    )


def _curves(data: Table) -> tuple[Curves, dict[str, str]]:
    """The cells with enough points, and why others are left out."""
    voltage, current, cell = data["voltage_V"], data["current_A"], data.cell_numbers
    chords = current[voltage != 0] / voltage[voltage != 0]
    if chords.size and not np.any(chords):
        raise InputError("every current is 0: there is no cell to fit")
    if chords.size and np.median(chords) <= 0:
        raise InputError(
            "most currents flow against their voltage: positive current flows from the terminal "
            "where voltage_V is positive"
        )
    largest = PLAUSIBLE["conductance_S"].largest
    if chords.size and np.median(chords) > largest:
        raise InputError(
            f"current_A / voltage_V is {np.median(chords):.3g} S, above {largest:g} S, which no "
            "memory cell has: is the current in mA, µA or nA, or the voltage in a unit above V?"
        )
    counts = np.bincount(cell[voltage != 0], minlength=int(cell.max()) + 1)
    labels = [label for label, _ in data.cells()]
    refused = {
        _conductance(labels[at]): f"{counts[at]} points at voltages other than 0, not {FEWEST}"
        for at in np.flatnonzero(counts < FEWEST)
    }
    kept = (counts[cell] >= FEWEST) & (voltage != 0)
    if not kept.any():
        raise InputError(f"no cell has {FEWEST} points at voltages other than 0")
    used, number = np.unique(cell[kept], return_inverse=True)
    nominal = "conductance_S" in data
    return (
        Curves(
            voltage=voltage[kept],
            current=current[kept],
            weight=data["conductance_S"][kept] if nominal else np.ones(int(kept.sum())),
            cell=np.zeros_like(number) if nominal else number,
            labels=("conductance_scale",)
            if nominal
            else tuple(_conductance(labels[at]) for at in used),
            nominal=nominal,
        ),
        refused,
    )


def _conductance(label: str) -> str:
    """Name of the parameter for the conductance of a cell."""
    return f"conductance of cell {label}" if label else "conductance"


def _goodness(curves: Curves, best: Fit, fits: list[Fit]) -> dict[str, float | str]:
    scores = (curves.current - best.expected) / best.sigma
    found: dict[str, float | str] = {
        "law": best.shape.name,
        "restricted_log_likelihood": best.estimates.log_likelihood,
        "points": len(scores),
        "cells": len(np.unique(curves.cell)),
        **{f"bic {fit.shape.name}": fit.information_criterion for fit in fits},
    }
    if len(scores) >= 20:
        found["normality_p_value"] = float(normaltest(scores).pvalue)
    return found


def _diagnosis(curves: Curves, best: Fit) -> Diagnosis:
    """Residuals, a current that is not odd in the voltage, a factor that the law can't hold."""
    scores = (curves.current - best.expected) / best.sigma
    found = diagnose(
        scores, curves.cell, fitted=len(best.conductance) + len(best.shape.parameters(curves.top))
    )
    even = (curves.voltage / curves.top) ** 2
    both = curves.voltage.min() < 0 < curves.voltage.max()
    lean = float(np.sum(even * scores) / np.sqrt(np.sum(even**2)))
    if both and abs(lean) > LEAN:
        larger = "positive" if lean > 0 else "negative"
        found = found.with_findings(
            f"the current is larger at {larger} voltages ({abs(lean):.1f} standard errors), but "
            "the law is symmetric"
        )
    if curves.nominal and not isinstance(best.law, Sinh):
        factor = best.estimates["conductance_scale"]
        error = float(best.estimates.standard_errors[-1])
        if abs(factor - 1.0) > LEAN * error:
            found = found.with_findings(
                f"the slope at 0 V is {quantity(factor, error, '1')} times conductance_S, a factor "
                "that this law can't hold: its currents are wrong by it"
            )
    return found


def _panels(curves: Curves, best: Fit) -> tuple[Panel, ...]:
    """Curves, current over G V, residuals against voltage, normal scores."""
    values = best.estimates.values[: len(best.shape.parameters(curves.top))]
    slope = best.conductance[curves.cell] * curves.weight
    grid = np.linspace(curves.voltage.min(), curves.voltage.max(), 200)
    grid = grid[np.abs(grid) > 0.01 * curves.top]
    shape = best.shape.current(values, grid)
    shown = np.quantile(slope, np.linspace(0.0, 1.0, 5), method="nearest")
    drawn = [np.append(each * shape, np.nan) for each in np.unique(shown)]
    middle = float(np.median(slope))
    noise = dict(zip(best.estimates.names, best.estimates.values, strict=True))
    spread = np.hypot(noise["relative_noise"] * shape, noise["additive_noise"] / middle) / grid
    far = np.abs(curves.voltage) > 0.01 * curves.top
    scores = (curves.current - best.expected) / best.sigma
    ratio = curves.current[far] / (slope * curves.voltage)[far]
    return (
        Panel(
            x_label="Voltage (V)",
            y_label="Current (µA)",
            points={"Measured": (curves.voltage, curves.current * MICRO)},
            lines={
                f"Fit ({best.shape.name})": (
                    np.tile(np.append(grid, np.nan), len(drawn)),
                    np.concatenate(drawn) * MICRO,
                )
            },
        ),
        Panel(
            x_label="Voltage (V)",
            y_label="Current / (slope at 0 V × voltage)",
            points={"Measured": (curves.voltage[far], ratio)},
            lines={"Fit": (grid, shape / grid)},
            bands={
                "95 %, median cell": (
                    grid,
                    shape / grid - INTERVAL * np.abs(spread),
                    shape / grid + INTERVAL * np.abs(spread),
                )
            },
        ),
        Panel(
            x_label="Voltage (V)",
            y_label="Residual (standard deviations)",
            points={"Measured": (curves.voltage, scores)},
        ),
        quantile_panel(scores),
    )
