"""How many bytes cores receive at least: between layouts of single plans, and between classes.

Between two single plans it is what their layouts on the sampled cores say. A class has bounds in
place of a layout: what some core needs of an operand at least, less what any core holds at most, or
all of it where more cores need as much than hold anything (holders.py).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from t10c.hardware.spec import HardwareSpec
from t10c.hardware.width import size_bytes
from t10c.schedule.atoms import View, identity_view
from t10c.schedule.holders import CoreCounts
from t10c.schedule.kinds import Kinds
from t10c.schedule.layout import Layout
from t10c.schedule.listed_layouts import Lies, ListedLayouts
from t10c.schedule.pair_table import PairTable
from t10c.schedule.received import received_elements
from t10c.schedule.received_matrix import mean_received_matrix, received_matrix
from t10c.schedule.setting import Setting
from t10c.schedule.size_table import Held, Needed, SizeTable
from t10c.schedule.steps import Read, Source, Step
from t10c.schedule.surroundings import one_to_one, relative_width
from t10c.schedule.terms import Fetch, Term, Terms
from t10c.schedule.windows import Window, extent_of, windowed
from t10c.search.space import FloatArray, IntArray


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
        self._counts = CoreCounts(setting.choices, spec)
        self._listed = ListedLayouts(setting.choices, setting.pricer.layouts.sample, spec)
        self._pairs: dict[tuple[object, ...], PairTable] = {}
        self._seen: dict[tuple[object, ...], Seen] = {}
        self._alike: dict[int, dict[bytes, int]] = {}
        self._note_windows()

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

    def ways(self, number: int, kinds: Kinds, lies: Lies, window: Window | None = None) -> IntArray:
        """The ways that the plans among kinds lie in a role, within a window, (plans,)."""
        return self._listed.ways(number, lies, kinds.rows, window)

    def even_bytes(self, step: Step, fetch: Fetch, own: Kinds) -> FloatArray:
        """Bytes of an operand's sources that lie evenly spread, at least, (kinds,)."""
        pricer, read = self.setting.pricer, step.reads[fetch.position]
        number = self.setting.choice_of[step.index]
        constant = self._terms.constant(step, fetch)
        key = ("even", number, pricer.read_key(step.index, fetch.position), constant)
        if key not in self._pairs:
            self._pairs[key] = PairTable(self._even_pairs(read, constant, number))
        if len(constant) < len(read.sources):
            size = np.zeros(len(own))
        else:
            needed, floor = self._sizes(step, read, own, read.sources[constant[0]].tensor)
            share = sum(pricer.even_share_bytes(read.sources[i]) for i in constant)
            size = np.maximum(floor, needed - share)
        ways = self.ways(number, own, ("in", read.operand))
        size[: own.single] = self._pairs[key].of(np.zeros(1, dtype=np.int64), ways)[0]
        return size

    def _even_pairs(
        self, read: Read, constant: tuple[int, ...], number: int
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

    def between(
        self, step: Step, read: Read, first: int, term: Term, before: Kinds, after: Kinds
    ) -> tuple[tuple[object, ...], Callable[[], SizeTable]]:
        """How to make the table of what is received of an operand, at least, and what it is of.

        Terms of the same key, with the same kinds at both ends, have one table.
        """
        seen = self.seen(step, first, term)
        least, floor = self._received(step, read, term, after)
        key = (seen.key, seen.need, least.tobytes(), floor.tobytes())

        def make() -> SizeTable:
            numbers = (self.setting.choice_of[first], self.setting.choice_of[step.index])
            lies: Lies = ("in", read.operand)
            own = self.ways(numbers[1], after, lies, seen.need)
            pairs = self._pair_table(step, read, first, term)
            every = self._every_way(numbers[0], before, term.lies, seen.held)
            merged = pairs.merged(every, self._every_way(numbers[1], after, lies, seen.need))
            cores = self._counts.needing(numbers[1], read.operand, after)
            needed = Needed(after.single, least, cores, floor)
            return SizeTable(merged, self._held(numbers[0], term, seen, before), needed, own)

        return key, make

    def _every_way(self, number: int, kinds: Kinds, lies: Lies, window: Window | None) -> IntArray:
        """Ways of the plans among the kinds within all windows that extend as far."""
        if window is None:
            return np.unique(self.ways(number, kinds, lies))
        return self._listed.every_way(number, lies, kinds.rows, window.extent)

    def _received(
        self, step: Step, read: Read, term: Term, own: Kinds
    ) -> tuple[FloatArray, FloatArray]:
        """(least, floor) bytes of a term that kinds of a reader need; see `Needed`."""
        moved = read.tensor if term.origin == "copy" else read.sources[term.sources[0]].tensor
        needed, floor = self._sizes(step, read, own, moved)
        if not term.alone:
            needed = np.zeros(len(own))
        every = term.lies[0] == "out" and len(term.sources) == len(read.sources)
        if not (term.alone and every):
            floor = np.zeros(len(own))
        return needed - self._around_bytes(read, term), floor

    def _held(self, number: int, term: Term, seen: Seen, other: Kinds) -> Held:
        """What kinds of an earlier step hold of a term at most."""
        role, operand = term.lies
        if role == "out":
            cores = self._counts.holding(number, extent_of(seen.held), other)
            return Held(other.single, other.home * len(term.sources), cores)
        every = np.full(len(other), self.spec.core_count)
        return Held(other.single, other.held[:, operand] * max(1, len(term.sources)), every)

    def _around(self, read: Read, term: Term) -> tuple[int, ...]:
        """Sources that lie evenly spread beside those of a term."""
        if not term.sources or not term.alone:
            return ()
        return tuple(i for i in range(len(read.sources)) if i not in term.sources)

    def _around_bytes(self, read: Read, term: Term) -> float:
        """What a core holds at most of them."""
        around = self._around(read, term)
        return float(sum(self.setting.pricer.even_share_bytes(read.sources[i]) for i in around))

    def _note_windows(self) -> None:
        """Have all windows that terms look through looked at together."""
        choice_of = self.setting.choice_of
        for step in self.setting.sequence.steps:
            for first, terms in self._terms.by_step[step.index].items():
                for term in terms:
                    seen = self.seen(step, first, term)
                    if seen.held is not None:
                        self._listed.look_through(choice_of[first], term.lies, seen.held)
                    if seen.need is not None:
                        position = self._terms.fetches[step.index][term.fetch].position
                        lies: Lies = ("in", step.reads[position].operand)
                        self._listed.look_through(choice_of[step.index], lies, seen.need)

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
