"""Pulses that move a cell: mean steps, their randomness, populations, write–verify."""

from .drive import Drive as Drive
from .model import PulseModel as PulseModel
from .population import PulsedCells as PulsedCells
from .steps import ExponentialStep as ExponentialStep
from .steps import PowerStep as PowerStep
from .steps import SoftBounds as SoftBounds
from .tables import TablePulses as TablePulses
from .tables import read_quantile_table as read_quantile_table
from .write_verify import AmplitudeRamp as AmplitudeRamp
from .write_verify import NotConverged as NotConverged
from .write_verify import WriteVerifyReport as WriteVerifyReport
from .write_verify import write_verify as write_verify
