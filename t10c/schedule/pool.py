"""The pool of plans that the choice over a model works on, and the minima that its bound needs.

Both are gathered while the search of one problem passes by in chunks. The pool holds plans that are
best for some prices of memory, spread over different splits so that neighbours' layouts can be
matched (docs/decisions/0005-pool-of-plans.md). The minima are exact, over *all* feasible plans.
"""

import numpy as np

from t10c.hardware.kernels import move_cycles, sync_cycles
from t10c.hardware.spec import HardwareSpec
from t10c.hardware.tiles import ends_with_sync
from t10c.ir.expression import TensorExpression
from t10c.schedule.problem import Problem
from t10c.schedule.shares import replicas_of
from t10c.search.candidates import Candidates
from t10c.search.evaluate import Costs
from t10c.search.operator import FrontEntry, front_entry
from t10c.search.space import FloatArray, IntArray
from t10c.search.temporal import SlotTable, slot_table

_POOL_PER_PRICE = 10
_POOL_PER_LEANING = 3
_LEANING_PAIR = 3
"""Number of the price pair that leanings start from: idle weights cost a little."""
_LEANING_EXPONENT = 0.15
"""How much slower a plan may be to be kept for its layout: 1.5 times with a 16-fold factor."""


def bound_prices(spec: HardwareSpec) -> FloatArray:
    """Prices of an idle byte, in cycles, at which bounds are kept; 0 means memory is free."""
    per_byte = float(move_cycles(spec, 1.0))
    return per_byte * np.array([0.0, 1.0, 1.5, 2.0, 3.0, 5.0, 9.0, 18.0, 40.0, 100.0, 300.0, 1e3])


def price_pairs(spec: HardwareSpec) -> list[tuple[float, float]]:
    """(price of an idle byte, price of an active byte) for which the pool keeps good plans."""
    per_byte = float(move_cycles(spec, 1.0))
    pairs = [(0, 0), (0, 0.1), (0, 1), (1.5, 0.1), (3, 0.1), (9, 0.3), (40, 0.3), (300, 1), (1, 10)]
    return [(a * per_byte, b * per_byte) for a, b in pairs]


def leanings(expression: TensorExpression) -> tuple[tuple[int, ...], ...]:
    """Sets of axes along which plans that cut most are kept: each axis, and leading axes.

    Many splits cost the same alone and differ only in how well their layouts meet the neighbours'.
    Tensors are spread in row-major order or along single axes more often than otherwise.
    """
    axes = [i for i, axis in enumerate(expression.axes) if axis.splittable and axis.length > 1]
    if len(axes) < 2:
        return ()
    return (*((axis,) for axis in axes), *(tuple(axes[:n]) for n in range(2, len(axes))))


def _leaning_factor(splits: IntArray, axes: tuple[int, ...]) -> FloatArray:
    """Below 1 for splits that cut the given axes, (splits,)."""
    product = np.prod(splits[:, list(axes)].astype(np.float64), axis=1)
    factor: FloatArray = product**-_LEANING_EXPONENT
    return factor


class PoolCollector:
    """Sees all feasible candidates in chunks and keeps the pool and the bound's minima."""

    def __init__(self, problem: Problem, spec: HardwareSpec, uniform: bool) -> None:
        self.problem = problem
        self.spec = spec
        self.uniform = uniform
        self.table: SlotTable = slot_table(problem.expression)
        self.prices = bound_prices(spec)
        self.minima = np.full(len(self.prices), np.inf)
        self.pairs = price_pairs(spec)
        self.leanings = leanings(problem.expression)
        self.kept: list[tuple[Candidates, Costs, FloatArray]] = []

    def visit(self, candidates: Candidates, costs: Costs) -> None:
        """Update the minima, and keep the chunk's best candidates for every price pair."""
        transition = transition_part(self.problem.expression, costs)
        time = execution_cycles(self.problem.expression, costs)
        weights = [
            (
                costs.piece_bytes[:, index].astype(np.float64),
                replicas_of(self.table, candidates, index).astype(np.float64),
            )
            for index in self.problem.weights
        ]
        for index, price in enumerate(self.prices):
            priced = time + self._weights_at_price(weights, float(price))
            if self.uniform:
                priced = priced + transition
            self.minima[index] = min(self.minima[index], float(priced.min()))
        chosen, scores = self._best(candidates, costs, time + transition, weights)
        self.kept.append((candidates.take(chosen), costs.take(chosen), scores))

    def _best(
        self,
        candidates: Candidates,
        costs: Costs,
        time: FloatArray,
        weights: list[tuple[FloatArray, FloatArray]],
    ) -> tuple[IntArray, FloatArray]:
        """The chunk's best candidates, and their scores: a column per price pair and leaning.

        Of every split only the best candidate counts, so that the pool holds different layouts.
        """
        changes = np.any(np.diff(candidates.splits, axis=0) != 0, axis=1)
        starts = np.concatenate([[0], np.flatnonzero(changes) + 1])
        ends = np.append(starts[1:], len(candidates))
        columns = []
        selected = []

        def select(score: FloatArray, groups: IntArray) -> None:
            for group in groups:
                first, last = starts[group], ends[group]
                selected.append(first + int(np.argmin(score[first:last])))

        for idle_price, active_price in self.pairs:
            score = time + self._weights_at_price(weights, idle_price)
            score += active_price * costs.memory_bytes
            columns.append(score)
            best = np.minimum.reduceat(score, starts)
            select(score, np.argsort(best, kind="stable")[:_POOL_PER_PRICE])
        base = columns[_LEANING_PAIR]
        best = np.minimum.reduceat(base, starts)
        for axes in self.leanings:
            leant = best * _leaning_factor(candidates.splits[starts], axes)
            select(base, np.argsort(leant, kind="stable")[:_POOL_PER_LEANING])
        chosen = np.unique(np.array(selected))
        scores = [score[chosen] for score in columns]
        scores += [
            base[chosen] * _leaning_factor(candidates.splits[chosen], axes)
            for axes in self.leanings
        ]
        return chosen, np.stack(scores, axis=1)

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
        """The best plans over all chunks for every price pair and leaning."""
        if not self.kept:
            return []
        scores = np.concatenate([s for _, _, s in self.kept])
        starts = np.cumsum([0] + [len(c) for c, _, _ in self.kept])
        chosen: dict[int, None] = {}
        for column in range(scores.shape[1]):
            most = _POOL_PER_PRICE if column < len(self.pairs) else _POOL_PER_LEANING
            for index in np.argsort(scores[:, column], kind="stable")[:most]:
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


def execution_cycles(expression: TensorExpression, costs: Costs) -> FloatArray:
    """Cycles without the transition; the closing sync of pointwise and pool operators counts."""
    own_end = costs.end if ends_with_sync(expression) else 0.0
    return costs.compute + costs.epilogue + costs.shift + costs.reduction + own_end


def transition_part(expression: TensorExpression, costs: Costs) -> FloatArray:
    """The uniform transition, 0 for operators that end with a sync only."""
    if ends_with_sync(expression):
        return np.zeros(len(costs.end))
    return costs.end
