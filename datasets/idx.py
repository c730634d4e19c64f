"""The idx format of MNIST and its relatives.

A file is two zero bytes, one byte for the element type, one for the number of dimensions, each
dimension as a big-endian 32-bit number, then the elements, big-endian, last dimension fastest.
"""

import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerohm._errors import InputError

ELEMENT_TYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype("u1"),
    0x09: np.dtype("i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
"""Element type by the third byte of the file."""

MOST_DIMENSIONS = 32


def decode(content: bytes, path: Path) -> NDArray[Any]:
    """The array that an idx file holds.

    Parameters
    ----------
    content : the whole file, uncompressed.
    path : where it was read from, for messages.

    Returns
    -------
    Array of the file's shape, in the byte order of the machine. It may share memory with
    ``content`` and is then read-only.

    Raises
    ------
    InputError : the magic number or a dimension is not one of the format, or the file is shorter
        or longer than its header says.

    Examples
    --------
    >>> decode(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9]), Path("labels")).tolist()
    [7, 8, 9]
    """
    element, dimensions = _magic(content, path)
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise InputError(
            f"{path}: idx header needs {start} bytes for {dimensions} dimensions, "
            f"found {len(content)}"
        )
    shape = struct.unpack_from(f">{dimensions}I", content, 4)
    if 0 in shape:
        raise InputError(f"{path}: idx dimensions are {shape}, each must be at least 1")
    expected = start + math.prod(shape) * element.itemsize
    if len(content) != expected:
        raise InputError(
            f"{path}: idx header says {element.name} of shape {shape}, which is {expected} bytes; "
            f"found {len(content)}"
        )
    array = np.frombuffer(content, dtype=element, offset=start).reshape(shape)
    return array.astype(element.newbyteorder("="), copy=False)


def _magic(content: bytes, path: Path) -> tuple[np.dtype[Any], int]:
    """Element type and number of dimensions."""
    magic = content[:4]
    if len(magic) == 4 and magic[:2] == b"\0\0" and magic[2] in ELEMENT_TYPES:
        dimensions = magic[3]
        if 1 <= dimensions <= MOST_DIMENSIONS:
            return ELEMENT_TYPES[magic[2]], dimensions
    types = ", ".join(f"{code:02x}" for code in ELEMENT_TYPES)
    raise InputError(
        f"{path}: not an idx file: it starts with {magic.hex(' ') or 'nothing'}, expected 00 00, "
        f"an element type ({types}) and 1 to {MOST_DIMENSIONS} dimensions"
    )
