"""Search of one operator: the exact front, and a record of what was searched."""

import time
from dataclasses import dataclass, field

import numpy as np

from t10c.hardware.spec import HardwareSpec
from t10c.ir.expression import TensorExpression
from t10c.ir.plan import Plan, Rotation
from t10c.search.blocks import Space
from t10c.search.bound import lower_bound_cycles
from t10c.search.candidates import Candidates
from t10c.search.evaluate import Costs
from t10c.search.explore import Explorer, Visitor
from t10c.search.options import DEFAULT_SEARCH, SearchOptions
from t10c.search.pareto import pareto_front
from t10c.search.shifts import rotation_order
from t10c.search.sieve import Sieve
from t10c.search.space import (
    NO_THRESHOLDS,
    IntArray,
    Thresholds,
    enumerate_splits,
    t10_thresholds,
)
from t10c.search.temporal import SlotTable, slot_table


@dataclass(frozen=True, slots=True)
class SearchRecord:
    """What a search looked at.

    `legal_plans` obey rules 1 to 4 of docs/plans.md, `placeable_plans` have a placement too,
    and `feasible_plans` fit the memory besides. `padding_pruned` counts what T10's threshold cut
    in time: a partial assignment that was cut counts once for all its completions.
    `thresholds_dropped` says that the thresholds would have left nothing.

    `bounded_plans` of the feasible plans were not priced, because their floors are above the front;
    a search that others watch counts none, because what they need differs.
    In a very large space whole subspaces are bounded away before their plans are enumerated: all
    plans of `bounded_splits` splits, and some of others. The counts of plans then lack these, which
    are at most `uncounted_plans`.
    """

    splits: int
    legal_plans: int
    placeable_plans: int
    feasible_plans: int
    padding_pruned: int
    thresholds_dropped: bool
    exhausted: bool
    lower_bound_cycles: float
    bounded_plans: int = field(default=0, metadata={"omit_default": True})
    bounded_splits: int = field(default=0, metadata={"omit_default": True})
    uncounted_plans: int = field(default=0, metadata={"omit_default": True})


@dataclass(frozen=True, slots=True)
class FrontEntry:
    """A plan on the front with its memory per core and its cycles (uniform transition included)."""

    plan: Plan
    memory_bytes: int
    cycles: float
    compute_cycles: float
    epilogue_cycles: float
    shift_cycles: float
    reduction_cycles: float
    end_cycles: float
    piece_bytes: tuple[int, ...]

    @property
    def communication_cycles(self) -> float:
        """Cycles that are not computing: shifts, final reduction and end."""
        return self.shift_cycles + self.reduction_cycles + self.end_cycles


@dataclass(frozen=True)
class SearchResult:
    """The exact Pareto front of (memory, cycles) by rising memory, and the record of the search.

    `cpu_seconds` is not part of the record, which is the same on every machine; `recalled` says
    that the result was found earlier, and kept.
    """

    front: tuple[FrontEntry, ...]
    record: SearchRecord
    smallest_legal_bytes: int
    cpu_seconds: float
    recalled: bool = field(default=False, compare=False)


def search_operator(
    expression: TensorExpression,
    spec: HardwareSpec,
    options: SearchOptions = DEFAULT_SEARCH,
    visit: Visitor | None = None,
    sieve: Sieve | None = None,
) -> SearchResult:
    """The exact Pareto front of memory per core and cycles over the space of `options`.

    An empty front means that no legal plan fits `spec.usable_bytes`; `smallest_legal_bytes` then
    says what the smallest plan demands. `visit` sees all feasible candidates as they are found, or
    with a `sieve` those that matter to it, in the same order.
    """
    started = time.process_time()
    table = slot_table(expression)
    thresholds, splits, dropped = _splits(expression, spec, options)
    explorer = Explorer(Space(expression, spec, table, thresholds), visit, sieve)
    exhausted = explorer.explore(splits, options.max_candidates)
    tally = explorer.tally
    front = _merge_front(expression, table, explorer.found, spec)
    return SearchResult(
        front=front,
        record=SearchRecord(
            splits=len(splits),
            legal_plans=tally.legal,
            placeable_plans=tally.placeable,
            feasible_plans=tally.feasible,
            padding_pruned=tally.padding_pruned,
            thresholds_dropped=dropped,
            exhausted=exhausted,
            lower_bound_cycles=lower_bound_cycles(expression, spec),
            bounded_plans=tally.feasible - tally.evaluated if visit is None else 0,
            bounded_splits=tally.bounded_splits,
            uncounted_plans=round(tally.uncounted),
        ),
        smallest_legal_bytes=front[0].memory_bytes if front else tally.smallest_bytes,
        cpu_seconds=time.process_time() - started,
    )


def _splits(
    expression: TensorExpression, spec: HardwareSpec, options: SearchOptions
) -> tuple[Thresholds, IntArray, bool]:
    """Thresholds in force, the splits that pass them, and whether they had to be dropped."""
    if options.pruning == "exhaustive":
        return NO_THRESHOLDS, enumerate_splits(expression, spec.core_count, NO_THRESHOLDS), False
    thresholds = t10_thresholds(expression, spec.core_count)
    splits = enumerate_splits(expression, spec.core_count, thresholds)
    if len(splits):
        return thresholds, splits, False
    return NO_THRESHOLDS, enumerate_splits(expression, spec.core_count, NO_THRESHOLDS), True


def _merge_front(
    expression: TensorExpression,
    table: SlotTable,
    best: list[tuple[Candidates, Costs]],
    spec: HardwareSpec,
) -> tuple[FrontEntry, ...]:
    """The front of the chunks' fronts, as values."""
    memory = np.concatenate([costs.memory_bytes for _, costs in best] or [np.zeros(0, np.int64)])
    cycles = np.concatenate([costs.total for _, costs in best] or [np.zeros(0)])
    starts = np.cumsum([0] + [len(candidates) for candidates, _ in best])
    entries = []
    for index in pareto_front(memory, cycles):
        chunk = int(np.searchsorted(starts, index, side="right")) - 1
        candidates, costs = best[chunk]
        row = int(index - starts[chunk])
        entries.append(front_entry(expression, table, candidates, costs, row, spec))
    return tuple(entries)


def front_entry(
    expression: TensorExpression,
    table: SlotTable,
    candidates: Candidates,
    costs: Costs,
    row: int,
    spec: HardwareSpec,
) -> FrontEntry:
    """One candidate as a value, its rotations in loop order."""
    return FrontEntry(
        plan=plan_of(expression, table, candidates, costs, row, spec),
        memory_bytes=int(costs.memory_bytes[row]),
        cycles=float(costs.total[row]),
        compute_cycles=float(costs.compute[row]),
        epilogue_cycles=float(costs.epilogue[row]),
        shift_cycles=float(costs.shift[row]),
        reduction_cycles=float(costs.reduction[row]),
        end_cycles=float(costs.end[row]),
        piece_bytes=tuple(int(b) for b in costs.piece_bytes[row]),
    )


def plan_of(
    expression: TensorExpression,
    table: SlotTable,
    candidates: Candidates,
    costs: Costs,
    row: int,
    spec: HardwareSpec,
) -> Plan:
    """The plan of one candidate: rotations dearest outermost, ties by axis then level."""
    factors = candidates.factors[row]
    rotations = []
    for axis, slots in enumerate(table.by_axis):
        below = 1
        for level in sorted({int(factors[i]) for i in slots} - {1}):
            moving = [table.slots[i].operand for i in slots if factors[i] >= level]
            names = tuple(expression.operands[i].name for i in sorted(moving))
            rotations.append(Rotation(expression.axes[axis].name, level // below, names))
            below = level
    ordered = rotation_order(expression, rotations, costs.piece_bytes[row], spec)
    return Plan(tuple(int(f) for f in candidates.splits[row]), ordered)
