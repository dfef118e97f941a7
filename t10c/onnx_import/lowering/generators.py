"""Operators that make a tensor out of scalars, where these are data and the shape is declared."""

import numpy as np

from t10c.ir.graph import NodeClass
from t10c.onnx_import.attributes import LoweringError, integer
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.compose import Composer
from t10c.onnx_import.lowering.elementwise import Step
from t10c.onnx_import.registry import lowers
from t10c.onnx_import.resolved import ResolvedNode

_COSINES = {
    "HannWindow": (0.5, 0.5, 0.0),
    "HammingWindow": (25 / 46, 21 / 46, 0.0),
    "BlackmanWindow": (0.42, 0.5, 0.08),
}
"""Coefficients of 1, -cos(x) and cos(2 x)."""


@lowers("ConstantOfShape", node_class=NodeClass.FOLDED)
def lower_constant_of_shape(builder: GraphBuilder, node: ResolvedNode) -> None:
    """Folded where its shape is known; else a weight of the declared shape."""
    value = np.asarray(node.attributes.get("value", 0.0)).reshape(-1)
    Composer(builder).constant(float(value[0]), node.outputs[0])


@lowers("Range", node_class=NodeClass.FOLDED)
def lower_range(builder: GraphBuilder, node: ResolvedNode) -> None:
    """Folded where its limits are known; else start + step * i, if its length is declared."""
    output = node.outputs[0]
    compose, shape = Composer(builder), builder.shape(output)
    kind = builder.element_type(output)
    count = compose.iota("count", shape[0], kind)
    steps = [Step("Mul", (0, 2)), Step("Add", ("s0", 1))]
    compose.pointwise("", shape, kind, [count, node.inputs[0], node.inputs[2]], steps, output)


@lowers(*_COSINES, node_class=NodeClass.FOLDED)
def lower_window(builder: GraphBuilder, node: ResolvedNode) -> None:
    """Folded where its size is known; else its declared length says it."""
    output = node.outputs[0]
    (size,) = builder.shape(output)
    period = size if integer(node, "periodic", 1) else size - 1
    if not period:
        raise LoweringError("a symmetric window of one element is not defined")
    one, cosine, double = _COSINES[node.op_type]
    kind = builder.element_type(output)
    x = 2 * np.pi * np.arange(size) / period
    value = (one - cosine * np.cos(x) + double * np.cos(2 * x)).astype(kind)
    builder.reshape(Composer(builder).weight("window", value), output)
