"""Error versus size: current that the wires of a crossbar cost."""

import numpy as np
import xarray as xr

import zerohm as zo


def loss(size, wire_resistance, seed):
    """Share of the output current that is lost."""
    rng = np.random.default_rng(seed)
    conductance = 10 ** rng.uniform(-6, -4, (size, size))  # S
    voltages = rng.uniform(0, 0.2, size)  # V
    network = zo.crossbar.Network(conductance, wire_resistance=wire_resistance)
    share = 1 - network.solve(voltages).currents.sum() / (voltages @ conductance).sum()
    return xr.Dataset({"lost_current": ((), share, {"long_name": "Share of the current lost"})})


grid = {"size": [16, 32, 64, 128], "wire_resistance": [0.5, 1.0, 2.5], "seed": range(3)}
axes = zo.sweeps.error_versus_size(zo.sweeps.run(loss, grid), "lost_current")
axes.savefig("error_versus_size.png")
