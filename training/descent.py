"""Gradient descent on the digital master copy, inside what the hardware can store."""

import math

import numpy as np

from zerohm._arrays import Array


class Descent:
    """Stochastic gradient descent with momentum and a cosine schedule.

    v ← momentum·v + g,  w ← clip(w − rate·½(1 + cos π·progress)·v, ±limits). The limits are the
    hardware's storage range: a master copy beyond them could not be programmed.
    """

    def __init__(self, learning_rate: float, momentum: float, limits: Array) -> None:
        self._rate = learning_rate
        self._momentum = momentum
        self._limits = limits
        self._velocity: Array | None = None

    def update(self, parameters: Array, gradient: Array, progress: float) -> None:
        """Move the parameters one step along the gradient, in place."""
        if self._momentum:
            if self._velocity is None:
                self._velocity = np.zeros_like(parameters)
            self._velocity *= self._momentum
            self._velocity += gradient
            gradient = self._velocity
        rate = self._rate * 0.5 * (1.0 + math.cos(math.pi * progress))
        parameters -= np.float32(rate) * gradient
        np.clip(parameters, -self._limits, self._limits, out=parameters)
