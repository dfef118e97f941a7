"""A simulation report for people: at most 25 lines, and the parts of it that others share."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from t10c.report.summary import joint_lines, search_line
from t10c.report.text import (
    LINE_WIDTH,
    cycles_text,
    percent_text,
    shorten,
    size_text,
    size_texts,
    table_lines,
    time_text,
    wrapped,
)
from t10c.schedule.result import ModelPlan
from t10c.simulate.document import OperatorReport, SimulationReport
from t10c.simulate.result import Part

_TOP_OPERATORS = 5
_MOST_NOTE_LINES = 4
_NAME_WIDTH = 52
UTILISATION = "of the latency the average core computes"
"""What utilisation is, in words."""


def simulation_lines(report: SimulationReport, plan: ModelPlan | None = None) -> list[str]:
    """The report: at most 25 lines of LINE_WIDTH columns; `plan` adds what its search looked at."""
    latency = report.latency_cycles
    lines = [
        f"model      {shorten(report.model, 60)}",
        f"chip       {chip_text(report)}",
        f"latency    {time_text(report.latency_ms / 1e3)} = {cycles_text(latency)} cycles"
        f" (simulated, {len(report.operators):,} operators and copies)",
    ]
    if latency:
        lines += wrapped("  of which", shares_text(report.breakdown_cycles.as_dict(), latency))
        lines.append(f"memory     {memory_text(report)}")
        lines.append(f"busy       utilisation {percent_text(report.utilisation)}: {UTILISATION}")
        lines.append(f"transfers  {transfer_text(report)}")
        lines += _predicted_lines(report)
    if plan is not None and plan.problems:
        lines += [search_line(plan), *joint_lines(plan)]
    if report.operators:
        lines += _longest_lines(report)
    notes = [line for note in report.notes for line in wrapped("note", note)]
    hidden = len(notes) - _MOST_NOTE_LINES
    if hidden > 0:
        notes = [*notes[: _MOST_NOTE_LINES - 1], f"           and {hidden + 1} lines more in JSON"]
    return [shorten(line, LINE_WIDTH) for line in (*lines, *notes)]


def chip_text(report: SimulationReport) -> str:
    """The chip in a line, with what was changed about it."""
    chips = f", {report.chip_count} chips" if report.chip_count > 1 else ""
    changes = f" ({', '.join(report.hardware_overrides)})" if report.hardware_overrides else ""
    cores = f"{report.core_count:,} cores x {size_text(report.core_bytes)}"
    return f"{report.hardware}: {cores}{chips}{changes}"


def shares_text(parts: Mapping[Part, float], total: float) -> str:
    """Parts of a total, those that are not 0: `compute 40.0 %, shift 60.0 %`."""
    return ", ".join(f"{name} {percent_text(part / total)}" for name, part in parts.items() if part)


def memory_text(report: SimulationReport) -> str:
    """The peak of memory per core, of how much, and who sets it."""
    peak, available = size_texts(report.peak_core_bytes, report.core_bytes)
    share = report.peak_core_bytes / report.core_bytes if report.core_bytes else 0.0
    at = f", at {shorten(report.peak_operator, 50)}" if report.peak_operator else ""
    return f"peak {peak} of {available} per core ({percent_text(share)}){at}"


def transfer_text(report: SimulationReport) -> str:
    """How much of the latency data move between cores, and how fast."""
    rate = report.achieved_bytes_per_second / 1e9
    return (
        f"{percent_text(report.transfer_share)} of the latency with syncs;"
        f" the average core receives {rate:.2f} GB/s meanwhile"
    )


# The simulator beside the cost model


@dataclass(frozen=True, slots=True)
class CostGap:
    """Simulated less predicted cycles, by named effect; `other` is what no effect explains."""

    effects: tuple[tuple[str, float], ...]
    other: float

    @property
    def total(self) -> float:
        """Simulated less predicted cycles."""
        return sum(cycles for _, cycles in self.effects) + self.other


def cost_gap(report: SimulationReport | OperatorReport) -> CostGap | None:
    """Why simulated and predicted cycles differ; None if nothing was predicted."""
    predicted = report.cost_model_cycles
    if predicted is None:
        return None
    effects = report.effects_cycles.as_dict()
    named = tuple((name.replace("_", " "), cycles) for name, cycles in effects.items())
    other = report.latency_cycles - predicted - report.effects_cycles.total
    return CostGap(named, other)


def _predicted_lines(report: SimulationReport) -> list[str]:
    """The latency beside the plan's lower bound and its cost model, as far as they are known."""
    lines = []
    latency = report.latency_cycles
    bound = report.lower_bound_cycles
    if bound is not None:
        said = "no plan searched can be faster by the cost model"
        if latency < bound:  # events may take less than the cost model says of them
            said += ", simulated this one is"
        else:
            said += f"; gap {percent_text((latency - bound) / latency) if latency else '0.0 %'}"
        lines.append(f"bound      {cycles_text(bound)} cycles: {said}")
    gap_found = cost_gap(report)
    predicted = report.cost_model_cycles
    if gap_found is None or predicted is None:
        return lines
    return lines + wrapped("cost model", cost_text(gap_found, predicted))


def cost_text(gap: CostGap, predicted: float) -> str:
    """A prediction, how far the simulation is from it, and why."""
    parts = [*gap.effects, ("other", gap.other)]
    shown = [f"{name} {change_text(c, predicted)}" for name, c in parts if _visible(c, predicted)]
    why = f": {', '.join(shown)}" if shown else ""
    far = change_text(gap.total, predicted)
    return f"{cycles_text(predicted)} cycles; simulated {far}{why}"


def _visible(change: float, base: float) -> bool:
    """Whether a change is more than rounding as text."""
    return abs(change) >= max(0.5, 5e-4 * base)


def change_text(change: float, base: float) -> str:
    """A change as a signed percentage of `base`."""
    if not base:
        return f"{change:+,.0f}"
    return f"{100 * change / base:+.1f} %"


# Operators


@dataclass(frozen=True, slots=True)
class Alike:
    """Sections that take equally long with the same kernel, as one: repeated layers."""

    name: str
    kernel: str
    count: int
    latency_cycles: float
    cost_model_cycles: float | None
    parts: tuple[tuple[str, float], ...]


def longest(report: SimulationReport, most: int = _TOP_OPERATORS) -> list[Alike]:
    """The sections that take longest, equal ones together, named by the first of them."""
    grouped: dict[tuple[object, ...], list[OperatorReport]] = defaultdict(list)
    for operator in report.operators:
        same = (operator.kernel, operator.op_type, round(operator.latency_cycles, 3), operator.flop)
        grouped[same].append(operator)
    found = [_alike(members) for members in grouped.values()]
    return sorted(found, key=lambda a: -a.latency_cycles)[:most]


def _alike(members: list[OperatorReport]) -> Alike:
    first = members[0]
    predicted = [m.cost_model_cycles for m in members]
    known = [p for p in predicted if p is not None]
    spent = {
        name: sum(getattr(m.breakdown_cycles, name) for m in members)
        for name in first.breakdown_cycles.as_dict()
    }
    return Alike(
        name=first.name,
        kernel=first.kernel or first.op_type,
        count=len(members),
        latency_cycles=sum(m.latency_cycles for m in members),
        cost_model_cycles=sum(known) if len(known) == len(predicted) else None,
        parts=tuple(spent.items()),
    )


def main_part(alike: Alike) -> str:
    """What most of the time goes into: `compute 61.2 %`."""
    name, cycles = max(alike.parts, key=lambda part: part[1])
    return f"{name} {percent_text(cycles / alike.latency_cycles)}" if alike.latency_cycles else ""


def _longest_lines(report: SimulationReport) -> list[str]:
    total = report.latency_cycles
    rows = [
        [
            shorten(alike.name, _NAME_WIDTH),
            shorten(alike.kernel, 14),
            str(alike.count),
            cycles_text(alike.latency_cycles),
            percent_text(alike.latency_cycles / total if total else 0.0),
            main_part(alike),
        ]
        for alike in longest(report)
    ]
    header = ["operators that take longest", "kernel", "alike", "cycles", "share", "mostly"]
    return table_lines(header, rows, left=(0, 1, 5))
