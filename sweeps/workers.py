"""Engines on this machine: the process itself, or several worker processes."""

import os
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from typing import Any

import loky

from .evaluation import (
    ONE_THREAD,
    Engine,
    Outcome,
    Task,
    evaluate,
    evaluate_packed,
    one_thread,
    pack,
)
from .plan import Experiment

DIED = "WorkerDied: worker died (killed by the operating system? out of memory?)"
"""Error message of a point that ends its worker process."""

_DEATHS = 2  # after which a point is given up: once among others, once alone
_AHEAD = 2  # points per worker that are sent, so that no worker waits
_IDLE = 60.0  # s that an idle worker waits for the next sweep


def local_engine(experiment: Experiment, workers: int) -> Engine:
    """This very process for one worker, worker processes for more."""
    if workers == 1:
        return lambda tasks: _in_process(experiment, tasks)
    packed = pack(experiment)
    return lambda tasks: _in_processes(packed, tasks, workers)


def _in_process(experiment: Experiment, tasks: deque[Task]) -> Iterator[tuple[int, Outcome]]:
    with one_thread():
        while tasks:
            index, parameters = tasks.popleft()
            yield index, evaluate(experiment, parameters)


def _in_processes(packed: bytes, tasks: deque[Task], workers: int) -> Iterator[tuple[int, Outcome]]:
    """Outcomes from worker processes, whichever of them die.

    A dead worker breaks the whole pool, and none of the points that were sent is known to be the
    reason. They run again one by one in a new pool; the one that dies there again is given up.
    """
    running: dict[Future[Outcome], Task] = {}
    suspects: deque[Task] = deque()
    deaths: Counter[int] = Counter()
    pool = _pool(workers)
    try:
        while tasks or suspects or running:
            broken = False
            try:
                while not suspects and tasks and len(running) < _AHEAD * workers:
                    _send(pool, packed, tasks, running)
                if suspects and not running:
                    _send(pool, packed, suspects, running)
                wait(running, return_when=FIRST_COMPLETED)
            except BrokenProcessPool:  # it broke before a point could be sent
                broken = True
            for future in [future for future in running if future.done()]:
                if isinstance(future.exception(), BrokenProcessPool):
                    broken = True
                    continue
                index, _ = running.pop(future)
                yield index, future.result()
            if broken:
                lost = list(running.values())
                running.clear()
                pool = _pool(workers, fresh=True)
                for index, parameters in lost:
                    deaths[index] += 1
                    if deaths[index] < _DEATHS:
                        suspects.append((index, parameters))
                    else:
                        yield index, Outcome(None, DIED, 0.0)
    finally:
        if running:  # stopped: points that nobody waits for any more end with their workers
            with suppress(Exception):
                pool.shutdown(kill_workers=True)


def _send(
    pool: Any, packed: bytes, tasks: deque[Task], running: dict[Future[Outcome], Task]
) -> None:
    task = tasks[0]
    running[pool.submit(evaluate_packed, packed, task[1])] = task
    tasks.popleft()


def _pool(workers: int, *, fresh: bool = False) -> Any:
    return loky.get_reusable_executor(
        max_workers=workers,
        timeout=_IDLE,
        kill_workers=fresh,
        reuse=False if fresh else "auto",
        initializer=_begin_worker,
        initargs=(os.getpid(),),
        env=ONE_THREAD,
    )


def _begin_worker(parent: int) -> None:
    """Leave Ctrl-C to the main process, and end with it even if it is killed."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)
