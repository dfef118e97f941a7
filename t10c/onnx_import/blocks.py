"""Blocks of nodes that repeat: layers of a model that differ in names only.

Two nodes are alike if they have the same operator and attributes, and operands that are alike: the
tensor that the same node so many nodes before has touched, or a new one of which the same is known.
So nodes that are alike from some node on to another are connected alike too, but for tensors that
were there before.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]


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


class Touches:
    """The tensors that nodes touch: inputs and outputs of all nodes, one after the other.

    `names` are theirs, '' for absent ones; those of node i begin at `starts[i]`, and `first` says
    where a name stands first.
    """

    def __init__(self, nodes: Sequence[NamedNode]) -> None:
        self.inputs = np.array([len(node.inputs) for node in nodes], dtype=np.int64)
        counts = self.inputs + np.array([len(node.outputs) for node in nodes], dtype=np.int64)
        self.starts: IntArray = np.concatenate([[0], np.cumsum(counts)])
        self._starts: list[int] = self.starts.tolist()
        parts = ((node.inputs, node.outputs) for node in nodes)
        self.names = list(chain.from_iterable(chain.from_iterable(parts)))
        places = range(len(self.names))
        self.first = dict(zip(reversed(self.names), reversed(places), strict=True))

    def node_of(self, place: int) -> int:
        """The node that the entry at `place` belongs to."""
        return bisect_right(self._starts, place) - 1


def node_keys(
    touches: Touches, does: Sequence[Hashable], new: Callable[[str, bool], Hashable]
) -> list[int]:
    """A number for every node, equal for nodes that are alike.

    `does` says what every node does; `new` tells what is known of a tensor that no node has touched
    before, and is also told whether the node that does is the one that makes it.
    """
    starts = touches.starts
    node = np.repeat(np.arange(len(does)), np.diff(starts))
    slot = np.arange(len(touches.names)) - starts[node]
    ids: IntArray = np.fromiter(map(touches.first.__getitem__, touches.names), np.int64, len(slot))
    order = np.argsort(ids, kind="stable")
    again = ids[order[1:]] == ids[order[:-1]]
    before = np.full(len(slot), -1)
    before[order[1:][again]] = order[:-1][again]
    # (nodes since, slot there) of what was touched before, (-1 - what is known, -1) of what is new,
    # and (0, -1) of what is absent
    absent = ids == touches.first.get("", -1)
    fresh = (before < 0) & ~absent
    there = np.where(fresh | absent, -1, slot[before])
    back = np.where(absent, 0, node - node[before])
    known: dict[Hashable, int] = {}
    made = slot >= touches.inputs[node]
    first = zip(ids[fresh].tolist(), made[fresh].tolist(), strict=True)
    facts = [new(touches.names[place], own) for place, own in first]
    back[fresh] = [-1 - known.setdefault(fact, len(known)) for fact in facts]
    data = np.stack([back, there], axis=1).astype(np.int64).tobytes()
    numbers: dict[Hashable, int] = {}
    bounds = (16 * starts).tolist()
    parts = zip(does, touches.inputs.tolist(), bounds[:-1], bounds[1:], strict=True)
    return [numbers.setdefault((d, n, data[b:e]), len(numbers)) for d, n, b, e in parts]
