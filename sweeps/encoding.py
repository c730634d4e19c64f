"""The result of one point as bytes: labelled arrays, bit for bit, without pickle.

A JSON header (attributes; name, dimensions, type, shape and attributes of every variable) is
followed by the arrays themselves, little-endian and in C order. Workers send these bytes and the
file of points keeps them, so that every engine leaves the same bits.
"""

import json
import math
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from zerohm._errors import InputError

Values = NDArray[Any]

_LENGTH = 8  # bytes that say how long the header is
_TYPES = re.compile(r"[<|](b1|[iu][1248]|f[248]|c8|c16|U\d+|[mM]8\[\d*[a-zA-Z]+\])")


class Variable(NamedTuple):
    """One array with names for its dimensions; ``coordinate`` as xarray means it."""

    dims: tuple[str, ...]
    values: Values
    attributes: dict[str, Any]
    coordinate: bool

    @property
    def is_text(self) -> bool:
        """Whether the values are strings."""
        return self.values.dtype.kind == "U"


@dataclass(frozen=True)
class Point:
    """What an experiment returned at one point: an xarray Dataset without its machinery."""

    variables: dict[str, Variable]
    attributes: dict[str, Any]


def encode(result: xr.Dataset) -> bytes:
    """The bytes of a result.

    Raises
    ------
    InputError : a variable is neither numbers, booleans, times nor text, or an attribute has no
        JSON form.

    Examples
    --------
    >>> point = decode(encode(xr.Dataset({"loss": 0.25}, attrs={"method": "mezo"})))
    >>> float(point.variables["loss"].values), point.attributes
    (0.25, {'method': 'mezo'})
    """
    described, arrays = [], []
    for name, variable in result.variables.items():
        values = _plain_array(name, variable.values)
        dims = [str(dim) for dim in variable.dims]
        described.append(
            [
                str(name),
                dims,
                values.dtype.str,
                values.shape,
                dict(variable.attrs),
                name in result.coords,
            ]
        )
        arrays.append(values.tobytes())
    header = _json({"attributes": dict(result.attrs), "variables": described})
    return b"".join([len(header).to_bytes(_LENGTH, "little"), header, *arrays])


def decode(encoded: bytes) -> Point:
    """The result that :func:`encode` made these bytes of; its arrays cannot be written to.

    Raises
    ------
    InputError : the bytes are damaged.
    """
    try:
        start = _LENGTH + int.from_bytes(encoded[:_LENGTH], "little")
        header = json.loads(encoded[_LENGTH:start])
        variables = {}
        for name, dims, dtype, shape, attributes, coordinate in header["variables"]:
            values = _array(encoded, dtype, tuple(shape), start)
            start += values.nbytes
            variables[name] = Variable(tuple(dims), values, attributes, coordinate)
        if start != len(encoded):
            raise ValueError(f"{len(encoded) - start} bytes too many")
        return Point(variables, header["attributes"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(f"the stored result of a point is damaged: {error}") from None


def _array(encoded: bytes, dtype: str, shape: tuple[int, ...], start: int) -> Values:
    if not _TYPES.fullmatch(dtype):
        raise ValueError(f"type {dtype!r}")
    kind, count = np.dtype(dtype), math.prod(shape)
    if min(shape, default=0) < 0 or start + count * kind.itemsize > len(encoded):
        raise ValueError(f"shape {shape} does not fit")
    if kind.itemsize == 0 or count == 0:
        return np.zeros(shape, kind)
    return np.frombuffer(encoded, kind, count, start).reshape(shape)


def _plain_array(name: Any, values: Any) -> Values:
    """The values as a little-endian array of a type that :func:`decode` knows."""
    array: Values = np.asarray(values)
    if array.dtype.kind in "OT" and all(isinstance(value, str) for value in array.flat):
        array = array.astype(np.str_)
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    if not _TYPES.fullmatch(array.dtype.str):
        raise InputError(
            f"the experiment returns {name!r} with values of type {array.dtype}: allowed are "
            "numbers of at most 64 bits (complex: 128), booleans, times and text"
        )
    return array


def _json(header: dict[str, Any]) -> bytes:
    try:
        return json.dumps(header, separators=(",", ":"), default=_plain).encode()
    except (TypeError, ValueError) as error:
        raise InputError(
            f"the experiment returns an attribute that cannot be kept: {error}; allowed are "
            "strings, numbers, and lists or mappings of these"
        ) from None


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{value!r} is not a plain value")
