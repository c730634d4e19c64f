"""Figures as files: the picture, what it was made by, and the numbers beside it."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from zerohm._errors import InputError
from zerohm._figures import Shown, figure_of, metadata, paper, shown
from zerohm._files import whole

from ..results import PathLike, check_writable, save

SUFFIXES = (".pdf", ".png", ".svg")


def save_figure(figure: Figure | Axes, path: PathLike) -> list[Path]:
    """Save a figure, and beside it the numbers that it shows, each file whole or not at all.

    The numbers of figures of this package lie in ``<stem>.csv`` as they are drawn (medians and
    quartiles, for example) and in ``<stem>.nc`` as they were given (every seed, and all
    attributes, which the picture's metadata have too). From that file, :func:`load` and the
    function that drew the figure make it again. Where several axes of a figure show something,
    these are ``<stem>_1.csv`` and so on.

    Parameters
    ----------
    figure : a figure, or any axes of it.
    path : file name that ends with ``.pdf``, ``.png`` or ``.svg``; existing files are replaced.

    Returns
    -------
    The files that were written, the picture first.

    Raises
    ------
    InputError : a file cannot be written, or the path has another suffix.

    Examples
    --------
    >>> import xarray as xr
    >>> from zerohm.sweeps import noise_accuracy
    >>> ds = xr.Dataset({"deployed_accuracy": ("write_noise", [0.9, 0.8])},
    ...                 coords={"write_noise": [0.0, 0.1]})
    >>> paths = save_figure(noise_accuracy(ds), getfixture("tmp_path") / "figure.pdf")
    >>> [path.name for path in paths]
    ['figure.pdf', 'figure.csv', 'figure.nc']
    """
    figure = figure_of(figure) if isinstance(figure, Axes) else figure
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in SUFFIXES:
        raise InputError(f"{path}: a figure is saved as one of {', '.join(SUFFIXES)}")
    panels = shown(figure)
    stems = (
        [path.stem] if len(panels) == 1 else [f"{path.stem}_{n + 1}" for n in range(len(panels))]
    )
    beside = [path.with_name(f"{stem}{suffix}") for stem in stems for suffix in (".csv", ".nc")]
    for each in (path, *beside):
        check_writable(each)
    with paper(), whole(path) as temporary:
        figure.savefig(temporary, metadata=metadata(figure, kind[1:]))
    for panel, table, data in zip(panels, beside[::2], beside[1::2], strict=True):
        _save_numbers(panel, table, data)
    return [path, *beside]


def _save_numbers(panel: Shown, table: Path, data: Path) -> None:
    rows = panel.table.reset_coords(drop=True).to_dataframe().dropna(how="all")
    with whole(table) as temporary:
        rows.to_csv(temporary)
    save(panel.data, data)
