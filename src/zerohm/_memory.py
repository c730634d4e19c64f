"""Refuse what cannot fit into memory before the machine starts to swap."""

import os
from pathlib import Path

from zerohm._errors import InputError


def available_memory() -> float:
    """Bytes that can still be allocated; infinite where the system does not say."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return 1024.0 * int(line.split()[1])
    except OSError:
        pass
    try:
        return float(os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return float("inf")


def require_memory(needed: float, what: str, remedy: str) -> None:
    """Raise :class:`InputError` unless ``needed`` bytes are available."""
    available = available_memory()
    if needed > available:
        raise InputError(
            f"{what} needs about {needed / 1e9:.1f} GB of memory and {available / 1e9:.1f} GB is "
            f"available: {remedy}"
        )
