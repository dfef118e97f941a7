"""The instructions of one operator under a virtual global memory: load, compute, reduce, store."""

import math
from dataclasses import dataclass

from t10c.baselines.frame import Counters, TileFrame
from t10c.hardware.spec import HardwareSpec
from t10c.hardware.width import partial_bits, stored_bits
from t10c.ir.expression import Operand
from t10c.ir.formula import named, whole
from t10c.ir.graph import Operator
from t10c.ir.program import (
    Access,
    Allocate,
    Buffer,
    Clear,
    Compute,
    Exchange,
    ExchangeKind,
    Finish,
    Free,
    Instruction,
    Loop,
    Move,
    Piece,
    Reduce,
    Section,
)
from t10c.lower.section import finish_access


@dataclass(frozen=True)
class TiledWork:
    """One operator with all that its section depends on.

    `kinds` are those of exchanges that load, and that only store. `sources` are the homes of every
    input, `home` is the output's, `dying` are homes read for the last time here, and `unread` says
    that nobody reads the output.
    """

    operator: Operator
    kernel: int
    frame: TileFrame
    kinds: tuple[ExchangeKind, ExchangeKind]
    sources: tuple[tuple[str, ...], ...]
    home: Buffer
    dying: tuple[str, ...]
    unread: bool


def lower_tiled(work: TiledWork, spec: HardwareSpec) -> Section:
    """The section of an operator whose operands are loaded tile by tile.

    An exchange stores the tile that is finished and loads those that the next step needs and the
    core does not hold; the first one only loads, and the last one only stores.
    """
    return _Lowering(work, spec).section()


class _Lowering:
    """Builds the section of one operator."""

    def __init__(self, work: TiledWork, spec: HardwareSpec) -> None:
        self.work, self.spec, self.frame = work, spec, work.frame
        self.operator, self.expression = work.operator, work.frame.expression
        self.loops = work.frame.plan.rotations
        self.part = f"part:{self.operator.name}:{self.expression.output.name}"

    def section(self) -> Section:
        zero: Counters = tuple(whole(0) for _ in self.loops)
        inputs = range(len(self.expression.inputs))
        made: list[Instruction] = [Allocate(self.work.home)]
        made += [self._allocated(position, zero) for position in inputs]
        loads = tuple(map(self._load, inputs))
        if loads:
            made.append(Exchange(self.work.kinds[0], loads))
        running = tuple(named(f"i{level}", r.radix) for level, r in enumerate(self.loops))
        made += self._nest(0, running)
        made.append(Exchange(self.work.kinds[1], (self._store(),)))
        made += [Free(self.part), *(Free(self._name(o)) for o in self.expression.inputs)]
        made += [Free(name) for name in self.work.dying]
        if self.work.unread:
            made.append(Free(self.work.home.name))
        values = self.frame.values()
        return Section(self.operator.name, self.operator.op_type, values, tuple(made))

    def _name(self, operand: Operand) -> str:
        return f"use:{self.operator.name}:{operand.name}"

    # Loads and stores

    def _allocated(self, position: int, counters: Counters) -> Allocate:
        """A tile buffer for an input at a point of the loops."""
        operand = self.expression.inputs[position]
        piece = self.frame.at(counters).tile_of(operand)
        bits = stored_bits(self.spec, operand.bits)
        tensor = self.operator.inputs[position]
        buffer = Buffer(self._name(operand), tensor, piece, math.prod(piece.shape), bits)
        return Allocate(buffer)

    def _load(self, position: int) -> Move:
        operand = self.expression.inputs[position]
        tensor = self.operator.inputs[position]
        return Move(self._name(operand), tensor, self.work.sources[position])

    def _store(self) -> Move:
        return Move(self.work.home.name, self.operator.output, (self.part,), partial=True)

    # Loops

    def _nest(self, level: int, counters: Counters) -> list[Instruction]:
        """The loops from `level` on; between parallel and reduction loops a result is made."""
        if level == self.frame.parallel_loops:
            return self._result(level, counters)
        body = self._nest(level + 1, counters)
        return [self._loop(level, counters, body)]

    def _loop(self, level: int, counters: Counters, body: list[Instruction]) -> Loop:
        radix = self.loops[level].radix
        return Loop(f"i{level}", radix, tuple(body), tuple(self._advance(level, counters)))

    def _advance(self, level: int, counters: Counters) -> list[Instruction]:
        """Between two rounds of a loop: the tiles of the next one in place of those that change."""
        inner = tuple(whole(0) for _ in self.loops[level + 1 :])
        following: Counters = (*counters[:level], counters[level] + 1, *inner)
        axis = self.loops[level].axis
        changing = [i for i, o in enumerate(self.expression.inputs) if axis in o.axes]
        stores = level < self.frame.parallel_loops
        made: list[Instruction] = []
        for position in changing:
            made.append(Free(self._name(self.expression.inputs[position])))
            made.append(self._allocated(position, following))
        moves = tuple(map(self._load, changing))
        if stores:
            moves = (self._store(), *moves)
        made.append(Exchange(self.work.kinds[0], moves))
        return [*made, Free(self.part)] if stores else made

    # Results

    def _result(self, level: int, counters: Counters) -> list[Instruction]:
        """One output tile: summed up over the reduction loops, reduced among cores, finished."""
        frame, output = self.frame.at(counters), self.expression.output
        partial = self._partial(frame.tile_of(output))
        made: list[Instruction] = [Allocate(partial), Clear(partial.name, self.work.kernel)]
        body: list[Instruction] = [self._compute(frame)]
        for inner in reversed(range(level, len(self.loops))):
            body = [self._loop(inner, counters, body)]
        made += body
        if frame.shares > 1:
            made.append(
                Reduce(
                    partial.name,
                    self.work.kernel,
                    frame.cores,
                    str(frame.group()),
                    str(frame.rank()),
                    frame.shares,
                )
            )
        return [*made, self._finish(frame)]

    def _partial(self, piece: Piece) -> Buffer:
        output = self.expression.output
        bits = stored_bits(self.spec, output.bits)
        if self.frame.shares > 1:
            bits = partial_bits(self.spec, self.expression)
        name, tensor = self._name(output), self.operator.output
        return Buffer(name, tensor, piece, math.prod(piece.shape), bits)

    def _compute(self, frame: TileFrame) -> Compute:
        late = {name for step in self.expression.epilogue for name in step.inputs}
        early = {name for step in self.expression.body for name in step.inputs}
        used = [o for o in self.expression.inputs if o.name not in late - early]
        inputs = tuple(Access(operand.name, self._name(operand)) for operand in used)
        output = self.expression.output
        result = Access(output.name, self._name(output))
        return Compute(self.work.kernel, frame.cores, frame.tile(), inputs, result)

    def _finish(self, frame: TileFrame) -> Finish:
        """The share of a core, with the epilogue's operands where it lies."""
        output = self.expression.output
        piece, begin = frame.share_of_output()
        points = math.prod(piece.lengths[axis] for axis in output.axes)
        bits = stored_bits(self.spec, output.bits)
        late = {name for step in self.expression.epilogue for name in step.inputs}
        inputs = tuple(
            finish_access(operand, self._name(operand), frame.tile_of(operand), piece)
            for operand in self.expression.inputs
            if operand.name in late
        )
        into = Buffer(self.part, self.operator.output, piece, points, bits)
        result = Access(output.name, self._name(output), begin)
        return Finish(self.work.kernel, result, inputs, into)
