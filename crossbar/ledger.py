"""What hardware did, counted where it happens: events, energy and time."""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields

PARTS = ("write", "verify", "read_back", "array", "dac", "adc", "digital")
"""Where energy goes: programming pulses, verify reads, reading cells back, the array's own
dissipation in a matrix–vector product, converters, digital arithmetic."""


@dataclass
class Ledger:
    """Running totals; ``add`` merges the totals of another one.

    ``clipped_cells`` counts cells that a write left at the device's own floor or ceiling, or had
    to aim at the edge of a window that wear has narrowed. ``floored_reads`` counts cell values that
    fluctuations would have taken below the device's floor: read noise where it is drawn cell by
    cell, and relaxation and noise whenever time passes. ``vectors`` counts input vectors of
    matrix–vector products. ``time_s`` is the time that the hardware was busy: word lines are
    programmed and read back one after another, a matrix–vector product uses all at once.

    Examples
    --------
    >>> total, one = Ledger(), Ledger(pulses=5.0)
    >>> total.add(one)
    >>> total.add(one)
    >>> total.pulses
    10.0
    """

    cell_writes: int = 0
    clipped_cells: int = 0
    floored_reads: int = 0
    pulses: float = 0.0
    verify_reads: float = 0.0
    cells_read_back: int = 0
    vectors: int = 0
    dac_conversions: int = 0
    dac_saturations: int = 0
    adc_conversions: int = 0
    adc_saturations: int = 0
    time_s: float = 0.0
    energy_J: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))

    def add(self, other: "Ledger") -> None:
        """Add the totals of another ledger to this one."""
        for name in _COUNTERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for part, energy in other.energy_J.items():
            self.energy_J[part] += energy


def in_parallel(ledgers: Iterable[Ledger]) -> Ledger:
    """Totals of arrays that share every input vector and work at the same time.

    Everything adds up but vectors and time, of which the busiest array counts.

    Examples
    --------
    >>> in_parallel([Ledger(pulses=5.0, time_s=1.0), Ledger(pulses=5.0, time_s=2.0)]).time_s
    2.0
    """
    arrays = list(ledgers)
    total = Ledger()
    for ledger in arrays:
        total.add(ledger)
    total.vectors = max(ledger.vectors for ledger in arrays)
    total.time_s = max(ledger.time_s for ledger in arrays)
    return total


_COUNTERS = tuple(f.name for f in fields(Ledger) if f.name != "energy_J")
