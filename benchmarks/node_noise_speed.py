"""Time of a training pass of node noise beside a plain forward pass, on one thread.

The same network (784-64-10), mini-batches of 512 and number of passes: training on two arrays' or
one array's noise (programming, converters, read noise, gradient and update included), and plain
numpy in float32, x ↦ max(W₁x + b₁, 0) ↦ W₂h + b₂. Both alternate in short turns, so that what else
the machine does falls on both; processor time, median of the turns. The plain pass is given with
and without drawing the mini-batch from the data, which training does for each pair of passes.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/node_noise_speed.py [--profile]
"""

import argparse
import cProfile
import pstats
import time
from collections.abc import Callable

import numpy as np

from zerohm import devices, mapping
from zerohm._random import stream
from zerohm.training import mlp
from zerohm.training.node_noise import NodeNoise

BATCH, SAMPLES, FEATURES, HIDDEN, CLASSES = 512, 60_000, 784, 64, 10


def timed(work: Callable[[], object], passes: int) -> float:
    """Processor time per pass, ms."""
    start = time.process_time()
    for _ in range(passes):
        work()
    return 1e3 * (time.process_time() - start) / passes


def main() -> None:
    """Print times per pass and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--passes", type=int, default=40, help="in each turn, an even number")
    parser.add_argument("--arrays", type=int, default=1, choices=(1, 2))
    parser.add_argument("--batches-per-programming", type=int, default=5)
    parser.add_argument("--profile", action="store_true", help="where training spends its time")
    options = parser.parse_args()

    rng = stream(0, "speed")
    # A fifth of the pixels are bright, as in MNIST.
    inputs = rng.random((SAMPLES, FEATURES), dtype=np.float32)
    inputs *= rng.random((SAMPLES, FEATURES), dtype=np.float32) < 0.2
    labels = rng.integers(0, CLASSES, SAMPLES)

    def draw() -> tuple[np.ndarray, np.ndarray]:
        chosen = rng.integers(0, SAMPLES, BATCH)
        return inputs[chosen], labels[chosen]

    cell = devices.preset("Wan2022").with_noise(write=0.02, read=0.01)
    network = mlp([FEATURES, HIDDEN, CLASSES], hardware=mapping.rram(cell))
    weights = network.initial_parameters(rng)
    method = NodeNoise(
        arrays=options.arrays, batches_per_programming=options.batches_per_programming
    )
    trainer = method.start(network, weights, rng=stream(1, "speed"))
    first, second = (np.ascontiguousarray(m[:, :-1]) for m in network.matrices(weights))
    bias, last_bias = (m[:, -1].copy() for m in network.matrices(weights))
    batch, _ = draw()

    def forward(x: np.ndarray) -> np.ndarray:
        return np.maximum(x @ first.T + bias, 0) @ second.T + last_bias

    def train() -> None:
        trainer.step(draw, 0.0)

    train()
    turns = []
    for _ in range(options.turns):
        turns.append(
            (
                timed(train, options.passes // 2) / 2,
                timed(lambda: forward(batch), options.passes),
                timed(lambda: forward(draw()[0]), options.passes),
            )
        )
    training, plain, drawn = np.median(turns, axis=0)
    print(f"training pass            {training:6.2f} ms")
    print(f"plain pass               {plain:6.2f} ms   ratio {training / plain:5.2f}")
    print(f"plain pass, batch drawn  {drawn:6.2f} ms   ratio {training / drawn:5.2f}")
    if options.profile:
        profile = cProfile.Profile()
        profile.runcall(timed, train, 100)
        pstats.Stats(profile).sort_stats("tottime").print_stats(20)


if __name__ == "__main__":
    main()
