"""Figure of the energy that training takes, by the parts of the hardware that take it."""

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from zerohm._errors import InputError, choose
from zerohm._figures import AnyAxes, drawing, figure_of

from ..labels import axis_label
from ..statistics import counted
from .data import further_dimension, names, remember, select, together
from .drawing import Array, Legend

ENERGY = "energy_J"
SCALES = ("linear", "log")
PREFIXES = {-15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M"}
CONVERTERS = ("adc", "dac")
WIDTH = 0.8
"""Of a stack, or of the bars of a run beside each other, in distances between runs."""
ROOM = 15
"""Letters of the names of runs that fit beside each other into an inch of the axes."""
HATCHES = ("", "//////", "......", "xxxxxx")
"""Of parts, one for each time that the style's colours have all been used."""


def energy_breakdown(
    runs: xr.Dataset | Mapping[str, xr.Dataset],
    *,
    scale: str = "linear",
    ax: AnyAxes | None = None,
    columns: int = 1,
) -> AnyAxes:
    """The energy of training, by the parts of the hardware that took it.

    Parameters
    ----------
    runs : a training run, whose last step counts; or a sweep over ``seed`` and one further
        parameter at most; or label -> run or sweep over ``seed``, for several to compare.
    scale : "linear" stacks the parts; "log" puts them beside each other from a common ground,
        since the parts of a stack have no true lengths on a logarithmic axis.
    ax, columns : as in :func:`noise_accuracy`.

    Of several seeds the mean is shown, since the means of the parts add up to that of their sum.
    Parts that took nothing anywhere are not drawn. Every part has its colour; where the colours of
    the style have been used up, they come again, hatched.

    Raises
    ------
    InputError : ``energy_J`` or its dimension ``part`` is missing, there are more dimensions or
        more parts than can be told apart, no energy was spent, or a setting is out of range.

    Examples
    --------
    >>> energy = (("step", "part"), [[0.0, 0.0], [2e-6, 5e-6]])
    >>> run = xr.Dataset({"energy_J": energy}, coords={"step": [0, 9], "part": ["write", "adc"]})
    >>> energy_breakdown(run).get_ylabel()
    'Energy (µJ)'
    """
    choose("scale", scale, SCALES)
    data = _energies(runs)
    energy = select(data, ENERGY, "part", *(name for name in ("run",) if name in data.dims))
    over = further_dimension(energy, "part")
    if over is None:
        energy, over = energy.expand_dims(run=["Training run"]), "run"
    seeds = f", mean of {counted(energy)} seeds" if "seed" in energy.dims else ""
    bars = energy.mean("seed") if seeds else energy
    bars = bars.transpose(over, "part").assign_attrs(energy.attrs)
    if not bars.max() > 0:
        raise InputError("no part of the hardware took any energy")
    with drawing(ax, columns) as axes:
        if scale == "linear":
            prefix, factor = _unit(float(bars.sum("part").max()))
            legend = _stack(axes, bars * factor)
        else:
            prefix = ""
            legend = _side_by_side(axes, bars)
        axes.set_ylabel(f"{bars.attrs.get('long_name', 'Energy')} ({prefix}J){seeds}")
        _label_runs(axes, bars[over])
        legend.draw(axes)
    remember(axes, data, energy.to_dataset(), bars.to_dataset(), "energy_breakdown", scale=scale)
    return axes


def _energies(runs: xr.Dataset | Mapping[str, xr.Dataset]) -> xr.Dataset:
    """The final energies over ``part``, of labelled runs also over ``run``."""
    if not isinstance(runs, xr.Dataset):
        return together({label: _energies(run) for label, run in runs.items()})
    if ENERGY not in runs:
        raise InputError(f"no variable {ENERGY!r}: here are {sorted(map(str, runs.data_vars))}")
    final = runs[ENERGY].isel(step=-1, missing_dims="ignore").reset_coords(drop=True)
    return final.to_dataset().assign_attrs(runs.attrs)


def _unit(largest: float) -> tuple[str, float]:
    """The prefix of the joule that suits an energy, and the factor from joules."""
    exponent = 3 * int(np.floor(np.log10(largest) / 3))
    exponent = min(max(exponent, min(PREFIXES)), max(PREFIXES))
    return PREFIXES[exponent], 10.0**-exponent


def _stack(ax: Axes, bars: xr.DataArray) -> Legend:
    legend, ground = Legend(title=None), np.zeros(bars.shape[0])
    places = np.arange(bars.shape[0])
    for look, name, heights in _parts(bars):
        drawn = ax.bar(places, heights, WIDTH, bottom=ground, linewidth=0.3, **look)
        legend.add(drawn, name)
        ground = ground + np.nan_to_num(heights)
    ax.set_ylim(bottom=0)
    return legend


def _side_by_side(ax: Axes, bars: xr.DataArray) -> Legend:
    legend, parts = Legend(title=None), list(_parts(bars))
    width = WIDTH / len(parts)
    for number, (look, name, heights) in enumerate(parts):
        places = np.arange(bars.shape[0]) + (number + 0.5) * width - WIDTH / 2
        positive = np.where(heights > 0, heights, np.nan)
        drawn = ax.bar(places, positive, width, linewidth=0, **look)
        legend.add(drawn, name)
    ax.set_yscale("log")
    return legend


def _parts(bars: xr.DataArray) -> Iterator[tuple[dict[str, Any], str, Array]]:
    """Look, name and energies (run,) of each part that took any; a part keeps its look."""
    colours = mpl.rcParams["axes.prop_cycle"].by_key()["color"]
    if bars.sizes["part"] > len(colours) * len(HATCHES):
        raise InputError(
            f"{bars.sizes['part']} parts can't be told apart, {len(colours) * len(HATCHES)} can: "
            "sum some of them"
        )
    for number, part in enumerate(bars["part"].values):
        heights = bars.isel(part=number).values
        if np.nanmax(heights) > 0:
            name = str(part)
            text = name.upper() if name in CONVERTERS else name.replace("_", " ").capitalize()
            turn, colour = divmod(number, len(colours))
            look = {"color": colours[colour], "hatch": HATCHES[turn], "edgecolor": "white"}
            yield look, text, heights


def _label_runs(ax: Axes, runs: xr.DataArray) -> None:
    texts = names(runs)
    ax.set_xlim(-0.6, len(texts) - 0.4)
    ax.tick_params(axis="x", length=0)
    width = ax.get_position().width * figure_of(ax).get_figwidth()
    room = int(ROOM * width / len(texts))
    if max(len(word) for text in texts for word in text.split()) <= room:
        ax.set_xticks(range(len(texts)), [textwrap.fill(text, room) for text in texts])
    else:
        ax.set_xticks(range(len(texts)), texts, rotation=30, ha="right", rotation_mode="anchor")
    if runs.name != "run":
        ax.set_xlabel(axis_label(runs)[0])
