"""Every kind of figure looks as it did, is readable, and can be made again from its files.

The pictures in ``tests/baseline`` were looked at; after a wanted change, look at what
``python tests/test_figure_images.py`` draws in their place.
"""

import json
import re
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.testing.compare import compare_images
from PIL import Image

import zerohm
from zerohm import sweeps
from zerohm._figures import figure_of
from zerohm.devices.calibrate.figure import page
from zerohm.devices.calibrate.panel import Panel
from zerohm.training.energy import ENERGY_PARTS

BASELINE = Path(__file__).parent / "baseline"
DPI = 80
TOLERANCE = 1.0
"""Root mean square over all pixels, of 255. Another drawing of the same figure has 0; moving a
single one of 20 points by 2 % of accuracy has more, see the test of that."""
REFERENCES = {"backpropagation": 0.966, "chance": 0.1}
ATTRIBUTES = {"zerohm_version": "0.1.0", "references": json.dumps(REFERENCES)}


def spread(*shape):
    """Numbers between -1 and 1 without an order that the eye sees, the same everywhere."""
    return np.sin(1 + 7 * np.arange(np.prod(shape)) ** 1.5).reshape(shape)


def noise_sweep():
    noise = np.array([0.0, 0.05, 0.1, 0.2, 0.3])
    accuracy = 0.93 - 0.3 * noise[:, None, None] - 0.05 * np.arange(2)[:, None]
    return xr.Dataset(
        {"deployed_accuracy": (("write_noise", "method", "seed"), accuracy + spread(5, 2, 5) / 90)},
        coords={"write_noise": noise, "method": ["noisezo", "mezo"], "seed": range(5)},
        attrs=ATTRIBUTES | {"fixed": '{"task": "Ziffern ä"}'},
    )


def grid():
    noise, bits = np.array([0.005, 0.01, 0.02, 0.05, 0.1]), np.array([4, 5, 6, 8])
    accuracy = 0.97 - 2 * noise[:, None, None] - 3 * 2.0 ** -bits[:, None] + spread(5, 4, 3) / 90
    accuracy[4, 0] = np.nan
    return xr.Dataset(
        {"deployed_accuracy": (("write_noise", "adc_bits", "seed"), accuracy)},
        coords={"write_noise": noise, "adc_bits": bits, "seed": range(3)},
        attrs=ATTRIBUTES,
    )


def run(speed=1.0):
    passes = np.linspace(0, 12_000, 13)
    accuracy = 0.95 - 0.85 * np.exp(-speed * passes / 3000) + spread(13) / 90
    spent = [3e-3, 0, 1e-3, 2e-4, 4e-4, 2.5e-3, 8e-4, 6e-4, 1.2e-3, 1e-5]
    energy = np.outer(passes / passes[-1], spent) / speed
    return xr.Dataset(
        {
            "deployed_accuracy": ("step", accuracy),
            "forward_passes": ("step", passes, {"long_name": "Forward passes of one mini-batch"}),
            "energy_J": (
                ("step", "part"),
                energy,
                {"units": "J", "long_name": "Energy used in training"},
            ),
        },
        coords={"step": 10 * np.arange(13), "part": list(ENERGY_PARTS)},
        attrs=ATTRIBUTES | {"method": f"speed {speed}"},
    )


def sizes():
    size, wire = np.array([8, 16, 32, 64, 128, 256]), np.array([1.0, 2.5, 5.0])
    error = 1e-4 * (size[:, None, None] / 8) ** 2 * wire[:, None] * np.exp(spread(6, 3, 5) / 3)
    return xr.Dataset(
        {"error": (("size", "wire_resistance", "seed"), error, {"long_name": "Relative error"})},
        coords={
            "size": ("size", size, {"long_name": "Word lines = bit lines"}),
            "wire_resistance": wire,
            "seed": range(5),
        },
        attrs=ATTRIBUTES,
    )


RUNS = {"NoiseZO": run(), "The same on a chip that learns sooner": run(2.0)}
KINDS = {
    "noise_accuracy": (sweeps.noise_accuracy, noise_sweep(), {}),
    "noise_accuracy_confidence": (
        sweeps.noise_accuracy,
        noise_sweep().isel(method=0),
        {"band": "confidence", "confidence": 0.9, "columns": 2},
    ),
    "heat_map": (sweeps.heat_map, grid(), {"x": "write_noise", "y": "adc_bits"}),
    "learning_curves": (sweeps.learning_curves, RUNS, {}),
    "error_versus_size": (sweeps.error_versus_size, sizes(), {"variable": "error"}),
    "energy_breakdown": (sweeps.energy_breakdown, RUNS, {}),
    "energy_breakdown_log": (sweeps.energy_breakdown, RUNS, {"scale": "log"}),
}
each_kind = pytest.mark.parametrize("kind", KINDS)


def draw(kind):
    function, data, settings = KINDS[kind]
    return function(data, **settings)


def calibration_page():
    x = np.linspace(0, 1, 41)
    fit = Panel(
        x_label="Time (s)",
        y_label="Conductance (µS)",
        points={"Measured": (x, x**2 + spread(41) / 20)},
        lines={"Fit": (x, x**2)},
        bands={"95 %": (x, x**2 - 0.1, x**2 + 0.1)},
    )
    residuals = Panel(x_label="Row", y_label="Residual", points={"Measured": (x, spread(41))})
    return page(
        [fit, residuals], title="Calibration of a cell", numbers=["a = 1 ± 0.1"], remarks=["None"]
    )


def write(name, path):
    """A figure as a small picture."""
    figure = calibration_page() if name == "calibration" else figure_of(draw(name))
    figure.savefig(path, dpi=DPI, metadata={"Software": f"matplotlib {mpl.__version__}"})


def drawn_with(path):
    """Major and minor version of the matplotlib that drew a picture."""
    return re.findall(r"\d+", texts(path)["Software"])[:2]


def texts(path):
    """The texts in the metadata of a PNG file."""
    with Image.open(path) as picture:
        return picture.text


@pytest.mark.parametrize("name", [*KINDS, "calibration"])
def test_the_figure_looks_as_it_did(name, tmp_path):
    """No picture differs from the one that was looked at."""
    baseline, path = BASELINE / f"{name}.png", tmp_path / f"{name}.png"
    write(name, path)
    if drawn_with(baseline) != drawn_with(path):
        pytest.skip(f"{baseline.name} was drawn by another matplotlib, with other letters")
    assert compare_images(str(baseline), str(path), TOLERANCE) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda ds: ds.where((ds.write_noise != 0.2) | (ds.method != "mezo"), ds - 0.02),
        lambda ds: ds.assign_coords(write_noise=ds.write_noise * 1.02),
        lambda ds: ds.assign_coords(method=["noisezo", "mexo"]),
    ],
    ids=["a point moved", "the axis stretched", "a letter changed"],
)
def test_a_changed_figure_is_noticed(change, tmp_path):
    """A small change of what is shown goes beyond the tolerance."""
    for name, ds in (("before", noise_sweep()), ("after", change(noise_sweep()))):
        sweeps.noise_accuracy(ds).savefig(tmp_path / f"{name}.png", dpi=DPI)
    before, after = (str(tmp_path / f"{name}.png") for name in ("before", "after"))
    assert compare_images(before, after, TOLERANCE) is not None


@each_kind
@pytest.mark.parametrize("columns", [1, 2])
def test_no_letter_is_cut_off_and_no_two_ticks_overlap(kind, columns):
    """All text lies within the figure, and the numbers along an axis beside each other."""
    function, data, settings = KINDS[kind]
    figure = figure_of(function(data, **settings | {"columns": columns}))
    figure.draw_without_rendering()
    drawn, room = figure.get_tightbbox(), figure.bbox_inches
    assert min(drawn.x0 - room.x0, drawn.y0 - room.y0, room.x1 - drawn.x1, room.y1 - drawn.y1) > 0
    for axis in (axis for ax in figure.axes for axis in (ax.xaxis, ax.yaxis)):
        low, high = sorted(axis.get_view_interval())
        boxes = [
            label.get_window_extent()
            for tick in axis.get_major_ticks()
            for label in (tick.label1, tick.label2)
            if label.get_visible() and label.get_text() and low <= tick.get_loc() <= high
        ]
        for first, second in pairwise(boxes):
            assert not first.overlaps(second), axis.get_label_text()


@each_kind
def test_the_data_beside_the_figure_draw_it_again(kind, tmp_path):
    """From the NetCDF file beside it, the same function draws the same picture of the same data."""
    function, _, settings = KINDS[kind]
    written = sweeps.save_figure(draw(kind), tmp_path / "first.svg")
    assert [path.name for path in written] == ["first.svg", "first.csv", "first.nc"]
    again = function(sweeps.load(tmp_path / "first.nc"), **settings)
    sweeps.save_figure(again, tmp_path / "again.svg")
    for suffix in (".svg", ".csv"):
        first, second = ((tmp_path / f"{n}{suffix}").read_text() for n in ("first", "again"))
        assert first == second
    assert "<text" not in (tmp_path / "first.svg").read_text()  # outlines need no font
    said = facts(tmp_path / "first.svg")[1]
    assert said["references"] == ATTRIBUTES["references"]
    assert said["figure"].startswith(function.__name__)


def facts(path):
    """What the metadata of a figure file say, and who made it."""
    if path.suffix == ".png":
        return texts(path)["Software"], json.loads(texts(path)["Description"])
    content = path.read_bytes()
    if path.suffix == ".svg":
        found = re.search(r"<dc:description>(.*?)</dc:description>", content.decode(), re.DOTALL)
        creator = re.search(r"<dc:creator>.*?<dc:title>(.*?)<", content.decode(), re.DOTALL)
        unescaped = found[1].replace("&quot;", '"').replace("&gt;", ">").replace("&amp;", "&")
        return creator[1], json.loads(unescaped)
    assert b"CreationDate" not in content
    found = re.search(rb"/Subject \((.*?[^\\])\)", content, re.DOTALL)
    subject = re.sub(rb"\\([()\\])", rb"\1", found[1]).decode()
    return re.search(rb"/Creator \((.*?)\)", content)[1].decode(), json.loads(subject)


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [("heat_map", ".svg"), ("noise_accuracy", ".pdf"), ("learning_curves", ".png")],
)
def test_the_file_says_what_it_was_made_by_and_not_when(kind, suffix, tmp_path):
    """Metadata have all attributes, settings and versions; the same figure is the same file."""
    once, twice = tmp_path / f"once{suffix}", tmp_path / f"twice{suffix}"
    draw(kind).savefig(once)
    sweeps.save_figure(draw(kind), twice)
    assert once.read_bytes() == twice.read_bytes()
    creator, said = facts(once)
    assert creator == f"zerohm {zerohm.__version__}, matplotlib {mpl.__version__}"
    assert said["references"] == ATTRIBUTES["references"]
    if kind == "learning_curves":
        assert json.loads(said["runs"])["NoiseZO"]["method"] == "speed 1.0"


@pytest.mark.parametrize("name", [*KINDS, "calibration"])
def test_all_fonts_are_in_the_file(name, tmp_path):
    """A PDF has the TrueType programs of its fonts."""
    figure = calibration_page() if name == "calibration" else draw(name)
    figure.savefig(tmp_path / "figure.pdf")
    pdf = (tmp_path / "figure.pdf").read_bytes()
    assert fonts(pdf) > 0
    assert left_out(pdf) == 0


def test_a_font_that_is_left_out_would_be_noticed(tmp_path):
    """The count of fonts sees those that a PDF only names, and Type 3 outlines."""
    figure = Figure()
    figure.text(0.5, 0.5, "text")
    with mpl.rc_context({"pdf.use14corefonts": True, "font.family": "Helvetica"}):
        figure.savefig(tmp_path / "named.pdf")
    with mpl.rc_context({"pdf.fonttype": 3}):
        figure.savefig(tmp_path / "outlines.pdf")
    for name in ("named", "outlines"):
        assert left_out((tmp_path / f"{name}.pdf").read_bytes()) > 0


def fonts(pdf):
    """How many fonts a PDF has; a composite one is there for the sake of its descendant."""
    return len(re.findall(rb"/Type /Font\b", pdf)) - len(re.findall(rb"/Subtype /Type0\b", pdf))


def left_out(pdf):
    """How many fonts of a PDF have no embedded TrueType program."""
    return fonts(pdf) - len(re.findall(rb"/FontFile2\b", pdf))


if __name__ == "__main__":
    BASELINE.mkdir(exist_ok=True)
    for kind in [*KINDS, "calibration"]:
        write(kind, BASELINE / f"{kind}.png")
