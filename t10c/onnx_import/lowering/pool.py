"""Pools: as Conv without a kernel operand, in max, mean or sum over the elements of the window.

Padding takes no part in any of them; where the standard counts it (count_include_pad), a mean is
the sum times 1 / count: a constant, or a weight where windows reach beyond the padding. An Lp pool
is the root of the sum of powers.
"""

import math

import numpy as np

from t10c.ir.expression import Dim, Operand, ReduceOp, ScalarStep, TensorExpression
from t10c.onnx_import.attributes import check_enumerable, integer, integers, number, result
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.compose import Composer
from t10c.onnx_import.lowering.dims import AxisList, Shape
from t10c.onnx_import.lowering.elementwise import Step, add_pointwise, broadcast
from t10c.onnx_import.lowering.pool_indices import add_indices
from t10c.onnx_import.lowering.reduce import add_reduce
from t10c.onnx_import.lowering.window import Window, read_window, window_dims
from t10c.onnx_import.registry import lowers
from t10c.onnx_import.resolved import ResolvedNode


def pool_expression(
    source: Shape,
    target: Shape,
    window: Window,
    reduce_op: ReduceOp,
    epilogue: tuple[ScalarStep, ...] = (),
) -> TensorExpression:
    """A reduction over windows of each channel."""
    axes = AxisList()
    b = Dim(axes.add("b", source[0], "parallel"), source[0])
    c = Dim(axes.add("c", source[1], "parallel"), source[1])
    spatial = window_dims(axes, window, source[2:], target[2:])
    return TensorExpression(
        kernel="pool",
        axes=axes.axes,
        inputs=(Operand("I", (b, c, *spatial.source)),),
        output=Operand("O", (b, c, *spatial.target)),
        body=(ScalarStep("Identity", ("I",)),),
        reduce_op=reduce_op,
        epilogue=epilogue,
    )


def _window(builder: GraphBuilder, node: ResolvedNode) -> tuple[Shape, Shape, Window]:
    """Shapes of the source and of what the node makes, and its window."""
    output = next((name for name in node.outputs if name), "")
    source, target = builder.shape(node.inputs[0]), builder.shape(output)
    kernel = integers(node, "kernel_shape") or ()
    return source, target, read_window(node, kernel, source[2:], target[2:])


@lowers("MaxPool")
def lower_max_pool(builder: GraphBuilder, node: ResolvedNode) -> None:
    """The largest element of every window; its position by a gather and an ArgMax of windows."""
    source, target, window = _window(builder, node)
    if values := result(node, 0):
        expression = pool_expression(source, target, window, "max")
        builder.compute("", expression, node.inputs[:1], values)
    if indices := result(node, 1):
        column_major = bool(integer(node, "storage_order", 0))
        add_indices(builder, node.inputs[0], indices, window, column_major)


@lowers("AveragePool")
def lower_average_pool(builder: GraphBuilder, node: ResolvedNode) -> None:
    """The mean of every window; with counted padding its sum times a constant or a weight."""
    source, target, window = _window(builder, node)
    data, output = node.inputs[0], node.outputs[0]
    padded = any(window.pads_begin + window.pads_end)
    if not (padded and integer(node, "count_include_pad", 0)):
        return builder.compute("", pool_expression(source, target, window, "mean"), (data,), output)
    if not window.overhang(source[2:], target[2:]):
        scale = ScalarStep("Mul", ("acc", repr(1.0 / math.prod(window.kernel))))
        expression = pool_expression(source, target, window, "sum", (scale,))
        return builder.compute("", expression, (data,), output)
    total = builder.temporary("sum", target, output)
    builder.compute("", pool_expression(source, target, window, "sum"), (data,), total)
    kind = builder.element_type(output)
    share = _shares(window, source[2:], target[2:])
    weight = builder.derived_weight("share", share.shape, kind, lambda: share.astype(kind))
    arguments = [broadcast(builder, total, output), broadcast(builder, weight, output)]
    return add_pointwise(builder, "scale", output, arguments, [Step("Mul", (0, 1))])


def _shares(window: Window, source: Shape, target: Shape) -> np.ndarray:
    """1 / number of elements of each window within the padded input."""
    check_enumerable(math.prod(target), "windows")
    counts = np.ones(())
    for size, n, k, s, d, begin, end in zip(
        source, target, window.kernel, window.strides, window.dilations,
        window.pads_begin, window.pads_end, strict=True,
    ):  # fmt: skip
        check_enumerable(n * k, "elements of windows")
        positions = s * np.arange(n)[:, None] + d * np.arange(k)
        inside = positions < begin + size + end
        counts = counts[..., None] * inside.sum(axis=1)
    return np.asarray(1.0 / counts)


@lowers("LpPool")
def lower_lp_pool(builder: GraphBuilder, node: ResolvedNode) -> None:
    """The p-norm of every window: powers, their sum, the root."""
    source, target, window = _window(builder, node)
    p = number(node, "p", 2.0)
    powers = _powers(builder, node.inputs[0], p)
    expression = pool_expression(source, target, window, "sum", _root(p))
    builder.compute("", expression, (powers,), node.outputs[0])


@lowers("GlobalLpPool")
def lower_global_lp_pool(builder: GraphBuilder, node: ResolvedNode) -> None:
    """The p-norm of each channel: powers, their sum over all spatial dimensions, the root."""
    p = number(node, "p", 2.0)
    powers = _powers(builder, node.inputs[0], p)
    shape, rank = builder.shape(powers), len(builder.shape(powers))
    Composer(builder).reduce(
        "", shape, range(2, rank), "", [(powers, range(rank))], [Step("Identity", (0,))], "sum",
        into=node.outputs[0], epilogue=_root(p),
    )  # fmt: skip


def _powers(builder: GraphBuilder, data: str, p: float) -> str:
    """|x| to the power of p."""
    steps = [Step("Abs", (0,)), Step("Pow", ("s0", repr(p)))]
    if p in (1.0, 2.0):
        steps = [Step("Abs", (0,))] if p == 1.0 else [Step("Mul", (0, 0))]
    kind = builder.element_type(data)
    return Composer(builder).pointwise("powers", builder.shape(data), kind, [data], steps)


def _root(p: float) -> tuple[ScalarStep, ...]:
    if p == 1.0:
        return ()
    if p == 2.0:
        return (ScalarStep("Sqrt", ("acc",)),)
    return (ScalarStep("Pow", ("acc", repr(1.0 / p))),)


@lowers("GlobalAveragePool", "GlobalMaxPool")
def lower_global_pool(builder: GraphBuilder, node: ResolvedNode) -> None:
    """A reduction over all spatial dimensions."""
    rank = len(builder.shape(node.inputs[0]))
    reduce_op: ReduceOp = "max" if node.op_type == "GlobalMaxPool" else "mean"
    add_reduce(builder, node, tuple(range(2, rank)), reduce_op)
