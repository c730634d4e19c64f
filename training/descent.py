"""Gradient descent on the digital master copy, inside what the hardware can store."""

import numpy as np

from zerohm._arrays import Array


def schedule(progress: float) -> float:
    """Factor of the learning rate: 1 for two thirds of the budget, then linearly to 0.

    Examples
    --------
    >>> schedule(0.5), round(schedule(0.9), 9)
    (1.0, 0.3)
    """
    return min(1.0, 3.0 * (1.0 - progress))


class Descent:
    """Stochastic gradient descent with averaged gradients.

    v ← momentum·v + (1 − momentum)·g,  w ← clip(w − rate·schedule·v, ±limits). The limits are
    the hardware's storage range: a master copy beyond them could not be programmed.
    """

    def __init__(self, learning_rate: float, momentum: float, limits: Array) -> None:
        self._rate = learning_rate
        self._momentum = momentum
        self._limits = limits
        self._velocity: Array | None = None

    def update(self, parameters: Array, gradient: Array, progress: float) -> None:
        """Move the parameters (d,) one step along the gradient (d,), in place."""
        if self._velocity is None:
            self._velocity = np.zeros_like(parameters)
        self._velocity *= self._momentum
        self._velocity += (1.0 - self._momentum) * gradient
        parameters -= np.float32(self._rate * schedule(progress)) * self._velocity
        np.clip(parameters, -self._limits, self._limits, out=parameters)
