"""Cells, wires and converters: from word-line voltages to bit-line currents."""

from .array import Crossbar as Crossbar
from .array import read_back_full_scale as read_back_full_scale
from .converters import ADC as ADC
from .converters import DAC as DAC
from .ledger import PARTS as PARTS
from .ledger import Ledger as Ledger
from .ledger import in_parallel as in_parallel
from .wires import IdealWires as IdealWires
from .wires import WireModel as WireModel
from .wires import wire_model as wire_model
