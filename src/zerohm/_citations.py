"""What a paper should cite when it used a model."""

import re
from functools import cache
from importlib.resources import files

from zerohm._errors import InputError


@cache
def bibliography() -> dict[str, str]:
    """BibTeX entry by citation key, from the package's ``citations.bib``."""
    text = (files("zerohm") / "citations.bib").read_text(encoding="utf-8")
    entries = [entry.strip() for entry in re.split(r"\n(?=@)", text) if entry.strip()]
    return {entry[entry.index("{") + 1 : entry.index(",")]: entry for entry in entries}


def cite(*models: object) -> str:
    """BibTeX entries of everything that the given models are built on.

    Parameters
    ----------
    models : objects with an attribute ``citations`` (a tuple of citation keys): device presets,
        training methods, hardware.

    Raises
    ------
    InputError : a model has no source of its own, or one that is not in the bibliography (a
        preset of another distribution).

    Examples
    --------
    >>> import zerohm as zo
    >>> print(zo.cite(zo.devices.preset("Wan2022")).splitlines()[0])
    @article{Wan2022,
    """
    keys: list[str] = []
    for model in models:
        found = getattr(model, "citations", None)
        if not found:
            raise InputError(f"{model!r} has no source: cite takes device presets and methods")
        keys += [key for key in found if key not in keys]
    known = bibliography()
    unknown = [key for key in keys if key not in known]
    if unknown:
        raise InputError(
            f"no bibliography entry for {', '.join(unknown)}: models of other distributions "
            "bring their own references"
        )
    return "\n\n".join(known[key] for key in keys)
