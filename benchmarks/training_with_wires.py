"""Time of a NoiseZO step with resistive wires against the same step with ideal ones.

A 784-64-10 network on Wan2022 cells in tiles of at most 128 × 128, 2 % write noise, 1 % read-back
noise, 8-bit converters, 1 Ω per segment; rounds of 20 steps, in turn in one process.

    python benchmarks/training_with_wires.py
"""

import time

import numpy as np

import zerohm as zo
from zerohm._random import stream

ROUNDS, STEPS = 6, 20


def main() -> None:
    """Print the ratio for two batch sizes."""
    cell = zo.devices.preset("Wan2022").with_noise(write=0.02, read_back=0.01)
    rng = np.random.default_rng(0)
    inputs, labels = rng.random((4096, 784), dtype=np.float32), rng.integers(0, 10, 4096)
    trainers = []
    for resistance in (0.0, 1.0):
        hardware = zo.mapping.rram(cell, wire_resistance=resistance)
        network = zo.training.mlp([784, 64, 10], hardware=hardware)
        parameters = network.initial_parameters(stream(0))
        trainers.append(zo.training.NoiseZO().start(network, parameters, rng=stream(1)))
    for batch in (256, 1024):

        def draw(size: int = batch) -> tuple[np.ndarray, np.ndarray]:
            chosen = rng.integers(0, len(labels), size)
            return inputs[chosen], labels[chosen]

        times = np.array([[_time(trainer, draw) for trainer in trainers] for _ in range(ROUNDS)])
        ideal, wired = 1e3 * np.median(times, axis=0) / STEPS
        ratio = np.median(times[:, 1] / times[:, 0])
        print(
            f"batch {batch}: ideal {ideal:.1f} ms, 1 Ω {wired:.1f} ms per step, ratio {ratio:.2f}"
        )


def _time(trainer: zo.training.Trainer, draw: object) -> float:
    start = time.process_time()
    for _ in range(STEPS):
        trainer.step(draw, 0.0)  # type: ignore[arg-type]
    return time.process_time() - start


if __name__ == "__main__":
    main()
