"""Composite operators without a lowering of their own, expanded by the standard's function body."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from t10c.errors import T10cError
from t10c.onnx_import.lowering.registry import LOWERINGS
from t10c.onnx_import.resolve import resolve_model
from t10c.onnx_import.resolved import ResolvedModel, ResolvedNode

_DOMAIN = "t10c.composite"

_DEPTH = 4
"""How often a body may contain further composites; the standard's do at most twice."""


@dataclass(frozen=True)
class Expanded:
    """The model with function bodies in place; `owner` maps each of their nodes to its node."""

    model: ResolvedModel
    owner: Mapping[str, str]


def expand_composites(model: ResolvedModel) -> Expanded:
    """Replace nodes that have no lowering but a function body in the standard by that body.

    Tensors and nodes of a body are named after the node. A body that cannot be expanded is left to
    fail as an operator without a lowering.
    """
    owner: dict[str, str] = {}
    for _ in range(_DEPTH):
        bodies = {
            node.name: body
            for node in model.nodes
            if _is_composite(node, model.opset) and (body := _body(model, node)) is not None
        }
        if not bodies:
            break
        for name, body in bodies.items():
            owner.update((inner.name, owner.get(name, name)) for inner in body.nodes)
        model = _with_bodies(model, bodies)
    return Expanded(model, owner)


def _is_composite(node: ResolvedNode, opset: int) -> bool:
    if node.domain or node.op_type in LOWERINGS:
        return False
    if not onnx.defs.has(node.op_type, max_inclusive_version=opset, domain=""):
        return False
    schema = _schema(node.op_type, opset)
    return bool(schema.has_function or schema.has_context_dependent_function)


def _body(model: ResolvedModel, node: ResolvedNode) -> ResolvedModel | None:
    """The node's function body as a resolved model of its own, with constants folded."""
    try:
        body = resolve_model(_single_node_model(model, node).SerializeToString())
    except (T10cError, RuntimeError, ValueError):
        return None
    return _renamed(body, node)


def _single_node_model(model: ResolvedModel, node: ResolvedNode) -> onnx.ModelProto:
    """A model that calls the node's body: known operands are initializers, all others inputs."""
    names = [name for name in dict.fromkeys(node.inputs) if name]
    infos = {
        name: helper.make_tensor_value_info(
            name, _onnx_type(model.element_types[name]), model.shapes[name]
        )
        for name in (*names, *filter(None, node.outputs))
    }
    proto = helper.make_node(node.op_type, node.inputs, node.outputs, node.name)
    for name, value in node.attributes.items():
        plain = numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
        proto.attribute.append(helper.make_attribute(name, plain))
    for name, attribute in _schema(node.op_type, model.opset).attributes.items():
        if name not in node.attributes and attribute.default_value.type:
            proto.attribute.append(attribute.default_value)
    types = [infos[name].type.SerializeToString() if name else b"" for name in node.inputs]
    function = _function(proto, types, model.opset)
    proto.domain = function.domain = _DOMAIN
    known = [name for name in names if name in model.constants]
    graph = helper.make_graph(
        [proto],
        "composite",
        [infos[name] for name in names],
        [infos[name] for name in node.outputs if name],
        [numpy_helper.from_array(model.constants[name], name) for name in known],
    )
    imports = [helper.make_opsetid("", model.opset), helper.make_opsetid(_DOMAIN, 1)]
    return helper.make_model(graph, functions=[function], opset_imports=imports, ir_version=10)


def _function(node: onnx.NodeProto, types: list[bytes], opset: int) -> onnx.FunctionProto:
    """The standard's body of an operator: the newest that the model's opset knows.

    Where the standard builds it for the case at hand, `types` are the input types.
    """
    schema = _schema(node.op_type, opset)
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


def _schema(op_type: str, opset: int) -> Any:
    """The operator's definition; onnx does not declare the types of what we ask it."""
    return onnx.defs.get_schema(op_type, opset, "")


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


def _with_bodies(model: ResolvedModel, bodies: Mapping[str, ResolvedModel]) -> ResolvedModel:
    """The model with each body in its node's place; what the model knows already stays."""
    nodes: list[ResolvedNode] = []
    shapes, element_types = dict(model.shapes), dict(model.element_types)
    constants = dict(model.constants)
    weights = set(model.weights)
    for node in model.nodes:
        body = bodies.get(node.name)
        if body is None:
            nodes.append(node)
            continue
        nodes += body.nodes
        shapes = {**body.shapes, **shapes}
        element_types = {**body.element_types, **element_types}
        constants = {**body.constants, **constants}
        weights |= body.weights
    return replace(
        model,
        nodes=tuple(nodes),
        shapes=shapes,
        element_types=element_types,
        constants=constants,
        weights=frozenset(weights),
    )
