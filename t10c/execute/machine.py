"""A machine that runs device programs: one array per buffer, the core being its first dimension.

It reads only the program. Data lie where instructions put them: a shift permutes cores, an exchange
takes elements from the buffers that claim to hold them, and a compute step uses what is at the
offsets that the program states. So a wrong program gives wrong numbers.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from t10c.errors import VerificationError
from t10c.execute.element_types import Array, BoolArray, DType, dtype_of
from t10c.execute.kernels import (
    Partial,
    Tile,
    body_type,
    combine,
    contribution,
    fallback,
    finish,
    identity,
)
from t10c.execute.views import apply_view
from t10c.ir.expression import Operand, TensorExpression
from t10c.ir.formula import Value, evaluate
from t10c.ir.graph import LayoutOp
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
    Program,
    Reduce,
    Section,
    Shift,
    Store,
)
from t10c.program.placed import (
    Placed,
    collect,
    hull,
    open_axes,
    part_origin,
    per_core,
    place_piece,
    place_range,
    spread,
)
from t10c.program.views import known_elements
from t10c.program.windows import sliding_windows


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


@dataclass
class _Memory:
    """A buffer's contents: several arrays where partial results need them, none while undefined."""

    buffer: Buffer
    placed: Placed
    arrays: tuple[Array, ...] = ()
    cleared: bool = False
    kind: DType | None = None
    """For partial results: element type of the body's values."""


class _Memories(dict[str, _Memory]):
    """Buffers by name."""

    def __missing__(self, name: str) -> _Memory:
        raise VerificationError(f"there is no buffer '{name}' when it is used")


class Machine:
    """The cores of a program with what is in their memory, from the first inference on.

    `weights` gives the value of every tensor that the program loads once.
    """

    def __init__(self, program: Program, weights: Mapping[str, Array]) -> None:
        self.program = program
        self.tensor = {tensor.name: tensor for tensor in program.tensors}
        self.views = {view.output: view for view in program.views}
        self.memory = _Memories()
        self.inferences = 0
        self._host: Mapping[str, Array] = weights
        self._outputs: dict[str, Array] = {}
        self._section(program.load)
        self._host = {}  # cores have the weights now

    def run(
        self, inputs: Mapping[str, Array], observer: Observer | None = None
    ) -> dict[str, Array]:
        """One inference: the graph outputs of the inputs, by name."""
        self._host, self._outputs = inputs, {}
        self._section(self.program.begin)
        for section in self.program.sections:
            self._section(section, observer)
        self._section(self.program.end)
        self.inferences += 1
        return self._outputs

    def _section(self, section: Section, observer: Observer | None = None) -> None:
        values: dict[str, Value] = {
            "core": np.arange(self.program.core_count, dtype=np.int64),
            "run": self.inferences,
        }
        for name, formula in section.values:
            values[name] = evaluate(formula, values)
        _Run(self, section.name, values, observer).instructions(section.instructions)

    def load(self, name: str) -> None:
        """The host writes what it has for the buffer's tensor."""
        memory = self.memory[name]
        tensor = self.tensor[memory.buffer.tensor]
        value = self._host[tensor.name].astype(dtype_of(tensor.element_type), copy=False)
        memory.arrays = (spread(value, memory.placed),)

    def store(self, name: str, sources: Iterable[str]) -> None:
        """The host reads a graph output."""
        self._outputs[name] = self.value(name, sources)

    def value(self, tensor: str, sources: Iterable[str], into: Placed | None = None) -> Array:
        """A whole tensor, collected from buffers that hold it or the tensors it is a view of.

        Elements that `into` does not need may be missing; it needs all if it is not given.
        """
        holders: dict[str, list[_Memory]] = {}
        for name in sources:
            memory = self.memory[name]
            holders.setdefault(memory.buffer.tensor, []).append(memory)
        value, known = self._value(tensor, holders)
        if known is None:
            return value
        missing = ~known
        if into is not None:
            needed = np.zeros(value.shape, dtype=bool)
            everything = np.broadcast_to(np.True_, (into.piece.cores, *into.piece.shape))
            collect(everything, into, needed, needed)
            missing &= needed
        if missing.any():
            index = tuple(int(i) for i in np.argwhere(missing)[0])
            raise VerificationError(f"no core holds {tensor}{list(index)}")
        return value

    def _value(
        self, tensor: str, holders: Mapping[str, list[_Memory]]
    ) -> tuple[Array, BoolArray | None]:
        """What is known of a tensor, and which of its elements these are: None for all."""
        fact = self.tensor[tensor]
        kind = dtype_of(fact.element_type)
        if 0 in fact.shape:
            return np.zeros(fact.shape, kind), None
        view = self.views.get(tensor)
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
        result[~covered] = _rubbish(kind)
        rest = {name: found for name, found in holders.items() if name != tensor}
        if view is None or not rest:
            return result, covered
        other, known = self._viewed(view, rest)
        return np.where(covered, result, other), None if known is None else covered | known

    def _viewed(
        self, view: LayoutOp, holders: Mapping[str, list[_Memory]]
    ) -> tuple[Array, BoolArray | None]:
        """A tensor that is a view of others, as `_value`."""
        parts = [self._value(name, holders) for name in view.inputs]
        fact = self.tensor[view.output]
        shapes = [*(value.shape for value, _ in parts), fact.shape]
        known = known_elements(view, [marks for _, marks in parts], shapes)
        return apply_view(view, [value for value, _ in parts], fact), known


class _Run:
    """One section under way: `values` are the names its formulas may use."""

    def __init__(
        self, machine: Machine, section: str, values: dict[str, Value], observer: Observer | None
    ) -> None:
        self.machine, self.memory, self.section = machine, machine.memory, section
        self.values, self.observer = values, observer

    def instructions(self, instructions: tuple[Instruction, ...]) -> None:
        """Run instructions in order."""
        for instruction in instructions:
            match instruction:
                case Loop():
                    self._loop(instruction)
                case Compute():
                    self._compute(instruction)
                case Shift():
                    self._shift(instruction)
                case Allocate(buffer=buffer):
                    self._allocate(buffer)
                case Free(buffer=name):
                    self.memory.pop(name, None)
                case Load(buffer=name):
                    self.machine.load(name)
                case Store(tensor=tensor, sources=sources):
                    self.machine.store(tensor, sources)
                case Exchange(kind=kind, moves=moves):
                    self._exchange(moves)
                    if kind == "copy":
                        self._finished(moves[0].into)
                case Clear(buffer=name):
                    self.memory[name] = replace(self.memory[name], arrays=(), cleared=True)
                case Reduce():
                    self._reduce(instruction)
                case Finish():
                    self._finish(instruction)
                case Keep():
                    self._keep(instruction)

    def _loop(self, loop: Loop) -> None:
        for turn in range(loop.count):
            self.values[loop.counter] = turn
            self.instructions(loop.body)
            if turn + 1 < loop.count:
                self.instructions(loop.between)
        del self.values[loop.counter]

    def _allocate(self, buffer: Buffer) -> None:
        self.memory[buffer.name] = _Memory(buffer, place_piece(buffer.piece, self.values))

    def _exchange(self, moves: tuple[Move, ...]) -> None:
        arrived = []
        for move in moves:
            target = self.memory[move.into]
            own = self._in_place(move, target)
            if own is not None:
                arrived.append(own)
                continue
            value = self.machine.value(move.tensor, move.sources, target.placed)
            fact = self.machine.tensor[target.buffer.tensor]
            value = value.astype(dtype_of(fact.element_type), copy=False)
            arrived.append(spread(value, target.placed))
        for move, array in zip(moves, arrived, strict=True):
            self.memory[move.into].arrays = (array,)

    def _in_place(self, move: Move, target: _Memory) -> Array | None:
        """What cores hold of the tensor already, if that is just what they need, else None."""
        source = self.memory[move.sources[0]] if move.sources else None
        if source is None or source.buffer.tensor != move.tensor or not source.arrays:
            return None
        fact = self.machine.tensor[target.buffer.tensor]
        if source.arrays[0].dtype != dtype_of(fact.element_type):
            return None
        return source.arrays[0] if source.placed.lies_as(target.placed) else None

    def _kernel(self, number: int) -> tuple[TensorExpression, dict[str, Operand]]:
        expression = self.machine.program.kernels[number]
        return expression, {operand.name: operand for operand in expression.operands}

    def _compute(self, step: Compute) -> None:
        expression, operands = self._kernel(step.kernel)
        lengths = {r.axis: r.length for r in step.tile}
        windows = {
            access.operand: self._read(access, operands[access.operand], lengths)
            for access in step.inputs
        }
        result = self.memory[step.output.buffer]
        if expression.kernel == "fallback":
            whole = {name: window[0] for name, window in windows.items()}
            value = fallback(expression, whole)
            result.arrays = (value.reshape(1, *result.buffer.piece.shape),)
            return
        start, stop = {}, {}
        for r in step.tile:
            start[r.axis], stop[r.axis] = place_range(r, step.cores, self.values)
        tile = Tile(expression, start, lengths, stop)
        given = contribution(tile, windows)
        if result.kind is None:
            result.kind = body_type(expression, windows)
        if not result.arrays:
            result.arrays = self._undefined(expression, result, given)
        self._combine(tile, result, step.output, given)

    def _undefined(self, expression: TensorExpression, memory: _Memory, like: Partial) -> Partial:
        """What is in a buffer of partial results before the first contribution."""
        shape = (memory.buffer.piece.cores, *memory.buffer.piece.shape)
        kinds = tuple(array.dtype for array in like)
        if memory.cleared:
            return identity(expression, shape, *kinds)
        return tuple(np.full(shape, _rubbish(kind)) for kind in kinds)

    def _combine(self, tile: Tile, memory: _Memory, access: Access, given: Partial) -> None:
        """Combine a contribution into its part of a buffer.

        Points that do not exist on a core lie among those of others where a dimension has several
        axes, so they are left out.
        """
        expression, lengths = tile.expression, tile.length
        output, exist = expression.output, _existing_output(tile)
        begin, extent = self._part(memory, access, lengths)
        opened = []
        for array in memory.arrays:
            window = _window(array, begin, extent, copy=True)
            opened.append((array, window, open_axes(window, output.dims, output.axes, lengths)))
        merged = combine(expression, tuple(view for _, _, view in opened), given)
        for (array, window, view), value in zip(opened, merged, strict=True):
            np.copyto(view, value, where=exist)
            _write(array, begin, extent, window)

    def _part(
        self, memory: _Memory, access: Access, lengths: Mapping[str, int]
    ) -> tuple[list[Value], tuple[int, ...]]:
        """Where a part of a buffer begins and what it spans; grows the arrays to hold it.

        Tiles beyond the end of a short block reach past the piece; nobody reads what lies there.
        """
        piece = memory.buffer.piece
        begin = part_origin(piece, access, lengths, self.values)
        begin = [b if isinstance(b, int) else b[: piece.cores] for b in begin]
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

    def _read(self, access: Access, operand: Operand, lengths: Mapping[str, int]) -> Array:
        """A part of an input buffer: (cores, *hull of the part)."""
        memory = self.memory[access.buffer]
        if not memory.arrays:
            raise VerificationError(f"{self.section}: {access.buffer} is read before it is written")
        if memory.buffer.piece.dims != operand.dims:
            raise VerificationError(
                f"{self.section}: {access.buffer} has not the dimensions of {access.operand}"
            )
        begin, extent = self._part(memory, access, lengths)
        return _window(memory.arrays[0], begin, extent)

    def _shift(self, shift: Shift) -> None:
        memory = self.memory[shift.buffer]
        source = per_core(evaluate(shift.source, self.values), memory.buffer.piece.cores)
        memory.arrays = tuple(array[source] for array in memory.arrays)

    def _reduce(self, step: Reduce) -> None:
        """Every core of a group gets the combination of all; it uses its share of it only."""
        expression, _ = self._kernel(step.kernel)
        memory = self.memory[step.buffer]
        group = per_core(evaluate(step.group, self.values), step.cores)
        rank = per_core(evaluate(step.rank, self.values), step.cores)
        order = np.lexsort((rank, group))
        if not np.array_equal(rank[order].reshape(-1, step.count)[0], np.arange(step.count)):
            raise VerificationError(f"{self.section}: ranks of a reduction are not 0, 1, 2, ...")
        parts = [array[order].reshape(-1, step.count, *array.shape[1:]) for array in memory.arrays]
        merged: Partial = tuple(part[:, 0] for part in parts)
        for number in range(1, step.count):
            merged = combine(expression, merged, tuple(part[:, number] for part in parts))
        place = np.empty(step.cores, dtype=np.int64)
        place[order] = np.arange(step.cores) // step.count
        memory.arrays = tuple(array[place] for array in merged)

    def _finish(self, step: Finish) -> None:
        expression, operands = self._kernel(step.kernel)
        memory = self.memory[step.result.buffer]
        if not memory.arrays:
            raise VerificationError(f"{self.section}: {step.result.buffer} was never computed")
        placed = place_piece(step.into.piece, self.values)
        fact = self.machine.tensor[step.into.tensor]
        kind = dtype_of(fact.element_type)
        output = expression.output
        if expression.kernel == "fallback":
            finished = memory.arrays[0].astype(kind)
        else:
            lengths = {axis: placed.piece.lengths[axis] for axis in output.axes}
            begin, extent = self._part(memory, step.result, lengths)
            partial = tuple(
                open_axes(_window(array, begin, extent), output.dims, output.axes, lengths)
                for array in memory.arrays
            )
            windows = {
                access.operand: self._read(access, operands[access.operand], lengths)
                for access in step.inputs
            }
            start = {axis: placed.start[axis] for axis in output.axes}
            stop = {axis: placed.stop[axis] for axis in output.axes}
            tile = Tile(expression, start, lengths, stop)
            value = finish(tile, partial, windows, memory.kind)
            finished = np.zeros((placed.piece.cores, *extent), kind)
            open_axes(finished, output.dims, output.axes, lengths)[...] = value.astype(kind)
        del self.memory[step.result.buffer]
        self.memory[step.into.name] = _Memory(step.into, placed, (finished,))
        self._finished(step.into.name)

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
                    lambda: self.machine.value(tensor, (name,)),
                )
            )

    def _keep(self, step: Keep) -> None:
        memory = self.memory[step.part.buffer]
        lengths = step.into.piece.lengths
        begin, extent = self._part(memory, step.part, lengths)
        arrays = tuple(
            array if array.shape[1:] == extent else _window(array, begin, extent, copy=True)
            for array in memory.arrays  # a copy of a part, so that the rest is given back
        )
        del self.memory[step.part.buffer]
        placed = place_piece(step.into.piece, self.values)
        self.memory[step.into.name] = _Memory(step.into, placed, arrays)


def _existing_output(tile: Tile) -> Array:
    """Which points of the output exist on a core; broadcasts to (cores, *output axes)."""
    output = tile.expression.output
    found = np.ones((1,) * (len(output.axes) + 1), bool)
    if all(len(dim.terms) < 2 for dim in output.dims):
        return found
    for position, axis in enumerate(output.axes, start=1):
        exist = tile.existing(axis)
        if exist is not None:
            shape = [1] * found.ndim
            shape[0], shape[position] = exist.shape
            found = found & exist.reshape(shape)
    return found


def _rubbish(kind: DType) -> Array:
    """What undefined memory holds: a value that no right result survives."""
    return np.asarray(np.nan if kind.kind in "fV" else 90).astype(kind)


def _window(array: Array, begin: list[Value], extent: tuple[int, ...], copy: bool = False) -> Array:
    """The part of every core's array that begins at `begin`: (cores, *extent)."""
    if not extent:
        return array.copy() if copy else array
    if all(isinstance(b, int) for b in begin):
        part = array[:, *(slice(b, b + n) for b, n in zip(begin, extent, strict=True))]
        return part.copy() if copy else part
    windows = sliding_windows(array, extent, axis=tuple(range(1, array.ndim)))
    return np.asarray(windows[(np.arange(len(array)), *begin)])


def _write(array: Array, begin: list[Value], extent: tuple[int, ...], part: Array) -> None:
    """Put a part back."""
    if all(isinstance(b, int) for b in begin):
        array[:, *(slice(b, b + n) for b, n in zip(begin, extent, strict=True))] = part
        return
    windows = sliding_windows(array, extent, axis=tuple(range(1, array.ndim)), writeable=True)
    windows[(np.arange(len(array)), *begin)] = part
