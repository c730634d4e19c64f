"""A summary as a LaTeX table."""

import re
import unicodedata
from collections.abc import Sequence
from textwrap import wrap

import xarray as xr

from .printed import PrintedColumn, printed_summary

_HEADING_WIDTH = 24
"""Characters in a line of a column's heading."""

_GREEK = (
    "αalpha βbeta γgamma δdelta εepsilon ζzeta ηeta θtheta ιiota κkappa λlambda μmu νnu ξxi πpi "
    "ρrho σsigma τtau υupsilon φphi χchi ψpsi ωomega ΓGamma ΔDelta ΘTheta ΛLambda ΞXi ΠPi ΣSigma "
    "ΥUpsilon ΦPhi ΨPsi ΩOmega"
)
_COMMANDS = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "–": r"\textendash{}",
        "[": "{[}",  # after the end of a row, LaTeX would read it as an option
        "*": "{*}",  # likewise
        "°": r"$^{\circ}$",
        "±": r"$\pm$",
        "×": r"$\times$",
        "·": r"$\cdot$",
        "−": "$-$",
        "µ": r"$\mu$",
        "⁻": "$^{-}$",
        **{character: f"\\{character}" for character in "#$%&_{}"},
        **{character: f"$^{{{digit}}}$" for digit, character in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")},
        **{entry[0]: f"$\\{entry[1:]}$" for entry in _GREEK.split()},
    }
)
_LIGATURES = re.compile(r"(?<=-)(?=-)|(?<=')(?=')|(?<=,)(?=,)|(?<=[`?!])(?=`)")


def latex_table(
    ds: xr.Dataset,
    *,
    band: str,
    variables: Sequence[str] | None = None,
    confidence: float = 0.95,
) -> str:
    r"""The cells of :func:`~.printed.printed_summary` as a LaTeX ``tabular``.

    It needs the package booktabs and nothing else. Parameters are those of
    :func:`~.tables.summary_table`.

    Examples
    --------
    >>> ds = xr.Dataset({"R_2": ("seed", [0.5])}, {"seed": [0]}, {"grid": '{"seed": [0]}'})
    >>> print(latex_table(ds, band="quartiles", variables=["R_2"]).splitlines()[-3])
      0.5000 (0.5000 to 0.5000) & 1 \\
    """
    columns = printed_summary(ds, band=band, variables=variables, confidence=confidence)
    origin = " ".join(str(ds.attrs.get(n, "")) for n in ("zerohm_version", "experiment", "fixed"))
    rows = zip(*(column.cells for column in columns), strict=True)
    return "\n".join(
        [
            rf"% {_one_line(f'zerohm {origin}')}",
            r"% needs \usepackage{booktabs}",
            rf"\begin{{tabular}}{{{''.join('r' if c.numeric else 'l' for c in columns)}}}",
            r"  \toprule",
            _row([_heading(column) for column in columns]),
            r"  \midrule",
            *(_row([escape(cell) for cell in row]) for row in rows),
            r"  \bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def escape(text: str) -> str:
    r"""Text that LaTeX prints as it is written, in one line.

    Letters with accents stay: LaTeX has read UTF-8 since 2018. What no Latin font has needs
    XeLaTeX or LuaLaTeX with a font that has it.

    Examples
    --------
    >>> print(escape("50 % of 10 µS in R_1"))
    50 \% of 10 $\mu$S in R\_1
    """
    commands = _one_line(text).translate(_COMMANDS)
    return _LIGATURES.sub("{}", commands).replace("}$$^{", "")  # one power of several digits


def _one_line(text: str) -> str:
    printable = "".join(c if unicodedata.category(c)[0] != "C" else " " for c in text)
    return " ".join(printable.split())


def _heading(column: PrintedColumn) -> str:
    lines = wrap(column.heading, _HEADING_WIDTH) + wrap(column.statistic, _HEADING_WIDTH)
    side = "r" if column.numeric else "l"
    text = r"\\".join(map(escape, lines))
    return rf"\shortstack[{side}]{{{text}}}"


def _row(cells: Sequence[str]) -> str:
    return rf"  {' & '.join(cells)} \\"
