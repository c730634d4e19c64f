"""Current of a cell as a function of its voltage: I–V laws with their validity ranges.

Every law is a function I(G, V) of the cell's conductance and voltage. ``current`` and ``slope``
refuse what lies outside the published range; ``evaluate`` is the bare formula for solvers, whose
iterates may leave the range on the way to a solution inside it, and for populations with a few
cells beyond it. A cell of conductance 0 is open under every law.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field
from pydantic.dataclasses import dataclass
from scipy.constants import zero_Celsius

from zerohm._arrays import Array
from zerohm._config import STRICT
from zerohm._errors import InputError

_ROUNDING = 1e-5  # relative: what a float32 value may lie outside of a range


class Law(Protocol):
    """What a circuit solver needs of an I–V law."""

    @property
    def max_voltage(self) -> float:
        """V, up to which the law is valid in both directions."""

    def check(self, conductance: Array, voltage: Array) -> None:
        """Raise :class:`zerohm.InputError` for what lies outside of the law's range."""

    def evaluate(self, conductance: Array, voltage: Array) -> tuple[Array, Array]:
        """Current (A) and its slope ∂I/∂V (S) by the formula, without a check."""

    def expression(self, conductance: float, voltage: str) -> str:
        """The current as a SPICE expression of the expression ``voltage``."""


class _Law(ABC):
    """The checks that all laws share."""

    max_voltage: float
    conductance_min = 0.0
    conductance_max = math.inf

    @abstractmethod
    def evaluate(self, conductance: Array, voltage: Array) -> tuple[Array, Array]:
        """See :class:`Law`."""

    def current(self, conductance: Array, voltage: Array) -> Array:
        """Current in A of cells of ``conductance`` (S) at ``voltage`` (V), broadcast together.

        Raises
        ------
        InputError : a conductance or a voltage outside of the law's range, or NaN.
        """
        self.check(conductance, voltage)
        return self.evaluate(conductance, voltage)[0]

    def slope(self, conductance: Array, voltage: Array) -> Array:
        """∂I/∂V in S; arguments and errors as for :meth:`current`."""
        self.check(conductance, voltage)
        return self.evaluate(conductance, voltage)[1]

    def check(self, conductance: Array, voltage: Array) -> None:
        """See :class:`Law`."""
        name = type(self).__name__
        if not np.all(np.abs(voltage) <= self.max_voltage * (1 + _ROUNDING)):
            raise InputError(
                f"voltages must be finite and within ±{self.max_voltage:g} V, where the I–V law "
                f"{name} is valid"
            )
        low = self.conductance_min * (1 - _ROUNDING)
        high = self.conductance_max * (1 + _ROUNDING)
        inside = (conductance >= low) & (conductance <= high)
        if not np.all(inside | np.equal(conductance, 0.0)):
            raise InputError(
                f"conductances must be 0 (open) or from {self.conductance_min:g} to "
                f"{self.conductance_max:g} S, where the I–V law {name} is valid"
            )


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Sinh(_Law):
    """I = a G sinh(b V): hopping and trap-assisted conduction.

    The conductance G is the slope at 0 V if a = 1/b. A fit in use is a = 0.3205 V and
    b = 2.717 V⁻¹, with a slope of 0.871 G at 0 V and the current G V at 0.340 V.

    Parameters
    ----------
    a : V.
    b : 1/V.
    max_voltage : V, up to which the law is valid.

    Examples
    --------
    >>> law = Sinh(a=0.5, b=2.0, max_voltage=1.0)
    >>> law.current(np.array([1e-4]), np.array([0.5])).round(8)
    array([5.876e-05])
    """

    a: Annotated[float, Field(gt=0)]
    b: Annotated[float, Field(gt=0)]
    max_voltage: Annotated[float, Field(gt=0)]
    kind: Literal["sinh"] = "sinh"

    def evaluate(self, conductance: Array, voltage: Array) -> tuple[Array, Array]:
        """See :class:`Law`."""
        scale, angle = self.a * conductance, self.b * voltage
        return np.asarray(scale * np.sinh(angle)), np.asarray(self.b * scale * np.cosh(angle))

    def expression(self, conductance: float, voltage: str) -> str:
        """See :class:`Law`."""
        return f"{self.a * conductance:.17g}*sinh({self.b:.17g}*{voltage})"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class StanfordPKU(_Law):
    """I = I₀ exp(−g/g₀) sinh(V/V₀) for a tunnelling gap g, held constant while a cell is read.

    With the slope at 0 V for the conductance, G = (I₀/V₀) exp(−g/g₀), this is
    I = G V₀ sinh(V/V₀): the gap and the conductance are two names of one state.

    Parameters
    ----------
    current_scale : I₀, A.
    gap_scale : g₀, m.
    voltage_scale : V₀, V.
    max_voltage : V, up to which reading leaves the gap alone.

    Sources: Chen & Yu, IEEE Trans. Electron Devices 62, 4022 (2015); Jiang et al., ibid. 63, 1884
    (2016).

    Examples
    --------
    >>> law = StanfordPKU(max_voltage=0.4)
    >>> law.conductance(0.5e-9).round(9), law.gap(law.conductance(0.5e-9)).round(12)
    (np.float64(0.000541341), np.float64(5e-10))
    """

    current_scale: Annotated[float, Field(gt=0)] = 1e-3
    gap_scale: Annotated[float, Field(gt=0)] = 0.25e-9
    voltage_scale: Annotated[float, Field(gt=0)] = 0.25
    max_voltage: Annotated[float, Field(gt=0)]
    kind: Literal["Stanford-PKU"] = "Stanford-PKU"

    def conductance(self, gap: ArrayLike) -> Array:
        """Slope at 0 V in S of cells with gaps in m."""
        decay = np.exp(-np.asarray(gap, dtype=np.float64) / self.gap_scale)
        return np.asarray(self.current_scale / self.voltage_scale * decay)[()]

    def gap(self, conductance: ArrayLike) -> Array:
        """Gap in m of cells whose slope at 0 V is ``conductance`` (S, positive)."""
        share = np.asarray(conductance) * self.voltage_scale / self.current_scale
        return np.asarray(-self.gap_scale * np.log(share))[()]

    def law(self) -> Sinh:
        """The same law of the conductance, without the gap."""
        return Sinh(a=self.voltage_scale, b=1.0 / self.voltage_scale, max_voltage=self.max_voltage)

    def evaluate(self, conductance: Array, voltage: Array) -> tuple[Array, Array]:
        """See :class:`Law`."""
        return self.law().evaluate(conductance, voltage)

    def expression(self, conductance: float, voltage: str) -> str:
        """See :class:`Law`."""
        return self.law().expression(conductance, voltage)


class _Polynomial(_Law):
    """I = Σₖ cₖ(G) Vᵏ, k ≥ 1, with coefficients that depend on the conductance."""

    def __post_init__(self) -> None:
        """Raise ValueError unless the current grows with the voltage in the whole range."""
        voltage = np.linspace(-self.max_voltage, self.max_voltage, 401)
        limited = self.conductance_min > 0.0  # other laws are proportional to the conductance
        low, high = (self.conductance_min, self.conductance_max) if limited else (1.0, 1.0)
        for conductance in np.geomspace(low, high, 41):
            slopes = self.evaluate(np.asarray(conductance), voltage)[1]
            if not np.all(slopes > 0.0):
                state = f" at {conductance:.3g} S" if limited else ""
                raise ValueError(
                    f"the current does not grow with V up to {self.max_voltage:g} V{state}"
                )

    @abstractmethod
    def powers(self, conductance: Array) -> list[Array]:
        """c₁, c₂, … in A/Vᵏ at positive conductances (S)."""

    def evaluate(self, conductance: Array, voltage: Array) -> tuple[Array, Array]:
        """See :class:`Law`."""
        conductance = np.asarray(conductance)
        connected = conductance > 0.0
        found = self.powers(np.where(connected, conductance, self.conductance_min))
        return _polynomial([np.zeros(()), *(c * connected for c in found)], voltage)

    def expression(self, conductance: float, voltage: str) -> str:
        """See :class:`Law`."""
        if conductance == 0.0:
            return "0"
        factor = "0"
        for coefficient in self.powers(np.asarray(conductance))[::-1]:
            factor = f"{voltage}*({float(coefficient):.17g}+{factor})"
        return factor


@dataclass(frozen=True, kw_only=True, config=STRICT)
class OddPolynomial(_Polynomial):
    """I = G (V + c₃ V³ + c₅ V⁵ + …), a fit to a measured curve.

    Parameters
    ----------
    coefficients : c₃, c₅, … in 1/V², 1/V⁴, …; the current must grow with V up to max_voltage.
    max_voltage : V, the range of the fit.

    Raises
    ------
    pydantic.ValidationError : the current would not grow everywhere.

    Examples
    --------
    >>> law = OddPolynomial(coefficients=(0.5,), max_voltage=1.0)
    >>> law.current(np.array([1e-4]), np.array([-1.0]))
    array([-0.00015])
    """

    coefficients: tuple[float, ...]
    max_voltage: Annotated[float, Field(gt=0)]
    kind: Literal["odd polynomial"] = "odd polynomial"

    def powers(self, conductance: Array) -> list[Array]:
        """See :class:`Law`."""
        found = [conductance]
        for coefficient in self.coefficients:
            found += [np.zeros_like(conductance), coefficient * conductance]
        return found


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Milo2021(_Polynomial):
    """I = G V + N₂(G) V² + N₃(G) V³ of HfO₂ 1T1R cells; the V² term makes it asymmetric.

    N₂ and N₃ are polynomials in log₁₀(G/S), fitted by CrossSim (BSD-3) to the four curves
    between ±0.5 V from 62.5 to 110 µS in Fig. 1 of

        V. Milo et al., "Optimized programming algorithms for multilevel RRAM in hardware neural
        networks", IEEE Int. Reliability Physics Symposium (2021).

    The fit was forced to be linear at 225 µS, where nothing was measured; the range here ends
    with the measurements.

    Parameters
    ----------
    second_order, third_order : coefficients of N₂ (A/V²) and N₃ (A/V³) from the constant up.
    conductance_min, conductance_max : S, between which the law holds.
    max_voltage : V.

    Examples
    --------
    >>> law = Milo2021()
    >>> law.current(np.array([80e-6]), np.array([-0.5, 0.5])).round(7)
    array([-4.39e-05,  3.69e-05])
    """

    second_order: tuple[float, ...] = (7.063e-3, 5.711e-3, 1.541e-3, 1.388e-4)
    third_order: tuple[float, ...] = (1.2968e-3, 6.7919e-4, 8.871e-5)
    conductance_min: Annotated[float, Field(gt=0)] = 62.5e-6
    conductance_max: Annotated[float, Field(gt=0)] = 110e-6
    max_voltage: Annotated[float, Field(gt=0)] = 0.5
    citations: ClassVar[tuple[str, ...]] = ("Milo2021IRPS",)
    kind: Literal["Milo2021"] = "Milo2021"

    def powers(self, conductance: Array) -> list[Array]:
        """See :class:`Law`."""
        decades = np.log10(conductance)
        second = _polynomial(self.second_order, decades)[0]
        third = _polynomial(self.third_order, decades)[0]
        return [np.asarray(conductance), second, third]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Nili2020(_Polynomial):
    """I = A₁ V + A₃ V³ of integrated TiO₂₋ₓ/Al₂O₃ memristors, with the ambient temperature.

    With G₀ in S and the temperature T in °C, as the coefficients were published:

        A₁ = −2.58e-6 + 0.977 G₀ + 1.166e-7 T                  mean, S
        A₃ = 1.18 G₀ + 6596 G₀² + 1.605e-3 T^−1.33              mean, S/V²
        σ₁ = −1.07e-6 + 0.25 G₀ + 2.20e-8 T − 1300 G₀²          device to device, S
        σ₃ = 1.17e-5 + 1.30 G₀ − 1.0e-7 T − 6500 G₀² − 2.5e-3 G₀ T

        H. Nili et al., "Comprehensive compact phenomenological modeling of integrated
        metal-oxide memristors", IEEE Trans. Nanotechnology 19, 344-349 (2020).

    T is the fit's own unit: with kelvins A₁ of a 10 µS cell would be 42 µS instead of 10 µS.
    Its range of temperatures is not given with the coefficients; 25 to 100 °C is this project's
    reading of the range in use (300 to 375 K).

    Parameters
    ----------
    temperature : K.
    conductance_min, conductance_max : S, the range of G₀.
    max_voltage : V, largest voltage that only reads.

    Examples
    --------
    >>> law = Nili2020(temperature=300.0)
    >>> law.current(np.array([10e-6]), np.array([0.2])).round(9)
    array([2.325e-06])
    """

    temperature: Annotated[float, Field(ge=298.15, le=373.15)] = 300.0
    conductance_min: Annotated[float, Field(gt=0)] = 3.16e-6
    conductance_max: Annotated[float, Field(gt=0)] = 316e-6
    max_voltage: Annotated[float, Field(gt=0)] = 0.4
    citations: ClassVar[tuple[str, ...]] = ("Nili2020",)
    kind: Literal["Nili2020"] = "Nili2020"

    def powers(self, conductance: Array) -> list[Array]:
        """See :class:`Law`."""
        celsius = self.temperature - zero_Celsius
        linear = -2.58e-6 + 0.977 * conductance + 1.166e-7 * celsius
        cubic = (1.18 + 6596.0 * conductance) * conductance + 1.605e-3 * celsius**-1.33
        return [np.asarray(linear), np.zeros_like(conductance), np.asarray(cubic)]

    def device_to_device(self, conductance: Array) -> tuple[Array, Array]:
        """Standard deviations σ₁ (S) and σ₃ (S/V²) between devices tuned to ``conductance``.

        The source draws one standard normal number per device for both.

        Raises
        ------
        InputError : a conductance outside of the law's range.
        """
        self.check(conductance, np.zeros(()))
        celsius = self.temperature - zero_Celsius
        square = np.square(conductance)
        linear = -1.07e-6 + 0.25 * conductance + 2.20e-8 * celsius - 1300.0 * square
        cubic = 1.17e-5 - 1.0e-7 * celsius + (1.30 - 2.5e-3 * celsius) * conductance
        return np.asarray(linear), np.asarray(cubic - 6500.0 * square)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class StateMixing(_Polynomial):
    """I = (1 − r) I_low(V) + r I_high(V): every state lies between two limiting curves.

    The mixing r follows from the conductance at the read voltage U₀, G = I(U₀)/U₀. The curves
    are mathematical limits beyond all measured states; one of them may have a negative current.

        T. Hennen et al., "Synaptogen: a cross-domain generative device model for large-scale
        neuromorphic circuit design", IEEE Trans. Electron Devices (2024).

    Parameters
    ----------
    low_resistance, high_resistance : coefficients of I_low and I_high in A/Vᵏ, k = 1, 2, ….
    read_voltage : U₀, V.
    conductance_min, conductance_max : S, the states between which the current grows with V.
    max_voltage : V.

    Raises
    ------
    pydantic.ValidationError : the current would not grow somewhere in the range.

    Examples
    --------
    >>> law = StateMixing(low_resistance=(2e-4, 1e-5), high_resistance=(1e-6, 0.0),
    ...     read_voltage=0.2, conductance_min=1e-5, conductance_max=2e-4, max_voltage=0.5)
    >>> law.current(np.array([1e-4]), np.array([0.2])).round(12)
    array([2.e-05])
    """

    low_resistance: Annotated[tuple[float, ...], Field(min_length=1)]
    high_resistance: Annotated[tuple[float, ...], Field(min_length=1)]
    read_voltage: Annotated[float, Field(gt=0)]
    conductance_min: Annotated[float, Field(gt=0)]
    conductance_max: Annotated[float, Field(gt=0)]
    max_voltage: Annotated[float, Field(gt=0)]
    kind: Literal["state mixing"] = "state mixing"

    def __post_init__(self) -> None:
        if len(self.low_resistance) != len(self.high_resistance):
            raise ValueError("both limiting curves need the same number of coefficients")
        super().__post_init__()

    @property
    def limits(self) -> tuple[float, float]:
        """Conductances in S of the low- and the high-resistance limit at the read voltage."""
        low, high = (
            float(_polynomial([0.0, *curve], np.asarray(self.read_voltage))[0]) / self.read_voltage
            for curve in (self.low_resistance, self.high_resistance)
        )
        return low, high

    def powers(self, conductance: Array) -> list[Array]:
        """See :class:`Law`."""
        low, high = self.limits
        mixing = (low - conductance) / (low - high)
        pairs = zip(self.low_resistance, self.high_resistance, strict=True)
        return [np.asarray(a + mixing * (b - a)) for a, b in pairs]


IVLaw = Annotated[
    Sinh | StanfordPKU | OddPolynomial | Milo2021 | Nili2020 | StateMixing,
    Field(discriminator="kind"),
]
"""Every I–V law, told apart by its ``kind`` in a device card."""


def _polynomial(coefficients: Sequence[Array | float], x: Array) -> tuple[Array, Array]:
    """Σₖ coefficients[k]·xᵏ and its derivative by Horner's scheme."""
    value = np.zeros_like(x)
    slope = np.zeros_like(x)
    for coefficient in coefficients[::-1]:
        slope = slope * x + value
        value = value * x + coefficient
    return np.asarray(value), np.asarray(slope)
