"""Tables of results: CSV that loses nothing, summaries that agree with textbooks, sound LaTeX."""

import csv
import json
import math
import re
import shutil
import statistics
import subprocess

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t

from zerohm import InputError
from zerohm.sweeps.reports import points_table, save_table, summary_table
from zerohm.sweeps.reports.latex import escape, latex_table
from zerohm.sweeps.reports.printed import printed_summary

LEVELS, SEEDS, PARTS = [0.01, 0.07], [0, 1, 2, 3], ["write", "read_back"]
SUMMARIES = ("quartiles", "confidence")


def sweep(**attributes) -> xr.Dataset:
    """Two noise levels, four seeds, one of them failed; curves are kept."""
    rng = np.random.default_rng(5)
    accuracy = rng.uniform(0.5, 0.9, (2, 4))
    accuracy[1, 2] = np.nan
    errors = np.full((2, 4), "", dtype="U40")
    errors[1, 2] = 'TrainingDiverged: "loss", nan\nat step 3'
    point = ("write_noise", "seed")
    return xr.Dataset(
        {
            "deployed_accuracy": (point, accuracy, {"long_name": "Test accuracy", "units": "1"}),
            "hardware_time": (point, rng.lognormal(-20, 3, (2, 4)), {"units": "s"}),
            "energy_J": ((*point, "part"), rng.lognormal(-12, 1, (2, 4, 2)), {"units": "J"}),
            "deployed_accuracy_curve": ((*point, "step"), rng.uniform(size=(2, 4, 3))),
            "error": (point, errors),
        },
        {"write_noise": LEVELS, "seed": SEEDS, "part": PARTS, "step": [10, 20, 30]},
        {"grid": json.dumps({"write_noise": LEVELS, "seed": SEEDS}), **attributes},
    )


def read(path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_csv_has_every_number_of_a_sweep_to_the_bit(tmp_path):
    """Each value is found again in the row of its point, under a name with its unit."""
    ds = sweep()
    save_table(ds, tmp_path / "points.csv")
    table = read(tmp_path / "points.csv")
    assert len(table) == 8
    noise = "write_noise [fraction of the conductance window]"
    for row in table:
        point = ds.sel(write_noise=float(row[noise]), seed=int(row["seed"]))
        accuracy = float(row["deployed_accuracy"] or "nan")
        np.testing.assert_array_equal(accuracy, point.deployed_accuracy)
        assert float(row["hardware_time [s]"]) == point.hardware_time
        assert float(row["energy_J_write [J]"]) == point.energy_J.sel(part="write")
        assert float(row["energy_J_read_back [J]"]) == point.energy_J.sel(part="read_back")
        assert row["error"] == point.error
    assert b"\r" not in (tmp_path / "points.csv").read_bytes()


def test_csv_of_curves_has_one_row_per_step(tmp_path):
    """Curves are a table of their own, since they have more rows than points."""
    ds = sweep()
    save_table(ds, tmp_path / "curves.csv", curves=True)
    table = read(tmp_path / "curves.csv")
    assert len(table) == 24
    last = table[-1]
    assert float(last["deployed_accuracy_curve"]) == ds.deployed_accuracy_curve[-1, -1, -1]
    assert last["step"] == "30"


def test_a_run_is_a_table_of_its_steps():
    """Without a grid, rows are records along the run."""
    values = ("step", [1.0, 2.0])
    table = points_table(xr.Dataset({"loss_dB": (*values, {"units": "dB"})}, {"step": [5, 9]}))
    assert table.to_dict("list") == {"step": [5, 9], "loss_dB": [1.0, 2.0]}


def test_quartiles_are_those_of_the_standard_library():
    """Median and quartiles by linear interpolation, over the seeds that have a value."""
    ds = sweep()
    summary = summary_table(ds, band="quartiles")
    for i in range(2):
        values = [v for v in ds.deployed_accuracy.values[i].tolist() if not math.isnan(v)]
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        assert summary.deployed_accuracy_median[i] == pytest.approx(median, rel=1e-14)
        assert summary.deployed_accuracy_lower_quartile[i] == pytest.approx(low, rel=1e-14)
        assert summary.deployed_accuracy_upper_quartile[i] == pytest.approx(high, rel=1e-14)
    assert summary.deployed_accuracy_seeds.values.tolist() == [4, 3]


def test_confidence_interval_is_student_s():
    """Mean and half width agree with scipy's t distribution and the sample deviation."""
    ds = sweep()
    summary = summary_table(ds, band="confidence", confidence=0.9)
    for i in range(2):
        values = [v for v in ds.deployed_accuracy.values[i].tolist() if not math.isnan(v)]
        n = len(values)
        half = t.ppf(0.95, n - 1) * statistics.stdev(values) / math.sqrt(n)
        assert summary.deployed_accuracy_mean[i] == pytest.approx(statistics.mean(values))
        assert summary.deployed_accuracy_half_width[i] == pytest.approx(half, rel=1e-10)


def test_summary_as_csv(tmp_path):
    """One row per combination, with chosen variables, also those by part."""
    save_table(sweep(), tmp_path / "s.csv", band="confidence", variables=["energy_J"])
    table = read(tmp_path / "s.csv")
    assert len(table) == 2
    assert list(table[0])[1:4] == [
        "energy_J_write_mean [J]",
        "energy_J_write_half_width [J]",
        "energy_J_write_seeds",
    ]


@pytest.mark.parametrize(
    ("seeds", "band", "expected"),
    [
        ([0.951, 0.963, 0.958], "confidence", "0.957 ± 0.015"),
        ([0.951, 0.963, 0.958], "quartiles", "0.9580 (0.9545 to 0.9605)"),
        ([-3.0, -2.0, -1.0], "quartiles", "−2.00 (−2.50 to −1.50)"),
        ([0.5, 0.5], "confidence", "0.5000 ± 0.0000"),
        ([1200.0, 1400.0], "quartiles", "1300 (1250 to 1350)"),
        ([np.nan, np.nan], "quartiles", "–"),
    ],
)
def test_rounding(seeds, band, expected):
    """Two significant digits of the spread, and the value to the same decimal."""
    grid = {"grid": json.dumps({"seed": list(range(len(seeds)))})}
    ds = xr.Dataset({"loss": ("seed", seeds)}, {"seed": range(len(seeds))}, grid)
    column = printed_summary(ds, band=band, variables=["loss"])[0]
    assert column.cells == [expected]


def test_units_scale_the_cells():
    """Accuracies are in percent, tiny energies have a power of ten in the heading."""
    columns = printed_summary(
        sweep(), band="quartiles", variables=["deployed_accuracy", "energy_J", "hardware_time"]
    )
    headings = [column.heading for column in columns]
    assert headings[0] == "Write noise (% of the conductance window)"
    assert columns[0].cells == ["1", "7"]  # 100 · 0.07 is 7.000000000000001
    assert headings[1].endswith("(%)")
    assert re.search(r"write \(10⁻[³⁶] J\)", headings[2])
    assert sum(heading.startswith("Seeds") for heading in headings) == 2  # one seed has no accuracy


@given(
    values=st.lists(st.floats(-1e4, 1e4, allow_subnormal=False), min_size=3, max_size=6),
    power=st.integers(-12, 12),
)
def test_printed_numbers_are_the_numbers(values, power):
    """What is printed, times the power in the heading, is the mean to half of its last digit."""
    seeds = list(range(len(values)))
    scaled = np.array(values) * 10.0**power
    grid = {"grid": json.dumps({"seed": seeds})}
    ds = xr.Dataset({"loss": ("seed", scaled)}, {"seed": seeds}, grid)
    column = printed_summary(ds, band="confidence", variables=["loss"])[0]
    text = column.cells[0].split(" ± ")[0].replace("−", "-")
    superscripts = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
    found = re.search(r"\(10(.*)\)", column.heading)
    exponent = int(found[1].translate(superscripts)) if found else 0
    decimals = len(text.partition(".")[2])
    unit = 10.0 ** (exponent - decimals)
    assert float(text) * 10.0**exponent == pytest.approx(scaled.mean(), abs=0.501 * unit, rel=1e-9)


# A small grammar of the LaTeX that tables consist of.
TOKEN = re.compile(
    r"\\(?:textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbar|textendash)"
    r"(?=\{\})|\\[#$%&_{}]|\\\\|\\shortstack\[[lr]\](?=\{)|\$\\[A-Za-z]+\$|\$\^\{[-\\a-z0-9]+\}\$"
    r"|\$-\$|[{}&]|[^\\$#%&_^~{}<>|]"
)


def grammar_error(body: str) -> str:
    """Why text isn't the inside of a table that LaTeX prints as it is meant; "" if it is."""
    position = depth = 0
    while position < len(body):
        token = TOKEN.match(body, position)
        if token is None:
            return f"not escaped: {body[position : position + 20]!r}"
        depth += {"{": 1, "}": -1}.get(token[0], 0)
        if depth < 0 or (token[0] == "&" and depth):
            return f"braces do not fit at {body[position : position + 20]!r}"
        position = token.end()
    if re.search(r"--|''|``|,,|[?!]`|\\\\\s*[\[*]", body):
        return "characters that LaTeX would join or read as an option"
    return "braces are open" if depth else ""


@pytest.mark.parametrize(
    "wrong", ["50 %", "a_b", r"\alpha", "{", "}", "{ & }", "x^2", "a--b", r"\\ [1]", "$", "<"]
)
def test_the_grammar_finds_mistakes(wrong):
    """The check of the next tests can fail."""
    assert grammar_error(wrong)


@given(st.text(max_size=60))
def test_any_text_is_escaped(text):
    """No text from a file can be a command, end a row or break the table."""
    assert grammar_error(escape(text)) == ""
    assert not escape(text).startswith(("[", "*"))
    assert "\n" not in escape(text)


def test_escaped_text_says_the_same():
    """Symbols of the field have their commands; accents stay."""
    assert escape("µ Ω 10⁻⁶ ± 5 % of R_1 – é") == (
        r"$\mu$ $\Omega$ 10$^{-6}$ $\pm$ 5 \% of R\_1 \textendash{} é"
    )
    assert escape("--[x] \\ {a}") == r"-{}-{[}x] \textbackslash{} \{a\}"


def rows_of(text: str) -> tuple[str, list[list[str]]]:
    """Column specification and cells of a table."""
    lines = text.splitlines()
    specification = re.fullmatch(r"\\begin\{tabular\}\{([lr]+)\}", lines[2])
    assert specification
    assert lines[-1] == r"\end{tabular}"
    rules = [line.strip() for line in lines if line.strip() in RULES]
    assert rules == RULES
    rows = [line.strip() for line in lines[3:-1] if line.strip() not in RULES]
    assert all(row.endswith(r" \\") for row in rows)
    bodies = [row.removesuffix(r"\\") for row in rows]
    assert [grammar_error(body) for body in bodies] == [""] * len(bodies)
    return specification[1], [re.split(r"(?<!\\)&", body) for body in bodies]


RULES = [r"\toprule", r"\midrule", r"\bottomrule"]
HOSTILE = ["[1] a & b_c", "100 % \\end{tabular}", "<x>"]


@pytest.mark.parametrize("band", SUMMARIES)
def test_latex_table_is_sound(band):
    """As many cells as columns in every row, everything escaped, comments in one line."""
    ds = sweep(zerohm_version="0.1.0\n\\input{/etc/passwd}", experiment="e", fixed="{}")
    specification, rows = rows_of(latex_table(ds, band=band))
    assert specification == "rrr"
    assert [len(row) for row in rows] == [3, 3, 3]
    assert ("median (quartiles)" if band == "quartiles" else "mean, 95 \\% confidence") in rows[0][
        1
    ]
    named = ds.isel(write_noise=[0, 0, 1]).assign_coords(write_noise=HOSTILE)
    named = named.rename(write_noise="device").assign_attrs(
        grid=json.dumps({"device": HOSTILE, "seed": SEEDS})
    )
    specification, rows = rows_of(latex_table(named, band=band, variables=["energy_J"]))
    assert specification == "lrrr"
    assert rows[1][0].strip() == r"{[}1] a \& b\_c"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_table_compiles(tmp_path):
    """LaTeX itself accepts the table."""
    table = latex_table(sweep(), band="confidence", variables=["deployed_accuracy", "energy_J"])
    document = f"\\documentclass{{article}}\\usepackage{{booktabs}}\\begin{{document}}\n{table}"
    (tmp_path / "t.tex").write_text(document + "\\end{document}", encoding="utf-8")
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("t.xlsx", {}, "must end with .csv or .tex"),
        ("t.tex", {}, "choose the band"),
        ("t.csv", {"variables": ["energy_J"]}, "choose the band"),
        ("t.csv", {"band": "mean"}, "unknown band"),
        ("t.csv", {"band": "confidence", "confidence": 95}, "between 0 and 1"),
        ("t.csv", {"band": "quartiles", "variables": ["energy"]}, "did you mean 'energy_J'"),
        ("t.csv", {"band": "quartiles", "variables": ["error"]}, "holds text"),
        ("t.csv", {"band": "quartiles", "curves": True}, "choose curves or a band"),
        ("no/t.csv", {}, "no folder"),
    ],
)
def test_what_cannot_be_saved_is_said(tmp_path, name, options, message):
    """Nothing is written, and a file that is there stays as it is."""
    path = tmp_path / name
    if path.parent.is_dir():
        path.write_text("before", encoding="utf-8")
    with pytest.raises(InputError, match=re.escape(message)):
        save_table(sweep(), path, **options)
    if path.parent.is_dir():
        assert [file.name for file in tmp_path.iterdir()] == [path.name]
        assert path.read_text(encoding="utf-8") == "before"


@pytest.mark.parametrize("grid", ["{", "[1]", 3])
def test_damaged_attributes_are_said(grid):
    """A dataset whose grid is no JSON of settings gives a message, not a traceback."""
    with pytest.raises(InputError, match="attribute 'grid'"):
        points_table(sweep(grid=grid))


def test_no_sweep_no_run_no_table():
    """A dataset without grid and steps, or a sweep without curves, is refused."""
    with pytest.raises(InputError, match="neither a sweep's nor a run's"):
        points_table(xr.Dataset({"a": 1.0}))
    with pytest.raises(InputError, match="no curves"):
        points_table(sweep().drop_dims("step"), curves=True)


def test_names_in_a_table_are_unique():
    """A variable that would have the name of another's part is not lost without a word."""
    ds = sweep()
    with pytest.raises(InputError, match="two variables would be called 'energy_J_write'"):
        points_table(ds.assign(energy_J_write=ds.hardware_time))
