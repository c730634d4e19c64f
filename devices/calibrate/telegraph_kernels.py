"""Filters of a hidden Markov chain on top of Gaussian noise with memory, on plain arrays.

Conductances in any one unit; variances in its square. The Gaussian noise is white noise plus
components with exponential correlation, prepared by :func:`gains`.
"""

import numpy as np
from numpy.typing import NDArray

from zerohm._arrays import Array
from zerohm._jit import kernel


@kernel
def gains(decay: Array, variance: Array, white: float, samples: int) -> tuple[Array, Array]:
    """Kalman gains (samples, components) and variances of the innovations (samples,).

    decay, variance : (components,), correlation from sample to sample and stationary variance;
    white : variance of what one sample adds.
    """
    count = decay.size
    found = np.empty((samples, count))
    spread = np.empty(samples)
    cover = np.diag(variance)
    for t in range(samples):
        seen = np.zeros(count)
        total = white
        for k in range(count):
            for m in range(count):
                seen[k] += cover[k, m]
            total += seen[k]
        spread[t] = total
        for k in range(count):
            found[t, k] = seen[k] / total
        for k in range(count):
            for m in range(k + 1):
                updated = (cover[k, m] - found[t, k] * seen[m]) * decay[k] * decay[m]
                if k == m:
                    updated += variance[k] * (1.0 - decay[k] * decay[k])
                cover[k, m] = updated
                cover[m, k] = updated
    return found, spread


@kernel
def log_likelihood(
    trace: Array,
    levels: Array,
    transition: Array,
    start: Array,
    decay: Array,
    gains: Array,
    spread: Array,
) -> float:
    """ln p(trace): every state carries the background that its likely past implies."""
    states, count = levels.size, decay.size
    chance = start.copy()
    step = np.eye(states)
    background = np.zeros((states, count))
    merged = np.empty((states, count))
    expected = np.empty(states)
    error = np.empty((states, states))
    weight = np.empty((states, states))
    total = 0.0
    for t in range(trace.size):
        for i in range(states):
            expected[i] = 0.0
            for k in range(count):
                expected[i] += background[i, k]
        smallest = np.inf
        for i in range(states):
            for j in range(states):
                error[i, j] = trace[t] - levels[j] - expected[i]
                smallest = min(smallest, error[i, j] ** 2)
        norm = 0.0
        for i in range(states):
            for j in range(states):
                excess = (error[i, j] ** 2 - smallest) / spread[t]
                weight[i, j] = 0.0
                if excess < 1400.0:
                    weight[i, j] = chance[i] * step[i, j] * np.exp(-0.5 * excess)
                norm += weight[i, j]
        total += np.log(norm) - 0.5 * (smallest / spread[t] + np.log(2.0 * np.pi * spread[t]))
        for j in range(states):
            arriving = 0.0
            for i in range(states):
                arriving += weight[i, j]
            chance[j] = arriving / norm
            mean_error = 0.0
            for k in range(count):
                merged[j, k] = 0.0
            for i in range(states):
                share = weight[i, j] / arriving if arriving > 0.0 else 1.0 / states
                if share > 1e-12:
                    mean_error += share * error[i, j]
                    for k in range(count):
                        merged[j, k] += share * background[i, k]
            for k in range(count):
                merged[j, k] = decay[k] * (merged[j, k] + gains[t, k] * mean_error)
        background[:] = merged
        step[:] = transition
    return total


@kernel
def most_likely(
    trace: Array,
    levels: Array,
    transition: Array,
    start: Array,
    decay: Array,
    gains: Array,
    spread: Array,
) -> NDArray[np.intp]:
    """Most likely states (samples,): every survivor carries the background of its own path."""
    states, count = levels.size, decay.size
    score = np.log(start)
    step = np.log(np.where(np.eye(states) > 0, 1.0, 1e-300))
    steps = np.log(transition)
    background = np.zeros((states, count))
    moved = np.empty((states, count))
    expected = np.empty(states)
    arriving = np.empty(states)
    came_from = np.empty((trace.size, states), np.uint8)
    for t in range(trace.size):
        for i in range(states):
            expected[i] = 0.0
            for k in range(count):
                expected[i] += background[i, k]
        for j in range(states):
            best, arriving[j], best_error = 0, -np.inf, 0.0
            for i in range(states):
                error = trace[t] - levels[j] - expected[i]
                value = score[i] + step[i, j] - 0.5 * error**2 / spread[t]
                if value > arriving[j]:
                    best, arriving[j], best_error = i, value, error
            came_from[t, j] = best
            for k in range(count):
                moved[j, k] = decay[k] * (background[best, k] + gains[t, k] * best_error)
        background[:] = moved
        score[:] = arriving
        step = steps
    path = np.empty(trace.size, np.intp)
    state = int(np.argmax(score))
    for t in range(trace.size - 1, -1, -1):
        path[t] = state
        state = int(came_from[t, state])
    return path


@kernel
def innovations(series: Array, decay: Array, gains: Array, spread: Array) -> Array:
    """What the background does not predict of a series, in standard deviations."""
    count = decay.size
    background = np.zeros(count)
    found = np.empty(series.size)
    for t in range(series.size):
        error = series[t]
        for k in range(count):
            error -= background[k]
        for k in range(count):
            background[k] = decay[k] * (background[k] + gains[t, k] * error)
        found[t] = error / np.sqrt(spread[t])
    return found
