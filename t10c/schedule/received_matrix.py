"""What cores lack for whole pools on both sides: every plan of a reader, every one of its source.

Layouts are stacked, `cores` rows for every plan, and a result has a row per plan of the source and
a column per plan of the reader. Plans whose layouts are equal are looked at once. What a pair of
boxes has in common is a product of factors (received.py), and along the dimensions of one factor
plans differ in few ways: a factor is counted once per pair of ways, and looked up for pairs of
plans.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from t10c.schedule.atoms import View
from t10c.schedule.layout import Layout
from t10c.schedule.received import (
    Bounds,
    Factor,
    common_factors,
    layout_bounds,
    received_elements,
    wanted_boxes,
)
from t10c.search.space import BoolArray, FloatArray, IntArray

_TABLE_ELEMENTS = 1 << 20
"""Numbers per table of a factor, if a single plan of the source does not take more."""

_CACHED_ELEMENTS = 1 << 15
"""Numbers per array over pairs of plans: as many as stay in a processor's cache."""

_NARROW_LIMIT = 1 << 31


def received_matrix(
    need: Layout,
    held: Layout,
    views: Sequence[View],
    cores: int,
    around: Sequence[tuple[View, Layout]] = (),
) -> IntArray:
    """Most elements that a core needs but does not hold, (source plans, reader's plans).

    `need` stacks the reader's layouts, `held` those of the one source that all `views` show;
    `around` are other sources, which lie the same way whatever is chosen, (cores,) each. Every
    entry is the largest `received_elements` of a core.
    """
    if around:
        return _matrix(need, held, views, cores, _most, around)
    matrix, sure = _of_idle_cores(need, held, views, cores)
    sources = np.flatnonzero(~sure.all(axis=1))
    readers = np.flatnonzero(~sure[sources].all(axis=0))
    if len(sources):
        few_needed, few_held = _of_plans(need, readers, cores), _of_plans(held, sources, cores)
        rest = _matrix(few_needed, few_held, views, cores, _most)
        matrix[np.ix_(sources, readers)] = rest
    return matrix


def _of_idle_cores(
    need: Layout, held: Layout, views: Sequence[View], cores: int
) -> tuple[IntArray, BoolArray]:
    """Received elements where a core that wants most holds nothing, and where that is so.

    No core lacks more than that one. Both are (source plans, reader's plans).
    """
    wanted = sum(wanted_boxes(need, view)[1] for view in views)
    elements = np.asarray(wanted, dtype=np.int64).reshape(-1, cores)
    most = elements.max(axis=1)
    idle = (held.stop <= held.start).any(axis=1).reshape(-1, cores)
    both = idle.astype(np.float32) @ (elements == most[:, None]).astype(np.float32).T
    matrix = np.broadcast_to(most, both.shape).copy()
    return matrix, both > 0


def _of_plans(layout: Layout, plans: IntArray, cores: int) -> Layout:
    """Layouts of some plans of a stack."""
    rows = (plans[:, None] * cores + np.arange(cores)).ravel()
    return Layout(layout.start[rows], layout.stop[rows], layout.flat)


def mean_received_matrix(
    need: Layout, held: Layout, views: Sequence[View], cores: int
) -> FloatArray:
    """Mean over the cores of the elements that each lacks, (source plans, reader's plans).

    Means of several sources add up, and their sum is at most what the core that lacks most receives
    of all sources together. Sums of largest elements are no such bound.
    """
    return _matrix(need, held, views, cores, _sum) / cores


Missing = list[IntArray]
"""Per view the elements wanted less those held, (source plans, reader's plans, cores).

Negative where several places show an element that is counted once; a first dimension of 1 stands
for plans that are alike.
"""


def _most(missing: Missing) -> IntArray:
    if len(missing) == 1:
        return np.asarray(np.maximum(missing[0].max(axis=2), 0))
    total = np.maximum(missing[0], 0)
    for part in missing[1:]:
        total = total + np.maximum(part, 0)
    return np.asarray(total.max(axis=2))


def _sum(missing: Missing) -> IntArray:
    return np.asarray(sum(np.maximum(part, 0).sum(axis=2, dtype=np.int64) for part in missing))


def _matrix(
    need: Layout,
    held: Layout,
    views: Sequence[View],
    cores: int,
    over_cores: Callable[[Missing], IntArray],
    around: Sequence[tuple[View, Layout]] = (),
) -> IntArray:
    """Missing elements of all pairs of plans, those of the cores put together by `over_cores`."""
    need, reader_of = _distinct(need, cores)
    beside = [_from_around(need, around, cores)] if around else []
    held, source_of = _distinct(held, cores)
    width = np.int32 if _narrow(need, held, views) else np.int64
    readers = [_Reader.of(need, view, held.flat, cores, width) for view in views]
    source = _stacked(layout_bounds(held), cores, width)
    matrix = np.zeros((len(held.start) // cores, len(need.start) // cores), dtype=np.int64)
    for plans in _runs(len(matrix), len(need.start), _TABLE_ELEMENTS):
        own = _some(source, plans)
        tables = [reader.tables(own, plans.stop - plans.start) for reader in readers]
        rows = matrix[plans]
        for few in _runs(len(rows), len(need.start), _CACHED_ELEMENTS):
            missing = [r.missing(t, few) for r, t in zip(readers, tables, strict=True)]
            rows[few] = over_cores(missing + beside)
    return np.asarray(matrix[source_of[:, None], reader_of])


def _from_around(need: Layout, around: Sequence[tuple[View, Layout]], cores: int) -> IntArray:
    """Elements missing of sources that lie in one way, (1, reader's plans, cores)."""
    plans = len(need.start) // cores
    held = tuple(own.repeated(plans) for _, own in around)
    return received_elements(need, tuple(view for view, _ in around), held).reshape(1, plans, cores)


def _runs(count: int, each: int, most: int) -> Iterator[slice]:
    """Plans in runs of at most `most` numbers, `each` a plan, but of at least one plan."""
    step = max(1, most // max(1, each))
    return (slice(low, min(low + step, count)) for low in range(0, count, step))


@dataclass(frozen=True)
class _Table:
    """A factor for pairs of plans: `counts` (ways, cores), and each pair's way.

    `way` has shape (source plans, reader's plans).
    """

    counts: IntArray
    way: IntArray


@dataclass(frozen=True)
class _Ways:
    """In how many ways plans lie along some dimensions: `bounds` (ways, cores), each plan's way."""

    bounds: Bounds
    count: int
    way: IntArray

    @classmethod
    def of(cls, stack: Bounds, plans: int, dims: Sequence[int]) -> "_Ways":
        """The ways of stacked boxes, (plans, cores), along these dimensions."""
        sides = [side[dim] for side in (stack.start, stack.stop) for dim in dims]
        if not sides:
            return cls(_some(stack, slice(1)), 1, np.zeros(plans, dtype=np.int64))
        first, way = first_alike(np.concatenate(sides, axis=1))
        return cls(_some(stack, first), len(first), way)


@dataclass(frozen=True)
class _Reader:
    """What the reader's plans want through a view: source elements, (plans, cores), and boxes.

    `factors` come with the ways that the wanted boxes lie along their dimensions; None if nothing
    counts as held.
    """

    elements: IntArray
    factors: tuple[tuple[Factor, _Ways], ...] | None

    @classmethod
    def of(cls, need: Layout, view: View, flat: bool, cores: int, width: DTypeLike) -> "_Reader":
        """What stacked layouts want of a source that lies in boxes, or `flat` in runs."""
        boxes, wanted = wanted_boxes(need, view)
        elements = wanted.astype(width).reshape(-1, cores)
        factors = common_factors(view, flat)
        if factors is None:
            return cls(elements, None)
        # where nothing is wanted any box will do: one that most plans have makes fewer ways
        ends = zip(boxes.stop, view.extent, strict=True)
        start = tuple(np.where(wanted > 0, side, 0) for side in boxes.start)
        stop = tuple(np.where(wanted > 0, side, extent) for side, extent in ends)
        stack = _stacked(Bounds(start, stop), cores, width)
        plans = len(elements)
        return cls(elements, tuple((f, _Ways.of(stack, plans, f.need_dims)) for f in factors))

    def tables(self, source: Bounds, plans: int) -> list[_Table]:
        """The factors for so many plans of the source, at least one; constant ones multiplied in.

        `source` has shape (plans, cores) per dimension.
        """
        readers, cores = self.elements.shape
        constant = np.ones((1, cores), dtype=self.elements.dtype)
        found = []
        for factor, need in self.factors or ():
            held = _Ways.of(source, plans, factor.held_dims)
            counts = _counts(factor, need, held, cores).reshape(-1, cores)
            if len(counts) == 1:
                constant = constant * counts
            else:
                found.append(_Table(counts, held.way[:, None] * need.count + need.way))
        if not found:
            return [_Table(constant, np.zeros((plans, readers), dtype=np.int64))]
        return [_Table(found[0].counts * constant, found[0].way), *found[1:]]

    def missing(self, tables: list[_Table], plans: slice) -> IntArray:
        """Elements wanted less those held, for some plans of the source (`Missing`)."""
        if self.factors is None:
            return self.elements[None]
        common = tables[0].counts.take(tables[0].way[plans], axis=0)
        for table in tables[1:]:
            common *= table.counts.take(table.way[plans], axis=0)
        return np.subtract(self.elements, common, out=common)


def _counts(factor: Factor, need: _Ways, held: _Ways, cores: int) -> IntArray:
    """The factor for all pairs of ways, (held ways, needed ways, cores)."""
    counts = np.empty((held.count, need.count, cores), dtype=held.bounds.start[0].dtype)
    needed = _each(need.bounds, lambda side: side[None])
    lying = _each(held.bounds, lambda side: side[:, None])
    for few in _runs(held.count, need.count * cores, _CACHED_ELEMENTS):
        counts[few] = factor.count(needed, _some(lying, few))
    return counts


def _distinct(layout: Layout, cores: int) -> tuple[Layout, IntArray]:
    """The different layouts of a stack, and which of them every plan has."""
    width = layout.start.shape[1]
    start, stop = (side.reshape(-1, cores * width) for side in (layout.start, layout.stop))
    first, which = first_alike(np.concatenate([start, stop], axis=1))
    rows = (len(first) * cores, width)
    return Layout(start[first].reshape(rows), stop[first].reshape(rows), layout.flat), which


def first_alike(rows: IntArray) -> tuple[IntArray, IntArray]:
    """Where each different row comes first, and which of them every row is."""
    first: dict[bytes, int] = {}
    like = [first.setdefault(row.tobytes(), index) for index, row in enumerate(rows)]
    # a dictionary keeps the order in which it grew
    places = np.array(list(first.values()), dtype=np.int64)
    return places, np.searchsorted(places, like)


def _narrow(need: Layout, held: Layout, views: Sequence[View]) -> bool:
    """Whether all indices and counts fit 32 bits, in which arrays take half the time."""
    largest = max(int(need.stop.max(initial=0)), int(held.stop.max(initial=0)))
    for view in views:
        source = math.prod(max(atom.size, atom.length) for atom in view.atoms)
        largest = max(largest, source, math.prod(view.extent))
    return largest < _NARROW_LIMIT


def _stacked(bounds: Bounds, cores: int, width: DTypeLike) -> Bounds:
    """Boxes of stacked layouts in integers of a width, (plans, cores) per dimension."""
    return _each(bounds, lambda side: side.astype(width).reshape(-1, cores))


def _some(bounds: Bounds, rows: slice | IntArray) -> Bounds:
    """The boxes of some plans."""
    return _each(bounds, lambda side: side[rows])


def _each(bounds: Bounds, change: Callable[[IntArray], IntArray]) -> Bounds:
    start, stop = (tuple(map(change, sides)) for sides in (bounds.start, bounds.stop))
    return Bounds(start, stop)
