"""HfO2 cells under identical pulses, up and down.

    N. Gong et al., "Signal and noise extraction from analog memory elements for neuromorphic
    computing", Nat. Commun. 9, 2102 (2018), doi:10.1038/s41467-018-04485-1.

The numbers are the fits to this source's pulse responses that come with the IBM Analog Hardware
Acceleration Kit (presets ReRamES and ReRamSB, version 1.1.0). They are in a weight w whose full
range is 2; here they are divided by 2, to fractions of the window (see
:mod:`zerohm.devices.pulses.steps`). "Gong2018" is the fit with an exponential step, "Gong2018-soft"
a looser one with soft bounds around a symmetry point that has been moved to w = 0. The fits' own
normal variation among devices is log-normal here, with the same relative standard deviation.

Assumed by this project, since the weights have no unit and the fits no write-verify: the window
in S, which is that of a later array of the same laboratory (Falcone2025), and pulses of the default
cost. On it a fifth of the devices has its lower bound at zero conductance.

Write noise and pulses per write are what write-verify leaves with these steps
(:func:`zerohm.devices.pulses.write_verify`, identical pulses, noiseless reads, a band of ±2 % of
the window, at most 1000 pulses, 20 000 devices rewritten from one uniformly random target to
another): σ = 1.196 ± 0.004 % and 270 ± 2 pulses for the exponential step, 1.181 ± 0.004 % and
248 ± 2 pulses for soft bounds. Left out are the 3.4 and 3.9 % of devices that did not converge.
"""

from ..noise import ConstantNoise
from ..pulses.steps import ExponentialStep, SoftBounds
from ..rram import Cell, ProgrammingCost

_RANGE = 2.0  # of w, in both fits

EXPONENTIAL = ExponentialStep(
    step_up=0.00135 / _RANGE,
    step_down=0.00135 * (1 - 0.259359) / _RANGE,
    reference=0.5,  # w from -1 to 1
    amplitude_up=-1.18445,
    amplitude_down=-0.081404,
    rate_up=5.0,
    rate_down=5.0,
    slope=-0.5,
    offset=-0.5,
    cycle_to_cycle=5.0,
    step_spread=0.2,
    asymmetry_spread=0.05,
    lower_bound_spread=0.3,
    upper_bound_spread=0.3,
    write_noise=75 * 0.00135 / _RANGE,
)

SOFT_BOUNDS = SoftBounds(
    step_up=0.002 / _RANGE,
    step_down=0.002 / _RANGE,
    reference=0.75 / _RANGE,  # w from -0.75 to 1.25
    cycle_to_cycle_additive=3.75,
    step_spread=0.3,
    asymmetry_spread=0.01,
    lower_bound_spread=0.3 / 0.75,
    upper_bound_spread=0.3 / 1.25,
    write_noise=56 * 0.002 / _RANGE,
)


def _cell(
    name: str,
    description: str,
    law: ExponentialStep | SoftBounds,
    sigma: float,
    pulses_per_write: float,
) -> Cell:
    """One fit; ``sigma`` a fraction of the window."""
    low, high = 9e-6, 88.2e-6  # S, assumed
    return Cell(
        name=name,
        description=description,
        conductance_min=low,
        conductance_max=high,
        write_noise=ConstantNoise(sigma=sigma * (high - low)),
        programming=ProgrammingCost(pulses_per_write=pulses_per_write),
        pulses=law,
        citations=("Gong2018",),
    )


CELLS = (
    _cell("Gong2018", "HfO2; exponential step; window assumed", EXPONENTIAL, 0.01196, 270.0),
    _cell(
        "Gong2018-soft",
        "HfO2; soft bounds, a loose fit; window assumed",
        SOFT_BOUNDS,
        0.01181,
        248.0,
    ),
)
