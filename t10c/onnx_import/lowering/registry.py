"""The one table of lowerings: ONNX operator type -> function that adds it to a graph builder."""

from collections.abc import Callable

from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.resolved import ResolvedNode

Lowering = Callable[[GraphBuilder, ResolvedNode], None]

LOWERINGS: dict[str, Lowering] = {}
"""Filled once, by the imports in this package's `__init__`."""


def lowers(*op_types: str) -> Callable[[Lowering], Lowering]:
    """Register the decorated function as the lowering of the given ONNX operator types."""

    def register(function: Lowering) -> Lowering:
        for op_type in op_types:
            if op_type in LOWERINGS:
                raise ValueError(f"{op_type} has two lowerings")
            LOWERINGS[op_type] = function
        return function

    return register
