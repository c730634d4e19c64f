"""Commands about results: figures of runs and sweeps."""

from pathlib import Path

from zerohm._errors import choose

from .application import app


@app.command
def figure(
    result: Path, /, *, kind: str = "noise-accuracy", x: str = "write_noise", out: Path
) -> None:
    """Draw a figure of a sweep or a run, with its data as CSV beside it.

    Parameters
    ----------
    result
        A sweep's store or a run's .nc file.
    kind
        noise-accuracy or learning-curves.
    x
        Swept setting on the horizontal axis of noise-accuracy.
    out
        Figure file: .pdf, .png or .svg.
    """
    from zerohm import sweeps

    choose("kind of figure", kind, sweeps.FIGURES)
    data = sweeps.load(result)
    options = {"x": x} if kind == "noise-accuracy" else {}
    sweeps.save_figure(sweeps.FIGURES[kind](data, **options), out, data=data)
    print(f"figure: {out}\ndata: {out.with_suffix('.csv')}")
