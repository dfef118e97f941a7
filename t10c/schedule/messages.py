"""Joint minima over a chain-like network of choices: bounds and good assignments by messages.

Every node picks a state at a cost; edges add costs that depend on the states at both ends.
Sequential tree-reweighted message passing (Kolmogorov, "Convergent Tree-Reweighted Message Passing
for Energy Minimization", PAMI 2006) gives a lower bound on the least total, which is exact on trees
and rises from sweep to sweep, and messages from which an assignment is read.

A node's states are `blocks` copies of the same `kinds`; edges see kinds, and per block of their
later node one of several tables (moving data or not, from the home or from a copy). Kinds that lie
the same way as far as an edge is concerned share a row or column of its tables.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from t10c.search.space import FloatArray, IntArray

NO_TABLE = -1

TableArray = NDArray[np.float64] | NDArray[np.float32]

_STEP = 2.0**-10
"""Messages are multiples of this many cycles."""

_BELOW = 1 - 2.0**-23
"""What makes up for rounding to the nearest number of 32 bits."""


@dataclass(frozen=True)
class Node:
    """Costs of a node's states in cycles, (blocks, kinds)."""

    costs: FloatArray


class Ways:
    """Which of several ways every kind of a node lies; every way is some kind's."""

    def __init__(self, of: IntArray) -> None:
        self.of = of
        """The way of every kind, (kinds,)."""
        self._order = np.argsort(of, kind="stable")
        self._starts = np.flatnonzero(np.diff(of[self._order], prepend=-1))

    @property
    def count(self) -> int:
        """Number of ways."""
        return len(self._starts)

    def least(self, values: FloatArray) -> FloatArray:
        """The least value of every way; (..., kinds) become (..., ways)."""
        if self.count == len(self.of):
            return values[..., self._order]
        found: FloatArray = np.minimum.reduceat(values[..., self._order], self._starts, axis=-1)
        return found

    def any_kind(self) -> IntArray:
        """A kind of every way, (ways,)."""
        kinds: IntArray = self._order[self._starts]
        return kinds


@dataclass(frozen=True)
class Edge:
    """Cycles between an earlier and a later node: `tables[t]` is (ways of first, ways of second).

    `table_of` gives the table of every block of the second node, NO_TABLE where it costs nothing;
    `first_ways` and `second_ways` are the ways of the nodes' kinds. Tables of 32-bit numbers, none
    negative, take half the time; bounds are a little looser then.
    """

    first: int
    second: int
    tables: tuple[TableArray, ...]
    table_of: tuple[int, ...]
    first_ways: Ways
    second_ways: Ways

    def costs(self, table: int, kind: int) -> FloatArray:
        """What every kind of the second node costs after a kind of the first, (kinds,)."""
        row: FloatArray = self.tables[table][self.first_ways.of[kind]].astype(np.float64)
        return row[self.second_ways.of]


class Messages:
    """Messages along the edges of one network, improved sweep by sweep."""

    def __init__(self, nodes: Sequence[Node], edges: Sequence[Edge]) -> None:
        self.nodes = nodes
        self.edges = edges
        self.later: list[list[int]] = [[] for _ in nodes]
        self.earlier: list[list[int]] = [[] for _ in nodes]
        for number, edge in enumerate(edges):
            if edge.first >= edge.second:
                raise ValueError("an edge leads from an earlier node to a later one")
            self.later[edge.first].append(number)
            self.earlier[edge.second].append(number)
        self._forward = [np.zeros(nodes[e.second].costs.shape) for e in edges]
        self._backward = [np.zeros(nodes[e.first].costs.shape[1]) for e in edges]
        self._known: dict[tuple[object, ...], tuple[FloatArray, float]] = {}
        self._beyond = [0.0] * len(nodes)
        self._share = [
            1.0 / max(len(later), len(earlier), 1)
            for later, earlier in zip(self.later, self.earlier, strict=True)
        ]

    @property
    def backward(self) -> list[FloatArray]:
        """The latest message to the first node of every edge, (kinds,) each."""
        return self._backward

    def begin(self, backward: Sequence[FloatArray]) -> None:
        """Go on from other messages to the first nodes of edges; any are valid, good ones better.

        `backward` has (kinds,) for every edge.
        """
        self._backward = list(backward)

    def sweep(self) -> float:
        """One pass forward and one back; returns a lower bound on the least total cost."""
        self._known.clear()
        for index in range(len(self.nodes)):
            belief = self._belief(index)
            belief -= belief.min()
            for number in self.later[index]:
                self._forward[number], _ = self._to_later(number, self._share[index] * belief)
        bound = 0.0
        for index in reversed(range(len(self.nodes))):
            self._beyond[index] = bound
            belief = self._belief(index)
            least = float(belief.min())
            bound += least
            belief -= least
            for number in self.earlier[index]:
                message, least = self._to_earlier(number, self._share[index] * belief)
                bound += least
                self._backward[number] = message
        # a message rounded down leaves its edge a cost above 0, which only lowers the bound; the
        # margin is for sums of large numbers
        return bound - self._margin

    @property
    def _margin(self) -> float:
        return _STEP * 2 * len(self.edges)

    # What a choice costs that begins with the kinds of some nodes: its own, and at least the rest.
    # The messages of the last sweep to them from nodes beyond, and `least_beyond`, bound the rest.

    def least_after(self, kinds: Sequence[int]) -> FloatArray:
        """Cost of every kind of the node after those, with its edges to them, (kinds,)."""
        index = len(kinds)
        return np.asarray(self._own_costs(index, kinds).min(axis=0))

    def message_change(self, kinds: Sequence[int]) -> FloatArray:
        """What every kind of the node after those adds to the messages from beyond, (kinds,)."""
        index = len(kinds)
        change = np.zeros(self.nodes[index].costs.shape[1])
        for number in self.later[index]:
            change += self._backward[number]
        for number in self.earlier[index]:
            change -= self._backward[number][kinds[self.edges[number].first]]
        return change

    def least_beyond(self, index: int) -> float:
        """What all nodes after one cost at least, messages to those before left out."""
        return self._beyond[index] - self._margin

    def _own_costs(self, index: int, kinds: Sequence[int]) -> FloatArray:
        """Costs of a node's states with its edges to chosen kinds of all before it."""
        cost = self.nodes[index].costs.copy()
        for number in self.earlier[index]:
            edge = self.edges[number]
            for block, table in enumerate(edge.table_of):
                if table != NO_TABLE:
                    cost[block] += edge.costs(table, kinds[edge.first])
        return cost

    def assignment(self, allowed: Sequence[FloatArray] | None = None) -> list[tuple[int, int]]:
        """State (block, kind) of every node, chosen in order, each after those before it.

        `allowed` adds a cost per kind, inf where a kind may not be chosen.
        """
        chosen: list[tuple[int, int]] = []
        kinds: list[int] = []
        for index in range(len(self.nodes)):
            cost = self._own_costs(index, kinds)
            if allowed is not None:
                cost += allowed[index]
            for number in self.later[index]:
                cost += self._backward[number]
            block, kind = divmod(int(np.argmin(cost)), cost.shape[1])
            chosen.append((block, kind))
            kinds.append(kind)
        return chosen

    def kind_bounds(self) -> list[FloatArray]:
        """What any choice costs at least that has a kind at a node: per node (kinds,).

        After a sweep the cost is split into parts of nodes and parts of edges, an edge's with the
        share of its later node's that was passed on through it. Each part is at least its minimum;
        where a node's kind is fixed, its part and those of its edges are at least the minima over
        what is left.
        """
        total = 0.0
        beliefs, above = [], []
        for index, share in enumerate(self._share):
            belief = self._belief(index)
            kept = (1.0 - share * len(self.earlier[index])) * belief
            beliefs.append(belief)
            total += float(kept.min())
            above.append(kept - kept.min())
        beside = [np.zeros(own.shape[1]) for own in above]
        for number, edge in enumerate(self.edges):
            before = -self._backward[number]
            after = self._share[edge.second] * beliefs[edge.second] - self._forward[number]
            first, second = edge.first_ways.least(before), edge.second_ways.least(after)
            reaching, reached = _reaching(edge, second), _reached(edge, first)
            least = float((reaching + first).min())
            total += least
            beside[edge.first] += before + reaching[edge.first_ways.of] - least
            blocks = np.stack([reached[table] for table in edge.table_of])
            above[edge.second] += after + blocks[:, edge.second_ways.of] - least
        return [
            own.min(axis=0) + side + (total - self._margin)
            for own, side in zip(above, beside, strict=True)
        ]

    def _belief(self, index: int) -> FloatArray:
        belief = self.nodes[index].costs.copy()
        for number in self.earlier[index]:
            belief += self._forward[number]
        for number in self.later[index]:
            belief += self._backward[number]
        return belief

    def _to_later(self, number: int, belief: FloatArray) -> tuple[FloatArray, float]:
        """Least cost of the first node's states, (blocks, kinds) of the second, and its minimum."""
        edge = self.edges[number]
        own = edge.first_ways.least(np.min(belief, axis=0) - self._backward[number])
        key = (id(edge.tables), id(edge.second_ways), edge.table_of, own.tobytes())
        if key not in self._known:
            reached = _reached(edge, own)
            message = np.stack([reached[table] for table in edge.table_of])
            self._known[key] = _rounded(message[:, edge.second_ways.of])
        return self._known[key]

    def _to_earlier(self, number: int, belief: FloatArray) -> tuple[FloatArray, float]:
        """Least cost of the second node's states, (kinds,) of the first, and its minimum."""
        edge = self.edges[number]
        own = edge.second_ways.least(belief - self._forward[number])
        key = (id(edge.tables), id(edge.first_ways), edge.table_of, own.tobytes())
        if key not in self._known:
            self._known[key] = _rounded(_reaching(edge, own)[edge.first_ways.of])
        return self._known[key]


def _reached(edge: Edge, own: FloatArray) -> dict[int, FloatArray]:
    """Per table, the least total of the first node's ways, (ways of second,); `own` are theirs."""
    found = {
        number: _least_sums(table, own[:, None], axis=0) for number, table in enumerate(edge.tables)
    }
    found[NO_TABLE] = np.full(edge.second_ways.count, own.min())
    return found


def _reaching(edge: Edge, own: FloatArray) -> FloatArray:
    """The least total of the second node's states, (ways of first,); `own` (blocks, ways)."""
    message = np.full(edge.first_ways.count, np.inf)
    for table in sorted(set(edge.table_of)):
        blocks = [block for block, used in enumerate(edge.table_of) if used == table]
        least = np.min(own[blocks], axis=0)
        if table == NO_TABLE:
            np.minimum(message, least.min(), out=message)
        else:
            np.minimum(message, _least_sums(edge.tables[table], least, axis=1), out=message)
    return message


def _least_sums(table: TableArray, own: FloatArray, axis: int) -> FloatArray:
    """Least of the table's numbers and one of `own` each, along an axis; too small if anything."""
    if table.dtype == np.float64:
        return np.asarray(np.min(table + own, axis=axis))
    lowest = own.min()
    least = np.min(table + narrow(own - lowest), axis=axis).astype(np.float64)
    return np.asarray(least * _BELOW + lowest)


def narrow(values: FloatArray) -> TableArray:
    """Numbers that are not negative in half the space, a little less rather than more."""
    below: TableArray = (values * _BELOW).astype(np.float32)
    return below


def _rounded(message: FloatArray) -> tuple[FloatArray, float]:
    """The message less its minimum, rounded down, and the minimum.

    Rounded messages of repeated layers soon are the same bit by bit, and are computed once.
    """
    least = float(message.min())
    return np.floor((message - least) / _STEP) * _STEP, least
