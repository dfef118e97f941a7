"""The choice over a model as a network: a node per step, edges where data or copies pass.

A state of a step is a kind of plan (kinds.py), whether its exchange moves anything (then it takes
the exchange's syncs), and for every operand that the step before has just read, whether it comes
from its home or from that copy. With these told apart, the price of an exchange is a sum over its
operands, so every term depends on two steps at most. What a core receives of an operand made of
tensors of several steps is bounded by what cores receive on average, which is a sum over the
tensors. Where a term is left out, the network's least total never exceeds the least latency.
"""

import itertools
import math
from collections.abc import Callable
from collections.abc import Sequence as Seq
from dataclasses import dataclass

import numpy as np

from t10c.hardware.kernels import exchange_cycles, move_cycles
from t10c.hardware.spec import HardwareSpec
from t10c.hardware.width import size_bytes, stored_bits
from t10c.schedule.atoms import View, identity_view
from t10c.schedule.kinds import Kinds
from t10c.schedule.layout import Layout
from t10c.schedule.listed_layouts import Lies, ListedLayouts, PairTable
from t10c.schedule.messages import FORBIDDEN, NO_TABLE, Edge, Node, Ways
from t10c.schedule.received import received_elements
from t10c.schedule.received_matrix import mean_received_matrix, received_matrix
from t10c.schedule.setting import Setting
from t10c.schedule.steps import Read, Source, Step
from t10c.search.space import FloatArray, IntArray

_MOST_COPIES = 2
"""Operands of a step that may come from copies and are told apart; others are left out."""

_HOME, _COPY = "home", "copy"


@dataclass(frozen=True, slots=True)
class _Fetch:
    """One operand of a step in the network: its read, and where it may come from."""

    position: int
    origins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Term:
    """What a step receives of one operand from what an earlier step holds.

    `sources` are those of the read's that the earlier step holds (none: its copy of the operand),
    `alone` says that no other step holds any, so that cores can be looked at one by one.
    """

    fetch: int
    origin: str
    lies: Lies
    sources: tuple[int, ...]
    alone: bool


@dataclass(frozen=True)
class _Side:
    """Ways of a step's kinds for one term: opened ways first, then one of every class.

    `known` (opened ways,) are their numbers among the listed layouts; sizes are (ways,) in bytes.
    """

    ways: Ways
    known: IntArray


class NetworkBuilder:
    """Builds the network of a setting for given kinds; tables are remembered between builds."""

    def __init__(self, setting: Setting, spec: HardwareSpec) -> None:
        self.setting = setting
        self.spec = spec
        pricer = setting.pricer
        self.listed = ListedLayouts(setting.choices, pricer.layouts.sample, spec)
        steps = setting.sequence.steps
        self.fetches = [self._fetches(step) for step in steps]
        self.terms = [self._terms(step) for step in steps]
        self._pairs: dict[tuple[object, ...], PairTable] = {}
        self._alike: dict[int, dict[bytes, int]] = {}
        self._looks: dict[int, list[Lies]] = {}

    def alike(self, number: int, rows: IntArray) -> IntArray:
        """Numbers of how some rows of a shortlist lie wherever the network looks, (rows,).

        Rows with the same number have the same sizes as well.
        """
        listed = self.setting.choices[number].listed
        sizes = (
            listed.fetched_bytes,
            listed.needed_bytes,
            listed.floor_bytes,
            listed.home_bytes[:, None],
        )
        columns = [own[rows].astype(np.float64) for own in sizes]
        ways = [self.listed.ways(number, lies, rows)[:, None] for lies in self._looked_at(number)]
        known = self._alike.setdefault(number, {})
        table = np.concatenate([*columns, *ways], axis=1)
        return np.array([known.setdefault(row.tobytes(), len(known)) for row in table], np.int64)

    def _looked_at(self, number: int) -> list[Lies]:
        """What the network looks at of a choices' plans."""
        if number not in self._looks:
            looks: dict[Lies, None] = {}
            for step in self.setting.sequence.steps:
                if self.setting.choice_of[step.index] == number:
                    operands = [step.reads[f.position].operand for f in self.fetches[step.index]]
                    looks.update({("in", operand): None for operand in operands})
                for first, terms in self.terms[step.index].items():
                    if self.setting.choice_of[first] == number:
                        looks.update({term.lies: None for term in terms})
            self._looks[number] = list(looks)
        return self._looks[number]

    def build(self, kinds: Seq[Kinds], kinds_of: Seq[int]) -> tuple[list[Node], list[Edge]]:
        """Nodes and edges; `kinds_of[step]` numbers the step's kinds."""
        nodes: dict[tuple[object, ...], Node] = {}
        edges: dict[tuple[object, ...], Edge] = {}
        found_nodes, found_edges = [], []
        for step in self.setting.sequence.steps:
            fetches = self.fetches[step.index]
            keys = tuple(self.setting.pricer.read_key(step.index, f.position) for f in fetches)
            own = (kinds_of[step.index], tuple(fetches), keys)
            constant = tuple(self._constant(step, f) for f in fetches)
            even = tuple(self._counts_even(step, number) for number in range(len(fetches)))
            if (own, constant, even) not in nodes:
                nodes[own, constant, even] = self._node(step, fetches, kinds[kinds_of[step.index]])
            found_nodes.append(nodes[own, constant, even])
            for first, terms in self.terms[step.index].items():
                key = (own, kinds_of[first], terms)
                if key not in edges:
                    between = (kinds[kinds_of[first]], kinds[kinds_of[step.index]])
                    edges[key] = self._edge(step, fetches, first, terms, between)
                edge = edges[key]
                found_edges.append(
                    Edge(
                        first,
                        step.index,
                        edge.tables,
                        edge.table_of,
                        edge.first_ways,
                        edge.second_ways,
                    )
                )
        return found_nodes, found_edges

    # What depends on what

    def _fetches(self, step: Step) -> list[_Fetch]:
        """Operands whose exchange is a sum of functions of two steps."""
        fetches, copies = [], 0
        for position, read in enumerate(step.reads):
            if any(source.weight_of >= step.index for source in read.sources):
                continue
            if len(read.sources) > 1 and not self._adds_up(read):
                continue
            reusable = self.setting.pricer.reuse_operand(step.index, position) >= 0
            copies += reusable
            if copies > _MOST_COPIES and reusable:
                continue
            fetches.append(_Fetch(position, (_HOME, _COPY) if reusable else (_HOME,)))
        return fetches

    def _adds_up(self, read: Read) -> bool:
        """Whether bytes received of the read's sources are in proportion to elements."""
        tensors = self.setting.sequence.graph.tensor
        widths = {stored_bits(self.spec, tensors[source.tensor].bits) for source in read.sources}
        return len(widths) == 1 and not widths.pop() % 8

    def _constant(self, step: Step, fetch: _Fetch) -> tuple[int, ...]:
        """The operand's sources that do not depend on a choice: they lie evenly spread."""
        sources = step.reads[fetch.position].sources
        return tuple(i for i, source in enumerate(sources) if _owner(source) < 0)

    def _blocks(self, fetches: Seq[_Fetch]) -> list[tuple[bool, tuple[str, ...]]]:
        """(moves anything, origin of every operand) of a step's blocks of states."""
        origins = list(itertools.product(*(fetch.origins for fetch in fetches)))
        return [
            (moves, origin)
            for origin in origins
            for moves in ((True, False) if fetches else (False,))
        ]

    def _terms(self, step: Step) -> dict[int, tuple[_Term, ...]]:
        """Per earlier step that has a say, the terms of what comes from it."""
        terms: dict[int, list[_Term]] = {}
        pricer = self.setting.pricer
        for number, fetch in enumerate(self.fetches[step.index]):
            sources = step.reads[fetch.position].sources
            held: dict[tuple[int, Lies], list[int]] = {}
            for index, source in enumerate(sources):
                if source.weight_of >= 0:
                    # idle pieces are parts of the active ones, in one copy or several
                    lies: Lies = ("in", pricer.weight_operand(source))
                else:
                    lies = ("out", 0)
                if _owner(source) >= 0:
                    held.setdefault((_owner(source), lies), []).append(index)
            for (first, lies), own in held.items():
                term = _Term(number, _HOME, lies, tuple(own), len(held) == 1)
                terms.setdefault(first, []).append(term)
            if _COPY in fetch.origins:
                operand = pricer.reuse_operand(step.index, fetch.position)
                copy = _Term(number, _COPY, ("after", operand), (), True)
                terms.setdefault(step.index - 1, []).append(copy)
        return {first: tuple(found) for first, found in terms.items()}

    # Nodes

    def _node(self, step: Step, fetches: Seq[_Fetch], own: Kinds) -> Node:
        costs = []
        even = {
            number: self._even_bytes(step, fetch, own)
            for number, fetch in enumerate(fetches)
            if self._counts_even(step, number)
        }
        for moves, origin in self._blocks(fetches):
            cost = own.cost + (float(exchange_cycles(self.spec, 0.0)) if moves else 0.0)
            for number, size in even.items():
                if origin[number] == _HOME:
                    cost = cost + self._cycles(size, moves)
            costs.append(cost)
        return Node(np.stack(costs))

    def _counts_even(self, step: Step, number: int) -> bool:
        """Whether what lies evenly spread of an operand is the node's: no edge counts it."""
        fetch = self.fetches[step.index][number]
        alone = any(
            term.fetch == number and term.origin == _HOME and term.alone
            for terms in self.terms[step.index].values()
            for term in terms
        )
        return bool(self._constant(step, fetch)) and not alone

    def _even_bytes(self, step: Step, fetch: _Fetch, own: Kinds) -> FloatArray:
        """Bytes of an operand's sources that lie evenly spread, at least, (kinds,)."""
        pricer, read = self.setting.pricer, step.reads[fetch.position]
        number = self.setting.choice_of[step.index]
        constant = self._constant(step, fetch)
        side = self._side(number, own, ("in", read.operand))
        key = ("even", number, pricer.read_key(step.index, fetch.position), constant)
        if key not in self._pairs:
            self._pairs[key] = PairTable(self._even_pairs(step, read, constant, number))
        known = self._pairs[key].of(np.zeros(1, dtype=np.int64), side.known)[0]
        if len(constant) < len(read.sources):
            size = np.zeros(len(own))
        else:
            needed, floor = self._sizes(step, read, own, read.sources[constant[0]].tensor)
            share = sum(pricer.even_share_bytes(read.sources[i]) for i in constant)
            size = np.maximum(floor, needed - share)
        size[: own.single] = known[side.ways.of[: own.single]]
        return size

    def _even_pairs(
        self, step: Step, read: Read, constant: tuple[int, ...], number: int
    ) -> Callable[[IntArray, IntArray], IntArray]:
        """Bytes of evenly spread sources: of the core that lacks most, or on average.

        On average where other sources depend on a choice.
        """
        cores = len(self.setting.pricer.layouts.sample)
        most = len(constant) == len(read.sources)

        def compute(_: IntArray, second: IntArray) -> IntArray:
            need = self.listed.layouts(number, ("in", read.operand), second)
            views = tuple(read.views[i] for i in constant)
            held = tuple(_repeated(self._even(read.sources[i]), len(second)) for i in constant)
            missing = received_elements(need, views, held).reshape(-1, cores)
            elements = missing.max(axis=1) if most else missing.sum(axis=1) // cores
            return self._bytes_of(elements, views[0].tensor)[None]

        return compute

    def _even(self, source: Source) -> Layout:
        tensor = self.setting.sequence.graph.tensor[source.tensor]
        return self.setting.pricer.layouts.even_sampled(tensor.shape)

    def _bytes_of(self, elements: IntArray, tensor: str) -> IntArray:
        bits = self.setting.sequence.graph.tensor[tensor].bits
        return np.asarray(size_bytes(self.spec, elements, bits), dtype=np.int64)

    # Edges

    def _edge(
        self,
        step: Step,
        fetches: Seq[_Fetch],
        first: int,
        terms: tuple[_Term, ...],
        between: tuple[Kinds, Kinds],
    ) -> Edge:
        choice_of, (other, own) = self.setting.choice_of, between
        reads = [step.reads[fetches[term.fetch].position] for term in terms]
        sides = [
            (
                self._side(choice_of[first], other, term.lies),
                self._side(choice_of[step.index], own, ("in", read.operand)),
            )
            for term, read in zip(terms, reads, strict=True)
        ]
        first_ways = _joint([before.ways for before, _ in sides])
        second_ways = _joint([after.ways for _, after in sides])
        sizes = []
        for term, read, (before, after) in zip(terms, reads, sides, strict=True):
            size = self._bytes(step, read, first, term, (before, other), (after, own))
            rows = before.ways.of[first_ways.any_kind()]
            columns = after.ways.of[second_ways.any_kind()]
            sizes.append(size[np.ix_(rows, columns)])
        made: list[FloatArray] = []
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
                made.append(np.asarray(sum(self._cycles(sizes[i], moves) for i in used)))
            table_of.append(number_of[moves, used])
        return Edge(first, step.index, tuple(made), tuple(table_of), first_ways, second_ways)

    def _cycles(self, size: FloatArray, moves: bool) -> FloatArray:
        """An operand's part of an exchange, the syncs left out; FORBIDDEN if nothing may move."""
        if moves:
            return np.asarray(move_cycles(self.spec, size))
        return np.where(size > 0, FORBIDDEN, 0.0)

    def _side(self, number: int, kinds: Kinds, lies: Lies) -> _Side:
        """How the kinds of a choices lie in a role."""
        listed = self.listed.ways(number, lies, kinds.rows)
        known, of = np.unique(listed, return_inverse=True)
        classes = np.arange(len(kinds) - kinds.single) + len(known)
        return _Side(Ways(np.concatenate([of.ravel(), classes])), known)

    def _bytes(
        self,
        step: Step,
        read: Read,
        first: int,
        term: _Term,
        before: tuple[_Side, Kinds],
        after: tuple[_Side, Kinds],
    ) -> FloatArray:
        """Most bytes that a core receives of an operand, at least, (ways of first, own ways)."""
        (before_side, other), (after_side, own) = before, after
        moved = read.tensor if term.origin == _COPY else read.sources[term.sources[0]].tensor
        needed, floor = self._sizes(step, read, own, moved)
        least_needed = after_side.ways.least(needed)
        if not term.alone:
            size = np.zeros((before_side.ways.count, after_side.ways.count))
        elif term.lies[0] == "out":
            home = before_side.ways.most(other.home) * len(term.sources)
            size = least_needed - home[:, None] - self._around_bytes(read, term)
            if len(term.sources) == len(read.sources):
                size = np.maximum(after_side.ways.least(floor), size)
        else:
            times = max(1, len(term.sources))
            held = before_side.ways.most(other.held[:, term.lies[1]]) * times
            size = least_needed - held[:, None] - self._around_bytes(read, term)
        size = np.maximum(0.0, size)
        exact = self._pair_table(step, read, first, term).of(before_side.known, after_side.known)
        size[: len(before_side.known), : len(after_side.known)] = exact
        return size

    def _around(self, read: Read, term: _Term) -> tuple[int, ...]:
        """Sources that lie evenly spread beside those of a term."""
        if not term.sources or not term.alone:
            return ()
        return tuple(i for i in range(len(read.sources)) if i not in term.sources)

    def _around_bytes(self, read: Read, term: _Term) -> float:
        """What a core holds at most of them."""
        around = self._around(read, term)
        return float(sum(self.setting.pricer.even_share_bytes(read.sources[i]) for i in around))

    def _pair_table(self, step: Step, read: Read, first: int, term: _Term) -> PairTable:
        """Bytes received between layouts, on the sampled cores."""
        choice_of, pricer = self.setting.choice_of, self.setting.pricer
        position = self.fetches[step.index][term.fetch].position
        read_key = pricer.read_key(step.index, position)
        key = (choice_of[step.index], read_key, choice_of[first], term)
        if key not in self._pairs:
            self._pairs[key] = PairTable(
                self._pair_bytes(read, term, choice_of[first], choice_of[step.index])
            )
        return self._pairs[key]

    def _pair_bytes(
        self, read: Read, term: _Term, first: int, own: int
    ) -> Callable[[IntArray, IntArray], IntArray]:
        tensors, cores = self.setting.sequence.graph.tensor, len(self.setting.pricer.layouts.sample)
        views: tuple[View, ...]
        if term.origin == _COPY:
            views = (identity_view(read.tensor, tensors[read.tensor].shape),)
        else:
            views = tuple(read.views[i] for i in term.sources)
        around = [(read.views[i], self._even(read.sources[i])) for i in self._around(read, term)]

        def compute(before: IntArray, after: IntArray) -> IntArray:
            held = self.listed.layouts(first, term.lies, before)
            need = self.listed.layouts(own, ("in", read.operand), after)
            if term.alone:
                elements = received_matrix(need, held, views, cores, around)
            else:
                mean = mean_received_matrix(need, held, views, cores)
                elements = np.floor(mean).astype(np.int64)
            return self._bytes_of(elements, views[0].tensor)

        return compute

    def _sizes(
        self, step: Step, read: Read, own: Kinds, moved: str
    ) -> tuple[FloatArray, FloatArray]:
        """(needed, floor) of an operand at the width of the tensor that is moved.

        Both are 0 where the operand's view is not one to one.
        """
        zeros = np.zeros(len(own))
        if not one_to_one(read, self.setting):
            return zeros, zeros
        expression = step.problem.expression
        operand = expression.inputs[read.operand]
        moved_bits = self.setting.sequence.graph.tensor[moved].bits
        wider = relative_width(self.spec, moved_bits, operand.bits)
        return wider * own.needed[:, read.operand], wider * own.floor[:, read.operand]


def _owner(source: Source) -> int:
    """The step that holds a source, -1 if none does: it lies evenly spread."""
    return max(source.step, source.weight_of)


def _joint(ways: Seq[Ways]) -> Ways:
    """Kinds that are alike in all of these."""
    if len(ways) == 1:
        return ways[0]
    _, of = np.unique(np.column_stack([own.of for own in ways]), axis=0, return_inverse=True)
    return Ways(of.ravel())


def _repeated(layout: Layout, plans: int) -> Layout:
    return Layout(np.tile(layout.start, (plans, 1)), np.tile(layout.stop, (plans, 1)), layout.flat)


def always_floored(setting: Setting, spec: HardwareSpec) -> list[tuple[int, ...]]:
    """Operands of every choices that all their steps receive from one copy, one to one.

    And no narrower than the operand is, so that they receive the floor's bytes at least.
    """
    tensors = setting.sequence.graph.tensor
    found: list[set[int] | None] = [None] * len(setting.choices)
    for step in setting.sequence.steps:
        operands = step.problem.expression.inputs
        own = {
            read.operand
            for position, read in enumerate(step.reads)
            if len(read.sources) == 1
            and read.sources[0].weight_of < 0
            and one_to_one(read, setting)
            and setting.pricer.reuse_operand(step.index, position) < 0
            and relative_width(
                spec, tensors[read.sources[0].tensor].bits, operands[read.operand].bits
            )
            >= 1
        }
        number = setting.choice_of[step.index]
        known = found[number]
        found[number] = own if known is None else known & own
    return [tuple(sorted(operands or ())) for operands in found]


def relative_width(spec: HardwareSpec, moved_bits: int, operand_bits: int) -> float:
    """Bytes that move per byte of an operand, at least: what moves is stored in its own width.

    A piece of elements below a byte is rounded up, so a share of it says nothing.
    """
    moved, own = stored_bits(spec, moved_bits), stored_bits(spec, operand_bits)
    if moved == own:
        return 1.0
    return moved / own if own % 8 == 0 else 0.0


def one_to_one(read: Read, setting: Setting) -> bool:
    """Whether every element of the operand's tensor is one of a source's own."""
    shape = setting.sequence.graph.tensor[read.tensor].shape
    covered = sum(math.prod(view.extent) for view in read.views)
    sources = all(atom.source for view in read.views for atom in view.atoms)
    return sources and covered == math.prod(shape)
