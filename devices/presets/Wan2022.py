"""NeuRRAM, TaOx/HfOx 1T1R cells in 130 nm, after iterative write–verify.

The write noise is the deviation that cells show 1 s after programming, as published in Extended
Data Fig. 3 of

    W. Wan et al., "A compute-in-memory chip based on resistive random-access memory",
    Nature 608, 504-512 (2022), doi:10.1038/s41586-022-04992-8.

Two fits to that figure are in use and they disagree (0.35 against 1.05 µS at 0 µS), so each is a
preset of its own. The first one exists for 1 s, 1 day and 2 days: the variance grows between the
first two in proportion to the decades of time, which gives the relaxation of "Wan2022", and the
deviation that it then predicts after 2 days is 1.3 % below to 3.7 % above the third. The source
gives no read noise: both presets read without noise until one is
set with :meth:`zerohm.devices.Cell.with_noise`.
"""

import numpy as np

from ..noise import PolynomialNoise
from ..relaxation import Relaxation
from ..rram import Cell
from ..state_dependence import StateTable

_REFERENCE = 40e-6  # S, where x = 1
_AFTER_A_SECOND = (0.348, 16.030, -43.853, 45.393, -16.815)  # µS, from the constant term up
_AFTER_A_DAY = (0.701, 22.086, -50.773, 47.095, -16.458)  # µS
_DECADES = float(np.log10(1 + 86400))  # from 1 s to a day later


def _relaxation() -> Relaxation:
    """Variance per decade between the fits for 1 s and 1 day, at 40 conductances of the window."""
    x = np.geomspace(1e-6, 40e-6, 40) / _REFERENCE
    second, day = (
        1e-6 * np.polynomial.polynomial.polyval(x, fit) for fit in (_AFTER_A_SECOND, _AFTER_A_DAY)
    )
    return Relaxation(
        variance_per_decade=StateTable(
            conductance=tuple((x * _REFERENCE).tolist()),
            values=tuple(((day**2 - second**2) / _DECADES).tolist()),
        ),
        onset_s=1.0,
    )


CELLS = (
    Cell(
        name="Wan2022",
        description=(
            "NeuRRAM 130 nm; quartic fit in G/40 µS of the deviation 1 s after programming, "
            "relaxation to 2 days; no published read noise"
        ),
        conductance_min=1e-6,  # S, Methods: lowest target of the chip's weight mapping
        conductance_max=40e-6,  # S, Methods: highest target for convolutional networks
        # µS against x = G/40 µS. The reference stays 40 µS for any window: evaluating the fit
        # at G over another full scale multiplies the noise (by 1.6 for 25 µS).
        write_noise=PolynomialNoise(coefficients=_AFTER_A_SECOND, scale=1e-6, reference=_REFERENCE),
        relaxation=_relaxation(),
        citations=("Wan2022",),
    ),
    Cell(
        name="Wan2022-cubic",
        description=(
            "NeuRRAM 130 nm; cubic fit in µS of the programming deviation, valid to 39.26 µS; "
            "no published read noise"
        ),
        conductance_min=1e-6,  # S, as above
        conductance_max=39.26e-6,  # S, end of the fit
        write_noise=PolynomialNoise(
            coefficients=(1.053, 0.2374, -1.167e-2, 1.536e-4), scale=1e-6, reference=1e-6
        ),
        citations=("Wan2022",),
    ),
)
