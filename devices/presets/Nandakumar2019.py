"""Phase-change memory, Ge2Sb2Te5 mushroom cells in 90 nm: deviation, drift and 1/f noise.

    S. R. Nandakumar et al., "Phase-change memory models for deep learning training and
    inference", ICECS 2019, doi:10.1109/ICECS46596.2019.8964852; the coefficients are those of
    the model PCMLike of the IBM Analog Hardware Acceleration Kit (MIT licence).

With x = G / 25 µS and t from programming:

    σ_write = 0.26348 + 1.965 x − 1.1731 x² µS, at the reference read after t_0 = 20 s
    G(t) = G (t / t_0)^−ν,  ν normal, mean −0.0155 ln x + 0.0244 held between 0.049 and 0.1,
        standard deviation −0.0125 ln x − 0.0059 held between 0.008 and 0.045
    σ_read(t) = G Q √ln((t + t_r) / 2 t_r),  Q = min(0.0088 / x^0.65, 0.2),  t_r = 250 ns

The last is 1/f noise: a relative density Q²/f from 1/(t + t_r) to 1/(2 t_r) has this variance, so
Q² is its density at 1 Hz. Here it is a process in time, whose reads correlate: in a window of
length t it deviates from its mean by 1.03 σ_read(t) at 1 s and 1.02 σ_read(t) at 1 h. A cell that
has just been verified begins at zero, and two reads t apart differ by 1.5 σ_read(t).
"""

from ..drift import PowerLawDrift, clipped_logarithm
from ..flicker import FlickerNoise
from ..noise import PolynomialNoise
from ..rram import Cell
from ..state_dependence import StateTable

_FULL_SCALE = 25e-6  # S
_KNOTS = tuple(1.1**-k for k in range(51, -1, -1))  # of x, from where Q is held on: 0.16 % error

CELLS = (
    Cell(
        name="Nandakumar2019",
        description="PCM 90 nm; deviation at 20 s, power-law drift, 1/f noise; for comparison",
        conductance_min=0.0,
        conductance_max=_FULL_SCALE,
        write_noise=PolynomialNoise(
            coefficients=(0.26348, 1.965, -1.1731), scale=1e-6, reference=_FULL_SCALE
        ),
        drift=PowerLawDrift(
            exponent_mean=clipped_logarithm(
                slope=-0.0155, offset=0.0244, low=0.049, high=0.1, reference=_FULL_SCALE
            ),
            exponent_std=clipped_logarithm(
                slope=-0.0125, offset=-0.0059, low=0.008, high=0.045, reference=_FULL_SCALE
            ),
            onset_s=20.0,
        ),
        flicker_noise=FlickerNoise(
            amplitude=StateTable(
                conductance=tuple(x * _FULL_SCALE for x in _KNOTS),
                values=tuple(min(0.0088 / x**0.65, 0.2) ** 2 for x in _KNOTS),
                interpolation="logarithmic",
            ),
            frequency_min=1e-8,  # Hz, three years
            frequency_max=2e6,  # Hz, 1/(2 t_r)
        ),
        citations=("Nandakumar2019",),
    ),
)
