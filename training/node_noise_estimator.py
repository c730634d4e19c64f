"""Derivatives by nodes from two noisy passes of one mini-batch, on plain arrays.

Pass X ∈ {1, 2} leaves the codes z_l (batch, out) at the nodes of layer l and the loss L of every
sample; ε_l is what layer l itself has added to the difference of both passes (:func:`own_noise`).
For independent Gaussian noise in both passes, Stein's identity is

    E[(L₁ − L₂)·ε_l] = Var(ε_l)·∂E(L)/∂z_l,

with the loss that a noisy pass expects: even orders cancel, no clean pass is needed, and noise of
other nodes, layers or passes adds variance but no bias.
"""

from collections.abc import Sequence

import numpy as np

from zerohm._arrays import Array

from .losses import Labels


def own_noise(
    inputs: Sequence[Array], nodes: Sequence[Array], weights: Sequence[Array]
) -> list[Array]:
    """ε_l = Δz_l − W_l·Δx_l, what each layer adds to the difference of two passes, (batch, out).

    inputs (2, batch, in) and nodes (2, batch, out) of every layer; weights (out, in), the digital
    copy of what is stored. Without the second term, which is zero in the first layer, earlier
    layers' noise would count as the layer's own, correlated from node to node. Errors of the
    stored weights multiply Δx and are part of ε.
    """
    noise = []
    for number, (x, z, matrix) in enumerate(zip(inputs, nodes, weights, strict=True)):
        difference = z[0] - z[1]
        if number:
            difference -= (x[0] - x[1]) @ matrix.T
        noise.append(difference)
    return noise


def losses_and_slopes(logits: Array, labels: Labels) -> tuple[Array, Array]:
    """−log p(label) of every sample and its derivative by the logits, softmax − target.

    logits (..., batch, classes) to losses (..., batch) and slopes of the shape of the logits.
    """
    # Classes in front: numpy is slow over a short last axis.
    by_class = np.ascontiguousarray(np.moveaxis(logits, -1, 0))
    by_class -= by_class.max(axis=0)
    of_label = labels, ..., np.arange(len(labels))
    losses: Array = -np.moveaxis(by_class[of_label], 0, -1)
    slopes = np.exp(by_class)
    total = slopes.sum(axis=0)
    losses += np.log(total)
    slopes /= total
    slopes[of_label] -= 1.0
    return losses, np.moveaxis(slopes, 0, -1)


def without_known(difference: Array, slope: Array, noise: Array) -> Array:
    """ΔL (batch,) without what is known of the effect of one layer's own noise, slope·ε.

    slope (batch, n): known by the last layer's nodes, or foretold by other nodes; noise (batch, n).
    For other layers, whose noise is independent, it lowers the variance of a slope and leaves its
    mean; for the layer itself it leaves the slope less the one that is taken out.
    """
    result: Array = difference - np.einsum("bj,bj->b", slope, noise)
    return result


def relative_power(noise: Array) -> tuple[Array, Array]:
    """n/|ε|² of every sample, (batch, 1), and its mean product with ε² of every node, (out,).

    noise (batch, n); zero for samples without any. The second one is 1 for all nodes if all have
    the same noise and every sample has some.
    """
    square = np.square(noise)
    power = square.sum(axis=1)
    scale = np.divide(noise.shape[1], power, out=np.zeros_like(power), where=power > 0)
    gain: Array = (scale @ square) / np.float32(len(noise))
    return scale[:, np.newaxis], gain


def node_slope(difference: Array, noise: Array, scale: Array, gain: Array, moved: Array) -> Array:
    """Derivative of every sample's loss by the nodes, (batch, n): ΔL·n·ε/|ε|²/γ.

    difference (batch,) ΔL; noise ε (batch, n); scale n/|ε|² (batch, 1) and gain γ (n,) of
    :func:`relative_power`, γ averaged over time; moved (batch, n), whether the activation differs
    between the passes. The variance of ε may differ from sample to sample (|ε|²) and from node to
    node (γ): the mean is unbiased for noise whose variances are a product of both. Nodes that have
    not moved get 0, which is exact: nothing that L shows depends on their ε.
    """
    slope = noise * (difference[:, np.newaxis] * scale)
    slope *= np.divide(1.0, gain, out=np.zeros_like(gain), where=gain > 0)
    slope *= moved
    return slope


def nonlinearity(difference: Array, logits: Array, slopes: Array, labels: Labels) -> float:
    """Bias of ΔL as a measure of the slope, by third order along the change of the logits.

    Along the line from one pass to the other let f′ be the derivative of the loss and Δ the
    change. With f′(m) at the middle, the mean f′ of the ends − f′(m) = f‴Δ²/8; noise of variance σ²
    in each pass moves the expected derivative by f‴σ²/2. For Gaussian Δ of variance 2σ² the
    relative bias is therefore ⅔·ΣΔL·(mean f′ − f′(m))·Δ / ΣΔL². It sees the curvature of the loss
    over the logits, not that of the activations, and tells where the linear regime ends: far
    beyond, where the loss is flat or straight again, it is too small.

    difference (batch,) L₁ − L₂, logits and slopes (2, batch, classes).
    """
    change = logits[0] - logits[1]
    middle = losses_and_slopes(logits.mean(axis=0), labels)[1]
    bend = np.einsum("bj,bj->b", slopes.mean(axis=0) - middle, change)
    power = float(difference @ difference)
    return 0.0 if power == 0.0 else 2.0 / 3.0 * float(difference @ bend) / power
