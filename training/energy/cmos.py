"""Digital CMOS: a reference design that trains alone, and the digital part of an analog chip.

The design is an array of multiply–accumulate units that each keep one 32-bit sum: S samples ×
O outputs of a layer at a time. A weight is fetched once per S samples, a signal once per O
outputs. Training goes through a mini-batch in groups of S samples, so that signals of one group
are stored at a time; gradients that are sums over samples are added to a memory after every group.
The master copy and the state of the optimiser are 32-bit floating-point numbers. Software
perturbations of parameters are drawn for every pass, added, rounded to the format of the units and
stored; for the update they are drawn again from the same seed (MeZO's trade of memory for work).

Not counted, for neither design: clocks and control, leakage, wires between the parts, and anything
off the chip (unless memory is "dram"): the data set, the host, moving inputs to the chip.
"""

import math
from collections import Counter
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from zerohm._config import STRICT

from ...crossbar import PARTS
from .constants import BITS, Format, Technology
from .generators import SERIES, RandomGenerator
from .workload import OPTIMISERS, Workload

ENERGY_PARTS = (*PARTS, "update", "buffers", "random")
"""Parts of a bill: those of the hardware's ledger, where "digital" is also all arithmetic on
signals; the arithmetic of perturbation, estimate and optimiser; all digital memory; random
numbers."""

_MASTER_BITS = 32
_Size = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class CMOSDesign:
    """A digital design; see the module.

    Parameters
    ----------
    technology : node.
    arithmetic : format of weights and signals; sums have 32 bits. What the numbers of a simulated
        run were makes no difference.
    units : (S samples, O outputs) of the multiply–accumulate array.
    memory : where weights and optimiser state are; signals are always on the chip.
    macro_bytes : size of the SRAM of weights, and of each number of optimiser state, where it is
        larger than its content.
    generator : of software perturbations.
    clock : Hz; every unit does one operation, and each of S lanes updates one parameter per cycle.
    processor : every multiply–accumulate is an instruction of a general-purpose processor.

    Examples
    --------
    >>> CMOSDesign(arithmetic="float32").arithmetic
    'float32'
    """

    technology: Technology = Technology()
    arithmetic: Format = "int8"
    units: tuple[_Size, _Size] = (16, 16)
    memory: Literal["sram", "dram"] = "sram"
    macro_bytes: Annotated[int, Field(ge=0)] = 0
    generator: RandomGenerator = RandomGenerator()
    clock: Annotated[float, Field(gt=0)] = 500e6
    processor: bool = False

    @property
    def bits(self) -> int:
        """Width of weights and signals."""
        return BITS[self.arithmetic]

    @property
    def multiply_accumulate(self) -> float:
        """J."""
        if self.processor:
            return self.technology.energy("instruction of a processor")
        return self.technology.multiply_accumulate(self.arithmetic)

    def weight_access(self, numbers: int, bits: int) -> float:
        """J of reading or writing one of so many numbers."""
        if self.memory == "dram":
            return self.technology.dram(bits)
        return self.technology.sram(bits, max(numbers * bits / 8, self.macro_bytes))

    def master_access(self, load: Workload) -> float:
        """J of reading or writing one number of the master copy or the optimiser's state."""
        return self.weight_access(load.parameters, _MASTER_BITS)

    def signal_access(self, load: Workload) -> float:
        """J of reading or writing one signal of the group that is being worked on."""
        numbers = self.units[0] * (load.sizes[0] + load.nodes)
        return self.technology.sram(self.bits, numbers * self.bits / 8)


def reference_energy(load: Workload, design: CMOSDesign) -> dict[str, float]:
    """J by part of :data:`ENERGY_PARTS` for training on the digital design alone.

    Examples
    --------
    >>> load = Workload(sizes=(64, 32, 10), method="mezo", optimiser="momentum", batch=128,
    ...                 updates=1, passes=2)
    >>> spent = reference_energy(load, CMOSDesign())
    >>> max(spent, key=spent.get), f"{sum(spent.values()) * 1e6:.2f} uJ"
    ('digital', '0.62 uJ')
    """
    return _total(
        _products(load, design),
        _operands(load, design),
        _common(load, design, signal_reads=_tiled_signal_reads(load, design)),
    )


def periphery_energy(load: Workload, design: CMOSDesign) -> dict[str, float]:
    """J by part for what is digital around arrays that hold the weights.

    A signal is read once per pass, every code of a converter added to a 32-bit sum, every
    parameter read and scaled for every programming event.
    """
    technology = design.technology
    signals = sum(inputs for inputs, _ in load.layers)
    programming = load.programmings * load.parameters
    return _total(
        {
            "digital": load.codes * technology.energy("int32 add"),
            "update": programming * technology.energy("float32 multiply"),
            "buffers": programming * design.master_access(load),
        },
        _perturbation(load, design),
        _common(load, design, signal_reads=signals),
    )


def reference_time(load: Workload, design: CMOSDesign) -> float:
    """s of training on the digital design: products, perturbations and updates in turn."""
    samples, outputs = design.units
    per_pass = math.ceil(load.batch / samples) * sum(
        inputs * math.ceil(out / outputs) for inputs, out in load.layers
    )
    drawing = load.drawn / samples
    return (load.passes * per_pass + drawing) / design.clock + periphery_time(load, design)


def periphery_time(load: Workload, design: CMOSDesign) -> float:
    """s of digital work between uses of the arrays: gradients of samples, updates."""
    samples, outputs = design.units
    cycles = load.updates * math.ceil(load.parameters / samples)
    cycles += load.gradient_samples * math.ceil(load.gradient_products / (samples * outputs))
    cycles += load.products / (samples * outputs)
    return cycles / design.clock


def _total(*parts: dict[str, float]) -> dict[str, float]:
    total = Counter(dict.fromkeys(ENERGY_PARTS, 0.0))
    for part in parts:
        total.update(part)
    return dict(total)


def _common(load: Workload, design: CMOSDesign, *, signal_reads: float) -> dict[str, float]:
    """What both sides have."""
    return _total(
        _signals(load, design, signal_reads),
        _gradients(load, design),
        _update(load, design),
        {
            "digital": load.products * design.multiply_accumulate,
            "random": load.drawn * _drawing(load, design),
        },
    )


def _drawing(load: Workload, design: CMOSDesign) -> float:
    """J per random number."""
    if not load.drawn:
        return 0.0
    generator = RandomGenerator(law="signs") if load.work.signs else design.generator
    return generator.energy(design.technology)


def _tiled_signal_reads(load: Workload, design: CMOSDesign) -> float:
    """Signals that are read in one pass of one sample, again for every group of outputs."""
    return sum(inputs * math.ceil(out / design.units[1]) for inputs, out in load.layers)


def _products(load: Workload, design: CMOSDesign) -> dict[str, float]:
    """Multiply–accumulates of forward passes and the weights that they fetch."""
    groups = load.passes * math.ceil(load.batch / design.units[0])
    return {
        "digital": load.sample_forwards * load.parameters * design.multiply_accumulate,
        "buffers": groups * load.parameters * design.weight_access(load.parameters, design.bits),
    }


def _operands(load: Workload, design: CMOSDesign) -> dict[str, float]:
    """Weights in the units' format: made from the master copy when they differ from it."""
    perturbed = load.work.drawn == "parameters"
    if design.arithmetic == "float32" and not perturbed:
        return {}
    made = load.parameters * (load.passes if perturbed else load.updates)
    rounding = 0.0 if design.arithmetic == "float32" else 1.0
    written = design.weight_access(load.parameters, design.bits)
    return _total(
        {
            "update": made * rounding * design.technology.energy("float32 multiply"),
            "buffers": made * (design.master_access(load) + written),
        },
        _perturbation(load, design),
    )


def _perturbation(load: Workload, design: CMOSDesign) -> dict[str, float]:
    """Adding a multiple of the random direction to every parameter in every pass."""
    if load.work.drawn != "parameters":
        return {}
    added = load.parameters * load.passes
    return {"update": added * design.technology.multiply_accumulate("float32")}


def _signals(load: Workload, design: CMOSDesign, reads: float) -> dict[str, float]:
    """Nonlinearity (a scale and a comparison per node), loss, and signals in and out of memory.

    Exponentials and the logarithm of the softmax are polynomials of degree 6.
    """
    technology = design.technology
    node = technology.energy("float32 multiply") + technology.energy("float32 add")
    series = SERIES * technology.multiply_accumulate("float32")
    classes = load.sizes[-1]
    loss = (classes + 1) * series + classes * technology.energy("float32 add")
    moved = reads + load.sizes[0] + load.nodes
    return {
        "digital": load.sample_forwards * (load.nodes * node + loss),
        "buffers": load.sample_forwards * moved * design.signal_access(load),
    }


def _gradients(load: Workload, design: CMOSDesign) -> dict[str, float]:
    """Gradients as sums over samples, and what that sends through the weights."""
    if not load.work.products:
        return {}
    samples, outputs = design.units
    count, signal = load.gradient_samples, design.signal_access(load)
    groups = count / load.batch * math.ceil(load.batch / samples)
    reads = sum(
        inputs * math.ceil(out / outputs) + out * math.ceil(inputs / samples)
        for inputs, out in load.layers
    )
    buffers = count * reads * signal + 2 * groups * load.parameters * design.master_access(load)
    arithmetic = count * load.gradient_products * design.multiply_accumulate
    if load.work.through_weights:
        moved = sum(
            out * math.ceil((inputs - 1) / outputs) + inputs - 1 for inputs, out in load.layers[1:]
        )
        fetched = load.inner_weights * design.weight_access(load.parameters, design.bits)
        buffers += count * moved * signal + groups * fetched
    if load.work.passes == 2:  # differences of losses and nodes, normalised
        arithmetic += count * load.nodes * 2 * design.technology.multiply_accumulate("float32")
    return {"digital": arithmetic, "buffers": buffers}


def _update(load: Workload, design: CMOSDesign) -> dict[str, float]:
    """Estimate and optimiser, number by number, with their memory."""
    technology, operations = design.technology, OPTIMISERS[load.optimiser]
    updated = load.updates * load.parameters
    one = (operations.multiplies + load.work.multiplies) * technology.energy("float32 multiply")
    one += operations.adds * technology.energy("float32 add")
    one += operations.divides * technology.energy("float32 divide")
    accesses = 2 * (1 + operations.state) + load.work.products
    return {
        "update": updated * one,
        "buffers": updated * accesses * design.master_access(load),
    }
