"""Conductive-metal-oxide/HfOx cells of a 1T1R array in 130 nm.

    D. F. Falcone et al., "All-in-one analog AI hardware: on-chip training and inference with
    conductive-metal-oxide/HfOx ReRAM devices", arXiv:2502.04524 (2025).

Write–verify was measured with two acceptance bands, each a preset of its own: "Falcone2025" is
the band of 2 %, "Falcone2025-0.2pct" that of 0.2 %.
Both fits lie close to the uniform law σ = a·G/√3 of a band ±a·G. The read noise grows with the
observation time t as √ln((t + t_r)/2t_r) with t_r = 1 µs; the presets take t = 1 s and have it
white. After t > 1 s conductances of any state have moved by −0.089 ln t µS on average, with a
standard deviation of 0.41183 + 0.04201 ln t µS.
"""

import math

from ..drift import LogarithmicDrift
from ..noise import LogarithmicNoise, PolynomialNoise
from ..rram import Cell

_READ_NOISE = LogarithmicNoise(
    amplitude=0.02773e-6,  # S per decade of G
    reference=1e-6,  # S
    time_s=1.0,  # observation time, chosen here
    reading_time_s=1e-6,  # t_r
)

_DRIFT = LogarithmicDrift(
    mean_slope=-0.089e-6,  # S per e-fold
    mean_onset_s=1.0,
    spread_slope=0.04201e-6,  # S per e-fold
    spread_onset_s=math.exp(-0.41183 / 0.04201),  # s, where the fitted deviation is zero
)


def _cell(name: str, band: str, slope: float, offset: float) -> Cell:
    """The array with one acceptance band; slope in µS/µS, offset in µS."""
    return Cell(
        name=name,
        description=f"CMO/HfOx array; acceptance band {band}; read noise over 1 s",
        conductance_min=9e-6,  # S
        conductance_max=88.2e-6,  # S
        write_noise=PolynomialNoise(coefficients=(offset, slope), scale=1e-6, reference=1e-6),
        read_noise=_READ_NOISE,
        drift=_DRIFT,
        citations=("Falcone2025",),
    )


CELLS = (
    _cell("Falcone2025", "2 %", 0.01129027, 0.01121854),
    _cell("Falcone2025-0.2pct", "0.2 %", 0.00106879, 0.00081107),
)
