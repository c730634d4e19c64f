"""Experiments as labelled data: grids, resumable stores, figures."""

from .engine import SweepWarning as SweepWarning
from .engine import run as run
from .export import save_figure as save_figure
from .figures import FIGURES as FIGURES
from .figures import learning_curves as learning_curves
from .figures import noise_accuracy as noise_accuracy
from .results import check_writable as check_writable
from .results import load as load
from .results import save as save
