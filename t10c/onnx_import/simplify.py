"""Before lowering: nodes that only rename a tensor, and nodes that repeat an earlier one, go."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from t10c.onnx_import.attributes import integer
from t10c.onnx_import.resolved import ResolvedModel, ResolvedNode

_RENAMES_IF_SAME_SHAPE = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Expand", "Tile"})
_VARIADIC = frozenset({"Concat", "Max", "Mean", "Min", "Sum"})
_EXACT_CASTS = frozenset(
    {
        ("float16", "float32"),
        ("float16", "float64"),
        ("bfloat16", "float32"),
        ("bfloat16", "float64"),
        ("float32", "float64"),
        ("int32", "int64"),
    }
)
_COUNTED = frozenset({"MatMul", "Gemm", "Conv"})
"""Never merged: FLOP counts and users name each of them."""


@dataclass(frozen=True)
class Simplified:
    """What is left: nodes with renamed inputs, and for each node that went the name it went into.

    `renamed` are nodes that pass their input on; `repeated` maps a node to its earlier twin.
    """

    nodes: tuple[ResolvedNode, ...]
    renamed: frozenset[str]
    repeated: Mapping[str, str]


def simplify(model: ResolvedModel) -> Simplified:
    """Drop renamings and repetitions whose results are not outputs of the graph.

    Optional outputs that no one reads become ''.

    y = Identity(x); z = Relu(y)            ->  z = Relu(x)
    p = Where(m, 0, -inf); q = Where(m, 0, -inf)  ->  p, and q's users read p
    """
    alias: dict[str, str] = {}
    kept: list[ResolvedNode] = []
    renamed: set[str] = set()
    repeated: dict[str, str] = {}
    seen: dict[object, ResolvedNode] = {}
    outputs = frozenset(model.outputs)
    read = outputs.union(*(node.inputs for node in model.nodes))
    for original in model.nodes:
        inputs = tuple(alias.get(t, t) for t in original.inputs)
        made = tuple(t if t in read else "" for t in original.outputs)
        unchanged = inputs == original.inputs and made == original.outputs
        node = original if unchanged else replace(original, inputs=inputs, outputs=made)
        source = _renamed_input(node, model)
        if source is not None:
            alias[node.outputs[0]] = source
            renamed.add(node.name)
            if node.outputs[0] in outputs:
                kept.append(replace(node, op_type="Identity"))
            continue
        if outputs.isdisjoint(node.outputs) and (key := _key(node)) is not None:
            twin = seen.setdefault(key, node)
            if twin is not node:
                alias.update(zip(node.outputs, twin.outputs, strict=True))
                repeated[node.name] = twin.name
                continue
        kept.append(node)
    left = {node.name for node in kept}
    return Simplified(tuple(kept), frozenset(renamed - left), repeated)


def _renamed_input(node: ResolvedNode, model: ResolvedModel) -> str | None:
    """The input that the node's only output equals, None if it computes or moves anything."""
    if not node.inputs or not node.inputs[0] or any(node.outputs[1:]):
        return None
    source, output = node.inputs[0], node.outputs[0]
    same_shape = model.shapes.get(source) == model.shapes.get(output)
    match node.op_type:
        case "Identity":
            passes = True
        case "Dropout":
            passes = not _training(node, model)
        case "Cast" | "CastLike":
            passes = _value_preserving(
                model.element_types.get(source, ""), model.element_types.get(output, "")
            )
        case "Slice":
            passes = same_shape and _steps_forward(node, model)
        case "Split":
            passes = same_shape
        case op if op in _VARIADIC:
            passes = len(node.inputs) == 1
        case op if op in _RENAMES_IF_SAME_SHAPE:
            passes = same_shape
        case _:
            passes = False
    return source if passes else None


def _training(node: ResolvedNode, model: ResolvedModel) -> bool:
    mode = node.inputs[2] if len(node.inputs) > 2 else ""
    if not mode:
        return False
    value = model.constants.get(mode)
    return value is None or bool(value.reshape(-1)[0])


def _value_preserving(source: str, target: str) -> bool:
    """Whether every value passes a cast as it is: readers of the result may read the source.

    A cast that rounds is an operator, mostly the last step of the one before.
    """
    return source == target or (source, target) in _EXACT_CASTS


def _steps_forward(node: ResolvedNode, model: ResolvedModel) -> bool:
    tensor = node.inputs[4] if len(node.inputs) > 4 else ""
    value = model.constants.get(tensor) if tensor else np.ones(1)
    return value is not None and bool(np.all(value > 0))


def _key(node: ResolvedNode) -> object | None:
    """Equal for nodes that compute the same, None where that is not known."""
    if node.op_type in _COUNTED or node.op_type.startswith(("Random", "Bernoulli")):
        return None
    if integer(node, "training_mode", 0):
        return None
    attributes = tuple(sorted(node.attributes.items(), key=lambda item: item[0]))
    if any(isinstance(value, np.ndarray) for _, value in attributes):
        return None
    present = tuple(bool(output) for output in node.outputs)
    return (node.op_type, node.domain, node.inputs, present, attributes)
