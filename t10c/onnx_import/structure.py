"""The graph as a graph: who produces what, in which order, and what reaches an output."""

import heapq
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from itertools import chain

from onnx import AttributeProto, GraphProto, NodeProto

from t10c.errors import InvalidInputError
from t10c.onnx_import.names import describe, remedy_for

_GRAPH, _GRAPHS = AttributeProto.GRAPH, AttributeProto.GRAPHS


class Union(Collection[str]):
    """The names in any of several collections, seen without copying them."""

    def __init__(self, *parts: Collection[str]) -> None:
        self._parts = parts

    def __contains__(self, name: object) -> bool:
        return any(name in part for part in self._parts)

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(self._parts)

    def __len__(self) -> int:
        return sum(map(len, self._parts))


def subgraphs(node: NodeProto) -> list[GraphProto]:
    """The graph attributes of a control-flow node."""
    return [graph for attribute in node.attribute for graph in attribute_graphs(attribute)]


def attribute_graphs(attribute: AttributeProto) -> Sequence[GraphProto]:
    """The graphs that an attribute is, mostly none."""
    kind = attribute.type
    if kind == _GRAPH:
        return [attribute.g]
    return attribute.graphs if kind == _GRAPHS else ()


def needed_names(node: NodeProto) -> list[str]:
    """The tensors a node reads, including those its subgraphs capture."""
    names = list(node.input)
    if "" in names:
        names = list(filter(None, names))
    if node.attribute:
        for graph in subgraphs(node):
            names.extend(_captured(graph))
    return names


def _captured(graph: GraphProto) -> list[str]:
    """Tensors of the surrounding graph that a subgraph reads."""
    inside = {value.name for value in graph.input}
    inside.update(tensor.name for tensor in graph.initializer)
    inside.update(tensor.values.name for tensor in graph.sparse_initializer)
    for node in graph.node:
        inside.update(node.output)
    used = [name for node in graph.node for name in needed_names(node)]
    used.extend(value.name for value in graph.output)
    return [name for name in dict.fromkeys(used) if name not in inside]


def initializer_names(graph: GraphProto) -> set[str]:
    """Names of dense and sparse initializers."""
    names = {tensor.name for tensor in graph.initializer}
    names.update(tensor.values.name for tensor in graph.sparse_initializer)
    return names


def check_producers(graph: GraphProto) -> set[str]:
    """The tensors that stand before the first node.

    Raises InvalidInputError if a tensor is produced twice, or an output by nobody.
    """
    initializers = initializer_names(graph)
    if len(initializers) < len(graph.initializer) + len(graph.sparse_initializer):
        raise InvalidInputError("two initializers of the model have the same name")
    inputs = {value.name for value in graph.input}
    if len(inputs) < len(graph.input):
        raise InvalidInputError("two inputs of the model have the same name")
    if not all(value.name for value in (*graph.input, *graph.output)):
        raise InvalidInputError("an input or output of the model has no name; export it again")
    if not graph.output:
        raise InvalidInputError(
            "the model has no outputs, so there is nothing to compute\n"
            "export it again, or name its results in model.graph.output"
        )
    sources = initializers | inputs
    produced = set(sources)
    for node in graph.node:
        for name in node.output:
            if name and name in produced:
                raise InvalidInputError(
                    f"{describe(node)} produces the tensor '{name}', which exists already\n"
                    "every tensor must have one producer; export the model again"
                )
            produced.add(name)
    for value in graph.output:
        if value.name not in produced:
            raise InvalidInputError(f"no node produces the model's output '{value.name}'")
    return sources


Needs = Sequence[Sequence[str]]
"""Tensors of every one of some nodes; of what they read, what `needed_names` says."""


def order_nodes(nodes: Sequence[NodeProto], sources: Collection[str]) -> list[NodeProto]:
    """The nodes in `topological_order`."""
    nodes = list(nodes)
    needs = [needed_names(node) for node in nodes]
    return [nodes[index] for index in topological_order(nodes, needs, sources)]


def topological_order(
    nodes: Sequence[NodeProto], needs: Needs, sources: Collection[str]
) -> Sequence[int]:
    """The numbers of the nodes in topological order: theirs where it is one.

    Raises InvalidInputError naming the node if an input has no producer, or nodes form a cycle.
    """
    producer = {name: i for i, node in enumerate(nodes) for name in node.output if name}
    ordered = True
    for index, names in enumerate(needs):
        for name in names:
            made = producer.get(name)
            if made is not None:
                ordered = ordered and made < index
            elif name not in sources:
                raise InvalidInputError(
                    f"{describe(nodes[index])}: nobody produces its input '{name}'\n"
                    + remedy_for(name, {*sources, *producer})
                )
    return range(len(nodes)) if ordered else _sorted(nodes, needs, producer)


def _sorted(nodes: Sequence[NodeProto], needs: Needs, producer: Mapping[str, int]) -> Sequence[int]:
    """`topological_order` of nodes that are in another; `producer` numbers tensors' makers."""
    users: dict[int, list[int]] = {}
    waiting: list[int] = []
    for index, names in enumerate(needs):
        makers = {producer[name] for name in names if name in producer}
        waiting.append(len(makers))
        for maker in makers:
            users.setdefault(maker, []).append(index)
    ready = [index for index, count in enumerate(waiting) if count == 0]
    ordered: list[int] = []
    while ready:
        index = heapq.heappop(ready)
        ordered.append(index)
        for user in users.get(index, ()):
            waiting[user] -= 1
            if waiting[user] == 0:
                heapq.heappush(ready, user)
    if len(ordered) < len(nodes):
        stuck = {index for index, count in enumerate(waiting) if count > 0}
        raise InvalidInputError(_cycle_message(nodes, needs, stuck, producer))
    return ordered


def _cycle_message(
    nodes: Sequence[NodeProto], needs: Needs, stuck: Set[int], producer: Mapping[str, int]
) -> str:
    """Walk up from any stuck node until one is met again: that one lies on a cycle."""
    index = min(stuck)
    seen: list[int] = []
    while index not in seen:
        seen.append(index)
        makers = (producer[name] for name in needs[index] if name in producer)
        index = min(maker for maker in makers if maker in stuck)
    cycle = [nodes[i].name for i in reversed(seen[seen.index(index) :])]
    shown = " -> ".join(cycle[:4]) + (" -> ..." if len(cycle) > 4 else "")
    return (
        f"{describe(nodes[index])} depends on its own output ({shown} -> {cycle[0]})\n"
        "an ONNX graph must not have cycles; export the model again"
    )


def reaching(makes: Needs, needs: Needs, outputs: Iterable[str]) -> list[bool]:
    """For each of the topologically ordered nodes, whether an output depends on it.

    `makes` and `needs` are the tensors that every node makes and reads.
    """
    wanted = set(filter(None, outputs))
    live = [False] * len(makes)
    for index in range(len(makes) - 1, -1, -1):
        if not wanted.isdisjoint(makes[index]):
            live[index] = True
            wanted.update(needs[index])
    return live
