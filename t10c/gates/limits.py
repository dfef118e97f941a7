"""Limits as commands take them: of a report (5ms), or of what changed between two (+2%)."""

import math
import re
from dataclasses import dataclass
from typing import Literal

from t10c.errors import InvalidInputError, UsageError
from t10c.gates.metrics import Metric, metric_named
from t10c.simulate.document import SimulationReport
from t10c.suggest import shorten

Bound = Literal["at most", "at least"]

_CHANGE = re.compile(r"([+-])(\d[^%]*|\.\d[^%]*)(%?)")
_EXAMPLES = "latency:+2%, peak_core_bytes:+4KiB or utilisation:-0.01"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A limit beside what it limits; `before` is what it is relative to, if to anything.

    All values are in the metric's unit.
    """

    limit: str
    metric: Metric
    bound: Bound
    allowed: float
    value: float
    before: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the value is within the limit; equal is within."""
        if self.bound == "at most":
            return self.value <= self.allowed
        return self.value >= self.allowed


@dataclass(frozen=True, slots=True)
class Limit:
    """A bound of a metric as an option states it: `--max-latency 5ms`."""

    option: str
    metric: Metric
    bound: Bound
    value: str

    def check(self) -> None:
        """UsageError if the value is none of the metric."""
        self._allowed(1e9)

    def outcome(self, report: SimulationReport) -> Outcome:
        """How the report stands to it."""
        found = _known(self.metric, report, "the simulation")
        allowed = self._allowed(report.clock_hz)
        return Outcome(f"{self.option} {self.value}", self.metric, self.bound, allowed, found)

    def _allowed(self, clock_hz: float) -> float:
        try:
            return _possible(self.metric, self.metric.amount(self.value.strip(), clock_hz))
        except ValueError as error:
            raise UsageError(f"{self.option} {shorten(self.value)}: {error}") from error


@dataclass(frozen=True, slots=True)
class Allowance:
    """By how much a metric may change: `latency:+2%` is at most 2 % more than before."""

    text: str
    metric: Metric
    bound: Bound
    amount: str
    relative: bool

    def outcome(self, before: SimulationReport, after: SimulationReport) -> Outcome:
        """How two reports stand to it; InvalidInputError if one does not know the metric."""
        old = _known(self.metric, before, "the first")
        new = _known(self.metric, after, "the second")
        if self.relative:
            change = abs(old) * float(self.amount) / 100
        else:
            change = self.metric.amount(self.amount, after.clock_hz, plain=True)
        allowed = old + change if self.bound == "at most" else old - change
        return Outcome(self.text, self.metric, self.bound, allowed, new, old)


def read_allowance(text: str, option: str) -> Allowance:
    """`METRIC:+N%`, `METRIC:+N` or either with `-`; UsageError says what is wrong."""
    name, colon, change = (piece.strip() for piece in text.partition(":"))
    place = f"{option} {shorten(text)}"
    match = _CHANGE.fullmatch(change)
    if not colon or not name or match is None:
        raise UsageError(f"{place}: write METRIC:+N% or METRIC:+N, for example {_EXAMPLES}")
    metric = metric_named(name, place)
    sign, amount, percent = match.groups()
    allowance = Allowance(
        text=text.strip(),
        metric=metric,
        bound="at most" if sign == "+" else "at least",
        amount=amount.strip(),
        relative=bool(percent),
    )
    try:
        if allowance.relative:
            _percent(allowance.amount)
        else:
            metric.amount(allowance.amount, 1e9, plain=True)
    except ValueError as error:
        raise UsageError(f"{place}: {error}") from error
    return allowance


def _percent(text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise ValueError(f"'{shorten(text)}' is not a number") from error
    if not math.isfinite(value):
        raise ValueError(f"'{shorten(text)}' is too large for a percentage")
    return value


def _possible(metric: Metric, value: float) -> float:
    if value < 0:
        raise ValueError("is negative; no figure is")
    if metric.unit == "share" and value > 1:
        raise ValueError("is more than 1; no share is: write 0.3 for 30 %")
    return value


def _known(metric: Metric, report: SimulationReport, which: str) -> float:
    found = metric.of(report)
    if found is None:
        raise InvalidInputError(
            f"{metric.name} is not known of {which}: it comes from a plan, simulated on its chip"
        )
    return found
