"""Parameters that depend on the conductance of the cell."""

from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Discriminator, Field, Tag, model_validator
from pydantic.dataclasses import dataclass

from zerohm._arrays import Array
from zerohm._config import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class StateTable:
    """A parameter given at some conductances and interpolated between them.

    Outside of the table no measurement says anything: the value at its nearest end holds there.

    Parameters
    ----------
    conductance : S, ascending.
    values : of the parameter, one per conductance.
    interpolation : "linear", or "logarithmic" for the logarithm of a positive parameter; both
        against the conductance itself.

    Raises
    ------
    ValueError : conductances that do not ascend, another number of values, or values that have
        no logarithm.

    Examples
    --------
    >>> amplitude = StateTable(conductance=(10e-6, 30e-6), values=(1.0, 2.0))
    >>> amplitude(np.array([5e-6, 20e-6]))
    array([1. , 1.5])
    """

    conductance: Annotated[tuple[float, ...], Field(min_length=1)]
    values: Annotated[tuple[float, ...], Field(min_length=1)]
    interpolation: Literal["linear", "logarithmic"] = "linear"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.values) != len(self.conductance):
            raise ValueError(
                f"{len(self.conductance)} conductances with {len(self.values)} values: "
                "a table needs one value per conductance"
            )
        if not np.all(np.diff(self.conductance) > 0):
            raise ValueError("the conductances of a table must ascend")
        if self.interpolation == "logarithmic" and min(self.values) <= 0:
            raise ValueError("logarithmic interpolation needs positive values")
        return self

    def __call__(self, conductance: Array) -> Array:
        """Values at these conductances (S, any shape), in their dtype."""
        if self.interpolation == "logarithmic":
            found = np.exp(np.interp(conductance, self.conductance, np.log(self.values)))
        else:
            found = np.interp(conductance, self.conductance, self.values)
        return np.asarray(found, dtype=conductance.dtype)


def _alternative(value: object) -> str:
    """Which alternative was meant, so that a bad value is told what is wrong with it alone."""
    return "table" if isinstance(value, StateTable | dict) else "number"


StateDependence = Annotated[
    Annotated[float, Tag("number")] | Annotated[StateTable, Tag("table")],
    Discriminator(_alternative),
]
"""A parameter that is a constant or depends on the cell's conductance."""


def evaluate(parameter: StateDependence, conductance: Array) -> Array:
    """The parameter at these conductances (S); a constant has no axes and broadcasts.

    Examples
    --------
    >>> evaluate(0.5, np.array([1e-6, 2e-6]))
    array(0.5)
    """
    if isinstance(parameter, StateTable):
        return parameter(conductance)
    return np.asarray(parameter, dtype=conductance.dtype)


def extremes(parameter: StateDependence) -> tuple[float, float]:
    """Smallest and largest value that the parameter takes anywhere."""
    values = parameter.values if isinstance(parameter, StateTable) else (parameter,)
    return min(values), max(values)
