"""The command line: what it writes, what it says, and how it refuses unusable input."""

import json

import numpy as np
import pytest

import zerohm as zo
from zerohm import training
from zerohm.cli import main

SWEEP = """
references = []
[experiment]
task = "digits"
method = "noisezo"
passes = 40
batch = 16
evaluations = 1
[sweep]
write_noise = [0.02, 0.05]
seed = [0, 1]
"""


@pytest.fixture
def sweep_file(tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text(SWEEP)
    return path


def short(*extra):
    return ["train", "--set", "passes=40", "batch=16", "evaluations=2", "write_noise=0.02", *extra]


def test_presets_are_listed_for_people_and_machines(capsys):
    """Both forms name every preset."""
    assert main(["presets"]) == 0
    table = capsys.readouterr().out
    assert main(["presets", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == list(zo.devices.presets())
    assert all(row["name"] in table and row["citations"] for row in rows)


def test_train_writes_a_labelled_record(tmp_path, capsys):
    """The record holds settings, seed and version, and equals the same run in Python."""
    out = tmp_path / "run.nc"
    assert main(short("readback_noise=0.01", "--seed", "3", "--out", str(out))) == 0
    run = zo.sweeps.load(out)
    assert run.attrs["seed"] == 3
    assert run.attrs["zerohm_version"] == zo.__version__
    assert json.loads(run.attrs["config"])["passes"] == 40
    assert str(out) in capsys.readouterr().out
    again = training.experiment(
        seed=3, passes=40, batch=16, evaluations=2, write_noise=0.02, readback_noise=0.01
    )
    assert run.deployed_accuracy.equals(again.deployed_accuracy)
    assert run.energy_J.equals(again.energy_J)


def test_train_accepts_a_device_card(tmp_path):
    """A card in place of a preset's name."""
    card, out = tmp_path / "card.json", tmp_path / "run.nc"
    zo.devices.save(zo.devices.preset("Falcone2025"), card)
    assert main(short("--device", str(card), "--out", str(out))) == 0
    assert zo.sweeps.load(out).attrs["device"] == "Falcone2025"


def test_sweep_then_figure(tmp_path, sweep_file, capsys):
    """A sweep leaves one dimension per swept setting; its figure lies beside its data."""
    store, figure = tmp_path / "results.zarr", tmp_path / "figure.pdf"
    sweep_file.write_text(SWEEP.replace("references = []", 'references = ["backprop"]'))
    assert main(["sweep", str(sweep_file), "--store", str(store)]) == 0
    assert "write_noise: 2, seed: 2" in capsys.readouterr().out
    result = zo.sweeps.load(store)
    assert result.deployed_accuracy.dims == ("write_noise", "seed")
    references = json.loads(result.attrs["references"])
    assert references["chance"] == 0.1
    assert references["backpropagation"] > 0.9
    assert main(["figure", str(store), "--kind", "noise-accuracy", "--out", str(figure)]) == 0
    assert figure.read_bytes().startswith(b"%PDF")
    assert "deployed_accuracy_median" in figure.with_suffix(".csv").read_text()


def test_a_complete_sweep_runs_nothing_again(tmp_path, sweep_file, monkeypatch):
    """The second call reads the store; training would fail the test."""
    store = tmp_path / "results.zarr"
    assert main(["sweep", str(sweep_file), "--store", str(store)]) == 0

    def refuse(*args, **kwargs):
        raise AssertionError("trained again")

    monkeypatch.setattr("zerohm.training.experiments.fit", refuse)
    assert main(["sweep", str(sweep_file), "--store", str(store)]) == 0


UNUSABLE = {
    "unknown command": (["trian"], "train"),
    "unknown option": (["train", "--sed", "1"], "--seed"),
    "wrong type": (["train", "--seed", "one"], "one"),
    "unknown task": (["train", "--task", "digit"], "did you mean 'digits'"),
    "unknown method": (["train", "--method", "noisez"], "did you mean 'noisezo'"),
    "unknown hardware": (
        ["train", "--hardware", "rrram"],
        "allowed: digital, int8, photonic, rram",
    ),
    "unknown device": (["train", "--device", "Wan2021"], "did you mean 'Wan2022'"),
    "missing device card": (["train", "--device", "no.json"], "no.json"),
    "unknown setting": (["train", "--set", "write_nois=0.1"], "did you mean 'write_noise'"),
    "setting without value": (["train", "--set", "write_noise"], "key=value"),
    "setting given twice": (["train", "--set", "batch=1", "batch=2"], "twice"),
    "setting of an option": (["train", "--set", "task=digits"], "twice"),
    "negative noise": (["train", "--set", "write_noise=-0.1"], "write_noise"),
    "not a number": (["train", "--set", "write_noise=NaN"], "write_noise"),
    "noise in percent": (["train", "--set", "write_noise=2"], "write_noise"),
    "no bits": (["train", "--set", "adc_bits=0"], "adc_bits"),
    "no passes": (["train", "--set", "passes=0"], "passes"),
    "no write noise": (["train", "--set", "write_noise=0"], "write_noise > 0"),
    "unknown split": (["train", "--set", "split=mine"], "mine"),
    "wire resistance": (["train", "--set", "wire_resistance=-1"], "wire_resistance"),
    "no folder for the record": (["train", "--out", "nowhere/run.nc"], "nowhere"),
    "no workers": (["demo", "--out", "results", "--workers", "0"], "workers"),
    "missing sweep file": (["sweep", "no.toml", "--store", "s.zarr"], "no.toml"),
    "missing result": (["figure", "no.zarr", "--out", "f.pdf"], "no.zarr"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_unusable_input_is_one_message_and_exit_code_2(case, capsys, tmp_path, monkeypatch):
    """What, where and what is allowed on stderr; no traceback, no training, no file."""
    monkeypatch.chdir(tmp_path)

    def refuse(*args, **kwargs):
        raise AssertionError("training started")

    monkeypatch.setattr("zerohm.training.experiments.fit", refuse)
    arguments, expected = UNUSABLE[case]
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert expected in captured.err
    assert captured.err.startswith("zerohm: ")
    assert len(captured.err.strip().splitlines()) == 1
    assert captured.out == ""
    assert [path for path in tmp_path.rglob("*") if path.name != "results"] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[sweep]\nwrite_noise = []", "write_noise"),
        ("[sweep]\nwrite_noise = 0.1", "list"),
        ("[swep]\nwrite_noise = [0.1]", "did you mean 'sweep'"),
        ("[experiment]\ntask = 'digits'", "grid is empty"),
        ("[sweep]\nwrite_noise = [0.1, -0.1]", "write_noise"),
        ("[sweep]\nwrite_noise = [0.1]\nwrite_noise = [0.2]", "sweep.toml"),
        ("[experiment]\nseed = 1\n[sweep]\nseed = [1, 2]", "seed"),
        ("references = ['backprob']\n[sweep]\nseed = [1]", "did you mean 'backprop'"),
    ],
)
def test_unusable_sweep_files(text, expected, tmp_path, capsys):
    """Refused before any point runs, with nothing left behind."""
    config, store = tmp_path / "sweep.toml", tmp_path / "results.zarr"
    config.write_text(text)
    assert main(["sweep", str(config), "--store", str(store)]) == 2
    assert expected in capsys.readouterr().err
    assert not store.exists()


def test_figure_refuses_unknown_kind_and_suffix(tmp_path, sweep_file, capsys):
    """The message lists what there is."""
    store = tmp_path / "results.zarr"
    main(["sweep", str(sweep_file), "--store", str(store)])
    assert main(["figure", str(store), "--kind", "pie", "--out", str(tmp_path / "f.pdf")]) == 2
    assert "noise-accuracy" in capsys.readouterr().err
    assert main(["figure", str(store), "--out", str(tmp_path / "f.gif")]) == 2
    assert ".pdf" in capsys.readouterr().err


def test_failed_points_are_named_and_change_the_exit_code(tmp_path, capsys):
    """A sweep with a diverging point finishes, says so and exits with 1."""
    config = tmp_path / "sweep.toml"
    config.write_text(
        "references = []\n[experiment]\nmethod = 'backprop'\nhardware = 'digital'\npasses = 200\n"
        "evaluations = 1\n[sweep]\nlearning_rate = [1.0, 1e30]\n"
    )
    assert main(["sweep", str(config), "--store", str(tmp_path / "results.zarr")]) == 1
    assert "1 of 2" in capsys.readouterr().err


def test_help_of_every_command(capsys):
    """--help exits with 0 and describes each option."""
    for command in ("demo", "presets", "solve", "train", "sweep", "figure"):
        assert main([command, "--help"]) == 0
        assert "--" in capsys.readouterr().out


@pytest.fixture
def circuit_files(tmp_path):
    """A 3 × 2 array and two input vectors as .npy files."""
    rng = np.random.default_rng(0)
    conductance, voltages = tmp_path / "G.npy", tmp_path / "V.npy"
    np.save(conductance, rng.uniform(1e-6, 1e-4, (3, 2)))
    np.save(voltages, rng.uniform(0, 0.2, (2, 3)))
    return ["--conductance", str(conductance), "--voltages", str(voltages)]


def test_solve_writes_exact_currents_and_a_netlist(tmp_path, circuit_files, capsys):
    """Currents are those of Network; without wires they are V·G."""
    out, netlist = tmp_path / "currents.npy", tmp_path / "circuit.cir"
    command = ["solve", *circuit_files, "--out", str(out)]
    assert main(command) == 0
    conductance, voltages = (np.load(path) for path in circuit_files[1::2])
    np.testing.assert_allclose(np.load(out), voltages @ conductance, rtol=1e-12)
    wires = ["--wire-resistance", "100", "--source-resistance", "50", "--sink-resistance", "20"]
    assert main([*command, *wires, "--spice", str(netlist)]) == 0
    network = zo.crossbar.Network(
        conductance, wire_resistance=100, source_resistance=50, sink_resistance=20
    )
    np.testing.assert_allclose(np.load(out), network.solve(voltages).currents, rtol=1e-9)
    assert netlist.read_text() == network.to_spice(voltages[0])
    assert str(netlist) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (["--wire-resistance", "-1"], "wire_resistance=-1"),
        (["--conductance", "no.npy"], "no.npy"),
        (["--out", "nowhere/currents.npy"], "nowhere"),
        (["--spice", "nowhere/circuit.cir"], "nowhere"),
    ],
)
def test_solve_refuses_unusable_input(extra, expected, tmp_path, circuit_files, capsys):
    """One message that names the input, exit code 2, no file."""
    out = tmp_path / "currents.npy"
    arguments = dict(zip(circuit_files[::2], circuit_files[1::2], strict=True))
    arguments |= {"--out": str(out), **dict([extra])}
    assert main(["solve", *(text for pair in arguments.items() for text in pair)]) == 2
    assert expected in capsys.readouterr().err
    assert not out.exists()


def test_solve_refuses_what_is_no_array(tmp_path, circuit_files, capsys):
    """Text, pickled objects, archives, other shapes and NaN are named by file or by value."""
    objects = tmp_path / "objects.npy"
    np.save(objects, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    text = tmp_path / "text.npy"
    text.write_text("1, 2, 3")
    for path in (objects, text):
        command = ["solve", "--conductance", str(path), *circuit_files[2:]]
        assert main([*command, "--out", str(tmp_path / "c.npy")]) == 2
        assert str(path) in capsys.readouterr().err
    misfit = ["--conductance", circuit_files[3], "--voltages", circuit_files[3]]
    assert main(["solve", *misfit, "--out", str(tmp_path / "c.npy")]) == 2
    assert "voltages" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", ["onnx", "pt"])
def test_train_writes_the_trained_network(tmp_path, suffix):
    """What is read back gives the answers of the run's own parameters."""
    pytest.importorskip({"onnx": "onnx", "pt": "torch"}[suffix])
    out, weights = tmp_path / "run.nc", tmp_path / f"network.{suffix}"
    assert main(short("--out", str(out), "--weights", str(weights))) == 0
    kept = zo.sweeps.load(out).final_parameters.values
    network = training.prepare(write_noise=0.02).network
    read = {"onnx": training.interchange.load_onnx, "pt": training.interchange.load_state_dict}
    assert np.array_equal(read[suffix](network, weights), kept)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--weights", "weights.h5"], "ends with .onnx or .pt"),
        (
            ["--weights", "n.onnx", "--method", "convolutional-node-perturbation"],
            "other programs",
        ),
    ],
)
def test_weights_that_cannot_be_written_are_refused_before_training(
    tmp_path, monkeypatch, capsys, extra, message
):
    """One message, no file."""
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--set", "passes=10", "network=cnn", *extra]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_results_are_exported_reported_and_merged(tmp_path, sweep_file, capsys):
    """Each command leaves its file and names it; the merged store has both write noises."""
    store = tmp_path / "results.zarr"
    other = tmp_path / "more.toml"
    other.write_text(SWEEP.replace("[0.02, 0.05]", "[0.03]"))
    assert main(["sweep", str(sweep_file), "--store", str(store)]) == 0
    assert main(["sweep", str(other), "--store", str(tmp_path / "more.zarr")]) == 0
    merged = tmp_path / "merged.zarr"
    assert main(["merge", str(store), str(tmp_path / "more.zarr"), "--into", str(merged)]) == 0
    assert zo.sweeps.load(merged).write_noise.values.tolist() == [0.02, 0.03, 0.05]
    for command, name in (("export", "a.csv"), ("export", "a.nc"), ("report", "a.html")):
        assert main([command, str(merged), "--out", str(tmp_path / name)]) == 0
        assert (tmp_path / name).stat().st_size > 100
        assert name in capsys.readouterr().out
    table = ["export", str(merged), "--out", str(tmp_path / "a.tex")]
    assert main(table) == 2
    assert main([*table, "--band", "quartiles"]) == 0
    assert main(["figure", str(merged), "--kind", "heat-map", "--out", "x.pdf"]) == 2
    assert "heat-map needs --x" in capsys.readouterr().err


def test_the_schema_of_device_cards_is_printed(capsys):
    """It is JSON, and the one that Python gives."""
    assert main(["presets", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out) == zo.devices.card_schema()
    assert main(["presets", "--schema", "--json"]) == 2
