"""Loss: what waveguides and other passive parts take away from light."""

import math
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from zerohm._config import STRICT
from zerohm._errors import InputError


def amplitude_factor(loss_dB: float, *, name: str = "loss_dB") -> float:
    """10^(−loss/20), what a loss of power in dB leaves of an amplitude.

    Parameters
    ----------
    loss_dB : of power, positive where light is lost.
    name : what a message calls it.

    Raises
    ------
    InputError : a loss that is negative, which would amplify, or not finite.

    Examples
    --------
    >>> round(amplitude_factor(3.0103), 4), amplitude_factor(0.0)
    (0.7071, 1.0)
    """
    if not 0 <= loss_dB < math.inf:
        raise InputError(
            f"{name}={loss_dB!r} must be finite and at least 0: a loss is positive, and a "
            "negative one would amplify"
        )
    return math.pow(10.0, -loss_dB / 20.0)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Waveguide:
    """A waveguide of some length with what lies on it::

        E ────────────────── 10^(−loss_dB/20) E,     loss_dB = α L + lumped

    Its phase is not part of it: meshes absorb constant phases into those of their shifters.

    Parameters
    ----------
    length : L, m.
    loss_dB_per_m : α.
    lumped_loss_dB : of bends, crossings and transitions, together.

    Examples
    --------
    >>> Waveguide(length=1e-3, loss_dB_per_m=200.0, lumped_loss_dB=0.1).loss_dB.__round__(6)
    0.3
    """

    length: Annotated[float, Field(ge=0)] = 0.0
    loss_dB_per_m: Annotated[float, Field(ge=0)] = 200.0
    lumped_loss_dB: Annotated[float, Field(ge=0)] = 0.0

    @property
    def loss_dB(self) -> float:
        """Loss of power from end to end."""
        return self.loss_dB_per_m * self.length + self.lumped_loss_dB

    @property
    def transmission(self) -> float:
        """Factor of the amplitude."""
        return amplitude_factor(self.loss_dB)
