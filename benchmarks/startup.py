"""What a new user waits for: importing the package, and compiling kernels at their first use.

Every line is run in fresh processes, whose processor time counts: it hardly depends on what else
the machine does. Imports: the least of several, in turns. First uses: with an empty cache of
compiled kernels, then once more with what the first process has left there; "compiling" is their
difference.

    python benchmarks/startup.py [--repeats 7]
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile

FIRST_USES = {
    "circuit with wires": """
        network = zo.crossbar.Network(np.full((64, 64), 1e-5), wire_resistance=1.0)
        network.solve(np.full(64, 0.2))""",
    "crossbar: write, wait, read": """
        array = zo.crossbar.Crossbar(zo.devices.preset("Levy2024-B"), shape=(8, 8), seed=0)
        array.program(np.full((8, 8), 5e-5))
        array.advance(10.0)
        array.read(np.full(8, 0.1))""",
    "pulses": """
        zo.devices.preset("Gong2018")""",
    "cycling (Hennen2022)": """
        zo.devices.preset("Hennen2022")""",
    "photonic mesh": """
        mesh = zo.photonics.Mesh.from_unitary(np.eye(8, dtype=complex))
        mesh.matrix()""",
    "training by write noise": """
        zo.training.experiment(task="digits", passes=20, evaluations=1, write_noise=0.02)""",
    "training meshes": """
        zo.training.experiment(task="digits", passes=20, evaluations=1, hardware="photonic")""",
    "integer training": """
        zo.training.experiment(task="digits", method="quantized-zo", hardware="int8", passes=20)""",
    "convolutional training": """
        settings = {"method": "convolutional-node-perturbation", "network": "cnn", "passes": 20}
        zo.training.experiment(task="digits", hardware="digital", **settings)""",
}


def seconds(code: str, **environment: str) -> float:
    """Processor time of a fresh process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment |= {"OPENBLAS_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, **environment})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    imports = ("pass", "import scipy.stats", "import zerohm")
    times = [[seconds(code) for code in imports] for _ in range(repeats)]
    bare, scipy_stats, own = (min(column) for column in zip(*times, strict=True))
    print(f"import scipy.stats  {scipy_stats - bare:6.3f} s more than a bare interpreter")
    share = (own - bare) / (scipy_stats - bare)
    print(f"import zerohm       {own - bare:6.3f} s, {share:.2f} of that")
    print(f"\n{'first use':28} {'empty cache (s)':>15} {'again (s)':>10} {'compiling (s)':>13}")
    for name, code in FIRST_USES.items():
        lines = ["import numpy as np", "import zerohm as zo", *map(str.strip, code.splitlines())]
        with tempfile.TemporaryDirectory() as folder:
            first, again = (seconds("\n".join(lines), ZEROHM_CACHE=folder) for _ in range(2))
        print(f"{name:28} {first:15.1f} {again:10.1f} {first - again:13.1f}")


if __name__ == "__main__":
    main()
