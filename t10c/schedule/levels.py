"""Rotations of many plans in arrays, one column per loop level, outermost first.

Plans with fewer levels than others have levels of radix 1 on no axis, which move nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from t10c.ir.expression import TensorExpression
from t10c.ir.plan import Plan
from t10c.search.space import BoolArray, IntArray


@dataclass(frozen=True)
class Levels:
    """Loop levels of plans: `radix` and `axis` (plans, levels), `moves` (plans, levels, operands).

    `axis` is -1 where a plan has no such level; `lacks` (operands, axes) says which axes an operand
    lacks.
    """

    radix: IntArray
    axis: IntArray
    moves: BoolArray
    lacks: BoolArray

    @property
    def count(self) -> int:
        """Levels of the plan that has most."""
        return len(self.radix.T)

    @cached_property
    def steps(self) -> IntArray:
        """T[a]: product of all radices on each axis, (plans, axes)."""
        steps = [self._product(self.axis == axis) for axis in range(self.lacks.shape[1])]
        return np.stack(steps, axis=1)

    @cached_property
    def rounds(self) -> IntArray:
        """How often each level's loop runs: product of the radices outside it, (plans, levels)."""
        rounds = np.ones_like(self.radix)
        np.cumprod(self.radix[:, :-1], axis=1, out=rounds[:, 1:])
        return rounds

    def pieces(self, operand: int) -> IntArray:
        """prod(t[X]): pieces of the operand's sub-tensor, (plans,)."""
        return self._product(self.moves[:, :, operand])

    def chunk_tiles(self, axis: int, operand: int) -> IntArray:
        """Tiles in a chunk of the operand along the axis, T[a] / t[X][a], (plans,)."""
        return self._product((self.axis == axis) & ~self.moves[:, :, operand])

    def chunk_weights(self, axis: int, operand: int) -> IntArray:
        """What a step of each level counts in the operand's chunk number along the axis.

        (plans, levels), 0 for levels that do not cut it. Of the levels on one axis the one with the
        larger operand set is the more significant digit.
        """
        cutting = (self.axis == axis) & self.moves[:, :, operand]
        if not cutting.any():
            return np.zeros_like(self.radix)
        order = np.argsort(-self.moves.sum(axis=2), axis=1, kind="stable")
        radix = np.take_along_axis(np.where(cutting, self.radix, 1), order, axis=1)
        below = np.ones_like(radix)
        below[:, :-1] = np.cumprod(radix[:, :0:-1], axis=1)[:, ::-1]
        weights = np.empty_like(radix)
        np.put_along_axis(weights, order, below, axis=1)
        return np.where(cutting, weights, 0)

    def overlapping(self, split: IntArray) -> BoolArray:
        """Plans in which two operands of one rotation are shared across an axis that is cut.

        `split` has shape (plans, axes). The digit rule does not place them.
        """
        lacking = self.moves.astype(np.int64) @ self.lacks.astype(np.int64)
        overlap: BoolArray = np.any((lacking > 1) & (split > 1)[:, None, :], axis=(1, 2))
        return overlap

    def _product(self, chosen: BoolArray) -> IntArray:
        """Product of the radices of the chosen levels, (plans,)."""
        product: IntArray = np.prod(np.where(chosen, self.radix, 1), axis=1)
        return product


def rotation_levels(expression: TensorExpression, plans: Sequence[Plan]) -> Levels:
    """The loop levels of plans of one expression."""
    count = max((len(plan.rotations) for plan in plans), default=0)
    radix = np.ones((len(plans), count), dtype=np.int64)
    kind = np.zeros((len(plans), count), dtype=np.int64)
    kinds: dict[tuple[str, tuple[str, ...]], int] = {("", ()): 0}
    for row, plan in enumerate(plans):
        for level, rotation in enumerate(plan.rotations):
            radix[row, level] = rotation.radix
            kind[row, level] = kinds.setdefault((rotation.axis, rotation.operands), len(kinds))
    axis = np.array([expression.axis_index.get(name, -1) for name, _ in kinds])
    moves = np.array([[o.name in moved for o in expression.operands] for _, moved in kinds])
    lacks = np.array([[a.name not in o.axes for a in expression.axes] for o in expression.operands])
    return Levels(radix, axis[kind], moves[kind], lacks)
