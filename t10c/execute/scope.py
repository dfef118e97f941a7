"""What an instruction sees: the program, the memory of the cores, and values of names."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from t10c.errors import VerificationError
from t10c.execute.element_types import Array, IntArray
from t10c.execute.memory import Memories, Memory
from t10c.execute.parts import part_origin, window
from t10c.ir.expression import Operand, TensorExpression, hull
from t10c.ir.formula import Value
from t10c.ir.program import Access, Formula, Program
from t10c.program.placed import per_core


@dataclass(frozen=True, slots=True)
class Scope:
    """Where instructions of a section run; `values` are those of its formulas' names at present."""

    section: str
    program: Program
    memory: Memories
    values: dict[str, Value]

    def per_core(self, formula: Formula, cores: int) -> IntArray:
        """A formula's values on the first `cores` cores, (cores,)."""
        return per_core(formula, cores, self.values)

    def kernel(self, number: int) -> tuple[TensorExpression, dict[str, Operand]]:
        """A kernel, and its operands by name."""
        expression = self.program.kernels[number]
        return expression, {operand.name: operand for operand in expression.operands}

    def read(self, access: Access, operand: Operand, lengths: Mapping[str, int]) -> Array:
        """A part of an input buffer: (cores, *hull of the part).

        Raises VerificationError if the buffer was not written or has other dimensions.
        """
        memory = self.memory[access.buffer]
        if not memory.arrays:
            raise VerificationError(f"{self.section}: {access.buffer} is read before it is written")
        if memory.buffer.piece.dims != operand.dims:
            raise VerificationError(
                f"{self.section}: {access.buffer} has not the dimensions of {access.operand}"
            )
        begin, extent = self.part(memory, access, lengths)
        return window(memory.arrays[0], begin, extent)

    def part(
        self, memory: Memory, access: Access, lengths: Mapping[str, int]
    ) -> tuple[list[Value], tuple[int, ...]]:
        """Where a part of a buffer begins and what it spans; grows the arrays to hold it.

        Tiles beyond the end of a short block reach past the piece; nobody reads what lies there.
        """
        piece = memory.buffer.piece
        begin = part_origin(piece, access, lengths, self.values)
        extent = hull(piece.dims, lengths)
        most = [int(np.max(b)) + n for b, n in zip(begin, extent, strict=True)]
        if any(np.min(b) < 0 for b in begin):
            raise VerificationError(f"{self.section}: reads before the start of {access.buffer}")
        grown = []
        for array in memory.arrays:
            more = [max(0, m - n) for m, n in zip(most, array.shape[1:], strict=True)]
            grown.append(np.pad(array, [(0, 0), *((0, m) for m in more)]) if any(more) else array)
        memory.arrays = tuple(grown)
        return begin, extent
