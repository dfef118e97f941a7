"""Composite operators that exporters took apart, put back together before lowering.

Recognised: layer norm and RMS norm up to their division, and softmax. What surrounds them (scale,
bias, GELU, SiLU, ...) is pointwise, and fusion.py takes it in.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from t10c.onnx_import.attributes import integer, integers
from t10c.onnx_import.lowering.builder import NodeGroup
from t10c.onnx_import.resolved import ResolvedModel, ResolvedNode


@dataclass(frozen=True, slots=True)
class _Match:
    """A composite: its operator type, input, normalised axes and the nodes inside."""

    op_type: str
    source: str
    axes: tuple[int, ...]
    inner: tuple[ResolvedNode, ...]
    epsilon: float | None = None


def group_patterns(nodes: Sequence[ResolvedNode], model: ResolvedModel) -> list[NodeGroup]:
    """The nodes in order, each decomposed composite as one node in the place of its last node.

    The new node has an attribute `axes` and no scale or bias. A match counts only if none of its
    inner results is used elsewhere.
    """
    matcher = _Matcher(nodes, model)
    matches: dict[str, _Match] = {}
    taken: set[str] = set()
    for node in nodes:
        match = matcher.match(node)
        if match is None:
            continue
        names = {inner.name for inner in match.inner}
        if matcher.private(match.inner, node) and taken.isdisjoint(names):
            matches[node.name] = match
            taken |= names
    groups = []
    for node in nodes:
        if node.name in matches:
            groups.append(_composite(node, matches[node.name]))
        elif node.name not in taken:
            groups.append(NodeGroup(node, (node.name,)))
    return groups


def _composite(node: ResolvedNode, match: _Match) -> NodeGroup:
    attributes: dict[str, object] = {"axes": match.axes}
    if match.epsilon is not None:
        attributes["epsilon"] = match.epsilon
    whole = ResolvedNode(
        name=node.name,
        op_type=match.op_type,
        domain="",
        inputs=(match.source,),
        outputs=node.outputs,
        attributes=attributes,
    )
    inner = dict.fromkeys(inner.name for inner in match.inner)
    return NodeGroup(whole, (node.name, *inner))


class _Matcher:
    """Matches upwards from the last node of a composite."""

    def __init__(self, nodes: Sequence[ResolvedNode], model: ResolvedModel) -> None:
        self._shapes = model.shapes
        self._constants: Mapping[str, np.ndarray] = model.constants
        self._outputs = frozenset(model.outputs)
        self._producer = {tensor: node for node in nodes for tensor in node.outputs if tensor}
        self._users: dict[str, set[str]] = {}
        for node in nodes:
            for tensor in node.inputs:
                self._users.setdefault(tensor, set()).add(node.name)

    def match(self, node: ResolvedNode) -> _Match | None:
        """The composite that ends in this node, if any."""
        if node.op_type == "Div":
            return self._softmax(node) or self._divided_norm(node)
        if node.op_type == "Mul":
            return self._multiplied_norm(node)
        return None

    def private(self, inner: Iterable[ResolvedNode], last: ResolvedNode) -> bool:
        """Whether only the composite itself uses its inner results."""
        nodes = list(inner)
        names = {node.name for node in nodes} | {last.name}
        return all(
            tensor not in self._outputs and self._users.get(tensor, set()) <= names
            for node in nodes
            for tensor in node.outputs
        )

    def _made_by(self, tensor: str, *op_types: str) -> ResolvedNode | None:
        node = self._producer.get(tensor)
        return node if node is not None and node.op_type in op_types else None

    def _scalar(self, tensor: str) -> float | None:
        value = self._constants.get(tensor)
        if value is None or value.size != 1:
            return None
        return float(value.reshape(-1)[0])

    def _reduction(self, tensor: str, op_type: str) -> tuple[ResolvedNode, tuple[int, ...]] | None:
        """A reduction that keeps its dimensions, with its axes counted from the front."""
        node = self._made_by(tensor, op_type)
        if node is None or not integer(node, "keepdims", 1):
            return None
        axes = integers(node, "axes")
        if axes is None and len(node.inputs) > 1 and node.inputs[1]:
            value = self._constants.get(node.inputs[1])
            axes = None if value is None else tuple(int(v) for v in value.reshape(-1))
        rank = len(self._shapes[node.inputs[0]])
        if not axes or any(not -rank <= axis < rank for axis in axes):
            return None
        return node, tuple(sorted(axis % rank for axis in axes))

    def _softmax(self, last: ResolvedNode) -> _Match | None:
        """Div(e, ReduceSum(e)), e = Exp(x) or Exp(x - ReduceMax(x))."""
        exp = self._made_by(last.inputs[0], "Exp")
        total = self._reduction(last.inputs[1], "ReduceSum")
        if exp is None or total is None or total[0].inputs[0] != exp.outputs[0]:
            return None
        axes, source = total[1], exp.inputs[0]
        inner = [total[0], exp]
        difference = self._made_by(source, "Sub")
        if difference is not None:
            largest = self._reduction(difference.inputs[1], "ReduceMax")
            shifted = difference.inputs[0]
            if largest is not None and largest[1] == axes and largest[0].inputs[0] == shifted:
                inner += [difference, largest[0]]
                source = shifted
        return _Match("Softmax", source, axes, tuple(inner))

    def _divided_norm(self, last: ResolvedNode) -> _Match | None:
        """Div(x, Sqrt(...))."""
        return self._norm(last.inputs[0], last.inputs[1])

    def _multiplied_norm(self, last: ResolvedNode) -> _Match | None:
        """Mul(x, Reciprocal(Sqrt(...))) or Mul(x, Div(1, Sqrt(...))), in either order."""
        for value, factor in (last.inputs, last.inputs[::-1]):
            inverse = self._made_by(factor, "Reciprocal", "Div")
            if inverse is None:
                continue
            if inverse.op_type == "Div" and self._scalar(inverse.inputs[0]) != 1.0:
                continue
            match = self._norm(value, inverse.inputs[-1], (inverse,))
            if match is not None:
                return match
        return None

    def _norm(
        self, value: str, deviation: str, inner: tuple[ResolvedNode, ...] = ()
    ) -> _Match | None:
        """value / deviation with deviation = Sqrt(ReduceMean(value ** 2) + epsilon)."""
        root = self._made_by(deviation, "Sqrt")
        total = self._made_by(root.inputs[0], "Add") if root else None
        if root is None or total is None:
            return None
        for mean_tensor, constant in (total.inputs, total.inputs[::-1]):
            epsilon = self._scalar(constant)
            mean = self._reduction(mean_tensor, "ReduceMean")
            if epsilon is None or mean is None:
                continue
            square = self._squared(mean[0].inputs[0])
            if square is None:
                return None
            inner = (*inner, root, total, mean[0], square)
            return self._centred(value, square.inputs[0], mean[1], inner, epsilon)
        return None

    def _squared(self, tensor: str) -> ResolvedNode | None:
        node = self._made_by(tensor, "Pow", "Mul")
        if node is None:
            return None
        if node.op_type == "Pow":
            return node if self._scalar(node.inputs[1]) == 2.0 else None
        return node if node.inputs[0] == node.inputs[1] else None

    def _centred(
        self,
        value: str,
        squared: str,
        axes: tuple[int, ...],
        inner: tuple[ResolvedNode, ...],
        epsilon: float,
    ) -> _Match | None:
        """Layer norm if what is squared is x - mean(x), else RMS norm of it.

        Some exporters subtract twice, once for the square and once for the numerator; simplify.py
        has merged these.
        """
        if value != squared:
            return None
        difference = self._made_by(value, "Sub")
        mean = self._reduction(difference.inputs[1], "ReduceMean") if difference else None
        if difference is not None and mean is not None:
            same = mean[0].inputs[0] == difference.inputs[0] and mean[1] == axes
            if same and self.private((*inner, difference, mean[0]), self._last_user(value, inner)):
                nodes = (*inner, difference, mean[0])
                return _Match("LayerNormalization", difference.inputs[0], axes, nodes, epsilon)
        return _Match("RMSNormalization", value, axes, inner, epsilon)

    def _last_user(self, value: str, inner: tuple[ResolvedNode, ...]) -> ResolvedNode:
        """A stand-in for the composite's last node: whoever else uses the centred value."""
        names = {node.name for node in inner}
        others = sorted(self._users.get(value, set()) - names)
        name = others[0] if len(others) == 1 else ""
        return ResolvedNode(name, "", "", (), (), {})
