"""A figure as a part of an HTML page."""

import re
from collections.abc import Iterator, Mapping
from io import StringIO
from xml.etree import ElementTree

from matplotlib.figure import Figure

_SVG = "{http://www.w3.org/2000/svg}"
_LINK = "{http://www.w3.org/1999/xlink}href"


def inline_svg(figure: Figure, name: str, description: str) -> str:
    """The figure as an ``<svg>`` element that stands alone in a page.

    Letters are drawn as curves, so that no font is needed.

    Parameters
    ----------
    name : of the figure in the page, an HTML identifier; it makes identifiers within unique.
    description : what is said to those who do not see it.
    """
    text = StringIO()
    figure.savefig(text, format="svg")
    root = ElementTree.fromstring(text.getvalue())
    for metadata in root.findall(f"{_SVG}metadata"):
        root.remove(metadata)
    referred = set(re.findall(r"(?:url\(|href=\")#([^)\"]+)", text.getvalue()))
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        element.attrib = dict(_attributes(element.attrib, name, referred))
    del root.attrib["width"], root.attrib["height"]  # the page decides; viewBox keeps the shape
    root.attrib |= {"role": "img", "aria-labelledby": f"{name}-title"}
    title = ElementTree.Element("title", {"id": f"{name}-title"})
    title.text = description
    root.insert(0, title)
    return ElementTree.tostring(root, encoding="unicode")


def _attributes(
    attributes: Mapping[str, str], name: str, referred: set[str]
) -> Iterator[tuple[str, str]]:
    """Attributes of an element, its identifier only where something refers to it."""
    for key, value in attributes.items():
        if key == _LINK:
            yield "href", value.replace("#", f"#{name}-", 1)
        elif key != "id":
            yield key, value.replace("url(#", f"url(#{name}-")
        elif value in referred:
            yield key, f"{name}-{value}"
