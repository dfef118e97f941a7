"""A sweep in a few lines: how many points fit, and per model and chip the fastest and smallest."""

from collections.abc import Sequence
from typing import Any

from t10c.report.text import size_text, table_lines, time_text
from t10c.sweep.run import Sweep, SweepRow

_MOST_ROWS = 20
_WORDS = {
    "fits": "fit",
    "does_not_fit": "do not fit",
    "invalid_spec": "are no valid chip",
    "refused": "are refused",
}


def counts(rows: Sequence[SweepRow]) -> dict[str, int]:
    """How many points ended how, by their status."""
    ends = [row.result.status for row in rows]
    return {status: ends.count(status) for status in _WORDS if status in ends}


def fastest(rows: Sequence[SweepRow]) -> list[dict[str, Any]]:
    """Per model and chip that fits with some overrides: the fastest point, the least memory."""
    found: dict[tuple[str, str], list[SweepRow]] = {}
    for row in rows:
        found.setdefault((row.point.label, row.point.hardware), []).append(row)
    best = []
    for (model, hardware), group in found.items():
        fitting = [row for row in group if row.result.plan is not None]
        document: dict[str, Any] = {
            "model": model,
            "hardware": hardware,
            "points": len(group),
            "fits": len(fitting),
            "latency_ms": None,
            "overrides": None,
            "least_core_bytes": None,
        }
        if fitting:
            first = min(fitting, key=_latency_ms)
            point = first.point
            document |= {
                "latency_ms": _latency_ms(first),
                "overrides": dict(zip(point.names, point.values, strict=True)),
                "least_core_bytes": min(r.point.spec.usable_bytes for r in fitting if r.point.spec),
            }
        best.append(document)
    return best


def _latency_ms(row: SweepRow) -> float:
    assert row.result.plan is not None, "points that fit have figures"
    return row.result.plan.latency_ms


def sweep_lines(rows: Sequence[SweepRow], planned: int) -> list[str]:
    """The summary of a sweep, `planned` of whose points were planned just now."""
    ends = ", ".join(f"{count} {_WORDS[status]}" for status, count in counts(rows).items())
    documents = fastest(rows)
    lines = [f"{len(rows)} points: {ends}; {planned} planned now", ""]
    table = [
        [
            document["model"],
            document["hardware"],
            f"{document['fits']}/{document['points']}",
            "-" if document["latency_ms"] is None else time_text(document["latency_ms"] / 1e3),
            " ".join(f"{name}={value}" for name, value in (document["overrides"] or {}).items()),
            size_text(document["least_core_bytes"]) if document["fits"] else "-",
        ]
        for document in documents[:_MOST_ROWS]
    ]
    heads = ["model", "chip", "fit", "fastest", "with", "least SRAM"]
    lines += table_lines(heads, table, left=(0, 1, 4))
    if len(documents) > _MOST_ROWS:
        lines.append(f"... and {len(documents) - _MOST_ROWS} more, which the files have")
    return lines


def sweep_document(rows: Sequence[SweepRow], planned: int, files: Sequence[str]) -> dict[str, Any]:
    """The same as JSON values."""
    return {
        "points": len(rows),
        "planned": planned,
        "status": counts(rows),
        "fastest": fastest(rows),
        "files": list(files),
    }


def point_documents(sweep: Sweep, done: Sequence[bool]) -> list[dict[str, Any]]:
    """The points of a sweep that has not run: `done`, `invalid` or `to plan`."""
    return [
        {
            "model": point.label,
            "hardware": point.hardware,
            **dict(zip(point.names, point.values, strict=True)),
            "state": "invalid" if point.spec is None else "done" if known else "to plan",
            "reason": point.reason or None,
        }
        for point, known in zip(sweep.points, done, strict=True)
    ]


def point_lines(sweep: Sweep, done: Sequence[bool]) -> list[str]:
    """The same as a table."""
    documents = point_documents(sweep, done)
    heads = [name for name in documents[0] if name != "reason"]
    rows = [[str(document[name]) for name in heads] for document in documents]
    waiting = sum(document["state"] == "to plan" for document in documents)
    return [
        *table_lines(heads, rows, left=tuple(range(len(heads)))),
        f"{len(rows)} points, {waiting} to plan",
    ]
