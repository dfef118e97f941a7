"""Conv: O[b,o,h,w] += I[b,c,sh*h+dh*kh,sw*w+dw*kw] * K[o,c,kh,kw], in 1 to 3 dimensions."""

from t10c.ir.expression import Dim, Operand, ScalarStep, TensorExpression
from t10c.onnx_import.attributes import DamagedNodeError, argument, integer
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.dims import AxisList, Shape, scaled
from t10c.onnx_import.lowering.elementwise import Step, add_pointwise, broadcast
from t10c.onnx_import.lowering.window import Window, read_window, window_dims
from t10c.onnx_import.registry import lowers
from t10c.onnx_import.resolved import ResolvedNode


def conv_expression(
    source: Shape, weight: Shape, target: Shape, groups: int, window: Window
) -> TensorExpression:
    """The expression of a grouped convolution; channel = group * channels_per_group + c."""
    batch, channels = source[:2]
    outputs = weight[0]
    if groups < 1 or channels != weight[1] * groups or outputs % groups:
        raise DamagedNodeError(
            f"{channels} input channels, weight {list(weight)} and {groups} groups do not match"
        )
    axes = AxisList()
    b = axes.add("b", batch, "batch")
    g = axes.add("g", groups, "group")
    o = axes.add("o", outputs // groups, "out_channel")
    c = axes.add("c", channels // groups, "in_channel", reduction=True)
    spatial = window_dims(axes, window, source[2:], target[2:])
    out_channel = Dim(scaled(g, outputs // groups) + o, outputs)
    in_channel = Dim(scaled(g, channels // groups) + c, channels)
    return TensorExpression(
        kernel="conv",
        axes=axes.axes,
        inputs=(
            Operand("I", (Dim(b, batch), in_channel, *spatial.source)),
            Operand("K", (out_channel, Dim(c, weight[1]), *spatial.kernel)),
        ),
        output=Operand("O", (Dim(b, batch), out_channel, *spatial.target)),
        body=(ScalarStep("Mul", ("I", "K")),),
        reduce_op="sum",
    )


@lowers("Conv")
def lower_conv(builder: GraphBuilder, node: ResolvedNode) -> None:
    """Convolution, its bias as a step that fusion takes in."""
    source, weight = builder.shape(node.inputs[0]), builder.shape(node.inputs[1])
    output, bias = node.outputs[0], argument(node, 2)
    target = builder.shape(output)
    window = read_window(node, weight[2:], source[2:], target[2:])
    expression = conv_expression(source, weight, target, integer(node, "group", 1), window)
    result = builder.temporary("sum", target, output) if bias else output
    builder.compute("", expression, node.inputs[:2], result)
    if bias:
        arguments = [broadcast(builder, result, output), broadcast(builder, bias, output, first=1)]
        add_pointwise(builder, "bias", output, arguments, [Step("Add", (0, 1))])
