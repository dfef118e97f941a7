"""Sequences of known length, taken apart: a sequence is a tuple of tensor names."""

from collections.abc import Mapping

import onnx
from onnx import NodeProto

from t10c.onnx_import.build import Names, NodeBuilder
from t10c.onnx_import.inline import NotInlinableError
from t10c.onnx_import.tensors import TensorFact, int64

SEQUENCE_OPERATORS = frozenset(
    {
        "ConcatFromSequence", "SequenceAt", "SequenceConstruct", "SequenceEmpty", "SequenceErase",
        "SequenceInsert", "SequenceLength", "SplitToSequence",
    }
)  # fmt: skip


_PARTS_LIMIT = 20_000
"""How long an axis may be that is split into a sequence."""


class SequenceRewriter:
    """Takes one sequence operator apart; after construction the fields hold what replaces it.

    - `nodes`: tensor operators
    - `tensors`: constants that these nodes or later ones read
    - `sequences`: the sequence the operator makes, if it makes one

    Raises NotInlinableError if a position or length depends on data.
    """

    def __init__(
        self,
        node: NodeProto,
        facts: Mapping[str, TensorFact],
        sequences: Mapping[str, tuple[str, ...]],
        names: Names,
    ) -> None:
        self._node = node
        self._facts = facts
        self._known = sequences
        self._attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        self._builder = NodeBuilder(node.name, names)
        self.nodes = self._builder.nodes
        self.tensors = self._builder.tensors
        self.sequences: dict[str, tuple[str, ...]] = {}
        self._rewrite()

    def _rewrite(self) -> None:
        node, output = self._node, self._node.output[0]
        match node.op_type:
            case "SequenceEmpty":
                self.sequences[output] = ()
            case "SequenceConstruct":
                self.sequences[output] = tuple(node.input)
            case "SequenceInsert":
                items = list(self._items())
                items.insert(self._position(2, len(items), len(items)), node.input[1])
                self.sequences[output] = tuple(items)
            case "SequenceErase":
                items = list(self._items())
                del items[self._position(1, len(items), len(items) - 1)]
                self.sequences[output] = tuple(items)
            case "SequenceAt":
                items = list(self._items())
                item = items[self._position(1, len(items), len(items) - 1)]
                self._builder.deliver([item], [output])
            case "SequenceLength":
                self.tensors[output] = int64(len(self._items()))
            case "Identity":
                self.sequences[output] = self._items()
            case "ConcatFromSequence":
                self._concat(output)
            case "SplitToSequence":
                self._split(output)
            case _:
                raise NotInlinableError("it takes a sequence, not a tensor")

    def _items(self) -> tuple[str, ...]:
        items = self._known.get(self._node.input[0])
        if items is None:
            raise NotInlinableError("its input is a tensor, not a sequence")
        return items

    def _integers(self, index: int) -> tuple[list[int], int] | None:
        """The values of an integer input and its rank, or None if the input is absent."""
        if len(self._node.input) <= index or not self._node.input[index]:
            return None
        fact = self._facts.get(self._node.input[index])
        if fact is None or fact.value is None:
            raise NotInlinableError("a position or length depends on data")
        return [int(number) for number in fact.value.reshape(-1)], fact.value.ndim

    def _position(self, index: int, length: int, highest: int) -> int:
        """A position input, from the end of `length` items if negative; absent: the last place."""
        given = self._integers(index)
        position = given[0][0] if given else highest
        position += length if position < 0 else 0
        if not 0 <= position <= highest:
            raise NotInlinableError("its position lies outside the sequence")
        return position

    def _concat(self, output: str) -> None:
        items = list(self._items())
        axis = int(self._attributes["axis"])
        if not items:
            raise NotInlinableError("the sequence is empty")
        if self._attributes.get("new_axis", 0):
            items = [self._builder.with_list("Unsqueeze", item, "axes", [axis]) for item in items]
        self._builder.add("Concat", items, [output], axis=axis)

    def _split(self, output: str) -> None:
        """SplitToSequence as Split, with Squeeze where it drops the axis."""
        source = self._node.input[0]
        fact = self._facts.get(source)
        axis = int(self._attributes.get("axis", 0))
        if fact is None or not -len(fact.shape) <= axis < len(fact.shape):
            raise NotInlinableError("its input does not have the axis to split")
        length = fact.shape[axis]
        if length > _PARTS_LIMIT:
            raise NotInlinableError(f"its axis is {length} long, of at most {_PARTS_LIMIT}")
        given = self._integers(1)
        lengths = [1] * length
        if given and given[1] == 0:
            part = max(given[0][0], 1)
            lengths = [min(part, length - start) for start in range(0, length, part)]
        elif given:
            lengths = given[0]
        parts = self._builder.new_tensors("part", len(lengths))
        self._builder.with_list("Split", source, "split", lengths, parts, axis=axis)
        if given is None and not self._attributes.get("keepdims", 1):
            parts = [self._builder.with_list("Squeeze", part, "axes", [axis]) for part in parts]
        self.sequences[output] = tuple(parts)
