"""Energy, time and endurance of training, on analog hardware and on a digital reference design."""

from .bill import bill as bill
from .bill import compare as compare
from .bill import energy_to_reach as energy_to_reach
from .claim import CLAIMED_RATIO as CLAIMED_RATIO
from .claim import Assumptions as Assumptions
from .claim import sensitivity as sensitivity
from .cmos import ENERGY_PARTS as ENERGY_PARTS
from .cmos import CMOSDesign as CMOSDesign
from .constants import CONSTANTS as CONSTANTS
from .constants import Constant as Constant
from .constants import Technology as Technology
from .endurance import check_endurance as check_endurance
from .endurance import endurance_budget as endurance_budget
from .endurance import planned_writes as planned_writes
from .generators import RandomGenerator as RandomGenerator
from .workload import Workload as Workload
from .workload import workloads as workloads
