"""Experiments as labelled data: grids, resumable stores, figures, tables, reports.

Figures and reports are imported on first use, so that worker processes start fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .engine import SweepWarning as SweepWarning
from .engine import run as run
from .merge import merge as merge
from .results import check_writable as check_writable
from .results import save as save
from .stopping import EnoughSeeds as EnoughSeeds
from .store import load as load

if TYPE_CHECKING:
    from .figures import FIGURES as FIGURES
    from .figures import energy_breakdown as energy_breakdown
    from .figures import error_versus_size as error_versus_size
    from .figures import heat_map as heat_map
    from .figures import learning_curves as learning_curves
    from .figures import noise_accuracy as noise_accuracy
    from .figures import save_figure as save_figure
    from .reports import html_report as html_report
    from .reports import latex_table as latex_table
    from .reports import points_table as points_table
    from .reports import save_report as save_report
    from .reports import save_table as save_table
    from .reports import summary_table as summary_table


def __getattr__(name: str) -> Any:
    for module in ("figures", "reports"):
        if not name.startswith("_") and hasattr(
            found := import_module(f"zerohm.sweeps.{module}"), name
        ):
            return getattr(found, name)
    raise AttributeError(f"module 'zerohm.sweeps' has no attribute {name!r}")
