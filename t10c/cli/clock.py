"""The time that planning may take, and what Ctrl-C ends: nothing before a plan, then the choice.

Until there is a plan, the limit and Ctrl-C end the work wherever it is. From then on both end the
joint choice after its round, and the best so far is the answer.
"""

import contextlib
import math
import re
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING

from t10c.cli.progress import Progress
from t10c.errors import TimeLimitError, UsageError

if TYPE_CHECKING:
    from t10c import Status

_SECONDS = {"": 1.0, "s": 1.0, "ms": 1e-3, "min": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+\.?\d*|\.\d+)\s*([a-z]*)", re.ASCII)
_LONGEST_TEXT = 40
"""Longer texts are no durations; a number of so few digits is finite in any unit."""

_LONGEST_ALARM_SECONDS = 1e7


class _OutOfTime(BaseException):
    """The time limit passed before there was a plan; no handler of errors may keep it."""


def read_duration(text: str, option: str) -> float:
    """`10`, `500ms` or `2min` in seconds (UsageError)."""
    match = _DURATION.fullmatch(text.strip()) if len(text) <= _LONGEST_TEXT else None
    if match is None or match[2] not in _SECONDS:
        raise UsageError(
            f"{option} {text[:_LONGEST_TEXT]}: write seconds of at least 0, or a unit:"
            " 500ms, 10s, 2min, 1h"
        )
    return float(match[1]) * _SECONDS[match[2]]


class Clock:
    """Asked before the joint choice and after every round of it, as `Watcher`s are.

    Holds until the end of the planning that `clock` surrounds; `interrupted` says whether Ctrl-C
    was pressed once there was a plan.
    """

    def __init__(self, limit: str | None, end: float, shown: Progress, keep_best: bool) -> None:
        self.interrupted = False
        self._limit = limit
        self._end = end
        self._shown = shown
        self._keep_best = keep_best
        self._armed = False
        self._catching = False
        self._handlers: dict[int, object] = {}

    def __call__(self, status: "Status") -> str:
        """Why to stop, if at all; with the first call, there is a plan."""
        self.disarm()
        if self._keep_best and not self._catching:
            self._catching = True
            self._handle(signal.SIGINT, self._interrupt)
        if not self.interrupted:
            self._shown.stage(_progress_text(status))
        if self.interrupted:
            return "interrupted"
        return "time" if time.monotonic() >= self._end else ""

    def arm(self) -> None:
        """From now on, the end of the limit is an error; it may be at once (_OutOfTime)."""
        if not math.isfinite(self._end):
            return
        left = self._end - time.monotonic()
        if left <= 0:
            raise _OutOfTime
        if hasattr(signal, "SIGALRM"):
            self._handle(signal.SIGALRM, self._ring)
            self._armed = signal.SIGALRM in self._handlers
        if self._armed:
            signal.setitimer(signal.ITIMER_REAL, min(left, _LONGEST_ALARM_SECONDS))

    def disarm(self) -> None:
        """There is an answer: the end of the limit is an error no more."""
        if self._armed:
            self._armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)

    def release(self) -> None:
        """Handle signals as before."""
        self.disarm()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._handlers.clear()

    def error(self) -> TimeLimitError:
        """What to say if there was no plan in time."""
        return TimeLimitError(
            f"--time-limit {self._limit} passed before there was any plan, while"
            f" {self._shown.doing}\nallow more time, or leave the option out; what has been"
            " searched is found in the cache the next time"
        )

    def _handle(self, number: int, handler: object) -> None:
        if threading.current_thread() is not threading.main_thread():
            return  # only there do signals arrive
        before = signal.signal(number, handler)  # type: ignore[arg-type]
        self._handlers.setdefault(number, before)

    def _ring(self, number: int, frame: FrameType | None) -> None:
        if self._armed:
            self._armed = False
            raise _OutOfTime

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.interrupted = True
        self._shown.stage("interrupted: finishing the round, again to abort")
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextlib.contextmanager
def clock(
    limit: str | None, begun_seconds: float, shown: Progress, keep_best: bool
) -> Iterator[Clock]:
    """The clock while a model is planned; TimeLimitError if it runs out before there is a plan.

    `limit` is the option's text, counted from `begun_seconds` on the monotonic clock. `keep_best`
    says that Ctrl-C once there is a plan ends the choice, not the command.
    """
    seconds = math.inf if limit is None else read_duration(limit, "--time-limit")
    found = Clock(limit, begun_seconds + seconds, shown, keep_best)
    try:
        try:
            found.arm()
            yield found
        finally:
            found.release()
    except _OutOfTime:
        raise found.error() from None


def _progress_text(status: "Status") -> str:
    if not status.rounds or not status.cycles:
        return "choosing plans of all steps together"
    return (
        f"choosing plans of all steps together: round {status.rounds},"
        f" {status.cycles:,.0f} cycles, gap {100 * status.gap:.1f} %"
    )
