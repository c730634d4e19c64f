"""Numbers in words: with their standard error, and with the prefixes of the SI."""

import numpy as np

PREFIXES = {-15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G"}
PREFIXED = {"S": 1, "A": 1, "V": 1, "W": 1, "s": 1, "Hz": 1, "S^2": 2}
"""Units that take prefixes, and their power: a square is from 0.001 to 1000 of its prefix."""


def quantity(value: float, error: float, unit: str) -> str:
    """A value with its standard error, both to the error's second digit.

    Examples
    --------
    >>> quantity(1.6894e-6, 1.153e-7, "S"), quantity(-0.0014, 0.0051, "1")
    ('1.69 ± 0.12 µS', '-0.0014 ± 0.0051')
    >>> quantity(7.616e-13, 1.1e-13, "S^2"), quantity(8.562e-7, 1.3e-7, "1/Hz")
    ('0.76 ± 0.11 µS²', '(8.6 ± 1.3)e-07 1/Hz')
    """
    if not (np.isfinite(value) and np.isfinite(error) and error > 0):
        return f"{value:.4g} ± {error:.2g} {unit}".removesuffix(" 1")
    largest = max(abs(value), error)
    factor, unit = _prefixed(largest, unit)
    decimals = 1 - int(np.floor(np.log10(error * factor)))
    if decimals <= 6:
        power = ""
    elif largest * factor < 0.1:
        exponent = int(np.floor(np.log10(largest * factor)))
        factor, decimals, power = factor * 10.0**-exponent, decimals + exponent, f"e{exponent:03d}"
    else:
        return f"{value * factor:.4g} ± {error * factor:.2g} {unit}".removesuffix(" 1")
    said = f"{value * factor:.{max(decimals, 0)}f} ± {error * factor:.{max(decimals, 0)}f}"
    return f"{f'({said})' if power else said}{power} {unit}".removesuffix(" 1")


def rounded(value: float, unit: str) -> str:
    """A value that has no standard error, to three digits.

    Examples
    --------
    >>> rounded(1.6e-7, "S"), rounded(0.0, "A"), rounded(0.4711, "1")
    ('160 nS', '0 A', '0.471')
    """
    factor, unit = _prefixed(abs(value), unit)
    return f"{value * factor:.3g} {unit}".removesuffix(" 1")


def _prefixed(largest: float, unit: str) -> tuple[float, str]:
    """What a number of this magnitude is multiplied by, and its unit then."""
    power = PREFIXED.get(unit)
    if power is None or largest == 0:
        return 1.0, unit
    step = int(np.floor((np.log10(largest) / 3 + power - 1) / power))
    if 3 * step not in PREFIXES:
        return 1.0, unit
    return 10.0 ** (-3 * power * step), PREFIXES[3 * step] + unit.replace("^2", "²")
