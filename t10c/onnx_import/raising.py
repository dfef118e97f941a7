"""Quantisation moves up, next to what computes its input: then narrow elements move.

conv -> Transpose -> Quantise            becomes   conv with Quantise -> Transpose of stored values
"""

from dataclasses import replace

from t10c.ir.graph import LayoutOp, Operator, is_narrow
from t10c.onnx_import.commute import is_elementwise, over_shape
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
    return (
        is_elementwise(operator)
        and is_narrow(builder.element_type(operator.output))
        and not is_narrow(builder.element_type(operator.inputs[0]))
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
        name = operator.name if not made else draft.unused_name(f"{operator.name}.{len(made)}")
        made.append(replace(over_shape(operator, shape, tensor, stored[tensor]), name=name))
        draft.put(made[-1], draft.before(above.name))
    inputs = tuple(stored[tensor] for tensor in above.inputs)
    moved = replace(above, inputs=inputs, output=operator.output)
    draft.put(moved, draft.position(above.name))
    for each in made:
        _hoist(draft, builder, each)
