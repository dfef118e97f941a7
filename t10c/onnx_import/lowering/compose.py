"""Lowerings that need several operators write them as calls; each returns the tensor it makes.

The last call of a lowering names the node's own output (`into`); the others make temporaries.
"""

from collections.abc import Sequence

import numpy as np

from t10c.ir.expression import Dim, Operand, ReduceOp, Role, ScalarStep, TensorExpression
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.dims import Shape, plain_axes, plain_dims, reduced_dims
from t10c.onnx_import.lowering.elementwise import (
    Argument,
    Step,
    add_pointwise,
    named_steps,
    operand_letter,
)

Placed = tuple[str, Sequence[int]]
"""A tensor and, for each of its dimensions, the dimension of the result that it runs along."""


class Composer:
    """Adds operators to a builder; `name` is the suffix of the operator and of its result."""

    def __init__(self, builder: GraphBuilder) -> None:
        self.builder = builder

    def shape(self, tensor: str) -> Shape:
        """Shape of a tensor."""
        return self.builder.shape(tensor)

    def new(self, name: str, shape: Shape, kind: str) -> str:
        """A tensor for an operator that the caller adds."""
        return self.builder.new_tensor(f"{self.builder.node}.{name}", shape, kind)

    def _target(self, name: str, shape: Shape, kind: str, into: str) -> str:
        return into or self.new(name or "result", shape, kind)

    def weight(self, name: str, value: np.ndarray) -> str:
        """A weight of known value."""
        kind = str(value.dtype)
        return self.builder.derived_weight(name, value.shape, kind, lambda: value)

    def constant(self, value: float, output: str) -> None:
        """An output that is the same number everywhere: a weight under the output's name."""
        shape, kind = self.shape(output), self.builder.element_type(output)
        made = self.builder.derived_weight(
            "constant", shape, kind, lambda: np.full(shape, value, kind)
        )
        self.builder.reshape(made, output)

    def iota(self, name: str, length: int, kind: str) -> str:
        """The weight 0, 1, ..., length - 1."""
        return self.builder.derived_weight(
            name, (length,), kind, lambda: np.arange(length).astype(kind)
        )

    def reshape(self, name: str, tensor: str, shape: Shape, into: str = "") -> str:
        """The same elements in another shape; the tensor itself if it has that already."""
        if not into and self.shape(tensor) == shape:
            return tensor
        output = self._target(name, shape, self.builder.element_type(tensor), into)
        self.builder.reshape(tensor, output, name)
        return output

    def transpose(self, name: str, tensor: str, perm: Sequence[int], into: str = "") -> str:
        """Dimension i of the result is dimension perm[i]; the tensor itself if none moves."""
        if not into and list(perm) == sorted(perm):
            return tensor
        shape = self.shape(tensor)
        kind = self.builder.element_type(tensor)
        output = self._target(name, tuple(shape[d] for d in perm), kind, into)
        self.builder.transpose(tensor, output, perm, name)
        return output

    def cut(
        self,
        name: str,
        tensor: str,
        axis: int,
        start: int,
        stop: int,
        step: int = 1,
        into: str = "",
    ) -> str:
        """Elements start, start + step, ... below stop of an axis; the tensor if that is all."""
        shape = list(self.shape(tensor))
        if not into and (start, stop, step) == (0, shape[axis], 1):
            return tensor
        starts, steps = [0] * len(shape), [1] * len(shape)
        shape[axis], starts[axis], steps[axis] = len(range(start, stop, step)), start, step
        output = self._target(name, tuple(shape), self.builder.element_type(tensor), into)
        self.builder.slice(tensor, output, starts, steps, name)
        return output

    def slice(
        self,
        name: str,
        tensor: str,
        shape: Shape,
        starts: Sequence[int],
        steps: Sequence[int] = (),
    ) -> str:
        """The part of the given shape from `starts` on, at strides of `steps` (default 1)."""
        paces = tuple(steps) or (1,) * len(shape)
        if self.shape(tensor) == shape and not any(starts) and set(paces) <= {1}:
            return tensor
        output = self.builder.temporary(name, shape, tensor)
        self.builder.slice(tensor, output, starts, paces, name)
        return output

    def pad(self, name: str, tensor: str, shape: Shape, starts: Sequence[int] = ()) -> str:
        """The tensor at `starts` (default 0) in zeros of the given shape; itself if it fills it."""
        if self.shape(tensor) == shape:
            return tensor
        output = self.builder.temporary(name, shape, tensor)
        self.builder.pad(tensor, output, tuple(starts) or (0,) * len(shape), name)
        return output

    def expand(self, name: str, tensor: str, shape: Shape) -> str:
        """The tensor broadcast to the shape as in NumPy; itself if it has that already."""
        if self.shape(tensor) == shape:
            return tensor
        output = self.builder.temporary(name, shape, tensor)
        self.builder.expand(tensor, output, name)
        return output

    def concat(self, name: str, tensors: Sequence[str], axis: int, into: str = "") -> str:
        """Tensors joined along one axis."""
        shape = list(self.shape(tensors[0]))
        shape[axis] = sum(self.shape(tensor)[axis] for tensor in tensors)
        kind = self.builder.element_type(tensors[0])
        output = self._target(name, tuple(shape), kind, into)
        self.builder.concat(tensors, output, axis, name)
        return output

    def pointwise(
        self,
        name: str,
        shape: Shape,
        kind: str,
        tensors: Sequence[str | Placed],
        steps: Sequence[Step],
        into: str = "",
    ) -> str:
        """Steps over tensors that broadcast to `shape`, aligned right or placed."""
        output = self._target(name, shape, kind, into)
        arguments = [self._argument(tensor, shape) for tensor in tensors]
        add_pointwise(self.builder, name, output, arguments, steps)
        return output

    def _argument(self, item: str | Placed, shape: Shape) -> Argument:
        tensor, dims = item if isinstance(item, tuple) else (item, None)
        return Argument(tensor, placed_dims(self.shape(tensor), dims, len(shape)))

    def reduce(
        self,
        name: str,
        shape: Shape,
        reduced: Sequence[int],
        kind: str,
        tensors: Sequence[Placed],
        steps: Sequence[Step],
        reduce_op: ReduceOp,
        into: str = "",
        epilogue: Sequence[ScalarStep] = (),
    ) -> str:
        """Steps over an iteration space of `shape`, then a reduction over its axes `reduced`.

        The result has the other axes, in order; `into` may have 1 in the place of a reduced one.
        """
        kept = [d for d in range(len(shape)) if d not in reduced]
        output = self._target(name, tuple(shape[d] for d in kept), kind, into)
        dims = plain_dims(shape)
        roles: list[Role] = ["reduced" if d in reduced else "parallel" for d in range(len(shape))]
        letters, inputs = self._operands(tensors, len(shape))
        expression = TensorExpression(
            kernel="reduce",
            axes=plain_axes(shape, roles),
            inputs=tuple(operand for operand, _ in inputs),
            output=Operand("C", reduced_dims(dims, reduced, self.shape(output))),
            body=named_steps(steps, letters),
            reduce_op=reduce_op,
            epilogue=tuple(epilogue),
        )
        self.builder.compute(name, expression, [tensor for _, tensor in inputs], output)
        return output

    def _operands(
        self, tensors: Sequence[Placed], rank: int
    ) -> tuple[list[str], list[tuple[Operand, str]]]:
        """The name of each tensor, and operands with their tensors, those that move first.

        Weights of one dimension are too small for it to pay that their pieces rotate.
        """
        letters: list[str] = []
        moving: list[tuple[Operand, str]] = []
        whole: list[tuple[Operand, str]] = []
        for tensor, at in tensors:
            dims = placed_dims(self.shape(tensor), at, rank)
            fused = len(dims) == 1 and self.builder.is_weight(tensor)
            letter = f"F{len(whole)}" if fused else operand_letter(len(moving))
            letters.append(letter)
            (whole if fused else moving).append((Operand(letter, dims, fused), tensor))
        return letters, [*moving, *whole]


def placed_dims(shape: Shape, dims: Sequence[int] | None, rank: int) -> tuple[Dim, ...]:
    """Dimensions over the axes `d0`, `d1`, ... of a result of that rank; size 1 has no axis."""
    at = range(rank - len(shape), rank) if dims is None else dims
    return tuple(
        Dim((), 1) if size == 1 else Dim(((f"d{d}", 1),), size)
        for size, d in zip(shape, at, strict=True)
    )
