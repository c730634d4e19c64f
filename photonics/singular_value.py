"""Any matrix on two meshes with attenuators between them: its singular value decomposition."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike

from zerohm._arrays import Array
from zerohm._errors import InputError
from zerohm._random import as_generator

from .kernels import Complex
from .layout import named_layout
from .mesh import Mesh

_ROUNDING = 1e-12  # that a transmission may lie above 1


@dataclass(frozen=True, kw_only=True, eq=False)
class SingularValueMesh:
    """M = g W S V†: a mesh V†, an attenuator on each of its ports, a mesh W, and a gain::

        in ──[ V† ]──( s₁ )──[ W ]── g ── out
                  ⋮  ( s_r )

    The lines that only one of the meshes has (M need not be square) end dark. Attenuators are
    passive, so singular values above 1 need the gain g, an amplifier of the amplitude (g² in
    power) on every output, or a number by which the results are multiplied.

    Parameters
    ----------
    input_mesh : V†, with as many ports as M has columns.
    transmission : (min(rows, columns),) amplitude of the attenuators, 0 to 1.
    output_mesh : W, with as many ports as M has rows.
    gain : g, positive.

    Raises
    ------
    InputError : shapes that do not fit, a transmission outside of 0 to 1, a gain that is not
        positive.

    Examples
    --------
    >>> weights = np.array([[3.0, 0.0, -4.0], [0.0, 2.0, 0.0]])
    >>> network = SingularValueMesh.from_matrix(weights)
    >>> round(network.gain, 9), network.transmission.round(9)
    (5.0, array([1. , 0.4]))
    >>> network.propagate([[1.0, 1.0, 0.0]]).real.round(9)
    array([[3., 2.]])
    """

    input_mesh: Mesh
    transmission: Array
    output_mesh: Mesh
    gain: float = 1.0

    def __post_init__(self) -> None:
        found = np.array(self.transmission, dtype=np.float64)
        rows, columns = self.shape
        if found.shape != (min(rows, columns),):
            raise InputError(
                f"transmission has shape {found.shape}: a {rows} × {columns} matrix needs "
                f"({min(rows, columns)},)"
            )
        if not np.all((found >= 0) & (found <= 1)):
            raise InputError("transmission of an attenuator must lie between 0 and 1")
        if not 0 < self.gain < np.inf:
            raise InputError(f"gain={self.gain!r} must be positive and finite")
        found.setflags(write=False)
        object.__setattr__(self, "transmission", found)

    @classmethod
    def from_matrix(
        cls,
        matrix: ArrayLike,
        *,
        gain: float | None = None,
        layout: str = "clements",
        rng: int | Generator = 0,
        copies: int | None = None,
        **imperfections: Any,
    ) -> Self:
        """The network that carries out a matrix, programmed as if its chips were ideal.

        Parameters
        ----------
        matrix : (rows, columns), real or complex.
        gain : at least the largest singular value; by default equal to it (1 for a matrix of
            zeros), which wastes least light.
        layout, rng, copies, imperfections : of both meshes, see :meth:`Mesh.from_unitary`.

        Raises
        ------
        InputError : not a matrix, not finite, a gain that is too small, a layout that is not
            universal, or imperfections out of range.
        """
        target = np.asarray(matrix)
        if target.ndim != 2 or target.dtype.kind not in "biufc" or not target.size:
            raise InputError(
                f"matrix of shape {target.shape} and dtype {target.dtype}: must be (rows, columns) "
                "numbers"
            )
        if not np.isfinite(target).all():
            raise InputError("matrix must be finite")
        for ports in target.shape:
            if not named_layout(layout, ports).universal:
                raise InputError(f"layout {layout!r} of {ports} ports is not universal")
        left, values, right = np.linalg.svd(target.astype(np.complex128))
        largest = float(values[0])
        scale = (largest or 1.0) if gain is None else gain
        if not 0 < scale < np.inf or largest > scale * (1 + _ROUNDING):
            raise InputError(
                f"gain={gain!r}: must be finite and at least the largest singular value, "
                f"{largest:.6g}, since attenuators do not amplify"
            )
        generator = as_generator(rng)
        input_mesh, output_mesh = (
            Mesh.from_unitary(u, layout=layout, rng=generator, copies=copies, **imperfections)
            for u in (right, left)
        )
        return cls(
            input_mesh=input_mesh,
            transmission=np.minimum(values / scale, 1.0),
            output_mesh=output_mesh,
            gain=scale,
        )

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of M: output and input ports."""
        return self.output_mesh.layout.ports, self.input_mesh.layout.ports

    def matrix(self) -> Complex:
        """M, (rows, columns), or with a leading axis of copies; the gain is included."""
        rank = len(self.transmission)
        into = self.transmission[:, None] * self.input_mesh.matrix()[..., :rank, :]
        product: Complex = self.gain * (self.output_mesh.matrix()[..., :, :rank] @ into)
        return product

    def propagate(self, fields: ArrayLike, *, threads: int = 1) -> Complex:
        """Output fields of input fields, √W, the gain included.

        Parameters
        ----------
        fields : (columns,) or (batch, columns), as for :meth:`Mesh.propagate`.
        threads : see there.

        Raises
        ------
        InputError : a wrong shape, or fields that are not finite.
        """
        between = self.input_mesh.propagate(fields, threads=threads)
        rank, rows = len(self.transmission), self.shape[0]
        passed = np.zeros((*between.shape[:-1], rows), between.dtype)
        passed[..., :rank] = between[..., :rank] * self.transmission.astype(between.real.dtype)
        out = self.output_mesh.propagate(passed, threads=threads)
        out *= out.real.dtype.type(self.gain)
        return out
