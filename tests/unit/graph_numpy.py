"""Evaluates a `Graph` in NumPy, point by point of every iteration space: slow and obvious.

It reads expressions only (no ONNX node), so that a wrong stride, offset, role or step shows when
the result is compared with the ONNX reference evaluator.
"""

import json
import math
from collections.abc import Mapping

import numpy as np
import onnx
import onnxruntime
from onnx import helper
from onnx.reference import ReferenceEvaluator

from t10c.ir.expression import Operand, ScalarStep, TensorExpression, is_literal
from t10c.ir.graph import Graph, LayoutOp
from t10c.onnx_import.derived import derive_weights
from t10c.onnx_import.importer import lower_model
from t10c.onnx_import.lowering.fallback import ABSENT
from t10c.onnx_import.resolve import resolve_model

Arrays = dict[str, np.ndarray]

_FLOATS = ["bfloat16", "float16", "float32", "float64"]


def lower(model: onnx.ModelProto) -> Graph:
    return lower_model(resolve_model(model.SerializeToString()))


def check(
    model: onnx.ModelProto,
    seed: int = 0,
    feeds: Arrays | None = None,
    expected: list[np.ndarray] | None = None,
) -> Graph:
    """Lower the model and assert that its graph computes what the reference evaluator does.

    `expected` stands in where that evaluator does not follow the standard.
    """
    feeds = feeds or random_feeds(model, seed)
    resolved = resolve_model(model.SerializeToString())
    graph = lower_model(resolved)
    assert sum(graph.node_counts().values()) == len(resolved.nodes) + len(resolved.folded)
    names = [op.name for op in graph.operators]
    assert len(names) == len(set(names))
    values = {**resolved.constants, **feeds}
    assert resolved.weights <= set(), "test models keep their weights below 64 KiB"
    actual = evaluate(graph, {**values, **derive_weights(resolved, values)})
    expected = expected or ReferenceEvaluator(model).run(None, feeds)
    for name, want in zip(graph.outputs, expected, strict=True):
        assert actual[name].shape == want.shape == graph.tensor[name].shape
        np.testing.assert_allclose(actual[name], want, rtol=2e-4, atol=2e-5, err_msg=name)
    return graph


def runtime_results(model: onnx.ModelProto, feeds: Arrays) -> list[np.ndarray]:
    """What ONNX Runtime computes."""
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return list(session.run(None, feeds))


def random_feeds(model: onnx.ModelProto, seed: int) -> Arrays:
    rng = np.random.default_rng(seed)
    known = {tensor.name for tensor in model.graph.initializer}
    feeds = {}
    for info in model.graph.input:
        if info.name in known:
            continue
        shape = [dim.dim_value for dim in info.type.tensor_type.shape.dim]
        dtype = helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type)
        if dtype.kind == "f":
            feeds[info.name] = rng.standard_normal(shape).astype(dtype)
        else:
            feeds[info.name] = rng.integers(0, 2, shape).astype(dtype)
    return feeds


def evaluate(graph: Graph, values: Mapping[str, np.ndarray]) -> Arrays:
    env = dict(values)
    for op in graph.operators:
        inputs = [env[name] for name in op.inputs]
        tensor = graph.tensor[op.output]
        if isinstance(op, LayoutOp):
            result = _move(op, inputs, tensor.shape)
            if op.op_type == "BitCast":
                result = result.view(np.zeros(0).astype(tensor.element_type).dtype)
        else:
            result = compute(op.expression, inputs, tensor.shape)
        assert result.shape == tensor.shape, op.name
        env[op.output] = result.astype(dtype_of(tensor.element_type))
    return env


def dtype_of(element_type: str) -> np.dtype:
    """NumPy's type of a graph's element type."""
    names = {"float32": "FLOAT", "float64": "DOUBLE"}
    name = names.get(element_type, element_type.upper())
    return helper.tensor_dtype_to_np_dtype(onnx.TensorProto.DataType.Value(name))


def _move(op: LayoutOp, inputs: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    match op.kind:
        case "reshape":
            return inputs[0].reshape(shape)
        case "transpose":
            return inputs[0].transpose(op.perm)
        case "expand":
            return np.broadcast_to(inputs[0], shape)
        case "concat":
            return np.concatenate(inputs, axis=op.axis)
        case "slice":
            rows = [
                s + p * np.arange(n) for s, p, n in zip(op.starts, op.steps, shape, strict=True)
            ]
            assert all(row.min() >= 0 for row in rows)
            return inputs[0][np.ix_(*rows)]
        case "pad":
            result = np.full(shape, float(op.fill), inputs[0].dtype)
            box = tuple(slice(s, s + n) for s, n in zip(op.starts, inputs[0].shape, strict=True))
            result[box] = inputs[0]
            return result


class _Point:
    """Index grids: axis number d of the expression runs along dimension d of every array."""

    def __init__(self, expression: TensorExpression) -> None:
        rank = len(expression.axes)
        self.grid = {
            axis.name: np.arange(axis.length).reshape([-1 if d == i else 1 for d in range(rank)])
            for i, axis in enumerate(expression.axes)
        }
        self.rank = rank

    def read(self, operand: Operand, array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values of the operand at every point, and whether they lie inside the tensor."""
        assert tuple(dim.size for dim in operand.dims) == array.shape, operand
        inside = np.ones((1,) * self.rank, bool)
        index = []
        for dim in operand.dims:
            at = np.full((1,) * self.rank, dim.offset)
            for axis, stride in dim.terms:
                at = at + stride * self.grid[axis]
            inside = inside & (at >= 0) & (at < dim.size)
            index.append(np.clip(at, 0, dim.size - 1))
        return array[tuple(np.broadcast_arrays(*index))] if index else array.reshape(
            (1,) * self.rank
        ), inside


def compute(
    expression: TensorExpression, inputs: list[np.ndarray], shape: tuple[int, ...]
) -> np.ndarray:
    """What an expression computes of whole operands, point by point of its iteration space."""
    if expression.kernel == "fallback":
        return _fallback(expression, inputs)
    point = _Point(expression)
    env: Arrays = {}
    inside = np.ones((1,) * point.rank, bool)
    if expression.kernel == "gather":
        value = _gather(expression, inputs, point)
    else:
        for operand, array in zip(expression.inputs, inputs, strict=True):
            env[operand.name], valid = point.read(operand, array)
            if not operand.fused:
                inside = inside & valid
        value = _steps(expression, expression.body, env)
    for operand, array in zip(expression.inputs, inputs, strict=True):
        if operand.fused:
            env[operand.name] = point.read(operand, array)[0]
    if expression.reduce_op and expression.kernel != "gather":
        full = np.broadcast_shapes(value.shape, expression.lengths)
        value = _reduce(expression, np.broadcast_to(value, full), np.broadcast_to(inside, full))
    env["acc"] = value
    value = _steps(expression, expression.epilogue, env, len(expression.body))
    kept = [1 if axis.reduction else axis.length for axis in expression.axes]
    value = np.broadcast_to(value, kept)
    result = np.full(shape, 77, value.dtype)
    index, _ = point.read(expression.output, np.arange(math.prod(shape)).reshape(shape))
    result.reshape(-1)[np.broadcast_to(index, kept).reshape(-1)] = value.reshape(-1)
    return result


def _fallback(expression: TensorExpression, inputs: list[np.ndarray]) -> np.ndarray:
    """One output of an operator without an expression, by the reference evaluator."""
    step = expression.body[0]
    attributes = dict(step.attributes)
    names = ["" if name == ABSENT else name for name in step.inputs]
    outputs = [f"y{i}" for i in range(int(attributes["output"]) + 1)]
    domain = str(attributes.get("domain", ""))
    made = helper.make_node(step.op, names, outputs, domain=domain)
    for name, value in attributes.items():
        if name.startswith("attribute."):
            kind = onnx.defs.get_schema(step.op, int(attributes["opset"]), domain).attributes
            plain = json.loads(value) if is_list(kind[name[10:]].type) else value
            made.attribute.append(helper.make_attribute(name[10:], plain))
    info = [helper.make_empty_tensor_value_info(name) for name in outputs[-1:]]
    graph = helper.make_graph([made], "fallback", [], info)
    feeds = {o.name: a for o, a in zip(expression.inputs, inputs, strict=True)}
    opsets = {"": int(attributes["opset"]), "ai.onnx.ml": 3}
    return np.asarray(ReferenceEvaluator(graph, opsets=opsets).run(None, feeds)[0])


def is_list(kind: onnx.defs.OpSchema.AttrType) -> bool:
    return kind.name.endswith("S")


def _reduce(expression: TensorExpression, value: np.ndarray, inside: np.ndarray) -> np.ndarray:
    axes = tuple(d for d, axis in enumerate(expression.axes) if axis.reduction)
    step = expression.body[0]
    if step.op in ("ArgMax", "ArgMin"):
        find = getattr(np, step.op.lower())
        if step.attribute("select_last_index", 0):
            last = np.flip(value, axes[0])
            return value.shape[axes[0]] - 1 - find(last, axis=axes[0], keepdims=True)
        return find(value, axis=axes[0], keepdims=True)
    if expression.reduce_op == "mean":
        total = np.where(inside, value, 0).sum(axis=axes, keepdims=True)
        return (total / inside.sum(axis=axes, keepdims=True)).astype(value.dtype)
    function, identity = {
        "sum": (np.sum, 0),
        "prod": (np.prod, 1),
        "max": (np.max, -np.inf),
        "min": (np.min, np.inf),
    }[expression.reduce_op or ""]
    if inside.all():
        return function(value, axis=axes, keepdims=True).astype(value.dtype)
    return function(np.where(inside, value, identity), axis=axes, keepdims=True).astype(value.dtype)


def _gather(expression: TensorExpression, inputs: list[np.ndarray], point: _Point) -> np.ndarray:
    """Sum over the table axes of the rows whose position the index names."""
    roles = {axis.name: axis for axis in expression.axes}
    table, index = expression.inputs[:2]
    value, _ = point.read(table, inputs[0])
    axes = [
        roles[dim.terms[0][0]]
        for dim in table.dims
        if dim.terms and roles[dim.terms[0][0]].role == "table"
    ]
    if not axes:
        return value  # a table of one entry
    if len(index.dims) and not index.dims[-1].terms and index.dims[-1].size == len(axes) > 1:
        parts = [inputs[1][..., d] for d in range(len(axes))]
        reader = Operand("X", index.dims[:-1])
    else:
        parts, reader = [inputs[1].reshape([d.size for d in index.dims])], index
    hit = np.ones((1,) * point.rank, bool)
    for part, axis in zip(parts, axes, strict=True):
        wanted = point.read(reader, part)[0]
        wanted = np.where(wanted < 0, wanted + axis.length, wanted)
        hit = hit & (wanted == point.grid[axis.name])
    table_axes = tuple(d for d, axis in enumerate(expression.axes) if axis.role == "table")
    assert np.all(np.sum(hit, axis=table_axes) == 1)
    return np.where(hit, value, 0).sum(axis=table_axes, keepdims=True).astype(value.dtype)


def _steps(
    expression: TensorExpression, steps: tuple[ScalarStep, ...], env: Arrays, first: int = 0
) -> np.ndarray:
    """Run scalar steps; returns the last value (what is in `acc` where there is none)."""
    value = env.get("acc")
    for number, step in enumerate(steps, start=first):
        value = _step(expression, step, [_input(step, name, env) for name in step.inputs])
        env[f"s{number}"] = value
    assert value is not None
    return value


def _input(step: ScalarStep, name: str, env: Arrays) -> np.ndarray:
    if not is_literal(name):
        return env[name]
    alike = step.inputs[1:] if step.op == "Where" else step.inputs
    others = [env[other].dtype for other in alike if not is_literal(other)]
    if step.attribute("as", ""):
        others = [dtype_of(str(step.attribute("as", "")))]
    kind = others[0] if others else np.dtype(np.float32)
    exact = kind.kind in "iu" and name.removeprefix("-").isdigit()
    return np.asarray(int(name), kind) if exact else np.asarray(float(name)).astype(kind)


def _step(expression: TensorExpression, step: ScalarStep, inputs: list[np.ndarray]) -> np.ndarray:
    rows = tuple(d for d, axis in enumerate(expression.axes) if axis.role == "normalised")
    attributes = dict(step.attributes)
    if step.op in ("Identity", "ArgMax", "ArgMin"):
        return inputs[0]
    if step.op.startswith("Reduce"):
        assert step.rows
        function = {"Max": np.max, "Sum": np.sum, "Mean": np.mean}[step.op[len("Reduce") :]]
        return function(inputs[0], axis=rows, keepdims=True)
    if step.op == "WindowSum":
        size, array = int(attributes["size"]), np.moveaxis(inputs[0], rows[0], -1)
        sums = [
            array[..., max(0, c - (size - 1) // 2) : c + size // 2 + 1].sum(-1)
            for c in range(array.shape[-1])
        ]
        return np.moveaxis(np.stack(sums, -1), -1, rows[0])
    if step.op in ("CumSum", "CumProd"):
        inputs = [inputs[0], np.asarray(rows[0])]
    if step.op == "Cast":
        if "e8m0" in attributes["to"]:
            mode, most = attributes.get("round_mode", "up"), bool(attributes.get("saturate", 1))
            return onnx.numpy_helper.to_float8e8m0(inputs[0], most, mode)
        if "float8" in attributes["to"] and attributes.get("saturate", 1):
            return onnx.numpy_helper.saturate_cast(inputs[0], dtype_of(attributes["to"]))
        return inputs[0].astype(dtype_of(attributes["to"]))
    if "as" in attributes:
        kind = dtype_of(str(attributes.pop("as")))
        inputs = [array.astype(kind) for array in inputs]
    if step.op == "Gelu":
        return _gelu(inputs[0], str(attributes["approximate"]))
    inputs = _of_one_width(step, inputs)
    node = helper.make_node(step.op, [f"x{i}" for i in range(len(inputs))], ["y"], **attributes)
    feeds = {f"x{i}": np.asarray(array) for i, array in enumerate(inputs)}
    opset = 26 if step.op == "CumProd" else 20
    result = ReferenceEvaluator(node, opsets={"": opset}).run(None, feeds)[0]
    if step.rows:
        assert all(result.shape[d] == 1 for d in rows)
    return result


def _of_one_width(step: ScalarStep, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """Casts between floats are renamings, so floats may meet in several widths: the widest."""
    floats = [i for i, array in enumerate(inputs) if array.dtype.name in _FLOATS]
    widest = max((inputs[i].dtype.name for i in floats), key=_FLOATS.index, default="")
    return [a.astype(widest) if i in floats else a for i, a in enumerate(inputs)]


def _gelu(x: np.ndarray, approximate: str) -> np.ndarray:
    """The reference evaluator has no Gelu of its own."""
    if approximate == "tanh":
        y = 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    else:
        y = 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))
    return y.astype(x.dtype)
