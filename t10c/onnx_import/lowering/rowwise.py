"""Row-wise operators: a chain of reductions and pointwise steps over axes that are never cut.

A step named Reduce... yields one value per row (`rows`), broadcast back over the row where a later
step uses it. Three steps work along the row without reducing it: CumSum and CumProd, as in ONNX,
and WindowSum, which sums `size` neighbours, (size - 1) // 2 of them before the element, absent ones
as zero.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from t10c.ir.expression import Operand, Role, ScalarStep, TensorExpression
from t10c.onnx_import.attributes import (
    LoweringError,
    argument,
    integer,
    integers,
    normalise_axes,
    number,
)
from t10c.onnx_import.lowering.batch_statistics import add_training_batch_norm
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.compose import Composer
from t10c.onnx_import.lowering.dims import plain_axes, plain_dims
from t10c.onnx_import.lowering.elementwise import Argument, Step, add_pointwise, broadcast
from t10c.onnx_import.lowering.moments import add_statistics
from t10c.onnx_import.registry import lowers
from t10c.onnx_import.resolved import ResolvedNode

Steps = tuple[ScalarStep, ...]


def softmax_steps() -> Steps:
    """exp(a - max) / sum(exp(a - max))."""
    return (
        ScalarStep("ReduceMax", ("A",), rows=True),
        ScalarStep("Sub", ("A", "s0")),
        ScalarStep("Exp", ("s1",)),
        ScalarStep("ReduceSum", ("s2",), rows=True),
        ScalarStep("Div", ("s2", "s3")),
    )


def log_softmax_steps() -> Steps:
    """a - max - log(sum(exp(a - max)))."""
    return (
        *softmax_steps()[:4],
        ScalarStep("Log", ("s3",), rows=True),
        ScalarStep("Sub", ("s1", "s4")),
    )


def layer_norm_steps(epsilon: str) -> Steps:
    """(a - mean) / sqrt(variance + epsilon)."""
    return (
        ScalarStep("ReduceMean", ("A",), rows=True),
        ScalarStep("Sub", ("A", "s0")),
        ScalarStep("Mul", ("s1", "s1")),
        ScalarStep("ReduceMean", ("s2",), rows=True),
        ScalarStep("Add", ("s3", epsilon), rows=True),
        ScalarStep("Sqrt", ("s4",), rows=True),
        ScalarStep("Div", ("s1", "s5")),
    )


def rms_norm_steps(epsilon: str) -> Steps:
    """a / sqrt(mean(a * a) + epsilon)."""
    return (
        ScalarStep("Mul", ("A", "A")),
        ScalarStep("ReduceMean", ("s0",), rows=True),
        ScalarStep("Add", ("s1", epsilon), rows=True),
        ScalarStep("Sqrt", ("s2",), rows=True),
        ScalarStep("Div", ("A", "s3")),
    )


def add_rowwise(
    builder: GraphBuilder,
    suffix: str,
    source: str,
    output: str,
    axes: Sequence[int],
    body: Steps,
) -> None:
    """Add a row-wise operator from `source` to `output` over the given normalised axes."""
    shape = builder.shape(source)
    roles: list[Role] = ["normalised" if d in axes else "parallel" for d in range(len(shape))]
    dims = plain_dims(shape)
    expression = TensorExpression(
        kernel="rowwise",
        axes=plain_axes(shape, roles),
        inputs=(Operand("A", dims),),
        output=Operand("C", dims),
        body=body,
    )
    builder.compute(suffix, expression, (source,), output)


def _add_scaled(
    builder: GraphBuilder,
    node: ResolvedNode,
    axes: Sequence[int],
    body: Steps,
    scale_at: int | None,
) -> None:
    """A row-wise operator, then scale and bias (inputs 1 and 2) as steps that fusion takes in.

    `scale_at` is the dimension where scale and bias begin, None if they are aligned right.
    """
    output = node.outputs[0]
    scale, bias = argument(node, 1), argument(node, 2)
    if not scale and not bias:
        return add_rowwise(builder, "", node.inputs[0], output, axes, body)
    normalised = builder.temporary("normalised", builder.shape(output), output)
    add_rowwise(builder, "", node.inputs[0], normalised, axes, body)
    arguments: list[Argument] = [broadcast(builder, normalised, output)]
    steps: list[Step] = []
    for op, tensor in (("Mul", scale), ("Add", bias)):
        if tensor:
            previous: int | str = f"s{len(steps) - 1}" if steps else 0
            steps.append(Step(op, (previous, len(arguments))))
            arguments.append(broadcast(builder, tensor, output, scale_at))
    return add_pointwise(builder, "scale", output, arguments, steps)


def _row_axes(builder: GraphBuilder, node: ResolvedNode, default: int) -> tuple[int, ...]:
    """`axes` if a pattern set it, else all dimensions from `axis` on."""
    rank = len(builder.shape(node.inputs[0]))
    axes = integers(node, "axes")
    if axes is None:
        axes = tuple(range(integer(node, "axis", default) % max(rank, 1), rank))
    return normalise_axes(axes, rank)


@lowers("LayerNormalization", "RMSNormalization")
def lower_layer_norm(builder: GraphBuilder, node: ResolvedNode) -> None:
    """Layer or RMS normalisation, as one node or spelled out by several."""
    epsilon = repr(number(node, "epsilon", 1e-5))
    build = layer_norm_steps if node.op_type == "LayerNormalization" else rms_norm_steps
    axes = _row_axes(builder, node, -1)
    if node.outputs[0]:
        _add_scaled(builder, node, axes, build(epsilon), None)
    add_statistics(builder, node, axes, epsilon)


@lowers("InstanceNormalization")
def lower_instance_norm(builder: GraphBuilder, node: ResolvedNode) -> None:
    """Normalisation of each channel of each sample over its spatial dimensions."""
    rank = len(builder.shape(node.inputs[0]))
    body = layer_norm_steps(repr(number(node, "epsilon", 1e-5)))
    _add_scaled(builder, node, range(2, rank), body, 1)


@lowers("GroupNormalization")
def lower_group_norm(builder: GraphBuilder, node: ResolvedNode) -> None:
    """Normalisation over a group's channels and all spatial dimensions, then scale and bias."""
    source, output = node.inputs[0], node.outputs[0]
    shape, groups = builder.shape(source), integer(node, "num_groups", 1)
    rows = (shape[0], groups, math.prod(shape[1:]) // groups)
    grouped = builder.temporary("grouped", rows, source)
    normalised = builder.temporary("rows", rows, source)
    body = layer_norm_steps(repr(number(node, "epsilon", 1e-5)))
    builder.reshape(source, grouped, "group")
    add_rowwise(builder, "", grouped, normalised, (2,), body)
    restored = builder.temporary("normalised", shape, source)
    builder.reshape(normalised, restored, "ungroup")
    arguments = [broadcast(builder, restored, output)]
    arguments += [broadcast(builder, tensor, output, first=1) for tensor in node.inputs[1:3]]
    affine = [Step("Mul", (0, 1)), Step("Add", ("s0", 2))]
    add_pointwise(builder, "scale", output, arguments, affine)


_SOFTMAX: dict[str, Callable[[], Steps]] = {
    "Softmax": softmax_steps,
    "LogSoftmax": log_softmax_steps,
}


@lowers(*_SOFTMAX)
def lower_softmax(builder: GraphBuilder, node: ResolvedNode) -> None:
    """Softmax over one axis; before opset 13 over all dimensions from the axis on."""
    if "axes" in node.attributes or builder.opset < 13:
        axes = _row_axes(builder, node, 1)
    else:
        rank = len(builder.shape(node.inputs[0]))
        axes = normalise_axes((integer(node, "axis", -1),), rank)
    steps = _SOFTMAX[node.op_type]()
    add_rowwise(builder, "", node.inputs[0], node.outputs[0], axes, steps)


@lowers("CumSum", "CumProd")
def lower_cumsum(builder: GraphBuilder, node: ResolvedNode) -> None:
    """Running sum or product along one axis."""
    source, output = node.inputs[0], node.outputs[0]
    shape = builder.shape(source)
    axis = int(builder.constant(node.inputs[1], "axis").reshape(-1)[0])
    axes = normalise_axes((axis,), len(shape))
    if shape[axes[0]] == 1:
        if integer(node, "exclusive", 0):
            return Composer(builder).constant(node.op_type == "CumProd", output)
        return builder.reshape(source, output)
    options = tuple((name, integer(node, name, 0)) for name in ("exclusive", "reverse"))
    steps = (ScalarStep(node.op_type, ("A",), options),)
    return add_rowwise(builder, "", source, output, axes, steps)


@lowers("LRN")
def lower_lrn(builder: GraphBuilder, node: ResolvedNode) -> None:
    """a / (bias + alpha / size * sum of squares over neighbouring channels) ** beta."""
    size = integer(node, "size", 1)
    scale = repr(number(node, "alpha", 1e-4) / size)
    steps = (
        ScalarStep("Mul", ("A", "A")),
        ScalarStep("WindowSum", ("s0",), (("size", size),)),
        ScalarStep("Mul", ("s1", scale)),
        ScalarStep("Add", ("s2", repr(number(node, "bias", 1.0)))),
        ScalarStep("Pow", ("s3", repr(number(node, "beta", 0.75)))),
        ScalarStep("Div", ("A", "s4")),
    )
    add_rowwise(builder, "", node.inputs[0], node.outputs[0], (1,), steps)


@lowers("BatchNormalization")
def lower_batch_norm(builder: GraphBuilder, node: ResolvedNode) -> None:
    """a * scale + shift per channel, both derived from the node's four weights."""
    if integer(node, "training_mode", 0):
        return add_training_batch_norm(builder, node)
    if any(node.outputs[1:]):
        raise LoweringError("training mode is not supported before opset 14")
    output, parameters = node.outputs[0], node.inputs[1:5]
    channels = builder.shape(parameters[0])  # of each element, if opset 7 says spatial=0
    kind = builder.element_type(node.inputs[1])
    epsilon = number(node, "epsilon", 1e-5)
    arguments = [broadcast(builder, node.inputs[0], output)]
    if not all(builder.is_weight(tensor) for tensor in parameters):
        return _add_batch_norm(builder, node, arguments, repr(epsilon))
    for suffix, formula in (("scale", _batch_norm_scale), ("shift", _batch_norm_shift)):
        weight = builder.derived_weight(
            suffix, channels, kind, partial(formula, epsilon), parameters
        )
        arguments.append(broadcast(builder, weight, output, first=1))
    steps = [Step("Mul", (0, 1)), Step("Add", ("s0", 2))]
    return add_pointwise(builder, "", output, arguments, steps)


def _add_batch_norm(
    builder: GraphBuilder, node: ResolvedNode, arguments: list[Argument], epsilon: str
) -> None:
    """(a - mean) / sqrt(variance + epsilon) * gamma + beta, of parameters that are data."""
    output = node.outputs[0]
    arguments += [broadcast(builder, tensor, output, first=1) for tensor in node.inputs[1:5]]
    steps = [
        Step("Add", (4, epsilon)),
        Step("Sqrt", ("s0",)),
        Step("Sub", (0, 3)),
        Step("Div", ("s2", "s1")),
        Step("Mul", ("s3", 1)),
        Step("Add", ("s4", 2)),
    ]
    add_pointwise(builder, "", output, arguments, steps)


def _batch_norm_scale(
    epsilon: float, gamma: np.ndarray, beta: np.ndarray, mean: np.ndarray, variance: np.ndarray
) -> np.ndarray:
    """gamma / sqrt(variance + epsilon)."""
    scale: np.ndarray = (gamma / np.sqrt(variance + epsilon)).astype(gamma.dtype)
    return scale


def _batch_norm_shift(
    epsilon: float, gamma: np.ndarray, beta: np.ndarray, mean: np.ndarray, variance: np.ndarray
) -> np.ndarray:
    """beta - mean * scale."""
    shift: np.ndarray = beta - mean * (gamma / np.sqrt(variance + epsilon))
    return shift.astype(gamma.dtype)
