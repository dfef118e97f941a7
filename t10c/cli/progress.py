"""What is going on, on a terminal; and searching many problems, wherever that is wanted."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

    from t10c import CachedSearches, Choices, HardwareSpec, Place, Problem, ScheduleOptions

_PATIENCE_SECONDS = 1.0
_LINE_SECONDS = 10.0


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


class _Lines(Progress):
    """A plain line per stage, and one now and then that says how far it is and how long yet."""

    def __init__(self) -> None:
        self._text, self._done = "", 0
        self._total: int | None = None
        self._begun = self._said = 0.0

    def stage(self, text: str, total: int | None = None) -> None:
        """Begin a stage of `total` parts, if that is known."""
        self._text, self._total, self._done = text, total, 0
        self._begun = self._said = time.monotonic()
        self._say(text if total is None else f"{text}: {total} to do")

    def advance(self) -> None:
        """One part of the stage is done."""
        self._done += 1
        now = time.monotonic()
        if self._total is None or now - self._said < _LINE_SECONDS:
            return
        self._said = now
        left = (now - self._begun) / self._done * (self._total - self._done)
        self._say(f"{self._text}: {self._done} of {self._total}, {_duration(left)} left")

    def _say(self, text: str) -> None:
        with contextlib.suppress(OSError):
            print(text, file=sys.stderr, flush=True)


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    if minutes < 1.5:
        return f"{seconds:.0f} s"
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


class _Bar(Progress):
    """A bar that a timer shows once the work has taken a second; rich is imported only then."""

    def __init__(self, time_left: bool) -> None:
        super().__init__()
        self._time_left = time_left
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
        from rich.progress import (
            BarColumn,
            ProgressColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as RichProgress

        columns: list[ProgressColumn] = [TextColumn("{task.description}"), BarColumn()]
        columns.append(TimeElapsedColumn())
        if self._time_left:
            columns += [TimeRemainingColumn(), TextColumn("left")]
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
def progress(quiet: bool, long: bool = False) -> Iterator[Progress]:
    """Progress on a terminal, unless `quiet`; of `long` work with the time left, and off one, too.

    Off a terminal that is a line at most every ten seconds, and nothing of work that is not long.
    """
    if quiet or not (sys.stderr.isatty() or long):
        yield Progress()
        return
    if not sys.stderr.isatty():
        yield _Lines()
        return
    bar = _Bar(time_left=long)
    try:
        yield bar
    finally:
        bar.close()


def searcher(
    spec: "HardwareSpec",
    options: "ScheduleOptions",
    place: "Place",
    shown: Progress,
    searches: "CachedSearches",
) -> "Callable[[list[Problem]], list[Choices]]":
    """A function that searches problems in order; the answer does not depend on the place.

    What `searches` knows is not searched again.
    """
    from t10c import find_choices, run_jobs

    uniform, joint = options.transitions == "uniform", options.joint
    work = partial(find_choices, spec=spec, search=options.search, uniform=uniform, joint=joint)

    def search(problems: "list[Problem]") -> "list[Choices]":
        shown.stage("searching operators", len(problems))

        def missing(
            left: "list[Problem]", arrived: "Callable[[int, Choices], None]"
        ) -> "list[Choices]":
            def count(index: int, found: "Choices") -> None:
                arrived(index, found)
                shown.advance()

            for _ in range(len(problems) - len(left)):
                shown.advance()
            names = [f"search of {_named(problem)}" for problem in left]
            return run_jobs(work, left, names, place, count)

        found = searches.choices(problems, missing)
        shown.stage("choosing plans")
        return found

    return search


def _named(problem: "Problem") -> str:
    """An operator by its kernel and its axes."""
    expression = problem.expression
    return f"{expression.kernel} {' '.join(f'{a.name}={a.length}' for a in expression.axes)}"
