"""The installed package is whole, layered and quick to import."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import zerohm
from zerohm._jit import DEPENDENCIES

ROOT = Path(__file__).parents[1]
CONFIGURATION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETUPTOOLS = CONFIGURATION["tool"]["setuptools"]
FOLDERS = {
    name: ROOT / folder for name, folder in SETUPTOOLS["package-dir"].items() if name != "zerohm"
}


def sources() -> list[Path]:
    return [
        path
        for folder in (ROOT / "src" / "zerohm", *FOLDERS.values())
        for path in folder.glob("**/*.py")
        if not any(parent.is_symlink() for parent in path.parents)
    ]


def test_every_folder_with_code_is_a_listed_package():
    """A package that is missing from the list would be missing from the wheel without a word."""
    folders = {"zerohm": ROOT / "src" / "zerohm", **FOLDERS}
    found = {
        ".".join((name, *path.parent.relative_to(folder).parts))
        for name, folder in folders.items()
        for path in folder.glob("**/*.py")
        if not any(parent.is_symlink() for parent in path.parents)
    }
    assert set(SETUPTOOLS["packages"]) == found


@pytest.mark.parametrize("name", sorted(FOLDERS))
def test_every_package_is_linked_for_editors_and_type_checkers(name):
    """The link in src/zerohm leads to the folder at the root."""
    link = ROOT / "src" / name.replace(".", "/")
    assert link.is_symlink()
    assert link.resolve() == FOLDERS[name].resolve()


def test_only_the_one_numba_decorator_is_used():
    """numba's own cache does not notice edits in other files; `kernel` does."""
    bare = re.compile(r"@(numba\.)?(n?jit|vectorize|guvectorize)\b|fastmath\s*=\s*True")
    offenders = [path.name for path in sources() if bare.search(path.read_text(encoding="utf-8"))]
    assert offenders == []
    assert bare.search("@njit(cache=True)")  # the search itself can find one


def test_the_cache_of_kernels_knows_what_they_can_depend_on():
    """Its table of subsystems agrees with the layers that the import contract enforces."""
    (contract,) = CONFIGURATION["tool"]["importlinter"]["contracts"]
    layers = [layer.replace("zerohm.", "").split(" | ") for layer in contract["layers"]]
    below = {
        name: {other for layer in layers[depth + 1 : -1] for other in layer}
        for depth, layer in enumerate(layers)
        for name in layer
    }
    for subsystem, allowed in DEPENDENCIES.items():
        assert set(allowed) == below[subsystem]
    with_kernels = {path.relative_to(ROOT).parts[0] for path in sources() if uses_kernel(path)}
    assert with_kernels == set(DEPENDENCIES)


def uses_kernel(path: Path) -> bool:
    return "from zerohm._jit import kernel" in path.read_text(encoding="utf-8")


def test_importing_the_package_is_lazy():
    """`import zerohm` loads none of the slow libraries behind its subsystems."""
    slow = ("numba", "xarray", "matplotlib", "sklearn", "scipy", "joblib")
    code = (
        f"import sys, zerohm; print(','.join(m for m in {slow!r} if m in sys.modules), dir(zerohm))"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert output.startswith(" ["), output
    assert "training" in output


def test_public_names_resolve_and_unknown_ones_do_not():
    """Everything that dir() promises exists; nothing else does."""
    for name in dir(zerohm):
        assert getattr(zerohm, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = zerohm.nothing


def test_every_citation_key_has_one_entry_with_a_year():
    """BibTeX entries are complete enough to be cited."""
    from zerohm._citations import bibliography

    text = (ROOT / "src/zerohm/citations.bib").read_text(encoding="utf-8")
    assert len(bibliography()) == text.count("\n@") + 1
    for key, entry in bibliography().items():
        assert re.search(r"year = \{\d{4}\}", entry), key
        assert re.search(r"author = \{.+\}", entry), key
        assert entry.count("{") == entry.count("}"), key
