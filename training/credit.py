"""Which samples' losses count for which weights.

A weight perturbation moves the loss of a mini-batch by ΔL = ⟨ΔL_b⟩, the mean over its samples b.
Cell (j, i) can have no part in ΔL_b where its word line i was not driven, x_ib = 0, nor where its
node j was off in both arrays, so that nothing went on from it. Leaving those samples out of the
sum that is multiplied with the cell's own perturbation,

    ΔL_ij = (1/B) Σ_b [x_ib ≠ 0] [z_jb > 0 in either array] ΔL_b,

leaves out noise alone. E[δ_ij ΔL_b] = 0 for an undriven line, since ΔL_b does not depend on the
cell. For a node of the first layer that is off in both arrays, ΔL_b depends on the noise of other
nodes only and changes its sign when the arrays change places, which the event itself does not
notice. Behind another layer with noise, the inputs of both arrays differ, and a bias of their
difference times the density of nodes at the threshold is left; with one hidden layer there is
none, as the nodes of the last layer are never off.

Inputs, nodes and losses are what forward passes show digitally anyway. The sums over samples cost
a multiply–accumulate per driven line ("lines"), or as many as one forward pass ("cells").
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zerohm._arrays import Array

from .losses import Labels, cross_entropy, cross_entropy_gradient, log_softmax
from .network import Network

Credit = Literal["batch", "lines", "cells"]


class Reading(NamedTuple):
    """One mini-batch as one or more arrays answer it.

    ``values`` are each layer's signals (arrays, batch, in + 1) and nodes (arrays, batch, out), of
    which the first layer's signals may lack their first axis.
    """

    values: Sequence[tuple[Array, Array]]
    labels: Labels

    @property
    def losses(self) -> Array:
        """Mean loss of every array, (arrays,)."""
        return cross_entropy(self.values[-1][1], self.labels)

    @property
    def sample_losses(self) -> Array:
        """Loss of every sample, (arrays, batch)."""
        chosen: Array = log_softmax(self.values[-1][1])[
            ..., np.arange(len(self.labels)), self.labels
        ]
        return -chosen

    def last_layer_gradient(self) -> Array:
        """⟨(softmax(z) − onehot)·xᵀ⟩ (out, in + 1), the mean over the arrays."""
        signals, logits = self.values[-1]
        upstream = cross_entropy_gradient(logits, self.labels)
        products = np.matmul(np.swapaxes(upstream, -1, -2), signals)
        mean: Array = products.mean(axis=0) if products.ndim > 2 else products
        return mean


def credited(network: Network, reading: Reading, differences: Array, credit: Credit) -> Array:
    """The loss difference that counts for every weight, (d,), of those of the samples (batch,)."""
    shares = np.asarray(differences / len(differences), dtype=np.float32)
    last = len(network.layers) - 1
    matrices = []
    for index, (signals, nodes) in enumerate(reading.values):
        driven = _anywhere(signals != 0)
        if credit == "cells" and network.activation == "relu" and index < last:
            counted = (_anywhere(nodes > 0) * shares[:, None]).T @ driven
        else:
            counted = np.broadcast_to(shares @ driven, (nodes.shape[-1], driven.shape[-1]))
        matrices.append(counted)
    return network.flatten(matrices)


def _anywhere(condition: NDArray[np.bool_]) -> Array:
    """1 where a condition (arrays, batch, n) or (batch, n) holds in any array, (batch, n)."""
    merged = np.any(condition, axis=0) if condition.ndim > 2 else condition
    return np.asarray(merged, dtype=np.float32)
