"""One element: RRAM cells, their noise, published presets and device cards."""

from .cards import find as find
from .cards import load as load
from .cards import save as save
from .noise import AcceptanceBand as AcceptanceBand
from .noise import ConstantNoise as ConstantNoise
from .noise import LogarithmicNoise as LogarithmicNoise
from .noise import Noise as Noise
from .noise import PolynomialNoise as PolynomialNoise
from .presets import preset as preset
from .presets import presets as presets
from .rram import Cell as Cell
from .rram import ProgrammingCost as ProgrammingCost
