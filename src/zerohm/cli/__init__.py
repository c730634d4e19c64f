"""The command line: every command says what it did and where the result lies.

Exit codes: 0 success, 2 unusable input (one message on stderr), 1 a run that failed, 130 stopped
from the keyboard.
"""

import logging
import sys
import warnings

from cyclopts import CycloptsError

from zerohm._errors import InputError

from . import circuits as circuits
from . import devices as devices
from . import results as results
from . import runs as runs
from .application import app as app


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the command ``zerohm``; returns the exit code."""
    from zerohm.crossbar import SolverError
    from zerohm.sweeps import SweepWarning
    from zerohm.training import TrainingDiverged
    from zerohm.training.quantized import AccumulatorOverflow

    logging.basicConfig(format="zerohm: %(message)s")
    logging.getLogger("zerohm").setLevel(logging.INFO)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", SweepWarning)
            app(arguments, exit_on_error=False, print_error=False)
    except (InputError, CycloptsError) as error:
        return _fail(str(error), 2)
    except (ConnectionError, TrainingDiverged, SolverError, AccumulatorOverflow) as error:
        return _fail(str(error), 1)
    except KeyboardInterrupt as stopped:
        return _fail(str(stopped) or "stopped", 130)
    for warning in caught:
        _fail(str(warning.message), 1)
    return 1 if any(issubclass(w.category, SweepWarning) for w in caught) else 0


def _fail(message: str, code: int) -> int:
    print(f"zerohm: {message}", file=sys.stderr)
    return code
