"""The decorator of lowerings, where they look for it."""

from t10c.onnx_import.registry import lowers

__all__ = ["lowers"]
