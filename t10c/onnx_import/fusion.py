"""Fusion: pointwise operators that never deserve their own superstep join their producer.

C = A @ B;  y = C + bias;  g = Gelu(y)       ->  one matmul, epilogue Add(acc, F0), Gelu(s0)
y = conv(x);  s = Sigmoid(y);  z = y * s     ->  one conv, epilogue Sigmoid(acc), Mul(acc, s0)
"""

import heapq
import math
from dataclasses import dataclass, field

from t10c.ir.expression import Dim, Operand, ScalarStep, TensorExpression
from t10c.ir.graph import LayoutOp, Operator
from t10c.onnx_import.draft import AnyOperator, Draft, Position
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.dims import Terms, squeezed


def fuse(draft: Draft, builder: GraphBuilder) -> None:
    """Let every operator take in the pointwise operators after it, in execution order.

    A group joins its producer if it computes element by element on the producer's output, its
    other operands are literals or weights no larger than the producer's inputs, and only its last
    result is used outside. Reshapes that only add or drop dimensions of size 1 do not part a group.
    """
    for name in draft.names():
        if name in draft:
            producer = draft[name]
            if isinstance(producer, Operator):
                members = _Growth(draft, builder, producer).members()
                if members:
                    _merge(draft, builder, producer, members)


class _Growth:
    """The search for the operators that can join one producer."""

    def __init__(self, draft: Draft, builder: GraphBuilder, producer: Operator) -> None:
        self._draft = draft
        self._builder = builder
        self._producer = producer
        self._shape = squeezed(builder.shape(producer.output))
        self._largest = max(
            (math.prod(builder.shape(tensor)) for tensor in producer.inputs), default=1
        )
        self._own = _own_operands(producer)
        self._values = {producer.output}

    def members(self) -> list[AnyOperator]:
        """The group, in execution order: users of the output and of what they compute.

        If that yields none, a pointwise producer is tried together with other users of its inputs:
        they may meet again (x / 2 * (1 + tanh(x)) begins with two operators on x).
        """
        found = self._closed_run((self._producer.output,))
        if not found and self._own:
            found = self._closed_run((self._producer.output, *self._own))
        return found

    def _closed_run(self, roots: tuple[str, ...]) -> list[AnyOperator]:
        """The longest run of users of the roots of which only the last result escapes."""
        self._values = {self._producer.output}
        members: list[AnyOperator] = []
        best = 0
        queue: list[tuple[Position, str]] = []
        first = self._draft.position(self._producer.name)
        seen = {self._producer.name}
        for root in roots:
            self._enqueue(root, queue, seen)
        queue = [entry for entry in queue if entry[0] > first]
        heapq.heapify(queue)
        while queue:
            operator = self._draft[heapq.heappop(queue)[1]]
            if not self._joins(operator):
                continue
            members.append(operator)
            self._values.add(operator.output)
            self._enqueue(operator.output, queue, seen)
            if isinstance(operator, Operator) and self._escapes(members) == {operator.output}:
                best = len(members)
        return members[:best]

    def _enqueue(self, tensor: str, queue: list[tuple[Position, str]], seen: set[str]) -> None:
        for user in self._draft.users(tensor):
            if user not in seen:
                seen.add(user)
                heapq.heappush(queue, (self._draft.position(user), user))

    def _escapes(self, members: list[AnyOperator]) -> set[str]:
        """Values of the group that someone outside reads, and values no one reads."""
        inside = {operator.name for operator in members}
        return {
            value
            for value in self._values
            if self._draft.is_output(value)
            or not (users := self._draft.users(value))
            or any(user not in inside for user in users)
        }

    def _joins(self, operator: AnyOperator) -> bool:
        if squeezed(self._builder.shape(operator.output)) != self._shape:
            return False
        if isinstance(operator, LayoutOp):
            return operator.kind == "reshape"
        expression = operator.expression
        if expression.kernel != "pointwise":
            return False
        output = _squeezed_terms(expression.output)
        return all(
            self._reads(tensor, operand, output)
            for tensor, operand in zip(operator.inputs, expression.inputs, strict=True)
        )

    def _reads(self, tensor: str, operand: Operand, output: list[Terms]) -> bool:
        """Whether the group can supply this operand."""
        if tensor in self._values:
            return _squeezed_terms(operand) == output
        if self._builder.is_weight(tensor):
            return math.prod(dim.size for dim in operand.dims) <= self._largest
        return tensor in self._own and _squeezed_terms(operand) == output


def _own_operands(producer: Operator) -> dict[str, str]:
    """Full-size inputs of a pointwise producer by tensor: its group may read them again."""
    expression = producer.expression
    if expression.kernel != "pointwise":
        return {}
    output = _squeezed_terms(expression.output)
    return {
        tensor: operand.name
        for tensor, operand in zip(producer.inputs, expression.inputs, strict=True)
        if _squeezed_terms(operand) == output
    }


def _squeezed_terms(operand: Operand) -> list[Terms]:
    return [dim.terms for dim in operand.dims if dim.size != 1]


@dataclass(slots=True)
class _Merger:
    """The producer's expression while steps are being appended to it."""

    steps: list[ScalarStep]
    operands: list[Operand]
    tensors: list[str]
    names: dict[str, str]
    builder: GraphBuilder
    fused: dict[tuple[str, tuple[Dim, ...]], str] = field(default_factory=dict)

    def append(self, operator: Operator, target: list[Dim], first: int) -> None:
        """Add a pointwise operator's steps; `target` are the producer's long output dimensions."""
        expression = operator.expression
        axis_terms = {
            terms[0][0]: dim.terms
            for terms, dim in zip(_squeezed_terms(expression.output), target, strict=True)
        }
        local = {
            operand.name: self._operand(tensor, operand, axis_terms)
            for tensor, operand in zip(operator.inputs, expression.inputs, strict=True)
        }
        base = first + len(self.steps)
        own = [*expression.body, *expression.epilogue]
        local |= {f"s{index}": f"s{base + index}" for index in range(len(own))}
        local["acc"] = f"s{base + len(expression.body) - 1}"
        self.steps += [
            ScalarStep(s.op, tuple(local.get(name, name) for name in s.inputs), s.attributes)
            for s in own
        ]
        self.names[operator.output] = f"s{base + len(own) - 1}"

    def _operand(self, tensor: str, operand: Operand, axis_terms: dict[str, Terms]) -> str:
        """The name under which the merged expression knows an operand."""
        if tensor in self.names:
            return self.names[tensor]
        dims = tuple(
            Dim(axis_terms[dim.terms[0][0]] if dim.terms else (), dim.size) for dim in operand.dims
        )
        key = (tensor, dims)
        if key not in self.fused:
            taken = sum(item.fused for item in self.operands)
            self.fused[key] = f"F{taken}"
            self.operands.append(Operand(f"F{taken}", dims, fused=True))
            self.tensors.append(tensor)
        return self.fused[key]


def _merge(
    draft: Draft, builder: GraphBuilder, producer: Operator, members: list[AnyOperator]
) -> None:
    """Replace producer and members by one operator in the producer's place."""
    old = producer.expression
    own = _own_operands(producer)
    inner = {producer.output, *(m.output for m in members)}
    # An operand may have rotated away when the epilogue runs: who reads it belongs to the body.
    in_body = any(t in own for m in members for t in m.inputs if t not in inner)
    count = len(old.body) + len(old.epilogue)
    produced = f"s{count - 1}" if old.epilogue or in_body else "acc"
    merger = _Merger(
        [], list(old.inputs), list(producer.inputs), {**own, producer.output: produced}, builder
    )
    target = [dim for dim in old.output.dims if dim.size != 1]
    for member in members:
        if isinstance(member, Operator):
            merger.append(member, target, count)
        else:
            merger.names[member.output] = merger.names[member.inputs[0]]
    output = members[-1].output
    dims = iter(target)
    shape = builder.shape(output)
    expression = TensorExpression(
        kernel=old.kernel,
        axes=old.axes,
        inputs=tuple(merger.operands),
        output=Operand(
            old.output.name, tuple(next(dims) if size != 1 else Dim((), 1) for size in shape)
        ),
        body=(*old.body, *merger.steps) if in_body else old.body,
        reduce_op=old.reduce_op,
        epilogue=old.epilogue if in_body else (*old.epilogue, *merger.steps),
    )
    nodes = dict.fromkeys((*producer.nodes, *(n for m in members for n in m.nodes)))
    merged = Operator(
        name=producer.name,
        op_type=producer.op_type,
        expression=expression,
        inputs=tuple(merger.tensors),
        output=output,
        nodes=tuple(nodes),
    )
    position = draft.position(producer.name)
    for member in members:
        draft.remove(member.name)
    draft.put(merged, position)
