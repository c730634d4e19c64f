"""Engine on a cluster: points as tasks of ``dask.distributed``, on whatever workers it has."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any
from uuid import uuid4

from zerohm._errors import InputError

from .evaluation import Engine, Outcome, Task, evaluate_packed, pack, said
from .plan import Experiment
from .progress import LOG

_IN_FLIGHT = 200  # points that the scheduler has at a time
_PATIENCE = 10.0  # s to reach the scheduler
_KILLED = "KilledWorker"  # dask's error for a task whose workers died


@contextmanager
def cluster_engine(experiment: Experiment, client: Any) -> Iterator[Engine]:
    """The engine of a client, or of the address of a scheduler.

    A worker that dies is dask's to replace; a point that takes several with it has failed. When
    the scheduler is lost, ConnectionError is raised.

    Raises
    ------
    InputError : no scheduler answers at this address within ten seconds, ``client`` is no
        client, or the package ``distributed`` is missing.
    """
    with _connected(client) as connected:
        if not connected.scheduler_info(n_workers=0).get("total_threads", 1):
            LOG.warning("the scheduler at %s has no workers yet: points wait", _address(connected))
        packed = pack(experiment)
        yield lambda tasks: _on_cluster(connected, packed, tasks)


@contextmanager
def _connected(client: Any) -> Iterator[Any]:
    distributed = _distributed()
    if isinstance(client, distributed.Client):
        if client.asynchronous or client.status != "running":
            raise InputError(f"client must be a running, synchronous dask client, not {client!r}")
        yield client
        return
    if not isinstance(client, str):
        raise InputError(
            "client must be a dask.distributed.Client or a scheduler's address such as "
            f"'tcp://10.0.0.1:8786', not {client!r}"
        )
    try:
        distributed.comm.get_address_host_port(client)
    except ValueError as error:
        raise InputError(
            f"client {client!r} is no address of a scheduler such as 'tcp://10.0.0.1:8786': {error}"
        ) from None
    try:
        own = distributed.Client(client, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ImportError) as error:
        raise InputError(
            f"no dask scheduler answers at {client} within {_PATIENCE:g} s ({error}): is it "
            "running there (dask scheduler), and can this machine reach it?"
        ) from None
    try:
        yield own
    finally:
        with suppress(Exception):  # of a connection that is lost already
            own.close(timeout=2)


def _distributed() -> Any:
    try:
        return import_module("distributed")
    except ImportError:
        raise InputError(
            "client needs the package distributed: pip install 'zerohm[cluster]'"
        ) from None


def _on_cluster(client: Any, packed: bytes, tasks: deque[Task]) -> Iterator[tuple[int, Outcome]]:
    """Outcomes from a cluster.

    When a worker dies, dask blames every point that was on its way to it. Those that it gives up
    run again one by one; the one that it gives up there again has failed.
    """
    run = uuid4().hex[:12]  # a point that failed in another run is run again
    running: dict[str, tuple[Any, Task]] = {}  # key -> future, point
    suspects: deque[Task] = deque()
    accused: set[int] = set()
    completed = _distributed().as_completed(loop=client.loop)

    def send(task: Task) -> None:
        key = f"zerohm-{run}-{task[0]}{'-alone' if task[0] in accused else ''}"
        future = client.submit(evaluate_packed, packed, task[1], key=key)
        running[key] = future, task
        completed.add(future)

    try:
        while tasks or suspects or running:
            while tasks and not suspects and len(running) < _IN_FLIGHT:
                send(tasks.popleft())
            if suspects and not running:
                send(suspects.popleft())
            batch = [next(completed), *completed.next_batch(block=False)]
            for key, outcome in _gathered(client, batch):
                _, task = running.pop(key)
                if outcome.error.startswith(_KILLED) and task[0] not in accused:
                    accused.add(task[0])
                    suspects.append(task)
                else:
                    yield task[0], outcome
    finally:
        if running:
            with suppress(Exception):
                client.cancel([future for future, _ in running.values()], force=True)


def _gathered(client: Any, batch: list[Any]) -> Iterator[tuple[str, Outcome]]:
    """Outcomes of futures that have ended; ConnectionError if the scheduler is lost."""
    finished = [future for future in batch if future.status == "finished"]
    failed = [future for future in batch if future.status == "error"]
    if len(finished) + len(failed) < len(batch):
        raise _lost(client)
    try:
        outcomes = client.gather(finished)
    except (OSError, CancelledError) as error:
        raise _lost(client) from error
    for future, outcome in zip(finished, outcomes, strict=True):
        yield future.key, outcome
    for future in failed:
        reason = future.exception()
        if type(reason).__name__ != _KILLED:
            raise reason
        yield future.key, Outcome(None, said(reason), 0.0)


def _lost(client: Any) -> ConnectionError:
    return ConnectionError(f"the dask scheduler at {_address(client)} is lost")


def _address(client: Any) -> str:
    return str(client.scheduler.address if client.scheduler else client)
