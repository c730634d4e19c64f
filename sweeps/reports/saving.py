"""Tables as files, whole or not at all."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import xarray as xr

from zerohm._errors import InputError
from zerohm._files import whole

from ..results import PathLike, check_writable
from .latex import latex_table
from .tables import points_table, summary_table


def save_table(
    ds: xr.Dataset,
    path: PathLike,
    *,
    band: str | None = None,
    variables: Sequence[str] | None = None,
    confidence: float = 0.95,
    curves: bool = False,
) -> None:
    """Save results as CSV, or their summary over seeds as CSV or as a LaTeX table.

    Parameters
    ----------
    path : file name that ends with ``.csv`` or ``.tex``; an existing file is replaced, whole or
        not at all. Numbers in CSV have all digits: they read back to the same bits.
    band, variables, confidence : a summary, see :func:`summary_table`; without a band,
        ``.csv`` gets every point.
    curves : see :func:`points_table`.

    Raises
    ------
    InputError : the path cannot be written or has another suffix, or settings do not go together.
    """
    path = Path(path)
    if path.suffix not in (".csv", ".tex"):
        raise InputError(f"{path} must end with .csv or .tex: a table is saved as one of these")
    if curves and band is not None:
        raise InputError("a summary is of final values: choose curves or a band")
    if band is None and (path.suffix == ".tex" or variables is not None):
        raise InputError(
            f"a {path.suffix[1:]} table of chosen variables is a summary: choose the band "
            "'quartiles' (around the median) or 'confidence' (interval around the mean)"
        )
    check_writable(path)
    if band is None:
        text = _csv(points_table(ds, curves=curves))
    elif path.suffix == ".tex":
        text = latex_table(ds, band=band, variables=variables, confidence=confidence)
    else:
        text = _csv(
            points_table(summary_table(ds, band=band, variables=variables, confidence=confidence))
        )
    with whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def _csv(table: pd.DataFrame) -> str:
    return str(table.to_csv(index=False, lineterminator="\n"))
