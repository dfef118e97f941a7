"""ONNX file to `Graph`: resolve, then lower and fuse."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from t10c.errors import UnsupportedOperatorError
from t10c.ir.graph import Graph, LayoutOp, NodeClass, NodeRecord
from t10c.onnx_import.commute import commute
from t10c.onnx_import.composite import expand_composites
from t10c.onnx_import.draft import AnyOperator, Draft
from t10c.onnx_import.fusion import fuse, join
from t10c.onnx_import.lowering import LOWERINGS, GraphBuilder, LoweringError, NodeGroup
from t10c.onnx_import.patterns import group_patterns
from t10c.onnx_import.resolve import resolve_model
from t10c.onnx_import.resolved import ResolvedModel, ResolvedNode
from t10c.onnx_import.simplify import Simplified, simplify

_NAMED_FAILURES = 4
"""Most nodes that a message names; the error's `nodes` has all of them."""


def import_model(
    source: str | Path | bytes,
    dims: Mapping[str, int] | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    name: str | None = None,
) -> Graph:
    """Read an ONNX model into a graph of tensor expressions.

    Arguments and errors are those of `resolve_model` and `lower_model`.
    """
    return lower_model(resolve_model(source, dims, shapes, name))


def lower_model(model: ResolvedModel) -> Graph:
    """Lower every node of a resolved model and fuse what never deserves its own superstep.

    Every ONNX node ends in exactly one class. Raises UnsupportedOperatorError, whose `nodes` lists
    every node that has no lowering.
    """
    expanded = expand_composites(model)
    simplified = simplify(expanded.model)
    builder = GraphBuilder(expanded.model)
    _lower_all(builder, group_patterns(simplified.nodes, expanded.model), expanded.owner)
    draft = Draft(builder.operators, model.outputs)
    commute(draft, builder)
    fuse(draft, builder)
    join(draft, builder)
    operators = _live(draft.operators(), model.outputs)
    return Graph(
        name=model.name,
        tensors=tuple(builder.tensor(name) for name in _tensor_names(model, operators)),
        inputs=model.inputs,
        outputs=model.outputs,
        operators=tuple(operators),
        nodes=_records(model, simplified, operators),
        flop_matmul_conv=sum(_flop(node, model.shapes) for node in model.nodes),
        opset=model.opset,
        producer=model.producer,
        warnings=model.warnings,
    )


def _lower_all(
    builder: GraphBuilder, groups: Sequence[NodeGroup], owner: Mapping[str, str]
) -> None:
    failures: list[tuple[ResolvedNode, str]] = []
    for group in groups:
        names = dict.fromkeys(owner.get(name, name) for name in group.nodes)
        builder.begin(replace(group, nodes=tuple(names)))
        try:
            _lower(builder, group.node)
        except LoweringError as reason:
            node = replace(group.node, name=owner.get(group.node.name, group.node.name))
            failures.append((node, str(reason)))
    if failures:
        nodes = tuple((node.name, node.op_type) for node, _ in failures)
        raise UnsupportedOperatorError(_unsupported_message(failures), nodes)


def _lower(builder: GraphBuilder, node: ResolvedNode) -> None:
    lowering = None if node.domain else LOWERINGS.get(node.op_type)
    if lowering is None:
        raise LoweringError("there is no lowering for this operator")
    lowering(builder, node)


def _unsupported_message(failures: Sequence[tuple[ResolvedNode, str]]) -> str:
    """How many of what; the first nodes by name with their reasons; what to do: three lines."""
    kinds = Counter(_qualified(node) for node, _ in failures)
    counted = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    shown = [
        f"'{node.name}' ({_qualified(node)}): {' '.join(reason.split())}"
        for node, reason in failures[:_NAMED_FAILURES]
    ]
    if len(failures) > len(shown):
        shown.append(f"and {len(failures) - len(shown)} more")
    return (
        f"unsupported operators: {counted}\n"
        f"{'; '.join(shown)}\n"
        "export the model with other standard operators or attributes, or cut the graph before them"
    )


def _qualified(node: ResolvedNode) -> str:
    return f"{node.domain}.{node.op_type}" if node.domain else node.op_type


def _live(operators: Sequence[AnyOperator], outputs: Iterable[str]) -> list[AnyOperator]:
    """Operators whose result is used, in order."""
    needed = set(outputs)
    kept = []
    for operator in reversed(operators):
        if operator.output in needed:
            needed.update(operator.inputs)
            kept.append(operator)
    return kept[::-1]


def _tensor_names(model: ResolvedModel, operators: Sequence[AnyOperator]) -> Iterable[str]:
    """Every tensor the graph refers to: inputs, then as operators meet them, then outputs."""
    names = dict.fromkeys(model.inputs)
    for operator in operators:
        names.update(dict.fromkeys((*operator.inputs, operator.output)))
    names.update(dict.fromkeys(model.outputs))
    return names


def _records(
    model: ResolvedModel, simplified: Simplified, operators: Sequence[AnyOperator]
) -> tuple[NodeRecord, ...]:
    """The fate of every ONNX node, in the model's order, folded ones first."""
    fates = _fates(operators)
    records = list(model.folded)
    for node in model.nodes:
        if node.name in simplified.renamed:
            fate, operator, note = NodeClass.LAYOUT_ONLY, "", "renames its input"
        elif node.name in simplified.repeated:
            twin = simplified.repeated[node.name]
            fate, operator = fates.get(twin, (NodeClass.FUSED, ""))
            fate = NodeClass.FUSED if fate is NodeClass.PLANNED else fate
            note = f"computes the same as {twin}"
        elif node.name in fates:
            (fate, operator), note = fates[node.name], ""
        else:
            fate, operator, note = NodeClass.FUSED, "", "read as a broadcast by its users"
        records.append(NodeRecord(node.name, node.op_type, fate, operator, note))
    return tuple(records)


def _fates(operators: Sequence[AnyOperator]) -> dict[str, tuple[NodeClass, str]]:
    """Class and operator of each node that some operator stands for.

    A node that names a planned operator is planned, whatever else it became; one within another's
    operator is fused.
    """
    fates: dict[str, tuple[NodeClass, str]] = {}
    rank = {NodeClass.LAYOUT_ONLY: 0, NodeClass.FUSED: 1, NodeClass.PLANNED: 2}
    for operator in operators:
        for index, node in enumerate(operator.nodes):
            if isinstance(operator, LayoutOp):
                fate = NodeClass.LAYOUT_ONLY
            else:
                fate = NodeClass.FUSED if index else NodeClass.PLANNED
            if node not in fates or rank[fate] > rank[fates[node][0]]:
                fates[node] = (fate, operator.name)
    return fates


def _flop(node: ResolvedNode, shapes: Mapping[str, tuple[int, ...]]) -> int:
    """2 x MAC of a MatMul, Gemm or Conv node, else 0."""
    if node.domain or node.op_type not in ("MatMul", "Gemm", "Conv"):
        return 0
    output = math.prod(shapes[node.outputs[0]])
    if node.op_type == "Conv":
        return 2 * output * math.prod(shapes[node.inputs[1]][1:])
    left = shapes[node.inputs[0]]
    flipped = node.op_type == "Gemm" and node.attributes.get("transA", 0)
    return 2 * output * (left[0] if flipped else left[-1])


__all__ = ["import_model", "lower_model"]
