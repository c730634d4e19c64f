"""Two anonymous technologies of multi-level RRAM arrays, fitted to their published measurements.

    A. Levy et al., relaxation, bake and time-trace data of two RRAM technologies, MIT licence,
    github.com/akashlevy/RRAM-Relaxation-Master-Model, commit ca0cfff6 (2024-06-08).

"Levy2024-B": 15 535 cells, 32 levels up to 128 µS, read from 10 ms to 1000 s after programming.

- Relaxation and white read noise: maximum composite likelihood by state
  (:func:`zerohm.devices.calibrate.relaxation`), with the 1/f noise below taken as known and the
  onset from the variances. Its logarithm is larger by 1730 (71 251 reads) than with the inverse
  Gaussian clock, which would also leave no read noise from 16 to 64 µS. Pooled over all states,
  the standard deviation of cells that were not fitted is met within 9 % and their 1 % and 99 %
  quantiles within 17 % at every delay, but for the last 99 % quantile (21 ± 8 %). Single states
  are farther off, most at the lower end: below 16 µS, and the 1 % quantile from 16 to 48 µS, which
  is 10 to 45 % too far, since no cell can fall below 0 S.
- From 16 to 80 µS, 20 to 60 % of the variance is reversible: cells fall back, which the law does
  not know. From 96 µS up nearly everything that moves is 1/f noise.
- The reads at 10⁴ s are left out, since most cells had been programmed again before them.
- 1/f noise: the part of the read noise that neighbouring increments share, in states whose bulk
  hardly relaxes (1 to 16 and 96 to 128 µS). Its absolute density is the same in all of them,
  A = 0.0195 µS² (0.015 to 0.025) for S_G = A/f.
- Write noise: the spread of the first reads in their levels of 4 µS. 2.7 % of all cells were left
  above the window; they are not in the model.

"Levy2024-A": five cells, one each at 9.5, 85, 134, 185 and 253 µS, 250 s at 400 Hz, taken apart by
:func:`zerohm.devices.calibrate.read_noise`. They say nothing about the spread of the 1/f noise from
cell to cell, which the preset leaves at zero.

- 1/f noise: a at 1 Hz of each cell. The exponents were 1.10 to 1.20, and 1.66 at 85 µS.
- Telegraph noise: one trap at 9.5 µS, none at 253 µS, two in each cell between them. Dwell times
  are geometric means of all seven traps; the jumps give the variance of the traps of each state.
- White read noise: 0.17 to 0.27 µS, mostly the instrument.
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
        3.87e-13, 1.3e-12, 6.39e-12, 1.2e-11, 2.06e-11, 1.95e-11, 2.44e-11,
        1.47e-11, 6.19e-12, 3.96e-12, 5.51e-13, 1.87e-13, 6.53e-14, 3.15e-14,
    ),
    # S per decade
    mean_per_decade=_by_state(
        7.5e-08, 7.18e-08, -1.2e-07, -4.68e-07, -6.64e-07, -5.81e-07, -7.68e-07,
        -4.68e-07, -1.9e-07, -1.73e-07, -2.96e-08, -7.18e-09, -1.2e-09, 5.12e-09,
    ),
    asymmetry=_by_state(
        0.865, 0.297, -0.165, -0.361, -0.398, -0.367, -0.479,
        -0.484, -0.43, -0.431, -0.24, -0.126, -0.41, 0.0747,
    ),
    # decades
    tail_decades=_by_state(
        70.9, 31.7, 12.2, 7.73, 8.14, 8.11, 9.76,
        16.5, 28.0, 27.3, 45.2, 45.4, 93.4, 109.0,
    ),
    clock="gamma",
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

_CELLS_A = (9.5e-6, 85e-6, 134e-6, 185e-6, 253e-6)  # S

FLICKER_A = FlickerNoise(
    amplitude=StateTable(
        conductance=_CELLS_A,
        values=(1.39e-4, 3.42e-5, 1.33e-6, 6.24e-7, 1.81e-7),
        interpolation="logarithmic",
    ),
    exponent=1.15,
    frequency_min=1e-4,  # Hz, chosen here: the traces reach down to 4 mHz
    frequency_max=200.0,  # Hz, half of the sampling rate
)

TELEGRAPH_A = TelegraphNoise(
    amplitude=StateTable(conductance=_CELLS_A, values=(0.0505, 0.0406, 0.00873, 0.0112, 0.0112)),
    capture_time_s=0.24,
    emission_time_s=0.44,
    sites=2,
    trap_probability=StateTable(conductance=_CELLS_A, values=(0.5, 1.0, 1.0, 1.0, 0.0)),
    amplitude_spread=0.44,  # of three pairs of traps
    dwell_time_spread=1.6,
)

CELLS = (
    Cell(
        name="Levy2024-A",
        description="anonymous technology A; 1/f, telegraph and read noise of five cells",
        conductance_min=7.5e-6,  # S, lowest of 32 levels of 7.5 µS
        conductance_max=240e-6,  # S
        read_noise=ConstantNoise(sigma=0.24e-6),  # S, median
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
