"""What is in the memory of all cores, and whole tensors collected from it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from t10c.errors import VerificationError
from t10c.execute.element_types import Array, BoolArray, DType, dtype_of
from t10c.execute.views import apply_view
from t10c.ir.graph import LayoutOp
from t10c.ir.program import Buffer, Program
from t10c.program.placed import Placed, collect, mark, spread
from t10c.program.views import known_elements


@dataclass
class Memory:
    """A buffer's contents: several arrays where partial results need them, none while undefined."""

    buffer: Buffer
    placed: Placed
    arrays: tuple[Array, ...] = ()
    cleared: bool = False
    kind: DType | None = None
    """For partial results: element type of the body's values."""
    lacking: BoolArray | None = None
    """Elements of the tensor that partial moves have not filled yet, None before the first."""


class Memories(dict[str, Memory]):
    """Buffers by name, and the tensors that they are pieces of."""

    def __init__(self, program: Program) -> None:
        super().__init__()
        self._tensor = {tensor.name: tensor for tensor in program.tensors}
        self._views = {view.output: view for view in program.views}

    def __missing__(self, name: str) -> Memory:
        raise VerificationError(f"there is no buffer '{name}' when it is used")

    def type_of(self, tensor: str) -> DType:
        """The element type of a tensor."""
        return dtype_of(self._tensor[tensor].element_type)

    def element_type(self, name: str) -> DType:
        """The element type of the tensor that a buffer is a piece of."""
        return self.type_of(self[name].buffer.tensor)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of the tensor that a buffer is a piece of."""
        return self._tensor[self[name].buffer.tensor].shape

    def value(self, tensor: str, sources: Iterable[str], into: Placed | None = None) -> Array:
        """A whole tensor, collected from buffers that hold it or the tensors it is a view of.

        Elements that `into` does not need may be missing; it needs all if it is not given.
        """
        value, known = self._value(tensor, self._holders(sources))
        if known is None:
            return value
        missing = ~known
        if into is not None:
            needed = np.zeros(value.shape, dtype=bool)
            mark(into, needed)
            missing &= needed
        if missing.any():
            index = tuple(int(i) for i in np.argwhere(missing)[0])
            raise VerificationError(f"no core holds {tensor}{list(index)}")
        return value

    def fill_partly(self, name: str, sources: Iterable[str]) -> bool:
        """Fill a buffer with what others hold of its tensor; whether it is whole now.

        The rest of it stays as it is.
        """
        memory = self[name]
        tensor = memory.buffer.tensor
        value, known = self._value(tensor, self._holders(sources))
        known = np.ones(value.shape, dtype=bool) if known is None else known
        if memory.lacking is None:
            memory.lacking = np.zeros(value.shape, dtype=bool)
            mark(memory.placed, memory.lacking)
        memory.lacking &= ~known
        new, at = spread(value, memory.placed), spread(known, memory.placed)
        old = memory.arrays[0] if memory.arrays else rubbish(value.dtype)
        memory.arrays = (np.where(at, new, old),)
        return not memory.lacking.any()

    def _holders(self, sources: Iterable[str]) -> dict[str, list[Memory]]:
        """Buffers by the tensors that they are pieces of."""
        holders: dict[str, list[Memory]] = {}
        for name in sources:
            memory = self[name]
            holders.setdefault(memory.buffer.tensor, []).append(memory)
        return holders

    def _value(
        self, tensor: str, holders: Mapping[str, list[Memory]]
    ) -> tuple[Array, BoolArray | None]:
        """What is known of a tensor, and which of its elements these are: None for all."""
        fact = self._tensor[tensor]
        kind = dtype_of(fact.element_type)
        if 0 in fact.shape:
            return np.zeros(fact.shape, kind), None
        view = self._views.get(tensor)
        if view is not None and tensor not in holders:
            return self._viewed(view, holders)
        result = np.zeros(fact.shape, kind)
        covered = np.zeros(fact.shape, dtype=bool)
        for memory in reversed(holders.get(tensor, [])):
            if not memory.arrays:
                raise VerificationError(f"{memory.buffer.name} is read before it is written")
            differing = collect(memory.arrays[0], memory.placed, result, covered)
            if len(differing):
                raise VerificationError(
                    f"cores {differing[0]} and {differing[1]} hold different values of the same"
                    f" part of {memory.buffer.name}"
                )
        if covered.all():
            return result, None
        result[~covered] = rubbish(kind)
        rest = {name: found for name, found in holders.items() if name != tensor}
        if view is None or not rest:
            return result, covered
        other, known = self._viewed(view, rest)
        return np.where(covered, result, other), None if known is None else covered | known

    def _viewed(
        self, view: LayoutOp, holders: Mapping[str, list[Memory]]
    ) -> tuple[Array, BoolArray | None]:
        """A tensor that is a view of others, as `_value`."""
        parts = [self._value(name, holders) for name in view.inputs]
        fact = self._tensor[view.output]
        shapes = [*(value.shape for value, _ in parts), fact.shape]
        known = known_elements(view, [marks for _, marks in parts], shapes)
        return apply_view(view, [value for value, _ in parts], fact), known


def rubbish(kind: DType) -> Array:
    """What undefined memory holds: a value that no right result survives."""
    return np.asarray(np.nan if kind.kind in "fV" else 90).astype(kind)
