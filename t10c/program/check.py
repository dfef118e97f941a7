"""Whether a device program is valid: checked before anything else uses it.

The checker walks the program once as cores would, but follows only *where* things lie, not their
values: for every buffer and core the index of the tensor at local index 0. So it finds a shift that
is missing or goes to the wrong neighbour, a chunk that is off by one, memory that overflows, a
buffer that is read before it is written; and names the instruction.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from t10c.errors import InvalidInputError
from t10c.ir.expression import TensorExpression
from t10c.ir.formula import FormulaError, IntArray, Value, evaluate
from t10c.ir.graph import Tensor
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
    Piece,
    Program,
    Reduce,
    Section,
    Shift,
    Store,
)
from t10c.program.placed import BoolArray, Placed, collect, per_core, place_piece, place_range
from t10c.program.views import known_elements

LOOP_LIMIT = 2**24
"""Most rounds of a loop nest; more are taken for a mistake."""


def check_program(program: Program) -> int:
    """Peak bytes of any core; InvalidInputError names the first instruction that is wrong."""
    return _Checker(program).run()


class _WrongError(Exception):
    """What is wrong with the instruction at hand."""


@dataclass
class _Held:
    """A buffer: where its data lie now (start per axis), whether written, bytes it counts for."""

    buffer: Buffer
    placed: Placed
    start: dict[str, IntArray]
    written: bool = False
    cleared: bool = False
    points: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """For partial results: points of the iteration space in what a core holds, (cores,)."""
    counted_bytes: int = 0
    count: dict[str, IntArray] = field(default_factory=dict)
    """Points along every axis that exist in what a core holds now, (cores,) each."""


@dataclass
class _Checker:
    """State of the walk."""

    program: Program
    held: dict[str, _Held] = field(default_factory=dict)
    used_bytes: int = 0
    peak_bytes: int = 0
    values: dict[str, Value] = field(default_factory=dict)
    tensor: dict[str, Tensor] = field(default_factory=dict)
    covering: dict[str, bool] = field(default_factory=dict)

    def run(self) -> int:
        """Walk all sections, two inferences long: pieces are displaced in the second."""
        program = self.program
        self.tensor = {tensor.name: tensor for tensor in program.tensors}
        self.used_bytes = self.peak_bytes = program.reserved_bytes
        self._section(program.load, 0)
        for number in range(2):
            for section in (program.begin, *program.sections, program.end):
                self._section(section, number)
        return self.peak_bytes

    def _section(self, section: Section, inferences: int) -> None:
        place = f"section '{section.name}'"
        cores = np.arange(self.program.core_count, dtype=np.int64)
        self.values = {"core": cores, "run": inferences}
        for name, formula in section.values:
            try:
                self.values[name] = evaluate(formula, self.values)
            except FormulaError as error:
                raise InvalidInputError(f"{place}, value {name}: {error}") from error
        self._instructions(section.instructions, place)

    def _instructions(self, instructions: Iterable[Instruction], place: str) -> None:
        for number, instruction in enumerate(instructions):
            at = f"{place}, instruction {number}"
            if isinstance(instruction, Loop):
                self._loop(instruction, at)
                continue
            try:
                self._instruction(instruction)
            except (_WrongError, FormulaError) as error:
                what = type(instruction).__name__.lower()
                raise InvalidInputError(f"{at} ({what}): {error}") from error

    def _loop(self, loop: Loop, at: str) -> None:
        if not 1 <= loop.count <= LOOP_LIMIT:
            raise InvalidInputError(f"{at} (loop): runs {loop.count} times")
        if loop.counter in self.values:
            raise InvalidInputError(f"{at} (loop): the name {loop.counter} is taken")
        for turn in range(loop.count):
            self.values[loop.counter] = turn
            self._instructions(loop.body, f"{at}, body")
            if turn + 1 < loop.count:
                self._instructions(loop.between, f"{at}, between")
        del self.values[loop.counter]

    def _instruction(self, instruction: Instruction) -> None:
        match instruction:
            case Allocate(buffer=buffer, absorbs=absorbed):
                self._allocate(buffer, absorbed)
            case Free(buffer=name):
                self._free(name)
            case Load(buffer=name):
                self._get(name).written = True
            case Store(tensor=tensor, sources=sources):
                self._readable(tensor, sources)
            case Exchange(moves=moves):
                self._exchange(moves)
            case Clear(buffer=name):
                held = self._get(name)
                held.cleared, held.written = True, False
                held.points = np.zeros(held.buffer.piece.cores, dtype=np.int64)
            case Compute():
                self._compute(instruction)
            case Shift():
                self._shift(instruction)
            case Reduce():
                self._reduce(instruction)
            case Finish():
                self._finish(instruction)
            case Keep():
                self._keep(instruction)

    # Memory

    def _get(self, name: str) -> _Held:
        if name not in self.held:
            raise _WrongError(f"there is no buffer '{name}' at this point")
        return self.held[name]

    def _new(self, buffer: Buffer) -> _Held:
        """A buffer that is well made."""
        piece = buffer.piece
        if buffer.tensor not in self.tensor:
            raise _WrongError(f"{buffer.name} is a piece of the unknown tensor '{buffer.tensor}'")
        if not 1 <= piece.cores <= self.program.core_count:
            raise _WrongError(f"{buffer.name} lies on {piece.cores} cores")
        if buffer.bits < 1 or buffer.copies not in (1, 2):
            raise _WrongError(f"{buffer.name} has elements of {buffer.bits} bits")
        _check_piece(buffer, self.tensor[buffer.tensor])
        placed = place_piece(piece, self.values)
        points = math.prod(piece.lengths.values())
        if buffer.elements < min(points, math.prod(piece.shape)):
            raise _WrongError(
                f"{buffer.name} counts {buffer.elements} elements, but has {points} points"
            )
        found = _Held(buffer, placed, dict(placed.start), counted_bytes=size_bytes(buffer))
        found.count = {a: np.maximum(placed.stop[a] - start, 0) for a, start in found.start.items()}
        return found

    def _allocate(self, buffer: Buffer, absorbed: str) -> None:
        if buffer.name in self.held:
            raise _WrongError(f"there is a buffer '{buffer.name}' already")
        held = self._new(buffer)
        if absorbed:
            old = self._get(absorbed)
            self.used_bytes -= old.counted_bytes
            old.counted_bytes = 0
        self._count(held)

    def _count(self, held: _Held) -> None:
        self.held[held.buffer.name] = held
        self.used_bytes += held.counted_bytes
        self.peak_bytes = max(self.peak_bytes, self.used_bytes)
        if self.used_bytes > self.program.core_bytes:
            raise _WrongError(
                f"{held.buffer.name} needs {held.counted_bytes} bytes, which makes "
                f"{self.used_bytes} of the {self.program.core_bytes} that a core has"
            )

    def _free(self, name: str) -> None:
        self.used_bytes -= self._get(name).counted_bytes
        del self.held[name]

    def _turn_into(self, old: str, buffer: Buffer) -> _Held:
        """A buffer that takes over (part of) the memory of another."""
        held = self._new(buffer)
        self._free(old)
        if buffer.name in self.held:
            raise _WrongError(f"there is a buffer '{buffer.name}' already")
        self._count(held)
        held.written = True
        return held

    # Exchanges

    def _exchange(self, moves: tuple[Move, ...]) -> None:
        for move in moves:
            into = self._get(move.into)
            wanted = self.tensor.get(move.tensor)
            if wanted is None or wanted.shape != self.tensor[into.buffer.tensor].shape:
                raise _WrongError(f"{move.into} cannot be filled with '{move.tensor}'")
            self._readable(move.tensor, move.sources, into)
        for move in moves:
            into = self._get(move.into)
            into.written, into.start = True, dict(into.placed.start)

    def _readable(self, tensor: str, sources: Iterable[str], into: _Held | None = None) -> None:
        """Every element that `into` needs of the tensor lies on some core, in one of the sources.

        Without `into` all elements are needed. Nobody holds elements of a weight that no window
        reaches.
        """
        holders: dict[str, list[_Held]] = {}
        for name in sources:
            held = self._get(name)
            if not held.written:
                raise _WrongError(f"{name} is read before it is written")
            holders.setdefault(held.buffer.tensor, []).append(held)
        known = self._known(tensor, holders)
        if known is None:
            return
        missing = ~known
        if into is not None:
            needed = np.zeros(missing.shape, dtype=bool)
            _mark(into.placed, needed)
            missing &= needed
        if missing.any():
            index = tuple(int(i) for i in np.argwhere(missing)[0])
            raise _WrongError(f"no core holds {tensor}{list(index)}")

    def _known(self, tensor: str, holders: Mapping[str, list[_Held]]) -> BoolArray | None:
        """Which elements of a tensor the holders have, themselves or as a view: None for all."""
        fact = self.tensor.get(tensor)
        if fact is None:
            raise _WrongError(f"there is no tensor '{tensor}'")
        if 0 in fact.shape:
            return None
        own = holders.get(tensor, [])
        if any(self._complete(held) for held in own):
            return None
        marks = np.zeros(fact.shape, dtype=bool)
        for held in own:
            _mark(held.placed, marks)
        if marks.all():
            return None
        rest = {name: found for name, found in holders.items() if name != tensor}
        view = next((v for v in self.program.views if v.output == tensor), None)
        if view is None or (own and not rest):
            return marks
        known = [self._known(name, rest) for name in view.inputs]
        shapes = [self.tensor[name].shape for name in (*view.inputs, tensor)]
        try:
            through = known_elements(view, known, shapes)
        except (ValueError, IndexError):
            raise _WrongError(f"'{tensor}' is no view of {', '.join(view.inputs)}") from None
        return None if through is None else marks | through

    def _complete(self, held: _Held) -> bool:
        """Whether a buffer's pieces make up the whole tensor."""
        name = held.buffer.name
        if name not in self.covering or not held.buffer.name.startswith("home:"):
            marks = np.zeros(self.tensor[held.buffer.tensor].shape, dtype=bool)
            _mark(held.placed, marks)
            self.covering[name] = bool(marks.all())
        return self.covering[name]

    # Computing

    def _kernel(self, number: int) -> TensorExpression:
        if not 0 <= number < len(self.program.kernels):
            raise _WrongError(f"there is no kernel {number}")
        return self.program.kernels[number]

    def _compute(self, step: Compute) -> None:
        expression = self._kernel(step.kernel)
        if [r.axis for r in step.tile] != [axis.name for axis in expression.axes]:
            raise _WrongError("the tile's axes are not those of the kernel, in order")
        start: dict[str, IntArray] = {}
        counts: dict[str, IntArray] = {}
        present = np.ones(step.cores, dtype=bool)
        points = np.ones(step.cores, dtype=np.int64)
        for r, axis in zip(step.tile, expression.axes, strict=True):
            start[r.axis], stop = place_range(r, step.cores, self.values)
            if np.any(start[r.axis] < 0) or np.any(stop > axis.length):
                raise _WrongError(f"the tile leaves axis {r.axis} of length {axis.length}")
            counts[r.axis] = np.maximum(stop - start[r.axis], 0)
            present &= counts[r.axis] > 0
            points *= counts[r.axis]
        result = self._get(step.output.buffer)
        if result.buffer.piece.cores != step.cores:
            raise _WrongError(f"{step.output.buffer} does not lie on {step.cores} cores")
        if not result.cleared:
            raise _WrongError(f"{step.output.buffer} was not cleared")
        for access in step.inputs:
            if not self._get(access.buffer).written:
                raise _WrongError(f"{access.buffer} is read before it is written")
            self._meets(expression, access, start, counts, present)
        self._meets(expression, step.output, start, counts, present)
        result.points = result.points + points * present

    def _meets(
        self,
        expression: TensorExpression,
        access: Access,
        start: Mapping[str, IntArray],
        counts: Mapping[str, IntArray],
        present: BoolArray,
    ) -> None:
        """On every core the part of the buffer is where the tile needs the operand to be.

        `counts` are the points along every axis that exist on a core: all must be in the buffer.
        """
        operand = next((o for o in expression.operands if o.name == access.operand), None)
        if operand is None:
            raise _WrongError(f"the kernel has no operand {access.operand}")
        held = self._get(access.buffer)
        if held.buffer.piece.flat or held.buffer.piece.dims != operand.dims:
            raise _WrongError(f"{access.buffer} has not the dimensions of {access.operand}")
        cores = held.buffer.piece.cores
        if cores != len(present):
            raise _WrongError(f"{access.buffer} lies on {cores} cores, not on {len(present)}")
        offsets = dict(access.offsets)
        whole = held.buffer.piece.lengths
        for axis in operand.axes:
            offset = per_core(evaluate(offsets.get(axis, "0"), self.values), cores)
            if np.any(present & ((offset < 0) | (offset + counts[axis] > whole[axis]))):
                raise _WrongError(f"{access.buffer} is read beyond its {whole[axis]} of {axis}")
            differs = present & (held.start[axis] + offset != start[axis])
            if differs.any():
                core = int(np.argmax(differs))
                raise _WrongError(
                    f"core {core} needs {axis} from {int(start[axis][core])} on, but has it from "
                    f"{int(held.start[axis][core] + offset[core])} on in {access.buffer}"
                )

    def _shift(self, shift: Shift) -> None:
        held = self._get(shift.buffer)
        cores = held.buffer.piece.cores
        source = per_core(evaluate(shift.source, self.values), cores)
        if not np.array_equal(np.sort(source), np.arange(cores)):
            raise _WrongError(f"the sources of {shift.buffer} are not every core once")
        if not (held.written or held.cleared):
            raise _WrongError(f"{shift.buffer} is shifted before it is written")
        held.start = {axis: start[source] for axis, start in held.start.items()}
        held.count = {axis: count[source] for axis, count in held.count.items()}
        if held.cleared:
            held.points = held.points[source]

    def _reduce(self, step: Reduce) -> None:
        held = self._get(step.buffer)
        self._kernel(step.kernel)
        if step.cores != held.buffer.piece.cores or step.count < 1 or step.cores % step.count:
            raise _WrongError(f"{step.cores} cores cannot form groups of {step.count}")
        group = per_core(evaluate(step.group, self.values), step.cores)
        rank = per_core(evaluate(step.rank, self.values), step.cores)
        order = np.lexsort((rank, group))
        groups, ranks = group[order].reshape(-1, step.count), rank[order].reshape(-1, step.count)
        if np.any(groups != groups[:, :1]) or len(np.unique(groups[:, 0])) != len(groups):
            raise _WrongError(f"the groups do not have {step.count} cores each")
        if np.any(ranks != np.arange(step.count)):
            raise _WrongError(f"the ranks in a group are not 0 to {step.count - 1}")
        for axis, start in held.start.items():
            starts = start[order].reshape(-1, step.count)
            if np.any(starts != starts[:, :1]):
                raise _WrongError(f"cores of a group hold different parts along {axis}")
        totals = held.points[order].reshape(-1, step.count).sum(axis=1)
        held.points = np.empty(step.cores, dtype=np.int64)
        held.points[order] = np.repeat(totals, step.count)

    def _finish(self, step: Finish) -> None:
        expression = self._kernel(step.kernel)
        held = self._get(step.result.buffer)
        if not held.cleared:
            raise _WrongError(f"nothing was computed into {step.result.buffer}")
        own = set(expression.output.axes)
        needed = np.full(len(held.points), 1, dtype=np.int64)
        for axis in expression.axes:
            needed = needed * (held.count[axis.name] if axis.name in own else axis.length)
        if np.any(held.points != needed):
            core = int(np.argmax(held.points != needed))
            raise _WrongError(
                f"{held.points[core]} points were computed into what core {core} holds of "
                f"{step.result.buffer}, not {needed[core]}"
            )
        if held.buffer.tensor != step.into.tensor:
            raise _WrongError(f"{step.result.buffer} is not a piece of '{step.into.tensor}'")
        self._same_part(expression, step.result, step.into.piece, step.inputs)
        self._turn_into(step.result.buffer, step.into)

    def _same_part(
        self, expression: TensorExpression, part: Access, piece: Piece, others: tuple[Access, ...]
    ) -> None:
        """A kept or finished piece lies where its buffer, and what it is made with, have it."""
        placed = place_piece(piece, self.values)
        present = ~placed.empty
        counts = {axis: placed.stop[axis] - placed.start[axis] for axis in placed.start}
        self._meets(expression, part, placed.start, counts, present)
        for access in others:
            if not self._get(access.buffer).written:
                raise _WrongError(f"{access.buffer} is read before it is written")
            self._meets(expression, access, placed.start, counts, present)

    def _keep(self, step: Keep) -> None:
        held = self._get(step.part.buffer)
        if not held.written:
            raise _WrongError(f"{step.part.buffer} is kept before it is written")
        placed = place_piece(step.into.piece, self.values)
        present, offsets = ~placed.empty, dict(step.part.offsets)
        if held.buffer.piece.dims != step.into.piece.dims:
            raise _WrongError(f"{step.into.name} has other dimensions than {step.part.buffer}")
        for axis in held.start:
            offset = per_core(evaluate(offsets.get(axis, "0"), self.values), len(present))
            if np.any(present & (held.start[axis] + offset != placed.start[axis])):
                raise _WrongError(f"{step.into.name} lies elsewhere along {axis}")
        self._turn_into(step.part.buffer, step.into)


def size_bytes(buffer: Buffer) -> int:
    """Bytes that a buffer takes on every core: packed elements, all copies."""
    return buffer.copies * -(-buffer.elements * buffer.bits // 8)


def _check_piece(buffer: Buffer, tensor: Tensor) -> None:
    """A piece has the dimensions of its tensor, and a range for every axis."""
    piece = buffer.piece
    axes = [r.axis for r in piece.ranges]
    if len(set(axes)) != len(axes) or any(r.length < 1 for r in piece.ranges):
        raise _WrongError(f"{buffer.name} names an axis twice, or has a range without length")
    if piece.flat:
        if len(axes) != 1 or piece.dims:
            raise _WrongError(f"{buffer.name} is flat and has not exactly one range")
        return
    if tuple(dim.size for dim in piece.dims) != tensor.shape:
        raise _WrongError(f"{buffer.name} has not the shape of {tensor.name}")
    if not {axis for dim in piece.dims for axis, _ in dim.terms} <= set(axes):
        raise _WrongError(f"{buffer.name} lacks the range of an axis")


def _mark(placed: Placed, marks: BoolArray) -> None:
    """Mark what all cores hold of a tensor."""
    shape = (placed.piece.cores, *placed.piece.shape)
    collect(np.broadcast_to(np.True_, shape), placed, marks, marks)
