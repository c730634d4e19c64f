"""Variance of bit-line currents from independent noise of the cells, as one matrix S.

With input v, cell (a, j) carries the voltage v_a f_aj, and a change δ of its conductance moves the
current of its own column by u_aj δ v_a f_aj, where u is the voltage across the cell when sense node
j is at 1 V and everything else at 0 V (see :mod:`zerohm.crossbar.noise_through_wires`). Hence the
variance of the currents is v² S with S_aj = (std_aj u_aj f_aj)².

**f** depends on the whole input. :func:`noise_transfer` takes that of a constant one, from one
solution. :class:`InputVariance` takes d_aj = q_aj (v_a − m) + f_aj m, where m is the mean of v and
q the voltage of a cell per volt at its own driver alone, from the same ladders as u with rows and
columns exchanged: what the other rows have beyond the mean has both signs and mostly cancels.

**u** costs no solution. While bit line j alone is raised, the other bit lines stay near 0 V. Held
there, word line a is a resistive ladder that cell (a, j) sees as one resistance z_aj to ground,
and bit line j is a ladder of branches G/(1 + z G). Both follow from recursions along the lines,
O(rows · cols) for all columns together. Against the full adjoint solution u is wrong by at most
2e-3 at 128x128 and 4e-3 at 256x256 (cells uniform in 1e-6 to 1e-4 S, 2.5 Ω), the standard
deviation of currents by 7e-4 and 1.1e-3: always too large, since the other bit lines do rise.

Conductances combine in series as 1/(r + 1/y), so that 0 Ω and 0 S are exact.
"""

import numpy as np
from numpy.typing import ArrayLike

from zerohm._arrays import Array
from zerohm._errors import InputError
from zerohm._jit import kernel

from .network import Network

INPUT_TOLERANCE = 1e-6
"""Residual of the solution for f: well below the error of u."""


def noise_transfer(network: Network, std: ArrayLike) -> Array:
    """S (rows, cols) in S², so that currents have the variance ``voltages**2 @ S`` in A².

    Parameters
    ----------
    network : with drivers on all word lines and sense nodes below the last row only.
    std : S, one value or (rows, cols), standard deviation of every cell.

    Raises
    ------
    InputError : a wrong shape, a standard deviation that is negative or not finite, another
        topology.
    SolverError : the constant input could not be solved.

    Examples
    --------
    Half of the input is left for a cell of 1 S behind 1 Ω, and half of its response:

    >>> noise_transfer(Network([[1.0]], source_resistance=1.0), 0.1)
    array([[0.000625]])
    """
    circuit, (rows, cols) = network.circuit, network.shape
    if circuit.has_floating_lines or not np.isinf(circuit.bit.first).all():
        raise InputError(
            "noise_transfer needs a driver on every word line and sense nodes below the last row "
            "only, this network has floating lines or far sense nodes: use ExactNoise"
        )
    deviation = checked_std(std, network.shape)
    across = network.solve_cells(np.ones(rows), np.zeros(cols), tolerance=INPUT_TOLERANCE)
    return np.asarray((deviation * own_column_adjoint(network) * across.voltages) ** 2)


class InputVariance:
    """Variance of currents for inputs of any shape: Σ_a (std u)²_aj (q_aj (v_a − m) + f_aj m)².

    Measured against the exact std of every current at 1 to 2.5 Ω, up to 256x256 and 784x64: 0.97
    to 1.04 times, for constant, random, sparse and alternating inputs and an image of a digit; up
    to 1.2 times for a single row where its cell hardly conducts; up to 1.1 times at 128x128 and
    1.3 times at 256x256 if just the upper half is driven.

    Parameters
    ----------
    network : with drivers at column 0 and sense nodes below the last row only.
    std : S, one value or (rows, cols), standard deviation of every cell.

    Raises
    ------
    InputError : as for :func:`noise_transfer`.

    Examples
    --------
    >>> variance = InputVariance(Network([[1.0]], source_resistance=1.0), 0.1)
    >>> variance(np.array([[2.0]]))
    array([[0.0025]])
    """

    def __init__(self, network: Network, std: ArrayLike) -> None:
        if not np.isinf(network.circuit.word.last).all():
            raise InputError("InputVariance knows no far drivers: use ExactNoise")
        uniform = noise_transfer(network, std)
        own = (checked_std(std, network.shape) * own_column_adjoint(network)) ** 2
        own *= own_row_input(network) ** 2
        cross = np.sqrt(own * uniform)
        # (q (v − m) + f m)² in powers of v and m; 2 m v has no product of its own.
        self._square, self._mixed = own, 2.0 * (cross - own)
        self._mean = (own - 2.0 * cross + uniform).sum(axis=0)

    def __call__(self, voltages: Array) -> Array:
        """Variances (batch, cols) in A² for voltages (batch, rows) in V."""
        mean = voltages.mean(axis=-1, keepdims=True)
        mixed = voltages @ self._mixed + mean * self._mean
        variance: Array = (voltages * voltages) @ self._square
        variance += mean * mixed
        return np.maximum(variance, 0.0, out=variance)  # round-off of an input near zero


def own_row_input(network: Network) -> Array:
    """Voltages q (rows, cols) in V/V across the cells of row a with driver a alone at 1 V."""
    circuit = network.circuit
    word, bit = circuit.word, circuit.bit
    # The circuit turned around: bit lines become word lines and sense nodes drivers.
    turned = np.ascontiguousarray(circuit.conductance[::-1, ::-1].T)
    behind, potential = np.empty(turned.shape), np.empty(turned.shape)
    grounded_resistance(turned, bit.segment, bit.last[::-1], bit.first[::-1], behind)
    share = 1.0 / (1.0 + turned * behind)
    ladder_potentials(turned * share, word.segment, word.first[::-1], potential)
    return np.asarray((potential * share).T[::-1, ::-1])


def own_column_adjoint(network: Network) -> Array:
    """Voltages u (rows, cols) in V/V across the cells of column j with sense node j at 1 V.

    The sign is from bit line to word line. See the module for the approximation and its error;
    the topology is that of :func:`noise_transfer`.
    """
    circuit = network.circuit
    word, bit = circuit.word, circuit.bit
    behind, potential = np.empty(circuit.shape), np.empty(circuit.shape)
    grounded_resistance(circuit.conductance, word.segment, word.first, word.last, behind)
    share = 1.0 / (1.0 + circuit.conductance * behind)
    ladder_potentials(circuit.conductance * share, bit.segment, bit.last, potential)
    return np.asarray(potential * share)


def checked_std(std: ArrayLike, shape: tuple[int, int]) -> Array:
    """Standard deviations of shape (rows, cols) in S.

    Raises
    ------
    InputError : another shape than that or one value; negative, infinite or NaN.
    """
    given = np.asarray(std, dtype=np.float64)
    if given.shape not in ((), shape):
        raise InputError(f"std has shape {given.shape}, it must be one value or {shape}")
    if not np.all((given >= 0.0) & (given < np.inf)):
        raise InputError("std must be finite and not negative (S)")
    return np.array(np.broadcast_to(given, shape))


@kernel
def grounded_resistance(
    conductance: Array, segment: float, first: Array, last: Array, seen: Array
) -> None:
    """Resistance (rows, cols) to ground that each cell sees in its word line (Ω, out).

    conductance (rows, cols) (S): all other cells lead to ground; segment, first and last (rows,)
    (Ω): so do both terminals.
    """
    rows, cols = conductance.shape
    for i in range(rows):
        beyond = 1.0 / first[i]
        for j in range(cols):
            seen[i, j] = beyond
            beyond = 1.0 / (segment + 1.0 / (beyond + conductance[i, j]))
        beyond = 1.0 / last[i]
        for j in range(cols - 1, -1, -1):
            seen[i, j] = 1.0 / (seen[i, j] + beyond)
            beyond = 1.0 / (segment + 1.0 / (beyond + conductance[i, j]))


@kernel
def ladder_potentials(branches: Array, segment: float, last: Array, potential: Array) -> None:
    """Potentials (rows, cols) of bit lines with their last terminals at 1 V (V, out).

    branches (rows, cols) (S) lead from each node to ground; segment and last (cols,) (Ω); the line
    is open above row 0.
    """
    rows, cols = branches.shape
    upward = np.empty((rows, cols))
    for j in range(cols):
        upward[0, j] = branches[0, j]
    for i in range(1, rows):
        for j in range(cols):
            upward[i, j] = branches[i, j] + 1.0 / (segment + 1.0 / upward[i - 1, j])
    for j in range(cols):
        potential[rows - 1, j] = 1.0 / (1.0 + last[j] * upward[rows - 1, j])
    for i in range(rows - 2, -1, -1):
        for j in range(cols):
            potential[i, j] = potential[i + 1, j] / (1.0 + segment * upward[i, j])
