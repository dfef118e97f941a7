"""LpNormalization: each row divided by its norm."""

from t10c.ir.expression import ScalarStep
from t10c.onnx_import.attributes import LoweringError, integer, normalise_axes
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.rowwise import add_rowwise
from t10c.onnx_import.registry import lowers
from t10c.onnx_import.resolved import ResolvedNode

_LP_STEPS = {
    1: (ScalarStep("Abs", ("A",)), ScalarStep("ReduceSum", ("s0",), rows=True)),
    2: (
        ScalarStep("Mul", ("A", "A")),
        ScalarStep("ReduceSum", ("s0",), rows=True),
        ScalarStep("Sqrt", ("s1",), rows=True),
    ),
}
"""The norm of a row."""


@lowers("LpNormalization")
def lower_lp_normalisation(builder: GraphBuilder, node: ResolvedNode) -> None:
    """Each row divided by its norm; a row of zeros stays zero."""
    p, rank = integer(node, "p", 2), len(builder.shape(node.inputs[0]))
    if p not in _LP_STEPS:
        raise LoweringError(f"norms of order {p} are not supported")
    norm = _LP_STEPS[p]
    last = len(norm) - 1
    body = (
        *norm,
        ScalarStep("Equal", (f"s{last}", "0"), rows=True),
        ScalarStep("Where", (f"s{last + 1}", "1", f"s{last}"), rows=True),
        ScalarStep("Div", ("A", f"s{last + 2}")),
    )
    axes = normalise_axes((integer(node, "axis", -1),), rank)
    add_rowwise(builder, "", node.inputs[0], node.outputs[0], axes, body)
