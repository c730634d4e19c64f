"""The HTML report: it says everything, escapes everything, loads nothing and can be read."""

import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
import xarray as xr

import zerohm
from zerohm import InputError, sweeps, training
from zerohm._citations import bibliography
from zerohm.sweeps.reports import html_report, save_report
from zerohm.sweeps.reports.references import reference

HOSTILE = '<script>alert("1")</script>'
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
EMPTY_ELEMENTS = {"meta", "link", "wbr", "br", "img", "input", "hr"}


@pytest.fixture(scope="module")
def run() -> xr.Dataset:
    """A short training run on RRAM."""
    return training.experiment(method="noisezo", hardware="rram", passes=60, evaluations=3, seed=4)


@pytest.fixture(scope="module")
def sweep() -> xr.Dataset:
    """Short runs at two noise levels with two seeds, and their curves."""
    fixed = {"method": "noisezo", "hardware": "rram", "passes": 40, "evaluations": 2}
    grid = {"write_noise": [0.01, 0.07], "seed": [0, 1]}
    return sweeps.run(training.experiment, grid, fixed=fixed, curves=True)


def with_failure(sweep: xr.Dataset, message: str) -> xr.Dataset:
    """The same with a point that failed."""
    failed = sweep.copy(deep=True)
    failed["error"] = failed["error"].astype(object)
    failed["error"][1, 0] = message
    for name, variable in failed.data_vars.items():
        if variable.dtype.kind in "if":
            failed[name] = variable.astype(float)
            failed[name][1, 0] = np.nan
    return failed


def hostile(sweep: xr.Dataset) -> xr.Dataset:
    """A sweep over devices with names that are HTML, attributes and errors that are HTML."""
    names = [HOSTILE, '"><img src="https://example.com/x.png">']
    grid = json.dumps({"device": names, "seed": [0, 1]})
    texts = {"method": HOSTILE, "task": "</title><b>", "citations": f"{HOSTILE}, Wan2022"}
    config = json.dumps({HOSTILE: {HOSTILE: [HOSTILE]}})
    failed = with_failure(sweep, f"ValueError: {HOSTILE}")
    return (
        failed.rename(write_noise="device")
        .assign_coords(device=names)
        .assign_attrs({**texts, "grid": grid, "config": config, "device": HOSTILE, "</p>": "&amp;"})
    )


@pytest.fixture(scope="module")
def pages(run, sweep) -> dict[str, str]:
    """The reports of a run, of a sweep and of one full of HTML."""
    return {
        "run": html_report(run),
        "sweep": html_report(sweep),
        "hostile": html_report(hostile(sweep)),
    }


class Page(HTMLParser):
    """Elements with their attributes, and the text of a page; every element must be closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in EMPTY_ELEMENTS:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        """Attributes of every element of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]


def loaded(page: Page) -> list[str]:
    """What a browser would fetch to show the page."""
    found = []
    for tag, attributes in page.elements:
        assert not any(name.startswith("on") for name in attributes)  # no script in attributes
        found += [attributes[name] for name in ("src", "srcset", "data") if name in attributes]
        if tag != "a":
            found += [attributes[n] for n in ("href", "xlink:href") if n in attributes]
        found += re.findall(r"url\(([^)]*)\)", " ".join(attributes.values()))
    found += re.findall(r"@import|url\(([^)]*)\)", page.text)
    return [address for address in found if not address.startswith("#")]


def test_a_run_s_page_says_what_was_run_and_what_came_out(run, pages):
    """Score, seed, every setting, ledger, sources and version are on the page."""
    text = Page(pages["run"]).text
    assert f"{100 * float(run.deployed_accuracy[-1]):.1f} %" in text
    assert "seed 4" in text
    assert f"{int(run.dac_conversions[-1]):,}" in text
    config = json.loads(run.attrs["config"])
    assert f"method.learning_rate{config['method']['learning_rate']}" in text.replace("\n", "")
    assert json.dumps(config["hardware"]["cell"]["conductance_max"]) in text
    assert zerohm.__version__ in text
    energy = float(run.energy_J.isel(step=-1).sum())
    shown = re.search(r"All parts([\d.]+) (\S)J", text.replace("\n", ""))
    assert shown
    scale = {"µ": 1e-6, "m": 1e-3, "n": 1e-9}[shown[2]]
    assert float(shown[1]) * scale == pytest.approx(energy, abs=0.0051 * scale)


def test_sources_are_those_of_cite(run, pages):
    """The BibTeX block is what ``zerohm.cite`` gives for the same models."""

    class Models:
        citations = tuple(run.attrs["citations"].split(", "))

    assert zerohm.cite(Models()) in Page(pages["run"]).text


def test_the_settings_on_the_page_read_back(run, pages):
    """The JSON block holds the whole configuration, to the bit."""
    block = re.search(r"<pre[^>]*>(.*?)</pre>", pages["run"], re.DOTALL)
    assert block
    assert json.loads(Page(f"<p>{block[1]}</p>").text)["config"] == json.loads(run.attrs["config"])


def test_a_sweep_s_page_has_its_figures_and_its_table(sweep, pages):
    """Noise-accuracy, learning curve and energy breakdown, and the summary over seeds."""
    html = pages["sweep"]
    page = Page(html)
    assert len(page.all("svg")) == 3
    assert "Not drawn" not in page.text
    median = 100 * float(sweep.deployed_accuracy.sel(write_noise=0.07).median())
    assert f"{median:.1f}"[:3] in page.text
    assert "Median and interquartile range of 2 seeds" in html
    assert "95 % confidence interval of 2 seeds" in html_report(sweep, band="confidence")
    assert "Points without a result" not in page.text


def test_failed_points_are_listed(sweep):
    """A failed point stands on the page with its parameters and its error."""
    text = Page(html_report(with_failure(sweep, "TrainingDiverged: loss inf"))).text
    assert "Points without a result1" in text.replace("\n", "")
    assert "70TrainingDiverged: loss inf" in text.replace("\n", "")


def test_points_that_a_stop_rule_left_out_are_counted(sweep):
    """They are no failures."""
    stopped = sweep.assign(seeds_used=("write_noise", [2, 1]))
    text = Page(html_report(stopped)).text.replace("\n", "")
    assert "Points that the stop rule did not need1" in text
    assert "Points without a result" not in text


def test_a_figure_that_cannot_be_drawn_says_why(sweep):
    """A page without its figure still has its numbers."""
    text = Page(html_report(sweep.assign(energy_J=0 * sweep.energy_J))).text
    assert "Not drawn: no part of the hardware took any energy" in text
    assert "All parts" in text


def test_any_experiment_has_a_page():
    """A sweep of a function that is no training has tables of what it returns."""

    def experiment(x, seed):
        return xr.Dataset({"height": x + seed})

    page = Page(html_report(sweeps.run(experiment, {"x": range(300), "seed": [0, 1]})))
    assert "Height" in page.text
    assert "100 further rows are left out" in page.text
    assert "300 values, 0 to 299" in page.text


def test_everything_is_escaped(pages):
    """Names, settings and errors that are HTML are shown as text and make no element."""
    page = Page(pages["hostile"])
    assert HOSTILE in page.text
    assert "</title><b>" in page.text
    assert f"ValueError: {HOSTILE}" in page.text
    assert f"{HOSTILE}: not in the bibliography" in page.text
    kinds = {tag for tag, _ in page.elements}
    assert not kinds & {"script", "img", "b", "iframe", "object"}
    assert loaded(page) == ["data:,"]


def test_nothing_is_loaded(pages):
    """No address outside the page is fetched; links to sources are followed by hand only."""
    for html in (pages["run"], pages["sweep"]):
        page = Page(html)
        assert loaded(page) == ["data:,"]  # an empty icon, lest browsers ask for one
        assert all(link["href"].startswith("https://") for link in page.all("a"))
        assert "script" not in {tag for tag, _ in page.elements}
    assert loaded(Page('<p style="background: url(https://a.b)"></p>'))  # the search can find one


def test_the_page_is_accessible(pages):
    """Language, headings of tables, texts for figures, unique identifiers, order of headings."""
    page = Page(pages["hostile"])
    assert page.all("html") == [{"lang": "en"}]
    assert all("scope" in heading for heading in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table")) > 4
    identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    for _, attributes in page.elements:
        assert attributes.get("aria-labelledby", identifiers[0]) in identifiers
        link = attributes.get("href", "")
        assert not link.startswith("#") or link[1:] in identifiers
    assert all(svg["role"] == "img" and "viewbox" in svg for svg in page.all("svg"))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert set(levels[1:]) == {2}


def luminance(colour: str) -> float:
    """Relative luminance of a colour #rrggbb (WCAG 2.2)."""
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours, from 1 to 21 (WCAG 2.2)."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_colours_have_contrast(pages):
    """Text has a contrast of at least 4.5 to its ground, in light, dark and on paper."""
    assert contrast("#777777", "#ffffff") < 4.5 < contrast("#767676", "#ffffff")  # WCAG's example
    themes = re.findall(r":root \{(.*?)\}", pages["run"], re.DOTALL)
    assert len(themes) == 3
    for theme in themes:
        colour = dict(re.findall(r"--(\w+): (#\w{6})", theme))
        for text in ("ink", "faint", "link"):
            for ground in ("paper", "shade"):
                assert contrast(colour[text], colour[ground]) >= 4.5


def test_the_same_dataset_gives_the_same_page(sweep, pages):
    """There is no date and no order that changes."""
    assert html_report(sweep.copy(deep=True)) == pages["sweep"]


def test_a_report_is_written_whole(sweep, pages, tmp_path):
    """The file is the page; a failure leaves what was there."""
    path = tmp_path / "report.html"
    save_report(sweep, path)
    written = path.read_text(encoding="utf-8")
    assert written == pages["sweep"]
    with pytest.raises(InputError, match="attribute 'fixed'"):
        save_report(sweep.assign_attrs(fixed="no JSON"), path)
    assert path.read_text(encoding="utf-8") == written
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_what_has_no_report_is_refused(sweep, tmp_path):
    """A wrong suffix, a wrong band, or a dataset that is neither run nor sweep."""
    with pytest.raises(InputError, match=r"must end with \.html"):
        save_report(sweep, tmp_path / "report.pdf")
    with pytest.raises(InputError, match="unknown band"):
        html_report(sweep, band="mean")
    with pytest.raises(InputError, match="neither a sweep's nor a run's"):
        html_report(xr.Dataset({"a": 1.0}))


def test_every_entry_of_the_bibliography_can_be_read():
    """No LaTeX is left in what readers see, and each entry has author, title and year."""
    for key, entry in bibliography().items():
        text = reference(key).text
        assert not re.search(r"[\\{}]|--|\bothers\b", text), text
        assert re.search(r"year\s*=\s*\{(\d{4})\}", entry)[1] in text
        assert "  " not in text


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if BROWSER is None:
        pytest.skip("Chromium is not installed")
    with api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield opened
        opened.close()


MEASURE = """() => {
  const root = document.documentElement;
  const size = e => [e.getBoundingClientRect().width, e.getBoundingClientRect().height];
  return {
    overflow: root.scrollWidth - root.clientWidth,
    figures: [...document.querySelectorAll("svg")].map(size),
    outside: [...document.querySelectorAll("h1, h2, p, dd, figure, .scroll, pre")]
      .filter(e => e.getBoundingClientRect().right > root.clientWidth + 1).length,
    squeezed: [...document.querySelectorAll("th, td")]
      .filter(e => e.textContent.length > 3 && e.getBoundingClientRect().width < 24).length,
    letters: Math.min(...[...document.querySelectorAll("th, td")]
      .map(e => parseFloat(getComputedStyle(e).fontSize))),
    ground: getComputedStyle(document.body).backgroundColor,
  };
}"""


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_a_browser(browser, pages, tmp_path, width, scheme):
    """Nothing is asked for or complained of, figures have a size, nothing runs out of the page."""
    grounds = {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}
    for name, html in pages.items():
        path = tmp_path / f"{name}.html"
        path.write_text(html, encoding="utf-8")
        view = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        page, complaints, requests = view.new_page(), [], []
        page.on("console", lambda message, to=complaints: to.append(message.text))
        page.on("pageerror", lambda error, to=complaints: to.append(str(error)))
        page.on("dialog", lambda dialog, to=complaints: to.append(dialog.message))
        page.on("request", lambda request, to=requests: to.append(request.url))
        page.goto(path.as_uri())
        found = page.evaluate(MEASURE)
        view.close()
        assert complaints == []
        assert [url for url in requests if not url.startswith("data:")] == [path.as_uri()]
        assert found["overflow"] <= 0
        assert found["outside"] == found["squeezed"] == 0
        assert len(found["figures"]) >= 2
        assert all(0.75 * min(width, 460) < w and h > 200 for w, h in found["figures"])
        assert found["letters"] >= 12
        assert found["ground"] == grounds[scheme]
