"""Floors: the least memory and cycles of a plan that are known before it is priced in full.

They are sums over operands, so that tables of one operand's cuts stand for all plans made of them.
A floor leaves out what is not known to rise with a piece (the arithmetic of a final reduction, the
epilogue), and takes pieces as if nothing padded.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from t10c.hardware.kernels import move_cycles, reduction_terms, sync_cycles
from t10c.hardware.spec import HardwareSpec
from t10c.hardware.width import partial_bits, size_bytes
from t10c.ir.expression import TensorExpression
from t10c.search.evaluate import end_cycles
from t10c.search.shifts import shift_rounds
from t10c.search.space import FloatArray, IntArray
from t10c.search.temporal import Cuts, SlotTable

SLACK = 1 - 1e-9
"""Floors are sums in another order than prices; this absorbs the rounding of both."""


@dataclass(frozen=True)
class Floors:
    """Least `memory` (bytes per core) and `cycles`, one of each per split or per cut.

    The cycles count `shifts` shifts of the operand, at least `once` cycles each (infinite if it
    does not move); a plan may need more (`more_shifts`). `still` are the cycles without shifts.
    """

    memory: FloatArray
    cycles: FloatArray
    still: FloatArray
    shifts: FloatArray
    once: FloatArray

    def take(self, chosen: IntArray) -> "Floors":
        """The floors of the chosen splits or cuts."""
        return Floors(
            self.memory[chosen],
            self.cycles[chosen],
            self.still[chosen],
            self.shifts[chosen],
            self.once[chosen],
        )


@dataclass(frozen=True)
class Pieces:
    """The least piece of an operand, one per split or per cut.

    It has `elements` elements in `size` bytes, is one of `count` pieces and lies on `copies` cores.
    """

    elements: FloatArray
    size: IntArray
    count: FloatArray
    copies: FloatArray


def cut_pieces(
    expression: TensorExpression,
    spec: HardwareSpec,
    table: SlotTable,
    cuts: Cuts,
    splits: IntArray,
    blocks: IntArray,
) -> Pieces:
    """Pieces by cut of an operand."""
    own = table.by_operand[cuts.operand]
    lengths: dict[int, FloatArray] = {}
    for slot, factor, block in zip(own, cuts.factors, cuts.blocks, strict=True):
        lengths[table.slots[slot].axis] = np.ceil(block / factor)
    for axis in _axes_of(expression, cuts.operand):
        if axis not in lengths:
            lengths[axis] = blocks[:, axis].astype(np.float64)[cuts.rows]
    count = math.prod(cuts.factors, start=np.ones(len(cuts.rows)))
    sharing = np.prod(splits[:, list(table.shared_axes[cuts.operand])], axis=1)
    return _pieces(
        expression, spec, cuts.operand, lengths, count, sharing.astype(np.float64)[cuts.rows]
    )


def whole_pieces(
    expression: TensorExpression,
    spec: HardwareSpec,
    table: SlotTable,
    operand: int,
    splits: IntArray,
    blocks: IntArray,
) -> Pieces:
    """Pieces by split of an operand that is never cut."""
    sharing = np.prod(splits[:, list(table.shared_axes[operand])], axis=1)
    lengths = {axis: blocks[:, axis].astype(np.float64) for axis in _axes_of(expression, operand)}
    return _pieces(
        expression, spec, operand, lengths, np.ones(len(splits)), sharing.astype(np.float64)
    )


def cut_floors(
    expression: TensorExpression,
    spec: HardwareSpec,
    table: SlotTable,
    cuts: Cuts,
    splits: IntArray,
    blocks: IntArray,
) -> Floors:
    """What each cut of an operand takes: its piece, its shifts, and, of the output, the end.

    An operand cut into g pieces passes them on g - 1 times at least, in whatever loops.
    """
    pieces = cut_pieces(expression, spec, table, cuts, splits, blocks)
    return _floors(expression, spec, cuts.operand, pieces)


def split_floors(
    expression: TensorExpression,
    spec: HardwareSpec,
    table: SlotTable,
    splits: IntArray,
    blocks: IntArray,
) -> Floors:
    """What the operands that are never cut take, and the reserved shift buffer, per split."""
    none = np.zeros(len(splits))
    memory = none + spec.shift_buffer.reserved_bytes
    cycles = none.copy()
    for operand, own in enumerate(table.by_operand):
        if own:
            continue
        pieces = whole_pieces(expression, spec, table, operand, splits, blocks)
        found = _floors(expression, spec, operand, pieces)
        memory += found.memory
        cycles += found.cycles
    return Floors(memory, cycles, cycles, none, none + np.inf)


def more_shift_cycles(steps: FloatArray, shifts: FloatArray, once: FloatArray) -> FloatArray:
    """Cycles of shifts that plans need beyond those that their operands' floors count.

    Something shifts between any two of the steps; what no operand's own pieces call for is a loop
    that runs again inside another. `once` is the cheapest shift, infinite where nothing moves.
    """
    more = np.maximum(steps - 1 - shifts, 0.0)
    more *= np.where(more > 0, once, 0.0)
    return more


def most_memory(
    expression: TensorExpression, spec: HardwareSpec, table: SlotTable, blocks: IntArray
) -> FloatArray:
    """Bytes per core that no plan of a split exceeds, (splits,)."""
    total = np.full(len(blocks), float(spec.shift_buffer.reserved_bytes))
    for index, operand in enumerate(expression.operands):
        lengths = {axis: blocks[:, axis].astype(np.float64) for axis in _axes_of(expression, index)}
        elements = _elements(expression, index, lengths).astype(np.int64)
        size = size_bytes(spec, elements, operand.bits)
        if operand is expression.output:
            wide = size_bytes(spec, elements, partial_bits(spec, expression))
            size = np.maximum(size, wide)
        twice = spec.shift_buffer.policy == "double" and table.by_operand[index]
        total += 2 * size if twice else size
    return total


def _axes_of(expression: TensorExpression, operand: int) -> Sequence[int]:
    return [expression.axis_index[name] for name in expression.operands[operand].axes]


def _elements(
    expression: TensorExpression, operand: int, lengths: Mapping[int, FloatArray]
) -> FloatArray:
    """Elements of a piece of the given lengths along the operand's axes, by axis position."""
    total: FloatArray | float = 1.0
    for dim in expression.operands[operand].dims:
        span: FloatArray | float = float(dim.reach)
        for name, stride in dim.terms:
            span = span + abs(stride) * (lengths[expression.axis_index[name]] - 1)
        total = total * span
    return np.asarray(total, dtype=np.float64)


def _pieces(
    expression: TensorExpression,
    spec: HardwareSpec,
    operand: int,
    lengths: Mapping[int, FloatArray],
    count: FloatArray,
    sharing: FloatArray,
) -> Pieces:
    """Pieces of the given lengths, `count` of them in groups of `sharing` cores."""
    elements = np.broadcast_to(_elements(expression, operand, lengths), count.shape)
    value = expression.operands[operand]
    size = size_bytes(spec, elements.astype(np.int64), value.bits)
    copies = sharing / count
    if value is expression.output:
        partial = (count > 1) | (copies > 1)
        wide = size_bytes(spec, elements.astype(np.int64), partial_bits(spec, expression))
        size = np.where(partial, wide, size)
    return Pieces(elements, size, count, copies)


def _floors(
    expression: TensorExpression, spec: HardwareSpec, operand: int, pieces: Pieces
) -> Floors:
    """Floors of an operand in such pieces."""
    size, count = pieces.size, pieces.count
    still = np.zeros(len(count))
    if expression.operands[operand] is expression.output:
        width = partial_bits(spec, expression)
        reduction = reduction_terms(spec, pieces.copies, pieces.elements, width)
        still += reduction.sync + reduction.transfer + end_cycles(spec, expression, size)
    once = move_cycles(spec, size) + 2 * sync_cycles(spec) * shift_rounds(spec, size)
    cycles = still + (count - 1) * once
    twice = spec.shift_buffer.policy == "double"
    held = np.where(count > 1, 2.0, 1.0) if twice else 1.0
    memory = held * size.astype(np.float64)
    return Floors(memory, cycles, still, count - 1, np.where(count > 1, once, np.inf))
