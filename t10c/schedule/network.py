"""The choice over a model as a network: a node per step, edges where data or copies pass.

A state of a step is a kind of plan (kinds.py), whether its exchange moves anything (then it takes
the exchange's syncs), and for every operand that the step before has just read, whether it comes
from its home or from that copy. With these told apart, the price of an exchange is a sum over its
operands, so every term depends on two steps at most. Where a term is not a function of two steps
(an operand made of several tensors), it is left out: the network's least total never exceeds
the least latency.
"""

import itertools
from collections.abc import Sequence as Seq
from dataclasses import dataclass

import numpy as np

from t10c.hardware.kernels import exchange_cycles, move_cycles
from t10c.hardware.spec import HardwareSpec
from t10c.hardware.width import stored_bits
from t10c.schedule.kinds import Kinds
from t10c.schedule.layout_batch import LayoutRole
from t10c.schedule.messages import FORBIDDEN, NO_TABLE, Edge, Node
from t10c.schedule.setting import Setting
from t10c.schedule.shares import is_plain
from t10c.schedule.steps import Read, Step
from t10c.search.space import FloatArray

_MOST_COPIES = 2
"""Operands of a step that may come from copies and are told apart; others are left out."""

_HOME, _COPY = "home", "copy"


@dataclass(frozen=True, slots=True)
class _Fetch:
    """One operand of a step in the network: its read, and where it may come from."""

    position: int
    origins: tuple[str, ...]


class NetworkBuilder:
    """Builds the network of a setting for given kinds; tables are remembered between builds."""

    def __init__(self, setting: Setting, spec: HardwareSpec) -> None:
        self.setting = setting
        self.spec = spec
        self.fetches = [self._fetches(step) for step in setting.sequence.steps]
        self._exact: dict[tuple[object, ...], FloatArray] = {}

    def build(self, kinds: Seq[Kinds]) -> tuple[list[Node], list[Edge]]:
        """Nodes and edges; `kinds` are those of every choices of the setting."""
        tables: dict[tuple[object, ...], FloatArray] = {}
        nodes: dict[tuple[object, ...], Node] = {}
        edges: dict[tuple[object, ...], Edge] = {}
        found_nodes, found_edges = [], []
        for step in self.setting.sequence.steps:
            fetches = self.fetches[step.index]
            keys = tuple(self.setting.pricer.read_key(step.index, f.position) for f in fetches)
            own = (self.setting.choice_of[step.index], tuple(fetches), keys)
            constant = tuple(self._is_constant(step, f) for f in fetches)
            if (own, constant) not in nodes:
                nodes[own, constant] = self._node(step, fetches, kinds)
            found_nodes.append(nodes[own, constant])
            for first, terms in self._terms(step, fetches).items():
                key = (own, self.setting.choice_of[first], terms)
                if key not in edges:
                    edges[key] = self._edge(step, fetches, first, terms, kinds, tables)
                edge = edges[key]
                found_edges.append(Edge(first, step.index, edge.tables, edge.table_of))
        return found_nodes, found_edges

    def _fetches(self, step: Step) -> list[_Fetch]:
        """Operands whose exchange is a function of two steps."""
        fetches, copies = [], 0
        for position, read in enumerate(step.reads):
            if len(read.sources) != 1 or read.sources[0].weight_of >= step.index:
                continue
            reusable = self.setting.pricer.reuse_operand(step.index, position) >= 0
            copies += reusable
            if copies > _MOST_COPIES and reusable:
                continue
            fetches.append(_Fetch(position, (_HOME, _COPY) if reusable else (_HOME,)))
        return fetches

    def _is_constant(self, step: Step, fetch: _Fetch) -> bool:
        """Whether the operand's home does not depend on a choice: it lies evenly spread."""
        source = step.reads[fetch.position].sources[0]
        return max(source.step, source.weight_of) < 0

    def _blocks(self, fetches: Seq[_Fetch]) -> list[tuple[bool, tuple[str, ...]]]:
        """(moves anything, origin of every operand) of a step's blocks of states."""
        origins = list(itertools.product(*(fetch.origins for fetch in fetches)))
        return [
            (moves, origin)
            for origin in origins
            for moves in ((True, False) if fetches else (False,))
        ]

    def _node(self, step: Step, fetches: Seq[_Fetch], kinds: Seq[Kinds]) -> Node:
        own = kinds[self.setting.choice_of[step.index]]
        costs = []
        for moves, origin in self._blocks(fetches):
            cost = own.cost + (float(exchange_cycles(self.spec, 0.0)) if moves else 0.0)
            for fetch, place in zip(fetches, origin, strict=True):
                if place == _HOME and self._is_constant(step, fetch):
                    size = self._even_bytes(step, fetch, own)
                    cost = cost + self._cycles(size, moves)
            costs.append(cost)
        return Node(np.stack(costs))

    def _terms(self, step: Step, fetches: Seq[_Fetch]) -> dict[int, tuple[tuple[int, str], ...]]:
        """Per earlier step that has a say: (number of the fetch, origin) of what comes from it."""
        terms: dict[int, list[tuple[int, str]]] = {}
        for number, fetch in enumerate(fetches):
            source = step.reads[fetch.position].sources[0]
            first = max(source.step, source.weight_of)
            if first >= 0:
                terms.setdefault(first, []).append((number, _HOME))
            if _COPY in fetch.origins:
                terms.setdefault(step.index - 1, []).append((number, _COPY))
        return {first: tuple(found) for first, found in terms.items()}

    def _edge(
        self,
        step: Step,
        fetches: Seq[_Fetch],
        first: int,
        terms: tuple[tuple[int, str], ...],
        kinds: Seq[Kinds],
        tables: dict[tuple[object, ...], FloatArray],
    ) -> Edge:
        made: list[FloatArray] = []
        number_of: dict[tuple[bool, tuple[tuple[int, str], ...]], int] = {}
        table_of = []
        for moves, origin in self._blocks(fetches):
            used = tuple((number, place) for number, place in terms if origin[number] == place)
            if not used:
                table_of.append(NO_TABLE)
                continue
            if (moves, used) not in number_of:
                number_of[moves, used] = len(made)
                total: FloatArray | float = 0.0
                for number, place in used:
                    size = self._bytes(step, fetches[number], first, place, kinds, tables)
                    total = total + self._cycles(size, moves)
                made.append(np.asarray(total))
            table_of.append(number_of[moves, used])
        return Edge(first, step.index, tuple(made), tuple(table_of))

    def _cycles(self, size: FloatArray, moves: bool) -> FloatArray:
        """An operand's part of an exchange, the syncs left out; FORBIDDEN if nothing may move."""
        if moves:
            return np.asarray(move_cycles(self.spec, size))
        return np.where(size > 0, FORBIDDEN, 0.0)

    def _even_bytes(self, step: Step, fetch: _Fetch, own: Kinds) -> FloatArray:
        """Bytes of an operand that lies evenly spread, (kinds,)."""
        pricer = self.setting.pricer
        read = step.reads[fetch.position]
        exact = pricer.bytes_in(step.index, fetch.position, [(-1, -1)], None)[own.plans]
        needed, floor = self._sizes(step, read, own, read.sources[0].tensor)
        share = pricer.even_share_bytes(read.sources[0])
        size = np.maximum(floor, needed - share)
        size[: own.single] = exact
        return size

    def _bytes(
        self,
        step: Step,
        fetch: _Fetch,
        first: int,
        place: str,
        kinds: Seq[Kinds],
        tables: dict[tuple[object, ...], FloatArray],
    ) -> FloatArray:
        """Most bytes that a core receives of an operand, at least, (kinds of first, own kinds)."""
        pricer, choice_of = self.setting.pricer, self.setting.choice_of
        own, other = kinds[choice_of[step.index]], kinds[choice_of[first]]
        read = step.reads[fetch.position]
        operand = -1
        if place == _COPY:
            operand = pricer.reuse_operand(step.index, fetch.position)
        owned = place == _HOME and read.sources[0].weight_of >= 0
        if owned:  # its idle pieces are parts of the active ones, in one copy or several
            operand = pricer.weight_operand(read.sources[0])
        read_key = pricer.read_key(step.index, fetch.position)
        key = (choice_of[step.index], read_key, choice_of[first], operand, place)
        if key in tables:
            return tables[key]
        moved = read.tensor if place == _COPY else read.sources[0].tensor
        needed, floor = self._sizes(step, read, own, moved)
        if place == _HOME and not owned:
            size = np.maximum(floor, needed - other.home[:, None])
        else:
            size = np.maximum(0.0, needed - other.held[:, operand][:, None])
        role: LayoutRole = "in" if owned else "after" if place == _COPY else "out"
        exact = self._between_plans(step, read, first, (role, operand), key, own, other)
        size[: other.single, : own.single] = exact
        tables[key] = size
        return size

    def _sizes(
        self, step: Step, read: Read, own: Kinds, moved: str
    ) -> tuple[FloatArray, FloatArray]:
        """(needed, floor) of an operand at the width of the tensor that is moved.

        Both are 0 where the operand's view is not one to one, and `needed` where no core may need a
        whole piece.
        """
        zeros = np.zeros(len(own.cost))
        if not one_to_one(read, self.setting):
            return zeros, zeros
        expression = step.problem.expression
        operand = expression.inputs[read.operand]
        moved_bits = self.setting.sequence.graph.tensor[moved].bits
        wider = relative_width(self.spec, moved_bits, operand.bits)
        needed = wider * own.needed[:, read.operand] if is_plain(expression, operand) else zeros
        return needed, wider * own.floor[:, read.operand]

    def _between_plans(
        self,
        step: Step,
        read: Read,
        first: int,
        lies: tuple[LayoutRole, int],
        key: tuple[object, ...],
        own: Kinds,
        other: Kinds,
    ) -> FloatArray:
        """The same between single plans, by their layouts on the sampled cores."""
        known = (*key, own.plans.tobytes(), other.plans.tobytes())
        if known not in self._exact:
            layouts, choice_of = self.setting.pricer.layouts, self.setting.choice_of
            need = layouts.stacked("in", choice_of[step.index], own.plans, read.operand)
            role, operand = lies
            held = layouts.stacked(role, choice_of[first], other.plans, max(operand, 0))
            most = self.setting.pricer.most_received(read, need, held, role == "after")
            self._exact[known] = most
        return self._exact[known]


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
    """Whether every element of the operand's tensor is one of the source's own."""
    view = read.views[0]
    shape = setting.sequence.graph.tensor[read.tensor].shape
    return all(atom.source for atom in view.atoms) and view.extent == tuple(shape)
