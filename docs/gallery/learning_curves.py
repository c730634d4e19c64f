"""Learning curves: three methods on the same crossbars."""

import zerohm as zo

task = zo.datasets.load("digits")
cell = zo.devices.preset("Wan2022").with_noise(write=0.02, read_back=0.01)
model = zo.training.mlp([64, 32, 10], hardware=zo.mapping.rram(cell))
methods = {
    "Backpropagation": zo.training.Backprop(),
    "Local node perturbation": zo.training.LocalNodePerturbation(steps_per_programming=10),
    "NoiseZO": zo.training.NoiseZO(learning_rate=0.016),
}
runs = {
    name: zo.training.fit(
        model, task, method=method, seed=0, passes=1_000, batch=512, evaluations=10
    )
    for name, method in methods.items()
}
axes = zo.sweeps.learning_curves(runs, reference={"chance": task.chance})
axes.savefig("learning_curves.png")
