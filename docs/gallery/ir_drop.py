"""IR drop: the voltage that is left across every cell."""

import matplotlib.pyplot as plt
import numpy as np

import zerohm as zo

plt.style.use("zerohm.paper")
conductance = 10 ** np.random.default_rng(0).uniform(-6, -4, (128, 128))  # S
solution = zo.crossbar.Network(conductance, wire_resistance=1.0).solve(np.full(128, 0.2))
across = solution.word_line_voltages - solution.bit_line_voltages

figure, axes = plt.subplots()
image = axes.imshow(1e3 * across, cmap="cividis", interpolation="none")
axes.set_xlabel("Bit line")
axes.set_ylabel("Word line")
figure.colorbar(image, label="Voltage across the cell (mV)")
figure.savefig("ir_drop.png")
