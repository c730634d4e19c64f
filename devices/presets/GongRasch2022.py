"""Two arrays of ReRAM cells under identical pulses: optimized material and baseline HfO2.

    N. Gong, M. J. Rasch et al., "Deep learning acceleration in 14nm CMOS compatible ReRAM array:
    device, material and algorithm co-optimization", IEDM 2022, doi:10.1109/IEDM45625.2022.10019569.

The numbers are the fits to this source that come with the IBM Analog Hardware Acceleration Kit
(presets ReRamArrayOM and ReRamArrayHfO2, version 1.1.0), in a weight w from -1 to 1; here they
are divided by 2, to fractions of the window (see :mod:`zerohm.devices.pulses.steps`). The fits'
normal variation of the bounds is log-normal here, with the same relative standard deviation; that
of the steps is log-normal in the source.

Not in the presets: 13.48 % (optimized material) and 9.77 % (baseline) of the measured devices are
corrupt, stuck within 1 % of w = 0, the middle of the window.

Assumed by this project, since the weights have no unit and the fits no write-verify: the window
in S, which is that of a later array of the same laboratory (Falcone2025), and pulses of the default
cost. On it a quarter of the devices has its lower bound at zero conductance.

Write noise and pulses per write are what write-verify leaves with these steps
(:func:`zerohm.devices.pulses.write_verify`, identical pulses, noiseless reads, a band of ±2 % of
the window, at most 1000 pulses, 20 000 devices rewritten from one uniformly random target to
another): σ = 1.151 ± 0.004 % and 37.5 ± 1.0 pulses for the optimized material, 1.150 ± 0.004 % and
38.8 ± 0.9 pulses for the baseline. Half of the cells need no more than 10 and 12 pulses. Left out
are the 1.7 and 1.1 % of devices that did not converge.
"""

from ..noise import ConstantNoise
from ..pulses.steps import SoftBounds
from ..rram import Cell, ProgrammingCost

_RANGE = 2.0  # of w

OPTIMIZED_MATERIAL = SoftBounds(
    step_up=0.0949 / _RANGE,
    step_down=0.0949 / _RANGE,
    cycle_to_cycle_additive=0.4158,
    step_spread=0.7829,
    asymmetry_spread=0.01,
    lower_bound_spread=0.5695,
    upper_bound_spread=0.3499,
    write_noise=1.4113 * 0.0949 / _RANGE,
)

BASELINE_HFO2 = SoftBounds(
    step_up=0.4622 / _RANGE,
    step_down=0.4622 / _RANGE,
    cycle_to_cycle_additive=0.2174,
    step_spread=0.7125,
    asymmetry_spread=0.01,
    lower_bound_spread=0.5990,
    upper_bound_spread=0.4295,
    write_noise=0.5841 * 0.4622 / _RANGE,
)


def _cell(
    name: str, description: str, law: SoftBounds, sigma: float, pulses_per_write: float
) -> Cell:
    """One array; ``sigma`` a fraction of the window."""
    low, high = 9e-6, 88.2e-6  # S, assumed
    return Cell(
        name=name,
        description=description,
        conductance_min=low,
        conductance_max=high,
        write_noise=ConstantNoise(sigma=sigma * (high - low)),
        programming=ProgrammingCost(pulses_per_write=pulses_per_write),
        pulses=law,
        citations=("GongRasch2022",),
    )


CELLS = (
    _cell(
        "GongRasch2022",
        "ReRAM array, optimized material; soft bounds; window assumed",
        OPTIMIZED_MATERIAL,
        0.01151,
        37.5,
    ),
    _cell(
        "GongRasch2022-HfO2",
        "ReRAM array, baseline HfO2; soft bounds; window assumed",
        BASELINE_HFO2,
        0.01150,
        38.8,
    ),
)
