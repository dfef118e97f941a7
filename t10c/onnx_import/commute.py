"""Moves pointwise operators past others, to where fusion can take them in.

product -> reshape -> transpose -> Mul(0.125)   becomes   product -> Mul(0.125) -> reshape ...
cache -> Mul(0.5) -> transpose -> matmul        becomes   cache -> transpose -> matmul -> Mul
"""

from dataclasses import replace

from t10c.ir.expression import Operand, Role, TensorExpression, is_literal
from t10c.ir.graph import LayoutOp, Operator
from t10c.onnx_import.draft import Draft
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.dims import Shape, plain_axes, plain_dims


def commute(draft: Draft, builder: GraphBuilder) -> None:
    """Hoist unary operators above layout chains, then sink scalings below matmul and conv."""
    for name in draft.names():
        operator = draft[name]
        if isinstance(operator, Operator) and _is_unary(operator, builder):
            _hoist(draft, builder, operator)
    for name in draft.names():
        operator = draft[name]
        if isinstance(operator, Operator) and _is_scaling(operator, builder):
            _sink(draft, builder, operator)


def is_elementwise(operator: Operator) -> bool:
    """Whether the operator maps each element of one tensor alone, perhaps to another type."""
    expression = operator.expression
    return (
        expression.kernel == "pointwise"
        and len(operator.inputs) == 1
        and expression.inputs[0].dims == expression.output.dims
    )


def _is_unary(operator: Operator, builder: GraphBuilder) -> bool:
    """Whether the operator maps each element of one tensor alone, without changing its type."""
    return is_elementwise(operator) and (
        builder.element_type(operator.inputs[0]) == builder.element_type(operator.output)
    )


def _is_scaling(operator: Operator, builder: GraphBuilder) -> bool:
    """Whether the operator multiplies or divides by one literal: it commutes with products."""
    body = operator.expression.body
    if not _is_unary(operator, builder) or len(body) != 1:
        return False
    literals = [is_literal(name) for name in body[0].inputs]
    if body[0].op == "Mul":
        return sum(literals) == 1
    return body[0].op == "Div" and literals == [False, True]


def _moves_only(operator: object) -> bool:
    return isinstance(operator, LayoutOp) and operator.kind in ("reshape", "transpose")


def _hoist(draft: Draft, builder: GraphBuilder, operator: Operator) -> None:
    """Move a unary operator above the layout chain that feeds it, next to what computes."""
    chain: list[LayoutOp] = []
    source = operator.inputs[0]
    while draft.only_user(source) is not None:
        above = draft.producer(source)
        if isinstance(above, Operator):
            break
        if above is None or not _moves_only(above):
            return
        chain.append(above)
        source = above.inputs[0]
    else:
        return
    if not chain:
        return
    chain.reverse()
    kind = builder.element_type(source)
    hoisted = builder.new_tensor(f"{operator.name}.result", builder.shape(source), kind)
    moved = over_shape(operator, builder.shape(source), source, hoisted)
    position = draft.before(chain[0].name)
    draft.remove(operator.name)
    draft.put(moved, position)
    _rewire(draft, builder, chain, hoisted, operator.output, operator.name)


def _sink(draft: Draft, builder: GraphBuilder, operator: Operator) -> None:
    """Move a scaling of a matmul's or conv's input to its output, past the layout chain between.

    Not where fusion can take it into what computes its input.
    """
    source = operator.inputs[0]
    above = draft.producer(source)
    if isinstance(above, Operator) and draft.only_user(source) is not None:
        return
    chain: list[LayoutOp] = []
    tensor = operator.output
    user = draft.only_user(tensor)
    while isinstance(user, LayoutOp) and _moves_only(user):
        chain.append(user)
        tensor = user.output
        user = draft.only_user(tensor)
    if not isinstance(user, Operator) or user.expression.kernel not in ("matmul", "conv"):
        return
    if user.inputs.count(tensor) != 1:
        return
    draft.remove(operator.name)
    unscaled = source
    if chain:
        unscaled = _fresh(builder, tensor, operator.name)
        _rewire(draft, builder, chain, source, unscaled, operator.name)
    output = user.output
    product = _fresh(builder, output, operator.name)
    inputs = tuple(unscaled if name == tensor else name for name in user.inputs)
    position = draft.after(user.name)
    draft.put(replace(user, inputs=inputs, output=product), draft.position(user.name))
    draft.put(over_shape(operator, builder.shape(output), product, output), position)


def _rewire(
    draft: Draft,
    builder: GraphBuilder,
    chain: list[LayoutOp],
    source: str,
    target: str,
    owner: str,
) -> None:
    """Let the chain lead from source to target; tensors between hold other values: new names."""
    for link in chain:
        output = target if link is chain[-1] else _fresh(builder, link.output, owner)
        draft.put(replace(link, inputs=(source,), output=output), draft.position(link.name))
        source = output


def _fresh(builder: GraphBuilder, like: str, owner: str) -> str:
    """A new tensor of the same shape and type."""
    wanted = f"{owner}.{like}"
    return builder.new_tensor(wanted, builder.shape(like), builder.element_type(like))


def over_shape(operator: Operator, shape: Shape, source: str, output: str) -> Operator:
    """A unary operator over a tensor of another shape."""
    roles: list[Role] = ["parallel"] * len(shape)
    dims = plain_dims(shape)
    old = operator.expression
    expression = TensorExpression(
        kernel="pointwise",
        axes=plain_axes(shape, roles),
        inputs=(Operand(old.inputs[0].name, dims),),
        output=Operand(old.output.name, dims),
        body=old.body,
        epilogue=old.epilogue,
    )
    return replace(operator, expression=expression, inputs=(source,), output=output)
