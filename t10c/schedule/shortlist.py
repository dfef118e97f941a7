"""Which plans of a problem may be part of a best schedule, and what all the others cost at least.

In a schedule a plan also costs the exchange that fetches its operands, and its output's home makes
its readers' exchanges dearer or cheaper. Both are bounded, whatever the neighbours do. Let c be a
plan's execution and setup, its idle bytes priced. A plan with

    c  >  c' + exchange of all operands of c'  +  most that readers can gain

for some other plan c' is in no best schedule at that price (docs/planning.md). Thousands of plans
remain of hundreds of thousands. The rest is summed up by its least cost; nothing is lost by that,
because a schedule may always be bounded with neighbours that cost nothing.
"""

from dataclasses import dataclass, replace

import numpy as np

from t10c.hardware.kernels import exchange_cycles, move_cycles, sync_cycles
from t10c.hardware.spec import HardwareSpec
from t10c.hardware.width import size_bytes
from t10c.ir.expression import Operand, TensorExpression
from t10c.ir.plan import prime_factors
from t10c.schedule.problem import Problem
from t10c.search.candidates import Candidates
from t10c.search.evaluate import Costs
from t10c.search.space import BoolArray, FloatArray, IntArray
from t10c.search.temporal import SlotTable, slot_table

MOST_PLANS = 6000
"""Plans kept of a problem; more are summed up in the rest, dearest first."""

READERS = 3
"""Readers of the output that are reckoned with; more make the bound looser, not wrong."""


@dataclass(frozen=True)
class Shortlist:
    """Plans that may be part of a best schedule, and the rest.

    `candidates` and `costs` have one row per plan. `priced` (prices, plans) is execution + setup +
    price * idle bytes, the idle cut relaxed to a real number, in cycles; `rest` (prices,) is the
    least of it over all feasible plans not listed, inf if there are none. `fetched_bytes` (plans,
    inputs) are pieces, `floor_bytes` (plans, inputs) what a core receives at least, on average over
    the cores used, if the operand lies in one copy; `home_bytes` (plans,) the largest share of the
    output, at most.
    """

    prices: FloatArray
    candidates: Candidates
    costs: Costs
    priced: FloatArray
    rest: FloatArray
    fetched_bytes: FloatArray
    floor_bytes: FloatArray
    home_bytes: FloatArray

    def __len__(self) -> int:
        return len(self.candidates)

    def take(self, selection: BoolArray) -> "Shortlist":
        """The selected plans; what the rest costs at least stays as it is."""
        return replace(
            self,
            candidates=self.candidates.take(selection),
            costs=self.costs.take(selection),
            priced=self.priced[:, selection],
            fetched_bytes=self.fetched_bytes[selection],
            floor_bytes=self.floor_bytes[selection],
            home_bytes=self.home_bytes[selection],
        )

    def rest_at(self, price: float) -> float:
        """The least cost of the rest at any price between the first and the last.

        Each plan's cost is concave in the price (it is a minimum of linear functions), so between
        two prices it is at least what lies on the line between them.
        """
        if not np.isfinite(self.rest).all():
            return float("inf")
        return float(np.interp(price, self.prices, self.rest))


class ShortlistCollector:
    """Sees all feasible candidates of a problem in chunks and keeps its shortlist."""

    def __init__(self, problem: Problem, spec: HardwareSpec, prices: FloatArray) -> None:
        self.problem = problem
        self.spec = spec
        self.table = slot_table(problem.expression)
        self.prices = prices if problem.weights else prices[:1]
        self._least_idle = least_idle_bytes(problem, spec)
        self._ceiling = np.full(len(self.prices), np.inf)
        self._rest = np.full(len(self.prices), np.inf)
        self._kept: list[tuple[Candidates, Costs, FloatArray, FloatArray]] = []

    def visit(self, candidates: Candidates, costs: Costs, execution: FloatArray) -> None:
        """Keep those of a chunk that may be part of a best schedule; `execution` in cycles."""
        inputs = [i for i in range(len(costs.piece_bytes[0]) - 1) if i not in self.problem.weights]
        fetched = costs.piece_bytes[:, inputs].sum(axis=1).astype(np.float64)
        gain = self._gain(costs, fetched)
        # a first cut by the least that idle bytes can cost
        base = self.prices * self._least_idle
        worst = float(np.max(self._ceiling - base))
        near = np.flatnonzero(execution - gain <= worst)
        self._leave(base + execution[_others(near, len(execution))].min(initial=np.inf))
        candidates, costs = candidates.take(near), costs.take(near)
        priced = execution[near] + self._weights(candidates, costs)
        ceiling = priced + _exchange(self.spec, fetched[near])
        self._ceiling = np.minimum(self._ceiling, ceiling.min(axis=1, initial=np.inf))
        kept = self._possible(priced, gain[near])
        self._leave(priced[:, ~kept].min(axis=1, initial=np.inf))
        self._kept.append(
            (candidates.take(kept), costs.take(kept), priced[:, kept], gain[near][kept])
        )

    def _gain(self, costs: Costs, fetched: FloatArray) -> FloatArray:
        """Most cycles that others can save because a plan is this one.

        A reader of the output saves at most what it would receive of it, the core's piece, and the
        syncs of its exchange; so does a next operator that uses a copy of an operand.
        """
        home = costs.piece_bytes[:, -1].astype(np.float64)
        return READERS * _exchange(self.spec, home) + _exchange(self.spec, fetched)

    def _possible(self, priced: FloatArray, gain: FloatArray) -> BoolArray:
        kept: BoolArray = np.any(priced - gain <= self._ceiling[:, None], axis=0)
        return kept

    def _leave(self, least: FloatArray) -> None:
        self._rest = np.minimum(self._rest, least)

    def _weights(self, candidates: Candidates, costs: Costs) -> FloatArray:
        """Least setup + price * idle bytes of all weights, (prices, candidates)."""
        total = np.zeros((len(self.prices), len(candidates)))
        per_byte, sync = float(move_cycles(self.spec, 1.0)), sync_cycles(self.spec)
        for index in self.problem.weights:
            size = costs.piece_bytes[:, index].astype(np.float64)
            copies = replicas_of(self.table, candidates, index).astype(np.float64)
            total += weight_cycles(self.prices[:, None], size, copies, per_byte, sync)
        return total

    def shortlist(self) -> Shortlist:
        """What is left when all chunks have been seen."""
        candidates = [k[0] for k in self._kept]
        costs = [k[1] for k in self._kept]
        priced = np.concatenate([k[2] for k in self._kept], axis=1)
        gain = np.concatenate([k[3] for k in self._kept])
        kept = self._possible(priced, gain)
        if np.count_nonzero(kept) > MOST_PLANS:
            excess = np.min(priced - self._ceiling[:, None], axis=0)
            order = np.flatnonzero(kept)[np.argsort(excess[kept], kind="stable")]
            kept[order[MOST_PLANS:]] = False
        self._leave(priced[:, ~kept].min(axis=1, initial=np.inf))
        merged = merge_candidates(candidates).take(kept)
        own = merge_costs(costs).take(kept)
        expression = self.problem.expression
        return Shortlist(
            self.prices,
            merged,
            own,
            priced[:, kept],
            self._rest,
            own.piece_bytes[:, :-1].astype(np.float64),
            floor_bytes(expression, self.table, merged, self.spec),
            home_bytes(expression, self.table, merged, self.spec),
        )


def weight_cycles(
    price: FloatArray, size: FloatArray, copies: FloatArray, per_byte: float, sync: float
) -> FloatArray:
    """Least setup + price * idle bytes of a weight, the ratio of its idle cut a real number.

    Cut g-fold, a piece of `size` bytes costs c (size - size / g) + 2 s (g - 1) to gather and
    price * size / g to keep; the minimum over 1 <= g <= copies is at sqrt((price - c) size / 2 s).
    """
    saved = np.maximum(price - per_byte, 0.0) * size
    ratio = np.sqrt(saved / (2 * sync)) if sync > 0 else np.broadcast_to(copies, saved.shape)
    ratio = np.clip(np.where(saved > 0, ratio, 1.0), 1.0, copies)
    share = size / ratio
    cycles: FloatArray = per_byte * (size - share) + 2 * sync * (ratio - 1) + price * share
    return cycles


def replicas_of(table: SlotTable, candidates: Candidates, operand: int) -> IntArray:
    """P_X / prod(t[X]) of every candidate."""
    sharing = np.prod(candidates.splits[:, list(table.shared_axes[operand])], axis=1)
    own = list(table.by_operand[operand])
    replicas: IntArray = sharing // np.prod(candidates.factors[:, own], axis=1)
    return replicas


def floor_bytes(
    expression: TensorExpression, table: SlotTable, candidates: Candidates, spec: HardwareSpec
) -> FloatArray:
    """Bytes a core receives of each input at least if it lies in one copy, (candidates, inputs).

    Of `q` replicas of a piece, all but what lies there already must arrive: every element that is
    used is received q - 1 times at least, and the cores used share that.
    """
    cores = np.prod(candidates.splits, axis=1).astype(np.float64)
    floors = np.zeros((len(candidates), len(expression.inputs)))
    for index, operand in enumerate(expression.inputs):
        used = size_bytes(spec, used_elements(expression, operand), operand.bits)
        floors[:, index] = (replicas_of(table, candidates, index) - 1) * (float(used) / cores)
    return floors


def used_elements(expression: TensorExpression, operand: Operand) -> int:
    """Elements of a tensor that the expression reads; 0 where dimensions share an axis."""
    names = [a for dim in operand.dims for a, _ in dim.terms]
    if len(set(names)) < len(names):
        return 0
    count = 1
    for dim in operand.dims:
        index = np.arange(dim.reach) + dim.offset
        for axis, stride in dim.terms:
            length = expression.lengths[expression.axis_index[axis]]
            index = np.unique(np.add.outer(index, stride * np.arange(length)))
        count *= int(np.count_nonzero((index >= 0) & (index < dim.size)))
    return count


def is_plain(operand: Operand) -> bool:
    """Whether some core needs a whole piece: no dimension is padded or made of several axes."""
    return all(
        not dim.offset and len(dim.terms) <= 1 and all(stride == 1 for _, stride in dim.terms)
        for dim in operand.dims
    )


def home_bytes(
    expression: TensorExpression, table: SlotTable, candidates: Candidates, spec: HardwareSpec
) -> FloatArray:
    """Largest share of the output that a core keeps, at most, (candidates,).

    The replicas of a piece share it as `ir.plan.cut_shares` says: the primes of their number,
    largest first, cut the longest axis left.
    """
    output = expression.output
    axes = [expression.axis_index[name] for name in output.axes]
    lengths = _output_lengths(table, candidates)[:, axes]
    for count in np.unique(candidates.replicas):
        rows = np.flatnonzero(candidates.replicas == count)
        for prime in reversed(prime_factors(int(count))) if axes else ():
            longest = np.argmax(lengths[rows], axis=1)
            lengths[rows, longest] = -(-lengths[rows, longest] // prime)
    elements = np.ones(len(candidates), dtype=np.int64)
    column = {name: i for i, name in enumerate(output.axes)}
    for dim in output.dims:
        span = np.full(len(candidates), dim.reach, dtype=np.int64)
        for name, stride in dim.terms:
            span += abs(stride) * (lengths[:, column[name]] - 1)
        elements *= span
    return np.asarray(size_bytes(spec, elements, output.bits), dtype=np.float64)


def _output_lengths(table: SlotTable, candidates: Candidates) -> IntArray:
    """Length of the output's piece along every axis of the expression, (candidates, axes)."""
    lengths = candidates.blocks.copy()
    slot_of = {table.slots[slot].axis: slot for slot in table.by_operand[-1]}
    for axis, slots in enumerate(table.by_axis):
        if slots:
            own = candidates.factors[:, slot_of[axis]] if axis in slot_of else 1
            chunk = candidates.steps[:, axis] // own * candidates.tiles[:, axis]
            lengths[:, axis] = np.minimum(lengths[:, axis], chunk)
    return lengths


def merge_candidates(parts: list[Candidates]) -> Candidates:
    """Chunks of candidates as one."""
    names = Candidates.__dataclass_fields__
    return Candidates(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))


def merge_costs(parts: list[Costs]) -> Costs:
    """Chunks of costs as one."""
    names = Costs.__dataclass_fields__
    return Costs(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))


def least_idle_bytes(problem: Problem, spec: HardwareSpec) -> float:
    """Bytes per core of the weights in one copy on the whole chip."""
    total = 0.0
    for index in problem.weights:
        operand = problem.expression.inputs[index]
        used = used_elements(problem.expression, operand)
        total += float(size_bytes(spec, used, operand.bits)) / spec.core_count
    return total


def _exchange(spec: HardwareSpec, size: FloatArray) -> FloatArray:
    cycles: FloatArray = np.where(size > 0, exchange_cycles(spec, size), 0.0)
    return cycles


def _others(selected: IntArray, count: int) -> BoolArray:
    mask = np.ones(count, dtype=bool)
    mask[selected] = False
    return mask
