"""Calibrated phase shifters as a JSON file, and back."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from scipy.sparse import coo_array

from zerohm._errors import InputError, checked
from zerohm._files import whole

from .phase_shifter import PhaseShifter
from .thermal_crosstalk import PhaseShifterArray

_FORMAT = "zerohm phase shifters"
_VERSION = 1
_DESIGN = TypeAdapter(PhaseShifter)


def save_shifters(
    shifters: PhaseShifterArray,
    path: str | os.PathLike[str],
    *,
    calibration: Mapping[str, Any] | None = None,
) -> None:
    """Write phase shifters to a file, which is whole or absent.

    Parameters
    ----------
    calibration : where the numbers come from, as JSON.

    Raises
    ------
    InputError : the file cannot be written.
    """
    coordinates = shifters.crosstalk.tocoo()
    card = {
        "format": _FORMAT,
        "version": _VERSION,
        "design": _DESIGN.dump_python(shifters.design, mode="json"),
        "half_wave_power_W": shifters.half_wave_power.tolist(),
        "offset_rad": shifters.offset.tolist(),
        "crosstalk": {
            "shifter": coordinates.row.tolist(),
            "heater": coordinates.col.tolist(),
            "coefficient": coordinates.data.tolist(),
        },
    }
    if calibration is not None:
        card["calibration"] = dict(calibration)
    text = json.dumps(card, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    with whole(Path(path)) as temporary:
        temporary.write_text(text, encoding="utf-8")


def load_shifters(path: str | os.PathLike[str]) -> PhaseShifterArray:
    """Read phase shifters that :func:`save_shifters` wrote.

    Raises
    ------
    InputError : the file cannot be read, is another file, or holds values out of range.

    Examples
    --------
    >>> import tempfile
    >>> chip = PhaseShifterArray(design=PhaseShifter(), crosstalk=[[1.0, 0.02], [0.01, 1.0]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_shifters(chip, folder + "/chip.json")
    ...     load_shifters(folder + "/chip.json").crosstalk.toarray()
    array([[1.  , 0.02],
           [0.01, 1.  ]])
    """
    try:
        card = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"cannot read phase shifters from {path}: {error}") from None
    if (
        not isinstance(card, dict)
        or card.get("format") != _FORMAT
        or card.get("version") != _VERSION
    ):
        raise InputError(f"{path} does not hold {_FORMAT!r} of version {_VERSION}")
    design = checked(lambda: _DESIGN.validate_python(card.get("design")), f"{path}")
    try:
        entries, size = card["crosstalk"], len(card["offset_rad"])
        places = (entries["shifter"], entries["heater"])
        crosstalk = coo_array((entries["coefficient"], places), shape=(size, size))
        return PhaseShifterArray(
            design=design,
            crosstalk=crosstalk,
            half_wave_power=card["half_wave_power_W"],
            offset=card["offset_rad"],
        )
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise InputError(f"{path} does not hold phase shifters: {error}") from None
