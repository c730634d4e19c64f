"""Reading cells with noise through resistive wires, in three modes of falling cost and exactness.

Every cell deviates by itself and afresh at every read: its conductance is G + δ with Gaussian δ of
mean zero and standard deviation std. A conductance cannot be negative, so values below 0 S are
taken as 0 S, and counted. All modes are prepared once per programming event and then read:

* :class:`ExactNoise`: the solution of the circuit with the noisy cells of each read.
* :class:`FirstOrderNoise`: nominal currents plus Σ u δ d; a solution only for a new input.
* :class:`MomentMatchedNoise`: Gaussian currents of mean T v and a variance quadratic in v; three
  matrix products and one deviate per current.

Here d is the voltage across a cell of the nominal circuit, and u that of the adjoint circuit: all
drivers at 0 V and one sense node at 1 V, with the sign from bit line to word line. By reciprocity a
change δ of a cell then moves the current of that sense node by u δ d (S. W. Director &
R. A. Rohrer, IEEE Trans. Circuit Theory 16, 318, 1969).

The first two modes draw the same cells from the same generator, so they can be compared read by
read. Measured bounds below are for random inputs from 0 to 0.2 V and cells of 1e-6 to 1e-4 S
(log-uniform or uniform) unless they say otherwise.
"""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike

from zerohm._arrays import Array
from zerohm._errors import InputError
from zerohm._memory import require_memory

from .circuit import Circuit
from .kernels import add_noise
from .network import Network
from .noise_transfer import InputVariance, checked_std
from .solvers import SOLVERS, iterative_for, refine

TOLERANCE = 1e-5
"""Default largest residual of a solution: far below the noise, and two or three iterations."""

CHUNK = 64
"""Reads that share one product with the adjoint voltages; more would not make it faster."""


class NoisyReads(NamedTuple):
    """Currents (cols,) or (batch, cols) in A, and how many cell values were raised to 0 S."""

    currents: Array
    floored: int


class WireNoise(Protocol):
    """One mode, prepared for a network and the noise of its cells."""

    def read(self, voltages: ArrayLike, rng: Generator) -> NoisyReads:
        """Currents of one read per vector of driver voltages (rows,) or (batch, rows) in V."""


class ExactNoise:
    """I = Σᵢ G′ᵢⱼ d′ᵢⱼ, with the circuit solved for the noisy cells G′ of every read.

    Parameters
    ----------
    network : any topology.
    std : S, one value or (rows, cols), standard deviation of every cell.
    tolerance : largest relative residual of every solution. It bounds the error of the cell
        voltages in the power norm (see :mod:`zerohm.crossbar.circuit`); currents were within
        1e-5 of the exact ones (rms, up to 256x256 and 2.5 Ω), for noise of any size.

    Raises
    ------
    InputError : a wrong shape, a standard deviation that is negative or not finite.

    Examples
    --------
    >>> noise = ExactNoise(Network(np.full((2, 2), 1e-4), wire_resistance=1.0), 5e-6)
    >>> reads = noise.read([[0.2, 0.1]] * 3, np.random.default_rng(0))
    >>> reads.currents.shape, reads.floored
    ((3, 2), 0)
    """

    def __init__(self, network: Network, std: ArrayLike, *, tolerance: float = TOLERANCE) -> None:
        self._circuit = network.circuit
        self._std = checked_std(std, network.shape)
        self._tolerance = tolerance

    def read(self, voltages: ArrayLike, rng: Generator) -> NoisyReads:
        """See :class:`WireNoise`; every vector takes rows · cols deviates, in C order.

        Raises
        ------
        InputError : a wrong shape, voltages that are not finite; noise that isolates a node.
        SolverError : the tolerance was not reached.
        """
        nominal, (rows, cols) = self._circuit, self._circuit.shape
        batch = _checked_batch(voltages, rows)
        currents, floored = np.empty((len(batch), cols)), 0
        for vector, current in zip(batch, currents, strict=True):
            cells, below = _noisy_cells(nominal.conductance, self._std, rng)
            circuit = Circuit(cells, nominal.word, nominal.bit)
            circuit.check_connected()
            solver = SOLVERS[iterative_for(circuit)](circuit)
            found = refine(solver, np.subtract.outer(vector, np.zeros(cols)), self._tolerance)
            np.einsum("ij,ij->j", cells, found.voltages, out=current)
            floored += below
        return NoisyReads(_like_input(currents, voltages), floored)


class FirstOrderNoise:
    """I_j = (T v)_j + Σ_ak u⁽ʲ⁾_ak δ_ak d_ak(v): nominal solution and the adjoint of all columns.

    What is left out is quadratic in the noise. Measured up to 128x128 and 2.5 Ω, in rms: 1e-6, 3e-5
    and 1e-4 of the currents for a std of 1, 5 and 10 % of each conductance, which is 0.1, 0.5 and
    1 % of the noise. Most of it is a shift of the mean, the std is right within 0.1 %.

    A vector that repeats the one before it is not solved again. For vectors that all differ,
    :class:`ExactNoise` is as fast; this mode is for many reads of the same input, and for the
    linear response itself.

    Parameters
    ----------
    network : any topology.
    std : S, one value or (rows, cols), standard deviation of every cell.
    tolerance : largest relative residual of the nominal and adjoint solutions.

    Raises
    ------
    InputError : as for :class:`ExactNoise`; rows · cols² adjoint voltages that would not fit into
        the memory.
    SolverError : the tolerance was not reached.

    Examples
    --------
    >>> network = Network(np.full((2, 2), 1e-4), wire_resistance=1.0)
    >>> first = FirstOrderNoise(network, 5e-6).read([0.2, 0.1], np.random.default_rng(0))
    >>> exact = ExactNoise(network, 5e-6).read([0.2, 0.1], np.random.default_rng(0))
    >>> bool(abs(first.currents / exact.currents - 1).max() < 1e-5)
    True
    """

    def __init__(self, network: Network, std: ArrayLike, *, tolerance: float = TOLERANCE) -> None:
        rows, cols = network.shape
        self._network = network
        self._std = checked_std(std, network.shape)
        self._tolerance = tolerance
        require_memory(
            8.0 * rows * cols * (cols + CHUNK),
            f"first-order noise of a {rows}x{cols} array",
            "use ExactNoise or MomentMatchedNoise",
        )
        self._adjoint = np.empty((cols, rows * cols))
        for adjoint, unit in zip(self._adjoint, np.eye(cols), strict=True):
            found = network.solve_cells(np.zeros(rows), unit, tolerance=tolerance)
            np.negative(found.voltages.ravel(), out=adjoint)

    def read(self, voltages: ArrayLike, rng: Generator) -> NoisyReads:
        """See :class:`WireNoise`; every vector takes rows · cols deviates, in C order.

        Raises
        ------
        InputError : a wrong shape, voltages that are not finite.
        SolverError : the tolerance was not reached.
        """
        nominal, (rows, cols) = self._network.circuit.conductance, self._network.shape
        batch = _checked_batch(voltages, rows)
        currents, floored = np.empty((len(batch), cols)), 0
        sources = np.empty((min(CHUNK, len(batch)), rows * cols))
        for start in range(0, len(batch), CHUNK):
            chunk = slice(start, min(start + CHUNK, len(batch)))
            for k in range(chunk.start, chunk.stop):
                if k == 0 or not np.array_equal(batch[k], batch[k - 1]):
                    drops = self._network.solve_cells(
                        batch[k], np.zeros(cols), tolerance=self._tolerance
                    ).voltages
                    solved = np.einsum("ij,ij->j", nominal, drops)
                cells, below = _noisy_cells(nominal, self._std, rng)
                cells -= nominal
                cells *= drops
                sources[k - start] = cells.ravel()
                currents[k] = solved
                floored += below
            currents[chunk] += sources[: chunk.stop - chunk.start] @ self._adjoint.T
        return NoisyReads(_like_input(currents, voltages), floored)


class MomentMatchedNoise:
    """I ~ N(T v, diag(σ²(v))), with σ² from :class:`.noise_transfer.InputVariance`.

    Measured bounds of the std stand there. For cells with 5 % of noise, up to 2.5 Ω, the mean and
    T v differ by less than 0.5 % of the std; correlations between columns (at most 0.02) are left
    out.

    Parameters
    ----------
    network : with drivers at column 0 and sense nodes below the last row only.
    std : S, one value or (rows, cols), standard deviation of every cell.

    Raises
    ------
    InputError : a wrong shape, a standard deviation that is negative or not finite, another
        topology, not enough memory for the transfer matrix.

    Examples
    --------
    >>> noise = MomentMatchedNoise(Network(np.full((2, 2), 1e-4), wire_resistance=1.0), 5e-6)
    >>> noise.read([[0.2, 0.1]] * 3, np.random.default_rng(0)).currents.shape
    (3, 2)
    """

    def __init__(self, network: Network, std: ArrayLike) -> None:
        self._variance = InputVariance(network, std)
        self._transfer = network.transfer().T

    def read(self, voltages: ArrayLike, rng: Generator) -> NoisyReads:
        """See :class:`WireNoise`; every vector takes cols deviates. Nothing is floored.

        Raises
        ------
        InputError : a wrong shape, voltages that are not finite.
        """
        batch = _checked_batch(voltages, len(self._transfer))
        currents = batch @ self._transfer
        add_noise(currents, self._variance(batch), rng.standard_normal(currents.shape))
        return NoisyReads(_like_input(currents, voltages), 0)


def _noisy_cells(conductance: Array, std: Array, rng: Generator) -> tuple[Array, int]:
    """Cells (rows, cols) in S of one read, and how many of them were raised to 0 S."""
    cells = rng.standard_normal(conductance.shape)
    cells *= std
    cells += conductance
    floored = int(np.count_nonzero(cells < 0.0))
    return np.maximum(cells, 0.0, out=cells), floored


def _checked_batch(voltages: ArrayLike, rows: int) -> Array:
    """(batch, rows) V, finite."""
    given = np.asarray(voltages, dtype=np.float64)
    if given.ndim not in (1, 2) or given.shape[-1] != rows:
        raise InputError(
            f"voltages has shape {given.shape}, it must be ({rows},) or (batch, {rows})"
        )
    if not np.isfinite(given).all():
        raise InputError("voltages must be finite (V)")
    return np.atleast_2d(given)


def _like_input(currents: Array, voltages: ArrayLike) -> Array:
    """Without the batch axis if the voltages had none."""
    return currents if np.ndim(voltages) == 2 else currents[0]
