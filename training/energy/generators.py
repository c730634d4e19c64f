"""Hardware that draws random numbers for perturbations: shift registers and arithmetic."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from zerohm._config import STRICT

from .constants import Technology

_TAPS = 3  # exclusive ors per new bit: maximal-length registers with four taps exist for any size
SERIES = 6
"""Multiply–adds of a logarithm, exponential, sine or cosine after range reduction (assumed)."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class RandomGenerator:
    """A generator behind linear-feedback shift registers.

    "signs" gives ±1 from one bit. "central-limit" adds ``terms`` uniform numbers of ``bits`` bits:
    its kurtosis is below that of a Gaussian by 1.2/terms and no number lies beyond √(3·terms)
    standard deviations. "box-muller" makes two Gaussians from two 32-bit uniform numbers in
    floating point, √(−2 ln u₁)·cos, sin(2πu₂), each function a polynomial of degree 6.

    Parameters
    ----------
    law : which numbers.
    terms, bits : of "central-limit".
    flip_flops_per_bit : flip-flops that are clocked for one new bit: 1 in a register that leaps
        forward by its own length, the length of the register where it shifts by one.

    Examples
    --------
    >>> generator = RandomGenerator()
    >>> generator.random_bits, f"{generator.energy(Technology()) * 1e15:.0f} fJ"
    (32, '412 fJ')
    """

    law: Literal["signs", "central-limit", "box-muller"] = "central-limit"
    terms: Annotated[int, Field(ge=2, le=64)] = 4
    bits: Annotated[int, Field(ge=1, le=32)] = 8
    flip_flops_per_bit: Annotated[float, Field(ge=1)] = 1.0

    @property
    def random_bits(self) -> int:
        """Uniform bits per number."""
        return {"signs": 1, "central-limit": self.terms * self.bits, "box-muller": 32}[self.law]

    def energy(self, technology: Technology) -> float:
        """J per number."""
        one_bit = self.flip_flops_per_bit * technology.energy("flip-flop clock")
        one_bit += _TAPS * technology.energy("exclusive or")
        return self.random_bits * one_bit + self._arithmetic(technology)

    def _arithmetic(self, technology: Technology) -> float:
        if self.law == "signs":
            return 0.0
        if self.law == "central-limit":
            width = self.bits + (self.terms - 1).bit_length()
            return (self.terms - 1) * width / 8 * technology.energy("int8 add")
        products = 3 * SERIES * technology.multiply_accumulate("float32")
        scaling = 2 * technology.energy("float32 multiply")
        return (products + scaling + technology.energy("float32 divide")) / 2
