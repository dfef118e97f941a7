"""Operators of the standard with graphs among their attributes that modify what they compute.

They neither loop nor branch (FlexAttention): onnx writes their function body for the very node,
with its graphs in place.
"""

from typing import Any

import onnx
from onnx import NodeProto, helper

from t10c.onnx_import.expansion import Expansion
from t10c.onnx_import.structure import needed_names
from t10c.onnx_import.tensors import TensorFact


def is_modified(node: NodeProto) -> bool:
    """Whether onnx writes the body of a node that has graphs among its attributes."""
    schema = _schema(node)
    return schema is not None and bool(schema.context_dependent_function_opset_versions)


def expand_modified(call: Expansion) -> None:
    """The body of a node in the model's own operators.

    Refuses a node whose graphs read tensors other than their own inputs.
    """
    node = call.node
    outside = set(needed_names(node)) - set(node.input)
    if outside:
        call.refuse(f"its graphs read '{min(outside)}', which is not among their own inputs")
    schema = _schema(node)
    types = [_type(call.fact(i)) if name else b"" for i, name in enumerate(node.input)]
    version = max(schema.context_dependent_function_opset_versions)
    function = onnx.FunctionProto()
    try:
        function.ParseFromString(
            schema.get_context_dependent_function_with_opset_version(
                version, node.SerializeToString(), types
            )
        )
    except RuntimeError as error:
        call.refuse(f"onnx cannot write its function body ({str(error).splitlines()[0]})")
    given = {
        **dict(zip(function.input, node.input, strict=False)),
        **dict(zip(function.output, node.output, strict=False)),
    }
    call.insert(function.node, {formal: actual for formal, actual in given.items() if actual})


def _schema(node: NodeProto) -> Any:
    """The operator's definition or None; onnx does not declare the types of what we ask it."""
    if not onnx.defs.has(node.op_type, domain=node.domain):
        return None
    return onnx.defs.get_schema(node.op_type, domain=node.domain)


def _type(fact: TensorFact) -> bytes:
    proto = helper.make_tensor_type_proto(fact.element_type, fact.shape)
    return bytes(proto.SerializeToString())
