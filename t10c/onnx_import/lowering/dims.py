"""Small constructors for axes and affine dimensions; axes of length 1 are left out everywhere."""

from collections.abc import Collection, Sequence
from functools import lru_cache

from t10c.ir.expression import Axis, Dim, Role

Terms = tuple[tuple[str, int], ...]
Shape = tuple[int, ...]


class AxisList:
    """Collects the axes of an expression in order."""

    def __init__(self) -> None:
        self._axes: list[Axis] = []

    def add(self, name: str, length: int, role: Role, reduction: bool = False) -> Terms:
        """Declare an axis; returns the term to use it with, nothing for an axis of length 1."""
        if length == 1:
            return ()
        self._axes.append(Axis(name, length, role, reduction))
        return ((name, 1),)

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The axes declared so far."""
        return tuple(self._axes)


def scaled(terms: Terms, stride: int) -> Terms:
    """The same axes at a stride."""
    return tuple((axis, coefficient * stride) for axis, coefficient in terms)


@lru_cache(maxsize=1024)
def plain_dims(shape: Shape, prefix: str = "d") -> tuple[Dim, ...]:
    """One axis per dimension, `d0`, `d1`, ...; dimensions of size 1 have no axis."""
    return tuple(
        Dim((), 1) if size == 1 else Dim(((f"{prefix}{index}", 1),), size)
        for index, size in enumerate(shape)
    )


def plain_axes(shape: Shape, roles: Sequence[Role]) -> tuple[Axis, ...]:
    """The axes that `plain_dims` uses, with a role per dimension."""
    return tuple(
        Axis(f"d{index}", size, role, role == "reduced")
        for index, (size, role) in enumerate(zip(shape, roles, strict=True))
        if size != 1
    )


def reduced_dims(dims: tuple[Dim, ...], reduced: Collection[int], target: Shape) -> tuple[Dim, ...]:
    """Dimensions of a reduction's result: a reduced one has size 1 or goes, as `target` says."""
    if len(target) == len(dims):
        return tuple(Dim((), 1) if d in reduced else dim for d, dim in enumerate(dims))
    return tuple(dim for d, dim in enumerate(dims) if d not in reduced)


@lru_cache(maxsize=1024)
def broadcast_dims(shape: Shape, output: Shape, first: int | None = None) -> tuple[Dim, ...]:
    """Dimensions of an operand that broadcasts to `output`, over the axes of `plain_dims(output)`.

    The operand is aligned right as in NumPy, or with its first dimension at output dimension
    `first`. A dimension of size 1 against a longer one has no axis.
    """
    start = len(output) - len(shape) if first is None else first
    return tuple(
        Dim((), 1) if size == 1 else Dim(((f"d{start + index}", 1),), size)
        for index, size in enumerate(shape)
    )


@lru_cache(maxsize=1024)
def squeezed(shape: Shape) -> Shape:
    """The shape without dimensions of size 1."""
    return tuple(size for size in shape if size != 1)
