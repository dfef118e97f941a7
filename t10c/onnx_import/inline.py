"""Control flow that is decided before inference: `If` branches and `Loop` iterations in place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import GraphProto, NodeProto

from t10c.onnx_import.names import NameScope
from t10c.onnx_import.structure import order_nodes, subgraphs
from t10c.onnx_import.tensors import TensorFact, from_proto, known, sparse_fact

ITERATION_LIMIT = 64
NODE_LIMIT = 4096


class NotInlinableError(Exception):
    """The control flow is decided by data, or too long to unroll; the message says which."""


@dataclass(frozen=True, slots=True)
class Instance:
    """A subgraph copied into the surrounding graph: nodes in order, and its own constants.

    `outputs` are the copies of the subgraph's outputs; `conditions` are tensors that must turn out
    to be true for the copy to be right.
    """

    nodes: tuple[NodeProto, ...]
    tensors: Mapping[str, TensorFact]
    outputs: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()


class Inliner:
    """Copies subgraphs under names that are unique in the model.

    `available` are the tensors of the surrounding graph at this point, which the subgraph may
    capture.
    """

    def __init__(self, node_names: NameScope, tensor_names: NameScope, opset: int) -> None:
        self._node_names = node_names
        self._tensor_names = tensor_names
        self._opset = opset

    def branch(self, node: NodeProto, condition: bool, available: Sequence[str]) -> Instance:
        """The branch an `If` takes, producing the outputs of the `If`."""
        name = "then_branch" if condition else "else_branch"
        graph = next((a.g for a in node.attribute if a.name == name), None)
        if graph is None or len(graph.output) != len(node.output):
            raise NotInlinableError(f"its {name} is missing or has other outputs")
        instance = self._copy(graph, f"{node.name}/{name}", {}, available)
        return self._deliver(node, instance, zip(instance.outputs, node.output, strict=True))

    def unrolled(
        self, node: NodeProto, trips: int | None, starts: bool, available: Sequence[str]
    ) -> Instance:
        """The iterations of a `Loop` of known trip count, producing the outputs of the `Loop`.

        Raises NotInlinableError if the count is unknown (None) or large.
        """
        (graph,) = subgraphs(node)
        trips = trips if starts else 0
        carried = list(node.input[2:])
        if trips is None:
            raise NotInlinableError("the number of iterations depends on data")
        if trips > ITERATION_LIMIT or trips * len(graph.node) > NODE_LIMIT:
            raise NotInlinableError(f"{trips} iterations are too many to unroll")
        scans = len(graph.output) - 1 - len(carried)
        if len(graph.input) != 2 + len(carried) or scans < 0 or (scans > 0 and trips <= 0):
            raise NotInlinableError("its body does not match its inputs, or it never runs")
        nodes: list[NodeProto] = []
        tensors: dict[str, TensorFact] = {}
        collected: list[list[str]] = [[] for _ in range(scans)]
        conditions: list[str] = []
        for trip in range(trips):
            prefix = f"{node.name}/{trip}"
            counter = self._constant(tensors, f"{prefix}/iteration", np.array(trip, np.int64))
            proceed = self._constant(tensors, f"{prefix}/condition", np.array(True))
            arguments = [counter, proceed, *carried]
            bindings = {value.name: a for value, a in zip(graph.input, arguments, strict=True)}
            one = self._copy(graph, prefix, bindings, [*available, *tensors, *carried])
            nodes.extend(one.nodes)
            tensors.update(one.tensors)
            conditions.append(one.outputs[0])
            carried = list(one.outputs[1 : 1 + len(carried)])
            for column, output in zip(collected, one.outputs[1 + len(carried) :], strict=True):
                column.append(output)
        stacks = [self._stack(node, column, nodes, tensors) for column in collected]
        whole = Instance(tuple(nodes), tensors, conditions=tuple(conditions[:-1]))
        results = zip([*carried, *stacks], node.output, strict=False)
        return self._deliver(node, whole, results)

    def _copy(
        self, graph: GraphProto, prefix: str, bindings: Mapping[str, str], available: Sequence[str]
    ) -> Instance:
        """The nodes of a subgraph with unique node and tensor names."""
        names = dict(bindings)
        tensors: dict[str, TensorFact] = {}
        for tensor in graph.initializer:
            names[tensor.name] = self._tensor_names.unique(tensor.name)
            tensors[names[tensor.name]] = from_proto(tensor, tensor.name, None)
        for sparse in graph.sparse_initializer:
            names[sparse.values.name] = self._tensor_names.unique(sparse.values.name)
            tensors[names[sparse.values.name]] = sparse_fact(sparse)
        for node in graph.node:
            names.update((n, self._tensor_names.unique(n)) for n in node.output if n)
        inputs = [value.name for value in graph.input]
        sources = {*available, *inputs, *(tensor.name for tensor in graph.initializer)}
        sources.update(sparse.values.name for sparse in graph.sparse_initializer)
        nodes = []
        for index, node in enumerate(order_nodes(graph.node, sources)):
            copy = NodeProto()
            copy.CopyFrom(node)
            _rename(copy, names)
            wish = node.name or f"{node.op_type}_{index}"
            copy.name = self._node_names.unique(f"{prefix}/{wish}")
            nodes.append(copy)
        outputs = tuple(names.get(value.name, value.name) for value in graph.output)
        return Instance(tuple(nodes), tensors, outputs)

    def _deliver(
        self, node: NodeProto, instance: Instance, results: "zip[tuple[str, str]]"
    ) -> Instance:
        """Add identities that give the results the names of the node's outputs."""
        nodes = list(instance.nodes)
        for index, (source, target) in enumerate(results):
            if target:
                name = self._node_names.unique(f"{node.name}/output_{index}")
                nodes.append(onnx.helper.make_node("Identity", [source], [target], name=name))
        return Instance(tuple(nodes), instance.tensors, (), instance.conditions)

    def _constant(self, tensors: dict[str, TensorFact], name: str, value: np.ndarray) -> str:
        name = self._tensor_names.unique(name)
        element_type = onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
        tensors[name] = known(value, element_type)
        return name

    def _stack(
        self,
        node: NodeProto,
        column: Sequence[str],
        nodes: list[NodeProto],
        tensors: dict[str, TensorFact],
    ) -> str:
        """Stack one output of all iterations along a new leading axis."""
        rows = []
        axes = self._constant(tensors, f"{node.name}/axes", np.array([0], np.int64))
        for value in column:
            row = self._tensor_names.unique(f"{value}/row")
            name = self._node_names.unique(f"{node.name}/Unsqueeze")
            if self._opset >= 13:
                unsqueeze = onnx.helper.make_node("Unsqueeze", [value, axes], [row], name=name)
            else:
                unsqueeze = onnx.helper.make_node("Unsqueeze", [value], [row], name=name, axes=[0])
            nodes.append(unsqueeze)
            rows.append(row)
        stacked = self._tensor_names.unique(f"{node.name}/stacked")
        name = self._node_names.unique(f"{node.name}/Concat")
        nodes.append(onnx.helper.make_node("Concat", rows, [stacked], name=name, axis=0))
        return stacked


def _rename(node: NodeProto, names: Mapping[str, str]) -> None:
    """Rename tensors in a node and in what its subgraphs capture."""
    for field in (node.input, node.output):
        for index, name in enumerate(field):
            field[index] = names.get(name, name)
    if node.domain == "ai.onnx":
        node.domain = ""
    for graph in subgraphs(node):
        own = {value.name for value in graph.input}
        own.update(tensor.name for tensor in graph.initializer)
        own.update(name for inner in graph.node for name in inner.output)
        outer = {name: new for name, new in names.items() if name not in own}
        for inner in graph.node:
            _rename(inner, outer)
        for value in graph.output:
            value.name = outer.get(value.name, value.name)
