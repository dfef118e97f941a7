"""Products of stored integers: C[m,n] += (A[m,k] - a0) * (B[k,n] - b0), and convolutions alike.

The narrow operands are what is stored and moved. Zero points that are not known to be 0 are
subtracted in the body; padding contributes nothing, which is what the standard's padding with the
zero point amounts to.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from t10c.ir.expression import Dim, Operand, ScalarStep, TensorExpression
from t10c.onnx_import.attributes import LoweringError, argument, integer
from t10c.onnx_import.lowering.builder import GraphBuilder, literal_text
from t10c.onnx_import.lowering.conv import conv_expression
from t10c.onnx_import.lowering.dims import plain_dims
from t10c.onnx_import.lowering.elementwise import Argument, Step, add_pointwise, broadcast
from t10c.onnx_import.lowering.matmul import matmul_expression
from t10c.onnx_import.lowering.quantised import (
    AS_FLOAT,
    AS_INTEGER,
    known_zero,
    quantising_steps,
)
from t10c.onnx_import.lowering.window import read_window
from t10c.onnx_import.registry import lowers
from t10c.onnx_import.resolved import ResolvedNode


@dataclass(frozen=True, slots=True)
class _Inputs:
    """Where a node has its factors and their zero points."""

    left: int
    right: int
    left_zero: int
    right_zero: int


_INTEGER = _Inputs(0, 1, 2, 3)
_LINEAR = _Inputs(0, 3, 2, 5)


def subtracting(
    builder: GraphBuilder, expression: TensorExpression, points: Sequence[str], axes: Sequence[int]
) -> tuple[TensorExpression, tuple[str, ...]]:
    """The product with zero points subtracted from its factors, and the zero points it reads.

    `points` has the zero point of each factor, `axes` the dimension of the factor along which a
    zero point of one dimension lies (others are aligned right). Those of one known element become
    literals, those known to be 0 are left out.
    """
    steps: list[ScalarStep] = []
    factors: list[str] = []
    operands = list(expression.inputs)
    tensors: list[str] = []
    for factor, point, axis in zip(expression.inputs[:2], points, axes, strict=True):
        if known_zero(builder, point):
            factors.append(factor.name)
            continue
        name = builder.literal(point)
        if name is None:
            name = f"F{len(tensors)}"
            operands.append(Operand(name, _point_dims(builder, point, factor, axis), fused=True))
            tensors.append(point)
        factors.append(f"s{len(steps)}")
        steps.append(ScalarStep("Sub", (factor.name, name), AS_INTEGER))
    product = ScalarStep("Mul", tuple(factors), AS_INTEGER)
    made = replace(expression, inputs=tuple(operands), body=(*steps, product))
    return made, tuple(tensors)


def _point_dims(builder: GraphBuilder, point: str, factor: Operand, axis: int) -> tuple[Dim, ...]:
    """The dimensions of a zero point over those of what it is subtracted from."""
    shape = builder.shape(point)
    if builder.shape(point) == (1,) * len(shape):
        return plain_dims(shape)
    own = (factor.dims[axis],) if len(shape) == 1 else factor.dims[-len(shape) :]
    dims = tuple(Dim((), 1) if size == 1 else dim for size, dim in zip(shape, own, strict=True))
    if tuple(dim.size for dim in dims) != shape:
        raise LoweringError(f"a zero point of shape {list(shape)} does not fit")
    return dims


def _add_matmul(builder: GraphBuilder, node: ResolvedNode, at: _Inputs, target: str) -> None:
    """The sum of products of a matmul of integers."""
    tensors = (node.inputs[at.left], node.inputs[at.right])
    left, right = (builder.shape(tensor) for tensor in tensors)
    points = (argument(node, at.left_zero), argument(node, at.right_zero))
    axes = (max(0, len(left) - 2), len(right) - 1)
    expression, zeros = subtracting(builder, matmul_expression(left, right), points, axes)
    builder.compute("", expression, (*tensors, *zeros), target)


def _add_conv(builder: GraphBuilder, node: ResolvedNode, at: _Inputs, target: str) -> None:
    """The sum of products of a convolution of integers."""
    tensors = (node.inputs[at.left], node.inputs[at.right])
    source, weight = (builder.shape(tensor) for tensor in tensors)
    shape = builder.shape(node.outputs[0])
    window = read_window(node, weight[2:], source[2:], shape[2:])
    plain = conv_expression(source, weight, shape, integer(node, "group", 1), window)
    points = (argument(node, at.left_zero), argument(node, at.right_zero))
    expression, zeros = subtracting(builder, plain, points, (1, 0))
    builder.compute("", expression, (*tensors, *zeros), target)


@lowers("MatMulInteger")
def lower_matmul_integer(builder: GraphBuilder, node: ResolvedNode) -> None:
    """A matmul of narrow integers; zero points that may not be 0 go in its body."""
    _add_matmul(builder, node, _INTEGER, node.outputs[0])


@lowers("ConvInteger")
def lower_conv_integer(builder: GraphBuilder, node: ResolvedNode) -> None:
    """A convolution of narrow integers; zero points that may not be 0 go in its body."""
    _add_conv(builder, node, _INTEGER, node.outputs[0])


@lowers("QLinearMatMul")
def lower_qlinear_matmul(builder: GraphBuilder, node: ResolvedNode) -> None:
    """A matmul of narrow integers, then scaling and rounding to the output's as its epilogue."""
    output = node.outputs[0]
    total = builder.new_tensor(f"{builder.node}.sum", builder.shape(output), "int32")
    _add_matmul(builder, node, _LINEAR, total)
    rank = len(builder.shape(output))
    _requantise(builder, node, total, (max(0, rank - 2), max(0, rank - 1)), "")


@lowers("QLinearConv")
def lower_qlinear_conv(builder: GraphBuilder, node: ResolvedNode) -> None:
    """A convolution of narrow integers, then bias, scaling and rounding as its epilogue."""
    output = node.outputs[0]
    total = builder.new_tensor(f"{builder.node}.sum", builder.shape(output), "int32")
    _add_conv(builder, node, _LINEAR, total)
    _requantise(builder, node, total, (1, 1), argument(node, 8))


def _requantise(
    builder: GraphBuilder, node: ResolvedNode, total: str, axes: tuple[int, int], bias: str
) -> None:
    """Add the bias, multiply by the scales of both factors over the output's, and quantise."""
    output = node.outputs[0]
    arguments = [broadcast(builder, total, output)]
    steps: list[Step] = []
    value: int | str = 0
    if bias:
        arguments.append(broadcast(builder, bias, output, first=1))
        steps.append(Step("Add", (0, 1)))
        value = "s0"
    factor = _multiplier(builder, node, arguments, steps, axes)
    steps.append(Step("Mul", (value, factor), AS_FLOAT))
    last = len(steps)
    zero_point = node.inputs[7]
    point: int | str = ""
    if not known_zero(builder, zero_point):
        point = len(arguments)
        arguments.append(_along(builder, zero_point, output, axes[0]))
    steps += quantising_steps(builder.element_type(output), f"s{last - 1}", point, first=last)
    add_pointwise(builder, "requantise", output, arguments, steps)


def _along(builder: GraphBuilder, tensor: str, output: str, axis: int) -> Argument:
    """A scale or zero point: one element, along one axis, or aligned right."""
    shape = builder.shape(tensor)
    if shape == (1,) * len(shape):
        return Argument(tensor, plain_dims(shape))
    return broadcast(builder, tensor, output, first=axis if len(shape) == 1 else None)


def _multiplier(
    builder: GraphBuilder,
    node: ResolvedNode,
    arguments: list[Argument],
    steps: list[Step],
    axes: tuple[int, int],
) -> int | str:
    """left scale * right scale / output scale: a literal or a weight where known, else steps."""
    output = node.outputs[0]
    scales = (node.inputs[1], node.inputs[4], node.inputs[6])
    values = [builder.value(tensor) for tensor in scales]
    left, right, own = values
    if left is not None and right is not None and own is not None and left.size == own.size == 1:
        product = (left.reshape(()) * right / own.reshape(())).astype(right.dtype)
        if product.size == 1:
            return literal_text(product)
        weight = builder.derived_weight(
            "multiplier", product.shape, builder.element_type(scales[1]), lambda: product
        )
        arguments.append(_along(builder, weight, output, axes[1]))
        return len(arguments) - 1
    places = (axes[0], axes[1], axes[0])
    numbers = []
    for tensor, axis in zip(scales, places, strict=True):
        numbers.append(len(arguments))
        arguments.append(_along(builder, tensor, output, axis))
    steps.append(Step("Mul", (numbers[0], numbers[1])))
    steps.append(Step("Div", (f"s{len(steps) - 1}", numbers[2])))
    return f"s{len(steps) - 1}"
