"""ONNX file to `Graph`: resolve, then lower and fuse."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from onnx import ModelProto

from t10c.ir.graph import Graph, LayoutOp, NodeClass, NodeRecord, with_widths
from t10c.onnx_import.commute import commute
from t10c.onnx_import.draft import AnyOperator, Draft
from t10c.onnx_import.fusion import fuse, join
from t10c.onnx_import.load import read_model
from t10c.onnx_import.lower import Lowered, lower_nodes
from t10c.onnx_import.names import operator_name
from t10c.onnx_import.prologue import sink_dequantisation
from t10c.onnx_import.raising import raise_quantisation
from t10c.onnx_import.resolve import default_name, located, resolve_with_facts
from t10c.onnx_import.resolved import ResolvedModel, ResolvedNode
from t10c.onnx_import.shorten import import_repeated, lower_repeated
from t10c.onnx_import.tensors import TensorFact


def import_model(
    source: str | Path | bytes,
    dims: Mapping[str, int] | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    name: str | None = None,
    values: Mapping[str, object] | None = None,
) -> Graph:
    """Read an ONNX model into a graph of tensor expressions.

    Arguments and errors are those of `resolve_model` and `lower_model`.
    """
    with located(source):
        file = read_model(source)
        name = name or default_name(source)

        def resolve(part: ModelProto) -> tuple[ResolvedModel, Mapping[str, TensorFact]]:
            return resolve_with_facts(part, file.directory, dims, shapes, name, values)

        if not values:
            graph = import_repeated(file, resolve, _lowered_graph, _flop)
            if graph is not None:
                return graph
        return lower_model(resolve(file.model)[0])


def lower_model(model: ResolvedModel) -> Graph:
    """Lower every node of a resolved model and fuse what never deserves its own superstep.

    Every ONNX node ends in exactly one class. Raises UnsupportedOperatorError, whose `nodes` lists
    every node that no operator can stand for, and InvalidInputError for a damaged node.
    """
    return lower_repeated(model, _lowered_graph, _flop) or _lowered_graph(model)


def _lowered_graph(model: ResolvedModel) -> Graph:
    """`lower_model`, node by node."""
    lowered, draft = lower_to_stored(model)
    builder = lowered.builder
    commute(draft, builder)
    raise_quantisation(draft, builder)
    fuse(draft, builder)
    join(draft, builder)
    operators = _live(draft.operators(), model.outputs)
    tensors = tuple(builder.tensor(name) for name in _tensor_names(model, operators))
    return Graph(
        name=model.name,
        tensors=tensors,
        inputs=model.inputs,
        outputs=model.outputs,
        operators=with_widths(operators, tensors),
        nodes=_records(model, lowered, operators),
        flop_matmul_conv=sum(_flop(node, model) for node in model.nodes),
        opset=model.opset,
        producer=model.producer,
        warnings=model.warnings,
        bindings=model.bindings,
    )


def lower_to_stored(model: ResolvedModel) -> tuple[Lowered, Draft]:
    """Lower every node and let operators read stored values; all derived weights are known then."""
    lowered = lower_nodes(model)
    draft = Draft(lowered.builder.operators, model.outputs)
    raise_quantisation(draft, lowered.builder)
    sink_dequantisation(draft, lowered.builder)
    return lowered, draft


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
    model: ResolvedModel, lowered: Lowered, operators: Sequence[AnyOperator]
) -> tuple[NodeRecord, ...]:
    """The fate of every ONNX node, in the model's order, folded ones first.

    The nodes that stand for an expanded one share its record: the highest of their classes.
    """
    fates = _fates(operators)
    found: dict[str, NodeRecord] = {}
    for node in model.nodes:
        name = node.owner or node.name
        record = _record(node, lowered, fates)
        if name not in found or _RANK[record.node_class] > _RANK[found[name].node_class]:
            op_type = model.expanded[name] if node.owner else record.op_type
            found[name] = replace(record, name=name, op_type=op_type)
    return (*model.folded, *found.values())


def _record(
    node: ResolvedNode, lowered: Lowered, fates: Mapping[str, tuple[NodeClass, str]]
) -> NodeRecord:
    """The fate of one node that was not folded."""
    name, simplified = node.owner or node.name, lowered.simplified
    if node.name in simplified.renamed:
        fate, operator, note = NodeClass.LAYOUT_ONLY, "", "renames its input"
    elif node.name in simplified.repeated:
        twin = simplified.repeated[node.name]
        fate, operator = fates.get(twin, (NodeClass.FUSED, ""))
        fate = NodeClass.LAYOUT_ONLY if fate is NodeClass.LAYOUT_ONLY else NodeClass.FUSED
        note = f"computes the same as {twin}"
    elif name in fates:
        (fate, operator), note = fates[name], lowered.builder.fallbacks.get(name, "")
    elif all(lowered.builder.is_weight(tensor) for tensor in node.outputs if tensor):
        fate, operator, note = NodeClass.FOLDED, "", "weight"
    else:
        fate, operator, note = NodeClass.FUSED, "", "read as a broadcast by its users"
    return NodeRecord(node.name, operator_name(node), fate, operator, note)


_RANK = {
    NodeClass.FOLDED: -1,
    NodeClass.LAYOUT_ONLY: 0,
    NodeClass.FUSED: 1,
    NodeClass.PLANNED: 2,
    NodeClass.FALLBACK: 3,
}


def _fates(operators: Sequence[AnyOperator]) -> dict[str, tuple[NodeClass, str]]:
    """Class and operator of each node that some operator stands for.

    A node that names a planned operator is planned, whatever else it became; one within another's
    operator is fused; one of which any part is a fallback is a fallback.
    """
    fates: dict[str, tuple[NodeClass, str]] = {}
    for operator in operators:
        for index, node in enumerate(operator.nodes):
            fate = NodeClass.FUSED if index else NodeClass.PLANNED
            if isinstance(operator, LayoutOp):
                fate = NodeClass.LAYOUT_ONLY
            elif operator.expression.kernel == "fallback" and not index:
                fate = NodeClass.FALLBACK
            if node not in fates or _RANK[fate] > _RANK[fates[node][0]]:
                fates[node] = (fate, operator.name)
    return fates


_PRODUCTS = {
    "Conv": 1, "ConvInteger": 1, "QLinearConv": 3,
    "Gemm": 1, "MatMul": 1, "MatMulInteger": 1, "QLinearMatMul": 3,
}  # fmt: skip
"""Nodes whose work is counted, and the position of their second factor."""


def _flop(node: ResolvedNode, model: ResolvedModel) -> int:
    """2 x MAC of a MatMul, Gemm or Conv node, quantised ones included, else 0."""
    if node.domain or node.op_type not in _PRODUCTS:
        return 0
    shapes = model.shapes
    output = math.prod(shapes[node.outputs[0]])
    if "Conv" in node.op_type:
        return 2 * output * math.prod(shapes[node.inputs[_PRODUCTS[node.op_type]]][1:])
    left = shapes[node.inputs[0]]
    flipped = node.op_type == "Gemm" and node.attributes.get("transA", 0)
    return 2 * output * (left[0] if flipped else left[-1])


__all__ = ["import_model", "lower_model", "lower_to_stored"]
