"""Buffers as the checker sees them: where their data lie, and what memory they take."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from t10c.ir.formula import IntArray, Value
from t10c.ir.graph import Tensor
from t10c.ir.program import Buffer, Program
from t10c.program.placed import BoolArray, Placed, mark, place_piece
from t10c.program.wellmade import check_buffer, check_placed
from t10c.program.wrong import WrongError, shown


@dataclass
class Held:
    """A buffer: where its data lie now, whether it was written, bytes it counts for.

    Per axis `start` and `count` say where each core's data begin and how many points they are
    (cores,). `points` counts what was computed into a core's partial results (cores,), `complete`
    remembers whether the pieces make up the whole tensor. `lacking` marks the elements of the
    tensor that partial moves have not filled yet, None before the first.
    """

    buffer: Buffer
    placed: Placed
    start: dict[str, IntArray]
    count: dict[str, IntArray]
    points: IntArray
    counted_bytes: int
    written: bool = False
    cleared: bool = False
    complete: bool | None = None
    lacking: BoolArray | None = None


@dataclass
class Ledger:
    """All buffers that there are at a time, and the memory they take on every core."""

    program: Program
    tensor: Mapping[str, Tensor]
    held: dict[str, Held] = field(default_factory=dict)
    used_bytes: int = 0
    peak_bytes: int = 0

    def get(self, name: str) -> Held:
        """The buffer of a name."""
        if name not in self.held:
            raise WrongError(f"there is no buffer '{shown(name)}' at this point")
        return self.held[name]

    def written(self, name: str) -> Held:
        """The same, and it has contents."""
        held = self.get(name)
        if not held.written:
            what = "it is" if held.lacking is None else "all of it is"
            raise WrongError(f"{shown(name)} is read before {what} written")
        return held

    def fill_partly(self, held: Held, sources: Iterable[Held]) -> None:
        """Note that a buffer has been filled with what others hold of its tensor.

        It is written once it has been filled everywhere.
        """
        if held.lacking is None:
            held.lacking = np.zeros(self.tensor[held.buffer.tensor].shape, dtype=bool)
            mark(held.placed, held.lacking)
        there = np.zeros_like(held.lacking)
        for source in sources:
            mark(source.placed, there)
        held.lacking &= ~there
        held.written = held.written or not held.lacking.any()

    def allocate(self, buffer: Buffer, absorbed: str, values: Mapping[str, Value]) -> None:
        """A new buffer, which may take over the memory of another."""
        held = self.made(buffer, values)
        self._new(held)
        if absorbed:
            old = self.get(absorbed)
            self.used_bytes -= old.counted_bytes
            old.counted_bytes = 0
        self._count(held)

    def free(self, name: str) -> None:
        """Give back a buffer's memory."""
        self.used_bytes -= self.get(name).counted_bytes
        del self.held[name]

    def turn_into(self, old: str, held: Held) -> None:
        """A written buffer that takes over (part of) the memory of another."""
        self.free(old)
        self._new(held)
        self._count(held)
        held.written = True

    def made(self, buffer: Buffer, values: Mapping[str, Value]) -> Held:
        """A buffer that is well made, which the ledger does not have yet."""
        check_buffer(buffer, self.tensor, self.program)
        placed = place_piece(buffer.piece, values)
        check_placed(placed, shown(buffer.name))
        start = dict(placed.start)
        count = {axis: np.maximum(placed.stop[axis] - start[axis], 0) for axis in start}
        none = np.zeros(buffer.piece.cores, dtype=np.int64)
        return Held(buffer, placed, start, count, none, buffer.size_bytes)

    def _new(self, held: Held) -> None:
        if held.buffer.name in self.held:
            raise WrongError(f"there is a buffer '{shown(held.buffer.name)}' already")

    def _count(self, held: Held) -> None:
        self.held[held.buffer.name] = held
        self.used_bytes += held.counted_bytes
        self.peak_bytes = max(self.peak_bytes, self.used_bytes)
        if self.used_bytes > self.program.core_bytes:
            raise WrongError(
                f"{shown(held.buffer.name)} needs {held.counted_bytes} bytes, which makes "
                f"{self.used_bytes} of the {self.program.core_bytes} that a core has"
            )
