"""Walking the plans of one operator: counted, bounded by floors, priced where that leaves doubt.

A space of up to COUNTED_PLANS combinations is enumerated in full, so that its counts are exact; of
a larger one, splits and prefixes are bounded away before their plans are enumerated.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from t10c.hardware.tiles import tile_cycles
from t10c.search.blocks import Block, Space, SplitRun, candidates_of, make_block, split_runs
from t10c.search.candidates import Candidates
from t10c.search.evaluate import Costs, evaluate_unshifted, memory_bytes, with_shifts
from t10c.search.floors import SLACK, more_shift_cycles
from t10c.search.join import Prefixes, begin, factor_matrix, join, known_shifts, step_matrix
from t10c.search.pareto import NO_PLANS, Staircase, pareto_front
from t10c.search.placement import may_overlap, placeable_mask
from t10c.search.sieve import Sieve
from t10c.search.space import FloatArray, IntArray
from t10c.search.subspaces import Judge, PrefixBounds, narrowed, prices_along, split_minima
from t10c.search.temporal import cut_counts
from t10c.search.tile_table import TileTable, points_of, tabulate_tiles

COUNTED_PLANS = 2**24
"""Combinations of operands' cuts up to which every plan is counted: a few CPU seconds."""

_CHUNK_PLANS = 2**17
"""Plans joined at once: arrays of about a mebibyte, which caches hold."""

_MOST_CELLS = 2**22
"""Larger tables of tiles are not made: they would take more than 64 MiB, and seconds."""

_SAMPLES = (32, 1)
"""Of every so many plans one is looked at for plans that rule out others."""

_SEED_CUTS = 2**18
"""Cuts of the splits, evenly spread over all, that yield the first known plans."""
_SEED_STRIDE = 16
_SEEDS_PER_PRICE = 8
"""Of every so many splits, those of the least bounds at every price are looked at next."""
_PRICES = 8

Visitor = Callable[[Candidates, Costs], None]
"""Receives every chunk of feasible candidates, in a fixed order."""


@dataclass
class Tally:
    """Counts of plans and splits, as SearchRecord has them."""

    legal: int = 0
    placeable: int = 0
    feasible: int = 0
    evaluated: int = 0
    padding_pruned: int = 0
    bounded_splits: int = 0
    uncounted: float = 0.0
    smallest_bytes: int = np.iinfo(np.int64).max


@dataclass
class Explorer:
    """The plans of a space that may be on its front, priced, in the order of enumeration.

    `visit` sees all feasible plans, or those that its `sieve` wants and some more. `found` has
    chunks of candidates that no plan known at the time beat; `known` is the staircase of all
    priced plans.
    """

    space: Space
    visit: Visitor | None = None
    sieve: Sieve | None = None
    tally: Tally = field(default_factory=Tally)
    found: list[tuple[Candidates, Costs]] = field(default_factory=list)
    known: Staircase = NO_PLANS
    tiles: TileTable = field(init=False)

    def explore(self, splits: IntArray, most_plans: int) -> bool:
        """Look at all plans of the splits; False if it ended early, at `most_plans` legal ones."""
        combinations, first = self._count(splits)
        self.tiles = tabulate_tiles(
            self.space.expression,
            self.space.spec,
            self.space.thresholds,
            int(min(combinations, _MOST_CELLS)),
        )
        prices = None
        if self.visit is None and combinations > COUNTED_PLANS:
            cuts = int(cut_counts(self.space.slots, splits).sum())
            self._look_around(splits[:: 1 + cuts // _SEED_CUTS])
            prices = prices_along(self.known, _PRICES)
            self._look_at_promising(splits[::_SEED_STRIDE], prices)
        after = sum(len(run.splits) for run in first)
        for run in chain(first, split_runs(self.space, splits[after:])):
            self.tally.padding_pruned += sum(cuts.pruned for cuts in run.cuts)
            for block, plans in self._plans(run, prices):
                if self.tally.legal >= most_plans:
                    return False
                self._look_at(block, plans)
        return True

    def _count(self, splits: IntArray) -> tuple[float, list[SplitRun]]:
        """Combinations of cuts, as far as it takes to tell many from few, and the first run."""
        combinations = 0.0
        first: list[SplitRun] = []
        for run in split_runs(self.space, splits):
            combinations += float(run.combinations.sum())
            if not first:
                first.append(run)
            if combinations > COUNTED_PLANS:
                break
        return combinations, first

    def _look_around(self, splits: IntArray) -> None:
        """Let the plans of some splits be known, so that they rule out others."""
        for run in split_runs(self.space, splits):
            for block, plans in self._plans(run, None):
                feasible = self._feasible(block, self._placeable(block, plans))
                self._undominated(block, feasible, self._floor_cycles(block, feasible))

    def _look_at_promising(self, splits: IntArray, prices: FloatArray) -> None:
        """Let the plans of those splits be known that have the least bounds at some price."""
        bounds = []
        for run in split_runs(self.space, splits):
            block = make_block(self.space, run, self.tiles)
            bounds.append(split_minima(block, prices, self.tiles)[0])
        least = np.concatenate(bounds, axis=1)
        seeds = [np.argsort(row, kind="stable")[:_SEEDS_PER_PRICE] for row in least]
        self._look_around(splits[np.unique(np.concatenate(seeds))])

    def _judge(self, prices: FloatArray) -> Judge:
        """What the known plans rule out; without any, only what takes more memory than was seen."""
        limit = float(self.space.spec.usable_bytes)
        if not len(self.known.memory):
            limit = max(limit, self.tally.smallest_bytes - 1.0)
        return Judge(self.known, prices, limit)

    def _plans(self, run: SplitRun, prices: FloatArray | None) -> Iterator[tuple[Block, Prefixes]]:
        """All plans of the run in chunks; with prices, those that are not bounded away."""
        block = make_block(self.space, run, self.tiles)
        rows, bounds = np.arange(len(run.splits)), None
        if prices is not None:
            bounds = narrowed(block, prices, self.tiles, self._judge(prices))
            block = bounds.block
            left = block.run.combinations
            rows = np.flatnonzero(left)
            self.tally.bounded_splits += len(left) - len(rows)
            self.tally.uncounted += float(run.combinations.sum() - left.sum())
        if self.sieve is not None:
            self._learn_first(block, self.sieve)
        whole = begin(rows, block.cells, block.floors)
        for plans in self._complete(block, whole, bounds):
            yield block, plans

    def _learn_first(self, block: Block, sieve: Sieve) -> None:
        """Let the sieve know the plans that it asks for; they are counted in their turn."""
        pruned = self.tally.padding_pruned
        whole = begin(sieve.enter(block, self.tiles), block.cells, block.floors)
        for plans in self._complete(block, whole, None):
            feasible = self._feasible(block, self._placeable(block, plans))
            if len(feasible):
                candidates, costs = self._priced(block, feasible)
                sieve.learn(candidates, costs)
                self.known = self.known.with_plans(costs.memory_bytes, costs.total)
        self.tally.padding_pruned = pruned

    def _complete(
        self, block: Block, prefixes: Prefixes, bounds: PrefixBounds | None
    ) -> Iterator[Prefixes]:
        """All plans that begin with the prefixes, in order, in chunks."""
        depth = len(prefixes.chosen)
        if depth == len(block.tables):
            if len(prefixes):
                yield prefixes
            return
        if bounds is not None and depth > 1:
            alive = bounds.alive(self._judge(bounds.prices), prefixes)
            every = bounds.combinations(prefixes)
            self.tally.uncounted += float(every.sum() - every[alive].sum())
            prefixes = prefixes.take(alive)
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
            yield from self._complete(block, longer, bounds)
            start = stop

    def _look_at(self, block: Block, plans: Prefixes) -> None:
        """Count legal plans, and price those that may be on the front."""
        tally = self.tally
        tally.legal += len(plans)
        plans = self._placeable(block, plans)
        tally.placeable += len(plans)
        plans = self._feasible(block, plans)
        tally.feasible += len(plans)
        if self.visit is None or self.sieve is not None:
            plans = plans.take(self._of_interest(block, plans))
        if not len(plans):
            return
        candidates, costs = self._priced(block, plans)
        tally.evaluated += len(plans)
        if self.visit is not None:
            self.visit(candidates, costs)
            if self.sieve is None:
                self._know_sample(costs)
        cycles = costs.total
        alive = np.flatnonzero(cycles <= self.known.least_cycles(costs.memory_bytes))
        front = alive[pareto_front(costs.memory_bytes[alive], cycles[alive])]
        self.found.append((candidates.take(front), costs.take(front)))
        self.known = self.known.with_plans(costs.memory_bytes[front], cycles[front])

    def _know_sample(self, costs: Costs) -> None:
        """Let some plans be known, so that few of a chunk that was not bounded are sorted."""
        some = slice(None, None, _SAMPLES[0])
        self.known = self.known.with_plans(costs.memory_bytes[some], costs.total[some])

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
        if not len(self.known.memory):
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

    def _of_interest(self, block: Block, plans: Prefixes) -> IntArray:
        """Plans that may be on the front, and those that the visitor has to see."""
        cycles = self._floor_cycles(block, plans)
        alive = self._undominated(block, plans, cycles)
        if self.sieve is None:
            return alive
        wanted = self.sieve.wanted(plans, cycles)
        wanted[alive] = True
        return np.flatnonzero(wanted)

    def _undominated(self, block: Block, plans: Prefixes, floors: FloatArray) -> IntArray:
        """Plans that no known plan beats by their floors, after pricing the most promising.

        The most promising are those whose floors no other's beat: first of a sample, then of all.
        """
        cycles = floors * SLACK
        alive = np.flatnonzero(cycles <= self.known.least_cycles(plans.memory))
        some_plans = plans.take(alive)
        shifts, once = known_shifts(block.tables, some_plans)
        cycles[alive] += more_shift_cycles(some_plans.steps, shifts, once) * SLACK
        alive = alive[cycles[alive] <= self.known.least_cycles(plans.memory[alive])]
        for sample in _SAMPLES:
            if len(alive) > 2 * sample:
                some = alive[::sample]
                best = some[pareto_front(plans.memory[some], cycles[some])]
                _, costs = self._priced(block, plans.take(best))
                self.known = self.known.with_plans(costs.memory_bytes, costs.total)
                alive = alive[cycles[alive] <= self.known.least_cycles(plans.memory[alive])]
        return alive

    def _floor_cycles(self, block: Block, plans: Prefixes) -> FloatArray:
        """Least cycles of plans, computing included.

        Without a table of tiles, those that a mere rate rules out keep the rate's floor.
        """
        if self.tiles.cycles is not None:
            known: FloatArray = plans.cycles + plans.steps * self.tiles.cycles[plans.cells]
            return known
        space = self.space
        points = points_of(block.run.blocks)
        cycles: FloatArray = plans.cycles + points[plans.rows] * self.tiles.rate[plans.cells]
        alive = np.flatnonzero(cycles * SLACK <= self.known.least_cycles(plans.memory))
        factors = factor_matrix(space.slots, block.tables, plans.take(alive))
        steps = step_matrix(space.slots, factors)
        tiles = -(-block.run.blocks[plans.rows[alive]] // steps)
        compute = np.prod(steps, axis=1) * tile_cycles(space.spec, space.expression, tiles)
        cycles[alive] = plans.cycles[alive] + compute
        return cycles
