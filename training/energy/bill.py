"""The whole energy, time and wear of a training run, by part; and runs at equal accuracy."""

from typing import TYPE_CHECKING

import numpy as np

from zerohm._errors import InputError

from ...crossbar import PARTS
from .cmos import (
    ENERGY_PARTS,
    CMOSDesign,
    periphery_energy,
    periphery_time,
    reference_energy,
    reference_time,
)
from .workload import workloads

if TYPE_CHECKING:
    import xarray as xr

SOURCES = "Horowitz2014, Shafiee2016, Stillmaker2017, Manzouri2022"
_ENERGY = {"units": "J", "long_name": "Energy used in training"}
_DIGITAL = ("digital", "int8")  # hardware whose runs are priced as the reference design


def bill(run: "xr.Dataset", design: CMOSDesign | None = None) -> "xr.Dataset":
    """Everything that a run has spent, record by record.

    A run on analog hardware keeps what its ledger has counted, and gets what was digital around the
    arrays; a run on digital hardware is priced as the reference design.

    Parameters
    ----------
    run : result of :func:`zerohm.training.fit` for a multilayer perceptron.
    design : digital technology; ``None`` for :class:`CMOSDesign` as it is.

    Returns
    -------
    Dataset over ``step``: ``energy_J`` by ``part`` (:data:`ENERGY_PARTS`), ``total_energy``,
    ``time_s`` and ``writes_per_cell``.

    Raises
    ------
    InputError : not such a run, a method whose digital work is not counted, or a network that does
        not fit into the memories.

    Examples
    --------
    >>> import zerohm as zo
    >>> run = zo.training.experiment(task="digits", method="mezo", hardware="int8", passes=20,
    ...                              batch=8, evaluations=2)
    >>> spent = bill(run)
    >>> spent.energy_J.sizes["part"], bool(spent.total_energy[1] > spent.total_energy[0])
    (10, True)
    """
    import xarray as xr  # slow to import

    chosen = design or CMOSDesign()
    loads = workloads(run)
    digital = run.attrs["hardware"] in _DIGITAL
    if digital:
        counted = [reference_energy(load, chosen) for load in loads]
        seconds = np.array([reference_time(load, chosen) for load in loads])
        writes = np.zeros(len(loads))
    else:
        counted = [periphery_energy(load, chosen) for load in loads]
        seconds = run.hardware_time.values + [periphery_time(load, chosen) for load in loads]
        writes = run.cell_writes.values
    energy = np.array([[parts[part] for part in ENERGY_PARTS] for parts in counted])
    if not digital:
        energy[:, : len(PARTS)] += run.energy_J.sel(part=list(PARTS)).values
    return xr.Dataset(
        {
            "energy_J": (("step", "part"), energy, _ENERGY),
            "total_energy": ("step", energy.sum(axis=1), {"units": "J", "long_name": "Energy"}),
            "time_s": ("step", seconds, {"units": "s", "long_name": "Time of training"}),
            "writes_per_cell": (
                "step",
                writes,
                {"units": "1", "long_name": "Programming events per cell (mean)"},
            ),
        },
        coords={"step": run.step, "part": list(ENERGY_PARTS)},
        attrs={
            "design": f"{run.attrs['method']} on {_place(run, chosen)}",
            "node_nm": chosen.technology.node_nm,
            "sources": SOURCES,
        },
    )


def energy_to_reach(
    run: "xr.Dataset", accuracy: float, design: CMOSDesign | None = None
) -> "xr.Dataset":
    """What a run had spent when it first reached a deployed accuracy.

    Between records nothing is interpolated: the first record counts that shows the accuracy, so
    that runs need many records for a sharp answer.

    Parameters
    ----------
    run, design : as for :func:`bill`.
    accuracy : share of test samples, over 0 to 1.

    Returns
    -------
    The Dataset of :func:`bill` at that record, with ``forward_passes``.

    Raises
    ------
    InputError : an accuracy outside its range, or one that the run has not reached.
    """
    if not 0 < accuracy <= 1:
        raise InputError(f"accuracy={accuracy!r} must be a share of the samples, over 0 to 1")
    reached = np.flatnonzero(run.deployed_accuracy.values >= accuracy)
    if not reached.size:
        best = float(run.deployed_accuracy.max())
        raise InputError(
            f"{run.attrs['method']} on {run.attrs['hardware']} never reached {accuracy:.1%}, at "
            f"best {best:.1%}: compare at a lower accuracy, or train longer"
        )
    spent = bill(run, design).assign(forward_passes=run.forward_passes)
    return spent.isel(step=int(reached[0])).drop_vars("step")


def compare(
    run: "xr.Dataset",
    other: "xr.Dataset",
    accuracy: float,
    *,
    design: CMOSDesign | None = None,
    other_design: CMOSDesign | None = None,
) -> "xr.Dataset":
    """Two runs at equal deployed accuracy, by :func:`energy_to_reach`.

    Parameters
    ----------
    run, other : results of :func:`zerohm.training.fit` on the same task.
    accuracy : share of test samples, over 0 to 1.
    design, other_design : digital technology of the runs, as for :func:`bill`; the second is the
        first if it is not given.

    Returns
    -------
    Dataset over ``design`` (two names): ``energy_J`` by ``part``, ``total_energy``, ``time_s``,
    ``writes_per_cell``, ``forward_passes``, and ``ratio``, the energy over that of ``run``.

    Raises
    ------
    InputError : runs of different tasks, an accuracy outside its range, or one that a run has not
        reached.
    """
    import xarray as xr  # slow to import

    tasks = [(each.attrs["task"], each.attrs["split"]) for each in (run, other)]
    if tasks[0] != tasks[1]:
        raise InputError(f"the runs are of different tasks: {tasks[0]} and {tasks[1]}")
    rows = [
        energy_to_reach(run, accuracy, design),
        energy_to_reach(other, accuracy, other_design or design),
    ]
    names = [row.attrs["design"] for row in rows]
    if names[0] == names[1]:
        names = [f"{names[0]}, seed {each.attrs['seed']}" for each in (run, other)]
    both = xr.concat(rows, dim=xr.Variable("design", names), combine_attrs="drop")
    ratio = both.total_energy / both.total_energy.isel(design=0)
    ratio.attrs = {"units": "1", "long_name": f"Energy relative to {names[0]}"}
    return both.assign(ratio=ratio).assign_attrs(
        accuracy=accuracy, task=run.attrs["task"], split=run.attrs["split"], sources=SOURCES
    )


def _place(run: "xr.Dataset", design: CMOSDesign) -> str:
    if run.attrs["hardware"] in _DIGITAL:
        return f"CMOS ({design.arithmetic}, {design.technology.node_nm} nm)"
    return str(run.attrs["hardware"])
