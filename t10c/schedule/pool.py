"""The pool of plans that the choice over a model works on, and the minima that its bound needs.

Both are gathered while the search of one problem passes by in chunks. The pool holds plans that are
best for some prices of memory, spread over different splits so that neighbours' layouts can be
matched (docs/decisions/0005-pool-of-plans.md). The minima are exact, over *all* feasible plans.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from t10c.hardware.kernels import move_cycles
from t10c.hardware.spec import HardwareSpec
from t10c.hardware.tiles import ends_with_sync
from t10c.ir.expression import TensorExpression
from t10c.schedule.kept import merge_candidates, merge_costs
from t10c.schedule.problem import Problem
from t10c.schedule.shares import replicas_of, weight_cycles
from t10c.search.candidates import Candidates
from t10c.search.evaluate import Costs
from t10c.search.operator import FrontEntry, front_entry
from t10c.search.space import FloatArray, IntArray
from t10c.search.temporal import SlotTable, slot_table

POOL_PER_PRICE = 10
POOL_PER_LEANING = 3
LEANING_PAIR = 3
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


def leaning_factor(splits: IntArray, axes: tuple[int, ...]) -> FloatArray:
    """Below 1 for splits that cut the given axes, (splits,)."""
    product = np.prod(splits[:, list(axes)].astype(np.float64), axis=1)
    factor: FloatArray = product**-_LEANING_EXPONENT
    return factor


@dataclass(frozen=True)
class Scores:
    """What the pool ranks plans by, for plans in the order of enumeration.

    `priced` (pairs, plans) is time + prices * bytes, `leant` (leanings, plans) the same at one pair
    of prices, made less for plans that cut some axes; `starts` is where every split's plans begin.
    """

    priced: FloatArray
    leant: FloatArray
    starts: IntArray

    def ranked(self) -> Iterator[tuple[FloatArray, FloatArray, int]]:
        """Every score, the score that tells plans of one split apart, and how many are kept."""
        for score in self.priced:
            yield score, score, POOL_PER_PRICE
        for leant in self.leant:
            yield leant, self.priced[LEANING_PAIR], POOL_PER_LEANING

    def best(self) -> tuple[IntArray, list[float]]:
        """The best plans for every score, at most one of each split, in order.

        Also the worst that is taken by every score; infinite if there are fewer splits than that.
        """
        ends = np.append(self.starts[1:], self.priced.shape[1])
        found, worst = [], []
        for score, within, most in self.ranked():
            least = np.minimum.reduceat(score, self.starts)
            groups = np.argsort(least, kind="stable")[:most]
            worst.append(float(least[groups[-1]]) if len(groups) == most else np.inf)
            for group in groups:
                first, last = self.starts[group], ends[group]
                found.append(first + int(np.argmin(within[first:last])))
        return np.unique(np.array(found)), worst


class PoolCollector:
    """Sees feasible candidates in chunks and keeps the pool and the bound's minima.

    Neither depends on where chunks end. `minima` and `worst` (per score, in the order of `Scores`)
    say what a plan must not exceed to change any of it.
    """

    def __init__(self, problem: Problem, spec: HardwareSpec, uniform: bool) -> None:
        self.problem = problem
        self.spec = spec
        self.uniform = uniform
        self.table: SlotTable = slot_table(problem.expression)
        self.prices = bound_prices(spec)
        self.minima = np.full(len(self.prices), np.inf)
        self.pairs = price_pairs(spec)
        self.leanings = leanings(problem.expression)
        self.worst = np.full(len(self.pairs) + len(self.leanings), np.inf)
        self.kept: list[tuple[Candidates, Costs]] = []

    def visit(self, candidates: Candidates, costs: Costs) -> None:
        """Update the minima, and keep the chunk's best candidates for every score."""
        chosen = self.learn(candidates, costs)
        self.kept.append((candidates.take(chosen), costs.take(chosen)))

    def learn(self, candidates: Candidates, costs: Costs) -> IntArray:
        """Update `minima` and `worst` by whole splits' candidates or parts of them; the best ones.

        The candidates may be visited again.
        """
        expression = self.problem.expression
        time = execution_cycles(expression, costs)
        weights = self._weights(candidates, costs)
        for index, price in enumerate(self.prices):
            priced = time + self._weights_at_price(weights, float(price))
            if self.uniform:
                priced = priced + transition_part(expression, costs)
            self.minima[index] = min(self.minima[index], float(priced.min()))
        chosen, worst = self._scores(candidates, costs).best()
        self.worst = np.minimum(self.worst, worst)
        return chosen

    def _weights(self, candidates: Candidates, costs: Costs) -> list[tuple[FloatArray, FloatArray]]:
        """Bytes of the active piece, and replicas, of every weight, (candidates,) each."""
        return [
            (
                costs.piece_bytes[:, index].astype(np.float64),
                replicas_of(self.table, candidates, index).astype(np.float64),
            )
            for index in self.problem.weights
        ]

    def _scores(self, candidates: Candidates, costs: Costs) -> Scores:
        """The scores of candidates in the order of enumeration."""
        expression = self.problem.expression
        time = execution_cycles(expression, costs) + transition_part(expression, costs)
        weights = self._weights(candidates, costs)
        priced = np.empty((len(self.pairs), len(candidates)))
        for row, (idle_price, active_price) in zip(priced, self.pairs, strict=True):
            np.add(time, self._weights_at_price(weights, idle_price), out=row)
            row += active_price * costs.memory_bytes
        leant = np.empty((len(self.leanings), len(candidates)))
        for row, axes in zip(leant, self.leanings, strict=True):
            np.multiply(priced[LEANING_PAIR], leaning_factor(candidates.splits, axes), out=row)
        changes = np.any(np.diff(candidates.splits, axis=0) != 0, axis=1)
        return Scores(priced, leant, np.concatenate([[0], np.flatnonzero(changes) + 1]))

    def _weights_at_price(
        self, weights: list[tuple[FloatArray, FloatArray]], price: float
    ) -> FloatArray | float:
        """Least setup + price * idle bytes of all weights, the ratio relaxed to a real number."""
        total: FloatArray | float = 0.0
        for size, most in weights:
            total = total + weight_cycles(np.asarray(price), size, most, self.spec)
        return total

    def pool(self) -> list[FrontEntry]:
        """The best plans for every score, of those that are best of their split for some score."""
        if not self.kept:
            return []
        candidates = merge_candidates([kept for kept, _ in self.kept])
        costs = merge_costs([kept for _, kept in self.kept])
        best, _ = self._scores(candidates, costs).best()
        candidates, costs = candidates.take(best), costs.take(best)
        chosen: dict[int, None] = {}
        for score, _, most in self._scores(candidates, costs).ranked():
            for index in np.argsort(score, kind="stable")[:most]:
                chosen.setdefault(int(index))
        expression = self.problem.expression
        return [
            front_entry(expression, self.table, candidates, costs, index, self.spec)
            for index in chosen
        ]


def execution_cycles(expression: TensorExpression, costs: Costs) -> FloatArray:
    """Cycles without the transition; the closing sync of pointwise and pool operators counts."""
    own_end = costs.end if ends_with_sync(expression) else 0.0
    return costs.compute + costs.epilogue + costs.shift + costs.reduction + own_end


def transition_part(expression: TensorExpression, costs: Costs) -> FloatArray:
    """The uniform transition, 0 for operators that end with a sync only."""
    if ends_with_sync(expression):
        return np.zeros(len(costs.end))
    return costs.end
