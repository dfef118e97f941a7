"""Blocks of nodes that repeat: layers of a model that differ in names only.

Two nodes are alike if they have the same operator and attributes, and operands that are alike: the
tensor that the same node so many nodes before has touched, or a new one of the same shape, type,
kind and, where it is known, value. So nodes that are alike from some node on to another are
connected alike too, but for tensors that were there before.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from t10c.onnx_import.resolved import ResolvedModel

IntArray = npt.NDArray[np.int64]

_TRIED = 4
"""How many lengths are tried: layers of two kinds in turn have nodes that recur in every one."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """`count` blocks of `length` nodes, from node `start` on, of which each is like the first."""

    start: int
    length: int
    count: int

    @property
    def stop(self) -> int:
        """The node after the last block."""
        return self.start + self.count * self.length


def find_blocks(model: ResolvedModel, fewest: int) -> Blocks | None:
    """The longest run of blocks that are alike; None if there are fewer blocks than `fewest`."""
    if len(model.nodes) < fewest:
        return None
    keys = _keys(model)
    last: dict[int, int] = {}
    covered: Counter[int] = Counter()
    for index, key in enumerate(keys):
        if key in last:
            covered[index - last[key]] += index - last[key]
        last[key] = index
    if not covered:
        return None
    usual = sorted(covered, key=lambda distance: (-covered[distance], distance))
    runs = [_longest_run(np.array(keys), length) for length in usual[:_TRIED]]
    best = max(runs, key=lambda blocks: blocks.stop - blocks.start)
    return best if best.count >= fewest else None


def _longest_run(keys: IntArray, length: int) -> Blocks:
    """The longest run of blocks of this length, given the keys of all nodes."""
    alike = np.zeros(len(keys) - length + 2, dtype=np.int8)
    alike[1:-1] = keys[length:] == keys[:-length]
    edges = np.flatnonzero(np.diff(alike))
    begin, end = edges[::2], edges[1::2]
    longest = int(np.argmax(end - begin))
    count = int(end[longest] - begin[longest]) // length + 1
    return Blocks(int(begin[longest]), length, count)


def _keys(model: ResolvedModel) -> list[int]:
    """A number for every node, equal for nodes that are alike.

    Nodes with the same attributes share them as one object.
    """
    describe = _Description(model)
    touched: dict[str, tuple[int, int]] = {}
    numbers: dict[tuple[object, ...], int] = {}
    keys: list[int] = []
    for index, node in enumerate(model.nodes):
        key: list[object] = [node.op_type, node.domain, node.opset, node.owner]
        key += (id(node.attributes), len(node.inputs))
        for slot, name in enumerate((*node.inputs, *node.outputs)):
            if not name:
                key.append(None)
                continue
            before = touched.get(name)
            key += describe.new(name) if before is None else (index - before[0], before[1])
            touched[name] = (index, slot)
        keys.append(numbers.setdefault(tuple(key), len(numbers)))
    return keys


class _Description:
    """What is known of a model's tensors, their names aside."""

    def __init__(self, model: ResolvedModel) -> None:
        self._model = model
        self._inputs = frozenset(model.inputs)
        self._outputs = frozenset(model.outputs)

    def new(self, name: str) -> tuple[object, ...]:
        """All that is known of a tensor that no node has touched yet."""
        model, value = self._model, self._model.constants.get(name)
        return (
            model.shapes[name],
            model.element_types[name],
            name in model.weights,
            name in self._inputs,
            name in self._outputs,
            value if value is None else name if value.dtype.hasobject else value.tobytes(),
        )
