"""Control flow that is decided before inference: branches and iterations in their place."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from onnx import GraphProto, NodeProto, ValueInfoProto

from t10c.onnx_import.build import Names, NodeBuilder
from t10c.onnx_import.declared import declared_tensors
from t10c.onnx_import.structure import Union, order_nodes, subgraphs
from t10c.onnx_import.symbols import declared_dimensions, size_of
from t10c.onnx_import.tensors import (
    OpenFact,
    TensorFact,
    boolean,
    empty,
    from_proto,
    int64,
    sparse_fact,
)

ITERATION_LIMIT = 1024
"""How often one loop is unrolled at most."""

NODE_LIMIT = 20_000
"""How many nodes all loops of a model may have together once unrolled: seconds of import."""


_SHORTER = "export one iteration by itself, or a loop of fewer iterations"


class NotInlinableError(Exception):
    """The control flow is decided by data, or too long to unroll; the message says which."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.remedy = remedy


def too_many_iterations(runs: str) -> NotInlinableError:
    """How to refuse a loop that runs more often than the limit allows."""
    return NotInlinableError(f"{runs}; at most {ITERATION_LIMIT} iterations are unrolled", _SHORTER)


@dataclass(frozen=True, slots=True)
class Instance:
    """Nodes in order, and constants of their own, that take the place of a node.

    `declared` is what the file says of types and shapes of the tensors.
    """

    nodes: tuple[NodeProto, ...]
    tensors: Mapping[str, TensorFact]
    outputs: tuple[str, ...] = ()
    declared: Mapping[str, OpenFact] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LoopRun:
    """A `Loop` or `Scan` that has been unrolled `done` times.

    `trips` is its trip count, None if only the condition ends it; `condition` is the tensor that
    says whether it goes on ('' if nothing does), and `unsure` whether that has depended on data.
    `feeds` has the further inputs of every iteration, `columns` the scan outputs so far, which
    are stacked along `axes`, those in `backward` last first.
    """

    node: NodeProto
    trips: int | None
    condition: str
    carried: tuple[str, ...]
    columns: tuple[tuple[str, ...], ...]
    done: int = 0
    unsure: bool = False
    feeds: tuple[tuple[str, ...], ...] = ()
    axes: tuple[int, ...] = ()
    backward: tuple[bool, ...] = ()

    @property
    def counts(self) -> bool:
        """Whether its body takes the iteration's number and the condition, as that of a Loop."""
        return self.node.op_type == "Loop"


class Inliner:
    """Copies subgraphs under names that are unique in the model.

    `sizes` are those of the symbols that subgraphs use in their declarations.
    """

    def __init__(self, names: Names, sizes: Mapping[str, int]) -> None:
        self._names = names
        self._sizes = sizes
        self._made = 0

    def branch(self, node: NodeProto, condition: bool, available: Collection[str]) -> Instance:
        """The branch an `If` takes, producing the outputs of the `If`.

        `available` are the tensors the branch may capture, here and below.
        """
        name = branch_name(condition)
        graph = next((a.g for a in node.attribute if a.name == f"{name}_branch"), None)
        if graph is None or len(graph.output) != len(node.output) or graph.input:
            raise NotInlinableError(f"its {name}_branch is missing or has other inputs or outputs")
        copy = self._copy(graph, f"{node.name}/{name}_branch", {}, available)
        builder = NodeBuilder(node.name, self._names)
        builder.deliver(copy.outputs, node.output)
        return replace(copy, nodes=(*copy.nodes, *builder.nodes))

    def start(self, node: NodeProto, trips: int | None) -> LoopRun:
        """A `Loop` before its first iteration; raises NotInlinableError if it is malformed."""
        body = body_of(node)
        carried = tuple(node.input[2:])
        scans = len(body.output) - 1 - len(carried)
        if len(body.input) != 2 + len(carried) or scans < 0 or not all(carried):
            raise NotInlinableError("its body does not match its inputs")
        if len(node.output) > len(carried) + scans:
            raise NotInlinableError("its body does not match its outputs")
        condition = node.input[1] if len(node.input) > 1 else ""
        run = LoopRun(node, trips, condition, carried, ((),) * scans)
        run = replace(run, axes=(0,) * scans, backward=(False,) * scans)
        if trips is not None and (not condition or _passes_condition_on(body)):
            self.check_length(run, trips)
        return run

    def check_length(self, run: LoopRun, trips: int) -> None:
        """Raise NotInlinableError if so many iterations are too long to unroll."""
        runs = "it runs" if trips == run.trips else "it runs at least"
        if trips > ITERATION_LIMIT:
            raise too_many_iterations(f"{runs} {trips} times")
        nodes = self._made + (trips - run.done) * _node_count(body_of(run.node))
        if nodes > NODE_LIMIT:
            raise NotInlinableError(
                f"{runs} {trips} times, which would make {nodes} nodes of the model's loops; "
                f"at most {NODE_LIMIT} are unrolled",
                _SHORTER,
            )

    def iterate(self, run: LoopRun, available: Collection[str]) -> tuple[Instance, LoopRun]:
        """One more iteration, and the loop after it; raises NotInlinableError if it is too long."""
        body = body_of(run.node)
        self.check_length(run, run.done + 1)
        prefix = f"{run.node.name}/{run.done}"
        constants: dict[str, TensorFact] = {}
        arguments = [*run.carried, *(feed[run.done] for feed in run.feeds)]
        if run.counts:
            counter = self._names.tensors.unique(f"{prefix}/iteration")
            proceed = self._names.tensors.unique(f"{prefix}/condition")
            constants = {counter: int64(run.done), proceed: boolean(True)}
            arguments = [counter, proceed, *arguments]
        bindings = {value.name: a for value, a in zip(body.input, arguments, strict=True)}
        copy = self._copy(body, prefix, bindings, available)
        self._made += len(copy.nodes)
        condition, *results = copy.outputs if run.counts else ("", *copy.outputs)
        scanned = results[len(run.carried) :]
        columns = tuple((*c, s) for c, s in zip(run.columns, scanned, strict=True))
        after = replace(
            run,
            condition=condition,
            carried=tuple(results[: len(run.carried)]),
            columns=columns,
            done=run.done + 1,
        )
        return replace(copy, tensors={**constants, **copy.tensors}), after

    def finish(self, run: LoopRun) -> Instance:
        """The outputs of a loop that has ended: the carried values, then the stacked scans."""
        builder = NodeBuilder(run.node.name, self._names)
        stacks = []
        body = body_of(run.node)
        for index, (column, axis) in enumerate(zip(run.columns, run.axes, strict=True)):
            if not column:
                declared = body.output[int(run.counts) + len(run.carried) + index]
                stacks.append(builder.constant(self._no_rows(declared, axis), "empty"))
                continue
            items = column[::-1] if run.backward[index] else column
            rows = [builder.with_list("Unsqueeze", item, "axes", [axis]) for item in items]
            stacks.append(builder.add("Concat", rows, axis=axis))
        builder.deliver([*run.carried, *stacks], run.node.output)
        return Instance(tuple(builder.nodes), builder.tensors)

    def _no_rows(self, declared: ValueInfoProto, axis: int) -> TensorFact:
        """What a loop that never runs stacks: nothing, of the shape that its body declares."""
        dimensions = declared_dimensions(declared.type)
        row = [size_of(dimension, self._sizes) for dimension in dimensions or ()]
        kind = declared.type.tensor_type.elem_type
        if dimensions is None or not kind or any(isinstance(size, str) for size in row):
            raise NotInlinableError("it never runs, which leaves its outputs without a shape")
        shape = [int(size) for size in row]
        shape.insert(axis if axis >= 0 else axis + len(shape) + 1, 0)
        return empty(TensorFact(kind, tuple(shape)))

    def _copy(
        self,
        graph: GraphProto,
        prefix: str,
        bindings: Mapping[str, str],
        available: Collection[str],
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
        ordered = order_nodes(graph.node, Union(names, available))
        for node in ordered:
            names.update((name, self._names.tensors.unique(name)) for name in node.output if name)
        nodes = []
        for index, node in enumerate(ordered):
            copy = NodeProto()
            copy.CopyFrom(node)
            rename_tensors(copy, names)
            wish = node.name or f"{node.op_type}_{index}"
            copy.name = self._names.nodes.unique(f"{prefix}/{wish}")
            nodes.append(copy)
        outputs = tuple(names.get(value.name, value.name) for value in graph.output)
        declared = {
            names.get(name, name): fact
            for name, fact in declared_tensors(graph, self._sizes).items()
            if name in names
        }
        return Instance(tuple(nodes), tensors, outputs, declared)


def branch_name(condition: bool) -> str:
    """`then` or `else`."""
    return "then" if condition else "else"


def body_of(node: NodeProto) -> GraphProto:
    """The body of a Loop or Scan; raises NotInlinableError where there is none."""
    for attribute in node.attribute:
        if attribute.name == "body" and attribute.HasField("g"):
            graph: GraphProto = attribute.g
            return graph
    raise NotInlinableError("it has no body")


def _passes_condition_on(body: GraphProto) -> bool:
    """Whether a Loop's body never changes the condition: its trip count alone ends it."""
    name: str = body.output[0].name
    producer = {output: node for node in body.node for output in node.output}
    while name in producer and producer[name].op_type == "Identity" and producer[name].input:
        name = producer.pop(name).input[0]
    return name == str(body.input[1].name)


def _node_count(graph: GraphProto) -> int:
    """Nodes of a graph, those of its subgraphs too."""
    return len(graph.node) + sum(
        _node_count(inner) for node in graph.node for inner in subgraphs(node)
    )


def rename_tensors(node: NodeProto, names: Mapping[str, str]) -> None:
    """Rename tensors in a node and in what its subgraphs capture."""
    for place in (node.input, node.output):
        for index, name in enumerate(place):
            place[index] = names.get(name, name)
    if node.domain == "ai.onnx":
        node.domain = ""
    for graph in subgraphs(node):
        own = {value.name for value in graph.input}
        own.update(tensor.name for tensor in graph.initializer)
        own.update(name for inner in graph.node for name in inner.output)
        outer = {name: new for name, new in names.items() if name not in own}
        for inner in graph.node:
            rename_tensors(inner, outer)
        for value in graph.output:
            value.name = outer.get(value.name, value.name)
