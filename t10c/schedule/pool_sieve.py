"""Which plans can change neither a pool nor the minima of its bound, told by floors.

All that the pool ranks plans by is a sum of cycles, of priced bytes and of what idle weights cost
at a price, and each has a floor by cut of an operand. Whole splits are ruled out first, by the
least of every operand, then single plans.
"""

from dataclasses import dataclass

import numpy as np

from t10c.hardware.tiles import ends_with_sync
from t10c.schedule.pool import (
    LEANING_PAIR,
    POOL_PER_LEANING,
    POOL_PER_PRICE,
    PoolCollector,
    leaning_factor,
)
from t10c.schedule.shares import weight_cycles
from t10c.search.blocks import Block
from t10c.search.candidates import Candidates
from t10c.search.evaluate import Costs, end_cycles
from t10c.search.floors import SLACK, Floors, Pieces, cut_pieces, more_shift_cycles, whole_pieces
from t10c.search.join import Prefixes, known_shifts
from t10c.search.space import BoolArray, FloatArray, IntArray
from t10c.search.subspaces import SplitBounds
from t10c.search.tile_table import TileTable


@dataclass(frozen=True)
class _Extras:
    """What plans take beside their floors, per cut of an operand, or per split of those never cut.

    `idle` (prices, n) is the least setup + price * idle bytes of weights, `transition` (n,) what
    of the floors' cycles is the uniform transition and does not count for the minima. None: zero.
    """

    idle: FloatArray | None = None
    transition: FloatArray | None = None

    def minimum(self, cycles: FloatArray, price: int) -> FloatArray:
        """The cycles with what the minimum at a price, by its position, looks at besides."""
        alone = cycles if self.transition is None else cycles - self.transition
        return alone if self.idle is None else alone + self.idle[price]

    def priced(self, floors: Floors, price: int, per_byte: float) -> FloatArray:
        """What the pool looks at with idle bytes at a price and active bytes at another."""
        score = floors.cycles + per_byte * floors.memory
        return score if self.idle is None else score + self.idle[price]


class PoolSieve:
    """Lets those plans through that may be in the pool of a collector, or lower its minima."""

    def __init__(self, collector: PoolCollector) -> None:
        self._collector = collector
        idle_prices = [price for price, _ in collector.pairs]
        every = np.concatenate([collector.prices, idle_prices])
        if not collector.problem.weights:
            every[:] = 0.0
        self._prices, at = np.unique(every, return_inverse=True)
        self._price_of_minimum = at[: len(collector.prices)].tolist()
        self._price_of_pair = at[len(collector.prices) :].tolist()

    def learn(self, candidates: Candidates, costs: Costs) -> None:
        """Let plans be known, so that they rule out others."""
        self._collector.learn(candidates, costs)

    def enter(self, block: Block, tiles: TileTable) -> IntArray:
        """Rows of the splits that promise to be best by some score or minimum, ascending."""
        collector = self._collector
        self._block = block
        self._cut = [self._of_cuts(block, position) for position in range(len(block.tables))]
        self._whole = self._of_splits(block)
        self._least_minima, self._least_priced = self._split_floors(block, tiles)
        self._factors = np.empty((len(collector.leanings), len(block.run.splits)))
        for row, axes in zip(self._factors, collector.leanings, strict=True):
            row[:] = leaning_factor(block.run.splits, axes)
        leant = self._least_priced[LEANING_PAIR] * self._factors
        first = [np.argsort(row, kind="stable")[:1] for row in self._least_minima]
        first += [np.argsort(row, kind="stable")[:POOL_PER_PRICE] for row in self._least_priced]
        first += [np.argsort(row, kind="stable")[:POOL_PER_LEANING] for row in leant]
        return np.unique(np.concatenate(first))

    def wanted(self, plans: Prefixes, cycles: FloatArray) -> BoolArray:
        """Which plans of the block may matter, (plans,); `cycles` are floors with computing."""
        leaning = self._leaning_limit()
        wanted = self._splits_wanted(leaning)[plans.rows]
        some = np.flatnonzero(wanted)
        plans = plans.take(some)
        shifts, once = known_shifts(self._block.tables, plans)
        cycles = cycles[some] + more_shift_cycles(plans.steps, shifts, once)
        wanted[some] = self._possible(plans, cycles, leaning[plans.rows])
        return wanted

    def _possible(self, plans: Prefixes, cycles: FloatArray, leaning: FloatArray) -> BoolArray:
        """Which plans do not exceed every limit, (plans,); `leaning` is theirs at that pair."""
        collector = self._collector
        possible = np.zeros(len(plans), dtype=bool)
        alone = cycles - self._transition(plans)
        for price in range(len(self._prices)):
            idle = self._idle(plans, price)
            for number, most in enumerate(collector.minima):
                if self._price_of_minimum[number] == price:
                    possible |= (alone + idle) * SLACK <= most
            for number, (_, per_byte) in enumerate(collector.pairs):
                if self._price_of_pair[number] == price:
                    score = cycles + idle + per_byte * plans.memory
                    most = leaning if number == LEANING_PAIR else collector.worst[number]
                    possible |= score * SLACK <= most
        return possible

    def _transition(self, plans: Prefixes) -> FloatArray | float:
        total: FloatArray | float = 0.0
        if self._whole.transition is not None:
            total = total + self._whole.transition[plans.rows]
        for chosen, cut in zip(plans.chosen, self._cut, strict=True):
            if cut.transition is not None:
                total = total + cut.transition[chosen]
        return total

    def _idle(self, plans: Prefixes, price: int) -> FloatArray | float:
        total: FloatArray | float = 0.0
        if self._whole.idle is not None:
            total = total + self._whole.idle[price][plans.rows]
        for chosen, cut in zip(plans.chosen, self._cut, strict=True):
            if cut.idle is not None:
                total = total + cut.idle[price][chosen]
        return total

    def _leaning_limit(self) -> FloatArray:
        """What a plan must not exceed at the pair of prices that leanings start from, (splits,)."""
        pairs = len(self._collector.pairs)
        worst = self._collector.worst
        leant = worst[pairs:, None] / self._factors
        limit: FloatArray = leant.max(axis=0, initial=worst[LEANING_PAIR])
        return limit

    def _splits_wanted(self, leaning: FloatArray) -> BoolArray:
        """Which splits have plans that may matter, (splits,)."""
        minima = self._collector.minima[:, None]
        wanted: BoolArray = np.any(self._least_minima * SLACK <= minima, axis=0)
        for number, least in enumerate(self._least_priced):
            most = leaning if number == LEANING_PAIR else self._collector.worst[number]
            wanted |= least * SLACK <= most
        return wanted

    def _split_floors(self, block: Block, tiles: TileTable) -> tuple[FloatArray, FloatArray]:
        """Least of what the minima and the pool look at: (minima, splits) and (pairs, splits)."""
        bounds = SplitBounds(block, tiles)
        floors = [table.floors for table in block.tables]
        minima, priced = [], []
        for price in self._price_of_minimum:
            taken = [
                cut.minimum(own.cycles, price) for own, cut in zip(floors, self._cut, strict=True)
            ]
            minima.append(bounds.least(taken, self._whole.minimum(block.floors.cycles, price)))
        for price, (_, per_byte) in zip(self._price_of_pair, self._collector.pairs, strict=True):
            taken = [
                cut.priced(own, price, per_byte) for own, cut in zip(floors, self._cut, strict=True)
            ]
            priced.append(bounds.least(taken, self._whole.priced(block.floors, price, per_byte)))
        return np.stack(minima), np.stack(priced)

    def _of_cuts(self, block: Block, position: int) -> _Extras:
        """Extras by cut of the operand at a position of the block's tables."""
        cuts = block.tables[position].cuts
        if not self._counts(cuts.operand):
            return _Extras()
        collector, run = self._collector, block.run
        expression, spec = collector.problem.expression, collector.spec
        pieces = cut_pieces(expression, spec, collector.table, cuts, run.splits, run.blocks)
        return self._extras(cuts.operand, pieces)

    def _of_splits(self, block: Block) -> _Extras:
        """Extras by split of all operands that are never cut."""
        collector, run = self._collector, block.run
        expression, spec = collector.problem.expression, collector.spec
        idle: FloatArray | None = None
        transition: FloatArray | None = None
        for operand, own in enumerate(collector.table.by_operand):
            if own or not self._counts(operand):
                continue
            pieces = whole_pieces(
                expression, spec, collector.table, operand, run.splits, run.blocks
            )
            found = self._extras(operand, pieces)
            if found.idle is not None:
                idle = found.idle if idle is None else idle + found.idle
            transition = transition if found.transition is None else found.transition
        return _Extras(idle, transition)

    def _counts(self, operand: int) -> bool:
        """Whether an operand has extras."""
        problem = self._collector.problem
        return operand in problem.weights or operand == len(problem.expression.inputs)

    def _extras(self, operand: int, pieces: Pieces) -> _Extras:
        """Extras of a weight or of the output, in such pieces."""
        collector = self._collector
        spec, expression = collector.spec, collector.problem.expression
        if operand in collector.problem.weights:
            size = pieces.size.astype(np.float64)
            prices = self._prices[:, None]
            return _Extras(idle=weight_cycles(prices, size, pieces.copies, spec))
        if collector.uniform or ends_with_sync(expression):
            return _Extras()
        return _Extras(transition=end_cycles(spec, expression, pieces.size))
