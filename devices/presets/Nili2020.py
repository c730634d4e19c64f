"""TiO2-x/Al2O3 memristors of a passive 64 x 64 array: the static current-voltage law.

    H. Nili et al., "Comprehensive compact phenomenological modeling of integrated metal-oxide
    memristors", IEEE Trans. Nanotechnology 19, 344-349 (2020).

The coefficients are in :class:`zerohm.devices.iv.Nili2020`. The source gives neither a deviation
after write-verify nor 1/f noise: the preset writes and reads exactly until they are set.
"""

from ..iv import Nili2020
from ..rram import Cell

_IV = Nili2020()

CELLS = (
    Cell(
        name="Nili2020",
        description="TiO2-x/Al2O3; cubic I-V law at 300 K; no published write or read noise",
        conductance_min=_IV.conductance_min,  # 3.16 µS
        conductance_max=_IV.conductance_max,  # 316 µS
        max_read_voltage=_IV.max_voltage,  # 0.4 V
        iv=_IV,
        citations=("Nili2020",),
    ),
)
