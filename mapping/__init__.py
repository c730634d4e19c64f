"""Weights on hardware: one protocol, every substrate behind it."""

from .chip import Chip as Chip
from .digital_matrix import DigitalHardware as DigitalHardware
from .digital_matrix import digital as digital
from .photonic_mesh import PhotonicHardware as PhotonicHardware
from .photonic_mesh import photonic as photonic
from .protocol import Hardware as Hardware
from .protocol import Programmed as Programmed
from .protocol import WriteNoise as WriteNoise
from .rram_arrays import RRAMHardware as RRAMHardware
from .rram_arrays import rram as rram
