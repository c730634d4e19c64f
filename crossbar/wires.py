"""The wires of an array as parameters."""

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from zerohm._arrays import Array
from zerohm._config import STRICT

from .network import Network

Resistance = Annotated[float, Field(ge=0)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Wires:
    """Resistances around the cells, in Ω; all zero is the ideal wire.

    Parameters
    ----------
    word_line_resistance, bit_line_resistance : of a segment between neighbouring cells.
    source_resistance : between a driver and its word line.
    sink_resistance : between a bit line and its sense amplifier.

    Raises
    ------
    ValueError : a resistance that is negative or not finite.

    Examples
    --------
    >>> Wires(word_line_resistance=1.0, bit_line_resistance=2.5).ideal
    False
    """

    word_line_resistance: Resistance = 0.0
    bit_line_resistance: Resistance = 0.0
    source_resistance: Resistance = 0.0
    sink_resistance: Resistance = 0.0

    @property
    def ideal(self) -> bool:
        """Whether there is no resistance anywhere."""
        return not (
            self.word_line_resistance
            or self.bit_line_resistance
            or self.source_resistance
            or self.sink_resistance
        )

    def network(self, conductance: Array) -> Network:
        """The circuit of an array of cells (rows, cols) in S."""
        return Network(
            conductance,
            word_line_resistance=self.word_line_resistance,
            bit_line_resistance=self.bit_line_resistance,
            source_resistance=self.source_resistance,
            sink_resistance=self.sink_resistance,
        )
