"""QuantizeLinear and DequantizeLinear: pointwise steps between stored integers and real numbers.

y = saturate(round(x / scale) + zero point), and back: x = (y - zero point) * scale. A step with the
attribute `as` takes its inputs in that element type: narrow integers never wrap round.
prologue.py moves the way back into whoever reads the result.
"""

import math
from dataclasses import dataclass

import numpy as np

from t10c.ir.expression import Axis, Dim, Role
from t10c.onnx_import.attributes import LoweringError, argument, integer
from t10c.onnx_import.lowering.builder import GraphBuilder, literal_text
from t10c.onnx_import.lowering.dims import Shape, plain_axes, plain_dims
from t10c.onnx_import.lowering.elementwise import (
    Argument,
    Attributes,
    Domain,
    Step,
    add_pointwise,
    broadcast,
)
from t10c.onnx_import.registry import lowers
from t10c.onnx_import.resolved import ResolvedNode

AS_FLOAT: Attributes = (("as", "float32"),)
AS_INTEGER: Attributes = (("as", "int32"),)

INTEGER_RANGES = {
    f"{sign}int{bits}": (0, 2**bits - 1) if sign else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    for bits in (2, 4, 8, 16)
    for sign in ("", "u")
}
"""Least and greatest value of each integer type that quantised tensors are stored in."""


def quantising_steps(
    element_type: str, value: int | str, zero_point: int | str, first: int = 0
) -> list[Step]:
    """From real multiples of the scale to stored integers: round, shift, saturate, narrow.

    `value` and `zero_point` are inputs as in `Step`, '' for no zero point; the steps are called
    `s<first>` and so on.
    """
    low, high = INTEGER_RANGES[element_type]
    steps = [Step("Round", (value,))]
    if zero_point != "":
        steps.append(Step("Add", (f"s{first}", zero_point), AS_FLOAT))
    last = first + len(steps) - 1
    return [
        *steps,
        Step("Clip", (f"s{last}", f"{low}.0", f"{high}.0")),
        Step("Cast", (f"s{last + 1}",), (("to", element_type),)),
    ]


def known_zero(builder: GraphBuilder, tensor: str) -> bool:
    """Whether a zero point is absent or known to be 0 everywhere."""
    if not tensor:
        return True
    value = builder.value(tensor)
    return value is not None and not np.any(value.astype(np.float32))


@dataclass(frozen=True, slots=True)
class _Scaling:
    """How scales and zero points lie along a tensor: all alike, along one axis, or in blocks."""

    domain: Domain | None
    scale: Argument
    zero_point: Argument | None


def _scaling(builder: GraphBuilder, node: ResolvedNode) -> _Scaling:
    """The scale (input 1) and zero point (input 2) of a node as arguments over its output."""
    output = node.outputs[0]
    shape = builder.shape(output)
    scale, zero_point = node.inputs[1], argument(node, 2)
    point = "" if known_zero(builder, zero_point) else zero_point
    size, rank = math.prod(builder.shape(scale)), len(shape)
    if size == 1:
        return _Scaling(None, _single(builder, scale), _single(builder, point) if point else None)
    axis = integer(node, "axis", 1) % max(1, rank)
    block = integer(node, "block_size", 0)
    if not block:
        if builder.shape(scale) != (shape[axis],):
            raise LoweringError(f"a scale of shape {list(builder.shape(scale))} does not fit")
        along = broadcast(builder, scale, output, first=axis)
        return _Scaling(
            None, along, broadcast(builder, point, output, first=axis) if point else None
        )
    if shape[axis] % block:
        wide = [_repeated(builder, t, shape, axis, block) for t in (scale, point) if t]
        arguments = [broadcast(builder, tensor, output) for tensor in wide]
        return _Scaling(None, arguments[0], arguments[1] if point else None)
    domain = block_domain(shape, axis, block)
    dims = tuple(
        Dim((), 1) if size == 1 else Dim(dim.terms if d != axis else ((f"d{axis}b", 1),), size)
        for d, (dim, size) in enumerate(zip(plain_dims(shape), builder.shape(scale), strict=True))
    )
    return _Scaling(domain, Argument(scale, dims), Argument(point, dims) if point else None)


def _single(builder: GraphBuilder, tensor: str) -> Argument:
    """A tensor of one element, whatever its rank, as an argument."""
    return Argument(tensor, plain_dims(builder.shape(tensor)))


def block_domain(shape: Shape, axis: int, block: int) -> Domain:
    """The axes of a tensor, one of them cut into blocks `d<axis>b` of `d<axis>e` elements."""
    roles: list[Role] = ["parallel"] * len(shape)
    count = shape[axis] // block
    axes: list[Axis] = []
    for own in plain_axes(shape, roles):
        if own.name == f"d{axis}":
            axes += [Axis(f"d{axis}b", count, "parallel")] if count > 1 else []
            axes += [Axis(f"d{axis}e", block, "parallel")] if block > 1 else []
        else:
            axes.append(own)
    terms = [((f"d{axis}b", block),)] if count > 1 else []
    terms += [((f"d{axis}e", 1),)] if block > 1 else []
    dims = list(plain_dims(shape))
    dims[axis] = Dim(tuple(term for group in terms for term in group), shape[axis])
    return Domain(tuple(axes), tuple(dims))


def _repeated(builder: GraphBuilder, tensor: str, shape: Shape, axis: int, block: int) -> str:
    """The tensor with an entry per element instead of one per block; the last block is short."""
    size = shape[axis]
    full = (*builder.shape(tensor)[:axis], size, *builder.shape(tensor)[axis + 1 :])

    def repeat(value: np.ndarray) -> np.ndarray:
        return np.take(value, np.arange(size) // block, axis=axis)

    return builder.derived_weight(
        f"{tensor}.repeated", full, builder.element_type(tensor), repeat, (tensor,)
    )


@lowers("QuantizeLinear")
def lower_quantize(builder: GraphBuilder, node: ResolvedNode) -> None:
    """Division by the scale, rounding half to even, zero point, saturation, narrowing."""
    source, output = node.inputs[0], node.outputs[0]
    kind = builder.element_type(output)
    scaling = _scaling(builder, node)
    arguments = [broadcast(builder, source, output), scaling.scale]
    exact = builder.element_type(source).startswith(("float", "bfloat"))
    division = Step("Div", (0, 1), () if exact else AS_FLOAT)
    precision = integer(node, "precision", 0)
    if precision:
        names = {1: "float32", 10: "float16", 11: "float64", 16: "bfloat16"}
        division = Step("Div", (0, 1), (("as", names[precision]),))
    if scaling.zero_point is not None:
        arguments.append(scaling.zero_point)
    if kind in INTEGER_RANGES:
        point = "" if scaling.zero_point is None else 2
        steps = [division, *quantising_steps(kind, "s0", point, first=1)]
    else:
        saturate = ("saturate", integer(node, "saturate", 1))
        steps = [division, Step("Cast", ("s0",), (("to", kind), saturate))]
        if scaling.zero_point is not None:
            steps.insert(1, Step("Add", ("s0", 2), AS_FLOAT))
            steps[-1] = Step("Cast", ("s1",), (("to", kind), saturate))
    add_pointwise(builder, "", output, arguments, steps, scaling.domain)


@lowers("DequantizeLinear")
def lower_dequantize(builder: GraphBuilder, node: ResolvedNode) -> None:
    """Subtraction of the zero point, times the scale; moves into matmuls and convs that read it."""
    output = node.outputs[0]
    scaling = _scaling(builder, node)
    arguments = [broadcast(builder, node.inputs[0], output), scaling.scale]
    value = builder.value(node.inputs[1])
    factor: int | str = 1
    if value is not None and value.size == 1:
        factor = literal_text(value.astype(np.float32))  # of 16 bits too: computed in 32
    if scaling.zero_point is None:
        steps = [Step("Mul", (0, factor), AS_FLOAT)]
    else:
        arguments.append(scaling.zero_point)
        steps = [Step("Sub", (0, 2), AS_FLOAT), Step("Mul", ("s0", factor))]
    add_pointwise(builder, "", output, arguments, steps, scaling.domain)
