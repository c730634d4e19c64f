"""One training run described by flat settings: what the command line and sweeps run."""

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import Field
from pydantic.dataclasses import dataclass

from zerohm._config import STRICT
from zerohm._errors import InputError, checked, choose
from zerohm._random import stream

from .. import datasets
from ..datasets import CORRUPTED
from ..mapping import DigitalHardware
from . import adaptation
from .backprop import Backprop
from .convolutional import small_cnn
from .deepzero import DeepZero
from .ffzero import (
    ConvolutionalNodePerturbation,
    FFZero,
    GlobalDirections,
    GlobalExact,
    LocalExact,
    LocalNodePerturbation,
    convolutional,
)
from .forward_gradient import ForwardGradient
from .fzoo import FZOO
from .last_layer import LastLayer
from .linear import LinearClassifier
from .mezo import MeZO
from .network import mlp
from .node_noise import NodeNoise
from .node_perturbation import NodePerturbation
from .noisezo import NoiseZO
from .protocol import Method, Trainable
from .quantized import QuantizedBackprop, QuantizedNetwork, QuantizedZO, select_block
from .recipes import HIDDEN, recipe
from .run import fit
from .sparse_mezo import SparseMeZO
from .spsa import SPSA
from .substrates import Substrate

if TYPE_CHECKING:
    import xarray as xr

METHODS: dict[str, type[Any]] = {
    "noisezo": NoiseZO,
    "node-noise": NodeNoise,
    "quantized-zo": QuantizedZO,
    "mezo": MeZO,
    "sparse-mezo": SparseMeZO,
    "spsa": SPSA,
    "fzoo": FZOO,
    "deepzero": DeepZero,
    "node-perturbation": NodePerturbation,
    "ffzero": FFZero,
    "local-node-perturbation": LocalNodePerturbation,
    "convolutional-node-perturbation": ConvolutionalNodePerturbation,
    "forward-gradient": ForwardGradient,
    "local-exact": LocalExact,
    "global-directions": GlobalDirections,
    "global-exact": GlobalExact,
    "backprop": Backprop,
    "quantized-backprop": QuantizedBackprop,
    "last-layer": LastLayer,
    "linear": LinearClassifier,
}
"""Every training method by the name that settings use."""

_REGRESSION_WIDTH = 10
"""Outputs of the last layer where a number is predicted, from their cosine to a prototype."""

_IMAGES = ("digits", "mnist", "fashion-mnist", *CORRUPTED)

SELECTED = "selected"
"""Setting of ``blocks`` that leaves the choice to :func:`~.quantized.select_block`."""

ON_HARDWARE: dict[tuple[str, str], dict[str, Any]] = {
    ("rram", "node-noise"): {"current_range": 2.0},
    ("photonic", "noisezo"): {"learning_rate": 0.005},
    ("photonic", "mezo"): {"learning_rate": 0.01, "perturbation": 0.03},
}
"""Settings of (hardware, method) that replace those of the task's recipe.

Photonic ones were chosen on a validation part of digits: the rate of NoiseZO is below the best one
there (0.007), at which one run of three on an imperfect chip diverged, since phase noise is loud
along few directions, which bear no larger steps. The converter's range of node-noise was chosen on
one of MNIST: at the usual range 2 % of the sums saturate, and the deployed network relies on it.
"""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Experiment(Substrate):
    """Settings of one training run, apart from those of the method.

    Parameters
    ----------
    task, split : name of the data and of their division into training and test part.
    method : see :data:`METHODS`.
    seed : of every random draw.
    passes, batch : budget of forward passes of one mini-batch, and its size.
    corruption, severity : of digits-c and mnist-c, see :func:`zerohm.datasets.load`.
    network : "mlp", or "cnn": of clean images a small convolutional network that starts from
        nothing; of digits-c and mnist-c one that was trained on the clean images and is adapted,
        in floating point on "digital" hardware, in integers on any other.
    hidden : widths of the hidden layers of an mlp, as numbers or text such as ``"100,100"``.
    blocks : of an integer cnn, the layers or blocks that are trained, separated by commas;
        "selected" finds the block that gains most in a test epoch; all if unset.
    evaluations : records along the run.
    validation : test on a held-out part of the training data instead of the test data.

    The settings of the hardware are those of :class:`Substrate`.
    """

    task: str = "digits"
    split: str | None = None
    method: str = "noisezo"
    seed: Annotated[int, Field(ge=0)] = 0
    passes: Annotated[int, Field(ge=1)] = 30_000
    batch: Annotated[int, Field(ge=1)] = 128
    corruption: str | None = None
    severity: Annotated[int, Field(ge=1, le=5)] | None = None
    network: Literal["mlp", "cnn"] = "mlp"
    hidden: str | int | tuple[int, ...] | None = None
    blocks: str | None = None
    evaluations: Annotated[int, Field(ge=1)] = 20
    validation: bool = False

    def load_task(self) -> datasets.Task:
        """The data."""
        task = datasets.load(
            self.task, split=self.split, corruption=self.corruption, severity=self.severity
        )
        return task.validation() if self.validation else task

    def build_network(self, task: datasets.Task) -> Trainable:
        """The network on its hardware."""
        if self.network == "cnn":
            if self.hidden is not None:
                raise InputError("hidden layers are of network='mlp'; the cnn has its own")
            return self._pretrained() if self.task in CORRUPTED else self._untrained(task)
        if self.blocks is not None:
            raise InputError("blocks are of network='cnn'; an mlp has none")
        return mlp(
            [
                task.features,
                *self._hidden_widths(),
                _REGRESSION_WIDTH if task.regression else task.classes,
            ],
            hardware=self.build_hardware(),
            input_limit=task.input_limit,
        )

    def _untrained(self, task: datasets.Task) -> Trainable:
        """A small convolutional network for clean images."""
        if self.blocks is not None:
            raise InputError("blocks are of a cnn that is adapted to digits-c or mnist-c")
        side = round(task.features**0.5)
        if side**2 != task.features or task.regression:
            raise InputError(
                f"network='cnn' is for square images: task {self.task!r} must be one of "
                f"{', '.join(_IMAGES)}"
            )
        graph = small_cnn((1, side, side), task.classes)
        return convolutional(graph, hardware=self.build_hardware(), input_limit=task.input_limit)

    def _pretrained(self) -> Trainable:
        """The convolutional network that knows the clean images."""
        clean = CORRUPTED[self.task]
        hardware = self.build_hardware()
        if self.hardware == "digital":
            if self.blocks is not None:
                raise InputError("blocks are of integer networks: hardware='digital' trains all")
            return adaptation.float_network(clean, seed=self.seed)
        substrate = None if isinstance(hardware, DigitalHardware) else hardware
        network = adaptation.integer_network(clean, seed=self.seed, hardware=substrate)
        if self.blocks in (None, SELECTED):
            return network
        return network.training(*(name.strip() for name in self.blocks.split(",")))

    def _hidden_widths(self) -> tuple[int, ...]:
        if self.method == "linear" and self.hidden is None:
            return ()
        if self.hidden is None:
            return HIDDEN[self.task]
        if isinstance(self.hidden, tuple):
            return self.hidden
        text = str(self.hidden).strip()
        try:
            return tuple(int(width) for width in text.split(",")) if text else ()
        except ValueError:
            raise InputError(
                f"hidden={self.hidden!r}: widths of hidden layers, for example 64 or 100,100"
            ) from None


_FRAME = tuple(field.name for field in fields(Experiment) if field.name != "adjustments")

_ADJUSTED = "hardware."
"""Beginning of flat settings that are paths of a field of the hardware."""


class Prepared(NamedTuple):
    """A run whose settings have all been checked."""

    settings: Experiment
    task: datasets.Task
    network: Trainable
    method: Method


def prepare(**settings: Any) -> Prepared:
    """Check all settings of a run, before any long work.

    Raises
    ------
    InputError : an unknown name or a value outside its range, with what is allowed.
    """
    for kind, allowed in (("method", METHODS), ("task", datasets.names())):
        if kind in settings:
            choose(kind, settings[kind], allowed)
    method_name = settings.get("method", Experiment.method)
    method_type = METHODS[method_name]
    own = tuple(field.name for field in fields(method_type))
    settings, adjustments = _split(settings)
    for name in settings:
        choose(f"setting of {method_name}", name, (*_FRAME, *own))
    complete = {
        **recipe(method_name, settings.get("task", Experiment.task)),
        **ON_HARDWARE.get((settings.get("hardware", Experiment.hardware), method_name), {}),
        **settings,
        "adjustments": adjustments,
    }
    frame = {name: complete[name] for name in complete if name in (*_FRAME, "adjustments")}
    rest = {name: value for name, value in complete.items() if name in own}
    experiment = checked(Experiment, "settings", **frame)
    method: Method = checked(method_type, f"method {method_name}", **rest)
    task = experiment.load_task()
    network = experiment.build_network(task)
    method.start(network, network.initial_parameters(stream(0)), rng=stream(0))
    return Prepared(settings=experiment, task=task, network=network, method=method)


def _split(settings: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings by name, and fields of the hardware by path."""
    paths = {name for name in settings if name.startswith(_ADJUSTED)}
    adjustments = {name.removeprefix(_ADJUSTED): settings[name] for name in sorted(paths)}
    return {name: settings[name] for name in settings if name not in paths}, adjustments


def experiment(
    *, keep_parameters: bool = False, progress: bool = False, **settings: Any
) -> "xr.Dataset":
    """Run one training experiment described by flat settings.

    Parameters
    ----------
    keep_parameters, progress : as in :func:`zerohm.training.fit`.
    settings : fields of :class:`Experiment` and of the method's settings.

    Returns
    -------
    The Dataset of :func:`zerohm.training.fit`.

    Raises
    ------
    InputError : an unknown name or a value outside its range, before any long work.

    Examples
    --------
    >>> run = experiment(task="digits", method="backprop", hardware="digital", passes=100,
    ...                  evaluations=1, seed=1)
    >>> run.attrs["method"], run.sizes["step"]
    ('backprop', 1)
    """
    ready = prepare(**settings)
    chosen = ready.settings
    network, attributes = ready.network, {}
    if isinstance(network, QuantizedNetwork) and chosen.blocks == SELECTED:
        selection = select_block(
            network, ready.task, method=ready.method, seed=chosen.seed, batch=chosen.batch
        )
        network = network.training(selection.block)
        attributes = {"block": selection.block, "block_gains": json.dumps(selection.gains)}
    return fit(
        network,
        ready.task,
        method=ready.method,
        seed=chosen.seed,
        passes=chosen.passes,
        batch=chosen.batch,
        evaluations=chosen.evaluations,
        keep_parameters=keep_parameters,
        progress=progress,
    ).assign_attrs(attributes)
