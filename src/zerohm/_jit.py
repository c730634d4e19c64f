"""The one numba decorator, with a cache that cannot go stale.

numba's own ``cache=True`` does not see an edit to a kernel in another file and leaves its files
in the installed package. Here the compiled code lies in a user cache folder whose name is a hash
of every source file that the kernel can depend on, and of the versions of numba and Python.
"""

import hashlib
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

from zerohm._cache import user_cache

F = TypeVar("F", bound=Callable[..., Any])

DEPENDENCIES: dict[str, tuple[str, ...]] = {
    "devices": (),
    "crossbar": ("devices",),
    "photonics": ("devices",),
    "mapping": ("devices", "crossbar", "photonics"),
    "training": ("devices", "crossbar", "photonics", "mapping", "datasets"),
}
"""Subsystems with kernels, and what each may import: the contract that CI checks."""


@cache
def cache_folder(subsystem: str) -> Path:
    """Folder of a subsystem's compiled kernels for the sources that they can depend on."""
    here = Path(__file__).parent
    digest = hashlib.sha256(f"{numba.__version__} {sys.version}".encode())
    # A regular install has the packages inside zerohm/, an editable one next to src/.
    root = here if (here / "devices").exists() else here.parents[1]
    own = [root / name for name in (subsystem, *DEPENDENCIES[subsystem])]
    sources = [*here.glob("*.py"), *(path for folder in own for path in folder.glob("**/*.py"))]
    for source in sorted(sources):
        digest.update(source.read_bytes())
    return user_cache() / "numba" / digest.hexdigest()[:32]


def kernel(function: F) -> F:
    """Compile a pure function of arrays and scalars, strict IEEE arithmetic, cached on disk."""
    settings: Any = numba.config
    before = settings.CACHE_DIR
    settings.CACHE_DIR = str(cache_folder(function.__module__.split(".")[1]))
    try:
        compiled: Any = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    finally:
        settings.CACHE_DIR = before
    return cast(F, compiled)
