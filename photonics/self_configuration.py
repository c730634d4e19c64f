"""Program a mesh whose coupler errors are not known, from what leaves its outputs.

The decomposition of the wanted matrix is carried out on the hardware (Miller, Photonics Research
1, 1 (2013); Hamerly, Bandyopadhyay & Englund 2022 for rectangles). Where it nulls an element of
the matrix with a Mach–Zehnder interferometer (MZI), a field is sent into the mesh for which a
known combination of the outputs must be dark, and that MZI is set so that it is. Only sources at
the inputs and coherent receivers at the outputs are needed. MZIs whose turn has not come are in
the cross state: then light reaches those outputs through the one MZI only.

In the two phases of that MZI the amplitude f of the combination is bilinear, whatever its couplers
do::

    f = f₀ + f₁ exp(iφ) + f₂ exp(iθ) + f₃ exp(iθ + iφ)

Four measurements give f₀ … f₃, and θ, φ with f = 0 follow in closed form. Errors of MZIs set
before are in what is measured, so later ones make up for them. What no phases make dark (see
:mod:`~zerohm.photonics.correction` for the limits of an MZI) is reported. Noise of the standard
deviation s in the amplitude of every output, for fields of unit power, leaves E = ‖ΔU‖/√N =
0.85 √N s (4 to 32 ports). Phase shifters must not act on each other, and all paths must have the
same loss.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from zerohm._arrays import Array
from zerohm._errors import InputError

from .decomposition import Phases, checked_unitary, in_one_turn, nullings
from .decomposition_kernels import carry_phases, nulling_cell
from .kernels import Complex
from .layout import Layout

Measure = Callable[[Phases, Complex], Complex]
"""Sets the phases, sends a field (ports,) into the inputs, returns that at the outputs (ports,)."""


class SelfConfigured(NamedTuple):
    """Phases found by measurements on a mesh, and how well its MZIs could be set."""

    phases: Phases
    leftover: Array
    """(M,) amplitude that an MZI cannot make dark, by its four measurements, relative to the
    largest that it can make."""
    measurements: int
    """Fields sent, each with its own phase settings: 4 per MZI and 1 per output."""


def self_configure(unitary: ArrayLike, layout: Layout, measure: Measure) -> SelfConfigured:
    """Phases with which the mesh behind ``measure`` carries out a unitary matrix.

    Without noise the result is exact to rounding as long as all MZIs can reach what is asked of
    them; beyond, the error has the same size as that of correcting known errors.

    Parameters
    ----------
    unitary : (ports, ports), real or complex.
    layout : of the mesh, "clements" or "reck": in a diamond the light that leaks to lines without
        a port cannot be seen, and a butterfly has no sequence of nullings.
    measure : the mesh: called with phases and a field of unit power, it returns the fields at the
        outputs as coherent receivers with a common phase reference give them, noise included.

    Raises
    ------
    InputError : as of :func:`~zerohm.photonics.decompose`; a layout without a method; no light
        where light is expected; or fields from ``measure`` that are not (ports,) and finite.

    Examples
    --------
    >>> import numpy as np
    >>> from zerohm.photonics import clements
    >>> from zerohm.photonics.self_configuration import self_configure
    >>> coupler = np.array([[np.cos(0.8), 1j * np.sin(0.8)], [1j * np.sin(0.8), np.cos(0.8)]])
    >>> def measure(phases, field):  # one MZI with unequal couplers
    ...     shift = np.exp(1j * np.array([phases.phi[0], 0.0]))
    ...     inner = np.exp(1j * np.array([phases.theta[0], 0.0]))
    ...     return np.exp(1j * phases.gamma) * (coupler @ (inner * (coupler @ (shift * field))))
    >>> hadamard = np.array([[1, 1], [1, -1]]) / np.sqrt(2)
    >>> phases, leftover, count = self_configure(hadamard, clements(2), measure)
    >>> count, bool(np.allclose(measure(phases, hadamard[0]), [1, 0]))
    (6, True)
    """
    if layout.name not in ("clements", "reck"):
        raise InputError(
            f"layout {layout.name!r} cannot configure itself; 'clements' and 'reck' can"
        )
    remaining = checked_unitary(unitary, layout).copy()
    bench = _Bench(layout, measure)
    # remaining = analyser · unitary · source, with the ideal MZIs stripped so far.
    source, analyser = np.eye(layout.ports, dtype=complex), np.eye(layout.ports, dtype=complex)
    leftover = np.zeros(layout.mzis)
    # Where phases of the diagonal matrix stand: behind the last right MZI of a line, or in front.
    diagonal: list[Array] = [bench.line[j : j + 1] for j in range(layout.ports)]
    for right, row, column, m in zip(*nullings(layout), strict=True):
        if right:
            pair = [column, column + 1]
            cell = _mzi(*nulling_cell(remaining[row, column], -remaining[row, column + 1]))
            for matrix in (remaining, source):
                matrix[:, pair] = matrix[:, pair] @ cell.conj().T
            knob = bench.phi[m : m + 1]
            diagonal[column], diagonal[column + 1] = bench.after[m, :1], bench.after[m, 1:]
        else:
            pair = [row - 1, row]
            cell = _mzi(*nulling_cell(remaining[row, column], remaining[row - 1, column]))
            for matrix in (remaining, analyser):
                matrix[pair] = cell @ matrix[pair]
            knob = bench.after[m, :1]
        leftover[m] = bench.null(m, knob, source[:, column], analyser[row])
    for j in range(layout.ports):
        seen = bench.amplitude(source[:, j], analyser[j])
        diagonal[j] += np.angle(remaining[j, j]) - np.angle(seen)
    return SelfConfigured(bench.phases(), leftover, bench.measurements)


class _Bench:
    """The mesh in the laboratory, with phases behind every MZI that later phase shifters carry."""

    def __init__(self, layout: Layout, measure: Measure) -> None:
        self.layout, self.measure = layout, measure
        self.theta, self.phi = np.zeros(layout.mzis), np.zeros(layout.mzis)
        self.after, self.line = np.zeros((layout.mzis, 2)), np.zeros(layout.lines)
        self.measurements = 0

    def phases(self) -> Phases:
        """The settings of the phase shifters."""
        phi, line = self.phi.copy(), self.line.copy()
        theta = in_one_turn(self.theta)
        carry_phases(self.layout.upper, self.layout.lower, theta, phi, self.after, line, False)
        return Phases(theta, phi, line)

    def amplitude(self, source: Complex, analyser: Complex) -> complex:
        """Amplitude of a combination of the outputs, Σ analyser_i E_i, for a field sent in."""
        fields = np.asarray(self.measure(self.phases(), source.copy()))
        self.measurements += 1
        if fields.shape != source.shape or not np.all(np.isfinite(fields)):
            raise InputError(
                f"measure must return {source.shape} finite fields; it returned an array of the "
                f"shape {fields.shape} with {np.sum(~np.isfinite(fields))} not finite"
            )
        return complex(analyser @ fields)

    def null(self, m: int, knob: Array, source: Complex, analyser: Complex) -> float:
        """Make a combination of outputs dark by θ of one MZI and the phase ``knob`` (1,)."""
        seen = np.empty((2, 2), complex)
        for i, j in np.ndindex(2, 2):
            self.theta[m], knob[0] = np.pi * i, np.pi * j
            seen[i, j] = self.amplitude(source, analyser)
        self.theta[m], knob[0], dark, light = _dark_setting(seen)
        if not light > 0.0:
            raise InputError(f"no light has passed MZI {m}: the mesh or its receivers are dark")
        return dark / light


def _dark_setting(seen: Complex) -> tuple[float, float, float, float]:
    """θ, φ where a bilinear amplitude is smallest, its modulus there, and the largest anywhere.

    seen : (2, 2) amplitudes at θ = 0, π (rows) and φ = 0, π (columns).
    """
    f0, f1 = (seen.sum() / 4, (seen[:, 0] - seen[:, 1]).sum() / 4)
    f2, f3 = (seen[0] - seen[1]).sum() / 4, (seen[0, 0] - seen[0, 1] - seen[1, 0] + seen[1, 1]) / 4
    # |f0 + f2 z| = |f1 + f3 z| on |z| = 1 means Re(slope z) = level.
    slope = np.conj(f1) * f3 - np.conj(f0) * f2
    level = (abs(f0) ** 2 + abs(f2) ** 2 - abs(f1) ** 2 - abs(f3) ** 2) / 2
    spread = np.arccos(np.clip(level / abs(slope), -1, 1)) if abs(slope) > 0 else 0.0
    # Of the two solutions, which mirror each other about bar and cross, that nearer to [0, π].
    both = [(-np.angle(slope) + sign * spread) for sign in (1, -1)]
    theta = float(max(both, key=np.sin))
    still, turning = f0 + f2 * np.exp(1j * theta), f1 + f3 * np.exp(1j * theta)
    phi = float(np.angle(-still) - np.angle(turning))
    largest = float(abs(f0) + abs(f1) + abs(f2) + abs(f3))
    return theta, phi, float(abs(abs(still) - abs(turning))), largest


def _mzi(s: float, c: float, external: complex) -> Complex:
    """Matrix of the ideal MZI of sin(θ/2), cos(θ/2) and exp(iφ)."""
    return complex(-s, c) * np.array([[external * s, c], [external * c, -s]])
