"""The array type of the whole package."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
"""Floating-point array; float64 unless a docstring says otherwise."""
