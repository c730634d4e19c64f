"""What a run is built on, described by flat settings."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field
from pydantic.dataclasses import dataclass

from zerohm._config import STRICT
from zerohm._errors import InputError, checked, choose

from .. import devices
from ..crossbar import ADC, DAC
from ..devices.photonic.modulator import Modulator
from ..devices.photonic.thermal_crosstalk import ThermalCrosstalk
from ..mapping import Hardware, digital, photonic, rram
from ..photonics import Imperfections
from .adjustments import adjusted

HARDWARE: dict[str, tuple[str, ...]] = {
    "rram": (
        "device",
        "write_noise",
        "read_noise",
        "readback_noise",
        "dac_bits",
        "adc_bits",
        "wire_resistance",
        "current_range",
        "settling_time",
        "running_clock",
        "stuck_fraction",
        "window_spread",
        "characteristic_cycles",
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

Fraction = Annotated[float, Field(ge=0, lt=1)]
Bits = Annotated[int, Field(ge=2, le=24)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Substrate:
    """Settings of the hardware of a run; which of them a substrate has is in :data:`HARDWARE`.

    Parameters
    ----------
    hardware : see :data:`HARDWARE`.
    device : name of a preset or path of a device card.
    write_noise, read_noise, readback_noise : standard deviation per device as a fraction of the
        conductance window; unset, the device's own.
    dac_bits, adc_bits : of the converters.
    wire_resistance : Ω per wire segment.
    current_range : full scale of the ADC of crossbars, in units of read voltage · window · √rows.
    settling_time : s between programming and first use, in which cells relax.
    running_clock : products and read-backs take their time, in which cells move on.
    stuck_fraction, window_spread, characteristic_cycles : cells that are stuck, have a window of
        their own or wear out, see :func:`zerohm.devices.flawed`; unset, those of the device.
    chip : which chip, the seed of what its fabrication left to chance.
    phase_noise : rad, of every phase in every programming; unset, 0.01.
    phase_bits : of the drivers of the phase shifters; unset, continuous.
    splitter_std : rad, spread of the couplers' splitting angles over a chip.
    loss_dB : of every MZI, and of every waveguide beside one.
    crosstalk : share of a heater's effect on a waveguide 100 µm away; columns of the meshes lie
        300 µm apart, lines 100 µm.
    adjustments : path of a field of the hardware -> its value, for everything that has no setting
        of its own; in flat settings "hardware.cell.conductance_max", for example.
    """

    hardware: str = "rram"
    device: str | None = None
    write_noise: Fraction | None = None
    read_noise: Fraction | None = None
    readback_noise: Fraction | None = None
    dac_bits: Bits | None = None
    adc_bits: Bits | None = None
    wire_resistance: Annotated[float, Field(ge=0)] | None = None
    current_range: Annotated[float, Field(gt=0)] | None = None
    settling_time: Annotated[float, Field(ge=0)] | None = None
    running_clock: bool | None = None
    stuck_fraction: Annotated[float, Field(ge=0, le=1)] | None = None
    window_spread: Annotated[float, Field(ge=0)] | None = None
    characteristic_cycles: Annotated[float, Field(gt=0)] | None = None
    chip: Annotated[int, Field(ge=0)] | None = None
    phase_noise: Annotated[float, Field(ge=0)] | None = None
    phase_bits: Annotated[int, Field(ge=1, le=24)] | None = None
    splitter_std: Annotated[float, Field(ge=0)] | None = None
    loss_dB: Annotated[float, Field(ge=0)] | None = None
    crosstalk: Annotated[float, Field(ge=0)] | None = None
    adjustments: Mapping[str, Any] = Field(default_factory=dict)

    def build_hardware(self) -> Hardware:
        """What the layers are built on."""
        choose("hardware", self.hardware, HARDWARE)
        for name in dict.fromkeys(name for names in HARDWARE.values() for name in names):
            if getattr(self, name) is not None and name not in HARDWARE[self.hardware]:
                owners = [other for other, names in HARDWARE.items() if name in names]
                raise InputError(
                    f"hardware {self.hardware!r} has no {name}: only {' and '.join(owners)} has it"
                )
        hardware = self._without_adjustments()
        for path, value in self.adjustments.items():
            hardware = adjusted(hardware, path, value)
        return hardware

    def _without_adjustments(self) -> Hardware:
        if self.hardware == "rram":
            return self._rram()
        if self.hardware == "photonic":
            return self._photonic()
        return digital(bits=8) if self.hardware == "int8" else digital()

    def _rram(self) -> Hardware:
        cell = devices.find(self.device or "Wan2022").with_noise(
            write=self.write_noise, read=self.read_noise, read_back=self.readback_noise
        )
        cell = devices.flawed(
            cell,
            stuck_fraction=self.stuck_fraction,
            window_spread=self.window_spread,
            characteristic_cycles=self.characteristic_cycles,
        )
        return rram(
            cell,
            dac=DAC(bits=self.dac_bits or 8),
            adc=ADC(bits=self.adc_bits or 8),
            wire_resistance=self.wire_resistance or 0.0,
            current_range=self.current_range or 1.0,
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
