"""NeuRRAM, TaOx/HfOx 1T1R cells in 130 nm, after iterative write–verify.

The deviation is what the cell shows after relaxation, as published in Extended Data Fig. 3 of

    W. Wan et al., "A compute-in-memory chip based on resistive random-access memory",
    Nature 608, 504-512 (2022), doi:10.1038/s41586-022-04992-8.

Two fits to that figure are in use and they disagree (0.35 against 1.05 µS at 0 µS), so each is a
preset of its own. The source gives no read noise: both presets read without noise until one is
set with :meth:`zerohm.devices.Cell.with_noise`.
"""

from ..noise import PolynomialNoise
from ..rram import Cell

CELLS = (
    Cell(
        name="Wan2022",
        description=(
            "NeuRRAM 130 nm; quartic fit in G/40 µS of the deviation 1 s after programming; "
            "no published read noise"
        ),
        conductance_min=1e-6,  # S, Methods: lowest target of the chip's weight mapping
        conductance_max=40e-6,  # S, Methods: highest target for convolutional networks
        # µS against x = G/40 µS. The reference stays 40 µS for any window: evaluating the fit
        # at G over another full scale multiplies the noise (by 1.6 for 25 µS).
        write_noise=PolynomialNoise(
            coefficients=(0.348, 16.030, -43.853, 45.393, -16.815), scale=1e-6, reference=40e-6
        ),
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
