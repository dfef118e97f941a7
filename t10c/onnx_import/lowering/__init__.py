"""Lowerings: what each ONNX operator becomes, one module per operator family.

`LOWERINGS` maps an operator to a function that adds it to a `GraphBuilder`; `add_fallback` adds
what has no tensor expression.
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
from t10c.onnx_import.lowering.fallback import add_fallback
from t10c.onnx_import.lowering.registry import LOWERINGS, find_lowering

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

__all__ = [
    "LOWERINGS",
    "GraphBuilder",
    "LoweringError",
    "NodeGroup",
    "add_fallback",
    "find_lowering",
]
