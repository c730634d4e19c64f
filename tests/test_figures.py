"""Figures show the numbers they claim to show, and are saved whole with the data beside them."""

import csv
import json

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from zerohm import InputError, sweeps

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


def line_called(figure, name):
    return next(line for line in figure.axes[0].lines if str(line.get_label()).startswith(name))


def test_the_line_is_the_median_and_the_band_the_quartiles_in_percent():
    ds = sweep()
    figure = sweeps.noise_accuracy(ds, x="write_noise")
    accuracy = 100 * ds.deployed_accuracy.values
    line = line_called(figure, "Median")
    np.testing.assert_allclose(line.get_xdata(), 100 * NOISE)
    np.testing.assert_allclose(line.get_ydata(), np.median(accuracy, axis=1))
    band = figure.axes[0].collections[0].get_paths()[0].vertices
    for quantile in (0.25, 0.75):
        for x, y in zip(100 * NOISE, np.quantile(accuracy, quantile, axis=1), strict=True):
            assert np.isclose(band, [x, y]).all(axis=1).any()


def test_the_legend_says_what_line_band_and_references_are():
    legend = sweeps.noise_accuracy(sweep()).axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == [
        "Median and interquartile range of 5 seeds",
        "Backpropagation (96.6 %)",
        "Chance (10 %)",
    ]


def test_axes_are_labelled_in_percent():
    ax = sweeps.noise_accuracy(sweep()).axes[0]
    assert ax.get_xlabel() == "Write noise (% of the conductance window)"
    assert ax.get_ylabel().replace("\n", " ") == "Test accuracy on freshly written arrays (%)"


def test_references_are_drawn_and_chance_stays_visible_below_the_break():
    figure = sweeps.noise_accuracy(sweep())
    ax = figure.axes[0]
    figure.canvas.draw()
    bottom, top = ax.transAxes.transform([(0, 0), (0, 1)])[:, 1]
    heights = {}
    for name, value in REFERENCES.items():
        assert line_called(figure, name).get_ydata()[0] == 100 * value
        heights[name] = (ax.transData.transform((0, 100 * value))[1] - bottom) / (top - bottom)
    assert 0.02 < heights["chance"] < 0.12  # a strip of its own
    assert 0.8 < heights["backpropagation"] < 1
    assert 10 in ax.get_yticks()


def test_accuracies_down_to_chance_need_no_break():
    ds = sweep()
    ds.deployed_accuracy[-2:] -= 0.7
    ax = sweeps.noise_accuracy(ds).axes[0]
    assert ax.get_yscale() == "linear"
    assert ax.get_ylim()[0] < 10


def test_given_references_replace_those_of_the_dataset():
    figure = sweeps.noise_accuracy(sweep(), reference={"linear classifier": 0.9})
    assert line_called(figure, "linear").get_ydata()[0] == 90
    assert not [line for line in figure.axes[0].lines if line.get_label() == "chance"]


@pytest.mark.parametrize(("seeds", "drawn"), [(3, 3), (11, 0)])
def test_few_seeds_are_shown_one_by_one(seeds, drawn):
    figure = sweeps.noise_accuracy(sweep(seeds=seeds))
    assert sum(line.get_gid() == "seeds" for line in figure.axes[0].lines) == drawn


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
    figure = sweeps.noise_accuracy(methods)
    legend = figure.axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()][:2] == ["noisezo", "mezo"]
    assert "Method" in legend.get_title().get_text()
    np.testing.assert_allclose(
        line_called(figure, "mezo").get_ydata(), line_called(figure, "noisezo").get_ydata() - 5
    )
    both = methods.expand_dims(adc_bits=[4, 8])
    with pytest.raises(InputError, match=r"select .*sel\({'method': 'noisezo'}\)"):
        sweeps.noise_accuracy(both.transpose("adc_bits", ...))
    sweeps.noise_accuracy(both.isel(adc_bits=[0]))  # a single value is no choice


def test_more_than_a_decade_of_positive_values_is_logarithmic():
    wide = np.array([0.005, 0.02, 0.1])
    assert sweeps.noise_accuracy(sweep(wide)).axes[0].get_xscale() == "log"
    assert sweeps.noise_accuracy(sweep()).axes[0].get_xscale() == "linear"


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
    assert sweeps.noise_accuracy(sweep(), ax=right) is figure
    assert not left.lines
    assert len(right.lines) > 2
    assert dict(mpl.rcParams) == before


def test_learning_curves_show_accuracy_against_forward_passes():
    run = xr.Dataset(
        {
            "deployed_accuracy": ("step", [0.1, 0.6, 0.9]),
            "forward_passes": ("step", [0, 100, 200]),
        },
        attrs={"references": json.dumps(REFERENCES)},
    )
    line = line_called(sweeps.learning_curves(run), "Training run")
    np.testing.assert_allclose(line.get_xydata(), [[0, 10], [100, 60], [200, 90]])
    figure = sweeps.learning_curves({"long": run, "short": run.isel(step=slice(2))})
    assert len(line_called(figure, "short").get_xdata()) == 2
    with pytest.raises(InputError, match="no variable 'forward_passes'"):
        sweeps.learning_curves(run.drop_vars("forward_passes"))
    with pytest.raises(InputError, match="at least one run"):
        sweeps.learning_curves({})


@pytest.mark.parametrize(
    ("suffix", "start"), [(".pdf", b"%PDF"), (".png", b"\x89PNG"), (".svg", b"<?xml")]
)
def test_a_figure_is_saved_with_its_numbers_and_its_provenance(suffix, start, tmp_path):
    ds = sweep()
    path = tmp_path / f"figure{suffix}"
    sweeps.save_figure(sweeps.noise_accuracy(ds), path, data=ds)
    content = path.read_bytes()
    assert content.startswith(start)
    assert b"zerohm" in content
    with path.with_suffix(".csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["write_noise"]) for row in rows] == NOISE.tolist()
    medians = [float(row["deployed_accuracy_median"]) for row in rows]
    np.testing.assert_allclose(medians, np.median(ds.deployed_accuracy, axis=1))
    lower = [float(row["deployed_accuracy_lower_quartile"]) for row in rows]
    np.testing.assert_allclose(lower, np.quantile(ds.deployed_accuracy, 0.25, axis=1))
    assert {row["seeds"] for row in rows} == {"5"}
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([path.name, "figure.csv"])
    sweeps.save_figure(sweeps.noise_accuracy(ds), path, data=ds)
    assert path.read_bytes() == content  # the same data give the same file


def test_fonts_are_embedded_as_type_42_however_the_figure_is_saved(tmp_path):
    sweeps.noise_accuracy(sweep()).savefig(tmp_path / "figure.pdf")
    content = (tmp_path / "figure.pdf").read_bytes()
    assert b"CIDFontType2" in content
    assert b"Type3" not in content


def test_a_figure_that_cannot_be_written_is_refused(tmp_path):
    figure = sweeps.noise_accuracy(sweep())
    with pytest.raises(InputError, match=r"one of \.pdf, \.png, \.svg"):
        sweeps.save_figure(figure, tmp_path / "figure.docx")
    with pytest.raises(InputError, match="no folder"):
        sweeps.save_figure(figure, tmp_path / "missing" / "figure.pdf")
    assert not list(tmp_path.iterdir())


def test_every_kind_of_figure_has_a_name_for_the_command_line():
    assert sweeps.FIGURES["noise-accuracy"] is sweeps.noise_accuracy
    assert sweeps.FIGURES["learning-curves"] is sweeps.learning_curves
