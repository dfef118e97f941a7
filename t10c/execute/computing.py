"""The instructions that compute: `compute`, `reduce` and `finish`."""

import numpy as np

from t10c.errors import VerificationError
from t10c.execute.element_types import Array, widened
from t10c.execute.kernels import (
    Partial,
    Tile,
    body_type,
    combine,
    contribution,
    fallback,
    finish,
    identity,
)
from t10c.execute.memory import Memory, rubbish
from t10c.execute.parts import existing_output, open_output, window, write_back
from t10c.execute.scope import Scope
from t10c.ir.expression import TensorExpression
from t10c.ir.program import Access, Compute, Finish, Reduce
from t10c.program.placed import Placed, place_piece, place_range


def compute_tile(scope: Scope, step: Compute) -> None:
    """Combine the body's contribution over one tile into the output's part, on every core.

    Raises VerificationError for operands that are not there, UnsupportedOperatorError for steps
    that cannot be executed.
    """
    expression, operands = scope.kernel(step.kernel)
    lengths = {r.axis: r.length for r in step.tile}
    windows = {
        access.operand: scope.read(access, operands[access.operand], lengths)
        for access in step.inputs
    }
    result = scope.memory[step.output.buffer]
    kind = scope.memory.element_type(step.output.buffer)
    if expression.kernel not in ("fallback", "gather"):  # which compute nothing of their own
        windows = {name: widened(part, kind) for name, part in windows.items()}
    if expression.kernel == "fallback":
        whole = {name: window[0] for name, window in windows.items()}
        value = fallback(expression, whole)
        result.arrays = (value.reshape(1, *result.buffer.piece.shape),)
        return
    start, stop = {}, {}
    for r in step.tile:
        start[r.axis], stop[r.axis] = place_range(r, step.cores, scope.values)
    tile = Tile(expression, start, lengths, stop)
    given = contribution(tile, windows)
    if result.kind is None:
        result.kind = body_type(expression, windows)
    if not result.arrays:
        result.arrays = _undefined(expression, result, given)
    _combine(scope, tile, result, step.output, given)


def _undefined(expression: TensorExpression, memory: Memory, like: Partial) -> Partial:
    """What is in a buffer of partial results before the first contribution."""
    shape = (memory.buffer.piece.cores, *memory.buffer.piece.shape)
    kinds = tuple(array.dtype for array in like)
    if memory.cleared:
        return identity(expression, shape, *kinds)
    return tuple(np.full(shape, rubbish(kind)) for kind in kinds)


def _combine(scope: Scope, tile: Tile, memory: Memory, access: Access, given: Partial) -> None:
    """Combine a contribution into its part of a buffer.

    Points that do not exist on a core lie among those of others where a dimension has several
    axes, so they are left out.
    """
    expression, lengths = tile.expression, tile.length
    exist = existing_output(tile)
    begin, extent = scope.part(memory, access, lengths)
    windows = [window(array, begin, extent) for array in memory.arrays]
    views = tuple(open_output(expression, part, lengths) for part in windows)
    merged = combine(expression, views, given)
    for array, part, view, value in zip(memory.arrays, windows, views, merged, strict=True):
        np.copyto(view, value, where=exist)
        write_back(array, begin, extent, part)


def reduce_groups(scope: Scope, step: Reduce) -> None:
    """Give every core of a group the combination of all; it uses its share of it only.

    Raises VerificationError if ranks do not count the cores of a group.
    """
    expression, _ = scope.kernel(step.kernel)
    memory = scope.memory[step.buffer]
    group, rank = (scope.per_core(formula, step.cores) for formula in (step.group, step.rank))
    order = np.lexsort((rank, group))
    if not np.array_equal(rank[order].reshape(-1, step.count)[0], np.arange(step.count)):
        raise VerificationError(f"{scope.section}: ranks of a reduction are not 0, 1, 2, ...")
    parts = [array[order].reshape(-1, step.count, *array.shape[1:]) for array in memory.arrays]
    merged: Partial = tuple(part[:, 0] for part in parts)
    for number in range(1, step.count):
        merged = combine(expression, merged, tuple(part[:, number] for part in parts))
    place = np.empty(step.cores, dtype=np.int64)
    place[order] = np.arange(step.cores) // step.count
    memory.arrays = tuple(array[place] for array in merged)


def finish_buffer(scope: Scope, step: Finish) -> None:
    """Replace partial results by the finished piece: mean, epilogue, the tensor's element type.

    Raises VerificationError if nothing was computed.
    """
    expression, _ = scope.kernel(step.kernel)
    memory = scope.memory[step.result.buffer]
    if not memory.arrays:
        raise VerificationError(f"{scope.section}: {step.result.buffer} was never computed")
    placed = place_piece(step.into.piece, scope.values)
    if expression.kernel == "fallback":
        finished = memory.arrays[0].astype(scope.memory.type_of(step.into.tensor))
    else:
        finished = _finished(scope, step, memory, placed)
    del scope.memory[step.result.buffer]
    scope.memory[step.into.name] = Memory(step.into, placed, (finished,))


def _finished(scope: Scope, step: Finish, memory: Memory, placed: Placed) -> Array:
    """The finished piece on all cores: (cores, *hull), 0 where it has no points."""
    expression, operands = scope.kernel(step.kernel)
    kind = scope.memory.type_of(step.into.tensor)
    lengths = {axis: placed.piece.lengths[axis] for axis in expression.output.axes}
    begin, extent = scope.part(memory, step.result, lengths)
    partial = tuple(
        open_output(expression, window(array, begin, extent), lengths) for array in memory.arrays
    )
    windows = {
        access.operand: widened(scope.read(access, operands[access.operand], lengths), kind)
        for access in step.inputs
    }
    start = {axis: placed.start[axis] for axis in lengths}
    stop = {axis: placed.stop[axis] for axis in lengths}
    value = finish(Tile(expression, start, lengths, stop), partial, windows, memory.kind)
    finished = np.zeros((placed.piece.cores, *extent), kind)
    with np.errstate(over="ignore", invalid="ignore"):  # what does not fit becomes infinite
        open_output(expression, finished, lengths)[...] = value.astype(kind)
    return finished
