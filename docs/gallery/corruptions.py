"""Corrupted images: the twelve kinds at severity 5."""

import matplotlib.pyplot as plt

import zerohm as zo

plt.style.use("zerohm.paper")
figure, panels = plt.subplots(3, 4, figsize=(3.5, 3.0))
for panel, corruption in zip(panels.flat, zo.datasets.CORRUPTIONS, strict=True):
    task = zo.datasets.load("digits-c", corruption=corruption)
    panel.imshow(task.test_inputs[3].reshape(8, 8), cmap="gray", vmin=0, vmax=1)
    panel.set_title(corruption.replace("-", " "))
    panel.set_axis_off()
figure.savefig("corruptions.png")
