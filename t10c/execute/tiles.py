"""Tiles of an iteration space on all cores, and operands' windows seen along axes.

A window is the hull of what a tile reads of an operand: array (cores, *hull), where element 0 of a
dimension is the smallest coordinate. Opened, it has one array dimension per axis, without copying.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from t10c.execute.element_types import Array, BoolArray, IntArray
from t10c.ir.expression import Dim, TensorExpression, hull
from t10c.program.windows import strided


@dataclass(frozen=True)
class Tile:
    """A box of the iteration space on every core.

    Per axis: `start`, the global index of the first point (cores,); `length`, the same on every
    core; `stop` (cores,): points from there on do not exist on that core.
    """

    expression: TensorExpression
    start: Mapping[str, IntArray]
    length: Mapping[str, int]
    stop: Mapping[str, IntArray]

    def of_cores(self, part: slice) -> "Tile":
        """The tile on some of the cores."""
        start = {axis: values[part] for axis, values in self.start.items()}
        stop = {axis: values[part] for axis, values in self.stop.items()}
        return Tile(self.expression, start, self.length, stop)

    def existing(self, axis: str) -> BoolArray | None:
        """Which indices of the axis exist on a core (cores, length); None if all do."""
        start, stop, length = self.start[axis], self.stop[axis], self.length[axis]
        if np.all(start + length <= stop):
            return None
        exist: BoolArray = np.arange(length) < (stop - start)[:, None]
        return exist

    def inside(self, dim: Dim) -> BoolArray | None:
        """Which elements of a window's dimension are in the tensor (cores, hull); None if all."""
        first, hull = np.asarray(dim.offset), dim.reach
        for axis, stride in dim.terms:
            span = stride * (self.length[axis] - 1)
            first = first + stride * self.start[axis] + min(0, span)
            hull += abs(span)
        if np.all(first >= 0) and np.all(first + hull <= dim.size):
            return None
        at = first[..., None] + np.arange(hull)
        within: BoolArray = (at >= 0) & (at < dim.size)
        return within


def on_window(dims: Sequence[Dim], inside: Sequence[tuple[Dim, BoolArray]]) -> BoolArray:
    """Which elements of a window are in the tensor, by those of each dimension (cores, hull)."""
    keep: BoolArray = np.ones((1,) * (len(dims) + 1), bool)
    for dim, within in inside:
        shape = [1] * (len(dims) + 1)
        shape[0], shape[dims.index(dim) + 1] = within.shape
        keep = keep & within.reshape(shape)
    return keep


@dataclass(frozen=True, slots=True)
class _View:
    """How a window of given dimensions is seen along a given order of axes."""

    terms: tuple[tuple[int, int, int], ...]
    """(position of the axis, dimension, stride) of every term."""
    order: tuple[int, ...] | None
    """Window dimensions in the order of the axes, if each has at most one axis and no other has it;
    those without an axis first."""
    at: tuple[int, ...]
    """Positions of axes the operand has, counting the cores' dimension."""
    flips: tuple[int, ...]
    """Stride of each dimension in `order`, 0 without an axis."""


@lru_cache(maxsize=65536)
def _view(dims: tuple[Dim, ...], axes: tuple[str, ...]) -> _View:
    place = {axis: index for index, axis in enumerate(axes)}
    terms = tuple(
        (place[axis], d, stride) for d, dim in enumerate(dims) for axis, stride in dim.terms
    )
    used = [position for position, _, _ in terms]
    if len(set(used)) < len(used) or any(len(dim.terms) > 1 for dim in dims):
        return _View(terms, None, (), ())
    bare = [(d, 0) for d, dim in enumerate(dims) if not dim.terms]
    sorted_terms = [(d, stride) for _, d, stride in sorted(terms)]
    order = (*bare, *sorted_terms)
    return _View(
        terms,
        tuple(d for d, _ in order),
        tuple(position + 1 for position in sorted(used)),
        tuple(stride for _, stride in order),
    )


def opened(
    window: Array, dims: tuple[Dim, ...], length: Mapping[str, int], axes: tuple[str, ...]
) -> Array:
    """A view of the window (cores, *axes): its length along an axis it has, else 1.

    Elements may be seen several times: do not write.
    """
    assert window.shape[1:] == hull(dims, length), (window.shape, hull(dims, length))
    view = _view(dims, axes)
    shape = [window.shape[0], *[1] * len(axes)]
    if view.order is None:
        return _overlapping(window, view, length, axes, shape)
    index = (slice(None), *(0 if not s else slice(None, None, s) for s in view.flips))
    moved = window.transpose(0, *(d + 1 for d in view.order))[index]
    for position, size in zip(view.at, moved.shape[1:], strict=True):
        shape[position] = size
    return moved.reshape(shape)


def _overlapping(
    window: Array, view: _View, length: Mapping[str, int], axes: tuple[str, ...], shape: list[int]
) -> Array:
    """The view where dimensions run along several axes, as those of a convolution do."""
    first = [0] * (window.ndim - 1)
    strides = [window.strides[0], *[0] * len(axes)]
    for position, d, stride in view.terms:
        size = length[axes[position]]
        shape[position + 1] = size
        strides[position + 1] += stride * window.strides[d + 1]
        first[d] += max(0, -stride * (size - 1))
    corner = window[(slice(None), *(slice(start, None) for start in first))]
    return strided(corner, shape, strides, writeable=False)
