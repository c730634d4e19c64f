"""Energy of one update by write noise against one of software perturbations, from assumptions.

The abstract of NoiseZO (Wang et al. 2025) claims 21 times less energy than conventional CMOS. Its
breakdown, node and baseline are not public. Here both sides are closed formulas of stated
assumptions, the same that the ledger of the simulated arrays counts, so that it can be asked under
which of them the factor is reached.

With d parameters, c cells per weight, two arrays, N samples, K mini-batches per programming event,
a share f of the cells rewritten in p pulses and r verify reads after each:

    write = 2·c·d·f·p·E_pulse              verify = 2·c·d·f·p·r·(E_cell + E_ADC)
    read_back = 2·d·(c·E_cell + E_ADC)     array = 2·K·N·c·d·<x²>·E_cell
    dac = 2·K·N·n_DAC·E_DAC                adc = 2·K·N·n_ADC·E_ADC

E_cell = V²·G·t is a read of a cell at full scale, <x²> the mean square of the inputs in units of
full scale, n_DAC and n_ADC the conversions of one vector through all tiles.
"""

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from zerohm._config import STRICT

from ...crossbar import ADC, DAC
from ...devices import ProgrammingCost
from ...mapping import tiling
from ..adjustments import adjusted
from .cmos import CMOSDesign, periphery_energy, reference_energy
from .workload import Optimiser, Workload

if TYPE_CHECKING:
    import xarray as xr

CLAIMED_RATIO = 21.0
"""The factor that the abstract of Wang et al. 2025 claims."""

_ARRAYS = 2
_Share = Annotated[float, Field(gt=0, le=1)]
_Count = Annotated[int, Field(ge=1)]
_Energy = Annotated[float, Field(ge=0)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Assumptions:
    """What both sides of the comparison take for granted; the defaults are those of the simulator.

    Parameters
    ----------
    sizes, batch : of the network and its mini-batches (N).
    batches_per_programming : K.
    programming : energy of a pulse and pulses per write (p).
    verify_reads : after each pulse (r).
    fraction_rewritten : f.
    cells_per_weight : c.
    tile : (word lines, bit lines) of the largest array.
    dac, adc : converters, priced per conversion.
    cell_read : J of reading one cell at full scale, E_cell.
    mean_square_input : <x²>.
    reference_updates : updates of the reference per update of the arrays, for equal accuracy.
    optimiser : of both.
    digital : the reference; around the arrays it is the same, but signals are the converters'
        codes of 8 bits, and no instructions of a processor.

    Examples
    --------
    >>> round(Assumptions().ratio, 1)
    1.1
    """

    sizes: tuple[_Count, ...] = (784, 64, 10)
    batch: _Count = 256
    batches_per_programming: _Count = 1
    programming: ProgrammingCost = ProgrammingCost()
    verify_reads: Annotated[float, Field(ge=0)] = 1.0
    fraction_rewritten: _Share = 1.0
    cells_per_weight: _Count = 2
    tile: tuple[_Count, _Count] = (128, 128)
    dac: DAC = DAC(bits=8)
    adc: ADC = ADC(bits=8)
    cell_read: _Energy = 0.2**2 * 8e-6 * 100e-9
    mean_square_input: _Share = 0.1
    reference_updates: Annotated[float, Field(gt=0)] = 1.0
    optimiser: Optimiser = "momentum"
    digital: CMOSDesign = CMOSDesign()

    @property
    def ratio(self) -> float:
        """Energy of the reference over that of the arrays."""
        return sum(self.reference.values()) / sum(self.arrays.values())

    @property
    def arrays(self) -> dict[str, float]:
        """J by part of one update of the dual arrays."""
        load = self._load("noisezo")
        inputs, outputs = self.conversions
        cells = _ARRAYS * self.cells_per_weight * load.parameters
        pulses = cells * self.fraction_rewritten * self.programming.pulses_per_write
        reads = pulses * self.verify_reads
        vectors = load.sample_forwards
        spent = periphery_energy(load, replace(self.digital, arithmetic="int8", processor=False))
        spent["write"] = pulses * self.programming.pulse_energy
        spent["verify"] = reads * (self.cell_read + self.adc.energy)
        spent["read_back"] = cells * self.cell_read + _ARRAYS * load.parameters * self.adc.energy
        products = vectors * self.cells_per_weight * load.parameters
        spent["array"] = products * self.mean_square_input * self.cell_read
        spent["dac"] = vectors * inputs * self.dac.energy
        spent["adc"] = vectors * outputs * self.adc.energy
        return spent

    @property
    def reference(self) -> dict[str, float]:
        """J by part of as many mini-batches of MeZO on the digital design."""
        return {
            part: energy * self.reference_updates
            for part, energy in reference_energy(self._load("mezo"), self.digital).items()
        }

    @property
    def conversions(self) -> tuple[int, int]:
        """Digital-to-analog and analog-to-digital conversions of one vector through all tiles."""
        rows, columns = self.tile
        to_analog = to_digital = 0
        for inputs, outputs in pairwise(self.sizes):
            to_analog += (inputs + 1) * len(tiling.blocks(outputs, columns // 2))
            to_digital += outputs * len(tiling.blocks(inputs + 1, rows))
        return to_analog, to_digital

    def _load(self, method: str) -> Workload:
        """K mini-batches through both arrays, or an update of the reference for each of them."""
        batches, dual = self.batches_per_programming, method == "noisezo"
        load = Workload(
            sizes=self.sizes,
            method=method,
            optimiser=self.optimiser,
            batch=self.batch,
            updates=1 if dual else batches,
            passes=_ARRAYS * batches,
        )
        if not dual:
            return load
        codes = load.sample_forwards * self.conversions[1] + _ARRAYS * load.parameters
        return replace(load, programmings=self.fraction_rewritten, codes=codes)


def sensitivity(base: Assumptions, ranges: Mapping[str, tuple[Any, Any]]) -> "xr.Dataset":
    """The ratio with one assumption at a time at the two ends of its range.

    Parameters
    ----------
    base : all other assumptions.
    ranges : path of a field of :class:`Assumptions`, such as "programming.pulse_energy", to its
        two values.

    Returns
    -------
    Dataset over ``assumption`` and ``end`` ("low", "high"): ``ratio``; attribute ``base_ratio``.

    Raises
    ------
    InputError : no such field, or a value that it does not allow.

    Examples
    --------
    >>> found = sensitivity(Assumptions(), {"programming.pulse_energy": (1e-12, 100e-12)})
    >>> bool(found.ratio.sel(end="low").item() > found.ratio.sel(end="high").item())
    True
    """
    import xarray as xr  # slow to import

    ratios = [
        [adjusted(base, path, value).ratio for value in values] for path, values in ranges.items()
    ]
    described = {"units": "1", "long_name": "Energy of CMOS over energy of dual arrays"}
    return xr.Dataset(
        {"ratio": (("assumption", "end"), np.array(ratios), described)},
        coords={"assumption": list(ranges), "end": ["low", "high"]},
        attrs={"base_ratio": base.ratio, "claimed_ratio": CLAIMED_RATIO},
    )
