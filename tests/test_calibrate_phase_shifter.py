"""Phase shifters from transmission scans: coverage, crosstalk, what can't be fitted."""

import json
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from zerohm import InputError
from zerohm._random import stream
from zerohm.devices.calibrate.phase_shifter import phase_shifter
from zerohm.devices.calibrate.phase_shifter_likelihood import Scan, fit_shifter
from zerohm.devices.photonic.phase_shifter import PhaseShifter
from zerohm.devices.photonic.phase_shifter_card import load_shifters, save_shifters
from zerohm.devices.photonic.thermal_crosstalk import PhaseShifterArray

POWER = np.linspace(0.0, 60e-3, 61)
HALF_WAVE = np.array([25e-3, 24e-3, 26.5e-3])
OFFSET = np.array([1.2, 6.1, 4.0])
CROSSTALK = np.array([[1.0, 0.03, 0.01], [0.05, 1.0, -0.02], [0.0, 0.04, 1.0]])
CHIP = PhaseShifterArray(
    design=PhaseShifter(), crosstalk=CROSSTALK, half_wave_power=HALF_WAVE, offset=OFFSET
)


def transmission(phase, *, mean=0.5e-3, visibility=0.95, sign=1.0):
    return mean * (1.0 + sign * visibility * np.cos(phase))


def noisy(output, rng, *, relative=0.005, additive=2e-6):
    noise = relative * output * rng.standard_normal(output.size)
    return output + noise + additive * rng.standard_normal(output.size)


def single(power=POWER, *, half_wave=25e-3, rng=None, **levels):
    output = transmission(1.2 + np.pi * power / half_wave, **levels)
    rng = rng or stream(0, "single")
    return {"heater_power_W": power, "output_power_W": noisy(output, rng)}


def scans_of_a_chip(rng, *, port="cross"):
    """Every heater scanned on every monitor, the watched shifter at half transmission."""
    columns = {name: [] for name in ("shifter", "heater", "heater_power_W", "bias_power_W")}
    phases = []
    for shifter in range(3):
        half_way = (np.pi / 2 - OFFSET[shifter]) % (2 * np.pi) / np.pi * HALF_WAVE[shifter]
        for heater in range(3):
            bias = 0.0 if heater == shifter else half_way
            powers = np.zeros((POWER.size, 3))
            powers[:, shifter] = bias
            powers[:, heater] += POWER
            phases.append(CHIP.phases(powers)[:, shifter])
            for name, value in zip(columns, (shifter, heater, POWER, bias), strict=True):
                columns[name].append(np.broadcast_to(value, POWER.size))
    sign = 1.0 if port == "cross" else -1.0
    table = {name: np.concatenate(values) for name, values in columns.items()}
    output = transmission(np.concatenate(phases), sign=sign)
    return table | {"output_power_W": noisy(output, rng)}


def test_intervals_cover_the_truth():
    """93 to 97 % of 500 intervals of every parameter; exact ones fail with probability 14 %.

    Intervals of half the width cover 67 %, which the same count refuses.
    """
    truth = {
        "mean_power": 0.5e-3,
        "visibility": 0.9,
        "half_wave_power": 25e-3,
        "offset": 1.2,
        "crosstalk of heater 1": 0.03,
    }
    own = np.concatenate([np.linspace(0.0, 60e-3, 40), np.full(20, 18e-3)])
    other = np.concatenate([np.zeros(40), np.linspace(3e-3, 60e-3, 20)])
    base = Scan(number=0, own=own, others=other[:, None], heaters=(1,), output=own, sign=1.0)
    wanted = np.array(list(truth.values()))
    output, rng = base.expected(wanted), stream(1, "cov")
    hits, narrow, variances = np.zeros(5), np.zeros(5), []
    for _ in range(500):
        fit = fit_shifter(replace(base, output=noisy(output, rng, relative=0.01, additive=4e-6)))
        found = fit.estimates
        at = [found.names.index(name) for name in truth]
        low, value, high = found.lower[at], found.values[at], found.upper[at]
        hits += (low <= wanted) & (wanted <= high)
        narrow += ((low + value) / 2 <= wanted) & (wanted <= (value + high) / 2)
        variances.append(np.mean(np.square(fit.scores)))
    assert np.all((hits >= 465) & (hits <= 485)), dict(zip(truth, hits, strict=True))
    assert np.all(narrow < 465)
    # Residuals of a fit with 5 parameters; the plain likelihood would leave a mean square of 1.
    assert abs(np.mean(variances) - 55 / 60) < 0.02


@pytest.mark.parametrize("port", ["cross", "bar"])
def test_a_chip_is_recovered_with_its_crosstalk(port):
    """Efficiencies, offsets and all coefficients, one of them negative, within 4.5 errors."""
    fit = phase_shifter(scans_of_a_chip(stream(2, port), port=port), port=port)
    assert fit.numbers == (0, 1, 2)
    assert not fit.refused
    found, errors = (
        fit.estimates,
        dict(zip(fit.estimates.names, fit.estimates.standard_errors, strict=True)),
    )
    for shifter in range(3):
        truth = {
            f"half_wave_power of shifter {shifter}": HALF_WAVE[shifter],
            f"offset of shifter {shifter}": OFFSET[shifter],
            f"visibility of shifter {shifter}": 0.95,
        }
        for heater in {0, 1, 2} - {shifter}:
            name = f"crosstalk of heater {heater} on shifter {shifter}"
            truth[name] = CROSSTALK[shifter, heater]
        for name, value in truth.items():
            assert abs(found[name] - value) < 4.5 * errors[name], name
            assert errors[name] < 0.003 * max(value, 1.0)
    assert_allclose(fit.shifters.crosstalk.toarray(), CROSSTALK, atol=2e-3)
    covariance = fit.covariance
    block = covariance.sel(
        parameter="offset of shifter 0", other_parameter="half_wave_power of shifter 0"
    )
    assert abs(block) > 0.3 * errors["offset of shifter 0"] * errors["half_wave_power of shifter 0"]


def test_the_other_port_has_the_other_offset():
    """The same data taken for the bar port shift φ₀ by π and nothing else."""
    table = single()
    cross, bar = phase_shifter(table).estimates, phase_shifter(table, port="bar").estimates
    assert_allclose((bar["offset"] - cross["offset"]) % (2 * np.pi), np.pi, rtol=1e-4)
    assert_allclose(bar["half_wave_power"], cross["half_wave_power"], rtol=1e-5)


def test_a_calibrated_chip_goes_where_it_is_sent():
    """Powers computed from the fit give the true chip the wanted phases to a few mrad."""
    fit = phase_shifter(scans_of_a_chip(stream(3, "chip")), design=PhaseShifter(max_power=0.2))
    wanted = stream(3, "wanted").uniform(0.0, 2 * np.pi, (20, 3))
    truth = PhaseShifterArray(
        design=PhaseShifter(max_power=0.2),
        crosstalk=CROSSTALK,
        half_wave_power=HALF_WAVE,
        offset=OFFSET,
    )
    reached = truth.phases(fit.shifters.powers(wanted))
    uncorrected = truth.phases(fit.shifters.isolated_powers(wanted))
    error = np.abs(np.angle(np.exp(1j * (reached - wanted))))
    ignored = np.abs(np.angle(np.exp(1j * (uncorrected - wanted))))
    assert error.max() < 0.02
    assert ignored.max() > 0.2


def test_voltages_with_a_resistance_are_powers():
    """P = V²/R: the same fit from either column, and a refusal without R."""
    table = single()
    voltage = {
        "heater_voltage_V": np.sqrt(800.0 * POWER),
        "output_power_W": table["output_power_W"],
    }
    fit = phase_shifter(voltage, resistance=800.0)
    # Steps in power are uneven now, but the points are the same.
    assert_allclose(fit.estimates.values, phase_shifter(table).estimates.values, rtol=1e-5)
    with pytest.raises(InputError, match="needs that of the heaters"):
        phase_shifter(voltage)
    with pytest.raises(InputError, match="heater_power_W and heater_voltage_V: which one"):
        phase_shifter(voltage | {"heater_power_W": POWER}, resistance=800.0)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (single(np.linspace(0.0, 15e-3, 61)), "less than half a period"),
        (single(np.linspace(0.0, 22e-3, 61)), "less than half a period"),
        (single(np.arange(12) * 17e-3), r"points per period.*\(aliasing\): .* at most 0.013 W"),
        (single(POWER[:7]), "7 different powers .* not 8"),
        (single(visibility=0.0), "does not modulate"),
        (single(mean=-0.5e-3), "mean output power is -0.0005 W"),
        (single(POWER * 1e3), "multiply them by 0.001"),
        (single() | {"heater_power_W": POWER - 1e-3}, "a heater can't cool"),
        (single() | {"heater": np.ones(61)}, "also needs shifter"),
        (single() | {"shifter": np.full(61, 0.5)}, "must hold integers"),
        ({"output_power_W": POWER}, "one of the columns"),
        (single() | {"output_power_W": np.full(61, np.inf)}, "infinite"),
    ],
)
def test_unusable_scans_are_refused_by_name(table, said):
    """Each message says what is wrong with the scan."""
    with pytest.raises(InputError, match=said):
        phase_shifter(table)


def test_a_scan_just_long_enough_is_fitted():
    """1.2 half periods give P_π to a few percent; its error bar says how well."""
    fit = phase_shifter(single(np.linspace(0.0, 30e-3, 61), rng=stream(4, "long"))).estimates
    error = fit.standard_errors[fit.names.index("half_wave_power")]
    assert abs(fit["half_wave_power"] - 25e-3) < 4 * error < 0.05 * 25e-3


def test_noise_alone_is_no_modulation():
    """Of 100 scans of noise none passes: at a rate of 1e-4 each, a false alarm in 100 runs."""
    rng = stream(5, "noise")
    for _ in range(100):
        output = 0.5e-3 + 5e-6 * rng.standard_normal(61)
        with pytest.raises(InputError, match="does not modulate"):
            phase_shifter({"heater_power_W": POWER, "output_power_W": output})


def test_one_bad_shifter_does_not_stop_the_others():
    """What is refused, and crosstalk that was not measured, are named; the rest is fitted."""
    good, dark = single(rng=stream(6, "good")), single(visibility=0.0, rng=stream(6, "dark"))
    other = single(half_wave=22e-3, rng=stream(6, "other"))
    table = {name: np.concatenate([good[name], dark[name], other[name]]) for name in good} | {
        "shifter": np.repeat([0, 3, 7], 61)
    }
    fit = phase_shifter(table)
    assert fit.numbers == (0, 7)
    assert "does not modulate" in fit.refused["shifter 3"]
    assert fit.refused["crosstalk of heater 7 on shifter 0"] == "not measured: taken as 0"
    assert_allclose(fit.shifters.half_wave_power, [25e-3, 22e-3], rtol=1e-2)
    assert any("shifter 3 refused" in line for line in fit.remarks())


def test_an_efficiency_that_changes_with_power_is_seen():
    """A heater whose third π takes 5 % less power leaves correlated residuals; a linear one not."""
    bent = POWER * (1.0 + 0.05 * POWER / 60e-3)
    table = single() | {
        "output_power_W": noisy(transmission(1.2 + np.pi * bent / 25e-3), stream(7, "bent"))
    }
    assert any("correlated" in said for said in phase_shifter(table).diagnosis.findings)
    assert not phase_shifter(single(rng=stream(7, "linear"))).diagnosis.findings


def test_the_file_and_the_page_hold_the_fit(tmp_path):
    """Numbers come back from the JSON file; the figure has a panel of each kind."""
    fit = phase_shifter(scans_of_a_chip(stream(8, "file")))
    fit.save(tmp_path / "shifters.json")
    card = json.loads((tmp_path / "shifters.json").read_text(encoding="utf-8"))
    again = load_shifters(tmp_path / "shifters.json")
    assert_allclose(again.crosstalk.toarray(), fit.shifters.crosstalk.toarray(), rtol=0)
    assert_allclose(again.half_wave_power, fit.shifters.half_wave_power, rtol=0)
    assert_allclose(again.offset, fit.shifters.offset, rtol=0)
    assert again.design == fit.shifters.design
    assert len(card["calibration"]["parameters"]) == len(fit.estimates.names)
    assert fit.panels[0].points.keys() == fit.panels[0].lines.keys(), "colours of data and fit"
    figure = fit.plot()
    figure.savefig(tmp_path / "page.png")
    labels = {ax.get_ylabel() for ax in figure.axes}
    assert {"Output power (mW)", "Crosstalk coefficient", "Residual (standard deviations)"} < labels


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda card: "no JSON", "cannot read"),
        (lambda card: json.dumps(card | {"format": "other"}), "does not hold 'zerohm phase"),
        (lambda card: json.dumps(card | {"offset_rad": [0.0]}), "does not hold phase shifters"),
        (lambda card: json.dumps(card | {"design": {"bits": 0}}), "bits=0"),
    ],
)
def test_other_files_are_refused(tmp_path, change, said):
    """A file that is no JSON, of another format, or changed by hand."""
    path = tmp_path / "shifters.json"
    save_shifters(CHIP, path)
    path.write_text(change(json.loads(path.read_text(encoding="utf-8"))), encoding="utf-8")
    with pytest.raises(InputError, match=said):
        load_shifters(path)
