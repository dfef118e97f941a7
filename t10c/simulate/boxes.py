"""Boxes of tensors that cores hold or want, for all cores at once: overlaps, demand, coverage.

A box is given by first and last-plus-one index per dimension, (cores, dimensions) each; an empty
one has equal bounds. Sums over boxes are taken on the grid that all bounds cut the tensor into, by
differences at the corners of boxes and running sums: no work grows with the size of boxes.
"""

import hashlib
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from t10c.ir.formula import IntArray
from t10c.program.placed import Placed, distinct_rows

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Boxes:
    """What every core holds or wants of a tensor of `shape`; a run of elements has one dimension.

    `low` and `high` are (cores, dimensions).
    """

    shape: tuple[int, ...]
    low: IntArray
    high: IntArray

    @property
    def cores(self) -> int:
        """Number of cores, empty ones included."""
        return len(self.low)

    @property
    def sizes(self) -> IntArray:
        """Elements of every box, (cores,)."""
        return np.asarray(np.prod(self.high - self.low, axis=1), dtype=np.int64)

    def rows(self) -> IntArray:
        """Bounds of every core's box in one row, (cores, 2 dimensions)."""
        return np.concatenate([self.low, self.high], axis=1)

    def digest(self) -> bytes:
        """Equal for equal boxes, and in all likelihood for no others."""
        hashed = hashlib.blake2b(repr((self.shape, self.cores)).encode(), digest_size=16)
        hashed.update(self.rows().tobytes())
        return hashed.digest()

    def take(self, cores: IntArray) -> "Boxes":
        """The boxes of some cores."""
        return Boxes(self.shape, self.low[cores], self.high[cores])

    def padded(self, cores: int) -> "Boxes":
        """The same for more cores, on which boxes are empty."""
        more = ((0, cores - self.cores), (0, 0))
        return Boxes(self.shape, np.pad(self.low, more), np.pad(self.high, more))


def boxes_of(placed: Placed, shape: tuple[int, ...]) -> Boxes:
    """The boxes of a piece, within the tensor; a flat piece has boxes of the flattened tensor."""
    piece = placed.piece
    if piece.flat:
        shape = (int(np.prod(shape, dtype=np.int64)),)
    low = np.zeros((piece.cores, len(shape)), dtype=np.int64)
    high = np.zeros_like(low)
    if piece.flat:
        low[:, 0], high[:, 0] = (
            placed.start[piece.ranges[0].axis],
            placed.stop[piece.ranges[0].axis],
        )
    else:
        for d, dim in enumerate(piece.dims):
            low[:, d] = dim.offset
            high[:, d] = dim.offset + (dim.size if dim.entries else 1)
            for axis, stride in dim.terms:
                first, last = placed.start[axis], placed.stop[axis] - 1
                low[:, d] += stride * (first if stride > 0 else last)
                high[:, d] += stride * (last if stride > 0 else first)
    sizes = np.array(shape, dtype=np.int64)
    low, high = np.clip(low, 0, sizes), np.clip(high, 0, sizes)
    empty = placed.empty | np.any(high <= low, axis=1)
    low[empty], high[empty] = 0, 0
    if not shape:  # a scalar: held or not
        shape, low, high = (1,), np.zeros((piece.cores, 1), np.int64), ~empty[:, None] * 1
    return Boxes(shape, low, high)


def overlap(a: Boxes, b: Boxes) -> Boxes:
    """On every core what is in both boxes; both are of the same tensor and as many cores."""
    low, high = np.maximum(a.low, b.low), np.minimum(a.high, b.high)
    empty = np.any(high <= low, axis=1)
    low[empty], high[empty] = 0, 0
    return Boxes(a.shape, low, high)


def run_in_box(run: Boxes, box: Boxes) -> IntArray:
    """On every core how many elements of a run of the flattened tensor are in its box, (cores,)."""
    return elements_before(run.high[:, 0], box) - elements_before(run.low[:, 0], box)


def elements_before(end: IntArray, box: Boxes) -> IntArray:
    """Elements of every box with a row-major number below `end`, (cores,)."""
    inside = np.ones(box.cores, dtype=bool)
    count = np.zeros(box.cores, dtype=np.int64)
    extent = box.high - box.low
    weight = int(np.prod(box.shape, dtype=np.int64))
    rest = np.prod(extent, axis=1)
    count[end >= weight] = rest[end >= weight]  # a run may end behind the last element
    inside &= end < weight
    for d, size in enumerate(box.shape):
        weight //= size
        rest = np.prod(extent[:, d + 1 :], axis=1)
        digit = end // weight % size
        count += np.where(inside, np.clip(digit - box.low[:, d], 0, extent[:, d]) * rest, 0)
        inside &= (box.low[:, d] <= digit) & (digit < box.high[:, d])
    return count


@dataclass(frozen=True)
class CellGrid:
    """The grid that bounds of boxes cut a tensor into: `bounds` per dimension, with both ends."""

    bounds: tuple[IntArray, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Cells per dimension."""
        return tuple(len(b) - 1 for b in self.bounds)

    def elements(self) -> FloatArray:
        """Elements of every cell, of the grid's shape."""
        result = np.ones(())
        for b in self.bounds:
            result = np.multiply.outer(result, np.diff(b).astype(np.float64))
        return result

    def covering(self, boxes: Boxes) -> FloatArray:
        """In how many boxes every cell is, of the grid's shape."""
        first, same = distinct_rows(boxes.rows())
        counts = np.bincount(same, minlength=len(first)).astype(np.float64)
        return self.weighted(boxes.take(first), counts)

    def numbered(self, boxes: Boxes) -> IntArray | None:
        """The number of the box that every cell is in, -1 in none; None where boxes overlap."""
        if len(self.bounds) == 1:
            return self._numbered_runs(boxes)
        if self.covering(boxes).max(initial=0) > 1:
            return None
        numbers = np.arange(1.0, boxes.cores + 1)
        return np.rint(self.weighted(boxes, numbers)).astype(np.int64) - 1

    def _numbered_runs(self, runs: Boxes) -> IntArray | None:
        """The same along one dimension: stretches of cells in a run, and between runs."""
        filled = np.flatnonzero(runs.sizes > 0)
        low, high = self._at(runs.low[filled])[:, 0], self._at(runs.high[filled])[:, 0]
        order = np.argsort(low, kind="stable")
        ends = np.stack([low[order], high[order]], axis=1).reshape(-1)
        lengths = np.diff(ends, prepend=0, append=self.shape[0])
        if np.any(lengths < 0):
            return None
        numbers = np.full(len(lengths), -1, dtype=np.int64)
        numbers[1::2] = filled[order]
        return np.repeat(numbers, lengths)

    def slices(self, boxes: Boxes) -> list[tuple[slice, ...]]:
        """The cells of every box."""
        ends = zip(self._at(boxes.low).tolist(), self._at(boxes.high).tolist(), strict=True)
        return [tuple(slice(a, b) for a, b in zip(low, high, strict=True)) for low, high in ends]

    def weighted(self, boxes: Boxes, weights: FloatArray) -> FloatArray:
        """The sum of the weights (boxes,) of all boxes that every cell is in."""
        counts = np.where(boxes.sizes > 0, weights, 0.0)
        ends = [self._at(boxes.low), self._at(boxes.high)]
        shape = tuple(len(b) for b in self.bounds)
        result = np.zeros(shape)
        for corner in product((0, 1), repeat=len(shape)):
            index = tuple(ends[side][:, d] for d, side in enumerate(corner))
            flat = np.ravel_multi_index(index, shape)
            sign = -1.0 if sum(corner) % 2 else 1.0
            result += np.bincount(flat, sign * counts, result.size).reshape(shape)
        for d in range(len(shape)):
            np.cumsum(result, axis=d, out=result)
        return result[tuple(slice(0, n) for n in self.shape)]

    def sums(self, cells: FloatArray, boxes: Boxes) -> FloatArray:
        """The sum of cell values over every box, (cores,)."""
        total = np.pad(cells, [(1, 0)] * cells.ndim)
        for d in range(cells.ndim):
            np.cumsum(total, axis=d, out=total)
        ends = [self._at(boxes.low), self._at(boxes.high)]
        result = np.zeros(boxes.cores)
        for corner in product((0, 1), repeat=cells.ndim):
            index = tuple(ends[side][:, d] for d, side in enumerate(corner))
            sign = -1.0 if (cells.ndim - sum(corner)) % 2 else 1.0
            result += sign * total[index]
        return result

    def run_sums(self, cells: FloatArray, runs: Boxes) -> FloatArray:
        """The sum over every run of the flattened tensor of its elements' cell values, (cores,).

        Values are constant in cells, so that no element is looked at: before an end are whole
        slices of the first dimension, then in the slice it is in those of the second, and so on.
        """
        lengths = [np.diff(b).astype(np.float64) for b in self.bounds]
        shape = tuple(int(b[-1]) for b in self.bounds)
        ends = np.stack([runs.low[:, 0], runs.high[:, 0]])
        inner = ends < np.prod(shape, dtype=np.int64)  # a run may end behind the last element
        digits = np.unravel_index(np.where(inner, ends, 0), shape)
        sums = np.zeros(ends.shape)
        index: tuple[IntArray, ...] = ()
        for d, digit in enumerate(digits):
            slices = cells
            for length in reversed(lengths[d + 1 :]):
                slices = slices @ length
            before = np.cumsum(slices * lengths[d], axis=-1)
            if d == 0:
                sums += np.where(inner, 0.0, before[-1])
            cell = np.searchsorted(self.bounds[d], digit, side="right") - 1
            index = (*index, cell)
            part = before[index] - slices[index] * (self.bounds[d][cell + 1] - digit)
            sums += np.where(inner, part, 0.0)
        result: FloatArray = sums[1] - sums[0]
        return result

    def _at(self, bounds: IntArray) -> IntArray:
        """Numbers of the cells that begin at the bounds, (cores, dimensions)."""
        columns = [
            bounds[:, d] if len(b) - 1 == b[-1] else np.searchsorted(b, bounds[:, d])
            for d, b in enumerate(self.bounds)
        ]
        return np.stack(columns, axis=1)


def cell_grid(*boxes: Boxes) -> CellGrid:
    """The grid of all bounds of boxes of one tensor."""
    shape = boxes[0].shape
    bounds = []
    for d, size in enumerate(shape):
        ends = [np.unique(side[:, d]) for b in boxes for side in (b.low, b.high)]
        bounds.append(np.unique(np.concatenate([*ends, [0, size]])))
    return CellGrid(tuple(bounds))


def element_grid(shape: tuple[int, ...]) -> CellGrid:
    """The grid of single elements."""
    return CellGrid(tuple(np.arange(size + 1) for size in shape))
