"""The model plan of a chosen assignment: what was chosen and priced, as values."""

from collections import Counter
from dataclasses import dataclass, replace

from t10c.hardware.spec import HardwareSpec
from t10c.hardware.tiles import ends_with_sync
from t10c.hardware.width import size_bytes
from t10c.ir.plan import RTensor, rtensor
from t10c.schedule.assignment import Assignment, exchange_cycles
from t10c.schedule.options import ScheduleOptions
from t10c.schedule.reconcile import lower_bound
from t10c.schedule.result import (
    CopyPlan,
    CostTerms,
    IdleWeight,
    MemoryTerms,
    ModelPlan,
    OperatorPlan,
    ProblemRecord,
)
from t10c.schedule.setting import Setting
from t10c.schedule.steps import Copy
from t10c.search.placement import placement_rule


def assemble(
    setting: Setting,
    spec: HardwareSpec,
    options: ScheduleOptions,
    chosen: Assignment,
    overrides: tuple[str, ...],
) -> ModelPlan:
    """The chosen assignment as values."""
    parts: dict[tuple[int, int], _Parts] = {}
    operators = tuple(
        _operator_plan(setting, spec, chosen, step, _parts(setting, chosen, step, parts))
        for step in range(len(chosen.plans))
    )
    numbers = Counter(setting.choice_of)
    copies = tuple(_copy_plan(setting, spec, copy) for copy in setting.sequence.copies)
    problems = tuple(
        ProblemRecord(
            digest=choices.problem.expression.digest,
            expression=choices.problem.expression,
            operators=numbers[number],
            search=choices.search.record,
            front=choices.search.front,
        )
        for number, choices in enumerate(setting.choices)
    )
    uniform = 0.0
    for step, option in enumerate(chosen.options):
        choices = setting.of_step(step)
        plan = chosen.plans[step]
        uniform += float(choices.execution[plan] + choices.setup[option])
        uniform += float(choices.uniform_transition[plan])
    bound = 0.0
    if setting.choices:
        bound = max(0.0, lower_bound(setting.choices, setting.choice_of, spec.usable_bytes))
    result = ModelPlan(
        graph=setting.sequence.graph,
        spec=spec,
        options=options,
        overrides=overrides,
        operators=operators,
        copies=copies,
        problems=problems,
        lower_bound_cycles=bound,
        uniform_cycles=uniform,
        end_bytes=chosen.memory.end,
        search_cpu_seconds=sum(c.search.cpu_seconds for c in setting.choices),
    )
    # equal up to the order of summation where every operator got its best plan
    assert bound <= result.latency_cycles * (1 + 1e-9), "the bound holds for every plan"
    return replace(result, lower_bound_cycles=min(bound, result.latency_cycles))


def _copy_plan(setting: Setting, spec: HardwareSpec, copy: Copy) -> CopyPlan:
    """A copy from even spread to even spread; free where transitions are priced uniformly."""
    size = size_bytes(spec, -(-copy.elements // spec.core_count), copy.bits)
    cycles = float(setting.pricer.cycles(size)) if setting.exact else 0.0
    return CopyPlan(copy.operator.name, size, cycles)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What all operators of one problem have in common under one plan."""

    placement: str
    rtensors: tuple[RTensor, ...]


def _parts(
    setting: Setting, chosen: Assignment, step: int, known: dict[tuple[int, int], _Parts]
) -> _Parts:
    """The parts of a step's operator, which are derived once; `known` has those derived so far."""
    key = (setting.choice_of[step], chosen.plans[step])
    if key not in known:
        choices = setting.of_step(step)
        expression, plan = choices.problem.expression, choices.plans[key[1]].plan
        known[key] = _Parts(
            placement=placement_rule(expression, plan),
            rtensors=tuple(rtensor(expression, plan, o) for o in expression.operands),
        )
    return known[key]


def _operator_plan(
    setting: Setting, spec: HardwareSpec, chosen: Assignment, step: int, parts: _Parts
) -> OperatorPlan:
    """One step of the chosen assignment as values."""
    operator = setting.sequence.steps[step].operator
    choices = setting.of_step(step)
    problem = choices.problem
    expression = problem.expression
    entry = choices.plans[chosen.plans[step]]
    cuts = choices.cuts[chosen.options[step]]
    idle = tuple(
        IdleWeight(
            operand=expression.inputs[position].name,
            tensor=operator.inputs[position],
            active_bytes=entry.piece_bytes[position],
            cut=cut,
        )
        for position, cut in zip(problem.weights, cuts, strict=True)
    )
    transition = exchange_cycles(setting, chosen.transitions[step])
    if not setting.exact:
        transition = float(choices.uniform_transition[chosen.plans[step]])
    cost = CostTerms(
        setup=float(choices.setup[chosen.options[step]]),
        transition=transition,
        compute=entry.compute_cycles,
        epilogue=entry.epilogue_cycles,
        shift=entry.shift_cycles,
        reduction=entry.reduction_cycles,
        sync=entry.end_cycles if ends_with_sync(expression) else 0.0,
    )
    return OperatorPlan(
        name=operator.name,
        problem=setting.choice_of[step],
        plan=entry.plan,
        placement=parts.placement,
        rtensors=parts.rtensors,
        piece_bytes=entry.piece_bytes,
        idle=idle,
        transitions=chosen.transitions[step],
        memory_bytes=_memory_terms(setting, spec, chosen, step),
        cost_cycles=cost,
    )


def _memory_terms(
    setting: Setting, spec: HardwareSpec, chosen: Assignment, step: int
) -> MemoryTerms:
    """Demand of one step by what it is made of, bytes per core."""
    choices = setting.of_step(step)
    fixed = spec.shift_buffer.reserved_bytes
    idle = chosen.memory.end - chosen.homes.end - fixed  # and weights that no operator owns
    idle -= int(choices.idle_bytes[chosen.options[step]])
    plan = chosen.plans[step]
    pieces = sum(choices.plans[plan].piece_bytes)
    second_copies = int(choices.active_bytes[plan]) - pieces
    return MemoryTerms(
        idle_weights=idle,
        active_pieces=pieces,
        live_activations=int(chosen.homes.live[step]),
        shift_buffer=fixed + second_copies,
        fetch_total=int(chosen.memory.fetch[step]),
        total=int(chosen.memory.run[step]),
    )
