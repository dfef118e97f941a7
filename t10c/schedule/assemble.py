"""The model plan of a chosen assignment: what was chosen and priced, as values."""

from collections import Counter
from dataclasses import dataclass, replace

from t10c.hardware.spec import HardwareSpec
from t10c.hardware.tiles import ends_with_sync
from t10c.hardware.width import size_bytes
from t10c.ir.plan import RTensor, rtensor
from t10c.schedule.assignment import (
    Assignment,
    added_up,
    running,
    transitions,
    uniform_transitions,
)
from t10c.schedule.idle import IdleCut
from t10c.schedule.joint import Joint
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
from t10c.search.operator import FrontEntry
from t10c.search.placement import placement_rule


def assemble(
    setting: Setting,
    spec: HardwareSpec,
    options: ScheduleOptions,
    chosen: Assignment,
    overrides: tuple[str, ...],
    joint: Joint | None = None,
) -> ModelPlan:
    """The chosen assignment as values."""
    shared = _Shared(setting, spec, chosen)
    operators = tuple(_operator_plan(shared, step) for step in range(len(chosen.plans)))
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
    bound = sum(copy.cycles for copy in copies)  # whatever is chosen
    if setting.choices:
        transition_cycles = uniform_transitions(setting, chosen.plans)
        uniform = added_up(running(setting, chosen.plans, chosen.options), transition_cycles)
        least = lower_bound(setting.choices, setting.choice_of, spec.usable_bytes)
        bound += max(0.0, least)
    if joint is not None:
        bound = max(bound, joint.bound_cycles)
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
        joint=None if joint is None else joint.record,
        search_cpu_seconds=sum(c.search.cpu_seconds for c in setting.choices),
        recalled_problems=sum(c.search.recalled for c in setting.choices),
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
class _Alike:
    """What operators have in common that have the same choices, plan, option and fetch.

    `idle` are the weights: operand, position among the inputs, active bytes and idle cut, and
    `idle_bytes` what they take. All operands' active pieces take `piece_bytes`, and rotating ones
    `second_copies` more; bytes per core.
    """

    problem: int
    entry: FrontEntry
    placement: str
    rtensors: tuple[RTensor, ...]
    idle: tuple[tuple[str, int, int, IdleCut], ...]
    idle_bytes: int
    piece_bytes: int
    second_copies: int
    cost: CostTerms


class _Shared:
    """What operators of a chosen assignment have in common; equal values are one object."""

    def __init__(self, setting: Setting, spec: HardwareSpec, chosen: Assignment) -> None:
        self.setting = setting
        self.spec = spec
        self.chosen = chosen
        self._alike: dict[tuple[int, ...], _Alike] = {}
        self._placed: dict[tuple[int, int], tuple[str, tuple[RTensor, ...]]] = {}
        self._costs: dict[CostTerms, CostTerms] = {}
        self._memory: dict[tuple[int, ...], MemoryTerms] = {}
        self._bytes = [
            values.tolist()
            for values in (chosen.homes.live, chosen.memory.fetch, chosen.memory.run)
        ]

    def alike(self, step: int) -> _Alike:
        """What the step shares with others."""
        chosen = self.chosen
        # fetches that are alike are one object, which lives as long as the assignment
        key = (
            self.setting.choice_of[step],
            chosen.plans[step],
            chosen.options[step],
            id(chosen.fetches[step]),
        )
        found = self._alike.get(key)
        if found is None:
            found = self._alike[key] = self._made(step)
        return found

    def _made(self, step: int) -> _Alike:
        choices, chosen = self.setting.of_step(step), self.chosen
        plan, option = chosen.plans[step], chosen.options[step]
        entry, problem = choices.plans[plan], choices.problem
        placement, rtensors = self._placement(step)
        pieces = sum(entry.piece_bytes)
        idle = tuple(
            (problem.expression.inputs[position].name, position, entry.piece_bytes[position], cut)
            for position, cut in zip(problem.weights, choices.cuts[option], strict=True)
        )
        return _Alike(
            problem=self.setting.choice_of[step],
            entry=entry,
            placement=placement,
            rtensors=rtensors,
            idle=idle,
            idle_bytes=int(choices.idle_bytes[option]),
            piece_bytes=pieces,
            second_copies=int(choices.active_bytes[plan]) - pieces,
            cost=self._cost(step),
        )

    def _placement(self, step: int) -> tuple[str, tuple[RTensor, ...]]:
        """By which rule the step's pieces are placed, and its operands as its plan views them."""
        key = (self.setting.choice_of[step], self.chosen.plans[step])
        if key not in self._placed:
            choices = self.setting.of_step(step)
            expression, plan = choices.problem.expression, choices.plans[key[1]].plan
            views = tuple(rtensor(expression, plan, o) for o in expression.operands)
            self._placed[key] = (placement_rule(expression, plan), views)
        return self._placed[key]

    def _cost(self, step: int) -> CostTerms:
        """Cycles of the step by what they are spent on."""
        setting, plan = self.setting, self.chosen.plans[step]
        choices = setting.of_step(step)
        entry = choices.plans[plan]
        transition = self.chosen.fetches[step].cycles
        if not setting.exact:
            transition = float(choices.uniform_transition[plan])
        cost = CostTerms(
            setup=float(choices.setup[self.chosen.options[step]]),
            transition=transition,
            compute=entry.compute_cycles,
            epilogue=entry.epilogue_cycles,
            shift=entry.shift_cycles,
            reduction=entry.reduction_cycles,
            sync=entry.end_cycles if ends_with_sync(choices.problem.expression) else 0.0,
        )
        return self._costs.setdefault(cost, cost)

    def memory(self, step: int, alike: _Alike) -> MemoryTerms:
        """Demand of the step by what it is made of, bytes per core."""
        lives, fetches, runs = self._bytes
        live, fetch, run = lives[step], fetches[step], runs[step]
        key = (live, fetch, run, id(alike))
        found = self._memory.get(key)
        if found is None:
            chosen = self.chosen
            fixed = self.spec.shift_buffer.reserved_bytes
            idle = chosen.memory.end - chosen.homes.end - fixed  # and weights nobody owns
            found = self._memory[key] = MemoryTerms(
                idle_weights=idle - alike.idle_bytes,
                active_pieces=alike.piece_bytes,
                live_activations=live,
                shift_buffer=fixed + alike.second_copies,
                fetch_total=fetch,
                total=run,
            )
        return found


def _operator_plan(shared: _Shared, step: int) -> OperatorPlan:
    """One step of the chosen assignment as values."""
    own = shared.setting.sequence.steps[step]
    operator, alike = own.operator, shared.alike(step)
    idle = [
        IdleWeight(operand, operator.inputs[position], active_bytes, cut)
        for operand, position, active_bytes, cut in alike.idle
    ]
    return OperatorPlan(
        name=operator.name,
        problem=alike.problem,
        plan=alike.entry.plan,
        placement=alike.placement,
        rtensors=alike.rtensors,
        piece_bytes=alike.entry.piece_bytes,
        idle=tuple(idle),
        transitions=transitions(own, shared.chosen.fetches[step]),
        memory_bytes=shared.memory(step, alike),
        cost_cycles=alike.cost,
    )
