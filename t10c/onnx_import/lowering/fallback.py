"""Fallback: an operator without a tensor expression runs whole, on one core.

Each of its outputs becomes an operator whose axes are never cut, so that the search finds one plan:
all operands on one core. Transitions then price the gathering and the scattering.
"""

import json
import math

import numpy as np

from t10c.ir.expression import Dim, Operand, ScalarStep, TensorExpression
from t10c.onnx_import.attributes import LoweringError
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.dims import AxisList, Shape
from t10c.onnx_import.lowering.elementwise import Attributes, operand_letter
from t10c.onnx_import.names import MICROSOFT
from t10c.onnx_import.resolved import ResolvedNode

ABSENT = "_"
"""What stands for an absent input in the body of a fallback operator."""

_DOMAINS = frozenset({"", "ai.onnx.ml", MICROSOFT})

_PRODUCTS = frozenset(
    {
        "Conv", "ConvInteger", "ConvTranspose", "DeformConv", "DynamicQuantizeLSTM", "Einsum",
        "GRU", "Gemm", "LSTM", "MatMul", "MatMulInteger", "MatMulNBits", "QLinearConv",
        "QLinearMatMul", "RNN",
    }
)  # fmt: skip
"""The bulk of a model's work: on one core a plan would be worthless, so these are refused."""

_SORTS = frozenset({"TopK", "Unique"})


def add_fallback(builder: GraphBuilder, node: ResolvedNode, reason: str) -> None:
    """Add the node as fallback operators, one per output; LoweringError(reason) if it may not be.

    Absent inputs are `_` in the body; its attributes are those of the node, lists as JSON.
    """
    if node.domain not in _DOMAINS or node.op_type in _PRODUCTS:
        raise LoweringError(reason)
    present = [name for name in node.inputs if name and 0 not in builder.shape(name)]
    outputs = [(i, name) for i, name in enumerate(node.outputs) if name]
    for tensor in (*present, *(name for _, name in outputs)):
        if builder.element_type(tensor) == "string":
            raise LoweringError(f"{reason}; {tensor!r} holds text")
    letters = {name: operand_letter(i) for i, name in enumerate(dict.fromkeys(present))}
    names = tuple(letters.get(name, ABSENT) for name in node.inputs)
    for index, output in outputs:
        attributes = _attributes(builder, node, index)
        axes = AxisList()
        operands = tuple(
            _whole(axes, letter, builder.shape(name)) for name, letter in letters.items()
        )
        expression = TensorExpression(
            kernel="fallback",
            inputs=operands,
            output=_whole(axes, "C", builder.shape(output)),
            axes=axes.axes,
            body=(ScalarStep(node.op_type, names, attributes),),
        )
        builder.compute(f"output{index}" if index else "", expression, tuple(letters), output)
    builder.fallbacks[builder.node] = reason


def _whole(axes: AxisList, name: str, shape: Shape) -> Operand:
    """An operand every dimension of which is an axis of its own."""
    dims = (Dim(axes.add(f"{name}{d}", n, "whole"), n) for d, n in enumerate(shape))
    return Operand(name, tuple(dims))


def _attributes(builder: GraphBuilder, node: ResolvedNode, output: int) -> Attributes:
    """What the operator is, besides its name: attributes, version, which output, passes."""
    found: dict[str, str | int | float] = {"output": output, "opset": builder.opset}
    if node.domain:
        found["domain"] = node.domain
    for name, value in node.attributes.items():
        if isinstance(value, str | int | float):
            found[f"attribute.{name}"] = value
        else:
            plain = value.tolist() if isinstance(value, np.ndarray) else value
            found[f"attribute.{name}"] = json.dumps(plain)
    found["passes"] = _passes(builder, node)
    return tuple(sorted(found.items()))


def _passes(builder: GraphBuilder, node: ResolvedNode) -> int:
    """How often the operator goes over its elements, an estimate: a sort log2(n) times."""
    if node.op_type in _SORTS:
        elements = math.prod(builder.shape(node.inputs[0]))
        return max(1, math.ceil(math.log2(max(2, elements))))
    if node.op_type == "NonMaxSuppression":
        return max(1, builder.shape(node.outputs[0])[0])
    return 1
