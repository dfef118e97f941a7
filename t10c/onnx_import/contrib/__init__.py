"""Operators of the domain com.microsoft, expanded into the standard's.

One module per family; importing the package fills the table of expansions (registry.py).
"""

from t10c.onnx_import.contrib import (
    convolutions,
    norms,
    pointwise,
    products,
    rotary,
    standard,
)

_FAMILIES = (
    convolutions,
    norms,
    pointwise,
    products,
    rotary,
    standard,
)
