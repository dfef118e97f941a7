"""The fastest tiling of one operator under a virtual global memory, in the memory there is.

All splits and tilings are considered. Splits are looked at by rising lower bound, and only in as
many steps as may still be faster than the best tiling known: what is left out is slower.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from t10c.baselines.tiles import Tilings
from t10c.hardware.kernels import TRANSITION_SYNCS, move_cycles, sync_cycles
from t10c.hardware.spec import HardwareSpec
from t10c.hardware.tiles import tile_cycles
from t10c.hardware.width import size_bytes
from t10c.ir.expression import TensorExpression
from t10c.search.bound import compute_bound_rate
from t10c.search.space import FloatArray, IntArray, ragged_product

MOST_STEPS = 2**18
"""Most steps of the loops of one operator, as in any device program."""

_FIRST_STEPS = 16
_FIRST_SPLITS = 32
_ROWS_AT_ONCE = 1 << 19
_GRID_LIMIT = 1 << 22

_ROUNDING = 1 + 1e-9
"""Bounds are sums in another order than costs."""


@dataclass(frozen=True, slots=True)
class Tiling:
    """How one operator is cut: blocks over cores, tiles in time, and the order of loops.

    `split` and `rounds` are F and T, in axis order; `loops` are the positions of the axes that are
    cut in time, the outermost first. `tile_bytes` are those of the operands, the output last.
    Cycles sum to `cycles`; transfers and syncs are of the exchanges, which together last
    `exchange_cycles`, and some operators end every output tile with a sync.
    """

    split: tuple[int, ...]
    rounds: tuple[int, ...]
    loops: tuple[int, ...]
    tile_bytes: tuple[int, ...]
    compute_cycles: float
    epilogue_cycles: float
    transfer_cycles: float
    reduction_cycles: float
    sync_cycles: float
    end_cycles: float

    @property
    def memory_bytes(self) -> int:
        """Bytes per core of all tile buffers."""
        return sum(self.tile_bytes)

    @property
    def steps(self) -> int:
        """Tiles that a core computes one after the other."""
        return math.prod(self.rounds)

    @property
    def cycles(self) -> float:
        """From the first load to the last store."""
        own = self.compute_cycles + self.epilogue_cycles + self.reduction_cycles
        return own + self.exchange_cycles + self.end_cycles

    @property
    def exchange_cycles(self) -> float:
        """Exchanges that load and store tiles."""
        return self.transfer_cycles + self.sync_cycles


def find_tiling(
    expression: TensorExpression, spec: HardwareSpec, available_bytes: int
) -> Tiling | None:
    """The fastest tiling whose buffers fit; None if not even the smallest tiles do."""
    return Search(expression, spec, available_bytes).run()


def smallest_bytes(expression: TensorExpression, spec: HardwareSpec) -> int:
    """Bytes per core that the smallest tiles take, with all cores at work or one."""
    tiles = np.array([[1 if a.splittable else a.length for a in expression.axes]], dtype=np.int64)
    return int(Tilings(expression, spec).tile_bytes(np.ones_like(tiles), tiles).sum())


class Search:
    """The search of one operator; `best` is the fastest tiling so far."""

    def __init__(
        self, expression: TensorExpression, spec: HardwareSpec, available_bytes: int
    ) -> None:
        self.expression, self.spec, self.available = expression, spec, available_bytes
        self.tilings = Tilings(expression, spec)
        self.rates = _tile_rates(expression, spec)
        self.step_cycles = TRANSITION_SYNCS * sync_cycles(spec)
        self.best_key: tuple[float, ...] = (np.inf,)
        self.best: tuple[IntArray, IntArray] | None = None

    def run(self) -> Tiling | None:
        """The fastest tiling, None if none fits."""
        splits = self._splits()
        bounds = self.bounds(splits)
        order = np.argsort(bounds, kind="stable")
        splits, bounds = splits[order], bounds[order]
        most = _FIRST_STEPS
        while True:
            needed = self._search_all(splits, bounds, most)
            if needed <= most or most == MOST_STEPS:
                break
            most = int(min(MOST_STEPS, max(most * 4 if self.best is None else needed, most)))
        return None if self.best is None else self._tiling(*self.best)

    def _search_all(self, splits: IntArray, bounds: FloatArray, most: int) -> int:
        """Look at all splits in up to `most` steps; the most that any of them might still need."""
        begin, count = 0, _FIRST_SPLITS
        while begin < len(splits) and bounds[begin] <= self.best_key[0] * _ROUNDING:
            chunk = slice(begin, begin + count)
            limits = np.minimum(self.step_limits(bounds[chunk]), most)
            for rows, rounds in self._rounds(splits[chunk], limits):
                self._consider(splits[chunk][rows], rounds, bounds[chunk][rows])
            begin, count = begin + count, count * 2
        relevant = bounds <= self.best_key[0] * _ROUNDING
        return int(self.step_limits(bounds[relevant]).max(initial=1))

    def step_limits(self, bounds: FloatArray) -> IntArray:
        """In how many steps a split may still be as fast as the best tiling, (splits,).

        A bound contains the syncs of a single step; each further step adds as many as a load takes.
        """
        spare = self.best_key[0] * _ROUNDING - bounds
        if not np.isfinite(self.best_key[0]) or self.step_cycles <= 0:
            return np.full(len(bounds), MOST_STEPS, dtype=np.int64)
        steps = 1 + np.floor(np.maximum(spare, 0) / self.step_cycles)
        return np.asarray(np.minimum(steps, MOST_STEPS), dtype=np.int64)

    def _consider(self, splits: IntArray, rounds: IntArray, bounds: FloatArray) -> None:
        """Evaluate tilings that may be faster than the best; `bounds` are those of the splits."""
        if self.rates is not None and self.best is not None:
            blocks = -(-self.tilings.lengths // splits)
            # the bound's compute, at the best rate, gives way to that of the tiles there are
            bound = bounds - self._least_compute(blocks) + self._compute(blocks, rounds)
            bound += (np.prod(rounds, axis=1) - 1) * self.step_cycles
            rows = np.flatnonzero(bound <= self.best_key[0] * _ROUNDING)
            splits, rounds = splits[rows], rounds[rows]
        fits, costs = self.tilings.evaluate(splits, rounds, self.available)
        if not len(fits):
            return
        totals = costs.total
        least = np.flatnonzero(totals == totals.min())
        chosen = least[np.argmin(costs.memory_bytes[least])]
        key = (float(totals[chosen]), float(costs.memory_bytes[chosen]))
        if key < self.best_key:
            row = fits[chosen]
            self.best_key, self.best = key, (splits[row].copy(), rounds[row].copy())

    # The space

    def _splits(self) -> IntArray:
        """All splits that differ in a block length, each on the fewest cores, (splits, axes)."""
        cores = self.spec.core_count
        found, product = np.zeros((1, 0), dtype=np.int64), np.ones(1, dtype=np.int64)
        for axis in self.expression.axes:
            factors = _distinct_cuts(axis.length, cores) if axis.splittable else np.ones(1, int)
            counts = np.searchsorted(factors, cores // product, side="right")
            rows, which = ragged_product(counts)
            found = np.column_stack([found[rows], factors[which]])
            product = product[rows] * factors[which]
        return found

    def bounds(self, splits: IntArray) -> FloatArray:
        """No tiling of a split is faster, (splits,): best kernel, every byte once, one step."""
        spec, tilings = self.spec, self.tilings
        blocks = -(-tilings.lengths // splits)
        loads = np.zeros(len(splits), dtype=np.int64)
        for operand in self.expression.inputs:
            least = tilings.least_elements(operand, blocks)
            loads += size_bytes(spec, least, operand.bits)
        shares = tilings.shares(splits)
        waits = np.where(shares > 1, shares * sync_cycles(spec), 0.0)
        moved = move_cycles(spec, loads) + 2 * self.step_cycles
        return np.asarray(self._least_compute(blocks) + moved + waits)

    def _least_compute(self, blocks: IntArray) -> FloatArray:
        """Cycles of blocks at the best rate of any tile within them, (blocks,)."""
        points = np.prod(blocks.astype(np.float64), axis=1)
        if self.rates is None:
            return np.asarray(points * compute_bound_rate(self.expression, self.spec))
        return np.asarray(points * self.rates.best[self.rates.where(blocks)])

    def _compute(self, blocks: IntArray, rounds: IntArray) -> FloatArray:
        """Cycles of the tiles of blocks, (tilings,)."""
        assert self.rates is not None
        tiles = -(-blocks // rounds)
        points = np.prod((rounds * tiles).astype(np.float64), axis=1)
        return np.asarray(points * self.rates.own[self.rates.where(tiles)])

    def _rounds(self, splits: IntArray, limits: IntArray) -> Iterator[tuple[IntArray, IntArray]]:
        """All numbers of tiles per axis in at most `limits` steps: (rows of splits, rounds)."""
        blocks = -(-self.tilings.lengths // splits)
        rows, rounds = np.arange(len(splits)), np.zeros((len(splits), 0), dtype=np.int64)
        steps = np.ones(len(splits), dtype=np.int64)
        stack = [(rows, rounds, steps)]
        while stack:
            rows, rounds, steps = stack.pop()
            axis = rounds.shape[1]
            if axis == blocks.shape[1]:
                yield rows, rounds
                continue
            factors, first, counts = self._cuts(blocks[rows, axis], limits[rows] // steps, axis)
            ends = np.cumsum(counts)
            for begin, end in _runs(ends, _ROWS_AT_ONCE):
                part, which = ragged_product(counts[begin:end])
                part = part + begin
                chosen = factors[first[part] + which]
                stack.append(
                    (rows[part], np.column_stack([rounds[part], chosen]), steps[part] * chosen)
                )

    def _cuts(
        self, blocks: IntArray, limits: IntArray, axis: int
    ) -> tuple[IntArray, IntArray, IntArray]:
        """Numbers of tiles that blocks can be cut into: all of them, first and count per block."""
        if not self.expression.axes[axis].splittable:
            none = np.zeros(len(blocks), dtype=np.int64)
            return np.ones(1, dtype=np.int64), none, none + 1
        values, which = np.unique(blocks, return_inverse=True)
        tables = [_distinct_cuts(int(value), int(value)) for value in values]
        starts = np.cumsum([0, *(len(table) for table in tables)])[:-1]
        counts = np.empty(len(blocks), dtype=np.int64)
        for number, table in enumerate(tables):
            own = which == number
            counts[own] = np.searchsorted(table, limits[own], side="right")
        return np.concatenate(tables), starts[which], counts

    def _tiling(self, split: IntArray, rounds: IntArray) -> Tiling:
        _, costs = self.tilings.evaluate(split[None], rounds[None], self.available)
        tiles = self.tilings.tile_lengths(split[None], rounds[None])
        order = self.tilings.loop_order(split, rounds)
        return Tiling(
            split=tuple(split.tolist()),
            rounds=tuple(rounds.tolist()),
            loops=tuple(axis for axis in order if rounds[axis] > 1),
            tile_bytes=tuple(self.tilings.tile_bytes(split[None], tiles)[0].tolist()),
            compute_cycles=float(costs.compute[0]),
            epilogue_cycles=float(costs.epilogue[0]),
            transfer_cycles=float(costs.transfer[0]),
            reduction_cycles=float(costs.reduction[0]),
            sync_cycles=float(costs.syncs[0]),
            end_cycles=float(costs.end[0]),
        )


@dataclass(frozen=True)
class _TileRates:
    """Cycles per point of all tiles there may be: `own`, and `best` of all tiles within each.

    Both are flat grids over the lengths of parts of every axis; `number` (axes) has for every
    length what it adds to a position in them.
    """

    own: FloatArray
    best: FloatArray
    number: tuple[IntArray, ...]

    def where(self, tiles: IntArray) -> IntArray:
        """Positions of tiles, (tilings,)."""
        found = np.zeros(len(tiles), dtype=np.int64)
        for axis, number in enumerate(self.number):
            found += number[tiles[:, axis]]
        return found


def _tile_rates(expression: TensorExpression, spec: HardwareSpec) -> _TileRates | None:
    """The rates of an expression's tiles; None if there are too many tiles to tell."""
    values = [
        np.unique(-(-axis.length // _distinct_cuts(axis.length, axis.length)))
        if axis.splittable
        else np.array([axis.length])
        for axis in expression.axes
    ]
    shape = [len(v) for v in values]
    if math.prod(shape) > _GRID_LIMIT or not shape:
        return None
    grid = np.stack(np.meshgrid(*values, indexing="ij"), axis=-1)
    own = tile_cycles(spec, expression, grid) / np.prod(grid.astype(np.float64), axis=-1)
    best = own
    for axis in range(own.ndim):
        best = np.minimum.accumulate(best, axis=axis)
    number = []
    for axis, lengths in enumerate(values):
        table = np.zeros(int(lengths[-1]) + 1, dtype=np.int64)
        table[lengths] = np.arange(len(lengths)) * math.prod(shape[axis + 1 :])
        number.append(table)
    return _TileRates(own.reshape(-1), best.reshape(-1), tuple(number))


def _distinct_cuts(length: int, most: int) -> IntArray:
    """Numbers of parts up to `most` that give different part lengths, each the least, ascending."""
    parts = np.arange(1, min(length, most) + 1, dtype=np.int64)
    lengths = np.unique(-(-length // parts))[::-1]
    return np.asarray(-(-length // lengths), dtype=np.int64)


def _runs(ends: IntArray, size: int) -> list[tuple[int, int]]:
    """Runs of rows whose counts, of which `ends` are the running sums, stay near a size."""
    if not len(ends):
        return []
    edges = np.unique(np.searchsorted(ends, np.arange(size, int(ends[-1]) + size, size)))
    bounds = [0, *(int(edge) + 1 for edge in edges if edge + 1 < len(ends)), len(ends)]
    return [(a, b) for a, b in pairwise(bounds) if a < b]
