"""The model plan of a chosen assignment: what was chosen and priced, as values."""

from collections import Counter
from dataclasses import replace

from t10c.hardware.spec import HardwareSpec
from t10c.hardware.tiles import ends_with_sync
from t10c.hardware.width import size_bytes
from t10c.ir.expression import TensorExpression
from t10c.ir.plan import Plan, RTensor, rtensor
from t10c.schedule.assignment import Assignment, transitions
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
    for step, option in enumerate(chosen.options):
        choices = setting.of_step(step)
        plan = chosen.plans[step]
        uniform += float(choices.execution[plan] + choices.setup[option])
        uniform += float(choices.uniform_transition[plan])
    bound = 0.0
    if setting.choices:
        bound = max(0.0, lower_bound(setting.choices, setting.choice_of, spec.usable_bytes))
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


class _Shared:
    """What operators of a chosen assignment have in common; equal values are one object."""

    def __init__(self, setting: Setting, spec: HardwareSpec, chosen: Assignment) -> None:
        self.setting = setting
        self.spec = spec
        self.chosen = chosen
        self._placements: dict[tuple[int, int], str] = {}
        self._rtensors: dict[tuple[int, int], tuple[RTensor, ...]] = {}
        self._costs: dict[CostTerms, CostTerms] = {}
        self._memory: dict[MemoryTerms, MemoryTerms] = {}

    def placement(self, step: int) -> str:
        """By which rule the step's pieces are placed."""
        key = (self.setting.choice_of[step], self.chosen.plans[step])
        if key not in self._placements:
            self._placements[key] = placement_rule(*self._plan(step))
        return self._placements[key]

    def rtensors(self, step: int) -> tuple[RTensor, ...]:
        """The step's operands as its plan views them."""
        key = (self.setting.choice_of[step], self.chosen.plans[step])
        if key not in self._rtensors:
            expression, plan = self._plan(step)
            self._rtensors[key] = tuple(rtensor(expression, plan, o) for o in expression.operands)
        return self._rtensors[key]

    def _plan(self, step: int) -> tuple[TensorExpression, Plan]:
        choices = self.setting.of_step(step)
        return choices.problem.expression, choices.plans[self.chosen.plans[step]].plan

    def cost(self, step: int) -> CostTerms:
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

    def memory(self, step: int) -> MemoryTerms:
        """Demand of the step by what it is made of, bytes per core."""
        choices, chosen = self.setting.of_step(step), self.chosen
        fixed = self.spec.shift_buffer.reserved_bytes
        idle = chosen.memory.end - chosen.homes.end - fixed  # and weights that no operator owns
        idle -= int(choices.idle_bytes[chosen.options[step]])
        plan = chosen.plans[step]
        pieces = sum(choices.plans[plan].piece_bytes)
        second_copies = int(choices.active_bytes[plan]) - pieces
        memory = MemoryTerms(
            idle_weights=idle,
            active_pieces=pieces,
            live_activations=int(chosen.homes.live[step]),
            shift_buffer=fixed + second_copies,
            fetch_total=int(chosen.memory.fetch[step]),
            total=int(chosen.memory.run[step]),
        )
        return self._memory.setdefault(memory, memory)


def _operator_plan(shared: _Shared, step: int) -> OperatorPlan:
    """One step of the chosen assignment as values."""
    setting, chosen = shared.setting, shared.chosen
    operator = setting.sequence.steps[step].operator
    choices = setting.of_step(step)
    problem = choices.problem
    entry = choices.plans[chosen.plans[step]]
    idle = tuple(
        IdleWeight(
            operand=problem.expression.inputs[position].name,
            tensor=operator.inputs[position],
            active_bytes=entry.piece_bytes[position],
            cut=cut,
        )
        for position, cut in zip(problem.weights, choices.cuts[chosen.options[step]], strict=True)
    )
    return OperatorPlan(
        name=operator.name,
        problem=setting.choice_of[step],
        plan=entry.plan,
        placement=shared.placement(step),
        rtensors=shared.rtensors(step),
        piece_bytes=entry.piece_bytes,
        idle=idle,
        transitions=transitions(setting.sequence.steps[step], chosen.fetches[step]),
        memory_bytes=shared.memory(step),
        cost_cycles=shared.cost(step),
    )
