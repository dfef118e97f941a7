"""Operators of the domains com.microsoft and ai.onnx.ml, expanded into the standard's.

One module per family; importing the package fills the table of expansions (registry.py).
"""

from t10c.onnx_import.contrib import (  # noqa: F401 - imported for what they register
    attention,
    convolutions,
    experts,
    grouped,
    learned,
    norms,
    pointwise,
    position_bias,
    products,
    quantised,
    refused,
    rotary,
    self_attention,
    standard,
)
