"""Prices of transitions between layouts, for whole pools of plans at once, remembered.

All operands that an operator must fetch are exchanged in one phase before it runs: a move of the
largest number of bytes that any core must receive and does not hold (summed over the operands), and
the six syncs that the published uniform transition takes; nothing if no byte moves. Pools are
compared on a sample of the cores; final prices look at every core.
"""

import math

import numpy as np

from t10c.hardware.kernels import exchange_cycles
from t10c.hardware.spec import HardwareSpec
from t10c.hardware.width import size_bytes
from t10c.ir.graph import type_bits
from t10c.schedule.atoms import View, identity_view
from t10c.schedule.choices import Choices
from t10c.schedule.layout import Layout
from t10c.schedule.layout_batch import LayoutRole
from t10c.schedule.layout_store import LayoutStore
from t10c.schedule.received import received_elements
from t10c.schedule.steps import Read, Sequence, Source
from t10c.search.space import FloatArray, IntArray

State = tuple[int, int]
"""A step's choice as layouts see it: (number of its choices, plan)."""


class TransitionPricer:
    """Prices transitions between the plans of a sequence's choices.

    `choice_of[step]` numbers the distinct `Choices` in `choices`. Prices are remembered by what
    determines them, so identical layers are priced once.
    """

    def __init__(
        self,
        sequence: Sequence,
        choices: tuple[Choices, ...],
        choice_of: tuple[int, ...],
        spec: HardwareSpec,
    ) -> None:
        self.sequence = sequence
        self.choices = choices
        self.choice_of = choice_of
        self.spec = spec
        self.layouts = LayoutStore(choices, spec)
        self._prices: dict[tuple[object, ...], FloatArray] = {}
        self._exchanges: dict[int, float] = {}
        self._keys: dict[tuple[int, int], int] = {}
        self._reused: dict[int, int] = {}
        self._numbers: dict[tuple[object, ...], int] = {}
        self._forms: dict[tuple[object, ...], int] = {}
        self._form_of_parts: dict[tuple[object, ...], int] = {}

    def bytes_in(
        self, step: int, position: int, states: list[State], reuse: State | None
    ) -> FloatArray:
        """Bytes to bring a read into place for every plan of the step's pool, (plans,).

        `states` are the sources' states (parallel to the read's sources; ignored for even ones);
        `reuse` is the state of the step just before if it held the same tensor.
        """
        choice = self.choice_of[step]
        read = self.sequence.steps[step].reads[position]
        key = ("in", choice, self.read_key(step, position), tuple(states), reuse)
        if key not in self._prices:
            need = self.layouts.pool("in", choice, read.operand)
            held = [
                self._source(source, state)
                for source, state in zip(read.sources, states, strict=True)
            ]
            size = self._worst(need, read.views, held)
            if reuse is not None:
                kept = self.layouts.sampled("after", *reuse, self.reuse_operand(step, position))
                view = (_as_itself(read, self.sequence),)
                size = np.minimum(size, self._worst(need, view, [kept]))
            self._prices[key] = size
        return self._prices[key]

    def bytes_out(
        self, step: int, position: int, plan: int, states: list[State], moving: int
    ) -> FloatArray:
        """Bytes of a read of `step` under `plan`, for every plan of source `moving`'s pool."""
        choice = self.choice_of[step]
        read = self.sequence.steps[step].reads[position]
        slots = tuple(s.step == moving for s in read.sources)
        fixed = tuple(s for s, m in zip(states, slots, strict=True) if not m)
        source = self.choice_of[moving]
        key = ("out", choice, plan, self.read_key(step, position), source, slots, fixed)
        if key not in self._prices:
            need = self.layouts.sampled("in", choice, plan, read.operand)
            held = [
                self.layouts.pool("out", source, 0) if m else self._source(other, state)
                for other, state, m in zip(read.sources, states, slots, strict=True)
            ]
            self._prices[key] = self._worst(need, read.views, held)
        return self._prices[key]

    def received_bytes(
        self,
        step: int,
        position: int,
        plan: int,
        states: list[State],
        reuse: State | None,
        options: list[int],
    ) -> tuple[int, bool, int]:
        """Exact largest bytes received by a core, and whether they come from the reused copy.

        The last is what that copy takes besides the operand meanwhile: nothing where it becomes the
        operand as it lies. `options` are the chosen options of all steps: weights of others lie in
        their idle plans.
        """
        choice = self.choice_of[step]
        read = self.sequence.steps[step].reads[position]
        cuts = tuple(self._idle_factors(source, options) for source in read.sources)
        key = ("exact", choice, plan, self.read_key(step, position), tuple(states), cuts, reuse)
        if key not in self._prices:
            need = self.layouts.full("in", choice, plan, read.operand)
            held = [
                self._home(source, state, cut)
                for source, state, cut in zip(read.sources, states, cuts, strict=True)
            ]
            size = int(self._received(need, read.views, held).max(initial=0))
            reused, beside = False, 0
            if reuse is not None:
                operand = self.reuse_operand(step, position)
                kept = self.layouts.full("after", *reuse, operand)
                view = (_as_itself(read, self.sequence),)
                again = int(self._received(need, view, [kept]).max(initial=0))
                if again < size:
                    size, reused = again, True
                    beside = self._beside(reuse, operand, kept, (choice, plan), read.operand, need)
            self._prices[key] = np.array([size, float(reused), beside])
        size, reused_flag, beside = self._prices[key]
        return int(size), bool(reused_flag), int(beside)

    def _beside(
        self, before: State, held: int, kept: Layout, now: State, operand: int, need: Layout
    ) -> int:
        """Bytes of a copy while the operand is made of it; 0 where it lies as the operand does."""
        had, has = (
            self.choices[choice].plans[plan].piece_bytes[number]
            for (choice, plan), number in ((before, held), (now, operand))
        )
        lies = np.array_equal(kept.start, need.start) and np.array_equal(kept.stop, need.stop)
        return 0 if lies and had == has else had

    def _idle_factors(self, source: Source, options: list[int]) -> tuple[tuple[str, int], ...]:
        """How the idle plan of a weight that another step owns cuts its pieces."""
        if source.weight_of < 0:
            return ()
        step = self.sequence.steps[source.weight_of]
        position = step.operator.inputs.index(source.tensor)
        cuts = self.choices[self.choice_of[step.index]].cuts[options[step.index]]
        return cuts[step.problem.weights.index(position)].factors

    def _home(self, source: Source, state: State, cut: tuple[tuple[str, int], ...]) -> Layout:
        """Where a source lies on all cores before it is fetched."""
        if not self._has_state(source):
            return self.layouts.even(self._shape(source))
        role, choice, plan, operand = self._role(source, state)
        if role == "out":
            return self.layouts.full(role, choice, plan, operand)
        return self.layouts.idle(choice, plan, operand, cut)

    def cycles(self, size_bytes: IntArray | FloatArray | int) -> FloatArray:
        """Cycles of an exchange in which a core receives at most so many bytes."""
        size = np.asarray(size_bytes, dtype=np.float64)
        return np.where(size > 0, exchange_cycles(self.spec, size), 0.0)

    def exchange_cycles(self, size_bytes: int) -> float:
        """The same of one exchange."""
        if size_bytes not in self._exchanges:
            self._exchanges[size_bytes] = float(self.cycles(size_bytes))
        return self._exchanges[size_bytes]

    def grown(self, choices: tuple[Choices, ...]) -> "TransitionPricer":
        """A pricer of choices that have the same plans and more after them; keeps layouts."""
        pricer = TransitionPricer(self.sequence, choices, self.choice_of, self.spec)
        pricer.layouts = self.layouts.grown(choices)
        return pricer

    def even_share_bytes(self, source: Source) -> int:
        """Bytes per core, at most, of a tensor that lies evenly spread."""
        tensor = self.sequence.graph.tensor[source.tensor]
        return self.even_bytes(math.prod(tensor.shape), tensor.bits)

    def even_bytes(self, elements: int, bits: int) -> int:
        """Bytes per core, at most, of so many elements spread evenly."""
        return int(size_bytes(self.spec, -(-elements // self.spec.core_count), bits))

    def _worst(self, need: Layout, views: tuple[View, ...], held: list[Layout]) -> FloatArray:
        """Most bytes per plan; layouts are stacked: plans x sampled cores, single ones repeat."""
        rows = max([len(need.start), *(len(h.start) for h in held)])
        need, *held = (own.repeated(rows // len(own.start)) for own in (need, *held))
        missing = self._received(need, views, held)
        worst = missing.reshape(-1, len(self.layouts.sample)).max(axis=1)
        return np.asarray(worst, dtype=np.float64)

    def _received(self, need: Layout, views: tuple[View, ...], held: list[Layout]) -> IntArray:
        """Bytes that every core of `need` receives, every source at the width it is stored in."""
        tensors = self.sequence.graph.tensor
        widths = [tensors[view.tensor].bits for view in views]
        total = np.zeros(len(need.start), dtype=np.int64)
        for bits in sorted(set(widths)):
            alike = [i for i, width in enumerate(widths) if width == bits]
            own, lying = tuple(views[i] for i in alike), tuple(held[i] for i in alike)
            total += size_bytes(self.spec, received_elements(need, own, lying), bits)
        return total

    def read_key(self, step: int, position: int) -> int:
        """A number for what determines a read's prices besides the states.

        That is its views, its sources' shapes and widths; reads alike in these have one number.
        """
        found = self._keys.get((step, position))
        if found is None:
            read = self.sequence.steps[step].reads[position]
            tensors = self.sequence.graph.tensor
            reuse = self._operand_before(step, read.tensor)
            key: list[object] = [read.operand, reuse]
            key += [self._form(view) for view in read.views]
            for source in read.sources:
                tensor = tensors[source.tensor]
                lent = self.weight_operand(source) if source.weight_of >= 0 else -1
                key += (source.step >= 0, lent, tensor.shape, type_bits(tensor.element_type))
            key.append(type_bits(tensors[read.tensor].element_type))
            found = self._numbers.setdefault(tuple(key), len(self._numbers))
            self._keys[step, position] = found
            self._reused[found] = reuse
        return found

    def _form(self, view: View) -> int:
        """A number for all that a view says but of which tensor.

        Views of repeated layers share their parts, which are told by what objects they are first.
        """
        parts = (id(view.atoms), id(view.source_dims), id(view.view_dims), view.region_start)
        number = self._form_of_parts.get(parts)
        if number is None:
            number = self._forms.setdefault(view.form, len(self._forms))
            self._form_of_parts[parts] = number
        return number

    def reuse_operand(self, step: int, position: int) -> int:
        """Operand of the step before that reads the same tensor, or -1."""
        return self._reused[self.read_key(step, position)]

    def _operand_before(self, step: int, tensor: str) -> int:
        """Operand of the step before that reads a tensor, or -1."""
        if step > 0:
            for read in self.sequence.steps[step - 1].reads:
                if read.tensor == tensor:
                    return read.operand
        return -1

    def copied(self, key: int) -> bool:
        """Whether reads of this key find a copy with the step before."""
        return self._reused[key] >= 0

    def has_copy(self, step: int, position: int) -> bool:
        """Whether the step before has just read the same tensor."""
        return self.reuse_operand(step, position) >= 0

    def reuse_state(self, step: int, position: int, plans: list[int]) -> State | None:
        """State of the step before if it has just read the same tensor, else None."""
        if not self.has_copy(step, position):
            return None
        return (self.choice_of[step - 1], plans[step - 1])

    def reuses_copy(self, step: int, position: int, plans: list[int]) -> bool:
        """Whether the read takes the copy of the step before, whatever its source's plan.

        True only where the copy spares every move, so the source's layout cannot matter.
        """
        reuse = self.reuse_state(step, position, plans)
        if reuse is None:
            return False
        choice, plan = self.choice_of[step], plans[step]
        key = ("free", choice, plan, self.read_key(step, position), reuse)
        if key not in self._prices:
            read = self.sequence.steps[step].reads[position]
            need = self.layouts.sampled("in", choice, plan, read.operand)
            kept = self.layouts.sampled("after", *reuse, self.reuse_operand(step, position))
            self._prices[key] = self._worst(need, (_as_itself(read, self.sequence),), [kept])
        return bool(self._prices[key][0] == 0)

    def states(self, step: int, position: int, plans: list[int]) -> list[State]:
        """States of a read's sources under the given plans; (-1, -1) where spread evenly."""
        found = []
        for source in self.sequence.steps[step].reads[position].sources:
            owner = source.step if source.step >= 0 else source.weight_of
            found.append((self.choice_of[owner], plans[owner]) if owner >= 0 else (-1, -1))
        return found

    @staticmethod
    def _has_state(source: Source) -> bool:
        return source.step >= 0 or source.weight_of >= 0

    def _role(self, source: Source, state: State) -> tuple[LayoutRole, int, int, int]:
        """Layout lookup of a source: a producer's output, or a weight in its owner's plan."""
        if source.step >= 0:
            return ("out", state[0], state[1], 0)
        return ("in", state[0], state[1], self.weight_operand(source))

    def weight_operand(self, source: Source) -> int:
        """Which of its owner's operands a weight is."""
        operator = self.sequence.steps[source.weight_of].operator
        return operator.inputs.index(source.tensor)

    def _source(self, source: Source, state: State) -> Layout:
        if not self._has_state(source):
            return self.layouts.even_sampled(self._shape(source))
        return self.layouts.sampled(*self._role(source, state))

    def _shape(self, source: Source) -> tuple[int, ...]:
        return self.sequence.graph.tensor[source.tensor].shape


def _as_itself(read: Read, sequence: Sequence) -> View:
    return identity_view(read.tensor, sequence.graph.tensor[read.tensor].shape)
