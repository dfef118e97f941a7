"""Typed access to a node's attributes and optional inputs."""

from collections.abc import Sequence
from typing import cast

from t10c.onnx_import.resolved import ResolvedNode


class LoweringError(Exception):
    """Why a node cannot be lowered, in a few words; the caller says which node."""


class DamagedNodeError(Exception):
    """Why a node is not valid, whoever would run it, in a few words; the caller says which node."""


DAMAGED = (ArithmeticError, LookupError, MemoryError, TypeError, ValueError)
"""What arithmetic on the operands of a damaged node may raise."""

ENUMERATION_LIMIT = 2**24
"""Most values that the import computes one by one: positions, masks, matrices."""


def check_enumerable(count: int, what: str) -> None:
    """Raise LoweringError where there are more values than the import may compute."""
    if count > ENUMERATION_LIMIT:
        raise LoweringError(f"{count:,} {what} are more than {ENUMERATION_LIMIT:,}")


def integer(node: ResolvedNode, name: str, default: int) -> int:
    """An integer attribute."""
    return int(cast(int, node.attributes.get(name, default)))


def number(node: ResolvedNode, name: str, default: float) -> float:
    """A floating-point attribute."""
    return float(cast(float, node.attributes.get(name, default)))


def text(node: ResolvedNode, name: str, default: str) -> str:
    """A string attribute."""
    value = node.attributes.get(name, default)
    return value.decode() if isinstance(value, bytes) else str(value)


def integers(node: ResolvedNode, name: str) -> tuple[int, ...] | None:
    """A list-of-integers attribute, None where it is absent."""
    value = node.attributes.get(name)
    return None if value is None else tuple(int(item) for item in cast(Sequence[int], value))


def argument(node: ResolvedNode, index: int) -> str:
    """The name of an input, '' where it is absent."""
    return node.inputs[index] if index < len(node.inputs) else ""


def result(node: ResolvedNode, index: int) -> str:
    """The name of an output, '' where it is absent."""
    return node.outputs[index] if index < len(node.outputs) else ""


def normalise_axes(axes: Sequence[int], rank: int) -> tuple[int, ...]:
    """Axes counted from the front, in rising order; raises LoweringError if one is out of range."""
    if any(not -rank <= axis < rank for axis in axes):
        raise LoweringError(f"axes {list(axes)} do not fit a tensor of rank {rank}")
    return tuple(sorted({axis % rank for axis in axes}))
