"""One section of a program: what each instruction does to the memory of the cores."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from t10c.errors import VerificationError
from t10c.execute.computing import compute_tile, finish_buffer, reduce_groups
from t10c.execute.element_types import Array
from t10c.execute.memory import Memories, Memory
from t10c.execute.parts import window
from t10c.execute.scope import Scope
from t10c.ir.formula import Value, evaluate
from t10c.ir.program import (
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
from t10c.program.placed import Placed, collect, place_piece, spread


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
        self.memory, self.section = memory, section.name
        self.inside, self.at = "", 0
        self.host, self.observer = host, observer
        self.values: dict[str, Value] = {
            "core": np.arange(program.core_count, dtype=np.int64),
            "run": inferences,
        }
        self.scope = Scope(section.name, program, memory, self.values)
        self.parts = {
            name for move in _partial_moves(section.instructions) for name in move.sources
        }
        for name, formula in section.values:
            self.values[name] = evaluate(formula, self.values)

    def instructions(self, instructions: tuple[Instruction, ...]) -> None:
        """Run instructions in order."""
        for number, instruction in enumerate(instructions):
            self.at = number
            match instruction:
                case Loop():
                    self._loop(instruction)
                case Compute():
                    compute_tile(self.scope, instruction)
                case Shift():
                    self._shift(instruction)
                case Allocate(buffer=buffer):
                    self._allocate(buffer)
                case Free(buffer=name):
                    self.memory.pop(name, None)
                case Load(buffer=name):
                    self._load(name)
                case Store(tensor=tensor, sources=sources):
                    self.host.outputs[tensor] = self._value(tensor, sources)
                case Exchange(kind=kind, moves=moves):
                    self._exchange(moves)
                    if kind == "copy":
                        self._finished(moves[0].into)
                case Clear(buffer=name):
                    self.memory[name] = replace(self.memory[name], arrays=(), cleared=True)
                case Reduce():
                    reduce_groups(self.scope, instruction)
                case Finish(into=into):
                    finish_buffer(self.scope, instruction)
                    if into.name not in self.parts:  # which are reported once they are put together
                        self._finished(into.name)
                case Keep():
                    self._keep(instruction)

    def _loop(self, loop: Loop) -> None:
        outside, at = self.inside, f"{self.inside}{self.at}, "
        for turn in range(loop.count):
            self.values[loop.counter] = turn
            self.inside = f"{at}body, instruction "
            self.instructions(loop.body)
            if turn + 1 < loop.count:
                self.inside = f"{at}between, instruction "
                self.instructions(loop.between)
        self.inside = outside
        self.values.pop(loop.counter, None)

    def _allocate(self, buffer: Buffer) -> None:
        self.memory[buffer.name] = Memory(buffer, place_piece(buffer.piece, self.values))

    def _load(self, name: str) -> None:
        """The host writes what it has of the buffer's tensor."""
        memory = self.memory[name]
        value = self.host.given[memory.buffer.tensor]
        value = value.astype(self.memory.element_type(name), copy=False)
        memory.arrays = (spread(value, memory.placed),)

    def _exchange(self, moves: tuple[Move, ...]) -> None:
        whole = [move for move in moves if not move.partial]
        arrived = []
        for move in whole:
            target = self.memory[move.into]
            own = self._in_place(move, target)
            if own is not None:
                arrived.append(own)
                continue
            value = self._value(move.tensor, move.sources, target.placed)
            if value.shape != self.memory.shape(move.into):
                raise VerificationError(
                    f"{self.section}: {move.into} cannot be filled with '{move.tensor}'"
                )
            value = value.astype(self.memory.element_type(move.into), copy=False)
            arrived.append(spread(value, target.placed))
        completed = [m.into for m in moves if m.partial and self._fill_partly(m)]
        for move, array in zip(whole, arrived, strict=True):
            self.memory[move.into].arrays = (array,)
        for name in completed:
            self._finished(name)

    def _fill_partly(self, move: Move) -> bool:
        """Fill a part of a buffer; whether all of it is filled now."""
        with self._placing_errors():
            return self.memory.fill_partly(move.into, move.sources)

    def _value(self, tensor: str, sources: tuple[str, ...], into: Placed | None = None) -> Array:
        """The whole tensor, collected from buffers; VerificationError says which instruction."""
        with self._placing_errors():
            return self.memory.value(tensor, sources, into)

    @contextmanager
    def _placing_errors(self) -> Iterator[None]:
        """Say which instruction it is that cannot be executed."""
        try:
            yield
        except VerificationError as error:
            raise VerificationError(
                f"section '{self.section}', instruction {self.inside}{self.at}: {error}"
            ) from error

    def _in_place(self, move: Move, target: Memory) -> Array | None:
        """What cores hold of the tensor already, if that is just what they need, else None."""
        source = self.memory[move.sources[0]] if move.sources else None
        if source is None or source.buffer.tensor != move.tensor or not source.arrays:
            return None
        if source.arrays[0].dtype != self.memory.element_type(move.into):
            return None
        return source.arrays[0] if source.placed.lies_as(target.placed) else None

    def _shift(self, shift: Shift) -> None:
        memory = self.memory[shift.buffer]
        source = self.scope.per_core(shift.source, memory.buffer.piece.cores)
        memory.arrays = tuple(array[source] for array in memory.arrays)

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
                    lambda: self._value(tensor, (name,)),
                )
            )

    def _keep(self, step: Keep) -> None:
        memory = self.memory[step.part.buffer]
        lengths = step.into.piece.lengths
        begin, extent = self.scope.part(memory, step.part, lengths)
        arrays = tuple(
            array if array.shape[1:] == extent else window(array, begin, extent, copy=True)
            for array in memory.arrays  # a copy of a part, so that the rest is given back
        )
        del self.memory[step.part.buffer]
        placed = place_piece(step.into.piece, self.values)
        self.memory[step.into.name] = Memory(step.into, placed, arrays)


def _partial_moves(instructions: Iterable[Instruction]) -> Iterator[Move]:
    """Moves that fill a part of a buffer, those in loops included."""
    for instruction in instructions:
        if isinstance(instruction, Loop):
            yield from _partial_moves((*instruction.body, *instruction.between))
        elif isinstance(instruction, Exchange):
            yield from (move for move in instruction.moves if move.partial)
