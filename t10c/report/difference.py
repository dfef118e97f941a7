"""What changed between two simulations: a table, JSON values, and Markdown for a comment."""

from typing import Any

from t10c.gates.difference import Change, Difference, OperatorChange, ReportSource
from t10c.gates.limits import Outcome
from t10c.report.markdown import code, escaped, markdown_table
from t10c.report.metrics import change_texts, outcome_document, outcome_lines, outcome_text
from t10c.report.simulation import chip_text
from t10c.report.text import (
    LINE_WIDTH,
    cycles_text,
    percent_text,
    shorten,
    size_text,
    table_lines,
    wrapped,
)
from t10c.simulate.document import OperatorReport

_SHOWN_CHANGES = 8
_SHOWN_NAMES = 3
_KINDS = {"plan": "a plan, simulated now", "report": "a simulation report"}
_OPERATOR_HEADER = ("operators that changed most", "kernel", "cycles", "now", "change", "memory")


def difference_lines(found: Difference, outcomes: tuple[Outcome, ...] = ()) -> list[str]:
    """The difference for people, and how it stands to limits."""
    lines = [
        *wrapped("before", _source_text(found.before)),
        *wrapped("now", _source_text(found.after)),
        *(line for caution in found.cautions for line in wrapped("caution", caution)),
        "",
        *table_lines(("figure", "before", "now", "change"), _total_rows(found.totals)),
        "",
        f"operators  {_counts_text(found)}",
    ]
    for what, operators in (("added", found.added), ("removed", found.removed)):
        lines += [f"{what:10} {text}" for text in _named(operators)]
    if found.changed:
        lines += table_lines(_OPERATOR_HEADER, _operator_rows(found.changed), left=(0, 1))
    lines += outcome_lines(outcomes)
    return [shorten(line, LINE_WIDTH) for line in lines]


def difference_markdown(found: Difference, outcomes: tuple[Outcome, ...] = ()) -> list[str]:
    """The difference as a comment on a pull request."""
    broken = [outcome for outcome in outcomes if not outcome.holds]
    title = escaped(shorten(found.after.report.model, 80))
    lines = [
        f"### {title} on {escaped(found.after.report.hardware)}, simulated: what changed",
        "",
        f"Before: {escaped(_source_text(found.before))}  ",
        f"Now: {escaped(_source_text(found.after))}",
        *(line for text in found.cautions for line in ("", f"Caution: {escaped(text)}")),
        *(line for one in broken for line in ("", f"**{escaped(outcome_text(one))}**")),
        "",
        *markdown_table(("figure", "before", "now", "change"), _total_rows(found.totals)),
        "",
        f"<details><summary>Operators: {escaped(_counts_text(found))}</summary>",
    ]
    if found.changed:
        rows = [[code(row[0]), *map(escaped, row[1:])] for row in _operator_rows(found.changed)]
        lines += ["", *markdown_table(_OPERATOR_HEADER, rows, left=(0, 1))]
    for what, operators in (("Added", found.added), ("Removed", found.removed)):
        lines += [line for text in _named(operators) for line in ("", f"{what}: {escaped(text)}")]
    return [*lines, "", "</details>"]


def difference_document(found: Difference, outcomes: tuple[Outcome, ...] = ()) -> dict[str, Any]:
    """The difference as JSON values: all totals, and all operators that changed."""
    return {
        "before": _source_document(found.before),
        "after": _source_document(found.after),
        "cautions": list(found.cautions),
        "totals": {
            change.metric.name: {
                "before": change.before,
                "after": change.after,
                "change_percent": _percent(change.before, change.after),
            }
            for change in found.totals
        },
        "operators": {
            "same_count": found.same_count,
            "changed": [_operator_document(pair) for pair in found.changed],
            "added": [_brief(operator) for operator in found.added],
            "removed": [_brief(operator) for operator in found.removed],
        },
        "limits": [outcome_document(outcome) for outcome in outcomes],
    }


# Pieces


def _source_text(source: ReportSource) -> str:
    report = source.report
    return (
        f"{shorten(source.place, 40)} ({_KINDS[source.kind]}): {shorten(report.model, 24)} on"
        f" {chip_text(report)}"
    )


def _source_document(source: ReportSource) -> dict[str, Any]:
    report = source.report
    return {
        "file": source.place,
        "kind": source.kind,
        "model": report.model,
        "hardware": report.hardware,
        "hardware_hash": report.hardware_hash,
        "hardware_overrides": list(report.hardware_overrides),
    }


def _total_rows(totals: tuple[Change, ...]) -> list[tuple[str, ...]]:
    return [(c.metric.name, *change_texts(c.metric, c.before, c.after)) for c in totals]


def _counts_text(found: Difference) -> str:
    return (
        f"{len(found.changed):,} changed, {len(found.added):,} added,"
        f" {len(found.removed):,} removed, {found.same_count:,} the same"
    )


def _named(operators: tuple[OperatorReport, ...]) -> list[str]:
    """The longest of some operators, and how many more there are."""
    ranked = sorted(operators, key=lambda operator: -operator.latency_cycles)
    shown = [
        f"{shorten(o.name, 60)} ({o.kernel or o.op_type}): {cycles_text(o.latency_cycles)} cycles"
        for o in ranked[:_SHOWN_NAMES]
    ]
    more = ranked[_SHOWN_NAMES:]
    if more:
        cycles = cycles_text(sum(operator.latency_cycles for operator in more))
        shown.append(f"and {len(more):,} more: {cycles} cycles")
    return shown


def _operator_rows(changed: tuple[OperatorChange, ...]) -> list[list[str]]:
    rows = []
    for pair in changed[:_SHOWN_CHANGES]:
        old, new = pair.before, pair.after
        grown = new.peak_core_bytes - old.peak_core_bytes
        sign = "-" if grown < 0 else "+"
        rows.append(
            [
                shorten(new.name, 50),
                shorten(new.kernel or new.op_type, 14),
                cycles_text(old.latency_cycles),
                cycles_text(new.latency_cycles),
                _relative(old.latency_cycles, new.latency_cycles),
                f"{sign}{size_text(abs(grown))}" if grown else "same",
            ]
        )
    return rows


def _relative(before: float, after: float) -> str:
    if before == after:
        return "same"
    if not before:
        return "new"
    change = (after - before) / before
    return f"{'+' if change > 0 else ''}{percent_text(change)}"


def _operator_document(pair: OperatorChange) -> dict[str, Any]:
    old, new = pair.before, pair.after
    parts = old.breakdown_cycles.as_dict(), new.breakdown_cycles.as_dict()
    return {
        "name": new.name,
        "kernel": new.kernel,
        "latency_cycles": {"before": old.latency_cycles, "after": new.latency_cycles},
        "peak_core_bytes": {"before": old.peak_core_bytes, "after": new.peak_core_bytes},
        "breakdown_change_cycles": {
            part: parts[1][part] - parts[0][part]
            for part in parts[0]
            if parts[1][part] != parts[0][part]
        },
    }


def _brief(operator: OperatorReport) -> dict[str, Any]:
    return {
        "name": operator.name,
        "kernel": operator.kernel,
        "latency_cycles": operator.latency_cycles,
        "peak_core_bytes": operator.peak_core_bytes,
    }


def _percent(before: float | None, after: float | None) -> float | None:
    if before is None or after is None or not before:
        return None
    return 100 * (after - before) / before
