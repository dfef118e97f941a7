"""Pieces on all cores at once: from a whole tensor to what every core holds, and back."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from t10c.ir.formula import FormulaError, IntArray, Value, evaluate
from t10c.ir.program import Formula, Piece, Range
from t10c.program.windows import sliding_windows

Array = npt.NDArray[Any]
BoolArray = npt.NDArray[np.bool_]

_MOST_KEYS = 1 << 62

_POINTS_AT_ONCE = 1 << 22
"""Points that are written one by one are handled in groups of cores of about so many."""


@dataclass(frozen=True)
class Placed:
    """A piece with its formulas evaluated: per axis `start` <= index < `stop`, (cores,) each."""

    piece: Piece
    start: Mapping[str, IntArray]
    stop: Mapping[str, IntArray]

    @property
    def empty(self) -> BoolArray:
        """Cores that hold nothing, (cores,)."""
        found = np.zeros(self.piece.cores, dtype=bool)
        for axis, start in self.start.items():
            found |= self.stop[axis] <= start
        return found

    @property
    def origin(self) -> IntArray:
        """Tensor index of local index 0, (cores, dimensions)."""
        if self.piece.flat:
            return np.stack(list(self.start.values()), axis=1)
        lengths = self.piece.lengths
        found = np.zeros((self.piece.cores, len(self.piece.dims)), dtype=np.int64)
        for d, dim in enumerate(self.piece.dims):
            found[:, d] = dim.offset
            for axis, stride in dim.terms:
                first = self.start[axis] if stride > 0 else self.start[axis] + lengths[axis] - 1
                found[:, d] += stride * first
        return found

    def lies_as(self, other: "Placed") -> bool:
        """Whether every core holds the same part of a tensor here and there, in the same place."""
        mine, wanted = self.piece, other.piece
        alike = (mine.cores, mine.dims, mine.flat) == (wanted.cores, wanted.dims, wanted.flat)
        if not alike or mine.lengths != wanted.lengths:
            return False
        return all(
            np.array_equal(mine, yours)
            for mine, yours in zip(
                (*self.start.values(), *self.stop.values()),
                (*other.start.values(), *other.stop.values()),
                strict=True,
            )
        )

    def digest(self, shape: tuple[int, ...]) -> bytes:
        """Equal where every core holds the same part of a tensor, else surely enough another."""
        piece = self.piece
        what = (shape, piece.cores, piece.dims, piece.flat, piece.lengths)
        hashed = hashlib.blake2b(repr(what).encode(), digest_size=16)
        for ends in (*self.start.values(), *self.stop.values()):
            hashed.update(np.ascontiguousarray(ends).tobytes())
        return hashed.digest()

    def counts(self) -> IntArray:
        """Elements that every core holds, (cores,)."""
        counts = np.ones(self.piece.cores, dtype=np.int64)
        for axis, start in self.start.items():
            counts *= np.maximum(self.stop[axis] - start, 0)
        return counts

    def points(self) -> int:
        """Elements that all cores hold together."""
        return int(self.counts().sum())


def place_piece(piece: Piece, values: Mapping[str, Value]) -> Placed:
    """Evaluate a piece's formulas; `values` has `core` and all names they use."""
    start, stop = {}, {}
    for r in piece.ranges:
        start[r.axis], stop[r.axis] = place_range(r, piece.cores, values)
    return Placed(piece, start, stop)


def place_range(r: Range, cores: int, values: Mapping[str, Value]) -> tuple[IntArray, IntArray]:
    """First index and end of a range on every core, (cores,) each."""
    start = per_core(r.start, cores, values)
    stop = start + r.length
    for formula in r.stops:
        stop = np.minimum(stop, per_core(formula, cores, values))
    return start, stop


def per_core(formula: Formula, cores: int, values: Mapping[str, Value]) -> IntArray:
    """A formula's values on the first `cores` cores, (cores,); FormulaError beyond 64 bits."""
    try:
        value = evaluate(formula, values)
        if isinstance(value, int):
            return np.full(cores, value, dtype=np.int64)
    except OverflowError:
        raise FormulaError(f"'{formula[:60]}' is larger than 64 bits hold") from None
    return value[:cores]


# Whole tensors and pieces


def spread(tensor: Array, placed: Placed) -> Array:
    """What every core holds of a tensor: (cores, *piece shape); padding holds anything."""
    shape = placed.piece.shape
    source = tensor.reshape(-1) if placed.piece.flat else tensor
    if not shape:
        return np.broadcast_to(source, (placed.piece.cores,)).copy()
    origin = np.where(placed.empty[:, None], 0, placed.origin)
    # what lies beyond the tensor is padding however far away it is
    origin = np.clip(origin, -np.asarray(shape), source.shape)
    low = np.maximum(0, -origin.min(axis=0))
    high = np.maximum(0, (origin + shape).max(axis=0) - source.shape)
    if low.any() or high.any():
        source = np.pad(source, list(zip(low, high, strict=True)))
    windows = sliding_windows(source, shape)
    first, same = distinct_rows(origin)
    if len(first) == len(origin):
        return np.asarray(windows[tuple((origin + low).T)])
    return np.asarray(windows[tuple((origin[first] + low).T)][same])


def distinct_rows(rows: IntArray) -> tuple[IntArray, IntArray]:
    """Where each distinct row occurs first, and the number of every row among the distinct ones."""
    low, high = rows.min(axis=0, initial=0), rows.max(axis=0, initial=0)
    spans = [int(span) + 1 for span in high - low]
    if math.prod(spans) < _MOST_KEYS:  # rows as digits of one number, which sorts far quicker
        key = np.zeros(len(rows), dtype=np.int64)
        for column, span in zip((rows - low).T, spans, strict=True):
            key = key * span + column
        _, first, same = np.unique(key, return_index=True, return_inverse=True)
    else:
        _, first, same = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    return first, same.reshape(-1)


def collect(arrays: Array, placed: Placed, into: Array, covered: BoolArray) -> IntArray:
    """Write what every core holds into a whole tensor, and mark what was written.

    Points beyond the piece's end or outside the tensor are left out. Returns two cores that hold
    different values of the same box, (2,); none, (0,), where copies agree.
    """
    shape = placed.piece.shape
    target = into.reshape(-1) if placed.piece.flat else into
    marks = covered.reshape(-1) if placed.piece.flat else covered
    present = ~placed.empty
    if not shape:
        if present.any():
            target[...] = arrays[np.flatnonzero(present)[0]]
            marks[...] = True
        return _disagreeing(
            arrays, np.flatnonzero(present), np.zeros((placed.piece.cores, 0), dtype=np.int64)
        )
    differing = np.zeros(0, dtype=np.int64)
    full = np.zeros(placed.piece.cores, dtype=bool)
    if _is_box(placed.piece):
        origin = placed.origin
        full = present & np.all(origin >= 0, axis=1)
        full &= np.all(origin + shape <= target.shape, axis=1)
        for axis, length in placed.piece.lengths.items():
            full &= placed.stop[axis] - placed.start[axis] == length
        if full.any():
            cores = np.flatnonzero(full)
            once, _ = distinct_rows(origin[cores])
            index = tuple(origin[cores[once]].T)
            held = arrays[cores[once]][:, *(slice(0, n) for n in shape)]
            sliding_windows(target, shape, writeable=True)[index] = held
            sliding_windows(marks, shape, writeable=True)[index] = True
            if len(once) < len(cores):
                exact = arrays[:, *(slice(0, n) for n in shape)]
                differing = _disagreeing(exact, cores, origin)
    rest = np.flatnonzero(present & ~full)
    points = math.prod(placed.piece.lengths.values())
    group = max(1, _POINTS_AT_ONCE // max(points, 1))
    for first in range(0, len(rest), group):
        _collect_points(arrays, placed, rest[first : first + group], target, marks)
    return differing


def mark(placed: Placed, marks: BoolArray) -> None:
    """Mark, in an array of a tensor's shape, the elements that any core holds."""
    shape = (placed.piece.cores, *placed.piece.shape)
    collect(np.broadcast_to(np.True_, shape), placed, marks, marks)


def _disagreeing(arrays: Array, cores: IntArray, boxes: IntArray) -> IntArray:
    """Two of the cores that hold different values of the same box, (2,), or none, (0,)."""
    first, same = distinct_rows(boxes[cores])
    group = max(1, _POINTS_AT_ONCE // max(1, math.prod(arrays.shape[1:])))
    for begin in range(0, len(cores), group):
        some = cores[begin : begin + group]
        models = cores[first[same[begin : begin + group]]]
        alike = _equal(arrays[some], arrays[models])
        if not alike.all():
            wrong = int(np.argmin(alike))
            return np.array([models[wrong], some[wrong]])
    return np.zeros(0, dtype=np.int64)


def _equal(a: Array, b: Array) -> BoolArray:
    """Whether rows are equal bit by bit (a NaN equals itself), (rows,)."""
    if not a.size:
        return np.ones(len(a), dtype=bool)
    raw = [np.ascontiguousarray(x).reshape(len(x), -1).view(np.uint8) for x in (a, b)]
    return np.asarray(np.all(raw[0] == raw[1], axis=1))


def _is_box(piece: Piece) -> bool:
    """Whether the points of a piece fill its hull, index by index."""
    return piece.flat or all(
        not dim.terms or (len(dim.terms) == 1 and dim.terms[0][1] == 1) for dim in piece.dims
    )


def _collect_points(
    arrays: Array, placed: Placed, cores: IntArray, target: Array, marks: BoolArray
) -> None:
    """The same, point by point, for some cores."""
    local, valid = point_indices(placed, cores, target.shape)
    origin = placed.origin[cores]
    grid = [1] * (local[0].ndim - 1)
    where = [o.reshape(-1, *grid) + i for o, i in zip(origin.T, local, strict=True)]
    valid = np.broadcast_to(valid, np.broadcast_shapes(valid.shape, *(w.shape for w in where)))
    chosen = tuple(np.broadcast_to(w, valid.shape)[valid] for w in where)
    rows = np.broadcast_to(cores.reshape(-1, *grid), valid.shape)[valid]
    held = tuple(np.broadcast_to(i, valid.shape)[valid] for i in local)
    target[chosen] = arrays[(rows, *held)]
    marks[chosen] = True


def point_indices(
    placed: Placed, cores: IntArray, shape: tuple[int, ...]
) -> tuple[list[IntArray], BoolArray]:
    """Local index of every point per dimension, and which points exist: (cores, *axes) grids.

    Behind the axes a grid has a dimension for each dimension that is read in full at every point.
    """
    piece = placed.piece
    axes = list(piece.ranges)
    entries = [d for d, dim in enumerate(piece.dims) if dim.entries]
    rank = len(axes) + len(entries) + 1
    number = {r.axis: i for i, r in enumerate(axes)}

    def along(axis: str, values: IntArray) -> IntArray:
        return values.reshape([-1 if i == number[axis] + 1 else 1 for i in range(rank)])

    valid = np.ones((1,) * rank, dtype=bool)
    steps = {}
    for r in axes:
        steps[r.axis] = along(r.axis, np.arange(r.length))
        counts = (placed.stop[r.axis] - placed.start[r.axis])[cores]
        valid = valid & (steps[r.axis] < counts.reshape(-1, *([1] * (rank - 1))))
    if piece.flat:
        at = placed.origin[cores] + steps[axes[0].axis]
        return [steps[axes[0].axis]], valid & (at >= 0) & (at < shape[0])
    local = []
    for d, dim in enumerate(piece.dims):
        index = np.zeros((1,) * rank, dtype=np.int64)
        for axis, stride in dim.terms:
            count = steps[axis] if stride > 0 else piece.lengths[axis] - 1 - steps[axis]
            index = index + abs(stride) * count
        if dim.entries:
            behind = len(entries) - 1 - entries.index(d)
            index = index + np.arange(dim.size).reshape(-1, *([1] * behind))
        at = placed.origin[cores, d].reshape(-1, *([1] * (rank - 1))) + index
        valid = valid & (at >= 0) & (at < shape[d])
        local.append(index)
    return local, valid
