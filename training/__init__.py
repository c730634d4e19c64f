"""Networks on hardware and the methods that train them."""

from .backprop import Backprop as Backprop
from .estimators import ESTIMATORS as ESTIMATORS
from .estimators import Observation as Observation
from .experiment import HARDWARE as HARDWARE
from .experiment import METHODS as METHODS
from .experiment import Experiment as Experiment
from .experiment import experiment as experiment
from .experiment import prepare as prepare
from .linear import LinearClassifier as LinearClassifier
from .mezo import MeZO as MeZO
from .network import Network as Network
from .network import mlp as mlp
from .noisezo import NoiseZO as NoiseZO
from .protocol import Method as Method
from .protocol import Trainer as Trainer
from .run import TrainingDiverged as TrainingDiverged
from .run import fit as fit
