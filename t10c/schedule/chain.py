"""A row-wise expression as a chain: reduce expressions, then a pointwise one.

    y = a / sqrt(mean(a * a) + e) * F0     d1 is normalised: never cut
    ->  r[d0] = sqrt(mean(a * a) + e)      reduce, the steps on one value per row as its epilogue
        y[d0, d1] = a / r * F0             pointwise

What several parts need of the steps before is computed again in each of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from t10c.ir.expression import (
    Axis,
    Dim,
    Operand,
    ReduceOp,
    ScalarStep,
    TensorExpression,
    is_literal,
)

_Steps = tuple[ScalarStep, ...]

_REDUCTIONS: dict[str, ReduceOp] = {
    "ReduceMax": "max",
    "ReduceMin": "min",
    "ReduceMean": "mean",
    "ReduceSum": "sum",
    "ReduceProd": "prod",
}
_NOT_POINTWISE = frozenset({"CumSum", "WindowSum", "ArgMax", "ArgMin"})
_NEW_TYPE = frozenset({"Cast"})
"""What lies between the operators of a chain has the element type of its result."""


@dataclass(frozen=True, slots=True)
class Link:
    """One operator of a chain.

    `sources`, parallel to the expression's inputs, name operands of the row-wise expression (`A`)
    or values of its body that earlier links yield (`s3`); `value` is what this link yields, and
    `label` names it (`mean`); both are empty for the last link.
    """

    expression: TensorExpression
    sources: tuple[str, ...]
    value: str = ""
    label: str = ""


def chain_of(expression: TensorExpression) -> tuple[Link, ...] | None:
    """A row-wise expression as a chain: one reduce per reduction, then one pointwise operator.

    None if a step works along the row without reducing it (CumSum, WindowSum), or if nothing is
    reduced.
    """
    if not _is_expressible(expression):
        return None
    links: list[Link] = []
    for number, step in enumerate(expression.body):
        if step.op in _REDUCTIONS:
            links.append(_reduce_link(expression, number, [link.value for link in links]))
    links.append(_pointwise_link(expression, [link.value for link in links]))
    return tuple(links)


def _is_expressible(expression: TensorExpression) -> bool:
    body = expression.body
    single = all(
        not dim.offset and (not dim.terms or (len(dim.terms) == 1 and dim.terms[0][1] == 1))
        for dim in expression.output.dims
    )
    reduced = [step for step in body if step.op.startswith("Reduce")]
    per_row = {f"s{number}" for number, step in enumerate(body) if step.rows}
    own = {f"s{number}" for number in range(len(body))}
    return (
        single
        and not expression.lacks(expression.output)
        and any(axis.role == "normalised" for axis in expression.axes)
        and not any(step.op in _NOT_POINTWISE | _NEW_TYPE for step in body)
        and bool(reduced)
        and all(
            step.op in _REDUCTIONS
            and step.rows
            and len(step.inputs) == 1
            and step.inputs[0] not in per_row
            for step in reduced
        )
        and not body[-1].rows
        and not any(name in own for step in expression.epilogue for name in step.inputs)
    )


def _reduce_link(expression: TensorExpression, number: int, known: list[str]) -> Link:
    """The reduction of step `number`, and the steps per row that depend on it alone."""
    body = expression.body
    target = body[number].inputs[0]
    needed = _needed(body, target, known)
    read = {target, *(name for index in needed for name in body[index].inputs)}
    operands, sources, local = _inputs(expression, read, known)
    steps = _renamed(body, needed, local, 0) or (ScalarStep("Identity", (target,)),)
    after = _followers(body, number)
    local = {f"s{number}": "acc"}
    label = body[number].op.removeprefix("Reduce").lower()
    output = replace(expression.output, dims=_row_dims(expression), bits=0)
    return Link(
        TensorExpression(
            kernel="reduce",
            axes=tuple(
                replace(axis, role="reduced", reduction=True) if _is_normalised(axis) else axis
                for axis in expression.axes
            ),
            inputs=operands,
            output=output,
            body=steps,
            reduce_op=_REDUCTIONS[body[number].op],
            epilogue=_renamed(body, after, local, len(steps)),
        ),
        sources,
        f"s{after[-1] if after else number}",
        label,
    )


def _pointwise_link(expression: TensorExpression, known: list[str]) -> Link:
    """What remains of the body once the values per row are known, and the epilogue."""
    body, epilogue = expression.body, expression.epilogue
    needed = _needed(body, f"s{len(body) - 1}", known)
    read = {name for step in (*(body[i] for i in needed), *epilogue) for name in step.inputs}
    operands, sources, local = _inputs(expression, read, known)
    steps = _renamed(body, needed, local, 0)
    later = range(len(body), len(body) + len(epilogue))
    return Link(
        TensorExpression(
            kernel="pointwise",
            axes=tuple(
                replace(axis, role="parallel") if _is_normalised(axis) else axis
                for axis in expression.axes
            ),
            inputs=operands,
            output=expression.output,
            body=steps,
            epilogue=_renamed((*body, *epilogue), later, {}, len(steps)),
        ),
        sources,
    )


def _is_normalised(axis: Axis) -> bool:
    return axis.role == "normalised"


def _row_dims(expression: TensorExpression) -> tuple[Dim, ...]:
    """The output's dimensions with those of length 1 that are normalised."""
    normalised = {axis.name for axis in expression.axes if _is_normalised(axis)}
    return tuple(
        Dim((), 1) if dim.terms and dim.terms[0][0] in normalised else dim
        for dim in expression.output.dims
    )


def _needed(body: _Steps, target: str, known: list[str]) -> list[int]:
    """Steps that compute `target` from operands and known values, in order."""
    position = {f"s{number}": number for number in range(len(body))}
    found: set[int] = set()
    open_names = [target]
    while open_names:
        name = open_names.pop()
        if name in position and name not in known and position[name] not in found:
            found.add(position[name])
            open_names += body[position[name]].inputs
    return sorted(found)


def _followers(body: _Steps, number: int) -> list[int]:
    """Steps per row that follow from reduction `number` alone and of which one value is used.

    The longest such run, so that the reduction and its followers yield a single value.
    """
    inside, run, best = {f"s{number}"}, [], 0
    for later in range(number + 1, len(body)):
        step = body[later]
        values = [name for name in step.inputs if not is_literal(name)]
        if step.rows and step.op not in _REDUCTIONS and values and inside.issuperset(values):
            run.append(later)
            inside.add(f"s{later}")
            outside = (s for i, s in enumerate(body) if f"s{i}" not in inside)
            if inside & {name for s in outside for name in s.inputs} == {f"s{later}"}:
                best = len(run)
    return run[:best]


def _inputs(
    expression: TensorExpression, read: set[str], known: list[str]
) -> tuple[tuple[Operand, ...], tuple[str, ...], dict[str, str]]:
    """Operands of what reads these names, where each comes from, and what known values are called.

    Values per row are operands without the normalised axes, named R0, R1, ...; they are few, and
    count as fused: to rotate them would save no memory worth a shift.
    """
    rows = [name for name in known if name in read]
    local = {name: f"R{index}" for index, name in enumerate(rows)}
    own = [operand for operand in expression.inputs if operand.name in read]
    moving = [(operand, operand.name) for operand in own if not operand.fused]
    whole = [(Operand(local[name], _row_dims(expression), fused=True), name) for name in rows]
    whole += [(operand, operand.name) for operand in own if operand.fused]
    found = (*moving, *whole)
    return tuple(operand for operand, _ in found), tuple(name for _, name in found), local


def _renamed(body: _Steps, chosen: Iterable[int], local: dict[str, str], first: int) -> _Steps:
    """The chosen steps, numbered from `first` on, reading values by their local names."""
    names = dict(local)
    steps = []
    for number, old in enumerate(chosen, start=first):
        step = body[old]
        inputs = tuple(names.get(name, name) for name in step.inputs)
        steps.append(replace(step, inputs=inputs, rows=False))
        names[f"s{old}"] = f"s{number}"
    return tuple(steps)
