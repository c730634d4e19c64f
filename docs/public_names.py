"""The public names of zerohm: what the packages offer in their ``__init__``."""

import ast
import tomllib
from collections.abc import Iterator
from importlib import import_module
from inspect import cleandoc
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[1]
NOT_AN_INTERFACE = ("zerohm.cli",)
"""The command line describes itself."""


def offered() -> dict[str, dict[str, str]]:
    """Package -> public name -> the module that defines it.

    Public is what a package defines itself, and what it imports ``as`` the same name.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = set(project["tool"]["setuptools"]["packages"]) - set(NOT_AN_INTERFACE)
    return {package: dict(_names(package)) for package in sorted(packages)}


def _names(package: str) -> Iterator[tuple[str, str]]:
    for node in _statements(package):
        if isinstance(node, ast.ImportFrom):
            module = f"{package}.{node.module or ''}" if node.level else str(node.module)
            yield from ((a.name, module.strip(".")) for a in node.names if a.name == a.asname)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name, package
        elif (name := _assigned(node)) and not name.startswith("_"):
            yield name, package


def _statements(module: str) -> list[ast.stmt]:
    """Of a module, those for type checkers alone included: names that are imported on first use."""
    path = import_module(module).__file__
    assert path is not None
    body = ast.parse(Path(path).read_text(encoding="utf-8")).body
    lazy = [inner for node in body if isinstance(node, ast.If) for inner in node.body]
    return [*body, *lazy]


def _assigned(node: ast.stmt) -> str:
    """The name that a statement gives a value, if it gives one name one."""
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return targets[0].id if len(targets) == 1 and isinstance(targets[0], ast.Name) else ""


def constants() -> dict[str, str]:
    """Public name of every constant -> the text below its value, where it is defined."""
    texts, packages = {}, offered()
    for package, names in packages.items():
        for name, module in names.items():
            body = _statements(packages.get(module, {}).get(name, module))
            for node, below in pairwise(body):
                if _assigned(node) == name and isinstance(below, ast.Expr):
                    texts[f"{package}.{name}"] = cleandoc(ast.literal_eval(below.value))
    return texts


def published() -> dict[str, str]:
    """Where an object is defined -> the shortest public name that it has."""
    places: dict[str, str] = {}
    for package, names in sorted(offered().items(), key=lambda item: item[0].count(".")):
        for name, module in names.items():
            found = getattr(import_module(package), name)
            defined = f"{getattr(found, '__module__', module)}.{getattr(found, '__name__', name)}"
            places.setdefault(defined, f"{package}.{name}")
    return places
