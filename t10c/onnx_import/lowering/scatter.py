"""Scatter, ScatterElements, ScatterND and TensorScatter, brought to the form of scatter_rows.py."""

import math
from collections.abc import Sequence
from functools import partial

import numpy as np

from t10c.onnx_import.attributes import LoweringError, argument, integer, text
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.compose import Composer
from t10c.onnx_import.lowering.dims import Shape
from t10c.onnx_import.lowering.elementwise import Step, from_front_steps
from t10c.onnx_import.lowering.indices import check_index_tuples, check_indices
from t10c.onnx_import.lowering.scatter_rows import Places, Rows, scatter_rows
from t10c.onnx_import.registry import lowers
from t10c.onnx_import.resolved import ResolvedNode


@lowers("Scatter", "ScatterElements")
def lower_scatter_elements(builder: GraphBuilder, node: ResolvedNode) -> None:
    """Each place looks for the updates that go there; known indices are a gather and a choice."""
    check_indices(builder, node)
    compose, (data, indices, updates) = Composer(builder), node.inputs[:3]
    shape, box = builder.shape(data), builder.shape(updates)
    axis = integer(node, "axis", 0) % len(shape)
    touched = (*box[:axis], shape[axis], *box[axis + 1 :])
    part = data
    for d, size in enumerate(touched):
        if size < shape[d]:
            part = compose.cut(f"part{d}", part, d, 0, size)
    before, after = math.prod(box[:axis]), math.prod(box[axis + 1 :])
    rows = Rows(
        compose.reshape("rows", part, (before, shape[axis], after)),
        compose.reshape("updates", updates, (before, box[axis], after)),
        _element_places(builder, indices, (before, box[axis], after), shape[axis]),
    )
    result = scatter_rows(builder, rows, text(node, "reduction", "none"))
    _deliver(builder, result, node, touched)


def _deliver(builder: GraphBuilder, result: str, node: ResolvedNode, touched: Shape) -> None:
    """The result of the touched part, with the rest of the data around it."""
    compose, data, output = Composer(builder), node.inputs[0], node.outputs[0]
    shape = builder.shape(data)
    partial_dims = [d for d, size in enumerate(touched) if size < shape[d]]
    if not partial_dims:
        return builder.reshape(result, output, "join")
    current = compose.reshape("box", result, touched)
    for index, d in enumerate(partial_dims):
        rest = data
        for other in partial_dims[index + 1 :]:
            rest = compose.cut(f"beside{d}.{other}", rest, other, 0, touched[other])
        rest = compose.cut(f"beside{d}", rest, d, touched[d], shape[d])
        last = d == partial_dims[-1]
        current = compose.concat(f"joined{d}", (current, rest), d, output if last else "")
    return None


def _element_places(builder: GraphBuilder, indices: str, shape: Shape, rows: int) -> Places:
    if builder.is_weight(indices):
        return _fixed(builder, indices, shape, partial(_counted, shape, rows))
    flat = Composer(builder).reshape("indices", indices, shape)
    return Places(shape, _from_front(builder, [flat], (rows,), shape))


def _counted(shape: Shape, rows: int, indices: np.ndarray) -> np.ndarray:
    """Indices as places, negative ones counted from the front."""
    values = indices.astype(np.int64).reshape(shape)
    return np.where(values < 0, values + rows, values)


@lowers("ScatterND")
def lower_scatter_nd(builder: GraphBuilder, node: ResolvedNode) -> None:
    """As ScatterElements, of rows: index tuples become places in row-major order."""
    check_index_tuples(builder, node)
    compose, (data, indices, updates) = Composer(builder), node.inputs[:3]
    shape, index = builder.shape(data), builder.shape(indices)
    selected, kept = shape[: index[-1]], math.prod(shape[index[-1] :])
    count, places = math.prod(index[:-1]), math.prod(selected)
    flat = (1, count, 1)
    if builder.is_weight(indices):
        found = _fixed(builder, indices, flat, partial(_linear, selected))
    else:
        parts = [
            compose.reshape(
                f"index{d}", compose.cut(f"column{d}", indices, len(index) - 1, d, d + 1), flat
            )
            for d in range(len(selected))
        ]
        found = Places(flat, _from_front(builder, parts, selected, flat))
    rows = Rows(
        compose.reshape("rows", data, (1, places, kept)),
        compose.reshape("updates", updates, (1, count, kept)),
        found,
    )
    result = scatter_rows(builder, rows, text(node, "reduction", "none"))
    builder.reshape(result, node.outputs[0], "join")


def _linear(selected: Shape, indices: np.ndarray) -> np.ndarray:
    """Index tuples as places in row-major order."""
    columns = [
        np.where(indices[..., d] < 0, indices[..., d] + n, indices[..., d])
        for d, n in enumerate(selected)
    ]
    places = np.ravel_multi_index(tuple(columns), selected) if columns else np.zeros(0)
    return places.astype(np.int64).reshape(1, -1, 1)


def _from_front(builder: GraphBuilder, parts: Sequence[str], sizes: Shape, shape: Shape) -> str:
    """One index from one per dimension, negative ones counted from the front."""
    steps: list[Step] = []
    total = ""
    for number, size in enumerate(sizes):
        steps += from_front_steps(number, size, len(steps))
        stride = math.prod(sizes[number + 1 :])
        if stride != 1:
            steps.append(Step("Mul", (f"s{len(steps) - 1}", str(stride))))
        if total:
            steps.append(Step("Add", (total, f"s{len(steps) - 1}")))
        total = f"s{len(steps) - 1}"
    kind = builder.element_type(parts[0])
    return Composer(builder).pointwise("places", shape, kind, tuple(parts), steps)


def _fixed(
    builder: GraphBuilder, indices: str, shape: Shape, formula: partial[np.ndarray]
) -> Places:
    known = builder.value(indices)
    value = None if known is None else formula(known)
    return Places(shape, "", formula, (indices,), value)


@lowers("TensorScatter")
def lower_tensor_scatter(builder: GraphBuilder, node: ResolvedNode) -> None:
    """A cache with new rows from a position on: a choice per place between update and cache."""
    compose, (cache, updates) = Composer(builder), node.inputs[:2]
    shape, new = builder.shape(cache), builder.shape(updates)
    axis = integer(node, "axis", -2) % len(shape)
    circular = text(node, "mode", "linear") == "circular"
    batch, size, count = shape[0], shape[axis], new[axis]
    middle, inner = math.prod(shape[1:axis]), math.prod(shape[axis + 1 :])
    if axis == 0:
        raise LoweringError("it scatters along its batch axis")
    starts = argument(node, 2)
    flat = (batch * middle, count, 1)
    if not starts or builder.is_weight(starts):
        inputs = (starts,) if starts else ()
        formula = partial(_runs, batch, middle, count, size if circular else 0)
        known = [value for name in inputs if (value := builder.value(name)) is not None]
        value = formula(*known) if len(known) == len(inputs) else None
        places = Places(flat, "", formula, inputs, value)
    else:
        places = _run_places(builder, starts, (batch, middle, count), size, circular)
    rows = Rows(
        compose.reshape("rows", cache, (batch * middle, size, inner)),
        compose.reshape("updates", updates, (batch * middle, count, inner)),
        places,
    )
    builder.reshape(scatter_rows(builder, rows, "none"), node.outputs[0], "join")


def _runs(batch: int, middle: int, count: int, size: int, *starts: np.ndarray) -> np.ndarray:
    """Places of `count` rows from each sample's start on; modulo size unless that is 0."""
    first = starts[0].reshape(batch, 1, 1) if starts else np.zeros((batch, 1, 1), np.int64)
    places = np.broadcast_to(first + np.arange(count), (batch, middle, count))
    places = places % size if size else places
    return places.astype(np.int64).reshape(batch * middle, count, 1)


def _run_places(
    builder: GraphBuilder, starts: str, shape: Shape, size: int, circular: bool
) -> Places:
    """The same of starts that are data; place v has update v - start where there is such a one."""
    compose, (batch, middle, count) = Composer(builder), shape
    wrap = [Step("Mod", ("s0", str(size)), (("fmod", 0),))] if circular else []
    last, flat = f"s{len(wrap)}", (batch * middle, count, 1)
    if count == 1:
        steps = [Step("Add", (0, "0")), *wrap]
        place = compose.pointwise("places", (batch, middle), "int64", [(starts, (0,))], steps)
        return Places(flat, compose.reshape("places.rows", place, flat))
    iota, at = compose.iota("cache.positions", size, "int64"), len(wrap)
    steps = [
        Step("Sub", (0, 1)),
        *wrap,
        Step("Less", (last, str(count))),
        Step("Where", (f"s{at + 1}", last, "-1")),
        Step("Max", (f"s{at + 2}", "-1")),
    ]
    tensors = [(iota, (2,)), (starts, (0,))]
    order = compose.pointwise("inverse", (batch, middle, size), "int64", tensors, steps)
    inverse = compose.reshape("inverse.rows", order, (batch * middle, size, 1))
    return Places(flat, inverse=inverse)
