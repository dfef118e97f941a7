"""Lowerings: what each ONNX operator becomes, one module per operator family.

`LOWERINGS` maps an operator type to a function that adds it to a `GraphBuilder`.
"""

from t10c.onnx_import.attributes import LoweringError
from t10c.onnx_import.lowering import (
    attention,
    conv,
    conv_transpose,
    gather,
    layout,
    matmul,
    pointwise,
    pool,
    reduce,
    resize,
    rowwise,
)
from t10c.onnx_import.lowering.builder import GraphBuilder, NodeGroup
from t10c.onnx_import.lowering.registry import LOWERINGS

_FAMILIES = (
    attention,
    conv,
    conv_transpose,
    gather,
    layout,
    matmul,
    pointwise,
    pool,
    reduce,
    resize,
    rowwise,
)

__all__ = ["LOWERINGS", "GraphBuilder", "LoweringError", "NodeGroup"]
