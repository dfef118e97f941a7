"""Composite operators without a lowering of their own, expanded by the standard's function body."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx
from onnx import helper, inliner, numpy_helper

from t10c.errors import T10cError
from t10c.onnx_import.lowering.registry import LOWERINGS
from t10c.onnx_import.resolve import resolve_model
from t10c.onnx_import.resolved import ResolvedModel, ResolvedNode

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
    schema = onnx.defs.get_schema(node.op_type, opset, "")
    kinds = ("has_function", "has_context_dependent_function")
    return any(getattr(schema, kind) for kind in kinds)


def _body(model: ResolvedModel, node: ResolvedNode) -> ResolvedModel | None:
    """The node's function body as a resolved model of its own, with constants folded."""
    try:
        proto = inliner.inline_selected_functions(
            _single_node_model(model, node),
            [("", node.op_type)],
            exclude=False,
            inline_schema_functions=True,
        )
        body = resolve_model(proto.SerializeToString())
    except (T10cError, RuntimeError, ValueError):
        return None
    return _renamed(body, node)


def _single_node_model(model: ResolvedModel, node: ResolvedNode) -> onnx.ModelProto:
    """A model of the node alone: known operands are initializers, all others are inputs."""

    def info(tensor: str) -> onnx.ValueInfoProto:
        kind = _onnx_type(model.element_types[tensor])
        return helper.make_tensor_value_info(tensor, kind, model.shapes[tensor])

    names = [name for name in dict.fromkeys(node.inputs) if name]
    attributes = {
        name: numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
        for name, value in node.attributes.items()
    }
    proto = helper.make_node(node.op_type, node.inputs, node.outputs, node.name)
    proto.attribute.extend(helper.make_attribute(name, v) for name, v in attributes.items())
    graph = helper.make_graph(
        [proto],
        "composite",
        # the inliner looks for the types of all operands here
        [info(name) for name in names],
        [info(name) for name in node.outputs if name],
        [
            numpy_helper.from_array(model.constants[name], name)
            for name in names
            if name in model.constants
        ],
    )
    opset = helper.make_opsetid("", model.opset)
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
