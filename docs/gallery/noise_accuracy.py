"""Noise versus accuracy: a sweep of the write noise, trained by it."""

import zerohm as zo

result = zo.sweeps.run(
    zo.training.experiment,
    {"write_noise": [0.01, 0.03, 0.1], "seed": range(3)},
    fixed={"readback_noise": 0.01, "passes": 600, "evaluations": 1},
)
axes = zo.sweeps.noise_accuracy(result, reference={"chance": 0.1})
axes.savefig("noise_accuracy.png")
