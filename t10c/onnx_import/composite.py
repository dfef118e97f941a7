"""The standard's function body of an operator, for nodes whose own lowering does not do."""

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from t10c.errors import T10cError
from t10c.onnx_import.lowering import GraphBuilder
from t10c.onnx_import.resolve import resolve_model
from t10c.onnx_import.resolved import ResolvedModel, ResolvedNode

_DOMAIN = "t10c.composite"

PREVIEW_DOMAIN = "ai.onnx.preview"
"""Where the standard tries out operators."""


def function_body(builder: GraphBuilder, node: ResolvedNode) -> ResolvedModel | None:
    """The body as a resolved model of its own, with constants folded; None if there is none.

    Its tensors and nodes are named after the node; inputs and outputs keep their names. The node
    must be the one that the builder is at.
    """
    schema = _schema(node.domain, node.op_type, builder.opset)
    if schema is None or not (schema.has_function or schema.has_context_dependent_function):
        return None
    try:
        model = _single_node_model(builder, node, schema)
        body = resolve_model(model.SerializeToString())
    except (T10cError, RuntimeError, ValueError):
        return None  # a body that this case of the operator cannot use
    return _renamed(body, node, builder.opset)


def _single_node_model(builder: GraphBuilder, node: ResolvedNode, schema: Any) -> onnx.ModelProto:
    """A model that calls the node's body: known operands are initializers, all others inputs."""
    names = [name for name in dict.fromkeys(node.inputs) if name]
    infos = {
        name: helper.make_tensor_value_info(
            name, _onnx_type(builder.element_type(name)), builder.shape(name)
        )
        for name in (*names, *filter(None, node.outputs))
    }
    proto = helper.make_node(node.op_type, node.inputs, node.outputs, node.name, domain=node.domain)
    for name, value in node.attributes.items():
        plain = numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
        proto.attribute.append(helper.make_attribute(name, plain))
    for name, attribute in schema.attributes.items():
        if name not in node.attributes and attribute.default_value.type:
            proto.attribute.append(attribute.default_value)
    types = [infos[name].type.SerializeToString() if name else b"" for name in node.inputs]
    function = _function(proto, types, schema, builder.opset)
    proto.domain = function.domain = _DOMAIN
    known = {name: value for name in names if (value := builder.value(name)) is not None}
    graph = helper.make_graph(
        [proto],
        "composite",
        [infos[name] for name in names],
        [infos[name] for name in node.outputs if name],
        [numpy_helper.from_array(value, name) for name, value in known.items()],
    )
    imports = [helper.make_opsetid("", builder.opset), helper.make_opsetid(_DOMAIN, 1)]
    return helper.make_model(graph, functions=[function], opset_imports=imports, ir_version=10)


def _function(
    node: onnx.NodeProto, types: list[bytes], schema: Any, opset: int
) -> onnx.FunctionProto:
    """The standard's body of an operator: the newest that the model's opset knows.

    Where the standard builds it for the case at hand, `types` are the input types.
    """
    fixed = [version for version in schema.function_opset_versions if version <= opset]
    if fixed:
        data = schema.get_function_with_opset_version(max(fixed))
    else:
        versions = schema.context_dependent_function_opset_versions
        version = max((v for v in versions if v <= opset), default=opset)
        data = schema.get_context_dependent_function_with_opset_version(
            version, node.SerializeToString(), types
        )
    function = onnx.FunctionProto()
    function.ParseFromString(data)
    # a body holds until the next version of it; the inliner wants the model's very opset
    for opset_import in function.opset_import:
        opset_import.version = opset
    return function


def _schema(domain: str, op_type: str, opset: int) -> Any:
    """The operator's definition or None; onnx does not declare the types of what we ask it.

    Operators of the standard's preview have no version but the present one.
    """
    if domain == "" and onnx.defs.has(op_type, max_inclusive_version=opset, domain=""):
        return onnx.defs.get_schema(op_type, opset, "")
    if domain == PREVIEW_DOMAIN and onnx.defs.has(op_type, domain=domain):
        return onnx.defs.get_schema(op_type, domain=domain)
    return None


def _onnx_type(element_type: str) -> int:
    names = {"float64": "DOUBLE", "float32": "FLOAT"}
    name = names.get(element_type, element_type.upper())
    return int(onnx.TensorProto.DataType.Value(name))


def _renamed(body: ResolvedModel, node: ResolvedNode, opset: int) -> ResolvedModel:
    """The body with its own tensors and nodes named after the node."""
    outside = {*node.inputs, *node.outputs, ""}

    def tensor(name: str) -> str:
        return name if name in outside else f"{node.name}.{name}"

    return replace(
        body,
        nodes=tuple(
            replace(
                inner,
                name=f"{node.name}.{inner.name}",
                inputs=tuple(tensor(name) for name in inner.inputs),
                outputs=tuple(tensor(name) for name in inner.outputs),
                opset=opset,
            )
            for inner in body.nodes
        ),
        shapes={tensor(name): shape for name, shape in body.shapes.items()},
        element_types={tensor(name): kind for name, kind in body.element_types.items()},
        constants={tensor(name): value for name, value in body.constants.items()},
        weights=frozenset(tensor(name) for name in body.weights),
        fixed=body.fixed.renamed(tensor),
    )
