"""Graphs of repeated layers: that of a few of the layers is unfolded.

What the middle one of a few layers becomes is what all others become, under other names: lowerings
and rewrites look at nothing but a node's surroundings. That holds if it is so for the layers around
it, which is checked; where it is not, or where names do not tell their layer, nothing is unfolded.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol, TypeVar

from t10c.ir.graph import Graph, LayoutOp, NodeRecord, Operator, Tensor
from t10c.onnx_import.blocks import Blocks

KEPT = 8
"""Blocks that are lowered."""

PATTERN = 4
"""The one of them that those left out are like; those around it are compared with it."""

_LAST = 2
"""Blocks at the end: only they may be read by what follows the blocks."""

FEWEST = 2 * KEPT
"""Blocks of which fewer are lowered as they are: there is little to gain."""

T = TypeVar("T")


class NamedNode(Protocol):
    """A node as far as its name and those of its tensors go."""

    @property
    def name(self) -> str:
        """Its unique name."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """The tensors it reads, '' for absent ones."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """The tensors it makes, '' for absent ones."""

    @property
    def owner(self) -> str:
        """The node that it stands for; '' if that is itself."""


class Place(NamedTuple):
    """Where a name comes from: a node, which of its tensors (-1: itself), and what is appended."""

    node: int
    slot: int
    label: str = ""


class Unfolding:
    """Names of a model with blocks of nodes that are alike, and where they come from.

    `left_out` is the number of blocks that the short model lacks.
    """

    def __init__(
        self,
        nodes: Sequence[NamedNode],
        inputs: tuple[str, ...],
        outputs: tuple[str, ...],
        blocks: Blocks,
    ) -> None:
        self._all = nodes
        self._inputs, self._outputs = inputs, outputs
        self._blocks = blocks
        self.left_out = blocks.count - KEPT
        self._nodes: dict[str, Place] = {}
        self._tensors: dict[str, Place] = {}
        for index, node in enumerate(nodes):
            self._nodes[node.name] = Place(index, -1)
            if node.owner:
                self._nodes[node.owner] = Place(index, -1)
            for slot, name in enumerate((*node.inputs, *node.outputs)):
                if name and name not in self._tensors:
                    self._tensors[name] = Place(index, slot)
        self._node_origins = _Origins(self._nodes, self._tensors, blocks)
        self._tensor_origins = _Origins(self._tensors, self._nodes, blocks)

    def short_nodes(self) -> list[tuple[int, tuple[str, ...]]] | None:
        """The nodes of the model with the first blocks only: their numbers and inputs.

        None if other blocks than the last are read later.
        """
        blocks = self._blocks
        kept = range(blocks.start + KEPT * blocks.length)
        found = [(number, self._all[number].inputs) for number in kept]
        for number in range(blocks.stop, len(self._all)):
            inputs = list(self._all[number].inputs)
            for slot, name in enumerate(inputs):
                place = self._tensors.get(name)
                if place is None or self._block(place) < 0:
                    continue
                if self._block(place) < blocks.count - _LAST:
                    return None
                inputs[slot] = self._name(place, -self.left_out)
            found.append((number, tuple(inputs)))
        return found

    def left(self, names: Sequence[str]) -> tuple[str, ...]:
        """Those of the tensors that the model with the first blocks only has."""
        return tuple(name for name in names if self._block(self._tensors.get(name)) < KEPT)

    def block_of(self, node: str) -> int:
        """The block of a node by its name, or one made for it; negative outside the blocks."""
        return self._block(self._node_origins[node])

    def origin(self, tensor: str) -> Place:
        """The node that is the first to touch a tensor."""
        return self._tensors[tensor]

    def graph(
        self, graph: Graph, folded: tuple[NodeRecord, ...], flop_matmul_conv: int
    ) -> Graph | None:
        """The model's graph, given that of the short one; None where it may not be the same.

        `folded` are records of all nodes that both graphs begin with, `flop_matmul_conv` the
        operations of a block.
        """
        tensors = _Tensors(graph.tensor)
        operators = _repeated(
            graph.operators,
            lambda operator: self.block_of(operator.name),
            lambda operator, shift: self._operator(operator, shift, tensors),
            self.left_out,
        )
        records = self._records(graph.nodes[len(folded) :])
        if operators is None or records is None:
            return None
        if any(len(set(names)) < len(operators) for names in _names(operators)):
            return None
        for name in (*self._inputs, *self._outputs):
            place = self._tensors.get(name)
            if self._block(place) >= KEPT:
                assert place is not None, "it is of a block"
                over = self._block(place) - PATTERN
                tensors.add(name, self._name(place, -min(over, self.left_out)))
        names = dict.fromkeys(self._inputs)
        for operator in operators:
            names.update(dict.fromkeys((*operator.inputs, operator.output)))
        names.update(dict.fromkeys(self._outputs))
        return replace(
            graph,
            tensors=tuple(tensors.known[name] for name in names),
            inputs=self._inputs,
            outputs=self._outputs,
            operators=tuple(operators),
            nodes=(*folded, *records),
            flop_matmul_conv=graph.flop_matmul_conv + self.left_out * flop_matmul_conv,
        )

    # Names

    def _block(self, place: Place | None) -> int:
        """The block of a place; negative outside the blocks."""
        if place is None or not self._blocks.start <= place.node < self._blocks.stop:
            return -1
        return (place.node - self._blocks.start) // self._blocks.length

    def _name(self, place: Place, shift: int) -> str:
        """What is called so many blocks later as the place is called here."""
        node = self._all[place.node + shift * self._blocks.length]
        inputs = len(node.inputs)
        if place.slot < 0:
            own = node.name
        elif place.slot < inputs:
            own = node.inputs[place.slot]
        else:
            own = node.outputs[place.slot - inputs]
        return own + place.label

    def _later_node(self, name: str, shift: int) -> str:
        """The name of an operator so many blocks later; as it is where it is none of a block's."""
        place = self._node_origins[name]
        return name if place is None else self._name(place, shift)

    def _later_tensor(self, name: str, shift: int) -> str:
        """The same of the name of a tensor."""
        place = self._tensor_origins[name]
        return name if place is None else self._name(place, shift)

    # What the graph is made of

    def _operator(
        self, operator: Operator | LayoutOp, shift: int, tensors: "_Tensors"
    ) -> Operator | LayoutOp:
        """The operator so many blocks later."""
        if not shift:
            return operator

        def moved(name: str) -> str:
            later = self._later_tensor(name, shift)
            tensors.add(later, name)
            return later

        name = self._later_node(operator.name, shift)
        nodes = tuple([self._later_node(node, shift) for node in operator.nodes])
        inputs = tuple([moved(tensor) for tensor in operator.inputs])
        output = moved(operator.output)
        if isinstance(operator, Operator):
            return Operator(name, operator.op_type, operator.expression, inputs, output, nodes)
        return replace(operator, name=name, inputs=inputs, output=output, nodes=nodes)

    def _records(self, records: Sequence[NodeRecord]) -> list[NodeRecord] | None:
        """The fates of all nodes, given those of the short model's.

        Where records do not follow the order of their nodes another run of the blocks begins.
        """
        found: list[NodeRecord] = []
        begin, last = 0, -1
        places = [self._nodes.get(record.name) for record in records]
        for end, place in enumerate((*places, Place(-1, -1))):
            node = last if place is None else place.node
            if node < last:
                run = self._run(records[begin:end], places[begin:end])
                if run is None:
                    return None
                found += run
                begin = end
            last = node
        return found

    def _run(
        self, records: Sequence[NodeRecord], places: Sequence[Place | None]
    ) -> list[NodeRecord] | None:
        """The fates of nodes in order; None as in `_repeated`."""
        if all(self._block(place) < 0 for place in places):
            return list(records)
        return _repeated(
            records, lambda record: self.block_of(record.name), self._record, self.left_out
        )

    def _record(self, record: NodeRecord, shift: int) -> NodeRecord:
        """The fate of the node so many blocks later; its note may end in the name of a node."""
        if not shift:
            return record
        name = self._later_node(record.name, shift)
        operator = self._later_node(record.operator, shift)
        text, _, last = record.note.rpartition(" ")
        note = f"{text} {self._later_node(last, shift)}" if last in self._nodes else record.note
        return NodeRecord(name, record.op_type, record.node_class, operator, note)


class _Origins(dict[str, Place | None]):
    """Where names of blocks come from: known names, and names that begin with one; None for others.

    Of names in both, `own` ones go first.
    """

    def __init__(
        self, own: Mapping[str, Place], other: Mapping[str, Place], blocks: Blocks
    ) -> None:
        self._own, self._other = own, other
        self._blocks = range(blocks.start, blocks.stop)

    def __missing__(self, name: str) -> Place | None:
        place = None
        for end in range(len(name), 0, -1):
            base = self._own.get(name[:end]) or self._other.get(name[:end])
            if base is not None:
                if base.node in self._blocks:
                    place = base._replace(label=name[end:])
                break
        self[name] = place
        return place


class _Tensors:
    """Tensors by name: those of a graph, and others that are like them."""

    def __init__(self, known: Mapping[str, Tensor]) -> None:
        self.known = dict(known)

    def add(self, name: str, like: str) -> None:
        """Know a tensor that is like another."""
        if name not in self.known:
            own = self.known[like]
            self.known[name] = Tensor(name, own.shape, own.element_type, own.kind)


def _repeated(
    items: Sequence[T],
    block_of: Callable[[T], int],
    shifted: Callable[[T, int], T],
    times: int,
) -> list[T] | None:
    """The items with those of the pattern block `times` more often, and what follows them shifted.

    None unless the items of the blocks around it are those of the pattern, shifted.
    """
    blocks = list(map(block_of, items))
    length = blocks.count(PATTERN)
    first = blocks.index(PATTERN) if length else 0
    if not length or first < length or first + 2 * length > len(items):
        return None
    around = range(first - length, first + length)
    if any(shifted(items[i], 1) != items[i + length] for i in around):
        return None
    repeated = [*items[:first]]
    for shift in range(times + 1):
        repeated += [shifted(item, shift) for item in items[first : first + length]]
    repeated += [shifted(item, times) for item in items[first + length :]]
    return repeated


def _names(operators: Sequence[Operator | LayoutOp]) -> tuple[list[str], list[str]]:
    """Names of operators, and of what they compute."""
    return [operator.name for operator in operators], [operator.output for operator in operators]
