"""Tensor expressions: `out[affine(axes)] (op)= body(in1[affine(axes)], ...)` over named axes.

A `TensorExpression` says what one operator computes, without tensor names, so that two operators
with equal expressions are the same planning problem.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Literal

Kernel = Literal["matmul", "conv", "pool", "pointwise", "reduce", "gather", "rowwise", "fallback"]
ReduceOp = Literal["sum", "max", "min", "mean", "prod"]
Role = Literal[
    "batch",  # matmul, conv: in every operand
    "m",  # matmul: in the first input and the output
    "n",  # matmul: in the second input and the output
    "k",  # matmul: in both inputs, reduced
    "out_channel",
    "in_channel",
    "out_spatial",
    "kernel",
    "group",
    "parallel",  # pointwise, pool channels, kept axes of a reduce, rows of a row-wise operator
    "reduced",  # reduced axes of a reduce
    "normalised",  # axes of a row-wise operator over which it normalises; never cut
    "index",  # gather: axes of the index tensor
    "element",  # gather: axes of the table that are copied
    "table",  # gather: axes of the table that the index selects from
    "whole",  # fallback: every dimension of every operand is such an axis of its own; never cut
]

ELEMENT_LIMIT = 2**48
"""Larger tensors and operators are taken for a mistake; sizes and costs then stay in 64 bits."""

MOST_BITS = 64
"""Width of the widest element."""

NARROW_BITS = 8
"""Both inputs of a product at most this wide: kernels for narrow integers can compute it."""


@dataclass(frozen=True, slots=True)
class Axis:
    """A loop index of an expression; `role` tells its kernel what the axis means."""

    name: str
    length: int
    role: Role
    reduction: bool = False

    @property
    def splittable(self) -> bool:
        """Whether the axis may be cut, over cores or in time."""
        return self.role not in ("normalised", "whole")


@dataclass(frozen=True, slots=True)
class Dim:
    """One dimension of an operand: `offset + sum(stride * axis)`, within a tensor of `size`.

    `offset` is negative for leading padding. A dimension without terms is read at `offset` only,
    or in full at every point if its `entries` belong together (the index tuples of a GatherND).
    """

    terms: tuple[tuple[str, int], ...]
    size: int
    offset: int = 0
    entries: bool = field(default=False, metadata={"omit_default": True})

    @property
    def reach(self) -> int:
        """Elements that are read along the dimension at a single point."""
        return self.size if self.entries else 1

    def extent(self, lengths: Mapping[str, int]) -> int:
        """Elements from the first to the last that a box of axis lengths reads, halo included."""
        return self.reach + sum(abs(stride) * (lengths[a] - 1) for a, stride in self.terms)


def hull(dims: Iterable[Dim], lengths: Mapping[str, int]) -> tuple[int, ...]:
    """Shape of the memory that a box of axis lengths spans; padding is held too."""
    return tuple(dim.extent(lengths) for dim in dims)


@dataclass(frozen=True, slots=True)
class Operand:
    """A tensor as an expression accesses it.

    `fused` operands (bias, scale, ...) came in by fusion, or are the values per row that a chain
    made of a row-wise operator passes on: they are held whole per sub-tensor and never rotate.
    `bits` is the stored width of one element; 0 stands for the specification's element type.
    """

    name: str
    dims: tuple[Dim, ...]
    fused: bool = False
    bits: int = field(default=0, metadata={"omit_default": True})

    def __post_init__(self) -> None:
        if not 0 <= self.bits <= MOST_BITS:
            raise ValueError(f"{self.name} is {self.bits} bits wide; 0 to {MOST_BITS} are possible")

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the axes the operand has, in order of first use."""
        return tuple(dict.fromkeys(axis for dim in self.dims for axis, _ in dim.terms))


@dataclass(frozen=True, slots=True)
class ScalarStep:
    """One scalar function of a body or epilogue, named by its ONNX operator.

    `inputs` name operands of the expression (`A`), results of earlier steps (`s0`, `s1`, ...;
    body and epilogue count on), the value the kernel has produced (`acc`), or are literal numbers
    in text (`0.125`). `rows` says that a row-wise step works on one value per row. The attribute
    `as` names an element type that inputs are read in: narrow integers multiply as `int32`.
    """

    op: str
    inputs: tuple[str, ...]
    attributes: tuple[tuple[str, str | int | float], ...] = ()
    rows: bool = False

    @property
    def tensor_inputs(self) -> int:
        """Number of inputs that are not literals, at least 1: what its pointwise cost counts."""
        return max(1, sum(not is_literal(name) for name in self.inputs))

    def attribute(self, name: str, default: str | int | float) -> str | int | float:
        """The attribute called `name`, or the default."""
        return dict(self.attributes).get(name, default)


def is_literal(name: str) -> bool:
    """Whether a step's input is a literal number rather than the name of a value."""
    return name[:1] in "-+.0123456789" or name in {"inf", "nan"}


@dataclass(frozen=True)
class TensorExpression:
    """What one operator computes: axes, operands, reduction, body and fused epilogue.

    Invariants (checked): axis and operand names are unique, lengths are positive, every axis of
    an operand exists, fused operands are inputs.
    """

    kernel: Kernel
    axes: tuple[Axis, ...]
    inputs: tuple[Operand, ...]
    output: Operand
    body: tuple[ScalarStep, ...]
    reduce_op: ReduceOp | None = None
    epilogue: tuple[ScalarStep, ...] = ()

    def __post_init__(self) -> None:
        names = [axis.name for axis in self.axes]
        if len(set(names)) != len(names):
            raise ValueError(f"duplicate axis in {names}")
        operands = [operand.name for operand in self.operands]
        if len(set(operands)) != len(operands):
            raise ValueError(f"duplicate operand in {operands}")
        if any(axis.length < 1 for axis in self.axes):
            raise ValueError("every axis has a length of at least 1")
        unknown = {name for operand in self.operands for name in operand.axes} - set(names)
        if unknown:
            raise ValueError(f"operands use undeclared axes {sorted(unknown)}")
        if self.output.fused:
            raise ValueError("the output cannot be a fused operand")

    def __hash__(self) -> int:
        """The hash of its content, found once: expressions are looked up again and again."""
        return self._content_hash

    @cached_property
    def _content_hash(self) -> int:
        parts = (self.kernel, self.axes, self.inputs, self.output, self.body, self.epilogue)
        return hash(parts)

    def __getstate__(self) -> dict[str, Any]:
        """What other processes get: hashes of texts differ between processes."""
        return {name: value for name, value in vars(self).items() if name != "_content_hash"}

    @property
    def operands(self) -> tuple[Operand, ...]:
        """Inputs followed by the output."""
        return (*self.inputs, self.output)

    @cached_property
    def axis_index(self) -> dict[str, int]:
        """Position of each axis by name."""
        return {axis.name: index for index, axis in enumerate(self.axes)}

    @property
    def lengths(self) -> tuple[int, ...]:
        """Length of every axis, in axis order."""
        return tuple(axis.length for axis in self.axes)

    @property
    def points(self) -> int:
        """Size of the iteration space (for matmul and conv: multiply-accumulates)."""
        return math.prod(self.lengths)

    @property
    def narrow_product(self) -> bool:
        """Whether it is a matmul or conv whose two main inputs are both at most 8 bits wide."""
        if self.kernel not in ("matmul", "conv"):
            return False
        return all(0 < operand.bits <= NARROW_BITS for operand in self.inputs[:2])

    @cached_property
    def digest(self) -> str:
        """Stable content hash: equal for equal planning problems."""
        text = json.dumps(
            asdict(self, dict_factory=_without_defaults), sort_keys=True, separators=(",", ":")
        )
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def reads_all(self, operand: Operand) -> bool:
        """Whether every element of the operand's tensor is read at some point; no if in doubt."""
        names = [axis for dim in operand.dims for axis, _ in dim.terms]
        if len(set(names)) < len(names):  # a diagonal
            return False
        for dim in operand.dims:
            reached = {dim.offset}
            for axis, stride in dim.terms:
                steps = range(self.axes[self.axis_index[axis]].length)
                reached = {first + stride * step for first in reached for step in steps}
            if not dim.entries and not reached.issuperset(range(dim.size)):
                return False
        return True

    def lacks(self, operand: Operand) -> tuple[str, ...]:
        """Axes that `operand` does not have, in axis order: its sharing group's coordinates."""
        own = set(operand.axes)
        return tuple(axis.name for axis in self.axes if axis.name not in own)


def _without_defaults(items: list[tuple[str, Any]]) -> dict[str, Any]:
    """Fields as a mapping, so that a width or entries that are not set change no digest."""
    unset = {("bits", 0), ("entries", False)}
    return {n: v for n, v in items if n not in ("bits", "entries") or (n, v) not in unset}
