"""One training run described by flat settings: what the command line and sweeps run."""

from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic import Field
from pydantic.dataclasses import dataclass

from zerohm._config import STRICT
from zerohm._errors import InputError, checked, choose
from zerohm._random import stream

from .. import datasets, devices
from ..crossbar import ADC, DAC
from ..devices.photonic.modulator import Modulator
from ..devices.photonic.thermal_crosstalk import ThermalCrosstalk
from ..mapping import Hardware, digital, photonic, rram
from ..photonics import Imperfections
from .backprop import Backprop
from .linear import LinearClassifier
from .mezo import MeZO
from .network import Network, mlp
from .noisezo import NoiseZO
from .protocol import Method
from .recipes import HIDDEN, recipe
from .run import fit

if TYPE_CHECKING:
    import xarray as xr

METHODS: dict[str, type[Any]] = {
    "noisezo": NoiseZO,
    "mezo": MeZO,
    "backprop": Backprop,
    "linear": LinearClassifier,
}
"""Every training method by the name that settings use."""

HARDWARE: dict[str, tuple[str, ...]] = {
    "rram": (
        "device",
        "write_noise",
        "read_noise",
        "readback_noise",
        "dac_bits",
        "adc_bits",
        "wire_resistance",
        "settling_time",
        "running_clock",
        "chip",
    ),
    "photonic": (
        "phase_noise",
        "phase_bits",
        "splitter_std",
        "loss_dB",
        "crosstalk",
        "dac_bits",
        "adc_bits",
        "chip",
    ),
    "digital": (),
    "int8": (),
}
"""Every substrate by the name that settings use, with the settings that it has."""

ON_HARDWARE: dict[tuple[str, str], dict[str, Any]] = {
    ("photonic", "noisezo"): {"learning_rate": 0.005},
    ("photonic", "mezo"): {"learning_rate": 0.01, "perturbation": 0.03},
}
"""Settings of (hardware, method) that replace those of the task's recipe, chosen on a validation
part of digits. The rate of NoiseZO is below the best one there (0.007), at which one run of three
on an imperfect chip diverged: phase noise is loud along few directions, which bear no larger steps.
"""

Fraction = Annotated[float, Field(ge=0, lt=1)]
Bits = Annotated[int, Field(ge=2, le=24)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Experiment:
    """Settings of one training run, apart from those of the method.

    Which settings of devices and converters a substrate has is in :data:`HARDWARE`.

    Parameters
    ----------
    task, split : name of the data and of their division into training and test part.
    method, hardware : see :data:`METHODS` and :data:`HARDWARE`.
    device : name of a preset or path of a device card.
    seed : of every random draw.
    passes, batch : budget of forward passes of one mini-batch, and its size.
    hidden : widths of the hidden layers, as numbers or text such as ``"100,100"``.
    write_noise, read_noise, readback_noise : standard deviation per device as a fraction of the
        conductance window; unset, the device's own.
    dac_bits, adc_bits : of the converters.
    wire_resistance : Ω per wire segment.
    settling_time : s between programming and first use, in which cells relax.
    running_clock : products and read-backs take their time, in which cells move on.
    chip : which chip, the seed of what its fabrication left to chance.
    phase_noise : rad, of every phase in every programming; unset, 0.01.
    phase_bits : of the drivers of the phase shifters; unset, continuous.
    splitter_std : rad, spread of the couplers' splitting angles over a chip.
    loss_dB : of every MZI, and of every waveguide beside one.
    crosstalk : share of a heater's effect on a waveguide 100 µm away; columns of the meshes lie
        300 µm apart, lines 100 µm.
    evaluations : records along the run.
    validation : test on a held-out part of the training data instead of the test data.
    """

    task: str = "digits"
    split: str | None = None
    method: str = "noisezo"
    hardware: str = "rram"
    device: str | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    passes: Annotated[int, Field(ge=1)] = 30_000
    batch: Annotated[int, Field(ge=1)] = 128
    hidden: str | int | tuple[int, ...] | None = None
    write_noise: Fraction | None = None
    read_noise: Fraction | None = None
    readback_noise: Fraction | None = None
    dac_bits: Bits | None = None
    adc_bits: Bits | None = None
    wire_resistance: Annotated[float, Field(ge=0)] | None = None
    settling_time: Annotated[float, Field(ge=0)] | None = None
    running_clock: bool | None = None
    chip: Annotated[int, Field(ge=0)] | None = None
    phase_noise: Annotated[float, Field(ge=0)] | None = None
    phase_bits: Annotated[int, Field(ge=1, le=24)] | None = None
    splitter_std: Annotated[float, Field(ge=0)] | None = None
    loss_dB: Annotated[float, Field(ge=0)] | None = None
    crosstalk: Annotated[float, Field(ge=0)] | None = None
    evaluations: Annotated[int, Field(ge=1)] = 20
    validation: bool = False

    def load_task(self) -> datasets.Task:
        """The data."""
        task = datasets.load(self.task, split=self.split)
        return task.validation() if self.validation else task

    def build_hardware(self) -> Hardware:
        """What the layers are built on."""
        choose("hardware", self.hardware, HARDWARE)
        for name in dict.fromkeys(name for names in HARDWARE.values() for name in names):
            if getattr(self, name) is not None and name not in HARDWARE[self.hardware]:
                owners = [other for other, names in HARDWARE.items() if name in names]
                raise InputError(
                    f"hardware {self.hardware!r} has no {name}: only {' and '.join(owners)} has it"
                )
        if self.hardware == "rram":
            return self._rram()
        if self.hardware == "photonic":
            return self._photonic()
        return digital(bits=8) if self.hardware == "int8" else digital()

    def _rram(self) -> Hardware:
        cell = devices.find(self.device or "Wan2022").with_noise(
            write=self.write_noise, read=self.read_noise, read_back=self.readback_noise
        )
        return rram(
            cell,
            dac=DAC(bits=self.dac_bits or 8),
            adc=ADC(bits=self.adc_bits or 8),
            wire_resistance=self.wire_resistance or 0.0,
            settling_time=self.settling_time or 0.0,
            running_clock=self.running_clock or False,
            chip=self.chip or 0,
        )

    def _photonic(self) -> Hardware:
        loss = self.loss_dB or 0.0
        process = checked(
            Imperfections,
            "settings",
            phase_std=0.01 if self.phase_noise is None else self.phase_noise,
            phase_bits=self.phase_bits,
            splitter_std=self.splitter_std or 0.0,
            loss_dB=loss,
            waveguide_loss_dB=loss,
            crosstalk=self._crosstalk(),
            column_pitch=300e-6,
            line_pitch=100e-6,
        )
        return photonic(
            imperfections=process,
            modulator=Modulator(bits=self.dac_bits or 8),
            adc=ADC(bits=self.adc_bits or 8),
            chip=self.chip or 0,
        )

    def _crosstalk(self) -> ThermalCrosstalk | None:
        """Down to a fiftieth, within half a millimetre: 4 % of all crosstalk lies beyond."""
        if not self.crosstalk:
            return None
        share = self.crosstalk
        return checked(ThermalCrosstalk, "crosstalk", coefficient=share, smallest=share / 50)

    def build_network(self, task: datasets.Task) -> Network:
        """The network on its hardware."""
        return mlp(
            [task.features, *self._hidden_widths(), task.classes],
            hardware=self.build_hardware(),
            input_limit=task.input_limit,
        )

    def _hidden_widths(self) -> tuple[int, ...]:
        if self.method == "linear" and self.hidden is None:
            return ()
        if self.hidden is None:
            return HIDDEN[self.task]
        if isinstance(self.hidden, tuple):
            return self.hidden
        text = str(self.hidden).strip()
        try:
            return tuple(int(width) for width in text.split(",")) if text else ()
        except ValueError:
            raise InputError(
                f"hidden={self.hidden!r}: widths of hidden layers, for example 64 or 100,100"
            ) from None


_FRAME = tuple(field.name for field in fields(Experiment))


class Prepared(NamedTuple):
    """A run whose settings have all been checked."""

    settings: Experiment
    task: datasets.Task
    network: Network
    method: Method


def prepare(**settings: Any) -> Prepared:
    """Check all settings of a run, before any long work.

    Raises
    ------
    InputError : an unknown name or a value outside its range, with what is allowed.
    """
    for kind, allowed in (("method", METHODS), ("task", datasets.names())):
        if kind in settings:
            choose(kind, settings[kind], allowed)
    method_name = settings.get("method", Experiment.method)
    method_type = METHODS[method_name]
    own = tuple(field.name for field in fields(method_type))
    for name in settings:
        choose(f"setting of {method_name}", name, (*_FRAME, *own))
    complete = {
        **recipe(method_name, settings.get("task", Experiment.task)),
        **ON_HARDWARE.get((settings.get("hardware", Experiment.hardware), method_name), {}),
        **settings,
    }
    frame = {name: value for name, value in complete.items() if name in _FRAME}
    rest = {name: value for name, value in complete.items() if name in own}
    experiment = checked(Experiment, "settings", **frame)
    method: Method = checked(method_type, f"method {method_name}", **rest)
    task = experiment.load_task()
    network = experiment.build_network(task)
    method.start(network, network.initial_parameters(stream(0)), rng=stream(0))
    return Prepared(settings=experiment, task=task, network=network, method=method)


def experiment(*, progress: bool = False, **settings: Any) -> "xr.Dataset":
    """Run one training experiment described by flat settings.

    Parameters
    ----------
    progress : show a progress bar on a terminal.
    settings : fields of :class:`Experiment` and of the method's settings.

    Returns
    -------
    The Dataset of :func:`zerohm.training.fit`.

    Raises
    ------
    InputError : an unknown name or a value outside its range, before any long work.

    Examples
    --------
    >>> run = experiment(task="digits", method="backprop", hardware="digital", passes=100,
    ...                  evaluations=1, seed=1)
    >>> run.attrs["method"], run.sizes["step"]
    ('backprop', 1)
    """
    ready = prepare(**settings)
    chosen = ready.settings
    return fit(
        ready.network,
        ready.task,
        method=ready.method,
        seed=chosen.seed,
        passes=chosen.passes,
        batch=chosen.batch,
        evaluations=chosen.evaluations,
        progress=progress,
    )
