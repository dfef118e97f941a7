"""Wrong programs made from right ones: one small change each, of a named kind.

`mutants(program, rng)` yields at most one program per kind. A kind is a function that is given a
place in the program (an instruction and the section it is in) and yields what may stand there
instead, as tuples of instructions, or whole programs.
"""

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from t10c.ir.expression import TensorExpression
from t10c.ir.formula import evaluate
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
    Loop,
    Move,
    Piece,
    Program,
    Range,
    Reduce,
    Section,
    Shift,
    Store,
)

Path = tuple[tuple[str, int], ...]
Instructions = tuple[Instruction, ...]


@dataclass(frozen=True)
class Place:
    """An instruction of a program: the section's position in it, and the way down the loops."""

    program: Program
    section: tuple[str, int]
    path: Path
    instruction: Instruction

    @property
    def in_section(self) -> Section:
        """The section it is in."""
        return _section(self.program, self.section)

    def kernel(self) -> TensorExpression | None:
        """The expression that the section computes."""
        for other in places(self.program):
            if other.section == self.section and isinstance(other.instruction, Compute):
                return self.program.kernels[other.instruction.kernel]
        return None

    def with_instead(self, new: Instructions) -> Program:
        """The program with other instructions in this one's place."""
        section = self.in_section
        made = _spliced(section.instructions, self.path, new)
        return _with_section(self.program, self.section, replace(section, instructions=made))

    def table(self, formula: str, cores: int) -> list[int]:
        """A formula's value on every core in the first inference, at the loops' beginning."""
        cores_of = np.arange(self.program.core_count, dtype=np.int64)
        values = {"core": cores_of, "run": 0} | {f"i{level}": 0 for level in range(8)}
        for name, text in self.in_section.values:
            values[name] = evaluate(text, values)
        value = evaluate(formula, values)
        return [int(v) for v in np.broadcast_to(value, (self.program.core_count,))[:cores]]


@dataclass(frozen=True)
class Mutant:
    """A changed program; `detail` says where and what, `kernel` what is computed there."""

    kind: str
    detail: str
    program: Program
    kernel: TensorExpression | None = None


def _section(program: Program, at: tuple[str, int]) -> Section:
    found = getattr(program, at[0])
    return found[at[1]] if at[0] == "sections" else found


def _with_section(program: Program, at: tuple[str, int], section: Section) -> Program:
    if at[0] != "sections":
        return replace(program, **{at[0]: section})
    made = list(program.sections)
    made[at[1]] = section
    return replace(program, sections=tuple(made))


def _spliced(instructions: Instructions, path: Path, new: Instructions) -> Instructions:
    """The instructions with others in place of the one at the end of the path."""
    (_, number), *rest = path
    if not rest:
        return (*instructions[:number], *new, *instructions[number + 1 :])
    loop = instructions[number]
    part = rest[0][0]
    inner = _spliced(getattr(loop, part), tuple(rest), new)
    return (*instructions[:number], replace(loop, **{part: inner}), *instructions[number + 1 :])


def places(program: Program) -> Iterator[Place]:
    """Every instruction, loops before what is in them."""
    ends = [("load", 0), ("begin", 0)]
    middle = [("sections", number) for number in range(len(program.sections))]
    for at in (*ends, *middle, ("end", 0)):
        yield from _places(program, at, _section(program, at).instructions, (), "body")


def _places(
    program: Program, at: tuple[str, int], instructions: Instructions, above: Path, part: str
) -> Iterator[Place]:
    for number, instruction in enumerate(instructions):
        path = (*above, (part, number))
        yield Place(program, at, path, instruction)
        if isinstance(instruction, Loop):
            yield from _places(program, at, instruction.body, path, "body")
            yield from _places(program, at, instruction.between, path, "between")


def lookup(table: list[int]) -> str:
    """A formula with these values on cores 0, 1, ...; cores beyond have 0."""
    count = len(table)

    def reached(core: int) -> str:  # 1 from that core on
        return f"(core + {count - core})//{count}"

    limit = f"(1 - core//{count})"
    terms = [
        f"{value}*({reached(core)} - {reached(core + 1)})*{limit}"
        for core, value in enumerate(table)
        if value
    ]
    return " + ".join(terms) or "0"


# Shifts and loops


def dropped_shift(place: Place) -> Iterator[Instructions]:
    if isinstance(place.instruction, Shift):
        yield ()


def doubled_shift(place: Place) -> Iterator[Instructions]:
    if isinstance(place.instruction, Shift):
        yield (place.instruction, place.instruction)


def shifted_other_operand(place: Place) -> Iterator[Instructions]:
    if isinstance(place.instruction, Shift):
        for other in _used(place):
            if other != place.instruction.buffer:
                yield (replace(place.instruction, buffer=other),)


def _used(place: Place) -> list[str]:
    """Buffers of the operands that the section's compute step uses."""
    for other in places(place.program):
        if other.section == place.section and isinstance(other.instruction, Compute):
            step = other.instruction
            return [access.buffer for access in (*step.inputs, step.output)]
    return []


def _cores(place: Place, buffer: str) -> int:
    return next(
        p.instruction.buffer.piece.cores
        for p in places(place.program)
        if isinstance(p.instruction, Allocate) and p.instruction.buffer.name == buffer
    )


def wrong_neighbour(place: Place) -> Iterator[Instructions]:
    if isinstance(place.instruction, Shift):
        cores, source = _cores(place, place.instruction.buffer), place.instruction.source
        yield (replace(place.instruction, source=f"({source} + 1)%{cores}"),)
        table = place.table(source, cores)
        for a, b in ((0, 1), (0, cores - 1), (cores // 2, cores // 2 - 1)):
            swapped = list(table)
            swapped[a], swapped[b] = table[b], table[a]
            if swapped != table:
                yield (replace(place.instruction, source=lookup(swapped)),)


def wrong_direction(place: Place) -> Iterator[Instructions]:
    if isinstance(place.instruction, Shift):
        table = place.table(place.instruction.source, _cores(place, place.instruction.buffer))
        inverse = [table.index(core) for core in range(len(table))]
        if inverse != table:
            yield (replace(place.instruction, source=lookup(inverse)),)


def swapped_loops(place: Place) -> Iterator[Instructions]:
    outer = place.instruction
    if isinstance(outer, Loop) and isinstance(outer.body[0], Loop):
        inner = outer.body[0]
        below = replace(outer, body=inner.body)
        yield (replace(inner, body=(below,)),)


def swapped_counters(place: Place) -> Iterator[Instructions]:
    outer = place.instruction
    if isinstance(outer, Loop) and isinstance(outer.body[0], Loop):
        inner = replace(outer.body[0], counter=outer.counter)
        yield (replace(outer, counter=outer.body[0].counter, body=(inner,)),)


def shift_in_the_body(place: Place) -> Iterator[Instructions]:
    """A loop that shifts after its last round too."""
    loop = place.instruction
    if isinstance(loop, Loop) and loop.between:
        yield (replace(loop, body=(*loop.body, *loop.between), between=()),)


def loop_count_off_by_one(place: Place) -> Iterator[Instructions]:
    if isinstance(place.instruction, Loop):
        yield (replace(place.instruction, count=place.instruction.count - 1),)
        yield (replace(place.instruction, count=place.instruction.count + 1),)


# Pieces and tiles


def _piece_changes(
    place: Place, change: Callable[[Piece], Iterator[Piece]]
) -> Iterator[Instructions]:
    """The instruction with another piece in the buffer it makes."""
    made = place.instruction
    if isinstance(made, Allocate):
        for piece in change(made.buffer.piece):
            yield (replace(made, buffer=replace(made.buffer, piece=piece)),)
    if isinstance(made, Finish | Keep):
        for piece in change(made.into.piece):
            yield (replace(made, into=replace(made.into, piece=piece)),)


def _range_changes(piece: Piece, change: Callable[[Range], Iterator[Range]]) -> Iterator[Piece]:
    for number, old in enumerate(piece.ranges):
        for new in change(old):
            yield replace(piece, ranges=(*piece.ranges[:number], new, *piece.ranges[number + 1 :]))


def _later(old: Range) -> Iterator[Range]:
    yield replace(old, start=f"{old.start} + 1")


def _next_chunk(old: Range) -> Iterator[Range]:
    """The chunk of a core whose offset is one more, without the end of the ring."""
    for name in re.findall(r"\b[oe]\d+\b", old.start):
        yield replace(old, start=re.sub(rf"\b{name}\b", f"({name} + 1)", old.start))


def piece_off_by_one(place: Place) -> Iterator[Instructions]:
    yield from _piece_changes(place, lambda piece: _range_changes(piece, _later))


def chunk_off_by_one(place: Place) -> Iterator[Instructions]:
    yield from _piece_changes(place, lambda piece: _range_changes(piece, _next_chunk))


def piece_too_short(place: Place) -> Iterator[Instructions]:
    def shorter(old: Range) -> Iterator[Range]:
        if old.length > 1:
            yield replace(old, length=old.length - 1)

    yield from _piece_changes(place, lambda piece: _range_changes(piece, shorter))


def halo_off_by_one(place: Place) -> Iterator[Instructions]:
    """Windows that begin one element before or after where they should, or lack the last one."""

    def moved(piece: Piece) -> Iterator[Piece]:
        for number, dim in enumerate(piece.dims):
            if len(dim.terms) > 1:
                for by in (-1, 1):
                    new = replace(dim, offset=dim.offset + by)
                    dims = (*piece.dims[:number], new, *piece.dims[number + 1 :])
                    yield replace(piece, dims=dims)

    if isinstance(place.instruction, Allocate):
        yield from _piece_changes(place, moved)


def changed_stops(place: Place) -> Iterator[Instructions]:
    """A block that ends one element too early."""

    def earlier(old: Range) -> Iterator[Range]:
        for number, stop in enumerate(old.stops):
            new = f"{stop} - 1"
            yield replace(old, stops=(*old.stops[:number], new, *old.stops[number + 1 :]))

    yield from _piece_changes(place, lambda piece: _range_changes(piece, earlier))
    yield from _tile_changes(place, earlier)


def dropped_stops(place: Place) -> Iterator[Instructions]:
    """A block that does not end where the next one begins."""

    def endless(old: Range) -> Iterator[Range]:
        if old.stops:
            yield replace(old, stops=())

    yield from _piece_changes(place, lambda piece: _range_changes(piece, endless))
    yield from _tile_changes(place, endless)


def _tile_changes(
    place: Place, change: Callable[[Range], Iterator[Range]]
) -> Iterator[Instructions]:
    step = place.instruction
    if isinstance(step, Compute):
        for number, old in enumerate(step.tile):
            for new in change(old):
                yield (replace(step, tile=(*step.tile[:number], new, *step.tile[number + 1 :])),)


def tile_off_by_one(place: Place) -> Iterator[Instructions]:
    yield from _tile_changes(place, _later)
    yield from _tile_changes(place, _next_chunk)


# Accesses


def _access_changes(
    place: Place, change: Callable[[Access], Iterator[Access]]
) -> Iterator[Instructions]:
    step = place.instruction
    if isinstance(step, Compute):
        for new in change(step.output):
            yield (replace(step, output=new),)
    if isinstance(step, Finish):
        for new in change(step.result):
            yield (replace(step, result=new),)
    if isinstance(step, Keep):
        for new in change(step.part):
            yield (replace(step, part=new),)
    if isinstance(step, Compute | Finish):
        for number, old in enumerate(step.inputs):
            for new in change(old):
                inputs = (*step.inputs[:number], new, *step.inputs[number + 1 :])
                yield (replace(step, inputs=inputs),)


def dropped_offset(place: Place) -> Iterator[Instructions]:
    def without(old: Access) -> Iterator[Access]:
        for number in range(len(old.offsets)):
            yield replace(old, offsets=(*old.offsets[:number], *old.offsets[number + 1 :]))

    yield from _access_changes(place, without)


def wrong_offset(place: Place) -> Iterator[Instructions]:
    def later(old: Access) -> Iterator[Access]:
        for number, (axis, formula) in enumerate(old.offsets):
            new = (axis, f"{formula} + 1")
            yield replace(old, offsets=(*old.offsets[:number], new, *old.offsets[number + 1 :]))

    yield from _access_changes(place, later)


def swapped_operands(place: Place) -> Iterator[Instructions]:
    """Two inputs of a compute step, each read from the other's buffer."""
    step = place.instruction
    if isinstance(step, Compute):
        for number in range(len(step.inputs) - 1):
            first, second = step.inputs[number : number + 2]
            swapped = (
                replace(first, buffer=second.buffer),
                replace(second, buffer=first.buffer),
            )
            yield (
                replace(step, inputs=(*step.inputs[:number], *swapped, *step.inputs[number + 2 :])),
            )


# Reduction and end


def missing_clear(place: Place) -> Iterator[Instructions]:
    if isinstance(place.instruction, Clear):
        yield ()


def missing_reduction(place: Place) -> Iterator[Instructions]:
    if isinstance(place.instruction, Reduce):
        yield ()


def wrong_group(place: Place) -> Iterator[Instructions]:
    step = place.instruction
    if isinstance(step, Reduce):
        table = place.table(step.group, step.cores)
        other = next((g for g in table if g != table[0]), None)
        if other is not None:  # two cores of different groups change places
            at = table.index(other)
            table[0], table[at] = table[at], table[0]
            yield (replace(step, group=lookup(table)),)


def wrong_share(place: Place) -> Iterator[Instructions]:
    """Replicas that take each other's share, or believe to have it."""
    if isinstance(place.instruction, Finish):
        before = _before(place)
        if isinstance(before, Reduce):
            finish = place.instruction
            rank, count = before.rank, before.count
            turned = f"((({rank}) + 1)%{count})"
            for number, (axis, formula) in enumerate(finish.result.offsets):
                new = (axis, formula.replace(rank, turned))
                if new[1] != formula:
                    offsets = finish.result.offsets
                    offsets = (*offsets[:number], new, *offsets[number + 1 :])
                    yield (replace(finish, result=replace(finish.result, offsets=offsets)),)
            for piece in _range_changes(finish.into.piece, lambda r: _renamed(r, rank, turned)):
                yield (replace(finish, into=replace(finish.into, piece=piece)),)


def _renamed(old: Range, name: str, new: str) -> Iterator[Range]:
    if name in old.start and not name.isdigit():
        yield replace(old, start=old.start.replace(name, new))


def _before(place: Place) -> Instruction | None:
    number = place.path[-1][1]
    if len(place.path) > 1 or number == 0:
        return None
    return place.in_section.instructions[number - 1]


def epilogue_before_reduction(place: Place) -> Iterator[Program]:
    """Every replica finishes its share of its own sums, and these are reduced."""
    before = _before(place)
    if isinstance(place.instruction, Finish) and isinstance(before, Reduce):
        later = replace(before, buffer=place.instruction.into.name)
        changed = place.with_instead((place.instruction, later))
        number = place.path[-1][1] - 1
        yield replace(place, program=changed, path=((place.path[-1][0], number),)).with_instead(())


# Memory


def dropped_free(place: Place) -> Iterator[Instructions]:
    if isinstance(place.instruction, Free):
        yield ()


def dropped_keep(place: Place) -> Iterator[Instructions]:
    if isinstance(place.instruction, Keep):
        yield ()
        yield (Free(place.instruction.part.buffer),)


def kept_where_it_began(place: Place) -> Iterator[Instructions]:
    """A weight that is believed to lie where it began, though its rotation moved it."""
    keep = place.instruction
    if isinstance(keep, Keep):
        for number, old in enumerate(keep.into.piece.ranges):
            start = re.sub(r"\be(\d+)\b", r"o\1", old.start)
            if start != old.start:
                ranges = keep.into.piece.ranges
                ranges = (*ranges[:number], replace(old, start=start), *ranges[number + 1 :])
                piece = replace(keep.into.piece, ranges=ranges)
                yield (replace(keep, into=replace(keep.into, piece=piece)),)


def stale_buffer(place: Place) -> Iterator[Program]:
    """A compute step that reads what lies in a home, not what was fetched from there."""
    step = place.instruction
    if not isinstance(step, Compute):
        return
    for number, access in enumerate(step.inputs):
        for other in place.in_section.instructions:
            if isinstance(other, Exchange):
                for move in other.moves:
                    if move.into == access.buffer and other.kind == "setup":
                        reads = replace(access, buffer=move.sources[0])
                        inputs = (*step.inputs[:number], reads, *step.inputs[number + 1 :])
                        yield _without_free(
                            place.with_instead((replace(step, inputs=inputs),)), move.sources[0]
                        )


def _without_free(program: Program, buffer: str) -> Program:
    """The program with the buffer freed nowhere."""
    for place in places(program):
        if place.instruction == Free(buffer):
            return place.with_instead(())
    return program


# Exchanges


def missing_move(place: Place) -> Iterator[Instructions]:
    if isinstance(place.instruction, Exchange):
        for number in range(len(place.instruction.moves)):
            moves = place.instruction.moves
            left = (*moves[:number], *moves[number + 1 :])
            yield (replace(place.instruction, moves=left),)


def swapped_sources(place: Place) -> Iterator[Instructions]:
    """Two buffers that are filled with each other's tensor."""
    if isinstance(place.instruction, Exchange):
        moves = place.instruction.moves
        for number in range(len(moves) - 1):
            a, b = moves[number : number + 2]
            swapped = (Move(a.into, b.tensor, b.sources), Move(b.into, a.tensor, a.sources))
            yield (
                replace(place.instruction, moves=(*moves[:number], *swapped, *moves[number + 2 :])),
            )


def exchange_from_another_home(place: Place) -> Iterator[Instructions]:
    """A move that reads another tensor of the same shape that lies there."""
    if not isinstance(place.instruction, Exchange):
        return
    shape = {tensor.name: tensor.shape for tensor in place.program.tensors}
    homes = {
        buffer.name: buffer.tensor
        for p in places(place.program)
        for buffer in _made(p.instruction)
        if buffer.name.startswith("home:")
    }
    for number, move in enumerate(place.instruction.moves):
        for home, tensor in homes.items():
            if tensor != move.tensor and shape[tensor] == shape[move.tensor]:
                moves = place.instruction.moves
                other = Move(move.into, tensor, (home,))
                yield (
                    replace(
                        place.instruction, moves=(*moves[:number], other, *moves[number + 1 :])
                    ),
                )


def _made(instruction: Instruction) -> list:
    if isinstance(instruction, Allocate):
        return [instruction.buffer]
    return [instruction.into] if isinstance(instruction, Finish | Keep) else []


def swapped_sections(place: Place) -> Iterator[Program]:
    """An operator that runs before one whose result it may need."""
    kind, number = place.section
    if kind == "sections" and place.path == (("body", 0),) and number > 0:
        made = list(place.program.sections)
        made[number - 1 : number + 1] = [made[number], made[number - 1]]
        yield replace(place.program, sections=tuple(made))


def missing_store(place: Place) -> Iterator[Instructions]:
    if isinstance(place.instruction, Store):
        yield ()


# Values of a section


def _value_changes(place: Place, change: Callable[[str, str], Iterator[str]]) -> Iterator[Program]:
    """The program with another formula for a named value; once per section."""
    if place.path != (("body", 0),):
        return
    section = place.in_section
    for number, (name, formula) in enumerate(section.values):
        for new in change(name, formula):
            values = (*section.values[:number], (name, new), *section.values[number + 1 :])
            yield _with_section(place.program, place.section, replace(section, values=values))


def wrong_advance(place: Place) -> Iterator[Program]:
    """A weight that is believed to move by another number of chunks per inference."""

    def other(_: str, formula: str) -> Iterator[str]:
        if "run" in formula:
            yield re.sub(r"\brun\b(\*\d+)?", lambda m: f"{m[0]} + run", formula)

    yield from _value_changes(place, other)


def not_advanced(place: Place) -> Iterator[Program]:
    """A weight that is believed to lie where the first inference found it."""

    def still(_: str, formula: str) -> Iterator[str]:
        if "run" in formula:
            yield re.sub(r"\brun\b", "0", formula)

    yield from _value_changes(place, still)


def wrong_end(place: Place) -> Iterator[Program]:
    """A rotation that is believed to end one chunk further."""

    def further(name: str, formula: str) -> Iterator[str]:
        if re.fullmatch(r"e\d+", name):
            found = re.fullmatch(r"\((.*)\)%(\d+)", formula)
            if found:
                yield f"({found[1]} + 1)%{found[2]}"

    yield from _value_changes(place, further)


def wrong_placement(place: Place) -> Iterator[Program]:
    """One core begins with another chunk than its neighbours expect."""

    def moved(name: str, formula: str) -> Iterator[str]:
        found = re.fullmatch(r".*%(\d+)", formula)
        if re.fullmatch(r"o\d+", name) and found:
            first = "(1 - (core + 1023)//1024)"  # 1 on core 0
            yield f"({formula} + {first})%{found[1]}"

    yield from _value_changes(place, moved)


KINDS: dict[str, Callable[[Place], Iterator[Instructions | Program]]] = {
    "dropped shift": dropped_shift,
    "doubled shift": doubled_shift,
    "shifted another operand": shifted_other_operand,
    "wrong neighbour": wrong_neighbour,
    "wrong direction": wrong_direction,
    "swapped loops": swapped_loops,
    "swapped counters": swapped_counters,
    "one shift too many": shift_in_the_body,
    "loop count off by one": loop_count_off_by_one,
    "piece off by one": piece_off_by_one,
    "chunk off by one": chunk_off_by_one,
    "piece too short": piece_too_short,
    "halo off by one": halo_off_by_one,
    "block ends early": changed_stops,
    "block does not end": dropped_stops,
    "tile off by one": tile_off_by_one,
    "dropped offset": dropped_offset,
    "wrong offset": wrong_offset,
    "swapped operands": swapped_operands,
    "missing clear": missing_clear,
    "missing reduction": missing_reduction,
    "wrong group": wrong_group,
    "wrong share": wrong_share,
    "epilogue before reduction": epilogue_before_reduction,
    "dropped free": dropped_free,
    "dropped keep": dropped_keep,
    "kept where it began": kept_where_it_began,
    "stale buffer": stale_buffer,
    "missing move": missing_move,
    "swapped sources": swapped_sources,
    "another home": exchange_from_another_home,
    "swapped sections": swapped_sections,
    "missing store": missing_store,
    "wrong advance": wrong_advance,
    "not advanced": not_advanced,
    "wrong end": wrong_end,
    "wrong placement": wrong_placement,
}


def mutants(program: Program, rng: random.Random, each: int = 1) -> Iterator[Mutant]:
    """At most `each` changed programs of every kind, picked at random."""
    everywhere = list(places(program))
    for kind, change in KINDS.items():
        found: list[tuple[Place, Instructions | Program]] = []
        for place in everywhere:
            found += [(place, new) for new in change(place)]
        rng.shuffle(found)
        for place, new in found[:each]:
            made = new if isinstance(new, Program) else place.with_instead(new)
            if made != program:
                yield Mutant(kind, _detail(place, new), made, place.kernel())


def _detail(place: Place, new: Instructions | Program) -> str:
    """What was there, and what is there now."""
    where = f"{place.in_section.name}{[number for _, number in place.path]}"
    if isinstance(new, Program):
        if _section(new, place.section).name != place.in_section.name:
            return f"{where}: changes place with the one before"
        old = dict(place.in_section.values)
        changed = _section(new, place.section).values
        return f"{where}: {[(n, old[n], f) for n, f in changed if old.get(n) != f]}"
    return f"{where}: {place.instruction} -> {new}"
