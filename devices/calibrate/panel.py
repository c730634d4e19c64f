"""The panels of a calibration's figure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import norm

from zerohm._arrays import Array


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One pair of axes of a calibration's figure.

    Parameters
    ----------
    x_label, y_label : with units.
    points : name -> (x, y), measured data.
    lines : name -> (x, y), the fit; one named like points has their colour.
    bands : name -> (x, low, high), 95 % of what the fit expects.
    x_scale, y_scale : "linear", "log" or "symlog".
    """

    x_label: str
    y_label: str
    points: Mapping[str, tuple[Array, Array]] = field(default_factory=dict)
    lines: Mapping[str, tuple[Array, Array]] = field(default_factory=dict)
    bands: Mapping[str, tuple[Array, Array, Array]] = field(default_factory=dict)
    x_scale: str = "linear"
    y_scale: str = "linear"


def quantile_panel(residuals: Array) -> Panel:
    """Standardised residuals against the quantiles of the normal law that they should follow."""
    expected = np.asarray(norm.ppf((np.arange(len(residuals)) + 0.5) / len(residuals)))
    ends = np.array([expected[0], expected[-1]])
    return Panel(
        x_label="Standard normal quantile",
        y_label="Residual (standard deviations)",
        points={"Measured": (expected, np.sort(residuals))},
        lines={"Normal law": (ends, ends)},
    )
