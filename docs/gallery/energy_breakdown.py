"""Energy breakdown: what training costs, by the parts of the hardware."""

import zerohm as zo

task = zo.datasets.load("digits")
cell = zo.devices.preset("Wan2022").with_noise(write=0.02, read_back=0.01)
model = zo.training.mlp([64, 32, 10], hardware=zo.mapping.rram(cell))
methods = {
    "NoiseZO": zo.training.NoiseZO(),
    "MeZO": zo.training.MeZO(),
    "Local node perturbation": zo.training.LocalNodePerturbation(steps_per_programming=10),
}
runs = {
    name: zo.training.fit(model, task, method=method, seed=0, passes=200, evaluations=1)
    for name, method in methods.items()
}
axes = zo.sweeps.energy_breakdown(runs, scale="log")
axes.savefig("energy_breakdown.png")
