"""What is going on, on a terminal; and searching many problems, in this process or several."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import TYPE_CHECKING

from t10c.errors import T10cError

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

    from t10c import CachedSearches, Choices, HardwareSpec, Problem, ScheduleOptions

_PATIENCE_SECONDS = 1.0


class Progress:
    """Stages of work and how far each has come; shows nothing."""

    def __init__(self) -> None:
        self._text, self._done = "working", 0
        self._total: int | None = None

    @property
    def doing(self) -> str:
        """The present stage, and how many of its parts are done."""
        counted = f" {self._done}/{self._total}" if self._total is not None else ""
        return self._text + counted

    def stage(self, text: str, total: int | None = None) -> None:
        """Begin a stage of `total` parts, if that is known."""
        self._text, self._total, self._done = text, total, 0

    def advance(self) -> None:
        """One part of the stage is done."""
        self._done += 1


class _Bar(Progress):
    """A bar that a timer shows once the work has taken a second; rich is imported only then."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.RLock()  # a signal's handler may begin a stage within another
        self._shown: RichProgress | None = None
        self._timer = threading.Timer(_PATIENCE_SECONDS, self._show)
        self._timer.daemon = True
        self._timer.start()

    def stage(self, text: str, total: int | None = None) -> None:
        """Begin a stage of `total` parts, if that is known."""
        with self._lock:
            super().stage(text, total)
            self._update()

    def advance(self) -> None:
        """One part of the stage is done."""
        with self._lock:
            super().advance()
            self._update()

    def close(self) -> None:
        """Take the bar away."""
        self._timer.cancel()
        self._timer.join()
        if self._shown is not None:
            self._shown.stop()

    def _show(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as RichProgress

        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        shown = RichProgress(
            *columns,
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        with self._lock:
            shown.add_task("", total=None)
            shown.start()
            self._shown = shown
            self._update()

    def _update(self) -> None:
        if self._shown is None:
            return
        self._shown.update(
            self._shown.task_ids[0],
            description=self.doing,
            total=self._total,
            completed=self._done,
        )


@contextlib.contextmanager
def progress(quiet: bool) -> Iterator[Progress]:
    """Progress on a terminal, unless `quiet`; off a terminal, none."""
    if quiet or not sys.stderr.isatty():
        yield Progress()
        return
    bar = _Bar()
    try:
        yield bar
    finally:
        bar.close()


def searcher(
    spec: "HardwareSpec",
    options: "ScheduleOptions",
    jobs: int,
    shown: Progress,
    searches: "CachedSearches",
) -> "Callable[[list[Problem]], list[Choices]]":
    """A function that searches problems in order; the answer does not depend on `jobs`.

    What `searches` knows is not searched again.
    """
    from t10c import find_choices

    uniform, joint = options.transitions == "uniform", options.joint
    work = partial(find_choices, spec=spec, search=options.search, uniform=uniform, joint=joint)

    def search(problems: "list[Problem]") -> "list[Choices]":
        shown.stage("searching operators", len(problems))
        found = []
        made = searches.choices(problems, lambda missing: _results(work, missing, jobs))
        with contextlib.closing(made) as results:
            for result in results:
                found.append(result)
                shown.advance()
        shown.stage("choosing plans")
        return found

    return search


def _results(
    work: "Callable[[Problem], Choices]", problems: "list[Problem]", jobs: int
) -> "Generator[Choices, None, None]":
    """The results in order; closing it early ends the processes at once."""
    if jobs == 1 or len(problems) < 2:
        yield from map(work, problems)
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(
        min(jobs, len(problems)), mp_context=context, initializer=_follow_parent
    )
    try:
        with _interrupts_held():  # the processes inherit that: Ctrl-C is for the parent to handle
            futures = [pool.submit(work, problem) for problem in problems]
        for future in futures:
            yield future.result()
    except BrokenProcessPool as error:
        raise T10cError(
            "a search process was killed, perhaps for want of memory\nuse fewer --jobs"
        ) from error
    except BaseException:
        for process in multiprocessing.active_children():
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
    import multiprocessing

    parent = multiprocessing.parent_process()
    assert parent is not None, "only search processes are followers"

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
