"""Single fields of nested settings, replaced by their path."""

from dataclasses import fields, is_dataclass, replace
from functools import partial
from typing import Any, TypeVar

from zerohm._errors import InputError, checked, choose

T = TypeVar("T")


def adjusted(settings: T, path: str, value: Any) -> T:
    """The same settings with one field replaced, checked as if they had been built with it.

    Parameters
    ----------
    settings : a frozen dataclass.
    path : names of fields joined by dots, for example "cell.conductance_max".

    Raises
    ------
    InputError : no such field, with the nearest one, or a value that it does not allow.

    Examples
    --------
    >>> from zerohm import devices, mapping
    >>> hardware = mapping.rram(devices.preset("Wan2022"))
    >>> adjusted(hardware, "cell.conductance_max", 3e-5).cell.conductance_max
    3e-05
    """
    name, _, rest = path.partition(".")
    kind = type(settings).__name__
    choose(f"field of {kind}", name, [field.name for field in fields(settings)])  # type: ignore[arg-type]
    if rest:
        inner = getattr(settings, name)
        if not is_dataclass(inner):
            raise InputError(
                f"{name} of {kind} is {inner!r} and has no field {rest!r}: choose a device that has"
            )
        value = adjusted(inner, rest, value)
    return checked(partial(replace, settings), kind, **{name: value})  # type: ignore[type-var]
