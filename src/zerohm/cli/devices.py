"""Commands about devices: published models, and models fitted to measurements."""

import json
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

import zerohm
from zerohm._errors import InputError, choose

from .application import app


@app.command
def presets(
    *,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
    schema: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """List the published device models.

    Parameters
    ----------
    as_json
        Machine-readable output.
    schema
        Print the JSON Schema of device cards instead.
    """
    if schema and as_json:
        raise InputError("--schema and --json exclude each other: give one")
    if schema:
        print(json.dumps(zerohm.devices.card_schema(), indent=2, ensure_ascii=False))
        return
    cells = [zerohm.devices.preset(name) for name in zerohm.devices.presets()]
    if as_json:
        rows = [
            {
                "name": cell.name,
                "description": cell.description,
                "conductance_min_S": cell.conductance_min,
                "conductance_max_S": cell.conductance_max,
                "citations": list(cell.citations),
            }
            for cell in cells
        ]
        print(json.dumps(rows, indent=2))
        return
    print(f"{'preset':20}{'window (µS)':>14}  description")
    for cell in cells:
        window = f"{cell.conductance_min * 1e6:g} to {cell.conductance_max * 1e6:g}"
        print(f"{cell.name:20}{window:>14}  {cell.description}")


@app.command
def calibrate(
    file: Path,
    /,
    *,
    kind: str,
    out: Path = Path("card.json"),
    figure: Path | None = None,
    columns: str = "",
    sampling_rate: float | None = None,
    drop_missing: Annotated[bool, Parameter(negative=())] = False,
    device: str | None = None,
    name: str | None = None,
) -> None:
    """Fit a device model to measured data and write it as a device card.

    Parameters
    ----------
    file
        Table (CSV or TSV, .gz too) in SI units. Columns: relaxation cell, time_s, conductance_S;
        read-noise time_s, conductance_S, optionally cell; programming target_S, conductance_S,
        optionally cell; pulses pulse, direction (up or down), conductance_S, optionally cell;
        iv voltage_V, current_A, optionally cell and conductance_S; phase-shifter output_power_W,
        heater_power_W or heater_voltage_V, optionally shifter, heater and bias_power_W.
    kind
        relaxation, read-noise, programming, pulses, iv or phase-shifter.
    out
        Device card (.json); of phase shifters their own file.
    figure
        Also draw data, fit and residuals (.pdf, .png or .svg).
    columns
        Other names of columns, for example conductance_S=G,time_s=t; the columns of a file without
        a header are called 1, 2, ...
    sampling_rate
        Hz, for read noise without a column time_s.
    drop_missing
        Leave out rows with missing values; the card keeps their number.
    device
        Preset name or device card (.json) of the cell that was measured: the fitted part is put
        into it and the rest kept, so that several measurements make one card.
    name
        Of the device, where none is given; by default that of the file.
    """
    from zerohm.devices.calibrate import KINDS, EstimationError
    from zerohm.sweeps import check_writable, save_figure

    choose("kind of measurement", kind, KINDS)
    if out.suffix != ".json":
        raise InputError(f"--out {out}: commands know a device card by its name, give NAME.json")
    for path in (out, figure):
        if path is not None:
            check_writable(path)
    options: dict[str, Any] = {"columns": _parse_columns(columns), "drop_missing": drop_missing}
    if kind == "read-noise":
        options["sampling_rate"] = sampling_rate
    elif sampling_rate is not None:
        raise InputError(f"--sampling-rate has no meaning for {kind}: its rows say when they were")
    if device is not None and kind == "phase-shifter":
        raise InputError("--device has no meaning for phase-shifter: it is no part of a cell")
    if device is not None:
        options["cell"] = zerohm.devices.find(device)
    try:
        fit = KINDS[kind](file, name=name or file.name.split(".")[0], **options)
    except EstimationError as error:
        raise InputError(f"{kind} cannot be fitted to {file}: {error}") from None
    drawn = [] if figure is None else save_figure(fit.plot(), figure)
    fit.save(out)
    used = f"{fit.provenance.rows} rows of {file}"
    if fit.provenance.rows_dropped:
        used += f", {fit.provenance.rows_dropped} with missing values left out"
    print(f"{kind} from {used}")
    print("\n".join([*fit.estimates_in_words(), *fit.remarks()]))
    print(f"card: {out}")
    if drawn:
        picture, *data = drawn
        print(f"figure: {picture}\ndata: {', '.join(map(str, data))}")


def _parse_columns(text: str) -> dict[str, str]:
    """Standard name -> name in the file, from a=b,c=d."""
    columns: dict[str, str] = {}
    for pair in filter(None, text.split(",")):
        standard, separator, name = pair.partition("=")
        if not (standard and separator and name):
            raise InputError(f"--columns {pair!r}: names are given as conductance_S=NAME,...")
        if standard in columns:
            raise InputError(f"--columns {pair!r}: {standard} is given twice")
        columns[standard.strip()] = name.strip()
    return columns
