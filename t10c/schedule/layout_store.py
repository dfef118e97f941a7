"""Layouts of all plans of a schedule's choices, built once each."""

import math

import numpy as np

from t10c.hardware.spec import HardwareSpec
from t10c.ir.expression import TensorExpression
from t10c.ir.plan import Plan, piece_shape, replicas
from t10c.schedule.choices import Choices
from t10c.schedule.layout import (
    Layout,
    even_layout,
    idle_layout,
    operand_layout,
    output_layout,
    place,
)
from t10c.schedule.layout_batch import (
    LayoutRole,
    PlacedPool,
    joined_layout,
    placed_pools,
)

_SAMPLE_CORES = 128
_FIRST_CORES = 32
"""Cores of the sample that are the chip's first: plans of few cores use these alone."""

_PLACED_POOLS = 4
"""Pools whose coordinates and offsets are kept; the roles of one are mostly asked for together."""


class LayoutStore:
    """Layouts by role (`in`, `after` the loops, `out`), choices, plan and operand.

    `full` layouts cover all cores of the chip, `sampled` ones the cores in `sample`; cores that a
    plan does not use hold nothing.
    """

    def __init__(self, choices: tuple[Choices, ...], spec: HardwareSpec) -> None:
        self.choices = choices
        self.spec = spec
        count = spec.core_count
        if count <= _SAMPLE_CORES:
            self.sample = np.arange(count)
        else:
            spread = np.linspace(_FIRST_CORES, count - 1, _SAMPLE_CORES - _FIRST_CORES)
            self.sample = np.concatenate([np.arange(_FIRST_CORES), spread.astype(np.int64)])
        self._layouts: dict[tuple[object, ...], Layout] = {}
        self._placements: dict[int, tuple[PlacedPool, ...]] = {}

    def home_elements(self, choice: int, plan: int) -> int:
        """Largest number of elements of the output that a core holds at home."""
        elements = int(self.full("out", choice, plan, 0).elements.max())
        expression, chosen = self._plan(choice, plan)
        if any(len(dim.terms) > 1 for dim in expression.output.dims):
            # the layout leaves out what lies beyond a hole, the memory does not
            piece = math.prod(piece_shape(expression, chosen, expression.output))
            elements = max(elements, -(-piece // replicas(expression, chosen, expression.output)))
        return elements

    def even(self, shape: tuple[int, ...]) -> Layout:
        """A tensor spread evenly over all cores."""
        key = ("even", shape)
        if key not in self._layouts:
            self._layouts[key] = even_layout(shape, self.spec.core_count)
        return self._layouts[key]

    def even_sampled(self, shape: tuple[int, ...]) -> Layout:
        """The sampled cores of a tensor spread evenly."""
        whole = self.even(shape)
        return Layout(whole.start[self.sample], whole.stop[self.sample], whole.flat)

    def idle(
        self, choice: int, plan: int, operand: int, cut: tuple[tuple[str, int], ...]
    ) -> Layout:
        """A weight in its idle plan, on all cores."""
        key = ("idle", choice, plan, operand, cut)
        if key not in self._layouts:
            placed = place(*self._plan(choice, plan))
            layout = idle_layout(placed, placed.expression.inputs[operand], cut)
            self._layouts[key] = _pad(layout, self.spec.core_count)
        return self._layouts[key]

    def _plan(self, choice: int, plan: int) -> tuple[TensorExpression, Plan]:
        choices = self.choices[choice]
        return choices.problem.expression, choices.plans[plan].plan

    def full(self, role: LayoutRole, choice: int, plan: int, operand: int) -> Layout:
        """Layout on all cores of the chip (unused ones hold nothing)."""
        key = (role, choice, plan, operand)
        if key not in self._layouts:
            placed = place(*self._plan(choice, plan))
            if role == "out":
                layout = output_layout(placed)
            else:
                layout = operand_layout(placed, placed.expression.inputs[operand], role == "after")
            self._layouts[key] = _pad(layout, self.spec.core_count)
        return self._layouts[key]

    def sampled(self, role: LayoutRole, choice: int, plan: int, operand: int) -> Layout:
        """Layout on the sampled cores."""
        pool, cores = self.pool(role, choice, operand), len(self.sample)
        rows = slice(plan * cores, (plan + 1) * cores)
        return Layout(pool.start[rows], pool.stop[rows], pool.flat)

    def pool(self, role: LayoutRole, choice: int, operand: int) -> Layout:
        """Sampled layouts of all plans of a pool, one after the other."""
        key = ("pool", role, choice, operand)
        if key not in self._layouts:
            expression = self.choices[choice].problem.expression
            which = expression.output if role == "out" else expression.inputs[operand]
            self._layouts[key] = joined_layout(self._placed_pools(choice), which, role)
        return self._layouts[key]

    def _placed_pools(self, choice: int) -> tuple[PlacedPool, ...]:
        """The plans of a pool on the sampled cores; the latest pools are remembered."""
        pools = self._placements.pop(choice, None)
        if pools is None:
            choices = self.choices[choice]
            plans = [entry.plan for entry in choices.plans]
            pools = placed_pools(choices.problem.expression, plans, self.sample)
        self._placements[choice] = pools
        if len(self._placements) > _PLACED_POOLS:
            del self._placements[next(iter(self._placements))]
        return pools

    def grown(self, choices: tuple[Choices, ...]) -> "LayoutStore":
        """A store for choices that have the same plans and more after them; keeps what it knows."""
        store = LayoutStore(choices, self.spec)
        store._layouts = {k: v for k, v in self._layouts.items() if k[0] != "pool"}
        return store


def _pad(layout: Layout, cores: int) -> Layout:
    extra = cores - len(layout.start)
    if extra <= 0:
        return layout
    empty = np.zeros((extra, layout.start.shape[1]), dtype=np.int64)
    return Layout(
        np.concatenate([layout.start, empty]), np.concatenate([layout.stop, empty]), layout.flat
    )
