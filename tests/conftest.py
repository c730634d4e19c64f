"""What several test modules share, and how property tests run."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import settings

# The same examples in every run; no deadline, since a first call may compile a kernel.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def naive() -> ModuleType:
    """Reference implementations and statistical checks; see ``tests/naive.py``."""
    spec = importlib.util.spec_from_file_location("naive", Path(__file__).with_name("naive.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def outputs_with_and_without_compiler() -> Callable[[str], set[str]]:
    """The different outputs of a script that runs with numba's compiler on and off."""

    def run(script: str) -> set[str]:
        return {
            subprocess.run(
                [sys.executable, "-c", script],
                env={**os.environ, "NUMBA_DISABLE_JIT": disabled},
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for disabled in ("0", "1")
        }

    return run
