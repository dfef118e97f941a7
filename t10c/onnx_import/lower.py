"""Nodes to operators: by a lowering, else by the standard's function body, else as a fallback."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from t10c.errors import InvalidInputError, UnsupportedOperatorError
from t10c.onnx_import.attributes import DAMAGED, DamagedNodeError
from t10c.onnx_import.composite import function_body
from t10c.onnx_import.lowering import (
    GraphBuilder,
    LoweringError,
    NodeGroup,
    add_fallback,
)
from t10c.onnx_import.names import operator_name
from t10c.onnx_import.patterns import group_patterns
from t10c.onnx_import.registry import LOWERINGS
from t10c.onnx_import.resolved import ResolvedModel, ResolvedNode
from t10c.onnx_import.simplify import Simplified, simplify

_NAMED_FAILURES = 4
"""Most nodes that a message names; the error's `nodes` has all of them."""

_DEPTH = 4
"""How often a body may contain further composites; the standard's do at most twice."""


@dataclass(frozen=True)
class Lowered:
    """What the builder has collected, and which of the model's nodes went before that."""

    builder: GraphBuilder
    simplified: Simplified


def lower_nodes(model: ResolvedModel) -> Lowered:
    """Lower every node of a resolved model; nothing is fused yet.

    Raises UnsupportedOperatorError, whose `nodes` lists every node that no operator can stand for,
    and InvalidInputError for a node that is damaged.
    """
    builder = GraphBuilder(model)
    lowerer = _Lowerer(builder)
    simplified = lowerer.run(model, {node.name: node.owner for node in model.nodes if node.owner})
    if lowerer.failures:
        nodes = tuple((node.name, node.op_type) for node, _ in lowerer.failures)
        raise UnsupportedOperatorError(_unsupported_message(lowerer.failures), nodes)
    return Lowered(builder, simplified)


class _Lowerer:
    """Lowers nodes in order, and those of function bodies in the place of their node."""

    def __init__(self, builder: GraphBuilder) -> None:
        self._builder = builder
        self.failures: list[tuple[ResolvedNode, str]] = []

    def run(self, model: ResolvedModel, owner: Mapping[str, str], depth: int = 0) -> Simplified:
        """Lower all nodes of a model or body; `owner` maps its nodes to nodes of the file."""
        simplified = simplify(model)
        for group in group_patterns(simplified.nodes, model):
            if owner:
                names = dict.fromkeys(owner.get(name, name) for name in group.nodes)
                group = replace(group, nodes=tuple(names))
            self._lower(group, depth)
        return simplified

    def _lower(self, group: NodeGroup, depth: int) -> None:
        builder, node = self._builder, group.node
        builder.begin(group)
        try:
            lowering = LOWERINGS.get((node.domain, node.op_type))
            if lowering is None:
                raise LoweringError("it has no tensor expression")
            return lowering.function(builder, node)
        except LoweringError as error:
            reason = str(error)
        except DamagedNodeError as error:
            raise InvalidInputError(
                f"node '{builder.node}' ({operator_name(node)}): {error}\n"
                "correct the value, or export the model again"
            ) from error
        except DAMAGED as error:
            # shape inference lets some nodes pass that no definition covers
            builder.undo()
            self._fail(node, f"its operands do not fit its definition ({error})")
            return None
        builder.undo()
        body = function_body(builder, node) if depth < _DEPTH else None
        if body is not None:
            builder.adopt(body)
            self.run(body, {inner.name: builder.node for inner in body.nodes}, depth + 1)
            return None
        try:
            return add_fallback(builder, node, reason)
        except LoweringError as error:
            self._fail(node, str(error))
            return None

    def _fail(self, node: ResolvedNode, reason: str) -> None:
        self.failures.append((replace(node, name=self._builder.node), reason))


def _unsupported_message(failures: Sequence[tuple[ResolvedNode, str]]) -> str:
    """How many of what; the first nodes by name with their reasons; what to do: three lines."""
    kinds = Counter(operator_name(node) for node, _ in failures)
    counted = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    shown = [
        f"'{node.name}' ({operator_name(node)}): {' '.join(reason.split())}"
        for node, reason in failures[:_NAMED_FAILURES]
    ]
    if len(failures) > len(shown):
        shown.append(f"and {len(failures) - len(shown)} more")
    return (
        f"unsupported operators: {counted}\n"
        f"{'; '.join(shown)}\n"
        "export the model with other standard operators or attributes, or cut the graph before them"
    )
