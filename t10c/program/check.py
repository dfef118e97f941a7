"""Whether a device program is valid: checked before anything else uses it.

The checker walks the program once as cores would, but follows only *where* things lie, not their
values: for every buffer and core the index of the tensor at local index 0. So it finds a shift that
is missing or goes to the wrong neighbour, a chunk that is off by one, memory that overflows, a
buffer that is read before it is written; and names the instruction.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from t10c.errors import InvalidInputError, T10cError
from t10c.ir.expression import TensorExpression
from t10c.ir.formula import FormulaError, IntArray, Value, evaluate
from t10c.ir.graph import TensorKind
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
    Program,
    Reduce,
    Section,
    Shift,
    Store,
)
from t10c.program.coverage import Coverage
from t10c.program.held import Held, Ledger
from t10c.program.placed import BoolArray, per_core, place_range
from t10c.program.wellmade import check_declared, check_length, check_operands
from t10c.program.wrong import WrongError, shown


def check_program(program: Program, from_file: bool = False) -> int:
    """Peak bytes of any core; InvalidInputError names the first instruction that is wrong.

    A program `from_file` may say what nobody thought of: whatever fails there is its mistake. For a
    program that t10c made the same is a bug, and is raised as it is.
    """
    checker = _Checker(program)
    try:
        return checker.run()
    except T10cError:
        raise
    except Exception as error:
        if not from_file:
            raise
        reason = shown(" ".join(str(error).split()))
        raise InvalidInputError(
            f"{checker.at}: cannot be followed: {type(error).__name__}: {reason}"
        ) from error


class _Checker:
    """State of the walk."""

    def __init__(self, program: Program) -> None:
        self.program, self.at = program, "program"
        self.tensor = {tensor.name: tensor for tensor in program.tensors}
        reserved = program.reserved_bytes
        self.ledger = Ledger(program, self.tensor, used_bytes=reserved, peak_bytes=reserved)
        self.coverage = Coverage(program, self.ledger)
        self.values: dict[str, Value] = {}
        self.loads: TensorKind = "weight"
        self.stored: set[str] = set()

    def run(self) -> int:
        """Walk all sections, two inferences long: pieces are displaced in the second."""
        program = self.program
        check_declared(program)
        self._section(program.load, 0)
        for number in range(2):
            for section in (program.begin, *program.sections, program.end):
                self._section(section, number)
        for name in program.outputs:
            if name not in self.stored:
                raise InvalidInputError(f"the output '{shown(name)}' is never stored")
        return self.ledger.peak_bytes

    def _section(self, section: Section, inferences: int) -> None:
        place = self.at = f"section '{shown(section.name)}'"
        self.loads = "weight" if section is self.program.load else "input"
        cores = np.arange(self.program.core_count, dtype=np.int64)
        self.values = {"core": cores, "run": inferences}
        for name, formula in section.values:
            try:
                self.values[name] = evaluate(formula, self.values)
            except FormulaError as error:
                raise InvalidInputError(f"{place}, value {shown(name)}: {error}") from error
        self._instructions(section.instructions, place)

    def _instructions(self, instructions: Iterable[Instruction], place: str) -> None:
        for number, instruction in enumerate(instructions):
            at = self.at = f"{place}, instruction {number}"
            if isinstance(instruction, Loop):
                self._loop(instruction, at)
                continue
            try:
                self._instruction(instruction)
            except (WrongError, FormulaError) as error:
                what = type(instruction).__name__.lower()
                raise InvalidInputError(f"{at} ({what}): {error}") from error

    def _loop(self, loop: Loop, at: str) -> None:
        named = bool(loop.counter)
        if named and loop.counter in self.values:
            raise InvalidInputError(f"{at} (loop): the name {shown(loop.counter)} is taken")
        for turn in range(loop.count):
            if named:
                self.values[loop.counter] = turn
            self._instructions(loop.body, f"{at}, body")
            if turn + 1 < loop.count:
                self._instructions(loop.between, f"{at}, between")
        if named:
            del self.values[loop.counter]

    def _instruction(self, instruction: Instruction) -> None:
        match instruction:
            case Allocate(buffer=buffer, absorbs=absorbed):
                self.ledger.allocate(buffer, absorbed, self.values)
            case Free(buffer=name):
                self.ledger.free(name)
            case Load(buffer=name):
                self._load(self.ledger.get(name))
            case Store(tensor=tensor, sources=sources):
                self.coverage.check(tensor, sources)
                self.stored.add(tensor)
            case Exchange(moves=moves):
                self._exchange(moves)
            case Clear(buffer=name, kernel=kernel):
                self._kernel(kernel)
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

    # Host and exchanges

    def _load(self, held: Held) -> None:
        tensor = self.tensor[held.buffer.tensor]
        if tensor.kind != self.loads:
            raise WrongError(
                f"the host has no {tensor.kind} '{shown(tensor.name)}' to write here, "
                f"where it writes {self.loads}s"
            )
        held.written = True

    def _exchange(self, moves: tuple[Move, ...]) -> None:
        for move in moves:
            into = self.ledger.get(move.into)
            wanted = self.tensor.get(move.tensor)
            if wanted is None or wanted.shape != self.tensor[into.buffer.tensor].shape:
                raise WrongError(f"{shown(move.into)} cannot be filled with '{shown(move.tensor)}'")
            if not move.partial:
                self.coverage.check(move.tensor, move.sources, into)
                continue
            for name in move.sources:
                if self.ledger.written(name).buffer.tensor != into.buffer.tensor:
                    raise WrongError(f"{shown(name)} holds no part of {shown(move.into)}")
        for move in moves:
            into = self.ledger.get(move.into)
            if move.partial:
                self.ledger.fill_partly(into, map(self.ledger.get, move.sources))
            else:
                into.written = True
            into.start = dict(into.placed.start)

    # Computing

    def _kernel(self, number: int) -> TensorExpression:
        if not 0 <= number < len(self.program.kernels):
            raise WrongError(f"there is no kernel {shown(number)}")
        return self.program.kernels[number]

    def _compute(self, step: Compute) -> None:
        expression = self._kernel(step.kernel)
        if not 1 <= step.cores <= self.program.core_count:
            raise WrongError(f"{shown(step.cores)} cores cannot compute")
        if [r.axis for r in step.tile] != [axis.name for axis in expression.axes]:
            raise WrongError("the tile's axes are not those of the kernel, in order")
        start: dict[str, IntArray] = {}
        counts: dict[str, IntArray] = {}
        present = np.ones(step.cores, dtype=bool)
        points = np.ones(step.cores, dtype=np.int64)
        for r, axis in zip(step.tile, expression.axes, strict=True):
            check_length(r, "the tile", axis.length)
            start[r.axis], stop = place_range(r, step.cores, self.values)
            if np.any(start[r.axis] < 0) or np.any(stop > axis.length):
                raise WrongError(f"the tile leaves axis {shown(r.axis)} of length {axis.length}")
            counts[r.axis] = np.maximum(stop - start[r.axis], 0)
            present &= counts[r.axis] > 0
            points *= counts[r.axis]
        result = self.ledger.get(step.output.buffer)
        if result.buffer.piece.cores != step.cores:
            raise WrongError(f"{shown(step.output.buffer)} does not lie on {step.cores} cores")
        if not result.cleared:
            raise WrongError(f"{shown(step.output.buffer)} was not cleared")
        check_operands(expression, expression.body, step.inputs, step.output)
        for access in step.inputs:
            self.ledger.written(access.buffer)
            self._meets(expression, access, start, counts, present)
        self._meets(expression, step.output, start, counts, present)
        result.points = result.points + points * present
        if np.any(result.points > expression.points):
            raise WrongError(f"more is computed than the {expression.points} points of the kernel")

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
        operand = next(o for o in expression.operands if o.name == access.operand)
        held, name = self.ledger.get(access.buffer), shown(access.buffer)
        if held.buffer.piece.flat or held.buffer.piece.dims != operand.dims:
            raise WrongError(f"{name} has not the dimensions of {shown(access.operand)}")
        cores = held.buffer.piece.cores
        if cores != len(present):
            raise WrongError(f"{name} lies on {cores} cores, not on {len(present)}")
        if not counts.keys() >= set(operand.axes):
            raise WrongError(f"{name} has axes that the output has not")
        offsets = dict(access.offsets)
        whole = held.buffer.piece.lengths
        for axis in operand.axes:
            offset = per_core(offsets.get(axis, "0"), cores, self.values)
            if np.any(present & ((offset < 0) | (offset + counts[axis] > whole[axis]))):
                raise WrongError(f"{name} is read beyond its {whole[axis]} of {shown(axis)}")
            differs = present & (held.start[axis] + offset != start[axis])
            if differs.any():
                core = int(np.argmax(differs))
                raise WrongError(
                    f"core {core} needs {shown(axis)} from {int(start[axis][core])} on, but has it "
                    f"from {int(held.start[axis][core] + offset[core])} on in {name}"
                )

    def _shift(self, shift: Shift) -> None:
        held = self.ledger.get(shift.buffer)
        cores = held.buffer.piece.cores
        source = per_core(shift.source, cores, self.values)
        if not np.array_equal(np.sort(source), np.arange(cores)):
            raise WrongError(f"the sources of {shown(shift.buffer)} are not every core once")
        if not (held.written or held.cleared):
            raise WrongError(f"{shown(shift.buffer)} is shifted before it is written")
        held.start = {axis: start[source] for axis, start in held.start.items()}
        held.count = {axis: count[source] for axis, count in held.count.items()}
        if held.cleared:
            held.points = held.points[source]

    def _reduce(self, step: Reduce) -> None:
        held = self.ledger.get(step.buffer)
        self._kernel(step.kernel)
        if step.cores != held.buffer.piece.cores or step.count < 1 or step.cores % step.count:
            raise WrongError(f"{shown(step.cores)} cores cannot form groups of {shown(step.count)}")
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
                raise WrongError(f"cores of a group hold different parts along {shown(axis)}")
        totals = held.points[order].reshape(-1, step.count).sum(axis=1)
        held.points = np.empty(step.cores, dtype=np.int64)
        held.points[order] = np.repeat(totals, step.count)

    def _finish(self, step: Finish) -> None:
        expression = self._kernel(step.kernel)
        held, name = self.ledger.get(step.result.buffer), shown(step.result.buffer)
        if not held.cleared:
            raise WrongError(f"nothing was computed into {name}")
        if held.buffer.tensor != step.into.tensor:
            raise WrongError(f"{name} is not a piece of '{shown(step.into.tensor)}'")
        for piece in (held.buffer.piece, step.into.piece):
            if piece.flat or piece.dims != expression.output.dims:
                raise WrongError(f"{name} has not the dimensions of the kernel's output")
        check_operands(expression, expression.epilogue, step.inputs, step.result)
        own = set(expression.output.axes)
        needed = np.full(len(held.points), 1, dtype=np.int64)
        for axis in expression.axes:
            needed = needed * (held.count[axis.name] if axis.name in own else axis.length)
        if np.any(held.points != needed):
            core = int(np.argmax(held.points != needed))
            raise WrongError(
                f"{held.points[core]} points were computed into what core {core} holds of "
                f"{name}, not {needed[core]}"
            )
        made = self.ledger.made(step.into, self.values)
        self._meets(expression, step.result, made.start, made.count, ~made.placed.empty)
        for access in step.inputs:
            self.ledger.written(access.buffer)
            self._meets(expression, access, made.start, made.count, ~made.placed.empty)
        self.ledger.turn_into(step.result.buffer, made)

    def _keep(self, step: Keep) -> None:
        held = self.ledger.written(step.part.buffer)
        made, name = self.ledger.made(step.into, self.values), shown(step.into.name)
        before, after = held.buffer.piece, step.into.piece
        if (held.buffer.tensor, before.dims) != (step.into.tensor, after.dims):
            raise WrongError(f"{name} is no part of {shown(step.part.buffer)}")
        if before.cores != after.cores or before.lengths.keys() != after.lengths.keys():
            raise WrongError(f"{name} has other cores or axes than {shown(step.part.buffer)}")
        present, offsets = ~made.placed.empty, dict(step.part.offsets)
        for axis, whole in before.lengths.items():
            offset = per_core(offsets.get(axis, "0"), len(present), self.values)
            if np.any(present & (held.start[axis] + offset != made.start[axis])):
                raise WrongError(f"{name} lies elsewhere along {shown(axis)}")
            if np.any(present & ((offset < 0) | (offset + made.count[axis] > whole))):
                raise WrongError(f"{name} is longer than what there is along {shown(axis)}")
        self.ledger.turn_into(step.part.buffer, made)
