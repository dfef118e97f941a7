"""Blocks of nodes that repeat: layers of a model that differ in names only.

Two nodes are alike if they have the same operator and attributes, and operands that are alike: the
tensor that the same node so many nodes before has touched, or a new one of which the same is known.
So nodes that are alike from some node on to another are connected alike too, but for tensors that
were there before.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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


def find_blocks(keys: Sequence[int], fewest: int) -> Blocks | None:
    """The longest run of blocks that are alike, given the keys of all nodes (`node_keys`).

    None if there are fewer blocks than `fewest`.
    """
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


def node_keys(
    nodes: Iterable[tuple[Hashable, Sequence[str], Sequence[str]]],
    new: Callable[[str], Hashable],
) -> list[int]:
    """A number for every node, equal for nodes that are alike.

    `nodes` are what a node does, its inputs and its outputs; `new` tells what is known of a tensor
    that no node has touched yet.
    """
    touched: dict[str, tuple[int, int]] = {}
    numbers: dict[Hashable, int] = {}
    keys: list[int] = []
    for index, (does, inputs, outputs) in enumerate(nodes):
        key: list[Hashable] = [does, len(inputs)]
        for slot, name in enumerate((*inputs, *outputs)):
            if not name:
                key.append(None)
                continue
            before = touched.get(name)
            if before is None:
                key.append(new(name))
            else:
                key += (index - before[0], before[1])
            touched[name] = (index, slot)
        keys.append(numbers.setdefault(tuple(key), len(numbers)))
    return keys
