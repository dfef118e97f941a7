"""Which subspaces of plans, a split or a prefix, may still hold a plan that none known beats.

For a price per byte, the least cycles + price * bytes over a subspace is a sum of minima over the
operands' cuts: it bounds every plan of the subspace from below by a line. A subspace is bounded
away if on every step of the staircase of known plans some line lies above it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from t10c.search.blocks import Block
from t10c.search.floors import SLACK
from t10c.search.join import Prefixes, open_cells
from t10c.search.pareto import Staircase
from t10c.search.space import BoolArray, FloatArray, IntArray
from t10c.search.tile_table import TileTable

WordArray = NDArray[np.uint64]

_MOST_STEPS = 62
"""Steps of a staircase that are told apart: one bit each in 64-bit words."""


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
    """Least cycles + price * bytes of parts of splits, without computing.

    `priced` (prices, splits); `memory` (splits,) is the least memory in bytes.
    """

    priced: FloatArray
    memory: FloatArray


def cut_minima(block: Block, prices: FloatArray) -> tuple[Minima, ...]:
    """Minima over the cuts of every operand, in the order in which they are joined."""
    found = []
    for table in block.tables:
        floors, first = table.floors, table.cuts.first
        priced = [
            np.minimum.reduceat(floors.cycles + price * floors.memory, first) for price in prices
        ]
        found.append(Minima(np.stack(priced), np.minimum.reduceat(floors.memory, first)))
    return tuple(found)


def split_minima(block: Block, prices: FloatArray, tiles: TileTable) -> Minima:
    """Least cycles + price * bytes of all plans of every split, computing included.

    Whatever the others do, a plan computes at the rate of tiles no longer than one operand's cut
    leaves them; the operand for which that says most counts.
    """
    minima = cut_minima(block, prices)
    points = np.prod(block.run.blocks.astype(np.float64), axis=1)
    memory = block.floors.memory + sum(m.memory for m in minima)
    priced = block.floors.cycles + prices[:, None] * block.floors.memory
    total = sum((m.priced for m in minima), priced)
    best = total + points * tiles.rate[block.cells]
    for table, own in zip(block.tables, minima, strict=True):
        rows, first = table.cuts.rows, table.cuts.first
        cells = sum(table.cells, block.cells[rows])
        computing = table.floors.cycles + points[rows] * tiles.rate[cells]
        for number, price in enumerate(prices):
            pivot = np.minimum.reduceat(computing + price * table.floors.memory, first)
            np.maximum(best[number], total[number] - own.priced[number] + pivot, out=best[number])
    return Minima(best, memory)


@dataclass(frozen=True)
class PrefixBounds:
    """What bounds the prefixes of one block.

    `priced`, `memory` and `counts` give by depth, (prices, splits) and (splits,), the minima over
    the cuts of the operands that are not joined yet, and the combinations of those cuts.
    """

    prices: FloatArray
    tiles: TileTable
    points: FloatArray
    priced: tuple[FloatArray, ...]
    memory: tuple[FloatArray, ...]
    counts: tuple[FloatArray, ...]

    def alive(self, judge: "Judge", prefixes: Prefixes) -> IntArray:
        """Positions of the prefixes that may become a plan that none of the known beats."""
        rows, depth = prefixes.rows, len(prefixes.chosen)
        cells = open_cells(prefixes)
        cycles = prefixes.cycles + self.points[rows] * self.tiles.rate[cells]

        def priced(number: int, chosen: IntArray) -> FloatArray:
            own = cycles[chosen] + self.prices[number] * prefixes.memory[chosen]
            total: FloatArray = own + self.priced[depth][number][rows[chosen]]
            return total

        return judge.alive(prefixes.memory + self.memory[depth][rows], priced)

    def combinations(self, prefixes: Prefixes) -> FloatArray:
        """At least the plans that begin with each prefix, (prefixes,)."""
        combinations: FloatArray = self.counts[len(prefixes.chosen)][prefixes.rows]
        return combinations


def prefix_bounds(block: Block, prices: FloatArray, tiles: TileTable) -> PrefixBounds:
    """The bounds of a block's prefixes, for any depth."""
    splits = len(block.run.splits)
    priced, memory = [np.zeros((len(prices), splits))], [np.zeros(splits)]
    counts = [np.ones(splits)]
    for minima, table in zip(
        reversed(cut_minima(block, prices)), reversed(block.tables), strict=True
    ):
        priced.append(priced[-1] + minima.priced)
        memory.append(memory[-1] + minima.memory)
        counts.append(counts[-1] * table.cuts.counts)
    points = np.prod(block.run.blocks.astype(np.float64), axis=1)
    return PrefixBounds(
        prices, tiles, points, tuple(priced[::-1]), tuple(memory[::-1]), tuple(counts[::-1])
    )


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
        self.most = most
        self.bits = np.uint64(1) << np.arange(len(most), dtype=np.uint64)
        self.levels = [_levels(cycles + price * most, self.bits) for price in prices]
        self.above = np.append(np.bitwise_or.accumulate(self.bits[::-1])[::-1], np.uint64(0))

    def alive(self, memory: FloatArray, priced: Callable[[int, IntArray], FloatArray]) -> IntArray:
        """Positions of subspaces that may hold such a plan.

        `memory` (subspaces,) is their least memory in bytes; `priced(j, chosen)` gives the minima
        at the j-th price of the chosen positions.
        """
        chosen = np.flatnonzero(memory <= self.usable_bytes)
        steps = self.above[np.searchsorted(self.most, memory[chosen], side="left")]
        for number, (values, masks) in enumerate(self.levels):
            least = priced(number, chosen) * SLACK
            steps &= masks[np.searchsorted(values, least, side="left")]
            keep: BoolArray = steps != 0
            if not keep.all():
                chosen, steps = chosen[keep], steps[keep]
        return chosen


def _levels(levels: FloatArray, bits: WordArray) -> tuple[FloatArray, WordArray]:
    """Levels ascending, and for each the steps whose level is not below it (none beyond)."""
    order = np.argsort(levels, kind="stable")
    masks = np.bitwise_or.accumulate(bits[order][::-1])[::-1]
    return levels[order], np.append(masks, np.uint64(0))
