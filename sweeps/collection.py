"""The outcomes of a sweep's points as they come in, and the dataset that they make."""

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from zerohm._errors import InputError

from .assemble import assemble, final_values
from .encoding import Point, decode
from .plan import Plan
from .points import Points
from .stopping import EnoughSeeds, Schedule

NOT_RUN = "not run yet"
"""What ``error`` says of a point whose turn has not come."""


class Collection:
    """Results and errors of a plan's points; says which points are to run.

    Parameters
    ----------
    plan, curves, stop : the sweep.
    stored, errors : key of a point -> its encoded result, or its error message. These points
        are not run.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        curves: bool,
        stop: EnoughSeeds | None,
        stored: Mapping[str, bytes],
        errors: Mapping[str, str],
    ) -> None:
        self.plan, self._curves, self._stop = plan, curves, stop
        self._stored, self._stored_errors = stored, errors
        self._keys = plan.keys() if stored or errors else []
        self._schedule = Schedule(plan, stop)
        self.size = math.prod(plan.shape)
        self._results: list[Point | None] = [None] * self.size
        self._errors = [""] * self.size

    @property
    def kept(self) -> int:
        """Number of points that have a result."""
        return sum(result is not None for result in self._results)

    @property
    def failures(self) -> list[str]:
        """Error messages of the points that failed."""
        return [error for error in self._errors if error]

    def begin(self) -> list[int]:
        """Points to run first."""
        return self._without_stored(self._schedule.first())

    def add(self, index: int, encoded: bytes | None, error: str = "") -> list[int]:
        """Take the outcome of a point; returns the points to run in view of it.

        Raises
        ------
        InputError : a result uses the sweep's own names, or lacks what the stop rule looks at.
        """
        return self._without_stored(self._take(index, encoded, error))

    def _take(self, index: int, encoded: bytes | None, error: str) -> list[int]:
        value = np.nan
        if encoded is None:
            self._errors[index] = error
        else:
            point = final_values(decode(encoded), self.plan, self._curves)
            self._results[index] = point
            value = _looked_at(point, self._stop)
        return self._schedule.after(index, value)

    def _without_stored(self, indexes: list[int]) -> list[int]:
        """Those of these points that have to run, once the stored ones among them are taken."""
        if not self._keys:
            return indexes
        waiting, to_run = deque(indexes), []
        while waiting:
            index = waiting.popleft()
            encoded = self._stored.get(self._keys[index])
            error = self._stored_errors.get(self._keys[index], "")
            if encoded is None and not error:
                to_run.append(index)
            else:
                waiting += self._take(index, encoded, error)
        return to_run

    def dataset(self, attributes: Mapping[str, Any]) -> xr.Dataset:
        """All points on the grid, with these attributes beside those that the results share."""
        unneeded = self._schedule.unneeded()
        errors = [
            error or ("" if result is not None or skip else NOT_RUN)
            for result, error, skip in zip(self._results, self._errors, unneeded, strict=True)
        ]
        dataset = assemble(self.plan, self._results, errors)
        if self._stop is not None:
            others = tuple(name for name in self.plan.grid if name != "seed")
            described = {"long_name": "Seeds that were run", "units": "1"}
            dataset["seeds_used"] = (others, self._schedule.seeds_used(), described)
        return dataset.assign_attrs(attributes)


def collect(points: Points) -> Collection:
    """What a file of points holds of the sweep that it was last used by.

    Raises
    ------
    InputError : it holds no sweep, or a damaged one.
    """
    attributes = points.attributes()
    plan, curves, stop = description(attributes, str(points.path))
    keys = plan.keys()
    stored, errors = points.finished(keys), points.errors(keys)
    collection = Collection(plan, curves=curves, stop=stop, stored=stored, errors=errors)
    collection.begin()
    return collection


def description(attributes: Mapping[str, Any], where: str) -> tuple[Plan, bool, EnoughSeeds | None]:
    """Plan, curves and stop rule of a sweep by its attributes."""
    try:
        plan = Plan.from_attributes(attributes)
        curves = bool(attributes["curves"])
        stop = EnoughSeeds.from_json(attributes["stop"])
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise InputError(f"{where} does not say which sweep it belongs to: {error!r}") from None
    return plan, curves, stop


def _looked_at(point: Point, stop: EnoughSeeds | None) -> float:
    """The value that decides whether there are seeds enough."""
    if stop is None:
        return np.nan
    variable = point.variables.get(stop.variable)
    if variable is None or variable.dims or variable.values.dtype.kind not in "biuf":
        numbers = [n for n, v in point.variables.items() if not v.dims and not v.is_text]
        raise InputError(
            f"stop: the experiment returns no single number {stop.variable!r}; "
            f"there are {', '.join(sorted(numbers)) or 'none'}"
        )
    return float(variable.values)
