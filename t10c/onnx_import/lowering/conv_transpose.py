"""ConvTranspose as a convolution that computes all phases of the output side by side.

Along one dimension, output j gathers input i through kernel element k where

    j + pad = stride * i + dilation * k

With j + pad = stride * q + r, every phase r of the output is an ordinary convolution over the
positions q, with every stride-th element of the flipped kernel. The phases stand beside the output
channels; a reshape interleaves them, and a slice drops what the padding cuts off:

    I[b,c,q] conv K[(o,r),c,t]  ->  O[b,o,q,r]  ->  O[b,o,(q r)]  ->  O[b,o,j]

No multiplication with an inserted zero is made, as a convolution over the dilated input would.
Where the kernel is as long as the stride there is one tap per phase: a matmul that reads the
model's own weight. transposed_kernel.py makes the kernel of all other cases.
"""

from collections.abc import Sequence

from t10c.ir.expression import Dim, Operand, ScalarStep, TensorExpression
from t10c.onnx_import.attributes import LoweringError, argument, integer, integers, text
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.dims import AxisList, Shape, scaled
from t10c.onnx_import.lowering.elementwise import Step, add_pointwise, broadcast
from t10c.onnx_import.lowering.matmul import product_expression
from t10c.onnx_import.lowering.transposed_kernel import TransposedAxis, phase_kernel
from t10c.onnx_import.lowering.window import Window, window_dims
from t10c.onnx_import.registry import lowers
from t10c.onnx_import.resolved import ResolvedNode


def transposed_axes(
    node: ResolvedNode, source: Shape, weight: Shape, target: Shape
) -> tuple[TransposedAxis, ...]:
    """The spatial dimensions of a ConvTranspose from attributes and whole shapes."""
    rank = len(source) - 2
    strides = integers(node, "strides") or (1,) * rank
    dilations = integers(node, "dilations") or (1,) * rank
    pads = integers(node, "pads") or (0,) * (2 * rank)
    extra = integers(node, "output_padding") or (0,) * rank
    mode = text(node, "auto_pad", "NOTSET")
    if {len(strides), len(dilations), len(extra), len(pads) // 2, len(weight) - 2} != {rank}:
        raise LoweringError(f"its window attributes do not fit {rank} spatial dimensions")
    if mode == "VALID":
        pads = (0,) * (2 * rank)
    elif mode in ("SAME_UPPER", "SAME_LOWER") or integers(node, "output_shape"):
        # The standard derives the padding from the output's size; half of it is at the start.
        full = (
            s * (n - 1) + e + d * (k - 1) + 1
            for s, n, e, d, k in zip(strides, source[2:], extra, dilations, weight[2:], strict=True)
        )
        total = [max(0, size - n) for size, n in zip(full, target[2:], strict=True)]
        pads = tuple(pad // 2 if mode == "SAME_UPPER" else -(-pad // 2) for pad in total)
    return tuple(
        TransposedAxis(*sizes)
        for sizes in zip(
            source[2:], target[2:], weight[2:], strides, dilations, pads[:rank], strict=True
        )
    )


@lowers("ConvTranspose")
def lower_conv_transpose(builder: GraphBuilder, node: ResolvedNode) -> None:
    """All phases of the output, the bias as a step that fusion takes in, then the interleaving."""
    source, weight = builder.shape(node.inputs[0]), builder.shape(node.inputs[1])
    output, bias = node.outputs[0], argument(node, 2)
    target = builder.shape(output)
    groups = integer(node, "group", 1)
    if source[1] != weight[0] or weight[0] % groups:
        raise LoweringError(
            f"{source[1]} input channels, weight {list(weight)} and {groups} groups do not match"
        )
    axes = transposed_axes(node, source, weight, target)
    kernel = node.inputs[1]
    if groups == 1 and all(axis.is_blocks for axis in axes):
        expression = _block_expression(source, weight, axes)
    else:
        expression = _phase_expression(source, weight, groups, axes)
        shape = tuple(dim.size for dim in expression.inputs[1].dims)
        kernel = phase_kernel(builder, kernel, groups, axes, shape)
    phases = tuple(dim.size for dim in expression.output.dims)
    joined = (*target[:2], *(axis.count * axis.stride for axis in axes))
    result = output if phases == target else builder.temporary("phases", phases, output)
    total = builder.temporary("sum", phases, output) if bias else result
    builder.compute("", expression, (node.inputs[0], kernel), total)
    if bias:
        arguments = [broadcast(builder, total, result), broadcast(builder, bias, result, first=1)]
        add_pointwise(builder, "bias", result, arguments, [Step("Add", (0, 1))])
    if result == output:
        return
    whole = output if joined == target else builder.temporary("joined", joined, output)
    builder.reshape(result, whole, "join")
    if whole != output:
        starts = (0, 0, *(axis.skipped for axis in axes))
        builder.slice(whole, output, starts, (1,) * len(target), "crop")


def _names(axes: Sequence[TransposedAxis]) -> tuple[str, ...]:
    return Window(tuple(axis.taps for axis in axes), (), (), (), ()).names


def _interleaved(
    positions: Sequence[Dim], phases: Sequence[Dim], axes: Sequence[TransposedAxis]
) -> tuple[Dim, ...]:
    """(q0, r0, q1, r1, ...), without the phases of dimensions of stride 1."""
    pairs = zip(positions, phases, axes, strict=True)
    return tuple(d for q, r, axis in pairs for d in ((q, r) if axis.stride > 1 else (q,)))


def _block_expression(
    source: Shape, weight: Shape, axes: Sequence[TransposedAxis]
) -> TensorExpression:
    """C[b,o,h,kh,w,kw] += A[b,c,h,w] * B[c,o,kh,kw]."""
    names, declared = _names(axes), AxisList()
    b = Dim(declared.add("b", source[0], "m"), source[0])
    h = [Dim(declared.add(n, a.source, "m"), a.source) for n, a in zip(names, axes, strict=True)]
    o = Dim(declared.add("o", weight[1], "n"), weight[1])
    k = [
        Dim(declared.add(f"k{n}", a.kernel, "n"), a.kernel)
        for n, a in zip(names, axes, strict=True)
    ]
    c = Dim(declared.add("c", weight[0], "k", reduction=True), weight[0])
    return product_expression(declared, (b, c, *h), (c, o, *k), (b, o, *_interleaved(h, k, axes)))


def _phase_expression(
    source: Shape, weight: Shape, groups: int, axes: Sequence[TransposedAxis]
) -> TensorExpression:
    """O[b,o,q,r] += I[b,c,q + first + t - (taps - 1)] * K[o,r,c,t], along every dimension."""
    batch, channels, outputs = source[0], weight[0] // groups, weight[1]
    declared = AxisList()
    b = Dim(declared.add("b", batch, "batch"), batch)
    g = declared.add("g", groups, "group")
    o = declared.add("o", outputs, "out_channel")
    phases = [
        Dim(declared.add(f"r{name}", axis.stride, "out_channel"), axis.stride)
        for name, axis in zip(_names(axes), axes, strict=True)
    ]
    c = declared.add("c", channels, "in_channel", reduction=True)
    window = Window(
        kernel=tuple(axis.taps for axis in axes),
        strides=(1,) * len(axes),
        dilations=tuple(axis.tap_distance for axis in axes),
        pads_begin=tuple((axis.taps - 1) * axis.tap_distance - axis.first for axis in axes),
        pads_end=(0,) * len(axes),
    )
    spatial = window_dims(declared, window, source[2:], tuple(axis.count for axis in axes))
    out_channel = Dim(scaled(g, outputs) + o, groups * outputs)
    in_channel = Dim(scaled(g, channels) + c, groups * channels)
    cut = [phase for phase, axis in zip(phases, axes, strict=True) if axis.stride > 1]
    return TensorExpression(
        kernel="conv",
        axes=declared.axes,
        inputs=(
            Operand("I", (b, in_channel, *spatial.source)),
            Operand("K", (out_channel, *cut, Dim(c, channels), *spatial.kernel)),
        ),
        output=Operand("O", (b, out_channel, *_interleaved(spatial.target, phases, axes))),
        body=(ScalarStep("Mul", ("I", "K")),),
        reduce_op="sum",
    )
