"""Operators of the domain com.microsoft, expanded into the standard's.

One module per family; importing the package fills the table of expansions (registry.py).
"""

from t10c.onnx_import.contrib import (  # noqa: F401 - imported for what they register
    attention,
    convolutions,
    experts,
    grouped,
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
