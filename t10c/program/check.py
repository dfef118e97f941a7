"""Whether a device program is valid: checked before anything else uses it.

The checker walks the program once as cores would, but follows only *where* things lie, not their
values: for every buffer and core the index of the tensor at local index 0. So it finds a shift that
is missing or goes to the wrong neighbour, a chunk that is off by one, memory that overflows, a
buffer that is read before it is written; and names the instruction.
"""

import math
from collections.abc import Iterable, Mapping

import numpy as np

from t10c.errors import InvalidInputError
from t10c.ir.expression import TensorExpression
from t10c.ir.formula import FormulaError, IntArray, Value, evaluate
from t10c.ir.program import (
    Access,
    Allocate,
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
from t10c.program.coverage import TENSOR_LIMIT, Coverage
from t10c.program.held import Ledger, WrongError
from t10c.program.placed import BoolArray, per_core, place_piece, place_range

CORE_LIMIT = 2**24
"""Most cores of a chip; more are taken for a mistake."""

LOOP_LIMIT = 2**24
"""Most rounds of a loop; more are taken for a mistake."""


def check_program(program: Program) -> int:
    """Peak bytes of any core; InvalidInputError names the first instruction that is wrong."""
    return _Checker(program).run()


class _Checker:
    """State of the walk."""

    def __init__(self, program: Program) -> None:
        _check_sizes(program)
        self.program = program
        self.tensor = {tensor.name: tensor for tensor in program.tensors}
        reserved = program.reserved_bytes
        self.ledger = Ledger(program, self.tensor, used_bytes=reserved, peak_bytes=reserved)
        self.coverage = Coverage(program, self.ledger)
        self.values: dict[str, Value] = {}

    def run(self) -> int:
        """Walk all sections, two inferences long: pieces are displaced in the second."""
        program = self.program
        self._section(program.load, 0)
        for number in range(2):
            for section in (program.begin, *program.sections, program.end):
                self._section(section, number)
        return self.ledger.peak_bytes

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
            except (WrongError, FormulaError) as error:
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
                self.ledger.allocate(buffer, absorbed, self.values)
            case Free(buffer=name):
                self.ledger.free(name)
            case Load(buffer=name):
                self.ledger.get(name).written = True
            case Store(tensor=tensor, sources=sources):
                self.coverage.check(tensor, sources)
            case Exchange(moves=moves):
                self._exchange(moves)
            case Clear(buffer=name):
                held = self.ledger.get(name)
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

    # Exchanges

    def _exchange(self, moves: tuple[Move, ...]) -> None:
        for move in moves:
            into = self.ledger.get(move.into)
            wanted = self.tensor.get(move.tensor)
            if wanted is None or wanted.shape != self.tensor[into.buffer.tensor].shape:
                raise WrongError(f"{move.into} cannot be filled with '{move.tensor}'")
            self.coverage.check(move.tensor, move.sources, into)
        for move in moves:
            into = self.ledger.get(move.into)
            into.written, into.start = True, dict(into.placed.start)

    # Computing

    def _kernel(self, number: int) -> TensorExpression:
        if not 0 <= number < len(self.program.kernels):
            raise WrongError(f"there is no kernel {number}")
        return self.program.kernels[number]

    def _compute(self, step: Compute) -> None:
        expression = self._kernel(step.kernel)
        if not 1 <= step.cores <= self.program.core_count:
            raise WrongError(f"{step.cores} cores cannot compute")
        if [r.axis for r in step.tile] != [axis.name for axis in expression.axes]:
            raise WrongError("the tile's axes are not those of the kernel, in order")
        start: dict[str, IntArray] = {}
        counts: dict[str, IntArray] = {}
        present = np.ones(step.cores, dtype=bool)
        points = np.ones(step.cores, dtype=np.int64)
        for r, axis in zip(step.tile, expression.axes, strict=True):
            start[r.axis], stop = place_range(r, step.cores, self.values)
            if np.any(start[r.axis] < 0) or np.any(stop > axis.length):
                raise WrongError(f"the tile leaves axis {r.axis} of length {axis.length}")
            counts[r.axis] = np.maximum(stop - start[r.axis], 0)
            present &= counts[r.axis] > 0
            points *= counts[r.axis]
        result = self.ledger.get(step.output.buffer)
        if result.buffer.piece.cores != step.cores:
            raise WrongError(f"{step.output.buffer} does not lie on {step.cores} cores")
        if not result.cleared:
            raise WrongError(f"{step.output.buffer} was not cleared")
        for access in step.inputs:
            self.ledger.written(access.buffer)
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
            raise WrongError(f"the kernel has no operand {access.operand}")
        held = self.ledger.get(access.buffer)
        if held.buffer.piece.flat or held.buffer.piece.dims != operand.dims:
            raise WrongError(f"{access.buffer} has not the dimensions of {access.operand}")
        cores = held.buffer.piece.cores
        if cores != len(present):
            raise WrongError(f"{access.buffer} lies on {cores} cores, not on {len(present)}")
        offsets = dict(access.offsets)
        whole = held.buffer.piece.lengths
        for axis in operand.axes:
            offset = per_core(offsets.get(axis, "0"), cores, self.values)
            if np.any(present & ((offset < 0) | (offset + counts[axis] > whole[axis]))):
                raise WrongError(f"{access.buffer} is read beyond its {whole[axis]} of {axis}")
            differs = present & (held.start[axis] + offset != start[axis])
            if differs.any():
                core = int(np.argmax(differs))
                raise WrongError(
                    f"core {core} needs {axis} from {int(start[axis][core])} on, but has it from "
                    f"{int(held.start[axis][core] + offset[core])} on in {access.buffer}"
                )

    def _shift(self, shift: Shift) -> None:
        held = self.ledger.get(shift.buffer)
        cores = held.buffer.piece.cores
        source = per_core(shift.source, cores, self.values)
        if not np.array_equal(np.sort(source), np.arange(cores)):
            raise WrongError(f"the sources of {shift.buffer} are not every core once")
        if not (held.written or held.cleared):
            raise WrongError(f"{shift.buffer} is shifted before it is written")
        held.start = {axis: start[source] for axis, start in held.start.items()}
        held.count = {axis: count[source] for axis, count in held.count.items()}
        if held.cleared:
            held.points = held.points[source]

    def _reduce(self, step: Reduce) -> None:
        held = self.ledger.get(step.buffer)
        self._kernel(step.kernel)
        if step.cores != held.buffer.piece.cores or step.count < 1 or step.cores % step.count:
            raise WrongError(f"{step.cores} cores cannot form groups of {step.count}")
        group = per_core(step.group, step.cores, self.values)
        rank = per_core(step.rank, step.cores, self.values)
        order = np.lexsort((rank, group))
        groups, ranks = group[order].reshape(-1, step.count), rank[order].reshape(-1, step.count)
        if np.any(groups != groups[:, :1]) or len(np.unique(groups[:, 0])) != len(groups):
            raise WrongError(f"the groups do not have {step.count} cores each")
        if np.any(ranks != np.arange(step.count)):
            raise WrongError(f"the ranks in a group are not 0 to {step.count - 1}")
        for axis, start in held.start.items():
            starts = start[order].reshape(-1, step.count)
            if np.any(starts != starts[:, :1]):
                raise WrongError(f"cores of a group hold different parts along {axis}")
        totals = held.points[order].reshape(-1, step.count).sum(axis=1)
        held.points = np.empty(step.cores, dtype=np.int64)
        held.points[order] = np.repeat(totals, step.count)

    def _finish(self, step: Finish) -> None:
        expression = self._kernel(step.kernel)
        held = self.ledger.get(step.result.buffer)
        if not held.cleared:
            raise WrongError(f"nothing was computed into {step.result.buffer}")
        own = set(expression.output.axes)
        needed = np.full(len(held.points), 1, dtype=np.int64)
        for axis in expression.axes:
            needed = needed * (held.count[axis.name] if axis.name in own else axis.length)
        if np.any(held.points != needed):
            core = int(np.argmax(held.points != needed))
            raise WrongError(
                f"{held.points[core]} points were computed into what core {core} holds of "
                f"{step.result.buffer}, not {needed[core]}"
            )
        if held.buffer.tensor != step.into.tensor:
            raise WrongError(f"{step.result.buffer} is not a piece of '{step.into.tensor}'")
        self._same_part(expression, step.result, step.into.piece, step.inputs)
        self.ledger.turn_into(step.result.buffer, step.into, self.values)

    def _same_part(
        self, expression: TensorExpression, part: Access, piece: Piece, others: tuple[Access, ...]
    ) -> None:
        """A kept or finished piece lies where its buffer, and what it is made with, have it."""
        placed = place_piece(piece, self.values)
        present = ~placed.empty
        counts = {axis: placed.stop[axis] - placed.start[axis] for axis in placed.start}
        self._meets(expression, part, placed.start, counts, present)
        for access in others:
            self.ledger.written(access.buffer)
            self._meets(expression, access, placed.start, counts, present)

    def _keep(self, step: Keep) -> None:
        held = self.ledger.written(step.part.buffer)
        placed = place_piece(step.into.piece, self.values)
        present, offsets = ~placed.empty, dict(step.part.offsets)
        if held.buffer.piece.dims != step.into.piece.dims:
            raise WrongError(f"{step.into.name} has other dimensions than {step.part.buffer}")
        for axis in held.start:
            offset = per_core(offsets.get(axis, "0"), len(present), self.values)
            if np.any(present & (held.start[axis] + offset != placed.start[axis])):
                raise WrongError(f"{step.into.name} lies elsewhere along {axis}")
        self.ledger.turn_into(step.part.buffer, step.into, self.values)


def _check_sizes(program: Program) -> None:
    """InvalidInputError for sizes that nothing real has."""
    if not 1 <= program.core_count <= CORE_LIMIT:
        raise InvalidInputError(f"core_count: {program.core_count} cores")
    for tensor in program.tensors:
        if any(size < 0 for size in tensor.shape) or math.prod(tensor.shape) > TENSOR_LIMIT:
            raise InvalidInputError(f"tensor '{tensor.name}' has the shape {list(tensor.shape)}")
