"""Control of write noise as a perturbation: verify bands, and what the read-back can see.

Write–verify is what makes noise controllable: a cell accepted within a band has the noise of that
band, at a cost of pulses that grows as its inverse. Bands can be narrowed only, so all rules here
narrow: what is loud to a target, never the reverse.

* :func:`equalized`: one band per layer, all layers as loud as the quietest one.
* :func:`narrowed`: one band per word line or per cell, none louder than a target.
* :func:`matched`: one band per layer, all layers with the same share of the loss difference.

Which target, and how a run measures what it needs for that, is in
:mod:`zerohm.training.write_noise_statistics`.
"""

import math
import warnings
from typing import Literal

import numpy as np

from zerohm._arrays import Array
from zerohm._errors import InputError

from ..crossbar import read_back_full_scale
from ..mapping import RRAMHardware
from .network import Network

Bands = Literal["layer", "line", "cell", "sensitivity"]

LARGEST_RELAXATION = 0.1
"""Relaxation before the read-back, as a share of the write noise, that is not worth a warning."""

LEAST_STEPS = 0.25
"""Smallest spread of a read-back that a converter shows, in its steps.

Below it most cells give the same code for both arrays: the mean code of a mid-tread converter then
follows the weight with a slope of 1 ± 2 exp(−2(π/4)²) = 0.4 to 1.6, depending on where between
two codes the weight lies, and worse for less.
"""


class NoiseWarning(UserWarning):
    """The noise does something to the estimate that its settings do not account for."""


def layer_noise(network: Network, parameters: Array) -> list[float]:
    """Root-mean-square write noise of every layer, in weight units.

    Raises
    ------
    InputError : a layer has no write noise.
    """
    stds = network.matrices(network.write_noise(parameters).std)
    noise = [float(np.sqrt(np.mean(np.square(std)))) for std in stds]
    if min(noise) == 0.0:
        names = ", ".join(sorted({layer.hardware.name for layer in network.layers}))
        raise InputError(
            f"NoiseZO perturbs by write noise, but hardware {names!r} has none: use rram with "
            "write_noise > 0, photonic with phase_noise > 0, or a method with software "
            "perturbations such as mezo"
        )
    return noise


def equalized(network: Network, parameters: Array) -> Network:
    """The network with every layer's band narrowed to the write noise of its quietest layer.

    Raises
    ------
    InputError : a layer has no write noise.
    """
    noise = layer_noise(network, parameters)
    return network.tightened([min(noise) / value for value in noise])


def narrowed(network: Network, parameters: Array, target: float, bands: Bands) -> Network:
    """The network with no word line ("line") or cell ("cell") louder than ``target``.

    The target is a standard deviation in weight units. ``network`` must have no bands of single
    weights yet: those would be replaced, not narrowed.

    Raises
    ------
    InputError : hardware whose weights have no cells of their own.
    """
    factors: list[float | Array] = []
    for layer, std in zip(
        network.layers, network.matrices(network.write_noise(parameters).std), strict=True
    ):
        _require_cells(layer.hardware)
        if bands == "line":
            std = np.sqrt(np.mean(np.square(std), axis=0, keepdims=True))
        factors.append(np.divide(target, std, out=np.ones_like(std), where=std > target))
    return network.tightened(factors)


def matched(sensitivity: list[float], *, narrowest: float) -> list[float]:
    """Band factors that give every layer the same share of the loss difference.

    A layer of n weights with noise σ and gradient g moves the loss by σ|g|: equal shares need
    σ ∝ 1/|g|. The least sensitive layer keeps its band, none falls below ``narrowest``.

    Examples
    --------
    >>> matched([2.0, 1.0, 0.01], narrowest=0.1)
    [0.1, 0.1, 1.0]
    """
    least = max(min(sensitivity), 1e-30)
    return [max(least / max(value, least), narrowest) for value in sensitivity]


def require_visible(network: Network, parameters: Array) -> None:
    """Refuse write noise that the read-back's converter cannot show.

    Raises
    ------
    InputError : in some layer, noise below a quarter of the converter's step, with the least
        noise and the number of bits that would do.
    """
    noise = layer_noise(network, parameters)
    read = network.matrices(network.read_back_std(parameters))
    for index, (layer, std, read_std) in enumerate(zip(network.layers, noise, read, strict=True)):
        hardware = layer.hardware
        if not isinstance(hardware, RRAMHardware) or hardware.adc is None:
            continue
        full_scale = read_back_full_scale(hardware.cell, differential=True)
        scale = hardware.weight_limit(layer.shape[1]) / hardware.cell.window
        step = hardware.adc.step(full_scale) * scale
        analog = math.sqrt(max(float(np.mean(np.square(read_std))) - step**2 / 12.0, 0.0))
        spread = math.hypot(std, analog)
        if spread < LEAST_STEPS * step:
            least = LEAST_STEPS * step / scale / hardware.cell.window / math.sqrt(2.0)
            bits = hardware.adc.bits + math.ceil(math.log2(LEAST_STEPS * step / spread))
            raise InputError(
                f"write noise of layer {index + 1} is {std / step:.2g} steps of the "
                f"{hardware.adc.bits}-bit converter that reads cells back, which shows nothing "
                f"below {LEAST_STEPS:g} steps: use write_noise >= {least:.2g} of the window (or "
                f"wider bands), or a converter of {bits} bits or more"
            )


def warn_of_relaxation(network: Network, *, elapsed: float) -> None:
    """Warn of arrays that relax between the end of programming and their reading back.

    What moves before the first pass perturbs as write noise does, but no law of the write noise
    knows of it: estimates are too large by its share of the variance. What moves later is in the
    read-back alone, and adds to its variance.

    Parameters
    ----------
    elapsed : s that a programming event with its passes takes on hardware with a running clock.
    """
    for layer in network.layers:
        hardware = layer.hardware
        if not isinstance(hardware, RRAMHardware):
            continue
        cell, relaxation = hardware.cell, hardware.cell.relaxation
        if relaxation is None:
            continue
        seconds = hardware.settling_time + (elapsed if hardware.running_clock else 0.0)
        middle = np.asarray(0.5 * (cell.conductance_min + cell.conductance_max))
        relaxed = math.sqrt(float(relaxation.variance(seconds, middle)))
        share = relaxed / float(cell.write_noise.std(middle))
        if share > LARGEST_RELAXATION:
            warnings.warn(
                f"cells of {cell.name!r} relax for {seconds:.2g} s between programming and "
                f"read-back, by {share:.2g} of the write noise, which is not in its calibrated "
                "law: set cross_covariance=True to measure it, or shorten settling_time or "
                "batches_per_programming",
                NoiseWarning,
                stacklevel=4,
            )
            return


def _require_cells(hardware: object) -> None:
    if not isinstance(hardware, RRAMHardware):
        name = getattr(hardware, "name", type(hardware).__name__)
        raise InputError(
            f"bands of single weights need cells of their own: hardware {name!r} has none, "
            "use rram, or bands='layer'"
        )
