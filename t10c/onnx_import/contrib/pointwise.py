"""com.microsoft: activations with a bias."""

from t10c.onnx_import.expansion import Expansion
from t10c.onnx_import.registry import expands

DOMAIN = "com.microsoft"


@expands("BiasGelu", domain=DOMAIN)
def expand_bias_gelu(call: Expansion) -> None:
    """Gelu(a + bias)."""
    total = call.add("Add", [call.input(0), call.input(1)])
    call.result(0, call.add("Gelu", [total]))
