"""Composite operators without a lowering of their own, expanded by the standard's function body."""

from dataclasses import replace

import numpy as np
import onnx
from onnx import helper, inliner, numpy_helper

from t10c.errors import T10cError
from t10c.onnx_import.lowering.attributes import LoweringError
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.resolve import resolve_model
from t10c.onnx_import.resolved import ResolvedModel, ResolvedNode


def expand_composite(builder: GraphBuilder, node: ResolvedNode) -> ResolvedModel:
    """The node's function body as a resolved model of its own, with constants folded.

    Its inputs and outputs have the names of the node's; all else is named after the node. Raises
    LoweringError if the standard has no function body for the operator.
    """
    if node.domain or not _has_body(node.op_type, builder.opset):
        raise LoweringError("there is no lowering for this operator")
    try:
        model = inliner.inline_selected_functions(
            _single_node_model(builder, node),
            [("", node.op_type)],
            exclude=False,
            inline_schema_functions=True,
        )
        body = resolve_model(model.SerializeToString())
    except (T10cError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise LoweringError(f"its function body cannot be expanded: {reason}") from error
    return _renamed(body, node)


def _has_body(op_type: str, opset: int) -> bool:
    if not onnx.defs.has(op_type, max_inclusive_version=opset, domain=""):
        return False
    schema = onnx.defs.get_schema(op_type, opset, "")
    kinds = ("has_function", "has_context_dependent_function")
    return any(getattr(schema, kind) for kind in kinds)


def _single_node_model(builder: GraphBuilder, node: ResolvedNode) -> onnx.ModelProto:
    """A model of the node alone: known operands are initializers, all others are inputs."""

    def info(tensor: str) -> onnx.ValueInfoProto:
        kind = _onnx_type(builder.element_type(tensor))
        return helper.make_tensor_value_info(tensor, kind, builder.shape(tensor))

    names = [name for name in dict.fromkeys(node.inputs) if name]
    known = {name: builder.value(name) for name in names}
    attributes = {
        name: numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
        for name, value in node.attributes.items()
    }
    proto = helper.make_node(node.op_type, node.inputs, node.outputs, node.name)
    proto.attribute.extend(helper.make_attribute(name, v) for name, v in attributes.items())
    graph = helper.make_graph(
        [proto],
        "composite",
        [info(name) for name in names if known[name] is None],
        [info(name) for name in node.outputs if name],
        [numpy_helper.from_array(v, name) for name, v in known.items() if v is not None],
    )
    opset = helper.make_opsetid("", builder.opset)
    return helper.make_model(graph, opset_imports=[opset], ir_version=10)


def _onnx_type(element_type: str) -> int:
    names = {"float64": "DOUBLE", "float32": "FLOAT"}
    name = names.get(element_type, element_type.upper())
    return int(onnx.TensorProto.DataType.Value(name))


def _renamed(body: ResolvedModel, node: ResolvedNode) -> ResolvedModel:
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
            )
            for inner in body.nodes
        ),
        shapes={tensor(name): shape for name, shape in body.shapes.items()},
        element_types={tensor(name): kind for name, kind in body.element_types.items()},
        constants={tensor(name): value for name, value in body.constants.items()},
        weights=frozenset(tensor(name) for name in body.weights),
    )
