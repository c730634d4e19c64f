"""What a sweep is about: an experiment, its constant parameters and a grid, checked up front."""

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import product
from math import isfinite
from typing import Any

import numpy as np
import xarray as xr

from zerohm._errors import InputError
from zerohm._version import __version__

Value = bool | int | float | str
Experiment = Callable[..., xr.Dataset]

RESERVED = ("error", "step")
"""Names that a swept parameter can't have: the result uses them itself."""


@dataclass(frozen=True)
class Plan:
    """An experiment (by name), its constant parameters and its grid; points in grid order."""

    experiment: str
    fixed: Mapping[str, Any]
    grid: Mapping[str, tuple[Value, ...]]
    zerohm_version: str

    @classmethod
    def of(
        cls, experiment: Experiment, grid: Mapping[str, Iterable[Any]], fixed: Mapping[str, Any]
    ) -> "Plan":
        """Check a user's request; InputError says what is wrong with it."""
        if not isinstance(grid, Mapping) or not grid:
            raise InputError("grid is empty: it needs at least one parameter with its values")
        if both := sorted(set(grid) & set(fixed)):
            raise InputError(f"{both} are both swept and fixed: name each parameter once")
        axes = {_checked_name(name): _checked_values(name, grid[name]) for name in grid}
        plan = cls(experiment_name(experiment), dict(fixed), axes, __version__)
        canonical(plan.fixed, "fixed")
        _check_signature(experiment, {**fixed, **plan.points()[0]})
        return plan

    @classmethod
    def from_attributes(cls, attributes: Mapping[str, Any]) -> "Plan":
        """The plan that a finished sweep was made by."""
        grid = {name: tuple(values) for name, values in json.loads(attributes["grid"]).items()}
        fixed = json.loads(attributes["fixed"])
        return cls(attributes["experiment"], fixed, grid, attributes["zerohm_version"])

    def attributes(self) -> dict[str, str]:
        """The plan as attributes of a dataset; ``from_attributes`` reads them back."""
        return {
            "experiment": self.experiment,
            "fixed": canonical(self.fixed, "fixed"),
            "grid": json.dumps(self.grid, allow_nan=False),
            "zerohm_version": self.zerohm_version,
        }

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of values along each swept parameter."""
        return tuple(len(values) for values in self.grid.values())

    def points(self) -> list[dict[str, Value]]:
        """Every combination of the grid's values; the last parameter changes fastest."""
        return [dict(zip(self.grid, values, strict=True)) for values in product(*self.axes())]

    def axes(self) -> list[tuple[Value, ...]]:
        """Values of each swept parameter."""
        return list(self.grid.values())

    def identities(self) -> list[str]:
        """For each point, canonical JSON of everything that its answer depends on.

        Swept and constant parameters count alike, so that a point is found again after a
        parameter moved from ``fixed`` into the grid.
        """
        who = {"experiment": self.experiment, "zerohm_version": self.zerohm_version}
        return [
            canonical({**who, "parameters": {**self.fixed, **point}}, "fixed")
            for point in self.points()
        ]

    def keys(self) -> list[str]:
        """For each point, the sha256 of its identity."""
        return [sha256(identity.encode()).hexdigest() for identity in self.identities()]


def canonical(parameters: Mapping[str, Any], where: str) -> str:
    """The one JSON text of some parameters: sorted names, no spaces, NumPy numbers as numbers."""
    try:
        return json.dumps(
            parameters,
            sort_keys=True,
            separators=(",", ":"),
            allow_nan=False,
            default=_plain,
        )
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{where}: {error}; parameters are finite numbers, strings, booleans, None, "
            "and lists or mappings of these"
        ) from error


def experiment_name(experiment: Experiment) -> str:
    """Module and name of a function or class; the type's for any other callable."""
    if not callable(experiment):
        raise InputError(f"experiment must be callable, not {experiment!r}")
    named = experiment if hasattr(experiment, "__qualname__") else type(experiment)
    return f"{named.__module__}.{named.__qualname__}"


def check_recognisable(experiment: Experiment) -> None:
    """Refuse for a store what its name does not tell apart: lambdas, partials, bound methods."""
    is_definition = inspect.isfunction(experiment) or inspect.isclass(experiment)
    if not is_definition or "<lambda>" in experiment_name(experiment):
        raise InputError(
            f"a store recognises an experiment by its name, which {experiment!r} does not have: "
            "pass a function made by def, with its constant parameters in fixed"
        )


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{value!r} is not a plain value")


def _checked_name(name: Any) -> str:
    if not isinstance(name, str) or not name.isidentifier() or name in RESERVED:
        raise InputError(
            f"grid: {name!r} cannot name a parameter: use a Python name other than {RESERVED}"
        )
    return name


def _checked_values(name: str, given: Any) -> tuple[Value, ...]:
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise InputError(f"grid: {name} must be a list of values, not {given!r}")
    values = [_plain(value) if isinstance(value, np.generic) else value for value in given]
    if not values:
        raise InputError(f"grid: {name} has no values")
    for value in values:
        if not isinstance(value, Value) or (isinstance(value, float) and not isfinite(value)):
            raise InputError(f"grid: {name} has {value!r}: allowed are finite numbers and strings")
    kinds = {int: "number", float: "number", str: "string", bool: "boolean"}
    if len({kinds[type(value)] for value in values}) > 1:
        raise InputError(f"grid: {name} mixes kinds of values: {values}")
    if any(isinstance(value, float) for value in values):
        values = [float(value) for value in values]
    if twice := sorted({value for value in values if values.count(value) > 1}):
        raise InputError(f"grid: {name} has {twice} more than once")
    return tuple(values)


def _check_signature(experiment: Experiment, parameters: Mapping[str, Any]) -> None:
    try:
        signature = inspect.signature(experiment)
    except (TypeError, ValueError):  # some compiled callables do not tell theirs
        return
    try:
        signature.bind(**parameters)
    except TypeError as error:
        raise InputError(
            f"{experiment_name(experiment)}{signature} cannot be called with "
            f"{sorted(parameters)}: {error}"
        ) from error
