"""What one operation of digital CMOS takes, with node and source, and how it scales with the node.

Energies are those of Horowitz 2014 for 45 nm at 0.9 V. To other nodes they are scaled as Stillmaker
2017 has fitted simulated fan-out-of-4 inverter chains: E ∝ a₂V² + a₁V + a₀ with coefficients for
every node (its table of energy factors) at the supply V. The law is one for logic; that memories
follow it is an assumption of this project.
"""

import math
from typing import Annotated, Literal, get_args

from pydantic import Field
from pydantic.dataclasses import dataclass

from zerohm._config import STRICT
from zerohm._errors import InputError, choose

KIB = 1024
Node = Literal[130, 90, 65, 45, 32, 20, 14, 7]
Format = Literal["int8", "float16", "float32"]
BITS: dict[Format, int] = {"int8": 8, "float16": 16, "float32": 32}
"""Width of every number format."""

_HOROWITZ = "Horowitz 2014, figure 1.1.9"
_ASSUMED = "assumption of this project"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Constant:
    """A number with its unit, the technology node (nm) that it holds for, and its source."""

    value: Annotated[float, Field(gt=0)]
    unit: str
    node_nm: Annotated[int, Field(gt=0)]
    source: str


def _operation(picojoules: float, source: str = _HOROWITZ) -> Constant:
    return Constant(value=picojoules * 1e-12, unit="J", node_nm=45, source=source)


CONSTANTS: dict[str, Constant] = {
    "int8 add": _operation(0.03),
    "int8 multiply": _operation(0.2),
    "int32 add": _operation(0.1),
    "int32 multiply": _operation(3.1),
    "float16 add": _operation(0.4),
    "float16 multiply": _operation(1.1),
    "float32 add": _operation(0.9),
    "float32 multiply": _operation(3.7),
    "float32 divide": _operation(
        26.3, "Manzouri 2022, table 3: 7.1 multiplications, as measured on a Cortex-M4F"
    ),
    "64-bit access, SRAM of 8 KiB": _operation(10.0),
    "64-bit access, SRAM of 32 KiB": _operation(20.0),
    "64-bit access, SRAM of 1 MiB": _operation(100.0),
    "64-bit access, DRAM": _operation(1300.0, f"{_HOROWITZ}, lower end of 1.3 to 2.6 nJ"),
    "instruction of a processor": _operation(70.0, f"{_HOROWITZ}, operation included"),
    "flip-flop clock": _operation(0.03 / 8, f"{_ASSUMED}: one bit of the 8-bit adder"),
    "exclusive or": _operation(0.03 / 16, f"{_ASSUMED}: half a bit of the 8-bit adder"),
}
"""Energy of every counted operation, J."""

_SRAM = ((8 * KIB, "8 KiB"), (32 * KIB, "32 KiB"), (1024 * KIB, "1 MiB"))

SCALING: dict[Node, tuple[float, float, float, float]] = {
    130: (7.171, -6.709, 2.904, 1.3),
    90: (4.762, -4.781, 2.092, 1.2),
    65: (3.755, -4.398, 1.975, 1.1),
    45: (1.018, -0.3107, 0.1539, 0.9),
    32: (0.8367, -0.4341, 0.1701, 0.9),
    20: (0.373, -0.1582, 0.04104, 0.9),
    14: (0.2363, -0.09675, 0.02239, 0.8),
    7: (0.1776, -0.09097, 0.02447, 0.7),
}
"""a₂, a₁, a₀ of Stillmaker 2017 (high performance from 45 nm on) and the supply assumed here, V."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Technology:
    """Prices of digital operations at one node.

    Examples
    --------
    >>> Technology().energy("int8 multiply")
    2e-13
    >>> round(Technology(node_nm=7).factor, 3)
    0.068
    """

    node_nm: Node = 45

    @property
    def factor(self) -> float:
        """Energy at this node over that at 45 nm."""
        return _energy_factor(self.node_nm) / _energy_factor(45)

    def energy(self, operation: str) -> float:
        """J of one operation of :data:`CONSTANTS`.

        Raises
        ------
        InputError : an unknown operation.
        """
        choose("operation", operation, CONSTANTS)
        return CONSTANTS[operation].value * self.factor

    def multiply_accumulate(self, form: Format) -> float:
        """J of one product of this format, added to a 32-bit sum."""
        total = "int32 add" if form == "int8" else "float32 add"
        return self.energy(f"{form} multiply") + self.energy(total)

    def sram(self, bits: int, capacity: float) -> float:
        """J of reading or writing a number of some bits in a memory of some bytes.

        A straight line between the three memories of Horowitz 2014 in logarithms of energy and
        capacity; smaller memories cost what 8 KiB cost. Numbers are packed: they take their share
        of a 64-bit access.

        Raises
        ------
        InputError : more than 1 MiB, the largest memory that the source gives.

        Examples
        --------
        >>> f"{Technology().sram(64, 32 * KIB) * 1e12:.1f} pJ"
        '20.0 pJ'
        """
        if not capacity <= _SRAM[-1][0]:
            raise InputError(
                f"an SRAM of {capacity / KIB:.0f} KiB: the energy of an access is known up to "
                f"{_SRAM[-1][0] // KIB} KiB; use a smaller network, narrower numbers or memory "
                "'dram'"
            )
        size = max(float(capacity), float(_SRAM[0][0]))
        upper = next(k for k in range(1, len(_SRAM)) if size <= _SRAM[k][0])
        (low, low_name), (high, high_name) = _SRAM[upper - 1 : upper + 1]
        first, last = (self.energy(f"64-bit access, SRAM of {n}") for n in (low_name, high_name))
        share = math.log(size / low) / math.log(high / low)
        return bits / 64 * first * math.pow(last / first, share)

    def dram(self, bits: int) -> float:
        """J of reading or writing a number of some bits off the chip; it does not scale."""
        return bits / 64 * CONSTANTS["64-bit access, DRAM"].value


def _energy_factor(node: Node) -> float:
    second, first, zeroth, supply = SCALING[node]
    return second * supply**2 + first * supply + zeroth


NODES: tuple[int, ...] = get_args(Node)
