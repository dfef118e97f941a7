"""Choices of one operator: which plans, with which idle cuts of its weights, the schedule may take.

A *problem* is an expression with the positions of its weights; identical operators are one problem.
All feasible plans are looked at. Two things are kept: a pool of plans that are best for some prices
of memory, spread over different splits so that neighbours' layouts can be matched; and, for the
bound, the exact minimum over *all* plans of time + price * idle bytes for a list of prices.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from t10c.hardware.kernels import move_cycles, sync_cycles
from t10c.hardware.spec import HardwareSpec
from t10c.ir.expression import TensorExpression
from t10c.ir.plan import Plan, block_lengths, piece_axis_lengths, temporal_factor
from t10c.search.candidates import Candidates
from t10c.search.evaluate import Costs
from t10c.search.operator import (
    FrontEntry,
    SearchResult,
    Visitor,
    front_entry,
    search_operator,
)
from t10c.search.options import SearchOptions
from t10c.search.space import FloatArray, IntArray
from t10c.search.temporal import SlotTable, factor_tuples, slot_table

_POOL_PER_PRICE = 12
_POOL_PLANS = 90
_IDLE_OPTIONS = 12


@dataclass(frozen=True, slots=True)
class Problem:
    """A planning problem: an expression, and which of its inputs are weights with an idle plan."""

    expression: TensorExpression
    weights: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class IdleCut:
    """An idle plan of one weight: `ratio` = prod(idle t / active t), by axis in `factors`."""

    ratio: int
    factors: tuple[tuple[str, int], ...]
    idle_bytes: int
    setup_cycles: float


@dataclass(frozen=True)
class Choices:
    """Plans of a problem and their idle options.

    Options are parallel arrays: `plan` (index into `plans`), `idle_bytes` (all weights), `setup`;
    `cuts[option]` has one IdleCut per weight. Per plan: `active_bytes` (pieces and doubled buffers,
    without the reserved shift buffer), `input_bytes` (pieces of the inputs), `execution` (closing
    sync included, transition not), `uniform_transition`. `bound_prices` and `bound_values` give,
    over all feasible plans, min(execution + setup + price * idle bytes).
    """

    problem: Problem
    plans: tuple[FrontEntry, ...]
    active_bytes: IntArray
    input_bytes: IntArray
    execution: FloatArray
    uniform_transition: FloatArray
    plan: IntArray
    idle_bytes: IntArray
    setup: FloatArray
    cuts: tuple[tuple[IdleCut, ...], ...]
    bound_prices: FloatArray
    bound_values: FloatArray
    least_active_bytes: int
    search: SearchResult


def bound_prices(spec: HardwareSpec) -> FloatArray:
    """Prices of an idle byte, in cycles, at which bounds are kept; 0 means memory is free."""
    per_byte = float(move_cycles(spec, 1.0))
    return per_byte * np.array([0.0, 1.0, 1.5, 2.0, 3.0, 5.0, 9.0, 18.0, 40.0, 100.0, 300.0, 1e3])


def price_pairs(spec: HardwareSpec) -> list[tuple[float, float]]:
    """(price of an idle byte, price of an active byte) for which the pool keeps good plans."""
    per_byte = float(move_cycles(spec, 1.0))
    pairs = [(0, 0), (0, 0.1), (0, 1), (1.5, 0.1), (3, 0.1), (9, 0.3), (40, 0.3), (300, 1), (1, 10)]
    return [(a * per_byte, b * per_byte) for a, b in pairs]


class _Collector:
    """Sees all feasible candidates in chunks and keeps the pool and the bound's minima."""

    def __init__(self, problem: Problem, spec: HardwareSpec, uniform: bool) -> None:
        self.problem = problem
        self.spec = spec
        self.uniform = uniform
        self.table: SlotTable = slot_table(problem.expression)
        self.prices = bound_prices(spec)
        self.minima = np.full(len(self.prices), np.inf)
        self.pairs = price_pairs(spec)
        self.least_active = np.iinfo(np.int64).max
        self.kept: list[tuple[Candidates, Costs, FloatArray]] = []

    def visit(self, candidates: Candidates, costs: Costs) -> None:
        """Update the minima, and keep the chunk's best candidates for every price pair."""
        transition = transition_part(self.problem.expression, costs)
        time = execution_cycles(self.problem.expression, costs)
        weights = [
            (
                costs.piece_bytes[:, index].astype(np.float64),
                operand_replicas(self.table, candidates, index).astype(np.float64),
            )
            for index in self.problem.weights
        ]
        for index, price in enumerate(self.prices):
            priced = time + self._weights_at_price(weights, float(price))
            if self.uniform:
                priced = priced + transition
            self.minima[index] = min(self.minima[index], float(priced.min()))
        self.least_active = min(self.least_active, int(costs.memory_bytes.min()))
        chosen, scores = self._best(candidates, costs, time + transition, weights)
        self.kept.append((candidates.take(chosen), costs.take(chosen), scores))

    def _best(
        self,
        candidates: Candidates,
        costs: Costs,
        time: FloatArray,
        weights: list[tuple[FloatArray, FloatArray]],
    ) -> tuple[IntArray, FloatArray]:
        """The best candidates of the chunk for every price pair, and their scores per pair.

        Of every split only the best candidate counts, so that the pool holds different layouts.
        """
        changes = np.any(np.diff(candidates.splits, axis=0) != 0, axis=1)
        starts = np.concatenate([[0], np.flatnonzero(changes) + 1])
        ends = np.append(starts[1:], len(candidates))
        scores = np.empty((len(candidates), len(self.pairs)))
        selected = []
        for column, (idle_price, active_price) in enumerate(self.pairs):
            score = time + self._weights_at_price(weights, idle_price)
            score += active_price * costs.memory_bytes
            scores[:, column] = score
            best = np.minimum.reduceat(score, starts)
            for group in np.argsort(best, kind="stable")[:_POOL_PER_PRICE]:
                first, last = starts[group], ends[group]
                selected.append(first + int(np.argmin(score[first:last])))
        chosen = np.unique(np.array(selected))
        return chosen, scores[chosen]

    def _weights_at_price(
        self, weights: list[tuple[FloatArray, FloatArray]], price: float
    ) -> FloatArray | float:
        """Least setup + price * idle bytes of all weights, the ratio relaxed to a real number.

        `weights` has (active bytes w, replicas) of every weight. Cut g-fold, it costs
        c (w - w/g) + 2 s (g - 1) to gather and price * w/g to keep; the minimum over
        1 <= g <= replicas is at sqrt((price - c) w / 2 s).
        """
        total: FloatArray | float = 0.0
        per_byte = float(move_cycles(self.spec, 1.0))
        sync = sync_cycles(self.spec)
        for size, most in weights:
            if price <= per_byte:
                total = total + price * size
                continue
            ratio = most
            if sync > 0:
                ratio = np.sqrt((price - per_byte) * size / (2 * sync))
                ratio = np.clip(ratio, 1.0, most)
            share = size / ratio
            total = total + per_byte * (size - share) + 2 * sync * (ratio - 1) + price * share
        return total

    def pool(self) -> list[FrontEntry]:
        """The best plans over all chunks, at most `_POOL_PLANS`, spread over price pairs."""
        if not self.kept:
            return []
        scores = np.concatenate([s for _, _, s in self.kept])
        starts = np.cumsum([0] + [len(c) for c, _, _ in self.kept])
        chosen: dict[int, None] = {}
        per_pair = max(1, _POOL_PLANS // len(self.pairs))
        for column in range(scores.shape[1]):
            for index in np.argsort(scores[:, column], kind="stable")[:per_pair]:
                chosen.setdefault(int(index))
        entries = []
        for index in chosen:
            chunk = int(np.searchsorted(starts, index, side="right")) - 1
            candidates, costs, _ = self.kept[chunk]
            row = index - int(starts[chunk])
            entries.append(
                front_entry(self.problem.expression, self.table, candidates, costs, row, self.spec)
            )
        return entries


def operand_replicas(table: SlotTable, candidates: Candidates, operand: int) -> IntArray:
    """P_X / prod(t[X]) of every candidate."""
    sharing = np.prod(candidates.splits[:, list(table.shared_axes[operand])], axis=1)
    own = list(table.by_operand[operand])
    replicas: IntArray = sharing // np.prod(candidates.factors[:, own], axis=1)
    return replicas


def execution_cycles(expression: TensorExpression, costs: Costs) -> FloatArray:
    """Cycles without the transition; the closing sync of pointwise and pool operators counts."""
    own_end = costs.end if expression.kernel in ("pointwise", "pool") else 0.0
    return costs.compute + costs.epilogue + costs.shift + costs.reduction + own_end


def transition_part(expression: TensorExpression, costs: Costs) -> FloatArray:
    """The uniform transition, 0 for operators that end with a sync only."""
    if expression.kernel in ("pointwise", "pool"):
        return np.zeros(len(costs.end))
    return costs.end


def search_problem(
    expression: TensorExpression,
    spec: HardwareSpec,
    search: SearchOptions,
    visit: Visitor | None = None,
) -> SearchResult:
    """`search_operator`, without thresholds for a reduce that has fewer outputs than cores exist.

    T10's thresholds would have it use most cores all the same, by cutting the reduced axes; but
    every further core then adds a sync to the final reduction.
    """
    if expression.kernel == "reduce":
        outputs = math.prod(a.length for a in expression.axes if not a.reduction)
        if outputs < spec.core_count:
            search = replace(search, pruning="exhaustive")
    return search_operator(expression, spec, search, visit)


def find_choices(
    problem: Problem, spec: HardwareSpec, search: SearchOptions, uniform: bool
) -> Choices:
    """Search the problem and keep its choices; no plans if nothing fits the memory.

    `uniform` says that the bound may count the uniform transition, because the schedule will.
    """
    collector = _Collector(problem, spec, uniform)
    result = search_problem(problem.expression, spec, search, collector.visit)
    entries = _with_front(collector.pool(), result.front)
    reserve = spec.shift_buffer.size_bytes if spec.shift_buffer.policy == "fixed" else 0
    ends_in_sync = problem.expression.kernel in ("pointwise", "pool")
    plan, idle, setup, cuts = [], [], [], []
    for index, entry in enumerate(entries):
        for combination in idle_combinations(problem, entry, spec):
            plan.append(index)
            idle.append(sum(cut.idle_bytes for cut in combination))
            setup.append(sum(cut.setup_cycles for cut in combination))
            cuts.append(combination)
    return Choices(
        problem=problem,
        plans=tuple(entries),
        active_bytes=np.array([e.memory_bytes - reserve for e in entries], dtype=np.int64),
        input_bytes=np.array([sum(e.piece_bytes[:-1]) for e in entries], dtype=np.int64),
        execution=np.array([e.cycles - (0.0 if ends_in_sync else e.end_cycles) for e in entries]),
        uniform_transition=np.array([0.0 if ends_in_sync else e.end_cycles for e in entries]),
        plan=np.array(plan, dtype=np.int64),
        idle_bytes=np.array(idle, dtype=np.int64),
        setup=np.array(setup, dtype=np.float64),
        cuts=tuple(cuts),
        bound_prices=collector.prices,
        bound_values=collector.minima,
        least_active_bytes=max(0, int(collector.least_active) - reserve),
        search=result,
    )


def _with_front(pool: list[FrontEntry], front: tuple[FrontEntry, ...]) -> tuple[FrontEntry, ...]:
    """The pool and the front together, each plan once."""
    entries = {(e.plan.split, e.plan.rotations): e for e in (*front, *pool)}
    return tuple(entries.values())


def idle_combinations(
    problem: Problem, entry: FrontEntry, spec: HardwareSpec
) -> list[tuple[IdleCut, ...]]:
    """Undominated (idle bytes, setup) combinations of the idle cuts of all weights."""
    combinations: list[tuple[int, float, tuple[IdleCut, ...]]] = [(0, 0.0, ())]
    for index in problem.weights:
        choices = idle_cuts(problem.expression, entry.plan, index, spec)
        extended = [
            (idle + cut.idle_bytes, setup + cut.setup_cycles, (*cuts, cut))
            for idle, setup, cuts in combinations
            for cut in choices
        ]
        extended.sort(key=lambda c: (c[1], c[0]))
        combinations = []
        for candidate in extended:
            if not combinations or candidate[0] < combinations[-1][0]:
                combinations.append(candidate)
        combinations = _thin(combinations, _IDLE_OPTIONS)
    return [cuts for _, _, cuts in combinations]


def _thin(
    options: list[tuple[int, float, tuple[IdleCut, ...]]], most: int
) -> list[tuple[int, float, tuple[IdleCut, ...]]]:
    """At most `most` options, always the first and the last, evenly by position."""
    if len(options) <= most:
        return options
    picks = sorted({round(i * (len(options) - 1) / (most - 1)) for i in range(most)})
    return [options[i] for i in picks]


def idle_cuts(
    expression: TensorExpression, plan: Plan, operand_index: int, spec: HardwareSpec
) -> list[IdleCut]:
    """Idle plans of one weight under an active plan (docs/plans.md), least setup first.

    Idle t is a multiple of active t, prod(idle t) divides P and idle t[a] <= S[a]; of equal ratios
    the one with the smallest idle piece counts.
    """
    operand = expression.operands[operand_index]
    sharing = math.prod(plan.split[expression.axis_index[a]] for a in expression.lacks(operand))
    active = {a: temporal_factor(plan, operand, a) for a in operand.axes}
    most = sharing // math.prod(active.values())
    blocks = block_lengths(expression, plan)
    lengths = piece_axis_lengths(expression, plan, operand)
    axes = operand.axes
    factors = factor_tuples(most, len(axes))
    limits = np.array([blocks[expression.axis_index[a]] // active[a] for a in axes], np.int64)
    factors = factors[np.all(factors <= limits, axis=1)] if len(axes) else factors
    elements = np.ones(len(factors), dtype=np.int64)
    column = {a: i for i, a in enumerate(axes)}
    for dim in operand.dims:
        span = np.ones(len(factors), dtype=np.int64)
        for a, stride in dim.terms:
            span += abs(stride) * (-(-lengths[a] // factors[:, column[a]]) - 1)
        elements *= span
    ratios = np.prod(factors, axis=1)
    sizes = elements * spec.element_bytes
    setups = move_cycles(spec, (ratios - 1) * sizes) + 2 * sync_cycles(spec) * (ratios - 1)
    cuts = []
    least = np.iinfo(np.int64).max
    for row in np.lexsort((sizes, setups)):
        if sizes[row] < least:
            least = sizes[row]
            chosen = tuple((a, int(f)) for a, f in zip(axes, factors[row], strict=True) if f > 1)
            cuts.append(IdleCut(int(ratios[row]), chosen, int(sizes[row]), float(setups[row])))
    return cuts
