"""Idle cuts of a weight under many plans at once, and what the best of them costs at a price.

Which cuts a weight has depends on its own blocks and pieces only, so thousands of plans share some
hundreds of menus.
"""

from dataclasses import dataclass, replace

import numpy as np

from t10c.hardware.spec import HardwareSpec
from t10c.ir.expression import TensorExpression
from t10c.schedule.idle import cut_costs
from t10c.schedule.numbering import numbered
from t10c.schedule.shares import piece_lengths, replicas_of
from t10c.search.candidates import Candidates
from t10c.search.space import BoolArray, FloatArray, IntArray
from t10c.search.temporal import SlotTable, factor_tuples


@dataclass(frozen=True)
class IdleMenus:
    """Idle cuts of one weight under each of many plans, those that others undercut left out.

    `menu_of` (plans,) numbers the menu of each plan. `idle_bytes` per core and `setup` in cycles
    have the cuts of all menus, from `starts` to `ends` (menus,), one menu after the other.
    """

    menu_of: IntArray
    starts: IntArray
    ends: IntArray
    idle_bytes: FloatArray
    setup: FloatArray

    def take(self, selection: BoolArray) -> "IdleMenus":
        """The menus of the selected plans."""
        return replace(self, menu_of=self.menu_of[selection])

    def cycles_at(self, price: float) -> FloatArray:
        """Least setup + price * idle bytes under every plan, (plans,)."""
        if not len(self.starts):
            return np.zeros(0)
        least = np.minimum.reduceat(self.setup + price * self.idle_bytes, self.starts)
        return np.asarray(least[self.menu_of])

    def bytes_at(self, price: float, plan: int) -> float:
        """Idle bytes of the cut that costs least under one plan."""
        menu = int(self.menu_of[plan])
        cuts = slice(self.starts[menu], self.ends[menu])
        least = np.argmin(self.setup[cuts] + price * self.idle_bytes[cuts])
        return float(self.idle_bytes[cuts][least])


def find_menus(
    expression: TensorExpression,
    table: SlotTable,
    candidates: Candidates,
    operand_index: int,
    spec: HardwareSpec,
) -> IdleMenus:
    """The idle cuts of a weight under every candidate, those that `idle.idle_cuts` finds."""
    operand = expression.inputs[operand_index]
    axes = [expression.axis_index[name] for name in operand.axes]
    lengths = piece_lengths(table, candidates, operand_index)[:, axes]
    limits = candidates.blocks[:, axes].copy()
    for slot in table.by_operand[operand_index]:
        limits[:, axes.index(table.slots[slot].axis)] //= candidates.factors[:, slot]
    most = replicas_of(table, candidates, operand_index)
    keys = np.column_stack([most, lengths, limits])
    count, key_of = numbered(keys)
    menus = np.empty((count, keys.shape[1]), dtype=np.int64)
    menus[key_of] = keys
    # menus of as many copies, whose cuts are the same, one after the other
    order = np.argsort(menus[:, 0], kind="stable")
    place = np.empty(count, dtype=np.int64)
    place[order] = np.arange(count)
    copies, firsts = np.unique(menus[order, 0], return_index=True)
    sizes, setups, counts = [np.zeros(0)], [np.zeros(0)], [np.zeros(0, dtype=np.int64)]
    # of no menus at all there is one part, which is empty
    for number, own in zip(copies.tolist(), np.split(menus[order], firsts[1:]), strict=False):
        factors = factor_tuples(number, len(axes))
        _, size, setup = cut_costs(operand, own[:, 1 : 1 + len(axes)], factors, spec)
        legal = np.all(factors <= own[:, None, 1 + len(axes) :], axis=2)
        size, setup, kept = _undominated(size, np.where(legal, setup, np.inf))
        sizes.append(size[kept].astype(np.float64))
        setups.append(setup[kept])
        counts.append(np.count_nonzero(kept, axis=1))
    counted = np.concatenate(counts)
    ends = np.cumsum(counted)
    return IdleMenus(
        place[key_of], ends - counted, ends, np.concatenate(sizes), np.concatenate(setups)
    )


def _undominated(size: IntArray, setup: FloatArray) -> tuple[IntArray, FloatArray, BoolArray]:
    """Cuts of every menu by rising setup, and which are smaller than all before; (menus, cuts)."""
    order = np.lexsort((size, setup), axis=1)
    size, setup = np.take_along_axis(size, order, axis=1), np.take_along_axis(setup, order, axis=1)
    least = np.minimum.accumulate(size, axis=1)
    kept = np.isfinite(setup)
    kept[:, 1:] &= size[:, 1:] < least[:, :-1]
    return size, setup, kept
