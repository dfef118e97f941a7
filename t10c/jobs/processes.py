"""Work in processes of this machine."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from t10c.errors import T10cError
from t10c.jobs.place import ATTEMPTS, Failure, R, T, Work


def in_processes(work: Work[T, R], jobs: int) -> Generator[tuple[int, R | Failure], None, None]:
    """Outcomes as they come; closing it early ends the processes at once.

    When a process dies, nobody knows over which item: all that were being worked on are done again
    one at a time. T10cError names one whose process has died three times.
    """
    waiting, alone = deque(range(len(work.items))), deque[int]()
    deaths = Counter[int]()
    while waiting or alone:
        queue, width = (alone, 1) if alone else (waiting, jobs)
        lost = yield from _until_a_death(work, queue, width)
        deaths.update(lost)
        for index in lost:
            if deaths[index] == ATTEMPTS:
                raise T10cError(
                    f"{work.names[index]}: its process was killed {ATTEMPTS} times, perhaps for"
                    " want of memory\nuse fewer --jobs, or a machine with more memory"
                )
        alone.extend(lost)


def _until_a_death(
    work: Work[T, R], queue: deque[int], width: int
) -> Generator[tuple[int, R | Failure], None, list[int]]:
    """Outcomes of the queue, `width` at a time; returns what was lost when a process died."""
    running: dict[Future[R], int] = {}
    with _pool(min(width, len(queue))) as pool:
        while queue or running:
            try:
                while queue and len(running) < width:
                    with _interrupts_held():  # processes inherit it: Ctrl-C is for the parent
                        future = pool.submit(work.function, work.items[queue[0]])
                    running[future] = queue.popleft()
            except BrokenProcessPool:
                return sorted(running.values())
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in sorted(done, key=running.__getitem__):
                error = future.exception()
                if isinstance(error, BrokenProcessPool):
                    return sorted(running.values())
                index = running.pop(future)
                if error is None:
                    yield index, future.result()
                elif isinstance(error, Exception):
                    yield index, Failure(error)
                else:
                    raise error
    return []


@contextlib.contextmanager
def _pool(processes: int) -> Iterator[ProcessPoolExecutor]:
    """A pool whose processes are killed if the work ends early."""
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(
        processes,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_follow_parent,
    )
    try:
        yield pool
    except BaseException:
        for process in set(multiprocessing.active_children()) - others:
            process.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _follow_parent() -> None:
    """End this process when its parent ends, however that happens."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "only processes of a pool are followers"

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
