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
from dataclasses import replace

import numpy as np

from t10c.hardware.kernels import exchange_cycles, move_cycles
from t10c.hardware.spec import HardwareSpec
from t10c.schedule.fetch_sizes import FetchSizes, Side
from t10c.schedule.kinds import Kinds
from t10c.schedule.listed_layouts import Lies
from t10c.schedule.messages import NO_TABLE, Edge, Node, TableArray, Ways, narrow
from t10c.schedule.progress import numbered
from t10c.schedule.setting import Setting
from t10c.schedule.shares import fetch_cycles
from t10c.schedule.steps import Step
from t10c.schedule.terms import Fetch, Origin, Term, Terms
from t10c.schedule.windows import Window
from t10c.search.space import FloatArray, IntArray

Place = tuple[Lies, Window | None]
"""What a core holds in a role, and the part of it that is looked at."""


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
        self._sides: dict[tuple[int, Lies, Window | None], Side] = {}
        self._joints: dict[tuple[int, tuple[Place, ...]], Ways] = {}

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

    def _side(self, step: int, lies: Lies, window: Window | None = None) -> Side:
        key = (self.kinds_of[step], lies, window)
        if key not in self._sides:
            number = self.setting.choice_of[step]
            self._sides[key] = self.sizes.side(number, self.kinds[key[0]], lies, window)
        return self._sides[key]

    def _joint_ways(self, step: int, every: Seq[Place]) -> Ways:
        """Kinds of a step that are alike in all roles."""
        if len(every) == 1:
            return self._side(step, *every[0]).ways
        key = (self.kinds_of[step], tuple(every))
        if key not in self._joints:
            columns = [self._side(step, *place).ways.of for place in every]
            self._joints[key] = Ways(numbered(np.column_stack(columns))[1])
        return self._joints[key]

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
            number: self.sizes.even_bytes(
                step, fetch, self._side(step.index, ("in", step.reads[fetch.position].operand))
            )
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
        reads = [step.reads[fetches[term.fetch].position] for term in terms]
        every = [self.sizes.seen(step, first, term) for term in terms]
        held: list[Place] = [(term.lies, s.held) for term, s in zip(terms, every, strict=True)]
        needed: list[Place] = [
            (("in", read.operand), s.need) for read, s in zip(reads, every, strict=True)
        ]
        first_ways = self._joint_ways(first, held)
        second_ways = self._joint_ways(step.index, needed)
        sizes = []
        for term, read, own, place in zip(terms, reads, held, needed, strict=True):
            before, after = self._side(first, *own), self._side(step.index, *place)
            size = self.sizes.bytes_between(step, read, first, term, before, after)
            rows = before.ways.of[first_ways.any_kind()]
            columns = after.ways.of[second_ways.any_kind()]
            sizes.append(size[np.ix_(rows, columns)] if len(terms) > 1 else size)
        made: list[TableArray] = []
        number_of: dict[tuple[bool, tuple[int, ...]], int] = {}
        table_of = []
        for moves, origin in self._blocks(fetches):
            used = tuple(i for i, term in enumerate(terms) if origin[term.fetch] == term.origin)
            if not used:
                table_of.append(NO_TABLE)
                continue
            if (moves, used) not in number_of:
                number_of[moves, used] = len(made)
                # what one core receives on average can be added to what another receives most
                cycles = sum(self._cycles(sizes[i], moves) for i in used)
                made.append(narrow(np.asarray(cycles)))
            table_of.append(number_of[moves, used])
        return Edge(first, step.index, tuple(made), tuple(table_of), first_ways, second_ways)

    def _cycles(self, size: FloatArray, moves: bool) -> FloatArray:
        """An operand's part of an exchange, the syncs left out; with them where nothing may move.

        So states in which nothing moves are never cheaper for what moves after all.
        """
        if moves:
            return np.asarray(move_cycles(self.spec, size))
        return fetch_cycles(self.spec, size)
