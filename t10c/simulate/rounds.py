"""What the rounds of loops cost: real tiles on every core at every step, symmetric steps once.

Tiles differ between cores and steps only along axes whose ranges end at a `stop`. Cores fall into
few classes there: those whose tiles are full at every step, and those that hold the last block,
told apart by the chunk they begin with. Every class is looked at at every step that matters, and
each distinct tile is priced once, so that the work does not grow with the number of cores.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from t10c.hardware.spec import HardwareSpec
from t10c.hardware.tiles import tile_cycles
from t10c.ir.expression import TensorExpression
from t10c.ir.formula import IntArray, Value, evaluate, names
from t10c.ir.program import Compute, Range
from t10c.simulate.boxes import FloatArray

Counters = Sequence[tuple[str, int]]
"""Names and counts of the loops around an instruction, the outermost first."""

_CELLS_AT_ONCE = 1 << 21
"""Tiles of so many cores and steps are looked at together."""

_MOST_CELLS = 1 << 28
"""Beyond so many, every step is taken to be as long as the longest tile makes it."""


@dataclass(frozen=True, slots=True)
class RoundCosts:
    """Cycles of a compute instruction, all rounds of the loops around it together.

    `slowest` waits at every step for the slowest core; `mean` is the average core of the chip's,
    idle cores included; `full` is what it takes where every tile is full. `points` are the points
    of the iteration space that all cores compute. `exact` is False where steps were too many.
    """

    slowest: float
    mean: float
    full: float
    points: float
    exact: bool = True


@dataclass(frozen=True)
class _Extents:
    """Lengths of the tile along one axis: `distinct` (lengths,), and which of them where.

    `which` is (classes, steps of the axis's own counters); `of_core` gives every core's class.
    """

    distinct: IntArray
    which: IntArray
    of_core: IntArray
    counters: tuple[str, ...]


def compute_rounds(
    spec: HardwareSpec,
    expression: TensorExpression,
    step: Compute,
    values: Mapping[str, Value],
    counters: Counters,
) -> RoundCosts:
    """What a compute instruction costs in all rounds of the loops around it.

    `values` are the section's, (cores,) or numbers; names of counters are not among them.
    """
    rounds = math.prod(count for _, count in counters)
    lengths = np.array([r.length for r in step.tile], dtype=np.int64)
    full = float(tile_cycles(spec, expression, lengths[None])[0])
    open_axes = [i for i, r in enumerate(step.tile) if r.stops]
    extents = [_extents(step.tile[i], step.cores, values, counters) for i in open_axes]
    kept = [
        (i, e) for i, e in zip(open_axes, extents, strict=True) if not _always_full(e, lengths[i])
    ]
    busy = step.cores / spec.core_count
    if not kept:
        points = float(math.prod(int(n) for n in lengths)) * step.cores * rounds
        return RoundCosts(full * rounds, full * rounds * busy, full * rounds, points)
    costs, sizes = _tile_table(spec, expression, lengths, kept)
    return _over_steps(costs, sizes, [e for _, e in kept], step.cores, busy, full, counters)


def _extents(r: Range, cores: int, values: Mapping[str, Value], counters: Counters) -> _Extents:
    """Lengths of a range on all cores at all steps of the counters that it names."""
    used = frozenset().union(*(names(text) for text in (r.start, *r.stops)))
    own = [(name, count) for name, count in counters if name in used]
    steps = math.prod(count for _, count in own)
    grids = np.indices([count for _, count in own]).reshape(len(own), steps)
    local: dict[str, Value] = {name: grid[None] for (name, _), grid in zip(own, grids, strict=True)}
    per_core = [name for name in used if isinstance(values.get(name), np.ndarray)]
    rows, of_core = _distinct([np.asarray(values[name])[:cores] for name in per_core], cores)
    for name, row in zip(per_core, rows, strict=True):
        local[name] = row[:, None]
    known = {**{n: v for n, v in values.items() if isinstance(v, int)}, **local}
    start = np.asarray(evaluate(r.start, known))
    stop = start + r.length
    for formula in r.stops:
        stop = np.minimum(stop, evaluate(formula, known))
    shape = (len(rows[0]) if rows else 1, steps)
    extent = np.broadcast_to(np.clip(stop - start, 0, r.length), shape)
    distinct, which = np.unique(extent, return_inverse=True)
    which = which.reshape(shape)
    classes, same = np.unique(which, axis=0, return_inverse=True)
    return _Extents(distinct, classes, same.reshape(-1)[of_core], tuple(name for name, _ in own))


def _distinct(columns: list[IntArray], cores: int) -> tuple[list[IntArray], IntArray]:
    """Distinct rows of columns (cores,), as columns, and the number of every core's row."""
    if not columns:
        return [], np.zeros(cores, dtype=np.int64)
    key = np.zeros(cores, dtype=np.int64)
    for column in columns:
        _, number = np.unique(column, return_inverse=True)
        _, key = np.unique(key * (int(number.max(initial=0)) + 1) + number, return_inverse=True)
    _, first, same = np.unique(key, return_index=True, return_inverse=True)
    return [column[first] for column in columns], same


def _always_full(extents: _Extents, length: int) -> bool:
    return len(extents.distinct) == 1 and extents.distinct[0] == length


def _tile_table(
    spec: HardwareSpec,
    expression: TensorExpression,
    lengths: IntArray,
    kept: list[tuple[int, _Extents]],
) -> tuple[FloatArray, FloatArray]:
    """Cycles and points of every combination of lengths, flat; nothing where a length is 0."""
    grid = np.meshgrid(*(e.distinct for _, e in kept), indexing="ij")
    tiles = np.broadcast_to(lengths, (grid[0].size, len(lengths))).copy()
    for (axis, _), values in zip(kept, grid, strict=True):
        tiles[:, axis] = values.reshape(-1)
    sizes = tiles.prod(axis=1).astype(np.float64)
    costs = np.zeros(len(tiles))
    some = sizes > 0
    costs[some] = tile_cycles(spec, expression, tiles[some])
    return costs, sizes


def _over_steps(
    costs: FloatArray,
    sizes: FloatArray,
    extents: list[_Extents],
    cores: int,
    busy: float,
    full: float,
    counters: Counters,
) -> RoundCosts:
    """Sum over the steps of the slowest class and of the mean over cores."""
    rows, of_core = _distinct([e.of_core for e in extents], cores)
    weights = np.bincount(of_core, minlength=len(rows[0])) / cores
    used = [(name, count) for name, count in counters if any(name in e.counters for e in extents)]
    steps = math.prod(count for _, count in used)
    repeats = math.prod(count for _, count in counters) // steps
    rounds = steps * repeats
    if steps * len(weights) > _MOST_CELLS:
        worst = max(full, float(costs.max()))
        share = _mean_of_marginals(costs, extents, rows, weights)
        points = _mean_of_marginals(sizes, extents, rows, weights) * cores * rounds
        return RoundCosts(worst * rounds, share * rounds * busy, full * rounds, points, False)
    slowest = mean = points = 0.0
    group = max(1, _CELLS_AT_ONCE // len(weights))
    for begin in range(0, steps, group):
        at = np.arange(begin, min(begin + group, steps))
        digits = _digits(at, used)
        cell = np.zeros((len(weights), len(at)), dtype=np.int64)
        for own, row in zip(extents, rows, strict=True):
            radices = [dict(used)[name] for name in own.counters]
            column = (
                np.ravel_multi_index([digits[name] for name in own.counters], radices)
                if own.counters
                else np.zeros(len(at), dtype=np.int64)
            )
            cell = cell * len(own.distinct) + own.which[row[:, None], column[None]]
        table = costs[cell]
        slowest += float(table.max(axis=0).sum())
        mean += float(weights @ table.sum(axis=1))
        points += float(weights @ sizes[cell].sum(axis=1))
    return RoundCosts(
        slowest * repeats, mean * repeats * busy, full * rounds, points * repeats * cores
    )


def _digits(steps: IntArray, counters: Counters) -> dict[str, IntArray]:
    """Values of the counters at steps, the last counter running fastest."""
    found = {}
    for name, count in reversed(counters):
        found[name], steps = steps % count, steps // count
    return found


def _mean_of_marginals(
    table: FloatArray, extents: list[_Extents], rows: list[IntArray], weights: FloatArray
) -> float:
    """Mean over cores and steps, every axis's lengths taken to be independent of the others'."""
    cells = table.reshape([len(e.distinct) for e in extents])
    total = 0.0
    shares = [
        np.stack([np.bincount(row, minlength=len(e.distinct)) for row in e.which])
        / e.which.shape[1]
        for e in extents
    ]
    for number, weight in enumerate(weights):
        value = cells
        for share, row in zip(shares, rows, strict=True):
            value = np.tensordot(share[row[number]], value, axes=(0, 0))
        total += float(weight * value)
    return total
