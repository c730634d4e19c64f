"""How the step of a cell depends on the amplitude and the width of its pulse."""

import math
from typing import Annotated, Self

import numpy as np
from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from zerohm._arrays import Array
from zerohm._config import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Drive:
    """Steps that grow exponentially with the pulse voltage above a threshold.

    A pulse of amplitude V and width t moves the cell by the factor ::

        f(V, t) = (exp((V − V_t)/V₀) − 1) / (exp((V_n − V_t)/V₀) − 1) · (t / t_n)^β,  V > V_t,

    times its step under the pulse (V_n, t_n) that the step was measured with, and not at all for
    V ≤ V_t. The voltage dependence is that of Yakopcic 2011, A (exp(V) − exp(V_t)), with a
    voltage scale. For amplitudes well above the threshold it is the exponential that ionic
    transport over a field-lowered barrier gives.

    Scales of a real device: integrated TiOx cells (Nili 2020, as implemented in
    caixunshiren/pytorch-metal-oxide-memristor-crossbar) step by a product of 1 + tanh of the
    voltage and 1 + tanh of ln t. Away from saturation this is exp(V/V₀) t^β with V₀ = 53 to
    103 mV and β = 0.94 for set, V₀ = 81 mV and β = 0.42 to 1.78, most at low conductance, for
    reset.

    The factor multiplies a whole step, so it holds while the step is small against the way that
    is left to the bound.

    Parameters
    ----------
    amplitude : V_n, V, of the pulse that the model's step sizes belong to; positive for both
        directions.
    threshold : V_t, V.
    scale : V₀, V.
    width : t_n, s.
    width_exponent : β.

    Raises
    ------
    ValueError : a nominal amplitude that does not exceed the threshold.

    Examples
    --------
    >>> drive = Drive(amplitude=1.2, threshold=0.8, scale=0.1, width=100e-9)
    >>> drive.factor(np.array([0.7, 1.2, 1.3]), 100e-9).round(3)
    array([0.  , 1.  , 2.75])
    """

    amplitude: Annotated[float, Field(gt=0)]
    threshold: Annotated[float, Field(ge=0)]
    scale: Annotated[float, Field(gt=0)]
    width: Annotated[float, Field(gt=0)]
    width_exponent: Annotated[float, Field(gt=0)] = 1.0

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.amplitude <= self.threshold:
            raise ValueError(
                f"amplitude={self.amplitude:g} V must exceed threshold={self.threshold:g} V: "
                "a pulse that moves nothing has no step"
            )
        return self

    def factor(self, amplitude: Array, width: Array | float) -> Array:
        """Step relative to that of the nominal pulse; amplitude in V, width in s."""
        above = np.maximum(np.asarray(amplitude) - self.threshold, 0.0)
        nominal = math.expm1((self.amplitude - self.threshold) / self.scale)
        grown: Array = np.expm1(above / self.scale) / nominal
        return grown * (np.asarray(width) / self.width) ** self.width_exponent
