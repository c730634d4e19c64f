"""Pulses taken directly from measured changes of conductance, without a law in between."""

import gzip
import os
from dataclasses import dataclass as plain_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike
from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from zerohm._arrays import Array
from zerohm._config import STRICT
from zerohm._errors import InputError, checked

from .drive import Drive
from .kernels import Integers, pulse_tables
from .pulse_train import PulseTrain, is_up

if TYPE_CHECKING:
    from ..rram import Cell

PROBABILITIES = (0.01, 0.02, 0.05, *(round(0.05 * k, 2) for k in range(2, 20)), 0.98, 0.99)
_PER_BIN = 30  # fewest pulses of one direction that quantiles are taken of

Row = tuple[float, ...]
Quantiles = tuple[tuple[Row, ...], ...]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TablePulses:
    """Quantiles of the change ΔG of conductance by one pulse, at several starting conductances.

    A pulse of a cell at G draws the cumulative probability u uniformly and changes G by the
    quantile at (u, G), bilinear between the entries. Below the lowest and above the highest
    tabulated probability the outermost quantile holds, so the tails end there: with 1 and 99 %,
    one pulse in fifty. Successive changes are independent given G; read noise in the measured
    changes, which would make them anticorrelated, stays in them as if it were switching.

    Several devices make a population: every fabricated cell gets one of the tables, all equally
    likely. A cell moves within the conductances of its own table, whatever the window of its
    :class:`~zerohm.devices.Cell` is: nothing is known outside.

    Parameters
    ----------
    conductance : (devices, k), S, ascending; where changes were measured.
    probabilities : (q,), ascending, between 0 and 1.
    increase, decrease : (devices, q, k), S; quantiles of the change by an up (SET) and a down
        (RESET) pulse, not falling with probability. A change may have either sign.

    Raises
    ------
    ValueError : shapes that do not fit, or values that do not ascend.

    Examples
    --------
    >>> table = TablePulses.from_quantiles(
    ...     conductance=[0.0, 100e-6], probabilities=[0.25, 0.75],
    ...     increase=[[4e-6, 0.0], [6e-6, 0.0]], decrease=[[0.0, -6e-6], [0.0, -4e-6]])
    >>> table.quantile(0.5, np.array([0.0, 50e-6]), +1).round(9)
    array([5.0e-06, 2.5e-06])
    """

    conductance: Annotated[tuple[Row, ...], Field(min_length=1)]
    probabilities: Annotated[Row, Field(min_length=2)]
    increase: Quantiles
    decrease: Quantiles
    kind: Literal["tables"] = "tables"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        try:
            knots, probabilities, *tables = self._arrays()
        except ValueError:
            raise ValueError("the tables of all devices must have the same, full shape") from None
        shape = (knots.shape[0], probabilities.size, knots.shape[-1])
        for name, table in zip(("increase", "decrease"), tables, strict=True):
            if table.shape != shape:
                raise ValueError(f"{name} has shape {table.shape}, expected {shape}")
            if np.any(np.diff(table, axis=1) < 0):
                raise ValueError(
                    f"quantiles in {name} fall with probability: sort them along that axis "
                    "(monotone rearrangement) if their crossing is estimation noise"
                )
        if knots.shape[1] < 2 or np.any(np.diff(knots, axis=1) <= 0) or np.any(knots < 0):
            raise ValueError("a table needs 2 or more ascending conductances, none negative")
        inside = probabilities[0] >= 0 and probabilities[-1] <= 1
        if not inside or np.any(np.diff(probabilities) <= 0):
            raise ValueError("probabilities must ascend between 0 and 1")
        return self

    def _arrays(self) -> tuple[Array, Array, Array, Array]:
        held = (self.conductance, self.probabilities, self.increase, self.decrease)
        knots, probabilities, increase, decrease = (
            np.array(values, dtype=float) for values in held
        )
        return knots, probabilities, increase, decrease

    @classmethod
    def from_quantiles(
        cls,
        *,
        conductance: ArrayLike,
        probabilities: ArrayLike,
        increase: ArrayLike,
        decrease: ArrayLike,
    ) -> Self:
        """Tables of one device, (k,) and (q, k), or of several with an axis of devices in front.

        Raises
        ------
        InputError : see :class:`TablePulses`.
        """
        given = {"conductance": conductance, "increase": increase, "decrease": decrease}
        try:
            arrays = {name: np.asarray(values, dtype=float) for name, values in given.items()}
            levels = np.asarray(probabilities, dtype=float)
        except ValueError as error:
            raise InputError(f"tables of pulses: {error}") from None
        if arrays["conductance"].ndim == 1:
            arrays = {name: values[None] for name, values in arrays.items()}
        held = {name: values.tolist() for name, values in arrays.items()}
        return checked(cls, "tables of pulses", probabilities=levels.tolist(), **held)

    @classmethod
    def from_measurements(
        cls,
        *,
        conductance: ArrayLike,
        change: ArrayLike,
        direction: ArrayLike,
        bins: int = 20,
        probabilities: ArrayLike = PROBABILITIES,
    ) -> Self:
        """One device's table from the conductance before and the change by single pulses.

        The conductances of all pulses are cut into ``bins`` of equal counts. Each bin gives the
        quantiles of the changes in it, at the mean conductance in it; the outermost bins also
        hold at the smallest and largest conductance seen.

        Parameters
        ----------
        conductance, change : (n,), S; before the pulse, and after minus before.
        direction : (n,), +1 for up pulses, −1 for down pulses.

        Raises
        ------
        InputError : arrays that do not fit, or a bin with fewer than 30 pulses of a direction.
        """
        before, step = np.asarray(conductance, dtype=float), np.asarray(change, dtype=float)
        sign = np.asarray(direction)
        if (
            not before.ndim == step.ndim == sign.ndim == 1
            or len({*map(len, (before, step, sign))}) > 1
        ):
            raise InputError("conductance, change and direction must be lists of the same length")
        if not np.all(np.isfinite(before) & np.isfinite(step)) or not np.all(np.abs(sign) == 1):
            raise InputError("measurements must be finite and every direction +1 or -1")
        if bins < 1 or before.size < bins:
            raise InputError(f"bins={bins!r} must be from 1 to the number of pulses {before.size}")
        edges = np.quantile(before, np.linspace(0, 1, bins + 1))
        where = np.clip(np.searchsorted(edges, before, side="right") - 1, 0, bins - 1)
        levels = np.asarray(probabilities, dtype=float)

        def table(wanted: int) -> Array:
            columns = []
            for index in range(bins):
                chosen = step[(where == index) & (sign == wanted)]
                if chosen.size < _PER_BIN:
                    raise InputError(
                        f"{chosen.size} pulses of direction {wanted:+d} start between "
                        f"{edges[index]:g} and {edges[index + 1]:g} S, {_PER_BIN} are needed for "
                        f"their quantiles: measure more or use fewer than {bins} bins"
                    )
                columns.append(np.quantile(chosen, levels))
            return np.stack([columns[0], *columns, columns[-1]], axis=1)

        means = [before[where == index].mean() for index in range(bins)]
        return cls.from_quantiles(
            conductance=[edges[0], *means, edges[-1]],
            probabilities=levels,
            increase=table(+1),
            decrease=table(-1),
        )

    @property
    def drives(self) -> tuple[Drive, Drive] | None:
        """Always ``None``: a table knows the pulse that it was measured with."""
        return None

    @property
    def write_noise(self) -> float:
        """Always 0: the measured changes contain it."""
        return 0.0

    def quantile(
        self, probability: float, conductance: Array, direction: int, device: int = 0
    ) -> Array:
        """Quantile of the change at conductances (any shape) of one device, S."""
        knots, probabilities, increase, decrease = self._arrays()
        table = (increase if is_up(direction) else decrease)[device]
        at_knots = [np.interp(probability, probabilities, column) for column in table.T]
        return np.asarray(np.interp(conductance, knots[device], at_knots))

    def fabricate(self, cell: "Cell", count: int, rng: Generator) -> "TableDevices":
        """``count`` cells, each with one of the tables."""
        knots, probabilities, increase, decrease = self._arrays()
        table = rng.integers(len(knots), size=count)
        return TableDevices(
            table=table,
            lower=knots[table, 0],
            upper=knots[table, -1],
            knots=knots,
            probabilities=probabilities,
            increase=increase,
            decrease=decrease,
        )


@plain_dataclass(frozen=True, kw_only=True)
class TableDevices:
    """Fabricated cells: the table of each, its ends in S, and the tables themselves."""

    table: Integers
    lower: Array
    upper: Array
    knots: Array
    probabilities: Array
    increase: Array
    decrease: Array

    def pulse(
        self,
        conductance: Array,
        train: PulseTrain,
        limited: Integers,
        energy: Array,
        rng: Generator,
    ) -> None:
        """Move conductances (devices,) in S, in place; count hits of a bound; add up J."""
        for shape in train.blocks():
            pulse_tables(
                self.knots,
                self.probabilities,
                self.increase,
                self.decrease,
                self.table,
                conductance,
                train.chosen,
                train.direction,
                rng.random(shape),
                limited,
                energy,
                train.fixed_energy,
            )


def read_quantile_table(path: str | os.PathLike[str]) -> tuple[Array, Array, Array]:
    """Conductances (k,), probabilities (q,) and changes (q, k) of a look-up table of CrossSim.

    The text file (also .gz) has one line of explanation, one of starting conductances in S, one
    of cumulative probabilities and then one line of changes in S for every probability.

    Raises
    ------
    InputError : the file cannot be read or is not such a table.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
        rows = [line.split(",") for line in text.splitlines()[1:] if line.strip()]
        numbers = [np.array([float(entry) for entry in row if entry.strip()]) for row in rows]
        conductance, probabilities, *changes = numbers
        table = np.array(changes).reshape(probabilities.size, conductance.size)
    except (OSError, EOFError, ValueError) as error:
        raise InputError(f"cannot read quantile table {path}: {error}") from None
    return conductance, probabilities, table
