"""Writing a file whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from zerohm._errors import InputError


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path``, renamed to it when the block ends without an error.

    Raises
    ------
    InputError : the file cannot be written, or ``path`` is a folder or a device; whatever lay
        there is still there.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise InputError(f"cannot write {path}: there is something that is not an ordinary file")
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
