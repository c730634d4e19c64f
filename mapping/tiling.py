"""Cutting a matrix into parts that fit on arrays of bounded size."""

from itertools import pairwise


def blocks(size: int, largest: int) -> tuple[slice, ...]:
    """The fewest slices of at most ``largest`` that cover range(size), as equal as possible.

    Examples
    --------
    >>> blocks(10, 4)
    (slice(0, 4, None), slice(4, 7, None), slice(7, 10, None))
    """
    count = -(-size // largest)
    base, longer = divmod(size, count)
    edges = [i * base + min(i, longer) for i in range(count + 1)]
    return tuple(slice(a, b) for a, b in pairwise(edges))
