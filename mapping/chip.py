"""A chip that is used again and again: the devices of all its arrays, and what they have seen."""

from collections.abc import Callable

from zerohm._random import stream

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
    >>> chip, rng = mapping.Chip(), np.random.default_rng(0)
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
        self._damage: list[tuple[Faults, int]] = []
        self._original: Chip | None = None

    def cells(self, array: ArrayKey, fabricate: Callable[[], FabricatedCells]) -> FabricatedCells:
        """The cells of an array, which are fabricated when somebody first asks for them."""
        if array not in self._arrays:
            if self._original is not None:
                self._arrays[array] = self._original.cells(array, fabricate).copy()
            else:
                self._arrays[array] = fabricate()
                for number in range(len(self._damage)):
                    self._strike(number, array)
        return self._arrays[array]

    def copy(self) -> "Chip":
        """The same chip, whose wear from now on does not touch this one."""
        twin = Chip()
        twin._arrays = {array: cells.copy() for array, cells in self._arrays.items()}
        twin._original = self
        return twin

    def damage(self, faults: Faults, *, seed: int) -> None:
        """Let working cells of all arrays fail now, with these probabilities.

        It shows when an array is programmed the next time, or time passes in it.
        """
        self._damage.append((faults, seed))
        for array in self._arrays:
            self._strike(len(self._damage) - 1, array)

    def _strike(self, number: int, array: ArrayKey) -> None:
        (faults, seed), (place, tile, shape) = self._damage[number], array
        rng = stream(seed, "damage", number, place, tile, *shape)
        self._arrays[array].damage(faults, rng)

    @property
    def failed_cells(self) -> int:
        """Cells that no pulse changes any more, in all arrays that have been used so far."""
        return sum(cells.failed_cells for cells in self._arrays.values())
