"""com.microsoft: Inverse, which has no tensor expression."""

from dataclasses import replace

from t10c.ir.graph import NodeClass
from t10c.onnx_import.attributes import LoweringError
from t10c.onnx_import.expansion import Expansion
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.names import MICROSOFT
from t10c.onnx_import.registry import infers, lowers
from t10c.onnx_import.resolved import ResolvedNode
from t10c.onnx_import.tensors import TensorFact


@infers("Inverse", domain=MICROSOFT)
def infer_inverse(call: Expansion) -> list[TensorFact]:
    """The shape and type of the input."""
    shape = call.shape(0)
    if len(shape) < 2 or shape[-1] != shape[-2]:
        call.refuse(f"its input {list(shape)} holds no square matrices")
    return [replace(call.fact(0), value=None, fixed=False)]


@lowers("Inverse", domain=MICROSOFT, node_class=NodeClass.FALLBACK)
def lower_inverse(builder: GraphBuilder, node: ResolvedNode) -> None:
    """On one core: elimination with pivots that data choose."""
    raise LoweringError("an inverse is found by elimination with pivots that data choose")
