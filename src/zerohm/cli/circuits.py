"""Commands about circuits."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerohm._errors import InputError
from zerohm._files import whole

from .application import app


@app.command
def solve(
    *,
    conductance: Path,
    voltages: Path,
    wire_resistance: float = 0.0,
    source_resistance: float = 0.0,
    sink_resistance: float = 0.0,
    out: Path = Path("currents.npy"),
    spice: Path | None = None,
) -> None:
    """Solve the circuit of a crossbar with wire resistance, exactly.

    Parameters
    ----------
    conductance
        Array file (.npy) of cell conductances (rows, cols) in S; rows are word lines.
    voltages
        Array file (.npy) of word-line voltages (rows,) or (batch, rows) in V.
    wire_resistance
        Ω per segment between neighbouring cells, of word lines and bit lines.
    source_resistance
        Ω between driver and word line.
    sink_resistance
        Ω between bit line and sense amplifier.
    out
        Array file (.npy) for the currents (cols,) or (batch, cols) in A.
    spice
        Also write the circuit for the first vector as a netlist that ngspice runs.
    """
    from zerohm.crossbar import Network
    from zerohm.sweeps import check_writable

    for path in (out, spice):
        if path is not None:
            check_writable(path)
    applied = _read_array(voltages)
    network = Network(
        _read_array(conductance),
        wire_resistance=wire_resistance,
        source_resistance=source_resistance,
        sink_resistance=sink_resistance,
    )
    solution = network.solve(applied)
    with whole(out) as temporary, temporary.open("wb") as file:
        np.save(file, solution.currents)
    if spice is not None:
        with whole(spice) as temporary:
            temporary.write_text(network.to_spice(np.atleast_2d(applied)[0]), encoding="utf-8")
    rows, cols = network.shape
    print(
        f"{rows} × {cols} cells by {solution.solver}, relative residual {solution.residual:.1e}\n"
        f"currents: {out}" + (f"\nnetlist: {spice}" if spice is not None else "")
    )


def _read_array(path: Path) -> NDArray[np.floating[Any]]:
    """A numeric .npy file; mapped, so that no more is asked for than the file holds."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of files that Python 2 wrote
            values = np.lib.format.open_memmap(path, mode="r")
    except Exception as error:  # the parser of headers raises errors of many kinds
        raise InputError(f"cannot read {path} as an array file (.npy): {error}") from None
    if values.dtype.kind not in "fiu":
        raise InputError(f"{path} must hold real numbers, not {values.dtype}")
    return np.array(values, dtype=np.float64)
