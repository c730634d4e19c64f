"""How often training will program a cell, against how often the cell survives it."""

import math
import warnings

from zerohm._errors import InputError
from zerohm._random import stream

from ...datasets import Task
from ...devices.faults import Endurance
from ..protocol import Method, Trainable

_SAMPLES = 32  # enough that the noise can be judged


def planned_writes(network: Trainable, method: Method, task: Task, *, passes: int) -> float:
    """Programming events per cell (mean) that a run of so many passes will take.

    A few updates are made on a few samples, one more than share a programming event, and continued:
    the first may program everything, and all later ones are taken to be like those seen, to within
    one event. A method that adapts how much it rewrites may deviate.

    Examples
    --------
    >>> import zerohm as zo
    >>> hardware = zo.mapping.rram(zo.devices.preset("Wan2022"))
    >>> network = zo.training.mlp([64, 16, 10], hardware=hardware)
    >>> planned_writes(network, zo.training.NoiseZO(), zo.datasets.load("digits"), passes=1000)
    500.0
    """
    trainer = method.start(network, network.initial_parameters(stream(0)), rng=stream(0))
    cells = trainer.arrays * trainer.network.cells
    batch = task.train_inputs[:_SAMPLES], task.train_labels[:_SAMPLES]
    updates = 1 + getattr(method, "batches_per_programming", 1)
    seen = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the noise: the run itself will say it
        for _ in range(updates):
            trainer.step(lambda: batch, 0.0)
            seen.append((trainer.forward_passes, trainer.ledger.cell_writes / cells))
    first_passes, first = seen[0]
    last_passes, last = seen[-1]
    later = max(0, passes - first_passes)
    per_update = (last_passes - first_passes) / (updates - 1)
    return first + math.ceil(later / per_update) * (last - first) / (updates - 1)


def endurance_budget(endurance: Endurance, *, failing: float = 0.01) -> float:
    """Programming events at 300 K by which this share of the cells has failed.

    The quantile of the Weibull law, c·(−ln(1 − p))^(1/k).

    Raises
    ------
    InputError : a share outside 0 to 1, both excluded.
    """
    if not 0 < failing < 1:
        raise InputError(f"failing={failing!r} must be a share of the cells, between 0 and 1")
    lives = math.pow(-math.log1p(-failing), 1.0 / endurance.weibull_shape)
    return endurance.characteristic_cycles * lives


def check_endurance(writes: float, budget: float) -> None:
    """Refuse a plan that programs cells more often than they may be.

    Parameters
    ----------
    writes : planned programming events per cell, :func:`planned_writes`.
    budget : allowed ones, a number of the user's or :func:`endurance_budget`.

    Raises
    ------
    InputError : the budget is smaller than the plan, or not positive.

    Examples
    --------
    >>> check_endurance(1e4, budget=1e6)
    """
    if not (budget > 0 and math.isfinite(budget)):
        raise InputError(f"endurance budget {budget!r} must be a positive number of writes")
    if writes > budget:
        raise InputError(
            f"the endurance budget of {budget:.4g} writes per cell is smaller than the plan, "
            f"{writes:.4g}: lower passes to {budget / writes:.2g} of them or less, or let more "
            "mini-batches share a programming event (batches_per_programming)"
        )
