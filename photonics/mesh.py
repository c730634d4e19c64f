"""A programmed mesh: layout, phases and chip, and what it does to light."""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, Self

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike

from zerohm._arrays import Array
from zerohm._errors import InputError, checked
from zerohm._random import as_generator

from . import kernels
from .decomposition import decompose
from .imperfections import Chip, Imperfections, checked_phases, common_copies, require_copies
from .kernels import Complex
from .layout import Layout, named_layout

DIRECT_UP_TO = 2.0
"""Vectors per port up to which every vector is sent through the columns; larger batches are
multiplied with the transfer matrix. Both take the same time at 2.1 to 1.6 vectors per port for 64
to 256 ports in double precision, and at about 3 in single precision, for which the matrix is built
in double precision all the same (``benchmarks/photonic_propagation.py``)."""


@dataclass(frozen=True, eq=False)
class Mesh:
    """A mesh with its phases set, or K copies of it (phases or chips with a leading axis).

    Light passes the columns of MZIs, then one phase shifter on every port::

        U = diag(exp(iγ)) · (last column) ··· (first column)

    Parameters
    ----------
    layout : where the MZIs lie.
    theta, phi : (M,) or (K, M) rad, internal and external phase of every MZI, as they are in the
        light: what drivers make of the phases that they are asked for is :meth:`program`.
    gamma : (ports,) or (K, ports) rad, output phases.
    chip : the fabricated device; ``None`` for an ideal one.

    Raises
    ------
    InputError : wrong shapes, NaN, a chip of another layout.

    Examples
    --------
    >>> from zerohm.photonics import clements
    >>> cross = Mesh(clements(2), theta=[0.0], phi=[0.0], gamma=[0.0, 0.0])
    >>> cross.matrix().imag.round(9)
    array([[0., 1.],
           [1., 0.]])
    >>> np.abs(cross.propagate([[2.0, 0.0]])).round(9)
    array([[0., 2.]])
    """

    layout: Layout
    theta: Array
    phi: Array
    gamma: Array
    chip: Chip | None = None

    def __post_init__(self) -> None:
        if self.chip is not None and self.chip.layout != self.layout:
            raise InputError(f"the chip has {self.chip.layout}, the mesh {self.layout}")
        phases = checked_phases(self.layout, self.theta, self.phi, self.gamma)
        for name, values in phases._asdict().items():
            fixed = values.copy()
            fixed.setflags(write=False)
            object.__setattr__(self, name, fixed)
        self.copies  # noqa: B018  (raises if chip and phases disagree)

    @classmethod
    def from_unitary(
        cls,
        unitary: ArrayLike,
        *,
        layout: str = "clements",
        rng: int | Generator = 0,
        copies: int | None = None,
        **imperfections: Any,
    ) -> Self:
        """The mesh that carries out a unitary matrix, programmed as if its chip were ideal.

        Parameters
        ----------
        unitary : (N, N), real or complex; U[i, j] is output i for input j.
        layout : name in :data:`~zerohm.photonics.LAYOUTS`; a butterfly takes its own family only.
        rng : of the fabrication, then of the programming.
        copies : number of chips; ``None`` for one, without a leading axis.
        imperfections : parameters of :class:`Imperfections`; none for an ideal chip.

        Raises
        ------
        InputError : a matrix that is not unitary, a layout that does not support its size, or
            imperfections out of range, such as a negative loss.

        Examples
        --------
        >>> fourier = np.exp(2j * np.pi / 4 * np.outer(range(4), range(4))) / 2
        >>> mesh = Mesh.from_unitary(fourier)
        >>> bool(np.allclose(mesh.matrix(), fourier, rtol=0, atol=1e-14))
        True
        >>> lossy = Mesh.from_unitary(fourier, layout="reck", loss_dB=0.1, splitter_std=0.01)
        >>> bool(np.linalg.norm(lossy.matrix(), 2) < 1)
        True
        """
        process = checked(Imperfections, "imperfections", **imperfections)
        target = np.asarray(unitary)
        if target.ndim != 2:
            raise InputError(f"unitary has shape {target.shape}: must be a square matrix")
        arrangement = named_layout(layout, len(target))
        phases = decompose(target, arrangement)
        generator = as_generator(rng)
        chip = process.fabricate(arrangement, generator, copies=copies)
        return cls(arrangement, *chip.program(*phases, generator), chip)

    @property
    def device(self) -> Chip:
        """The chip, or the ideal one."""
        return _ideal(self.layout) if self.chip is None else self.chip

    @cached_property
    def copies(self) -> int | None:
        """K, or ``None`` for a single mesh, whose results have no leading axis."""
        device = self.device
        return common_copies(
            theta=self.theta,
            phi=self.phi,
            gamma=self.gamma,
            first_error=device.first_error,
            second_error=device.second_error,
            mzi_transmission=device.mzi_transmission,
        )

    def with_phases(
        self,
        theta: ArrayLike | None = None,
        phi: ArrayLike | None = None,
        gamma: ArrayLike | None = None,
    ) -> Self:
        """The same chip with other phases in the light, exactly these; ``None`` keeps them.

        Raises
        ------
        InputError : wrong shapes, NaN.
        """
        return replace(
            self,
            theta=self.theta if theta is None else np.asarray(theta),
            phi=self.phi if phi is None else np.asarray(phi),
            gamma=self.gamma if gamma is None else np.asarray(gamma),
        )

    def program(
        self,
        theta: ArrayLike,
        phi: ArrayLike,
        gamma: ArrayLike,
        rng: int | Generator | None = None,
    ) -> Self:
        """The same chip after its drivers were asked for these phases: see :meth:`Chip.program`.

        Raises
        ------
        InputError : wrong shapes, phases out of the drivers' range, or no ``rng`` for drivers
            that err.

        Examples
        --------
        >>> from zerohm.photonics import clements
        >>> chip = Imperfections(phase_std=0.01).fabricate(clements(3), 0)
        >>> mesh = Mesh(clements(3), *np.ones((2, 3)), np.ones(3), chip)
        >>> noisy = mesh.program(mesh.theta, mesh.phi, mesh.gamma, rng=1)
        >>> 0.0 < np.abs(noisy.theta - 1.0).max() < 0.05
        np.True_
        """
        return replace(self, **self.device.program(theta, phi, gamma, rng)._asdict())

    def matrix(self) -> Complex:
        """U, (ports, ports) or (K, ports, ports): output i for input j.

        Between the ports of a diamond; its other lines are dark at the input and not looked at.

        Raises
        ------
        InputError : more copies than fit into memory.
        """
        return np.swapaxes(self._transfer, -1, -2).copy()

    def propagate(self, fields: ArrayLike, *, threads: int = 1) -> Complex:
        """Output fields of input fields, √W.

        Up to ``DIRECT_UP_TO`` · N vectors pass the columns, more are multiplied with the matrix;
        both agree to rounding.

        Parameters
        ----------
        fields : (ports,) or (batch, ports), real or complex; with K copies also (K, batch,
            ports), a batch for each. Single precision stays single precision.
        threads : among which vectors that pass the columns are divided; the result has the same
            bits for any number. Products follow the settings of the BLAS library.

        Returns
        -------
        The shape of ``fields``; with K copies (K, batch, ports) or (K, ports).

        Raises
        ------
        InputError : a wrong shape, fields that are not finite, threads below 1.
        """
        given = self.checked_fields(fields)
        batch = given[None] if given.ndim == 1 else given
        if batch.shape[-2] <= DIRECT_UP_TO * self.layout.ports:
            out = self._pass_columns(batch, threads)
        else:
            out = batch @ self._transfer.astype(batch.dtype, copy=False)
        return out[..., 0, :] if given.ndim == 1 else out

    def checked_fields(self, fields: ArrayLike) -> Complex:
        """Fields in the light's precision, contiguous, once their shape fits and all are finite.

        Raises
        ------
        InputError : a wrong shape, or fields that are not finite.
        """
        given = np.asarray(fields)
        if given.dtype.kind not in "biufc":
            raise InputError(f"fields of dtype {given.dtype} are no numbers")
        ports, copies = self.layout.ports, self.copies
        fits = given.ndim in (1, 2) or (given.ndim == 3 and len(given) == copies)
        if not fits or given.shape[-1] != ports:
            each = "" if copies is None else f" or ({copies}, batch, {ports})"
            raise InputError(
                f"fields have shape {given.shape}: must be ({ports},) or (batch, {ports}){each}"
            )
        if not np.isfinite(given).all():
            raise InputError("fields must be finite")
        single = given.dtype in (np.float32, np.complex64)
        return np.require(given, np.complex64 if single else np.complex128, ("C", "W"))

    def matrices(self) -> Complex:
        """(K, M, 2, 2) matrix of every MZI with the waveguides before it; K = 1 without copies."""
        return self._mzis(slope=False)

    def matrix_slopes(self) -> Complex:
        """(K, M, 2, 2) derivative of :meth:`matrices` by θ, 1/rad."""
        return self._mzis(slope=True)

    def output_factors(self) -> Complex:
        """(K, lines) factor of every line behind the last column."""
        factors = np.tile(self.device.output_transmission + 0j, (self._lead, 1))
        factors[:, : self.layout.ports] *= np.exp(1j * self.gamma)
        return factors

    @property
    def _lead(self) -> int:
        return 1 if self.copies is None else self.copies

    def _mzis(self, *, slope: bool) -> Complex:
        require_copies(self.layout, self._lead, 200.0 * self.layout.mzis)
        device, shape = self.device, (self._lead, self.layout.mzis)
        internal = (1j if slope else 1.0) * np.exp(1j * self.theta)
        found: Complex = kernels.mzi_matrices(
            _spread(internal, shape),
            0.0 if slope else 1.0,
            _spread(np.exp(1j * self.phi), shape),
            _spread(device.couplers, (*shape, 4)),
            _spread(device.transmission, (*shape, 2)),
        )
        return found

    @cached_property
    def _coefficients(self) -> Complex:
        return self.matrices()

    @cached_property
    def _transfer(self) -> Complex:
        """The transposed matrix: a batch times it is the output."""
        ports = self.layout.ports
        require_copies(self.layout, self._lead, 32.0 * ports**2)
        out = np.empty((self._lead, ports, ports), np.complex128)
        upper, lower = self.layout.upper, self.layout.lower
        kernels.transfer(self._coefficients, upper, lower, self.output_factors(), out)
        return out[0] if self.copies is None else out

    def _pass_columns(self, batch: Complex, threads: int) -> Complex:
        if threads < 1:
            raise InputError(f"threads={threads} must be at least 1")
        fields = batch[None] if batch.ndim == 2 else batch
        count, dtype = fields.shape[1], fields.dtype
        out = np.empty((self._lead, *fields.shape[1:]), dtype)
        arguments = (
            self._coefficients.astype(dtype, copy=False),
            self.layout.upper,
            self.layout.lower,
            self.output_factors().astype(dtype),
            fields,
            out,
        )
        share = kernels.BLOCK * max(math.ceil(count / (kernels.BLOCK * threads)), 1)

        def one_share(start: int) -> None:
            kernels.propagate(*arguments, start, min(start + share, count))

        if threads == 1:
            one_share(0)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(one_share, range(0, count, share)))
        return out[0] if self.copies is None else out


def _spread(values: Any, shape: tuple[int, ...]) -> Any:
    """A copy of an array for every copy of a mesh: contiguous, as the kernels are compiled for."""
    return np.array(np.broadcast_to(values, shape), order="C")


@lru_cache(maxsize=8)
def _ideal(layout: Layout) -> Chip:
    return Chip(layout=layout)
