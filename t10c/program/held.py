"""Buffers as the checker sees them: where their data lie, and what memory they take."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from t10c.ir.formula import IntArray, Value
from t10c.ir.graph import Tensor
from t10c.ir.program import Buffer, Program
from t10c.program.placed import Placed, place_piece

PIECE_LIMIT = 2**36
"""Most points of a piece on one core; more are taken for a mistake."""


class WrongError(Exception):
    """What is wrong with the instruction at hand."""


@dataclass
class Held:
    """A buffer: where its data lie now, whether it was written, bytes it counts for.

    Per axis `start` and `count` say where each core's data begin and how many points they are
    (cores,). `points` counts what was computed into a core's partial results (cores,), `complete`
    remembers whether the pieces make up the whole tensor.
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
            raise WrongError(f"there is no buffer '{name}' at this point")
        return self.held[name]

    def written(self, name: str) -> Held:
        """The same, and it has contents."""
        held = self.get(name)
        if not held.written:
            raise WrongError(f"{name} is read before it is written")
        return held

    def allocate(self, buffer: Buffer, absorbed: str, values: Mapping[str, Value]) -> None:
        """A new buffer, which may take over the memory of another."""
        if buffer.name in self.held:
            raise WrongError(f"there is a buffer '{buffer.name}' already")
        held = self._new(buffer, values)
        if absorbed:
            old = self.get(absorbed)
            self.used_bytes -= old.counted_bytes
            old.counted_bytes = 0
        self._count(held)

    def free(self, name: str) -> None:
        """Give back a buffer's memory."""
        self.used_bytes -= self.get(name).counted_bytes
        del self.held[name]

    def turn_into(self, old: str, buffer: Buffer, values: Mapping[str, Value]) -> None:
        """A written buffer that takes over (part of) the memory of another."""
        held = self._new(buffer, values)
        self.free(old)
        if buffer.name in self.held:
            raise WrongError(f"there is a buffer '{buffer.name}' already")
        self._count(held)
        held.written = True

    def _new(self, buffer: Buffer, values: Mapping[str, Value]) -> Held:
        """A buffer that is well made."""
        piece = buffer.piece
        if buffer.tensor not in self.tensor:
            raise WrongError(f"{buffer.name} is a piece of the unknown tensor '{buffer.tensor}'")
        tensor = self.tensor[buffer.tensor]
        if not 1 <= piece.cores <= self.program.core_count:
            raise WrongError(f"{buffer.name} lies on {piece.cores} cores")
        if buffer.copies not in (1, 2):
            raise WrongError(f"{buffer.name} has {buffer.copies} copies")
        least = tensor.bits or self.program.element_bits
        if buffer.bits < least:
            raise WrongError(
                f"{buffer.name} has {buffer.bits} bits for an element, {tensor.name} needs {least}"
            )
        if not piece.flat and tuple(dim.size for dim in piece.dims) != tensor.shape:
            raise WrongError(f"{buffer.name} has not the shape of {tensor.name}")
        points = math.prod(piece.lengths.values())
        if not min(points, math.prod(piece.shape)) <= buffer.elements <= PIECE_LIMIT:
            raise WrongError(
                f"{buffer.name} counts {buffer.elements} elements, but has {points} points"
            )
        placed = place_piece(piece, values)
        start = dict(placed.start)
        count = {axis: np.maximum(placed.stop[axis] - start[axis], 0) for axis in start}
        none = np.zeros(piece.cores, dtype=np.int64)
        return Held(buffer, placed, start, count, none, buffer.size_bytes)

    def _count(self, held: Held) -> None:
        self.held[held.buffer.name] = held
        self.used_bytes += held.counted_bytes
        self.peak_bytes = max(self.peak_bytes, self.used_bytes)
        if self.used_bytes > self.program.core_bytes:
            raise WrongError(
                f"{held.buffer.name} needs {held.counted_bytes} bytes, which makes "
                f"{self.used_bytes} of the {self.program.core_bytes} that a core has"
            )
