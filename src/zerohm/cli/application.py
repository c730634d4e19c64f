"""The application that commands register with."""

from collections.abc import Sequence
from typing import Annotated, Any

from cyclopts import App, Parameter, Token

import zerohm


def _whole(_: Any, tokens: Sequence[Token]) -> int:
    """A whole number as written; cyclopts would round 0.5."""
    try:
        return int(tokens[0].value)
    except ValueError:
        raise ValueError(f"{tokens[0].value[:60]!r} is no whole number") from None


Whole = Annotated[int, Parameter(converter=_whole)]
"""Type of options that are whole numbers."""

app = App(
    name="zerohm",
    help="Physics-first simulation of analog AI hardware that learns with forward passes only.",
    version=zerohm.__version__,
    result_action="return_value",
)
