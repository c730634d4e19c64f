"""zerohm: physics-first simulation of analog AI hardware that learns with forward passes only.

Subsystems are imported on first use, so that ``import zerohm`` stays fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from zerohm._citations import cite as cite
from zerohm._errors import InputError as InputError
from zerohm._version import __version__ as __version__

if TYPE_CHECKING:
    from zerohm import crossbar as crossbar
    from zerohm import datasets as datasets
    from zerohm import devices as devices
    from zerohm import mapping as mapping
    from zerohm import photonics as photonics
    from zerohm import sweeps as sweeps
    from zerohm import training as training

_SUBSYSTEMS = ("crossbar", "datasets", "devices", "mapping", "photonics", "sweeps", "training")
__all__ = ["InputError", "__version__", "cite", *_SUBSYSTEMS]


def __getattr__(name: str) -> Any:
    if name in _SUBSYSTEMS:
        return import_module(f"zerohm.{name}")
    raise AttributeError(f"module 'zerohm' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
