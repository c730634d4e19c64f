"""Sweep files: what to sweep, as TOML.

Constant settings stand in the table ``[experiment]``, swept ones in ``[sweep]``, each as a list,
as a range or, for seeds, as their number; ``references`` and ``[stop]`` may be left out::

    references = ["backprop", "linear"]

    [experiment]
    method = "noisezo"
    "hardware.cell.conductance_max" = 40e-6

    [sweep]
    write_noise = [0.01, 0.02, 0.05]
    wire_resistance = {start = 0.1, stop = 10, num = 5, scale = "log"}
    seed = {count = 20}

    [stop]
    half_width = 0.005
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from zerohm._errors import InputError, checked, choose

from .labels import PARAMETERS
from .results import PathLike
from .stopping import EnoughSeeds

_TABLES = ("experiment", "sweep", "references", "stop")
_RANGE = ("start", "stop", "num", "scale")
_KEYS = (*_RANGE, "count")
_SEEDS = ("seed", "chip")
_DIGITS = 12  # of the values of a range: the last ones may differ between mathematical libraries
_MOST = 1_000_000  # values of a range
_LARGEST = 1e300  # end of a range: the distance between two must be a number too


@dataclass(frozen=True)
class SweepFile:
    """Content of a sweep file: what ``zerohm sweep`` takes."""

    fixed: dict[str, Any]
    grid: dict[str, list[Any]]
    references: tuple[str, ...]
    stop: EnoughSeeds | None


def read(path: PathLike) -> SweepFile:
    """Read a sweep file.

    Raises
    ------
    InputError : the file cannot be read; an unknown table or key (with the nearest valid one), an
        empty range, a value of the wrong type, or a unit where a number is expected.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "sweep.toml"
    >>> _ = path.write_text("[sweep]\\nadc_bits = {start = 4, stop = 8, num = 3}")
    >>> read(path).grid
    {'adc_bits': [4, 6, 8]}
    """
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"cannot read sweep file {path}: {error}") from None
    for name in content:
        choose(f"table in {path}", name, _TABLES)
    tables = {name: content.get(name, {}) for name in ("experiment", "sweep", "stop")}
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise InputError(f"{path}: {name} must be a table, [{name}]")
    references = content.get("references", ["backprop"])
    if not isinstance(references, list) or not all(isinstance(r, str) for r in references):
        raise InputError(f"{path}: references = {references!r} must be a list of methods")
    try:
        fixed = _fixed(tables["experiment"], f"{path}: [experiment]")
        grid = _grid(tables["sweep"], f"{path}: [sweep]")
    except RecursionError:
        raise InputError(f"{path}: its tables lie too deep in each other") from None
    return SweepFile(
        fixed=fixed,
        grid=grid,
        references=tuple(references),
        stop=_stop(tables["stop"], f"{path}: [stop]") if "stop" in content else None,
    )


def _fixed(table: Mapping[str, Any], where: str, prefix: str = "") -> dict[str, Any]:
    """Constant settings; what stands in tables of its own gets a name with dots."""
    fixed: dict[str, Any] = {}
    for key, value in table.items():
        name = prefix + key
        if isinstance(value, dict):
            fixed |= _fixed(value, where, f"{name}.")
        else:
            _check_plain(name, value, where)
            fixed[name] = value
    return fixed


def _grid(table: Mapping[str, Any], where: str, prefix: str = "") -> dict[str, list[Any]]:
    """Values of every swept setting."""
    grid: dict[str, list[Any]] = {}
    for key, value in table.items():
        name = prefix + key
        if isinstance(value, dict) and value and not set(value) & set(_KEYS):
            grid |= _grid(value, where, f"{name}.")
        elif isinstance(value, dict):
            grid[name] = _range(name, value, f"{where} {name}")
        elif isinstance(value, list) and value:
            for one in value:
                _check_plain(name, one, where)
            grid[name] = value
        else:
            raise InputError(
                f"{where} {name} = {value!r} must be a list with values, a range such as "
                "{start = 0.1, stop = 10, num = 5}, or {count = 5} for seeds; constant settings "
                "belong into [experiment]"
            )
    return grid


def _range(name: str, table: Mapping[str, Any], where: str) -> list[Any]:
    for key in table:
        choose(f"key in {where}", key, _KEYS)
    if "count" in table:
        if len(table) > 1 or name.split(".")[-1] not in _SEEDS:
            raise InputError(f"{where}: count stands alone, and for {' or '.join(_SEEDS)} only")
        return list(range(_whole("count", table["count"], where, least=1)))
    if missing := [key for key in ("start", "stop", "num") if key not in table]:
        raise InputError(f"{where}: the range lacks {', '.join(missing)}")
    start, stop = (_number(name, end, table[end], where) for end in ("start", "stop"))
    num = _whole("num", table["num"], where, least=2)
    scale = table.get("scale", "linear")
    choose(f"scale in {where}", scale, ("linear", "log"))
    if start == stop:
        raise InputError(f"{where}: the range from {start} to {stop} is empty")
    if scale == "log" and min(start, stop) <= 0:
        raise InputError(f"{where}: a range with scale 'log' needs start and stop above 0")
    space = np.geomspace if scale == "log" else np.linspace
    points = space(float(start), float(stop), num)
    values = [float(f"{value:.{_DIGITS}g}") for value in points]
    if isinstance(start, int) and isinstance(stop, int) and all(v.is_integer() for v in values):
        return [int(value) for value in values]
    return values


def _stop(table: Mapping[str, Any], where: str) -> EnoughSeeds:
    for key in table:
        choose(f"key in {where}", key, [field.name for field in fields(EnoughSeeds)])
    return checked(EnoughSeeds, where, **table)


def _check_plain(name: str, value: Any, where: str) -> None:
    """Refuse text, with or without a unit, where a number is expected, and dates."""
    if isinstance(value, str) and name in PARAMETERS:
        raise InputError(f"{where} {name} = {value!r}: {_wanted(name)}")
    if isinstance(value, list):
        for one in value:
            _check_plain(name, one, where)
    elif not isinstance(value, bool | int | float | str):
        raise InputError(f"{where} {name} = {value!r}: allowed are numbers, text, true and false")
    elif isinstance(value, float) and not isfinite(value):
        raise InputError(f"{where} {name} = {value!r}: numbers must be finite")


def _number(name: str, key: str, value: Any, where: str) -> int | float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= _LARGEST:
        raise InputError(f"{where}: {key} = {value!r}: {_wanted(name)}")
    return value


def _whole(key: str, value: Any, where: str, *, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= _MOST:
        raise InputError(
            f"{where}: {key} = {value!r} must be a whole number from {least} to {_MOST}"
        )
    return value


def _wanted(name: str) -> str:
    units = PARAMETERS[name][1] if name in PARAMETERS else ""
    known = f" in {units}" if units not in ("", "1") else ""
    return f"a plain number{known} is expected, without a unit"
