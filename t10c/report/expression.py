"""Expressions as people read them.

What `t10c op` reads is written in its notation: `C[m,n] += A[m,k] * B[k,n]`. What has no such form
(means, gathers, scalar functions) is described: `C[m] = mean of A[m,k] over k`. Whatever follows
the main step comes after `; then`, one scalar step after the other, each on the result before it.
"""

from collections.abc import Sequence

from t10c.ir.expression import Dim, Operand, ScalarStep, TensorExpression, is_literal

_SIGNS = {"sum": "+=", "max": "max=", "min": "min="}
_JOINS = {"Mul": " * ", "Add": " + "}
_SIGNED = {**_JOINS, "Sub": " - ", "Div": " / "}


def expression_text(expression: TensorExpression) -> str:
    """The main step, and the scalar steps after it: `C[m,n] += A[m,k] * B[k,n]; then Add F0[n]`."""
    steps = step_texts(expression)
    return main_text(expression) + (f"; then {', '.join(steps)}" if steps else "")


def main_text(expression: TensorExpression) -> str:
    """The expression without fused operands; `t10c op` reads it unless it is a description."""
    output = operand_text(expression.output)
    value = _value_text(expression)
    if expression.kernel == "gather" or expression.reduce_op is None:
        return f"{output} = {value}"
    if expression.reduce_op in _SIGNS:
        return f"{output} {_SIGNS[expression.reduce_op]} {value}"
    reduced = ",".join(axis.name for axis in expression.axes if axis.reduction)
    over = f" over {reduced}" if reduced else ""
    return f"{output} = {expression.reduce_op} of {value}{over}"


def step_texts(expression: TensorExpression) -> list[str]:
    """The scalar steps after the main step, in order: `Add F0[n]`, `Relu`, `Sub(1, it)`.

    The main step is the first of the body, or all of it where that is reduced. A step applies to
    the result before it, `it`; results that later ones need too have a name, as in
    `s1 = Sub A[m,n]`.
    """
    body, steps = expression.body, [*expression.body, *expression.epilogue]
    main = len(body) if _reduces_all(expression) else 1
    used = {
        name
        for index, step in enumerate(steps)
        for name in _resolved(step, len(body))
        if index >= main and name != f"s{index - 1}"
    }
    operands = {operand.name: operand_text(operand) for operand in expression.inputs}
    texts = [f"s{main - 1} = it"] if f"s{main - 1}" in used else []
    for index, step in enumerate(steps[main:], start=main):
        names = [
            "it" if name == f"s{index - 1}" else operands.get(name, _scalar_text(name))
            for name in _resolved(step, len(body))
        ]
        label = f"s{index} = " if f"s{index}" in used else ""
        texts.append(label + _call_text(step, names))
    return texts


def operand_text(operand: Operand) -> str:
    """An operand with its indices: `I[c,2*h+kh-1]`."""
    return f"{operand.name}[{','.join(map(_index_text, operand.dims))}]"


def _index_text(dim: Dim) -> str:
    terms = "+".join(axis if stride == 1 else f"{stride}*{axis}" for axis, stride in dim.terms)
    if not terms:
        return str(dim.offset)
    return terms + (f"{dim.offset:+d}" if dim.offset else "")


def _value_text(expression: TensorExpression) -> str:
    """What the main step makes of the operands."""
    first = expression.body[0]
    operands = {operand.name: operand for operand in expression.inputs}
    if expression.kernel == "gather":
        return _gathered_text(expression)
    if _reduces_all(expression):
        return _nested_text(expression, f"s{len(expression.body) - 1}")
    names = [
        operand_text(operands[name]) if name in operands else _scalar_text(name)
        for name in first.inputs
    ]
    if first.op == "Identity":
        return names[0]
    if first.op in _JOINS and all(name in operands for name in first.inputs):
        return _JOINS[first.op].join(names)
    return _function_text(first, names)


def _reduces_all(expression: TensorExpression) -> bool:
    """Whether several steps come before the reduction: all belong to what is reduced."""
    return expression.reduce_op is not None and len(expression.body) > 1


def _nested_text(expression: TensorExpression, name: str) -> str:
    """A value of the body in terms of operands: `(A[m,k] - 3) * B[k,n]`."""
    operands = {operand.name: operand for operand in expression.inputs}
    if name in operands:
        return operand_text(operands[name])
    if is_literal(name):
        return _scalar_text(name)
    step = expression.body[int(name[1:])]
    names = [_nested_text(expression, source) for source in step.inputs]
    if step.op == "Identity":
        return names[0]
    if step.op in _SIGNED and len(names) == 2:
        made = (_is_signed(expression, source) for source in step.inputs)
        inner = (f"({text})" if sign else text for text, sign in zip(names, made, strict=True))
        return _SIGNED[step.op].join(inner)
    return _function_text(step, names)


def _is_signed(expression: TensorExpression, name: str) -> bool:
    """Whether a value's text is a sum or the like, which wants brackets within another."""
    known = is_literal(name) or any(operand.name == name for operand in expression.inputs)
    return not known and expression.body[int(name[1:])].op in _SIGNED


def _gathered_text(expression: TensorExpression) -> str:
    """The table, indexed by the index tensor along its table axis: `T[X[i],e]`."""
    table, index = expression.inputs[:2]
    selected = {axis.name for axis in expression.axes if axis.role == "table"}
    dims = [
        operand_text(index) if any(axis in selected for axis, _ in dim.terms) else _index_text(dim)
        for dim in table.dims
    ]
    return f"{table.name}[{','.join(dims)}]"


def _resolved(step: ScalarStep, body_steps: int) -> list[str]:
    """The step's inputs, with `acc` as the result of the body's last step."""
    return [f"s{body_steps - 1}" if name == "acc" else name for name in step.inputs]


def _call_text(step: ScalarStep, names: Sequence[str]) -> str:
    """A step on the result before it: that is left out where it comes first."""
    others = names[1:]
    if names[:1] == ["it"] and "it" not in others and len(others) <= 1 and not step.attributes:
        return " ".join((step.op, *others))
    return _function_text(step, names)


def _function_text(step: ScalarStep, names: Sequence[str]) -> str:
    attributes = [f"{key}={value}" for key, value in step.attributes]
    return f"{step.op}({', '.join((*names, *attributes))})"


def _scalar_text(name: str) -> str:
    return f"{float(name):.7g}" if is_literal(name) else name
