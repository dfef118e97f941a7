"""RotaryEmbedding: pairs of elements turned by an angle that depends on the position.

real = cos * x1 - sin * x2;  imaginary = sin * x1 + cos * x2, where x1 and x2 are the halves of the
first `rotary_embedding_dim` elements, or their even and odd ones (interleaved).
"""

from collections.abc import Sequence

import numpy as np

from t10c.onnx_import.attributes import LoweringError, argument, integer
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.compose import Composer
from t10c.onnx_import.lowering.elementwise import Step
from t10c.onnx_import.lowering.gather import gather_expression
from t10c.onnx_import.registry import lowers
from t10c.onnx_import.resolved import ResolvedNode

_REAL = (Step("Mul", (0, 2)), Step("Mul", (1, 3)), Step("Sub", ("s0", "s1")))
_IMAGINARY = (Step("Mul", (1, 2)), Step("Mul", (0, 3)), Step("Add", ("s0", "s1")))


@lowers("RotaryEmbedding")
def lower_rotary(builder: GraphBuilder, node: ResolvedNode) -> None:
    """Two pointwise operators, one per half; the halves are slices and joined again."""
    compose, output = Composer(builder), node.outputs[0]
    source, packed = node.inputs[0], len(builder.shape(node.inputs[0])) == 3
    if packed:  # [batch, positions, heads * size]
        batch, positions, hidden = builder.shape(source)
        heads = integer(node, "num_heads", 0)
        if not heads or hidden % heads:
            raise LoweringError(f"{heads} heads do not fit its input of width {hidden}")
        source = compose.reshape("heads", source, (batch, positions, heads, hidden // heads))
    width = builder.shape(source)[3]
    turned = integer(node, "rotary_embedding_dim", 0) or width
    angles = [_at_positions(builder, node, index) for index in (1, 2)]
    at = (0, 1, 3) if packed else (0, 2, 3)
    direct = turned == width and not packed
    joined = _turn(builder, node, source, angles, at, turned, output if direct else "")
    if turned < width:
        rest = compose.cut("rest", source, 3, turned, width)
        joined = compose.concat("whole", (joined, rest), 3, "" if packed else output)
    if packed:
        builder.reshape(joined, output, "join")


def _at_positions(builder: GraphBuilder, node: ResolvedNode, index: int) -> str:
    """Cosines or sines as [batch, positions, half]: rows of the cache, or the cache itself."""
    table, positions = node.inputs[index], argument(node, 3)
    if not positions:
        return table
    name = ("", "cos", "sin")[index]
    shape = (*builder.shape(positions), builder.shape(table)[1])
    kind = builder.element_type(table)
    if builder.is_weight(table) and builder.is_weight(positions):
        return builder.derived_weight(name, shape, kind, _rows, (table, positions))
    rows = builder.temporary(name, shape, table)
    expression = gather_expression(builder.shape(table), builder.shape(positions), 0)
    builder.compute(name, expression, (table, positions), rows)
    return rows


def _rows(table: np.ndarray, positions: np.ndarray) -> np.ndarray:
    rows: np.ndarray = table[positions]
    return rows


def _turn(
    builder: GraphBuilder,
    node: ResolvedNode,
    source: str,
    angles: Sequence[str],
    at: Sequence[int],
    turned: int,
    into: str,
) -> str:
    """The first `turned` elements of each row, turned."""
    compose, interleaved = Composer(builder), integer(node, "interleaved", 0)
    step, half = (2, 1) if interleaved else (1, turned // 2)
    limits = ((0, turned), (1, turned)) if interleaved else ((0, half), (half, turned))
    parts = [
        compose.cut(name, source, 3, start, stop, step)
        for name, (start, stop) in zip(("x1", "x2"), limits, strict=True)
    ]
    shape, kind = builder.shape(parts[0]), builder.element_type(source)
    placed = [(angle, at) for angle in angles]
    results = [
        compose.pointwise(name, shape, kind, (*placed, *parts), steps)
        for name, steps in (("", _REAL), ("imaginary", _IMAGINARY))
    ]
    if not interleaved:
        return compose.concat("turned", results, 3, into)
    columns = [
        compose.reshape(f"column{i}", result, (*shape, 1)) for i, result in enumerate(results)
    ]
    pairs = compose.concat("pairs", columns, 4)
    return compose.reshape("turned", pairs, (*shape[:3], turned), into)
