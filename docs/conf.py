"""The documentation site: ``sphinx-build -W --keep-going -n -c docs . build/site``.

The source folder is the repository's root, so that the links between README, docs and notebooks
that work in a checkout work on the site too. Nothing is fetched: no inventories of other
projects, no scripts or fonts of other hosts. Equations are written in Unicode for that reason.
"""

import contextlib
import re
import runpy
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import matplotlib
from docutils import nodes
from pybtex.plugin import register_plugin
from pybtex.style.formatting.plain import Style as PlainStyle
from pybtex.style.labels import BaseLabelStyle
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

import zerohm

matplotlib.use("Agg")
ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(Path(__file__).parent))
from public_names import constants, published  # noqa: E402

project = "zerohm"
author = "zerohm maintainers"
copyright = "zerohm maintainers, Apache-2.0"
version = release = zerohm.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_design",
    "sphinxcontrib.bibtex",
]
root_doc = "docs/index"
include_patterns = ["docs/**", "notebooks/*.ipynb", "CHANGELOG.md", "CONTRIBUTING.md"]
exclude_patterns = [  # folders that need not be searched
    ".*",
    "benchmarks",
    "build",
    "crossbar",
    "datasets",
    "demo",
    "devices",
    "dist",
    "mapping",
    "photonics",
    "src",
    "sweeps",
    "tests",
    "training",
    "*.egg-info",
    "docs/_templates",
]
templates_path = [str(ROOT / "docs" / "_templates")]  # of the pages and of the stubs

# Pages
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # notebooks run in the tests; the tutorial asks for it by itself
nb_execution_in_temp = True
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_merge_streams = True
highlight_language = "text"

# Interface
autosummary_generate = True
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 80
python_use_unqualified_type_names = True
add_module_names = False

nitpicky = True
nitpick_ignore_regex = [  # what has no page here: other projects, and names that are not public
    ("py:.*", r"(?!zerohm).*"),
]

bibtex_bibfiles = ["../src/zerohm/citations.bib"]
bibtex_default_style = "keys"

# Look
PAGES_WITHOUT_CHILDREN = [
    *(f"docs/{page}" for page in ("index", "installation", "tutorial", "gallery", "benchmarks")),
    "docs/bibliography",
    "CHANGELOG",
    "CONTRIBUTING",
]
html_theme = "pydata_sphinx_theme"
html_title = "zerohm"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_additional_pages = {"index": "start.html"}
html_sidebars = {page: [] for page in PAGES_WITHOUT_CHILDREN}
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "zerohm"},
    "header_links_before_dropdown": 6,
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "show_toc_level": 2,
    "pygments_light_style": "tango",
    "footer_start": ["copyright"],
    "footer_end": [],
}


class KeyLabels(BaseLabelStyle):
    """Sources are labelled by their key, as in the text and in ``citations``."""

    def format_labels(self, sorted_entries: list[Any]) -> Any:
        for entry in sorted_entries:
            yield entry.key


class KeyStyle(PlainStyle):
    """pybtex's plain style with these labels."""

    default_label_style = KeyLabels


register_plugin("pybtex.style.formatting", "keys", KeyStyle)


CODE = re.compile(r"\s*(>>>|\.\.\. )")
BAR = re.compile(r"((?:``.*?``|[^`|])*)\|")
SECTIONS_OF_NAMES = ("Parameters", "Attributes", "Raises", "Warns")
SECTIONS_OF_TEXT = ("Returns", "Notes")


def structure_docstring(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Docstring sections as lists of fields, and bars as the bars of absolute values.

    The lines of a section are ``name : what it means``, continued by indented lines, where
    numpydoc and napoleon would expect a type behind the colon: types are in the signatures.
    """
    if what == "data":
        lines[:] = constants().get(name, "").splitlines()
    structured: list[str] = []
    section = ""
    for line, following in zip(lines, [*lines[1:], ""], strict=False):
        if following.startswith("---") and line:
            section = line
            fields = section in SECTIONS_OF_NAMES + SECTIONS_OF_TEXT
            structured += [f":{section}:" if fields else f".. rubric:: {section}"]
        elif line.startswith("---"):
            structured += [""]
        elif section in SECTIONS_OF_TEXT:
            structured += [f"    {line}" if line else ""]
        elif section in SECTIONS_OF_NAMES and " : " in line and not line.startswith(" "):
            names, meaning = line.split(" : ", maxsplit=1)
            structured += [f"    **{names}**", f"        {meaning}"]
        elif section in SECTIONS_OF_NAMES:
            structured += [f"    {line}" if line.startswith(" ") else line and f"        {line}"]
        else:
            structured += [line]
    lines[:] = escape_bars(structured)


SETTING = re.compile(  # innermost first
    r"~?(?:\w+\.)*Annotated\[((?:(?!Annotated\[).)*?), "
    r"~?(?:\w+\.)*FieldInfo\((?:\[.*?\]|'.*?'|[^\[\]()'])*\)\]"
)


def without_limits(
    app: Sphinx, what: str, name: str, obj: object, options: object, signature: str, result: str
) -> tuple[str, str]:
    """Signatures say the type of a setting; its limits are in the text."""
    while signature and SETTING.search(signature):
        signature = SETTING.sub(r"\1", signature)
    return signature, result


def escape_bars(lines: list[str]) -> Iterator[str]:
    """|x| is an absolute value and not one of docutils' substitutions; code stays as it is."""
    literal: int | None = None  # indentation of the paragraph whose literal block this is
    for line in lines:
        depth = len(line) - len(line.lstrip())
        if literal is not None and line and depth <= literal:
            literal = None
        code = literal is not None or CODE.match(line)
        yield line if code else BAR.sub(r"\1\\|", line)
        if line.endswith("::"):
            literal = depth


def draw_gallery(app: Sphinx) -> None:
    """Every script of the gallery runs and leaves its figure in build/gallery."""
    pictures = ROOT / "build" / "gallery"
    pictures.mkdir(parents=True, exist_ok=True)
    with contextlib.chdir(pictures):
        for script in sorted((ROOT / "docs" / "gallery").glob("*.py")):
            runpy.run_path(str(script))


PUBLIC = published()


def exists(name: str) -> bool:
    """Whether there is such a module, or such a name in a module."""
    module, _, attribute = name.rpartition(".")
    try:
        return hasattr(import_module(module), attribute) or bool(find_spec(name))
    except ImportError:
        return False


def lead_to_public_name(
    app: Sphinx, env: BuildEnvironment, node: Any, contnode: nodes.Element
) -> nodes.Node | None:
    """A type of a signature is named by the module that defines it, its page by the package."""
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py" or not target.startswith("zerohm"):
        return None
    if target not in PUBLIC:
        return contnode if exists(target) else None  # what is not public has no page
    python = env.domains["py"]
    return python.resolve_xref(
        env, node["refdoc"], app.builder, "obj", PUBLIC[target], node, contnode
    )


def setup(app: Sphinx) -> None:
    app.connect("builder-inited", draw_gallery)
    app.connect("autodoc-process-signature", without_limits)
    app.connect("autodoc-process-docstring", structure_docstring)
    app.connect("missing-reference", lead_to_public_name)
