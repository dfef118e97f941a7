"""Boxes of a view as boxes of the tensors that it is a view of, where they are boxes there."""

import math
from collections.abc import Sequence

import numpy as np

from t10c.ir.formula import IntArray
from t10c.ir.graph import LayoutOp
from t10c.simulate.boxes import Boxes

Shape = tuple[int, ...]


def pulled(
    view: LayoutOp, boxes: Boxes, shape: Shape, shapes: Sequence[Shape]
) -> list[Boxes] | None:
    """The elements of every input that make up boxes of a view, or None if they are no boxes.

    `shape` is the view's, `shapes` those of its inputs. What a pad puts around, and copies of an
    element along a broadcast dimension, do not count.
    """
    if boxes.shape != shape:  # runs of the flattened tensor
        return [boxes] if view.kind == "reshape" else None
    if 0 in shape or any(not s or 0 in s for s in shapes):
        return None
    low, high = boxes.low, boxes.high
    first = shapes[0]
    match view.kind:
        case "reshape":
            found = _reshaped(boxes, first)
        case "transpose":
            order = np.argsort(view.perm)
            found = Boxes(first, low[:, order], high[:, order])
        case "slice":
            found = _sliced(view, boxes, first)
        case "expand":
            found = _expanded(boxes, first)
        case "pad":
            return [_shifted(boxes, np.array(view.starts), first)]
        case "concat":
            parts, offset = [], np.zeros(len(shape), dtype=np.int64)
            for part in shapes:
                parts.append(_shifted(boxes, offset, part))
                offset = offset + np.eye(len(part), dtype=np.int64)[view.axis] * part[view.axis]
            return parts
    return None if found is None else [found]


def _shifted(boxes: Boxes, offset: IntArray, shape: Shape) -> Boxes:
    """What of boxes lies in a part of `shape` that begins at `offset`."""
    sizes = np.array(shape, dtype=np.int64)
    return _boxes(
        shape, np.clip(boxes.low - offset, 0, sizes), np.clip(boxes.high - offset, 0, sizes)
    )


def _boxes(shape: Shape, low: IntArray, high: IntArray) -> Boxes:
    """Boxes, those without elements at 0."""
    empty = np.any(high <= low, axis=1)
    return Boxes(shape, np.where(empty[:, None], 0, low), np.where(empty[:, None], 0, high))


def _sliced(view: LayoutOp, boxes: Boxes, shape: Shape) -> Boxes | None:
    low, high = boxes.low.copy(), boxes.high.copy()
    for d, (start, step) in enumerate(zip(view.starts, view.steps, strict=True)):
        one = bool(np.all(high[:, d] - low[:, d] <= 1))
        if step not in (1, -1) and not one:
            return None
        first, last = start + step * low[:, d], start + step * (high[:, d] - 1)
        low[:, d], high[:, d] = np.minimum(first, last), np.maximum(first, last) + 1
    empty = boxes.sizes == 0
    low[empty], high[empty] = 0, 0
    return Boxes(shape, low, high)


def _expanded(boxes: Boxes, shape: Shape) -> Boxes:
    more = len(boxes.shape) - len(shape)
    low, high = boxes.low[:, more:].copy(), boxes.high[:, more:].copy()
    filled = (boxes.sizes > 0).astype(np.int64)
    for d, size in enumerate(shape):
        if size == 1:
            low[:, d], high[:, d] = 0, filled
    return Boxes(shape, low, high)


def _reshaped(boxes: Boxes, shape: Shape) -> Boxes | None:
    """Boxes of the same elements in row-major order under another shape."""
    low = np.zeros((boxes.cores, len(shape)), dtype=np.int64)
    high = np.zeros_like(low)
    filled = boxes.sizes > 0
    for mine, yours in _groups(boxes.shape, shape):
        run = _as_run(boxes, mine, filled)
        if run is None:
            return None
        ends = _as_box(run, [shape[d] for d in yours], filled)
        if ends is None:
            return None
        low[:, yours], high[:, yours] = ends
    low[~filled], high[~filled] = 0, 0
    return Boxes(shape, low, high)


def _groups(mine: Shape, yours: Shape) -> list[tuple[list[int], list[int]]]:
    """Dimensions of two shapes in the smallest groups of equal products, in order."""
    found: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(mine) or j < len(yours):
        a: list[int] = []
        b: list[int] = []
        left = right = 1
        while not (a or b) or left != right:
            if (left <= right and i < len(mine)) or j >= len(yours):
                a.append(i)
                left *= mine[i]
                i += 1
            else:
                b.append(j)
                right *= yours[j]
                j += 1
        found.append((a, b))
    return found


def _as_run(boxes: Boxes, dims: list[int], filled: np.ndarray) -> tuple[IntArray, IntArray] | None:
    """Boxes along some dimensions as runs of their row-major order, (cores,) each."""
    low, length = np.zeros(boxes.cores, np.int64), np.ones(boxes.cores, np.int64)
    for d in dims:
        size = boxes.shape[d]
        extent = boxes.high[:, d] - boxes.low[:, d]
        if np.any(filled & (length > 1) & (extent < size)):
            return None
        low, length = low * size + boxes.low[:, d], length * extent
    return low, low + length


def _as_box(
    run: tuple[IntArray, IntArray], sizes: list[int], filled: np.ndarray
) -> tuple[IntArray, IntArray] | None:
    """Runs as boxes of dimensions of these sizes: bounds (cores, dimensions)."""
    low, high = run
    ends: list[tuple[IntArray, IntArray]] = []
    inner = math.prod(sizes)
    for size in sizes:
        inner //= size
        first, last = low // inner, (high - 1) // inner
        several = last > first
        if np.any(filled & several & ((low % inner != 0) | (high % inner != 0))):
            return None
        ends.append((first, last + 1))
        low = np.where(several, 0, low - first * inner)
        high = np.where(several, inner, high - first * inner)
    if not ends:
        none = np.zeros((len(low), 0), dtype=np.int64)
        return none, none
    return np.stack([a for a, _ in ends], axis=1), np.stack([b for _, b in ends], axis=1)
