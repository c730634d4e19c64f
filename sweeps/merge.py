"""Several stores of one experiment made into one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from zerohm._errors import InputError
from zerohm._files import whole

from .assemble import agreed
from .collection import collect, description
from .plan import Plan, Value, canonical, checked_axis
from .points import Points, Row
from .results import PathLike, check_writable
from .store import Store


def merge(stores: Sequence[PathLike], into: PathLike) -> xr.Dataset:
    """Put the points of several sweeps of one experiment into one new store.

    The new grid has every value that a parameter has in any store: what is ``fixed`` differently
    becomes a dimension. Combinations that no store holds are NaN with the error "not run yet";
    a run of the new grid with the new store completes them.

    Parameters
    ----------
    stores : sweeps with the same experiment, the same version of it and of zerohm; finished or
        not. They stay as they are.
    into : path of the new store.

    Raises
    ------
    InputError : ``into`` exists, a store is not ours, the experiments differ, a parameter is set
        in one store only, or two stores hold different results of the same point.

    Examples
    --------
    >>> from zerohm.sweeps import run
    >>> folder = getfixture("tmp_path")
    >>> def experiment(x, seed):
    ...     return xr.Dataset({"y": x + seed})
    >>> for seed in (0, 1):
    ...     _ = run(experiment, {"x": [1, 2]}, fixed={"seed": seed}, store=folder / f"{seed}.zarr")
    >>> merge([folder / "0.zarr", folder / "1.zarr"], folder / "both.zarr").y.dims
    ('x', 'seed')
    """
    if isinstance(stores, str) or not stores:
        raise InputError("merge needs a list of stores")
    target = Store(into)
    for path in (target.path, target.points):
        if path.exists():
            raise InputError(f"{path} exists: merge makes a new store, choose another path")
    check_writable(target.points)
    sources = [_Source.read(Store(path)) for path in stores]
    rows, attributes = _rows(sources), _attributes(sources)
    with whole(target.points) as temporary, Points.write_to(temporary) as points:
        points.put_all(rows)
        points.begin(attributes)
    with target.opened() as points:
        dataset = target.write(collect(points).dataset(attributes))
        points.end()
    return dataset


@dataclass(frozen=True)
class _Source:
    """What a store holds."""

    path: Path
    attributes: Mapping[str, Any]
    plan: Plan
    rows: tuple[Row, ...]

    @classmethod
    def read(cls, store: Store) -> "_Source":
        if not store.points.exists():
            raise InputError(f"{store.path} has no points to merge: no file {store.points}")
        with Points.read_from(store.points) as points:
            attributes, rows = points.attributes(), tuple(points.rows())
        plan, _, _ = description(attributes, str(store.points))
        return cls(store.path, attributes, plan, rows)


def _rows(sources: Sequence[_Source]) -> list[Row]:
    """Every point once: with its result, if any store has one."""
    merged: dict[str, tuple[Row, Path]] = {}
    for source in sources:
        for row in source.rows:
            known, where = merged.setdefault(row.key, (row, source.path))
            if known.result is None:
                merged[row.key] = row, source.path
            elif row.result not in (None, known.result):
                raise InputError(
                    f"{where} and {source.path} hold different results of the same point "
                    f"{row.identity}: one of them was made by a changed experiment"
                )
    return [row for row, _ in merged.values()]


def _attributes(sources: Sequence[_Source]) -> dict[str, Any]:
    """Attributes of the whole: those that all stores share, and the plan of all points."""
    first = sources[0]
    for name in ("experiment", "source", "zerohm_version", "sweep_format"):
        for source in sources[1:]:
            if source.attributes.get(name) != first.attributes.get(name):
                raise InputError(
                    f"{first.path} and {source.path} differ in {name} "
                    f"({first.attributes.get(name)!r} and {source.attributes.get(name)!r}): only "
                    "sweeps of one experiment can be merged"
                )
    axes = {name: _axis(name, sources) for name in _names(sources)}
    swept = {name for source in sources for name in source.plan.grid}
    grid = {n: axis for n, axis in axes.items() if n in swept or len(axis) > 1}
    if not grid:
        raise InputError("the stores have no swept parameter")
    plan = Plan(
        experiment=first.plan.experiment,
        source=first.plan.source,
        fixed={name: axis[0] for name, axis in axes.items() if name not in grid},
        grid=grid,
        contents=_contents(sources),
        zerohm_version=first.plan.zerohm_version,
    )
    same_stop = len({source.attributes["stop"] for source in sources}) == 1
    return {
        **agreed(dict(source.attributes) for source in sources),
        **plan.attributes(),
        "curves": max(source.attributes["curves"] for source in sources),
        "stop": first.attributes["stop"] if same_stop else "",
    }


def _names(sources: Sequence[_Source]) -> list[str]:
    """Parameters: swept ones first, in the order of the first store."""
    names = dict.fromkeys(
        [name for source in sources for name in source.plan.grid]
        + [name for source in sources for name in source.plan.fixed]
    )
    for name in names:
        without = [s.path for s in sources if name not in {**s.plan.fixed, **s.plan.grid}]
        if without:
            raise InputError(
                f"{without[0]} does not set {name}, which other stores do: which value it had "
                "there is not known"
            )
    return list(names)


def _axis(name: str, sources: Sequence[_Source]) -> tuple[Any, ...]:
    """Every value of a parameter, sorted if they are numbers."""
    found: dict[str, Any] = {}
    for source in sources:
        for value in source.plan.grid.get(name, (source.plan.fixed.get(name),)):
            found.setdefault(canonical({name: value}, name), value)
    values: list[Any] = list(found.values())
    if len(values) == 1:
        return (values[0],)
    if not all(isinstance(value, Value) for value in values):
        raise InputError(f"{name} has {values} in these stores: such values have no order")
    axis = checked_axis(name, values)
    return axis if isinstance(axis[0], str) else tuple(sorted(axis))


def _contents(sources: Sequence[_Source]) -> dict[str, str]:
    """Content of every device card, the same in all stores."""
    contents: dict[str, str] = {}
    for source in sources:
        for path, content in source.plan.contents.items():
            if contents.setdefault(path, content) != content:
                raise InputError(f"the device card {path} has changed between these stores")
    return contents
