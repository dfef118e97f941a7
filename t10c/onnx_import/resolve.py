"""ONNX file to `ResolvedModel`: the first half of the import."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
from onnx import AttributeProto, GraphProto, NodeProto, helper, numpy_helper

from t10c.errors import InvalidInputError, T10cError, UnsupportedOperatorError
from t10c.ir.graph import NodeClass, NodeRecord
from t10c.onnx_import.bind import Bound, bind_inputs
from t10c.onnx_import.declared import contradictions, declared_tensors
from t10c.onnx_import.fixed import FixedValues
from t10c.onnx_import.fold import Folder, UnsupportedNode
from t10c.onnx_import.infer import ShapeInference
from t10c.onnx_import.load import normalise, opset_versions, read_model
from t10c.onnx_import.names import NEWEST_DOMAIN, NameScope, name_nodes, operator_name
from t10c.onnx_import.registry import load_operators
from t10c.onnx_import.resolved import AttributeValue, ResolvedModel, ResolvedNode
from t10c.onnx_import.structure import (
    check_producers,
    needed_names,
    reaching,
    topological_order,
)
from t10c.onnx_import.tensors import (
    TensorFact,
    element_type_name,
    from_proto,
    shape_text,
    sparse_fact,
)
from t10c.onnx_import.walk import fold_nodes


def resolve_model(
    source: str | Path | bytes,
    dims: Mapping[str, int] | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    name: str | None = None,
    values: Mapping[str, object] | None = None,
) -> ResolvedModel:
    """Load a model, bind its dimensions, and fold all that does not change between inferences.

    `dims` gives sizes to symbols, `shapes` to whole inputs; `values` (arrays, or numbers and nested
    lists) makes inputs constants. Weights are never read. `name` defaults to the file's stem, or
    to the graph's name for bytes.

    Raises FileAccessError (no such file), InvalidInputError (not a valid model, unbound
    dimension), UsageError (a name in `dims`, `shapes` or `values` that the model does not have, or
    a value that its input cannot hold) and UnsupportedOperatorError, whose `nodes` lists every
    unsupported node.
    """
    with located(source):
        file = read_model(source)
        name = name or default_name(source)
        return resolve_with_facts(file.model, file.directory, dims, shapes, name, values)[0]


def default_name(source: str | Path | bytes) -> str:
    """What a model is called after its file; nothing for bytes."""
    return "" if isinstance(source, bytes) else Path(source).stem


def resolve_with_facts(
    model: onnx.ModelProto,
    directory: Path | None,
    dims: Mapping[str, int] | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    name: str | None = None,
    values: Mapping[str, object] | None = None,
) -> tuple[ResolvedModel, Mapping[str, TensorFact]]:
    """`resolve_model` of what `read_model` has read; changes the model in place.

    Also what is known of all tensors, those folded away included.
    """
    load_operators()
    versions = opset_versions(model)
    model = normalise(model)
    graph = model.graph
    facts = _initial_facts(graph, directory)
    check_producers(graph)
    bound = bind_inputs(graph, dims or {}, shapes or {}, values)
    facts.update(bound.inputs)
    node_names = name_nodes(graph.node)
    folder = _fold(model, versions, facts, node_names, directory, bound.sizes)
    name = name or graph.name or "model"
    return _assemble(model, name, versions[""], bound, folder), folder.facts


@contextmanager
def located(source: str | Path | bytes) -> Iterator[None]:
    """Put the file's name in front of an error that does not name it."""
    try:
        yield
    except T10cError as error:
        text = str(error)
        if not isinstance(source, bytes) and str(source) not in text:
            error.args = (f"{source}: {text}", *error.args[1:])
        raise


def _initial_facts(graph: GraphProto, directory: Path | None) -> dict[str, TensorFact]:
    facts = {
        tensor.name: from_proto(tensor, tensor.name, directory) for tensor in graph.initializer
    }
    facts.update((sparse.values.name, sparse_fact(sparse)) for sparse in graph.sparse_initializer)
    return facts


def _fold(
    model: onnx.ModelProto,
    versions: Mapping[str, int],
    facts: Mapping[str, TensorFact],
    node_names: NameScope,
    directory: Path | None,
    sizes: Mapping[str, int],
) -> Folder:
    """Fold the nodes that reach an output; raises UnsupportedOperatorError naming all it met."""
    outputs = [value.name for value in model.graph.output]
    given = list(model.graph.node)
    read = [needed_names(node) for node in given]
    order = topological_order(given, read, facts)
    nodes, needs = [given[index] for index in order], [read[index] for index in order]
    live = reaching([node.output for node in nodes], needs, outputs)
    folder = Folder(facts, ShapeInference(versions), versions, directory)
    used_nodes = [node for node, used in zip(nodes, live, strict=True) if used]
    folder.declare(declared_tensors(model.graph, sizes), used_nodes)
    used_needs = [names for names, used in zip(needs, live, strict=True) if used]
    fold_nodes(folder, used_nodes, outputs, used_needs, node_names, sizes)
    if folder.unsupported:
        raise UnsupportedOperatorError(
            _unsupported_message(folder.unsupported),
            tuple((node.name, node.operator) for node in folder.unsupported),
        )
    folder.records.extend(_unused(node) for node, used in zip(nodes, live, strict=True) if not used)
    return folder


def _unsupported_message(nodes: Sequence[UnsupportedNode]) -> str:
    """The first unsupported node with its reason, and how many more there are."""
    first = nodes[0]
    text = f"node '{first.name}' ({first.operator}) is not supported: {first.reason}"
    if len(nodes) > 1:
        names = ", ".join(sorted({node.operator for node in nodes})[:6])
        text += f"\n{len(nodes)} nodes are not supported, with the operators {names}"
    remedy = first.remedy or "export the model with standard ONNX operators and static shapes"
    return f"{text}\n{remedy}"


def _unused(node: NodeProto | ResolvedNode) -> NodeRecord:
    return NodeRecord(node.name, operator_name(node), NodeClass.FOLDED, note="unused")


def _assemble(
    model: onnx.ModelProto, name: str, opset: int, bound: Bound, folder: Folder
) -> ResolvedModel:
    """What is left of the model, without nodes whose only use was folded away."""
    outputs = tuple(value.name for value in model.graph.output)
    inputs = tuple(name for name, fact in bound.inputs.items() if not fact.fixed)
    kept = list(_resolved_nodes(folder.kept, folder.owners))
    made, read = [node.outputs for node in kept], [node.inputs for node in kept]
    live = reaching(made, read, outputs)
    nodes = [node for node, used in zip(kept, live, strict=True) if used]
    shared = _views_of_shared_weights(folder.relabelled, nodes)
    nodes = [*_resolved_nodes(shared, folder.owners), *nodes]
    restored = {node.name for node in shared}
    folded = [r for r in folder.records if r.name not in restored]
    folded += _folded_owners(folder, nodes)
    views = {node.output[0] for node in shared}
    unused = [
        _unused(node) for node, used in zip(kept, live, strict=True) if not used and not node.owner
    ]
    tensors = dict.fromkeys([*inputs, *outputs])
    for resolved in nodes:
        tensors.update(dict.fromkeys(resolved.inputs + resolved.outputs))
    tensors.pop("", None)
    for tensor in tensors:
        if tensor not in folder.facts:
            raise InvalidInputError(
                f"no node gives the tensor '{tensor}' a value\n"
                "a node has fewer results than outputs; export the model again"
            )
    facts = {tensor: folder.facts[tensor] for tensor in tensors}
    return ResolvedModel(
        name=name,
        opset=opset,
        producer=" ".join(part for part in (model.producer_name, model.producer_version) if part),
        inputs=inputs,
        outputs=outputs,
        nodes=tuple(nodes),
        shapes={tensor: fact.shape for tensor, fact in facts.items()},
        element_types={t: element_type_name(fact.element_type) for t, fact in facts.items()},
        constants={t: fact.value for t, fact in facts.items() if fact.value is not None},
        weights=frozenset(
            t for t, f in facts.items() if f.fixed and f.value is None and t not in views
        ),
        folded=(*folded, *unused),
        warnings=(
            *bound.warnings,
            *folder.warnings,
            *contradictions(model.graph, folder.facts, bound.sizes),
            *_empty_outputs(outputs, facts),
            *bound.notes,
        ),
        expanded=dict(folder.owners.values()),
        fixed=_fixed_values(folder, facts),
        bindings=bound.record,
    )


def _fixed_values(folder: Folder, facts: Mapping[str, TensorFact]) -> FixedValues:
    """Where those of the tensors come from that are weights of unknown value."""
    wanted = {name for name, fact in facts.items() if fact.fixed and fact.value is None}
    computed = folder.folded
    live = reaching([node.output for node in computed], [node.input for node in computed], wanted)
    nodes = tuple(node for node, used in zip(folder.folded, live, strict=True) if used)
    made = {name for node in nodes for name in node.output if name in folder.facts}
    given = {
        name: folder.facts[name]
        for name in dict.fromkeys([*wanted, *(name for node in nodes for name in node.input)])
        if name and name not in made
    }
    constants = {name: fact.value for name, fact in given.items() if fact.value is not None}
    for node in nodes:
        if node.op_type == "CastLike" and not folder.facts[node.input[1]].fixed:
            kind = folder.facts[node.input[1]].element_type  # all that is used of it
            constants[node.input[1]] = np.zeros((), helper.tensor_dtype_to_np_dtype(kind))
    return FixedValues(
        {name: fact.source for name, fact in given.items() if fact.source is not None},
        constants,
        nodes,
        {name: folder.facts[name].shape for name in sorted({*made, *given})},
        {name: folder.facts[name].element_type for name in sorted({*made, *given})},
        folder.versions,
    )


def _folded_owners(folder: Folder, nodes: Sequence[ResolvedNode]) -> Iterator[NodeRecord]:
    """Expanded nodes of which nothing is left."""
    left = {node.owner for node in nodes}
    for name, operator in dict(folder.owners.values()).items():
        if name not in left:
            yield NodeRecord(name, operator, NodeClass.FOLDED, note="constant")


def _views_of_shared_weights(
    relabelled: Sequence[NodeProto], nodes: Sequence[ResolvedNode]
) -> list[NodeProto]:
    """Folded nodes to bring back: their output and the weight they relabel are both read.

    The two are one tensor (an embedding table that is also the output head, transposed); folding
    would count its memory twice.
    """
    producer = {node.output[0]: node for node in relabelled}
    read = {name for node in nodes for name in node.inputs}
    restored: dict[str, NodeProto] = {}
    for node in relabelled:
        if node.output[0] not in read:
            continue
        chain = [node]
        while chain[-1].input[0] in producer:
            chain.append(producer[chain[-1].input[0]])
        if any(link.input[0] in read for link in chain):
            restored.update((link.output[0], link) for link in chain)
    return [node for node in relabelled if node.output[0] in restored]


def _resolved_nodes(
    nodes: Sequence[NodeProto], owners: Mapping[str, tuple[str, str]]
) -> Iterator[ResolvedNode]:
    """The nodes as values; those with equal attributes share them as one object."""
    shared: dict[tuple[bytes, ...], Mapping[str, AttributeValue]] = {}
    newest_opset = onnx.defs.onnx_opset_version()
    for node in nodes:
        given = node.attribute
        key = tuple([a.SerializeToString(deterministic=True) for a in given])
        if key not in shared:
            shared[key] = {a.name: _attribute_value(a) for a in given}
        name, domain = node.name, node.domain
        newest = domain == NEWEST_DOMAIN
        yield ResolvedNode(
            name=name,
            op_type=node.op_type,
            domain="" if newest else domain,
            inputs=tuple(node.input),
            outputs=tuple(node.output),
            attributes=shared[key],
            opset=newest_opset if newest else 0,
            owner=owners.get(name, ("", ""))[0],
        )


def _attribute_value(attribute: AttributeProto) -> AttributeValue:
    """A protobuf attribute as int, float, str, tuple of these, or array."""
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    if isinstance(value, int | float):
        return value
    return tuple(v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in value)


def _empty_outputs(outputs: Sequence[str], facts: Mapping[str, TensorFact]) -> Iterator[str]:
    for name in outputs:
        if 0 in facts[name].shape:
            yield f"output '{name}' has no elements ({shape_text(facts[name].shape)})"
