"""com.microsoft: weights of 2, 4 or 8 bits that are packed into bytes, with scales in blocks.

The planned weight is a matrix of its own width; its dequantisation is part of the reader's body.
"""

from dataclasses import replace

import numpy as np
from onnx import TensorProto, helper

from t10c.ir.expression import Dim, Operand, ScalarStep, TensorExpression
from t10c.onnx_import.attributes import LoweringError, argument, integer
from t10c.onnx_import.expansion import Expansion
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.compose import Composer, Placed
from t10c.onnx_import.lowering.dims import AxisList, Shape
from t10c.onnx_import.lowering.elementwise import Step, add_pointwise, broadcast
from t10c.onnx_import.lowering.gather import gather_expression
from t10c.onnx_import.lowering.quantised import AS_FLOAT, lower_dequantize, quantising_steps
from t10c.onnx_import.names import MICROSOFT
from t10c.onnx_import.registry import infers, lowers
from t10c.onnx_import.resolved import ResolvedNode
from t10c.onnx_import.tensors import TensorFact


def unpacked(packed: np.ndarray, bits: int, length: int) -> np.ndarray:
    """The entries of `bits` bits along the last dimension of bytes, lowest bits first."""
    per_byte = 8 // bits
    shifts = np.arange(per_byte, dtype=np.uint8) * bits
    entries = (packed[..., None] >> shifts) & (2**bits - 1)
    flat = entries.reshape(*packed.shape[:-1], packed.shape[-1] * per_byte)
    result: np.ndarray = flat[..., :length].astype(_kind(bits))
    return result


@infers("MatMulNBits", domain=MICROSOFT)
def infer_matmul_nbits(call: Expansion) -> list[TensorFact | None]:
    """The left operand's shape with N columns."""
    left = call.fact(0)
    return [TensorFact(left.element_type, (*left.shape[:-1], call.attribute("N", 0)))]


@lowers("MatMulNBits", domain=MICROSOFT)
def lower_matmul_nbits(builder: GraphBuilder, node: ResolvedNode) -> None:
    """A matmul whose weight is stored in 2, 4 or 8 bits and dequantised in its body.

    With accuracy_level 4 the left operand is quantised to int8, block by block.
    """
    columns, depth = integer(node, "N", 0), integer(node, "K", 0)
    bits, block = integer(node, "bits", 4), integer(node, "block_size", 32)
    if bits not in (2, 4, 8):
        raise LoweringError(f"weights of {bits} bits are not supported, only 2, 4 and 8")
    if argument(node, 4):
        raise LoweringError("groups by index (g_idx) are not supported")
    blocks = -(-depth // block)
    weight = _matrix(builder, node.inputs[1], "weight", (columns, depth), bits)
    scale = _as_matrix(builder, node.inputs[2], (columns, blocks))
    tensors, left_scale = [node.inputs[0], weight, scale], ""
    point = f"{2 ** (bits - 1)}"
    zero = argument(node, 3)
    if zero:
        point = "F1"
        if builder.element_type(zero) == "uint8":
            tensors.append(_matrix(builder, zero, "zero_point", (columns, blocks), bits))
        else:
            tensors.append(_as_matrix(builder, zero, (columns, blocks)))
    output, bias = node.outputs[0], argument(node, 5)
    result = builder.temporary("product", builder.shape(output), output) if bias else output
    if _left_in_codes(builder, node, bits, block):
        tensors[0], left_scale = _left_codes(builder, tensors[0], blocks, block)
        tensors.append(left_scale)
    sizes = (columns, depth, block)
    expression = _expression(builder.shape(tensors[0]), sizes, point, bool(left_scale))
    builder.compute("", expression, tensors, result)
    if bias:
        arguments = [broadcast(builder, tensor, output) for tensor in (result, bias)]
        add_pointwise(builder, "bias", output, arguments, [Step("Add", (0, 1))])


def _left_in_codes(builder: GraphBuilder, node: ResolvedNode, bits: int, block: int) -> bool:
    """Whether the left operand is quantised: if asked for, and ONNX Runtime has the kernel."""
    zero = argument(node, 3)
    kernel = bits in (4, 8) or block in (32, 64, 128)
    whole = not zero or builder.element_type(zero) == "uint8"
    return integer(node, "accuracy_level", 0) == 4 and kernel and whole


def _left_codes(builder: GraphBuilder, left: str, blocks: int, block: int) -> tuple[str, str]:
    """A left operand [..., k] as int8 [..., blocks * block], and its scales [..., blocks].

    The scale of a block is its largest magnitude over 127; beyond k there are zeros.
    """
    compose, kind = Composer(builder), builder.element_type(left)
    rows = builder.shape(left)[:-1]
    whole = compose.pad("left.padded", left, (*rows, blocks * block))
    cut = compose.reshape("left.blocks", whole, (*rows, blocks, block))
    shape, last = builder.shape(cut), len(rows) + 1
    dims = range(len(shape))
    largest = compose.reduce(
        "left.max", shape, (last,), kind, [(cut, dims)], [Step("Abs", (0,))], "max"
    )
    steps = [
        Step("Equal", (0, "0.0")),
        Step("Where", ("s0", "1.0", 0)),
        Step("Div", ("s1", "127.0")),
    ]
    scale = compose.pointwise("left.scale", (*rows, blocks), kind, [largest], steps)
    tensors: list[str | Placed] = [cut, (scale, dims[:-1])]
    quantise = [Step("Div", (0, 1)), *quantising_steps("int8", "s0", "", first=1)]
    codes = compose.pointwise("left.codes", shape, "int8", tensors, quantise)
    return compose.reshape("left.stored", codes, (*rows, blocks * block)), scale


@infers("GatherBlockQuantized", domain=MICROSOFT)
def infer_gather_block_quantized(call: Expansion) -> list[TensorFact | None]:
    """The rows that the indices name, as wide as the scales."""
    data, index, scales = (call.fact(i) for i in range(3))
    axis = call.attribute("gather_axis", 0) % len(data.shape)
    shape = [*data.shape]
    if call.element_type(0) == "uint8":
        shape[-1] *= 8 // call.attribute("bits", 4)
    shape[axis : axis + 1] = index.shape
    return [TensorFact(scales.element_type, tuple(shape))]


@lowers("GatherBlockQuantized", domain=MICROSOFT)
def lower_gather_block_quantized(builder: GraphBuilder, node: ResolvedNode) -> None:
    """Rows of a narrow table selected by an index tensor, then dequantised."""
    data, index, scales = node.inputs[:3]
    zero, output = argument(node, 3), node.outputs[0]
    bits, shape = integer(node, "bits", 4), builder.shape(data)
    if builder.element_type(data) == "uint8":
        shape = (*shape[:-1], shape[-1] * 8 // bits)
        data = _entries(builder, data, "table", shape, bits)
        points = builder.shape(scales)
        if zero:
            zero = _entries(builder, zero, "zero_point", points, bits)
        else:
            middle = np.full(points, 2 ** (bits - 1), np.uint8)
            zero = builder.derived_weight(
                "zero_point", points, f"uint{bits}", lambda: middle.astype(_kind(bits))
            )
    wide = builder.temporary("wide", shape, scales)
    names = tuple(name for name in (data, scales, zero) if name)
    attributes = {
        "axis": integer(node, "quantize_axis", 1),
        "block_size": integer(node, "block_size", 128),
    }
    widening = ResolvedNode(node.name, "DequantizeLinear", "", names, (wide,), attributes)
    lower_dequantize(builder, widening)
    axis = integer(node, "gather_axis", 0) % len(shape)
    expression = gather_expression(shape, builder.shape(index), axis)
    builder.compute("rows", expression, (wide, index), output)


def _entries(builder: GraphBuilder, packed: str, name: str, shape: Shape, bits: int) -> str:
    """Bytes along the last dimension as entries of their own width."""

    def unpack(value: np.ndarray) -> np.ndarray:
        return unpacked(value, bits, shape[-1])

    return builder.derived_weight(name, shape, f"uint{bits}", unpack, (packed,))


def _kind(bits: int) -> np.dtype:
    return helper.tensor_dtype_to_np_dtype(TensorProto.DataType.Value(f"UINT{bits}"))


def _matrix(builder: GraphBuilder, packed: str, name: str, shape: Shape, bits: int) -> str:
    """Packed rows as a matrix of entries of their own width."""
    rows, length = shape

    def unpack(value: np.ndarray) -> np.ndarray:
        return unpacked(value.reshape(rows, -1), bits, length)

    return builder.derived_weight(name, shape, f"uint{bits}", unpack, (packed,))


def _as_matrix(builder: GraphBuilder, tensor: str, shape: Shape) -> str:
    """A weight of as many elements as a matrix."""
    if builder.shape(tensor) == shape:
        return tensor
    kind = builder.element_type(tensor)
    suffix = f"{tensor.rpartition('/')[2]}.matrix"
    return builder.derived_weight(suffix, shape, kind, lambda v: v.reshape(shape), (tensor,))


def _expression(
    left: Shape, sizes: tuple[int, int, int], point: str, scaled: bool
) -> TensorExpression:
    """C[m,n] += A[m,block*kb+ke] * (B[n,block*kb+ke] - z[n,kb]) * s[n,kb].

    `sizes` are columns, depth and block. If `scaled`, A has a scale too, [m,kb].
    """
    columns, depth, block = sizes
    axes = AxisList()
    blocks = -(-depth // block)
    m = [Dim(axes.add(f"m{d}", size, "m"), size) for d, size in enumerate(left[:-1])]
    n = Dim(axes.add("n", columns, "n"), columns)
    kb = axes.add("kb", blocks, "k", reduction=True)
    ke = axes.add("ke", min(block, depth), "k", reduction=True)
    k = Dim((*((axis, block) for axis, _ in kb), *ke), depth)
    per_block = (n, Dim(kb, blocks))
    stored = (*m, replace(k, size=left[-1]))
    inputs = [Operand("A", stored), Operand("B", (n, k)), Operand("F0", per_block, fused=True)]
    if point == "F1":
        inputs.append(Operand("F1", per_block, fused=True))
    body = [ScalarStep("Sub", ("B", point), AS_FLOAT), ScalarStep("Mul", ("s0", "F0"), AS_FLOAT)]
    factor = "A"
    if scaled:
        name, factor = f"F{len(inputs) - 2}", "s2"
        inputs.append(Operand(name, (*m, Dim(kb, blocks)), fused=True))
        body.append(ScalarStep("Mul", ("A", name), AS_FLOAT))
    return TensorExpression(
        kernel="matmul",
        axes=axes.axes,
        inputs=tuple(inputs),
        output=Operand("C", (*m, n)),
        body=(*body, ScalarStep("Mul", (factor, "s1"), AS_FLOAT)),
        reduce_op="sum",
    )
