"""Weights from and to PyTorch and ONNX, for networks and their vectors of parameters."""

from .onnx_model import load_onnx as load_onnx
from .onnx_model import save_onnx as save_onnx
from .state_dict import from_state_dict as from_state_dict
from .state_dict import load_state_dict as load_state_dict
from .state_dict import save_state_dict as save_state_dict
from .state_dict import to_state_dict as to_state_dict
from .steps import Exchangeable as Exchangeable

WRITERS = {".onnx": save_onnx, ".pt": save_state_dict}
"""What writes the weights of a network, by the suffix of the file."""
