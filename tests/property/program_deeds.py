"""What a program does, without what it says about it: why some changes change nothing.

The deeds of a program are its instructions with every formula evaluated, on all cores and in
several inferences, but without labels: where a compute step says its tile lies, and where the
buffers lie that hold partial results. Programs with equal deeds move and combine equal data.
"""

from collections.abc import Iterator

import numpy as np

from t10c.ir.formula import Value, evaluate
from t10c.ir.program import (
    Access,
    Allocate,
    Compute,
    Exchange,
    Finish,
    Free,
    Instruction,
    Keep,
    Loop,
    Piece,
    Program,
    Reduce,
    Section,
    Shift,
)

INFERENCES = 3

Values = dict[str, Value]


def deeds(program: Program) -> list[object]:
    """Everything the program does, in order."""
    found: list[object] = list(_section(program, program.load, 0))
    for run in range(INFERENCES):
        for section in (program.begin, *program.sections, program.end):
            found += _section(program, section, run)
    return found


def _section(program: Program, section: Section, run: int) -> Iterator[object]:
    values: Values = {"core": np.arange(program.core_count, dtype=np.int64), "run": run}
    for name, formula in section.values:
        values[name] = evaluate(formula, values)
    yield from _all(section.instructions, values)


def _all(instructions: tuple[Instruction, ...], values: Values) -> Iterator[object]:
    computed = {i.result.buffer for i in instructions if isinstance(i, Finish)}
    for instruction in instructions:
        if isinstance(instruction, Loop):
            for turn in range(instruction.count):
                values[instruction.counter] = turn
                yield from _all(instruction.body, values)
                if turn + 1 < instruction.count:
                    yield from _all(instruction.between, values)
        elif not isinstance(instruction, Free):
            if isinstance(instruction, Allocate) and instruction.buffer.name in computed:
                yield instruction.buffer.name, instruction.buffer.piece.shape
            else:
                yield _deed(instruction, values)


def _deed(instruction: Instruction, values: Values) -> object:
    match instruction:
        case Allocate(buffer=buffer):
            return buffer.name, buffer.tensor, _where(buffer.piece, values)
        case Compute(kernel=kernel, cores=cores, tile=tile, inputs=inputs, output=output):
            accesses = [_access(access, values, cores) for access in (*inputs, output)]
            return kernel, [(r.axis, r.length) for r in tile], accesses
        case Shift(buffer=buffer, source=source):
            return buffer, _numbers(source, values)
        case Reduce(buffer=buffer, group=group, rank=rank, count=count):
            return buffer, _numbers(group, values), _numbers(rank, values), count
        case Finish(result=result, inputs=inputs, into=into):
            cores = into.piece.cores
            accesses = [_access(access, values, cores) for access in (result, *inputs)]
            return accesses, into.name, _where(into.piece, values)
        case Keep(part=part, into=into):
            return _access(part, values, into.piece.cores), into.name, _where(into.piece, values)
        case Exchange(moves=moves):
            return moves
    return instruction


def _numbers(formula: str, values: Values, cores: int | None = None) -> object:
    value = evaluate(formula, values)
    return value if isinstance(value, int) else value[:cores].tolist()


def _access(access: Access, values: Values, cores: int) -> object:
    offsets = [(axis, _numbers(formula, values, cores)) for axis, formula in access.offsets]
    return access.operand, access.buffer, [(axis, n) for axis, n in offsets if n != 0]


def _where(piece: Piece, values: Values) -> object:
    """What of a tensor a piece has: memory begins at `start`, points end at `stop`."""
    ends = []
    for r in piece.ranges:
        start = np.asarray(evaluate(r.start, values))
        stop = start + r.length
        for formula in r.stops:
            stop = np.minimum(stop, evaluate(formula, values))
        ends.append((r.axis, np.asarray(start).tolist(), np.asarray(stop).tolist(), r.length))
    return piece.dims, piece.flat, ends
