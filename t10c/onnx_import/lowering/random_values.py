"""Operators that draw other values in every inference."""

from t10c.ir.graph import NodeClass
from t10c.onnx_import.attributes import LoweringError
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.registry import lowers
from t10c.onnx_import.resolved import ResolvedNode


@lowers(
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
    "Multinomial",
    node_class=NodeClass.FALLBACK,
)
def lower_random(builder: GraphBuilder, node: ResolvedNode) -> None:
    """On one core, which draws all values from one generator."""
    raise LoweringError("its values are random, and one generator draws them all")
