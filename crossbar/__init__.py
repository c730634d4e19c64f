"""Cells, wires and converters: from word-line voltages to bit-line currents."""

from . import nonlinear as nonlinear
from .adjoint import Gradient as Gradient
from .adjoint import gradient as gradient
from .array import Crossbar as Crossbar
from .array import read_back_full_scale as read_back_full_scale
from .bit_serial import BitSerial as BitSerial
from .converter_circuits import SAR as SAR
from .converter_circuits import Ramp as Ramp
from .converter_circuits import nonlinearity as nonlinearity
from .converters import ADC as ADC
from .converters import DAC as DAC
from .converters import FabricatedADC as FabricatedADC
from .converters import FabricatedDAC as FabricatedDAC
from .ledger import PARTS as PARTS
from .ledger import Ledger as Ledger
from .ledger import in_parallel as in_parallel
from .network import Network as Network
from .sensing import DifferentialSensing as DifferentialSensing
from .sensing import calibrate_full_scale as calibrate_full_scale
from .solution import Power as Power
from .solution import Solution as Solution
from .solvers import SolverError as SolverError
from .solvers import source_line_currents as source_line_currents
from .wires import IdealWires as IdealWires
from .wires import WireModel as WireModel
from .wires import wire_model as wire_model
