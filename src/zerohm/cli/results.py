"""Commands about results: figures, tables, reports, merged stores."""

from inspect import Parameter as Argument
from inspect import signature
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from zerohm._errors import InputError, choose

from .application import Whole, app


@app.command
def figure(
    result: Path,
    /,
    *,
    kind: str = "noise-accuracy",
    x: str | None = None,
    y: str | None = None,
    variable: str | None = None,
    band: str | None = None,
    confidence: float | None = None,
    scale: str | None = None,
    columns: Whole = 1,
    out: Path,
) -> None:
    """Draw a figure of a sweep or a run, with its data as CSV and NetCDF beside it.

    Parameters
    ----------
    result
        A sweep's store or a run's .nc file.
    kind
        noise-accuracy, learning-curves, heat-map, error-versus-size or energy-breakdown.
    x
        Swept setting on the horizontal axis.
    y
        Swept setting on the vertical axis of a heat map.
    variable
        What is drawn, where it is not the accuracy.
    band
        quartiles (about the median) or confidence (interval of the mean, Student t).
    confidence
        Of the interval, between 0 and 1.
    scale
        Of energy-breakdown: linear (stacked) or log (side by side).
    columns
        Width: 1 or 2 columns of a paper.
    out
        Figure file: .pdf, .png or .svg.
    """
    from zerohm import sweeps

    choose("kind of figure", kind, sweeps.FIGURES)
    given: dict[str, Any] = {"x": x, "y": y, "variable": variable}
    given |= {"band": band, "confidence": confidence, "scale": scale}
    options = _options(kind, sweeps.FIGURES[kind], given)
    axes = sweeps.FIGURES[kind](sweeps.load(result), **options, columns=columns)
    picture, *data = sweeps.save_figure(axes, out)
    print(f"figure: {picture}\ndata: {', '.join(map(str, data))}")


def _options(kind: str, draw: Any, given: dict[str, Any]) -> dict[str, Any]:
    """What was given, if it is what this kind of figure has and needs."""
    known = signature(draw).parameters
    for name, value in given.items():
        if value is not None and name not in known:
            allowed = ", ".join(f"--{n}" for n in given if n in known)
            raise InputError(f"--{name} has no meaning for {kind}: it has {allowed}")
        if value is None and name in known and known[name].default is Argument.empty:
            raise InputError(f"{kind} needs --{name}")
    return {name: value for name, value in given.items() if value is not None}


@app.command
def export(
    result: Path,
    /,
    *,
    out: Path,
    band: str | None = None,
    variables: str = "",
    confidence: float = 0.95,
    curves: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Write a sweep or a run as NetCDF, CSV or a LaTeX table.

    Parameters
    ----------
    result
        A sweep's store or a run's .nc file.
    out
        .nc: everything; .csv: every point, or with --band a summary over seeds; .tex: a summary.
    band
        quartiles (median and interquartile range) or confidence (mean and Student t interval).
    variables
        Of a summary, separated by commas; by default the score on freshly programmed hardware.
    confidence
        Of the interval, between 0 and 1.
    curves
        One row per step instead of one per point (.csv of a sweep that kept its curves).
    """
    from zerohm import sweeps

    if out.suffix not in (".nc", ".csv", ".tex"):
        raise InputError(f"--out {out}: a result is exported as .nc, .csv or .tex")
    names = [name.strip() for name in variables.split(",") if name.strip()] or None
    if out.suffix == ".nc":
        if band or names or curves:
            raise InputError("--band, --variables and --curves are of tables: a .nc file has all")
        sweeps.save(sweeps.load(result), out)
    else:
        sweeps.save_table(
            sweeps.load(result),
            out,
            band=band,
            variables=names,
            confidence=confidence,
            curves=curves,
        )
    print(f"export: {out}")


@app.command
def report(
    result: Path,
    /,
    *,
    out: Path = Path("report.html"),
    band: str = "quartiles",
    confidence: float = 0.95,
) -> None:
    """Write a run or a sweep as one HTML page that needs nothing else.

    Parameters
    ----------
    result
        A sweep's store or a run's .nc file.
    out
        Page (.html).
    band
        quartiles (median and interquartile range) or confidence (mean and Student t interval).
    confidence
        Of the interval, between 0 and 1.
    """
    from zerohm import sweeps

    sweeps.save_report(sweeps.load(result), out, band=band, confidence=confidence)
    print(f"report: {out}")


@app.command
def merge(stores: list[Path], /, *, into: Path) -> None:
    """Put the points of several sweeps of the same experiment into one store.

    Parameters
    ----------
    stores
        Results of sweeps (zarr directories).
    into
        Result, a zarr directory; constants that differ become dimensions.
    """
    from zerohm import sweeps

    result = sweeps.merge(stores, into)
    sizes = ", ".join(f"{name}: {size}" for name, size in result["error"].sizes.items())
    print(f"merged {len(stores)} stores, {sizes}\nresult: {into}")
