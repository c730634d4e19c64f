"""Experiments as labelled data: grids, resumable stores, figures."""

from .energy_figure import energy_breakdown as energy_breakdown
from .engine import SweepWarning as SweepWarning
from .engine import run as run
from .export import save_figure as save_figure
from .figures import FIGURES as FIGURES
from .figures import error_versus_size as error_versus_size
from .figures import noise_accuracy as noise_accuracy
from .heat_map_figure import heat_map as heat_map
from .latex import latex_table as latex_table
from .learning_figure import learning_curves as learning_curves
from .merge import merge as merge
from .report import html_report as html_report
from .report import save_report as save_report
from .results import check_writable as check_writable
from .results import save as save
from .stopping import EnoughSeeds as EnoughSeeds
from .store import load as load
from .tables import points_table as points_table
from .tables import save_table as save_table
from .tables import summary_table as summary_table
