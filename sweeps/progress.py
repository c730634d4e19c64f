"""How far a sweep is: a bar on a terminal, lines of a log elsewhere."""

import logging
import sys
import time
from types import TracebackType
from typing import Self

from tqdm import tqdm

LOG = logging.getLogger("zerohm.sweeps")

_FIRST = 10.0  # s until the first line
_BETWEEN = 30.0  # s between lines


class Progress:
    """Counts finished points; use it in a ``with`` block.

    On a terminal it shows tqdm's bar once the work takes over two seconds. Elsewhere it logs at
    level INFO how many points are done, the time since the start and an estimate of the time that
    remains: first after ten seconds, then at most twice a minute, and at the end.
    """

    def __init__(self, total: int, *, done: int, shown: bool) -> None:
        on_terminal = shown and sys.stderr.isatty()
        self._total, self._before, self._done = total, done, done
        self._logs = shown and not on_terminal
        self._begin = time.monotonic()
        self._next = self._begin + _FIRST
        self._bar = tqdm(total=total, initial=done, unit="point", delay=2, disable=not on_terminal)

    def advance(self) -> None:
        """Count one more point."""
        self._done += 1
        self._bar.update()
        now = time.monotonic()
        if self._logs and now >= self._next:
            self._next = now + _BETWEEN
            LOG.info("%s", self.line(now - self._begin))

    def line(self, elapsed: float) -> str:
        """How far the sweep is after so many seconds.

        Examples
        --------
        >>> progress = Progress(100, done=10, shown=False)
        >>> progress.advance()
        >>> progress.line(2.0)
        '11 of 100 points, 0:00:02 elapsed, 0:02:58 remaining'
        """
        fresh = self._done - self._before
        remaining = (self._total - self._done) * elapsed / fresh if fresh else 0.0
        return (
            f"{self._done} of {self._total} points, {_clock(elapsed)} elapsed, "
            f"{_clock(remaining)} remaining"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.close()
        if self._logs and self._done > self._before:
            LOG.info("%s", self.line(time.monotonic() - self._begin))


def _clock(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
