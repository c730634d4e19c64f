"""Heat map: what is left of a trained network behind few bits and noisy writes."""

import numpy as np
import xarray as xr

import zerohm as zo

task = zo.datasets.load("digits")


def network(write_noise, adc_bits):
    """A linear classifier on crossbars."""
    cell = zo.devices.preset("Wan2022").with_noise(write=write_noise)
    hardware = zo.mapping.rram(cell, adc=zo.crossbar.ADC(bits=adc_bits))
    return zo.training.mlp([64, 10], hardware=hardware)


def trained(model, steps=500):
    """Weights after backpropagation in exact arithmetic, within what cells can store."""
    rng = np.random.default_rng(0)
    trainer = zo.training.Backprop().start(model, model.initial_parameters(rng), rng=rng)

    def draw():
        chosen = rng.integers(0, len(task.train_labels), 128)
        return task.train_inputs[chosen], task.train_labels[chosen]

    for step in range(steps):
        trainer.step(draw, step / steps)
    return trainer.parameters


weights = trained(network(0.0, 8))


def deployed(write_noise, adc_bits, seed):
    """The same weights on freshly programmed crossbars."""
    rng = np.random.default_rng(seed)
    state = network(write_noise, adc_bits).program(weights, rng=rng)
    right = state.forward(task.test_inputs, rng=rng).argmax(axis=-1) == task.test_labels
    return xr.Dataset({"deployed_accuracy": right.mean()})


noises, bits = [0.0, 0.02, 0.05, 0.1, 0.2], [3, 4, 5, 6, 8]
result = zo.sweeps.run(deployed, {"write_noise": noises, "adc_bits": bits, "seed": range(3)})
axes = zo.sweeps.heat_map(result, x="write_noise", y="adc_bits")
axes.savefig("heat_map.png")
