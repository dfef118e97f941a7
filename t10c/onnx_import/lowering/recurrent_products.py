"""Matmuls of recurrent operators: the input's, of all steps at once, and the state's, of one step.

    P[t,d,b,n] += X[t,b,k] * W[d,n,k]          G[d,b,n] += h[d,b,k] * R[d,n,k] ; then Add P[t,d,b,n]

Weights that are not of the state's type are dequantised within the tile.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from t10c.ir.expression import Dim, Operand, ScalarStep, TensorExpression
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.dims import AxisList, Shape


@dataclass(frozen=True, slots=True)
class Weights:
    """W or R: [directions, n, k], or [directions, k, n] where `flipped`.

    Quantised ones have a `scale` and perhaps a `zero_point`, [directions] or [directions, n].
    """

    tensor: str
    flipped: bool = False
    scale: str = ""
    zero_point: str = ""

    @property
    def tensors(self) -> tuple[str, ...]:
        """The tensors a product reads besides its left input, in the order of its operands."""
        return tuple(filter(None, (self.tensor, self.zero_point, self.scale)))

    def of_directions(
        self, builder: GraphBuilder, suffix: str, start: int, count: int
    ) -> "Weights":
        """The weights of some directions only."""

        def cut(what: str, tensor: str) -> str:
            return part(builder, f"{suffix}{what}", tensor, 0, start, count) if tensor else ""

        return replace(
            self,
            tensor=cut("", self.tensor),
            scale=cut(".scale", self.scale),
            zero_point=cut(".zero_point", self.zero_point),
        )


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
    """The product of the whole input [steps, batch, k] with all directions' weights."""
    steps, directions, batch, columns = builder.shape(target)
    depth = builder.shape(source)[2]
    axes = AxisList()
    t = Dim(axes.add("m0", steps, "m"), steps)
    b = Dim(axes.add("m1", batch, "m"), batch)
    d = Dim(axes.add("n0", directions, "n"), directions)
    n = Dim(axes.add("n1", columns, "n"), columns)
    k = Dim(axes.add("k", depth, "k", reduction=True), depth)
    left = (b, t, k) if batchwise else (t, b, k)
    return _product(builder, axes, left, weights, (d, n, k), (t, d, b, n))


def state_expression(
    builder: GraphBuilder, state: Shape, weights: Weights, columns: int, start: int, width: int
) -> TensorExpression:
    """The product of a state [1, directions, batch, k] with R, plus an addend if `width` is not 0.

    The addend is read from column `start` on of a tensor that is `width` wide. It counts as a fused
    operand: every core needs what belongs to its outputs, once.
    """
    _, directions, batch, depth = state
    axes = AxisList()
    d = Dim(axes.add("b", directions, "batch"), directions)
    m = Dim(axes.add("m", batch, "m"), batch)
    n = Dim(axes.add("n", columns, "n"), columns)
    k = Dim(axes.add("k", depth, "k", reduction=True), depth)
    one = Dim((), 1)
    made = _product(builder, axes, (one, d, m, k), weights, (d, n, k), (one, d, m, n))
    if not width:
        return made
    name = f"F{len(made.inputs) - 2}"
    addend = Operand(name, (one, d, m, replace(n, size=width, offset=start)), fused=True)
    epilogue = (ScalarStep("Add", ("acc", name)),)
    return replace(made, inputs=(*made.inputs, addend), epilogue=epilogue)


def _product(
    builder: GraphBuilder,
    axes: AxisList,
    left: tuple[Dim, ...],
    weights: Weights,
    weight_dims: tuple[Dim, Dim, Dim],
    output: tuple[Dim, ...],
) -> TensorExpression:
    d, n, k = weight_dims
    right = (d, k, n) if weights.flipped else (d, n, k)
    inputs = [Operand("A", left), Operand("B", right)]
    body: list[ScalarStep] = []
    value = "B"
    if weights.scale:
        kind = builder.element_type(weights.scale)
        body.append(ScalarStep("Cast", ("B",), (("to", kind),)))
        for op, tensor in (("Sub", weights.zero_point), ("Mul", weights.scale)):
            if tensor:
                name = f"F{len(inputs) - 2}"
                dims = (d, n)[: len(builder.shape(tensor))]
                inputs.append(Operand(name, dims, fused=True))
                body.append(ScalarStep(op, (f"s{len(body) - 1}", name)))
        value = f"s{len(body) - 1}"
    return TensorExpression(
        kernel="matmul",
        axes=axes.axes,
        inputs=tuple(inputs),
        output=Operand("C", output),
        body=(*body, ScalarStep("Mul", ("A", value))),
        reduce_op="sum",
    )
