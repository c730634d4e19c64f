"""Sources of tables: text files, packed or not, and data in memory."""

import csv
import gzip
import hashlib
import io
import os
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
import xarray as xr

from zerohm._errors import InputError

Source: TypeAlias = str | os.PathLike[str] | pd.DataFrame | xr.Dataset | Mapping[str, Any]
"""Path of a CSV or TSV file (.gz too), a data frame, a dataset, or a mapping of arrays."""
TEXT = ("cell", "direction")
"""Columns that are read as text, even where they hold numbers."""


@dataclass(frozen=True)
class File:
    """A parsed head and the unparsed rest of a text file."""

    header: list[str]
    content: bytes
    separator: str
    skip: int
    sha256: str
    where: str

    def columns(self, names: Mapping[str, str]) -> pd.DataFrame:
        """Only the columns asked for, under their standard names."""
        positions = {self.header.index(name): standard for standard, name in names.items()}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", pd.errors.ParserWarning)
                frame = pd.read_csv(
                    io.BytesIO(self.content),
                    sep=self.separator,
                    header=None,
                    names=list(range(len(self.header))),
                    index_col=False,
                    skiprows=self.skip,
                    skipinitialspace=True,
                    dtype={at: str for at, name in positions.items() if name in TEXT},
                    low_memory=False,
                    encoding="utf-8-sig",
                )
        except pd.errors.ParserWarning:
            raise InputError(
                f"{self.where}: a row has more fields than the {len(self.header)} columns of the "
                "first line"
            ) from None
        except ValueError as error:
            raise InputError(f"cannot read {self.where} as a table: {error}") from None
        return frame[list(positions)].rename(columns=positions)


@dataclass(frozen=True)
class Memory:
    """Data that already lie in a frame."""

    frame: pd.DataFrame
    sha256: str = ""

    @property
    def header(self) -> list[str]:
        return [str(name) for name in self.frame.columns]

    def columns(self, names: Mapping[str, str]) -> pd.DataFrame:
        """Only the columns asked for, under their standard names."""
        taken = {standard: self.header.index(name) for standard, name in names.items()}
        found = self.frame.iloc[:, list(taken.values())].reset_index(drop=True)
        found.columns = pd.Index(list(taken))
        return found


def name_of(source: Source) -> str:
    """What messages call a source: the name of the file without folders."""
    return Path(source).name if isinstance(source, str | os.PathLike) else "the table"


def open_source(source: Source, where: str) -> File | Memory:
    """The names of the columns of a source, and a way to get some of them.

    Raises
    ------
    InputError : the source is no table, or cannot be read.
    """
    if isinstance(source, str | os.PathLike):
        return _open_file(Path(source))
    if isinstance(source, pd.DataFrame):
        return Memory(source)
    if isinstance(source, xr.Dataset):
        return Memory(source.to_dataframe().reset_index())
    if isinstance(source, Mapping):
        try:
            return Memory(pd.DataFrame(dict(source)))
        except ValueError as error:
            raise InputError(f"{where}: the columns do not make a table: {error}") from None
    raise InputError(
        f"a table is the path of a CSV or TSV file, a data frame, a dataset or a mapping of "
        f"arrays, not {type(source).__name__}"
    )


def _open_file(path: Path) -> File:
    """Content, separator and header of a file; gzip is told by its first two bytes."""
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        lines = io.StringIO(content.decode("utf-8-sig"))
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path} as a text file in UTF-8: {error}") from None
    first = next(((at, line) for at, line in enumerate(lines) if line.strip()), None)
    if first is None:
        raise InputError(f"{path} is empty: it needs a header and rows")
    blank, line = first
    separator = next((mark for mark in "\t;," if mark in line), ",")
    try:
        fields = [field.strip() for field in next(csv.reader([line], delimiter=separator))]
    except csv.Error as error:
        raise InputError(f"cannot read the first line of {path}: {error}") from None
    has_header = not all(_is_number(field) for field in fields)
    return File(
        header=fields if has_header else [str(number + 1) for number in range(len(fields))],
        content=content,
        separator=separator,
        skip=blank + has_header,
        sha256=hashlib.sha256(content).hexdigest(),
        where=path.name,
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
