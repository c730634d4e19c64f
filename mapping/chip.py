"""A chip that is used again and again: the devices of all its arrays, and what they have seen."""

from collections.abc import Callable

from numpy.random import Generator

from ..devices import FabricatedCells, Faults

ArrayKey = tuple[int, int, tuple[int, ...]]
"""Place of the layer, tile, and shape of the array (copies in front)."""


class Chip:
    """The devices of a chip, which every programming event finds again, one event older.

    Hardware that names a chip by its number alone makes the same new devices at every programming;
    with ``RRAMHardware(devices=Chip())`` they keep their wear. Layers of one chip differ by place.

    Examples
    --------
    >>> import numpy as np
    >>> from zerohm import devices, mapping
    >>> chip, rng = Chip(), np.random.default_rng(0)
    >>> cell = devices.flawed(devices.preset("Wan2022"), characteristic_cycles=10)
    >>> hardware = mapping.rram(cell, devices=chip)
    >>> failed = []
    >>> for _ in range(3):
    ...     _ = hardware.program(np.zeros((50, 100)), rng=rng)
    ...     failed.append(chip.failed_cells)
    >>> 0 < failed[0] < failed[1] < failed[2] < 10_000
    True
    """

    def __init__(self) -> None:
        self._arrays: dict[ArrayKey, FabricatedCells] = {}

    def cells(self, array: ArrayKey, fabricate: Callable[[], FabricatedCells]) -> FabricatedCells:
        """The cells of an array, which are fabricated when it is first programmed."""
        if array not in self._arrays:
            self._arrays[array] = fabricate()
        return self._arrays[array]

    def copy(self) -> "Chip":
        """The same chip, whose wear from now on does not touch this one."""
        twin = Chip()
        twin._arrays = {array: cells.copy() for array, cells in self._arrays.items()}
        return twin

    def damage(self, faults: Faults, rng: Generator) -> None:
        """Let working cells of all arrays that have been programmed so far fail now.

        It shows when their arrays are programmed the next time, or time passes in them.
        """
        for cells in self._arrays.values():
            cells.damage(faults, rng)

    @property
    def failed_cells(self) -> int:
        """Cells that no pulse changes any more, in all arrays that have been programmed so far."""
        return sum(cells.failed_cells for cells in self._arrays.values())
