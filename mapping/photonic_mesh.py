"""Layers on Mach–Zehnder meshes: a singular value decomposition carried out by light::

    x ─[ DAC, modulators ]─[ mesh V† ]─( attenuators t )─[ mesh U ]─[ homodyne, ADC ]─ · g/τ ─ y

    W = g U diag(t) V†,      y = (g/τ) Re[ mesh U · diag(t) · mesh V† ] x

Inputs are amplitudes with a sign, equally bright at full scale; the local oscillators read the
real quadrature. τ is the geometric mean of the amplitudes that the losses leave, |det|^(1/N) of
each mesh, which does not depend on its phases. The gain g is digital and belongs to the programmed
matrix: its largest singular value divided by ``headroom``. Light is wasted as little as a matrix
allows, and noise at the detectors is g times as large in units of y: it is relative to the largest
singular value, whatever the range of single weights would allow.

An attenuator is an MZI in the bar state, t = sin(θ/2). Its phase errs as all phases do, which is
the only way in which noise reaches the singular values. ``headroom`` below 1 keeps the largest one
off the maximum at θ = π, where t would not respond to its phase.

**Write noise.** Every programming event leaves an error ε of standard deviation ``phase_std`` at
each phase shifter. To first order ΔW = Σ ε_k ∂W/∂φ_k, normal, and ∂W/∂φ_k is the outer product of
what arrives at a phase shifter and what reaches the detectors from there, so that σ(w) is exact at
first order; it takes some N⁴ operations for N ports (crosstalk many times as many). A real W is
carried out by rotations: of what θ does one half, and of what φ and γ do nothing, is in the
quadrature that is read, and with a phase noise s on average

    ‖σ‖² = s²/4 [(outputs + inputs − 2) ‖W‖² + Σ_k (g² − s_k²)],    s_k: singular values,

a quarter of what it is for the fields. Errors of couplers, too, are in the other quadrature: those
of weights are of second order in them. σ(w) depends on one weight through norms of rows and columns
only, dσ/dw ≈ s² w / 2σ, which is taken as 0. Errors of weights correlate, since every phase moves
many of them; heaters that warm each other add to that. How they warm each other is known and made
up for when phases are asked for; their errors are not.

Sources: Miller, Photonics Research 1, 1 (2013); Shen et al., Nature Photonics 11, 441 (2017).
"""

import math
from dataclasses import replace
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from zerohm._arrays import Array
from zerohm._config import STRICT
from zerohm._errors import InputError, checked
from zerohm._memory import require_memory

from ..crossbar import ADC, Ledger
from ..crossbar.readout import repeated
from ..devices.photonic.energy import PhotonicEnergy
from ..devices.photonic.laser import Laser
from ..devices.photonic.modulator import Modulator
from ..devices.photonic.optical_readout import HomodyneReadout
from ..devices.photonic.phase_shifter import PhaseShifter
from ..devices.photonic.photodetector import Photodetector
from ..devices.photonic.waveguide import amplitude_factor
from ..photonics import Imperfections, Mesh, Phases, decompose
from ..photonics.correction import correct
from ..photonics.decomposition import in_one_turn
from ..photonics.kernels import Complex
from .phase_noise import light_paths, weight_variance
from .photonic_circuit import Circuit, Shifters, fabricated, for_heaters, transmission
from .protocol import WriteNoise, check_batch, check_matrix, check_shape

_READ_BACK_RANGE = 1.25
"""Full scale of reading back, in units of the largest weight that was programmed."""
_SETTLED = 1e-3
"""rad, of the thermal transient that is left when programming ends."""


class Settings(NamedTuple):
    """What is asked of the phase shifters of a circuit, and the digital gain that goes with it."""

    gain: float
    phases: tuple[Phases, Phases, Phases]
    """In the order of :class:`Circuit`."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PhotonicHardware:
    """Meshes, light and detectors behind the hardware protocol.

    Parameters
    ----------
    imperfections : of fabrication and phase drivers; ``phase_std`` is the write noise. Default:
        0.01 rad of it and nothing else, this project's assumption.
    layout : of both meshes; the universal ones.
    corrected : phases are computed with the splitter errors of the chip, which were measured.
    laser : one per layer, its power shared by all inputs. Local oscillators come on top.
    modulator : of every input; its ``bits`` are those of the DAC.
    readout : of every output. The bandwidth of its detector is that of all noise.
    adc : behind every detector; ``None`` for an exact one.
    shifter : power, settling and drift of every phase shifter. Its driver's codes and its errors
        of programming are those of ``imperfections``.
    energy : of conversions, and the symbol rate.
    weight_range : largest |weight| times √inputs.
    output_range : full scale of the ADC, in units of the amplitude that arrives at one output
        when one input at full scale is sent there as it is.
    headroom : largest transmission of an attenuator, 0 to 1.
    read_back_symbols : duration of one measurement of reading back, in symbols, by which the
        bandwidth of its noise falls.
    calibrations : measurements of each phase per programming event, averaged.
    chip, place : which chip, and where on it: the seed of what fabrication leaves to chance.
        Programming again finds the same devices.
    precision : floating-point type of the light.

    Raises
    ------
    ValueError : a value outside its range, or a shifter with codes or errors of its own.
    """

    imperfections: Imperfections = Imperfections(phase_std=0.01)
    layout: Literal["clements", "reck", "diamond"] = "clements"
    corrected: bool = False
    laser: Laser = Laser()
    modulator: Modulator = Modulator(bits=8)
    readout: HomodyneReadout = HomodyneReadout(detector=Photodetector(bandwidth=1e9))
    adc: ADC | None = ADC(bits=8)
    shifter: PhaseShifter = PhaseShifter()
    energy: PhotonicEnergy = PhotonicEnergy()
    weight_range: Annotated[float, Field(gt=0)] = 6.0
    output_range: Annotated[float, Field(gt=0)] = 2.0
    headroom: Annotated[float, Field(gt=0, le=1)] = 0.9
    read_back_symbols: Annotated[int, Field(ge=1)] = 16
    calibrations: Annotated[float, Field(ge=1)] = 1.0
    chip: Annotated[int, Field(ge=0)] = 0
    place: Annotated[int, Field(ge=0)] = 0
    precision: Literal["float32", "float64"] = "float32"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.shifter.bits is not None or self.shifter.programming_noise:
            raise ValueError(
                "shifter has bits or programming_noise of its own: give them as phase_bits and "
                "phase_std of the imperfections"
            )
        if self.adc is not None and not (self.adc.ideal and self.adc.full_scale is None):
            raise ValueError(
                "layers take an ADC without errors of its own in this version, and its full scale "
                "is output_range"
            )
        return self

    @property
    def name(self) -> str:
        return "photonic"

    @property
    def citations(self) -> tuple[str, ...]:
        components = (self.shifter, self.modulator, self.energy)
        keys = ["Miller2013", "Clements2016", "Shen2017"]
        if self.corrected:
            keys.append("Bandyopadhyay2021")
        keys += [key for component in components for key in component.citations]
        return tuple(dict.fromkeys(keys))

    @property
    def cells_per_weight(self) -> int:
        """1: weights have no cells of their own, and every programming event writes all of them."""
        return 1

    def weight_limit(self, inputs: int) -> float:
        """Largest |weight| of a layer with this many inputs."""
        return self.weight_range / math.sqrt(inputs)

    def at(self, place: int) -> Self:
        """Other devices of the same chip."""
        return replace(self, place=place)

    def tightened(self, factor: float | Array) -> Self:
        """The same hardware with ``factor`` times the phase noise, by 1/factor² calibrations.

        Raises
        ------
        InputError : factors of single weights, which share all phases.
        """
        if not isinstance(factor, float | int):
            raise InputError("bands of single weights need cells of their own, which rram has")
        process = replace(self.imperfections, phase_std=factor * self.imperfections.phase_std)
        return replace(
            self, imperfections=process, calibrations=max(self.calibrations / factor**2, 1.0)
        )

    def prepared_near(self, weights: Array) -> Self:
        """Itself: programming takes no circuit to be solved."""
        return self

    def program(self, weights: Array, *, rng: Generator, copies: int = 1) -> "ProgrammedPhotonic":
        """Set the phase shifters for the weights (out, in).

        ``copies`` are as many programming events of the same chip.

        Raises
        ------
        InputError : weights that are NaN or beyond ``weight_limit``.
        """
        return ProgrammedPhotonic(self, weights, rng=rng, copies=copies)

    def circuit(self, outputs: int, inputs: int) -> Circuit:
        """The chips of a layer of this size; the same at every call."""
        process = replace(self.imperfections, phase_std=0.0)
        return fabricated(process, self.layout, self.chip, self.place, outputs, inputs)

    def settings(self, weights: Array) -> Settings:
        """Phases that are asked for, all in [0, 2π), and the gain, for weights (out, in).

        Raises
        ------
        InputError : weights that are NaN or beyond ``weight_limit``, or a splitter that cannot
            be corrected.
        """
        outputs, inputs = weights.shape
        limit = self.weight_limit(inputs)
        largest = float(np.abs(weights).max())
        if not largest <= limit * (1 + 1e-5):  # NaN compares false
            raise InputError(
                f"weights reach {largest:g}, but {inputs} inputs can store at most ±{limit:g}: "
                "clip or rescale them, or raise weight_range"
            )
        chips = self.circuit(outputs, inputs)
        left, values, right = np.linalg.svd(weights.astype(np.float64))
        gain = float(values[0]) / self.headroom or limit
        theta = 2.0 * np.arcsin(values / gain)
        # Upright: the amplitude behind an attenuator is real.
        upright = Phases(theta, -0.5 * (math.pi + theta), np.zeros(2 * theta.size))
        phases = [decompose(right, chips.before.layout), upright]
        phases.append(decompose(left, chips.behind.layout))
        if self.corrected:
            phases = [
                correct(
                    ideal,
                    chip.layout,
                    first_error=chip.first_error,
                    second_error=chip.second_error,
                ).phases
                for ideal, chip in zip(phases, chips, strict=True)
            ]
        before, passed, behind = phases
        # Only the upper line behind an attenuator is used, and its phase is one with φ.
        phi = in_one_turn(passed.phi + passed.gamma[::2])
        attenuators = Phases(passed.theta, phi, np.zeros(passed.gamma.size))
        before, behind = for_heaters(before, chips.before), for_heaters(behind, chips.behind)
        return Settings(gain, (before, attenuators, behind))

    def write_noise(self, weights: Array) -> WriteNoise:
        """Statistics of the write noise of these weights (out, in), exact to first order."""
        outputs, inputs = weights.shape
        require_memory(
            32.0 * (inputs**2 + outputs**2) * (inputs + outputs),
            f"the write noise of {outputs} × {inputs} weights",
            "take smaller layers",
        )
        chips, asked = self.circuit(outputs, inputs), self.settings(weights)
        meshes = [
            Mesh(chip.layout, *chip.program(*phases), chip)
            for chip, phases in zip(chips, asked.phases, strict=True)
        ]
        variance = np.zeros(weights.shape)
        for (away, to), chip in zip(light_paths(*meshes), chips, strict=True):
            variance += weight_variance(
                away, to, chip.crosstalk if chip.process.crosstalk else None
            )
        scale = self.imperfections.phase_std * asked.gain / transmission(chips)
        std: Array = (scale * np.sqrt(variance)).astype(np.result_type(weights, np.float32))
        return WriteNoise(std=std, std_slope=np.zeros((), std.dtype), density="gaussian")

    def read_back_std(self, weights: Array) -> Array:
        """Standard deviation of reading each weight back: detector, laser and ADC's rounding."""
        chips = self.circuit(*weights.shape)
        gain = self.settings(weights).gain
        readout, unit = self.read_back_readout, self.unit_field(chips)
        current = float(readout.expected(np.array(unit + 0j)))
        fields = weights.astype(np.float64) * (unit / gain)
        variance = readout.variance(fields + 0j) * (gain / current) ** 2
        variance += (0.5 * weights * self.laser.relative_std(readout.detector.bandwidth)) ** 2
        if self.adc is not None:
            variance += self.adc.step(gain * read_back_range(weights, gain)) ** 2 / 12.0
        std: Array = np.sqrt(variance).astype(np.result_type(weights, np.float32))
        return std

    @property
    def read_back_readout(self) -> HomodyneReadout:
        """The readout in the longer time of reading back."""
        detector = self.readout.detector
        slow = replace(detector, bandwidth=detector.bandwidth / self.read_back_symbols)
        return replace(self.readout, detector=slow)

    def unit_field(self, chips: Circuit) -> float:
        """√W at an output to which one input at full scale is sent as it is."""
        share = self.laser.power / chips.before.layout.ports
        loss = amplitude_factor(self.modulator.insertion_loss_dB)
        return math.sqrt(share) * loss * transmission(chips)


class ProgrammedPhotonic:
    """Meshes that hold one layer; see :class:`zerohm.mapping.Programmed`."""

    def __init__(
        self, hardware: PhotonicHardware, weights: Array, *, rng: Generator, copies: int
    ) -> None:
        check_matrix(weights)
        if copies < 1:
            raise InputError(f"copies={copies!r} must be at least 1")
        self.ledger = Ledger()
        self._hardware = hardware
        self._copies = copies
        self._dtype = np.dtype(hardware.precision).type
        self._weights = weights.astype(np.float64)
        self._chips = hardware.circuit(*weights.shape)
        self._gain, phases = hardware.settings(self._weights)
        law = replace(hardware.shifter, programming_noise=hardware.imperfections.phase_std)
        self._shifters = [
            Shifters(chip, law, asked, copies, rng)
            for chip, asked in zip(self._chips, phases, strict=True)
        ]
        self._finish(sum(shifters.count for shifters in self._shifters))

    def apply(self, x: Array, *, rng: Generator, reads: int | None = None) -> Array:
        """W·x for a batch through DAC, modulators, meshes, detectors and ADC.

        Raises
        ------
        InputError : inputs of another shape or NaN, or light beyond what the detectors take.
        """
        x = np.asarray(x, dtype=self._dtype)
        check_batch(x, self._weights.shape[1], self._copies)
        hardware = self._hardware
        times = reads or 1
        vectors = self._copies * x.shape[-2] * times
        self.ledger.vectors += vectors
        self.ledger.dac_saturations += int(np.count_nonzero(np.abs(x) > 1)) * times
        values = np.clip(x, -1.0, 1.0)
        spent = self._spent(values, vectors)
        self.ledger.energy_J["array"] += spent["laser"] + spent["heaters"]
        self.ledger.energy_J["dac"] += spent["dac"] + spent["modulators"]
        self.ledger.energy_J["adc"] += spent["receivers"] + spent["adc"]
        self.ledger.time_s += times * x.shape[-2] / hardware.energy.symbol_rate
        return self._measure(values, hardware.readout, hardware.output_range, rng, reads)

    def read_back(self, *, rng: Generator) -> Array:
        """Weights as the converter reports them: one input after the other, at full scale."""
        hardware, (outputs, inputs) = self._hardware, self._weights.shape
        unit_vectors = np.eye(inputs, dtype=self._dtype)
        symbols = hardware.read_back_symbols
        spent = self._spent(unit_vectors, self._copies * inputs, symbols)
        self.ledger.energy_J["read_back"] += sum(spent.values())
        self.ledger.cells_read_back += self._copies * outputs * inputs
        self.ledger.time_s += inputs * symbols / hardware.energy.symbol_rate
        full_scale = read_back_range(self._weights, self._gain)
        columns = self._measure(unit_vectors, hardware.read_back_readout, full_scale, rng)
        return np.swapaxes(columns, -1, -2)

    def rewrite(self, weights: Array, where: NDArray[np.bool_], *, rng: Generator) -> None:
        """Set the phases for a matrix with the selected weights new.

        Every phase has a part in every weight, so all weights change a little: phase shifters
        that get another code have new errors, the others keep theirs.

        Raises
        ------
        InputError : shapes other than the layer's, or weights beyond the limit.
        """
        check_shape("weights", weights, self._weights.shape)
        check_shape("where", where, self._weights.shape)
        target = np.where(where, weights, self._weights)
        settings = self._hardware.settings(target)
        if not where.any():
            return
        self._weights, self._gain = target, settings.gain
        changed = [
            shifters.rewrite(asked, rng)
            for shifters, asked in zip(self._shifters, settings.phases, strict=True)
        ]
        self._finish(sum(changed))

    def advance(self, seconds: float, *, rng: Generator) -> None:
        """Let the phases drift."""
        for shifters in self._shifters:
            shifters.advance(seconds, rng)
        self._meshes = [shifters.mesh() for shifters in self._shifters]

    @property
    def truth(self) -> Array:
        """The weights that noiseless detectors and exact converters would show."""
        before, _, behind = self._meshes
        rank = self._transmitted.shape[-1]
        into = self._transmitted[..., :, None] * before.matrix()[..., :rank, :]
        fields = behind.matrix()[..., :, :rank] @ into
        weights: Array = fields.real * (self._gain / transmission(self._chips))
        return weights.astype(self._dtype)

    @property
    def _transmitted(self) -> Complex:
        """(…, rank) amplitudes behind the attenuators."""
        found: Complex = self._meshes[1].matrices()[..., 0, 0]
        return found[0] if self._copies == 1 else found

    def _measure(
        self,
        values: Array,
        readout: HomodyneReadout,
        full_scale: float,
        rng: Generator,
        reads: int | None = None,
    ) -> Array:
        """Numbers that come back for numbers that go in; full scale in the unit of apply's."""
        hardware, (outputs, inputs) = self._hardware, self._weights.shape
        before, _, behind = self._meshes
        light = before.propagate(hardware.modulator.encode(values, hardware.laser.power / inputs))
        rank = self._transmitted.shape[-1]
        passed = np.zeros((*light.shape[:-1], outputs), light.dtype)
        passed[..., :rank] = light[..., :rank] * self._transmitted[..., None, :]
        fields = repeated(behind.propagate(passed), reads)
        # The circuit is linear: a fluctuation of the laser may as well come at its end.
        powers = hardware.laser.powers(
            (*fields.shape[:-1], 1), rng, bandwidth=readout.detector.bandwidth, dtype=self._dtype
        )
        fields *= np.sqrt(powers / self._dtype(hardware.laser.power))
        current = readout.read(fields, rng)
        unit = float(readout.expected(np.array(hardware.unit_field(self._chips) + 0j)))
        if hardware.adc is not None:
            current, saturated = hardware.adc.convert(current, full_scale * unit)
            self.ledger.adc_saturations += saturated
        return current * self._dtype(self._gain / unit)

    def _spent(self, values: Array, vectors: int, symbols: int = 1) -> dict[str, float]:
        """J by part for numbers sent in some vectors, each of them for some symbols."""
        hardware, (outputs, inputs) = self._hardware, self._weights.shape
        bits, adc = hardware.modulator.bits, hardware.adc
        self.ledger.dac_conversions += vectors * inputs * (bits is not None)
        self.ledger.adc_conversions += vectors * outputs * (adc is not None)
        sent = float(hardware.modulator.symbol_energy(values).sum())
        spent = hardware.energy.inference(
            vectors=vectors,
            laser_power=self._laser_power * symbols,
            heater_power=self._heater_power * symbols,
            inputs=inputs,
            outputs=outputs,
            dac_bits=bits or 0,
            adc_bits=0 if adc is None else adc.bits,
            modulation_energy=sent * vectors * inputs / max(values.size, 1),
        )
        return spent if adc is not None else spent | {"adc": 0.0}

    def _finish(self, changed: int) -> None:
        """Count a programming event that gave new codes to some shifters of every copy."""
        hardware, copies = self._hardware, self._copies
        self._meshes = [shifters.mesh() for shifters in self._shifters]
        self._heater_power = sum(
            float(hardware.shifter.power(np.concatenate(shifters.asked)).sum())
            for shifters in self._shifters
        )
        seconds = hardware.shifter.settling_time(tolerance=_SETTLED)
        spent = hardware.energy.update(
            heaters=copies * changed,
            laser_power=copies * self._laser_power,
            heater_power=copies * self._heater_power,
            bits=hardware.imperfections.phase_bits or 0,
            settling_time=seconds,
        )
        again = hardware.calibrations - 1.0
        self.ledger.cell_writes += copies * self._weights.size
        self.ledger.pulses += copies * changed * hardware.calibrations
        self.ledger.verify_reads += copies * changed * again
        self.ledger.energy_J["write"] += sum(spent.values())
        self.ledger.energy_J["verify"] += sum(spent.values()) * again
        self.ledger.time_s += seconds * hardware.calibrations

    @property
    def _laser_power(self) -> float:
        """W from the wall, local oscillators included."""
        laser, readout = self._hardware.laser, self._hardware.readout
        light = laser.power + self._weights.shape[0] * readout.local_oscillator_power
        return float(light / laser.efficiency)


def read_back_range(weights: Array, gain: float) -> float:
    """Full scale of reading back, in units of the gain."""
    return _READ_BACK_RANGE * (float(np.abs(weights).max()) / gain or 1.0)


def photonic(**options: Any) -> PhotonicHardware:
    """Photonic meshes; ``options`` are the fields of :class:`PhotonicHardware`.

    Raises
    ------
    InputError : an unknown option or a value outside its range.

    Examples
    --------
    >>> from zerohm.photonics import Imperfections
    >>> hardware = photonic(imperfections=Imperfections(splitter_std=0.01, phase_bits=8))
    >>> state = hardware.program(np.zeros((3, 5)), rng=np.random.default_rng(0))
    >>> state.apply(np.ones((2, 5)), rng=np.random.default_rng(1)).shape
    (2, 3)
    """
    return checked(PhotonicHardware, "photonic", **options)
