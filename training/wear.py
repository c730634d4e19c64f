"""Chips that fail while they train: wear, an endurance that does not last, sudden damage.

A run owns one new chip (:class:`zerohm.mapping.Chip`). Every programming event of training finds
the cells as the one before has left them and wears those that it writes; what has failed stays
stuck, and training goes on with the rest. Records are taken on the same chip, as worn as it is by
then: they program it too, but that wear is not counted.

What reaches the next programming event is damage alone. The weights are written again from the
digital master copy, and with them drift, relaxation and whatever heat has done to the conductances
are gone; cells that have failed are not.
"""

import warnings
from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Annotated, Any, TypeVar

import numpy as np
from numpy.random import Generator
from pydantic import Field
from pydantic.dataclasses import dataclass

from zerohm._arrays import Array
from zerohm._config import STRICT
from zerohm._errors import InputError

from ..datasets import Task
from ..devices import Faults
from ..mapping import Chip, RRAMHardware
from .energy.endurance import check_endurance, endurance_budget, planned_writes
from .protocol import Method, Trainable, Trainer

AnyPart = TypeVar("AnyPart")

FAILING = 0.01
"""Share of failed cells that a plan may come to without :class:`EnduranceWarning`."""


class EnduranceWarning(UserWarning):
    """Training is going to wear out cells; it goes on with those that are left."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Disturbance:
    """Working cells that fail all at once in the middle of training.

    Parameters
    ----------
    at : share of the budget of passes after which it happens, between 0 and 1.
    faults : probabilities of failing, and what failed cells are stuck at.

    Raises
    ------
    ValueError : a time outside the run.
    """

    at: Annotated[float, Field(gt=0, lt=1)]
    faults: Faults


class Use:
    """The chip of one run: what is trained on it, and what happens to it.

    Parameters
    ----------
    network : as it is built; the attribute ``network`` is the same on a chip of its own.
    disturbances : what is going to happen to the chip.
    seed : of the run.

    Raises
    ------
    InputError : disturbances of hardware without cells.
    """

    def __init__(self, network: Trainable, disturbances: Sequence[Disturbance], seed: int) -> None:
        self.network = network
        self._chip: Chip | None = None
        self._pending = sorted(disturbances, key=lambda disturbance: disturbance.at)
        self._seed = seed
        arrays = rram_of(network)
        if disturbances and not arrays:
            raise InputError(
                f"disturbances are of RRAM cells; hardware {network.hardware_name!r} has none"
            )
        if disturbances or any(hardware.cell.fabricated for hardware in arrays):
            self._chip = Chip()
            self.network = on_chip(network, self._chip)

    @property
    def failed_cells(self) -> int:
        """Cells that cannot be programmed any more, or never could."""
        return 0 if self._chip is None else self._chip.failed_cells

    def disturb(self, progress: float) -> None:
        """Let everything happen that is due by this progress."""
        while self._chip is not None and self._pending and self._pending[0].at <= progress:
            self._chip.damage(self._pending.pop(0).faults, seed=self._seed)

    def answers(self, trainer: Trainer, x: Array, *, deployments: int, rng: Generator) -> Array:
        """Answers (..., batch, classes) to inputs (batch, features) of so many deployments.

        Each is on freshly programmed hardware: on arrays of its own where all cells are alike, else
        on those that were trained, programmed again and again without wear.
        """
        network, parameters = trainer.network, trainer.parameters
        if self._chip is None:
            return network.program(parameters, rng=rng, copies=deployments).forward(x, rng=rng)
        return np.stack(
            [
                on_chip(network, self._chip.copy())
                .program(parameters, rng=rng, copies=trainer.arrays)
                .forward(x, rng=rng)
                for _ in range(deployments)
            ]
        )


def check_plan(network: Trainable, method: Method, task: Task, *, passes: int) -> None:
    """Hold what a run is going to write against what cells endure, before it starts.

    Raises
    ------
    InputError : the method has a budget, ``endurance_cycles``, that is smaller than the plan.
    """
    budget = getattr(method, "endurance_cycles", None)
    endurance = next((h.cell.endurance for h in rram_of(network) if h.cell.endurance), None)
    if budget is None and endurance is None:
        return
    writes = planned_writes(network, method, task, passes=passes)
    if budget is not None:
        check_endurance(writes, budget)
    if endurance is not None and writes > (lasting := endurance_budget(endurance, failing=FAILING)):
        warnings.warn(
            f"training writes every cell about {writes:.4g} times, but {FAILING:.0%} of the cells "
            f"of {network.device_name!r} fail within {lasting:.4g}: it goes on with those that "
            "are left, failed_cells says how many are lost, and deployed accuracies are of the "
            "worn chip",
            EnduranceWarning,
            stacklevel=3,
        )


def rram_of(part: Any) -> list[RRAMHardware]:
    """The RRAM arrays that a network, or a part of one, is built on."""
    if isinstance(part, RRAMHardware):
        return [part]
    return [hardware for inner in _parts(part).values() for hardware in rram_of(inner)]


def on_chip(part: AnyPart, chip: Chip) -> AnyPart:
    """The same network, or part of one, with its RRAM arrays on this chip."""
    if isinstance(part, RRAMHardware):
        return replace(part, devices=chip)
    inner = {name: on_chip(value, chip) for name, value in _parts(part).items()}
    if isinstance(part, tuple):
        return type(part)(inner.values())
    return replace(part, **inner) if inner else part  # type: ignore[type-var]


def _parts(part: Any) -> dict[Any, Any]:
    """Where hardware may be: in the layers of a network, in its hardware, in any of several."""
    if isinstance(part, tuple):
        return dict(enumerate(part))
    if not is_dataclass(part):
        return {}
    return {f.name: getattr(part, f.name) for f in fields(part) if f.name in ("layers", "hardware")}
