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


def test_measurements_add_up_to_one_card(folder, capsys):
    """With --device, a fit is put into a cell that keeps its other parts and its name."""
    first, both = folder / "first.json", folder / "both.json"
    chip, sweep = str(folder / "chip.csv"), str(folder / "sweep.csv")
    assert main(["calibrate", chip, "--kind", "programming", "--out", str(first)]) == 0
    more = ["--kind", "iv", "--columns", "voltage_V=V,current_A=I", "--device", str(first)]
    assert main(["calibrate", sweep, *more, "--out", str(both)]) == 0
    cell = zo.devices.load(both)
    assert cell.write_noise == zo.devices.load(first).write_noise
    assert cell.iv is not None
    assert cell.name == "chip"
    capsys.readouterr()
    shifter = ["calibrate", sweep, "--kind", "phase-shifter", "--device", "Wan2022"]
    assert main([*shifter, "--out", str(both)]) == 2
    assert "no part of a cell" in capsys.readouterr().err
    assert zo.devices.load(both) == cell


def test_what_is_no_ordinary_file_is_not_replaced(folder, capsys):
    """A folder with the name of the card stays where it is."""
    place = folder / "taken.json"
    place.mkdir()
    chip = str(folder / "chip.csv")
    assert main(["calibrate", chip, "--kind", "programming", "--out", str(place)]) == 2
    assert "taken.json" in capsys.readouterr().err
    assert place.is_dir()


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


def test_a_search_without_traps_says_what_it_would_have_found(folder, capsys):
    """The output and the card name the detection limit; half a second of samples has none."""
    trace = 50e-6 + 2e-7 * stream(1, "calibrate command").standard_normal(1000)
    path, card = folder / "trace.csv", folder / "card.json"
    arguments = ["calibrate", str(path), "--kind", "read-noise", "--sampling-rate", "100"]
    pd.DataFrame({"conductance_S": trace}).to_csv(path, index=False)
    assert main([*arguments, "--out", str(card)]) == 0
    said = capsys.readouterr().out
    record = cards.calibration(card)
    assert "telegraph_noise refused: none found" in said
    assert f"|ΔG|/G of {100 * record['goodness']['detectable amplitude']:.2g} %" in said
    assert "would be found" in record["refused"]["telegraph_noise"]
    pd.DataFrame({"conductance_S": trace[:70]}).to_csv(path, index=False)
    assert main([*arguments, "--out", str(card)]) == 0
    assert "too short to find any" in capsys.readouterr().out


def test_cards_are_named_so_that_commands_find_them(folder, capsys):
    """A card without .json could not be given to train."""
    arguments = ["calibrate", str(folder / "chip.csv"), "--kind", "programming"]
    assert main([*arguments, "--out", str(folder / "card.txt")]) == 2
    assert ".json" in capsys.readouterr().err
    assert not (folder / "card.txt").exists()
