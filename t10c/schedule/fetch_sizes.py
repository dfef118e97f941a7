"""How many bytes cores receive at least: between layouts of single plans, and between classes.

Between two single plans it is what their layouts on the sampled cores say. A class has bounds in
place of a layout: what some core needs of an operand at least, less what any core holds at most.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from t10c.hardware.spec import HardwareSpec
from t10c.hardware.width import size_bytes
from t10c.schedule.atoms import View, identity_view
from t10c.schedule.kinds import Kinds
from t10c.schedule.layout import Layout
from t10c.schedule.listed_layouts import Lies, ListedLayouts, PairTable
from t10c.schedule.messages import Ways
from t10c.schedule.received import received_elements
from t10c.schedule.received_matrix import mean_received_matrix, received_matrix
from t10c.schedule.setting import Setting
from t10c.schedule.steps import Read, Source, Step
from t10c.schedule.surroundings import one_to_one, relative_width
from t10c.schedule.terms import Fetch, Term, Terms
from t10c.schedule.windows import Window, extent_of, windowed
from t10c.search.space import FloatArray, IntArray


@dataclass(frozen=True)
class Side:
    """How the kinds of a step lie for one term: opened ways first, then one of every class.

    `known` (opened ways,) are their numbers among the listed layouts.
    """

    kinds: Kinds
    ways: Ways
    known: IntArray


@dataclass(frozen=True)
class Seen:
    """What a term looks at: `views` of what is held, `need` and `held` the windows they look into.

    Terms with the same `key` have a table of pairs of ways in common. A window of None is none.
    """

    views: tuple[View, ...]
    key: tuple[object, ...]
    need: Window | None = None
    held: Window | None = None


class FetchSizes:
    """Bytes received between plans and classes; those of pairs of layouts are remembered."""

    def __init__(self, setting: Setting, spec: HardwareSpec, terms: Terms) -> None:
        self.setting = setting
        self.spec = spec
        self._terms = terms
        self._listed = ListedLayouts(setting.choices, setting.pricer.layouts.sample, spec)
        self._pairs: dict[tuple[object, ...], PairTable] = {}
        self._seen: dict[tuple[object, ...], Seen] = {}
        self._alike: dict[int, dict[bytes, int]] = {}

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
        ways = [
            self._listed.ways(number, lies, rows)[:, None] for lies in self._terms.looked_at[number]
        ]
        known = self._alike.setdefault(number, {})
        table = np.concatenate([*columns, *ways], axis=1)
        return np.array([known.setdefault(row.tobytes(), len(known)) for row in table], np.int64)

    def side(self, number: int, kinds: Kinds, lies: Lies, window: Window | None = None) -> Side:
        """How the kinds of a choices lie in a role, within a window."""
        listed = self._listed.ways(number, lies, kinds.rows, window)
        known, of = np.unique(listed, return_inverse=True)
        classes = np.arange(len(kinds) - kinds.single) + len(known)
        return Side(kinds, Ways(np.concatenate([of.ravel(), classes])), known)

    def even_bytes(self, step: Step, fetch: Fetch, side: Side) -> FloatArray:
        """Bytes of an operand's sources that lie evenly spread, at least, (kinds,)."""
        pricer, read = self.setting.pricer, step.reads[fetch.position]
        number, own = self.setting.choice_of[step.index], side.kinds
        constant = self._terms.constant(step, fetch)
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
            need = self._listed.layouts(number, ("in", read.operand), second)
            views = tuple(read.views[i] for i in constant)
            held = tuple(self._even(read.sources[i]).repeated(len(second)) for i in constant)
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

    def bytes_between(
        self,
        step: Step,
        read: Read,
        first: int,
        term: Term,
        before: Side,
        after: Side,
    ) -> FloatArray:
        """Most bytes that a core receives of an operand, at least, (ways of first, own ways)."""
        other, own = before.kinds, after.kinds
        moved = read.tensor if term.origin == "copy" else read.sources[term.sources[0]].tensor
        needed, floor = self._sizes(step, read, own, moved)
        least_needed = after.ways.least(needed)
        if not term.alone:
            size = np.zeros((before.ways.count, after.ways.count))
        elif term.lies[0] == "out":
            home = before.ways.most(other.home) * len(term.sources)
            size = least_needed - home[:, None] - self._around_bytes(read, term)
            if len(term.sources) == len(read.sources):
                size = np.maximum(after.ways.least(floor), size)
        else:
            times = max(1, len(term.sources))
            held = before.ways.most(other.held[:, term.lies[1]]) * times
            size = least_needed - held[:, None] - self._around_bytes(read, term)
        size = np.maximum(0.0, size)
        exact = self._pair_table(step, read, first, term).of(before.known, after.known)
        size[: len(before.known), : len(after.known)] = exact
        return size

    def _around(self, read: Read, term: Term) -> tuple[int, ...]:
        """Sources that lie evenly spread beside those of a term."""
        if not term.sources or not term.alone:
            return ()
        return tuple(i for i in range(len(read.sources)) if i not in term.sources)

    def _around_bytes(self, read: Read, term: Term) -> float:
        """What a core holds at most of them."""
        around = self._around(read, term)
        return float(sum(self.setting.pricer.even_share_bytes(read.sources[i]) for i in around))

    def seen(self, step: Step, first: int, term: Term) -> Seen:
        """What is looked at of what an earlier step holds, and where."""
        position = self._terms.fetches[step.index][term.fetch].position
        read, choice_of = step.reads[position], self.setting.choice_of
        read_key = self.setting.pricer.read_key(step.index, position)
        key = (choice_of[step.index], read_key, choice_of[first], term)
        if key not in self._seen:
            self._seen[key] = self._seen_by(step, read, first, term, key)
        return self._seen[key]

    def _seen_by(
        self, step: Step, read: Read, first: int, term: Term, key: tuple[object, ...]
    ) -> Seen:
        tensors = self.setting.sequence.graph.tensor
        if term.origin == "copy":
            return Seen((identity_view(read.tensor, tensors[read.tensor].shape),), key)
        views = tuple(read.views[i] for i in term.sources)
        role, operand = term.lies
        owner = self.setting.sequence.steps[first].problem.expression
        held = owner.output if role == "out" else owner.inputs[operand]
        shape, source = tensors[read.tensor].shape, tensors[views[0].tensor].shape
        need = step.problem.expression.inputs[read.operand]
        in_boxes = len(need.dims) == len(shape) and len(held.dims) == len(source)
        if len(views) > 1 or self._around(read, term) or not in_boxes:
            return Seen(views, key)
        own = windowed(views[0], shape, source)
        if own.need is None and own.held is None:
            return Seen(views, key)
        numbers = (self.setting.choice_of[step.index], self.setting.choice_of[first])
        form = (own.view.form, own.extents, tensors[views[0].tensor].bits)
        like = (*numbers, read.operand, term.lies, term.alone, form)
        return Seen((own.view,), like, own.need, own.held)

    def _pair_table(self, step: Step, read: Read, first: int, term: Term) -> PairTable:
        """Bytes received between layouts, on the sampled cores."""
        seen, choice_of = self.seen(step, first, term), self.setting.choice_of
        if seen.key not in self._pairs:
            numbers = (choice_of[first], choice_of[step.index])
            self._pairs[seen.key] = PairTable(self._pair_bytes(read, term, seen, *numbers))
        return self._pairs[seen.key]

    def _pair_bytes(
        self, read: Read, term: Term, seen: Seen, first: int, own: int
    ) -> Callable[[IntArray, IntArray], IntArray]:
        cores = len(self.setting.pricer.layouts.sample)
        around = [(read.views[i], self._even(read.sources[i])) for i in self._around(read, term)]
        need_extent, held_extent = extent_of(seen.need), extent_of(seen.held)

        def compute(before: IntArray, after: IntArray) -> IntArray:
            held = self._listed.layouts(first, term.lies, before, held_extent)
            need = self._listed.layouts(own, ("in", read.operand), after, need_extent)
            if term.alone:
                elements = received_matrix(need, held, seen.views, cores, around)
            else:
                mean = mean_received_matrix(need, held, seen.views, cores)
                elements = np.floor(mean).astype(np.int64)
            return self._bytes_of(elements, seen.views[0].tensor)

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
