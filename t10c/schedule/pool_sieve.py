"""Which plans can change neither a pool nor the minima of its bound, told by floors.

All that the pool ranks plans by is a sum of cycles, of priced bytes and of what idle weights cost
at a price, and each has a floor by cut of an operand. Whole splits are ruled out first, by the
least of every operand, then single plans.
"""

from dataclasses import dataclass

import numpy as np

from t10c.hardware.kernels import move_cycles, sync_cycles
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
from t10c.search.floors import SLACK, Pieces, cut_pieces, more_shift_cycles, whole_pieces
from t10c.search.join import Prefixes, known_shifts
from t10c.search.space import BoolArray, FloatArray, IntArray
from t10c.search.subspaces import SplitBounds
from t10c.search.tile_table import TileTable


@dataclass(frozen=True)
class _Extras:
    """What plans take beside their floors, per cut of an operand, or per split of those never cut.

    `idle` (prices, n) is the least setup + price * idle bytes of weights, `transition` (n,) what
    of the floors' cycles is the uniform transition and does not count for the minima.
    """

    idle: FloatArray
    transition: FloatArray

    def take(self, chosen: IntArray) -> "_Extras":
        return _Extras(self.idle[:, chosen], self.transition[chosen])

    def __add__(self, other: "_Extras") -> "_Extras":
        return _Extras(self.idle + other.idle, self.transition + other.transition)


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
        limits = self._limits()
        wanted = self._splits_wanted(limits)[plans.rows]
        some = np.flatnonzero(wanted)
        plans = plans.take(some)
        shifts, once = known_shifts(self._block.tables, plans)
        cycles = cycles[some] + more_shift_cycles(plans.steps, shifts, once)
        extras = self._whole.take(plans.rows)
        for chosen, cut in zip(plans.chosen, self._cut, strict=True):
            extras += cut.take(chosen)
        wanted[some] = self._possible(plans, cycles, extras, limits)
        return wanted

    def _possible(
        self, plans: Prefixes, cycles: FloatArray, extras: _Extras, limits: FloatArray
    ) -> BoolArray:
        """Which plans do not exceed every limit, (plans,)."""
        collector = self._collector
        possible = np.zeros(len(plans), dtype=bool)
        alone = cycles - extras.transition
        for price, most in zip(self._price_of_minimum, collector.minima, strict=True):
            possible |= (alone + extras.idle[price]) * SLACK <= most
        for price, (_, per_byte), most in zip(
            self._price_of_pair, collector.pairs, limits, strict=True
        ):
            score = cycles + extras.idle[price] + per_byte * plans.memory
            possible |= score * SLACK <= most[plans.rows]
        return possible

    def _limits(self) -> FloatArray:
        """What a plan must not exceed at every pair of prices, (pairs, splits)."""
        pairs = len(self._collector.pairs)
        worst = self._collector.worst
        limits = np.repeat(worst[:pairs, None], len(self._block.run.splits), axis=1)
        leant = worst[pairs:, None] / self._factors
        limits[LEANING_PAIR] = np.maximum(limits[LEANING_PAIR], leant.max(axis=0, initial=0.0))
        return limits

    def _splits_wanted(self, limits: FloatArray) -> BoolArray:
        """Which splits have plans that may matter, (splits,)."""
        minima = self._collector.minima[:, None]
        wanted: BoolArray = np.any(self._least_minima * SLACK <= minima, axis=0)
        wanted |= np.any(self._least_priced * SLACK <= limits, axis=0)
        return wanted

    def _split_floors(self, block: Block, tiles: TileTable) -> tuple[FloatArray, FloatArray]:
        """Least of what the minima and the pool look at: (prices, splits) and (pairs, splits)."""
        bounds = SplitBounds(block, tiles)
        floors = [table.floors for table in block.tables]
        minima, priced = [], []
        for price in self._price_of_minimum:
            taken = [
                own.cycles - cut.transition + cut.idle[price]
                for own, cut in zip(floors, self._cut, strict=True)
            ]
            whole = block.floors.cycles - self._whole.transition + self._whole.idle[price]
            minima.append(bounds.least(taken, whole))
        for price, (_, per_byte) in zip(self._price_of_pair, self._collector.pairs, strict=True):
            taken = [
                own.cycles + cut.idle[price] + per_byte * own.memory
                for own, cut in zip(floors, self._cut, strict=True)
            ]
            whole = block.floors.cycles + self._whole.idle[price]
            priced.append(bounds.least(taken, whole + per_byte * block.floors.memory))
        return np.stack(minima), np.stack(priced)

    def _of_cuts(self, block: Block, position: int) -> _Extras:
        """Extras by cut of the operand at a position of the block's tables."""
        collector, cuts = self._collector, block.tables[position].cuts
        expression, run = collector.problem.expression, block.run
        pieces = cut_pieces(
            expression, collector.spec, collector.table, cuts, run.splits, run.blocks
        )
        return self._extras(cuts.operand, pieces)

    def _of_splits(self, block: Block) -> _Extras:
        """Extras by split of all operands that are never cut."""
        collector, run = self._collector, block.run
        count = len(run.splits)
        total = _Extras(np.zeros((len(self._prices), count)), np.zeros(count))
        for operand, own in enumerate(collector.table.by_operand):
            if not own:
                pieces = whole_pieces(
                    collector.problem.expression,
                    collector.spec,
                    collector.table,
                    operand,
                    run.splits,
                    run.blocks,
                )
                total += self._extras(operand, pieces)
        return total

    def _extras(self, operand: int, pieces: Pieces) -> _Extras:
        """Extras of an operand in such pieces."""
        collector = self._collector
        spec, expression = collector.spec, collector.problem.expression
        idle = np.zeros((len(self._prices), len(pieces.size)))
        if operand in collector.problem.weights:
            per_byte, sync = float(move_cycles(spec, 1.0)), sync_cycles(spec)
            size = pieces.size.astype(np.float64)
            idle = weight_cycles(self._prices[:, None], size, pieces.copies, per_byte, sync)
        transition = np.zeros(len(pieces.size))
        is_output = expression.operands[operand] is expression.output
        if is_output and not collector.uniform and not ends_with_sync(expression):
            transition = end_cycles(spec, expression, pieces.size)
        return _Extras(idle, transition)
