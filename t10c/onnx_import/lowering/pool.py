"""Pools: as Conv without a kernel operand, in max or mean over the elements of the window.

Padding takes no part in either; where the standard counts it (count_include_pad), a mean is the sum
times the constant 1 / window.
"""

import math

from t10c.ir.expression import Dim, Operand, ReduceOp, ScalarStep, TensorExpression
from t10c.onnx_import.attributes import LoweringError, integer, integers, result
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.dims import AxisList, Shape
from t10c.onnx_import.lowering.reduce import add_reduce
from t10c.onnx_import.lowering.registry import lowers
from t10c.onnx_import.lowering.window import Window, read_window, window_dims
from t10c.onnx_import.resolved import ResolvedNode


def pool_expression(
    source: Shape, target: Shape, window: Window, reduce_op: ReduceOp
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
    )


@lowers("MaxPool", "AveragePool")
def lower_pool(builder: GraphBuilder, node: ResolvedNode) -> None:
    """A pool over sliding windows."""
    if result(node, 1):
        raise LoweringError("its second output (indices) is not supported")
    source, target = builder.shape(node.inputs[0]), builder.shape(node.outputs[0])
    kernel = integers(node, "kernel_shape") or ()
    window = read_window(node, kernel, source[2:], target[2:])
    reduce_op: ReduceOp = "max" if node.op_type == "MaxPool" else "mean"
    padded = any(window.pads_begin + window.pads_end)
    counts_padding = reduce_op == "mean" and padded and integer(node, "count_include_pad", 0)
    if not counts_padding:
        expression = pool_expression(source, target, window, reduce_op)
    else:
        if window.overhang(source[2:], target[2:]):
            raise LoweringError("count_include_pad and ceil_mode together are not supported")
        total = pool_expression(source, target, window, "sum")
        scale = ScalarStep("Mul", ("acc", repr(1.0 / math.prod(kernel))))
        expression = TensorExpression(
            total.kernel, total.axes, total.inputs, total.output, total.body, "sum", (scale,)
        )
    builder.compute("", expression, node.inputs[:1], node.outputs[0])


@lowers("GlobalAveragePool", "GlobalMaxPool")
def lower_global_pool(builder: GraphBuilder, node: ResolvedNode) -> None:
    """A reduction over all spatial dimensions."""
    rank = len(builder.shape(node.inputs[0]))
    reduce_op: ReduceOp = "max" if node.op_type == "GlobalMaxPool" else "mean"
    add_reduce(builder, node, tuple(range(2, rank)), reduce_op)
