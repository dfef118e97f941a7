"""The choice over a model as a network: a node per step, edges where data or copies pass.

A state of a step is a kind of plan (kinds.py), whether its exchange moves anything (then it takes
the exchange's syncs), and for every operand that the step before has just read, whether it comes
from its home or from that copy. With these told apart, the price of an exchange is a sum over its
operands, so every term depends on two steps at most. What a core receives of an operand made of
tensors of several steps is bounded by what cores receive on average, which is a sum over the
tensors. Where a term is left out, the network's least total never exceeds the least latency.
"""

import itertools
from collections.abc import Sequence as Seq
from dataclasses import dataclass, replace

import numpy as np

from t10c.hardware.kernels import exchange_cycles, move_cycles
from t10c.hardware.spec import HardwareSpec
from t10c.schedule.fetch_sizes import FetchSizes
from t10c.schedule.kinds import Kinds
from t10c.schedule.messages import NO_TABLE, Edge, Node, TableArray, Ways, narrow
from t10c.schedule.numbering import numbered
from t10c.schedule.setting import Setting
from t10c.schedule.shares import fetch_cycles
from t10c.schedule.size_table import SizeTable
from t10c.schedule.steps import Step
from t10c.schedule.terms import Fetch, Origin, Term, Terms
from t10c.search.space import FloatArray, IntArray


class NetworkBuilder:
    """Builds the network of a setting for given kinds; tables are remembered between builds."""

    def __init__(self, setting: Setting, spec: HardwareSpec) -> None:
        self.setting = setting
        self.spec = spec
        self._terms = Terms(setting, spec)
        self._sizes = FetchSizes(setting, spec, self._terms)

    def alike(self, number: int, rows: IntArray) -> IntArray:
        """Numbers of how some rows of a shortlist lie wherever the network looks, (rows,)."""
        return self._sizes.alike(number, rows)

    def build(self, kinds: Seq[Kinds], kinds_of: Seq[int]) -> tuple[list[Node], list[Edge]]:
        """Nodes and edges; `kinds_of[step]` numbers the step's kinds."""
        return _Build(self.setting, self.spec, self._terms, self._sizes, kinds, kinds_of).network()


@dataclass(frozen=True)
class _Part:
    """What a term adds to an edge: the sizes, numbered, and the row of every kind of the first."""

    table: int
    sizes: SizeTable
    rows: IntArray


class _Build:
    """One network; parts that are alike are made once."""

    def __init__(
        self,
        setting: Setting,
        spec: HardwareSpec,
        terms: Terms,
        sizes: FetchSizes,
        kinds: Seq[Kinds],
        kinds_of: Seq[int],
    ) -> None:
        self.setting = setting
        self.spec = spec
        self.terms = terms
        self.sizes = sizes
        self.kinds = kinds
        self.kinds_of = kinds_of
        self._tables: dict[tuple[object, ...], tuple[int, SizeTable]] = {}
        self._edges: dict[tuple[object, ...], Edge] = {}

    def network(self) -> tuple[list[Node], list[Edge]]:
        """Nodes and edges of all steps."""
        nodes: dict[tuple[object, ...], Node] = {}
        edges: dict[tuple[object, ...], Edge] = {}
        found_nodes, found_edges = [], []
        for step in self.setting.sequence.steps:
            fetches = self.terms.fetches[step.index]
            keys = tuple(self.setting.pricer.read_key(step.index, f.position) for f in fetches)
            own = (self.kinds_of[step.index], fetches, keys)
            constant = tuple(self.terms.constant(step, f) for f in fetches)
            even = tuple(self.terms.counts_even(step, number) for number in range(len(fetches)))
            if (own, constant, even) not in nodes:
                nodes[own, constant, even] = self._node(step, fetches)
            found_nodes.append(nodes[own, constant, even])
            for first, terms in self.terms.by_step[step.index].items():
                key = (own, self.kinds_of[first], terms)
                if key not in edges:
                    edges[key] = self._edge(step, fetches, first, terms)
                found_edges.append(replace(edges[key], first=first, second=step.index))
        return found_nodes, found_edges

    def _blocks(self, fetches: Seq[Fetch]) -> list[tuple[bool, tuple[Origin, ...]]]:
        """(moves anything, origin of every operand) of a step's blocks of states."""
        origins = list(itertools.product(*(fetch.origins for fetch in fetches)))
        return [
            (moves, origin)
            for origin in origins
            for moves in ((True, False) if fetches else (False,))
        ]

    def _node(self, step: Step, fetches: Seq[Fetch]) -> Node:
        own = self.kinds[self.kinds_of[step.index]]
        costs = []
        even = {
            number: self.sizes.even_bytes(step, fetch, own)
            for number, fetch in enumerate(fetches)
            if self.terms.counts_even(step, number)
        }
        for moves, origin in self._blocks(fetches):
            cost = own.cost + (float(exchange_cycles(self.spec, 0.0)) if moves else 0.0)
            for number, size in even.items():
                if origin[number] == "home":
                    cost = cost + self._cycles(size, moves)
            costs.append(cost)
        return Node(np.stack(costs))

    def _edge(
        self,
        step: Step,
        fetches: Seq[Fetch],
        first: int,
        terms: tuple[Term, ...],
    ) -> Edge:
        parts = [self._part(step, fetches, first, term) for term in terms]
        blocks = self._blocks(fetches)
        used = [
            tuple(i for i, term in enumerate(terms) if origin[term.fetch] == term.origin)
            for _, origin in blocks
        ]
        rows = np.stack([part.rows for part in parts], axis=1)
        ends = (self.kinds_of[first], self.kinds_of[step.index])
        moving = tuple(moves for moves, _ in blocks)
        key = (*ends, tuple(part.table for part in parts), rows.tobytes(), tuple(used), moving)
        if key not in self._edges:
            self._edges[key] = self._joined(parts, rows, list(zip(moving, used, strict=True)))
        return replace(self._edges[key], first=first, second=step.index)

    def _part(self, step: Step, fetches: Seq[Fetch], first: int, term: Term) -> "_Part":
        """What a term adds to an edge."""
        read = step.reads[fetches[term.fetch].position]
        ends = (self.kinds_of[first], self.kinds_of[step.index])
        before, after = (self.kinds[end] for end in ends)
        key, make = self.sizes.between(step, read, first, term, before, after)
        if (ends, key) not in self._tables:
            self._tables[ends, key] = len(self._tables), make()
        number, table = self._tables[ends, key]
        seen = self.sizes.seen(step, first, term)
        ways = self.sizes.ways(self.setting.choice_of[first], before, term.lies, seen.held)
        return _Part(number, table, table.rows(ways))

    def _joined(
        self, parts: "Seq[_Part]", rows: IntArray, blocks: Seq[tuple[bool, tuple[int, ...]]]
    ) -> Edge:
        """The edge of some terms; a block of states says whether anything moves, and what terms."""
        columns = np.stack([part.sizes.columns for part in parts], axis=1)
        first_ways, second_ways = Ways(numbered(rows)[1]), Ways(numbered(columns)[1])
        some_rows, some_columns = rows[first_ways.any_kind()], columns[second_ways.any_kind()]
        sizes = [
            part.sizes.table()[np.ix_(some_rows[:, i], some_columns[:, i])]
            for i, part in enumerate(parts)
        ]
        made: list[TableArray] = []
        number_of: dict[tuple[bool, tuple[int, ...]], int] = {}
        table_of = []
        for moves, used in blocks:
            if not used:
                table_of.append(NO_TABLE)
                continue
            if (moves, used) not in number_of:
                number_of[moves, used] = len(made)
                # what one core receives on average can be added to what another receives most
                cycles = sum(self._cycles(sizes[i], moves) for i in used)
                made.append(narrow(np.asarray(cycles)))
            table_of.append(number_of[moves, used])
        return Edge(0, 1, tuple(made), tuple(table_of), first_ways, second_ways)

    def _cycles(self, size: FloatArray, moves: bool) -> FloatArray:
        """An operand's part of an exchange, the syncs left out; with them where nothing may move.

        So states in which nothing moves are never cheaper for what moves after all.
        """
        if moves:
            return np.asarray(move_cycles(self.spec, size))
        return fetch_cycles(self.spec, size)
