"""The latency report of a compiled model, and the report of a model that does not fit."""

from collections import defaultdict
from heapq import nlargest
from operator import itemgetter
from typing import Any

from t10c.ir.graph import NodeClass
from t10c.report.inspection import fallback_nodes
from t10c.report.text import (
    LINE_WIDTH,
    cycles_text,
    percent_text,
    shorten,
    size_text,
    size_texts,
    table_lines,
    time_text,
)
from t10c.schedule.result import DoesNotFit, ModelPlan
from t10c.serialise import encode

_TOP_OPERATORS = 5


def plan_document(plan: ModelPlan) -> dict[str, Any]:
    """The report as JSON values; sizes in bytes per core, times in cycles unless named."""
    records = [problem.search for problem in plan.problems]
    return {
        "status": "ok",
        "model": plan.graph.name,
        "hardware": plan.spec.name,
        "latency_cycles": plan.latency_cycles,
        "latency_ms": plan.latency_seconds * 1e3,
        "estimate": "cost model; not simulated",
        "peak_core_bytes": plan.peak_core_bytes,
        "peak_operator": peak_operator(plan),
        **(
            {"least_core_bytes": plan.least_bytes, "memory_gap": plan.memory_gap}
            if plan.least_bytes is not None
            else {}
        ),
        "core_bytes": plan.spec.usable_bytes,
        "nodes": plan.graph.node_counts(),
        "operators": len(plan.operators),
        "breakdown_cycles": plan.breakdown_cycles(),
        "lower_bound_cycles": plan.lower_bound_cycles,
        "uniform_transition_latency_cycles": plan.uniform_cycles,
        "transitions": plan.options.transitions,
        "search": {
            "distinct_operators": len(plan.problems),
            "candidates": sum(r.legal_plans for r in records),
            "splits": sum(r.splits for r in records),
            "cpu_seconds": plan.search_cpu_seconds,
            "cached_operators": plan.recalled_problems,
            "exhausted": all(r.exhausted for r in records),
            "thresholds_dropped_operators": sum(r.thresholds_dropped for r in records),
            "gap": plan.gap,
        },
        **joint_document(plan),
        "top_operators": [{"name": name, "cycles": cycles} for name, cycles in _top(plan)],
        "fallback": {
            "operators": [o.name for o in plan.fallback_operators()],
            "cycles": plan.fallback_cycles(),
            "nodes": fallback_nodes(plan.graph),
        },
        "hardware_overrides": list(plan.overrides),
        "model_confidence": confidence(plan),
        "notes": list(plan.spec.notes),
        "warnings": list(plan.graph.warnings),
    }


def joint_document(plan: ModelPlan) -> dict[str, Any]:
    """How the joint choice ended, as JSON values; nothing if plans were chosen step by step."""
    if plan.joint is None:
        return {}
    return {"joint": {**encode(plan.joint), "truncated": plan.joint.truncated}}


def peak_operator(plan: ModelPlan) -> str:
    """Name of the operator with the largest demand of memory per core.

    `(graph outputs)` if the demand after the last operator is larger.
    """
    demands = [max(o.memory_bytes.total, o.memory_bytes.fetch_total) for o in plan.operators]
    if max(demands, default=0) < plan.end_bytes:
        return "(graph outputs)"
    return max(
        plan.operators, key=lambda o: max(o.memory_bytes.total, o.memory_bytes.fetch_total)
    ).name


def confidence(plan: ModelPlan) -> dict[str, str]:
    """Per kernel family in use, how well its cost model is confirmed.

    Products of narrow operands are named apart: `matmul_int8`.
    """
    kernels = dict(plan.spec.kernels)
    expressions = [problem.expression for problem in plan.problems]
    used = sorted({f"{e.kernel}_int8" if e.narrow_product else e.kernel for e in expressions})
    result: dict[str, str] = {}
    for name in used:
        model = kernels.get("pointwise" if name == "rowwise" else name)
        if model is None:
            narrow = name.endswith("_int8")
            result[name] = f"estimate, {'cost of floats' if narrow else 'scalar code on one core'}"
            continue
        if model.confidence_mape is not None:
            result[name] = f"fit, {model.confidence_mape:.1f} % cross-validated error"
        else:
            result[name] = {
                "tiled": "published formula",
                "roofline": "estimate from peak figures",
                "fit": "fit, error unknown",
            }[model.form]
    return result


def _top(plan: ModelPlan) -> list[tuple[str, float]]:
    """The operators that take longest, and their cycles."""
    totals = [(operator.name, operator.cost_cycles.total) for operator in plan.operators]
    return nlargest(_TOP_OPERATORS, totals, key=itemgetter(1))


def plan_lines(plan: ModelPlan) -> list[str]:
    """The report for people: at most 25 lines of at most LINE_WIDTH columns."""
    graph, spec = plan.graph, plan.spec
    latency = plan.latency_cycles
    counts = graph.node_counts()
    chips = f", {spec.chips.count} chips" if spec.chips.count > 1 else ""
    lines = [
        f"model      {shorten(graph.name, 40)}: {len(graph.nodes)} nodes ("
        + ", ".join(f"{n} {NodeClass(kind).text}" for kind, n in counts.items() if n)
        + ")",
        f"chip       {spec.name}: {spec.core_count:,} cores x {size_text(spec.usable_bytes)}{chips}"
        + (f" ({', '.join(plan.overrides)})" if plan.overrides else ""),
        f"latency    {time_text(plan.latency_seconds)} = {cycles_text(latency)} cycles"
        " (estimate of the cost model, not simulated)",
    ]
    if latency:
        share = plan.peak_core_bytes / spec.usable_bytes
        peak, available = size_texts(plan.peak_core_bytes, spec.usable_bytes)
        lines += [
            "  of which " + _shares(plan.breakdown_cycles(), latency),
            f"memory     peak {peak} of {available} per core ({percent_text(share)}),"
            f" at {shorten(peak_operator(plan), 56)}",
            *_least_lines(plan),
            f"bound      {cycles_text(plan.lower_bound_cycles)} cycles: no plan among those"
            f" searched can be faster; gap {percent_text(plan.gap)}{truncation(plan)}",
        ]
    lines += _fallback_lines(plan)
    if plan.problems:
        lines += [search_line(plan), *joint_lines(plan)]
        lines += _longest_lines(plan)
    else:
        lines.append("           nothing is computed: no operator needs a plan")
    lines += _confidence_lines(plan)
    lines += [f"note       {note}" for note in spec.remarks[:4]]
    lines += [f"warning    {warning}" for warning in graph.warnings[:3]]
    return [shorten(line, LINE_WIDTH) for line in lines]


def _fallback_lines(plan: ModelPlan) -> list[str]:
    """How much goes into operators without a tensor expression; nothing if there is none."""
    count = len(plan.fallback_operators())
    if not count:
        return []
    share = plan.fallback_cycles() / plan.latency_cycles if plan.latency_cycles else 0.0
    noun = "operator" if count == 1 else "operators"
    nodes = [f"{n['node']}: {n['reason']}" for n in fallback_nodes(plan.graph)]
    more = [f"and {len(nodes) - 2} more (t10c inspect)"] if len(nodes) > 2 else []
    return [
        f"fallback   {count} {noun} on one core (estimate), {percent_text(share)} of cycles with"
        " their transitions",
        *(f"           {line}" for line in (*nodes[:2], *more)),
    ]


def _longest_lines(plan: ModelPlan) -> list[str]:
    """Distinct operators by the time that all their instances take."""
    grouped: dict[int, list[float]] = defaultdict(list)
    for operator in plan.operators:
        grouped[operator.problem].append(operator.cost_cycles.total)
    rows = []
    ranked = sorted(grouped.items(), key=lambda item: -sum(item[1]))
    for number, cycles in ranked[:_TOP_OPERATORS]:
        expression = plan.problems[number].expression
        lengths = " ".join(f"{a.name}={a.length}" for a in expression.axes)
        rows.append(
            [
                shorten(f"{expression.kernel} {lengths}", 60),
                str(len(cycles)),
                cycles_text(sum(cycles)),
                percent_text(sum(cycles) / plan.latency_cycles if plan.latency_cycles else 0.0),
            ]
        )
    return table_lines(["operators that take longest", "count", "cycles", "share"], rows)


def _confidence_lines(plan: ModelPlan) -> list[str]:
    """Kernel families in use, grouped by how well their cost models are confirmed."""
    families: dict[str, list[str]] = defaultdict(list)
    for name, text in confidence(plan).items():
        families[text].append(name)
    groups = [f"{text} ({', '.join(names)})" for text, names in families.items()]
    lines: list[str] = []
    for group in groups:
        if lines and len(lines[-1]) + len("; ") + len(group) <= LINE_WIDTH:
            lines[-1] += f"; {group}"
        else:
            lines.append(f"{'' if lines else 'confidence':10} {group}")
    return lines


def search_line(plan: ModelPlan) -> str:
    """How much the search of a plan looked at, in a line."""
    records = [problem.search for problem in plan.problems]
    candidates = sum(r.legal_plans for r in records)
    counts = plan.graph.node_counts()
    more = len(plan.operators) > counts["planned"] + counts["fallback"]
    chained = " (some as chains)" if more else ""
    text = (
        f"search     {len(records)} distinct of {len(plan.operators)} operators{chained},"
        f" {candidates:,} legal plans ({plan.options.search.pruning})"
    )
    if plan.search_cpu_seconds:
        text += f" in {plan.search_cpu_seconds:.2f} CPU s"
    if plan.recalled_problems:
        text += f"; {plan.recalled_problems} of {len(records)} from the cache"
    if not all(r.exhausted for r in records):
        text += "; ended early, not exhausted"
    return text


ENDS = {
    "gap": "no other can be faster by more than 1 %",
    "exhausted": "nothing was left to compare",
    "time": "the time limit ended it",
    "interrupted": "it was interrupted",
}
"""Why a joint choice ended, by `JointRecord.stopped`."""


def truncation(plan: ModelPlan) -> str:
    """That the joint choice was cut short and by what, to be added to its gap; else nothing."""
    if plan.joint is None or not plan.joint.truncated:
        return ""
    why = "interrupted" if plan.joint.stopped == "interrupted" else "time limit"
    return f", truncated ({why})"


def _least_lines(plan: ModelPlan) -> list[str]:
    """The bound on memory, where that was the objective."""
    if plan.least_bytes is None:
        return []
    return [
        "           no schedule of these operators has a lower peak than"
        f" {size_text(plan.least_bytes)} per core; gap {percent_text(plan.memory_gap)};"
        " the bound below is for the peak above"
    ]


def joint_lines(plan: ModelPlan) -> list[str]:
    """How far the joint choice came and why it ended, if there was one."""
    if plan.joint is None:
        return []
    rounds = "1 round" if plan.joint.rounds == 1 else f"{plan.joint.rounds} rounds"
    return [f"           all steps together in {rounds}: {ENDS[plan.joint.stopped]}"]


def _shares(parts: dict[str, float], total: float) -> str:
    return ", ".join(
        f"{name} {percent_text(cycles / total)}" for name, cycles in parts.items() if cycles
    )


def misfit_document(value: DoesNotFit) -> dict[str, Any]:
    """The report of a model that does not fit, as JSON values."""
    return {
        "status": "does_not_fit",
        "model": value.graph.name,
        "hardware": value.spec.name,
        "operator": value.operator,
        "demanded_bytes": value.demanded_bytes,
        "core_bytes": value.available_bytes,
        "terms_bytes": dict(value.terms),
        "proven": value.proven,
        "levers": list(value.levers),
        "nodes": value.graph.node_counts(),
    }


def misfit_lines(value: DoesNotFit) -> list[str]:
    """The report of a model that does not fit, for people."""
    terms = " + ".join(f"{name.replace('_', ' ')} {size_text(size)}" for name, size in value.terms)
    known = "no plan can fit" if value.proven else "no plan was found that fits"
    who = value.operator.strip("()")
    demanded, available = size_texts(value.demanded_bytes, value.available_bytes)
    lines = [
        f"does not fit: {shorten(value.graph.name, 40)} on {value.spec.name} ({known})",
        f"demand     at least {demanded} per core, of which there are {available};"
        f" by {shorten(who, 50)}",
        f"terms      {terms}",
        *(f"lever      {lever}" for lever in value.levers),
    ]
    return [shorten(line, LINE_WIDTH) for line in lines]


def search_lines(plan: ModelPlan) -> list[str]:
    """What the search of every distinct operator looked at."""
    rows = [
        [
            shorten(" ".join(f"{a.name}={a.length}" for a in p.expression.axes), 44),
            p.expression.kernel,
            str(p.operators),
            f"{p.search.splits:,}",
            f"{p.search.legal_plans:,}",
            f"{p.search.feasible_plans:,}",
            str(len(p.front)),
        ]
        for p in plan.problems
    ]
    header = ["axes", "kernel", "operators", "splits", "legal", "feasible", "front"]
    lines = table_lines(header, rows, left=(0, 1))
    if plan.joint is not None:
        lines.append(
            f"all steps together: {plan.joint.plans:,} plans compared one by one, the others by"
            f" bounds, in {plan.joint.rounds} rounds; stopped: {plan.joint.stopped}"
        )
    return lines


def operator_table(plan: ModelPlan) -> list[str]:
    """Every operator in execution order."""
    rows = [
        [
            o.name,
            plan.problems[o.problem].expression.kernel,
            cycles_text(o.cost_cycles.total),
            size_text(o.memory_bytes.total),
        ]
        for o in plan.operators
    ]
    return table_lines(["operator", "kernel", "cycles", "memory/core"], rows, left=(0, 1))
