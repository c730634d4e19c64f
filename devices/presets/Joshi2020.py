"""Phase-change memory, Ge2Sb2Te5 mushroom cells in 90 nm: deviation after write-verify and drift.

    V. Joshi et al., "Accurate deep neural network inference using computational phase-change
    memory", Nat. Commun. 11, 2473 (2020), doi:10.1038/s41467-020-16108-9.

The deviation is a quadratic fit by CrossSim (BSD-3) to Fig. 3b, 27.36 s after programming. The
drift, G(t) = G (t / 20 s)^−ν, is that of Supplementary Note 2, as CrossSim has it; with G in µS

    mean of ν = max(0.08 − 0.0045 G, min(0.06, max(0.0825 − 0.00169 G, 0.055)))
    standard deviation of ν = 1 / (30.032 + 8 G)

The platform is that of "Nandakumar2019", which is fitted to more. The two deviations agree within
9 % (0.286 against 0.263 µS at 0 µS, 0.955 against 0.953 at 12.5 µS, 1.066 against 1.055 at 25 µS);
their exponents do not (0.055 ± 0.004 against 0.049 ± 0.008 at 25 µS). The source also finds 1/f
noise, but its amplitude is not part of what is reproduced here.
"""

from ..drift import PowerLawDrift
from ..noise import PolynomialNoise
from ..rram import Cell
from ..state_dependence import StateTable

# µS: where the pieces of the mean meet, and knots for the standard deviation (0.2 % error)
_CORNERS = (0.0, 0.02 / 0.0045, 0.0225 / 0.00169, 0.0275 / 0.00169)
_KNOTS = tuple(25.0 * (k / 32) ** 2 for k in range(33))

CELLS = (
    Cell(
        name="Joshi2020",
        description="PCM 90 nm; deviation at 27 s, power-law drift; no read noise; for comparison",
        conductance_min=0.25e-6,  # S, on/off ratio of 100
        conductance_max=25e-6,  # S
        # µS against µS
        write_noise=PolynomialNoise(
            coefficients=(0.28638599, 0.07585724, -0.00178767), scale=1e-6, reference=1e-6
        ),
        drift=PowerLawDrift(
            exponent_mean=StateTable(
                conductance=tuple(g * 1e-6 for g in _CORNERS), values=(0.08, 0.06, 0.06, 0.055)
            ),
            exponent_std=StateTable(
                conductance=tuple(g * 1e-6 for g in _KNOTS),
                values=tuple(1 / (30.032 + 8 * g) for g in _KNOTS),
            ),
            onset_s=20.0,
        ),
        citations=("Joshi2020",),
    ),
)
