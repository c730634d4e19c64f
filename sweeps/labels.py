"""Names and units of swept parameters, for coordinates and for the axes of figures."""

import xarray as xr

WINDOW = "fraction of the conductance window"

PARAMETERS = {
    "write_noise": ("Write noise", WINDOW),
    "read_noise": ("Read noise", WINDOW),
    "readback_noise": ("Readback noise", WINDOW),
    "wire_resistance": ("Wire resistance per segment", "Ω"),
    "adc_bits": ("ADC resolution", "bit"),
    "dac_bits": ("DAC resolution", "bit"),
    "settling_time": ("Time after programming", "s"),
    "phase_bits": ("Phase resolution", "bit"),
    "phase_noise": ("Phase noise", "rad"),
    "splitter_std": ("Coupler error", "rad"),
    "loss_dB": ("Loss of an interferometer", "dB"),
    "crosstalk": ("Thermal crosstalk at 100 µm", "1"),
    "hardware.cell.conductance_min": ("Smallest conductance", "S"),
    "hardware.cell.conductance_max": ("Largest conductance", "S"),
    "hardware.cell.max_read_voltage": ("Largest read voltage", "V"),
    "passes": ("Forward passes", "batches"),
    "batch": ("Batch size", "images"),
    "severity": ("Severity of the corruption", "1"),
    "seed": ("Seed", "1"),
}
"""Long name and units of the parameters that experiments share."""


def attributes(name: str) -> dict[str, str]:
    """Attributes ``long_name`` and, where known, ``units`` of a swept parameter."""
    if name not in PARAMETERS:
        return {"long_name": name.replace("_", " ").replace(".", ": ").capitalize()}
    long_name, units = PARAMETERS[name]
    return {"long_name": long_name, "units": units}


def axis_label(coordinate: xr.DataArray) -> tuple[str, float]:
    """Text of an axis and the factor to its unit; a fraction is shown in percent.

    Examples
    --------
    >>> axis_label(xr.DataArray([0.1, 0.2], name="write_noise"))
    ('Write noise (% of the conductance window)', 100.0)
    """
    known = attributes(str(coordinate.name))
    long_name = str(coordinate.attrs.get("long_name", known["long_name"]))
    units = str(coordinate.attrs.get("units", "1"))
    if units == "1":
        units = known.get("units", "1")
    text = long_name[:1].upper() + long_name[1:]
    if units.startswith("fraction"):
        return f"{text} ({units.replace('fraction', '%', 1)})", 100.0
    return (text if units in ("", "1") else f"{text} ({units})"), 1.0
