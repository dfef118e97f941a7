"""What a simulation says: the time line of one inference, where time and memory go, and why.

All times are cycles of the chip's clock, all sizes bytes. Times of parts are those of the average
core: what cores wait for the slowest one is `idle`, so that the parts of a superstep sum to its
length.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Generic, Literal, Self, TypeVar

from t10c.hardware.spec import HardwareSpec

Part = Literal["compute", "shift", "sync", "reduction", "transition", "setup", "offchip", "idle"]


Key = TypeVar("Key", bound=str)


class _Cycles(Generic[Key]):
    """Base of dataclasses whose fields are all cycles: they add up, field by field."""

    __slots__ = ()

    @property
    def total(self) -> float:
        """The sum of all fields."""
        return sum(self.as_dict().values())

    def as_dict(self) -> dict[Key, float]:
        """The fields by name, in a fixed order."""
        names = [field.name for field in fields(self)]  # type: ignore[arg-type]
        return {name: getattr(self, name) for name in names}  # type: ignore[misc]

    def __add__(self, other: Self) -> Self:
        """The sums, field by field."""
        mine, yours = self.as_dict(), other.as_dict()
        return type(self)(**{name: mine[name] + yours[name] for name in mine})

    def times(self, count: float) -> Self:
        """Every field, `count` times."""
        return type(self)(**{name: value * count for name, value in self.as_dict().items()})


@dataclass(frozen=True, slots=True)
class Breakdown(_Cycles[Part]):
    """Cycles by what they are spent on; they sum to `total`.

    compute: the average core's kernels, epilogues and the arithmetic of reductions included.
    shift, reduction, transition, setup: transfers between cores, as long as the slowest takes;
    setup gathers the pieces of idle weights, transition brings all other operands into place.
    sync: synchronisations of all cores. offchip: off-chip memory. idle: the average core waits for
    the slowest.
    """

    compute: float = 0.0
    shift: float = 0.0
    sync: float = 0.0
    reduction: float = 0.0
    transition: float = 0.0
    setup: float = 0.0
    offchip: float = 0.0
    idle: float = 0.0

    @property
    def transfer(self) -> float:
        """What moves data between cores, without the syncs."""
        return self.shift + self.reduction + self.transition + self.setup


def total_breakdown(parts: Iterable[Breakdown]) -> Breakdown:
    """The sum of several."""
    return sum(parts, Breakdown())


@dataclass(frozen=True, slots=True)
class Effects(_Cycles[str]):
    """Simulated cycles beyond those of full, undisturbed transfers and tiles, by cause.

    short_blocks: blocks, tiles and idle pieces that are short or empty on some cores, and thus take
    less. contention: many want the same core's data, or the same link. hops: links on the way.
    transfer_rounds: syncs of the rounds in which pieces pass through the shift buffer. overlap:
    shifts hidden behind computing. held: of what the plan's cost model counts as received, what no
    core receives. The last, and empty idle pieces, are known beside a plan only.
    """

    short_blocks: float = 0.0
    contention: float = 0.0
    hops: float = 0.0
    transfer_rounds: float = 0.0
    overlap: float = 0.0
    held: float = 0.0


@dataclass(frozen=True, slots=True)
class Phase:
    """What cores do together in a section, until they meet: all rounds of it.

    `begin_cycles` and `end_cycles` span its first and last round on the model's time line; in
    between, phases of the same loop alternate, so that `breakdown.total` may be less than the span.
    `text` names the instruction. `received_bytes` and `sent_bytes` are the most that a core takes
    and gives in one round, `moved_bytes` what all cores take in all rounds, `hops` the longest way.
    """

    part: Part
    text: str
    count: int
    begin_cycles: float
    end_cycles: float
    breakdown: Breakdown
    effects: Effects
    received_bytes: int = 0
    sent_bytes: int = 0
    moved_bytes: int = 0
    hops: int = 0


@dataclass(frozen=True, slots=True)
class MemoryPoint:
    """From `begin_cycles` on, every core has `core_bytes` in use, shift buffer included."""

    begin_cycles: float
    core_bytes: int


@dataclass(frozen=True, slots=True)
class OperatorTiming:
    """One section of the program on the time line.

    `core_count` cores take part. `peak_core_bytes` is the most memory in use meanwhile. `flop`
    counts additions and multiplications of products, one for each point and step of other kernels,
    on all cores. `cost_model_cycles` is what the plan says, None if it is not known.
    """

    name: str
    op_type: str
    kernel: str
    core_count: int
    begin_cycles: float
    breakdown: Breakdown
    effects: Effects
    phases: tuple[Phase, ...]
    peak_core_bytes: int
    moved_bytes: int
    flop: float
    cost_model_cycles: float | None = None

    @property
    def cycles(self) -> float:
        """From the first exchange to the end of the section."""
        return self.breakdown.total

    @property
    def end_cycles(self) -> float:
        """When the next section begins."""
        return self.begin_cycles + self.cycles


@dataclass(frozen=True, slots=True)
class PlannedCycles:
    """What a plan's cost model says of an operator; its exchanges count with their syncs."""

    total: float
    transition: float
    setup: float = 0.0


@dataclass(frozen=True)
class Simulation:
    """One inference on a chip, section by section; weights are on the chip before it begins.

    `lower_bound_cycles` is the plan's: by the cost model, none of the plans searched can be faster.
    It is None where no plan is known, or the chip is another one than the plan was made for.
    """

    model: str
    spec: HardwareSpec
    operators: tuple[OperatorTiming, ...]
    memory: tuple[MemoryPoint, ...]
    lower_bound_cycles: float | None = None
    overrides: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @cached_property
    def breakdown(self) -> Breakdown:
        """Where the latency goes."""
        return total_breakdown(operator.breakdown for operator in self.operators)

    @property
    def latency_cycles(self) -> float:
        """From the first exchange to the end of the last section."""
        return self.breakdown.total

    @property
    def latency_seconds(self) -> float:
        """The latency at the chip's clock."""
        return self.latency_cycles / self.spec.clock_hz

    @property
    def cost_model_cycles(self) -> float | None:
        """What the plan's cost model says, None if it is not known of every section."""
        known = [o.cost_model_cycles for o in self.operators]
        return None if None in known else float(sum(c for c in known if c is not None))

    @property
    def peak_core_bytes(self) -> int:
        """Most memory in use on a core at any time."""
        return max((point.core_bytes for point in self.memory), default=0)

    @property
    def peak_operator(self) -> str:
        """Name of the section that sets the peak, the first one if several do; '' without any."""
        return max(self.operators, key=lambda o: o.peak_core_bytes).name if self.operators else ""

    @property
    def utilisation(self) -> float:
        """Share of the latency that the average core computes: 1 if all compute at all times."""
        return self.breakdown.compute / self.latency_cycles if self.latency_cycles else 0.0

    @property
    def transfer_share(self) -> float:
        """Share of the latency in which data move between cores, syncs included."""
        parts = self.breakdown
        latency = self.latency_cycles
        return (parts.transfer + parts.sync) / latency if latency else 0.0

    @property
    def achieved_bytes_per_second(self) -> float:
        """What the average core receives per second while data move, syncs included."""
        parts = self.breakdown
        cycles = parts.transfer + parts.sync
        moved = sum(operator.moved_bytes for operator in self.operators) / self.spec.core_count
        return moved / cycles * self.spec.clock_hz if cycles else 0.0

    def beside(
        self, planned: Mapping[str, PlannedCycles], lower_bound_cycles: float | None
    ) -> "Simulation":
        """The same beside what a plan says of its operators and copies, by name."""
        operators = tuple(_beside(o, planned.get(o.name)) for o in self.operators)
        return replace(self, operators=operators, lower_bound_cycles=lower_bound_cycles)


def _beside(operator: OperatorTiming, planned: PlannedCycles | None) -> OperatorTiming:
    """An operator with its planned cycles, and what its exchanges take less than planned."""
    if planned is None:
        return operator
    undisturbed = {"transition": 0.0, "setup": 0.0}
    for phase in operator.phases:
        if phase.part in undisturbed:
            undisturbed[phase.part] += phase.breakdown.total - phase.effects.total
    more = Effects(
        held=undisturbed["transition"] - planned.transition,
        # of idle pieces that are cut very small some are empty, and take no round
        short_blocks=undisturbed["setup"] - planned.setup,
    )
    return replace(operator, cost_model_cycles=planned.total, effects=operator.effects + more)
