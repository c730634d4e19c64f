"""Convolutional networks in floating point: their graph, forward pass and derivatives."""

from .architectures import small_cnn as small_cnn
from .architectures import small_mcunet as small_mcunet
from .float_network import FloatNetwork as FloatNetwork
from .graph import Convolution as Convolution
from .graph import Dense as Dense
from .graph import Graph as Graph
from .graph import Pool as Pool
from .pretrain import Pretrained as Pretrained
from .pretrain import pretrain as pretrain
