"""The registry of presets, its entry points, and the published numbers of the newer presets."""

import importlib.metadata
import math
import subprocess
import sys

import numpy as np
import pytest

import zerohm as zo
from zerohm import InputError, devices
from zerohm.devices import presets as registry_function
from zerohm.devices.flicker import FlickerNoise

presets = pytest.mark.parametrize("name", devices.presets())
registry = sys.modules[registry_function.__module__]


# All presets


@presets
def test_a_preset_is_the_same_after_a_card(name, tmp_path):
    """Every preset survives the JSON of a device card, all parts included."""
    cell = devices.preset(name)
    devices.save(cell, tmp_path / "card.json")
    assert devices.load(tmp_path / "card.json") == cell


@presets
def test_a_preset_has_its_name_a_description_and_sources(name):
    """Names are AuthorYear with an optional variant; every source is in the bibliography."""
    cell = devices.preset(name)
    assert cell.name == name
    assert cell.description
    author_year = name.split("-")[0]
    assert author_year in cell.citations
    text = zo.cite(cell)
    for key in cell.citations:
        assert f"{{{key}," in text
    for field in ("title", "author", "year"):
        assert text.count(f"\n  {field} =") == len(cell.citations)


def test_the_sources_of_other_parts_are_in_the_bibliography():
    """Laws and models that are no presets have their entries too."""
    from zerohm._citations import bibliography

    needed = {"Milo2021IRPS", "Hennen2022", "JiangStanfordPKU", "Levy2024", "Gong2018"}
    needed |= {"GongRasch2022", "Lammie2021", "Fusi2007", "Ambrogio2014"}
    assert needed <= set(bibliography())


def test_importing_the_package_imports_no_preset():
    """Presets load when they are asked for; the package itself loads none of its parts."""
    script = """
import sys, zerohm
print(any(name.startswith("zerohm.devices") for name in sys.modules))
import zerohm.devices
print(any("presets.Wan2022" in name for name in sys.modules))
zerohm.devices.preset("Wan2022")
print(any("presets.Wan2022" in name for name in sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "False", "True"]


# Published numbers


def test_hennen_2022_has_its_window_and_parts():
    """R_H of 75 kΩ and R_L of 4.52 kΩ bound the window, inside the range of the I–V curves."""
    cell = devices.preset("Hennen2022")
    assert 1 / cell.conductance_min == pytest.approx(75e3, rel=0.005)
    assert 1 / cell.conductance_max == pytest.approx(4.52e3, rel=0.005)
    assert cell.iv == cell.cycling.iv
    assert cell.iv.conductance_min < cell.conductance_min
    assert cell.conductance_max < cell.iv.conductance_max
    assert cell.cycling.process.order == 10
    low, high = cell.iv.limits
    assert low == pytest.approx(269.05e-6, rel=1e-4)
    assert high == pytest.approx(-33.23e-6, rel=1e-3)


def test_nili_2020_has_its_window_and_law():
    """3.16 to 316 µS, read up to 0.4 V at 300 K."""
    cell = devices.preset("Nili2020")
    assert (cell.conductance_min, cell.conductance_max) == (3.16e-6, 316e-6)
    assert cell.max_read_voltage == cell.iv.max_voltage == 0.4
    assert cell.iv.temperature == 300.0


def test_nandakumar_2019_writes_and_drifts_as_published():
    """Write deviation and drift exponents, the formulas written a second time."""
    cell = devices.preset("Nandakumar2019")
    x = np.array([0.001, 0.02, 0.1, 0.4, 1.0])
    states = x * 25e-6
    expected = 0.26348 + 1.965 * x - 1.1731 * x**2
    np.testing.assert_allclose(cell.write_noise.std(states), expected * 1e-6, rtol=1e-12)
    mean = np.clip(-0.0155 * np.log(x) + 0.0244, 0.049, 0.1)
    np.testing.assert_allclose(cell.drift.exponent_mean(states), mean, rtol=2e-3)
    std = np.clip(-0.0125 * np.log(x) - 0.0059, 0.008, 0.045)
    np.testing.assert_allclose(cell.drift.exponent_std(states), std, rtol=2e-3)
    assert cell.drift.onset_s == 20.0


def test_nandakumar_2019_read_noise_is_integrated_flicker_noise():
    """σ = G Q √ln((t + t_r)/2t_r) is the variance of the density G² Q²/f between its two ends."""
    noise = devices.preset("Nandakumar2019").flicker_noise
    x = np.array([0.001, 0.02, 0.1, 0.4, 1.0])
    states = x * 25e-6
    relative = np.minimum(0.0088 / x**0.65, 0.2)
    reading = 250e-9
    for seconds in (1.0, 3600.0, 1e6):
        published = states * relative * math.sqrt(math.log((seconds + reading) / (2 * reading)))
        band = FlickerNoise(
            amplitude=noise.amplitude,
            frequency_min=1 / (seconds + reading),
            frequency_max=1 / (2 * reading),
        )
        np.testing.assert_allclose(band.std(states), published, rtol=2e-3)
    frequency = np.array([1e-4, 1.0, 1e4])
    density = noise.spectrum(frequency[:, np.newaxis], states)
    np.testing.assert_allclose(density, (states * relative) ** 2 / frequency[:, None], rtol=0.015)


@pytest.mark.parametrize(("seconds", "factor"), [(1.0, 1.03), (3600.0, 1.02)])
def test_nandakumar_2019_deviates_by_the_published_amount_over_time(seconds, factor):
    """Mean square deviation from the mean of a window of length t, from the autocovariance."""
    noise = devices.preset("Nandakumar2019").flicker_noise
    lags = np.concatenate([[0.0], np.geomspace(1e-9, seconds, 20_001)])
    covariance = noise.autocovariance(lags, np.array(25e-6))
    of_the_mean = 2 / seconds**2 * np.trapezoid((seconds - lags) * covariance, lags)
    published = 25e-6 * 0.0088 * math.sqrt(math.log((seconds + 250e-9) / 500e-9))
    assert math.sqrt(covariance[0] - of_the_mean) / published == pytest.approx(factor, abs=0.005)
    two_reads = math.sqrt(2 * (covariance[0] - covariance[-1]))
    assert two_reads / published == pytest.approx(1.5, abs=0.05)


def test_joshi_2020_writes_and_drifts_as_published():
    """Write deviation and drift exponents; not the numbers of Nandakumar2019."""
    cell = devices.preset("Joshi2020")
    micro = np.array([0.25, 3.0, 8.0, 15.0, 25.0])
    expected = 0.28638599 + 0.07585724 * micro - 0.00178767 * micro**2
    found = cell.write_noise.std(micro * 1e-6)
    np.testing.assert_allclose(found, expected * 1e-6, rtol=1e-12)
    plateau = np.minimum(0.06, np.maximum(0.0825 - 0.00169 * micro, 0.055))
    mean = np.maximum(0.08 - 0.0045 * micro, plateau)
    np.testing.assert_allclose(cell.drift.exponent_mean(micro * 1e-6), mean, rtol=1e-9)
    std = 1 / (30.032 + 8 * micro)
    np.testing.assert_allclose(cell.drift.exponent_std(micro * 1e-6), std, rtol=2e-3)
    other = devices.preset("Nandakumar2019").write_noise.std(micro * 1e-6)
    assert 0.001 < np.abs(found / other - 1).max() < 0.1


# Entry points of other distributions


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Installs a distribution with one module and its entry points, as pip would leave them."""

    def install(name, module, entries):
        (tmp_path / f"{name}_presets.py").write_text(module, encoding="utf-8")
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = "\n".join(f"{key} = {value}" for key, value in entries.items())
        (info / "entry_points.txt").write_text(f"[zerohm.presets]\n{lines}\n")

    monkeypatch.syspath_prepend(str(tmp_path))
    registry._others.cache_clear()
    yield install
    registry._others.cache_clear()
    for module in [m for m in sys.modules if m.endswith("_presets")]:
        del sys.modules[module]


MODULE = """
from zerohm.devices import Cell
CELLS = (
    Cell(name="Smith2026", conductance_min=1e-6, conductance_max=1e-4, citations=("Wan2022",)),
)
"""


def test_presets_of_other_distributions_are_found(installed):
    """An installed entry point adds its cells to the list and to preset()."""
    before = set(devices.presets())
    installed("smith", MODULE, {"Smith2026": "smith_presets"})
    registry._others.cache_clear()
    importlib.invalidate_caches()
    assert set(devices.presets()) == before | {"Smith2026"}
    assert devices.preset("Smith2026").conductance_max == 1e-4
    assert devices.find("Smith2026").name == "Smith2026"


def test_an_entry_point_may_be_an_object_in_a_module(installed):
    """What counts is the attribute CELLS."""
    module = MODULE + "class Both:\n    CELLS = CELLS\n"
    installed("smith", module, {"any name": "smith_presets:Both"})
    assert "Smith2026" in devices.presets()


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ("import module_that_is_missing", "No module named 'module_that_is_missing'"),
        ("raise RuntimeError('broken on purpose')", "broken on purpose"),
        ("x = 1", "has no attribute 'CELLS'"),
        ("CELLS = ('Smith2026',)", "must be a tuple of zerohm.devices.Cell"),
        (MODULE + "CELLS = list(CELLS)", "must be a tuple of zerohm.devices.Cell"),
        (MODULE.replace("Smith2026", "Wan2022"), "already a preset named 'Wan2022'"),
        (MODULE + "CELLS = CELLS + CELLS", "already a preset named 'Smith2026'"),
        (MODULE.replace("1e-6", "1e-3"), "floor <= min < max"),
    ],
)
def test_broken_entry_points_are_named_and_harm_no_other_preset(installed, module, reason):
    """A warning names the entry point, its distribution and the reason; the rest works."""
    installed("smith", module, {"Smith": "smith_presets"})
    installed("jones", MODULE.replace("Smith2026", "Jones2026"), {"Jones": "jones_presets"})
    with pytest.warns(registry.PresetWarning) as caught:
        found = devices.presets()
    said = str(caught[0].message)
    assert len(caught) == 1
    assert "entry point 'Smith' = 'smith_presets' of smith" in said
    assert reason in said
    assert {"Wan2022", "Jones2026"} <= set(found)
    assert "Smith2026" not in found
    assert devices.preset("Wan2022").conductance_max == 40e-6
    assert devices.preset("Jones2026").name == "Jones2026"
    with pytest.raises(InputError, match=r"unknown device preset 'Smith2026'.*of smith"):
        devices.preset("Smith2026")


def test_of_two_distributions_with_one_name_the_second_is_refused(installed):
    """The names of distributions decide, not the order on the path."""
    installed("zeta", MODULE, {"B": "zeta_presets"})
    installed("alpha", MODULE.replace("1e-4", "2e-4"), {"A": "alpha_presets"})
    with pytest.warns(registry.PresetWarning, match="'B' = 'zeta_presets'.*'Smith2026'"):
        devices.presets()
    assert devices.preset("Smith2026").conductance_max == 2e-4


def test_the_built_in_presets_load_no_entry_points(installed):
    """Asking for a preset of the package runs no code of others, broken or not."""
    installed("smith", "raise RuntimeError('broken')", {"Smith": "smith_presets"})
    assert devices.preset("Wan2022").name == "Wan2022"
    assert "smith_presets" not in sys.modules


def test_unknown_presets_are_refused_with_the_nearest_name():
    """The message lists what exists; other types are refused like other names."""
    with pytest.raises(InputError, match=r"unknown device preset 'Wan2023' \(did you mean 'Wan20"):
        devices.preset("Wan2023")
    with pytest.raises(InputError, match="unknown device preset 5"):
        devices.preset(5)
