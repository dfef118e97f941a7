"""Cycles of compute tiles: the kernel of an expression on lengths along its axes, vectorised."""

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

from t10c.hardware.kernels import (
    Cycles,
    conv_cycles,
    gather_cycles,
    matmul_cycles,
    pointwise_cycles,
    pointwise_marginal_cycles,
    pool_cycles,
    reduce_cycles,
)
from t10c.hardware.spec import HardwareSpec
from t10c.ir.expression import Operand, Role, TensorExpression


def ends_with_sync(expression: TensorExpression) -> bool:
    """Whether an operator ends with a sync of its own, and not with an exchange (as published)."""
    return expression.kernel in ("pointwise", "pool")


def tile_cycles(spec: HardwareSpec, expression: TensorExpression, tile: ArrayLike) -> Cycles:
    """Cycles of the expression's kernel on compute tiles, without epilogue and end.

    `tile` has shape (..., D): lengths along each axis, in axis order; the result has shape (...).
    """
    lengths = np.asarray(tile, dtype=np.float64)
    if lengths.shape[-1:] != (len(expression.axes),):
        raise ValueError(f"tile of shape {lengths.shape} for {len(expression.axes)} axes")

    def size(*roles: Role) -> Cycles:
        return _product(
            lengths, (i for i, axis in enumerate(expression.axes) if axis.role in roles)
        )

    match expression.kernel:
        case "matmul":
            product = matmul_cycles(
                spec,
                size("batch", "group"),
                size("m"),
                size("n"),
                size("k"),
                expression.narrow_product,
            )
            return product + _preparation(spec, expression, lengths)
        case "conv":
            product = conv_cycles(
                spec,
                size("batch", "group"),
                size("in_channel"),
                size("out_channel"),
                size("out_spatial"),
                size("kernel"),
                expression.narrow_product,
            )
            return product + _preparation(spec, expression, lengths)
        case "pool":
            return pool_cycles(
                spec, size("parallel", "batch", "group"), size("out_spatial"), size("kernel")
            )
        case "pointwise":
            return _pointwise_chain(spec, expression, lengths.prod(axis=-1))
        case "reduce":
            return _reduce_body(spec, expression, lengths)
        case "gather":
            # Which indices fall into a core's part of the table is data: all of them at worst.
            return gather_cycles(spec, size("index"), size("element"))
        case "rowwise":
            return _rowwise_chain(spec, expression, lengths)
        case "fallback":
            return _fallback(spec, expression, lengths)


def _preparation(spec: HardwareSpec, expression: TensorExpression, lengths: Cycles) -> Cycles:
    """Steps of a product's body besides the product: an operand's dequantisation, say.

    A step works on the elements it reads, directly or through the steps before it; one that reads
    both factors works on every point of the tile.
    """
    inputs = {operand.name: operand for operand in expression.inputs}
    factors = {operand.name for operand in expression.inputs[:2]}
    read = {name: frozenset({name}) for name in inputs}
    total = np.zeros(lengths.shape[:-1])
    multiplied = False
    for number, step in enumerate(expression.body):
        known = (read.get(name, frozenset()) for name in step.inputs)
        names = read[f"s{number}"] = frozenset().union(*known)
        elements = np.ones(lengths.shape[:-1])
        if factors <= names:
            is_product = step.op == "Mul" and not multiplied
            multiplied = True
            if is_product:
                continue
            elements = lengths.prod(axis=-1)
        for name in names:
            elements = np.maximum(elements, _touched(expression, inputs[name], lengths))
        total = total + pointwise_marginal_cycles(spec, elements, step.tensor_inputs)
    return total


def _touched(expression: TensorExpression, operand: Operand, lengths: Cycles) -> Cycles:
    """Elements of an operand that a tile reads, without those that a stride leaps over."""
    total = np.ones(lengths.shape[:-1])
    for dim in operand.dims:
        span = np.ones(lengths.shape[:-1])
        for axis, stride in dim.terms:
            span = span + abs(stride) * (lengths[..., expression.axis_index[axis]] - 1)
        points = _product(lengths, (expression.axis_index[axis] for axis, _ in dim.terms))
        total = total * np.minimum(span, points)
    return total


def _pointwise_chain(spec: HardwareSpec, expression: TensorExpression, elements: Cycles) -> Cycles:
    """The first step in full, the others marginal; an empty body is a copy."""
    steps = expression.body
    total = pointwise_cycles(spec, elements, steps[0].tensor_inputs if steps else 1)
    for step in steps[1:]:
        total = total + pointwise_marginal_cycles(spec, elements, step.tensor_inputs)
    return total


def _reduce_body(spec: HardwareSpec, expression: TensorExpression, lengths: Cycles) -> Cycles:
    """The reduction, and what its body computes on each input element."""
    kept = (i for i, axis in enumerate(expression.axes) if not axis.reduction)
    reduced = (i for i, axis in enumerate(expression.axes) if axis.reduction)
    total = reduce_cycles(spec, _product(lengths, kept), _product(lengths, reduced))
    for step in expression.body:
        if step.op != "Identity":
            elements = lengths.prod(axis=-1)
            total = total + pointwise_marginal_cycles(spec, elements, step.tensor_inputs)
    return total


def _rowwise_chain(spec: HardwareSpec, expression: TensorExpression, lengths: Cycles) -> Cycles:
    """Each part in full: every reduction is a pass over the tile of its own."""
    axes = list(enumerate(expression.axes))
    rows = _product(lengths, (i for i, axis in axes if axis.role != "normalised"))
    width = _product(lengths, (i for i, axis in axes if axis.role == "normalised"))
    total = np.zeros_like(rows)
    for step in expression.body:
        if step.op.startswith("Reduce"):
            total = total + reduce_cycles(spec, rows, width)
        else:
            elements = rows if step.rows else rows * width
            total = total + pointwise_cycles(spec, elements, step.tensor_inputs)
    return total


def _fallback(spec: HardwareSpec, expression: TensorExpression, lengths: Cycles) -> Cycles:
    """Scalar code on one core, an estimate: so many passes over the elements of all operands."""
    elements = np.zeros(lengths.shape[:-1])
    for operand in expression.operands:
        elements = elements + _product(lengths, (expression.axis_index[a] for a in operand.axes))
    passes = (step.attribute("passes", 1) for step in expression.body)
    return pointwise_cycles(spec, sum(map(float, passes)) * elements, 2)


def _product(lengths: Cycles, indices: Iterable[int]) -> Cycles:
    """Product over the chosen axes of the last dimension; 1 where none is chosen."""
    chosen = list(indices)
    shape = lengths.shape[:-1]
    return math.prod((lengths[..., i] for i in chosen), start=np.ones(shape))
