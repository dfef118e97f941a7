"""What changed between two simulation reports: totals, and operators by name."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from t10c.gates.metrics import METRICS, Metric
from t10c.simulate.document import OperatorReport, SimulationReport

_NOTHING = 1e-12
"""Share of a value below which a change is rounding."""


@dataclass(frozen=True, slots=True)
class ReportSource:
    """Where a report is from: its file, and whether that is a plan or a report."""

    place: str
    kind: str
    report: SimulationReport


@dataclass(frozen=True, slots=True)
class Change:
    """A metric before and after; None where one of the reports does not know it."""

    metric: Metric
    before: float | None
    after: float | None


@dataclass(frozen=True, slots=True)
class OperatorChange:
    """An operator that is in both reports, and takes another time or another memory."""

    before: OperatorReport
    after: OperatorReport

    @property
    def change_cycles(self) -> float:
        """How much longer it takes."""
        return self.after.latency_cycles - self.before.latency_cycles


@dataclass(frozen=True)
class Difference:
    """Two reports side by side; `changed` has those that changed most first."""

    before: ReportSource
    after: ReportSource
    totals: tuple[Change, ...]
    changed: tuple[OperatorChange, ...]
    added: tuple[OperatorReport, ...]
    removed: tuple[OperatorReport, ...]
    same_count: int

    @property
    def cautions(self) -> tuple[str, ...]:
        """Why the figures may not be comparable."""
        one, other = self.before.report, self.after.report
        found = []
        if one.model != other.model:
            found.append(f"the models differ: {one.model} and {other.model}")
        if one.clock_hz != other.clock_hz:
            found.append("the clocks differ: equal cycles are not equal times")
        elif one.hardware_hash != other.hardware_hash:
            found.append("the chips differ")
        return tuple(found)


def diff_reports(before: ReportSource, after: ReportSource) -> Difference:
    """What changed from one report to another; operators are matched by their names."""
    old, new = _by_name(before.report), _by_name(after.report)
    pairs = [OperatorChange(old[key], new[key]) for key in old if key in new]
    changed = [pair for pair in pairs if _differs(pair)]
    return Difference(
        before=before,
        after=after,
        totals=tuple(_totals(before.report, after.report)),
        changed=tuple(sorted(changed, key=lambda pair: -abs(pair.change_cycles))),
        added=tuple(operator for key, operator in new.items() if key not in old),
        removed=tuple(operator for key, operator in old.items() if key not in new),
        same_count=len(pairs) - len(changed),
    )


def _totals(before: SimulationReport, after: SimulationReport) -> Iterator[Change]:
    """Every metric that one of the reports knows, and that is not 0 in both."""
    for metric in METRICS.values():
        change = Change(metric, metric.of(before), metric.of(after))
        if change.before or change.after:
            yield change


def _by_name(report: SimulationReport) -> dict[tuple[str, int], OperatorReport]:
    """Operators by name, and number among those of the same name."""
    seen: Counter[str] = Counter()
    found = {}
    for operator in report.operators:
        found[operator.name, seen[operator.name]] = operator
        seen[operator.name] += 1
    return found


def _differs(pair: OperatorChange) -> bool:
    scale = max(pair.before.latency_cycles, pair.after.latency_cycles)
    if pair.before.peak_core_bytes != pair.after.peak_core_bytes:
        return True
    return abs(pair.change_cycles) > _NOTHING * scale
