"""Where names of nodes and tensors come from: the node that is the first to have them."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from t10c.onnx_import.blocks import Blocks, NamedNode, Touches


class Place(NamedTuple):
    """Where a name comes from: a node, which of its tensors (-1: itself), and what is appended."""

    node: int
    slot: int
    label: str = ""


class Places(Protocol):
    """Where names come from."""

    def get(self, name: str) -> Place | None:
        """Where a name does; None if nowhere."""


class Nodes:
    """Where names of nodes, and of those that they stand for, come from."""

    def __init__(self, nodes: Sequence[NamedNode]) -> None:
        self._numbers: dict[str, int] = {}
        for index, node in enumerate(nodes):
            self._numbers[node.name] = index
            if node.owner:
                self._numbers[node.owner] = index

    def get(self, name: str) -> Place | None:
        """The node of this name."""
        index = self._numbers.get(name)
        return None if index is None else Place(index, -1)


class Touched:
    """Where names of tensors come from: from the first node to touch them."""

    def __init__(self, touches: Touches) -> None:
        self._touches = touches

    def get(self, name: str) -> Place | None:
        """Where the tensor of this name is touched first."""
        place = self._touches.first.get(name) if name else None
        if place is None:
            return None
        node = self._touches.node_of(place)
        return Place(node, place - int(self._touches.starts[node]))


class Origins(dict[str, Place | None]):
    """Where names of blocks come from: known names, and names that begin with one; None for others.

    Of names in both, `own` ones go first.
    """

    def __init__(self, own: Places, other: Places, blocks: Blocks) -> None:
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
