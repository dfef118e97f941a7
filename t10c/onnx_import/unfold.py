"""Models of repeated layers: a few of the layers are lowered, and the graph is unfolded.

What the middle one of a few layers becomes is what all others become, under other names: lowerings
and rewrites look at nothing but a node's surroundings. That holds if it is so for the layers around
it, which is checked; where it is not, or where names do not tell their layer, nothing is unfolded.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from t10c.errors import InvalidInputError, UnsupportedOperatorError
from t10c.ir.graph import Graph, LayoutOp, NodeRecord, Operator, Tensor
from t10c.onnx_import.blocks import Blocks, find_blocks
from t10c.onnx_import.resolved import ResolvedModel, ResolvedNode

_KEPT = 8
"""Blocks that are lowered."""

_PATTERN = 4
"""The one of them that those left out are like; those around it are compared with it."""

_LAST = 2
"""Blocks at the end: only they may be read by what follows the blocks."""

_FEWEST = 2 * _KEPT
"""Blocks of which fewer are lowered as they are: there is little to gain."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a name comes from: a node, which of its tensors (-1: itself), and what is appended."""

    node: int
    slot: int
    label: str = ""


def lower_repeated(
    model: ResolvedModel,
    lower: Callable[[ResolvedModel], Graph],
    flop: Callable[[ResolvedNode], int],
) -> Graph | None:
    """What `lower` makes of a model with many blocks of nodes that are alike; None for others.

    `lower` is called with a few of them. `flop` counts a node's operations, which add up.
    """
    blocks = find_blocks(model, _FEWEST)
    if blocks is None or any(node.owner for node in model.nodes[blocks.start : blocks.stop]):
        return None
    unfolding = _Unfolding(model, blocks)
    short = unfolding.shortened()
    if short is None:
        return None
    try:
        return unfolding.graph(lower(short), flop)
    except (UnsupportedOperatorError, InvalidInputError):
        return None  # the error of the whole model counts all nodes


class _Unfolding:
    """Names of a model with blocks of nodes that are alike, and where they come from."""

    def __init__(self, model: ResolvedModel, blocks: Blocks) -> None:
        self._model = model
        self._blocks = blocks
        self._left_out = blocks.count - _KEPT
        self._nodes: dict[str, _Place] = {}
        self._tensors: dict[str, _Place] = {}
        for index, node in enumerate(model.nodes):
            self._nodes[node.name] = _Place(index, -1)
            if node.owner:
                self._nodes[node.owner] = _Place(index, -1)
            for slot, name in enumerate((*node.inputs, *node.outputs)):
                if name and name not in self._tensors:
                    self._tensors[name] = _Place(index, slot)
        self._node_origins = _Origins(self._nodes, self._tensors, blocks)
        self._tensor_origins = _Origins(self._tensors, self._nodes, blocks)

    def shortened(self) -> ResolvedModel | None:
        """The model with the first blocks only; None if others than the last are read later."""
        model, blocks = self._model, self._blocks
        following: list[ResolvedNode] = []
        for node in model.nodes[blocks.stop :]:
            inputs = list(node.inputs)
            for slot, name in enumerate(inputs):
                place = self._tensors.get(name)
                if place is None or self._block(place) < 0:
                    continue
                if self._block(place) < blocks.count - _LAST:
                    return None
                inputs[slot] = self._name(place, -self._left_out)
            following.append(replace(node, inputs=tuple(inputs)))
        kept = model.nodes[: blocks.start + _KEPT * blocks.length]
        inputs_left, outputs_left = (
            tuple(name for name in names if self._block(self._tensors.get(name)) < _KEPT)
            for names in (model.inputs, model.outputs)
        )
        nodes = (*kept, *following)
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

    def graph(self, graph: Graph, flop: Callable[[ResolvedNode], int]) -> Graph | None:
        """The model's graph, given that of `short`; None where it may not be the same.

        `flop` counts a node's operations.
        """
        model, blocks = self._model, self._blocks
        folded = len(model.folded)
        tensors = _Tensors(graph.tensor)
        operators = _repeated(
            graph.operators,
            lambda operator: self._block(self._of_node(operator.name)),
            lambda operator, shift: self._operator(operator, shift, tensors),
            self._left_out,
        )
        records = _repeated(
            graph.nodes[folded:],
            lambda record: self._block(self._of_node(record.name)),
            self._record,
            self._left_out,
        )
        if operators is None or records is None:
            return None
        if any(len(set(names)) < len(operators) for names in _names(operators)):
            return None
        for name in (*model.inputs, *model.outputs):
            place = self._tensors.get(name)
            if self._block(place) >= _KEPT:
                assert place is not None, "it is of a block"
                over = self._block(place) - _PATTERN
                tensors.add(name, self._name(place, -min(over, self._left_out)))
        names = dict.fromkeys(model.inputs)
        for operator in operators:
            names.update(dict.fromkeys((*operator.inputs, operator.output)))
        names.update(dict.fromkeys(model.outputs))
        pattern = model.nodes[blocks.start : blocks.start + blocks.length]
        return replace(
            graph,
            tensors=tuple(tensors.known[name] for name in names),
            inputs=model.inputs,
            outputs=model.outputs,
            operators=tuple(operators),
            nodes=(*model.folded, *records),
            flop_matmul_conv=graph.flop_matmul_conv + self._left_out * sum(map(flop, pattern)),
        )

    # Names

    def _block(self, place: _Place | None) -> int:
        """The block of a place; negative outside the blocks."""
        if place is None or not self._blocks.start <= place.node < self._blocks.stop:
            return -1
        return (place.node - self._blocks.start) // self._blocks.length

    def _name(self, place: _Place, shift: int) -> str:
        """What is called so many blocks later as the place is called here."""
        node = self._model.nodes[place.node + shift * self._blocks.length]
        inputs = len(node.inputs)
        if place.slot < 0:
            own = node.name
        elif place.slot < inputs:
            own = node.inputs[place.slot]
        else:
            own = node.outputs[place.slot - inputs]
        return own + place.label

    def _of_node(self, name: str) -> _Place | None:
        """Where the name of an operator comes from, if a node's or tensor's is its beginning."""
        return self._node_origins[name]

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

    def _record(self, record: NodeRecord, shift: int) -> NodeRecord:
        """The fate of the node so many blocks later; its note may end in the name of a node."""
        if not shift:
            return record
        name = self._later_node(record.name, shift)
        operator = self._later_node(record.operator, shift)
        text, _, last = record.note.rpartition(" ")
        note = f"{text} {self._later_node(last, shift)}" if last in self._nodes else record.note
        return NodeRecord(name, record.op_type, record.node_class, operator, note)


class _Origins(dict[str, _Place | None]):
    """Where names of blocks come from: known names, and names that begin with one; None for others.

    Of names in both, `own` ones go first.
    """

    def __init__(
        self, own: Mapping[str, _Place], other: Mapping[str, _Place], blocks: Blocks
    ) -> None:
        self._own, self._other = own, other
        self._blocks = range(blocks.start, blocks.stop)

    def __missing__(self, name: str) -> _Place | None:
        place = None
        for end in range(len(name), 0, -1):
            base = self._own.get(name[:end]) or self._other.get(name[:end])
            if base is not None:
                if base.node in self._blocks:
                    place = replace(base, label=name[end:])
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
    length = blocks.count(_PATTERN)
    first = blocks.index(_PATTERN) if length else 0
    if first < length or first + 2 * length > len(items):
        return None
    around = range(first - length, first + length)
    if not length or any(shifted(items[i], 1) != items[i + length] for i in around):
        return None
    repeated = [*items[:first]]
    for shift in range(times + 1):
        repeated += [shifted(item, shift) for item in items[first : first + length]]
    repeated += [shifted(item, times) for item in items[first + length :]]
    return repeated


def _names(operators: Sequence[Operator | LayoutOp]) -> tuple[list[str], list[str]]:
    """Names of operators, and of what they compute."""
    return [operator.name for operator in operators], [operator.output for operator in operators]
