"""A run or a sweep as one HTML page that needs nothing else."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import xarray as xr
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from matplotlib.axes import Axes

from zerohm._errors import InputError
from zerohm._figures import figure_of
from zerohm._files import whole
from zerohm._version import __version__

from ..figures.accuracy import noise_accuracy
from ..figures.energy import energy_breakdown
from ..figures.learning import learning_curves
from ..results import PathLike, check_writable
from ..statistics import Band
from . import sections
from .inline_svg import inline_svg
from .references import Reference, reference
from .tables import SCORES, row_dimensions


@dataclass(frozen=True)
class Picture:
    """A figure in the page, or why there is none."""

    name: str
    title: str
    svg: Markup
    problem: str = ""


def html_report(ds: xr.Dataset, *, band: str = "quartiles", confidence: float = 0.95) -> str:
    """The HTML page of a run or a sweep.

    It shows parameters, seeds, versions, sources, figures, the ledger of what the hardware did,
    and the points that have no result. It loads nothing: style and figures are part of it, there
    is no script, and the same dataset gives the same page.

    Parameters
    ----------
    ds : a run's or a sweep's dataset.
    band, confidence : what figures and tables show of several seeds, as in
        :func:`noise_accuracy`; the page says which.

    Raises
    ------
    InputError : the dataset is neither a run's nor a sweep's, or a setting is out of range.
    """
    Band(band, confidence)
    row_dimensions(ds)
    results = sections.results(ds, band, confidence)
    return (
        _templates()
        .get_template("report.html")
        .render(
            title=_title(ds),
            subject=_subject(ds),
            kind="Sweep" if sections.is_sweep(ds) else "Training run",
            version=__version__,
            headline=sections.headline(ds),
            pictures=_pictures(ds, band, confidence),
            results=results,
            ledger=[t for t in (sections.ledger(ds), sections.energy(ds)) if t is not None],
            failures=sections.failures(ds),
            parameters=sections.parameters(ds),
            settings=sections.raw_settings(ds),
            references=_references(ds),
            provenance=sections.provenance(ds),
        )
    )


def save_report(
    ds: xr.Dataset, path: PathLike, *, band: str = "quartiles", confidence: float = 0.95
) -> None:
    """Save :func:`html_report` as a file, whole or not at all.

    Parameters
    ----------
    path : file name that ends with ``.html``; an existing file is replaced.

    Raises
    ------
    InputError : as :func:`html_report`; or the path cannot be written or has another suffix.
    """
    path = Path(path)
    if path.suffix != ".html":
        raise InputError(f"{path} must end with .html: a report is a page")
    check_writable(path)
    text = html_report(ds, band=band, confidence=confidence)
    with whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("zerohm.sweeps.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["breakable"] = _breakable
    return environment


def _breakable(name: str) -> Markup:
    """A dotted name that may break after its dots and underscores."""
    return Markup(re.sub(r"([._])(?=[^\W\d])", r"\1<wbr>", str(escape(name))))


def _title(ds: xr.Dataset) -> str:
    """What was done, from what all points share."""
    method, task = ds.attrs.get("method"), ds.attrs.get("task")
    what = " on ".join(str(name) for name in (method, task) if name is not None)
    return what or str(ds.attrs.get("experiment", "Training run")).rpartition(".")[2]


def _subject(ds: xr.Dataset) -> str:
    """What it ran on and the seed, as far as all points share them."""
    names = ("hardware", "device", "seed")
    return ", ".join(f"{name} {ds.attrs[name]}" for name in names if name in ds.attrs)


def _pictures(ds: xr.Dataset, band: str, confidence: float) -> list[Picture]:
    """The figures that the dataset has the variables for."""
    swept = [name for name in row_dimensions(ds) if name not in ("seed", "step")]
    numeric = [name for name in swept if ds[name].dtype.kind in "iuf"]
    pictures = []
    if "deployed_accuracy" in ds and numeric:
        x = "write_noise" if "write_noise" in numeric else numeric[0]
        draw = partial(noise_accuracy, ds, x, band=band, confidence=confidence)
        pictures.append(_picture("noise-accuracy", "Accuracy against the swept parameter", draw))
    for score in SCORES:
        if any(name in ds and "step" in ds[name].dims for name in (score, f"{score}_curve")):
            draw = partial(learning_curves, ds, variable=score, band=band, confidence=confidence)
            pictures.append(_picture("learning-curves", "Learning curve", draw))
    if "energy_J" in ds and "part" in ds["energy_J"].dims:
        draw = partial(energy_breakdown, ds)
        pictures.append(_picture("energy-breakdown", "Energy by part of the hardware", draw))
    return pictures


def _picture(name: str, title: str, draw: Callable[[], Axes]) -> Picture:
    try:
        ax = draw()
    except InputError as error:
        return Picture(name, title, Markup(), problem=str(error))
    axes = " against ".join(" ".join(text.split()) for text in (ax.get_ylabel(), ax.get_xlabel()))
    legend = ax.get_legend()
    lines = [] if legend is None else [text.get_text() for text in legend.get_texts()]
    description = f"{title}: {'; '.join([axes, *lines])}. The numbers are in the tables."
    return Picture(name, title, Markup(inline_svg(figure_of(ax), name, description)))


def _references(ds: xr.Dataset) -> list[Reference]:
    keys = str(ds.attrs.get("citations", "")).split(", ")
    return [reference(key) for key in dict.fromkeys(keys) if key]
