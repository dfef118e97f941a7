"""Layouts of all plans of a schedule's choices, built once each."""

import math

import numpy as np

from t10c.hardware.spec import HardwareSpec
from t10c.ir.expression import TensorExpression
from t10c.ir.plan import Plan, piece_shape, replicas
from t10c.schedule.choices import Choices
from t10c.schedule.layout import (
    Layout,
    PlacedPlan,
    even_layout,
    idle_layout,
    operand_layout,
    output_layout,
    place,
)
from t10c.search.space import IntArray

_SAMPLE_CORES = 128


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
            self.sample = np.unique(np.linspace(0, count - 1, _SAMPLE_CORES).astype(np.int64))
        self._layouts: dict[tuple[object, ...], Layout] = {}
        self._placements: dict[tuple[int, int], PlacedPlan] = {}

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
            expression = self.choices[choice].problem.expression
            placed = self._placed(choice, plan, None)
            layout = idle_layout(placed, expression.inputs[operand], cut)
            self._layouts[key] = _pad(layout, self.spec.core_count)
        return self._layouts[key]

    def _plan(self, choice: int, plan: int) -> tuple[TensorExpression, Plan]:
        choices = self.choices[choice]
        return choices.problem.expression, choices.plans[plan].plan

    def _build(
        self, role: str, choice: int, plan: int, operand: int, cores: IntArray | None
    ) -> Layout:
        """Layout of a plan's operand on the chosen cores (all if None)."""
        expression = self.choices[choice].problem.expression
        placed = self._placed(choice, plan, cores)
        if role == "out":
            return output_layout(placed)
        return operand_layout(placed, expression.inputs[operand], role == "after")

    def _placed(self, choice: int, plan: int, cores: IntArray | None) -> PlacedPlan:
        """The plan with the offsets of the chosen cores; sampled ones are remembered."""
        key = (choice, plan)
        if cores is None:
            return place(*self._plan(choice, plan))
        if key not in self._placements:
            self._placements[key] = place(*self._plan(choice, plan), cores)
        return self._placements[key]

    def full(self, role: str, choice: int, plan: int, operand: int) -> Layout:
        """Layout on all cores of the chip (unused ones hold nothing)."""
        key = (role, choice, plan, operand)
        if key not in self._layouts:
            layout = self._build(role, choice, plan, operand, None)
            self._layouts[key] = _pad(layout, self.spec.core_count)
        return self._layouts[key]

    def sampled(self, role: str, choice: int, plan: int, operand: int) -> Layout:
        """Layout on the sampled cores."""
        key = ("sample", role, choice, plan, operand)
        if key not in self._layouts:
            used = int(np.prod(self._plan(choice, plan)[1].split))
            cores = self.sample[self.sample < used]
            layout = self._build(role, choice, plan, operand, cores)
            self._layouts[key] = _pad(layout, len(self.sample))
        return self._layouts[key]

    def pool(self, role: str, choice: int, operand: int) -> Layout:
        """Sampled layouts of all plans of a pool, one after the other."""
        key = ("pool", role, choice, operand)
        if key not in self._layouts:
            parts = [
                self.sampled(role, choice, plan, operand)
                for plan in range(len(self.choices[choice].plans))
            ]
            self._layouts[key] = Layout(
                np.concatenate([p.start for p in parts]),
                np.concatenate([p.stop for p in parts]),
                parts[0].flat,
            )
        return self._layouts[key]


def _pad(layout: Layout, cores: int) -> Layout:
    extra = cores - len(layout.start)
    if extra <= 0:
        return layout
    empty = np.zeros((extra, layout.start.shape[1]), dtype=np.int64)
    return Layout(
        np.concatenate([layout.start, empty]), np.concatenate([layout.stop, empty]), layout.flat
    )
