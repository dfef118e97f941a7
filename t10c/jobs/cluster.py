"""Work on an existing Dask distributed scheduler.

The scheduler does work again that is lost with a worker. Every piece says which t10c it is of, and
a worker with another one refuses it, so that results cannot depend on who computed them.
"""

import contextlib
import importlib
import logging
import pickle
import queue
import time
import uuid
import warnings
from collections.abc import Generator, Iterator
from typing import Any

from t10c.errors import ClusterError, T10cError, UsageError
from t10c.jobs.identity import differences, identity
from t10c.jobs.place import Failure, R, T, Work

CONNECT_SECONDS = 20
"""How long a scheduler may take to answer, and a cluster to have its first worker."""

IDLE_SECONDS = 30
"""How long a cluster that has lost all its workers may take to have one again."""

RESULT_SECONDS = 120
"""How long a computed result may take to arrive, the time to compute it once more included."""

_POLL_SECONDS = 2


class WorkerMismatchError(Exception):
    """A worker's programs are not those of whoever submitted the work."""


def on_cluster(work: Work[T, R], address: str) -> Generator[tuple[int, R | Failure], None, None]:
    """Outcomes as they come; closing it early cancels what was submitted.

    ClusterError if the scheduler or its workers cannot be reached, or are of other versions;
    T10cError names an item over which workers have died again and again.
    """
    distributed = _distributed()
    with _silence(), _connected(distributed, address) as client:
        run = f"t10c-{uuid.uuid4().hex[:12]}"
        numbers = {
            client.submit(
                on_worker,
                identity(),
                pickle.dumps((work.function, item)),
                key=f"{run}-{index}",
                pure=False,
            ): index
            for index, item in enumerate(work.items)
        }
        for future in _completed(client, set(numbers), address):
            yield numbers[future], _outcome(distributed, future, work.names[numbers[future]])


def on_worker(expected: tuple[tuple[str, str], ...], payload: bytes) -> Any:
    """Do a piece of work, in a worker; WorkerMismatchError if it would be other programs' work."""
    found = differences(expected, identity())
    if found:
        raise WorkerMismatchError(
            ", ".join(f"{name} {there}, not {here}" for name, here, there in found)
        )
    function, item = pickle.loads(payload)
    return function(item)


def _distributed() -> Any:
    """dask.distributed; UsageError without it."""
    try:
        return importlib.import_module("distributed")
    except ImportError as error:
        raise UsageError(
            f"--cluster needs {error.name or 'distributed'}, which is not installed\n"
            "install it with: pip install 't10c[cluster]'"
        ) from error


@contextlib.contextmanager
def _connected(distributed: Any, address: str) -> Iterator[Any]:
    """A client of the scheduler that has a worker; what it submitted is cancelled at the end."""
    start_one = f"start one with: dask worker {address}"
    try:
        client = distributed.Client(
            address, timeout=CONNECT_SECONDS, set_as_default=False, name="t10c"
        )
    except (OSError, TimeoutError, ValueError) as error:
        raise ClusterError(
            f"no Dask scheduler answered at {address} within {CONNECT_SECONDS} s\n"
            "start one with: dask scheduler, and give the address that it prints"
        ) from error
    try:
        try:
            client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except TimeoutError as error:
            raise ClusterError(
                f"the cluster at {address} has no workers, after {CONNECT_SECONDS} s\n{start_one}"
            ) from error
        yield client
    finally:
        # the scheduler forgets what no client waits for
        with contextlib.suppress(Exception):
            client.close(timeout=CONNECT_SECONDS)


def _completed(client: Any, waiting: set[Any], address: str) -> Generator[Any, None, None]:
    """Futures as they complete, each taken out of `waiting`; ClusterError if none ever will."""
    done = queue.SimpleQueue[Any]()
    for future in waiting:
        future.add_done_callback(done.put)
    seen_worker = time.monotonic()
    while waiting:
        try:
            future = done.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            if _has_worker(client, address):
                seen_worker = time.monotonic()
            elif time.monotonic() - seen_worker > IDLE_SECONDS:
                raise ClusterError(
                    f"the cluster at {address} has had no worker for {IDLE_SECONDS} s\n"
                    f"start one with: dask worker {address}"
                ) from None
            continue
        seen_worker = time.monotonic()
        if not future.done():  # its result was lost with a worker since, and is computed again
            future.add_done_callback(done.put)
            continue
        waiting.discard(future)
        if future.cancelled():
            raise _scheduler_lost(address)
        yield future


def _has_worker(client: Any, address: str) -> bool:
    try:
        return bool(client.nthreads())
    except (OSError, TimeoutError, ValueError):
        raise _scheduler_lost(address) from None


def _scheduler_lost(address: str) -> ClusterError:
    return ClusterError(
        f"the Dask scheduler at {address} went away, or somebody cancelled the work\n"
        "start it again, and run the same command"
    )


def _outcome(distributed: Any, future: Any, name: str) -> Any:
    """The result of a completed future, or its failure; cluster's troubles in our words."""
    if future.status != "error":
        try:
            # if it was lost just now it is computed once more
            return future.result(timeout=RESULT_SECONDS)
        except TimeoutError:
            return Failure(
                ClusterError(
                    f"{name}: the result did not arrive within {RESULT_SECONDS} s\n"
                    "look at the cluster's workers, and run the same command"
                )
            )
    error = future.exception()
    if isinstance(error, distributed.scheduler.KilledWorker):
        return Failure(
            T10cError(
                f"{name}: {error.allowed_failures + 1} workers died over it, perhaps for want of"
                " memory\ngive workers more memory, or fewer threads (dask worker --nthreads 1)"
            )
        )
    if isinstance(error, WorkerMismatchError):
        return Failure(
            ClusterError(
                f"a worker has {error}\ninstall the same t10c, Python and numpy on all workers"
            )
        )
    if isinstance(error, ImportError):
        return Failure(
            ClusterError(
                f"a worker lacks {error.name or error}\n"
                "install the same t10c, Python and numpy on all workers"
            )
        )
    return Failure(error)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Without Dask's log and its warnings of its own versions: what matters is told by errors."""
    loggers = [
        logger
        for name, logger in logging.root.manager.loggerDict.items()
        if name.partition(".")[0] == "distributed" and isinstance(logger, logging.Logger)
    ]
    disabled = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, before in zip(loggers, disabled, strict=True):
            logger.disabled = before
