"""Which subspaces of plans, a split or a prefix, may still hold a plan that none known beats.

For a price per byte, the least cycles + price * bytes over a subspace is a sum of minima over the
operands' cuts: it bounds every plan of the subspace from below by a line. A subspace is bounded
away if on every step of the staircase of known plans some line lies above it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from t10c.search.blocks import Block
from t10c.search.floors import SLACK, more_shift_cycles
from t10c.search.join import CutTable, Prefixes, begin, join, known_shifts, open_cells, open_steps
from t10c.search.pareto import Staircase
from t10c.search.space import BoolArray, FloatArray, IntArray
from t10c.search.tile_table import TileTable, points_of

WordArray = NDArray[np.uint64]

_MOST_STEPS = 62
"""Steps of a staircase that are told apart: one bit each in 64-bit words."""
_BUCKETS = 4096
"""Values of levels that are told apart: looking one up costs less than searching for it."""


def prices_along(known: Staircase, most: int) -> FloatArray:
    """Prices in cycles per byte: 0, and at which plans of the staircase's convex hull are best."""
    memory, cycles = known.memory, known.cycles
    hull = [0]
    for i in range(1, len(memory)):
        while len(hull) > 1 and _turns_up(memory, cycles, hull[-2], hull[-1], i):
            hull.pop()
        hull.append(i)
    if len(hull) < 2:
        return np.zeros(1)
    slopes = -np.diff(cycles[hull]) / np.diff(memory[hull])
    # those in the middle of the range rule out most, and are judged by first
    spread = np.geomspace(slopes[0], slopes[-1], most)
    order = np.argsort(np.abs(np.arange(most) - (most - 1) / 2), kind="stable")
    return np.append(spread[order], 0.0)


def _turns_up(memory: FloatArray, cycles: FloatArray, a: int, b: int, c: int) -> bool:
    """Whether b lies on or above the line from a to c."""
    rise = (cycles[c] - cycles[a]) * (memory[b] - memory[a])
    return bool((cycles[b] - cycles[a]) * (memory[c] - memory[a]) >= rise)


@dataclass(frozen=True)
class Minima:
    """Least cycles + price * bytes over cuts of some operands, of every split.

    `priced` and `still` (prices, splits) count the cycles with and without the operands' shifts;
    `memory` (splits,) is the least memory in bytes, `once` (splits,) the cycles of the cheapest
    shift.
    """

    priced: FloatArray
    still: FloatArray
    memory: FloatArray
    once: FloatArray

    def __add__(self, other: "Minima") -> "Minima":
        """Minima over the operands of both."""
        return Minima(
            self.priced + other.priced,
            self.still + other.still,
            self.memory + other.memory,
            np.minimum(self.once, other.once),
        )


def _cut_minima(table: CutTable, prices: FloatArray) -> Minima:
    """Minima over the cuts of one operand; infinite for splits that have none left."""
    floors, cuts = table.floors, table.cuts

    def least(values: FloatArray) -> FloatArray:
        found = np.full(len(cuts.counts), np.inf)
        some = np.flatnonzero(cuts.counts)
        if len(some):
            found[some] = np.minimum.reduceat(values, cuts.first[some])
        return found

    return Minima(
        np.stack([least(floors.cycles + price * floors.memory) for price in prices]),
        np.stack([least(floors.still + price * floors.memory) for price in prices]),
        least(floors.memory),
        least(floors.once),
    )


def split_minima(
    block: Block, prices: FloatArray, tiles: TileTable
) -> tuple[FloatArray, FloatArray]:
    """Least cycles + price * bytes of all plans of every split, (prices, splits), and memory."""
    bounds = SplitBounds(block, tiles)
    least = [
        bounds.least(
            [table.floors.cycles + price * table.floors.memory for table in block.tables],
            block.floors.cycles + price * block.floors.memory,
        )
        for price in prices
    ]
    return np.stack(least), least_memory(block)


def least_memory(block: Block) -> FloatArray:
    """Least bytes per core of all plans of every split, the shift buffer included, (splits,)."""
    memory = block.floors.memory.copy()
    for table in block.tables:
        memory += np.minimum.reduceat(table.floors.memory, table.cuts.first)
    return memory


class SplitBounds:
    """Sums of what cuts take, and of computing, that bound all plans of a split from below.

    Whatever the others do, a plan computes at the rate of tiles no longer than one operand's cut
    leaves them; the operand for which that says most counts.
    """

    def __init__(self, block: Block, tiles: TileTable) -> None:
        self._tables = block.tables
        points = points_of(block.run.blocks)
        self._whole = points * tiles.rate[block.cells]
        self._cut = []
        for table in block.tables:
            rows = table.cuts.rows
            cells = sum(table.cells, block.cells[rows])
            self._cut.append(points[rows] * tiles.rate[cells])

    def least(self, taken: Sequence[FloatArray], whole: FloatArray) -> FloatArray:
        """Least sum over a cut of every operand, computing included, (splits,).

        `taken` has an array per operand, (cuts,), and `whole` (splits,) is added to all.
        """
        alone = [
            np.minimum.reduceat(values, table.cuts.first)
            for values, table in zip(taken, self._tables, strict=True)
        ]
        total = sum(alone, whole)
        best: FloatArray = total + self._whole
        for table, values, computing, own in zip(
            self._tables, taken, self._cut, alone, strict=True
        ):
            pivot = np.minimum.reduceat(values + computing, table.cuts.first)
            np.maximum(best, total - own + pivot, out=best)
        return best


@dataclass(frozen=True)
class PrefixBounds:
    """What bounds the prefixes of one block: `minima` over the cuts of every operand, in order."""

    block: Block
    prices: FloatArray
    tiles: TileTable
    minima: tuple[Minima, ...]

    def alive(self, judge: "Judge", prefixes: Prefixes) -> IntArray:
        """Positions of the prefixes that may become a plan that none of the known beats."""
        rest = self._sum(self.minima[len(prefixes.chosen) :])
        return self._alive(judge, prefixes, self.block.tables, rest)

    def narrowed(self, judge: "Judge") -> "PrefixBounds":
        """Bounds of the block with those cuts only that may belong to such a plan."""
        bounds = self
        whole = begin(np.arange(len(self.block.run.splits)), self.block.cells, self.block.floors)
        for operand, table in enumerate(self.block.tables):
            others = self._sum((*bounds.minima[:operand], *bounds.minima[operand + 1 :]))
            cuts = join(whole, table, 0.0)[0]
            block = bounds.block.with_cuts(operand, self._alive(judge, cuts, (table,), others))
            minima = list(bounds.minima)
            minima[operand] = _cut_minima(block.tables[operand], self.prices)
            bounds = PrefixBounds(block, self.prices, self.tiles, tuple(minima))
        return bounds

    def _sum(self, minima: Iterable[Minima]) -> Minima:
        splits = len(self.block.run.splits)
        none = np.zeros((len(self.prices), splits))
        return sum(minima, Minima(none, none, np.zeros(splits), np.full(splits, np.inf)))

    def _alive(
        self, judge: "Judge", prefixes: Prefixes, tables: tuple[CutTable, ...], rest: Minima
    ) -> IntArray:
        """Positions of prefixes of the tables' operands; `rest` are minima over all others.

        The operands to come either bring their own shifts, or make all those that are missing.
        """
        rows = prefixes.rows
        points = points_of(self.block.run.blocks)
        cycles = prefixes.cycles + points[rows] * self.tiles.rate[open_cells(prefixes)]
        shifts, once = known_shifts(tables, prefixes)
        once = np.minimum(once, rest.once[rows])
        more = more_shift_cycles(open_steps(prefixes), shifts, once)

        def priced(number: int, chosen: IntArray) -> FloatArray:
            row = rows[chosen]
            least = np.maximum(rest.priced[number][row], rest.still[number][row] + more[chosen])
            least += cycles[chosen]
            least += self.prices[number] * prefixes.memory[chosen]
            return np.asarray(least)

        return judge.alive(prefixes.memory + rest.memory[rows], priced)

    def combinations(self, prefixes: Prefixes) -> FloatArray:
        """At least the plans that begin with each prefix, (prefixes,)."""
        counts = np.ones(len(prefixes))
        for table in self.block.tables[len(prefixes.chosen) :]:
            counts *= table.cuts.counts[prefixes.rows]
        return counts


def narrowed(block: Block, prices: FloatArray, tiles: TileTable, judge: "Judge") -> PrefixBounds:
    """Bounds of the block without the splits, then the cuts, that hold no plan of interest."""
    priced, memory = split_minima(block, prices, tiles)
    alive = np.zeros(len(memory), dtype=bool)
    alive[judge.alive(memory, lambda number, chosen: priced[number][chosen])] = True
    for operand, table in enumerate(block.tables):
        block = block.with_cuts(operand, np.flatnonzero(alive[table.cuts.rows]))
    minima = tuple(_cut_minima(table, prices) for table in block.tables)
    return PrefixBounds(block, prices, tiles, minima).narrowed(judge)


class Judge:
    """Says which subspaces may hold a plan that none of the known plans beats.

    `prices` are those of the minima to be judged; a subspace that takes more than `usable_bytes`
    holds no plan.
    """

    def __init__(self, known: Staircase, prices: FloatArray, usable_bytes: float) -> None:
        self.prices = prices
        self.usable_bytes = usable_bytes
        # step i holds memory below most[i], and a plan on it must take at most cycles[i]
        most = np.append(known.memory, usable_bytes)
        cycles = np.concatenate([[np.inf], known.cycles])
        if len(most) > _MOST_STEPS:
            ends = np.linspace(0, len(most), _MOST_STEPS + 1).astype(np.int64)
            most, cycles = most[ends[1:] - 1], cycles[ends[:-1]]
        bits = np.uint64(1) << np.arange(len(most), dtype=np.uint64)
        self.above = _Levels.of(most, bits)
        self.levels = [_Levels.of(cycles + price * most, bits) for price in prices]

    def alive(self, memory: FloatArray, priced: Callable[[int, IntArray], FloatArray]) -> IntArray:
        """Positions of subspaces that may hold such a plan.

        `memory` (subspaces,) is their least memory in bytes; `priced(j, chosen)` gives the minima
        at the j-th price of the chosen positions.
        """
        chosen = np.flatnonzero(memory <= self.usable_bytes)
        steps = self.above.not_below(memory[chosen])
        for number, levels in enumerate(self.levels):
            steps &= levels.not_below(priced(number, chosen) * SLACK)
            keep: BoolArray = steps != 0
            if not keep.all():
                chosen, steps = chosen[keep], steps[keep]
        return chosen


@dataclass(frozen=True)
class _Levels:
    """The steps whose level is not below a value, by the value's place on a scale of buckets.

    `masks` has the steps not below the lower end of each bucket, so that none is ever missed; the
    last bucket is for values above all levels. Infinite levels are in every other bucket.
    """

    least: float
    per_bucket: float
    masks: WordArray

    @staticmethod
    def of(levels: FloatArray, bits: WordArray) -> "_Levels":
        """The scale from the least to the greatest finite level."""
        finite = levels[np.isfinite(levels)]
        if not len(finite):
            return _Levels(0.0, np.inf, np.full(2, np.bitwise_or.reduce(bits)))
        least, span = float(finite.min()), float(np.ptp(finite))
        per_bucket = max(span, 1.0) / _BUCKETS
        ends = least + per_bucket * np.arange(_BUCKETS + 1)
        ends[0] = -np.inf
        order = np.argsort(levels, kind="stable")
        masks = np.append(np.bitwise_or.accumulate(bits[order][::-1])[::-1], np.uint64(0))
        return _Levels(
            least,
            per_bucket,
            np.append(
                masks[np.searchsorted(levels[order], ends, side="left")],
                np.bitwise_or.reduce(bits[~np.isfinite(levels)]),
            ),
        )

    def not_below(self, values: FloatArray) -> WordArray:
        """One mask of steps per value."""
        place = (values - self.least) / self.per_bucket
        np.clip(place, 0, len(self.masks) - 1, out=place)
        masks: WordArray = self.masks[place.astype(np.int64)]
        return masks
