"""Device models from measured data: a table in, a cell with error bars and a diagnosis out.

Every kind of measurement is one function from a table (see :func:`read_table`) to a
:class:`Calibration`.
"""

from collections.abc import Callable

from .estimate import EstimationError as EstimationError
from .iv import iv as iv
from .panel import Panel as Panel
from .phase_shifter import phase_shifter as phase_shifter
from .programming import programming as programming
from .pulses import pulses as pulses
from .read_noise import read_noise as read_noise
from .relaxation import relaxation as relaxation
from .result import Calibration as Calibration
from .table import read_table as read_table

KINDS: dict[str, Callable[..., Calibration]] = {
    "relaxation": relaxation,
    "read-noise": read_noise,
    "programming": programming,
    "pulses": pulses,
    "iv": iv,
    "phase-shifter": phase_shifter,
}
"""Kinds of measurement by the name that the command line knows them by."""
