"""Simulations made of a plan's own costs: time lines for reports, without a simulator."""

from dataclasses import replace

from t10c.schedule.result import ModelPlan, OperatorPlan
from t10c.simulate.result import (
    Breakdown,
    Effects,
    MemoryPoint,
    OperatorTiming,
    Part,
    Phase,
    Simulation,
)

_WAITING = 0.1
"""Share of computing that the average core waits."""


def simulation_of(plan: ModelPlan, times: int = 1) -> Simulation:
    """The plan's operators on a time line, all of them `times` times over."""
    begin, timings, points = 0.0, [], []
    for number in range(times):
        for operator in plan.operators:
            timing = _timing(
                plan, operator, begin, f"{operator.name}" + f"#{number}" * (number > 0)
            )
            points += [
                MemoryPoint(begin, operator.memory_bytes.fetch_total),
                MemoryPoint(begin + timing.cycles / 4, operator.memory_bytes.total),
            ]
            timings.append(timing)
            begin = timing.end_cycles
    return Simulation(
        model=plan.graph.name,
        spec=plan.spec,
        operators=tuple(timings),
        memory=tuple(points),
        lower_bound_cycles=times * plan.lower_bound_cycles,
        overrides=plan.overrides,
        notes=("host transfers have no price",),
    )


def _timing(plan: ModelPlan, operator: OperatorPlan, begin: float, name: str) -> OperatorTiming:
    expression = plan.problems[operator.problem].expression
    cost = operator.cost_cycles
    syncs = 2 * plan.spec.interconnect.sync_cycles
    computed = cost.compute + cost.epilogue
    computing = Breakdown(compute=computed * (1 - _WAITING), idle=computed * _WAITING)
    steps: list[tuple[Part, str, Breakdown]] = [
        ("setup", "setup of weights", Breakdown(setup=cost.setup)),
        ("transition", "transition of activations", Breakdown(transition=cost.transition)),
        ("compute", f"compute use:{name}:C", computing),
        ("shift", f"shift use:{name}:A", Breakdown(shift=cost.shift)),
        ("reduction", "reduction of C", Breakdown(reduction=cost.reduction)),
        ("sync", "the end", Breakdown(sync=cost.sync)),
    ]
    phases, at = [], begin
    for part, text, spent in steps:
        if not spent.total:
            continue
        end = at + spent.total
        if part == "compute":  # shifts and computing take turns
            end += cost.shift
        first = at if part != "shift" else at - computed - cost.shift
        end = end if part != "shift" else at
        phases.append(Phase(part, text, 4, first, end, spent, Effects(), 512, 512, 4096, 1))
        at = end
    total = sum((phase.breakdown for phase in phases), Breakdown())
    rounds = min(syncs, cost.shift)
    effects = Effects(short_blocks=-0.05 * computed, transfer_rounds=rounds)
    return OperatorTiming(
        name=name,
        op_type=expression.kernel.title(),
        kernel=expression.kernel,
        core_count=plan.spec.core_count,
        begin_cycles=begin,
        breakdown=total,
        effects=effects,
        phases=tuple(phases),
        peak_core_bytes=max(operator.memory_bytes.total, operator.memory_bytes.fetch_total),
        moved_bytes=sum(t.received_bytes for t in operator.transitions) * plan.spec.core_count,
        flop=(2.0 if expression.kernel in ("matmul", "conv") else 1.0) * expression.points,
        cost_model_cycles=cost.total + 0.05 * computed - rounds,
    )


def renamed(simulation: Simulation, name: str) -> Simulation:
    """The same with another name in every place of a name."""
    operators = tuple(
        replace(o, name=f"{name}{number}", op_type=name, kernel=name)
        for number, o in enumerate(simulation.operators)
    )
    return replace(simulation, model=name, operators=operators, notes=(name,), overrides=(name,))
