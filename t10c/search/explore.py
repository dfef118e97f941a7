"""Walking the plans of one operator: counted, bounded by floors, priced where that leaves doubt."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from t10c.hardware.tiles import tile_cycles
from t10c.search.blocks import Block, Space, candidates_of, make_block, split_runs
from t10c.search.bound import compute_bound_rate
from t10c.search.candidates import Candidates
from t10c.search.evaluate import Costs, evaluate_unshifted, memory_bytes, with_shifts
from t10c.search.floors import SLACK
from t10c.search.join import Prefixes, begin, factor_matrix, join, step_matrix
from t10c.search.pareto import NO_PLANS, Staircase, pareto_front
from t10c.search.placement import may_overlap, placeable_mask
from t10c.search.space import FloatArray, IntArray
from t10c.search.tile_table import TileTable, tabulate_tiles

_CHUNK_PLANS = 2**17
"""Plans joined at once: arrays of about a mebibyte, which caches hold."""

_MOST_CELLS = 2**22
"""Larger tables of tiles are not made: they would take more than 64 MiB, and seconds."""

_SAMPLES = (32, 1)
"""Of every so many plans one is looked at for plans that rule out others."""

Visitor = Callable[[Candidates, Costs], None]
"""Receives every chunk of feasible candidates, in a fixed order."""


@dataclass
class Tally:
    """Counts of plans, as SearchRecord has them."""

    legal: int = 0
    placeable: int = 0
    feasible: int = 0
    evaluated: int = 0
    padding_pruned: int = 0
    smallest_bytes: int = np.iinfo(np.int64).max


@dataclass
class Explorer:
    """The plans of a space that may be on its front, priced, in the order of enumeration.

    `found` has chunks of candidates that no plan known at the time beat; `known` is the staircase
    of all priced plans.
    """

    space: Space
    visit: Visitor | None = None
    tally: Tally = field(default_factory=Tally)
    found: list[tuple[Candidates, Costs]] = field(default_factory=list)
    known: Staircase = NO_PLANS
    tiles: TileTable | None = None
    rate: float = 0.0

    def explore(self, splits: IntArray, most_plans: int) -> bool:
        """Look at all plans of the splits; False if it ended early, at `most_plans` legal ones."""
        first = next(split_runs(self.space, splits), None)
        self._tabulate(first.combinations if first else 0)
        for run in split_runs(self.space, splits):
            block = make_block(self.space, run, self.tiles)
            self.tally.padding_pruned += sum(cuts.pruned for cuts in run.cuts)
            rows = np.arange(len(run.splits))
            for plans in self._complete(block, begin(rows, block.cells, block.floors)):
                if self.tally.legal >= most_plans:
                    return False
                self._look_at(block, plans)
        return True

    def _tabulate(self, combinations: float) -> None:
        """Tabulate tiles where that is less work than pricing the tile of every plan."""
        space = self.space
        most_cells = int(min(combinations, _MOST_CELLS))
        self.tiles = tabulate_tiles(space.expression, space.spec, space.thresholds, most_cells)
        if self.tiles is None:
            self.rate = compute_bound_rate(space.expression, space.spec)

    def _complete(self, block: Block, prefixes: Prefixes) -> Iterator[Prefixes]:
        """All plans that begin with the prefixes, in order, in chunks."""
        depth = len(prefixes.chosen)
        if depth == len(block.tables):
            if len(prefixes):
                yield prefixes
            return
        table = block.tables[depth]
        load = np.cumsum(table.cuts.counts[prefixes.rows])
        start = 0
        while start < len(prefixes):
            base = load[start - 1] if start else 0
            stop = int(np.searchsorted(load, base + _CHUNK_PLANS, side="right"))
            stop = max(stop, start + 1)
            part = prefixes.take(slice(start, stop))
            longer, pruned = join(part, table, self.space.thresholds.padding)
            self.tally.padding_pruned += pruned
            yield from self._complete(block, longer)
            start = stop

    def _look_at(self, block: Block, plans: Prefixes) -> None:
        """Count legal plans, and price those that may be on the front."""
        tally = self.tally
        tally.legal += len(plans)
        plans = self._placeable(block, plans)
        tally.placeable += len(plans)
        plans = self._feasible(block, plans)
        tally.feasible += len(plans)
        if self.visit is None:
            plans = plans.take(self._undominated(block, plans))
        if not len(plans):
            return
        candidates, costs = self._priced(block, plans)
        tally.evaluated += len(plans)
        if self.visit is not None:
            self.visit(candidates, costs)
        front = pareto_front(costs.memory_bytes, costs.total)
        self.found.append((candidates.take(front), costs.take(front)))
        self.known = self.known.with_plans(costs.memory_bytes, costs.total)

    def _placeable(self, block: Block, plans: Prefixes) -> Prefixes:
        """The plans that have a placement."""
        space = self.space
        splits = block.run.splits
        if not may_overlap(space.slots, splits):
            return plans
        factors = factor_matrix(space.slots, block.tables, plans)
        mask = placeable_mask(space.expression, space.slots, splits[plans.rows], factors)
        return plans if mask.all() else plans.take(np.flatnonzero(mask))

    def _feasible(self, block: Block, plans: Prefixes) -> Prefixes:
        """The plans that fit the memory; keeps the smallest demand as long as none does."""
        usable = self.space.spec.usable_bytes
        sure = block.most_memory[plans.rows] <= usable
        if sure.all():
            return plans
        if not self.tally.feasible:
            self._note_smallest(block, plans)
        doubtful = np.flatnonzero(~sure & (plans.memory <= usable))
        fits = sure
        fits[doubtful] = self._memory(block, plans.take(doubtful)) <= usable
        return plans.take(np.flatnonzero(fits))

    def _note_smallest(self, block: Block, plans: Prefixes) -> None:
        """Lower the smallest demand to the least of these plans."""
        for sample in _SAMPLES:
            below = np.flatnonzero(plans.memory < self.tally.smallest_bytes)[::sample]
            if len(below):
                least = int(self._memory(block, plans.take(below)).min())
                self.tally.smallest_bytes = min(self.tally.smallest_bytes, least)

    def _memory(self, block: Block, plans: Prefixes) -> IntArray:
        """Memory per core in bytes, (plans,)."""
        space = self.space
        candidates = candidates_of(space, block, plans)
        return memory_bytes(space.expression, space.slots, candidates, space.spec)[1]

    def _priced(self, block: Block, plans: Prefixes) -> tuple[Candidates, Costs]:
        """The plans as candidates, with all their costs."""
        space = self.space
        candidates = candidates_of(space, block, plans)
        costs = evaluate_unshifted(space.expression, space.slots, candidates, space.spec)
        return candidates, with_shifts(space.slots, candidates, costs, space.spec)

    def _undominated(self, block: Block, plans: Prefixes) -> IntArray:
        """Plans that no known plan beats by their floors, after pricing the most promising.

        The most promising are those whose floors no other's beat: first of a sample, then of all.
        """
        if self.tiles is not None:
            cycles = plans.cycles + plans.steps * self.tiles.cycles[plans.cells]
        else:
            cycles = self._computing(block, plans)
        cycles *= SLACK
        alive = np.flatnonzero(cycles <= self.known.least_cycles(plans.memory))
        for sample in _SAMPLES:
            if len(alive) > 2 * sample:
                some = alive[::sample]
                best = some[pareto_front(plans.memory[some], cycles[some])]
                _, costs = self._priced(block, plans.take(best))
                self.known = self.known.with_plans(costs.memory_bytes, costs.total)
                alive = alive[cycles[alive] <= self.known.least_cycles(plans.memory[alive])]
        return alive

    def _computing(self, block: Block, plans: Prefixes) -> FloatArray:
        """Floors on cycles without a table of tiles: the tile is priced where a rate does not do.

        Plans that the rate's floor rules out keep it.
        """
        space = self.space
        points = np.prod(block.run.blocks.astype(np.float64), axis=1)
        cycles: FloatArray = plans.cycles + self.rate * points[plans.rows]
        alive = np.flatnonzero(cycles * SLACK <= self.known.least_cycles(plans.memory))
        factors = factor_matrix(space.slots, block.tables, plans.take(alive))
        steps = step_matrix(space.slots, factors)
        tiles = -(-block.run.blocks[plans.rows[alive]] // steps)
        compute = np.prod(steps, axis=1) * tile_cycles(space.spec, space.expression, tiles)
        cycles[alive] = plans.cycles[alive] + compute
        return cycles
