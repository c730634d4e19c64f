"""Likelihood of transmission scans of one phase shifter, and where its search begins."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from zerohm._arrays import Array

from ..photonic.phase_shifter import TURN
from .estimate import Estimates, Parameter, maximise

FEWEST = 8
"""Points that a scan of a shifter's own heater needs."""
POINTS_PER_PERIOD = 4.0
"""Of a scan; with fewer, a longer or shorter period is not excluded."""
LEVELS = 500
"""Powers closer than the span over this number count as the same step of a scan."""
FALSE_ALARM = 1e-4
"""Probability with which noise alone passes for a modulation."""
START_STEP = 0.2
"""rad, of the phase, in the search for where a crosstalk coefficient begins."""
BLOCK = 1 << 18
"""Products of frequencies and points that the periodogram holds at once."""


@dataclass(frozen=True, kw_only=True)
class Scan:
    """All rows in which one shifter was watched."""

    number: int
    own: Array
    """(rows,), W of its own heater."""
    others: Array
    """(rows, heaters), W of each of the other heaters."""
    heaters: tuple[int, ...]
    output: Array
    """(rows,), W at the monitor."""
    sign: float
    """+1 at the cross port, −1 at the bar port."""

    @property
    def alone(self) -> NDArray[np.bool_]:
        """Rows in which no other heater was on."""
        return np.asarray(~np.any(self.others, axis=1))

    def expected(self, values: Array) -> Array:
        """Output power in W for mean, visibility, P_π, offset and the coefficients."""
        mean, visibility, half_wave, offset = values[:4]
        warmth = self.own + self.others @ values[4 : 4 + len(self.heaters)]
        phase = offset + np.pi / half_wave * warmth
        return np.asarray(mean * (1.0 + self.sign * visibility * np.cos(phase)))

    def slopes(self, values: Array) -> Array:
        """(parameters of the mean, rows), change of the output; P_π and P̄ by their logarithms."""
        found = []
        for at in range(4 + len(self.heaters)):
            step = np.zeros(len(values))
            step[at] = 1e-5 * (values[at] if at in (0, 2) else 1.0)
            found.append(self.expected(values + step) - self.expected(values - step))
        return np.stack(found) / 2e-5


@dataclass(frozen=True, kw_only=True)
class Fit:
    """One shifter, fitted; ``expected`` and ``sigma`` (W) are of its rows."""

    scan: Scan
    estimates: Estimates
    expected: Array
    sigma: Array

    @property
    def scores(self) -> Array:
        """Standardised residuals."""
        return np.asarray((self.scan.output - self.expected) / self.sigma)


class Refusal(Exception):
    """Why a scan can't be fitted."""


def fit_shifter(scan: Scan) -> Fit:
    """One shifter by maximum likelihood; see the head of this module."""
    parameters = _start(scan)
    first = np.array([given.start for given in parameters])
    slopes, brightness = scan.slopes(first), scan.expected(first)

    def variance(values: Array, expected: Array) -> Array:
        return np.asarray(values[-1] ** 2 + (values[-2] * expected) ** 2)

    def restricted(values: Array) -> float:
        expected = scan.expected(values)
        each = variance(values, expected)
        misfit = np.log(TURN * each) + (scan.output - expected) ** 2 / each
        information = (slopes / variance(values, brightness)) @ slopes.T
        return -0.5 * float(misfit.sum() + np.linalg.slogdet(information)[1])

    found = maximise(restricted, parameters, points=len(scan.output))
    span, half_wave = float(np.ptp(scan.own[scan.alone])), found["half_wave_power"]
    if span < half_wave:
        raise Refusal(_too_short(span, half_wave))
    expected = scan.expected(found.values)
    return Fit(
        scan=scan,
        estimates=_wrapped(found),
        expected=expected,
        sigma=np.sqrt(variance(found.values, expected)),
    )


def _start(scan: Scan) -> list[Parameter]:
    """Where the search begins: a periodogram of the own scan, then one coefficient at a time."""
    rows = scan.alone
    power, output = scan.own[rows], scan.output[rows]
    span = float(np.ptp(power)) if len(power) else 0.0
    levels = len(np.unique(np.rint(LEVELS * power / span))) if span else len(power[:1])
    if levels < FEWEST:
        raise Refusal(
            f"{levels} different powers of its own heater with the others off, not {FEWEST}"
        )
    step = span / (levels - 1)
    frequencies = np.arange(0.2, max(0.5 * span / step, 1.0), 0.1) / span
    (level, cosine, sine), misfit = _harmonics(power, output, frequencies)
    best = int(np.argmin(misfit))
    gain = len(power) * np.log(np.sum(np.square(output - output.mean())) / misfit[best])
    if not gain > 2.0 * np.log(len(frequencies) / FALSE_ALARM):
        raise Refusal("its own heater does not modulate the output beyond the noise")
    half_wave = 0.5 / frequencies[best]
    if span < 0.9 * half_wave:
        raise Refusal(_too_short(span, half_wave))
    period = 2.0 * half_wave
    if period < POINTS_PER_PERIOD * step:
        raise Refusal(
            f"{period / step:.1f} points per period, so that another period may be the true one "
            f"(aliasing): scan in steps of at most {period / POINTS_PER_PERIOD:.2g} W"
        )
    mean, amplitude = level[best], math.hypot(cosine[best], sine[best])
    if mean <= 0:
        raise Refusal(f"its mean output power is {mean:.3g} W, and must be positive")
    offset = math.atan2(-scan.sign * sine[best], scan.sign * cosine[best]) % TURN
    noise = math.sqrt(misfit[best] / len(power)) + 1e-9 * mean
    values = np.zeros(4 + len(scan.heaters))
    values[:4] = mean, min(amplitude / mean, 0.99), half_wave, offset
    for at in range(len(scan.heaters)):
        values[4 + at] = _first_coefficient(scan, values, at)
    coefficients = [
        Parameter(name=f"crosstalk of heater {at}", unit="1", start=float(value), size=0.01)
        for at, value in zip(scan.heaters, values[4:], strict=True)
    ]
    return [
        Parameter(name="mean_power", unit="W", start=values[0], scale="logarithmic"),
        Parameter(name="visibility", unit="1", start=values[1], scale="bounded"),
        Parameter(name="half_wave_power", unit="W", start=values[2], scale="logarithmic"),
        Parameter(name="offset", unit="rad", start=values[3], size=1.0),
        *coefficients,
        Parameter(name="relative_noise", unit="1", start=0.7 * noise / mean, scale="logarithmic"),
        Parameter(name="additive_noise", unit="W", start=0.7 * noise, scale="logarithmic"),
    ]


def _harmonics(
    power: Array, output: Array, frequencies: Array
) -> tuple[tuple[Array, Array, Array], Array]:
    """Least squares of level + cosine + sine at every frequency (1/W), and what it leaves."""
    found, misfit = np.empty((len(frequencies), 3)), np.empty(len(frequencies))
    block = max(1, BLOCK // len(power))
    for at in range(0, len(frequencies), block):
        part = slice(at, at + block)
        angle = TURN * frequencies[part, None] * power
        basis = np.stack([np.ones_like(angle), np.cos(angle), np.sin(angle)], axis=2)
        found[part] = np.linalg.pinv(basis) @ output
        left = output - np.einsum("fpk,fk->fp", basis, found[part])
        misfit[part] = np.sum(np.square(left), axis=1)
    return (found[:, 0], found[:, 1], found[:, 2]), misfit


def _first_coefficient(scan: Scan, start: Array, at: int) -> float:
    """Crosstalk of one heater, to within a step of the phase; ``start`` of all parameters."""
    values = start.copy()
    rows = scan.others[:, at] > 0
    largest = scan.others[:, at].max(initial=0.0)
    if largest == 0:
        return 0.0
    step = START_STEP / np.pi * values[2] / largest
    candidates = np.arange(-math.ceil(0.3 / step), math.ceil(1.0 / step)) * step
    misfits = []
    for candidate in candidates:
        values[4 + at] = candidate
        misfits.append(np.sum(np.square(scan.output - scan.expected(values))[rows]))
    return float(candidates[int(np.argmin(misfits))])


def _too_short(span: float, half_wave: float) -> str:
    return (
        f"its scan spans {span:.3g} W, less than half a period (about {half_wave:.2g} W): period "
        "and visibility can't be told apart"
    )


def _wrapped(found: Estimates) -> Estimates:
    """The offset in [0, 2π)."""
    at = found.names.index("offset")
    turns = TURN * math.floor(found.values[at] / TURN) * (np.arange(len(found.names)) == at)
    return replace(
        found, values=found.values - turns, lower=found.lower - turns, upper=found.upper - turns
    )
