"""Softmax cross-entropy and accuracy, for one network or several copies of it."""

import numpy as np
from numpy.typing import NDArray

from zerohm._arrays import Array

Labels = NDArray[np.integer]


def log_softmax(logits: Array) -> Array:
    """Logarithm of the class probabilities, (..., classes)."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def cross_entropy(logits: Array, labels: Labels) -> Array:
    """Mean −log p(label) over the batch: logits (..., batch, classes) to (...), float64."""
    log_p = log_softmax(logits)
    picked = log_p[..., np.arange(len(labels)), labels]
    mean: Array = picked.mean(axis=-1, dtype=np.float64)
    return -mean


def cross_entropy_gradient(logits: Array, labels: Labels) -> Array:
    """Derivative of :func:`cross_entropy` with respect to the logits, same shape."""
    gradient: Array = np.exp(log_softmax(logits))
    gradient[..., np.arange(len(labels)), labels] -= 1.0
    gradient /= len(labels)
    return gradient


def accuracy(logits: Array, labels: Labels) -> Array:
    """Fraction of correct classes: logits (..., batch, classes) to (...)."""
    correct: Array = np.mean(logits.argmax(axis=-1) == labels, axis=-1)
    return correct
