"""Two anonymous technologies of multi-level RRAM arrays, fitted to their published measurements.

    A. Levy et al., relaxation, bake and time-trace data of two RRAM technologies, MIT licence,
    github.com/akashlevy/RRAM-Relaxation-Master-Model, commit ca0cfff6 (2024-06-08).

"Levy2024-B": 15 535 cells, 32 levels up to 128 µS, read from 10 ms to 1000 s after programming.

- Relaxation and white read noise: maximum composite likelihood by state
  (:func:`zerohm.devices.calibrate.relaxation`), with the 1/f noise below taken as known and the
  onset from the variances. Pooled over all states and delays, the standard deviation of cells that
  were not fitted is met within 13 %; their 1 % and 99 % quantiles within 20 % from 1 s on, and
  13 % to 30 % too narrow at 10 ms and 0.1 s. Single states can be twice as far off.
- From 16 to 80 µS, 20 to 60 % of the variance is reversible: cells fall back, which the law does
  not know. From 96 µS up nearly everything that moves is 1/f noise.
- The reads at 10⁴ s are left out, since most cells had been programmed again before them.
- 1/f noise: the part of the read noise that neighbouring increments share, in states whose bulk
  hardly relaxes (1 to 16 and 96 to 128 µS). Its absolute density is the same in all of them,
  A = 0.0195 µS² (0.015 to 0.025) for S_G = A/f.
- Write noise: the spread of the first reads in their levels of 4 µS. 2.7 % of all cells were left
  above the window; they are not in the model.

"Levy2024-A": five cells up to 253 µS, one in each of five states, 250 s at 400 Hz. Five cells say
little about the spread from cell to cell, which the preset leaves at zero.

- 1/f noise: a = S_G f / G² at 9.5, 85, 134, 185 and 253 µS; the exponents were 0.8 to 1.3.
- Telegraph noise: median jumps of 16, 3, 1.5 and 1 % at the same conductances and none at the
  last; median dwell times of 8.6, 0.04, 0.29 and 0.1 s, here one log-normal distribution.
- White read noise: 0.20 to 0.30 µS, mostly the instrument.
- There are no reads after programming at room temperature, and the first reads of the bakes show
  no levels: the preset has neither relaxation nor write noise.

Both hold at room temperature. Bakes of 1.2 to 2 h do not fit an acceleration of the relaxation by
one activation energy: from 100 to 260 °C the variance of B grows 1.2- to 2.6-fold, but above
80 µS it is 12 to 27 times that at room temperature already at 100 °C. Above 200 °C the
conductance of A collapses (−20 µS on average at 220 °C and −72 µS at 260 °C from 120 to 150 µS),
which no relaxation in log time describes.

All numbers are printed by ``benchmarks/fit_levy2024.py``.
"""

from ..flicker import FlickerNoise
from ..noise import ConstantNoise, PolynomialNoise
from ..relaxation import Relaxation
from ..rram import Cell
from ..state_dependence import StateTable
from ..telegraph import TelegraphNoise

# S, mean first read of the 14 states of the fit
_STATES = (
    5.181e-06, 1.22e-05, 2.003e-05, 2.792e-05, 3.619e-05, 4.406e-05, 5.188e-05,
    6.001e-05, 6.799e-05, 7.608e-05, 8.393e-05, 9.213e-05, 1.041e-04, 1.196e-04,
)  # fmt: skip


def _by_state(*values: float) -> StateTable:
    return StateTable(conductance=_STATES, values=values)


RELAXATION_B = Relaxation(
    # S² per decade; relative standard errors 6 to 24 %
    variance_per_decade=_by_state(
        5.14e-13, 1.75e-12, 7.87e-12, 1.46e-11, 2.65e-11, 2.62e-11, 4.09e-11,
        3.02e-11, 1.33e-11, 6.76e-12, 7.29e-13, 2.13e-13, 7.5e-14, 3.4e-14,
    ),
    # S per decade
    mean_per_decade=_by_state(
        7.51e-08, 7.24e-08, -1.21e-07, -4.69e-07, -6.69e-07, -5.85e-07, -7.71e-07,
        -4.75e-07, -1.96e-07, -1.73e-07, -2.96e-08, -7.2e-09, -1.19e-09, 5.14e-09,
    ),
    asymmetry=_by_state(
        0.926, 0.446, -0.258, -0.492, -0.563, -0.557, -0.722,
        -0.761, -0.708, -0.655, -0.349, -0.153, -0.46, 0.0943,
    ),
    # decades
    tail_decades=_by_state(
        80.8, 102.0, 43.1, 20.1, 23.1, 24.7, 36.8,
        79.3, 150.0, 106.0, 127.0, 82.7, 117.0, 160.0,
    ),
    onset_s=1.6e-3,  # 1.3 to 2.0 ms
)  # fmt: skip

FLICKER_B = FlickerNoise(
    # 0.0195 µS² / G²
    amplitude=StateTable(
        conductance=(1e-6, 2e-6, 4e-6, 8e-6, 16e-6, 32e-6, 64e-6, 128e-6),
        values=(0.0195, 0.00487, 0.00122, 3.05e-4, 7.62e-5, 1.9e-5, 4.76e-6, 1.19e-6),
        interpolation="logarithmic",
    ),
    frequency_min=1e-6,  # Hz, chosen here: a day and more
    frequency_max=30.0,  # Hz, chosen here: above it, noise is white from one read to the next
)

FLICKER_A = FlickerNoise(
    amplitude=StateTable(
        conductance=(9.5e-6, 85e-6, 134e-6, 185e-6, 253e-6),
        values=(1.5e-4, 6.5e-5, 3.2e-6, 3.4e-6, 1.7e-7),
        interpolation="logarithmic",
    ),
    frequency_min=1e-6,  # Hz, chosen here: measured from 0.1 Hz
    frequency_max=200.0,  # Hz, half of the sampling rate
)

TELEGRAPH_A = TelegraphNoise(
    amplitude=StateTable(
        conductance=(9.5e-6, 85e-6, 134e-6, 185e-6, 253e-6),
        values=(0.16, 0.03, 0.015, 0.01, 0.0),
    ),
    capture_time_s=0.32,  # geometric mean of the four median dwell times
    emission_time_s=0.32,
    dwell_time_spread=2.3,  # standard deviation of their logarithms
)

CELLS = (
    Cell(
        name="Levy2024-A",
        description="anonymous technology A; 1/f, telegraph and read noise of five cells",
        conductance_min=7.5e-6,  # S, lowest of 32 levels of 7.5 µS
        conductance_max=240e-6,  # S
        read_noise=ConstantNoise(sigma=0.25e-6),  # S
        flicker_noise=FLICKER_A,
        telegraph_noise=TELEGRAPH_A,
        citations=("Levy2024",),
    ),
    Cell(
        name="Levy2024-B",
        description="anonymous technology B; relaxation from 10 ms to 1000 s at room temperature",
        conductance_min=1e-6,  # S, lowest of the fit
        conductance_max=128e-6,  # S
        # µS against µS: 1.12 µS at the lower end and 0.92 at the upper
        write_noise=PolynomialNoise(coefficients=(1.12, -0.0016), scale=1e-6, reference=1e-6),
        read_noise=ConstantNoise(sigma=0.25e-6),  # S, of the states from 88 µS up
        relaxation=RELAXATION_B,
        flicker_noise=FLICKER_B,
        citations=("Levy2024",),
    ),
)
