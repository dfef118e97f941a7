"""Searching many problems: in this process or several, with a bar on a terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from t10c.hardware.spec import HardwareSpec
from t10c.schedule.choices import Choices, Problem, find_choices
from t10c.schedule.options import ScheduleOptions

_PATIENCE_SECONDS = 1.0


def searcher(
    spec: HardwareSpec, options: ScheduleOptions, jobs: int, quiet: bool
) -> Callable[[list[Problem]], list[Choices]]:
    """A function that searches problems in order; the answer does not depend on `jobs`."""
    uniform = options.transitions == "uniform"
    work = partial(find_choices, spec=spec, search=options.search, uniform=uniform)

    def search(problems: list[Problem]) -> list[Choices]:
        with _bar(len(problems), quiet) as advance:
            results = []
            for result in _results(work, problems, jobs):
                results.append(result)
                advance()
        return results

    return search


def _results(
    work: Callable[[Problem], Choices], problems: list[Problem], jobs: int
) -> Iterator[Choices]:
    if jobs == 1 or len(problems) < 2:
        yield from map(work, problems)
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(jobs, len(problems)), mp_context=context)
    try:
        yield from pool.map(work, problems)
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _bar(total: int, quiet: bool) -> Iterator[Callable[[], None]]:
    """A progress bar that appears on a terminal once the work has taken a second."""
    if quiet or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn

    columns = (
        TextColumn("searching operators"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    started = time.monotonic()
    progress = Progress(*columns, console=Console(stderr=True), transient=True)
    task = progress.add_task("", total=total)
    shown = False

    def advance() -> None:
        nonlocal shown
        progress.advance(task)
        if not shown and time.monotonic() - started > _PATIENCE_SECONDS:
            progress.start()
            shown = True

    try:
        yield advance
    finally:
        progress.stop()
