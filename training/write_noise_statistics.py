"""What a run of training by write noise measures of its own noise: running statistics.

None of them draws a random number, and each uses earlier observations only to change a later one,
so that they add no bias of their own.
"""

import math

import numpy as np

from zerohm._arrays import Array
from zerohm._errors import InputError

from .network import Network


class LossSignal:
    """Signal and noise of the loss difference, and the band and step that follow from them.

    ΔL has the variance 2σ²|∇L|² + 2σ_L²: the perturbation's share, and what reading the loss of
    one array adds (read noise, converters). σ_L² is half the mean square of the difference of
    two readings of the same mini-batch on the same state. Both are running means over ``memory``
    observations.

    The rule: with s² = Var ΔL / 2σ_L² − 1 the signal-to-noise ratio, bands are narrowed while
    s > ``wanted`` (less smoothing of the loss, a deployed network with less noise) and widened
    again while s < ``wanted``, never beyond the cells' own band. The step is scaled by
    s²/(1 + s²), the Wiener factor of a signal with this much noise.

    Examples
    --------
    >>> signal = LossSignal(wanted=3.0, memory=10)
    >>> for _ in range(50):
    ...     signal.add(difference=0.2, repeated=0.01)
    >>> round(signal.ratio, 1), round(signal.step_factor, 4)
    (20.0, 0.9975)
    >>> signal.band_factor(1.0)
    0.9
    """

    def __init__(self, *, wanted: float, memory: int) -> None:
        self._wanted = wanted
        self._memory = memory
        self._counts = {"difference": 0, "repeated": 0}
        self._squares = {"difference": 0.0, "repeated": 0.0}

    def add(self, *, difference: float | None = None, repeated: float | None = None) -> None:
        """A loss difference of two states, or of two readings of one state."""
        for name, value in (("difference", difference), ("repeated", repeated)):
            if value is not None:
                self._counts[name] += 1
                share = 1.0 / min(self._counts[name], self._memory)
                self._squares[name] += share * (value**2 - self._squares[name])

    @property
    def known(self) -> bool:
        """Whether there is enough to decide on."""
        return min(self._counts.values()) >= min(self._memory, 10)

    @property
    def ratio(self) -> float:
        """s, the standard deviation of the signal over that of the noise; infinite without noise.

        Both are of the difference of two losses, so that their factors of two cancel.
        """
        noise = self._squares["repeated"]
        if noise == 0.0:
            return math.inf
        return math.sqrt(max(self._squares["difference"] / noise - 1.0, 0.0))

    @property
    def step_factor(self) -> float:
        """s²/(1 + s²)."""
        square = self.ratio**2
        return 1.0 if math.isinf(square) else square / (1.0 + square)

    def band_factor(self, present: float, *, narrowest: float = 0.1) -> float:
        """The band after this one, at most a tenth narrower or wider, in [narrowest, 1]."""
        change = min(max(self._wanted / max(self.ratio, 1e-12), 0.9), 1.0 / 0.9)
        return min(max(present * change, narrowest), 1.0)


class RunningMeans:
    """Running means of the compared loss and of what is read back, to be subtracted.

    Arrays with different mean errors dm bias ΔL·δ by (∇L·dm) dm / 2σ², and a single array by its
    mean error times the mean of L − b: the covariance of both, after their means, has neither.
    Calling the arrays by each other's name changes the sign of both factors and not the product:
    exchanging them every step can't take the place of this.

    Parameters
    ----------
    memory : steps; each mean weighs a new value by 1/memory once it has seen as many.

    Examples
    --------
    >>> means = RunningMeans(10)
    >>> means.removed(2.0, np.ones((1, 3)))[0], means.removed(2.5, np.ones((1, 3)))[0]
    (0.0, 0.5)
    """

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._count = 0
        self._loss = 0.0
        self._deviation: Array = np.zeros(())

    def removed(self, loss: float, deviation: Array) -> tuple[float, Array]:
        """A loss (difference) and deviations (arrays, d) minus their means of earlier steps.

        The first ones of all have nothing to be compared with and become zero.
        """
        if self._count == 0:
            self._loss, self._deviation = loss, deviation.copy()
        centred = loss - self._loss, deviation - self._deviation
        self._count += 1
        share = 1.0 / min(self._count, self._memory)
        self._loss += share * (loss - self._loss)
        self._deviation += np.float32(share) * (deviation - self._deviation)
        return centred


class CrossCovariance:
    """How much of the write noise is there before and after the passes: κ of every layer.

    κ = Σ δ₀ δ₁ / Σ n σ² over a layer's cells, δ₀ and δ₁ being read back before and after the passes
    and n the number of arrays: read-back noise, independent in both, averages out. A common decay
    by k between them gives κ = k, and the mean of both read-backs has with what acted in between
    the covariance (1 + O((1 − k)²)) κ n σ², while fluctuations that come in later add half of
    their variance to it, which κ does not see.
    """

    _LEAST = 10  # steps before it is believed

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._count = 0
        self._gains: Array = np.ones(())

    def gains(self, network: Network, earlier: Array, later: Array, variance: Array) -> Array:
        """κ of every parameter (d,), from two differences (d,) and the calibrated variance (d,).

        Raises
        ------
        InputError : nothing of what was written is left after the passes.
        """
        common, expected = (
            np.array([part.sum(dtype=np.float64) for part in network.matrices(values)])
            for values in (earlier * later, variance)
        )
        self._count += 1
        present = common / expected
        share = 1.0 / min(self._count, self._memory)
        self._gains = self._gains + share * (present - self._gains)
        believed = self._gains if self._count >= self._LEAST else np.ones_like(present)
        if np.any(believed <= 0):
            raise InputError(
                "read-backs before and after the passes have nothing in common in layer "
                f"{int(np.argmin(believed)) + 1}: the cells forget what was written within one "
                "step; read back sooner, or use fewer batches_per_programming"
            )
        return np.repeat(believed, np.diff(network.bounds)).astype(variance.dtype)


class Sensitivity:
    """|∇L| of every layer, from gradient estimates far noisier than that.

    Two running means take turns in receiving the estimates. Their noises are independent, so that
    their product has the mean |g|² of what they share, where the square of either would be
    dominated by the variance of the estimates.

    Parameters
    ----------
    memory : estimates, of each mean.
    """

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._count = 0
        self._means: list[Array] = []

    def add(self, gradient: Array) -> None:
        """One more estimate (d,)."""
        if not self._means:
            self._means = [np.zeros_like(gradient), np.zeros_like(gradient)]
        mean = self._means[self._count % 2]
        self._count += 1
        share = np.float32(1.0 / min((self._count + 1) // 2, self._memory))
        mean += share * (gradient - mean)

    @property
    def known(self) -> bool:
        """Whether both means have seen as many estimates as they remember."""
        return self._count >= 2 * self._memory

    def of_layers(self, network: Network) -> list[float]:
        """|∇L| of every layer; zero where noise makes the estimate of its square negative."""
        parts = network.matrices(self._means[0] * self._means[1])
        return [math.sqrt(max(float(part.sum(dtype=np.float64)), 0.0)) for part in parts]
