"""Graphs of repeated layers: that of a few of the layers is unfolded.

What the middle one of a few layers becomes is what all others become, under other names: lowerings
and rewrites look at nothing but a node's surroundings. That holds if it is so for the layers around
it, which is checked; where it is not, or where names do not tell their layer, nothing is unfolded.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain, repeat
from typing import TypeVar

from t10c.ir.graph import Graph, LayoutOp, NodeRecord, Operator, Tensor
from t10c.onnx_import.blocks import Blocks, NamedNode, Touches
from t10c.onnx_import.places import Nodes, Origins, Place, Touched

KEPT = 8
"""Blocks that are lowered."""

PATTERN = 4
"""The one of them that those left out are like; those around it are compared with it."""

_LAST = 2
"""Blocks at the end: only they may be read by what follows the blocks."""

FEWEST = 2 * KEPT
"""Blocks of which fewer are lowered as they are: there is little to gain."""

T = TypeVar("T")


class Unfolding:
    """Names of a model with blocks of nodes that are alike, and where they come from.

    `touches` are those of the nodes, `left_out` is the number of blocks that the short model lacks.
    """

    def __init__(
        self,
        nodes: Sequence[NamedNode],
        touches: Touches,
        inputs: tuple[str, ...],
        outputs: tuple[str, ...],
        blocks: Blocks,
    ) -> None:
        self._all = nodes
        self._inputs, self._outputs = inputs, outputs
        self._blocks = blocks
        self.left_out = blocks.count - KEPT
        self._nodes = Nodes(nodes)
        self._tensors = Touched(touches)
        self._node_origins = Origins(self._nodes, self._tensors, blocks)
        self._tensor_origins = Origins(self._tensors, self._nodes, blocks)

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
        place = self._tensors.get(tensor)
        assert place is not None, "some node touches it"
        return place

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
            lambda operator, shifts: self._operators(operator, shifts, tensors),
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
                tensors.add([name], self._name(place, -min(over, self.left_out)))
        touched = chain.from_iterable([(*own.inputs, own.output) for own in operators])
        names = dict.fromkeys(chain(self._inputs, touched, self._outputs))
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

    def _names(self, place: Place, shifts: range) -> list[str]:
        """What is called so many blocks later as the place is called here, for every shift."""
        length = self._blocks.length
        begin = place.node + shifts.start * length
        nodes = self._all[begin : begin + len(shifts) * length : length]
        inputs = len(nodes[0].inputs)
        if place.slot < 0:
            own = [node.name for node in nodes]
        elif place.slot < inputs:
            own = [node.inputs[place.slot] for node in nodes]
        else:
            own = [node.outputs[place.slot - inputs] for node in nodes]
        return [name + place.label for name in own] if place.label else own

    def _name(self, place: Place, shift: int) -> str:
        """The same for one shift."""
        return self._names(place, range(shift, shift + 1))[0]

    def _later_nodes(self, name: str, shifts: range) -> list[str]:
        """An operator's name in later blocks; as it is where it is none of a block's."""
        place = self._node_origins[name]
        return [name] * len(shifts) if place is None else self._names(place, shifts)

    def _later_tensors(self, name: str, shifts: range) -> list[str]:
        """The same of the name of a tensor."""
        place = self._tensor_origins[name]
        return [name] * len(shifts) if place is None else self._names(place, shifts)

    # What the graph is made of

    def _operators(
        self, operator: Operator | LayoutOp, shifts: range, tensors: "_Tensors"
    ) -> Sequence[Operator | LayoutOp]:
        """The operator so many blocks later, for every shift."""

        def moved(name: str) -> list[str]:
            later = self._later_tensors(name, shifts)
            tensors.add(later, name)
            return later

        own = operator
        names = self._later_nodes(own.name, shifts)
        nodes = _rows([self._later_nodes(node, shifts) for node in own.nodes], len(shifts))
        inputs = _rows([moved(tensor) for tensor in own.inputs], len(shifts))
        rows = zip(names, inputs, moved(own.output), nodes, strict=True)
        if isinstance(own, Operator):
            return [Operator(n, own.op_type, own.expression, i, o, k) for n, i, o, k in rows]
        move = (own.perm, own.starts, own.steps, own.axis, own.fill)
        return [LayoutOp(n, own.op_type, own.kind, i, o, k, *move) for n, i, o, k in rows]

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
            records, lambda record: self.block_of(record.name), self._fates, self.left_out
        )

    def _fates(self, record: NodeRecord, shifts: range) -> Sequence[NodeRecord]:
        """The fate of the node so many blocks later; its note may end in the name of a node."""
        names = self._later_nodes(record.name, shifts)
        operators = self._later_nodes(record.operator, shifts)
        notes = [record.note] * len(shifts)
        text, _, last = record.note.rpartition(" ")
        if self._nodes.get(last) is not None:
            notes = [f"{text} {name}" for name in self._later_nodes(last, shifts)]
        rows = zip(names, operators, notes, strict=True)
        own = record
        return [NodeRecord(n, own.op_type, own.node_class, o, note) for n, o, note in rows]


class _Tensors:
    """Tensors by name: those of a graph, and others that are like them."""

    def __init__(self, known: Mapping[str, Tensor]) -> None:
        self.known = dict(known)

    def add(self, names: Sequence[str], like: str) -> None:
        """Know tensors that are like another."""
        known, own = self.known, self.known[like]
        for name in names:
            if name not in known:
                known[name] = Tensor(name, own.shape, own.element_type, own.kind)


def _repeated(
    items: Sequence[T],
    block_of: Callable[[T], int],
    shifted: Callable[[T, range], Sequence[T]],
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
    if any(shifted(items[i], range(1, 2))[0] != items[i + length] for i in around):
        return None
    pattern = [shifted(item, range(times + 1)) for item in items[first : first + length]]
    end = range(times, times + 1)
    return [
        *items[:first],
        *chain.from_iterable(zip(*pattern, strict=True)),
        *(shifted(item, end)[0] for item in items[first + length :]),
    ]


def _rows(columns: Sequence[Sequence[str]], count: int) -> Iterable[tuple[str, ...]]:
    """The columns, of this length, row by row."""
    return zip(*columns, strict=True) if columns else repeat((), count)


def _names(operators: Sequence[Operator | LayoutOp]) -> tuple[list[str], list[str]]:
    """Names of operators, and of what they compute."""
    return [operator.name for operator in operators], [operator.output for operator in operators]
