"""Thermo-optic phase shifters from transmission scans: P_π, offset, visibility, crosstalk.

A phase shifter is watched through an interferometer that it is part of. With its own heater at
the power p and others at powers p_h, the monitor sees::

    P_out = P̄ [1 ± V cos(φ₀ + (π / P_π) (p + Σ_h C_h p_h))]

+ at the cross port of a Mach–Zehnder interferometer (all light at φ = 0), − at the bar port. V is
the visibility; the extinction ratio is (1 + V) / (1 − V). Errors of P_out are normal with the
variance σ_a² + (σ_r P_out)². Every shifter has parameters and noise of its own, found by maximum
likelihood less ½ ln det(Jᵀ W J), with the slopes J of the mean where the search starts and the
weights W = 1 / variance: the restricted likelihood, whose variances are not too small by the
number of parameters of the mean (Patterson & Thompson, Biometrika 58, 545 (1971)).

The search begins at the best period of a least-squares periodogram (Lomb, Astrophys. Space Sci.
39, 447 (1976)). Periods shorter than two steps of the scan can't be told from longer ones
(aliasing): nothing in a scan shows that its steps are too wide for that, so fewer than four
points per period are refused.
"""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import normaltest

from zerohm._arrays import Array
from zerohm._errors import InputError, checked, choose

from ..photonic.phase_shifter import PhaseShifter
from ..photonic.phase_shifter_card import save_shifters
from ..photonic.thermal_crosstalk import PhaseShifterArray
from .diagnosis import Diagnosis, diagnose
from .estimate import INTERVAL, Estimates, EstimationError, join
from .panel import Panel, quantile_panel
from .phase_shifter_likelihood import Fit, Refusal, Scan, fit_shifter
from .result import Calibration
from .table import Source, Table, read_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MILLI = 1e3
SHOWN = 3
"""Shifters whose scans a figure shows."""


@dataclass(frozen=True, kw_only=True)
class PhaseShifterCalibration(Calibration):
    """Phase shifters fitted to measured scans; what else it has is in :class:`Calibration`.

    Parameters
    ----------
    name : of the chip.
    shifters : those that could be fitted, in ascending order of their numbers. Crosstalk
        between two of them that was not measured is 0 in it, and named in ``refused``.
    numbers : of these shifters in the table.
    """

    cell: None = None  # type: ignore[assignment]
    name: str
    shifters: PhaseShifterArray
    numbers: tuple[int, ...]

    def plot(self) -> "Figure":
        """One page: scans with fit and 95 % band, coefficients, residuals, numbers."""
        from .figure import page

        source = self.provenance.file or "data in memory"
        return page(
            self.panels,
            title=f"Calibration of {self.name}: {self.kind}, {source}, {self.provenance.rows} rows",
            numbers=self.estimates_in_words(),
            remarks=self.remarks(),
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the shifters and the calibration as a JSON file.

        Raises
        ------
        InputError : the file cannot be written.
        """
        save_shifters(self.shifters, path, calibration=self._record())


def phase_shifter(
    table: Source,
    *,
    port: Literal["cross", "bar"] = "cross",
    resistance: float | None = None,
    design: PhaseShifter | None = None,
    name: str = "phase-shifter",
    columns: Mapping[str, str] | None = None,
    drop_missing: bool = False,
) -> PhaseShifterCalibration:
    """Fit phase shifters to scans of the power that leaves their interferometers.

    Parameters
    ----------
    table : columns ``output_power_W`` (any unit in proportion to it will do: only the mean and
        the noise have it) and ``heater_power_W``, or ``heater_voltage_V`` with ``resistance``.
        For several shifters also ``shifter``, the number of the one that is watched, and
        ``heater``, the number of the one that is driven (by default the one that is watched);
        all other heaters are off, except that of the shifter that is watched, which can have a
        constant ``bias_power_W``: crosstalk shows best at half transmission.
    port : of the Mach–Zehnder interferometer that the monitor sees.
    resistance : Ω, of the heaters, for a table with voltages.
    design : what the shifters have in common; by default one with the mean P_π and, as its
        largest power, the largest one measured, or 2 P_π if that is more.
    name : of the chip.
    columns, drop_missing : see :func:`~zerohm.devices.calibrate.read_table`.

    Raises
    ------
    InputError : an unusable table, or no shifter that can be fitted: a scan with fewer than 8
        points, without modulation, shorter than half a period, or with fewer than 4 points per
        period.

    Examples
    --------
    >>> power = np.linspace(0.0, 60e-3, 61)
    >>> noise = 5e-6 * np.random.default_rng(0).standard_normal(61)
    >>> output = 0.5e-3 * (1 + 0.98 * np.cos(1.0 + np.pi * power / 25e-3)) + noise
    >>> fit = phase_shifter({"heater_power_W": power, "output_power_W": output})
    >>> fit.parameters.value.sel(parameter=["offset", "half_wave_power"]).values.round(3)
    array([1.001, 0.025])
    """
    choose("port", port, ("cross", "bar"))
    data = read_table(table, "phase-shifter", columns=columns, drop_missing=drop_missing)
    scans = _scans(data, port, resistance)
    fits, failures = _fit_all(scans)
    several = "shifter" in data
    numbers = tuple(fit.scan.number for fit in fits)
    refused = {f"shifter {at}": why for at, why in failures.items()}
    for fit in fits:
        for at in set(numbers) - {fit.scan.number, *fit.scan.heaters}:
            pair = f"crosstalk of heater {at} on shifter {fit.scan.number}"
            refused[pair] = "not measured: taken as 0"
    estimates = join(*(_named_estimates(fit, several) for fit in fits))
    return PhaseShifterCalibration(
        kind="phase-shifter",
        name=name,
        estimates=estimates,
        shifters=_array(fits, numbers, design),
        numbers=numbers,
        goodness=_goodness(fits),
        diagnosis=_diagnosis(fits),
        validity={
            column: data.range(column)
            for column in ("heater_power_W", "heater_voltage_V", "output_power_W")
            if column in data
        },
        provenance=data.provenance,
        panels=_panels(fits),
        refused=refused | dict(estimates.flags),
    )


def _scans(data: Table, port: str, resistance: float | None) -> list[Scan]:
    """The rows of every shifter, with the powers of all heaters."""
    power = _heater_power(data, resistance)
    if "heater" in data and "shifter" not in data:
        raise InputError("a table with the column heater also needs shifter: which one is watched?")
    watched = _integers(data, "shifter") if "shifter" in data else np.zeros(len(data), np.intp)
    driven = _integers(data, "heater") if "heater" in data else watched
    bias = data["bias_power_W"] if "bias_power_W" in data else np.zeros(len(data))
    for column, values in (("heater_power_W", power), ("bias_power_W", bias)):
        if values.min() < 0:
            raise InputError(f"column {column} has {values.min():g} W: a heater can't cool")
    found = []
    for number in np.unique(watched):
        rows = watched == number
        heaters = np.setdiff1d(driven[rows], number)
        others = power[rows, None] * (driven[rows, None] == heaters)
        found.append(
            Scan(
                number=int(number),
                own=bias[rows] + power[rows] * (driven[rows] == number),
                others=others,
                heaters=tuple(int(at) for at in heaters),
                output=data["output_power_W"][rows],
                sign=1.0 if port == "cross" else -1.0,
            )
        )
    return found


def _heater_power(data: Table, resistance: float | None) -> Array:
    """W, of the heater that is driven."""
    given = [name for name in ("heater_power_W", "heater_voltage_V") if name in data]
    if len(given) > 1:
        raise InputError(f"the table has {' and '.join(given)}: which one?")
    if given == ["heater_power_W"]:
        return data["heater_power_W"]
    if resistance is None or not 0 < resistance < math.inf:
        raise InputError(
            f"resistance={resistance!r}: a table with heater_voltage_V needs that of the heaters, "
            "Ω, or heater_power_W in its place"
        )
    return np.square(data["heater_voltage_V"]) / resistance


def _integers(data: Table, column: str) -> NDArray[np.intp]:
    values = data[column]
    if np.any(values != np.rint(values)) or values.min() < 0:
        raise InputError(f"column {column} must hold integers from 0: the numbers of the heaters")
    return values.astype(np.intp)


def _fit_all(scans: list[Scan]) -> tuple[list[Fit], dict[int, str]]:
    fits, refused = [], {}
    for scan in scans:
        try:
            fits.append(fit_shifter(scan))
        except (Refusal, EstimationError) as error:
            refused[scan.number] = str(error)
    if not fits:
        said = "; ".join(f"shifter {at}: {why}" for at, why in refused.items())
        raise InputError(f"no phase shifter can be fitted: {said}")
    return fits, refused


def _named_estimates(fit: Fit, several: bool) -> Estimates:
    """Parameters with the number of their shifter, where there is a choice."""
    found = fit.estimates
    if not several:
        return found

    def named(name: str) -> str:
        return f"{name} {'on' if 'crosstalk' in name else 'of'} shifter {fit.scan.number}"

    return replace(
        found,
        names=tuple(named(name) for name in found.names),
        flags={named(name): why for name, why in found.flags.items()},
    )


def _array(
    fits: list[Fit], numbers: tuple[int, ...], design: PhaseShifter | None
) -> PhaseShifterArray:
    """The fitted shifters as a model."""
    half_wave = np.array([fit.estimates["half_wave_power"] for fit in fits])
    crosstalk = np.eye(len(fits))
    for row, fit in enumerate(fits):
        for heater in fit.scan.heaters:
            if heater in numbers:
                found = fit.estimates[f"crosstalk of heater {heater}"]
                crosstalk[row, numbers.index(heater)] = found
    if design is None:
        largest = max(max(fit.scan.own.max(), fit.scan.others.max(initial=0.0)) for fit in fits)
        design = checked(
            PhaseShifter,
            "the fitted shifters",
            half_wave_power=float(half_wave.mean()),
            max_power=float(max(largest, 2.0 * half_wave.max())),
        )
    return PhaseShifterArray(
        design=design,
        crosstalk=crosstalk,
        half_wave_power=half_wave,
        offset=[fit.estimates["offset"] for fit in fits],
    )


def _goodness(fits: list[Fit]) -> dict[str, float | str]:
    scores = np.concatenate([fit.scores for fit in fits])
    found: dict[str, float | str] = {
        "restricted_log_likelihood": sum(fit.estimates.log_likelihood for fit in fits),
        "points": len(scores),
        "shifters": len(fits),
    }
    if len(scores) >= 20:
        found["normality_p_value"] = float(normaltest(scores).pvalue)
    return found


def _diagnosis(fits: list[Fit]) -> Diagnosis:
    """Residuals along the scans; a P_π that changes with power shows as their correlation."""
    scores = np.concatenate([fit.scores for fit in fits])
    shifters = np.repeat([fit.scan.number for fit in fits], [len(fit.scores) for fit in fits])
    fitted = sum(4 + len(fit.scan.heaters) for fit in fits)
    return diagnose(scores, shifters, fitted=fitted)


def _panels(fits: list[Fit]) -> tuple[Panel, ...]:
    """Scans with fit and band, coefficients, residuals against power, normal scores."""
    shown = fits[:SHOWN]
    points, lines, bands = {}, {}, {}
    for fit in shown:
        scan, values = fit.scan, fit.estimates.values
        label, rows = f"Shifter {scan.number}", scan.alone
        grid = np.linspace(scan.own[rows].min(), scan.own[rows].max(), 400)
        drawn = replace(scan, own=grid, others=np.zeros((400, len(scan.heaters))))
        expected = drawn.expected(values)
        reach = INTERVAL * np.hypot(values[-1], values[-2] * expected)
        points[label] = (scan.own[rows] * MILLI, scan.output[rows] * MILLI)
        lines[label] = (grid * MILLI, expected * MILLI)
        bands[f"{label}, 95 %"] = (
            grid * MILLI,
            (expected - reach) * MILLI,
            (expected + reach) * MILLI,
        )
    scores = np.concatenate([fit.scores for fit in fits])
    total = np.concatenate([fit.scan.own + fit.scan.others.sum(axis=1) for fit in fits])
    panels = [
        Panel(
            x_label="Heater power (mW)",
            y_label="Output power (mW)",
            points=points,
            lines=lines,
            bands=bands,
        )
    ]
    coefficients = {
        f"On shifter {fit.scan.number}": (
            np.array(fit.scan.heaters, dtype=np.float64),
            fit.estimates.values[4 : 4 + len(fit.scan.heaters)],
        )
        for fit in shown
        if fit.scan.heaters
    }
    if coefficients:
        panels.append(Panel(x_label="Heater", y_label="Crosstalk coefficient", points=coefficients))
    return (
        *panels,
        Panel(
            x_label="Heater power (mW)",
            y_label="Residual (standard deviations)",
            points={"Measured": (total * MILLI, scores)},
        ),
        quantile_panel(scores),
    )
