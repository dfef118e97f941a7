"""Matmuls of recurrent operators: the input's, of all steps at once, and the state's, of one step.

    P[t,d,b,g,n] += X[t,b,k] * W[d,g,n,k]
    G[d,b,g,n] += h[d,b,k] * R[d,g,n,k]; then Add P[t,d,b,g,n]

Gates have a dimension of their own, so that a plan can keep all gates of a hidden unit on the core
that computes its cell. Weights of 8 bits meet codes of X or h, and the sum of products of integers
is scaled behind the product.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from t10c.ir.expression import Dim, Operand, ScalarStep, TensorExpression
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.dims import AxisList, Shape
from t10c.onnx_import.lowering.dynamic_range import Codes
from t10c.onnx_import.lowering.quantised import AS_INTEGER


@dataclass(frozen=True, slots=True)
class Weights:
    """W or R as [directions, gates, hidden, k], or [directions, k, gates, hidden] where `flipped`.

    Quantised ones have a `scale` and perhaps a `zero_point`, [directions] or [directions, gates,
    hidden]; `zero` is the zero point as a literal where it is known and the same everywhere.
    """

    tensor: str
    flipped: bool = False
    scale: str = ""
    zero_point: str = ""
    zero: str = "0"

    def factors(self, left: str | Codes) -> tuple[str, ...]:
        """The tensors that a product of `left` and these reads, in the order of its operands."""
        if isinstance(left, str):
            return (left, self.tensor)
        points = (left.zero_point, self.zero_point) if self.zero_point else (left.zero_point,)
        return (left.tensor, self.tensor, *points, left.scale, self.scale)

    def mapped(self, change: Callable[[str, str], str]) -> "Weights":
        """The weights with every tensor changed; `change` also gets what follows its name."""
        return replace(
            self,
            tensor=change(self.tensor, ""),
            scale=change(self.scale, ".scale") if self.scale else "",
            zero_point=change(self.zero_point, ".zero_point") if self.zero_point else "",
        )

    def gates(self, builder: GraphBuilder) -> int:
        """Number of gates."""
        return builder.shape(self.tensor)[2 if self.flipped else 1]


def with_gates(builder: GraphBuilder, suffix: str, given: Weights, hidden: int) -> Weights:
    """The weights of a node, where gates lie side by side in one dimension, with one of their own.

    Raises LoweringError where the dimensions do not fit.
    """

    def split(tensor: str, label: str) -> str:
        shape = builder.shape(tensor)
        axis = 2 if given.flipped and not label else 1
        if len(shape) > 1:
            shape = (*shape[:axis], shape[axis] // hidden, hidden, *shape[axis + 1 :])
        return reshaped(builder, f"{suffix}{label}", tensor, shape)

    return given.mapped(split)


def reshaped(builder: GraphBuilder, suffix: str, tensor: str, shape: Shape) -> str:
    """The same elements in another shape: of a weight a weight of its own, of data a view."""
    if builder.shape(tensor) == shape:
        return tensor
    if builder.is_weight(tensor):
        kind = builder.element_type(tensor)
        return builder.derived_weight(suffix, shape, kind, lambda v: v.reshape(shape), (tensor,))
    target = builder.temporary(suffix, shape, tensor)
    builder.reshape(tensor, target, suffix)
    return target


def part(
    builder: GraphBuilder, suffix: str, tensor: str, axis: int, start: int, length: int
) -> str:
    """Some of a tensor along one axis: of a weight a weight of its own, of data a slice."""
    shape = list(builder.shape(tensor))
    if length == shape[axis]:
        return tensor
    shape[axis] = length
    starts = [start if d == axis else 0 for d in range(len(shape))]
    if builder.is_weight(tensor):
        box = tuple(slice(s, s + n) for s, n in zip(starts, shape, strict=True))
        kind = builder.element_type(tensor)
        formula = _selection(box)
        return builder.derived_weight(suffix, tuple(shape), kind, formula, (tensor,))
    target = builder.temporary(suffix, tuple(shape), tensor)
    builder.slice(tensor, target, starts, (1,) * len(shape), suffix)
    return target


def _selection(box: tuple[slice, ...]) -> Callable[[np.ndarray], np.ndarray]:
    def select(value: np.ndarray) -> np.ndarray:
        return value[box]

    return select


def input_expression(
    builder: GraphBuilder, source: str, weights: Weights, target: str, batchwise: bool
) -> TensorExpression:
    """The product of the whole input with all directions' weights.

    The input is [steps, batch, k], or [directions, steps, batch, k] where each has its own.
    Quantised weights take an input that is quantised as a whole.
    """
    steps, directions, batch, gates, hidden = builder.shape(target)
    *own, depth = builder.shape(source)
    each = len(own) == 3
    axes = AxisList()
    t = Dim(axes.add("m0", steps, "m"), steps)
    b = Dim(axes.add("m1", batch, "m"), batch)
    d = Dim(axes.add("n0", directions, "batch" if each else "n"), directions)
    g = Dim(axes.add("n1", gates, "n"), gates)
    n = Dim(axes.add("n2", hidden, "n"), hidden)
    k = Dim(axes.add("k", depth, "k", reduction=True), depth)
    left: tuple[Dim, ...] = (b, t, k) if batchwise else (t, b, k)
    if each:
        left = (d, t, b, k)
    return _product(builder, axes, left, weights, (d, g, n, k), (t, d, b, g, n), ())


def state_expression(
    builder: GraphBuilder, state: Shape, weights: Weights, first: int, gates: int
) -> TensorExpression:
    """The product of a state [1, directions, batch, k] with R, plus an addend unless `gates` is 0.

    The addend is read from gate `first` on of a tensor of so many gates. It counts as a fused
    operand: every core needs what belongs to its outputs, once. Quantised weights take a state that
    is quantised direction by direction.
    """
    _, directions, batch, hidden = state
    axes = AxisList()
    d = Dim(axes.add("b", directions, "batch"), directions)
    m = Dim(axes.add("m", batch, "m"), batch)
    g = Dim(axes.add("n0", weights.gates(builder), "n"), weights.gates(builder))
    n = Dim(axes.add("n1", hidden, "n"), hidden)
    k = Dim(axes.add("k", hidden, "k", reduction=True), hidden)
    one = Dim((), 1)
    output = (one, d, m, g, n)
    made = _product(builder, axes, (one, d, m, k), weights, (d, g, n, k), output, (d,))
    if not gates:
        return made
    name = f"F{len(made.inputs) - 2}"
    dims = (one, d, m, replace(g, size=gates, offset=first), n)
    last = f"s{len(made.body) + len(made.epilogue) - 1}" if made.epilogue else "acc"
    epilogue = (*made.epilogue, ScalarStep("Add", (last, name)))
    return replace(made, inputs=(*made.inputs, Operand(name, dims, fused=True)), epilogue=epilogue)


def _product(
    builder: GraphBuilder,
    axes: AxisList,
    left: tuple[Dim, ...],
    weights: Weights,
    weight_dims: tuple[Dim, Dim, Dim, Dim],
    output: tuple[Dim, ...],
    left_scale: tuple[Dim, ...],
) -> TensorExpression:
    """Left input times weights; `left_scale` are the dimensions of a quantised one's scale."""
    d, g, n, k = weight_dims
    right = (d, k, g, n) if weights.flipped else (d, g, n, k)
    plain = TensorExpression(
        kernel="matmul",
        axes=axes.axes,
        inputs=(Operand("A", left), Operand("B", right)),
        output=Operand("C", output),
        body=(ScalarStep("Mul", ("A", "B")),),
        reduce_op="sum",
    )
    if not weights.scale:
        return plain
    columns = {
        tensor: (d, g, n)[: len(builder.shape(tensor))]
        for tensor in (weights.scale, weights.zero_point)
        if tensor
    }
    return _of_codes(builder, plain, weights, left_scale, columns)


def _of_codes(
    builder: GraphBuilder,
    plain: TensorExpression,
    weights: Weights,
    left_scale: tuple[Dim, ...],
    columns: Mapping[str, tuple[Dim, ...]],
) -> TensorExpression:
    """The product of stored integers less their zero points, times both scales.

    `columns` has the dimensions of the scale and the zero point of the weights. Operands are those
    that `Weights.factors` names.
    """
    fused: list[tuple[Dim, ...]] = [left_scale]
    factor = "B"
    body = [ScalarStep("Sub", ("A", "F0"), AS_INTEGER)]
    if weights.zero_point or weights.zero != "0":
        point = weights.zero
        if weights.zero_point:
            point = f"F{len(fused)}"
            fused.append(columns[weights.zero_point])
        factor = f"s{len(body)}"
        body.append(ScalarStep("Sub", ("B", point), AS_INTEGER))
    body.append(ScalarStep("Mul", ("s0", factor), AS_INTEGER))
    scales = (f"F{len(fused)}", f"F{len(fused) + 1}")
    fused += [left_scale, columns[weights.scale]]
    first = len(body)
    return replace(
        plain,
        inputs=(
            *plain.inputs,
            *(Operand(f"F{i}", dims, fused=True) for i, dims in enumerate(fused)),
        ),
        body=tuple(body),
        epilogue=(
            ScalarStep("Cast", ("acc",), (("to", builder.element_type(weights.scale)),)),
            ScalarStep("Mul", scales),
            ScalarStep("Mul", (f"s{first}", f"s{first + 1}")),
        ),
    )
