"""What the kernels need to know of an expression, worked out once per expression."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np

from t10c.execute.element_types import Array, DType
from t10c.execute.scalar import apply_steps
from t10c.ir.expression import Dim, Operand, ScalarStep, TensorExpression, is_literal

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Side:
    """A factor of a product: what of the body depends on one operand that is not fused.

    `steps` are (number, step) in order; `value` names the result. `own` says that the steps read
    nothing else with an axis, so that they can run on windows before these are opened.
    """

    operand: Operand
    operands: tuple[Operand, ...]
    steps: tuple[tuple[int, ScalarStep], ...]
    value: str
    axes: tuple[str, ...]
    own: bool


@dataclass(frozen=True)
class Form:
    """An expression as the kernels see it.

    `grid` is the order of axes in arrays: those of the output, in its order, then all others.
    `reduced` and `normalised` are array axes of a grid with the cores first. `guarded` are the
    dimensions that may leave the tensor, with their operands; `inner` and `outer` are the operands
    of body and epilogue. `copied` is the operand of a body that does nothing, `overlaps` says that
    windows may share elements, `argument` is the step of an ArgMax or ArgMin, `sides` are the
    factors of a product.
    """

    grid: tuple[str, ...]
    output: tuple[str, ...]
    reduced: tuple[int, ...]
    reduction_axes: tuple[str, ...]
    normalised: tuple[int, ...]
    inner: tuple[Operand, ...]
    outer: tuple[Operand, ...]
    guarded: tuple[tuple[str, Dim], ...]
    copied: Operand | None
    overlaps: bool
    argument: ScalarStep | None
    sides: tuple[Side, Side] | None
    epilogue_reads_body: bool


class _Key:
    """An expression that is found by its digest, which is worked out once per object."""

    __slots__ = ("digest", "expression")

    def __init__(self, expression: TensorExpression) -> None:
        self.expression = expression
        self.digest = expression.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.digest == other.digest


def per_expression(function: Callable[[TensorExpression], _T]) -> Callable[[TensorExpression], _T]:
    """The function, run once for equal expressions; looking up costs a microsecond."""

    @lru_cache(maxsize=65536)
    def cached(key: _Key) -> _T:
        return function(key.expression)

    def found(expression: TensorExpression) -> _T:
        return cached(_Key(expression))

    return found


@per_expression
def form_of(expression: TensorExpression) -> Form:
    """The form of an expression."""
    output = expression.output.axes
    grid = (*output, *(axis.name for axis in expression.axes if axis.name not in output))
    role = {axis.name: axis for axis in expression.axes}
    reduced = tuple(name for name in grid if role[name].reduction)
    body = expression.body
    own = {f"s{number}" for number in range(len(body))}
    read = _names(body)
    later = _names(expression.epilogue)
    last = body[-1] if body else None
    copies = (
        len(body) == 1 and body[0].op == "Identity" and not is_literal(body[0].inputs[0])
    )  # fmt: skip
    source = {operand.name: operand for operand in expression.inputs}
    return Form(
        grid=grid,
        output=output,
        reduced=tuple(grid.index(name) + 1 for name in reduced),
        reduction_axes=reduced,
        normalised=tuple(i + 1 for i, n in enumerate(grid) if role[n].role == "normalised"),
        inner=tuple(operand for operand in expression.inputs if operand.name in read),
        outer=tuple(operand for operand in expression.inputs if operand.name in later),
        guarded=_guarded(expression),
        copied=source[body[0].inputs[0]] if copies else None,
        overlaps=any(len(dim.terms) > 1 for o in expression.inputs for dim in o.dims),
        argument=last if last and last.op in ("ArgMax", "ArgMin") else None,
        sides=_sides(expression),
        epilogue_reads_body=bool(own & later),
    )


def _names(steps: tuple[ScalarStep, ...]) -> set[str]:
    return {name for step in steps for name in step.inputs}


def _guarded(expression: TensorExpression) -> tuple[tuple[str, Dim], ...]:
    """Dimensions of operands that are not fused along which some points are not in the tensor."""
    length = {axis.name: axis.length for axis in expression.axes}
    found = []
    for operand in expression.inputs:
        for dim in operand.dims:
            spans = [stride * (length[axis] - 1) for axis, stride in dim.terms]
            low = dim.offset + sum(min(0, span) for span in spans)
            high = dim.offset + sum(max(0, span) for span in spans)
            if not operand.fused and (low < 0 or high >= dim.size):
                found.append((operand.name, dim))
    return tuple(found)


def _sides(expression: TensorExpression) -> tuple[Side, Side] | None:
    """The factors of a sum of products of two values, each of one operand that is not fused."""
    body = expression.body
    if expression.reduce_op != "sum" or expression.kernel == "gather" or not body:
        return None
    last = body[-1]
    if last.op != "Mul" or len(last.inputs) != 2 or any(map(is_literal, last.inputs)):
        return None
    left, right = (_side(expression, name) for name in last.inputs)
    if left is None or right is None or left.operand == right.operand:
        return None
    reduced = {axis.name for axis in expression.axes if axis.reduction}
    if not reduced <= {*left.axes, *right.axes} or any(step.rows for step in body):
        return None
    return left, right


def _side(expression: TensorExpression, value: str) -> Side | None:
    """What `value` depends on; None unless that is exactly one operand that is not fused."""
    number = {f"s{index}": index for index in range(len(expression.body))}
    steps: set[int] = set()
    names, open_names = set(), [value]
    while open_names:
        name = open_names.pop()
        if name in number and number[name] not in steps:
            steps.add(number[name])
            open_names += expression.body[number[name]].inputs
        elif name not in number and not is_literal(name):
            names.add(name)
    operands = tuple(operand for operand in expression.inputs if operand.name in names)
    main = [operand for operand in operands if not operand.fused]
    if len(main) != 1:
        return None
    axes = {axis for operand in operands for axis in operand.axes}
    return Side(
        main[0],
        operands,
        tuple((index, expression.body[index]) for index in sorted(steps)),
        value,
        tuple(axis.name for axis in expression.axes if axis.name in axes),
        all(not operand.axes for operand in operands if operand.fused),
    )


def body_type(expression: TensorExpression, windows: Mapping[str, Array]) -> DType:
    """The element type of the body's values; of the windows only the element types matter."""
    inner = form_of(expression).inner
    return _body_type(_Key(expression), tuple(windows[operand.name].dtype for operand in inner))


@lru_cache(maxsize=65536)
def _body_type(key: _Key, dtypes: tuple[DType, ...]) -> DType:
    expression = key.expression
    if expression.kernel == "gather":
        return dtypes[0]
    form = form_of(expression)
    shape = (1,) * (len(form.grid) + 1)
    env = {
        operand.name: np.ones(shape, dtype)
        for operand, dtype in zip(form.inner, dtypes, strict=True)
    }
    return apply_steps(expression.body, env, 0, form.normalised).dtype
