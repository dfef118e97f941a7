"""Sizes of what plans hold and receive, each from the side that a bound on a schedule needs.

What is received and what is held idle is never less than said here, and what is held at home or
saved by others never more, for whole sets of candidates at once.
"""

import numpy as np

from t10c.hardware.kernels import exchange_cycles, move_cycles, sync_cycles
from t10c.hardware.spec import HardwareSpec
from t10c.hardware.width import size_bytes, stored_bits
from t10c.ir.expression import Dim, Operand, TensorExpression
from t10c.ir.plan import prime_factors
from t10c.schedule.problem import Problem
from t10c.search.candidates import Candidates
from t10c.search.space import FloatArray, IntArray
from t10c.search.temporal import SlotTable


def weight_cycles(
    price: FloatArray, size: FloatArray, copies: FloatArray, spec: HardwareSpec
) -> FloatArray:
    """Least setup + price * idle bytes of a weight, the ratio of its idle cut a real number.

    Cut g-fold, a piece of `size` bytes (`shared_bytes`) costs c (size - size / g) + 2 s (g - 1) to
    gather and price * size / g to keep, with c cycles to move a byte and s cycles of a sync; the
    minimum over 1 <= g <= copies is at sqrt((price - c) size / 2 s). It rises with the size, which
    may hence be a lower bound too. Arrays of prices (cycles per byte), bytes and numbers broadcast.
    """
    per_byte, sync = float(move_cycles(spec, 1.0)), sync_cycles(spec)
    saved = np.maximum(price - per_byte, 0.0) * size
    ratio = np.sqrt(saved / (2 * sync)) if sync > 0 else np.broadcast_to(copies, saved.shape)
    ratio = np.clip(np.where(saved > 0, ratio, 1.0), 1.0, copies)
    share = size / ratio
    cycles: FloatArray = per_byte * (size - share) + 2 * sync * (ratio - 1) + price * share
    return cycles


def fetch_cycles(spec: HardwareSpec, received_bytes: FloatArray) -> FloatArray:
    """Cycles of exchanges in which the core that lacks most receives so much; 0 without any."""
    cycles: FloatArray = np.where(received_bytes > 0, exchange_cycles(spec, received_bytes), 0.0)
    return cycles


def others_gain(
    spec: HardwareSpec, readers: int, home: FloatArray, copied: FloatArray, lent: FloatArray
) -> FloatArray:
    """Most cycles that others save by a plan: (plans,).

    Its `readers` by its output at home, the next operator by `copied` bytes of its operands, and
    those that read its weights by the `lent` pieces (plans, reads).
    """
    read = readers * fetch_cycles(spec, home) + fetch_cycles(spec, lent).sum(axis=1)
    gain: FloatArray = read + fetch_cycles(spec, copied)
    return gain


def replicas_of(table: SlotTable, candidates: Candidates, operand: int) -> IntArray:
    """P_X / prod(t[X]) of every candidate."""
    sharing = np.prod(candidates.splits[:, list(table.shared_axes[operand])], axis=1)
    own = list(table.by_operand[operand])
    replicas: IntArray = sharing // np.prod(candidates.factors[:, own], axis=1)
    return replicas


def shared_bytes(
    expression: TensorExpression,
    table: SlotTable,
    candidates: Candidates,
    operand: int,
    piece_bytes: IntArray,
    spec: HardwareSpec,
) -> FloatArray:
    """Bytes of a weight of which a g-fold idle cut keeps at least one g-th, (candidates,).

    Cutting axes g-fold covers all indices that a piece reads by g translates of what the idle piece
    reads, so the piece's number of *different* indices is such a size. It is the whole piece where
    every dimension is read without holes; where holes are held too (strides, channels of groups) or
    two dimensions are cut by the same axis (a diagonal), an idle piece may be smaller than its
    share of the whole.
    """
    own = expression.inputs[operand]
    if shares_evenly(own):
        return piece_bytes.astype(np.float64)
    lengths = piece_lengths(table, candidates, operand)
    elements = np.ones(len(candidates))
    seen: set[str] = set()
    for dim in own.dims:
        axes = {name for name, _ in dim.terms}
        if not axes & seen:  # else the indices along it say nothing new
            columns = lengths[:, [expression.axis_index[name] for name, _ in dim.terms]]
            elements *= _different_indices(dim, columns)
        seen |= axes
    return elements * (stored_bits(spec, own.bits) / 8)


def shares_evenly(operand: Operand) -> bool:
    """Whether idle cuts of a weight keep the share of its whole piece that their number says."""
    names = [name for dim in operand.dims for name, _ in dim.terms]
    return len(set(names)) == len(names) and not any(map(_has_holes, operand.dims))


def _has_holes(dim: Dim) -> bool:
    """Whether a box of axis lengths may read fewer indices than lie between its ends."""
    return len(dim.terms) > 1 or any(abs(stride) > 1 for _, stride in dim.terms)


def _different_indices(dim: Dim, lengths: IntArray) -> IntArray:
    """Indices that boxes of the dimension's axes read, (candidates,); `lengths` per term."""
    if len(dim.terms) <= 1:
        return lengths[:, 0] if dim.terms else np.full(len(lengths), dim.reach)
    boxes, which = np.unique(lengths, axis=0, return_inverse=True)
    counts = np.array([_index_count(dim, tuple(box)) for box in boxes.tolist()], dtype=np.int64)
    return np.asarray(counts[which.ravel()])


def _index_count(dim: Dim, lengths: tuple[int, ...]) -> int:
    index = np.zeros(1, dtype=np.int64)
    for (_, stride), length in zip(dim.terms, lengths, strict=True):
        index = np.unique(np.add.outer(index, stride * np.arange(length)))
    return len(index)


def floor_bytes(
    expression: TensorExpression, table: SlotTable, candidates: Candidates, spec: HardwareSpec
) -> FloatArray:
    """Bytes a core receives of each input at least if it lies in one copy, (candidates, inputs).

    The mean over the cores used. With `q` replicas of a piece, q cores at least need every element
    that is read (empty blocks along axes that the operand lacks need it too, halos more often),
    and one of them may hold it already. Bytes are not rounded up: what every core lacks is, and not
    less in sum.
    """
    cores = np.prod(candidates.splits, axis=1).astype(np.float64)
    floors = np.zeros((len(candidates), len(expression.inputs)))
    for index, operand in enumerate(expression.inputs):
        used = used_elements(expression, operand) * stored_bits(spec, operand.bits) / 8
        floors[:, index] = (replicas_of(table, candidates, index) - 1) * (used / cores)
    return floors


def least_idle_bytes(problem: Problem, spec: HardwareSpec) -> float:
    """Bytes per core of the weights in one copy on the whole chip."""
    total = 0.0
    for index in problem.weights:
        operand = problem.expression.inputs[index]
        used = used_elements(problem.expression, operand)
        total += float(size_bytes(spec, used, operand.bits)) / spec.core_count
    return total


def used_elements(expression: TensorExpression, operand: Operand) -> int:
    """Elements of a tensor that the expression reads; 0 where dimensions share an axis."""
    names = [a for dim in operand.dims for a, _ in dim.terms]
    if len(set(names)) < len(names):
        return 0
    count = 1
    for dim in operand.dims:
        index = np.arange(dim.reach) + dim.offset
        for axis, stride in dim.terms:
            length = expression.lengths[expression.axis_index[axis]]
            index = np.unique(np.add.outer(index, stride * np.arange(length)))
        count *= int(np.count_nonzero((index >= 0) & (index < dim.size)))
    return count


def needed_bytes(
    expression: TensorExpression, table: SlotTable, candidates: Candidates, spec: HardwareSpec
) -> FloatArray:
    """Bytes that some core needs of each input, at least, (candidates, inputs).

    The core that starts with the first chunk of every cut: the first block of every axis is a full
    one, and so is its first chunk; every tuple of chunks is somewhere (docs/plans.md). Padding is
    needed by no core.
    """
    needed = np.zeros((len(candidates), len(expression.inputs)))
    for index, operand in enumerate(expression.inputs):
        lengths = piece_lengths(table, candidates, index)
        elements = np.ones(len(candidates), dtype=np.int64)
        for dim in operand.dims:
            stop = np.full(len(candidates), dim.offset + dim.reach, dtype=np.int64)
            for axis, stride in dim.terms:
                stop += stride * (lengths[:, expression.axis_index[axis]] - 1)
            within = np.clip(stop, 0, dim.size) - min(max(dim.offset, 0), dim.size)
            forward = all(stride > 0 for _, stride in dim.terms)
            elements *= np.maximum(within, 0) if forward else 0
        needed[:, index] = size_bytes(spec, elements, operand.bits)
    return needed


def home_bytes(
    expression: TensorExpression, table: SlotTable, candidates: Candidates, spec: HardwareSpec
) -> FloatArray:
    """Largest share of the output that a core keeps, at most, (candidates,)."""
    output = expression.output
    lengths, _ = home_grid(expression, table, candidates)
    elements = np.ones(len(candidates), dtype=np.int64)
    column = {name: i for i, name in enumerate(output.axes)}
    for dim in output.dims:
        span = np.full(len(candidates), dim.reach, dtype=np.int64)
        for name, stride in dim.terms:
            span += abs(stride) * (lengths[:, column[name]] - 1)
        elements *= span
    return np.asarray(size_bytes(spec, elements, output.bits), dtype=np.float64)


def home_grid(
    expression: TensorExpression, table: SlotTable, candidates: Candidates
) -> tuple[IntArray, IntArray]:
    """Length of the output's shares and number of them along its axes: (candidates, axes) each.

    The replicas of a piece share it as `ir.plan.cut_shares` says: the primes of their number,
    largest first, cut the longest axis left. As many cores keep one part along an axis as another.
    """
    output = len(expression.inputs)
    axes = [expression.axis_index[name] for name in expression.output.axes]
    lengths = piece_lengths(table, candidates, output)[:, axes]
    parts = candidates.splits[:, axes].copy()
    for slot in table.by_operand[output]:
        parts[:, axes.index(table.slots[slot].axis)] *= candidates.factors[:, slot]
    for count in np.unique(candidates.replicas):
        rows = np.flatnonzero(candidates.replicas == count)
        for prime in reversed(prime_factors(int(count))) if axes else ():
            longest = np.argmax(lengths[rows], axis=1)
            lengths[rows, longest] = -(-lengths[rows, longest] // prime)
            parts[rows, longest] *= prime
    return lengths, parts


def piece_lengths(table: SlotTable, candidates: Candidates, operand: int) -> IntArray:
    """Length of an operand's piece along every axis of the expression, (candidates, axes)."""
    lengths = candidates.blocks.copy()
    slot_of = {table.slots[slot].axis: slot for slot in table.by_operand[operand]}
    for axis, slots in enumerate(table.by_axis):
        if slots:
            own = candidates.factors[:, slot_of[axis]] if axis in slot_of else 1
            chunk = candidates.steps[:, axis] // own * candidates.tiles[:, axis]
            lengths[:, axis] = np.minimum(lengths[:, axis], chunk)
    return lengths
