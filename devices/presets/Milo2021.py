"""HfO2 1T1R cells after incremental-step program–verify.

    V. Milo et al., "Accurate program/verify schemes of resistive switching memory (RRAM) for
    in-memory neural network circuits", IEEE Trans. Electron Devices 68, 3832-3837 (2021),
    doi:10.1109/TED.2021.3089995;
    V. Milo et al., "Optimized programming algorithms for multilevel RRAM in hardware neural
    networks", IRPS 2021, whose Fig. 4 the fit of the CrossSim simulator is attributed to.

The linear fit is valid from 50 to 225 µS; the source gives no read noise.
"""

from ..noise import PolynomialNoise
from ..rram import Cell

CELLS = (
    Cell(
        name="Milo2021",
        description="HfO2 array; linear fit of the programming deviation; no read noise",
        conductance_min=50e-6,  # S
        conductance_max=225e-6,  # S
        # µS against µS: σ = 4.7823 − 0.009107·G, 4.33 µS at the lower and 2.73 at the upper end
        write_noise=PolynomialNoise(coefficients=(4.7823, -0.009107), scale=1e-6, reference=1e-6),
        citations=("Milo2021", "Milo2021IRPS"),
    ),
)
