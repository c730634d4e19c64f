"""Every law of a pulsed cell, told apart by its ``kind`` in a device card."""

from typing import Annotated

from pydantic import Field

from .steps import ExponentialStep, PowerStep, SoftBounds
from .tables import TablePulses

PulseModel = Annotated[
    SoftBounds | PowerStep | ExponentialStep | TablePulses, Field(discriminator="kind")
]
