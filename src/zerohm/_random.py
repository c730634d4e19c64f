"""Random streams keyed by what they are for, never by the order in which they are asked for."""

from hashlib import sha256

import numpy as np
from numpy.random import Generator, Philox, SeedSequence

from zerohm._errors import InputError


def stream(seed: int, *purpose: str | int) -> Generator:
    """A Philox generator for one purpose of one run.

    Two purposes give independent streams, and a stream does not depend on which others were
    drawn before it, so results are the same for any number of workers in any order.

    Parameters
    ----------
    seed : non-negative integer.
    purpose : names or numbers that say what the draws are for.

    Examples
    --------
    >>> a = stream(1, "write noise").standard_normal()
    >>> a == stream(1, "write noise").standard_normal()
    True
    >>> a == stream(1, "read noise").standard_normal()
    False
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError(f"seed={seed!r} must be an integer of at least 0")
    words = [int.from_bytes(sha256(repr(p).encode()).digest()[:4]) for p in purpose]
    return Generator(Philox(SeedSequence(int(seed), spawn_key=tuple(words))))


def as_generator(seed: int | Generator) -> Generator:
    """The generator itself, or a Philox generator for an integer seed."""
    return seed if isinstance(seed, Generator) else stream(seed, "zerohm")
