"""NoiseZO: training by the write noise of RRAM arrays, with two forward passes.

The published idea (Wang et al. 2025): a network is mapped onto dual RRAM arrays, the inherent
write noise is the zeroth-order perturbation, two forward computations give the update, and the
perturbation is controlled in fine grain. The paper's hyperparameters, read-back and control
strategy are not public; what is implemented here follows from the statistics of the noise
(see :mod:`zerohm.training.estimators`) and is this project's own reading:

1. program both arrays with the digital master copy, each with fresh write noise;
2. run the same mini-batch (or several) through both, ΔL = L_A − L_B;
3. read both arrays back through their noisy converters;
4. estimate the gradient from ΔL and the read-back difference, update the master copy.

Fine-grained control: verify bands are narrowed until the write noise of all layers is equal in
weight units, since otherwise the loudest layer drowns the others; finer and adaptive bands are in
:mod:`zerohm.training.write_noise_control`, arrays that share what is not perturbed in
:mod:`zerohm.training.write_noise_arrays`, and which samples count for which cell in
:mod:`zerohm.training.credit`.
"""

from dataclasses import replace
from typing import Annotated, Literal, Self

import numpy as np
from numpy.random import Generator
from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from zerohm._arrays import Array
from zerohm._config import STRICT

from ..crossbar import Ledger
from .credit import Credit, credited
from .descent import Adam, Descent, schedule
from .estimators import ESTIMATORS, Observation, require_gaussian
from .losses import cross_entropy
from .network import Network, require_perceptron
from .protocol import Batches
from .write_noise_arrays import Block, FreshArrays, Measurement, RewrittenArray
from .write_noise_control import (
    Bands,
    equalized,
    layer_noise,
    matched,
    narrowed,
    require_visible,
    warn_of_relaxation,
)
from .write_noise_statistics import CrossCovariance, LossSignal, RunningMeans, Sensitivity


@dataclass(frozen=True, kw_only=True, config=STRICT)
class NoiseZO:
    """Settings of NoiseZO.

    Parameters
    ----------
    learning_rate : of the digital master copy.
    momentum : share of the previous gradients in their running average, 0 to below 1.
    optimizer : "momentum", or "adam" (which has its own averages).
    estimator : "naive", "covariance", "wiener" or "score".
    equalize : narrow the verify bands until all layers have the same write noise in weight units.
    bands : what has a band of its own: a "layer"; every word "line" or "cell" too, none of which
        may then be louder than the quietest layer; or by "sensitivity", a layer again, such that
        all layers have the same share of ΔL.
    batches_per_programming : mini-batches that share one programming event.
    steps_per_solution : updates between exact solutions of resistive wires; in between, the
        circuit is taken to first order about the last one. 0 solves it at every programming.
    arrays : "dual", "rewritten" (one array, before and after a block is written again) or "single"
        (one array against the running mean of its loss).
    block : what a "rewritten" array writes anew in one step: the "network", one "layer", or one
        of ``block_count`` interleaved sets of word "lines" or "cells".
    credit : which samples' losses count for a cell: the whole "batch", those that drive its word
        line ("lines"), or among these those for which its node is on ("cells").
    exact_last_layer : train the last layer by the gradient that the forward passes give exactly,
        at ``last_layer_rate``, rather than by its write noise.
    running_means : steps over which running means of ΔL and of the read-back are taken and
        subtracted; 0 subtracts nothing.
    cross_covariance : read back before and after the passes, and normalise by what both have in
        common instead of the calibrated write noise.
    adaptive : choose band and step from the measured signal-to-noise ratio of ΔL, from mini-batches
        that every tenth programming event reads twice.
    endurance_cycles : programming events that a cell may take; a plan beyond is refused.

    Raises
    ------
    ValueError : a value outside its range, an unknown name, or settings that exclude each other.
    """

    learning_rate: Annotated[float, Field(gt=0)] = 0.01
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    optimizer: Literal["momentum", "adam"] = "momentum"
    estimator: Literal["naive", "covariance", "wiener", "score"] = "wiener"
    equalize: bool = True
    bands: Bands = "layer"
    batches_per_programming: Annotated[int, Field(ge=1)] = 1
    steps_per_solution: Annotated[int, Field(ge=0)] = 20
    arrays: Literal["dual", "rewritten", "single"] = "dual"
    block: Block = "network"
    block_count: Annotated[int, Field(ge=1)] = 4
    credit: Credit = "batch"
    exact_last_layer: bool = False
    last_layer_rate: Annotated[float, Field(gt=0)] = 1.0
    running_means: Annotated[int, Field(ge=0)] = 0
    cross_covariance: bool = False
    adaptive: bool = False
    endurance_cycles: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for fault, remedy in (
            (
                self.arrays == "single" and not self.running_means,
                "arrays='single' needs a baseline: set running_means (100 serves)",
            ),
            (
                self.arrays != "rewritten" and self.block != "network",
                f"block={self.block!r} needs arrays='rewritten': other arrays are written whole",
            ),
            (
                self.arrays == "rewritten" and (self.bands != "layer" or self.adaptive),
                "arrays='rewritten' keeps its bands: leave bands and adaptive, or use "
                "arrays='dual'",
            ),
            (
                self.arrays != "dual" and self.cross_covariance,
                "cross_covariance compares two arrays twice: use arrays='dual'",
            ),
            (
                self.block != "network" and self.running_means > 0,
                "running_means are of weights that are written in every step: use block='network'",
            ),
            (
                self.bands != "layer" and not self.equalize,
                f"bands={self.bands!r} are narrowed to the quietest layer: equalize must be true",
            ),
            (
                self.adaptive and self.arrays == "single",
                "adaptive control needs a loss difference of one mini-batch: use arrays='dual'",
            ),
        ):
            if fault:
                raise ValueError(remedy)
        return self

    @property
    def name(self) -> str:
        return "noisezo"

    @property
    def citations(self) -> tuple[str, ...]:
        return ("Wang2025NoiseZO",)

    def start(self, network: Network, parameters: Array, *, rng: Generator) -> "NoiseZOTrainer":
        """Begin training.

        Raises
        ------
        InputError : not a multilayer perceptron, a layer's hardware has no write noise or less
            than its read-back can show, or noise that the estimator cannot use.
        """
        return NoiseZOTrainer(self, require_perceptron(self.name, network), parameters, rng)


_BETWEEN_REPEATS = 10  # programming events from one repeated reading to the next
_BETWEEN_MATCHES = 100  # updates from one choice of bands by sensitivity to the next
_NARROWEST = 0.2  # band that sensitivity may ask for: five times the pulses


class NoiseZOTrainer:
    """A NoiseZO run in progress."""

    def __init__(
        self, settings: NoiseZO, network: Network, parameters: Array, rng: Generator
    ) -> None:
        narrow = equalized(network, parameters)  # refuses hardware without write noise
        if settings.estimator == "score":
            require_gaussian(network.write_noise(parameters))
        self._widest = narrow if settings.equalize else network
        require_visible(self._widest, parameters)
        self.parameters = parameters.copy()
        self.forward_passes = 0
        self._settings = settings
        self._rng = rng
        self._steps = 0
        self._target = min(layer_noise(self._widest, parameters))
        self._band = 1.0
        self._shares = [1.0] * len(network.layers)
        self.network = self._banded()
        self._prepared = self.network
        self._source = self._arrays()
        self._means = RunningMeans(settings.running_means)
        self._covariance = CrossCovariance(memory=100)
        self._signal = LossSignal(wanted=3.0, memory=30)
        self._sensitivity = Sensitivity(memory=500)
        self._descent = Descent(settings.learning_rate, settings.momentum, network.limits)
        self._adam = Adam(settings.learning_rate, network.limits)

    @property
    def arrays(self) -> int:
        """Arrays that training writes."""
        return self._source.arrays

    @property
    def ledger(self) -> Ledger:
        """What the arrays have done."""
        return self._source.ledger

    def step(self, batches: Batches, progress: float) -> float:
        """Program, run the mini-batches, read back, update the master copy."""
        count = self._settings.batches_per_programming
        seen = self._source.measure(self._near(), self.parameters, batches, count)
        self.forward_passes += self._passes_per_event
        if self._steps == 0 and not self._settings.cross_covariance:
            warn_of_relaxation(self.network, elapsed=self.ledger.time_s)
        self._steps += 1
        losses: Array = np.zeros(len(seen.read_back))
        for reading in seen.readings:
            losses += reading.losses / count
        self._update(self._gradient(seen, losses), progress)
        if self._settings.adaptive:
            self._adapt(seen, losses)
        return float(losses.mean())

    @property
    def _passes_per_event(self) -> int:
        states = 1 if self._settings.arrays == "single" else 2
        return states * self._settings.batches_per_programming

    def _arrays(self) -> FreshArrays | RewrittenArray:
        settings = self._settings
        if settings.arrays == "rewritten":
            return RewrittenArray(
                self.network, self.parameters, settings.block, settings.block_count, rng=self._rng
            )
        return FreshArrays(
            1 if settings.arrays == "single" else 2,
            bracketed=settings.cross_covariance,
            rng=self._rng,
        )

    def _gradient(self, seen: Measurement, losses: Array) -> Array:
        """The estimate (d,) of the gradient from everything that a step has shown."""
        settings = self._settings
        loss = losses[0] - losses[1] if len(losses) == 2 else losses[0]
        observation = self._observation(seen)
        baseline = 0.0
        if settings.running_means:
            deviations: Array = observation.read_back - self.parameters
            centred, deviations = self._means.removed(float(loss), deviations)
            baseline = loss - centred
            observation = replace(observation, read_back=self.parameters + deviations)
        if settings.credit == "batch":
            observation = replace(observation, loss_difference=loss - baseline)
            gradient = ESTIMATORS[settings.estimator](observation)
        else:
            gradient = ESTIMATORS[settings.estimator](observation)
            gradient *= self._credited(seen, baseline)
        if seen.block is not None and isinstance(self._source, RewrittenArray):
            gradient = np.where(seen.block, gradient * np.float32(self._source.blocks), 0)
        if settings.exact_last_layer:
            last = sum(reading.last_layer_gradient() for reading in seen.readings)
            scale = settings.last_layer_rate / settings.learning_rate / len(seen.readings)
            self.network.matrices(gradient)[-1][...] = np.float32(scale) * last
        return gradient

    def _observation(self, seen: Measurement) -> Observation:
        """What the estimators are told, for a loss difference of one."""
        noise = self.network.write_noise(self.parameters)
        read_back, read_std = seen.read_back, self.network.read_back_std(self.parameters)
        if seen.earlier is not None:
            first, second = (values[0] - values[1] for values in (seen.earlier, read_back))
            gains = self._covariance.gains(self.network, first, second, 2 * np.square(noise.std))
            read_back = 0.5 * (seen.earlier + read_back)
            read_std = read_std / np.sqrt(np.float32(2.0))
            noise = replace(noise, std=noise.std * np.sqrt(gains))
        return Observation(
            loss_difference=np.ones(()),
            written=self.parameters,
            read_back=read_back,
            write_noise=noise,
            read_back_std=read_std,
        )

    def _credited(self, seen: Measurement, baseline: float) -> Array:
        """The loss difference that counts for every weight (d,), the mean of the mini-batches."""
        total = np.zeros_like(self.parameters)
        for reading in seen.readings:
            samples = reading.sample_losses
            differences = (samples[0] - samples[1] if len(samples) == 2 else samples[0]) - baseline
            total += credited(self.network, reading, differences, self._settings.credit)
        return total / np.float32(len(seen.readings))

    def _update(self, gradient: Array, progress: float) -> None:
        settings = self._settings
        if settings.bands == "sensitivity":
            self._sensitivity.add(gradient)
        factor = self._signal.step_factor if settings.adaptive and self._signal.known else 1.0
        if settings.optimizer == "adam":
            self._adam.update(self.parameters, gradient, schedule(progress) * factor)
        else:
            scaled = gradient if factor == 1.0 else np.float32(factor) * gradient
            self._descent.update(self.parameters, scaled, progress)

    def _adapt(self, seen: Measurement, losses: Array) -> None:
        """Learn how loud the perturbation is in the loss, and choose the band anew."""
        self._signal.add(difference=float(losses[0] - losses[1]))
        if self._steps % _BETWEEN_REPEATS:
            return
        x, labels = seen.samples[0]
        again = seen.state.layer_values(x, rng=self._rng)[-1][1]
        self.forward_passes += len(losses)
        repeated = cross_entropy(again, labels) - seen.readings[0].losses
        scale = self._settings.batches_per_programming  # ΔL is the mean of so many readings
        self._signal.add(repeated=float(np.sqrt(np.mean(np.square(repeated)) / scale)))
        if self._signal.known:
            self._band = self._signal.band_factor(self._band)
            self._choose_bands()

    def _banded(self) -> Network:
        """The network with the bands that the present parameters and measurements ask for."""
        if self._settings.bands in ("line", "cell"):
            target = self._band * self._target
            return narrowed(self._widest, self.parameters, target, self._settings.bands)
        factors = [self._band * share for share in self._shares]
        return self._widest if set(factors) == {1.0} else self._widest.tightened(factors)

    def _choose_bands(self) -> None:
        self.network = self._banded()
        near = self._settings.steps_per_solution > 0
        self._prepared = self.network.prepared_near(self.parameters) if near else self.network

    def _near(self) -> Network:
        """The network, its bands chosen and its wires solved for parameters of a few steps ago."""
        bands, period = self._settings.bands, self._settings.steps_per_solution
        if bands == "sensitivity" and self._steps % _BETWEEN_MATCHES == 0:
            if self._sensitivity.known:
                found = self._sensitivity.of_layers(self.network)
                self._shares = matched(found, narrowest=_NARROWEST)
                self._choose_bands()
        elif bands in ("line", "cell") and self._steps % max(period, 1) == 0:
            self._choose_bands()
        elif period and self._steps % period == 0:
            self._prepared = self.network.prepared_near(self.parameters)
        return self._prepared
