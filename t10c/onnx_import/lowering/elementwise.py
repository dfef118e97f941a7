"""Pointwise operators from steps over arguments; what every other lowering uses for its epilogue.

A bias or scale is first a pointwise operator of its own; fusion.py moves it into the producer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from t10c.ir.expression import Axis, Dim, Operand, Role, ScalarStep, TensorExpression
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.dims import Shape, broadcast_dims, plain_axes, plain_dims

Attributes = tuple[tuple[str, str | int | float], ...]

_LETTERS = "ABDEGHIJKLMNPQRSTUVWYZ"
"""Operand names; C is the output, F begins fused operands, O and X are taken elsewhere."""


@dataclass(frozen=True, slots=True)
class Step:
    """A scalar step before operands have names: an int means that argument, a text is final."""

    op: str
    inputs: tuple[int | str, ...]
    attributes: Attributes = ()


@dataclass(frozen=True, slots=True)
class Argument:
    """A tensor with its dimensions over the output's axes `d0`, `d1`, ..."""

    tensor: str
    dims: tuple[Dim, ...]


@dataclass(frozen=True, slots=True)
class Domain:
    """The axes an expression runs over, and its output's dimensions over them."""

    axes: tuple[Axis, ...]
    dims: tuple[Dim, ...]


def operand_letter(index: int) -> str:
    """The name of input number `index` of a pointwise expression."""
    return _LETTERS[index] if index < len(_LETTERS) else f"X{index}"


def named_steps(steps: Sequence[Step], names: Sequence[str]) -> tuple[ScalarStep, ...]:
    """The steps of an expression whose argument i is called names[i]."""
    return tuple(
        ScalarStep(
            step.op,
            tuple(names[item] if isinstance(item, int) else item for item in step.inputs),
            step.attributes,
        )
        for step in steps
    )


def from_front_steps(index: int | str, size: int, first: int) -> list[Step]:
    """Steps `s<first>`, ... of which the last counts an index from the front: -1 is size - 1."""
    return [
        Step("Less", (index, "0")),
        Step("Add", (index, str(size))),
        Step("Where", (f"s{first}", f"s{first + 1}", index)),
    ]


def broadcast(
    builder: GraphBuilder, tensor: str, output: str, first: int | None = None
) -> Argument:
    """The tensor as an argument that broadcasts to the output, through any Expand before it."""
    source = builder.unexpanded(tensor)
    return Argument(source, broadcast_dims(builder.shape(source), builder.shape(output), first))


def add_pointwise(
    builder: GraphBuilder,
    suffix: str,
    output: str,
    arguments: Sequence[Argument],
    steps: Sequence[Step],
    domain: Domain | None = None,
) -> None:
    """Add one pointwise operator; known constants of one element become literals.

    It runs over an axis per dimension of the output, or over `domain`: then arguments that have
    the output's plain dimensions get the domain's.
    """
    names: list[str] = []
    seen: dict[Argument, str] = {}
    for item in arguments:
        literal = builder.literal(item.tensor)
        if literal is None and item not in seen:
            seen[item] = operand_letter(len(seen))
        names.append(seen[item] if literal is None else literal)
    dims = tuple(item.dims for item in seen)
    expression = _pointwise(builder.shape(output), dims, tuple(names), tuple(steps), domain)
    builder.compute(suffix, expression, [item.tensor for item in seen], output)


@lru_cache(maxsize=1024)
def _pointwise(
    shape: Shape,
    operands: tuple[tuple[Dim, ...], ...],
    names: tuple[str, ...],
    steps: tuple[Step, ...],
    domain: Domain | None,
) -> TensorExpression:
    """A pointwise expression with an output of `shape`; argument i of the steps is names[i]."""
    plain = plain_dims(shape)
    roles: list[Role] = ["parallel"] * len(shape)
    return TensorExpression(
        kernel="pointwise",
        axes=domain.axes if domain else plain_axes(shape, roles),
        inputs=tuple(
            Operand(operand_letter(index), domain.dims if domain and dims == plain else dims)
            for index, dims in enumerate(operands)
        ),
        output=Operand("C", domain.dims if domain else plain),
        body=named_steps(steps, names),
    )
