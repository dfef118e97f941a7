"""Instructions of a device program as text, one line each, and loops with their bodies.

Within the section of operator NAME, `%X` stands for the buffer `use:NAME:X`. A range of an axis is
written `k[START +: LENGTH < STOP]`; docs/program.md explains all of it.
"""

import math
import textwrap
from collections.abc import Iterable, Sequence

from t10c.ir.expression import Dim, Operand
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
    Range,
    Reduce,
    Shift,
    Store,
)
from t10c.report.expression import operand_text

WIDTH = 100
INDENT = "  "


class InstructionText:
    """Writes the instructions of one section, whose operator runs on `cores` cores."""

    def __init__(self, section: str, cores: int) -> None:
        self.prefix, self.cores = f"use:{section}:", cores

    def instructions(self, instructions: Sequence[Instruction], depth: int) -> list[str]:
        """Numbered lines, bodies of loops further in."""
        digits = len(str(max(0, len(instructions) - 1)))
        lines: list[str] = []
        for number, instruction in enumerate(instructions):
            label = f"{number:>{digits}} "
            if isinstance(instruction, Loop):
                lines += self._loop(instruction, label, depth)
            else:
                lines += wrapped_lines(self._words(instruction), depth, label)
        return lines

    def _loop(self, loop: Loop, label: str, depth: int) -> list[str]:
        lines = wrapped_lines([f"loop {loop.counter} < {loop.count}"], depth, label)
        lines += self.instructions(loop.body, depth + 2)
        if loop.between:
            lines.append(INDENT * (depth + 1) + "between rounds")
            lines += self.instructions(loop.between, depth + 2)
        return lines

    def _words(self, instruction: Instruction) -> list[str]:
        """The phrases of a line."""
        match instruction:
            case Allocate(buffer=buffer, absorbs=absorbed):
                words = self._buffer("allocate", buffer)
                return [*words, f"in place of {self._name(absorbed)}"] if absorbed else words
            case Free(buffer=name):
                return [f"free     {self._name(name)}"]
            case Load(buffer=name):
                return [f"load     {self._name(name)}"]
            case Store(tensor=tensor, sources=sources):
                return [f"store    {tensor}", *self._sources(sources)]
            case Exchange(kind=kind, moves=moves):
                return [f"exchange {kind}:", *_listed(map(self._move, moves), ";")]
            case Clear(buffer=name, kernel=kernel):
                return [f"clear    {self._name(name)} for kernel {kernel}"]
            case Shift(buffer=name, source=source):
                return [f"shift    {self._name(name)}", f"from core {source}"]
        return self._working_words(instruction)

    def _working_words(self, instruction: Instruction) -> list[str]:
        """The phrases of an instruction that computes."""
        match instruction:
            case Compute():
                return [
                    f"compute  {self._access(instruction.output)} by kernel {instruction.kernel}",
                    *self._given(instruction.inputs),
                    *self._on(instruction.cores),
                    *_led("tile", map(_range_text, instruction.tile)),
                ]
            case Reduce():
                return [
                    f"reduce   {self._name(instruction.buffer)} by kernel {instruction.kernel}",
                    *self._on(instruction.cores),
                    f"in groups of {instruction.count:,}:",
                    f"group {instruction.group},",
                    f"rank {instruction.rank}",
                ]
            case Finish():
                return [
                    f"finish   {self._access(instruction.result)} by kernel {instruction.kernel}",
                    *self._given(instruction.inputs),
                    *self._buffer("as", instruction.into),
                ]
            case Keep(part=part, into=into):
                return [f"keep     {self._access(part)}", *self._buffer("as", into)]
        raise AssertionError(f"{instruction} has no text")

    def _move(self, move: Move) -> str:
        part = ["part of"] if move.partial else []
        return " ".join(
            [*part, self._name(move.into), "<-", move.tensor, *self._sources(move.sources)]
        )

    def _name(self, buffer: str) -> str:
        if buffer.startswith(self.prefix):
            return f"%{buffer.removeprefix(self.prefix)}"
        return buffer

    def _sources(self, sources: Iterable[str]) -> list[str]:
        return [f"from {', '.join(map(self._name, sources)) or 'nowhere'}"]

    def _given(self, inputs: Iterable[Access]) -> list[str]:
        found = list(map(self._access, inputs))
        return [f"of {', '.join(found)}"] if found else []

    def _access(self, access: Access) -> str:
        """`%A`, or `A=home:x` where the names differ; `{k: 4*i0}` where along k its part begins."""
        name = self._name(access.buffer)
        shown = name if name == f"%{access.operand}" else f"{access.operand}={name}"
        if not access.offsets:
            return shown
        return f"{shown}{{{', '.join(f'{axis}: {offset}' for axis, offset in access.offsets)}}}"

    def _on(self, cores: int) -> list[str]:
        """The cores, where they are not those of the section."""
        return [] if cores == self.cores else [f"on {cores:,} core{'' if cores == 1 else 's'}"]

    def _buffer(self, verb: str, buffer: Buffer) -> list[str]:
        """What a buffer is a piece of, its shape and size, and where along each axis it lies."""
        piece, name = buffer.piece, self._name(buffer.name)
        tensor = _indexed(buffer.tensor, piece.dims)
        own = buffer.name == f"home:{buffer.tensor}"
        shape = "x".join(map(str, piece.shape)) or "scalar"
        fewer = "" if buffer.elements == math.prod(piece.shape) else f" ({buffer.elements:,} kept)"
        copies = f" in {buffer.copies} copies" if buffer.copies > 1 else ""
        return [
            f"{verb} home:{tensor}" if own else f"{verb} {name} = {tensor}",
            f"{shape}{fewer} of {buffer.bits} bits,",
            f"{buffer.size_bytes:,} B{copies}",
            *self._on(piece.cores),
            *_led("at", map(_range_text, piece.ranges)),
        ]


def _indexed(tensor: str, dims: tuple[Dim, ...]) -> str:
    return operand_text(Operand(tensor, dims)) if dims else tensor


def _range_text(found: Range) -> str:
    if not found.stops:
        return f"{found.axis}[{found.start} +: {found.length}]"
    stops = found.stops[0] if len(found.stops) == 1 else f"min({', '.join(found.stops)})"
    return f"{found.axis}[{found.start} +: {found.length} < {stops}]"


def _listed(texts: Iterable[str], sign: str) -> list[str]:
    """The texts, with a sign after all but the last."""
    found = list(texts)
    return [f"{text}{sign}" for text in found[:-1]] + found[-1:]


def _led(word: str, texts: Iterable[str]) -> list[str]:
    """The texts, with a word before the first."""
    found = list(texts)
    return [f"{word} {found[0]}", *found[1:]] if found else []


def wrapped_lines(words: Sequence[str], depth: int, label: str = "") -> list[str]:
    """Phrases on as few lines as possible; a line is broken between phrases, if that will do."""
    start = INDENT * depth + label
    hanging = " " * len(start) + INDENT * 2
    lines, line = [], start + words[0]
    for word in words[1:]:
        if len(line) + 1 + len(word) <= WIDTH:
            line = f"{line} {word}"
            continue
        lines.append(line)
        line = hanging + word
    lines.append(line)
    return [part for line in lines for part in _broken(line, hanging)]


def _broken(line: str, hanging: str) -> list[str]:
    """A line of a phrase that is too long, broken between its words."""
    if len(line) <= WIDTH:
        return [line.rstrip()]
    start = line[: len(line) - len(line.lstrip())]
    return textwrap.wrap(
        line.lstrip(),
        WIDTH,
        initial_indent=start,
        subsequent_indent=hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )
