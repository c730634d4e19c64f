"""Directional coupler: where two waveguides exchange light."""

import math
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from zerohm._config import STRICT

from .waveguide import amplitude_factor


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DirectionalCoupler:
    """Two waveguides that run close to each other::

        0 ──╲    ╱── 0     E' = 10^(−IL/20) B E,     B = [ cos x    i sin x ]
             ════                                       [ i sin x    cos x ]
        1 ──╱    ╲── 1

    with the coupling angle x = π/4 + ``angle_error``: half of the power crosses if the error is
    0, sin² x of it in general. The quadrature between the outputs follows from symmetry and
    energy conservation, and holds at any error. Valid for one polarisation and for reflections
    that are negligible.

    Parameters
    ----------
    angle_error : rad, between ±π/4 (all or none of the light crosses).
    excess_loss_dB : of power, both outputs together.

    Examples
    --------
    >>> DirectionalCoupler().matrix.round(4)
    array([[0.7071+0.j    , 0.    +0.7071j],
           [0.    +0.7071j, 0.7071+0.j    ]])
    >>> round(DirectionalCoupler(angle_error=0.02).splitting_ratio, 3)
    0.52
    """

    angle_error: Annotated[float, Field(ge=-math.pi / 4, le=math.pi / 4)] = 0.0
    excess_loss_dB: Annotated[float, Field(ge=0)] = 0.0

    @property
    def splitting_ratio(self) -> float:
        """Share of the transmitted power that crosses, sin²(π/4 + error)."""
        return math.sin(math.pi / 4 + self.angle_error) ** 2

    @property
    def matrix(self) -> NDArray[np.complex128]:
        """(2, 2), [output, input]."""
        x = math.pi / 4 + self.angle_error
        bar, cross = math.cos(x), 1j * math.sin(x)
        lossless = np.array([[bar, cross], [cross, bar]], dtype=np.complex128)
        return np.asarray(amplitude_factor(self.excess_loss_dB) * lossless)
