"""Pointwise operators: one scalar function per element, named as in ONNX."""

from functools import lru_cache

import numpy as np
import onnx

from t10c.onnx_import.attributes import LoweringError, argument, integer, text
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.elementwise import (
    Argument,
    Attributes,
    Step,
    add_pointwise,
    broadcast,
)
from t10c.onnx_import.registry import lowers
from t10c.onnx_import.resolved import ResolvedNode

_UNARY = (
    "Abs",
    "Acos",
    "Acosh",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "BitwiseNot",
    "Ceil",
    "Celu",
    "Cos",
    "Cosh",
    "Elu",
    "Erf",
    "Exp",
    "Floor",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "IsInf",
    "IsNaN",
    "LeakyRelu",
    "Log",
    "Mish",
    "Neg",
    "Not",
    "Reciprocal",
    "Relu",
    "Round",
    "Selu",
    "Shrink",
    "Sigmoid",
    "Sign",
    "Sin",
    "Sinh",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Swish",
    "Tan",
    "Tanh",
    "ThresholdedRelu",
)
_BINARY = (
    "Add",
    "And",
    "BitShift",
    "BitwiseAnd",
    "BitwiseOr",
    "BitwiseXor",
    "Div",
    "Equal",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "Mod",
    "Mul",
    "Or",
    "Pow",
    "PRelu",
    "Sub",
    "Xor",
)
_VARIADIC = (
    "Max",
    "Mean",
    "Min",
    "Sum",
    "Where",
)


@lru_cache(maxsize=256)
def _defaults(op_type: str, opset: int) -> Attributes:
    """The standard's default attributes of an operator, so that equal functions look equal."""
    schema = onnx.defs.get_schema(op_type, opset)
    return tuple(
        (name, _plain(onnx.helper.get_attribute_value(attribute.default_value)))
        for name, attribute in sorted(schema.attributes.items())
        if not attribute.required and attribute.default_value.type
    )


def _plain(value: object) -> str | int | float:
    if isinstance(value, bytes):
        return value.decode()
    return value if isinstance(value, str | int | float) else str(value)


def _step_attributes(builder: GraphBuilder, node: ResolvedNode) -> Attributes:
    defaults = _defaults(node.op_type, builder.opset)
    if not node.attributes:
        return defaults
    values = dict(defaults)
    values.update((name, _plain(value)) for name, value in node.attributes.items())
    return tuple(sorted(values.items()))


@lowers(*_UNARY, *_BINARY, *_VARIADIC)
def lower_pointwise(builder: GraphBuilder, node: ResolvedNode) -> None:
    """One step over all inputs, which broadcast to the output as in NumPy."""
    if builder.opset < 7 and node.attributes.get("broadcast"):
        raise LoweringError("its broadcast attribute (opset < 7) is not supported")
    output = node.outputs[0]
    inputs = [name for name in node.inputs if name]
    arguments = [broadcast(builder, name, output) for name in inputs]
    attributes = _step_attributes(builder, node)
    step = Step(node.op_type, tuple(range(len(inputs))), attributes)
    add_pointwise(builder, "", output, arguments, [step])


@lowers("Cast", "CastLike")
def lower_cast(builder: GraphBuilder, node: ResolvedNode) -> None:
    """A change of element type that changes values; any other only renames its input."""
    output = node.outputs[0]
    arguments = [broadcast(builder, node.inputs[0], output)]
    kind = builder.element_type(output)
    wraps = kind.startswith("float8") and not integer(node, "saturate", 1)
    mode = text(node, "round_mode", "up") if "e8m0" in kind else "up"
    attributes: Attributes = (
        *((("round_mode", mode),) if mode != "up" else ()),
        *((("saturate", 0),) if wraps else ()),
        ("to", kind),
    )
    add_pointwise(builder, "", output, arguments, [Step("Cast", (0,), attributes)])


@lowers("Clip")
def lower_clip(builder: GraphBuilder, node: ResolvedNode) -> None:
    """Clip(x, low, high); absent limits are the type's own, opset 6 has them as attributes."""
    output = node.outputs[0]
    limits = _limits(builder.element_type(output))
    arguments: list[Argument] = [broadcast(builder, node.inputs[0], output)]
    inputs: list[int | str] = [0]
    for index, (name, absent) in enumerate(zip(("min", "max"), limits, strict=True), start=1):
        tensor = argument(node, index)
        if tensor:
            inputs.append(len(arguments))
            arguments.append(broadcast(builder, tensor, output))
        else:
            inputs.append(str(node.attributes.get(name, absent)))
    add_pointwise(builder, "", output, arguments, [Step("Clip", tuple(inputs))])


def _limits(element_type: str) -> tuple[str, str]:
    """Lowest and highest value of an element type as literals."""
    if "int" not in element_type:
        return "-inf", "inf"
    info = np.iinfo(element_type)
    return str(info.min), str(info.max)
