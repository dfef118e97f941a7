"""Operators of your own: what a package needs to teach t10c one (docs/custom-operators.md).

A package names a module of its own under the entry point group `t10c.operators`; t10c imports it
before it reads a model, and the decorators below add to its tables.
"""

from t10c.ir.expression import Axis, Dim, Operand, ScalarStep, TensorExpression
from t10c.ir.graph import NodeClass
from t10c.onnx_import.attributes import (
    LoweringError,
    argument,
    integer,
    integers,
    number,
    result,
    text,
)
from t10c.onnx_import.expansion import Expansion
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.elementwise import Argument, Step, add_pointwise, broadcast
from t10c.onnx_import.lowering.matmul import matmul_expression
from t10c.onnx_import.registry import ENTRY_POINT_GROUP, expands, infers, lowers
from t10c.onnx_import.resolved import ResolvedNode
from t10c.onnx_import.tensors import TensorFact

__all__ = [
    "ENTRY_POINT_GROUP",
    "Argument",
    "Axis",
    "Dim",
    "Expansion",
    "GraphBuilder",
    "LoweringError",
    "NodeClass",
    "Operand",
    "ResolvedNode",
    "ScalarStep",
    "Step",
    "TensorExpression",
    "TensorFact",
    "add_pointwise",
    "argument",
    "broadcast",
    "expands",
    "infers",
    "integer",
    "integers",
    "lowers",
    "matmul_expression",
    "number",
    "result",
    "text",
]
