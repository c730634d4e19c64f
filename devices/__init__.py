"""One element: RRAM cells in time, optical components, published presets, calibration, cards.

``calibrate`` is imported on first use.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from .card_schema import card_schema as card_schema
from .cards import find as find
from .cards import load as load
from .cards import save as save
from .cells import Cells as Cells
from .cycling import CycledCells as CycledCells
from .cycling import Cycling as Cycling
from .drift import LogarithmicDrift as LogarithmicDrift
from .drift import PowerLawDrift as PowerLawDrift
from .electronic import ElectronicNoise as ElectronicNoise
from .fabrication import FabricatedCells as FabricatedCells
from .fabrication import WindowSpread as WindowSpread
from .fabrication import flawed as flawed
from .faults import Endurance as Endurance
from .faults import Faults as Faults
from .faults import StuckState as StuckState
from .faults import WindowClosing as WindowClosing
from .flicker import FlickerNoise as FlickerNoise
from .iv import IVLaw as IVLaw
from .iv import OddPolynomial as OddPolynomial
from .iv import Sinh as Sinh
from .iv import StanfordPKU as StanfordPKU
from .noise import AcceptanceBand as AcceptanceBand
from .noise import ConstantNoise as ConstantNoise
from .noise import LogarithmicNoise as LogarithmicNoise
from .noise import Noise as Noise
from .noise import PolynomialNoise as PolynomialNoise
from .photonic.directional_coupler import DirectionalCoupler as DirectionalCoupler
from .photonic.electro_optic_activation import ElectroOpticActivation as ElectroOpticActivation
from .photonic.energy import PhotonicEnergy as PhotonicEnergy
from .photonic.laser import Laser as Laser
from .photonic.modulator import Modulator as Modulator
from .photonic.optical_readout import HomodyneReadout as HomodyneReadout
from .photonic.optical_readout import IntensityReadout as IntensityReadout
from .photonic.phase_shifter import PhaseShifter as PhaseShifter
from .photonic.phase_shifter_card import load_shifters as load_shifters
from .photonic.phase_shifter_card import save_shifters as save_shifters
from .photonic.photodetector import Photodetector as Photodetector
from .photonic.thermal_crosstalk import PhaseShifterArray as PhaseShifterArray
from .photonic.thermal_crosstalk import ThermalCrosstalk as ThermalCrosstalk
from .photonic.thermal_crosstalk import crosstalk_matrix as crosstalk_matrix
from .photonic.waveguide import Waveguide as Waveguide
from .presets import PresetWarning as PresetWarning
from .presets import preset as preset
from .presets import presets as presets
from .pulses import PulsedCells as PulsedCells
from .pulses import write_verify as write_verify
from .relaxation import Relaxation as Relaxation
from .rram import Cell as Cell
from .rram import ProgrammingCost as ProgrammingCost
from .state_dependence import StateTable as StateTable
from .telegraph import TelegraphLevels as TelegraphLevels
from .telegraph import TelegraphNoise as TelegraphNoise
from .temperature import acceleration as acceleration

if TYPE_CHECKING:
    from . import calibrate as calibrate


def __getattr__(name: str) -> ModuleType:
    if name == "calibrate":
        return import_module("zerohm.devices.calibrate")
    raise AttributeError(f"module 'zerohm.devices' has no attribute {name!r}")
