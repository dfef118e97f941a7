"""Quantisation moves up, next to what computes its input: then narrow elements move.

conv -> Transpose -> Quantise            becomes   conv with Quantise -> Transpose of stored values
"""

from dataclasses import replace

from t10c.ir.graph import LayoutOp, Operator
from t10c.onnx_import.commute import over_shape
from t10c.onnx_import.draft import Draft
from t10c.onnx_import.lowering.builder import GraphBuilder


def raise_quantisation(draft: Draft, builder: GraphBuilder) -> None:
    """Quantise before elements move instead of after: next to what computes them."""
    for name in draft.names():
        operator = draft[name]
        if isinstance(operator, Operator) and _quantises(builder, operator):
            _hoist(draft, builder, operator)


def _quantises(builder: GraphBuilder, operator: Operator) -> bool:
    """Whether the operator maps each element of one tensor to a narrower one by itself."""
    expression = operator.expression
    return (
        expression.kernel == "pointwise"
        and len(operator.inputs) == 1
        and expression.inputs[0].dims == expression.output.dims
        and builder.tensor(operator.output).narrow
        and not builder.tensor(operator.inputs[0]).narrow
    )


def _hoist(draft: Draft, builder: GraphBuilder, operator: Operator) -> None:
    """Quantise before elements move instead of after."""
    source = operator.inputs[0]
    above = draft.producer(source)
    if not isinstance(above, LayoutOp) or draft.only_user(source) is None:
        return
    if above.kind not in ("reshape", "transpose", "concat"):
        return
    kind = builder.element_type(operator.output)
    draft.remove(operator.name)
    stored: dict[str, str] = {}
    made: list[Operator] = []
    for tensor in dict.fromkeys(above.inputs):
        shape = builder.shape(tensor)
        stored[tensor] = builder.new_tensor(f"{operator.output}.moved", shape, kind)
        name = operator.name if not made else new_name(draft, f"{operator.name}.{len(made)}")
        made.append(replace(over_shape(operator, shape, tensor, stored[tensor]), name=name))
        draft.put(made[-1], draft.before(above.name))
    inputs = tuple(stored[tensor] for tensor in above.inputs)
    moved = replace(above, inputs=inputs, output=operator.output)
    draft.put(moved, draft.position(above.name))
    for each in made:
        _hoist(draft, builder, each)


def new_name(draft: Draft, wanted: str) -> str:
    """An operator's name that is not taken: as wanted, or with a number."""
    name, count = wanted, 1
    while name in draft:
        count += 1
        name = f"{wanted}.{count}"
    return name
