"""The device program: what every core allocates, fetches, computes and shifts (docs/program.md).

A program is a list of sections, one per planned operator or copy, of few instructions. What differs
between cores, steps and inferences is stated by formulas (formula.py) over `core`, the values
named in the section, loop counters and `run` (number of inferences before this one), so that
the size of a program does not depend on the number of cores or steps.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from t10c.ir.expression import Dim, TensorExpression, hull
from t10c.ir.graph import LayoutOp, Tensor

Formula = str
"""Text of a formula, see formula.py."""

ExchangeKind = Literal["setup", "transition", "gather", "scatter", "copy"]


@dataclass(frozen=True, slots=True)
class Range:
    """Indices of an axis on a core: at most `length` from `start` on, all below every `stops`.

    An axis that no dimension of the piece has only says which cores hold anything.
    """

    axis: str
    start: Formula
    length: int
    stops: tuple[Formula, ...] = field(default=(), metadata={"omit_default": True})


@dataclass(frozen=True, slots=True)
class Piece:
    """What every core below `cores` holds of a tensor: elements at the points of `ranges`.

    Dimension d of the tensor has index `offset + sum(stride * axis)`. A core's memory has the hull
    of the points, the first of them at local index 0; points outside the tensor are padding.
    A `flat` piece is a run of the row-major order; its only range counts elements.
    Invariants (checked): there is one range of every axis, and its length is positive.
    """

    cores: int
    dims: tuple[Dim, ...]
    ranges: tuple[Range, ...]
    flat: bool = field(default=False, metadata={"omit_default": True})

    def __post_init__(self) -> None:
        axes = [r.axis for r in self.ranges]
        if len(set(axes)) != len(axes):
            raise ValueError(f"several ranges of one axis in {axes}")
        if any(r.length < 1 for r in self.ranges):
            raise ValueError("every range has a length of at least 1")
        if self.flat and (len(axes) != 1 or self.dims):
            raise ValueError("a flat piece has one range and no dimensions")
        without = {axis for dim in self.dims for axis, _ in dim.terms} - set(axes)
        if without:
            raise ValueError(f"axes without a range: {sorted(without)}")

    @property
    def lengths(self) -> dict[str, int]:
        """Static length of every axis."""
        return {r.axis: r.length for r in self.ranges}

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the memory on a core: the hull of the points."""
        if self.flat:
            return (self.ranges[0].length,)
        return hull(self.dims, self.lengths)


@dataclass(frozen=True, slots=True)
class Buffer:
    """A piece in the memory of cores: `elements` of `bits` each count on every core.

    `tensor` names what it is a piece of. Buffers that are partial results hold what the kernel
    accumulates. `copies` is 2 where a shift receives into a second buffer.
    """

    name: str
    tensor: str
    piece: Piece
    elements: int
    bits: int
    copies: int = field(default=1, metadata={"omit_default": True})

    @property
    def size_bytes(self) -> int:
        """Bytes that the buffer takes on every core: packed elements, all copies."""
        return self.copies * -(-self.elements * self.bits // 8)


@dataclass(frozen=True, slots=True)
class Access:
    """A buffer as an instruction uses it: where along each axis its part begins, 0 if not named.

    `operand` is the kernel's operand that the buffer stands for.
    """

    operand: str
    buffer: str
    offsets: tuple[tuple[str, Formula], ...] = field(default=(), metadata={"omit_default": True})


@dataclass(frozen=True, slots=True)
class Allocate:
    """Reserve memory for a buffer; its contents are undefined.

    The memory of a buffer that it `absorbs` becomes part of it, and is readable until it is freed.
    """

    buffer: Buffer
    absorbs: str = field(default="", metadata={"omit_default": True})


@dataclass(frozen=True, slots=True)
class Free:
    """Give back the memory of a buffer."""

    buffer: str


@dataclass(frozen=True, slots=True)
class Load:
    """The host writes a graph input or a weight into a buffer."""

    buffer: str


@dataclass(frozen=True, slots=True)
class Store:
    """The host reads a graph output from the buffers that hold it, through views."""

    tensor: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Move:
    """Fill the buffer `into` with its piece of `tensor`, from the pieces in `sources`.

    A core takes what it holds itself from its own memory. `tensor` is one that a source has, or
    follows from those by views. A `partial` move fills what the sources hold of the tensor, and
    leaves the rest of `into` as it is: the buffer is whole once such moves have filled all of it.
    """

    into: str
    tensor: str
    sources: tuple[str, ...]
    partial: bool = field(default=False, metadata={"omit_default": True})


@dataclass(frozen=True, slots=True)
class Exchange:
    """One exchange phase between all cores."""

    kind: ExchangeKind
    moves: tuple[Move, ...]


@dataclass(frozen=True, slots=True)
class Clear:
    """Set a buffer of partial results to what the kernel accumulates onto."""

    buffer: str
    kernel: int


@dataclass(frozen=True, slots=True)
class Compute:
    """The kernel's body on one tile: its contribution is combined into the output's part.

    Points from a range's `stops` on do not exist on that core. Cores from `cores` on are idle.
    """

    kernel: int
    cores: int
    tile: tuple[Range, ...]
    inputs: tuple[Access, ...]
    output: Access


@dataclass(frozen=True, slots=True)
class Shift:
    """Every core replaces its buffer by the buffer of core `source`, all at the same time."""

    buffer: str
    source: Formula


@dataclass(frozen=True, slots=True)
class Reduce:
    """Combine the partial results of the `count` cores of a group, each keeping its share.

    Cores with equal `group` have ranks 0 to count - 1. What a core keeps is said by the `Finish`
    that follows; the rest of its buffer is undefined then.
    """

    buffer: str
    kernel: int
    cores: int
    group: Formula
    rank: Formula
    count: int


@dataclass(frozen=True, slots=True)
class Finish:
    """Turn partial results into the finished piece `into`, in place: mean, epilogue, final type.

    `result` says where the finished piece begins within the partial results.
    """

    kernel: int
    result: Access
    inputs: tuple[Access, ...]
    into: Buffer


@dataclass(frozen=True, slots=True)
class Keep:
    """Keep a part of a buffer as the buffer `into` and give back the rest, in place."""

    part: Access
    into: Buffer


@dataclass(frozen=True, slots=True)
class Loop:
    """Run `body` `count` times, the counter from 0 on, with `between` between two rounds.

    In `between` the counter is that of the round just done. A loop whose rounds are alike needs no
    name for its counter ('').
    """

    counter: str = field(default="", metadata={"omit_default": True})
    count: int = 1
    body: tuple["Instruction", ...] = ()
    between: tuple["Instruction", ...] = field(default=(), metadata={"omit_default": True})


Instruction = (
    Allocate
    | Free
    | Load
    | Store
    | Exchange
    | Clear
    | Compute
    | Shift
    | Reduce
    | Finish
    | Keep
    | Loop
)


@dataclass(frozen=True, slots=True)
class Section:
    """The instructions of one planned operator or copy, with the values its formulas name.

    `values` are formulas evaluated in order when the section begins.
    """

    name: str
    op_type: str
    values: tuple[tuple[str, Formula], ...]
    instructions: tuple[Instruction, ...]


@dataclass(frozen=True, slots=True)
class Origin:
    """What a program was made from: hash of the plan, name and hash of the hardware."""

    plan_hash: str
    hardware: str
    hardware_hash: str


@dataclass(frozen=True)
class Program:
    """A model as a device program for `core_count` cores of `core_bytes` each.

    `load` runs once; `sections` run in order at every inference, between `begin`, in which the host
    writes the inputs, and `end`, in which it reads the outputs. `views` are the layout-only
    operators that move nothing, in execution order. `reserved_bytes` is set aside on every core.
    `positions` are x and y of every core on a mesh or torus, formulas over `core` alone; None where
    all cores are neighbours.
    """

    name: str
    core_count: int
    core_bytes: int
    reserved_bytes: int
    element_bits: int
    tensors: tuple[Tensor, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    kernels: tuple[TensorExpression, ...]
    views: tuple[LayoutOp, ...]
    load: Section
    begin: Section
    sections: tuple[Section, ...]
    end: Section
    origin: Origin | None = field(default=None, metadata={"omit_default": True})
    positions: tuple[Formula, Formula] | None = field(default=None, metadata={"omit_default": True})

    def all_sections(self) -> Iterator[Section]:
        """All sections in the order in which they run the first time."""
        yield self.load
        yield self.begin
        yield from self.sections
        yield self.end
