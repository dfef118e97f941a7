"""ReverseSequence: O[t, b] = T[t < len[b] ? len[b] - 1 - t : t, b]."""

from functools import partial

import numpy as np

from t10c.ir.expression import Dim
from t10c.onnx_import.attributes import check_enumerable, integer
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.compose import Composer
from t10c.onnx_import.lowering.dims import AxisList, Shape
from t10c.onnx_import.lowering.elementwise import Step
from t10c.onnx_import.lowering.gather import index_expression
from t10c.onnx_import.registry import lowers
from t10c.onnx_import.resolved import ResolvedNode


@lowers("ReverseSequence")
def lower_reverse_sequence(builder: GraphBuilder, node: ResolvedNode) -> None:
    """A gather along time; lengths that are known and equal reverse a slice."""
    source, lengths, output = *node.inputs[:2], node.outputs[0]
    time = integer(node, "time_axis", 0)
    known = builder.value(lengths)
    if known is not None and np.all(known == known.reshape(-1)[0]):
        return _reverse(builder, source, output, time, int(known.reshape(-1)[0]))
    order = reversing_order(builder, lengths, builder.shape(source)[:2], time)
    return add_reversal(builder, source, order, output, time)


def add_reversal(
    builder: GraphBuilder, source: str, order: str, output: str, time: int, suffix: str = ""
) -> None:
    """Read the elements that `order` names along dimension `time` (0 or 1) of a tensor."""
    shape = builder.shape(source)
    axes = AxisList()
    i = [Dim(axes.add(f"i{d}", n, "index"), n) for d, n in enumerate(shape[:2])]
    e = [Dim(axes.add(f"e{d}", n, "element"), n) for d, n in enumerate(shape[2:], start=2)]
    v = Dim(axes.add("v", shape[time], "table", reduction=True), shape[time])
    table = (v, i[1]) if time == 0 else (i[0], v)
    expression = index_expression(axes, (*table, *e), tuple(i), (*i, *e))
    builder.compute(suffix, expression, (source, order), output)


def _reverse(builder: GraphBuilder, source: str, output: str, time: int, length: int) -> None:
    """The first `length` steps backwards, then the rest."""
    compose, steps = Composer(builder), builder.shape(source)[time]
    whole = length == steps
    turned = compose.cut("turned", source, time, length - 1, -1, -1, output if whole else "")
    if not whole:
        rest = compose.cut("rest", source, time, length, steps)
        compose.concat("", (turned, rest), time, output)


def reversing_order(builder: GraphBuilder, lengths: str, shape: Shape, time: int) -> str:
    """Which time step each (time, sample) reads, in the order of the input's dimensions."""
    if builder.is_weight(lengths):
        formula = partial(_known_order, shape[time], time)
        return builder.derived_weight("order", shape, "int64", formula, (lengths,))
    compose = Composer(builder)
    kind = builder.element_type(lengths)
    iota = compose.iota("time", shape[time], kind)
    steps = [
        Step("Less", (0, 1)),
        Step("Sub", (1, 0)),
        Step("Sub", ("s1", "1")),
        Step("Where", ("s0", "s2", 0)),
    ]
    tensors = [(iota, (time,)), (lengths, (1 - time,))]
    return compose.pointwise("order", shape, kind, tensors, steps)


def _known_order(steps: int, time: int, lengths: np.ndarray) -> np.ndarray:
    check_enumerable(steps * lengths.size, "positions")
    t = np.arange(steps).reshape((-1, 1) if time == 0 else (1, -1))
    limit = lengths.reshape((1, -1) if time == 0 else (-1, 1))
    order: np.ndarray = np.where(t < limit, limit - 1 - t, t).astype(np.int64)
    return order
