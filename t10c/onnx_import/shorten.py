"""Models of repeated layers: a few of the layers are resolved and lowered instead of all.

Layers can be told in a model as it is read (`import_repeated`), or once it is resolved
(`lower_repeated`), where what they differ in may have been folded away.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from onnx import GraphProto, ModelProto, TensorProto, ValueInfoProto

from t10c.errors import T10cError
from t10c.ir.graph import Graph
from t10c.onnx_import.blocks import Blocks, Touches, find_blocks, node_keys
from t10c.onnx_import.external import INTEGERS
from t10c.onnx_import.load import FileNode, ModelFile
from t10c.onnx_import.names import name_nodes
from t10c.onnx_import.resolved import ResolvedModel, ResolvedNode
from t10c.onnx_import.tensors import TensorFact, from_proto
from t10c.onnx_import.unfold import FEWEST, KEPT, PATTERN, Unfolding

Facts = Mapping[str, TensorFact]
Resolve = Callable[[ModelProto], tuple[ResolvedModel, Facts]]
Lower = Callable[[ResolvedModel], Graph]
Flop = Callable[[ResolvedNode, ResolvedModel], int]

_LAG = 2
"""Blocks back that a block may read, so that what follows from equal blocks is equal for good."""


def lower_repeated(model: ResolvedModel, lower: Lower, flop: Flop) -> Graph | None:
    """What `lower` makes of a model with many blocks of nodes that are alike; None for others.

    `lower` is called with a few of them. `flop` counts a node's operations, which add up.
    """
    touches = Touches(model.nodes)
    blocks = find_blocks(_resolved_keys(model, touches), FEWEST)
    if blocks is None or any(node.owner for node in model.nodes[blocks.start : blocks.stop]):
        return None
    unfolding = Unfolding(model.nodes, touches, model.inputs, model.outputs, blocks)
    short = _short_resolved(model, unfolding)
    if short is None:
        return None
    pattern = model.nodes[blocks.start : blocks.start + blocks.length]
    try:
        graph = lower(short)
    except T10cError:
        return None  # the error of the whole model counts all nodes
    return unfolding.graph(graph, model.folded, sum(flop(node, model) for node in pattern))


def _resolved_keys(model: ResolvedModel, touches: Touches) -> list[int]:
    """Keys of a resolved model's nodes; those with the same attributes share them as one object."""
    inputs, outputs = frozenset(model.inputs), frozenset(model.outputs)

    def new(name: str, _: bool) -> Hashable:
        value = model.constants.get(name)
        return (
            model.shapes[name],
            model.element_types[name],
            name in model.weights,
            name in inputs,
            name in outputs,
            value if value is None else name if value.dtype.hasobject else value.tobytes(),
        )

    does = [(n.op_type, n.domain, n.opset, n.owner, id(n.attributes)) for n in model.nodes]
    return node_keys(touches, does, new)


def _short_resolved(model: ResolvedModel, unfolding: Unfolding) -> ResolvedModel | None:
    """The resolved model with the first blocks only."""
    found = unfolding.short_nodes()
    if found is None:
        return None
    nodes = tuple(
        node if node.inputs == inputs else replace(node, inputs=inputs)
        for node, inputs in ((model.nodes[number], inputs) for number, inputs in found)
    )
    inputs_left, outputs_left = unfolding.left(model.inputs), unfolding.left(model.outputs)
    names = {*inputs_left, *outputs_left}
    names.update(name for node in nodes for name in (*node.inputs, *node.outputs) if name)
    return replace(
        model,
        inputs=inputs_left,
        outputs=outputs_left,
        nodes=nodes,
        shapes={name: model.shapes[name] for name in names},
        element_types={name: model.element_types[name] for name in names},
        constants={n: model.constants[n] for n in names if n in model.constants},
        weights=model.weights & names,
    )


# Models as they are read


class _Unusual(Exception):  # noqa: N818 - no error: the model is imported node by node
    """Something about a model that is not worth looking at twice."""


def import_repeated(file: ModelFile, resolve: Resolve, lower: Lower, flop: Flop) -> Graph | None:
    """The graph of a model with many blocks of nodes that are alike in the file; None for others.

    `resolve` and `lower` are called with a few of them. Names the nodes in place. None, too, for
    models that are wrong: their errors are those of all nodes.
    """
    graph = file.model.graph
    wide = len(graph.node) >= FEWEST and not file.nested
    if not wide or file.model.functions or graph.sparse_initializer:
        return None
    try:
        nodes = _named(file)
        touches = Touches(nodes)
        blocks = find_blocks(_file_keys(graph, nodes, touches, file.directory), FEWEST)
        if blocks is None:
            return None
        inputs, outputs = _value_names(graph.input), _value_names(graph.output)
        unfolding = Unfolding(nodes, touches, inputs, outputs, blocks)
        if not _reads_near(nodes, blocks, unfolding):
            return None
        short = _short_model(file.model, unfolding)
        if short is None:
            return None
        resolved, facts = resolve(short)
        if not _tells_all(resolved, unfolding.left(inputs)) or not _steady(nodes, blocks, facts):
            return None
        flop_matmul_conv = sum(
            flop(node, resolved)
            for node in resolved.nodes
            if unfolding.block_of(node.owner or node.name) == PATTERN
        )
        return unfolding.graph(lower(resolved), (), flop_matmul_conv)
    except (T10cError, _Unusual):
        return None


def _value_names(values: "list[ValueInfoProto]") -> tuple[str, ...]:
    return tuple(value.name for value in values)


def _named(file: ModelFile) -> Sequence[FileNode]:
    """The nodes of a file, which have unique names from now on."""
    names = {node.name for node in file.nodes}
    if len(names) == len(file.nodes) and "" not in names:
        return file.nodes
    given = file.model.graph.node
    name_nodes(given)
    return [own._replace(name=node.name) for own, node in zip(file.nodes, given, strict=True)]


def _file_keys(
    graph: GraphProto, nodes: Sequence[FileNode], touches: Touches, directory: Path | None
) -> list[int]:
    """Keys of a file's nodes; raises _Unusual where they are in no topological order."""
    initial = {tensor.name: tensor for tensor in graph.initializer}
    inputs = {value.name: value.type.SerializeToString() for value in graph.input}
    sources = {*initial, *inputs}
    if "" in sources or len(sources) < len(graph.initializer) + len(graph.input):
        raise _Unusual
    outputs = {value.name: value.type.SerializeToString() for value in graph.output}
    inner = {value.name: value.type.SerializeToString() for value in graph.value_info}
    facts = _InitialFacts(directory)

    def new(name: str, made: bool) -> Hashable:
        if not made and name not in sources:
            raise _Unusual
        declared = (outputs.get(name), inner.get(name))
        if name in initial:
            return (facts.of(initial[name], name), *declared)
        return (inputs.get(name), *declared)

    does = []
    for own in nodes:
        attributes = [given.SerializeToString(deterministic=True) for given in own.attributes]
        does.append((own.op_type, own.domain, *attributes))
    return node_keys(touches, does, new)


class _InitialFacts:
    """What is known of initializers; alike ones of which no value is read are looked at once."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._unread: dict[Hashable, Hashable] = {}

    def of(self, tensor: TensorProto, name: str) -> Hashable:
        """Equal for tensors of which the same is known."""
        kind = (tensor.data_type, tuple(tensor.dims), tensor.data_location)
        found = self._unread.get(kind)
        if found is None:
            fact = from_proto(tensor, name, self._directory)
            value = fact.value
            known = None if value is None else name if value.dtype.hasobject else value.tobytes()
            found = (fact.element_type, fact.shape, known, fact.source is None)
            if value is None and tensor.data_type not in INTEGERS:
                self._unread[kind] = found
        return found


def _reads_near(nodes: Sequence[FileNode], blocks: Blocks, unfolding: Unfolding) -> bool:
    """Whether every block reads alike: tensors that all read, or of at most `_LAG` blocks back.

    What two of them read under one name, all after them do, since they are alike.
    """
    near = blocks.start + (PATTERN - 1 - _LAG) * blocks.length
    for own, later in _pairs(nodes, blocks, PATTERN - 1):
        for name, other in zip(own.inputs, later.inputs, strict=True):
            if name == other:
                continue
            first, second = unfolding.origin(name), unfolding.origin(other)
            if first.node < near or second.node - first.node != blocks.length:
                return False
    return True


def _pairs(
    nodes: Sequence[FileNode], blocks: Blocks, block: int
) -> Iterator[tuple[FileNode, FileNode]]:
    """The nodes of a block with those of the next one."""
    begin = blocks.start + block * blocks.length
    middle, end = begin + blocks.length, begin + 2 * blocks.length
    return zip(nodes[begin:middle], nodes[middle:end], strict=True)


def _short_model(model: ModelProto, unfolding: Unfolding) -> ModelProto | None:
    """The model with the first blocks only."""
    found = unfolding.short_nodes()
    if found is None:
        return None
    graph = model.graph
    short = ModelProto(
        ir_version=model.ir_version,
        opset_import=model.opset_import,
        producer_name=model.producer_name,
        producer_version=model.producer_version,
        graph=GraphProto(name=graph.name),
    )
    given = graph.node
    inputs_left = frozenset(unfolding.left(_value_names(graph.input)))
    outputs_left = frozenset(unfolding.left(_value_names(graph.output)))
    names = set(outputs_left)
    for number, inputs in found:
        node = short.graph.node.add()
        node.CopyFrom(given[number])
        if tuple(node.input) != inputs:
            node.input[:] = inputs
        names.update(inputs, node.output)
    short.graph.input.extend(value for value in graph.input if value.name in inputs_left)
    short.graph.output.extend(value for value in graph.output if value.name in outputs_left)
    short.graph.initializer.extend(t for t in graph.initializer if t.name in names)
    short.graph.value_info.extend(value for value in graph.value_info if value.name in names)
    return short


def _tells_all(resolved: ResolvedModel, inputs: tuple[str, ...]) -> bool:
    """Whether nothing was said of single tensors, which would have to be said of those left out."""
    bindings = resolved.bindings
    plain = not (resolved.warnings or bindings.shapes or bindings.values)
    return plain and resolved.inputs == inputs


def _steady(nodes: Sequence[FileNode], blocks: Blocks, facts: Facts) -> bool:
    """Whether the same is known of the tensors of all blocks around the pattern.

    Then it is for good: what is known of a block follows from the `_LAG` blocks before it.
    """
    kept = range(blocks.start, blocks.start + KEPT * blocks.length)
    read = {name for number in kept for name in nodes[number].inputs}
    for block in range(PATTERN - 1, PATTERN + _LAG):
        for own, later in _pairs(nodes, blocks, block):
            names = zip((*own.inputs, *own.outputs), (*later.inputs, *later.outputs), strict=True)
            for name, other in names:
                if name and not _same(facts.get(name), facts.get(other), name in read):
                    return False
    return True


def _same(one: TensorFact | None, other: TensorFact | None, read: bool) -> bool:
    """Whether facts say the same; of tensors that nobody reads there may be none."""
    if one is None or other is None:
        return one is other and not read
    if (one.element_type, one.shape, one.fixed) != (other.element_type, other.shape, other.fixed):
        return False
    if (one.source is None) != (other.source is None):
        return False
    if one.value is None or other.value is None:
        return one.value is other.value
    return not one.value.dtype.hasobject and one.value.tobytes() == other.value.tobytes()
