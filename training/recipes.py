"""Hyperparameters per task and method, chosen on a validation part of the training data.

``benchmarks/choose_hyperparameters.py`` is how they were chosen, for vowel
``benchmarks/vowel_cross_validation.py``; no test data took part in a comparison.
"""

from typing import Any

HIDDEN: dict[str, tuple[int, ...]] = {
    "digits": (32,),
    "vowel": (32,),
    "mnist": (64,),
    "fashion-mnist": (64,),
    "digits-c": (32,),
    "mnist-c": (64,),
    "f1": (100, 100),
    "f2": (100, 100),
    "mnist-regression": (100, 100),
}
"""Hidden layers of each task's usual network."""

_ADAPTATION = {"learning_rate": 0.03, "queries": 3, "perturbation": "nodes", "batch": 100}
_REGRESSION = {"loss": "squared", "learning_rate": 0.01, "block_width": 1}

RECIPES: dict[tuple[str, str], dict[str, Any]] = {
    ("noisezo", "digits"): {"learning_rate": 0.016, "batch": 512},
    ("noisezo", "vowel"): {"learning_rate": 0.015, "batch": 512},
    ("noisezo", "mnist"): {"learning_rate": 0.01, "credit": "cells", "batch": 1024},
    ("node-noise", "digits"): {"learning_rate": 0.005, "weight_decay": 0.1, "batch": 256},
    ("node-noise", "vowel"): {"learning_rate": 0.005, "weight_decay": 0.3, "batch": 256},
    ("node-noise", "mnist"): {"weight_decay": 0.1, "batch": 512},
    ("node-noise", "fashion-mnist"): {"weight_decay": 0.1, "batch": 512},
    ("noisezo", "fashion-mnist"): {"learning_rate": 0.004, "batch": 1024},
    ("quantized-zo", "digits"): {"learning_rate": 1.0, "queries": 20, "batch": 100},
    ("quantized-zo", "mnist"): {"learning_rate": 1.0, "queries": 20, "batch": 100},
    ("quantized-zo", "digits-c"): _ADAPTATION,
    ("quantized-zo", "mnist-c"): _ADAPTATION,
    ("ffzero", "f1"): {"loss": "squared"},
    ("ffzero", "f2"): {"loss": "squared"},
    ("ffzero", "mnist-regression"): {"loss": "squared"},
    ("local-node-perturbation", "f1"): _REGRESSION,
    ("local-node-perturbation", "f2"): _REGRESSION,
    ("local-node-perturbation", "mnist-regression"): _REGRESSION,
}
"""Settings of (method, task) that differ from the method's defaults."""


def recipe(method: str, task: str) -> dict[str, Any]:
    """The settings for a method on a task; empty where the defaults serve."""
    return RECIPES.get((method, task), {})
