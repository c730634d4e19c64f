"""Figures show the numbers they claim to show, and are saved whole with the data beside them."""

import csv
import json
from io import BytesIO
from itertools import combinations, pairwise

import matplotlib as mpl
import matplotlib.style
import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from PIL import Image
from scipy.stats import sem, t

from zerohm import InputError, sweeps
from zerohm._figures import PaperFigure, paper
from zerohm.training.energy import ENERGY_PARTS

NOISE = np.array([0.0, 0.05, 0.1, 0.2, 0.3])
REFERENCES = {"backpropagation": 0.966, "chance": 0.1}


def sweep(noise=NOISE, seeds=5, shift=0.0):
    spread = np.random.default_rng(3).normal(0, 0.01, (len(noise), seeds))
    accuracy = 0.95 - shift - 0.3 * noise[:, None] + spread
    return xr.Dataset(
        {"deployed_accuracy": (("write_noise", "seed"), accuracy)},
        coords={"write_noise": noise, "seed": range(seeds)},
        attrs={"references": json.dumps(REFERENCES), "fixed": "{}", "zerohm_version": "0.1.0"},
    )


def line_called(ax, name):
    return next(line for line in ax.lines if str(line.get_label()).startswith(name))


def legend_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def assert_band(ax, x, low, high):
    corners = ax.collections[0].get_paths()[0].vertices
    for edge in (low, high):
        for point in zip(x, edge, strict=True):
            assert np.isclose(corners, point).all(axis=1).any()


def test_the_line_is_the_median_and_the_band_the_quartiles_in_percent():
    """By default medians and quartiles over the seeds are drawn, as numpy computes them."""
    ds = sweep()
    ax = sweeps.noise_accuracy(ds, x="write_noise")
    accuracy = 100 * ds.deployed_accuracy.values
    line = line_called(ax, "Median")
    np.testing.assert_allclose(line.get_xdata(), 100 * NOISE)
    np.testing.assert_allclose(line.get_ydata(), np.median(accuracy, axis=1))
    assert_band(ax, 100 * NOISE, *np.quantile(accuracy, [0.25, 0.75], axis=1))


def test_a_confidence_band_is_student_s_around_the_mean():
    """With band="confidence" mean and t interval are drawn, as scipy computes them."""
    ds = sweep(seeds=4)
    ds.deployed_accuracy[2, 0] = np.nan
    ax = sweeps.noise_accuracy(ds, band="confidence", confidence=0.9)
    assert legend_of(ax)[0] == "Mean and 90 % confidence interval of 3–4 seeds"
    seeds = [row[np.isfinite(row)] for row in 100 * ds.deployed_accuracy.values]
    np.testing.assert_allclose(line_called(ax, "Mean").get_ydata(), [r.mean() for r in seeds])
    expected = [t.interval(0.9, len(r) - 1, r.mean(), sem(r)) for r in seeds]
    assert_band(ax, 100 * NOISE, *np.transpose(expected))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"band": "quartile"}, "did you mean 'quartiles'"),
        ({"band": "confidence", "confidence": 95}, "between 0 and 1"),
        ({"columns": 3}, "1 or 2 columns"),
        ({"columns": 2, "ax": Figure().add_subplot()}, "leave it out"),
    ],
)
def test_unusable_settings_are_refused(settings, message):
    """Unknown bands and widths are named with what is allowed."""
    with pytest.raises(InputError, match=message):
        sweeps.noise_accuracy(sweep(), **settings)


def test_a_confidence_interval_of_one_seed_is_refused():
    """Where every point has one seed left, there is no interval to draw."""
    ds = sweep(seeds=2)
    ds.deployed_accuracy[:, 1] = np.nan
    with pytest.raises(InputError, match="second seed"):
        sweeps.noise_accuracy(ds, band="confidence")


def test_axes_are_labelled_in_percent():
    ax = sweeps.noise_accuracy(sweep())
    assert ax.get_xlabel() == "Write noise (% of the conductance window)"
    assert ax.get_ylabel().replace("\n", " ") == "Test accuracy on freshly written arrays (%)"


def test_references_are_drawn_and_chance_stays_visible_below_the_break():
    ax = sweeps.noise_accuracy(sweep())
    ax.figure.canvas.draw()
    bottom, top = ax.transAxes.transform([(0, 0), (0, 1)])[:, 1]
    heights = {}
    for name, value in REFERENCES.items():
        assert line_called(ax, name).get_ydata()[0] == 100 * value
        heights[name] = (ax.transData.transform((0, 100 * value))[1] - bottom) / (top - bottom)
    assert 0.02 < heights["chance"] < 0.12  # a strip of its own
    assert 0.8 < heights["backpropagation"] < 1
    assert 10 in ax.get_yticks()


def test_accuracies_down_to_chance_need_no_break():
    ds = sweep()
    ds.deployed_accuracy[-2:] -= 0.7
    ax = sweeps.noise_accuracy(ds)
    assert ax.get_yscale() == "linear"
    assert ax.get_ylim()[0] < 10


def test_given_references_replace_those_of_the_dataset():
    ax = sweeps.noise_accuracy(sweep(), reference={"linear classifier": 0.9})
    assert line_called(ax, "linear").get_ydata()[0] == 90
    assert not [line for line in ax.lines if line.get_label() == "chance"]


@pytest.mark.parametrize(("seeds", "drawn"), [(3, 3), (11, 0)])
def test_few_seeds_are_shown_one_by_one(seeds, drawn):
    ax = sweeps.noise_accuracy(sweep(seeds=seeds))
    assert sum(line.get_gid() == "seeds" for line in ax.lines) == drawn


def test_failed_points_are_left_out_and_counted():
    ds = sweep()
    ds.deployed_accuracy[1, 0] = np.nan
    ds.deployed_accuracy[2] = np.nan
    line = line_called(sweeps.noise_accuracy(ds), "Median and interquartile range of 4–5 seeds")
    expected = 100 * np.median(ds.deployed_accuracy[1, 1:])
    np.testing.assert_allclose(line.get_ydata()[1:3], [expected, np.nan])


def test_one_further_dimension_gives_one_line_each_and_two_are_refused():
    methods = xr.concat(
        [sweep(), sweep(shift=0.05)], xr.DataArray(["noisezo", "mezo"], dims="method")
    )
    ax = sweeps.noise_accuracy(methods)
    assert legend_of(ax)[:2] == ["noisezo", "mezo"]
    assert "Method" in ax.get_legend().get_title().get_text()
    np.testing.assert_allclose(
        line_called(ax, "mezo").get_ydata(), line_called(ax, "noisezo").get_ydata() - 5
    )
    both = methods.expand_dims(adc_bits=[4, 8])
    with pytest.raises(InputError, match=r"select .*sel\({'method': 'noisezo'}\)"):
        sweeps.noise_accuracy(both.transpose("adc_bits", ...))
    sweeps.noise_accuracy(both.isel(adc_bits=[0]))  # a single value is no choice


def test_more_than_a_decade_of_positive_values_is_logarithmic():
    wide = np.array([0.005, 0.02, 0.1])
    assert sweeps.noise_accuracy(sweep(wide)).get_xscale() == "log"
    assert sweeps.noise_accuracy(sweep()).get_xscale() == "linear"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda ds: ds.rename(deployed_accuracy="loss"), "no variable 'deployed_accuracy'"),
        (lambda ds: ds.rename(write_noise="batch"), "no dimension 'write_noise'"),
        (lambda ds: ds * np.nan, "no finished point"),
        (lambda ds: ds.assign_coords(write_noise=list("abcde")), "numeric"),
        (lambda ds: ds.assign_attrs(references="[1]"), "references"),
        (lambda ds: ds.assign_attrs(references='{"chance": 10}'), "fraction"),
    ],
)
def test_unusable_data_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        sweeps.noise_accuracy(change(sweep()))


def test_the_users_axes_and_settings_stay_the_users():
    before = dict(mpl.rcParams)
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert sweeps.noise_accuracy(sweep(), ax=right) is right
    assert not left.lines
    assert len(right.lines) > 2
    assert dict(mpl.rcParams) == before


def test_new_axes_are_saved_and_shown_and_as_wide_as_asked(tmp_path):
    """They have savefig, notebooks show their picture; one column is 3.5 inch, two are 7.16."""
    for columns, width in ((1, 3.5), (2, 7.16)):
        ax = sweeps.noise_accuracy(sweep(), columns=columns)
        assert ax.figure.get_figwidth() == width
        ax.savefig(tmp_path / "figure.png", dpi=50)
        with Image.open(tmp_path / "figure.png") as picture:
            assert picture.width == int(50 * width)
    with Image.open(BytesIO(ax._repr_png_())) as picture:
        assert picture.width == 2148


def test_the_style_sheets_are_there_for_other_figures():
    """matplotlib knows both by name, the second put on top of the first."""
    with mpl.style.context(["zerohm.paper", "zerohm.two_columns"]):
        assert mpl.rcParams["figure.figsize"] == [7.16, 3.2]
        assert mpl.rcParams["pdf.fonttype"] == 42


RUN = xr.Dataset(
    {
        "deployed_accuracy": ("step", [0.1, 0.6, 0.9]),
        "train_loss": ("step", [2.0, 0.5, 0.1]),
        "forward_passes": ("step", [0, 100, 200]),
        "energy_J": (("step", "part"), [[0, 0, 0], [1e-6, 0, 1e-6], [3e-6, 0, 2e-6]]),
    },
    coords={"step": [0, 5, 10], "part": ["write", "verify", "adc"]},
    attrs={"references": json.dumps(REFERENCES), "method": "noisezo"},
)


def test_learning_curves_show_accuracy_against_forward_passes():
    """A run is one line; several have their names, and only their own steps."""
    line = line_called(sweeps.learning_curves(RUN), "Training run")
    np.testing.assert_allclose(line.get_xydata(), [[0, 10], [100, 60], [200, 90]])
    other = RUN.isel(step=[0, 2]).assign_coords(step=[0, 7])
    ax = sweeps.learning_curves({"long": RUN, "short": other})
    np.testing.assert_allclose(line_called(ax, "long").get_xydata(), line.get_xydata())
    np.testing.assert_allclose(line_called(ax, "short").get_xydata(), [[0, 10], [200, 90]])
    assert legend_of(sweeps.learning_curves({"alone": RUN}))[0] == "alone"


def test_learning_curves_of_a_sweep_have_a_band_over_seeds():
    """Curves over seed and one further parameter; differing positions are their median."""

    def experiment(hidden, seed):
        return RUN.drop_vars("energy_J").drop_dims("part") + hidden / 100 + seed / 50

    ds = sweeps.run(experiment, {"hidden": [1, 2], "seed": range(3)}, curves=True)
    ax = sweeps.learning_curves(ds, reference={})
    assert ax.get_legend().get_title().get_text() == (
        "Hidden\nMedian and interquartile range of 3 seeds"
    )
    line = line_called(ax, "2")
    np.testing.assert_allclose(line.get_ydata(), [14, 64, 94])
    np.testing.assert_allclose(line.get_xdata(), np.array([0, 100, 200]) + 0.04)
    assert sweeps.learning_curves(ds, variable="train_loss").get_yscale() == "log"


@pytest.mark.parametrize(
    ("runs", "settings", "message"),
    [
        (RUN.drop_vars("forward_passes"), {}, "no variable 'forward_passes' over step"),
        ({"a": RUN.isel(step=-1)}, {}, "a: no variable 'deployed_accuracy' over step.*curves=True"),
        ({}, {}, "at least one run"),
        ({"a": RUN, "b": RUN.expand_dims(seed=[0, 1])}, {}, "same dimensions"),
        (RUN, {"variable": "train_loss", "reference": {"chance": 0.1}}, "none for 'train_loss'"),
    ],
)
def test_unusable_runs_are_refused(runs, settings, message):
    """What a learning curve needs is named."""
    with pytest.raises(InputError, match=message):
        sweeps.learning_curves(runs, **settings)


def grid(seeds=3):
    accuracy = np.linspace(0.2, 0.97, 12 * seeds).reshape(4, 3, seeds)
    return xr.Dataset(
        {"deployed_accuracy": (("write_noise", "adc_bits", "seed"), accuracy)},
        coords={"write_noise": [0, 0.01, 0.1, 0.2], "adc_bits": [4, 6, 8], "seed": range(seeds)},
    )


def test_a_heat_map_shows_medians_where_they_belong():
    """Row and column of a cell are its parameters; its number is the median, in percent."""
    ds = grid()
    ds.deployed_accuracy[3, 0] = np.nan
    ax = sweeps.heat_map(ds, x="write_noise", y="adc_bits")
    medians = 100 * np.median(ds.deployed_accuracy, axis=2).T
    drawn = ax.collections[0].get_array()
    np.testing.assert_allclose(drawn.filled(np.nan), medians)
    written = {text.get_position(): text.get_text() for text in ax.texts}
    assert written[(1.5, 2.5)] == f"{medians[2, 1]:.1f}"
    assert len(written) == 11
    assert legend_of(ax) == ["No result"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0", "1", "10", "20"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["4", "6", "8"]
    assert ax.figure.axes[1].get_ylabel().endswith("median of 3 seeds")
    colours = {text.get_position(): text.get_color() for text in ax.texts}
    assert colours[(0.5, 0.5)] == "white"  # on dark blue
    assert colours[(2.5, 2.5)] == "black"  # on yellow


def test_a_large_heat_map_has_no_numbers_and_fewer_ticks():
    """Forty columns get a label each few, and no number."""
    accuracy = (("hidden", "batch"), np.linspace(0, 1, 400).reshape(40, 10))
    ds = xr.Dataset({"deployed_accuracy": accuracy}, {"hidden": range(40), "batch": range(10)})
    ax = sweeps.heat_map(ds, "hidden", "batch")
    assert not ax.texts
    assert [label.get_text() for label in ax.get_xticklabels()[:3]] == ["0", "4", "8"]
    assert ax.get_legend() is None


def test_heat_maps_that_would_hide_a_parameter_are_refused():
    """A third swept parameter is named with a way to choose its value; x and y must differ."""
    ds = grid().expand_dims(batch=[1, 2])
    with pytest.raises(InputError, match=r"\['adc_bits'\] are swept.*sel\({'adc_bits': 4}\)"):
        sweeps.heat_map(ds, "batch", "write_noise")
    with pytest.raises(InputError, match="two different parameters"):
        sweeps.heat_map(grid(), "adc_bits", "adc_bits")


def test_error_against_size_is_logarithmic_only_if_all_of_it_can_be():
    """An interval that reaches below zero is drawn on a linear axis, not cut off."""
    error = np.array([[1e-3, 1.2e-3, 1.1e-3], [1e-2, 2e-2, 6e-2], [0.2, 0.25, 0.3]])
    ds = xr.Dataset(
        {"error": (("size", "seed"), error, {"long_name": "relative error", "units": "1"})},
        coords={"size": [8, 64, 256], "seed": range(3)},
    )
    ax = sweeps.error_versus_size(ds, "error")
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert ax.get_ylabel() == "Relative error"
    np.testing.assert_allclose(ax.lines[0].get_ydata(), np.median(error, axis=1))
    interval = sweeps.error_versus_size(ds, "error", band="confidence")
    assert interval.get_yscale() == "linear"
    assert interval.get_ylim()[0] < error[1].mean() - 4.3 * error[1].std(ddof=1) / np.sqrt(3) < 0


def test_stacked_energies_add_up_to_the_total_of_the_last_step():
    """Every part lies on the one before, in the unit of the axis; parts of nothing are left out."""
    ax = sweeps.energy_breakdown({"a": RUN, "b": RUN.assign(energy_J=RUN.energy_J / 10)})
    assert legend_of(ax) == ["Write", "ADC"]
    assert ax.get_ylabel() == "Energy (µJ)"
    boxes = [(p.get_y(), p.get_y() + p.get_height()) for p in ax.patches]
    np.testing.assert_allclose(boxes, [(0, 3), (0, 0.3), (3, 5), (0.3, 0.5)])
    beside = sweeps.energy_breakdown({"a": RUN, "b": RUN}, scale="log")
    assert beside.get_yscale() == "log"
    edges = [(p.get_x(), p.get_x() + p.get_width(), p.get_height()) for p in beside.patches]
    expected = [(-0.4, 0, 3e-6), (0.6, 1, 3e-6), (0, 0.4, 2e-6), (1, 1.4, 2e-6)]
    np.testing.assert_allclose(edges, expected, atol=1e-12)


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_no_two_parts_of_a_bill_look_alike(scale):
    """Colour and hatching together name one part only, in bars and legend; nor beyond 28 parts."""
    run = xr.Dataset(
        {"energy_J": ("part", np.full(len(ENERGY_PARTS), 1e-6))},
        coords={"part": list(ENERGY_PARTS)},
    )
    ax = sweeps.energy_breakdown(run, scale=scale)
    drawn = [(patch.get_facecolor(), patch.get_hatch()) for patch in ax.patches]
    assert len(set(drawn)) == len(drawn) == len(ENERGY_PARTS) > len({colour for colour, _ in drawn})
    handles = ax.get_legend().legend_handles
    assert [(handle.get_facecolor(), handle.get_hatch()) for handle in handles] == drawn
    many = xr.Dataset({"energy_J": ("part", np.ones(29))}, coords={"part": [str(29)] * 29})
    sweeps.energy_breakdown(many.isel(part=slice(28)), scale=scale)
    with pytest.raises(InputError, match=r"29 parts can't be told apart, 28 can"):
        sweeps.energy_breakdown(many, scale=scale)


@pytest.mark.parametrize("panels", [1, 2])
@pytest.mark.parametrize("layout", ["constrained", None])
def test_names_of_runs_lie_beside_each_other_in_a_panel(panels, layout):
    """What fits is a matter of the width of the axes, of which a figure may have several."""
    with paper(2):
        figure = PaperFigure(figsize=(7.16, 2.8), layout=layout)
    runs = {f"Trained by {name}": RUN for name in ("noise", "no noise", "gradients")}
    for ax in figure.subplots(1, panels, squeeze=False).flat:
        sweeps.energy_breakdown(runs, ax=ax)
    figure.draw_without_rendering()
    for ax in figure.axes:
        labels = ax.get_xticklabels()
        assert [label.get_rotation() for label in labels] == [0, 0, 0]
        for first, second in pairwise(label.get_window_extent() for label in labels):
            assert not first.overlaps(second)


def test_energies_of_seeds_are_means_and_the_axis_says_so():
    """Means over seeds of a sweep's final energies, one bar per value of what was swept."""
    last = RUN[["energy_J"]].isel(step=-1)
    swept = xr.concat([last * (1 + seed) for seed in range(3)], "seed").expand_dims(batch=[8, 64])
    ax = sweeps.energy_breakdown(swept.transpose("part", "seed", "batch"))
    np.testing.assert_allclose([p.get_height() for p in ax.patches], [6, 6, 4, 4])
    assert ax.get_ylabel().endswith("mean of 3 seeds")
    assert ax.get_xlabel() == "Batch size (images)"


@pytest.mark.parametrize(
    ("runs", "settings", "message"),
    [
        (RUN, {"scale": "logarithmic"}, "did you mean 'log'|allowed: linear, log"),
        (RUN.drop_vars("energy_J"), {}, "no variable 'energy_J'"),
        (RUN.assign(energy_J=0 * RUN.energy_J), {}, "took any energy"),
        (RUN.isel(part=0), {}, "no dimension 'part'"),
        ({}, {}, "at least one run"),
    ],
)
def test_unusable_energies_are_refused(runs, settings, message):
    """What the figure needs is named."""
    with pytest.raises(InputError, match=message):
        sweeps.energy_breakdown(runs, **settings)


def test_the_numbers_that_are_drawn_lie_beside_the_figure(tmp_path):
    """Medians, quartiles and counts as CSV, every seed with all attributes as NetCDF."""
    ds = sweep()
    sweeps.save_figure(sweeps.noise_accuracy(ds), tmp_path / "figure.pdf")
    with (tmp_path / "figure.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["write_noise"]) for row in rows] == NOISE.tolist()
    medians = [float(row["deployed_accuracy_median"]) for row in rows]
    np.testing.assert_allclose(medians, np.median(ds.deployed_accuracy, axis=1))
    lower = [float(row["deployed_accuracy_lower_quartile"]) for row in rows]
    np.testing.assert_allclose(lower, np.quantile(ds.deployed_accuracy, 0.25, axis=1))
    assert {row["deployed_accuracy_seeds"] for row in rows} == {"5"}
    kept = sweeps.load(tmp_path / "figure.nc")
    xr.testing.assert_equal(kept.deployed_accuracy, ds.deployed_accuracy)
    assert kept.attrs == ds.attrs | {
        "figure": "noise_accuracy(x='write_noise', band='quartiles', confidence=0.95)"
    }


def test_every_panel_of_a_figure_has_its_numbers(tmp_path):
    """In the caller's own figure too, which is saved by any of its axes."""
    left, right = Figure().subplots(1, 2)
    sweeps.noise_accuracy(sweep(), ax=left)
    sweeps.learning_curves(RUN.assign_attrs(zerohm_version="0"), ax=right)
    written = sweeps.save_figure(right, tmp_path / "both.png")
    names = ["both.png", "both_1.csv", "both_1.nc", "both_2.csv", "both_2.nc"]
    assert [path.name for path in written] == names
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert "forward_passes" in (tmp_path / "both_2.csv").read_text()
    empty = sweeps.save_figure(Figure(), tmp_path / "empty.svg")
    assert [path.name for path in empty] == ["empty.svg"]


def test_a_figure_that_cannot_be_written_is_refused(tmp_path):
    """Nothing is left behind: neither the picture nor the numbers beside it."""
    ax = sweeps.noise_accuracy(sweep())
    with pytest.raises(InputError, match=r"one of \.pdf, \.png, \.svg"):
        sweeps.save_figure(ax, tmp_path / "figure.docx")
    with pytest.raises(InputError, match="no folder"):
        sweeps.save_figure(ax, tmp_path / "missing" / "figure.pdf")
    assert not list(tmp_path.iterdir())
    (tmp_path / "figure.nc").mkdir()
    with pytest.raises(InputError, match=r"figure\.nc: it is a folder"):
        sweeps.save_figure(ax, tmp_path / "figure.pdf")
    assert [path.name for path in tmp_path.iterdir()] == ["figure.nc"]


def test_every_kind_of_figure_has_a_name_for_the_command_line():
    """The names are those of the functions."""
    for name, function in sweeps.FIGURES.items():
        assert function is getattr(sweeps, name.replace("-", "_"))
    assert len(sweeps.FIGURES) == 5


# Machado, Oliveira & Fernandes, IEEE Trans. Vis. Comput. Graph. 15, 1291 (2009): linear RGB as
# it is seen at severity 1.
SEEN = {
    "all three cones": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
}
LEAST = 12
"""Least distance of two colours of lines in CIELAB; about 2.3 can just be told apart."""


def lab(colours, vision):
    """CIELAB coordinates (n, 3) of colours as they are seen, for the white of sRGB."""
    rgb = np.array([mpl.colors.to_rgb(colour) for colour in colours])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    x, y, z = (np.clip(linear @ vision.T, 0, 1) @ to_xyz.T / to_xyz.sum(axis=1)).T
    f = [
        np.where(v > (6 / 29) ** 3, np.cbrt(v), v / (3 * (6 / 29) ** 2) + 4 / 29) for v in (x, y, z)
    ]
    return np.column_stack([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def least_distance(colours, vision):
    points = lab(colours, vision)
    return min(np.linalg.norm(a - b) for a, b in combinations(points, 2))


@pytest.mark.parametrize("vision", SEEN)
def test_readers_with_two_kinds_of_cones_tell_the_colours_apart(vision):
    """The least distance of two line colours stays above the limit; colour maps get lighter."""
    with mpl.style.context("zerohm.paper"):
        colours = mpl.rcParams["axes.prop_cycle"].by_key()["color"]
        shades = mpl.colormaps[mpl.rcParams["image.cmap"]](np.linspace(0, 1, 64))
    assert len(colours) == 7
    assert least_distance(colours, SEEN[vision]) > LEAST
    assert np.diff(lab(shades, SEEN[vision])[:, 0]).min() > 0


def test_colours_that_such_readers_confuse_are_noticed():
    """matplotlib's own cycle and its rainbow fail the same check; white and black are 100 apart."""
    for vision in ("protanopia", "deuteranopia"):
        cycle = mpl.colormaps["tab10"].colors[:7]
        assert least_distance(cycle, SEEN[vision]) < LEAST
        rainbow = mpl.colormaps["jet"](np.linspace(0, 1, 64))
        assert np.diff(lab(rainbow, SEEN[vision])[:, 0]).min() < 0
    assert least_distance(["white", "black"], np.eye(3)) == pytest.approx(100, abs=0.1)
