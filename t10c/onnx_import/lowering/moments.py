"""Layer normalisation's statistics as outputs."""

from collections.abc import Sequence

from t10c.ir.expression import ScalarStep
from t10c.onnx_import.attributes import result
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.compose import Composer
from t10c.onnx_import.lowering.elementwise import Step
from t10c.onnx_import.resolved import ResolvedNode


def add_statistics(
    builder: GraphBuilder, node: ResolvedNode, axes: Sequence[int], epsilon: str
) -> None:
    """The outputs Mean and InvStdDev of a LayerNormalization: reductions of their own."""
    mean, deviation = result(node, 1), result(node, 2)
    if not mean and not deviation:
        return
    compose, source = Composer(builder), node.inputs[0]
    shape = builder.shape(source)
    kind, at = builder.element_type(source), range(len(shape))
    copy = [Step("Identity", (0,))]
    if not mean:
        kept = tuple(1 if d in axes else size for d, size in enumerate(shape))
        mean = builder.temporary("mean", kept, source)
    compose.reduce("mean", shape, axes, kind, [(source, at)], copy, "mean", mean)
    if deviation:
        squares = [Step("Sub", (0, 1)), Step("Mul", ("s0", "s0"))]
        after = (
            ScalarStep("Add", ("acc", epsilon)),
            ScalarStep("Sqrt", ("s2",)),
            ScalarStep("Reciprocal", ("s3",)),
        )
        sources = [(source, at), (mean, at)]
        compose.reduce("deviation", shape, axes, kind, sources, squares, "mean", deviation, after)
