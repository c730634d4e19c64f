"""Cells in time: relaxation, 1/f noise and drift after one programming event."""

import matplotlib.pyplot as plt
import numpy as np

import zerohm as zo

plt.style.use("zerohm.paper")
times = np.geomspace(1e-2, 1e3, 60)  # s
names = ("Levy2024-B", "Falcone2025", "Nandakumar2019")
figure, panels = plt.subplots(1, 3, figsize=(7.16, 2.2))
for panel, name in zip(panels, names, strict=True):
    preset, rng = zo.devices.preset(name), np.random.default_rng(0)
    cells = zo.devices.Cells(preset, (12,), rng)
    cells.program(np.full(12, (preset.conductance_min + preset.conductance_max) / 2), rng)
    seen = []
    for step in np.diff(times, prepend=0):
        cells.advance(step, rng)
        seen.append(cells.conductance.copy())
    panel.semilogx(times, 1e6 * np.array(seen), color="C0", linewidth=0.6)
    panel.set_title(name)
    panel.set_xlabel("Time after programming (s)")
panels[0].set_ylabel("Conductance (µS)")
figure.savefig("cells_in_time.png")
