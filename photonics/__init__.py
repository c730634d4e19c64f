"""Mach–Zehnder meshes: layouts, propagation, decomposition, imperfections."""

from .adjoint import Gradient as Gradient
from .adjoint import gradient as gradient
from .decomposition import Phases as Phases
from .decomposition import decompose as decompose
from .imperfections import Chip as Chip
from .imperfections import Imperfections as Imperfections
from .layout import LAYOUTS as LAYOUTS
from .layout import Layout as Layout
from .layout import butterfly as butterfly
from .layout import clements as clements
from .layout import diamond as diamond
from .layout import named_layout as named_layout
from .layout import reck as reck
from .mesh import Mesh as Mesh
from .singular_value import SingularValueMesh as SingularValueMesh
