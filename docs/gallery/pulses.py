"""Pulses: up and down with device-to-device and cycle-to-cycle variation."""

import matplotlib.pyplot as plt
import numpy as np

import zerohm as zo
from zerohm.devices.pulses import SoftBounds

plt.style.use("zerohm.paper")
law = SoftBounds(step_up=0.02, step_down=0.03, cycle_to_cycle=0.3, step_spread=0.3)
cell = zo.devices.Cell(name="mine", conductance_min=10e-6, conductance_max=50e-6, pulses=law)
rng = np.random.default_rng(0)
cells = zo.devices.PulsedCells(cell, (20,), rng)
seen = [cells.conductance.copy()]
for direction in [+1] * 100 + [-1] * 100:
    cells.pulse(direction, rng)
    seen.append(cells.conductance.copy())

figure, axes = plt.subplots()
axes.plot(1e6 * np.array(seen), color="C0", alpha=0.4, linewidth=0.6)
axes.plot(1e6 * np.mean(seen, axis=1), color="C1", label="Mean of 20 devices")
axes.set_xlabel("Pulses, 100 up, 100 down")
axes.set_ylabel("Conductance (µS)")
axes.legend(loc="lower center")
figure.savefig("pulses.png")
