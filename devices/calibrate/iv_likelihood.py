"""Likelihood of current–voltage curves: shapes of the nonlinearity, each with its fit.

For given shape and noise, the likelihood of every cell is maximised over its conductance by Fisher
scoring. What is left is a likelihood of the shared parameters; less ½ ln(information on G_j) for
each cell, it is the restricted likelihood, whose variances are not too small by the number of cells
(Patterson & Thompson, Biometrika 58, 545 (1971)).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from zerohm._arrays import Array
from zerohm._errors import checked

from ..iv import IVLaw, OddPolynomial, Sinh
from .estimate import INTERVAL, Estimates, Parameter, maximise

SCORINGS, SETTLED = 50, 1e-6
"""Fisher scoring of the conductances ends with changes below this part of a standard error."""
ROUNDING = 1e-9
"""Relative error that even exact data are taken to have, so that their likelihood is bounded."""
LISTED = 64
"""Up to this many cells, their conductances are among the parameters."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One h(V), with what the search over its parameters needs."""

    name: str
    parameters: Callable[[float], tuple[Parameter, ...]]
    """For the largest voltage of the data."""
    current: Callable[[Array, Array], Array]
    """h at parameters and voltages, V."""
    law: Callable[[Array, float, float], IVLaw | None]
    """For parameters, the factor s, and the largest voltage."""


def _odd(coefficients: Array, voltage: Array) -> Array:
    square = np.square(voltage)
    return np.asarray(voltage * np.polyval([*coefficients[::-1], 1.0], square))


def _coefficient(order: int) -> Callable[[float], Parameter]:
    unit = f"1/V^{order - 1}"
    return lambda top: Parameter(name=f"c{order}", unit=unit, start=0.0, size=top ** -(order - 1.0))


def _polynomial_law(values: Array, factor: float, top: float) -> IVLaw:
    return OddPolynomial(coefficients=tuple(map(float, values)), max_voltage=top)


SHAPES = (
    Shape(
        name="ohmic",
        parameters=lambda top: (),
        current=lambda values, voltage: voltage,
        law=lambda values, factor, top: None,
    ),
    Shape(
        name="sinh",
        parameters=lambda top: (
            Parameter(name="b", unit="1/V", start=1.0 / top, scale="logarithmic"),
        ),
        current=lambda values, voltage: np.sinh(values[0] * voltage) / values[0],
        law=lambda values, factor, top: Sinh(
            a=factor / float(values[0]), b=float(values[0]), max_voltage=top
        ),
    ),
    Shape(
        name="odd polynomial 3",
        parameters=lambda top: (_coefficient(3)(top),),
        current=_odd,
        law=_polynomial_law,
    ),
    Shape(
        name="odd polynomial 5",
        parameters=lambda top: (_coefficient(3)(top), _coefficient(5)(top)),
        current=_odd,
        law=_polynomial_law,
    ),
)


@dataclass(frozen=True, kw_only=True)
class Curves:
    """Measured points as plain arrays; ``weight`` is the nominal conductance, or 1.

    With nominal conductances all points are of one "cell", whose conductance is the factor s.
    """

    voltage: Array
    current: Array
    weight: Array
    cell: NDArray[np.intp]
    labels: tuple[str, ...]
    nominal: bool

    def sums(self, values: Array) -> Array:
        """(cells,), sums over the points of each cell."""
        return np.asarray(np.bincount(self.cell, values, len(self.labels)), dtype=np.float64)

    @property
    def top(self) -> float:
        """Largest voltage, V."""
        return float(np.abs(self.voltage).max())


@dataclass(frozen=True, kw_only=True)
class Fit:
    """One shape, fitted: shared parameters first, then the conductances."""

    shape: Shape
    estimates: Estimates
    law: IVLaw | None
    conductance: Array
    expected: Array
    sigma: Array
    information_criterion: float


def fit_shape(curves: Curves, shape: Shape) -> Fit:
    """One shape fitted to all curves."""
    given = shape.parameters(curves.top)
    start = _start(curves, shape, given)
    likelihood = Likelihood(curves, shape, start)
    found = maximise(likelihood.restricted, start, points=len(curves.voltage))
    likelihood.settle(found.values)
    factor = float(likelihood.conductance[0]) if curves.nominal else 1.0
    law = checked(lambda: shape.law(found.values[: len(given)], factor, curves.top), "the law")
    total = float(likelihood.contributions.sum())
    free = len(start) + len(curves.labels)
    return Fit(
        shape=shape,
        estimates=_with_conductances(likelihood, found),
        law=law,
        conductance=likelihood.conductance,
        expected=likelihood.expected,
        sigma=np.sqrt(likelihood.variance),
        information_criterion=float(free * np.log(len(curves.voltage)) - 2.0 * total),
    )


def _start(curves: Curves, shape: Shape, given: tuple[Parameter, ...]) -> tuple[Parameter, ...]:
    """Where the search begins: least squares over a few strengths of the nonlinearity."""

    def misfit(values: Array) -> float:
        design = shape.current(values, curves.voltage) * curves.weight
        conductance = curves.sums(design * curves.current) / curves.sums(design**2)
        return float(np.mean((curves.current - conductance[curves.cell] * design) ** 2))

    if shape.name == "sinh":
        strengths = np.array([0.3, 1.0, 2.0, 4.0, 8.0]) / curves.top
        best = min(strengths, key=lambda b: misfit(np.array([b])))
        given = (replace(given[0], start=float(best)),)
    rms = float(np.sqrt(np.mean(curves.current**2)))
    noise = max(np.sqrt(misfit(np.array([p.start for p in given]))), 1e-9 * rms)
    return (
        *given,
        Parameter(
            name="relative_noise", unit="1", start=float(0.5 * noise / rms), scale="logarithmic"
        ),
        Parameter(name="additive_noise", unit="A", start=0.5 * float(noise), scale="logarithmic"),
    )


class Likelihood:
    """The likelihood over the shared parameters, with the best conductances at each of them."""

    def __init__(self, curves: Curves, shape: Shape, start: tuple[Parameter, ...]) -> None:
        self.curves, self.shape, self.size = curves, shape, len(start)
        design = self._design(np.array([parameter.start for parameter in start]))
        self.conductance = curves.sums(design * curves.current) / curves.sums(design**2)

    def _design(self, values: Array) -> Array:
        shape = self.shape.current(values[: self.size_of_shape], self.curves.voltage)
        return np.asarray(shape * self.curves.weight)

    @property
    def size_of_shape(self) -> int:
        return self.size - 2  # the last two are the noise

    def settle(self, values: Array) -> None:
        """Bring the conductances to their maximum at these shared parameters."""
        curves, relative, additive = self.curves, np.hypot(values[-2], ROUNDING), values[-1]
        design = self._design(values)
        square = design**2
        for _ in range(SCORINGS):
            self.expected = self.conductance[curves.cell] * design
            self.variance = additive**2 + (relative * self.expected) ** 2
            residual = curves.current - self.expected
            common = relative**2 * self.expected / self.variance
            score = residual / self.variance + common * (residual**2 / self.variance - 1.0)
            self.information = curves.sums(square * (1.0 / self.variance + 2.0 * common**2))
            change = curves.sums(design * score) / self.information
            if (change**2 * self.information).max() < SETTLED**2:
                return
            self.conductance = self.conductance + change

    @property
    def contributions(self) -> Array:
        """Log-likelihood of every point at the conductances that were settled."""
        residual = self.curves.current - self.expected
        return np.asarray(
            -0.5 * (np.log(2.0 * np.pi * self.variance) + residual**2 / self.variance)
        )

    def restricted(self, values: Array) -> float:
        """Restricted log-likelihood of the shared parameters."""
        before = self.conductance
        self.settle(values)
        found = float(self.contributions.sum() - 0.5 * np.log(self.information).sum())
        if not np.isfinite(found):
            self.conductance = before
        return found


def _with_conductances(likelihood: Likelihood, shared: Estimates) -> Estimates:
    """The shared parameters and, of up to 64 cells, the conductances.

    Var(G) is 1 / information plus what the errors of the shared parameters add.
    """
    labels = likelihood.curves.labels
    if len(labels) > LISTED:
        return shared
    known = np.nan_to_num(shared.covariance)
    steps = 0.01 * np.sqrt(np.diag(known))
    sensitivity = np.zeros((len(labels), len(shared.names)))
    for at in np.flatnonzero(steps):
        sides = []
        for sign in (1.0, -1.0):
            values = shared.values.copy()
            values[at] += sign * steps[at]
            likelihood.settle(values)
            sides.append(likelihood.conductance)
        sensitivity[:, at] = (sides[0] - sides[1]) / (2.0 * steps[at])
    likelihood.settle(shared.values)
    of_cells = np.diag(1.0 / likelihood.information) + sensitivity @ known @ sensitivity.T
    mixed = sensitivity @ known
    mixed[:, np.isnan(np.diag(shared.covariance))] = np.nan
    reach = INTERVAL * np.sqrt(np.diag(of_cells))
    unit = "1" if likelihood.curves.nominal else "S"
    return replace(
        shared,
        names=shared.names + labels,
        units=shared.units + (unit,) * len(labels),
        values=np.concatenate([shared.values, likelihood.conductance]),
        lower=np.concatenate([shared.lower, likelihood.conductance - reach]),
        upper=np.concatenate([shared.upper, likelihood.conductance + reach]),
        covariance=np.block([[shared.covariance, mixed.T], [mixed, of_cells]]),
    )
