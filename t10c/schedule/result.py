"""What the schedule says: a model plan, or why the model does not fit."""

from dataclasses import dataclass, field
from functools import cached_property

from t10c.hardware.spec import HardwareSpec
from t10c.ir.expression import TensorExpression
from t10c.ir.graph import Graph
from t10c.ir.plan import Plan, RTensor
from t10c.ir.positions import CorePositions
from t10c.schedule.idle import IdleCut
from t10c.schedule.options import ScheduleOptions
from t10c.search.operator import FrontEntry, SearchRecord


@dataclass(frozen=True, slots=True)
class MemoryTerms:
    """Bytes per core: the first four make up `total`, the demand while the operator runs.

    `shift_buffer` is the reserved buffer, or the second copies of rotating pieces. `fetch_total` is
    the demand just before, while its operands are brought into place.
    """

    idle_weights: int
    active_pieces: int
    live_activations: int
    shift_buffer: int
    fetch_total: int
    total: int


@dataclass(frozen=True, slots=True)
class CostTerms:
    """Cycles of one operator by what they are spent on; they sum to `total`."""

    setup: float
    transition: float
    compute: float
    epilogue: float
    shift: float
    reduction: float
    sync: float

    @property
    def total(self) -> float:
        """Cycles from the operator's setup to its end."""
        return (
            self.setup
            + self.transition
            + self.compute
            + self.epilogue
            + self.shift
            + self.reduction
            + self.sync
        )


@dataclass(frozen=True, slots=True)
class IdleWeight:
    """A weight's idle plan: the active plan cut `ratio` times further, by axis in `factors`."""

    operand: str
    tensor: str
    active_bytes: int
    cut: IdleCut


@dataclass(frozen=True, slots=True)
class Transition:
    """Bringing one operand into place: the most bytes that any core receives.

    All operands of an operator share one exchange, priced in its cost terms. `reused` says that the
    copy of the operator just before served instead of the tensor's home; `kept_bytes` is what it
    takes besides the operand meanwhile, nothing where it lies as the operand does.
    """

    operand: str
    tensor: str
    sources: tuple[str, ...]
    received_bytes: int
    reused: bool
    kept_bytes: int = field(default=0, metadata={"omit_default": True})


@dataclass(frozen=True, slots=True)
class OperatorPlan:
    """One operator as planned; `problem` numbers its entry in `ModelPlan.problems`."""

    name: str
    problem: int
    plan: Plan
    placement: str
    rtensors: tuple[RTensor, ...]
    piece_bytes: tuple[int, ...]
    idle: tuple[IdleWeight, ...]
    transitions: tuple[Transition, ...]
    memory_bytes: MemoryTerms
    cost_cycles: CostTerms


@dataclass(frozen=True)
class ProblemRecord:
    """A distinct planning problem: what its search looked at, and its Pareto front."""

    digest: str
    expression: TensorExpression
    operators: int
    search: SearchRecord
    front: tuple[FrontEntry, ...]


@dataclass(frozen=True, slots=True)
class CopyPlan:
    """A layout-only operator that must move its data."""

    name: str
    received_bytes: int
    cycles: float


_ENDS = ("gap", "exhausted", "time", "interrupted")


@dataclass(frozen=True, slots=True)
class JointRecord:
    """How the search over all steps together ended.

    `plans` were compared singly, over all problems. `stopped` is `gap` (small enough), `exhausted`
    (nothing left to compare), `time` (the limit) or `interrupted`.
    """

    rounds: int
    plans: int
    stopped: str

    def __post_init__(self) -> None:
        if min(self.rounds, self.plans) < 0:
            raise ValueError("rounds and plans are at least 0")
        if self.stopped not in _ENDS:
            raise ValueError(f"stopped is one of {', '.join(_ENDS)}, not {self.stopped[:40]!r}")

    @property
    def truncated(self) -> bool:
        """Whether more time could have brought more."""
        return self.stopped in ("time", "interrupted")


@dataclass(frozen=True)
class ModelPlan:
    """Plans of all operators of a model, with the bound no plan can undercut.

    `lower_bound_cycles` holds over all feasible plans of the searched spaces; `gap` is the share of
    the latency above it. `uniform_cycles` is the latency with uniform transitions instead.
    `end_bytes` is the demand per core after the last operator: idle weights and graph outputs.
    `positions` says where the cores are on a mesh or torus, None on other chips; `joint` how the
    search over all steps together ended, None without a time limit. `least_bytes` is what no plans
    can take less than, per core, where memory was the objective.
    """

    graph: Graph
    spec: HardwareSpec
    options: ScheduleOptions
    overrides: tuple[str, ...]
    operators: tuple[OperatorPlan, ...]
    copies: tuple[CopyPlan, ...]
    problems: tuple[ProblemRecord, ...]
    lower_bound_cycles: float
    uniform_cycles: float
    end_bytes: int
    positions: CorePositions | None = None
    joint: JointRecord | None = None
    least_bytes: int | None = None
    search_cpu_seconds: float = field(default=0.0, compare=False)
    """CPU seconds of all searches; not part of the plan's identity and not written to its file."""
    recalled_problems: int = field(default=0, compare=False)
    """How many of the searches were found in the cache; not part of the plan's identity either."""

    @cached_property
    def latency_cycles(self) -> float:
        """Predicted cycles of one inference: setup, transitions and execution of all operators."""
        return sum(self.breakdown_cycles().values())

    @property
    def latency_seconds(self) -> float:
        """The latency at the chip's clock."""
        return self.latency_cycles / self.spec.clock_hz

    @cached_property
    def peak_core_bytes(self) -> int:
        """Largest demand at any time, in bytes per core."""
        demands = [max(o.memory_bytes.total, o.memory_bytes.fetch_total) for o in self.operators]
        return max([*demands, self.end_bytes])

    @property
    def gap(self) -> float:
        """(latency - lower bound) / latency: how far from optimal the plan can be at most."""
        latency = self.latency_cycles
        return (latency - self.lower_bound_cycles) / latency if latency else 0.0

    @property
    def memory_gap(self) -> float:
        """Share of the peak above `least_bytes`; 0 where that is not known."""
        peak = self.peak_core_bytes
        return (peak - self.least_bytes) / peak if self.least_bytes is not None and peak else 0.0

    def fallback_operators(self) -> tuple[OperatorPlan, ...]:
        """The operators without a tensor expression, which run on one core."""
        return tuple(o for o in self.operators if self._is_fallback(o))

    def fallback_cycles(self) -> float:
        """Cycles of fallback operators: what they gather and compute, and what others fetch of it.

        Operands of one exchange share its cycles by their bytes; an operand that comes partly from
        a fallback operator counts in full.
        """
        made = {
            operator.output
            for operator, plan in zip(self.graph.planned, self.operators, strict=True)
            if self._is_fallback(plan)
        }
        if not made:
            return 0.0
        total = 0.0
        for operator in self.operators:
            if self._is_fallback(operator):
                total += operator.cost_cycles.total
                continue
            sizes = [t.received_bytes for t in operator.transitions]
            scattered = [
                t.received_bytes for t in operator.transitions if made.intersection(t.sources)
            ]
            if sum(scattered):
                total += operator.cost_cycles.transition * sum(scattered) / sum(sizes)
        return total

    def _is_fallback(self, operator: OperatorPlan) -> bool:
        return self.problems[operator.problem].expression.kernel == "fallback"

    def breakdown_cycles(self) -> dict[str, float]:
        """Where the latency goes; the parts sum to it. Epilogues count as compute."""
        return dict(self._breakdown)

    @cached_property
    def _breakdown(self) -> dict[str, float]:
        costs = [o.cost_cycles for o in self.operators]
        return {
            "compute": sum(c.compute + c.epilogue for c in costs),
            "shift": sum(c.shift for c in costs),
            "reduction": sum(c.reduction for c in costs),
            "transition": sum(c.transition for c in costs) + sum(c.cycles for c in self.copies),
            "setup": sum(c.setup for c in costs),
            "sync": sum(c.sync for c in costs),
        }


@dataclass(frozen=True)
class DoesNotFit:
    """A model that does not fit: who demands how much, made of what, and what would help."""

    graph: Graph
    spec: HardwareSpec
    operator: str
    demanded_bytes: int
    available_bytes: int
    terms: tuple[tuple[str, int], ...]
    levers: tuple[str, ...]
    proven: bool
    """Whether no plan at all can fit (else: none was found)."""
