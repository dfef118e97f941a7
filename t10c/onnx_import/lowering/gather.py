"""Gather: O[i.., e] = T[idx[i..], e]; a selection that is known and regular is layout-only."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from t10c.ir.expression import Dim, Operand, ScalarStep, TensorExpression
from t10c.onnx_import.attributes import integer
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.compose import Composer
from t10c.onnx_import.lowering.dims import AxisList, Shape
from t10c.onnx_import.lowering.indices import check_index_tuples, check_indices
from t10c.onnx_import.registry import lowers
from t10c.onnx_import.resolved import ResolvedNode


@dataclass(frozen=True, slots=True)
class Progression:
    """Indices start, start + step, ... along one axis of the index tensor (None: a single one)."""

    start: int
    step: int
    length: int
    axis: int | None


def progression(indices: np.ndarray, size: int) -> Progression | None:
    """The indices of one dimension as a progression along one axis, else None."""
    values = np.where(indices < 0, indices + size, indices)
    if values.size == 0:
        return None
    first = int(values.reshape(-1)[0])
    varying = [a for a, n in enumerate(values.shape) if n > 1 and np.any(np.diff(values, axis=a))]
    if not varying:
        return Progression(first, 1, 1, None)
    if len(varying) > 1:
        return None
    axis = varying[0]
    line = np.moveaxis(values, axis, -1).reshape(-1, values.shape[axis])[0]
    step = int(line[1] - line[0])
    if step == 0 or np.any(np.diff(line) != step):
        return None
    return Progression(first, step, len(line), axis)


def _add_selection(
    builder: GraphBuilder,
    node: ResolvedNode,
    axes: tuple[int, ...],
    indices: list[np.ndarray],
) -> bool:
    """Lower as slice and reshape if the known indices (one array per selected axis) allow it."""
    source, output = node.inputs[0], node.outputs[0]
    shape = builder.shape(source)
    found = [progression(i, shape[axis]) for i, axis in zip(indices, axes, strict=True)]
    parts = [p for p in found if p is not None]
    used = [p.axis for p in parts if p.axis is not None]
    index_axes = [a for a, n in enumerate(indices[0].shape) if n > 1]
    if len(parts) != len(found) or used != index_axes:
        return False
    starts, steps, kept = [0] * len(shape), [1] * len(shape), list(shape)
    for axis, part in zip(axes, parts, strict=True):
        starts[axis], steps[axis], kept[axis] = part.start, part.step, part.length
    target = builder.shape(output)
    if tuple(kept) == shape and set(steps) == {1}:
        builder.reshape(source, output)
    elif tuple(kept) == target:
        builder.slice(source, output, starts, steps)
    else:
        selected = builder.temporary("selected", tuple(kept), source)
        builder.slice(source, selected, starts, steps)
        builder.reshape(selected, output, "reshape")
    return True


@lowers("Gather")
def lower_gather(builder: GraphBuilder, node: ResolvedNode) -> None:
    """Rows of a table selected by an index tensor."""
    check_indices(builder, node)
    table, index = builder.shape(node.inputs[0]), builder.shape(node.inputs[1])
    axis = integer(node, "axis", 0) % len(table)
    known = builder.value(node.inputs[1])
    if known is not None and _add_selection(builder, node, (axis,), [known]):
        return
    builder.compute("", gather_expression(table, index, axis), node.inputs[:2], node.outputs[0])


def gather_expression(table: Shape, index: Shape, axis: int) -> TensorExpression:
    """The expression of a selection along one axis of the table."""
    axes = AxisList()
    i = [Dim(axes.add(f"i{d}", n, "index"), n) for d, n in enumerate(index)]
    e = [
        Dim(axes.add(f"e{d}", n, "element"), n) if d != axis else Dim((), 1)
        for d, n in enumerate(table)
    ]
    v = Dim(axes.add("v", table[axis], "table", reduction=True), table[axis])
    before, after = e[:axis], e[axis + 1 :]
    return index_expression(axes, (*before, v, *after), tuple(i), (*before, *i, *after))


@lowers("GatherND")
def lower_gather_nd(builder: GraphBuilder, node: ResolvedNode) -> None:
    """Rows selected by index tuples, the last dimension of the index, which has no axis."""
    table, index = builder.shape(node.inputs[0]), builder.shape(node.inputs[1])
    batch, width = integer(node, "batch_dims", 0), index[-1]
    check_index_tuples(builder, node, batch)
    if 1 in table[batch : batch + width]:
        return _gather_nd_without_ones(builder, node, batch)
    known = builder.value(node.inputs[1])
    if known is not None and not batch:
        parts = [known[..., d] for d in range(width)]
        if _add_selection(builder, node, tuple(range(width)), parts):
            return None
    axes = AxisList()
    i = [Dim(axes.add(f"i{d}", n, "index"), n) for d, n in enumerate(index[:-1])]
    e = [
        Dim(axes.add(f"e{d}", n, "element"), n)
        for d, n in enumerate(table[batch + width :], start=batch + width)
    ]
    v = [
        Dim(axes.add(f"v{d}", n, "table", reduction=True), n)
        for d, n in enumerate(table[batch : batch + width], start=batch)
    ]
    entry = Dim((), width, entries=True)
    expression = index_expression(axes, (*i[:batch], *v, *e), (*i, entry), (*i, *e))
    return builder.compute("", expression, node.inputs[:2], node.outputs[0])


def _gather_nd_without_ones(builder: GraphBuilder, node: ResolvedNode, batch: int) -> None:
    """Selected dimensions of size 1 leave no choice: they and their columns of the index go."""
    compose, (source, index), output = Composer(builder), node.inputs[:2], node.outputs[0]
    table, shape = builder.shape(source), builder.shape(index)
    last, rest = len(shape) - 1, table[batch + shape[-1] :]
    kept = [d for d in range(shape[-1]) if table[batch + d] > 1]
    target = (*table[:batch], *(table[batch + d] for d in kept), *rest)
    if not kept:
        ones = (*table[:batch], *(1 for _ in shape[batch:last]), *rest)
        return builder.expand(compose.reshape("table", source, ones), output)
    columns = [compose.cut(f"column{d}", index, last, d, d + 1) for d in kept]
    smaller = columns[0] if len(kept) == 1 else compose.concat("index", columns, last)
    inputs = (compose.reshape("table", source, target), smaller)
    return lower_gather_nd(builder, replace(node, inputs=inputs))


@lowers("GatherElements")
def lower_gather_elements(builder: GraphBuilder, node: ResolvedNode) -> None:
    """O[i, j] = T[idx[i, j], j]: the other dimensions are index axes of all three."""
    check_indices(builder, node)
    axis = integer(node, "axis", 0) % len(builder.shape(node.inputs[0]))
    add_gather_elements(builder, "", node.inputs[:2], node.outputs[0], axis)


def add_gather_elements(
    builder: GraphBuilder, suffix: str, inputs: Sequence[str], output: str, axis: int
) -> None:
    """Add the gather of a table and an index of the same rank along one axis."""
    table, index = (builder.shape(name) for name in inputs)
    axes = AxisList()
    terms = [axes.add(f"i{d}", n, "index") for d, n in enumerate(index)]
    v = axes.add("v", table[axis], "table", reduction=True)
    i = tuple(Dim(t, n) for t, n in zip(terms, index, strict=True))
    source = tuple(Dim(v if d == axis else terms[d], n) for d, n in enumerate(table))
    builder.compute(suffix, index_expression(axes, source, i, i), inputs, output)


@lowers("Compress")
def lower_compress(builder: GraphBuilder, node: ResolvedNode) -> None:
    """Rows where a known condition is true: a slice where they are regular, else a gather."""
    source, output = node.inputs[0], node.outputs[0]
    wanted = np.flatnonzero(builder.constant(node.inputs[1], "condition"))
    shape, compose = builder.shape(source), Composer(builder)
    flat = "axis" not in node.attributes
    axis = 0 if flat else integer(node, "axis", 0) % len(shape)
    table = compose.reshape("flat", source, (math.prod(shape),)) if flat else source
    run = progression(wanted, builder.shape(table)[axis])
    if run is not None:
        stop = run.start + run.step * run.length
        compose.cut("", table, axis, run.start, stop, run.step, output)
        return
    index = compose.weight("index", wanted)
    expression = gather_expression(builder.shape(table), wanted.shape, axis)
    builder.compute("", expression, (table, index), output)


def index_expression(
    axes: AxisList, table: tuple[Dim, ...], index: tuple[Dim, ...], output: tuple[Dim, ...]
) -> TensorExpression:
    """C = T, at the entry of the axes of role table that X names."""
    return TensorExpression(
        kernel="gather",
        axes=axes.axes,
        inputs=(Operand("T", table), Operand("X", index)),
        output=Operand("C", output),
        body=(ScalarStep("Gather", ("T", "X")),),
        reduce_op="sum",
    )
