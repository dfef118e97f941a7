"""Partial results: what they start from, how two combine, and the reduction within a tile.

A partial result is a tuple of arrays (cores, *output axes): the reduced values, for ArgMax and
ArgMin also the global index, for a gather also whether the entry was found.
"""

import math

import numpy as np

from t10c.execute.element_types import (
    Array,
    BoolArray,
    DType,
    IntArray,
    accumulating_type,
    highest,
    lowest,
)
from t10c.execute.form import Form, form_of
from t10c.execute.tiles import Tile
from t10c.ir.expression import ReduceOp, ScalarStep, TensorExpression

Partial = tuple[Array, ...]

_ROWS_PER_TAP = 16
"""Windows of n elements are taken element by element if there are at least 16 n of them."""

_UFUNCS: dict[ReduceOp, np.ufunc] = {
    "sum": np.add,
    "mean": np.add,
    "prod": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
}


def identity(expression: TensorExpression, shape: tuple[int, ...], *kinds: DType) -> Partial:
    """What partial results of shape (cores, *lengths) start from.

    `kinds` are the types of a contribution's arrays. Expressions that reduce nothing start from
    zeros, which any result replaces.
    """
    first = kinds[0]
    if expression.kernel == "gather" or expression.reduce_op is None:
        return tuple(np.zeros(shape, kind) for kind in kinds)
    values = np.full(shape, neutral(expression.reduce_op, first), first)
    argument = form_of(expression).argument
    if argument is None:
        return (values,)
    return values, np.full(shape, _no_index(argument))


def neutral(reduce_op: ReduceOp, kind: DType) -> np.generic:
    """The neutral element of a reduction."""
    match reduce_op:
        case "max":
            found = lowest(kind)
        case "min":
            found = highest(kind)
        case "prod":
            found = kind.type(1)
        case _:
            found = kind.type(0)
    assert isinstance(found, np.generic)
    return found


def combine(expression: TensorExpression, first: Partial, second: Partial) -> Partial:
    """Two partial results of the same elements as one; the order does not matter."""
    if expression.kernel == "gather":
        (value, found), (other, also) = first, second
        return np.where(found, value, other), found | also
    if expression.reduce_op is None:
        return second
    argument = form_of(expression).argument
    if argument is not None:
        return _better(argument, first, second)
    with np.errstate(all="ignore"):
        return (_UFUNCS[expression.reduce_op](first[0], second[0]),)


def _no_index(argument: ScalarStep) -> int:
    """An index that loses against every other one of the same value."""
    return -1 if argument.attribute("select_last_index", 0) else np.iinfo(np.int64).max


def _better(argument: ScalarStep, first: Partial, second: Partial) -> Partial:
    """The larger (smaller) value and its index; NaN counts as the largest (smallest)."""
    (value, index), (other, at) = first, second
    nan, also = _is_nan(value), _is_nan(other)
    beats = other > value if argument.op == "ArgMax" else other < value
    equal = (other == value) | (nan & also)
    earlier = at > index if argument.attribute("select_last_index", 0) else at < index
    takes = (beats & ~nan) | (also & ~nan) | (equal & earlier)
    return np.where(takes, other, value), np.where(takes, at, index)


def _is_nan(values: Array) -> BoolArray:
    """Whether values are NaN; those of integers never are."""
    if values.dtype.kind in "iub":
        return np.zeros((1,) * values.ndim, bool)
    found: BoolArray = np.isnan(values)
    return found


def reduced(tile: Tile, values: Array, inside: BoolArray | None, kind: DType) -> Partial:
    """Values that broadcast to a grid (cores, *grid), reduced over its reduction axes.

    `inside` broadcasts to the grid too and says which points count; `kind` is the body's type.
    """
    expression, form = tile.expression, form_of(tile.expression)
    operation = expression.reduce_op
    assert operation is not None
    wide = accumulating_type(kind, operation)
    full = (values.shape[0], *(tile.length[axis] for axis in form.grid))
    if inside is not None:
        start = neutral(operation, wide)
        values = np.where(inside, values.astype(wide, copy=False), start)
    values = np.broadcast_to(values, full)
    if form.argument is not None:
        return _found(tile, values.astype(wide, copy=False), inside, form, form.argument)
    with np.errstate(all="ignore"):
        points = math.prod(values.shape[1 + len(form.output) :])
        if form.overlaps and values.size >= points * points * _ROWS_PER_TAP:
            return (_tap_by_tap(_UFUNCS[operation], values, len(form.output), wide),)
        return (_UFUNCS[operation].reduce(values, axis=form.reduced, dtype=wide),)


def _tap_by_tap(ufunc: np.ufunc, values: Array, kept: int, wide: DType) -> Array:
    """The reduction over the last axes, one of their points at a time.

    NumPy's own takes overlapping windows element by element, in rows as short as the window.
    """
    taps = np.ndindex(values.shape[1 + kept :])
    total: Array = values[(..., *next(taps))].astype(wide)
    for tap in taps:
        ufunc(total, values[(..., *tap)], out=total)
    return total


def _found(
    tile: Tile, values: Array, inside: BoolArray | None, form: Form, argument: ScalarStep
) -> Partial:
    """The extreme value and the first (last) index that has it among the points inside."""
    (axis,), (name,) = form.reduced, form.reduction_axes
    ufunc = np.maximum if argument.op == "ArgMax" else np.minimum
    best = ufunc.reduce(values, axis=axis, keepdims=True)
    has: BoolArray = (values == best) | (_is_nan(values) & _is_nan(best))
    if inside is not None:
        has &= inside
    if argument.attribute("select_last_index", 0):
        local = values.shape[axis] - 1 - np.argmax(np.flip(has, axis), axis=axis, keepdims=True)
    else:
        local = np.argmax(has, axis=axis, keepdims=True)
    start: IntArray = tile.start[name].reshape(-1, *[1] * (values.ndim - 1))
    exists = has.any(axis=axis, keepdims=True)
    index = np.where(exists, local + start, _no_index(argument))
    return best.squeeze(axis), index.squeeze(axis)
