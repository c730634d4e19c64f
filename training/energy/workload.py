"""What a training run has computed, as counts: the common input of every energy bill."""

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from zerohm._errors import InputError, choose

if TYPE_CHECKING:
    import xarray as xr

Optimiser = Literal["plain", "momentum", "adam"]


class Operations(NamedTuple):
    """32-bit floating-point operations per parameter, and numbers of state beside the weight."""

    multiplies: int
    adds: int
    divides: int
    state: int


OPTIMISERS: dict[Optimiser, Operations] = {
    "plain": Operations(1, 3, 0, 0),
    "momentum": Operations(3, 4, 0, 1),
    "adam": Operations(6, 8, 2, 2),
}
"""One update of one parameter, comparison with both limits included (as additions), a square root
counted as a division: ``Descent`` and ``Adam`` of :mod:`zerohm.training.descent`."""


class DigitalWork(NamedTuple):
    """What a method computes beside forward passes and the optimiser.

    drawn : what its software perturbs with random numbers: one for every parameter (and again for
        the update, from the same seed), one for every node and sample of every second pass, or
        nothing.
    signs : the random numbers are ±1.
    products : it multiplies signals and node values of every sample into a gradient.
    through_weights : it also sends numbers of every sample through the weights of all layers but
        the first: errors backwards, or noise forwards to subtract it.
    passes : forward passes of a sample that end in one such gradient.
    multiplies : per parameter, of the estimate.
    """

    drawn: Literal["parameters", "nodes", "nothing"]
    signs: bool = False
    products: bool = False
    through_weights: bool = False
    passes: int = 2
    multiplies: int = 0


METHODS: dict[str, DigitalWork] = {
    "noisezo": DigitalWork("nothing", multiplies=2),
    "node-noise": DigitalWork("nothing", products=True, through_weights=True),
    "mezo": DigitalWork("parameters", multiplies=1),
    "spsa": DigitalWork("parameters", signs=True, multiplies=1),
    "node-perturbation": DigitalWork("nodes", products=True),
    "backprop": DigitalWork("nothing", products=True, through_weights=True, passes=1),
}
"""Methods whose digital work is counted."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Training so far, or one update of it.

    Parameters
    ----------
    sizes : widths of input, hidden and output layers.
    method : name in :data:`METHODS`.
    optimiser : of the master copy.
    batch : samples in a mini-batch.
    updates, passes : of the master copy; forward passes of one mini-batch.
    programmings : programming events of every cell, mean.
    codes : numbers that analog-to-digital converters have delivered.
    products : multiply–accumulates that the method's settings add to its usual ones.

    Raises
    ------
    InputError : a method whose digital work is not counted, or fewer than two sizes.
    """

    sizes: tuple[int, ...]
    method: str
    optimiser: Optimiser
    batch: int
    updates: float
    passes: float
    programmings: float = 0.0
    codes: float = 0.0
    products: float = 0.0

    def __post_init__(self) -> None:
        choose("method (of those whose energy is counted)", self.method, METHODS)
        choose("optimiser", self.optimiser, OPTIMISERS)
        if len(self.sizes) < 2:
            raise InputError(f"sizes={self.sizes!r}: need at least input and output widths")

    @property
    def work(self) -> DigitalWork:
        """What the method computes digitally."""
        return METHODS[self.method]

    @property
    def layers(self) -> list[tuple[int, int]]:
        """(inputs with the bias, outputs) of every layer."""
        return [(inputs + 1, outputs) for inputs, outputs in pairwise(self.sizes)]

    @property
    def parameters(self) -> int:
        """Weights and biases, which is also the products of one forward pass of one sample."""
        return sum(inputs * outputs for inputs, outputs in self.layers)

    @property
    def nodes(self) -> int:
        """Outputs of all layers."""
        return sum(self.sizes[1:])

    @property
    def sample_forwards(self) -> float:
        """Forward passes of one sample."""
        return self.passes * self.batch

    @property
    def gradient_samples(self) -> float:
        """Samples whose signals and node values are multiplied."""
        return self.sample_forwards / self.work.passes if self.work.products else 0.0

    @property
    def gradient_products(self) -> int:
        """Multiply–accumulates per such sample."""
        return self.parameters + self.inner_weights * self.work.through_weights

    @property
    def inner_weights(self) -> int:
        """Weights, biases not counted, of all layers but the first."""
        return sum((inputs - 1) * outputs for inputs, outputs in self.layers[1:])

    @property
    def drawn(self) -> float:
        """Random numbers that software perturbation takes."""
        if self.work.drawn == "parameters":
            return self.parameters * (self.passes + self.updates)
        if self.work.drawn == "nodes":
            return self.nodes * self.batch * self.passes / 2
        return 0.0


def workloads(run: "xr.Dataset") -> list[Workload]:
    """What a run of :func:`zerohm.training.fit` had computed at each of its records.

    Raises
    ------
    InputError : not a run of a multilayer perceptron, or a method that is not counted.
    """
    config = json.loads(run.attrs.get("config", "{}"))
    if "sizes" not in config:
        raise InputError(
            "the energy is counted for multilayer perceptrons trained by training.fit, whose "
            "record has 'sizes' in its config"
        )
    products = _added_products(config)
    names = ["forward_passes", "cell_writes", "adc_conversions"]
    counts = run[names].compute()  # a stored run would be opened again for every record
    records = zip(counts.step.values, *(counts[name].values for name in names), strict=True)
    return [
        Workload(
            sizes=tuple(config["sizes"]),
            method=run.attrs["method"],
            optimiser=_optimiser(run.attrs["method"], config["method"]),
            batch=config["batch"],
            updates=float(updates),
            passes=float(passes),
            programmings=float(writes),
            codes=float(codes),
            products=float(updates) * products,
        )
        for updates, passes, writes, codes in records
    ]


def _added_products(config: dict[str, Any]) -> int:
    """Multiply–accumulates per update that settings of ``noisezo`` add.

    ``credit`` sums the loss differences of samples for every weight or word line, as
    :mod:`zerohm.training.credit` says; ``exact_last_layer`` multiplies signals and errors of the
    last layer, of each array or state of it whose mean is taken.
    """
    settings, products = config["method"], 0
    layers = [(inputs + 1, outputs) for inputs, outputs in pairwise(config["sizes"])]
    credit = settings.get("credit", "batch")
    if credit == "cells" and config["activation"] == "relu":
        products += sum(inputs * outputs for inputs, outputs in layers)
    elif credit != "batch":  # nodes of other activations are never off
        products += sum(inputs for inputs, _ in layers)
    if settings.get("exact_last_layer", False):
        inputs, outputs = layers[-1]
        products += inputs * outputs * (1 if settings["arrays"] == "single" else 2)
    samples = config["batch"] * settings.get("batches_per_programming", 1)
    return int(samples * products)


def _optimiser(method: str, settings: dict[str, Any]) -> Optimiser:
    if method == "node-noise" or settings.get("optimizer") == "adam":
        return "adam"
    return "momentum" if settings.get("momentum") else "plain"
