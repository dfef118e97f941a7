"""The instructions of one planned operator: fetch, loop, reduce, finish, keep."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from t10c.hardware.spec import HardwareSpec
from t10c.hardware.width import partial_bits, stored_bits
from t10c.ir.expression import Operand
from t10c.ir.graph import Operator
from t10c.ir.plan import replicas
from t10c.ir.program import (
    Access,
    Allocate,
    Buffer,
    Clear,
    Compute,
    Exchange,
    ExchangeKind,
    Finish,
    Formula,
    Free,
    Instruction,
    Keep,
    Loop,
    Move,
    Piece,
    Reduce,
    Section,
    Shift,
)
from t10c.lower.frame import Frame
from t10c.lower.homes import home_name
from t10c.lower.pieces import (
    idle_piece,
    operand_piece,
    share_of_output,
    tile_access,
    tile_ranges,
)
from t10c.schedule.idle import IdleCut


@dataclass(frozen=True)
class Work:
    """One planned operator with all that its section depends on.

    `fetched` says, per input position that is brought into place, from which buffers, and `taken`
    which of these are copies that lie just as needed and become the operand; `idle` gives
    the idle cuts of the weights it owns, by operand. `dying` are buffers that are read for the last
    time here, `copied` operands whose copy the next operator fetches from, `unread` says that
    nobody reads the output.
    """

    operator: Operator
    kernel: int
    frame: Frame
    kind: ExchangeKind
    fetched: dict[int, tuple[str, ...]]
    taken: dict[int, str]
    idle: dict[str, IdleCut]
    dying: tuple[str, ...]
    copied: frozenset[str]
    unread: bool


def copy_name(operator: str, operand: str) -> str:
    """Name of the buffer with an operand's copy that outlives its operator."""
    return f"copy:{operator}:{operand}"


def lower_operator(work: Work, spec: HardwareSpec) -> Section:
    """The section of a planned operator."""
    return _Lowering(work, spec).section()


class _Lowering:
    """Builds the section of one operator."""

    def __init__(self, work: Work, spec: HardwareSpec) -> None:
        self.work, self.spec, self.frame = work, spec, work.frame
        self.expression, self.operator = work.frame.expression, work.operator
        self.moving = {name for r in self.frame.plan.rotations for name in r.operands}

    def section(self) -> Section:
        instructions = [
            *self._fetch(),
            *self._loops(),
            *self._end(),
        ]
        return Section(
            self.operator.name, self.operator.op_type, self.frame.values(), tuple(instructions)
        )

    def _name(self, operand: Operand) -> str:
        return f"use:{self.operator.name}:{operand.name}"

    def _fetch(self) -> list[Instruction]:
        """Inputs in place: one exchange for what lies elsewhere, then the setup of own weights."""
        made: list[Instruction] = []
        moves, setups = [], []
        for position, operand in enumerate(self.expression.inputs):
            buffer = self._operand_buffer(position, operand)
            home = home_name(buffer.tensor)
            if position in self.work.fetched:
                made.append(Allocate(buffer, absorbs=self.work.taken.get(position, "")))
                moves.append(Move(buffer.name, buffer.tensor, self.work.fetched[position]))
            else:
                made.append(Allocate(buffer, absorbs=home))
                setups.append(Move(buffer.name, buffer.tensor, (home,)))
        if moves:
            made.append(Exchange(self.work.kind, tuple(moves)))
        if setups:
            made.append(Exchange("setup", tuple(setups)))
        absorbed = (home for move in setups for home in move.sources)
        return [*made, *(Free(name) for name in (*absorbed, *self.work.dying))]

    def _operand_buffer(self, position: int, operand: Operand) -> Buffer:
        piece = operand_piece(self.frame, operand)
        return Buffer(
            self._name(operand),
            self.operator.inputs[position],
            piece,
            math.prod(piece.shape),
            stored_bits(self.spec, operand.bits),
            self._copies(operand),
        )

    def _copies(self, operand: Operand) -> int:
        doubled = self.spec.shift_buffer.policy == "double" and operand.name in self.moving
        return 2 if doubled else 1

    def _result_buffer(self) -> Buffer:
        output = self.expression.output
        piece = operand_piece(self.frame, output)
        partial = output.name in self.moving or self._shares > 1
        bits = (
            partial_bits(self.spec, self.expression)
            if partial
            else stored_bits(self.spec, output.bits)
        )
        return Buffer(
            self._name(output),
            self.operator.output,
            piece,
            math.prod(piece.shape),
            bits,
            self._copies(output),
        )

    @property
    def _shares(self) -> int:
        return replicas(self.expression, self.frame.plan, self.expression.output)

    def _loops(self) -> list[Instruction]:
        """The loop nest around the compute step."""
        result = self._result_buffer()
        late = {operand.name for operand in self._late_inputs()}
        early = {name for step in self.expression.body for name in step.inputs}
        accesses = tuple(
            tile_access(self.frame, operand, self._name(operand))
            for operand in self.expression.operands
            if operand.name not in late - early
        )
        body: tuple[Instruction, ...] = (
            Compute(
                self.work.kernel,
                self.frame.cores,
                tile_ranges(self.frame),
                accesses[:-1],
                accesses[-1],
            ),
        )
        for level in reversed(range(len(self.frame.plan.rotations))):
            body = (self._loop(level, body),)
        return [Allocate(result), Clear(result.name, self.work.kernel), *body]

    def _loop(self, level: int, body: tuple[Instruction, ...]) -> Loop:
        rotation = self.frame.rotation(level)
        shifts = tuple(
            Shift(self._name(operand), str(self.frame.ring_source(operand, level)))
            for operand in self.expression.operands
            if operand.name in rotation.operands
        )
        return Loop(f"i{level}", rotation.radix, body, shifts)

    def _end(self) -> list[Instruction]:
        """Reduction, epilogue, and what becomes of the operands."""
        output = self.expression.output
        name = self._name(output)
        made: list[Instruction] = []
        if self._shares > 1:
            made.append(
                Reduce(
                    name,
                    self.work.kernel,
                    self.frame.cores,
                    str(self.frame.piece_number(output)),
                    str(self.frame.replica_rank(output)),
                    self._shares,
                )
            )
        piece, begin = share_of_output(self.frame)
        home = self._kept(home_name(self.operator.output), self.operator.output, piece, output)
        made.append(
            Finish(
                self.work.kernel,
                Access(output.name, name, begin),
                tuple(
                    finish_access(
                        operand,
                        self._name(operand),
                        operand_piece(self.frame, operand, True),
                        piece,
                    )
                    for operand in self._late_inputs()
                ),
                home,
            )
        )
        if self.work.unread:
            made.append(Free(home.name))
        for position, operand in enumerate(self.expression.inputs):
            made += self._leave(position, operand)
        return made

    def _late_inputs(self) -> list[Operand]:
        """Operands that the epilogue reads."""
        read = {name for step in self.expression.epilogue for name in step.inputs}
        return [operand for operand in self.expression.inputs if operand.name in read]

    def _leave(self, position: int, operand: Operand) -> Sequence[Instruction]:
        """What becomes of an input: idle weight, copy for the next operator, or nothing."""
        tensor = self.operator.inputs[position]
        if operand.name in self.work.idle:
            cut = self.work.idle[operand.name]
            piece, begin = idle_piece(self.frame, operand, cut.factors, after_loops=True)
            into = self._kept(home_name(tensor), tensor, piece, operand)
            return [Keep(Access(operand.name, self._name(operand), begin), into)]
        if operand.name in self.work.copied:
            piece = operand_piece(self.frame, operand, after_loops=True)
            into = self._kept(copy_name(self.operator.name, operand.name), tensor, piece, operand)
            return [Keep(Access(operand.name, self._name(operand)), into)]
        return [Free(self._name(operand))]

    def _kept(self, name: str, tensor: str, piece: Piece, operand: Operand) -> Buffer:
        """A buffer that outlives the operator; the output's holes take no memory."""
        if operand is self.expression.output:
            elements = math.prod(piece.lengths[axis] for axis in operand.axes)
        else:
            elements = math.prod(piece.shape)
        return Buffer(name, tensor, piece, elements, stored_bits(self.spec, operand.bits))


def finish_access(operand: Operand, buffer: str, held: Piece, result: Piece) -> Access:
    """An epilogue operand where the finished piece lies, of what a core holds of it."""
    starts = {r.axis: r.start for r in result.ranges}
    begins = {r.axis: r.start for r in held.ranges}
    offsets = tuple(
        (axis, _difference(starts[axis], begins[axis]))
        for axis in operand.axes
        if axis in starts and starts[axis] != begins[axis]
    )
    return Access(operand.name, buffer, offsets)


def _difference(a: Formula, b: Formula) -> Formula:
    """a - b, as text."""
    return a if b == "0" else f"{a} - ({b})"
