"""Photonic meshes: errors of the matrix against the bits of every phase."""

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import unitary_group

import zerohm as zo

plt.style.use("zerohm.paper")
bits = np.arange(3, 13)
figure, axes = plt.subplots()
for ports, marker in ((8, "o"), (16, "s"), (32, "^")):
    wanted = [unitary_group.rvs(ports, random_state=seed) for seed in range(4)]
    errors = [
        np.mean(
            [
                np.linalg.norm(zo.photonics.Mesh.from_unitary(u, phase_bits=int(b)).matrix() - u)
                for u in wanted
            ]
        )
        / np.sqrt(ports)
        for b in bits
    ]
    axes.semilogy(bits, errors, marker, label=f"{ports} ports")
    axes.semilogy(bits, np.sqrt(ports / 12) * 2 * np.pi / 2.0**bits, color="0.4", linewidth=0.6)
axes.set_xlabel("Bits $b$ of every phase")
axes.set_ylabel("Error of the matrix $E$")
axes.legend(title="Lines: $\\sqrt{N/12}\\;2π/2^b$", alignment="left")
figure.savefig("photonic_errors.png")
