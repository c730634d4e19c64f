"""Check a built site: every internal link has its target, and nothing comes from another host.

python docs/check_site.py build/site
"""

import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {("script", "src"), ("img", "src"), ("link", "href"), ("iframe", "src"), ("source", "src")}
"""Attributes of what a browser fetches by itself."""


class Page(HTMLParser):
    """Targets, links and resources of one page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.targets: set[str] = set()
        self.links: list[str] = []
        self.resources: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element is, leads to or loads."""
        for name, value in attrs:
            if name in ("id", "name") and value:
                self.targets.add(value)
            elif (tag, name) in LOADED and value:
                self.resources.append(value)
            elif tag == "a" and name == "href" and value:
                self.links.append(value)


def html(site: Path) -> list[Path]:
    """Pages of a site, without the theme's templates."""
    return [path for path in sorted(site.glob("**/*.html")) if "_static" not in path.parts]


def problems(site: Path) -> Iterator[str]:
    """What is wrong with the pages of a folder."""
    pages = {path.resolve(): Page(path) for path in html(site)}
    for path, page in pages.items():
        for address in page.resources:
            if urlsplit(address).netloc:
                yield f"{path.relative_to(site.resolve())} loads {address}"
        for address in page.links + page.resources:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            found = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            found = found / "index.html" if found.is_dir() else found
            anchors = pages[found].targets if found in pages else {parts.fragment}
            if not found.exists() or (parts.fragment and unquote(parts.fragment) not in anchors):
                yield f"{path.relative_to(site.resolve())}: {address} leads nowhere"


def main(folder: str) -> int:
    """Print every problem; 1 if there are any, or no pages."""
    site = Path(folder)
    found = sorted(set(problems(site)))
    pages = len(html(site))
    sys.stdout.write("\n".join([*found, f"{pages} pages, {len(found)} problems\n"]))
    return 1 if found or not pages else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
