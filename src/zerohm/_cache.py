"""Where the package keeps things between runs: compiled kernels and downloaded data sets."""

import os
from pathlib import Path


def user_cache() -> Path:
    """The user's cache folder of zerohm; the environment variable ``ZEROHM_CACHE`` moves it."""
    if chosen := os.environ.get("ZEROHM_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "zerohm"
