"""Fusion: pointwise operators that never deserve their own superstep join their producer.

C = A @ B;  y = C + bias;  g = Gelu(y)       ->  one matmul, epilogue Add(acc, F0), Gelu(s0)
y = conv(x);  s = Sigmoid(y);  z = y * s     ->  one conv, epilogue Sigmoid(acc), Mul(acc, s0)
"""

import heapq
import math

from t10c.ir.expression import Operand
from t10c.ir.graph import LayoutOp, Operator, is_narrow
from t10c.onnx_import.draft import AnyOperator, Draft, Position
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.dims import Terms, squeezed
from t10c.onnx_import.merge import merge

_JOINED_OPERANDS = 4
"""Most tensors, fused ones aside, that a joined operator may read: each must be laid out alike."""

_SEARCHED = 32
"""Most operators to look at when asking what an activation follows from."""


def fuse(draft: Draft, builder: GraphBuilder) -> None:
    """Let every operator take in the pointwise operators after it, in execution order.

    A group joins its producer if it computes element by element on the producer's output, its
    other operands are literals or weights no larger than the producer's inputs, and only its last
    result is used outside. A product of narrow integers also takes in scales, zero points and
    biases that are activations, which dynamic quantisation makes. Reshapes that only add or drop
    dimensions of size 1 do not part a group.
    """
    for name in draft.names():
        if name in draft:
            producer = draft[name]
            # what runs on one core keeps its users, which run on all
            if isinstance(producer, Operator) and producer.expression.kernel != "fallback":
                members = _Growth(draft, builder, producer).members()
                if members:
                    merged = merge(builder, producer, members)
                    late = _comes_later(draft, merged, draft.position(name))
                    position = draft.position(members[-1].name if late else name)
                    _replace(draft, [producer, *members], merged, position)


def join(draft: Draft, builder: GraphBuilder) -> None:
    """Let pointwise operators join the pointwise operator that alone reads their result.

    p = q * cos;  r = rotated * sin;  y = p + r      ->  one operator of four operands
    """
    for name in draft.names():
        while name in draft and (user := _reader_to_join(draft, builder, name)) is not None:
            producer = draft[name]
            assert isinstance(producer, Operator)
            merged = merge(builder, producer, [user])
            _replace(draft, [producer, user], merged, draft.position(user.name))


def _reader_to_join(draft: Draft, builder: GraphBuilder, name: str) -> Operator | None:
    producer = draft[name]
    user = draft.only_user(producer.output)
    if not isinstance(producer, Operator) or not isinstance(user, Operator):
        return None
    return user if _may_join(producer, user, builder) else None


def _may_join(producer: Operator, user: Operator, builder: GraphBuilder) -> bool:
    first, second = producer.expression, user.expression
    if (first.kernel, second.kernel) != ("pointwise", "pointwise"):
        return False
    shapes = [squeezed(builder.shape(operator.output)) for operator in (producer, user)]
    output = _squeezed_terms(second.output)
    passes = all(
        _squeezed_terms(operand) == output
        for tensor, operand in zip(user.inputs, second.inputs, strict=True)
        if tensor == producer.output
    )
    tensors = {
        tensor
        for operator in (producer, user)
        for tensor, operand in zip(operator.inputs, operator.expression.inputs, strict=True)
        if tensor != producer.output and not operand.fused and not builder.is_weight(tensor)
    }
    return shapes[0] == shapes[1] and passes and len(tensors) <= _JOINED_OPERANDS


def _comes_later(draft: Draft, operator: Operator, position: Position) -> bool:
    """Whether an input of the operator is only made after this position."""
    makers = (draft.producer(tensor) for tensor in operator.inputs)
    return any(maker is not None and draft.position(maker.name) > position for maker in makers)


def _replace(draft: Draft, old: list[AnyOperator], merged: Operator, position: Position) -> None:
    for operator in old:
        draft.remove(operator.name)
    draft.put(merged, position)


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
        self._narrow = producer.expression.kernel in ("matmul", "conv") and all(
            is_narrow(builder.element_type(tensor)) for tensor in producer.inputs[:2]
        )
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
            return True  # as many elements as the output: it cannot broadcast
        if self._builder.is_weight(tensor):
            return math.prod(dim.size for dim in operand.dims) <= self._largest
        if self._narrow and len(_squeezed_terms(operand)) <= 1:
            return self._independent(tensor)
        return tensor in self._own and _squeezed_terms(operand) == output

    def _independent(self, tensor: str) -> bool:
        """Whether an activation follows from other tensors than the producer's output, and soon."""
        first = self._draft.position(self._producer.name)
        pending, seen = [tensor], set[str]()
        while pending and len(seen) < _SEARCHED:
            maker = self._draft.producer(pending.pop())
            if maker is None or maker.name in seen or self._draft.position(maker.name) < first:
                continue
            if maker.name == self._producer.name:
                return False
            seen.add(maker.name)
            pending.extend(maker.inputs)
        return not pending


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
