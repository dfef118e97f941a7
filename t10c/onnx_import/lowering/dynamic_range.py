"""Quantisation by a tensor's own range, which is known during inference only.

    scale = (max - min) / 255, the range including 0;  zero point = round(-min / scale)
    codes = saturate(round(x / scale) + zero point), in uint8

Five operators: two reductions, the scale, the zero point, and the codes.
"""

from dataclasses import dataclass

from t10c.ir.expression import Dim, Operand, ReduceOp, Role, ScalarStep, TensorExpression
from t10c.onnx_import.attributes import result
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.dims import Shape, plain_axes, plain_dims
from t10c.onnx_import.lowering.elementwise import Argument, Step, add_pointwise, broadcast
from t10c.onnx_import.lowering.quantised import quantising_steps
from t10c.onnx_import.registry import lowers
from t10c.onnx_import.resolved import ResolvedNode


@dataclass(frozen=True, slots=True)
class Codes:
    """A tensor quantised to uint8: its stored integers, and the scale and zero point they have.

    Both have one element, or one for each entry of a dimension that is quantised entry by entry.
    """

    tensor: str
    scale: str
    zero_point: str


@lowers("DynamicQuantizeLinear")
def lower_dynamic_quantize(builder: GraphBuilder, node: ResolvedNode) -> None:
    """Reductions to least and greatest element, scale and zero point from these, quantisation."""
    source = node.inputs[0]
    scale = result(node, 1) or builder.temporary("scale", (), source)
    point = result(node, 2) or builder.new_tensor(f"{builder.node}.zero_point", (), "uint8")
    _add_quantisation(builder, "", source, Codes(node.outputs[0], scale, point), None)


def add_dynamic_codes(
    builder: GraphBuilder, prefix: str, source: str, axis: int | None = None
) -> Codes:
    """Quantise a tensor by its range, or by that of each entry of dimension `axis`.

    `prefix` begins the names of the operators and tensors.
    """
    shape = builder.shape(source)
    each: Shape = () if axis is None else (shape[axis],)
    codes = Codes(
        builder.new_tensor(f"{builder.node}.{prefix}codes", shape, "uint8"),
        builder.temporary(f"{prefix}scale", each, source),
        builder.new_tensor(f"{builder.node}.{prefix}zero_point", each, "uint8"),
    )
    _add_quantisation(builder, prefix, source, codes, axis)
    return codes


def _add_quantisation(
    builder: GraphBuilder, prefix: str, source: str, made: Codes, axis: int | None
) -> None:
    """Add the operators that make `made`; codes that nobody wants ('') are left out."""
    low, high = (_extreme(builder, prefix, source, op, axis) for op in ("min", "max"))
    least, greatest, scale = (
        Argument(tensor, plain_dims(builder.shape(tensor))) for tensor in (low, high, made.scale)
    )
    span = [
        Step("Sub", (1, 0)),
        Step("Equal", (1, 0)),
        Step("Where", ("s1", "1.0", "s0")),
        Step("Div", ("s2", "255.0")),
    ]
    add_pointwise(builder, f"{prefix}scale", made.scale, [least, greatest], span)
    start = [
        Step("Div", (0, 1)),
        Step("Sub", ("0.0", "s0")),
        Step("Clip", ("s1", "0.0", "255.0")),
        Step("Round", ("s2",)),
        Step("Cast", ("s3",), (("to", "uint8"),)),
    ]
    add_pointwise(builder, f"{prefix}zero_point", made.zero_point, [least, scale], start)
    if made.tensor:
        dims = _kept(builder.shape(source), axis)
        arguments = [
            broadcast(builder, source, made.tensor),
            Argument(made.scale, dims),
            Argument(made.zero_point, dims),
        ]
        steps = [Step("Div", (0, 1)), *quantising_steps("uint8", "s0", 2, first=1)]
        add_pointwise(builder, f"{prefix}codes" if prefix else "", made.tensor, arguments, steps)


def _extreme(
    builder: GraphBuilder, prefix: str, source: str, reduce_op: ReduceOp, axis: int | None
) -> str:
    """The least or greatest element of a tensor, or of each entry of `axis`; 0 if beyond."""
    shape = builder.shape(source)
    roles: list[Role] = ["parallel" if d == axis else "reduced" for d in range(len(shape))]
    dims = _kept(shape, axis)
    found = builder.temporary(f"{prefix}{reduce_op}", tuple(dim.size for dim in dims), source)
    expression = TensorExpression(
        kernel="reduce",
        axes=plain_axes(shape, roles),
        inputs=(Operand("A", plain_dims(shape)),),
        output=Operand("C", dims),
        body=(ScalarStep("Identity", ("A",)),),
        reduce_op=reduce_op,
        epilogue=(ScalarStep(reduce_op.capitalize(), ("acc", "0.0")),),
    )
    builder.compute(f"{prefix}{reduce_op}", expression, (source,), found)
    return found


def _kept(shape: Shape, axis: int | None) -> tuple[Dim, ...]:
    return () if axis is None else (plain_dims(shape)[axis],)
