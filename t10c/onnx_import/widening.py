"""Weights that a model stores narrow and widens before it uses them.

Folding makes such a weight wide; its nodes are kept all the same, so that operators can read what
is stored (prologue.py).
"""

import math
import re
from collections.abc import Sequence

from onnx import NodeProto

from t10c.ir.graph import is_narrow
from t10c.onnx_import.names import standard
from t10c.onnx_import.tensors import TensorFact, element_type_name

_ARITHMETIC = frozenset({"Add", "Div", "Mul", "Sub"})
_WIDE = re.compile(r"b?float(16|32|64)")


def widens(
    node: NodeProto,
    inputs: Sequence[TensorFact | None],
    outputs: Sequence[TensorFact | None],
    widened: set[str],
    relabelling: frozenset[str],
) -> bool:
    """Whether a folded node widens a weight, or goes on with one that is in `widened`.

    DequantizeLinear, or a cast with arithmetic after it; and what relabels their result.
    """
    if not standard(node.domain) or len(outputs) != 1 or outputs[0] is None:
        return False
    result, first = outputs[0], inputs[0] if inputs else None
    if first is None or not _WIDE.fullmatch(element_type_name(result.element_type)):
        return False
    if node.op_type in ("DequantizeLinear", "Cast"):
        return is_narrow(element_type_name(first.element_type)) and math.prod(first.shape) > 1
    if node.op_type in relabelling:
        return node.input[0] in widened
    return node.op_type in _ARITHMETIC and any(
        name in widened and fact is not None and fact.shape == result.shape
        for name, fact in zip(node.input, inputs, strict=True)
    )
