"""Which plans can change neither a pool nor a shortlist, told by floors.

A shortlist takes the plans that cost least beyond some ceiling (shortlist.py), so a plan whose
floors alone cost more need not be priced. It is summed up with the rest by its floors, which lowers
the rest's cost a little and leaves its bound valid.
"""

import numpy as np

from t10c.schedule.pool import PoolCollector, execution_cycles
from t10c.schedule.pool_sieve import PoolSieve
from t10c.schedule.shares import shares_evenly
from t10c.schedule.shortlist import ShortlistCollector
from t10c.search.blocks import Block
from t10c.search.candidates import Candidates
from t10c.search.evaluate import Costs
from t10c.search.floors import SLACK, more_shift_cycles
from t10c.search.join import Prefixes, known_shifts
from t10c.search.space import BoolArray, FloatArray, IntArray
from t10c.search.subspaces import least_memory
from t10c.search.tile_table import TileTable


class ListingSieve(PoolSieve):
    """Lets those plans through that a pool wants, or that may be on a shortlist."""

    def __init__(self, collector: PoolCollector, listing: ShortlistCollector) -> None:
        super().__init__(collector)
        self._listing = listing

    @staticmethod
    def serves(collector: PoolCollector) -> bool:
        """Whether the floors of a pool's minima are those of a shortlist."""
        problem = collector.problem
        inputs = problem.expression.inputs
        return not collector.uniform and all(shares_evenly(inputs[i]) for i in problem.weights)

    def learn(self, candidates: Candidates, costs: Costs) -> None:
        """Let plans be known, so that they rule out others."""
        super().learn(candidates, costs)
        execution = execution_cycles(self._collector.problem.expression, costs)
        self._listing.learn(candidates, costs, execution)

    def enter(self, block: Block, tiles: TileTable) -> IntArray:
        """Rows of the splits that promise to be best by some score or minimum, ascending."""
        self._least_memory = least_memory(block)
        self._cuts = self._listing.cuts_of_splits(block.run.splits)
        return super().enter(block, tiles)

    def wanted(self, plans: Prefixes, cycles: FloatArray) -> BoolArray:
        """Which plans of the block may matter, (plans,); `cycles` are floors with computing."""
        if self._listing.may_be_few(len(plans)):
            return np.ones(len(plans), dtype=bool)
        wanted = super().wanted(plans, cycles)
        left = np.flatnonzero(~wanted)
        out = self._left_out(self._cuts, self._least_minima, self._least_memory, plans.rows[left])
        left = left[~out]
        some = plans.take(left)
        floors = self._floors(some, cycles[left])
        every = np.arange(len(left))
        out = self._left_out(self._cuts[some.rows], floors, some.memory, every)
        wanted[left[~out]] = True
        return wanted

    def _left_out(
        self, cuts: IntArray, floors: FloatArray, memory: FloatArray, of: IntArray
    ) -> BoolArray:
        """Which plans are ruled out, and summed up, by their floors.

        Floors are `floors` (prices, n) in cycles and `memory` (n,), and what is cut at least is
        `cuts` (n,), those of each plan at `of`.
        """
        floors = floors[: len(self._listing.prices)] * SLACK
        active = memory - self._listing.spec.shift_buffer.reserved_bytes
        ruled_out = self._listing.rules_out(cuts, floors, active)
        out: BoolArray = ruled_out[of]
        used = np.zeros(len(ruled_out), dtype=bool)
        used[of] = True
        used &= ruled_out
        count = int(np.count_nonzero(out))
        self._listing.leave_out(cuts[used], floors[:, used], active[used], count)
        return out

    def _floors(self, plans: Prefixes, cycles: FloatArray) -> FloatArray:
        """What plans cost at least at every price of a shortlist, (prices, plans)."""
        shifts, once = known_shifts(self._block.tables, plans)
        cycles = cycles + more_shift_cycles(plans.steps, shifts, once)
        alone = cycles - self._transition(plans)
        prices = self._price_of_minimum[: len(self._listing.prices)]
        return np.stack([alone + self._idle(plans, price) for price in prices])
