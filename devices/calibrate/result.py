"""What a calibration gives back, the same for every kind of measurement."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from zerohm._arrays import Array
from zerohm._errors import InputError
from zerohm._version import __version__

from .. import cards
from ..rram import Cell
from .diagnosis import Diagnosis
from .estimate import Estimates
from .panel import Panel
from .quantities import quantity
from .table import Provenance

if TYPE_CHECKING:
    from matplotlib.figure import Figure


MICRO = 1e6
"""What figures multiply conductances by: their axes are in µS."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A device model fitted to measured data.

    Parameters
    ----------
    kind : relaxation, read-noise, programming, pulses, iv or phase-shifter.
    estimates : of all parameters, one vector with one covariance.
    cell : with the fitted part in it.
    goodness : name -> number: log-likelihood, points, p-values of the tests that were made.
    diagnosis : what the residuals say about the model.
    validity : column -> smallest and largest value in the data.
    refused : parameter -> why it could not be fitted, or has no error bar.
    provenance : of the data.
    panels : of the figure.
    """

    kind: str
    estimates: Estimates
    cell: Cell
    goodness: Mapping[str, float | str]
    diagnosis: Diagnosis
    validity: Mapping[str, tuple[float, float]]
    provenance: Provenance
    panels: tuple[Panel, ...]
    refused: Mapping[str, str] = field(default_factory=dict)

    @property
    def parameters(self) -> xr.Dataset:
        """value, standard_error, lower, upper (95 %) over ``parameter``, with its ``unit``."""
        found = self.estimates
        columns = {
            "value": found.values,
            "standard_error": found.standard_errors,
            "lower": found.lower,
            "upper": found.upper,
        }
        return xr.Dataset(
            {name: ("parameter", values) for name, values in columns.items()},
            coords={
                "parameter": list(found.names),
                "unit": ("parameter", list(found.units)),
            },
            attrs={"kind": self.kind},
        )

    @property
    def covariance(self) -> xr.DataArray:
        """Covariance of the estimates over ``parameter`` and ``other_parameter``."""
        names = list(self.estimates.names)
        return xr.DataArray(
            self.estimates.covariance,
            dims=("parameter", "other_parameter"),
            coords={"parameter": names, "other_parameter": names},
            name="covariance",
        )

    def plot(self) -> "Figure":
        """One page: data, fit, 95 % band, residuals, and the parameters in figures."""
        from .figure import page

        source = self.provenance.file or "data in memory"
        title = (
            f"Calibration of {self.cell.name}: {self.kind}, {source}, {self.provenance.rows} rows"
        )
        return page(
            self.panels, title=title, numbers=self.estimates_in_words(), remarks=self.remarks()
        )

    def estimates_in_words(self) -> list[str]:
        """One line per parameter: its value, standard error and unit."""
        found = self.estimates
        errors = found.standard_errors
        return [
            f"{name} = {quantity(value, error, unit)}"
            for name, unit, value, error in zip(
                found.names, found.units, found.values, errors, strict=True
            )
            if name not in self.refused
        ]

    def remarks(self) -> list[str]:
        """What was refused and what the residuals say, one line each."""
        refused = [f"{name} refused: {why}" for name, why in self.refused.items()]
        return refused + list(self.diagnosis.findings or ("nothing is wrong with the residuals",))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the cell as a device card with the calibration in it.

        Raises
        ------
        InputError : the file cannot be written.
        """
        cards.save(self.cell, path, calibration=self._record())

    def _record(self) -> dict[str, Any]:
        """The calibration as JSON: the same for the same data, version and options."""
        found = self.estimates
        table = {name: self.parameters[name].values.tolist() for name in self.parameters}
        rows = [
            {"name": name, "unit": unit, **{key: column[at] for key, column in table.items()}}
            for at, (name, unit) in enumerate(zip(found.names, found.units, strict=True))
        ]
        record = {
            "kind": self.kind,
            "parameters": rows,
            "covariance": found.covariance.tolist(),
            "refused": dict(self.refused),
            "goodness": dict(self.goodness),
            "diagnosis": asdict(self.diagnosis),
            "validity": {name: list(limits) for name, limits in self.validity.items()},
            "provenance": asdict(self.provenance),
            "zerohm_version": __version__,
        }
        return {key: _finite(value) for key, value in record.items()}


def _finite(value: Any) -> Any:
    """JSON knows no NaN: what has no value is null."""
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    if isinstance(value, np.generic):
        return _finite(value.item())
    return None if isinstance(value, float) and not np.isfinite(value) else value


def cell_from(conductance: Array, *, cell: Cell | None, name: str) -> Cell:
    """The caller's cell, or a bare one whose window is the range of the data (S).

    Data at a single conductance say nothing of a window: it then begins at 0.

    Raises
    ------
    InputError : no conductance is positive.
    """
    if cell is not None:
        return cell
    low, high = max(float(np.min(conductance)), 0.0), float(np.max(conductance))
    if high <= 0:
        raise InputError(f"no conductance is positive (largest: {high:g} S)")
    return Cell(name=name, conductance_min=low if low < high else 0.0, conductance_max=high)
