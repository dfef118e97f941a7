"""Reductions: O[kept] op= A[kept, reduced]."""

from t10c.ir.expression import Operand, ReduceOp, Role, ScalarStep, TensorExpression
from t10c.onnx_import.attributes import argument, integer, integers, normalise_axes
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.compose import Composer, Placed
from t10c.onnx_import.lowering.dims import plain_axes, plain_dims, reduced_dims
from t10c.onnx_import.lowering.elementwise import Step, add_pointwise, broadcast
from t10c.onnx_import.registry import lowers
from t10c.onnx_import.resolved import ResolvedNode

_SQUARE = ScalarStep("Mul", ("A", "A"))
_COPY = ScalarStep("Identity", ("A",))

_REDUCTIONS: dict[str, tuple[ScalarStep, ReduceOp, str]] = {
    "ReduceSum": (_COPY, "sum", ""),
    "ReduceMean": (_COPY, "mean", ""),
    "ReduceMax": (_COPY, "max", ""),
    "ReduceMin": (_COPY, "min", ""),
    "ReduceProd": (_COPY, "prod", ""),
    "ReduceL1": (ScalarStep("Abs", ("A",)), "sum", ""),
    "ReduceL2": (_SQUARE, "sum", "Sqrt"),
    "ReduceSumSquare": (_SQUARE, "sum", ""),
    "ReduceLogSum": (_COPY, "sum", "Log"),
    "ReduceLogSumExp": (ScalarStep("Exp", ("A",)), "sum", "Log"),
}
"""What is reduced, how, and what follows."""


def add_reduce(
    builder: GraphBuilder,
    node: ResolvedNode,
    reduced: tuple[int, ...],
    reduce_op: ReduceOp,
    body: ScalarStep = _COPY,
    epilogue: str = "",
) -> None:
    """Add a reduction of the node's first input; kept dimensions stay or go as its output says."""
    source, output = node.inputs[0], node.outputs[0]
    shape, target = builder.shape(source), builder.shape(output)
    roles: list[Role] = ["reduced" if d in reduced else "parallel" for d in range(len(shape))]
    dims = plain_dims(shape)
    expression = TensorExpression(
        kernel="reduce",
        axes=plain_axes(shape, roles),
        inputs=(Operand("A", dims),),
        output=Operand("C", reduced_dims(dims, reduced, target)),
        body=(body,),
        reduce_op=reduce_op,
        epilogue=(ScalarStep(epilogue, ("acc",)),) if epilogue else (),
    )
    builder.compute("", expression, (source,), output)


@lowers(*_REDUCTIONS)
def lower_reduce(builder: GraphBuilder, node: ResolvedNode) -> None:
    """A reduction; axes are an attribute or, in newer opsets, a known input."""
    axes = integers(node, "axes")
    if axes is None and argument(node, 1):
        axes = tuple(int(a) for a in builder.constant(argument(node, 1), "axes").reshape(-1))
    rank = len(builder.shape(node.inputs[0]))
    if not axes:
        if integer(node, "noop_with_empty_axes", 0):
            return _unreduced(builder, node)
        axes = tuple(range(rank))
    reduced = normalise_axes(axes, rank)
    if node.op_type == "ReduceLogSumExp":
        return _add_log_sum_exp(builder, node, reduced)
    body, reduce_op, epilogue = _REDUCTIONS[node.op_type]
    return add_reduce(builder, node, reduced, reduce_op, body, epilogue)


def _add_log_sum_exp(builder: GraphBuilder, node: ResolvedNode, reduced: tuple[int, ...]) -> None:
    """max + log(sum(exp(a - max))): no exponential overflows; an infinite maximum counts as 0."""
    compose, source, output = Composer(builder), node.inputs[0], node.outputs[0]
    shape, kind = builder.shape(source), builder.element_type(source)
    whole = range(len(shape))
    kept = [d for d in whole if d not in reduced]
    copy, shifted = [Step("Identity", (0,))], [Step("Sub", (0, 1)), Step("Exp", ("s0",))]
    largest = compose.reduce("max", shape, reduced, kind, [(source, whole)], copy, "max")
    finite = [Step("IsInf", (0,)), Step("Where", ("s0", "0", 0))]
    rows = builder.shape(largest)
    shift = compose.pointwise("shift", rows, kind, [largest], finite)
    log = [ScalarStep("Log", ("acc",))]
    sources: list[Placed] = [(source, whole), (shift, kept)]
    total = compose.reduce("sum", shape, reduced, kind, sources, shifted, "sum", "", log)
    join, direct = [Step("Add", (0, 1))], rows == builder.shape(output)
    made = compose.pointwise("", rows, kind, [total, shift], join, output if direct else "")
    return None if direct else builder.reshape(made, output, "join")


def _unreduced(builder: GraphBuilder, node: ResolvedNode) -> None:
    """A reduction over no axes: what comes before and after it is still done."""
    source, output = node.inputs[0], node.outputs[0]
    body, _, epilogue = _REDUCTIONS[node.op_type]
    steps = [] if body is _COPY else [Step(body.op, (0,) * len(body.inputs))]
    if epilogue:
        steps.append(Step(epilogue, ("s0" if steps else 0,)))
    if not steps:
        return builder.reshape(source, output)
    return add_pointwise(builder, "", output, [broadcast(builder, source, output)], steps)


@lowers("ArgMax", "ArgMin")
def lower_arg_reduce(builder: GraphBuilder, node: ResolvedNode) -> None:
    """Position of the largest or smallest element along one axis."""
    shape = builder.shape(node.inputs[0])
    axes = normalise_axes((integer(node, "axis", 0),), len(shape))
    if shape[axes[0]] == 1:
        return Composer(builder).constant(0, node.outputs[0])
    last = ("select_last_index", integer(node, "select_last_index", 0))
    reduce_op: ReduceOp = "max" if node.op_type == "ArgMax" else "min"
    step = ScalarStep(node.op_type, ("A",), (last,))
    return add_reduce(builder, node, axes, reduce_op, step)
