"""The whole-model schedule: search every distinct operator, choose plans, price the result."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from t10c.hardware.spec import HardwareSpec
from t10c.ir.graph import Graph
from t10c.ir.plan import rtensor
from t10c.schedule.choices import Choices, Problem, find_choices
from t10c.schedule.descent import Setting, descend, forward_start, option_extra, settle_idle
from t10c.schedule.fit import does_not_fit, too_many_weights, unplaceable_operator
from t10c.schedule.memory import (
    Homes,
    StepMemory,
    live_homes,
    loose_weight_bytes,
    reserve_bytes,
    step_memory,
)
from t10c.schedule.options import DEFAULT_SCHEDULE, ScheduleOptions
from t10c.schedule.reconcile import Allocation, Menu, lower_bound, reconcile
from t10c.schedule.result import (
    CopyPlan,
    CostTerms,
    DoesNotFit,
    IdleWeight,
    MemoryTerms,
    ModelPlan,
    OperatorPlan,
    ProblemRecord,
    Transition,
)
from t10c.schedule.rowwise import split_rowwise
from t10c.schedule.smallest import Smallest, real_homes, smallest_assignment
from t10c.schedule.steps import build_sequence
from t10c.schedule.transition import TransitionPricer
from t10c.search.placement import placement_rule

Searcher = Callable[[list[Problem]], list[Choices]]
"""Searches distinct problems, in order; the caller decides where (processes, progress)."""

_TRIED_ALLOCATIONS = 3
_HOME_ROUNDS = 3


@dataclass(frozen=True)
class _Chosen:
    """One complete assignment: an option per step, its exact price and memory."""

    options: list[int]
    plans: list[int]
    homes: Homes
    memory: StepMemory
    transitions: list[tuple[Transition, ...]]
    cycles: float


def schedule_model(
    graph: Graph,
    spec: HardwareSpec,
    options: ScheduleOptions = DEFAULT_SCHEDULE,
    searcher: Searcher | None = None,
    overrides: tuple[str, ...] = (),
) -> ModelPlan | DoesNotFit:
    """Choose plans for all operators within every core's memory (docs/planning.md).

    `overrides` are recorded in the plan. Deterministic: the same input gives the same plan.
    """
    sequence = build_sequence(split_rowwise(graph, spec, options.search), options.persistent)
    problem_of: dict[Problem, int] = {}
    for step in sequence.steps:
        problem_of.setdefault(step.problem, len(problem_of))
    early = too_many_weights(sequence, spec)
    if early is not None:
        return early
    uniform = options.transitions == "uniform"
    if searcher is None:
        choices = [find_choices(p, spec, options.search, uniform) for p in problem_of]
    else:
        choices = searcher(list(problem_of))
    choice_of = tuple(problem_of[step.problem] for step in sequence.steps)
    for step in sequence.steps:
        if not choices[choice_of[step.index]].plans:
            return unplaceable_operator(sequence, step, choices[choice_of[step.index]], spec)
    setting = Setting(
        sequence,
        tuple(choices),
        choice_of,
        TransitionPricer(sequence, tuple(choices), choice_of, spec),
        not uniform,
    )
    chosen = _choose(setting, spec)
    if chosen is None:
        smallest = smallest_assignment(setting, spec)
        if int(smallest.memory.peak.max()) > spec.usable_bytes:
            return does_not_fit(setting, spec, smallest)
        chosen = _from_smallest(setting, smallest, spec)
    return _assemble(setting, spec, options, chosen, overrides)


def _choose(setting: Setting, spec: HardwareSpec) -> _Chosen | None:
    """The best assignment found: greedy allocations, each improved by descent."""
    if not setting.sequence.steps:
        empty = np.zeros(0, dtype=np.int64)
        return _Chosen([], [], Homes(empty, empty), StepMemory(empty, empty), [], 0.0)
    fixed = reserve_bytes(spec) + loose_weight_bytes(setting.sequence, spec)
    homes = live_homes(setting.sequence, spec)
    best: _Chosen | None = None
    for _ in range(_HOME_ROUNDS):
        allocations = _allocations(setting, homes, fixed, spec)
        for allocation in allocations[:_TRIED_ALLOCATIONS]:
            found = _complete(setting, allocation, homes, fixed, spec)
            if found is not None and (best is None or found.cycles < best.cycles - 1e-9):
                best = found
        if best is not None or not allocations:
            break
        # no allocation survived its own homes: assume what its plans really leave lying
        plans = [int(setting.of_step(s).plan[o]) for s, o in enumerate(allocations[0].options)]
        homes = real_homes(setting, plans, spec)
    return best


def _allocations(
    setting: Setting, homes: Homes, fixed: int, spec: HardwareSpec
) -> list[Allocation]:
    """Greedy allocations of idle memory, with transitions at their uniform price."""
    menus: list[Menu] = []
    number: dict[tuple[int, int], int] = {}
    menu_of = []
    for step, choice in enumerate(setting.choice_of):
        key = (choice, int(homes.dying[step]))
        if key not in number:
            number[key] = len(menus)
            choices = setting.choices[choice]
            time = (choices.execution + choices.uniform_transition)[choices.plan] + choices.setup
            menus.append(Menu(choices.idle_bytes, option_extra(choices, key[1]), time))
        menu_of.append(number[key])
    return reconcile(menus, menu_of, homes.live + fixed, spec.usable_bytes)


def _complete(
    setting: Setting, allocation: Allocation, homes: Homes, fixed: int, spec: HardwareSpec
) -> _Chosen | None:
    """Improve an allocation by descent where transitions are exact, and settle its memory.

    The greedy's own plans are a candidate too, so descent never loses to it. It can end in a local
    optimum, so it also starts from plans chosen in execution order.
    """
    greedy = [int(setting.of_step(s).plan[o]) for s, o in enumerate(allocation.options)]
    candidates = [greedy]
    if setting.exact:
        allowed = spec.usable_bytes - allocation.idle_limit - homes.live - fixed
        for start in (greedy, forward_start(setting, greedy, homes, allowed, allocation.price)):
            candidates.append(descend(setting, start, homes, allowed, allocation.price))
    best: _Chosen | None = None
    for plans in candidates:
        real = real_homes(setting, plans, spec)
        options = settle_idle(setting, plans, real, fixed, spec.usable_bytes)
        if options is None:
            continue
        found = _price(setting, plans, options, real, fixed)
        if best is None or found.cycles < best.cycles - 1e-9:
            best = found
    return best


def _from_smallest(setting: Setting, smallest: Smallest, spec: HardwareSpec) -> _Chosen:
    """The plans that need least memory, with what is left of it given to idle weights."""
    fixed = reserve_bytes(spec) + loose_weight_bytes(setting.sequence, spec)
    plans = [int(setting.of_step(s).plan[o]) for s, o in enumerate(smallest.options)]
    options = settle_idle(setting, plans, smallest.homes, fixed, spec.usable_bytes)
    assert options is not None, "the smallest assignment fits"
    return _price(setting, plans, options, smallest.homes, fixed)


def _price(
    setting: Setting, plans: list[int], options: list[int], homes: Homes, fixed: int
) -> _Chosen:
    """Exact price and memory of a complete assignment."""
    steps = range(len(plans))
    transitions = [_transitions(setting, plans, options, step) for step in steps]
    cycles = 0.0
    for step in steps:
        choices = setting.of_step(step)
        cycles += float(choices.execution[plans[step]] + choices.setup[options[step]])
        cycles += _exchange_cycles(setting, transitions[step])
        if not setting.exact:
            cycles += float(choices.uniform_transition[plans[step]])
    memory = step_memory(
        np.array([setting.of_step(s).idle_bytes[options[s]] for s in steps], dtype=np.int64),
        np.array([setting.of_step(s).active_bytes[plans[s]] for s in steps], dtype=np.int64),
        np.array([setting.of_step(s).input_bytes[plans[s]] for s in steps], dtype=np.int64),
        homes,
        fixed,
    )
    return _Chosen(options, plans, homes, memory, transitions, cycles)


def _transitions(
    setting: Setting, plans: list[int], options: list[int], step: int
) -> tuple[Transition, ...]:
    """Exact transitions of a step's reads; none where they are priced uniformly."""
    if not setting.exact:
        return ()
    found = []
    expression = setting.sequence.steps[step].problem.expression
    for position, read in enumerate(setting.sequence.steps[step].reads):
        states = setting.pricer.states(step, position, plans)
        reuse = setting.pricer.reuse_state(step, position, plans)
        size, reused = setting.pricer.received_bytes(
            step, position, plans[step], states, reuse, options
        )
        found.append(
            Transition(
                operand=expression.inputs[read.operand].name,
                tensor=read.tensor,
                sources=tuple(source.tensor for source in read.sources),
                received_bytes=size,
                reused=reused,
            )
        )
    return tuple(found)


def _exchange_cycles(setting: Setting, transitions: tuple[Transition, ...]) -> float:
    """Cycles of the one exchange that fetches all operands of an operator."""
    return float(setting.pricer.cycles(sum(t.received_bytes for t in transitions)))


def _assemble(
    setting: Setting,
    spec: HardwareSpec,
    options: ScheduleOptions,
    chosen: _Chosen,
    overrides: tuple[str, ...],
) -> ModelPlan:
    """The chosen assignment as values."""
    operators = tuple(
        _operator_plan(setting, spec, chosen, step) for step in range(len(chosen.plans))
    )
    copies = tuple(
        _copy_plan(setting, spec, copy.operator.name, copy.elements)
        for copy in setting.sequence.copies
    )
    problems = tuple(
        ProblemRecord(
            digest=choices.problem.expression.digest,
            expression=choices.problem.expression,
            operators=setting.choice_of.count(number),
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
    return ModelPlan(
        graph=setting.sequence.graph,
        spec=spec,
        options=options,
        overrides=overrides,
        operators=operators,
        copies=copies,
        problems=problems,
        lower_bound_cycles=bound,
        uniform_cycles=uniform,
        search_cpu_seconds=sum(c.search.cpu_seconds for c in setting.choices),
    )


def _copy_plan(setting: Setting, spec: HardwareSpec, name: str, elements: int) -> CopyPlan:
    size = -(-elements // spec.core_count) * spec.element_bytes
    cycles = float(setting.pricer.cycles(size)) if setting.exact else 0.0
    return CopyPlan(name, size, cycles)


def _operator_plan(
    setting: Setting, spec: HardwareSpec, chosen: _Chosen, step: int
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
    own_sync = expression.kernel in ("pointwise", "pool")
    transition = _exchange_cycles(setting, chosen.transitions[step])
    if not setting.exact:
        transition = float(choices.uniform_transition[chosen.plans[step]])
    cost = CostTerms(
        setup=float(choices.setup[chosen.options[step]]),
        transition=transition,
        compute=entry.compute_cycles,
        epilogue=entry.epilogue_cycles,
        shift=entry.shift_cycles,
        reduction=entry.reduction_cycles,
        sync=entry.end_cycles if own_sync else 0.0,
    )
    return OperatorPlan(
        name=operator.name,
        problem=setting.choice_of[step],
        plan=entry.plan,
        placement=placement_rule(expression, entry.plan),
        rtensors=tuple(rtensor(expression, entry.plan, o) for o in expression.operands),
        piece_bytes=entry.piece_bytes,
        idle=idle,
        transitions=chosen.transitions[step],
        memory=_memory_terms(setting, spec, chosen, step),
        cost=cost,
    )


def _memory_terms(setting: Setting, spec: HardwareSpec, chosen: _Chosen, step: int) -> MemoryTerms:
    choices = setting.of_step(step)
    idle = sum(
        int(setting.of_step(s).idle_bytes[o]) for s, o in enumerate(chosen.options) if s != step
    )
    loose = loose_weight_bytes(setting.sequence, spec)
    return MemoryTerms(
        idle_weights=idle + loose,
        active_pieces=int(choices.active_bytes[chosen.plans[step]]),
        live_activations=int(chosen.homes.live[step]),
        shift_buffer=reserve_bytes(spec),
        fetch_total=int(chosen.memory.fetch[step]),
        total=int(chosen.memory.run[step]),
    )
