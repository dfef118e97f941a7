"""Control flow that is decided before inference: `If` branches and `Loop` iterations in place."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from onnx import GraphProto, NodeProto

from t10c.onnx_import.build import Names, NodeBuilder
from t10c.onnx_import.structure import order_nodes, subgraphs
from t10c.onnx_import.tensors import TensorFact, boolean, from_proto, int64, sparse_fact

ITERATION_LIMIT = 64
NODE_LIMIT = 4096


class NotInlinableError(Exception):
    """The control flow is decided by data, or too long to unroll; the message says which."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Instance:
    """Nodes in order, and constants of their own, that take the place of a node."""

    nodes: tuple[NodeProto, ...]
    tensors: Mapping[str, TensorFact]
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LoopRun:
    """A `Loop` that has been unrolled `done` times.

    `trips` is its trip count, None if only the condition ends it; `condition` is the tensor that
    says whether it goes on ('' if nothing does). `columns` are the scan outputs so far.
    """

    node: NodeProto
    trips: int | None
    condition: str
    carried: tuple[str, ...]
    columns: tuple[tuple[str, ...], ...]
    done: int = 0


class Inliner:
    """Copies subgraphs under names that are unique in the model."""

    def __init__(self, names: Names) -> None:
        self._names = names

    def branch(self, node: NodeProto, condition: bool, available: Iterable[str]) -> Instance:
        """The branch an `If` takes, producing the outputs of the `If`.

        `available` are the tensors the branch may capture, here and below.
        """
        name = "then_branch" if condition else "else_branch"
        graph = next((a.g for a in node.attribute if a.name == name), None)
        if graph is None or len(graph.output) != len(node.output):
            raise NotInlinableError(f"its {name} is missing or has other outputs")
        copy = self._copy(graph, f"{node.name}/{name}", {}, available)
        builder = NodeBuilder(node.name, self._names)
        builder.deliver(copy.outputs, node.output)
        return replace(copy, nodes=(*copy.nodes, *builder.nodes))

    def start(self, node: NodeProto, trips: int | None) -> LoopRun:
        """A `Loop` before its first iteration; raises NotInlinableError if it is malformed."""
        body = subgraphs(node)[0]
        carried = tuple(node.input[2:])
        scans = len(body.output) - 1 - len(carried)
        if len(body.input) != 2 + len(carried) or scans < 0:
            raise NotInlinableError("its body does not match its inputs")
        return LoopRun(
            node, trips, node.input[1] if len(node.input) > 1 else "", carried, ((),) * scans
        )

    def iterate(self, run: LoopRun, available: Iterable[str]) -> tuple[Instance, LoopRun]:
        """One more iteration, and the loop after it; raises NotInlinableError if it is too long."""
        body = subgraphs(run.node)[0]
        done = run.done + 1
        if max(done, run.trips or 0) > ITERATION_LIMIT or done * len(body.node) > NODE_LIMIT:
            raise NotInlinableError(f"it runs {run.trips or 'too many'} times, too long to unroll")
        prefix = f"{run.node.name}/{run.done}"
        counter = self._names.tensors.unique(f"{prefix}/iteration")
        proceed = self._names.tensors.unique(f"{prefix}/condition")
        constants = {counter: int64(run.done), proceed: boolean(True)}
        arguments = [counter, proceed, *run.carried]
        bindings = {value.name: a for value, a in zip(body.input, arguments, strict=True)}
        copy = self._copy(body, prefix, bindings, available)
        carried = copy.outputs[1 : 1 + len(run.carried)]
        scanned = copy.outputs[1 + len(run.carried) :]
        columns = tuple((*c, s) for c, s in zip(run.columns, scanned, strict=True))
        after = replace(run, condition=copy.outputs[0], carried=carried, columns=columns, done=done)
        return replace(copy, tensors={**constants, **copy.tensors}), after

    def finish(self, run: LoopRun) -> Instance:
        """The outputs of a `Loop` that has ended: the carried values, then the stacked scans."""
        builder = NodeBuilder(run.node.name, self._names)
        stacks = []
        for column in run.columns:
            if not column:
                raise NotInlinableError("it never runs, which leaves its outputs empty")
            rows = [builder.with_list("Unsqueeze", item, "axes", [0]) for item in column]
            stacks.append(builder.add("Concat", rows, axis=0))
        builder.deliver([*run.carried, *stacks], run.node.output)
        return Instance(tuple(builder.nodes), builder.tensors)

    def _copy(
        self, graph: GraphProto, prefix: str, bindings: Mapping[str, str], available: Iterable[str]
    ) -> Instance:
        """The nodes of a subgraph with unique node and tensor names."""
        names = dict(bindings)
        tensors: dict[str, TensorFact] = {}
        for tensor in graph.initializer:
            names[tensor.name] = self._names.tensors.unique(tensor.name)
            tensors[names[tensor.name]] = from_proto(tensor, tensor.name, None)
        for sparse in graph.sparse_initializer:
            names[sparse.values.name] = self._names.tensors.unique(sparse.values.name)
            tensors[names[sparse.values.name]] = sparse_fact(sparse)
        ordered = order_nodes(graph.node, {*available, *names})
        for node in ordered:
            names.update((name, self._names.tensors.unique(name)) for name in node.output if name)
        nodes = []
        for index, node in enumerate(ordered):
            copy = NodeProto()
            copy.CopyFrom(node)
            _rename(copy, names)
            wish = node.name or f"{node.op_type}_{index}"
            copy.name = self._names.nodes.unique(f"{prefix}/{wish}")
            nodes.append(copy)
        outputs = tuple(names.get(value.name, value.name) for value in graph.output)
        return Instance(tuple(nodes), tensors, outputs)


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
