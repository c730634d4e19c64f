"""The points of a sweep on disk: one SQLite file that no kill can leave half written.

Every finished point is a transaction of its own: its key, everything that its answer depends on,
and its encoded result or error message. SQLite's write-ahead log needs no wait for the disk per
point: what was written survives the end of the process, and a failure of power at most costs
the last points. Only one process writes at a time (see :mod:`.store`).
"""

import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from zerohm._errors import InputError

from .evaluation import Outcome

FORMAT = 2
"""Version of the file's layout; version 1 was a folder of NetCDF files."""

_APPLICATION = 0x7A6F686D  # "zohm": SQLite's own place for whose file this is
_TABLES = (
    "CREATE TABLE points (key TEXT PRIMARY KEY, identity TEXT NOT NULL, result BLOB, "
    "error TEXT NOT NULL, seconds REAL NOT NULL)",
    "CREATE TABLE sweep (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {FORMAT}",
)


class Row(NamedTuple):
    """A point as it is kept; ``result`` is None for one that failed."""

    key: str
    identity: str
    result: bytes | None
    error: str
    seconds: float


class Points:
    """An open file of points, from :meth:`write_to` or :meth:`read_from` in a ``with`` block."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    @classmethod
    @contextmanager
    def write_to(cls, path: Path) -> Iterator["Points"]:
        """Open a file for writing, new if there is none.

        Raises
        ------
        InputError : it is not ours, has another version, or cannot be written (no space, no
            permission); also at any later write.
        """
        _check_kind(path)
        with _told(path):
            connection = sqlite3.connect(path, isolation_level=None)
            try:
                points = cls(path, connection)
                points._prepare()
                yield points
            finally:
                with suppress(sqlite3.Error):  # one plain file again, unless somebody reads it
                    connection.execute("PRAGMA journal_mode = DELETE")
                connection.close()

    @classmethod
    @contextmanager
    def read_from(cls, path: Path) -> Iterator["Points"]:
        """Open a file for reading, also while another process writes to it.

        Raises
        ------
        InputError : it is not ours, has another version or cannot be read.
        """
        _check_kind(path)
        with _told(path):
            connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
            try:
                points = cls(path, connection)
                points._check_version()
                yield points
            finally:
                connection.close()

    def put(self, key: str, identity: str, outcome: Outcome) -> None:
        """Keep a point for good; it is on its way to the disk when this returns."""
        with _told(self.path):
            self._connection.execute(
                "INSERT OR REPLACE INTO points VALUES (?, ?, ?, ?, ?)", (key, identity, *outcome)
            )

    def put_all(self, rows: Collection[Row]) -> None:
        """Keep many points, all or none."""
        with _told(self.path), self._transaction():
            self._connection.executemany("INSERT INTO points VALUES (?, ?, ?, ?, ?)", rows)

    def rows(self) -> Iterator[Row]:
        """Every point."""
        with _told(self.path):
            for row in self._connection.execute("SELECT * FROM points"):
                yield Row(*row)

    def finished(self, keys: Collection[str]) -> dict[str, bytes]:
        """Results of those of these points that have one."""
        wanted = set(keys)
        return {row.key: row.result for row in self.rows() if row.result and row.key in wanted}

    def errors(self, keys: Collection[str]) -> dict[str, str]:
        """Messages of those of these points that failed."""
        wanted = set(keys)
        with _told(self.path):
            failed = self._connection.execute("SELECT key, error FROM points WHERE error != ''")
            return {key: error for key, error in failed if key in wanted}

    def begin(self, attributes: Mapping[str, Any]) -> None:
        """Note the sweep that the next points belong to, until :meth:`end`."""
        with _told(self.path), self._transaction():
            for name, value in (("attributes", dict(attributes)), ("finished", False)):
                self._note(name, value)

    def end(self) -> None:
        """Note that the sweep's labelled whole is in place."""
        with _told(self.path):
            self._note("finished", True)

    def attributes(self) -> dict[str, Any]:
        """Attributes of the last sweep that began; empty if none did."""
        noted = self._noted("attributes")
        return noted if isinstance(noted, dict) else {}

    def unfinished(self) -> bool:
        """Whether a sweep began whose whole is not in place."""
        return self._noted("finished") is False

    def _note(self, name: str, value: Any) -> None:
        text = json.dumps(value)
        self._connection.execute("INSERT OR REPLACE INTO sweep VALUES (?, ?)", (name, text))

    def _noted(self, name: str) -> Any:
        with _told(self.path):
            found = self._connection.execute("SELECT value FROM sweep WHERE name = ?", (name,))
            row = found.fetchone()
        try:
            return None if row is None else json.loads(row[0])
        except (ValueError, TypeError, RecursionError) as error:
            raise InputError(f"{self.path} is damaged: {error}") from None

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def _prepare(self) -> None:
        """Refuse a foreign file; make the tables of a new one, all or none."""
        new = not self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if not new:
            self._check_version()
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        if new:
            with self._transaction():
                for statement in _TABLES:
                    self._connection.execute(statement)

    def _check_version(self) -> None:
        ours, version = (
            self._connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("application_id", "user_version")
        )
        if ours != _APPLICATION:
            raise InputError(f"{self.path} is not a file of points by zerohm: choose another store")
        if version != FORMAT:
            raise InputError(
                f"{self.path} has format {version}, this zerohm reads {FORMAT}: use the zerohm "
                "that wrote it, or choose another store"
            )


def _check_kind(path: Path) -> None:
    if path.is_dir():
        raise InputError(
            f"{path} is a folder: zerohm 0.1.0 kept points so, this version cannot go on with "
            "them; choose another store, or remove that folder and run its points again"
        )


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """SQLite's errors as ours: operational ones tell of the disk, others of a foreign file."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise InputError(
            f"cannot use {path}: {error}; the points kept in it are safe, and the same call goes "
            "on once this is mended"
        ) from error
    except sqlite3.DatabaseError as error:
        raise InputError(
            f"{path} is not a file of points by zerohm, or is damaged ({error}): choose another "
            "store"
        ) from error
