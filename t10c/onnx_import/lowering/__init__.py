"""Lowerings: what each ONNX operator becomes, one module per operator family.

Importing the package fills the table of lowerings (registry.py); each adds a node to a
`GraphBuilder`. `add_fallback` adds what has no tensor expression.
"""

from t10c.onnx_import.attributes import LoweringError
from t10c.onnx_import.lowering import (  # noqa: F401 - imported for what they register
    attention,
    col2im,
    conv,
    conv_transpose,
    deform_conv,
    dynamic_range,
    einsum,
    fourier,
    gather,
    generators,
    grid_sample,
    integer_products,
    inverse,
    layout,
    lp_norm,
    masks,
    matmul,
    packed,
    pad,
    pointwise,
    pool,
    quantised,
    random_values,
    recurrent,
    reduce,
    resize,
    reverse,
    roi,
    rotary,
    rowwise,
    scatter,
    topk,
    unpool,
)
from t10c.onnx_import.lowering.builder import GraphBuilder, NodeGroup
from t10c.onnx_import.lowering.fallback import add_fallback

__all__ = [
    "GraphBuilder",
    "LoweringError",
    "NodeGroup",
    "add_fallback",
]
