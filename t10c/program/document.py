"""Program files: a device program as one JSON document, and back.

A program file may be edited by hand: loading checks its form and its formulas, and whether a
program does what it should is the checker's business (check.py) and the executor's. `program_hash`
tells whether a file is as it was written, `origin` names the plan and the hardware behind it.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from t10c import __version__
from t10c.errors import InvalidInputError
from t10c.ir.formula import FormulaError, parse
from t10c.ir.program import (
    Access,
    Allocate,
    Compute,
    Finish,
    Formula,
    Instruction,
    Keep,
    Loop,
    Piece,
    Program,
    Range,
    Reduce,
    Section,
    Shift,
)
from t10c.program.steps import check_steps
from t10c.program.wrong import shown
from t10c.serialise import content_hash, decode, encode, file_bytes, own_document

SCHEMA = "t10c.program"
VERSION = 1

HEAD = ("schema", "version", "generator", "program_hash")
"""Keys that say nothing of the program itself."""

_WRITE_ONE = "write one with: t10c compile MODEL.onnx --hw ipu-mk2 --emit program -o PROGRAM.json"

Place = tuple[str, Formula]


@dataclass(frozen=True)
class ProgramFile:
    """A program as a file has it; `edited` says that its hash does not belong to it."""

    program: Program
    edited: bool


def to_document(program: Program) -> dict[str, Any]:
    """The program as JSON values; equal programs give equal documents."""
    body = encode(program)
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "generator": f"t10c {__version__}",
        "program_hash": content_hash(body, HEAD),
        **body,
    }


def dump_program(program: Program) -> bytes:
    """The program file's bytes."""
    return file_bytes(to_document(program))


def load_program(data: bytes, place: str) -> Program:
    """The program of a program file's bytes; `place` names it in errors (InvalidInputError)."""
    return read_program(data, place).program


def read_program(data: bytes, place: str) -> ProgramFile:
    """The same, and whether the file was edited since t10c wrote it."""
    try:
        document = json.loads(data)
    except RecursionError as error:
        raise InvalidInputError(
            f"{place}: not a program file: it is nested too deeply\n{_WRITE_ONE}"
        ) from error
    except ValueError as error:
        raise InvalidInputError(
            f"{place}: not a program file: {str(error)[:120]}\n{_WRITE_ONE}"
        ) from error
    try:
        return _from_document(document)
    except InvalidInputError as error:
        raise InvalidInputError(f"{place}: {error}") from error
    except RecursionError as error:
        raise InvalidInputError(f"{place}: loops or formulas are nested too deeply") from error


def _from_document(document: object) -> ProgramFile:
    known = own_document(document, SCHEMA, VERSION, _WRITE_ONE, "compile the model again")
    body = {key: value for key, value in known.items() if key not in HEAD}
    program = decode(Program, body, "program")
    for number, kernel in enumerate(program.kernels):
        check_steps(kernel, f"program.kernels[{number}]")
    for name, formula in zip("xy", program.positions or (), strict=False):
        _check(formula, f"positions, {name}")
    for section in program.all_sections():
        _check_formulas(section)
    return ProgramFile(program, content_hash(body, HEAD) != known.get("program_hash"))


# Formulas


def _check_formulas(section: Section) -> None:
    """Every formula of a section must be one; InvalidInputError says where it stands."""
    at = f"section '{shown(section.name)}'"
    for name, formula in section.values:
        _check(formula, f"{at}, value {shown(name)}")
    for where, formula in _formulas(section.instructions, at):
        _check(formula, where)


def _check(formula: Formula, where: str) -> None:
    try:
        parse(formula)
    except FormulaError as error:
        raise InvalidInputError(f"{where}: {error}") from error


def _formulas(instructions: Iterable[Instruction], place: str) -> Iterator[Place]:
    """Where every formula of some instructions stands, and its text."""
    for number, instruction in enumerate(instructions):
        at = f"{place}, instruction {number}"
        if isinstance(instruction, Loop):
            yield from _formulas(instruction.body, f"{at}, body")
            yield from _formulas(instruction.between, f"{at}, between")
            continue
        kind = type(instruction).__name__.lower()
        for key, formula in _own_formulas(instruction):
            yield f"{at} ({kind}), {key}", formula


def _own_formulas(instruction: Instruction) -> Iterator[Place]:
    """Key and text of the formulas of one instruction that is no loop."""
    match instruction:
        case Allocate(buffer=buffer):
            yield from _of_piece(buffer.piece, "buffer")
        case Compute(tile=tile, inputs=inputs, output=output):
            yield from _of_ranges(tile, "tile")
            for access in (*inputs, output):
                yield from _of_access(access)
        case Shift(source=source):
            yield "source", source
        case Reduce(group=group, rank=rank):
            yield from (("group", group), ("rank", rank))
        case Finish(result=result, inputs=inputs, into=into):
            for access in (result, *inputs):
                yield from _of_access(access)
            yield from _of_piece(into.piece, "into")
        case Keep(part=part, into=into):
            yield from _of_access(part)
            yield from _of_piece(into.piece, "into")


def _of_piece(piece: Piece, key: str) -> Iterator[Place]:
    return _of_ranges(piece.ranges, f"{key}.piece.ranges")


def _of_ranges(ranges: Iterable[Range], key: str) -> Iterator[Place]:
    for found in ranges:
        yield f"{key}, axis {shown(found.axis)}, start", found.start
        for number, stop in enumerate(found.stops):
            yield f"{key}, axis {shown(found.axis)}, stops[{number}]", stop


def _of_access(access: Access) -> Iterator[Place]:
    for axis, offset in access.offsets:
        yield f"operand {shown(access.operand)}, offsets.{shown(axis)}", offset
