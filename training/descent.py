"""Gradient descent on the digital master copy, inside what the hardware can store."""

import numpy as np

from zerohm._arrays import Array
from zerohm._jit import kernel


def schedule(progress: float) -> float:
    """Factor of the learning rate: 1 for two thirds of the budget, then linearly to 0.

    Examples
    --------
    >>> schedule(0.5), round(schedule(0.9), 9)
    (1.0, 0.3)
    """
    return min(1.0, 3.0 * (1.0 - progress))


def move(parameters: Array, step: Array, limits: Array, *, integer: bool) -> None:
    """w ← clip(w − step, ±limits) in place; integer codes move by whole steps only.

    The limits are the hardware's storage range: a master copy beyond them could not be
    programmed. Steps of codes are rounded, half to even: what is below half a step is lost
    (equation 11 of Zhao 2024).

    Examples
    --------
    >>> codes, limits = np.array([3.0, 3.0, 3.0]), np.full(3, 4.0)
    >>> move(codes, np.array([0.4, 1.6, -7.0]), limits, integer=True)
    >>> codes.tolist()
    [3.0, 1.0, 4.0]
    """
    parameters -= np.rint(step) if integer else step
    np.clip(parameters, -limits, limits, out=parameters)


class Descent:
    """Stochastic gradient descent with averaged gradients.

    v ← momentum·v + (1 − momentum)·g,  w ← w − rate·schedule·v as :func:`move` says.
    """

    def __init__(
        self, learning_rate: float, momentum: float, limits: Array, *, integer: bool = False
    ) -> None:
        self._rate = learning_rate
        self._momentum = momentum
        self._limits = limits
        self._integer = integer
        self._velocity: Array | None = None

    def update(self, parameters: Array, gradient: Array, progress: float) -> None:
        """Move the parameters (d,) one step along the gradient (d,), in place."""
        if self._velocity is None:
            self._velocity = np.zeros_like(parameters)
        self._velocity *= self._momentum
        self._velocity += (1.0 - self._momentum) * gradient
        step = np.float32(self._rate * schedule(progress)) * self._velocity
        move(parameters, step, self._limits, integer=self._integer)


class Adam:
    """Adam (Kingma & Ba 2015, algorithm 1) on the digital master copy, inside ``limits``."""

    def __init__(self, learning_rate: float, limits: Array) -> None:
        self._rate = learning_rate
        self._limits = limits
        self._mean = np.zeros_like(limits)
        self._square = np.zeros_like(limits)
        self._updates = 0

    def update(self, parameters: Array, gradient: Array, scale: float = 1.0) -> None:
        """Move the parameters (d,) one step of the rate times ``scale``, in place.

        Decay rates are 0.9 and 0.999.
        """
        self._updates += 1
        adam_step(
            parameters.reshape(-1),
            gradient.reshape(-1),
            self._mean.reshape(-1),
            self._square.reshape(-1),
            self._limits.reshape(-1),
            np.float32(self._rate * scale),
            np.float32(1.0 - 0.9**self._updates),
            np.float32(1.0 - 0.999**self._updates),
        )


@kernel
def adam_step(
    parameters: Array,
    gradient: Array,
    mean: Array,
    square: Array,
    limits: Array,
    rate: np.float32,
    mean_weight: np.float32,
    square_weight: np.float32,
) -> None:
    """One step of Adam in place, element by element: all arrays (d,).

    ``mean_weight`` and ``square_weight`` are 1 − βᵗ of the two running means. A NaN stays one.
    """
    for i in range(len(parameters)):
        mean[i] += np.float32(0.1) * (gradient[i] - mean[i])
        square[i] += np.float32(0.001) * (gradient[i] * gradient[i] - square[i])
        step = rate * (mean[i] / mean_weight)
        moved = parameters[i] - step / (np.sqrt(square[i] / square_weight) + np.float32(1e-8))
        if moved > limits[i]:
            moved = limits[i]
        elif moved < -limits[i]:
            moved = -limits[i]
        parameters[i] = moved
