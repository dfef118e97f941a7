"""Sums of products of two factors (matmul, conv, ...) as batched matrix products of tiles.

An axis is a batch axis if the output and both factors have it, a row or column if the output and
one factor have it, depth if it is reduced and both have it. A factor is summed first over axes
that are reduced and only it has. Points that do not exist count as zero, in both factors.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from t10c.execute.element_types import Array, DType, computing_type
from t10c.execute.form import Form, Side, body_type, form_of, per_expression
from t10c.execute.scalar import run_step
from t10c.execute.tiles import Tile, on_window, opened
from t10c.ir.expression import TensorExpression

Windows = Mapping[str, Array]
Names = tuple[str, ...]

CHUNK_BYTES = 64 * 2**20
"""Memory for what is made of windows; more cores than fit are worked on one part after another."""

_EXACT_32, _EXACT_64 = 2**24, 2**53
"""Whole numbers below these are exact in floats of 32 and 64 bits."""


@dataclass(frozen=True, slots=True)
class _Factor:
    """One factor: the order in which its axes are seen, and which matrix that makes.

    `order` is batch, then free and depth (depth first if `depth_first`), then own axes, which are
    summed.
    """

    side: Side
    order: Names
    own: Names
    depth_first: bool


@dataclass(frozen=True, slots=True)
class _Layout:
    """The roles of axes in the matrix product, and where its dimensions lie in the output."""

    left: _Factor
    right: _Factor
    batch: Names
    rows: Names
    columns: Names
    depth: Names
    order: tuple[int, ...]


@per_expression
def _layout(expression: TensorExpression) -> _Layout:
    """Axis roles; the factor that has more of the output's first axes gives the rows."""
    form = form_of(expression)
    assert form.sides is not None
    first, second = form.sides
    batch = _having(form.output, first.axes, second.axes)
    free = [tuple(a for a in form.output if a in s.axes and a not in batch) for s in form.sides]
    if free[1] and (not free[0] or form.output.index(free[1][0]) < form.output.index(free[0][0])):
        first, second, free = second, first, free[::-1]
    depth = _having(form.reduction_axes, first.axes, second.axes)
    rows, columns = free
    found = (*batch, *rows, *columns)
    return _Layout(
        _factor(first, batch, rows, depth, form),
        _factor(second, batch, columns, depth, form),
        batch,
        rows,
        columns,
        depth,
        tuple(found.index(axis) for axis in form.output if axis in found),
    )


def _having(axes: Names, first: Names, second: Names) -> Names:
    return tuple(axis for axis in axes if axis in first and axis in second)


def _factor(side: Side, batch: Names, free: Names, depth: Names, form: Form) -> _Factor:
    own = tuple(a for a in form.reduction_axes if a in side.axes and a not in depth)
    last = {axis for axis, _ in side.operand.dims[-1].terms} if side.operand.dims else set()
    depth_first = bool(depth) and not last.isdisjoint(free)
    inner = (*depth, *free) if depth_first else (*free, *depth)
    return _Factor(side, (*batch, *inner, *own), own, depth_first)


def product(tile: Tile, windows: Windows) -> Array:
    """The sum of products over the tile: (cores, *output axes), in the type it accumulates in."""
    expression = tile.expression
    layout, form = _layout(expression), form_of(expression)
    cores = next(iter(windows.values())).shape[0]
    wide = computing_type(body_type(expression, windows))
    length = tile.length
    sizes = [
        math.prod(length[axis] for axis in axes)
        for axes in (layout.left.order, layout.right.order, form.output)
    ]
    chunk = max(1, CHUNK_BYTES // (sum(sizes) * max(4, wide.itemsize)))
    if chunk >= cores:
        return _product(tile, windows, layout, form, wide)
    result = np.empty((cores, *(length[axis] for axis in form.output)), wide)
    for first in range(0, cores, chunk):
        part = slice(first, first + chunk)
        some = {name: window[part] for name, window in windows.items()}
        result[part] = _product(tile.of_cores(part), some, layout, form, wide)
    return result


def _product(tile: Tile, windows: Windows, layout: _Layout, form: Form, wide: DType) -> Array:
    length = tile.length
    left, right = (
        _matrix(tile, windows, factor, form, layout, wide) for factor in (layout.left, layout.right)
    )
    if layout.left.depth_first:
        left = left.swapaxes(-1, -2)
    if not layout.right.depth_first:
        right = right.swapaxes(-1, -2)
    multiplied = _multiplied(left, right, wide)
    found = (*layout.batch, *layout.rows, *layout.columns)
    split = multiplied.reshape(left.shape[0], *(length[axis] for axis in found))
    moved = split.transpose(0, *(position + 1 for position in layout.order))
    if len(found) == len(form.output):
        return moved
    shape = (left.shape[0], *(length[axis] for axis in form.output))
    at = (moved.shape[0], *(length[axis] if axis in found else 1 for axis in form.output))
    return np.broadcast_to(moved.reshape(at), shape)


def _matrix(
    tile: Tile, windows: Windows, factor: _Factor, form: Form, layout: _Layout, wide: DType
) -> Array:
    """A factor as matrices (cores, batch, free, depth) or (cores, batch, depth, free)."""
    length = tile.length
    values = _values(tile, windows, factor, form, wide)
    for position, axis in enumerate(factor.order, start=1):
        exist = tile.existing(axis) if axis in form.reduction_axes else None
        if exist is not None:
            shape = [1] * values.ndim
            shape[0], shape[position] = exist.shape
            values = np.where(exist.reshape(shape), values, wide.type(0))
    if factor.own:
        last = tuple(range(values.ndim - len(factor.own), values.ndim))
        values = np.add.reduce(values, axis=last, dtype=wide)
    batch = math.prod(length[axis] for axis in layout.batch)
    depth = math.prod(length[axis] for axis in layout.depth)
    if factor.depth_first:
        return values.reshape(values.shape[0], batch, depth, -1)
    return values.reshape(values.shape[0], batch, -1, depth)


def _values(tile: Tile, windows: Windows, factor: _Factor, form: Form, wide: DType) -> Array:
    """A factor's values along its axes, zero where its operand is not in the tensor."""
    side, length, order = factor.side, tile.length, factor.order
    operand = side.operand
    outside = [
        (dim, inside)
        for name, dim in form.guarded
        if name == operand.name and (inside := tile.inside(dim)) is not None
    ]
    if not side.own:
        env = {o.name: opened(windows[o.name], o.dims, length, order) for o in side.operands}
        values = _run(side, env).astype(wide, copy=False)
        for dim, inside in outside:
            mask = opened(inside, (dim,), length, order)
            values = np.where(mask, values, wide.type(0))
        return np.broadcast_to(values, (values.shape[0], *(length[axis] for axis in order)))
    window = windows[operand.name]
    rank = window.ndim - 1
    env = {o.name: windows[o.name].reshape(-1, *[1] * rank) for o in side.operands if o.fused}
    window = _run(side, {operand.name: window, **env}).astype(wide, copy=False)
    if outside:
        window = np.where(on_window(operand.dims, outside), window, wide.type(0))
    return opened(window, operand.dims, length, order)


def _run(side: Side, env: dict[str, Array]) -> Array:
    """The side's value from its operands."""
    with np.errstate(all="ignore"):
        for number, step in side.steps:
            env[f"s{number}"] = run_step(step, env)
    return env[side.value]


def _multiplied(left: Array, right: Array, wide: DType) -> Array:
    """The matrix product, exact for integers up to the wrapping of their type."""
    if wide.kind not in "iu":
        with np.errstate(all="ignore"):
            floats: Array = np.matmul(_ready(left), _ready(right))
        return floats
    bound = left.shape[-1] * _largest(left) * _largest(right)
    if bound >= _EXACT_64:
        wrapped: Array = np.matmul(np.ascontiguousarray(left), np.ascontiguousarray(right))
        return wrapped
    kind = np.float32 if bound < _EXACT_32 else np.float64
    exact: Array = np.matmul(_ready(left.astype(kind)), _ready(right.astype(kind)))
    return exact.astype(np.int64).astype(wide)


def _largest(values: Array) -> int:
    """The largest absolute value, 0 of nothing."""
    return max(abs(int(values.min(initial=0))), abs(int(values.max(initial=0))))


def _ready(matrices: Array) -> Array:
    """The matrices, copied unless they lie in memory as BLAS reads them."""
    rows, columns = matrices.shape[-2:]
    by_row, by_column = matrices.strides[-2:]
    size = matrices.itemsize
    if by_column == size and by_row >= columns * size and by_row % size == 0:
        return matrices
    if by_row == size and by_column >= rows * size and by_column % size == 0:
        return matrices
    return np.ascontiguousarray(matrices)
