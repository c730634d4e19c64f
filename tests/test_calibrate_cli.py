"""`zerohm calibrate`: what it writes, what it says, and how it refuses unusable input."""

import gzip

import numpy as np
import pandas as pd
import pytest

import zerohm as zo
from zerohm._random import stream
from zerohm.cli import main
from zerohm.devices import cards


@pytest.fixture
def folder(tmp_path):
    """A folder with programming and I–V tables as plain, packed and header-less files."""
    rng = stream(0, "calibrate command")
    targets = np.tile(np.linspace(5e-6, 50e-6, 10), 10)
    events = pd.DataFrame(
        {"target_S": targets, "conductance_S": targets + 1e-6 * rng.standard_normal(100)}
    )
    events.to_csv(tmp_path / "chip.csv", index=False)
    events.to_csv(tmp_path / "bare.tsv", index=False, header=False, sep="\t")
    packed = gzip.compress((tmp_path / "chip.csv").read_bytes())
    (tmp_path / "chip.csv.gz").write_bytes(packed)
    voltage = np.linspace(-0.5, 0.5, 41)
    current = 2e-5 * np.sinh(3 * voltage) / 3 * (1 + 0.01 * rng.standard_normal(41))
    pd.DataFrame({"V": voltage, "I": current}).to_csv(tmp_path / "sweep.csv", index=False)
    return tmp_path


def test_programming_from_a_file_to_a_device(folder, capsys):
    """The card holds the cell and its calibration, the output the numbers and where they are."""
    card, figure = folder / "card.json", folder / "report.png"
    arguments = ["calibrate", str(folder / "chip.csv"), "--kind", "programming"]
    assert main([*arguments, "--out", str(card), "--figure", str(figure)]) == 0
    said = capsys.readouterr().out
    fit = zo.devices.calibrate.programming(folder / "chip.csv", name="chip")
    assert zo.devices.load(card) == fit.cell
    assert fit.cell.name == "chip"
    assert all(line in said for line in [*fit.estimates_in_words(), *fit.remarks()])
    assert "100 rows" in said
    assert str(card) in said
    assert str(figure) in said
    assert figure.stat().st_size > 10_000
    assert cards.calibration(card)["provenance"]["file"] == "chip.csv"


def test_iv_with_other_names(folder, capsys):
    """Columns are renamed, the device is named, the law is in the card."""
    card = folder / "card.json"
    columns = "voltage_V=V,current_A=I"
    arguments = ["calibrate", str(folder / "sweep.csv"), "--kind", "iv", "--columns", columns]
    assert main([*arguments, "--out", str(card), "--name", "hafnia"]) == 0
    cell = zo.devices.load(card)
    assert cell.name == "hafnia"
    assert abs(cell.iv.b - 3.0) < 0.3
    assert "b = " in capsys.readouterr().out
    assert cards.calibration(card)["provenance"]["columns"] == {"voltage_V": "V", "current_A": "I"}


def test_packed_and_plain_files_give_the_same_card_but_for_the_name(folder):
    """gzip changes nothing; a file without a header is read by the numbers of its columns."""
    found = []
    for name, columns in (
        ("chip.csv", ""),
        ("chip.csv.gz", ""),
        ("bare.tsv", "target_S=1,conductance_S=2"),
    ):
        card = folder / "card.json"
        arguments = ["calibrate", str(folder / name), "--kind", "programming", "--out", str(card)]
        options = ["--columns", columns] if columns else []
        assert main([*arguments, *options, "--name", "same"]) == 0
        found.append((zo.devices.load(card), cards.calibration(card)))
    (cell, record), (packed_cell, packed), (bare_cell, bare) = found
    assert cell == packed_cell == bare_cell
    assert packed["provenance"].pop("file") == "chip.csv.gz"
    assert record["provenance"].pop("file") == "chip.csv"
    assert record == packed
    assert bare["covariance"] == record["covariance"]
    assert bare["provenance"]["sha256"] != record["provenance"]["sha256"]


def test_missing_values_are_dropped_on_request_and_counted(folder, capsys):
    """The output and the card say how many rows were left out."""
    path, card = folder / "chip.csv", folder / "card.json"
    path.write_text(path.read_text() + "1e-5,\n,1e-5\n")
    arguments = ["calibrate", str(path), "--kind", "programming", "--out", str(card)]
    assert main(arguments) == 2
    assert "2 of 102 rows with missing values" in capsys.readouterr().err
    assert not card.exists()
    assert main([*arguments, "--drop-missing"]) == 0
    assert "100 rows of" in (said := capsys.readouterr().out)
    assert "2 with missing values left out" in said
    assert cards.calibration(card)["provenance"]["rows_dropped"] == 2


def test_other_commands_accept_the_card(folder, capsys):
    """A network trains on the calibrated device."""
    card, run = folder / "card.json", folder / "run.nc"
    main(["calibrate", str(folder / "chip.csv"), "--kind", "programming", "--out", str(card)])
    settings = ["passes=40", "batch=16", "evaluations=2"]
    arguments = ["train", "--device", str(card), "--set", *settings, "--out", str(run)]
    assert main(arguments) == 0, capsys.readouterr().err
    assert zo.sweeps.load(run).attrs["device"] == "chip"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["chip.csv", "--kind", "programing"], "did you mean 'programming'"),
        (["none.csv", "--kind", "programming"], "none.csv"),
        (["sweep.csv", "--kind", "iv"], "lacks the columns 'voltage_V'"),
        (["chip.csv", "--kind", "programming", "--columns", "target_S"], "given as conductance_S="),
        (["chip.csv", "--kind", "programming", "--columns", "cell=1,cell=2"], "given twice"),
        (["chip.csv", "--kind", "programming", "--columns", "G=1"], "unknown column 'G'"),
        (["chip.csv", "--kind", "programming", "--sampling-rate", "10"], "no meaning"),
        (["chip.csv", "--kind", "programming", "--figure", "report.gif"], ".pdf, .png, .svg"),
        (["chip.csv", "--kind", "programming", "--figure", "no/report.png"], "no folder"),
        (["chip.csv"], "--kind"),
    ],
)
def test_unusable_input_is_one_message_and_exit_code_two(
    folder, monkeypatch, capsys, arguments, message
):
    """The message names the input; nothing is written."""
    monkeypatch.chdir(folder)
    assert main(["calibrate", *arguments, "--out", "card.json"]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert not (folder / "card.json").exists()
