"""Entries of the bibliography for readers."""

import re
import unicodedata
from dataclasses import dataclass

from zerohm._citations import bibliography

_ACCENTS = {
    "'": "\N{COMBINING ACUTE ACCENT}",
    "`": "\N{COMBINING GRAVE ACCENT}",
    '"': "\N{COMBINING DIAERESIS}",
    "^": "\N{COMBINING CIRCUMFLEX ACCENT}",
    "~": "\N{COMBINING TILDE}",
    "v": "\N{COMBINING CARON}",
    "c": "\N{COMBINING CEDILLA}",
}
_LETTERS = {"i": "ı", "o": "ø", "O": "Ø", "l": "ł", "L": "Ł", "ss": "ß"}
_PLACES = ("journal", "booktitle", "school", "howpublished", "note")


@dataclass(frozen=True)
class Reference:
    """A source: its text for readers, where it is, and its BibTeX entry (empty if unknown)."""

    key: str
    text: str
    link: str
    bibtex: str


def reference(key: str) -> Reference:
    """The source of this citation key; one that the bibliography lacks has its key as text.

    Examples
    --------
    >>> reference("Spall1992").text.startswith("James C. Spall. Multivariate")
    True
    """
    entry = bibliography().get(key)
    if entry is None:
        return Reference(key, f"{key}: not in the bibliography of zerohm", "", "")
    fields = _fields(entry)
    place = next((fields[name] for name in _PLACES if name in fields), "")
    if "eprint" in fields and place in ("", "arXiv preprint"):
        place = f"arXiv:{fields['eprint']}"
    volume = fields.get("volume", "") + (f"({fields['number']})" if "number" in fields else "")
    where = ", ".join(filter(None, [f"{place} {volume}".strip(), fields.get("pages")]))
    parts = [_authors(fields["author"]), fields["title"], f"{where} ({fields['year']})".strip()]
    return Reference(key, f"{'. '.join(parts)}.", _link(fields), entry)


def _fields(entry: str) -> dict[str, str]:
    """Fields of an entry with one field per line, their LaTeX as plain text."""
    found = re.findall(r"^\s*(\w+)\s*=\s*\{(.*)\},?\s*$", entry, re.MULTILINE)
    return {name.lower(): _plain(value) for name, value in found}


def _plain(latex: str) -> str:
    r"""LaTeX of a bibliography as plain text.

    >>> print(_plain(r"P{\'e}rez and Demir{\c c}ioglu, {\v{c}} {RRAM} 1--2 \url{https://a.b}"))
    Pérez and Demirçioglu, č RRAM 1–2 https://a.b
    """
    text = latex.replace(r"\url", "")
    for command, letter in _LETTERS.items():
        text = re.sub(rf"\\{command}(?![A-Za-z])\s?", letter, text)
    accent = r"\\(?:(['`\"^~])|([vc])(?![A-Za-z]))\s*\{?\s*(\w)\}?"
    text = re.sub(accent, lambda m: _accented(m[3], m[1] or m[2]), text)
    text = (
        re.sub(r"\\([&%_#$])", r"\1", text)
        .replace("---", "—")
        .replace("--", "–")
        .replace("~", "\N{NO-BREAK SPACE}")
    )
    return text.replace("{", "").replace("}", "")


def _accented(letter: str, accent: str) -> str:
    return unicodedata.normalize("NFC", letter.replace("ı", "i") + _ACCENTS[accent])


def _authors(names: str) -> str:
    """Given names first; of more than six authors only the first author."""
    people = [" ".join(reversed(name.split(", ", 1))) for name in names.split(" and ")]
    if len(people) > 6 or people[-1] == "others":
        return f"{people[0]} et al"
    return ", ".join(people)


def _link(fields: dict[str, str]) -> str:
    if "doi" in fields:
        return f"https://doi.org/{fields['doi']}"
    if "eprint" in fields:
        return f"https://arxiv.org/abs/{fields['eprint']}"
    return fields.get("url", "")
