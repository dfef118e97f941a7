"""Search of one operator: candidates in chunks, a record of what was searched, the exact front."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from t10c.hardware.spec import HardwareSpec
from t10c.ir.expression import TensorExpression
from t10c.ir.plan import Plan, Rotation
from t10c.search.bound import lower_bound_cycles
from t10c.search.candidates import Candidates, derive_candidates, padding_ratio
from t10c.search.evaluate import Costs, evaluate_unshifted, with_shifts
from t10c.search.options import DEFAULT_SEARCH, SearchOptions
from t10c.search.pareto import pareto_front
from t10c.search.placement import placeable_mask
from t10c.search.shifts import rotation_order
from t10c.search.space import (
    NO_THRESHOLDS,
    TIE,
    IntArray,
    Thresholds,
    enumerate_splits,
    t10_thresholds,
)
from t10c.search.temporal import SlotTable, count_upper_bound, enumerate_temporal, slot_table

_CHUNK_CANDIDATES = 600_000


@dataclass(frozen=True, slots=True)
class SearchRecord:
    """What a search looked at.

    `legal_plans` obey rules 1 to 4 of docs/plans.md, `placeable_plans` have a placement too,
    and `feasible_plans` fit the memory besides. `padding_pruned` counts what T10's threshold cut
    in time: a partial assignment that was cut counts once for all its completions.
    `thresholds_dropped` says that the thresholds would have left nothing.
    """

    splits: int
    legal_plans: int
    placeable_plans: int
    feasible_plans: int
    padding_pruned: int
    thresholds_dropped: bool
    exhausted: bool
    lower_bound_cycles: float


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


Visitor = Callable[[Candidates, Costs], None]
"""Receives every chunk of feasible candidates, in a fixed order."""


def search_operator(
    expression: TensorExpression,
    spec: HardwareSpec,
    options: SearchOptions = DEFAULT_SEARCH,
    visit: Visitor | None = None,
) -> SearchResult:
    """The exact Pareto front of memory per core and cycles over the space of `options`.

    An empty front means that no legal plan fits `spec.usable_bytes`; `smallest_legal_bytes` then
    says what the smallest plan demands. `visit` sees all feasible candidates as they are found.
    """
    started = time.process_time()
    table = slot_table(expression)
    thresholds, splits, dropped = _splits(expression, spec, options)
    counts: Counter[str] = Counter()
    best: list[tuple[Candidates, Costs]] = []
    smallest = np.iinfo(np.int64).max
    exhausted = True
    for chunk in _chunks(table, splits):
        if counts["legal"] >= options.max_candidates:
            exhausted = False
            break
        candidates = _placeable_candidates(expression, table, chunk, thresholds, counts)
        if not len(candidates):
            continue
        costs = evaluate_unshifted(expression, table, candidates, spec)
        smallest = min(smallest, int(costs.memory_bytes.min()))
        fits = costs.memory_bytes <= spec.usable_bytes
        if not fits.all():
            candidates, costs = candidates.take(fits), costs.take(fits)
        counts["feasible"] += len(candidates)
        if visit is None:
            kept = _undominated(best, costs)
            candidates, costs = candidates.take(kept), costs.take(kept)
        if len(candidates):
            costs = with_shifts(table, candidates, costs, spec)
            if visit is not None:
                visit(candidates, costs)
            front = pareto_front(costs.memory_bytes, costs.total)
            best.append((candidates.take(front), costs.take(front)))
    return SearchResult(
        front=_merge_front(expression, table, best, spec),
        record=SearchRecord(
            splits=len(splits),
            legal_plans=counts["legal"],
            placeable_plans=counts["placeable"],
            feasible_plans=counts["feasible"],
            padding_pruned=counts["padding"],
            thresholds_dropped=dropped,
            exhausted=exhausted,
            lower_bound_cycles=lower_bound_cycles(expression, spec),
        ),
        smallest_legal_bytes=smallest,
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


def _chunks(table: SlotTable, splits: IntArray) -> Iterator[IntArray]:
    """The splits in runs whose temporal tables stay near the chunk size."""
    load = np.cumsum(count_upper_bound(table, splits))
    start = 0
    while start < len(splits):
        base = load[start - 1] if start else 0
        stop = int(np.searchsorted(load, base + _CHUNK_CANDIDATES, side="right"))
        stop = max(stop, start + 1)
        yield splits[start:stop]
        start = stop


def _placeable_candidates(
    expression: TensorExpression,
    table: SlotTable,
    splits: IntArray,
    thresholds: Thresholds,
    counts: Counter[str],
) -> Candidates:
    """Legal candidates of a chunk of splits that have a placement; counts what was seen."""
    candidates, skipped = _legal_candidates(expression, table, splits, thresholds)
    counts["padding"] += skipped
    counts["legal"] += len(candidates)
    placeable = placeable_mask(expression, table, candidates.splits, candidates.factors)
    if not placeable.all():
        candidates = candidates.take(placeable)
    counts["placeable"] += len(candidates)
    return candidates


def _legal_candidates(
    expression: TensorExpression, table: SlotTable, splits: IntArray, thresholds: Thresholds
) -> tuple[Candidates, int]:
    """Legal candidates that pass the temporal padding threshold, and the number that do not."""
    blocks = -(-np.array(expression.lengths, dtype=np.int64) // splits)
    space = enumerate_temporal(table, splits, blocks, thresholds.padding)
    keep = np.flatnonzero(
        padding_ratio(blocks[space.rows], space.steps) >= thresholds.padding * TIE
    )
    skipped = space.pruned + len(space.rows) - len(keep)
    rows, factors, steps = space.rows[keep], space.factors[keep], space.steps[keep]
    candidates = derive_candidates(expression, table, splits[rows], blocks[rows], steps, factors)
    return candidates, skipped


def _undominated(best: list[tuple[Candidates, Costs]], costs: Costs) -> IntArray:
    """Candidates that may still be on the front, before their shifts are priced.

    A candidate is cut if a plan seen before, or one of its own chunk that does not rotate, takes no
    more memory and fewer cycles than the candidate takes without its shifts.
    """
    still = np.flatnonzero(~costs.rotates)
    memory = np.concatenate([costs.memory_bytes[still], *(c.memory_bytes for _, c in best)])
    cycles = np.concatenate([costs.total[still], *(c.total for _, c in best)])
    front = pareto_front(memory, cycles)
    if not len(front):
        return np.arange(len(costs.memory_bytes))
    position = np.searchsorted(memory[front], costs.memory_bytes, side="right")
    least = np.concatenate([[np.inf], cycles[front]])[position]
    return np.flatnonzero(costs.total <= least)


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
