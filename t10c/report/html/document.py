"""All that the scripts of the page read, as JSON values: compact, since models have many parts."""

from typing import Any

from t10c.report.html.plans import plans_document
from t10c.report.html.roofline import roofline_document
from t10c.report.html.sections import sections_document
from t10c.report.html.texts import compact, shown
from t10c.schedule.result import ModelPlan
from t10c.simulate.result import Breakdown, Effects, Simulation

MOST_POINTS = 20_000
"""Points of memory over time that a page holds."""


def page_document(simulation: Simulation, plan: ModelPlan | None) -> dict[str, Any]:
    """Times in cycles, sizes in bytes per core; `plans` is null without a plan."""
    effects = sum((operator.effects for operator in simulation.operators), Effects())
    return {
        "clock_hz": simulation.spec.clock_hz,
        "core_count": simulation.spec.core_count,
        "limit_bytes": simulation.spec.usable_bytes,
        "latency": compact(simulation.latency_cycles),
        "cost": _optional(simulation.cost_model_cycles),
        "bound": _optional(simulation.lower_bound_cycles),
        "parts": list(Breakdown().as_dict()),
        "effects": list(Effects().as_dict()),
        "spent": [compact(cycles) for cycles in simulation.breakdown.as_dict().values()],
        "effect_cycles": [compact(cycles) for cycles in effects.as_dict().values()],
        "activities": activities_document(simulation),
        "cost_parts": _cost_parts(simulation, plan),
        "sections": sections_document(simulation),
        "memory": memory_document(simulation),
        "roofline": roofline_document(simulation),
        "plans": None if plan is None else plans_document(simulation, plan),
        "peak_operator": shown(simulation.peak_operator),
    }


def _optional(cycles: float | None) -> float | int | None:
    return None if cycles is None else compact(cycles)


def activities_document(simulation: Simulation) -> dict[str, list[float | int]]:
    """What cores do, as the cost model counts it: each part with its syncs and its waiting.

    Per part of the phases: cycles of work or transfer, of syncs, and of waiting.
    """
    spent: dict[str, list[float]] = {}
    for phase in (phase for operator in simulation.operators for phase in operator.phases):
        cycles = spent.setdefault(phase.part, [0.0, 0.0, 0.0])
        parts = phase.breakdown
        cycles[0] += parts.total - parts.sync - parts.idle
        cycles[1] += parts.sync
        cycles[2] += parts.idle
    return {part: [compact(value) for value in values] for part, values in spent.items()}


def _cost_parts(simulation: Simulation, plan: ModelPlan | None) -> dict[str, float | int] | None:
    """The cost model's own split; its transfers count their syncs in, None on another chip."""
    if plan is None or simulation.cost_model_cycles is None:
        return None
    return {name: compact(cycles) for name, cycles in plan.breakdown_cycles().items()}


def memory_document(simulation: Simulation) -> dict[str, Any]:
    """Points from which on so many bytes are in use; of too many, the most in every interval."""
    points = simulation.memory
    width = -(-len(points) // MOST_POINTS) if points else 1
    merged = [points[i : i + width] for i in range(0, len(points), width)]
    return {
        "begin": [compact(group[0].begin_cycles) for group in merged],
        "bytes": [max(point.core_bytes for point in group) for group in merged],
        "merged": width,
    }
