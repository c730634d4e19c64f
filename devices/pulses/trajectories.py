"""Closed forms of the mean position of a cell after p identical pulses.

Pure functions of plain numbers or arrays that broadcast. Positions, steps and bounds share one
unit, S or a fraction of the window; ``pulses`` counts from 0 and need not be an integer. The
bound is the one that the pulses drive to, so the same function serves both directions.
"""

import numpy as np

from zerohm._arrays import Array


def soft_bounds(
    pulses: Array, start: Array | float, step: float, bound: float, reference: float
) -> Array:
    """Every pulse goes the same fraction of the way that is left to the bound; exact.

    x(p) = bound + (start − bound) (1 − r)^p with r = step / |bound − reference|, at most 1: a
    longer step ends at the bound. With r = 1 − exp(−α) and start = x₀ this is the curve

        x(p) = B (1 − exp(−α p)) + x₀,    B = bound − x₀,

    that pulse responses are commonly fitted with.

    Parameters
    ----------
    step : size of the mean step at ``reference``, positive.
    """
    fraction = np.minimum(step / np.abs(bound - reference), 1.0)
    left: Array = (1.0 - fraction) ** np.asarray(pulses, dtype=float)
    return bound + (start - bound) * left


def power(
    pulses: Array,
    start: Array | float,
    step: float,
    bound: float,
    opposite: float,
    exponent: float,
) -> Array:
    """The step goes as a power of the distance to the bound; limit of small steps.

    With ω the distance to the bound over that between the bounds, dω/dp = −s ω^γ and
    s = step / |bound − opposite|, so ω(p) = (ω₀^(1−γ) − (1 − γ) s p)^(1/(1−γ)), and
    ω₀ exp(−s p) for γ = 1. The mean of discrete pulses differs by a relative O(s).

    Parameters
    ----------
    step : size of the mean step at the opposite bound, positive.
    exponent : γ.
    """
    width = abs(bound - opposite)
    rate = step / width * np.asarray(pulses, dtype=float)
    distance = np.abs(bound - np.asarray(start, dtype=float)) / width
    if exponent == 1.0:
        left = distance * np.exp(-rate)
    else:
        order = 1.0 - exponent
        with np.errstate(divide="ignore"):  # at the bound itself, γ > 1: it stays there
            left = np.maximum(distance**order - order * rate, 0.0) ** (1.0 / order)
    return bound + (opposite - bound) * left


def exponential(
    pulses: Array,
    start: Array | float,
    step: float,
    direction: int,
    bounds: tuple[float, float],
    reference: float,
    amplitude: float,
    rate: float,
    slope: float,
    offset: float,
) -> Array:
    """The step is a constant less an exponential of the position; limit of small steps.

    dx/dp = d s max(1 − A exp(d γ z), 0) with z = 2 a (x − reference)/(upper − lower) + b. Then
    u = exp(−d γ z) obeys du/dp = −κ (u − A) with κ = 2 a γ s / (upper − lower), so that
    u(p) = A + (u₀ − A) exp(−κ p). Ends at the bounds; discrete pulses differ by O(s).

    Parameters
    ----------
    step, direction : s, positive, and d, +1 or −1.
    bounds : (lower, upper).
    amplitude, rate, slope, offset : A, γ, a, b.
    """
    lower, upper = bounds
    gain = 2.0 * slope / (upper - lower)
    first = np.asarray(start, dtype=float)
    if slope == 0.0:
        change = max(1.0 - amplitude * np.exp(direction * rate * offset), 0.0)
        moved = first + direction * step * change * np.asarray(pulses, dtype=float)
        limited: Array = np.clip(moved, lower, upper)
        return limited
    u_start = np.exp(-direction * rate * (gain * (first - reference) + offset))
    end = upper if direction > 0 else lower
    with np.errstate(all="ignore"):  # u ≤ 0 or infinite: beyond the bound long ago
        growth = np.exp(-gain * rate * step * np.asarray(pulses, dtype=float))
        u = amplitude + (u_start - amplitude) * growth
        z = -direction * np.log(u) / rate
        position = np.where(u > 0, reference + (z - offset) / gain, end)
    moves = u_start > amplitude  # otherwise max(…, 0) stops it where it is
    return np.where(moves, np.clip(position, lower, upper), first)
