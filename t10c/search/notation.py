"""Expressions in text: `C[m,n] += A[m,k] * B[k,n]` and axis lengths become a TensorExpression."""

import re
from collections.abc import Callable

from t10c.errors import UsageError
from t10c.ir.expression import (
    ELEMENT_LIMIT,
    Axis,
    Dim,
    Kernel,
    Operand,
    ReduceOp,
    Role,
    ScalarStep,
    TensorExpression,
)
from t10c.search.limits import check_numbers, within_limits
from t10c.search.templates import Lengths

_OPERAND = re.compile(r"\s*([A-Za-z_]\w*)\s*\[([^\]]*)\]\s*")
_TERM = re.compile(r"^(?:(\d+)\s*\*\s*)?([A-Za-z_]\w*)$")
_MOST_DIGITS = 20
"""A number with more is beyond any limit, however it goes on."""
_REDUCE_SIGNS: dict[str, ReduceOp] = {"+=": "sum", "max=": "max", "min=": "min"}


def parse_expression(text: str, lengths: Lengths) -> TensorExpression:
    """A free expression such as `C[m,n] += A[m,k] * B[k,n]` or `O[h] max= I[2*h + k]`.

    `=` assigns, `+=`, `max=` and `min=` reduce; operands are joined by `*` or `+`. The kernel
    follows from the form: a product of two reduced operands is a matmul, or a conv where an index
    is a sum; one reduced operand is a reduce or a pool; no reduction is pointwise. Raises
    UsageError.
    """
    check_numbers(lengths.items())
    match = re.match(r"^(?P<out>[^=]*?\])\s*(?P<sign>\+=|max=|min=|=)(?P<rest>.*)$", text, re.S)
    if not match:
        raise UsageError(
            f"cannot read the expression {text!r}: write it as OUT[axes] += A[axes] * B[axes]"
        )
    sign, rest = match["sign"], match["rest"]
    join = "+" if "*" not in re.sub(r"\[[^\]]*\]", "", rest) else "*"
    parts = re.split(rf"\{join}(?![^\[]*\])", rest)
    output = _parse_operand(match["out"], lengths)
    inputs = tuple(_parse_operand(part, lengths) for part in parts)
    used = list(dict.fromkeys(a for o in (output, *inputs) for a in o.axes))
    unused = [a for a in lengths if a not in used]
    if unused:
        raise UsageError(f"--axes names {', '.join(unused)}, which the expression does not use")
    reduced = [a for a in used if a not in output.axes]
    if reduced and sign == "=":
        raise UsageError(f"axes {', '.join(reduced)} are not in the output: write += or max=")
    if not reduced and sign != "=":
        raise UsageError(f"nothing is reduced by {sign!r}: every axis is in the output; write =")
    return within_limits(_classify(inputs, output, lengths, _REDUCE_SIGNS.get(sign), join))


def _parse_operand(text: str, lengths: Lengths) -> Operand:
    match = _OPERAND.fullmatch(text)
    if not match:
        raise UsageError(
            f"cannot read the operand {text.strip()!r}: write NAME[axis, 2*axis + axis]"
        )
    dims = []
    for index in filter(None, (part.strip() for part in match[2].split(","))):
        terms = []
        for term in index.split("+"):
            read = _TERM.match(term.strip())
            if not read:
                raise UsageError(f"cannot read the index {index!r} of {match[1]}: write 2*h + k")
            if read[2] not in lengths:
                raise UsageError(f"axis {read[2]!r} has no length: add it to --axes")
            stride = int((read[1] or "1")[:_MOST_DIGITS])
            if stride > ELEMENT_LIMIT:
                raise UsageError(
                    f"{match[1]}: the stride of {read[2]} is too large: it is at most"
                    f" {ELEMENT_LIMIT:,}"
                )
            terms.append((read[2], stride))
        if any(stride < 1 for _, stride in terms) or len({a for a, _ in terms}) < len(terms):
            raise UsageError(f"index {index!r} of {match[1]}: strides are at least 1, axes differ")
        dims.append(Dim(tuple(terms), 1 + sum(s * (lengths[a] - 1) for a, s in terms)))
    return Operand(match[1], tuple(dims))


def _classify(
    inputs: tuple[Operand, ...],
    output: Operand,
    lengths: Lengths,
    reduce_op: ReduceOp | None,
    join: str,
) -> TensorExpression:
    """Kernel and axis roles from the form of the expression."""
    sliding = any(len(dim.terms) > 1 for o in inputs for dim in o.dims)
    kept = set(output.axes)
    names = tuple(o.name for o in inputs)
    used = tuple(dict.fromkeys(a for o in (output, *inputs) for a in o.axes))
    kernel: Kernel
    role: Callable[[str], Role]
    if reduce_op is None:
        kernel, role = "pointwise", lambda _: "parallel"
    elif len(inputs) == 1:
        kernel = "pool" if sliding else "reduce"
        role = (
            _pool_roles(inputs[0], kept)
            if sliding
            else (lambda a: "parallel" if a in kept else "reduced")
        )
    elif len(inputs) == 2 and join == "*" and reduce_op == "sum":
        kernel = "conv" if sliding else "matmul"
        role = _product_roles(inputs, kept, sliding)
    else:
        raise UsageError("a reduction takes one operand, or the product of two with +=")
    axes = tuple(Axis(a, lengths[a], role(a), a not in kept) for a in used)
    steps = {1: "Identity"}.get(len(inputs), "Mul" if join == "*" else "Add")
    try:
        return TensorExpression(
            kernel, axes, inputs, output, (ScalarStep(steps, names),), reduce_op
        )
    except ValueError as error:
        raise UsageError(f"the expression is not valid: {error}") from error


def _sliding_axes(operand: Operand) -> set[str]:
    return {a for dim in operand.dims if len(dim.terms) > 1 for a, _ in dim.terms}


def _pool_roles(operand: Operand, kept: set[str]) -> Callable[[str], Role]:
    sliding = _sliding_axes(operand)

    def role(axis: str) -> Role:
        if axis not in kept:
            return "kernel"
        return "out_spatial" if axis in sliding else "parallel"

    return role


def _product_roles(
    inputs: tuple[Operand, ...], kept: set[str], sliding: bool
) -> Callable[[str], Role]:
    first, second = (set(o.axes) for o in inputs)
    slide = _sliding_axes(inputs[0]) | _sliding_axes(inputs[1])

    def role(axis: str) -> Role:
        if sliding and axis in slide:
            return "out_spatial" if axis in kept else "kernel"
        if axis not in kept:
            return "in_channel" if sliding else "k"
        if axis in first and axis in second:
            return "batch"
        if sliding:
            return "out_channel" if axis in second else "batch"
        return "m" if axis in first else "n"

    return role
