"""Figures that can go into a paper: each takes and returns Axes, and knows its data."""

from collections.abc import Callable

from matplotlib.axes import Axes

from .accuracy import error_versus_size as error_versus_size
from .accuracy import noise_accuracy as noise_accuracy
from .energy import energy_breakdown as energy_breakdown
from .heat_map import heat_map as heat_map
from .learning import learning_curves as learning_curves
from .saving import save_figure as save_figure

FIGURES: dict[str, Callable[..., Axes]] = {
    "noise-accuracy": noise_accuracy,
    "error-versus-size": error_versus_size,
    "learning-curves": learning_curves,
    "heat-map": heat_map,
    "energy-breakdown": energy_breakdown,
}
"""Kinds of figures by the name that the command line knows them by."""
