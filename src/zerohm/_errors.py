"""What can go wrong through the user's input, and how it is said."""

from collections.abc import Callable, Collection
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import ValidationError

T = TypeVar("T")


class InputError(ValueError):
    """The user's input is unusable: the message says what was wrong, where, and what is allowed.

    The command line turns it into one message on stderr and exit code 2; every other exception
    is a fault of the program and keeps its traceback.
    """


def choose(kind: str, name: object, allowed: Collection[str]) -> None:
    """Raise :class:`InputError`, with the nearest match, unless ``name`` is one of ``allowed``."""
    if not isinstance(name, str) or name not in allowed:
        close = get_close_matches(str(name), list(allowed), n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise InputError(f"unknown {kind} {name!r}{hint}; allowed: {', '.join(sorted(allowed))}")


def checked(build: Callable[..., T], where: str, **values: Any) -> T:
    """``build(**values)``, its validation errors turned into one :class:`InputError`."""
    try:
        return build(**values)
    except ValidationError as error:
        raise InputError(f"{where}: {'; '.join(map(_said, error.errors()))}") from None


def _said(problem: Any) -> str:
    """One validation problem: which value, and what is allowed."""
    message = str(problem["msg"]).removeprefix("Value error, ")
    if not problem["loc"]:
        return message
    return f"{'.'.join(map(str, problem['loc']))}={problem['input']!r}: {message}"
