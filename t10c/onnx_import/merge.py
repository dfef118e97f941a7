"""Putting pointwise operators into the expression of the operator before them."""

import itertools
from collections.abc import Sequence
from functools import lru_cache

from t10c.ir.expression import Dim, Operand, ScalarStep, TensorExpression
from t10c.ir.graph import Operator
from t10c.onnx_import.draft import AnyOperator
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.dims import Terms
from t10c.onnx_import.lowering.elementwise import operand_letter

_Key = tuple[int, tuple[Dim, ...]]


def merge(builder: GraphBuilder, producer: Operator, members: Sequence[AnyOperator]) -> Operator:
    """The producer with the members' steps appended; its output is the last member's.

    Members are pointwise operators on the producer's output, and reshapes between them. Weights
    become fused operands, other tensors operands of a pointwise producer. Steps go into the
    epilogue, or into the body if one of them reads an operand that is not fused: by the time of
    the epilogue that one may have rotated away.
    """
    numbers: dict[str, int] = {}
    first, *others = (_link(operator, numbers) for operator in (producer, *members))
    output = members[-1].output
    weights = frozenset(i for tensor, i in numbers.items() if builder.is_weight(tensor))
    expression, inputs = _merged(first, tuple(others), weights, builder.shape(output))
    names = list(numbers)
    nodes = dict.fromkeys((*producer.nodes, *(n for m in members for n in m.nodes)))
    return Operator(
        name=producer.name,
        op_type=producer.op_type,
        expression=expression,
        inputs=tuple(names[i] for i in inputs),
        output=output,
        nodes=tuple(nodes),
    )


_Link = tuple[TensorExpression | None, tuple[int, ...], int]
"""An operator's expression (None: a reshape), and its inputs and output as numbers of tensors."""


def _link(operator: AnyOperator, numbers: dict[str, int]) -> _Link:
    """The operator over numbered tensors; `numbers` gets those that it does not have."""
    inputs = tuple(numbers.setdefault(tensor, len(numbers)) for tensor in operator.inputs)
    output = numbers.setdefault(operator.output, len(numbers))
    return operator.expression if isinstance(operator, Operator) else None, inputs, output


@lru_cache(maxsize=1024)
def _merged(
    producer: _Link, members: tuple[_Link, ...], weights: frozenset[int], shape: tuple[int, ...]
) -> tuple[TensorExpression, tuple[int, ...]]:
    """The merged expression, with an output of the given shape, and what it reads."""
    merger = _Merger(producer, weights)
    for expression, inputs, output in members:
        if expression is None:
            merger.rename(inputs[0], output)
        else:
            merger.append(expression, inputs, output)
    return merger.expression(shape), tuple(merger.tensors)


class _Merger:
    """The producer's expression while steps are being appended to it."""

    def __init__(self, producer: _Link, weights: frozenset[int]) -> None:
        expression, inputs, output = producer
        assert expression is not None, "a producer computes"
        self._weights = weights
        self._old = expression
        self._long_dims = [dim for dim in self._old.output.dims if dim.size != 1]
        self._operands = list(self._old.inputs)
        self._names: dict[_Key, str] = {
            (tensor, operand.dims): operand.name
            for tensor, operand in zip(inputs, self._old.inputs, strict=True)
        }
        self._values = {output: "produced"}
        self._steps: list[ScalarStep] = []
        self._count = len(self._old.body) + len(self._old.epilogue)
        self.tensors = list(inputs)

    def rename(self, source: int, target: int) -> None:
        """Know a value as another tensor too."""
        self._values[target] = self._values[source]

    def append(self, expression: TensorExpression, inputs: tuple[int, ...], output: int) -> None:
        """Add a pointwise operator's steps."""
        long_dims = [dim for dim in expression.output.dims if dim.size != 1]
        terms = {
            own.terms[0][0]: dim.terms for own, dim in zip(long_dims, self._long_dims, strict=True)
        }
        local = {
            operand.name: self._operand(tensor, operand, terms)
            for tensor, operand in zip(inputs, expression.inputs, strict=True)
        }
        base = self._count + len(self._steps)
        own_steps = [*expression.body, *expression.epilogue]
        local |= {f"s{index}": f"s{base + index}" for index in range(len(own_steps))}
        local["acc"] = f"s{base + len(expression.body) - 1}"
        self._steps += [_renamed(step, local) for step in own_steps]
        self._values[output] = f"s{base + len(own_steps) - 1}"

    def _operand(self, tensor: int, operand: Operand, terms: dict[str, Terms]) -> str:
        """The name of an operand in the merged expression."""
        if tensor in self._values:
            return self._values[tensor]
        dims = tuple(
            Dim(terms[dim.terms[0][0]] if dim.terms else (), dim.size, dim.offset)
            for dim in operand.dims
        )
        key = (tensor, dims)
        if key not in self._names:
            product = self._old.kernel in ("matmul", "conv")
            fused = operand.fused or product or tensor in self._weights
            self._names[key] = self._new_name(fused)
            self._operands.append(Operand(self._names[key], dims, fused))
            self.tensors.append(tensor)
        return self._names[key]

    def _new_name(self, fused: bool) -> str:
        taken = {operand.name for operand in self._operands}
        alike = sum(operand.fused == fused for operand in self._operands)
        wanted = (f"F{i}" if fused else operand_letter(i) for i in itertools.count(alike))
        return next(name for name in wanted if name not in taken)

    def expression(self, shape: tuple[int, ...]) -> TensorExpression:
        """The merged expression, with an output of the given shape."""
        old = self._old
        moving = {operand.name for operand in self._operands if not operand.fused}
        in_body = any(name in moving for step in self._steps for name in step.inputs)
        body, epilogue = old.body, old.epilogue
        last = f"s{self._count - 1}"
        if in_body:
            before = {"acc": f"s{len(body) - 1}"}
            body = (*body, *(_renamed(step, before) for step in epilogue))
            epilogue = ()
        produced = last if in_body or epilogue else "acc"
        steps = [_renamed(step, {"produced": produced}) for step in self._steps]
        dims = iter(self._long_dims)
        return TensorExpression(
            kernel=old.kernel,
            axes=old.axes,
            inputs=tuple(self._operands),
            output=Operand(
                old.output.name,
                tuple(next(dims) if size != 1 else Dim((), 1) for size in shape),
            ),
            body=(*body, *steps) if in_body else body,
            reduce_op=old.reduce_op,
            epilogue=epilogue if in_body else (*epilogue, *steps),
        )


def _renamed(step: ScalarStep, names: dict[str, str]) -> ScalarStep:
    inputs = tuple(names.get(name, name) for name in step.inputs)
    return ScalarStep(step.op, inputs, step.attributes, step.rows)
