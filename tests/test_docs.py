"""The documentation: links lead somewhere, commands and code work, every public name has a page."""

import contextlib
import importlib.util
import re
import shlex
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cyclopts import CycloptsError, MissingArgumentError

from zerohm.cli import app

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / name
    for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")
    if (ROOT / name).exists()
] + sorted((ROOT / "docs").glob("*.md"))

PYTHON = ("python", "{code-cell} ipython3")

FRAGMENTS = {
    "interchange.md": "the names of a reader's own network and files stand in them",
    "energy.md": "two full training runs",
    "faults.md": "a full training run",
    "noise_in_time.md": "a full training run",
}
"""Pages whose code is not run, and why not."""

NO_EXAMPLE = {
    "raised or warned, not called": """
        zerohm.InputError zerohm.crossbar.SolverError zerohm.devices.PresetWarning
        zerohm.devices.calibrate.EstimationError zerohm.devices.pulses.NotConverged
        zerohm.sweeps.SweepWarning zerohm.training.EnduranceWarning
        zerohm.training.NonlinearNoiseWarning
        zerohm.training.TrainingDiverged
        zerohm.training.quantized.AccumulatorOverflow""",
    "what somebody else's class must have": """
        zerohm.crossbar.solvers.Solver zerohm.devices.Noise zerohm.mapping.Hardware
        zerohm.mapping.Programmed zerohm.training.Method zerohm.training.Trainable
        zerohm.training.Trainer""",
    "a type or a name, not called": """
        zerohm.__version__ zerohm.crossbar.nonlinear zerohm.devices.IVLaw
        zerohm.devices.presets.GROUP zerohm.devices.pulses.PulseModel""",
    "made by a function or method that has an example": """
        zerohm.crossbar.FabricatedADC zerohm.crossbar.FabricatedDAC zerohm.crossbar.Gradient
        zerohm.crossbar.Netlist zerohm.crossbar.Power zerohm.crossbar.Reference
        zerohm.crossbar.Solution
        zerohm.devices.calibrate.Calibration zerohm.devices.calibrate.Panel
        zerohm.devices.pulses.WriteVerifyReport zerohm.mapping.DigitalHardware
        zerohm.mapping.PhotonicHardware zerohm.mapping.RRAMHardware zerohm.mapping.WriteNoise
        zerohm.photonics.Corrected zerohm.photonics.Gradient zerohm.photonics.Phases
        zerohm.photonics.SelfConfigured zerohm.training.Network zerohm.training.Observation
        zerohm.training.convolutional.Pretrained zerohm.training.ffzero.ConvolutionalNetwork
        zerohm.training.quantized.Cost zerohm.training.quantized.QuantizedNetwork
        zerohm.sweeps.config.SweepFile zerohm.training.energy.Workload
        zerohm.training.quantized.Selection""",
    "the other direction of what has an example": """
        zerohm.training.interchange.load_onnx zerohm.training.interchange.load_state_dict
        zerohm.training.interchange.save_state_dict""",
    "settings, shown with what takes them": """
        zerohm.crossbar.ADC zerohm.devices.Cycling zerohm.devices.ProgrammingCost
        zerohm.devices.StuckState zerohm.devices.ThermalCrosstalk
        zerohm.training.convolutional.Convolution zerohm.training.convolutional.Dense
        zerohm.training.convolutional.Pool zerohm.training.energy.Constant
        zerohm.training.quantized.Plan
        zerohm.training.Disturbance zerohm.training.Experiment""",
    "a training method: all are called as in fit, and compared on the pages": """
        zerohm.training.Backprop zerohm.training.DeepZero zerohm.training.FFZero
        zerohm.training.FZOO zerohm.training.ForwardGradient zerohm.training.LastLayer
        zerohm.training.LinearClassifier zerohm.training.MeZO zerohm.training.NodePerturbation
        zerohm.training.NoiseZO zerohm.training.QuantizedBackprop zerohm.training.SPSA
        zerohm.training.SparseMeZO zerohm.training.ffzero.GlobalDirections
        zerohm.training.ffzero.GlobalExact zerohm.training.ffzero.LocalExact
        zerohm.training.ffzero.PhotonicFFZero""",
    "part of a solver or of a larger call that has an example": """
        zerohm.crossbar.read_back_full_scale zerohm.crossbar.solvers.DeviceGradient
        zerohm.crossbar.solvers.Direct zerohm.crossbar.solvers.LineGradient
        zerohm.crossbar.solvers.iterative_for zerohm.crossbar.solvers.predicted_memory
        zerohm.crossbar.solvers.refine zerohm.devices.find zerohm.devices.save
        zerohm.devices.save_shifters zerohm.devices.pulses.read_quantile_table
        zerohm.sweeps.html_report zerohm.sweeps.save_report
        zerohm.sweeps.save_table zerohm.training.energy.energy_to_reach
        zerohm.training.energy.endurance_budget zerohm.training.energy.workloads
        zerohm.training.energy.compare
        zerohm.training.prepare zerohm.training.quantized.select_block""",
}
"""Public names whose docstring has no example, by the reason."""


@pytest.fixture(scope="module")
def public_names() -> ModuleType:
    """``docs/public_names.py``: what the packages offer."""
    specification = importlib.util.spec_from_file_location(
        "public_names", ROOT / "docs" / "public_names.py"
    )
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def prose(page: Path) -> str:
    """A page without its code."""
    text = re.sub(r"^(```+|~~~+).*?^\1", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(page: Path) -> set[str]:
    """Targets of a page's headings, as the forge and the site make them."""
    headings = re.findall(r"^#+ +(.+?) *$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> list[str]:
    """Relative links of a page without a file or heading where they lead."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        outside = re.match(r"[a-z]+:", link)
        missing = not target.exists() or (
            anchor and target.suffix == ".md" and anchor not in anchors(target)
        )
        if missing and not outside:
            broken.append(link)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_to_a_file_and_a_heading(page: Path):
    """They are read on the forge and on the site."""
    assert broken_links(page) == []


def test_a_broken_link_is_found(tmp_path: Path):
    """The check of links can fail."""
    page = tmp_path / "page.md"
    page.write_text("# Here\n[a](#here) [b](#there) [c](nothing.md) [d](https://x) `[e](f)`")
    assert broken_links(page) == ["#there", "nothing.md"]


def blocks(page: Path, *languages: str) -> str:
    """The code of a page in fences of these languages, one block after the other."""
    text = page.read_text(encoding="utf-8")
    fences = re.findall(r"^```([^\n]*)\n(.*?)^```", text, re.M | re.S)
    return "\n".join(block for language, block in fences if language in languages)


def commands(page: Path) -> list[str]:
    """Lines of code blocks that begin with the name of the command line."""
    return re.findall(r"^zerohm [a-z-].*", blocks(page, "", "bash", "console", "sh"), re.M)


def mentions(page: Path) -> list[str]:
    """Commands in the text, where values may be left out."""
    return re.findall(r"`(zerohm [a-z-][^`\n]*)`", page.read_text(encoding="utf-8"))


def understand(command: str) -> None:
    """Have the command line parse a command, without running it."""
    arguments = shlex.split(command, comments=True)[1:]
    app.parse_args(arguments, exit_on_error=False, print_error=False)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_understood(page: Path):
    """Every quoted command has a name, options and values that the command line takes."""
    for command in commands(page):
        understand(command)
    for command in mentions(page):
        with contextlib.suppress(MissingArgumentError):
            understand(command)


def test_commands_are_found_and_can_be_wrong():
    """The check of commands has something to check, and can fail."""
    assert len(commands(ROOT / "README.md")) >= 9
    assert "zerohm presets" in mentions(ROOT / "docs" / "tutorial.md")
    for command in ("zerohm solv", "zerohm presets --jsn", "zerohm sweep a.toml"):
        with pytest.raises(CycloptsError):
            understand(command)


def python(page: Path) -> str:
    """The Python of a page, with budgets cut to what takes no time."""
    return re.sub(r"(passes\"?[=:] ?)[\d_]+", r"\g<1>20", blocks(page, *PYTHON))


def relaxation_table(path: Path) -> None:
    """A table as ``calibrate.relaxation`` takes it."""
    rng = np.random.default_rng(0)
    times = np.tile([0.0, 0.1, 1.0, 10.0], 300)
    walk = np.cumsum(rng.normal(0, 0.3e-6, (300, 4)), axis=1)
    cells = np.repeat(np.arange(300), 4)
    start = rng.uniform(2e-5, 6e-5, (300, 1))
    table = {"cell": cells, "time_s": times, "conductance_S": (start + walk).ravel()}
    pd.DataFrame(table).to_csv(path, index=False)


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if python(page) and page.name not in FRAGMENTS],
    ids=lambda page: page.name,
)
@pytest.mark.filterwarnings("default")
def test_python_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Every block of a page works, in the order of the page."""
    monkeypatch.chdir(tmp_path)
    relaxation_table(tmp_path / "reads.csv")
    exec(compile(python(page), page.name, "exec"), {"__name__": "page"})


def test_the_gallery_shows_every_script():
    """Figures and scripts belong together."""
    page = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    scripts = sorted(path.stem for path in (ROOT / "docs" / "gallery").glob("*.py"))
    assert sorted(re.findall(r"\{literalinclude\} gallery/(\w+)\.py", page)) == scripts
    assert sorted(re.findall(r"\{image\} /build/gallery/(\w+)\.png", page)) == scripts
    assert sorted(re.findall(r":img-top: /build/gallery/(\w+)\.png", page)) == scripts


def documented() -> set[str]:
    """Names in the lists of the interface's pages."""
    names = set()
    for page in (ROOT / "docs" / "api").glob("*.rst"):
        text = page.read_text(encoding="utf-8")
        module = re.search(r"^\.\. currentmodule:: (\S+)", text, re.M)
        if module:
            names |= {f"{module[1]}.{name}" for name in re.findall(r"^   ([\w.]+)$", text, re.M)}
    return names


def resolved(name: str) -> Any:
    """The object of a full name."""
    module, _, attribute = name.rpartition(".")
    return getattr(import_module(module), attribute)


def test_every_public_name_has_a_page(public_names: ModuleType):
    """In the lists of docs/api, by one of its names."""
    listed, offered = documented(), public_names.offered()
    objects = {id(resolved(name)) for name in listed}
    names = {f"{package}.{name}" for package in offered for name in offered[package]}
    missing = {name for name in names - listed - set(offered) if id(resolved(name)) not in objects}
    assert missing == set()


def test_every_public_name_has_an_example_or_a_reason(public_names: ModuleType):
    """Docstrings show how a name is used, or it is said here why not."""
    constants = public_names.constants()
    reasons = {name for names in NO_EXAMPLE.values() for name in names.split()}
    without = {name for name in documented() if ">>>" not in (resolved(name).__doc__ or "")}
    assert without - set(constants) - reasons == set()
    assert reasons - without == set()


def test_every_public_name_is_described(public_names: ModuleType):
    """By a docstring, constants by the text below their value."""
    constants = public_names.constants()
    unexplained = {
        name
        for name in documented() - set(constants)
        if not resolved(name).__doc__ or isinstance(resolved(name), str | int | tuple | dict)
    }
    assert unexplained <= {"zerohm.__version__", "zerohm.devices.presets.GROUP"}
