"""One operator's search: its front as table and JSON."""

from typing import Any

from t10c.hardware.spec import HardwareSpec
from t10c.ir.expression import TensorExpression
from t10c.ir.plan import Plan
from t10c.report.expression import expression_text, step_texts
from t10c.report.text import cycles_text, percent_text, size_text, size_texts, table_lines
from t10c.search import FrontEntry, SearchOptions, SearchRecord, SearchResult


def split_text(expression: TensorExpression, plan: Plan) -> str:
    """The split as `m 4 x n 8`, factors of 1 left out."""
    parts = [
        f"{axis.name} {factor}"
        for axis, factor in zip(expression.axes, plan.split, strict=True)
        if factor > 1
    ]
    return " x ".join(parts) or "1 core"


def rotations_text(plan: Plan) -> str:
    """Rotations outermost first, as `k/4 of A,B`."""
    return "; ".join(f"{r.axis}/{r.radix} of {','.join(r.operands)}" for r in plan.rotations) or "-"


def entry_document(expression: TensorExpression, entry: FrontEntry) -> dict[str, Any]:
    """One plan of a front as JSON values."""
    return {
        "bytes": entry.memory_bytes,
        "cycles": entry.cycles,
        "compute_cycles": entry.compute_cycles + entry.epilogue_cycles,
        "communication_cycles": entry.communication_cycles,
        "shift_cycles": entry.shift_cycles,
        "reduction_cycles": entry.reduction_cycles,
        "end_cycles": entry.end_cycles,
        "split": {a.name: f for a, f in zip(expression.axes, entry.plan.split, strict=True)},
        "rotations": [
            {"axis": r.axis, "radix": r.radix, "operands": list(r.operands)}
            for r in entry.plan.rotations
        ],
        "piece_bytes": {
            o.name: size for o, size in zip(expression.operands, entry.piece_bytes, strict=True)
        },
    }


def front_document(
    expression: TensorExpression, spec: HardwareSpec, options: SearchOptions, result: SearchResult
) -> dict[str, Any]:
    """A search as JSON values: the record of what was searched, and the front."""
    record = result.record
    return {
        "expression": expression_text(expression),
        "steps": step_texts(expression),
        "kernel": expression.kernel,
        "axes": {a.name: a.length for a in expression.axes},
        "hardware": spec.name,
        "buffers": spec.shift_buffer.policy,
        "search": options.pruning,
        "core_bytes": spec.usable_bytes,
        "splits": record.splits,
        "legal_plans": record.legal_plans,
        "placeable_plans": record.placeable_plans,
        "feasible_plans": record.feasible_plans,
        "padding_pruned": record.padding_pruned,
        "thresholds_dropped": record.thresholds_dropped,
        "exhausted": record.exhausted,
        "lower_bound_cycles": record.lower_bound_cycles,
        "bounded_plans": record.bounded_plans,
        "bounded_splits": record.bounded_splits,
        "uncounted_plans": record.uncounted_plans,
        "gap": _gap(result),
        "cpu_seconds": result.cpu_seconds,
        "cached": result.recalled,
        "front": [entry_document(expression, entry) for entry in result.front],
    }


def _gap(result: SearchResult) -> float | None:
    if not result.front:
        return None
    best = min(entry.cycles for entry in result.front)
    return (best - result.record.lower_bound_cycles) / best


def front_lines(
    expression: TensorExpression, spec: HardwareSpec, options: SearchOptions, result: SearchResult
) -> list[str]:
    """A search for people: the front by rising memory, then the record."""
    rows = [
        [
            f"{entry.memory_bytes:,}",
            cycles_text(entry.cycles),
            cycles_text(entry.compute_cycles + entry.epilogue_cycles),
            cycles_text(entry.communication_cycles),
            split_text(expression, entry.plan),
            rotations_text(entry.plan),
        ]
        for entry in result.front
    ]
    header = ["bytes/core", "cycles", "compute", "communication", "split", "rotations"]
    record = result.record
    gap = _gap(result)
    pruning = (
        "T10's thresholds dropped, they left nothing"
        if record.thresholds_dropped
        else options.pruning
    )
    lines = [
        f"{expression_text(expression)} on {spec.name}: {spec.core_count:,} cores x"
        f" {size_text(spec.usable_bytes)}, {spec.shift_buffer.policy} shift buffers"
    ]
    lines += table_lines(header, rows, left=(4, 5)) if rows else []
    lines += [
        f"searched ({pruning}): {record.splits:,} splits, {record.legal_plans:,} legal plans,"
        f" {record.placeable_plans:,} placeable, {record.feasible_plans:,} feasible"
        + ("" if record.exhausted else "; ended early, not exhausted"),
        *_bounded_lines(record),
        f"lower bound {cycles_text(record.lower_bound_cycles)} cycles"
        + (f", gap of the fastest plan {percent_text(gap)}" if gap is not None else "")
        + ("; from the cache" if result.recalled else f"; {result.cpu_seconds:.2f} CPU s"),
    ]
    if not rows:
        lines.append(misfit_line(spec, result))
    return lines


def _bounded_lines(record: SearchRecord) -> list[str]:
    """What did not have to be priced, and what not even to be counted."""
    if record.uncounted_plans:
        return [
            f"bounded away: {record.bounded_splits:,} splits and parts of others, at most"
            f" {record.uncounted_plans:,} plans, not counted above;"
            f" {record.bounded_plans:,} of the feasible"
        ]
    if record.bounded_plans:
        return [f"bounded away: {record.bounded_plans:,} of the feasible plans"]
    return []


def misfit_line(spec: HardwareSpec, result: SearchResult) -> str:
    """Why a search has found no plan."""
    demanded, available = size_texts(result.smallest_legal_bytes, spec.usable_bytes)
    return f"does not fit: the smallest plan takes {demanded} per core, there are {available}"
