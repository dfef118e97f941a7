"""One section of a program: what each instruction does to the memory of the cores."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from t10c.errors import VerificationError
from t10c.execute.element_types import Array
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
from t10c.execute.memory import Memories, Memory, rubbish
from t10c.execute.parts import existing_output, open_output, part_origin, window, write_back
from t10c.ir.expression import Operand, TensorExpression, hull
from t10c.ir.formula import Value, evaluate
from t10c.ir.program import (
    Access,
    Allocate,
    Buffer,
    Clear,
    Compute,
    Exchange,
    Finish,
    Free,
    Instruction,
    Keep,
    Load,
    Loop,
    Move,
    Program,
    Reduce,
    Section,
    Shift,
    Store,
)
from t10c.program.placed import (
    Placed,
    collect,
    per_core,
    place_piece,
    place_range,
    spread,
)


@dataclass
class Host:
    """What the host has: values of the tensors that it writes, and the outputs it has read."""

    given: Mapping[str, Array]
    outputs: dict[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Finished:
    """The output of an operator or copy that has just been made, on the cores."""

    section: str
    tensor: str
    placed: Placed
    value: Callable[[], Array]
    """The whole tensor, collected from the cores."""

    def core_of(self, index: tuple[int, ...]) -> int:
        """The core that has an element."""
        cores = np.arange(self.placed.piece.cores, dtype=np.int64)
        held = np.broadcast_to(
            cores.reshape(-1, *(1 for _ in self.placed.piece.shape)),
            (len(cores), *self.placed.piece.shape),
        )
        shape = self.value().shape
        owner = np.full(shape, -1, dtype=np.int64)
        collect(held, self.placed, owner, np.zeros(shape, dtype=bool))
        return int(owner[index])


Observer = Callable[[Finished], None]
"""Called whenever an operator or copy has finished its output."""


class SectionRun:
    """One section of a program under way, in the inference with number `inferences`."""

    def __init__(
        self,
        program: Program,
        section: Section,
        memory: Memories,
        host: Host,
        inferences: int = 0,
        observer: Observer | None = None,
    ) -> None:
        self.program, self.memory, self.section = program, memory, section.name
        self.host, self.observer = host, observer
        self.values: dict[str, Value] = {
            "core": np.arange(program.core_count, dtype=np.int64),
            "run": inferences,
        }
        for name, formula in section.values:
            self.values[name] = evaluate(formula, self.values)

    def instructions(self, instructions: tuple[Instruction, ...]) -> None:
        """Run instructions in order."""
        for instruction in instructions:
            match instruction:
                case Loop():
                    self._loop(instruction)
                case Compute():
                    self._compute(instruction)
                case Shift():
                    self._shift(instruction)
                case Allocate(buffer=buffer):
                    self._allocate(buffer)
                case Free(buffer=name):
                    self.memory.pop(name, None)
                case Load(buffer=name):
                    self._load(name)
                case Store(tensor=tensor, sources=sources):
                    self.host.outputs[tensor] = self.memory.value(tensor, sources)
                case Exchange(kind=kind, moves=moves):
                    self._exchange(moves)
                    if kind == "copy":
                        self._finished(moves[0].into)
                case Clear(buffer=name):
                    self.memory[name] = replace(self.memory[name], arrays=(), cleared=True)
                case Reduce():
                    self._reduce(instruction)
                case Finish():
                    self._finish(instruction)
                case Keep():
                    self._keep(instruction)

    def _loop(self, loop: Loop) -> None:
        for turn in range(loop.count):
            self.values[loop.counter] = turn
            self.instructions(loop.body)
            if turn + 1 < loop.count:
                self.instructions(loop.between)
        del self.values[loop.counter]

    def _allocate(self, buffer: Buffer) -> None:
        self.memory[buffer.name] = Memory(buffer, place_piece(buffer.piece, self.values))

    def _load(self, name: str) -> None:
        """The host writes what it has of the buffer's tensor."""
        memory = self.memory[name]
        value = self.host.given[memory.buffer.tensor]
        value = value.astype(self.memory.element_type(name), copy=False)
        memory.arrays = (spread(value, memory.placed),)

    def _exchange(self, moves: tuple[Move, ...]) -> None:
        arrived = []
        for move in moves:
            target = self.memory[move.into]
            own = self._in_place(move, target)
            if own is not None:
                arrived.append(own)
                continue
            value = self.memory.value(move.tensor, move.sources, target.placed)
            if value.shape != self.memory.shape(move.into):
                raise VerificationError(
                    f"{self.section}: {move.into} cannot be filled with '{move.tensor}'"
                )
            value = value.astype(self.memory.element_type(move.into), copy=False)
            arrived.append(spread(value, target.placed))
        for move, array in zip(moves, arrived, strict=True):
            self.memory[move.into].arrays = (array,)

    def _in_place(self, move: Move, target: Memory) -> Array | None:
        """What cores hold of the tensor already, if that is just what they need, else None."""
        source = self.memory[move.sources[0]] if move.sources else None
        if source is None or source.buffer.tensor != move.tensor or not source.arrays:
            return None
        if source.arrays[0].dtype != self.memory.element_type(move.into):
            return None
        return source.arrays[0] if source.placed.lies_as(target.placed) else None

    def _kernel(self, number: int) -> tuple[TensorExpression, dict[str, Operand]]:
        expression = self.program.kernels[number]
        return expression, {operand.name: operand for operand in expression.operands}

    def _compute(self, step: Compute) -> None:
        expression, operands = self._kernel(step.kernel)
        lengths = {r.axis: r.length for r in step.tile}
        windows = {
            access.operand: self._read(access, operands[access.operand], lengths)
            for access in step.inputs
        }
        result = self.memory[step.output.buffer]
        if expression.kernel == "fallback":
            whole = {name: window[0] for name, window in windows.items()}
            value = fallback(expression, whole)
            result.arrays = (value.reshape(1, *result.buffer.piece.shape),)
            return
        start, stop = {}, {}
        for r in step.tile:
            start[r.axis], stop[r.axis] = place_range(r, step.cores, self.values)
        tile = Tile(expression, start, lengths, stop)
        given = contribution(tile, windows)
        if result.kind is None:
            result.kind = body_type(expression, windows)
        if not result.arrays:
            result.arrays = self._undefined(expression, result, given)
        self._combine(tile, result, step.output, given)

    def _undefined(self, expression: TensorExpression, memory: Memory, like: Partial) -> Partial:
        """What is in a buffer of partial results before the first contribution."""
        shape = (memory.buffer.piece.cores, *memory.buffer.piece.shape)
        kinds = tuple(array.dtype for array in like)
        if memory.cleared:
            return identity(expression, shape, *kinds)
        return tuple(np.full(shape, rubbish(kind)) for kind in kinds)

    def _combine(self, tile: Tile, memory: Memory, access: Access, given: Partial) -> None:
        """Combine a contribution into its part of a buffer.

        Points that do not exist on a core lie among those of others where a dimension has several
        axes, so they are left out.
        """
        expression, lengths = tile.expression, tile.length
        exist = existing_output(tile)
        begin, extent = self._part(memory, access, lengths)
        windows = [window(array, begin, extent) for array in memory.arrays]
        views = tuple(open_output(expression, part, lengths) for part in windows)
        merged = combine(expression, views, given)
        for array, part, view, value in zip(memory.arrays, windows, views, merged, strict=True):
            np.copyto(view, value, where=exist)
            write_back(array, begin, extent, part)

    def _part(
        self, memory: Memory, access: Access, lengths: Mapping[str, int]
    ) -> tuple[list[Value], tuple[int, ...]]:
        """Where a part of a buffer begins and what it spans; grows the arrays to hold it.

        Tiles beyond the end of a short block reach past the piece; nobody reads what lies there.
        """
        piece = memory.buffer.piece
        begin = part_origin(piece, access, lengths, self.values)
        extent = hull(piece.dims, lengths)
        most = [int(np.max(b)) + n for b, n in zip(begin, extent, strict=True)]
        if any(np.min(b) < 0 for b in begin):
            raise VerificationError(f"{self.section}: reads before the start of {access.buffer}")
        grown = []
        for array in memory.arrays:
            more = [max(0, m - n) for m, n in zip(most, array.shape[1:], strict=True)]
            grown.append(np.pad(array, [(0, 0), *((0, m) for m in more)]) if any(more) else array)
        memory.arrays = tuple(grown)
        return begin, extent

    def _read(self, access: Access, operand: Operand, lengths: Mapping[str, int]) -> Array:
        """A part of an input buffer: (cores, *hull of the part)."""
        memory = self.memory[access.buffer]
        if not memory.arrays:
            raise VerificationError(f"{self.section}: {access.buffer} is read before it is written")
        if memory.buffer.piece.dims != operand.dims:
            raise VerificationError(
                f"{self.section}: {access.buffer} has not the dimensions of {access.operand}"
            )
        begin, extent = self._part(memory, access, lengths)
        return window(memory.arrays[0], begin, extent)

    def _shift(self, shift: Shift) -> None:
        memory = self.memory[shift.buffer]
        source = per_core(evaluate(shift.source, self.values), memory.buffer.piece.cores)
        memory.arrays = tuple(array[source] for array in memory.arrays)

    def _reduce(self, step: Reduce) -> None:
        """Every core of a group gets the combination of all; it uses its share of it only."""
        expression, _ = self._kernel(step.kernel)
        memory = self.memory[step.buffer]
        group = per_core(evaluate(step.group, self.values), step.cores)
        rank = per_core(evaluate(step.rank, self.values), step.cores)
        order = np.lexsort((rank, group))
        if not np.array_equal(rank[order].reshape(-1, step.count)[0], np.arange(step.count)):
            raise VerificationError(f"{self.section}: ranks of a reduction are not 0, 1, 2, ...")
        parts = [array[order].reshape(-1, step.count, *array.shape[1:]) for array in memory.arrays]
        merged: Partial = tuple(part[:, 0] for part in parts)
        for number in range(1, step.count):
            merged = combine(expression, merged, tuple(part[:, number] for part in parts))
        place = np.empty(step.cores, dtype=np.int64)
        place[order] = np.arange(step.cores) // step.count
        memory.arrays = tuple(array[place] for array in merged)

    def _finish(self, step: Finish) -> None:
        expression, operands = self._kernel(step.kernel)
        memory = self.memory[step.result.buffer]
        if not memory.arrays:
            raise VerificationError(f"{self.section}: {step.result.buffer} was never computed")
        placed = place_piece(step.into.piece, self.values)
        kind = self.memory.type_of(step.into.tensor)
        if expression.kernel == "fallback":
            finished = memory.arrays[0].astype(kind)
        else:
            lengths = {axis: placed.piece.lengths[axis] for axis in expression.output.axes}
            begin, extent = self._part(memory, step.result, lengths)
            partial = tuple(
                open_output(expression, window(array, begin, extent), lengths)
                for array in memory.arrays
            )
            windows = {
                access.operand: self._read(access, operands[access.operand], lengths)
                for access in step.inputs
            }
            start = {axis: placed.start[axis] for axis in lengths}
            stop = {axis: placed.stop[axis] for axis in lengths}
            value = finish(Tile(expression, start, lengths, stop), partial, windows, memory.kind)
            finished = np.zeros((placed.piece.cores, *extent), kind)
            open_output(expression, finished, lengths)[...] = value.astype(kind)
        del self.memory[step.result.buffer]
        self.memory[step.into.name] = Memory(step.into, placed, (finished,))
        self._finished(step.into.name)

    def _finished(self, name: str) -> None:
        """Tell the observer what a buffer holds now."""
        if self.observer is not None:
            memory = self.memory[name]
            tensor = memory.buffer.tensor
            self.observer(
                Finished(
                    self.section,
                    tensor,
                    memory.placed,
                    lambda: self.memory.value(tensor, (name,)),
                )
            )

    def _keep(self, step: Keep) -> None:
        memory = self.memory[step.part.buffer]
        lengths = step.into.piece.lengths
        begin, extent = self._part(memory, step.part, lengths)
        arrays = tuple(
            array if array.shape[1:] == extent else window(array, begin, extent, copy=True)
            for array in memory.arrays  # a copy of a part, so that the rest is given back
        )
        del self.memory[step.part.buffer]
        placed = place_piece(step.into.piece, self.values)
        self.memory[step.into.name] = Memory(step.into, placed, arrays)
