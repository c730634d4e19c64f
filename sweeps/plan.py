"""What a sweep is about: an experiment, its constant parameters and a grid, checked up front."""

import inspect
import json
import os
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import product
from math import isfinite, prod
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from zerohm._errors import InputError
from zerohm._version import __version__

Value = bool | int | float | str
Experiment = Callable[..., xr.Dataset]

MOST_POINTS = 10_000_000
"""Points of the largest grid."""

RESERVED = ("error", "step", "seeds_used")
"""Names that a swept parameter can't have: the result uses them itself."""


@dataclass(frozen=True)
class Plan:
    """An experiment, its constant parameters and its grid; points in grid order.

    Parameters
    ----------
    experiment : module and name.
    source : sha256 of the experiment's own text; empty for those of zerohm, which its version
        tells apart, and where there is no text to read.
    fixed, grid : constant and swept parameters.
    contents : path of a device card -> sha256 of the file, for all cards among the parameters.
    zerohm_version : of the package that runs the points.
    """

    experiment: str
    source: str
    fixed: Mapping[str, Any]
    grid: Mapping[str, tuple[Value, ...]]
    contents: Mapping[str, str]
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
        axes = {_checked_name(name): checked_axis(name, grid[name]) for name in grid}
        canonical(fixed, "fixed")
        values = [*fixed.values(), *(value for axis in axes.values() for value in axis)]
        if (count := prod(map(len, axes.values()))) > MOST_POINTS:
            raise InputError(f"grid has {count:.3g} points: at most {MOST_POINTS:,} are possible")
        plan = cls(
            experiment=experiment_name(experiment),
            source=_source(experiment),
            fixed=dict(fixed),
            grid=axes,
            contents=_contents(values),
            zerohm_version=__version__,
        )
        _check_signature(experiment, {**fixed, **plan.points()[0]})
        return plan

    @classmethod
    def from_attributes(cls, attributes: Mapping[str, Any]) -> "Plan":
        """The plan that a sweep was made by."""
        return cls(
            experiment=attributes["experiment"],
            source=attributes["source"],
            fixed=json.loads(attributes["fixed"]),
            grid={name: tuple(axis) for name, axis in json.loads(attributes["grid"]).items()},
            contents=json.loads(attributes["contents"]),
            zerohm_version=attributes["zerohm_version"],
        )

    def attributes(self) -> dict[str, str]:
        """The plan as attributes of a dataset; ``from_attributes`` reads them back."""
        return {
            "experiment": self.experiment,
            "source": self.source,
            "fixed": canonical(self.fixed, "fixed"),
            "grid": json.dumps(self.grid, allow_nan=False),
            "contents": canonical(self.contents, "contents"),
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
        parameter moved from ``fixed`` into the grid; a device card counts by its content.
        """
        who = {
            "experiment": self.experiment,
            "source": self.source,
            "zerohm_version": self.zerohm_version,
        }
        return [
            canonical({**who, "parameters": self._with_contents({**self.fixed, **point})}, "fixed")
            for point in self.points()
        ]

    def _with_contents(self, parameters: dict[str, Any]) -> dict[str, Any]:
        if not self.contents:
            return parameters
        return {
            name: {"content": self.contents[value]}
            if isinstance(value, str) and value in self.contents
            else value
            for name, value in parameters.items()
        }

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


def _source(experiment: Experiment) -> str:
    """Hash of the experiment's text, wherever it stands and however deep it is indented."""
    if experiment_name(experiment).startswith("zerohm."):
        return ""
    try:
        text = textwrap.dedent(inspect.getsource(experiment))
    except (OSError, TypeError):  # typed at a prompt, or no function
        return ""
    return sha256(text.encode()).hexdigest()


def _contents(values: Iterable[Any]) -> dict[str, str]:
    """Content of the files among some values: device cards, which are known by ``.json``."""
    paths = {v for v in values if isinstance(v, str) and v.endswith(".json") and os.path.isfile(v)}
    try:
        return {path: sha256(Path(path).read_bytes()).hexdigest() for path in sorted(paths)}
    except OSError as error:
        raise InputError(f"cannot read {error.filename}: {error.strerror}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{value!r} is not a plain value")


def _checked_name(name: Any) -> str:
    if (
        not isinstance(name, str)
        or not all(part.isidentifier() for part in name.split("."))
        or name in RESERVED
    ):
        raise InputError(
            f"grid: {name!r} cannot name a parameter: use a Python name, or several with dots "
            f"between them, other than {', '.join(RESERVED)}"
        )
    return name


def checked_axis(name: str, given: Any) -> tuple[Value, ...]:
    """Values of a swept parameter; InputError if they are none or do not go together."""
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise InputError(f"grid: {name} must be a list of values, not {given!r}")
    values = [value.item() if isinstance(value, np.generic) else value for value in given]
    if not values:
        raise InputError(f"grid: {name} has no values")
    for value in values:
        if not isinstance(value, Value) or (isinstance(value, float) and not isfinite(value)):
            raise InputError(f"grid: {name} has {value!r}: allowed are finite numbers and strings")
    kinds = {int: "number", float: "number", str: "string", bool: "boolean"}
    if len({kinds[type(value)] for value in values}) > 1:
        raise InputError(f"grid: {name} mixes kinds of values: {values}")
    if twice := sorted(value for value, count in Counter(values).items() if count > 1):
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
