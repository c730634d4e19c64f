"""Weights as differences of two conductances, w = limit · (G⁺ − G⁻) / window.

One device of a pair carries the weight, the other stays at the bottom of the window (one-sided
mapping): G⁺ = G_min + window·max(w, 0)/limit, G⁻ = G_min + window·max(−w, 0)/limit.
Conductances are (in, 2·out), the positive device of output j in column 2j, its negative one in
2j + 1; weights are (out, in).
"""

import numpy as np

from zerohm._arrays import Array

from ..devices import Cell


def to_conductances(weights: Array, limit: float, cell: Cell) -> Array:
    """Target conductances (in, 2·out) in S of weights (out, in) with |w| ≤ limit."""
    outputs, inputs = weights.shape
    scaled = weights.T * (cell.window / limit)
    pairs = np.empty((inputs, outputs, 2), dtype=weights.dtype)
    np.maximum(scaled, 0.0, out=pairs[..., 0])
    np.maximum(-scaled, 0.0, out=pairs[..., 1])
    pairs += cell.conductance_min
    return pairs.reshape(inputs, 2 * outputs)


def to_weights(differences: Array, limit: float, cell: Cell) -> Array:
    """Weights (..., out, in) of conductance differences (..., in, out) in S."""
    return np.swapaxes(differences, -1, -2) * (limit / cell.window)


def noise_of_weights(weights: Array, limit: float, cell: Cell) -> tuple[Array, Array]:
    """σ(w) and dσ/dw of the pair: σ² = (limit/window)² (σ_G²(G⁺) + σ_G²(G⁻)).

    At w = 0 the slope is the one towards positive weights.
    """
    scale = limit / cell.window
    carrying = cell.conductance_min + np.abs(weights) / scale
    resting = np.asarray(cell.conductance_min, dtype=weights.dtype)
    std = cell.write_noise.std(carrying)
    pair_std = scale * np.hypot(std, cell.write_noise.std(resting))
    sign = np.where(weights < 0, -1.0, 1.0).astype(weights.dtype)
    slope = np.divide(
        scale * std * cell.write_noise.std_slope(carrying) * sign,
        pair_std,
        out=np.zeros(weights.shape, dtype=weights.dtype),
        where=pair_std > 0,
    )
    return pair_std, slope
